"""What a network reads of an image; each part builds the same thing: rows of all splits, and of new pictures.

What is built has ``dim``, the length of a row, and ``digest``, of the weights behind it; ``train()``, the
images of training batches; ``test(split)``, rows ``(N, dim)``, regions ``(N, R, dim)`` or pixels
``(N, 3, S, S)``, in the order of the split; ``read(pictures)``, the same of new pictures; ``cached(split)``,
which fills the cache on disk; ``tuned()``, the image CNN that a network is to train, or None; ``rows()``,
training rows as an array, ``pairs(seed)`` with the captions they match; ``evaluate(...)``, of a split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from imtext.errors import DataError, RunError
from imtext.experiment.compute import Metrics, evaluate_split, unit
from imtext.experiment.source import Lazy, Source
from imtext.retrieval import evaluate
from imtext.runs import Run
from imtext.training import CachedFeatures, Pixels
from imtext.vision.backbones import Backbone, load_backbone
from imtext.vision.features import Features, extract_features
from imtext.vision.frozen import frozen_norm
from imtext.vision.grid_features import GridFeatures, extract_grid_features, grid_cells
from imtext.vision.stage_features import (
    StageFeatures,
    extract_stage_features,
    pool_stages,
    rich_image_features,
    variant_dim,
)
from imtext.vision.ten_crop import crop_views, extract_ten_crop

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
        return f"{people(self.backbone)}, frozen" + f", {self.maps}" * (self.maps != "avg-4")

    @property
    def given(self) -> Given:
        """What takes its place where a dataset brings features in the place of pictures."""
        return Given()

    def build(self, source: Source) -> PooledImages:
        """The rows of a dataset."""
        return PooledImages(self, source)


def people(backbone: str) -> str:
    """Name of an image CNN, for people.

    >>> people("resnet152")
    'ResNet-152'
    """
    for key, shown in PEOPLE.items():
        backbone = backbone.replace(key, shown)
    return backbone


class Images:
    """What the images of a network have in common where nothing of an image CNN is trained."""

    block = 256  # images that a network takes at a time
    trains_cnn = False

    def __init__(self, part: Any, source: Source) -> None:
        self.part, self.source = part, source

    def tuned(self) -> Backbone | None:
        """The image CNN that a network is to train."""
        return None

    def training(self, net: Any) -> AbstractContextManager[None]:
        """Surrounds the training of a network."""
        return nullcontext()

    def rows(self) -> Any:
        """Training rows ``(N, dim)``, one each."""
        return self.test("train")

    def pairs(self, seed: int) -> np.ndarray:
        """Training pairs ``(P, 2)`` of image and caption."""
        owners = self.source.splits["train"].image_of_caption
        return np.stack([owners, np.arange(len(owners))], axis=1)

    def score(self, split: str) -> Callable[..., float]:
        """R-sum of a split as a function of embeddings ``(N, D)`` and ``(M, D)``."""
        owners = self.source.splits[split].image_of_caption
        return lambda images, captions: evaluate(images, captions, owners).rsum

    def evaluate(self, split: str, images: np.ndarray, captions: np.ndarray, run: Run) -> Metrics:
        """Keep embeddings ``(N, D)``, ``(M, D)`` of a split and what comes of them in a run."""
        return evaluate_split(self.source.splits[split], split, images, captions, run)

    def pixels(self, split: str) -> ImageStore:
        """The pictures of a split; DataError where the dataset brings features in their place."""
        dataset, cache = needs_pictures(self.source.splits[split]), self.source.cache / "pixels"
        return ImageStore.open(dataset, self.part.size, cache, fit=self.part.fit)


class OfCNN(Images):
    """Images as an image CNN sees them."""

    def __init__(self, part: Any, source: Source) -> None:
        super().__init__(part, source)
        self._kept: dict[str, Any] = {}

    @cached_property
    def backbone(self) -> Backbone:
        """The image CNN."""
        return load_backbone(self.part.backbone, self.part.weights)

    @cached_property
    def digest(self) -> str:
        """Of the weights of the CNN."""
        return str(self.backbone.weights_digest)

    @cached_property
    def _fused(self) -> Backbone:
        """The CNN as the cache was filled with it: batch norms folded into the convolutions."""
        return self.backbone.fused().to(self.source.places.device)

    def _keep(self, split: str, extract: Any, **options: Any) -> Any:
        """Features of a split, those of training in several views."""
        if split not in self._kept:
            part, source, train = self.part, self.source, split == "train"
            self._kept[split] = extract(
                self.backbone,
                self.pixels(split),
                source.cache / "features",
                crop=part.crop,
                views=part.views if train else 0,
                evaluation=not train,
                seed=source.data.seed,
                device=source.places.device,
                precision=source.precision,
                **options,
            )
        return self._kept[split]

    def _squares(self, pictures: Sequence[Any]) -> torch.Tensor:
        """Pictures as they are stored, uint8 ``(P, 3, S, S)``."""
        return torch.stack([torch.as_tensor(_square(one, self.part)) for one in pictures])

    def _crops(self, pictures: Sequence[Any]) -> torch.Tensor:
        """Centre crops ``(P, 3, S, S)`` of pictures, as the CNN takes them."""
        return normalise(
            centre(self._squares(pictures), self.part.crop), self.backbone.mean, self.backbone.std
        )


class PooledImages(OfCNN):
    """Pooled maps, computed once and kept on disk."""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return variant_dim(self.part.maps, self.backbone.stage_dims)

    def cached(self, split: str) -> StageFeatures:
        """Pooled maps of a split: one file for all choices of ``maps``."""
        return self._keep(split, extract_stage_features)

    def train(self) -> CachedFeatures:
        """Training images: a random view of each."""
        return CachedFeatures(rich_image_features(self.cached("train"), self.part.maps).train)

    def test(self, split: str) -> np.ndarray:
        """Rows of the centre crops ``(N, dim)``."""
        return rich_image_features(self.cached(split), self.part.maps).eval[0]

    @torch.no_grad()
    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Rows of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        cnn = self._fused
        maps = pool_stages(cnn.stages(self._crops(pictures).to(self.source.places.device)))
        return rich_image_features(maps, self.part.maps, cnn.stage_dims).cpu().numpy()


@dataclass(frozen=True)
class Averaged:
    """The mean feature of several crops of a picture by an image CNN that is not trained, of length 1.

    Attributes:
        backbone, size, crop, fit, weights: as for :class:`Pooled`.
        crops: 10, or fewer, as for :func:`imtext.vision.ten_crop.extract_ten_crop`.
    """

    backbone: str = "vgg19"
    size: int = 256
    crop: int = 224
    crops: int = 10
    fit: str = "cover"
    weights: str = "imagenet"

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"{people(self.backbone)}, frozen"

    @property
    def given(self) -> Given:
        """What takes its place where a dataset brings features in the place of pictures."""
        return Given()

    def build(self, source: Source) -> AveragedImages:
        """The rows of a dataset."""
        return AveragedImages(self, source)


class AveragedImages(OfCNN):
    """Mean features, computed once and kept on disk."""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.backbone.dim

    def cached(self, split: str) -> np.ndarray:
        """Mean features of a split, as the CNN gives them."""
        if split not in self._kept:
            part, source = self.part, self.source
            self._kept[split] = extract_ten_crop(
                self.backbone,
                self.pixels(split),
                source.cache / "features",
                crop=part.crop,
                crops=part.crops,
                device=source.places.device,
                precision=source.precision,
            )
        return self._kept[split]

    def test(self, split: str) -> np.ndarray:
        """Rows ``(N, dim)``."""
        return unit(self.cached(split))

    @torch.no_grad()
    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Rows of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        views = _views(self._squares(pictures), self.part.crop, self.part.crops, self.backbone)
        device = self.source.places.device
        return unit(sum(self._fused(view.to(device)) for view in views.unbind(1)).cpu().numpy())


def _views(pixels: torch.Tensor, crop: int, crops: int, cnn: Backbone) -> torch.Tensor:
    """Crops ``(B, crops, 3, S, S)`` of pixels ``(B, 3, H, W)``, as the CNN takes them."""
    return torch.stack([normalise(view, cnn.mean, cnn.std) for view in crop_views(pixels, crop, crops)], 1)


@dataclass(frozen=True)
class Mirrored:
    """Features of a picture and of its mirror image by an image CNN that is not trained.

    Attributes:
        backbone, size, crop, views, fit, weights: as for :class:`Pooled`.
    """

    backbone: str = "resnet50"
    size: int = 256
    crop: int = 224
    views: int = 8
    fit: str = "cover"
    weights: str = "imagenet"

    @property
    def said(self) -> str:
        """What ran, for people."""
        return people(self.backbone)

    def build(self, source: Source) -> MirroredImages:
        """The rows of a dataset."""
        return MirroredImages(self, source)


class MirroredImages(OfCNN):
    """Features, computed once and kept on disk."""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.backbone.dim

    def cached(self, split: str) -> Features:
        """Features of a split."""
        return self._keep(split, extract_features)

    def train(self) -> CachedFeatures:
        """Training images: a random view of each."""
        return CachedFeatures(self.cached("train").train)

    def test(self, split: str) -> np.ndarray:
        """Rows ``(N, 2, dim)`` of the pictures and their mirror images."""
        return self.cached(split).eval.swapaxes(0, 1)

    @torch.no_grad()
    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Rows of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        views = _views(self._squares(pictures), self.part.crop, 2, self.backbone)
        device = self.source.places.device
        return torch.stack([self._fused(view.to(device)) for view in views.unbind(1)], 1).cpu().numpy()


@dataclass(frozen=True)
class Grid:
    """Cells of a map of an image CNN that is not trained, in the place of a detector's regions.

    Attributes:
        backbone, size, crop, views, fit, weights: as for :class:`Pooled`.
        stage, grid: as for :func:`imtext.vision.grid_features.extract_grid_features`.
    """

    backbone: str = "resnet152"
    size: int = 256
    crop: int = 224
    views: int = 10
    stage: str = "C4"
    grid: int | None = None
    fit: str = "cover"
    weights: str = "imagenet"

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"{people(self.backbone)}, frozen, cells of {self.stage}"

    @property
    def given(self) -> Given:
        """What takes its place where a dataset brings features in the place of pictures."""
        return Given(regions=True)

    def build(self, source: Source) -> GridImages:
        """The regions of a dataset."""
        return GridImages(self, source)


class GridImages(OfCNN):
    """Cells of a map, computed once and kept on disk."""

    @property
    def dim(self) -> int:
        """Length of a region."""
        return int(self.backbone.stage_dims[self.part.stage])

    def cached(self, split: str) -> GridFeatures:
        """Cells of a split, with their boxes."""
        return self._keep(split, extract_grid_features, stage=self.part.stage, grid=self.part.grid)

    def train(self) -> CachedFeatures:
        """Training images: a random view of each."""
        return CachedFeatures(self.cached("train").train)

    def test(self, split: str) -> np.ndarray:
        """Regions of the centre crops ``(N, R, dim)``."""
        return self.cached(split).regions

    @torch.no_grad()
    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Regions of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        maps = self._fused.stages(self._crops(pictures).to(self.source.places.device))
        return grid_cells(maps[self.part.stage], self.part.grid).cpu().numpy()


@dataclass(frozen=True)
class Crops:
    """Random crops and mirror images of pictures, for an image CNN that is trained with the network.

    Attributes:
        backbone, size, crop, fit, weights: as for :class:`Pooled`.
        crops: of a picture to embed, as for :class:`Averaged`.
        fixed_norm: the batch norms of the CNN keep their ImageNet statistics.
    """

    backbone: str = "resnet152"
    size: int = 256
    crop: int = 224
    crops: int = 1
    fixed_norm: bool = True
    fit: str = "cover"
    weights: str = "imagenet"

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"{people(self.backbone)}, fine-tuned"

    @staticmethod
    def fits(dataset: str) -> bool:
        """Whether a dataset has pictures."""
        return not dataset.endswith("precomp")

    def build(self, source: Source) -> CropImages:
        """The crops of a dataset."""
        return CropImages(self, source)


class CropImages(OfCNN):
    """Crops of stored pixels, normalised."""

    trains_cnn = True

    @property
    def block(self) -> int:
        """Images that a network takes at a time."""
        return max(1, 32 // self.part.crops)

    @property
    def dim(self) -> int:
        """Length of what the CNN makes of a picture."""
        return self.backbone.dim

    def cached(self, split: str) -> ImageStore:
        """The pictures of a split."""
        return self.pixels(split)

    def tuned(self) -> Backbone:
        """A copy of the CNN, to be trained."""
        return load_backbone(self.part.backbone, self.part.weights)

    def training(self, net: Any) -> AbstractContextManager[None]:
        """Keeps the statistics of the CNN's batch norms, if that is asked for."""
        return frozen_norm(net.backbone) if self.part.fixed_norm else nullcontext()

    def train(self) -> Pixels:
        """Training images: a random crop of each, mirrored half of the time."""
        return Pixels(self.pixels("train"), self.part.crop, self.backbone.mean, self.backbone.std)

    def test(self, split: str) -> Lazy:
        """Crops ``(N, crops, 3, S, S)``, read some at a time."""
        store, part = self.pixels(split), self.part
        return Lazy(lambda rows: _views(store.batch(rows), part.crop, part.crops, self.backbone), len(store))

    def rows(self) -> np.ndarray:
        """The number of each training image in the place of a row: batches read its pixels."""
        return np.arange(self.source.splits["train"].n_images)[:, None]

    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """Crops of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        return _views(self._squares(pictures), self.part.crop, self.part.crops, self.backbone).numpy()


def _square(picture: Any, part: Any) -> np.ndarray:
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


class PixelImages(Images):
    """Pixels, uint8, decoded once and kept on disk."""

    digest = ""

    @property
    def dim(self) -> int:
        """Numbers of a picture."""
        return 3 * self.part.size**2

    def cached(self, split: str) -> ImageStore:
        """The pictures of a split."""
        return self.pixels(split)

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
    """Features that a dataset brings itself: one vector an image, or regions.

    Attributes:
        regions: all regions of an image; else their mean, of length 1.
        maps: as for :class:`Pooled`. There are no maps but ``"avg-4"``: a study leaves other rows out.
    """

    regions: bool = False
    maps: str = "avg-4"
    size = 0  # there are no pictures
    said = "features of the dataset"

    def fits(self, dataset: str) -> bool:
        """Whether a dataset's features can be read so."""
        return self.maps == Given.maps

    def build(self, source: Source) -> GivenImages:
        """The rows of a dataset."""
        return GivenImages(self, source)


class GivenImages(Images):
    """A dataset's own features."""

    digest = ""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.source.dataset.features.shape[-1])

    def cached(self, split: str) -> None:
        """They lie on disk as they are."""

    def train(self) -> CachedFeatures | Regions:
        """Training images."""
        return (
            Regions(self._regions("train")) if self.part.regions else CachedFeatures(self.test("train")[None])
        )

    def test(self, split: str) -> np.ndarray | Lazy:
        """Rows ``(N, dim)`` of length 1, or regions ``(N, R, dim)``."""
        if self.part.regions:
            regions = self._regions(split)
            return Lazy(lambda rows: torch.from_numpy(regions[rows]), len(regions))
        dataset = self.source.splits[split]
        blocks = np.array_split(np.arange(dataset.n_images), -(-dataset.n_images // BLOCK))
        parts = (dataset.features[block] for block in blocks)
        return unit(np.concatenate([part.mean(1) if part.ndim == 3 else part for part in parts]))

    def read(self, pictures: Sequence[str | Path]) -> np.ndarray:
        """New pictures have no such features."""
        raise RunError(
            f"the run was trained on the precomputed features of {self.source.data.dataset}, which new "
            "pictures do not have; take a run that was trained on pictures"
        )

    def _regions(self, split: str) -> Any:
        dataset = self.source.splits[split]
        if len(dataset.features.shape) != 3:
            raise DataError(
                f"{dataset.name}: attention needs regions (images, regions, numbers), found one vector an "
                "image; ask for the tables without attention, or take features with regions"
            )
        return dataset.features


class Regions:
    """Regions that a dataset brings, read batch by batch."""

    def __init__(self, features: Any) -> None:
        self.features = features

    def take(self, indices: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """Regions ``(B, R, dim)``."""
        return torch.from_numpy(self.features[indices])
