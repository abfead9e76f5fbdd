"""What the intra-modal constraint does to a pair, to all similarities of a modality, and by its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from imtext.errors import ConfigError, DataError
from imtext.report.figures.intra_network import DISTANCE_NAMES
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure

SIDES = ("images", "sentences")
PER_ROW = 3
BEFORE, AFTER = PALETTE[0], PALETTE[1]
# A panel of forces: its lower end, what of it the distances of a batch may fill, and the bars of the windows.
FLOOR, GROUND, TOP, STEP = -1.25, 0.8, 1.12, 0.06
BANDS = ("range", "sd")


def _numbers(values: Any, where: str) -> np.ndarray:
    """Finite numbers (n,), n ≥ 1, from any shape."""
    array = np.asarray(values, dtype=float).ravel()
    if not array.size or not np.isfinite(array).all():
        raise DataError(
            f"{where}: expected finite numbers, at least one, found {array.size} of which "
            f"{int((~np.isfinite(array)).sum())} are not finite"
        )
    return array


# The force on a pair


@dataclass(frozen=True)
class ForceCurve:
    """The force of one reading of Eq. 4 on one pair, by the distance of that pair.

    `reading`: the panel; `distance`: cosine, msd, l1 or l2. `at (n,)`: distances of the pair in rising order,
    the rest of its batch held; `force (n,)`: minus the derivative of the loss by that distance, so that a
    positive force pushes the pair apart. `batch`: the distances of a batch, any shape. `window`: the two
    distances between which the pair counts, None where there are none.
    """

    reading: str
    distance: str
    at: np.ndarray
    force: np.ndarray
    batch: np.ndarray
    window: tuple[float, float] | None = None


def _curve(curve: ForceCurve, number: int) -> ForceCurve:
    """The curve with its arrays checked."""
    where = f"force_curves: curve {number} ({curve.reading}, {curve.distance})"
    if curve.distance not in DISTANCE_NAMES:
        raise ConfigError(f"{where}: distance should be one of {', '.join(DISTANCE_NAMES)}")
    at, force, batch = (
        _numbers(getattr(curve, name), f"{where}: {name}") for name in ("at", "force", "batch")
    )
    if at.shape != force.shape or (np.diff(at) < 0).any() or at[0] < 0 or batch.min() < 0:
        raise DataError(
            f"{where}: expected distances from 0 in rising order and one force each, found {len(at)} and "
            f"{len(force)}"
        )
    if curve.window is not None and not 0 <= curve.window[0] < curve.window[1] < np.inf:
        raise DataError(f"{where}: window should be two rising distances, found {curve.window}")
    return ForceCurve(curve.reading, curve.distance, at, force, batch, curve.window)


def _units(reading: str, curves: Sequence[ForceCurve]) -> list[float]:
    """What an axis counts in: the medians of the batches where a panel has several distances, else 1."""
    if len(curves) == 1:
        return [1.0]
    units = [float(np.median(curve.batch)) for curve in curves]
    if min(units) <= 0:
        raise DataError(f"force_curves: {reading}: the median distance of a batch is 0; take another batch")
    return units


def _draw_force(
    axes: Axes, curve: ForceCurve, unit: float, end: float, shares: tuple[float, float]
) -> Line2D:
    """Ground, window and line of one distance; `shares` are those of ink in its ground and its window.
    Returns its line for the legend."""
    which = list(DISTANCE_NAMES).index(curve.distance)
    look = {"color": PALETTE[which], "linestyle": DASHES[which]}
    most = float(np.abs(curve.force).max())
    heights, edges = np.histogram(curve.batch / unit, np.linspace(0, end, 61))
    ground = FLOOR + GROUND * heights / max(heights.max(), 1)
    axes.stairs(ground, edges, baseline=FLOOR, fill=True, color=INK, alpha=shares[0], gid="batch")
    if curve.window is not None:
        ends = np.array(curve.window) / unit
        gid = f"window {curve.distance}"
        axes.axvspan(*ends, color=PALETTE[which], alpha=shares[1], linewidth=0, zorder=0, gid=gid)
        bar = {"color": PALETTE[which], "linewidth": 2.4, "linestyle": "-", "gid": f"bar {curve.distance}"}
        axes.plot(ends, [TOP + STEP * which] * 2, **bar)
    axes.plot(curve.at / unit, curve.force / (most or 1.0), gid=f"force {curve.distance}", **look)
    size = f"{most:.2g}" if most else "none"
    return Line2D([], [], label=f"{DISTANCE_NAMES[curve.distance]}: {size}", **look)


def _draw_forces(axes: Axes, reading: str, curves: Sequence[ForceCurve]) -> None:
    """The curves of one reading; several distances share the axis as multiples of their medians."""
    units, several = _units(reading, curves), len(curves) > 1
    end = max(max(c.at[-1], c.batch.max()) / unit for c, unit in zip(curves, units, strict=True))
    if not end > 0:
        raise DataError(f"force_curves: {reading}: all distances are 0; take another batch")
    shares = (0.4 / (len(curves) + 1), 0.06 if several else 0.12)
    handles = [_draw_force(axes, curve, unit, end, shares) for curve, unit in zip(curves, units, strict=True)]
    axes.axhline(0, color=INK, linewidth=0.8, linestyle="-", zorder=1)
    axes.set(title=reading.replace("_", " "), xlim=(0, end), ylim=(FLOOR, TOP + 4 * STEP))
    axes.set_yticks([-1, 0, 1])
    name = "distance / median of the batch" if several else f"distance ({DISTANCE_NAMES[curves[0].distance]})"
    axes.set_xlabel(name)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "handlelength": 2.2}
    axes.legend(handles=handles, title="largest force", fontsize=8, title_fontsize=8, **place)


def force_curves(curves: Sequence[ForceCurve]) -> Figure:
    """The force on a pair against its distance, one panel a reading, one line a distance.

    Above 0 a pair is pushed apart, below 0 it is drawn together. Forces are shown as shares of the largest of
    their line, which the legend gives. The window of a line is shaded in its colour, with a bar on top; the
    grey ground shows how often a batch has a distance. A panel with several distances has them as multiples
    of the median of their batch, one with a single distance as they are.

    Raises ConfigError for an unknown distance, DataError for no curve, shapes that do not match, numbers that
    are not finite, or distances below 0 or out of order. Source: intra-modal constraint, Equation 4.
    """
    if not len(curves):
        raise DataError("force_curves: no curve; give at least one ForceCurve")
    panels: dict[str, list[ForceCurve]] = {}
    for number, curve in enumerate(curves):
        panels.setdefault(str(curve.reading), []).append(_curve(curve, number))
    for reading, own in panels.items():
        if len({curve.distance for curve in own}) < len(own):
            raise DataError(f"force_curves: {reading}: a distance stands there twice; give one curve each")
    columns = min(len(panels), PER_ROW)
    rows = -(-len(panels) // columns)
    with house_style():
        figure = new_figure(3.3 * rows, BOOK_WIDTH * columns / max(columns, 2))
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (reading, own) in zip(grid.flat, panels.items(), strict=False):
            _draw_forces(axes, reading, own)
        for axes in grid[:, 0]:
            axes.set_ylabel("← together   force   apart →", fontsize=8.5)
    return figure


# Similarities within a modality


@dataclass(frozen=True)
class IntraSimilarities:
    """Cosines within either modality under one model, of pairs of items of different groups.

    `images`, `sentences`: numbers from -1 to 1, of any shape; every pair once, or a sample of them.
    """

    title: str
    images: np.ndarray
    sentences: np.ndarray


def _cosines(part: IntraSimilarities) -> list[np.ndarray]:
    sides = []
    for side in SIDES:
        where = f"intra_histograms: {part.title}: {side}"
        values = _numbers(getattr(part, side), where)
        if np.abs(values).max() > 1 + 1e-4:
            raise DataError(f"{where}: cosines are from -1 to 1, found {values[np.abs(values).argmax()]:g}")
        sides.append(np.clip(values, -1, 1))
    return sides


def _edges(values: Sequence[np.ndarray], window: tuple[float, float] | None, bins: int) -> np.ndarray:
    """Bins over all numbers and the window."""
    low, high = min(part.min() for part in values), max(part.max() for part in values)
    if window is not None:
        low, high = min(low, 1 - window[1]), max(high, 1 - window[0])
    return np.linspace(low, high if high > low else low + 0.01, bins + 1)


def _similarity_panel(
    axes: Axes, before: np.ndarray, after: np.ndarray, edges: np.ndarray, window: tuple[float, float] | None
) -> None:
    """Two distributions, their means as dotted lines, and the shares in the window in words."""
    means, shares = [], []
    for values, colour, dash in ((before, BEFORE, (0, (4, 1.2))), (after, AFTER, "-")):
        heights = np.histogram(values, edges)[0] / values.size / np.diff(edges)
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.22, linewidth=0)
        axes.stairs(heights, edges, color=colour, linewidth=1.5, linestyle=dash, gid="similarities")
        look = {"color": colour, "linewidth": 1.2, "linestyle": (0, (1, 1.5)), "gid": "mean"}
        axes.plot([values.mean()] * 2, [0, heights.max() * 1.06], **look)
        means.append(f"{values.mean():.2f}".replace("-", "−"))
        if window is not None:
            inside = (values > 1 - window[1]) & (values < 1 - window[0])
            shares.append(f"{100 * inside.mean():.1f}")
    if window is not None:
        axes.axvspan(1 - window[1], 1 - window[0], color=INK, alpha=0.13, linewidth=0, zorder=0, gid="window")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    lines = [f"mean {' → '.join(means)}"] + ([f"in window {' → '.join(shares)} %"] if shares else [])
    look = {"va": "top", "ha": "right", "fontsize": 8, "linespacing": 1.35, "gid": "note"}
    axes.text(0.99, 0.99, "\n".join(lines), transform=axes.transAxes, **look)


def intra_histograms(
    before: IntraSimilarities,
    after: Sequence[IntraSimilarities],
    window: tuple[float, float] | None = (0.05, 0.5),
    bins: int = 60,
) -> Figure:
    """How similar items of one modality are to those of other groups, before and after, a column a model.

    `before` is drawn in every panel, such as lambda = 0 against each reading in `after`; images above,
    sentences below. Dotted lines are the means. `window`: the distances 1 − cos between which Eq. 4 counts a
    pair, shaded, with the share of the pairs in it; None draws none. Raises DataError for no model after,
    no numbers or numbers outside -1 to 1, ConfigError for a window or `bins` that make no sense.
    """
    if bins < 2 or (window is not None and not 0 <= window[0] < window[1] <= 2):
        raise ConfigError(
            "intra_histograms: expected bins from 2 and a window low < high from 0 to 2, found "
            f"{bins} and {window}"
        )
    if not len(after):
        raise DataError("intra_histograms: no model after; give at least one IntraSimilarities")
    first, later = _cosines(before), [_cosines(part) for part in after]
    edges = _edges([part for sides in [first, *later] for part in sides], window, bins)
    columns = min(len(later), PER_ROW)
    bands = -(-len(later) // columns)
    with house_style():
        figure = new_figure(3.5 * bands + 0.4, BOOK_WIDTH * columns / max(columns, 2))
        # Images of a band stand in row 0, its sentences in row 1; the next band follows beneath.
        grid = figure.subplots(2 * bands, columns, sharex=True, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, (part, sides) in enumerate(zip(after, later, strict=True)):
            band, column = divmod(number, columns)
            for side in range(2):
                axes = grid[2 * band + side, column]
                axes.set_axis_on()
                _similarity_panel(axes, first[side], sides[side], edges, window)
                axes.tick_params(labelbottom=bool(side))
            grid[2 * band, column].set_title(part.title)
            axes.set_xlabel("cosine")
        _one_height(grid)
        _similarity_legend(figure, before.title, after[0].title if len(after) == 1 else "", window, columns)
    return figure


def _one_height(grid: np.ndarray) -> None:
    """One scale for all panels of images and one for those of sentences, with head room for the words."""
    for number, side in enumerate(SIDES):
        top = max(axes.get_ylim()[1] for axes in grid[number::2].flat if axes.axison)
        for axes in grid[number::2].flat:
            axes.set_ylim(0, 1.35 * top)
        for axes in grid[number::2, 0]:
            axes.set_ylabel(side)


def _similarity_legend(
    figure: Figure, before: str, after: str, window: tuple[float, float] | None, columns: int
) -> None:
    handles = [
        Line2D([], [], color=BEFORE, linestyle=(0, (4, 1.2)), label=before),
        Line2D([], [], color=AFTER, linestyle="-", label=after or "the panel's model"),
    ]
    if window is not None:
        handles.append(Patch(color=INK, alpha=0.13, linewidth=0, label="window of Eq. 4"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1)


# Figure 2


def _sweep(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns checked, sorted by line in the order given, then weight."""
    for name in ("weight", "seed", "rsum"):
        if name not in table.columns:
            raise DataError(
                f"weight_sweep: column {name!r} is missing; found {', '.join(map(str, table.columns))}"
            )
    frame = table.copy()
    if "line" not in frame:
        frame["line"] = ""
    for name in ("weight", "rsum"):
        frame[name] = _numbers(frame[name], f"weight_sweep: {name}")
    if (frame["weight"] < 0).any() or not frame["rsum"].between(0, 600).all():
        raise DataError(
            "weight_sweep: expected weights from 0 and R-sums from 0 to 600; R-sums are in percent"
        )
    if frame.duplicated(["line", "weight", "seed"]).any():
        raise DataError("weight_sweep: a seed has a weight twice; give one R-sum for each")
    if frame["line"].nunique() > len(PALETTE):
        raise DataError(f"weight_sweep: at most {len(PALETTE)} lines, found {frame['line'].nunique()}")
    return frame


def _draw_sweep(axes: Axes, frame: pd.DataFrame, weights: Sequence[float], number: int, band: str) -> Line2D:
    """One line: mean over seeds, band, seeds as points, and a ring around the best weight."""
    colour, dash = PALETTE[number], DASHES[number]
    by = frame.groupby("weight")["rsum"]
    mean, sd = by.mean(), by.std(ddof=1).fillna(0)
    low, high = (by.min(), by.max()) if band == "range" else (mean - sd, mean + sd)
    x = np.array([weights.index(weight) for weight in mean.index], dtype=float)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, gid="band")
    at = [weights.index(weight) for weight in frame["weight"]]
    axes.plot(
        at, frame["rsum"], linestyle="none", marker="o", markersize=3, color=colour, alpha=0.55, gid="seeds"
    )
    axes.plot(x, mean, color=colour, linestyle=dash, gid="mean")
    best = int(mean.to_numpy().argmax())
    ring = {"marker": "o", "markersize": 10, "fillstyle": "none", "markeredgewidth": 1.6, "linestyle": "none"}
    axes.plot(x[best], mean.iloc[best], color=colour, gid="best", **ring)
    return Line2D([], [], color=colour, linestyle=dash, label=str(frame["line"].iloc[0]))


def weight_sweep(table: pd.DataFrame, band: str = "range", peak: float | None = 1.0) -> Figure:
    """R-sum against the weight of the constraint: mean over seeds, the seeds as points, their spread as band.

    `table` has the columns `weight` (lambda, from 0), `seed` and `rsum`, one line of the table for each run,
    and optionally `line`, a label, at most four. `band` is 'range' (lowest to highest seed) or 'sd' (one
    standard deviation to either side). Weights stand at even steps. A ring marks the best mean of a line; the
    vertical line the paper's `peak`, None for none; the horizontal one the mean of weight 0. The paper prints
    no numbers for its curve. Raises DataError for a missing column, a number that is not finite or out of
    bounds, or a run given twice, ConfigError for another band. Source: intra-modal constraint, Figure 2.
    """
    if band not in BANDS:
        raise ConfigError(f"weight_sweep: band should be one of {', '.join(BANDS)}, found {band!r}")
    frame = _sweep(table)
    weights = sorted(frame["weight"].unique().tolist())
    counts = frame.groupby(["line", "weight"])["seed"].nunique()
    seeds = "–".join(str(count) for count in sorted({int(counts.min()), int(counts.max())}))
    with house_style():
        figure = new_figure(3.0, BOOK_WIDTH)
        axes = figure.subplots()
        parts = [part for _, part in frame.groupby("line", sort=False)]
        handles = [_draw_sweep(axes, part, weights, number, band) for number, part in enumerate(parts)]
        handles = handles if len(parts) > 1 else []
        if 0 in weights:
            base = frame.loc[frame["weight"] == 0, "rsum"].mean()
            axes.axhline(base, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1, gid="base")
            handles.append(
                Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="mean of λ = 0")
            )
        if peak in weights:
            axes.axvline(weights.index(peak), color=INK, linewidth=0.9, linestyle=":", zorder=1, gid="peak")
            handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=":", label="the paper's peak"))
        axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        axes.set(xlabel="weight λ (even steps)", ylabel="R-sum")
        axes.grid(axis="y")
        ring = {"marker": "o", "markersize": 8, "fillstyle": "none", "linestyle": "none", "color": INK}
        handles.append(Line2D([], [], label="best mean", **ring))
        if seeds != "1":
            spread = {"range": "lowest to highest", "sd": "± 1 sd"}[band]
            handles.append(Patch(color=INK, alpha=0.18, linewidth=0, label=f"{seeds} seeds, {spread}"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
