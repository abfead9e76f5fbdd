"""Rows of the Rich Features paper: VSE++ with rich features, and SCAN; each a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from imtext.data.schema import Dataset
from imtext.models import SCAN, VSE, GRUText
from imtext.retrieval import evaluate_scores
from imtext.runs import Run
from imtext.studies.embedding import FOLDS
from imtext.studies.hinge_row import BATCH, EmbeddingRow, HingeRow
from imtext.studies.preparation import SPLITS
from imtext.studies.rich_data import RichData
from imtext.studies.trained import finish, in_blocks, train
from imtext.training import make_fabric

STUDY = "rich_features"
TEXTS = {
    "gru": (False, None),
    "gru-emb-avg": (False, "mean"),
    "bigru": (True, None),
    "bigru-emb-max": (True, "max"),
    "bigru-emb-avg": (True, "mean"),
}


@dataclass(frozen=True)
class RichExperiment(EmbeddingRow):
    """VSE++ with one of the image and one of the text representations of section IV.D, for one seed.

    Attributes:
        text: a key of ``TEXTS``: GRU or BiGRU, and how the word vectors themselves are pooled.
    """

    text: str = "gru"

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def effort(self) -> tuple[int, bool]:
        """Rows that take longer are larger."""
        return (1, TEXTS[self.text][0])

    def network(self, rich: RichData, backbone: nn.Module | None = None) -> VSE:
        """The network before training."""
        image_dim, (bidirectional, pooled) = rich.image_dim(self.image), TEXTS[self.text]
        torch.manual_seed(self.seed)
        text = GRUText(len(rich.vocabulary), self.word_dim, self.dim, bidirectional, pooled)
        return VSE(text, image_dim, self.dim, backbone)


@dataclass(frozen=True)
class ScanExperiment(HingeRow):
    """SCAN, or SCAN-RFE, for one seed.

    Attributes:
        direction, pooling: as for :class:`imtext.models.scan.SCAN`.
        rich_words: SCAN-RFE, whose words keep their word vector beside the state of the BiGRU; project: a
            layer takes both back to ``dim``.
        sharp: lambda of LSE; None takes the published one.
    """

    direction: str = "t-i"
    pooling: str = "avg"
    rich_words: bool = False
    project: bool = False
    sharp: float | None = None

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def effort(self) -> tuple[int, bool]:
        """Rows that take longer are larger."""
        return (2, self.rich_words)

    def warm(self) -> None:
        """Fill the caches that rows share."""
        rich = self.rich()
        if not rich.precomputed:
            for split in SPLITS:
                rich.grid(split)

    def network(self, rich: RichData) -> SCAN:
        """The network before training."""
        region_dim = rich.region_dim
        torch.manual_seed(self.seed)
        return SCAN(
            len(rich.vocabulary),
            self.word_dim,
            self.dim,
            region_dim,
            self.rich_words,
            self.direction,
            self.pooling,
            sharp=self.sharp,
            project=self.project,
        )

    def compute(self, run: Run, start: Run | None) -> None:
        """Train, score all pairs, evaluate, and write everything down; metrics come last."""
        began = time.perf_counter()
        rich, fabric = self.rich(), make_fabric(self.device)
        batches = self.batches(rich, rich.region_source(), self.recipe)
        net = train(self, self.objective(self.network(rich)), batches, fabric, run)
        rich.vocabulary.save(run.dir / "vocabulary.json")

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            scores = score_all(net, rich.regions(split), rich.codes(split)[0], fabric)
            return evaluate_matrix(rich.prepared.splits[split], split, scores, run)

        finish(self, run, evaluated, began)


def score_all(net: SCAN, regions: np.ndarray, codes: np.ndarray, fabric: Any) -> np.ndarray:
    """Scores ``(N, M)`` of every image with every caption, float32, slice by slice."""
    return score_places(net, in_blocks(net.embed_regions, regions, fabric, BATCH), codes, fabric)


@torch.no_grad()
def score_places(net: SCAN, places: np.ndarray, codes: np.ndarray, fabric: Any) -> np.ndarray:
    """The same for regions ``(N, R, D)`` that are embedded already."""
    rows, columns = fabric.to_device(torch.from_numpy(places)), []
    for begin in range(0, len(codes), 8 * BATCH):
        words, counts = net.embed_words(fabric.to_device(torch.from_numpy(codes[begin : begin + 8 * BATCH])))
        columns.append(net.scores(rows, words, None, counts).float().cpu().numpy())
    return np.concatenate(columns, axis=1)


def evaluate_matrix(
    dataset: Dataset, split: str, scores: np.ndarray, run: Run
) -> dict[str, dict[str, float]]:
    """Store scores ``(N, M)`` and ranks of a split in the run; its metrics and those of its folds."""
    owners, groups = dataset.image_of_caption, dataset.group_of_image
    result = evaluate_scores(scores, owners, group_of_image=groups)
    run.save_arrays(f"scores-{split}.npz", scores=scores, image_of_caption=owners)
    ranks = {"image_query": result.image_query_ranks, "text_query": result.text_query_ranks}
    run.save_arrays(f"ranks-{split}.npz", **ranks)
    metrics = {split: result.row(), f"{split}_folds": result.row()}
    if len(np.unique(groups)) == len(groups) and len(scores) % FOLDS == 0:
        metrics[f"{split}_folds"] = evaluate_scores(scores, owners, folds=FOLDS).row()
    return metrics
