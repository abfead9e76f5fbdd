"""Features averaged over crops of each image: corners, centre, and the mirror images of all five."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from imtext.data.transforms import centre, mirror
from imtext.errors import ConfigError
from imtext.vision.features import (
    Chunk,
    _cached,
    _check,
    _chunks,
    _content,
    _images,
    _key,
    _lazy_runner,
    _where,
)

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

CROPS = (10, 5, 2, 1)
"""Ten crops; the five without their mirror images; centre and its mirror image; the centre alone."""


def extract_ten_crop(
    backbone: Backbone,
    store: ImageStore,
    cache_dir: str | os.PathLike[str],
    crop: int,
    crops: int = 10,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    precision: str = "32",
) -> np.ndarray:
    """Mean feature over several crops of every image, ``(N, D)`` float32, memory-mapped and read-only.

    Structure-Preserving Embeddings, section 3.1: the image at ``256 x 256`` is cropped to ``224 x 224`` at
    the four corners and the centre, mirrored, and the network's ten outputs are averaged. Here the sides are
    those of ``store`` and ``crop``. Cached and resumed like
    :func:`imtext.vision.features.extract_features`, in files of its own.

    Args:
        backbone, store, cache_dir, batch_size, device, channels_last, precision: see
            :func:`imtext.vision.features.extract_features`.
        crop: side in pixels that the backbone sees.
        crops: 10; or 5 for corners and centre, 2 for the centre and its mirror image, 1 for the centre: fewer
            passes of the network, for a quick look.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a feature is not finite, or the disk is full.
    """
    device, batch_size = _where(device, batch_size)
    _check(store, crop, 0, batch_size, device, precision)
    if crops not in CROPS:
        raise ConfigError(f"crops={crops!r}: expected one of {CROPS}")
    key = _key({**_content(backbone, store, crop, precision), "crops": int(crops)})
    run = _lazy_runner(backbone, device, batch_size, channels_last, precision)

    def mean(group: list[Chunk]) -> Tensor:
        images = torch.cat([_images(store, first, last, device) for _, first, last in group])
        total: Tensor | None = None
        for view in crop_views(images, crop, crops):
            features = run(view)
            total = features if total is None else total.add_(features)
        return total.div_(crops)

    return _cached(
        Path(cache_dir).expanduser() / f"features-{backbone.name}-crops{crops}-{key}.npy",
        (len(store), backbone.dim),
        _chunks(1, len(store)),
        mean,
        batch_size,
    )


def crop_views(images: Tensor, crop: int, crops: int = 10) -> list[Tensor]:
    """The crops of ``images (B, 3, H, W)``, each ``(B, 3, crop, crop)``, centre first, mirror images last.

    >>> [view.flatten().tolist() for view in crop_views(torch.arange(9).reshape(1, 1, 3, 3), 1, 5)]
    [[4], [0], [2], [6], [8]]
    """
    middle = centre(images, crop)
    if crops in (1, 2):
        return [middle] if crops == 1 else [middle, mirror(middle)]
    corners = [images[..., y, x] for y in _ends(crop) for x in _ends(crop)]
    views = [middle, *corners]
    return views if crops == 5 else views + [mirror(view) for view in views]


def _ends(crop: int) -> tuple[slice, slice]:
    return slice(None, crop), slice(-crop, None)
