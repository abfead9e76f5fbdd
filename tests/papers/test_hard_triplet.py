"""Figure 3 of the Rich Features paper, computed: numbers against loops, determinism, what it shows."""

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.losses import ranking_loss
from imtext.papers.hard_triplet import (
    MARGIN,
    SEED,
    Moment,
    compare,
    distances,
    hinges,
    maps,
    summary,
    trainings,
    typical_anchor,
    typical_seed,
    zero_shares,
)


@pytest.fixture(scope="module")
def both():
    return trainings()


def _unit(random, *shape):
    points = random.normal(size=shape)
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def test_both_trainings_start_alike_and_end_on_the_sphere(both):
    first, second = both
    assert (first.negatives, second.negatives) == ("all", "hardest")
    for a, b in zip(first.before[1:], second.before[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    for training in both:
        assert len(training.zeros) == 151 and training.zeros.index.name == "step"
        for moment in (training.before, training.after):
            for points in (moment.images, moment.captions):
                assert points.shape == (24, 3)
                np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
        ends = training.zeros.iloc[[0, -1]].to_numpy()
        np.testing.assert_allclose(ends[0], zero_shares(*training.before[1:]))
        np.testing.assert_allclose(ends[1], zero_shares(*training.after[1:]))


def test_the_positive_comes_nearer_than_the_hardest_negative(both):
    before = summary(both[0].before)
    assert before["nearer"] < 0.2 and before["positive"] > before["hardest"]
    for training in both:
        after = summary(training.after)
        assert after["nearer"] > 0.8 and after["positive"] < 0.5 * after["hardest"]
        assert after["worst"] < before["worst"] and after["zero_hardest"] > before["zero_hardest"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_seeds_tell_the_same(seed):
    lead = []
    for training in trainings(seed):
        after = summary(training.after)
        assert after["nearer"] > 0.8
        lead.append(after["hardest"] - after["positive"])
    assert min(lead) > 0.2


def test_hinges_equal_explicit_loops_and_the_loss():
    random = np.random.default_rng(0)
    images, captions, groups = (
        _unit(random, 9, 4),
        _unit(random, 9, 4),
        np.array([0, 1, 2, 2, 3, 4, 0, 5, 6]),
    )
    everything, hardest = [], []
    for anchors, others in ((images, captions), (captions, images)):
        for i in range(9):
            own = [
                max(0.0, 0.3 - anchors[i] @ others[i] + anchors[i] @ others[j])
                for j in range(9)
                if groups[i] != groups[j]
            ]
            everything += own
            hardest.append(max(own))
    found = hinges(images, captions, 0.3, groups)
    np.testing.assert_allclose(found[0], everything, atol=1e-12)
    np.testing.assert_allclose(found[1], hardest, atol=1e-12)
    tensors = torch.as_tensor(images), torch.as_tensor(captions), torch.as_tensor(groups)
    for part, negatives in zip(found, ("all", "hardest"), strict=True):
        loss = ranking_loss(*tensors, margin=0.3, negatives=negatives, reduction="sum")
        assert part.sum() == pytest.approx(float(loss))
    shares = [np.mean(np.array(part) == 0) for part in (everything, hardest)]
    assert zero_shares(images, captions, 0.3, groups) == pytest.approx(shares)


def test_a_batch_without_negatives_has_no_hinges():
    one = np.ones((1, 2)) / np.sqrt(2)
    assert [len(part) for part in hinges(one, one)] == [0, 0]
    assert np.isnan(zero_shares(one, one)).all()
    same = hinges(np.eye(3), np.eye(3), groups=np.zeros(3))
    assert [len(part) for part in same] == [0, 0]
    # One anchor of a mixed batch has negatives of the other group only.
    mixed = hinges(np.eye(3), np.eye(3), margin=2.0, groups=np.array([0, 0, 1]))
    assert mixed[0].tolist() == [1.0] * 8 and mixed[1].tolist() == [1.0] * 6


@pytest.mark.parametrize(
    ("images", "captions", "groups", "message"),
    [
        (np.eye(3), np.eye(3)[:2], None, "should be pairs"),
        (np.ones(3), np.ones(3), None, "should be pairs"),
        (np.eye(3), np.eye(3), np.zeros(2), "groups of shape"),
        (np.eye(3) * np.nan, np.eye(3), None, "not finite"),
    ],
)
def test_hinges_name_mistakes(images, captions, groups, message):
    with pytest.raises(DataError, match=message):
        hinges(images, captions, 0.2, groups)


def test_distances_equal_explicit_loops():
    random = np.random.default_rng(1)
    moment = Moment("", _unit(random, 5, 3), _unit(random, 5, 3))
    positive, hardest = distances(moment)
    for side, (anchors, others) in enumerate(
        ((moment.images, moment.captions), (moment.captions, moment.images))
    ):
        for i in range(5):
            far = np.linalg.norm(anchors[i] - others, axis=1)
            assert positive[5 * side + i] == pytest.approx(far[i])
            assert hardest[5 * side + i] == pytest.approx(np.delete(far, i).min())
    numbers = summary(moment, margin=0.5)
    assert numbers["nearer"] == np.mean(positive < hardest)
    assert (numbers["positive"], numbers["hardest"]) == pytest.approx((positive.mean(), hardest.mean()))
    assert (numbers["zero_all"], numbers["zero_hardest"]) == zero_shares(*moment[1:], 0.5)
    assert numbers["worst"] == hinges(*moment[1:], 0.5)[0].max()


def test_maps_keep_the_distances_from_the_anchor(both):
    panels, anchor = maps(both), typical_anchor(both)
    moments = [both[0].before, both[0].after, both[1].after]
    assert [title for title, _, _ in panels] == [moment.title for moment in moments]
    for (_, positive, negatives), moment in zip(panels, moments, strict=True):
        far = np.linalg.norm(moment.captions - moment.images[anchor], axis=1)
        np.testing.assert_allclose(np.linalg.norm(positive), far[anchor], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(negatives, axis=1), np.delete(far, anchor), atol=1e-6)
    assert maps(both, anchor=3)[0][1].tolist() != panels[0][1].tolist()


def test_the_anchor_is_a_median_not_the_best(both):
    anchor = typical_anchor(both)
    leads = [np.subtract(*distances(m)[::-1])[:24] for m in (both[0].before, both[0].after, both[1].after)]
    among = [i for i in range(24) if leads[0][i] < 0]
    after = sorted((leads[1][i] + leads[2][i]) / 2 for i in among)
    assert anchor in among
    assert (leads[1][anchor] + leads[2][anchor]) / 2 == pytest.approx(after[(len(after) - 1) // 2])


def test_the_seed_is_the_one_nearest_to_the_medians():
    found = compare(range(11, 16), steps=3, pairs=6)
    numbers = found[["positive", "hardest"]].to_numpy()
    spread = numbers.std(axis=0, ddof=1)
    far = (((numbers - np.median(numbers, axis=0)) / spread) ** 2).sum(axis=1)
    assert typical_seed(found) == found.index[int(far.argmin())]
    assert found.index.name == "seed" and ("nearer", "max") in found.columns and SEED in range(24)
    pair = trainings(12, steps=3, pairs=6)
    assert found.at[12, ("worst", "sum")] == summary(pair[0].after)["worst"]
    assert found.at[12, ("worst", "max")] == summary(pair[1].after)["worst"]


def test_a_seed_gives_the_same_points_again_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = trainings(3, pairs=5, steps=4)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(8)
    second, third = trainings(3, pairs=5, steps=4), trainings(4, pairs=5, steps=4)
    for a, b, c in zip(first, second, third, strict=True):
        assert np.array_equal(a.after.images, b.after.images) and a.zeros.equals(b.zeros)
        assert not np.array_equal(a.after.images, c.after.images)


@pytest.mark.parametrize("wrong", [{"pairs": 1}, {"steps": 0}, {"margin": 0.0}, {"margin": float("nan")}])
def test_sizes_that_make_no_sense_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        trainings(**wrong)
    assert MARGIN == 0.2
