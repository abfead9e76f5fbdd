"""In which floating-point type PyTorch works for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {"32": torch.float32, "64": torch.float64}


@contextmanager
def working_precision(precision: str) -> Iterator[None]:
    """Let PyTorch make networks and numbers of 32 or 64 bits inside a ``with`` block.

    Processors round the last digit of a sum differently, and training amplifies the difference: in float32
    two of them end at visibly different networks, in float64 at the same one for all that is printed.

    >>> with working_precision("64"):
    ...     torch.nn.Linear(2, 2).weight.dtype
    torch.float64
    >>> torch.get_default_dtype()
    torch.float32
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[precision])
    try:
        yield
    finally:
        torch.set_default_dtype(before)


__all__ = ["DTYPES", "working_precision"]
