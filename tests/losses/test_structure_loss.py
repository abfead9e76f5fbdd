"""The structure-preserving loss against explicit loops over all triplets."""

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses.structure import structure_preserving_loss

EPSILON = 1e-4


def distance(a, b):
    a, b = a / a.norm().clamp_min(1e-12), b / b.norm().clamp_min(1e-12)
    return float((max(0.0, 2 - 2 * float(a @ b)) + EPSILON) ** 0.5)


def naive_term(anchors, items, positive, itself, margin, top_k, mean):
    """One sum of Eq. 5: every positive pair, every negative, the largest hinges."""
    total, pairs = 0.0, 0
    for i in range(len(anchors)):
        for j in range(len(items)):
            if not positive(i, j):
                continue
            pairs += 1
            hinges = []
            for k in range(len(items)):
                if (itself and k == i) or positive(i, k):
                    continue
                hinge = margin + distance(anchors[i], items[j]) - distance(anchors[i], items[k])
                hinges.append(max(0.0, hinge))
            total += sum(sorted(hinges, reverse=True)[:top_k])
    return total / (pairs * top_k) if mean and pairs else total


def naive(images, captions, match, margin, top_k, lambdas, reduction):
    options = (margin, top_k, reduction == "mean")

    def near_images(i, j):
        return i != j and any(match[i, s] and match[j, s] for s in range(len(captions)))

    def near_captions(i, j):
        return i != j and any(match[n, i] and match[n, j] for n in range(len(images)))

    count = max(1, sum(bool(one) for row in match for one in row)) if reduction == "pairs" else 1
    return (
        naive_term(images, captions, lambda i, j: bool(match[i, j]), False, *options)
        + lambdas[0] * naive_term(captions, images, lambda i, j: bool(match[j, i]), False, *options)
        + lambdas[1] * naive_term(images, images, near_images, True, *options)
        + lambdas[2] * naive_term(captions, captions, near_captions, True, *options)
    ) / count


def ragged(owners, images):
    """Match matrix of captions with the index of their image."""
    return torch.tensor(owners)[None, :] == torch.arange(images)[:, None]


MATCHES = {
    "pairs": torch.eye(5, dtype=torch.bool),
    "ragged": ragged([0, 0, 1, 2, 2, 2, 3], 4),
    "many to many": torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]).bool(),
    "all": torch.ones(3, 4, dtype=torch.bool),
    "none": torch.zeros(3, 4, dtype=torch.bool),
    "one image": torch.ones(1, 3, dtype=torch.bool),
}


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
@pytest.mark.parametrize("top_k", [1, 2, 50])
@pytest.mark.parametrize("reduction", ["sum", "mean", "pairs"])
def test_equals_loops(match, top_k, reduction):
    torch.manual_seed(3)
    images = torch.randn(match.shape[0], 3, dtype=torch.float64)
    captions = torch.randn(match.shape[1], 3, dtype=torch.float64)
    lambdas = (2.0, 0.3, 0.2)
    ours = structure_preserving_loss(images, captions, match, 0.4, top_k, lambdas, reduction)
    expected = naive(images, captions, match, 0.4, top_k, lambdas, reduction)
    assert float(ours) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("term", range(4))
def test_each_term_alone(term):
    torch.manual_seed(4)
    match = MATCHES["many to many"]
    images, captions = torch.randn(2, 4, 3, dtype=torch.float64)
    lambdas = [0.0, 0.0, 0.0]
    if term:
        lambdas[term - 1] = 1.5
    ours = structure_preserving_loss(images, captions, match, 0.5, 2, tuple(lambdas))
    assert float(ours) == pytest.approx(naive(images, captions, match, 0.5, 2, lambdas, "sum"))


def test_ties_and_equal_vectors():
    match = MATCHES["ragged"]
    images, captions = torch.ones(4, 3, dtype=torch.float64), torch.ones(7, 3, dtype=torch.float64)
    ours = structure_preserving_loss(images, captions, match, 0.1, 3, (2.0, 0.1, 0.2))
    assert float(ours) == pytest.approx(naive(images, captions, match, 0.1, 3, (2.0, 0.1, 0.2), "sum"))


def released(images, captions, margin, top_k, to_image, among_captions):
    """The loss of the code released with the journal version: a row a draw, all that follows by the draw.

    Captions ``(draws, each, D)``; those of a draw are positives, those of all other draws negatives, also
    where both draws are of one image. Each term is the mean over captions and K, zeros included.
    """
    draws, each = captions.shape[:2]
    terms = [0.0, 0.0, 0.0]
    for draw in range(draws):
        others = [other for other in range(draws) if other != draw]
        for number in range(each):
            caption = captions[draw, number]
            apart = distance(images[draw], caption)
            farthest = max(distance(caption, own) for own in captions[draw])
            negatives = (
                (apart, [distance(images[draw], text) for other in others for text in captions[other]]),
                (apart, [distance(images[other], caption) for other in others]),
                (farthest, [distance(caption, text) for other in others for text in captions[other]]),
            )
            for term, (near, far) in enumerate(negatives):
                hinges = sorted((max(0.0, margin + near - one) for one in far), reverse=True)
                terms[term] += sum(hinges[:top_k]) / (draws * each * top_k)
    return terms[0] + to_image * terms[1] + among_captions * terms[2]


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("drawn", [[0, 1, 2], [0, 1, 0]])
def test_rows_by_draw_are_the_released_loss(drawn, top_k):
    """Three images with two captions each, and an image that was drawn twice."""
    torch.manual_seed(6)
    images = torch.randn(3, 4, dtype=torch.float64)[drawn]
    captions = images[:, None] + torch.randn(3, 2, 4, dtype=torch.float64)
    match = ragged([0, 0, 1, 1, 2, 2], 3)
    ours = structure_preserving_loss(
        images, captions.flatten(0, 1), match, 0.4, top_k, (2.0, 0.0, 0.2), reduction="mean"
    )
    expected = released(images, captions, 0.4, top_k, 2.0, 0.2)
    assert expected > 0.1 and float(ours) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("reduction", ["sum", "mean", "pairs"])
def test_gradients_are_right(reduction):
    torch.manual_seed(5)
    match = MATCHES["ragged"]
    images = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    captions = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y: structure_preserving_loss(x, y, match, 0.37, 2, (2.0, 0.1, 0.2), reduction),
        (images, captions),
    )


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_gradients_are_finite_at_distance_zero(match):
    images = torch.ones(match.shape[0], 3, requires_grad=True)
    captions = torch.ones(match.shape[1], 3, requires_grad=True)
    structure_preserving_loss(images, captions, match, lambdas=(2.0, 0.1, 0.2)).backward()
    assert images.grad.isfinite().all()
    assert captions.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduction": "max"}, "reduction"),
        ({"lambdas": (1.0, 2.0)}, "expected three"),
        ({"top_k": 0}, "top_k"),
        ({"match": torch.ones(3, 3)}, "match as bool"),
        ({"match": torch.ones(2, 3, dtype=torch.bool)}, "match as bool"),
        ({"captions": torch.ones(3, 5)}, "images .N, D."),
        ({"captions": torch.ones(2, 4)}, "pairs, or match"),
    ],
)
def test_what_does_not_fit(change, words):
    arguments = {"images": torch.ones(3, 4), "captions": torch.ones(3, 4), **change}
    with pytest.raises(ConfigError, match=words):
        structure_preserving_loss(**arguments)
