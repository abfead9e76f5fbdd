"""Fisher vectors against plain loops, and the sum over words against the direct form."""

from __future__ import annotations

import fisher_naive as naive
import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from imtext.errors import DataError
from imtext.text.fisher import GaussianMixture, HybridMixture, fisher_vector, signed_root
from imtext.text.fisher import encode as module
from imtext.text.fisher.encode import Contributions
from imtext.text.fisher.mixture import workers

KINDS = (HybridMixture, GaussianMixture)


def fitted(kind, dim: int = 5, scale: float = 1.0) -> tuple[np.ndarray, HybridMixture]:
    random = np.random.default_rng(3)
    points = scale * (random.laplace(size=(40, dim)) + 2 * random.integers(3, size=(40, 1)))
    return points, kind(4, 4).fit(points, random.integers(1, 9, 40))


def bags(points: int, captions: int) -> sp.csr_array:
    """Captions of 0 to 9 words, some more than once."""
    random = np.random.default_rng(4)
    counts = sp.lil_array((captions, points))
    for row in range(captions):
        for word in random.integers(points, size=row % 10):
            counts[row, word] += 1
    return counts.tocsr()


def table(points: np.ndarray, mixture: HybridMixture) -> Contributions:
    with workers() as pool:
        return Contributions(points, mixture.posteriors(points), mixture, pool)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_fisher_vector_is_that_of_plain_loops(kind, count) -> None:
    points, mixture = fitted(kind)
    some = points[np.arange(count) % 5]
    expected = naive.fisher_vector(some, mixture)
    np.testing.assert_allclose(fisher_vector(some, mixture), expected, rtol=1e-9, atol=1e-12)
    assert len(expected) == 2 * 4 * 5


def test_a_point_on_the_median_has_no_direction() -> None:
    points, mixture = fitted(HybridMixture)
    k, d = np.argwhere(mixture.laplace_)[0]
    x = points[:1].copy()
    x[0, d] = mixture.medians_[k, d]
    assert fisher_vector(x, mixture).reshape(2, 4, 5)[0, k, d] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0], ids=["soft", "middle", "hard"])
def test_the_sum_over_words_is_the_direct_form(kind, scale, monkeypatch) -> None:
    monkeypatch.setattr(module, "_POINTS", 7)
    points, mixture = fitted(kind, scale=scale)
    counts = bags(40, 30)
    first, second = table(points, mixture).sums(counts)
    for row, found in enumerate(np.concatenate([first, second], axis=1)):
        words = np.repeat(np.arange(40), counts[[row]].toarray()[0].astype(int))
        expected = fisher_vector(points[words], mixture)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5 * np.abs(expected).max(initial=0.1))


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_captions_are_rooted_and_of_length_one(kind, monkeypatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 4)
    points, mixture = fitted(kind)
    counts = bags(40, 30)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            contributions = table(points, mixture)
            with workers() as pool:
                found.append(contributions.encode(counts, pool))
    assert np.array_equal(*found) and found[0].dtype == np.float32
    empty = np.arange(30) % 10 == 0
    np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), ~empty, atol=1e-6)
    for row in np.flatnonzero(~empty)[:5]:
        words = np.repeat(np.arange(40), counts[[row]].toarray()[0].astype(int))
        raw = naive.fisher_vector(points[words], mixture)
        squares = np.sign(found[0][row]) * found[0][row] ** 2
        np.testing.assert_allclose(squares, raw / np.abs(raw).sum(), atol=1e-6)


def test_a_dead_component_gives_zeros() -> None:
    points, mixture = fitted(HybridMixture)
    mixture.priors_[2] = 0
    mixture.priors_ /= mixture.priors_.sum()
    found = fisher_vector(points[:6], mixture).reshape(2, 4, 5)
    assert np.isfinite(found).all() and (found[:, 2] == 0).all() and (found[:, 1] != 0).any()


def test_no_points_and_wrong_points() -> None:
    _, mixture = fitted(HybridMixture)
    assert fisher_vector(np.empty((0, 5)), mixture).tolist() == [0.0] * 40
    with pytest.raises(DataError, match="5 numbers, found shape \\(3, 4\\)"):
        fisher_vector(np.ones((3, 4)), mixture)
    first, second = table(np.ones((3, 5)), mixture).sums(sp.csr_array((2, 3)))
    assert not first.any() and not second.any()


def test_signed_root() -> None:
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    kept = x.copy()
    expected = np.sign(x) * np.sqrt(np.abs(x))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(signed_root(x), expected, rtol=1e-6)
    assert np.array_equal(x, kept)
