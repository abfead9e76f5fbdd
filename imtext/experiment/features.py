"""Fixed features of captions, fitted on the training captions, computed once and kept on disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from imtext.experiment.experiment import plain
from imtext.experiment.source import SPLITS, Source
from imtext.experiment.texts import refuse, vectors_of, words_note
from imtext.progress import announce
from imtext.runs import Run, RunStore, config_hash
from imtext.text import tfidf
from imtext.text.fisher import FisherVectors
from imtext.text.mean_vector import MeanVector
from imtext.text.vectors import WordVectors, load_word_vectors

FITTED = "fitted"


class _Kind:
    """A kind of fixed features; ``build`` as for the other inputs of captions."""

    vectors: str | None = None

    def build(self, source: Source, run: Run | None = None) -> FixedTexts:
        """The features of a dataset's captions, as fitted for a finished run if there is one."""
        return FixedTexts(self, source, source.captions, run)


@dataclass(frozen=True)
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
        options = {name: value for name, value in vars(self).items() if name != "vectors"}
        return FisherVectors(words, seed=seed, **options)

    def loaded(self, path: Path) -> FisherVectors:
        """What was fitted."""
        return FisherVectors.load(path, load_word_vectors(self.vectors))


@dataclass(frozen=True)
class MeanWords(_Kind):
    """The mean of the word vectors of a caption; ``vectors`` as for :class:`Fisher`."""

    vectors: str = "glove"
    said = "mean vector"

    def made(self, words: WordVectors, seed: int) -> MeanVector:
        """What is to be fitted."""
        return MeanVector(words)

    def loaded(self, path: Path) -> MeanVector:
        """What was fitted."""
        return MeanVector.load(path)


@dataclass(frozen=True)
class TfIdf(_Kind):
    """tf-idf over the ``words`` most frequent lemmas."""

    words: int = 3000
    said = "tf-idf"

    def made(self, words: None, seed: int) -> tfidf.TfIdf:
        """What is to be fitted."""
        return tfidf.TfIdf(words=self.words)

    def loaded(self, path: Path) -> tfidf.TfIdf:
        """What was fitted."""
        return tfidf.TfIdf.load(path)


@dataclass(frozen=True)
class Beside:
    """Several kinds of features side by side."""

    parts: tuple[Any, ...] = ()

    @property
    def said(self) -> str:
        """What ran, for people."""
        return " + ".join(part.said for part in self.parts)

    def build(self, source: Source, run: Run | None = None) -> TextsBeside:
        """The features of a dataset's captions, as fitted for a finished run if there is one."""
        return TextsBeside([part.build(source, run) for part in self.parts])


class FixedTexts:
    """Features ``(M, width)`` of texts, float32, memory-mapped or sparse.

    Args:
        part: of which kind; source: where they are kept, and the seed.
        texts: by split; those for training fit the features.
        run: a finished run whose fitted features are taken in the place of fitting.
    """

    def __init__(
        self, part: Any, source: Source, texts: Mapping[str, tuple[str, ...]], run: Run | None = None
    ) -> None:
        self.part, self.source, self.texts, self._run = part, source, texts, run
        self._kept: dict[str, Any] = {}

    @cached_property
    def kept(self) -> Run:
        """What was fitted and the features of all splits, with the number of texts without a known word.

        Raises:
            RunError: it cannot be written.
        """
        config = plain(self.part) | {"of": self.source.data.seed, "texts": config_hash(self.texts)}
        with RunStore(self.source.cache).open("text", type(self.part).__name__, config) as kept:
            if not kept.finished:
                self._fill(kept)
        return kept

    def _fill(self, kept: Run) -> None:
        announce(f"text features: {self.part.said}")
        fitted = self.part.made(self.vectors, self.source.data.seed).fit(self.texts["train"])
        unknown = {}
        for split in SPLITS:
            rows = fitted.transform(self.texts[split])
            unknown[split] = int(fitted.unknown_)
            if sparse.issparse(rows):
                sparse.save_npz(kept.dir / f"{split}.npz", sparse.csr_array(rows), compressed=False)
            else:
                np.save(kept.dir / f"{split}.npy", rows)
        fitted.save(kept.dir / FITTED)
        kept.save_json("metrics.json", unknown)

    @cached_property
    def vectors(self) -> WordVectors | None:
        """Vectors of all words that occur, no more: those of test words are known beforehand, not learned."""
        name = self.part.vectors
        return None if name is None else vectors_of(name, sum(self.texts.values(), ()))

    @property
    def width(self) -> int:
        """Numbers of a text."""
        rows = self.test("train") if self._run is None else self._fitted.transform([""])
        return int(rows.shape[1])

    @property
    def unknown(self) -> dict[str, int]:
        """Texts without a known word, by split; their rows are zero."""
        return self.kept.metrics

    def train(self) -> Any:
        """Features of the training texts."""
        return self.test("train")

    def test(self, split: str) -> Any:
        """Features of a split."""
        if split not in self._kept:
            (path,) = self.kept.dir.glob(f"{split}.np?")
            self._kept[split] = (
                sparse.csr_array(sparse.load_npz(path)) if path.suffix == ".npz" else np.load(path, "r")
            )
        return self._kept[split]

    @cached_property
    def _fitted(self) -> Any:
        return self.part.loaded(self._run.dir / self._name)

    @property
    def _name(self) -> str:
        return f"{FITTED}-{self.part.said.lower().replace(' ', '-')}"

    def read(self, captions: Sequence[str]) -> Any:
        """Features of new captions; DataError for one without a single known word."""
        rows = self._fitted.transform(captions)
        refuse(captions, self._fitted.unknown_captions_)
        return rows

    def save(self, run: Run) -> None:
        """Keep in a run what was fitted."""
        shutil.copy(self.kept.dir / FITTED, run.dir / self._name)

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        return {f"{self.part.said}, numbers a caption": f"{self.width:,}"}

    def note(self) -> str:
        """One line where most words of the training captions occur once or have no vector, else empty."""
        return words_note(self.texts["train"], self.vectors, self.part.vectors)


class TextsBeside:
    """Several features of the same texts, side by side."""

    def __init__(self, parts: Sequence[FixedTexts]) -> None:
        self.parts = parts

    @property
    def width(self) -> int:
        """Numbers of a text."""
        return sum(part.width for part in self.parts)

    def train(self) -> np.ndarray:
        """Features of the training texts."""
        return self.test("train")

    def test(self, split: str) -> np.ndarray:
        """Features of a split."""
        return np.hstack([part.test(split) for part in self.parts])

    def read(self, captions: Sequence[str]) -> np.ndarray:
        """Features of new captions; DataError for one without a single known word."""
        return np.hstack([part.read(captions) for part in self.parts])

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
