"""What a component of a mixture fits in one dimension, as a Gaussian and as a Laplacian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

GAUSS, LAPLACE = PALETTE[0], PALETTE[1]
_DASHED = (0, (4, 1.4))


class Fit(NamedTuple):
    """One dimension of one component: samples, their weights in the component, and both fits."""

    title: str
    values: np.ndarray
    weights: np.ndarray
    mean: float
    variance: float
    median: float
    scale: float


def _densities(fit: Fit, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gauss = np.exp(-((x - fit.mean) ** 2) / (2 * fit.variance)) / np.sqrt(2 * np.pi * fit.variance)
    return gauss, np.exp(-np.abs(x - fit.median) / fit.scale) / (2 * fit.scale)


def _panel(axes: Axes, fit: Fit, bins: int) -> None:
    values, weights = np.asarray(fit.values, float), np.asarray(fit.weights, float)
    reach = 4.2 * np.sqrt(fit.variance)
    window = (fit.mean - reach, fit.mean + reach)
    heights, edges = np.histogram(values, bins, window, weights=weights)
    heights = heights / weights.sum() / np.diff(edges)
    axes.stairs(heights, edges, fill=True, color=INK, alpha=0.4, linewidth=0)
    gauss, laplace = (float(np.average(np.log(p), weights=weights)) for p in _densities(fit, values))
    x = np.linspace(*window, 600)
    for density, colour, won in zip(
        _densities(fit, x), (GAUSS, LAPLACE), (gauss >= laplace, laplace > gauss), strict=True
    ):
        axes.plot(
            x,
            density,
            color=colour,
            linewidth=2.2 if won else 1.4,
            linestyle="-" if won else _DASHED,
        )
    axes.set_title(fit.title)
    corner = {"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": 8.5}
    axes.text(1.0, 0.99, "log-likelihood", **corner)
    for row, (name, found) in enumerate((("Gaussian", gauss), ("Laplacian", laplace)), 1):
        weight = "bold" if found == max(gauss, laplace) else "normal"
        text = f"{name} {found:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(1.0, 0.99 - 0.085 * row, text, weight=weight, **corner)
    axes.set_xlim(*window)
    axes.set_xlabel("value of the word in this dimension")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def mixture_fits(fits: Sequence[Fit], bins: int = 45) -> Figure:
    """One panel per :class:`Fit`: the weighted samples as a histogram, with both densities.

    The density with the larger mean log-likelihood, which stands in the corner, is drawn solid and the other
    dashed. Raises DataError without a fit.
    """
    if not fits:
        raise DataError("mixture_fits: no panel; give at least one Fit")
    with house_style():
        figure = new_figure(2.75, BOOK_WIDTH)
        grid = figure.subplots(1, len(fits), squeeze=False)[0]
        for axes, fit in zip(grid, fits, strict=True):
            _panel(axes, fit, bins)
        handles = [
            grid[0].stairs([np.nan], [0, 1], fill=True, color=INK, alpha=0.4, label="words, by weight"),
            grid[0].plot([], [], color=GAUSS, linestyle="-", label="Gaussian")[0],
            grid[0].plot([], [], color=LAPLACE, linestyle="-", label="Laplacian")[0],
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, labelcolor=INK)
    return figure
