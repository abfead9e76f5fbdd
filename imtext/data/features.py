"""Image features that come with a dataset, read row by row; and checked index arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imtext.errors import DataError

_HASHED_ROWS = 64  # of each part, spread evenly: enough to notice other features of the same images


def index_array(
    values: object, what: str, length: int | None = None, below: int | None = None
) -> np.ndarray:
    """A read-only int64 copy of ``values``; of the expected length and range, where given."""
    array = np.asarray(values)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise DataError(
            f"{what}: expected a one-dimensional integer array, "
            f"found shape {array.shape} of {array.dtype}; pass one integer per entry"
        )
    if length is not None and len(array) != length:
        raise DataError(f"{what}: expected {length} entries, found {len(array)}; the lengths must agree")
    if below is not None and len(array) and (array.min() < 0 or array.max() >= below):
        wrong = int(array.min()) if array.min() < 0 else int(array.max())
        raise DataError(f"{what}: expected indices 0 to {below - 1}, found {wrong}; correct the index")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Precomputed features of N images, read row by row from memory maps; nothing is copied by a selection.

    Attributes:
        parts: one array a file, ``(n, D)`` vectors or ``(n, R, D)`` regions, all of one form.
        rows: ``(N,)`` int64, row of each image in the parts laid end to end.

    Raises:
        DataError: a row is out of range.

    >>> two = ImageFeatures((np.zeros((3, 4), np.float32), np.ones((2, 4), np.float32)), np.array([4, 0]))
    >>> two.shape, two[[0]].tolist()
    ((2, 4), [[1.0, 1.0, 1.0, 1.0]])
    >>> two.take([1])[[0]].tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """

    parts: tuple[np.ndarray, ...]
    rows: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        total = sum(len(part) for part in self.parts)
        rows = index_array(self.rows, "features: rows", below=total)
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, D)`` or ``(N, R, D)``."""
        return (len(self.rows), *self.parts[0].shape[1:])

    def __getitem__(self, images: Sequence[int] | np.ndarray) -> np.ndarray:
        """Features of the images ``(n,)`` as float32 ``(n, D)`` or ``(n, R, D)``, a copy in memory."""
        # Checked, since a mask or a negative number would otherwise read other images.
        rows = self.rows[index_array(images, "features: images", below=len(self))]
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        which = np.searchsorted(starts, rows, side="right") - 1
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.float32)
        for k in np.unique(which):
            chosen = np.flatnonzero(which == k)
            chosen = chosen[np.argsort(rows[chosen], kind="stable")]  # a disk is read in one direction
            out[chosen] = self.parts[k][rows[chosen] - starts[k]]
        return out

    def take(self, images: Sequence[int] | np.ndarray) -> ImageFeatures:
        """The features of some images, in the order given."""
        return ImageFeatures(self.parts, self.rows[index_array(images, "features: images", below=len(self))])

    def fingerprint(self) -> str:
        """32 hex digits over shapes, types, the choice of rows, and the numbers of 64 rows of each part.

        >>> ones = ImageFeatures((np.ones((3, 4), np.float32),), np.arange(3))
        >>> ones.fingerprint() == ones.take([0, 1, 2]).fingerprint() != ones.take([1, 0, 2]).fingerprint()
        True
        """
        digest = hashlib.sha256(self.rows.astype("<i8").tobytes())
        for part in self.parts:
            digest.update(f"{part.shape} {part.dtype.str};".encode())
            sample = np.unique(np.linspace(0, len(part) - 1, min(_HASHED_ROWS, len(part)), dtype=np.int64))
            digest.update(np.ascontiguousarray(part[sample]).tobytes())
        return digest.hexdigest()[:32]
