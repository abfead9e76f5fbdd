"""Where the words of a text picture stand: tiles of super-pixels, in reading order on a canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imtext.errors import ConfigError

CHANNELS = 3


class Tiles:
    """Places for words on a canvas, and crops of it; the sizes of :class:`imtext.text.text_image.TextImage`.

    ``features`` numbers make a word, a multiple of three; the other sizes are explained there.

    Attributes:
        tile: pixels of a tile, (height, width).
        grid: places for words, (down, across).
        slack: the largest offset of a crop, ``canvas - side``.

    Raises:
        ConfigError: a size that makes no picture, or one in which not even one word fits.

    >>> tiles = Tiles(24)
    >>> tiles.tile, tiles.grid, tiles.capacity
    ((6, 12), (23, 14), 322)
    """

    def __init__(
        self,
        features: int,
        side: int = 227,
        superpixel: int = 3,
        row_tiles: int | None = None,
        separator: int = 4,
        start: int | Sequence[int] | None = None,
        canvas: int | None = None,
    ) -> None:
        self.features = check_features(features)
        self.side, self.superpixel = whole(side, "side", 1), whole(superpixel, "superpixel", 1)
        self.separator = whole(separator, "separator", 0)
        self.canvas = self.side if canvas is None else whole(canvas, "canvas", self.side)
        self.slack = self.canvas - self.side
        self.row_tiles, rows = _tile_form(self.features, row_tiles)
        self.tile = (rows * self.superpixel, self.row_tiles * self.superpixel)
        self.start = _margins(self.slack if start is None else start)
        self.grid = tuple(
            max(0, (self.canvas - 2 * margin + self.separator) // (size + self.separator))
            for margin, size in zip(self.start, self.tile, strict=True)
        )
        if not self.capacity:
            raise ConfigError(
                f"text image: no word fits: a tile has {self.tile[1]} x {self.tile[0]} pixels and the canvas "
                f"of {self.canvas} leaves {self.canvas - 2 * self.start[1]} x "
                f"{self.canvas - 2 * self.start[0]}; take a smaller superpixel or start, or a larger side"
            )

    @property
    def capacity(self) -> int:
        """Words that fit on one canvas."""
        return self.grid[0] * self.grid[1]

    @property
    def places(self) -> np.ndarray:
        """Top and left pixel of each place for a word, on the canvas ``(capacity, 2)`` int64."""
        number = np.arange(self.capacity)
        cell = np.stack([number // self.grid[1], number % self.grid[1]], axis=1)
        return cell * (np.array(self.tile) + self.separator) + np.array(self.start)

    @property
    def cuts(self) -> bool:
        """Whether a crop of the canvas can cut a word."""
        return min(self.start) < self.slack

    def offsets(self, offsets: np.ndarray | None, count: int) -> np.ndarray:
        """Top and left of ``count`` crops ``(count, 2)`` int64, from ``(2,)`` or one each; None: the middle.

        Raises ConfigError for others, and for a crop that is not within the canvas.

        >>> Tiles(12, side=227, canvas=256).offsets(None, 2).tolist()
        [[14, 14], [14, 14]]
        """
        if offsets is None:
            offsets = (self.slack // 2, self.slack // 2)
        array = np.asarray(offsets)
        if array.shape not in ((2,), (count, 2)) or array.dtype.kind not in "iu":
            raise ConfigError(
                f"text image: expected offsets (2,) or ({count}, 2) of integers, found {array.shape} of "
                f"{array.dtype}; give top and left of each crop"
            )
        if array.size and (array.min() < 0 or array.max() > self.slack):
            wrong = int(array.min() if array.min() < 0 else array.max())
            raise ConfigError(
                f"text image: expected offsets from 0 to {self.slack}, found {wrong}; "
                f"a crop of {self.side} pixels lies within a canvas of {self.canvas}"
            )
        return np.broadcast_to(array.astype(np.int64), (count, 2))

    def overlap(self, begin: int, length: int) -> tuple[slice, slice]:
        """Where a strip of ``length`` pixels that begins at ``begin`` lies on a picture, and what of it."""
        first, last = max(0, begin), max(0, min(self.side, begin + length))
        return slice(first, last), slice(first - begin, max(first, last) - begin)


def largest_superpixel(words: int, features: int, **layout: object) -> int:
    """The largest ``superpixel`` with which ``words`` words fit.

    A caption has about eleven words, and the sizes made for documents leave most of its picture black.
    ``layout``: what :class:`Tiles` takes besides.

    Raises ConfigError where they do not fit at all.

    >>> largest_superpixel(32, 12), largest_superpixel(32, 36), largest_superpixel(32, 12, side=96)
    (17, 9, 6)
    """
    words, found = whole(words, "words", 1), 0
    while True:
        try:
            room = Tiles(features, superpixel=found + 1, **layout).capacity
        except ConfigError:
            if not found:
                raise
            break
        if room < words:
            break
        found += 1
    if not found:
        raise ConfigError(
            f"text image: {words} words of {features} numbers do not fit, even with super-pixels of one "
            "pixel; take a smaller separator, fewer numbers or a larger side"
        )
    return found


def whole(value: object, name: str, least: int) -> int:
    """The value as an integer. Raises ConfigError for anything else, and for less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(f"text image: expected {name} as an integer of at least {least}, found {value!r}")
    return int(value)


def check_features(features: int) -> int:
    """Numbers of a word. Raises ConfigError where they make no colours."""
    if whole(features, "features", 1) % CHANNELS:
        raise ConfigError(
            f"text image: expected a multiple of 3 numbers a word, red, green and blue, found {features}; "
            "take 12, 24 or 36"
        )
    return int(features)


def _tile_form(features: int, row_tiles: int | None) -> tuple[int, int]:
    """Super-pixels of a tile, (across, down)."""
    count = features // CHANNELS
    if row_tiles is None:
        row_tiles = next(n for n in range(math.isqrt(count - 1) + 1, count + 1) if count % n == 0)
    if whole(row_tiles, "row_tiles", 1) > count:
        raise ConfigError(
            f"text image: expected row_tiles of at most {count}, as a word of {features} numbers has "
            f"{count} super-pixels, found {row_tiles}"
        )
    return int(row_tiles), -(-count // int(row_tiles))


def _margins(start: int | Sequence[int]) -> tuple[int, int]:
    both = tuple(start) if isinstance(start, (tuple, list, np.ndarray)) else (start, start)
    if len(both) != 2:
        raise ConfigError(f"text image: expected start as one integer or two, found {start!r}")
    return whole(both[0], "start", 0), whole(both[1], "start", 0)
