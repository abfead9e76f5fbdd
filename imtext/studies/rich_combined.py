"""Rows of the Rich Features paper that go on from others: ensembles, re-ranking, a trained image CNN."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from imtext.errors import ConfigError
from imtext.retrieval import choose_rerank, evaluate_reranked, mean_scores, rerank
from imtext.runs import Run
from imtext.studies.embedding import FOLDS, evaluate_split
from imtext.studies.hinge_row import BATCH
from imtext.studies.preparation import DataSpec
from imtext.studies.rich_experiment import STUDY, RichExperiment, ScanExperiment, evaluate_matrix
from imtext.studies.structure_experiment import image_features
from imtext.studies.trained import MODEL, finish, in_blocks, train
from imtext.training import Pixels, Recipe, make_fabric
from imtext.vision.frozen import frozen_norm


@dataclass(frozen=True)
class _After:
    """A row after one or several others, of which it has data, profile, device and seed.

    Attributes:
        slug: short name, the beginning of the run's folder.
        start: the rows.
    """

    slug: str
    start: tuple[RichExperiment | ScanExperiment, ...]

    def __post_init__(self) -> None:
        if not self.start:
            raise ConfigError(f"{self.slug}: expected at least one row to start from, found none")

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def data(self) -> DataSpec:
        """The data."""
        return self.start[0].data

    @property
    def profile(self) -> str:
        """Profile of the rows it starts from."""
        return self.start[0].profile

    @property
    def device(self) -> str:
        """Where it is run."""
        return self.start[0].device

    @property
    def seed(self) -> int:
        """Seed of the rows it starts from."""
        return self.start[0].seed

    @property
    def effort(self) -> tuple[int, bool]:
        """A few matrix products."""
        return (0, False)

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        return {"slug": self.slug, "start": [row.config() for row in self.start]}

    def warm(self) -> None:
        """Fill the caches that rows share."""
        for row in self.start:
            row.warm()


@dataclass(frozen=True)
class Ensemble(_After):
    """The mean of the similarities of several models, which were trained each for itself."""

    def compute(self, run: Run, start: Sequence[Run]) -> None:
        """Add up, evaluate, and write everything down."""
        began = time.perf_counter()
        splits = self.start[0].rich().prepared.splits

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            scores = mean_scores([scores_of(one, split) for one in start])
            return evaluate_matrix(splits[split], split, scores.astype(np.float32), run)

        finish(self, run, evaluated, began)


@dataclass(frozen=True)
class Reranked(_After):
    """k-reciprocal re-ranking of one model's result; how is chosen by the R-sum on validation."""

    k1: int = 20
    k2: int = 6

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        return {**super().config(), "k1": self.k1, "k2": self.k2}

    def compute(self, run: Run, start: Sequence[Run]) -> None:
        """Choose, re-rank, evaluate, and write everything down."""
        began = time.perf_counter()
        splits = self.start[0].rich().prepared.splits
        val = start[0].load_arrays("embeddings-val.npz")
        choice = choose_rerank(**val, k1=self.k1, k2=self.k2)
        run.save_table("tried.csv", pd.DataFrame(choice.table))
        run.save_json("chosen.json", choice.settings)

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            arrays = start[0].load_arrays(f"embeddings-{split}.npz")
            scores = rerank(arrays["images"], arrays["captions"], **choice.settings)
            metrics = evaluate_matrix(splits[split], split, scores, run)
            groups = splits[split].group_of_image
            if len(np.unique(groups)) == len(groups) and len(groups) % FOLDS == 0:
                # Each fold is a search of its own, with a graph of its own.
                folds = evaluate_reranked(**arrays, folds=FOLDS, **choice.settings)
                ranks = {"image_query": folds.image_query_ranks, "text_query": folds.text_query_ranks}
                run.save_arrays(f"ranks-{split}_folds.npz", **ranks)
                metrics[f"{split}_folds"] = folds.row()
            return metrics

        finish(self, run, evaluated, began)


@dataclass(frozen=True)
class TunedVSE(_After):
    """VSE++ whose image CNN is trained too, on from the row with the fixed CNN.

    Attributes:
        recipe: of this second training; ``lr_scale`` gives names that begin with ``net.backbone.`` a rate of
            their own (public code: ten times less than the first training, for everything).
    """

    recipe: Recipe = Recipe(epochs=15, lr=2e-5)

    @property
    def effort(self) -> tuple[int, bool]:
        """Longer than any row with fixed features."""
        return (3, True)

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        return {**super().config(), "recipe": asdict(self.recipe)}

    def compute(self, run: Run, start: Sequence[Run]) -> None:
        """Train, embed, evaluate, and write everything down; metrics come last."""
        from safetensors.torch import load_file

        began = time.perf_counter()
        row, rich, fabric = self.start[0], self.start[0].rich(), make_fabric(self.device)
        net, backbone = row.network(rich), rich.prepared.backbone()
        net.load_state_dict(load_file(start[0].dir / MODEL))
        net.backbone = backbone
        if self.device == "cuda":
            net = net.to(memory_format=torch.channels_last)
        pixels = Pixels(rich.prepared.store("train"), self.data.crop, backbone.mean, backbone.std)
        with frozen_norm(backbone):
            batches = row.batches(rich, pixels, self.recipe)
            # The first training is over: the hardest negatives from the start.
            objective = replace(row, all_epochs=0).objective(net)
            net = train(self, objective, batches, fabric, run)

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            # The features of this CNN serve once: not kept among those that rows share.
            with TemporaryDirectory(prefix="features-") as folder:
                features = image_features(rich.prepared, split, 1, backbone, folder)
            images = in_blocks(net.embed_images, features, fabric, BATCH)
            captions = in_blocks(net.embed_captions, rich.codes(split)[0], fabric, BATCH)
            return evaluate_split(rich.prepared.splits[split], split, images, captions, run)

        finish(self, run, evaluated, began)


def scores_of(run: Run, split: str) -> np.ndarray:
    """Scores ``(N, M)`` of a finished run: as they were kept, or the cosines of its embeddings."""
    if (run.dir / f"scores-{split}.npz").is_file():
        return run.load_arrays(f"scores-{split}.npz")["scores"]
    arrays = run.load_arrays(f"embeddings-{split}.npz")
    return arrays["images"] @ arrays["captions"].T
