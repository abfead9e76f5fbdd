"""Figures hold what they claim: texts, numbers, artists. Not pixels."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, Polygon, Rectangle, StepPatch
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures import (
    caption_search,
    error_curves,
    geometry,
    group_cards,
    image_search,
    pearson_maps,
    picture_rows,
    similarity_histograms,
    word_ablation,
    word_classes,
)
from imtext.report.figures.similarity import _coarser
from imtext.report.figures.words import mean_fall
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
    captions = images[owners] + rng.normal(size=(60, 16))
    return [(f"model {i}", separation(images, captions, owners)) for i in range(n)]


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


def _stage(title="(a) start", weight=None, scale=1.0):
    rng = np.random.default_rng(0)
    images, captions = scale * rng.normal(size=(6, 2)), scale * rng.normal(size=(10, 2))
    return (title, images, captions, np.repeat([3, 7], 3), np.tile([7, 3], 5), weight)


def test_geometry_draws_every_point_with_mark_and_fill():
    weight = np.array([[2.0, 1.0], [-1.0, 0.5]])
    stages = [_stage(), _stage("(b) instance loss", weight, 4.0)]
    figure = geometry(stages)
    left, right = figure.axes
    for axes, stage in zip((left, right), stages, strict=True):
        drawn = {item.get_gid(): item for item in axes.collections}
        for kind, points, classes in (("image", stage[1], stage[3]), ("caption", stage[2], stage[4])):
            for number, label in enumerate((3, 7), start=1):
                item = drawn[f"{kind} {number}"]
                np.testing.assert_allclose(item.get_offsets(), points[classes == label])
                # The second class is hollow.
                assert (len(item.get_facecolors()) == 0) == (number == 2)
        assert axes.get_aspect() == 1 and axes.get_xlim() == axes.get_ylim()
        assert axes.get_xlim()[0] == -axes.get_xlim()[1]
        extent = np.abs(np.concatenate([stage[1], stage[2]])).max()
        assert axes.get_xlim()[1] > extent
    circles, triangles = (drawn[name].get_paths()[0] for name in ("image 1", "caption 1"))
    assert len(circles.vertices) != len(triangles.vertices)
    text = _texts(figure)
    assert {"(a) start", "(b) instance loss", "$W_1$", "$W_2$", "image, class 1", "caption, class 2"} <= set(
        text
    )
    assert text.count("$W_1$") == 1


def test_geometry_draws_the_boundary_where_both_scores_are_equal():
    weight = np.array([[2.0, 1.0], [-1.0, 0.5]])
    axes = geometry([_stage(weight=weight)]).axes[0]
    (line,) = [item for item in axes.get_lines() if item.get_gid() == "boundary"]
    np.testing.assert_allclose(line.get_xydata() @ (weight[0] - weight[1]), 0, atol=1e-9)
    planes = [item for item in axes.findobj(Polygon) if item.get_gid() == "half-plane"]
    for plane, sign in zip(planes, (1, -1), strict=True):
        scores = plane.get_xy() @ (weight[0] - weight[1])
        assert (sign * scores > -1e-9).all()
    assert any(item.get_gid() == "unit" for item in axes.findobj(Circle))
    # No weights, no boundary; two equal weights have none either.
    for other in (None, np.ones((2, 2))):
        assert not [
            i for i in geometry([_stage(weight=other)]).axes[0].get_lines() if i.get_gid() == "boundary"
        ]
    far = geometry([_stage(scale=100.0)]).axes[0]
    assert not [item for item in far.findobj(Circle) if item.get_gid() == "unit"]


def test_geometry_names_mistakes():
    title, images, captions, of_images, of_captions, _ = _stage()
    with pytest.raises(DataError, match="no stage"):
        geometry([])
    with pytest.raises(ConfigError, match="stage 0 has 3 parts"):
        geometry([(title, images, captions)])
    with pytest.raises(DataError, match=r"images should be \(n, 2\)"):
        geometry([(title, images[:, :1], captions, of_images, of_captions, None)])
    with pytest.raises(DataError, match="not finite"):
        geometry([(title, images * np.nan, captions, of_images, of_captions, None)])
    with pytest.raises(DataError, match="for 6 images"):
        geometry([(title, images, captions, of_images[:3], of_captions, None)])
    with pytest.raises(DataError, match="expected two classes, found 3"):
        geometry([(title, images, captions, np.arange(6) % 3, np.arange(10) % 3, None)])
    with pytest.raises(DataError, match=r"weight should be \(2, 2\)"):
        geometry([(title, images, captions, of_images, of_captions, np.ones((3, 2)))])


@pytest.fixture
def words():
    rng = np.random.default_rng(0)
    content = [f"thing{number}" for number in range(30)]
    function = ["with", "on", "at", "in", "a", "the", "and", "of", "to", "by", "is", "an", "his", "it"]
    return pd.DataFrame(
        {
            "word": content + function,
            "kind": ["content"] * 30 + ["function"] * 14,
            "drop": np.concatenate([rng.uniform(0.05, 0.3, 30), rng.uniform(-0.01, 0.02, 14)]),
            "count": np.concatenate([np.r_[[1] * 5, rng.integers(5, 50, 25)], np.arange(100, 1500, 100)]),
        }
    )


def test_word_classes_shows_every_word_and_two_lists(words):
    figure = word_classes(words)
    left, middle, right = figure.axes
    shown = {item.get_gid(): item for item in left.collections if item.get_gid()}
    for kind in ("content", "function"):
        drops = words.loc[words["kind"] == kind, "drop"]
        np.testing.assert_allclose(shown[f"words {kind}"].get_offsets()[:, 0], drops)
        mean, low, high = mean_fall(drops.to_numpy(), words.loc[words["kind"] == kind, "count"].to_numpy())
        assert any(f"mean fall {mean:.3f} [{low:.3f}, {high:.3f}]" in text for text in _texts(figure))
    # Told apart by fill and shape too.
    assert len(shown["words function"].get_facecolors()) == 0 < len(shown["words content"].get_facecolors())
    often = words[words["count"] >= 5].nlargest(12, "drop")
    labels = [label.get_text() for label in middle.get_yticklabels()]
    assert labels == [f"{word} ({n})" for word, n in zip(often["word"], often["count"], strict=True)]
    bars = [item for item in middle.patches if (item.get_gid() or "").startswith("bar")]
    assert [bar.get_width() for bar in bars] == pytest.approx(often["drop"].tolist())
    frequent = [label.get_text().split()[0] for label in right.get_yticklabels()]
    assert frequent == ["it", "his", "an", "is", "by", "to", "of", "and", "the", "a", "in", "at"]
    bars = [item for item in right.patches if (item.get_gid() or "").startswith("bar")]
    assert all(bar.get_facecolor()[3] == 0 for bar in bars) and len(bars) == 12
    assert middle.get_xlim() == right.get_xlim()


def test_word_classes_with_few_words_takes_rare_ones_too(words):
    few = words[words["word"].isin(["thing0", "thing1", "thing9", "on"])]
    middle = word_classes(few).axes[1]
    assert len(middle.get_yticklabels()) == 4 and "seen" not in middle.get_title("left")


def test_mean_fall_weights_by_count():
    drop, count = np.array([0.3, 0.1, 0.0]), np.array([1, 2, 7])
    everywhere = np.repeat(drop, count)
    mean, low, high = mean_fall(drop, count)
    assert mean == pytest.approx(everywhere.mean()) and low <= mean <= high


def test_word_classes_names_mistakes(words):
    with pytest.raises(DataError, match="'count' is missing"):
        word_classes(words.drop(columns="count"))
    with pytest.raises(DataError, match="'content' or 'function', found 'verb'"):
        word_classes(words.replace({"kind": {"function": "verb"}}))
    with pytest.raises(DataError, match="no function word"):
        word_classes(words[words["kind"] == "content"])
    with pytest.raises(DataError, match="'with' stands there twice"):
        word_classes(words.replace({"word": {"on": "with"}}))
    with pytest.raises(DataError, match="drop should be finite"):
        word_classes(words.assign(drop=np.nan))


def test_figures_are_transparent_no_wider_than_the_book_and_shown_once():
    import matplotlib.pyplot as plt

    figures = [
        similarity_histograms(_panels(1)),
        pearson_maps(np.eye(3), np.eye(3)),
        error_curves(pd.DataFrame({"epoch": [1], "image_error": [0.2], "text_error": [0.3]})),
        word_ablation([{"words": ["a"], "drops": [0.1], "image": _picture()}]),
        picture_rows([_picture()], ["one"]),
        image_search(["a dog"], [[_picture()] * 10], [[False] * 10]),
        caption_search([_picture()], [["a dog"]], [[True]]),
        group_cards([_picture()] * 4, [["one"]] * 4),
        geometry([_stage(weight=np.eye(2))] * 3),
        word_classes(
            pd.DataFrame(
                {"word": ["dog", "on"], "kind": ["content", "function"], "drop": [0.2, 0.0], "count": 3}
            )
        ),
    ]
    assert not plt.get_fignums()
    for figure in figures:
        assert figure.get_figwidth() <= BOOK_WIDTH
        stream = io.BytesIO()
        figure.savefig(stream, dpi=40, format="png")
        stream.seek(0)
        pixels = plt.imread(stream)
        assert pixels.shape[2] == 4 and (pixels[..., 3] == 0).mean() > 0.05
