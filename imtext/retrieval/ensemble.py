"""Several models as one: by their similarities, or by their features.

Fu et al. (section IV.D.3) combine the features of four models in the common space, and average the similarity
matrices of two SCANs. For unit features the two are one: the cosine of concatenated unit vectors is the mean
of the cosines. Averaging the features themselves makes sense only for models that share one space, such as
checkpoints of one training run; the axes of models trained apart mean different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from imtext.errors import ConfigError, DataError
from imtext.retrieval.neighbours import as_scores
from imtext.retrieval.similarity import Rows, as_pair, slices, to_numpy

Pair = tuple[Any, Any]
_NUMBERS = 1 << 22  # numbers in one block


def mean_scores(
    scores: Sequence[Any], weights: Sequence[float] | None = None, scale: str = "none"
) -> np.ndarray:
    """The weighted mean of similarity matrices (N, M) of several models, for `evaluate_scores`.

    ``scores``: arrays or tensors of one shape, images × captions; memory maps are read by blocks.
    ``weights``: one per model, none negative (default: equal); they are divided by their sum.
    ``scale="zscore"`` first takes from each matrix its mean and divides by its standard deviation, for models
    whose scores differ in size; "none" takes them as they are. float64 if a matrix is, else float32.

    Raises `DataError` for no matrices, unfit ones, or shapes that differ; `ConfigError` for parameters.

    >>> mean_scores([[[1.0, 0.0]], [[0.0, 0.5]]], weights=[3, 1]).tolist()
    [[0.75, 0.125]]
    """
    if scale not in ("none", "zscore"):
        raise ConfigError(f"scale: expected none or zscore, found {scale!r}")
    matrices = [as_scores(matrix, f"scores[{model}]") for model, matrix in enumerate(scores)]
    shares = _shares(weights, len(matrices), "matrices of scores")
    for model, matrix in enumerate(matrices):
        if matrix.shape != matrices[0].shape:
            raise DataError(
                f"scores[{model}] has shape {matrix.shape}, scores[0] has {matrices[0].shape}; all models "
                "must score the same items in the same order"
            )
    wide = any(matrix.dtype.kind != "f" or matrix.dtype.itemsize > 4 for matrix in matrices)
    result = np.empty(matrices[0].shape, dtype=np.float64 if wide else np.float32)
    moments = [(0.0, 1.0) if scale == "none" else _moments(matrix) for matrix in matrices]
    for part in _parts(result.shape):
        total = np.zeros((part.stop - part.start, result.shape[1]))
        for matrix, share, (mean, deviation) in zip(matrices, shares, moments, strict=True):
            total += share * (matrix[part].astype(np.float64) - mean) / deviation
        result[part] = total
    return result


def mean_cosines(
    models: Sequence[Pair], weights: Sequence[float] | None = None, device: torch.device | str | None = None
) -> np.ndarray:
    """The weighted mean (N, M) of the cosines of several models, without a matrix of each.

    ``models``: pairs ``(images (N, D), captions (M, D))``, each with a D of its own. Every model has its
    say, also where it gives a row of zeros (cosine 0). float64 if an embedding is, else float32.

    Raises `DataError` for no models, unfit embeddings, or numbers of rows that differ; `ConfigError` for
    weights.

    >>> mean_cosines([([[1.0, 0.0]], [[2.0, 0.0]]), ([[3.0]], [[-1.0]])], weights=[3, 1]).tolist()
    [[0.5]]
    """
    sides = _models(models, device)
    shares = _shares(weights, len(sides), "models")
    wide = any(rows.values.dtype == torch.float64 for pair in sides for rows in pair)
    result = np.empty(tuple(len(rows) for rows in sides[0]), dtype=np.float64 if wide else np.float32)
    for part in _parts(result.shape):
        total = np.zeros((part.stop - part.start, result.shape[1]))
        for (images, captions), share in zip(sides, shares, strict=True):
            left = images.unit(part, torch.float64)
            for columns in slices(len(captions), 4096):
                product = left @ captions.unit(columns, torch.float64).T
                total[:, columns] += share * product.cpu().numpy()
        result[part] = np.round(total, 12)  # equal pairs score the same, wherever they stand
    return result


def concatenated(models: Sequence[Pair], weights: Sequence[float] | None = None) -> tuple[Any, Any]:
    """Features of several models side by side: images (N, sum of D) and captions (M, sum of D), as tensors.

    Each model's rows are divided by their norm and multiplied by the root of its weight, so a cosine of the
    result is the weighted mean of the models' cosines (`mean_cosines`); the result is for whatever takes
    embeddings, such as `evaluate`, `rerank` or a search index. Only where a model gives a row of zeros, the
    row is shorter, and its cosines are means over the other models. The device is that of the first model.

    Raises as `mean_cosines` does.

    >>> images, captions = concatenated([([[3.0, 0.0]], [[0.0, 2.0]]), ([[5.0]], [[7.0]])])
    >>> round(float(images[0] @ captions[0]), 6)
    0.5
    """
    sides = _models(models)
    shares = _shares(weights, len(sides), "models")

    def joined(side: int) -> torch.Tensor:
        rows = [pair[side] for pair in sides]
        place, kind = rows[0].values.device, _kind(rows)
        parts = zip(rows, shares, strict=True)
        return torch.cat(
            [(part.unit(slice(None), kind) * float(np.sqrt(w))).to(place) for part, w in parts], 1
        )

    return joined(0), joined(1)


def averaged(models: Sequence[Pair], weights: Sequence[float] | None = None) -> tuple[Any, Any]:
    """The weighted means of the unit features of several models: images (N, D) and captions (M, D).

    For models that share one space only (see the module); all must have the same D. Rows are not normalised
    afterwards; `evaluate` does that.

    Raises as `mean_cosines` does, and `DataError` where the numbers of dimensions differ.

    >>> averaged([([[2.0, 0.0]], [[0.0, 1.0]]), ([[0.0, 5.0]], [[0.0, 3.0]])])[0].tolist()
    [[0.5, 0.5]]
    """
    sides = _models(models)
    shares = _shares(weights, len(sides), "models")
    sizes = [pair[0].values.shape[1] for pair in sides]
    if len(set(sizes)) > 1:
        raise DataError(
            f"models have {', '.join(map(str, sizes))} dimensions; averaging needs one size, "
            "concatenate them or average their similarities"
        )

    def mean(side: int) -> torch.Tensor:
        rows = [pair[side] for pair in sides]
        place, kind = rows[0].values.device, _kind(rows)
        parts = zip(rows, shares, strict=True)
        return sum((part.unit(slice(None), kind) * float(w)).to(place) for part, w in parts)

    return mean(0), mean(1)


def _models(models: Sequence[Pair], device: torch.device | str | None = None) -> list[tuple[Rows, Rows]]:
    """The embeddings of every model, checked; all must have the same numbers of images and of captions."""
    sides = []
    for model, pair in enumerate(models):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DataError(
                f"models[{model}]: expected a pair (images, captions), found {type(pair).__name__}"
            )
        sides.append(as_pair(*pair, (f"images of models[{model}]", f"captions of models[{model}]"), device))
        for rows, first in zip(sides[-1], sides[0], strict=True):
            if len(rows) != len(first):
                raise DataError(
                    f"{rows.name}: {len(rows)} rows, but the {first.name} are {len(first)}; all models must "
                    "embed the same images and captions in the same order"
                )
    return sides


def _kind(rows: list[Rows]) -> torch.dtype:
    wide = any(part.values.dtype == torch.float64 for part in rows)
    return torch.float64 if wide else torch.float32


def _moments(matrix: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over the whole matrix, by blocks."""
    first, total, squares = float(matrix[0, 0]), 0.0, 0.0  # less the first score: large offsets cancel here
    for part in _parts(matrix.shape):
        block = matrix[part].astype(np.float64) - first
        total, squares = total + block.sum(), squares + np.square(block).sum()
    mean = total / matrix.size
    return first + mean, float(np.sqrt(max(0.0, squares / matrix.size - mean * mean))) or 1.0


def _parts(shape: tuple[int, int]) -> list[slice]:
    return list(slices(shape[0], max(1, _NUMBERS // shape[1])))


def _shares(weights: Sequence[float] | None, count: int, things: str) -> np.ndarray:
    """One share per model; they add up to one."""
    if not count:
        raise DataError(f"{things}: expected at least one, found none")
    if weights is None:
        return np.full(count, 1.0 / count)
    try:
        shares = np.asarray(to_numpy(weights), dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"weights: expected {count} numbers, found {weights!r}") from None
    if (
        shares.shape != (count,)
        or not np.isfinite(shares).all()
        or (shares < 0).any()
        or not shares.sum() > 0
    ):
        raise ConfigError(
            f"weights: expected {count} numbers, one for each of the {things}, none negative, not all "
            f"zero, found {weights!r}"
        )
    return shares / shares.sum()
