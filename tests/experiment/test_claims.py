"""Rows against each other: R-sum, recalls and localisation against loops; ties, ragged captions, groups."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imtext import report
from imtext.data.dataset import Dataset
from imtext.experiment import Result, Results
from imtext.experiment.compute import evaluate_split
from imtext.experiment.results import at_chance, compared, localised
from imtext.papers import intra_modal
from imtext.runs import Run

KS = (1, 5, 10)
RAGGED = (1, 5, 2, 3, 1, 7, 4, 2, 1, 3, 6, 2)


def dataset(counts, groups=None):
    """One split of images with ``counts`` captions each, the captions in no order."""
    n = len(counts)
    owners = np.random.default_rng(1).permutation(np.repeat(np.arange(n), counts))
    names = tuple(map(str, range(n)))
    files = tuple(f"{name}.jpg" for name in names)
    captions = tuple(f"caption {i}" for i in range(len(owners)))
    groups = np.arange(n) if groups is None else np.asarray(groups)
    return Dataset("made", Path("."), files, names, captions, owners, np.full(n, "test"), groups)


class Ranked(Result):
    """A result of which ranks are known, one dictionary by side a seed."""

    def __init__(self, data, seeds):
        super().__init__([], [])
        self.data, self.kept, self.seeds = data, seeds, [*range(len(seeds))]

    def split(self, name="test"):
        return self.data

    def ranks(self, side, split="test"):
        return [seed[side] for seed in self.kept]


def random_rows(data, keys, seeds=2, high=14):
    """Random ranks; later rows have higher ones."""
    random, rows = np.random.default_rng(0), {}
    for place, key in enumerate(keys):
        sizes = {"image": data.n_images, "text": data.n_captions}
        rows[key] = [
            {side: random.integers(1, high + 4 * place, n) for side, n in sizes.items()} for _ in range(seeds)
        ]
    return rows


def results(data, rows):
    return Results({key: Ranked(data, seeds) for key, seeds in rows.items()})


def loop_rsum(ranks):
    """The sum of six recalls, in points, one query at a time."""
    total = 0.0
    for side in ("image", "text"):
        for k in KS:
            total += 100 * sum(1 for rank in ranks[side] if rank <= k) / len(ranks[side])
    return total


def loop_parts(ranks, data):
    """Per image: its own hits at each K plus N/M times those of its captions, in per cent."""
    share = data.n_images / data.n_captions
    parts = []
    for image in range(data.n_images):
        part = sum(100.0 for k in KS if ranks["image"][image] <= k)
        for caption, owner in enumerate(data.image_of_caption):
            if owner == image:
                part += sum(100 * share for k in KS if ranks["text"][caption] <= k)
        parts.append(part)
    return np.array(parts)


def loop_draws(gains, groups, n=2000):
    """Means over the images of groups drawn with replacement, the gains ``(S, N)`` of all seeds together."""
    names = sorted(set(groups.tolist()))
    places = [np.flatnonzero(groups == name) for name in names]
    drawn = np.random.default_rng(0).integers(0, len(names), (n, len(names)))
    means = []
    for draw in drawn:
        picked = [image for group in draw for image in places[group]]
        means.append(np.mean([gain[image] for gain in gains for image in picked]))
    return np.percentile(means, [2.5, 97.5])


@pytest.mark.parametrize("groups", [None, [3, 3, 3, 0, 1, 1, 7, 8, 9, 9, 5, 6]])
def test_rsum_against_loops(groups):
    data = dataset(RAGGED, groups)
    rows = random_rows(data, ("good", "bad"), seeds=1)
    (found,) = compared(results(data, rows), [("good", "bad")], "rsum")
    own = [loop_rsum(a) - loop_rsum(b) for a, b in zip(rows["good"], rows["bad"], strict=True)]
    assert found.per_seed == pytest.approx(own) and found.difference == pytest.approx(np.mean(own))
    gains = [
        loop_parts(a, data) - loop_parts(b, data) for a, b in zip(rows["good"], rows["bad"], strict=True)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(loop_draws(gains, data.group_of_image)))
    assert found.low < found.difference < found.high and found.name == "R-sum"


def test_the_mean_of_both_directions_is_a_sixth_and_signs_turn():
    data = dataset(RAGGED)
    both = results(data, random_rows(data, ("good", "bad")))
    (rsum,) = compared(both, [("good", "bad")], "rsum")
    (mean,) = compared(both, [("good", "bad")], "both")
    (turned,) = compared(both, [("bad", "good")], "rsum")
    ends = (rsum.difference, rsum.low, rsum.high)
    assert (mean.difference, mean.low, mean.high) == pytest.approx([end / 6 for end in ends])
    assert len(rsum.per_seed) == 2 and rsum.low < min(rsum.per_seed) < max(rsum.per_seed) < rsum.high
    assert (turned.difference, turned.high, turned.low) == pytest.approx([-end for end in ends])


def test_the_gain_of_text_queries_over_that_of_image_queries():
    data = dataset(RAGGED)
    rows = random_rows(data, ("good", "bad"))
    (found,) = compared(results(data, rows), [("good", "bad")], "text_more")
    own = []
    for good, bad in zip(rows["good"], rows["bad"], strict=True):
        gains = {}
        for side in ("image", "text"):
            hits = [(good[side] <= k).mean() - (bad[side] <= k).mean() for k in KS]
            gains[side] = 100 * sum(hits) / 3
        own.append(gains["text"] - gains["image"])
    assert found.per_seed == pytest.approx(own) and found.name.startswith("text gain minus image gain")


def test_a_row_at_chance_is_named():
    data = dataset((2,) * 40)
    # Each right answer is found first by the good row; the bad one guesses: of 40 images, of 80 captions.
    guess = {"image": np.tile(np.arange(1, 41), 1), "text": np.tile(np.arange(1, 41), 2)}
    ranks = {"good": [{"image": np.ones(40, int), "text": np.ones(80, int)}], "bad": [guess]}
    made = results(data, ranks)
    for key, one in made.items():
        sums = {"rsum": [loop_rsum(ranks[key][0])]}
        one.metrics = lambda split, sums=sums: pd.DataFrame(sums)
    chance = made["bad"].chance()["rsum"]
    assert chance < loop_rsum(guess) * 1.1 and loop_rsum(guess) < 1.5 * chance
    assert at_chance(made, [("good", "test"), ("missing", "test")]) == ""
    said = at_chance(made, [("good", "test"), ("bad", "test")])
    assert said == f"bad: R-sum {loop_rsum(guess):.1f}, by chance {chance:.1f}"
    made["bad"].metrics = lambda split: pd.DataFrame({"rsum": [1.49 * chance, 1.52 * chance]})
    assert at_chance(made, [("bad", "test")]) == ""  # the mean over seeds counts
    boxes = SimpleNamespace(metrics=lambda split: pd.DataFrame({"r1": [5.0], "chance": [4.0]}))
    assert at_chance({"phrases": boxes}, [("phrases", "test")]) == "phrases: R@1 5.0, by chance 4.0"


@pytest.mark.parametrize("key", ["good", "bad"])
def test_no_verdict_comes_from_a_row_at_chance(key):
    """Whatever the difference, and whether the row at chance is the better or the worse."""
    study = intra_modal.study("flickr8k", "x", "quick", [0, 1, 2], device="cpu")
    item = report.Evidence("distance", 4.0, 1.0, 7.0, (3.0, 4.0, 5.0))
    study.measures = dict.fromkeys(study.measures, lambda results: [item])
    data = dataset((2,) * 40)
    names = {line.run for table in study.paper.tables.values() for line in table.lines if line.run}
    made = results(data, random_rows(data, sorted(names), seeds=3))
    for one in made.values():
        one.metrics = lambda split: pd.DataFrame({"rsum": [500.0]})
        one.origin = {"dataset": "flickr8k", "profile": "quick"}
    before = {one.claim.id: one for one in study.verdicts(made)}
    assert not {"undecided: at chance", "not judged", "one seed"} & {one.word for one in before.values()}
    low = "l1" if key == "good" else "hinges"
    made[low].metrics = lambda split: pd.DataFrame({"rsum": [1.4 * made[low].chance()["rsum"]]})
    for name, verdict in {one.claim.id: one for one in study.verdicts(made)}.items():
        touched = low in dict(verdict.claim.rows)
        assert (verdict.word == "undecided: at chance") == touched, name
        assert verdict.reason.startswith(f"{low}: R-sum") if touched else verdict == before[name]
    made[low].metrics = lambda split: pd.DataFrame({"rsum": [500.0]})
    smoke = intra_modal.study("flickr8k", "x", "smoke", [0, 1, 2], device="cpu")
    smoke.measures = study.measures
    for one in made.values():
        one.origin = {"dataset": "flickr8k", "profile": "smoke"}
    assert {one.word for one in smoke.verdicts(made)} == {"not judged"}


def test_a_claim_that_a_row_learns_nothing_is_judged_by_it():
    claim = report.read_paper("instance_loss").claims["shared_classifier_needed"]
    assert claim.rows == [("instance-1", "val")] and claim.fails == ["two-classifiers"]


def test_what_is_equal_differs_by_nothing():
    # 3 images, 7 captions: 3 image hits against 7 caption hits, both a recall of one.
    data = dataset((1, 2, 4))
    images = {"image": np.ones(3, int), "text": np.full(7, 99)}
    texts = {"image": np.full(3, 99), "text": np.ones(7, int)}
    both = results(data, {"a": [images], "b": [texts]})
    (found,) = compared(both, [("a", "b")], "rsum")
    assert found.difference == 0 and found.per_seed == (0.0,) and found.low < 0 < found.high
    (same,) = compared(both, [("a", "a")], "rsum")
    assert (same.difference, same.low, same.high, same.per_seed) == (0, 0, 0, (0.0,))
    sides = compared(both, [("a", "b")], 1, label="here")
    assert [(item.name, item.difference) for item in sides] == [
        ("here, image query R@1", 100),
        ("here, text query R@1", -100),
    ]


def test_several_pairs_count_as_their_mean():
    data = dataset(RAGGED)
    rows = results(data, random_rows(data, ("a", "b", "c", "d"), seeds=3))
    pairs = (("a", "b"), ("a", "d"), ("d", "c"))
    for options in ({"k": "rsum"}, {"k": "both"}, {"k": 5}, {"k": "mean", "sides": ("text",)}):
        each = [compared(rows, [pair], **options) for pair in pairs]
        for place, found in enumerate(compared(rows, pairs, **options)):
            parts = [items[place] for items in each]
            assert found.difference == pytest.approx(np.mean([part.difference for part in parts]))
            assert found.per_seed == pytest.approx(np.mean([part.per_seed for part in parts], axis=0))
            assert len(found.per_seed) == 3 and parts[0].difference != parts[2].difference


def test_captions_are_drawn_with_their_image():
    data = dataset((10, 10, 10, 10))
    # All captions of an image agree: as good as four queries, not forty.
    ranks = {"image": np.array([1, 1, 1, 2]), "text": np.where(data.image_of_caption < 2, 1, 2)}
    worse = {side: np.full(len(values), 2) for side, values in ranks.items()}
    image, text = compared(results(data, {"a": [ranks], "b": [worse]}), [("a", "b")], 1)
    assert (image.difference, text.difference) == (75, 50) and (text.low, text.high) == (0, 100)


def test_phrases_against_loops():
    random, images = np.random.default_rng(4), np.array([0, 0, 1, 1, 1, 2, 3, 3])

    def seed():
        ranks, precisions = random.integers(1, 8, 8).astype(float), 100 * random.random(5)
        kept = {"ranks": ranks, "image": images, "ap": precisions}
        return SimpleNamespace(load_arrays=lambda name: kept)

    found = Results({key: SimpleNamespace(runs=[seed(), seed()]) for key in "abc"})
    recall, precision = localised(found, [("a", "b"), ("c", "b")], k=5, ap=True, label="both")
    kept = {key: [run.load_arrays("") for run in one.runs] for key, one in found.items()}
    hits, precisions = [], []
    for place in range(2):
        gains = []
        for better in "ac":
            for mention in range(8):
                pair = [kept[key][place]["ranks"][mention] <= 5 for key in (better, "b")]
                gains.append(100.0 * (int(pair[0]) - int(pair[1])))
            precisions.append(np.mean(kept[better][place]["ap"] - kept["b"][place]["ap"]))
        hits.append(np.mean(gains))
    assert recall.per_seed == pytest.approx(hits) and recall.name == "both, R@5"
    assert precision.difference == pytest.approx(np.mean(precisions)) and precision.name == "both, mAP"
    (alone,) = localised(found, [("a", "b")])
    assert alone.name == "R@1" and alone.low <= alone.difference <= alone.high


def loop_folds(scores, owners, folds=5):
    """Ranks within folds, the best of an image's captions; ties go to the smaller index."""
    size = len(scores) // folds
    images, texts = [], np.empty(len(owners), int)
    for image in range(len(scores)):
        members = [j for j, owner in enumerate(owners) if owner // size == image // size]
        order = sorted(members, key=lambda j: (-scores[image, j], j))
        images.append(1 + min(place for place, j in enumerate(order) if owners[j] == image))
    for caption, owner in enumerate(owners):
        members = range(owner // size * size, (owner // size + 1) * size)
        texts[caption] = 1 + sorted(members, key=lambda i: (-scores[i, caption], i)).index(owner)
    return {"image_query": np.array(images), "text_query": texts}


def test_runs_keep_ranks_within_folds(tmp_path):
    data, run = dataset((2, 3, 1, 4, 2, 1, 1, 2, 3, 1)), Run(tmp_path)
    owners, random = data.image_of_caption, np.random.default_rng(3)
    scores = random.integers(0, 4, (10, len(owners))).astype(float)  # many ties
    metrics = evaluate_split(data, "test", {"scores": scores}, run)
    naive, kept = loop_folds(scores, owners), run.load_arrays("ranks-test_folds.npz")
    recall = 100 * np.mean(naive["image_query"] <= 1)
    assert metrics["test_folds"]["image_query_r1"] == pytest.approx(recall)
    for side, ranks in naive.items():
        assert kept[side].tolist() == ranks.tolist()
        assert kept[side].tolist() != run.load_arrays("ranks-test.npz")[side].tolist()
    images, captions = (random.integers(-2, 3, (n, 4)).astype(float) for n in (10, len(owners)))
    evaluate_split(data, "val", {"images": images, "captions": captions}, run)
    units = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (images, captions)
    ]
    naive, kept = loop_folds((units[0] @ units[1].T).round(6), owners), run.load_arrays("ranks-val_folds.npz")
    assert kept["text_query"].tolist() == naive["text_query"].tolist()


@pytest.mark.parametrize(
    "data", [dataset((2,) * 9), dataset((2,) * 10, np.arange(10) // 2)], ids=["indivisible", "groups"]
)
def test_without_folds_the_whole_counts(tmp_path, data):
    scores = np.random.default_rng(0).random((data.n_images, data.n_captions))
    metrics = evaluate_split(data, "test", {"scores": scores}, Run(tmp_path))
    assert metrics["test"] == metrics["test_folds"]
