"""An experiment becomes a run, one way for all: train, embed, evaluate, write down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from imtext.data.schema import Dataset
from imtext.errors import RunError
from imtext.experiment.experiment import Experiment, plain
from imtext.experiment.source import SPLITS, Places, source_of
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.retrieval import Evaluation, evaluate, evaluate_scores
from imtext.runs import Run, provenance
from imtext.training import fit, make_fabric

MODEL, FOLDS = "model.safetensors", 5
Metrics = dict[str, dict[str, float]]


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


def compute(row: Row, run: Run, starts: Sequence[Run] = ()) -> None:
    """Everything a run holds; metrics come last. ``starts``: finished runs of the rows it goes on from."""
    began, label = time.perf_counter(), f"{row.slug}, seed {row.experiment.seed}"
    evaluated = row.experiment.network.compute(row, run, starts)
    announce(f"{label}: evaluating")
    metrics = evaluated("val") | evaluated("test")
    about = {"dataset": row.experiment.data.dataset, "profile": row.profile, "seed": row.experiment.seed}
    run.save_json("source.json", asdict(row.places))
    run.save_json("provenance.json", provenance(row.places.device, time.perf_counter() - began, **about))
    run.save_json("metrics.json", metrics)
    (run.dir / "checkpoint.pt").unlink(missing_ok=True)


def trained(row: Row, run: Run, starts: Sequence[Run]) -> tuple[nn.Module, Any]:
    """The trained network of a row, ready to embed, and its fabric; the run keeps curves, weights and words.

    It begins with the weights of the run that it goes on from, if there is one.
    """
    experiment, inputs, fabric = row.experiment, row.inputs, make_fabric(row.places.device)
    objective = untrained(experiment, inputs)
    for start in starts:
        load_weights(objective, start.dir / MODEL, new="net.backbone.")
    objective = fabric.to_device(objective)
    if fabric.device.type == "cuda" and inputs.image.trains_cnn:
        objective = objective.to(memory_format=torch.channels_last)
    batches = experiment.loss.batches(inputs, experiment.recipe, experiment.seed, objective.net)
    label = f"{row.slug}, seed {experiment.seed}"
    with inputs.image.training(objective.net):
        curves = fit(fabric, objective, experiment.recipe, batches, run.dir, experiment.seed, label)
    run.save_table("curves.csv", curves)
    run.save_tensors(MODEL, objective.state_dict())
    inputs.text.save(run)
    return faster(objective.net.eval()), fabric


def faster(net: nn.Module) -> nn.Module:
    """A trained network with the batch norms of its image CNN, if it has one, folded into convolutions."""
    if getattr(net, "backbone", None) is not None:
        net.backbone = net.backbone.fused()
    return net


def load_net(net: nn.Module, path: Path) -> None:
    """Load the weights of a network that a run has written; RunError for a missing or foreign file."""
    load_weights(nn.ModuleDict({"net": net}), path, others=False)


def load_weights(objective: nn.Module, path: Path, new: str = "", others: bool = True) -> None:
    """Load the weights that a run has written, of network and loss.

    Args:
        objective: the loss with its network; path: of the file.
        new: what begins so may be missing there; others: whether it may hold no other than these.

    Raises:
        RunError: a missing or foreign file.
    """
    from safetensors.torch import load_file

    try:
        kept = load_file(path)
        kept = kept if others else {name: part for name, part in kept.items() if name.startswith("net.")}
        missing, foreign = objective.load_state_dict(kept, strict=not new)
    except Exception as error:  # safetensors and torch raise almost anything
        raise RunError(f"{path}: expected the weights of a run, found {error}; train it again") from None
    foreign = [name for name in missing if not name.startswith(new)] + list(foreign)
    if foreign:
        raise RunError(f"{path}: weights of another network ({foreign[0]} does not fit); train it again")


def embedded(net: nn.Module, inputs: Inputs, split: str, fabric: Any) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of a split, images ``(N, D)`` and captions ``(M, D)``."""
    images = in_blocks(net.embed_images, inputs.image.test(split), fabric, inputs.image.block)
    return images, in_blocks(net.embed_captions, inputs.text.test(split), fabric, inputs.image.block)


@lru_cache(maxsize=8)
def before_training(experiment: Experiment, places: Places) -> dict[str, np.ndarray]:
    """Test embeddings of the network as its training starts."""
    inputs, fabric = inputs_of(experiment, places), make_fabric(places.device)
    with working_precision(experiment.precision):
        net = fabric.to_device(untrained(experiment, inputs).net).eval()
        return dict(zip(("images", "captions"), embedded(net, inputs, "test", fabric), strict=True))


def evaluate_split(
    dataset: Dataset, split: str, images: np.ndarray, captions: np.ndarray, run: Run
) -> Metrics:
    """Keep embeddings ``(N, D)``, ``(M, D)`` and ranks of a split in the run; its metrics by name.

    Beside ``split`` itself there is ``<split>_folds``: the mean over five consecutive fifths of the images,
    as COCO's 1K protocol has it, or the whole where the images do not divide by five.
    """
    owners, groups = dataset.image_of_caption, dataset.group_of_image
    run.save_arrays(f"embeddings-{split}.npz", images=images, captions=captions, image_of_caption=owners)
    whole = folds = evaluate(images, captions, owners, group_of_image=groups)
    if has_folds(dataset):
        folds = evaluate(images, captions, owners, folds=FOLDS)
    return _kept(split, whole, folds, run)


def evaluate_pairs(
    dataset: Dataset, split: str, scores: np.ndarray, run: Run, folds: Evaluation | None = None
) -> Metrics:
    """The same for scores ``(N, M)`` of a split; ``folds``: where its fifths have scores of their own."""
    owners, groups = dataset.image_of_caption, dataset.group_of_image
    run.save_arrays(f"scores-{split}.npz", scores=scores, image_of_caption=owners)
    whole = evaluate_scores(scores, owners, group_of_image=groups)
    if folds is None:
        folds = evaluate_scores(scores, owners, folds=FOLDS) if has_folds(dataset) else whole
    return _kept(split, whole, folds, run)


def _kept(split: str, whole: Evaluation, folds: Evaluation, run: Run) -> Metrics:
    for name, found in ((split, whole), (f"{split}_folds", folds)):
        ranks = {"image_query": found.image_query_ranks, "text_query": found.text_query_ranks}
        run.save_arrays(f"ranks-{name}.npz", **ranks)
    return {split: whole.row(), f"{split}_folds": folds.row()}


def scores_of(run: Run, split: str = "test") -> np.ndarray:
    """Scores ``(N, M)`` of a finished run: as they were kept, or the cosines of its embeddings."""
    if (run.dir / f"scores-{split}.npz").is_file():
        return run.load_arrays(f"scores-{split}.npz")["scores"]
    arrays = run.load_arrays(f"embeddings-{split}.npz")
    return unit(arrays["images"]) @ unit(arrays["captions"]).T


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


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
