"""Rows of the Intra-Modal Constraint paper: hinges and the constraint on them; each a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from imtext.models import VSE, GRUText, LSTMText
from imtext.studies.hinge_row import EmbeddingRow
from imtext.studies.rich_data import RichData
from imtext.training import Constraint, HingeObjective

STUDY = "intra_modal"


@dataclass(frozen=True)
class IntraExperiment(EmbeddingRow):
    """A two-branch network with or without the intra-modal constraint (sections 2.1 and 2.2), for one seed.

    Attributes:
        text: ``"lstm"``, word vectors and a BiLSTM, or ``"gru"``, the text side of VSE++.
        readout, dropout: of the BiLSTM, as for :class:`imtext.models.lstm_text.LSTMText`.
        distance: of the constraint, as for :func:`imtext.losses.intra_modal.intra_modal_constraint`; None
            trains with the hinges alone (lambda = 0).
        reading, weight, low, high: of the constraint; ``weight`` is lambda.
    """

    text: str = "lstm"
    readout: str = "halves"
    dropout: float = 0.5
    distance: str | None = None
    reading: str = "released_distance"
    weight: float = 1.0
    low: float = 0.05
    high: float = 0.5

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def effort(self) -> tuple[int, bool]:
        """L1 distances take longer."""
        return (1, self.distance == "l1")

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields of the data that the row does not read."""
        return ("length",) if self.text == "lstm" else super().unread

    @property
    def constraint(self) -> Constraint | None:
        """The constraint of this row, None for the hinges alone."""
        if self.distance is None:
            return None
        return Constraint(self.weight, self.distance, self.reading, self.low, self.high)

    def objective(self, net: nn.Module) -> HingeObjective:
        """The hinges and the constraint of this row on a network."""
        return HingeObjective(net, self.margin, self.negatives, self.all_epochs, constraint=self.constraint)

    def network(self, rich: RichData) -> VSE:
        """The network before training."""
        words, image_dim = len(rich.vocabulary), rich.image_dim(self.image)
        torch.manual_seed(self.seed)
        if self.text == "gru":
            text: Any = GRUText(words, self.word_dim, self.dim)
        else:
            vectors = rich.vocabulary.matrix(rich.prepared.vectors, missing=np.nan)[1:]
            text = LSTMText(words, vectors.shape[1], self.dim, self.readout, self.dropout, vectors)
        return VSE(text, image_dim, self.dim)


__all__ = ["STUDY", "IntraExperiment"]
