"""A paper as its file in ``papers/`` says: what it prints, which rows fill its tables, what it claims.

A cell of a table is either a number that the paper prints, in the table or in its running text, or that
another paper repeats from it, or empty.
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

from imtext.check import one_of

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

    def show(self, value: float, digits: int | None = None) -> str:
        """The value with so many digits, at least those that the paper uses; an em dash for NaN.

        >>> Column("image_query_r1", "Image query", "R@1", "high", 1).show(78.0)
        '78.0'
        """
        if math.isnan(value):
            return EM_DASH
        digits = max(digits or 0, self.digits or 0) or None
        return f"{value:g}" if digits is None else f"{value:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """One line of a table. `own` marks the paper's own models.

    `run` is the notebook's row that fills the line here, '' for none; `read` the split it is read on; `over`
    the row of the table that this one is to be compared with; `where`: on "coco" or "other" data alone, or,
    with "5K", not where the test split is the field's gallery of 1,000 images. `visual`, `textual`: what
    reads images and captions, where the paper has such columns.
    """

    id: str
    label: str
    block: str = ""
    own: bool = False
    run: str = ""
    read: str = "test"
    over: str = ""
    where: str = ""
    visual: str = ""
    textual: str = ""


@dataclass(frozen=True, eq=False)
class PaperTable:
    """One table of a paper; its `id` is unique across papers, such as 'instance_loss-table-2'.

    `rows` are the paper's, `ours` those that this repository adds; `cells` are the numbers of the paper's
    rows: floats (R rows, C columns) by the ids of both, NaN where the paper has none. Those of `prose` are
    from its running text, or are repeated `by` another paper.
    """

    id: str
    number: str
    caption: str
    section: str
    dataset: str
    split: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    ours: Sequence[Row]
    cells: pd.DataFrame
    prose: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()

    @property
    def lines(self) -> tuple[Row, ...]:
        """The paper's rows, then rows of ours, which it does not print."""
        return (*self.rows, *self.ours)

    @property
    def gain_in(self) -> Column | None:
        """The metric in which rows gain over those that they name: R-sum, or the first; None if none does."""
        if not any(row.over for row in self.lines):
            return None
        return next((column for column in self.columns if column.id == "rsum"), self.columns[0])


@dataclass(frozen=True)
class Claim:
    """One testable sentence of a paper.

    `text` is the sentence in our words, `section` its place, `test` how it is decided, `paper` the paper's
    numbers. Without `bounds` it says that something is better than something else, and with them by how much,
    from and to, in the unit of the difference; the first is -inf where it says that there is no gain to
    speak of. `compare`: rows of `table`; `needs`: those of another measure.
    `size`: "small" or "large" where it is about datasets of that size, and judged on no other. `fails`: rows
    of which it says that they learn nothing.
    """

    id: str
    text: str
    section: str
    test: str
    paper: str = ""
    bounds: Sequence[float] = ()
    table: str = ""
    compare: Sequence[Mapping[str, Any]] = ()
    needs: Sequence[str] = ()
    size: str = ""
    fails: Sequence[str] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Keys of the rows that must have learnt something, each with the split on which it is read."""
        pairs = [(pair, one.get("split", "test")) for one in self.compare for pair in one["pairs"]]
        held = [(key, split) for pair, split in (*pairs, (self.needs, "test")) for key in pair]
        return [one for one in held if one[0] not in self.fails]


@dataclass(frozen=True)
class Paper:
    """What a paper prints and says, in its order.

    `tables` by number, `claims` by id; `values`: groups of single numbers, by name; `arithmetic`: what it
    computes from its numbers; `untested`: sentences that no claim tests, and why not.
    """

    name: str
    tables: Mapping[str, PaperTable]
    claims: Mapping[str, Claim]
    values: Mapping[str, Mapping[str, Any]]
    arithmetic: Sequence[Mapping[str, Any]] = ()
    untested: Sequence[Mapping[str, str]] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """What may be asked for: tables with numbers, and others that claims are about."""
        return tuple(dict.fromkeys([*self.tables, *(one.table for one in self.claims.values() if one.table)]))

    def rows_of(self, number: str) -> set[str]:
        """Keys of the notebook's rows that a table holds, or that claims about it need."""
        held = {line.run for line in self.tables[number].lines} if number in self.tables else set()
        return held.union(*(one.needs for one in self.claims.values() if one.table == number))


@cache
def read_paper(name: str) -> Paper:
    """The paper of a file in ``papers/``. Raises ConfigError where there is none of that name.

    >>> read_paper("intra_modal").tables["3"].ours[0].run
    'hinges-all'
    """
    files = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    file = yaml.safe_load(known(files, name, "paper").read_text("utf-8"))
    tables = {number: _table(name, number, raw) for number, raw in file["tables"].items()}
    claims = {raw["id"]: Claim(**raw) for raw in file["claims"]}
    return Paper(name, tables, claims, file["values"], file["arithmetic"], file["untested"])


def paper_table(paper: str, number: str | int) -> PaperTable:
    """One table as the paper prints it. Raises ConfigError for an unknown paper or table.

    >>> paper_table("instance_loss", 2).cells.at["full_stage2", "image_query_r1"]
    np.float64(55.4)
    """
    return known(read_paper(paper).tables, str(number), f"{paper}: table")


def paper_values(paper: str, name: str) -> dict[str, float]:
    """Single numbers from a figure or the running text. Raises ConfigError for an unknown paper or name.

    >>> paper_values("instance_loss", "figure_5")["s_full"]
    0.0914
    """
    numbers = known(read_paper(paper).values, name, f"{paper}: values")["numbers"]
    return {key: one["value"] for key, one in numbers.items()}


def known(entries: Mapping[str, Any], name: str, what: str) -> Any:
    """The entry of that name. Raises ConfigError, saying what it is, where there is none."""
    return entries[one_of(what, name, entries)]


def _table(paper: str, number: str, raw: Mapping[str, Any]) -> PaperTable:
    columns = [Column(**column) for column in raw["columns"]]
    values = {row["id"]: row["values"] for row in raw["rows"]}
    ids = [column.id for column in columns]
    cells = pd.DataFrame.from_dict(values, orient="index", columns=ids, dtype=float)
    for item in raw.get("prose", ()):
        cells.at[item["row"], item["column"]] = item["value"]
    rows = [_row(row) for row in raw["rows"]]
    ours = [_row(row | {"label": f"Ours: {row['label']}"}) for row in raw.get("ours", ())]
    made = {"columns": columns, "rows": rows, "ours": ours, "cells": cells}
    return PaperTable(id=f"{paper}-table-{number}", number=number, **raw | made)


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(**{one.name: raw[one.name] for one in fields(Row) if one.name in raw})
