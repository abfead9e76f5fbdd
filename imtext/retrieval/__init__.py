"""Retrieval: ranks, recalls and searches over any embeddings, exactly and in blocks."""

from __future__ import annotations

from imtext.retrieval.embeddings import load_embeddings
from imtext.retrieval.localisation import iou, localise, phrase_scores, truth_boxes
from imtext.retrieval.meaning import (
    Graded,
    coco_test_ids,
    extended_measures,
    extended_pairs,
    false_matches,
    graded,
    pair_matrix,
)
from imtext.retrieval.recall import Direction, Evaluation, evaluate, evaluate_scores, told_apart
from imtext.retrieval.reranking import Choice, choose_rerank, evaluate_reranked, rerank
from imtext.retrieval.similarity import mean_scores, top_k
from imtext.retrieval.spread import (
    Mixing,
    Separation,
    distance_to_others,
    mean_off_diagonal,
    modality_mixing,
    pearson_map,
    separation,
    separation_samples,
)
from imtext.retrieval.uncertainty import (
    cluster_bootstrap,
    order_of_models,
    rank_correlation,
)

__all__ = [
    "Choice",
    "Direction",
    "Evaluation",
    "Graded",
    "Mixing",
    "Separation",
    "choose_rerank",
    "cluster_bootstrap",
    "coco_test_ids",
    "distance_to_others",
    "evaluate",
    "evaluate_reranked",
    "evaluate_scores",
    "extended_measures",
    "extended_pairs",
    "false_matches",
    "graded",
    "iou",
    "load_embeddings",
    "localise",
    "mean_off_diagonal",
    "mean_scores",
    "modality_mixing",
    "order_of_models",
    "pair_matrix",
    "pearson_map",
    "phrase_scores",
    "rank_correlation",
    "rerank",
    "separation",
    "separation_samples",
    "told_apart",
    "top_k",
    "truth_boxes",
]
