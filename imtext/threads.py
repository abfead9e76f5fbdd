"""How many threads PyTorch takes for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch take ``count`` CPU threads inside a ``with`` block, and as many as before after it.

    Sums depend on their number in the last digits, and a training that goes on long enough in all of them:
    what is to give the same numbers for any number of cores runs with one.

    >>> before = torch.get_num_threads()
    >>> with torch_threads(1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["torch_threads"]
