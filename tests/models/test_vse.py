"""VSE++ and its rich text: against explicit loops, sizes, captions without words, and that it can learn."""

import numpy as np
import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.losses.ranking import ranking_loss
from imtext.models import GRUText, vse
from imtext.models.joint import UnitHead

VARIANTS = [(both, pooled) for both in (False, True) for pooled in (None, "mean", "max")]
CODES = torch.tensor([[3, 1, 4, 1, 5], [2, 0, 0, 0, 0], [6, 6, 0, 0, 0], [0, 0, 0, 0, 0], [5, 2, 3, 0, 0]])


def unit(x):
    norm = float(x.detach().norm())
    return x / norm if norm else x


def states(rnn, words, ending):
    """The GRU's equations, word after word (Cho et al., 2014, with torch's place of the reset gate)."""
    weights = [
        getattr(rnn, f"{name}_l0{ending}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    from_word, from_state, word_bias, state_bias = (w.detach() for w in weights)
    h, found = torch.zeros(rnn.hidden_size, dtype=words.dtype), []
    for word in words:
        a, b = (from_word @ word + word_bias).chunk(3), (from_state @ h + state_bias).chunk(3)
        reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
        h = (1 - update) * torch.tanh(a[2] + reset * b[2]) + update * h
        found.append(h)
    return torch.stack(found)


def naive(net, codes, scale=1.0):
    """One caption at a time; the GRU reads its words times ``scale``."""
    rows = []
    for row in codes:
        words = [net.word.weight[code].detach() for code in row.tolist() if code]
        if not words:
            rows.append(torch.zeros(net.dim, dtype=torch.float64))
            continue
        found = [states(net.rnn, scale * (words := torch.stack(words)), "")]
        if net.rnn.bidirectional:
            found.append(states(net.rnn, scale * words.flip(0), "_reverse"))
        last = sum(one[-1] for one in found)
        parts = [unit(torch.cat([one.mean(0) for one in found]) if net.readout == "mean" else last)]
        if net.pooled_words:
            parts.append(unit(words.mean(0) if net.pooled_words == "mean" else words.max(0).values))
        rows.append(torch.cat(parts))
    return torch.stack(rows)


@pytest.mark.parametrize(("both", "pooled"), VARIANTS)
def test_equals_loops(both, pooled):
    torch.manual_seed(0)
    net = GRUText(6, word_dim=3, dim=4, bidirectional=both, pooled_words=pooled).double()
    assert net.dim == (7 if pooled else 4)
    assert torch.allclose(net(CODES), naive(net, CODES), atol=1e-12)


@pytest.mark.parametrize("pooled", [None, "mean", "max"])
def test_the_mean_of_all_states_equals_loops(pooled):
    torch.manual_seed(5)
    net = GRUText(6, 3, 4, True, pooled, readout="mean").double()
    assert net.dim == (7 if pooled else 4)
    assert torch.allclose(net(CODES), naive(net, CODES), atol=1e-12)


class Doubled(nn.Module):
    """In the place of dropout, so that it shows where that acts."""

    def forward(self, x):
        return 2 * x


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_dropout_is_on_the_words_that_the_gru_reads_and_on_image_features(readout):
    torch.manual_seed(6)
    text = GRUText(6, 3, 4, True, "mean", readout=readout, dropout=0.3).double()
    net = vse(text, image_dim=5, dim=4, dropout=0.4).double()
    assert (text.dropout.p, net.dropout.p) == (0.3, 0.4)
    net.image_head.fc.bias.data.fill_(1.0)
    plain = net.eval()(x := torch.randn(5, 5, dtype=torch.float64), CODES)
    assert torch.allclose(text(CODES), naive(text, CODES), atol=1e-12)
    assert not torch.allclose(net.train()(x, CODES)[0], plain[0])
    text.dropout = Doubled()
    assert torch.allclose(text(CODES), naive(text, CODES, scale=2), atol=1e-12)


def test_sizes_and_start_are_the_papers():
    torch.manual_seed(3)
    gru = 3 * 1024 * (300 + 1024 + 2)
    plain = vse(GRUText(1000), image_dim=2048)
    assert sum(p.numel() for p in plain.parameters()) == 1001 * 300 + gru + 2049 * 1024
    text = GRUText(1000, bidirectional=True, pooled_words="mean")
    rich = vse(text, image_dim=5888)
    assert text.dim == 1324
    assert sum(p.numel() for p in rich.parameters()) == 1001 * 300 + 2 * gru + 5889 * 1024 + 1325 * 1024
    words, fc = text.word.weight[1:], rich.image_head.fc
    assert 0.0999 < words.abs().max() <= 0.1 and abs(words.mean()) < 1e-3
    bound = 6**0.5 / (5888 + 1024) ** 0.5
    assert 0.999 * bound < fc.weight.abs().max() <= bound and not fc.bias.any()


def test_images_of_any_scale_become_unit_rows():
    torch.manual_seed(4)
    head = UnitHead(6, 4)
    x = torch.randn(3, 6)
    expected = torch.stack([unit(head.fc.weight @ unit(row) + head.fc.bias) for row in x])
    assert torch.allclose(head(x), expected, atol=1e-6)
    head.fc.bias.data.fill_(1.0)  # without the L2 before it, the bias would count for less
    assert torch.allclose(head(100 * x), head(x), atol=1e-6)


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_an_image_of_zeros_stays_zero_and_is_harmless(bias):
    net = vse(GRUText(6, 3, 4), image_dim=5, dim=4)
    net.image_head.fc.bias.data.fill_(bias)
    features = torch.randn(5, 5)
    features[2] = 0
    images, captions = net(features, CODES)
    assert images.norm(dim=1).round().tolist() == [1, 1, 0, 1, 1]
    ranking_loss(images, captions, margin=0.2).backward()
    assert max(p.grad.abs().max() for p in net.parameters()) < 100  # not divided by a length of 0


def test_the_text_side_has_a_layer_where_the_lengths_differ():
    assert not list(vse(GRUText(5, 3, 4), 6, dim=4).text_head.parameters())
    assert vse(GRUText(5, 3, 4, pooled_words="max"), 6, dim=4).text_head.fc.in_features == 7


def test_the_layer_on_the_text_side_may_be_asked_for():
    torch.manual_seed(7)
    net = vse(GRUText(6, 3, 4), 5, dim=4, text_fc=True).double()
    fc, state = net.text_head.fc, naive(net.text, CODES[:3])
    expected = torch.stack([unit(fc.weight @ row + fc.bias) for row in state])
    assert torch.allclose(net.embed_captions(CODES[:3]), expected, atol=1e-12)


def test_words_start_from_vectors():
    vectors = torch.rand(6, 3).numpy()
    assert np.array_equal(GRUText(6, 3, 4, vectors=vectors).word.weight[1:].detach().numpy(), vectors)


def test_pixels_and_features():
    net = vse(GRUText(5, 3, 4), image_dim=6, dim=4)
    with pytest.raises(ConfigError, match="no backbone"):
        net.embed_images(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ConfigError, match=r"features \(B, 6\), found \(2, 7\)"):
        net.embed_images(torch.zeros(2, 7))
    backbone = nn.Sequential(nn.Conv2d(3, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    tuned = vse(net.text, image_dim=6, dim=4, backbone=backbone)
    pixels = torch.randn(2, 3, 8, 8)
    assert torch.equal(tuned.embed_images(pixels), tuned.embed_images(backbone(pixels)))
    tuned.embed_images(pixels).sum().backward()
    assert backbone[0].weight.grad.any()
    tuned.backbone = nn.Flatten()
    with pytest.raises(ConfigError, match=r"found \(2, 192\)"):
        tuned.embed_images(pixels)


def test_bad_arguments():
    for options in ({"words": 0}, {"word_dim": 0}, {"dim": 0}, {"pooled_words": "sum"}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}=.*: expected"):
            GRUText(**{"words": 5, **options})
