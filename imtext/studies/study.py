"""What the studies of all papers share: rows to runs, runs to tables, tables to published results."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import joblib
import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from imtext.experiment.parameters import Parameters, check_parameters
from imtext.report import paper_table, side_by_side, write_published
from imtext.runs import Run
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.studies.running import Row, run_all

_WHERE = ("dataset", "profile", "device", "hardware", "commit")


class Line(Protocol):
    """What stands behind one row of one table: the experiment and the split it is read on."""

    slug: str
    split: str


class PaperStudy:
    """Runs and tables of one paper; nothing is computed before it is asked for.

    A study sets ``name`` (of the paper's numbers and of the runs' folder) and says by ``known_tables``,
    ``rows``, ``experiments``, ``describe_row``, ``jobs`` and ``prepared`` what they are. ``tables`` are
    those asked for that the dataset can fill, ``slugs`` the experiments behind them.

    Raises:
        ConfigError: for a parameter that does not fit.
    """

    name: str
    reads_vectors = True  # whether its rows need word vectors
    parameters: Parameters
    tables: tuple[str, ...]
    slugs: tuple[str, ...]

    def __init__(self, **parameters: Any) -> None:
        self.parameters = check_parameters(self.known_tables(parameters), **parameters)
        self.tables = self.parameters.tables
        wanted = {line.slug for table in self.tables for line in self.rows(table).values()}
        self.slugs = tuple(slug for slug in self.experiments(0) if slug in wanted)

    @staticmethod
    def known_tables(parameters: dict[str, Any]) -> tuple[str, ...]:
        """Numbers of the tables that parameters, not checked yet, allow."""
        raise LookupError(parameters)

    def data_spec(self, **options: Any) -> DataSpec:
        """The data of the parameters, with the sizes and options given."""
        root = self.parameters.data_root
        return DataSpec(
            **{
                "dataset": self.parameters.dataset,
                # Absolute, so that a finished run can be read from any folder.
                "data_root": str(Path(root).resolve()) if root else None,
                "cache": str((self.parameters.runs_dir / "cache").resolve()),
                **options,
            }
        )

    def rows(self, table: str | int) -> dict[str, Line]:
        """Rows of a table and what stands behind each."""
        raise LookupError(table)

    def experiments(self, seed: int) -> dict[str, Row]:
        """Every experiment of the paper's tables that the dataset can fill, by slug."""
        raise LookupError(seed)

    def describe_row(self, experiment: Any) -> str:
        """What ran, in a few words."""
        return experiment.slug

    def extra_labels(self, table: str | int) -> dict[str, str]:
        """Labels of the rows of a table that the paper does not have."""
        return {}

    @property
    def prepared(self) -> Prepared:
        """The data of the rows."""
        raise LookupError(self.name)

    def data_of(self, table: str | int) -> Prepared:
        """The data behind a table."""
        return self.prepared

    def provenance(self, table: str | int = "1") -> dict[str, Any]:
        """What a table of this study says of where it comes from."""
        prepared = self.data_of(table)
        return {
            "dataset": prepared.spec.dataset,
            "profile": self.parameters.profile,
            "seeds": list(self.parameters.seeds),
            "device": self.parameters.device,
            "groups": len(np.unique(prepared.splits["train"].group_of_image)),
        }

    @property
    def jobs(self) -> int:
        """Rows side by side."""
        return 1

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """Finished runs per row, one a seed; trains what is missing."""
        self._say_what_words_lack()
        seeds = {seed: self.experiments(seed) for seed in self.parameters.seeds}
        wanted = [seeds[seed][slug] for slug in self.slugs for seed in seeds]
        jobs = min(self.jobs, joblib.cpu_count()) if self.parameters.device == "cpu" else 1
        # One thread a row: the same digits for any number of cores, which rows side by side use better.
        runs = run_all(wanted, self.parameters.runs_dir, jobs, threads=1)
        by_slug: dict[str, list[Run]] = {slug: [] for slug in self.slugs}
        for experiment, run in zip(wanted, runs, strict=True):
            by_slug[experiment.slug].append(run)
        return by_slug

    def _say_what_words_lack(self) -> None:
        for prepared in dict.fromkeys(map(self.data_of, self.tables)):
            note = prepared.words_note(self.reads_vectors)
            if note:
                print(note)

    def metrics(self, slug: str, split: str = "val") -> pd.DataFrame:
        """Metrics of a row, one line a seed."""
        return pd.DataFrame(
            [run.metrics[split] for run in self.runs[slug]], index=list(self.parameters.seeds)
        )

    def table(self, number: str | int) -> pd.DataFrame:
        """Our side of a table by the paper's row ids: mean over seeds and, with several, deviation."""
        lines = {}
        for row, line in self.rows(number).items():
            seeds = self.metrics(line.slug, line.split)
            cells = seeds.mean().to_dict() | {"n_seeds": len(seeds)}
            if len(seeds) > 1:
                cells |= {f"{name}_sd": value for name, value in seeds.std().items()}
            lines[row] = cells
        return pd.DataFrame.from_dict(lines, orient="index")

    def ran(self, number: str | int) -> dict[str, str]:
        """Which networks or features stand behind each row of a table."""
        found = self.experiments(self.parameters.seeds[0])
        return {row: self.describe_row(found[line.slug]) for row, line in self.rows(number).items()}

    def compare(self, number: str | int) -> Styler | None:
        """A table of the paper beside ours; None where it was not asked for.

        Only the paper's own rows are shown; :func:`imtext.report.as_printed` shows those of other methods.
        """
        number = str(number)
        if number not in self.tables:
            return None
        return side_by_side(
            paper_table(self.name, number),
            self.table(number),
            self.provenance(number),
            extra=self.extra_labels(number),
            ran=self.ran(number),
        )

    def publish(self, path: str | Path) -> Path:
        """Add nothing, hide nothing: every row and seed of the tables, on the split of its table, as CSV."""
        return write_published(path, pd.DataFrame(self.published_lines()))

    def published_lines(self) -> list[dict[str, Any]]:
        """The lines that :meth:`publish` writes, one for each table, row and seed."""
        lines = []
        for table in self.tables:
            backbones = self.ran(table)
            for row, line in self.rows(table).items():
                for seed, run in zip(self.parameters.seeds, self.runs[line.slug], strict=True):
                    metrics = {name: round(value, 2) for name, value in run.metrics[line.split].items()}
                    where = self.where(run) | {"backbone": backbones[row]}
                    lines.append({"table": table, "row": row, "seed": seed, **where, **metrics})
        return lines

    @staticmethod
    def where(run: Run) -> dict[str, Any]:
        """Where, when and how long a run ran, by the columns of a published file."""
        found = run.load_json("provenance.json")
        cells = {name: found[name] for name in _WHERE}
        return cells | {"date": found["when"], "minutes": round(found["seconds"] / 60, 1)}

    def embeddings(self, slug: str, split: str = "val") -> dict[str, np.ndarray]:
        """``images (N, D)``, ``captions (M, D)``, ``image_of_caption (M,)`` of a row's first seed."""
        return self.runs[slug][0].load_arrays(f"embeddings-{split}.npz")


class CatalogueStudy(PaperStudy):
    """A study whose rows share their data and are listed in a module of its own.

    It sets ``catalogue``, a module with ``TABLES``, ``EXTRA``, ``EXTRA_LABELS``, ``scale``,
    ``experiments`` and ``describe``, and says by ``spec`` which data the rows share.
    """

    catalogue: ModuleType

    @classmethod
    def known_tables(cls, parameters: dict[str, Any]) -> tuple[str, ...]:
        """Numbers of the tables that parameters, not checked yet, allow."""
        return tuple(cls.catalogue.TABLES)

    @property
    def sizes(self) -> Any:
        """What the profile scales."""
        return self.catalogue.scale(self.parameters.profile, self.parameters.dataset)

    @property
    def spec(self) -> DataSpec:
        """The data that all rows share."""
        raise LookupError(self.name)

    @property
    def prepared(self) -> Prepared:
        """Splits and pixels."""
        return prepare(self.spec, self.parameters.device)

    @property
    def jobs(self) -> int:
        """Rows side by side."""
        return self.sizes.jobs

    def experiments(self, seed: int) -> dict[str, Any]:
        """Every row of the tables, by slug."""
        return self.catalogue.experiments(self.spec, self.sizes, self.common(seed))

    def common(self, seed: int) -> dict[str, Any]:
        """What all rows of a seed have in common."""
        return {"profile": self.parameters.profile, "device": self.parameters.device, "seed": seed}

    def describe_row(self, experiment: Any) -> str:
        """Networks and inputs of a row, in a few words."""
        return self.catalogue.describe(experiment)

    def extra_labels(self, table: str | int) -> dict[str, str]:
        """Labels of the rows of a table that are ours, also of those that other profiles or data can fill."""
        return {row: self.catalogue.EXTRA_LABELS[row] for row in self.catalogue.EXTRA.get(str(table), {})}


__all__ = ["CatalogueStudy", "Line", "PaperStudy"]
