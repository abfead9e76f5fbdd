"""`evaluate` against explicit float64 loops, its tie rule, folds, types and refusals."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import cosine

from imtext.errors import ConfigError, DataError
from imtext.retrieval import evaluate, evaluate_scores, recall
from imtext.retrieval.similarity import as_rows, each


def naive_ranks(images, captions, owners):
    """Loops over every query and every item, in float64; equal cosines (to 1e-12) go by index."""

    images, captions = np.asarray(images, dtype=np.float64), np.asarray(captions, dtype=np.float64)
    scores = [[cosine(image, caption) for caption in captions] for image in images]

    def rank(row, target):
        better = 0
        for item, score in enumerate(row):
            if score > row[target] + 1e-12 or (abs(score - row[target]) <= 1e-12 and item < target):
                better += 1
        return better + 1

    image_ranks = [
        min(rank(row, j) for j, owner in enumerate(owners) if owner == i) for i, row in enumerate(scores)
    ]
    text_ranks = [rank([row[j] for row in scores], owner) for j, owner in enumerate(owners)]
    return image_ranks, text_ranks


def toy(n_images=12, n_captions=41, dimensions=6, strength=0.7, seed=0, dtype=np.float32):
    """Embeddings with a ragged number of captions per image, in no order."""
    generator = np.random.default_rng(seed)
    owners = np.concatenate([np.arange(n_images), generator.integers(0, n_images, n_captions - n_images)])
    generator.shuffle(owners)
    images = generator.normal(size=(n_images, dimensions))
    captions = generator.normal(size=(n_captions, dimensions)) + strength * images[owners]
    return images.astype(dtype), captions.astype(dtype), owners


def test_float32_of_any_scale_is_fine():
    images, captions, owners = toy()
    expected = evaluate(images, captions, owners)
    powers = np.exp2(np.linspace(-90, 90, len(captions)).round()).astype(np.float32)[:, None]
    result = evaluate(images * np.float32(2.0**-90), captions * powers, owners)
    np.testing.assert_array_equal(result.text_query_ranks, expected.text_query_ranks)
    np.testing.assert_array_equal(result.image_query_ranks, expected.image_query_ranks)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ranks_equal_explicit_loops(seed, dtype):
    images, captions, owners = toy(seed=seed, dtype=dtype)
    result = evaluate(images, captions, owners)
    expected = naive_ranks(images, captions, owners)
    assert result.image_query_ranks.tolist() == expected[0]
    assert result.text_query_ranks.tolist() == expected[1]


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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ties_go_by_index(data):
    n_images = data.draw(st.integers(1, 6))
    owners = data.draw(
        st.permutations(list(range(n_images)) + data.draw(st.lists(st.integers(0, n_images - 1))))
    )
    vector = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=3)
    images = data.draw(st.lists(vector, min_size=n_images, max_size=n_images))
    captions = data.draw(st.lists(vector, min_size=len(owners), max_size=len(owners)))
    result = evaluate(images, captions, owners, block=data.draw(st.sampled_from([None, 1, 2, 5])))
    assert (result.image_query_ranks.tolist(), result.text_query_ranks.tolist()) == naive_ranks(
        images, captions, owners
    )


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("share", [0.0, 1 / 50, 1.0])
def test_a_collapsed_embedding_scores_chance(monkeypatch, noise, share):
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    generator = np.random.default_rng(0)
    one = generator.normal(size=37)
    images = one + noise * generator.normal(size=(300, 37))
    captions = 3 * one + noise * generator.normal(size=(600, 37))
    owners = np.repeat(np.arange(300), 2)
    result = evaluate(images.astype(np.float64), captions.astype(np.float64), owners)
    assert result.text_query_ranks.tolist() == (owners + 1).tolist()
    assert result.image_query_ranks.tolist() == list(range(1, 601, 2))
    assert result.text_query.r1 == pytest.approx(100 / 300)


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_neither_block_nor_path_changes_a_rank(monkeypatch, strength, share):
    """Float32 blocks with contested pairs (share 1) agree with float64 blocks (share 0), of any size."""
    images, captions, owners = toy(150, 700, 48, strength)
    images[7], captions[3] = images[90], captions[600]  # copies, hence exact ties
    unit = [
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1)[:, None]
        for x in (images, captions)
    ]
    expected = evaluate_scores(np.round(unit[0] @ unit[1].T, 13), owners)
    monkeypatch.setattr(recall, "_EXACT_SHARE", share)
    for block in (None, 1000, 128, 13):
        result = evaluate(images, captions, owners, block=block)
        np.testing.assert_array_equal(result.image_query_ranks, expected.image_query_ranks)
        np.testing.assert_array_equal(result.text_query_ranks, expected.text_query_ranks)


def test_a_coarse_product_changes_no_rank(monkeypatch):
    """Even where the hardware rounds products to 11 bits, the margin widens until the ranks are right."""
    images, captions, owners = toy(150, 700, 48, 1.0)
    expected = evaluate(images, captions, owners)
    product = torch.mm

    def coarse(a, b):
        return product(a.half().float(), b.half().float())

    monkeypatch.setattr(recall, "_EXACT_SHARE", 1.0)
    monkeypatch.setattr(torch, "mm", coarse)
    result = evaluate(images, captions, owners)
    np.testing.assert_array_equal(result.image_query_ranks, expected.image_query_ranks)
    np.testing.assert_array_equal(result.text_query_ranks, expected.text_query_ranks)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_and_are_given_back(threads):
    images, captions, owners = toy(150, 700, 48, 1.0)
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
    np.testing.assert_array_equal(result.image_query_ranks, expected.image_query_ranks)
    np.testing.assert_array_equal(result.text_query_ranks, expected.text_query_ranks)


def test_autocast_of_the_caller_changes_nothing():
    images, captions, owners = toy(150, 700, 48, 1.0)
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


def test_zero_rows_have_cosine_zero():
    images, captions, owners = toy()
    images[2], captions[5] = 0, 0
    result = evaluate(images, captions, owners)
    expected = naive_ranks(images, captions, owners)
    assert (result.image_query_ranks.tolist(), result.text_query_ranks.tolist()) == expected


def test_scale_of_a_row_does_not_matter():
    images, captions, owners = toy(dtype=np.float64)
    scales = np.logspace(-25, 100, len(captions))[:, None]
    result = evaluate(images * 1e100, captions * scales, owners)
    np.testing.assert_array_equal(
        result.text_query_ranks, evaluate(images, captions, owners).text_query_ranks
    )


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
def test_gpu_and_cpu_give_the_same_ranks():
    images, captions, owners = toy(700, 3000, 256)
    cpu = evaluate(images, captions, owners)
    for gpu in (
        evaluate(images, captions, owners, device="cuda"),
        evaluate(torch.tensor(images).cuda(), captions, owners, block=300),
    ):
        np.testing.assert_array_equal(cpu.image_query_ranks, gpu.image_query_ranks)
        np.testing.assert_array_equal(cpu.text_query_ranks, gpu.text_query_ranks)


def test_results_go_to_json_and_tables():
    result = evaluate(*toy())
    assert json.loads(json.dumps(result.to_dict()))["image_query"]["r1"] == result.image_query.r1
    assert result.row()["text_query_median_rank"] == result.text_query.median_rank
    assert f"R-sum {result.rsum:.1f}" in str(result)


def test_ready_scores_give_the_same_as_loops():
    images, captions, owners = toy(dtype=np.float64)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, captions)]
    result = evaluate_scores(torch.tensor(unit[0] @ unit[1].T), owners)
    expected = naive_ranks(images, captions, owners)
    assert (result.image_query_ranks.tolist(), result.text_query_ranks.tolist()) == expected
    assert (
        evaluate_scores(np.zeros((4, 8)), np.arange(8) // 2, folds=2).text_query_ranks.tolist()
        == [1, 1, 2, 2] * 2
    )


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
    given = dict(zip(("images", "captions", "image_of_caption"), toy(), strict=True))
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


def test_positions_finds_every_flag():
    generator = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (8, 16), (7, 33)):
        mask = torch.from_numpy(generator.random(shape) < 0.2)
        row, column = recall._places(mask)
        assert torch.equal(torch.stack([row, column], 1), mask.nonzero())


def test_rows_are_not_copied():
    values = np.ones((3, 4), dtype=np.float32)
    assert as_rows(values, "x").values.data_ptr() == values.ctypes.data
