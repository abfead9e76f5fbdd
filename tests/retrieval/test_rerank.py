"""`rerank` against a dense version with loops, as the released code does it; order, ties, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import toy

from imtext.retrieval import evaluate, evaluate_scores, rerank, reranking, similarity
from imtext.retrieval.similarity import Cosines, Given, as_rows, nearest


def cosines(a, b):
    def unit(x):
        x = np.asarray(x, dtype=np.float64)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        return x / np.where(norm > 0, norm, 1.0)

    return np.round(unit(a) @ unit(b).T, 12)


def naive_graph(across, within_images, within_captions, k1, scale):
    """The dense matrix of all distances, and every node's neighbours in order, itself first."""
    n, m = across.shape
    total = n + m
    whole = np.block([[within_images, across], [across.T, within_captions]]).astype(np.float64)
    side = np.repeat([0, 1], [n, m])
    off = ~np.eye(total, dtype=bool)
    distance, key = np.ones((total, total)), np.full((total, total), np.inf)
    if scale == "rank":
        for p in range(total):
            for b in (0, 1):
                others = [g for g in range(total) if g != p and side[g] == b]
                for place, g in enumerate(sorted(others, key=lambda g: (-whole[p, g], g))):
                    distance[p, g] = min(1.0, (place + 1) / k1)
                    key[p, g] = place
    elif scale == "cross":
        allowed = side[:, None] != side[None]
        top, bottom = whole[allowed].max(), whole[allowed].min()
        distance[allowed] = ((top - whole) / ((top - bottom) or 1.0))[allowed]
        key[allowed] = distance[allowed]
    else:
        if scale == "zscore":
            for a in (0, 1):
                for b in (0, 1):
                    block = (side[:, None] == a) & (side[None] == b) & off
                    if block.any():
                        deviation = whole[block].std()
                        whole[block] = (whole[block] - whole[block].mean()) / (deviation or 1.0)
        top, bottom = whole[off].max(), whole[off].min()
        distance = (top - whole) / ((top - bottom) or 1.0)
        key = distance.copy()
    np.fill_diagonal(distance, 0.0)
    np.fill_diagonal(key, -1.0)
    order = [sorted(np.flatnonzero(np.isfinite(row)), key=lambda g: (row[g], g)) for row in key]  # noqa: B023
    return distance, order


def naive_jaccard(distance, order, n, k1, k2, form="released"):
    """Jaccard similarity of all images and captions, by loops over nodes."""
    total = len(order)

    def mutual_set(p, k):
        return [g for g in order[p][: k + 1] if p in order[g][: k + 1]]

    weights = np.zeros((total, total))
    for p in range(total):
        own = mutual_set(p, k1)
        members = set(own)
        for c in own:
            theirs = mutual_set(c, int(np.around(k1 / 2)))
            common = len(set(theirs) & set(own))
            if 3 * common > 2 * len(theirs) or (form == "printed" and 3 * common == 2 * len(theirs)):
                members |= set(theirs)
        for g in members:
            weights[p, g] = np.exp(-distance[p, g])
        if form == "released":
            weights[p] /= weights[p].sum()
    if k2 > 1:
        weights = np.array([weights[order[p][:k2]].mean(0) for p in range(total)])
    similarity = np.empty((n, total - n))
    for i in range(n):
        for j in range(n, total):
            common = np.minimum(weights[i], weights[j]).sum()
            similarity[i, j - n] = common / np.maximum(weights[i], weights[j]).sum()
    return similarity


def naive_distance(across, within_images, within_captions, k1, k2, weight, scale, form="released"):
    graph = naive_graph(across, within_images, within_captions, k1, scale)
    overlap = naive_jaccard(*graph, len(across), k1, k2, form)
    original = (across.max() - across) / ((across.max() - across.min()) or 1.0)
    return (1 - weight) * (1 - overlap) + weight * original


def rerank_scores(scores, images=None, captions=None, *settings, **more):
    return rerank(None, None, *settings, scores=scores, within=(images, captions), **more)


def as_distance(scores, across, weight):
    """The distance that re-ranked scores stand for."""
    spread = (across.max() - across.min()) or 1.0
    return (1 - weight) + weight * (across.max() - scores) / spread


@pytest.mark.parametrize("scale", ["cross", "none", "zscore", "rank"])
@pytest.mark.parametrize("form", ["released", "printed"])
@pytest.mark.parametrize("k1, k2, weight", [(6, 3, 0.3), (5, 1, 0.5), (9, 6, 0.1), (3, 8, 0.9), (60, 4, 0.3)])
def test_equals_explicit_loops(scale, form, k1, k2, weight):
    images, captions, _ = toy(seed=k1)
    found = rerank(images, captions, k1, k2, weight, scale, form)
    parts = cosines(images, captions), cosines(images, images), cosines(captions, captions)
    expected = naive_distance(*parts, k1, k2, weight, scale, form)
    assert found.dtype == np.float64
    np.testing.assert_allclose(as_distance(found, parts[0], weight), expected, atol=1e-6)
    given = rerank_scores(*parts, k1, k2, weight, scale, form)
    np.testing.assert_allclose(as_distance(given, parts[0], weight), expected, atol=1e-6)


@pytest.mark.parametrize("scale", ["cross", "none", "zscore", "rank"])
def test_equal_items_are_neighbours_by_index(scale):
    generator = np.random.default_rng(1)
    images = generator.normal(size=(4, 3))[generator.integers(0, 4, 9)]
    captions = generator.normal(size=(5, 3))[generator.integers(0, 5, 17)]
    parts = cosines(images, captions), cosines(images, images), cosines(captions, captions)
    expected = naive_distance(*parts, 5, 3, 0.3, scale)
    for found in (rerank(images, captions, 5, 3, scale=scale), rerank_scores(*parts, 5, 3, scale=scale)):
        np.testing.assert_allclose(as_distance(found, parts[0], 0.3), expected, atol=1e-6)


def test_a_pair_that_shares_nothing_keeps_its_score_bit_for_bit():
    images, captions, owners = toy(40, 90, 8, 2.0)
    found = rerank(images, captions, 4, 2, weight=0.3)
    across = cosines(images, captions)
    kept = found == across
    assert 0.05 < kept.mean() < 0.95  # both kinds are there
    assert (found >= across).all()
    floats = rerank(images.astype(np.float32), captions.astype(np.float32), 4, 2, weight=0.3)
    assert floats.dtype == np.float32
    assert (floats == cosines(images.astype(np.float32), captions.astype(np.float32)).astype(np.float32))[
        kept
    ].all()


def test_weight_one_is_the_search_as_it_was_and_weight_zero_is_jaccard_then_the_original():
    images, captions, owners = toy(seed=3)
    before = evaluate(images, captions, owners)
    same = evaluate_scores(rerank(images, captions, 5, 3, weight=1.0), owners)
    np.testing.assert_array_equal(same.image_query_ranks, before.image_query_ranks)
    np.testing.assert_array_equal(same.text_query_ranks, before.text_query_ranks)
    parts = cosines(images, captions), cosines(images, images), cosines(captions, captions)
    overlap = naive_jaccard(*naive_graph(*parts, 5, "cross"), len(images), 5, 3)
    order = rerank(images, captions, 5, 3, weight=0.0).argsort(1)[:, ::-1]
    for i, row in enumerate(order):
        expected = sorted(range(len(row)), key=lambda j: (-round(overlap[i, j], 9), -parts[0][i, j]))
        assert row.tolist() == expected


def test_both_directions_come_from_one_matrix():
    images, captions, _ = toy(seed=5)
    np.testing.assert_allclose(rerank(captions, images, 6, 3).T, rerank(images, captions, 6, 3), atol=1e-12)


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
@pytest.mark.parametrize("scale", ["cross", "zscore"])
def test_blocks_and_types_change_nothing(block, scale, monkeypatch):
    images, captions, _ = toy(30, 70, 16, seed=6)
    expected = rerank(images, captions, 7, 4, scale=scale)
    monkeypatch.setattr(reranking, "_TERMS", 50 * block)
    monkeypatch.setattr(similarity, "_EXACT_ROWS", block)
    monkeypatch.setattr(similarity, "_NUMBERS", 70 * block)
    np.testing.assert_allclose(rerank(images, captions, 7, 4, scale=scale), expected, atol=1e-6)
    scaled = torch.from_numpy(images * 3.0), (captions * 1e-3).tolist()
    np.testing.assert_allclose(rerank(*scaled, 7, 4, scale=scale), expected, atol=1e-6)


@pytest.mark.parametrize("noise", [1e-6, 1e-3])
@pytest.mark.parametrize("margin", [similarity._MARGIN, 0.0])
def test_neighbours_are_exact_where_float32_cannot_tell(noise, margin, monkeypatch):
    monkeypatch.setattr(similarity, "_MARGIN", margin)  # too small a one must widen by itself
    generator = np.random.default_rng(2)
    images = 1.0 + noise * generator.normal(size=(60, 4))
    rows = as_rows(images, "images")
    found = nearest(Cosines(rows, rows), 5, within=True)
    exact = cosines(images, images)
    np.fill_diagonal(exact, -np.inf)
    np.testing.assert_array_equal(found.index, np.argsort(-exact, axis=1, kind="stable")[:, :5])
    many = nearest(Given(np.zeros((3, 50))), 5, within=False)
    np.testing.assert_array_equal(many.index, np.tile(np.arange(5), (3, 1)))


def test_collapsed_embeddings_stay_at_chance():
    n, per_image = 60, 2
    owners = np.repeat(np.arange(n), per_image)
    for scale in ("cross", "none", "zscore", "rank"):
        scores = rerank(np.ones((n, 4)), np.ones((n * per_image, 4)), scale=scale)
        result = evaluate_scores(scores, owners)
        assert result.image_query.r1 <= 5 and result.text_query.r1 <= 5
        assert 20 <= result.text_query.mean_rank <= 40


@pytest.mark.parametrize("n, m", [(1, 7), (7, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("scale", ["cross", "none", "zscore", "rank"])
def test_one_query_or_a_gallery_smaller_than_k1(n, m, scale):
    generator = np.random.default_rng(n)
    images, captions = generator.normal(size=(n, 4)), generator.normal(size=(m, 4))
    parts = cosines(images, captions), cosines(images, images), cosines(captions, captions)
    found = rerank(images, captions, k1=20, scale=scale)
    expected = naive_distance(*parts, 20, 6, 0.3, scale)
    np.testing.assert_allclose(as_distance(found, parts[0], 0.3), expected, atol=1e-6)
    assert rerank_scores(*parts, scale=scale).shape == (n, m)


def test_rows_of_zeros_have_cosine_zero():
    images, captions, _ = toy()
    images[3] = 0.0
    captions[[0, 5]] = 0.0
    parts = cosines(images, captions), cosines(images, images), cosines(captions, captions)
    found = rerank(images, captions, 6, 3)
    np.testing.assert_allclose(
        as_distance(found, parts[0], 0.3), naive_distance(*parts, 6, 3, 0.3, "cross"), atol=1e-6
    )


def test_types_of_ready_scores():
    images, captions, _ = toy(seed=8)
    across = cosines(images, captions)
    half = rerank(scores=torch.from_numpy(across).to(torch.bfloat16), k1=6, k2=3)
    assert half.dtype == np.float32
    assert rerank(scores=(across * 9).astype(int), k1=6, k2=3).dtype == np.float64


def test_across_alone_reads_nothing_within_a_modality():
    images, captions, _ = toy(seed=7)
    across, noise = cosines(images, captions), np.random.default_rng(0).normal(size=(29, 29))
    alone = rerank(scores=across, k1=6, k2=3)
    np.testing.assert_array_equal(rerank_scores(across, noise[:11, :11], noise, k1=6, k2=3), alone)


def test_neighbours_within_a_modality_find_the_image_that_the_cosine_misses():
    """Caption 0 of each image is lost; its sisters are near it and near their image."""
    generator = np.random.default_rng(0)
    n = 60
    images = generator.normal(size=(n, 24))
    owners = np.repeat(np.arange(n), 5)
    topic = generator.normal(size=(n, 24))
    captions = images[owners] * 0.6 + topic[owners] + 0.5 * generator.normal(size=(n * 5, 24))
    captions[::5] -= 0.45 * images
    before = evaluate(images, captions, owners)
    after = evaluate_scores(rerank(images, captions, k1=8, k2=4, scale="zscore"), owners)
    assert after.text_query.r1 > before.text_query.r1 + 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same():
    images, captions, _ = toy(50, 120, 16)
    expected = rerank(images, captions, 7, 4)
    there = torch.from_numpy(images).cuda(), torch.from_numpy(captions).cuda()
    np.testing.assert_allclose(rerank(*there, 7, 4), expected, atol=1e-6)
