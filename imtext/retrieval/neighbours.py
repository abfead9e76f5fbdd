"""The nearest neighbours of all nodes of one side among those of a side, from blocks of bounded memory.

A block holds similarities of images and images, captions and captions, or one and the other: cosines, which
are taken in float32 and settled in float64 where they are too near to tell, or ready scores, taken as they
are. `imtext.retrieval.reciprocal` makes one graph of such blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from imtext.errors import DataError
from imtext.retrieval.similarity import Rows, each, exact_cosines, slices, to_numpy

_SPARE = 8  # neighbours taken beyond k, so that rounding and ties at the k-th place seldom matter
_SAFETY = 4.0  # the rounding error allowed for is this many times the largest one seen in the block
_MARGIN = 2.0**-20  # float32 scores this close are settled by float64 ones; widened where needed
_NUMBERS = 1 << 24  # numbers in one block of similarities
_PIECE = 1 << 18  # numbers turned into float64 at a time
_WHOLE = 1 << 25  # a product of no more numbers is taken at once: a symmetric one costs half
_EXACT_ROWS = 64  # rows that are sorted whole at a time
_FLAT = 1e-6  # a standard deviation below this share of the size of the numbers is rounding
_DECIMALS = 12  # float64 cosines that agree to here are equal: the rest is rounding


class Block(Protocol):
    """Similarities of all nodes of one side (rows) to all nodes of a side (columns), by the piece."""

    shape: tuple[int, int]
    device: torch.device
    is_exact: bool

    def rough(self, part: slice) -> torch.Tensor:
        """Some rows, in float32 or better; ``is_exact`` tells whether they are the final word."""

    def whole(self) -> torch.Tensor | None:
        """All rows as by ``rough``, where that is small and saves work; else None."""

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, in float64."""

    def pairs(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Single pairs (P,), in float64, with the same arithmetic wherever they stand."""


class Side:
    """The embeddings of one side, and their unit vectors in float32, kept once for all blocks."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    @cached_property
    def unit(self) -> torch.Tensor:
        """Unit rows (n, D) in float32."""
        return self.rows.unit(slice(None))


class Cosines:
    """Cosines of two sides. Equal to 12 decimals is equal, so results do not depend on how blocks are cut."""

    is_exact = False

    def __init__(self, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        self.shape = (len(left.rows), len(right.rows))
        self.device = left.rows.values.device

    def rough(self, part: slice) -> torch.Tensor:
        """Rows of the float32 product."""
        with torch.autocast(self.device.type, enabled=False):  # the caller may be inside one
            return self.left.unit[part] @ self.right.unit.T

    def whole(self) -> torch.Tensor | None:
        """The float32 product, if small: one serves both directions, and a symmetric one costs half."""
        if self.device.type != "cpu" or self.shape[0] * self.shape[1] > _WHOLE:
            return None
        return torch.from_numpy(self.left.unit.numpy() @ self.right.unit.numpy().T)  # sees the symmetry

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the float64 product, rounded to 12 decimals."""
        chosen = self.left.rows.take(torch.from_numpy(rows).to(self.device))
        with torch.autocast(self.device.type, enabled=False):
            unit = chosen.unit(slice(None), torch.float64)
            parts = slices(self.shape[1], 4096)
            product = [(unit @ self.right.rows.unit(part, torch.float64).T).cpu() for part in parts]
        whole = torch.cat(product, 1).numpy()
        return np.round(whole, _DECIMALS, out=whole)

    def pairs(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Cosines of single pairs, rounded to 12 decimals."""
        index = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (row, column))
        return np.round(exact_cosines(self.left.rows, self.right.rows, *index).cpu().numpy(), _DECIMALS)


class Given:
    """Ready scores (rows, columns), compared bit for bit as they are."""

    is_exact = True
    device = torch.device("cpu")

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape = matrix, matrix.shape

    def rough(self, part: slice) -> torch.Tensor:
        """Some rows in the type they have (integers and half precision: in one that holds them)."""
        kind = self.matrix.dtype if self.matrix.dtype.kind == "f" else np.dtype(np.float64)
        kind = kind if kind.itemsize in (4, 8) else np.promote_types(kind, np.float32)
        return torch.from_numpy(np.array(self.matrix[part], dtype=kind, order="C"))

    def whole(self) -> None:
        """Nothing: there is no work to save."""

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Some rows in float64."""
        return self.matrix[rows].astype(np.float64)

    def pairs(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Single scores in float64."""
        return self.matrix[row, column].astype(np.float64)


@dataclass(frozen=True)
class Nearest:
    """The ``k`` nearest columns of every row of a block, best first, ties by index, and sums over the block.

    ``index (n, k)`` and ``score (n, k)`` in float64; within one side a node is no neighbour of itself.
    ``mean``, ``deviation`` and ``low`` are over the whole block, again without a node and itself.
    """

    index: np.ndarray
    score: np.ndarray
    mean: float
    deviation: float
    low: float


def nearest(
    block: Block,
    k: int,
    within: bool,
    rows: int | None = None,
    whole: torch.Tensor | None = None,
    sums: bool = True,
) -> Nearest:
    """Neighbours in one block of similarities; ``within``: its rows and columns are the same nodes.

    ``rows`` is the number of rows held at a time; it changes no neighbour. ``whole``: the rough block,
    if it is at hand. ``sums=False`` leaves mean and deviation at 0 and 1.

    >>> found = nearest(Given(np.array([[9.0, 1.0, 3.0], [1.0, 9.0, 3.0], [3.0, 3.0, 9.0]])), 2, within=True)
    >>> found.index.tolist(), found.low
    ([[2, 1], [2, 0], [0, 1]], 1.0)
    """
    n, columns = block.shape
    rows = rows or max(1, min(1024, _NUMBERS // columns))

    def work(part: slice) -> tuple[np.ndarray, np.ndarray, float, float, float]:
        scores = block.rough(part) if whole is None else whole[part].contiguous()
        own = torch.arange(part.start, part.stop, device=scores.device) if within else None
        here = None if own is None else (own - part.start, own)
        if here:
            scores[here] = 0.0
        total, squares = _sums(scores) if sums else (0.0, 0.0)
        if here:
            scores[here] = torch.inf
        row = int(scores.amin(1).argmin())
        lowest = np.array([row + part.start]), np.array([int(scores[row].argmin())])
        low = float(block.pairs(*lowest)[0]) if columns > within else np.inf
        if here:
            scores[here] = -torch.inf
        return *_nearest_of(block, scores, part, k, within), total, squares, low

    found = each(work, list(slices(n, rows)), block.device, "nearest neighbours")
    index, score, totals, squares, lows = zip(*found, strict=True)
    if not sums:
        return Nearest(np.concatenate(index), np.concatenate(score), 0.0, 1.0, min(lows))
    pairs = max(1, n * (columns - within))
    mean = sum(totals) / pairs
    power = sum(squares) / pairs
    deviation = float(np.sqrt(max(0.0, power - mean * mean)))
    deviation = deviation if deviation > _FLAT * np.sqrt(power) else 0.0
    return Nearest(np.concatenate(index), np.concatenate(score), mean, deviation, min(lows))


def _sums(scores: torch.Tensor) -> tuple[float, float]:
    """The sum, and the sum of squares, in float64, by pieces that stay in the cache."""
    total, squares = 0.0, 0.0
    for piece in scores.split(max(1, _PIECE // scores.shape[1])):
        wide = piece.double().reshape(-1)
        total, squares = total + wide.sum(), squares + torch.dot(wide, wide)
    return float(total), float(squares)


def _nearest_of(
    block: Block, scores: torch.Tensor, part: slice, k: int, within: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of a few rows: a few more by the rough scores, in order by exact ones where it matters."""
    others = scores.shape[1] - within
    k, count = min(k, others), min(k + _SPARE, others)
    if not k:
        return np.empty((len(scores), 0), dtype=np.int64), np.empty((len(scores), 0))
    score, index = (x.cpu().numpy() for x in scores.topk(count, dim=1))
    last, score = score[:, -1].copy(), score.astype(np.float64)
    margin = _settle(block, score, index, part.start)
    order = np.lexsort((index, -score))
    index, score = (np.take_along_axis(x, order, 1)[:, :k] for x in (index, score))
    if count < others:  # something was left out: could it belong here?
        doubtful = np.flatnonzero(score[:, -1] <= last + margin)
        for some in slices(len(doubtful), _EXACT_ROWS):
            chosen = doubtful[some]
            whole = block.exact(chosen + part.start)
            if within:
                whole[np.arange(len(chosen)), chosen + part.start] = -np.inf
            index[chosen] = np.argsort(-whole, axis=1, kind="stable")[:, :k]
            score[chosen] = np.take_along_axis(whole, index[chosen], 1)
    return index, score


def _settle(block: Block, score: np.ndarray, index: np.ndarray, start: int) -> float:
    """Replace in place the scores too near to the next one to tell, by exact ones; gives the margin used.

    ``score (rows, count)``, best first. Every row's best is scored as well, so the error is always measured.
    """
    if block.is_exact:
        return 0.0
    margin, rough = _MARGIN, score.copy()
    while True:
        near = np.zeros(score.shape, dtype=bool)
        near[:, 1:] = rough[:, :-1] - rough[:, 1:] <= margin
        near[:, :-1] |= near[:, 1:]
        near[:, 0] = True
        row, place = np.nonzero(near)
        score[row, place] = block.pairs(row + start, index[row, place])
        error = float(np.abs(score[row, place] - rough[row, place]).max())
        if _SAFETY * error <= margin:
            return margin
        margin = 2 * _SAFETY * error


def as_scores(values: Any, name: str, size: int | None = None) -> np.ndarray:
    """A finite matrix of scores: of images × captions, or square with ``size`` rows.

    Raises `DataError` for another shape or type, NaN or infinity.

    >>> as_scores([[1, 2, 3]], "scores").shape
    (1, 3)
    """
    if isinstance(values, torch.Tensor) and values.dtype == torch.bfloat16:
        values = values.float()
    try:
        matrix = to_numpy(values)
    except ValueError:
        raise DataError(f"{name}: expected a matrix with rows of one length") from None
    expected = "(N images, M captions)" if size is None else f"({size}, {size})"
    fits = matrix.ndim == 2 and 0 not in matrix.shape and (size is None or matrix.shape == (size, size))
    if not fits or matrix.dtype.kind not in "fiu":
        raise DataError(
            f"{name}: expected numbers of shape {expected}, found {matrix.dtype} of shape {matrix.shape}"
        )
    for part in slices(len(matrix), max(1, (1 << 24) // matrix.shape[1])):
        wrong = np.flatnonzero(~np.isfinite(matrix[part]).all(1))
        if len(wrong):
            row = part.start + wrong[0]
            raise DataError(f"{name}: row {row} holds NaN or infinity; scores must be finite numbers")
    return matrix


def centred(matrix: np.ndarray) -> np.ndarray:
    """Scores less the means of their row and of their column, in float32 or better.

    >>> centred(np.array([[3.0, 1.0], [0.0, 0.0]])).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    wide = matrix.astype(
        np.promote_types(matrix.dtype, np.float32) if matrix.dtype.kind == "f" else np.float64
    )
    wide = wide - wide.mean(0, dtype=np.float64).astype(wide.dtype)
    return wide - wide.mean(1, keepdims=True, dtype=np.float64).astype(wide.dtype)
