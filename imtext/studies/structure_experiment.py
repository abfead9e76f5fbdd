"""One row of Tables 1 and 2 of the Structure-Preserving paper, and the run that computes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from imtext.models import TwoBranch, choose_cca
from imtext.runs import Run
from imtext.studies.embedding import evaluate_split
from imtext.studies.preparation import SPLITS, DataSpec, Prepared, prepare
from imtext.studies.text_features import text_features
from imtext.studies.trained import MODEL, finish, in_blocks, train
from imtext.training import NeighbourBatches, Recipe, StructureObjective, make_fabric
from imtext.vision.backbones import Backbone
from imtext.vision.ten_crop import extract_ten_crop

STUDY = "structure_preserving"
MODELS = ("linear", "nonlinear", "cca")
OF_NETWORK = ("recipe", "lambdas", "hidden", "dropout", "margin", "top_k", "reduction")  # not read by CCA


@dataclass(frozen=True)
class StructureExperiment:
    """One row of Table 1 or 2 for one seed.

    Attributes:
        slug: short name, the beginning of the run's folder.
        data: the data and the image CNN, which stays fixed.
        text: kinds of text features, joined by ``+`` where there are several (see ``TextFeatures``).
        recipe: how the network is trained; not used by CCA.
        model: ``"linear"``, ``"nonlinear"`` or ``"cca"``.
        lambdas: of Eq. 5; all zero is one-directional (section 3.2).
        text_options: options of each kind of text features, as pairs ``(kind, ((name, value), ...))``.
        crops: crops of an image whose features are averaged (paper: 10).
        dim, hidden, dropout: of the network.
        margin, top_k, reduction: of the loss.
        profile, device, seed: how it is run.
    """

    slug: str
    data: DataSpec
    text: str
    recipe: Recipe
    model: str = "nonlinear"
    lambdas: tuple[float, float, float] = (2.0, 0.0, 0.2)
    text_options: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()
    crops: int = 10
    dim: int = 512
    hidden: int = 2048
    dropout: float = 0.5
    margin: float = 0.1
    top_k: int = 50
    reduction: str = "sum"
    profile: str = "quick"
    device: str = "cpu"
    seed: int = 0

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def start(self) -> None:
        """No row goes on from another."""
        return None

    @property
    def effort(self) -> tuple[int, bool]:
        """Rows that take longer are larger."""
        return (MODELS.index(self.model) % 2, bool(self.lambdas[2]))

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        unread = ["views", "length"] + ["vectors"] * (self.text == "tfidf")
        values = {**asdict(self), "data": prepare(self.data, self.device).identity(unread)}
        left_out = OF_NETWORK if self.model == "cca" else ()
        return {name: value for name, value in values.items() if name not in left_out}

    def warm(self) -> None:
        """Fill the caches that rows share."""
        prepared = prepare(self.data, self.device)
        for split in SPLITS:
            image_features(prepared, split, self.crops)
        self.texts(prepared)

    def texts(self, prepared: Prepared) -> dict[str, Any]:
        """Text features ``(M, Dy)`` by split; several kinds side by side."""
        options = dict(self.text_options)
        parts = [text_features(prepared, kind, dict(options.get(kind, ()))) for kind in self.text.split("+")]
        if len(parts) == 1:
            return {split: parts[0].split(split) for split in SPLITS}
        return {split: np.hstack([part.split(split) for part in parts]) for split in SPLITS}

    def compute(self, run: Run, start: Run | None) -> None:
        """Train or solve, embed, evaluate, and write everything down; metrics come last."""
        began = time.perf_counter()
        prepared = prepare(self.data, self.device)
        images = {split: image_features(prepared, split, self.crops) for split in SPLITS}
        texts = self.texts(prepared)
        embed = self._solve if self.model == "cca" else self._train
        image_side, text_side = embed(prepared, images, texts, run)
        write_down(
            self, prepared, run, lambda split: (image_side(images[split]), text_side(texts[split])), began
        )

    def _solve(self, prepared: Prepared, images: dict, texts: dict, run: Run) -> tuple[Any, Any]:
        """CCA; its two numbers are chosen on the validation split."""
        owners = {split: prepared.splits[split].image_of_caption for split in ("train", "val")}
        best, tried = choose_cca(
            images["train"],
            texts["train"],
            owners["train"],
            images["val"],
            texts["val"],
            owners["val"],
            dims=(self.dim,),
        )
        run.save_table("tried.csv", tried)
        best.save(run.dir / MODEL)
        return best.embed_images, best.embed_captions

    def _train(self, prepared: Prepared, images: dict, texts: dict, run: Run) -> tuple[Any, Any]:
        """The two-branch network."""
        objective = self.objective(self.network(images["train"].shape[1], texts["train"].shape[1]))
        batches = self.batches(prepared, images["train"], texts["train"], self.recipe)
        return train_sides(self, objective, batches, make_fabric(self.device), run)

    def network(self, image_dim: int, text_dim: int) -> TwoBranch:
        """The two branches for features of these lengths, as they are before training."""
        torch.manual_seed(self.seed)
        hidden = self.hidden if self.model == "nonlinear" else None
        return TwoBranch(image_dim, text_dim, self.dim, hidden, self.dropout)

    def objective(self, net: nn.Module) -> StructureObjective:
        """The loss of this row on a network with two sides."""
        return StructureObjective(net, self.margin, self.top_k, self.lambdas, self.reduction)

    def batches(self, prepared: Prepared, images: np.ndarray, texts: Any, recipe: Recipe) -> NeighbourBatches:
        """Training batches of this row for a recipe, of features ``(N, Dx)`` and ``(M, Dy)``."""
        owners = prepared.splits["train"].image_of_caption
        return NeighbourBatches(
            images,
            texts,
            np.stack([owners, np.arange(len(owners))], axis=1),
            recipe.batch_size,
            more_captions=self.lambdas[2] > 0,
            seed=self.seed,
            pairs_each=recipe.captions_per_group,
        )


def write_down(
    row: Any,
    prepared: Prepared,
    run: Run,
    sides: Callable[[str], tuple[np.ndarray, np.ndarray]],
    began: float,
) -> None:
    """Embed and evaluate a trained row, and finish its run.

    Args:
        row: with ``slug``, ``data``, ``profile``, ``device`` and ``seed``.
        prepared: its data; run: where everything is written, the metrics last.
        sides: from a split's name to the embeddings of its images ``(N, D)`` and captions ``(M, D)``.
        began: when the row was begun, by ``time.perf_counter``.
    """

    def evaluated(split: str) -> dict[str, dict[str, float]]:
        return evaluate_split(prepared.splits[split], split, *sides(split), run)

    finish(row, run, evaluated, began)


def train_sides(
    row: Any, objective: StructureObjective, batches: NeighbourBatches, fabric: Any, run: Run
) -> tuple[Any, Any]:
    """Train a row's network, keep curves and weights in its run; functions that embed either side."""
    net = train(row, objective, batches, fabric, run)
    return (
        lambda rows: in_blocks(net.embed_images, rows, fabric),
        lambda rows: in_blocks(net.embed_captions, rows, fabric),
    )


def image_features(
    prepared: Prepared,
    split: str,
    crops: int,
    backbone: Backbone | None = None,
    cache: str | Path | None = None,
) -> np.ndarray:
    """Mean features of several crops of each image of a split, ``(N, Dx)``, of length 1.

    ``backbone``: another network than that of the data; ``cache``: another folder than the data's.
    """
    features = extract_ten_crop(
        prepared.backbone() if backbone is None else backbone,
        prepared.store(split),
        Path(prepared.spec.cache) / "features" if cache is None else cache,
        crop=prepared.spec.crop,
        crops=crops,
        device=prepared.device,
        precision=prepared.spec.precision,
    )
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
