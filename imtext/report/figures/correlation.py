"""How much the features of different images resemble each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.style import BOOK_WIDTH, MAP, house_style, new_figure
from imtext.retrieval import mean_off_diagonal


def _as_map(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        raise DataError(
            f"pearson_maps: {name} should be (N, N) with N ≥ 2, found {array.shape}; see pearson_map"
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"pearson_maps: {name} holds numbers that are not finite; a constant feature has no correlation"
        )
    return array


def pearson_maps(
    before: Any, after: Any, titles: tuple[str, str] = ("(a) before Stage I", "(b) after Stage I")
) -> Figure:
    """Two maps (N, N) of the Pearson correlation between images, on one colour scale.

    Each title carries the mean correlation off the diagonal: lower means that the features tell images apart
    better. Source: instance loss, Figure 4.
    """
    maps = [_as_map(before, "before"), _as_map(after, "after")]
    others = np.concatenate([m[~np.eye(len(m), dtype=bool)] for m in maps])
    low, high = np.percentile(others, [0.5, 99.5])
    low = min(0.0, np.floor(10 * low) / 10)
    high = max(low + 0.1, min(1.0, np.ceil(10 * high) / 10))
    with house_style():
        figure = new_figure(4.0, BOOK_WIDTH)
        grid = figure.subplots(1, 2)
        for axes, values, title in zip(grid, maps, titles, strict=True):
            picture = axes.imshow(values, cmap=MAP, vmin=low, vmax=high)
            axes.set_title(f"{title}\nmean off the diagonal {mean_off_diagonal(values):.3f}", linespacing=1.4)
            axes.spines[:].set_visible(False)
            axes.set_xlabel(f"{len(values)} images")
            axes.set_xticks([])
            axes.set_yticks([])
        extend = "max" if high < 1 else "neither"
        bar = figure.colorbar(picture, ax=list(grid), shrink=0.78, aspect=22, pad=0.02, extend=extend)
        bar.set_label("Pearson correlation")
        bar.outline.set_visible(False)
    return figure
