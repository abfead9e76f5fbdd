"""Fixed features of captions, fitted on the training captions, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from scipy import sparse

from imtext.errors import DataError
from imtext.experiment.source import SPLITS, Source
from imtext.experiment.texts import words_note
from imtext.progress import announce
from imtext.runs import Run
from imtext.text import tfidf
from imtext.text.fisher import FisherVectors
from imtext.text.mean_vector import MeanVector
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors

_VERSION = 3
FITTED = "fitted"


class _Kind:
    """A kind of fixed features; ``build`` as for the other inputs of captions."""

    vectors: str | None = None

    def build(self, source: Source, run: Run | None = None) -> FixedTexts:
        """The features of a dataset's captions, as fitted for a finished run if there is one."""
        captions = {split: tuple(source.splits[split].captions) for split in SPLITS} if run is None else {}
        return FixedTexts(self, source, captions, run)


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
        options = {name: value for name, value in asdict(self).items() if name != "vectors"}
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
    def folder(self) -> Path:
        """Where the features lie; DataError where they cannot be written."""
        settings = [_VERSION, type(self.part).__name__, asdict(self.part), self.source.data.seed]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for split in SPLITS:
            digest.update("\0".join(self.texts[split]).encode("utf-8", "surrogatepass"))
        folder = self.source.cache / "text" / f"{type(self.part).__name__}-{digest.hexdigest()[:24]}"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    self._fill(folder)
        except OSError as error:
            raise DataError(
                f"{folder.parent}: cannot write text features ({error.strerror or error}); free space or "
                "choose another runs_dir"
            ) from None
        return folder

    def _fill(self, folder: Path) -> None:
        announce(f"text features: {self.part.said}")
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        transformer = self.part.made(self.vectors, self.source.data.seed).fit(self.texts["train"])
        unknown = {}
        for split in SPLITS:
            rows = transformer.transform(self.texts[split])
            unknown[split] = int(transformer.unknown_)
            if sparse.issparse(rows):
                sparse.save_npz(partial / f"{split}.npz", sparse.csr_array(rows), compressed=False)
            else:
                np.save(partial / f"{split}.npy", rows)
        transformer.save(partial / FITTED)
        (partial / "unknown.json").write_text(json.dumps(unknown))
        os.replace(partial, folder)

    @cached_property
    def vectors(self) -> WordVectors | None:
        """Vectors of all words that occur, no more: those of test words are known beforehand, not learned."""
        if self.part.vectors is None:
            return None
        words = {word for texts in self.texts.values() for text in texts for word in tokenize(text)}
        return load_word_vectors(self.part.vectors, only=words)

    @property
    def width(self) -> int:
        """Numbers of a text."""
        rows = self.test("train") if self._run is None else self._fitted.transform([""])
        return int(rows.shape[1])

    @property
    def unknown(self) -> dict[str, int]:
        """Texts without a known word, by split; their rows are zero."""
        return json.loads((self.folder / "unknown.json").read_text())

    def train(self) -> Any:
        """Features of the training texts."""
        return self.test("train")

    def test(self, split: str) -> Any:
        """Features of a split."""
        if split not in self._kept:
            stem = self.folder / split
            if stem.with_suffix(".npz").is_file():
                self._kept[split] = sparse.csr_array(sparse.load_npz(stem.with_suffix(".npz")))
            else:
                self._kept[split] = np.load(stem.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        return self._kept[split]

    @cached_property
    def _fitted(self) -> Any:
        folder = self.folder if self._run is None else self._run.dir
        return self.part.loaded(folder / (FITTED if self._run is None else self._name))

    @property
    def _name(self) -> str:
        return f"{FITTED}-{self.part.said.lower().replace(' ', '-')}"

    def read(self, captions: Sequence[str]) -> Any:
        """Features of new captions; DataError for one without a single known word."""
        rows = self._fitted.transform(captions)
        for place in self._fitted.unknown_captions_[:1]:
            raise DataError(f"the model knows no word of {captions[place]!r}; try other words")
        return rows

    def save(self, run: Run) -> None:
        """Keep in a run what was fitted."""
        shutil.copy(self.folder / FITTED, run.dir / self._name)

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
