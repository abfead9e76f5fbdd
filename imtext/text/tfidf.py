"""Captions as tf-idf-weighted bags of lemmas (Wang et al., CVPR 2016, section 3.1)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

from imtext.errors import ConfigError, DataError
from imtext.text.mean_vector import as_captions
from imtext.text.tokens import tokenize

_FORMAT = "imtext-tfidf-1"
# Slips of simplemma's English list in words that captions use ("playing" -> "playe").
_MENDED = {
    "playing": "play",
    "sitting": "sit",
    "swinging": "swing",
    "singing": "sing",
    "growing": "grow",
    "thinking": "think",
    "guarding": "guard",
    "guarded": "guard",
    "mixing": "mix",
    "mixed": "mix",
    "fixing": "fix",
    "fixed": "fix",
    "crosses": "cross",
}


@lru_cache(maxsize=1 << 18)
def lemma(word: str) -> str:
    """The dictionary form of an English word, lower-case; a word that is not in the dictionary stays.

    >>> [lemma(word) for word in ("dogs", "ran", "women", "playing", "qwfpg")]
    ['dog', 'run', 'woman', 'play', 'qwfpg']
    """
    from simplemma import lemmatize

    return _MENDED.get(word) or lemmatize(word, lang="en").lower()


@lru_cache(maxsize=1 << 18)
def _term(word: str) -> str | None:
    """The lemma of a word that counts; None for a clitic, and for a stop word in this or its first form."""
    if word in ENGLISH_STOP_WORDS or "'" in word:
        return None
    found = lemma(word)
    return None if found in ENGLISH_STOP_WORDS else found


def lemmas(caption: str) -> list[str]:
    """The lemmas of a caption, in order, without stop words and clitics.

    >>> lemmas("Two dogs aren't running in the woman's garden.")
    ['dog', 'run', 'woman', 'garden']
    """
    return [term for word in tokenize(caption) if (term := _term(word)) is not None]


class TfIdf(TransformerMixin, BaseEstimator):
    """Captions as tf-idf vectors over the most frequent lemmas of the training captions.

    The paper lemmatises with WordNet's lemmatizer, removes stop words and keeps 3,000 words of Flickr30k,
    5,600 of COCO (section 3.1). WordNet's data cannot be had offline: the lemmas here are those of the
    package ``simplemma``, which also maps verb forms (WordNet's does so only where told that a word is a
    verb). Stop words are scikit-learn's English list, which holds *two*, *front* and *top*. Weights are those
    of scikit-learn's ``TfidfVectorizer``: raw count times ``ln((1 + n) / (1 + df)) + 1``, rows of length 1.
    Memory is that of the sparse matrix, about 100 bytes a caption. A caption with no known word becomes an
    empty row and is counted.

    Args:
        words: size of the vocabulary; smaller where the captions hold fewer lemmas.

    Attributes:
        words_: the vocabulary, most frequent first, then by spelling: the columns of the matrix.
        idf_: ``(W,)`` float64, in the same order.
        unknown_: number of captions without a known word in the last ``transform``.
        unknown_captions_: their indices, int64.

    Raises:
        ConfigError: ``words`` is no positive whole number, a single string stands for the captions, or
            ``transform`` comes before ``fit``.
        DataError: a caption is no string, or the training captions hold no lemma.

    >>> tfidf = TfIdf(words=2).fit(["A dog runs.", "Two dogs!", "Dogs run to a cat."])
    >>> tfidf.words_, tfidf.transform(["the dog of a dog", "a cat"]).toarray().tolist(), tfidf.unknown_
    (('dog', 'run'), [[1.0, 0.0], [0.0, 0.0]], 1)
    """

    def __init__(self, words: int = 3000) -> None:
        self.words = words

    def fit(self, captions: Iterable[str], y: None = None) -> TfIdf:
        """Choose the vocabulary and count in how many of the training captions each word stands."""
        self._fit(captions)
        return self

    def fit_transform(self, captions: Iterable[str], y: None = None) -> sparse.csr_matrix:
        """``fit`` and ``transform`` of the same captions, which are cut into lemmas once."""
        return self._weigh(self._fit(captions))

    def transform(self, captions: Iterable[str]) -> sparse.csr_matrix:
        """Captions to a sparse float32 matrix ``(M, W)``, rows of length 1 or empty."""
        if not hasattr(self, "_vectorizer"):
            raise ConfigError("TfIdf: expected a fitted vocabulary, found none; call fit or load first")
        return self._weigh([lemmas(caption) for caption in as_captions(captions)])

    def _fit(self, captions: Iterable[str]) -> list[list[str]]:
        size = self.words
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ConfigError(f"words: expected a positive whole number, found {size!r}")
        bags = [lemmas(caption) for caption in as_captions(captions)]
        counts = Counter(word for bag in bags for word in bag)
        if not counts:
            raise DataError(
                f"tf-idf: {len(bags)} training captions hold no word but stop words; check the captions"
            )
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:size]
        self._vectorizer = _vectorizer(kept).fit(bags)
        self.words_ = tuple(kept)
        return bags

    def _weigh(self, bags: list[list[str]]) -> sparse.csr_matrix:
        if bags:
            # In float64 first: in float32 the last digit depends on the processor.
            rows = self._vectorizer.transform(bags).astype(np.float32)
        else:
            rows = sparse.csr_matrix((0, len(self.words_)), dtype=np.float32)
        self.unknown_captions_ = np.flatnonzero(np.diff(rows.indptr) == 0)
        self.unknown_ = len(self.unknown_captions_)
        return rows

    @property
    def idf_(self) -> np.ndarray:
        """Inverse document frequencies ``(W,)``."""
        return self._vectorizer.idf_

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write words and weights as JSON, first under a temporary name in the same folder."""
        if not hasattr(self, "_vectorizer"):
            raise ConfigError("TfIdf: expected a fitted vocabulary, found none; call fit before save")
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        idf = [float(value) for value in self.idf_]
        content = {"format": _FORMAT, "size": int(self.words), "words": self.words_, "idf": idf}
        try:
            partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written, found: {error.strerror or error}; "
                "give a file in an existing folder"
            ) from None
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TfIdf:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path}: expected a tf-idf vocabulary in JSON, found no file; save it first")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            words, idf = _checked(content)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"{path}: expected a tf-idf vocabulary in JSON, found {error}; save it again"
            ) from None
        loaded = cls(content["size"])
        loaded.words_ = words
        loaded._vectorizer = _vectorizer(words)
        loaded._vectorizer.idf_ = idf
        return loaded


def _vectorizer(words: Iterable[str]) -> TfidfVectorizer:
    """scikit-learn's weighting of lists of lemmas; float64 until the end, as its own ``idf_`` is."""
    return TfidfVectorizer(analyzer=_same, vocabulary=list(words))


def _same(bag: list[str]) -> list[str]:
    return bag


def _checked(content: object) -> tuple[tuple[str, ...], np.ndarray]:
    """Words and weights of a file, ValueError unless they fit."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError("other JSON")
    words, idf, size = content.get("words"), content.get("idf"), content.get("size")
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w for w in words):
        raise ValueError("no list of words")
    if len(set(words)) != len(words):
        raise ValueError("a word twice")
    if type(size) is not int or size < len(words):
        raise ValueError(f"{len(words)} words of at most {size!r}")
    if not isinstance(idf, list) or len(idf) != len(words) or not all(type(x) is float for x in idf):
        raise ValueError("not one weight for each word")
    weights = np.array(idf)
    if not ((weights >= 1) & (weights <= 100)).all():  # 100: of more captions than there can be
        raise ValueError("a weight that is not a number from 1 to 100")
    return tuple(words), weights
