"""Inception-ResNet-v1: its plan counted by hand, known parameter counts, shapes, and that it learns."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from imtext.errors import ConfigError, DataError
from imtext.models.inception_resnet import InceptionResNetV1, Reduction, Residual

SMALL = {"dim": 16, "width": 0.125, "blocks": (1, 1, 1)}


def conv(inputs, outputs, area):
    """Weights of a convolution without bias and its batch norm."""
    return inputs * outputs * area + 2 * outputs


def counted(dim, blocks):
    """Weights of the network at width 1, block by block as Szegedy et al. and facenet draw it."""
    stem = conv(3, 32, 9) + conv(32, 32, 9) + conv(32, 64, 9) + conv(64, 80, 1) + conv(80, 192, 9)
    stem += conv(192, 256, 9)
    a = 3 * conv(256, 32, 1) + 3 * conv(32, 32, 9) + 96 * 256 + 256
    down_a = conv(256, 384, 9) + conv(256, 192, 1) + conv(192, 192, 9) + conv(192, 256, 9)
    b = 2 * conv(896, 128, 1) + 2 * conv(128, 128, 7) + 256 * 896 + 896
    down_b = 3 * conv(896, 256, 1) + conv(256, 384, 9) + 3 * conv(256, 256, 9)
    c = 2 * conv(1792, 192, 1) + 2 * conv(192, 192, 3) + 384 * 1792 + 1792
    whole = stem + blocks[0] * a + down_a + blocks[1] * b + down_b + (blocks[2] + 1) * c
    return whole + 1792 * dim + 2 * dim


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("dim", "known"), [(512, 23_482_624), (128, 22_793_728)], ids=["facenet for PyTorch", "paper"]
)
def test_known_parameter_counts(dim, known):
    with torch.device("meta"):
        net = InceptionResNetV1(dim)
    assert parameters(net) == known == counted(dim, (5, 10, 5))
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
    assert (len(convolutions), len(norms)) == (132, 112)
    # facenet in TensorFlow: no learned scale. Its Keras port prints 22,779,312 for 128.
    assert known - sum(m.num_features for m in norms) == {512: 23_467_824, 128: 22_779_312}[dim]


@pytest.mark.parametrize("blocks", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 3, 1)])
def test_blocks_count(blocks):
    with torch.device("meta"):
        assert parameters(InceptionResNetV1(8, blocks=blocks)) == counted(8, blocks)


@pytest.mark.parametrize("side", [299, 256, 227, 160, 75])
def test_sides_follow_the_paper(side):
    with torch.device("meta"):
        net = InceptionResNetV1(blocks=(1, 1, 1)).eval()
        x = torch.zeros(1, 3, side, side)
        found = []
        for layer in net.layers:
            x = layer(x)
            if isinstance(layer, Residual):
                found.append(tuple(x.shape[1:]))
    a = {299: 35, 256: 29, 227: 26, 160: 17, 75: 7}[side]
    b = (a - 1) // 2
    c = (b - 1) // 2
    assert found == [(256, a, a), (896, b, b), (1792, c, c), (1792, c, c)]


def test_scales_and_the_last_block():
    net = InceptionResNetV1(**{**SMALL, "blocks": (2, 3, 1)})
    residuals = [layer for layer in net.layers if isinstance(layer, Residual)]
    assert [r.scale for r in residuals] == [0.17] * 2 + [0.10] * 3 + [0.20, 1.0]
    assert [r.active for r in residuals] == [True] * 6 + [False]
    assert net.dropout.p == pytest.approx(0.2)
    kernels = {r.scale: [layer[0].kernel_size for layer in r.branches[-1]] for r in residuals}
    assert kernels[0.17] == [(1, 1), (3, 3), (3, 3)]
    assert kernels[0.10] == [(1, 1), (1, 7), (7, 1)]
    assert kernels[0.20] == kernels[1.0] == [(1, 1), (1, 3), (3, 1)]


@pytest.mark.parametrize("active", [True, False])
def test_a_block_adds_its_scaled_branches(active):
    torch.manual_seed(0)
    plan = [[(8, 1, 1)], [(16, 1, 1), (8, 1, 7), (24, 7, 1)]]
    block = Residual(16, plan, 0.3, active=active).double().eval()
    x = torch.randn(2, 16, 9, 8, dtype=torch.float64)
    kept = x.clone()
    shrink = (1 + 1e-3) ** -0.5  # batch norm as it starts

    def layer(y, module, padding):
        return (F.conv2d(y, module[0].weight, padding=padding) * shrink).clamp(min=0)

    first, second = block.branches
    long = layer(layer(layer(x, second[0], (0, 0)), second[1], (0, 3)), second[2], (3, 0))
    joined = torch.cat([layer(x, first[0], (0, 0)), long], 1)
    expected = x + 0.3 * F.conv2d(joined, block.up.weight, block.up.bias)
    assert torch.allclose(block(x), expected.clamp(min=0) if active else expected, atol=1e-12)
    assert torch.equal(x, kept), "its input is another block's output and is needed as it was"


def test_reduction_puts_branches_before_the_maximum():
    torch.manual_seed(0)
    net = Reduction(8, [[(16, 3, 3)], [(8, 1, 1), (24, 3, 3)]]).eval()
    x = torch.randn(2, 8, 9, 12)
    out = net(x)
    assert out.shape == (2, 48, 4, 5)
    assert torch.equal(out[:, 40:], F.max_pool2d(x, 3, 2))
    first = F.conv2d(x, net.branches[0][0][0].weight, stride=2) * (1 + 1e-3) ** -0.5
    assert torch.allclose(out[:, :16], first.clamp(min=0), atol=1e-6)


def test_width_multiplies_every_channel():
    half, tiny = InceptionResNetV1(width=0.5, blocks=(1, 1, 1)), InceptionResNetV1(**SMALL)
    outputs = [m.out_channels for m in half.modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    assert outputs[:6] == [16, 16, 32, 40, 96, 128]
    assert half.bottleneck.in_features == 896
    assert min(m.out_channels for m in tiny.modules() if isinstance(m, nn.Conv2d)) == 8
    assert tiny.bottleneck.in_features % 8 == 0


def test_embedding_is_pooled_then_dropped_then_normalised():
    torch.manual_seed(0)
    net = InceptionResNetV1(**SMALL, keep=0.5)
    pictures = torch.randn(6, 3, 80, 75)
    net.train()
    out = net(pictures)
    torch.testing.assert_close(out.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    assert not torch.equal(out, net(pictures)), "dropout draws anew"
    net.eval()
    assert torch.equal(net(pictures), net(pictures))
    assert torch.allclose(net(pictures)[2:3], net(pictures[2:3]), atol=1e-5), "items are independent"
    expected = F.batch_norm(
        F.linear(net.layers(pictures).flatten(2).mean(2), net.bottleneck.weight),
        net.norm.running_mean,
        net.norm.running_var,
        net.norm.weight,
        net.norm.bias,
        eps=1e-3,
    )
    torch.testing.assert_close(net(pictures), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 74, 90), (2, 3, 90, 74), (2, 1, 80, 80), (3, 80, 80)])
def test_pictures_that_do_not_fit_are_named(shape):
    with pytest.raises(DataError, match=r"\(B, 3, H, W\) with H and W at least 75 pixels, found"):
        InceptionResNetV1(**SMALL)(torch.zeros(shape))


def test_one_picture_can_be_embedded():
    assert InceptionResNetV1(**SMALL).eval()(torch.zeros(1, 3, 75, 99)).shape == (1, 16)


@pytest.mark.parametrize(
    "bad",
    [{"dim": 0}, {"width": 0.0}, {"width": float("nan")}, {"keep": 0.0}, {"keep": 1.1}]
    + [{"blocks": (1, 1)}, {"blocks": (1, -1, 1)}, {"blocks": (1, 1.5, 1)}],
)
def test_bad_options(bad):
    with pytest.raises(ConfigError):
        InceptionResNetV1(**{**SMALL, **bad})


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    net = InceptionResNetV1(**SMALL)
    net(torch.randn(4, 3, 75, 75)).pow(3).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_overfits_a_tiny_set():
    torch.manual_seed(0)
    pictures, classes = torch.randn(8, 3, 75, 75), torch.arange(8) % 4
    net = InceptionResNetV1(**SMALL, keep=1.0)
    head = nn.Linear(16, 4)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], 5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(head(net(pictures)), classes)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert (head(net.eval()(pictures)).argmax(1) == classes).float().mean() > 0.7


def test_autocast_and_channels_last_stay_close():
    torch.manual_seed(0)
    net = InceptionResNetV1(**SMALL).eval()
    pictures = torch.randn(3, 3, 75, 75)
    expected = net(pictures)
    last = net.to(memory_format=torch.channels_last)(pictures.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.isfinite(net(pictures)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_as_on_a_cpu():
    torch.manual_seed(0)
    net = InceptionResNetV1(**SMALL).eval()
    pictures = torch.randn(3, 3, 75, 75)
    expected = net(pictures)
    torch.testing.assert_close(net.cuda()(pictures.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)
