"""The numbers that a paper prints, read from the YAML files beside this module.

A cell is either a number that the paper prints or empty. Each cell knows where it was read: in the table
itself, in the paper's running text, or (only on request) in a later paper that repeats it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from imtext.errors import ConfigError

EM_DASH = "—"


@dataclass(frozen=True)
class Column:
    """One metric of a table: `better` is 'high' or 'low'; `digits` is None where the paper prints whole
    numbers."""

    id: str
    group: str
    label: str
    better: str
    digits: int | None = None

    def show(self, value: float | None) -> str:
        """The value with the digits that the paper uses, an em dash where there is none.

        >>> Column("image_query_r1", "Image query", "R@1", "high", 1).show(78.0)
        '78.0'
        """
        if value is None or math.isnan(value):
            return EM_DASH
        return f"{value:g}" if self.digits is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Row:
    """One line of a table. `own` marks the paper's own models; `details` holds further text columns.

    `run` is the notebook's row that fills the line here, '' for none; `read` the split it is read on; `over`
    the row of the table that this one is to be compared with; `where`: on "coco" or "other" data alone.
    """

    id: str
    label: str
    block: str
    own: bool
    details: tuple[tuple[str, str], ...]
    run: str = ""
    read: str = "test"
    over: str = ""
    where: str = ""


@dataclass(frozen=True)
class PaperTable:
    """One table of a paper: `columns`, `rows`, and the cells as dictionaries keyed by (row id, column id).

    `ours` are rows that this repository adds.
    """

    paper: str
    number: str
    caption: str
    section: str
    dataset: str
    split: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: dict[tuple[str, str], float | None]
    sources: dict[tuple[str, str], str]
    notes: tuple[str, ...]
    ours: tuple[Row, ...] = ()

    @property
    def lines(self) -> tuple[Row, ...]:
        """The paper's rows, then rows of ours, which it does not print."""
        return self.rows + self.ours

    @property
    def compares(self) -> bool:
        """Whether rows name another that they gain over."""
        return any(row.over for row in self.lines)

    @property
    def gain_in(self) -> Column:
        """The metric of that gain: R-sum, or the first."""
        return next((column for column in self.columns if column.id == "rsum"), self.columns[0])

    @property
    def id(self) -> str:
        """A name that is unique across papers, such as 'instance_loss-table-2'."""
        return f"{self.paper}-table-{self.number}"

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The row ids in the paper's order."""
        return tuple(row.id for row in self.rows)

    @property
    def column_ids(self) -> tuple[str, ...]:
        """The column ids in the paper's order."""
        return tuple(column.id for column in self.columns)

    def value(self, row: str, column: str) -> float | None:
        """The printed number, None where the cell is empty. Raises ConfigError for an unknown row or
        column."""
        if (row, column) not in self.cells:
            raise ConfigError(
                f"Table {self.number} of {self.paper} has no cell ({row!r}, {column!r}); "
                f"rows: {', '.join(self.row_ids)}; columns: {', '.join(self.column_ids)}"
            )
        return self.cells[row, column]

    def source(self, row: str, column: str) -> str:
        """Where the cell was read: 'table', 'prose, section …', 'repeated by …', or '' for an empty cell."""
        self.value(row, column)
        return self.sources[row, column]

    def frame(self) -> pd.DataFrame:
        """All cells as floats (R rows, C columns), NaN where the paper has none; indexed by row id."""
        data = [[self.cells[row, column] for column in self.column_ids] for row in self.row_ids]
        return pd.DataFrame(
            data, index=pd.Index(self.row_ids, name="row"), columns=list(self.column_ids), dtype=float
        )


def papers() -> tuple[str, ...]:
    """The papers whose numbers are here.

    >>> "instance_loss" in papers()
    True
    """
    folder = resources.files("imtext.report") / "papers"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


@cache
def _packaged(paper: str) -> dict[str, Any]:
    if paper not in papers():
        raise ConfigError(f"paper {paper!r} is unknown; expected one of {', '.join(papers())}")
    return yaml.safe_load((resources.files("imtext.report") / "papers" / f"{paper}.yaml").read_text("utf-8"))


def table_ids(paper: str) -> tuple[str, ...]:
    """The tables of a paper in order.

    >>> table_ids("instance_loss")
    ('1', '2', '3', '4', '5', '6', '7', '8')
    """
    return tuple(_packaged(paper)["tables"])


def paper_values(paper: str, name: str) -> dict[str, float]:
    """Single numbers from a figure or the running text.

    >>> paper_values("instance_loss", "figure_5")["s_full"]
    0.0914
    """
    values = _packaged(paper)["values"]
    if name not in values:
        raise ConfigError(f"{paper} has no values {name!r}; expected one of {', '.join(values)}")
    return dict(values[name]["numbers"])


def raw_claims(paper: str) -> list[dict[str, Any]]:
    """The claims of a paper as they stand in its file; `paper_claims` makes `Claim` objects of them."""
    return list(_packaged(paper).get("claims", ()))


def paper_table(paper: str, table_id: str | int, repeated: bool = False) -> PaperTable:
    """One table as the paper prints it.

    `repeated=True` also fills cells that cannot be read in the paper's text from later papers that repeat the
    row; their source says which. Raises ConfigError for an unknown paper or table.

    >>> table = paper_table("instance_loss", 2)
    >>> table.value("full_stage2", "image_query_r1"), table.source("full_stage2", "image_query_r1")
    (55.4, 'table')
    """
    tables = _packaged(paper)["tables"]
    if str(table_id) not in tables:
        raise ConfigError(f"{paper} has no Table {table_id}; expected one of {', '.join(tables)}")
    return build_table(paper, str(table_id), tables[str(table_id)], repeated)


def build_table(paper: str, number: str, raw: dict[str, Any], repeated: bool = False) -> PaperTable:
    """A PaperTable from one checked entry of a file."""
    columns = tuple(Column(**column) for column in raw["columns"])
    rows = tuple(map(_row, raw["rows"]))
    ours = tuple(_row({**row, "label": f"Ours: {row['label']}"}) for row in raw.get("ours", ()))
    cells: dict[tuple[str, str], float | None] = {}
    sources: dict[tuple[str, str], str] = {}
    for row in raw["rows"]:
        for column, value in zip(columns, row["values"], strict=True):
            cells[row["id"], column.id] = None if value is None else float(value)
            sources[row["id"], column.id] = "" if value is None else "table"
    for item in raw.get("prose", ()):
        cells[item["row"], item["column"]] = float(item["value"])
        sources[item["row"], item["column"]] = f"prose, section {item['section']}"
    for item in raw.get("repeated", ()) if repeated else ():
        cells[item["row"], item["column"]] = float(item["value"])
        sources[item["row"], item["column"]] = f"repeated by {item['where']}"
    return PaperTable(
        paper=paper,
        number=number,
        caption=raw["caption"],
        section=raw["section"],
        dataset=raw["dataset"],
        split=raw["split"],
        columns=columns,
        rows=rows,
        cells=cells,
        sources=sources,
        notes=tuple(raw.get("notes", ())),
        ours=ours,
    )


def _row(raw: dict[str, Any]) -> Row:
    filled = ("run", "read", "over", "where")
    fixed = {"id", "label", "block", "own", "values", *filled}
    details = tuple((key, text) for key, text in raw.items() if key not in fixed)
    run = {name: raw[name] for name in filled if name in raw}
    return Row(raw["id"], raw["label"], raw.get("block", ""), raw.get("own", False), details, **run)
