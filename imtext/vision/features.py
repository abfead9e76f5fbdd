"""Features of a frozen backbone: computed once, kept on disk, shared by every row that asks again.

:func:`extract` does it; what is kept of an image says a :class:`Reader`: :data:`pooled`, :data:`stages`,
:func:`cells`, :func:`ten_crop`, or :func:`imtext.vision.regions.box_features`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.check import one_of, whole
from imtext.data import transforms
from imtext.errors import DataError
from imtext.files import cached_array
from imtext.precision import DTYPES, in_half
from imtext.progress import progress
from imtext.threads import torch_threads

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

STAGES = ("C1", "C2", "C3", "C4")
POOLS = ("max", "avg")  # Eq. 2 of the rich features has the maxima first
CROPS = (10, 5, 2, 1)
"""Ten crops; the five without their mirror images; centre and its mirror image; the centre alone."""

_VERSION = 3
# Random numbers are drawn anew for every 128 images, so that a restart does not move them.
_CHUNK = 128
# Images of a forward pass: 16 fit the caches of a CPU (measured: 1.8 times as fast as 128).
_BATCH = {"cpu": 16}
# Chunks at a time: on a GPU few keep it busy, and each needs memory there.
_SIDE_BY_SIDE = {"cuda": 3}


@dataclass(frozen=True, eq=False)
class Features:
    """Features of all N images of a store, float32, memory-mapped and read-only.

    Attributes:
        eval: ``(2, N, ...)``, of the centre crop and of its mirror; ``(1, N, ...)`` without the latter.
        train: ``(views, N, ...)``, each view a random-resized crop, mirrored half of the time.
    """

    eval: np.ndarray
    train: np.ndarray


@dataclass(frozen=True)
class Reader:
    """What :func:`extract` keeps of an image; write one for a reading of your own.

    Attributes:
        kind: begins the names of the files.
        read: from the folded backbone, normalised crops ``(B, 3, S, S)`` and the numbers of their images
            ``(B,)`` to one row an image, ``(B, ...)``.
        shape: from the backbone and the side of a crop to the shape of a row.
        settings: what else the rows depend on.
        crops: one of :data:`CROPS`, whose mean is kept for evaluation.
        owners: for several rows an image: the image of each row ``(P,)``, in ascending order. Pictures are
            then read whole and once, whatever ``crop``, ``views`` and ``mirror`` say.
    """

    kind: str
    read: Callable[[Backbone, Tensor, np.ndarray], Tensor]
    shape: Callable[[Backbone, int], tuple[int, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    crops: int = 1
    owners: np.ndarray | None = None


pooled = Reader("features", lambda net, x, _: net(x), lambda net, _: (net.dim,))
"""The backbone's own feature, ``(N, dim)``."""

stages = Reader(
    "stages",
    lambda net, x, _: pool_stages(net.stages(x)),
    lambda net, _: (2 * sum(net.stage_dims.values()),),
)
"""Maxima, then means, of the stages that a backbone has, ``(N, 2 (C1 + … + C4))``: for all rich features.

On disk 8 bytes a channel, image and view: with EfficientNet-Lite1 (1,456 channels) 94 MB for Flickr8k; with
ResNet-152 (3,840 channels) 1.0 GB for Flickr30k and 3.8 GB for COCO."""


def cells(stage: str = "C4", grid: int | None = None) -> Reader:
    """Cells of a stage map in the place of detected regions, ``(N, R, D)``, row by row from the top left.

    At a crop of 112 pixels C4 has 4 x 4 = 16 cells and C3 7 x 7; C3 with ``grid=6`` has 36, as many as the
    regions SCAN is published with (Lee et al., 2018). Rows are not normalised: that is the network's part.
    :func:`cell_boxes` says where they lie. On disk R x D x 4 bytes an image and view: ResNet-152 at 224, C4
    with 49 cells: 12.8 GB for Flickr30k and 49 GB for COCO.

    Args:
        stage: ``"C1"`` to ``"C4"``.
        grid: side of the grid to which the map is brought by adaptive mean pooling, at most the map's side;
            None keeps the map's own cells.

    Raises:
        ConfigError: a parameter is out of range; of ``grid`` this shows when features are extracted.
    """
    one_of("stage", stage, STAGES)

    def shape(net: Backbone, crop: int) -> tuple[int, int]:
        side = map_side(net, stage, crop)
        return whole("grid", side if grid is None else grid, 1, side) ** 2, net.stage_dims[stage]

    settings = {"stage": stage, "grid": grid}
    return Reader("grid", lambda net, x, _: grid_cells(net.stages(x)[stage], grid), shape, settings)


def ten_crop(crops: int = 10) -> Reader:
    """The mean feature over several crops, ``(N, dim)``.

    Structure-Preserving Embeddings, section 3.1: the image at ``256 x 256`` is cropped to ``224 x 224`` at
    the four corners and the centre, mirrored, and the network's ten outputs are averaged. ``crops=5`` takes
    corners and centre, 2 the centre and its mirror image, 1 the centre: fewer passes, for a quick look.

    Raises:
        ConfigError: ``crops`` is none of :data:`CROPS`.
    """
    return replace(pooled, crops=one_of("crops", crops, CROPS))


def extract(
    backbone: Backbone,
    store: ImageStore,
    cache: str | os.PathLike[str],
    read: Reader = pooled,
    crop: int = 224,
    views: int = 0,
    mirror: bool = True,
    seed: int = 0,
    device: str | torch.device = "cpu",
    precision: str = "32",
    evaluation: bool = True,
) -> Features:
    """Features of every image of ``store``, from the cache where it has them.

    A second process waits for the first. A broken-off call goes on where it stopped and ends with the same
    numbers. Batch norms are folded into the convolutions and use their stored statistics.

    Args:
        backbone: any module with ``name``, ``mean``, ``std``, ``weights_digest``, ``fused()`` and what the
            reader asks for: ``dim``; or ``stage_dims`` and ``stages(x)``.
        store: pixels, at least ``crop`` on each side; smaller files are enlarged when it is opened.
        cache: folder for the ``.npy`` files; made if absent.
        read: what is kept of an image, see :class:`Reader`.
        crop: side in pixels that the backbone sees, best the ``input_size`` that its weights were trained at.
        views: number of augmented views for training (Instance Loss paper, section 6.2: random crops, flips).
        mirror: whether ``eval`` holds the mirror image as well (section 6.2 averages the two embeddings).
        seed: of the training views.
        device: where the backbone runs; features of a CPU and of a GPU are kept apart.
        precision: ``"32"``; ``"64"``, slower, whose features are the same on every processor; or ``"bf16"``,
            see :func:`imtext.precision.in_half`. Features are kept in float32 whichever it is.
        evaluation: whether to compute ``eval``; without, it has no sides: ``(0, N, ...)``.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a feature is not finite, or the disk is full.
    """
    if read.owners is not None:
        crop, views, mirror = store.size, 0, False
    whole("crop", crop, 1, store.size)
    whole("views", views, 0)
    one_of("precision", precision, DTYPES)

    def middle(view: int, first: int, images: Tensor) -> list[Tensor]:
        crops = crop_views(images, crop, read.crops)
        return [one.flip(-1) for one in crops] if view else crops

    def drawn(view: int, first: int, images: Tensor) -> list[Tensor]:
        return [transforms.augment(images, crop, seeded(seed, view, first))]

    about = {
        "version": _VERSION,
        "backbone": backbone.name,
        "weights": backbone.weights_digest,
        "store": store.fingerprint,
        "crop": crop,
        "precision": precision,
        "settings": dict(read.settings),
    }
    kept = _Kept(backbone, store, Path(cache).expanduser(), read, crop, numbered(device), precision)
    if kept.device.type != "cpu":  # which rounds otherwise, and resizes by other kernels
        about["device"] = kept.device.type
    sides = (2 if mirror else 1) if evaluation else 0
    return Features(
        kept.array(sides, middle, {**about, "sides": sides, "crops": read.crops}),
        kept.array(views, drawn, {**about, "views": views, "seed": seed}),
    )


def seeded(*numbers: int) -> torch.Generator:
    """A generator of random numbers that are those of ``numbers`` alone."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def numbered(device: str | torch.device) -> torch.device:
    """A device with its number, which threads would not know of a GPU.

    >>> numbered("cpu")
    device(type='cpu')
    """
    return torch.empty(0, device=device).device


@dataclass(frozen=True)
class _Kept:
    """What is computed, of what, and where it is kept."""

    backbone: Backbone
    store: ImageStore
    cache: Path
    read: Reader
    crop: int
    device: torch.device
    precision: str

    def array(
        self, views: int, crops: Callable[[int, int, Tensor], list[Tensor]], about: Mapping[str, Any]
    ) -> np.ndarray:
        """Rows of some views; ``crops`` takes a view, the first image of a chunk and the chunk's pixels."""
        owners = np.arange(len(self.store)) if self.read.owners is None else self.read.owners
        row = self.read.shape(self.backbone, self.crop)
        shape = (views, len(owners), *row)
        if not views:
            return np.zeros(shape, "<f4")
        images, rows_of = np.unique(owners, return_counts=True)
        starts = range(0, len(images), _CHUNK)
        chunks = [(view, images[a : a + _CHUNK]) for view in range(views) for a in starts]
        sizes = [int(rows_of[a : a + _CHUNK].sum()) * math.prod(row) for a in starts] * views
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
        path = self.cache / f"{self.read.kind}-{self.backbone.name}-{key}.npy"

        def compute(done: int) -> Iterator[np.ndarray]:
            net = self.backbone.fused().to(
                device=self.device, dtype=DTYPES[self.precision], memory_format=torch.channels_last
            )
            title = f"{self.read.kind} {self.backbone.name}"
            return progress(self._side_by_side(net, chunks[done:], crops), title, len(chunks) - done)

        return cached_array(path, shape, "<f4", sizes, compute)

    def _side_by_side(self, net: Backbone, chunks: list, crops: Callable) -> Iterator[np.ndarray]:
        """Rows of the chunks in order, one chunk a thread.

        A forward pass of a few small images gains little from several threads (measured: nothing at 16 images
        on two), and one thread gives the same digits for any number of cores.
        """
        threads = _SIDE_BY_SIDE.get(self.device.type, torch.get_num_threads())
        with torch_threads(1), ThreadPoolExecutor(threads) as pool:
            for a in range(0, len(chunks), 4 * threads):  # not all at once: what waits is held in memory
                yield from pool.map(lambda chunk: self._rows(net, *chunk, crops), chunks[a : a + 4 * threads])

    @torch.inference_mode()
    def _rows(self, net: Backbone, view: int, images: np.ndarray, crops: Callable) -> np.ndarray:
        pixels = self.store.batch(images).to(self.device)
        seen = [self._read(net, one, images) for one in crops(view, int(images[0]), pixels)]
        rows = sum(seen[1:], seen[0]) / len(seen)
        if not bool(rows.isfinite().all()):
            raise DataError(
                f"{self.read.kind} of images {images[0]} to {images[-1]} hold NaN or infinity; "
                "check the weights, or use precision='32'"
            )
        return rows.cpu().numpy()

    def _read(self, net: Backbone, crops: Tensor, images: np.ndarray) -> Tensor:
        batch, parts = _BATCH.get(self.device.type, _CHUNK), []
        for a in range(0, len(images), batch):
            x = transforms.normalise(crops[a : a + batch], net.mean, net.std, DTYPES[self.precision])
            x = x.contiguous(memory_format=torch.channels_last)
            half = in_half(self.device.type, self.precision)  # a thread begins without autocast
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                parts.append(self.read.read(net, x, images[a : a + batch]).float())
        return torch.cat(parts)


def pool_stages(maps: Mapping[str, Tensor]) -> Tensor:
    """Maxima, then means, of the maps C1…C4 ``(B, C, H, W)`` over all places: ``(B, 2 (C1 + … + C4))``.

    Pooling is over the whole map, as the kernels of 56, 28, 14 and 7 are at 224 pixels (Fu et al., section
    IV.B).

    >>> maps = {f"C{i}": torch.tensor([[[[0.0, 2.0 * i]]]]) for i in (1, 2, 3, 4)}
    >>> pool_stages(maps).tolist()
    [[2.0, 4.0, 6.0, 8.0, 1.0, 2.0, 3.0, 4.0]]
    """
    return torch.cat([_POOLED[pool](maps[stage]) for pool in POOLS for stage in maps], 1)


def _maximum(maps: Tensor) -> Tensor:
    # The same numbers; a kernel over the whole map is up to ten times as fast on a CPU, and slow on a GPU.
    return maps.amax((2, 3)) if maps.is_cuda else F.max_pool2d(maps, maps.shape[2:]).flatten(1)


_POOLED = {"max": _maximum, "avg": lambda maps: maps.mean((2, 3))}


def crop_views(images: Tensor, crop: int, crops: int = 10) -> list[Tensor]:
    """The crops of ``images (B, 3, H, W)``, each ``(B, 3, crop, crop)``, centre first, mirror images last.

    >>> [view.flatten().tolist() for view in crop_views(torch.arange(9).reshape(1, 1, 3, 3), 1, 5)]
    [[4], [0], [2], [6], [8]]
    """
    views = [transforms.centre(images, crop)]
    if crops >= 5:
        ends = slice(None, crop), slice(-crop, None)
        views += [images[..., y, x] for y in ends for x in ends]
    return views if crops in (1, 5) else views + [view.flip(-1) for view in views]


def grid_cells(maps: Tensor, grid: int | None = None) -> Tensor:
    """Cells ``(B, R, D)`` of ``maps (B, D, H, W)``, row by row, after adaptive mean pooling to ``grid``.

    >>> grid_cells(torch.arange(4.0).view(1, 1, 2, 2)).tolist()
    [[[0.0], [1.0], [2.0], [3.0]]]
    """
    if grid is not None and maps.shape[2:] != (grid, grid):
        maps = F.adaptive_avg_pool2d(maps, grid)
    return maps.flatten(2).transpose(1, 2)


def map_side(backbone: Backbone, stage: str, crop: int) -> int:
    """Cells along a side of the stage map of a ``crop x crop`` picture, found by trying."""
    with torch.inference_mode():
        net, picture = backbone.fused().cpu().float(), torch.zeros(1, 3, crop, crop, dtype=torch.float32)
        return net.stages(picture)[stage].shape[-1]


def cell_boxes(side: int, grid: int | None = None, crop: int = 1, size: int = 1) -> np.ndarray:
    """Boxes ``(R, 4)`` of the cells of a map, float32: left, top, right, bottom as shares of a picture.

    What a cell sees reaches beyond its box, which is where it lies in the map laid over the crop. Boxes of a
    ``grid`` that does not divide ``side`` overlap, as the means do.

    Args:
        side: cells along a side of the map, see :func:`map_side`.
        grid: cells along a side after adaptive mean pooling; None for those of the map.
        crop, size: sides in pixels of the centre crop that the network sees and of the picture that the
            shares are of. With equal sides they are shares of the crop.

    >>> cell_boxes(2).tolist()[1]
    [0.5, 0.0, 1.0, 0.5]
    >>> cell_boxes(1, crop=112, size=128).tolist()
    [[0.0625, 0.0625, 0.9375, 0.9375]]
    """
    grid = side if grid is None else grid
    number = np.arange(grid)
    start, end = number * side // grid / side, -(-(number + 1) * side // grid) / side
    margin = round((size - crop) / 2)  # as the centre crop is taken
    start, end = (margin + start * crop) / size, (margin + end * crop) / size
    row, column = np.divmod(np.arange(grid * grid), grid)
    return np.stack([start[column], start[row], end[column], end[row]], 1).astype(np.float32)
