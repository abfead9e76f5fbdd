"""Regions without a detector: the cells of a stage map, for attention between words and places."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.errors import ConfigError, DataError
from imtext.vision.features import Features, _check, _content, _lazy_runner, _Views, _where

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

_VERSION = 1
_TYPES = {"float32": "<f4", "float16": "<f2"}


@dataclass(frozen=True, eq=False)
class GridFeatures(Features):
    """Cells of a stage map of all N images of a store, memory-mapped and read-only.

    Cells come row by row, from the top left.

    Attributes:
        eval: ``(1, N, R, D)``, of the centre crop; ``(0, N, R, D)`` where that was not asked for.
        train: ``(views, N, R, D)``, each view a random-resized crop, mirrored half of the time.
        key: hash of all that determines them.
        boxes: ``(R, 4)`` float32, left, top, right and bottom of the cells of ``eval`` as shares of the
            store's square picture, see :func:`cell_boxes`.
    """

    boxes: np.ndarray

    @property
    def regions(self) -> np.ndarray:
        """``(N, R, D)``, of the centre crops. Raises DataError where they were not asked for."""
        if not len(self.eval):
            raise DataError("grid features: extracted with evaluation=False; extract with evaluation=True")
        return self.eval[0]


def extract_grid_features(
    backbone: Backbone,
    store: ImageStore,
    cache_dir: str | os.PathLike[str],
    crop: int,
    stage: str = "C4",
    grid: int | None = None,
    views: int = 0,
    seed: int = 0,
    dtype: str = "float32",
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    precision: str = "32",
    scale: tuple[float, float] = (0.6, 1.0),
    evaluation: bool = True,
) -> GridFeatures:
    """Features of R places of every image, the cells of a stage map, in the place of detected regions.

    At a crop of 112 pixels C4 has 4 x 4 = 16 cells and C3 7 x 7; C3 with ``grid=6`` has 36, as many as the
    regions SCAN is published with (Lee et al., 2018). Rows are not normalised: that is the network's part.
    Cached and resumed like :func:`imtext.vision.features.extract_features`.

    On disk R x D x 4 bytes an image and view, half of it with ``dtype="float16"``. EfficientNet-Lite1 at 112:
    C4 82 kB, so 0.66 GB for Flickr8k's 8,091 images; C3 with ``grid=6`` 16 kB, so 0.13 GB. ResNet-152 at
    224, C4 with 49 cells: 0.4 MB, so 12.8 GB for Flickr30k and 49 GB for COCO.

    Args:
        backbone, store, cache_dir, crop, views, seed, scale, evaluation: see
            :func:`imtext.vision.features.extract_features`.
        batch_size, device, channels_last, precision: see
            :func:`imtext.vision.features.extract_features`.
        stage: ``"C1"`` to ``"C4"``.
        grid: side of the grid to which the map is brought by adaptive mean pooling, at most the map's side;
            None keeps the map's own cells.
        dtype: ``"float32"`` or ``"float16"``, of the file; float16 keeps three digits.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a feature is not finite (in float16: above 65,504), or the disk is full.
    """
    device, batch_size = _where(device, batch_size)
    _check(store, crop, views, batch_size, device, precision)
    if stage not in backbone.stage_dims or dtype not in _TYPES:
        raise ConfigError(
            f"stage={stage!r}, dtype={dtype!r}: expected one of {', '.join(backbone.stage_dims)} and one of "
            f"{', '.join(_TYPES)}"
        )
    side = _map_side(backbone, stage, crop)
    cells = _check_grid(side if grid is None else grid, side, f"{stage} at crop={crop}")
    read = _Cells(stage, cells)
    run = _lazy_runner(backbone, device, batch_size, channels_last, precision, read)
    narrow = torch.float16 if dtype == "float16" else torch.float32
    content = {"grid": _VERSION, "stage": stage, "cells": cells, "dtype": dtype}
    kept = _Views(
        store,
        crop,
        device,
        batch_size,
        Path(cache_dir).expanduser() / f"grid-{backbone.name}",
        {**_content(backbone, store, crop, precision), **content},
        (cells**2, int(backbone.stage_dims[stage])),
        lambda images: run(images).to(narrow),
        _TYPES[dtype],
    )
    found = kept.features(views, False, seed, scale, evaluation)
    boxes = cell_boxes(side, cells, crop, store.size)
    return GridFeatures(found.eval, found.train, found.key, boxes)


def _map_side(backbone: Backbone, stage: str, crop: int) -> int:
    """Cells along a side of the stage map of a ``crop x crop`` picture, found by trying."""
    with torch.inference_mode():
        return int(backbone.fused().cpu().stages(torch.zeros(1, 3, crop, crop))[stage].shape[-1])


def _check_grid(grid: int, side: int, what: str) -> int:
    if isinstance(grid, bool) or not isinstance(grid, int | np.integer) or not 1 <= grid <= side:
        raise ConfigError(f"grid={grid!r}: expected an integer of 1 to {side}, the side of the map {what}")
    return int(grid)


@dataclass(frozen=True)
class _Cells:
    """From pixels to the cells ``(B, R, D)`` of a stage map."""

    stage: str
    grid: int

    def __call__(self, net: Backbone, pixels: Tensor) -> Tensor:
        return grid_cells(net.stages(pixels)[self.stage], self.grid)


def grid_cells(maps: Tensor, grid: int | None = None) -> Tensor:
    """Cells ``(B, R, D)`` of ``maps (B, D, H, W)``, row by row, after adaptive mean pooling to ``grid``.

    >>> grid_cells(torch.arange(4.0).view(1, 1, 2, 2)).tolist()
    [[[0.0], [1.0], [2.0], [3.0]]]
    """
    if grid is not None and maps.shape[2:] != (grid, grid):
        maps = F.adaptive_avg_pool2d(maps, grid)
    return maps.flatten(2).transpose(1, 2)


def cell_boxes(side: int, grid: int | None = None, crop: int = 1, size: int = 1) -> np.ndarray:
    """Boxes ``(R, 4)`` of the cells of a map, float32: left, top, right, bottom as shares of a picture.

    What a cell sees reaches beyond its box, which is where it lies in the map laid over the crop. Boxes of a
    ``grid`` that does not divide ``side`` overlap, as the means do.

    Args:
        side: cells along a side of the map.
        grid: cells along a side after adaptive mean pooling; None for those of the map.
        crop, size: sides in pixels of the centre crop that the network sees and of the picture that the
            shares are of. With equal sides they are shares of the crop.

    >>> cell_boxes(2).tolist()[1]
    [0.5, 0.0, 1.0, 0.5]
    >>> cell_boxes(1, crop=112, size=128).tolist()
    [[0.0625, 0.0625, 0.9375, 0.9375]]
    """
    grid = side if grid is None else grid
    start = np.array([i * side // grid for i in range(grid)]) / side
    end = np.array([-(-(i + 1) * side // grid) for i in range(grid)]) / side
    margin = round((size - crop) / 2)  # as the centre crop is taken
    start, end = (margin + start * crop) / size, (margin + end * crop) / size
    row, column = np.divmod(np.arange(grid * grid), grid)
    return np.stack([start[column], start[row], end[column], end[row]], 1).astype(np.float32)
