"""The network of the intra-modal constraint as a diagram, with its sizes and the states that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import ConfigError
from imtext.report.figures.rich import EDGE, _arrow, _box, _heading, _say
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

# How the two directions become one vector: how joined, and what the heading says of the states read.
READOUTS = {
    "halves": ("mean", "each direction where it ends"),
    "last": ("joined", "each direction where it ends"),
    "released": ("mean", "both directions at the last word"),
}
DISTANCE_NAMES = {"cosine": "1 − cos", "msd": "MSD", "l1": "L1", "l2": "L2"}
# All in inches.
HEIGHT, IMAGE_Y, TEXT_TOP = 3.45, 2.72, 2.1
FORWARD_Y, WORD_Y, BACKWARD_Y, RAIL_Y = 1.62, 1.06, 0.5, 0.14
WORD_LEFT, WORD_WIDTH, WORD_STEP = 0.86, 0.5, 0.66
READ_X, READ_WIDTH, FC_X, FC_WIDTH = 3.72, 0.56, 3.42, 0.96
LENGTH_X, LENGTH_WIDTH, LOSS_X = 4.56, 0.3, 5.12
# Squares are images and circles are sentences, here as in the map of the groups.
SHAPES = {"image": "s", "sentence": "o"}


def _image_lane(axes: Axes, backbone: str, fixed: bool, unit_features: bool, sizes: tuple[int, int]) -> None:
    """Image, CNN, feature, fc, length 1, and the arrow into the common space."""
    _box(axes, EDGE, IMAGE_Y, 0.6, 0.5)
    _say(axes, EDGE + 0.3, IMAGE_Y, "image", 9)
    _arrow(axes, (EDGE + 0.61, IMAGE_Y), (WORD_LEFT - 0.01, IMAGE_Y))
    _box(axes, WORD_LEFT, IMAGE_Y, 1.0, 0.5, gid="cnn")
    _say(axes, WORD_LEFT + 0.5, IMAGE_Y + 0.1, backbone, 9, fontweight="bold")
    _say(axes, WORD_LEFT + 0.5, IMAGE_Y - 0.1, "fixed" if fixed else "fine-tuned")
    left, stop = WORD_LEFT + 1.0, FC_X
    if unit_features:
        _box(axes, 2.84, IMAGE_Y, LENGTH_WIDTH, 0.3, gid="length")
        _say(axes, 2.84 + LENGTH_WIDTH / 2, IMAGE_Y, "L2", 8.5)
        _arrow(axes, (2.85 + LENGTH_WIDTH, IMAGE_Y), (FC_X - 0.01, IMAGE_Y))
        stop = 2.84
    _arrow(axes, (left + 0.01, IMAGE_Y), (stop - 0.01, IMAGE_Y))
    _say(axes, (left + stop) / 2, IMAGE_Y + 0.1, f"{sizes[0]:,}-d")
    _box(axes, FC_X, IMAGE_Y, FC_WIDTH, 0.46, linewidth=1.8, gid="fc")
    _say(axes, FC_X + FC_WIDTH / 2, IMAGE_Y + 0.1, "fc", 9, fontweight="bold")
    _say(axes, FC_X + FC_WIDTH / 2, IMAGE_Y - 0.09, f"{sizes[0]:,} × {sizes[1]:,}", gid="size")
    _arrow(axes, (FC_X + FC_WIDTH + 0.01, IMAGE_Y), (LENGTH_X - 0.01, IMAGE_Y))
    _to_space(axes, IMAGE_Y)


def _to_space(axes: Axes, y: float) -> None:
    """Length 1, then the arrow into the common space."""
    _box(axes, LENGTH_X, y, LENGTH_WIDTH, 0.3, gid="length")
    _say(axes, LENGTH_X + LENGTH_WIDTH / 2, y, "L2", 8.5)
    _arrow(axes, (LENGTH_X + LENGTH_WIDTH + 0.01, y), (LOSS_X - 0.01, y))


def _cells(axes: Axes, words: Sequence[str], readout: str) -> list[float]:
    """Words between the two directions of the LSTM; the states that are read are filled. Returns their
    lefts."""
    lefts = [WORD_LEFT + number * WORD_STEP for number in range(len(words))]
    read = {FORWARD_Y: len(words) - 1, BACKWARD_Y: len(words) - 1 if readout == "released" else 0}
    for number, (left, word) in enumerate(zip(lefts, words, strict=True)):
        middle = left + WORD_WIDTH / 2
        _box(axes, left, WORD_Y, WORD_WIDTH, 0.3, linewidth=1.2)
        _say(axes, middle, WORD_Y, word, 8, fontstyle="italic", gid="word")
        for y, own in read.items():
            up = 1 if y > WORD_Y else -1
            _arrow(axes, (middle, WORD_Y + 0.16 * up), (middle, y - 0.16 * up))
            look = {"linewidth": 1.8, "gid": "state"}
            if number == own:
                _box(axes, left, y, WORD_WIDTH, 0.3, facecolor=PALETTE[0], alpha=0.16, linewidth=0)
                look |= {"edgecolor": PALETTE[0], "linewidth": 2.2, "gid": "read"}
            _box(axes, left, y, WORD_WIDTH, 0.3, **look)
            _say(axes, middle, y, "LSTM", 7.5)
            if number + 1 < len(words):
                ends = [(left + WORD_WIDTH + 0.01, y), (left + WORD_STEP - 0.01, y)]
                _arrow(axes, *(ends if up > 0 else ends[::-1]))
    return lefts


def _line(axes: Axes, *points: tuple[float, float]) -> None:
    """A line with corners that ends in an arrow."""
    axes.plot(*zip(*points[:-1], strict=True), color=PALETTE[0], linewidth=1.3, linestyle="-", gid="rail")
    look = {"arrowstyle": "-|>", "color": PALETTE[0], "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops={**look, "mutation_scale": 7, "linestyle": "-"})


def _text_lane(axes: Axes, words: Sequence[str], readout: str, word_dim: int, dim: int) -> None:
    """Word vectors, both directions, the states that are read, and what is made of them."""
    _say(axes, EDGE, FORWARD_Y, "forward", 8, ha="left")
    _say(axes, EDGE, WORD_Y, f"GloVe\n{word_dim:,}-d", 8, ha="left", linespacing=1.2, gid="size")
    _say(axes, EDGE, BACKWARD_Y, "backward", 8, ha="left")
    lefts = _cells(axes, words, readout)
    end, centre = lefts[-1] + WORD_WIDTH, READ_X + READ_WIDTH / 2
    _line(axes, (end + 0.02, FORWARD_Y), (centre, FORWARD_Y), (centre, WORD_Y + 0.2))
    if readout == "released":
        _line(axes, (end + 0.02, BACKWARD_Y), (centre, BACKWARD_Y), (centre, WORD_Y - 0.2))
    else:
        start = lefts[0] + WORD_WIDTH / 2
        _line(axes, (start, BACKWARD_Y - 0.17), (start, RAIL_Y), (centre, RAIL_Y), (centre, WORD_Y - 0.2))
    hidden = dim // 2 if readout == "last" else dim
    _box(axes, READ_X, WORD_Y, READ_WIDTH, 0.36, gid="readout")
    _say(axes, centre, WORD_Y, READOUTS[readout][0], 8.5, fontweight="bold")
    for y in (FORWARD_Y + 0.1, (BACKWARD_Y if readout == "released" else RAIL_Y) + 0.1):
        _say(axes, (end + centre) / 2, y, f"{hidden:,}-d", gid="hidden")
    _arrow(axes, (READ_X + READ_WIDTH + 0.01, WORD_Y), (LENGTH_X - 0.01, WORD_Y))
    _to_space(axes, WORD_Y)


def _term(axes: Axes, y: float, kinds: tuple[str, str], bold: str, lines: Sequence[str]) -> None:
    """A term of the loss: the two kinds of item it compares as marks, its name, what it says."""
    left = LOSS_X + 0.2
    for number, kind in enumerate(kinds):
        look = {"marker": SHAPES[kind], "markersize": 7, "markeredgewidth": 1.4, "linestyle": "none"}
        look |= {"color": PALETTE[number], "fillstyle": ("full", "none")[number]}
        axes.plot(left + 0.34 * number, y, gid=f"mark {kind}", **look)
    dash = "-" if kinds[0] != kinds[1] else (0, (2, 1.5))
    axes.plot([left + 0.06, left + 0.275], [y, y], color=INK, linewidth=1.1, linestyle=dash)
    _say(axes, left + 0.5, y + 0.09 * len(lines), bold, 8.5, ha="left", fontweight="bold", gid="term")
    for number, line in enumerate(lines):
        height = y + 0.09 * len(lines) - 0.17 * (number + 1)
        _say(axes, left + 0.5, height, line, 7.5, ha="left", gid="term line")


def _space(axes: Axes, dim: int, margin: float, weight: float, distance: str) -> None:
    """The common space with the three terms of Eq. 3."""
    bottom, top = RAIL_Y, HEIGHT - EDGE
    width = BOOK_WIDTH - EDGE - LOSS_X
    _box(axes, LOSS_X, (top + bottom) / 2, width, top - bottom, linewidth=1.4, gid="loss")
    centre = LOSS_X + width / 2
    _say(axes, centre, top - 0.17, f"one {dim:,}-d space", 8.5, gid="space")
    shown = f"{margin:g}".removeprefix("0")
    scale = "" if weight == 1 else f"{weight:g} · ".removeprefix("0" if weight else "")
    name = DISTANCE_NAMES[distance]
    hinge = (f"max(0, {shown} − s(i, t)", "  + max s(i, t′)), and", "the same for (t, i′)")
    _term(axes, IMAGE_Y, ("image", "image"), f"{scale}IMC(I)", [f"{name} in the window"])
    _term(axes, (IMAGE_Y + WORD_Y) / 2, ("image", "sentence"), "hinges", hinge)
    _term(axes, WORD_Y, ("sentence", "sentence"), f"{scale}IMC(T)", [f"{name} in the window"])
    _say(axes, centre, bottom + 0.34, "loss: their sum (Eq. 3)", 8.5, fontweight="bold")


def _check(
    readout: str,
    distance: str,
    sizes: tuple[int, int, int],
    margin: float,
    weight: float,
    words: Sequence[str],
) -> None:
    if readout not in READOUTS or distance not in DISTANCE_NAMES:
        raise ConfigError(
            f"network_diagram: readout should be one of {', '.join(READOUTS)} and distance one of "
            f"{', '.join(DISTANCE_NAMES)}, found {readout!r} and {distance!r}"
        )
    if min(sizes) < 1 or (readout == "last" and sizes[2] % 2):
        raise ConfigError(
            f"network_diagram: sizes should be from 1, dim even where states are joined, found {sizes}"
        )
    if not 0 < margin < inf or not 0 <= weight < inf or not 1 <= len(words) <= 4:
        raise ConfigError(
            "network_diagram takes a margin above 0, a weight from 0 and one to four words, found "
            f"{margin}, {weight} and {list(words)}"
        )


def network_diagram(
    readout: str = "halves",
    backbone: str = "ResNet-152",
    image_dim: int = 2048,
    word_dim: int = 300,
    dim: int = 1024,
    margin: float = 0.2,
    weight: float = 1.0,
    distance: str = "l1",
    words: Sequence[str] = ("two", "dogs", "run", "home"),
    fixed: bool = True,
    unit_features: bool = False,
) -> Figure:
    """The network with its sizes: image CNN and fc, word vectors and BiLSTM, one space, the three terms.

    `readout` says which states become the text vector: 'halves' (mean of both directions, each where it
    ends), 'last' (the same two states joined, half as long each) or 'released' (mean of both directions at
    the last word, where the backward one has seen one word only); they are filled. `fixed`: the CNN is not
    trained; `unit_features`: its feature has length 1. `distance` (cosine, msd, l1, l2) and `weight` are
    those of the constraint, `margin` that of the hinges. Squares are images, circles sentences. Raises
    ConfigError for an unknown read-out or distance, a size below 1, an odd `dim` with 'last', a weight below
    0, a margin not above 0 or other than one to four words. Source: intra-modal constraint, Figure 1, left.
    """
    _check(readout, distance, (image_dim, word_dim, dim), margin, weight, words)
    with house_style():
        figure = new_figure(HEIGHT, BOOK_WIDTH, layout="none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, BOOK_WIDTH), ylim=(0, HEIGHT))
        axes.set_axis_off()
        _heading(axes, HEIGHT - 0.16, "Images", f"{backbone}, fc")
        _image_lane(axes, backbone, fixed, unit_features, (image_dim, dim))
        _heading(axes, TEXT_TOP, "Sentences", f"BiLSTM, read: {READOUTS[readout][1]}")
        _text_lane(axes, words, readout, word_dim, dim)
        _space(axes, dim, margin, weight, distance)
    return figure
