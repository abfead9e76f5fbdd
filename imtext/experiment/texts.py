"""What a network reads of a caption; each part builds the same: rows of all splits, and of new captions.

What is built has ``width``; ``train()``, for training batches; ``test(split)``, in the order of the split;
``read(captions)``, the same of new captions; ``save(run)``, which keeps what was made of the training
captions, for ``build(source, run)`` to take it again; ``facts()`` and ``note()``, for people.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from imtext.errors import DataError
from imtext.experiment.experiment import plain
from imtext.experiment.source import Reading, SideBySide, Source
from imtext.progress import announce
from imtext.runs import Run, RunStore, config_hash
from imtext.text import bags
from imtext.text.bags import MeanVector
from imtext.text.fisher import FisherVectors
from imtext.text.text_image import TextImage, TextPictures, largest_superpixel, small_vectors
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors
from imtext.text.vocabulary import Vocabulary
from imtext.vision.reading import Lazy

VOCABULARY, WIDTH, DRAWING, FITTED = "vocabulary.json", "words.json", "drawing.safetensors", "fitted"


class Texts:
    """What is made of the captions of a dataset.

    Args:
        part: how; source: of what.
        run: a finished run, whose vocabulary or fitted features are taken in the place of new ones.
    """

    def __init__(self, part: Any, source: Source, run: Run | None = None) -> None:
        self.part, self.source = part, source
        if run is not None:
            self._restore(run)

    @cached_property
    def vectors(self) -> WordVectors | None:
        """Vectors of all words that occur, no more: those of test words are known beforehand, not learned."""
        name = self.part.vectors
        return None if name is None else vectors_of(name, sum(self.source.captions.values(), ()))

    def train(self) -> Any:
        """Those of the training captions."""
        return self.test("train")

    def read(self, captions: Sequence[str]) -> Any:
        """Those of new captions; DataError for one without a single known word."""
        rows, unknown = self._read(captions)
        for place in unknown[:1]:
            raise DataError(f"the model knows no word of {captions[place]!r}; try other words")
        return rows

    def note(self) -> str:
        """One line where most words of the training captions occur once or have no vector, else empty."""
        captions, vectors = self.source.captions["train"], self.vectors
        counts = Counter(word for caption in captions for word in tokenize(caption))
        total, once = counts.total(), [word for word, count in counts.items() if count == 1]
        known = total if vectors is None else sum(count for word, count in counts.items() if word in vectors)
        if 2 * max(len(once), total - known) <= total:
            return ""
        such = f", such as {once[0][:20]!r}" if once else ""
        return (
            f"note: of the {total:,} words of the training captions {len(once):,} occur once{such}, and "
            f"{known:,} have a vector; take vectors of their language, and put blanks between its words"
        )


class CodedWords(Texts):
    """Codes ``(M, length)`` of captions, left-aligned."""

    def _restore(self, run: Run) -> None:
        self.vocabulary = Vocabulary.load(run.dir / VOCABULARY)
        self.vectors, self.width = None, int(run.load_json(WIDTH)["width"])

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words that have a code, with marks for others and for both ends."""
        captions, least = self.source.captions["train"], self.part.min_count
        return Vocabulary.build(captions, min_count=least, unknown=True, ends=True)

    @cached_property
    def width(self) -> int:
        """Numbers of a word."""
        return self.part.own + (self.part.dim if self.vectors is None else self.vectors.vector_size)

    @cached_property
    def start(self) -> np.ndarray | None:
        """What words start from ``(d, width)``, NaN for what starts at random; None where everything does."""
        if self.vectors is None:
            return None
        known = self.vocabulary.matrix(self.vectors, missing=np.nan)[1:]
        return np.pad(known, ((0, 0), (0, self.part.own)), constant_values=np.nan)

    def train(self) -> Any:
        """Codes ``(M, L)`` and lengths ``(M,)`` of the training captions."""
        return self.vocabulary.encode(self.source.captions["train"], self.part.length)

    def test(self, split: str) -> Any:
        """Codes of a split."""
        return self._of(self.source.captions[split])

    def _of(self, captions: Sequence[str]) -> Any:
        return self.vocabulary.encode(captions, self.part.length)[0]

    def _read(self, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._of(captions)[:], np.flatnonzero(self.vocabulary.known(captions) == 0)

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


class CodedKnownWords(CodedWords):
    """The same of words that have a vector alone, without marks."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words that have a vector."""
        return Vocabulary.build(self.source.captions["train"], self.vectors)

    @cached_property
    def start(self) -> np.ndarray | None:
        """What words start from ``(d, width)``; None for random numbers."""
        return self.vocabulary.matrix(self.vectors)[1:] if self.vectors and self.part.start else None

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        return {"words of the dictionary": f"{len(self.vocabulary):,}, {self.width} numbers each"}


class DrawnCaptions(CodedKnownWords):
    """Pictures ``(M, 3, S, S)``, uint8, of captions, drawn as they are asked for."""

    def _restore(self, run: Run) -> None:
        self.vocabulary = Vocabulary.load(run.dir / VOCABULARY)
        self.drawing = TextImage.load(run.dir / DRAWING)

    @cached_property
    def vectors(self) -> WordVectors:
        """Vectors of the training words, of the few numbers that are drawn."""
        known = "word2vec" if self.part.vectors == "word2vec" else super().vectors
        return small_vectors(self.source.captions["train"], self.part.features, known, self.source.data.seed)

    @cached_property
    def drawing(self) -> TextImage:
        """How captions are drawn: vectors, their range, sizes; all of it from the training captions."""
        part, side = self.part, self.part.side or self.source.size
        layout = {"side": side, "canvas": side + part.slack, "separator": part.separator}
        pixels = largest_superpixel(part.words, part.features, **layout)
        vectors = self.vocabulary.matrix(self.vectors)
        return TextImage.fit(vectors, part.deviations, superpixel=pixels, **layout)

    def codes(self, split: str) -> np.ndarray:
        """Codes ``(M, L)`` of the words of a split's captions."""
        return super()._of(self.source.captions[split])

    def train(self) -> tuple[TextPictures, np.ndarray]:
        """Training captions, drawn as they are asked for, and how many words each has."""
        codes, lengths = super().train()
        return self.drawing.lazy(codes), lengths

    def _of(self, captions: Sequence[str]) -> Lazy:
        return Lazy(self.drawing.lazy(super()._of(captions)).take, len(captions))

    def save(self, run: Run) -> None:
        """Keep in a run what was made of the training captions."""
        self.vocabulary.save(run.dir / VOCABULARY)
        self.drawing.save(run.dir / DRAWING)

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        drawing, codes = self.drawing, self.codes("test")
        left_out = f"{drawing.dropped(codes).sum():,} of {(codes > 0).sum():,}"
        return {
            "pixels of a colour": f"{drawing.superpixel} × {drawing.superpixel}",
            "words that fit an image": f"{drawing.capacity}",
            "words of test captions past the last place": left_out,
        }


class FixedTexts(Texts):
    """Features ``(M, width)`` of captions, float32, memory-mapped or sparse; those for training fit them."""

    def _restore(self, run: Run) -> None:
        self.fitted = self.part.loaded(self._file(run))
        self.width = self.fitted.transform([""]).shape[1]

    @cached_property
    def kept(self) -> Run:
        """What was fitted and the features of all splits.

        Raises:
            RunError: it cannot be written.
        """
        texts = config_hash(self.source.captions)
        config = plain(self.part) | {"seed": self.source.data.seed, "texts": texts}
        with RunStore(self.source.cache).open("text", type(self.part).__name__, config) as kept:
            if not kept.finished:
                self._fill(kept)
        return kept

    def _fill(self, kept: Run) -> None:
        announce(f"text features: {self.part.said}")
        fitted = self.part.made(self.vectors, self.source.data.seed).fit(self.source.captions["train"])
        for split, texts in self.source.captions.items():
            rows = fitted.transform(texts)
            if sparse.issparse(rows):
                sparse.save_npz(kept.dir / f"{split}.npz", sparse.csr_array(rows), compressed=False)
            else:
                np.save(kept.dir / f"{split}.npy", rows)
        fitted.save(kept.dir / FITTED)
        kept.save_json("metrics.json", {})

    @cached_property
    def width(self) -> int:
        """Numbers of a caption."""
        return self.test("train").shape[1]

    def test(self, split: str) -> Any:
        """Features of a split; a caption without a known word is a row of zeros."""
        (path,) = self.kept.dir.glob(f"{split}.np?")
        return np.load(path, "r") if path.suffix == ".npy" else sparse.csr_array(sparse.load_npz(path))

    def _file(self, run: Run) -> Path:
        return run.dir / f"{FITTED}-{self.part.said.lower().replace(' ', '-')}"

    def _read(self, captions: Sequence[str]) -> tuple[Any, np.ndarray]:
        return self.fitted.transform(captions), self.fitted.unknown_captions_

    def save(self, run: Run) -> None:
        """Keep in a run what was fitted."""
        shutil.copy(self.kept.dir / FITTED, self._file(run))

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        return {f"{self.part.said}, numbers a caption": f"{self.width:,}"}


class TextsBeside(SideBySide, Texts):
    """Several features of the same texts, side by side."""

    @property
    def width(self) -> int:
        """Numbers of a text."""
        return sum(part.width for part in self.parts)

    def save(self, run: Run) -> None:
        """Keep in a run what was fitted."""
        for part in self.parts:
            part.save(run)

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        return {name: fact for part in self.parts for name, fact in part.facts().items()}

    def note(self) -> str:
        """One line where most words of the training captions occur once or have no vector, else empty."""
        return next(filter(None, (part.note() for part in self.parts)), "")


Texts.beside = TextsBeside


@lru_cache(maxsize=4)
def vectors_of(name: str, captions: tuple[str, ...]) -> WordVectors:
    """Vectors of the words of captions, no more."""
    return load_word_vectors(name, only={word for text in captions for word in tokenize(text)})


class Words(Reading):
    """Codes of the words that are frequent in the training captions.

    Attributes:
        vectors: that words start from, as for :func:`imtext.text.vectors.load_word_vectors`; None starts
            them at random, with ``dim`` dimensions a word.
        min_count: occurrences from which a training word has a code of its own.
        length: longest caption in words, both marks included.
        own: further dimensions of each word, which start at random.
    """

    vectors: str | None = "glove"
    min_count: int = 4
    length: int = 34
    dim: int = 300
    own: int = 0
    built = CodedWords


class KnownWords(Reading):
    """Codes of the words of the training captions that word vectors know.

    Attributes:
        vectors: as for :class:`Words`; start: whether words start from them, or at random.
        length: longest caption in words.
    """

    vectors: str = "glove"
    length: int = 32
    start: bool = True
    built = CodedKnownWords


class Drawn(Reading):
    """Captions as pictures, each word a tile of coloured squares.

    See :class:`imtext.text.text_image.TextImage`.

    Attributes:
        vectors: of words: ``"word2vec"``, trained on the training captions, or those of
            :func:`imtext.text.vectors.load_word_vectors`, reduced to ``features`` on the training words.
        features: numbers of a word: 12, 24 or 36.
        deviations: each number of a vector is drawn over so many standard deviations on either side of its
            mean; None draws all over one range, from the least to the largest.
        separator: black pixels between words.
        words: words that a picture is to hold, with the largest squares that this leaves; later words are
            dropped and counted.
        slack: pixels by which the canvas is larger than a picture, so that it has several crops.
        side: of a picture; None: that of the photographs.
    """

    vectors: str = "word2vec"
    features: int = 36
    deviations: float | None = None
    separator: int = 4
    words: int = 32
    slack: int = 29
    side: int | None = None
    length = 64  # words of a caption that is drawn
    built = DrawnCaptions


class _Kind(Reading):
    """A kind of fixed features, fitted on the training captions, computed once and kept on disk."""

    built = FixedTexts
    vectors = None


class Fisher(_Kind):
    """Fisher vectors of the words of a caption, see :class:`imtext.text.fisher.FisherVectors`.

    Attributes:
        mixture: ``"hglmm"`` or ``"gmm"``; components, pca, once, ica: of the vectors.
        vectors: of words, as for :func:`imtext.text.vectors.load_word_vectors`.
    """

    mixture: str = "hglmm"
    components: int = 30
    pca: int = 6000
    once: bool = True
    ica: bool = True
    vectors: str = "glove"

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.mixture.upper()

    def made(self, words: WordVectors, seed: int) -> FisherVectors:
        """What is to be fitted."""
        return FisherVectors(**(vars(self) | {"vectors": words}), seed=seed)

    def loaded(self, path: Path) -> FisherVectors:
        """What was fitted."""
        return FisherVectors.load(path, load_word_vectors(self.vectors))


class MeanWords(_Kind):
    """The mean of the word vectors of a caption; ``vectors`` as for :class:`Fisher`."""

    vectors: str = "glove"
    said = "mean vector"
    loaded = staticmethod(MeanVector.load)

    def made(self, words: WordVectors, seed: int) -> MeanVector:
        """What is to be fitted."""
        return MeanVector(words)


class TfIdf(_Kind):
    """tf-idf over the ``words`` most frequent lemmas."""

    words: int = 3000
    said = "tf-idf"
    loaded = staticmethod(bags.TfIdf.load)

    def made(self, words: None, seed: int) -> bags.TfIdf:
        """What is to be fitted."""
        return bags.TfIdf(words=self.words)
