"""Boxes on images and phrases in captions, for datasets that have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imtext.data.rows import index_array
from imtext.errors import DataError


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes on images; R rows, a box that belongs to two chains is two rows.

    Attributes:
        boxes: ``(R, 4)`` int64, ``x1, y1, x2, y2`` in pixels of the image file, counted from 0, both ends
            inclusive (a box of one pixel has ``x1 == x2``).
        image_of_region: ``(R,)`` int64, index of the image.
        chain: ``(R,)`` int64, the coreference chain that phrases name too; 0 where there is none.

    >>> Regions(np.array([[0, 0, 9, 4]]), np.array([0]), np.array([7])).areas()
    array([50])
    """

    boxes: np.ndarray
    image_of_region: np.ndarray
    chain: np.ndarray

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes, dtype=np.int64).reshape(-1, 4)
        bad = np.flatnonzero((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1]) | (boxes < 0).any(1))
        if len(bad):
            raise DataError(
                f"box {int(bad[0])} is {boxes[bad[0]].tolist()}: expected 0 <= x1 <= x2 and 0 <= y1 <= y2; "
                "correct the box"
            )
        boxes.flags.writeable = False
        object.__setattr__(self, "boxes", boxes)
        for name in ("image_of_region", "chain"):
            array = index_array(getattr(self, name), f"Regions.{name}", len(boxes))
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.boxes)

    def areas(self) -> np.ndarray:
        """Number of pixels of each box, ``(R,)``."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2] + 1
        return sides.prod(1)


@dataclass(frozen=True, eq=False)
class Phrases:
    """Spans of captions that mention something; P rows.

    Attributes:
        caption: ``(P,)`` int64, index of the caption.
        start, stop: ``(P,)`` int64, first word and one past the last, in ``caption.split()``.
        words: the phrase as written, P strings.
        chain: ``(P,)`` int64, the coreference chain; 0 means nothing one could draw a box around.
        type: P strings, such as ``people`` or ``clothing``; several are joined by ``/``.

    >>> one = Phrases([0], [0], [2], ("A dog",), [3], ("animals",))
    >>> len(one), one.words[0]
    (1, 'A dog')
    """

    caption: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    words: tuple[str, ...]
    chain: np.ndarray
    type: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "type", tuple(self.type))
        count = len(self.words)
        if len(self.type) != count:
            raise DataError(f"Phrases.type: expected {count} entries, found {len(self.type)}; one per phrase")
        for name in ("caption", "start", "stop", "chain"):
            object.__setattr__(self, name, index_array(getattr(self, name), f"Phrases.{name}", count))
        bad = np.flatnonzero((self.start < 0) | (self.stop <= self.start))
        if len(bad):
            raise DataError(
                f"phrase {self.words[bad[0]]!r} spans words {self.start[bad[0]]} to {self.stop[bad[0]]}: "
                "expected 0 <= start < stop; correct the span"
            )

    def __len__(self) -> int:
        return len(self.words)
