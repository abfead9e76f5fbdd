"""One network for images and for text drawn as a picture: the network, its space, and how it collapses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from imtext.errors import ConfigError, DataError
from imtext.report.figures.gallery import wrap
from imtext.report.figures.measures import measure_ranks
from imtext.report.figures.pairs import right_but_wrong, similar_pairs
from imtext.report.figures.pictures import as_picture
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, RED, house_style, new_figure

__all__ = [
    "collapse_curves",
    "measure_ranks",
    "modality_map",
    "modality_maps",
    "right_but_wrong",
    "similar_pairs",
    "single_network_diagram",
]

# All in inches.
HEIGHT, EDGE = 2.86, 0.03
WORDS_WIDTH, VECTORS_X, VECTORS_WIDTH = 0.72, 0.95, 0.78
PICTURE_X, PICTURE = 1.97, 0.82
LANES = (1.98, 0.66)
NET_X, NET_WIDTH, LAYER, STEP = 3.15, 1.72, 0.2, 0.285
STEM_Y, LAST_Y = HEIGHT - 0.62, HEIGHT - 0.62 - 7 * STEP
JOIN_X = NET_X - 0.15
VECTOR_X, LOSS_X = 5.24, 5.86
SCALES = (".17", ".10", ".20")
IMAGE, TEXT = PALETTE[0], RED
PANELS = (("loss", "loss"), ("spread", "spread"), ("directions", "directions"), ("recall", "recall (%)"))
_LINEAR = ("directions", "recall")
# A quantity that falls or grows this much is drawn on a logarithmic axis.
_LOGARITHMIC = 30


# Figure 2: the network


def _box(axes: Axes, left: float, middle: float, width: float, height: float, **look: object) -> None:
    look = {"edgecolor": INK, "facecolor": "none", "linewidth": 0.9, **look}
    shape = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((left, middle - height / 2), width, height, boxstyle=shape, **look))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops={**look, "mutation_scale": 7, "linestyle": "-"})


def _say(axes: Axes, x: float, y: float, text: str, size: float = 7.5, **look: object) -> None:
    axes.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": size, "linespacing": 1.2, **look})


def _line(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.plot(*np.stack([start, end]).T, color=INK, linewidth=0.9, linestyle="-", solid_capstyle="projecting")


def _landscape(axes: Axes, left: float, middle: float) -> None:
    """A stand-in for a photograph: a hill and a sun."""
    hill = PICTURE * np.array([[0.08, -0.38], [0.4, 0.12], [0.56, -0.1], [0.68, 0.02], [0.92, -0.38]])
    axes.add_patch(Polygon(hill + [left, middle], facecolor=INK, alpha=0.35, linewidth=0))
    sun = (left + 0.72 * PICTURE, middle + 0.26 * PICTURE)
    axes.add_patch(Circle(sun, 0.09 * PICTURE, facecolor=INK, alpha=0.35, linewidth=0))


def _sketch(words: int) -> np.ndarray:
    """A stand-in for an encoded caption, uint8 (H, W, 3): a tile of coloured pixels a word on black."""
    random, picture = np.random.default_rng(3), np.zeros((18, 18, 3), np.uint8)
    for number in range(words):
        row, column = divmod(number, 3)
        top, left = 1 + 4 * row, 1 + 6 * column
        picture[top : top + 3, left : left + 4] = random.integers(60, 256, (3, 4, 3))
    return picture


def _inputs(axes: Axes, pictures: Sequence[Any], sides: Sequence[int], words: str, features: int) -> None:
    """The picture and the caption on its way to one, each with an arrow into the network."""
    for y, picture, side, name in zip(LANES, pictures, sides, ("Image", "Text as image"), strict=True):
        extent = (PICTURE_X, PICTURE_X + PICTURE, y - PICTURE / 2, y + PICTURE / 2)
        if picture is not None:
            axes.imshow(as_picture(picture), extent=extent, aspect="auto", zorder=1)
        else:
            _landscape(axes, PICTURE_X, y)
        corner = (extent[0], extent[2])
        axes.add_patch(Rectangle(corner, PICTURE, PICTURE, fill=False, edgecolor=INK, linewidth=0.9))
        middle = PICTURE_X + PICTURE / 2
        _say(axes, middle, extent[3] + 0.1, name, 8.5, fontweight="bold")
        _say(axes, middle, extent[2] - 0.1, f"{side} × {side}", gid="side")
        _line(axes, (extent[1] + 0.02, y), (JOIN_X, y))
    _line(axes, (JOIN_X, LANES[1]), (JOIN_X, STEM_Y))
    _arrow(axes, (JOIN_X, STEM_Y), (NET_X + 0.06, STEM_Y))
    y = LANES[1]
    _box(axes, EDGE, y, WORDS_WIDTH, PICTURE)
    _say(axes, EDGE + WORDS_WIDTH / 2, y, words, 8, fontstyle="italic")
    _say(axes, EDGE + WORDS_WIDTH / 2, y + PICTURE / 2 + 0.1, "Caption", 8.5, fontweight="bold")
    _arrow(axes, (EDGE + WORDS_WIDTH + 0.02, y), (VECTORS_X - 0.02, y))
    _box(axes, VECTORS_X, y, VECTORS_WIDTH, 0.56)
    _say(axes, VECTORS_X + VECTORS_WIDTH / 2, y + 0.1, "word vectors", 8)
    _say(axes, VECTORS_X + VECTORS_WIDTH / 2, y - 0.1, f"{features} numbers", gid="features")
    _arrow(axes, (VECTORS_X + VECTORS_WIDTH + 0.02, y), (PICTURE_X - 0.02, y))


def _network(axes: Axes, blocks: Sequence[int], keep: float, dim: int) -> None:
    """The one network, from its first layers at the top to the embedding at the bottom."""
    residual = [
        f"{count} × block{side}, scale {scale}"
        for count, side, scale in zip(blocks, (35, 17, 8), SCALES, strict=True)
    ]
    layers = ["stem", residual[0], "reduction A", residual[1], "reduction B", residual[2]]
    layers += [f"mean, dropout (keep {keep:g})".replace("0.", "."), f"linear to {dim:,}, BN"]
    _box(axes, NET_X, HEIGHT / 2, NET_WIDTH, HEIGHT - 2 * EDGE, linewidth=1.8, gid="network")
    _say(axes, NET_X + NET_WIDTH / 2, HEIGHT - 0.16, "one network for both", 9, fontweight="bold")
    _say(axes, NET_X + NET_WIDTH / 2, HEIGHT - 0.34, "Inception-ResNet-v1", 8)
    for number, name in enumerate(layers):
        y, middle = STEM_Y - number * STEP, NET_X + NET_WIDTH / 2
        coloured = {"edgecolor": PALETTE[number // 2], "linewidth": 1.3} if "block" in name else {}
        _box(axes, NET_X + 0.07, y, NET_WIDTH - 0.14, LAYER, gid="layer", **coloured)
        _say(axes, middle, y, name, gid="layer name")
        if number:
            _arrow(axes, (middle, y + STEP - LAYER / 2), (middle, y + LAYER / 2))


def _losses(axes: Axes, dim: int, classes: int | None, weight: float | None) -> None:
    """The embedding, and what pulls at it."""
    middle, right = HEIGHT / 2, BOOK_WIDTH - EDGE
    _line(axes, (NET_X + NET_WIDTH - 0.06, LAST_Y), (VECTOR_X + 0.085, LAST_Y))
    _arrow(axes, (VECTOR_X + 0.085, LAST_Y), (VECTOR_X + 0.085, middle - 0.62))
    for number in range(8):
        corner = (VECTOR_X, middle - 0.6 + 0.15 * number)
        axes.add_patch(Rectangle(corner, 0.17, 0.15, fill=False, edgecolor=INK, linewidth=0.9))
    _say(axes, VECTOR_X + 0.085, middle + 0.72, f"{dim:,}-d", 8, gid="dim")
    lines = (
        ("softmax", "one class a group" if classes is None else f"{classes:,} groups"),
        (f"{'λ' if weight is None else f'{weight:g}'} × centre loss", "½ ‖x − c‖², Eq. 1"),
    )
    for y, (name, detail) in zip((middle + 0.42, middle - 0.42), lines, strict=True):
        _box(axes, LOSS_X, y, right - LOSS_X, 0.5, linewidth=1.4, gid="loss")
        _say(axes, (LOSS_X + right) / 2, y + 0.1, name, 8.5, fontweight="bold")
        _say(axes, (LOSS_X + right) / 2, y - 0.1, detail, gid="detail")
        _arrow(axes, (VECTOR_X + 0.19, y), (LOSS_X - 0.02, y))
    _say(axes, (LOSS_X + right) / 2, middle, "+", 10, fontweight="bold")


def single_network_diagram(
    image: Any = None,
    encoded: Any = None,
    sides: tuple[int, int] = (256, 227),
    blocks: tuple[int, int, int] = (5, 10, 5),
    keep: float = 0.8,
    dim: int = 128,
    features: int = 36,
    classes: int | None = None,
    weight: float | None = None,
    words: Sequence[str] = ("two", "dogs", "run", "home"),
) -> Figure:
    """The network that takes images and captions drawn as pictures, with its sizes and the two losses.

    `image`, `encoded`: uint8 pictures, (H, W, 3) or (3, H, W), to be shown as the two inputs; None leaves a
    frame, and a sketch of the caption. `sides`: of image and encoded text in pixels; `blocks`: how often the
    three residual blocks stand; `keep`: what dropout keeps; `dim`: of the embedding; `features`: numbers of a
    word vector; `classes`: groups to tell apart and `weight`: λ of the centre loss, left open by None.
    Raises ConfigError for a size below 1, other than three blocks or one to six words. Source: single
    network, Figure 2 (without its map of the space).
    """
    if min([*sides, *blocks, dim, features, classes or 1]) < 1 or len(sides) != 2 or len(blocks) != 3:
        raise ConfigError(
            "single_network_diagram takes two sides, three blocks and sizes from 1, found "
            f"{sides}, {blocks}, {dim}, {features} and {classes}"
        )
    if not 1 <= len(words) <= 6 or not 0 < keep <= 1:
        raise ConfigError(
            "single_network_diagram takes one to six words and keep in (0, 1], "
            f"found {list(words)} and {keep}"
        )
    with house_style():
        figure = new_figure(HEIGHT, BOOK_WIDTH, layout="none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        pictures = (image, _sketch(len(words)) if encoded is None else encoded)
        _inputs(axes, pictures, sides, wrap(" ".join(words), WORDS_WIDTH, 8), features)
        _network(axes, blocks, keep, dim)
        _losses(axes, dim, classes, weight)
        # Pictures set their own limits.
        axes.set(xlim=(0, BOOK_WIDTH), ylim=(0, HEIGHT), aspect="auto")
    return figure


# Figure 3: the space


def _checked_map(positions: Any, is_text: Any, title: str) -> tuple[np.ndarray, np.ndarray]:
    where = f"modality_map {title!r}" if title else "modality_map"
    points, text = np.asarray(positions, dtype=float), np.asarray(is_text)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise DataError(f"{where}: positions should be (P, 2) with P ≥ 1, found {points.shape}")
    if not np.isfinite(points).all():
        raise DataError(f"{where}: a position is not finite; look at the embeddings it comes from")
    if text.shape != (len(points),) or text.dtype != np.bool_:
        raise DataError(
            f"{where}: is_text should be True or False for each of {len(points)} points, "
            f"found {text.dtype} of shape {text.shape}"
        )
    if text.all() or not text.any():
        raise DataError(f"{where}: all points are {'text' if text.all() else 'images'}; give both")
    return points, text


def _mixing_text(mixing: Any, narrow: bool = False) -> str:
    """The number for the overlap in words, from a float or an `imtext.retrieval.mixing.Mixing`.

    >>> _mixing_text(0.5)
    'mixing 0.50'
    """
    if mixing is None:
        return ""
    text = f"mixing {float(mixing):.2f}"
    if hasattr(mixing, "low"):
        text += f" ({mixing.low:.2f} to {mixing.high:.2f}),"
        text += ("\n" if narrow else " ") + f"{mixing.k} neighbours"
    return text


def _draw_map(
    axes: Axes, points: np.ndarray, text: np.ndarray, title: str, mixing: Any, width: float
) -> None:
    # So that the marks of any number of points cover about a tenth of the panel together.
    size = float(np.clip(width**2 * 72**2 * 0.1 / len(points), 4, 34))
    look = {"s": size, "linewidths": max(0.5, 0.2 * size**0.5), "rasterized": True}
    axes.scatter(
        *points[text].T, marker="o", facecolors="none", edgecolors=TEXT, alpha=0.75, gid="text", **look
    )
    axes.scatter(
        *points[~text].T, marker="s", color=IMAGE, alpha=0.9, gid="image", **{**look, "linewidths": 0}
    )
    reach = np.abs(points - (middle := (points.max(0) + points.min(0)) / 2)).max() * 1.06 or 1.0
    axes.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]))
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    if (points == points[0]).all():
        axes.text(0.5, 0.6, "all points coincide", transform=axes.transAxes, ha="center", fontsize=8)
    axes.set_title(title)
    axes.set_xlabel(_mixing_text(mixing, width < 3))


def modality_maps(panels: Sequence[tuple[str, Any, Any, Any]]) -> Figure:
    """Several maps of images and texts side by side: `(title, positions, is_text, mixing)` each.

    See :func:`modality_map`. Raises DataError for no panel too, ConfigError for more than three or other
    parts.
    """
    if not panels:
        raise DataError("modality_maps: no panel; give at least one (title, positions, is_text, mixing)")
    if len(panels) > 3 or any(len(panel) != 4 for panel in panels):
        raise ConfigError(
            "modality_maps takes up to three panels of title, positions, is_text and mixing, found "
            f"{len(panels)} of {', '.join(str(len(panel)) for panel in panels)} parts"
        )
    checked = [_checked_map(positions, is_text, title) for title, positions, is_text, _ in panels]
    width = 4.4 if len(panels) == 1 else BOOK_WIDTH / len(panels)
    numbered = any(panel[3] is not None for panel in panels)
    with house_style():
        figure = new_figure(width + 0.3 + (0.22 + 0.15 * (width < 3)) * numbered, width * len(panels))
        figure.get_layout_engine().set(h_pad=0.07)
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (points, text), (title, _, _, mixing) in zip(grid, checked, panels, strict=True):
            _draw_map(axes, points, text, title, mixing, width)
        plain = {"linestyle": "none", "markersize": 6}
        handles = [
            Line2D([], [], marker="s", color=IMAGE, label="image", **plain),
            Line2D([], [], marker="o", markeredgecolor=TEXT, markerfacecolor="none", label="text", **plain),
        ]
        title = "mixing: 0 apart, 1 as mixed as by chance" if numbered else None
        figure.legend(
            handles=handles, loc="outside lower center", ncols=2, title=title, title_fontsize=8, fontsize=8
        )
    return figure


def modality_map(positions: Any, is_text: Any, mixing: Any = None, title: str = "") -> Figure:
    """Images and texts of one space on a map of two dimensions, such as t-SNE's.

    `positions (P, 2)`, of which the panel says so where all coincide; `is_text (P,)`: True for a text. Texts
    are red circles, images blue squares above them; axes of such a map have no unit. `mixing`: the number for
    their overlap in the space itself, not on the map, as a float or from
    `imtext.retrieval.mixing.modality_mixing`, whose interval is then written too. Raises DataError for other
    shapes, positions that are not finite, or one modality alone. Source: single network, Figure 3.
    """
    return modality_maps([(title, positions, is_text, mixing)])


# Eq. 1 alone: collapse


def _checked_curves(curves: pd.DataFrame) -> tuple[pd.DataFrame, str, list[tuple[str, str]]]:
    """The curves, the name of their time, and the panels there are."""
    axis = "step" if "step" in curves.columns else "epoch"
    missing = [name for name in ("run", axis, "loss", "spread") if name not in curves.columns]
    if missing:
        raise DataError(
            f"collapse_curves: column {missing[0]!r} is missing; found {', '.join(map(str, curves.columns))}"
        )
    panels = [panel for panel in PANELS if panel[0] in curves.columns]
    values = curves[[axis, *(name for name, _ in panels)]].to_numpy(dtype=float)
    if not len(values) or np.isinf(values).any() or (values[:, 1:] < 0).any():
        raise DataError("collapse_curves: expected numbers from 0 on, or NaN where there is none")
    if np.isnan(values[:, 1:]).all(0).any():
        raise DataError("collapse_curves: a column holds no number at all; leave it out")
    if curves["run"].nunique() > len(PALETTE):
        raise DataError(
            f"collapse_curves: {curves['run'].nunique()} runs; at most {len(PALETTE)} are told apart"
        )
    return curves, axis, panels


def _curve_panel(axes: Axes, curves: pd.DataFrame, axis: str, name: str, chance: float | None) -> None:
    known = curves[name].to_numpy(dtype=float)
    known = known[known > 0]
    wide = name not in _LINEAR and len(known) and known.max() > _LOGARITHMIC * known.min()
    for number, (run, part) in enumerate(curves.groupby("run", sort=False)):
        part = part.dropna(subset=[name]).sort_values(axis)
        # Zero has no place on a logarithmic axis: it stands at its lower edge.
        y = part[name].clip(lower=known.min() / 2) if wide else part[name]
        marker = "o" if len(part) <= 12 else None
        look = {"color": PALETTE[number], "linestyle": DASHES[number], "markersize": 3.2}
        axes.plot(part[axis], y, marker=marker, label=str(run), gid=name, **look)
    if wide:
        axes.set_yscale("log")
        # Not 10⁻³ as a formula: the house style draws text as written.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
    if name == "recall" and chance is not None:
        axes.axhline(chance, color=INK, linewidth=0.9, linestyle=":", gid="chance")
        axes.annotate(
            "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(-2, 4),
            textcoords="offset points", fontsize=8, ha="right",
        )  # fmt: skip


def collapse_curves(curves: pd.DataFrame, chance: float | None = None) -> Figure:
    """Loss and spread of the embeddings over a training, one line a run: how the centre loss alone collapses.

    `curves` has the columns run (a label a line, such as "centre loss alone" and "softmax + centre loss"),
    step or epoch, loss and spread (such as the mean distance of test embeddings from their mean), and may
    have directions, in how many they differ, and recall, in percent, with `chance` for a dotted line; NaN
    where there is none. Loss and spread are on
    logarithmic axes where they range widely; a 0 then stands at the lower edge. Raises DataError for a
    missing column, negative or infinite numbers, or more than four runs. Source: ours, after single network,
    Eq. 1.
    """
    curves, axis, panels = _checked_curves(curves)
    with house_style():
        figure = new_figure(2.55, BOOK_WIDTH)
        figure.get_layout_engine().set(h_pad=0.07)
        grid = figure.subplots(1, len(panels))
        for letter, axes, (name, title) in zip("abcd", grid, panels, strict=False):
            _curve_panel(axes, curves, axis, name, chance)
            axes.set_title(f"({letter}) {title}")
            axes.set_xlabel(axis)
            axes.grid(axis="y")
            axes.xaxis.get_major_locator().set_params(integer=True)
        handles, labels = grid[0].get_legend_handles_labels()
        if len(handles) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
        else:
            figure.suptitle(labels[0], fontsize=9, x=0.01, ha="left")
    return figure
