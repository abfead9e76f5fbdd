"""Phrases of a caption and the boxes that models find for them, one row a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from imtext.errors import ConfigError, DataError
from imtext.report.figures.pictures import as_picture, show_picture
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure, text_width

# All in inches, but SIZE: points.
SIZE, LINE, SPACE = 8.0, 0.155, 0.062
SIDE, GAP, BETWEEN, NOTE = 0.24, 0.1, 0.06, 0.22
TALLEST = 2.1
FEWEST = 2
_NEEDED = ("image", "words", "spans", "truth", "found", "hits")


@dataclass(frozen=True)
class _Example:
    """One picture: phrases as (first word, one past the last); boxes (P, 4) with NaN where there is none."""

    image: np.ndarray
    words: list[str]
    spans: list[tuple[int, int]]
    truth: np.ndarray
    found: list[np.ndarray]
    hits: list[np.ndarray]


@dataclass(frozen=True)
class _Piece:
    """A word, or the number before a phrase, where it stands: inches from the left, line, phrase or -1."""

    text: str
    x: float
    width: float
    line: int
    phrase: int
    number: bool = False


def _box_array(boxes: Any, count: int, image: np.ndarray, where: str) -> np.ndarray:
    """Boxes (P, 4) as floats; a box that is None becomes NaN."""
    rows = [[np.nan] * 4 if box is None else box for box in boxes]
    array = np.asarray(rows, dtype=float).reshape(-1, 4) if len(rows) else np.empty((0, 4))
    if len(array) != count:
        raise DataError(f"{where}: {len(array)} boxes for {count} phrases; give one each, None for no box")
    known = array[~np.isnan(array).any(1)]
    height, width = image.shape[:2]
    bad = (known[:, :2] < 0).any(1) | (known[:, 2:] < known[:, :2]).any(1)
    bad |= (known[:, 2] > width - 1) | (known[:, 3] > height - 1)
    if bad.any():
        raise DataError(
            f"{where}: box {known[bad][0].tolist()} should be x1, y1, x2, y2 within {width} x {height} pixels"
        )
    return array


def _example(raw: Mapping[str, Any], number: int, methods: int) -> _Example:
    where = f"boxes: example {number}"
    missing = [key for key in _NEEDED if key not in raw]
    if missing:
        raise DataError(f"{where} lacks {missing[0]!r}; it needs {', '.join(_NEEDED)}")
    image, words = as_picture(raw["image"], where), [str(word) for word in raw["words"]]
    spans = [(int(start), int(stop)) for start, stop in raw["spans"]]
    ends = [place for span in sorted(spans) for place in span]
    if any(stop <= start for start, stop in spans) or ends != sorted(ends) or ends[-1:] > [len(words)]:
        raise DataError(
            f"{where}: spans {spans} should be (start, stop) within {len(words)} words without overlap"
        )
    if not spans or ends[0] < 0:
        raise DataError(f"{where}: spans {spans} should be at least one, from word 0 on")
    if len(raw["found"]) != methods or len(raw["hits"]) != methods:
        raise DataError(
            f"{where}: boxes of {len(raw['found'])} and hits of {len(raw['hits'])} models, {methods} names; "
            "give one of each"
        )
    found = [_box_array(boxes, len(spans), image, where) for boxes in raw["found"]]
    hits = [np.asarray(hit, dtype=bool) for hit in raw["hits"]]
    if any(hit.shape != (len(spans),) for hit in hits):
        raise DataError(f"{where}: hits of shape {hits[0].shape} for {len(spans)} phrases; give one each")
    truth = _box_array(raw["truth"], len(spans), image, where)
    # A phrase that no one drew a box for, such as "on a cloudy day", is a piece of plain text.
    seen = [n for n in range(len(spans)) if not all(np.isnan(boxes[n]).any() for boxes in [truth, *found])]
    return _Example(
        image,
        words,
        [spans[n] for n in seen],
        truth[seen],
        [boxes[seen] for boxes in found],
        [hit[seen] for hit in hits],
    )


def _set_caption(example: _Example, width: float) -> list[_Piece]:
    """The words in lines of `width` inches, a phrase's number before its first word."""
    phrase_of = {word: n for n, (start, stop) in enumerate(example.spans) for word in range(start, stop)}
    first = {start: n for n, (start, _) in enumerate(example.spans)}
    pieces, x, line = [], 0.0, 0
    for place, word in enumerate(example.words):
        phrase = phrase_of.get(place, -1)
        across = text_width(word, SIZE, phrase >= 0)
        label = str(first[place] + 1) if place in first else ""
        ahead = text_width(label, SIZE - 2.5) + 0.02 if label else 0.0
        if x and x + ahead + across > width:
            x, line = 0.0, line + 1
        if label:
            pieces.append(_Piece(label, x, ahead, line, phrase, number=True))
        pieces.append(_Piece(word, x + ahead, across, line, phrase))
        # Tokenised captions set a space before the full stop.
        follows = example.words[place + 1] if place + 1 < len(example.words) else ""
        x += ahead + across + (0.01 if follows in (".", ",") else SPACE)
    return pieces


def _colour(phrase: int) -> str:
    return PALETTE[phrase % len(PALETTE)]


def _draw_caption(axes: Axes, pieces: Sequence[_Piece], height: float) -> None:
    for piece in pieces:
        base = height - (piece.line + 1) * LINE + 0.03
        own = piece.phrase >= 0
        look = {"color": _colour(piece.phrase) if own else INK, "fontweight": "bold" if own else "normal"}
        if piece.number:
            small = {**look, "fontsize": SIZE - 2.5}
            axes.text(piece.x, base + 0.045, piece.text, va="baseline", gid="number", **small)
            continue
        axes.text(piece.x, base, piece.text, va="baseline", fontsize=SIZE, **look)
        if own:
            ends = [piece.x, piece.x + piece.width]
            axes.plot(
                ends, [base - 0.03] * 2, color=look["color"], linewidth=1.2, linestyle="-", gid="underline"
            )


def _draw_box(axes: Axes, box: np.ndarray, colour: str, true: bool) -> None:
    """A box in pixels, both ends inclusive, with a white casing: a picture may have any colour."""
    left, top, right, bottom = box
    width = 1.2 if true else 2.0
    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5),
            right - left + 1,
            bottom - top + 1,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=(0, (3, 2)) if true else "-",
            path_effects=[withStroke(linewidth=width + 1.4, foreground="white", alpha=0.85)],
            gid="truth" if true else "found",
        )
    )


def _draw_model(axes: Axes, example: _Example, model: int, across: float) -> None:
    """One picture of `across` inches with the boxes of one model, the true ones beneath."""
    show_picture(axes, example.image)
    axes.set(xlim=(-0.5, example.image.shape[1] - 0.5), ylim=(example.image.shape[0] - 0.5, -0.5))
    scale = example.image.shape[1] / across
    taken: list[np.ndarray] = []
    for phrase, (true, found) in enumerate(zip(example.truth, example.found[model], strict=True)):
        if not np.isnan(true).any():
            _draw_box(axes, true, _colour(phrase), true=True)
        if not np.isnan(found).any():
            _draw_box(axes, found, _colour(phrase), true=False)
    for phrase, found in enumerate(example.found[model]):
        if np.isnan(found).any():
            continue
        sign = "✓" if example.hits[model][phrase] else "✗"
        place = _free_corner(found, taken, scale, example.image.shape)
        taken.append(place)
        frame = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": _colour(phrase)}
        label = {"fontsize": 7, "color": "black", "ha": "center", "va": "center", "bbox": frame}
        axes.text(*place, f"{phrase + 1} {sign}", zorder=6, gid="tag", **label)


def _free_corner(
    box: np.ndarray, taken: Sequence[np.ndarray], scale: float, shape: tuple[int, ...]
) -> np.ndarray:
    """The middle of a box's tag, in a corner where no other tag is; `scale` is pixels an inch."""
    half = np.array([0.14, 0.085]) * scale
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (left, bottom), (right, bottom), ((left + right) / 2, top)]
    inward = [(1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1)]
    last = np.array([shape[1], shape[0]]) - 1
    places = [np.array(corner) + half * turn for corner, turn in zip(corners, inward, strict=True)]
    places = [np.clip(place, half, np.maximum(last - half, half)) for place in places]
    free = [p for p in places if all((np.abs(p - other) > 1.9 * half).any() for other in taken)]
    return (free or places)[0]


def boxes(
    examples: Sequence[Mapping[str, Any]],
    methods: Sequence[str] = ("CCA", "Best model"),
    per_row: int = 4,
) -> Figure:
    """Pictures with the boxes that models find for the phrases of a caption, one row for each model.

    An example is a mapping with `image` (uint8), `words` (the caption, n strings), `spans` (P pairs: first
    word of a phrase and one past its last), `truth` (P boxes), `found` (P boxes for each model) and `hits`
    (P booleans for each model: whether the box is right). A box is x1, y1, x2, y2 in pixels of the image,
    counted from 0, both ends inclusive; None or NaN where there is none. A phrase is coloured, bold,
    underlined and numbered in the caption; its box has its colour and number with ✓ or ✗, the true box is
    dashed. From the fifth phrase on colours come again, numbers do not. A phrase without any box is plain.

    Raises DataError where an example lacks a part or parts do not match, ConfigError for `per_row` below 1.
    Source: structure-preserving embeddings, Figure 3.
    """
    if per_row < 1 or not len(methods):
        raise ConfigError(
            f"boxes: expected per_row from 1 and at least one method, found {per_row}, {methods}"
        )
    if not len(examples):
        raise DataError(f"boxes: no example; give at least one mapping with {', '.join(_NEEDED)}")
    parts = [_example(raw, number, len(methods)) for number, raw in enumerate(examples)]
    columns = min(per_row, len(parts))
    cell = (BOOK_WIDTH - SIDE - GAP * (max(columns, FEWEST) - 1)) / max(columns, FEWEST)
    rows = [parts[start : start + columns] for start in range(0, len(parts), columns)]
    captions = [[_set_caption(example, cell - 0.03) for example in row] for row in rows]
    tall = [min(TALLEST, max(cell * e.image.shape[0] / e.image.shape[1] for e in row)) for row in rows]
    texts = [max(pieces[-1].line + 1 for pieces in row) * LINE + 0.05 for row in captions]
    heights = [len(methods) * (t + BETWEEN) + text + GAP for t, text in zip(tall, texts, strict=True)]
    total = sum(heights) + NOTE
    with house_style():
        figure = new_figure(total, SIDE + columns * (cell + GAP) - GAP, layout="none")
        top = total
        for row, laid, band, text, height in zip(rows, captions, tall, texts, heights, strict=True):
            _draw_row(figure, row, laid, methods, (top, cell, band, text))
            top -= height
        note = "solid: found, ✓ right, ✗ wrong; dashed: true box"
        figure.text(SIDE / figure.get_figwidth(), 0.06 / total, note, fontsize=8, va="bottom")
    return figure


def _draw_row(
    figure: Figure,
    row: Sequence[_Example],
    captions: Sequence[Sequence[_Piece]],
    methods: Sequence[str],
    place: tuple[float, float, float, float],
) -> None:
    """A row of examples; `place`: its top, the width of a cell, height of pictures and of captions."""
    top, cell, band, text = place
    wide, high = figure.get_figwidth(), figure.get_figheight()
    for model, name in enumerate(methods):
        foot = top - (model + 1) * band - model * BETWEEN
        figure.text(
            0.07 / wide, (foot + band / 2) / high, name,
            rotation=90, ha="center", va="center", fontweight="bold", fontsize=9,
        )  # fmt: skip
        for column, example in enumerate(row):
            shape = example.image.shape
            across = min(cell, band * shape[1] / shape[0])
            left = SIDE + column * (cell + GAP)
            down = across * shape[0] / shape[1]
            box = (left / wide, (foot + band - down) / high, across / wide, down / high)
            _draw_model(figure.add_axes(box), example, model, across)
    foot = top - len(methods) * (band + BETWEEN) - text
    for column, pieces in enumerate(captions):
        left = SIDE + column * (cell + GAP)
        box = (left / wide, foot / high, cell / wide, text / high)
        axes = figure.add_axes(box, xlim=(0, cell), ylim=(0, text))
        axes.set_axis_off()
        _draw_caption(axes, pieces, text)
