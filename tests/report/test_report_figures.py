"""Figures hold what they claim: texts, numbers, artists. Not pixels."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures import (
    error_curves,
    image_search,
    pearson_maps,
    picture_rows,
    sentence_search,
    similarity_histograms,
    word_ablation,
)
from imtext.report.figures.histograms import _coarser
from imtext.report.style import BOOK_WIDTH, GREEN, INK, PAGES, PALETTE, RED, contrast
from imtext.retrieval import pearson_map, separation


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)


def _panels(n: int):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 16))
    owners = np.repeat(np.arange(30), 2)
    sentences = images[owners] + rng.normal(size=(60, 16))
    return [(f"model {i}", separation(images, sentences, owners)) for i in range(n)]


def test_ink_reads_on_white_and_on_dark():
    for page in PAGES.values():
        assert contrast(INK, page) >= 4.0
        assert min(contrast(RED, page), contrast(GREEN, page)) >= 4.0
        assert min(contrast(colour, page) for colour in PALETTE) >= 3.0


def test_histograms_say_s_and_both_means():
    panels = _panels(3)
    figure = similarity_histograms(panels, printed=[0.2563, None, 0.0914])
    text = " ".join(_texts(figure))
    for title, item in panels:
        assert title in text and f"S = {item.S:.3f}" in text
        assert f"$D_p$ = {item.mean_positive:.3f}" in text and f"$D_n$ = {item.mean_negative:.3f}" in text
    assert "(paper 0.256)" in text and "(paper 0.091)" in text and text.count("(paper") == 2
    assert len(figure.axes) == 3 and all(len(axes.findobj(StepPatch)) == 4 for axes in figure.axes)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    with pytest.raises(ConfigError, match="2 numbers for 3 panels"):
        similarity_histograms(panels, printed=[0.1, 0.2])
    with pytest.raises(DataError, match="no panel"):
        similarity_histograms([])


def test_coarser_bins_keep_the_area():
    density, edges = np.random.default_rng(0).random(200), np.linspace(-1, 1, 201)
    for bins in (200, 100, 50, 7):
        heights, coarse = _coarser(density, edges, bins)
        assert len(coarse) == len(heights) + 1 <= bins + 1
        assert (heights * np.diff(coarse)).sum() == pytest.approx((density * 0.01).sum())


def test_pearson_maps_share_their_scale():
    rng = np.random.default_rng(0)
    before = pearson_map(
        rng.normal(size=(20, 1)) * 0.1 + rng.normal(size=(1, 40)) + rng.normal(size=(20, 40))
    )
    after = pearson_map(rng.normal(size=(20, 40)))
    figure = pearson_maps(before, after)
    pictures = [axes.findobj(AxesImage)[0] for axes in figure.axes[:2]]
    assert pictures[0].get_clim() == pictures[1].get_clim()
    np.testing.assert_allclose(pictures[0].get_array(), before)
    text = " ".join(_texts(figure))
    for values in (before, after):
        mean = np.mean([values[i, j] for i in range(20) for j in range(20) if i != j])
        assert f"mean off the diagonal {mean:.3f}" in text
    with pytest.raises(DataError, match="before"):
        pearson_maps(before[:3], after)
    with pytest.raises(DataError, match="not finite"):
        pearson_maps(before, np.full((3, 3), np.nan))


def test_error_curves_draw_each_run_in_both_panels():
    frame = pd.DataFrame(
        {"run": ["a"] * 4 + ["b"] * 2, "stage": ["I", "I", "II", "II", "I", "I"], "epoch": [1, 2, 1, 2, 1, 2],
         "image_error": [0.9, 0.5, 0.4, 0.3, 0.8, 0.6], "text_error": [1, 0.9, 0.8, 0.7, np.nan, np.nan]}
    )  # fmt: skip
    figure = error_curves(frame)
    left, right = figure.axes
    lines = {line.get_label(): line for line in left.get_lines()}
    assert lines["a"].get_xdata().tolist() == [1, 2, 3, 4]
    assert lines["a"].get_ydata().tolist() == pytest.approx([90, 50, 40, 30])
    assert lines["b"].get_ydata().tolist() == pytest.approx([80, 60])
    assert lines["a"].get_linestyle() != lines["b"].get_linestyle()
    assert [line.get_label() for line in right.get_lines() if not line.get_label().startswith("_")] == ["a"]
    assert [line.get_xdata()[0] for line in left.get_lines() if line.get_label().startswith("_")] == [2.5]
    text = _texts(figure)
    assert "(a) image path" in text and "(b) text path" in text and "a" in text and "b" in text


def test_error_curves_average_the_steps_of_an_epoch_and_need_no_run_column():
    frame = pd.DataFrame({"epoch": [1, 1, 2], "image_error": [0.2, 0.4, 0.1], "text_error": [1.0, 1.0, 0.5]})
    line = error_curves(frame).axes[0].get_lines()[0]
    assert line.get_ydata().tolist() == pytest.approx([30, 10])


def test_error_curves_name_mistakes():
    frame = pd.DataFrame({"epoch": [1], "image_error": [0.2], "text_error": [0.3]})
    with pytest.raises(DataError, match="'text_error' is missing"):
        error_curves(frame.drop(columns="text_error"))
    with pytest.raises(DataError, match="shares from 0 to 1"):
        error_curves(frame.assign(text_error=30.0))
    with pytest.raises(DataError, match="no error in any epoch"):
        error_curves(frame.assign(text_error=np.nan, image_error=np.nan))


def test_word_ablation_marks_the_top_words_without_colour_too():
    words = ["a", "black", "dog", "runs", "on", "the", "snow", "oov"]
    drops = [-0.02, 0.30, 0.25, 0.05, 0.01, 0.0, 0.20, np.nan]
    figure = word_ablation([{"words": words, "drops": drops, "image": _picture(), "similarity": 0.43}])
    shown = [item for item in figure.findobj(Text) if item.get_gid() in ("word", "top")]
    assert [item.get_text() for item in shown] == words
    top = [item for item in shown if item.get_gid() == "top"]
    assert [item.get_text() for item in top] == ["black", "dog", "snow"]
    assert all(item.get_fontweight() == "bold" and same_color(item.get_color(), RED) for item in top)
    assert all(item.get_fontweight() == "normal" for item in shown if item not in top)
    lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_gid() == "underline"]
    assert len(lines) == 3
    bars = [item for item in figure.findobj(Rectangle) if item.get_gid() == "bar"]
    assert len(bars) == 7
    heights = np.array([bar.get_height() for bar in bars])
    assert heights / heights.max() == pytest.approx(np.abs(drops[:7]) / 0.30)
    assert bars[0].get_facecolor() == to_rgba("none") and bars[1].get_facecolor() == to_rgba(RED)
    text = " ".join(_texts(figure))
    assert "0.30" in text and "cosine 0.43" in text and len(figure.findobj(AxesImage)) == 1


def test_word_ablation_wraps_long_captions_inside_the_figure():
    words = ["extraordinarily"] * 25
    figure = word_ablation([{"words": words, "drops": np.zeros(25), "image": _picture().transpose(2, 0, 1)}])
    figure.canvas.draw()
    box = figure.bbox
    for item in figure.findobj(Text):
        if item.get_gid() == "word":
            extent = item.get_window_extent()
            assert (
                box.x0 <= extent.x0
                and extent.x1 <= box.x1 + 1
                and box.y0 <= extent.y0
                and extent.y1 <= box.y1
            )
    assert not [item for item in figure.findobj(Text) if item.get_gid() == "top"]


def test_word_ablation_names_mistakes():
    with pytest.raises(DataError, match="example 0 lacks 'image'"):
        word_ablation([{"words": ["a"], "drops": [0.1]}])
    with pytest.raises(DataError, match="2 words, 1 drops"):
        word_ablation([{"words": ["a", "b"], "drops": [0.1], "image": _picture()}])
    with pytest.raises(DataError, match="expected uint8"):
        word_ablation([{"words": ["a"], "drops": [0.1], "image": _picture() / 255.0}])
    with pytest.raises(DataError, match="no example"):
        word_ablation([])


def test_galleries_mark_right_and_wrong_by_sign_and_frame():
    pictures = [_picture(i) for i in range(3)]
    figure = image_search(["a dog"], [pictures], [[False, True, None]])
    text = " ".join(_texts(figure))
    assert "“a dog”" in text and "✗ 1" in text and "✓ 2" in text and "3" in text
    wrong, right, unknown = figure.findobj(AxesImage)
    width = [item.axes.spines["left"].get_linewidth() for item in (wrong, right)]
    assert width[1] > width[0]
    assert same_color(right.axes.spines["left"].get_edgecolor(), GREEN)
    assert not unknown.axes.spines["left"].get_visible()
    figure = sentence_search([_picture()], [["a dog .", "a cat"]], [[True, False]])
    shown = {item.get_text(): item for item in figure.findobj(Text) if item.get_text()}
    assert same_color(shown["a dog."].get_color(), GREEN) and same_color(shown["a cat"].get_color(), RED)
    assert "✓ " in shown and "✗ " in shown
    figure = picture_rows(pictures, ["one", "two", "three"], per_row=2, title="Three")
    assert len(figure.findobj(AxesImage)) == 3 and {"one", "two", "three", "Three"} <= set(_texts(figure))
    with pytest.raises(DataError, match="3 images, 1 captions"):
        picture_rows(pictures, ["one"])


def test_figures_are_transparent_no_wider_than_the_book_and_shown_once():
    import matplotlib.pyplot as plt

    figures = [
        similarity_histograms(_panels(1)),
        pearson_maps(np.eye(3), np.eye(3)),
        error_curves(pd.DataFrame({"epoch": [1], "image_error": [0.2], "text_error": [0.3]})),
        word_ablation([{"words": ["a"], "drops": [0.1], "image": _picture()}]),
        picture_rows([_picture()], ["one"]),
    ]
    assert not plt.get_fignums()
    for figure in figures:
        assert figure.get_figwidth() <= BOOK_WIDTH
        stream = io.BytesIO()
        figure.savefig(stream, dpi=40, format="png")
        stream.seek(0)
        pixels = plt.imread(stream)
        assert pixels.shape[2] == 4 and (pixels[..., 3] == 0).mean() > 0.05
