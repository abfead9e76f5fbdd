"""Figures hold what they claim: texts, numbers, artists. Not pixels."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import StepPatch
from matplotlib.text import Text

from imtext.report.figures import attention_picture, pearson_maps, similarity_histograms
from imtext.report.style import BOOK_WIDTH, GREEN, INK, PALETTE, RED, house_style
from imtext.retrieval import pearson_map, separation


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)


def _panels(n: int):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 16))
    owners = np.repeat(np.arange(30), 2)
    captions = images[owners] + rng.normal(size=(60, 16))
    return [(f"model {i}", separation(images, captions, owners)) for i in range(n)]


def _contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours (WCAG 2), from 1 to 21."""
    parts = np.array([to_rgb(first), to_rgb(second)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#FFFFFF", "#121212"])
def test_ink_reads_on_white_and_on_dark(page):
    with house_style():
        assert plt.rcParams["text.color"] == INK == plt.rcParams["axes.edgecolor"]
    assert min(_contrast(colour, page) for colour in (INK, RED, GREEN)) >= 4.0
    assert min(_contrast(colour, page) for colour in PALETTE) >= 3.0


def test_histograms_say_s_and_both_means():
    panels = _panels(3)
    figure = similarity_histograms(panels, [0.2563, 0.1633, 0.0914])
    text = " ".join(_texts(figure))
    for title, item in panels:
        assert title in text and f"S = {item.S:.3f}" in text
        assert f"$D_p$ = {item.mean_positive:.3f}" in text and f"$D_n$ = {item.mean_negative:.3f}" in text
    assert "(paper 0.256)" in text and "(paper 0.091)" in text and text.count("(paper") == 3
    assert len(figure.axes) == 3 and all(len(axes.findobj(StepPatch)) == 4 for axes in figure.axes)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    for values, edges, _ in (one.get_data() for one in figure.axes[0].findobj(StepPatch)):
        assert (values * np.diff(edges)).sum() == pytest.approx(1)


def test_pearson_maps_share_their_scale():
    rng = np.random.default_rng(0)
    before = pearson_map(
        rng.normal(size=(20, 1)) * 0.1 + rng.normal(size=(1, 40)) + rng.normal(size=(20, 40))
    )
    after = pearson_map(rng.normal(size=(20, 40)))
    figure = pearson_maps({"before": before, "after": -after})
    pictures = [axes.findobj(AxesImage)[0] for axes in figure.axes[:2]]
    assert pictures[0].get_clim() == pictures[1].get_clim()
    for picture, values in zip(pictures, (before, after), strict=True):
        np.testing.assert_allclose(picture.get_array(), abs(values))
    assert {"before", "after", "20 images"} <= set(_texts(figure))
    assert pearson_maps({}) is None


def test_attention_lights_the_regions_of_a_word():
    picture = np.full((40, 60, 3), 255, np.uint8)
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0.25, 0, 0.75, 0.5]])
    words = [("dog", np.array([0.1, 0.3, 0.6])), ("dog", np.zeros(3) + 0.3)]
    figure = attention_picture(picture, boxes, words)
    whole, first, second = (axes.images[0].get_array() for axes in figure.axes)
    top, right, left = first[5, 30, 0], first[30, 55, 0], first[30, 5, 0]
    assert top == 1 > right > left == pytest.approx(0.2 + 0.8 * 0.1 / 0.6)
    assert (whole == 255).all() and (second == 1).all()
    assert {"image", "dog  0.60", "dog  0.30"} <= set(_texts(figure))


def test_figures_are_transparent_no_wider_than_the_book_and_shown_once():
    figures = [
        similarity_histograms(_panels(1), [0.5]),
        pearson_maps({"before": np.eye(3), "after": np.eye(3)}),
        attention_picture(_picture(), np.array([[0, 0, 1, 1]]), [("dog", np.ones(1))] * 5),
    ]
    assert not plt.get_fignums()
    for figure in figures:
        assert figure.get_figwidth() <= BOOK_WIDTH
        stream = io.BytesIO()
        figure.savefig(stream, dpi=40, format="png")
        stream.seek(0)
        pixels = plt.imread(stream)
        assert pixels.shape[2] == 4 and (pixels[..., 3] == 0).mean() > 0.05
