"""Images as numbers: backbones by name with stage maps, and features computed once and cached."""

from __future__ import annotations

from imtext.vision.backbones import BACKBONES, Backbone, imagenet_categories, load_backbone
from imtext.vision.features import Features, extract_features

__all__ = [
    "BACKBONES",
    "Backbone",
    "Features",
    "extract_features",
    "imagenet_categories",
    "load_backbone",
]
