"""Figures that serve any paper. Each takes plain numbers and returns a Figure with transparent background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from imtext.report.style import DASHES, INK, MAP, PALETTE, house_style, new_figure
from imtext.retrieval import Separation

MARKS, FILLS = {"images": "s", "captions": "o"}, ("full", "none", "left", "top")


def panels(count: int, height: float = 2.7, per_row: int = 3, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure with so many panels ``(count,)`` in rows of ``height`` inches."""
    columns = min(count, per_row)
    rows = -(-count // columns)
    figure = new_figure(height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid[:count]


def draw_groups(axes: Axes, places: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray]) -> None:
    """Images as squares and captions as circles, at ``(n, 2)``; groups differ in colour and fill."""
    for side, mark in MARKS.items():
        look = {"marker": mark, "linestyle": "none", "markerfacecoloralt": "none", "zorder": 4}
        axes.plot([], [], color=INK, fillstyle="none", label=side, **look)
        for group, colour, fill in zip(np.unique(groups[side]), PALETTE, FILLS, strict=False):
            axes.plot(*places[side][groups[side] == group].T, color=colour, fillstyle=fill, **look)


def distribution(axes: Axes, number: int, name: str, heights: Any, edges: Any, mean: float) -> None:
    """One of several distributions of a panel, its mean as a dotted line."""
    colour = PALETTE[number]
    axes.stairs(heights, edges, fill=True, alpha=0.25, color=colour, linewidth=0)
    axes.stairs(heights, edges, label=name, linewidth=1.5, color=colour, linestyle=DASHES[number])
    axes.axvline(mean, linestyle=":", color=colour, linewidth=1.2)


@house_style()
def similarity_histograms(shown: Sequence[tuple[str, Separation]], printed: Sequence[float]) -> Figure:
    """One panel per model: how similar matching pairs (P) and other pairs (Q) are, with S, mean D_p and mean
    D_n.

    `shown`: (title, `imtext.retrieval.separation(...)`) with an even number of bins, drawn two by two; all
    share their axes. `printed` are the paper's S, shown in brackets. Source: instance loss, Figure 5 and
    Equation 10.
    """
    figure, grid = panels(len(shown), 2.75, len(shown), sharex=True, sharey=True)
    for axes, (title, item), paper in zip(grid, shown, printed, strict=True):
        # The eye gets coarser bins than S, to see a shape and not the noise.
        edges, heights = item.edges[::2], np.reshape([item.positive, item.negative], (2, -1, 2)).mean(2)
        first, last = np.flatnonzero(heights.any(0))[[0, -1]]
        edges, heights = edges[first : last + 2], heights[:, first : last + 1]
        distribution(axes, 0, "P: matching pairs", heights[0], edges, item.mean_positive)
        distribution(axes, 1, "Q: other pairs", heights[1], edges, item.mean_negative)
        means = f"mean $D_p$ = {item.mean_positive:.3f}, $D_n$ = {item.mean_negative:.3f}"
        axes.set(title=f"{title}\nS = {item.S:.3f} (paper {paper:.3f})", yticks=[])
        axes.set_xlabel(f"cosine similarity\n{means}", parse_math=True)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@house_style()
def pearson_maps(maps: Mapping[str, np.ndarray]) -> Figure | None:
    """Maps (N, N) of the Pearson correlation of images, by title, in one scale of ``|r|``; None without any.

    The darker, the less alike the features of two images. Source: instance loss, Figure 4.
    """
    if not maps:
        return None
    others = [abs(values[~np.eye(len(values), dtype=bool)]) for values in maps.values()]
    figure, grid = panels(len(maps), 3.6, per_row=2)
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        picture = axes.imshow(abs(values), cmap=MAP, vmin=0, vmax=np.percentile(others, 99.5))
        axes.set(title=title, xlabel=f"{len(values)} images", xticks=[], yticks=[])
    figure.colorbar(picture, ax=grid, shrink=0.78, extend="max", label="|Pearson correlation|")
    return figure


@house_style()
def by_weight(runs: Mapping[float, pd.DataFrame], said: str, printed: float) -> Figure:
    """R-sum by the weight λ of a term: mean over seeds, lowest to highest as a band, seeds as points.

    Args:
        runs: by weight, a column ``rsum``, one line a run.
        said: what the R-sum is of; printed: the paper's weight.
    """
    lines = pd.concat([runs[weight].assign(weight=f"{weight:g}") for weight in sorted(runs)])
    line, (figure, (axes,)) = {"data": lines, "x": "weight", "y": "rsum"}, panels(1, 3.0)
    sns.lineplot(**line, errorbar=("pi", 100), ax=axes, label="mean, lowest to highest seed")
    sns.stripplot(**line, jitter=False, size=4, ax=axes, color=PALETTE[0], legend=False)
    axes.axvline(f"{printed:g}", color=INK, linestyle=":", label="in the paper")
    axes.set(xlabel="weight λ (even steps)", ylabel=said)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


@house_style()
def attention_picture(
    picture: np.ndarray, boxes: np.ndarray, words: Sequence[tuple[str, np.ndarray]]
) -> Figure:
    """A picture as it is, then once a word, darkened but for the regions that the word attends to.

    Beside a word stands its largest weight, which is the brightest of its panel; where boxes overlap, a pixel
    has the largest weight.

    Args:
        picture: uint8 ``(H, W, 3)``; boxes: ``(R, 4)``, left, top, right and bottom as shares of it.
        words: and the weights ``(R,)`` of each, such as those of :func:`imtext.models.scan.attend`.
    """
    high, wide = picture.shape[:2]
    bare = {"frame_on": False, "xticks": [], "yticks": []}
    figure, grid = panels(len(words) + 1, 2.1 * high / wide, per_row=4, subplot_kw=bare)
    grid[0].imshow(picture)
    grid[0].set_title("image")
    left, top, right, bottom = boxes.T[:, :, None, None]
    y, x = (np.arange(high)[:, None] + 0.5) / high, (np.arange(wide) + 0.5) / wide
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    for axes, (word, weights) in zip(grid[1:], words, strict=True):
        light = np.where(inside, weights[:, None, None], 0).max(0) / weights.max()
        axes.imshow(picture / 255 * (0.2 + 0.8 * light[..., None]))
        axes.set_title(f"{word}  {weights.max():.2f}")
    figure.supxlabel(f"largest weight of {len(boxes)} regions; {1 / len(boxes):.2f} each if even", fontsize=8)
    return figure


@house_style()
def diagram(lanes: Mapping[str, Sequence[tuple[str, str]]], loss: Sequence[str]) -> Figure:
    """A network: for each side its boxes ``(name, size)`` from left to right, then one box of the loss.

    What is learnt has a name that begins with ``*``, and a coloured frame.
    """
    figure = new_figure(2.6, layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1), frame_on=False, xticks=[], yticks=[])
    end = 0.76
    for number, (title, boxes) in enumerate(lanes.items()):
        middle, left = 0.68 - 0.45 * number, 0.01
        # A box is as wide as what stands in it, beside the gaps for the arrows.
        texts = [[1.3 * len(name.lstrip("*")), *map(len, size.split("\n"))] for name, size in boxes]
        wide = np.array([max(lengths) + 2 for lengths in texts])
        axes.text(left, middle + 0.17, title, fontweight="bold")
        for (name, size), width in zip(boxes, (end - 0.025 * len(boxes)) * wide / wide.sum(), strict=True):
            colour, line = (PALETTE[number], 1.8) if name.startswith("*") else (INK, 0.9)
            _box(axes, (left, middle - 0.11, width, 0.22), name.lstrip("*"), size, colour, line)
            left += width + 0.025
            arrow = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (left, middle), (left - 0.025, middle), arrowprops=arrow)
    _box(axes, (end + 0.01, 0.08, 0.98 - end, 0.84), loss[0], "\n".join(loss[1:]), INK, 1.4)
    return figure


def _box(axes: Axes, place: Sequence[float], name: str, size: str, ink: str, line: float) -> None:
    left, low, wide, high = place
    look = {"boxstyle": "round,pad=0,rounding_size=0.01", "fill": False, "edgecolor": ink, "linewidth": line}
    axes.add_patch(FancyBboxPatch((left, low), wide, high, **look))
    centre, middle = left + wide / 2, low + high / 2
    # Slightly apart, since the descenders of the name would touch the size.
    anchor = {"va": "bottom" if size else "center", "ha": "center"}
    axes.text(centre, middle + 0.01, name, fontweight="bold", fontsize=8, **anchor)
    axes.text(centre, middle - 0.005, size, ha="center", va="top", fontsize=7)
