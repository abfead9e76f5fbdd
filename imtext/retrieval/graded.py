"""What recall@K does not see: right answers outside the query's own group, and nearly right ones.

Recall knows one right answer, the group that a query comes from. Where more is known, by human judgement or
from the scenes of a generated dataset, a pair of an image and a caption has a *relevance* between 0 and 1,
and pairs of at least ``threshold`` are *right*. From one ranking follow

- plain recall@K, the field's: a caption of the image's own group among the first K;
- semantic recall@K: anything right among the first K, the own group included;
- R-precision: the share of right items among the first R, where R is the number of right items;
- mAP@R: the mean over r = 1 … R of the precision among the first r, counted where the r-th item is right, as
  ECCV-Caption defines it (Chun et al., ECCV 2022; Musgrave et al., ECCV 2020);
- nDCG@K: relevance summed over the first K with weights 1 / log2(1 + rank), divided by the largest sum there
  can be (Järvelin and Kekäläinen, TOIS 2002), with the relevance itself as the gain.

Ties are broken by gallery index, so an embedding that has collapsed scores chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from imtext.errors import ConfigError, DataError
from imtext.retrieval.agreement import Correlation, OrderChange, Swap, compare_orders, rank_correlation
from imtext.retrieval.bootstrap import cluster_bootstrap
from imtext.retrieval.evaluate import RECALLS, Direction, Evaluation
from imtext.retrieval.judged import FirstWrong, false_matches, group_labels, pair_matrix
from imtext.retrieval.neighbours import as_scores
from imtext.retrieval.similarity import as_owners, slices, to_numpy

__all__ = [
    "Correlation",
    "FirstWrong",
    "Graded",
    "GradedSide",
    "OrderChange",
    "Swap",
    "compare_orders",
    "false_matches",
    "graded",
    "order_of_models",
    "pair_matrix",
    "rank_correlation",
]

SIDES = ("image_query", "text_query")
_NUMBERS = 1 << 22  # scores sorted at a time


@dataclass(frozen=True, eq=False)
class GradedSide:
    """One direction of search, one entry per query; shares are between 0 and 1.

    ``plain_ranks (Q,)`` of the own group and ``semantic_ranks (Q,)`` of anything right, both from 1;
    ``right (Q,)`` how many right items there are; ``r_precision (Q,)``, ``map_at_r (Q,)``;
    ``ndcg (Q, 3)`` at K of 1, 5 and 10.
    """

    plain_ranks: np.ndarray
    semantic_ranks: np.ndarray
    right: np.ndarray
    r_precision: np.ndarray
    map_at_r: np.ndarray
    ndcg: np.ndarray

    def per_query(self, measure: str) -> np.ndarray:
        """One measure of every query, (Q,) float64 of 0 to 1; see `Graded.value` for the names."""
        name, _, cut = measure.partition("@")
        if measure in ("r_precision", "map_at_r"):
            return getattr(self, measure)
        if name in ("recall", "semantic_recall") and cut.isdecimal() and int(cut):
            ranks = self.plain_ranks if name == "recall" else self.semantic_ranks
            return (ranks <= int(cut)).astype(np.float64)
        if name == "ndcg" and cut in map(str, RECALLS):
            return self.ndcg[:, RECALLS.index(int(cut))]
        raise ConfigError(
            f"measure={measure!r}: expected recall@K, semantic_recall@K, ndcg@1, ndcg@5, ndcg@10, "
            "r_precision, map_at_r, rsum or semantic_rsum"
        )


@dataclass(frozen=True, eq=False)
class Graded:
    """Both directions of search under plain, semantic and graded measures.

    ``plain`` and ``semantic`` are `Evaluation` of the same ranking, for tables and `paired_bootstrap`; in the
    second one further right pairs count as true.
    """

    image_query: GradedSide
    text_query: GradedSide
    plain: Evaluation
    semantic: Evaluation
    image_of_caption: np.ndarray = field(repr=False)

    def value(self, measure: str, side: str | None = None) -> float:
        """A measure in per cent.

        ``measure``: ``recall@K``, ``semantic_recall@K`` for any K, ``ndcg@1``, ``ndcg@5``, ``ndcg@10``,
        ``r_precision``, ``map_at_r``, or the six recalls added, ``rsum`` and ``semantic_rsum``. ``side``:
        ``image_query``, ``text_query``, or the mean of both (for the sums: both added).

        Raises `ConfigError` for other names.
        """
        return float(self._over_sides(measure, side, lambda s, name: 100 * self._of(s, name).mean()))

    def samples(self, measure: str, side: str | None = None, n: int = 2000, seed: int = 0) -> np.ndarray:
        """What `value` gives when other images are drawn, (n,): a bootstrap over images with their captions.

        The same ``n`` and ``seed`` draw the same images for every model of one dataset.
        """
        owners = {"image_query": np.arange(len(self.image_query.right)), "text_query": self.image_of_caption}
        return self._over_sides(
            measure, side, lambda s, name: 100 * cluster_bootstrap(self._of(s, name), owners[s], n, seed)
        )

    def _of(self, side: str, measure: str) -> np.ndarray:
        return getattr(self, side).per_query(measure)

    def _over_sides(self, measure: str, side: str | None, number: Any) -> Any:
        """``number(side, measure)`` over the sides and, for an R-sum, over its recalls."""
        if side is not None and side not in SIDES:
            raise ConfigError(f"side={side!r}: expected image_query, text_query or None")
        sides = SIDES if side is None else (side,)
        if measure in ("rsum", "semantic_rsum"):
            name = "recall" if measure == "rsum" else "semantic_recall"
            return sum(number(s, f"{name}@{k}") for s in sides for k in RECALLS)
        return sum(number(s, measure) for s in sides) / len(sides)

    def row(self) -> dict[str, float]:
        """One flat row for a table, in per cent: ``image_query_semantic_r1`` … ``semantic_rsum``."""
        names = {f"r{k}": f"recall@{k}" for k in RECALLS}
        names |= {f"semantic_r{k}": f"semantic_recall@{k}" for k in RECALLS}
        names |= {f"ndcg{k}": f"ndcg@{k}" for k in RECALLS}
        names |= {"r_precision": "r_precision", "map_at_r": "map_at_r"}
        flat = {f"{s}_{short}": self.value(name, s) for s in SIDES for short, name in names.items()}
        return {**flat, "rsum": self.value("rsum"), "semantic_rsum": self.value("semantic_rsum")}


def graded(
    scores: Any,
    image_of_caption: Any,
    relevance: Any = None,
    threshold: float = 1.0,
    group_of_image: Any = None,
) -> Graded:
    """Plain, semantic and graded measures of one model, both directions.

    Args:
        scores: ``(N, M)``, images by captions, higher is better, compared as they are
            (:func:`imtext.retrieval.mean_cosines` makes them from embeddings).
        image_of_caption: ``(M,)``, as in :func:`imtext.retrieval.evaluate`.
        relevance: ``(N, M)`` in [0, 1], an array or a scipy sparse matrix; what is not stored is 0. The pairs
            of the own group are 1 whatever stands there. Default: nothing else is relevant.
        threshold: pairs of at least this relevance are right.
        group_of_image: ``(N,)``: images of one group are matches of each other's captions.

    Raises:
        DataError: arrays that do not fit, NaN, a relevance outside [0, 1], an image without a caption.
        ConfigError: a threshold outside (0, 1].

    >>> result = graded([[0.1, 0.9], [0.2, 0.3]], [0, 1], [[1, 1], [0, 1]])
    >>> result.value("recall@1"), result.value("semantic_recall@1"), result.value("recall@1", "image_query")
    (25.0, 75.0, 50.0)
    """
    matrix = as_scores(scores, "scores")
    owners = as_owners(image_of_caption, *matrix.shape).numpy()
    _check_silent(owners, len(matrix))
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold <= 1:
        raise ConfigError(f"threshold={threshold!r}: expected a relevance above 0 and at most 1")
    gains = _as_relevance(relevance, matrix.shape)
    labels = group_labels(group_of_image, len(matrix))
    of_caption = labels[owners]
    sides = [
        _side(matrix, gains, labels, of_caption, threshold),
        _side(
            matrix.T, gains.T.tocsr() if sparse.issparse(gains) else gains.T, of_caption, labels, threshold
        ),
    ]
    evaluations = [
        Evaluation(Direction.of_ranks(a), Direction.of_ranks(b), a, b, owners)
        for a, b in zip(*((side.plain_ranks, side.semantic_ranks) for side in sides), strict=True)
    ]
    return Graded(*sides, *evaluations, owners)


def _check_silent(owners: np.ndarray, n_images: int) -> None:
    silent = np.flatnonzero(np.bincount(owners, minlength=n_images) == 0)
    if len(silent):
        raise DataError(
            f"image {silent[0]} has no caption ({len(silent)} such images), expected at least one for every "
            "image; leave these images out"
        )


def _as_relevance(relevance: Any, shape: tuple[int, int]) -> Any:
    """A dense array or CSR matrix of the shape, with values in [0, 1]."""
    if relevance is None:
        return sparse.csr_matrix(shape, dtype=np.float32)
    matrix = relevance.tocsr() if sparse.issparse(relevance) else to_numpy(relevance)
    if matrix.shape != shape or matrix.dtype.kind not in "biuf":
        raise DataError(
            f"relevance: expected numbers of shape {shape}, found {matrix.dtype} of shape {matrix.shape}"
        )
    stored = matrix.data if sparse.issparse(matrix) else matrix
    if stored.size and not (stored.min() >= 0 and stored.max() <= 1):  # also false for NaN
        raise DataError(
            f"relevance: expected numbers of 0 to 1, found {stored.min()} to {stored.max()}; scale them"
        )
    return matrix


def _side(
    scores: np.ndarray, gains: Any, queries: np.ndarray, gallery: np.ndarray, threshold: float
) -> GradedSide:
    """One direction: ``scores`` and ``gains (Q, G)``, and the group of each query and gallery item."""
    size = scores.shape[1]
    discounts = 1 / np.log2(np.arange(2, 2 + min(size, max(RECALLS))))
    parts: list[tuple[np.ndarray, ...]] = []
    for part in slices(len(scores), max(1, _NUMBERS // size)):
        block = scores[part]
        block = block.astype(np.float64) if block.dtype.kind != "f" else block
        order = np.argsort(-block, axis=1, kind="stable")
        own = queries[part, None] == gallery[None, :]
        gain = gains[part].toarray() if sparse.issparse(gains) else gains[part]
        gain = np.where(own, 1.0, gain.astype(np.float64))
        ranked = np.take_along_axis(gain, order, 1)
        parts.append(
            (
                _first(np.take_along_axis(own, order, 1)),
                *_by_rank(ranked, threshold),
                _ndcg(ranked, discounts),
            )
        )
    return GradedSide(*map(np.concatenate, zip(*parts, strict=True)))


def _first(true: np.ndarray) -> np.ndarray:
    """The place, from 1, of the first true entry of each row."""
    return true.argmax(1) + 1


def _by_rank(ranked: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    """Rank of the first right item, number of right items, R-precision, mAP@R; gains in order of rank."""
    right = ranked >= threshold
    count = right.sum(1)
    found = right.cumsum(1)
    rows = np.arange(len(right))
    precision = right * found / np.arange(1, right.shape[1] + 1)
    total = precision.cumsum(1)[rows, count - 1]
    return _first(right), count, found[rows, count - 1] / count, total / count


def _ndcg(ranked: np.ndarray, discounts: np.ndarray) -> np.ndarray:
    """nDCG at 1, 5 and 10 (Q, 3); a gallery smaller than K is taken whole."""
    depth = len(discounts)
    best = -np.sort(-ranked, axis=1)[:, :depth]
    gained, ideal = ((part * discounts).cumsum(1) for part in (ranked[:, :depth], best))
    cuts = [min(k, depth) - 1 for k in RECALLS]
    return gained[:, cuts] / ideal[:, cuts]


def order_of_models(
    results: Any,
    first: str = "rsum",
    second: str = "semantic_rsum",
    side: str | None = None,
    n: int = 2000,
    seed: int = 0,
) -> OrderChange:
    """Does the order of several models change from one measure to another?

    ``results``: `Graded` of each model by name, all on one dataset. ``first``, ``second``, ``side``: as in
    `Graded.value`. Images are drawn with their captions, the same ones for every model.

    Raises `DataError` for fewer than two models or models of several datasets, `ConfigError` for names.
    """
    models = dict(results)
    if len({tuple(m.image_of_caption.tolist()) for m in models.values()}) > 1:
        raise DataError("results: the models were evaluated on different captions; compare one dataset")
    values = [{name: m.value(measure, side) for name, m in models.items()} for measure in (first, second)]
    samples = [
        {name: m.samples(measure, side, n, seed) for name, m in models.items()} for measure in (first, second)
    ]
    return compare_orders(*values, *samples)
