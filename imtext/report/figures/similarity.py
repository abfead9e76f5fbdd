"""How similar matching pairs and other pairs are, and how much the features of images resemble each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from imtext.report.style import INK, MAP, PALETTE, house_style, new_figure
from imtext.retrieval import Separation, mean_off_diagonal

DASHED = (0, (4, 1.2))


@house_style()
def similarity_histograms(panels: Sequence[tuple[str, Separation]], printed: Sequence[float]) -> Figure:
    """One panel per model: how similar matching pairs (P) and other pairs (Q) are, with S, mean D_p and mean
    D_n.

    `panels`: at least one (title, `imtext.retrieval.separation(...)`) in the order shown, with an even number
    of bins, drawn two by two; all share their axes. `printed` are the paper's S, shown in brackets. Source:
    instance loss, Figure 5 and Equation 10.
    """
    figure = new_figure(2.75)
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, item), paper in zip(grid, panels, printed, strict=True):
        for values, mean, colour, style in (
            (item.positive, item.mean_positive, PALETTE[0], "-"),
            (item.negative, item.mean_negative, PALETTE[1], DASHED),
        ):
            # The eye gets coarser bins than S, to see a shape and not the noise.
            heights, edges = values.reshape(-1, 2).mean(1), item.edges[::2]
            axes.stairs(heights, edges, color=colour, fill=True, alpha=0.36, linewidth=0)
            axes.stairs(heights, edges, color=colour, linewidth=1.5, linestyle=style)
            axes.vlines(mean, 0, heights.max() * 1.06, color=colour, linewidth=1.2, linestyle=(0, (1, 1.5)))
        axes.set_title(title)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        look = {"transform": axes.transAxes, "va": "top"}
        axes.text(0.0, 0.99, f"S = {item.S:.3f}  (paper {paper:.3f})", fontweight="bold", **look)
        means = f"mean $D_p$ = {item.mean_positive:.3f}\nmean $D_n$ = {item.mean_negative:.3f}"
        axes.text(0.0, 0.90, means, parse_math=True, linespacing=1.35, fontsize=8.5, **look)
    grid[0].set_xlim(*_range([item for _, item in panels]))
    # Head room for the text, which stands where both curves are low.
    grid[0].set_ylim(0, grid[0].get_ylim()[1] * 1.45)
    grid[len(panels) // 2].set_xlabel("cosine similarity")
    handles = [
        grid[0].plot([], [], color=PALETTE[0], label="P: matching pairs")[0],
        grid[0].plot([], [], color=PALETTE[1], linestyle=DASHED, label="Q: other pairs")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, labelcolor=INK)
    return figure


def _range(items: Sequence[Separation]) -> tuple[float, float]:
    """The part of [−1, 1] that holds all but a few per mille of either distribution."""
    ends = []
    for item in items:
        for values in (item.positive, item.negative):
            share = np.cumsum(values) / np.sum(values)
            ends += [item.edges[np.searchsorted(share, 0.002)], item.edges[1:][np.searchsorted(share, 0.998)]]
    pad = 0.04 * (max(ends) - min(ends))
    return max(-1.0, min(ends) - pad), min(1.0, max(ends) + pad)


@house_style()
def pearson_maps(before: np.ndarray, after: np.ndarray) -> Figure:
    """Two maps (N, N) of the Pearson correlation between images, before and after Stage I, in one scale.

    Each title carries the mean correlation off the diagonal: lower means that the features tell images apart
    better. Raises DataError for a map that is not square or of fewer than two images. Source: instance loss,
    Figure 4.
    """
    others = np.concatenate([values[~np.eye(len(values), dtype=bool)] for values in (before, after)])
    low, high = np.percentile(others, [0.5, 99.5])
    low = min(0.0, np.floor(10 * low) / 10)
    high = max(low + 0.1, min(1.0, np.ceil(10 * high) / 10))
    figure = new_figure(4.0)
    grid = figure.subplots(1, 2)
    for axes, values, title in zip(grid, (before, after), ("(a) before", "(b) after"), strict=True):
        picture = axes.imshow(values, cmap=MAP, vmin=low, vmax=high)
        mean = f"mean off the diagonal {mean_off_diagonal(values):.3f}"
        axes.set_title(f"{title} Stage I\n{mean}", linespacing=1.4)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(f"{len(values)} images")
        axes.set_xticks([])
        axes.set_yticks([])
    extend = "max" if high < 1 else "neither"
    bar = figure.colorbar(picture, ax=list(grid), shrink=0.78, aspect=22, pad=0.02, extend=extend)
    bar.set_label("Pearson correlation")
    bar.outline.set_visible(False)
    return figure
