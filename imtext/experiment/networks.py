"""Networks and losses as parts of an experiment; each has one method that builds the module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from imtext.models import VSE, GRUText, InceptionResNetV1, LSTMText, PictureNets
from imtext.training import (
    Constraint,
    HingeObjective,
    MixedBatches,
    PairBatches,
    Recipe,
    SingleObjective,
)

DISTANCES = {"msd": "MSD", "cosine": "cosine", "l2": "L2", "l1": "L1"}


@dataclass(frozen=True)
class BiLSTM:
    """A caption by a bi-directional LSTM on word vectors, see :class:`imtext.models.lstm_text.LSTMText`."""

    readout: str = "halves"
    dropout: float = 0.5
    said = "BiLSTM"

    def build(self, text: Any, dim: int) -> LSTMText:
        """From codes to features of length ``dim``."""
        return LSTMText(len(text.vocabulary), text.width, dim, self.readout, self.dropout, text.start)


@dataclass(frozen=True)
class GRU:
    """A caption by a GRU, as in VSE++, see :class:`imtext.models.vse.GRUText`."""

    bidirectional: bool = False
    pooled_words: str | None = None
    said = "GRU"

    def build(self, text: Any, dim: int) -> GRUText:
        """From codes to features of length ``dim``."""
        return GRUText(len(text.vocabulary), text.width, dim, self.bidirectional, self.pooled_words)


@dataclass(frozen=True)
class Joint:
    """Both sides into one space of ``dim`` dimensions: a layer on images, a recurrent network on words."""

    text: BiLSTM | GRU = field(default_factory=BiLSTM)
    dim: int = 1024

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.text.said

    def build(self, inputs: Any) -> VSE:
        """The network before training."""
        return VSE(self.text.build(inputs.text, self.dim), inputs.image.dim, self.dim)


@dataclass(frozen=True)
class Single:
    """One Inception-ResNet-v1 for photographs and drawn captions, or two of the kind, one a modality.

    Attributes:
        dim, width, blocks, keep: as for :class:`imtext.models.inception_resnet.InceptionResNetV1`.
        networks: 1 or 2.
    """

    dim: int = 128
    width: float = 1.0
    blocks: tuple[int, int, int] = (5, 10, 5)
    keep: float = 0.8
    networks: int = 1

    @property
    def said(self) -> str:
        """What ran, for people."""
        return "one network" if self.networks == 1 else "two networks"

    def build(self, inputs: Any) -> PictureNets:
        """The network, or both, before training."""
        sizes = self.dim, self.width, self.blocks, self.keep
        return PictureNets(*(InceptionResNetV1(*sizes) for _ in range(self.networks)))


@dataclass(frozen=True)
class Hinges:
    """Hinges of both directions, alone or with the intra-modal constraint.

    Attributes:
        margin, negatives, all_epochs, constraint: as for :class:`imtext.training.hinges.HingeObjective`.
    """

    margin: float = 0.2
    negatives: str = "hardest"
    all_epochs: int = 0
    constraint: Constraint | None = None

    @property
    def said(self) -> str:
        """What the loss adds to the hinges, for people.

        >>> Hinges(constraint=Constraint(1.0, "l2", "printed")).said
        'L2, as printed'
        """
        if self.constraint is None:
            return ""
        reading = "as printed" if self.constraint.reading == "printed" else "as released"
        return f"{DISTANCES[self.constraint.distance]}, {reading}"

    def build(self, net: nn.Module, inputs: Any) -> HingeObjective:
        """The loss on a network."""
        return HingeObjective(net, self.margin, self.negatives, self.all_epochs, constraint=self.constraint)

    def batches(self, inputs: Any, recipe: Recipe, seed: int) -> PairBatches:
        """Training batches: pairs, no two of one group."""
        codes, lengths = inputs.text.train()
        return PairBatches(
            inputs.image.train(),
            codes,
            lengths,
            inputs.splits["train"].image_of_caption,
            inputs.source.groups,
            batch_size=recipe.batch_size,
            seed=seed,
            shift=False,
            captions_per_group=recipe.captions_per_group,
        )


@dataclass(frozen=True)
class Centre:
    """Softmax over the groups and centre loss, see :class:`imtext.training.single.SingleObjective`.

    Attributes:
        weight: of the centre loss beside the softmax; softmax: whether there is one.
        images, captions: forms of an image and of a caption in an epoch: 1, or 2 for the mirror image too
            and for two crops of each drawn caption, see :class:`imtext.training.single.MixedBatches`.
    """

    weight: float = 0.003
    softmax: bool = True
    images: int = 1
    captions: int = 1

    @property
    def said(self) -> str:
        """What ran, for people, of five captions an image.

        >>> Centre(images=2, captions=2).said
        '2 images, 10 texts a group; softmax + centre'
        """
        loss = "centre" if not self.softmax else "softmax + centre" if self.weight else "softmax"
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{images}, {5 * self.captions} texts a group; {loss}"

    def build(self, net: nn.Module, inputs: Any) -> SingleObjective:
        """The loss on a network."""
        return SingleObjective(net, int(inputs.source.groups.max()) + 1, self.weight, self.softmax)

    def batches(self, inputs: Any, recipe: Recipe, seed: int) -> MixedBatches:
        """Training batches of whole groups; ``batch_size`` counts groups."""
        groups = inputs.splits["train"].group_of_image
        return MixedBatches(
            inputs.image.train(),
            inputs.text.train(),
            np.unique(groups, return_inverse=True)[1],
            inputs.source.groups,
            batch_size=recipe.batch_size,
            config=(self.images, self.captions),
            seed=seed,
        )
