"""The training step of the whole pipeline against that of the bare network on resident data.

``python benchmarks/training.py [--device cuda] [--steps 40] [--batch 128] [--backbone resnet50]``.
Two rows: *features*, VSE++ on cached features of 2,048 numbers, and *pixels*, the same with an image CNN that
is trained with fixed batch norms. The pipeline is `imtext.training.fit` on random pictures or features and
captions: batches, crops, checkpoint and all. The bare network takes the same steps on one batch that lies on
the device already. Both run in turn in one process, after a round that does not count; the limit on a GPU is
that the bare step takes at least 85 % of the pipeline's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from imtext.data.images import ImageStore
from imtext.models import GRUText, vse
from imtext.training import HingeObjective, PairBatches, Recipe, fit, make_fabric
from imtext.vision.backbones import frozen_norm, load_backbone
from imtext.vision.reading import CachedFeatures, Pixels

WORDS, LENGTH, FEATURES = 8000, 20, 2048


def parts(kind: str, chosen: argparse.Namespace) -> tuple[Any, Any, PairBatches]:
    """The image CNN or None, an objective and its batches."""
    random, count = np.random.default_rng(0), chosen.batch * chosen.steps
    codes = random.integers(1, WORDS + 1, (count, LENGTH))
    lengths = random.integers(6, LENGTH + 1, count)
    codes[np.arange(LENGTH) >= lengths[:, None]] = 0
    cnn, dim, images = None, FEATURES, min(count, 2000)
    if kind == "pixels":
        cnn, side = load_backbone(chosen.backbone, None), chosen.side * 8 // 7
        pictures = random.integers(0, 256, (images, 3, side, side), dtype=np.uint8)
        store, dim = ImageStore(pictures, side, ""), cnn.dim
        source = Pixels(store, chosen.side, cnn, chosen.device)
    else:
        source = CachedFeatures(random.random((4, images, dim), dtype=np.float32), chosen.device)
    net = vse(GRUText(WORDS, 300, 1024), dim, 1024, cnn)
    owners = np.arange(count) % images
    pairs = PairBatches(source, codes, lengths, owners, np.arange(count), chosen.batch, shift=False)
    return cnn, HingeObjective(net), pairs


def waited(device: str) -> float:
    """The time once the device has done what it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measured(kind: str, chosen: argparse.Namespace) -> None:
    """Print milliseconds of both steps and their ratio."""
    fabric, recipe = make_fabric(chosen.device), Recipe(1, 1e-4, chosen.batch)
    cnn, objective, batches = parts(kind, chosen)
    objective = fabric.to_device(objective)
    if cnn is not None and chosen.device == "cuda":
        objective = objective.to(memory_format=torch.channels_last)
    resident = fabric.to_device(next(iter(batches(0))))
    whole, bare = [], []
    with frozen_norm(cnn) if cnn is not None else nullcontext():
        for _ in range(1 + chosen.rounds):
            with TemporaryDirectory() as folder:
                began = waited(chosen.device)
                fit(fabric, objective, recipe, batches, Path(folder))
                whole.append(waited(chosen.device) - began)
            model, optimizer = fabric.setup(objective, recipe.optimizer(objective))
            began = waited(chosen.device)
            for _ in range(chosen.steps):
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(model(resident)["loss"])
                optimizer.step()
            bare.append(waited(chosen.device) - began)
    steps = [1e3 * statistics.median(times[1:]) / chosen.steps for times in (bare, whole)]
    ratios = sorted(one / all_ for one, all_ in zip(bare[1:], whole[1:], strict=True))
    middle = f"{statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"{kind:9}  bare {steps[0]:8.1f} ms  pipeline {steps[1]:8.1f} ms  bare / pipeline {middle}")


def main() -> None:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1, help="of a CPU: a row has one")
    parser.add_argument("--rows", nargs="+", default=["features", "pixels"])
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"torch {torch.__version__}, {chosen.device}, threads: {chosen.threads}, {load}")
    for kind in chosen.rows:
        measured(kind, chosen)


if __name__ == "__main__":
    main()
