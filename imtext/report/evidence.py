"""Evidence for claims beyond a gain in recall: any score that an item has, and one gain against another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.report.claims import Evidence
from imtext.retrieval import cluster_bootstrap

_MEAN = (1, 5, 10)


def _runs(values: Any, name: str) -> np.ndarray:
    """Values (S, Q) of S seeds from one array (Q,) or a list of them."""
    if not len(values):
        raise DataError(f"evidence {name!r}: no seed; give at least one run")
    rows = [values] if np.ndim(values[0]) == 0 else list(values)
    rows = [np.asarray(row, dtype=float) for row in rows]
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1 or not rows[0].size:
        raise DataError(f"evidence {name!r}: the seeds differ in length or are empty; give the same items")
    return np.stack(rows)


def _samples(
    name: str, difference: np.ndarray, clusters: Any, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(own mean of each seed (S,), bootstrap means (n,) of all seeds together) of differences (S, Q)."""
    n_seeds, n_items = difference.shape
    groups = np.arange(n_items) if clusters is None else np.asarray(clusters)
    if groups.shape != (n_items,):
        raise DataError(f"evidence {name!r}: {groups.size} clusters for {n_items} items; give one an item")
    # An item under all its seeds is drawn as one: seeds share the luck of the draw.
    drawn = cluster_bootstrap(difference.ravel(), np.tile(groups, n_seeds), n=n, seed=seed)
    return difference.mean(1), drawn


def _evidence(name: str, own: np.ndarray, drawn: np.ndarray, unit: str, digits: int) -> Evidence:
    low, high = np.percentile(drawn, [2.5, 97.5])
    per_seed = tuple(float(value) for value in own)
    return Evidence(name, float(own.mean()), float(low), float(high), per_seed, unit, digits)


def from_scores(
    name: str,
    better: Any,
    worse: Any,
    clusters: Any = None,
    scale: float = 100.0,
    unit: str = "points",
    digits: int = 2,
    n: int = 2000,
    seed: int = 0,
) -> Evidence:
    """The gain in the mean of a score that each item has, such as the average precision of a phrase.

    `better`, `worse`: scores (Q,) of one seed, or a list of them, one per seed, over the same items in the
    same order; their differences are multiplied by `scale`. `clusters` (Q,) names items that are drawn
    together, such as the phrases of one image. The interval is that of a bootstrap over items.

    Raises DataError where the two do not match or hold a number that is not finite.

    >>> from_scores("mAP", np.full(50, 0.5), np.full(50, 0.25)).show()
    '+25.00 [+25.00, +25.00]'
    """
    first, second = _runs(better, name), _runs(worse, name)
    if first.shape != second.shape:
        raise DataError(
            f"evidence {name!r}: scores {first.shape} against {second.shape} (seeds, items); "
            "give both models the same seeds and items"
        )
    own, drawn = _samples(name, scale * (first - second), clusters, n, seed)
    return _evidence(name, own, drawn, unit, digits)


def _gain(name: str, side: Sequence[Any], k: int | str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(own gain of each seed, bootstrap gains) in recall@k of (better, worse, clusters)."""
    better, worse, clusters = side
    first, second = _runs(better, name), _runs(worse, name)
    if first.shape != second.shape:
        raise DataError(
            f"evidence {name!r}: ranks {first.shape} against {second.shape} (seeds, queries); "
            "give both models the same seeds and queries"
        )
    cutoffs = _MEAN if k == "mean" else (k,)
    gain = sum((first <= at).astype(float) - (second <= at) for at in cutoffs) / len(cutoffs)
    return _samples(name, 100 * gain, clusters, n, seed)


def from_gains(
    name: str,
    more: Sequence[Any],
    less: Sequence[Any],
    k: int | str = "mean",
    n: int = 2000,
    seed: int = 0,
) -> Evidence:
    """How much more one side gains in recall than another, in percentage points.

    `more`, `less`: each `(better, worse, clusters)` with 1-based ranks (Q,) of one seed or a list of them,
    one per seed, and the image (Q,) that each query belongs to. Both sides have the same images, which are
    drawn together, such as the text queries and the image queries of one test set. `k`: recall@k, or "mean"
    for the mean of R@1, R@5 and R@10.

    Raises DataError where sides do not match, ConfigError for another `k`.

    >>> up, same = (np.ones(4), np.full(4, 99), np.arange(4)), (np.ones(4), np.ones(4), np.arange(4))
    >>> from_gains("gain", up, same).difference
    100.0
    """
    if k != "mean" and (isinstance(k, (bool, str)) or not isinstance(k, (int, np.integer)) or k < 1):
        raise ConfigError(f"k: expected a positive whole number or 'mean', found {k!r}")
    if not np.array_equal(np.unique(more[2]), np.unique(less[2])):
        raise DataError(f"evidence {name!r}: the two sides name different images; give both the same")
    (own, drawn), (other, other_drawn) = (_gain(name, side, k, n, seed) for side in (more, less))
    if own.shape != other.shape:
        raise DataError(f"evidence {name!r}: {len(own)} against {len(other)} seeds; give both sides the same")
    # The same clusters and seed draw the same images on both sides.
    return _evidence(name, own - other, drawn - other_drawn, "points", 2)


def difference_of_gains(name: str, more: Sequence[Any], less: Sequence[Any]) -> Evidence:
    """How much more one side gains than another: each `(gains (S, Q), clusters (Q,))`, in the same clusters.

    >>> up, same = (np.ones((2, 4)), np.arange(4)), (np.zeros((2, 4)), np.arange(4))
    >>> difference_of_gains("gain", up, same).difference
    1.0
    """
    # The same clusters and seed draw the same images on both sides.
    (own, drawn), (other, other_drawn) = (_samples(name, *side, n=2000, seed=0) for side in (more, less))
    return _evidence(name, own - other, drawn - other_drawn, "points", 2)


def gain_where(
    name: str, gains: Sequence[np.ndarray], chosen: np.ndarray, clusters: np.ndarray, n: int = 2000
) -> Evidence:
    """Mean gain of the chosen queries minus that of the others, in points.

    Args:
        name: of what is measured.
        gains: gain of each query ``(Q,)``, one array a seed.
        chosen: ``(Q,)`` bool, at least one query either way.
        clusters: ``(Q,)``, queries that are drawn together, whether chosen or not.
        n: bootstrap draws.

    Raises:
        ConfigError: no query is chosen, or all are.

    >>> gains = np.array([1.0, 1.0, 0.0, 0.0])
    >>> gain_where("gain", [gains], gains > 0, np.arange(4), n=50).difference
    100.0
    """
    if chosen.all() or not chosen.any():
        raise ConfigError(f"evidence {name!r}: {chosen.sum()} of {len(chosen)} queries chosen; choose some")
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    pooled, sides = np.mean(gains, axis=0), []
    for part in (chosen, ~chosen):
        # The same clusters are drawn each time: the sum over a part, by how much of it was drawn.
        total, size = (cluster_bootstrap(values, clusters, n) for values in (pooled * part, part))
        sides.append(np.divide(total, size, out=np.full(n, np.nan), where=size > 0))
    low, high = 100 * np.nanpercentile(sides[0] - sides[1], [2.5, 97.5])
    return Evidence(name, float(np.mean(own)), float(low), float(high), tuple(map(float, own)))
