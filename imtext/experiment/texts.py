"""What a network reads of a caption; a part builds codes of all splits, and of new captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from imtext.errors import DataError
from imtext.experiment.source import Source
from imtext.runs import Run
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors
from imtext.text.vocabulary import Vocabulary

VOCABULARY, WIDTH = "vocabulary.json", "words.json"


@dataclass(frozen=True)
class Words:
    """Codes of the words that are frequent in the training captions.

    Attributes:
        vectors: that words start from, as for :func:`imtext.text.vectors.load_word_vectors`; None starts
            them at random, with ``dim`` dimensions a word.
        min_count: occurrences from which a training word has a code of its own.
        length: longest caption in words, both marks included.
    """

    vectors: str | None = "glove"
    min_count: int = 4
    length: int = 34
    dim: int = 300

    def build(self, source: Source) -> CodedWords:
        """The codes of a dataset."""
        return CodedWords(self, source)


class CodedWords:
    """Codes ``(M, length)`` of captions.

    Args:
        part: how; source: of what.
        run: a finished run whose vocabulary is taken in the place of one of the source.
    """

    def __init__(self, part: Words, source: Source, run: Run | None = None) -> None:
        self.part, self.source, self._run = part, source, run

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words, with marks for the unknown word and for both ends of a caption."""
        if self._run is not None:
            return Vocabulary.load(self._run.dir / VOCABULARY)
        captions = self.source.splits["train"].captions
        return Vocabulary.build(captions, min_count=self.part.min_count, unknown=True, ends=True)

    @cached_property
    def vectors(self) -> WordVectors | None:
        """Vectors of the training words, no more."""
        if self.part.vectors is None or self._run is not None:
            return None
        return _vectors(self.part.vectors, self.source)

    @cached_property
    def width(self) -> int:
        """Numbers of a word."""
        if self._run is not None:
            return int(self._run.load_json(WIDTH)["width"])
        return self.part.dim if self.vectors is None else self.vectors.vector_size

    @cached_property
    def start(self) -> np.ndarray | None:
        """What words start from ``(d, width)``, NaN where a word has no vector; None for random numbers."""
        return None if self.vectors is None else self.vocabulary.matrix(self.vectors, missing=np.nan)[1:]

    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes ``(M, L)`` and lengths ``(M,)`` of the training captions."""
        return self.vocabulary.encode(self.source.splits["train"].captions, self.part.length)

    def test(self, split: str) -> np.ndarray:
        """Codes of a split."""
        return self.vocabulary.encode(self.source.splits[split].captions, self.part.length)[0]

    def read(self, captions: Sequence[str]) -> np.ndarray:
        """Codes of new captions.

        Raises:
            DataError: a caption without a single word of the vocabulary.
        """
        for caption, known in zip(captions, self.vocabulary.known(captions), strict=True):
            if known == 0:
                raise DataError(f"the model knows no word of {caption!r}; try other words")
        return self.vocabulary.encode(captions, self.part.length)[0]

    def save(self, run: Run) -> None:
        """Keep in a run what was made of the training captions."""
        self.vocabulary.save(run.dir / VOCABULARY)
        run.save_json(WIDTH, {"width": self.width})

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        if self.start is None:
            return {}
        known = int(np.isfinite(self.start[:, 0]).sum())
        return {"words with a vector": f"{known:,} of {len(self.start):,}, {self.width} numbers each"}

    def note(self) -> str:
        """One line where most words of the training captions occur once or have no vector, else empty."""
        return words_note(self.source.splits["train"].captions, self.vectors, self.part.vectors)


@lru_cache(maxsize=4)
def _vectors(name: str, source: Source) -> WordVectors:
    return load_word_vectors(
        name, only={word for text in source.splits["train"].captions for word in tokenize(text)}
    )


def words_note(captions: Sequence[str], vectors: WordVectors | None, name: str | None) -> str:
    """One line where most words of the captions occur once or have no vector, else empty.

    Raises:
        DataError: the vectors know no word at all.
    """
    counts = Counter(word for caption in captions for word in tokenize(caption))
    total, once = counts.total(), sum(count == 1 for count in counts.values())
    known = total if vectors is None else sum(count for word, count in counts.items() if word in vectors)
    if 2 * once > total:
        example = next(word for word, count in counts.items() if count == 1)
        return (
            f"note: {once:,} of the {total:,} words of the training captions occur once, such as "
            f"{example[:20]!r}; where a script has no blanks between words, put some in"
        )
    if 2 * known < total:
        return (
            f"note: the word vectors {name} know {known:,} of the {total:,} words of the "
            "training captions; take vectors of their language"
        )
    return ""
