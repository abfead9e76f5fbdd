"""Tables as HTML: one house style for light and dark pages, the same bytes for the same input."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

MINUS = "−"
LINE = "1px solid rgba(121, 121, 121, 0.45)"
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
# What the cells of a comparison are: the paper's number, ours, the difference; `none` is an empty one.
SIDE_STYLES: list[dict[str, Any]] = [
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


class Page:
    """Tables under one another, with notes beneath, as a notebook shows them."""

    def __init__(self, *tables: Styler, notes: Sequence[str] = ()) -> None:
        self.tables, self.notes = tables, tuple(notes)

    def __repr__(self) -> str:
        return f"{len(self.tables)} tables, {len(self.notes)} notes"

    def _repr_html_(self) -> str:
        """The tables as they are, and a list of notes."""
        parts = [table.to_html() for table in self.tables]
        if self.notes:
            lines = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
            parts.append(f'<ul style="font-size: 0.85em;">{lines}</ul>')
        return "\n".join(parts)
