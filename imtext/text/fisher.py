"""Captions as Fisher vectors: words to points, points to vectors, vectors to fewer numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info, threadpool_limits

from imtext.check import one_of, whole
from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.progress import progress
from imtext.text.bags import known_words
from imtext.text.mixture import GaussianMixture, HybridMixture, unmixing_matrix
from imtext.text.vectors import WordVectors

_KIND = "imtext-fisher-vectors-1"
_MIXTURES = {"hglmm": HybridMixture, "gmm": GaussianMixture}
_PARAMETERS = ("components", "mixture", "iterations", "sample", "pca", "ica", "seed", "pca_sample", "once")
_OF_MIXTURE = ("priors", "means", "variances", "medians", "scales", "laplace")
_SCALE = 10.0  # the paper's authors multiply by 10, for the numerics
_EXACT = 6144  # up to so many numbers PCA is exact
# A posterior below this changes no float32 digit of a Fisher vector, not even after the square root.
_SMALLEST = 1e-16
# Medians are samples. So near to one, in scales, a point lies on it: rounding must not decide the sign.
_ON_MEDIAN = 1e-9
_BLOCK = 1024  # captions encoded at once
_ROWS = 64  # captions that one thread works on: their vectors stay in the cache
_POINTS = 4096  # rows of contributions made at once, in float64


class FisherVectors(TransformerMixin, BaseEstimator):
    """Captions as Fisher vectors of their word vectors, reduced by PCA.

    ``fit`` takes the training captions: the vectors of their words brought to length 1; FastICA on a sample
    of these words, its matrix applied without removing the mean; length 1 again, times 10; the mixture by EM
    on the same sample. ``transform`` sums what the known words of a caption contribute, takes the signed
    square root, brings the vector to length 1 and projects it on the principal components of a sample of
    training captions. A caption without a known word becomes a row of zeros, and is counted.

    PCA is scikit-learn's. It fits on ``pca_sample`` captions, not on all, because that bounds memory: 18,000
    captions of 18,000 numbers are 1.3 GB. Up to 6,144 numbers it is exact (float64, the eigenvectors of the
    covariance); above it is randomised (float32), because exact PCA needs the eigenvectors of a matrix of
    18,000 x 18,000 and IncrementalPCA, with 6,000 components, one large decomposition for each batch.

    Args:
        vectors: word vectors of any length.
        components: components of the mixture.
        mixture: ``"hglmm"`` (Gaussian or Laplacian by dimension) or ``"gmm"`` (Gaussian).
        iterations: EM steps.
        sample: at most so many words are drawn for ICA and EM.
        pca: numbers per caption, or fewer where the data do not allow as many; None for no PCA.
        ica: False leaves the word vectors as they are, apart from their length.
        seed: of all draws.
        once: whether ICA and EM see each word once, or (False) as often as it occurs. Wang et al. do not say;
            the code that Klein et al. released draws uniformly from the vocabulary of word2vec. A few words
            have most of the occurrences, and with False many components hold one word each.
        pca_sample: captions that PCA is fitted on; None for three times what it may give, at least 1,000.

    Attributes:
        dim_: numbers per caption.
        unknown_: number of captions without a known word in the last ``transform`` (or ``fit``).
        unknown_captions_: their indices, int64.
        likelihoods_: mean log-likelihood of a word before the first EM step and after each.
        mixture_, unmixing_: the fitted mixture; the ICA matrix ``(R, D)`` or None.
        pca_components_, pca_mean_: ``(P, 2 K R)`` and ``(2 K R,)``, or None.

    Raises:
        ConfigError: a parameter out of range, or ``transform`` before ``fit``.
        DataError: a caption that is no string, or fewer known words than components.

    >>> words = WordVectors(["red", "dog", "cat", "a"], np.random.default_rng(0).normal(size=(4, 3)))
    >>> fisher = FisherVectors(words, components=2, pca=None).fit(["a red dog", "a cat", "a red cat"])
    >>> fisher.transform(["a dog", "?"]).shape, fisher.unknown_captions_.tolist()
    ((2, 12), [1])
    """

    def __init__(
        self,
        vectors: WordVectors,
        components: int = 30,
        mixture: str = "hglmm",
        iterations: int = 10,
        sample: int = 300_000,
        pca: int | None = 6000,
        ica: bool = True,
        seed: int = 0,
        pca_sample: int | None = None,
        once: bool = True,
    ) -> None:
        self.vectors = vectors
        self.components = components
        self.mixture = mixture
        self.iterations = iterations
        self.sample = sample
        self.pca = pca
        self.ica = ica
        self.seed = seed
        self.pca_sample = pca_sample
        self.once = once

    def fit(self, captions: Iterable[str], y: None = None) -> FisherVectors:
        """Fit ICA, mixture and PCA to training captions."""
        fitted = _MIXTURES[one_of("mixture", self.mixture, _MIXTURES)](
            self.components, self.iterations, whole("seed", self.seed, least=0)
        )
        whole("sample", self.sample, least=self.components)
        if self.pca is not None:
            whole("pca", self.pca)
        if self.pca_sample is not None:
            whole("pca_sample", self.pca_sample, least=2)
        counts, words = self._count(captions)
        random = np.random.default_rng(self.seed)
        occurrences = counts.sum(axis=0).astype(np.int64)
        weights = np.ones_like(occurrences) if self.once else occurrences
        total = int(weights.sum())
        if total < self.components:
            raise DataError(
                f"captions: {total} {'different ' if self.once else ''}known words in {counts.shape[0]} "
                f"captions, expected at least one for each of {self.components} components; give more "
                "captions, other word vectors or fewer components"
            )
        if total > self.sample:  # drawn without putting back, counted by word
            weights = random.multivariate_hypergeometric(weights, self.sample, method="marginals")
        drawn = np.flatnonzero(weights)
        weights = weights[drawn].astype(np.float64)
        self.unmixing_ = None
        with threadpool_limits(1, "blas"):  # sums of several threads differ in their last digits
            if self.ica:
                self.unmixing_ = unmixing_matrix(self._directions(words)[drawn], weights, self.seed)
            points = self.points(words)
        self.mixture_ = fitted.fit(points[drawn], weights)
        self.likelihoods_ = fitted.likelihoods_
        self.pca_components_ = self.pca_mean_ = None
        if self.pca is not None:
            self._fit_pca(counts, points, random)
        return self

    def transform(self, captions: Iterable[str]) -> np.ndarray:
        """Captions to float32 ``(M, dim_)``."""
        counts, words = self._count(captions)
        points = self.points(words)
        out = np.empty((counts.shape[0], self.dim_), np.float32)
        for start, block in encode(counts, points, self.mixture_):
            rows = slice(start, start + len(block))
            if self.pca_components_ is None:
                out[rows] = block
            else:
                out[rows] = (block - self.pca_mean_) @ self.pca_components_.T
        out[self.unknown_captions_] = 0
        return out

    def points(self, words: Sequence[str]) -> np.ndarray:
        """Words that have a vector as the mixture sees them ``(U, R)``: length 1, unmixed, length 10."""
        if not hasattr(self, "unmixing_"):
            raise ConfigError("FisherVectors: not fitted; call fit with the training captions, or load")
        rows = self._directions(words)
        return _SCALE * (rows if self.unmixing_ is None else _unit(rows @ self.unmixing_.T))

    @property
    def dim_(self) -> int:
        """Numbers per caption."""
        return 2 * self.mixture_.means_.size if self.pca_components_ is None else len(self.pca_components_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was fitted to one safetensors file, without the word vectors."""
        arrays = {name: getattr(self.mixture_, f"{name}_") for name in _OF_MIXTURE}
        arrays["laplace"] = arrays["laplace"].astype(np.uint8)
        for name, array in (
            ("unmixing", self.unmixing_),
            ("pca_components", self.pca_components_),
            ("pca_mean", self.pca_mean_),
        ):
            arrays[name] = np.empty(0) if array is None else array
        settings = {name: getattr(self, name) for name in _PARAMETERS}
        settings["likelihoods"] = self.likelihoods_
        write_tensors(Path(path), _KIND, arrays, settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str], vectors: WordVectors) -> FisherVectors:
        """Read what :meth:`save` wrote; ``vectors`` are the word vectors it was fitted with.

        Raises DataError for a damaged file, and for vectors of another length.
        """
        names = (*_OF_MIXTURE, "unmixing", "pca_components", "pca_mean")
        arrays, settings = read_tensors(Path(path), _KIND, names)
        fisher = cls(vectors, **{name: settings[name] for name in _PARAMETERS})
        given = arrays["unmixing" if fisher.ica else "means"].shape[1]
        if given != vectors.vector_size:
            raise DataError(
                f"{path}: expected word vectors of {given} numbers, found {vectors}; load the same, or "
                "fit again"
            )
        fisher.mixture_ = _MIXTURES[fisher.mixture](fisher.components, fisher.iterations, fisher.seed)
        for name in _OF_MIXTURE:
            setattr(fisher.mixture_, f"{name}_", arrays[name])
        fisher.mixture_.laplace_ = arrays["laplace"] == 1
        fisher.likelihoods_ = fisher.mixture_.likelihoods_ = settings["likelihoods"]
        fisher.unmixing_, fisher.pca_components_, fisher.pca_mean_ = (
            arrays[name] if arrays[name].size else None for name in ("unmixing", "pca_components", "pca_mean")
        )
        return fisher

    def _count(self, captions: Iterable[str]) -> tuple[sp.csr_array, list[str]]:
        """How often each caption holds each known word ``(M, U)``, and the words."""
        counts, words = known_words(captions, self.vectors)
        self.unknown_captions_ = np.flatnonzero(np.diff(counts.indptr) == 0)
        self.unknown_ = len(self.unknown_captions_)
        return counts, words

    def _directions(self, words: Sequence[str]) -> np.ndarray:
        rows = np.array([self.vectors[word] for word in words], np.float64)
        return _unit(rows.reshape(len(words), self.vectors.vector_size))

    def _fit_pca(self, counts: sp.csr_array, points: np.ndarray, random: np.random.Generator) -> None:
        full = 2 * self.mixture_.means_.size
        known = np.flatnonzero(np.diff(counts.indptr))
        wanted = min(self.pca, full)
        size = min(len(known), max(3 * wanted, 1000) if self.pca_sample is None else self.pca_sample)
        chosen = np.sort(random.choice(known, size, replace=False))
        exact = full <= _EXACT
        # Products in float32 differ from processor to processor, and training amplifies what differs.
        precision = np.float64 if exact else np.float32
        rows = np.empty((size, full), precision)
        blocks = encode(counts[chosen], points, self.mixture_)
        for start, block in progress(blocks, "Fisher vectors for PCA", -(-size // _BLOCK)):
            rows[start : start + len(block)] = block
        if np.ptp(rows, axis=0).max() < 1e-6:
            raise DataError(
                f"captions: the {size} captions for PCA have the same Fisher vector; give other captions, "
                "or pca=None"
            )
        solver = "covariance_eigh" if exact else "auto"
        pca = PCA(
            min(wanted, size - 1), copy=False, svd_solver=solver, iterated_power=1, random_state=self.seed
        )
        # Eigenvectors gain little from threads, whose sums differ in their last digits.
        with threadpool_limits(1 if exact else None, "blas"):
            pca.fit(rows)
        variances = pca.explained_variance_
        kept = variances > max(1e-9 * variances[0], 1e-12)  # the rest are directions of rounding
        self.pca_components_ = np.ascontiguousarray(pca.components_[kept], precision)
        self.pca_mean_ = pca.mean_.astype(precision)


def signed_root(rows: np.ndarray) -> np.ndarray:
    """Signed square root, then length 1 by row; rows of zeros stay.

    >>> signed_root(np.array([[9.0, -16.0], [0.0, 0.0]])).tolist()
    [[0.6, -0.8], [0.0, 0.0]]
    """
    roots = np.abs(rows)
    total = roots.sum(axis=1, keepdims=True)  # the squared length of the square roots
    roots *= 1 / np.where(total > 0, total, 1)
    np.sqrt(roots, out=roots)
    return np.copysign(roots, rows, out=roots)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays. (scikit-learn's ``normalize`` refuses a table of no rows.)"""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)


def _contributions(points: np.ndarray, mixture: HybridMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each of ``points (U, D)`` adds to the Fisher vector of a caption that holds it.

    A Fisher vector is a sum over words, up to 1/√N. So a word is worked out once, however often it occurs,
    and only for the components it belongs to (posterior of at least 1e-16): word vectors lie far apart, and
    few components claim a word. Returns words and components of the P pairs, and float32 ``(P, 2 D)``: the
    derivatives by centre, then by spread. With posterior γ and prior π, a Laplacian dimension (median m,
    scale s) has γ sgn(x − m) / √π, where a distance below 1e-9 s has sign 0, and γ (abs(x − m) / s − 1) / √π;
    a Gaussian one (mean μ, standard deviation σ) γ (x − μ) / (σ √π) and γ ((x − μ)² / σ² − 1) / √(2π).
    Source: Klein and others, CVPR 2015.
    """
    gamma = mixture.posteriors(points)
    words, parts = np.nonzero(gamma >= _SMALLEST)
    weight = (gamma[words, parts] / np.sqrt(mixture.priors_[parts]))[:, None]
    out = np.empty((len(words), 2 * points.shape[1]), np.float32)
    for start in range(0, len(words), _POINTS):
        rows = slice(start, start + _POINTS)
        part = parts[rows]
        laplace = mixture.laplace_[part]
        away = (points[words[rows]] - mixture.centres[part]) / mixture.spreads[part]
        sign = np.where(np.abs(away) > _ON_MEDIAN, np.sign(away), 0)
        first = np.where(laplace, sign, away)
        second = np.where(laplace, np.abs(away) - 1, (away * away - 1) / np.sqrt(2))
        out[rows] = weight[rows] * np.hstack([first, second])
    return words, parts, out


def encode(
    counts: sp.csr_array, points: np.ndarray, mixture: HybridMixture
) -> Iterator[tuple[int, np.ndarray]]:
    """Fisher vectors ``(b, 2 K D)`` float32 of up to 1,024 captions, after root and length, and their start.

    ``counts (M, U)`` says how often each caption holds each of ``points (U, D)``. First come the derivatives
    by the centres, component by component, then those by the spreads.
    """
    components, dim = mixture.means_.shape
    words, parts, added = _contributions(points, mixture)
    pairs = np.arange(len(words))
    claims = sp.csr_array((np.ones(len(words)), (words, pairs)), shape=(len(points), len(words)))
    counts = sp.diags_array(1 / np.sqrt(np.maximum(counts.sum(axis=1), 1))) @ counts
    # As many threads as the linear algebra has: one setting governs both.
    threads = max((one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"), default=1)

    def encoded(block: sp.csr_array) -> np.ndarray:
        """Each word of each caption becomes one entry for each component that claims it."""
        entries = (block @ claims).tocoo()
        place = entries.row * components + parts[entries.col]
        shape = (block.shape[0] * components, len(words))
        spread = sp.csr_array((entries.data.astype(np.float32), (place, entries.col)), shape=shape)
        spread.sort_indices()
        sums = (spread @ added).reshape(-1, components, 2, dim)
        return signed_root(sums.swapaxes(1, 2).reshape(block.shape[0], -1))

    for start in range(0, counts.shape[0], _BLOCK):
        block = counts[start : start + _BLOCK]
        with ThreadPoolExecutor(threads) as pool:
            rows = [block[first : first + _ROWS] for first in range(0, block.shape[0], _ROWS)]
            yield start, np.concatenate(list(pool.map(encoded, rows)))
