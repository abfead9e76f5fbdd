"""Figure 3 of the Rich Features paper, computed: numbers against loops, determinism, what it shows."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle, StepPatch

from imtext.losses import ranking_loss
from imtext.papers.hard_triplet import (
    TITLES,
    compare,
    distances,
    hinge_histograms,
    hinges,
    summary,
    three_moments,
    trainings,
    triplets,
    typical_anchor,
    zero_shares,
)


@pytest.fixture(scope="module")
def both():
    return trainings()


def _unit(random, *shape):
    points = random.normal(size=shape)
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def test_both_trainings_start_alike_and_stay_on_the_sphere(both):
    assert list(both) == ["sum", "max"]
    for a, b in zip(both["sum"][0], both["max"][0], strict=True):
        np.testing.assert_array_equal(a, b)
    for moments in both.values():
        assert len(moments) == 151
        for points in moments[-1]:
            assert points.shape == (24, 3)
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)


def test_the_positive_comes_nearer_than_the_hardest_negative(both):
    before, *ends = map(summary, three_moments(both).values())
    assert before["nearer"] < 0.2 and before["positive"] > before["hardest"]
    for after in ends:
        assert after["nearer"] > 0.8 and after["positive"] < 0.5 * after["hardest"]
        assert after["worst"] < before["worst"] and after["zero_hardest"] > before["zero_hardest"]


def test_other_seeds_tell_the_same():
    found = compare(range(2))
    assert found.index.name == "seed"
    for which in ("sum", "max"):
        assert (found["nearer"][which] > 0.8).all()
        assert (found["hardest"][which] - found["positive"][which] > 0.2).all()


def test_hinges_equal_explicit_loops_and_the_loss():
    random = np.random.default_rng(0)
    images, captions = _unit(random, 9, 4), _unit(random, 9, 4)
    everything, hardest = [], []
    for anchors, others in ((images, captions), (captions, images)):
        for i in range(9):
            positive = anchors[i] @ others[i]
            own = [max(0.0, 0.2 - positive + anchors[i] @ others[j]) for j in range(9) if i != j]
            everything += own
            hardest.append(max(own))
    found = hinges(images, captions)
    np.testing.assert_allclose(found[0], everything, atol=1e-12)
    np.testing.assert_allclose(found[1], hardest, atol=1e-12)
    for part, negatives in zip(found, ("all", "hardest"), strict=True):
        tensors = torch.as_tensor(images), torch.as_tensor(captions)
        loss = ranking_loss(*tensors, margin=0.2, negatives=negatives, reduction="sum")
        assert part.sum() == pytest.approx(float(loss))
    shares = [np.mean(np.array(part) == 0) for part in (everything, hardest)]
    assert zero_shares(images, captions) == pytest.approx(shares)


def test_distances_equal_explicit_loops():
    random = np.random.default_rng(1)
    moment = _unit(random, 2, 5, 3)
    positive, hardest = distances(moment)
    for side, (anchors, others) in enumerate((moment, moment[::-1])):
        for i in range(5):
            far = np.linalg.norm(anchors[i] - others, axis=1)
            assert positive[5 * side + i] == pytest.approx(far[i])
            assert hardest[5 * side + i] == pytest.approx(np.delete(far, i).min())
    numbers = summary(moment)
    assert numbers["nearer"] == np.mean(positive < hardest)
    assert (numbers["positive"], numbers["hardest"]) == pytest.approx((positive.mean(), hardest.mean()))
    assert (numbers["zero_all"], numbers["zero_hardest"]) == zero_shares(*moment)
    assert numbers["worst"] == hinges(*moment)[0].max()


def test_the_anchor_is_a_median_not_the_best(both):
    anchor, leads = typical_anchor(both), []
    for moment in three_moments(both).values():
        positive, hardest = distances(moment)
        leads.append(hardest[:24] - positive[:24])
    among = [i for i in range(24) if leads[0][i] < 0]
    after = sorted((leads[1][i] + leads[2][i]) / 2 for i in among)
    assert anchor in among
    assert (leads[1][anchor] + leads[2][anchor]) / 2 == pytest.approx(after[(len(after) - 1) // 2])


def test_the_triplets_keep_the_distances_from_the_anchor_and_count_hinges(both):
    anchor = typical_anchor(both)
    panels = zip(triplets(both).axes, TITLES, three_moments(both).values(), strict=True)
    for axes, title, moment in panels:
        far = np.linalg.norm(moment[1] - moment[0][anchor], axis=1)
        negatives = np.delete(far, anchor)
        drawn = {line.get_label(): np.linalg.norm(line.get_xydata(), axis=1) for line in axes.get_lines()}
        np.testing.assert_allclose(drawn["positive"], [0, far[anchor]], atol=1e-6)
        np.testing.assert_allclose(drawn["hardest negative"], [0, negatives.min()], atol=1e-6)
        np.testing.assert_allclose(np.sort(drawn["other negatives"]), np.sort(negatives)[1:], atol=1e-6)
        scores = moment[1] @ moment[0][anchor]
        found = np.maximum(0, 0.2 - scores[anchor] + np.delete(scores, anchor))
        said = axes.get_xlabel()
        assert f"largest hinge {found.max():.2f}; {(found > 0).sum()} of 23 above 0" in said
        assert ("✓" in said) == (far[anchor] < negatives.min()) and axes.get_title("left") == title
        (reach,) = [disk for disk in axes.findobj(Circle) if disk.get_label() == "hinge above 0"]
        assert (negatives < reach.radius).sum() == (found > 0).sum()


def test_the_histograms_write_the_shares_of_zeros_and_draw_the_others(both):
    panels = zip(hinge_histograms(both).axes, three_moments(both).values(), strict=True)
    for axes, moment in panels:
        zeros = [100 * share for share in zero_shares(*moment)]
        assert [text.get_text() for text in axes.texts] == [f"{zero:.0f}" for zero in zeros]
        assert [bars[0].get_height() for bars in axes.containers] == pytest.approx(zeros)
        drawn = [curve.get_data().values.sum() for curve in axes.findobj(StepPatch)]
        assert drawn == pytest.approx([100 - zero for zero in zeros])


def test_a_seed_gives_the_same_points_again_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = trainings(3, steps=4)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(8)
    second, third = trainings(3, steps=4), trainings(4, steps=4)
    for which in ("sum", "max"):
        assert np.array_equal(first[which][-1][0], second[which][-1][0])
        assert not np.array_equal(first[which][-1][0], third[which][-1][0])
