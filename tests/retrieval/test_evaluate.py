"""`evaluate` against explicit float64 loops, its tie rule, folds, types and refusals."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import cosine, toy

from imtext.errors import ConfigError, DataError
from imtext.retrieval import evaluate, evaluate_scores, recall
from imtext.retrieval.similarity import each


def naive_ranks(images, captions, owners, groups=None):
    """Loops over queries and items, in float64: the best match of a group; equal cosines go by index."""
    groups = range(len(images)) if groups is None else groups
    images, captions = np.asarray(images, dtype=np.float64), np.asarray(captions, dtype=np.float64)
    scores = [[cosine(image, caption) for caption in captions] for image in images]

    def rank(row, target):
        better = 0
        for item, score in enumerate(row):
            if score > row[target] + 1e-12 or (abs(score - row[target]) <= 1e-12 and item < target):
                better += 1
        return better + 1

    image_ranks, text_ranks = [], []
    for i, row in enumerate(scores):
        image_ranks.append(min(rank(row, j) for j, owner in enumerate(owners) if groups[owner] == groups[i]))
    for j, owner in enumerate(owners):
        column = [row[j] for row in scores]
        text_ranks.append(min(rank(column, i) for i in range(len(images)) if groups[i] == groups[owner]))
    return image_ranks, text_ranks


def found(result):
    return result.image_query_ranks.tolist(), result.text_query_ranks.tolist()


def ragged_groups(n, grouped):
    """Names of groups of images in no order, or none."""
    return 10 * np.random.default_rng(3).integers(0, n // 3, n) - 20 if grouped else None


GROUPED = pytest.mark.parametrize("grouped", [False, True])


@pytest.mark.parametrize(
    ("dtype", "of_images", "low", "high"), [(np.float32, -90, -90, 90), (np.float64, 330, -80, 330)]
)
def test_the_scale_of_a_row_does_not_matter(dtype, of_images, low, high):
    images, captions, owners = toy(dtype=dtype)
    scales = np.exp2(np.linspace(low, high, len(captions)).round()).astype(dtype)[:, None]
    result = evaluate(images * dtype(2.0**of_images), captions * scales, owners)
    assert found(result) == found(evaluate(images, captions, owners))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("pairs", [1 << 18, 7])
@GROUPED
def test_ranks_equal_explicit_loops(monkeypatch, seed, dtype, pairs, grouped):
    monkeypatch.setattr(recall, "_PAIRS", pairs)
    images, captions, owners = toy(seed=seed, dtype=dtype)
    groups = ragged_groups(len(images), grouped)
    expected = naive_ranks(images, captions, owners, groups)
    for block in (None, 1, 5):
        assert found(evaluate(images, captions, owners, block=block, group_of_image=groups)) == expected


def test_metrics_follow_from_the_ranks():
    images, captions, owners = toy()
    result = evaluate(images, captions, owners)
    total = 0.0
    for side, found in (
        (result.image_query, result.image_query_ranks),
        (result.text_query, result.text_query_ranks),
    ):
        for k, value in ((1, side.r1), (5, side.r5), (10, side.r10)):
            assert value == pytest.approx(100 * sum(rank <= k for rank in found) / len(found))
            total += value
        assert side.median_rank == np.median(found)
        assert side.mean_rank == pytest.approx(sum(found) / len(found))
    assert result.rsum == pytest.approx(total)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_ties_go_by_index(data):
    n_images = data.draw(st.integers(1, 6))
    owners = data.draw(
        st.permutations(list(range(n_images)) + data.draw(st.lists(st.integers(0, n_images - 1))))
    )
    groups = data.draw(st.none() | st.lists(st.integers(-1, 2), min_size=n_images, max_size=n_images))
    vector = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=3)  # also rows of zeros
    images = data.draw(st.lists(vector, min_size=n_images, max_size=n_images))
    captions = data.draw(st.lists(vector, min_size=len(owners), max_size=len(owners)))
    block = data.draw(st.sampled_from([None, 1, 2, 5]))
    result = evaluate(images, captions, owners, block=block, group_of_image=groups)
    assert found(result) == naive_ranks(images, captions, owners, groups)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("share", [0.0, 1 / 50, 1.0])
@pytest.mark.parametrize("each", [1, 4])
def test_a_collapsed_embedding_scores_chance(monkeypatch, noise, share, each):
    """The first item of a group stands where it stands in the gallery: chance, not 100 %."""
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    generator = np.random.default_rng(0)
    one = generator.normal(size=37)
    images = one + noise * generator.normal(size=(300, 37))
    captions = 3 * one + noise * generator.normal(size=(600, 37))
    owners, groups = np.repeat(np.arange(300), 2), np.arange(300) // each
    result = evaluate(images, captions, owners, group_of_image=None if each == 1 else groups)
    assert result.text_query_ranks.tolist() == (each * groups[owners] + 1).tolist()
    assert result.image_query_ranks.tolist() == (2 * each * groups + 1).tolist()
    assert result.text_query.r1 == pytest.approx(each * 100 / 300)


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("share", [0.0, 1.0])
@GROUPED
def test_neither_block_nor_path_changes_a_rank(monkeypatch, strength, share, grouped):
    """Float32 blocks with contested pairs (share 1) agree with float64 blocks (share 0), of any size."""
    images, captions, owners = toy(150, 700, 48, strength, dtype=np.float32)
    groups = ragged_groups(150, grouped)
    images[7], captions[3] = images[90], captions[600]  # copies, hence exact ties
    unit = [
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1)[:, None]
        for x in (images, captions)
    ]
    expected = found(evaluate_scores(np.round(unit[0] @ unit[1].T, 13), owners, group_of_image=groups))
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    for block in (None, 1000, 128, 13):
        assert found(evaluate(images, captions, owners, block=block, group_of_image=groups)) == expected


@GROUPED
def test_a_coarse_product_changes_no_rank(monkeypatch, grouped):
    """Even where the hardware rounds products to 11 bits, the margin widens until the ranks are right."""
    images, captions, owners = toy(150, 700, 48, 1.0, dtype=np.float32)
    groups = ragged_groups(150, grouped)
    expected = found(evaluate(images, captions, owners, group_of_image=groups))
    product = torch.mm

    def coarse(a, b):
        return product(a.half().float(), b.half().float())

    monkeypatch.setattr(recall, "_EXACT_SHARE", 1.0)
    monkeypatch.setattr(torch, "mm", coarse)
    assert found(evaluate(images, captions, owners, group_of_image=groups)) == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_and_are_given_back(threads):
    images, captions, owners = toy(150, 700, 48, 1.0, dtype=np.float32)
    expected = evaluate(images, captions, owners)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        result = evaluate(images, captions, owners, block=50)
        assert torch.get_num_threads() == threads
        with pytest.raises(ZeroDivisionError):
            each(lambda part: 1 / part, [1, 0, 1], torch.device("cpu"))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found(result) == found(expected)


def test_autocast_of_the_caller_changes_nothing():
    images, captions, owners = toy(150, 700, 48, 1.0, dtype=np.float32)
    expected = evaluate(images, captions, owners)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = evaluate(images, captions, owners)
    np.testing.assert_array_equal(result.text_query_ranks, expected.text_query_ranks)


def test_folds_are_consecutive_blocks_of_images_with_their_captions():
    images, captions, owners = toy(12, 50)
    folded = evaluate(images, captions, owners, folds=3)
    recalls = []
    for fold in range(3):
        members = [j for j, owner in enumerate(owners) if owner // 4 == fold]
        part = evaluate(images[4 * fold : 4 * fold + 4], captions[members], owners[members] - 4 * fold)
        recalls.append([part.image_query.r1, part.text_query.r5, part.text_query.median_rank, part.rsum])
        np.testing.assert_array_equal(folded.text_query_ranks[members], part.text_query_ranks)
        np.testing.assert_array_equal(
            folded.image_query_ranks[4 * fold : 4 * fold + 4], part.image_query_ranks
        )
    mean = np.mean(recalls, axis=0)
    found = [folded.image_query.r1, folded.text_query.r5, folded.text_query.median_rank, folded.rsum]
    assert found == pytest.approx(mean.tolist())
    assert folded.rsum <= 600


def test_arrays_tensors_lists_and_memory_maps_agree(tmp_path):
    images, captions, owners = toy()
    expected = evaluate(images, captions, owners).to_dict()
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    tensors = torch.tensor(images, requires_grad=True), torch.tensor(captions), torch.tensor(owners)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(*tensors).to_dict() == expected
        assert evaluate(mapped, captions[::-1][::-1], owners.astype(np.uint8)).to_dict() == expected
        assert evaluate(images.astype(">f4"), captions.tolist(), owners.tolist()).to_dict() == expected
        assert evaluate(np.asfortranarray(images), captions.astype(np.float64), owners).to_dict() == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@GROUPED
def test_gpu_and_cpu_give_the_same_ranks(grouped):
    images, captions, owners = toy(700, 3000, 256, dtype=np.float32)
    groups = ragged_groups(700, grouped)
    cpu = found(evaluate(images, captions, owners, group_of_image=groups))
    assert found(evaluate(images, captions, owners, device="cuda", group_of_image=groups)) == cpu
    there = torch.tensor(images).cuda()
    assert found(evaluate(there, captions, owners, block=300, group_of_image=groups)) == cpu


def test_results_go_to_json_and_tables():
    result = evaluate(*toy())
    assert json.loads(json.dumps(result.to_dict()))["image_query"]["r1"] == result.image_query.r1
    assert result.row()["text_query_median_rank"] == result.text_query.median_rank
    assert f"R-sum {result.rsum:.1f}" in str(result)


@GROUPED
def test_ready_scores_give_the_same_as_loops(grouped):
    images, captions, owners = toy()
    groups = ragged_groups(len(images), grouped)
    scores = torch.tensor([[cosine(image, caption) for caption in captions] for image in images])
    result = evaluate_scores(scores, owners, group_of_image=groups)
    assert found(result) == naive_ranks(images, captions, owners, groups)
    folded = evaluate_scores(np.zeros((4, 8)), np.arange(8) // 2, folds=2)
    assert folded.text_query_ranks.tolist() == [1, 1, 2, 2] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.update(images=x["images"][0]), "images: expected a non-empty matrix"),
        (lambda x: x.update(images=x["images"][:0]), "found shape (0, 6)"),
        (lambda x: x.update(images=x["images"] > 0), "images: expected real numbers, found torch.bool"),
        (lambda x: x.update(captions=torch.ones(41, 6, dtype=torch.complex64)), "expected real numbers"),
        (
            lambda x: x.update(captions=[[1.0], [1.0, 2.0]]),
            "captions: expected a matrix with rows of one length",
        ),
        (lambda x: x["images"].__setitem__((3, 1), np.nan), "images: row 3 holds NaN or infinity"),
        (lambda x: x["captions"].__setitem__((40, 0), -np.inf), "captions: row 40 holds NaN or infinity"),
        (lambda x: x.update(captions=x["captions"][:, :5]), "images have 6 dimensions, captions have 5"),
        (lambda x: x.update(image_of_caption=x["image_of_caption"][:40]), "numbers of shape (41,)"),
        (lambda x: x["image_of_caption"].__setitem__(4, 12), "caption 4 points to image 12"),
        (lambda x: x["image_of_caption"].__setitem__(0, -1), "caption 0 points to image -1"),
        (lambda x: x.update(image_of_caption=x["image_of_caption"] * 1.0), "expected whole numbers"),
        (lambda x: x["image_of_caption"].__imul__(x["image_of_caption"] != 5), "image 5 has no caption"),
        (lambda x: x.update(folds=5), "12 images do not divide into 5 equal blocks"),
    ],
)
def test_unfit_arrays_are_refused_in_one_line(change, words):
    given = dict(zip(("images", "captions", "image_of_caption"), toy(12, 41, 6), strict=True))
    change(given)
    with pytest.raises(DataError) as error:
        evaluate(**given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("folds", 0), ("folds", 2.0), ("block", 0), ("block", True)])
def test_unfit_parameters_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        evaluate(*toy(), **{name: value})


@pytest.mark.parametrize(
    ("scores", "words"),
    [(np.zeros(3), "numbers of shape"), ([[0.5, np.nan]], "holds NaN"), ([["a", "b"]], "expected numbers")],
)
def test_unfit_scores_are_refused(scores, words):
    with pytest.raises(DataError, match=words):
        evaluate_scores(scores, [0, 0])


def test_groups_of_one_image_each_change_nothing():
    images, captions, owners = toy(14, 37)
    scores = np.random.default_rng(0).normal(size=(14, 37))
    labels = np.random.default_rng(1).permutation(14) * 3 - 4
    assert found(evaluate(images, captions, owners, group_of_image=labels)) == found(
        evaluate(images, captions, owners)
    )
    assert found(evaluate_scores(scores, owners, group_of_image=labels)) == found(
        evaluate_scores(scores, owners)
    )


def test_one_group_of_everything_finds_at_once():
    images, captions, owners = toy(14, 37)
    result = evaluate(images, captions, owners, group_of_image=np.zeros(14, dtype=np.int8))
    assert found(result) == ([1] * 14, [1] * 37)
    assert result.rsum == 600


def test_folds_hold_whole_groups():
    images, captions, owners = toy(12, 50)
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


@pytest.mark.parametrize(
    "groups",
    [np.zeros(13, int), np.zeros((14, 1), int), np.zeros(14), np.zeros(14, bool), ["a"] * 14, 3],
)
def test_unfit_groups_are_refused_in_one_line(groups):
    images, captions, owners = toy(14, 37)
    for call in (
        lambda: evaluate(images, captions, owners, group_of_image=groups),
        lambda: evaluate_scores(np.zeros((14, 37)), owners, group_of_image=groups),
    ):
        with pytest.raises(DataError, match=r"group_of_image: expected whole numbers of shape \(14,\)") as e:
            call()
        assert "\n" not in str(e.value)
