"""Word vectors of few numbers, and captions all the way to pictures and back."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from imtext.errors import ConfigError, DataError
from imtext.text import Vocabulary, WordVectors
from imtext.text.text_image import TextImage, small_vectors

CAPTIONS = [
    "a black dog runs",
    "a white dog sleeps",
    "two black cats",
    "the cat runs home",
    "a girl with a dog",
]


def test_word2vec_vectors_are_the_same_for_the_same_seed() -> None:
    first, again, other = (small_vectors(CAPTIONS, 12, seed=seed) for seed in (3, 3, 4))
    assert first.words == again.words and first.vector_size == 12
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert not np.allclose(first.vectors, other.vectors)


def test_pca_is_that_of_the_distinct_training_words() -> None:
    words = sorted({word for caption in CAPTIONS for word in caption.split()} - {"home"})
    given_ = WordVectors(
        [*words, "unused"], np.random.default_rng(2).standard_normal((len(words) + 1, 8)) + 5, "given"
    )
    found = small_vectors(CAPTIONS, 6, given_)
    assert set(found.words) == set(words) and found.vector_size == 6
    rows = np.stack([given_[word] for word in found.words]).astype(float)
    centred = rows - rows.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    expected = centred @ axes[:, ::-1][:, :6]
    signs = np.sign((expected * found.vectors).sum(axis=0))
    np.testing.assert_allclose(found.vectors, expected * signs, atol=1e-4)
    np.testing.assert_array_equal(found.vectors, small_vectors(CAPTIONS, 6, given_, seed=9).vectors)
    assert values.min() > 0


def test_small_vectors_name_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="multiple of 3"):
        small_vectors(CAPTIONS, 10)
    with pytest.raises(ConfigError, match="'word2vec' or WordVectors, found 'glove'"):
        small_vectors(CAPTIONS, 12, "glove")
    with pytest.raises(ConfigError, match=r"found namespace\(\)"):
        small_vectors(CAPTIONS, 12, SimpleNamespace())
    with pytest.raises(DataError, match="at least 12 words .* found 2 words of 12"):
        small_vectors(CAPTIONS, 12, WordVectors(["dog", "cat"], np.eye(2, 12)))


def test_real_captions_fit_on_the_canvas(shared_data) -> None:
    lines = (
        (shared_data / "flickr8k" / "Flickr8k_text" / "Flickr8k.token.txt").read_text("utf-8").splitlines()
    )
    captions = [line.split("\t")[1] for line in lines[:2000]]
    vocabulary = Vocabulary.build(captions)
    codes, lengths = vocabulary.encode(captions, length=60)
    matrix = np.random.default_rng(0).standard_normal((len(vocabulary) + 1, 12))
    matrix[0] = 0
    drawer = TextImage.fit(matrix, canvas=256)
    assert not drawer.dropped(codes).any() and ((codes > 0).sum(axis=1) == lengths).all()
