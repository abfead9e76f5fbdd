"""Neighbourhoods of captions around a new image, without and with the structure term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Annulus, Circle

from imtext.errors import ConfigError, DataError
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure

# Squares are images and circles are captions, as in the paper; groups differ in colour and in fill.
MARKS = {"image": "s", "caption": "o"}
SIZES = {"image": 8.0, "caption": 6.5}
FILLS = ("full", "none", "left", "top")
# The panel ends so much beyond the farther of the two captions that the new image is compared with.
BEYOND = 1.35


@dataclass(frozen=True)
class _Panel:
    """Points (n, 2) and groups (n,) by kind, and the two nearest captions of different groups."""

    title: str
    points: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    query_group: Any
    nearest: tuple[int, int]

    @property
    def distances(self) -> tuple[float, float]:
        """From the middle to the nearest caption, and to the nearest one of another group."""
        first, second = np.linalg.norm(self.points["caption"][list(self.nearest)], axis=1)
        return float(first), float(second)


def _panel(part: Sequence[Any], number: int) -> _Panel:
    if len(part) != 6:
        raise ConfigError(
            f"neighbourhoods: panel {number} has {len(part)} parts; expected title, images, captions, "
            "image_groups, caption_groups, query_group"
        )
    title, images, captions, of_images, of_captions, query_group = part
    points = {"image": np.asarray(images, dtype=float), "caption": np.asarray(captions, dtype=float)}
    groups = {"image": np.asarray(of_images), "caption": np.asarray(of_captions)}
    for kind, found in points.items():
        if found.ndim != 2 or found.shape[1] != 2 or not len(found):
            raise DataError(
                f"neighbourhoods: {title}: {kind}s should be (n, 2) with n ≥ 1, found {found.shape}"
            )
        if not np.isfinite(found).all():
            raise DataError(f"neighbourhoods: {title}: {kind}s hold a number that is not finite")
        if groups[kind].shape != (len(found),):
            raise DataError(
                f"neighbourhoods: {title}: groups of shape {groups[kind].shape} for {len(found)} {kind}s; "
                "give one each"
            )
    far = np.linalg.norm(points["caption"], axis=1)
    first = int(far.argmin())
    others = groups["caption"] != groups["caption"][first]
    if not others.any():
        raise DataError(f"neighbourhoods: {title}: captions of one group only; give at least two")
    second = int(np.where(others, far, np.inf).argmin())
    return _Panel(str(title), points, groups, query_group, (first, second))


def _labels(panels: Sequence[_Panel]) -> list[Any]:
    """All groups in order; a figure has room for four."""
    found = np.unique(np.concatenate([groups for panel in panels for groups in panel.groups.values()]))
    if len(found) > len(PALETTE):
        raise DataError(f"neighbourhoods: expected at most {len(PALETTE)} groups, found {len(found)}")
    return list(found)


def _style(kind: str, number: int) -> dict[str, Any]:
    """How a point of a group is drawn."""
    return {
        "marker": MARKS[kind],
        "markersize": SIZES[kind],
        "color": PALETTE[number],
        "markerfacecoloralt": "none",
        "fillstyle": FILLS[number],
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def _distance_lines(axes: Axes, panel: _Panel) -> None:
    """Circles through the two nearest captions, the ring between them, and a line to each."""
    near, far = panel.distances
    for radius in (near, far):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linewidth=0.7, alpha=0.7, zorder=1))
    if far > near > 0:
        ring = Annulus((0, 0), far, far - near, facecolor=INK, linewidth=0, alpha=0.22, zorder=0)
        ring.set_gid("gap")
        axes.add_patch(ring)
    for which, dash in zip(panel.nearest, DASHES, strict=False):
        point = panel.points["caption"][which]
        axes.plot(*np.stack([np.zeros(2), point]).T, color=INK, linewidth=1.1, linestyle=dash, zorder=2)


def _draw(axes: Axes, panel: _Panel, labels: Sequence[Any], names: Sequence[str], reach: float) -> None:
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.set_title(panel.title)
    _distance_lines(axes, panel)
    for kind in ("caption", "image"):
        for number, label in enumerate(labels):
            own = panel.points[kind][panel.groups[kind] == label]
            axes.plot(*own.T, zorder=4, gid=f"{kind} {names[number]}", **_style(kind, number))
    axes.plot(
        0, 0, marker="s", markersize=10, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=1.8,
        linestyle="none", zorder=5, gid="query",
    )  # fmt: skip
    found = [names[labels.index(panel.groups["caption"][which])] for which in panel.nearest]
    near, far = panel.distances
    right = panel.groups["caption"][panel.nearest[0]] == panel.query_group
    beyond = sum(int((np.abs(points) > reach).any(1).sum()) for points in panel.points.values())
    text = (
        f"nearest captions: {found[0]} at {near:.2f}, {found[1]} at {far:.2f}\n"
        f"gap {far - near:.2f}; {'✓ its own group first' if right else '✗ another group first'}"
        + (f"; {beyond} point{'s' * (beyond > 1)} outside" if beyond else "")
    )
    axes.set_xlabel(text, fontsize=8.5)


def _legend(labels: Sequence[Any], names: Sequence[str], query: str) -> list[Line2D]:
    handles = []
    for number in range(len(labels)):
        style = _style("caption", number)
        handles.append(Line2D([], [], label=f"group {names[number]}", **style))
    plain = {"color": INK, "linestyle": "none", "markerfacecolor": "none"}
    handles.append(Line2D([], [], label="image", marker="s", markersize=7, **plain))
    handles.append(Line2D([], [], label="caption", marker="o", markersize=6, **plain))
    white = {"color": INK, "linestyle": "none", "markerfacecolor": "white", "markeredgewidth": 1.8}
    handles.append(Line2D([], [], label=f"new image, of group {query}", marker="s", markersize=8, **white))
    handles.append(
        Line2D([], [], label="gap", marker="o", markersize=9, color=INK, alpha=0.3, linestyle="none")
    )
    return handles


def neighbourhoods(before: Sequence[Any], after: Sequence[Any], reach: float | None = None) -> Figure:
    """A new image among images and captions of groups, in an embedding without and one with structure.

    `before`, `after`: `(title, images (n, 2), captions (m, 2), image_groups (n,), caption_groups (m,),
    query_group)`, the new image at the origin and everything else as far from it as in the embedding; see
    `imtext.papers.structure_geometry.on_map`. Squares are images, circles captions, the white square is the
    new image. The lines lead to the nearest caption and to the nearest one of another group, and the ring
    between the circles through these two is the gap: the thinner it is, the more ambiguous the match. Both
    panels end at the same distance from the origin, `reach`; None takes 1.35 times the longest line.

    Raises DataError for other shapes, numbers that are not finite, captions of one group only or more than
    four groups; ConfigError for other parts. Source: structure-preserving embeddings, Figure 2.
    """
    panels = [_panel(part, number) for number, part in enumerate((before, after))]
    labels = _labels(panels)
    names = [chr(ord("A") + number) for number in range(len(labels))]
    if reach is None:
        reach = BEYOND * max(panel.distances[1] for panel in panels)
    if not reach > 0:
        raise ConfigError(f"neighbourhoods: reach should be above 0, found {reach}")
    query = panels[0].query_group
    if query not in labels or any(panel.query_group != query for panel in panels):
        raise DataError(f"neighbourhoods: query_group should be one group of both panels, found {query!r}")
    with house_style():
        cell = BOOK_WIDTH / 2
        figure = new_figure(cell + 1.05, BOOK_WIDTH)
        for axes, panel in zip(figure.subplots(1, 2), panels, strict=True):
            _draw(axes, panel, labels, names, reach)
        handles = _legend(labels, names, names[labels.index(query)])
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    return figure
