"""The rows that attention compares: regions of images or words of captions, padding zeroed, unit length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imtext.errors import DataError
from imtext.retrieval.similarity import slices, to_numpy
from imtext.unit import unit_rows

_CHUNK = 1 << 26  # numbers of rows ready at a time: 256 MB in float32


@dataclass(frozen=True)
class Rows:
    """Unit rows of a few items: ``items`` and ``counts (n,)``, ``unit (n, K, D)`` or ``(K, n, D)``.

    ``present`` has the first two axes of ``unit``; where it is false, the row is padding and zero. ``ragged``
    says whether there is any.
    """

    items: Tensor
    counts: Tensor
    present: Tensor
    unit: Tensor
    ragged: bool


class Side:
    """Images with their regions, or captions with their words: ``values (N, K, D)``, ``counts (N,)``.

    ``order`` holds the items that have any row, from the fewest to the most; ``mean`` is their mean count.

    >>> side = Side("words", torch.ones(3, 4, 2), torch.tensor([4, 0, 2]))
    >>> side.order.tolist(), side.mean
    ([2, 0], 3)
    """

    def __init__(self, name: str, values: Tensor, counts: Any = None) -> None:
        if not isinstance(values, Tensor) or values.ndim != 3 or not values.is_floating_point():
            found = f"{values.dtype} of shape {tuple(values.shape)}" if isinstance(values, Tensor) else values
            raise DataError(f"{name}: expected a tensor (items, rows, D) of real numbers, found {found}")
        self.name, self.values = name, values
        self.counts = _as_counts(name, values, counts)
        order = torch.argsort(self.counts, stable=True)
        self.order = order[self.counts[order] > 0]
        self.mean = max(1, int(self.counts.sum()) // max(1, len(self.order)))

    def parts(self, size: int) -> list[Tensor]:
        """Indices of the items, ``size`` at a time, those of like counts together: little padding is left."""
        return list(self.order.split(size)) if len(self.order) else []

    def chunks(self, size: int) -> list[list[Tensor]]:
        """The parts, in lists whose rows take bounded memory."""
        parts = self.parts(size)
        room = _CHUNK // max(1, size * self.mean * self.values.shape[2])
        return [parts[part] for part in slices(len(parts), max(1, room))]

    def rows(self, items: Tensor, dtype: torch.dtype, rows_first: bool = False) -> Rows:
        """The rows of ``items``, cut at the longest, padding zeroed, scaled to unit length.

        ``unit`` is ``(n, K, D)``, or ``(K, n, D)`` with ``rows_first``: all first rows, all second ones, ...
        """
        counts = self.counts[items]
        present = torch.arange(int(counts.max())) < counts[:, None]
        device = self.values.device
        items, counts, ragged = items.to(device), counts.to(device), not bool(present.all())
        present = (present.T if rows_first else present).to(device)
        if rows_first:
            values = self.values.transpose(0, 1)[: len(present), items]
        else:
            values = self.values[items, : present.shape[1]]
        values = values.to(dtype)
        if ragged:
            values = values.masked_fill(~present[:, :, None], 0)  # whatever stands there, NaN too
        return Rows(items, counts, present, unit_rows(values), ragged)

    def find_fault(self) -> None:
        """Raise DataError for the first row that holds NaN or infinity."""
        present = torch.arange(self.values.shape[1]) < self.counts[:, None]
        wrong = torch.nonzero(present & ~torch.isfinite(self.values).all(2).cpu())
        if len(wrong):
            item, row = wrong[0].tolist()
            raise DataError(f"{self.name}: row {row} of item {item} holds NaN or infinity; mend the features")


def _as_counts(name: str, values: Tensor, counts: Any) -> Tensor:
    """Counts ``(N,)``, int64 on the CPU."""
    length, most = values.shape[:2]
    if counts is None:
        return torch.full((length,), most)
    array = to_numpy(counts)
    if array.shape != (length,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{name}: expected counts of shape ({length},) in whole numbers, "
            f"found {array.dtype} of shape {array.shape}"
        )
    if length and (array.min() < 0 or array.max() > most):
        item = int(((array < 0) | (array > most)).argmax())
        raise DataError(f"{name}: item {item} has the count {array[item]}, expected 0 to {most}")
    return torch.from_numpy(array.astype("int64"))


def check_pair(first: Side, second: Side) -> torch.dtype:
    """The type to work in. Raises DataError for sides of two lengths or on two devices."""
    a, b = first.values, second.values
    if a.shape[2] != b.shape[2] or a.shape[2] == 0:
        raise DataError(
            f"{first.name} have {a.shape[2]} dimensions, {second.name} have {b.shape[2]}; "
            "both must lie in one space"
        )
    if a.device != b.device:
        raise DataError(f"{first.name} lie on {a.device}, {second.name} on {b.device}; move one to the other")
    return torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
