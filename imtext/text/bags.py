"""Captions as bags of words: tf-idf over lemmas, the mean of word vectors, and which words are content."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

from imtext.check import whole
from imtext.errors import DataError
from imtext.files import read_json, read_tensors, write_json, write_tensors
from imtext.text.tokens import as_captions, tokenize
from imtext.text.vectors import WordVectors

_MEAN, _TFIDF = "imtext-mean-vector-2", "imtext-tfidf-2"
# Slips of simplemma's English list in words that captions use ("playing" -> "playe").
MENDED = {
    "playing": "play", "sitting": "sit", "swinging": "swing", "singing": "sing", "growing": "grow",
    "thinking": "think", "guarding": "guard", "guarded": "guard", "mixing": "mix", "mixed": "mix",
    "fixing": "fix", "fixed": "fix", "crosses": "cross",
}


@lru_cache(maxsize=1 << 18)
def lemma(word: str) -> str:
    """The dictionary form of an English word, lower-case; a word that is not in the dictionary stays.

    >>> [lemma(word) for word in ("dogs", "ran", "women", "playing", "qwfpg")]
    ['dog', 'run', 'woman', 'play', 'qwfpg']
    """
    from simplemma import lemmatize

    return MENDED.get(word) or lemmatize(word, lang="en").lower()


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
        ConfigError: ``words`` is no positive whole number, or a single string stands for the captions.
        DataError: a caption is no string, or the training captions hold no lemma.

    >>> tfidf = TfIdf(words=2).fit(["A dog runs.", "Two dogs!", "Dogs run to a cat."])
    >>> tfidf.words_, tfidf.transform(["the dog of a dog", "a cat"]).toarray().tolist(), tfidf.unknown_
    (('dog', 'run'), [[1.0, 0.0], [0.0, 0.0]], 1)
    """

    def __init__(self, words: int = 3000) -> None:
        self.words = words

    def fit(self, captions: Iterable[str], y: None = None) -> TfIdf:
        """Choose the vocabulary and count in how many of the training captions each word stands."""
        bags = [lemmas(caption) for caption in as_captions(captions)]
        counts = Counter(chain.from_iterable(bags))
        if not counts:
            raise DataError(
                f"tf-idf: {len(bags)} training captions hold only stop words; check the captions"
            )
        kept = sorted(counts, key=lambda word: (-counts[word], word))[: whole("words", self.words)]
        self._begin(kept).fit(bags)
        return self

    def _begin(self, words: Iterable[str]) -> TfidfVectorizer:
        """scikit-learn's weighting of lists of these lemmas."""
        self.words_ = tuple(words)
        self._vectorizer = TfidfVectorizer(analyzer=list, vocabulary=self.words_)
        return self._vectorizer

    def transform(self, captions: Iterable[str]) -> sparse.csr_matrix:
        """Captions to a sparse float32 matrix ``(M, W)``, rows of length 1 or empty."""
        bags = [lemmas(caption) for caption in as_captions(captions)]
        # In float64 first: in float32 the last digit depends on the processor.
        rows = self._vectorizer.transform(bags).astype(np.float32)
        self.unknown_captions_ = np.flatnonzero(np.diff(rows.indptr) == 0)
        self.unknown_ = len(self.unknown_captions_)
        return rows

    @property
    def idf_(self) -> np.ndarray:
        """Inverse document frequencies ``(W,)``."""
        return self._vectorizer.idf_

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write words and weights as JSON, whole or not at all."""
        content = {"format": _TFIDF, "size": self.words, "words": self.words_, "idf": self.idf_}
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TfIdf:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        try:
            content = read_json(Path(path))
            if content["format"] != _TFIDF or not np.isfinite(content["idf"]).all():
                raise ValueError("other JSON")
            loaded = cls(content["size"])
            loaded._begin(content["words"]).idf_ = np.array(content["idf"], dtype=np.float64)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path}: expected a tf-idf vocabulary in JSON, found {error}; save it again"
            ) from None
        return loaded


class MeanVector(TransformerMixin, BaseEstimator):
    """Captions as the mean of the vectors of their known words, as often as each occurs.

    The paper takes "300-dimensional means of word2vec vectors of words in each caption/phrase" (section
    3.1): neither words nor means are brought to length 1, stop words stay. Words without a vector are
    skipped; a caption with no known word becomes a row of zeros and is counted.

    Args:
        vectors: word vectors, ``dim`` numbers each.

    Attributes:
        unknown_: number of captions without a known word in the last ``transform``.
        unknown_captions_: their indices, int64.

    Raises:
        ConfigError: a single string stands for the captions.
        DataError: a caption is no string.

    >>> mean = MeanVector(WordVectors(["red", "dog"], np.array([[0.0, 2.0], [4.0, 0.0]])))
    >>> mean.fit_transform(["A red dog!", "A dog", "?"]).tolist(), mean.unknown_
    ([[2.0, 1.0], [4.0, 0.0], [0.0, 0.0]], 1)
    """

    def __init__(self, vectors: WordVectors) -> None:
        self.vectors = vectors

    def fit(self, captions: Iterable[str], y: None = None) -> MeanVector:
        """Nothing is learned from the captions."""
        return self

    def transform(self, captions: Iterable[str]) -> np.ndarray:
        """Captions to float32 ``(M, dim)``."""
        bags, found = known_words(captions, self.vectors)
        lengths = bags.sum(axis=1)
        self.unknown_captions_ = np.flatnonzero(lengths == 0)
        self.unknown_ = len(self.unknown_captions_)
        rows = [self.vectors[word] for word in found]
        sums = bags @ np.array(rows, dtype=np.float64).reshape(-1, self.vectors.vector_size)
        return (sums / np.maximum(lengths, 1)[:, None]).astype(np.float32)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vectors to one safetensors file. Cut large ones first (``vectors.cut``)."""
        words = np.frombuffer("\n".join(self.vectors.words).encode(), dtype=np.uint8)
        arrays = {"words": words, "vectors": self.vectors.vectors}
        write_tensors(Path(path), _MEAN, arrays, {"name": self.vectors.name})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MeanVector:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(Path(path), _MEAN, ("words", "vectors"))
        words = arrays["words"].tobytes().decode("utf-8", "replace").split("\n")
        return cls(WordVectors(words, arrays["vectors"], settings["name"]))


def known_words(captions: Iterable[str], vectors: Container[str]) -> tuple[sparse.csr_array, list[str]]:
    """How often each caption holds each word that has a vector, ``(M, U)`` float64, and these words.

    >>> counts, words = known_words(["a dog, a cat", "emu"], {"a", "cat", "dog"})
    >>> words, counts.toarray().tolist()
    (['a', 'dog', 'cat'], [[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    """
    bags = [[word for word in tokenize(caption) if word in vectors] for caption in as_captions(captions)]
    code = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(bags)))}
    columns = np.array([code[word] for word in chain.from_iterable(bags)], dtype=np.int64)
    ends = np.cumsum([0, *map(len, bags)])
    counts = sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(bags), len(code)))
    counts.sum_duplicates()
    return counts, list(code)


# Stop words that name, in a caption, something one can see or count: numbers, nouns, verbs, others.
_SHOWN = """
    one two three four five six eight nine ten eleven twelve fifteen twenty forty fifty sixty hundred
    first third last once amount back bill bottom co con cry detail fire front inc interest ltd mill name part
    side system top became become becomes becoming call describe fill find found get give go keep made move
    put see seem seemed seeming seems show take empty full serious sincere thick thin alone please together
    well
"""
# What the stop words lack: the clitics as `tokenize` cuts them, prepositions, and others.
_LACKING = """
    's 're 've 'll 'd 'm n't ca wo
    aboard alongside amid amidst aside astride atop away beneath despite like near past till underneath unlike
    whilst anybody did does doing everybody having just maybe oneself ought plus shall somebody theirs unless
    whatsoever
"""
FUNCTION_WORDS: frozenset[str] = ENGLISH_STOP_WORDS - set(_SHOWN.split()) | set(_LACKING.split())
"""Lower-case function words, as :func:`~imtext.text.tokens.tokenize` spells them.

Determiners, pronouns, prepositions and particles, conjunctions, forms of *be*, *have* and *do*, modal verbs,
negation, and adverbs such as *there*, *very*, *also*. Zheng et al. (section 6.4) name *with, on, at, in*; a
closed list decides the rest, and content is whatever is not on it.

The list is scikit-learn's ``ENGLISH_STOP_WORDS``, made for topics of long texts, less the words on it that
say something about a picture (numbers, *fire*, *front*, *top*, *empty*, *together*, *take* …), with what it
lacks: clitics (*'s*, *n't*), and words such as *near*, *past*, *like*, *whilst*, *does*. *Inside*, *outside*
and *nearby* stay content: in captions they mostly say where the scene is (*a dog runs outside*). A word is
looked up without its caption, so *a bench in front of a bus* counts *front* as content, and *like* is a
function word also where it is a verb.
"""


def is_function_word(word: str) -> bool:
    """True for a function word, in any case; a contraction is one where all its parts are.

    >>> [is_function_word(word) for word in ("With", "isn't", "near", "dog", "two", "man's", "?")]
    [True, True, True, False, False, False, False]
    """
    if word in FUNCTION_WORDS:
        return True
    parts = tokenize(word)
    return bool(parts) and all(part in FUNCTION_WORDS for part in parts)
