"""Boxes on images: overlap, union, and which candidates belong to which query.

Boxes are ``x1, y1, x2, y2`` in pixels with both ends inclusive, so that a box of one pixel has ``x1 == x2``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imtext.errors import DataError


def iou(boxes_a: Any, boxes_b: Any) -> np.ndarray:
    """Intersection over union of each pair, ``(A, B)`` float64, of ``boxes_a (A, 4)`` and ``boxes_b (B, 4)``.

    >>> iou([[0, 0, 9, 9]], [[0, 0, 9, 4], [9, 9, 9, 9], [10, 0, 19, 9]])
    array([[0.5 , 0.01, 0.  ]])
    """
    a, b = as_boxes(boxes_a, "boxes_a"), as_boxes(boxes_b, "boxes_b")
    return paired_iou(a[:, None], b[None])


def paired_iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Intersection over union of box with box, ``(...)`` float64, of arrays ``(..., 4)`` that broadcast.

    >>> paired_iou(np.array([0, 0, 9, 9]), np.array([[5, 0, 9, 9], [0, 0, 9, 9]]))
    array([0.5, 1. ])
    """
    a, b = boxes_a.astype(np.float64, copy=False), boxes_b.astype(np.float64, copy=False)
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]) + 1
    tall = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]) + 1
    common = np.maximum(wide, 0) * np.maximum(tall, 0)
    return common / (_area(a) + _area(b) - common)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)


def union_box(boxes: Any) -> np.ndarray:
    """The smallest box ``(4,)`` that holds all of ``boxes (R, 4)``.

    Raises:
        DataError: there is no box.

    >>> union_box([[4, 0, 9, 3], [0, 2, 5, 8]])
    array([0, 0, 9, 8])
    """
    rows = as_boxes(boxes, "boxes")
    if not len(rows):
        raise DataError("boxes: expected at least one box, found none; leave out phrases without a box")
    return np.concatenate([rows[:, :2].min(0), rows[:, 2:].max(0)])


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
    boxes, image_of_box = as_boxes(boxes, "boxes"), as_indices(image_of_box, "image_of_box")
    chain_of_box = as_indices(chain_of_box, "chain_of_box")
    image, chain = as_indices(image, "image"), as_indices(chain, "chain")
    same_length(boxes=boxes, image_of_box=image_of_box, chain_of_box=chain_of_box)
    same_length(image=image, chain=chain)
    named = np.stack([np.concatenate([image_of_box, image]), np.concatenate([chain_of_box, chain])], 1)
    unique, thing = np.unique(named, axis=0, return_inverse=True)
    thing = thing.reshape(-1)
    union = np.full((len(unique), 4), np.iinfo(np.int64).max)
    union[:, 2:] = -1
    np.minimum.at(union[:, :2], thing[: len(boxes)], boxes[:, :2])
    np.maximum.at(union[:, 2:], thing[: len(boxes)], boxes[:, 2:])
    found = (union[:, 2] >= 0) & (unique[:, 1] != 0)
    union[~found] = -1
    return union[thing[len(boxes) :]], found[thing[len(boxes) :]]


def pairs(image: Any, image_of_box: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which query and which box each score of the flat layout belongs to, two arrays ``(pairs,)``.

    Query by query, the boxes of its image in the order of their indices.

    >>> pairs([1, 0], [1, 0, 1])
    (array([0, 0, 1]), array([0, 2, 1]))
    """
    image, image_of_box = as_indices(image, "image"), as_indices(image_of_box, "image_of_box")
    order = np.argsort(image_of_box, kind="stable")
    sorted_images = image_of_box[order]
    first = np.searchsorted(sorted_images, image, side="left")
    count = np.searchsorted(sorted_images, image, side="right") - first
    query = np.repeat(np.arange(len(image)), count)
    place = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
    return query, order[first[query] + place]


def as_boxes(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0:
        array = np.zeros((0, 4), np.int64)
    array = array[None] if array.shape == (4,) else array
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise DataError(f"{name}: expected boxes (n, 4) x1 y1 x2 y2, found {array.dtype} of {array.shape}")
    return array


def check_boxes(boxes: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~((boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 1])))
    if len(bad):
        raise DataError(
            f"{name}: box {bad[0]} is {boxes[bad[0]].tolist()}: expected x1 <= x2 and y1 <= y2; "
            "convert boxes with width and height first"
        )


def as_indices(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    array = array.astype(np.int64) if array.size == 0 else array
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{name}: expected integers (n,), found {array.dtype} of {array.shape}")
    return array.astype(np.int64, copy=False)


def same_length(**arrays: Any) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"expected as many rows of each, found {found}; pass arrays that belong together")
