"""Figures of general use show the numbers they are given, and cut nothing off."""

from matplotlib.backends.backend_agg import FigureCanvasAgg

from imtext.report.figures import diagram, panels


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


def test_a_diagram_names_boxes_and_sizes():
    lanes = {"Images": [("image", ""), ("*fc", "3 × 4")], "Captions": [("words", "50-d")]}
    texts = [text.get_text() for text in whole(diagram(lanes, ["space", "first", "second"])).axes[0].texts]
    assert {"image", "fc", "3 × 4", "words", "50-d", "space", "first\nsecond", "Images"} <= set(texts)
