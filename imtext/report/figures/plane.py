"""Two classes in two dimensions: where a loss puts images and captions, drawn as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon

from imtext.errors import ConfigError, DataError
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

# The first class is filled, the second hollow; images are round, captions three-cornered.
COLOURS = PALETTE[:2]
MARKS = {"image": "o", "caption": "^"}
SIZES = {"image": 26.0, "caption": 30.0}
# Shares of half a panel's width: the longer weight vector, and how far out its name may stand.
ARROW, RIM = 0.8, 0.9
PER_ROW = 3


@dataclass(frozen=True)
class _Panel:
    """One panel: points (n, 2) with their class (n,), 0 or 1, by kind; weight rows (2, 2) or None."""

    title: str
    points: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    weight: np.ndarray | None

    @property
    def reach(self) -> float:
        """Half the width of the panel, which has the origin in its middle."""
        far = max(float(np.abs(points).max()) for points in self.points.values())
        # The unit circle is shown where it is not far away.
        far = max(far, 1.0) if far > 0.55 else far or 1.0
        return 1.22 * far


def _pairs(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise DataError(f"geometry: {name} should be (n, 2) with n ≥ 1, found {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"geometry: {name} holds a number that is not finite; look at the run it comes from")
    return array


def _panels(stages: Sequence[tuple[Any, ...]]) -> list[_Panel]:
    if not stages:
        raise DataError("geometry: no stage; give at least one")
    panels = []
    for number, stage in enumerate(stages):
        if len(stage) != 6:
            raise ConfigError(
                f"geometry: stage {number} has {len(stage)} parts; expected title, images, captions, "
                "image_classes, caption_classes, weight"
            )
        title, images, captions, of_images, of_captions, weight = stage
        points = {
            "image": _pairs(images, f"{title}: images"),
            "caption": _pairs(captions, f"{title}: captions"),
        }
        classes = {"image": np.asarray(of_images), "caption": np.asarray(of_captions)}
        for kind, found in classes.items():
            if found.shape != (len(points[kind]),):
                raise DataError(
                    f"geometry: {title}: classes of shape {found.shape} for {len(points[kind])} {kind}s; "
                    "give one each"
                )
        if weight is not None and _pairs(weight, f"{title}: weight").shape != (2, 2):
            raise DataError(f"geometry: {title}: weight should be (2, 2), one row a class")
        panels.append(_Panel(str(title), points, classes, None if weight is None else np.asarray(weight)))
    return panels


def _as_two(panels: Sequence[_Panel]) -> list[_Panel]:
    """The panels with their classes as 0 and 1, in the order of the labels."""
    labels = np.unique(np.concatenate([found for panel in panels for found in panel.classes.values()]))
    if len(labels) != 2:
        raise DataError(f"geometry: expected two classes, found {len(labels)}; choose two of them")
    return [
        _Panel(
            panel.title,
            panel.points,
            {kind: np.searchsorted(labels, found) for kind, found in panel.classes.items()},
            panel.weight,
        )
        for panel in panels
    ]


def _draw_boundary(axes: Axes, weight: np.ndarray, reach: float) -> None:
    """The line on which both classes have the same score, (W1 − W2)·f = 0, and a tint on either side."""
    normal = weight[0] - weight[1]
    length = float(np.linalg.norm(normal))
    if not length:
        return
    towards = normal / length * 3 * reach
    along = np.array([-towards[1], towards[0]])
    for colour, side in zip(COLOURS, (towards, -towards), strict=True):
        corners = [along, -along, -along + side, along + side]
        axes.add_patch(
            Polygon(corners, facecolor=colour, alpha=0.09, linewidth=0, zorder=0, gid="half-plane")
        )
    ends = np.stack([along, -along])
    axes.plot(*ends.T, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1, gid="boundary")


def _free_place(tip: np.ndarray, points: np.ndarray, reach: float) -> np.ndarray:
    """A place near an arrow's tip for its name: the first one away from all points, else the emptiest."""
    ahead = tip / max(float(np.linalg.norm(tip)), 1e-12) * reach
    aside = np.array([-ahead[1], ahead[0]])
    near = [tip + 0.11 * ahead, tip + 0.13 * aside, tip - 0.13 * aside]
    near += [tip - 0.2 * ahead + side * aside for side in (0.14, -0.14)] + [tip + 0.22 * ahead]
    places = np.clip(np.stack(near), -RIM * reach, RIM * reach)
    room = np.linalg.norm(places[:, None] - points[None], axis=2).min(1)
    free = np.flatnonzero(room > 0.11 * reach)
    return places[free[0] if len(free) else int(room.argmax())]


def _draw_weights(axes: Axes, panel: _Panel) -> None:
    """Arrows W1 and W2 from the origin; the longer one fills the panel, the other keeps its proportion."""
    longest = float(np.linalg.norm(panel.weight, axis=1).max())
    if not longest:
        return
    points = np.concatenate(list(panel.points.values()))
    tips = panel.weight / longest * ARROW * panel.reach
    for number, (tip, colour) in enumerate(zip(tips, COLOURS, strict=True), start=1):
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
        arrow |= {"mutation_scale": 12, "linestyle": "-"}
        axes.annotate("", tip, (0, 0), arrowprops=arrow, zorder=6)
        place = _free_place(tip, np.concatenate([points, tips]), panel.reach)
        look = {"color": INK, "ha": "center", "va": "center", "fontsize": 10, "zorder": 7}
        axes.text(*place, f"$W_{number}$", parse_math=True, **look)


def _draw_panel(axes: Axes, panel: _Panel) -> None:
    reach = panel.reach
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(panel.title)
    axes.spines[:].set_visible(True)
    axes.tick_params(labelsize=7.5)
    axes.locator_params(nbins=5)
    if panel.weight is not None:
        _draw_boundary(axes, panel.weight, reach)
        _draw_weights(axes, panel)
    if 0.1 * reach < 1 <= reach:
        axes.add_patch(Circle((0, 0), 1, fill=False, color=INK, alpha=0.45, linewidth=0.8, gid="unit"))
    axes.plot(0, 0, marker="+", color=INK, markersize=6, linestyle="none", zorder=3, gid="origin")
    for kind, points in panel.points.items():
        for number, colour in enumerate(COLOURS):
            own = points[panel.classes[kind] == number]
            face = to_rgba(colour, 0.6) if number == 0 else "none"
            axes.scatter(
                *own.T,
                s=SIZES[kind],
                marker=MARKS[kind],
                facecolors=face,
                edgecolors=colour,
                linewidths=1.1,
                zorder=5,
                gid=f"{kind} {number + 1}",
            )


def _legend(panels: Sequence[_Panel]) -> list[Line2D]:
    handles = []
    for number, colour in enumerate(COLOURS):
        for kind in MARKS:
            mark = {"marker": MARKS[kind], "markersize": 6, "markeredgecolor": colour, "linestyle": "none"}
            mark["markerfacecolor"] = to_rgba(colour, 0.6) if number == 0 else "none"
            handles.append(Line2D([], [], label=f"{kind}, class {number + 1}", **mark))
    if any(panel.weight is not None for panel in panels):
        handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label="same score"))
        arrow = {"marker": r"$\rightarrow$", "markersize": 12, "color": INK, "linestyle": "none"}
        with mpl.rc_context({"text.parse_math": True}):
            handles.append(Line2D([], [], label="class weights (own scale)", **arrow))
    return handles


def geometry(stages: Sequence[tuple[Any, ...]]) -> Figure:
    """Images and captions of two classes in a two-dimensional embedding, one panel per stage.

    A stage is `(title, images (n, 2), captions (m, 2), image_classes (n,), caption_classes (m,), weight)`
    with the class weights W1 and W2 as the rows of `weight` (2, 2), or None where the loss has none. The
    first class in the order of the labels is filled, the second hollow. Every panel has the origin in its
    middle and its own range, equal in both directions, since the cosine is an angle at the origin; a thin
    circle has the radius 1. The arrows show the directions of W1 and W2 and their proportion, not their
    length; the dashed line is where both classes have the same score, (W1 − W2)·f = 0.

    Raises DataError for other shapes, numbers that are not finite, or other than two classes. Source:
    instance loss, Figure 6.
    """
    panels = _as_two(_panels(stages))
    columns = min(len(panels), PER_ROW)
    rows = -(-len(panels) // columns)
    cell = BOOK_WIDTH / max(columns, 2)
    with house_style():
        figure = new_figure(rows * (cell + 0.12) + 0.55, cell * columns, layout="compressed")
        if rows > 1:
            figure.get_layout_engine().set(h_pad=0.09)
        grid = figure.subplots(rows, columns, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number < len(panels):
                _draw_panel(axes, panels[number])
            else:
                axes.set_axis_off()
        ncols = 3 if columns > 1 else 2
        figure.legend(handles=_legend(panels), loc="outside lower center", ncols=ncols, fontsize=8)
    return figure
