"""Retrieval: ranks, recalls and searches over any embeddings, exactly and in blocks."""

from __future__ import annotations

from imtext.retrieval.agreement import compare_orders, rank_correlation
from imtext.retrieval.bootstrap import Bootstrap, cluster_bootstrap, paired_bootstrap
from imtext.retrieval.embeddings import load_embeddings
from imtext.retrieval.ensemble import averaged, concatenated, mean_cosines, mean_scores
from imtext.retrieval.evaluate import Direction, Evaluation, evaluate, evaluate_scores
from imtext.retrieval.graded import Graded, graded, order_of_models
from imtext.retrieval.mixing import Mixing, modality_mixing
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
from imtext.retrieval.separation import (
    Separation,
    distance_to_others,
    mean_off_diagonal,
    pearson_map,
    separation,
)
from imtext.retrieval.similarity import top_k

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
    "compare_orders",
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
