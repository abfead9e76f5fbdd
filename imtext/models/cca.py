"""Normalised, regularised canonical correlation analysis in closed form: linear, and hard to beat.

Gong et al. (IJCV 2014) and Klein et al. (CVPR 2015); the baseline of Wang et al. (CVPR 2016, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from imtext.check import number, whole
from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.progress import progress

_KIND = "imtext-cca-1"
_ARRAYS = ("correlations", "image_mean", "caption_mean", "image_weights", "caption_weights")
_NUMBERS = 1 << 23  # float64 numbers in a block of rows: 64 MB
Sides = tuple[np.ndarray, np.ndarray]  # of images and of captions


class CCA:
    """Normalised CCA: linear maps under which matching images and captions correlate most.

    Both views are centred; with covariances C over all matching pairs, the maps solve
    ``max tr(Wx' Cxy Wy)`` under ``Wx' (Cxx + eta I) Wx = I = Wy' (Cyy + eta I) Wy``. Each direction is then
    weighted by its correlation to the ``power``, and embeddings are compared by cosine (Gong et al., with
    power 4). Rows of both views are brought to length 1 first. Images are stored once: an image with five
    captions counts five times.

    Ours, not cca-zoo 4.0.1, whose ``RidgeCCA`` needs dense views with a row per pair and tensorly besides.

    Args:
        dim: number of directions at most; None: all. Fewer where the data correlate in fewer (``dim_``).
        eta: added to the diagonal of both covariances as it stands; with rows of length 1 their variances add
            up to less than 1. The code of Klein et al. adds eta times the covariance's largest eigenvalue,
            and the field's 5e-5 to 1e-4 are in that unit: less by that factor here.
        power: exponent of the correlations.

    Attributes:
        correlations_: ``(dim_,)`` regularised canonical correlations, descending, float64.
        image_mean_, caption_mean_: ``(Dx,)``, ``(Dy,)``.
        image_weights_, caption_weights_: ``(Dx, dim_)``, ``(Dy, dim_)``, columns not yet weighted.

    Raises:
        ConfigError: a parameter is out of range, or ``eta`` too small for a singular covariance.
        DataError: features of odd shape, NaN or infinity in them, rows without variance.

    >>> rng = np.random.default_rng(0)
    >>> images = rng.standard_normal((50, 6))
    >>> cca = CCA(dim=3).fit(images, images[:, ::-1], np.arange(50))
    >>> cca.correlations_.round(2).tolist(), cca.embed_images(images).shape
    ([1.0, 1.0, 1.0], (50, 3))
    """

    def __init__(self, dim: int | None = None, eta: float = 1e-4, power: float = 4.0) -> None:
        self.dim = None if dim is None else whole("dim", dim)
        self.eta = number("eta", eta)
        self.power = number("power", power)

    @property
    def dim_(self) -> int:
        """Length of an embedding."""
        return len(self.correlations_)

    def fit(self, images: Any, captions: Any, pairs: Any) -> CCA:
        """Solve for the maps.

        Args:
            images: ``(N, Dx)`` features, each image once; dense or sparse, as ``captions``.
            captions: ``(M, Dy)`` features.
            pairs: ``image_of_caption (M,)``, the index of each caption's image; or ``(P, 2)`` indices of an
                image (a region) and a caption (a phrase) that match, in any number; a pair that is there
                twice counts twice.

        Memory beyond the arguments: some 3 Dx² + 3 Dy² + 4 Dx Dy numbers of 8 bytes and blocks of rows.
        """
        return self._solve(*_moments(images, captions, pairs))

    def _solve(self, means: Sides, covariances: Sides, cross: np.ndarray) -> CCA:
        """Correlations and maps: the singular vectors of the whitened cross-covariance.

        They come from the eigenvectors of its smaller Gram matrix, which takes a third of the time of an SVD.
        """
        left = _factor(covariances[0], self.eta, "images")
        right = _factor(covariances[1], self.eta, "captions")
        white = solve_triangular(left, cross, lower=True, check_finite=False)
        white = solve_triangular(right, white.T, lower=True, check_finite=False).T
        flat = white.shape[0] <= white.shape[1]
        small = white if flat else white.T
        squares, vectors = eigh(small @ small.T, overwrite_a=True, check_finite=False, driver="evd")
        found = np.sqrt(np.maximum(squares[::-1], 0))
        if not found[0] > 1e-12:
            raise DataError("CCA: images and captions do not correlate; check image_of_caption or pairs")
        count = int(np.count_nonzero(found > 1e-6 * found[0]))  # fainter ones are rounding
        found = found[: count if self.dim is None else min(count, self.dim)]
        one = vectors[:, ::-1][:, : len(found)]
        # A direction has no sign of its own; its largest number is made positive.
        one = one * np.where(one[np.abs(one).argmax(axis=0), np.arange(one.shape[1])] < 0, -1.0, 1.0)
        maps = one, small.T @ one / found
        self.image_weights_, self.caption_weights_ = (
            solve_triangular(factor, side, lower=True, trans="T", check_finite=False)
            for factor, side in zip((left, right), maps if flat else maps[::-1], strict=True)
        )
        self.correlations_ = np.minimum(found, 1.0)
        self.image_mean_, self.caption_mean_ = means
        return self

    def embed_images(self, images: Any) -> np.ndarray:
        """Image features ``(N, Dx)`` to float32 ``(N, dim_)`` of length 1 (zeros for a row like the mean)."""
        return self._weighted(self._project(images, "image"))

    def embed_captions(self, captions: Any) -> np.ndarray:
        """Caption features ``(M, Dy)`` to float32 ``(M, dim_)``, as `embed_images`."""
        return self._weighted(self._project(captions, "caption"))

    def _project(self, rows: Any, side: str) -> np.ndarray:
        """Rows on the directions ``(n, dim_)`` float64, before correlations weigh in."""
        if not hasattr(self, "correlations_"):
            raise ConfigError("CCA: expected a fitted model, found none; call fit or load first")
        rows = _matrix(rows, f"{side}s")
        mean, weights = getattr(self, f"{side}_mean_"), getattr(self, f"{side}_weights_")
        if rows.shape[1] != len(mean):
            raise DataError(
                f"{side}s: expected {len(mean):,} columns as in fit, found {rows.shape[1]:,}; "
                "take the features that the model was fitted on"
            )
        return np.concatenate([block @ weights for _, block in _blocks(rows, f"{side}s")]) - mean @ weights

    def _weighted(self, projected: np.ndarray) -> np.ndarray:
        """Each direction times its correlation, as a share of the first one, to the power; then length 1."""
        rows = projected * (self.correlations_ / self.correlations_[0]) ** self.power
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write maps and parameters to one safetensors file, first under a temporary name."""
        settings = {"dim": self.dim, "eta": self.eta, "power": self.power}
        write_tensors(Path(path), _KIND, {name: getattr(self, f"{name}_") for name in _ARRAYS}, settings)

    @classmethod
    def load(cls, path: str | Path) -> CCA:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(Path(path), _KIND, _ARRAYS)
        loaded = cls(*(settings.get(name) for name in ("dim", "eta", "power")))
        for name, array in arrays.items():
            setattr(loaded, f"{name}_", array)
        return loaded


def choose_cca(
    train: tuple[Any, Any, Any],
    val: tuple[Any, Any],
    score: Callable[[np.ndarray, np.ndarray], float],
    etas: Sequence[float] = (5e-5, 1e-4, 5e-4, 2e-3),
    powers: Sequence[float] = (0.0, 1.0, 2.0, 4.0),
    dim: int | None = None,
) -> tuple[CCA, list[dict[str, float]]]:
    """The CCA that scores best on validation data, fitted on training data.

    Covariances are computed once, each ``eta`` is solved once; each of ``powers`` costs one evaluation. Of
    equal scores the first in order of ``etas``, ``powers`` wins.

    Args:
        train: images, captions and ``image_of_caption`` or pairs, as for :meth:`CCA.fit`.
        val: images and captions.
        score: of unit embeddings ``(N, dim)``, ``(M, dim)`` of the validation data, higher is better.

    Returns:
        The fitted model, and all that was tried: eta, power, dim (``dim_``) and score of each.

    Raises:
        ConfigError, DataError: as `CCA`; no eta or no power to choose from.

    >>> rng = np.random.default_rng(0)
    >>> x, owners = rng.standard_normal((40, 5)), np.arange(20)
    >>> def right(images, captions):
    ...     return np.mean((images @ captions.T).argmax(0) == owners)
    >>> best, tried = choose_cca((x[:20], x[:20], owners), (x[20:], x[20:]), right, powers=(0, 4))
    >>> best.dim_, len(tried), float(tried[0]["score"])
    (5, 8, 1.0)
    """
    whole("number of etas and powers", len(etas) * len(powers))
    moments = _moments(*train)
    tried, found = [], []
    for eta in progress(etas, "CCA", len(etas)):
        solved = CCA(dim, eta)._solve(*moments)
        images, captions = solved._project(val[0], "image"), solved._project(val[1], "caption")
        for power in powers:
            cca = copy(solved)
            cca.power = number("power", power)
            found.append(cca)
            reached = float(score(cca._weighted(images), cca._weighted(captions)))
            tried.append({"eta": cca.eta, "power": cca.power, "dim": cca.dim_, "score": reached})
    return found[int(np.argmax([one["score"] for one in tried]))], tried


def _moments(images: Any, captions: Any, pairs: Any) -> tuple[Sides, Sides, np.ndarray]:
    """Means, covariances ``(D, D)`` and ``cross (Dx, Dy)`` over matching pairs, each row stored once."""
    images, captions = _matrix(images, "images"), _matrix(captions, "captions")
    shares = _shares(pairs, images.shape[0], captions.shape[0])
    sides = _spread(images, "images", shares.sum(axis=1)), _spread(captions, "captions", shares.sum(axis=0))
    means, covariances = zip(*sides, strict=True)
    cross = np.zeros((images.shape[1], captions.shape[1]))
    # An image's captions are added up before the product, which then has N rows, not M.
    several = max(1, round(shares.nnz / images.shape[0]))
    for part, block in _blocks(images, "images", captions.shape[1] * several):
        named = np.unique(shares[part].indices)
        cross += _dense(block.T @ (shares[part][:, named] @ _unit(captions[named], "captions")))
    return means, covariances, cross - np.outer(*means)


def _shares(pairs: Any, n_images: int, n_captions: int) -> sparse.csr_array:
    """How often each pair counts ``(N, M)``, all together 1, from owners ``(M,)`` or pairs ``(P, 2)``."""
    found = np.asarray(pairs)
    if found.ndim == 1 and len(found) == n_captions:
        found = np.stack([found, np.arange(n_captions)], axis=1)
    fits = found.ndim == 2 and found.shape[1] == 2 and found.dtype.kind in "iu" and len(found) > 1
    if not fits or found.min() < 0 or (found >= (n_images, n_captions)).any():
        raise DataError(
            f"CCA: expected image_of_caption ({n_captions},) or pairs (P, 2), two or more, in whole numbers, "
            f"below {n_images} for images and {n_captions} for captions, found {found.dtype} {found.shape}"
        )
    ones = np.full(len(found), 1 / len(found))
    return sparse.csr_array((ones, tuple(found.T)), shape=(n_images, n_captions))


def _spread(rows: Any, what: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and covariance; sparse rows are not made dense."""
    mean, squares = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
    for part, block in _blocks(rows, what):
        mean += weights[part] @ block
        rooted = sparse.diags_array(np.sqrt(weights[part])).tocsr() @ block
        squares += _dense(rooted.T @ rooted)
    covariance = squares - np.outer(mean, mean)
    if not covariance.trace() > 1e-13 * (mean @ mean):
        raise DataError(f"{what}: all rows are equal, CCA needs them to differ; check the features")
    return mean, covariance


def _matrix(rows: Any, what: str) -> Any:
    """Features as an array, or as a sparse one of rows."""
    rows = sparse.csr_array(rows) if sparse.issparse(rows) else np.asarray(rows)
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
        raise DataError(f"{what}: expected numbers (rows, columns), found {rows.dtype} of shape {rows.shape}")
    return rows


def _blocks(rows: Any, what: str, more: int = 0) -> Iterator[tuple[slice, Any]]:
    """Blocks of rows of bounded size, ``more`` numbers of work space a row; sparse ones may be one block."""
    step = max(64, _NUMBERS // (more + (0 if sparse.issparse(rows) else rows.shape[1]) or 1))
    for start in range(0, rows.shape[0], step):
        part = slice(start, start + step)
        yield part, _unit(rows[part], what, start)


def _unit(rows: Any, what: str, first: int = 0) -> Any:
    """Rows in float64 and of length 1, dense or sparse as they are; a row of zeros stays."""
    rows = rows.astype(np.float64)
    with np.errstate(over="ignore"):
        squares = rows.multiply(rows).sum(axis=1) if sparse.issparse(rows) else (rows * rows).sum(axis=1)
    wrong = np.flatnonzero(~np.isfinite(squares))
    if len(wrong):
        raise DataError(f"{what}: row {first + wrong[0]} holds NaN, infinity or more than 1e154; repair it")
    scale = 1 / np.sqrt(np.where(squares > 0, squares, np.inf))
    return sparse.diags_array(scale).tocsr() @ rows


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def _factor(covariance: np.ndarray, eta: float, what: str) -> np.ndarray:
    """The lower Cholesky factor of ``covariance + eta I``; ConfigError where that is singular."""
    ridged = covariance + eta * np.eye(len(covariance))
    least = 4 * len(ridged) * np.finfo(float).eps * ridged.diagonal().max()
    with suppress(LinAlgError):
        factor = cholesky(ridged, lower=True, overwrite_a=True, check_finite=False)
        if factor.diagonal().min() ** 2 > least:
            return factor
    raise ConfigError(
        f"eta={eta:g}: the covariance of the {what} is singular (fewer rows than columns, or a constant "
        "column); take a larger eta, such as 1e-4"
    )
