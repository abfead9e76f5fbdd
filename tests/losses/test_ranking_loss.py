"""The ranking loss against explicit loops."""

from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from imtext.errors import ConfigError
from imtext.losses import intra_modal_loss
from imtext.losses.ranking import hinge_loss, quadruple_ranking_loss, ranking_loss


def cosine(a, b):
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm else 0.0


def naive(scores, groups, margin, negatives):
    """Every image against the captions of its row, every caption against the images of its column."""
    total, count = 0.0, len(scores)
    for i in range(count):
        for others in (
            [float(scores[i, j]) for j in range(count)],
            [float(scores[j, i]) for j in range(count)],
        ):
            hinges = [
                max(0.0, margin - float(scores[i, i]) + other)
                for j, other in enumerate(others)
                if int(groups[j]) != int(groups[i])
            ]
            total += {"all": sum, "hardest": max, "mean": mean}[negatives](hinges) if hinges else 0.0
    return total


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
@pytest.mark.parametrize("margin", [0.2, 1.0])
@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 2], [3, 3, 3, 3, 3]])
def test_equals_loops(negatives, margin, groups):
    torch.manual_seed(1)
    images, captions = torch.randn(2, 5, 3, dtype=torch.float64)
    groups = torch.tensor(groups)
    ours = ranking_loss(
        images, captions, groups, margin=margin, negatives=negatives, reduction="sum"
    )
    scores = [[cosine(image, caption) for caption in captions] for image in images]
    expected = naive(torch.tensor(scores, dtype=torch.float64), groups, margin, negatives)
    assert float(ours) == pytest.approx(expected, abs=1e-12)
    mean = ranking_loss(
        images, captions, groups, margin=margin, negatives=negatives, reduction="mean"
    )
    assert float(mean) == pytest.approx(expected / 5, abs=1e-12)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_quadruples_equal_loops(margin):
    torch.manual_seed(2)
    sides = torch.randn(4, 6, 3, dtype=torch.float64)
    expected = 0.0
    for image, caption, other_image, other_caption in zip(*sides, strict=True):
        positive = cosine(image, caption)
        expected += max(0.0, margin - (positive - cosine(image, other_caption)))
        expected += max(0.0, margin - (positive - cosine(caption, other_image)))
    assert float(quadruple_ranking_loss(*sides, margin)) == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda *four: quadruple_ranking_loss(*four, 1.0), [side.requires_grad_() for side in sides.unbind()]
    )


def test_quadruples_are_checked():
    x = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match=r"four batches of one size, found \(2, 3\), .*\(1, 3\)"):
        quadruple_ranking_loss(x, x, x, x[:1])


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_gradient(negatives):
    torch.manual_seed(3)
    images = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    captions = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda i, s: ranking_loss(i, s, margin=1.0, negatives=negatives), (images, captions)
    )


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_degenerate_batches(negatives):
    one = torch.randn(1, 3, requires_grad=True)
    assert ranking_loss(one, one, negatives=negatives).item() == 0.0
    empty = torch.zeros(0, 3, requires_grad=True)
    assert ranking_loss(empty, empty, negatives=negatives).item() == 0.0
    same = torch.ones(3, 4, requires_grad=True)
    loss = ranking_loss(same, same, margin=0.5, negatives=negatives, reduction="mean")
    loss.backward()
    expected = 2 * 0.5 * (2 if negatives == "all" else 1)
    assert loss.item() == pytest.approx(expected)
    assert torch.isfinite(same.grad).all()
    zero = torch.zeros(3, 4, requires_grad=True)
    ranking_loss(zero, zero, negatives=negatives).backward()
    assert torch.isfinite(zero.grad).all()


def test_scale_of_the_features_does_not_matter():
    torch.manual_seed(4)
    images, captions = torch.randn(2, 5, 3, dtype=torch.float64)
    assert float(ranking_loss(images, captions)) == pytest.approx(
        float(ranking_loss(7 * images, 0.1 * captions))
    )


def test_the_hinges_have_one_set_of_defaults():
    torch.manual_seed(9)
    images, captions = F.normalize(torch.randn(2, 6, 4, dtype=torch.float64), dim=2)
    plain = float(ranking_loss(images, captions))
    assert plain == pytest.approx(float(hinge_loss(images @ captions.T)), abs=1e-12)
    assert plain == pytest.approx(float(intra_modal_loss(images, captions, weight=0)), abs=1e-12)


def test_embeddings_are_multiplied_once():
    images, captions = torch.randn(2, 5, 3)
    with FlopCounterMode(display=False) as counter:
        ranking_loss(images, captions)
    assert counter.get_total_flops() == 2 * 5 * 5 * 3


def test_bad_arguments():
    x = torch.randn(2, 3)
    with pytest.raises(ConfigError, match="negatives"):
        ranking_loss(x, x, negatives="softest")
    with pytest.raises(ConfigError, match="reduction"):
        ranking_loss(x, x, reduction="median")
    with pytest.raises(ConfigError, match="pairs, found"):
        ranking_loss(x, torch.randn(3, 3))


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
@pytest.mark.parametrize("groups", [None, [0, 0, 1, 2, 2, 2], [3] * 6])
@pytest.mark.parametrize("ties", [False, True])
def test_scores_equal_loops(negatives, groups, ties):
    scores = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    scores = scores.round() if ties else scores
    given = None if groups is None else torch.tensor(groups)
    expected = naive(scores, range(6) if groups is None else groups, 0.2, negatives)
    assert float(hinge_loss(scores, given, negatives=negatives)) == pytest.approx(expected, abs=1e-12)
    third = hinge_loss(scores, given, 0.2, negatives, reduction="mean")
    assert float(third) == pytest.approx(expected / 6, abs=1e-12)


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_gradient_of_scores(negatives):
    torch.manual_seed(7)
    scores = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([0, 0, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda s: hinge_loss(s, groups, 0.5, negatives), scores)


def test_the_hardest_negative_alone_is_moved():
    scores = torch.tensor([[0.5, 0.6, 0.1], [0.4, 0.9, 0.2], [0.3, 0.3, 0.9]], requires_grad=True)
    hinge_loss(scores).backward()
    # Image 0 meets caption 1; caption 0 meets image 1; everything else lies beyond the margin.
    assert scores.grad.tolist() == [[-2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_degenerate_scores(negatives):
    for size in (0, 1):
        scores = torch.zeros(size, size, requires_grad=True)
        loss = hinge_loss(scores, negatives=negatives)
        loss.backward()
        assert loss.item() == 0.0 and not scores.grad.any()
    equal = torch.full((3, 3), 0.7, requires_grad=True)
    expected = 2 * 3 * 0.2 * (2 if negatives == "all" else 1)
    assert hinge_loss(equal, negatives=negatives).item() == pytest.approx(expected)
    bad = torch.full((3, 3), float("nan"))
    assert hinge_loss(bad, negatives=negatives).isnan()


def test_half_precision_and_autocast_do_not_blunt_the_hinges():
    torch.manual_seed(8)
    images, captions = torch.randn(2, 64, 32)
    plain = ranking_loss(images, captions, margin=0.2, reduction="sum")
    with torch.autocast("cpu", torch.bfloat16):
        inside = ranking_loss(images, captions, margin=0.2, reduction="sum")
    assert torch.equal(plain, inside)
    half = hinge_loss(torch.randn(64, 64).bfloat16())
    assert half.dtype == torch.float32
    assert ranking_loss(images.bfloat16(), captions.bfloat16()).dtype == torch.float32


def test_bad_scores_and_groups():
    with pytest.raises(ConfigError, match=r"scores \(B, B\).*found \(2, 3\)"):
        hinge_loss(torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="negatives='softest'"):
        hinge_loss(torch.zeros(2, 2), negatives="softest")
    with pytest.raises(ConfigError, match=r"one group per pair \(2\), found \(3,\)"):
        hinge_loss(torch.zeros(2, 2), torch.arange(3))
    with pytest.raises(ConfigError, match="one group per pair"):
        ranking_loss(torch.zeros(2, 2), torch.zeros(2, 2), torch.arange(3))
