"""Two images that look alike: does a caption know its own from the other?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from imtext.errors import DataError
from imtext.retrieval.similarity import TIE, as_owners, as_pair, exact_cosines, to_numpy


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
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"))
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).numpy()
    couples = _as_pairs(pairs, len(image_rows))
    order = np.argsort(owners, kind="stable")
    count = np.bincount(owners, minlength=len(image_rows))
    first = np.cumsum(count) - count
    queries, others, pair_of_query = [], [], []
    for number, (one, two) in enumerate(couples):
        mine = order[first[one] : first[one] + count[one]]
        theirs = order[first[two] : first[two] + count[two]]
        if not len(mine) + len(theirs):
            raise DataError(
                f"pairs: neither image of pair {number} ({one}, {two}) has a caption; leave it out"
            )
        query = np.sort(np.concatenate([mine, theirs]))
        queries.append(query)
        others.append(np.where(owners[query] == one, two, one))
        pair_of_query.append(np.full(len(query), number, dtype=np.int64))
    query = np.concatenate(queries)
    device = image_rows.values.device
    text, own, other = (
        torch.from_numpy(x).to(device) for x in (query, owners[query], np.concatenate(others))
    )
    lead = exact_cosines(caption_rows, image_rows, text, own)
    lead = (lead - exact_cosines(caption_rows, image_rows, text, other)).cpu().numpy()
    correct = np.where(np.abs(lead) <= TIE, 0.5, (lead > 0).astype(np.float64))
    return correct, np.concatenate(pair_of_query)


def _as_pairs(pairs: Any, n_images: int) -> np.ndarray:
    """Check pairs (P, 2) of different images; int64."""
    try:
        array = to_numpy(pairs)
    except ValueError as error:
        raise DataError(f"pairs: expected shape (P, 2) ({error})") from None
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or array.dtype.kind not in "iu":
        raise DataError(
            f"pairs: expected whole numbers of shape (P, 2), P at least 1, "
            f"found {array.dtype} of shape {array.shape}"
        )
    astray = np.flatnonzero(((array < 0) | (array >= n_images)).any(1))
    if len(astray):
        raise DataError(
            f"pairs: pair {astray[0]} is {array[astray[0]].tolist()}, "
            f"but images are numbered 0 to {n_images - 1}"
        )
    twice = np.flatnonzero(array[:, 0] == array[:, 1])
    if len(twice):
        raise DataError(
            f"pairs: pair {twice[0]} names image {array[twice[0], 0]} twice, expected two different images"
        )
    return array.astype(np.int64)
