"""Tables as HTML: one house style for light and dark pages, the same bytes for the same input."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

MINUS = "−"
LINE = "1px solid rgba(121, 121, 121, 0.45)"
# Borders and opacity instead of colours: the table takes its ink from the page, light or dark.
BASE_STYLES = {
    "": "border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85em;",
    "caption": "caption-side: top; text-align: left; font-size: 1em; padding-bottom: 0.5em;",
    "th, td": "padding: 0.2em 0.4em; vertical-align: top;",
    "th.row_heading": "text-align: left; font-weight: normal;",
    "th.col_heading": "text-align: right; font-weight: normal;",
    "th.col_heading.level0": "text-align: center; font-weight: 600;",
    "td": "text-align: right; white-space: nowrap;",
}


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
    classes: Sequence[Sequence[str]] | None = None,
    styles: Mapping[str, str] | None = None,
) -> Styler:
    """The house style of a table whose cells are ready HTML; row labels are escaped, ids fixed by `uuid`.

    `classes` holds a CSS class per cell; `styles` are further rules for them, properties by selector.
    """
    rules = [*BASE_STYLES.items(), *(styles or {}).items()]
    styler = frame.style.set_uuid(uuid).set_table_attributes('class="dataframe"').set_caption(caption)
    styler = styler.set_table_styles([{"selector": which, "props": props} for which, props in rules])
    if classes is not None:
        styler = styler.set_td_classes(pd.DataFrame(classes, index=frame.index, columns=frame.columns))
    styler.cell_ids = False
    return styler.format_index(escape="html", axis=0)


class Page:
    """Tables under one another, with notes beneath, as a notebook shows them."""

    def __init__(self, *tables: Styler, notes: Sequence[str] = ()) -> None:
        self.tables, self.notes = tables, notes

    def __repr__(self) -> str:
        return f"{len(self.tables)} tables, {len(self.notes)} notes"

    def _repr_html_(self) -> str:
        """The tables as they are, and a list of notes."""
        parts = [table.to_html() for table in self.tables]
        if self.notes:
            lines = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
            parts.append(f'<ul style="font-size: 0.85em;">{lines}</ul>')
        return "\n".join(parts)
