"""Eq. 1 alone: what the embeddings do, step by step, where nothing keeps classes apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count, islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from imtext.precision import working_precision
from imtext.progress import announce
from imtext.studies.single_data import SingleData
from imtext.studies.single_experiment import SingleExperiment
from imtext.threads import torch_threads
from imtext.training import MixedBatches, SingleObjective, make_fabric

GROUPS, BATCH = 40, 10  # so few that a softmax tells them apart within some steps
RUNS = {"softmax + centre loss": True, "centre loss alone": False}


def collapse(row: SingleExperiment, steps: int, lr: float) -> pd.DataFrame:
    """Two trainings from one start on the same batches, with a softmax beside the centre loss and without.

    Forty training groups, ten in a batch; Adam, at a rate larger than a row's, so that few ``steps`` are
    enough: alone, the embeddings need about 2 / lr steps to draw together. On a CPU with one thread.

    Returns:
        A line a step: run, step, loss, spread and directions, see
        :class:`imtext.training.SingleObjective`.
    """
    lines = []
    for name, softmax in RUNS.items():
        announce(name)
        with torch_threads(1), working_precision(row.data.precision):
            found = _training(row, softmax, steps, lr)
        lines += [{"run": name, "step": step, **numbers} for step, numbers in enumerate(found, 1)]
    return pd.DataFrame(lines)


def _training(row: SingleExperiment, softmax: bool, steps: int, lr: float) -> list[dict[str, float]]:
    """Loss, spread and directions, step by step."""
    fabric, batches = make_fabric(row.device), _few_groups(row.inputs(), row.seed)
    objective = SingleObjective(row.network(), batches.n_classes, row.weight, softmax)
    torch.manual_seed(row.seed)  # the softmax has drawn its weights, and dropout is to be the same
    model, optimizer = fabric.setup(objective, torch.optim.Adam(objective.parameters(), lr))
    model.train()
    endless, numbers = chain.from_iterable(batches(epoch) for epoch in count()), []
    for batch in islice(endless, steps):
        found = model(fabric.to_device(batch))
        optimizer.zero_grad()
        fabric.backward(found["loss"])
        optimizer.step()
        numbers.append({key: float(found[key].detach()) for key in ("loss", "spread", "directions")})
    return numbers


def _few_groups(inputs: SingleData, seed: int) -> MixedBatches:
    """Batches of the first training groups."""
    train = inputs.prepared.splits["train"]
    groups = np.unique(train.group_of_image)[:GROUPS]
    images = np.flatnonzero(np.isin(train.group_of_image, groups))
    sentences = np.flatnonzero(np.isin(train.group_of_sentence, groups))
    store, texts = inputs.prepared.store("train"), inputs.texts("train")
    return MixedBatches(
        _Some(lambda rows, _: store.batch(rows), images),
        _Some(texts.take, sentences),
        np.searchsorted(groups, train.group_of_image[images]),
        np.searchsorted(groups, train.group_of_sentence[sentences]),
        batch_size=BATCH,
        seed=seed,
        slack=inputs.drawing.slack,
    )


class _Some:
    """Some rows of what draws pictures."""

    def __init__(self, draw: Callable[..., Tensor], rows: np.ndarray) -> None:
        self.draw, self.rows = draw, rows

    def take(self, indices: np.ndarray, how: Any = None) -> Tensor:
        """Pictures of the rows with these indices; ``how``: a generator, or offsets."""
        return self.draw(self.rows[indices], how)


__all__ = ["RUNS", "collapse"]
