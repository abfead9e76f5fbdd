"""What the papers minimise: each a network and a loss on what it makes of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from imtext import losses
from imtext.check import number, one_of, whole
from imtext.errors import ConfigError
from imtext.losses.intra_modal import intra_modal_constraint
from imtext.models import Joint
from imtext.training.device import gathered, processes
from imtext.unit import unit_rows

RELEASED = "released"
NEGATIVES = ("hardest", "all", "mean", RELEASED)
Batch = dict[str, Tensor]


class Objective(nn.Module):
    """A network and its loss, ``loss(embedded, batch)`` of what ``embed(batch)`` gives, kept apart.

    Where several processes train together each embeds its share of the batch, and each takes the loss of the
    whole. ``sides`` names what they share, which the network takes; ``epoch`` and ``fabric`` are set by
    :func:`~imtext.training.loop.fit`.
    """

    epoch, fabric = 0, None
    sides: tuple[str, ...] = ("images", "codes", "lengths")

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def embed(self, batch: Batch) -> Any:
        """What the network makes of a batch: embeddings ``(B, D)`` of both sides, or scores ``(B, B)``."""
        return self.net(*(batch.get(side) for side in self.sides))

    def forward(self, batch: Batch) -> Batch:
        """The loss of a batch and what is reported beside it."""
        rank, count = processes()
        own = {name: batch[name][rank::count] for name in self.sides if batch.get(name) is not None}
        embedded = self.embed(batch | own)
        if isinstance(embedded, Tensor):
            return self.loss(self.whole(embedded, batch[self.sides[0]]), batch)
        pairs = zip(embedded, self.sides, strict=False)
        return self.loss(tuple(self.whole(rows, batch[side]) for rows, side in pairs), batch)

    def whole(self, rows: Tensor, items: Any) -> Tensor:
        """Rows of all items of the batch, of which this process has its share."""
        return gathered(self.fabric, rows, len(items))


class Ranked(Objective):
    """An objective with hinges, against all negatives in the first epochs where that is asked for."""

    def __init__(self, net: nn.Module, margin: float, negatives: str, all_epochs: int) -> None:
        super().__init__(net)
        self.margin, self.all_epochs = number("margin", margin), whole("all_epochs", all_epochs, 0)
        self._negatives = one_of("negatives", negatives, NEGATIVES)

    @property
    def negatives(self) -> str:
        """Which negatives count in this epoch."""
        return "all" if self.epoch < self.all_epochs else self._negatives


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
        number("weight", self.weight)
        self.term(torch.eye(2))  # the loss names what it does not take, and better here than in a first batch

    def term(self, rows: Tensor, groups: Tensor | None = None) -> Tensor:
        """The constraint of one side, embeddings ``(B, D)`` of groups ``(B,)``, without its weight."""
        return intra_modal_constraint(rows, self.distance, self.reading, self.low, self.high, groups)


class HingeObjective(Ranked):
    """The bi-directional ranking loss of a network that embeds both sides, or that scores pairs (SCAN).

    Summed over the pairs of a batch. The recipe that goes with it (VSE++'s public code; Fu et al., section
    IV-B) is ``Recipe(epochs=36, lr=2e-4, batch_size=128, weight_decay=0.0, milestones=(15,), clip=2.0)``, for
    COCO with ``gamma=1 / 1.2``: AdamW without weight decay is their Adam.

    A batch holds ``images``, ``codes (B, L)`` and ``groups (B,)``: items of one group are no negatives of one
    another. For SCAN ``images (B, R, D)``. With a constraint ``hinges``, ``constraint_images`` and
    ``constraint_captions`` are reported, the parts of the loss, the constraints without their weight.

    Args:
        net: a :func:`~imtext.models.joint.vse` (or any network whose call with images, codes and lengths, or
            None, gives embeddings ``(B, D)`` of both sides), or one with ``embed_regions``,
            ``embed_words`` and ``scores`` as SCAN has them.
        margin: on the similarity (papers: 0.2).
        negatives: ``"hardest"`` (VSE++), ``"all"`` (VSE0, and the first epochs of others) or ``"mean"``.
        all_epochs: epochs at the start in which all negatives count before ``negatives`` do.
        constraint: None, or a :class:`Constraint` on each side's own similarities beside the hinges, for
            networks that embed both sides.

    Raises:
        ConfigError: a number or a name that is none of these, or a constraint for a network that scores.

    >>> from imtext.models import GRUText, vse
    >>> objective = HingeObjective(vse(GRUText(words=5, word_dim=4, dim=8), image_dim=6, dim=8))
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
        constraint: Constraint | None = None,
    ) -> None:
        super().__init__(net, margin, negatives, all_epochs)
        if constraint is not None and hasattr(net, "scores"):
            raise ConfigError(f"constraint: {type(net).__name__} scores pairs, it embeds no side; take None")
        self.constraint = constraint

    def embed(self, batch: Batch) -> Any:
        """Embeddings ``(B, D)`` of both sides, or scores of all images, or a share, with all captions."""
        if not hasattr(self.net, "scores"):
            return super().embed(batch)
        own = self.net.embed_words(batch["codes"], batch.get("lengths"))
        words, counts = (self.whole(rows, batch["groups"]) for rows in own)
        return self.net.scores(self.net.embed_regions(batch["images"]), words, None, counts)

    def loss(self, embedded: tuple[Tensor, Tensor] | Tensor, batch: Batch) -> Batch:
        """The hinges of embeddings or scores, and the constraint of both sides beside them (Eq. 3)."""
        how = {"groups": batch["groups"], "margin": self.margin, "negatives": self.negatives}
        if hasattr(self.net, "scores"):
            return {"loss": losses.hinge_loss(embedded, **how)}
        hinges = losses.ranking_loss(*embedded, **how)
        if self.constraint is None:
            return {"loss": hinges}
        images, captions = (self.constraint.term(rows, batch["groups"]) for rows in embedded)
        return {
            "loss": hinges + self.constraint.weight * (images + captions),
            "hinges": hinges,
            "constraint_images": images,
            "constraint_captions": captions,
        }


class DualPathObjective(Ranked):
    """``lambda_1 L_rank + lambda_2 L_visual + lambda_3 L_textual`` (Zheng et al., Eq. 9).

    A batch holds ``images``, ``codes``, ``groups (B,)``; ``classes (B,)`` where they are not the groups; for
    the released negatives ``candidates (K, L)`` and ``candidate_classes (K,)``, of no anchor's group. The
    share of images and of captions put into the wrong class is reported.

    Args:
        net: the two paths.
        instance: the instance loss with its shared classifier.
        weights: (rank, image, text), the three lambdas; paper: (0, 1, 1) in Stage I, (1, 1, 1) in Stage II.
        margin: of the ranking loss (paper: 1).
        negatives: of the ranking loss: ``"hardest"``, ``"all"`` or ``"mean"`` as for
            :func:`~imtext.losses.ranking.hinge_loss`, or ``"released"`` as in the authors' public code.
            There the first half of a batch are anchors. The negative image of each is one of the other half;
            its negative caption is the one among random ``candidates`` of the batch that the network, as it
            is when it tests, finds nearest to the anchor's image. It takes the place of a caption of the
            other half, in the instance loss too.
        all_epochs: epochs at the start in which all negatives count before the hardest alone does.
        text_instance: a classifier of the captions' own; None: they share that of the images.

    >>> from imtext.models import TextCNN, dual_path
    >>> net = dual_path(TextCNN(words=5, word_dim=4, width=0.125), image_dim=6, dim=16)
    >>> objective = DualPathObjective(net, losses.InstanceLoss(16, groups=3), weights=(0, 1, 1))
    >>> batch = {"images": torch.randn(3, 6), "groups": torch.arange(3)}
    >>> batch["codes"] = torch.ones(3, 32, dtype=torch.long)
    >>> sorted(objective(batch))
    ['image_error', 'loss', 'text_error']
    """

    sides = ("images", "codes")

    def __init__(
        self,
        net: Joint,
        instance: losses.InstanceLoss,
        weights: tuple[float, float, float],
        margin: float = 1.0,
        negatives: str = "hardest",
        all_epochs: int = 0,
        text_instance: losses.InstanceLoss | None = None,
    ) -> None:
        super().__init__(net, margin, negatives, all_epochs)
        if len(weights) != 3 or min(weights) < 0 or max(weights) == 0:
            raise ConfigError(f"weights={weights}: expected (rank, image, text) of at least 0, not all 0")
        self.instance, self.text_instance, self.weights = instance, text_instance, weights

    def forward(self, batch: Batch) -> Batch:
        """The loss of a batch and what is reported beside it."""
        released = self.weights[0] and self.negatives == RELEASED
        return super().forward(self._with_candidates(batch) if released else batch)

    def loss(self, embedded: tuple[Tensor, ...], batch: Batch) -> Batch:
        """The three terms; ``image_error`` and ``text_error`` of those with a weight."""
        images, captions = embedded
        rank, visual, textual = self.weights
        loss, out = images.new_zeros(()), {}
        if rank:
            loss = loss + rank * self._ranking(images, captions, batch["groups"])
        image_classes = batch.get("classes", batch["groups"])
        text_classes = batch.get("text_classes", image_classes)
        text_instance = self.text_instance or self.instance
        of_images = "image", visual, self.instance, images, image_classes
        of_captions = "text", textual, text_instance, captions, text_classes
        for name, weight, instance, features, classes in (of_images, of_captions):
            if weight:
                logits = instance.logits(features)
                loss = loss + weight * cross_entropy(logits, classes)
                out[f"{name}_error"] = _error(logits, classes)
        return {"loss": loss, **out}

    def _ranking(self, images: Tensor, captions: Tensor, groups: Tensor) -> Tensor:
        """The ranking loss over the number of pairs, of which the released negatives leave half."""
        if self.negatives != RELEASED:
            how = {"margin": self.margin, "negatives": self.negatives, "reduction": "mean"}
            return losses.ranking_loss(images, captions, groups, **how)
        half = len(images) // 2
        anchors, others = slice(half), slice(half, 2 * half)
        sides = images[anchors], captions[anchors], images[others], captions[others]
        return losses.quadruple_ranking_loss(*sides, self.margin) / len(images)

    @torch.no_grad()
    def _with_candidates(self, batch: Batch) -> Batch:
        """The batch with the hardest candidates and their classes in place of the second half's captions."""
        classes = batch.get("classes", batch["groups"]).clone()
        half, training = len(classes) // 2, self.net.training
        self.net.eval()
        images, candidates = self.net(batch["images"][:half], batch["candidates"])
        self.net.train(training)
        # Autocast would make the product bfloat16, in which neighbouring similarities tie.
        with torch.autocast(images.device.type, enabled=False):
            chosen = (unit_rows(images) @ unit_rows(candidates).T).argmax(1)
        codes = batch["codes"].clone()
        codes[half : 2 * half] = batch["candidates"][chosen]
        classes[half : 2 * half] = batch["candidate_classes"][chosen]
        return batch | {"codes": codes, "text_classes": classes}


def _error(logits: Tensor, classes: Tensor) -> Tensor:
    """Share of the items put into a wrong class."""
    return (logits.argmax(1) != classes).float().mean()


class StructureObjective(Objective):
    """The structure-preserving loss of a two-branch network, on :class:`NeighbourBatches`.

    Args:
        net: the network; options: as for :func:`~imtext.losses.structure.structure_preserving_loss`.

    >>> from imtext.models import two_branch
    >>> objective = StructureObjective(two_branch(3, 3, dim=2, hidden=None))
    >>> batch = {"images": torch.randn(4, 3), "texts": torch.randn(4, 3), "match": torch.eye(4).bool()}
    >>> sorted(objective(batch))
    ['loss']
    """

    sides = ("images", "texts")

    def __init__(self, net: Joint, **options: Any) -> None:
        super().__init__(net)
        self.options = options

    def loss(self, embedded: tuple[Tensor, ...], batch: Batch) -> Batch:
        """The loss alone."""
        return {"loss": losses.structure_preserving_loss(*embedded, batch["match"], **self.options)}


class SingleObjective(Objective):
    """Softmax cross-entropy and centre loss of one network that takes photographs and drawn texts alike.

    ``loss = softmax + weight * centre``, both means over the batch (Wen et al., Eq. 5). The paper prints the
    centre loss alone (Eq. 1): ``softmax=False``. Nothing then keeps classes apart, and all embeddings fall
    onto one line and, where the last batch norm has a learned scale, shrink to one point: ``directions`` and
    ``spread`` of what :meth:`loss` reports show it. Adam takes about 1 / lr steps for it.

    A batch is one of :class:`MixedBatches`.

    Args:
        net: uint8 pictures ``(B, 3, S, S)``, and ``(B,)`` which are texts, to embeddings ``(B, D)``; with an
            attribute ``dim``. Such as :class:`~imtext.models.inception_resnet.PictureNets`.
        classes: number of classes C: one per image with its captions, or per identity.
        weight: lambda, of the centre loss beside the softmax (Wen et al. settle on 0.003).
        softmax: whether the cross-entropy is there.
        scale: length that both losses see embeddings at, with the weights of a class at length 1: the softmax
            is then of ``scale`` times the cosine, by which a search ranks. 0 takes all as they are.

    Raises:
        ConfigError: a negative weight or scale, or too few classes.

    >>> from imtext.models import InceptionResNetV1, PictureNets
    >>> net = PictureNets(InceptionResNetV1(dim=8, width=0.125, blocks=(0, 0, 0)))
    >>> objective = SingleObjective(net, classes=2)
    >>> batch = {"inputs": torch.zeros(2, 3, 75, 75, dtype=torch.uint8), "classes": torch.arange(2)}
    >>> sorted(objective(batch | {"is_text": torch.tensor([False, True])}))
    ['centre', 'directions', 'error', 'loss', 'softmax', 'spread', 'text_error']
    """

    sides = ("inputs", "is_text")

    def __init__(
        self, net: nn.Module, classes: int, weight: float = 0.003, softmax: bool = True, scale: float = 0.0
    ) -> None:
        super().__init__(net)
        self.weight, self.scale = number("weight", weight), number("scale", scale)
        self.centre = losses.CentreLoss(classes, net.dim, reduction="mean")
        # The instance loss is this softmax; its dropout stands in the network here, before the bottleneck.
        self.softmax = losses.InstanceLoss(net.dim, classes, not scale, dropout=0.0) if softmax else None
        if softmax and scale:  # its small numbers would all turn the same way in the first steps
            nn.init.normal_(self.softmax.classifier.weight, std=0.05)

    def loss(self, features: Tensor, batch: Batch) -> Batch:
        """The loss of a batch; in training mode the centres then follow.

        Returns:
            Scalars: ``loss``, ``centre``, ``spread`` (root mean square distance of the batch's embeddings
            from their mean), ``directions`` (in how many they differ, 1 to D: the participation ratio of
            their variances, 0 where they are equal), and with the softmax ``softmax`` and ``error`` and
            ``text_error``, the shares of all and of the captions put into a wrong class.
        """
        classes, texts = batch["classes"], batch["is_text"]
        features = self.scale * unit_rows(features) if self.scale else features
        centre = self.centre(features, classes)
        out = {"loss": centre}
        if self.softmax is not None:
            weight = self.softmax.classifier.weight
            logits = linear(features, unit_rows(weight)) if self.scale else self.softmax.logits(features)
            softmax = cross_entropy(logits.to(centre.dtype), classes)
            out = {"loss": softmax + self.weight * centre, "softmax": softmax}
            out |= {"error": _error(logits, classes), "text_error": _error(logits[texts], classes[texts])}
        spread, directions = _spread(features.detach().to(centre.dtype))
        if self.training:
            self.centre.update(features.detach(), classes)
        return {**out, "centre": centre, "spread": spread, "directions": directions}


def _spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """How far features ``(B, D)`` lie from their mean, and in how many directions.

    >>> [float(number) for number in _spread(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]))]
    [3.0, 1.0]
    """
    # Autocast would make the product below bfloat16.
    with torch.autocast(features.device.type, enabled=False):
        away = features - features.mean(0)
        total, squares = away.pow(2).sum(), (away.T @ away).pow(2).sum()
    return (total / max(len(features), 1)).sqrt(), total.pow(2) / squares.clamp(min=1e-30)
