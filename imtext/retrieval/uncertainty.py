"""How sure is a number? Bootstraps over queries and clusters, rank correlations, and the order of models."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
from scipy import stats

from imtext.check import whole
from imtext.errors import DataError
from imtext.retrieval.similarity import slices, to_numpy

_DRAWS = 1 << 22  # resampled clusters held at a time


def cluster_bootstrap(values: Any, clusters: Any, n: int = 2000, seed: int = 0) -> np.ndarray:
    """Means (n,) float64 of ``values (Q,)``, such as hits or errors per query, when whole clusters are drawn.

    ``clusters (Q,)``: queries that belong together, such as the captions of one image or one person; as many
    clusters as there are are drawn with replacement, and the mean is over all queries drawn. The same
    clusters, ``n`` and ``seed`` draw the same queries, so samples of two models can be subtracted; or give
    the differences of two models, such as of hits ``ranks <= 1``. With several seeds, concatenate the values
    and give the index of the query as cluster.

    Raises `DataError` for arrays that do not match or values that are not finite numbers, `ConfigError` for
    ``n`` out of range.

    >>> samples = cluster_bootstrap([1.0, 0.0, 0.0], [4, 4, 9], n=500)
    >>> sorted(set(samples.tolist()))
    [0.0, 0.3333333333333333, 0.5]
    """
    array = _numbers(values, "values")
    owner = _numbered(clusters, len(array))
    total, size = np.bincount(owner, weights=array), np.bincount(owner)
    return np.concatenate([total[pick].sum(1) / size[pick].sum(1) for pick in _draws(len(size), n, seed)])


def _numbers(values: Any, name: str) -> np.ndarray:
    """Finite numbers (Q,) float64, at least one."""
    array = to_numpy(values)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers (Q,), found {array.dtype} of shape {array.shape}")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise DataError(f"{name}: expected finite numbers, found {array[wrong[0]]} at place {wrong[0]}")
    return array.astype(np.float64)


def _numbered(clusters: Any, length: int) -> np.ndarray:
    """The clusters (Q,) numbered from 0."""
    groups = to_numpy(clusters)
    if groups.shape != (length,):
        raise DataError(f"clusters: expected one for each of the {length} values, found shape {groups.shape}")
    return np.unique(groups, return_inverse=True)[1]


def _draws(n_clusters: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """``n`` draws of clusters with replacement, some (m, C) at a time."""
    generator = np.random.default_rng(seed)
    for part in slices(whole("n", n), max(1, _DRAWS // n_clusters)):
        yield generator.integers(0, n_clusters, (part.stop - part.start, n_clusters))


@dataclass(frozen=True)
class Correlation:
    """Rank correlations of P pairs, each with its 95 % interval when other clusters are drawn.

    NaN where one side is constant: nothing is ordered then.
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    kendall: float
    kendall_low: float
    kendall_high: float
    pairs: int


def rank_correlation(
    similarity: Any, human: Any, clusters: Any = None, n: int = 500, seed: int = 0
) -> Correlation:
    """Spearman's rho and Kendall's tau-b between a model's similarities and people's scores of pairs.

    ``similarity (P,)``, ``human (P,)``: one number per pair, ties allowed. ``clusters (P,)``: pairs that are
    drawn together in the bootstrap, such as those of one image; default: each pair alone. ``n`` resamples,
    reproducible by ``seed``.

    Raises `DataError` for lengths that differ, less than two pairs, NaN or infinity, `ConfigError` for ``n``.

    >>> result = rank_correlation([0.1, 0.4, 0.2, 0.9], [1, 3, 2, 4])
    >>> result.spearman, result.kendall, result.pairs
    (1.0, 1.0, 4)
    """
    x, y = _numbers(similarity, "similarity"), _numbers(human, "human")
    if len(x) != len(y) or len(x) < 2:
        raise DataError(f"similarity has {len(x)} pairs, human has {len(y)}; expected as many, at least two")
    cluster = np.arange(len(x)) if clusters is None else _numbered(clusters, len(x))
    members = np.split(np.argsort(cluster, kind="stable"), np.cumsum(np.bincount(cluster))[:-1])
    # Ranks keep every order and every tie, and whole numbers are sorted faster.
    x, y = (np.unique(side, return_inverse=True)[1] for side in (x, y))
    drawn = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is constant
        for draw in chain.from_iterable(_draws(len(members), n, seed)):
            pick = np.concatenate([members[place] for place in draw])
            drawn.append(_correlations(x[pick], y[pick]))
        spearman, kendall = _correlations(x, y)
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0).tolist()
    return Correlation(spearman, low[0], high[0], kendall, low[1], high[1], len(x))


def _correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b; NaN for a constant side."""
    return float(stats.spearmanr(x, y).statistic), float(stats.kendalltau(x, y).statistic)


@dataclass(frozen=True)
class Swap:
    """Two models that stand in another order under the second measure: ``better`` leads under the first.

    ``lead`` and ``lag``: points by which ``better`` leads under the first and lags under the second measure;
    ``certain``: whether the 95 % intervals of both lie on their side of zero.
    """

    better: str
    other: str
    lead: float
    lag: float
    certain: bool


@dataclass(frozen=True)
class OrderChange:
    """Kendall's tau-b between the orders of models under two measures.

    ``tau`` is 1 for the same order and -1 for the reverse; ``low`` and ``high`` bound 95 % of the resamples.
    ``swaps`` are the pairs whose order changes, the largest change first.
    """

    tau: float
    low: float
    high: float
    swaps: tuple[Swap, ...]


def order_of_models(
    results: Mapping[str, Any], first: str = "rsum", second: str = "semantic_rsum"
) -> OrderChange:
    """Does the order of several models change from one measure to another?

    ``results``: `imtext.retrieval.Graded` of each model by name, all on one dataset. ``first``, ``second``:
    measures of `Graded.value`. Images are drawn with their captions, the same ones for every model.

    Raises `DataError` for fewer than two models or models of several datasets, `ConfigError` for names.
    """
    names, models = list(results), list(results.values())
    if len(models) < 2 or len({tuple(model.image_of_caption.tolist()) for model in models}) > 1:
        raise DataError("results: expected two models or more, evaluated on the same captions")
    values = np.array([[model.value(measure) for model in models] for measure in (first, second)])
    samples = np.array([[model.samples(measure) for model in models] for measure in (first, second)])
    taus = [stats.kendalltau(*draw).statistic for draw in samples.transpose(2, 0, 1)]
    swaps = []
    for better, other in combinations(np.argsort(-values[0], kind="stable"), 2):
        ahead, behind = (values[:, better] - values[:, other]).tolist()
        if ahead > 0 > behind:
            leads, lags = samples[:, better] - samples[:, other]
            certain = bool(np.percentile(leads, 2.5) > 0 > np.percentile(lags, 97.5))
            swaps.append(Swap(names[better], names[other], ahead, -behind, certain))
    swaps.sort(key=lambda swap: -swap.lead - swap.lag)
    tau, (low, high) = stats.kendalltau(*values).statistic, np.nanpercentile(taus, [2.5, 97.5])
    return OrderChange(float(tau), float(low), float(high), tuple(swaps))
