"""Rows of tables become runs: returned where finished, resumed where broken off, side by side."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
import torch

from imtext.precision import working_precision
from imtext.runs import Run, RunStore
from imtext.threads import torch_threads


class Row(Protocol):
    """One row of one table for one seed, as a frozen dataclass."""

    slug: str
    device: str

    @property
    def data(self) -> Any:
        """What it reads, and in which ``precision`` it computes."""

    @property
    def study(self) -> str:
        """Folder of the study's runs."""

    @property
    def start(self) -> Any:
        """The row that this one goes on from, several as a tuple, or None."""

    @property
    def effort(self) -> Any:
        """Anything that sorts: rows that take longer are larger, and are begun first."""

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""

    def warm(self) -> None:
        """Fill the caches that rows share."""

    def compute(self, run: Run, start: Any) -> None:
        """Train, evaluate, and write ``metrics.json`` last; ``start``: the run or runs of ``start``."""


R = TypeVar("R", bound=Row)


def run_one(row: R, runs_dir: str | Path, threads: int = 1) -> Run:
    """The finished run of a row: returned if it is there, resumed if it broke off, else computed.

    Args:
        row: an experiment.
        runs_dir: the run store's root.
        threads: CPU threads; fixed, since sums depend on it in their last digits.

    Raises:
        RunError, TrainingError, DataError: as their messages say.
    """
    store = RunStore(runs_dir)
    config = row.config()
    done = store.get(row.study, row.slug, config)
    if done is not None:
        return done
    found = tuple(run_one(earlier, runs_dir, threads) for earlier in _starts(row))
    start = found if isinstance(row.start, tuple) else next(iter(found), None)
    threads = threads if row.device == "cpu" else torch.get_num_threads()
    exact = working_precision(row.data.precision)
    with torch_threads(threads), exact, store.open(row.study, row.slug, config) as run:
        if not run.finished:
            row.compute(run, start)
    return run


def run_all(rows: Sequence[R], runs_dir: str | Path, jobs: int = 1, threads: int = 1) -> list[Run]:
    """Runs of several rows, independent ones side by side; those that others start from come first.

    Dask or Ray clusters take the rows through joblib's backends.
    """
    for row in rows:
        row.warm()
    for wave in _waves(rows):
        # The longest first, so that no worker waits for one that began last.
        ordered = sorted(wave, key=lambda row: row.effort, reverse=True)
        if jobs > 1 and len(ordered) > 1:
            work = (joblib.delayed(run_one)(row, str(runs_dir), threads) for row in ordered)
            with warnings.catch_warnings():
                # joblib replaces a worker that has grown; the row it was given is not lost.
                warnings.filterwarnings("ignore", message="A worker stopped")
                joblib.Parallel(n_jobs=jobs)(work)
        else:
            for row in ordered:
                run_one(row, runs_dir, threads)
    return [run_one(row, runs_dir, threads) for row in rows]


def _starts(row: Row) -> tuple[Any, ...]:
    """The rows that a row goes on from."""
    if row.start is None:
        return ()
    return row.start if isinstance(row.start, tuple) else (row.start,)


def _waves(rows: Sequence[R]) -> list[list[R]]:
    """Rows and all that they start from, each once, those that others wait for first.

    A row stands in the last wave that those waiting for it allow, so that rows nobody waits for fill the
    time of a long one in that wave.
    """
    height: dict[R, int] = {}

    def visit(row: R, above: int) -> None:
        if height.get(row, -1) < above:
            height[row] = above
            for earlier in _starts(row):
                visit(earlier, above + 1)

    for row in rows:
        visit(row, 0)
    last = max(height.values(), default=-1)
    return [[row for row in height if height[row] == level] for level in range(last, -1, -1)]
