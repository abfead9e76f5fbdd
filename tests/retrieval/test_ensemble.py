"""Ensembles against explicit loops: by similarity, by features, and that these are one for unit features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.retrieval import ensemble, evaluate, evaluate_scores
from imtext.retrieval.ensemble import concatenated, mean_scores


def toy(sizes=(5, 3, 8), n=7, m=19, seed=0):
    """Embeddings of several models, of one number of images and of captions and different dimensions."""
    generator = np.random.default_rng(seed)
    return [(generator.normal(size=(n, d)) * 3.0, generator.normal(size=(m, d)) * 0.2) for d in sizes]


def naive_cosine(a, b):
    scale = np.sqrt(sum(x * x for x in a)) * np.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / scale if scale else 0.0


def naive_mean(models, weights):
    n, m = len(models[0][0]), len(models[0][1])
    total = np.zeros((n, m))
    for (images, captions), weight in zip(models, weights, strict=True):
        for i in range(n):
            for j in range(m):
                total[i, j] += weight / sum(weights) * naive_cosine(images[i], captions[j])
    return total


@pytest.mark.parametrize("weights", [None, (1, 1, 1), (0.2, 3.0, 0.0)])
@pytest.mark.parametrize("numbers", [4, 1 << 22])
def test_similarities_and_concatenated_features_are_the_loops(weights, numbers, monkeypatch):
    monkeypatch.setattr(ensemble, "_NUMBERS", numbers)
    models = toy()
    expected = naive_mean(models, weights or (1, 1, 1))
    each = [naive_mean([model], [1]) for model in models]
    np.testing.assert_allclose(mean_scores(each, weights), expected, atol=1e-12)
    images, captions = concatenated(models, weights)
    assert images.shape == (7, 16) and images.dtype == torch.float64
    np.testing.assert_allclose(images @ captions.T, expected, atol=1e-12)
    np.testing.assert_allclose(images.norm(dim=1), 1.0)


def test_both_ways_give_the_same_ranks():
    models = [tuple(side.astype(np.float32) for side in model) for model in toy(n=40, m=120)]
    owners = np.arange(120) % 40
    by_features = evaluate(*concatenated(models), owners)
    by_similarity = evaluate_scores(mean_scores([naive_mean([model], [1]) for model in models]), owners)
    alone = evaluate(*models[0], owners)
    np.testing.assert_array_equal(by_features.image_query_ranks, by_similarity.image_query_ranks)
    np.testing.assert_array_equal(by_features.text_query_ranks, by_similarity.text_query_ranks)
    assert (alone.text_query_ranks != by_features.text_query_ranks).any()


def test_zscores_take_out_offset_and_size():
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, 6, 9))
    plain = (one - one.mean()) / one.std() + (two - two.mean()) / two.std()
    found = mean_scores([one * 1e-3 + 5e4, two * 70.0 - 4.0], scale="zscore")
    np.testing.assert_allclose(found, plain / 2, atol=1e-6)
    assert np.isfinite(mean_scores([np.ones((2, 3)), one[:2, :3]], scale="zscore")).all()


def test_types():
    models = toy()
    single = [tuple(torch.from_numpy(side).float() for side in model) for model in models]
    assert concatenated(models)[0].dtype == torch.float64
    assert concatenated(single)[0].dtype == torch.float32
    half = [tuple(side.to(torch.bfloat16) for side in model) for model in single]
    assert concatenated(half)[0].dtype == torch.float32
    assert mean_scores([torch.ones(2, 3, dtype=torch.bfloat16)] * 2).dtype == np.float32
    assert (
        mean_scores([np.ones((2, 3), dtype=int), np.zeros((2, 3), dtype=np.float32)]).tolist()
        == [[0.5] * 3] * 2
    )


def test_a_row_of_zeros_leaves_the_mean_to_the_other_models():
    models = toy()
    models[1][0][2] = 0.0
    assert concatenated(models)[0][2].norm() == pytest.approx(np.sqrt(2 / 3))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mean_scores([]), "expected at least one"),
        (lambda: concatenated([]), "expected at least one"),
        (lambda: mean_scores([np.eye(3), np.ones((3, 2))]), r"model 1 has \(3, 2\) images and captions"),
        (lambda: mean_scores([np.eye(3), np.ones(3)]), r"scores\[1\]: expected numbers"),
        (lambda: mean_scores([[[1.0, float("nan")]]]), r"scores\[0\]: row 0 holds NaN"),
        (lambda: mean_scores([[[float("inf"), 1.0]]]), r"scores\[0\]: row 0 holds NaN"),
        (lambda: mean_scores([[[1.0], [1.0, 2.0]]]), "rows of one length"),
        (lambda: concatenated([toy()[0], toy(n=6)[0]]), r"model 1 has \(6, 19\)"),
        (lambda: concatenated([toy()[0], toy(m=6)[0]]), r"model 1 has \(7, 6\)"),
        (lambda: concatenated([(np.eye(2), np.eye(3))]), "one space"),
    ],
)
def test_unfit_models_are_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("weights", [(1,), (1, -1), (0, 0), (float("nan"), 1), ("a", "b"), 3])
def test_unfit_weights_are_named(weights):
    with pytest.raises(ConfigError, match="weights: expected 2 numbers"):
        mean_scores([np.eye(2), np.eye(2)], weights)


def test_unknown_scale_is_named():
    with pytest.raises(ConfigError, match="scale='rank': expected one of none, zscore"):
        mean_scores([np.eye(2)], scale="rank")
