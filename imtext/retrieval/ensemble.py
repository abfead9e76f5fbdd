"""Several models as one, by their similarities.

Fu et al. (section IV.D.3) combine the features of four models in the common space, and average the similarity
matrices of two SCANs. For unit features the two are one: the cosine of concatenated unit vectors is the mean
of the cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imtext.check import one_of
from imtext.errors import ConfigError, DataError
from imtext.retrieval.similarity import as_scores


def mean_scores(
    scores: Sequence[Any], weights: Sequence[float] | None = None, scale: str = "none"
) -> np.ndarray:
    """The weighted mean of similarity matrices (N, M) of several models, for `evaluate_scores`.

    ``scores``: arrays or tensors of one shape, images × captions.
    ``weights``: one per model, none negative (default: equal); they are divided by their sum.
    ``scale="zscore"`` first takes from each matrix its mean and divides by its standard deviation, for models
    whose scores differ in size; "none" takes them as they are. float64 if a matrix is, else float32.

    Raises `DataError` for no matrices, unfit ones, or shapes that differ; `ConfigError` for parameters.

    >>> mean_scores([[[1.0, 0.0]], [[0.0, 0.5]]], weights=[3, 1]).tolist()
    [[0.75, 0.125]]
    """
    one_of("scale", scale, ("none", "zscore"))
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
        wide = matrix.astype(np.float64)
        if scale == "zscore":
            wide = (wide - wide.mean()) / (wide.std() or 1.0)
        total += share * wide
    single = all(matrix.dtype in (np.float16, np.float32) for matrix in matrices)
    return total.astype(np.float32) if single else total
