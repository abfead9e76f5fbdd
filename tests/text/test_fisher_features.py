"""The transformer: what each step does to captions, what is fitted on what, and what goes wrong."""

from __future__ import annotations

import fisher_naive as naive
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import FastICA
from threadpoolctl import threadpool_limits

from imtext.errors import ConfigError, DataError
from imtext.text import WordVectors
from imtext.text import fisher as module
from imtext.text import mixture as fits
from imtext.text.fisher import FisherVectors
from imtext.text.mixture import unmixing_matrix

WORDS = [f"w{i}x" for i in range(40)]
DIM = 6


def vectors(seed: int = 0, dim: int = DIM) -> WordVectors:
    random = np.random.default_rng(seed)
    return WordVectors(WORDS, random.laplace(size=(40, dim)) @ random.normal(size=(dim, dim)) + 0.5)


def captions(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, 41)
    return [
        " ".join(random.choice(WORDS, 1 + row % 9, p=share / share.sum())) + " never-seen"
        for row in range(count)
    ]


def small(**options: object) -> FisherVectors:
    return FisherVectors(**{"vectors": vectors(), "components": 3, "pca": 10, **options})


@pytest.mark.parametrize("mixture", ["hglmm", "gmm"])
@pytest.mark.parametrize("ica", [True, False])
def test_each_step_of_the_way(mixture, ica) -> None:
    """Length 1, unmixing without the mean, length 1, times 10, plain loops, root, length 1."""
    fisher = small(mixture=mixture, ica=ica, pca=None).fit(captions(200))
    assert (fisher.unmixing_ is not None) == ica and fisher.dim_ == 2 * 3 * DIM
    found = fisher.transform(captions(12, seed=1))
    assert found.dtype == np.float32 and found.shape == (12, 36)
    for caption, row in zip(captions(12, seed=1), found, strict=True):
        rows = np.stack([fisher.vectors[word] for word in caption.split()[:-1]]).astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if ica:
            rows = rows @ fisher.unmixing_.T
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        raw = naive.fisher_vector(10 * rows, fisher.mixture_)
        # Squares: where words cancel, a root would blow up the rounding of float32.
        np.testing.assert_allclose(np.sign(row) * row**2, raw / np.abs(raw).sum(), atol=1e-6)


def test_ica_finds_independent_sources_as_scikit_learn_does() -> None:
    random = np.random.default_rng(1)
    sources = random.laplace(size=(4000, 3))
    x = sources @ random.normal(size=(3, 3)) + 2.0
    ours = unmixing_matrix(x, np.ones(len(x)))
    theirs = FastICA(whiten="unit-variance", random_state=0).fit(x).components_
    match = np.abs(np.corrcoef(x @ ours.T, x @ theirs.T, rowvar=False)[:3, 3:])
    np.testing.assert_allclose(match.max(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.cov(x @ ours.T, rowvar=False, bias=True), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_ica_with_weights_is_ica_of_repeated_rows(steps, monkeypatch) -> None:
    # Few steps: on so few words many would lead rounding anywhere.
    monkeypatch.setattr(fits, "FastICA", lambda **options: FastICA(**{**options, "max_iter": steps}))
    x, weights = vectors().vectors.astype(float), np.random.default_rng(0).integers(1, 9, 40)
    short = unmixing_matrix(x, weights)
    long = unmixing_matrix(np.repeat(x, weights, axis=0), np.ones(weights.sum()))
    np.testing.assert_allclose(short, long, rtol=1e-8, atol=1e-10)


def test_vectors_in_fewer_dimensions_than_numbers() -> None:
    flat = WordVectors(WORDS, np.pad(vectors(dim=2).vectors, ((0, 0), (0, 3))))
    fisher = small(vectors=flat, pca=None).fit(captions(100))
    assert fisher.unmixing_.shape == (2, 5) and fisher.dim_ == 12
    assert np.isfinite(fisher.transform(captions(20))).all()
    same = WordVectors(WORDS, np.ones((40, 4)))
    with pytest.raises(DataError, match="all known words have the same vector.*ica=False"):
        small(vectors=same).fit(captions(50))
    assert np.isfinite(small(vectors=same, ica=False, pca=None).fit_transform(captions(50))).all()


def test_pca_is_that_of_the_training_captions() -> None:
    train, test = captions(300), captions(40, seed=1)
    full = small(pca=None, seed=3).fit(train)
    reduced = small(pca=10, seed=3, pca_sample=300).fit(train)
    rows = full.transform(train).astype(np.float64)
    centre = rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - centre, full_matrices=False)
    expected = (full.transform(test) - centre) @ axes[:10].T
    found = reduced.transform(test)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(reduced.pca_mean_, centre, atol=1e-6)
    before = reduced.pca_components_.copy()
    reduced.transform(captions(50, seed=9))
    assert np.array_equal(before, reduced.pca_components_)


def test_pca_gives_no_more_than_the_data_allow() -> None:
    assert small(pca=6000).fit(captions(300)).dim_ <= 36
    fisher = small(pca=6000, pca_sample=8).fit(captions(300))
    assert fisher.dim_ == 7 and fisher.transform(captions(3)).shape == (3, 7)
    with pytest.raises(DataError, match="same Fisher vector"):
        small(components=1).fit(["w1x w2x w3x w4x"] * 5)


def test_large_pca_is_randomised(monkeypatch) -> None:
    exact = small(pca=5).fit(captions(300))
    monkeypatch.setattr(module, "_EXACT", 1)
    rough = small(pca=5).fit(captions(300))
    one, two = (f.transform(captions(300)).var(axis=0).sum() for f in (exact, rough))
    assert 0.95 * one < two < 1.0001 * one  # axes of like variance may turn into one another


def test_a_caption_without_known_words_is_zero_and_counted() -> None:
    train = ["", *captions(100), "never seen"]
    for pca in (None, 10):
        fisher = small(pca=pca).fit(train)
        assert fisher.unknown_ == 2 and fisher.unknown_captions_.tolist() == [0, 101]
        found = fisher.transform(["w1x", "of", "...", "w2x w2x"])
        assert fisher.unknown_ == 2 and fisher.unknown_captions_.tolist() == [1, 2]
        assert np.isfinite(found).all() and not found[1:3].any() and found[[0, 3]].any(axis=1).all()
        assert not fisher.transform(["?"]).any() and fisher.unknown_ == 1
        assert fisher.transform([]).shape == (0, fisher.dim_)


def test_how_often_a_word_occurs_changes_nothing() -> None:
    """As in the released code, which samples a vocabulary and not captions."""
    train = captions(300)
    one = small(pca=None).fit(train)
    two = small(pca=None).fit(train + ["w0x w0x w1x"] * 500)
    assert np.array_equal(one.mixture_.medians_, two.mixture_.medians_)
    assert one.transform(train).tobytes() == two.transform(train).tobytes()
    counted = [small(pca=None, once=False).fit(texts) for texts in (train, train + ["w0x w0x w1x"] * 500)]
    assert not np.allclose(counted[0].mixture_.medians_, counted[1].mixture_.medians_)


def test_a_sample_stays_within_its_size(monkeypatch) -> None:
    seen = []
    real = module.HybridMixture.fit

    def fit(self, points, weights):
        seen.append(weights)
        return real(self, points, weights)

    monkeypatch.setattr(module.HybridMixture, "fit", fit)
    train = captions(300)
    for options in ({}, {"sample": 15}, {"once": False}, {"once": False, "sample": 100}):
        small(**options).fit(train)
    each, few, counted, hundred = seen
    assert each.tolist() == [1] * 40 and few.tolist() == [1] * 15
    assert counted.sum() == sum(len(c.split()) - 1 for c in train) and len(counted) == 40
    assert hundred.sum() == 100 and hundred.min() >= 1 and (hundred % 1 == 0).all()


def test_a_caption_has_one_vector_in_any_company() -> None:
    """Words lie on medians: rounding, which differs from call to call, may not give them a direction."""
    fisher, test = small(pca=None).fit(captions(200)), captions(40, seed=2)
    whole = fisher.transform(test)
    for row, caption in enumerate(test):
        np.testing.assert_allclose(fisher.transform([caption])[0] ** 2, whole[row] ** 2, atol=1e-6)


def test_same_seed_same_numbers_whatever_the_threads() -> None:
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(small().fit(captions(200)).transform(captions(30, seed=1)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.array_equal(found[0], small().fit(captions(200)).transform(captions(30, seed=1)))
    assert not np.allclose(found[0], small(seed=1).fit_transform(captions(200))[:30, : found[0].shape[1]])
    assert clone(small(seed=4)).seed == 4


@pytest.mark.parametrize("options", [{}, {"pca": None}, {"ica": False}, {"mixture": "gmm"}])
def test_save_and_load(tmp_path, options) -> None:
    fisher = small(**options).fit(captions(200))
    fisher.save(tmp_path / "fisher.safetensors")
    loaded = FisherVectors.load(tmp_path / "fisher.safetensors", vectors())
    test = captions(40, seed=1)
    assert loaded.transform(test).tobytes() == fisher.transform(test).tobytes()
    assert loaded.likelihoods_ == fisher.likelihoods_ and loaded.get_params()["pca"] == fisher.pca
    loaded.save(tmp_path / "again.safetensors")
    again = FisherVectors.load(tmp_path / "again.safetensors", vectors())
    assert again.transform(test).tobytes() == fisher.transform(test).tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", "fisher.safetensors"]


def test_what_cannot_be_loaded_is_named(tmp_path) -> None:
    path = tmp_path / "fisher.safetensors"
    for options in ({}, {"ica": False}):
        small(**options).fit(captions(200)).save(path)
        cut = vectors().cut(WORDS[:5])  # some of the words will do
        assert FisherVectors.load(path, cut).transform(["w1x"]).any()
        with pytest.raises(DataError, match="fisher.safetensors: expected word vectors of 6 numbers.* 7 num"):
            FisherVectors.load(path, vectors(dim=7))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mixture": "both"}, "mixture='both': expected one of hglmm, gmm"),
        ({"components": 0}, "components=0: expected an integer of 1 or more"),
        ({"iterations": True}, "iterations"),
        ({"pca": 0}, "pca=0: expected an integer of 1 or more"),
        ({"pca": "6000"}, "pca"),
        ({"sample": 2}, "sample=2: expected an integer of 3 or more"),
        ({"seed": None}, "seed"),
    ],
)
def test_bad_parameters_are_named(options, words) -> None:
    with pytest.raises(ConfigError, match=words):
        small(**options).fit(captions(20))


def test_bad_captions_are_named() -> None:
    with pytest.raises(DataError, match="2 different known words in 3 captions.* 3 components"):
        small().fit(["w1x", "w2x of w2x", "of"])
    with pytest.raises(DataError, match="0 different known words in 0 captions"):
        small().fit([])
    with pytest.raises(ConfigError, match="one string"):
        small().fit("w1x w2x")
    with pytest.raises(ConfigError, match="not fitted"):
        small().points(["w1x"])
    with pytest.raises(ConfigError, match="not fitted"):
        small().transform(["w1x"])
    with pytest.raises(DataError, match="the 1 captions for PCA have the same Fisher vector.*pca=None"):
        small().fit(["w1x w2x w3x w4x"])
