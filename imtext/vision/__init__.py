"""Images as numbers: backbones by name with stage maps, and features computed once and cached."""

from __future__ import annotations

from imtext.vision.backbones import LITE, Backbone, frozen_norm, load_backbone
from imtext.vision.features import Features, extract_features

__all__ = [
    "LITE",
    "Backbone",
    "Features",
    "extract_features",
    "frozen_norm",
    "load_backbone",
]
