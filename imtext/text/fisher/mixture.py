"""Mixtures fitted to word vectors: Gaussian, or Gaussian and Laplacian chosen dimension by dimension."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

from imtext.errors import ConfigError, DataError
from imtext.progress import progress

FLOOR = 1e-3  # smallest Laplace scale, and smallest variance
_DEAD = 1e-6  # a component with less weight than this part of one sample is out
_ROWS = 256  # samples worked on at once: their numbers stay in the cache
_TASK = 8 * _ROWS
_BIN = 512  # samples in one bin of the search for medians


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """A pool with as many threads as the linear algebra has, which itself gets one thread inside.

    So ``threadpool_limits`` or ``OMP_NUM_THREADS`` govern both, and sums do not depend on their number.
    """
    libraries = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(libraries, default=1)) as pool:
        yield pool


class HybridMixture:
    """Hybrid Gaussian-Laplacian mixture (HGLMM) with independent dimensions, fitted by EM.

    Every component ``k`` is, in every dimension ``d``, either a Gaussian or a Laplacian, whichever gives the
    samples of the component the larger likelihood.

    EM starts from random samples as centres, the spread of all samples, an even chance for Gaussian or
    Laplacian in each dimension, and equal priors. Scales and variances stay at or above 1e-3. The likelihood
    never falls: the update is the maximum within these floors. A component that no sample belongs to keeps
    its parameters and gets prior 0. Source: Klein, Lev, Sadeh and Wolf, Associating Neural Word Embeddings
    with Deep Image Representations using Fisher Vectors, CVPR 2015.

    Args:
        components: number of components, K.
        iterations: EM steps; 0 leaves the starting parameters.
        seed: of the start.

    Attributes:
        priors_: ``(K,)``, they add up to 1.
        laplace_: ``(K, D)``, True where the dimension is Laplacian.
        medians_, scales_: ``(K, D)``, the Laplacian of every dimension, chosen or not.
        means_, variances_: ``(K, D)``, the Gaussian of every dimension, chosen or not.
        likelihoods_: mean log-likelihood of a sample before the first step and after each.

    >>> x = np.random.default_rng(0).laplace(size=(500, 2))
    >>> mixture = HybridMixture(components=1).fit(x)
    >>> mixture.laplace_.tolist(), bool(np.all(np.diff(mixture.likelihoods_) > -1e-9))
    ([[True, True]], True)
    """

    hybrid = True

    def __init__(self, components: int = 30, iterations: int = 10, seed: int = 0) -> None:
        for name, value, least in (("components", components, 1), ("iterations", iterations, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"mixture: {name}: expected a whole number from {least}, found {value!r}")
        self.components, self.iterations, self.seed = components, iterations, seed

    @property
    def centres(self) -> np.ndarray:
        """Median or mean ``(K, D)``, as chosen."""
        return np.where(self.laplace_, self.medians_, self.means_)

    @property
    def spreads(self) -> np.ndarray:
        """Laplace scale or standard deviation ``(K, D)``, as chosen."""
        return np.where(self.laplace_, self.scales_, np.sqrt(self.variances_))

    def fit(self, samples: np.ndarray, weights: np.ndarray | None = None) -> HybridMixture:
        """Fit to ``samples (n, D)``.

        ``weights (n,)`` says how often each row occurs. A row of weight 3 counts exactly as three equal rows:
        every sum of EM runs over samples, and so does the weighted median. Work is done in float64, whatever
        the samples are; rows of float32 take half the memory.

        Raises:
            DataError: not a table of finite numbers, weights that do not fit, or fewer samples than
                components.
        """
        samples, weights = self._checked(samples, weights)
        with workers() as pool:
            data = _Samples(samples, weights, pool, self.hybrid)
            self._start(samples, weights, data)
            self.likelihoods_: list[float] = []
            for _ in progress(range(self.iterations), "mixture of word vectors", self.iterations):
                sums = data.expect(_Density(self))
                self.likelihoods_.append(sums.likelihood)
                self._maximise(data, sums)
            self.likelihoods_.append(data.expect(_Density(self), keep=False).likelihood)
        return self

    def posteriors(self, samples: np.ndarray) -> np.ndarray:
        """Share of each component in each sample ``(n, K)``, float64; rows add up to 1."""
        samples = np.asarray(samples)
        if samples.ndim != 2 or samples.shape[1] != self.means_.shape[1]:
            raise DataError(
                f"mixture: expected samples of {self.means_.shape[1]} numbers, found shape {samples.shape}"
            )
        out = np.empty((len(samples), self.components))
        density = _Density(self)

        def work(rows: slice) -> None:
            out[rows] = density.split(np.array(samples[rows].T, np.float64, order="C"))[0].T

        with workers() as pool:
            list(pool.map(work, _slices(len(samples), _ROWS)))
        return out

    def _checked(self, samples: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        samples = np.asarray(samples)
        if samples.dtype != np.float32:
            samples = samples.astype(np.float64, copy=False)
        if samples.ndim != 2 or 0 in samples.shape or not np.isfinite(samples).all():
            raise DataError(
                f"mixture: expected a table (n, D) of finite numbers, found shape {samples.shape}; "
                "leave out empty rows and rows with NaN"
            )
        weights = np.ones(len(samples)) if weights is None else np.asarray(weights, np.float64)
        if weights.shape != (len(samples),) or not (np.isfinite(weights) & (weights > 0)).all():
            raise DataError(
                f"mixture: expected {len(samples)} positive weights, found shape {weights.shape} "
                "or a weight that is not; leave out rows of weight 0"
            )
        if weights.sum() < self.components:
            raise DataError(
                f"mixture: {weights.sum():g} samples for {self.components} components; give at least as many "
                "samples as components, or lower components"
            )
        return samples, weights

    def _start(self, samples: np.ndarray, weights: np.ndarray, data: _Samples) -> None:
        random = np.random.default_rng(self.seed)
        share = weights / weights.sum()
        count = len(samples)
        rows = random.choice(count, min(count, self.components), replace=False, p=share)
        rows = np.append(rows, random.choice(count, self.components - len(rows), p=share))
        self.means_ = samples[rows].astype(np.float64)
        self.medians_ = self.means_.copy()
        _, variance, _, deviation = data.update(data.whole())
        self.variances_ = np.repeat(np.maximum(variance, FLOOR), self.components, axis=0)
        self.scales_ = np.repeat(np.maximum(deviation, FLOOR), self.components, axis=0)
        self.laplace_ = (random.random(self.means_.shape) < 0.5) & self.hybrid
        self.priors_ = np.full(self.components, 1 / self.components)

    def _maximise(self, data: _Samples, sums: _Sums) -> None:
        alive = sums.mass > _DEAD
        self.priors_ = np.where(alive, sums.mass, 0) / sums.mass[alive].sum()
        mean, variance, median, deviation = data.update(sums)
        floored, scale = np.maximum(variance, FLOOR), np.maximum(deviation, FLOOR)
        gauss = -0.5 * (np.log(2 * np.pi * floored) + variance / floored)
        laplace = -np.log(2 * scale) - deviation / scale
        for kept, new in (
            (self.means_, mean),
            (self.variances_, floored),
            (self.medians_, median),
            (self.scales_, scale),
            (self.laplace_, (laplace > gauss) & self.hybrid),
        ):
            kept[alive] = new[alive]


class GaussianMixture(HybridMixture):
    """The plain mixture of Gaussians with diagonal covariance, for comparison.

    Same start, floors and attributes as :class:`HybridMixture`; ``laplace_`` is False throughout and
    ``medians_`` and ``scales_`` keep their start.

    >>> x = np.random.default_rng(0).laplace(size=(500, 2))
    >>> bool(GaussianMixture(components=2).fit(x).laplace_.any())
    False
    """

    hybrid = False


class _Sums(NamedTuple):
    """What a step needs: mass ``(K,)``, sums of x and of x² ``(K, D)``, weighted posteriors ``(n, K)``."""

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray
    gamma: np.ndarray | None
    likelihood: float = 0.0


class _Density:
    """Log of prior times density of all components, for samples that stand in columns."""

    def __init__(self, mixture: HybridMixture) -> None:
        laplace = mixture.laplace_
        inverse = np.where(laplace, 0.0, 1 / mixture.variances_)
        self.square, self.linear = -0.5 * inverse, mixture.means_ * inverse
        peak = np.where(laplace, -np.log(2 * mixture.scales_), -0.5 * np.log(2 * np.pi * mixture.variances_))
        with np.errstate(divide="ignore"):  # a dead component: log 0
            prior = np.log(mixture.priors_)
        self.constant = prior + peak.sum(1) + (self.square * mixture.means_**2).sum(1)
        self.laplace = [
            (k, dims, mixture.medians_[k, dims, None], 1 / mixture.scales_[k, dims])
            for k, dims in enumerate(np.flatnonzero(row) for row in laplace)
            if len(dims) and mixture.priors_[k] > 0
        ]

    def split(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Posteriors ``(K, b)`` and log-likelihoods ``(b,)`` of ``block (D, b)``, and its squares."""
        squares = block * block
        log = self.square @ squares + self.linear @ block + self.constant[:, None]
        for k, dims, median, inverse in self.laplace:
            away = block[dims]
            away -= median
            np.abs(away, out=away)
            log[k] -= inverse @ away
        top = log.max(axis=0)
        gamma = np.exp(log - top)
        total = gamma.sum(axis=0)
        gamma /= total
        return gamma, top + np.log(total), squares


class _Samples:
    """Samples with their weights, in the layout that both steps of EM read."""

    def __init__(self, samples: np.ndarray, weights: np.ndarray, pool: ThreadPoolExecutor, hybrid: bool):
        self.columns = np.ascontiguousarray(samples.T)  # (D, n)
        self.weights, self.pool, self.hybrid = weights, pool, hybrid
        dim, count = self.columns.shape
        # In every dimension each sample gets the number of its bin, counted by rank.
        size = max(_BIN, -(-count // 65_535))
        self.bins = -(-count // size)
        self.bin = np.empty((dim, count) if hybrid else (0, 0), np.uint16)
        if hybrid:
            ranked = np.arange(count) // size

            def sort(d: int) -> None:
                self.bin[d, np.argsort(self.columns[d], kind="stable")] = ranked

            list(pool.map(sort, range(dim)))

    def whole(self) -> _Sums:
        """All samples as one component."""
        ones = np.ones((1, len(self.weights)))
        found = [self._sums(rows, ones[:, rows] * self.weights[rows]) for rows in self._tasks()]
        mass, first, second = (sum(part) for part in zip(*found, strict=True))
        return _Sums(mass, first, second, np.ascontiguousarray(self.weights[:, None]))

    def _tasks(self) -> list[slice]:
        return _slices(len(self.weights), _TASK)

    def _sums(self, rows: slice, gamma: np.ndarray, squares: np.ndarray | None = None) -> tuple:
        block = self.columns[:, rows].astype(np.float64)
        squares = block * block if squares is None else squares
        return gamma.sum(axis=1), gamma @ block.T, gamma @ squares.T

    def expect(self, density: _Density, keep: bool = True) -> _Sums:
        """The E-step, in log space, with the sums that the M-step needs."""
        kept = np.empty((len(self.weights), len(density.constant))) if keep and self.hybrid else None

        def work(task: slice) -> tuple:
            mass = first = second = likelihood = 0.0
            for rows in _slices(task.stop, _ROWS, task.start):
                block = self.columns[:, rows].astype(np.float64)
                gamma, log, squares = density.split(block)
                gamma *= self.weights[rows]
                likelihood += float(log @ self.weights[rows])
                if kept is not None:
                    kept[rows] = gamma.T
                if keep:
                    mass = mass + gamma.sum(axis=1)
                    first = first + gamma @ block.T
                    second = second + gamma @ squares.T
            return mass, first, second, likelihood

        found = zip(*self.pool.map(work, self._tasks()), strict=True)
        mass, first, second, likelihood = (sum(part) for part in found)
        return _Sums(mass, first, second, kept, float(likelihood / self.weights.sum()))

    def update(self, sums: _Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Weighted mean, variance, median and mean absolute deviation, each ``(K, D)``."""
        mass = np.maximum(sums.mass, 1e-300)[:, None]
        mean = sums.first / mass
        variance = np.maximum(sums.second / mass - mean**2, 0)
        if not self.hybrid:
            return mean, variance, mean, variance
        found = self.pool.map(lambda d: self._laplace(d, sums.gamma), range(len(self.columns)))
        median, deviation = (np.stack(part, axis=1) for part in zip(*found, strict=True))
        return mean, variance, median, deviation

    def _laplace(self, d: int, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted median and mean absolute deviation from it, of dimension ``d`` in each component ``(K,)``.

        The median is the smallest sample up to which at least half of the weight lies. Weights and weighted
        values are added up by bin in one pass over the samples; only the bin of the median is then sorted.
        """
        bins, column = self.bin[d], self.columns[d].astype(np.float64)
        count = len(column)
        # Row b of the sums is the weight in bin b, row bins + b its weighted values.
        rows = np.stack([bins, bins + np.int32(self.bins)], axis=1, dtype=np.int32).ravel()
        values = np.stack([np.ones(count), column], axis=1).ravel()
        ends = np.arange(0, 2 * count + 1, 2, dtype=np.int32)
        sums = sp.csc_array((values, rows, ends), shape=(2 * self.bins, count)) @ gamma
        mass, moment = np.cumsum(sums[: self.bins], axis=0), np.cumsum(sums[self.bins :], axis=0)
        half = mass[-1] / 2
        median, deviation = np.empty(len(half)), np.empty(len(half))
        for k, b in enumerate((mass < half).sum(axis=0)):
            rows = np.flatnonzero(bins == b)
            rows = rows[np.argsort(column[rows], kind="stable")]
            own = gamma[rows, k]
            up_to = np.cumsum(own) + (mass[b - 1, k] if b else 0)
            at = min(int(np.searchsorted(up_to, half[k])), len(rows) - 1)
            middle = median[k] = column[rows[at]]
            lower = (own * column[rows])[: at + 1].sum() + (moment[b - 1, k] if b else 0)
            below = middle * up_to[at] - lower
            above = moment[-1, k] - lower - middle * (mass[-1, k] - up_to[at])
            deviation[k] = max(above + below, 0) / max(mass[-1, k], 1e-300)
        return median, deviation


def _slices(stop: int, size: int, start: int = 0) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]
