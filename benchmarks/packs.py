"""Speed of reading batches from a pack, against the limit: as many bytes copied out of memory.

    python benchmarks/packs.py --root ~/data/flickr8k      # photographs, at their 160 pixels
    python benchmarks/packs.py                             # picturebook, generated small

Every way gives the same random batches of 128 pictures, batch by batch in turn, and the median counts: so
other work on the machine weighs on all alike. All files are in the system's page cache. The ratio is the time
over that of the copy out of memory for the same batch, its median.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from imtext.data import load_dataset
from imtext.data.images import ImageStore, decode
from imtext.data.pack import Pack, open_pack, write_pack


def main() -> None:
    """Pack, time every way, print a table."""
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.root is None:
            sizes = {"train": 600, "val": 50, "test": 50, "size": options.size}
            dataset = load_dataset("picturebook", work / "picturebook", **sizes)
        else:
            dataset = load_dataset(options.dataset, options.root)
        path, seconds = timed(lambda: write_pack(dataset, work / "pack.safetensors", size=options.size))
        _, checking = timed(lambda: open_pack(path, verify=True))
        packed, opening = timed(lambda: Pack.open(path).dataset)
        print(f"{_processor()}, {platform.python_version()}, one thread reads, page cache warm")
        print(f"{dataset.summary()}, {options.size} pixels")
        megabytes = path.stat().st_size / 1e6
        print(f"pack: {megabytes:,.1f} MB, written in {seconds:.1f} s, verified in {checking:.2f} s", end="")
        print(f" ({megabytes / checking / 1e3:.1f} GB/s), opened in {opening:.2f} s")
        compare(dataset, packed, work, options)


def compare(dataset: object, packed: object, work: Path, options: argparse.Namespace) -> None:
    """Time each way on the same batches and print its line."""
    size = options.size
    store = ImageStore.open(packed, size, work)
    cached = ImageStore.open(dataset, size, work / "cache")
    mixed = ImageStore.open(packed.take(np.random.default_rng(1).permutation(len(store))), size, work)
    memory = np.array(store.pixels)
    assert np.array_equal(memory, cached.pixels)
    random = np.random.default_rng(0)
    batches = [random.permutation(len(store))[: options.batch] for _ in range(options.batches)]

    def decoded(rows: np.ndarray) -> np.ndarray:
        return np.stack([decode(dataset.image_path(int(i)), size) for i in rows])

    ways = {
        "copied out of memory": lambda rows: memory[rows],
        "pack": store.batch,
        "pack, selection": mixed.batch,
        "image store": cached.batch,
        "image files decoded": decoded,
    }
    times = {name: [] for name in ways}
    for turn in range(options.rounds):
        for step, rows in enumerate(batches):
            for name, way in ways.items():
                if name != "image files decoded" or (turn, step % 20) == (1, 0):
                    times[name].append(timed(lambda way=way, rows=rows: way(rows))[1])
    once = len(batches)  # the first round maps the pages, which costs once in a process
    print(f"{'batches of ' + str(options.batch):24s} {'ms':>9s} {'GB/s':>7s} {'images/s':>10s} {'ratio':>8s}")
    limit = np.array(times["copied out of memory"][once:])
    for name, spent in times.items():
        later = np.array(spent[once:] or spent)
        middle = float(np.median(later))
        ratio = np.median(later / limit) if len(later) == len(limit) else middle / np.median(limit)
        rate, images = options.batch * memory[0].nbytes / middle / 1e9, options.batch / middle
        print(f"{name:24s} {middle * 1e3:9.2f} {rate:7.2f} {images:10,.0f} {ratio:8.2f}")
    first = np.median(times["pack"][:once]) / np.median(times["copied out of memory"][:once])
    print(f"ratio of the pack in the first round, which also maps its pages: {first:.2f}")


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """What ``work`` returns, and its seconds."""
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of reading batches from a pack.")
    parser.add_argument("--root", type=Path, default=None, help="folder of the dataset; default: picturebook")
    parser.add_argument("--dataset", default="flickr8k")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
