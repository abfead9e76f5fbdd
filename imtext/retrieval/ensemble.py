"""Several models as one: by their similarities, or by their features.

Fu et al. (section IV.D.3) combine the features of four models in the common space, and average the similarity
matrices of two SCANs. For unit features the two are one: the cosine of concatenated unit vectors is the mean
of the cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from imtext.check import one_of
from imtext.errors import ConfigError, DataError
from imtext.retrieval.similarity import as_pair, as_scores, slices

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
    one_of("scale", scale, ("none", "zscore"))
    matrices = [as_scores(matrix, f"scores[{model}]") for model, matrix in enumerate(scores)]
    shares = _shares(weights, [matrix.shape for matrix in matrices])
    wide = any(matrix.dtype not in (np.float16, np.float32) for matrix in matrices)
    result = np.empty(matrices[0].shape, dtype=np.float64 if wide else np.float32)
    moments = [
        (0.0, 1.0) if scale == "none" else (x.mean(dtype=np.float64), x.std(dtype=np.float64) or 1.0)
        for x in matrices
    ]
    for part in slices(len(result), max(1, _NUMBERS // result.shape[1])):
        total = np.zeros((part.stop - part.start, result.shape[1]))
        for matrix, share, (mean, deviation) in zip(matrices, shares, moments, strict=True):
            total += share * (matrix[part].astype(np.float64) - mean) / deviation
        result[part] = total
    return result


def concatenated(
    models: Sequence[tuple[Any, Any]], weights: Sequence[float] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several models side by side: images (N, sum of D) and captions (M, sum of D), as tensors.

    ``models``: pairs ``(images (N, D), captions (M, D))``, each with a D of its own. Each model's rows are
    divided by their norm and multiplied by the root of its weight, so a cosine of the result is the weighted
    mean of the models' cosines; the result is for whatever takes embeddings, such as `evaluate`, `rerank` or
    a search index. Only where a model gives a row of zeros, the row is shorter, and its cosines are means
    over the other models. The device is that of the first model. float64 if an embedding is, else float32.

    Raises `DataError` for no models, unfit embeddings, or numbers of rows that differ; `ConfigError` for
    weights.

    >>> images, captions = concatenated([([[3.0, 0.0]], [[0.0, 2.0]]), ([[5.0]], [[7.0]])])
    >>> round(float(images[0] @ captions[0]), 6)
    0.5
    """
    pairs = [
        as_pair(*pair, (f"images of models[{model}]", f"captions of models[{model}]"))
        for model, pair in enumerate(models)
    ]
    shares = _shares(weights, [(len(images), len(captions)) for images, captions in pairs])
    joined = []
    for rows in zip(*pairs, strict=True):
        wide = any(one.values.dtype == torch.float64 for one in rows)
        units = [one.unit(dtype=torch.float64 if wide else torch.float32) for one in rows]
        scaled = [unit * float(np.sqrt(share)) for unit, share in zip(units, shares, strict=True)]
        joined.append(torch.cat([part.to(units[0].device) for part in scaled], 1))
    return joined[0], joined[1]


def _shares(weights: Sequence[float] | None, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """One share per model; they add up to one. All models must have scored the same items."""
    if not shapes:
        raise DataError("expected at least one model, found none")
    for model, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise DataError(
                f"model {model} has {shape} images and captions, model 0 has {shapes[0]}; all models must "
                "score the same items in the same order"
            )
    try:
        shares = np.array([1.0] * len(shapes) if weights is None else weights, dtype=np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if shares.shape != (len(shapes),) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise ConfigError(
            f"weights: expected {len(shapes)} numbers, one for each model, none negative, not all zero, "
            f"found {weights!r}"
        )
    return shares / shares.sum()
