"""Text drawn as a picture, so that a network for images can read it (Gallo et al. 2017)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from imtext.errors import ConfigError, DataError
from imtext.files import read_tensors, write_tensors
from imtext.text.small_vectors import small_vectors
from imtext.text.tiles import CHANNELS, Tiles, largest_superpixel, whole

__all__ = ["TextImage", "TextPictures", "largest_superpixel", "small_vectors"]

_KIND = "imtext-text-image-1"
# Captions in a block or read at a time, and drawn at a time: few enough to stay in the processor's cache.
_BLOCK = 256
_DRAWN = 32


class TextImage(Tiles):
    """Captions as pictures: each word a tile of coloured squares, in reading order on black.

    A word's vector is scaled to 0 ... 255, ``low`` to 0 and ``high`` to 255. Three numbers make the red,
    green and blue of one *super-pixel*, a square of one colour. The super-pixels of a word, row by row, make
    its *tile*. Tiles stand left to right, then top to bottom, with ``separator`` black pixels between them.
    Words without a vector leave no tile: the next one takes the place. Words past the last place are left
    out. Both are counted (:meth:`unknown`, :meth:`dropped`). Source: Gallo, Nawaz and Calefati 2017, used by
    Nawaz et al. 2018, section 3.1; sizes they do not print are ours.

    Args:
        vectors: ``(d + 1, features)``, the row of a word by its code, row 0 is padding; ``features`` a
            multiple of three. A row of zeros is a word without a vector, as ``Vocabulary.matrix`` writes it.
        low, high: one number, or one for each feature ``(features,)``; what lies outside is cut off. See
            :meth:`fit`.
        side: pixels of a picture's side.
        superpixel: pixels of a super-pixel's side; :func:`largest_superpixel` finds one that fills a picture.
        row_tiles: super-pixels in a row of a tile; None: the least divisor that makes it at least as wide as
            high, so 2 x 2 for 12 features, 4 x 2 for 24, 4 x 3 for 36 (across x down).
        separator: black pixels between tiles, across and down.
        start: pixels that stay free at each edge of the canvas, one number or (top and bottom, left and
            right); None: ``canvas - side``, with which no crop ever cuts a word.
        canvas: pixels of the side of the canvas, of which a picture is a crop; None: ``side``.

    Attributes:
        tile: pixels of a tile, (height, width).
        grid: places for words, (down, across).
        slack: the largest offset of a crop, ``canvas - side``.

    Raises:
        ConfigError: a size that makes no picture, or one in which not even one word fits.
        DataError: vectors of another form, or not finite; ``low`` not below ``high``.

    >>> vectors = np.zeros((3, 12), np.float32)
    >>> vectors[1], vectors[2, :3] = 1.0, -1.0
    >>> drawn = TextImage.fit(vectors, side=16, superpixel=1, separator=1)
    >>> drawn
    TextImage(16 x 16 pixels, 2 words, tiles of 2 x 2 super-pixels, room for 5 x 5 words)
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
        row_tiles: int | None = None,
        separator: int = 4,
        start: int | Sequence[int] | None = None,
        canvas: int | None = None,
    ) -> None:
        self.vectors, self.known = _checked_vectors(vectors)
        super().__init__(self.vectors.shape[1], side, superpixel, row_tiles, separator, start, canvas)
        self.low, self.high = _checked_range(low, high, self.features)
        self._colours = self._scaled()

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        training: Sequence[int] | np.ndarray | None = None,
        each: bool = False,
        **layout: object,
    ) -> TextImage:
        """With the range of the training words' vectors.

        ``vectors (d + 1, features)`` as for the class; ``training``: codes of the training words, None: all
        that have a vector. ``each``: a range for each feature, instead of one for all. ``layout``: what the
        class takes besides. Raises DataError where the range is empty.

        >>> TextImage.fit(np.array([[0.0, 0, 0], [-1, 0, 1], [5, 0, 0]]), training=[1]).high.tolist()
        [1.0, 1.0, 1.0]
        """
        matrix, known = _checked_vectors(vectors)
        if training is not None:
            chosen = np.zeros_like(known)
            chosen[_checked_codes(np.atleast_2d(np.asarray(training)), len(known))] = True
            known = known & chosen
        if not known.any():
            raise DataError(
                "text image: no training word has a vector; build vocabulary and vectors together"
            )
        rows = matrix[known]
        axis = 0 if each else None
        return cls(vectors, rows.min(axis=axis), rows.max(axis=axis), **layout)

    def __repr__(self) -> str:
        tall, wide = (size // self.superpixel for size in self.tile)
        return (
            f"TextImage({self.side} x {self.side} pixels, {int(self.known.sum())} words, tiles of {wide} x "
            f"{tall} super-pixels, room for {self.grid[1]} x {self.grid[0]} words)"
        )

    def encode(self, codes: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """Captions ``codes (M, L)`` as pictures ``(M, 3, side, side)`` uint8.

        Code 0 is padding, wherever it stands. ``offsets``: top and left pixel of the crop of the canvas,
        ``(2,)`` or ``(M, 2)``, 0 to ``slack``; None: the middle. Larger offsets move the words up and left.
        The result takes 155 kB a caption at side 227; :meth:`blocks` and :meth:`lazy` keep less of it.

        Raises DataError for codes outside the vectors, ConfigError for offsets outside the canvas.
        """
        codes = self._compact(codes)
        offsets = self.offsets(offsets, len(codes))
        out = np.zeros((len(codes), CHANNELS, self.side, self.side), dtype=np.uint8)
        for start in range(0, len(codes), _DRAWN):
            part = slice(start, start + _DRAWN)
            self._draw(codes[part], offsets[part], out[part])
        return out

    def blocks(
        self, codes: np.ndarray, size: int = _BLOCK, offsets: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """:meth:`encode`, at most ``size`` captions at a time, each block a new array."""
        codes = _checked_codes(codes, len(self.known))
        offsets = self.offsets(offsets, len(codes))
        for start in range(0, len(codes), whole(size, "size", 1)):
            part = slice(start, start + size)
            yield self.encode(codes[part], offsets[part])

    def lazy(self, codes: np.ndarray) -> TextPictures:
        """The captions ``codes (M, L)``, drawn only when they are asked for: what a training batch takes."""
        return TextPictures(self, codes)

    def read(self, pictures: np.ndarray, offsets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The word vectors back from ``pictures (M, 3, side, side)`` uint8, drawn with the same ``offsets``.

        Returns ``vectors (M, W, features)`` float32, rows of zeros after a caption's last word, and
        ``counts (M,)`` int64, the words drawn. A number differs from what was drawn by at most half of
        ``(high - low) / 255``, besides what :meth:`encode` cut off. (A word all of whose numbers are ``low``
        is drawn one step brighter, because a black one could not be seen.)

        Raises ConfigError where crops may cut words, DataError for pictures of another form.
        """
        if self.cuts:
            raise ConfigError(
                f"text image: start={self.start} lets a crop of {self.side} out of {self.canvas} pixels cut "
                f"words, which cannot be read back; leave start out, or give at least {self.slack}"
            )
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (CHANNELS, self.side, self.side):
            raise DataError(
                f"text image: expected pictures (M, 3, {self.side}, {self.side}) of uint8, found "
                f"{pictures.shape} of {pictures.dtype}; read what the same settings drew"
            )
        offsets = self.offsets(offsets, len(pictures))
        parts = [
            self._levels(pictures[first : first + _BLOCK], offsets[first : first + _BLOCK])
            for first in range(0, len(pictures), _BLOCK)
        ]
        counts = np.concatenate([np.zeros(0, np.int64), *(count for _, count in parts)])
        vectors = np.zeros((len(pictures), counts.max(initial=0), self.features), dtype=np.float32)
        step = (self.high - self.low) / 255
        first = 0
        for levels, count in parts:
            there = np.arange(levels.shape[1]) < count[:, None]
            block = vectors[first : first + len(levels), : levels.shape[1]]
            block[there] = self.low + levels[there] * step
            first += len(levels)
        return vectors, counts

    def dropped(self, codes: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """Words of each caption that have a vector and are not on its picture ``(M,)`` int64.

        Those past the last place, and those that the crop at ``offsets`` cuts, wholly or in part.
        """
        codes = _checked_codes(codes, len(self.known))
        offsets, counts = self.offsets(offsets, len(codes)), self.known[codes].sum(axis=1)
        if not self.cuts:
            return np.maximum(counts - self.capacity, 0)
        seen = np.zeros(len(codes), dtype=np.int64)
        for number, place in enumerate(self.places[: counts.max(initial=0)]):
            corner = place - offsets
            inside = (corner >= 0).all(axis=1) & (corner + self.tile <= self.side).all(axis=1)
            seen += inside & (number < counts)
        return counts - seen

    def unknown(self, codes: np.ndarray) -> np.ndarray:
        """Words of each caption that have a code and no vector, so leave no tile ``(M,)`` int64."""
        codes = _checked_codes(codes, len(self.known))
        return ((codes > 0) & ~self.known[codes]).sum(axis=1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write vectors, range and sizes to one safetensors file."""
        write_tensors(
            path,
            _KIND,
            {"vectors": self.vectors, "low": self.low, "high": self.high},
            {name: getattr(self, name) for name in _LAYOUT},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextImage:
        """Read what :meth:`save` wrote. Raises DataError for anything else."""
        arrays, settings = read_tensors(path, _KIND, ("vectors", "low", "high"))
        try:
            return cls(**arrays, **{name: settings[name] for name in _LAYOUT})
        except (ConfigError, DataError, KeyError) as error:
            raise DataError(
                f"{path}: expected a text image's vectors and sizes, found {error}; save it again"
            ) from None

    def _scaled(self) -> np.ndarray:
        """The super-pixels of every word ``(d + 1, down, across, 3)`` uint8; black where there is no word."""
        share = (self.vectors - self.low) / (self.high - self.low)
        levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        levels[self.known & ~levels.any(axis=1), 0] = 1
        levels[~self.known] = 0
        rows = self.tile[0] // self.superpixel
        colours = np.zeros((len(levels), rows * self.row_tiles * CHANNELS), dtype=np.uint8)
        colours[:, : self.features] = levels
        return colours.reshape(len(levels), rows, self.row_tiles, CHANNELS)

    def _compact(self, codes: np.ndarray) -> np.ndarray:
        """Codes ``(M, W)`` of the words that are drawn, left-aligned, with 0 behind them."""
        codes = _checked_codes(codes, len(self.known))
        known = self.known[codes]
        codes = np.where(known, codes, 0)
        if (known[:, 1:] > known[:, :-1]).any():  # a gap before a word
            codes = np.take_along_axis(codes, np.argsort(~known, axis=1, kind="stable"), axis=1)
        return codes[:, : min(self.capacity, int(known.sum(axis=1).max(initial=0)))]

    def _draw(self, codes: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
        """Draw compact ``codes (B, W)`` onto the black pictures ``out (B, 3, side, side)``."""
        count, words = codes.shape
        if not words:
            return
        across = min(words, self.grid[1])
        down = -(-words // across)
        codes = np.pad(codes, ((0, 0), (0, down * across - words)))
        small = self._colours[codes.reshape(count, down, across)]  # (B, down, across, y, x, 3)
        small = small.transpose(0, 5, 1, 3, 2, 4)  # (B, 3, down, y, across, x)
        tall, wide = self.tile
        strip = np.zeros(
            (count, CHANNELS, down, tall + self.separator, across, wide + self.separator), dtype=np.uint8
        )
        lines = np.repeat(small, self.superpixel, axis=5)
        for line in range(self.superpixel):
            strip[:, :, :, line : tall : self.superpixel, :, :wide] = lines
        strip = strip.reshape(count, CHANNELS, down * (tall + self.separator), -1)
        corners = np.array(self.start) - offsets
        alike = (corners == corners[0]).all()
        for rows, corner in [(slice(None), corners[0])] if alike else enumerate(corners):
            target, source = zip(*map(self.overlap, corner, strip.shape[2:]), strict=True)
            out[rows][(..., *target)] = strip[rows][(..., *source)]

    def _levels(self, pictures: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What stands at the places of some pictures ``(B, W, features)`` uint8, and the words ``(B,)``."""
        number = np.arange(self.features // CHANNELS)
        cell = np.stack([number // self.row_tiles, number % self.row_tiles], axis=1)
        inner = cell * self.superpixel + self.superpixel // 2
        y, x = np.moveaxis((self.places[:, None] + inner) - offsets[:, None, None], -1, 0)
        found = pictures[np.arange(len(pictures))[:, None, None], :, y, x]
        levels = found.reshape(len(pictures), self.capacity, self.features)
        seen = levels.any(axis=2)
        counts = np.where(seen.any(axis=1), self.capacity - seen[:, ::-1].argmax(axis=1), 0)
        return levels[:, : counts.max(initial=0)], counts


_LAYOUT = ("side", "superpixel", "row_tiles", "separator", "start", "canvas")


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

        ``offsets`` as in :meth:`TextImage.encode`, ``(2,)`` or ``(B, 2)``. Raises DataError for an index that
        is none.
        """
        chosen = np.asarray(indices, dtype=np.int64 if not len(indices) else None)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise DataError(
                f"text pictures: expected indices (B,) of integers, found {chosen.shape} of {chosen.dtype}"
            )
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self)):
            wrong = int(chosen.min() if chosen.min() < 0 else chosen.max())
            raise DataError(f"text pictures: expected indices 0 to {len(self) - 1}, found {wrong}")
        return torch.from_numpy(self.how.encode(self.codes[chosen], offsets))


def _checked_vectors(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vectors as float32, and which rows are words that have one."""
    array = np.asarray(vectors)
    if array.ndim != 2 or not len(array) or array.dtype.kind not in "fiu":
        raise DataError(
            f"text image: expected vectors (d + 1, features), found {array.shape} of {array.dtype}; "
            "Vocabulary.matrix makes them"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError("text image: a vector holds NaN or infinity; repair the word vectors")
    if array[0].any():
        raise DataError("text image: row 0 is padding and should be zeros; Vocabulary.matrix makes it so")
    return array, array.any(axis=1)


def _checked_range(
    low: float | np.ndarray, high: float | np.ndarray, features: int
) -> tuple[np.ndarray, np.ndarray]:
    ends = [np.asarray(end, dtype=np.float64) for end in (low, high)]
    if any(end.shape not in ((), (features,)) for end in ends):
        raise DataError(
            f"text image: expected low and high as one number or {features}, found "
            f"{ends[0].shape} and {ends[1].shape}"
        )
    low, high = (np.broadcast_to(end, (features,)).copy() for end in ends)
    if not (low < high).all() or not np.isfinite(high - low).all():
        wrong = int(np.argmin((low < high) & np.isfinite(high - low)))
        raise DataError(
            f"text image: expected low below high, found {low[wrong]:g} and {high[wrong]:g} for number "
            f"{wrong + 1} of a word; take vectors in which the words differ"
        )
    return low, high


def _checked_codes(codes: np.ndarray, below: int) -> np.ndarray:
    array = np.asarray(codes)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"text image: expected codes (M, L) of integers, found {array.shape} of {array.dtype}; "
            "Vocabulary.encode makes them"
        )
    if array.size and (array.min() < 0 or array.max() >= below):
        wrong = int(array.min() if array.min() < 0 else array.max())
        raise DataError(
            f"text image: expected codes 0 to {below - 1}, as there are vectors, found {wrong}; "
            "encode with the vocabulary of the vectors"
        )
    return array.astype(np.int64, copy=False)
