"""Small pictures and datasets of them, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from imtext.data import Dataset


def photos(*paths: Path, size: tuple[int, int] = (8, 8)) -> None:
    """A blue picture at each path."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "blue").save(path)


def noise(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with a layout of its own: coarse noise made large."""
    grey = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)


def plain(root: Path, files: Sequence[str], splits: Sequence[str] = ()) -> Dataset:
    """A dataset of files that are there: one caption an image, all in train where nothing else is said."""
    files, numbers = tuple(files), np.arange(len(files))
    captions = tuple(f"Picture {file} ." for file in files)
    held = np.array(list(splits) or ["train"] * len(files))
    return Dataset("mine", root, files, files, captions, numbers, held, numbers)
