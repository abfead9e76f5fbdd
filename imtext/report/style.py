"""House style of every figure: one palette, mid-grey ink, no background.

A figure is drawn once and read on white and on dark pages. So its background is transparent, its ink is a
grey with the same contrast to white as to #121212 (4.3 : 1), and the line colours are those of the Okabe–Ito
palette (safe for colour-blind readers) that keep at least 3 : 1 against both. Nothing is told by colour
alone. All that is no colour of a series stands in the style sheet `house.mplstyle` beside this file.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

INK = "#797979"
RED = "#E5383B"
GREEN = "#00875F"
# Okabe and Ito's blue, vermillion, bluish green and reddish purple, in the order in which series take them.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
MAP = "cividis"
# Width in inches of the book's text column.
BOOK_WIDTH = 7.2

# Letters that the font lacks, such as Chinese ones, are drawn as boxes; a warning for each would bury a page.
warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)

_SHEET = ("imtext.report.house", {"axes.prop_cycle": mpl.cycler(color=PALETTE, linestyle=DASHES)})
_AS_WRITTEN = {"text.parse_math": False}


def use_house_style() -> None:
    """Make the house style the default of this process, and show text in tables whole.

    The figures of this package use the style in any case.
    """
    plt.style.use(_SHEET)
    pd.set_option("display.max_colwidth", None)


def house_style() -> AbstractContextManager[None]:
    """The house style within a `with` block or of a function, without touching the defaults outside; text as
    it is written."""
    return plt.style.context([*_SHEET, _AS_WRITTEN])


def text_as_written() -> AbstractContextManager[None]:
    """A `with` block in which a `$` of a caption begins no formula; what holds one says `parse_math=True`."""
    return mpl.rc_context(_AS_WRITTEN)


def new_figure(height: float, **options: object) -> Figure:
    """An empty figure, `height` inches high and as wide as the book, that a notebook shows once."""
    # Through pyplot, so that a notebook's backend is set up; closed, so that it is not shown a second time.
    figure = plt.figure(figsize=(BOOK_WIDTH, height), **options)
    plt.close(figure)
    return figure
