"""Figures of sentences drawn as pictures: what they say and what they are drawn from. Not pixels."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures.text_pictures import text_picture_parts, text_pictures
from imtext.report.style import BOOK_WIDTH
from imtext.text.text_image import TextImage

WORDS = ["a", "black", "dog", "runs", "through", "the", "snow", "extraordinarily"]


def _drawer(features: int = 12, **layout) -> TextImage:
    matrix = np.random.default_rng(0).standard_normal((len(WORDS) + 1, features)).astype(np.float32)
    matrix[0] = 0
    return TextImage.fit(matrix, **layout)


def _by_gid(figure: Figure, kind: type, gid: str) -> list:
    return [item for item in figure.findobj(kind) if item.get_gid() == gid]


def _texts(figure: Figure, gid: str) -> list[str]:
    return [item.get_text() for item in _by_gid(figure, Text, gid)]


def _inside(figure: Figure) -> None:
    """Nothing is cut off or left open for a second showing, and the background is transparent."""
    assert figure.get_figwidth() <= BOOK_WIDTH + 1e-9 and not plt.get_fignums()
    figure.draw_without_rendering()
    for item in [text for text in figure.findobj(Text) if text.get_text()] + figure.axes:
        extent = item.get_window_extent()
        assert extent.x0 >= -1 and extent.x1 <= figure.bbox.x1 + 1, item
        assert extent.y0 >= -1 and extent.y1 <= figure.bbox.y1 + 1, item
    stream = io.BytesIO()
    figure.savefig(stream, dpi=40, format="png")
    stream.seek(0)
    assert (plt.imread(stream)[..., 3] == 0).mean() > 0.05


@pytest.mark.parametrize("layout", [{}, {"features": 36, "superpixel": 9}, {"features": 24, "canvas": 256}])
def test_each_word_stands_beneath_its_tile(layout: dict) -> None:
    drawer = _drawer(**layout)
    codes = np.array([[1, 2, 3, 4, 8, 6, 7, 5, 5, 8, 8, 8, 2, 2, 1], [3, 4, *[0] * 13]])
    pictures = torch.from_numpy(drawer.encode(codes))
    words = [[WORDS[code - 1] for code in row if code] for row in codes]
    figure = text_pictures(pictures, words, drawer.places - drawer.slack // 2, drawer.tile)
    _inside(figure)
    assert _texts(figure, "word") == [word for row in words for word in row]
    tiles, whole = _by_gid(figure, AxesImage, "tile"), _by_gid(figure, AxesImage, "picture")
    np.testing.assert_array_equal(whole[1].get_array(), pictures[1].permute(1, 2, 0))
    for tile, code in zip(
        tiles, [code for row in codes.ravel().tolist() for code in [row] if code], strict=True
    ):
        alone = drawer.encode(np.array([[code]]), [drawer.slack] * 2)[0]
        tall, wide = drawer.tile
        np.testing.assert_array_equal(tile.get_array(), alone[:, :tall, :wide].transpose(1, 2, 0))
    places = [text.get_position() for text in _by_gid(figure, Text, "word")]
    for tile, (x, y) in zip(tiles, places, strict=True):
        box = tile.axes.get_position()
        assert abs((box.x0 + box.x1) / 2 - x) < 1e-6 and 0 < box.y0 - y < 0.1
    rows = {round(y, 6) for _, y in places[:15]}
    assert len(rows) > 1 and min(rows) > max(y for _, y in places[15:])


@pytest.mark.parametrize(
    "layout", [{}, {"superpixel": 17}, {"features": 36}, {"features": 9, "row_tiles": 2}, {"separator": 0}]
)
def test_parts_say_sizes_and_numbers(layout: dict) -> None:
    drawer = _drawer(**layout)
    codes = np.array([[3, 2, 1, 4, 5, 6, 7, 8]])
    words = [WORDS[code - 1] for code in codes[0]]
    picture, size = drawer.encode(codes)[0], drawer.superpixel
    vector = drawer.vectors[3]
    figure = text_picture_parts(picture, words, drawer.places, drawer.tile, size, drawer.separator, vector)
    _inside(figure)
    tall, wide = drawer.tile
    gap = drawer.separator
    assert _texts(figure, "word") == ["dog", "black", "a"]
    assert _texts(figure, "size") == [f"tile\n{wide} × {tall} px", *[f"separator\n{gap} px"] * bool(gap)]
    measured = [np.ptp(line.get_xdata()) for line in _by_gid(figure, Line2D, "measure")]
    assert measured == [wide, gap][: 1 + bool(gap)]
    assert f"{size} × {size} px, the first three numbers of “dog”" in _texts(figure, "note")[0]
    part = _by_gid(figure, AxesImage, "part")[0].get_array()
    right, bottom = 3 * (wide + gap) - gap, tall + gap + size
    np.testing.assert_array_equal(part, picture[:, :bottom, :right].transpose(1, 2, 0))
    (zoom,), (ring,) = (_by_gid(figure, Rectangle, gid) for gid in ("zoom", "super-pixel"))
    assert zoom.get_bbox().bounds == (-0.5, -0.5, right, bottom)
    assert ring.get_bbox().bounds == (-0.5, -0.5, size, size)
    low, high = float(drawer.low[0]), float(drawer.high[0])
    levels = [round((float(value) - low) / (high - low) * 255) for value in vector]
    shown = min(12, len(vector))
    assert _texts(figure, "level") == [str(level) for level in levels[:shown]]
    assert [float(text.replace("−", "-")) for text in _texts(figure, "number")] == [
        round(float(value), 2) for value in vector[:shown]
    ]
    colours = [patch.get_facecolor()[:3] for patch in _by_gid(figure, Rectangle, "colour")]
    np.testing.assert_allclose(np.array(colours) * 255, np.array(levels[:shown]).reshape(-1, 3))
    assert any("in all" in item.get_text() for item in figure.findobj(Text)) == (len(vector) > 12)


def test_a_single_word_at_the_edge_can_be_shown() -> None:
    drawer = _drawer(side=6)
    figure = text_picture_parts(
        drawer.encode(np.array([[3]]))[0], ["dog"], drawer.places, drawer.tile, 3, 4, drawer.vectors[3]
    )
    _inside(figure)
    assert len(_texts(figure, "size")) == 1
    assert _by_gid(figure, AxesImage, "part")[0].get_array().shape == (6, 6, 3)


DRAWER = _drawer()
PICTURE = DRAWER.encode(np.array([[1, 2]]))[0]


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("uint8", {"picture": PICTURE.astype(float)}),
        ("expected a list of words", {"words": []}),
        ("expected a list of words", {"words": "dog"}),
        ("530 words and 529 places", {"words": ["a"] * 530}),
        ("not whole on a picture of 227 x 227", {"places": DRAWER.places + 222}),
        ("places should be", {"places": DRAWER.places / 2}),
        ("does not consist of super-pixels of 4", {"superpixel": 4}),
        ("separator=-1", {"separator": -1}),
        ("2 x 2 super-pixels hold three numbers", {"numbers": np.zeros(6)}),
        ("found numbers of shape", {"numbers": np.zeros((2, 6))}),
        ("found numbers of shape", {"numbers": np.zeros(15)}),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(text: str, change: dict) -> None:
    given = {"picture": PICTURE, "words": ["a", "dog"], "places": DRAWER.places, "tile": DRAWER.tile}
    given |= {"superpixel": 3, "separator": 4, "numbers": DRAWER.vectors[1]}
    with pytest.raises((ConfigError, DataError), match=text) as caught:
        text_picture_parts(**{**given, **change})
    assert "\n" not in str(caught.value)


def test_pictures_need_as_many_lists_of_words() -> None:
    with pytest.raises(DataError, match="2 pictures and 1 lists"):
        text_pictures([PICTURE, PICTURE], [["a"]], DRAWER.places, DRAWER.tile)
    with pytest.raises(DataError, match="0 pictures"):
        text_pictures([], [], DRAWER.places, DRAWER.tile)
