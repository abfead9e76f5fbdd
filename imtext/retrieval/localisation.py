"""Phrase localisation: which of an image's candidate boxes does a phrase mean?

A query is one mention of a phrase in a caption; its truth is one box, the smallest that holds all boxes of
what it mentions. Candidates are the boxes proposed for its image, ranked by a score. Structure-Preserving
Embeddings, section 3.3, after the protocol of Flickr30k Entities (Plummer and others, ICCV 2015). Boxes are
``x1, y1, x2, y2`` with both ends inclusive.

Scores lie in one flat array: the candidates of query 0 in the order of their indices, then those of query 1,
and so on. :func:`pairs` says which number belongs to whom; :func:`phrase_scores` fills it from embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.retrieval.boxes import (
    as_boxes,
    as_indices,
    check_boxes,
    iou,
    paired_iou,
    pairs,
    same_length,
    truth_boxes,
    union_box,
)

__all__ = [
    "PROTOCOLS",
    "RECALLS",
    "Localisation",
    "average_precision",
    "first_hit",
    "iou",
    "localise",
    "pairs",
    "phrase_scores",
    "recall_at",
    "suppress",
    "truth_boxes",
    "union_box",
    "upper_bound",
]

RECALLS = (1, 5, 10)
PROTOCOLS = ("detection", "mentions")
_PAIRS = 1 << 17  # of a query and a box, at a time


@dataclass(frozen=True)
class Localisation:
    """How well phrases find their boxes; all but the counts in per cent.

    Attributes:
        r1, r5, r10: share of queries with a right candidate (IoU at or above the threshold) in the first K.
        mean_ap: mean over unique phrases of their average precision.
        upper_bound: share of queries with any right candidate: what the best scores could reach.
        queries: number of queries with a box; a query whose image has no candidate counts as a miss.
        phrases: number of unique phrases among them.
        without_box: queries left out, as no box belongs to them.
        ranks: ``(queries,)`` float64, 1-based rank of the first right candidate, inf where there is none, as
            :func:`imtext.retrieval.bootstrap.paired_bootstrap` takes them (with the images as clusters).
        query: ``(queries,)`` int64, the number of each among all queries given.
        ap: ``(phrases,)`` float64, average precision of each of ``words``.
        words: the unique phrases, sorted.
    """

    r1: float
    r5: float
    r10: float
    mean_ap: float
    upper_bound: float
    queries: int
    phrases: int
    without_box: int
    ranks: np.ndarray = field(repr=False, compare=False)
    query: np.ndarray = field(repr=False, compare=False)
    ap: np.ndarray = field(repr=False, compare=False)
    words: tuple[str, ...] = field(repr=False, compare=False)

    def row(self) -> dict[str, float]:
        """Every number but the arrays, for a table."""
        names = ("r1", "r5", "r10", "mean_ap", "upper_bound", "queries", "phrases", "without_box")
        return {name: getattr(self, name) for name in names}


def localise(
    scores: Any,
    truth: Any,
    image: Any,
    boxes: Any,
    image_of_box: Any,
    words: Sequence[str],
    threshold: float = 0.5,
    nms: float = 0.5,
    protocol: str = "detection",
    nms_before_recall: bool = False,
) -> Localisation:
    """Recall at 1, 5 and 10, mean average precision and upper bound of Q phrase queries on P candidate boxes.

    Args:
        scores: flat ``(pairs,)``, as :func:`pairs` numbers them, or one array per query; higher is better.
        truth: ``(Q, 4)`` true box of each query, see :func:`truth_boxes`; -1 in all places where it has none:
            such a query is left out and counted.
        image: ``(Q,)`` image of each query.
        boxes, image_of_box: ``(P, 4)`` candidates and ``(P,)`` their images, in any order.
        words: Q phrases; equal strings are one phrase for the average precision (lower-case them first).
        threshold: least IoU of a right candidate.
        nms: before the average precision, a candidate goes whose IoU with a better one is above this
            (0.5: evaluation code published with the dataset).
        protocol: of the average precision. ``"detection"`` ranks, for each phrase, the boxes of all images
            in which it is mentioned, those of an image once; a true box is found by one box only, further
            ones are false; the area under the interpolated curve counts (PASCAL VOC since 2010). Mentions of
            one phrase in one image share the first one's scores. ``"mentions"`` follows the published
            evaluation code: every mention ranks its image's boxes anew, its first right box is true, all its
            others false; precision is read at 11 recalls (PASCAL VOC 2007).
        nms_before_recall: whether recall, too, counts only the candidates left by the suppression (the
            published code; the paper speaks of suppression for the average precision only).

    Raises:
        DataError: shapes disagree, a score is NaN, a box is inverted, no query has a box.
        ConfigError: an option is out of range.

    >>> boxes = [[0, 0, 9, 9], [20, 20, 29, 29]]
    >>> scores, truth = [0.2, 0.7, 0.9, 0.1], [[0, 0, 9, 7], [0, 0, 9, 9]]
    >>> found = localise(scores, truth, [0, 0], boxes, [0, 0], ["a cat", "a dog"])
    >>> found.ranks, found.r1, found.mean_ap
    (array([2., 1.]), 50.0, 75.0)
    """
    _check_options(threshold, nms, protocol)
    truth, image = as_boxes(truth, "truth"), as_indices(image, "image")
    boxes, image_of_box = as_boxes(boxes, "boxes"), as_indices(image_of_box, "image_of_box")
    same_length(truth=truth, image=image, words=words)
    same_length(boxes=boxes, image_of_box=image_of_box)
    query, box = pairs(image, image_of_box)
    values = _flat(scores, np.bincount(query, minlength=len(image)))
    has_box = (truth >= 0).all(1)
    if not has_box.any():
        raise DataError(f"truth: none of the {len(truth)} queries has a box; pass boxes, see truth_boxes")
    check_boxes(truth[has_box], "truth")
    check_boxes(boxes, "boxes")
    # queries without a box go, the others are numbered anew
    kept, inside, number = np.flatnonzero(has_box), has_box[query], np.cumsum(has_box) - 1
    truth, image = truth[kept], image[kept]
    ranked = _Ranked(number[query[inside]], box[inside], values[inside], len(kept))
    survivors = ranked.keep(_suppress(ranked, boxes, nms))
    all_ranks = _first_right(ranked, boxes, truth, threshold)
    ranks = _first_right(survivors, boxes, truth, threshold) if nms_before_recall else all_ranks
    names, phrase = np.unique([str(words[i]) for i in kept], return_inverse=True)
    if protocol == "detection":
        ap = _per_phrase(*_detections(survivors, boxes, truth, image, phrase, threshold), None)
    else:
        ap = _per_phrase(*_mentions(survivors, boxes, truth, phrase, threshold), 11)
    r1, r5, r10 = recall_at(ranks, RECALLS)
    bound, without = upper_bound(all_ranks), len(has_box) - len(kept)
    counts = (len(kept), len(names), without)
    return Localisation(
        r1, r5, r10, 100 * float(ap.mean()), bound, *counts, ranks, kept, ap, tuple(names.tolist())
    )


def phrase_scores(phrases: Any, regions: Any, image: Any, image_of_box: Any) -> np.ndarray:
    """Flat scores ``(pairs,)``: inner products of ``phrases (Q, D)`` with ``regions (P, D)`` of their images.

    For unit rows these are cosines. One small matrix product per image.

    >>> phrase_scores(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [9.0, 9.0], [0.0, 1.0]]), [5], [5, 4, 5])
    array([3., 2.])
    """
    phrases, regions = np.asarray(phrases), np.asarray(regions)
    image, image_of_box = as_indices(image, "image"), as_indices(image_of_box, "image_of_box")
    same_length(phrases=phrases, image=image)
    same_length(regions=regions, image_of_box=image_of_box)
    if phrases.ndim != 2 or regions.ndim != 2 or phrases.shape[1] != regions.shape[1]:
        raise DataError(f"phrases {phrases.shape}, regions {regions.shape}: expected (Q, D) and (P, D)")
    query, box = pairs(image, image_of_box)
    count = np.bincount(query, minlength=len(image))
    start = np.cumsum(count) - count
    out = np.empty(len(query), np.result_type(phrases, regions))
    by_image = np.argsort(image, kind="stable")
    for group in np.split(by_image, np.flatnonzero(np.diff(image[by_image])) + 1):
        if len(group) and count[group[0]]:
            cells = start[group][:, None] + np.arange(count[group[0]])
            out[cells] = phrases[group] @ regions[box[cells[0]]].T
    return out


def first_hit(scores: Any, candidate_boxes: Any, truth_box: Any, threshold: float = 0.5) -> float:
    """1-based rank of one query's first candidate with an IoU of at least ``threshold``; inf for none.

    ``scores (P,)``, higher is better, equal ones in the order of their indices; ``candidate_boxes (P, 4)``.

    >>> first_hit([0.1, 0.9, 0.9], [[0, 0, 4, 4], [50, 50, 60, 60], [0, 0, 4, 3]], [0, 0, 4, 4])
    2.0
    """
    boxes, truth = as_boxes(candidate_boxes, "candidate_boxes"), as_boxes(truth_box, "truth_box")
    values = _flat(scores, np.array([len(boxes)]))
    ranked = _Ranked(np.zeros(len(boxes), np.int64), np.arange(len(boxes)), values, 1)
    return float(_first_right(ranked, boxes, truth, threshold)[0])


def recall_at(ranks: Any, ks: Sequence[int] = RECALLS) -> tuple[float, ...]:
    """Per cent of the 1-based ``ranks (Q,)``, inf for a miss, that are at most each of ``ks``.

    >>> recall_at([1, 3, np.inf, 10])
    (25.0, 50.0, 75.0)
    """
    array = np.asarray(ranks, dtype=np.float64)
    if not array.size:
        raise DataError("ranks: expected at least one query, found none")
    return tuple(100 * float((array <= k).mean()) for k in ks)


def upper_bound(ranks: Any) -> float:
    """Per cent of queries with any right candidate, from their ``ranks (Q,)``.

    >>> upper_bound([3, np.inf])
    50.0
    """
    return recall_at(np.where(np.isfinite(np.asarray(ranks, dtype=np.float64)), 0, np.inf), (1,))[0]


def suppress(boxes: Any, scores: Any, nms: float = 0.5) -> np.ndarray:
    """Indices of the boxes that non-maximum suppression leaves, best first.

    A box goes when its IoU with a better one that stays is above ``nms``; equal scores in their order.

    >>> suppress([[0, 0, 9, 9], [0, 0, 9, 8], [30, 0, 39, 9]], [0.5, 0.6, 0.1])
    array([1, 2])
    """
    rows = as_boxes(boxes, "boxes")
    values = _flat(scores, np.array([len(rows)]))
    ranked = _Ranked(np.zeros(len(rows), np.int64), np.arange(len(rows)), values, 1)
    return ranked.keep(_suppress(ranked, rows, nms)).box


def average_precision(hits: Any, positives: int, points: int | None = None) -> float:
    """Average precision of a ranked list ``hits (n,)`` bool, best first, of ``positives`` things to find.

    The area under the curve of precision against recall, precision interpolated (at each recall the best of
    this and all higher recalls). With ``points=11`` the mean of that precision at recalls 0, 0.1, ... 1.

    >>> average_precision([True, False, True], 2)
    0.8333333333333333
    """
    if positives < 1:
        raise DataError(f"positives={positives}: expected at least one thing to find")
    at = np.flatnonzero(np.asarray(hits, dtype=bool))
    found = np.arange(1, len(at) + 1)
    precision = np.maximum.accumulate((found / (at + 1))[::-1])[::-1]
    if points is None:
        return float(precision.sum() / positives)
    # Of the hits, number ceil(recall * positives) is the first to reach the recall; none are needed for 0.
    needed = -(-np.arange(points) * positives // (points - 1))
    place = np.maximum(needed, 1) - 1
    reached = place < len(at)
    return float(precision[place[reached]].sum() / points)


class _Ranked:
    """Pairs sorted by query, then score, best first, then box; ``place`` counts from 0 in each query."""

    def __init__(self, query: np.ndarray, box: np.ndarray, score: np.ndarray, count: int) -> None:
        order = np.lexsort((box, -score, query))
        self.query, self.box, self.score, self.count = query[order], box[order], score[order], count
        sizes = np.bincount(query, minlength=count)
        self.place = np.arange(len(query)) - np.repeat(np.cumsum(sizes) - sizes, sizes)

    def keep(self, mask: np.ndarray) -> _Ranked:
        return _Ranked(self.query[mask], self.box[mask], self.score[mask], self.count)


def _first_right(ranked: _Ranked, boxes: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """1-based rank, among what is left, of each query's first right box; inf for none."""
    right = paired_iou(boxes[ranked.box], truth[ranked.query]) >= threshold
    out = np.full(ranked.count, np.inf)
    at = np.flatnonzero(right)[::-1]  # the last assignment stays: the best
    out[ranked.query[at]] = ranked.place[at] + 1.0
    return out


def _suppress(ranked: _Ranked, boxes: np.ndarray, nms: float) -> np.ndarray:
    """Which pairs stay, ``(pairs,)`` bool; greedy in the order of rank, many queries at a time."""
    stays = np.zeros(len(ranked.query), bool)
    if not len(stays):
        return stays
    sizes = np.bincount(ranked.query, minlength=ranked.count)
    most, first = int(sizes.max()), np.cumsum(sizes) - sizes
    step = max(1, _PAIRS // most)
    for a in range(0, ranked.count, step):
        part = np.arange(a, min(a + step, ranked.count))
        ranks = np.arange(most)
        there = ranks < sizes[part, None]
        cell = np.where(there, first[part, None] + ranks, 0)
        own, alive = boxes[ranked.box[cell]].astype(np.float64), there.copy()
        for k in range(most - 1):
            judges = np.flatnonzero(alive[:, k])
            near = paired_iou(own[judges, k, None], own[judges, k + 1 :]) > nms
            alive[judges, k + 1 :] &= ~near
        stays[cell[alive]] = True
    return stays


Hits = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _mentions(
    ranked: _Ranked, boxes: np.ndarray, truth: np.ndarray, phrase: np.ndarray, threshold: float
) -> Hits:
    """Per pair its phrase, score and whether it hits; per phrase how many to find: every mention is one."""
    first = _first_right(ranked, boxes, truth, threshold)
    hit = ranked.place + 1 == first[ranked.query]
    return phrase[ranked.query], ranked.score, hit, np.bincount(phrase)


def _detections(
    ranked: _Ranked,
    boxes: np.ndarray,
    truth: np.ndarray,
    image: np.ndarray,
    phrase: np.ndarray,
    threshold: float,
) -> Hits:
    """The same, where a phrase and image are one list of boxes and each true box of it is found once."""
    _, leader, unit = np.unique(np.stack([phrase, image], 1), axis=0, return_index=True, return_inverse=True)
    targets = np.unique(np.concatenate([unit.reshape(-1, 1), truth], 1), axis=0)
    first = np.searchsorted(targets[:, 0], np.arange(len(leader) + 1))
    leads = np.isin(ranked.query, leader)
    query, box, score = ranked.query[leads], ranked.box[leads], ranked.score[leads]
    unit_of_pair = unit.reshape(-1)[query]
    best, target = np.zeros(len(query)), np.full(len(query), -1)
    for k in range(int(np.diff(first).max())):  # nearly always one true box, seldom more than three
        number = first[unit_of_pair] + k
        has = np.flatnonzero(number < first[unit_of_pair + 1])
        overlap = paired_iou(boxes[box[has]], targets[number[has], 1:])
        better = overlap > best[has]
        best[has[better]], target[has[better]] = overlap[better], number[has[better]]
    right = np.flatnonzero(best >= threshold)
    hit = np.zeros(len(query), bool)
    hit[right[np.unique(target[right], return_index=True)[1]]] = True  # ranked: the first is the best
    return phrase[query], score, hit, np.bincount(phrase[leader[targets[:, 0]]])


def _per_phrase(
    phrase: np.ndarray, score: np.ndarray, hit: np.ndarray, positives: np.ndarray, points: int | None
) -> np.ndarray:
    """Average precision of each phrase; boxes of equal score stay in the order of queries, then ranks."""
    order = np.lexsort((-score, phrase))
    ends = np.searchsorted(phrase[order], np.arange(len(positives) + 1))
    lists = np.split(hit[order], ends[1:-1])
    return np.array([average_precision(h, int(n), points) for h, n in zip(lists, positives, strict=True)])


def _check_options(threshold: float, nms: float, protocol: str) -> None:
    if not 0 < threshold <= 1 or not 0 <= nms <= 1:
        raise ConfigError(f"threshold={threshold}, nms={nms}: expected 0 < threshold <= 1 and 0 <= nms <= 1")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol={protocol!r}: expected one of {PROTOCOLS}")


def _flat(scores: Any, sizes: np.ndarray) -> np.ndarray:
    """Scores as one float64 array, ragged lists laid end to end; float32 keeps its order and its ties."""
    rows = scores if isinstance(scores, list | tuple) else None
    if rows and np.ndim(rows[0]) == 1:
        lengths = np.array([len(row) for row in rows])
        if not np.array_equal(lengths, sizes):
            bad = int(np.flatnonzero(lengths != sizes)[0]) if len(lengths) == len(sizes) else None
            where = f"query {bad}: {lengths[bad]}" if bad is not None else f"{len(lengths)} queries"
            want = f"{sizes[bad]}" if bad is not None else f"{len(sizes)} queries"
            raise DataError(f"scores: expected one per candidate, {want}, found {where}; see pairs()")
        scores = np.concatenate(rows)
    flat = np.asarray(scores, dtype=np.float64)
    if flat.shape != (sizes.sum(),):
        raise DataError(
            f"scores: expected {sizes.sum()} numbers, one per query and candidate of its image, "
            f"found shape {flat.shape}; see pairs()"
        )
    if np.isnan(flat).any():
        raise DataError(f"scores: number {int(np.flatnonzero(np.isnan(flat))[0])} is NaN")
    return flat
