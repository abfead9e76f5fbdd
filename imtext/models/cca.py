"""Normalised, regularised canonical correlation analysis in closed form: linear, and hard to beat.

Gong et al. (IJCV 2014) and Klein et al. (CVPR 2015); the baseline of Wang et al. (CVPR 2016, section 3.2).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.models.pair_moments import Moments, View, as_pairs
from imtext.progress import progress
from imtext.retrieval.recall import evaluate

_KIND = "imtext-cca-1"
_ARRAYS = ("correlations", "image_mean", "caption_mean", "image_weights", "caption_weights")
_FAINT = 1e-6  # correlations below this share of the first are rounding


class CCA:
    """Normalised CCA: linear maps under which matching images and captions correlate most.

    Both views are centred; with covariances C over all matching pairs, the maps solve
    ``max tr(Wx' Cxy Wy)`` under ``Wx' (Cxx + eta I) Wx = I = Wy' (Cyy + eta I) Wy``. Each direction is then
    weighted by its correlation to the ``power``, and embeddings are compared by cosine (Gong et al., with
    power 4). Images are stored once: an image with five captions counts five times.

    Ours, not cca-zoo 4.0.1, whose ``RidgeCCA`` needs dense views with a row per pair and tensorly besides.

    Args:
        dim: number of directions at most; None: all. Fewer where the data correlate in fewer (``dim_``).
        eta: added to the diagonal of both covariances as it stands; with rows of length 1 their variances add
            up to less than 1. The code of Klein et al. adds eta times the covariance's largest eigenvalue,
            and the field's 5e-5 to 1e-4 are in that unit: less by that factor here.
        power: exponent of the correlations.
        unit_rows: bring each row of both views to length 1 first.

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

    def __init__(
        self, dim: int | None = None, eta: float = 1e-4, power: float = 4.0, unit_rows: bool = True
    ) -> None:
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1):
            raise ConfigError(f"dim: expected a positive whole number or None, found {dim!r}")
        self.dim = None if dim is None else int(dim)
        self.eta = _not_negative(eta, "eta")
        self.power = _not_negative(power, "power")
        self.unit_rows = bool(unit_rows)

    def __repr__(self) -> str:
        return f"CCA(dim={self.dim}, eta={self.eta:g}, power={self.power:g}, unit_rows={self.unit_rows})"

    @property
    def dim_(self) -> int:
        """Length of an embedding."""
        return len(self.correlations_)

    def fit(self, images: Any, captions: Any, image_of_caption: Any = None, *, pairs: Any = None) -> CCA:
        """Solve for the maps.

        Args:
            images: ``(N, Dx)`` features, each image once; dense or sparse, as ``captions``.
            captions: ``(M, Dy)`` features.
            image_of_caption: ``(M,)`` index of each caption's image; or else
            pairs: ``(P, 2)`` indices of an image (a region) and a caption (a phrase) that match, in any
                number; a pair that is there twice counts twice.

        Memory beyond the arguments: some 3 Dx² + 3 Dy² + 4 Dx Dy numbers of 8 bytes and blocks of rows.
        """
        views = View(images, "images", self.unit_rows), View(captions, "captions", self.unit_rows)
        self._solve(Moments.of(*views, as_pairs(image_of_caption, pairs, tuple(map(len, views)))))
        return self

    def _solve(self, moments: Moments) -> None:
        found = _directions(moments, self.eta, self.dim)
        self.correlations_, self.image_weights_, self.caption_weights_ = found
        self.image_mean_, self.caption_mean_ = moments.image_mean, moments.caption_mean

    def embed_images(self, images: Any) -> np.ndarray:
        """Image features ``(N, Dx)`` to float32 ``(N, dim_)`` of length 1 (zeros for a row like the mean)."""
        return self._embed(images, "images")

    def embed_captions(self, captions: Any) -> np.ndarray:
        """Caption features ``(M, Dy)`` to float32 ``(M, dim_)``, as `embed_images`."""
        return self._embed(captions, "captions")

    def _embed(self, rows: Any, what: str) -> np.ndarray:
        self._check_fitted()
        view = View(rows, what, self.unit_rows)
        return _unit(_weighted(self._project(view), self.correlations_, self.power))

    def _project(self, view: View) -> np.ndarray:
        """Rows on the directions ``(n, dim_)`` float64, before correlations weigh in."""
        side = view.what.removesuffix("s")
        mean, weights = getattr(self, f"{side}_mean_"), getattr(self, f"{side}_weights_")
        if view.width != len(mean):
            raise DataError(
                f"{view.what}: expected {len(mean):,} columns as in fit, found {view.width:,}; "
                "take the features that the model was fitted on"
            )
        return view.times(weights) - mean @ weights

    def _check_fitted(self) -> None:
        if not hasattr(self, "correlations_"):
            raise ConfigError("CCA: expected a fitted model, found none; call fit or load first")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write maps and parameters to one safetensors file, first under a temporary name."""
        self._check_fitted()
        arrays = {name: getattr(self, f"{name}_") for name in _ARRAYS}
        names = ("dim", "eta", "power", "unit_rows")
        write_tensors(path, _KIND, arrays, {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CCA:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(path, _KIND, _ARRAYS)
        shapes = {name: array.shape for name, array in arrays.items()}
        try:
            (dim,), (width,), (length,) = (shapes[name] for name in _ARRAYS[:3])
            fits = shapes["image_weights"] == (width, dim) and shapes["caption_weights"] == (length, dim)
            if not fits or not dim or any(array.dtype != np.float64 for array in arrays.values()):
                raise ValueError(f"arrays of shapes {shapes}")
            if arrays["correlations"].min() <= 0 or arrays["correlations"].max() > 1:
                raise ValueError("correlations outside 0 to 1")
            loaded = cls(**settings)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: expected a fitted CCA, found {error}; save it again") from None
        for name, array in arrays.items():
            setattr(loaded, f"{name}_", array)
        return loaded


class Choice(NamedTuple):
    """What :func:`choose_cca` found: the model, and a table of all that was tried, one row a try."""

    cca: CCA
    tried: pd.DataFrame


def choose_cca(
    train_images: Any,
    train_captions: Any,
    train_owners: Any,
    val_images: Any,
    val_captions: Any,
    val_owners: Any,
    etas: Sequence[float] = (5e-5, 1e-4, 5e-4, 2e-3),
    powers: Sequence[float] = (0.0, 1.0, 2.0, 4.0),
    dims: Sequence[int | None] = (None,),
    unit_rows: bool = True,
    score: Callable[[np.ndarray, np.ndarray, Any], float] | None = None,
) -> Choice:
    """The CCA that scores best on validation data, fitted on training data.

    Covariances are computed once, each ``eta`` is solved once; ``powers`` and ``dims`` cost one evaluation
    each. Of equal scores the first in order of ``etas``, ``powers``, ``dims`` wins.

    Args:
        train_owners: ``image_of_caption (M,)``, or pairs ``(P, 2)`` of image and caption.
        val_owners: the same for validation; handed to ``score`` as it is.
        score: of unit embeddings ``(N, dim)``, ``(M, dim)`` and ``val_owners``, higher is better; None: the
            R-sum of `imtext.retrieval.evaluate`, which needs ``image_of_caption``.

    Returns:
        The fitted model, and a table with columns eta, power, dim (``dim_``) and score.

    Raises:
        ConfigError, DataError: as `CCA`; a list to choose from is empty; a score is not a finite number.

    >>> rng = np.random.default_rng(0)
    >>> x, owners = rng.standard_normal((40, 5)), np.arange(40)
    >>> best, tried = choose_cca(x[:20], x[:20], owners[:20], x[20:], x[20:], owners[:20], powers=(0, 4))
    >>> best.dim_, len(tried), float(tried.score.max())
    (5, 8, 600.0)
    """
    if not (len(etas) and len(powers) and len(dims)):
        raise ConfigError("choose_cca: expected at least one eta, power and dim each; found an empty list")
    # Every combination is checked before the first is computed.
    grid = [[CCA(d, e, p, unit_rows) for p in powers for d in dims] for e in etas]
    score = _rsum if score is None else score
    views = [View(train_images, "images", unit_rows), View(train_captions, "captions", unit_rows)]
    which = "pairs" if _is_table(train_owners) else "owners"
    moments = Moments.of(*views, as_pairs(**{which: train_owners}, counts=tuple(map(len, views))))
    views = [View(val_images, "images", unit_rows), View(val_captions, "captions", unit_rows)]
    best, highest, tried = None, -math.inf, []
    for row in progress(grid, "CCA", len(grid)):
        whole = CCA(None if None in dims else max(dims), row[0].eta, unit_rows=unit_rows)
        whole._solve(moments)
        projected = [whole._project(view) for view in views]
        for cca in row:
            scale = whole.correlations_[: cca.dim]
            found = float(score(*(_unit(_weighted(z, scale, cca.power)) for z in projected), val_owners))
            if not math.isfinite(found):
                raise ConfigError(f"score: expected a finite number, found {found} for {cca}; correct score")
            tried.append({"eta": cca.eta, "power": cca.power, "dim": len(scale), "score": found})
            if found > highest:
                best, highest = _cut(whole, cca), found
    return Choice(best, pd.DataFrame(tried))


def _is_table(owners: Any) -> bool:
    try:
        return np.ndim(owners) == 2
    except ValueError:  # lists of several lengths, refused later
        return True


def _rsum(images: np.ndarray, captions: np.ndarray, owners: Any) -> float:
    return evaluate(images, captions, owners).rsum


def _cut(whole: CCA, cca: CCA) -> CCA:
    """``cca`` with the first directions of a model of the same eta."""
    cca.correlations_ = whole.correlations_[: cca.dim]
    cca.image_mean_, cca.caption_mean_ = whole.image_mean_, whole.caption_mean_
    cca.image_weights_ = whole.image_weights_[:, : cca.dim]
    cca.caption_weights_ = whole.caption_weights_[:, : cca.dim]
    return cca


def _not_negative(value: float, name: str) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ConfigError(f"{name}: expected a finite number of at least 0, found {value!r}")
    return number


def _directions(moments: Moments, eta: float, dim: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlations (k,) and maps (Dx, k), (Dy, k): the singular vectors of the whitened cross-covariance.

    They come from the eigenvectors of its smaller Gram matrix, which takes a third of the time of an SVD.
    """
    left = _factor(moments.image_covariance, eta, "images", moments.rows[0])
    right = _factor(moments.caption_covariance, eta, "captions", moments.rows[1])
    white = solve_triangular(left, moments.cross, lower=True, check_finite=False)
    white = solve_triangular(right, white.T, lower=True, check_finite=False).T
    flat = white.shape[0] <= white.shape[1]
    small = white if flat else white.T
    squares, vectors = eigh(small @ small.T, overwrite_a=True, check_finite=False, driver="evd")
    correlations = np.sqrt(np.maximum(squares[::-1], 0))
    if not correlations[0] > 1e-12:
        raise DataError("CCA: images and captions do not correlate at all; check image_of_caption or pairs")
    count = int(np.count_nonzero(correlations > _FAINT * correlations[0]))
    correlations = correlations[: count if dim is None else min(count, dim)]
    one = vectors[:, ::-1][:, : len(correlations)]
    # A direction has no sign of its own; its largest number is made positive.
    one = one * np.where(one[np.abs(one).argmax(axis=0), np.arange(one.shape[1])] < 0, -1.0, 1.0)
    other = small.T @ one / correlations
    maps = (one, other) if flat else (other, one)
    back = [
        solve_triangular(factor, side, lower=True, trans="T", check_finite=False)
        for factor, side in zip((left, right), maps, strict=True)
    ]
    return np.minimum(correlations, 1.0), back[0], back[1]


def _factor(covariance: np.ndarray, eta: float, what: str, rows: int) -> np.ndarray:
    """The lower Cholesky factor of ``covariance + eta I``; ConfigError where that is singular."""
    width = len(covariance)
    ridged = covariance.copy()
    ridged.flat[:: width + 1] += eta
    largest = ridged.diagonal().max()
    try:
        factor = cholesky(ridged, lower=True, overwrite_a=True, check_finite=False)
        regular = factor.diagonal().min() ** 2 > 4 * width * np.finfo(float).eps * largest
    except LinAlgError:
        regular = False
    if not regular:
        flat = np.flatnonzero(covariance.diagonal() <= 1e-24 * largest)
        cause = f"column {flat[0]} is constant" if len(flat) else f"{rows:,} rows for {width:,} columns"
        raise ConfigError(
            f"eta={eta:g}: the covariance of the {what} is singular ({cause}); "
            "take a larger eta, such as 1e-4"
        )
    return factor


def _weighted(projected: np.ndarray, correlations: np.ndarray, power: float) -> np.ndarray:
    """The first columns, each times its correlation (as a share of the first one) to the power."""
    return projected[:, : len(correlations)] * (correlations / correlations[0]) ** power


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1 in float32; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
