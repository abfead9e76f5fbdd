"""A paper for the parameters of its notebook: rows to runs, runs to tables and claims."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from imtext import report
from imtext.check import one_of
from imtext.data import GENERATED
from imtext.errors import ConfigError
from imtext.experiment.compute import Row, finished, inputs_of, jobs_here
from imtext.experiment.experiment import Experiment, changed, differences
from imtext.experiment.results import Absent, NotPublished, Result, Results, at_chance, compared, localised
from imtext.experiment.source import Places
from imtext.report.markup import Page
from imtext.report.paper import known
from imtext.training.device import resolve_device

PROFILES = ("smoke", "quick", "full", "paper")
DRAWN_PERSONS = "picturebook_pedestrians"
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
        jobs: rows side by side, ``"auto"`` or a number; 0 writes them down for ``imtext runs train``.
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
        one_of("parameter profile", given.profile, PROFILES)
        if given.jobs != "auto" and (isinstance(given.jobs, str) or given.jobs < 0):
            raise ConfigError(f"parameter jobs: 'auto' or a whole number from 0 on, found {given.jobs!r}")
        seeds, tables = _listed(given.seeds), _listed(given.tables)
        if not all(map(str.isdecimal, seeds)) or not 0 < len(seeds) == len(set(seeds)):
            raise ConfigError(f"parameter seeds: distinct whole numbers, [0, 1, 2], found {given.seeds!r}")
        tables = known if tables == ["all"] else tables
        if not tables or not set(tables) <= set(known):
            raise ConfigError(f"parameter tables: 'all' or any of {', '.join(known)}, found {given.tables!r}")
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
        given, named: the parameters of the notebook, in the order of
            :class:`imtext.experiment.study.Parameters`.

    Raises:
        ConfigError: for a parameter that does not fit.
    """

    def __init__(self, paper: report.Paper, measures: Measures, *given: Any, **named: Any) -> None:
        self.paper, self.measures = paper, measures
        self.parameters = Parameters(*given, **named).checked(paper.numbers)
        self.named = dict.fromkeys(line.run for table in paper.tables.values() for line in table.lines)
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
        return known(by_profile, next((key for key in keys if key in by_profile), given.profile), "profile")

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

        Raises:
            RunError, TrainingError, DataError: as their messages say.
        """
        given, made = self.parameters, self.asked(rows)
        texts = dict.fromkeys(own[0].inputs.text for own in made.values())
        for note in dict.fromkeys(filter(None, (text.note() for text in texts))):
            print(note)
        jobs = jobs_here(given.jobs, given.profile, given.device)
        runs = dict(finished([*chain(*made.values())], given.runs_dir, jobs))
        found = {key: Result(own, [runs[row] for row in own]) for key, own in made.items()}
        return Results({key: found.get(key, Absent()) for key in rows})

    def asked(self, rows: Mapping[str, Experiment]) -> dict[str, list[Row]]:
        """Rows that are to be run here, each under all seeds; those with the same values are one run."""
        given, seeds = self.parameters, self.parameters.seeds
        asked = set().union(*map(self.paper.rows_of, given.tables))
        chosen = [key for key in rows if key in asked or key not in self.named]
        found = {key: rows[key] for key in chosen if not self.lacks(rows[key])}
        if not found and asked.intersection(chosen):
            lacks = f"{given.dataset} has no persons, boxes or images to fill them with"
            raise ConfigError(f"tables {', '.join(given.tables)}: {lacks}; ask for others or take other data")
        # Of equal rows, the first gives the name.
        slugs = {rows[key]: key for key in reversed(rows)}
        return {key: [self.row(slugs[one], one, seed, slugs) for seed in seeds] for key, one in found.items()}

    def published(self, dataset: str = "flickr8k") -> Results:
        """What `results/` holds of the rows on a dataset, in the form of a page's own results.

        Raises:
            DataError: a file there is damaged.
        """
        path = report.results_folder() / dataset / self.paper.name
        return Results.of(report.read_published(path), self.named)

    def _published(self) -> list[Results]:
        paths = sorted(report.results_folder().glob(f"*/{self.paper.name}.csv"))
        return [self.published(path.parent.name) for path in paths]

    def row(self, slug: str, experiment: Experiment, seed: int, slugs: Mapping[Experiment, str] = {}) -> Row:
        """An experiment as it is run here; ``slugs`` are the names of those that it may start from."""
        named = [(slugs.get(start, f"{slug}-start"), start) for start in experiment.start]
        starts = tuple(self.row(*one, seed, slugs) for one in named)
        own = replace(experiment, seed=seed, start=tuple(start.experiment for start in starts))
        return Row(self.paper.name, slug, own, self.places, self.parameters.profile, starts)

    def compare(
        self, number: str | int, results: Results, measured: pd.DataFrame | None = None
    ) -> Page | None:
        """A table of the paper beside the published runs on photographs, then beside this page's, with notes.

        Only rows of which there are runs are shown, or of which ``measured`` has numbers, by the table's ids.
        None where the table was not asked for.
        """
        table = self.paper.tables[str(number)]
        if table.number not in self.parameters.tables:
            return None
        pages = self._published() + [results] * (measured is None)
        parts = [part for one in pages for part in self._beside(table, one)]
        if measured is not None:
            parts.append(report.side_by_side(table, measured, self.provenance(Results({}))))
        return Page(*parts, notes=table.notes) if parts else None

    def _beside(self, table: report.PaperTable, results: Results) -> list[Styler]:
        """A table beside what came out of its rows, and chance on what they searched; none without rows."""
        lines = self._lines(table, results)
        if not lines:
            return []
        shown = {line: (results[key], split) for line, (key, split) in lines.items()}
        metrics = {line: one.metrics(split) for line, (one, split) in shown.items()}
        galleries = {line: one.gallery(split) for line, (one, split) in shown.items()}
        scored = {line: own for line, own in shown.items() if "rsum" in metrics[line]}
        chance = {f"Chance, {galleries[line]}": one.chance(split) for line, (one, split) in scored.items()}
        ours = report.over_seeds(pd.concat(metrics, names=["row", "seed"]).reset_index())
        ours = pd.concat([ours, pd.DataFrame.from_dict(chance, orient="index")])
        here = self.provenance(results, [key for key, _ in lines.values()])
        here["gallery"] = "; ".join(dict.fromkeys(galleries.values()))
        ran = {line: one.origin["backbone"] for line, (one, _) in shown.items()}
        return [report.side_by_side(table, ours, here, ran)]

    def _lines(self, table: report.PaperTable, results: Results) -> dict[str, tuple[str, str]]:
        """Row of a table to the key and the split behind it; keys that no table names stand at the foot.

        None where no row that the table names is there.
        """
        rows = [(one.id, one.run, one.read, one.where) for one in table.lines if one.run]
        named = {line for line, *_ in rows}
        rows += [(key, key, "test", "") for key in results.present if key not in self.named]
        known = [one for one in rows if results.get(one[1]) and results[one[1]].has(*one[2:])]
        return {line: (key, split) for line, key, split, _ in known if known[0][0] in named}

    def provenance(self, results: Results, keys: Sequence[str] = ()) -> dict[str, Any]:
        """What a table says of where its rows, or all, come from."""
        found = {name: getattr(self.parameters, name) for name in ("dataset", "profile", "seeds", "device")}
        shown = [results[key] for key in keys or results.present]
        for name in shown[0].origin if shown else ():
            found[name] = ", ".join(dict.fromkeys(one.origin[name] for one in shown))
        if shown:
            found["seeds"] = sorted({*chain(*(one.seeds for one in shown))})
        if self.parameters.overrides and not results.kept:
            (changes,) = pd.json_normalize(self.parameters.overrides).to_dict("records")
            found["note"] = "overrides: " + ", ".join(f"{name} = {value}" for name, value in changes.items())
        return found

    def claims(self, results: Results, *more: Measures | None, table: str = "") -> Page | None:
        """The paper's claims, with what the published runs say of each, then what the runs of this page say;
        arguments as for `verdicts`."""
        pages = [*((one, ()) for one in self._published()), (results, more)]
        found = [(self.verdicts(one, *others, table=table), self.provenance(one)) for one, others in pages]
        parts = [report.claims_table(*one, f"claims-{table}".rstrip("-")) for one in found if one[0]]
        return Page(*parts) if parts else None

    def verdicts(self, results: Results, *more: Measures | None, table: str = "") -> list[report.Verdict]:
        """A verdict for each claim that the rows and tables asked for can test, in the paper's order.

        Args:
            results: of the rows; more: measures of claims that are about more than the rows.
            table: only claims about this one.
        """
        here, found, measures = self.provenance(results), [], ChainMap(*filter(None, more), self.measures)
        other = "small" if here["dataset"].startswith("coco") else "large"
        kept = results.kept.evidence if results.kept else {}
        for claim in self.paper.claims.values():
            asked = claim.table in ("", *self.parameters.tables) and table in ("", claim.table)
            if not asked or not results.has(*claim.needs):
                continue
            try:
                items = measures.get(claim.id, partial(self._compared, claim))(results)
            except NotPublished:
                items = []
            if items := items or kept.get(claim.id, []):
                wrong = f"the claim is about a {other} dataset" * (claim.size == other)
                said = wrong or "profile smoke" * (here["profile"] == "smoke")
                items, rows = [] if wrong else items, at_chance(results, claim.rows)
                found.append(report.decide(claim, items, rows, said))
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


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return f"{value:,}" if type(value) is int else getattr(value, "said", "") or str(value)


def _listed(value: Any) -> list[str]:
    """Texts of a list, a single value or comma-separated text."""
    if isinstance(value, str):
        value = value.strip("[] ").split(",")
    parts = value if isinstance(value, list | tuple) else [value]
    return [str(part).strip(" '\"") for part in parts]
