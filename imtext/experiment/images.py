"""What a network reads of an image; each part builds the same thing: rows of all splits, and of new pictures.

What is built has ``dim``, the length of a row, and ``digest``, of the weights behind it; ``train()``, the
images of training batches; ``test(split)``, rows ``(N, dim)``, or pixels ``(N, 3, S, S)``, in the order of
the split; ``read(pictures)``, rows of new pictures; ``cached(split)``, which fills the cache on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from imtext.data.images import ImageStore, as_square, decode
from imtext.data.precomp import needs_pictures
from imtext.data.transforms import centre, normalise
from imtext.errors import RunError
from imtext.experiment.source import Lazy, Source
from imtext.training import CachedFeatures
from imtext.vision.backbones import Backbone, load_backbone
from imtext.vision.stage_features import (
    StageFeatures,
    extract_stage_features,
    pool_stages,
    rich_image_features,
    variant_dim,
)

BLOCK = 4096
PEOPLE = {"efficientnet_lite": "EfficientNet-Lite", "resnet": "ResNet-", "vgg": "VGG-"}


@dataclass(frozen=True)
class Pooled:
    """Maps of an image CNN that is not trained, pooled to one vector of length 1.

    Attributes:
        backbone, weights: as for :func:`imtext.vision.backbones.load_backbone`.
        size: side of the stored picture; crop: side of what the CNN sees.
        views: cached augmented views of each training image.
        maps: which maps are pooled how, as for :func:`imtext.vision.stage_features.rich_parts`.
        fit: how a picture becomes square, as for :func:`imtext.data.images.decode`.
    """

    backbone: str = "resnet152"
    size: int = 256
    crop: int = 224
    views: int = 10
    maps: str = "avg-4"
    fit: str = "cover"
    weights: str = "imagenet"

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> Pooled("efficientnet_lite1").said, Pooled("vgg19").said
        ('EfficientNet-Lite1, frozen', 'VGG-19, frozen')
        """
        name = self.backbone
        for key, people in PEOPLE.items():
            name = name.replace(key, people)
        return f"{name}, frozen"

    def build(self, source: Source) -> PooledImages:
        """The rows of a dataset."""
        return PooledImages(self, source)


class PooledImages:
    """Pooled maps, computed once and kept on disk."""

    def __init__(self, part: Pooled, source: Source) -> None:
        self.part, self.source = part, source
        self._kept: dict[str, StageFeatures] = {}

    @cached_property
    def backbone(self) -> Backbone:
        """The image CNN."""
        return load_backbone(self.part.backbone, self.part.weights)

    @cached_property
    def digest(self) -> str:
        """Of the weights of the CNN."""
        return str(self.backbone.weights_digest)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return variant_dim(self.part.maps, self.backbone.stage_dims)

    def cached(self, split: str) -> StageFeatures:
        """Pooled maps of a split: one file for all choices of ``maps``."""
        if split not in self._kept:
            part, source, train = self.part, self.source, split == "train"
            pixels = ImageStore.open(source.splits[split], part.size, source.cache / "pixels", fit=part.fit)
            self._kept[split] = extract_stage_features(
                self.backbone,
                pixels,
                source.cache / "features",
                crop=part.crop,
                views=part.views if train else 0,
                evaluation=not train,
                seed=source.data.seed,
                device=source.places.device,
                precision=source.precision,
            )
        return self._kept[split]

    def train(self) -> CachedFeatures:
        """Training images: a random view of each."""
        return CachedFeatures(rich_image_features(self.cached("train"), self.part.maps).train)

    def test(self, split: str) -> np.ndarray:
        """Rows of the centre crops ``(N, dim)``."""
        return rich_image_features(self.cached(split), self.part.maps).eval[0]

    @torch.no_grad()
    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Rows of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        part, cnn = self.part, self._fused
        pixels = torch.stack([torch.as_tensor(_square(one, part)) for one in pictures])
        pixels = normalise(centre(pixels, part.crop), cnn.mean, cnn.std).to(self.source.places.device)
        maps = pool_stages(cnn.stages(pixels))
        return rich_image_features(maps, part.maps, cnn.stage_dims).cpu().numpy()

    @cached_property
    def _fused(self) -> Backbone:
        """The CNN as the cache was filled with it: batch norms folded into the convolutions."""
        return self.backbone.fused().to(self.source.places.device)


def _square(picture: Any, part: Pooled | Pictures) -> np.ndarray:
    if isinstance(picture, torch.Tensor):
        picture = Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())
    if isinstance(picture, Image.Image):
        return as_square(picture.convert("RGB"), part.size, part.fit)
    return decode(picture, part.size, part.fit)


@dataclass(frozen=True)
class Pictures:
    """Photographs as pixels, for a network that is trained on them.

    Attributes:
        size: side in pixels.
        fit: how a picture becomes square, as for :func:`imtext.data.images.decode`.
    """

    size: int = 227
    fit: str = "cover"
    said = ""

    def build(self, source: Source) -> PixelImages:
        """The pixels of a dataset."""
        return PixelImages(self, source)


class PixelImages:
    """Pixels, uint8, decoded once and kept on disk."""

    digest = ""

    def __init__(self, part: Pictures, source: Source) -> None:
        self.part, self.source = part, source

    @property
    def dim(self) -> int:
        """Numbers of a picture."""
        return 3 * self.part.size**2

    def cached(self, split: str) -> ImageStore:
        """The pictures of a split; DataError where the dataset brings features in their place."""
        dataset, cache = needs_pictures(self.source.splits[split]), self.source.cache / "pixels"
        return ImageStore.open(dataset, self.part.size, cache, fit=self.part.fit)

    def train(self) -> ImageStore:
        """Training images."""
        return self.cached("train")

    def test(self, split: str) -> Lazy:
        """Pictures ``(N, 3, S, S)``, read some at a time."""
        store = self.cached(split)
        return Lazy(store.batch, len(store))

    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Pixels of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        return np.stack([_square(one, self.part) for one in pictures])


@dataclass(frozen=True)
class Given:
    """Features that a dataset brings itself: one vector an image, or the mean of its regions."""

    size = 0  # there are no pictures
    said = "features of the dataset"

    def build(self, source: Source) -> GivenImages:
        """The rows of a dataset."""
        return GivenImages(source)


class GivenImages:
    """A dataset's own features, as rows of length 1."""

    digest = ""

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.source.dataset.features.shape[-1])

    def cached(self, split: str) -> None:
        """They lie on disk as they are."""

    def train(self) -> CachedFeatures:
        """Training images."""
        return CachedFeatures(self.test("train")[None])

    def test(self, split: str) -> np.ndarray:
        """Rows ``(N, dim)``."""
        dataset = self.source.splits[split]
        blocks = np.array_split(np.arange(dataset.n_images), -(-dataset.n_images // BLOCK))
        parts = (dataset.features[block] for block in blocks)
        rows = np.concatenate([part.mean(1) if part.ndim == 3 else part for part in parts])
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def read(self, pictures: Sequence[str | Path]) -> np.ndarray:
        """New pictures have no such features."""
        raise RunError(
            f"the run was trained on the precomputed features of {self.source.data.dataset}, which new "
            "pictures do not have; take a run that was trained on pictures"
        )
