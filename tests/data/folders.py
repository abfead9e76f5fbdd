"""Small pictures, files and datasets of them, for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imtext.data import Dataset, load_dataset
from imtext.errors import DataError


def photos(*paths: Path, size: tuple[int, int] = (8, 8)) -> None:
    """A blue picture at each path."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "blue").save(path)


def noise(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with a layout of its own: coarse noise made large."""
    grey = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)


def plain(root: Path, files: Sequence[str], splits: Sequence[str] = (), **more: Any) -> Dataset:
    """A dataset of files: one caption an image, all in train where nothing else is said."""
    files, numbers = tuple(files), np.arange(len(files))
    captions = tuple(f"Picture {file} ." for file in files)
    held = np.array(list(splits) or ["train"] * len(files))
    fields = {"captions": captions, "image_of_caption": numbers, "image_ids": files, **more}
    return Dataset("mine", root, files, split_of_image=held, **{"group_of_image": numbers, **fields})


def write(path: Path, content: Any, encoding: str = "utf-8") -> Path:
    """A file of text or bytes, or of JSON, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def entry(file: str, split: str, captions: Iterable[str], **more: Any) -> dict[str, Any]:
    """An image of Karpathy's file."""
    said = [{"raw": caption} for caption in captions]
    return {"filename": file, "split": split, "sentences": said, **more}


def coco_file(files: dict[Any, str], said: Iterable[tuple[Any, int, str]]) -> dict[str, Any]:
    """COCO's own form: files by image id, captions as image id, number and text."""
    annotations = [{"image_id": image, "id": number, "caption": text} for image, number, text in said]
    images = [{"id": image, "file_name": file} for image, file in files.items()]
    return {"images": images, "annotations": annotations}


def refuses(name: str, message: str, root: Path, kind: type = DataError, **options: Any) -> None:
    """A dataset is refused in one line."""
    with pytest.raises(kind, match=message) as caught:
        load_dataset(name, root, **options)
    assert "\n" not in str(caught.value)
