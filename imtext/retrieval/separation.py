"""How far apart true and false pairs lie, and how alike a set of features is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imtext.errors import ConfigError, DataError
from imtext.progress import progress
from imtext.retrieval.similarity import as_owners, as_pair, as_rows, block_shape, exact_cosines, slices


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

    def to_dict(self) -> dict[str, float]:
        """The three scalars by name."""
        return {"S": self.S, "mean_positive": self.mean_positive, "mean_negative": self.mean_negative}


def separation(
    images: Any,
    captions: Any,
    image_of_caption: Any,
    bins: int = 200,
    device: torch.device | str | None = None,
    block: int | None = None,
) -> Separation:
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
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 2:
        raise ConfigError(f"bins: expected a whole number of at least 2, found {bins!r}")
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"), device)
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).to(image_rows.values.device)
    n_images, n_captions = len(image_rows), len(caption_rows)
    if n_images < 2:
        raise DataError("images: one image leaves no false pair; give at least two")
    everything = torch.zeros(bins, dtype=torch.float64, device=owners.device)
    positive = torch.zeros_like(everything)
    n_rows, n_columns = block_shape(n_images, image_rows.values.shape[1], owners.device, block)
    for columns in slices(n_images, n_columns):
        unit = image_rows.unit(columns).T
        for rows in progress(list(slices(n_captions, n_rows)), "similarities"):
            scores = (caption_rows.unit(rows) @ unit).clamp_(-1, 1)
            own = owners[rows] - columns.start
            here = torch.nonzero((own >= 0) & (own < scores.shape[1])).flatten()
            everything += torch.histc(scores, bins, -1, 1)
            positive += torch.histc(scores[here, own[here]], bins, -1, 1)
    everyone = torch.arange(n_captions, device=owners.device)
    own_sum = float(exact_cosines(caption_rows, image_rows, everyone, owners).sum())
    false_pairs = n_captions * (n_images - 1)
    false_sum = float(_sum_of_units(image_rows) @ _sum_of_units(caption_rows)) - own_sum
    p, q = positive / n_captions, (everything - positive) / false_pairs
    return Separation(
        S=float(torch.minimum(p, q).sum()),
        mean_positive=own_sum / n_captions,
        mean_negative=false_sum / false_pairs,
        edges=np.linspace(-1, 1, bins + 1),
        positive=(p * bins / 2).cpu().numpy(),
        negative=(q * bins / 2).cpu().numpy(),
    )


def _sum_of_units(rows: Any) -> torch.Tensor:
    """The sum (D,) of all unit rows: all N × M cosines add up to the product of two such sums."""
    return sum(rows.unit(part, torch.float64).sum(0) for part in slices(len(rows), 4096))


def pearson_map(features: Any) -> np.ndarray:
    """Pearson's correlation (N, N) between every two rows of ``features (N, D)`` (Zheng et al., Fig. 4).

    A row that is constant has no correlation: 0 with every other row, 1 with itself.
    Raises `DataError` for an unfit array or fewer than two dimensions.

    >>> pearson_map([[1, 2, 3], [2, 4, 6], [3, 2, 1]]).round(6).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    values = as_rows(features, "features").values.double()
    if values.shape[1] < 2:
        raise DataError("features: a correlation needs at least two dimensions, found one")
    values = values / values.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    centred = values - values.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    flat = norms <= 1e-12 * values.shape[1] ** 0.5  # what is left of a constant row is rounding
    unit = torch.where(flat, 0.0, centred / norms.clamp_min(torch.finfo(torch.float64).tiny))
    correlation = (unit @ unit.T).clamp_(-1, 1)
    return correlation.fill_diagonal_(1.0).cpu().numpy()


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
