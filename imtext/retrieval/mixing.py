"""How well two modalities mix in one space: do images have captions as neighbours, and captions images?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from imtext.errors import ConfigError
from imtext.retrieval.similarity import Rows, as_owners, as_pair, each, slices

METRICS = ("euclidean", "cosine")
_NUMBERS = 1 << 23  # distances held at a time, in float64
_TIE = 1e-12  # distances that differ by less of what they are computed from are equal: the rest is rounding


@dataclass(frozen=True)
class Mixing:
    """How mixed two modalities are: ``value`` from 0 (apart) to 1 (as mixed as by chance, or more).

    ``value`` is the mean of ``images`` and ``captions``, each cut at 1: the share of an image's neighbours
    that are captions (and of a caption's that are images) over what chance would give. ``low`` to ``high``
    is its 95 % interval over groups; ``shuffled``, from ``shuffled_low`` to ``shuffled_high``, is what comes
    out when it is drawn by lot which of the points are images. ``k`` is the number of neighbours.
    """

    value: float
    low: float
    high: float
    images: float
    captions: float
    shuffled: float
    shuffled_low: float
    shuffled_high: float
    k: int

    def __float__(self) -> float:
        """The number alone."""
        return self.value

    def to_dict(self) -> dict[str, float]:
        """All numbers by name."""
        return dict(self.__dict__)


def modality_mixing(
    images: Any,
    captions: Any,
    k: int = 10,
    image_of_caption: Any = None,
    metric: str = "euclidean",
    n: int = 1000,
    shuffles: int = 200,
    seed: int = 0,
    device: torch.device | str | None = None,
    block: int | None = None,
) -> Mixing:
    """The share of the ``k`` nearest neighbours that are of the other modality, over what chance would give.

    ``images (N, D)``, ``captions (M, D)``. The neighbours of a point are taken among all N + M − 1 others.
    By chance a share of M / (N + M − 1) of an image's neighbours are captions, and N / (N + M − 1) of a
    caption's are images; so the sizes of the two sides do not matter. Points at one distance share the
    places that are left for them, whatever their order, so a space that has collapsed to one point gives 1:
    look at the recall, or the spread, beside it.

    ``image_of_caption (M,)``: the interval draws images, each with its captions; without it, single points.
    ``metric``: "euclidean" or "cosine". ``n`` resamples and ``shuffles`` lots are reproducible by ``seed``.
    Memory: blocks of ``block`` points × all points; time grows with (N + M)².

    Raises:
        DataError: arrays that do not fit.
        ConfigError: ``k`` beyond 1 to N + M − 1, another metric, ``n``, ``shuffles`` or ``block`` below 1.

    >>> two_heaps = modality_mixing([[0.0], [1.0], [2.0]], [[90.0], [91.0], [92.0]], k=2)
    >>> float(two_heaps), two_heaps.shuffled > 0.5
    (0.0, True)
    """
    _check_counts(n=n, shuffles=shuffles, **({} if block is None else {"block": block}))
    if metric not in METRICS:
        raise ConfigError(f"metric: expected one of {', '.join(METRICS)}, found {metric!r}")
    pair = as_pair(images, captions, ("images", "captions"), device)
    sizes = (len(pair[0]), len(pair[1]))
    total = sum(sizes)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k < total:
        raise ConfigError(f"k: expected 1 to {total - 1} neighbours among {total} points, found {k!r}")
    clusters = np.arange(total)
    if image_of_caption is not None:
        clusters[sizes[0] :] = as_owners(image_of_caption, *sizes).numpy()
    is_text = np.arange(total) >= sizes[0]
    share, neighbours = _neighbours(*_points(pair, (images, captions), metric), is_text, int(k), seed, block)
    ratio = share * (total - 1) / np.where(is_text, *sizes)
    sides = [ratio[~is_text].mean(), ratio[is_text].mean()]
    low, high = np.percentile(_resampled(ratio, is_text, clusters, n, seed), [2.5, 97.5])
    lots = _shuffled(neighbours, is_text, shuffles, seed)
    return Mixing(
        value=float(_both(*sides)),
        low=float(low),
        high=float(high),
        images=float(sides[0]),
        captions=float(sides[1]),
        shuffled=float(lots.mean()),
        shuffled_low=float(np.percentile(lots, 2.5)),
        shuffled_high=float(np.percentile(lots, 97.5)),
        k=int(k),
    )


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name}: expected a positive whole number, found {value!r}")


def _both(images: Any, captions: Any) -> Any:
    """The mean of both sides, each cut at 1: more captions around images cannot make up for fewer images."""
    return (np.minimum(images, 1.0) + np.minimum(captions, 1.0)) / 2


def _points(
    pair: tuple[Rows, Rows], values: tuple[Any, Any], metric: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """All points (N + M, D) in float64 and their squares (N + M,), for squared distances by the product.

    Euclidean: about their mean and of a size near 1, so that a far-off or tiny cloud keeps its digits.
    Cosine: unit rows; a row of zeros has the square 1 too, as if it were at a right angle to everything.
    """
    if metric == "cosine":
        points = torch.cat([rows.unit(slice(None), torch.float64) for rows in pair])
        return points, torch.ones_like(points[:, 0])
    # Not the rows' own values: those of a size beyond the squares of floats keep their direction alone.
    device = pair[0].values.device
    points = torch.cat([_double(part).to(device) for part in values])
    points = points / points.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    points = points - points.mean(0)
    points = points / points.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    return points, torch.linalg.vecdot(points, points)


def _double(values: Any) -> torch.Tensor:
    """Checked numbers in float64."""
    if isinstance(values, torch.Tensor):
        return values.detach().double()
    return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))


def _neighbours(
    points: torch.Tensor,
    squares: torch.Tensor,
    is_text: np.ndarray,
    k: int,
    seed: int,
    block: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Of every point: the share (T,) of the other modality among its k nearest, and their indices (T, k).

    Points tied for the last places count by their expectation in the share; the indices hold some by lot.
    """
    total = len(points)
    text = torch.from_numpy(is_text).to(points.device)

    def work(part: slice) -> tuple[np.ndarray, np.ndarray]:
        here = torch.arange(part.start, part.stop, device=points.device)
        # In float64, which autocast leaves alone.
        far = torch.addmm(squares.expand(len(here), total), points[part], points.T, alpha=-2)
        far += squares[part, None]
        far[here - part.start, here] = torch.inf
        score, index = far.topk(min(k + 1, total - 1), dim=1, largest=False)
        share = (text[index[:, :k]] != text[part, None]).double().mean(1)
        index = index[:, :k].contiguous()
        # Only where the next point is as near as the last one is there anything to share out.
        close = score[:, -1] - score[:, k - 1] <= _TIE * (squares[part] + squares.max())
        rows = torch.nonzero(close).flatten() if k + 1 < total else here[:0]
        for row in rows.tolist():
            shared, index[row] = _among_ties(far[row], squares, part.start + row, text, k, seed)
            share[row] = shared
        return share.cpu().numpy(), index.cpu().numpy()

    parts = list(slices(total, block or max(1, min(1024, _NUMBERS // total))))
    shares, indices = zip(*each(work, parts, points.device, "neighbours"), strict=True)
    return np.concatenate(shares), np.concatenate(indices)


def _among_ties(
    far: torch.Tensor, squares: torch.Tensor, row: int, text: torch.Tensor, k: int, seed: int
) -> tuple[float, torch.Tensor]:
    """The expected share of the other modality when the last places go to points at one distance by lot.

    ``far (T,)``: squared distances of point ``row``. Also k neighbours (k,), one outcome of the lot.
    """
    room = far - far.kthvalue(k).values
    scale = _TIE * (squares[row] + squares)
    other, tied = text != text[row], room.abs() <= scale
    sure, equal = (torch.nonzero(which).flatten() for which in (room < -scale, tied))
    left = k - len(sure)
    share = (other[sure].sum() + left * other[equal].double().mean()) / k
    lot = np.random.default_rng((seed, row)).choice(len(equal), left, replace=False)
    return float(share), torch.cat([sure, equal[torch.from_numpy(lot).to(far.device)]])


def _resampled(ratio: np.ndarray, is_text: np.ndarray, clusters: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The number (n,) when clusters are drawn with replacement; draws without one of the sides are left
    out."""
    count = int(clusters.max()) + 1
    sums = [np.bincount(clusters, weights=ratio * side, minlength=count) for side in (~is_text, is_text)]
    sizes = [np.bincount(clusters, weights=side, minlength=count) for side in (~is_text, is_text)]
    generator = np.random.default_rng(seed)
    found = []
    for part in slices(n, max(1, _NUMBERS // count)):
        pick = generator.integers(0, count, (part.stop - part.start, count))
        held = [size[pick].sum(1) for size in sizes]
        full = (held[0] > 0) & (held[1] > 0)
        means = [total[pick].sum(1)[full] / size[full] for total, size in zip(sums, held, strict=True)]
        found.append(_both(*means))
    drawn = np.concatenate(found)
    return drawn if len(drawn) else np.array([_both(ratio[~is_text].mean(), ratio[is_text].mean())])


def _shuffled(neighbours: np.ndarray, is_text: np.ndarray, shuffles: int, seed: int) -> np.ndarray:
    """The number (shuffles,) among the same neighbours when it is drawn by lot which points are captions."""
    generator, total = np.random.default_rng(seed), len(is_text)
    n_text, found = int(is_text.sum()), np.empty(shuffles)
    for number in range(shuffles):
        text = generator.permutation(is_text)
        share = (text[neighbours] != text[:, None]).mean(1)
        sides = share[~text].mean() / n_text, share[text].mean() / (total - n_text)
        found[number] = _both(*(side * (total - 1) for side in sides))
    return found
