"""Features of boxes: one forward pass per image, then RoIAlign on the maps of its stages."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from imtext.data.decoding import open_image
from imtext.data.images import pack_of
from imtext.data.schema import Dataset
from imtext.data.transforms import normalise
from imtext.errors import ConfigError, DataError
from imtext.precision import DTYPES
from imtext.vision.features import Chunk, _cached, _check, _content, _key, _where

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

_VERSION = 1
_IMAGES = 64  # whose boxes are written together
_STRIDES = {"C1": 4, "C2": 8, "C3": 16, "C4": 32}
_ROTATED = range(5, 9)  # EXIF orientations that exchange width and height
_ORIENTATION = 0x0112


def image_extents(dataset: Dataset) -> np.ndarray:
    """Width and height of every upright image file in pixels, ``(N, 2)`` int64; only headers are read.

    For a dataset read from a pack these are the sides of the pack's squares.

    Raises:
        DataError: a file is missing or is no image.
    """
    pack = pack_of(dataset)
    if pack is not None:
        return np.full((dataset.n_images, 2), pack.size, np.int64)
    return np.array([_extent(dataset.image_path(i)) for i in range(dataset.n_images)], np.int64)


def _extent(path: Path) -> tuple[int, int]:
    try:
        with open_image(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _ROTATED
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything on a broken file
        reason = f"{type(error).__name__}: {error}".replace(str(path), path.name)
        raise DataError(f"{path}: expected an image, found: {reason}; replace the file") from None
    return (height, width) if turned else (width, height)


def extract_region_features(
    backbone: Backbone,
    store: ImageStore,
    boxes: np.ndarray,
    image_of_box: np.ndarray,
    extents: np.ndarray,
    cache_dir: str | os.PathLike[str],
    stages: Sequence[str] = ("C4",),
    bins: int = 3,
    geometry: bool = False,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    precision: str = "32",
) -> np.ndarray:
    """Features of P boxes, ``(P, D)`` float32 and read-only; D is the sum of the stages' channels.

    A box is cut out of each stage map by RoIAlign (aligned, ``bins x bins`` bins) and averaged. The network
    sees each image once, at the size of ``store``. Cached and resumed as features of images are; boxes that
    come image by image, as :func:`imtext.vision.proposals.proposals_of` gives them, stay memory-mapped.

    Args:
        backbone: with ``stages``, ``stage_dims`` and ``fused()``.
        store: pixels of the images. ``fit="squash"`` keeps all of every image; of a store made with
            ``"cover"`` a box sees only what lies within the centre square (at least one pixel of it).
        boxes: ``(P, 4)`` integers, ``x1 y1 x2 y2`` in pixels of the image files, from 0, ends inclusive.
        image_of_box: ``(P,)`` images of the boxes.
        extents: ``(N, 2)`` width and height of the image files, see :func:`image_extents`.
        cache_dir: folder for the ``.npy`` file; made if absent.
        stages: names of stage maps, side by side in the feature; C1 to C4 have strides of 4, 8, 16, 32.
        bins: side of RoIAlign's grid before the mean.
        geometry: append left, top, width and height as shares of the image (ours, not the paper's).
        batch_size, device, channels_last, precision: see
            :func:`imtext.vision.features.extract_features`.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a box lies outside its image, shapes disagree, a feature is not finite, the disk is full.
    """
    device, batch_size = _where(device, batch_size)
    _check(store, store.size, 0, batch_size, device, precision)
    stages = _check_stages(stages, bins)
    boxes, image_of_box, extents = _check_boxes(boxes, image_of_box, extents, len(store))
    width = sum(backbone.stage_dims[name] for name in stages) + 4 * bool(geometry)
    order = np.argsort(image_of_box, kind="stable")
    content = _content(backbone, store, store.size, precision)
    digest = hashlib.sha256(boxes[order].tobytes() + image_of_box[order].tobytes() + extents.tobytes())
    content |= {"regions": _VERSION, "boxes": digest.hexdigest(), "stages": list(stages), "bins": int(bins)}
    content["geometry"] = bool(geometry)
    if not len(boxes):
        return np.zeros((0, width), np.float32)
    rois = torch.from_numpy(to_store(boxes[order], extents[image_of_box[order]], store.size, store.fit))
    places = torch.from_numpy(_relative(boxes[order], extents[image_of_box[order]])) if geometry else None
    owner = image_of_box[order]
    reader = _Reader(backbone, store, stages, bins, batch_size, device, channels_last, precision)

    def compute(group: list[Chunk]) -> Tensor:
        first, last = group[0][1], group[-1][2]
        rows = reader(owner[first:last], rois[first:last])
        return rows if places is None else torch.cat([rows, places[first:last].to(rows)], 1)

    rows = _cached(
        Path(cache_dir).expanduser() / f"regions-{backbone.name}-{_key(content)}.npy",
        (len(boxes), width),
        _chunks_of(owner),
        compute,
        1,
    )
    if np.array_equal(order, np.arange(len(order))):
        return rows
    out = np.empty_like(rows, subok=False)
    out[order] = rows
    out.flags.writeable = False
    return out


def to_store(boxes: np.ndarray, extents: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Boxes ``(P, 4)`` of image files as edges in a store's square, ``(P, 4)`` float32.

    ``extents (P, 2)`` is width and height of each box's image. The edges are continuous: the last pixel's far
    side counts, so that the whole image becomes ``0, 0, size, size``.

    >>> to_store(np.array([[0, 0, 39, 19]]), np.array([[40, 20]]), 10, "squash").tolist()
    [[0.0, 0.0, 10.0, 10.0]]
    >>> to_store(np.array([[10, 0, 19, 9]]), np.array([[40, 20]]), 10, "cover").tolist()
    [[0.0, 0.0, 5.0, 5.0]]
    """
    shown = extents.astype(np.float64)
    if fit == "cover":
        shown = np.repeat(shown.min(1, keepdims=True), 2, 1)
    shift = (extents - shown) / 2
    edges = (boxes + np.array([0, 0, 1, 1]) - np.tile(shift, 2)) * np.tile(size / shown, 2)
    least = np.minimum(1, edges[:, 2:] - edges[:, :2])  # a box outside keeps the nearest pixel
    start = edges[:, :2].clip(0, size - least)
    end = edges[:, 2:].clip(start + least, size)
    return np.concatenate([start, end], 1).astype(np.float32)


def _relative(boxes: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Left, top, width and height as shares of the image, ``(P, 4)`` float32."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return np.concatenate([boxes[:, :2] / extents, sides / extents], 1).astype(np.float32)


class _Reader:
    """Features of boxes, a batch of images at a time; the network is folded at the first call."""

    def __init__(
        self,
        backbone: Backbone,
        store: ImageStore,
        stages: tuple[str, ...],
        bins: int,
        batch_size: int,
        device: torch.device,
        channels_last: bool,
        precision: str,
    ) -> None:
        self.backbone, self.store, self.stages, self.bins = backbone, store, stages, bins
        self.batch_size, self.device, self.precision = batch_size, device, precision
        self.dtype = DTYPES.get(precision, torch.float32)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.maps: Callable[[Tensor], dict[str, Tensor]] | None = None

    def __call__(self, owner: np.ndarray, rois: Tensor) -> Tensor:
        """Features ``(n, D)`` of boxes ``rois (n, 4)``, sorted by their images ``owner (n,)``."""
        if self.maps is None:
            net = self.backbone.fused().to(
                device=self.device, dtype=self.dtype, memory_format=self.layout
            )
            self.maps = net.stages
        images, start = np.unique(owner, return_index=True)
        ends = [*start[1:].tolist(), len(owner)]
        parts = []
        for a in range(0, len(images), self.batch_size):
            some = images[a : a + self.batch_size]
            maps = self._stage_maps(some)
            own = [rois[start[a + k] : ends[a + k]] for k in range(len(some))]
            pooled = [mean_of_boxes(maps[s], own, 1 / _STRIDES[s], self.bins) for s in self.stages]
            parts.append(torch.cat(pooled, 1))
        rows = torch.cat(parts).float()
        if not bool(rows.isfinite().all()):
            raise DataError(
                f"region features of images {images[0]} to {images[-1]} hold NaN or infinity; "
                "check the weights, or use precision='32'"
            )
        return rows

    def _stage_maps(self, images: np.ndarray) -> dict[str, Tensor]:
        pixels = self.store.batch(images).to(self.device)
        half = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            x = normalise(pixels, self.backbone.mean, self.backbone.std, self.dtype)
            maps = self.maps(x.contiguous(memory_format=self.layout))
        return {name: maps[name].to(self.dtype) for name in self.stages}


def mean_of_boxes(maps: Tensor, rois: list[Tensor], scale: float, bins: int) -> Tensor:
    """Mean over RoIAlign's bins, ``(n, C)``, of the boxes of each of ``maps (B, C, H, W)``.

    ``rois``: for each map the edges of its boxes in pixels of the input, ``(n_b, 4)``, sum n; ``scale`` is
    map over input.

    RoIAlign and the mean are linear in the map. Where a map has fewer places than channels, their weights,
    one per place, are taken from RoIAlign on maps that are 1 in a single place, and one matrix product does
    the rest: 16 channels to sample instead of 1,280 for EfficientNet-Lite at 128 pixels.

    >>> mean_of_boxes(torch.ones(1, 3, 2, 2), [torch.tensor([[0.0, 0.0, 64.0, 32.0]])], 1 / 32, 3)
    tensor([[1., 1., 1.]])
    """
    count, channels, height, width = maps.shape
    settings = {"output_size": bins, "spatial_scale": scale, "sampling_ratio": 2, "aligned": True}
    if height * width >= channels:
        return roi_align(maps, [own.to(maps) for own in rois], **settings).mean((2, 3))
    places = torch.eye(height * width).to(maps).view(1, height * width, height, width)
    weights = roi_align(places, [torch.cat(rois).to(maps)], **settings).mean((2, 3))
    flat = maps.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    return torch.cat([w @ m for w, m in zip(weights.split([len(own) for own in rois]), flat, strict=True)])


def _chunks_of(owner: np.ndarray) -> list[Chunk]:
    """Rows of some images at a time, from the sorted images of the boxes."""
    starts = np.searchsorted(owner, np.unique(owner)[::_IMAGES]).tolist()
    return [(0, a, b) for a, b in zip(starts, [*starts[1:], len(owner)], strict=True)]


def _check_stages(stages: Sequence[str], bins: int) -> tuple[str, ...]:
    names = (stages,) if isinstance(stages, str) else tuple(stages)
    if not names or len(set(names)) < len(names) or any(name not in _STRIDES for name in names):
        raise ConfigError(f"stages={stages!r}: expected some of {', '.join(_STRIDES)}, each once")
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise ConfigError(f"bins={bins!r}: expected an integer of 1 or more")
    return names


def _check_boxes(
    boxes: np.ndarray, image_of_box: np.ndarray, extents: np.ndarray, n_images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.asarray(boxes, dtype=np.int64).reshape(-1, 4)
    image_of_box, extents = np.asarray(image_of_box, dtype=np.int64), np.asarray(extents, dtype=np.int64)
    if image_of_box.shape != (len(boxes),) or extents.shape != (n_images, 2):
        raise DataError(
            f"boxes {boxes.shape}, image_of_box {image_of_box.shape}, extents {extents.shape}: expected "
            f"(P, 4), (P,) and ({n_images}, 2), as the store holds {n_images} images"
        )
    if len(boxes) and not 0 <= image_of_box.min() <= image_of_box.max() < n_images:
        raise DataError(f"image_of_box: expected images 0 to {n_images - 1}, found {image_of_box.max()}")
    ends = extents[image_of_box]
    inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, :2] <= boxes[:, 2:]).all(1) & (boxes[:, 2:] < ends).all(1)
    if not inside.all():
        bad = int(np.flatnonzero(~inside)[0])
        raise DataError(
            f"box {bad} is {boxes[bad].tolist()}: expected 0 <= x1 <= x2 and 0 <= y1 <= y2 within the "
            f"{ends[bad, 0]} x {ends[bad, 1]} pixels of image {image_of_box[bad]}; use boxes of these files"
        )
    return boxes, image_of_box, extents
