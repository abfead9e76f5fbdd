"""How far apart true and false pairs lie, how well two modalities mix, and how alike a set of features is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imtext.check import whole
from imtext.errors import DataError
from imtext.retrieval.similarity import as_owners, as_pair, as_rows, slices
from imtext.retrieval.uncertainty import cluster_bootstrap
from imtext.unit import unit_rows

_NUMBERS = 1 << 22  # cosines or distances held at a time, in float64
_TIE = 1e-12  # distances that differ by less of what they are computed from are equal: the rest is rounding


@dataclass(frozen=True)
class Separation:
    """Similarity of true and false pairs (Zheng et al., Fig. 5 and Eq. 10).

    ``S``: the area that the two densities share, 0 (apart) to 1 (alike). ``mean_positive``,
    ``mean_negative``: the mean cosines D_p and D_n. ``edges (bins + 1,)`` over [-1, 1]; ``positive``,
    ``negative`` ``(bins,)``: densities, each with area 1.
    """

    S: float
    mean_positive: float
    mean_negative: float
    edges: np.ndarray = field(repr=False)
    positive: np.ndarray = field(repr=False)
    negative: np.ndarray = field(repr=False)


def separation(images: Any, captions: Any, image_of_caption: Any, bins: int = 200) -> Separation:
    """The indicator S = ∫ min(P(x), Q(x)) dx of Zheng et al., Eq. 10, as a sum over ``bins`` equal bins of
    [-1, 1].

    P is the density of the cosine of a caption with its own image, Q that of a caption with every other
    image. ``images (N, D)``, ``captions (M, D)``, ``image_of_caption (M,)``. S depends on ``bins``: few
    bins blur the densities together, very many leave the M positive pairs too thin; compare values of one
    setting only.

    Raises `DataError` for unfit arrays or fewer than two images, `ConfigError` for fewer than two bins.

    >>> result = separation(np.eye(3), np.eye(3), [0, 1, 2])
    >>> result.S, result.mean_positive, result.mean_negative
    (0.0, 1.0, 0.0)
    """
    counts, sums = _histograms(images, captions, image_of_caption, bins)
    counts, sums = counts.sum(1), sums.sum(1)
    own, other = counts / counts.sum(1, keepdims=True)
    means = (sums / counts.sum(1)).tolist()
    shared, edges = float(np.minimum(own, other).sum()), np.linspace(-1, 1, bins + 1)
    return Separation(shared, *means, edges, own * bins / 2, other * bins / 2)


def separation_samples(
    images: Any, captions: Any, image_of_caption: Any, n: int = 500, bins: int = 200, seed: int = 0
) -> dict[str, np.ndarray]:
    """Bootstrap over images of :func:`separation`.

    An image is drawn with its row of similarities, so the same ``n`` and ``seed`` draw the same images for
    every model of one dataset, and samples of two models can be subtracted. Gives ``S (1 + n,)`` and
    ``gap (1 + n,)``, the mean cosine of matching pairs minus that of the others: first of the images as they
    are, then of ``n`` draws.

    >>> samples = separation_samples(np.eye(4), np.eye(4), np.arange(4), n=3)
    >>> samples["S"].tolist(), samples["gap"].tolist()
    ([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0])
    """
    counts, sums = _histograms(images, captions, image_of_caption, bins)
    n_images = counts.shape[1]
    drawn = np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=n)
    weights = np.vstack([np.ones(n_images), drawn])
    counts, sums = weights @ counts, sums @ weights.T
    pairs = counts.sum(2)
    own, other = counts / pairs[:, :, None]
    gap = sums[0] / pairs[0] - sums[1] / pairs[1]
    return {"S": np.minimum(own, other).sum(1), "gap": gap}


def _histograms(
    images: Any, captions: Any, image_of_caption: Any, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each image's cosines with its own captions and with others: counts (2, N, bins) and sums (2, N)."""
    whole("bins", bins, 2)
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"))
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).numpy()
    if len(image_rows) < 2:
        raise DataError("images: one image has no false pair; give at least two")
    counts, sums = np.zeros((2, len(image_rows), bins)), np.zeros((2, len(image_rows)))
    unit = caption_rows.unit(slice(None), torch.float64).T
    for rows in slices(len(image_rows), max(1, _NUMBERS // len(caption_rows))):
        cosines = (image_rows.unit(rows, torch.float64) @ unit).clamp_(-1, 1).cpu().numpy()
        place = np.minimum(((cosines + 1) * (bins / 2)).astype(np.int64), bins - 1)
        cell = place + np.arange(len(cosines))[:, None] * bins
        own = owners == np.arange(rows.start, rows.stop)[:, None]
        for side, mask in enumerate((own, ~own)):
            found = np.bincount(cell[mask], minlength=len(cosines) * bins)
            counts[side, rows], sums[side, rows] = found.reshape(-1, bins), (cosines * mask).sum(1)
    return counts, sums


def pearson_map(features: Any) -> np.ndarray:
    """Pearson's correlation (N, N) between every two rows of ``features (N, D)`` (Zheng et al., Fig. 4).

    A row that is constant has no correlation: 0 with every other row, 1 with itself.
    Raises `DataError` for an unfit array.

    >>> pearson_map([[1, 2, 3], [2, 4, 6], [3, 2, 1]]).round(6).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    values = as_rows(features, "features").values.double()
    values = values / values.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    unit = unit_rows(values - values.mean(1, keepdim=True))
    return (unit @ unit.T).clamp_(-1, 1).fill_diagonal_(1.0).cpu().numpy()


def mean_off_diagonal(matrix: Any) -> float:
    """The mean of a square matrix (N, N) without its diagonal.

    Raises `DataError` for another shape or N < 2.

    >>> mean_off_diagonal([[1.0, 0.2], [0.6, 1.0]])
    0.4
    """
    square = np.asarray(matrix, dtype=np.float64)
    if square.ndim != 2 or square.shape[0] != square.shape[1] or len(square) < 2:
        raise DataError(f"matrix: expected a square matrix of at least 2 × 2, found shape {square.shape}")
    return float(square[~np.eye(len(square), dtype=bool)].mean())


def distance_to_others(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean distance (1 − cos) of each item ``(N, D)``, of length 1, to those of other groups, ``(N,)``.

    >>> distance_to_others(np.eye(2), np.array([0, 1])).tolist()
    [1.0, 1.0]
    """
    rows = np.asarray(rows, dtype=np.float64)
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, which, rows)
    others = (sums.sum(0) - sums)[which]
    return 1 - (rows * others).sum(1) / (len(rows) - sizes[which])


@dataclass(frozen=True)
class Mixing:
    """How mixed two modalities are: ``value`` from 0 (apart) to 1 (as mixed as by chance, or more).

    ``value`` is the mean of ``images`` and ``captions``, each cut at 1: the share of an image's neighbours
    that are captions (and of a caption's that are images) over what chance would give. ``low`` to ``high``
    is its 95 % interval over groups. ``k`` is the number of neighbours.
    """

    value: float
    low: float
    high: float
    images: float
    captions: float
    k: int


def modality_mixing(
    images: Any,
    captions: Any,
    k: int = 10,
    image_of_caption: Any = None,
    n: int = 1000,
    seed: int = 0,
) -> Mixing:
    """The share of the ``k`` nearest neighbours that are of the other modality, over what chance would give.

    ``images (N, D)``, ``captions (M, D)``. The neighbours of a point are taken among all N + M − 1 others, by
    Euclidean distance; give unit rows for cosines. By chance a share of M / (N + M − 1) of an image's
    neighbours are captions, and N / (N + M − 1) of a caption's are images; so the sizes of the two sides do
    not matter. Points at one distance share the places that are left for them, whatever their order, so a
    space that has collapsed to one point gives 1: look at the recall, or the spread, beside it.

    ``image_of_caption (M,)``: the interval draws images, each with its captions; without it, single points.
    ``n`` resamples, reproducible by ``seed``. Memory: a block of points × all points; time grows with
    (N + M)².

    Raises:
        DataError: arrays that do not fit.
        ConfigError: ``k`` beyond 1 to N + M − 1, ``n`` below 1.

    >>> modality_mixing([[0.0], [1.0], [2.0]], [[90.0], [91.0], [92.0]], k=2).value
    0.0
    """
    pair = as_pair(images, captions, ("images", "captions"))
    points = torch.cat([rows.values.double() for rows in pair])
    sizes, total = (len(pair[0]), len(pair[1])), len(points)
    whole("k", k, 1, total - 1)
    clusters, is_text = np.arange(total), np.arange(total) >= sizes[0]
    if image_of_caption is not None:
        clusters[sizes[0] :] = as_owners(image_of_caption, *sizes).numpy()
    share = _share_of_other(points - points.mean(0), is_text, k)
    ratio = share * (total - 1) / np.where(is_text, *sizes)
    sides = ratio[~is_text].mean(), ratio[is_text].mean()
    value = _both(*sides)
    drawn = []
    for side in (~is_text, is_text):
        total_of_side, size = (cluster_bootstrap(x, clusters, n, seed) for x in (ratio * side, side))
        drawn.append(np.divide(total_of_side, size, out=np.full(n, np.nan), where=size > 0))
    drawn = _both(*drawn)
    drawn = drawn[~np.isnan(drawn)]  # of draws with both sides
    low, high = np.percentile(drawn if len(drawn) else value, [2.5, 97.5])
    return Mixing(*map(float, (value, low, high, *sides)), k)


def _both(images: Any, captions: Any) -> Any:
    """The mean of both sides, each cut at 1: more captions around images cannot make up for fewer images."""
    return (np.minimum(images, 1.0) + np.minimum(captions, 1.0)) / 2


def _share_of_other(points: torch.Tensor, is_text: np.ndarray, k: int) -> np.ndarray:
    """Of every point (T, D) the share (T,) of the other modality among its k nearest.

    Points tied for the last places count by their expectation.
    """
    text, squares = torch.from_numpy(is_text).to(points.device), torch.linalg.vecdot(points, points)
    shares = []
    for part in slices(len(points), max(1, _NUMBERS // len(points))):
        far = squares[part, None] + squares - 2 * points[part] @ points.T
        far[torch.arange(len(far)), torch.arange(part.start, part.stop)] = torch.inf
        room = far - far.kthvalue(k, dim=1, keepdim=True).values
        scale = _TIE * (squares[part, None] + squares)
        sure, tied, other = room < -scale, room.abs() <= scale, text != text[part, None]
        left = k - sure.sum(1)
        found = (sure & other).sum(1) + left * (tied & other).sum(1).double() / tied.sum(1)
        shares.append(found.cpu().numpy() / k)
    return np.concatenate(shares)
