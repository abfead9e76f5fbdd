"""Features of boxes by RoIAlign, and regions of images in the files that SCAN reads its detector's from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from imtext.check import one_of, whole
from imtext.data.dataset import Dataset
from imtext.data.decoding import open_image
from imtext.data.images import ImageStore
from imtext.data.pack import pack_of
from imtext.errors import DataError
from imtext.files import atomic, told
from imtext.vision.features import STAGES, Reader, extract
from imtext.vision.region_proposals import proposals_of

if TYPE_CHECKING:
    from imtext.vision.backbones import Backbone

STEMS = {"train": "train", "val": "dev", "test": "test"}
"""Splits and the names of their files."""

_BLOCK = 1024  # images between two writes
_BINS = 3  # side of RoIAlign's grid before the mean
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


def box_features(
    store: ImageStore,
    boxes: np.ndarray,
    image_of_box: np.ndarray,
    extents: np.ndarray,
    stages: Sequence[str] = ("C4",),
    geometry: bool = False,
) -> Reader:
    """Features of P boxes, ``(P, D)``; D is the sum of the stages' channels.

    A box is cut out of each stage map by RoIAlign (aligned, 3 x 3 bins) and averaged. The network sees each
    image once, whole, at the size of ``store``.

    Args:
        store: pixels of the images. ``fit="squash"`` keeps all of every image; of a store made with
            ``"cover"`` a box sees only what lies within the centre square (at least one pixel of it).
        boxes: ``(P, 4)`` integers, ``x1 y1 x2 y2`` in pixels of the image files, from 0, ends inclusive.
        image_of_box: ``(P,)`` images of the boxes, in ascending order, as
            :func:`imtext.vision.region_proposals.proposals_of` gives them.
        extents: ``(N, 2)`` width and height of the image files, see :func:`image_extents`.
        stages: names of stage maps, side by side in the feature; C1 to C4 have strides of 4, 8, 16, 32.
        geometry: append left, top, width and height as shares of the image (ours, not the paper's).

    Raises:
        ConfigError: a stage is unknown.
        DataError: a box lies outside its image, or shapes disagree.

    >>> from imtext.vision import extract, load_backbone
    >>> pixels = np.zeros((1, 3, 64, 64), np.uint8)
    >>> store, net = ImageStore(pixels, 64, "black"), load_backbone("resnet18", weights=None)
    >>> whole_and_corner = np.array([[0, 0, 639, 479], [0, 0, 99, 99]])
    >>> read = box_features(store, whole_and_corner, np.array([0, 0]), np.array([[640, 480]]), ("C3", "C4"))
    >>> extract(net, store, tempfile.mkdtemp(), read).eval.shape
    (1, 2, 768)
    """
    for name in stages:
        one_of("stages", name, STAGES)
    boxes, owner, extents = (np.asarray(given, np.int64) for given in (boxes, image_of_box, extents))
    _check_boxes(boxes, owner, extents, len(store))
    rois = torch.from_numpy(to_store(boxes, extents[owner], store.size, store.fit))
    shares = torch.from_numpy((_edges(boxes) / np.tile(extents[owner], 2)).astype(np.float32))

    def read(net: Backbone, x: Tensor, images: np.ndarray) -> Tensor:
        first, last = np.searchsorted(owner, images), np.searchsorted(owner, images, "right")
        own, maps = [rois[a:b] for a, b in zip(first, last, strict=True)], net.stages(x)
        rows = [mean_of_boxes(maps[name], own, 1 / net.strides[name]) for name in stages]
        return torch.cat([*rows, *[shares[first[0] : last[-1]].to(x)] * geometry], 1)

    def shape(net: Backbone, crop: int) -> tuple[int]:
        return (sum(net.stage_dims[name] for name in stages) + 4 * geometry,)

    digest = hashlib.sha256(boxes.tobytes() + owner.tobytes() + extents.tobytes()).hexdigest()
    settings = {"boxes": digest, "stages": list(stages), "geometry": geometry}
    return Reader("regions", read, shape, settings, owners=owner)


def _edges(boxes: np.ndarray) -> np.ndarray:
    """Left, top, width and height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + 1], 1)


def _check_boxes(boxes: np.ndarray, owner: np.ndarray, extents: np.ndarray, n_images: int) -> None:
    shapes = boxes.shape, owner.shape, extents.shape
    if not len(boxes) or shapes != ((len(boxes), 4), (len(boxes),), (n_images, 2)):
        raise DataError(
            f"boxes {shapes[0]}, image_of_box {shapes[1]}, extents {shapes[2]}: expected (P, 4), (P,) and "
            f"({n_images}, 2), as the store holds {n_images} images"
        )
    if (np.diff(owner, prepend=0, append=n_images - 1) < 0).any():
        raise DataError(f"image_of_box: expected 0 to {n_images - 1} in ascending order; sort the boxes")
    ends = extents[owner]
    inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, :2] <= boxes[:, 2:]).all(1) & (boxes[:, 2:] < ends).all(1)
    if not inside.all():
        bad = int(np.flatnonzero(~inside)[0])
        raise DataError(
            f"box {bad} is {boxes[bad].tolist()}: expected 0 <= x1 <= x2 and 0 <= y1 <= y2 within the "
            f"{ends[bad, 0]} x {ends[bad, 1]} pixels of image {owner[bad]}; use boxes of these files"
        )


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


def mean_of_boxes(maps: Tensor, rois: list[Tensor], scale: float) -> Tensor:
    """Mean over RoIAlign's bins, ``(n, C)``, of the boxes of each of ``maps (B, C, H, W)``.

    ``rois``: for each map the edges of its boxes in pixels of the input, ``(n_b, 4)``, sum n; ``scale`` is
    map over input.

    RoIAlign and the mean are linear in the map. Where a map has fewer places than channels, their weights,
    one per place, are taken from RoIAlign on maps that are 1 in a single place, and one matrix product does
    the rest: 16 channels to sample instead of 1,280 for EfficientNet-Lite at 128 pixels.

    >>> mean_of_boxes(torch.ones(1, 3, 2, 2), [torch.tensor([[0.0, 0.0, 64.0, 32.0]])], 1 / 32)
    tensor([[1., 1., 1.]])
    """
    count, channels, height, width = maps.shape
    settings = {"output_size": _BINS, "spatial_scale": scale, "sampling_ratio": 2, "aligned": True}
    if height * width >= channels:
        return roi_align(maps, [own.to(maps) for own in rois], **settings).mean((2, 3))
    places = torch.eye(height * width).to(maps).view(1, height * width, height, width)
    weights = roi_align(places, [torch.cat(rois).to(maps)], **settings).mean((2, 3))
    flat = maps.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    return torch.cat([w @ m for w, m in zip(weights.split([len(own) for own in rois]), flat, strict=True)])


def write_box_regions(
    dataset: Dataset,
    folder: str | os.PathLike[str],
    backbone: Backbone,
    boxes: int = 36,
    size: int = 224,
    stages: Sequence[str] = ("C4",),
    method: str = "selective_search",
    cache_dir: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
) -> Path:
    """Write RoI features of ``boxes`` boxes an image as a dataset ``precomp``.

    The first box is the whole image, the others are proposals
    (:func:`imtext.vision.region_proposals.proposals_of`); an image with fewer gets its own again, in their
    order. Each becomes the mean of RoIAlign's bins (:func:`box_features`). SCAN
    (Lee et al., ECCV 2018, section 3.2) takes 36 boxes of a detector trained on Visual Genome, of which no
    package holds the weights. ``load_dataset("precomp", folder)`` reads the files, and so does a notebook
    with the parameters ``dataset="precomp"`` and ``data_root``.

    Args:
        dataset: images with captions; its splits become ``train``, ``dev`` and ``test``. The files know no
            groups of several images: each image is a group of its own.
        folder: made if absent; files of the same names in it are replaced.
        backbone: of :func:`~imtext.vision.backbones.load_backbone`.
        boxes: regions of an image, at least 1.
        size: side in pixels at which the network sees an image, whole, whatever its shape.
        stages: names of stage maps, side by side in a region's feature.
        method: of the proposals.
        cache_dir: keeps pixels, proposals and features, so that a call that broke off goes on; default: a
            folder that is removed at the end.
        device: for the network.

    Returns:
        The folder, with ``{stem}_ims.npy`` float32 ``(N, boxes, D)``, ``{stem}_caps.txt`` and
        ``{stem}_ids.txt``, the image id of each caption.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: an image is missing or cannot be read, a feature is not finite, the disk is full.
    """
    whole("boxes", boxes)
    folder = Path(folder)
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            kept, parts = Path(cache_dir or scratch), {}
            for split in sorted(set(dataset.split_of_image.tolist())):
                part = dataset.split(split)
                places, owner = proposals_of(part, boxes, method, kept / "proposals")
                store = ImageStore.open(part, size, kept / "pixels", fit="squash")
                read = box_features(store, places, owner, image_extents(part), stages)
                features = extract(backbone, store, kept / "features", read, device=device).eval[0]
                parts[split] = part, features, even_rows(owner, boxes)
            # Last, so that a call that fails leaves the files of an earlier one alone.
            for split, found in parts.items():
                _write(folder / STEMS[split], *found)
    return folder


def even_rows(owner: np.ndarray, count: int) -> np.ndarray:
    """Rows ``(N, count)`` of the boxes of every image; where an image has fewer, its own again.

    ``owner (P,)`` is the image of each box, sorted; every image has at least one box.

    >>> even_rows(np.array([0, 0, 0, 1, 2, 2]), 3).tolist()
    [[0, 1, 2], [3, 3, 3], [4, 5, 4]]
    """
    counts = np.bincount(owner)
    first = np.cumsum(counts) - counts
    return first[:, None] + np.arange(count) % counts[:, None]


def _write(path: Path, part: Dataset, features: np.ndarray, rows: np.ndarray) -> None:
    """The three files of a split; each appears when it is whole."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (*rows.shape, features.shape[1])}
    with atomic(path.with_name(f"{path.name}_ims.npy")) as partial, open(partial, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, len(rows), _BLOCK):
            file.write(features[rows[begin : begin + _BLOCK]].tobytes())
    order = np.concatenate([part.captions_of(image) for image in range(part.n_images)])
    # A caption is a line of the file, whatever white space it holds.
    captions = [" ".join(part.captions[i].split()) for i in order]
    ids = [part.image_ids[part.image_of_caption[i]] for i in order]
    for name, lines in (("caps", captions), ("ids", ids)):
        with atomic(path.with_name(f"{path.name}_{name}.txt")) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
