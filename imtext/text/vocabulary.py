"""The dictionary of a training set and the codes of its captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imtext.check import whole
from imtext.errors import DataError
from imtext.files import read_json, write_json
from imtext.text.tokens import as_captions, tokenize

if TYPE_CHECKING:
    from imtext.text.vectors import WordVectors

_FORMAT = "imtext-vocabulary-3"
START, END, UNKNOWN = "<start>", "<end>", "<unk>"


class Vocabulary:
    """Words with codes 1…d; code 0 is padding.

    Built as the Instance Loss paper does (section 3.2): the words of the *training* captions that the word
    vectors know, without a frequency cut. Words outside the dictionary are skipped, not replaced.
    VSE++ (Faghri et al., public code) does otherwise: ``min_count=4, unknown=True, ends=True``.

    Args:
        words: distinct words, in the order of their codes.
        unknown: whether ``<unk>`` has a code, which any other word then gets.
        ends: whether ``<start>`` and ``<end>`` have codes, which every caption then begins and ends with.
            The codes of these marks follow those of the words: the words' own do not change.

    Raises:
        DataError: a repeated or an empty word.

    >>> words = Vocabulary.build(["A dog runs.", "The dog sleeps."])
    >>> words.words
    ('dog', 'a', 'runs', 'sleeps', 'the')
    >>> codes, lengths = words.encode(["the red dog", "?"], length=4)
    >>> codes.tolist(), lengths.tolist()
    ([[5, 1, 0, 0], [0, 0, 0, 0]], [2, 0])
    >>> words = Vocabulary(["dog", "the"], unknown=True, ends=True)
    >>> words.decode(words.encode(["the red dog"])[0])
    ['<start>', 'the', '<unk>', 'dog', '<end>']
    """

    def __init__(self, words: Iterable[str], unknown: bool = False, ends: bool = False) -> None:
        self.unknown, self.ends = bool(unknown), bool(ends)
        marks = (START, END) * self.ends + (UNKNOWN,) * self.unknown
        self.words: tuple[str, ...] = (*words, *marks)
        self.marks = marks
        self._code = {word: code for code, word in enumerate(self.words, start=1)}
        if len(self._code) != len(self.words) or "" in self._code:
            raise DataError("vocabulary: expected distinct words, found a repeated or an empty one")

    @classmethod
    def build(
        cls,
        captions: Iterable[str],
        vectors: Container[str] | None = None,
        min_count: int = 1,
        unknown: bool = False,
        ends: bool = False,
    ) -> Vocabulary:
        """Words of ``captions`` in ``vectors`` (all words where None), most frequent first, then by spelling.

        Words that occur less than ``min_count`` times are left out; ``unknown``, ``ends`` as for the class.

        Raises ConfigError for ``min_count`` below 1 and DataError where no word is left.
        """
        whole("min_count", min_count)
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = [
            word
            for word, count in counts.items()
            if count >= min_count and (vectors is None or word in vectors)
        ]
        if not kept:
            raise DataError(
                f"vocabulary: none of the {len(counts)} words of the captions is left after "
                f"min_count={min_count}{'' if vectors is None else ' and the word vectors'}; check both"
            )
        return cls(sorted(kept, key=lambda word: (-counts[word], word)), unknown, ends)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._code

    def encode(self, captions: Iterable[str], length: int = 32) -> tuple[np.ndarray, np.ndarray]:
        """Codes ``(M, length)`` int64, left-aligned, padded with 0, and ``lengths (M,)`` int64.

        Unknown words are skipped, or with ``unknown`` replaced by ``<unk>``; then the rest is cut at
        ``length`` words. With ``ends`` the two marks count as words, and a caption that is cut keeps them. A
        caption without any known word has length 0, or that of its marks (see :meth:`known`). The paper uses
        32 words, 56 for CUHK-PEDES.

        Raises ConfigError for a ``length`` that leaves no place for a word and for one string as captions.
        """
        room = whole("length", length, 1 + 2 * self.ends) - 2 * self.ends
        code, other = self._code, self._code[UNKNOWN] if self.unknown else 0
        tokens = map(tokenize, as_captions(captions))
        rows = [[c for w in words if (c := code.get(w, other))][:room] for words in tokens]
        if self.ends:
            rows = [[code[START], *row, code[END]] for row in rows]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        codes = np.zeros((len(rows), length), dtype=np.int64)
        flat = np.fromiter((c for row in rows for c in row), dtype=np.int64, count=int(lengths.sum()))
        codes[np.arange(length) < lengths[:, None]] = flat
        return codes, lengths

    def known(self, captions: Iterable[str]) -> np.ndarray:
        """Number of words of each caption that the dictionary has ``(M,)`` int64, the marks left out.

        0 tells a caption that says nothing to a model, also where ``<start> <end>`` or ``<unk>`` have codes.

        >>> Vocabulary(["dog"], unknown=True, ends=True).known(["a dog", "?"]).tolist()
        [1, 0]
        """
        counts = [sum(word in self._code for word in words) for words in map(tokenize, as_captions(captions))]
        return np.array(counts, dtype=np.int64)

    def decode(self, codes: np.ndarray) -> list[str]:
        """The words of one row of codes, padding left out.

        >>> Vocabulary(["dog", "cat"]).decode(np.array([0, 2, 1, 0]))
        ['cat', 'dog']
        """
        return [self.words[int(code) - 1] for code in np.asarray(codes).ravel() if code > 0]

    def matrix(self, vectors: WordVectors, missing: float = 0.0) -> np.ndarray:
        """Word vectors in code order, float32 ``(d + 1, dim)``.

        Row 0 (padding) is zero; the row of a word that ``vectors`` lacks holds ``missing``. ``np.nan`` there
        tells a network that starts from ``matrix(...)[1:]`` to start such a word at random.

        Args:
            vectors: anything with ``word in vectors``, ``vectors[word]`` and ``vectors.vector_size``, so
                gensim's ``KeyedVectors`` too.
            missing: what the numbers of a word without a vector are.

        >>> from imtext.text import WordVectors
        >>> Vocabulary(["dog", "emu"]).matrix(WordVectors(["dog"], [[1.0, 2.0]]), missing=np.nan).tolist()
        [[0.0, 0.0], [1.0, 2.0], [nan, nan]]
        """
        out = np.full((len(self) + 1, vectors.vector_size), missing, dtype=np.float32)
        out[0] = 0
        for code, word in enumerate(self.words, start=1):
            if word in vectors:
                out[code] = vectors[word]
        return out

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all. Raises DataError where it cannot be written."""
        plain = self.words[: len(self.words) - len(self.marks)]
        content = {"format": _FORMAT, "unknown": self.unknown, "ends": self.ends, "words": plain}
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        try:
            content = read_json(Path(path))
            if content["format"] != _FORMAT or not all(isinstance(word, str) for word in content["words"]):
                raise ValueError(f"other JSON than {_FORMAT!r}")
            return cls(content["words"], content["unknown"], content["ends"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: expected a vocabulary in JSON, found {error}; save it again") from None
