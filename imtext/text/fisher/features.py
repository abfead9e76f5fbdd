"""Captions as Fisher vectors: words to points, points to vectors, vectors to fewer numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.progress import progress
from imtext.text.fisher.encode import SMALLEST, Contributions
from imtext.text.fisher.ica import unmixing_matrix
from imtext.text.fisher.mixture import GaussianMixture, HybridMixture, workers
from imtext.text.bags import as_captions
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors

_KIND = "imtext-fisher-vectors-1"
_MIXTURES = {"hglmm": HybridMixture, "gmm": GaussianMixture}
_PARAMETERS = ("components", "mixture", "iterations", "sample", "pca", "ica", "seed", "pca_sample", "once")
_OF_MIXTURE = ("priors", "means", "variances", "medians", "scales", "laplace")
_SCALE = 10.0  # the paper's authors multiply by 10, for the numerics
_EXACT = 6144  # up to so many numbers PCA is exact
_BLOCK = 1024  # captions encoded at once
_CONTRIBUTIONS = 1 << 29  # bytes for what words contribute
_PROBES = 16  # words by which word vectors are recognised


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
        mixture_, unmixing_, ica_iterations_: the fitted mixture; the ICA matrix ``(R, D)`` or None; the
            iterations it took (200 is the limit).
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
        self._check()
        counts, words = self._count(captions)
        random = np.random.default_rng(self.seed)
        occurrences = np.asarray(counts.sum(axis=0), dtype=np.int64)
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
        with threadpool_limits(1, "blas"):  # sums of several threads differ in their last digits
            self.unmixing_, self.ica_iterations_ = None, 0
            if self.ica:
                unit = _unit(self._rows(words)[drawn])
                self.unmixing_, self.ica_iterations_ = unmixing_matrix(unit, weights, self.seed)
            points = self._points(words)
        fitted = _MIXTURES[self.mixture](self.components, self.iterations, self.seed)
        self.mixture_ = fitted.fit(points[drawn], weights)
        self.likelihoods_ = list(fitted.likelihoods_)
        self.pca_components_ = self.pca_mean_ = None
        often = np.argsort(-occurrences[drawn], kind="stable")[:_PROBES]
        self._probes = [words[i] for i in drawn[often]]
        if self.pca is not None:
            self._fit_pca(counts, points, random)
        return self

    def transform(self, captions: Iterable[str]) -> np.ndarray:
        """Captions to float32 ``(M, dim_)``."""
        captions = as_captions(captions)
        out = np.empty((len(captions), self.dim_), np.float32)
        start = 0
        for block in self.blocks(captions):
            out[start : start + len(block)] = block
            start += len(block)
        return out

    def blocks(self, captions: Iterable[str]) -> Iterator[np.ndarray]:
        """What :meth:`transform` gives, in order, 1,024 rows at a time, for more than memory holds."""
        self._check_fitted()
        counts, words = self._count(captions)
        points = self._points(words)
        for block in self._encode(counts, points):
            yield block if self.pca_components_ is None else self._project(block)

    def points(self, words: Sequence[str]) -> np.ndarray:
        """Words as the mixture sees them ``(U, R)``: length 1, unmixed, length 10.

        Raises DataError for a word without a vector.
        """
        self._check_fitted()
        for word in words:
            if word not in self.vectors:
                raise DataError(f"words: {word!r} has no vector in {self.vectors.name}; leave it out")
        return self._points(words)

    @property
    def dim_(self) -> int:
        """Numbers per caption."""
        self._check_fitted()
        return 2 * self.mixture_.means_.size if self.pca_components_ is None else len(self.pca_components_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was fitted to one safetensors file, without the word vectors."""
        self._check_fitted()
        arrays = {name: getattr(self.mixture_, f"{name}_") for name in _OF_MIXTURE}
        arrays["laplace"] = arrays["laplace"].astype(np.uint8)
        arrays["unmixing"] = np.empty((0, 0)) if self.unmixing_ is None else self.unmixing_
        bare = self.pca_components_ is None
        arrays["pca_components"] = np.empty((0, 0), np.float32) if bare else self.pca_components_
        arrays["pca_mean"] = np.empty(0, np.float32) if bare else self.pca_mean_
        arrays["probes"] = self._rows(self._probes)
        settings = {name: getattr(self, name) for name in _PARAMETERS}
        settings |= {
            "likelihoods": self.likelihoods_,
            "ica_iterations": self.ica_iterations_,
            "probes": self._probes,
        }
        write_tensors(path, _KIND, arrays, settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str], vectors: WordVectors) -> FisherVectors:
        """Read what :meth:`save` wrote; ``vectors`` are the word vectors it was fitted with.

        Raises DataError for a damaged file, and where the vectors of the words it knows best are others.
        """
        names = (*_OF_MIXTURE, "unmixing", "pca_components", "pca_mean", "probes")
        arrays, settings = read_tensors(path, _KIND, names)
        try:
            fisher = cls(vectors, **{name: settings[name] for name in _PARAMETERS})
            fisher._check()
            fisher._restore(arrays, settings)
        except Exception as error:  # DataError, ConfigError, and what NumPy raises on odd content
            found = str(error) or type(error).__name__
            raise DataError(
                f"{path}: expected Fisher vectors fitted with these word vectors, found {found}; "
                "load the word vectors of then, or fit again"
            ) from None
        return fisher

    def _restore(self, arrays: dict[str, np.ndarray], settings: dict) -> None:
        means, unmixing, probes = arrays["means"], arrays["unmixing"], arrays["probes"]
        components, base = arrays["pca_components"], arrays["pca_mean"]
        rank = means.shape[-1]
        _expect(means.shape == (self.components, rank) and rank > 0, "means of another shape")
        for name in ("variances", "medians", "scales", "laplace"):
            _expect(arrays[name].shape == means.shape, f"{name} of another shape")
        _expect(min(arrays["variances"].min(), arrays["scales"].min()) > 0, "a spread that is not positive")
        priors = arrays["priors"]
        _expect(priors.shape == (self.components,), "priors of another shape")
        _expect(priors.min() >= 0 and abs(priors.sum() - 1) < 1e-6, "priors that do not add up to 1")
        dim = self.vectors.vector_size
        _expect(probes.ndim == 2 and probes.shape[1] == dim, f"word vectors of {probes.shape[1:]} numbers")
        _expect(unmixing.shape == ((rank, dim) if self.ica else (0, 0)), "an ICA matrix of another shape")
        full = 2 * means.size
        reduced = components.ndim == 2 and components.shape[1] == full and base.shape == (full,)
        _expect(reduced if self.pca else components.size == base.size == 0, "a PCA of another shape")
        known = [i for i, word in enumerate(settings["probes"]) if word in self.vectors]
        _expect(bool(known) and len(settings["probes"]) == len(probes), "none of its words among the vectors")
        given = self._rows([settings["probes"][i] for i in known])
        _expect(np.allclose(given, probes[known], atol=1e-6), "other vectors for the same words")
        self.mixture_ = _MIXTURES[self.mixture](self.components, self.iterations, self.seed)
        for name in _OF_MIXTURE:
            setattr(self.mixture_, f"{name}_", arrays[name])
        self.mixture_.laplace_ = arrays["laplace"] == 1
        self.likelihoods_ = self.mixture_.likelihoods_ = [float(x) for x in settings["likelihoods"]]
        self.ica_iterations_ = int(settings["ica_iterations"])
        self.unmixing_ = unmixing if self.ica else None
        self.pca_components_, self.pca_mean_ = (components, base) if self.pca else (None, None)
        self._probes = [str(word) for word in settings["probes"]]

    def _count(self, captions: Iterable[str]) -> tuple[sp.csr_array, list[str]]:
        """How often each caption holds each known word ``(M, U)``, and the words."""
        captions = as_captions(captions)
        code: dict[str, int] = {}  # -1 for words without a vector
        words: list[str] = []
        found: list[int] = []
        ends = np.zeros(len(captions) + 1, np.int64)
        for row, caption in enumerate(captions):
            for word in tokenize(caption):
                number = code.get(word)
                if number is None:
                    number = code[word] = len(words) if word in self.vectors else -1
                    if number >= 0:
                        words.append(word)
                if number >= 0:
                    found.append(number)
            ends[row + 1] = len(found)
        shape = (len(captions), len(words))
        counts = sp.csr_array((np.ones(len(found)), np.array(found, np.int64), ends), shape=shape)
        counts.sum_duplicates()
        self.unknown_captions_ = np.flatnonzero(np.diff(ends) == 0)
        self.unknown_ = len(self.unknown_captions_)
        return counts, words

    def _rows(self, words: Sequence[str]) -> np.ndarray:
        rows = np.empty((len(words), self.vectors.vector_size), np.float64)
        for row, word in zip(rows, words, strict=True):
            row[:] = self.vectors[word]
        return rows

    def _points(self, words: Sequence[str]) -> np.ndarray:
        rows = _unit(self._rows(words))
        if self.unmixing_ is not None:
            rows = _unit(rows @ self.unmixing_.T)
        return _SCALE * rows

    def _encode(self, counts: sp.csr_array, points: np.ndarray) -> Iterator[np.ndarray]:
        """Fisher vectors of full length, block by block."""
        gamma = self.mixture_.posteriors(points)
        sizes = (gamma >= SMALLEST).sum(axis=1)
        most = max(1, _CONTRIBUTIONS // (8 * points.shape[1]))
        for start, stop in _ranges(counts, sizes, most):
            part = counts[start:stop]
            used, indices = np.unique(part.indices, return_inverse=True)
            part = sp.csr_array((part.data, indices, part.indptr), shape=(stop - start, len(used)))
            with workers() as pool:
                table = Contributions(points[used], gamma[used], self.mixture_, pool)
            for row in range(0, stop - start, _BLOCK):
                with workers() as pool:  # closed before the caller works on the block
                    block = table.encode(part[row : row + _BLOCK], pool)
                yield block

    def _fit_pca(self, counts: sp.csr_array, points: np.ndarray, random: np.random.Generator) -> None:
        full = 2 * self.mixture_.means_.size
        known = np.flatnonzero(np.diff(counts.indptr))
        wanted = min(self.pca, full)
        size = min(len(known), max(3 * wanted, 1000) if self.pca_sample is None else self.pca_sample)
        if size < 2:
            raise DataError(
                f"captions: {size} captions with a known word, expected two or more to fit PCA; "
                "give more captions, or pca=None"
            )
        chosen = np.sort(random.choice(known, size, replace=False))
        exact = full <= _EXACT
        rows = np.empty((size, full), np.float64 if exact else np.float32)
        blocks = self._encode(counts[chosen], points)
        start = 0
        for block in progress(blocks, "Fisher vectors for PCA", -(-size // _BLOCK)):
            rows[start : start + len(block)] = block
            start += len(block)
        self._principal(rows, min(wanted, size - 1), exact)

    def _principal(self, rows: np.ndarray, count: int, exact: bool) -> None:
        size, full = rows.shape
        few = count < 0.8 * min(size, full)
        solver = "covariance_eigh" if exact else "randomized" if few else "full"
        options = {"iterated_power": 1} if solver == "randomized" else {}
        # Eigenvectors gain little from threads, whose sums differ in their last digits.
        with threadpool_limits(1 if exact else None, "blas"), np.errstate(invalid="ignore"):
            found = PCA(count, copy=False, svd_solver=solver, random_state=self.seed, **options).fit(rows)
        variances = found.explained_variance_
        kept = variances > max(1e-9 * variances[0], 1e-12)  # the rest are directions of rounding
        if not kept.any():
            raise DataError(
                "captions: all captions for PCA have the same Fisher vector; give other captions, "
                "or pca=None"
            )
        # Products in float32 differ from processor to processor, and training amplifies what differs.
        precision = np.float64 if exact else np.float32
        self.pca_components_ = np.ascontiguousarray(found.components_[kept], precision)
        self.pca_mean_ = found.mean_.astype(precision)

    def _project(self, block: np.ndarray) -> np.ndarray:
        reduced = (block - self.pca_mean_) @ self.pca_components_.T
        reduced[~block.any(axis=1)] = 0
        return reduced

    def _check_fitted(self) -> None:
        if not hasattr(self, "_probes"):
            raise ConfigError("FisherVectors: not fitted; call fit with the training captions, or load")

    def _check(self) -> None:
        if not isinstance(self.vectors, WordVectors):
            raise ConfigError(
                f"vectors: expected WordVectors, found {type(self.vectors).__name__}; "
                "use load_word_vectors, or WordVectors.from_gensim"
            )
        for name in ("ica", "once"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: expected True or False, found {getattr(self, name)!r}")
        if not isinstance(self.mixture, str) or self.mixture not in _MIXTURES:
            raise ConfigError(f"mixture: expected 'hglmm' or 'gmm', found {self.mixture!r}")
        least = {"components": 1, "iterations": 0, "sample": 1, "seed": 0, "pca": 1, "pca_sample": 2}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is None and name.startswith("pca"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < lowest:
                raise ConfigError(f"{name}: expected a whole number from {lowest}, found {value!r}")
        if self.sample < self.components:
            raise ConfigError(f"sample: {self.sample} words for {self.components} components; draw more")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DataError(otherwise)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def _ranges(counts: sp.csr_array, sizes: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Ranges of captions, whole blocks, whose words have at most ``most`` contributions where possible."""
    waiting, found = [(0, counts.shape[0])], []
    while waiting:
        start, stop = waiting.pop()
        words = np.unique(counts.indices[counts.indptr[start] : counts.indptr[stop]])
        if stop - start <= _BLOCK or sizes[words].sum() <= most:
            found.append((start, stop))
        else:
            middle = start + -(-(stop - start) // (2 * _BLOCK)) * _BLOCK
            waiting += [(middle, stop), (start, middle)]
    return found
