"""Rows of pictures: what a query finds.

Right answers are green, with a thick frame, ✓ and bold type; wrong ones red, with a thin frame, ✗ and plain
type.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from imtext.errors import DataError
from imtext.report.figures.pictures import as_picture, show_picture
from imtext.report.style import BOOK_WIDTH, GREEN, INK, RED, house_style, new_figure

_POINTS_PER_INCH = 72
# DejaVu Sans: the mean advance of a letter in running English text, as a share of the font size.
_ADVANCE = 0.56
# Inches: no picture of a gallery is taller, and no gallery so narrow that its captions break all the time.
_TALLEST, _NARROWEST = 1.9, 3.6


def wrap(text: str, width: float, size: float) -> str:
    """`text` broken into lines of about `width` inches at `size` points.

    >>> wrap("a black dog in the snow", 0.8, 8)
    'a black dog\\nin the snow'
    """
    # Tokenised captions set a space before the full stop.
    text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text.split()))
    letters = max(6, int(width * _POINTS_PER_INCH / (size * _ADVANCE)))
    return "\n".join(textwrap.wrap(text, letters)) or text


def _mark(correct: bool | None) -> tuple[str, str]:
    if correct is None:
        return "", INK
    return ("✓ ", GREEN) if correct else ("✗ ", RED)


def _frame(correct: bool | None, cell: float) -> float:
    """Width in points of a picture's frame, thinner around small pictures."""
    return max(2.0, min(3.5, 2.5 * cell)) if correct else 1.0


def _tallness(pictures: Sequence[np.ndarray]) -> float:
    """The height of the tallest picture as a share of its width, within reason."""
    return min(3.0, max(0.6, *(picture.shape[0] / picture.shape[1] for picture in pictures)))


def _same_length(name: str, **parts: Sequence[Any]) -> None:
    lengths = {key: len(value) for key, value in parts.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        found = ", ".join(f"{count} {key}" for key, count in lengths.items())
        raise DataError(f"{name}: expected as many of each and at least one, found {found}")


def picture_rows(
    images: Sequence[Any], captions: Sequence[str], per_row: int = 4, title: str = "", size: float = 8.5
) -> Figure:
    """Pictures in rows of `per_row`, each with its caption beneath.

    `images`: uint8, (H, W, 3) or (3, H, W). Raises DataError when there are not as many captions.
    """
    _same_length("picture_rows", images=images, captions=captions)
    columns = min(per_row, len(images))
    rows = -(-len(images) // columns)
    cell = BOOK_WIDTH / per_row
    texts = [wrap(caption, cell - 0.12, size) for caption in captions]
    lines = max(text.count("\n") + 1 for text in texts)
    height = rows * (cell + lines * size * 1.2 / _POINTS_PER_INCH) + 0.1 + (0.25 if title else 0)
    with house_style():
        figure = new_figure(height, cell * columns)
        grid = figure.subplots(rows, columns, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number >= len(images):
                axes.set_axis_off()
                continue
            show_picture(axes, images[number])
            axes.set_xlabel(texts[number], fontsize=size, loc="left")
        if title:
            figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
    return figure


def image_search(
    queries: Sequence[str],
    results: Sequence[Sequence[Any]],
    correct: Sequence[Sequence[bool | None]],
    size: float = 9,
) -> Figure:
    """One row per caption: the images found for it, best first, right ones framed in green.

    `results[i]`: uint8 images of query i, (H, W, 3) or (3, H, W), of any shape; `correct[i]`: True, False or
    None (not known) for each. Source: instance loss, Figures 9, 12 and 13.
    """
    _same_length("image_search", queries=queries, results=results, correct=correct)
    for query, images, marks in zip(queries, results, correct, strict=True):
        _same_length(f"image_search, query {query!r}", images=images, marks=marks)
    found = [[as_picture(image) for image in row] for row in results]
    columns = max(len(row) for row in found)
    tall = _tallness([picture for row in found for picture in row])
    cell = min(BOOK_WIDTH / max(columns, 4), _TALLEST / tall)
    width = min(BOOK_WIDTH, max(cell * columns, _NARROWEST))
    texts = [wrap(f"“{query}”", width * 0.94, size) for query in queries]
    line = size * 1.3 / _POINTS_PER_INCH
    heights = [cell * tall * 0.92 + (text.count("\n") + 1) * line + 0.36 for text in texts]
    with house_style():
        figure = new_figure(sum(heights), width)
        bands = figure.subfigures(len(queries), 1, squeeze=False, height_ratios=heights)[:, 0]
        for band, text, pictures, marks in zip(bands, texts, found, correct, strict=True):
            band.set_facecolor("none")
            band.suptitle(text, x=0.01, ha="left", fontsize=size)
            _search_row(band, pictures, marks, columns, cell, size)
    return figure


def _search_row(
    band: SubFigure,
    pictures: Sequence[np.ndarray],
    marks: Sequence[bool | None],
    columns: int,
    cell: float,
    size: float,
) -> None:
    """The pictures found for one query, numbered, with their marks."""
    for number, axes in enumerate(band.subplots(1, columns, squeeze=False)[0]):
        if number >= len(pictures):
            axes.set_axis_off()
            continue
        sign, colour = _mark(marks[number])
        framed = None if marks[number] is None else colour
        show_picture(axes, pictures[number], framed, _frame(marks[number], cell))
        weight = "bold" if marks[number] else "normal"
        axes.set_xlabel(f"{sign}{number + 1}", color=colour, fontsize=size, fontweight=weight)


def caption_search(
    images: Sequence[Any],
    results: Sequence[Sequence[str]],
    correct: Sequence[Sequence[bool | None]],
    size: float = 9,
) -> Figure:
    """One row per image: the captions found for it, best first, right ones in green with ✓.

    `images`: uint8, (H, W, 3) or (3, H, W), of any shape; `results[i]`: captions for image i; `correct[i]`:
    True, False or None (not known) for each. Source: instance loss, Figures 10, 14 and 15.
    """
    _same_length("caption_search", images=images, results=results, correct=correct)
    for row, marks in zip(results, correct, strict=True):
        _same_length("caption_search", captions=row, marks=marks)
    pictures = [as_picture(image) for image in images]
    tall = [picture.shape[0] / picture.shape[1] for picture in pictures]
    column = max(min(1.5, _TALLEST / share) for share in tall)
    # The layout keeps a little room at the sides of a picture.
    shown = [min((column - 0.1) * share, _TALLEST) for share in tall]
    line = size * 1.35 / _POINTS_PER_INCH
    texts = [[wrap(text, BOOK_WIDTH - column - 0.65, size) for text in row] for row in results]
    lengths = [sum(text.count("\n") + 1.35 for text in row) * line + 0.1 for row in texts]
    heights = [max(pair) + 0.12 for pair in zip(shown, lengths, strict=True)]
    with house_style():
        figure = new_figure(sum(heights), BOOK_WIDTH)
        ratios = {"width_ratios": [column, BOOK_WIDTH - column], "height_ratios": heights}
        grid = figure.subplots(len(images), 2, gridspec_kw=ratios, squeeze=False)
        for (left, right), picture, row, marks, height in zip(
            grid, pictures, texts, correct, heights, strict=True
        ):
            show_picture(left, picture)
            left.set_anchor("NW")
            _found_captions(right, row, marks, height, size)
    return figure


def _found_captions(
    axes: Axes, texts: Sequence[str], marks: Sequence[bool | None], height: float, size: float
) -> None:
    """Captions one below the other in axes of `height` inches, each with its sign and a rule at its left."""
    axes.set_axis_off()
    line = size * 1.35 / _POINTS_PER_INCH
    top = 0.0
    for text, known in zip(texts, marks, strict=True):
        sign, colour = _mark(known)
        rows = text.count("\n") + 1
        if known is not None:
            ends = [1 - (top + 0.01) / height, 1 - (top + rows * line - 0.02) / height]
            rule = {"color": colour, "linestyle": "-", "linewidth": 3.0 if known else 1.0}
            axes.plot([0.004] * 2, ends, transform=axes.transAxes, clip_on=False, gid="rule", **rule)
        place = {"va": "top", "transform": axes.transAxes, "color": colour, "fontsize": size}
        axes.text(0.016, 1 - top / height, sign, **place)
        weight = "bold" if known else "normal"
        axes.text(0.055, 1 - top / height, text, linespacing=1.25, fontweight=weight, **place)
        top += (rows + 0.35) * line
