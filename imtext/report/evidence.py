"""Evidence for claims: differences, arranged so that *positive means as claimed*, with 95 % intervals.

How seeds are combined. All seeds are tested on the same items. From scores: the difference is the mean over
seeds of the per-item differences; the bootstrap draws items, and a drawn item brings its scores under every
seed. From bootstrap samples of a scalar (such as the overlap S): the samples of all seeds are pooled, so that
the interval also holds the spread between seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imtext.errors import DataError
from imtext.report.markup import signed
from imtext.retrieval import cluster_bootstrap


@dataclass(frozen=True)
class Evidence:
    """One difference with its 95 % interval; positive means as claimed.

    `per_seed` holds each seed's own difference; `unit` and `digits` are for showing it. Raises DataError for
    a number that is not finite.
    """

    name: str
    difference: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    unit: str = "points"
    digits: int = 2

    def __post_init__(self) -> None:
        if not np.isfinite([self.difference, self.low, self.high, *self.per_seed]).all():
            raise DataError(f"evidence {self.name!r}: is not finite; look at the run it comes from")

    def show(self) -> str:
        """The difference and its interval, as in '+4.00 [+2.10, +5.90]'."""
        low, high = signed(self.low, self.digits), signed(self.high, self.digits)
        return f"{signed(self.difference, self.digits)} [{low}, {high}]"


def from_samples(
    name: str, difference: float | Sequence[float], samples: Any, unit: str = "", digits: int = 3
) -> Evidence:
    """A difference of two scalars with its bootstrap differences (n,), or one array of them per seed.

    Positive means as claimed: for "A has a smaller S than B" give S(B) − S(A). The interval runs from the
    2.5th to the 97.5th percentile of the samples of all seeds together.

    >>> from_samples("S", 0.2, np.linspace(0.1, 0.3, 101)).show()
    '+0.200 [+0.105, +0.295]'
    """
    own = np.atleast_1d(difference).astype(float).tolist()
    low, high = np.percentile(np.hstack(samples).astype(float), [2.5, 97.5])
    return Evidence(name, float(np.mean(own)), float(low), float(high), tuple(own), unit, digits)


def from_scores(
    name: str,
    better: Any,
    worse: Any,
    clusters: Any = None,
    scale: float = 100.0,
    unit: str = "points",
    digits: int = 2,
) -> Evidence:
    """The gain in the mean of a score that each item has, such as the average precision of a phrase.

    `better`, `worse`: scores (Q,) of one seed, or a list of them, one per seed, over the same items in the
    same order; their differences are multiplied by `scale`. `clusters` (Q,) names items that are drawn
    together, such as the phrases of one image. The interval is that of a bootstrap over items.

    Raises DataError for a score that is not finite.

    >>> from_scores("mAP", np.full(50, 0.5), np.full(50, 0.25)).show()
    '+25.00 [+25.00, +25.00]'
    """
    first, second = (np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (better, worse))
    gains = scale * (first - second)
    clusters = np.arange(gains.shape[1]) if clusters is None else clusters
    return from_samples(name, gains.mean(1), _drawn(gains, clusters), unit, digits)


def difference_of_gains(name: str, more: Sequence[Any], less: Sequence[Any]) -> Evidence:
    """How much more one side gains than another: each `(gains (S, Q), clusters (Q,))`, in the same clusters.

    >>> up, same = (np.ones((2, 4)), np.arange(4)), (np.zeros((2, 4)), np.arange(4))
    >>> difference_of_gains("gain", up, same).difference
    1.0
    """
    # The same clusters draw the same images on both sides.
    samples = _drawn(*more) - _drawn(*less)
    return from_samples(name, more[0].mean(1) - less[0].mean(1), samples, "points", 2)


def gain_where(name: str, gains: Sequence[np.ndarray], chosen: np.ndarray, clusters: np.ndarray) -> Evidence:
    """Mean gain of the chosen queries minus that of the others, in points.

    Args:
        name: of what is measured.
        gains: gain of each query ``(Q,)``, one array a seed.
        chosen: ``(Q,)`` bool, at least one query either way.
        clusters: ``(Q,)``, queries that are drawn together, whether chosen or not.

    >>> gains = np.array([1.0, 1.0, 0.0, 0.0])
    >>> gain_where("gain", [gains], gains > 0, np.arange(4)).difference
    100.0
    """
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    pooled = np.mean(gains, axis=0)

    def drawn(part: np.ndarray) -> np.ndarray:
        # The same clusters are drawn each time: the sum over a part, by how much of it was drawn.
        total, size = (cluster_bootstrap(values, clusters) for values in (pooled * part, part))
        return np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)

    low, high = 100 * np.nanpercentile(drawn(chosen) - drawn(~chosen), [2.5, 97.5])
    return Evidence(name, float(np.mean(own)), float(low), float(high), tuple(map(float, own)))


def _drawn(gains: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Bootstrap means ``(n,)`` of ``(S, Q)``; an item is drawn with what it has under all its seeds."""
    return cluster_bootstrap(gains.ravel(), np.tile(clusters, len(gains)))
