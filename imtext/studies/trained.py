"""What the runs of several papers have in common: train, embed in blocks, evaluate, write down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import nn

from imtext.experiment.compute import MODEL, in_blocks
from imtext.progress import announce
from imtext.runs import Run, provenance
from imtext.training import fit


def finish(row: Any, run: Run, evaluated: Callable[[str], dict[str, dict[str, float]]], began: float) -> None:
    """Evaluate a trained row on validation and test, and finish its run; ``evaluated`` gives the metrics."""
    run.save_json("source.json", asdict(row.data))
    announce(f"{row.slug}, seed {row.seed}: evaluating")
    metrics = {}
    for split in ("val", "test"):
        metrics |= evaluated(split)
    about = {"dataset": row.data.dataset, "profile": row.profile, "seed": row.seed}
    run.save_json("provenance.json", provenance(row.device, time.perf_counter() - began, **about))
    run.save_json("metrics.json", metrics)
    (run.dir / "checkpoint.pt").unlink(missing_ok=True)


def train(row: Any, objective: nn.Module, batches: Any, fabric: Any, run: Run) -> nn.Module:
    """The trained network of a row, ready to embed; its curves and weights are kept in the run."""
    label = f"{row.slug}, seed {row.seed}"
    curves = fit(fabric, objective, row.recipe, batches, run.dir, row.seed, label)
    run.save_table("curves.csv", curves)
    run.save_tensors(MODEL, objective.net.state_dict())
    return objective.net.eval()


__all__ = ["MODEL", "finish", "in_blocks", "train"]
