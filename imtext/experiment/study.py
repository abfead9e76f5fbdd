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
from imtext.experiment.claims import compared, localised
from imtext.experiment.compute import Row, inputs_of
from imtext.experiment.experiment import Experiment, differences
from imtext.experiment.parameters import check_parameters
from imtext.experiment.results import Absent, Result, Results
from imtext.experiment.running import jobs_here, run_all
from imtext.experiment.source import Places
from imtext.report import (
    Claim,
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

DRAWN_PERSONS = "picturebook_pedestrians"
PERSONS = ("cuhk_pedes", DRAWN_PERSONS)
READ = {"val": "validation split", "test": "test split", "test_folds": "a fifth of the test split"}
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

    def choose(self, by_profile: Mapping[str, Any]) -> Any:
        """Of what a notebook says for profiles, that of this one.

        A key such as ``"quick on photographs"`` or ``"paper on coco"`` goes before that of the profile alone.
        """
        given = self.parameters
        photographs = [] if given.dataset in GENERATED else [f"{given.profile} on photographs"]
        keys = [f"{given.profile} on {given.dataset}", *photographs, given.profile]
        return by_profile[next(key for key in keys if key in by_profile)]

    def scale(self, paper: Any, profiles: Mapping[str, Mapping[str, Any]]) -> Any:
        """The paper's experiment on the notebook's dataset, as small as the profile, with the overrides.

        Several experiments may be given by name: then a profile holds their changes by name, and of the
        overrides those under such a name are for it alone, others for each that has the part.

        Raises:
            ConfigError: an override of a field that is not there.
        """
        if isinstance(paper, Experiment):
            return self._overridden({"": self.sized(paper, self.choose(profiles))})[""]
        changes = self.choose(profiles)
        return self._overridden(
            {name: self.sized(one, changes.get(name, {})) for name, one in paper.items()}
        )

    def sized(self, paper: Experiment, changes: Mapping[str, Any]) -> Experiment:
        """An experiment on the notebook's dataset with changes, but without the overrides."""
        changes, here = dict(changes), self.parameters.dataset
        if self.precomputed and hasattr(paper.image, "given"):
            changes["image"] = paper.image.given
        here = DRAWN_PERSONS if paper.data.persons and here == "picturebook" else here
        return paper.but(**changes).but(data={"dataset": here})

    def _overridden(self, bases: dict[str, Experiment]) -> dict[str, Experiment]:
        overrides = self.parameters.overrides
        for name in ("seed", "start"):
            if name in overrides:
                raise ConfigError(f"overrides: {name} is no setting of the base; use the parameter seeds")
        try:
            for name, change in overrides.items():
                if name in bases:
                    bases[name] = bases[name].but(**change)
                else:
                    bases |= _where_it_fits(bases, {name: change})
        except ConfigError as error:
            raise ConfigError(f"overrides: {error}") from None
        return bases

    @property
    def precomputed(self) -> bool:
        """Whether the dataset, by its name, brings features in the place of pictures."""
        return self.parameters.dataset.endswith("precomp")

    def lacks(self, row: Experiment) -> bool:
        """Whether the dataset cannot fill a row: it lacks what is read, or its groups are no persons."""
        fits = getattr(row.image, "fits", None)
        persons = row.data.dataset in PERSONS
        missing = row.data.persons != persons or (fits is not None and not fits(row.data.dataset))
        return missing or any(map(self.lacks, row.start))

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
        wanted = [key for key in rows if (key in asked or key not in named) and not self.lacks(rows[key])]
        if not wanted and any(key in asked for key in rows):
            raise ConfigError(
                f"tables {', '.join(given.tables)}: {given.dataset} has no persons, boxes or pictures to "
                "fill them with; ask for other tables, or take another dataset"
            )
        slugs: dict[Experiment, str] = {}
        for key in rows:
            slugs.setdefault(rows[key], key)
        jobs = jobs_here(given.jobs, given.profile, given.device)
        made = {
            key: [self.row(slugs[rows[key]], rows[key], seed, slugs) for seed in given.seeds]
            for key in wanted
        }
        self._say_what_words_lack(made)
        runs = iter(run_all([row for own in made.values() for row in own], given.runs_dir, jobs))
        found = {key: Result(own, [next(runs) for _ in own]) for key, own in made.items()}
        return Results({key: found.get(key, Absent()) for key in rows})

    def row(
        self, slug: str, experiment: Experiment, seed: int, slugs: Mapping[Experiment, str] = EMPTY
    ) -> Row:
        """An experiment as it is run here; ``slugs`` are the names of those that it may start from."""
        starts = tuple(
            self.row(slugs.get(start, f"{slug}-start"), start, seed, slugs) for start in experiment.start
        )
        own = replace(experiment, seed=seed, start=tuple(start.experiment for start in starts))
        return Row(self.paper.name, slug, own, self.places, self.parameters.profile, starts)

    def _say_what_words_lack(self, made: Mapping[str, Sequence[Row]]) -> None:
        texts = dict.fromkeys(own[0].inputs.text for own in made.values())
        for note in dict.fromkeys(filter(None, (text.note() for text in texts))):
            print(note)

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
        for path in sorted(results_folder().glob(f"*/{self.paper.name}.csv")):
            published = read_published(path)
            if number in published.tables:
                ours, source = published.table(number)
                parts.append(side_by_side(table, ours, source, ran=published.ran(number)))
        lines = {} if measured is not None else self._lines(number, results)
        if measured is None and not lines:
            return Page(*parts, notes=table.notes) if parts else None
        of_table = {line.id for line in table.lines}
        labels = {line: line for line in lines if line not in of_table}
        chance = {
            f"Chance, {READ[split]}": results[key].chance(split)
            for key, split in lines.values()
            if "rsum" in results[key].metrics(split)
        }
        labels |= {name: name for name in chance}
        ours = measured
        if ours is None:
            ours = over_seeds(pd.DataFrame(self._of_table(number, lines, results)))
        ours = pd.concat([ours, pd.DataFrame.from_dict(chance, orient="index")])
        ran = {line: results[key].rows[0].experiment.said for line, (key, _) in lines.items()}
        rows = Results({key: results[key] for key, _ in lines.values()})
        parts.append(side_by_side(table, ours, self.provenance(rows), labels, ran))
        return Page(*parts, notes=table.notes)

    def _lines(self, number: str, results: Results) -> dict[str, tuple[str, str]]:
        """Row of a table to the key and the split behind it; keys that no table names stand at the foot."""
        present, table = results.present, self.paper.tables[number]
        here = "coco" if self.parameters.dataset.startswith("coco") else "other"
        lines = {
            one.id: (one.run, one.read)
            for one in table.lines
            if one.run in present and one.where in ("", here)
        }
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
        given, first = self.parameters, [*results.present.values()][:1]
        found = {
            "dataset": first[0].rows[0].experiment.data.dataset if first else given.dataset,
            "profile": given.profile,
            "seeds": list(given.seeds),
            "device": given.device,
        }
        for one in first:
            found["groups"] = len(np.unique(one.split("train").group_of_image))
        changes = ", ".join(f"{name} = {value}" for name, value in _flat(given.overrides))
        return found | ({"note": f"overrides: {changes}"} if changes else {})

    def claims(self, results: Results, more: Measures | None = None, table: str = "") -> Styler | None:
        """The paper's claims, each with what the runs of this page say; arguments as for `verdicts`."""
        found = self.verdicts(results, more, table)
        name = f"claims-{table}" if table else "claims"
        return claims_table(found, self.provenance(results), name) if found or not table else None

    def verdicts(self, results: Results, more: Measures | None = None, table: str = "") -> list[Verdict]:
        """A verdict for each claim that the rows and tables asked for can test, in the paper's order.

        Args:
            results: of the rows; more: measures of claims that are about more than the rows.
            table: only claims about this one.
        """
        reason, found = self.measured.reasons.get(self.parameters.profile, ""), []
        measures = {**self.measured.measures, **(more or {})}
        for claim in self.paper.claims.values():
            asked = not claim.table or claim.table in self.parameters.tables
            if not asked or not results.has(*claim.needs) or (table and claim.table != table):
                continue
            large = self.parameters.dataset.startswith("coco")
            if claim.size == "small" and large:
                continue
            items = self._compared(claim, results)
            if claim.id in measures:
                items += measures[claim.id](results)
            if items:
                elsewhere = "the claim is about a large dataset" * (claim.size == "large" and not large)
                found.append(decide(claim, items, "; ".join(filter(None, (reason, claim.reason, elsewhere)))))
        return found

    def _compared(self, claim: Claim, results: Results) -> list[Evidence]:
        """What a claim compares; a part that names a table is left out where that was not asked for."""
        found = []
        for one in claim.compare:
            keys = {key for pair in one["pairs"] for key in pair}
            table = one.get("table")
            if results.has(*keys) and (table is None or table in self.parameters.tables):
                given = {name: part for name, part in one.items() if name not in ("table", "phrases")}
                found += (localised if one.get("phrases") else compared)(results, **given)
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
        return write_published(path, pd.DataFrame([*self.published_lines(results), *more]))


def place_of(run: Run) -> dict[str, Any]:
    """Where, when and how long a run ran."""
    found = run.load_json("provenance.json")
    cells = {name: found[name] for name in ("dataset", "profile", "device", "hardware", "commit")}
    return cells | {"date": found["when"], "minutes": round(found["seconds"] / 60, 1)}


def _where_it_fits(bases: Mapping[str, Experiment], change: Mapping[str, Any]) -> dict[str, Experiment]:
    """The experiments that have what is changed, changed; ConfigError where none has it."""
    found, refused = {}, None
    for name, base in bases.items():
        try:
            found[name] = base.but(**change)
        except ConfigError as error:
            refused = refused or error
    if not found:
        names = f"; the bases are {', '.join(bases)}" if len(bases) > 1 else ""
        raise ConfigError(f"{refused}{names}")
    return found


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
