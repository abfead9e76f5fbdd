"""Figures of the Rich Features paper: what they say and what they are drawn from. Not pixels."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures.attention import VEIL, attention_picture, light
from imtext.report.figures.rich import IMAGES, TEXTS, rich_network, rich_vectors
from imtext.report.figures.triplet import hinge_histograms, triplets
from imtext.report.style import BOOK_WIDTH, PALETTE
from imtext.vision.stage_features import RICH_VARIANTS, variant_dim


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _by_gid(figure: Figure, kind: type, gid: str) -> list:
    return [item for item in figure.findobj(kind) if (item.get_gid() or "").startswith(gid)]


def _sound(figure: Figure) -> None:
    """Nothing is cut off or small, the background is transparent, nothing is left open."""
    assert figure.get_figwidth() <= BOOK_WIDTH + 1e-9 and not plt.get_fignums()
    figure.draw_without_rendering()
    assert all(item.get_fontsize() >= 7 for item in figure.findobj(Text) if item.get_text())
    # Of what is drawn: tick labels beyond the axes exist too.
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= -0.02 and drawn.x1 <= figure.get_figwidth() + 0.02
    assert drawn.y0 >= -0.03 and drawn.y1 <= figure.get_figheight() + 0.03
    stream = io.BytesIO()
    figure.savefig(stream, dpi=40, format="png")
    stream.seek(0)
    assert (plt.imread(stream)[..., 3] == 0).mean() > 0.03


# Figure 1


def test_vectors_are_drawn_as_long_as_they_are():
    dims = dict(zip(("C1", "C2", "C3", "C4"), (256, 512, 1024, 2048), strict=True))
    assert IMAGES == RICH_VARIANTS
    figure = rich_vectors()
    totals = [int(item.get_text().replace(",", "")) for item in _by_gid(figure, Text, "total")]
    assert totals[:7] == [variant_dim(name, dims) for name in IMAGES]
    assert totals[7:] == [1024, 1324, 1024, 1324, 1324]
    names = [item.get_text() for item in _by_gid(figure, Text, "name")]
    assert names == [*IMAGES, "GRU", "GRU-emb-avg", "BiGRU", "BiGRU-emb-max", "BiGRU-emb-avg"]
    bars: dict[float, float] = {}
    for item in _by_gid(figure, Rectangle, "segment"):
        y = round(item.get_y(), 3)
        bars[y] = bars.get(y, 0) + item.get_width()
    lengths = [bars[y] for y in sorted(bars, reverse=True)]
    np.testing.assert_allclose(np.array(lengths) / lengths[0], np.array(totals) / 2048)
    _sound(figure)


def test_segments_have_the_colour_of_their_stage_and_means_are_hatched():
    found = _by_gid(rich_vectors(["avg-34-max-4"], []), Rectangle, "segment")
    assert [item.get_gid() for item in found] == ["segment max", "segment avg", "segment avg"]
    for item, stage, hatch in zip(found, (4, 3, 4), (False, True, True), strict=True):
        assert same_color(item.get_facecolor()[:3], PALETTE[stage - 1]) and bool(item.get_hatch()) == hatch
    assert found[0].get_x() < found[1].get_x() < found[2].get_x()
    only = rich_vectors([], ["bigru-emb-max"], hidden=8, word_dim=4)
    assert "12" in _texts(only) and "Images" not in _texts(only)
    _sound(only)


@pytest.mark.parametrize(
    "wrong", ["max-4", "avg-5", "avg-4-max-", "avg-44", "avg-4-max-33", "", "avg-4-max-4\n"]
)
def test_variants_that_do_not_exist_are_named(wrong):
    for draw in (lambda: rich_vectors([wrong]), lambda: rich_network(wrong)):
        with pytest.raises(ConfigError, match="image variant .*expected avg-<stages>"):
            draw()
    with pytest.raises(ConfigError, match="text variant .*expected one of gru"):
        rich_network(text=wrong)


# Figure 2


@pytest.mark.parametrize("image", IMAGES)
def test_the_network_says_every_size(image):
    figure = rich_network(image)
    means, maxima = image.split("-")[1], (image.split("-") + ["", ""])[3]
    expected = sum((256, 512, 1024, 2048)[int(stage) - 1] for stage in means + maxima)
    assert [item.get_text() for item in _by_gid(figure, Text, "size")] == [
        f"{expected:,} × 1,024",
        "1,324 × 1,024",
    ]
    text = _texts(figure)
    assert text.count("max") == len(maxima) and text.count("mean") == len(means) + 1 and "sum" in text
    assert len(_by_gid(figure, Text, "length")) == len(means + maxima) + 2
    assert len(_by_gid(figure, FancyBboxPatch, "stage")) == 4 and {
        "56 × 56",
        "7 × 7",
        "BiGRU-emb-avg",
    } <= set(text)
    _sound(figure)


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_net_follows_its_variant(text):
    figure = rich_network("avg-4", text, (8, 16, 32, 64), (14, 7, 4, 2), 30, 100, 50, 0.35, ["a", "dog"])
    found = _texts(figure)
    length = 130 if "emb" in text else 100
    assert [item.get_text() for item in _by_gid(figure, Text, "size")] == ["64 × 50", f"{length} × 50"]
    assert ("BiGRU" in found, "GRU" in found) == ("bi" in text, "bi" not in text)
    assert ("sum" in found) == ("bi" in text) and ("last" in found) == ("bi" not in text)
    assert ("max" in found) == ("max" in text) and "each\nL2" in found or "emb" not in text
    assert {"a", "dog", "embedding\n30-d", "one 50-d\nspace"} <= set(found)
    assert any(item.startswith("max(0, .35\n") for item in found)
    (box,) = _by_gid(figure, FancyBboxPatch, "loss")
    assert box.get_y() > 0 and box.get_x() + box.get_width() < BOOK_WIDTH
    _sound(figure)


def test_sizes_that_make_no_sense_are_named():
    for wrong in ({"channels": (1, 2, 3)}, {"sides": (0, 1, 1, 1)}, {"word_dim": 0}, {"dim": 0}):
        with pytest.raises(ConfigError, match="four channels"):
            rich_network(**wrong)
    for wrong in ({"margin": 0}, {"words": []}, {"words": ["a"] * 5}):
        with pytest.raises(ConfigError, match="one to four words"):
            rich_network(**wrong)
    with pytest.raises(ConfigError, match="no variant"):
        rich_vectors([], [])


# Figure 3


def _triplet(title="a", near=0.5, far=1.0):
    others = [(0.0, far), (-1.5, 0.2), (1.2, 1.2)]
    return title, np.array([near, 0.0]), np.array(others)


def test_triplets_draw_the_hardest_negative_and_say_its_hinge():
    figure = triplets([_triplet("before", 1.25, 0.3), _triplet("after")], margin=0.2)
    for axes, near, far in zip(figure.axes, (1.25, 0.5), (0.3, 1.0), strict=True):
        lines = {line.get_gid(): line for line in axes.get_lines() if line.get_gid()}
        np.testing.assert_allclose(lines["hardest"].get_xydata(), [[0, far]])
        np.testing.assert_allclose(lines["positive"].get_xydata(), [[near, 0]])
        assert len(lines["negative"].get_xydata()) == 2
        hinges = [
            max(0, 0.2 - (1 - near**2 / 2) + 1 - d**2 / 2)
            for d in (far, np.hypot(1.5, 0.2), np.hypot(1.2, 1.2))
        ]
        assert (
            f"largest hinge {hinges[0]:.2f}; {sum(h > 0 for h in hinges)} of 3 above 0" in axes.get_xlabel()
        )
        assert f"positive {near:.2f}, hardest {far:.2f}" in axes.get_xlabel()
        assert ("✓" in axes.get_xlabel()) == (near < far)
        (disk,) = [item for item in axes.findobj(Circle) if item.get_gid() == "reach"]
        # A negative on the circle has a hinge of exactly 0.
        assert 0.2 - (1 - near**2 / 2) + 1 - disk.radius**2 / 2 == pytest.approx(0)
    _sound(figure)
    _sound(triplets([_triplet()] * 4))


def test_triplets_name_mistakes():
    title, positive, negatives = _triplet()
    for wrong, message in (
        ((title, positive[:1], negatives), "expected a positive"),
        ((title, positive, negatives[:0]), "n ≥ 1"),
        ((title, positive * 9, negatives), "unit vectors are 2 apart"),
        ((title, positive, negatives * np.nan), "nan from the anchor"),
    ):
        with pytest.raises(DataError, match=message):
            triplets([wrong])
    with pytest.raises(ConfigError, match="panel 1 has 2 parts"):
        triplets([_triplet(), (1, 2)])
    with pytest.raises(ConfigError, match="margin should be above 0"):
        triplets([_triplet()], margin=0)
    with pytest.raises(DataError, match="no panel"):
        triplets([])


def test_hinges_that_are_zero_stand_apart():
    random = np.random.default_rng(0)
    everything = np.concatenate([np.zeros(60), random.uniform(0.01, 2, 40)])
    figure = hinge_histograms([("one", everything, everything[50:]), ("two", everything, np.array([2.2]))])
    for axes, shares in zip(figure.axes, ((60, 20), (60, 0)), strict=True):
        bars = [_by_gid(axes, Rectangle, f"zero {n}")[0].get_height() for n in (0, 1)]
        assert bars == pytest.approx(shares)
        assert [item.get_text() for item in _by_gid(axes, Text, "zero")] == [str(share) for share in shares]
        for number, share in enumerate(shares):
            (stairs,) = [item for item in axes.patches if item.get_gid() == f"hinges {number}"]
            assert stairs.get_data().values.sum() == pytest.approx(100 - share)
    _sound(figure)
    for wrong in (np.array([-1.0]), np.array([np.nan]), np.array([])):
        with pytest.raises(DataError, match="hinges from 0 on"):
            hinge_histograms([("a", everything, wrong)])


# Attention


def _picture(height=30, width=42):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_light_equals_a_loop_over_pixels():
    random = np.random.default_rng(1)
    corners = np.sort(random.integers(0, 12, (5, 2, 2)), axis=1).reshape(5, 4)
    boxes, weights = corners + np.array([0, 0, 1, 1]), random.random(5)
    expected = np.zeros((14, 13))
    for y in range(14):
        for x in range(13):
            over = [
                w for (a, b, c, d), w in zip(corners, weights, strict=True) if a <= x <= c and b <= y <= d
            ]
            expected[y, x] = max(over, default=0)
    np.testing.assert_array_equal(light((14, 13), boxes, weights), expected)


@pytest.mark.parametrize("scale", ["word", "all"])
def test_cells_light_up_with_their_weight(scale):
    weights = np.array([[0.1, 0.2, 0.3, 0.1, 0.2, 0.1], [0.0, 0.5, 0.0, 0.4, 0.1, 0.0]])
    figure = attention_picture(_picture(), (2, 3), ["dog", "runs"], weights, scale=scale)
    veils = [item.get_array() for item in _by_gid(figure, AxesImage, "veil")]
    for own, veil in zip(weights, veils, strict=True):
        most = own.max() if scale == "word" else weights.max()
        for number, weight in enumerate(own):
            row, column = divmod(number, 3)
            part = veil[15 * row : 15 * row + 15, 14 * column : 14 * column + 14]
            np.testing.assert_allclose(part[..., 3], VEIL * (1 - weight / most), atol=1e-9)
    first = [item.get_bbox().bounds for item in _by_gid(figure, Rectangle, "first")]
    assert first == [(27.5, -0.5, 14, 15), (13.5, -0.5, 14, 15)]
    assert [item.get_text() for item in _by_gid(figure, Text, "word")] == ["image", "dog", "runs"]
    assert [item.get_text() for item in _by_gid(figure, Text, "weight")] == [".30", ".50"]
    end = _by_gid(figure, Text, "most")[0].get_text()
    assert end == (".50" if scale == "all" else "each word's largest weight")
    assert _by_gid(figure, Text, "even")[0].get_text().endswith("add up to 1: .17 each if even")
    _sound(figure)


def test_boxes_light_up_and_a_tie_has_no_outline():
    boxes = [(0, 0, 9, 9), (5, 5, 41, 29), (20, 0, 30, 8)]
    weights = [[0.2, 0.7, 0.3], [0.5, 0.5, 0.1]]
    figure = attention_picture(_picture().transpose(2, 0, 1), boxes, ["a", "b"], weights)
    (outline,) = _by_gid(figure, Rectangle, "first")
    assert outline.get_bbox().bounds == (4.5, 4.5, 37, 25)
    veil = _by_gid(figure, AxesImage, "veil")[0].get_array()[..., 3]
    assert veil[0, 0] == pytest.approx(VEIL * (1 - 0.2 / 0.7)) and veil[7, 7] == veil[
        29, 41
    ] == pytest.approx(0)
    assert veil[29, 0] == pytest.approx(VEIL)
    # These weights do not add up to 1, so nothing is said of even ones.
    assert not _by_gid(figure, Text, "even")[0].get_text()
    dark = attention_picture(_picture(), boxes, ["a"], np.zeros((1, 3)))
    assert (_by_gid(dark, AxesImage, "veil")[0].get_array()[..., 3] == VEIL).all()


@pytest.mark.parametrize(("height", "width", "per_row"), [(90, 30, 6), (30, 120, 3), (64, 64, 1)])
def test_pictures_keep_their_shape_and_words_their_place(height, width, per_row):
    words = ["a", "", "extraordinarily", "antidisestablishmentarianism", "."]
    figure = attention_picture(
        _picture(height, width), (4, 4), words, np.full((5, 16), 1 / 16), per_row=per_row
    )
    pictures = [item for item in figure.findobj(AxesImage) if item.get_array().shape == (height, width, 3)]
    assert len(pictures) == 6
    for item in pictures:
        box = item.axes.get_window_extent()
        assert box.height / box.width == pytest.approx(height / width, rel=0.02)
    _sound(figure)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [[0.5, 0.5]]}, r"\(1, 2\) for 1 words and 4 regions"),
        ({"weights": [[0.5, 0.5, np.nan, 0]]}, "finite and from 0"),
        ({"weights": [[0.5, 0.5, -0.1, 0]]}, "finite and from 0"),
        ({"words": [], "weights": np.empty((0, 4))}, "no word"),
        ({"regions": (0, 4)}, "a grid should be"),
        ({"regions": (1.5, 4)}, "a grid should be"),
        ({"regions": np.zeros((2, 3))}, "boxes"),
        ({"regions": [(0, 0, 42, 9)]}, r"box \[0.0, 0.0, 42.0, 9.0\] should be .* within 42 x 30"),
        ({"regions": [(5, 0, 4, 9)]}, "should be x1"),
        ({"regions": [(np.nan, 0, 4, 9)]}, "should be x1"),
        ({"image": _picture() / 255.0}, "expected uint8"),
    ],
)
def test_attention_names_mistakes(change, message):
    good = {"image": _picture(), "regions": (2, 2), "words": ["a"], "weights": np.ones((1, 4))}
    with pytest.raises(DataError, match=message) as error:
        attention_picture(**{**good, **change})
    assert "attention_picture" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="takes scale"):
        attention_picture(**good, scale="both")
    with pytest.raises(ConfigError, match="per_row"):
        attention_picture(**good, per_row=0)
