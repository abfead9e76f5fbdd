"""Independent components of word vectors, with a weight for each word."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import eigh
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from imtext.errors import DataError

_NULL = 1e-10  # directions with less than this part of the largest variance hold nothing


def unmixing_matrix(vectors: np.ndarray, weights: np.ndarray, seed: int = 0) -> tuple[np.ndarray, int]:
    """Unmixing matrix ``(R, D)`` of ``vectors (U, D)`` by FastICA, and the number of its iterations.

    ``weights (U,)`` says how often each row occurs: the result is that of the repeated rows, at the cost of
    the distinct ones, since FastICA reads its samples through means only. R is D, or less where the vectors
    span fewer dimensions. Components have variance 1 and any order. FastICA is scikit-learn's (parallel,
    log cosh, at most 200 iterations); the whitening before it takes the weights into account.

    Raises DataError where all vectors are the same.

    >>> x = np.random.default_rng(0).laplace(size=(400, 2)) @ [[2.0, 1.0], [1.0, 1.0]]
    >>> found = x @ unmixing_matrix(x, np.ones(400))[0].T
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
    rank = len(whitening)
    start = np.random.default_rng(seed).standard_normal((rank, rank))
    ica = FastICA(
        whiten=False, fun=_log_cosh, fun_args={"weight": share * len(share)}, w_init=start, max_iter=200
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by the number of iterations
        ica.fit(centred @ whitening.T)
    return ica.components_ @ whitening, ica.n_iter_


def _log_cosh(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of log cosh and the mean of the second derivative; each sample counts by its weight."""
    first = np.tanh(x)
    second = ((1 - first * first) * weight).mean(axis=-1)
    first *= weight
    return first, second
