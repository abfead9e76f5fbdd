"""Figures of the Structure-Preserving paper: what they say and what they are drawn from. Not pixels."""

from __future__ import annotations

import io
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Annulus, FancyBboxPatch, Rectangle
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.report.figures import boxes, branches, neighbourhoods
from imtext.report.style import BOOK_WIDTH, INK, PALETTE
from imtext.studies.structure_geometry import (
    Space,
    compare,
    gaps,
    on_map,
    summary,
    two_spaces,
    typical_query,
)

PAGE = Path(__file__).parents[2] / "book" / "methods" / "structure_preserving.md"


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _by_gid(figure: Figure, kind: type, gid: str) -> list:
    return [item for item in figure.findobj(kind) if item.get_gid() == gid]


def _inside(figure: Figure) -> None:
    """No text is cut off, the background is transparent, nothing is left open for a second showing."""
    assert figure.get_figwidth() <= BOOK_WIDTH + 1e-9 and not plt.get_fignums()
    figure.draw_without_rendering()
    for item in figure.findobj(Text):
        if item.get_text():
            extent = item.get_window_extent()
            assert extent.x0 >= -1 and extent.x1 <= figure.bbox.x1 + 1, item.get_text()
            assert extent.y0 >= -2 and extent.y1 <= figure.bbox.y1 + 2, item.get_text()
    stream = io.BytesIO()
    figure.savefig(stream, dpi=40, format="png")
    stream.seek(0)
    assert (plt.imread(stream)[..., 3] == 0).mean() > 0.05


# Figure 1


def test_branches_say_every_size():
    figure = branches()
    text = _texts(figure)
    for size in ("4,096-d", "6,000-d", "4,096 × 2,048", "6,000 × 2,048", "2,048 × 512", "one 512-d space"):
        assert size in text
    for name, count in (
        ("ReLU", 2),
        ("dropout", 2),
        ("BN", 2),
        ("L2", 2),
        (".5", 2),
        ("$W_1$", 1),
        ("$V_2$", 1),
    ):
        assert text.count(name) == count
    assert [item.get_text() for item in _by_gid(figure, Text, "weight")] == [
        "1",
        r"$\lambda_1$ = 2",
        r"$\lambda_2$ = 0",
        r"$\lambda_3$ = .2",
    ]
    # What is learned has the colour and the dash of its branch.
    for number in range(2):
        steps = _by_gid(figure, FancyBboxPatch, f"step {number}")
        learned = [step for step in steps if same_color(step.get_edgecolor(), PALETTE[number])]
        assert (len(steps), len(learned)) == (7, 2)
        edges = [(step.get_x(), step.get_x() + step.get_width()) for step in steps]
        assert all(end < start for (_, end), (start, _) in zip(edges, edges[1:], strict=False))
    _inside(figure)


def test_branches_of_the_linear_model_and_of_regions():
    text = _texts(branches(hidden=None, lambdas=(0, 0, 0)))
    assert "4,096 × 512" in text and "ReLU" not in text and "BN" not in text
    figure = branches(hidden=8192, dim=4096, lambdas=(2, 0.1, 0.1), names=("Regions X", "Phrases Y"))
    assert {"4,096 × 8,192", "8,192 × 4,096", "Regions X"} <= set(_texts(figure))
    _inside(figure)
    for wrong in ({"dim": 0}, {"dropout": 1.0}, {"hidden": 0}):
        with pytest.raises(ConfigError, match="branches takes"):
            branches(**wrong)


# Figure 2


@pytest.fixture(scope="module")
def spaces():
    return two_spaces()


def _plane(title="a", scale=1.0, query=1):
    random = np.random.default_rng(0)
    images, captions = scale * random.normal(size=(6, 2)), scale * random.normal(size=(10, 2))
    return (title, images, captions, np.repeat([1, 4], 3), np.tile([4, 1], 5), query)


def test_neighbourhoods_draw_points_and_the_gap():
    parts = [_plane("without"), _plane("with", 0.5)]
    figure = neighbourhoods(*parts)
    assert [axes.get_title("left") for axes in figure.axes] == ["without", "with"]
    far = []
    for axes, part in zip(figure.axes, parts, strict=True):
        lines = {line.get_gid(): line for line in axes.get_lines() if line.get_gid()}
        for kind, points, groups in (("image", part[1], part[3]), ("caption", part[2], part[4])):
            for name, group in (("A", 1), ("B", 4)):
                line = lines[f"{kind} {name}"]
                np.testing.assert_allclose(line.get_xydata(), points[groups == group])
                assert line.get_marker() == ("s" if kind == "image" else "o")
        assert lines["image A"].get_fillstyle() != lines["image B"].get_fillstyle()
        np.testing.assert_array_equal(lines["query"].get_xydata(), [[0, 0]])
        near = [np.linalg.norm(part[2][part[4] == group], axis=1).min() for group in (1, 4)]
        (ring,) = [item for item in axes.findobj(Annulus) if item.get_gid() == "gap"]
        assert ring.get_width() == pytest.approx(max(near) - min(near))
        first = "AB"[int(np.argmin(near))]
        label = axes.get_xlabel()
        assert f"nearest captions: {first} at {min(near):.2f}" in label
        assert f"gap {max(near) - min(near):.2f}" in label and ("✓" in label) == (first == "A")
        far.append(max(near))
    limits = {axes.get_xlim() for axes in figure.axes} | {axes.get_ylim() for axes in figure.axes}
    assert limits == {(-1.35 * max(far), 1.35 * max(far))}
    assert {"group A", "group B", "image", "caption", "new image, of group A", "gap"} <= set(_texts(figure))
    outside = [sum((np.abs(points) > 0.4).any(1).sum() for points in part[1:3]) for part in parts]
    found = neighbourhoods(*parts, reach=0.4).axes
    assert [f"{n} points outside" in axes.get_xlabel() for n, axes in zip(outside, found, strict=True)] == [
        True,
        True,
    ]


def test_neighbourhoods_name_mistakes():
    title, images, captions, of_images, of_captions, query = good = _plane()
    for wrong, message in (
        ((title, images[:, :1], captions, of_images, of_captions, query), r"images should be \(n, 2\)"),
        ((title, images, captions * np.nan, of_images, of_captions, query), "not finite"),
        ((title, images, captions, of_images[:2], of_captions, query), "for 6 images"),
        ((title, images, captions, of_images, np.ones(10), query), "one group only"),
        ((title, images, captions, of_images, np.arange(10), query), "at most 4 groups, found 10"),
        ((title, images, captions, of_images, of_captions, 4), "one group of both panels"),
    ):
        with pytest.raises(DataError, match=message):
            neighbourhoods(good, wrong)
    with pytest.raises(ConfigError, match="panel 1 has 2 parts"):
        neighbourhoods(good, good[:2])
    with pytest.raises(ConfigError, match="reach should be above 0"):
        neighbourhoods(good, good, reach=-1)


def test_the_structure_term_draws_the_captions_of_a_group_together(spaces):
    without, with_term = map(summary, spaces)
    assert without["matched"] == with_term["matched"] == 1
    assert with_term["within"] < 0.75 * without["within"]
    assert with_term["gap"] > without["gap"] and with_term["ambiguous"] < without["ambiguous"]
    for space in spaces:
        for points in (space.images, space.captions, space.queries):
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)


def test_gap_and_summary_equal_explicit_loops(spaces):
    space = spaces[1]
    found = []
    for query, group in zip(space.queries, space.query_groups, strict=True):
        far = {True: [], False: []}
        for caption, of in zip(space.captions, space.caption_groups, strict=True):
            far[bool(of == group)].append(np.linalg.norm(query - caption))
        found.append(min(far[False]) - min(far[True]))
    np.testing.assert_allclose(gaps(space), found, atol=1e-9)
    within = [
        np.linalg.norm(space.captions[i] - space.captions[j])
        for i, a in enumerate(space.caption_groups)
        for j, b in enumerate(space.caption_groups)
        if i != j and a == b
    ]
    numbers = summary(space)
    assert numbers["within"] == pytest.approx(np.mean(within))
    assert numbers["right"] == np.mean(np.array(found) > 0)
    assert numbers["ambiguous"] == np.mean(np.abs(found) < 0.1)


def test_the_map_keeps_distances_from_its_middle(spaces):
    query = typical_query(*spaces)
    before, after = (gaps(space) for space in spaces)
    among = np.flatnonzero(np.abs(before) < 0.1)
    assert (
        query in among and abs((after[among] < after[query]).sum() - (after[among] > after[query]).sum()) <= 1
    )
    for plane, space in zip(on_map(*spaces), spaces, strict=True):
        for points, unit in ((plane.images, space.images), (plane.captions, space.captions)):
            expected = np.linalg.norm(unit - space.queries[query], axis=1)
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), expected, atol=1e-9)
    labels = [axes.get_xlabel() for axes in neighbourhoods(*on_map(*spaces)).axes]
    for label, gap in zip(labels, (before[query], after[query]), strict=True):
        assert f"gap {abs(gap):.2f}" in label and ("✓" in label) == (gap > 0)
    _inside(neighbourhoods(*on_map(*spaces)))


def test_a_seed_gives_the_same_spaces_again_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, again = two_spaces(3, steps=4, structure=0.0), two_spaces(3, steps=4)
    assert torch.equal(state, torch.random.get_rng_state()) and torch.get_num_threads() == threads
    assert all(np.array_equal(a, b) for a, b in zip(first[0], again[0], strict=True))
    # Without the term both are one and the same training; with it they are not.
    assert np.array_equal(first[0].captions, first[1].captions)
    assert not np.array_equal(again[0].captions, again[1].captions)
    frame = compare([3], steps=4)
    assert frame.loc[3, ("within", "with")] == summary(again[1])["within"]
    assert isinstance(first[0], Space) and typical_query(*two_spaces(3, steps=1, queries=1)) >= 0
    for wrong in ({"groups": 1}, {"steps": 0}, {"structure": -1.0}, {"activation": "sine"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            two_spaces(**wrong)


# Figure 3


def _picture(height=30, width=40):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def _example(**changes):
    whole = {
        "image": _picture(),
        "words": ["a", "dog", "runs", "with", "a", "red", "ball", "on", "grass", "."],
        "spans": [(0, 2), (4, 7), (8, 9)],
        "truth": [(2, 3, 11, 22), (20, 5, 39, 29), None],
        "found": [[(0, 0, 9, 9), None, None], [(3, 3, 11, 20), (21, 5, 39, 29), [np.nan] * 4]],
        "hits": [[False, False, False], [True, True, False]],
    }
    return {**whole, **changes}


def test_boxes_have_the_colour_and_number_of_their_phrase():
    figure = boxes([_example()])
    assert len(figure.findobj(AxesImage)) == 2
    assert {"CCA", "Best model"} <= set(_texts(figure))
    for model, axes in enumerate(figure.axes[:2]):
        found = [item for item in axes.findobj(Rectangle) if item.get_gid() == "found"]
        true = [item for item in axes.findobj(Rectangle) if item.get_gid() == "truth"]
        assert (len(found), len(true)) == ((1, 2) if model == 0 else (2, 2))
        # Pixels have their middle at whole numbers, and both ends belong to a box.
        assert true[0].get_bbox().bounds == (1.5, 2.5, 10, 20)
        for number, item in enumerate(true):
            assert same_color(item.get_edgecolor(), PALETTE[number]) and item.get_linestyle() != "-"
        tags = [item.get_text() for item in axes.texts if item.get_gid() == "tag"]
        assert tags == (["1 ✗"] if model == 0 else ["1 ✓", "2 ✓"])
    words = {item.get_text(): item for item in figure.axes[2].texts}
    for word, number in (("dog", 0), ("ball", 1)):
        assert same_color(words[word].get_color(), PALETTE[number]) and words[word].get_fontweight() == "bold"
    # Grass has no box: plain text, and no third number.
    assert same_color(words["grass"].get_color(), INK) and words["grass"].get_fontweight() == "normal"
    numbers = [item.get_text() for item in figure.axes[2].texts if item.get_gid() == "number"]
    assert numbers == ["1", "2"]
    lines = [line for line in figure.axes[2].get_lines() if line.get_gid() == "underline"]
    assert len(lines) == 5
    _inside(figure)


def test_boxes_take_pictures_of_any_shape_and_number():
    tall, wide = _example(image=_picture(90, 40)), _example(image=_picture(30, 120).transpose(2, 0, 1))
    figure = boxes([tall, wide, _example(), tall, wide], ["one", "two", "three"][:2], per_row=3)
    assert len(figure.findobj(AxesImage)) == 10
    for item in figure.findobj(AxesImage):
        shape, box = item.get_array().shape, item.axes.get_window_extent()
        assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.02)
    _inside(figure)
    long = _example(words=["extraordinarily"] * 12, spans=[(0, 2), (4, 7), (8, 9)])
    _inside(boxes([long] * 4))
    assert _texts(boxes([_example(truth=[None] * 3, found=[[None] * 3] * 2)])).count("✓") == 0


def test_tags_of_boxes_at_one_place_stand_apart():
    same = [(5, 5, 30, 25)] * 3
    figure = boxes([_example(truth=same, found=[same, same])])
    for axes in figure.axes[:2]:
        places = [item.get_position() for item in axes.texts if item.get_gid() == "tag"]
        assert len(set(places)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spans": [(0, 2), (1, 3), (8, 9)]}, "without overlap"),
        ({"spans": [(0, 2), (4, 7), (8, 99)]}, "within 10 words"),
        ({"spans": [(0, 2), (4, 4), (8, 9)]}, "should be"),
        ({"spans": [(-1, 2), (4, 7), (8, 9)]}, "from word 0 on"),
        ({"spans": [], "truth": [], "found": [[], []], "hits": [[], []]}, "at least one"),
        ({"truth": [None]}, "1 boxes for 3 phrases"),
        ({"truth": [(0, 0, 40, 9), None, None]}, "within 40 x 30 pixels"),
        ({"truth": [(9, 0, 8, 9), None, None]}, r"box \[9.0, 0.0, 8.0, 9.0\] should be"),
        ({"found": [[None] * 3]}, "boxes of 1 and hits of 2 models, 2 names"),
        ({"hits": [[True], [True]]}, "hits of shape"),
        ({"image": _picture() / 255.0}, "example 1: expected uint8"),
    ],
)
def test_boxes_name_mistakes(change, message):
    with pytest.raises(DataError, match=message) as error:
        boxes([_example(), _example(**change)])
    assert "example 1" in str(error.value) and "\n" not in str(error.value)


def test_boxes_need_an_example_with_all_parts():
    with pytest.raises(DataError, match="no example"):
        boxes([])
    with pytest.raises(DataError, match="example 0 lacks 'hits'"):
        boxes([{key: value for key, value in _example().items() if key != "hits"}])
    with pytest.raises(ConfigError, match="per_row"):
        boxes([_example()], per_row=0)


def test_the_page_runs_and_its_picture_is_small(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert code
    for number, block in enumerate(code):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    picture = PAGE.parents[1] / "images" / "structure_neighbourhoods.png"
    assert picture.stat().st_size < 100_000 and picture.name in PAGE.read_text(encoding="utf-8")
