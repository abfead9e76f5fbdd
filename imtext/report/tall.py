"""The tall layout of a comparison: for every row of the paper three lines, one column for each metric.

Eight metrics with three columns each are wider than a page; with three lines each they are not. A line that
would hold nothing is left out, so that a method of others, which did not run here, takes one line. The other
layout, three columns for each metric, stands in `imtext.report.tables`.
"""

from __future__ import annotations

import pandas as pd

from imtext.report.comparison import PARTS, Comparison, classes, metric_label, ran_styles
from imtext.report.markup import LINE, SIDE_STYLES
from imtext.report.numbers import EM_DASH

_STYLES = [
    {"selector": "td.part", "props": "text-align: left; opacity: 0.85;"},
    {"selector": "td.group", "props": f"border-left: {LINE};"},
    {"selector": "th, td", "props": "padding: 0.2em 0.3em;"},
    {"selector": "th.row_heading, td.first", "props": f"border-top: {LINE};"},
    # Three lines belong together: the stripes of a page would tear them apart.
    {"selector": "tbody tr", "props": "background: none !important;"},
]


def _parts(row: tuple[tuple[str, str, str], ...]) -> list[str]:
    """The parts of a row that hold a number; 'paper' where none does."""
    full = [part for number, part in enumerate(PARTS) if any(cell[number] != EM_DASH for cell in row)]
    return full or [PARTS[0]]


def tall(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, str]]]:
    """(cells, CSS classes, CSS rules) of a comparison with up to three lines a row: paper, here, diff.

    The last level of the index is the part once more, to keep the index unique; it is not for showing.
    """
    columns = comparison.columns
    header = comparison.header([("", ""), *((column.group, metric_label(column)) for column in columns)])
    groups = ["", *(column.group for column in columns)]
    starts = [groups[number] != groups[number - 1] for number in range(1, len(groups))]
    parts = [_parts(row) for row in comparison.cells]
    shown, marks = [], []
    for row, own in zip(comparison.cells, parts, strict=True):
        for part in own:
            cells = [triple[PARTS.index(part)] for triple in row]
            first = " first" if part == own[0] else ""
            names = [
                classes(part, cell) + " group" * start for cell, start in zip(cells, starts, strict=True)
            ]
            shown.append([part, *cells])
            marks.append([name + first for name in ("part", *names)])
    frame = pd.DataFrame(shown, index=comparison.index(parts), columns=header)
    return frame, pd.DataFrame(marks), [*SIDE_STYLES, *ran_styles(comparison), *_STYLES]
