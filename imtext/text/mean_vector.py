"""The mean of the word vectors of a caption (Wang et al., CVPR 2016, section 3.1)."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors

_KIND = "imtext-mean-vector-1"


class MeanVector(TransformerMixin, BaseEstimator):
    """Captions as the mean of the vectors of their known words, as often as each occurs.

    The paper takes "300-dimensional means of word2vec vectors of words in each caption/phrase" (section
    3.1): neither words nor means are brought to length 1, stop words stay. Words without a vector are
    skipped; a caption with no known word becomes a row of zeros and is counted.

    Args:
        vectors: word vectors, ``dim`` numbers each.
        unit_words: bring each word's vector to length 1 before the mean.
        unit: bring each mean to length 1.

    Attributes:
        unknown_: number of captions without a known word in the last ``transform``.
        unknown_captions_: their indices, int64.

    Raises:
        ConfigError: ``vectors`` are no WordVectors, or a single string stands for the captions.
        DataError: a caption is no string.

    >>> mean = MeanVector(WordVectors(["red", "dog"], np.array([[0.0, 2.0], [4.0, 0.0]])))
    >>> mean.fit_transform(["A red dog!", "A dog", "?"]).tolist(), mean.unknown_
    ([[2.0, 1.0], [4.0, 0.0], [0.0, 0.0]], 1)
    """

    def __init__(self, vectors: WordVectors, unit_words: bool = False, unit: bool = False) -> None:
        self.vectors = vectors
        self.unit_words = unit_words
        self.unit = unit

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, captions: Iterable[str], y: None = None) -> MeanVector:
        """Check vectors and captions; nothing is learned from them."""
        self._check()
        as_captions(captions)
        return self

    def transform(self, captions: Iterable[str]) -> np.ndarray:
        """Captions to float32 ``(M, dim)``."""
        self._check()
        bags, found = known_words(captions, self.vectors)
        lengths = bags.sum(axis=1)
        self.unknown_captions_ = np.flatnonzero(lengths == 0)
        self.unknown_ = len(self.unknown_captions_)
        if not found:
            return np.zeros((len(lengths), self.vectors.vector_size), dtype=np.float32)
        words = np.stack([self.vectors[word] for word in found]).astype(np.float64)
        sums = bags @ (_unit(words) if self.unit_words else words)
        means = sums / np.maximum(lengths, 1)[:, None]
        return (_unit(means) if self.unit else means).astype(np.float32)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write vectors and options to one safetensors file. Cut large vectors first (``vectors.cut``)."""
        self._check()
        words = np.frombuffer("\n".join(self.vectors.words).encode(), dtype=np.uint8)
        write_tensors(
            path,
            _KIND,
            {"words": words, "vectors": self.vectors.vectors},
            {"name": self.vectors.name, "unit_words": bool(self.unit_words), "unit": bool(self.unit)},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MeanVector:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(path, _KIND, ("words", "vectors"))
        try:
            words = arrays["words"].tobytes().decode("utf-8").split("\n")
            vectors = WordVectors(words, arrays["vectors"], str(settings["name"]))
            return cls(vectors, settings["unit_words"] is True, settings["unit"] is True)
        except (DataError, KeyError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path}: expected words, their vectors and options, found {error}; save it again"
            ) from None

    def _check(self) -> None:
        if not isinstance(self.vectors, WordVectors):
            raise ConfigError(
                f"vectors: expected WordVectors, found {type(self.vectors).__name__}; "
                "use load_word_vectors, or WordVectors.from_gensim"
            )


def as_captions(captions: Iterable[str]) -> list[str]:
    """The captions as a list. Raises ConfigError for one string, DataError for an entry that is none.

    >>> as_captions(("a dog", "a cat"))
    ['a dog', 'a cat']
    >>> as_captions(["a dog", None])
    Traceback (most recent call last):
    imtext.errors.DataError: captions: expected strings, found NoneType at index 1; leave it out or write ''
    """
    if isinstance(captions, (str, bytes)):
        raise ConfigError("captions: expected a list of captions, found one string; write [caption]")
    captions = list(captions)
    for index, caption in enumerate(captions):
        if not isinstance(caption, str):
            found = type(caption).__name__
            raise DataError(
                f"captions: expected strings, found {found} at index {index}; leave it out or write ''"
            )
    return captions


def known_words(captions: Iterable[str], vectors: Container[str]) -> tuple[sparse.csr_array, list[str]]:
    """How often each caption holds each word that has a vector, ``(M, U)`` float64, and these words.

    >>> counts, words = known_words(["a dog, a cat", "emu"], {"a", "cat", "dog"})
    >>> words, counts.toarray().tolist()
    (['a', 'dog', 'cat'], [[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    """
    captions = as_captions(captions)
    code: dict[str, int] = {}  # the words met, numbered; -1 for those without a vector
    words: list[str] = []
    columns: list[int] = []
    ends = np.zeros(len(captions) + 1, dtype=np.int64)
    for row, caption in enumerate(captions, start=1):
        for word in tokenize(caption):
            number = code.get(word)
            if number is None:
                number = code[word] = len(words) if word in vectors else -1
                if number >= 0:
                    words.append(word)
            if number >= 0:
                columns.append(number)
        ends[row] = len(columns)
    columns = np.array(columns, dtype=np.int64)
    counts = sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(captions), len(words)))
    counts.sum_duplicates()
    return counts, words


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows (n, D) of length 1; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)
