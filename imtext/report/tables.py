"""A paper's numbers beside ours: of each row of a table a line as printed and a line of what came out here.

The HTML is the same byte for byte for the same input, so that notebooks can be compared strictly. An empty
cell is an em dash: the paper does not print the number, or it was not computed here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from imtext.errors import ConfigError
from imtext.report.markup import LINE, SIDE_STYLES, signed, styled
from imtext.report.numbers import EM_DASH, Column, PaperTable, Row

PAPER, HERE, GAIN = "paper", "here", "gain"
RAN = "ran here"
STYLES = [
    *SIDE_STYLES,
    {"selector": "td.part", "props": "text-align: left; opacity: 0.85;"},
    {"selector": "td.group", "props": f"border-left: {LINE};"},
    {"selector": "th, td", "props": "padding: 0.2em 0.3em;"},
    {"selector": "th.row_heading, td.first", "props": f"border-top: {LINE};"},
    {"selector": "th.row_heading", "props": "white-space: normal;"},
    {"selector": "th.index_name", "props": "text-align: left; font-weight: normal;"},
    # The lines of a row belong together: the stripes of a page would tear them apart.
    {"selector": "tbody tr", "props": "background: none !important;"},
]


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, one line per row id, in the order of first appearance.

    `runs` has one line per (row, seed) and numeric metric columns. The result has, for each metric, its
    mean, `<metric>_sd` (n − 1 in the denominator; NaN for one seed) and `n_seeds`.

    >>> runs = pd.DataFrame({"row": ["a", "a"], "seed": [0, 1], "image_query_r1": [10.0, 14.0]})
    >>> over_seeds(runs).round(2).to_dict("records")
    [{'image_query_r1': 12.0, 'image_query_r1_sd': 2.83, 'n_seeds': 2}]
    """
    groups = runs.groupby("row", sort=False)
    metrics = [name for name in runs.select_dtypes("number").columns if name not in ("row", "seed")]
    mean, spread = groups[metrics].mean(), groups[metrics].std().add_suffix("_sd")
    return mean.join(spread).assign(n_seeds=groups["seed"].nunique())


def describe(provenance: Mapping[str, Any]) -> str:
    """One line that says where numbers come from: dataset, profile, seeds, device, and what else is known.

    >>> describe({"dataset": "picturebook", "profile": "smoke", "seeds": [0, 1], "device": "cpu"})
    'picturebook · profile smoke · seeds 0, 1 · cpu'
    """
    seeds = ", ".join(map(str, provenance["seeds"]))
    parts = [provenance["dataset"], f"profile {provenance['profile']}"]
    if provenance.get("groups"):
        parts.append(f"{provenance['groups']:,} training groups")
    parts += [f"seed{'s' * (len(provenance['seeds']) > 1)} {seeds}", provenance["device"]]
    parts.append(provenance.get("hardware"))
    parts.append(f"commit {provenance['commit']}" if provenance.get("commit") else None)
    parts.append(provenance.get("note"))
    return " · ".join(filter(None, parts))


def side_by_side(
    table: PaperTable,
    ours: pd.DataFrame,
    provenance: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
    ran: Mapping[str, str] | None = None,
    others: bool = False,
) -> Styler:
    """The paper's table with ours beside it: of each row a line as printed, and one of what came out here.

    Where rows of the table name the row that they are to be compared with, a last column holds the gain over
    that row, in R-sum or in the first metric: the paper's in its own line, ours in ours.

    Args:
        ours: keyed by row ids, with metric columns (`image_query_r1` …), optionally `<metric>_sd` and
            `n_seeds`, as :func:`over_seeds` makes it.
        provenance: what :func:`describe` takes.
        extra: rows that the table does not have, id → label.
        ran: row id → what ran here in the place of what the paper names: a column of its own or, where it is
            the same in every row, a part of the caption.
        others: show rows of the paper that nothing came out for, too.

    The paper's numbers stand with the digits it prints, ours with two.

    Raises:
        ConfigError: a row of ours that neither the table nor `extra` has.
    """
    extra, ran = extra or {}, ran or {}
    rows = {row.id: row for row in table.lines}
    rows |= {name: Row(name, label, "", False, ()) for name, label in extra.items()}
    for name in ours.index:
        if name not in rows:
            raise ConfigError(f"Table {table.number}: no row {name!r}; expected some of {', '.join(rows)}")
    shown = [row for row in rows.values() if row.id in ours.index or (others and row.id in table.row_ids)]
    kinds = {ran.get(row.id, "") for row in shown}
    cells, marks, keys = [], [], []
    for row in shown:
        first = " first"
        for part, line in ((PAPER, _printed(table, row)), (HERE, _came_out(table, row, ours))):
            # A row that the paper has without numbers says so.
            if set(line) != {EM_DASH} or (part == PAPER and row.id in table.row_ids):
                cells.append([part, *line])
                marks.append([name + first for name in ("part", *_classes(table, part, line))])
                keys.append((row.block, row.label, ran.get(row.id, "") or EM_DASH, part))
                first = ""
    index = pd.MultiIndex.from_tuples(keys)
    index = index.droplevel([0] * (not any(row.block for row in shown)) + [2] * (len(kinds) == 1))
    heads = [(column.group, metric_label(column)) for column in table.columns]
    heads += [("Gain", table.gain_in.label)] if table.compares else []
    names = [None, RAN if len(kinds) > 1 else None]
    header = pd.MultiIndex.from_tuples([("", ""), *heads], names=names)
    same = f" · {html.escape(kinds.pop())}" if kinds != {""} and len(kinds) == 1 else ""
    low = " ↓ lower is better." if any(column.better == "low" for column in table.columns) else ""
    caption = (
        f"<strong>Table {table.number}</strong>: {html.escape(table.caption)}. "
        f"Paper: {html.escape(table.dataset)} ({html.escape(table.split)}). "
        f"Here: {html.escape(describe(provenance))}{same}{_seeds_note(ours)}.{low}"
    )
    frame = pd.DataFrame(cells, index=index, columns=header)
    styler = styled(frame, table.id, caption, pd.DataFrame(marks), STYLES)
    # The part is in the index to keep it unique, and in a column to be read.
    return styler.hide(axis=0, level=index.nlevels - 1)


def as_printed(table: PaperTable) -> Styler:
    """The paper's own table. A small p marks a number from its running text."""
    mixed = len({row.own for row in table.rows}) == 2
    shown, keys = [], []
    for row in table.rows:
        cells = []
        for column in table.columns:
            source = table.sources[row.id, column.id]
            mark = f"<sup>{source[0]}</sup>" if source and source != "table" else ""
            cells.append(column.show(table.cells[row.id, column.id]) + mark)
        shown.append(cells)
        keys.append((row.block, f"this paper: {row.label}" if mixed and row.own else row.label))
    index = pd.MultiIndex.from_tuples(keys)
    index = index if any(row.block for row in table.rows) else index.droplevel(0)
    header = pd.MultiIndex.from_tuples([(column.group, column.label) for column in table.columns])
    caption = f"<strong>Table {table.number}</strong> as printed: {html.escape(table.caption)}."
    return styled(pd.DataFrame(shown, index=index, columns=header), f"{table.id}-printed", caption)


def metric_label(column: Column) -> str:
    """The label of a metric; an arrow marks one that is better when it is low.

    >>> metric_label(Column("m", "Text query", "Med r", "low")), metric_label(Column("r", "", "R@1", "high"))
    ('Med r ↓', 'R@1')
    """
    return f"{column.label} ↓" if column.better == "low" else column.label


def _printed(table: PaperTable, row: Row) -> list[str]:
    """A row as the paper prints it."""
    cells = [column.show(table.cells.get((row.id, column.id))) for column in table.columns]
    if not table.compares:
        return cells
    own, base = (table.cells.get((name, table.gain_in.id)) for name in (row.id, row.over))
    return [*cells, EM_DASH if own is None or base is None else signed(own - base, table.gain_in.digits or 0)]


def _came_out(table: PaperTable, row: Row, ours: pd.DataFrame) -> list[str]:
    """What came out here in the place of a row."""

    def value(name: str, metric: str) -> float:
        known = name in ours.index and metric in ours.columns
        return float(ours.at[name, metric]) if known else math.nan

    cells = []
    for column in table.columns:
        mean, spread = value(row.id, column.id), value(row.id, f"{column.id}_sd")
        after = "" if math.isnan(spread) else f"<br><small>±{spread:.2f}</small>"
        cells.append(EM_DASH if math.isnan(mean) else f"{mean:.2f}{after}")
    if not table.compares:
        return cells
    gain = value(row.id, table.gain_in.id) - value(row.over, table.gain_in.id)
    return [*cells, EM_DASH if math.isnan(gain) else signed(gain)]


def _classes(table: PaperTable, part: str, line: list[str]) -> list[str]:
    """CSS classes of the cells of a line: its part, where a group of metrics begins, whether it is empty."""
    groups = [None, *(column.group for column in table.columns), GAIN]
    starts = [one != before for before, one in zip(groups, groups[1:], strict=False)]
    return [
        part + " none" * (cell == EM_DASH) + " group" * start
        for cell, start in zip(line, starts, strict=False)
    ]


def _seeds_note(ours: pd.DataFrame) -> str:
    if "n_seeds" not in ours.columns or ours["n_seeds"].max() == 1:
        return ""
    low, high = int(ours["n_seeds"].min()), int(ours["n_seeds"].max())
    return f" · mean ± sd over {high if low == high else f'{low} to {high}'} seeds"
