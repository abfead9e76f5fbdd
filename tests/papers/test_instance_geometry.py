"""Two groups in the plane: determinism, what the losses are for, and what the figure shows."""

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from matplotlib.contour import ContourSet
from matplotlib.text import Text

from imtext.papers import instance_geometry
from imtext.papers.instance_geometry import Stage, geometry, summary, two_classes


@pytest.fixture(scope="module")
def stages():
    return two_classes(seed=1)


def _stage(seed, weight):
    random = np.random.default_rng(seed)
    return Stage("", random.normal(size=(6, 2)), random.normal(size=(6, 2)), np.arange(6) % 2, weight)


def test_every_stage_holds_points_of_both_modalities_and_classes(stages):
    for stage in stages:
        assert stage.images.shape == stage.captions.shape == (24, 2)
        assert stage.images.dtype == stage.captions.dtype == stage.weight.dtype == np.float64
        assert np.bincount(stage.classes).tolist() == [12, 12]
        assert stage.weight.shape == (2, 2)


def test_the_classes_overlap_before_the_training(stages):
    start = summary(stages[0])
    assert start["right side"] < 0.8
    assert abs(start["matching"] - start["other"]) < 0.2


def test_the_numbers_on_the_page_are_these(stages):
    found = [list(summary(stage).values()) for stage in stages]
    wanted = [[0.3126, 0.3259, 0.5208], [0.6057, -0.7406, 1], [0.9351, -0.9613, 1]]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_more_steps_of_the_instance_loss_do_not_close_the_angle(stages, monkeypatch):
    monkeypatch.setattr(instance_geometry, "ranking_loss", lambda *batch, **options: 0.0)
    longer = two_classes(seed=1)[2]
    assert summary(longer)["matching"] < summary(stages[2])["matching"]


@pytest.mark.parametrize("seed", [0, 4, 6])
def test_other_seeds_tell_the_same(seed):
    _, instance, both = (summary(stage) for stage in two_classes(seed))
    assert instance["right side"] > 0.9 and instance["matching"] > instance["other"]
    assert both["matching"] - both["other"] > instance["matching"] - instance["other"]


def test_a_seed_gives_the_same_points_again_and_leaves_the_generator_alone(stages):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    again = two_classes(seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    for first, second in zip(stages, again, strict=True):
        for one, other in zip(first[1:], second[1:], strict=True):
            assert np.array_equal(one, other)


def test_summary_equals_explicit_loops():
    stage = _stage(0, np.random.default_rng(1).normal(size=(2, 2)))
    pairs, right = {True: [], False: []}, []
    for image, a in zip(stage.images, stage.classes, strict=True):
        for caption, b in zip(stage.captions, stage.classes, strict=True):
            cosine = image @ caption / (np.linalg.norm(image) * np.linalg.norm(caption))
            pairs[bool(a == b)].append(cosine)
    for points in (stage.images, stage.captions):
        right += [np.argmax(stage.weight @ f) == c for f, c in zip(points, stage.classes, strict=True)]
    wanted = {"matching": np.mean(pairs[True]), "other": np.mean(pairs[False]), "right side": np.mean(right)}
    assert summary(stage) == pytest.approx(wanted)


def test_the_figure_draws_every_point_with_mark_and_fill(stages):
    figure = geometry(stages)
    for axes, stage in zip(figure.axes, stages, strict=True):
        assert axes.get_title(loc="left") == stage.title
        drawn = {item.get_label(): item for item in axes.collections}
        for kind, points in (("image", stage.images), ("caption", stage.captions)):
            for number in (0, 1):
                item = drawn[f"{kind}, class {number + 1}"]
                np.testing.assert_array_equal(item.get_offsets(), points[stage.classes == number])
                # The second class is hollow.
                assert (len(item.get_facecolors()) == 0) == (number == 1)
                # A triangle is a path of three corners and its end; a circle has more.
                assert (len(item.get_paths()[0].vertices) == 4) == (kind == "caption")
        (low, high), reach = axes.get_xlim(), np.abs([stage.images, stage.captions]).max()
        assert axes.get_aspect() == 1 and axes.get_ylim() == (low, high) and high == -low > reach
    shown = {item.get_text() for item in figure.legends[0].get_texts()}
    assert shown == {f"{kind}, class {n}" for kind in ("image", "caption") for n in (1, 2)} | {"same score"}


def test_the_boundary_is_where_both_scores_are_equal_and_arrows_point_as_the_weights():
    weight = np.array([[2.0, 1.0], [-1.0, 0.5]])
    axes = geometry([_stage(0, weight)]).axes[0]
    (line,) = axes.get_lines()
    ends = np.array([line.get_xy1(), line.get_xy2()])
    np.testing.assert_allclose(ends @ (weight[0] - weight[1]), 0, atol=1e-9)
    assert ends[1].any()
    (tints,) = [item for item in axes.collections if isinstance(item, ContourSet)]
    for plane, sign in zip(tints.get_paths(), (-1, 1), strict=True):
        assert (sign * plane.vertices @ (weight[0] - weight[1]) > -1e-9).all()
    (arrows,) = [item for item in axes.collections if hasattr(item, "U")]
    tips = np.stack([arrows.U, arrows.V], axis=1)
    np.testing.assert_allclose(tips / tips[0, 0], weight / weight[0, 0])
    assert same_color(tints.get_facecolors()[::-1, :3], arrows.get_facecolors()[:, :3])
    names = [item for item in axes.findobj(Text) if item.get_text().startswith("$")]
    assert [item.get_text() for item in names] == ["$W_1$", "$W_2$"]
    for name, row in zip(names, weight, strict=True):
        place = np.array(name.get_position())
        assert place @ row == pytest.approx(np.linalg.norm(place) * np.linalg.norm(row))
