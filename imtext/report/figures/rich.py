"""Rich features as diagrams: which parts stand in the vectors, and the network that makes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle

from imtext.errors import ConfigError
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

CHANNELS, SIDES = (256, 512, 1024, 2048), (56, 28, 14, 7)
IMAGES = (
    "avg-4", "avg-4-max-4", "avg-4-max-34", "avg-4-max-123", "avg-4-max-1234", "avg-1234", "avg-1234-max-1234"
)  # fmt: skip
TEXTS = ("gru", "gru-emb-avg", "bigru", "bigru-emb-max", "bigru-emb-avg")
SHOWN = {"gru": "GRU", "bigru": "BiGRU", "max": "max", "avg": "mean"}
# A mean is hatched, a maximum is plain: not by colour alone.
HATCH = {"avg": "////", "max": None}
HEADINGS = (
    ("Images", "maxima of stages, then means"),
    ("Captions", "state of the GRU, then pooled words"),
)
# All in inches.
HEIGHT, EDGE, ROUND = 3.4, 0.03, 0.05
STAGE_LEFT, STAGE_WIDTH, STAGE_STEP, POOL = 0.86, 0.74, 0.86, 0.355
STAGE_Y, POOL_Y, VECTOR_Y = 2.79, 2.18, 1.72
WORD_Y, STATE_Y, WORD_WIDTH, WORD_STEP = 0.92, 0.29, 0.48, 0.64
POOL_X, PART_X, FC_X, FC_WIDTH = 3.43, 3.92, 4.66, 0.92
LOSS_X, LENGTH_WIDTH = 6.13, 0.3


@dataclass(frozen=True)
class _Part:
    """A stretch of a vector: how it is pooled ('avg', 'max'), of which stage or '' for text, its length."""

    how: str
    stage: int
    length: int


def _image_parts(variant: str, channels: Sequence[int]) -> list[_Part]:
    """The parts of an image vector in the order of Eq. 2: maxima of the stages, then means."""
    found = re.fullmatch(r"avg-([1-4]+)(?:-max-([1-4]+))?", variant)
    stages = [sorted(set(part)) for part in (found.groups("") if found else ())]
    if not found or any(
        len(part) != len(given) for part, given in zip(stages, found.groups(""), strict=True)
    ):
        raise ConfigError(
            f"image variant {variant!r}: expected avg-<stages> or avg-<stages>-max-<stages> with stages of "
            f"1234, such as {', '.join(IMAGES[:5])}"
        )
    return [
        _Part(how, int(stage), channels[int(stage) - 1])
        for how, part in (("max", stages[1]), ("avg", stages[0]))
        for stage in part
    ]


def _text_parts(variant: str, word_dim: int, hidden: int) -> list[_Part]:
    """The parts of a text vector: the state, then the pooled words."""
    if variant not in TEXTS:
        raise ConfigError(f"text variant {variant!r}: expected one of {', '.join(TEXTS)}")
    parts = [_Part("state", 0, hidden)]
    if "-emb-" in variant:
        parts.append(_Part(variant.rsplit("-", 1)[1], 0, word_dim))
    return parts


def _text_name(variant: str) -> str:
    """The name of a text variant as the paper writes it.

    >>> _text_name("bigru-emb-avg"), _text_name("gru")
    ('BiGRU-emb-avg', 'GRU')
    """
    return variant.replace("gru", "GRU").replace("bi", "Bi")


def _check_sizes(channels: Sequence[int], sides: Sequence[int], *sizes: int) -> None:
    if len(channels) != 4 or len(sides) != 4 or min([*channels, *sides, *sizes]) < 1:
        raise ConfigError(
            "rich features take four channels, four sides and other sizes from 1, found "
            f"{tuple(channels)}, {tuple(sides)} and {sizes}"
        )


def _segment(axes: Axes, left: float, bottom: float, width: float, height: float, part: _Part) -> None:
    """A stretch of a vector in the colour of its stage; a state is neither a maximum nor a mean: hollow."""
    colour = PALETTE[part.stage - 1] if part.stage else INK
    fill = {"facecolor": "none" if part.how == "state" else colour, "hatch": HATCH.get(part.how)}
    shape = ((left, bottom), width, height)
    axes.add_patch(
        Rectangle(*shape, linewidth=0, alpha=0.42, edgecolor="white", gid=f"segment {part.how}", **fill)
    )
    axes.add_patch(Rectangle(*shape, fill=False, edgecolor=colour, linewidth=1.0))


# Figure 1: the parts, drawn as long as they are


def rich_vectors(
    images: Sequence[str] = IMAGES,
    texts: Sequence[str] = TEXTS,
    channels: Sequence[int] = CHANNELS,
    word_dim: int = 300,
    hidden: int = 1024,
) -> Figure:
    """What stands in the vectors of images and captions, one bar a variant, in proportion to its length.

    `images`: avg-<stages> or avg-<stages>-max-<stages>, the maxima and means of stages C1 to C4 with
    `channels` maps each; `texts`: gru or bigru, alone or with -emb-avg or -emb-max, a state of length
    `hidden` and the pooled words of length `word_dim`. Low stages see edges and texture, C4 sees things; of a
    caption, words are low and the state, which has read all of them, is high. Means are hatched. Raises
    ConfigError for an unknown variant, none at all, or a size below 1. Source: rich features, Figure 1 and
    section IV-D.
    """
    _check_sizes(channels, SIDES, word_dim, hidden)
    rows = [(name, _image_parts(name, channels)) for name in images]
    rows += [(_text_name(name), _text_parts(name, word_dim, hidden)) for name in texts]
    if not rows:
        raise ConfigError("rich_vectors: no variant; give at least one of images or texts")
    totals = [sum(part.length for part in parts) for _, parts in rows]
    line, left, right = 0.27, 1.5, 0.62
    gap = 0.12 if images and texts else 0.0
    height = line * len(rows) + gap + 0.26 * (bool(images) + bool(texts)) + 0.4
    scale = (BOOK_WIDTH - left - right) / max(totals)
    with house_style():
        figure = new_figure(height, BOOK_WIDTH, layout="none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, BOOK_WIDTH), ylim=(0, height))
        axes.set_axis_off()
        y = height - 0.12
        for number, ((name, parts), total) in enumerate(zip(rows, totals, strict=True)):
            if number in (0, len(images)):
                y -= gap if number else 0
                _heading(axes, y, *HEADINGS[number >= len(images)])
                y -= 0.26
            axes.text(left - 0.08, y, name, ha="right", va="center", fontsize=8.5, gid="name")
            x = left
            for part in parts:
                wide = part.length * scale
                _segment(axes, x, y - 0.085, wide, 0.17, part)
                x += wide
            axes.text(x + 0.06, y, f"{total:,}", ha="left", va="center", fontsize=8.5, gid="total")
            y -= line
        figure.legend(handles=_legend(bool(images)), loc="lower center", ncols=6, fontsize=8)
    return figure


def _legend(images: bool) -> list[Patch]:
    handles = []
    for stage, level in enumerate((" (low)", "", "", " (high)") if images else (), start=1):
        handles.append(Patch(label=f"C{stage}{level}", facecolor=PALETTE[stage - 1], alpha=0.42))
    for label, how in (("maximum", "max"), ("mean", "avg")):
        handles.append(Patch(label=label, facecolor=INK, alpha=0.42, hatch=HATCH[how], edgecolor="white"))
    return handles


# Figure 2: the network


def _box(axes: Axes, left: float, middle: float, width: float, height: float, **look: object) -> None:
    shape = f"round,pad=0,rounding_size={ROUND}"
    look = {"edgecolor": INK, "facecolor": "none", "linewidth": 0.9, **look}
    axes.add_patch(FancyBboxPatch((left, middle - height / 2), width, height, boxstyle=shape, **look))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops={**look, "mutation_scale": 7, "linestyle": "-"})


def _say(axes: Axes, x: float, y: float, text: str, size: float = 7.5, **look: object) -> None:
    axes.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": size, **look})


def _heading(axes: Axes, y: float, bold: str, plain: str) -> None:
    mark = axes.text(EDGE, y, bold, fontweight="bold", fontsize=9, ha="left", va="center")
    axes.annotate(
        plain, (1, 0.5), xycoords=mark, xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5
    )


def _cell(axes: Axes, left: float, middle: float, part: _Part) -> None:
    """One part of a vector, as wide as a pool, with its length."""
    colour = PALETTE[part.stage - 1] if part.stage else INK
    shape = ((left, middle - 0.11), POOL, 0.22)
    axes.add_patch(Rectangle(*shape, facecolor=colour, alpha=0.14, linewidth=0))
    axes.add_patch(Rectangle(*shape, fill=False, edgecolor=colour, linewidth=1.2))
    _say(axes, left + POOL / 2, middle, f"{part.length:,}", 7, gid="length")


def _head(axes: Axes, y: float, inputs: int, dim: int) -> None:
    """The layers behind a vector: fc to the common space, length 1, arrow to the loss."""
    _box(axes, FC_X, y, FC_WIDTH, 0.46, linewidth=1.8, gid="fc")
    _say(axes, FC_X + FC_WIDTH / 2, y + 0.1, "fc", 9, fontweight="bold")
    _say(axes, FC_X + FC_WIDTH / 2, y - 0.09, f"{inputs:,} × {dim:,}", gid="size")
    left = FC_X + FC_WIDTH + 0.13
    _box(axes, left, y, LENGTH_WIDTH, 0.3)
    _say(axes, left + LENGTH_WIDTH / 2, y, "L2", 8.5)
    _arrow(axes, (FC_X + FC_WIDTH + 0.01, y), (left - 0.01, y))
    _arrow(axes, (left + LENGTH_WIDTH + 0.01, y), (LOSS_X - 0.01, y))


def _image_net(axes: Axes, parts: Sequence[_Part], channels: Sequence[int], sides: Sequence[int]) -> None:
    """Image, four stages, pooling under each, and the vector of all pooled parts."""
    _box(axes, EDGE, STAGE_Y, 0.6, 0.5)
    _say(axes, EDGE + 0.3, STAGE_Y, "image", 9)
    _arrow(axes, (EDGE + 0.61, STAGE_Y), (STAGE_LEFT - 0.01, STAGE_Y))
    places = []
    for stage in (1, 2, 3, 4):
        left = STAGE_LEFT + (stage - 1) * STAGE_STEP
        own = [part for part in parts if part.stage == stage]
        _box(axes, left, STAGE_Y, STAGE_WIDTH, 0.5, edgecolor=PALETTE[stage - 1], linewidth=1.4, gid="stage")
        _say(axes, left + STAGE_WIDTH / 2, STAGE_Y + 0.1, f"C{stage}", 9, fontweight="bold")
        side = sides[stage - 1]
        _say(axes, left + STAGE_WIDTH / 2, STAGE_Y - 0.1, f"{side} × {side}")
        if stage < 4:
            _arrow(axes, (left + STAGE_WIDTH + 0.01, STAGE_Y), (left + STAGE_STEP - 0.01, STAGE_Y))
        middle = left + STAGE_WIDTH / 2
        for number, part in enumerate(own):
            x = middle + (number - (len(own) - 1) / 2) * (POOL + 0.03)
            _arrow(axes, (x, STAGE_Y - 0.26), (x, POOL_Y + 0.12))
            _box(axes, x - POOL / 2, POOL_Y, POOL, 0.22, gid="pool")
            _say(axes, x, POOL_Y, SHOWN[part.how])
            _arrow(axes, (x, POOL_Y - 0.12), (x, VECTOR_Y + 0.13))
            _cell(axes, x - POOL / 2, VECTOR_Y, part)
            places.append(x)
    left, right = min(places) - POOL / 2 - 0.05, max(places) + POOL / 2 + 0.05
    _box(axes, left, VECTOR_Y, right - left, 0.34)
    _say(axes, (right + FC_X) / 2, VECTOR_Y + 0.1, "L2", 8)
    _arrow(axes, (right + 0.01, VECTOR_Y), (FC_X - 0.01, VECTOR_Y))


def _text_net(axes: Axes, parts: Sequence[_Part], variant: str, words: Sequence[str], word_dim: int) -> float:
    """Words, their embeddings, the recurrent states and the vector; returns the height of its middle."""
    both = variant.startswith("bigru")
    lefts = [STAGE_LEFT + number * WORD_STEP for number in range(len(words))]
    _say(axes, EDGE, WORD_Y, f"embedding\n{word_dim}-d", 7.5, ha="left", linespacing=1.2)
    _say(axes, EDGE, STATE_Y, "BiGRU" if both else "GRU", 9, ha="left", fontweight="bold")
    for number, (left, word) in enumerate(zip(lefts, words, strict=True)):
        middle = left + WORD_WIDTH / 2
        _say(axes, middle, WORD_Y + 0.22, word, 8, fontstyle="italic", gid="word")
        _box(axes, left, WORD_Y, WORD_WIDTH, 0.2, linewidth=1.2)
        _arrow(axes, (middle, WORD_Y - 0.11), (middle, STATE_Y + 0.18))
        _box(axes, left, STATE_Y, WORD_WIDTH, 0.34, linewidth=1.8)
        if number + 1 < len(words):
            ends = (left + WORD_WIDTH + 0.01, left + WORD_STEP - 0.01)
            _arrow(axes, (ends[0], STATE_Y + 0.08 * both), (ends[1], STATE_Y + 0.08 * both))
            if both:
                _arrow(axes, (ends[1], STATE_Y - 0.08), (ends[0], STATE_Y - 0.08))
    end = lefts[-1] + WORD_WIDTH
    rows = {"state": STATE_Y}
    for part in parts:
        y = rows.get(part.how, WORD_Y)
        label = SHOWN.get(part.how, "sum" if both else "last")
        _arrow(axes, (end + 0.02, y), (POOL_X - 0.01, y))
        _box(axes, POOL_X, y, POOL, 0.22, gid="pool")
        _say(axes, POOL_X + POOL / 2, y, label)
        _arrow(axes, (POOL_X + POOL + 0.01, y), (PART_X - 0.06, y))
        _cell(axes, PART_X, y, part)
    heights = [rows.get(part.how, WORD_Y) for part in parts]
    middle, tall = (max(heights) + min(heights)) / 2, max(heights) - min(heights) + 0.34
    _box(axes, PART_X - 0.05, middle, POOL + 0.1, tall)
    right = PART_X + POOL + 0.05
    _say(
        axes,
        (right + FC_X) / 2,
        middle + (0.17 if len(parts) > 1 else 0.1),
        "each\nL2" if len(parts) > 1 else "L2",
        8,
    )
    _arrow(axes, (right + 0.01, middle), (FC_X - 0.01, middle))
    return middle


def _loss_box(axes: Axes, dim: int, margin: float, low: float) -> None:
    """The common space and the hinge of the hardest negative, right of both heads."""
    top, bottom, width = VECTOR_Y + 0.3, max(low - 0.3, EDGE), BOOK_WIDTH - EDGE - LOSS_X
    middle, centre = (top + bottom) / 2, LOSS_X + width / 2
    _box(axes, LOSS_X, middle, width, top - bottom, linewidth=1.4, gid="loss")
    _say(axes, centre, middle + 0.66, f"one {dim:,}-d\nspace", 8, linespacing=1.15)
    _say(axes, centre, middle + 0.27, "hard triplet\nloss", 9, fontweight="bold", linespacing=1.15)
    shown = f"{margin:g}".removeprefix("0")
    hinge = f"max(0, {shown}\n− s(a, p)\n+ max s(a, n))"
    _say(axes, centre, middle - 0.26, hinge, 8, linespacing=1.25, gid="hinge")
    _say(axes, centre, middle - 0.66, "both directions", 7.5)


def rich_network(
    image: str = "avg-4-max-1234",
    text: str = "bigru-emb-avg",
    channels: Sequence[int] = CHANNELS,
    sides: Sequence[int] = SIDES,
    word_dim: int = 300,
    hidden: int = 1024,
    dim: int = 1024,
    margin: float = 0.2,
    words: Sequence[str] = ("two", "dogs", "run", "home"),
) -> Figure:
    """The network of a variant with its sizes: image net, text net, one space, loss.

    `image` and `text` name a variant as in :func:`rich_vectors`; `channels` and `sides` are those of the maps
    C1 to C4, `word_dim`, `hidden` and `dim` the lengths of a word, a state and the embedding. The image
    vector is divided by its length as a whole (Eq. 2), each part of the text vector by its own (Eq. 6). The
    loss takes a margin from anchor a, positive p and the nearest negative n of the batch. Raises ConfigError
    for an unknown variant, a size below 1, a margin not above 0, or other than one to four words. Source:
    rich features, Figure 2.
    """
    _check_sizes(channels, sides, word_dim, hidden, dim)
    if not margin > 0 or not 1 <= len(words) <= 4:
        raise ConfigError(
            f"rich_network takes a margin above 0 and one to four words, found {margin} and {list(words)}"
        )
    image_parts, text_parts = _image_parts(image, channels), _text_parts(text, word_dim, hidden)
    with house_style():
        figure = new_figure(HEIGHT, BOOK_WIDTH, layout="none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, BOOK_WIDTH), ylim=(0, HEIGHT))
        axes.set_axis_off()
        _heading(axes, HEIGHT - 0.14, "Deep image net", image)
        _image_net(axes, image_parts, channels, sides)
        _heading(axes, 1.38, "Deep text net", _text_name(text))
        low = _text_net(axes, text_parts, text, words, word_dim)
        _head(axes, VECTOR_Y, sum(part.length for part in image_parts), dim)
        _head(axes, low, sum(part.length for part in text_parts), dim)
        _loss_box(axes, dim, margin, low)
    return figure
