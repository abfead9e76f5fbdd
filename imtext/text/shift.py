"""Position shift: a caption starts anywhere in its row (Instance Loss paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def _roll_right(codes: Tensor, starts: Tensor) -> Tensor:
    """Each row moved right by its start; only padding comes round from the right end."""
    length = codes.shape[1]
    source = (torch.arange(length, device=codes.device) - starts[:, None]) % max(length, 1)
    return codes.gather(1, source)


def _free_space(codes: Tensor, lengths: Tensor) -> Tensor:
    if codes.ndim != 2 or lengths.shape != codes.shape[:1]:
        raise ValueError(
            f"codes must be (B, L) with lengths (B,), found {tuple(codes.shape)} and {tuple(lengths.shape)}"
        )
    return codes.shape[1] - lengths.to(codes.device, torch.int64)


def position_shift(codes: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Move every caption to a start drawn uniformly from its free space.

    ``codes (B, L)`` int64, left-aligned, 0 is padding; ``lengths (B,)`` words per row. Returns new codes
    ``(B, L)``. A row of L words stays. The draw uses ``generator`` on the generator's own device, so that a
    CPU generator gives the same starts to codes on a GPU. Source: Instance Loss paper, section 3.2.

    >>> g = torch.Generator().manual_seed(0)
    >>> position_shift(torch.tensor([[5, 6, 0, 0, 0]]), torch.tensor([2]), g).tolist()
    [[0, 0, 0, 5, 6]]
    """
    free = _free_space(codes, lengths)
    device = generator.device if generator is not None else codes.device
    # float64: with float32, u * (free + 1) can round up to free + 1
    uniform = torch.rand(len(codes), generator=generator, device=device, dtype=torch.float64)
    starts = (uniform.to(codes.device) * (free + 1)).long()
    return _roll_right(codes, starts)


def shift_all(codes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Every possible position of every caption, for summing text features at test time.

    ``codes (B, L)``, ``lengths (B,)`` as in :func:`position_shift`. Returns ``shifted (P, L)`` and
    ``row (P,)``, the caption each shifted row belongs to, in order.

    >>> shifted, row = shift_all(torch.tensor([[5, 6, 0], [7, 0, 0]]), torch.tensor([2, 1]))
    >>> shifted.tolist(), row.tolist()
    ([[5, 6, 0], [0, 5, 6], [7, 0, 0], [0, 7, 0], [0, 0, 7]], [0, 0, 1, 1, 1])
    """
    places = _free_space(codes, lengths) + 1
    row = torch.repeat_interleave(torch.arange(len(codes), device=codes.device), places)
    first = torch.cumsum(places, 0) - places
    starts = torch.arange(len(row), device=codes.device) - first[row]
    return _roll_right(codes[row], starts), row
