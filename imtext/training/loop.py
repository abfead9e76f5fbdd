"""The training loop: short, resumable, the same for every paper."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from imtext.errors import TrainingError
from imtext.files import atomic, told
from imtext.progress import announce
from imtext.training.device import Fabric, synchronise_norms
from imtext.training.recipe import Recipe

CHECKPOINT = "checkpoint.pt"
# Seconds of training that a kill may cost, beside the epoch it falls into.
KEEP_EVERY = 60.0
# Steps on a GPU before their losses are looked at: reading one waits for the device.
LOOK_EVERY = {"cuda": 10}
Batch = dict[str, Any]


def fit(
    fabric: Fabric,
    objective: nn.Module,
    recipe: Recipe,
    batches: Callable[[int], Iterable[Batch]],
    folder: Path,
    seed: int = 0,
    label: str = "training",
    validate: Callable[[int], dict[str, float]] = lambda epoch: {},
) -> pd.DataFrame:
    """Train ``objective`` and return its curves, one row an epoch.

    A checkpoint is kept after an epoch, at most one a minute, and every random number depends on (seed,
    epoch) alone: a run that was broken off goes on from there and ends with the numbers of one that was not.

    Args:
        fabric: device and precision.
        objective: module from a batch to ``{"loss": scalar, ...}``; ``fabric`` and ``epoch`` of it are set.
        recipe: optimiser, rates, epochs.
        batches: from an epoch's number to its batches; their ``len``, if they have one, lets the rate change
            within an epoch.
        folder: where ``checkpoint.pt`` is kept.
        seed: of dropout and whatever else draws inside the network.
        label: name on the progress line.
        validate: from the number of epochs that are done to what else the curves are to say of the last one;
            it draws no random numbers and leaves the weights alone.

    Returns:
        Curves: ``epoch``, ``loss`` and whatever else the objective reports, means over the epoch.

    Raises:
        TrainingError: where the loss or its gradient is not finite; the last checkpoint stays.
    """
    objective.fabric = fabric
    synchronise_norms(fabric, objective)
    for part in objective.net.children() if recipe.compiled else ():
        if not any(isinstance(one, nn.RNNBase) for one in part.modules()):  # which PyTorch cannot compile
            part.compile()
    model, optimizer = fabric.setup(objective, recipe.optimizer(objective))
    path = folder / CHECKPOINT
    start, curves = _resume(fabric, model, optimizer, path)
    kept = time.monotonic()
    for epoch in range(start, recipe.epochs):
        # Each of several processes drops other numbers out; a rank of 0 leaves the seed as it is.
        words = [seed, epoch, fabric.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        objective.epoch = epoch
        model.train()
        totals: dict[str, Tensor] = {}
        recent: list[tuple[int, Any, Tensor]] = []
        made, count = batches(epoch), 0
        steps = length_hint(made)
        for count, batch in enumerate(_ahead(made), start=1):
            batch = fabric.to_device(batch)
            factor = recipe.rate(epoch + (count - 1) / steps if steps else epoch)
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            out = model(batch)
            optimizer.zero_grad()
            fabric.backward(out["loss"])
            watched = out["loss"].detach()
            if recipe.clip is not None:
                # What is not finite is said below, in one line and without waiting for the GPU.
                norm = fabric.clip_gradients(model, optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
                watched = watched + norm
            recent.append((count, batch.get("captions"), watched))
            if count % LOOK_EVERY.get(fabric.device.type, 1) == 0:
                _expect_finite(recent, label, epoch)
            optimizer.step()
            for name, value in out.items():
                totals[name] = totals.get(name, 0.0) + value.detach()
        if not count:
            raise TrainingError(f"{label}: no batch to train on; give more groups or a smaller batch_size")
        _expect_finite(recent, label, epoch)
        means = {name: float(total) / count for name, total in totals.items()}
        curves.append({"epoch": epoch + 1, **means, **validate(epoch + 1)})
        if time.monotonic() - kept >= KEEP_EVERY and fabric.is_global_zero:
            _keep(model, optimizer, path, epoch + 1, curves)
            kept = time.monotonic()
        announce(f"{label}: epoch {epoch + 1} of {recipe.epochs}, loss {means['loss']:.3f}")
    return pd.DataFrame(curves)


def _ahead(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, each made while the one before is used."""
    made = iter(batches)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, made, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, made, None)
            yield batch


def _expect_finite(recent: list[tuple[int, Any, Tensor]], label: str, epoch: int) -> None:
    """Forget recent steps, each with its captions and its loss, to which the norm of a gradient is added.

    Raises TrainingError, which names the first step where that is not finite.
    """
    for step, captions, watched in recent:
        if not watched.isfinite():
            which = "" if captions is None else f" (training captions such as {captions[:4].tolist()})"
            raise TrainingError(
                f"{label}: the loss or its gradient is not finite in epoch {epoch + 1}, "
                f"batch {step}{which}; try a lower learning rate, or look at that batch"
            )
    recent.clear()


def _keep(model: nn.Module, optimizer: Any, path: Path, epoch: int, curves: list[Any]) -> None:
    """Checkpoint, whole or not at all."""
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    # A RuntimeError is what torch makes of a full disk.
    with atomic(path, TrainingError) as temporary, told(path, TrainingError, RuntimeError):
        torch.save({**parts, "epoch": epoch, "curves": curves}, temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())  # else a power cut may leave an empty file under the final name


def _resume(fabric: Fabric, model: nn.Module, optimizer: Any, path: Path) -> tuple[int, list[Any]]:
    """Epoch to go on from and the curves so far; (0, []) where there is no checkpoint."""
    if not path.is_file():
        return 0, []
    with told(path, TrainingError, Exception, "no checkpoint of this run ({}); remove it to start again"):
        state = torch.load(path, map_location=fabric.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"]), list(state["curves"])
