"""A paper for the parameters of its notebook: rows to runs, runs to tables and claims."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from imtext import report
from imtext.data import GENERATED
from imtext.errors import ConfigError
from imtext.experiment.compute import Row, inputs_of, jobs_here, run_all
from imtext.experiment.experiment import Experiment, changed, differences
from imtext.experiment.results import Absent, Result, Results, compared, localised
from imtext.experiment.source import Places
from imtext.report.markup import Page
from imtext.runs import Run
from imtext.training.device import resolve_device

PROFILES = ("smoke", "quick", "full", "paper")
DRAWN_PERSONS = "picturebook_pedestrians"
READ = {"val": "validation split", "test": "test split", "test_folds": "a fifth of the test split"}
Measures = Mapping[str, Callable[[Results], Sequence[report.Evidence]]]


@dataclass(frozen=True)
class Parameters:
    """Parameters that every notebook takes, in its order.

    Attributes:
        dataset, data_root: as for :func:`imtext.data.load_dataset`.
        profile: one of `PROFILES`.
        seeds: a list, one integer, or a text such as ``"0,1,2"``.
        tables: ``"all"`` or a list (or text) of table numbers.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        jobs: rows side by side, ``"auto"`` or a number.
        runs_dir: None is the folder that the environment variable ``IMTEXT_RUNS`` names, else ``runs``.
        overrides: settings by part, such as ``{"recipe": {"epochs": 1}}``.
    """

    dataset: str = "picturebook"
    data_root: str | Path | None = None
    profile: str = "smoke"
    seeds: list | tuple | int | str = (0,)
    tables: list | tuple | int | str = "all"
    device: str = "auto"
    jobs: int | str = "auto"
    runs_dir: str | Path | None = None
    overrides: Mapping | None = None

    def checked(self, known: Sequence[str]) -> Parameters:
        """Each in one form, folders with ``~`` as the home folder; ``known``: the tables that there are.

        Raises:
            ConfigError: a parameter of the wrong type or outside its range.

        >>> Parameters(tables="5", seeds=[0, 1]).checked(("2", "5")).tables
        ('5',)
        """
        given = changed(Parameters(), vars(self), "parameter ")
        if given.profile not in PROFILES:
            raise ConfigError(f"parameter profile: one of {', '.join(PROFILES)}, found {given.profile!r}")
        if given.jobs != "auto" and (isinstance(given.jobs, str) or given.jobs < 1):
            raise ConfigError(f"parameter jobs: 'auto' or a whole number from 1, found {given.jobs!r}")
        seeds, tables = _listed(given.seeds), _listed(given.tables)
        if not all(map(str.isdecimal, seeds)) or not 0 < len(seeds) == len(set(seeds)):
            raise ConfigError(
                f"parameter seeds: different whole numbers such as [0, 1, 2], found {given.seeds!r}"
            )
        tables = known if tables == ["all"] else tables
        if not tables or not set(tables) <= set(known):
            raise ConfigError(
                f"parameter tables: 'all', or among {', '.join(known)}, found {given.tables!r}"
            )
        return replace(
            given,
            data_root=os.path.realpath(os.path.expanduser(given.data_root)) if given.data_root else None,
            seeds=tuple(map(int, seeds)),
            tables=tuple(table for table in known if table in tables),
            device=resolve_device(given.device),
            runs_dir=Path(os.path.expanduser(given.runs_dir or os.environ.get("IMTEXT_RUNS", "runs"))),
            overrides=given.overrides or {},
        )


class Study:
    """What a notebook asks for of a paper. Nothing is computed before `run`.

    Args:
        paper: its printed numbers and claims.
        measures: claim to what measures it on the results, where ranks alone do not.
        reasons: profile to what is known to stand behind a verdict that is not "reproduced".
        given, named: the parameters of the notebook, in the order of
            :class:`imtext.experiment.study.Parameters`.

    Raises:
        ConfigError: for a parameter that does not fit.
    """

    def __init__(
        self, paper: report.Paper, measures: Measures, reasons: Mapping[str, str], *given: Any, **named: Any
    ) -> None:
        self.paper, self.measures, self.reasons = paper, measures, reasons
        self.parameters = Parameters(*given, **named).checked(paper.numbers)
        self.large = self.parameters.dataset.startswith("coco")
        self.named = {line.run for table in paper.tables.values() for line in table.lines}
        # Absolute, so that a finished run can be read from any folder.
        cache = str((self.parameters.runs_dir / "cache").resolve())
        self.places = Places(self.parameters.data_root, cache, self.parameters.device)

    def choose(self, by_profile: Mapping[str, Any]) -> Any:
        """Of what a notebook says for profiles, that of this one.

        A key such as ``"quick on photographs"`` or ``"paper on coco"`` goes before that of the profile alone.
        """
        given = self.parameters
        kind = "drawings" if given.dataset in GENERATED else "photographs"
        keys = [f"{given.profile} on {given.dataset}", f"{given.profile} on {kind}", given.profile]
        return by_profile[next(key for key in keys if key in by_profile)]

    def scale(self, paper: Any, profiles: Mapping[str, Mapping[str, Any]]) -> Any:
        """The paper's experiment on the notebook's dataset, as small as the profile, with the overrides.

        Several experiments may be given by name: then a profile holds their changes by name, and of the
        overrides those under such a name are for it alone, others for each that has the part.

        Raises:
            ConfigError: an override of a field that is not there.
        """
        changes = self.choose(profiles)
        if isinstance(paper, Experiment):
            return self._overridden({"base": self.sized(paper, changes)})["base"]
        bases = {name: self.sized(one, changes.get(name, {})) for name, one in paper.items()}
        return self._overridden(bases)

    def sized(self, paper: Experiment, changes: Mapping[str, Any]) -> Experiment:
        """An experiment on the notebook's dataset with changes, but without the overrides."""
        dataset = self.parameters.dataset
        if paper.data.persons and dataset == "picturebook":
            dataset = DRAWN_PERSONS
        if self.precomputed and hasattr(paper.image, "given"):
            changes = {**changes, "image": paper.image.given}
        return paper.but(**changes).but(data={"dataset": dataset})

    def _overridden(self, bases: dict[str, Experiment]) -> dict[str, Experiment]:
        for name, change in self.parameters.overrides.items():
            if name in ("seed", "start"):
                raise ConfigError(f"overrides: {name} is no setting of the base; use the parameter seeds")
            changes, chosen = (change, [name]) if name in bases else ({name: change}, list(bases))
            refused = []
            for key in chosen:
                try:
                    bases[key] = bases[key].but(**changes)
                except ConfigError as error:
                    refused.append(error)
            if len(refused) == len(chosen):
                raise ConfigError(f"overrides: {refused[0]}; the bases are {', '.join(bases)}")
        return bases

    @property
    def precomputed(self) -> bool:
        """Whether the dataset, by its name, brings features in the place of pictures."""
        return self.parameters.dataset.endswith("precomp")

    def lacks(self, row: Experiment) -> bool:
        """Whether the dataset cannot fill a row: it lacks what is read, or its groups are no persons."""
        fits = getattr(row.image, "fits", None)
        persons = row.data.dataset in ("cuhk_pedes", DRAWN_PERSONS)
        missing = row.data.persons != persons or (fits is not None and not fits(row.data.dataset))
        return missing or any(map(self.lacks, row.start))

    def describe(self, paper: Experiment, base: Experiment) -> pd.DataFrame:
        """What differs here from the paper's own settings, and what there is of the data."""
        lines = {name: ("", fact) for name, fact in inputs_of(base, self.places).facts().items()}
        paper = paper.but(data={"dataset": base.data.dataset})  # which every table says
        lines |= {name: tuple(map(_said, values)) for name, values in differences(paper, base).items()}
        lines["seeds"] = ("", f"{len(self.parameters.seeds)}")
        return pd.DataFrame.from_dict(lines, orient="index", columns=["paper", "here"])

    def run(self, rows: Mapping[str, Experiment]) -> Results:
        """Results of the rows that the tables asked for name, and of rows that no table names.

        Rows with the same values are one run.

        Raises:
            RunError, TrainingError, DataError: as their messages say.
        """
        given = self.parameters
        asked = set().union(*map(self.paper.rows_of, given.tables))
        chosen = [key for key in rows if key in asked or key not in self.named]
        wanted = {key: rows[key] for key in chosen if not self.lacks(rows[key])}
        if not wanted and asked.intersection(chosen):
            raise ConfigError(
                f"tables {', '.join(given.tables)}: {given.dataset} has no persons, boxes or pictures to "
                "fill them with; ask for other tables, or take another dataset"
            )
        # Of equal rows, the first gives the name.
        slugs = {rows[key]: key for key in reversed(rows)}
        made = {
            key: [self.row(slugs[one], one, seed, slugs) for seed in given.seeds]
            for key, one in wanted.items()
        }
        texts = dict.fromkeys(own[0].inputs.text for own in made.values())
        for note in dict.fromkeys(filter(None, (text.note() for text in texts))):
            print(note)
        jobs = jobs_here(given.jobs, given.profile, given.device)
        runs = iter(run_all([row for own in made.values() for row in own], given.runs_dir, jobs))
        found = {key: Result(own, [next(runs) for _ in own]) for key, own in made.items()}
        return Results({key: found.get(key, Absent()) for key in rows})

    def row(self, slug: str, experiment: Experiment, seed: int, slugs: Any = None) -> Row:
        """An experiment as it is run here; ``slugs`` are the names of those that it may start from."""
        known = slugs or {}
        starts = tuple(
            self.row(known.get(start, f"{slug}-start"), start, seed, known) for start in experiment.start
        )
        own = replace(experiment, seed=seed, start=tuple(start.experiment for start in starts))
        return Row(self.paper.name, slug, own, self.places, self.parameters.profile, starts)

    def compare(
        self, number: str | int, results: Results, measured: pd.DataFrame | None = None
    ) -> Page | None:
        """A table of the paper beside the published runs on photographs, then beside this page's, with notes.

        Only rows of which there are runs are shown, or of which ``measured`` has numbers, by the table's ids.
        None where the table was not asked for.
        """
        number = str(number)
        if number not in self.parameters.tables:
            return None
        table, parts = self.paper.tables[number], []
        for path in sorted(report.results_folder().glob(f"*/{self.paper.name}.csv")):
            published = report.read_published(path)
            if number in published.tables:
                ours, source = published.table(number)
                parts.append(report.side_by_side(table, ours, source, ran=published.ran(number)))
        lines = {} if measured is not None else self._lines(number, results)
        if lines:
            measured = _measured(lines, results)
        if measured is not None:
            of_table = {line.id for line in table.lines}
            labels = {name: name for name in measured.index if name not in of_table}
            ran = {line: results[key].rows[0].experiment.said for line, (key, _) in lines.items()}
            here = self.provenance(Results({key: results[key] for key, _ in lines.values()}))
            parts.append(report.side_by_side(table, measured, here, labels, ran))
        return Page(*parts, notes=table.notes) if parts else None

    def _lines(self, number: str, results: Results) -> dict[str, tuple[str, str]]:
        """Row of a table to the key and the split behind it; keys that no table names stand at the foot."""
        here = "coco" if self.large else "other"
        lines = {
            one.id: (one.run, one.read)
            for one in self.paper.tables[number].lines
            if one.run in results.present and one.where in ("", here)
        }
        return lines | {key: (key, "test") for key in results.present if key not in self.named}

    def provenance(self, results: Results) -> dict[str, Any]:
        """What a table says of where it comes from."""
        given = self.parameters
        found = {name: getattr(given, name) for name in ("dataset", "profile", "seeds", "device")}
        for one in [*results.present.values()][:1]:
            found["dataset"] = one.rows[0].experiment.data.dataset
            found["groups"] = len(np.unique(one.split("train").group_of_image))
        if given.overrides:
            (changes,) = pd.json_normalize(given.overrides).to_dict("records")
            found["note"] = "overrides: " + ", ".join(f"{name} = {value}" for name, value in changes.items())
        return found

    def claims(self, results: Results, more: Measures | None = None, table: str = "") -> Styler | None:
        """The paper's claims, each with what the runs of this page say; arguments as for `verdicts`."""
        found = self.verdicts(results, more, table)
        if table and not found:
            return None
        return report.claims_table(found, self.provenance(results), f"claims-{table}".rstrip("-"))

    def verdicts(
        self, results: Results, more: Measures | None = None, table: str = ""
    ) -> list[report.Verdict]:
        """A verdict for each claim that the rows and tables asked for can test, in the paper's order.

        Args:
            results: of the rows; more: measures of claims that are about more than the rows.
            table: only claims about this one.
        """
        given, found = self.parameters, []
        measures = {**self.measures, **(more or {})}
        for claim in self.paper.claims.values():
            asked = claim.table in ("", *given.tables) and table in ("", claim.table)
            if not asked or not results.has(*claim.needs) or (claim.size == "small" and self.large):
                continue
            measure = measures.get(claim.id, partial(self._compared, claim))
            if items := measure(results):
                size = "the claim is about a large dataset" * (claim.size == "large" and not self.large)
                reasons = [self.reasons.get(given.profile, ""), claim.reason, size]
                found.append(report.decide(claim, items, "; ".join(filter(None, reasons))))
        return found

    def _compared(self, claim: report.Claim, results: Results) -> list[report.Evidence]:
        """What a claim compares; a part that names a table is left out where that was not asked for."""
        found = []
        for one in claim.compare:
            given = dict(one)
            table, measure = given.pop("table", None), localised if given.pop("phrases", False) else compared
            if results.has(*chain(*one["pairs"])) and table in (None, *self.parameters.tables):
                found += measure(results, **given)
            elif table is None:
                return []
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
        return report.write_published(path, pd.DataFrame([*self.published_lines(results), *more]))


def place_of(run: Run) -> dict[str, Any]:
    """Where, when and how long a run ran."""
    found = run.load_json("provenance.json")
    cells = {name: found[name] for name in ("dataset", "profile", "device", "hardware", "commit")}
    return cells | {"date": found["when"], "minutes": round(found["seconds"] / 60, 1)}


def _measured(lines: Mapping[str, tuple[str, str]], results: Results) -> pd.DataFrame:
    """Metrics over seeds of the rows of a table, and of chance on each split that they are read on."""
    metrics = {line: results[key].metrics(split) for line, (key, split) in lines.items()}
    chance = {
        f"Chance, {READ[split]}": results[key].chance(split)
        for line, (key, split) in lines.items()
        if "rsum" in metrics[line]
    }
    ours = report.over_seeds(pd.concat(metrics, names=["row", "seed"]).reset_index())
    return pd.concat([ours, pd.DataFrame.from_dict(chance, orient="index")])


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return f"{value:,}" if type(value) is int else str(value)


def _listed(value: Any) -> list[str]:
    """Texts of a list, a single value or comma-separated text."""
    if isinstance(value, str):
        value = value.strip("[] ").split(",")
    parts = value if isinstance(value, list | tuple) else [value]
    return [str(part).strip(" '\"") for part in parts]
