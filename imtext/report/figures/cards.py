"""Cards: a group's pictures with its captions beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from imtext.errors import ConfigError, DataError
from imtext.report.figures.gallery import wrap
from imtext.report.figures.pictures import as_picture, show_picture
from imtext.report.style import BOOK_WIDTH, INK, house_style, new_figure

# All in inches.
GAP, PAD, BETWEEN = 0.12, 0.09, 0.05
TALLEST = 2.2
INDENT = 0.11


def _pictures(group: Any, number: int) -> list[np.ndarray]:
    """The pictures of one group, given as one or as several."""
    several = isinstance(group, (list, tuple)) or getattr(group, "ndim", 3) == 4
    pictures = [as_picture(item, f"group {number}") for item in (group if several else [group])]
    if not pictures:
        raise DataError(f"group_cards: group {number} has no picture; give at least one")
    return pictures


def _height(pictures: Sequence[np.ndarray], width: float) -> float:
    """The height at which the pictures, side by side, fill `width`, at most TALLEST."""
    shares = sum(picture.shape[1] / picture.shape[0] for picture in pictures)
    return min(TALLEST, (width - BETWEEN * (len(pictures) - 1)) / shares)


def _band(heights: Sequence[float]) -> float:
    """The height of a row's pictures: that of the lowest, but one wide picture does not make all small."""
    return max(min(heights), 0.6 * max(heights))


def group_cards(
    images: Sequence[Any],
    captions: Sequence[Sequence[str]],
    labels: Sequence[str] | None = None,
    per_row: int = 3,
    size: float = 8.0,
) -> Figure:
    """Groups as cards in rows of `per_row`: pictures side by side, captions beneath, a label above.

    `images[i]`: one picture of group i or a list of them, uint8, (H, W, 3) or (3, H, W), of any shape;
    `captions[i]`: its captions; `labels[i]`: what stands above, as in "class 1". Raises DataError when
    there are not as many of each, or a group has no picture or no caption. Source: instance loss, Figures 1
    and 7.
    """
    if per_row < 1:
        raise ConfigError(f"per_row: expected 1 or more, found {per_row}")
    counts = {"groups of images": len(images), "of captions": len(captions)}
    counts |= {} if labels is None else {"labels": len(labels)}
    if len(set(counts.values())) != 1 or not len(images):
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise DataError(f"group_cards: expected as many of each and at least one, found {found}")
    groups = [_pictures(group, number) for number, group in enumerate(images)]
    for number, own in enumerate(captions):
        if isinstance(own, str) or not len(own):
            raise DataError(f"group_cards: group {number} needs a list of captions, found {own!r}")
    columns = min(per_row, len(groups))
    width = (BOOK_WIDTH - GAP * (per_row - 1)) / per_row
    inner = width - 2 * PAD
    texts = [[wrap(text, inner - INDENT, size) for text in own] for own in captions]
    rows = [range(start, min(start + columns, len(groups))) for start in range(0, len(groups), columns)]
    head = 0.0 if labels is None else 0.21
    bands = [_band([_height(groups[n], inner) for n in row]) for row in rows]
    heights = [
        head + band + 2.6 * PAD + max(_text_height(texts[n], size) for n in row)
        for row, band in zip(rows, bands, strict=True)
    ]
    total_width = columns * width + (columns - 1) * GAP
    total = sum(heights) + GAP * (len(rows) - 1) + 0.04
    with house_style():
        figure = new_figure(total, total_width, layout="none")
        top = total - 0.02
        for row, band, height in zip(rows, bands, heights, strict=True):
            for place, number in enumerate(row):
                card = (place * (width + GAP), top - height, width, height)
                label = None if labels is None else str(labels[number])
                _draw_card(figure, card, groups[number], texts[number], label, band, size)
            top -= height + GAP
    return figure


def _text_height(texts: Sequence[str], size: float) -> float:
    lines = sum(text.count("\n") + 1 for text in texts)
    return (lines * 1.22 + 0.3 * len(texts)) * size / 72


def _draw_card(
    figure: Figure,
    card: tuple[float, float, float, float],
    pictures: Sequence[np.ndarray],
    texts: Sequence[str],
    label: str | None,
    band: float,
    size: float,
) -> None:
    """One card; `card` is its left, bottom, width and height in inches, `band` what its pictures may fill."""
    left, bottom, width, height = card
    wide, high = figure.get_figwidth(), figure.get_figheight()
    box = FancyBboxPatch(
        ((left + 0.01) / wide, (bottom + 0.01) / high),
        (width - 0.02) / wide,
        (height - 0.02) / high,
        # Shares of the figure and not inches: a notebook crops the figure, and inches would stay behind.
        boxstyle=f"round,pad=0,rounding_size={0.05 / wide}",
        mutation_aspect=wide / high,
        transform=figure.transFigure,
        facecolor="none",
        edgecolor=INK,
        alpha=0.5,
        linewidth=0.8,
        gid="card",
    )
    figure.add_artist(box)
    top = bottom + height - PAD
    if label is not None:
        figure.text((left + PAD) / wide, top / high, label, va="top", fontweight="bold", fontsize=size + 1)
        top -= 0.21
    tall = min(band, _height(pictures, width - 2 * PAD))
    x = left + PAD
    for picture in pictures:
        across = tall * picture.shape[1] / picture.shape[0]
        axes = figure.add_axes((x / wide, (top - tall) / high, across / wide, tall / high))
        show_picture(axes, picture)
        x += across + BETWEEN
    top -= band + 0.6 * PAD
    for text in texts:
        figure.text((left + PAD) / wide, top / high, "–", va="top", fontsize=size)
        place = ((left + PAD + INDENT) / wide, top / high)
        figure.text(*place, text, va="top", fontsize=size, linespacing=1.18, gid="caption")
        top -= _text_height([text], size)
