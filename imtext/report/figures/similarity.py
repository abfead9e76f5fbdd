"""Distributions of the similarity of matching pairs and of other pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import ConfigError, DataError
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure
from imtext.retrieval import Separation

POSITIVE, NEGATIVE = PALETTE[0], PALETTE[1]


def _coarser(density: np.ndarray, edges: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring bins joined until at most `bins` are left, so that the eye sees a shape and not the
    noise."""
    joined = max(1, -(-len(density) // bins))
    while len(density) % joined:
        joined += 1
    return density.reshape(-1, joined).mean(1), edges[::joined]


def _panel(axes: Axes, title: str, separation: Separation, bins: int, printed: float | None) -> None:
    edges = np.asarray(separation.edges, dtype=float)
    for values, mean, colour, style in (
        (separation.positive, separation.mean_positive, POSITIVE, "-"),
        (separation.negative, separation.mean_negative, NEGATIVE, (0, (4, 1.2))),
    ):
        heights, coarse = _coarser(np.asarray(values, dtype=float), edges, bins)
        axes.stairs(heights, coarse, color=colour, fill=True, alpha=0.36, linewidth=0)
        axes.stairs(heights, coarse, color=colour, linewidth=1.5, linestyle=style)
        axes.vlines(mean, 0, heights.max() * 1.06, color=colour, linewidth=1.2, linestyle=(0, (1, 1.5)))
    axes.set_title(title)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    paper = "" if printed is None else f"  (paper {printed:.3f})"
    axes.text(
        0.0, 0.99, f"S = {separation.S:.3f}{paper}", transform=axes.transAxes, va="top", fontweight="bold"
    )
    means = f"mean $D_p$ = {separation.mean_positive:.3f}\nmean $D_n$ = {separation.mean_negative:.3f}"
    look = {"transform": axes.transAxes, "va": "top", "linespacing": 1.35, "fontsize": 8.5}
    axes.text(0.0, 0.90, means, parse_math=True, **look)


def _range(items: Sequence[Separation]) -> tuple[float, float]:
    """The part of [−1, 1] that holds all but a few per mille of either distribution."""
    ends = []
    for item in items:
        edges = np.asarray(item.edges, dtype=float)
        for values in (item.positive, item.negative):
            share = np.cumsum(np.asarray(values, dtype=float) * np.diff(edges))
            share = share / share[-1]
            ends.append(
                (
                    edges[np.searchsorted(share, 0.002)],
                    edges[min(np.searchsorted(share, 0.998) + 1, len(share))],
                )
            )
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    pad = 0.04 * (high - low)
    return max(-1.0, low - pad), min(1.0, high + pad)


def similarity_histograms(
    panels: Sequence[tuple[str, Separation]], printed: Sequence[float | None] | None = None, bins: int = 100
) -> Figure:
    """One panel per model: how similar matching pairs (P) and other pairs (Q) are, with S, mean D_p and mean
    D_n.

    `panels`: (title, `imtext.retrieval.separation(...)`) in the order shown; all share their axes. `printed`
    are the paper's S, shown in brackets, None where there is none. `bins` is what the eye gets; S is that of
    the finer bins it was computed with. Source: instance loss, Figure 5 and Equation 10.
    """
    if not panels:
        raise DataError("similarity_histograms: no panel; give at least one (title, separation)")
    printed = [None] * len(panels) if printed is None else list(printed)
    if len(printed) != len(panels):
        raise ConfigError(
            f"printed: {len(printed)} numbers for {len(panels)} panels; give one per panel, None for none"
        )
    with house_style():
        figure = new_figure(2.75, BOOK_WIDTH)
        grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (title, item), paper in zip(grid, panels, printed, strict=True):
            _panel(axes, title, item, bins, paper)
        grid[0].set_xlim(*_range([item for _, item in panels]))
        # Head room for the text, which stands where both curves are low.
        grid[0].set_ylim(0, grid[0].get_ylim()[1] * 1.45)
        grid[len(panels) // 2].set_xlabel("cosine similarity")
        handles = [
            grid[0].plot([], [], color=POSITIVE, label="P: matching pairs")[0],
            grid[0].plot([], [], color=NEGATIVE, linestyle=(0, (4, 1.2)), label="Q: other pairs")[0],
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, labelcolor=INK)
    return figure
