"""Tf-idf against the formula; the vocabulary; lemmas; saved and loaded."""

import json
import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from imtext.errors import ConfigError, DataError
from imtext.text.bags import TfIdf, lemma, lemmas

TRAIN = [
    "A dog runs on the grass.",
    "Two dogs are running; one dog barks.",
    "The cat sleeps on the red sofa.",
    "A man is playing the man's guitar!",
    "and the",
]


def by_hand(captions, vocabulary):
    """Raw count times ln((1 + n) / (1 + df)) + 1, rows of length 1."""
    bags = [lemmas(caption) for caption in TRAIN]
    idf = [math.log((1 + len(bags)) / (1 + sum(w in bag for bag in bags))) + 1 for w in vocabulary]
    rows = np.array([[lemmas(caption).count(word) for word in vocabulary] for caption in captions]) * idf
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def test_lemmas_are_dictionary_forms_without_stop_words():
    assert lemmas("The women's dogs weren't swinging, they RAN; 1,000 children watched!") == [
        "woman",
        "dog",
        "swing",
        "run",
        "1,000",
        "child",
        "watch",
    ]
    # A stop word in either form goes: "others" is none on the list, its lemma "other" is.
    assert lemmas("others does is being") == []
    assert [lemma(word) for word in ("american", "crosses", "sitting", "x")] == [
        "american",
        "cross",
        "sit",
        "x",
    ]


@pytest.mark.parametrize("words", [3, 3000])
def test_weights_follow_the_formula(words):
    tfidf = TfIdf(words).fit(TRAIN)
    found = tfidf.transform([*TRAIN, "dogs dogs cat", "zebra"])
    assert sparse.issparse(found) and found.format == "csr" and found.dtype == np.float32
    expected = by_hand([*TRAIN, "dogs dogs cat", "zebra"], tfidf.words_)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5, atol=1e-7)
    assert tfidf.unknown_captions_.tolist() == np.flatnonzero(~expected.any(axis=1)).tolist()
    assert tfidf.unknown_ == len(tfidf.unknown_captions_) >= 2


def test_the_vocabulary_is_the_most_frequent_lemmas_then_spelling():
    tfidf = TfIdf(5).fit(TRAIN)
    assert tfidf.words_ == ("dog", "man", "run", "bark", "cat")
    assert TfIdf(5).fit(TRAIN[::-1]).words_ == tfidf.words_
    assert len(TfIdf().fit(TRAIN).words_) == 11
    assert len(tfidf.idf_) == 5


def test_fit_and_transform_at_once_and_again():
    tfidf = TfIdf(4)
    once = tfidf.fit_transform(TRAIN)
    assert (once != clone(tfidf).fit(TRAIN).transform(TRAIN)).nnz == 0
    tfidf.fit(["a zebra"])
    assert tfidf.words_ == ("zebra",) and tfidf.transform(TRAIN).shape == (5, 1) and tfidf.unknown_ == 5


def test_bad_input():
    for words in (0, -1, True, 2.0, None):
        with pytest.raises(ConfigError, match="words=.*: expected an integer of 1 or more"):
            TfIdf(words).fit(TRAIN)
    with pytest.raises(ConfigError, match="expected a list of captions, found one string"):
        TfIdf().fit("a dog")
    with pytest.raises(DataError, match="expected strings, found int at index 0"):
        TfIdf().fit([3])
    with pytest.raises(
        DataError, match="2 training captions hold only stop words; check the captions"
    ):
        TfIdf().fit(["and the", "?"])
    with pytest.raises(DataError, match="0 training captions"):
        TfIdf().fit([])


def test_saved_and_loaded(tmp_path):
    tfidf = TfIdf(7).fit([*TRAIN, "a naïve 猫"])
    tfidf.save(tmp_path / "tfidf.json")
    loaded = TfIdf.load(tmp_path / "tfidf.json")
    assert loaded.words_ == tfidf.words_ and loaded.words == 7
    np.testing.assert_array_equal(loaded.idf_, tfidf.idf_)
    one, two = loaded.transform([*TRAIN, "zebra"]), tfidf.transform([*TRAIN, "zebra"])
    assert one.dtype == np.float32 and (one != two).nnz == 0 and loaded.unknown_ == 2
    assert [file.name for file in tmp_path.iterdir()] == ["tfidf.json"]
    with pytest.raises(DataError, match="cannot be written"):
        tfidf.save(tmp_path / "nowhere" / "x.json")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"words": []},
        {"words": ["dog", "dog"]},
        {"idf": [1.5]},
        {"idf": [1.5, "two"]},
    ],
)
def test_files_that_hold_something_else(tmp_path, change):
    path = tmp_path / "tfidf.json"
    TfIdf().fit(["dog", "cat"]).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match="expected a tf-idf vocabulary in JSON, found .*; save it again"):
        TfIdf.load(path)


def test_damaged_files(tmp_path):
    path = tmp_path / "tfidf.json"
    TfIdf().fit(TRAIN).save(path)
    whole = path.read_text()
    for content in ("[" * 100_000, "1" * 10_000, "", whole[:-9]):
        path.write_text(content)
        with pytest.raises(DataError, match="expected a tf-idf vocabulary in JSON"):
            TfIdf.load(path)
    with pytest.raises(DataError, match="expected a tf-idf vocabulary in JSON"):
        TfIdf.load(tmp_path)
