"""Ranks of the true matches, both ways, from one pass over the similarity matrix.

The rank of a query is 1 + the number of gallery items that score higher than its true match; of items that
score the same, those with a smaller index count as higher. A constant embedding thus scores chance.

The product is taken block by block in float32, and each block serves both directions. A float32 score settles
every item that is clearly above or below the true match. Items within the rounding error of it, and the true
match itself, are scored once more, in float64, by one and the same routine; so ranks are those of a float64
similarity matrix and depend neither on the size of the blocks nor on the device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from imtext.errors import DataError
from imtext.retrieval.grouped import Targets, group_targets, own_targets
from imtext.retrieval.similarity import TIE, Rows, block_shape, each, exact_cosines, slices, to_numpy

_FIRST_MARGIN = 2.0**-20  # float32 scores this close to the true match are contested; widened where needed
_SAFETY = 4.0  # the margin is at least this many times the largest error seen in the block
_EXACT_SHARE = 1 / 50  # above this share of contested pairs a whole float64 block is cheaper
_PROBES = 64  # pairs per block that are scored twice just to see the error


def rank_of_targets(scores: Any, targets: Sequence[Any]) -> np.ndarray:
    """1-based ranks (Q,) of the best of each query's targets in a matrix of ready scores.

    ``scores (Q, G)``: NumPy array or tensor, higher is better, compared bit for bit as they are.
    ``targets``: per query the index of its true match, or a sequence of indices of which the best counts.

    Raises `DataError` for NaN scores, a query without a target, or a target outside the gallery.

    >>> rank_of_targets([[0.9, 0.5, 0.9], [0.1, 0.1, 0.1]], [2, [1, 2]]).tolist()
    [2, 2]
    """
    matrix = to_numpy(scores)
    if matrix.ndim != 2 or len(matrix) != len(targets):
        raise DataError(f"scores: expected shape ({len(targets)} queries, gallery), found {matrix.shape}")
    ranks = np.empty(len(matrix), dtype=np.int64)
    for query, (row, target) in enumerate(zip(matrix, targets, strict=True)):
        own = np.atleast_1d(np.asarray(target))
        if not len(own) or own.min() < 0 or own.max() >= len(row):
            raise DataError(
                f"targets: query {query} has the targets {own.tolist()}, expected some of 0…{len(row) - 1}"
            )
        if np.isnan(row).any():
            raise DataError(f"scores: row {query} holds NaN")
        best = row[own].max()
        first = own[row[own] == best].min()
        ranks[query] = 1 + np.count_nonzero(row > best) + np.count_nonzero(row[:first] == best)
    return ranks


def cosine_ranks(
    images: Rows,
    captions: Rows,
    owners: torch.Tensor,
    block: int | None = None,
    groups: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Image-query ranks (N,) and text-query ranks (M,), 1-based, by cosine.

    ``owners (M,)`` names each caption's image; every image must own a caption. ``block`` is the largest
    number of images and of captions in one block (default: by the cache of the device); it changes no rank.
    ``groups (N,)``: images of one group are true matches of one another's captions, and the best counts.

    >>> from imtext.retrieval.similarity import as_rows
    >>> same = as_rows(np.ones((3, 4)), "x")
    >>> [ranks.tolist() for ranks in cosine_ranks(same, same, torch.arange(3))]
    [[1, 2, 3], [1, 2, 3]]
    """
    device = images.values.device
    n_rows, n_columns = block_shape(len(images), images.values.shape[1], device, block)
    owners = owners.to(device)
    targets = (
        own_targets(images, captions, owners)
        if groups is None
        else group_targets(images, captions, owners, groups.to(device))
    )
    count = _Count(images, captions, targets)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    # Work for every thread, and no more memory with many threads than with eight.
    n_rows = min(n_rows, max(64, -(-len(captions) // (2 * threads))), max(64, n_rows * 8 // threads))
    parts = list(slices(len(captions), n_rows))
    local = threading.local()  # each thread's memory for one block of scores, used again and again

    def work(rows: slice) -> None:
        if not hasattr(local, "scores"):
            local.scores = torch.empty(
                n_rows * min(n_columns, len(images)), dtype=torch.float32, device=device
            )
        shape = (rows.stop - rows.start, unit.shape[1])
        scores = local.scores[: shape[0] * shape[1]].view(shape)
        with torch.autocast(device.type, enabled=False):  # the caller may be inside one
            torch.mm(captions.unit(rows), unit, out=scores)
            count.add(scores, rows, columns)

    for columns in slices(len(images), n_columns):
        unit = images.unit(columns).T
        each(work, parts, device, f"ranks of images {columns.start}-{columns.stop - 1}")
    return 1 + count.above_image.cpu().numpy(), 1 + count.above_text.cpu().numpy()


class _Count:
    """Counts, block by block, how many items beat the true match of every query of both directions."""

    def __init__(self, images: Rows, captions: Rows, targets: Targets) -> None:
        self.images, self.captions = images, captions
        self.own, self.place = targets.text_score, targets.image_of_text
        self.best, self.leader = targets.image_score, targets.text_of_image
        self.above_text = torch.zeros_like(self.place)
        self.above_image = torch.zeros_like(self.leader)
        self.margin = _FIRST_MARGIN
        self.lock = threading.Lock()

    def add(self, scores: torch.Tensor, rows: slice, columns: slice) -> None:
        """Take in one float32 block: ``scores`` of captions ``rows`` × images ``columns``."""
        margin = self.margin
        while True:
            text, near = self._split(scores, self.own[rows, None], margin)
            image, near_image = self._split(scores, self.best[None, columns], margin)
            row, column = _positions(self._with_probes(near.logical_or_(near_image), rows, columns))
            if len(row) > scores.numel() * _EXACT_SHARE:
                self._add_exactly(rows, columns)
                return
            exact = exact_cosines(self.captions, self.images, row + rows.start, column + columns.start)
            error = float((scores[row, column] - exact).abs().max())
            if error * _SAFETY <= margin:
                break
            margin = self.margin = 2 * _SAFETY * error
        beats_text, beats_image = self._beats(exact, row + rows.start, column + columns.start)
        above_text = text.sum(1, dtype=torch.int32).long()
        above_text.index_add_(0, row, beats_text.long() - text[row, column].long())
        above_image = image.sum(0, dtype=torch.int32).long()
        above_image.index_add_(0, column, beats_image.long() - image[row, column].long())
        self._tally(rows, columns, above_text, above_image)

    def _tally(self, rows: slice, columns: slice, text: torch.Tensor, image: torch.Tensor) -> None:
        with self.lock:
            self.above_text[rows] += text
            self.above_image[columns] += image

    def _split(
        self, scores: torch.Tensor, target: torch.Tensor, margin: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which scores lie clearly above their target, and which are too near to say."""
        above = scores > (target + margin).float()
        return above, (scores > (target - margin).float()).logical_xor_(above)

    def _with_probes(self, near: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        """Mark the true pairs of the block, and a diagonal, so that the error is always measured on some."""
        place, leader = self.place[rows] - columns.start, self.leader[columns] - rows.start
        here = torch.nonzero((place >= 0) & (place < near.shape[1])).flatten()
        near[here, place[here]] = True
        here = torch.nonzero((leader >= 0) & (leader < near.shape[0])).flatten()
        near[leader[here], here] = True
        step = torch.arange(min(_PROBES, len(near)), device=near.device)
        near[step, step * near.shape[1] // len(step)] = True
        return near

    def _beats(self, exact: torch.Tensor, row: Any, column: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Does the pair beat the true match of its caption; does it beat that of its image?"""
        own, best = self.own[row], self.best[column]
        text = (exact > own + TIE) | ((exact >= own - TIE) & (column < self.place[row]))
        image = (exact > best + TIE) | ((exact >= best - TIE) & (row < self.leader[column]))
        return text, image

    def _add_exactly(self, rows: slice, columns: slice) -> None:
        """Take in one block that float32 cannot settle, such as one of a collapsed embedding."""
        scores = self.captions.unit(rows, torch.float64) @ self.images.unit(columns, torch.float64).T
        row = torch.arange(rows.start, rows.stop, device=scores.device)[:, None]
        column = torch.arange(columns.start, columns.stop, device=scores.device)[None]
        text, image = self._beats(scores, row, column)
        self._tally(rows, columns, text.sum(1), image.sum(0))


def _positions(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of every True in a sparse (R, C) mask."""
    if mask.device.type != "cpu":
        row, column = torch.nonzero(mask, as_tuple=True)
        return row, column
    flat = mask.numpy().reshape(-1)  # eight flags at a time: torch.nonzero would cost half a product
    whole = flat.size - flat.size % 8
    words = np.flatnonzero(flat[:whole].view(np.int64))
    place = np.concatenate([(words[:, None] * 8 + np.arange(8)).ravel(), np.arange(whole, flat.size)])
    row, column = np.divmod(place[flat[place]], mask.shape[1])
    return torch.from_numpy(row), torch.from_numpy(column)
