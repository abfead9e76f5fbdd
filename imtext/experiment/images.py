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
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from imtext.data.decoding import in_threads
from imtext.data.images import ImageStore
from imtext.data.precomp import needs_pictures
from imtext.data.transforms import normalise
from imtext.errors import DataError, RunError
from imtext.experiment.compute import Metrics, evaluate_split
from imtext.experiment.source import Reading, SideBySide, Source
from imtext.retrieval import evaluate
from imtext.runs import Run
from imtext.vision.backbones import Backbone, frozen_norm, load_backbone, title
from imtext.vision.features import Features, Reader, cells, crop_views, extract, pooled, stages, ten_crop
from imtext.vision.reading import CachedFeatures, Lazy, Pixels, square, unit
from imtext.vision.rich import rich_image_features, variant_dim


class Images:
    """Images as pixels, uint8, decoded once and kept on disk."""

    block = 256  # images that a network takes at a time
    trains_cnn = False
    digest = ""
    dim = 0  # no network asks for the length of a row of pixels

    def __init__(self, part: Any, source: Source) -> None:
        self.part, self.source = part, source
        self._kept: dict[Any, Any] = {}

    def pixels(self, split: str) -> ImageStore:
        """The pictures of a split; DataError where the dataset brings features in their place."""
        dataset, cache = needs_pictures(self.source.splits[split]), self.source.cache / "pixels"
        side = (split == "train" and self.part.stored) or self.part.size
        return ImageStore.open(dataset, side, cache, fit=self.part.fit)

    def cached(self, split: str) -> Any:
        """What is kept on disk of a split."""
        if split not in self._kept:
            folder = self.source.cache / "features"
            self._kept[split] = self._extracted(self.pixels(split), folder, split == "train")
        return self._kept[split]

    def _extracted(self, store: ImageStore, folder: Path, training: bool = False) -> Any:
        """What is kept of pictures; some of them have it in a folder."""
        return store

    def _rows(self, kept: Any) -> Any:
        """What a network takes, of what is kept."""
        return Lazy(kept.batch, len(kept))

    def train(self) -> Any:
        """Training images."""
        return self.cached("train")

    def test(self, split: str) -> Any:
        """What a network takes of a split."""
        return self._rows(self.cached(split))

    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """The same of pictures: files, pictures of Pillow, or uint8 tensors ``(3, H, W)``."""
        size, fit = self.part.size, self.part.fit
        squares = in_threads(lambda i: square(pictures[i], size, fit), len(pictures), None, "decoding")
        with TemporaryDirectory() as folder:
            kept = self._extracted(ImageStore(np.stack(list(squares)), self.part.size, ""), Path(folder))
            return np.array(self._rows(kept)[:])

    def tuned(self) -> Backbone | None:
        """A copy of the image CNN, for a network that is to train it."""
        return load_backbone(self.part.backbone, self.part.weights) if self.trains_cnn else None

    def training(self, net: Any) -> AbstractContextManager[None]:
        """Surrounds the training of a network: batch norms of the CNN keep their statistics, if asked for."""
        return frozen_norm(net.backbone) if self.trains_cnn and self.part.fixed_norm else nullcontext()

    def rows(self) -> Any:
        """Training rows ``(N, dim)``, one each."""
        return self.test("train")

    def pairs(self, seed: int) -> np.ndarray:
        """Training pairs ``(P, 2)`` of image and caption."""
        owners = self.source.splits["train"].image_of_caption
        return np.stack([owners, np.arange(len(owners))], axis=1)

    def score(self, split: str) -> Callable[..., float]:
        """R-sum of a split as a function of embeddings ``(N, D)`` and ``(M, D)``."""
        data = self.source.splits[split]
        of, groups = data.image_of_caption, data.group_of_image
        return lambda images, captions: evaluate(images, captions, of, group_of_image=groups).rsum

    def evaluate(self, split: str, found: dict[str, Any], run: Run) -> Metrics:
        """Keep the answers of a network to a split and what comes of them in a run."""
        return evaluate_split(self.source.splits[split], split, found, run)


class OfCNN(Images):
    """Images as an image CNN sees them."""

    @cached_property
    def backbone(self) -> Backbone:
        """The image CNN."""
        return load_backbone(self.part.backbone, self.part.weights)

    @cached_property
    def digest(self) -> str:
        """Of the weights of the CNN."""
        return self.backbone.weights_digest

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.part.dim(self.backbone)


class FrozenImages(OfCNN):
    """Features, computed once and kept on disk, those of training in several views."""

    def _extracted(self, store: ImageStore, folder: Path, training: bool = False) -> Any:
        part, source = self.part, self.source
        views = part.views * training
        what = part.reader, part.crop, views, part.mirror, source.data.seed
        how = source.places.device, source.precision
        return extract(self.backbone, store, folder, *what, *how, evaluation=not views)

    def _rows(self, kept: Features) -> np.ndarray:
        return self.part.rows(kept, self.backbone)

    def train(self) -> CachedFeatures:
        """Training images: a random view of each."""
        views = self.part.training(self.cached("train"), self.backbone)
        return CachedFeatures(views, self.source.places.device)


class CropImages(OfCNN):
    """Crops of stored pixels ``(N, crops, 3, S, S)``, normalised."""

    trains_cnn = True

    @property
    def block(self) -> int:
        """Images that a network takes at a time."""
        return max(1, 32 // self.part.crops)

    def _rows(self, kept: ImageStore) -> Lazy:
        return Lazy(lambda rows: self._crops(kept.batch(rows)), len(kept))

    def _crops(self, pixels: torch.Tensor) -> torch.Tensor:
        cnn, views = self.backbone, crop_views(pixels, self.part.crop, self.part.crops)
        return torch.stack([normalise(view, cnn.mean, cnn.std) for view in views], 1)

    def train(self) -> Pixels:
        """Training images: a random crop of each, mirrored half of the time."""
        return Pixels(self.cached("train"), self.part.crop, self.backbone, self.source.places.device)

    def rows(self) -> np.ndarray:
        """The number of each training image in the place of a row: batches read its pixels."""
        return np.arange(self.source.splits["train"].n_images)[:, None]


class GivenImages(Images):
    """A dataset's own features."""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.source.dataset.features.shape[-1])

    def cached(self, split: str) -> None:
        """They lie on disk as they are."""

    def train(self) -> CachedFeatures | Lazy:
        """Training images."""
        rows = self.test("train")
        return rows if self.part.regions else CachedFeatures(rows[None])

    def test(self, split: str) -> np.ndarray | Lazy:
        """Rows ``(N, dim)`` of length 1, or regions ``(N, R, dim)``."""
        dataset = self.source.splits[split]
        features, count = dataset.features, dataset.n_images
        if not self.part.regions:
            return unit(np.stack([features[[i]].reshape(-1, self.dim).mean(0) for i in range(count)]))
        if len(features.shape) != 3:
            why = "attention needs regions, found one vector an image"
            raise DataError(f"{dataset.name}: {why}; ask for the tables without attention")
        return Lazy(lambda rows: torch.from_numpy(features[rows]), count)

    def read(self, pictures: Sequence[Any]) -> np.ndarray:
        """New pictures have no such features."""
        given = f"the precomputed features of {self.source.data.dataset}, which new images do not have"
        raise RunError(f"the run was trained on {given}; take a run that was trained on images")


class ImagesBeside(SideBySide, Images):
    """Features by several image CNNs, side by side."""

    @property
    def dim(self) -> int:
        """Length of a row."""
        return sum(part.dim for part in self.parts)

    @property
    def digest(self) -> str:
        """Of the weights of all CNNs."""
        return " ".join(part.digest for part in self.parts)

    def cached(self, split: str) -> list[Any]:
        """What is kept on disk of a split."""
        return [part.cached(split) for part in self.parts]

    def train(self) -> CachedFeatures:
        """Training images; all parts show the same view of one."""
        views = np.concatenate([part.train().views for part in self.parts], axis=2)
        return CachedFeatures(views, self.source.places.device)


Images.beside = ImagesBeside


class Given(Reading):
    """Features that a dataset brings itself: one vector an image, or regions.

    Attributes:
        regions: all regions of an image; else their mean, of length 1.
        maps: as for :class:`Pooled`. There are no maps but ``"avg-4"``: a study leaves other rows out.
    """

    regions: bool = False
    maps: str = "avg-4"
    size = 0  # there are no pictures
    said = "features of the dataset"
    built = GivenImages

    def fits(self, dataset: str) -> bool:
        """Whether a dataset's features can be read so."""
        return self.maps == Given.maps


class Pictures(Reading):
    """Photographs as pixels, for a network that is trained on them.

    Attributes:
        size: side in pixels.
        fit: how a picture becomes square, as for :func:`imtext.data.images.decode`.
        stored: side of training pictures, of which the network takes random crops; None: whole pictures.
    """

    size: int = 227
    fit: str = "cover"
    stored: int | None = None
    built = Images


class WithCNN(Reading):
    """Pictures and the image CNN that sees them; a subclass says what becomes of them.

    Where it has ``given``, that takes its place where a dataset brings features in the place of pictures.

    Attributes:
        backbone, weights: as for :func:`imtext.vision.backbones.load_backbone`.
        size: side of the stored picture; crop: side of what the CNN sees.
        fit: how a picture becomes square, as for :func:`imtext.data.images.decode`.
    """

    backbone: str = "resnet152"
    size: int = 256
    crop: int = 224
    fit: str = "cover"
    weights: str = "imagenet"
    fate = ", frozen"
    built = FrozenImages
    views = 0  # where training takes the rows of the pictures
    mirror = False  # whether the mirror image of a picture is read too
    reader = pooled

    @property
    def said(self) -> str:
        """What ran, for people."""
        return title(self.backbone) + self.fate.format(**vars(self))

    def dim(self, cnn: Backbone) -> int:
        """Length of a row."""
        return cnn.dim

    def chosen(self, kept: np.ndarray, cnn: Backbone) -> np.ndarray:
        """Of what is kept on disk, what a network reads."""
        return kept

    def rows(self, kept: Features, cnn: Backbone) -> np.ndarray:
        """Rows of pictures, not of views for training."""
        return self.chosen(kept.eval[0], cnn)

    def training(self, kept: Features, cnn: Backbone) -> np.ndarray:
        """Views for training ``(V, N, dim)``."""
        return self.chosen(kept.train, cnn) if self.views else self.rows(kept, cnn)[None]


class Pooled(WithCNN):
    """Maps of an image CNN that is not trained, pooled to one vector of length 1.

    Attributes:
        views: cached augmented views of each training image; 0 reads it as a test image: the mean of the
            picture and its mirror image.
        maps: which maps are pooled how, as for :func:`imtext.vision.rich.rich_parts`.
    """

    views: int = 10
    maps: str = "avg-4"
    given = Given()
    reader = stages

    @property
    def mirror(self) -> bool:
        """Whether the mirror image of a picture is read too."""
        return not self.views

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> Pooled("efficientnet_lite1").said, Pooled("vgg19").said
        ('EfficientNet-Lite1, frozen', 'VGG-19, frozen')
        """
        return super().said + f", {self.maps}" * (self.maps != "avg-4")

    def dim(self, cnn: Backbone) -> int:
        """Length of a row."""
        return variant_dim(self.maps, cnn.stage_dims)

    def chosen(self, kept: np.ndarray, cnn: Backbone) -> np.ndarray:
        """Of what is kept on disk, one file for all choices of ``maps``, what a network reads."""
        return rich_image_features(kept, self.maps, cnn.stage_dims)

    def rows(self, kept: Features, cnn: Backbone) -> np.ndarray:
        """Rows of pictures."""
        return self.chosen(np.mean(kept.eval, axis=0), cnn)


class Averaged(WithCNN):
    """The mean feature of several crops of a picture by an image CNN that is not trained, of length 1.

    Attributes:
        crops: 10, or fewer, as for :func:`imtext.vision.features.ten_crop`.
    """

    backbone: str = "vgg19"
    crops: int = 10
    given = Given()

    @property
    def reader(self) -> Reader:
        """Mean features, as the CNN gives them."""
        return ten_crop(self.crops)

    def rows(self, kept: Features, cnn: Backbone) -> np.ndarray:
        """Rows of pictures."""
        return unit(kept.eval[0])


class Mirrored(WithCNN):
    """Features of a picture and of its mirror image by an image CNN that is not trained.

    Attributes:
        views: as for :class:`Pooled`.
    """

    backbone: str = "resnet50"
    views: int = 8
    fate = ""
    mirror = True

    def rows(self, kept: Features, cnn: Backbone) -> np.ndarray:
        """Rows ``(N, 2, dim)`` of pictures and their mirror images."""
        return kept.eval.swapaxes(0, 1)


class Grid(WithCNN):
    """Cells of a map of an image CNN that is not trained, in the place of a detector's regions.

    Attributes:
        views: as for :class:`Pooled`.
        stage, grid: as for :func:`imtext.vision.features.cells`.
    """

    views: int = 10
    stage: str = "C4"
    grid: int | None = None
    given = Given(regions=True)
    fate = ", frozen, cells of {stage}"

    def dim(self, cnn: Backbone) -> int:
        """Length of a region."""
        return cnn.stage_dims[self.stage]

    @property
    def reader(self) -> Reader:
        """Cells of pictures ``(N, R, dim)``."""
        return cells(self.stage, self.grid)


class Crops(WithCNN):
    """Random crops and mirror images of pictures, for an image CNN that is trained with the network.

    Attributes:
        crops: of a picture to embed, as for :class:`Averaged`.
        fixed_norm: the batch norms of the CNN keep their ImageNet statistics.
    """

    crops: int = 1
    fixed_norm: bool = True
    fate = ", fine-tuned"
    built = CropImages

    def fits(self, dataset: str) -> bool:
        """Whether a dataset has pictures."""
        return not dataset.endswith("precomp")
