"""Figures that serve any paper: panels, histograms, groups on a map, a sweep, a network as boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from imtext.report.style import DASHES, INK, PALETTE, house_style, new_figure

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


@house_style()
def histograms(
    shown: Sequence[tuple[str, Mapping[str, np.ndarray]]],
    window: tuple[float, float] | None = None,
    label: str = "cosine",
) -> Figure:
    """A panel for each title, in it the distribution of each kind of numbers, with its mean as a dotted line.

    Args:
        shown: titles, and by name numbers of any shape. ``window``: shaded, with the share of numbers in it.
    """
    figure, grid = panels(len(shown), 2.1, sharex=True)
    values = np.concatenate([np.ravel(one) for _, own in shown for one in own.values()])
    edges = np.linspace(values.min(), max(values.max(), values.min() + 0.01), 61)
    for axes, (title, own) in zip(grid, shown, strict=True):
        for number, (name, one) in enumerate(own.items()):
            look = {"color": PALETTE[number], "linestyle": DASHES[number]}
            heights = np.histogram(one, edges, density=True)[0]
            axes.stairs(heights, edges, fill=True, alpha=0.22, color=PALETTE[number], linewidth=0)
            axes.stairs(heights, edges, label=name, linewidth=1.5, **look)
            axes.axvline(float(np.mean(one)), linestyle=":", color=PALETTE[number], linewidth=1.2)
        said = f"mean {' → '.join(f'{np.mean(one):.2f}' for one in own.values())}"
        if window:
            axes.axvspan(*window, color=INK, alpha=0.13, linewidth=0)
            inside = (100 * np.mean((one > window[0]) & (one < window[1])) for one in own.values())
            said += f"\nin the window {' → '.join(f'{one:.1f}' for one in inside)} %"
        axes.set(title=title, xlabel=f"{label}: {said}", yticks=[])
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@house_style()
def group_maps(maps: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray], str]]) -> Figure:
    """Groups of images (squares) and captions (circles) on maps; lines join what belongs together.

    Args:
        maps: by title, places ``(n, 2)`` of ``images`` and ``captions``, their groups ``(n,)``, and what is
            written beneath.
    """
    figure, grid = panels(len(maps), 4.4, per_row=2)
    for axes, (title, (places, groups, said)) in zip(grid, maps.items(), strict=True):
        labels = np.unique(groups["images"])
        for number, group in enumerate(labels):
            own = {side: places[side][groups[side] == group] for side in MARKS}
            look = {
                "color": PALETTE[number % 4],
                "fillstyle": FILLS[number % 4],
                "markerfacecoloralt": "none",
            }
            for image in own["images"]:
                for caption in own["captions"]:
                    axes.plot(*np.stack([image, caption]).T, color=INK, linewidth=0.7, linestyle="-")
            for side, mark in MARKS.items():
                axes.plot(*own[side].T, linestyle="none", marker=mark, markersize=7, zorder=4, **look)
        axes.set(title=title, xlabel=said, xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
    plain = {"color": INK, "linestyle": "none", "fillstyle": "none"}
    handles = [Line2D([], [], label=side, marker=mark, **plain) for side, mark in MARKS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@house_style()
def sweep(runs: pd.DataFrame, x: str, y: str, xlabel: str, ylabel: str, marked: str) -> Figure:
    """Numbers by a setting in even steps: mean over seeds, lowest to highest as a band, each seed a point.

    Args:
        runs: one line a setting and seed, in the order of the settings; ``x`` holds texts.
        marked: the setting that a paper calls the best.
    """
    figure = new_figure(3.0)
    axes = figure.subplots()
    sns.lineplot(runs, x=x, y=y, errorbar=("pi", 100), ax=axes, label="mean, lowest to highest seed")
    sns.stripplot(runs, x=x, y=y, jitter=False, size=4, ax=axes, color=PALETTE[0], legend=False)
    axes.axvline(marked, color=INK, linestyle=":", label="best in the paper")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return figure


@house_style()
def attention_picture(
    picture: np.ndarray, boxes: np.ndarray, words: Sequence[tuple[str, np.ndarray]], per_row: int = 4
) -> Figure:
    """A picture as it is, then once a word, darkened but for the regions that the word attends to.

    Beside a word stands its largest weight, which is the brightest of its panel; where boxes overlap, a pixel
    has the largest weight.

    Args:
        picture: uint8 ``(H, W, 3)``; boxes: ``(R, 4)``, left, top, right and bottom as shares of it.
        words: and the weights ``(R,)`` of each, such as those of :func:`imtext.models.attention.attend`.
    """
    high, wide = picture.shape[:2]
    figure, grid = panels(len(words) + 1, 2.1 * high / wide, per_row)
    y, x = (np.arange(high) + 0.5) / high, (np.arange(wide) + 0.5) / wide
    inside = [
        np.ix_((y >= top) & (y < bottom), (x >= left) & (x < right)) for left, top, right, bottom in boxes
    ]
    for axes, (word, weights) in zip(grid, [("image", np.ones(len(boxes))), *words], strict=True):
        light = np.zeros((high, wide))
        for place, weight in zip(inside, weights, strict=True):
            light[place] = np.maximum(light[place], weight)
        axes.imshow(picture)
        if axes is not grid[0]:
            veil = np.zeros((high, wide, 4))
            veil[..., 3] = 0.8 * (1 - light / light.max())
            axes.imshow(veil)
            axes.set_title(f"{weights.max():.2f}", loc="right", fontweight="normal", fontsize=8)
        axes.set_title(word)
        axes.set_axis_off()
    figure.supxlabel(f"largest weight of {len(boxes)} regions; {1 / len(boxes):.2f} each if even", fontsize=8)
    return figure


@house_style()
def diagram(lanes: Mapping[str, Sequence[tuple[str, str]]], loss: Sequence[str]) -> Figure:
    """A network: for each side its boxes ``(name, size)`` from left to right, then one box of the loss.

    What is learnt has a name that begins with ``*``, and a coloured frame.
    """
    figure = new_figure(2.6, layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    end = 0.76
    for number, (title, boxes) in enumerate(lanes.items()):
        middle, left = 0.68 - 0.45 * number, 0.01
        # A box is as wide as what stands in it.
        wide = np.array([max(1.15 * len(name.lstrip("*")), len(size)) + 3 for name, size in boxes])
        axes.text(left, middle + 0.17, title, fontweight="bold")
        for (name, size), step in zip(boxes, end * wide / wide.sum(), strict=True):
            learnt = name.startswith("*")
            look = {"edgecolor": PALETTE[number] if learnt else INK, "linewidth": 1.8 if learnt else 0.9}
            _box(axes, (left, middle - 0.11, step - 0.03, 0.22), name.lstrip("*"), size, **look)
            left += step
            arrow = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (left, middle), (left - 0.03, middle), arrowprops=arrow)
    _box(
        axes, (end + 0.01, 0.08, 0.98 - end, 0.84), loss[0], "\n".join(loss[1:]), edgecolor=INK, linewidth=1.4
    )
    return figure


def _box(axes: Axes, place: tuple[float, float, float, float], name: str, size: str, **look: Any) -> None:
    left, low, width, height = place
    shape = FancyBboxPatch(
        (left, low), width, height, "round,pad=0,rounding_size=0.01", facecolor="none", **look
    )
    axes.add_patch(shape)
    middle = left + width / 2, low + height / 2
    axes.text(*middle, name, ha="center", va="bottom", fontweight="bold", fontsize=8)
    axes.text(*middle, size, ha="center", va="top", fontsize=7)
