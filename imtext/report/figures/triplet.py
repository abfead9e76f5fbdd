"""Anchor, positive and hardest negative on a map, and what becomes of the hinges of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from imtext.errors import ConfigError, DataError
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure

POSITIVE, NEGATIVE = PALETTE[0], PALETTE[1]
# The map of the whole sphere is a disk of this radius: no two unit vectors are farther apart.
EDGE = 2.0
PER_ROW = 3
# Lines of hinge counts: all negatives, the hardest negative of every anchor.
COUNTED = {"all": "of all negatives", "hardest": "of the hardest negatives"}


@dataclass(frozen=True)
class _Panel:
    """An anchor in the origin: its positive (2,), negatives (n, 2)."""

    title: str
    positive: np.ndarray
    negatives: np.ndarray

    @property
    def hardest(self) -> int:
        """The nearest negative."""
        return int(np.linalg.norm(self.negatives, axis=1).argmin())

    def hinges(self, margin: float) -> np.ndarray:
        """Hinge of every negative (n,): cosine of unit vectors at distance d is 1 − d² / 2."""
        cosines = 1 - np.square(self.negatives).sum(1) / 2
        return np.maximum(0.0, margin - (1 - np.square(self.positive).sum() / 2) + cosines)

    def reach(self, margin: float) -> float:
        """The distance beyond which the hinge of a negative is 0."""
        return float(np.sqrt(np.clip(np.square(self.positive).sum() + 2 * margin, 0, EDGE**2)))


def _panel(part: Sequence[Any], number: int) -> _Panel:
    if len(part) != 3:
        raise ConfigError(
            f"triplets: panel {number} has {len(part)} parts; expected title, positive, negatives"
        )
    positive, negatives = (np.asarray(points, dtype=float) for points in part[1:])
    if positive.shape != (2,) or negatives.ndim != 2 or negatives.shape[1] != 2 or not len(negatives):
        raise DataError(
            f"triplets: {part[0]}: expected a positive (2,) and negatives (n, 2) with n ≥ 1, found "
            f"{positive.shape} and {negatives.shape}"
        )
    far = np.linalg.norm(np.vstack([positive[None], negatives]), axis=1)
    # Not `far > EDGE`: that is False for a number that is not finite.
    if not (far <= EDGE + 1e-6).all():
        raise DataError(
            f"triplets: {part[0]}: a point is {far.max():g} from the anchor; unit vectors are 2 apart at most"
        )
    return _Panel(str(part[0]), positive, negatives)


def _draw(axes: Axes, panel: _Panel, margin: float) -> None:
    axes.set(xlim=(-2.06, 2.06), ylim=(-2.06, 2.06), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(panel.title)
    axes.add_patch(Circle((0, 0), EDGE, fill=False, color=INK, linewidth=0.8, alpha=0.6, gid="edge"))
    reach = panel.reach(margin)
    axes.add_patch(Circle((0, 0), reach, facecolor=INK, linewidth=0, alpha=0.16, zorder=0, gid="reach"))
    axes.add_patch(
        Circle((0, 0), reach, fill=False, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1)
    )
    hinges, first = panel.hinges(margin), panel.hardest
    ends = ((panel.positive, POSITIVE, DASHES[0]), (panel.negatives[first], NEGATIVE, DASHES[1]))
    for end, colour, dash in ends:
        axes.plot(*np.stack([np.zeros(2), end]).T, color=colour, linewidth=1.5, linestyle=dash, zorder=2)
    others = np.delete(panel.negatives, first, axis=0)
    plain = {"linestyle": "none", "marker": "o", "zorder": 3}
    axes.plot(*others.T, markersize=4, color=INK, fillstyle="none", gid="negative", **plain)
    axes.plot(*panel.positive, markersize=7.5, color=POSITIVE, gid="positive", **{**plain, "zorder": 5})
    axes.plot(
        *panel.negatives[first], markersize=7.5, color=NEGATIVE, fillstyle="none", markeredgewidth=2,
        gid="hardest", **{**plain, "zorder": 5},
    )  # fmt: skip
    axes.plot(
        0, 0, marker="s", markersize=8, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=1.6,
        linestyle="none", zorder=4, gid="anchor",
    )  # fmt: skip
    near, hard = np.linalg.norm(panel.positive), np.linalg.norm(panel.negatives[first])
    axes.set_xlabel(
        f"{'✓' if near < hard else '✗'} positive {near:.2f}, hardest {hard:.2f}\n"
        f"largest hinge {hinges[first]:.2f}; {int((hinges > 0).sum())} of {len(hinges)} above 0",
        fontsize=8.5,
    )


def triplets(panels: Sequence[Sequence[Any]], margin: float = 0.2) -> Figure:
    """An anchor, its positive and its negatives at several moments, one panel each.

    A panel is `(title, positive (2,), negatives (n, 2))` with the anchor in the origin and everything as far
    from it as the unit vectors are, from 0 to 2; see `imtext.papers.hard_triplet.maps`. The nearest negative
    is the hardest. The hinge of a negative is above 0 within the dashed circle, whose squared radius is that
    of the positive plus twice the `margin` (on the cosine); the outer circle is where the sphere ends.

    Raises DataError for other shapes or distances, ConfigError for other parts or a margin not above 0.
    Source: rich features, Figure 3.
    """
    if not margin > 0:
        raise ConfigError(f"triplets: margin should be above 0, found {margin}")
    if not len(panels):
        raise DataError("triplets: no panel; give at least one (title, positive, negatives)")
    parts = [_panel(part, number) for number, part in enumerate(panels)]
    columns = min(len(parts), PER_ROW)
    rows = -(-len(parts) // columns)
    cell = BOOK_WIDTH / max(columns, 2)
    with house_style():
        # The legend takes two lines where panels are few.
        figure = new_figure(rows * (cell + 0.55) + (0.3 if columns > 2 else 0.55), cell * columns)
        grid = figure.subplots(rows, columns, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number < len(parts):
                _draw(axes, parts[number], margin)
            else:
                axes.set_axis_off()
        plain = {"color": INK, "linestyle": "none"}
        handles = [
            Line2D([], [], label="anchor", marker="s", markersize=7, markerfacecolor="white", **plain),
            Line2D([], [], label="positive", marker="o", markersize=7, color=POSITIVE, linestyle=DASHES[0]),
            Line2D(
                [], [], label="hardest negative", marker="o", markersize=7, markerfacecolor="none",
                markeredgewidth=2, color=NEGATIVE, linestyle=DASHES[1],
            ),
            Line2D([], [], label="other negatives", marker="o", markersize=4, fillstyle="none", **plain),
            Line2D([], [], label="hinge above 0 within", color=INK, linewidth=1.1, linestyle=(0, (4, 2))),
        ]  # fmt: skip
        ncols = 5 if columns > 2 else 3
        figure.legend(handles=handles, loc="outside lower center", ncols=ncols, fontsize=8)
    return figure


def _histogram(axes: Axes, title: str, values: Sequence[np.ndarray], edges: np.ndarray) -> None:
    """Shares in percent of hinges in bins, those that are 0 in a bar of their own, left of the axis."""
    wide = edges[1] - edges[0]
    for number, (found, colour) in enumerate(zip(values, (POSITIVE, NEGATIVE), strict=True)):
        zero = 100 * float((found == 0).mean())
        heights = 100 * np.histogram(found[found > 0], edges)[0] / len(found)
        look = {"color": colour, "linewidth": 1.5, "linestyle": DASHES[number]}
        axes.stairs(heights, edges, gid=f"hinges {number}", **look)
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.3, linewidth=0)
        left = -(4.4 - 2 * number) * wide
        axes.bar(left, zero, 1.8 * wide, align="edge", color=colour, alpha=0.75, gid=f"zero {number}")
        label = {"ha": "center", "va": "bottom", "fontsize": 8, "linespacing": 1.0}
        axes.text(left + 0.9 * wide, zero + 1.5, f"{zero:.0f}", gid="zero", **label)
    axes.set(title=title, xlim=(-4.8 * wide, edges[-1]), ylim=(0, 112))
    ticks = [tick for tick in (0.5, 1.0, 1.5, 2.0) if tick <= edges[-1]]
    axes.set_xticks([-2.4 * wide, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])


def hinge_histograms(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], margin: float = 0.2, bins: int = 22
) -> Figure:
    """What the hinges of a batch are at several moments, one panel each.

    A panel is `(title, all (n,), hardest (m,))`: the hinges of all negatives and those of the hardest
    negative of every anchor, as `imtext.papers.hard_triplet.hinges` gives them. The two bars on the left are
    the hinges that are exactly 0, which teach nothing, with their share in percent; the curves are the
    others, up to the largest hinge there can be, 2 plus the `margin`.

    Raises DataError for no panel, empty arrays or numbers below 0 or not finite. Source: rich features,
    section III-C.
    """
    if not len(panels):
        raise DataError("hinge_histograms: no panel; give at least one (title, all, hardest)")
    parts = []
    for title, *values in panels:
        arrays = [np.asarray(part, dtype=float).ravel() for part in values]
        good = all(len(part) and np.isfinite(part).all() and (part >= 0).all() for part in arrays)
        if len(arrays) != 2 or not good:
            raise DataError(
                f"hinge_histograms: {title}: expected two arrays of hinges from 0 on, at least one each; "
                "see imtext.papers.hard_triplet.hinges"
            )
        parts.append((str(title), arrays))
    edges = np.linspace(0, 2 + margin, bins + 1)
    with house_style():
        figure = new_figure(2.6, BOOK_WIDTH)
        grid = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
        for axes, (title, arrays) in zip(grid, parts, strict=True):
            _histogram(axes, title, arrays, edges)
        grid[0].set_ylabel("share of the hinges (%)")
        grid[len(parts) // 2].set_xlabel("hinge")
        _counted_legend(figure)
    return figure


def _counted_legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], label=label, color=colour, linestyle=dash)
        for label, colour, dash in zip(COUNTED.values(), (POSITIVE, NEGATIVE), DASHES, strict=False)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, title=None)
