"""The centre loss: every item near the centre of its class (Wen et al., ECCV 2016; Nawaz et al., Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError

REDUCTIONS = ("sum", "mean")
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
    if reduction not in REDUCTIONS:
        raise ConfigError(f"reduction must be one of {REDUCTIONS}, found {reduction!r}")
    _check(features, classes, centres)
    exact = _exact(features, centres)
    gaps = features.to(exact) - centres.index_select(0, classes.long()).to(exact)
    total = 0.5 * gaps.pow(2).sum()
    return total / max(len(features), 1) if reduction == "mean" else total


class CentreLoss(nn.Module):
    """:func:`centre_loss` with its centres, which follow the features and take no gradient.

    The centres are a buffer: no optimiser touches them, checkpoints keep them. They begin at zero, as in
    facenet.

    Args:
        classes: number of classes C.
        dim: length D of a feature.
        rate: share of the way that :meth:`update` moves a centre (alpha of Wen et al., Eq. 4; facenet's
            default is 1 - .95).
        reduction: of the loss, ``"mean"`` or ``"sum"``.

    Raises:
        ConfigError: a number or a name out of range.

    >>> loss = CentreLoss(classes=2, dim=2, rate=1.0)
    >>> features, classes = torch.tensor([[4.0, 0.0], [2.0, 0.0]]), torch.tensor([1, 1])
    >>> loss.update(features, classes)
    >>> loss.centres.tolist(), float(loss(features, classes))
    ([[0.0, 0.0], [2.0, 0.0]], 1.0)
    """

    def __init__(self, classes: int, dim: int, rate: float = RATE, reduction: str = "mean") -> None:
        super().__init__()
        if classes < 1 or dim < 1 or not 0 <= rate <= 1 or reduction not in REDUCTIONS:
            raise ConfigError(
                f"CentreLoss takes classes and dim >= 1, rate in [0, 1] and reduction in {REDUCTIONS}, "
                f"found {classes}, {dim}, {rate} and {reduction!r}"
            )
        self.rate, self.reduction = rate, reduction
        self.register_buffer("centres", torch.zeros(classes, dim))

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
        exact = _exact(features, self.centres)
        # Only the rows of the batch: there may be a hundred thousand classes.
        rows, item, counts = classes.long().unique(return_inverse=True, return_counts=True)
        centres = self.centres.index_select(0, rows).to(exact)
        sums = torch.zeros_like(centres).index_add_(0, item, centres[item] - features.to(exact))
        moved = centres - self.rate * sums / (1 + counts[:, None])
        self.centres.index_copy_(0, rows, moved.to(self.centres.dtype))


def _exact(features: Tensor, centres: Tensor) -> torch.dtype:
    """The wider of both types and float32: in half precision the squares overflow and small moves vanish."""
    return torch.promote_types(torch.promote_types(features.dtype, centres.dtype), torch.float32)


def _check(features: Tensor, classes: Tensor, centres: Tensor) -> None:
    """Raise ConfigError where shapes do not fit, and on a CPU where a class has no centre."""
    fits = features.ndim == 2 and centres.ndim == 2 and features.shape[1] == centres.shape[1]
    if not fits or classes.shape != features.shape[:1] or classes.is_floating_point():
        raise ConfigError(
            "the centre loss takes features (B, D), whole numbers classes (B,) and centres (C, D), found "
            f"{tuple(features.shape)}, {classes.dtype} {tuple(classes.shape)} and {tuple(centres.shape)}"
        )
    # A GPU would have to be waited for.
    if classes.device.type == "cpu" and len(classes):
        least, most = int(classes.min()), int(classes.max())
        if least < 0 or most >= len(centres):
            raise ConfigError(
                f"classes run from {least} to {most}, and there are centres 0 to {len(centres) - 1}; "
                "number the classes from 0 without gaps"
            )
