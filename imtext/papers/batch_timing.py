"""How long one batch takes on either path (Zheng et al., section 6.2, "Training Time")."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from imtext.losses import InstanceLoss
from imtext.models import TextCNN, dual_path
from imtext.report import paper_values
from imtext.runs import provenance
from imtext.vision.backbones import load_backbone, title

BATCH, DEPTH, GROUPS, REPEATS = 32, 50, 29783, 20  # groups: the images of Flickr30k's training split


def batch_times(
    backbone: str = "resnet50",
    crop: int = 224,
    width: float = 1.0,
    dim: int = 2048,
    length: int = 32,
    words: int = 20074,
    device: str = "cpu",
    seconds: float = 3.0,
) -> dict[str, Any]:
    """Time both paths of :func:`~imtext.models.joint.dual_path` with random weights, text CNN of depth 50.

    Forward and backward is a training step without the optimiser: the instance loss over 29,783 groups, as
    many as Flickr30k has, and gradients of every weight, the backbone's too. Inputs lie on the device
    beforehand. Arithmetic is float32, as in the paper's time, without TensorFloat-32. CPU threads are taken
    as they are set.

    Args:
        backbone, crop: image CNN and pixels a side; width, dim, length, words: of the text path.
        device: ``"cpu"`` or ``"cuda"``.
        seconds: for each path: 20 batches after a warm-up, fewer where they would take longer, at least one.

    Returns:
        one line of :func:`timing_table`: the network in words, pixels a side, the hardware, and the median
        milliseconds of a batch of 32 on either path, forward and backward.

    >>> times = batch_times("resnet18", 32, 0.125, 16, words=10, seconds=1e-3)
    >>> times["network"], times["image path ms"] > 0
    ('ResNet-18, text CNN depth 50, width 0.125, 16-d', True)
    """
    on_gpu = device == "cuda"
    # A GPU picks its kernels in the first calls; a CPU only fills its caches.
    warm = 3 if on_gpu else 1
    # Dropout draws random numbers too, on the device.
    random = torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else [])
    with random, torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        torch.manual_seed(0)
        cnn, text = load_backbone(backbone, weights=None), TextCNN(words, depth=DEPTH, width=width)
        parts = nn.ModuleList([dual_path(text, cnn.dim, dim, cnn), InstanceLoss(dim, GROUPS)]).to(device)
        net, loss = parts.to(memory_format=torch.channels_last) if on_gpu else parts
        pixels = torch.randn(BATCH, 3, crop, crop).contiguous(memory_format=torch.channels_last).to(device)
        codes = torch.randint(1, words + 1, (BATCH, length)).to(device)
        groups = torch.randint(0, GROUPS, (BATCH,)).to(device)

        def step(embed: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
            parts.zero_grad()
            loss(embed(inputs), groups).backward()
            if on_gpu:  # until its work is done, not until it is queued
                torch.cuda.synchronize()

        paths, times = {"image": (net.embed_images, pixels), "text": (net.embed_captions, codes)}, {}
        for path, side in paths.items():
            times[f"{path} path ms"] = _median_ms(partial(step, *side), warm, seconds)
    network = f"{title(backbone)}, text CNN depth {DEPTH}, width {width:g}, {dim:,}-d"
    hardware = provenance(device, 0.0)["hardware"]
    hardware += "" if on_gpu else f", threads: {torch.get_num_threads()}"
    return {"network": network, "pixels": crop, "device": hardware, **times}


def _median_ms(step: Callable[[], None], warm: int, seconds: float) -> float:
    """Median milliseconds of calls after some to warm up, as many as fit into the time."""
    *_, first = timeit.repeat(step, repeat=warm, number=1)
    calls = min(max(int(seconds / first), 1), REPEATS)
    return 1000 * statistics.median(timeit.repeat(step, repeat=calls, number=1))


def timing_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The paper's milliseconds and ours, forward and backward, one line per network.

    Columns: network, pixels, device, image path ms, text path ms.

    >>> timing_table([])["image path ms"].tolist()
    [119.0]
    """
    printed = paper_values("instance_loss", "training_time")
    times = {f"{path} path ms": float(printed[f"{path}_ms"]) for path in ("image", "text")}
    label = "Paper: ResNet-50, text CNN of the same depth"
    paper = {"network": label, "pixels": 224, "device": "Nvidia 1080Ti", **times}
    return pd.DataFrame([paper, *rows])
