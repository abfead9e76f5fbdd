"""k-reciprocal re-ranking across modalities, from embeddings or from ready scores.

Zhong et al. (CVPR 2017) re-rank pictures of persons: two items are close if the sets of items that name each
other as neighbours overlap. All N images and M captions of the search are nodes of one graph. Node p has the
set R(p, k1) of the nodes among whose k1 nearest it is and which are among its own; a member c brings in
R(c, k1/2) where more than two thirds of that lie in R(p, k1). Members get the weight exp(-distance), a node's
weights add up to one and are averaged over its k2 nearest nodes (itself first), and the Jaccard distance of
two such vectors is 1 - (sum of minima) / (sum of maxima). The distance in the end is
(1 - weight) × Jaccard + weight × original; k1 = 20, k2 = 6 and weight = .3 are Zhong et al.'s.

Fu et al. (section IV.D.3) use the released code across modalities and describe it in one caption: a
caption's feature encodes "its k-reciprocal nearest neighbors of image", and the other way round. Which nodes
are neighbours, and how similarities within a modality compare with those across, is thus a choice, ``scale``:

- ``"cross"`` (default, the caption as it stands): the neighbours of a caption are images, those of an image
  captions; nothing within a modality is looked at;
- ``"zscore"``: neighbours of both kinds, after each of the three kinds of similarity (image-image,
  caption-caption, image-caption) is put to mean 0 and standard deviation 1 over the whole search;
- ``"rank"``: the two modalities take turns, so half of the neighbours come from each, and a neighbour's
  distance is its place among those of its modality over k1, at most 1;
- ``"none"``: similarities as they are, so that those within a modality, which are larger, crowd out the rest.

Except with "rank", distances are (highest - s) / (highest - lowest) over the pairs of nodes that may be
neighbours; a node has distance 0 to itself. The original distance has this form over image-caption pairs.

The method looks at the whole test set at once, all queries included, and was made for several true matches
per query, while a caption has one image. On embeddings of Flickr8k a small share of Jaccard (weight .8 to
.95) mostly helps a little and weight .3 mostly harms, except with "cross"; on some models nothing helps. So
`choose_rerank` tries settings on a validation split, and not re-ranking at all is one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy import sparse

from imtext.check import number, one_of, whole
from imtext.errors import ConfigError
from imtext.retrieval.recall import RECALLS, Evaluation, Members, by_fold, evaluate_scores
from imtext.retrieval.similarity import (
    Cosines,
    Given,
    Nearest,
    Scores,
    as_owners,
    as_pair,
    as_scores,
    nearest,
    settled,
    slices,
)

SCALES = ("cross", "none", "zscore", "rank")
WEIGHTS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_LEAST_WEIGHT = 1e-4  # what weight=0 stands for: then the original decides between equal Jaccard distances
_TERMS = 1 << 18  # terms of sums of minima held at a time
Blocks = dict[tuple[int, int], Scores]


def rerank(
    images: Any = None,
    captions: Any = None,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    scale: str = "cross",
    form: str = "released",
    scores: Any = None,
    within: tuple[Any, Any] | None = None,
) -> np.ndarray:
    """Scores (N, M) whose order, along rows and along columns, is that of the re-ranked distance.

    ``images (N, D)``, ``captions (M, D)``: as for `evaluate`; a row of zeros has cosine 0 with everything.
    The result is for `evaluate_scores` and serves both directions: a score is the cosine, plus
    (1 - weight) / weight × (range of the cosines) × Jaccard similarity. So a pair that shares no neighbour
    keeps its cosine, bit for bit, and ties go by index. It is float64 if an input is, else float32.

    ``scores (N, M)`` in place of embeddings, for a model that only scores pairs, such as SCAN; they are
    compared bit for bit. ``within``: similarities of images (N, N) and of captions (M, M), on any scale,
    which every ``scale`` but "cross" needs; the diagonal is not read.

    ``weight``: of the original distance (lambda); 1 leaves the order as it is, 0 counts as 0.0001. ``k1`` is
    cut at the number of other nodes: a single query, or a gallery smaller than k1, is no error, but sets that
    hold everything tell nothing apart. ``scale``: see the module. ``form="released"`` follows the released
    code; ``"printed"`` follows the equations (two thirds shared are enough; weights do not add up to one).

    Memory: the result, a block of nodes × nodes, and the sparse sets, never all nodes × all nodes.

    Raises `DataError` for unfit arrays: shape, type, NaN or infinity. `ConfigError` for parameters.

    >>> images = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> captions = [[0.9, 0.2, 0.0], [0.1, 0.8, 0.3], [0.6, 0.0, 0.5]]
    >>> rerank(images, captions, k1=2, k2=1).argsort(1)[:, ::-1].tolist()
    [[0, 2, 1], [1, 0, 2], [2, 1, 0]]
    >>> rerank(scores=[[0.9, 0.2, 0.5], [0.3, 0.1, 0.2]], k1=2, k2=1).shape
    (2, 3)
    """
    _checked(k1, k2, weight, scale, form)
    graph = Graph(_blocks(images, captions, scores, within, [scale]), k1, k2, [scale])
    result, bonus = graph.original, graph.bonus(weight)
    for part, overlap in graph.overlaps(k1, k2, scale, form) if weight < 1 else ():
        result[part] += bonus * overlap
    return result


def evaluate_reranked(
    images: Any, captions: Any, image_of_caption: Any, folds: int = 1, **settings: Any
) -> Evaluation:
    """`evaluate`, re-ranked: with folds, each is a search and a graph of its own (COCO 1K: ``folds=5``).

    ``settings``: ``k1``, ``k2``, ``weight``, ``scale``, ``form`` of `rerank`, such as ``Choice.settings``.

    Raises as `evaluate` and `rerank` do.

    >>> evaluate_reranked(np.eye(4), np.eye(4), [0, 1, 2, 3], folds=2, k1=2).rsum
    600.0
    """
    sides = as_pair(images, captions)

    def scores(part: slice, members: Members) -> Scores:
        return Given(rerank(sides[0].take(part).values, sides[1].take(members).values, **settings).T)

    owners = as_owners(image_of_caption, *map(len, sides))
    return by_fold(scores, owners, len(sides[0]), folds)


@dataclass(frozen=True)
class Choice:
    """What `choose_rerank` found: the best ``settings`` (of `rerank`), and everything that was tried.

    Each row of ``table`` holds the settings, the recalls of both directions (``image_query_r1`` …), their
    sums ``image_query`` and ``text_query``, ``rsum``, and ``gain``, the R-sum over the first row's, which is
    the search without re-ranking (``weight`` 1).
    """

    settings: dict[str, Any]
    table: tuple[dict[str, Any], ...] = field(repr=False)


def choose_rerank(
    images: Any = None,
    captions: Any = None,
    image_of_caption: Any = None,
    scales: Sequence[str] = SCALES,
    weights: Sequence[float] = WEIGHTS,
    k1: int = 20,
    k2: int = 6,
    form: str = "released",
    scores: Any = None,
    within: tuple[Any, Any] | None = None,
) -> Choice:
    """Try all settings on a validation split and choose the one of the largest R-sum.

    The first row of the table is the search without re-ranking; it is chosen where nothing beats it, and then
    ``settings["weight"]`` is 1. ``scores`` and ``within`` as for `rerank`. The neighbours are found once for
    all settings. All (N, M) scores are held.

    Raises as `rerank` and `evaluate_scores` do; `ConfigError` where there is nothing to try.

    >>> choice = choose_rerank(np.eye(3), np.eye(3), [0, 1, 2], k1=2, weights=[0.3])
    >>> choice.settings["weight"], len(choice.table)
    (1.0, 5)
    """
    tried = [_checked(k1, k2, weight, scale, form) for scale, weight in product(scales, weights)]
    if not tried:
        raise ConfigError("scales and weights: expected at least one value of each, found none")
    graph = Graph(_blocks(images, captions, scores, within, scales), k1, k2, scales)
    overlaps: dict[str, np.ndarray] = {}
    table: list[dict[str, Any]] = []
    for setting in [{**tried[0], "weight": 1.0}, *tried]:
        found, scale = graph.original, setting["scale"]
        if setting["weight"] < 1:
            if scale not in overlaps:  # those that differ in the weight alone share it
                overlaps = {scale: np.concatenate([one for _, one in graph.overlaps(k1, k2, scale, form)])}
            found = (found + graph.bonus(setting["weight"]) * overlaps[scale]).astype(found.dtype)
        result = evaluate_scores(found, image_of_caption)
        row = {name: value for name, value in result.row().items() if not name.endswith("rank")}
        sums = {side: sum(row[f"{side}_r{k}"] for k in RECALLS) for side in ("image_query", "text_query")}
        gain = row["rsum"] - (table[0]["rsum"] if table else row["rsum"])
        table.append({**setting, **row, **sums, "gain": gain})
    best = max(table, key=lambda row: row["rsum"])  # of equal ones the first
    return Choice({name: best[name] for name in tried[0]}, tuple(table))


def _checked(k1: Any, k2: Any, weight: Any, scale: Any, form: Any) -> dict[str, Any]:
    """The settings, checked."""
    return {
        "k1": whole("k1", k1),
        "k2": whole("k2", k2),
        "weight": number("weight", weight, most=1),
        "scale": one_of("scale", scale, SCALES),
        "form": one_of("form", form, ("released", "printed")),
    }


def _blocks(images: Any, captions: Any, scores: Any, within: Any, scales: Sequence[str]) -> Blocks:
    """The similarities of images (0) and captions (1) to images and captions, as far as they are known."""
    if (images is None) != (captions is None) or (images is None) == (scores is None):
        raise ConfigError("expected images and captions, or scores, found both or neither; give one of them")
    if scores is None:
        sides = as_pair(images, captions)
        return {(a, b): Cosines(sides[a], sides[b]) for a, b in product((0, 1), (0, 1))}
    matrix = as_scores(scores)
    blocks: Blocks = {(0, 1): Given(matrix), (1, 0): Given(matrix.T)}
    if within is None and set(scales) != {"cross"}:
        raise ConfigError(
            "within: expected similarities of images (N, N) and of captions (M, M) beside scores; without "
            "them only the scale 'cross' can be had"
        )
    for side, given in enumerate(within or ()):
        blocks[side, side] = Given(as_scores(given, f"within[{side}]", matrix.shape[side]))
    return blocks


class Graph:
    """Images, then captions, as nodes of one graph, with the ``k`` nearest of each side for every node.

    Nothing holds all pairs of nodes: neighbours come from blocks, and sets and weights are sparse.

    ``blocks[a, b]`` are the similarities of side ``a`` to side ``b`` (0: images, 1: captions). For node p,
    ``index[p]`` holds its neighbours among the images, then those among the captions, each best first and
    filled up with -1; ``score[p]`` their similarities, filled up with -inf. What none of ``scales``
    needs is left out: for "cross", the neighbours on a node's own side. ``original (N, M)`` are the scores
    of images × captions.
    """

    def __init__(self, blocks: Blocks, k1: int, k2: int, scales: Sequence[str]) -> None:
        self.blocks, self.sizes = blocks, blocks[0, 1].shape
        cross, back = blocks[0, 1], blocks[1, 0]
        self.original = np.empty(self.sizes, dtype=cross.kind)
        for part in slices(self.sizes[0], max(1, (1 << 23) // self.sizes[1])):
            self.original[part] = settled(cross, cross.exact(part))
        if isinstance(cross, Cosines) and cross.device.type == "cpu":  # no further product for neighbours
            cross.kept = torch.from_numpy(self.original)
            back.kept = cross.kept.T
        self.nodes = sum(self.sizes)
        k = self.k = max(1, min(max(k1, k2 - 1), self.nodes - 1))
        self.found: dict[tuple[int, int], Nearest] = {}
        self.index = np.full((self.nodes, 2 * k), -1, dtype=np.int64)
        self.score = np.full((self.nodes, 2 * k), -np.inf)
        for (a, b), block in blocks.items():
            if a == b and set(scales) == {"cross"}:
                continue
            part = self.found[a, b] = nearest(block, k, a == b, "zscore" in scales)
            own = slice(a * self.sizes[0], a * self.sizes[0] + self.sizes[a])
            places = slice(b * k, b * k + part.index.shape[1])
            self.index[own, places] = part.index + b * self.sizes[0]
            self.score[own, places] = part.score

    def bonus(self, weight: float) -> float:
        """What a Jaccard similarity of 1 is worth on the scale of the original scores."""
        cross = self.found[0, 1]
        weight = max(weight, _LEAST_WEIGHT)
        return (1.0 - weight) / weight * (float(cross.score.max() - cross.low) or 1.0)

    def overlaps(self, k1: int, k2: int, scale: str, form: str) -> Iterator[tuple[slice, np.ndarray]]:
        """Jaccard similarities of images × captions, some images at a time."""
        return jaccard(encode(self, k1, k2, scale, form), self.sizes[0])

    def pairs(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Similarities (P,) of pairs of nodes, in float64."""
        scores = np.empty(len(row))
        for (a, b), block in self.blocks.items():
            here = np.flatnonzero(((row >= self.sizes[0]) == a) & ((column >= self.sizes[0]) == b))
            found = block.pairs(row[here] - a * self.sizes[0], column[here] - b * self.sizes[0])
            scores[here] = settled(block, found)
        return scores

    def distance(self, score: np.ndarray, row: np.ndarray, column: np.ndarray, scale: str) -> np.ndarray:
        """From the largest scaled similarity of the graph (distance 0) to the smallest (distance 1)."""
        mean, spread, ends = np.zeros((2, 2)), np.ones((2, 2)), []
        for (a, b), part in self.found.items():
            if scale == "zscore":
                mean[a, b], spread[a, b] = part.mean, part.deviation or 1.0
            if part.score.size and (a != b or scale != "cross"):
                ends.append((np.array([part.low, part.score.max()]) - mean[a, b]) / spread[a, b])
        low, high = np.min(ends), np.max(ends)
        a, b = (row >= self.sizes[0]).astype(int), (column >= self.sizes[0]).astype(int)
        return (high - (score - mean[a, b]) / spread[a, b]) / ((high - low) or 1.0)

    def order(self, scale: str, k1: int) -> tuple[np.ndarray, np.ndarray]:
        """Every node itself, then its neighbours of both sides together, best first: nodes (n, 2k + 1).

        The second array is their distance, 0 to 1. Ties go by node; -1 fills up. With "cross", those of the
        node's own side are left out. With "rank", the sides take turns, and the distance is the place on the
        neighbour's own side over ``k1``, at most 1.
        """
        own = np.arange(self.nodes)[:, None]
        index = self.index
        if scale == "cross":
            index = np.where((index >= self.sizes[0]) == (own >= self.sizes[0]), -1, index)
        if scale == "rank":
            distance = np.broadcast_to(np.tile(np.arange(1.0, self.k + 1), 2) / k1, index.shape)
        else:
            distance = self.distance(self.score, np.broadcast_to(own, index.shape), self.index, scale)
        distance = np.where(index >= 0, distance, np.inf)
        best = np.argsort(distance, axis=1, kind="stable")
        nodes, distance = np.take_along_axis(index, best, 1), np.take_along_axis(distance, best, 1)
        nearest_first = np.concatenate([np.zeros(own.shape), np.minimum(distance, 1.0)], 1)
        return np.concatenate([own, nodes], 1), nearest_first


def encode(graph: Graph, k1: int, k2: int, scale: str, form: str) -> sparse.csr_array:
    """Every node as weights on its expanded k-reciprocal set, averaged over its ``k2`` nearest: (n, n).

    ``form="released"``: the weights of a node add up to one before they are averaged, and a neighbour's set
    joins where more than two thirds of it are shared; ``"printed"``: weights as they are (Eq. 7), and two
    thirds suffice (Eq. 4).
    """
    nodes, distance = graph.order(scale, k1)
    wide, near = mutual(nodes[:, : k1 + 1]), mutual(nodes[:, : int(np.around(k1 / 2)) + 1])
    shared = ((wide @ near) * wide).tocoo()  # near is symmetric: what wide[p] and near[c] have in common
    size = near.sum(axis=1)[shared.col]
    joins = 3 * shared.data > 2 * size if form == "released" else 3 * shared.data >= 2 * size
    joined = sparse.csr_array((shared.data[joins], (shared.row[joins], shared.col[joins])), shape=wide.shape)
    row, column = (wide + joined @ near).nonzero()
    weight = _listed(nodes, np.exp(-distance))[row, column]  # of a neighbour
    missing = np.flatnonzero(weight == 0)
    pair = row[missing], column[missing]
    far = graph.distance(graph.pairs(*pair), *pair, scale) if scale in ("none", "zscore") else 1.0
    weight[missing] = np.exp(-far)
    weights = sparse.csr_array((weight, (row, column)), shape=wide.shape)
    if form == "released":
        weights = sparse.diags_array(1.0 / weights.sum(axis=1)) @ weights
    if k2 > 1:
        first = _listed(nodes[:, :k2])
        weights = sparse.diags_array(1.0 / first.sum(axis=1)) @ (first @ weights)
    return weights.tocsr()


def mutual(lists: np.ndarray) -> sparse.csr_array:
    """The pairs of nodes that stand in each other's list: a symmetric 0-1 matrix (n, n).

    ``lists (n, k)``: nodes, -1 for none.

    >>> mutual(np.array([[0, 1], [1, 2], [2, 1]])).toarray().tolist()
    [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    """
    forward = _listed(lists)
    return (forward * forward.T.tocsr()).tocsr()


def _listed(lists: np.ndarray, values: Any = 1) -> sparse.csr_array:
    """``values (n, k)`` at the nodes of ``lists (n, k)``, -1 for none: a matrix (n, n)."""
    row, place = np.nonzero(lists >= 0)
    values = np.broadcast_to(np.asarray(values), lists.shape)[row, place]
    return sparse.csr_array((values, (row, lists[row, place])), shape=(len(lists), len(lists)))


def jaccard(weights: sparse.csr_array, n_images: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Jaccard similarity, the sum of minima over the sum of maxima, of image and caption nodes, by rows.

    ``weights (N + M, N + M)``: the encoded nodes, images first. Gives some images at a time, as a slice and a
    dense float64 array (images, M). Only what two rows share is added up, by way of an inverted index.

    >>> [(part, block.tolist()) for part, block in jaccard(sparse.csr_array([[1, 2], [1, 1], [0, 3]]), 1)]
    [(slice(0, 1, None), [[0.666..., 0.5]])]
    """
    images, captions = weights[:n_images].tocsr(), weights[n_images:].tocsc()
    m = captions.shape[0]
    held = np.diff(captions.indptr)
    terms = np.concatenate([[0], np.cumsum(held[images.indices])])[images.indptr]  # up to each image
    mass = weights.sum(axis=1)
    start = 0
    while start < n_images:
        stop = int(np.searchsorted(terms, terms[start] + _TERMS, side="right")) - 1
        stop = min(n_images, max(start + 1, min(stop, start + max(1, _TERMS // m))))
        part, block = slice(start, stop), images[start:stop].tocsr()
        count = held[block.indices]
        ends = np.cumsum(count)
        index = np.repeat(captions.indptr[block.indices] - (ends - count), count) + np.arange(count.sum())
        least = np.minimum(captions.data[index], np.repeat(block.data, count))
        row = np.repeat(np.repeat(np.arange(stop - start), np.diff(block.indptr)) * m, count)
        place = row + captions.indices[index]
        common = np.bincount(place, weights=least, minlength=(stop - start) * m).reshape(-1, m)
        yield part, common / (mass[part, None] + mass[None, n_images:] - common)
        start = stop
