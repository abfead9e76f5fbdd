"""`evaluate` with groups of images against explicit float64 loops: the best true match counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import cosine

from imtext.errors import DataError
from imtext.retrieval import Evaluation, evaluate, evaluate_scores, recall


def naive_rank(row, targets):
    """The rank of the best of ``targets``; scores equal to 1e-12 go by index."""
    best = None
    for target in targets:
        rank = 1
        for item, score in enumerate(row):
            if score > row[target] + 1e-12 or (abs(score - row[target]) <= 1e-12 and item < target):
                rank += 1
        best = rank if best is None else min(best, rank)
    return best


def naive_ranks(images, captions, owners, groups):
    images, captions = np.asarray(images, dtype=np.float64), np.asarray(captions, dtype=np.float64)
    scores = [[cosine(image, caption) for caption in captions] for image in images]
    image_ranks, text_ranks = [], []
    for i, row in enumerate(scores):
        targets = [j for j, owner in enumerate(owners) if groups[owner] == groups[i]]
        image_ranks.append(naive_rank(row, targets))
    for j, owner in enumerate(owners):
        targets = [i for i in range(len(images)) if groups[i] == groups[owner]]
        text_ranks.append(naive_rank([row[j] for row in scores], targets))
    return image_ranks, text_ranks


def found(result: Evaluation):
    return result.image_query_ranks.tolist(), result.text_query_ranks.tolist()


def toy(n_images=14, n_captions=37, n_groups=5, dimensions=6, strength=0.7, seed=0, dtype=np.float32):
    """Ragged groups of images and of captions, in no order; a group is a direction of its own."""
    generator = np.random.default_rng(seed)
    share = np.arange(1, n_groups + 1) / np.arange(1, n_groups + 1).sum()
    groups = np.concatenate([np.arange(n_groups), generator.choice(n_groups, n_images - n_groups, p=share)])
    generator.shuffle(groups)
    owners = np.concatenate([np.arange(n_images), generator.integers(0, n_images, n_captions - n_images)])
    generator.shuffle(owners)
    centre = generator.normal(size=(n_groups, dimensions))
    images = generator.normal(size=(n_images, dimensions)) + strength * centre[groups]
    captions = generator.normal(size=(n_captions, dimensions)) + strength * centre[groups[owners]]
    return images.astype(dtype), captions.astype(dtype), owners, 10 * groups - 20


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("pairs", [1 << 18, 7])
def test_ranks_equal_explicit_loops(monkeypatch, seed, dtype, pairs):
    monkeypatch.setattr(recall, "_PAIRS", pairs)
    images, captions, owners, groups = toy(seed=seed, dtype=dtype)
    expected = naive_ranks(images, captions, owners, groups)
    for block in (None, 1, 5):
        assert found(evaluate(images, captions, owners, block=block, group_of_image=groups)) == expected


def test_metrics_follow_from_the_ranks():
    images, captions, owners, groups = toy()
    result = evaluate(images, captions, owners, group_of_image=groups)
    for side, own in (
        (result.image_query, result.image_query_ranks),
        (result.text_query, result.text_query_ranks),
    ):
        assert side.r5 == pytest.approx(100 * sum(rank <= 5 for rank in own) / len(own))
        assert side.n == len(own)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_ties_go_by_index(data):
    n_images = data.draw(st.integers(1, 6))
    owners = data.draw(
        st.permutations(list(range(n_images)) + data.draw(st.lists(st.integers(0, n_images - 1))))
    )
    groups = data.draw(st.lists(st.integers(-1, 2), min_size=n_images, max_size=n_images))
    vector = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=3)  # also rows of zeros
    images = data.draw(st.lists(vector, min_size=n_images, max_size=n_images))
    captions = data.draw(st.lists(vector, min_size=len(owners), max_size=len(owners)))
    block = data.draw(st.sampled_from([None, 1, 2, 5]))
    result = evaluate(images, captions, owners, block=block, group_of_image=groups)
    assert found(result) == naive_ranks(images, captions, owners, groups)


def test_zero_rows_have_cosine_zero():
    images, captions, owners, groups = toy()
    images[2], captions[5], captions[9] = 0, 0, 0
    result = evaluate(images, captions, owners, group_of_image=groups)
    assert found(result) == naive_ranks(images, captions, owners, groups)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("share", [0.0, 1 / 50, 1.0])
def test_a_collapsed_embedding_scores_chance(monkeypatch, noise, share):
    """The first item of the group stands where it stands in the gallery: chance, not 100 %."""
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    generator = np.random.default_rng(0)
    one = generator.normal(size=37)
    images = one + noise * generator.normal(size=(300, 37))
    captions = 3 * one + noise * generator.normal(size=(600, 37))
    owners, groups = np.repeat(np.arange(300), 2), np.repeat(np.arange(75), 4)
    result = evaluate(images, captions, owners, group_of_image=groups)
    assert result.text_query_ranks.tolist() == (4 * groups[owners] + 1).tolist()
    assert result.image_query_ranks.tolist() == (8 * groups + 1).tolist()
    assert result.text_query.r1 == pytest.approx(100 / 75)


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_neither_block_nor_path_changes_a_rank(monkeypatch, strength, share):
    images, captions, owners, groups = toy(150, 700, 40, 48, strength)
    images[7], captions[3] = images[90], captions[600]  # copies, hence exact ties
    unit = [
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1)[:, None]
        for x in (images, captions)
    ]
    expected = found(evaluate_scores(np.round(unit[0] @ unit[1].T, 13), owners, group_of_image=groups))
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    for block in (None, 1000, 128, 13):
        assert found(evaluate(images, captions, owners, block=block, group_of_image=groups)) == expected


def test_a_coarse_product_changes_no_rank(monkeypatch):
    images, captions, owners, groups = toy(150, 700, 40, 48, 1.0)
    expected = found(evaluate(images, captions, owners, group_of_image=groups))
    product = torch.mm

    def coarse(a, b):
        return product(a.half().float(), b.half().float())

    monkeypatch.setattr(recall, "_EXACT_SHARE", 1.0)
    monkeypatch.setattr(torch, "mm", coarse)
    assert found(evaluate(images, captions, owners, group_of_image=groups)) == expected


def test_groups_of_one_image_each_change_nothing():
    images, captions, owners, _ = toy()
    scores = np.random.default_rng(0).normal(size=(14, 37))
    labels = np.random.default_rng(1).permutation(14) * 3 - 4
    assert found(evaluate(images, captions, owners, group_of_image=labels)) == found(
        evaluate(images, captions, owners)
    )
    assert found(evaluate_scores(scores, owners, group_of_image=labels)) == found(
        evaluate_scores(scores, owners)
    )


def test_one_group_of_everything_finds_at_once():
    images, captions, owners, _ = toy()
    result = evaluate(images, captions, owners, group_of_image=np.zeros(14, dtype=np.int8))
    assert found(result) == ([1] * 14, [1] * 37)
    assert result.rsum == 600


def test_folds_hold_whole_groups():
    images, captions, owners, _ = toy(12, 50)
    groups = np.array([3, 3, 1, 1, 0, 0, 0, 2, 9, 8, 8, 8])
    folded = evaluate(images, captions, owners, folds=3, group_of_image=groups)
    for fold in range(3):
        part, members = slice(4 * fold, 4 * fold + 4), np.flatnonzero(owners // 4 == fold)
        expected = naive_ranks(images[part], captions[members], owners[members] - 4 * fold, groups[part])
        assert folded.image_query_ranks[part].tolist() == expected[0]
        assert folded.text_query_ranks[members].tolist() == expected[1]
    scores = np.array([[cosine(a, b) for b in captions] for a in images.astype(np.float64)])
    by_scores = evaluate_scores(scores, owners, folds=3, group_of_image=groups)
    assert found(by_scores) == found(folded)
    groups[4] = 1
    for call in (
        lambda: evaluate(images, captions, owners, 3, group_of_image=groups),
        lambda: evaluate_scores(scores, owners, 3, group_of_image=groups),
    ):
        with pytest.raises(
            DataError, match=r"images 2 and 4 are of one group but lie in folds 0 and 1;"
        ) as e:
            call()
        assert "\n" not in str(e.value)


def test_ready_scores_give_the_same_as_loops():
    images, captions, owners, groups = toy(dtype=np.float64)
    scores = [[cosine(image, caption) for caption in captions] for image in images]
    result = evaluate_scores(scores, owners, group_of_image=groups)
    assert found(result) == naive_ranks(images, captions, owners, groups)


@pytest.mark.parametrize(
    "groups",
    [np.zeros(13, int), np.zeros((14, 1), int), np.zeros(14), np.zeros(14, bool), ["a"] * 14, 3],
)
def test_unfit_groups_are_refused_in_one_line(groups):
    images, captions, owners, _ = toy()
    for call in (
        lambda: evaluate(images, captions, owners, group_of_image=groups),
        lambda: evaluate_scores(np.zeros((14, 37)), owners, group_of_image=groups),
    ):
        with pytest.raises(DataError, match=r"group_of_image: expected whole numbers of shape \(14,\)") as e:
            call()
        assert "\n" not in str(e.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_and_cpu_give_the_same_ranks():
    images, captions, owners, groups = toy(700, 3000, 90, 256)
    cpu = evaluate(images, captions, owners, group_of_image=groups)
    gpu = evaluate(torch.tensor(images).cuda(), captions, owners, group_of_image=torch.tensor(groups).cuda())
    assert found(cpu) == found(gpu)
