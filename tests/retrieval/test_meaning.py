"""Semantic and graded measures, false matches and agreement, against plain loops."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse, stats

from imtext.errors import ConfigError, DataError
from imtext.retrieval import (
    evaluate_scores,
    graded,
    meaning,
    order_of_models,
    rank_correlation,
)
from imtext.retrieval.meaning import false_matches, pair_matrix


def ranking(row):
    """Gallery indices, best first, ties by index."""
    return sorted(range(len(row)), key=lambda g: (-row[g], g))


def naive(row, own, gain, threshold):
    """All measures of one query."""
    order = ranking(row)
    gain = [1.0 if g in own else gain[g] for g in range(len(row))]
    right = [g for g in range(len(row)) if gain[g] >= threshold]
    plain = next(i for i, g in enumerate(order) if g in own) + 1
    semantic = next(i for i, g in enumerate(order) if g in right) + 1
    total = len(right)
    precision_at = [sum(g in right for g in order[:r]) / r for r in range(1, total + 1)]
    map_at_r = sum(p for p, g in zip(precision_at, order, strict=False) if g in right) / total
    ndcg = []
    for k in (1, 5, 10):
        gained = sum(gain[g] / math.log2(i + 2) for i, g in enumerate(order[:k]))
        ideal = sum(x / math.log2(i + 2) for i, x in enumerate(sorted(gain, reverse=True)[:k]))
        ndcg.append(gained / ideal)
    return plain, semantic, total, precision_at[-1], map_at_r, ndcg


def case(seed, n=9, ties=False):
    """Scores with a ragged number of captions in random order, and a relevance with zeros and ones."""
    random = np.random.default_rng(seed)
    owners = random.permutation(np.repeat(np.arange(n), random.integers(1, 5, n)))
    scores = random.normal(size=(n, len(owners)))
    if ties:
        scores = np.round(scores)
    relevance = random.random((n, len(owners))).round(2) * (random.random((n, len(owners))) < 0.4)
    relevance[random.random(relevance.shape) < 0.08] = 1
    return scores, owners, relevance


@pytest.mark.parametrize("threshold", [1.0, 0.5])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_every_measure_equals_a_loop(threshold, ties, form, monkeypatch):
    for seed in range(6):
        scores, owners, relevance = case(seed, ties=ties)
        monkeypatch.setattr(meaning, "_NUMBERS", [1, 60, 1 << 20][seed % 3])
        given = sparse.coo_matrix(relevance) if form == "sparse" else relevance
        result = graded(scores, owners, given, threshold)
        sides = (
            (result.image_query, scores, relevance, [np.flatnonzero(owners == i) for i in range(9)]),
            (result.text_query, scores.T, relevance.T, [[i] for i in owners]),
        )
        for side, rows, gains, own in sides:
            for q, row in enumerate(rows):
                plain, semantic, total, precision, map_at_r, ndcg = naive(
                    row, set(own[q]), gains[q], threshold
                )
                ranks = side.plain_ranks[q], side.semantic_ranks[q]
                assert ranks == (plain, semantic) and side.right[q] == total
                assert side.r_precision[q] == pytest.approx(precision)
                assert side.map_at_r[q] == pytest.approx(map_at_r)
                assert side.ndcg[q].tolist() == pytest.approx(ndcg)


def test_without_judgements_ranks_are_those_of_evaluate_also_in_groups():
    scores, owners, _ = case(3, ties=True)
    groups = np.array([4, 4, 2, 2, 2, 0, 1, 3, 7])
    for given in (None, groups):
        result = graded(scores, owners, group_of_image=given)
        usual = evaluate_scores(scores, owners, group_of_image=given)
        for kind in ("plain_ranks", "semantic_ranks"):
            assert np.array_equal(getattr(result.text_query, kind), usual.text_query_ranks)
            assert np.array_equal(getattr(result.image_query, kind), usual.image_query_ranks)
        assert result.value("rsum") == pytest.approx(usual.rsum)
    assert result.text_query.right.tolist() == [np.count_nonzero(groups == groups[i]) for i in owners]


def test_values_rows_and_evaluations_say_the_same():
    scores, owners, relevance = case(1)
    result = graded(scores, owners, relevance)
    row = result.row()
    assert row["semantic_rsum"] == result.value("semantic_rsum")
    assert row["image_query_semantic_r5"] == 100 * np.mean(result.image_query.semantic_ranks <= 5)
    assert row["text_query_r1"] == pytest.approx(evaluate_scores(scores, owners).text_query.r1)
    assert row["text_query_ndcg10"] == pytest.approx(100 * result.text_query.ndcg[:, 2].mean())
    assert row["image_query_map_at_r"] == pytest.approx(100 * result.image_query.map_at_r.mean())
    assert result.value("r_precision") == pytest.approx(
        (row["image_query_r_precision"] + row["text_query_r_precision"]) / 2
    )
    assert result.value("semantic_recall@3", "image_query") == pytest.approx(
        100 * np.mean(result.image_query.semantic_ranks <= 3)
    )
    assert result.value("semantic_rsum") > result.value("rsum")



def test_samples_are_means_over_the_images_drawn():
    scores, owners, relevance = case(2)
    result = graded(scores, owners, relevance)
    drawn = np.random.default_rng(5).integers(0, 9, (4, 9))
    samples = result.samples("semantic_recall@1", n=4, seed=5)
    for number, images in enumerate(drawn):
        hits_i = [result.image_query.semantic_ranks[i] <= 1 for i in images]
        hits_t = [
            result.text_query.semantic_ranks[j] <= 1
            for i in images
            for j in range(len(owners))
            if owners[j] == i
        ]
        assert samples[number] == pytest.approx(50 * (np.mean(hits_i) + np.mean(hits_t)))
    both = [result.samples(f"recall@{k}", s, 4, 5) for k in (1, 5, 10) for s in ("image_query", "text_query")]
    assert result.samples("rsum", n=4, seed=5) == pytest.approx(sum(both))


def test_a_collapsed_embedding_scores_chance():
    owners = np.repeat(np.arange(20), 5)
    relevance = np.zeros((20, 100))
    relevance[:, 0] = 1  # all images may have the first caption
    result = graded(np.zeros((20, 100)), owners, relevance)
    assert result.value("recall@1") == 5.0
    assert result.value("semantic_recall@1", "image_query") == 100.0
    assert result.value("semantic_recall@1", "text_query") == 5.0
    assert result.image_query.map_at_r[0] == 1 and result.image_query.map_at_r[19] == pytest.approx(1 / 6)


def test_unfit_input_is_named():
    scores, owners, relevance = case(0)
    for wrong in (relevance[:-1], relevance + 0.5, -relevance):
        with pytest.raises(DataError, match="relevance: expected numbers"):
            graded(scores, owners, wrong)
    holed = relevance.copy()
    holed[0, 0] = np.nan
    with pytest.raises(DataError, match="expected numbers of 0 to 1, found nan"):
        graded(scores, owners, holed)
    with pytest.raises(DataError, match="image 8 has no caption"):
        graded(scores, np.minimum(owners, 7), relevance)
    with pytest.raises(DataError, match="row 2 holds NaN"):
        graded(np.where(np.arange(9)[:, None] == 2, np.nan, scores), owners)
    for threshold in (0, 1.1, True, "1"):
        with pytest.raises(ConfigError, match="threshold="):
            graded(scores, owners, relevance, threshold)
    result = graded(scores, owners)
    for name in ("recall", "recall@0", "ndcg@3", "precision", "recall@-1", "recall@1.5", "recall@²"):
        with pytest.raises(ConfigError, match="measure="):
            result.value(name)
    with pytest.raises(ConfigError, match="side='image'"):
        result.value("rsum", "image")


def test_pair_matrix():
    found = pair_matrix([2, 0], [1, 1], [0.5, 1.0], (3, 4))
    assert found.toarray().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0]]
    assert pair_matrix([0], [0], [False], (1, 1)).toarray().tolist() == [[0]]
    with pytest.raises(DataError, match="image 2 and caption 1 are there twice"):
        pair_matrix([0, 2, 2], [1, 1, 1], [1, 1, 0], (3, 4))
    for images, captions in (([3], [0]), ([0], [4]), ([-1], [0]), ([0.5], [0])):
        with pytest.raises(DataError, match="pairs: expected images from 0 to 2, captions from 0 to 3"):
            pair_matrix(images, captions, [1], (3, 4))
    with pytest.raises(DataError, match="a value of each pair"):
        pair_matrix([0, 1], [0, 1], [1], (3, 4))


@pytest.mark.parametrize("judged_only", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_first_wrong_results_equal_a_loop(judged_only, ties, monkeypatch):
    monkeypatch.setattr("imtext.retrieval.meaning._NUMBERS", 50)
    for seed in range(6):
        scores, owners, _ = case(seed, ties=ties)
        random = np.random.default_rng(seed)
        judged = np.argwhere(random.random(scores.shape) < 0.2)
        values = random.integers(3, 13, len(judged)) / 3
        said = {(int(i), int(j)): v for (i, j), v in zip(judged, values, strict=True)}
        found = false_matches(scores, owners, judged[:, 0], judged[:, 1], values, judged_only)
        for name, rows in (("image_query", scores), ("text_query", scores.T)):
            for q, row in enumerate(rows):
                pair = (lambda g, q=q: (q, g)) if name == "image_query" else (lambda g, q=q: (g, q))
                wrong = [g for g in ranking(row) if owners[pair(g)[1]] != pair(g)[0]]
                if judged_only:
                    wrong = [g for g in wrong if pair(g) in said]
                side = found[name]
                if not wrong:
                    assert (side.item[q], side.rank[q]) == (-1, 0) and np.isnan(side.value[q])
                    continue
                assert side.item[q] == wrong[0] and side.rank[q] == ranking(row).index(wrong[0]) + 1
                expected = said.get(pair(wrong[0]), float("nan"))
                assert side.value[q] == pytest.approx(expected, nan_ok=True)


def test_share_of_false_matches_that_people_call_right():
    scores, owners = np.array([[0.1, 0.9, 0.0], [0.9, 0.2, 0.1], [0.0, 0.1, 0.9]]), np.arange(3)
    found = false_matches(scores, owners, [0, 1, 2], [1, 0, 1], [3.5, 2.0, 4.0])["image_query"]
    assert found.rank.tolist() == [1, 1, 2] and found.value.tolist() == [3.5, 2.0, 4.0]
    assert found.share_right(3) == (pytest.approx(200 / 3), 3)
    assert found.share_right(3, rank=1) == (50.0, 2)
    share, n = found.share_right(3, rank=9)
    assert math.isnan(share) and n == 0
    alone = false_matches([[0.5]], [0], *np.zeros((3, 0), int))["text_query"]
    assert (alone.item.tolist(), alone.rank.tolist()) == ([-1], [0])


def test_rank_correlations_and_their_interval_equal_a_loop():
    random = np.random.default_rng(4)
    similarity = random.normal(size=40)
    human = np.round(similarity + random.normal(size=40))
    clusters = random.integers(0, 11, 40) * 3
    result = rank_correlation(similarity, human, clusters, n=60, seed=9)
    assert result.spearman == pytest.approx(stats.spearmanr(similarity, human).statistic)
    assert result.kendall == pytest.approx(stats.kendalltau(similarity, human).statistic)
    names = sorted(set(clusters.tolist()))
    generator, drawn = np.random.default_rng(9), []
    for _ in range(60):
        pick = [
            p
            for c in generator.integers(0, len(names), len(names))
            for p in np.flatnonzero(clusters == names[c])
        ]
        x, y = similarity[pick], human[pick]
        drawn.append((stats.spearmanr(x, y).statistic, stats.kendalltau(x, y).statistic))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    assert (result.spearman_low, result.kendall_low) == pytest.approx(tuple(low))
    assert (result.spearman_high, result.kendall_high) == pytest.approx(tuple(high))
    assert result.pairs == 40 and result.kendall_low < result.kendall < result.kendall_high


def test_correlation_of_what_has_no_order_is_nan_and_unfit_input_is_named():
    flat = rank_correlation([1.0, 1.0, 1.0], [1, 2, 3], n=5)
    assert math.isnan(flat.spearman) and math.isnan(flat.kendall_low)
    assert rank_correlation([3, 2, 1], [1, 2, 3], n=5).kendall == -1
    for x, y in (([1.0, np.nan], [1, 2]), ([1.0], [1.0]), ([1, 2, 3], [1, 2]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(DataError):
            rank_correlation(x, y)
    for n in (0, True, 1.5):
        with pytest.raises(ConfigError, match="n=.*: expected"):
            rank_correlation([1, 2], [1, 2], n=n)


def test_order_of_models_and_its_swaps():
    noise = np.array([-1.0, 0.0, 1.0, 40.0])

    def model(first, second, first_noise=0, second_noise=0):
        """Values under two measures, and samples around them."""
        values, samples = (
            {"x": first, "y": second},
            {"x": first + first_noise * noise, "y": second + second_noise * noise},
        )
        return SimpleNamespace(
            value=lambda measure: values[measure],
            samples=lambda measure: samples[measure],
            image_of_caption=np.arange(3),
        )

    still = {"a": model(30.0, 52.0), "b": model(20.0, 40.0), "c": model(10.0, 60.0), "d": model(5.0, 5.0)}
    change = order_of_models(still, "x", "y")
    assert change.low == change.high == change.tau == pytest.approx(2 / 6)
    assert [(s.better, s.other, s.lead, s.lag) for s in change.swaps] == [
        ("b", "c", 10.0, 20.0),
        ("a", "c", 20.0, 8.0),
    ]
    assert all(s.certain for s in change.swaps) and not order_of_models(still, "x", "x").swaps
    for noise_of in ({"first_noise": 1}, {"second_noise": -1}):
        swap = order_of_models({**still, "c": model(10.0, 60.0, **noise_of)}, "x", "y").swaps[0]
        assert (swap.lead, swap.lag) == (10, 20) and not swap.certain
    assert not order_of_models({"a": model(1.0, 2.0), "b": model(1.0, 3.0)}, "x", "y").swaps
    with pytest.raises(DataError, match="two models or more"):
        order_of_models({"a": still["a"]}, "x", "y")


def test_order_of_graded_models():
    owners, relevance = np.arange(12), np.zeros((12, 12))
    relevance[np.arange(12), (np.arange(12) + 1) % 12] = 1
    exact = np.eye(12) * (np.arange(12) < 6)[:, None] + 0.5 * np.roll(np.eye(12), 2, 1)
    nearby = np.roll(np.eye(12), 1, 1) + 0.5 * np.eye(12) * (np.arange(12) < 3)[:, None]
    models = {name: graded(s, owners, relevance) for name, s in (("exact", exact), ("nearby", nearby))}
    (swap,) = order_of_models(models, "recall@1", "semantic_recall@1").swaps
    assert (swap.better, swap.other) == ("exact", "nearby")
    for lead, measure in ((swap.lead, "recall@1"), (swap.lag, "semantic_recall@1")):
        assert lead == pytest.approx(abs(models["exact"].value(measure) - models["nearby"].value(measure)))
    same = order_of_models(models, "recall@1", "recall@1")
    assert same.tau == 1 and not same.swaps
    other = graded(np.eye(12), np.roll(owners, 1))
    with pytest.raises(DataError, match="the same captions"):
        order_of_models({**models, "x": other})
