"""Captions told apart from a twin, and means over drawn clusters, against explicit loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import cosine

from imtext.errors import ConfigError, DataError
from imtext.retrieval import cluster_bootstrap, told_apart, uncertainty


def naive(images, captions, owners, pairs):
    images, captions = np.asarray(images, dtype=np.float64), np.asarray(captions, dtype=np.float64)
    correct, pair_of_query = [], []
    for number, (one, two) in enumerate(pairs):
        for j, owner in enumerate(owners):
            if owner not in (one, two):
                continue
            twin = two if owner == one else one
            lead = cosine(images[owner], captions[j]) - cosine(images[twin], captions[j])
            correct.append(0.5 if abs(lead) <= 1e-12 else float(lead > 0))
            pair_of_query.append(number)
    return correct, pair_of_query


def toy(seed=0, dtype=np.float32):
    """Ragged captions in no order; images 8 and 9 have none. Some images are in several pairs."""
    generator = np.random.default_rng(seed)
    owners = generator.permutation(np.concatenate([np.arange(8), generator.integers(0, 8, 20)]))
    images = generator.normal(size=(10, 5))
    captions = generator.normal(size=(28, 5)) + images[owners]
    pairs = np.array([[3, 1], [0, 5], [1, 2], [7, 8], [1, 3]])
    return images.astype(dtype), captions.astype(dtype), owners, pairs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_told_apart_equals_loops(seed, dtype):
    images, captions, owners, pairs = toy(seed, dtype)
    images[5] = 2 * images[0]  # a tie for every caption of both
    images[2], captions[np.flatnonzero(owners == 3)[0]] = 0, 0
    correct, pair_of_query = told_apart(images, captions, owners, pairs)
    assert (correct.tolist(), pair_of_query.tolist()) == naive(images, captions, owners, pairs)
    assert (correct.dtype, pair_of_query.dtype) == (np.float64, np.int64)
    assert set(correct[pair_of_query == 1]) == {0.5}
    assert {0.0, 0.5, 1.0} >= set(correct)
    again = told_apart(torch.tensor(images), torch.tensor(captions), owners.tolist(), torch.tensor(pairs))
    assert np.array_equal(again[0], correct) and np.array_equal(again[1], pair_of_query)


def test_a_collapsed_embedding_is_at_chance():
    _, _, owners, pairs = toy()
    correct, _ = told_apart(np.full((10, 7), 0.1), np.full((28, 7), 0.3), owners, pairs)
    assert set(correct) == {0.5}


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (np.zeros((0, 2), int), "P at least 1"),
        ([0, 1], "shape (P, 2)"),
        ([[0, 1, 2]], "shape (P, 2)"),
        ([[0, 1], [2]], "rows of one length"),
        ([[0.0, 1.0]], "found float64"),
        ([[0, 1], [10, 2]], "expected two different images a row, numbered 0 to 9"),
        ([[0, -1]], "expected two different images a row"),
        ([[0, 1], [4, 4]], "expected two different images a row"),
        ([[0, 1], [9, 8]], "neither image of pair 1 (9, 8) has a caption"),
    ],
)
def test_unfit_pairs_are_refused_in_one_line(pairs, words):
    images, captions, owners, _ = toy()
    with pytest.raises(DataError) as error:
        told_apart(images, captions, owners, pairs)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_unfit_embeddings_are_refused():
    images, captions, owners, pairs = toy()
    with pytest.raises(DataError, match="must lie in one space"):
        told_apart(images[:, :4], captions, owners, pairs)
    with pytest.raises(DataError, match=r"expected whole numbers of shape \(28,\)"):
        told_apart(images, captions, owners[:27], pairs)


@pytest.mark.parametrize("draws_held", [1 << 22, 8])
def test_cluster_bootstrap_equals_loops_with_the_same_draws(monkeypatch, draws_held):
    monkeypatch.setattr(uncertainty, "_DRAWS", draws_held)
    generator = np.random.default_rng(2)
    names = np.array([7, 7, -1, 30, 30, 30, 4])
    values = generator.normal(size=7)
    samples = cluster_bootstrap(values, names, n=40, seed=5)
    order = sorted(set(names.tolist()))
    draws = np.random.default_rng(5).integers(0, len(order), (40, len(order)))
    for sample, draw in zip(samples, draws, strict=True):
        drawn = []
        for place in draw:
            drawn += [value for value, name in zip(values, names, strict=True) if name == order[place]]
        assert sample == pytest.approx(sum(drawn) / len(drawn))
    assert samples.shape == (40,) and samples.dtype == np.float64
    assert np.array_equal(samples, cluster_bootstrap(torch.tensor(values), torch.tensor(names), 40, 5))
    assert not np.array_equal(samples, cluster_bootstrap(values, names, n=40, seed=6))


def test_cluster_bootstrap_spreads_as_whole_clusters_do():
    """Ten equal values per cluster tell as much as one: the spread is that of the clusters."""
    values = np.random.default_rng(0).normal(size=200)
    samples = cluster_bootstrap(np.repeat(values, 10), np.repeat(np.arange(200), 10), n=4000)
    assert samples.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.06)
    assert samples.mean() == pytest.approx(values.mean(), abs=0.01)
    assert set(cluster_bootstrap([True, True], [0, 1], n=3).tolist()) == {1.0}


@pytest.mark.parametrize(
    ("values", "clusters", "words"),
    [
        ([], [], "values: expected numbers"),
        ([1.0, np.nan], [0, 1], "values: expected finite numbers, found nan at place 1"),
        ([[1.0], [2.0]], [0, 1], r"found float64 of shape \(2, 1\)"),
        (["a"], [0], "values: expected numbers"),
        ([1.0, 2.0], [0], "clusters: expected one for each of the 2 values"),
    ],
)
def test_unfit_values_are_refused(values, clusters, words):
    with pytest.raises(DataError, match=words):
        cluster_bootstrap(values, clusters)


@pytest.mark.parametrize("n", [0, 2.5, True])
def test_an_unfit_number_of_samples_is_refused(n):
    with pytest.raises(ConfigError, match="n=.*: expected"):
        cluster_bootstrap([1.0], [0], n=n)
