"""What Zheng et al. minimise: ranking and instance loss on a dual-path network (section 4, Eq. 9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss, quadruple_ranking_loss, ranking_loss
from imtext.models import DualPath
from imtext.unit import unit_rows

RELEASED = "released"


class DualPathObjective(nn.Module):
    """``lambda_1 L_rank + lambda_2 L_visual + lambda_3 L_textual`` (Zheng et al., Eq. 9).

    Args:
        net: the two paths.
        instance: the instance loss with its shared classifier.
        weights: (rank, image, text), the three lambdas; paper: (0, 1, 1) in Stage I, (1, 1, 1) in Stage II.
        margin: of the ranking loss (paper: 1).
        negatives: of the ranking loss: ``"hardest"``, ``"all"`` or ``"mean"`` as for
            :func:`~imtext.losses.ranking.ranking_loss`, or ``"released"`` as in the authors' public code.
            There the first half of a batch are anchors. The negative image of each is one of the other half;
            its negative caption is the one among random ``candidates`` of the batch that the network, as it
            is when it tests, finds nearest to the anchor's image. It takes the place of a caption of the
            other half, in the instance loss too.
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
        """The loss of a batch, and the share of images and of captions put into the wrong class.

        ``batch``: ``images``, ``codes``, ``groups (B,)``; ``classes (B,)`` where they are not the groups; for
        the released negatives ``candidates (K, L)`` and ``candidate_classes (K,)``, of no anchor's group.
        """
        classes = {side: batch.get("classes", batch["groups"]) for side in ("image", "text")}
        rank, visual, textual = self.weights
        negatives = "all" if self.epoch < self.all_epochs else self.negatives
        codes = batch["codes"]
        if rank and negatives == RELEASED:
            codes, classes["text"] = self._with_candidates(batch, classes["text"])
        images, captions = self.net(batch["images"], codes)
        loss = images.new_zeros(())
        if rank:
            loss = loss + rank * self._ranking(images, captions, batch["groups"], negatives)
        out = {}
        for name, weight, features in (("image", visual, images), ("text", textual, captions)):
            if weight:
                logits = self.instance.logits(features)
                loss = loss + weight * nn.functional.cross_entropy(logits, classes[name])
                out[f"{name}_error"] = (logits.detach().argmax(1) != classes[name]).float().mean()
        return {"loss": loss, **out}

    def _ranking(self, images: Tensor, captions: Tensor, groups: Tensor, negatives: str) -> Tensor:
        """The ranking loss over the number of pairs, of which the released negatives leave half."""
        if negatives != RELEASED:
            return ranking_loss(images, captions, groups, self.margin, negatives, reduction="mean")
        half = len(images) // 2
        anchors, others = slice(half), slice(half, 2 * half)
        sides = images[anchors], captions[anchors], images[others], captions[others]
        return quadruple_ranking_loss(*sides, self.margin, reduction="sum") / len(images)

    @torch.no_grad()
    def _with_candidates(self, batch: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and classes of the captions, the hardest candidates in place of the second half's."""
        half, training = len(classes) // 2, self.net.training
        self.net.eval()
        images, candidates = self.net(batch["images"][:half], batch["candidates"])
        self.net.train(training)
        # Autocast would make the product bfloat16, in which neighbouring similarities tie.
        with torch.autocast(images.device.type, enabled=False):
            chosen = (unit_rows(images) @ unit_rows(candidates).T).argmax(1)
        codes, classes = batch["codes"].clone(), classes.clone()
        codes[half : 2 * half] = batch["candidates"][chosen]
        classes[half : 2 * half] = batch["candidate_classes"][chosen]
        return codes, classes
