"""How long a training step and the scoring of a test set take (Fu et al., Table V)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch

from imtext.progress import announce
from imtext.studies.hinge_row import BATCH
from imtext.studies.rich_data import RichData
from imtext.studies.rich_experiment import RichExperiment, ScanExperiment, score_all
from imtext.studies.trained import in_blocks
from imtext.training import make_fabric

# "the average time of four approaches" for both kinds of attention (section IV-C).
FOUR = ("ti-lse", "ti-avg", "it-lse", "it-avg")
ROWS = {
    "vse": ("vse",),
    "vse_rfe": ("avg-4-max-1234",),
    "scan": tuple(f"scan-{kind}" for kind in FOUR),
    "scan_rfe": tuple(f"scan-rfe-{kind}" for kind in FOUR),
}


def timing_runs(
    experiments: Mapping[str, Any], rich: RichData, runs: int, steps: int, images: int
) -> dict[str, dict[str, np.ndarray]]:
    """Seconds of a training step and of scoring, for every row of Table V and every run.

    A run is the mean over ``steps`` steps of forward, backward and optimiser, batches made beforehand
    (paper: ten runs of ten steps); scoring embeds the first ``images`` test images and their captions and
    scores all pairs (paper: 1,000). Networks are those of the rows, with random weights, on fixed features.
    The models take turns within a run, so that a disturbance does not fall on one of them alone.

    Returns:
        ``{row: {"train": (runs,), "test": (runs,)}}``, float64, seconds; a row whose image features the
        dataset does not have is left out.
    """
    names = [name for names in ROWS.values() for name in names]
    timed = {}
    for name in names:
        row = experiments[name]
        if rich.precomputed and isinstance(row, RichExperiment) and row.image != "avg-4":
            continue
        announce(f"timing: {name}")
        timed[name] = _Timed(row, rich, steps, images)
    seconds = {name: {"train": [], "test": []} for name in timed}
    for _ in range(runs):
        for name, one in timed.items():
            seconds[name]["train"].append(one.train() / steps)
            seconds[name]["test"].append(one.test())
    return {
        row: {what: np.mean([seconds[name][what] for name in names], axis=0) for what in ("train", "test")}
        for row, names in ROWS.items()
        if all(name in seconds for name in names)
    }


def timing_table(runs: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Table V: mean and standard deviation over the runs, by the paper's row ids."""
    lines = {}
    for row, seconds in runs.items():
        lines[row] = {}
        for what, values in seconds.items():
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
            lines[row] |= {f"{what}_seconds": float(values.mean()), f"{what}_seconds_spread": spread}
    return pd.DataFrame.from_dict(lines, orient="index")


class _Timed:
    """One row's network, its batches and its test set, warmed up."""

    def __init__(self, row: RichExperiment | ScanExperiment, rich: RichData, steps: int, images: int) -> None:
        self.row, self.rich = row, rich
        self.fabric = make_fabric(row.device)
        attention = isinstance(row, ScanExperiment)
        source = rich.region_source() if attention else rich.image_source(row.image)
        self.objective = row.objective(row.network(rich))
        optimizer = row.recipe.optimizer(self.objective)
        self.model, self.optimizer = self.fabric.setup(self.objective, optimizer)
        made = row.batches(rich, source, row.recipe)
        found = [self.fabric.to_device(batch) for batch in islice(made(0), steps)]
        self.batches = [found[step % len(found)] for step in range(steps)]
        test = rich.prepared.splits["test"]
        self.codes = rich.codes("test")[0][test.image_of_caption < images]
        self.images = (rich.regions("test") if attention else rich.images("test", row.image))[:images]
        self.train()
        self.test()

    def train(self) -> float:
        """Seconds of all steps."""
        self.model.train()
        return self._seconds(self._steps)

    def _steps(self) -> None:
        for batch in self.batches:
            loss = self.model(batch)["loss"]
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.optimizer.step()

    def test(self) -> float:
        """Seconds of embedding and scoring."""
        net = self.objective.net.eval()
        if isinstance(self.row, ScanExperiment):
            return self._seconds(lambda: score_all(net, self.images, self.codes, self.fabric))
        return self._seconds(
            lambda: (
                in_blocks(net.embed_images, self.images, self.fabric, BATCH)
                @ in_blocks(net.embed_captions, self.codes, self.fabric, BATCH).T
            )
        )

    def _seconds(self, work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began
