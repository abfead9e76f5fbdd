"""Results of rows against each other: the recalls and R-sums that a paper's claims are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from imtext.data.schema import Dataset
from imtext.experiment.results import CUTOFFS, Results
from imtext.report import Evidence, from_scores

SIDES = ("image", "text")
NAMES = {"mean": "mean recall", "rsum": "R-sum", "both": "mean recall, both directions"}


def compared(
    results: Results,
    pairs: Sequence[Sequence[str]],
    k: int | str = "mean",
    sides: Sequence[str] = SIDES,
    split: str = "test",
    label: str = "",
) -> list[Evidence]:
    """Gain of the better row of each pair over the worse, in points, paired over queries.

    The captions of an image are drawn together; of several pairs the mean counts.

    Args:
        results: of the rows.
        pairs: keys of rows, better and worse.
        k: recall at ``k``, the ``"mean"`` of the recalls at 1, 5 and 10, of ``"both"`` directions, or
            ``"rsum"``, all six added.
        sides: those that query, each with a number of its own; of both directions there is one.
        split: ``"test"``, or ``"test_folds"`` for searches among a fifth of the images.
        label: put before the name of what is measured.
    """
    label, name = f"{label}, " if label else "", NAMES.get(str(k), f"R@{k}")
    data = results[pairs[0][0]].split(split)
    gains = {side: gain(results, pairs, side, k, split) for side in SIDES}
    if k in ("rsum", "both"):
        scale = 100 / (data.n_captions * len(pairs) * (1 if k == "rsum" else 2 * len(CUTOFFS)))
        return [_evidence(f"{label}{name}", image_parts(*gains.values(), data), data.group_of_image, scale)]
    scale = 100 / (len(pairs) * (len(CUTOFFS) if k == "mean" else 1))
    clusters = {"image": data.group_of_image, "text": data.group_of_caption}
    return [_evidence(f"{label}{side} query {name}", gains[side], clusters[side], scale) for side in sides]


def localised(
    results: Results, pairs: Sequence[Sequence[str]], k: int = 1, ap: bool = False, label: str = ""
) -> list[Evidence]:
    """Gain of phrases that look for boxes: recall at ``k``, the mentions of an image drawn together.

    With ``ap`` also that in average precision over phrases. Of several pairs the mean counts.
    """
    kept = {
        key: [run.load_arrays("ranks-test.npz") for run in results[key].runs]
        for pair in pairs
        for key in pair
    }

    def mean(value: Callable[[Mapping[str, np.ndarray]], np.ndarray]) -> np.ndarray:
        scores = {key: np.stack([value(arrays) for arrays in seeds]) for key, seeds in kept.items()}
        return sum(scores[better] - scores[worse] for better, worse in pairs) / len(pairs)

    label, clusters = f"{label}, " if label else "", next(iter(kept.values()))[0]["image"]
    hits = mean(lambda arrays: 1.0 * (arrays["ranks"] <= k))
    found = [_evidence(f"{label}R@{k}", hits, clusters, 100.0)]
    if ap:  # in per cent already, one number a phrase
        precisions = mean(lambda arrays: arrays["ap"])
        found.append(_evidence(f"{label}mAP", precisions, None, 1.0))
    return found


def gain(results: Results, pairs: Sequence[Sequence[str]], side: str, k: int | str, split: str) -> np.ndarray:
    """Hits that the better rows have more ``(S, Q)``, whole numbers, added over pairs and cutoffs."""
    cutoffs = CUTOFFS if isinstance(k, str) else (k,)

    def hits(key: str) -> np.ndarray:
        ranks = np.stack(results[key].ranks(side, split))
        return sum((ranks <= cut).astype(np.int64) for cut in cutoffs)

    return sum(hits(better) - hits(worse) for better, worse in pairs)


def image_parts(image: np.ndarray, text: np.ndarray, data: Dataset) -> np.ndarray:
    """What each image and its captions add to a gain in R-sum, in whole numbers ``(S, N)``.

    Hits of an image weigh M, those of its captions N, so that each caption counts as in the recall of all,
    however many its image has: the R-sum is 100 / M times the mean.
    """
    of_captions = np.zeros_like(image)
    np.add.at(of_captions, (slice(None), data.image_of_caption), text)
    return data.n_captions * image + data.n_images * of_captions


def _evidence(name: str, gains: np.ndarray, clusters: np.ndarray | None, scale: float) -> Evidence:
    return from_scores(name, list(gains), list(np.zeros_like(gains)), clusters, scale=scale)
