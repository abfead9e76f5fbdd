"""Fisher vectors of sets of points under a mixture, one by one or for many captions at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp

from imtext.errors import DataError
from imtext.text.fisher.mixture import HybridMixture

# A posterior below this changes no float32 digit of a Fisher vector, not even after the square root.
SMALLEST = 1e-16
# Medians are samples. So near to one, in scales, a point lies on it: rounding must not decide the sign.
ON_MEDIAN = 1e-9
_ROWS = 64  # captions that one thread works on: their vectors stay in the cache
_POINTS = 4096  # rows of contributions made at once, in float64


def fisher_vector(points: np.ndarray, mixture: HybridMixture) -> np.ndarray:
    """The Fisher vector of ``points (N, D)`` as it is defined, ``(2 K D,)`` float64, not yet normalised.

    First the derivatives by the centres, component by component, then those by the spreads. With posterior γ
    and prior π of component k, a Laplacian dimension (median m, scale s) has

    - Σ γ sgn(x − m) / √(Nπ), where a distance below 1e-9 s has sign 0,
      and Σ γ (abs(x − m) / s − 1) / √(Nπ),

    a Gaussian one (mean μ, standard deviation σ)

    - Σ γ (x − μ) / (σ √(Nπ)) and Σ γ ((x − μ)² / σ² − 1) / √(2Nπ).

    No points give zeros; so does a component with prior 0. Raises DataError where ``points`` have another
    dimension than the mixture. Source: Klein and others, CVPR 2015.

    >>> mixture = HybridMixture(components=2).fit(np.random.default_rng(0).normal(size=(50, 3)))
    >>> fisher_vector(np.zeros((4, 3)), mixture).shape
    (12,)
    """
    points = np.asarray(points, dtype=np.float64)
    gamma = mixture.posteriors(points)
    words, parts = np.nonzero(gamma)
    first, second = _contributions(points, mixture, gamma, words, parts)
    out = np.zeros((2, *mixture.means_.shape))
    np.add.at(out[0], parts, first)
    np.add.at(out[1], parts, second)
    return out.ravel() / np.sqrt(max(len(points), 1))


def signed_root(*parts: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Signed square root, then length 1 by row; rows of zeros stay.

    Several ``parts (M, P)`` are the parts of each row, one after another; ``out`` takes the result.

    >>> signed_root(np.array([[9.0, -16.0], [0.0, 0.0]])).tolist()
    [[0.6, -0.8], [0.0, 0.0]]
    """
    if out is None:
        out = np.empty((len(parts[0]), sum(part.shape[1] for part in parts)), parts[0].dtype)
    ends = np.cumsum([part.shape[1] for part in parts])
    places = [out[:, end - part.shape[1] : end] for part, end in zip(parts, ends, strict=True)]
    for part, place in zip(parts, places, strict=True):
        np.abs(part, out=place)
    total = out.sum(axis=1, keepdims=True)  # the squared length of the square roots
    out *= 1 / np.where(total > 0, total, 1)
    np.sqrt(out, out=out)
    for part, place in zip(parts, places, strict=True):
        np.copysign(place, part, out=place)
    return out


class Contributions:
    """What each of ``points (U, D)`` adds to the Fisher vector of a caption that holds it.

    A Fisher vector is a sum over words, up to 1/√N. So a word is worked out once, however often it occurs,
    and only for the components it belongs to (posterior of at least 1e-16): word vectors lie far apart, and
    few components claim a word.

    ``sizes (U,)`` counts these components by word; memory is ``sizes.sum() · 2 D · 4`` bytes.
    """

    def __init__(
        self, points: np.ndarray, gamma: np.ndarray, mixture: HybridMixture, pool: ThreadPoolExecutor
    ) -> None:
        self.components, self.dim = mixture.means_.shape
        active = gamma >= SMALLEST
        self.sizes = active.sum(axis=1)
        words, self.parts = np.nonzero(active)
        self.begins = np.cumsum(self.sizes) - self.sizes
        self.first = np.empty((len(words), self.dim), np.float32)
        self.second = np.empty_like(self.first)

        def work(start: int) -> None:
            rows = slice(start, start + _POINTS)
            self.first[rows], self.second[rows] = _contributions(
                points, mixture, gamma, words[rows], self.parts[rows]
            )

        list(pool.map(work, range(0, len(words), _POINTS)))

    def sums(self, counts: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """First and second half ``(M, K D)`` float32 of the Fisher vectors of captions.

        ``counts (M, U)`` says how often each caption holds each point. Not normalised, except by 1/√N.
        """
        captions = counts.shape[0]
        lengths = np.maximum(counts.sum(axis=1), 1)
        row = np.repeat(np.arange(captions), np.diff(counts.indptr))
        value = counts.data / np.sqrt(lengths)[row]
        # Each word of each caption becomes one entry for each component that claims it.
        sizes = self.sizes[counts.indices]
        ends = np.cumsum(sizes)
        column = np.arange(ends[-1] if len(ends) else 0)
        column += np.repeat(self.begins[counts.indices] - (ends - sizes), sizes)
        place = np.repeat(row, sizes) * self.components + self.parts[column]
        spread = sp.csr_array(
            (np.repeat(value, sizes).astype(np.float32), (place, column)),
            shape=(captions * self.components, len(self.parts)),
        )
        shape = (captions, self.components * self.dim)
        return (spread @ self.first).reshape(shape), (spread @ self.second).reshape(shape)

    def encode(self, counts: sp.csr_array, pool: ThreadPoolExecutor) -> np.ndarray:
        """Fisher vectors ``(M, 2 K D)`` float32 after signed square root and L2."""
        out = np.empty((counts.shape[0], 2 * self.components * self.dim), np.float32)

        def work(start: int) -> None:
            rows = slice(start, start + _ROWS)
            signed_root(*self.sums(counts[rows]), out=out[rows])

        list(pool.map(work, range(0, len(out), _ROWS)))
        return out


def _contributions(
    points: np.ndarray, mixture: HybridMixture, gamma: np.ndarray, words: np.ndarray, parts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both halves ``(P, D)`` of what point ``words[p]`` adds in component ``parts[p]``, without 1/√N."""
    if points.ndim != 2 or points.shape[1] != mixture.means_.shape[1]:
        raise DataError(
            f"Fisher vector: expected points of {mixture.means_.shape[1]} numbers, found shape {points.shape}"
        )
    with np.errstate(divide="ignore"):
        root = np.where(mixture.priors_ > 0, 1 / np.sqrt(mixture.priors_), 0.0)
    weight = (gamma[words, parts] * root[parts])[:, None]
    laplace = mixture.laplace_[parts]
    away = (points[words] - mixture.centres[parts]) / mixture.spreads[parts]
    sign = np.where(np.abs(away) > ON_MEDIAN, np.sign(away), 0.0)
    first = np.where(laplace, sign, away)
    second = np.where(laplace, np.abs(away) - 1, (away * away - 1) / np.sqrt(2))
    return first * weight, second * weight
