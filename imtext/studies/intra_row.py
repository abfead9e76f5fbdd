"""The row of the Intra-Modal Constraint paper that is compared with models of all papers.

It is the row ``l1`` of ``notebooks/intra_modal.ipynb``, with one run for both, as a test says. It goes when
the papers of :mod:`imtext.studies.all_models` have moved to `imtext.experiment`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imtext.experiment import Constraint, Data, Experiment, Hinges, Joint, Pooled, Words, adam
from imtext.experiment.compute import Row, compute
from imtext.experiment.parameters import Parameters
from imtext.papers import intra_modal
from imtext.runs import Run

PAPER = Experiment(
    Data(), Pooled(), Words(), Joint(), Hinges(constraint=Constraint()), adam(30, 2e-4, milestones=(15,))
)
LITE = {"backbone": "efficientnet_lite1"}
PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        "data": {"train": 80, "val": 40, "test": 40},
        "image": {"size": 64, "crop": 64, "views": 1, **LITE},
        "text": {"min_count": 2, "length": 20, "dim": 50},
        "network": {"dim": 32},
        "loss": {"all_epochs": 1},
        "recipe": adam(2, 3e-3, 40, cosine=True, captions_per_group=1),
        "precision": "64",
    },
    "quick": {
        "data": {"train": 1600, "val": 200, "test": 400},
        "image": {"size": 128, "crop": 112, "views": 2, **LITE},
        "text": {"dim": 50},
        "network": {"dim": 48},
        "loss": {"all_epochs": 5},
        "recipe": adam(6, 1.2e-2, 96, cosine=True, captions_per_group=1),
    },
    "quick on photographs": {
        "data": {"train": 6000, "val": 1000, "test": 1000},
        "image": {"size": 160, "crop": 144, "views": 2, **LITE},
        "text": {"dim": 50},
        "network": {"dim": 128},
        "loss": {"all_epochs": 7},
        "recipe": adam(8, 8e-3, 128, cosine=True, captions_per_group=2),
    },
    "paper": {},
}


@dataclass(frozen=True)
class IntraRow:
    """A row of the new machine for :mod:`imtext.studies.running`."""

    row: Row
    slug = "l1"
    study = "intra_modal"
    start = None
    effort = (1, True)

    @property
    def device(self) -> str:
        """Where it is trained."""
        return self.row.places.device

    @property
    def data(self) -> Experiment:
        """What says its precision."""
        return self.row.experiment

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        return self.row.config()

    def warm(self) -> None:
        """Fill the caches that rows share."""
        self.row.inputs.prepare()

    def compute(self, run: Run, start: Any) -> None:
        """Train, evaluate, and write everything down."""
        compute(self.row, run)


def intra_row(given: Parameters, seed: int) -> IntraRow:
    """The row for the parameters of another paper's notebook."""
    study = intra_modal.study(
        given.dataset, given.data_root, given.profile, [seed], "2", given.device, 1, str(given.runs_dir)
    )
    return IntraRow(study.row("l1", study.scale(PAPER, PROFILES).but(seed=seed)))
