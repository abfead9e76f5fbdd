"""What Zheng et al. minimise: ranking and instance loss on a dual-path network (section 4, Eq. 9)."""

from __future__ import annotations

from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss, ranking_loss
from imtext.models import DualPath


class DualPathObjective(nn.Module):
    """``lambda_1 L_rank + lambda_2 L_visual + lambda_3 L_textual`` (Zheng et al., Eq. 9).

    Args:
        net: the two paths.
        instance: the instance loss with its shared classifier.
        weights: (rank, image, text), the three lambdas; paper: (0, 1, 1) in Stage I, (1, 1, 1) in Stage II.
        margin: of the ranking loss (paper: 1).
        negatives: of the ranking loss, ``"hardest"`` or ``"all"``.
        all_epochs: epochs at the start in which all negatives count before the hardest alone does.

    >>> import torch
    >>> from imtext.models import TextCNN
    >>> net = DualPath(TextCNN(words=5, word_dim=4, width=0.125), image_dim=6, dim=16)
    >>> objective = DualPathObjective(net, InstanceLoss(16, groups=3), weights=(0, 1, 1))
    >>> batch = {"images": torch.randn(3, 6), "groups": torch.arange(3)}
    >>> batch["codes"] = torch.ones(3, 32, dtype=torch.long)
    >>> sorted(objective(batch))
    ['image_error', 'loss', 'text_error']
    """

    def __init__(
        self,
        net: DualPath,
        instance: InstanceLoss,
        weights: tuple[float, float, float],
        margin: float = 1.0,
        negatives: str = "hardest",
        all_epochs: int = 0,
    ) -> None:
        super().__init__()
        if len(weights) != 3 or min(weights) < 0 or max(weights) == 0:
            raise ConfigError(
                f"weights are (rank, image, text), none negative and not all zero, found {weights}"
            )
        self.net, self.instance = net, instance
        self.weights, self.margin, self.negatives, self.all_epochs = (
            tuple(weights),
            margin,
            negatives,
            all_epochs,
        )
        self.epoch = 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of a batch, and the share of images and of sentences put into the wrong class.

        ``batch``: ``images``, ``codes``, ``groups (B,)``; ``classes (B,)`` where they are not the groups.
        """
        images, sentences = self.net(batch["images"], batch["codes"])
        groups = batch["groups"]
        classes = batch.get("classes", groups)
        rank, visual, textual = self.weights
        loss = images.new_zeros(())
        if rank:
            negatives = "all" if self.epoch < self.all_epochs else self.negatives
            loss = loss + rank * ranking_loss(
                images, sentences, groups, self.margin, negatives, reduction="mean"
            )
        out = {}
        for name, weight, features in (("image", visual, images), ("text", textual, sentences)):
            if weight:
                logits = self.instance.logits(features)
                loss = loss + weight * nn.functional.cross_entropy(logits, classes)
                out[f"{name}_error"] = (logits.detach().argmax(1) != classes).float().mean()
        return {"loss": loss, **out}
