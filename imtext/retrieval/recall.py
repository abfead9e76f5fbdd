"""The protocol of the field: ranks, recalls and R-sum of image queries and text queries.

The rank of a query is 1 + the number of gallery items that score higher than its true match; of items that
score the same, those with a smaller index count as higher. A constant embedding thus scores chance. Where a
query has several true matches, the best of them counts: an image has several captions, and where several
images show one thing, such as the photographs of one person, an image and a caption match if they belong to
the same group (language-based person search: Zheng et al., section 6.1 and Table 7).

The product is taken block by block in float32, and each block serves both directions. A float32 score settles
every item that is clearly above or below the true match. Items within the rounding error of it, and the true
match itself, are scored once more, in float64, by one and the same routine; so ranks are those of a float64
similarity matrix and depend neither on the size of the blocks nor on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch

from imtext.check import whole
from imtext.errors import DataError
from imtext.retrieval.similarity import (
    TIE,
    Cosines,
    Given,
    Scores,
    as_labels,
    as_owners,
    as_pair,
    as_scores,
    block_shape,
    each,
    margin_of,
    slices,
    to_numpy,
)

RECALLS = (1, 5, 10)
METRICS = ("r1", "r5", "r10", "median_rank", "mean_rank")
_EXACT_SHARE = 1 / 50  # above this share of contested pairs a whole float64 block is cheaper
_PAIRS = 1 << 18  # true pairs held at a time
Members = slice | np.ndarray


@dataclass(frozen=True)
class Direction:
    """One direction of search: recalls in per cent, ranks from 1; ``n`` queries."""

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float
    n: int = 0

    @classmethod
    def of_ranks(cls, ranks: np.ndarray) -> Direction:
        """Summarise 1-based ranks (Q,).

        >>> Direction.of_ranks(np.array([1, 4, 6, 20]))
        Direction(r1=25.0, r5=50.0, r10=75.0, median_rank=5.0, mean_rank=7.75, n=4)
        """
        recalls = [100.0 * np.count_nonzero(ranks <= k) / len(ranks) for k in RECALLS]
        return cls(*map(float, recalls), float(np.median(ranks)), float(np.mean(ranks)), len(ranks))

    @classmethod
    def mean(cls, parts: list[Direction]) -> Direction:
        """The mean of every metric over folds; the queries add up."""
        means = [float(np.mean([getattr(part, name) for part in parts])) for name in METRICS]
        return cls(*means, sum(part.n for part in parts))

    def to_dict(self) -> dict[str, float]:
        """The five metrics by name."""
        return {name: getattr(self, name) for name in METRICS}


@dataclass(frozen=True)
class Evaluation:
    """Both directions of search on one set of embeddings.

    ``image_query``: an image looks for its captions (the best of them counts); ``text_query``: a caption
    looks for its image. With groups, anything of the query's group is looked for, and the best counts.
    ``image_query_ranks (N,)`` and ``text_query_ranks (M,)`` are 1-based, within the query's fold.
    """

    image_query: Direction
    text_query: Direction
    image_query_ranks: np.ndarray = field(repr=False)
    text_query_ranks: np.ndarray = field(repr=False)
    image_of_caption: np.ndarray = field(repr=False)
    folds: int = 1

    @property
    def rsum(self) -> float:
        """The six recalls added, 0 to 600 (with folds: of the mean recalls)."""
        return sum(getattr(side, f"r{k}") for side in (self.image_query, self.text_query) for k in RECALLS)

    def to_dict(self) -> dict[str, Any]:
        """Every number but the per-query ranks, ready for JSON."""
        return {
            "images": self.image_query.n,
            "captions": self.text_query.n,
            "folds": self.folds,
            "image_query": self.image_query.to_dict(),
            "text_query": self.text_query.to_dict(),
            "rsum": self.rsum,
        }

    def row(self) -> dict[str, float]:
        """One flat row for a table: ``image_query_r1`` … ``text_query_mean_rank``, ``rsum``."""
        sides = [(name, getattr(self, name).to_dict()) for name in ("image_query", "text_query")]
        flat = {f"{name}_{metric}": value for name, side in sides for metric, value in side.items()}
        return {**flat, "rsum": self.rsum}

    def __str__(self) -> str:
        """The metrics as a small table of text."""
        lines = [f"{'':<12}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'median':>9}{'mean':>9}"]
        for name, side in (("image query", self.image_query), ("text query", self.text_query)):
            recalls = "".join(f"{value:7.1f}" for value in (side.r1, side.r5, side.r10))
            lines.append(f"{name:<12}{recalls}{side.median_rank:9.1f}{side.mean_rank:9.1f}")
        return "\n".join([*lines, f"R-sum {self.rsum:.1f}"])


def evaluate(
    images: Any,
    captions: Any,
    image_of_caption: Any,
    folds: int = 1,
    device: torch.device | str | None = None,
    block: int | None = None,
    group_of_image: Any = None,
) -> Evaluation:
    """Recall@1/5/10, median and mean rank, R-sum, both directions, by cosine.

    ``images (N, D)``, ``captions (M, D)``: NumPy arrays or tensors, any floating type, CPU or GPU; they need
    not be normalised, and a row of zeros has cosine 0 with everything. ``image_of_caption (M,)``: the index
    of each caption's image, any number of captions per image, in any order. ``folds``: split the images
    into that many consecutive blocks, each searched among its own captions, and take the mean of every
    metric (COCO 1K is ``folds=5`` of 5,000 images). ``device``: where to compute (default: where the tensors
    lie). ``block``: the largest number of images and of captions in one block of scores; it bounds memory
    and changes no result.

    The rank of a query is 1 + the number of items that score strictly higher than its true match, ties broken
    by gallery index: embeddings that are all alike score chance. The true match and whatever comes near it
    are scored by the same arithmetic, described in `imtext.retrieval.recall`.

    ``group_of_image (N,)``: whole numbers; images that share one, and the captions of these images, are true
    matches of each other, and a query's rank is that of the best-scoring one. This is language-based person
    search: a caption looks for any picture of the person it describes (CUHK-PEDES; Zheng et al., section 6.1
    and Table 7). Groups of one image each change nothing.

    Raises `DataError` for unfit arrays: shape, type, NaN or infinity, mismatched lengths, an index out of
    range, an image without a caption, folds that do not divide the images or that cut through a group.
    `ConfigError` for ``folds`` or ``block`` that is not a positive whole number.

    >>> result = evaluate(np.eye(2), [[1.0, 0.1], [0.2, 1.0], [1.0, 0.0]], [0, 1, 1])
    >>> result.image_query.r1, round(result.text_query.r1, 1), result.text_query_ranks.tolist()
    (50.0, 66.7, [1, 1, 2])
    >>> evaluate(np.eye(2), [[1.0, 0.1], [0.2, 1.0], [1.0, 0.0]], [0, 1, 1], group_of_image=[7, 7]).rsum
    600.0
    """
    sides = as_pair(images, captions, device=device)
    owners = as_owners(image_of_caption, *map(len, sides))

    def scores(part: slice, members: Members) -> Scores:
        return Cosines(sides[1].take(members), sides[0].take(part))

    return by_fold(scores, owners, len(sides[0]), folds, group_of_image, block)


def evaluate_scores(
    scores: Any, image_of_caption: Any, folds: int = 1, group_of_image: Any = None
) -> Evaluation:
    """As `evaluate`, for ready ``scores (N, M)`` of images × captions, such as the mean of several models.

    Scores are compared as they are, higher is better. Raises as `evaluate` does.

    >>> evaluate_scores([[0.9, 0.2], [0.3, 0.1]], [0, 1]).text_query_ranks.tolist()
    [1, 2]
    """
    matrix = as_scores(scores)
    owners = as_owners(image_of_caption, *matrix.shape)

    def given(part: slice, members: Members) -> Scores:
        return Given(matrix[part, members].T)

    return by_fold(given, owners, len(matrix), folds, group_of_image)


def by_fold(
    scores: Callable[[slice, Members], Scores],
    owners: torch.Tensor,
    n_images: int,
    folds: int,
    group_of_image: Any = None,
    block: int | None = None,
) -> Evaluation:
    """Rank every fold on its own and put the parts together.

    ``scores(images, captions)`` gives those of a fold, captions × images.
    """
    check_captioned(owners, n_images)
    if n_images % whole("folds", folds):
        raise DataError(f"folds: {n_images} images do not divide into {folds} equal blocks; choose a divisor")
    groups = as_groups(group_of_image, n_images)
    size, own = n_images // folds, owners.numpy()
    first = np.unique(groups, return_index=True)[1][groups]
    astray = np.flatnonzero(np.arange(n_images) // size != first // size)
    if len(astray):
        image, other = astray[0], first[astray[0]]
        raise DataError(
            f"folds: images {other} and {image} are of one group but lie in folds {other // size} "
            f"and {image // size}; order the images so that groups stay whole, or use folds=1"
        )
    image_ranks, text_ranks = np.empty(n_images, dtype=np.int64), np.empty(len(own), dtype=np.int64)
    sides: tuple[list[Direction], list[Direction]] = ([], [])
    for part in slices(n_images, size):
        members = slice(None) if folds == 1 else np.flatnonzero(own // size == part.start // size)
        ranks = ranks_of(scores(part, members), own[members] - part.start, groups[part], block)
        image_ranks[part], text_ranks[members] = ranks
        for side, found in zip(sides, ranks, strict=True):
            side.append(Direction.of_ranks(found))
    return Evaluation(*map(Direction.mean, sides), image_ranks, text_ranks, own, int(folds))


def check_captioned(owners: Any, n_images: int) -> None:
    """Raise `DataError` where an image has no caption; ``owners (M,)``: each caption's image."""
    silent = np.setdiff1d(np.arange(n_images), owners)
    if len(silent):
        raise DataError(f"image {silent[0]} has no caption ({len(silent)} such images); leave these out")


def as_groups(group_of_image: Any, n_images: int) -> np.ndarray:
    """The group of every image (N,), numbered from 0; without groups each image is its own.

    Raises `DataError` for another shape or numbers that are not whole.

    >>> as_groups([7, -1, 7], 3), as_groups(None, 3)
    (array([1, 0, 1]), array([0, 1, 2]))
    """
    if group_of_image is None:
        return np.arange(n_images)
    labels = as_labels(group_of_image, "group_of_image", n_images, "image")
    return np.unique(labels, return_inverse=True)[1]


def ranks_of(
    scores: Scores, owners: np.ndarray, groups: np.ndarray, block: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Image-query ranks (N,) and text-query ranks (M,), 1-based, from ``scores`` of captions × images.

    ``owners (M,)``: each caption's image; every image must own a caption. ``groups (N,)``: images of one
    group are true matches of one another's captions, and the best counts. ``block`` is the largest number
    of images and of captions in one block (default: by the cache of the device); it changes no rank.

    >>> same = Given(np.ones((3, 3)))
    >>> [ranks.tolist() for ranks in ranks_of(same, np.arange(3), np.arange(3))]
    [[1, 2, 3], [1, 2, 3]]
    """
    dimensions = scores.left.values.shape[1] if isinstance(scores, Cosines) else 1
    n_rows, n_columns = block_shape(scores.shape[1], dimensions, scores.device, block)
    text, image = targets(scores, *(torch.from_numpy(x).to(scores.device) for x in (owners, groups)))
    threads = torch.get_num_threads() if scores.device.type == "cpu" else 1
    # Work for every thread, and no more memory with many threads than with eight.
    n_rows = min(n_rows, max(64, -(-len(owners) // (2 * threads))), max(64, n_rows * 8 // threads))
    parts, margin = list(slices(len(owners), n_rows)), margin_of(scores)
    above_text, above_image = torch.zeros_like(text.item), torch.zeros_like(image.item)
    for columns in slices(len(groups), n_columns):
        count = partial(_above, scores, text, image, margin, columns)
        found = each(count, parts, scores.device, f"ranks of images {columns.start}-{columns.stop - 1}")
        above_text += torch.cat([part for part, _ in found])
        above_image[columns] = sum(part for _, part in found)
    return 1 + above_image.cpu().numpy(), 1 + above_text.cpu().numpy()


@dataclass(frozen=True)
class Target:
    """The best true match of every query: its float64 ``score`` and its gallery index ``item``, of equals the
    smallest."""

    score: torch.Tensor
    item: torch.Tensor


def targets(scores: Scores, owners: torch.Tensor, groups: torch.Tensor) -> tuple[Target, Target]:
    """Of captions (M,) and of images (N,); every item of the query's group is a true match.

    True pairs beyond the first 262,144 are scored twice, once for the best and once for who reaches it, so
    that memory stays bounded however large a group is. ``groups`` are numbered from 0.

    >>> text, image = targets(Given(np.eye(3)), torch.tensor([1, 0, 2]), torch.tensor([0, 0, 1]))
    >>> text.score.tolist(), text.item.tolist()
    ([1.0, 1.0, 1.0], [0, 1, 2])
    """
    far = [torch.full((n,), -torch.inf, dtype=torch.float64, device=owners.device) for n in scores.shape]
    last = [torch.full_like(far[side], scores.shape[1 - side], dtype=torch.int64) for side in (0, 1)]
    text, image = map(Target, far, last)
    label, size = groups[owners], torch.bincount(groups)
    ends = size[label].cumsum(0)  # of each caption's pairs, one for every image of its group
    image_order = torch.argsort(groups, stable=True)  # the images of a group stand together here
    first = size.cumsum(0) - size

    def scored(part: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pair = torch.arange(part.start, part.stop, device=owners.device)
        row = torch.searchsorted(ends, pair, right=True)
        column = image_order[first[label[row]] + pair - (ends[row] - size[label[row]])]
        return row, column, scores.pairs(row, column)

    parts = list(slices(int(ends[-1]), _PAIRS))
    held = [scored(part) for part in parts[:1]]
    for row, column, score in chain(held, map(scored, parts[1:])):
        text.score.scatter_reduce_(0, row, score, "amax")
        image.score.scatter_reduce_(0, column, score, "amax")
    for row, column, score in chain(held, map(scored, parts[1:])):
        for side, query, item in ((text, row, column), (image, column, row)):
            leads = score >= side.score[query] - scores.tie
            side.item.scatter_reduce_(0, query[leads], item[leads], "amin")
    return text, image


def _above(
    scores: Scores, text: Target, image: Target, margin: float, columns: slice, rows: slice
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many items of a block beat the true match of each caption of ``rows``, image of ``columns``."""
    if scores.tie:
        rough = scores.rough(rows, columns)
        above_text, near = _split(rough, text.score[rows, None], margin)
        above_image, near_image = _split(rough, image.score[None, columns], margin)
        row, column = _places(near.logical_or_(near_image))
        if len(row) <= rough.numel() * _EXACT_SHARE:
            there = row + rows.start, column + columns.start
            of_text, of_image = _beats(scores.pairs(*there), text, image, *there, scores.tie)
            texts = above_text.sum(1, dtype=torch.int32).long()
            texts.index_add_(0, row, of_text.long() - above_text[row, column].long())
            pictures = above_image.sum(0, dtype=torch.int32).long()
            pictures.index_add_(0, column, of_image.long() - above_image[row, column].long())
            return texts, pictures
    # Ready scores, or what float32 cannot settle, such as a collapsed embedding.
    row = torch.arange(rows.start, rows.stop, device=scores.device)[:, None]
    column = torch.arange(columns.start, columns.stop, device=scores.device)[None]
    of_text, of_image = _beats(scores.exact(rows, columns), text, image, row, column, scores.tie)
    return of_text.sum(1), of_image.sum(0)


def _split(rough: torch.Tensor, target: torch.Tensor, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Which scores lie clearly above their target, and which are too near to say."""
    above = rough > (target + margin).float()
    return above, (rough > (target - margin).float()).logical_xor_(above)


def _beats(
    exact: torch.Tensor, text: Target, image: Target, row: torch.Tensor, column: torch.Tensor, tie: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Does the pair beat the true match of its caption; does it beat that of its image?"""
    own, best = text.score[row], image.score[column]
    of_text = (exact > own + tie) | ((exact >= own - tie) & (column < text.item[row]))
    of_image = (exact > best + tie) | ((exact >= best - tie) & (row < image.item[column]))
    return of_text, of_image


def _places(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of every True in a sparse (R, C) mask."""
    if mask.device.type != "cpu":
        row, column = torch.nonzero(mask, as_tuple=True)
        return row, column
    flat = np.flatnonzero(mask.numpy())  # torch.nonzero would cost half a product
    row, column = np.divmod(flat, mask.shape[1])
    return torch.from_numpy(row), torch.from_numpy(column)


def told_apart(
    images: Any, captions: Any, image_of_caption: Any, pairs: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Is each caption of a pair of images closer, by cosine, to its own image than to the other one?

    ``images (N, D)``, ``captions (M, D)``, ``image_of_caption (M,)`` as in `evaluate`. ``pairs (P, 2)``:
    indices of two different images; one image may be in several pairs.

    Gives ``correct (Q,)`` float64, 1 for the own image, 0 for the other, 0.5 where both cosines are equal (as
    when an embedding has collapsed: chance), and ``pair_of_query (Q,)`` int64. The Q queries are all
    captions of both images of each pair, in order of pair, then of caption. Cosines are in float64; a row
    of zeros has cosine 0 with everything.

    Raises `DataError` for unfit arrays, no pairs, an index out of range, an image paired with itself, or a
    pair without a caption.

    >>> correct, pair = told_apart(np.eye(3), [[2, 1, 0], [2, 1, 0], [0, 1, 1]], [0, 1, 2], [[0, 1], [2, 1]])
    >>> correct.tolist(), pair.tolist()
    ([1.0, 0.0, 1.0, 0.5], [0, 0, 1, 1])
    """
    image_rows, caption_rows = as_pair(images, captions)
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).numpy()
    couples = to_numpy(pairs, "pairs")
    fits = couples.ndim == 2 and couples.shape[1] == 2 and len(couples) and couples.dtype.kind in "iu"
    if not fits or ((couples < 0) | (couples >= len(image_rows)) | (couples == couples[:, ::-1])).any():
        raise DataError(
            f"pairs: expected two different images a row, numbered 0 to {len(image_rows) - 1}, whole numbers "
            f"of shape (P, 2), P at least 1, found {couples.dtype} of shape {couples.shape}"
        )
    pair, query = np.nonzero((owners == couples[:, :1]) | (owners == couples[:, 1:]))
    silent = np.setdiff1d(np.arange(len(couples)), pair)
    if len(silent):
        couple = tuple(couples[silent[0]].tolist())
        raise DataError(f"pairs: neither image of pair {silent[0]} {couple} has a caption")
    cosines, own = Cosines(caption_rows, image_rows), owners[query]
    lead = (cosines.pairs(query, own) - cosines.pairs(query, couples.sum(1)[pair] - own)).cpu().numpy()
    return np.where(np.abs(lead) <= TIE, 0.5, (lead > 0).astype(np.float64)), pair
