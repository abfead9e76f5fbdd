"""SCAN: shapes, sizes, words against a GRU run by hand, single queries, and that it learns a tiny set."""

import math

import pytest
import torch
import torch.nn.functional as F

from imtext.errors import ConfigError, DataError
from imtext.models.scan import SCAN, scan_scores

CODES = torch.tensor([[3, 1, 4, 2], [2, 0, 0, 0], [0, 0, 0, 0], [1, 5, 2, 0]])


def small(**settings):
    torch.manual_seed(0)
    return SCAN(5, word_dim=6, dim=8, region_dim=7, **settings)


KINDS = [{}, {"rich": True}]


@pytest.mark.parametrize(("kind", "width"), list(zip(KINDS, (1024, 1324), strict=True)))
def test_sizes_of_the_papers(kind, width):
    net = SCAN(100, **kind)
    gru = 2 * 3 * (300 * 1024 + 1024 * 1024 + 2 * 1024)
    expected = 101 * 300 + gru + 2048 * width + width
    assert sum(p.numel() for p in net.parameters()) == expected
    assert net.embed_regions(torch.randn(1, 2, 2048)).shape == (1, 2, width)
    assert net.embed_words(torch.tensor([[3, 1]]))[0].shape == (1, 2, width)


def test_start():
    net, limit = SCAN(100), math.sqrt(6 / (2048 + 1024))
    weight = net.region.weight.detach()
    assert 0.99 * limit < weight.abs().max() <= limit and not net.region.bias.any()
    assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert 0.099 < net.word.weight.abs().max() <= 0.1
    assert not net.word.weight[0].any()


def by_hand(net, codes):
    """The unit rows of one caption without padding: both directions step by step, their mean, L2."""
    vectors = net.word.weight[codes]
    states = []
    for suffix, steps in (("", range(len(codes))), ("_reverse", reversed(range(len(codes))))):
        cell = torch.nn.GRUCell(net.word.embedding_dim, net.dim)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(net.rnn, f"{name}_l0{suffix}").data
        state, found = torch.zeros(1, net.dim), {}
        for step in steps:
            state = cell(vectors[step : step + 1], state)
            found[step] = state[0]
        states.append(torch.stack([found[step] for step in range(len(codes))]))
    rows = F.normalize((states[0] + states[1]) / 2, dim=1)
    if net.rich:
        rows = torch.cat([rows, F.normalize(vectors, dim=1)], dim=1)
        rows = rows / math.sqrt(2)
    return rows


@pytest.mark.parametrize(("kind", "width"), list(zip(KINDS, (8, 14), strict=True)))
def test_words_are_the_mean_of_both_directions(kind, width):
    net = small(**kind)
    words, counts = net.embed_words(CODES)
    assert words.shape == (4, 4, width) and counts.tolist() == [4, 1, 0, 3]
    for row, codes, count in zip(words, CODES, counts, strict=True):
        assert not row[count:].any()
        if count:
            assert torch.allclose(row[:count], by_hand(net, codes[:count]), atol=1e-6)


def test_words_start_from_vectors_and_dropout_is_on_what_both_sides_read():
    vectors = torch.rand(5, 6).numpy()
    net = small(vectors=vectors, dropout=0.4)
    assert net.dropout.p == 0.4 and torch.equal(net.word.weight[1:], torch.from_numpy(vectors))
    features = torch.randn(3, 5, 7)
    regions, words = net.eval().embed_regions(features), net.embed_words(CODES)[0]
    assert not torch.allclose(net.train().embed_regions(features), regions, atol=1e-3)
    assert not torch.allclose(net.embed_words(CODES)[0], words, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_in_front_or_between_changes_nothing(kind):
    net = small(**kind)
    words, counts = net.embed_words(CODES)
    shifted = torch.tensor([[0, 3, 1, 0, 4, 2], [0, 0, 0, 0, 2, 0], [0] * 6, [0, 0, 0, 1, 5, 2]])
    again, same = net.embed_words(shifted)
    assert torch.equal(counts, same)
    assert torch.allclose(again[:, :4], words, atol=1e-6) and not again[:, 4:].any()


def test_regions_are_a_layer_and_a_norm():
    net = small()
    features = torch.randn(3, 5, 7)
    rows = net.embed_regions(features)
    expected = features @ net.region.weight.T + net.region.bias
    assert torch.allclose(rows, expected / expected.norm(dim=2, keepdim=True), atol=1e-6)
    with pytest.raises(DataError, match=r"regions: expected a tensor \(items, rows, D\), found shape"):
        net(features[0], CODES)


@pytest.mark.parametrize(
    ("direction", "pooling", "smooth", "sharp"),
    [("t-i", "avg", 9, 6), ("t-i", "lse", 9, 6), ("i-t", "avg", 4, 5), ("i-t", "lse", 4, 5)],
)
def test_scores_use_the_published_settings(direction, pooling, smooth, sharp):
    net = small(direction=direction, pooling=pooling)
    features, region_counts = torch.randn(3, 5, 7), torch.tensor([5, 2, 0])
    rows, (words, counts) = net.embed_regions(features), net.embed_words(CODES)
    expected = scan_scores(rows, words, region_counts, counts, direction, pooling, smooth, sharp)
    scores = net.scores(rows, words, region_counts, counts)
    assert scores.shape == (3, 4) and torch.allclose(scores, expected, atol=1e-6)
    other = small(direction=direction, pooling=pooling, sharp=2.5)
    expected = scan_scores(rows, words, region_counts, counts, direction, pooling, smooth, 2.5)
    assert torch.allclose(other.scores(rows, words, region_counts, counts), expected, atol=1e-6)
    assert not scores[2].any() and not scores[:, 2].any()


def test_one_image_and_one_caption_can_be_asked_for():
    net = small(rich=True).eval()
    features = torch.randn(6, 5, 7)
    with torch.inference_mode():
        scores = net(features, CODES)
        assert torch.allclose(net(features[2:3], CODES), scores[2:3], atol=1e-6)
        assert torch.allclose(net(features, CODES[3:, :3]), scores[:, 3:], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_keeps_rows_and_scores_in_float32(kind):
    net = small(**kind)
    features = torch.randn(3, 5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows, (words, counts) = net.embed_regions(features), net.embed_words(CODES)
        scores = net.scores(rows, words, word_counts=counts)
    assert rows.dtype == words.dtype == scores.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=2), torch.ones(3, 5), atol=1e-6)
    scores.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same():
    net = small(rich=True)
    features = torch.randn(3, 5, 7)
    expected = net(features, CODES)
    scores = net.cuda()(features.cuda(), CODES.cuda())
    assert scores.is_cuda and torch.allclose(scores.cpu(), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["t-i", "i-t"])
def test_it_learns_a_tiny_set(direction, kind):
    """Each of six images shows two things beside noise, and its caption names them."""
    torch.manual_seed(3)  # from others the hinges may end at one pair taken for another
    net = SCAN(5, word_dim=12, dim=24, region_dim=7, direction=direction, **kind).double()
    codes = torch.tensor([[1, 2], [3, 1], [4, 5], [2, 4], [5, 1], [3, 5]])
    features = torch.cat([3 * torch.randn(6, 7)[codes], 0.3 * torch.randn(6, 1, 7)], dim=1).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(100):
        scores = net(features, codes)
        right = scores.diagonal()
        hinges = (0.2 + scores - right[:, None]).clamp_min(0) + (0.2 + scores - right[None]).clamp_min(0)
        loss = hinges.fill_diagonal_(0).sum()
        optimiser.zero_grad()
        loss.backward()
        assert losses or all(p.grad.abs().sum() > 0 for p in net.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 5 and losses[-1] < 0.1 * losses[0]
    assert scores.argmax(0).tolist() == scores.argmax(1).tolist() == list(range(6))


@pytest.mark.parametrize("wrong", [{"direction": "both"}, {"pooling": "sum"}, {"dim": 0}])
def test_messages(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=.*: expected"):
        SCAN(**{"words": 5, "dim": 8, "region_dim": 7} | wrong)
