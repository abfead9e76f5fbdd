"""How long one batch takes on either path (Zheng et al., section 6.2, "Training Time")."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from imtext.losses import InstanceLoss
from imtext.models import DualPath, TextCNN
from imtext.report import paper_values
from imtext.runs import provenance
from imtext.vision.backbones import load_backbone

BATCH, DEPTH, GROUPS, REPEATS = 32, 50, 29783, 20  # groups: the images of Flickr30k's training split


class BatchTimes(NamedTuple):
    """One line of :func:`timing_table`.

    ``network`` in words; ``pixels`` a side; ``device``: the hardware; ``image_ms``, ``text_ms``: median
    milliseconds of a batch of 32 on either path, forward and backward.
    """

    network: str
    pixels: int
    device: str
    image_ms: float
    text_ms: float


def batch_times(
    backbone: str = "resnet50",
    crop: int = 224,
    width: float = 1.0,
    dim: int = 2048,
    length: int = 32,
    words: int = 20074,
    device: str = "cpu",
    seconds: float = 3.0,
) -> BatchTimes:
    """Time both paths of a :class:`~imtext.models.DualPath` with random weights, the text CNN of depth 50.

    Forward and backward is a training step without the optimiser: the instance loss over 29,783 groups, as
    many as Flickr30k has, and gradients of every weight, the backbone's too. Inputs lie on the device
    beforehand. Arithmetic is float32, as in the paper's time, without TensorFloat-32. CPU threads are taken
    as they are set.

    Args:
        backbone, crop: image CNN and pixels a side; width, dim, length, words: of the text path.
        device: ``"cpu"`` or ``"cuda"``.
        seconds: for each path: 20 batches after a warm-up, fewer where they would take longer. Where the
            warm-up alone does, its time is given, and ``network`` says so.

    >>> times = batch_times("resnet18", 32, 0.125, 16, words=10, seconds=1e-3)
    >>> times.network, times.image_ms > 0
    ('resnet18, text CNN depth 50, width 0.125, 16-d, first call', True)
    """
    # Dropout draws random numbers too, on the device.
    random = torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else [])
    with random, torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        torch.manual_seed(0)
        cnn, text = load_backbone(backbone, weights=None), TextCNN(words, depth=DEPTH, width=width)
        net, loss = DualPath(text, cnn.dim, dim, cnn).to(device), InstanceLoss(dim, GROUPS).to(device)
        net = net.to(memory_format=torch.channels_last) if device == "cuda" else net
        pixels = torch.randn(BATCH, 3, crop, crop).contiguous(memory_format=torch.channels_last).to(device)
        codes = torch.randint(1, words + 1, (BATCH, length)).to(device)
        groups = torch.randint(0, GROUPS, (BATCH,)).to(device)

        def timed(embed: Callable[[Tensor], Tensor], inputs: Tensor) -> tuple[float, bool]:
            def step() -> None:
                net.zero_grad()
                loss.zero_grad()
                loss(embed(inputs), groups).backward()

            return _median_ms(step, device, seconds)

        (image_ms, slow), (text_ms, slower) = (
            timed(net.embed_images, pixels),
            timed(net.embed_captions, codes),
        )
    cold = ", first call" if slow or slower else ""
    network = f"{backbone}, text CNN depth {DEPTH}, width {width:g}, {dim:,}-d{cold}"
    return BatchTimes(network, crop, _hardware(device), image_ms, text_ms)


def _median_ms(step: Callable[[], None], device: str, seconds: float) -> tuple[float, bool]:
    """Median milliseconds of calls after a warm-up, and whether only the warm-up fitted."""
    end, times = time.perf_counter() + seconds, []
    # A GPU picks its kernels in the first calls; a CPU only fills its caches.
    for _ in range(3 if device == "cuda" else 1):
        cold = _timed(step, device)
    while len(times) < REPEATS and time.perf_counter() < end:
        times.append(_timed(step, device))
    return statistics.median(times or [cold]), not times


def _timed(step: Callable[[], None], device: str) -> float:
    """Milliseconds of one call; on a GPU until its work is done, not until it is queued."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    step()
    wait()
    return 1000 * (time.perf_counter() - begin)


def _hardware(device: str) -> str:
    """The hardware's name; for a processor with the threads torch uses."""
    name, threads = provenance(device, 0.0)["hardware"], torch.get_num_threads()
    return name if device == "cuda" else f"{name}, {threads} thread{'' if threads == 1 else 's'}"


def timing_table(rows: Iterable[BatchTimes]) -> pd.DataFrame:
    """The paper's milliseconds and ours, forward and backward, one line per network.

    Columns: network, pixels, device, image path ms, text path ms.

    >>> timing_table([])["image path ms"].tolist()
    [119.0]
    """
    printed = paper_values("instance_loss", "training_time")
    label = "Paper: ResNet-50, text CNN of the same depth"
    paper = BatchTimes(label, 224, "Nvidia 1080Ti", float(printed["image_ms"]), float(printed["text_ms"]))
    columns = ["network", "pixels", "device", "image path ms", "text path ms"]
    return pd.DataFrame([paper, *rows]).set_axis(columns, axis=1)
