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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch

from imtext.errors import ConfigError
from imtext.retrieval.evaluate import Evaluation, _by_fold, _take, evaluate_scores
from imtext.retrieval.neighbours import Cosines, Given, Side, as_scores, centred
from imtext.retrieval.reciprocal import FORMS, SCALES, Graph, as_graph, encode, jaccard
from imtext.retrieval.similarity import Rows, as_owners, as_pair, as_rows, slices

WEIGHTS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_LEAST_WEIGHT = 1e-4  # what weight=0 stands for: then the original decides between equal Jaccard distances
_BY = ("rsum", "image_query", "text_query")


def rerank(
    images: Any,
    captions: Any,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    scale: str = "cross",
    form: str = "released",
    device: torch.device | str | None = None,
    block: int | None = None,
) -> np.ndarray:
    """Scores (N, M) whose order, along rows and along columns, is that of the re-ranked distance.

    ``images (N, D)``, ``captions (M, D)``: as for `evaluate`; a row of zeros has cosine 0 with everything.
    The result is for `evaluate_scores` and serves both directions: a score is the cosine, plus
    (1 - weight) / weight × (range of the cosines) × Jaccard similarity. So a pair that shares no neighbour
    keeps its cosine, bit for bit, and ties go by index. It is float64 if an input is, else float32.

    ``weight``: of the original distance (lambda); 1 leaves the order as it is, 0 counts as 0.0001. ``k1`` is
    cut at the number of other nodes: a single query, or a gallery smaller than k1, is no error, but sets that
    hold everything tell nothing apart. ``scale``: see the module. ``form="released"`` follows the released
    code; ``"printed"`` follows the equations (two thirds shared are enough; weights do not add up to one).
    ``block``: the number of nodes whose similarities are held at a time.

    Memory: the result, a block of nodes × nodes, and the sparse sets, never all nodes × all nodes.

    Raises `DataError` for unfit arrays: shape, type, NaN or infinity. `ConfigError` for parameters.

    >>> images = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> captions = [[0.9, 0.2, 0.0], [0.1, 0.8, 0.3], [0.6, 0.0, 0.5]]
    >>> rerank(images, captions, k1=2, k2=1).argsort(1)[:, ::-1].tolist()
    [[0, 2, 1], [1, 0, 2], [2, 1, 0]]
    """
    settings = _checked(k1, k2, weight, scale, form)
    return _Search.of_embeddings(images, captions, _widest([settings]), device, _block(block)).scores(
        **settings
    )


def rerank_scores(
    scores: Any,
    image_scores: Any = None,
    caption_scores: Any = None,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    scale: str = "cross",
    form: str = "released",
    block: int | None = None,
) -> np.ndarray:
    """As `rerank`, for a model that gives only ``scores (N, M)`` of images × captions, such as SCAN.

    ``image_scores (N, N)`` and ``caption_scores (M, M)``: similarities within each modality, higher is
    closer, on any scale; the diagonal is not read, and with ``scale="cross"`` neither is. Where one is
    missing, images are compared by the captions that they score alike (and captions by the images): the
    cosine of their rows of ``scores`` less row and column means. Scores are compared bit for bit.

    Raises as `rerank` does, and `DataError` for matrices whose shapes do not fit.

    >>> rerank_scores([[0.9, 0.2, 0.5], [0.3, 0.1, 0.2]], k1=2, k2=1).shape
    (2, 3)
    """
    settings = _checked(k1, k2, weight, scale, form)
    search = _Search.of_scores(scores, image_scores, caption_scores, _widest([settings]), _block(block))
    return search.scores(**settings)


def evaluate_reranked(
    images: Any,
    captions: Any,
    image_of_caption: Any,
    folds: int = 1,
    device: torch.device | str | None = None,
    block: int | None = None,
    **settings: Any,
) -> Evaluation:
    """`evaluate`, re-ranked: with folds, each is a search and a graph of its own (COCO 1K: ``folds=5``).

    ``settings``: ``k1``, ``k2``, ``weight``, ``scale``, ``form`` of `rerank`, such as ``Choice.settings``.

    Raises as `evaluate` and `rerank` do.

    >>> evaluate_reranked(np.eye(4), np.eye(4), [0, 1, 2, 3], folds=2, k1=2).rsum
    600.0
    """
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"), device)
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).numpy()
    settings = _checked(**{**_DEFAULTS, **_known(settings)})

    def ranks(part: slice, members: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = image_rows.take(part), _take(caption_rows, members)
        scores = _Search.of_rows(*rows, _widest([settings]), _block(block)).scores(**settings)
        result = evaluate_scores(scores, owners[members] - part.start)
        return result.image_query_ranks, result.text_query_ranks

    return _by_fold(owners, len(image_rows), folds, ranks, None)


@dataclass(frozen=True)
class Choice:
    """What `choose_rerank` found: the best ``settings`` (of `rerank`), and everything that was tried.

    Each row of ``table`` holds the settings, the recalls of both directions (``image_query_r1`` …), their
    sums ``image_query`` and ``text_query``, ``rsum``, and ``gain``, the R-sum over the first row's, which is
    the search without re-ranking (``weight`` 1). ``by`` is the sum that was to be largest.
    """

    settings: dict[str, Any]
    table: tuple[dict[str, Any], ...] = field(repr=False)
    by: str = "rsum"

    @property
    def best(self) -> dict[str, Any]:
        """The chosen row; of equal ones the first, so that not re-ranking wins where nothing is better."""
        return max(self.table, key=lambda row: row[self.by])

    @property
    def helps(self) -> bool:
        """Is any setting better than the search without re-ranking?"""
        return bool(self.best[self.by] > self.table[0][self.by])

    def __str__(self) -> str:
        """The table as text, the chosen row marked."""
        lines = [
            f"  {'scale':<8}{'k1':>4}{'k2':>4}{'weight':>8}{'images':>9}{'texts':>8}{'R-sum':>8}{'gain':>7}"
        ]
        for row in self.table:
            mark, sums = (
                "*" if row is self.best else " ",
                f"{row['image_query']:9.1f}{row['text_query']:8.1f}",
            )
            setting = f"{row['scale']:<8}{row['k1']:>4}{row['k2']:>4}{row['weight']:8.2f}"
            lines.append(f"{mark} {setting}{sums}{row['rsum']:8.1f}{row['gain']:+7.1f}")
        return "\n".join(lines)


def choose_rerank(
    images: Any,
    captions: Any,
    image_of_caption: Any,
    scales: Sequence[str] = SCALES,
    weights: Sequence[float] = WEIGHTS,
    k1: int | Sequence[int] = 20,
    k2: int | Sequence[int] = 6,
    form: str = "released",
    by: str = "rsum",
    device: torch.device | str | None = None,
    block: int | None = None,
) -> Choice:
    """Try all settings on a validation split and choose the one of the largest R-sum.

    The first row of the table is the search without re-ranking; it is chosen where nothing beats it, and then
    ``settings["weight"]`` is 1. ``by="image_query"`` or ``"text_query"`` chooses by the three recalls of one
    direction. The neighbours are found once for all settings. All (N, M) scores are held.

    Raises as `rerank` and `evaluate_scores` do; `ConfigError` where there is nothing to try.

    >>> choice = choose_rerank(np.eye(3), np.eye(3), [0, 1, 2], k1=2, weights=[0.3])
    >>> choice.helps, choice.settings["weight"], len(choice.table)
    (False, 1.0, 5)
    """
    grid = _grid(k1, k2, weights, scales, form, by)
    search = _Search.of_embeddings(images, captions, _widest(grid), device, _block(block))
    return _choose(search, image_of_caption, grid, by)


def choose_rerank_scores(
    scores: Any,
    image_of_caption: Any,
    image_scores: Any = None,
    caption_scores: Any = None,
    scales: Sequence[str] = SCALES,
    weights: Sequence[float] = WEIGHTS,
    k1: int | Sequence[int] = 20,
    k2: int | Sequence[int] = 6,
    form: str = "released",
    by: str = "rsum",
    block: int | None = None,
) -> Choice:
    """As `choose_rerank`, for ready scores as in `rerank_scores`.

    >>> choose_rerank_scores(np.eye(3), [0, 1, 2], weights=[0.3], scales=["rank"], k1=2).best["rsum"]
    600.0
    """
    grid = _grid(k1, k2, weights, scales, form, by)
    search = _Search.of_scores(scores, image_scores, caption_scores, _widest(grid), _block(block))
    return _choose(search, image_of_caption, grid, by)


class _Search:
    """The graph of one search, and its original scores, by rows."""

    def __init__(self, graph: Graph, original: Callable[[slice], np.ndarray], dtype: np.dtype) -> None:
        self.graph, self.original, self.dtype = graph, original, dtype
        low, high = graph.cross_range()
        self.spread = (high - low) or 1.0

    @classmethod
    def of_embeddings(
        cls, images: Any, captions: Any, settings: dict, device: torch.device | str | None, block: int | None
    ) -> _Search:
        return cls.of_rows(
            *as_pair(images, captions, ("images", "captions"), device), settings=settings, block=block
        )

    @classmethod
    def of_rows(cls, images: Rows, captions: Rows, settings: dict, block: int | None) -> _Search:
        wide = any(rows.values.dtype == torch.float64 for rows in (images, captions))
        sides = Side(images), Side(captions)
        blocks = tuple(tuple(Cosines(a, b) for b in sides) for a in sides)
        cross = blocks[0][1]
        graph = as_graph(blocks, **settings, rows=block)
        original = lambda part: cross.exact(np.arange(part.start, part.stop))  # noqa: E731
        return cls(graph, original, np.dtype(np.float64 if wide else np.float32))

    @classmethod
    def of_scores(
        cls, scores: Any, image_scores: Any, caption_scores: Any, settings: dict, block: int | None
    ) -> _Search:
        matrix = as_scores(scores, "scores", None)
        within = []
        for side, (given, name) in enumerate(
            ((image_scores, "image_scores"), (caption_scores, "caption_scores"))
        ):
            if given is None:
                profile = Side(as_rows(centred(matrix) if side == 0 else centred(matrix).T, name))
                within.append(Cosines(profile, profile))
            else:
                within.append(Given(as_scores(given, name, matrix.shape[side])))
        blocks = (within[0], Given(matrix)), (Given(matrix.T), within[1])
        graph = as_graph(blocks, **settings, rows=block)
        kind = np.dtype(np.float32 if matrix.dtype.itemsize <= 4 and matrix.dtype.kind == "f" else np.float64)
        return cls(graph, lambda part: matrix[part], kind)

    def overlaps(self, k1: int, k2: int, scale: str, form: str) -> np.ndarray:
        """All Jaccard similarities (N, M), for a search small enough."""
        dense = np.empty(self.graph.sizes)
        for part, block in jaccard(encode(self.graph, k1, k2, scale, form), self.graph.sizes[0]):
            dense[part] = block
        return dense

    def bonus(self, weight: float) -> float:
        """What a Jaccard similarity of 1 is worth on the scale of the original scores."""
        weight = max(float(weight), _LEAST_WEIGHT)
        return (1.0 - weight) / weight * self.spread

    def scores(self, k1: int, k2: int, weight: float, scale: str, form: str) -> np.ndarray:
        """The re-ranked scores (N, M)."""
        result = np.empty(self.graph.sizes, dtype=self.dtype)
        for part in slices(len(result), max(1, (1 << 23) // result.shape[1])):
            result[part] = self.original(part)
        bonus = self.bonus(weight)
        if bonus:
            for part, block in jaccard(encode(self.graph, k1, k2, scale, form), len(result)):
                result[part] += bonus * block
        return result


def _choose(search: _Search, image_of_caption: Any, grid: list[dict[str, Any]], by: str) -> Choice:
    """Evaluate every setting; those that differ in the weight alone share their Jaccard similarities."""
    original = search.scores(**{**grid[0], "weight": 1.0})
    table, shared, overlaps = [], None, None
    for setting in grid:
        rest = {name: value for name, value in setting.items() if name != "weight"}
        scores = original
        if setting["weight"] < 1:
            if rest != shared:
                overlaps, shared = search.overlaps(**rest), rest
            scores = (original + search.bonus(setting["weight"]) * overlaps).astype(original.dtype)
        result = evaluate_scores(scores, image_of_caption)
        row = {name: value for name, value in result.row().items() if not name.endswith("rank")}
        sums = {side: sum(row[f"{side}_r{k}"] for k in (1, 5, 10)) for side in ("image_query", "text_query")}
        row = {**setting, **row, **sums}
        table.append({**row, "gain": row["rsum"] - (table[0]["rsum"] if table else row["rsum"])})
    choice = Choice({}, tuple(table), by)
    return Choice({name: choice.best[name] for name in grid[0]}, choice.table, by)


def _grid(k1: Any, k2: Any, weights: Any, scales: Any, form: str, by: str) -> list[dict[str, Any]]:
    """All settings to try, the search without re-ranking first."""
    if by not in _BY:
        raise ConfigError(f"by: expected one of {', '.join(_BY)}, found {by!r}")
    lists = [
        [x] if isinstance(x, (str, int, float, np.number)) else list(x) for x in (k1, k2, scales, weights)
    ]
    if not all(lists):
        raise ConfigError("k1, k2, scales and weights: expected at least one value of each, found none")
    found = [_checked(a, b, weight, scale, form) for a, b, scale, weight in product(*lists)]
    return [{**found[0], "weight": 1.0}, *found]


def _widest(grid: list[dict[str, Any]]) -> dict[str, Any]:
    """What a graph must hold for all settings."""
    sizes = {name: max(setting[name] for setting in grid) for name in ("k1", "k2")}
    return {**sizes, "scales": {setting["scale"] for setting in grid}}


_DEFAULTS = {"k1": 20, "k2": 6, "weight": 0.3, "scale": "cross", "form": "released"}


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(settings) - set(_DEFAULTS))
    if unknown:
        raise ConfigError(f"settings: {unknown[0]!r} is unknown, expected some of {', '.join(_DEFAULTS)}")
    return settings


def _checked(k1: Any, k2: Any, weight: Any, scale: Any, form: Any) -> dict[str, Any]:
    """The settings, checked."""
    for name, value in (("k1", k1), ("k2", k2)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name}: expected a positive whole number of neighbours, found {value!r}")
    if isinstance(weight, (bool, str)) or not isinstance(weight, (int, float, np.number)):
        raise ConfigError(f"weight: expected a number from 0 to 1, found {weight!r}")
    if not 0.0 <= weight <= 1.0:
        raise ConfigError(
            f"weight: expected a number from 0 (Jaccard alone) to 1 (no re-ranking), found {weight}"
        )
    for name, value, allowed in (("scale", scale, SCALES), ("form", form, FORMS)):
        if value not in allowed:
            raise ConfigError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}")
    return {"k1": int(k1), "k2": int(k2), "weight": float(weight), "scale": scale, "form": form}


def _block(block: Any) -> int | None:
    if block is not None and (
        isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 1
    ):
        raise ConfigError(f"block: expected a positive whole number of rows, found {block!r}")
    return block
