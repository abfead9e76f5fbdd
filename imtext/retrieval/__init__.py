"""Retrieval: ranks, recalls and searches over any embeddings, exactly and in blocks."""

from __future__ import annotations

from imtext.retrieval.embeddings import load_embeddings
from imtext.retrieval.ensemble import averaged, concatenated, mean_cosines, mean_scores
from imtext.retrieval.evaluate import Direction, Evaluation, evaluate, evaluate_scores
from imtext.retrieval.meaning import Graded, graded
from imtext.retrieval.pairs import told_apart
from imtext.retrieval.ranks import rank_of_targets
from imtext.retrieval.rerank import (
    Choice,
    choose_rerank,
    choose_rerank_scores,
    evaluate_reranked,
    rerank,
    rerank_scores,
)
from imtext.retrieval.similarity import top_k
from imtext.retrieval.spread import (
    Mixing,
    Separation,
    distance_to_others,
    mean_off_diagonal,
    modality_mixing,
    pearson_map,
    separation,
)
from imtext.retrieval.uncertainty import (
    Bootstrap,
    cluster_bootstrap,
    order_of_models,
    paired_bootstrap,
    rank_correlation,
)

__all__ = [
    "Bootstrap",
    "Choice",
    "Direction",
    "Evaluation",
    "Graded",
    "Mixing",
    "Separation",
    "averaged",
    "choose_rerank",
    "choose_rerank_scores",
    "cluster_bootstrap",
    "concatenated",
    "distance_to_others",
    "evaluate",
    "evaluate_reranked",
    "evaluate_scores",
    "graded",
    "load_embeddings",
    "mean_cosines",
    "mean_off_diagonal",
    "mean_scores",
    "modality_mixing",
    "order_of_models",
    "paired_bootstrap",
    "pearson_map",
    "rank_correlation",
    "rank_of_targets",
    "rerank",
    "rerank_scores",
    "separation",
    "told_apart",
    "top_k",
]
