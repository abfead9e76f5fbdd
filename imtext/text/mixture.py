"""What is fitted to word vectors before captions are encoded: independent components and mixtures."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import eigh
from scipy.special import logsumexp
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from imtext.check import whole
from imtext.errors import DataError
from imtext.progress import progress

FLOOR = 1e-3  # smallest Laplace scale, and smallest variance
_DEAD = 1e-6  # a component with less weight than this part of one sample is out
_NULL = 1e-10  # directions with less than this part of the largest variance hold nothing
_ROWS = 256  # samples worked on at once: their numbers stay in the cache


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

    Raises:
        ConfigError: fewer components than one, or iterations below 0.

    >>> x = np.random.default_rng(0).laplace(size=(500, 2))
    >>> mixture = HybridMixture(components=1).fit(x)
    >>> mixture.laplace_.tolist(), bool(np.all(np.diff(mixture.likelihoods_) > -1e-9))
    ([[True, True]], True)
    """

    hybrid = True

    def __init__(self, components: int = 30, iterations: int = 10, seed: int = 0) -> None:
        self.components = whole("components", components)
        self.iterations = whole("iterations", iterations, least=0)
        self.seed = seed

    @property
    def centres(self) -> np.ndarray:
        """Median or mean ``(K, D)``, as chosen."""
        return np.where(self.laplace_, self.medians_, self.means_)

    @property
    def spreads(self) -> np.ndarray:
        """Laplace scale or standard deviation ``(K, D)``, as chosen."""
        return np.where(self.laplace_, self.scales_, np.sqrt(self.variances_))

    def fit(self, samples: np.ndarray, weights: np.ndarray | None = None) -> HybridMixture:
        """Fit to ``samples (n, D)``, in float64.

        ``weights (n,)`` says how often each row occurs. A row of weight 3 counts exactly as three equal rows:
        every sum of EM runs over samples, and so does the weighted median.

        Raises:
            DataError: not a table of finite numbers, or fewer samples than components.
        """
        samples = np.asarray(samples, np.float64)
        if samples.ndim != 2 or 0 in samples.shape or not np.isfinite(samples).all():
            raise DataError(
                f"mixture: expected a table (n, D) of finite numbers, found shape {samples.shape}; "
                "leave out empty rows and rows with NaN"
            )
        weights = np.ones(len(samples)) if weights is None else np.asarray(weights, np.float64)
        if weights.sum() < self.components:
            raise DataError(
                f"mixture: {weights.sum():g} samples for {self.components} components; give at least as many "
                "samples as components, or lower components"
            )
        with threadpool_limits(1, "blas"):  # sums of several threads differ in their last digits
            columns = np.ascontiguousarray(samples.T)
            order = np.argsort(columns, axis=1, kind="stable")
            self._start(samples, weights, columns, order)
            self.likelihoods_: list[float] = []
            for _ in progress(range(self.iterations), "mixture of word vectors", self.iterations):
                self._maximise(columns, order, self._expect(samples, weights))
            self._expect(samples, weights)
        return self

    def posteriors(self, samples: np.ndarray) -> np.ndarray:
        """Share of each component in each sample ``(n, K)``, float64; rows add up to 1."""
        joint = self._joint(np.asarray(samples, np.float64))
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def _joint(self, samples: np.ndarray) -> np.ndarray:
        """Log of prior times density of every component ``(n, K)``."""
        absolute = np.where(self.laplace_, 1 / self.scales_, 0)
        square = np.where(self.laplace_, 0, 0.5 / self.variances_)
        norm = np.where(self.laplace_, np.log(2 * self.scales_), 0.5 * np.log(2 * np.pi * self.variances_))
        with np.errstate(divide="ignore"):  # a dead component: log 0
            peak = np.log(self.priors_) - norm.sum(axis=1)
        out = np.empty((len(samples), self.components))
        for start in range(0, len(samples), _ROWS):
            block, rows = samples[start : start + _ROWS], out[start : start + _ROWS]
            for k, centre in enumerate(self.centres):
                away = np.abs(block - centre)
                rows[:, k] = peak[k] - away @ absolute[k] - (away * away) @ square[k]
        return out

    def _start(
        self, samples: np.ndarray, weights: np.ndarray, columns: np.ndarray, order: np.ndarray
    ) -> None:
        random = np.random.default_rng(self.seed)
        share = weights / weights.sum()
        count = len(samples)
        rows = random.choice(count, min(count, self.components), replace=False, p=share)
        rows = np.append(rows, random.choice(count, self.components - len(rows), p=share))
        self.means_ = samples[rows]
        self.medians_ = self.means_.copy()
        _, variance, _, deviation = self._moments(columns, order, weights[:, None])
        self.variances_ = np.repeat(np.maximum(variance, FLOOR), self.components, axis=0)
        self.scales_ = np.repeat(np.maximum(deviation, FLOOR), self.components, axis=0)
        self.laplace_ = (random.random(self.means_.shape) < 0.5) & self.hybrid
        self.priors_ = np.full(self.components, 1 / self.components)

    def _expect(self, samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weight of each sample in each component ``(n, K)``; notes the likelihood."""
        joint = self._joint(samples)
        total = logsumexp(joint, axis=1)
        self.likelihoods_.append(float(total @ weights / weights.sum()))
        return np.exp(joint - total[:, None]) * weights[:, None]

    def _maximise(self, columns: np.ndarray, order: np.ndarray, gamma: np.ndarray) -> None:
        mass = gamma.sum(axis=0)
        alive = mass > _DEAD
        self.priors_ = np.where(alive, mass, 0) / mass[alive].sum()
        mean, variance, median, deviation = self._moments(columns, order, gamma[:, alive])
        floored, scale = np.maximum(variance, FLOOR), np.maximum(deviation, FLOOR)
        gauss = -0.5 * (np.log(2 * np.pi * floored) + variance / floored)
        laplace = -np.log(2 * scale) - deviation / scale
        self.means_[alive], self.variances_[alive] = mean, floored
        self.medians_[alive], self.scales_[alive] = median, scale
        self.laplace_[alive] = (laplace > gauss) & self.hybrid

    def _moments(self, columns: np.ndarray, order: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weighted mean, variance, median and mean distance from it ``(K, D)``, by ``gamma (n, K)``.

        The median is the smallest sample up to which at least half of the weight lies; ``order (D, n)`` ranks
        ``columns (D, n)``.
        """
        mass = gamma.sum(axis=0)
        mean = (columns @ gamma / mass).T
        variance = np.maximum((columns * columns @ gamma / mass).T - mean**2, 0)
        if not self.hybrid:
            return mean, variance, mean, variance
        median, deviation = np.empty_like(mean), np.empty_like(mean)
        for d, (column, rank) in enumerate(zip(columns, order, strict=True)):
            up_to = np.cumsum(gamma[rank], axis=0)
            median[:, d] = column[rank[(up_to < up_to[-1] / 2).sum(axis=0)]]
            deviation[:, d] = np.einsum("nk,nk->k", np.abs(column[:, None] - median[:, d]), gamma)
        return mean, variance, median, deviation / mass[:, None]


class GaussianMixture(HybridMixture):
    """The plain mixture of Gaussians with diagonal covariance, for comparison.

    Same start, floors and attributes as :class:`HybridMixture`; ``laplace_`` is False throughout, and
    ``medians_`` and ``scales_`` mean nothing.

    >>> x = np.random.default_rng(0).laplace(size=(500, 2))
    >>> bool(GaussianMixture(components=2).fit(x).laplace_.any())
    False
    """

    hybrid = False


def unmixing_matrix(vectors: np.ndarray, weights: np.ndarray, seed: int = 0) -> np.ndarray:
    """Unmixing matrix ``(R, D)`` of ``vectors (U, D)`` by FastICA.

    ``weights (U,)`` says how often each row occurs: the result is that of the repeated rows, at the cost of
    the distinct ones, since FastICA reads its samples through means only. R is D, or less where the vectors
    span fewer dimensions. Components have variance 1 and any order. FastICA is scikit-learn's (parallel,
    log cosh, at most 200 iterations); the whitening before it takes the weights into account.

    Raises DataError where all vectors are the same.

    >>> x = np.random.default_rng(0).laplace(size=(400, 2)) @ [[2.0, 1.0], [1.0, 1.0]]
    >>> found = x @ unmixing_matrix(x, np.ones(400)).T
    >>> np.allclose(np.cov(found.T, bias=True), np.eye(2))
    True
    """
    share = weights / weights.sum()
    centred = vectors - share @ vectors
    variances, axes = eigh((centred * share[:, None]).T @ centred)
    kept = variances > max(_NULL * variances[-1], 1e-20)
    if not kept.any():
        raise DataError(
            "independent components: all known words have the same vector; give captions with more words, "
            "or ica=False"
        )
    axes = axes[:, kept]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    whitening = (axes / np.sqrt(variances[kept])).T
    start = np.random.default_rng(seed).standard_normal((len(whitening), len(whitening)))
    ica = FastICA(
        whiten=False, fun=_log_cosh, fun_args={"weight": share * len(share)}, w_init=start, max_iter=200
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 steps will do
        ica.fit(centred @ whitening.T)
    return ica.components_ @ whitening


def _log_cosh(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of log cosh and the mean of the second derivative; each sample counts by its weight."""
    first = np.tanh(x)
    second = ((1 - first * first) * weight).mean(axis=-1)
    first *= weight
    return first, second
