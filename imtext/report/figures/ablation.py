"""Which words a caption's match with its image hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from imtext.errors import DataError
from imtext.report.figures.pictures import show_picture
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, RED, house_style, new_figure, text_width

SIZE = 10.0
# All in inches.
PICTURE, GAP, MARGIN = 1.25, 0.25, 0.10
BAR, TEXT, LEAD, SPACE = 0.36, 0.18, 0.16, 0.10
HEAD, FOOT = 0.10, 0.26
BAR_WIDTH = 0.11
TEXT_WIDTH = BOOK_WIDTH - PICTURE - GAP - 0.1


@dataclass(frozen=True)
class _Word:
    """One word as it is set: place in inches from the left and line number, drop in cosine, whether among the
    top."""

    text: str
    x: float
    width: float
    line: int
    drop: float
    top: bool


def _set_words(words: Sequence[str], drops: np.ndarray, n_top: int) -> list[_Word]:
    """Words laid out in lines of TEXT_WIDTH."""
    known = np.where(np.isnan(drops), -np.inf, drops)
    best = {int(i) for i in np.argsort(-known, kind="stable")[:n_top] if known[i] > 0}
    placed, x, line = [], 0.0, 0
    for number, (word, drop) in enumerate(zip(words, drops, strict=True)):
        width = max(text_width(word, SIZE, number in best), BAR_WIDTH)
        if x and x + width > TEXT_WIDTH:
            x, line = 0.0, line + 1
        placed.append(_Word(word, x, width, line, float(drop), number in best))
        x += width + SPACE
    return placed


def _draw_word(axes: Axes, word: _Word, base: float, scale: float) -> None:
    middle = word.x + word.width / 2
    colour = RED if word.top else INK
    known = not np.isnan(word.drop)
    axes.text(
        middle,
        base,
        word.text,
        ha="center",
        va="baseline",
        color=colour,
        fontsize=SIZE,
        fontweight="bold" if word.top else "normal",
        fontstyle="normal" if known else "italic",
        alpha=1.0 if known else 0.65,
        gid="top" if word.top else "word",
    )
    if word.top:
        axes.plot(
            [word.x, word.x + word.width],
            [base - 0.045] * 2,
            color=RED,
            linewidth=1.3,
            linestyle="-",
            gid="underline",
        )
    if not known:
        return
    height = abs(word.drop) / scale * BAR
    left, foot = middle - BAR_WIDTH / 2, base + TEXT
    if word.drop >= 0:
        box = Rectangle(
            (left, foot), BAR_WIDTH, height, facecolor=RED if word.top else PALETTE[0], linewidth=0, gid="bar"
        )
    else:
        box = Rectangle(
            (left, foot), BAR_WIDTH, height, facecolor="none", edgecolor=PALETTE[0], linewidth=0.9, gid="bar"
        )
    axes.add_patch(box)
    if word.top:
        axes.text(
            middle,
            foot + height + 0.025,
            f"{word.drop:.2f}",
            ha="center",
            va="bottom",
            color=RED,
            fontsize=7.5,
        )


def _examples(examples: Sequence[Mapping[str, Any]]) -> list[tuple[Any, list[str], np.ndarray, float | None]]:
    if not examples:
        raise DataError("word_ablation: no example; give at least one mapping with words, drops and image")
    result = []
    for number, example in enumerate(examples):
        missing = [key for key in ("words", "drops", "image") if key not in example]
        if missing:
            raise DataError(
                f"word_ablation: example {number} lacks {missing[0]!r}; it needs words, drops and image"
            )
        words, drops = list(example["words"]), np.asarray(example["drops"], dtype=float)
        if not words or drops.shape != (len(words),):
            raise DataError(
                f"word_ablation: example {number} has {len(words)} words, {drops.size} drops; give one each"
            )
        result.append((example["image"], words, drops, example.get("similarity")))
    return result


def word_ablation(examples: Sequence[Mapping[str, Any]], n_top: int = 3) -> Figure:
    """Each word of a caption with a bar: how far the cosine to the image falls when the word is taken out.

    An example is a mapping with `words` (n strings), `drops` (n,) in cosine, NaN for a word that the model
    does not know, and `image` (uint8); `similarity` (cosine with all words) is optional. The `n_top` words
    with the largest drop are red, bold and underlined. All examples share one scale; a hollow bar is a rise.
    Source: instance loss, Figure 11.
    """
    parts = _examples(examples)
    laid = [_set_words(words, drops, n_top) for _, words, drops, _ in parts]
    everything = np.concatenate([np.abs(drops[~np.isnan(drops)]) for _, _, drops, _ in parts])
    scale = float(everything.max()) if everything.size and everything.max() > 0 else 1.0
    pitch = TEXT + BAR + LEAD + 0.04
    heights = [max(PICTURE, (words[-1].line + 1) * pitch) + 2.2 * MARGIN for words in laid]
    total = sum(heights) + FOOT + HEAD
    with house_style():
        figure = new_figure(total, BOOK_WIDTH, layout="none")
        top = total - HEAD
        for (image, _, _, similarity), words, height in zip(parts, laid, heights, strict=True):
            place = (0.0, (top - MARGIN - PICTURE) / total, PICTURE / BOOK_WIDTH, PICTURE / total)
            left = figure.add_axes(place)
            show_picture(left, image)
            left.set_anchor("NW")
            box = (
                (PICTURE + GAP) / BOOK_WIDTH,
                (top - height) / total,
                TEXT_WIDTH / BOOK_WIDTH,
                height / total,
            )
            axes = figure.add_axes(box, xlim=(0, TEXT_WIDTH), ylim=(0, height))
            axes.set_axis_off()
            for word in words:
                _draw_word(axes, word, height - MARGIN - (word.line + 1) * pitch + TEXT, scale)
            if similarity is not None:
                left.set_title(f"cosine {similarity:.2f}", fontsize=8, fontweight="normal", pad=3)
            top -= height
        note = f"bar: fall of the cosine when the word is taken out (tallest {scale:.2f}); hollow: a rise"
        figure.text((PICTURE + GAP) / BOOK_WIDTH, 0.08 / total, note, fontsize=8, va="bottom")
    return figure
