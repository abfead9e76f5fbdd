"""In which floating-point type PyTorch works for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {"32": torch.float32, "64": torch.float64, "bf16": torch.float32}


@contextmanager
def working_precision(precision: str) -> Iterator[None]:
    """Let PyTorch make networks and numbers of 32 or 64 bits inside a ``with`` block.

    Processors round the last digit of a sum differently, and training amplifies the difference: in float32
    two of them end at visibly different networks, in float64 at the same one for all that is printed.
    ``"bf16"`` stands for numbers of 32 bits whose products networks take in bfloat16, see `in_half`.

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


def in_half(device: str, precision: str) -> bool:
    """Whether training and features run under bfloat16 autocast: on a GPU, or where it is asked for.

    On a CPU with AMX it makes recurrent and linear layers two to three times as fast, depthwise convolutions
    slower.

    >>> in_half("cpu", "bf16"), in_half("cpu", "32"), in_half("cuda", "32")
    (True, False, True)
    """
    return precision == "bf16" or (device == "cuda" and precision == "32")


__all__ = ["DTYPES", "in_half", "working_precision"]
