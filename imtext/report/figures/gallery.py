"""Rows of pictures: what a query finds. Right answers are green with a thick frame and ✓, wrong ones red,
thin, ✗."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.figures.pictures import show_picture
from imtext.report.style import BOOK_WIDTH, GREEN, INK, RED, house_style, new_figure

_POINTS_PER_INCH = 72
# DejaVu Sans: the mean advance of a letter in running English text, as a share of the font size.
_ADVANCE = 0.56


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
    """One row per sentence: the images found for it, best first, right ones framed in green.

    `results[i]`: uint8 images of query i; `correct[i]`: True, False or None (not known) for each. Source:
    instance loss, Figures 9, 12 and 13.
    """
    _same_length("image_search", queries=queries, results=results, correct=correct)
    columns = max(len(row) for row in results)
    cell = BOOK_WIDTH / max(columns, 4)
    with house_style():
        figure = new_figure(len(queries) * (cell + 0.42), cell * columns)
        bands = figure.subfigures(len(queries), 1, squeeze=False)[:, 0]
        for band, query, images, marks in zip(bands, queries, results, correct, strict=True):
            _same_length(f"image_search, query {query!r}", images=images, marks=marks)
            band.set_facecolor("none")
            band.suptitle(wrap(f"“{query}”", BOOK_WIDTH * 0.95, size), x=0.01, ha="left", fontsize=size)
            for axes, number in zip(band.subplots(1, columns, squeeze=False)[0], range(columns), strict=True):
                if number >= len(images):
                    axes.set_axis_off()
                    continue
                sign, colour = _mark(marks[number])
                framed = None if marks[number] is None else colour
                show_picture(axes, images[number], framed, 3.5 if marks[number] else 1.2)
                axes.set_xlabel(f"{sign}{number + 1}", color=colour, fontsize=size)
    return figure


def sentence_search(
    images: Sequence[Any],
    results: Sequence[Sequence[str]],
    correct: Sequence[Sequence[bool | None]],
    size: float = 9,
) -> Figure:
    """One row per image: the sentences found for it, best first, right ones in green with ✓.

    `results[i]`: sentences for image i; `correct[i]`: True, False or None (not known) for each. Source:
    instance loss, Figures 10, 14 and 15.
    """
    _same_length("sentence_search", images=images, results=results, correct=correct)
    picture = 1.5
    line = size * 1.35 / _POINTS_PER_INCH
    texts = [[wrap(text, BOOK_WIDTH - picture - 0.65, size) for text in row] for row in results]
    heights = [
        max(picture, sum(text.count("\n") + 1.35 for text in row) * line + 0.1) + 0.12 for row in texts
    ]
    with house_style():
        figure = new_figure(sum(heights), BOOK_WIDTH)
        ratios = {"width_ratios": [picture, BOOK_WIDTH - picture], "height_ratios": heights}
        grid = figure.subplots(len(images), 2, gridspec_kw=ratios, squeeze=False)
        for (left, right), image, row, marks, height in zip(
            grid, images, texts, correct, heights, strict=True
        ):
            _same_length("sentence_search", sentences=row, marks=marks)
            show_picture(left, image)
            left.set_anchor("NW")
            right.set_axis_off()
            top = 0.0
            for text, known in zip(row, marks, strict=True):
                sign, colour = _mark(known)
                weight = "bold" if known else "normal"
                place = {"va": "top", "transform": right.transAxes, "color": colour, "fontsize": size}
                right.text(0.0, 1 - top / height, sign, **place)
                right.text(0.045, 1 - top / height, text, linespacing=1.25, fontweight=weight, **place)
                top += (text.count("\n") + 1.35) * line
    return figure
