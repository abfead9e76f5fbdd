"""Pairs counted as wrong, and models in order under measures: what the figures say. Not pixels."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures.measures import swapped_pairs
from imtext.report.figures.single_network import (
    measure_ranks,
    right_but_wrong,
    similar_pairs,
)
from imtext.report.style import BOOK_WIDTH, GREEN, INK, RED


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


# Figure 1 and judgements

LONG = "One person helping another person up to the top of a mound of sand underneath a cloudy sky ."


@pytest.mark.parametrize("shape", [(30, 40), (60, 40), (20, 60)])
@pytest.mark.parametrize("count", [1, 3])
def test_similar_pairs_show_both_pictures_and_captions(shape, count):
    images = [(_picture(2 * n, *shape), _picture(2 * n + 1, *shape).transpose(2, 0, 1)) for n in range(count)]
    captions = [(LONG, "A dog 0 ."), ("two dogs", LONG)][:count] + [("a", "b")] * (count - 2)
    figure = similar_pairs(images, captions, [0.91, -0.2, 0.5][:count])
    shown = figure.findobj(AxesImage)
    for item, picture in zip(shown, [picture for pair in images for picture in pair], strict=True):
        expected = picture if picture.shape[2] == 3 else picture.transpose(1, 2, 0)
        np.testing.assert_array_equal(item.get_array(), expected)
    text = [line.replace("\n", " ") for line in _texts(figure)]
    assert "similarity 0.91, two groups" in text and "A dog 0." in text
    assert any(line.startswith("One person helping another") for line in text)
    assert ("similarity −0.20, two groups" in text) == (count > 1)
    _sound(figure)
    for item in shown:
        box = item.axes.get_window_extent()
        assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.03)
        assert box.width > 0.5 * figure.dpi


def test_similar_pairs_name_mistakes():
    pair, texts = (_picture(), _picture(1)), ("a", "b")
    with pytest.raises(DataError, match="2 images, 1 captions, 1 similarities"):
        similar_pairs([pair] * 2, [texts], [1])
    with pytest.raises(DataError, match="pair 1 has 1 pictures and 2 captions"):
        similar_pairs([pair, pair[:1]], [texts] * 2, [1, 1])
    with pytest.raises(DataError, match="not finite"):
        similar_pairs([pair], [texts], [np.nan])
    with pytest.raises(DataError, match="expected uint8"):
        similar_pairs([(_picture() / 2, _picture())], [texts], [1])
    with pytest.raises(ConfigError, match="per_row"):
        similar_pairs([pair], [texts], [1], per_row=0)


@pytest.mark.parametrize("owned", [False, True])
def test_right_but_wrong_says_both_verdicts(owned):
    images = [_picture(n, 30 + 20 * n) for n in range(3)]
    own = [_picture(7), None, _picture(8, 60, 30)] if owned else None
    notes = ["experts: 4, 4 and 3 of 4", "crowd: 0 of 3 say yes", "not judged"]
    figure = right_but_wrong(images, ["a dog .", LONG, LONG], notes, own, [True, False, None], [1, 2, 10])
    assert len(figure.findobj(AxesImage)) == (5 if owned else 3)
    shown = {item.get_text().replace("\n", " "): item for item in figure.findobj(Text) if item.get_text()}
    for rank in (1, 2, 10):
        line = shown[f"✗ Recall@K: wrong (rank {rank}, written for another image)"]
        assert same_color(line.get_color(), RED)
    right, wrong, unknown = shown["✓ " + notes[0]], shown["✗ " + notes[1]], shown[notes[2]]
    for item, colour, weight in ((right, GREEN, "bold"), (wrong, RED, "normal"), (unknown, INK, "normal")):
        assert same_color(item.get_color(), colour) and item.get_fontweight() == weight
    assert "“a dog.”" in shown and _texts(figure).count("written for this") == (2 if owned else 0)
    _sound(figure)
    _apart(list(shown.values()))


def test_right_but_wrong_has_defaults_and_names_mistakes():
    figure = right_but_wrong([_picture()], ["a dog"], ["relevance 0.83"])
    assert {"✓ relevance 0.83", "✗ Recall@K: wrong (written for another image)"} <= set(_texts(figure))
    with pytest.raises(DataError, match="1 images, 2 sentences, 1 judgements"):
        right_but_wrong([_picture()], ["a", "b"], ["c"])
    with pytest.raises(DataError, match="0 images"):
        right_but_wrong([], [], [])
    with pytest.raises(DataError, match="2 ranks"):
        right_but_wrong([_picture()], ["a"], ["c"], ranks=[1, 2])


# The order of models

MODELS = ("Instance loss", "Structure-preserving", "VSE++", "Single network, config-2")


def _table(values=((70, 61, 52, 25), (80, 66, 71, 40)), names=("Recall@10 (%)", "Semantic recall@10 (%)")):
    lines = [
        (model, name, value, value - 2.0, value + 1.5)
        for name, row in zip(names, values, strict=True)
        for model, value in zip(MODELS, row, strict=False)
    ]
    return pd.DataFrame(lines, columns=["model", "measure", "value", "low", "high"])


def _order(figure: Figure, gid: str) -> list[str]:
    found = sorted(_by_gid(figure, Text, gid), key=lambda item: -item.get_position()[1])
    return [item.get_text().replace("\n", " ") for item in found]


def test_models_stand_in_order_under_either_measure():
    figure = measure_ranks(_table())
    assert _order(figure, "first") == list(MODELS)
    assert _order(figure, "last") == ["Instance loss", "VSE++  ▲1", "Structure-preserving  ▼1", MODELS[3]]
    assert _gid_texts(figure, "swaps") == ["1 of 6 pairs change places"]
    assert _gid_texts(figure, "measure") == ["Recall@10 (%)", "Semantic recall@10 (%)"]
    numbers = _gid_texts(figure, "number")
    assert numbers[:4] == ["70.0 [68.0, 71.5]", "61.0 [59.0, 62.5]", "52.0 [50.0, 53.5]", "25.0 [23.0, 26.5]"]
    # Only those that change places have a colour, a dash and a mark of their own.
    joins = _by_gid(figure, Line2D, "join")
    grey = [same_color(line.get_color(), INK) for line in joins]
    assert grey == [True, False, False, True]
    assert (
        joins[1].get_color() != joins[2].get_color() and joins[1].get_linestyle() != joins[2].get_linestyle()
    )
    ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in joins]
    assert ends[0][0] == ends[0][1] and ends[1] == (ends[2][1], ends[2][0]) and ends[1][0] != ends[1][1]
    marks = _by_gid(figure, Line2D, "value")
    assert len({line.get_marker() for line in marks[:4]}) == 3
    _sound(figure)
    _apart([item for gid in ("first", "last", "number", "measure") for item in _by_gid(figure, Text, gid)])


def test_marks_and_intervals_are_in_proportion():
    figure = measure_ranks(_table())
    marks = [float(line.get_xdata()[0]) for line in _by_gid(figure, Line2D, "value")[:4]]
    steps = np.diff(marks) / np.diff([70, 61, 52, 25])
    np.testing.assert_allclose(steps, steps[0])
    for line, mark in zip(_by_gid(figure, Line2D, "interval")[:4], marks, strict=True):
        np.testing.assert_allclose(np.array(line.get_xdata()) - mark, np.array([-2.0, 1.5]) * steps[0])


def test_three_measures_and_missing_intervals():
    values = ((70, 61, 52, 25), (80, 66, 71, 40), (25, 61, 61, 70))
    figure = measure_ranks(_table(values, ("R@10 (%)", "Semantic R@10 (%)", "nDCG@10 (%)")))
    assert _gid_texts(figure, "swaps") == ["1 of 6 pairs swap", "5 of 6 pairs swap"]
    # A tie keeps the order of the measure before it.
    assert _order(figure, "last") == [
        "Single network, config-2  ▲3", "VSE++  ▲1", "Structure-preserving  ▼1", "Instance loss  ▼3"
    ]  # fmt: skip
    _sound(figure)
    _apart([item for gid in ("first", "last", "number", "swaps") for item in _by_gid(figure, Text, gid)])
    plain = measure_ranks(_table().drop(columns=["low", "high"]), digits=2)
    assert _gid_texts(plain, "number")[0] == "70.00"
    _sound(plain)
    equal = measure_ranks(_table(((5, 5, 5, 5), (5, 5, 5, 5))).drop(columns=["low", "high"]))
    assert _order(equal, "last") == list(MODELS) and _gid_texts(equal, "swaps")[0].startswith("0 of 6")


def test_swaps_equal_loops():
    random = np.random.default_rng(0)
    for size in (2, 3, 7):
        first, last = random.integers(0, 5, (2, size)).astype(float)
        expected = [
            (first[i] - first[j]) * (last[i] - last[j]) < 0 for i in range(size) for j in range(i + 1, size)
        ]
        assert swapped_pairs(first, last) == (sum(expected), len(expected))


def test_ranks_name_mistakes():
    good = _table()
    for name in ("model", "measure", "value"):
        with pytest.raises(DataError, match=f"column '{name}' is missing"):
            measure_ranks(good.drop(columns=name))
    with pytest.raises(DataError, match="1 under 2"):
        measure_ranks(good[good["model"] == "VSE++"])
    with pytest.raises(DataError, match="4 under 1"):
        measure_ranks(good[:4])
    with pytest.raises(DataError, match="each of the 4 models once"):
        measure_ranks(good[:-1])
    with pytest.raises(DataError, match="each of the 4 models once"):
        measure_ranks(pd.concat([good, good[-1:]]))
    for change in ({"value": np.nan}, {"low": 999.0}, {"high": 0.0}):
        with pytest.raises(DataError, match="finite values within their intervals"):
            measure_ranks(good.assign(**change))
