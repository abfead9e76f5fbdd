"""Regions of images from boxes, written in the layout that SCAN reads its detector's regions from."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from imtext.data.images import ImageStore
from imtext.data.schema import Dataset
from imtext.errors import ConfigError, DataError
from imtext.vision.proposals import proposals_of
from imtext.vision.regions import extract_region_features, image_extents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imtext.vision.backbones import Backbone

STEMS = {"train": "train", "val": "dev", "test": "test"}
"""Splits and the names of their files."""
_BLOCK = 1024  # images between two writes


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
    (:func:`imtext.vision.proposals.proposals_of`); an image with fewer gets its own again, in their order.
    Each becomes the mean of RoIAlign's bins (:func:`imtext.vision.regions.extract_region_features`). SCAN
    (Lee et al., ECCV 2018, section 3.2) takes 36 boxes of a detector trained on Visual Genome, of which no
    package holds the weights. ``load_dataset("precomp", folder)`` reads the files, and so does a notebook
    with the parameters ``dataset="precomp"`` and ``data_root``.

    Args:
        dataset: images with captions; its splits become ``train``, ``dev`` and ``test``. The files know no
            groups of several images: each image is a group of its own.
        folder: made if absent; files of the same names in it are replaced.
        backbone: of :func:`imtext.vision.load_backbone`.
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
    if isinstance(boxes, bool) or not isinstance(boxes, int | np.integer) or boxes < 1:
        raise ConfigError(f"boxes={boxes!r}: expected a number of boxes an image, at least 1")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            cache, parts = Path(cache_dir or scratch), {}
            for split in sorted(set(dataset.split_of_image.tolist())):
                part = dataset.split(split)
                parts[split] = part, *_features(part, backbone, boxes, size, stages, method, cache, device)
            # Last, so that a call that fails leaves the files of an earlier one alone.
            for split, found in parts.items():
                _write(folder / STEMS[split], *found, boxes)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write regions, found: {error.strerror or error}; free space or choose another "
            "folder"
        ) from None
    return folder


def _features(
    part: Dataset,
    backbone: Backbone,
    boxes: int,
    size: int,
    stages: Sequence[str],
    method: str,
    cache: Path,
    device: str | torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Features of all boxes of a split ``(P, D)``, and their images ``(P,)``, image by image."""
    places, owner = proposals_of(part, boxes, method, cache / "proposals")
    store = ImageStore.open(part, size, cache / "pixels", fit="squash")
    extents = image_extents(part)
    return extract_region_features(
        backbone, store, places, owner, extents, cache / "features", stages, device=device
    ), owner


def even_rows(owner: np.ndarray, count: int) -> np.ndarray:
    """Rows ``(N, count)`` of the boxes of every image; where an image has fewer, its own again.

    ``owner (P,)`` is the image of each box, sorted; every image has at least one box.

    >>> even_rows(np.array([0, 0, 0, 1, 2, 2]), 3).tolist()
    [[0, 1, 2], [3, 3, 3], [4, 5, 4]]
    """
    counts = np.bincount(owner)
    first = np.cumsum(counts) - counts
    return first[:, None] + np.arange(count) % counts[:, None]


def _write(path: Path, part: Dataset, features: np.ndarray, owner: np.ndarray, boxes: int) -> None:
    """The three files of a split; each appears when it is whole."""
    rows = even_rows(owner, boxes)
    partial = path.with_name(f".{path.name}.partial")
    shape = (len(rows), boxes, features.shape[1])
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    try:
        with open(partial, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for begin in range(0, len(rows), _BLOCK):
                file.write(np.ascontiguousarray(features[rows[begin : begin + _BLOCK]], "<f4").data)
        os.replace(partial, path.with_name(f"{path.name}_ims.npy"))
        order = np.concatenate([part.captions_of(image) for image in range(part.n_images)])
        # A caption is a line of the file, whatever white space it holds.
        captions = [" ".join(part.captions[i].split()) for i in order]
        ids = [part.image_ids[part.image_of_caption[i]] for i in order]
        for name, lines in (("caps", captions), ("ids", ids)):
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.replace(partial, path.with_name(f"{path.name}_{name}.txt"))
    finally:
        partial.unlink(missing_ok=True)


__all__ = ["STEMS", "even_rows", "write_box_regions"]
