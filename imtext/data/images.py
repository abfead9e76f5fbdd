"""Photographs decoded once: a memory-mapped uint8 array beside which no epoch reads a JPEG again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from imtext.check import one_of, whole
from imtext.data import Dataset
from imtext.data.dataset import index_array
from imtext.data.decoding import FITS, as_square, decode_file, open_image, readable, upright_rgb
from imtext.data.pack import opened, pack_of, source_fingerprint, write_pack
from imtext.errors import DataError


def decode(path: str | os.PathLike[str], size: int, fit: str = "cover") -> np.ndarray:
    """One photograph as uint8 ``(3, size, size)``, anti-aliased.

    ``fit="cover"`` brings the short side to ``size`` and crops the centre; ``fit="squash"`` resizes the whole
    picture, whatever its shape: a person photographed head to foot keeps both (CUHK-PEDES is given at
    256 × 256 in the Instance Loss paper). A smaller picture is enlarged, bicubic. The path of a picture in a
    pack (:func:`imtext.data.pack.write_pack`) works too.

    Raises:
        DataError: the file is missing or Pillow cannot read it.
        ConfigError: another ``fit``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "red.png")
    >>> Image.new("RGB", (40, 20), "red").save(path)
    >>> decode(path, 8)[:, 0, 0]
    array([255,   0,   0], dtype=uint8)
    """
    one_of("fit", fit, FITS)
    packed = _packed(Path(path))
    return decode_file(Path(path), size, fit) if packed is None else as_square(packed, size, fit)


def open_picture(dataset: Dataset, i: int) -> Image.Image:
    """Image ``i`` as an upright RGB picture of Pillow: the whole file, or the square that a pack holds.

    Raises:
        DataError: the file is missing or Pillow cannot read it, or the pack holds features only.
    """
    return read_picture(dataset.image_path(i))


def read_picture(path: str | os.PathLike[str]) -> Image.Image:
    """A picture by its path, as ``Dataset.image_path`` gives it, also where that leads into a pack.

    Raises:
        DataError: as for :func:`open_picture`.
    """
    packed = _packed(Path(path))
    if packed is not None:
        return packed
    with readable(Path(path)), open_image(path) as image:
        return upright_rgb(image)


def _packed(path: Path) -> Image.Image | None:
    """The picture where ``path`` leads into a pack (``photos.safetensors/a.jpg``)."""
    if os.path.isfile(path):
        return None
    for parent in path.parents:
        if os.path.isfile(parent):
            pack = opened(parent)
            return pack.picture(pack.rows_of([path.relative_to(parent).as_posix()], "image_files")[0])
    return None


@dataclass(frozen=True, eq=False)
class ImageStore:
    """All images of a dataset as uint8 at one size, memory-mapped, in the order of the dataset.

    Attributes:
        pixels: ``(P, 3, size, size)`` uint8, read-only memory map; P = N but where ``rows`` is given.
        size: side in pixels.
        fingerprint: 32 hex digits over the dataset's fingerprint, the size, the fit, and the files' lengths
            and times; for a pack over the checksums of its pixels, wherever the pack lies.
        fit: ``"cover"`` or ``"squash"``, see :func:`decode`.
        rows: ``(N,)`` int64, where the images lie in ``pixels``; None where image ``i`` is row ``i``.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (40, 20), "red").save(root / "a.png")
    >>> one = Dataset("one", root, ("a.png",), ("a",), ("a red field",), np.array([0]), np.array(["train"]),
    ...               np.array([0]))
    >>> store = ImageStore.open(one, size=8, cache_dir=root / "cache")
    >>> store.batch([0]).shape
    torch.Size([1, 3, 8, 8])
    """

    pixels: np.ndarray
    size: int
    fingerprint: str
    fit: str = "cover"
    rows: np.ndarray | None = None

    @classmethod
    def open(
        cls,
        dataset: Dataset,
        size: int,
        cache_dir: str | os.PathLike[str],
        fit: str = "cover",
        n_jobs: int | None = None,
    ) -> ImageStore:
        """Open the store of ``dataset``, decoding the images first if that has not been done.

        The store is a pack (:func:`imtext.data.pack.write_pack`) in the cache folder, written under another
        name and renamed when complete, behind a lock: two processes may open it at once, and a process killed
        half-way leaves nothing that is mistaken for a store. It is known by the lengths and times of the
        image files, so new files make a new store.

        A dataset read from a pack has the pixels of the pack, at its size without a copy. Another size is
        resized from them, so twice in all, and stored.

        Args:
            dataset: whose images.
            size: side in pixels, at least 1.
            cache_dir: folder for the store; made if absent.
            fit: ``"cover"`` crops the centre, ``"squash"`` keeps the whole picture (see :func:`decode`).
            n_jobs: decoding threads; default: the cores of this process.

        Raises:
            DataError: an image is missing, or cannot be decoded, or the disk is full; a pack holds features
                or another fit.
            ConfigError: a parameter is out of range.
        """
        size, fit = whole("size", size), one_of("fit", fit, FITS)
        pack, fingerprint = pack_of(dataset), source_fingerprint(dataset, size, fit)
        if pack is not None:
            pack.pictures(fit)
        if pack is None or pack.size != size:
            path = Path(cache_dir).expanduser() / f"images-{size}-{fit}-{fingerprint}.safetensors"
            try:
                pack = opened(path)
            except DataError:  # absent or damaged
                pack = opened(write_pack(dataset, path, size, fit, n_jobs=n_jobs))
        rows = pack.rows_of(dataset.image_ids)
        # Neighbouring rows in their order need no index.
        if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return cls(pack.main[rows[0] : rows[0] + len(rows)], size, fingerprint, fit)
        return cls(pack.main, size, fingerprint, fit, rows)

    def __len__(self) -> int:
        return len(self.pixels if self.rows is None else self.rows)

    def batch(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """Images ``indices (B,)`` as a torch uint8 tensor ``(B, 3, size, size)``, a copy in memory."""
        chosen = index_array(indices, "images of the store", below=len(self))
        if self.rows is not None:
            chosen = self.rows[chosen]
        return torch.from_numpy(np.asarray(self.pixels[chosen]))
