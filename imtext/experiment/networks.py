"""Networks and losses as parts of an experiment; each has one method that builds the module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from imtext.models import VSE, GRUText, LSTMText
from imtext.training import Constraint, HingeObjective, PairBatches, Recipe

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

    def build(self, net: nn.Module) -> HingeObjective:
        """The loss on a network."""
        return HingeObjective(net, self.margin, self.negatives, self.all_epochs, constraint=self.constraint)

    def batches(self, inputs: Any, recipe: Recipe, seed: int) -> PairBatches:
        """Training batches: pairs, no two of one group."""
        codes, lengths = inputs.text.train()
        return PairBatches(
            inputs.image.train(),
            codes,
            lengths,
            inputs.splits["train"].image_of_sentence,
            inputs.source.groups,
            batch_size=recipe.batch_size,
            seed=seed,
            shift=False,
            sentences_per_group=recipe.sentences_per_group,
        )
