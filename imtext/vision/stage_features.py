"""Rich image representation (Fu et al., section III.A): maxima and means of the stage maps C1…C4.

They are computed in one pass of the backbone over every image and kept in one file; the seven variants of the
paper's section IV.D are selections of its columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.errors import ConfigError, DataError
from imtext.vision.features import Features, _check, _content, _key, _lazy_runner, _Views, _where

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

RICH_VARIANTS = (
    "avg-4",
    "avg-4-max-4",
    "avg-4-max-34",
    "avg-4-max-123",
    "avg-4-max-1234",
    "avg-1234",
    "avg-1234-max-1234",
)
"""Which stages are pooled by their mean (avg) and by their maximum (max), by the names of section IV.D."""

STAGES = ("C1", "C2", "C3", "C4")

_VERSION = 1
_ROWS = 4096  # of a file, normalised at a time
_POOLS = ("max", "avg")  # Eq. 2 has the maxima first

Pool = tuple[str, str]  # "max" or "avg", stage


@dataclass(frozen=True, eq=False)
class StageFeatures(Features):
    """Pooled stage maps of all N images of a store, memory-mapped and read-only.

    The W = 2 (C1 + C2 + C3 + C4) columns are the maxima of C1, C2, C3 and C4 and then their means, as they
    come out of the network, without normalisation.

    Attributes:
        eval: ``(1, N, W)`` float32, of the centre crop; ``(2, N, W)`` with its mirror image.
        train: ``(views, N, W)`` float32, each view a random-resized crop, mirrored half of the time.
        key: hash of all that determines them.
        stage_dims: channels by stage name, which say where the columns of a stage are.
    """

    stage_dims: Mapping[str, int]


def extract_stage_features(
    backbone: Backbone,
    store: ImageStore,
    cache_dir: str | os.PathLike[str],
    crop: int,
    views: int = 0,
    mirror: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    precision: str = "32",
    scale: tuple[float, float] = (0.6, 1.0),
    evaluation: bool = True,
) -> StageFeatures:
    """Pooled stage maps of every image of ``store``, from the cache where it has them.

    One pass of the network gives what all of :data:`RICH_VARIANTS` need. Pooling is over the whole map, as
    the paper's kernels of 56, 28, 14 and 7 are at 224 pixels (section IV.B). The paper crops at random
    without resizing; the training views here are those of
    :func:`imtext.vision.features.extract_features`, of which cache, resumption and parameters are the same.

    Time beside that function with EfficientNet-Lite1 at 112 pixels on one CPU core: the same within 2 %.
    On disk 8 bytes a channel, image and view: with EfficientNet-Lite1 (1,456 channels) 11.6 kB, so 94 MB for
    Flickr8k; with ResNet-152 (3,840 channels) 30.7 kB, so 1.0 GB for Flickr30k and 3.8 GB for COCO.

    Args:
        backbone: any module with ``name``, ``stage_dims``, ``stages()``, ``mean``, ``std``,
            ``weights_digest`` and ``fused()``.
        store, cache_dir, crop, views, seed, scale, evaluation: see
            :func:`imtext.vision.features.extract_features`.
        batch_size, device, channels_last, precision: see
            :func:`imtext.vision.features.extract_features`.
        mirror: whether ``eval`` holds the mirror image as well; the paper tests on the centre crop alone.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a pooled feature is not finite, or the disk is full.
    """
    device, batch_size = _where(device, batch_size)
    _check(store, crop, views, batch_size, device, precision)
    dims = {stage: int(backbone.stage_dims[stage]) for stage in STAGES}
    kept = _Views(
        store,
        crop,
        device,
        batch_size,
        Path(cache_dir).expanduser() / f"stages-{backbone.name}",
        {**_content(backbone, store, crop, precision), "stages": _VERSION},
        (2 * sum(dims.values()),),
        _lazy_runner(backbone, device, batch_size, channels_last, precision, _read),
    )
    found = kept.features(views, mirror, seed, scale, evaluation)
    return StageFeatures(found.eval, found.train, found.key, dims)


def _read(net: Backbone, pixels: Tensor) -> Tensor:
    return pool_stages(net.stages(pixels))


def pool_stages(maps: Mapping[str, Tensor]) -> Tensor:
    """Maxima, then means, of the maps C1…C4 ``(B, C, H, W)`` over all places: ``(B, 2 (C1 + … + C4))``.

    Half precision becomes float32.

    >>> maps = {f"C{i}": torch.tensor([[[[0.0, 2.0 * i]]]]) for i in (1, 2, 3, 4)}
    >>> pool_stages(maps).tolist()
    [[2.0, 4.0, 6.0, 8.0, 1.0, 2.0, 3.0, 4.0]]
    """
    return torch.cat([_pooled(maps[stage], pool) for pool in _POOLS for stage in STAGES], 1)


def _pooled(maps: Tensor, pool: str) -> Tensor:
    """Maximum or mean of ``maps (B, C, H, W)`` over all places, ``(B, C)``."""
    whole = torch.promote_types(maps.dtype, torch.float32)
    if pool == "avg":
        return maps.mean((2, 3), dtype=whole)
    # The same numbers; a kernel over the whole map is up to ten times as fast on a CPU, and slow on a GPU.
    high = maps.amax((2, 3)) if maps.is_cuda else F.max_pool2d(maps, maps.shape[2:]).flatten(1)
    return high.to(whole)


def rich_parts(variant: str) -> tuple[Pool, ...]:
    """What a variant is made of, in the order of Eq. 2: maxima before means, lower stages first.

    The names are read literally: ``avg-…`` lists the stages pooled by their mean, ``max-…`` those pooled by
    their maximum. Section IV.D describes ``avg-1234`` as max-pooling of all four stages; by its name, and
    as it describes ``avg-1234-max-1234``, that is a slip, and here it means mean pooling.

    Raises:
        ConfigError: the variant is not one of :data:`RICH_VARIANTS`.

    >>> rich_parts("avg-4-max-34")
    (('max', 'C3'), ('max', 'C4'), ('avg', 'C4'))
    """
    if variant not in RICH_VARIANTS:
        raise ConfigError(f"variant={variant!r}: expected one of {', '.join(RICH_VARIANTS)}")
    words = variant.split("-")
    stages = dict(zip(words[::2], words[1::2], strict=True))
    return tuple((pool, f"C{number}") for pool in _POOLS for number in stages.get(pool, ""))


def variant_dim(variant: str, stage_dims: Mapping[str, int]) -> int:
    """Length of a rich feature, from the channels by stage name.

    Raises:
        ConfigError: the variant is unknown.

    >>> variant_dim("avg-4-max-1234", {"C1": 256, "C2": 512, "C3": 1024, "C4": 2048})  # ResNet-152
    5888
    """
    return sum(stage_dims[stage] for _, stage in rich_parts(variant))


@overload
def rich_image_features(pooled: StageFeatures, variant: str) -> Features: ...
@overload
def rich_image_features(pooled: np.ndarray, variant: str, stage_dims: Mapping[str, int]) -> np.ndarray: ...
@overload
def rich_image_features(pooled: Tensor, variant: str, stage_dims: Mapping[str, int]) -> Tensor: ...


def rich_image_features(pooled, variant, stage_dims=None):
    """Rich image representation (Fu et al., Eq. 2) from pooled stage maps: select, join, divide by the norm.

    ``Norm_L2 [max C1, max C2, max C3, max C4, avg C4]`` is ``"avg-4-max-1234"``; the other names leave parts
    out or add means, see :func:`rich_parts` for how they are read. The whole vector has length 1, not
    each part; a feature of zeros stays zero. So a part counts by the size of its numbers: with
    EfficientNet-Lite1, whose C1 to C3 are not rectified, their maxima hold 90 % of the squared length of
    ``"avg-4-max-1234"`` and the mean of C4 1 % (512 photographs of Flickr8k at 112 pixels).

    Args:
        pooled: what :func:`extract_stage_features` returns; or rows ``(..., W)`` of its arrays, such as one
            batch, as an array or a tensor on any device.
        variant: one of :data:`RICH_VARIANTS`.
        stage_dims: channels by stage name; for rows alone.

    Returns:
        Features with ``eval (sides, N, D)`` and ``train (views, N, D)``, float32 in memory, 4 bytes a number
        (1.0 GB for ``"avg-4-max-1234"`` of ResNet-152 for 43,000 images); or rows ``(..., D)`` like
        ``pooled``, half precision as float32. D is that of :func:`variant_dim`.

    Raises:
        ConfigError: the variant is unknown.
        DataError: rows of another length than the stages give, or that are not finite.

    >>> dims = {"C1": 1, "C2": 1, "C3": 1, "C4": 1}
    >>> rows = np.array([[9, 9, 9, 4, 9, 9, 9, 3]], np.float32)
    >>> rich_image_features(rows, "avg-4-max-4", dims).round(3).tolist()
    [[0.800000..., 0.600000...]]
    """
    if isinstance(pooled, StageFeatures):
        parts = [_all_rows(views, variant, pooled.stage_dims) for views in (pooled.eval, pooled.train)]
        return Features(*parts, key=_key({"stages": pooled.key, "variant": variant}))
    columns = list(_columns(variant, stage_dims or {}, pooled.shape))
    if isinstance(pooled, Tensor):
        return _unit(torch.cat([pooled[..., part] for part in columns], -1))
    chosen = np.concatenate([pooled[..., part] for part in columns], -1)
    return _unit(torch.from_numpy(chosen)).numpy()


def _columns(variant: str, stage_dims: Mapping[str, int], shape: tuple[int, ...]) -> Iterator[slice]:
    """Where the parts of ``variant`` lie in the columns of rows of ``shape``."""
    parts = rich_parts(variant)
    width = 2 * sum(stage_dims.get(stage, 0) for stage in STAGES)
    if not set(STAGES) <= set(stage_dims) or not shape or shape[-1] != width:
        raise DataError(
            f"pooled stages {tuple(shape)}: expected rows of {width}, twice the channels of "
            f"stage_dims={dict(stage_dims)}; pass what extract_stage_features gave, and its stage_dims"
        )
    for pool, stage in parts:
        first = (width // 2) * (pool == "avg") + sum(stage_dims[s] for s in STAGES[: STAGES.index(stage)])
        yield slice(first, first + stage_dims[stage])


def _unit(rows: Tensor, check: bool = True) -> Tensor:
    """Rows ``(..., D)`` divided by their norms, in float32 or better; ``check`` that they are finite."""
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    norm = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    if check and not bool(norm.isfinite().all()):
        raise DataError("pooled stages hold NaN or infinity; check the weights and extract them again")
    return rows / norm.clamp_min(1e-12)


def _all_rows(views: np.ndarray, variant: str, stage_dims: Mapping[str, int]) -> np.ndarray:
    """Rich features of ``views (V, N, W)`` in memory, some rows at a time."""
    out = np.empty((*views.shape[:2], variant_dim(variant, stage_dims)), np.float32)
    for view, rows in enumerate(views):
        for first in range(0, len(rows), _ROWS):
            some = slice(first, first + _ROWS)
            out[view, some] = rich_image_features(rows[some], variant, stage_dims)
    out.flags.writeable = False
    return out


class RichPool(nn.Module):
    """The rich image representation of live stage maps: for a backbone that is trained.

    ``forward(maps)`` takes what :meth:`imtext.vision.backbones.Backbone.stages` gives and returns
    ``(B, D)``, rows of length 1 (zeros stay zero): the numbers of :func:`rich_image_features`. It pools the
    stages of its variant alone, has no parameters, and works in float32 where autocast gives less.

    Raises:
        ConfigError: the variant is unknown.
        DataError: a stage is missing among the maps.

    >>> maps = {"C4": torch.tensor([[[[0.0, 4.0], [4.0, 4.0]]]])}
    >>> RichPool("avg-4-max-4")(maps).round(decimals=3).tolist()
    [[0.800000..., 0.600000...]]
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant, self.parts = variant, rich_parts(variant)

    def dim(self, stage_dims: Mapping[str, int]) -> int:
        """Length of the feature, see :func:`variant_dim`."""
        return variant_dim(self.variant, stage_dims)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Rich features ``(B, D)`` of maps ``(B, C, H, W)`` by stage name."""
        missing = [stage for _, stage in self.parts if stage not in maps]
        if missing:
            raise DataError(
                f"RichPool({self.variant!r}): expected maps C1 to C4 as Backbone.stages gives them, "
                f"found {', '.join(maps) or 'none'}; {missing[0]} is missing"
            )
        return _unit(torch.cat([_pooled(maps[stage], pool) for pool, stage in self.parts], 1), check=False)

    def extra_repr(self) -> str:
        """The variant, for ``print``."""
        return repr(self.variant)


class RichBackbone(nn.Module):
    """A backbone that gives the rich image representation in place of its pooled feature.

    ``forward(x)`` takes normalised pixels ``x (B, 3, H, W)`` and returns ``(B, dim)``, rows of length 1. With
    ``backbone.fused()`` or in evaluation mode these are the numbers of :func:`rich_image_features`.

    Attributes: ``backbone``; ``pool``, a :class:`RichPool`; ``dim``; ``mean`` and ``std`` of the backbone.

    Raises:
        ConfigError: the variant is unknown.

    >>> from imtext.vision import load_backbone
    >>> RichBackbone(load_backbone("resnet18", weights=None), "avg-4-max-1234").dim
    1472
    """

    def __init__(self, backbone: Backbone, variant: str) -> None:
        super().__init__()
        self.backbone, self.pool = backbone, RichPool(variant)
        self.dim = self.pool.dim(backbone.stage_dims)
        self.mean, self.std = backbone.mean, backbone.std

    def forward(self, x: Tensor) -> Tensor:
        """Rich features ``(B, dim)`` of normalised ``x (B, 3, H, W)``."""
        return self.pool(self.backbone.stages(x))
