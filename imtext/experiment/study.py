"""A paper for the parameters of its notebook: rows to runs, runs to tables and claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from imtext.data import GENERATED
from imtext.errors import ConfigError
from imtext.experiment.claims import compared
from imtext.experiment.compute import Row, inputs_of
from imtext.experiment.experiment import Experiment, differences
from imtext.experiment.images import Given, Pictures
from imtext.experiment.parameters import check_parameters
from imtext.experiment.results import Absent, Result, Results
from imtext.experiment.running import jobs_here, run_all
from imtext.experiment.source import Places
from imtext.report import (
    Evidence,
    Verdict,
    claims_table,
    decide,
    over_seeds,
    read_published,
    results_folder,
    side_by_side,
    write_published,
)
from imtext.report.markup import Page
from imtext.report.paper import Paper
from imtext.runs import Run

ON_PHOTOGRAPHS = "quick on photographs"
READ = {"test": "test split", "test_folds": "a fifth of the test split"}
EMPTY: Mapping[Experiment, str] = MappingProxyType({})
Measures = Mapping[str, Callable[[Results], Sequence[Evidence]]]


@dataclass(frozen=True)
class Measured:
    """What a study of a paper needs beyond its file.

    Attributes:
        measures: claim to what measures it on the results, where ranks alone do not.
        reasons: profile to what is known to stand behind a verdict that is not "reproduced".
    """

    measures: Measures = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


class Study:
    """What a notebook asks for of a paper. Nothing is computed before `run`.

    Args:
        paper: its printed numbers and claims; measured: what ranks alone do not decide.
        dataset, data_root, profile, seeds, tables, device, jobs, runs_dir: as for
            :func:`imtext.experiment.parameters.check_parameters`.
        overrides: fields of the notebook's base that are to be otherwise, by part.

    Raises:
        ConfigError: for a parameter that does not fit.
    """

    def __init__(
        self,
        paper: Paper,
        measured: Measured,
        dataset: str = "picturebook",
        data_root: str | None = None,
        profile: str = "smoke",
        seeds: Any = (0,),
        tables: Any = "all",
        device: str = "auto",
        jobs: int | str = "auto",
        runs_dir: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        given = check_parameters(
            paper.numbers, dataset, data_root, profile, seeds, device, runs_dir, tables, jobs, overrides
        )
        self.paper, self.measured, self.parameters = paper, measured, given
        # Absolute, so that a finished run can be read from any folder.
        root = str(Path(given.data_root).resolve()) if given.data_root else None
        self.places = Places(root, str((given.runs_dir / "cache").resolve()), given.device)

    @property
    def profile(self) -> str:
        """The profile; on downloaded data ``quick`` has sizes of its own."""
        given = self.parameters
        return (
            ON_PHOTOGRAPHS if given.profile == "quick" and given.dataset not in GENERATED else given.profile
        )

    def scale(self, paper: Experiment, profiles: Mapping[str, Mapping[str, Any]]) -> Experiment:
        """The paper's experiment on the notebook's dataset, as small as the profile, with the overrides.

        Raises:
            ConfigError: an override of a field that is not there.
        """
        changes = dict(profiles[self.profile])
        if self.parameters.dataset.endswith("precomp") and not isinstance(paper.image, Pictures):
            changes["image"] = Given()
        base = paper.but(**changes).but(data={"dataset": self.parameters.dataset})
        overrides = self.parameters.overrides
        for name in ("seed", "start"):
            if name in overrides:
                raise ConfigError(f"overrides: {name} is no setting of the base; use the parameter seeds")
        try:
            return base.but(**overrides)
        except ConfigError as error:
            raise ConfigError(f"overrides: {error}") from None

    def describe(self, paper: Experiment, base: Experiment) -> pd.DataFrame:
        """What differs here from the paper's own settings, and what there is of the data."""
        lines = {name: ("", fact) for name, fact in inputs_of(base, self.places).facts().items()}
        for name, values in differences(paper, base).items():
            if name != "data.dataset":  # which every table says
                lines[name] = tuple(_said(value) for value in values)
        lines["seeds"] = ("", f"{len(self.parameters.seeds)}")
        return pd.DataFrame.from_dict(lines, orient="index", columns=["paper", "here"])

    def run(self, rows: Mapping[str, Experiment]) -> Results:
        """Results of the rows that the tables asked for name, and of rows that no table names.

        Rows with the same values are one run.

        Raises:
            RunError, TrainingError, DataError: as their messages say.
        """
        given = self.parameters
        named = {line.run for table in self.paper.tables.values() for line in table.lines if line.run}
        asked = set().union(*map(self.paper.rows_of, given.tables))
        wanted = [key for key in rows if key in asked or key not in named]
        slugs: dict[Experiment, str] = {}
        for key in wanted:
            slugs.setdefault(rows[key], key)
        jobs = jobs_here(given.jobs, given.profile, given.device)
        made = {
            key: [self.row(slugs[rows[key]], replace(rows[key], seed=seed), slugs) for seed in given.seeds]
            for key in wanted
        }
        self._say_what_words_lack(made)
        runs = iter(run_all([row for own in made.values() for row in own], given.runs_dir, jobs))
        found = {key: Result(own, [next(runs) for _ in own]) for key, own in made.items()}
        return Results({key: found.get(key, Absent()) for key in rows})

    def row(self, slug: str, experiment: Experiment, slugs: Mapping[Experiment, str] = EMPTY) -> Row:
        """An experiment as it is run here; ``slugs`` are the names of those that it may start from."""
        starts = tuple(
            self.row(slugs.get(start, f"{slug}-start"), replace(start, seed=experiment.seed), slugs)
            for start in experiment.start
        )
        return Row(self.paper.name, slug, experiment, self.places, self.parameters.profile, starts)

    def _say_what_words_lack(self, made: Mapping[str, Sequence[Row]]) -> None:
        texts = dict.fromkeys(own[0].inputs.text for own in made.values())
        for note in dict.fromkeys(filter(None, (text.note() for text in texts))):
            print(note)

    def compare(self, number: str | int, results: Results) -> Page | None:
        """A table of the paper beside the published runs on photographs, then beside this page's, with notes.

        Only rows of which there are runs are shown. None where the table was not asked for.
        """
        number = str(number)
        if number not in self.parameters.tables:
            return None
        table, parts = self.paper.tables[number], []
        labels = {line.id: line.label for line in table.ours}
        for path in sorted(results_folder().glob(f"*/{self.paper.name}.csv")):
            published = read_published(path)
            if number in published.tables:
                ours, source = published.table(number)
                parts.append(side_by_side(table, ours, source, labels, published.ran(number)))
        lines = self._lines(number, results)
        labels |= {line: line for line in lines if line not in labels and line not in table.row_ids}
        chance = {f"Chance, {READ[split]}": results[key].chance(split) for key, split in lines.values()}
        labels |= {name: name for name in chance}
        ours = over_seeds(pd.DataFrame(self._of_table(number, lines, results)))
        ours = pd.concat([ours, pd.DataFrame.from_dict(chance, orient="index")])
        ran = {line: results[key].rows[0].experiment.said for line, (key, _) in lines.items()}
        parts.append(side_by_side(table, ours, self.provenance(results), labels, ran))
        return Page(*parts, notes=table.notes)

    def _lines(self, number: str, results: Results) -> dict[str, tuple[str, str]]:
        """Row of a table to the key and the split behind it; keys that no table names stand at the foot."""
        present, table = results.present, self.paper.tables[number]
        lines = {one.id: (one.run, one.read) for one in table.lines if one.run in present}
        named = {line.run for table in self.paper.tables.values() for line in table.lines}
        return lines | {key: (key, "test") for key in present if key not in named}

    @staticmethod
    def _of_table(
        number: str, lines: Mapping[str, tuple[str, str]], results: Results
    ) -> list[dict[str, Any]]:
        found = []
        for line, (key, split) in lines.items():
            for seed, metrics in results[key].metrics(split).iterrows():
                found.append({"row": line, "seed": seed, **metrics.to_dict()})
        return found

    def provenance(self, results: Results) -> dict[str, Any]:
        """What a table says of where it comes from."""
        given, first = self.parameters, next(iter(results.present.values()))
        found = {
            "dataset": given.dataset,
            "profile": given.profile,
            "seeds": list(given.seeds),
            "device": given.device,
            "groups": len(np.unique(first.split("train").group_of_image)),
        }
        changes = ", ".join(f"{name} = {value}" for name, value in _flat(given.overrides))
        return found | ({"note": f"overrides: {changes}"} if changes else {})

    def claims(self, results: Results, more: Measures | None = None) -> Styler:
        """The paper's claims, each with what the runs of this page say; arguments as for `verdicts`."""
        return claims_table(self.verdicts(results, more), self.provenance(results))

    def verdicts(self, results: Results, more: Measures | None = None) -> list[Verdict]:
        """A verdict for each claim that the rows and tables asked for can test, in the paper's order.

        ``more``: measures of claims that are about more than the rows.
        """
        reason, found = self.measured.reasons.get(self.parameters.profile, ""), []
        measures = {**self.measured.measures, **(more or {})}
        for claim in self.paper.claims.values():
            keys = {key for one in claim.compare for pair in one["pairs"] for key in pair} | set(claim.needs)
            asked = not claim.table or claim.table in self.parameters.tables
            if not asked or not results.has(*keys):
                continue
            items = [item for one in claim.compare for item in compared(results, **one)]
            if claim.id in measures:
                items += measures[claim.id](results)
            if items:
                found.append(decide(claim, items, reason))
        return found

    def published_lines(self, results: Results) -> list[dict[str, Any]]:
        """What a published file holds: one line for each table, row and seed."""
        found = []
        for number in filter(self.paper.tables.__contains__, self.parameters.tables):
            for line, (key, split) in self._lines(number, results).items():
                one = results[key]
                for seed, run in zip(one.seeds, one.runs, strict=True):
                    metrics = {name: round(value, 2) for name, value in run.metrics[split].items()}
                    where = place_of(run) | {"backbone": one.rows[0].experiment.said}
                    found.append({"table": number, "row": line, "seed": seed, **where, **metrics})
        return found

    def publish(self, path: str | Path, results: Results, more: Sequence[dict[str, Any]] = ()) -> Path:
        """Write every row and seed of the tables, and ``more`` lines, as CSV, all or nothing."""
        return write_published(path, pd.DataFrame([*self.published_lines(results), *more]))


def place_of(run: Run) -> dict[str, Any]:
    """Where, when and how long a run ran."""
    found = run.load_json("provenance.json")
    cells = {name: found[name] for name in ("dataset", "profile", "device", "hardware", "commit")}
    return cells | {"date": found["when"], "minutes": round(found["seconds"] / 60, 1)}


def _said(value: Any) -> str:
    if is_dataclass(value):
        return (
            f"{type(value).__name__}({', '.join(f'{name}={one!r}' for name, one in asdict(value).items())})"
        )
    if value is None:
        return "all"
    return f"{value:,}" if type(value) is int else str(value)


def _flat(changes: Mapping[str, Any], where: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested mappings by dotted name.

    >>> _flat({"recipe": {"epochs": 1}, "precision": "64"})
    [('recipe.epochs', 1), ('precision', '64')]
    """
    found = []
    for name, value in changes.items():
        inner = isinstance(value, Mapping)
        found += _flat(value, f"{where}{name}.") if inner else [(f"{where}{name}", value)]
    return found
