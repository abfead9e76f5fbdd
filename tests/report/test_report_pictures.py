"""Figures of pictures, galleries and cards: what is right is marked, nothing is cut. Not pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures import (
    caption_search,
    group_cards,
    image_search,
    picture_rows,
)
from imtext.report.style import GREEN, RED


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)


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
    figure = caption_search([_picture()], [["a dog .", "a cat"]], [[True, False]])
    shown = {item.get_text(): item for item in figure.findobj(Text) if item.get_text()}
    assert same_color(shown["a dog."].get_color(), GREEN) and same_color(shown["a cat"].get_color(), RED)
    assert "✓ " in shown and "✗ " in shown
    figure = picture_rows(pictures, ["one", "two", "three"], per_row=2, title="Three")
    assert len(figure.findobj(AxesImage)) == 3 and {"one", "two", "three", "Three"} <= set(_texts(figure))
    with pytest.raises(DataError, match="3 images, 1 captions"):
        picture_rows(pictures, ["one"])


def test_galleries_mark_by_weight_and_rule_too():
    figure = image_search(["a dog"], [[_picture(), _picture()]], [[True, False]])
    weights = {item.get_text(): item.get_fontweight() for item in figure.findobj(Text) if item.get_text()}
    assert (weights["✓ 1"], weights["✗ 2"]) == ("bold", "normal")
    figure = caption_search([_picture()], [["a dog", "a cat", "a cow"]], [[True, False, None]])
    right, wrong = [line for line in figure.findobj(Line2D) if line.get_gid() == "rule"]
    assert right.get_linewidth() > 2 * wrong.get_linewidth()
    assert same_color(right.get_color(), GREEN) and same_color(wrong.get_color(), RED)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("shape", [(44, 20, 3), (20, 44, 3), (20, 20, 3)])
def test_galleries_take_pictures_of_any_shape(shape, turn):
    """Tall pictures keep their proportion and most of the room there is; nothing lies outside the figure."""
    picture = np.full(shape, 90, np.uint8)
    given = picture.transpose(2, 0, 1) if turn else picture
    long = "a woman with long dark hair wears a purple jacket and black trousers and carries a brown bag"
    columns = 5
    search = image_search([long] * 2, [[given] * columns] * 2, [[True, False, None, True, False]] * 2)
    cards = group_cards([[given, given], given, [given]], [[long] * 2] * 3, ["class 1", "class 2", "class 3"])
    figures = [search, caption_search([given], [[long] * 3], [[True, False, None]]), cards]
    for figure in figures:
        figure.draw_without_rendering()
        for drawn in figure.findobj(AxesImage):
            box = drawn.axes.get_window_extent()
            assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.02)
            assert box.width * box.height > 0.05 * figure.dpi**2
        for item in figure.findobj(Text):
            if item.get_text():
                extent = item.get_window_extent()
                assert extent.x0 >= -1 and extent.x1 <= figure.bbox.x1 + 1
                assert extent.y0 >= -2 and extent.y1 <= figure.bbox.y1 + 2
    cells = [drawn.axes.get_window_extent().width for drawn in search.findobj(AxesImage)]
    assert min(cells) * columns > 0.6 * search.bbox.width


def test_cards_hold_pictures_captions_and_labels():
    groups = [_picture(0), [_picture(1), _picture(2)], [_picture(3)], np.stack([_picture(4)] * 2)]
    captions = [["one .", "two"], ["three"], ["four", "five"], ["six"]]
    figure = group_cards(groups, captions, ["class 1", "class 2", "class 3", "class 4"], per_row=3)
    texts = _texts(figure)
    assert {"one.", "two", "three", "four", "five", "six", "class 1", "class 4"} <= set(texts)
    assert len(figure.findobj(AxesImage)) == 6
    cards = [item for item in figure.findobj(FancyBboxPatch) if item.get_gid() == "card"]
    assert len({round(card.get_y(), 3) for card in cards}) == 2 and len(cards) == 4
    assert not {"class 1"} & set(_texts(group_cards(groups, captions)))
    with pytest.raises(DataError, match="4 groups of images, 1 of captions"):
        group_cards(groups, [["one"]])
    with pytest.raises(DataError, match="group 0 needs a list of captions, found 'one'"):
        group_cards(groups[:1], ["one"])
    with pytest.raises(DataError, match="group 0 has no picture"):
        group_cards([[]], [["one"]])
    with pytest.raises(DataError, match="group 0: expected uint8"):
        group_cards([_picture() / 255.0], [["one"]])
    with pytest.raises(ConfigError, match="per_row"):
        group_cards(groups, captions, per_row=0)
