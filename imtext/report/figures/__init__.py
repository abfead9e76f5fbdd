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
from imtext.report.figures.neighbourhoods import neighbourhoods
from imtext.report.figures.panels import diagram, group_maps, histograms, panels, sweep
from imtext.report.figures.plane import geometry
from imtext.report.figures.rich import rich_network, rich_vectors
from imtext.report.figures.single_network import (
    collapse_curves,
    measure_ranks,
    modality_map,
    modality_maps,
    right_but_wrong,
    similar_pairs,
    single_network_diagram,
)
from imtext.report.figures.text_pictures import text_picture_parts, text_pictures
from imtext.report.figures.triplet import hinge_histograms, triplets
from imtext.report.figures.words import word_classes

__all__ = [
    "IntraSimilarities",
    "attention_picture",
    "boxes",
    "branches",
    "collapse_curves",
    "diagram",
    "error_curves",
    "geometry",
    "group_cards",
    "group_maps",
    "hinge_histograms",
    "histograms",
    "image_search",
    "measure_ranks",
    "modality_map",
    "modality_maps",
    "neighbourhoods",
    "pearson_maps",
    "panels",
    "picture_rows",
    "rich_network",
    "rich_vectors",
    "right_but_wrong",
    "sentence_search",
    "similar_pairs",
    "similarity_histograms",
    "single_network_diagram",
    "sweep",
    "text_picture_parts",
    "text_pictures",
    "triplets",
    "word_ablation",
    "word_classes",
]
