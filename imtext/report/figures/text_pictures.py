"""Sentences drawn as pictures: beside their words, and one taken apart."""

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

# All in inches, but SIZE and SMALL: points.
SIZE, SMALL = 8.0, 7.5
EDGE, GAP, BETWEEN = 0.04, 0.16, 0.09
WHOLE, TILE_HIGH, LINE = 1.35, 0.3, 0.56
HEAD, ZOOM, ROW = 0.24, 2.3, 0.21
# Numbers of a word that are written out; further ones are left to three dots.
SHOWN = 12


def _places(places: Any, words: Sequence[str], tile: Sequence[int], picture: np.ndarray) -> np.ndarray:
    """Top and left pixel of each word's tile (W, 2), all of them on the picture."""
    array = np.asarray(places)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"text pictures: places should be (P, 2) integers, found {array.shape} {array.dtype}")
    if not len(words) or isinstance(words, str):
        raise DataError(f"text pictures: expected a list of words for each picture, found {words!r}")
    if len(words) > len(array):
        raise DataError(
            f"text pictures: {len(words)} words and {len(array)} places; leave out words that are not drawn"
        )
    array = array[: len(words)]
    if (array < 0).any() or (array + np.array(tile) > picture.shape[:2]).any():
        raise DataError(
            f"text pictures: a tile of {tile[1]} x {tile[0]} pixels is not whole on a picture of "
            f"{picture.shape[1]} x {picture.shape[0]}; give places less the offset of the crop"
        )
    return array


def _framed(axes: Axes, picture: np.ndarray, gid: str) -> None:
    """A picture with a thin line round it: black would be lost on a dark page."""
    show_picture(axes, picture, frame=INK, width=0.8)
    axes.images[0].set_gid(gid)


def _rows(words: Sequence[str], wide: float, room: float) -> list[list[tuple[int, float, float]]]:
    """(word, left, width) of the cells in each line, in inches; a cell is as wide as tile and word need."""
    rows: list[list[tuple[int, float, float]]] = [[]]
    left = 0.0
    for number, word in enumerate(words):
        width = max(wide, text_width(word, SIZE) if word.strip() else 0.0)
        if rows[-1] and left + width > room:
            rows.append([])
            left = 0.0
        rows[-1].append((number, left, width))
        left += width + BETWEEN
    return rows


def text_pictures(pictures: Any, words: Sequence[Sequence[str]], places: Any, tile: Sequence[int]) -> Figure:
    """Each picture of a sentence beside its words, each word beneath its tile, enlarged.

    `pictures` (N, 3, S, S) or (N, S, S, 3) uint8; `words[i]`: the words that are drawn on picture i, in
    order; `places` (P, 2): top and left pixel of the first, second ... tile on the pictures; `tile`: height
    and width of a tile in pixels. Those of `imtext.text.text_image.TextImage` are its `places`, less the
    offset of a crop, and its `tile`.

    Raises DataError for a picture without words or with more than places, and for a tile that is not whole on
    a picture. Source: Gallo et al. 2017, as single network draws sentences (section 3.1, Figure 2).
    """
    shown = [as_picture(picture, f"text picture {number}") for number, picture in enumerate(pictures)]
    if len(shown) != len(words) or not shown:
        raise DataError(f"text pictures: found {len(shown)} pictures and {len(words)} lists of words")
    corners = [_places(places, own, tile, picture) for own, picture in zip(words, shown, strict=True)]
    left = EDGE + WHOLE + GAP
    wide = TILE_HIGH * tile[1] / tile[0]
    lines = [_rows(own, wide, BOOK_WIDTH - left - EDGE) for own in words]
    heights = [max(WHOLE, len(own) * LINE) + GAP for own in lines]
    total = sum(heights) - GAP + 2 * EDGE
    with house_style():
        figure = new_figure(total, BOOK_WIDTH, layout="none")
        top = total - EDGE
        for picture, own, corner, rows, height in zip(shown, words, corners, lines, heights, strict=True):
            place = (EDGE / BOOK_WIDTH, (top - WHOLE) / total, WHOLE / BOOK_WIDTH, WHOLE / total)
            _framed(figure.add_axes(place), picture, "picture")
            for line, cells in enumerate(rows):
                foot = top - line * LINE - TILE_HIGH
                for number, x, width in cells:
                    y0, x0 = corner[number]
                    part = picture[y0 : y0 + tile[0], x0 : x0 + tile[1]]
                    begin = left + x + (width - wide) / 2
                    place = (begin / BOOK_WIDTH, foot / total, wide / BOOK_WIDTH, TILE_HIGH / total)
                    _framed(figure.add_axes(place), part, "tile")
                    middle = (left + x + width / 2) / BOOK_WIDTH
                    look = {"ha": "center", "va": "top", "fontsize": SIZE, "gid": "word"}
                    figure.text(middle, (foot - 0.05) / total, own[number], **look)
            top -= height
    return figure


def text_picture_parts(
    picture: Any,
    words: Sequence[str],
    places: Any,
    tile: Sequence[int],
    superpixel: int,
    separator: int,
    numbers: Any,
) -> Figure:
    """A sentence's picture, its first tiles enlarged with their sizes, and how a word got its colours.

    `picture`, `words`, `places` and `tile` as one of :func:`text_pictures`; `superpixel` and `separator` in
    pixels; `numbers` (features,): the vector of the first word. What it became, 0 to 255, is read off the
    picture.

    Raises DataError as :func:`text_pictures` does, and for numbers that do not fill the tile, ConfigError for
    sizes that do not fit together. Source: Gallo et al. 2017.
    """
    shown = as_picture(picture, "text picture")
    corner = _places(places, words, tile, shown)
    values = np.asarray(numbers, dtype=float)
    if superpixel < 1 or separator < 0 or any(size % superpixel for size in tile):
        raise ConfigError(
            f"text_picture_parts: a tile of {tile[1]} x {tile[0]} pixels does not consist of super-pixels of "
            f"{superpixel}, or separator={separator} is negative"
        )
    down, across = tile[0] // superpixel, tile[1] // superpixel
    if values.ndim != 1 or len(values) % 3 or -(-len(values) // (3 * across)) != down:
        raise DataError(
            f"text_picture_parts: {across} x {down} super-pixels hold three numbers each, found numbers of "
            f"shape {values.shape}; give the vector of the first word"
        )
    with house_style():
        total = HEAD + ZOOM + GAP + HEAD + 3 * ROW + EDGE
        figure = new_figure(total, BOOK_WIDTH, layout="none")
        box = _part(shown.shape[:2], corner, tile, separator, superpixel)
        place = (EDGE / BOOK_WIDTH, (total - HEAD - ZOOM) / total, ZOOM / BOOK_WIDTH, ZOOM / total)
        axes = figure.add_axes(place)
        _framed(axes, shown, "picture")
        frame = {"fill": False, "edgecolor": PALETTE[1], "linewidth": 1.4, "gid": "zoom", "clip_on": False}
        axes.add_patch(Rectangle((box[1] - 0.5, box[0] - 0.5), box[3] - box[1], box[2] - box[0], **frame))
        _title(figure, EDGE, total, f"a sentence on {shown.shape[1]} × {shown.shape[0]} pixels")
        _enlarged(figure, shown, box, words, tile, separator, superpixel)
        _numbers(figure, shown, corner[0], superpixel, across, values, words[0])
    return figure


def _title(figure: Figure, left: float, top: float, text: str) -> None:
    place = (left / figure.get_figwidth(), (top - 0.03) / figure.get_figheight())
    figure.text(*place, text, fontsize=9, fontweight="bold", va="top", ha="left", gid="title")


def _part(
    shape: Sequence[int], corner: np.ndarray, tile: Sequence[int], separator: int, superpixel: int
) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what is enlarged: up to three tiles, and what stands just below them."""
    top, left = corner[0].tolist()
    across = min(3, int((corner[:, 0] == top).sum()))
    bottom = min(shape[0], top + tile[0] + separator + superpixel)
    return top, left, bottom, left + across * (tile[1] + separator) - separator


def _enlarged(
    figure: Figure,
    picture: np.ndarray,
    box: Sequence[int],
    words: Sequence[str],
    tile: Sequence[int],
    separator: int,
    superpixel: int,
) -> None:
    """The first tiles with their words above, their sizes below, and one super-pixel outlined."""
    wide, high = figure.get_figwidth(), figure.get_figheight()
    part = picture[box[0] : box[2], box[1] : box[3]]
    begin, under = EDGE + ZOOM + 0.3, 0.75
    scale = min((BOOK_WIDTH - begin - EDGE) / part.shape[1], (ZOOM - HEAD - under) / part.shape[0])
    size = (part.shape[1] * scale, part.shape[0] * scale)
    foot = high - 2 * HEAD - size[1]
    axes = figure.add_axes((begin / wide, foot / high, size[0] / wide, size[1] / high))
    _framed(axes, part, "part")
    _title(figure, begin, high, "its first words, enlarged")
    step = tile[1] + separator
    for number in range((part.shape[1] + separator) // step):
        look = {"ha": "center", "va": "bottom", "fontsize": SIZE, "fontstyle": "italic", "gid": "word"}
        axes.text(number * step + tile[1] / 2 - 0.5, -0.5 - 0.04 / scale, words[number], **look)
    _measure(axes, 0, tile[1], part.shape[0], scale, f"tile\n{tile[1]} × {tile[0]} px")
    if separator and part.shape[1] > tile[1]:
        _measure(axes, tile[1], step, part.shape[0], scale, f"separator\n{separator} px")
    ring = {"fill": False, "edgecolor": "white", "linewidth": 1.6, "clip_on": False, "gid": "super-pixel"}
    ring["path_effects"] = [withStroke(linewidth=3.4, foreground=INK)]
    axes.add_patch(Rectangle((-0.5, -0.5), superpixel, superpixel, **ring))
    note = f"outlined: a super-pixel, {superpixel} × {superpixel} px, the first three numbers of “{words[0]}”"
    figure.text(begin / wide, (foot - under + 0.06) / high, note, va="bottom", fontsize=SMALL, gid="note")


def _measure(axes: Axes, first: float, last: float, below: float, scale: float, text: str) -> None:
    """A line with two ends under the columns `first` to `last`, and its text."""
    y, end = below - 0.5 + 0.09 / scale, 0.03 / scale
    first, last = first - 0.5, last - 0.5
    x = [first, first, first, last, last, last]
    axes.plot(
        x, [y - end, y + end, y, y, y - end, y + end], "-", color=INK, lw=1.0, clip_on=False, gid="measure"
    )
    axes.set(xlim=axes.images[0].get_extent()[:2], ylim=axes.images[0].get_extent()[2:])
    look = {"ha": "left", "va": "top", "fontsize": SMALL, "linespacing": 1.15, "gid": "size"}
    axes.text(first, y + 0.06 / scale, text, **look)


def _numbers(
    figure: Figure,
    picture: np.ndarray,
    corner: np.ndarray,
    superpixel: int,
    across: int,
    values: np.ndarray,
    word: str,
) -> None:
    """The vector of a word, what it became between 0 and 255, and the colours of which that is made."""
    wide, start = figure.get_figwidth(), 0.85
    top = 3 * ROW + EDGE
    _title(figure, EDGE, top + HEAD, f"from the vector of “{word}” to the colours of its tile")
    axes = figure.add_axes((0, 0, 1, top / figure.get_figheight()), xlim=(0, wide), ylim=(0, top))
    axes.set_axis_off()
    count = min(len(values), SHOWN)
    cell = (wide - start - 0.3) / SHOWN
    look = {"ha": "center", "va": "center", "fontsize": SIZE}
    for row, name in enumerate(("vector", "0 to 255", "colour")):
        axes.text(EDGE, top - (row + 0.5) * ROW, name, **{**look, "ha": "left"})
    for number in range(count):
        cell_row, cell_column = divmod(number // 3, across)
        colour = picture[corner[0] + cell_row * superpixel, corner[1] + cell_column * superpixel]
        x = start + (number + 0.5) * cell
        axes.text(x, top - 0.5 * ROW, f"{values[number]:.2f}".replace("-", "−"), gid="number", **look)
        axes.text(x, top - 1.5 * ROW, str(colour[number % 3]), gid="level", **look)
        if number % 3 == 0:
            shape = ((x - 0.4 * cell, EDGE + 0.02), 2.8 * cell, ROW - 0.07)
            axes.add_patch(Rectangle(*shape, facecolor=colour / 255, edgecolor=INK, lw=0.8, gid="colour"))
    if len(values) > count:
        axes.text(wide - 0.15, top - ROW, f"…\n{len(values)}\nin all", **look)
