"""Figures. Each function takes plain numbers and returns a matplotlib Figure with transparent background."""

from __future__ import annotations

from imtext.report.figures.ablation import word_ablation
from imtext.report.figures.attention import attention_picture
from imtext.report.figures.boxes import boxes
from imtext.report.figures.branches import branches
from imtext.report.figures.cards import group_cards
from imtext.report.figures.correlation import pearson_maps
from imtext.report.figures.curves import error_curves
from imtext.report.figures.gallery import caption_search, image_search, picture_rows
from imtext.report.figures.general import diagram, group_maps, histograms, panels, sweep
from imtext.report.figures.neighbourhoods import neighbourhoods
from imtext.report.figures.plane import geometry
from imtext.report.figures.rich import rich_network, rich_vectors
from imtext.report.figures.similarity import similarity_histograms
from imtext.report.figures.triplet import hinge_histograms, triplets
from imtext.report.figures.words import word_classes

__all__ = [
    "attention_picture",
    "boxes",
    "branches",
    "diagram",
    "error_curves",
    "geometry",
    "group_cards",
    "group_maps",
    "hinge_histograms",
    "histograms",
    "image_search",
    "neighbourhoods",
    "pearson_maps",
    "panels",
    "picture_rows",
    "rich_network",
    "rich_vectors",
    "caption_search",
    "similarity_histograms",
    "sweep",
    "triplets",
    "word_ablation",
    "word_classes",
]
