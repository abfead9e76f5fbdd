"""k-reciprocal sets on one graph of images and captions, and their Jaccard similarity, kept sparse.

The nodes are N images, then M captions. Nothing here holds all pairs of nodes: neighbours come from blocks
of similarities, and the sets and their weights are sparse (Zhong et al., CVPR 2017, sections 3.2 to 3.4).
`imtext.retrieval.rerank` is what one calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from scipy import sparse

from imtext.retrieval.neighbours import Block, Nearest, nearest

SCALES = ("cross", "none", "zscore", "rank")
FORMS = ("released", "printed")

_TERMS = 1 << 21  # terms of sums of minima held at a time


Blocks = tuple[tuple[Block, Block], tuple[Block, Block]]
SIDES = ((0, 0), (0, 1), (1, 0), (1, 1))
NOTHING = Nearest(np.empty((0, 0), dtype=np.int64), np.empty((0, 0)), 0.0, 0.0, np.inf)


class Graph:
    """Images and captions as nodes of one graph, with the ``k`` nearest of each side for every node.

    ``blocks[a][b]`` are the similarities of side ``a`` to side ``b`` (0: images, 1: captions). For node p,
    ``index[p]`` holds its neighbours among the images, then those among the captions, each best first and
    filled up with -1; ``score[p]`` their similarities, filled up with -inf. What none of ``scales``
    needs is left out: for "cross", the neighbours on a node's own side.
    """

    def __init__(
        self, blocks: Blocks, k: int, rows: int | None = None, scales: Collection[str] = SCALES
    ) -> None:
        self.blocks, self.k = blocks, k
        self.sizes = blocks[0][1].shape
        self.nodes = sum(self.sizes)
        across = blocks[0][1].whole()
        wholes = {(0, 1): across, (1, 0): None if across is None else across.T}
        self.found = [[NOTHING, NOTHING], [NOTHING, NOTHING]]
        sums = "zscore" in scales
        for a, b in SIDES if set(scales) != {"cross"} else ((0, 1), (1, 0)):
            whole = wholes.get((a, b)) if a != b else blocks[a][b].whole()
            self.found[a][b] = nearest(blocks[a][b], k, a == b, rows, whole, sums)
        self.index = np.full((self.nodes, 2 * k), -1, dtype=np.int64)
        self.score = np.full((self.nodes, 2 * k), -np.inf)
        for a, b in SIDES:
            part, first = self.found[a][b], b * k
            if part.index.size:
                own = slice(a * self.sizes[0], a * self.sizes[0] + self.sizes[a])
                self.index[own, first : first + part.index.shape[1]] = part.index + b * self.sizes[0]
                self.score[own, first : first + part.index.shape[1]] = part.score

    def cross_range(self) -> tuple[float, float]:
        """The lowest and the highest similarity of an image and a caption."""
        cross = self.found[0][1]
        return cross.low, float(cross.score[:, 0].max())

    def pairs(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Similarities (P,) of pairs of nodes, in float64."""
        scores = np.empty(len(row))
        a, b = row >= self.sizes[0], column >= self.sizes[0]
        for left in (0, 1):
            for right in (0, 1):
                here = np.flatnonzero((a == left) & (b == right))
                index = row[here] - left * self.sizes[0], column[here] - right * self.sizes[0]
                scores[here] = self.blocks[left][right].pairs(*index)
        return scores

    def scaled(self, score: np.ndarray, row: np.ndarray, column: np.ndarray, scale: str) -> np.ndarray:
        """Similarities of pairs of nodes on one scale for all blocks ("zscore"), or as they are ("none")."""
        if scale != "zscore":
            return score
        a, b = (row >= self.sizes[0]).astype(int), (column >= self.sizes[0]).astype(int)
        mean = np.array([[part.mean for part in side] for side in self.found])
        spread = np.array([[part.deviation or 1.0 for part in side] for side in self.found])
        return (score - mean[a, b]) / spread[a, b]

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
            place = np.tile(np.arange(1.0, self.k + 1), 2)
            distance = np.where(self.index >= 0, np.minimum(1.0, place / k1), np.inf)
            key = np.where(self.index >= 0, place, np.inf)
        else:
            row = np.broadcast_to(own, self.index.shape)
            distance = self._distance(self.scaled(self.score, row, self.index, scale), scale)
            distance = key = np.where(index >= 0, distance, np.inf)
        order = np.argsort(key, axis=1, kind="stable")
        nodes, distance = np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
        return np.concatenate([own, nodes], 1), np.concatenate([np.zeros(own.shape), distance], 1)

    def _distance(self, scaled: np.ndarray, scale: str) -> np.ndarray:
        """From the largest scaled similarity of the graph (distance 0) to the smallest (distance 1)."""
        tops, bottoms = [], []
        for a, b in SIDES:
            part, node = self.found[a][b], np.array([[a], [b]]) * self.sizes[0]
            if part.score.size and (a != b or scale != "cross"):
                ends = np.array([part.score.max(), part.low])
                top, bottom = self.scaled(ends, *np.repeat(node, 2, axis=1), scale)
                tops, bottoms = [*tops, top], [*bottoms, bottom]
        return (max(tops) - scaled) / ((max(tops) - min(bottoms)) or 1.0)

    def distances(
        self, row: np.ndarray, column: np.ndarray, order: tuple[np.ndarray, np.ndarray], scale: str
    ) -> np.ndarray:
        """Distances (P,) of pairs of nodes: looked up among the neighbours, computed where not there."""
        nodes, known = order
        real = nodes >= 0
        keys = (np.arange(self.nodes)[:, None] * self.nodes + nodes)[real]
        sort = np.argsort(keys)
        wanted = row.astype(np.int64) * self.nodes + column
        place = np.minimum(np.searchsorted(keys, wanted, sorter=sort), len(keys) - 1)
        distance = known[real][sort[place]]
        missing = np.flatnonzero(keys[sort[place]] != wanted)
        if scale in ("rank", "cross"):
            distance[missing] = 1.0
        elif len(missing):
            pair = row[missing], column[missing]
            distance[missing] = self._distance(self.scaled(self.pairs(*pair), *pair, scale), scale)
        return distance


def encode(graph: Graph, k1: int, k2: int, scale: str, form: str) -> sparse.csr_array:
    """Every node as weights on its expanded k-reciprocal set, averaged over its ``k2`` nearest: (n, n).

    ``form="released"``: the weights of a node add up to one before they are averaged, and a neighbour's set
    joins where more than two thirds of it are shared; ``"printed"``: weights as they are (Eq. 7), and two
    thirds suffice (Eq. 4).
    """
    order = graph.order(scale, k1)
    wide = mutual(order[0][:, : k1 + 1])
    near = mutual(order[0][:, : int(np.around(k1 / 2)) + 1])
    shared = ((wide @ near) * wide).tocoo()  # near is symmetric: what wide[p] and near[c] have in common
    size = near.sum(axis=1)[shared.col]
    joins = 3 * shared.data > 2 * size if form == "released" else 3 * shared.data >= 2 * size
    joined = _binary(shared.row[joins], shared.col[joins], graph.nodes)
    members = (wide + joined @ near).tocoo()
    weight = np.exp(-graph.distances(members.row, members.col, order, scale))
    weights = sparse.csr_array((weight, (members.row, members.col)), shape=wide.shape)
    if form == "released":
        weights = sparse.diags_array(1.0 / weights.sum(axis=1)) @ weights
    if k2 > 1:
        first = order[0][:, :k2]
        count = (first >= 0).sum(1)
        row, place = np.nonzero(first >= 0)
        weights = sparse.diags_array(1.0 / count) @ (_binary(row, first[row, place], graph.nodes) @ weights)
    return weights.tocsr()


def mutual(lists: np.ndarray) -> sparse.csr_array:
    """The pairs of nodes that stand in each other's list: a symmetric 0-1 matrix (n, n).

    ``lists (n, k)``: nodes, -1 for none.

    >>> mutual(np.array([[0, 1], [1, 2], [2, 1]])).toarray().tolist()
    [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    """
    row, place = np.nonzero(lists >= 0)
    forward = _binary(row, lists[row, place], len(lists))
    return (forward * forward.T.tocsr()).tocsr()


def _binary(row: np.ndarray, column: np.ndarray, n: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=(n, n))


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


def as_graph(blocks: Blocks, k1: int, k2: int, rows: int | None, scales: Collection[str] = SCALES) -> Graph:
    """The graph with what ``k1``, ``k2`` and ``scales`` ask for, at most all other nodes as neighbours."""
    k = max(1, min(max(k1, k2 - 1), sum(blocks[0][1].shape) - 1))
    return Graph(blocks, k, rows, scales)
