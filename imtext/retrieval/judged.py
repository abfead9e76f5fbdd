"""Pairs that people judged, and the wrong results of a model among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from imtext.errors import DataError
from imtext.retrieval.grouped import as_groups
from imtext.retrieval.neighbours import as_scores
from imtext.retrieval.similarity import as_owners, slices, to_numpy

_NUMBERS = 1 << 22  # scores compared at a time


def group_labels(group_of_image: Any, n_images: int) -> np.ndarray:
    """The group of each image (N,); each image its own where none are given."""
    groups = as_groups(group_of_image, n_images)
    return np.arange(n_images) if groups is None else groups.numpy()


def pair_matrix(images: Any, captions: Any, values: Any, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Values of some pairs ``(P,)`` as a sparse matrix (N, M) in which the other pairs are 0.

    Raises `DataError` for lengths that differ, indices out of range, or a pair that is there twice.

    >>> pair_matrix([0, 1], [2, 0], [True, True], (2, 3)).toarray().astype(int).tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    rows, columns, data = _as_pairs(images, captions, values, shape)
    data = data.astype(np.float32) if data.dtype.kind == "b" else data
    return sparse.csr_matrix((data, (rows, columns)), shape=shape)


def _as_pairs(
    images: Any, captions: Any, values: Any, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns, data = (to_numpy(x) for x in (images, captions, values))
    if not (rows.ndim == 1 and rows.shape == columns.shape == data.shape) or data.dtype.kind not in "biuf":
        raise DataError(
            "pairs: expected images, captions and values of one length (P,), found shapes "
            f"{rows.shape}, {columns.shape} and {data.shape}"
        )
    for name, index, bound in (("images", rows, shape[0]), ("captions", columns, shape[1])):
        if len(index) and (index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= bound):
            raise DataError(
                f"{name} of the pairs: expected 0 to {bound - 1}, found {index.min()} to {index.max()}"
            )
    keys = rows.astype(np.int64) * shape[1] + columns
    unique, counts = np.unique(keys, return_counts=True)
    if len(unique) < len(keys):
        image, caption = divmod(int(unique[counts.argmax()]), shape[1])
        raise DataError(f"pairs: image {image} and caption {caption} are there twice; keep one")
    return rows.astype(np.int64), columns.astype(np.int64), data


@dataclass(frozen=True, eq=False)
class FirstWrong:
    """Per query the best-ranked item that is not of its own group, and what was said about the pair.

    ``item (Q,)`` gallery index, -1 if there is none; ``rank (Q,)`` its rank from 1, 1 where the query fails
    at R@1, and 0 if there is none; ``value (Q,)`` float64 its judgement, NaN where the pair was not judged.
    """

    item: np.ndarray
    rank: np.ndarray
    value: np.ndarray

    def share_right(self, least: float, rank: int | None = None) -> tuple[float, int]:
        """Per cent of the judged pairs with a value of at least ``least``, and the number of judged pairs.

        ``rank=1`` looks only at queries whose first result is wrong. NaN for none.
        """
        counts = ~np.isnan(self.value) & ((self.rank == rank) if rank is not None else True)
        n = int(counts.sum())
        return (100.0 * float((self.value[counts] >= least).mean()) if n else float("nan")), n


def false_matches(
    scores: Any,
    image_of_caption: Any,
    images: Any,
    captions: Any,
    values: Any,
    judged_only: bool = False,
    group_of_image: Any = None,
) -> dict[str, FirstWrong]:
    """For each query the first wrong result, wrong as recall counts, and its judgement.

    ``scores (N, M)`` and ``image_of_caption (M,)`` as for :func:`imtext.retrieval.graded.graded`;
    ``images, captions, values (P,)``: the judged pairs and what was said of each. ``judged_only``: the first
    wrong result *that has a judgement*, since most pairs of a test set have none.

    Gives ``{"image_query": ..., "text_query": ...}``. Raises `DataError` for arrays that do not fit.

    >>> found = false_matches([[0.1, 0.9], [0.2, 0.3]], [0, 1], [0], [1], [3.5])
    >>> found["image_query"].item.tolist(), found["image_query"].value.tolist()
    ([1, 0], [3.5, nan])
    """
    matrix = as_scores(scores, "scores")
    owners = as_owners(image_of_caption, *matrix.shape).numpy()
    labels = group_labels(group_of_image, len(matrix))
    rows, columns, said = _as_pairs(images, captions, values, matrix.shape)
    said = said.astype(np.float64)
    search = _first_judged if judged_only else _first_of_all
    return {
        "image_query": search(matrix, labels, labels[owners], rows, columns, said),
        "text_query": search(matrix.T, labels[owners], labels, columns, rows, said),
    }


def _first_of_all(
    scores: np.ndarray, queries: np.ndarray, gallery: np.ndarray, rows: Any, columns: Any, said: Any
) -> FirstWrong:
    item = np.full(len(scores), -1, dtype=np.int64)
    rank = np.zeros(len(scores), dtype=np.int64)
    for part in slices(len(scores), max(1, _NUMBERS // scores.shape[1])):
        block = scores[part].astype(np.float64)
        own = queries[part, None] == gallery[None, :]
        best = np.where(own, -np.inf, block).argmax(1)
        score = np.take_along_axis(block, best[:, None], 1)
        ahead = own & ((block > score) | ((block == score) & (np.arange(block.shape[1]) < best[:, None])))
        some = ~own.all(1)
        item[part], rank[part] = np.where(some, best, -1), np.where(some, 1 + ahead.sum(1), 0)
    keys = rows * scores.shape[1] + columns
    order = np.argsort(keys)
    wanted = np.arange(len(scores)) * scores.shape[1] + item
    value = np.full(len(scores), np.nan)
    if len(keys):
        place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        known = (keys[order][place] == wanted) & (item >= 0)
        value[known] = said[order][place][known]
    return FirstWrong(item, rank, value)


def _first_judged(
    scores: np.ndarray,
    queries: np.ndarray,
    gallery: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    said: np.ndarray,
) -> FirstWrong:
    wrong = np.flatnonzero(queries[rows] != gallery[columns])
    rows, columns, said = rows[wrong], columns[wrong], said[wrong]
    order = np.lexsort((columns, -scores[rows, columns].astype(np.float64), rows))
    query, first = np.unique(rows[order], return_index=True)
    chosen = order[first]
    item = np.full(len(scores), -1, dtype=np.int64)
    rank = np.zeros(len(scores), dtype=np.int64)
    value = np.full(len(scores), np.nan)
    item[query], value[query] = columns[chosen], said[chosen]
    for q in query:
        row, place = scores[q], item[q]
        rank[q] = 1 + np.count_nonzero(row > row[place]) + np.count_nonzero(row[:place] == row[place])
    return FirstWrong(item, rank, value)
