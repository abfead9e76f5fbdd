"""What VSE++, its rich features, SCAN and the intra-modal network minimise: hinges over pairs of a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses.intra_modal import intra_modal_constraint
from imtext.losses.ranking import NEGATIVES, REDUCTIONS, ranking_loss, score_ranking_loss

SAME = ("ignore", "negative")


@dataclass(frozen=True)
class Constraint:
    """The intra-modal constraint beside the hinges (Chen et al., Eqs. 3 and 4), as an option of an objective.

    Attributes:
        weight: lambda (paper: 1). With 0 the hinges alone are learnt and the terms still reported.
        distance: ``"cosine"``, ``"msd"``, ``"l1"`` (paper's best) or ``"l2"``.
        reading: ``"printed"``, ``"released_cosine"`` or ``"released_distance"``, see
            :func:`~imtext.losses.intra_modal.intra_modal_constraint`.
        low: lower threshold of the window (paper: 0.05).
        high: upper threshold (paper: 0.5).

    Raises:
        ConfigError: a weight below 0 or not finite, or what the loss itself does not take.

    >>> Constraint(weight=0.5, distance="cosine", reading="printed")
    Constraint(weight=0.5, distance='cosine', reading='printed', low=0.05, high=0.5)
    """

    weight: float = 1.0
    distance: str = "l1"
    reading: str = "released_distance"
    low: float = 0.05
    high: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ConfigError(f"Constraint takes a finite weight >= 0, found {self.weight}")
        self.term(torch.eye(2))  # the loss names what it does not take, and better here than in a first batch

    def term(self, rows: Tensor, groups: Tensor | None = None) -> Tensor:
        """The constraint of one side, embeddings ``(B, D)`` of groups ``(B,)``, without its weight."""
        return intra_modal_constraint(rows, self.distance, self.reading, self.low, self.high, groups)


class HingeObjective(nn.Module):
    """The bi-directional ranking loss of a network that embeds both sides, or that scores pairs (SCAN).

    The recipe that goes with it (VSE++'s public code; Fu et al., section IV-B) is
    ``Recipe(epochs=36, lr=2e-4, batch_size=128, weight_decay=0.0, milestones=(15,), clip=2.0)``, for COCO
    with ``gamma=1 / 1.2``: AdamW without weight decay is their Adam.

    **Eval mode after validation.** VSE++'s public code validates every 500 steps and then leaves its networks
    in eval mode until the next epoch begins (its option ``--reset_train``, off by default and "not
    recommended", and SCAN's code go back to training mode). From then on batch norm takes and keeps its
    running statistics and dropout is off, while the weights go on learning.
    ``eval_after_validation=500`` repeats this for comparison with numbers of that code: steps are counted
    over all epochs, as there, and the count is kept in checkpoints. Recurrent layers stay in training mode,
    in which alone cuDNN gives them gradients; without dropout of their own they compute the same. It makes a
    difference to a network with batch norm or dropout: with a backbone from pixels (there, a frozen one
    too), or with :class:`~imtext.models.lstm_text.LSTMText`. GRUs on cached features have neither.

    Args:
        net: a :class:`~imtext.models.vse.VSE` (or any network whose call gives embeddings ``(B, D)`` of both
            sides), or one with ``embed_regions``, ``embed_words`` and ``scores``, such as SCAN.
        margin: on the similarity (papers: 0.2).
        negatives: ``"hardest"`` (VSE++), ``"all"`` (VSE0, and the first epochs of others) or ``"mean"``.
        all_epochs: epochs at the start in which all negatives count before ``negatives`` do.
        reduction: ``"sum"`` over the pairs of the batch (public code) or ``"mean"``.
        same: ``"ignore"``: items of one group are no negatives of one another; ``"negative"``: they are, as
            in the public code, where only the own partner is none.
        eval_after_validation: None, or the number of steps between validations in the accident above.
        constraint: None, or a :class:`Constraint` on each side's own similarities beside the hinges, for
            networks that embed both sides. ``same`` holds for it too: the public code leaves out no pair but
            an item with itself.

    Raises:
        ConfigError: a number or a name that is none of these, or a constraint for a network that scores.

    >>> from imtext.models.vse import VSE, GRUText
    >>> objective = HingeObjective(VSE(GRUText(words=5, word_dim=4, dim=8), image_dim=6, dim=8))
    >>> batch = {"images": torch.randn(3, 6), "codes": torch.ones(3, 7, dtype=torch.long)}
    >>> sorted(objective(batch | {"groups": torch.arange(3)}))
    ['loss']
    """

    def __init__(
        self,
        net: nn.Module,
        margin: float = 0.2,
        negatives: str = "hardest",
        all_epochs: int = 0,
        reduction: str = "sum",
        same: str = "ignore",
        eval_after_validation: int | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        super().__init__()
        if negatives not in NEGATIVES or reduction not in REDUCTIONS or same not in SAME:
            raise ConfigError(
                f"HingeObjective takes negatives in {NEGATIVES}, reduction in {REDUCTIONS} and same in "
                f"{SAME}, found {negatives!r}, {reduction!r} and {same!r}"
            )
        every = 1 if eval_after_validation is None else eval_after_validation
        if not margin >= 0 or all_epochs < 0 or every < 1:
            raise ConfigError(
                "HingeObjective takes margin and all_epochs >= 0 and eval_after_validation None or >= 1, "
                f"found {margin}, {all_epochs} and {eval_after_validation}"
            )
        if constraint is not None and hasattr(net, "scores"):
            raise ConfigError(
                f"HingeObjective takes a constraint for networks that embed both sides, found "
                f"{type(net).__name__}, which scores pairs; leave constraint None"
            )
        self.net, self.constraint = net, constraint
        self.margin, self.negatives, self.all_epochs = margin, negatives, all_epochs
        self.reduction, self.same, self.eval_after_validation = reduction, same, eval_after_validation
        # Kept whether or not it is read, so that weights fit an objective with other options.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.epoch = 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of a batch of :class:`~imtext.training.PairBatches`.

        ``batch``: ``images``, ``codes (B, L)``, ``groups (B,)``; for SCAN ``images (B, R, D)`` and, where
        images have different numbers of regions, ``region_counts (B,)``.

        With a constraint also ``hinges``, ``constraint_images`` and ``constraint_captions``, the parts of
        the loss, the constraints without their weight.
        """
        options = {
            "groups": batch["groups"] if self.same == "ignore" else None,
            "margin": self.margin,
            "negatives": "all" if self.epoch < self.all_epochs else self.negatives,
            "reduction": self.reduction,
        }
        if hasattr(self.net, "scores"):
            regions = self.net.embed_regions(batch["images"])
            words, counts = self.net.embed_words(batch["codes"])
            scores = self.net.scores(regions, words, batch.get("region_counts"), counts)
            out = {"loss": score_ranking_loss(scores, **options)}
        else:
            images, captions = self.net(batch["images"], batch["codes"])
            out = {"loss": ranking_loss(images, captions, **options)}
            if self.constraint is not None:
                out = self._constrained(out["loss"], images, captions, options["groups"])
        if self.training:
            self._count()
        return out

    def _constrained(
        self, hinges: Tensor, images: Tensor, captions: Tensor, groups: Tensor | None
    ) -> dict[str, Tensor]:
        """Hinges and constraints (Eq. 3): `intra_modal_loss` with its parts kept apart."""
        of_images, of_captions = (self.constraint.term(rows, groups) for rows in (images, captions))
        return {
            "loss": hinges + self.constraint.weight * (of_images + of_captions),
            "hinges": hinges.detach(),
            "constraint_images": of_images.detach(),
            "constraint_captions": of_captions.detach(),
        }

    def _count(self) -> None:
        """Count a step and, where that is asked for, validate as the public code does."""
        self.steps += 1
        if self.eval_after_validation and int(self.steps) % self.eval_after_validation == 0:
            self.net.eval()
            for module in self.net.modules():
                if isinstance(module, nn.RNNBase):
                    module.train()
