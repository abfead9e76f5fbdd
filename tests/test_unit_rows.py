"""Rows of length 1, and rows of zeros, which have no direction: they must move nothing."""

import pytest
import torch

from imtext.losses import intra_modal_loss, ranking_loss, structure_preserving_loss
from imtext.models import two_branch

LOSSES = {
    "ranking": lambda x, y: ranking_loss(x, y, margin=0.2),
    "structure": lambda x, y: structure_preserving_loss(
        x, y, torch.eye(4, dtype=torch.bool).repeat_interleave(2, 0)[:4], lambdas=(2.0, 0.1, 0.2)
    ),
    "intra-modal, l1": lambda x, y: intra_modal_loss(x, y, low=0.0, high=1.0),
    "intra-modal, l2": lambda x, y: intra_modal_loss(x, y, distance="l2", low=0.0, high=1.0),
    "intra-modal, cosine": lambda x, y: intra_modal_loss(
        x, y, distance="cosine", reading="released_cosine", low=-1.0, high=2.0
    ),
}


def rows(dtype=torch.float64):
    """Images and captions, the second caption without a known word."""
    random = torch.Generator().manual_seed(0)
    images, captions = torch.randn(2, 4, 3, generator=random, dtype=dtype)
    captions[1] = 0
    return images.requires_grad_(), captions.requires_grad_()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_of_zeros_gets_no_gradient_and_the_others_theirs(name, dtype):
    images, captions = rows(dtype)
    LOSSES[name](images, captions).backward()
    assert not captions.grad[1].any()
    for gradient in (images.grad, captions.grad):
        assert gradient.any() and gradient.abs().max() < 100


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_beside_a_row_of_zeros_are_those_of_the_loss(name):
    images, captions = rows()
    others = captions.detach()[[0, 2, 3]].requires_grad_()

    def loss(images, others):
        return LOSSES[name](images, torch.cat([others[:1], torch.zeros(1, 3).to(others), others[1:]]))

    assert torch.autograd.gradcheck(loss, (images, others))


def test_two_pairs_of_which_one_item_is_zero():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    ranking_loss(x, torch.eye(2), margin=0.2, reduction="mean").backward()
    # Row 1 is drawn to its own caption (0, 1), once as image and once as a caption's image.
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]


def test_a_linear_branch_whose_bias_is_zero_takes_a_row_of_zeros():
    torch.manual_seed(0)
    net = two_branch(3, 3, dim=2, hidden=None)
    out = net.embed_captions(torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]))
    assert not out[0].any()
    (out * torch.tensor([[3.0, 1.0], [1.0, 3.0]])).sum().backward()
    assert net.text_head[0].bias.grad.abs().max() < 100
