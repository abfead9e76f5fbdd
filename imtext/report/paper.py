"""A paper as its file in ``papers/`` says: what it prints, which rows fill its tables, what it claims.

A cell of a table is either a number that the paper prints, in the table or in its running text, or empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from imtext.errors import ConfigError

EM_DASH = "—"
FOLDER = Path(__file__).parent / "papers"


@dataclass(frozen=True)
class Column:
    """One metric of a table: `better` is 'high' or 'low'; `digits` is None where the paper prints whole
    numbers."""

    id: str
    group: str
    label: str
    better: str
    digits: int | None = None

    def show(self, value: float) -> str:
        """The value with the digits that the paper uses, an em dash for NaN.

        >>> Column("image_query_r1", "Image query", "R@1", "high", 1).show(78.0)
        '78.0'
        """
        if math.isnan(value):
            return EM_DASH
        return f"{value:g}" if self.digits is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Row:
    """One line of a table. `own` marks the paper's own models.

    `run` is the notebook's row that fills the line here, '' for none; `read` the split it is read on; `over`
    the row of the table that this one is to be compared with; `where`: on "coco" or "other" data alone.
    """

    id: str
    label: str
    block: str = ""
    own: bool = False
    run: str = ""
    read: str = "test"
    over: str = ""
    where: str = ""


@dataclass(frozen=True, eq=False)
class PaperTable:
    """One table of a paper.

    `rows` are the paper's, `ours` those that this repository adds; `cells` are the numbers of the paper's
    rows, of which those in `prose`, (row id, column id), are from its running text.
    """

    paper: str
    number: str
    caption: str
    section: str
    dataset: str
    split: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    ours: Sequence[Row]
    cells: pd.DataFrame
    prose: Sequence[tuple[str, str]]
    notes: Sequence[str]

    @property
    def lines(self) -> tuple[Row, ...]:
        """The paper's rows, then rows of ours, which it does not print."""
        return (*self.rows, *self.ours)

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The ids of the paper's rows, in its order."""
        return tuple(self.cells.index)

    @property
    def gain_in(self) -> Column | None:
        """The metric in which rows gain over those that they name: R-sum, or the first; None if none does."""
        if not any(row.over for row in self.lines):
            return None
        return next((column for column in self.columns if column.id == "rsum"), self.columns[0])

    @property
    def id(self) -> str:
        """A name that is unique across papers, such as 'instance_loss-table-2'."""
        return f"{self.paper}-table-{self.number}"

    def value(self, row: str, column: str) -> float | None:
        """The printed number, None where the cell is empty. Raises ConfigError for an unknown row or
        column."""
        if row not in self.cells.index or column not in self.cells:
            raise ConfigError(
                f"Table {self.number} of {self.paper} has no cell ({row!r}, {column!r}); "
                f"rows: {', '.join(self.cells.index)}; columns: {', '.join(self.cells)}"
            )
        value = float(self.cells.at[row, column])
        return None if math.isnan(value) else value

    def frame(self) -> pd.DataFrame:
        """All cells as floats (R rows, C columns), NaN where the paper has none; indexed by row id."""
        return self.cells.copy()


@dataclass(frozen=True)
class Claim:
    """One testable sentence of a paper.

    `text` is the sentence in our words, `section` its place, `test` how it is decided, `paper` the paper's
    numbers. A claim of `kind` 'greater' says that something is better than something else; 'no_gain' says
    that it is not better by more than `tolerance`; 'about' says that it is better by `around`, give or take
    `within` (in the unit of the difference). `compare`: rows of `table`; `needs`: those of another measure.
    `size`: "small" or "large" where it is about datasets of that size. `reason`: what is known to be
    behind a verdict other than "reproduced".
    """

    id: str
    text: str
    section: str
    test: str
    paper: str = ""
    kind: str = "greater"
    tolerance: float = 0.0
    around: float | None = None
    within: float | None = None
    table: str = ""
    compare: Sequence[Mapping[str, Any]] = ()
    needs: Sequence[str] = ()
    size: str = ""
    reason: str = ""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bounds that the interval is held to, None where the claim is about the sign alone.

        >>> Claim("c", "A adds ten", "6.4", "R@1", kind="about", around=10, within=5).bounds
        (5, 15)
        """
        if self.kind == "about":
            return self.around - self.within, self.around + self.within
        return (-math.inf, self.tolerance) if self.kind == "no_gain" else None


@dataclass(frozen=True)
class Paper:
    """Tables by number, and claims by id, in the paper's order."""

    name: str
    tables: dict[str, PaperTable]
    claims: dict[str, Claim]

    @property
    def numbers(self) -> tuple[str, ...]:
        """What may be asked for: tables with numbers, and others that claims are about."""
        return tuple(dict.fromkeys([*self.tables, *(one.table for one in self.claims.values() if one.table)]))

    def rows_of(self, number: str) -> set[str]:
        """Keys of the notebook's rows that a table holds, or that claims about it need."""
        held = {line.run for line in self.tables[number].lines} if number in self.tables else set()
        return held.union(*(one.needs for one in self.claims.values() if one.table == number))


def read_paper(name: str) -> Paper:
    """The paper of a file in ``papers/``. Raises ConfigError where there is none of that name.

    >>> read_paper("intra_modal").tables["3"].ours[0].run
    'hinges-all'
    """
    file = _file(name)
    tables = {number: paper_table(name, number) for number in file["tables"]}
    return Paper(name, tables, {raw["id"]: Claim(**raw) for raw in file["claims"]})


def paper_table(paper: str, number: str | int) -> PaperTable:
    """One table as the paper prints it. Raises ConfigError for an unknown paper or table.

    >>> paper_table("instance_loss", 2).value("full_stage2", "image_query_r1")
    55.4
    """
    raw = _entry(paper, "tables", str(number))
    columns = [Column(**column) for column in raw["columns"]]
    rows = [_row(row) for row in raw["rows"]]
    cells = pd.DataFrame(
        [row["values"] for row in raw["rows"]],
        index=pd.Index([row.id for row in rows], name="row"),
        columns=[column.id for column in columns],
        dtype=float,
    )
    prose = {(item["row"], item["column"]): item["value"] for item in raw.get("prose", ())}
    for place, value in prose.items():
        cells.at[place] = value
    return PaperTable(
        paper,
        str(number),
        columns=columns,
        rows=rows,
        ours=[_row(row | {"label": f"Ours: {row['label']}"}) for row in raw.get("ours", ())],
        cells=cells,
        prose=list(prose),
        notes=tuple(raw.get("notes", ())),
        **{name: raw[name] for name in ("caption", "section", "dataset", "split")},
    )


def paper_values(paper: str, name: str) -> dict[str, float]:
    """Single numbers from a figure or the running text. Raises ConfigError for an unknown paper or name.

    >>> paper_values("instance_loss", "figure_5")["s_full"]
    0.0914
    """
    return dict(_entry(paper, "values", name)["numbers"])


@cache
def _file(paper: str) -> dict[str, Any]:
    files = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    if paper not in files:
        raise ConfigError(f"paper {paper!r} is unknown; expected one of {', '.join(files)}")
    return yaml.safe_load(files[paper].read_text("utf-8"))


def _entry(paper: str, part: str, name: str) -> dict[str, Any]:
    entries = _file(paper)[part]
    if name not in entries:
        raise ConfigError(f"{paper} has no {name!r} among its {part}; expected one of {', '.join(entries)}")
    return entries[name]


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(**{one.name: raw[one.name] for one in fields(Row) if one.name in raw})
