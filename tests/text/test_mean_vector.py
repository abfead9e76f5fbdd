"""Mean word vectors against a loop; unknown captions; saved and loaded."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from imtext.errors import ConfigError, DataError
from imtext.text import WordVectors, load_word_vectors, tokenize
from imtext.text.bags import MeanVector

WORDS = ["a", "dog", "cat", "red", "runs", "'s", "naïve"]
CAPTIONS = ["A red dog's dog runs.", "The emu!", "", "Naïve cat", "a a a", "emu dog"]


@pytest.fixture(scope="module")
def vectors():
    return WordVectors(WORDS, np.random.default_rng(0).standard_normal((7, 5)), "toy")


def by_hand(vectors, captions):
    rows = []
    for caption in captions:
        found = [vectors[word].astype(float) for word in tokenize(caption) if word in vectors]
        rows.append(np.mean(found, axis=0) if found else np.zeros(vectors.vector_size))
    return np.array(rows)


def test_is_the_mean_of_the_known_words(vectors):
    mean = MeanVector(vectors)
    found = mean.fit(CAPTIONS).transform(CAPTIONS)
    assert found.dtype == np.float32 and found.shape == (6, 5)
    np.testing.assert_allclose(found, by_hand(vectors, CAPTIONS), rtol=1e-6, atol=1e-7)
    assert mean.unknown_ == 2 and mean.unknown_captions_.tolist() == [1, 2]
    assert not found[[1, 2]].any()


def test_nothing_known_and_nothing_at_all(vectors):
    mean = MeanVector(vectors)
    assert not mean.transform(["?", "emu"]).any() and mean.unknown_ == 2
    assert mean.transform([]).shape == (0, 5) and mean.unknown_ == 0


def test_is_a_transformer_of_scikit_learn(vectors):
    pipeline = make_pipeline(clone(MeanVector(vectors)), StandardScaler())
    assert pipeline.fit_transform(CAPTIONS).shape == (6, 5)


def test_glove_gives_like_captions_like_vectors():
    glove = load_word_vectors("glove", only=["a", "dog", "puppy", "runs", "sprints", "plane", "lands"])
    captions = ["a dog runs", "a puppy sprints", "a plane lands"]
    dog, puppy, plane = normalize(MeanVector(glove).transform(captions))
    assert dog @ puppy > dog @ plane


def test_bad_input(vectors):
    with pytest.raises(
        ConfigError, match=r"expected a list of captions, found one string; write \[caption\]"
    ):
        MeanVector(vectors).transform("a dog")
    with pytest.raises(DataError, match="captions: expected strings, found float at index 1"):
        MeanVector(vectors).transform(["a dog", float("nan")])


def test_saved_and_loaded(vectors, tmp_path):
    path = tmp_path / "mean.safetensors"
    MeanVector(vectors).save(path)
    loaded = MeanVector.load(path)
    assert loaded.vectors.words == vectors.words and loaded.vectors.name == "toy"
    np.testing.assert_array_equal(loaded.transform(CAPTIONS), MeanVector(vectors).transform(CAPTIONS))
    assert [file.name for file in tmp_path.iterdir()] == ["mean.safetensors"]
    with pytest.raises(DataError, match="cannot be written"):
        loaded.save(tmp_path / "nowhere" / "x")
