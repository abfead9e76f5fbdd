"""Re-ranking in folds, the choice of settings on validation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from toys import toy

from imtext.errors import ConfigError, DataError
from imtext.retrieval import choose_rerank, evaluate, evaluate_reranked, evaluate_scores, rerank
from imtext.retrieval.reranking import SCALES


def test_folds_are_searches_of_their_own():
    images, captions, owners = toy(12, 40, seed=9)
    settings = {"k1": 4, "k2": 2, "weight": 0.4, "scale": "rank"}
    result = evaluate_reranked(images, captions, owners, folds=3, **settings)
    for fold in range(3):
        members = np.flatnonzero(owners // 4 == fold)
        alone = rerank(images[fold * 4 : fold * 4 + 4], captions[members], **settings)
        expected = evaluate_scores(alone, owners[members] - fold * 4)
        np.testing.assert_array_equal(
            result.image_query_ranks[fold * 4 : fold * 4 + 4], expected.image_query_ranks
        )
        np.testing.assert_array_equal(result.text_query_ranks[members], expected.text_query_ranks)


def test_the_choice_is_the_best_row_of_a_complete_table():
    images, captions, owners = toy(30, 80, 6, 1.2, seed=10)
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (images, captions))
    ready = {"scores": one @ two.T, "within": (one @ one.T, two @ two.T), "image_of_caption": owners}
    for k1, k2 in ((4, 2), (8, 3)):
        choice = choose_rerank(images, captions, owners, weights=(0.3, 1.0), k1=k1, k2=k2)
        assert len(choice.table) == 1 + len(SCALES) * 2
        for row in choice.table:
            settings = {name: row[name] for name in ("k1", "k2", "weight", "scale", "form")}
            result = evaluate_reranked(images, captions, owners, **settings)
            assert row["rsum"] == pytest.approx(result.rsum)
            assert row["image_query"] + row["text_query"] == pytest.approx(row["rsum"])
            assert row["gain"] == pytest.approx(row["rsum"] - evaluate(images, captions, owners).rsum)
        chosen = next(row for row in choice.table if choice.settings.items() <= row.items())
        assert chosen["rsum"] == max(row["rsum"] for row in choice.table)
        assert rerank(images, captions, **choice.settings).shape == (30, 80)
        again = choose_rerank(**ready, weights=(0.3, 1.0), k1=k1, k2=k2)
        assert [row["rsum"] for row in again.table] == pytest.approx([row["rsum"] for row in choice.table])


def test_not_reranking_wins_where_nothing_is_better():
    choice = choose_rerank(np.eye(8), np.eye(8), np.arange(8), k1=3)
    assert choice.settings["weight"] == 1.0 and choice.table[0]["gain"] == 0.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"k1": 0}, "k1=0: expected an integer"),
        ({"k2": 2.5}, "k2=2.5: expected an integer"),
        ({"weight": 1.5}, "weight=1.5: expected a number of at least 0 and at most 1"),
        ({"weight": float("nan")}, "weight=nan: expected a number"),
        ({"weight": "much"}, "weight='much': expected a number"),
        ({"scale": "cosine"}, "scale='cosine': expected one of cross, none, zscore, rank"),
        ({"form": "new"}, "form='new': expected one of released, printed"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        rerank(np.eye(3), np.eye(3), **change)


def test_bad_arrays_are_named():
    spoilt = np.eye(3)
    spoilt[1, 2] = np.nan
    with pytest.raises(DataError, match="captions: row 1 holds NaN"):
        rerank(np.eye(3), spoilt)
    with pytest.raises(DataError, match="images have 2 dimensions"):
        rerank(np.eye(2), np.eye(3))
    with pytest.raises(DataError, match="scores: row 1 holds NaN"):
        rerank(scores=spoilt)
    with pytest.raises(
        DataError, match=r"within\[0\]: expected numbers of shape \(3, 3\), found .* \(2, 2\)"
    ):
        rerank(scores=np.eye(3), within=(np.eye(2), np.eye(3)), scale="none")
    with pytest.raises(DataError, match=r"within\[1\]: row 1"):
        rerank(scores=np.eye(3), within=(np.eye(3), spoilt))
    with pytest.raises(DataError, match="scores: expected numbers of shape"):
        rerank(scores=np.zeros((0, 3)))
    with pytest.raises(ConfigError, match="only the scale 'cross'"):
        choose_rerank(scores=np.eye(3), image_of_caption=[0, 1, 2])
    with pytest.raises(ConfigError, match="give one of them"):
        rerank(np.eye(3), np.eye(3), scores=np.eye(3))
    with pytest.raises(ConfigError, match="at least one value"):
        choose_rerank(np.eye(3), np.eye(3), [0, 1, 2], weights=[])
