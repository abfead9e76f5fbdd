"""Published runs: plain CSV files under `results/<dataset>/<paper>.csv`, one line per table row and seed.

Columns that every file has: table, row (ids as in the paper's numbers), seed, dataset, profile,
backbone (what stood for the paper's networks, in words), device, hardware, commit, date (YYYY-MM-DD) and
minutes; then the metrics (`image_query_r1` …). A number that was not
computed is an empty field.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imtext.errors import ConfigError, DataError
from imtext.report.numbers import papers, table_ids
from imtext.report.tables import over_seeds

REQUIRED = (
    "table",
    "row",
    "seed",
    "dataset",
    "profile",
    "backbone",
    "device",
    "hardware",
    "commit",
    "date",
    "minutes",
)


def results_folder() -> Path:
    """Where published runs lie: the folder that ``IMTEXT_RESULTS`` names, else ``results`` of the checkout.

    >>> results_folder().name
    'results'
    """
    return Path(os.environ.get("IMTEXT_RESULTS") or Path(__file__).resolve().parents[2] / "results")


@dataclass(frozen=True)
class Published:
    """One file of published runs: `runs` has one line per table row and seed."""

    path: Path
    paper: str
    runs: pd.DataFrame

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of which the file has rows."""
        return tuple(self.runs["table"].drop_duplicates())

    def table(self, table_id: str | int, dataset: str | None = None, profile: str | None = None) -> Any:
        """(ours, provenance) of one table, as `side_by_side` takes them: means over seeds keyed by row id.

        `dataset` and `profile` choose where the file holds several; ConfigError when they leave more than
        one, or none.
        """
        part = self._part(table_id, dataset, profile)
        metrics = [name for name in part.columns if name not in REQUIRED]
        ours = over_seeds(part[["row", "seed", *metrics]]).dropna(axis=1, how="all")
        provenance = {
            name: ", ".join(dict.fromkeys(part[name]))
            for name in ("dataset", "profile", "device", "hardware", "commit")
        }
        provenance["seeds"] = sorted(int(seed) for seed in part["seed"].unique())
        provenance["note"] = f"{part['minutes'].sum():.0f} minutes, {max(part['date'])}"
        return ours, provenance

    def ran(
        self, table_id: str | int, dataset: str | None = None, profile: str | None = None
    ) -> dict[str, str]:
        """Row id → what ran in that row, as `side_by_side` takes it; several if the seeds differ.

        Chooses and fails as `table` does.
        """
        rows = self._part(table_id, dataset, profile).groupby("row", sort=False)["backbone"]
        return {str(row): ", ".join(dict.fromkeys(names)) for row, names in rows}

    def _part(self, table_id: str | int, dataset: str | None, profile: str | None) -> pd.DataFrame:
        """The lines of one table, dataset and profile."""
        part = self.runs[self.runs["table"] == str(table_id)]
        for name, wanted in (("dataset", dataset), ("profile", profile)):
            part = part if wanted is None else part[part[name] == wanted]
            found = sorted(part[name].unique())
            if len(found) != 1:
                raise ConfigError(
                    f"{self.path.name}: Table {table_id} has {len(found)} kinds of {name} "
                    f"({', '.join(found) or 'none'}); choose one with {name}=…"
                )
        return part


def _check(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [column for column in REQUIRED if column not in runs.columns]
    if missing:
        raise DataError(
            f"{name}: column {missing[0]!r} is missing; a published file has {', '.join(REQUIRED)}"
        )
    metrics = [column for column in runs.columns if column not in REQUIRED]
    if not metrics:
        raise DataError(f"{name}: no metric column; add image_query_r1 and the others")
    runs = runs.copy()
    for column in ("seed", "minutes", *metrics):
        numbers = pd.to_numeric(runs[column].replace("", np.nan), errors="coerce")
        bad = numbers.isna() & runs[column].notna() & (runs[column].astype(str) != "")
        if bad.any():
            line = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{name}: line {line + 2}, {column}: expected a number, found {runs[column].iloc[line]!r}"
            )
        runs[column] = numbers
    for column in REQUIRED:
        empty = runs[column].isna() | (runs[column].astype(str) == "")
        if empty.any():
            line = int(np.flatnonzero(empty)[0]) + 2
            raise DataError(f"{name}: line {line}, {column}: is empty; every run says its {column}")
    runs["seed"] = runs["seed"].astype(int)
    twice = runs.duplicated(["table", "row", "seed", "dataset", "profile"])
    if twice.any():
        line = int(np.flatnonzero(twice)[0])
        raise DataError(f"{name}: line {line + 2}: this row and seed stands there already; keep one")
    return runs


def read_published(path: str | Path) -> Published:
    """Read and check `results/<dataset>/<paper>.csv`; the file name gives the paper. Raises DataError with
    file and line.

    A table of ours, which the paper does not have, is named by a word, such as ``meaning``.
    """
    path = Path(path)
    if path.stem not in papers():
        raise DataError(
            f"{path}: the file name should be a paper ({', '.join(papers())}), found {path.stem!r}; rename it"
        )
    try:
        runs = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; publish a run first, or check the path") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not a CSV table in UTF-8 ({error}); mend it") from error
    runs = _check(runs, str(path))
    known = table_ids(path.stem)
    unknown = [one for one in runs["table"].unique() if one not in known and not one.isalpha()]
    if unknown:
        raise DataError(
            f"{path}: {path.stem} has no Table {unknown[0]!r}; expected one of {', '.join(known)}"
        )
    return Published(path, path.stem, runs)


def write_published(path: str | Path, runs: pd.DataFrame) -> Path:
    """Check `runs` and write them as CSV, all or nothing; lines sorted by dataset, profile, table, row,
    seed."""
    path = Path(path)
    checked = _check(runs, str(path)).sort_values(
        ["dataset", "profile", "table", "row", "seed"], kind="stable"
    )
    columns = [*REQUIRED, *(name for name in checked.columns if name not in REQUIRED)]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            checked[columns].to_csv(stream, index=False, lineterminator="\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path

