"""How long one batch takes on either path (Zheng et al., section 6.2, "Training Time")."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss
from imtext.models import DualPath, TextCNN
from imtext.report import paper_values
from imtext.runs import provenance
from imtext.training import resolve_device
from imtext.vision.backbones import load_backbone

COLUMNS = ("network", "pixels", "device", "image path ms", "text path ms")
FORWARD_COLUMNS = ("image path, forward ms", "text path, forward ms")


class BatchTimes(NamedTuple):
    """Median milliseconds per batch, and what they were measured with.

    ``image_ms``, ``text_ms``: forward and backward; ``image_forward_ms``, ``text_forward_ms``: forward alone.
    ``repeats``: the fewest repeats behind a median, 0 where a time is that of a first, cold call.
    ``precision``: ``"float32"`` or ``"bfloat16"``.
    """

    backbone: str
    crop: int
    width: float
    depth: int
    dim: int
    batch: int
    length: int
    device: str
    hardware: str
    precision: str
    repeats: int
    image_forward_ms: float
    image_ms: float
    text_forward_ms: float
    text_ms: float


def batch_times(
    backbone: str = "resnet50",
    crop: int = 224,
    width: float = 1.0,
    depth: int = 50,
    dim: int = 2048,
    device: str = "cpu",
    batch: int = 32,
    length: int = 32,
    words: int = 20074,
    classes: int = 29783,
    repeats: int = 20,
    budget_s: float = 60.0,
    autocast: bool = False,
    forward: bool = True,
) -> BatchTimes:
    """Time both paths of a :class:`~imtext.models.DualPath` with random weights.

    Forward and backward is a training step without the optimiser: the path in training mode, the instance
    loss over ``classes`` groups, gradients of every weight, the backbone's too. Forward alone is an
    embedding as for search: evaluation mode, no gradients. Inputs lie on the device beforehand. Arithmetic
    is float32 throughout, as in the paper's time (TensorFloat-32 is off); ``autocast`` measures bfloat16
    autocast instead, which is how this package trains on a GPU. CPU threads are taken as they are set.

    Args:
        backbone, crop: image CNN and pixels a side; width, depth, dim, length, words: of the text path.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        batch: items per batch, at least 2 (paper: 32); classes: groups (Flickr30k: 29,783).
        repeats: batches per median; a warm-up comes before them.
        budget_s: seconds for all four measurements, a quarter each. One that runs out of time repeats less
            often; one whose warm-up alone takes longer reports the warm-up, with 0 repeats.
        autocast: bfloat16 instead of float32; forward: whether to time the forward pass alone as well.

    Raises:
        ConfigError: an unknown device or backbone, or a number out of range.

    >>> times = batch_times("resnet18", 32, 0.125, 50, 16, batch=2, words=10, classes=4, repeats=1)
    >>> times.precision, times.repeats, times.image_ms > 0
    ('float32', 1, True)
    """
    device = resolve_device(device)
    if batch < 2 or repeats < 1 or not budget_s > 0 or crop < 32:
        raise ConfigError(
            "batch_times takes batch from 2, repeats from 1, crop from 32 and a positive budget_s, "
            f"found batch={batch}, repeats={repeats}, crop={crop}, budget_s={budget_s}"
        )
    with _arithmetic(device, autocast):
        net, loss = _network(backbone, words, depth, width, dim), InstanceLoss(dim, classes)
        pixels = torch.randn(batch, 3, crop, crop).contiguous(memory_format=torch.channels_last)
        codes = torch.randint(1, words + 1, (batch, length))
        groups = torch.randint(0, classes, (batch,)).to(device)
        net, loss = net.to(device), loss.to(device)
        if device == "cuda":
            net = net.to(memory_format=torch.channels_last)
        paths = ((net.embed_images, pixels), (net.embed_captions, codes))
        image, text = (
            _path_times(net, embed, loss, inputs.to(device), groups, repeats, budget_s / 2, forward)
            for embed, inputs in paths
        )
    return BatchTimes(
        *(backbone, crop, width, depth, dim, batch, length, device, _hardware(device)),
        precision="bfloat16" if autocast else "float32",
        repeats=min(image[2], text[2]),
        image_forward_ms=image[0],
        image_ms=image[1],
        text_forward_ms=text[0],
        text_ms=text[1],
    )


def timing_table(rows: Iterable[BatchTimes], forward: bool = False) -> pd.DataFrame:
    """The paper's milliseconds and ours, forward and backward, one line per network.

    Columns: network, pixels, device, image path ms, text path ms; with ``forward`` also those of the forward
    pass alone, which the paper does not print (NaN).

    >>> timing_table([])["image path ms"].tolist()
    [119.0]
    """
    paper = paper_values("instance_loss", "training_time")
    label = "Paper: ResNet-50, text CNN of the same depth"
    lines = [
        (label, 224, "Nvidia 1080Ti", float(paper["image_ms"]), float(paper["text_ms"]), *[float("nan")] * 2)
    ]
    for row in rows:
        device = row.hardware if row.precision == "float32" else f"{row.hardware}, {row.precision}"
        lines.append(
            (
                _label(row, int(paper["batch_size"])),
                row.crop,
                device,
                row.image_ms,
                row.text_ms,
                row.image_forward_ms,
                row.text_forward_ms,
            )
        )
    frame = pd.DataFrame(lines, columns=[*COLUMNS, *FORWARD_COLUMNS])
    return frame if forward else frame[list(COLUMNS)]


def _label(row: BatchTimes, usual: int) -> str:
    """The two networks of a row in words, with the batch size where it is not the paper's, and cold times."""
    batch = "" if row.batch == usual else f", batch of {row.batch}"
    cold = "" if row.repeats else ", first call"
    return f"{row.backbone}, text CNN depth {row.depth}, width {row.width:g}, {row.dim:,}-d{batch}{cold}"


def _network(backbone: str, words: int, depth: int, width: float, dim: int) -> DualPath:
    """Both paths with random weights and a backbone that is trained."""
    image_net = load_backbone(backbone, weights=None)
    return DualPath(TextCNN(words, depth=depth, width=width), image_net.dim, dim, image_net)


def _path_times(
    net: nn.Module,
    embed: Callable[[Tensor], Tensor],
    loss: InstanceLoss,
    inputs: Tensor,
    groups: Tensor,
    repeats: int,
    budget_s: float,
    also_forward: bool = True,
) -> tuple[float, float, int]:
    """Milliseconds of one path, forward alone (or NaN) and with backward, and the fewer of their repeats."""

    def forward() -> None:
        with torch.no_grad():
            embed(inputs)

    def training() -> None:
        net.zero_grad()
        loss.zero_grad()
        loss(embed(inputs), groups).backward()

    forward_ms, forward_repeats = math.nan, repeats
    if also_forward:
        net.eval()
        forward_ms, forward_repeats = _median_ms(forward, inputs.device, repeats, budget_s / 2)
    net.train()
    training_ms, training_repeats = _median_ms(training, inputs.device, repeats, budget_s / 2)
    return forward_ms, training_ms, min(forward_repeats, training_repeats)


def _median_ms(
    step: Callable[[], None], device: torch.device, repeats: int, budget_s: float
) -> tuple[float, int]:
    """Median milliseconds of ``step`` and the repeats behind it, 0 where only a warm-up fitted."""
    end = time.perf_counter() + budget_s
    # A GPU picks its kernels in the first calls; a CPU only fills its caches.
    for _ in range(3 if device.type == "cuda" else 1):
        cold = _timed(step, device)
    times: list[float] = []
    while len(times) < repeats and time.perf_counter() < end:
        times.append(_timed(step, device))
    return statistics.median(times or [cold]), len(times)


def _timed(step: Callable[[], None], device: torch.device) -> float:
    """Milliseconds of one call; on a GPU until its work is done, not until it is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - begin)


@contextmanager
def _arithmetic(device: str, autocast: bool) -> Iterator[None]:
    """bfloat16 autocast, or float32 without TensorFloat-32, and random numbers of its own.

    What was set before comes back at the end.
    """
    cudnn, precision = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = cudnn.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32, cudnn.benchmark = False, True
    torch.set_float32_matmul_precision("highest")
    try:
        # Dropout draws too, on the device.
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
            torch.manual_seed(0)
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark = before
        torch.set_float32_matmul_precision(precision)


def _hardware(device: str) -> str:
    """The hardware's name; for a processor with the threads torch uses."""
    name = provenance(device, 0.0)["hardware"]
    threads = torch.get_num_threads()
    return name if device == "cuda" else f"{name}, {threads} thread{'' if threads == 1 else 's'}"
