"""The instance loss against explicit loops."""

import math

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss, instance_loss


def naive(features, weight, groups, bias):
    """Eqs. 5-8, one item at a time."""
    total = 0.0
    for feature, group in zip(features, groups, strict=True):
        scores = [
            sum(f * w for f, w in zip(feature.tolist(), row.tolist(), strict=True))
            + (bias[c].item() if bias is not None else 0)
            for c, row in enumerate(weight)
        ]
        highest = max(scores)
        normaliser = highest + math.log(sum(math.exp(score - highest) for score in scores))
        total += normaliser - scores[int(group)]
    return total / len(features)


@pytest.mark.parametrize(("batch", "classes"), [(1, 2), (5, 3), (7, 11)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_equals_loops(batch, classes, with_bias):
    torch.manual_seed(batch)
    features = torch.randn(batch, 4, dtype=torch.float64)
    weight = torch.randn(classes, 4, dtype=torch.float64)
    bias = torch.randn(classes, dtype=torch.float64) if with_bias else None
    groups = torch.randint(0, classes, (batch,))
    ours = instance_loss(features, weight, groups, bias)
    assert float(ours) == pytest.approx(naive(features, weight, groups, bias), abs=1e-12)


def test_gradient():
    torch.manual_seed(0)
    features = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, w, b: instance_loss(f, w, torch.tensor([0, 4, 4]), b), (features, weight, bias)
    )


def test_tied_scores_cost_the_logarithm_of_the_number_of_groups():
    loss = instance_loss(torch.zeros(3, 4), torch.randn(6, 4), torch.tensor([0, 1, 5]))
    assert float(loss) == pytest.approx(math.log(6))


def test_large_scores_stay_finite():
    assert torch.isfinite(
        instance_loss(torch.full((1, 2), 1e4), torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([1]))
    )


def test_empty_batch_is_zero_with_a_gradient():
    features = torch.zeros(0, 4, requires_grad=True)
    loss = instance_loss(features, torch.randn(3, 4), torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0


def test_module_shares_its_weights_between_modalities_and_drops_out_only_in_training():
    torch.manual_seed(0)
    loss = InstanceLoss(dim=8, groups=4, dropout=0.75)
    features, groups = torch.randn(6, 8), torch.tensor([0, 1, 2, 3, 0, 1])
    loss.eval()
    expected = instance_loss(features, loss.classifier.weight, groups, loss.classifier.bias)
    assert torch.equal(loss(features, groups), expected)
    assert torch.equal(loss.logits(features), loss.classifier(features))
    loss.train()
    assert not torch.equal(loss.logits(features), loss.logits(features))


def test_one_group_is_refused():
    with pytest.raises(ConfigError, match="groups=1: expected an integer of 2 or more"):
        InstanceLoss(dim=8, groups=1)
