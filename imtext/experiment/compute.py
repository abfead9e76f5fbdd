"""An experiment becomes a run, one way for all: train, embed, evaluate, write down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from imtext.data.schema import Dataset
from imtext.experiment.experiment import Experiment, plain
from imtext.experiment.source import SPLITS, Places, source_of
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.retrieval import evaluate
from imtext.runs import Run, provenance
from imtext.training import fit, make_fabric

MODEL, FOLDS, BLOCK = "model.safetensors", 5, 256


class Inputs:
    """What an experiment reads: the splits, and what either part has built of them."""

    def __init__(self, data: Any, image: Any, text: Any, precision: str, places: Places) -> None:
        self.source = source_of(data, places, image.size, precision)
        self.image, self.text = image.build(self.source), text.build(self.source)

    @property
    def splits(self) -> dict[str, Dataset]:
        """The splits by name."""
        return self.source.splits

    def prepare(self) -> None:
        """Fill the caches on disk that rows share."""
        for split in SPLITS:
            self.image.cached(split)

    @cached_property
    def contents(self) -> dict[str, str]:
        """What stands behind the names: the data themselves, and the weights that features come from."""
        return {"fingerprint": self.source.dataset.fingerprint(), "weights": self.image.digest}

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        images = " / ".join(f"{self.splits[split].n_images:,}" for split in SPLITS)
        return {"images: train / validation / test": images} | self.text.facts()


@lru_cache(maxsize=16)
def _inputs(*parts: Any) -> Inputs:
    return Inputs(*parts)


def inputs_of(experiment: Experiment, places: Places) -> Inputs:
    """The inputs of an experiment, one copy per process."""
    return _inputs(experiment.data, experiment.image, experiment.text, experiment.precision, places)


@dataclass(frozen=True)
class Row:
    """An experiment that is to be run: of which paper, under which name, in which places.

    ``starts``: the rows of ``experiment.start``; ``profile``: said in its provenance.
    """

    paper: str
    slug: str
    experiment: Experiment
    places: Places
    profile: str = ""
    starts: tuple[Row, ...] = ()

    @property
    def inputs(self) -> Inputs:
        """What it reads."""
        return inputs_of(self.experiment, self.places)

    def config(self) -> dict[str, Any]:
        """All that determines the numbers: values, and the contents behind names; a run's hash is of it."""
        return plain(self.experiment) | self.inputs.contents


def untrained(experiment: Experiment, inputs: Inputs) -> nn.Module:
    """Network and loss as the training starts."""
    _ = inputs.image.dim, inputs.text.width  # what is built on the way draws random numbers
    torch.manual_seed(experiment.seed)
    return experiment.loss.build(experiment.network.build(inputs), inputs)


def compute(row: Row, run: Run) -> None:
    """Everything a run holds; metrics come last."""
    began, label = time.perf_counter(), f"{row.slug}, seed {row.experiment.seed}"
    experiment, inputs, fabric = row.experiment, row.inputs, make_fabric(row.places.device)
    objective = untrained(experiment, inputs)
    batches = experiment.loss.batches(inputs, experiment.recipe, experiment.seed)
    curves = fit(fabric, objective, experiment.recipe, batches, run.dir, experiment.seed, label)
    run.save_table("curves.csv", curves)
    run.save_tensors(MODEL, objective.net.state_dict())
    inputs.text.save(run)
    announce(f"{label}: evaluating")
    metrics: dict[str, Any] = {}
    for split in ("val", "test"):
        rows = embedded(objective.net.eval(), inputs, split, fabric)
        metrics |= evaluate_split(inputs.splits[split], split, *rows, run)
    about = {"dataset": experiment.data.dataset, "profile": row.profile, "seed": experiment.seed}
    run.save_json("source.json", asdict(row.places))
    run.save_json("provenance.json", provenance(row.places.device, time.perf_counter() - began, **about))
    run.save_json("metrics.json", metrics)
    (run.dir / "checkpoint.pt").unlink(missing_ok=True)


def embedded(net: nn.Module, inputs: Inputs, split: str, fabric: Any) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of a split, images ``(N, D)`` and captions ``(M, D)``."""
    images = in_blocks(net.embed_images, inputs.image.test(split), fabric, BLOCK)
    return images, in_blocks(net.embed_captions, inputs.text.test(split), fabric, BLOCK)


@lru_cache(maxsize=8)
def before_training(experiment: Experiment, places: Places) -> dict[str, np.ndarray]:
    """Test embeddings of the network as its training starts."""
    inputs, fabric = inputs_of(experiment, places), make_fabric(places.device)
    with working_precision(experiment.precision):
        net = fabric.to_device(untrained(experiment, inputs).net).eval()
        return dict(zip(("images", "captions"), embedded(net, inputs, "test", fabric), strict=True))


def evaluate_split(
    dataset: Dataset, split: str, images: np.ndarray, captions: np.ndarray, run: Run
) -> dict[str, dict[str, float]]:
    """Keep embeddings ``(N, D)``, ``(M, D)`` and ranks of a split in the run; its metrics by name.

    Beside ``split`` itself there is ``<split>_folds``: the mean over five consecutive fifths of the images,
    as COCO's 1K protocol has it, or the whole where the images do not divide by five.
    """
    owners, groups = dataset.image_of_caption, dataset.group_of_image
    run.save_arrays(f"embeddings-{split}.npz", images=images, captions=captions, image_of_caption=owners)
    whole = folds = evaluate(images, captions, owners, group_of_image=groups)
    if has_folds(dataset):
        folds = evaluate(images, captions, owners, folds=FOLDS)
    for name, found in ((split, whole), (f"{split}_folds", folds)):
        ranks = {"image_query": found.image_query_ranks, "text_query": found.text_query_ranks}
        run.save_arrays(f"ranks-{name}.npz", **ranks)
    return {split: whole.row(), f"{split}_folds": folds.row()}


def has_folds(dataset: Dataset) -> bool:
    """Whether the images of a split divide into fifths, and no group has several."""
    return len(np.unique(dataset.group_of_image)) == dataset.n_images and dataset.n_images % FOLDS == 0


@torch.no_grad()
def in_blocks(embed: Callable[..., torch.Tensor], rows: Any, fabric: Any, block: int = 4096) -> np.ndarray:
    """Rows, dense or sparse, codes or pixels through one side of a network; the outcome is float32."""
    parts = []
    for begin in range(0, rows.shape[0], block):
        part = rows[begin : begin + block]
        dense = part.toarray() if sparse.issparse(part) else np.array(part)
        given = torch.from_numpy(dense)
        given = given if dense.dtype.kind in "iu" else given.to(torch.get_default_dtype())
        parts.append(embed(fabric.to_device(given)).float().cpu())
    return torch.cat(parts).numpy()
