"""Tables as HTML: one house style for light and dark pages, the same bytes for the same input."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from pandas.io.formats.style import Styler

MINUS = "−"
STYLES = yaml.safe_load((Path(__file__).parent / "styles.yaml").read_text("utf-8"))


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign and a true minus.

    >>> signed(-1.5), signed(0.25), signed(-0.001)
    ('−1.50', '+0.25', '0.00')
    """
    if not round(value, digits):
        return f"{0:.{digits}f}"
    return f"{value:+.{digits}f}".replace("-", MINUS)


def plain(value: float) -> str:
    """A number as a paper prints it, with commas and a true minus, four decimals at most.

    >>> plain(113287), plain(-0.25), plain(55.4 - 49.2)
    ('113,287', '−0.25', '6.2')
    """
    return f"{round(value, 4):,.10g}".replace("-", MINUS)


def size(low: float, high: float) -> str:
    """A range that may be open at one end.

    >>> size(1, 2), size(float("-inf"), 1), size(0, float("inf"))
    ('1 to 2', 'at most 1', 'at least 0')
    """
    if low == float("-inf"):
        return f"at most {plain(high)}"
    return f"at least {plain(low)}" if high == float("inf") else f"{plain(low)} to {plain(high)}"


def styled(
    frame: pd.DataFrame,
    uuid: str,
    caption: str,
    look: str = "",
    classes: Sequence[Sequence[str]] | None = None,
) -> Styler:
    """The house style of a table whose cells are ready HTML; row labels are escaped, ids fixed by `uuid`.

    `look` names rules of ``styles.yaml`` for the `classes`, a CSS class per cell.
    """
    rules = [*STYLES["every"].items(), *STYLES.get(look, {}).items()]
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
        tables = "\n".join(table.to_html() for table in self.tables)
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f'{tables}\n<ul style="font-size: 0.85em;">{notes}</ul>' if notes else tables
