"""Do two orders agree? A model's similarities with people's scores; the ranking of models by two measures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from imtext.errors import ConfigError, DataError
from imtext.retrieval.similarity import to_numpy


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
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ConfigError(f"n: expected a positive number of resamples, found {n!r}")
    x, y = _numbers(similarity, "similarity"), _numbers(human, "human")
    owners = np.arange(len(x)) if clusters is None else to_numpy(clusters)
    if not len(x) == len(y) == len(owners) or owners.ndim != 1:
        raise DataError(
            f"similarity has {len(x)} pairs, human has {len(y)}, clusters has {len(owners)}; they must agree"
        )
    cluster = np.unique(owners, return_inverse=True)[1].reshape(-1)
    count = int(cluster.max()) + 1
    members = np.split(np.argsort(cluster, kind="stable"), np.cumsum(np.bincount(cluster))[:-1])
    # Ranks keep every order and every tie, and whole numbers are sorted faster.
    x, y = (np.unique(side, return_inverse=True)[1].reshape(-1) for side in (x, y))
    generator = np.random.default_rng(seed)
    drawn = np.empty((n, 2))
    for i in range(n):
        pick = np.concatenate([members[c] for c in generator.integers(0, count, count)])
        drawn[i] = _both(x[pick], y[pick])
    whole = _both(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of resamples that are all constant
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    return Correlation(
        whole[0], float(low[0]), float(high[0]), whole[1], float(low[1]), float(high[1]), len(x)
    )


def _numbers(values: Any, name: str) -> np.ndarray:
    array = to_numpy(values)
    if array.ndim != 1 or len(array) < 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: expected two numbers or more of shape (P,), found {array.dtype} of shape {array.shape}"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"{name}: pair {int(np.flatnonzero(~np.isfinite(array))[0])} is NaN or infinite")
    return array


def _both(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b; NaN for a constant side."""
    if (x == x[0]).all() or (y == y[0]).all():
        return float("nan"), float("nan")
    ranks = np.corrcoef(stats.rankdata(x), stats.rankdata(y))
    return float(ranks[0, 1]), float(stats.kendalltau(x, y).statistic)


@dataclass(frozen=True)
class Swap:
    """Two models that stand in another order under the second measure: ``better`` leads under the first.

    ``first`` and ``second`` are the leads of ``better`` over ``other`` under each measure, in points (one of
    them is negative), with 95 % intervals; ``share`` of the resamples have them in opposite orders. Without
    samples the intervals and the share are NaN.
    """

    better: str
    other: str
    first: float
    first_low: float
    first_high: float
    second: float
    second_low: float
    second_high: float
    share: float

    @property
    def certain(self) -> bool:
        """Whether both intervals lie on their side of zero."""
        return self.first_low > 0 > self.second_high


@dataclass(frozen=True)
class OrderChange:
    """The order of models under two measures, best first, and Kendall's tau-b between them.

    ``tau`` is 1 for the same order and -1 for the reverse; ``low`` and ``high`` bound 95 % of the resamples
    (NaN without samples). ``same`` is the share of resamples in which the orders agree fully. ``swaps`` are
    the pairs whose order changes, the largest change first.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    tau: float
    low: float
    high: float
    same: float
    swaps: tuple[Swap, ...]

    @property
    def changed(self) -> bool:
        """Whether any pair of models swaps."""
        return bool(self.swaps)


def compare_orders(
    first: Mapping[str, float],
    second: Mapping[str, float],
    first_samples: Mapping[str, Any] | None = None,
    second_samples: Mapping[str, Any] | None = None,
) -> OrderChange:
    """Does the order of models change from one measure to another?

    ``first``, ``second``: the value of each model, higher is better. ``first_samples``, ``second_samples``:
    bootstrap values (n,) of each model, of the same draws, as `imtext.retrieval.graded.Graded` gives them.

    Raises `DataError` for fewer than two models, other names in one mapping, NaN, samples of several lengths.

    >>> change = compare_orders({"a": 3.0, "b": 2.0, "c": 1.0}, {"a": 5.0, "b": 6.0, "c": 1.0})
    >>> change.first, change.second, round(change.tau, 2), [(s.better, s.other) for s in change.swaps]
    (('a', 'b', 'c'), ('b', 'a', 'c'), 0.33, [('a', 'b')])
    """
    names = tuple(first)
    values = np.array([_of_models(first, names, "first"), _of_models(second, names, "second")])
    if len(names) < 2 or not np.isfinite(values).all():
        raise DataError(
            f"expected finite values of two models or more, found {dict(first)} and {dict(second)}"
        )
    samples = None
    if first_samples is not None and second_samples is not None:
        samples = _as_samples(first_samples, second_samples, names)
    orders = [tuple(names[i] for i in np.argsort(-row, kind="stable")) for row in values]
    low = high = same = float("nan")
    if samples is not None:
        taus = np.array([_tau(a, b) for a, b in samples.transpose(2, 0, 1)])
        low, high = (
            map(float, np.nanpercentile(taus, [2.5, 97.5])) if np.isfinite(taus).any() else (low, high)
        )
        same = float((taus > 1 - 1e-9).mean())
    swaps = [_swap(names, values, samples, i, j) for i, j in combinations(range(len(names)), 2)]
    found = sorted((s for s in swaps if s is not None), key=lambda s: s.second - s.first)
    return OrderChange(*orders, _tau(*values), low, high, same, tuple(found))


def _of_models(values: Mapping[str, Any], names: tuple[str, ...], what: str) -> list[Any]:
    if set(values) != set(names):
        raise DataError(f"{what}: expected the models {', '.join(names)}, found {', '.join(values)}")
    return [values[name] for name in names]


def _as_samples(first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[str, ...]) -> np.ndarray:
    """Samples (2 measures, models, n)."""
    rows = [
        [np.asarray(row, dtype=np.float64) for row in _of_models(side, names, what)]
        for side, what in ((first, "first_samples"), (second, "second_samples"))
    ]
    if len({row.shape for side in rows for row in side}) > 1 or rows[0][0].ndim != 1:
        raise DataError("samples: expected as many resamples (n,) for every model and measure")
    return np.array(rows)


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b; NaN where one side is constant."""
    return _both(a, b)[1]


def _swap(
    names: tuple[str, ...], values: np.ndarray, samples: np.ndarray | None, i: int, j: int
) -> Swap | None:
    lead = values[:, i] - values[:, j]
    if lead[0] * lead[1] >= 0:
        return None
    if lead[0] < 0:
        i, j, lead = j, i, -lead
    bounds, share = np.full((2, 2), np.nan), float("nan")
    if samples is not None:
        leads = samples[:, i] - samples[:, j]
        bounds = np.percentile(leads, [2.5, 97.5], axis=1).T
        share = float((leads[0] * leads[1] < 0).mean())
    (a_low, a_high), (b_low, b_high) = bounds.tolist()
    return Swap(names[i], names[j], float(lead[0]), a_low, a_high, float(lead[1]), b_low, b_high, share)
