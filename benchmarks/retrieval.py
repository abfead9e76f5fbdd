"""Speed of `imtext.retrieval.evaluate` against the one matrix product that no method can avoid.

    python benchmarks/retrieval.py                  # COCO 5K: 5,000 images × 25,000 captions × 1,024
    python benchmarks/retrieval.py --images 1000    # COCO 1K
    python benchmarks/retrieval.py --busy           # beside other programs: processor time, one thread
    python benchmarks/retrieval.py --device cuda

The limits: evaluate takes at most 1.3 times the product in the same run, and less than 1 GB of memory beyond
its inputs. The two are timed in turn and the median ratio of several rounds counts, so that other work on
the machine weighs on both alike. The sorting version, which ranks one query after another by a full sort, is
timed on a reduced size and scaled by the number of pairs; it is labelled as an estimate.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from imtext.retrieval import evaluate

REDUCED = 500  # images of the sorting version


def main() -> None:
    """Time both and print one line for each."""
    options = _options()
    threads = 1 if options.busy else options.threads
    torch.set_num_threads(threads)
    clock = time.process_time if options.busy else time.perf_counter
    images, captions, owners = embeddings(options.images, options.per_image, options.dimensions)
    place = torch.device(options.device)
    on_device = images.to(place), captions.to(place)
    kind = "processor time" if options.busy else "wall time"
    print(f"torch {torch.__version__}, {_device_name(place)}, threads: {threads}, {kind}")
    print(f"{len(images):,} images x {len(captions):,} captions x {options.dimensions:,}, float32")

    evaluate(
        images[:500].to(place),
        captions[: 500 * options.per_image].to(place),
        owners[: 500 * options.per_image],
    )
    extra = extra_memory(lambda: evaluate(*on_device, owners), place)
    product, ours = [], []
    for _ in range(options.rounds):
        product.append(seconds(lambda: torch.mm(on_device[0], on_device[1].T), place, clock))
        ours.append(seconds(lambda: evaluate(*on_device, owners), place, clock))
    ratios = [b / a for a, b in zip(product, ours, strict=True)]
    print(f"one matrix product   {min(product):8.3f} s   (rounds: {_listed(product)})")
    print(f"evaluate, both ways  {min(ours):8.3f} s   (rounds: {_listed(ours)})")
    print(f"ratio, median round  {np.median(ratios):8.2f}     (rounds: {_listed(ratios)}; limit 1.30)")
    print(
        "peak extra memory    " + ("not measured here" if extra is None else f"{extra:8.0f} MB  (limit 1000)")
    )
    small = min(REDUCED, len(images))
    spent = sort_everything(
        images[:small].numpy(), captions[: small * options.per_image].numpy(), options.per_image
    )
    scaled = spent * (len(images) / small) ** 2
    print(f"sorting every query  {scaled:8.1f} s   (estimate: {spent:.2f} s for {small} images, by pairs)")


def embeddings(
    n_images: int, per_image: int, dimensions: int
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Random embeddings whose true pairs are about as hard to find as those of a good model."""
    torch.manual_seed(0)
    owners = np.repeat(np.arange(n_images), per_image)
    images = torch.nn.functional.normalize(torch.randn(n_images, dimensions))
    noise = torch.nn.functional.normalize(torch.randn(len(owners), dimensions))
    captions = torch.nn.functional.normalize(0.12 * images[torch.from_numpy(owners)] + noise)
    return images, captions, owners


def seconds(work: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """Time of one call, until the device has finished."""
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def extra_memory(work: Callable[[], object], device: torch.device) -> float | None:
    """Megabytes that ``work`` takes at its peak beyond what is held before; None where nothing tells."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return None
    try:
        clear.write_text("5")  # the peak starts again from what is held now
    except OSError:
        return None
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1e3


def sort_everything(images: np.ndarray, captions: np.ndarray, per_image: int) -> float:
    """Seconds of the usual way: query by query, all scores sorted, the true match looked up in the order."""
    start = time.perf_counter()
    for index, image in enumerate(images):
        order = np.argsort(captions @ image)[::-1]
        min(np.flatnonzero(order == index * per_image + k)[0] for k in range(per_image))
    for index, caption in enumerate(captions):
        order = np.argsort(images @ caption)[::-1]
        np.flatnonzero(order == index // per_image)[0]
    return time.perf_counter() - start


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field)))


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    models = (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name"))
    return next(models, platform.processor() or "CPU")


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of evaluate against the one matrix product.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--per-image", type=int, default=5, help="captions per image")
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="processor time of one thread, not wall time")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
