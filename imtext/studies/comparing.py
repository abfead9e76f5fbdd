"""Rows of a study against each other: their ranks, their recalls and their R-sum, as evidence for claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imtext.data.schema import Dataset
from imtext.errors import ConfigError
from imtext.report import Evidence, Verdict, decide, from_ranks, from_scores, paper_claims
from imtext.retrieval import cluster_bootstrap, evaluate, evaluate_scores
from imtext.runs import Run
from imtext.studies.embedding import FOLDS

SIDES = ("image", "text")
CUTOFFS = (1, 5, 10)
IN_FOLDS = "_folds"
Pair = tuple[str, str]
SMOKE = "this profile trains for seconds; its verdicts only show that the page works"
# What is measured over both directions at once: its name, and its share of the R-sum.
_TOGETHER = {"mean": ("mean recall, both directions", 1 / (2 * len(CUTOFFS))), "rsum": ("R-sum", 1.0)}


@dataclass(frozen=True)
class Compared:
    """Rows whose recalls a claim compares, better and worse; of several pairs the mean counts.

    Attributes:
        pairs: slugs of rows, better and worse.
        sides: those that query, each with a number of its own.
        k: recall at ``k``; ``"mean"``: the mean of the recalls at 1, 5 and 10; ``"rsum"``: the sum of the six
            recalls of both directions, one number.
        split: ``"test"``, or ``"test_folds"`` for searches among a fifth of the images.
        together: with ``"mean"``, one number: the mean of the six recalls.
        label: put before the name of what is measured.

    Raises:
        ConfigError: no pair, or ``together`` with recall at one ``k``.

    >>> sorted(Compared((("a", "b"), ("c", "b")), k="rsum").needs)
    ['a', 'b', 'c']
    """

    pairs: tuple[Pair, ...]
    sides: tuple[str, ...] = SIDES
    k: int | str = "mean"
    split: str = "test"
    together: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ConfigError("comparison: expected at least one pair of rows, found none; name two rows")
        if self.together and self.k not in _TOGETHER:
            raise ConfigError(f"comparison: k={self.k!r} has no mean over both directions; take mean or rsum")

    @property
    def needs(self) -> set[str]:
        """Slugs of the rows."""
        return {slug for pair in self.pairs for slug in pair}


def verdicts_of(
    study: Any,
    paper: str,
    evidence: Callable[[Any, str], Sequence[Evidence]],
    reason: Callable[[str], str],
) -> list[Verdict]:
    """A verdict for each claim that the rows asked for can test, in the paper's order.

    Args:
        study: with ``runs`` and ``prepared``, as for the other functions here.
        paper: name of the paper's claims.
        evidence: of the study and a claim's id, nothing where it cannot be tested.
        reason: of a claim's id, what stands behind a verdict other than "reproduced".
    """
    found = ((name, claim, evidence(study, name)) for name, claim in paper_claims(paper).items())
    return [decide(claim, items, reason(name)) for name, claim, items in found if items]


def whole_split(split: str) -> str:
    """The split that ``"<split>_folds"`` cuts into fifths.

    >>> whole_split("test_folds"), whole_split("val")
    ('test', 'val')
    """
    return split.removesuffix(IN_FOLDS)


def ranks_of(study: Any, slug: str, side: str, split: str = "test") -> list[np.ndarray]:
    """Ranks of the queries of one side, one array a seed.

    Those of a split's folds are among the items of a fold, as the run keeps them (``ranks-<split>.npz``) or
    from its embeddings or scores; where the images do not divide into folds they are those of the whole.

    Args:
        study: ``study.runs[slug]`` are the runs, one a seed, and ``study.prepared.splits`` their data.
        slug: of the row.
        side: ``"image"`` or ``"text"``.
        split: as for :class:`Compared`.
    """
    data = study.prepared.splits[whole_split(split)]
    return [_ranks(run, data, split)[f"{side}_query"] for run in study.runs[slug]]


def _ranks(run: Run, data: Dataset, split: str) -> dict[str, np.ndarray]:
    whole, groups = whole_split(split), data.group_of_image
    if whole == split or len(np.unique(groups)) < len(groups) or len(groups) % FOLDS:
        return run.load_arrays(f"ranks-{whole}.npz")
    if (run.dir / f"ranks-{split}.npz").is_file():
        return run.load_arrays(f"ranks-{split}.npz")
    return _in_folds(run.dir, whole, np.asarray(data.image_of_caption, dtype=np.int64).tobytes())


@lru_cache(maxsize=128)
def _in_folds(folder: Path, whole: str, owners: bytes) -> dict[str, np.ndarray]:
    """Ranks within folds; a row is in many claims, and the files of a finished run stay as they are."""
    run, image_of_caption = Run(folder), np.frombuffer(owners, dtype=np.int64)
    if (folder / f"scores-{whole}.npz").is_file():
        scores = run.load_arrays(f"scores-{whole}.npz")["scores"]
        found = evaluate_scores(scores, image_of_caption, folds=FOLDS)
    else:
        arrays = run.load_arrays(f"embeddings-{whole}.npz")
        found = evaluate(arrays["images"], arrays["captions"], image_of_caption, folds=FOLDS)
    return {"image_query": found.image_query_ranks, "text_query": found.text_query_ranks}


def both_sides_of(study: Any, compared: Compared, side: str) -> list[list[np.ndarray]]:
    """Ranks of the better and of the worse rows, pooled over pairs and seeds: all seeds of the first pair,
    then those of the next."""
    return [
        [ranks for pair in compared.pairs for ranks in ranks_of(study, pair[which], side, compared.split)]
        for which in (0, 1)
    ]


def clusters_of(study: Any, side: str, split: str) -> np.ndarray:
    """Group of the image of each query: what is drawn together."""
    data = study.prepared.splits[whole_split(split)]
    return data.group_of_caption if side == "text" else data.group_of_image


def by_seed(item: Evidence, pairs: Sequence[Any]) -> Evidence:
    """What each seed says where several pairs of rows are pooled: the mean over them.

    >>> by_seed(Evidence("R@1", 2.0, 1.0, 3.0, (1.0, 2.0, 3.0, 2.0)), ["first", "second"]).per_seed
    (2.0, 2.0)
    """
    means = np.reshape(item.per_seed, (len(pairs), -1)).mean(0)
    return replace(item, per_seed=tuple(map(float, means)))


def recalls(study: Any, compared: Compared) -> list[Evidence]:
    """Gain of the better rows, in points, paired over queries; the captions of an image are drawn together.

    One item for each side, or one in all, as :class:`Compared` says.

    Args:
        study: as for :func:`ranks_of`.
        compared: the rows.
    """
    if compared.together or compared.k == "rsum":
        return [both_directions(study, compared)]
    name = "mean recall" if compared.k == "mean" else f"R@{compared.k}"
    found = [
        from_ranks(
            _labelled(compared, f"{side} query {name}"),
            *both_sides_of(study, compared, side),
            k=compared.k,
            clusters=clusters_of(study, side, compared.split),
        )
        for side in compared.sides
    ]
    return [by_seed(item, compared.pairs) for item in found]


def _labelled(compared: Compared, name: str) -> str:
    return f"{compared.label}, {name}" if compared.label else name


def both_directions(study: Any, compared: Compared) -> Evidence:
    """Gain in R-sum (``k="rsum"``) or in the mean of the six recalls, in points, paired over images.

    An image is drawn with its captions, and with the other images of its group.
    """
    data = study.prepared.splits[whole_split(compared.split)]
    name, share = _TOGETHER[compared.k]
    sides = [both_sides_of(study, compared, side) for side in SIDES]
    scores = []
    for which in (0, 1):
        runs = zip(sides[0][which], sides[1][which], strict=True)
        parts = np.stack([image_parts(*ranks, data.image_of_caption) for ranks in runs])
        # The pairs of a seed are added: whole numbers, so that what is equal differs by 0.
        scores.append(list(parts.reshape(len(compared.pairs), -1, data.n_images).sum(0)))
    found = from_scores(_labelled(compared, name), *scores, clusters=data.group_of_image, scale=1.0)
    return _scaled(found, 100 * share / (data.n_captions * len(compared.pairs)))


def image_parts(image_ranks: np.ndarray, text_ranks: np.ndarray, image_of_caption: np.ndarray) -> np.ndarray:
    """What each image and its captions add to the R-sum, in whole numbers ``(N,)``.

    The R-sum is 100 / M times their mean: the hits of the image at 1, 5 and 10 weigh M, those of its
    captions N, so that each caption counts as in the recall of all, however many its image has.

    Args:
        image_ranks: ``(N,)`` from 1; text_ranks: ``(M,)``; image_of_caption: ``(M,)``.

    >>> image_parts(np.array([1, 9]), np.array([1, 6, 11]), np.array([0, 0, 1])).tolist()
    [17, 3]
    """
    hits = [sum((ranks <= k).astype(np.int64) for k in CUTOFFS) for ranks in (image_ranks, text_ranks)]
    n_images, n_captions = map(len, hits)
    of_texts = np.zeros(n_images, dtype=np.int64)
    np.add.at(of_texts, image_of_caption, hits[1])
    return n_captions * hits[0] + n_images * of_texts


def _scaled(item: Evidence, scale: float) -> Evidence:
    difference, low, high, *per_seed = (
        scale * value for value in (item.difference, item.low, item.high, *item.per_seed)
    )
    return replace(item, difference=difference, low=low, high=high, per_seed=tuple(per_seed))


def gain_where(
    name: str, gains: Sequence[np.ndarray], chosen: np.ndarray, clusters: np.ndarray, n: int = 2000
) -> Evidence:
    """Mean gain of the chosen queries minus that of the others, in points.

    Args:
        name: of what is measured.
        gains: gain of each query ``(Q,)``, one array a seed.
        chosen: ``(Q,)`` bool, at least one query either way.
        clusters: ``(Q,)``, queries that are drawn together, whether chosen or not.
        n: bootstrap draws.

    Raises:
        ConfigError: no query is chosen, or all are.

    >>> gains = np.array([1.0, 1.0, 0.0, 0.0])
    >>> gain_where("gain", [gains], gains > 0, np.arange(4), n=50).difference
    100.0
    """
    if chosen.all() or not chosen.any():
        raise ConfigError(f"evidence {name!r}: {chosen.sum()} of {len(chosen)} queries chosen; choose some")
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    pooled, sides = np.mean(gains, axis=0), []
    for part in (chosen, ~chosen):
        # The same clusters are drawn each time: the sum over a part, by how much of it was drawn.
        total, size = (cluster_bootstrap(values, clusters, n) for values in (pooled * part, part))
        sides.append(np.divide(total, size, out=np.full(n, np.nan), where=size > 0))
    low, high = 100 * np.nanpercentile(sides[0] - sides[1], [2.5, 97.5])
    return Evidence(name, float(np.mean(own)), float(low), float(high), tuple(map(float, own)))
