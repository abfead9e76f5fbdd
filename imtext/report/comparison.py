"""A paper's rows beside ours, ready to be laid out: what the wide and the tall layout have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from imtext.report.numbers import EM_DASH, Column

PARTS = ("paper", "here", "diff")
RAN = "ran here"


@dataclass(frozen=True)
class Line:
    """One row of a comparison: row id, block, label, and what ran here ('' where that is not said)."""

    id: str
    block: str
    label: str
    ran: str = ""


@dataclass(frozen=True)
class Comparison:
    """A comparison that is ready to be laid out.

    `cells[r][c]` holds the HTML of (paper, here, difference) of row r and metric c. `says_ran`: whether there
    is a column that says what ran.
    """

    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[tuple[str, str, str], ...], ...]
    says_ran: bool = False

    def index(self, parts: Sequence[Sequence[str]] = ()) -> pd.Index:
        """The labels of the lines: block (where rows have one), label, what ran (where it is said), part.

        `parts`: for each row the parts it has, where each part is a line of its own.
        """
        levels = [[line.label for line in self.lines]]
        if any(line.block for line in self.lines):
            levels.insert(0, [line.block for line in self.lines])
        if self.says_ran:
            levels.append([line.ran or EM_DASH for line in self.lines])
        keys = list(zip(*levels, strict=True))
        if parts:
            keys = [(*key, part) for key, own in zip(keys, parts, strict=True) for part in own]
        return pd.MultiIndex.from_tuples(keys) if len(keys[0]) > 1 else pd.Index([key for (key,) in keys])

    def header(self, pairs: Sequence[tuple[str, str]]) -> pd.MultiIndex:
        """The two header lines; the name of the second stands above the last row label: what ran."""
        return pd.MultiIndex.from_tuples(pairs, names=[None, RAN if self.says_ran else None])


def metric_label(column: Column) -> str:
    """The label of a metric; an arrow marks one that is better when it is low.

    >>> metric_label(Column("m", "Text query", "Med r", "low")), metric_label(Column("r", "", "R@1", "high"))
    ('Med r ↓', 'R@1')
    """
    return f"{column.label} ↓" if column.better == "low" else column.label


def classes(part: str, cell: str) -> str:
    """The CSS classes of one cell: its part, and `none` where it is empty.

    >>> classes("here", "41.00"), classes("diff", "—")
    ('here', 'diff none')
    """
    return part + (" none" if cell == EM_DASH else "")


def ran_styles(comparison: Comparison) -> list[dict[str, str]]:
    """CSS rules for the column that says what ran: small, and its words may break into lines."""
    if not comparison.says_ran:
        return []
    level = comparison.index().nlevels - 1
    return [
        {"selector": "th.row_heading", "props": "white-space: normal;"},
        {"selector": f"th.row_heading.level{level}", "props": "font-size: 0.9em; max-width: 9.5em;"},
        {"selector": "th.index_name", "props": "text-align: left; font-weight: normal;"},
    ]
