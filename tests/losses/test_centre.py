"""The centre loss and the rule that moves its centres, against explicit loops."""

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.losses.centre import CentreLoss, centre_loss

SHAPES = [(1, 1, 1), (5, 3, 2), (7, 4, 11), (12, 6, 3)]


def naive_loss(features, classes, centres, reduction):
    """Eq. 1, one number at a time."""
    total = 0.0
    for feature, group in zip(features.tolist(), classes.tolist(), strict=True):
        for x, c in zip(feature, centres[group].tolist(), strict=True):
            total += (x - c) ** 2 / 2
    return total / len(features) if reduction == "mean" else total


def naive_update(features, classes, centres, rate):
    """Eq. 4, one class at a time."""
    moved = [list(row) for row in centres.tolist()]
    for j, centre in enumerate(centres.tolist()):
        members = [f for f, group in zip(features.tolist(), classes.tolist(), strict=True) if group == j]
        for d, c in enumerate(centre):
            moved[j][d] -= rate * sum(c - member[d] for member in members) / (1 + len(members))
    return torch.tensor(moved, dtype=torch.float64)


def drawn(batch, dim, groups, dtype=torch.float64):
    generator = torch.Generator().manual_seed(batch)
    features = torch.randn(batch, dim, generator=generator, dtype=torch.float64).to(dtype)
    centres = torch.randn(groups, dim, generator=generator, dtype=torch.float64).to(dtype)
    return features, torch.randint(0, groups, (batch,), generator=generator), centres


@pytest.mark.parametrize(("batch", "dim", "groups"), SHAPES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_equals_loops(batch, dim, groups, reduction):
    features, classes, centres = drawn(batch, dim, groups)
    ours = centre_loss(features, classes, centres, reduction)
    assert float(ours) == pytest.approx(naive_loss(features, classes, centres, reduction), abs=1e-12)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradient(reduction):
    features, classes, centres = drawn(6, 3, 2)
    centres[1] = features[0]  # a distance of zero, or ties with it
    features.requires_grad_()
    centres.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, c: centre_loss(f, classes, c, reduction), (features, centres))


def test_gradient_of_the_module_is_the_gap_and_leaves_the_centres_alone():
    features, classes, centres = drawn(5, 3, 2)
    loss = CentreLoss(2, 3, reduction="sum").double()
    loss.centres.copy_(centres)
    features.requires_grad_()
    loss(features, classes).backward()
    torch.testing.assert_close(features.grad, (features - centres[classes]).detach())
    assert not list(loss.parameters())
    assert torch.equal(loss.centres, centres)


@pytest.mark.parametrize(("batch", "dim", "groups"), SHAPES)
@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
def test_update_equals_loops(batch, dim, groups, rate):
    features, classes, centres = drawn(batch, dim, groups)
    loss = CentreLoss(groups, dim, rate).double()
    loss.centres.copy_(centres)
    for _ in range(3):
        expected = naive_update(features, classes, loss.centres, rate)
        loss.update(features, classes)
        torch.testing.assert_close(loss.centres, expected, rtol=0, atol=1e-12)


def test_update_takes_no_gradient():
    features = torch.randn(4, 2, requires_grad=True)
    loss = CentreLoss(3, 2)
    loss.update(features, torch.tensor([0, 1, 1, 2]))
    assert not loss.centres.requires_grad
    assert loss.centres.grad_fn is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_worked_out_in_float32(dtype):
    features, classes, centres = drawn(6, 8, 3, dtype)
    features *= 200  # squares past 65,504, the largest float16
    exact = naive_loss(features.double(), classes, centres.double(), "sum")
    ours = centre_loss(features, classes, centres)
    assert ours.dtype == torch.float32
    assert float(ours) == pytest.approx(exact, rel=1e-5)
    loss = CentreLoss(3, 8)
    loss.update(features, classes)
    expected = naive_update(features.double(), classes, torch.zeros(3, 8), 0.05)
    torch.testing.assert_close(loss.centres.double(), expected, rtol=1e-6, atol=1e-6)


def test_autocast_changes_nothing():
    features, classes, centres = drawn(6, 8, 3, torch.float32)
    plain, cast = CentreLoss(3, 8, 0.5), CentreLoss(3, 8, 0.5)
    for loss in (plain, cast):
        loss.centres.copy_(centres)
    expected = plain(features, classes)
    plain.update(features, classes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cast(features, classes), expected)
        cast.update(features, classes)
    assert cast.centres.dtype == torch.float32
    assert torch.equal(cast.centres, plain.centres)


def test_empty_batch_is_zero_with_a_gradient_and_moves_nothing():
    for reduction in ("sum", "mean"):
        features = torch.zeros(0, 4, requires_grad=True)
        loss = CentreLoss(2, 4, reduction=reduction)
        value = loss(features, torch.zeros(0, dtype=torch.long))
        value.backward()
        assert value.item() == 0.0
        assert features.grad.shape == (0, 4)
        loss.update(features, torch.zeros(0, dtype=torch.long))
        assert not loss.centres.any()


def test_any_whole_number_type_is_a_class():
    features, classes, centres = drawn(5, 3, 2)
    expected = centre_loss(features, classes, centres)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(centre_loss(features, classes.to(dtype), centres), expected)


def test_checkpoints_keep_the_centres():
    loss = nn.ModuleDict({"centre": CentreLoss(3, 2, 1.0)})
    loss["centre"].update(torch.tensor([[2.0, 4.0]]), torch.tensor([1]))
    fresh = nn.ModuleDict({"centre": CentreLoss(3, 2)})
    fresh.load_state_dict(loss.state_dict())
    assert fresh["centre"].centres.tolist() == [[0, 0], [1, 2], [0, 0]]


@pytest.mark.parametrize("classes", [[0, 3], [-1, 0]])
def test_a_class_without_a_centre_is_named(classes):
    loss = CentreLoss(3, 2)
    for call in (loss, loss.update):
        with pytest.raises(ConfigError, match=r"classes=(3|-1): expected an integer from 0 to 2"):
            call(torch.zeros(2, 2), torch.tensor(classes))


def test_what_does_not_fit_is_refused():
    features, classes = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ConfigError, match="reduction"):
        centre_loss(features, classes, torch.zeros(2, 3), "none")
    for bad_classes, centres in (
        (classes, torch.zeros(2, 4)),
        (classes[:1], torch.zeros(2, 3)),
        (classes.float(), torch.zeros(2, 3)),
    ):
        with pytest.raises(ConfigError, match="expected features"):
            centre_loss(features, bad_classes, centres)
    for options in ({"classes": 0}, {"dim": 0}, {"rate": 1.5}, {"rate": -0.1}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}="):
            CentreLoss(**{"classes": 2, "dim": 2, **options})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_as_on_a_cpu():
    features, classes, centres = drawn(6, 8, 3, torch.float32)
    here, there = CentreLoss(3, 8, 0.5), CentreLoss(3, 8, 0.5).cuda()
    here.centres.copy_(centres)
    there.centres.copy_(centres)
    loss = there(features.cuda(), classes.cuda())
    torch.testing.assert_close(loss.cpu(), here(features, classes))
    here.update(features, classes)
    there.update(features.cuda(), classes.cuda())
    torch.testing.assert_close(there.centres.cpu(), here.centres)
