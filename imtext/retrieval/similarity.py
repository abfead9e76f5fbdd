"""Embeddings and their cosines, or ready scores: in blocks of bounded memory, and in one exact order.

Every measure of this room orders a gallery alike: by score, the highest first, and by index where scores are
equal. Cosines are taken in float32, which is fast, and once more in float64 where float32 cannot tell; of
those, the ones that agree to 12 decimals are equal. Ready scores are compared bit for bit as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from imtext.check import whole
from imtext.errors import ConfigError, DataError
from imtext.progress import progress
from imtext.threads import torch_threads

TIE = 1e-12
"""Two float64 cosines closer than this are equal: the difference is rounding."""

_MARGIN = 2.0**-20  # float32 scores this close are settled by float64 ones; widened where needed
_SAFETY = 4.0  # the rounding error allowed for is at least this many times the largest one seen
_PROBES = 256  # rows and columns whose scores are taken twice just to see the error
_DECIMALS = 12
_SHORTEST = 1e-30  # a row shorter than this has no direction
_PIECE = 1 << 18  # numbers turned into float64 at a time: they stay in the cache
_NUMBERS = 1 << 24  # scores in one block of rows
_WHOLE = 1 << 25  # a product of no more numbers may be kept
_SPARE = 8  # neighbours taken beyond k, so that rounding and ties at the k-th place seldom matter
_EXACT_ROWS = 64  # rows that are sorted whole at a time
_FLAT = 1e-6  # a standard deviation below this share of the size of the numbers is rounding


@dataclass(frozen=True)
class Rows:
    """Embeddings of one side: checked ``values (n, D)`` and ``inverse_norm (n,)`` in float64, 0 for zeros."""

    values: torch.Tensor
    inverse_norm: torch.Tensor

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.values)

    def unit(self, part: slice = slice(None), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The rows of ``part``, each divided by its norm, rounded to ``dtype``."""
        work = torch.promote_types(self.values.dtype, dtype)
        return (self.values[part].to(work) * self.inverse_norm[part, None].to(work)).to(dtype)

    @cached_property
    def units(self) -> torch.Tensor:
        """All unit rows (n, D) in float32, made once."""
        return self.unit()

    def take(self, index: slice | np.ndarray) -> Rows:
        """The rows named by ``index``, in its order."""
        return Rows(self.values[index], self.inverse_norm[index])


def as_rows(values: Any, name: str, device: torch.device | str | None = None) -> Rows:
    """Check embeddings (n, D) and compute their norms.

    ``values`` is a NumPy array, a tensor or nested lists, of half, single or double precision or of integers.
    A row of zeros has no direction; its cosine with everything is taken as 0. So is that of a row shorter
    than 1e-30.

    Raises `DataError` for another shape or type, an empty array, NaN, infinity or numbers near it.

    >>> as_rows([[3.0, 4.0], [0.0, 0.0]], "images").inverse_norm.tolist()
    [0.2, 0.0]
    """
    tensor = values.detach() if isinstance(values, torch.Tensor) else _from_numpy(values, name)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise DataError(f"{name}: expected real numbers, found {tensor.dtype}")
    if tensor.ndim != 2 or 0 in tensor.shape:
        shape = tuple(tensor.shape)
        raise DataError(f"{name}: expected a non-empty matrix (rows, dimensions), found shape {shape}")
    tensor = tensor.to(device, tensor.dtype if tensor.is_floating_point() else torch.float64)

    def lengths(part: torch.Tensor) -> torch.Tensor:
        wide = part.double()
        return torch.linalg.vecdot(wide, wide).sqrt_()

    norms = torch.cat(each(lengths, tensor.split(_step(tensor)), tensor.device))
    if not torch.isfinite(norms).all():
        row = int(torch.nonzero(~torch.isfinite(norms))[0])
        raise DataError(f"{name}: row {row} holds NaN or infinity; embeddings must be finite numbers")
    return Rows(tensor, torch.where(norms > _SHORTEST, 1.0 / norms, 0.0))


def _from_numpy(values: Any, name: str) -> torch.Tensor:
    array = to_numpy(values, name)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected real numbers, found {array.dtype}")
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    with warnings.catch_warnings():  # a read-only memory map is fine: nothing here writes to it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _step(tensor: torch.Tensor) -> int:
    """Rows whose float64 copy stays in the processor's cache."""
    return 1 << 16 if tensor.is_cuda else max(1, _PIECE // tensor.shape[1])


def as_pair(
    a: Any, b: Any, names: tuple[str, str] = ("images", "captions"), device: torch.device | str | None = None
) -> tuple[Rows, Rows]:
    """Check two sides that will be compared; they end on one device, a GPU if either lies there."""
    if device is None:
        device = next((x.device for x in (a, b) if isinstance(x, torch.Tensor) and x.is_cuda), None)
    first, second = as_rows(a, names[0], device), as_rows(b, names[1], device)
    if first.values.shape[1] != second.values.shape[1]:
        raise DataError(
            f"{names[0]} have {first.values.shape[1]} dimensions, {names[1]} have {second.values.shape[1]}; "
            "both must lie in one space"
        )
    return first, second


def as_owners(image_of_caption: Any, n_images: int, n_captions: int) -> torch.Tensor:
    """Check the image index of every caption (M,) and return it as int64 on the CPU.

    Raises `DataError` for a wrong length, numbers that are not whole, or an index outside 0…N-1.
    """
    array = as_labels(image_of_caption, "image_of_caption", n_captions, "caption")
    wrong = np.flatnonzero((array < 0) | (array >= n_images))
    if len(wrong):
        raise DataError(
            f"image_of_caption: caption {wrong[0]} points to image {array[wrong[0]]}, "
            f"but images are numbered 0 to {n_images - 1}"
        )
    return torch.from_numpy(array)


def as_labels(values: Any, name: str, count: int, item: str) -> np.ndarray:
    """Whole numbers (n,), one for each item, as int64. Raises `DataError` for anything else.

    >>> as_labels([7, -1, 7], "group_of_image", 3, "image")
    array([ 7, -1,  7])
    """
    array = to_numpy(values, name)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{name}: expected whole numbers of shape ({count},), one for each {item}, "
            f"found {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64)


def as_scores(values: Any, name: str = "scores", size: int | None = None) -> np.ndarray:
    """A finite matrix of scores: of images × captions, or square with ``size`` rows.

    Raises `DataError` for another shape or type, NaN or infinity.

    >>> as_scores([[1, 2, 3]]).shape
    (1, 3)
    """
    matrix = to_numpy(values, name)
    expected = "(N images, M captions)" if size is None else f"({size}, {size})"
    fits = matrix.ndim == 2 and 0 not in matrix.shape and (size is None or matrix.shape == (size, size))
    if not fits or matrix.dtype.kind not in "fiu":
        raise DataError(
            f"{name}: expected numbers of shape {expected}, found {matrix.dtype} of shape {matrix.shape}"
        )
    wrong = np.flatnonzero(~np.isfinite(matrix).all(1))
    if len(wrong):
        raise DataError(f"{name}: row {wrong[0]} holds NaN or infinity; scores must be finite numbers")
    return matrix


def to_numpy(values: Any, name: str = "array") -> np.ndarray:
    """A NumPy view of an array, a tensor or nested lists. Raises `DataError` for lists of several lengths."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected a matrix with rows of one length ({error})") from None


def slices(length: int, step: int) -> Iterator[slice]:
    """Consecutive slices of ``length`` things.

    >>> list(slices(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def each(work: Callable[[Any], Any], parts: Sequence[Any], device: torch.device, desc: str = "") -> list[Any]:
    """The results of ``work`` on every part, on the CPU with one thread per part instead of many for each.

    Short operations that split themselves over threads wait for one another at the end of each; on a busy
    machine that costs more than the work. Called from within itself, it runs one part after another.

    >>> each(lambda part: part * 2, [1, 2, 3], torch.device("cpu"))
    [2, 4, 6]
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or len(parts) == 1:
        return list(progress(map(work, parts), desc, len(parts)) if desc else map(work, parts))
    with torch_threads(1), ThreadPoolExecutor(min(threads, len(parts))) as pool:
        results = pool.map(work, parts)
        return list(progress(results, desc, len(parts)) if desc else results)


def block_shape(n_images: int, dimensions: int, device: torch.device, block: int | None) -> tuple[int, int]:
    """Captions and images in one block of scores: small enough for the cache, large enough for the product.

    Raises `ConfigError` for a ``block`` that is not a positive whole number.
    """
    if block is not None:
        return whole("block", block), whole("block", block)
    if device.type != "cpu":
        return 8192, min(16384, max(1024, (1 << 30) // (4 * dimensions)))
    n_images = min(n_images, 8192, max(256, (1 << 26) // (4 * dimensions)))
    return max(64, min(4096, (5 << 19) // max(n_images, 1))), n_images


class Cosines:
    """The cosines of two sides, ``left (n, D)`` and ``right (m, D)``, by blocks.

    ``kept (n, m)``: all of them, where they are there already: those of one small side with itself cost half.
    """

    tie = TIE

    def __init__(self, left: Rows, right: Rows) -> None:
        self.left, self.right = left, right
        self.shape, self.device = (len(left), len(right)), left.values.device
        self.kind = np.float64 if torch.float64 in (left.values.dtype, right.values.dtype) else np.float32
        self.kept: torch.Tensor | None = None
        units = left.units, right.units  # made here, before threads ask for them
        if left is right and self.device.type == "cpu" and len(left) ** 2 <= _WHOLE:
            self.kept = torch.from_numpy(units[0].numpy() @ units[1].numpy().T)  # NumPy sees the symmetry

    def rough(self, rows: slice, columns: slice = slice(None)) -> torch.Tensor:
        """A block of its own in float32."""
        if self.kept is not None:
            return self.kept[rows, columns].float().clone(memory_format=torch.contiguous_format)
        with torch.autocast(self.device.type, enabled=False):  # the caller may be inside one
            return torch.mm(self.left.units[rows], self.right.units[columns].T)

    def exact(self, rows: slice | np.ndarray, columns: slice = slice(None)) -> torch.Tensor:
        """A block in float64."""
        left, right = self.left.take(rows).unit(dtype=torch.float64), self.right.take(columns)
        with torch.autocast(self.device.type, enabled=False):
            parts = [left @ right.unit(part, torch.float64).T for part in slices(len(right), 4096)]
        return torch.cat(parts, 1)

    def pairs(self, row: Any, column: Any) -> torch.Tensor:
        """Single cosines (P,) in float64.

        Each is one dot product of its own, so equal rows give equal cosines wherever they stand.
        """

        def cosines(part: slice) -> torch.Tensor:
            left, right = self.left.take(row[part]), self.right.take(column[part])
            dots = torch.linalg.vecdot(left.values.double(), right.values.double())
            return dots * left.inverse_norm * right.inverse_norm

        parts = list(slices(len(row), _step(self.left.values)))
        return torch.cat(each(cosines, parts, self.device)) if parts else self.left.inverse_norm[:0]


class Given:
    """Ready scores ``matrix (n, m)``, compared bit for bit as they are; a memory map is read by blocks."""

    tie = 0.0
    device = torch.device("cpu")

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape = matrix, matrix.shape
        self.kind = np.float32 if matrix.dtype in (np.float16, np.float32) else np.float64

    def rough(self, rows: slice, columns: slice = slice(None)) -> torch.Tensor:
        """A block of its own in a type of float that holds every score."""
        return torch.from_numpy(np.array(self.matrix[rows, columns], dtype=self.kind, order="C"))

    def exact(self, rows: slice | np.ndarray, columns: slice = slice(None)) -> torch.Tensor:
        """A block in float64."""
        return torch.from_numpy(np.array(self.matrix[rows, columns], dtype=np.float64))

    pairs = exact  # NumPy reads single scores (P,) by two indices alike


Scores = Cosines | Given


def settled(scores: Scores, values: torch.Tensor) -> np.ndarray:
    """Exact values of ``scores``; of cosines 12 decimals, since the rest is rounding."""
    found = values.cpu().numpy()
    return np.round(found, _DECIMALS, out=found) if scores.tie else found


def margin_of(scores: Scores) -> float:
    """How near two rough scores may lie and still be contested: well above the largest error of some."""
    rows, columns = (slice(None, None, max(1, size // _PROBES)) for size in scores.shape)
    error = float((scores.rough(rows, columns) - scores.exact(rows, columns)).abs().max())
    if not scores.tie:
        return 0.0
    return _MARGIN if _SAFETY * error <= _MARGIN else 2 * _SAFETY * error


def order(scores: Any) -> np.ndarray:
    """Places of the best to the worst along the last axis of a ready block of scores, ties by index.

    >>> order([[0.1, 0.9, 0.9]]).tolist()
    [[1, 2, 0]]
    """
    return np.argsort(-np.asarray(scores, dtype=np.float64), axis=-1, kind="stable")


def mean_scores(scores: Sequence[Any], weights: Sequence[float] | None = None) -> np.ndarray:
    """The weighted mean of similarity matrices (N, M) of several models, for `evaluate_scores`.

    Fu et al. (section IV.D.3) combine the features of four models in the common space, and average the
    similarity matrices of two SCANs. For unit features the two are one: the cosine of concatenated unit
    vectors is the mean of the cosines.

    ``scores``: arrays or tensors of one shape, images × captions.
    ``weights``: one per model, none negative (default: equal); they are divided by their sum.
    The mean is float64 if a matrix is, else float32.

    Raises `DataError` for no matrices, unfit ones, or shapes that differ; `ConfigError` for unfit weights.

    >>> mean_scores([[[1.0, 0.0]], [[0.0, 0.5]]], weights=[3, 1]).tolist()
    [[0.75, 0.125]]
    """
    matrices = [as_scores(matrix, f"scores[{model}]") for model, matrix in enumerate(scores)]
    if len({matrix.shape for matrix in matrices}) != 1:
        found = ", ".join(str(matrix.shape) for matrix in matrices) or "none"
        raise DataError(f"scores: expected matrices of one shape, of the same items, found {found}")
    shares = np.ones(len(matrices)) if weights is None else np.array(weights, dtype=np.float64)
    if shares.shape != (len(matrices),) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        expected = f"{len(matrices)} numbers of 0 or more, not all 0"
        raise ConfigError(f"weights: expected {expected}, found {weights!r}")
    total = np.zeros(matrices[0].shape)
    for matrix, share in zip(matrices, shares / shares.sum(), strict=True):
        total += share * matrix.astype(np.float64)
    single = all(matrix.dtype in (np.float16, np.float32) for matrix in matrices)
    return total.astype(np.float32) if single else total


def top_k(queries: Any, gallery: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` gallery rows nearest to every query by cosine, best first, ties by gallery index.

    ``queries (Q, D)``, ``gallery (G, D)`` → scores (Q, k) float64 and indices (Q, k) int64;
    ``k`` is cut at G. Memory: a block of queries × the gallery, never all Q × G scores.

    Raises `DataError` for unfit arrays, `ConfigError` for a ``k`` below 1.

    >>> scores, indices = top_k([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0], [1.0, 0.0]], k=2)
    >>> indices.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 1.0]])
    """
    scores = Cosines(*as_pair(queries, gallery, ("queries", "gallery")))
    index = nearest(scores, whole("k", k), sums=False).index
    query = np.repeat(np.arange(len(index)), index.shape[1])
    return scores.pairs(query, index.ravel()).cpu().numpy().reshape(index.shape), index


@dataclass(frozen=True)
class Nearest:
    """The ``k`` nearest columns of every row of a block, best first, ties by index, and sums over the block.

    ``index (n, k)`` and ``score (n, k)`` in float64; within one side a node is no neighbour of itself.
    ``mean``, ``deviation`` and ``low`` are over the whole block, again without a node and itself.
    """

    index: np.ndarray
    score: np.ndarray
    mean: float = 0.0
    deviation: float = 0.0
    low: float = np.inf


def nearest(scores: Scores, k: int, within: bool = False, sums: bool = True) -> Nearest:
    """The neighbours of every row; ``within``: rows and columns are the same nodes.

    ``sums=False`` leaves the mean and the deviation at 0: a pass over all scores is saved.

    >>> found = nearest(Given(np.array([[9.0, 1.0, 3.0], [1.0, 9.0, 3.0], [3.0, 3.0, 9.0]])), 2, within=True)
    >>> found.index.tolist(), found.low
    ([[2, 1], [2, 0], [0, 1]], 1.0)
    """
    n, columns = scores.shape
    k, margin = min(k, columns - within), margin_of(scores)

    def work(part: slice) -> tuple[np.ndarray, np.ndarray, float, float, float]:
        rough = scores.rough(part)
        own = torch.arange(part.start, part.stop, device=rough.device) if within else torch.empty(0).long()
        here = own - part.start, own
        rough[here] = 0.0
        total, squares = _sums(rough) if sums else (0.0, 0.0)
        rough[here] = torch.inf
        row = int(rough.amin(1).argmin())
        lowest = np.array([row + part.start]), np.array([int(rough[row].argmin())])
        low = float(settled(scores, scores.pairs(*lowest))[0])
        rough[here] = -torch.inf
        return *_nearest_of(scores, rough, part, k, margin), total, squares, low

    parts = list(slices(n, max(1, min(1024, _NUMBERS // columns))))
    index, score, totals, squares, lows = zip(*each(work, parts, scores.device, "neighbours"), strict=True)
    pairs = max(1, n * (columns - within))
    mean, power = sum(totals) / pairs, sum(squares) / pairs
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
    scores: Scores, rough: torch.Tensor, part: slice, k: int, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of a few rows: a few more by the rough scores, in order by exact ones where it matters."""
    count = min(k + _SPARE, rough.shape[1])
    score, index = (x.cpu().numpy() for x in rough.topk(count, dim=1))
    last, score = score[:, -1].copy(), score.astype(np.float64)
    near = np.zeros(score.shape, dtype=bool)
    near[:, 1:] = score[:, :-1] - score[:, 1:] <= margin
    near[:, :-1] |= near[:, 1:]
    near[:, 0] |= score[:, 0] >= score[:, 0].max() - margin  # the best of all ends the scale of distances
    row, place = np.nonzero(near)
    score[row, place] = settled(scores, scores.pairs(row + part.start, index[row, place]))
    best = np.lexsort((index, -score))
    index, score = (np.take_along_axis(x, best, 1)[:, :k] for x in (index, score))
    if count == rough.shape[1]:
        return index, score
    doubtful = np.flatnonzero(score[:, -1] <= last + margin)  # something left out could belong here
    for some in slices(len(doubtful), _EXACT_ROWS):
        chosen = doubtful[some]
        block = settled(scores, scores.exact(chosen + part.start))
        block[np.isneginf(rough[chosen].cpu().numpy())] = -np.inf
        index[chosen] = order(block)[:, :k]
        score[chosen] = np.take_along_axis(block, index[chosen], 1)
    return index, score
