"""Is one model better than another, or were the queries kind to it? Bootstraps over queries and clusters."""

from __future__ import annotations

from collections.abc import Iterator
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

    ``clusters (Q,)``: queries that belong together and are drawn together, such as the captions of one
    image; evaluations are always drawn by image, each with its captions. With several seeds, concatenate the
    ranks and give the query index as ``clusters``.

    ``p`` is twice the share of resamples on the far side of zero, at least 2 / (n + 1) and at most 1.

    Raises `DataError` for arrays that do not match, `ConfigError` for ``k`` or ``n`` out of range.

    >>> result = paired_bootstrap([1, 1, 1, 9], [1, 2, 3, 9])
    >>> result.difference, result.low, result.high, round(result.p, 2)
    (50.0, 0.0, 100.0, 0.13)
    """
    _check_n(n)
    if k != "rsum" and (isinstance(k, (bool, str)) or not isinstance(k, (int, np.integer)) or k < 1):
        raise ConfigError(f"k: expected a positive whole number or 'rsum', found {k!r}")
    cutoffs = RECALLS if k == "rsum" else (int(k),)
    parts = [_gains(a, b, owner, cutoffs) for a, b, owner in _pairs(ranks_a, ranks_b, clusters)]
    n_clusters = len(parts[0][0])

    def metric(pick: Any) -> np.ndarray:
        return 100 * sum(gain[pick].sum(-1) / size[pick].sum(-1) for gain, size in parts)

    resampled = np.concatenate([metric(pick) for pick in _draws(n_clusters, n, seed)])
    low, high = np.percentile(resampled, [2.5, 97.5])
    tail = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (tail + 1) / (n + 1))
    return Bootstrap(float(metric(slice(None))), float(low), float(high), float(p))


def cluster_bootstrap(values: Any, clusters: Any, n: int = 2000, seed: int = 0) -> np.ndarray:
    """Means (n,) float64 of ``values (Q,)``, such as hits or errors per query, when whole clusters are drawn.

    ``clusters (Q,)``: queries that belong together, such as the captions of one image or one person; as many
    clusters as there are are drawn with replacement, and the mean is over all queries drawn. The same
    clusters, ``n`` and ``seed`` draw the same queries, so samples of two models can be subtracted.

    Raises `DataError` for arrays that do not match or values that are not finite numbers, `ConfigError` for
    ``n`` out of range.

    >>> samples = cluster_bootstrap([1.0, 0.0, 0.0], [4, 4, 9], n=500)
    >>> sorted(set(samples.tolist()))
    [0.0, 0.3333333333333333, 0.5]
    """
    _check_n(n)
    array, groups = to_numpy(values), to_numpy(clusters)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "biuf":
        raise DataError(f"values: expected numbers (Q,), found {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(f"values: expected finite numbers, found {array[place]} at query {place}")
    if groups.shape != array.shape:
        raise DataError(
            f"clusters: expected one for each of the {len(array)} values, found shape {groups.shape}"
        )
    owner = np.unique(groups, return_inverse=True)[1].reshape(-1)
    total, size = np.bincount(owner, weights=array), np.bincount(owner)
    draws = _draws(len(size), n, seed)
    return np.concatenate([total[pick].sum(1) / size[pick].sum(1) for pick in draws])


def _check_n(n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ConfigError(f"n: expected a positive number of resamples, found {n!r}")


def _draws(n_clusters: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """``n`` draws of clusters with replacement, some (m, C) at a time."""
    generator = np.random.default_rng(seed)
    for part in slices(n, max(1, _DRAWS // n_clusters)):
        yield generator.integers(0, n_clusters, (part.stop - part.start, n_clusters))


def _pairs(ranks_a: Any, ranks_b: Any, clusters: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per direction: ranks of a, ranks of b, and the cluster of each query."""
    if isinstance(ranks_a, Evaluation) and isinstance(ranks_b, Evaluation):
        owners = ranks_a.image_of_caption
        if clusters is not None:
            raise ConfigError("clusters: evaluations are drawn by image already; leave it out")
        if len(ranks_a.image_query_ranks) != len(ranks_b.image_query_ranks) or not np.array_equal(
            owners, ranks_b.image_of_caption
        ):
            raise DataError("ranks_a and ranks_b evaluate different images or captions; compare one dataset")
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
