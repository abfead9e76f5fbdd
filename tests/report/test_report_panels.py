"""Figures of general use show the numbers they are given, and cut nothing off."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imtext.report.figures import diagram, group_maps, histograms, panels, sweep


def whole(figure):
    """The figure, drawn; every text of it lies on the canvas."""
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    canvas, renderer = figure.bbox.padded(2), drawn.get_renderer()
    for axes in figure.axes:
        for text in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent(renderer)
            assert not text.get_text() or (
                canvas.contains(box.x0, box.y0) and canvas.contains(box.x1, box.y1)
            )
    return figure


def test_panels_that_are_left_over_are_off():
    figure, grid = panels(4, 1.0)
    assert len(grid) == 4 and sum(axes.axison for axes in figure.axes) == 4 and len(figure.axes) == 6


def test_histograms_write_means_and_shares():
    random = np.random.default_rng(0)
    shown = [("first", {"a": random.uniform(0, 1, 500), "b": np.full(500, 0.75)})] * 3
    figure = whole(histograms(shown, window=(0.5, 1.0)))
    share = 100 * np.mean(shown[0][1]["a"] > 0.5)
    label = figure.axes[0].get_xlabel()
    assert f"mean {shown[0][1]['a'].mean():.2f} → 0.75" in label and f"window {share:.1f} → 100.0 %" in label
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_groups_are_joined_with_their_captions():
    places = {"images": np.array([[0.0, 0], [1, 1]]), "captions": np.array([[0.0, 1], [0, 2], [1, 2]])}
    groups = {"images": np.array([7, 9]), "captions": np.array([7, 7, 9])}
    figure = whole(group_maps({"one": (places, groups, "said")}))
    lines = [line.get_xydata() for line in figure.axes[0].lines]
    joined = [
        line for line in lines if len(line) == 2 and not np.array_equal(line[:, 1] - line[:, 1].min(), [0, 0])
    ]
    assert len([line for line in joined if line[0].tolist() in places["images"].tolist()]) == 3
    assert figure.axes[0].get_xlabel() == "said"


def test_a_sweep_has_every_seed_and_the_mean():
    runs = pd.DataFrame({"weight": ["0", "0", "1", "1"], "rsum": [1.0, 3.0, 4.0, 4.0]})
    axes = whole(sweep(runs, "weight", "rsum", "weight", "R-sum", marked="1")).axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([2, 4])
    points = np.concatenate(
        [np.asarray(one.get_offsets())[:, 1] for one in axes.collections if len(one.get_offsets()) > 1]
    )
    assert sorted(points.tolist())[-4:] == [1, 3, 4, 4]


def test_a_diagram_names_boxes_and_sizes():
    lanes = {"Images": [("image", ""), ("*fc", "3 × 4")], "Captions": [("words", "50-d")]}
    texts = [text.get_text() for text in whole(diagram(lanes, ["space", "first", "second"])).axes[0].texts]
    assert {"image", "fc", "3 × 4", "words", "50-d", "space", "first\nsecond", "Images"} <= set(texts)
