"""Rows of length 1, for losses and networks alike: a row of zeros does the same everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


def unit_rows(values: Tensor) -> Tensor:
    """Vectors ``(..., D)`` scaled to length 1, in float32 at least; zeros where one is shorter than 1e-8.

    Those zeros pass no gradient on, which would be 1e8 and more: a caption without a known word may be one.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).round(decimals=1)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    norms = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return values / norms.masked_fill(norms <= EPSILON, torch.inf)
