"""Text drawn as a picture, so that a network for images can read it (Gallo et al. 2017)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from imtext.check import whole
from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.text.tokens import as_captions, tokenize
from imtext.text.vectors import WordVectors, train_word2vec

_KIND = "imtext-text-image-1"
_LAYOUT = ("side", "superpixel", "separator", "canvas")
_CHANNELS = 3
_DRAWN = 32  # captions drawn at a time: few enough to stay in the processor's cache


class TextImage:
    """Captions as pictures: each word a tile of coloured squares, in reading order on black.

    A word's vector is scaled to 0 ... 255, ``low`` to 0 and ``high`` to 255. Three numbers make the red,
    green and blue of one *super-pixel*, a square of one colour. The super-pixels of a word, row by row, make
    its *tile*, at least as wide as high: 2 x 2 for 12 features, 4 x 2 for 24, 4 x 3 for 36 (across x down).
    Tiles stand left to right, then top to bottom, with ``separator`` black pixels between them. Words without
    a vector leave no tile: the next one takes the place. Words past the last place are left out, and counted
    by :meth:`dropped`. A word all of whose numbers are ``low`` is drawn one step brighter, because a black
    one could not be seen. Source: Gallo, Nawaz and Calefati 2017, used by Nawaz et al. 2018, section 3.1;
    sizes they do not print are ours.

    Args:
        vectors: ``(d + 1, features)``, the row of a word by its code, row 0 is padding; ``features`` a
            multiple of three. A row of zeros is a word without a vector, as ``Vocabulary.matrix`` writes it.
        low, high: one number, or one for each feature ``(features,)``; what lies outside is cut off. See
            :meth:`fit`.
        side: pixels of a picture's side.
        superpixel: pixels of a super-pixel's side; :func:`largest_superpixel` finds one that fills a picture.
        separator: black pixels between tiles, across and down.
        canvas: pixels of the side of the canvas, of which a picture is a crop; None: ``side``. At each of its
            edges ``canvas - side`` pixels stay free, so that no crop cuts a word.

    Attributes:
        tile: pixels of a tile, (height, width).
        grid: places for words, (down, across).
        capacity: words that fit.
        slack: the largest offset of a crop, ``canvas - side``.

    Raises:
        ConfigError: a size that makes no picture, or one in which not even one word fits.
        DataError: vectors of another form, or not finite; ``low`` not below ``high``.

    >>> vectors = np.zeros((3, 12), np.float32)
    >>> vectors[1], vectors[2, :3] = 1.0, -1.0
    >>> drawn = TextImage.fit(vectors, side=16, superpixel=1, separator=1)
    >>> drawn.tile, drawn.grid, drawn.capacity
    ((2, 2), (5, 5), 25)
    >>> drawn.encode(np.array([[2, 1, 0]]))[0, 0, :3, :6].tolist()
    [[0, 128, 0, 255, 255, 0], [128, 128, 0, 255, 255, 0], [0, 0, 0, 0, 0, 0]]
    """

    def __init__(
        self,
        vectors: np.ndarray,
        low: float | np.ndarray,
        high: float | np.ndarray,
        side: int = 227,
        superpixel: int = 3,
        separator: int = 4,
        canvas: int | None = None,
    ) -> None:
        self.vectors = _checked(vectors)
        self.known = self.vectors.any(axis=1)
        self.features = check_features(self.vectors.shape[1])
        self.side, self.superpixel, self.separator = side, superpixel, separator
        self.canvas = side if canvas is None else canvas
        self.tile, self.grid = _places(self.features, side, superpixel, separator, self.canvas)
        self.capacity, self.slack = math.prod(self.grid), self.canvas - side
        if not self.capacity:
            raise ConfigError(
                f"text image: no word fits: a tile has {self.tile[1]} x {self.tile[0]} pixels and the canvas "
                f"of {self.canvas} leaves {2 * side - self.canvas} each way; take a smaller superpixel or "
                "canvas, or a larger side"
            )
        self.low, self.high = (np.broadcast_to(end, self.features).astype(np.float64) for end in (low, high))
        if not (self.low < self.high).all():
            wrong = int(np.argmin(self.low < self.high))
            raise DataError(
                f"text image: expected low below high, found {self.low[wrong]:g} and {self.high[wrong]:g} "
                f"for number {wrong + 1} of a word; take vectors in which the words differ"
            )
        self._colours = self._scaled()

    @classmethod
    def fit(cls, vectors: np.ndarray, deviations: float | None = None, **layout: int | None) -> TextImage:
        """With the range of the words' vectors, which are those of the training captions.

        ``vectors (d + 1, features)`` as for the class; ``deviations``: of each feature so many standard
        deviations on either side of its mean; None: from the least to the largest of all numbers.
        ``layout``: what the class takes besides. Raises DataError where the range is empty.

        >>> TextImage.fit(np.array([[0.0, 0, 0], [-1, 0, 1]])).high.tolist()
        [1.0, 1.0, 1.0]
        """
        vectors = _checked(vectors)
        rows = vectors[vectors.any(axis=1)].astype(np.float64)
        if not len(rows):
            raise DataError("text image: no word has a vector; build vocabulary and vectors together")
        if deviations is None:
            return cls(vectors, rows.min(), rows.max(), **layout)
        mean, reach = rows.mean(axis=0), deviations * rows.std(axis=0)
        return cls(vectors, mean - reach, mean + reach, **layout)

    def encode(self, codes: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """Captions ``codes (M, L)`` as pictures ``(M, 3, side, side)`` uint8.

        Code 0 is padding, wherever it stands. ``offsets``: top and left pixel of the crop of the canvas,
        ``(2,)`` or ``(M, 2)``, 0 to ``slack``; None: the middle. Larger offsets move the words up and left.
        The result takes 155 kB a caption at side 227; :meth:`lazy` keeps less of it.

        Raises DataError for codes outside the vectors.
        """
        codes = self._compact(codes)
        offsets = np.asarray(self.slack // 2 if offsets is None else offsets)
        corners = np.broadcast_to(self.slack - offsets, (len(codes), 2))
        out = np.zeros((len(codes), _CHANNELS, self.side, self.side), dtype=np.uint8)
        if codes.size:
            for start in range(0, len(codes), _DRAWN):
                rows = slice(start, start + _DRAWN)
                for picture, strip, (top, left) in zip(
                    out[rows], self._strips(codes[rows]), corners[rows], strict=True
                ):
                    place = picture[:, top : top + strip.shape[1], left : left + strip.shape[2]]
                    place[:] = strip[:, : place.shape[1], : place.shape[2]]
        return out

    def lazy(self, codes: np.ndarray) -> TextPictures:
        """The captions ``codes (M, L)``, drawn only when they are asked for: what a training batch takes."""
        return TextPictures(self, codes)

    def dropped(self, codes: np.ndarray) -> np.ndarray:
        """Words of each caption that have a vector and are past the last place of its picture ``(M,)``."""
        return np.maximum(self.known[codes].sum(axis=1) - self.capacity, 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write vectors, range and sizes to one safetensors file."""
        arrays = {"vectors": self.vectors, "low": self.low, "high": self.high}
        write_tensors(Path(path), _KIND, arrays, {name: int(getattr(self, name)) for name in _LAYOUT})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextImage:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(Path(path), _KIND, ("vectors", "low", "high"))
        return cls(**arrays, **{name: settings[name] for name in _LAYOUT})

    def _scaled(self) -> np.ndarray:
        """The super-pixels of every word ``(d + 1, 3, down, across)`` uint8; black where there is no word."""
        share = (self.vectors - self.low) / (self.high - self.low)
        levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        levels[self.known & ~levels.any(axis=1), 0] = 1
        levels[~self.known] = 0
        down, across = (size // self.superpixel for size in self.tile)
        return levels.reshape(len(levels), down, across, _CHANNELS).transpose(0, 3, 1, 2)

    def _compact(self, codes: np.ndarray) -> np.ndarray:
        """Codes ``(M, W)`` of the words that are drawn, left-aligned, with 0 behind them."""
        codes = np.asarray(codes)
        if codes.size and (codes.min() < 0 or codes.max() >= len(self.known)):
            raise DataError(
                f"text image: expected codes 0 to {len(self.known) - 1}, as there are vectors, found "
                f"{codes.min()} to {codes.max()}; encode with the vocabulary of the vectors"
            )
        known = self.known[codes]
        order = np.argsort(~known, axis=1, kind="stable")
        codes = np.take_along_axis(np.where(known, codes, 0), order, axis=1)
        return codes[:, : min(self.capacity, int(known.sum(axis=1).max(initial=0)))]

    def _strips(self, codes: np.ndarray) -> np.ndarray:
        """The lines of words ``(B, 3, height, width)`` of compact ``codes (B, W)``."""
        count, words = codes.shape
        across = min(words, self.grid[1])
        down = -(-words // across)
        codes = np.pad(codes, ((0, 0), (0, down * across - words)))
        small = self._colours[codes.reshape(count, down, across)]  # (B, down, across, 3, y, x)
        tiles = small.repeat(self.superpixel, axis=5).repeat(self.superpixel, axis=4)
        tiles = np.pad(tiles, [(0, 0)] * 4 + [(0, self.separator)] * 2)
        lines = tiles.transpose(0, 3, 1, 4, 2, 5)
        return lines.reshape(count, _CHANNELS, down * tiles.shape[4], across * tiles.shape[5])


class TextPictures:
    """Captions of which pictures are drawn as they are asked for; see :meth:`TextImage.lazy`.

    >>> drawn = TextImage.fit(np.array([[0.0, 0, 0], [-1, 0, 1]]), side=16).lazy(np.array([[1, 1], [1, 0]]))
    >>> len(drawn), drawn.take([1, 0, 1]).shape
    (2, torch.Size([3, 3, 16, 16]))
    """

    def __init__(self, how: TextImage, codes: np.ndarray) -> None:
        self.how = how
        self.codes = how._compact(codes)

    def __len__(self) -> int:
        return len(self.codes)

    def take(
        self, indices: Sequence[int] | np.ndarray | torch.Tensor, offsets: np.ndarray | None = None
    ) -> torch.Tensor:
        """Pictures ``(B, 3, side, side)`` uint8 of the captions ``indices (B,)``, from 0.

        ``offsets`` as in :meth:`TextImage.encode`, ``(2,)`` or ``(B, 2)``.
        """
        return torch.from_numpy(self.how.encode(self.codes[np.asarray(indices, np.int64)], offsets))

    __getitem__ = take


def largest_superpixel(
    words: int, features: int, side: int = 227, separator: int = 4, canvas: int | None = None
) -> int:
    """The largest ``superpixel`` with which ``words`` words fit.

    A caption has about eleven words, and the sizes made for documents leave most of its picture black.
    ``side``, ``separator`` and ``canvas`` as for :class:`TextImage`.

    Raises ConfigError where they do not fit at all.

    >>> largest_superpixel(32, 12), largest_superpixel(32, 36), largest_superpixel(32, 12, side=96)
    (17, 9, 6)
    """
    canvas, found = side if canvas is None else canvas, 0
    whole("words", words)
    while math.prod(_places(features, side, found + 1, separator, canvas)[1]) >= words:
        found += 1
    if not found:
        raise ConfigError(
            f"text image: {words} words of {features} numbers do not fit, even with super-pixels of one "
            "pixel; take a smaller separator, fewer numbers or a larger side"
        )
    return found


def check_features(features: int) -> int:
    """Numbers of a word. Raises ConfigError where they make no colours."""
    if whole("features", features) % _CHANNELS:
        raise ConfigError(
            f"text image: expected a multiple of 3 numbers a word, red, green and blue, found {features}; "
            "take 12, 24 or 36"
        )
    return features


def _places(
    features: int, side: int, superpixel: int, separator: int, canvas: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels of a tile and places on the canvas, each (down, across)."""
    whole("side", side)
    whole("superpixel", superpixel)
    whole("separator", separator, least=0)
    whole("canvas", canvas, least=side)
    count = check_features(features) // _CHANNELS
    # The least divisor that makes a tile at least as wide as high.
    across = next(n for n in range(math.isqrt(count - 1) + 1, count + 1) if count % n == 0)
    tile = (count // across * superpixel, across * superpixel)
    free = 2 * side - canvas  # as many pixels stay free at each edge as a crop can move
    return tile, tuple(max(0, (free + separator) // (size + separator)) for size in tile)


def _checked(vectors: np.ndarray) -> np.ndarray:
    """The vectors as float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or not np.isfinite(vectors).all() or vectors[:1].any():
        raise DataError(
            f"text image: expected vectors (d + 1, features), finite and row 0 zeros, found {vectors.shape}; "
            "Vocabulary.matrix makes them"
        )
    return vectors


def small_vectors(
    captions: Iterable[str],
    features: int = 12,
    source: str | WordVectors = "word2vec",
    seed: int = 0,
) -> WordVectors:
    """Vectors of 12, 24 or 36 numbers for the words of the training ``captions``.

    ``source="word2vec"`` trains them on the captions (skip-gram, one worker: the same captions and ``seed``
    give the same numbers). With word vectors as ``source``, their PCA, fitted on the distinct words of the
    captions that have a vector; ``seed`` then plays no part.

    Raises ConfigError for ``features`` that are no multiple of three or another ``source``, DataError where
    the captions have fewer words than that.

    >>> small_vectors(["a red dog", "a blue cat"], 3, WordVectors(["red", "dog", "cat"], np.eye(3, 4))).words
    ('red', 'dog', 'cat')
    """
    check_features(features)
    captions = as_captions(captions)
    if not isinstance(source, WordVectors | str) or (isinstance(source, str) and source != "word2vec"):
        raise ConfigError(f"small_vectors: expected source 'word2vec' or WordVectors, found {source!r}")
    if isinstance(source, str):
        return train_word2vec(captions, features, seed)
    cut = source.cut(word for caption in captions for word in tokenize(caption))
    if features > min(cut.vectors.shape):
        raise DataError(
            f"small_vectors: expected at least {features} words with vectors of {features} numbers, found "
            f"{len(cut)} words of {cut.vector_size}; give more captions or take fewer features"
        )
    reduced = PCA(features, svd_solver="full").fit_transform(cut.vectors.astype(np.float64))
    return WordVectors(cut.words, reduced, f"{cut.name}, PCA to {features}")
