"""Tables that set a paper's numbers beside ours: paper, here, difference, for each metric.

The HTML is the same byte for byte for the same input, so that notebooks can be compared strictly. An empty
cell is an em dash: the paper does not print the number, or it was not computed here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from imtext.errors import ConfigError, DataError
from imtext.report.numbers import EM_DASH, Column, PaperTable

MINUS = "−"
PARTS = ("paper", "here", "diff")
_NEEDED = ("dataset", "profile", "seeds", "device")
_LINE = "1px solid rgba(121, 121, 121, 0.45)"
# Borders and opacity instead of colours: the table takes its ink from the page, light or dark.
BASE_STYLES: list[dict[str, Any]] = [
    {
        "selector": "",
        "props": "border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85em;",
    },
    {
        "selector": "caption",
        "props": "caption-side: top; text-align: left; font-size: 1em; padding-bottom: 0.5em;",
    },
    {"selector": "th, td", "props": "padding: 0.2em 0.4em; vertical-align: top;"},
    {"selector": "th.row_heading", "props": "text-align: left; font-weight: normal;"},
    {"selector": "th.col_heading", "props": "text-align: right; font-weight: normal;"},
    {"selector": "th.col_heading.level0", "props": "text-align: center; font-weight: 600;"},
    {"selector": "td", "props": "text-align: right; white-space: nowrap;"},
]

_SIDE_STYLES = [
    {"selector": "td.paper", "props": f"border-left: {_LINE};"},
    {"selector": "td.here", "props": "font-weight: 600;"},
    {"selector": "td.here small", "props": "font-size: 0.88em; font-weight: normal; opacity: 0.9;"},
    {"selector": "td.diff", "props": "opacity: 0.85;"},
    {"selector": "td.none", "props": "font-weight: normal; opacity: 0.6;"},
]


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign and a true minus.

    >>> signed(-1.5), signed(0.25), signed(-0.001)
    ('−1.50', '+0.25', '0.00')
    """
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return ("+" if value > 0 else MINUS) + text


def over_seeds(frame: pd.DataFrame, row: str = "row", seed: str = "seed") -> pd.DataFrame:
    """Mean and standard deviation over seeds, one line per row id, in the order of first appearance.

    `frame` has one line per (row, seed) and numeric metric columns. The result has, for each metric, its
    mean, `<metric>_sd` (n − 1 in the denominator; NaN for one seed) and `n_seeds`. Raises DataError when a
    (row, seed) stands there twice.

    >>> runs = pd.DataFrame({"row": ["a", "a"], "seed": [0, 1], "image_query_r1": [10.0, 14.0]})
    >>> over_seeds(runs).round(2).to_dict("records")
    [{'image_query_r1': 12.0, 'image_query_r1_sd': 2.83, 'n_seeds': 2}]
    """
    for column in (row, seed):
        if column not in frame.columns:
            raise DataError(
                f"runs: column {column!r} is missing; found {', '.join(map(str, frame.columns))}; add it"
            )
    twice = frame.duplicated([row, seed])
    if twice.any():
        first = frame.loc[twice].iloc[0]
        raise DataError(f"runs: row {first[row]!r}, seed {first[seed]!r} stands there twice; keep one")
    metrics = [column for column in frame.select_dtypes("number").columns if column not in (row, seed)]
    groups = frame.groupby(row, sort=False)
    parts: dict[str, pd.Series] = {}
    for metric in metrics:
        parts[metric] = groups[metric].mean()
        parts[f"{metric}_sd"] = groups[metric].std(ddof=1)
    parts["n_seeds"] = groups[seed].nunique()
    return pd.DataFrame(parts)


def describe(provenance: Mapping[str, Any]) -> str:
    """One line that says where numbers come from.

    `provenance` needs dataset, profile, seeds (one, or several) and device; hardware, commit and note are
    added when given. Raises ConfigError when one is missing.

    >>> describe({"dataset": "picturebook", "profile": "smoke", "seeds": [0, 1], "device": "cpu"})
    'picturebook · profile smoke · seeds 0, 1 · cpu'
    """
    missing = [key for key in _NEEDED if key not in provenance]
    if missing:
        raise ConfigError(f"provenance: {', '.join(missing)} missing; a table says {', '.join(_NEEDED)}")
    seeds = provenance["seeds"]
    seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    word = "seed" if len(seeds) == 1 else "seeds"
    parts = [str(provenance["dataset"]), f"profile {provenance['profile']}"]
    parts += [f"{int(provenance['groups']):,} training groups"] if provenance.get("groups") else []
    parts += [f"{word} {', '.join(str(seed) for seed in seeds)}", str(provenance["device"])]
    parts += [str(provenance["hardware"])] if provenance.get("hardware") else []
    parts += [f"commit {provenance['commit']}"] if provenance.get("commit") else []
    parts += [str(provenance["note"])] if provenance.get("note") else []
    return " · ".join(parts)


def _metrics(table: PaperTable, ours: pd.DataFrame, metrics: Sequence[str] | None) -> list[Column]:
    columns = {column.id: column for column in table.columns}
    wanted = list(metrics) if metrics is not None else list(columns)
    unknown = [metric for metric in wanted if metric not in columns]
    if unknown:
        raise ConfigError(
            f"Table {table.number}: no metric {unknown[0]!r}; expected some of {', '.join(columns)}"
        )
    if not any(metric in ours.columns for metric in wanted):
        raise DataError(
            f"Table {table.number}: none of {', '.join(wanted)} among the columns of our results "
            f"({', '.join(map(str, ours.columns)) or 'none'}); rename them"
        )
    return [columns[metric] for metric in wanted]


def _rows(
    table: PaperTable, ours: pd.DataFrame, rows: Sequence[str] | None, extra: Mapping[str, str]
) -> list[tuple]:
    """(row id, block, label) of every line: the paper's rows in its order, then `extra` ones."""
    if not ours.index.is_unique:
        raise DataError(f"Table {table.number}: our results hold a row id twice; use over_seeds() first")
    wanted = set(table.row_ids if rows is None else rows)
    unknown = sorted(wanted - set(table.row_ids)) or sorted(
        set(map(str, ours.index)) - set(table.row_ids) - set(extra)
    )
    if unknown:
        raise ConfigError(
            f"Table {table.number}: no row {unknown[0]!r}; expected some of {', '.join(table.row_ids)}"
        )
    lines = [(row.id, row.block, row.label) for row in table.rows if row.id in wanted]
    return lines + [(row, "", label) for row, label in extra.items()]


def _ours(ours: pd.DataFrame, row: str, column: str) -> float:
    if row not in ours.index or column not in ours.columns:
        return math.nan
    return float(ours.at[row, column])


def _index(table: PaperTable, lines: list[tuple]) -> pd.Index:
    if any(block for _, block, _ in lines):
        return pd.MultiIndex.from_tuples([(block, label) for _, block, label in lines])
    return pd.Index([label for _, _, label in lines])


def side_by_side_frame(
    table: PaperTable,
    ours: pd.DataFrame,
    rows: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The numbers behind `side_by_side` as floats, columns (metric id, paper | here | diff), by row id.

    >>> from imtext.report import paper_table
    >>> ours = pd.DataFrame({"image_query_r1": [41.0]}, index=["instance_stage1"])
    >>> frame = side_by_side_frame(paper_table("instance_loss", 2), ours, metrics=["image_query_r1"])
    >>> frame.loc["instance_stage1"].round(2).tolist()
    [39.9, 41.0, 1.1]
    """
    extra = extra or {}
    columns = _metrics(table, ours, metrics)
    lines = _rows(table, ours, rows, extra)
    data = []
    for row, _, _ in lines:
        cells = []
        for column in columns:
            printed = math.nan if row in extra else table.value(row, column.id)
            printed = math.nan if printed is None else printed
            here = _ours(ours, row, column.id)
            cells += [printed, here, here - printed]
        data.append(cells)
    header = pd.MultiIndex.from_product([[column.id for column in columns], PARTS])
    return pd.DataFrame(
        data, index=pd.Index([row for row, _, _ in lines], name="row"), columns=header, dtype=float
    )


def _here(value: float, sd: float) -> str:
    if math.isnan(value):
        return EM_DASH
    spread = "" if math.isnan(sd) else f"<br><small>±{sd:.2f}</small>"
    return f"{value:.2f}{spread}"


def side_by_side(
    table: PaperTable,
    ours: pd.DataFrame,
    provenance: Mapping[str, Any],
    rows: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> Styler:
    """The paper's table with three narrow columns per metric: paper, here, difference (here − paper).

    `ours` is keyed by the paper's row ids and has metric columns (`image_query_r1` …), optionally
    `<metric>_sd` and `n_seeds`. `rows` and `metrics` keep a part of the table; `extra` names rows of ours
    that the paper does not have (id → label). The paper's numbers stand with the digits it prints, ours with
    two. Raises ConfigError for an unknown row, metric or a provenance without dataset, profile, seeds or
    device; DataError when `ours` has no metric of the table.
    """
    numbers = side_by_side_frame(table, ours, rows, metrics, extra)
    columns = _metrics(table, ours, metrics)
    lines = _rows(table, ours, rows, extra or {})
    shown: list[list[str]] = []
    for row, _, _ in lines:
        cells = []
        for column in columns:
            printed, here, difference = (numbers.at[row, (column.id, part)] for part in PARTS)
            sd = _ours(ours, row, f"{column.id}_sd")
            cells += [column.show(printed), _here(here, sd)]
            cells += [EM_DASH if math.isnan(difference) else signed(difference)]
        shown.append(cells)
    header = pd.MultiIndex.from_product([[f"{c.group} {c.label}".strip() for c in columns], PARTS])
    frame = pd.DataFrame(shown, index=_index(table, lines), columns=header)
    caption = (
        f"<strong>Table {table.number}</strong>: {html.escape(table.caption)}. "
        f"Paper: {html.escape(table.dataset)} ({html.escape(table.split)}). "
        f"Here: {html.escape(describe(provenance))}{_seeds_note(ours)}."
    )
    marks = pd.DataFrame(
        [
            [PARTS[n % 3] + (" none" if cell == EM_DASH else "") for n, cell in enumerate(cells)]
            for cells in shown
        ]
    )
    return styled(frame, table.id, caption, marks, _SIDE_STYLES)


def _seeds_note(ours: pd.DataFrame) -> str:
    if "n_seeds" not in ours.columns or ours.empty:
        return ""
    low, high = int(ours["n_seeds"].min()), int(ours["n_seeds"].max())
    if high == 1:
        return ""
    many = f"{high}" if low == high else f"{low} to {high}"
    return f" · mean ± sd over {many} seeds"


def styled(
    frame: pd.DataFrame,
    uuid: str,
    caption: str,
    classes: pd.DataFrame | None = None,
    styles: Sequence[Any] = (),
) -> Styler:
    """The house style of a table whose cells are ready HTML; row labels are escaped, ids fixed by `uuid`.

    `classes` holds a CSS class per cell and has the shape of `frame`; `styles` are further rules for them.
    """
    rules = BASE_STYLES + list(styles)
    styler = frame.style.set_uuid(uuid).set_table_attributes('class="dataframe"').set_caption(caption)
    styler = styler.set_table_styles(rules).format_index(escape="html", axis=0)
    if classes is not None:
        styler = styler.set_td_classes(classes.set_axis(frame.index, axis=0).set_axis(frame.columns, axis=1))
    styler.cell_ids = False
    return styler


def as_printed(table: PaperTable, rows: Sequence[str] | None = None) -> Styler:
    """The paper's own table. A small p marks a number from its running text, a small r one that a later paper
    repeats."""
    wanted = set(table.row_ids if rows is None else rows)
    mixed = len({row.own for row in table.rows}) == 2
    lines = [
        (row.id, row.block, f"this paper: {row.label}" if mixed and row.own else row.label)
        for row in table.rows
        if row.id in wanted
    ]
    shown = []
    for row, _, _ in lines:
        cells = []
        for column in table.columns:
            source = table.source(row, column.id)
            mark = f"<sup>{source[0]}</sup>" if source and source != "table" else ""
            cells.append(column.show(table.value(row, column.id)) + mark)
        shown.append(cells)
    header = pd.MultiIndex.from_tuples([(column.group, column.label) for column in table.columns])
    frame = pd.DataFrame(shown, index=_index(table, lines), columns=header)
    caption = f"<strong>Table {table.number}</strong> as printed: {html.escape(table.caption)}."
    return styled(frame, f"{table.id}-printed", caption)
