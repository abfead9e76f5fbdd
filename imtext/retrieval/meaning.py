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

Ties are broken by gallery index, so an embedding that has collapsed scores chance. For COCO's test set CxC
and ECCV-Caption list further right pairs: :func:`extended_pairs`, :func:`extended_measures`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from imtext.check import number, one_of
from imtext.errors import ConfigError, DataError
from imtext.retrieval.recall import RECALLS, as_groups, check_captioned
from imtext.retrieval.similarity import as_owners, as_scores, order, slices
from imtext.retrieval.uncertainty import cluster_bootstrap

SIDES = ("image_query", "text_query")
_SUMS = {"rsum": "recall", "semantic_rsum": "semantic_recall"}
_LISTS = {"i2t": "image_query", "t2i": "text_query"}
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
    """Both directions of search under plain, semantic and graded measures."""

    image_query: GradedSide
    text_query: GradedSide
    image_of_caption: np.ndarray = field(repr=False)

    def value(self, measure: str, side: str | None = None) -> float:
        """A measure in per cent.

        ``measure``: ``recall@K``, ``semantic_recall@K`` for any K, ``ndcg@1``, ``ndcg@5``, ``ndcg@10``,
        ``r_precision``, ``map_at_r``, or the six recalls added, ``rsum`` and ``semantic_rsum``. ``side``:
        ``image_query``, ``text_query``, or the mean of both (for the sums: both added).

        Raises `ConfigError` for other names.
        """
        return float(self._over_sides(measure, side, lambda values, _: values.mean()))

    def samples(self, measure: str, side: str | None = None, n: int = 2000, seed: int = 0) -> np.ndarray:
        """What `value` gives when other images are drawn, (n,): a bootstrap over images with their captions.

        The same ``n`` and ``seed`` draw the same images for every model of one dataset.
        """
        return self._over_sides(measure, side, lambda values, of: cluster_bootstrap(values, of, n, seed))

    def _over_sides(self, measure: str, side: str | None, mean: Any) -> Any:
        """``mean(values, image of each query)`` over the sides and, for an R-sum, over its recalls."""
        sides = SIDES if side is None else (one_of("side", side, SIDES),)
        names = [f"{_SUMS[measure]}@{k}" for k in RECALLS] if measure in _SUMS else [measure]
        owners = {"image_query": np.arange(len(self.image_query.right)), "text_query": self.image_of_caption}
        total = sum(100 * mean(getattr(self, s).per_query(name), owners[s]) for s in sides for name in names)
        return total if measure in _SUMS else total / len(sides)

    def row(self) -> dict[str, float]:
        """One flat row for a table, in per cent: ``image_query_semantic_r1`` … ``semantic_rsum``."""
        names = {f"r{k}": f"recall@{k}" for k in RECALLS}
        names |= {f"semantic_r{k}": f"semantic_recall@{k}" for k in RECALLS}
        names |= {f"ndcg{k}": f"ndcg@{k}" for k in RECALLS}
        names |= {"r_precision": "r_precision", "map_at_r": "map_at_r"}
        flat = {f"{s}_{short}": self.value(name, s) for s in SIDES for short, name in names.items()}
        return flat | {name: self.value(name) for name in _SUMS}


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
            (:func:`~imtext.retrieval.similarity.mean_scores` makes them from embeddings).
        image_of_caption: ``(M,)``, as in :func:`~imtext.retrieval.recall.evaluate`.
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
    number("threshold", threshold, 1e-9, 1)
    owners = as_owners(image_of_caption, *matrix.shape).numpy()
    check_captioned(owners, len(matrix))
    gains = sparse.csr_array(matrix.shape if relevance is None else relevance)
    if gains.shape != matrix.shape:
        raise DataError(f"relevance: expected numbers of shape {matrix.shape}, found shape {gains.shape}")
    if gains.nnz and not (gains.data.min() >= 0 and gains.data.max() <= 1):  # also false for NaN
        found = f"{gains.data.min()} to {gains.data.max()}"
        raise DataError(f"relevance: expected numbers of 0 to 1, found {found}; scale them")
    of_image = as_groups(group_of_image, len(matrix))
    image_query = _side(matrix, gains, of_image, of_image[owners], threshold)
    text_query = _side(matrix.T, gains.T.tocsr(), of_image[owners], of_image, threshold)
    return Graded(image_query, text_query, owners)


def _side(
    scores: np.ndarray, gains: Any, queries: np.ndarray, gallery: np.ndarray, threshold: float
) -> GradedSide:
    """One direction: ``scores`` and ``gains (Q, G)``, and the group of each query and gallery item."""
    depth = min(scores.shape[1], max(RECALLS))
    discounts, cuts = 1 / np.log2(np.arange(2, 2 + depth)), [min(k, depth) - 1 for k in RECALLS]
    parts = []
    for part in slices(len(scores), max(1, _NUMBERS // scores.shape[1])):
        places = order(scores[part])
        own = np.equal.outer(queries[part], gallery)
        gain = np.take_along_axis(np.where(own, 1.0, gains[part].toarray()), places, 1)
        right = gain >= threshold
        count, found, rows = right.sum(1), right.cumsum(1), np.arange(len(right))
        precision = (right * found / np.arange(1, right.shape[1] + 1)).cumsum(1)[rows, count - 1]
        best = -np.sort(-gain, axis=1)
        gained, ideal = ((one[:, :depth] * discounts).cumsum(1)[:, cuts] for one in (gain, best))
        ranks = [1 + mask.argmax(1) for mask in (np.take_along_axis(own, places, 1), right)]
        shares = found[rows, count - 1] / count, precision / count, gained / ideal
        parts.append((*ranks, count, *shares))
    return GradedSide(*map(np.concatenate, zip(*parts, strict=True)))


def pair_matrix(images: Any, captions: Any, values: Any, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Values of some pairs ``(P,)`` as a sparse matrix (N, M) in which the other pairs are 0.

    Raises `DataError` for lengths that differ, indices out of range, or a pair that is there twice.

    >>> pair_matrix([0, 1], [2, 0], [True, True], (2, 3)).toarray().astype(int).tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    data = np.asarray(values, dtype=np.float64)
    try:
        keys, times = np.unique(np.ravel_multi_index((images, captions), shape), return_counts=True)
        matrix = sparse.csr_matrix((data, (images, captions)), shape=shape)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"pairs: expected images from 0 to {shape[0] - 1}, captions from 0 to {shape[1] - 1} and a value "
            f"of each pair ({error})"
        ) from None
    if times.max(initial=0) > 1:
        image, caption = divmod(int(keys[times.argmax()]), shape[1])
        raise DataError(f"pairs: image {image} and caption {caption} are there twice; keep one")
    return matrix


@dataclass(frozen=True, eq=False)
class FirstWrong:
    """Per query the best-ranked item that is not of its own group, and what was said about the pair.

    ``item (Q,)`` gallery index, -1 if there is none; ``rank (Q,)`` its rank from 1, 1 where the query fails
    at R@1, and 0 if there is none; ``value (Q,)`` float64 its judgement, NaN where the pair was not judged.
    """

    item: np.ndarray
    rank: np.ndarray
    value: np.ndarray

    def share_right(self, least: float, rank: int | None = None) -> tuple[float, int]:
        """Per cent of the judged pairs with a value of at least ``least``, and the number of judged pairs.

        ``rank=1`` looks only at queries whose first result is wrong. NaN for none.
        """
        counts = ~np.isnan(self.value) & ((self.rank == rank) if rank is not None else True)
        n = int(counts.sum())
        return (100.0 * float((self.value[counts] >= least).mean()) if n else float("nan")), n


def false_matches(
    scores: Any,
    image_of_caption: Any,
    images: Any,
    captions: Any,
    values: Any,
    judged_only: bool = False,
    group_of_image: Any = None,
) -> dict[str, FirstWrong]:
    """For each query the first wrong result, wrong as recall counts, and its judgement.

    ``scores (N, M)`` and ``image_of_caption (M,)`` as for :func:`graded`; ``images, captions, values (P,)``:
    the judged pairs and what was said of each. ``judged_only``: the first wrong result *that has a
    judgement*, since most pairs of a test set have none.

    Gives ``{"image_query": ..., "text_query": ...}``. Raises `DataError` for arrays that do not fit.

    >>> found = false_matches([[0.1, 0.9], [0.2, 0.3]], [0, 1], [0], [1], [3.5])
    >>> found["image_query"].item.tolist(), found["image_query"].value.tolist()
    ([1, 0], [3.5, nan])
    """
    matrix = as_scores(scores, "scores")
    owners = as_owners(image_of_caption, *matrix.shape).numpy()
    of_image = as_groups(group_of_image, len(matrix))
    # Pairs are numbered from 1, so that a pair that nobody judged is 0.
    pairs = pair_matrix(images, captions, np.arange(1, len(values) + 1), matrix.shape)
    said = np.append(np.nan, np.asarray(values, dtype=np.float64))
    return {
        "image_query": _first_wrong(matrix, of_image, of_image[owners], pairs, said, judged_only),
        "text_query": _first_wrong(matrix.T, of_image[owners], of_image, pairs.T.tocsr(), said, judged_only),
    }


def _first_wrong(
    scores: np.ndarray, queries: np.ndarray, gallery: np.ndarray, pairs: Any, said: Any, judged_only: bool
) -> FirstWrong:
    parts = []
    for part in slices(len(scores), max(1, _NUMBERS // scores.shape[1])):
        block, judged = scores[part].astype(np.float64), pairs[part].toarray().astype(int)
        wrong = np.not_equal.outer(queries[part], gallery) & ((judged > 0) | (not judged_only))
        item = np.where(wrong, block, -np.inf).argmax(1)[:, None]
        score = np.take_along_axis(block, item, 1)
        ahead = (block > score) | ((block == score) & (np.arange(len(gallery)) < item))
        rank, value = 1 + ahead.sum(1), said[np.take_along_axis(judged, item, 1)[:, 0]]
        columns, some = ((item[:, 0], -1), (rank, 0), (value, np.nan)), wrong.any(1)
        parts.append([np.where(some, column, nothing) for column, nothing in columns])
    return FirstWrong(*map(np.concatenate, zip(*parts, strict=True)))


def load_package() -> Any:
    """The ``Metrics`` of the package ``eccv_caption``, with its ground truth read.

    For the 5,000 test images of COCO people looked for further captions that fit: CxC (Parekh et al., EACL
    2021) has 35,585 right pairs where COCO has 25,000; ECCV-Caption (Chun et al., ECCV 2022) has 17.9 right
    captions for each of 1,261 images and 8.5 right images for each of 1,332 captions, found by five models
    and verified by people. The package is an extra: ``pip install "imtext[coco]"``.

    Raises `ConfigError` where the package is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # it warns that ujson is missing, and does without
            return importlib.import_module("eccv_caption").Metrics()
    except ImportError:
        raise ConfigError(
            "CxC and ECCV-Caption need the package eccv_caption, which is not installed: run "
            'pip install "imtext[coco]"'
        ) from None


def coco_test_ids() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COCO ids of the 5K test set in the order of its five folds.

    Gives ``image_ids (N,)``, ``caption_ids (M,)`` and ``image_of_caption (M,)``; a caption id is the ``id``
    of an annotation of COCO. Raises `ConfigError` where the package is not installed.
    """
    package = load_package()
    captions = np.asarray(package.coco_ids, dtype=np.int64)
    owners = np.array([package.coco_gts["t2i"][int(c)][0] for c in captions])
    images, first, number = np.unique(owners, return_index=True, return_inverse=True)
    sorted_ = np.argsort(first)
    return images[sorted_], captions, np.argsort(sorted_)[number]


def extended_measures(scores: Any, image_ids: Any, caption_ids: Any) -> dict[str, dict[str, float]]:
    """Every measure of the package for one model on COCO 5K, in per cent.

    Args:
        scores: ``(5000, 25000)``, images by captions, higher is better.
        image_ids, caption_ids: ``(5000,)`` and ``(25000,)``, the COCO ids of rows and columns in any order.

    Returns:
        ``coco_1k_r1`` …, ``coco_5k_r1`` …, ``cxc_r1`` …, ``eccv_r1``, ``eccv_rprecision``, ``eccv_map_at_r``,
        each ``{"image_query": ..., "text_query": ...}``. ``coco_1k`` is the mean of five folds. Items of one
        score stand in the order of rows or columns.

    Raises:
        ConfigError: the package is not installed.
        DataError: scores that do not fit, or ids that are not those of the test set.
    """
    package = load_package()
    matrix = as_scores(scores, "scores")
    images, captions = _as_ids(image_ids, caption_ids)
    known = [set(package.coco_gts[side]) for side in _LISTS]
    if matrix.shape != (len(images), len(captions)) or [set(images), set(captions)] != known:
        raise DataError(
            f"image_ids, caption_ids: expected the {len(known[0]):,} and {len(known[1]):,} ids of COCO's 5K "
            f"test set, in the order of scores {matrix.shape}; coco_test_ids() lists them"
        )
    depth = max(*RECALLS, *(len(right) for side in _LISTS for right in package.eccv_gts[side].values()))
    found = _ranked(matrix, images, captions, depth)
    ids = np.asarray(package.coco_ids).tolist()
    fold = {caption: place * 5 // len(ids) for place, caption in enumerate(ids)}
    of_caption = np.array([fold[one] for one in captions.tolist()])
    of_image = np.array([fold[package.coco_gts["i2t"][one][0]] for one in images.tolist()])
    within = np.where(np.equal.outer(of_image, of_caption), matrix, -np.inf)
    folds = _ranked(within, images, captions, max(RECALLS))
    out = {}
    with contextlib.redirect_stderr(io.StringIO()):  # the package draws bars that cannot be turned off
        for k in RECALLS:
            out[f"coco_1k_r{k}"] = package.coco_1k_recalls(folds, "all", K=k)
            out[f"coco_5k_r{k}"] = package.coco_5k_recalls(found, "all", K=k)
            out[f"cxc_r{k}"] = package.cxc_recalls(found, "all", K=k)
        out |= package.eccv_metrics(found, "all")
    return {
        name: {_LISTS[side]: 100.0 * float(value) for side, value in sides.items()}
        for name, sides in sorted(out.items())
    }


def extended_pairs(source: str, image_ids: Any, caption_ids: Any) -> sparse.csr_matrix:
    """Right pairs (N, M), 1 where right: the ``relevance`` of :func:`~imtext.retrieval.meaning.graded`.

    ``source``: ``coco``, ``cxc`` or ``eccv``. ``image_ids (N,)``, ``caption_ids (M,)``: COCO ids of any part
    of the test set; pairs outside are left out. A pair is right if it is listed for the image or for the
    caption: ECCV-Caption looked at other queries in each direction, so a listed pair is a right answer, and
    one that is not listed need not be wrong.

    Raises `ConfigError` for another source or where the package is not installed, `DataError` for ids twice.
    """
    one_of("source", source, ("coco", "cxc", "eccv"))
    lists = getattr(load_package(), f"{source}_gts")
    images, captions = _as_ids(image_ids, caption_ids)
    pairs = {(i, c) for i, found in lists["i2t"].items() for c in found}
    pairs |= {(i, c) for c, found in lists["t2i"].items() for i in found}
    row, column = ({int(x): k for k, x in enumerate(ids)} for ids in (images, captions))
    kept = sorted((row[i], column[c]) for i, c in pairs if i in row and c in column)
    index = np.array(kept, dtype=np.int64).reshape(-1, 2).T
    return pair_matrix(*index, np.ones(len(kept)), (len(images), len(captions)))


def _as_ids(*both: Any) -> list[np.ndarray]:
    """Ids of images and of captions, distinct, as int64."""
    found = []
    for name, ids in zip(("image_ids", "caption_ids"), both, strict=True):
        try:
            array = np.asarray(ids).astype(np.int64)
        except ValueError:
            raise DataError(f"{name}: expected COCO ids, whole numbers") from None
        if len(np.unique(array)) != len(array):
            raise DataError(f"{name}: an id is there twice; give each image and each caption once")
        found.append(array)
    return found


def _ranked(
    scores: np.ndarray, images: np.ndarray, captions: np.ndarray, depth: int
) -> dict[str, dict[int, list[int]]]:
    """The ids of the best ``depth`` items of every query, best first, ties by place; both directions."""
    found: dict[str, dict[int, list[int]]] = {}
    sides = (scores, images, captions), (scores.T, captions, images)
    for side, (matrix, queries, gallery) in zip(_LISTS, sides, strict=True):
        found[side] = {}
        for part in slices(len(matrix), max(1, _NUMBERS // len(gallery))):
            best = gallery[order(matrix[part])[:, :depth]]
            found[side] |= zip(queries[part].tolist(), best.tolist(), strict=True)
    return found
