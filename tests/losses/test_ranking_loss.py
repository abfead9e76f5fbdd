"""The ranking loss against explicit loops."""

from statistics import mean

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import ranking_loss


def cosine(a, b):
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm else 0.0


def naive(images, sentences, groups, margin, negatives, image_pool, sentence_pool):
    """Eq. 4 for every pair, negatives taken from the pools one by one; sum over the pairs."""
    total = 0.0
    for i in range(len(images)):
        positive = cosine(images[i], sentences[i])
        for anchor, (pool, pool_groups) in ((images[i], sentence_pool), (sentences[i], image_pool)):
            hinges = [
                max(0.0, margin - positive + cosine(anchor, other))
                for other, group in zip(pool, pool_groups, strict=True)
                if int(group) != int(groups[i])
            ]
            total += {"all": sum, "hardest": max, "mean": mean}[negatives](hinges) if hinges else 0.0
    return total


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
@pytest.mark.parametrize("margin", [0.2, 1.0])
@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 2], [3, 3, 3, 3, 3]])
def test_equals_loops(negatives, margin, groups):
    torch.manual_seed(1)
    images, sentences = torch.randn(2, 5, 3, dtype=torch.float64)
    groups = torch.tensor(groups)
    ours = ranking_loss(images, sentences, groups, margin, negatives, reduction="sum")
    expected = naive(images, sentences, groups, margin, negatives, (images, groups), (sentences, groups))
    assert float(ours) == pytest.approx(expected, abs=1e-12)
    mean = ranking_loss(images, sentences, groups, margin, negatives, reduction="mean")
    assert float(mean) == pytest.approx(expected / 5, abs=1e-12)


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_pools_of_other_sizes(negatives):
    torch.manual_seed(2)
    images, sentences = torch.randn(2, 4, 3, dtype=torch.float64)
    groups = torch.arange(4)
    image_pool = (torch.randn(2, 3, dtype=torch.float64), torch.tensor([0, 9]))
    sentence_pool = (torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1, 2]))
    ours = ranking_loss(
        images,
        sentences,
        groups,
        1.0,
        negatives,
        "sum",
        negative_images=image_pool,
        negative_sentences=sentence_pool,
    )
    expected = naive(images, sentences, groups, 1.0, negatives, image_pool, sentence_pool)
    assert float(ours) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_gradient(negatives):
    torch.manual_seed(3)
    images = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    sentences = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda i, s: ranking_loss(i, s, None, 1.0, negatives), (images, sentences)
    )


@pytest.mark.parametrize("negatives", ["all", "hardest", "mean"])
def test_degenerate_batches(negatives):
    one = torch.randn(1, 3, requires_grad=True)
    assert float(ranking_loss(one, one, negatives=negatives)) == 0.0
    empty = torch.zeros(0, 3, requires_grad=True)
    assert float(ranking_loss(empty, empty, negatives=negatives)) == 0.0
    same = torch.ones(3, 4, requires_grad=True)
    loss = ranking_loss(same, same, margin=0.5, negatives=negatives)
    loss.backward()
    expected = 2 * 0.5 * (2 if negatives == "all" else 1)
    assert float(loss) == pytest.approx(expected)
    assert torch.isfinite(same.grad).all()
    zero = torch.zeros(3, 4, requires_grad=True)
    ranking_loss(zero, zero, negatives=negatives).backward()
    assert torch.isfinite(zero.grad).all()


def test_scale_of_the_features_does_not_matter():
    torch.manual_seed(4)
    images, sentences = torch.randn(2, 5, 3, dtype=torch.float64)
    assert float(ranking_loss(images, sentences)) == pytest.approx(
        float(ranking_loss(7 * images, 0.1 * sentences))
    )


def test_bad_arguments():
    x = torch.randn(2, 3)
    with pytest.raises(ConfigError, match="negatives"):
        ranking_loss(x, x, negatives="softest")
    with pytest.raises(ConfigError, match="reduction"):
        ranking_loss(x, x, reduction="median")
    with pytest.raises(ConfigError, match="differ"):
        ranking_loss(x, torch.randn(3, 3))
