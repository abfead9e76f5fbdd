"""The picture of what a component of a mixture fits."""

from __future__ import annotations

import io

import numpy as np
import pytest

from imtext.errors import DataError
from imtext.report.figures.mixture import Fit, mixture_fits


def test_the_winner_is_solid_and_bold() -> None:
    random = np.random.default_rng(0)
    fits = [
        Fit(name, x, np.ones(2000), x.mean(), x.var(), np.median(x), np.abs(x - np.median(x)).mean())
        for name, x in (("normal", random.normal(size=2000)), ("laplace", random.laplace(size=2000)))
    ]
    figure = mixture_fits(fits)
    for axes, winner in zip(figure.axes, (0, 1), strict=True):
        assert [line.get_linestyle() for line in axes.lines[:2]].index("-") == winner
        bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
        assert len(bold) == 1 and bold[0].startswith(("Gaussian", "Laplacian")[winner])
        bars = axes.patches[0].get_data()
        assert np.sum(bars.values * np.diff(bars.edges)) == pytest.approx(1, abs=0.01)
    figure.savefig(io.BytesIO())


def test_no_panel_is_refused() -> None:
    with pytest.raises(DataError, match="at least one Fit"):
        mixture_fits([])
