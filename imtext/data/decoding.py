"""From an image file to an upright RGB picture, and to a square of pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import joblib
import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from imtext.data import Dataset
from imtext.data.files import first
from imtext.errors import DataError
from imtext.progress import progress

FITS = ("cover", "squash")
_CHUNK = 256
# Colour profiles and texts in a PNG may unpack to this many bytes; Pillow's own limit refuses real files.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, 1 << 24)


def open_image(file: str | os.PathLike[str] | BinaryIO) -> Image.Image:
    """An image before its pixels are decoded; ``Image.MAX_IMAGE_PIXELS`` is the limit, None is none.

    Raises:
        ValueError: it is larger; Pillow itself only warns of sizes that take gigabytes.
        Exception: whatever Pillow's plugins raise on a broken file.
    """
    image = Image.open(file)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        image.close()
        raise ValueError(f"{image.width:,} x {image.height:,} pixels; make it smaller")
    return image


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever Pillow's plugins raise on a broken file as one line about it, a DataError."""
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", "") or f"{type(error).__name__}: {error}"
        reason = reason.replace(str(path), path.name)
        raise DataError(f"{path}: expected an image, found: {reason}; replace the file") from None


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB, turned as its EXIF data say, transparent parts on white.

    Grey values of 16 bits are divided by 257. Numbers of 32 bits, whole or not, have no usual range: the
    smallest of the picture becomes black, the largest white.

    >>> upright_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    >>> upright_rgb(Image.new("I;16", (1, 1), 257 * 7)).getpixel((0, 0))
    (7, 7, 7)
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    shares = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return Image.fromarray(np.rint(255 * shares).astype(np.uint8))


def as_square(photo: Image.Image, size: int, fit: str = "cover") -> np.ndarray:
    """An upright RGB picture as uint8 ``(3, size, size)``, see :func:`imtext.data.images.decode`."""
    width, height = photo.size if fit == "squash" else (min(photo.size),) * 2
    left, top = (photo.width - width) / 2, (photo.height - height) / 2
    box = (left, top, left + width, top + height)
    square = photo.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def decode_file(path: Path, size: int, fit: str) -> np.ndarray:
    """An image file as uint8 ``(3, size, size)``. Raises DataError where Pillow cannot read it."""
    with readable(path), open_image(path) as image:
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that still leaves twice the wanted size.
        image.draft("RGB", (2 * size, 2 * size))
        return as_square(upright_rgb(image), size, fit)


def in_threads(work: Callable[[int], Any], count: int, n_jobs: int | None, title: str) -> Iterator[Any]:
    """``work(0), ..., work(count - 1)`` in order, a chunk at a time, so that memory stays bounded.

    A thread a core where ``n_jobs`` is None: Pillow decodes without the GIL.
    """
    with ThreadPoolExecutor(n_jobs or joblib.cpu_count()) as pool:
        chunks = (range(a, min(a + _CHUNK, count)) for a in range(0, count, _CHUNK))
        yield from progress((one for chunk in chunks for one in pool.map(work, chunk)), title, count)


def squares(
    dataset: Dataset, read: Callable[[int], np.ndarray], n_jobs: int | None, skipped: list[str] | None
) -> Iterator[np.ndarray]:
    """``read(i)`` of every image; the name of one that cannot be decoded goes to ``skipped``, if given."""

    def attempt(i: int) -> np.ndarray | DataError:
        try:
            return read(i)
        except DataError as error:
            return error

    for i, found in enumerate(in_threads(attempt, dataset.n_images, n_jobs, f"decoding {dataset.name}")):
        if not isinstance(found, DataError):
            yield found
        elif skipped is None:
            how = f"imtext data pack {dataset.name} ... --skip-corrupt"
            raise DataError(f"{found}, or leave out what cannot be decoded: {how}")
        else:
            skipped.append(dataset.image_files[i])


def without(dataset: Dataset, skipped: Sequence[str]) -> Dataset:
    """``dataset`` without the image files ``skipped``, renumbered, with a note; itself where there are none.

    Raises:
        DataError: nothing would be left.
    """
    if not skipped:
        return dataset
    bad = set(skipped)
    kept = [i for i, file in enumerate(dataset.image_files) if file not in bad]
    if not kept:
        raise DataError(f"{dataset.image_root}: none of the {dataset.n_images} images can be decoded")
    note = f"{len(skipped)} images cannot be decoded ({first(skipped)}): dropped with their captions"
    return replace(dataset.take(kept), notes=(*dataset.notes, note))


def stamps(dataset: Dataset) -> bytes:
    """Names, lengths and times of the image files, to notice new ones. Raises DataError for a missing one."""
    lines = []
    for i, file in enumerate(dataset.image_files):
        path = dataset.image_path(i)
        with readable(path):
            about = path.stat()
        lines.append(f"{file}\0{about.st_size} {about.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
    return b"".join(lines)
