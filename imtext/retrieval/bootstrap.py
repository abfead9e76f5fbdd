"""Is one model better than another, or were the queries kind to it? A paired bootstrap over queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.retrieval.evaluate import RECALLS, Evaluation
from imtext.retrieval.similarity import slices, to_numpy

_DRAWS = 1 << 22  # resampled clusters held at a time


@dataclass(frozen=True)
class Bootstrap:
    """``difference`` of a minus b in points, its 95 % interval ``low`` to ``high``, and two-sided ``p``."""

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    ranks_a: Any, ranks_b: Any, k: int | str = 1, n: int = 2000, seed: int = 0, clusters: Any = None
) -> Bootstrap:
    """Resample the queries and see how the difference of two models moves; positive means that a is better.

    ``ranks_a``, ``ranks_b``: 1-based ranks (Q,) of the same queries under two models, or two `Evaluation` of
    one dataset. ``k``: recall@k in per cent, or ``"rsum"``: the recalls at 1, 5 and 10 added. For evaluations
    both directions are added. ``n`` resamples, reproducible by ``seed``.

    ``clusters (Q,)``: queries that belong together and are drawn together, such as the sentences of one
    image; evaluations are always drawn by image, each with its sentences. With several seeds, concatenate the
    ranks and give the query index as ``clusters``.

    ``p`` is twice the share of resamples on the far side of zero, at least 2 / (n + 1) and at most 1.

    Raises `DataError` for arrays that do not match, `ConfigError` for ``k`` or ``n`` out of range.

    >>> result = paired_bootstrap([1, 1, 1, 9], [1, 2, 3, 9])
    >>> result.difference, result.low, result.high, round(result.p, 2)
    (50.0, 0.0, 100.0, 0.13)
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ConfigError(f"n: expected a positive number of resamples, found {n!r}")
    if k != "rsum" and (isinstance(k, (bool, str)) or not isinstance(k, (int, np.integer)) or k < 1):
        raise ConfigError(f"k: expected a positive whole number or 'rsum', found {k!r}")
    cutoffs = RECALLS if k == "rsum" else (int(k),)
    parts = [_gains(a, b, owner, cutoffs) for a, b, owner in _pairs(ranks_a, ranks_b, clusters)]
    n_clusters = len(parts[0][0])

    def metric(pick: Any) -> np.ndarray:
        return 100 * sum(gain[pick].sum(-1) / size[pick].sum(-1) for gain, size in parts)

    generator = np.random.default_rng(seed)
    sizes = [part.stop - part.start for part in slices(n, max(1, _DRAWS // n_clusters))]
    resampled = np.concatenate([metric(generator.integers(0, n_clusters, (m, n_clusters))) for m in sizes])
    low, high = np.percentile(resampled, [2.5, 97.5])
    tail = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (tail + 1) / (n + 1))
    return Bootstrap(float(metric(slice(None))), float(low), float(high), float(p))


def _pairs(ranks_a: Any, ranks_b: Any, clusters: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per direction: ranks of a, ranks of b, and the cluster of each query."""
    if isinstance(ranks_a, Evaluation) and isinstance(ranks_b, Evaluation):
        owners = ranks_a.image_of_sentence
        if clusters is not None:
            raise ConfigError("clusters: evaluations are drawn by image already; leave it out")
        if len(ranks_a.image_query_ranks) != len(ranks_b.image_query_ranks) or not np.array_equal(
            owners, ranks_b.image_of_sentence
        ):
            raise DataError("ranks_a and ranks_b evaluate different images or sentences; compare one dataset")
        images = np.arange(len(ranks_a.image_query_ranks))
        return [
            (ranks_a.image_query_ranks, ranks_b.image_query_ranks, images),
            (ranks_a.text_query_ranks, ranks_b.text_query_ranks, owners),
        ]
    a, b = _checked(ranks_a, "ranks_a"), _checked(ranks_b, "ranks_b")
    groups = np.arange(len(a)) if clusters is None else np.asarray(clusters)
    if len(a) != len(b) or groups.shape != a.shape:
        raise DataError(
            f"ranks_a has {len(a)} queries, ranks_b has {len(b)}, clusters has {len(groups)}; they must agree"
        )
    return [(a, b, np.unique(groups, return_inverse=True)[1].reshape(-1))]


def _checked(ranks: Any, name: str) -> np.ndarray:
    array = to_numpy(ranks)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iuf" or not (array >= 1).all():
        raise DataError(f"{name}: expected ranks from 1, shape (Q,), found {array.dtype} of {array.shape}")
    return array


def _gains(
    a: np.ndarray, b: np.ndarray, owner: np.ndarray, cutoffs: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Per cluster: hits of a minus hits of b, and the number of queries."""
    hits = sum((a <= cut).astype(np.int64) - (b <= cut) for cut in cutoffs)
    return np.bincount(owner, weights=hits), np.bincount(owner).astype(np.float64)
