"""Which regions of an image light up for which word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from imtext.errors import ConfigError, DataError
from imtext.report.figures.pictures import as_picture, show_picture
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure, text_width

# All in inches, but SIZE and SMALLEST: points.
SIZE, SMALLEST = 8.5, 7.0
TITLE, GAP, NOTE = 0.2, 0.09, 0.3
TALLEST, FEWEST = 2.0, 3
START, STRIP, STRIP_HIGH = 0.62, 1.1, 0.1
# How much of the picture is hidden where the weight is 0; the rest is seen, so that the eye finds its way.
VEIL = 0.82
SCALES = ("all", "word")


def _boxes(regions: Any, shape: tuple[int, int]) -> np.ndarray:
    """Left, top, right, bottom edges (R, 4) of the regions; pixel x reaches from x to x + 1."""
    height, width = shape
    array = np.asarray(regions, dtype=float)
    if array.shape == (2,):
        if (array < 1).any() or (array != array.astype(int)).any():
            raise DataError(
                f"attention_picture: a grid should be (rows, columns) from 1, found {tuple(array.tolist())}"
            )
        rows, columns = array.astype(int)
        x, y = np.arange(columns) * width / columns, np.arange(rows) * height / rows
        left, top = (part.ravel() for part in np.meshgrid(x, y))
        return np.stack([left, top, left + width / columns, top + height / rows], axis=1)
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        raise DataError(
            f"attention_picture: regions should be (rows, columns) or boxes (R, 4), found {array.shape}"
        )
    bad = ~((array[:, :2] >= 0).all(1) & (array[:, 2:] >= array[:, :2]).all(1))
    bad |= ~((array[:, 2] <= width - 1) & (array[:, 3] <= height - 1))
    if bad.any():
        raise DataError(
            f"attention_picture: box {array[bad][0].tolist()} should be x1, y1, x2, y2 within {width} x "
            f"{height} pixels; scale boxes as the image is scaled"
        )
    # Both ends of a box are inclusive.
    return array + np.array([0, 0, 1, 1])


def _weights(weights: Any, words: Sequence[str], count: int) -> np.ndarray:
    array = np.asarray(weights, dtype=float)
    if array.shape != (len(words), count):
        raise DataError(
            f"attention_picture: weights of shape {array.shape} for {len(words)} words and {count} regions; "
            "give (words, regions), transpose weights of the other direction"
        )
    if not len(words):
        raise DataError("attention_picture: no word; give at least one")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise DataError("attention_picture: weights should be finite and from 0 on; look at their run")
    return array


def light(shape: tuple[int, int], boxes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weight of every pixel (H, W): the largest of the regions over its middle, 0 where there is none.

    `boxes` (R, 4): left, top, right and bottom edges; `weights` (R,).

    >>> light((1, 3), np.array([[0, 0, 2, 1], [1, 0, 3, 1]]), np.array([0.2, 0.5])).tolist()
    [[0.2, 0.5, 0.5]]
    """
    found = np.zeros(shape)
    y, x = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    for (left, top, right, bottom), weight in zip(boxes, weights, strict=True):
        rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
        part = np.ix_(rows, columns)
        found[part] = np.maximum(found[part], weight)
    return found


def _short(value: float) -> str:
    """A weight with two digits that count.

    >>> _short(0.3149), _short(0.1), _short(0.00421), _short(1.0), _short(0.0)
    ('.31', '.10', '.0042', '1.0', '0')
    """
    return f"{value:#.2g}".removeprefix("0") if value >= 1e-4 else f"{value:.2g}"


def _wide(text: str, size: float, bold: bool = False) -> float:
    """Width in inches; that of nothing is 0."""
    return text_width(text, size, bold) if text.strip() else 0.0


def _title(axes: Axes, word: str, weight: str, across: float) -> None:
    """The word in bold, as small as it must be, and its largest weight behind it."""
    room = across - (_wide(weight, SMALLEST + 0.5) + 0.08 if weight else 0.0)
    size = SIZE
    while size > SMALLEST and _wide(word, size, bold=True) > room:
        size -= 0.5
    while len(word) > 2 and _wide(word, size, bold=True) > room:
        word = word[:-2] + "…"
    look = {"transform": axes.transAxes, "va": "bottom"}
    axes.text(0, 1.02, word, ha="left", fontsize=size, fontweight="bold", gid="word", **look)
    if weight:
        axes.text(1, 1.02, weight, ha="right", fontsize=SMALLEST + 0.5, gid="weight", **look)


def _outline(axes: Axes, box: np.ndarray) -> None:
    left, top, right, bottom = box - 0.5
    axes.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, edgecolor=PALETTE[1], linewidth=1.1,
            path_effects=[withStroke(linewidth=2.3, foreground="white", alpha=0.85)], gid="first",
        )
    )  # fmt: skip


def _draw(axes: Axes, image: np.ndarray, pixels: np.ndarray, most: float, box: np.ndarray | None) -> None:
    """The image under a veil that lifts with the weight; `box` is outlined."""
    show_picture(axes, image)
    height, width = image.shape[:2]
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    veil = np.zeros((height, width, 4))
    veil[..., 3] = VEIL * (1 - (pixels / most if most else pixels))
    axes.imshow(veil, gid="veil")
    if box is not None:
        _outline(axes, box)


def attention_picture(
    image: Any,
    regions: Any,
    words: Sequence[str],
    weights: Any,
    scale: str = "word",
    per_row: int = 4,
    caption: str = "image",
) -> Figure:
    """The image once as it is, then once for each word, its regions the brighter the larger their weight.

    Args:
        image: uint8 (H, W, 3) or (3, H, W); what the regions were taken from, after any crop.
        regions: (rows, columns) of a grid of cells, numbered row by row, or boxes (R, 4): x1, y1, x2, y2 in
            pixels, counted from 0, both ends inclusive.
        words: W strings, titles of the panels.
        weights: (W, R), from 0 on, such as those of `imtext.models.attention.attend` with direction t-i.
        scale: "word", each word's largest weight is the brightest, and a word that attends to everything
            alike lights the whole image; "all", the largest of all words is, and such a word stays dim.
        per_row: panels in a row.
        caption: title of the first panel.

    Beside a word stands its largest weight, and the region that has it is outlined, unless several do. Where
    boxes lie over each other, a pixel shows the largest weight; where none is, it is as dark as weight 0. The
    strip below says what the brightness means.

    Raises DataError for an image, regions or weights of another form, ConfigError for another `scale` or
    `per_row` below 1. Source: attention as in SCAN, section IV-C of rich features.
    """
    if scale not in SCALES or per_row < 1:
        raise ConfigError(
            f"attention_picture takes scale in {SCALES} and per_row from 1, found {scale!r} and {per_row}"
        )
    picture, words = as_picture(image, "attention_picture"), [str(word) for word in words]
    boxes = _boxes(regions, picture.shape[:2])
    table = _weights(weights, words, len(boxes))
    columns = min(per_row, len(words) + 1)
    cell = (BOOK_WIDTH - GAP * (max(columns, FEWEST) - 1)) / max(columns, FEWEST)
    tall = min(TALLEST, cell * picture.shape[0] / picture.shape[1])
    across = tall * picture.shape[1] / picture.shape[0]
    rows, note = -(-(len(words) + 1) // columns), _scale_note(table, scale)
    with house_style():
        wide = max(
            columns * (across + GAP) - GAP, START + STRIP + sum(_wide(text, 7.5) for text in note) + 0.25
        )
        total = rows * (TITLE + tall + GAP) + NOTE
        figure = new_figure(total, wide, layout="none")
        for number in range(len(words) + 1):
            left = number % columns * (across + GAP)
            foot = total - (number // columns + 1) * (TITLE + tall + GAP) + GAP
            axes = figure.add_axes((left / wide, foot / total, across / wide, tall / total))
            if not number:
                show_picture(axes, picture)
                _title(axes, caption, "", across)
                continue
            own = table[number - 1]
            most, first = float(table.max() if scale == "all" else own.max()), int(own.argmax())
            pixels = light(picture.shape[:2], boxes, own)
            alone = int(np.isclose(own, own[first], rtol=1e-6).sum()) == 1
            _draw(axes, picture, pixels, most, boxes[first] if alone else None)
            _title(axes, words[number - 1], _short(own[first]), across)
        _strip(figure, note)
    return figure


def _scale_note(table: np.ndarray, scale: str) -> tuple[str, str]:
    """What stands right of the strip, and a note on even weights where they mean something."""
    end = _short(table.max()) if scale == "all" else "each word's largest weight"
    even = ""
    if np.allclose(table.sum(1), 1, atol=1e-3):
        even = f"a word's weights add up to 1: {_short(1 / table.shape[1])} each if even"
    return end, even


def _strip(figure: Figure, note: tuple[str, str]) -> None:
    """Brightness from weight 0 to the largest, on a grey ground."""
    wide, total = figure.get_figwidth(), figure.get_figheight()
    foot, start = 0.06, START
    place = (start / wide, foot / total, STRIP / wide, STRIP_HIGH / total)
    axes = figure.add_axes(place, xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=INK, linewidth=0.6)
    shades = 0.8 * (1 - VEIL * (1 - np.linspace(0, 1, 64)))
    axes.imshow(np.tile(shades, (2, 1)), cmap="gray", vmin=0, vmax=1, aspect="auto", gid="strip")
    look = {"fontsize": 7.5, "va": "center"}
    middle = (foot + STRIP_HIGH / 2) / total
    figure.text((start - 0.05) / wide, middle, "weight 0", ha="right", **look)
    end, even = note
    figure.text((start + STRIP + 0.05) / wide, middle, end, ha="left", gid="most", **look)
    figure.text(1 - 0.01 / wide, middle, even, ha="right", gid="even", **look)
