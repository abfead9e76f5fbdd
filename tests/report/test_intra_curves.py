"""What the figures of the intra-modal constraint show of many pairs or many runs. Not pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from test_intra_figures import _by_gid, _sound, _texts

from imtext.errors import ConfigError, DataError
from imtext.report.figures import ForceCurve, IntraSimilarities, force_curves, intra_histograms, weight_sweep
from imtext.report.figures import intra_network as network
from imtext.report.style import PALETTE

# Forces


def _curve(distance="cosine", reading="printed", scale=1.0, **change):
    at = np.linspace(0, 1.4, 281) * scale
    force = -2.0 * ((at > 0.1 * scale) & (at < 0.5 * scale))
    batch = np.random.default_rng(0).normal(1.0, 0.1, 101).clip(0) * scale
    made = {"at": at, "force": force, "batch": batch, "window": (0.1 * scale, 0.5 * scale)}
    return ForceCurve(reading, distance, **{**made, **change})


def test_forces_keep_sign_and_place():
    push = _curve(reading="released_cosine", force=0.25 * np.ones(281), window=None)
    figure = force_curves([_curve(), push])
    for axes, curve, title in zip(figure.axes, (_curve(), push), ("printed", "released cosine"), strict=True):
        (line,) = _by_gid(axes, Line2D, "force cosine")
        np.testing.assert_allclose(line.get_xdata(), curve.at)
        np.testing.assert_allclose(line.get_ydata(), curve.force / np.abs(curve.force).max())
        assert axes.get_title(loc="left") == title and axes.get_xlabel() == "distance (1 − cos)"
    (window,) = _by_gid(figure, Rectangle, "window cosine")
    assert (window.get_x(), window.get_width()) == pytest.approx((0.1, 0.4))
    labels = [axes.get_legend().get_texts()[0].get_text() for axes in figure.axes]
    assert labels == ["1 − cos: 2", "1 − cos: 0.25"] and "apart →" in figure.axes[0].get_ylabel()
    _sound(figure)


def test_several_distances_are_multiples_of_their_medians():
    curves = [_curve(), _curve("l1", scale=30.0), _curve("l2", scale=1.4, force=np.zeros(281), window=None)]
    figure = force_curves(curves)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "distance / median of the batch"
    for curve in curves:
        (line,) = _by_gid(axes, Line2D, f"force {curve.distance}")
        np.testing.assert_allclose(line.get_xdata(), curve.at / np.median(curve.batch))
        assert same_color(line.get_color(), PALETTE[list(network.DISTANCE_NAMES).index(curve.distance)])
    bars = {line.get_gid(): line.get_xdata() for line in _by_gid(axes, Line2D, "bar")}
    assert set(bars) == {"bar cosine", "bar l1"}
    np.testing.assert_allclose(bars["bar l1"], np.array([3.0, 15.0]) / np.median(curves[1].batch))
    assert [item.get_text() for item in axes.get_legend().get_texts()] == ["1 − cos: 2", "L1: 2", "L2: none"]
    for ground in _by_gid(axes, StepPatch, "batch"):
        heights, edges, base = ground.get_data()
        counts = np.histogram(curves[0].batch / np.median(curves[0].batch), edges)[0]
        np.testing.assert_allclose(
            (heights - base) / (heights - base).max(), counts / counts.max(), atol=1e-9
        )
    _sound(figure)
    _sound(force_curves([_curve(reading=str(n)) for n in range(4)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": np.linspace(1, 0, 281)}, "rising order"),
        ({"at": np.linspace(-1, 1, 281)}, "distances from 0"),
        ({"at": np.linspace(0, 1, 9)}, "found 9 and 281"),
        ({"force": np.full(281, np.nan)}, "force: expected finite"),
        ({"batch": []}, "batch: expected finite numbers, at least one, found 0"),
        ({"batch": [-0.1]}, "distances from 0"),
        ({"window": (0.5, 0.1)}, "window should be two rising"),
        ({"window": (0.5, np.nan)}, "window should be two rising"),
        ({"at": [0.0], "force": [0.0], "batch": [0.0]}, "all distances are 0"),
    ],
)
def test_forces_name_mistakes(change, message):
    with pytest.raises(DataError, match=message) as error:
        force_curves([_curve(**change)])
    assert "force_curves: " in str(error.value) and "printed" in str(error.value)


def test_forces_name_mistakes_between_curves():
    with pytest.raises(ConfigError, match="distance should be one of cosine, msd, l1, l2"):
        force_curves([_curve("l3")])
    with pytest.raises(DataError, match="stands there twice"):
        force_curves([_curve(), _curve()])
    with pytest.raises(DataError, match="median distance of a batch is 0"):
        force_curves([_curve(), _curve("l1", batch=np.array([0.0, 0.0, 1.0]))])
    with pytest.raises(DataError, match="no curve"):
        force_curves([])


# Similarities


def _similar(title, shift=0.0, count=400):
    random = np.random.default_rng(len(title))
    return IntraSimilarities(
        title, *(random.normal(mean + shift, 0.2 - shift / 3, count).clip(-1, 1) for mean in (0.1, 0.2))
    )


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_similarities_are_shares_of_their_own_pairs(columns):
    before, after = _similar("λ = 0"), [_similar(f"model {n}", 0.1 * n, 300 + n) for n in range(columns)]
    figure = intra_histograms(before, after)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 2 * columns
    # Panels stand row by row: three models' images, their sentences, then the next models.
    order = [(n, s) for start in range(0, columns, 3) for s in ("images", "sentences")
             for n in range(start, min(start + 3, columns))]  # fmt: skip
    for axes, (number, side) in zip(shown, order, strict=True):
        assert axes.get_title(loc="left") == (f"model {number}" if side == "images" else "")
        values = [getattr(part, side) for part in (before, after[number])]
        for found, own in zip(_by_gid(axes, StepPatch, "similarities"), values, strict=True):
            heights, edges, _ = found.get_data()
            np.testing.assert_allclose(heights * np.diff(edges), np.histogram(own, edges)[0] / len(own))
            assert (heights * np.diff(edges)).sum() == pytest.approx(1)
            assert axes.get_ylim()[1] > 1.06 * heights.max()
        assert [line.get_xdata()[0] for line in _by_gid(axes, Line2D, "mean")] == [v.mean() for v in values]
        inside = [100 * np.mean([0.05 < 1 - cosine < 0.5 for cosine in own]) for own in values]
        (note,) = _by_gid(axes, Text, "note")
        means, shares = (" → ".join(parts) for parts in (
            [f"{v.mean():.2f}" for v in values], [f"{share:.1f}" for share in inside]))  # fmt: skip
        assert note.get_text() == f"mean {means}\nin window {shares} %"
        (window,) = _by_gid(axes, Rectangle, "window")
        assert (window.get_x(), window.get_width()) == pytest.approx((0.5, 0.45))
    for side in ("images", "sentences"):
        own = [
            axes.get_ylim() for axes, (_, shown_side) in zip(shown, order, strict=True) if shown_side == side
        ]
        assert len(set(own)) == 1
    assert ("the panel's model" in _texts(figure)) == (columns > 1)
    _sound(figure)


def test_similarities_name_mistakes():
    good = _similar("a")
    plain = intra_histograms(
        good, [IntraSimilarities("same", np.ones((2, 2)), np.full(3, -0.5))], window=None
    )
    assert any(text.endswith("→ −0.50") for text in _texts(plain))
    assert not _by_gid(plain, Rectangle, "window") and "window" not in " ".join(_texts(plain))
    for wrong in (np.array([1.1]), np.array([np.nan]), np.array([])):
        with pytest.raises(DataError, match="intra_histograms: b: sentences: "):
            intra_histograms(good, [IntraSimilarities("b", good.images, wrong)])
    for wrong in ({"bins": 1}, {"window": (0.5, 0.05)}, {"window": (0, 3)}):
        with pytest.raises(ConfigError, match="a window low < high"):
            intra_histograms(good, [good], **wrong)
    with pytest.raises(DataError, match="no model after"):
        intra_histograms(good, [])


# Figure 2


def _runs(lines=("L1",), weights=(0, 0.3, 1, 3), seeds=3):
    random = np.random.default_rng(2)
    rows = [{"line": line, "weight": w, "seed": s, "rsum": 300 + 9 * random.random() - 5 * abs(w - 1)}
            for line in lines for w in weights for s in range(seeds)]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("band", ["range", "sd"])
def test_the_sweep_shows_means_seeds_and_their_spread(band):
    table = _runs(("L1", "cosine")).sample(frac=1, random_state=0).sort_values("line", kind="stable")
    figure = weight_sweep(table, band)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.3", "1", "3"]
    means, spread = _by_gid(axes, Line2D, "mean"), _by_gid(axes, PolyCollection, "band")
    for number, line in enumerate(("L1", "cosine")):
        part = table[table["line"] == line]
        own = [part.loc[part["weight"] == weight, "rsum"].to_numpy() for weight in (0, 0.3, 1, 3)]
        np.testing.assert_allclose(means[number].get_xydata(), [[n, v.mean()] for n, v in enumerate(own)])
        low = [v.min() if band == "range" else v.mean() - v.std(ddof=1) for v in own]
        high = [v.max() if band == "range" else v.mean() + v.std(ddof=1) for v in own]
        points = {tuple(point) for point in spread[number].get_paths()[0].vertices.round(9)}
        expected = {(n, round(v, 9)) for n in range(4) for v in (low[n], high[n])}
        assert expected <= points
        assert len(_by_gid(axes, Line2D, "seeds")[number].get_xdata()) == 12
        best = _by_gid(axes, Line2D, "best")[number].get_xydata()[0]
        assert best[1] == pytest.approx(max(v.mean() for v in own))
    (base,), (peak,) = _by_gid(axes, Line2D, "base"), _by_gid(axes, Line2D, "peak")
    assert base.get_ydata()[0] == pytest.approx(table.loc[table["weight"] == 0, "rsum"].mean())
    assert peak.get_xdata()[0] == 2
    words = "lowest to highest" if band == "range" else "± 1 sd"
    assert {"L1", "cosine", f"3 seeds, {words}"} <= set(_texts(figure))
    _sound(figure)


def test_the_sweep_says_how_many_seeds_it_has():
    uneven = _runs().drop(index=[0, 1])
    assert "1–3 seeds, lowest to highest" in _texts(weight_sweep(uneven))
    one = weight_sweep(_runs(seeds=1, weights=(0.1, 10)), peak=None)
    assert not any("seeds" in text or "peak" in text or "λ = 0" in text for text in _texts(one))
    assert "weight λ (even steps)" in _texts(one)
    _sound(one)


def test_the_sweep_names_mistakes():
    good = _runs()
    for wrong, message in (
        (good.drop(columns="seed"), "column 'seed' is missing"),
        (good.assign(rsum=np.nan), "rsum: expected finite"),
        (good.assign(rsum=700), "from 0 to 600"),
        (good.assign(weight=-1), "weights from 0"),
        (good[:0], "at least one, found 0"),
        (pd.concat([good, good[:1]]), "a seed has a weight twice"),
        (_runs("abcde"), "at most 4 lines, found 5"),
    ):
        with pytest.raises(DataError, match=message):
            weight_sweep(wrong)
    with pytest.raises(ConfigError, match="band should be one of range, sd"):
        weight_sweep(good, "ci")
