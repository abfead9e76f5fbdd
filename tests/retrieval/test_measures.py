"""top_k, separation, Pearson maps and the bootstrap against explicit loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import cosine

from imtext.errors import ConfigError, DataError
from imtext.retrieval import (
    mean_off_diagonal,
    pearson_map,
    separation,
    similarity,
    spread,
    top_k,
)


@pytest.fixture
def embeddings():
    generator = np.random.default_rng(3)
    owners = generator.permutation(np.concatenate([np.arange(9), generator.integers(0, 9, 15)]))
    images = generator.normal(size=(9, 5))
    return images, generator.normal(size=(24, 5)) + images[owners], owners


@pytest.mark.parametrize("numbers", [1 << 24, 27, 108])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_top_k_sorts_by_score_then_index(embeddings, monkeypatch, numbers, k):
    monkeypatch.setattr(similarity, "_NUMBERS", numbers)
    images, captions, _ = embeddings
    gallery = np.concatenate([images, images[::-1], 2 * images])
    scores, indices = top_k(torch.tensor(captions), gallery, k)
    for query, row, found in zip(captions, scores, indices, strict=True):
        expected = sorted(range(27), key=lambda i: (-round(cosine(query, gallery[i]), 9), i))[:k]
        assert found.tolist() == expected
        assert row == pytest.approx([cosine(query, gallery[i]) for i in expected])


def test_top_k_of_a_constant_gallery_is_the_first_rows():
    assert top_k(np.ones((2, 7)), np.full((50, 7), 0.3), 4)[1].tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("k", [0, 1.5, True])
def test_top_k_refuses_an_unfit_k(k):
    with pytest.raises(ConfigError, match="k="):
        top_k(np.ones((1, 2)), np.ones((3, 2)), k)


def test_separation_equals_explicit_histograms(embeddings, monkeypatch):
    images, captions, owners = embeddings
    positive = [cosine(images[owner], caption) for owner, caption in zip(owners, captions, strict=True)]
    negative = [
        cosine(image, caption)
        for j, caption in enumerate(captions)
        for i, image in enumerate(images)
        if i != owners[j]
    ]
    for held in (1 << 22, 50):
        monkeypatch.setattr(spread, "_NUMBERS", held)
        result = separation(images, captions, owners, bins=20)
        p, _ = np.histogram(positive, 20, (-1, 1), density=True)
        q, _ = np.histogram(negative, 20, (-1, 1), density=True)
        np.testing.assert_allclose(result.positive, p)
        np.testing.assert_allclose(result.negative, q)
        assert pytest.approx(np.minimum(p, q).sum() * 0.1) == result.S
        assert result.mean_positive == pytest.approx(np.mean(positive))
        assert result.mean_negative == pytest.approx(np.mean(negative))
        assert len(result.edges) == 21


def test_separation_of_extremes():
    assert pytest.approx(1) == separation(np.ones((3, 4)), np.ones((3, 4)), [0, 1, 2]).S
    assert separation(np.eye(4), np.eye(4), range(4)).S == 0
    with pytest.raises(DataError, match="one image"):
        separation(np.ones((1, 2)), np.ones((2, 2)), [0, 0])
    with pytest.raises(ConfigError, match="bins"):
        separation(np.eye(2), np.eye(2), [0, 1], bins=1)


def test_pearson_map_equals_numpy_and_calls_a_constant_row_uncorrelated():
    features = np.random.default_rng(0).normal(size=(6, 30)) + 5
    np.testing.assert_allclose(pearson_map(features.astype(np.float32)), np.corrcoef(features), atol=1e-6)
    features[2] = 0.1
    matrix = pearson_map(features)
    assert matrix[2].tolist() == [0, 0, 1, 0, 0, 0]
    off = [matrix[i, j] for i in range(6) for j in range(6) if i != j]
    assert mean_off_diagonal(matrix) == pytest.approx(sum(off) / 30)


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.ones((1, 1)), np.ones(4)])
def test_mean_off_diagonal_refuses_what_is_not_square(matrix):
    with pytest.raises(DataError, match="square"):
        mean_off_diagonal(matrix)
