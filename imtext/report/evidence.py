"""Evidence for claims: differences, arranged so that *positive means as claimed*, with 95 % intervals.

Two things are left to chance: which queries the test split holds, and how a training went. For the first, the
mean over seeds is computed again for queries drawn anew, those that belong together together (a bootstrap);
for the second, the seeds' own differences give a t interval, whose degrees of freedom are one less than the
seeds. The error of the mean is the sum of both, so the distances from it to the ends of the two intervals
are added in squares (Zou and Donner 2008, "method of variance estimates recovery"); luck of single queries
under single seeds is in both, which makes the sum a little too wide rather than too narrow.

One seed says nothing of how a training went: its interval is of the queries alone, and its verdict says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from imtext.errors import DataError
from imtext.report.markup import signed
from imtext.retrieval import cluster_bootstrap


@dataclass(frozen=True)
class Evidence:
    """One difference with its 95 % interval; positive means as claimed.

    `per_seed` holds each seed's own difference; `unit` and `digits` are for showing it. Where both ends are
    the difference itself, there is no interval. Raises DataError for a number that is not finite.
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
        interval = f" [{low}, {high}]" if self.low < self.high else ""
        return signed(self.difference, self.digits) + interval


def from_samples(
    name: str, difference: float | Sequence[float], samples: Any = None, unit: str = "", digits: int = 3
) -> Evidence:
    """A difference, of one seed or of each, with what it is for queries drawn anew.

    Positive means as claimed: for "A has a smaller S than B" give S(B) − S(A).

    Args:
        samples: ``(n,)`` of the mean over seeds, or ``(S, n)`` of each seed for the same draws; None where
            nothing is drawn but the training.

    >>> from_samples("S", 0.2, np.linspace(0.1, 0.3, 101)).show()
    '+0.200 [+0.105, +0.295]'
    >>> from_samples("S", [0.1, 0.2, 0.3]).show()
    '+0.200 [−0.048, +0.448]'
    """
    own = np.atleast_1d(np.asarray(difference, dtype=float))
    drawn = own.mean() if samples is None else np.atleast_2d(samples).mean(0)
    seeds, centre = len(own), np.mean(drawn)
    training = t.ppf(0.975, seeds - 1) * own.std(ddof=1) / seeds**0.5 if seeds > 1 else 0.0
    below, above = np.hypot(np.percentile(drawn, [2.5, 97.5]) - centre, training).tolist()
    low, high = float(centre - below), float(centre + above)
    return Evidence(name, float(own.mean()), low, high, tuple(own.tolist()), unit, digits)


def from_scores(
    name: str, better: Any, worse: Any, clusters: Any = None, scale: float = 100.0, **shown: Any
) -> Evidence:
    """The gain in the mean of a score that each item has, such as the average precision of a phrase.

    `better`, `worse`: scores (Q,) of one seed, or a list of them, one per seed, over the same items in the
    same order; their differences are multiplied by `scale`. `clusters` (Q,) names items that are drawn
    together, such as the phrases of one image. `shown`: another `unit`, or `digits`.

    Raises DataError for a score that is not finite.

    >>> from_scores("mAP", [0.5, 0.75], [0.25, 0.25]).show()
    '+37.50 [+25.00, +50.00]'
    """
    first, second = (np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (better, worse))
    gains = scale * (first - second)
    clusters = np.arange(gains.shape[1]) if clusters is None else clusters
    drawn = cluster_bootstrap(gains.mean(0), clusters)
    return from_samples(name, gains.mean(1), drawn, **{"unit": "points", "digits": 2} | shown)


def from_parts(name: str, scores: Any, chosen: np.ndarray, clusters: Any, **shown: Any) -> Evidence:
    """How much more the chosen items have of a score than the others, in the mean.

    `scores`, `clusters`, `shown`: as in `from_scores`. `chosen` (Q,) bool: some items, not all. An item
    stands for what it adds to the difference of both means, to first order: a draw may hold more of one part.

    >>> from_parts("gain", [1.0, 1.0, 0.0, 0.0], np.array([1, 1, 0, 0], bool), np.arange(4)).difference
    100.0
    """
    scores, share = np.atleast_2d(scores), chosen.mean()
    mean, others = (scores[:, part].mean(1, keepdims=True) for part in (chosen, ~chosen))
    added = np.where(chosen, (scores - mean) / share, (others - scores) / (1 - share))
    return from_scores(name, mean - others + added, 0, clusters, **shown)
