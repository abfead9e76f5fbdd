"""Rows against each other: R-sum and recalls against loops, ranks within folds, ties, ragged captions."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imtext.data.schema import Dataset
from imtext.errors import ConfigError
from imtext.retrieval import evaluate, evaluate_scores
from imtext.runs import Run
from imtext.studies.comparing import Compared, both_directions, gain_where, ranks_of, recalls

KS = (1, 5, 10)


def dataset(counts, groups=None):
    """One split of images with ``counts`` captions each, the captions in no order."""
    n = len(counts)
    owners = np.random.default_rng(1).permutation(np.repeat(np.arange(n), counts))
    names = tuple(map(str, range(n)))
    files = tuple(f"{name}.jpg" for name in names)
    captions = tuple(f"caption {i}" for i in range(len(owners)))
    groups = np.arange(n) if groups is None else np.asarray(groups)
    return Dataset("made", Path("."), files, names, captions, owners, np.full(n, "test"), groups)


class Study:
    """Rows by slug, each a list of seeds, each a mapping of file to arrays."""

    def __init__(self, folder, data, rows):
        self.prepared = SimpleNamespace(splits={"test": data})
        self.runs = {slug: [] for slug in rows}
        for slug, seeds in rows.items():
            for seed, files in enumerate(seeds):
                run = Run(folder / f"{slug}-{seed}")
                run.dir.mkdir()
                for name, arrays in files.items():
                    run.save_arrays(name, **arrays)
                self.runs[slug].append(run)


def random_rows(data, slugs, seeds=2, high=14):
    """Random ranks; later rows have higher ones."""
    random = np.random.default_rng(0)
    rows = {}
    for place, slug in enumerate(slugs):
        rows[slug] = []
        for _ in range(seeds):
            ranks = {
                "image_query": random.integers(1, high + 4 * place, data.n_images),
                "text_query": random.integers(1, high + 4 * place, data.n_captions),
            }
            rows[slug].append({"ranks-test.npz": ranks})
    return rows


def loop_rsum(ranks):
    """The sum of six recalls, in points, one query at a time."""
    total = 0.0
    for side in ("image_query", "text_query"):
        for k in KS:
            total += 100 * sum(1 for rank in ranks[side] if rank <= k) / len(ranks[side])
    return total


def loop_parts(ranks, data):
    """Per image: its own hits at each K plus N/M times those of its captions, in per cent."""
    share = data.n_images / data.n_captions
    parts = []
    for image in range(data.n_images):
        part = sum(100.0 for k in KS if ranks["image_query"][image] <= k)
        for caption, owner in enumerate(data.image_of_caption):
            if owner == image:
                part += sum(100 * share for k in KS if ranks["text_query"][caption] <= k)
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


RAGGED = (1, 5, 2, 3, 1, 7, 4, 2, 1, 3, 6, 2)


@pytest.mark.parametrize("groups", [None, [3, 3, 3, 0, 1, 1, 7, 8, 9, 9, 5, 6]])
def test_rsum_against_loops(tmp_path, groups):
    data = dataset(RAGGED, groups)
    rows = random_rows(data, ("good", "bad"))
    (found,) = recalls(Study(tmp_path, data, rows), Compared((("good", "bad"),), k="rsum"))
    good, bad = ([seed["ranks-test.npz"] for seed in rows[slug]] for slug in ("good", "bad"))
    own = [loop_rsum(a) - loop_rsum(b) for a, b in zip(good, bad, strict=True)]
    assert found.per_seed == pytest.approx(own) and found.difference == pytest.approx(np.mean(own))
    gains = [loop_parts(a, data) - loop_parts(b, data) for a, b in zip(good, bad, strict=True)]
    assert [gain.mean() for gain in gains] == pytest.approx(own)
    assert (found.low, found.high) == pytest.approx(tuple(loop_draws(gains, data.group_of_image)))
    assert found.low < found.difference < found.high and found.name == "R-sum"


def test_groups_are_drawn_whole(tmp_path):
    rows = random_rows(dataset(RAGGED), ("good", "bad"), seeds=1)
    widths = []
    for name, groups in (("alone", None), ("together", np.arange(12) // 6)):
        (tmp_path / name).mkdir()
        study = Study(tmp_path / name, dataset(RAGGED, groups), rows)
        found = both_directions(study, Compared((("good", "bad"),), k="rsum"))
        widths.append((found.low, found.high))
    assert widths[0] != pytest.approx(widths[1])


def test_the_mean_of_both_directions_is_a_sixth_and_signs_turn(tmp_path):
    data = dataset(RAGGED)
    study = Study(tmp_path, data, random_rows(data, ("good", "bad")))
    (rsum,) = recalls(study, Compared((("good", "bad"),), k="rsum"))
    (mean,) = recalls(study, Compared((("good", "bad"),), together=True))
    (turned,) = recalls(study, Compared((("bad", "good"),), k="rsum"))
    assert rsum.difference > 0 > turned.difference
    ends = (rsum.difference, rsum.low, rsum.high)
    assert (mean.difference, mean.low, mean.high) == pytest.approx([end / 6 for end in ends])
    assert (turned.difference, turned.high, turned.low) == pytest.approx([-end for end in ends])
    assert turned.per_seed == pytest.approx([-value for value in rsum.per_seed])


def test_what_is_equal_differs_by_nothing(tmp_path):
    # 3 images, 7 captions: 3 image hits against 7 caption hits, both a recall of one.
    data = dataset((1, 2, 4))
    images = {"image_query": np.ones(3, int), "text_query": np.full(7, 99)}
    texts = {"image_query": np.full(3, 99), "text_query": np.ones(7, int)}
    rows = {"a": [{"ranks-test.npz": images}], "b": [{"ranks-test.npz": texts}]}
    study = Study(tmp_path, data, rows)
    (found,) = recalls(study, Compared((("a", "b"),), k="rsum"))
    assert found.difference == 0 and found.per_seed == (0.0,) and found.low < 0 < found.high
    (same,) = recalls(study, Compared((("a", "a"),), k="rsum"))
    assert (same.difference, same.low, same.high, same.per_seed) == (0, 0, 0, (0.0,))
    sides = recalls(study, Compared((("a", "b"),), k=1, label="here"))
    assert [(item.name, item.difference) for item in sides] == [
        ("here, image query R@1", 100),
        ("here, text query R@1", -100),
    ]


def test_several_pairs_count_as_their_mean(tmp_path):
    data = dataset(RAGGED)
    study = Study(tmp_path, data, random_rows(data, ("a", "b", "c", "d"), seeds=3))
    pairs = (("a", "b"), ("a", "d"), ("d", "c"))
    for options in ({"k": "rsum"}, {"together": True}, {"k": 5}, {"k": "mean", "sides": ("text",)}):
        each = [recalls(study, Compared((pair,), **options)) for pair in pairs]
        for place, found in enumerate(recalls(study, Compared(pairs, **options))):
            parts = [items[place] for items in each]
            assert found.difference == pytest.approx(np.mean([part.difference for part in parts]))
            assert found.per_seed == pytest.approx(np.mean([part.per_seed for part in parts], axis=0))
            assert len(found.per_seed) == 3 and parts[0].difference != parts[2].difference


def test_captions_are_drawn_with_their_image(tmp_path):
    data = dataset((10, 10, 10, 10))
    # All captions of an image agree: as good as four queries, not forty.
    ranks = {"image_query": np.array([1, 1, 1, 2]), "text_query": np.where(data.image_of_caption < 2, 1, 2)}
    worse = {side: np.full(len(values), 2) for side, values in ranks.items()}
    study = Study(tmp_path, data, {"a": [{"ranks-test.npz": ranks}], "b": [{"ranks-test.npz": worse}]})
    image, text = recalls(study, Compared((("a", "b"),), k=1))
    assert (image.difference, text.difference) == (75, 50) and (text.low, text.high) == (0, 100)


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
    return {"image": np.array(images), "text": texts}


def whole(scores, owners):
    result = evaluate_scores(scores, owners)
    return {"image_query": result.image_query_ranks, "text_query": result.text_query_ranks}


def test_ranks_within_folds_from_scores_embeddings_or_as_kept(tmp_path):
    data = dataset((2, 3, 1, 4, 2, 1, 1, 2, 3, 1))
    owners, random = data.image_of_caption, np.random.default_rng(3)
    images, captions = (random.integers(-2, 3, (n, 4)).astype(float) for n in (10, len(owners)))
    scores = random.integers(0, 4, (10, len(owners))).astype(float)  # many ties
    kept = {"image_query": np.arange(1, 11), "text_query": np.arange(1, 1 + len(owners))}
    vectors = {"images": images, "captions": captions, "image_of_caption": owners}
    common = {"ranks-test.npz": whole(scores, owners), "scores-test.npz": {"scores": scores}}
    rows = {
        "scored": [common],
        "embedded": [{"ranks-test.npz": whole(scores, owners), "embeddings-test.npz": vectors}],
        "kept": [common | {"ranks-test_folds.npz": kept}],
    }
    study = Study(tmp_path, data, rows)
    naive, direct = loop_folds(scores, owners), evaluate(images, captions, owners, folds=5)
    for side in ("image", "text"):
        (ranks,) = ranks_of(study, "scored", side, "test_folds")
        assert ranks.tolist() == naive[side].tolist()
        assert ranks.tolist() != ranks_of(study, "scored", side)[0].tolist()
        (ranks,) = ranks_of(study, "embedded", side, "test_folds")
        assert ranks.tolist() == getattr(direct, f"{side}_query_ranks").tolist()
        assert ranks_of(study, "kept", side, "test_folds")[0].tolist() == kept[f"{side}_query"].tolist()
    folds = recalls(study, Compared((("scored", "embedded"),), k="rsum", split="test_folds"))[0]
    (a, b) = ({f"{side}_query": ranks_of(study, slug, side, "test_folds")[0] for side in ("image", "text")}
              for slug in ("scored", "embedded"))  # fmt: skip
    assert folds.difference == pytest.approx(loop_rsum(a) - loop_rsum(b))


@pytest.mark.parametrize(
    "data", [dataset((2,) * 9), dataset((2,) * 10, np.arange(10) // 2)], ids=["indivisible", "groups"]
)
def test_without_folds_the_whole_counts(tmp_path, data):
    study = Study(tmp_path, data, random_rows(data, ("a",)))
    for side in ("image", "text"):
        pairs = zip(ranks_of(study, "a", side, "test_folds"), ranks_of(study, "a", side), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)


def test_one_part_of_the_queries_against_the_others():
    random = np.random.default_rng(5)
    clusters = np.repeat(np.arange(20), 3)
    gains = [random.integers(-1, 2, 60).astype(float) for _ in range(2)]
    chosen = random.random(60) < 0.3
    found = gain_where("gain", gains, chosen, clusters)
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    assert found.per_seed == pytest.approx(own)
    means = []
    for draw in np.random.default_rng(0).integers(0, 20, (2000, 20)):
        picked = np.concatenate([np.flatnonzero(clusters == one) for one in draw])
        gain, part = np.mean(gains, axis=0)[picked], chosen[picked]
        means.append(100 * (gain[part].mean() - gain[~part].mean()))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    other = gain_where("gain", gains, ~chosen, clusters)
    assert other.difference == pytest.approx(-found.difference)
    for all_or_none in (chosen | True, chosen & False):
        with pytest.raises(ConfigError, match="choose some"):
            gain_where("gain", gains, all_or_none, clusters)


def test_what_makes_no_comparison():
    with pytest.raises(ConfigError, match="at least one pair"):
        Compared(())
    with pytest.raises(ConfigError, match="k=1 has no mean"):
        Compared((("a", "b"),), k=1, together=True)
