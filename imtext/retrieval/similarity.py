"""Rows of embeddings, their cosines, and single queries, in blocks of bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from imtext.errors import ConfigError, DataError
from imtext.progress import progress
from imtext.threads import torch_threads

Part = TypeVar("Part")
Result = TypeVar("Result")

TIE = 1e-12
"""Two float64 cosines closer than this are equal: the difference is rounding."""

_NUMBERS = 1 << 18  # numbers turned into float64 at a time
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Rows:
    """Embeddings of one side: checked ``values (n, D)`` and ``inverse_norm (n,)`` in float64, 0 for zeros."""

    name: str
    values: torch.Tensor
    inverse_norm: torch.Tensor

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.values)

    def unit(self, part: slice, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The rows of ``part``, each divided by its norm, rounded to ``dtype``."""
        work = torch.promote_types(self.values.dtype, dtype)
        return (self.values[part].to(work) * self.inverse_norm[part, None].to(work)).to(dtype)

    def take(self, index: slice | torch.Tensor) -> Rows:
        """The rows named by ``index``, in its order."""
        return Rows(self.name, self.values[index], self.inverse_norm[index])


def as_rows(values: Any, name: str, device: torch.device | str | None = None) -> Rows:
    """Check embeddings (n, D) and compute their norms.

    ``values`` is a NumPy array, a tensor or nested lists, of half, single or double precision or of integers.
    A row of zeros has no direction; its cosine with everything is taken as 0.

    Raises `DataError` for another shape or type, an empty array, NaN or infinity.

    >>> as_rows([[3.0, 4.0], [0.0, 0.0]], "images").inverse_norm.tolist()
    [0.2, 0.0]
    """
    tensor = _as_tensor(values, name)
    if device is not None:
        tensor = tensor.to(device)
    if tensor.ndim != 2 or 0 in tensor.shape:
        shape = tuple(tensor.shape)
        raise DataError(f"{name}: expected a non-empty matrix (rows, dimensions), found shape {shape}")
    norms = _norms(tensor)
    # Squares overflow or vanish long before the numbers do: such rows are scaled first.
    suspects = torch.nonzero(~(norms < 1e30) | (norms < 1e-30)).flatten()
    largest = tensor[suspects].double().abs().amax(1)
    if not torch.isfinite(largest).all():
        row = int(suspects[~torch.isfinite(largest)][0])
        raise DataError(f"{name}: row {row} holds NaN or infinity; embeddings must be finite numbers")
    if bool((largest > 0).any()):
        tensor = tensor.double() if tensor.dtype != torch.float64 else tensor.clone()
        tensor[suspects] = tensor[suspects] / torch.where(largest > 0, largest, 1.0)[:, None]
        norms = _norms(tensor)
    return Rows(name, tensor, torch.where(norms > 0, 1.0 / norms, 0.0))


def _norms(tensor: torch.Tensor) -> torch.Tensor:
    """Euclidean norms (n,) in float64, without a float64 copy of everything."""

    def squares(part: torch.Tensor) -> torch.Tensor:
        wide = part.double()
        return torch.linalg.vecdot(wide, wide)

    return torch.cat(each(squares, tensor.split(_step(tensor)), tensor.device)).sqrt_()


def _step(tensor: torch.Tensor) -> int:
    """Rows whose float64 copy stays in the processor's cache."""
    return 1 << 16 if tensor.is_cuda else max(1, _NUMBERS // tensor.shape[1])


def _as_tensor(values: Any, name: str) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        tensor = values.detach()
        kind = str(tensor.dtype)
        if tensor.dtype in _FLOATS:
            return tensor
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise DataError(f"{name}: expected real numbers, found {kind}")
        return tensor.double()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected a matrix with rows of one length ({error})") from None
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name}: expected real numbers, found the type {array.dtype}")
    if array.dtype.kind in "iu" or array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    with warnings.catch_warnings():  # a read-only memory map is fine: nothing here writes to it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def as_pair(
    a: Any, b: Any, names: tuple[str, str], device: torch.device | str | None = None
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
    array = to_numpy(image_of_caption)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"image_of_caption: expected whole numbers of shape ({n_captions},), "
            f"found {array.dtype} of shape {array.shape}"
        )
    if len(array) != n_captions:
        raise DataError(
            f"image_of_caption has {len(array)} entries for {n_captions} captions; give one for each"
        )
    wrong = np.flatnonzero((array < 0) | (array >= n_images))
    if len(wrong):
        raise DataError(
            f"image_of_caption: caption {wrong[0]} points to image {array[wrong[0]]}, "
            f"but images are numbered 0 to {n_images - 1}"
        )
    return torch.from_numpy(array.astype(np.int64))


def exact_cosines(a: Rows, b: Rows, index_a: torch.Tensor, index_b: torch.Tensor) -> torch.Tensor:
    """Cosines (P,) of the pairs ``a[index_a[p]], b[index_b[p]]`` in float64.

    Each pair is one dot product of its own, so equal rows give equal cosines wherever they stand.
    """

    def cosines(part: slice) -> torch.Tensor:
        left, right = index_a[part], index_b[part]
        dots = torch.linalg.vecdot(a.values[left].double(), b.values[right].double())
        return dots * a.inverse_norm[left] * b.inverse_norm[right]

    parts = list(slices(len(index_a), _step(a.values)))
    return torch.cat(each(cosines, parts, a.values.device)) if parts else a.inverse_norm[:0]


def each(
    work: Callable[[Part], Result], parts: Sequence[Part], device: torch.device, desc: str = ""
) -> list[Result]:
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


def to_numpy(values: Any) -> np.ndarray:
    """A NumPy view of an array, a tensor or nested lists."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)


def slices(length: int, step: int) -> Iterator[slice]:
    """Consecutive slices of ``length`` things.

    >>> list(slices(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def block_shape(n_images: int, dimensions: int, device: torch.device, block: int | None) -> tuple[int, int]:
    """Captions and images in one block of scores: small enough for the cache, large enough for the product.

    Raises `ConfigError` for a ``block`` that is not a positive whole number.
    """
    if block is not None:
        if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 1:
            raise ConfigError(f"block: expected a positive whole number of rows, found {block!r}")
        return int(block), int(block)
    if device.type != "cpu":
        return 8192, min(16384, max(1024, (1 << 30) // (4 * dimensions)))
    n_images = min(n_images, 8192, max(256, (1 << 26) // (4 * dimensions)))
    return max(64, min(4096, (5 << 19) // max(n_images, 1))), n_images


def top_k(
    queries: Any, gallery: Any, k: int, device: torch.device | str | None = None, block: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` gallery rows nearest to every query by cosine, best first, ties by gallery index.

    ``queries (Q, D)``, ``gallery (G, D)`` → scores (Q, k) float64 and indices (Q, k) int64;
    ``k`` is cut at G. Memory: a block of queries × the gallery, never all Q × G scores.

    Raises `DataError` for unfit arrays, `ConfigError` for a ``k`` or ``block`` below 1.

    >>> scores, indices = top_k([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0], [1.0, 0.0]], k=2)
    >>> indices.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 1.0]])
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ConfigError(f"k: expected a positive whole number, found {k!r}")
    query_rows, gallery_rows = as_pair(queries, gallery, ("queries", "gallery"), device)
    size, dimensions = gallery_rows.values.shape
    rows, columns = block_shape(size, dimensions, gallery_rows.values.device, block)
    k = min(int(k), size)
    rows = max(1, min(rows, (1 << 25) // max(k, columns)))
    scores = np.empty((len(query_rows), k))
    indices = np.empty((len(query_rows), k), dtype=np.int64)
    for part in slices(len(query_rows), rows):
        scores[part], indices[part] = _top_of_block(query_rows.take(part), gallery_rows, k, columns)
    return scores, indices


def _top_of_block(queries: Rows, gallery: Rows, k: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Top k of a few queries: keep what may still win after each block, then rank it by exact cosines."""
    unit = queries.unit(slice(None), torch.float64)
    best = unit.new_full((len(queries), k), -2.0)
    candidates: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for part in slices(len(gallery), columns):
        scores = unit @ gallery.unit(part, torch.float64).T
        best = torch.cat([best, scores], 1).topk(k, dim=1).values
        row, column = torch.nonzero(scores >= best[:, -1:] - 2 * TIE, as_tuple=True)
        candidates.append((row, column + part.start, scores[row, column]))
    row, column, score = (torch.cat(parts) for parts in zip(*candidates, strict=True))
    keep = score >= best[row, -1] - 2 * TIE
    row, column = row[keep], column[keep]
    score = exact_cosines(queries, gallery, row, column)
    row_, column_, score_ = row.cpu().numpy(), column.cpu().numpy(), score.cpu().numpy()
    order = np.lexsort((column_, -np.round(score_, 12), row_))
    first = np.searchsorted(row_[order], np.arange(len(queries)))
    chosen = order[first[:, None] + np.arange(k)]
    return score_[chosen], column_[chosen]
