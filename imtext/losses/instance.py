"""The instance loss: every image-text group is a class of its own (Zheng et al., section 4.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from imtext.check import whole


def instance_loss(features: Tensor, weight: Tensor, groups: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax loss of one modality over the groups (Zheng et al., Eqs. 5-8), mean over the batch.

    Calling it with the image features and with the caption features and the *same* ``weight`` is what
    ties the two modalities together.

    Args:
        features: ``(B, D)``, image or caption features, not normalised.
        weight: ``(C, D)``, the shared classifier W_share, one row per group.
        groups: ``(B,)`` integers in ``[0, C)``, the group of each item.
        bias: ``(C,)`` or None.

    Returns:
        A scalar; 0 for an empty batch.

    >>> import torch
    >>> features = torch.eye(2)
    >>> loss = instance_loss(features, 10 * torch.eye(2), torch.tensor([0, 1]))
    >>> f"{loss:.5f}"
    '0.00005'
    """
    return F.cross_entropy(F.linear(features, weight, bias), groups, reduction="sum") / max(len(groups), 1)


class InstanceLoss(nn.Module):
    """:func:`instance_loss` with its shared classifier and the dropout before it (Zheng et al., section 6.2).

    Args:
        dim: length D of a feature.
        groups: number of classes C, that is, of training groups.
        bias: whether the classifier has a bias (released code: yes on Flickr30k and CUHK-PEDES, no on COCO).
        dropout: share of the feature's entries dropped before the classifier (paper: .75).

    Raises:
        ConfigError: where there are fewer than two groups.

    >>> import torch
    >>> loss = InstanceLoss(dim=4, groups=3, dropout=0.0)
    >>> loss(torch.zeros(2, 4), torch.tensor([0, 2])).shape
    torch.Size([])
    """

    def __init__(self, dim: int, groups: int, bias: bool = True, dropout: float = 0.75) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, whole("groups", groups, least=2), bias=bias)
        nn.init.normal_(self.classifier.weight, std=0.001)
        if bias:
            nn.init.zeros_(self.classifier.bias)

    def logits(self, features: Tensor) -> Tensor:
        """Class scores ``(B, C)`` of features ``(B, D)``, after dropout when training."""
        return self.classifier(self.dropout(features))

    def forward(self, features: Tensor, groups: Tensor) -> Tensor:
        """The mean loss of features ``(B, D)`` of one modality against their groups ``(B,)``."""
        return instance_loss(self.dropout(features), self.classifier.weight, groups, self.classifier.bias)
