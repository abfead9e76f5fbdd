"""Eq. 1 alone: what the embeddings do, step by step, where nothing keeps classes apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, count, islice

import pandas as pd
import torch

from imtext.progress import announce
from imtext.studies.single_experiment import SingleExperiment
from imtext.training import SingleObjective, make_fabric

RUNS = {"softmax + centre loss": True, "centre loss alone": False}


def collapse(row: SingleExperiment, steps: int, lr: float, groups: int = 10) -> pd.DataFrame:
    """Two trainings from one start on the same batches, with a softmax beside the centre loss and without.

    Adam; ``lr`` is larger than a row's, so that few ``steps`` are enough: alone, the embeddings need about
    2 / lr steps to draw together. ``groups`` in a batch.

    Returns:
        A line a step: run, step, loss, spread and directions, see
        :class:`imtext.training.SingleObjective`.
    """
    row = replace(row, recipe=replace(row.recipe, batch_size=groups))
    lines = []
    for name, softmax in RUNS.items():
        announce(name)
        fabric, batches = make_fabric(row.device), row.batches(row.inputs())
        objective = SingleObjective(row.network(), batches.n_classes, row.weight, softmax)
        torch.manual_seed(row.seed)  # the softmax has drawn its weights, and dropout is to be the same
        model, optimizer = fabric.setup(objective, torch.optim.Adam(objective.parameters(), lr))
        model.train()
        endless = chain.from_iterable(batches(epoch) for epoch in count())
        for step, batch in enumerate(islice(endless, steps), 1):
            found = model(fabric.to_device(batch))
            optimizer.zero_grad()
            fabric.backward(found["loss"])
            optimizer.step()
            numbers = {key: float(found[key].detach()) for key in ("loss", "spread", "directions")}
            lines.append({"run": name, "step": step, **numbers})
    return pd.DataFrame(lines)


__all__ = ["RUNS", "collapse"]
