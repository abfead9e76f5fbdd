"""CxC and ECCV-Caption: what the package is given and what is made of its answers.

Most tests put a small package of the same interface in its place; the last ones need the real one.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from imtext.errors import ConfigError, DataError
from imtext.retrieval import evaluate_scores, graded
from imtext.retrieval.meaning import coco_test_ids, extended_measures, extended_pairs

IMAGES = [70, 10, 30, 90, 50, 20, 60, 80, 40, 100]  # ten images in five folds of two, three captions each
OWNER = {1000 + 7 * k: image for k, image in enumerate(i for i in IMAGES for _ in range(3))}
CXC = {(70, 1021), (10, 1000), (30, 1203), (100, 1007)}
ECCV_I2T = {70: [1000, 1007, 1014, 1021, 1203], 50: [1084, 1007], 20: [1105]}
ECCV_T2I = {1203: [100, 40, 70], 1000: [70]}


class Package:
    """The interface of ``eccv_caption.Metrics``, with measures written as loops over lists."""

    given: dict = {}

    def __init__(self):
        own = {(image, caption) for caption, image in OWNER.items()}
        self.coco_ids = np.array(list(OWNER))
        self.coco_gts, self.cxc_gts = self.lists(own), self.lists(own | CXC)
        self.eccv_gts = {"i2t": ECCV_I2T, "t2i": ECCV_T2I}

    @staticmethod
    def lists(pairs):
        sides = {"i2t": {}, "t2i": {}}
        for image, caption in sorted(pairs):
            sides["i2t"].setdefault(image, []).append(caption)
            sides["t2i"].setdefault(caption, []).append(image)
        return sides

    @staticmethod
    def recalls(found, truth, k):
        return {s: np.mean([bool(set(found[s][q][:k]) & set(t)) for q, t in truth[s].items()]) for s in truth}

    def coco_1k_recalls(self, found, modality, K):  # noqa: N803
        assert modality == "all"
        Package.given["1k"] = found
        parts = []
        for fold in np.split(self.coco_ids, 5):
            captions = set(fold.tolist())
            images = {OWNER[c] for c in captions}
            within = {
                "i2t": {i: [c for c in found["i2t"][i] if c in captions] for i in images},
                "t2i": {c: [i for i in found["t2i"][c] if i in images] for c in captions},
            }
            truth = {
                "i2t": {i: self.coco_gts["i2t"][i] for i in images},
                "t2i": {c: self.coco_gts["t2i"][c] for c in captions},
            }
            parts.append(self.recalls(within, truth, K))
        return {s: np.mean([p[s] for p in parts]) for s in ("i2t", "t2i")}

    def coco_5k_recalls(self, found, modality, K):  # noqa: N803
        Package.given["5k"] = found
        return self.recalls(found, self.coco_gts, K)

    def cxc_recalls(self, found, modality, K):  # noqa: N803
        return self.recalls(found, self.cxc_gts, K)

    def eccv_metrics(self, found, modality):
        print("a bar", file=sys.stderr)
        out = {"eccv_r1": {}, "eccv_rprecision": {}, "eccv_map_at_r": {}}
        for side, truth in self.eccv_gts.items():
            rows = []
            for q, right in truth.items():
                assert len(found[side][q]) >= len(right)
                hits = [x in right for x in found[side][q][: len(right)]]
                precision = [sum(hits[: r + 1]) / (r + 1) for r in range(len(hits))]
                rows.append(
                    (hits[0], precision[-1], np.mean([p * h for p, h in zip(precision, hits, strict=True)]))
                )
            for name, values in zip(
                ("eccv_r1", "eccv_rprecision", "eccv_map_at_r"), zip(*rows, strict=True), strict=True
            ):
                out[name][side] = np.mean(values)
        return out


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("eccv_caption")
    module.Metrics = Package
    monkeypatch.setitem(sys.modules, "eccv_caption", module)
    Package.given = {}
    return Package()


def shuffled(seed=0, ties=False):
    """Scores of all ids in another order than that of the folds."""
    random = np.random.default_rng(seed)
    images, captions = random.permutation(IMAGES), random.permutation(list(OWNER))
    scores = random.normal(size=(10, 30))
    scores += 1.2 * (images[:, None] == [OWNER[int(c)] for c in captions])
    return np.round(scores) if ties else scores, images, captions


@pytest.mark.parametrize("ties", [False, True])
def test_lists_are_ranked_by_score_then_place(package, ties):
    scores, images, captions = shuffled(1, ties)
    extended_measures(scores, images, captions)
    found = Package.given["5k"]
    for i, image in enumerate(images.tolist()):
        order = sorted(range(30), key=lambda j: (-scores[i, j], j))
        assert found["i2t"][image] == captions[order[:10]].tolist()
    for j, caption in enumerate(captions.tolist()):
        order = sorted(range(10), key=lambda i: (-scores[i, j], i))
        assert found["t2i"][caption] == images[order].tolist()
    assert all(type(x) is int for x in (*found["i2t"], *found["t2i"][1000]))


def test_measures_equal_those_of_our_own(package):
    for seed in range(3):
        scores, images, captions = shuffled(seed)
        out = extended_measures(scores, images, captions)
        owners = np.array([images.tolist().index(OWNER[int(c)]) for c in captions])
        whole = evaluate_scores(scores, owners)
        assert out["coco_5k_r5"]["image_query"] == pytest.approx(whole.image_query.r5)
        assert out["coco_5k_r1"]["text_query"] == pytest.approx(whole.text_query.r1)
        cxc = graded(scores, owners, extended_pairs("cxc", images, captions))
        for k, side in ((1, "image_query"), (5, "text_query")):
            assert out[f"cxc_r{k}"][side] == pytest.approx(cxc.value(f"semantic_recall@{k}", side))
        order = [images.tolist().index(i) for i in IMAGES]
        columns = [captions.tolist().index(c) for c in OWNER]
        folds = evaluate_scores(scores[np.ix_(order, columns)], np.repeat(np.arange(10), 3), folds=5)
        assert out["coco_1k_r1"]["text_query"] == pytest.approx(folds.text_query.r1)
        assert out["coco_1k_r1"]["image_query"] == pytest.approx(folds.image_query.r1)
        assert set(out) == {
            *(f"{name}_r{k}" for name in ("coco_1k", "coco_5k", "cxc") for k in (1, 5, 10)),
            *("eccv_r1", "eccv_rprecision", "eccv_map_at_r"),
        }


def test_perfect_scores_are_a_hundred_and_bars_are_not_shown(package, capsys):
    _, images, captions = shuffled()
    listed = [
        [(i in ECCV_I2T and c in ECCV_I2T[i]) or i in ECCV_T2I.get(c, ()) for c in captions] for i in images
    ]
    own = images[:, None] == [OWNER[int(c)] for c in captions]
    out = extended_measures(own + 0.5 * np.array(listed), images, captions)
    assert out["coco_1k_r1"] == {"image_query": 100.0, "text_query": 100.0}
    assert out["eccv_map_at_r"]["image_query"] == pytest.approx(100 * (1 + 0.5 + 1) / 3)
    assert capsys.readouterr().err == ""


def test_ids_in_the_order_of_the_folds(package):
    images, captions, owners = coco_test_ids()
    assert images.tolist() == IMAGES and captions.tolist() == list(OWNER)
    assert owners.tolist() == np.repeat(np.arange(10), 3).tolist()


def test_right_pairs(package):
    images, captions = [100, 70, 50], [1203, 1000, 1007, 1084]
    own = np.array([[True, False, False, False], [False, True, True, False], [False, False, False, True]])
    assert (extended_pairs("coco", images, captions).toarray() == own).all()
    cxc = extended_pairs("cxc", images, captions).toarray()
    assert np.argwhere((cxc > 0) & ~own).tolist() == [[0, 2]]
    eccv = extended_pairs("eccv", images, captions).toarray()
    assert eccv.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]
    assert extended_pairs("eccv", [1], [2]).nnz == 0


def test_unfit_input_is_named(package):
    scores, images, captions = shuffled()
    with pytest.raises(DataError, match="expected the 10 and 30 ids of COCO"):
        extended_measures(scores, images[:9], captions)
    with pytest.raises(DataError, match="expected the 10 and 30 ids of COCO"):
        extended_measures(scores, images, np.where(captions == 1000, 5, captions))
    with pytest.raises(DataError, match="image_ids: an id is there twice"):
        extended_measures(scores, np.where(images == 70, 10, images), captions)
    with pytest.raises(DataError, match="image_ids: expected COCO ids"):
        extended_measures(scores, [f"image {one}" for one in images], captions)
    with pytest.raises(DataError, match="holds NaN"):
        extended_measures(scores * np.nan, images, captions)
    assert extended_measures(scores, images.astype(str), captions.astype(str))["cxc_r1"]
    with pytest.raises(ConfigError, match="source='flickr'"):
        extended_pairs("flickr", images, captions)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "eccv_caption", None)
    for call in (
        coco_test_ids,
        lambda: extended_pairs("cxc", [1], [1]),
        lambda: extended_measures([[1]], [1], [1]),
    ):
        with pytest.raises(ConfigError, match=r'run pip install "imtext\[coco\]"'):
            call()


def test_the_real_lists():
    pytest.importorskip("eccv_caption")
    images, captions, owners = coco_test_ids()
    assert (len(images), len(captions)) == (5000, 25000) and (np.bincount(owners) == 5).all()
    coco, cxc, eccv = (extended_pairs(name, images, captions) for name in ("coco", "cxc", "eccv"))
    assert (coco.nnz, cxc.nnz) == (25000, 35585)
    assert cxc.multiply(coco).nnz == 24971
    assert 22550 < eccv.nnz < 22550 + 11279
    assert np.array_equal(coco.indices[np.argsort(coco.indices)], np.arange(25000))
