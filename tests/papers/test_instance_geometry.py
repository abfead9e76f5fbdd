"""Two groups in the plane: shapes, determinism, and what the losses are for."""

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError
from imtext.papers.instance_geometry import Stage, summary, two_classes


@pytest.fixture(scope="module")
def stages():
    return two_classes(seed=1, alone=True)


def test_every_stage_holds_points_of_both_modalities_and_classes(stages):
    assert [stage.title for stage in stages] == [
        "Before training",
        "After the instance loss",
        "After both losses",
        "After the ranking loss alone",
    ]
    for stage in stages:
        assert stage.images.shape == stage.captions.shape == (24, 2)
        assert np.isfinite(stage.images).all() and np.isfinite(stage.captions).all()
        for classes in (stage.image_classes, stage.caption_classes):
            assert np.bincount(classes).tolist() == [12, 12]
    assert [None if stage.weight is None else stage.weight.shape for stage in stages] == [(2, 2)] * 3 + [None]


def test_a_stage_is_a_tuple_in_the_order_a_figure_takes(stages):
    title, images, captions, image_classes, caption_classes, weight = stages[1]
    assert title == stages[1].title and weight is stages[1].weight
    assert images is stages[1].images and captions is stages[1].captions
    assert image_classes is stages[1].image_classes and caption_classes is stages[1].caption_classes


def test_the_classes_overlap_before_the_training(stages):
    start = summary(stages[0])
    assert start["right_side"] < 0.8
    assert abs(start["matching"] - start["other"]) < 0.2


def test_the_instance_loss_puts_every_point_on_its_side(stages):
    after = summary(stages[1])
    assert after["right_side"] == 1
    assert after["matching"] > after["other"]


def test_the_ranking_loss_then_closes_the_angle(stages):
    instance, both = summary(stages[1]), summary(stages[2])
    assert both["right_side"] == 1
    assert both["matching"] > instance["matching"]
    assert both["matching"] - both["other"] > instance["matching"] - instance["other"]


def test_more_steps_of_the_instance_loss_do_not_do_the_same(stages):
    longer = two_classes(seed=1, rank=0.0)[2]
    assert longer.title == "After the instance loss, twice as long"
    assert summary(longer)["matching"] < summary(stages[2])["matching"]


@pytest.mark.parametrize("seed", [0, 4, 6])
def test_other_seeds_tell_the_same(seed):
    _, instance, both = (summary(stage) for stage in two_classes(seed))
    assert instance["right_side"] > 0.9 and instance["matching"] > instance["other"]
    assert both["matching"] - both["other"] > instance["matching"] - instance["other"]


def test_a_seed_gives_the_same_points_again_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = two_classes(seed=3, steps=5)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(8)
    second, third = two_classes(seed=3, steps=5), two_classes(seed=4, steps=5)
    for a, b, c in zip(first, second, third, strict=True):
        assert np.array_equal(a.images, b.images) and np.array_equal(a.captions, b.captions)
        assert np.array_equal(a.weight, b.weight)
        assert not np.array_equal(a.images, c.images)


def test_summary_equals_explicit_loops():
    random = np.random.default_rng(0)
    stage = Stage(
        "",
        random.normal(size=(4, 2)),
        random.normal(size=(6, 2)),
        np.array([0, 1, 1, 0]),
        np.array([1, 1, 0, 0, 1, 0]),
        random.normal(size=(2, 2)),
    )
    pairs = {True: [], False: []}
    for image, a in zip(stage.images, stage.image_classes, strict=True):
        for caption, b in zip(stage.captions, stage.caption_classes, strict=True):
            cosine = image @ caption / (np.linalg.norm(image) * np.linalg.norm(caption))
            pairs[bool(a == b)].append(cosine)
    right = [
        np.argmax(stage.weight @ point) == label
        for points, labels in (
            (stage.images, stage.image_classes),
            (stage.captions, stage.caption_classes),
        )
        for point, label in zip(points, labels, strict=True)
    ]
    found = summary(stage)
    assert found["matching"] == pytest.approx(np.mean(pairs[True]))
    assert found["other"] == pytest.approx(np.mean(pairs[False]))
    assert found["right_side"] == pytest.approx(np.mean(right))
    assert np.isnan(summary(stage._replace(weight=None))["right_side"])


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"steps": 0}, {"dim": 1}, {"rank": -1.0}])
def test_sizes_that_make_no_sense_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        two_classes(**wrong)
