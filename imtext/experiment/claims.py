"""Results of rows against each other: the recalls and R-sums that a paper's claims are about."""

from __future__ import annotations

from collections.abc import Sequence

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
        parts = image_parts(*gains.values(), data)
        return [from_scores(f"{label}{name}", parts, 0, data.group_of_image, scale)]
    scale = 100 / (len(pairs) * (len(CUTOFFS) if k == "mean" else 1))
    clusters = {"image": data.group_of_image, "text": data.group_of_caption}
    return [
        from_scores(f"{label}{side} query {name}", gains[side], 0, clusters[side], scale) for side in sides
    ]


def localised(
    results: Results, pairs: Sequence[Sequence[str]], k: int = 1, ap: bool = False, label: str = ""
) -> list[Evidence]:
    """Gain of phrases that look for boxes: recall at ``k``, the mentions of an image drawn together.

    With ``ap`` also that in average precision over phrases. Of several pairs the mean counts.
    """

    def kept(key: str, name: str) -> np.ndarray:
        return np.stack([run.load_arrays("ranks-test.npz")[name] for run in results[key].runs])

    label, clusters = f"{label}, " if label else "", kept(pairs[0][0], "image")[0]
    hits = sum(1.0 * (kept(better, "ranks") <= k) - (kept(worse, "ranks") <= k) for better, worse in pairs)
    found = [from_scores(f"{label}R@{k}", hits / len(pairs), 0, clusters)]
    if ap:  # in per cent already, one number a phrase
        gains = sum(kept(better, "ap") - kept(worse, "ap") for better, worse in pairs)
        found.append(from_scores(f"{label}mAP", gains / len(pairs), 0, scale=1))
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
