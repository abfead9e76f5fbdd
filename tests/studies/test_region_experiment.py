"""Table 3 of the Structure-Preserving paper on a small picturebook: data, hard negatives, runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imtext.data.spans import Phrases, Regions
from imtext.errors import ConfigError, DataError
from imtext.retrieval.boxes import iou, paired_iou
from imtext.studies.preparation import DataSpec, prepare
from imtext.studies.region_data import (
    Boxes,
    Mentions,
    RegionSpec,
    hard_negatives,
    mentions_of,
    training_pairs,
)
from imtext.studies.region_experiment import RegionExperiment, _first_is_right, _localise, region_data
from imtext.studies.running import Row, run_all, run_one
from imtext.studies.trained import MODEL
from imtext.training import Recipe

REGIONS = RegionSpec(
    count=40, method="jittered", stages=("C4",), text_options=(("components", 3), ("pca", 30))
)


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    data = DataSpec(train=40, val=12, test=12, size=64, crop=64, cache=cache)
    recipe = Recipe(epochs=2, lr=3e-3, batch_size=60)
    common = {"dim": 16, "hidden": 32, "reduction": "mean", "profile": "smoke"}
    return RegionExperiment("regions-d", data, recipe, REGIONS, **common)


@pytest.fixture(scope="module")
def data(row):
    return region_data(row.data, row.regions)


@pytest.fixture(scope="module")
def runs(row, tmp_path_factory):
    tuned = replace(row, slug="regions-d-tuned", start=row, recipe=replace(row.recipe, epochs=1))
    cca = replace(row, slug="regions-cca", model="cca")
    folder = tmp_path_factory.mktemp("runs")
    wanted: list[Row] = [cca, row, tuned]
    return folder, dict(zip(("cca", "d", "d_tuned"), run_all(wanted, folder), strict=True))


def test_mentions_by_hand(data):
    split = data.prepared.splits["val"]
    image = int(split.image_of_caption[0])
    regions = Regions([[0, 0, 3, 3], [5, 5, 9, 9], [1, 1, 2, 2]], [image, image, image], [7, 7, 8])
    phrases = Phrases([0, 0, 0], [0, 1, 2], [1, 2, 3], ("Two CATS", "sky", "A Dog"), [7, 9, 8], ("x",) * 3)
    found = mentions_of(replace(split, regions=regions, phrases=phrases))
    assert found.phrases == ("a dog", "two cats")
    assert found.phrase.tolist() == [1, 0]
    assert found.words == ["two cats", "a dog"]
    assert found.truth.tolist() == [[0, 0, 9, 9], [1, 1, 2, 2]]
    assert found.without_box == 1
    boxes, owner, region = found.regions
    assert boxes[region].tolist() == found.truth.tolist()
    assert owner.tolist() == [image, image]


def test_a_dataset_without_boxes_is_refused(data):
    split = data.prepared.splits["val"]
    with pytest.raises(DataError, match="expected boxes and phrases, found none"):
        mentions_of(replace(split, regions=None))
    with pytest.raises(DataError, match="has a box; check the chains"):
        mentions_of(replace(split, regions=Regions([[0, 0, 1, 1]], [0], [1])))


def test_pairs_keep_at_most_so_many_regions_of_a_phrase():
    truth = np.array([[0, 0, i, i] for i in (1, 2, 3, 4, 4, 1)])
    phrase = np.array([0, 0, 0, 0, 0, 1])
    mentions = Mentions(("a", "b"), phrase, np.zeros(6, int), truth, np.arange(6), 0)
    assert len(training_pairs(mentions, 10, 0)) == 6  # the same pair twice stays twice
    few = training_pairs(mentions, 2, 0)
    assert len(np.unique(few[few[:, 1] == 0], axis=0)) == 2
    assert [0, 1] in few.tolist()
    assert np.array_equal(few, training_pairs(mentions, 2, 0))
    assert len({training_pairs(mentions, 2, seed).tobytes() for seed in range(8)}) > 1


def test_features_fit_their_boxes(data):
    train = data.mentions("train")
    regions = data.regions("train")
    assert len(regions.features) == len(train.regions[0]) == len(regions.boxes)
    np.testing.assert_allclose(np.linalg.norm(regions.features[:], axis=1), 1, atol=1e-5)
    assert data.texts("train").shape[0] == len(train.phrases)
    assert data.texts("test").shape[0] == len(data.mentions("test").phrases)
    assert np.bincount(data.proposals("val").image).max() <= REGIONS.count
    pairs = data.pairs(0)
    assert pairs.max(0).tolist() < [len(regions.boxes), len(train.phrases)]


def _negatives_by_loops(mentions, pairs, proposals, regions, candidates, phrases):
    truth, owner, _ = mentions.regions
    found = set()
    for j in range(len(phrases)):
        own = [r for r in range(len(truth)) if [r, j] in pairs.tolist()]
        for p in range(len(candidates)):
            here = [r for r in own if owner[r] == proposals.image[p]]
            if here and max(iou(truth[r], proposals.boxes[p])[0, 0] for r in here) < 0.5:
                worst = min(regions[r] @ phrases[j] for r in here)
                if candidates[p] @ phrases[j] > worst:
                    found.add((j, p))
    return found


def test_hard_negatives_against_loops():
    random = np.random.default_rng(0)

    def boxes(n):
        start = random.integers(0, 20, (n, 2))
        return np.concatenate([start, start + random.integers(3, 20, (n, 2))], axis=1)

    def units(n):
        rows = random.standard_normal((n, 4))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    image = np.sort(random.integers(0, 4, 24))
    mentions = Mentions(tuple("abcde"), random.integers(0, 5, 24), image, boxes(24), np.arange(24), 0)
    proposals = Boxes(boxes(40), np.sort(random.integers(0, 4, 40)), units(40))
    pairs = training_pairs(mentions, 10, 0)
    sides = units(len(mentions.regions[0])), proposals.features, units(5)
    found = hard_negatives(mentions, pairs, proposals, *sides)
    expected = _negatives_by_loops(mentions, pairs, proposals, *sides)
    assert len(expected) > 10
    assert {(int(j), int(p)) for j, p in zip(*found.nonzero(), strict=True)} == expected
    few = hard_negatives(mentions, pairs, proposals, *sides, most=3)
    assert np.diff(few.indptr).max() == 3
    assert {(int(j), int(p)) for j, p in zip(*few.nonzero(), strict=True)} < expected


def test_the_score_cca_is_chosen_by_is_recall_at_one(data):
    mentions, proposals = data.mentions("val"), data.proposals("val")
    random = np.random.default_rng(0)
    phrases = random.standard_normal((len(mentions.phrases), 5))
    regions = random.standard_normal((len(proposals.boxes), 5))
    found, best = _localise(mentions, proposals, phrases, regions)
    assert _first_is_right(mentions, proposals)(phrases, regions) == pytest.approx(found.r1)
    overlap = paired_iou(proposals.boxes[best], mentions.truth)
    assert np.array_equal(overlap >= 0.5, found.ranks == 1)
    for mention in range(0, len(best), 7):
        own = np.flatnonzero(proposals.image == mentions.image[mention])
        scores = regions[own] @ phrases[mentions.phrase[mention]]
        assert best[mention] == own[scores.argmax()]


def test_rows_run_and_are_written_down(runs, data):
    _, found = runs
    for name, run in found.items():
        for split in ("val", "test"):
            cells = run.metrics[split]
            assert {"r1", "r5", "r10", "mean_ap", "r100", "queries", "without_box"} <= set(cells)
            assert 0 <= cells["r1"] <= cells["r5"] <= cells["r10"] <= cells["r100"] <= 100
            ranks = run.load_arrays(f"ranks-{split}.npz")
            mentions = data.mentions(split)
            assert len(ranks["ranks"]) == cells["queries"] == len(mentions.phrase)
            assert np.array_equal(ranks["image"], mentions.image)
            assert ranks["ap"].mean() == pytest.approx(cells["mean_ap"])
            assert 100 * np.mean(ranks["ranks"] <= 1) == pytest.approx(cells["r1"])
        assert not (run.dir / "checkpoint.pt").exists()
        assert (run.dir / ("tried.csv" if name == "cca" else "curves.csv")).is_file()
        assert run.load_json("provenance.json")["profile"] == "smoke"
    assert found["cca"].metrics["test"]["r100"] == found["d"].metrics["test"]["r100"]
    counts = found["d_tuned"].load_json("counts.json")
    assert counts["negatives"] > 0
    assert 0 < counts["phrases_with_negatives"] <= counts["negatives"]
    assert counts["unique_pairs"] <= counts["pairs"]


def test_a_second_computation_gives_the_same_numbers(row, runs, tmp_path):
    folder, found = runs
    assert run_one(row, folder).dir == found["d"].dir
    tuned = replace(row, slug="regions-d-tuned", start=row, recipe=replace(row.recipe, epochs=1))
    assert run_one(tuned, tmp_path).metrics == found["d_tuned"].metrics


def test_a_network_starts_the_same_whether_or_not_its_data_were_read_before(row, runs, tmp_path):
    # A worker process that has not read the features yet builds the image CNN, which draws its weights.
    region_data.cache_clear()
    prepare.cache_clear()
    again, before = (load_file(run.dir / MODEL) for run in (run_one(row, tmp_path), runs[1]["d"]))
    assert all(torch.equal(values, before[name]) for name, values in again.items())


def test_wrong_models_are_refused(row):
    with pytest.raises(ConfigError, match="model='linear': expected one of"):
        replace(row, model="linear")
    with pytest.raises(ConfigError, match="CCA without a start"):
        replace(row, model="cca", start=row)
