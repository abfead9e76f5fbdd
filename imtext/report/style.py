"""House style of every figure: one palette, mid-grey ink, no background.

A figure is drawn once and read on white and on dark pages. So its background is transparent, its ink is a
grey with the same contrast to white as to #121212 (4.3 : 1), and the line colours are those of the Okabe–Ito
palette (safe for colour-blind readers) that keep at least 3 : 1 against both. Nothing is told by colour
alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

INK = "#797979"
RED = "#E5383B"
GREEN = "#00875F"
# Okabe and Ito's blue, vermillion, bluish green and reddish purple, in the order in which series take them.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
MAP = "cividis"
# Width in inches of the book's text column.
BOOK_WIDTH = 7.2
PAGES = {"light": "#FFFFFF", "dark": "#121212"}

# Letters that the font lacks, such as Chinese ones, are drawn as boxes; a warning for each would bury a page.
warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)

_SETTINGS = {
    "figure.facecolor": "none",
    "figure.edgecolor": "none",
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "savefig.transparent": True,
    "savefig.dpi": 200,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=PALETTE, linestyle=DASHES),
    "text.color": INK,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "image.interpolation": "nearest",
    # Text stays text in SVG, and a fixed salt keeps its ids the same from run to run.
    "svg.fonttype": "none",
    "svg.hashsalt": "imtext",
}


def use_house_style() -> None:
    """Make the house style the default of this process, and show text in tables whole.

    The figures of this package use the style in any case.
    """
    mpl.rcParams.update(_SETTINGS)
    pd.set_option("display.max_colwidth", None)


@contextmanager
def house_style() -> Iterator[None]:
    """The house style within a `with` block, without touching the defaults outside; text as it is written."""
    with mpl.rc_context(_SETTINGS), text_as_written():
        yield


@contextmanager
def text_as_written() -> Iterator[None]:
    """A `with` block in which a `$` of a caption begins no formula; what holds one says `parse_math=True`."""
    with mpl.rc_context({"text.parse_math": False}):
        yield


def new_figure(height: float, width: float = BOOK_WIDTH, **options: object) -> Figure:
    """An empty figure of `width` × `height` inches that a notebook shows once, as the value of its cell."""
    # Through pyplot, so that a notebook's backend is set up; closed, so that it is not shown a second time.
    figure = plt.figure(figsize=(width, height), **options)
    plt.close(figure)
    return figure


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width in inches of one line of text at `size` points.

    >>> text_width("wide", 10) < text_width("wide", 10, bold=True)
    True
    """
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with text_as_written():
        return float(TextPath((0, 0), text, prop=font).get_extents().width) / 72


def _luminance(colour: str) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours (WCAG 2), from 1 to 21.

    >>> round(contrast("#000000", "#FFFFFF"), 1)
    21.0
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)
