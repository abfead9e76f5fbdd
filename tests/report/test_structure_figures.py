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
from matplotlib.figure import Figure
from matplotlib.patches import Annulus
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.papers.structure_geometry import (
    Space,
    compare,
    gaps,
    on_map,
    summary,
    two_spaces,
    typical_query,
)
from imtext.report.figures import neighbourhoods
from imtext.report.style import BOOK_WIDTH

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


def test_the_page_runs_and_its_picture_is_small(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert code
    for number, block in enumerate(code):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    picture = PAGE.parents[1] / "images" / "structure_neighbourhoods.png"
    assert picture.stat().st_size < 100_000 and picture.name in PAGE.read_text(encoding="utf-8")
