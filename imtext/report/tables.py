"""Tables that set a paper's numbers beside ours: paper, here, difference, for each metric.

Two layouts: wide has three columns for each metric, tall three lines for each row. The HTML is the same byte
for byte for the same input, so that notebooks can be compared strictly. An empty cell is an em dash: the
paper does not print the number, or it was not computed here.
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
from imtext.report.comparison import PARTS, Comparison, Line, classes, metric_label, ran_styles
from imtext.report.markup import LINE, SIDE_STYLES, signed, styled
from imtext.report.numbers import EM_DASH, Column, PaperTable
from imtext.report.tall import tall

_NEEDED = ("dataset", "profile", "seeds", "device")
# So many metrics of three columns each fit on a page of the book; a column of text takes the place of one.
_WIDEST = 4
_LAYOUTS = ("auto", "wide", "tall")


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


def _wanted(table: PaperTable, ours: pd.DataFrame, rows: str | Sequence[str] | None) -> set[str]:
    """The ids of the paper's rows that `rows` asks for."""
    if rows is None:
        return set(table.row_ids)
    if not isinstance(rows, str):
        return set(rows)
    if rows == "own":
        return {row.id for row in table.rows if row.own}
    if rows == "ours":
        return set(table.row_ids) & set(ours.index)
    raise ConfigError(f"rows: expected row ids, 'own', 'ours' or None, found {rows!r}")


def _lines(
    table: PaperTable,
    ours: pd.DataFrame,
    rows: str | Sequence[str] | None,
    extra: Mapping[str, str],
    ran: Mapping[str, str] | None = None,
) -> tuple[Line, ...]:
    """Every line: the paper's rows in its order, then `extra` ones."""
    if not ours.index.is_unique:
        raise DataError(f"Table {table.number}: our results hold a row id twice; use over_seeds() first")
    wanted, ran = _wanted(table, ours, rows), ran or {}
    known = set(table.row_ids)
    unknown = sorted(wanted - known) or sorted((set(map(str, ours.index)) | set(ran)) - known - set(extra))
    if unknown:
        raise ConfigError(
            f"Table {table.number}: no row {unknown[0]!r}; expected some of {', '.join(table.row_ids)}"
        )
    lines = [
        Line(row.id, row.block, row.label, ran.get(row.id, "")) for row in table.rows if row.id in wanted
    ]
    there = set(map(str, ours.index))
    lines += [Line(row, "", label, ran.get(row, "")) for row, label in extra.items() if row in there]
    if not lines:
        raise DataError(
            f"Table {table.number}: rows={rows!r} leaves no row; our results hold "
            f"{', '.join(map(str, ours.index)) or 'none'}"
        )
    labels = [(line.block, line.label) for line in lines]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ConfigError(
            f"Table {table.number}: two rows have the label {twice[0][1]!r}; give `extra` another"
        )
    return tuple(lines)


def _ours(ours: pd.DataFrame, row: str, column: str) -> float:
    if row not in ours.index or column not in ours.columns:
        return math.nan
    return float(ours.at[row, column])


def side_by_side_frame(
    table: PaperTable,
    ours: pd.DataFrame,
    rows: str | Sequence[str] | None = None,
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
    lines = _lines(table, ours, rows, extra)
    data = []
    for line in lines:
        cells = []
        for column in columns:
            printed = math.nan if line.id in extra else table.value(line.id, column.id)
            printed = math.nan if printed is None else printed
            here = _ours(ours, line.id, column.id)
            cells += [printed, here, here - printed]
        data.append(cells)
    header = pd.MultiIndex.from_product([[column.id for column in columns], PARTS])
    index = pd.Index([line.id for line in lines], name="row")
    return pd.DataFrame(data, index=index, columns=header, dtype=float)


def _here(value: float, sd: float) -> str:
    if math.isnan(value):
        return EM_DASH
    spread = "" if math.isnan(sd) else f"<br><small>±{sd:.2f}</small>"
    return f"{value:.2f}{spread}"


def _cells(numbers: pd.DataFrame, ours: pd.DataFrame, columns: Sequence[Column], row: str) -> tuple:
    """(paper, here, difference) of one row for each metric, as HTML."""
    cells = []
    for column in columns:
        printed, here, difference = (numbers.at[row, (column.id, part)] for part in PARTS)
        gap = EM_DASH if math.isnan(difference) else signed(difference)
        cells.append((column.show(printed), _here(here, _ours(ours, row, f"{column.id}_sd")), gap))
    return tuple(cells)


def side_by_side(
    table: PaperTable,
    ours: pd.DataFrame,
    provenance: Mapping[str, Any],
    rows: str | Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    extra: Mapping[str, str] | None = None,
    ran: Mapping[str, str] | None = None,
    layout: str = "auto",
) -> Styler:
    """The paper's table with ours beside it: for each metric paper, here, difference (here − paper).

    Args:
        ours: keyed by the paper's row ids, with metric columns (`image_query_r1` …), optionally
            `<metric>_sd` and `n_seeds`.
        provenance: dataset, profile, seeds, device, and what else `describe` takes.
        rows: row ids; "own" for the paper's own models only; "ours" for the rows that have results; None for
            all. Rows of `extra` are shown where our results have them.
        metrics: metric ids, None for all.
        extra: rows of ours that the paper does not have, id → label.
        ran: row id → what ran here in the place of what the paper names: a column of its own or, where it is
            the same in every row, a part of the caption.
        layout: "wide" has three columns for each metric, "tall" three lines for each row; "auto" is tall
            for more than four metrics, with a column of `ran` for more than three: a page holds no more.

    The paper's numbers stand with the digits it prints, ours with two. Raises ConfigError for an unknown row,
    metric or layout or a provenance without dataset, profile, seeds or device; DataError when `ours` has no
    metric or no row of the table.
    """
    if layout not in _LAYOUTS:
        raise ConfigError(f"layout: expected one of {', '.join(_LAYOUTS)}, found {layout!r}")
    numbers = side_by_side_frame(table, ours, rows, metrics, extra)
    columns = _metrics(table, ours, metrics)
    lines = _lines(table, ours, rows, extra or {}, ran)
    cells = tuple(_cells(numbers, ours, columns, line.id) for line in lines)
    kinds = {line.ran for line in lines} if ran else set()
    comparison = Comparison(lines, tuple(columns), cells, says_ran=len(kinds) > 1)
    if layout == "auto":
        layout = "tall" if len(columns) > _WIDEST - comparison.says_ran else "wide"
    frame, marks, styles = tall(comparison) if layout == "tall" else _wide(comparison)
    same = f" · {html.escape(kinds.pop())}" if len(kinds) == 1 else ""
    low = " ↓ lower is better." if any(column.better == "low" for column in columns) else ""
    caption = (
        f"<strong>Table {table.number}</strong>: {html.escape(table.caption)}. "
        f"Paper: {html.escape(table.dataset)} ({html.escape(table.split)}). "
        f"Here: {html.escape(describe(provenance))}{same}{_seeds_note(ours)}.{low}"
    )
    # One page may show a table in several forms: their rules must not meet.
    form = "-tall" * (layout == "tall") + "-ran" * comparison.says_ran
    styler = styled(frame, table.id + form, caption, marks, styles)
    return styler.hide(axis=0, level=frame.index.nlevels - 1) if layout == "tall" else styler


def _wide(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, str]]]:
    """(cells, CSS classes, CSS rules) of a comparison with three columns a metric: paper, here, diff."""
    names = [f"{column.group} {metric_label(column)}".strip() for column in comparison.columns]
    shown = [[cell for triple in row for cell in triple] for row in comparison.cells]
    marks = [[classes(PARTS[n % 3], cell) for n, cell in enumerate(cells)] for cells in shown]
    header = comparison.header([(name, part) for name in names for part in PARTS])
    frame = pd.DataFrame(shown, index=comparison.index(), columns=header)
    border = {"selector": "td.paper", "props": f"border-left: {LINE};"}
    return frame, pd.DataFrame(marks), [border, *SIDE_STYLES, *ran_styles(comparison)]


def _seeds_note(ours: pd.DataFrame) -> str:
    if "n_seeds" not in ours.columns or ours.empty:
        return ""
    low, high = int(ours["n_seeds"].min()), int(ours["n_seeds"].max())
    if high == 1:
        return ""
    many = f"{high}" if low == high else f"{low} to {high}"
    return f" · mean ± sd over {many} seeds"


def as_printed(table: PaperTable, rows: Sequence[str] | None = None) -> Styler:
    """The paper's own table. A small p marks a number from its running text, a small r one that a later paper
    repeats."""
    wanted = set(table.row_ids if rows is None else rows)
    mixed = len({row.own for row in table.rows}) == 2
    lines = [
        Line(row.id, row.block, f"this paper: {row.label}" if mixed and row.own else row.label)
        for row in table.rows
        if row.id in wanted
    ]
    shown = []
    for line in lines:
        cells = []
        for column in table.columns:
            source = table.source(line.id, column.id)
            mark = f"<sup>{source[0]}</sup>" if source and source != "table" else ""
            cells.append(column.show(table.value(line.id, column.id)) + mark)
        shown.append(cells)
    header = pd.MultiIndex.from_tuples([(column.group, column.label) for column in table.columns])
    index = Comparison(tuple(lines), table.columns, ()).index()
    frame = pd.DataFrame(shown, index=index, columns=header)
    caption = f"<strong>Table {table.number}</strong> as printed: {html.escape(table.caption)}."
    return styled(frame, f"{table.id}-printed", caption)
