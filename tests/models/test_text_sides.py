"""What holds of every recurrent text side: padding, gradients, captions without words, and that it learns."""

import pytest
import torch

from imtext.losses.ranking import ranking_loss
from imtext.models import GRUText, LSTMText, vse
from imtext.text import position_shift

KINDS = [(LSTMText, {"readout": readout}) for readout in ("halves", "last", "released")]
KINDS += [
    (GRUText, {"bidirectional": both, "pooled_words": pooled})
    for both in (False, True)
    for pooled in (None, "mean", "max")
]
CODES = torch.tensor([[3, 1, 4, 1, 5], [2, 0, 0, 0, 0], [6, 6, 0, 0, 0], [0, 0, 0, 0, 0], [5, 2, 3, 0, 0]])
LENGTHS = torch.tensor([1.0, 1, 1, 0, 1])


@pytest.fixture(params=KINDS, ids=lambda kind: " ".join(map(str, (kind[0].__name__, *kind[1].values()))))
def side(request):
    """A text side of six words, in evaluation mode."""
    torch.manual_seed(0)
    kind, options = request.param
    net = kind(6, word_dim=3, dim=4, **options).eval()
    with torch.no_grad():  # biases as they are after training, which zeros at the start would hide
        for name, values in net.rnn.named_parameters():
            if "bias" in name:
                values.uniform_(-0.5, 0.5)
    return net


def test_padding_is_nothing_wherever_it_stands(side):
    net = side.double()
    wide = torch.cat([CODES, torch.zeros(5, 9, dtype=torch.long)], dim=1)
    shifted = position_shift(wide, (wide > 0).sum(1), torch.Generator().manual_seed(1))
    assert not torch.equal(shifted, wide)
    for codes in (wide, shifted):
        assert torch.allclose(net(codes), net(CODES), rtol=0, atol=1e-14)
    holes = torch.tensor([[0, 3, 0, 1, 4, 0, 1, 5]])
    assert torch.allclose(net(holes), net(CODES[:1]), rtol=0, atol=1e-14)


def test_gradient(side):
    net = vse(side, image_dim=5, dim=4).double()
    names, values = zip(*net.named_parameters(), strict=True)
    x = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    codes = CODES.flip(1)  # padding in front

    def embed(x, *values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x, codes))

    assert torch.autograd.gradcheck(embed, (x, *values))


def test_a_caption_without_words_is_zero_and_harmless(side):
    net = vse(side, image_dim=5, dim=4)
    with torch.no_grad():
        for head in (net.image_head, net.text_head):
            for values in head.parameters():
                values += 0.5
    rows = net.embed_captions(CODES)
    assert torch.allclose(rows.norm(dim=1), LENGTHS)
    ranking_loss(net.embed_images(torch.randn(5, 5)), rows, margin=0.2).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    alone = net.embed_captions(CODES[3:4])
    assert alone.shape == (1, 4) and not alone.any()


def test_padding_never_learns(side):
    (side(CODES) * torch.randn(5, side.dim)).sum().backward()
    assert not side.word.weight[0].any() and not side.word.weight.grad[0].any()
    assert side.word.weight.grad[1:].any(dim=1).all()


def test_autocast_keeps_lengths(side):
    net = vse(side, image_dim=5, dim=4)
    with torch.autocast("cpu", torch.bfloat16):
        images, captions = net(torch.randn(5, 5), CODES)
    assert images.dtype == captions.dtype == torch.float32
    assert torch.allclose(images.norm(dim=1), torch.ones(5), atol=1e-6)
    assert torch.allclose(captions.norm(dim=1), LENGTHS, atol=1e-6)
    assert torch.allclose(captions, net.embed_captions(CODES), atol=0.05)
    ranking_loss(images, captions).backward()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu(side):
    net, x = vse(side, image_dim=5, dim=4).double(), torch.randn(5, 5, dtype=torch.float64)
    here, there = net(x, CODES), net.cuda()(x.cuda(), CODES.cuda())
    for a, b in zip(here, there, strict=True):
        assert b.is_cuda and torch.allclose(a, b.cpu(), atol=1e-10)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_overfits_a_tiny_set(kind, options):
    torch.manual_seed(6)
    images, codes = torch.randn(12, 10), torch.zeros(12, 8, dtype=torch.long)
    codes[:, :4] = torch.randint(1, 20, (12, 4))
    net = vse(kind(20, 8, 32, dropout=0.1, **options), image_dim=10, dim=32)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        ranking_loss(*net(images, codes), margin=0.2, reduction="sum").backward()
        optimizer.step()
    a, b = net.eval()(images, codes)
    similarity = a @ b.T
    assert torch.equal(similarity.argmax(1), torch.arange(12))
    assert torch.equal(similarity.argmax(0), torch.arange(12))
