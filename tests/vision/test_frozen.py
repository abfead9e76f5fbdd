"""Frozen batch norms folded into convolutions: the same function, the same gradients, nothing left behind."""

import copy

import pytest
import torch
from torch import nn

from imtext.vision.backbones import load_backbone
from imtext.vision.frozen import frozen_norm


def plain(net):
    """Batch norms in evaluation mode, the long way."""
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return net


def scrambled(net):
    """Statistics and factors that are not the initial ones."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net


@pytest.mark.parametrize("name", ["efficientnet_lite1", "resnet18"])
def test_same_function_and_same_gradients(name):
    torch.manual_seed(0)
    net = scrambled(load_backbone(name, weights=None)).double().train()
    x = torch.randn(2, 3, 37, 37, dtype=torch.float64)
    expected = plain(net)
    expected(x).square().mean().backward()
    with frozen_norm(net):
        net.train()
        found = net(x)
        found.square().mean().backward()
    assert torch.allclose(found, expected(x), rtol=1e-9, atol=1e-12)
    for (key, ours), other in zip(net.named_parameters(), expected.parameters(), strict=True):
        if other.grad is not None:
            assert torch.allclose(ours.grad, other.grad, rtol=1e-7, atol=1e-12), key


def test_statistics_stay_and_nothing_is_left_behind():
    net = load_backbone("resnet18", weights=None).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), frozen_norm(net):
        net.train()
        net(torch.randn(2, 3, 32, 32))
        raise RuntimeError("stop")
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not any("forward" in vars(module) or "train" in vars(module) for module in net.modules())
    net(torch.randn(2, 3, 32, 32))
    assert any(not torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_conv_with_bias_and_a_norm_without_conv():
    torch.manual_seed(0)
    net = scrambled(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    ).train()
    x = torch.randn(2, 3, 8, 8)
    with frozen_norm(net):
        assert torch.allclose(net(x), plain(net)(x), atol=1e-5)
