"""Phrase localisation: which of an image's candidate boxes does a phrase mean?

A query is one mention of a phrase in a caption; its truth is one box, the smallest that holds all boxes of
what it mentions. Candidates are the boxes proposed for its image, ranked by a score. Structure-Preserving
Embeddings, section 3.3, after the protocol of Flickr30k Entities (Plummer and others, ICCV 2015). Boxes are
``x1, y1, x2, y2`` in pixels with both ends inclusive, so that a box of one pixel has ``x1 == x2``.

Scores lie in one flat array: the candidates of query 0 in the order of their indices, then those of query 1,
and so on. :func:`pairs` says which number belongs to whom; :func:`phrase_scores` fills it from embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imtext.check import number, one_of
from imtext.errors import DataError

RECALLS = (1, 5, 10)


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
        ranks: ``(queries,)`` float64, 1-based rank of the first right candidate, inf where there is none.
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
        return {name: value for name, value in vars(self).items() if np.isscalar(value)}


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
        scores: flat ``(pairs,)``, as :func:`pairs` numbers them; higher is better, equal ones in the order of
            the boxes.
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
    number("threshold", threshold, 1e-9, 1)
    number("nms", nms, 0, 1)
    one_of("protocol", protocol, ("detection", "mentions"))
    truth, boxes, image = _boxes(truth, "truth"), _boxes(boxes, "boxes"), np.asarray(image)
    _same_length(truth=truth, image=image, words=words)
    query, box = pairs(image, image_of_box)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != query.shape or np.isnan(scores).any():
        raise DataError(
            f"scores: expected {len(query)} numbers, one per query and candidate of its image, none of them "
            f"NaN, found shape {scores.shape}; see pairs()"
        )
    kept = np.flatnonzero((truth >= 0).all(1))
    if not len(kept):
        raise DataError(f"truth: none of the {len(truth)} queries has a box; pass boxes, see truth_boxes")
    names, phrase = np.unique([words[q] for q in kept], return_inverse=True)
    unit = image if protocol == "detection" else np.arange(len(image))  # mentions are ranked one by one
    targets: dict[tuple[int, int], set[tuple[float, ...]]] = {}  # distinct true boxes of a phrase in a unit
    for word, q in zip(phrase, kept, strict=True):
        targets.setdefault((word, unit[q]), set()).add(tuple(truth[q].tolist()))
    ends = np.searchsorted(query, np.arange(len(image) + 1))
    ranks, bound, positives = [], [], np.zeros(len(names), int)
    lists: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in names]  # scores and hits by phrase
    for word, q in zip(phrase, kept, strict=True):
        own, score = boxes[box[ends[q] : ends[q + 1]]], scores[ends[q] : ends[q + 1]]
        right = iou(own, truth[q])[:, 0] >= threshold
        left = suppress(own, score, nms)
        ranked = left if nms_before_recall else np.argsort(-score, kind="stable")
        ranks.append(np.append(np.flatnonzero(right[ranked]) + 1.0, np.inf)[0])
        bound.append(right.any())
        if wanted := targets.pop((word, unit[q]), None):  # the first mention's scores count
            positives[word] += len(wanted)
            lists[word].append((score[left], _detected(own[left], sorted(wanted), threshold)))
    points = 11 if protocol == "mentions" else None
    ap = np.zeros(len(names))
    for word, found in enumerate(lists):
        score, hits = (np.concatenate(part) for part in zip(*found, strict=True))
        ap[word] = average_precision(hits[np.argsort(-score, kind="stable")], positives[word], points)
    ranks, counts = np.array(ranks), (len(kept), len(names), len(truth) - len(kept))
    shares = *(ranks <= k for k in RECALLS), ap, bound
    measures = (100 * float(np.mean(share)) for share in shares)
    return Localisation(*measures, *counts, ranks, kept, ap, tuple(names.tolist()))


def _detected(boxes: np.ndarray, targets: Any, threshold: float) -> np.ndarray:
    """Which of some boxes, best first, find a true box that none before has found."""
    overlap = iou(boxes, targets)
    target = np.where(overlap.max(1) >= threshold, overlap.argmax(1), -1)
    hits = np.zeros(len(boxes), bool)
    hits[np.unique(target, return_index=True)[1]] = True
    return hits & (target >= 0)


def average_precision(hits: Any, positives: int, points: int | None = None) -> float:
    """Average precision of a ranked list ``hits (n,)`` bool, best first, of ``positives`` things to find.

    The area under the curve of precision against recall, precision interpolated (at each recall the best of
    this and all higher recalls). With ``points=11`` the mean of that precision at recalls 0, 0.1, ... 1.

    >>> average_precision([True, False, True], 2)
    0.8333333333333333
    """
    at = np.flatnonzero(np.asarray(hits, dtype=bool))
    found = np.arange(1, len(at) + 1)
    precision = np.maximum.accumulate((found / (at + 1))[::-1])[::-1]
    if points is None:
        return float(precision.sum() / positives)
    # Of the hits, number ceil(recall * positives) is the first to reach the recall; none are needed for 0.
    needed = -(-np.arange(points) * positives // (points - 1))
    place = np.maximum(needed, 1) - 1
    return float(precision[place[place < len(at)]].sum() / points)


def phrase_scores(phrases: Any, regions: Any, image: Any, image_of_box: Any) -> np.ndarray:
    """Flat scores ``(pairs,)``: inner products of ``phrases (Q, D)`` with ``regions (P, D)`` of their images.

    For unit rows these are cosines. One small matrix product per image.

    >>> phrase_scores(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [9.0, 9.0], [0.0, 1.0]]), [5], [5, 4, 5])
    array([3., 2.])
    """
    phrases, regions, image = np.asarray(phrases), np.asarray(regions), np.asarray(image)
    _same_length(phrases=phrases, image=image)
    _same_length(regions=regions, image_of_box=image_of_box)
    query, box = pairs(image, image_of_box)
    first = np.searchsorted(query, np.arange(len(image) + 1))
    out = np.empty(len(query), np.result_type(phrases, regions))
    for one in np.unique(image):
        group = np.flatnonzero(image == one)
        cells = first[group][:, None] + np.arange(first[group[0] + 1] - first[group[0]])
        out[cells] = phrases[group] @ regions[box[cells[0]]].T
    return out


def pairs(image: Any, image_of_box: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which query and which box each score of the flat layout belongs to, two arrays ``(pairs,)``.

    Query by query, the boxes of its image in the order of their indices.

    >>> pairs([1, 0], [1, 0, 1])
    (array([0, 0, 1]), array([0, 2, 1]))
    """
    image, image_of_box = np.asarray(image), np.asarray(image_of_box)
    order = np.argsort(image_of_box, kind="stable")
    first, last = (np.searchsorted(image_of_box[order], image, side) for side in ("left", "right"))
    query = np.repeat(np.arange(len(image)), last - first)
    place = np.arange(len(query)) - np.repeat(np.cumsum(last - first) - last, last - first)
    return query, order[place]


def iou(boxes_a: Any, boxes_b: Any) -> np.ndarray:
    """Intersection over union of each pair, ``(A, B)`` float64, of ``boxes_a (A, 4)`` and ``boxes_b (B, 4)``.

    >>> iou([[0, 0, 9, 9]], [[0, 0, 9, 4], [9, 9, 9, 9], [10, 0, 19, 9]])
    array([[0.5 , 0.01, 0.  ]])
    """
    from torchvision.ops import box_iou

    return box_iou(_edges(boxes_a), _edges(boxes_b)).numpy()


def suppress(boxes: Any, scores: Any, nms: float = 0.5) -> np.ndarray:
    """Indices of the boxes that non-maximum suppression leaves, best first.

    A box goes when its IoU with a better one that stays is above ``nms``; equal scores in their order.

    >>> suppress([[0, 0, 9, 9], [0, 0, 9, 8], [30, 0, 39, 9]], [0.5, 0.6, 0.1])
    array([1, 2])
    """
    from torchvision import ops

    return ops.nms(_edges(boxes), torch.as_tensor(scores, dtype=torch.float64), nms).numpy()


def _edges(boxes: Any) -> torch.Tensor:
    """Boxes (n, 4) between the edges of their pixels, as torchvision takes them, in float64."""
    return torch.from_numpy(np.asarray(boxes, np.float64).reshape(-1, 4) + [0, 0, 1, 1])


def truth_boxes(
    boxes: Any, image_of_box: Any, chain_of_box: Any, image: Any, chain: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The union box of each of Q phrases, ``(Q, 4)``, and whether it has one, ``(Q,)``; else the box is -1.

    ``boxes (R, 4)``, ``image_of_box (R,)`` and ``chain_of_box (R,)`` are a dataset's regions; ``image (Q,)``
    and ``chain (Q,)`` those of the phrases. Chain 0 stands for what cannot be seen and has no box.

    >>> truth_boxes([[0, 0, 4, 4], [2, 2, 9, 9]], [3, 3], [7, 7], [3, 3], [7, 8])
    (array([[ 0,  0,  9,  9],
           [-1, -1, -1, -1]]), array([ True, False]))
    """
    boxes = _boxes(boxes, "boxes")
    _same_length(boxes=boxes, image_of_box=image_of_box, chain_of_box=chain_of_box)
    _same_length(image=image, chain=chain)
    named = np.stack([np.append(image_of_box, image), np.append(chain_of_box, chain)], 1)
    unique, thing = np.unique(named, axis=0, return_inverse=True)
    of_box, of_phrase = np.split(thing.reshape(-1), [len(boxes)])
    union = np.full((len(unique), 4), np.iinfo(np.int64).max)
    union[:, 2:] = -1
    np.minimum.at(union[:, :2], of_box, boxes[:, :2])
    np.maximum.at(union[:, 2:], of_box, boxes[:, 2:])
    found = (union[:, 2] >= 0) & (unique[:, 1] != 0)
    union[~found] = -1
    return union[of_phrase], found[of_phrase]


def _boxes(values: Any, name: str) -> np.ndarray:
    """Boxes (n, 4), checked."""
    array = np.asarray(values) if len(values) else np.zeros((0, 4), np.int64)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise DataError(f"{name}: expected boxes (n, 4) x1 y1 x2 y2, found {array.dtype} of {array.shape}")
    bad = np.flatnonzero(~(array[:, 2:] >= array[:, :2]).all(1))
    if len(bad):
        raise DataError(
            f"{name}: box {bad[0]} is {array[bad[0]].tolist()}: expected x1 <= x2 and y1 <= y2; "
            "convert boxes with width and height first"
        )
    return array


def _same_length(**arrays: Any) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"expected the same number of rows, found {found}; pass arrays that belong together")
