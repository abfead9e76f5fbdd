"""Pairs that a benchmark counts as wrong: captions alike in different groups, right answers to a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from imtext.errors import ConfigError, DataError
from imtext.report.figures.gallery import wrap
from imtext.report.figures.pictures import as_picture, show_picture
from imtext.report.style import BOOK_WIDTH, GREEN, INK, RED, house_style, new_figure

_POINTS_PER_INCH = 72


def _same(name: str, **parts: Sequence[Any]) -> None:
    """As many of each, and at least one."""
    lengths = {key: len(part) for key, part in parts.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        found = ", ".join(f"{count} {key}" for key, count in lengths.items())
        raise DataError(f"{name}: expected as many of each and at least one, found {found}")


def _tall(pictures: Sequence[np.ndarray]) -> float:
    """The height of the tallest picture as a share of its width."""
    return min(1.5, max(picture.shape[0] / picture.shape[1] for picture in pictures))


# Figure 1


def _pair(band: SubFigure, pictures: Sequence[Any], texts: Sequence[str], heading: str, size: float) -> None:
    band.set_facecolor("none")
    band.suptitle(heading, x=0.02, ha="left", fontsize=size, fontweight="bold")
    for axes, picture, text in zip(band.subplots(1, 2), pictures, texts, strict=True):
        show_picture(axes, picture)
        axes.set_anchor("N")
        axes.set_xlabel(text, fontsize=size, loc="left")


def similar_pairs(
    images: Sequence[Sequence[Any]],
    captions: Sequence[Sequence[str]],
    similarities: Sequence[float],
    per_row: int = 2,
    size: float = 8,
) -> Figure:
    """Pairs of pictures of different groups whose captions say nearly the same.

    `images[i]`: two uint8 pictures, (H, W, 3) or (3, H, W); `captions[i]`: the caption of either;
    `similarities[i]`: how alike the captions are, from −1 to 1. Pairs are drawn in their order, `per_row` in
    a row. Raises DataError for other numbers of parts or a similarity that is not finite. Source: single
    network, Figure 1.
    """
    _same("similar_pairs", images=images, captions=captions, similarities=similarities)
    if per_row < 1:
        raise ConfigError(f"similar_pairs: per_row should be at least 1, found {per_row}")
    for number, (pair, texts) in enumerate(zip(images, captions, strict=True)):
        if len(pair) != 2 or len(texts) != 2:
            raise DataError(
                f"similar_pairs: pair {number} has {len(pair)} pictures and {len(texts)} captions; "
                "give two of each"
            )
    if not np.isfinite(np.asarray(similarities, dtype=float)).all():
        raise DataError("similar_pairs: a similarity is not finite; leave that pair out")
    found = [[as_picture(picture) for picture in pair] for pair in images]
    columns = min(per_row, len(found))
    # A single pair would be a page wide.
    cell = min(BOOK_WIDTH / columns / 2, 2.2)
    wrapped = [[wrap(text, cell - 0.14, size) for text in texts] for texts in captions]
    tall = _tall([picture for pair in found for picture in pair])
    lines = [
        max(text.count("\n") + 1 for pair in wrapped[at : at + columns] for text in pair)
        for at in range(0, len(found), columns)
    ]
    heights = [0.94 * cell * tall + count * size * 1.25 / _POINTS_PER_INCH + 0.42 for count in lines]
    with house_style():
        figure = new_figure(sum(heights), 2 * cell * columns)
        bands = figure.subfigures(len(heights), columns, squeeze=False, height_ratios=heights)
        for number, band in enumerate(bands.flat):
            band.set_facecolor("none")
            if number < len(found):
                heading = f"similarity {similarities[number]:.2f}, two groups".replace("-", "−")
                _pair(band, found[number], wrapped[number], heading, size)
    return figure


# What people say about an answer that recall counts as wrong


def _answer(axes: Axes, lines: Sequence[tuple[str, str, str]], height: float, size: float) -> None:
    """Lines (text, colour, weight) one below the other in axes of `height` inches."""
    axes.set_axis_off()
    top = 0.02
    for text, colour, weight in lines:
        place = {"va": "top", "ha": "left", "transform": axes.transAxes, "linespacing": 1.25}
        axes.text(0, 1 - top / height, text, color=colour, fontsize=size, fontweight=weight, **place)
        top += (text.count("\n") + 1.45) * size * 1.3 / _POINTS_PER_INCH


def _lines(
    sentence: str, judgement: str, right: bool | None, rank: int | None, width: float, size: float
) -> list[tuple[str, str, str]]:
    place = "" if rank is None else f"rank {rank}, "
    sign, colour = ("", INK) if right is None else (("✓ ", GREEN) if right else ("✗ ", RED))
    recall = f"✗ Recall@K: wrong ({place}written for another image)"
    shown = [(f"“{sentence}”", INK, "normal"), (recall, RED, "normal")]
    shown.append((f"{sign}{judgement}", colour, "bold" if right else "normal"))
    return [(wrap(text, width, size), tint, weight) for text, tint, weight in shown]


def right_but_wrong(
    images: Sequence[Any],
    sentences: Sequence[str],
    judgements: Sequence[str],
    own: Sequence[Any] | None = None,
    right: Sequence[bool | None] | None = None,
    ranks: Sequence[int] | None = None,
    size: float = 8.5,
) -> Figure:
    """Answers that Recall@K counts as wrong since they belong to another group, with what people say of them.

    One row an answer, for either direction: `images[i]` (uint8, (H, W, 3) or (3, H, W)) and `sentences[i]`
    were matched by a model; `judgements[i]` says in words what people think of the match, such as "experts:
    4, 4 and 3 of 4"; `own[i]`: the picture that the sentence was written for, shown small, None for none;
    `right[i]`: whether the judgement is that it fits (all, if left out), None where it is open; `ranks[i]`:
    at which place it was found. Raises DataError when there are not as many of each. Source: ours, after
    single network, Table 3 and section 5.3.
    """
    own = [None] * len(images) if own is None else own
    right = [True] * len(images) if right is None else right
    ranks = [None] * len(images) if ranks is None else ranks
    parts = {"images": images, "sentences": sentences, "judgements": judgements}
    _same("right_but_wrong", **parts, own=own, right=right, ranks=ranks)
    found = [as_picture(picture) for picture in images]
    theirs = [None if picture is None else as_picture(picture) for picture in own]
    widths = [1.45, 4.2, 0.0]
    if any(picture is not None for picture in theirs):
        widths[2] = 1.15
    texts = [
        _lines(*parts, widths[1] - 0.25, size)
        for parts in zip(sentences, judgements, right, ranks, strict=True)
    ]
    line = size * 1.3 / _POINTS_PER_INCH
    heights = []
    for picture, their, lines in zip(found, theirs, texts, strict=True):
        shares = [1.38 * picture.shape[0] / picture.shape[1]]
        shares += [] if their is None else [1.05 * their.shape[0] / their.shape[1] + 0.2]
        heights.append(
            max(min(2.0, max(shares)), sum(text.count("\n") + 1.45 for text, *_ in lines) * line) + 0.12
        )
    columns = 3 if widths[2] else 2
    with house_style():
        figure = new_figure(sum(heights), sum(widths))
        ratios = {"width_ratios": widths[:columns], "height_ratios": heights}
        grid = figure.subplots(len(found), columns, gridspec_kw=ratios, squeeze=False)
        for row, picture, their, lines, height in zip(grid, found, theirs, texts, heights, strict=True):
            show_picture(row[0], picture)
            row[0].set_anchor("NW")
            _answer(row[1], lines, height, size)
            if columns == 3 and their is not None:
                show_picture(row[2], their)
                row[2].set_anchor("N")
                row[2].set_xlabel("written for this", fontsize=7.5)
            elif columns == 3:
                row[2].set_axis_off()
    return figure
