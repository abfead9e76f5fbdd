"""The centre loss: every item near the centre of its class (Wen et al., ECCV 2016; Nawaz et al., Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imtext.check import number, whole
from imtext.losses.common import expect, reduced, widened

RATE = 0.05


def centre_loss(features: Tensor, classes: Tensor, centres: Tensor, reduction: str = "sum") -> Tensor:
    """Half the squared Euclidean distance of each item to the centre of its class (Nawaz et al., Eq. 1).

    Alone it is smallest, zero, where all features and centres lie in one point: use it beside a loss that
    keeps classes apart.

    Args:
        features: ``(B, D)``, not normalised; half precision is worked out in float32.
        classes: ``(B,)`` integers in ``[0, C)``.
        centres: ``(C, D)``, one row per class; only the rows named in ``classes`` count.
        reduction: ``"sum"`` over the batch (Eq. 1) or ``"mean"``, which does not depend on its size.

    Returns:
        A scalar, float32 or float64; 0, with a gradient of zeros, for an empty batch.

    Raises:
        ConfigError: an unknown reduction, or shapes that do not fit.

    >>> features = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    >>> float(centre_loss(features, torch.tensor([1, 0]), torch.zeros(2, 2)))
    13.0
    """
    _check(features, classes, centres)
    gaps = widened(features) - centres.index_select(0, classes.long())
    return reduced(0.5 * gaps.pow(2).sum(), len(features), reduction)


class CentreLoss(nn.Module):
    """:func:`centre_loss` with its centres, which follow the features and take no gradient.

    The centres are a buffer: no optimiser touches them, checkpoints keep them. They begin at zero, as in
    facenet.

    Args:
        classes: number of classes C.
        dim: length D of a feature.
        rate: share of the way that :meth:`update` moves a centre (alpha of Wen et al., Eq. 4; facenet's
            default is 1 - .95).
        reduction: of the loss, ``"sum"`` or ``"mean"``.

    Raises:
        ConfigError: a number out of range.

    >>> loss = CentreLoss(classes=2, dim=2, rate=1.0)
    >>> features, classes = torch.tensor([[4.0, 0.0], [2.0, 0.0]]), torch.tensor([1, 1])
    >>> loss.update(features, classes)
    >>> loss.centres.tolist(), float(loss(features, classes))
    ([[0.0, 0.0], [2.0, 0.0]], 2.0)
    """

    def __init__(self, classes: int, dim: int, rate: float = RATE, reduction: str = "sum") -> None:
        super().__init__()
        self.rate, self.reduction = number("rate", rate, most=1), reduction
        self.register_buffer("centres", torch.zeros(whole("classes", classes), whole("dim", dim)))

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """The loss of features ``(B, D)`` with their classes ``(B,)`` against the centres as they are."""
        return centre_loss(features, classes, self.centres, self.reduction)

    @torch.no_grad()
    def update(self, features: Tensor, classes: Tensor) -> None:
        """Move the centres of the classes in a batch towards its features (Wen et al., Eq. 4).

        ``c_j <- c_j - rate * sum(c_j - x_i) / (1 + n_j)`` over the ``n_j`` items of class j; a class that is
        not in the batch keeps its centre. Call it after the loss of the same batch.
        """
        _check(features, classes, self.centres)
        # Only the rows of the batch: there may be a hundred thousand classes.
        rows, item, counts = classes.long().unique(return_inverse=True, return_counts=True)
        centres = self.centres.index_select(0, rows)
        gaps = centres[item] - widened(features)
        sums = torch.zeros_like(centres, dtype=gaps.dtype).index_add_(0, item, gaps)
        moved = centres - self.rate * sums / (1 + counts[:, None])
        self.centres.index_copy_(0, rows, moved.to(self.centres.dtype))


def _check(features: Tensor, classes: Tensor, centres: Tensor) -> None:
    """Raise ConfigError where shapes do not fit, and on a CPU where a class has no centre."""
    fits = (*classes.shape, *centres.shape[1:]) == features.shape and not classes.is_floating_point()
    expect(fits, "features (B, D), integers classes (B,) and centres (C, D)", features, classes, centres)
    # A GPU would have to be waited for.
    if classes.device.type == "cpu" and len(classes):
        for one in classes.aminmax():
            whole("classes", int(one), 0, len(centres) - 1)
