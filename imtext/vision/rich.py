"""Rich image representation (Fu et al., section III.A): maxima and means of the stage maps C1…C4.

The seven variants of the paper's section IV.D are selections of the columns of
:data:`imtext.vision.features.stages`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import normalize

from imtext.check import one_of
from imtext.errors import DataError
from imtext.vision.features import POOLS

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
UNIT = "-unit"
"""Ends the name of a variant of which each part has length 1 too: ours."""


def rich_parts(variant: str) -> tuple[tuple[str, str], ...]:
    """What a variant is made of, in the order of Eq. 2: maxima before means, lower stages first.

    The names are read literally: ``avg-…`` lists the stages pooled by their mean, ``max-…`` those pooled by
    their maximum. Section IV.D describes ``avg-1234`` as max-pooling of all four stages; by its name, and
    as it describes ``avg-1234-max-1234``, that is a slip, and here it means mean pooling.

    Raises:
        ConfigError: the variant is not one of :data:`RICH_VARIANTS`.

    >>> rich_parts("avg-4-max-34")
    (('max', 'C3'), ('max', 'C4'), ('avg', 'C4'))
    """
    words = one_of("variant", variant.removesuffix(UNIT), RICH_VARIANTS).split("-")
    numbers = dict(zip(words[::2], words[1::2], strict=True))
    return tuple((pool, f"C{number}") for pool in POOLS for number in numbers.get(pool, ""))


def variant_dim(variant: str, stage_dims: Mapping[str, int]) -> int:
    """Length of a rich feature, from the channels by stage name.

    Raises:
        ConfigError: the variant is unknown, or asks for a stage that the backbone does not have.

    >>> variant_dim("avg-4-max-1234", {"C1": 256, "C2": 512, "C3": 1024, "C4": 2048})  # ResNet-152
    5888
    """
    for _, stage in rich_parts(variant):
        one_of(f"stage of {variant}", stage, stage_dims)
    return sum(stage_dims[stage] for _, stage in rich_parts(variant))


def rich_image_features(pooled: np.ndarray, variant: str, stage_dims: Mapping[str, int]) -> np.ndarray:
    """Rich image representation (Fu et al., Eq. 2) from pooled stage maps: select, join, divide by the norm.

    ``Norm_L2 [max C1, max C2, max C3, max C4, avg C4]`` is ``"avg-4-max-1234"``; the other names leave parts
    out or add means, see :func:`rich_parts` for how they are read. The whole vector has length 1, not
    each part; a feature of zeros stays zero. So a part counts by the size of its numbers: with
    EfficientNet-Lite1, whose C1 to C3 are not rectified, their maxima hold 90 % of the squared length of
    ``"avg-4-max-1234"`` and the mean of C4 1 % (512 photographs of Flickr8k at 112 pixels).

    Args:
        pooled: rows ``(..., W)`` of :data:`imtext.vision.features.stages`.
        variant: one of :data:`RICH_VARIANTS`; with :data:`UNIT` behind it each part has length 1 first.
        stage_dims: the backbone's channels by stage name.

    Returns:
        ``(..., D)`` in memory, D as of :func:`variant_dim`: float32, 4 bytes a number (1.0 GB for
        ``"avg-4-max-1234"`` of ResNet-152 for 43,000 images).

    Raises:
        ConfigError: the variant is unknown.
        DataError: rows of another length than the stages give.

    >>> dims = {"C1": 1, "C2": 1, "C3": 1, "C4": 1}
    >>> rows = np.array([[9, 9, 9, 4, 9, 9, 9, 3]], np.float32)
    >>> rich_image_features(rows, "avg-4-max-4", dims).round(3).tolist()
    [[0.800000..., 0.600000...]]
    """
    all_parts = [(pool, stage) for pool in POOLS for stage in stage_dims]
    ends = np.cumsum([stage_dims[stage] for _, stage in all_parts])
    if pooled.shape[-1] != ends[-1]:
        raise DataError(
            f"pooled stages {pooled.shape}: expected rows of {ends[-1]}, twice the channels of "
            f"stage_dims={dict(stage_dims)}; pass what extract(..., read=stages) gave"
        )
    parts = dict(zip(all_parts, np.split(pooled, ends[:-1], -1), strict=True))
    chosen = [parts[part] for part in rich_parts(variant)]
    if variant.endswith(UNIT):
        chosen = [_unit(np.array(part)) for part in chosen]
    return _unit(np.concatenate(chosen, -1))


def _unit(rows: np.ndarray) -> np.ndarray:
    # Not unit_rows: those of an untrained network may be shorter than 1e-8 and have a direction all the same.
    return normalize(torch.from_numpy(rows), dim=-1).numpy()
