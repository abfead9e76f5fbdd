"""The true match that counts: a query's own, or the best of its group.

Where several images show one thing, such as the photographs of one person, an image and a caption match if
they belong to the same group (language-based person search: Zheng et al., section 6.1 and Table 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from imtext.errors import DataError
from imtext.retrieval.similarity import TIE, Rows, exact_cosines, slices, to_numpy

_PAIRS = 1 << 18  # true pairs held at a time


@dataclass(frozen=True)
class Targets:
    """The best true match of every query: its float64 cosine and its gallery index, the smallest of equals.

    ``text_score (M,)`` and ``image_of_text (M,)`` for captions that look for images; ``image_score (N,)``
    and ``text_of_image (N,)`` for images that look for captions.
    """

    text_score: torch.Tensor
    image_of_text: torch.Tensor
    image_score: torch.Tensor
    text_of_image: torch.Tensor


def own_targets(images: Rows, captions: Rows, owners: torch.Tensor) -> Targets:
    """A caption's match is its image ``owners (M,)``; an image's is the best of its captions."""
    index = torch.arange(len(captions), device=owners.device)
    own = exact_cosines(captions, images, index, owners)
    best = own.new_full((len(images),), -2.0).scatter_reduce(0, owners, own, "amax")
    leads = own >= best[owners] - TIE
    leader = torch.full_like(best, len(captions), dtype=torch.int64)
    leader.scatter_reduce_(0, owners[leads], index[leads], "amin")
    return Targets(own, owners, best, leader)


def group_targets(images: Rows, captions: Rows, owners: torch.Tensor, groups: torch.Tensor) -> Targets:
    """Every item of the query's group is a true match; the best of them counts.

    ``owners (M,)``: each caption's image; ``groups (N,)``: each image's group, any whole numbers. The pairs
    within groups are scored twice, once for the best and once for who reaches it, so that memory stays
    bounded however large a group is.

    >>> from imtext.retrieval.similarity import as_rows
    >>> rows = as_rows(np.eye(3), "x")
    >>> group_targets(rows, rows, torch.tensor([1, 0, 2]), torch.tensor([5, 5, 8])).text_score.tolist()
    [1.0, 1.0, 1.0]
    """
    text_score = images.inverse_norm.new_full((len(captions),), -2.0)
    image_score = images.inverse_norm.new_full((len(images),), -2.0)
    image_of_text = torch.full_like(text_score, len(images), dtype=torch.int64)
    text_of_image = torch.full_like(image_score, len(captions), dtype=torch.int64)
    for text, image in _pairs_within(owners, groups):
        cosine = exact_cosines(captions, images, text, image)
        text_score.scatter_reduce_(0, text, cosine, "amax")
        image_score.scatter_reduce_(0, image, cosine, "amax")
    for text, image in _pairs_within(owners, groups):
        cosine = exact_cosines(captions, images, text, image)
        leads = cosine >= text_score[text] - TIE
        image_of_text.scatter_reduce_(0, text[leads], image[leads], "amin")
        leads = cosine >= image_score[image] - TIE
        text_of_image.scatter_reduce_(0, image[leads], text[leads], "amin")
    return Targets(text_score, image_of_text, image_score, text_of_image)


def _pairs_within(owners: torch.Tensor, groups: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All pairs (caption, image) within a group, as two index arrays, some at a time."""
    _, label, size = torch.unique(groups, return_inverse=True, return_counts=True)
    image_order = torch.argsort(label, stable=True)  # the images of a group stand together here
    first = size.cumsum(0) - size
    of_caption = label[owners]
    ends = size[of_caption].cumsum(0)
    for part in slices(int(ends[-1]), _PAIRS):
        pair = torch.arange(part.start, part.stop, device=owners.device)
        text = torch.searchsorted(ends, pair, right=True)
        within = pair - (ends[text] - size[of_caption[text]])
        yield text, image_order[first[of_caption[text]] + within]


def as_groups(group_of_image: Any, n_images: int) -> torch.Tensor | None:
    """Check the group of every image (N,), and number the groups from 0; None where each image is its own.

    Raises `DataError` for another shape or numbers that are not whole.

    >>> as_groups([7, -1, 7], 3), as_groups([2, 1, 0], 3)
    (tensor([1, 0, 1]), None)
    """
    if group_of_image is None:
        return None
    array = to_numpy(group_of_image)
    if array.shape != (n_images,) or array.dtype.kind not in "iu":
        raise DataError(
            f"group_of_image: expected whole numbers of shape ({n_images},), one for each image, "
            f"found {array.dtype} of shape {array.shape}"
        )
    names, label = np.unique(array, return_inverse=True)
    return None if len(names) == n_images else torch.from_numpy(label.reshape(-1).astype(np.int64))


def check_folds(groups: np.ndarray, folds: int) -> None:
    """Raise `DataError` where a group lies in more than one of ``folds`` equal blocks of images."""
    size = len(groups) // folds
    fold = np.arange(len(groups)) // size
    first = np.full(groups.max() + 1, folds)
    np.minimum.at(first, groups, fold)
    astray = np.flatnonzero(fold != first[groups])
    if len(astray):
        image = astray[0]
        other = np.flatnonzero(groups == groups[image])[0]
        raise DataError(
            f"folds: images {other} and {image} are of one group but lie in folds {first[groups[image]]} "
            f"and {fold[image]}; order the images so that groups stay whole, or use folds=1"
        )
