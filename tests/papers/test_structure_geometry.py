"""Figure 2 of the Structure-Preserving paper, computed: numbers against loops, what it shows. Not pixels."""

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

from imtext.papers.structure_geometry import (
    GROUPS,
    gaps,
    neighbourhoods,
    on_map,
    summary,
    two_spaces,
    typical_query,
)
from imtext.report.style import BOOK_WIDTH

PAGE = Path(__file__).parents[2] / "book" / "methods" / "structure_preserving.md"


@pytest.fixture(scope="module")
def spaces():
    return two_spaces()


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


def test_the_figure_draws_points_and_the_gap(spaces):
    figure, query = neighbourhoods(spaces), typical_query(spaces)
    _inside(figure)
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"images", "captions", "new image", "gap"} <= legend
    for axes, (which, space) in zip(figure.axes, spaces.items(), strict=True):
        assert axes.get_title("left") == f"{which.capitalize()} the structure term"
        for mark, points, groups in (
            ("s", space.images, GROUPS.images),
            ("o", space.captions, GROUPS.captions),
        ):
            lines = [
                line for line in axes.get_lines() if line.get_marker() == mark and len(line.get_xdata()) > 1
            ]
            assert len({line.get_fillstyle() for line in lines}) == len(lines) == 4
            for group, line in enumerate(lines):
                expected = np.linalg.norm(points[groups == group] - space.queries[query], axis=1)
                np.testing.assert_allclose(np.linalg.norm(line.get_xydata(), axis=1), expected)
        gap = gaps(space)[query]
        (ring,) = axes.findobj(Annulus)
        assert ring.get_width() == pytest.approx(abs(gap))
        assert f"gap {gap:.2f}" in axes.get_xlabel() and ("✓" in axes.get_xlabel()) == (gap > 0)


def test_the_structure_term_draws_the_captions_of_a_group_together(spaces):
    without, with_term = map(summary, spaces.values())
    assert with_term["within"] < 0.75 * without["within"]
    assert with_term["gap"] > without["gap"] and with_term["ambiguous"] < without["ambiguous"]
    for space in spaces.values():
        # Every training image is nearer to its captions than to any other: what Figure 2 starts from.
        for image, group in zip(space.images, GROUPS.images, strict=True):
            far = np.linalg.norm(space.captions - image, axis=1)
            assert far[GROUPS.captions == group].max() < far[GROUPS.captions != group].min()
        for points in space:
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)


def test_gap_and_summary_equal_explicit_loops(spaces):
    space = spaces["with"]
    found = []
    for query, group in zip(space.queries, GROUPS.queries, strict=True):
        far = {True: [], False: []}
        for caption, of in zip(space.captions, GROUPS.captions, strict=True):
            far[bool(of == group)].append(np.linalg.norm(query - caption))
        found.append(min(far[False]) - min(far[True]))
    np.testing.assert_allclose(gaps(space), found, atol=1e-9)
    within = [
        np.linalg.norm(space.captions[i] - space.captions[j])
        for i, a in enumerate(GROUPS.captions)
        for j, b in enumerate(GROUPS.captions)
        if i != j and a == b
    ]
    numbers = summary(space)
    assert numbers["within"] == pytest.approx(np.mean(within))
    assert numbers["right"] == np.mean(np.array(found) > 0)
    assert numbers["ambiguous"] == np.mean(np.abs(found) < 0.1)


def test_the_new_image_is_a_median_not_the_best(spaces):
    query = typical_query(spaces)
    before, after = (gaps(space) for space in spaces.values())
    among = np.flatnonzero(np.abs(before) < 0.1)
    assert query in among
    assert abs((after[among] < after[query]).sum() - (after[among] > after[query]).sum()) <= 1


def test_the_map_keeps_distances_from_its_middle_and_turns(spaces):
    captions, middle = spaces["with"].captions, spaces["with"].queries[0]
    expected = np.linalg.norm(captions - middle, axis=1)
    places = on_map(middle, captions)
    turned = on_map(middle, captions, like=places[:, ::-1])
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), expected, atol=1e-9)
    np.testing.assert_allclose(turned, places[:, ::-1], atol=1e-9)


def test_a_seed_gives_the_same_spaces_again_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    start, first, again = two_spaces(3, steps=0), two_spaces(3, steps=4), two_spaces(3, steps=4)
    assert torch.equal(state, torch.random.get_rng_state()) and torch.get_num_threads() == threads
    assert all(np.array_equal(a, b) for a, b in zip(first["with"], again["with"], strict=True))
    assert np.array_equal(start["without"].captions, start["with"].captions)
    assert not np.array_equal(first["without"].captions, first["with"].captions)


def test_the_page_runs_and_its_picture_is_small(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert code
    for number, block in enumerate(code):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    picture = PAGE.parents[1] / "images" / "structure_neighbourhoods.png"
    assert picture.stat().st_size < 100_000 and picture.name in PAGE.read_text(encoding="utf-8")
