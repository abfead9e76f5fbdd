"""Figures of the Single Network paper: what they say and what they are drawn from. Not pixels."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures.single_network import (
    collapse_curves,
    modality_map,
    modality_maps,
    single_network_diagram,
)
from imtext.report.style import BOOK_WIDTH, PALETTE, RED
from imtext.retrieval.mixing import modality_mixing


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _by_gid(figure: Figure, kind: type, gid: str) -> list:
    return [item for item in figure.findobj(kind) if item.get_gid() == gid]


def _gid_texts(figure: Figure, gid: str) -> list[str]:
    return [item.get_text() for item in _by_gid(figure, Text, gid)]


def _sound(figure: Figure) -> None:
    """Nothing is cut off or small, the background is transparent, nothing is left open."""
    assert figure.get_figwidth() <= BOOK_WIDTH + 1e-9 and not plt.get_fignums()
    figure.draw_without_rendering()
    assert all(item.get_fontsize() >= 7 for item in figure.findobj(Text) if item.get_text())
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= -0.02 and drawn.x1 <= figure.get_figwidth() + 0.02
    assert drawn.y0 >= -0.03 and drawn.y1 <= figure.get_figheight() + 0.03
    stream = io.BytesIO()
    figure.savefig(stream, dpi=40, format="png")
    stream.seek(0)
    assert (plt.imread(stream)[..., 3] == 0).mean() > 0.03


def _apart(items: list[Text]) -> None:
    """No two texts lie on each other."""
    boxes = [item.get_window_extent() for item in items if item.get_text()]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def _picture(seed=0, height=30, width=40):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


# Figure 2


def test_the_diagram_says_every_size():
    figure = single_network_diagram()
    assert _gid_texts(figure, "side") == ["256 × 256", "227 × 227"]
    assert _gid_texts(figure, "layer name") == [
        "stem", "5 × block35, scale .17", "reduction A", "10 × block17, scale .10", "reduction B",
        "5 × block8, scale .20", "mean, dropout (keep .8)", "linear to 128, BN",
    ]  # fmt: skip
    assert _gid_texts(figure, "dim") == ["128-d"] and _gid_texts(figure, "features") == ["36 numbers"]
    assert {"one network for both", "softmax", "λ × centre loss", "one class a group"} <= set(_texts(figure))
    assert len(_by_gid(figure, FancyBboxPatch, "network")) == 1
    # A sketch of the caption alone; the photograph is left open.
    assert len(figure.findobj(AxesImage)) == 1
    _sound(figure)
    _apart(figure.findobj(Text))


def test_the_diagram_takes_pictures_and_sizes():
    image, encoded = _picture(1), _picture(2, 64, 64).transpose(2, 0, 1)
    figure = single_network_diagram(
        image, encoded, (64, 48), (1, 2, 3), 0.5, 64, 12, classes=6000, weight=0.05,
        words=["a", "brown", "dog", "on", "sand", "dunes"],
    )  # fmt: skip
    shown = figure.findobj(AxesImage)
    np.testing.assert_array_equal(shown[0].get_array(), image)
    np.testing.assert_array_equal(shown[1].get_array(), encoded.transpose(1, 2, 0))
    expected = {"64 × 64", "48 × 48", "1 × block35, scale .17", "3 × block8, scale .20", "6,000 groups"}
    expected |= {"mean, dropout (keep .5)", "linear to 64, BN", "0.05 × centre loss", "12 numbers"}
    assert expected <= set(_texts(figure))
    # Pictures come undistorted: both frames are square.
    for item in shown:
        left, right, bottom, top = item.get_extent()
        assert right - left == pytest.approx(top - bottom)
    _sound(figure)
    for wrong in (
        {"sides": (0, 3)},
        {"blocks": (1, 2)},
        {"dim": 0},
        {"classes": -1},
        {"words": []},
        {"keep": 0},
    ):
        with pytest.raises(ConfigError, match="single_network_diagram takes"):
            single_network_diagram(**wrong)


# Figure 3


def _space(n=20):
    random = np.random.default_rng(0)
    images = random.normal(size=(n, 2))
    sentences = np.repeat(images, 5, 0) + 0.3 * random.normal(size=(5 * n, 2))
    return images, sentences, np.concatenate([images, sentences]), np.arange(6 * n) >= n


def test_the_map_marks_modalities_by_colour_and_mark():
    images, sentences, positions, is_text = _space()
    mixing = modality_mixing(images, sentences, k=4, n=20, shuffles=5)
    figure = modality_map(positions, is_text, mixing, title="test images")
    (text,), (image,) = (_by_gid(figure, PathCollection, gid) for gid in ("text", "image"))
    np.testing.assert_allclose(text.get_offsets(), sentences)
    np.testing.assert_allclose(image.get_offsets(), images)
    assert same_color(text.get_edgecolors()[0][:3], RED) and not len(text.get_facecolors())
    assert same_color(image.get_facecolors()[0][:3], PALETTE[0])
    # Circles have many corners, squares four.
    assert len(image.get_paths()[0].vertices) < 7 < len(text.get_paths()[0].vertices)
    label = figure.axes[0].get_xlabel()
    assert label == f"mixing {mixing.value:.2f} ({mixing.low:.2f} to {mixing.high:.2f}), 4 neighbours"
    low, high = figure.axes[0].get_xlim()
    assert low <= positions[:, 0].min() and positions[:, 0].max() <= high
    assert "mixing: 0 apart, 1 as mixed as by chance" in _texts(figure) and "test images" in _texts(figure)
    _sound(figure)
    plain = modality_map(positions, is_text)
    assert not any("mixing" in line for line in _texts(plain))
    assert modality_map(positions, is_text, 0.5).axes[0].get_xlabel() == "mixing 0.50"


@pytest.mark.parametrize("count", [2, 3])
def test_maps_stand_side_by_side(count):
    images, sentences, positions, is_text = _space(8)
    mixing = modality_mixing(images, sentences, k=4, n=20, shuffles=5)
    figure = modality_maps([(f"({n})", positions + n, is_text, mixing) for n in range(count)])
    assert len(_by_gid(figure, PathCollection, "text")) == count
    _sound(figure)
    _apart([axes.xaxis.label for axes in figure.axes])


def test_a_map_says_that_all_points_coincide():
    _, _, positions, is_text = _space(8)
    same = np.full_like(positions, 0.3)
    figure = modality_maps([("apart", positions, is_text, 0.5), ("one", same, is_text, 0.0)])
    says = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert says == [[], ["all points coincide"]]
    _sound(figure)
    same[3, 1] += 1e-6
    assert not modality_map(same, is_text).axes[0].texts


def test_maps_name_mistakes():
    _, _, positions, is_text = _space(4)
    wrong = positions.copy()
    wrong[2, 1] = np.nan
    for given, message in (
        ((positions[:, :1], is_text), r"\(P, 2\)"),
        ((wrong, is_text), "not finite"),
        ((positions, is_text[:5]), "each of 24 points"),
        ((positions, is_text.astype(int)), "found int64"),
        ((positions, is_text | True), "all points are text"),
        ((positions, is_text & False), "all points are images"),
    ):
        with pytest.raises(DataError, match=message):
            modality_map(*given)
    with pytest.raises(DataError, match="no panel"):
        modality_maps([])
    with pytest.raises(ConfigError, match="up to three panels"):
        modality_maps([("", positions, is_text, None)] * 4)
    with pytest.raises(ConfigError, match="found 1 of 3 parts"):
        modality_maps([("", positions, is_text)])


# Collapse


def _curves(axis="epoch", zero=False):
    time = np.arange(6)
    alone = {"run": "the centre loss alone", axis: time, "loss": 10.0**-time, "spread": 2.0 * 10.0**-time}
    both = {"run": "softmax + centre loss", axis: time, "loss": 6.0 - time / 2, "spread": 1 + time / 9}
    frame = pd.concat([pd.DataFrame(alone), pd.DataFrame(both)], ignore_index=True)
    if zero:
        frame.loc[5, "spread"] = 0.0
    return frame


def test_curves_show_the_numbers_and_a_collapse_on_a_logarithmic_axis():
    figure = collapse_curves(_curves())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a) loss", "(b) spread"]
    for axes, name in zip(figure.axes, ("loss", "spread"), strict=True):
        assert axes.get_yscale() == "log" and axes.get_xlabel() == "epoch"
        lines = [line for line in axes.get_lines() if line.get_gid() == name]
        for line, (_, part) in zip(lines, _curves().groupby("run", sort=False), strict=True):
            np.testing.assert_allclose(line.get_ydata(), part[name])
            np.testing.assert_allclose(line.get_xdata(), part["epoch"])
        assert len({line.get_color() for line in lines}) == 2
        assert len({str(line.get_linestyle()) for line in lines}) == 2
    assert {"the centre loss alone", "softmax + centre loss"} <= set(_texts(figure))
    _sound(figure)
    # A spread of 0 keeps its place in the figure, at the lower edge.
    drawn = collapse_curves(_curves("step", zero=True)).axes[1].get_lines()[0].get_ydata()
    assert drawn[-1] == pytest.approx(0.5 * 2e-4)


def test_curves_may_have_recall_beside_chance():
    frame = _curves("step").assign(recall=[1.0] * 6 + [1, 5, 9, 12, 14, 15])
    figure = collapse_curves(frame, chance=1.5)
    assert (
        figure.axes[2].get_title(loc="left") == "(c) recall (%)" and figure.axes[2].get_yscale() == "linear"
    )
    (chance,) = _by_gid(figure, Line2D, "chance")
    assert list(chance.get_ydata()) == [1.5, 1.5] and "chance" in _texts(figure)
    _sound(figure)
    _apart([axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes])
    narrow = frame[frame["run"] != "the centre loss alone"]
    figure = collapse_curves(narrow)
    assert all(axes.get_yscale() == "linear" for axes in figure.axes) and "chance" not in _texts(figure)
    assert "softmax + centre loss" in _texts(figure)
    _sound(figure)


def test_curves_may_have_directions():
    frame = _curves("step").assign(directions=[8.0, 3, 2, 1.2, 1.1, 1] * 2)
    figure = collapse_curves(frame)
    assert figure.axes[2].get_title(loc="left") == "(c) directions"
    assert figure.axes[2].get_yscale() == "linear" and figure.axes[2].get_ylim()[0] == 0
    _sound(figure)


def test_curves_name_mistakes():
    frame = _curves()
    for name in ("run", "epoch", "loss", "spread"):
        with pytest.raises(DataError, match=f"column '{name}' is missing"):
            collapse_curves(frame.drop(columns=name))
    for wrong in (-1.0, np.inf):
        with pytest.raises(DataError, match="from 0 on"):
            collapse_curves(frame.assign(loss=wrong))
    with pytest.raises(DataError, match="no number at all"):
        collapse_curves(frame.assign(spread=np.nan))
    with pytest.raises(DataError, match="12 runs"):
        collapse_curves(frame.assign(run=range(12)))
