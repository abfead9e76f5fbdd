"""The Intra-Modal Constraint loss with L1 distances against ``torch.cdist`` alone and the N x N x D form.

``python benchmarks/intra_modal.py [--batch 128] [--dim 1024]``: forward and backward of everything, in turn,
in one process: ``torch.cdist(p=1)`` of one modality and of both, the constraint with all differences held at
once, the constraint as the library computes it, the whole loss (hinges and the constraint of both).
``--clock cpu`` counts processor time, for a machine that does something else beside.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from imtext.losses.intra_modal import (
    constraint_of_distances,
    intra_modal_constraint,
    intra_modal_loss,
    pair_distances,
)

READING = "released_distance"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def cdist(*modalities: Tensor) -> None:
    """The distances alone, with a gradient for each of them."""
    for rows in modalities:
        rows = rows.detach().requires_grad_()
        torch.cdist(rows, rows, p=1).sum().backward()


def differences(rows: Tensor) -> Tensor:
    """The constraint over an N x N x D tensor."""
    rows = F.normalize(rows.detach().requires_grad_(), dim=1)
    loss = constraint_of_distances((rows[:, None] - rows[None, :]).abs().sum(2), READING)
    loss.backward()
    return loss.detach()


def constraint(rows: Tensor) -> Tensor:
    """The constraint of one modality as the library computes it."""
    loss = intra_modal_constraint(rows.detach().requires_grad_(), "l1", READING)
    loss.backward()
    return loss.detach()


def loss(images: Tensor, captions: Tensor) -> None:
    """Eq. 3: the hinges and both constraints."""
    images, captions = images.detach().requires_grad_(), captions.detach().requires_grad_()
    intra_modal_loss(images, captions, distance="l1", reading=READING).backward()


def seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    run()
    return clock() - began


def ratio(a: list[float], b: list[float]) -> str:
    """The median of the ratios and their range."""
    ratios = sorted(x / y for x, y in zip(a, b, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def main() -> None:
    """Print medians of several rounds, the ratios and how far both forms differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    centres = torch.randn(chosen.batch, chosen.dim)
    images, captions = (centres + torch.randn(chosen.batch, chosen.dim) for _ in range(2))
    runs = {
        "cdist, one modality": partial(cdist, F.normalize(images, dim=1)),
        "cdist, both": partial(cdist, F.normalize(images, dim=1), F.normalize(captions, dim=1)),
        "all differences, one": partial(differences, images),
        "constraint, one": partial(constraint, images),
        "the whole loss": partial(loss, images, captions),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(chosen.rounds + 1):  # in turn, so that all see the same machine
        for name, run in runs.items():
            times[name].append(seconds(run, CLOCKS[chosen.clock]))
    times = {name: spent[1:] for name, spent in times.items()}
    limit = times["cdist, one modality"]
    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"a batch of {chosen.batch:,}, D = {chosen.dim:,}, L1, forward + backward, {chosen.clock} time")
    for name, spent in times.items():
        print(
            f"  {name:22} {1e3 * statistics.median(spent):8.1f} ms, {ratio(spent, limit)} times cdist of one"
        )
    apart = (constraint(images) - differences(images)).abs()
    print(f"constraint by both forms: {constraint(images):.6f}, apart {apart:.1e}")
    both = [pair_distances(images, "l1"), torch.cdist(*[F.normalize(images, dim=1)] * 2, p=1)]
    print(f"largest difference from cdist: {(both[0] - both[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
