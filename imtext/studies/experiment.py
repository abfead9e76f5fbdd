"""One row of a table as data, and the run that computes it (dual-path networks)."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imtext.errors import RunError
from imtext.losses import InstanceLoss
from imtext.models import DualPath, TextCNN
from imtext.progress import announce
from imtext.runs import Run, provenance
from imtext.studies.embedding import embed_split
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.training import CachedFeatures, DualPathObjective, PairBatches, Pixels, Recipe, fit, make_fabric
from imtext.training.objective import RELEASED
from imtext.vision.frozen import frozen_norm

STUDY = "instance_loss"
MODEL = "model.safetensors"


@dataclass(frozen=True)
class Experiment:
    """One row of one table, for one seed.

    Attributes:
        slug: short name, the beginning of the run's folder.
        data: the data.
        recipe: how this stage is trained.
        weights: (rank, image, text) of Eq. 9.
        stage: 1 keeps the backbone fixed and reads cached features; 2 trains it as well.
        start: the experiment whose network this one goes on from (Stage II), or None.
        class_share: k-means classes instead of one per group: how many, as a share of the groups.
        init: ``"vectors"`` or ``"random"`` word layer.
        shift: position shift, or left alignment.
        depth, width, dim, head, pooling, zero_init, all_positions: of the network.
        dropout, margin, negatives, all_epochs, bias: of the losses; candidates: random captions a batch
            among which ``negatives="released"`` finds the hardest.
        freeze_norm: keep the backbone's batch norm at its ImageNet statistics in Stage II.
        profile, device, seed: how it is run.
    """

    slug: str
    data: DataSpec
    recipe: Recipe
    weights: tuple[float, float, float]
    stage: int = 1
    start: Experiment | None = None
    class_share: float | None = None
    init: str = "vectors"
    shift: bool = True
    depth: int = 50
    width: float = 1.0
    dim: int = 2048
    head: str = "paper"
    pooling: str = "mean"
    zero_init: bool = True
    all_positions: bool = False
    dropout: float = 0.75
    margin: float = 1.0
    negatives: str = "hardest"
    candidates: int = 256
    all_epochs: int = 0
    bias: bool = True
    freeze_norm: bool = False
    profile: str = "quick"
    device: str = "cpu"
    seed: int = 0

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def effort(self) -> tuple[int, int, str]:
        """Rows that take longer are larger."""
        return (self.stage, self.depth, self.data.backbone)

    def warm(self) -> None:
        """Fill the caches that rows share: pixels in Stage II, features in Stage I."""
        prepared = prepare(self.data, self.device)
        for split in ("train", "val", "test"):
            prepared.store(split) if self.stage == 2 else prepared.features(split)

    def compute(self, run: Run, start: Run | None) -> None:
        """Train, embed, evaluate, and write everything down."""
        _compute(self, run, start)

    def classes(self) -> np.ndarray:
        """Class of each training caption ``(M,)``."""
        prepared = prepare(self.data, self.device)
        return prepared.groups if self.class_share is None else prepared.pseudo_classes(self.class_share)

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        values = asdict(self)
        values["data"] = prepare(self.data, self.device).identity()
        values["start"] = None if self.start is None else self.start.config()
        return values


def build(experiment: Experiment, prepared: Prepared, classes: int) -> DualPathObjective:
    """The network and its losses for a number of classes; start weights are loaded by the caller."""
    torch.manual_seed(experiment.seed)
    vectors = prepared.word_matrix()
    text = TextCNN(
        words=len(prepared.vocabulary),
        word_dim=vectors.shape[1],
        depth=experiment.depth,
        width=experiment.width,
        vectors=vectors if experiment.init == "vectors" else None,
        pooling=experiment.pooling,
        zero_init=experiment.zero_init,
    )
    backbone = prepared.backbone()
    net = DualPath(
        text,
        image_dim=backbone.dim,
        dim=experiment.dim,
        backbone=backbone if experiment.stage == 2 else None,
        head=experiment.head,
        all_positions=experiment.all_positions,
    )
    loss = InstanceLoss(experiment.dim, classes, bias=experiment.bias, dropout=experiment.dropout)
    return DualPathObjective(
        net,
        loss,
        weights=experiment.weights,
        margin=experiment.margin,
        negatives=experiment.negatives,
        all_epochs=experiment.all_epochs,
    )


def _compute(experiment: Experiment, run: Run, start: Run | None) -> None:
    """Train, embed, evaluate, and write everything down; metrics come last."""
    began = time.perf_counter()
    prepared = prepare(experiment.data, experiment.device)
    classes = experiment.classes()
    objective = build(experiment, prepared, int(classes.max()) + 1)
    if start is not None:
        load_weights(objective, start.dir / MODEL, strict=False)
    fabric = make_fabric(experiment.device)
    if experiment.device == "cuda":
        objective = objective.to(memory_format=torch.channels_last) if experiment.stage == 2 else objective
    label = f"{experiment.slug}, seed {experiment.seed}"
    batches = _batches(experiment, prepared, classes)
    with frozen_norm(objective.net.backbone) if experiment.freeze_norm else nullcontext():
        curves = fit(fabric, objective, experiment.recipe, batches, run.dir, experiment.seed, label)
    curves.insert(0, "stage", experiment.stage)
    run.save_table("curves.csv", curves)
    run.save_tensors(MODEL, objective.state_dict())
    prepared.vocabulary.save(run.dir / "vocabulary.json")
    run.save_json("source.json", asdict(experiment.data))
    announce(f"{label}: evaluating")
    metrics = {}
    for split in ("val", "test"):
        metrics |= embed_split(objective.net, prepared, split, run, fabric)
    run.save_json(
        "provenance.json",
        provenance(
            experiment.device,
            time.perf_counter() - began,
            dataset=experiment.data.dataset,
            profile=experiment.profile,
            seed=experiment.seed,
        ),
    )
    run.save_json("metrics.json", metrics)
    (run.dir / "checkpoint.pt").unlink(missing_ok=True)


def _batches(experiment: Experiment, prepared: Prepared, classes: np.ndarray) -> PairBatches:
    """Batches of this stage: cached features while the backbone is fixed, pixels when it is trained."""
    train = prepared.splits["train"]
    codes, lengths = prepared.codes("train")
    if experiment.stage == 1:
        images = CachedFeatures(prepared.features("train").train)
    else:
        backbone = prepared.backbone()
        images = Pixels(prepared.store("train"), experiment.data.crop, backbone.mean, backbone.std)
    ranked_as_released = experiment.weights[0] > 0 and experiment.negatives == RELEASED
    return PairBatches(
        images,
        codes,
        lengths,
        train.image_of_caption,
        prepared.groups,
        batch_size=experiment.recipe.batch_size,
        seed=experiment.seed,
        shift=experiment.shift,
        captions_per_group=experiment.recipe.captions_per_group,
        class_of_caption=classes,
        candidates=experiment.candidates if ranked_as_released else 0,
    )


def load_weights(objective: torch.nn.Module, path: Path, strict: bool = True) -> None:
    """Load weights written by a run.

    Without ``strict``, parts the file does not hold (the backbone, when going from Stage I to Stage II)
    keep their own.

    Raises:
        RunError: a missing or foreign file.
    """
    from safetensors.torch import load_file

    try:
        missing, unexpected = objective.load_state_dict(load_file(path), strict=strict)
    except Exception as error:
        raise RunError(
            f"{path}: expected the weights of a run, found {error}; remove the run to train again"
        ) from None
    foreign = [name for name in missing if not name.startswith("net.backbone.")] + list(unexpected)
    if foreign:
        raise RunError(
            f"{path}: weights of another network ({foreign[0]} does not fit); remove the run to train again"
        )
