"""What the losses share: groups of pairs, precision, the reduction over a batch, shapes that must fit."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.check import one_of
from imtext.errors import ConfigError

REDUCTIONS = ("mean", "sum")


def expect(fits: bool, shapes: str, *found: Tensor) -> None:
    """Raise ConfigError where what was found does not fit; ``shapes`` says what does."""
    if not fits:
        raise ConfigError(f"expected {shapes}, found {', '.join(str(tuple(one.shape)) for one in found)}")


def same_group(groups: Tensor | None, pairs: Tensor) -> Tensor:
    """Which of the ``pairs (B, ...)`` are of one group ``(B, B)``; each has its own where none are given."""
    if groups is None:
        return torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)
    expect(groups.shape == pairs.shape[:1], f"one group per pair ({len(pairs)})", groups)
    return groups[:, None] == groups


def widened(values: Tensor) -> Tensor:
    """In float32 at least: in half precision neighbouring values tie and squares overflow."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def reduced(total: Tensor, count: int, reduction: str) -> Tensor:
    """A sum over a batch, or its mean over so many."""
    return total / max(count, 1) if one_of("reduction", reduction, REDUCTIONS) == "mean" else total
