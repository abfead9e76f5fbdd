"""What the rows of the single-network paper read: photographs, and captions drawn as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from torch import Tensor

from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.text.small_vectors import small_vectors
from imtext.text.text_image import TextImage, TextPictures
from imtext.text.tiles import largest_superpixel
from imtext.text.vocabulary import Vocabulary

BLOCK, LENGTH = 64, 64


@dataclass(frozen=True)
class TextSpec:
    """How a caption becomes a picture.

    Attributes:
        features: numbers of a word: 12, 24 or 36.
        source: ``"word2vec"``, trained on the training captions, or ``"vectors"``, those of the data,
            reduced to so many numbers on the training words.
        each: each number of a vector is drawn over its own range, instead of one range for all.
        superpixel: pixels of a super-pixel's side; None takes the largest with which ``words`` fit.
        separator: black pixels between words.
        words: words that a picture is to hold; later ones are dropped and counted.
        slack: pixels by which the canvas is larger than a picture, so that it has several crops.
    """

    features: int = 12
    source: str = "word2vec"
    each: bool = False
    superpixel: int | None = None
    separator: int = 4
    words: int = 32
    slack: int = 29


class SingleData:
    """Pictures of both modalities; made when first asked for.

    Args:
        prepared: the data; spec: how captions are drawn.
    """

    def __init__(self, prepared: Prepared, spec: TextSpec) -> None:
        self.prepared, self.spec = prepared, spec

    @cached_property
    def _drawn(self) -> tuple[Vocabulary, TextImage]:
        captions = self.prepared.splits["train"].captions
        source = "word2vec" if self.spec.source == "word2vec" else self.prepared.vectors
        vectors = small_vectors(captions, self.spec.features, source, self.prepared.spec.seed)
        vocabulary = Vocabulary.build(captions, vectors)
        side = self.prepared.spec.crop
        layout = {"side": side, "canvas": side + self.spec.slack, "separator": self.spec.separator}
        pixels = self.spec.superpixel or largest_superpixel(self.spec.words, self.spec.features, **layout)
        return vocabulary, TextImage.fit(
            vocabulary.matrix(vectors), each=self.spec.each, superpixel=pixels, **layout
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """Training words that have a vector."""
        return self._drawn[0]

    @property
    def drawing(self) -> TextImage:
        """How captions are drawn: vectors, their range, sizes; all of it from the training captions."""
        return self._drawn[1]

    def codes(self, split: str) -> np.ndarray:
        """Codes ``(M, L)`` of the captions of a split, cut at 64 words."""
        return self.vocabulary.encode(self.prepared.splits[split].captions, LENGTH)[0]

    def texts(self, split: str) -> TextPictures:
        """The captions of a split, drawn as they are asked for."""
        return self.drawing.lazy(self.codes(split))

    def dropped(self, split: str) -> np.ndarray:
        """Words of each caption past the last place ``(M,)``."""
        return self.drawing.dropped(self.codes(split))

    def image_blocks(self, split: str) -> Iterator[Tensor]:
        """The photographs of a split, uint8, some at a time."""
        store = self.prepared.store(split)
        for begin in range(0, len(store), BLOCK):
            yield store.batch(np.arange(begin, min(begin + BLOCK, len(store))))

    def text_blocks(self, split: str) -> Iterator[Tensor]:
        """The drawn captions of a split, uint8, some at a time."""
        texts = self.texts(split)
        for begin in range(0, len(texts), BLOCK):
            yield texts.take(np.arange(begin, min(begin + BLOCK, len(texts))))


@lru_cache(maxsize=4)
def single_data(data: DataSpec, spec: TextSpec, device: str = "cpu") -> SingleData:
    """The inputs of a spec, one copy per process."""
    return SingleData(prepare(data, device), spec)
