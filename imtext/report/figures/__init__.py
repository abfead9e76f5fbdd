"""Figures. Each function takes plain numbers and returns a matplotlib Figure with transparent background."""

from __future__ import annotations

from imtext.report.figures.general import (
    attention_picture,
    diagram,
    group_maps,
    histograms,
    panels,
    sweep,
)
from imtext.report.figures.similarity import pearson_maps, similarity_histograms

__all__ = [
    "attention_picture",
    "diagram",
    "group_maps",
    "histograms",
    "panels",
    "pearson_maps",
    "similarity_histograms",
    "sweep",
]
