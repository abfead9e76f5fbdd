"""The structure-preserving loss against explicit loops over all triplets."""

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses.structure import structure_preserving_loss

EPSILON = 1e-4


def distance(a, b):
    a, b = a / a.norm().clamp_min(1e-12), b / b.norm().clamp_min(1e-12)
    return float((max(0.0, 2 - 2 * float(a @ b)) + EPSILON) ** 0.5)


def naive_term(anchors, items, positive, itself, margin, top_k, mean, same):
    """One sum of Eq. 5: every positive pair, every negative, the largest hinges."""
    total, pairs = 0.0, 0
    for i in range(len(anchors)):
        for j in range(len(items)):
            if not positive(i, j):
                continue
            pairs += 1
            hinges = []
            for k in range(len(items)):
                if k == j or (itself and k == i) or (same == "ignore" and positive(i, k)):
                    continue
                hinge = margin + distance(anchors[i], items[j]) - distance(anchors[i], items[k])
                hinges.append(max(0.0, hinge))
            total += sum(sorted(hinges, reverse=True)[:top_k])
    return total / (pairs * top_k) if mean and pairs else total


def naive(images, sentences, match, margin, top_k, lambdas, reduction, same):
    options = (margin, top_k, reduction == "mean", same)

    def near_images(i, j):
        return i != j and any(match[i, s] and match[j, s] for s in range(len(sentences)))

    def near_sentences(i, j):
        return i != j and any(match[n, i] and match[n, j] for n in range(len(images)))

    return (
        naive_term(images, sentences, lambda i, j: bool(match[i, j]), False, *options)
        + lambdas[0] * naive_term(sentences, images, lambda i, j: bool(match[j, i]), False, *options)
        + lambdas[1] * naive_term(images, images, near_images, True, *options)
        + lambdas[2] * naive_term(sentences, sentences, near_sentences, True, *options)
    )


def ragged(owners, images):
    """Match matrix of sentences with the index of their image."""
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
@pytest.mark.parametrize("same", ["ignore", "negative"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_equals_loops(match, top_k, same, reduction):
    torch.manual_seed(3)
    images = torch.randn(match.shape[0], 3, dtype=torch.float64)
    sentences = torch.randn(match.shape[1], 3, dtype=torch.float64)
    lambdas = (2.0, 0.3, 0.2)
    ours = structure_preserving_loss(images, sentences, match, 0.4, top_k, lambdas, reduction, same)
    expected = naive(images, sentences, match, 0.4, top_k, lambdas, reduction, same)
    assert float(ours) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("term", range(4))
def test_each_term_alone(term):
    torch.manual_seed(4)
    match = MATCHES["many to many"]
    images, sentences = torch.randn(2, 4, 3, dtype=torch.float64)
    lambdas = [0.0, 0.0, 0.0]
    if term:
        lambdas[term - 1] = 1.5
    ours = structure_preserving_loss(images, sentences, match, 0.5, 2, tuple(lambdas))
    assert float(ours) == pytest.approx(naive(images, sentences, match, 0.5, 2, lambdas, "sum", "ignore"))


@pytest.mark.parametrize("same", ["ignore", "negative"])
def test_ties_and_equal_vectors(same):
    match = MATCHES["ragged"]
    images, sentences = torch.ones(4, 3, dtype=torch.float64), torch.ones(7, 3, dtype=torch.float64)
    ours = structure_preserving_loss(images, sentences, match, 0.1, 3, (2.0, 0.1, 0.2), same=same)
    assert float(ours) == pytest.approx(naive(images, sentences, match, 0.1, 3, (2.0, 0.1, 0.2), "sum", same))


def test_gradients_are_right():
    torch.manual_seed(5)
    match = MATCHES["ragged"]
    images = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    sentences = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y: structure_preserving_loss(x, y, match, 0.37, 2, (2.0, 0.1, 0.2)), (images, sentences)
    )


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_gradients_are_finite_at_distance_zero(match):
    images = torch.ones(match.shape[0], 3, requires_grad=True)
    sentences = torch.ones(match.shape[1], 3, requires_grad=True)
    structure_preserving_loss(images, sentences, match, lambdas=(2.0, 0.1, 0.2)).backward()
    assert images.grad.isfinite().all()
    assert sentences.grad.isfinite().all()


def test_zero_vectors_are_finite():
    images = torch.zeros(3, 4, requires_grad=True)
    structure_preserving_loss(images, torch.randn(3, 4)).backward()
    assert images.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduction": "max"}, "reduction"),
        ({"same": "maybe"}, "same"),
        ({"lambdas": (1.0, 2.0)}, "three lambdas"),
        ({"top_k": 0}, "top_k"),
        ({"match": torch.ones(3, 3)}, "expected bool"),
        ({"match": torch.ones(2, 3, dtype=torch.bool)}, "expected bool"),
        ({"sentences": torch.ones(3, 5)}, "images .N, D."),
        ({"sentences": torch.ones(2, 4)}, "pairs"),
    ],
)
def test_what_does_not_fit(change, words):
    arguments = {"images": torch.ones(3, 4), "sentences": torch.ones(3, 4), **change}
    with pytest.raises(ConfigError, match=words):
        structure_preserving_loss(**arguments)
