"""Several views of a picture, such as crops or its mirror image, as one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def over_views(embed: Callable[[Tensor], Tensor], views: Tensor) -> Tensor:
    """The mean ``(B, D)`` of what ``embed`` makes of each of the views ``(B, V, ...)`` of a picture.

    >>> import torch
    >>> over_views(lambda rows: 2 * rows, torch.tensor([[[1.0], [3.0]]])).tolist()
    [[4.0]]
    """
    return embed(views.flatten(0, 1)).unflatten(0, views.shape[:2]).mean(1)
