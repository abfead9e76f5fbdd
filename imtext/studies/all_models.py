"""One trained model of each paper on one test split, for measures that compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imtext.experiment.parameters import Parameters
from imtext.retrieval import Graded, graded, mean_cosines
from imtext.runs import Run
from imtext.studies.intra_row import intra_row
from imtext.studies.running import Row


@dataclass(frozen=True)
class Model:
    """A row of a study that stands for it.

    Attributes:
        name: as figures show it.
        paper: name of the study.
        table: a table that holds the row, so that the study prepares no more than it needs; slug: of the row.
    """

    name: str
    paper: str
    table: str
    slug: str


# One or more rows of every paper, of those that train on fixed features in minutes.
MODELS = (
    Model("Instance loss", "instance_loss", "6", "instance-1"),
    Model("Structure-preserving", "structure_preserving", "1", "fv-nonlinear-bi-structure"),
    Model("CCA", "structure_preserving", "1", "cca-fv"),
    Model("VSE++", "rich_features", "8", "vse"),
    Model("Rich text", "rich_features", "8", "gru-emb-avg"),
    Model("SCAN", "rich_features", "4", "scan-it-lse"),
    Model("Intra-modal", "intra_modal", "2", "l1"),
)


def rows_of_models(parameters: Parameters, seed: int) -> dict[str, Row]:
    """The rows of ``MODELS`` by name, for the same dataset, profile, device and run store."""
    found: dict[str, Row] = {}
    for model in MODELS:
        if model.paper == "intra_modal":
            found[model.name] = intra_row(parameters, seed)
            continue
        study = _study(model.paper)(
            dataset=parameters.dataset,
            data_root=parameters.data_root,
            profile=parameters.profile,
            seeds=[seed],
            device=parameters.device,
            runs_dir=str(parameters.runs_dir),
            tables=model.table,
        )
        found[model.name] = study.experiments(seed)[model.slug]
    return found


def scores_of(run: Run, split: str = "test") -> np.ndarray:
    """Scores ``(N, M)`` of a finished run: as they were kept, or the cosines of its embeddings."""
    if (run.dir / f"scores-{split}.npz").is_file():
        return run.load_arrays(f"scores-{split}.npz")["scores"]
    arrays = run.load_arrays(f"embeddings-{split}.npz")
    return arrays["images"] @ arrays["sentences"].T


def measured(
    runs: dict[str, Run], image_of_sentence: np.ndarray, groups: np.ndarray, relevance: Any, threshold: float
) -> dict[str, Graded]:
    """Plain, semantic and graded measures of every model on the test split."""
    return {
        name: graded(scores_of(run), image_of_sentence, relevance, threshold, groups)
        for name, run in runs.items()
    }


def _study(paper: str) -> Any:
    """The study of a paper; imported when asked for, so that one notebook does not load all."""
    from importlib import import_module

    names = {
        "instance_loss": "InstanceLossStudy",
        "structure_preserving": "StructureStudy",
        "rich_features": "RichStudy",
    }
    return getattr(import_module(f"imtext.studies.{paper}"), names[paper])


__all__ = ["MODELS", "Model", "measured", "mean_cosines", "rows_of_models", "scores_of"]
