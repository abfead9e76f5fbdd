"""Means and covariances over matching pairs of two views, in bounded memory, each row stored once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from imtext.errors import ConfigError, DataError
from imtext.retrieval.similarity import as_owners, slices, to_numpy

_NUMBERS = 1 << 23  # float64 numbers in a block of rows: 64 MB


def as_pairs(owners: Any = None, pairs: Any = None, counts: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Matching pairs (P, 2) int64 of ``counts`` images and captions, from either way to say it.

    >>> as_pairs(owners=[0, 0, 1], counts=(2, 3)).tolist()
    [[0, 0], [0, 1], [1, 2]]
    """
    if (owners is None) == (pairs is None):
        raise ConfigError("CCA: expected image_of_caption or pairs, found both or neither; give one of them")
    if pairs is None:
        images = as_owners(owners, *counts).numpy()
        found = np.stack([images, np.arange(counts[1])], axis=1)
    else:
        try:
            found = to_numpy(pairs)
        except ValueError:  # lists of several lengths
            found = np.empty((0, 0), object)
        if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu":
            raise DataError(
                f"pairs: expected whole numbers of shape (P, 2), found {found.dtype} of shape {found.shape}"
            )
        for side, (name, count) in enumerate(zip(("image", "caption"), counts, strict=True)):
            wrong = np.flatnonzero((found[:, side] < 0) | (found[:, side] >= count))
            if len(wrong):
                raise DataError(
                    f"pairs: pair {wrong[0]} names {name} {found[wrong[0], side]}, "
                    f"but they are numbered 0 to {count - 1}; correct the pair"
                )
    if len(found) < 2:
        raise DataError(f"CCA: expected at least two matching pairs, found {len(found)}; add data")
    return found.astype(np.int64)


class View:
    """The features of one side, read as float64 a block of rows at a time, of length 1 where asked."""

    def __init__(self, rows: Any, what: str, unit_rows: bool) -> None:
        self.what, self.unit_rows, self.sparse = what, unit_rows, sparse.issparse(rows)
        if not self.sparse:
            try:
                rows = to_numpy(rows)
            except ValueError:  # lists of several lengths
                rows = np.empty((0, 0), object)
        if len(rows.shape) != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
            raise DataError(
                f"{what}: expected numbers of shape (rows, columns), found {rows.dtype} of shape {rows.shape}"
            )
        if self.sparse:
            rows = sparse.csr_array(rows).astype(np.float64)
            scale = self._scale(np.asarray(rows.multiply(rows).sum(axis=1)).ravel(), 0)
            rows = sparse.csr_array(sparse.diags_array(scale) @ rows)
        self.rows, self.width = rows, rows.shape[1]

    def __len__(self) -> int:
        return self.rows.shape[0]

    def _scale(self, squares: np.ndarray, first: int) -> np.ndarray:
        """What to multiply each row by, from its squared length."""
        wrong = np.flatnonzero(~np.isfinite(squares))
        if len(wrong):
            raise DataError(
                f"{self.what}: row {first + wrong[0]} holds NaN, infinity or numbers beyond 1e154; repair it"
            )
        lengths = np.sqrt(squares) if self.unit_rows else np.ones(len(squares))
        return np.divide(1.0, lengths, out=np.zeros(len(lengths)), where=lengths > 0)

    def parts(self, more: int = 0) -> Iterator[slice]:
        """Blocks of rows of bounded size, ``more`` numbers of work space a row."""
        return slices(len(self), max(64, _NUMBERS // (self.width + more)))

    def block(self, part: slice | np.ndarray) -> np.ndarray:
        """Some rows, dense, a copy."""
        if self.sparse:
            return self.rows[part].toarray()
        rows = self.rows[part].astype(np.float64)
        first = part.start if isinstance(part, slice) else 0
        rows *= self._scale(np.einsum("ij,ij->i", rows, rows), first)[:, None]
        return rows

    def times(self, matrix: np.ndarray) -> np.ndarray:
        """rows @ matrix."""
        if self.sparse:
            return self.rows @ matrix
        return np.concatenate([self.block(part) @ matrix for part in self.parts()])

    def mean(self, weights: np.ndarray) -> np.ndarray:
        if self.sparse:
            return weights @ self.rows
        return sum(weights[part] @ self.block(part) for part in self.parts())

    def covariance(self, weights: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Weighted covariance (D, D); of sparse rows without making them dense."""
        if self.sparse:
            scaled = sparse.csr_array(sparse.diags_array(np.sqrt(weights)) @ self.rows)
            total = (scaled.T @ scaled).toarray() - np.outer(mean, mean)
        else:
            total = np.zeros((self.width, self.width))
            for part in self.parts():
                rows = (self.block(part) - mean) * np.sqrt(weights[part])[:, None]
                total += rows.T @ rows
        rounding = 1e-13 if self.sparse else 1e-24
        if not total.trace() > rounding * (mean @ mean):
            raise DataError(f"{self.what}: all rows are equal, CCA needs them to differ; check the features")
        return total

    def mix(self, shares: sparse.csr_array, mean: np.ndarray) -> np.ndarray:
        """shares @ (rows - mean), of the few rows that ``shares (n, rows)`` names."""
        if self.sparse:
            return (shares @ self.rows).toarray() - np.outer(shares.sum(axis=1), mean)
        used = np.unique(shares.indices)
        return shares[:, used] @ (self.block(used) - mean)


@dataclass(frozen=True)
class Moments:
    """Means and covariances over all matching pairs: what every eta of a grid shares."""

    image_mean: np.ndarray
    caption_mean: np.ndarray
    image_covariance: np.ndarray
    caption_covariance: np.ndarray
    cross: np.ndarray
    rows: tuple[int, int]

    @classmethod
    def of(cls, images: View, captions: View, pairs: np.ndarray) -> Moments:
        views = (images, captions)
        counts = [np.bincount(pairs[:, side], minlength=len(view)) for side, view in enumerate(views)]
        means = [view.mean(n / len(pairs)) for view, n in zip(views, counts, strict=True)]
        spread = [v.covariance(n / len(pairs), m) for v, n, m in zip(views, counts, means, strict=True)]
        ones = np.full(len(pairs), 1 / len(pairs))
        shares = sparse.csr_array((ones, tuple(pairs.T)), shape=(len(images), len(captions)))
        cross = np.zeros((images.width, captions.width))
        # An image's captions are added up before the product, which then has N rows, not M.
        for part in images.parts(captions.width * max(1, round(len(pairs) / len(images)))):
            cross += (images.block(part) - means[0]).T @ captions.mix(shares[part], means[1])
        return cls(*means, *spread, cross, tuple(int(np.count_nonzero(n)) for n in counts))
