"""Figures of general use show the numbers they are given, and cut nothing off."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imtext.report.figures import diagram, histograms, panels


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


def test_a_diagram_names_boxes_and_sizes():
    lanes = {"Images": [("image", ""), ("*fc", "3 × 4")], "Captions": [("words", "50-d")]}
    texts = [text.get_text() for text in whole(diagram(lanes, ["space", "first", "second"])).axes[0].texts]
    assert {"image", "fc", "3 × 4", "words", "50-d", "space", "first\nsecond", "Images"} <= set(texts)
