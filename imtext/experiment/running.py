"""Rows become runs: returned where finished, resumed where broken off, side by side."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import joblib
import torch
from filelock import AcquireReturnProxy, FileLock, Timeout

from imtext.experiment.compute import Row, compute
from imtext.precision import working_precision
from imtext.runs import Run, RunStore
from imtext.threads import torch_threads

BYTES_OF_A_ROW = 3 * 2**30


def run_one(row: Row, runs_dir: str | Path, jobs: int = 1) -> Run:
    """The finished run of a row: returned if it is there, resumed if it broke off, else computed.

    One thread a row: sums of several differ in their last digits, and rows side by side use cores better.

    Args:
        row: with what it starts from; runs_dir: the run store's root.
        jobs: how many rows all processes on this folder together train at a time.

    Raises:
        RunError, TrainingError, DataError: as their messages say.
    """
    store, config = RunStore(runs_dir), row.config()
    if done := store.get(row.paper, row.slug, config):
        return done
    starts = [run_one(start, runs_dir, jobs) for start in row.starts]
    threads = 1 if row.places.device == "cpu" else torch.get_num_threads()
    exact = working_precision(row.experiment.precision)
    with store.open(row.paper, row.slug, config) as run, torch_threads(threads), exact:
        if not run.finished:
            with _slot(Path(runs_dir) / "cache" / "slots", jobs):
                compute(row, run, starts)
    return run


def run_all(rows: Sequence[Row], runs_dir: str | Path, jobs: int = 1) -> list[Run]:
    """Runs of several rows, those that others start from first; what stops one row is raised."""
    store, waiting = RunStore(runs_dir), list(dict.fromkeys(rows))
    waiting = [row for row in waiting if store.get(row.paper, row.slug, row.config()) is None]
    for inputs in dict.fromkeys(row.inputs for row in waiting):
        inputs.prepare()
    first = list(dict.fromkeys(start for row in waiting for start in row.starts))
    if first:
        run_all(first, runs_dir, jobs)
    if min(jobs, len(waiting)) > 1:
        work = (joblib.delayed(run_one)(row, str(runs_dir), jobs) for row in waiting)
        with warnings.catch_warnings():
            # joblib replaces a worker that has grown; the row it was given is not lost.
            warnings.filterwarnings("ignore", message="A worker stopped")
            joblib.Parallel(n_jobs=min(jobs, len(waiting)))(work)
    return [run_one(row, runs_dir, jobs) for row in rows]


def jobs_here(jobs: int | str, profile: str, device: str) -> int:
    """Rows side by side; ``"auto"`` is one on a GPU and in ``smoke``, whose rows take less than a start.

    >>> jobs_here("auto", "quick", "cuda"), jobs_here(3, "smoke", "cpu")
    (1, 3)
    """
    if jobs != "auto":
        return int(jobs)
    if device != "cpu" or profile == "smoke":
        return 1
    cores = joblib.cpu_count()
    if hasattr(os, "sysconf"):  # not on Windows
        cores = min(cores, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // BYTES_OF_A_ROW)
    return max(1, cores)


def _slot(folder: Path, jobs: int) -> AcquireReturnProxy:
    """One of so many places, which all processes that train into the same runs share, held as a context."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in cycle(range(jobs)):
        with suppress(Timeout):
            return FileLock(folder / f"{number}.lock").acquire(timeout=0.1)
