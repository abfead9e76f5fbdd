"""Figures. Each function takes plain numbers and returns a matplotlib Figure with transparent background."""

from __future__ import annotations

from imtext.report.figures.ablation import word_ablation
from imtext.report.figures.attention import attention_picture
from imtext.report.figures.boxes import boxes
from imtext.report.figures.branches import branches
from imtext.report.figures.cards import group_cards
from imtext.report.figures.correlation import pearson_maps
from imtext.report.figures.curves import error_curves
from imtext.report.figures.gallery import image_search, picture_rows, sentence_search
from imtext.report.figures.histograms import similarity_histograms
from imtext.report.figures.intra_groups import GroupMap, group_geometry
from imtext.report.figures.intra_modal import (
    ForceCurve,
    IntraSimilarities,
    force_curves,
    intra_histograms,
    weight_sweep,
)
from imtext.report.figures.intra_network import network_diagram
from imtext.report.figures.neighbourhoods import neighbourhoods
from imtext.report.figures.plane import geometry
from imtext.report.figures.rich import rich_network, rich_vectors
from imtext.report.figures.triplet import hinge_histograms, hinge_shares, triplets
from imtext.report.figures.words import word_classes

__all__ = [
    "ForceCurve",
    "GroupMap",
    "IntraSimilarities",
    "ForceCurve",
    "GroupMap",
    "IntraSimilarities",
    "attention_picture",
    "boxes",
    "branches",
    "error_curves",
    "force_curves",
    "force_curves",
    "geometry",
    "group_cards",
    "group_geometry",
    "group_geometry",
    "hinge_histograms",
    "hinge_shares",
    "image_search",
    "intra_histograms",
    "intra_histograms",
    "neighbourhoods",
    "network_diagram",
    "network_diagram",
    "pearson_maps",
    "picture_rows",
    "rich_network",
    "rich_vectors",
    "sentence_search",
    "similarity_histograms",
    "triplets",
    "weight_sweep",
    "weight_sweep",
    "word_ablation",
    "word_classes",
]
