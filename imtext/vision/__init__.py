"""Images as numbers: backbones by name with stage maps, and features computed once and cached."""

from __future__ import annotations

from imtext.vision.backbones import LITE, Backbone, frozen_norm, load_backbone
from imtext.vision.features import Features, Reader, cells, extract, pooled, stages, ten_crop
from imtext.vision.region_proposals import proposals, proposals_of
from imtext.vision.regions import box_features, image_extents, write_box_regions
from imtext.vision.rich import RICH_VARIANTS, rich_image_features

__all__ = [
    "LITE",
    "RICH_VARIANTS",
    "Backbone",
    "Features",
    "Reader",
    "box_features",
    "cells",
    "extract",
    "frozen_norm",
    "image_extents",
    "load_backbone",
    "pooled",
    "proposals",
    "proposals_of",
    "rich_image_features",
    "stages",
    "ten_crop",
    "write_box_regions",
]
