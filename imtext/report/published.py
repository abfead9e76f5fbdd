"""Published runs: plain CSV files under `results/<dataset>/<paper>.csv`, one line per table row and seed.

Columns that every file has: table, row (ids as in the paper's numbers), seed, dataset, profile,
backbone (what stood for the paper's networks, in words), device, hardware, commit, date (YYYY-MM-DD) and
minutes; then the metrics (`image_query_r1` …). A number that was not computed is an empty field. All lines of
a table are of one dataset and one profile.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imtext.errors import DataError
from imtext.report.paper import read_paper
from imtext.report.tables import over_seeds

NUMBERS = ["seed", "minutes"]
ORIGIN = ["dataset", "profile", "device", "hardware", "commit"]
REQUIRED = ["table", "row", "backbone", "date", *ORIGIN, *NUMBERS]


def results_folder() -> Path:
    """Where published runs lie: the folder that ``IMTEXT_RESULTS`` names, else ``results`` of the checkout.

    >>> results_folder().name
    'results'
    """
    return Path(os.environ.get("IMTEXT_RESULTS") or Path(__file__).resolve().parents[2] / "results")


@dataclass(frozen=True)
class Published:
    """One file of published runs: `runs` has one line per table row and seed."""

    runs: pd.DataFrame

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of which the file has rows."""
        return tuple(self.runs["table"].unique())

    def table(self, number: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """(ours, provenance) of one table, as `side_by_side` takes them: means over seeds keyed by row id."""
        part = self.runs[self.runs["table"] == number]
        metrics = list(self.runs.columns.drop(REQUIRED))
        provenance = {name: ", ".join(part[name].unique()) for name in ORIGIN}
        provenance["seeds"] = sorted(part["seed"].unique().tolist())
        provenance["note"] = f"{part['minutes'].sum():.0f} minutes, {max(part['date'])}"
        return over_seeds(part[["row", "seed", *metrics]]).dropna(axis=1, how="all"), provenance

    def ran(self, number: str) -> dict[str, str]:
        """Row id → what ran in that row, as `side_by_side` takes it; several if the seeds differ."""
        rows = self.runs[self.runs["table"] == number].groupby("row", sort=False)
        return rows["backbone"].agg(lambda names: ", ".join(names.unique())).to_dict()


def read_published(path: str | Path) -> Published:
    """Read and check `results/<dataset>/<paper>.csv`; the file name gives the paper. Raises DataError with
    file and line, ConfigError for an unknown paper.

    A table of ours, which the paper does not have, is named by a word, such as ``meaning``.
    """
    known = read_paper(Path(path).stem).tables
    try:
        runs = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no CSV table in UTF-8 ({error}); publish a run, or mend it") from error
    published = Published(_checked(runs, path))
    for number in published.tables:
        if number not in known and not number.isalpha():
            raise DataError(f"{path}: no Table {number!r} in the paper; expected one of {', '.join(known)}")
    return published


def write_published(path: str | Path, runs: pd.DataFrame) -> Path:
    """Check `runs` and write them as CSV, all or nothing; lines sorted by dataset, profile, table, row,
    seed. Raises DataError with file and line."""
    path = Path(path)
    checked = _checked(runs, path).sort_values(["dataset", "profile", "table", "row", "seed"], kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    checked.to_csv(partial, index=False, lineterminator="\n")
    return partial.replace(path)


def _checked(runs: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The lines with numbers as numbers, an empty field as NaN."""
    for name in REQUIRED:
        if name not in runs:
            raise DataError(f"{path}: column {name!r} is missing; a published file has {', '.join(REQUIRED)}")
    runs = runs.reset_index(drop=True)
    given = runs.replace("", np.nan)
    numbers = [*NUMBERS, *given.columns.drop(REQUIRED)]
    found = given.assign(**given[numbers].apply(pd.to_numeric, errors="coerce"))
    spoilt = (found.isna() & (given.notna() | given.columns.isin(REQUIRED))).stack()
    for line, name in spoilt[spoilt].index:
        raise DataError(f"{path}: line {line + 2}, {name}: {runs.at[line, name]!r} does not belong there")
    for line in np.flatnonzero(found.duplicated(["table", "row", "seed"])):
        raise DataError(f"{path}: line {line + 2}: this row and seed stands there already; keep one")
    for name in ("dataset", "profile"):
        for line in np.flatnonzero(found[name] != found.groupby("table")[name].transform("first")):
            raise DataError(f"{path}: line {line + 2}: its table has lines of another {name}; keep one")
    return found.astype({"seed": int})
