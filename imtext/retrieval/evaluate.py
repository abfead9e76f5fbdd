"""The protocol of the field: recalls, ranks and R-sum of image queries and text queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imtext.errors import ConfigError, DataError
from imtext.retrieval.grouped import as_groups, check_folds
from imtext.retrieval.ranks import cosine_ranks, rank_of_targets
from imtext.retrieval.similarity import Rows, as_owners, as_pair, to_numpy

RECALLS = (1, 5, 10)
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
        names = ("r1", "r5", "r10", "median_rank", "mean_rank")
        means = [float(np.mean([getattr(part, name) for part in parts])) for name in names]
        return cls(*means, sum(part.n for part in parts))

    def to_dict(self) -> dict[str, float]:
        """The five metrics by name."""
        names = ("r1", "r5", "r10", "median_rank", "mean_rank")
        return {name: getattr(self, name) for name in names}


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
        sides = {"image_query": self.image_query, "text_query": self.text_query}
        flat = {f"{name}_{metric}": x for name, side in sides.items() for metric, x in side.to_dict().items()}
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
    are scored by the same arithmetic, described in `imtext.retrieval.ranks`.

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
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"), device)
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows))
    groups = as_groups(group_of_image, len(image_rows))

    def ranks(part: slice, members: Members) -> tuple[np.ndarray, np.ndarray]:
        local = owners[members] - part.start
        mates = None if groups is None else groups[part]
        return cosine_ranks(image_rows.take(part), _take(caption_rows, members), local, block, mates)

    return _by_fold(owners.numpy(), len(image_rows), folds, ranks, groups)


def evaluate_scores(
    scores: Any, image_of_caption: Any, folds: int = 1, group_of_image: Any = None
) -> Evaluation:
    """As `evaluate`, for ready ``scores (N, M)`` of images × captions, such as the mean of several models.

    Scores are compared as they are, higher is better. Raises as `evaluate` does.

    >>> evaluate_scores([[0.9, 0.2], [0.3, 0.1]], [0, 1]).text_query_ranks.tolist()
    [1, 2]
    """
    matrix = to_numpy(scores)
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "fiu":
        raise DataError(f"scores: expected numbers (N images, M captions), found shape {matrix.shape}")
    owners = as_owners(image_of_caption, *matrix.shape).numpy()
    groups = as_groups(group_of_image, len(matrix))

    def ranks(part: slice, members: Members) -> tuple[np.ndarray, np.ndarray]:
        own, block = owners[members] - part.start, matrix[part, members]
        if groups is None:
            return rank_of_targets(block, _where_equal(own)), rank_of_targets(block.T, own)
        label = np.unique(groups[part].numpy(), return_inverse=True)[1].reshape(-1)
        texts, pictures = _where_equal(label[own]), _where_equal(label)
        return (
            rank_of_targets(block, [texts[group] for group in label]),
            rank_of_targets(block.T, [pictures[group] for group in label[own]]),
        )

    return _by_fold(owners, len(matrix), folds, ranks, groups)


def _where_equal(labels: np.ndarray) -> list[np.ndarray]:
    """For each of the labels 0, 1, … the places where it stands."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def _by_fold(
    owners: np.ndarray,
    n_images: int,
    folds: int,
    ranks: Callable[[slice, Members], tuple[np.ndarray, np.ndarray]],
    groups: torch.Tensor | None,
) -> Evaluation:
    """Rank every fold on its own and put the parts together."""
    silent = np.flatnonzero(np.bincount(owners, minlength=n_images) == 0)
    if len(silent):
        raise DataError(
            f"image {silent[0]} has no caption ({len(silent)} such images), expected at least one for every "
            "image; leave these images out"
        )
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 1:
        raise ConfigError(f"folds: expected a positive whole number, found {folds!r}")
    if n_images % folds:
        raise DataError(f"folds: {n_images} images do not divide into {folds} equal blocks; choose a divisor")
    if groups is not None:
        check_folds(groups.numpy(), int(folds))
    size = n_images // int(folds)
    image_ranks, text_ranks = np.empty(n_images, dtype=np.int64), np.empty(len(owners), dtype=np.int64)
    sides: tuple[list[Direction], list[Direction]] = ([], [])
    for fold in range(int(folds)):
        part = slice(fold * size, (fold + 1) * size)
        members = _members(owners, part)
        image_ranks[part], text_ranks[members] = ranks(part, members)
        sides[0].append(Direction.of_ranks(image_ranks[part]))
        sides[1].append(Direction.of_ranks(text_ranks[members]))
    return Evaluation(
        Direction.mean(sides[0]), Direction.mean(sides[1]), image_ranks, text_ranks, owners, int(folds)
    )


def _members(owners: np.ndarray, part: slice) -> Members:
    """The captions of a block of images: a slice where they stand together, so that nothing is copied."""
    index = np.flatnonzero((owners >= part.start) & (owners < part.stop))
    together = index[-1] - index[0] + 1 == len(index)
    return slice(int(index[0]), int(index[-1]) + 1) if together else index


def _take(rows: Rows, members: Members) -> Rows:
    if isinstance(members, slice):
        return rows.take(members)
    return rows.take(torch.from_numpy(members).to(rows.values.device))
