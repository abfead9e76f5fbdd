"""What the runs say about the sentences of the Intra-Modal Constraint paper that numbers can test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from imtext.report import Evidence, Verdict, from_gains, from_samples, from_scores
from imtext.studies.comparing import (
    CUTOFFS,
    SIDES,
    SMOKE,
    Compared,
    clusters_of,
    ranks_of,
    recalls,
    verdicts_of,
)
from imtext.studies.intra_rows import READINGS, TABLES, WEIGHTS

if TYPE_CHECKING:
    from imtext.studies.intra_modal import IntraStudy

IMC, PLAIN = "l1", "hinges"
DRAWS = 2000


def _rsum(better: str, worse: str, label: str = "", split: str = "test") -> Compared:
    return Compared(((better, worse),), k="rsum", label=label, split=split)


def _recall(better: str, worse: str, k: int = 1, label: str = "") -> Compared:
    return Compared(((better, worse),), k=k, label=label)


OTHERS = tuple(name for name in READINGS if name != IMC)
NAMES = {"msd": "MSD", "cosine": "cosine", "l2": "L2", "l1": "L1"}
# Claim -> the table that says it and what it compares.
COMPARED: dict[str, tuple[str, tuple[Compared, ...]]] = {
    "hardest_beats_all": ("3", (_rsum(PLAIN, "hinges-all"),)),
    "imc_beats_vse": (
        "1",
        (_rsum(IMC, "vse", "folds", "test_folds"), _rsum(IMC, "vse", "whole test split")),
    ),
    "imc_beats_vse_everywhere": ("2", tuple(_recall(IMC, "vse", k) for k in CUTOFFS)),
    "vse_keeps_first_place": ("1", (replace(_recall("vse", IMC), sides=("image",)),)),
    "every_distance_helps": ("3", tuple(_rsum(name, PLAIN, NAMES[name]) for name in READINGS)),
    "l1_best": ("3", tuple(_rsum(IMC, name, f"over {NAMES[name]}") for name in OTHERS)),
    "l1_best_r1": ("3", tuple(_recall(IMC, name, 1, f"over {NAMES[name]}") for name in OTHERS)),
    "l1_adds_four": ("3", (_rsum(IMC, PLAIN),)),
    "printed_helps": ("3", (_rsum("printed-cosine", PLAIN),)),
    "released_cosine_helps": ("3", (_rsum("cosine", PLAIN),)),
    "early_cosine_helps": ("3", (_rsum("cosine-early", "hinges-early"),)),
    "early_l1_helps": ("3", (_rsum("l1-early", "hinges-early"),)),
    "released_distance_helps": (
        "3",
        (Compared(tuple((name, PLAIN) for name in ("msd", "l2", "l1")), k="rsum"),),
    ),
    "weight_one_best": (
        "3",
        (
            _rsum(IMC, PLAIN, "over λ = 0"),
            *(_rsum(IMC, slug, f"over λ = {weight:g}") for slug, weight in WEIGHTS.items()),
        ),
    ),
    "declines_beyond_one": ("3", (_rsum(IMC, max(WEIGHTS, key=lambda slug: WEIGHTS[slug])),)),
}
REASONS = {
    "smoke": SMOKE,
    "quick": "few groups, a small network and seconds of training a run; the paper's gains are 1 to 4 points",
}
# Claims of the paper that are not tested here, and why.
UNTESTED: dict[str, str] = {}


def verdicts(study: IntraStudy) -> list[Verdict]:
    """A verdict for each claim that the rows and tables asked for can test, in the paper's order."""
    reason = REASONS.get(study.parameters.profile, "")
    return verdicts_of(study, "intra_modal", evidence_of, lambda claim: reason)


def evidence_of(study: IntraStudy, claim: str) -> Sequence[Evidence]:
    """The evidence for a claim, () where its rows or tables were not asked for or it is not tested here."""
    slugs = set(study.slugs)
    if claim in COMPARED:
        table, compared = COMPARED[claim]
        asked = table in study.tables and set().union(*(one.needs for one in compared)) <= slugs
        return [item for one in compared for item in recalls(study, one)] if asked else ()
    needs, measure = MEASURED.get(claim, (set(), None))
    return measure(study) if measure and needs <= slugs else ()


def _pairs_nearer(study: IntraStudy) -> Sequence[Evidence]:
    """Distance of matching pairs before minus after training, over the test sentences."""
    owners = study.prepared.splits["test"].image_of_sentence
    before, after = [], []
    for seed, run in zip(study.parameters.seeds, study.runs[IMC], strict=True):
        for found, arrays in (
            (before, study.untrained(seed)),
            (after, run.load_arrays("embeddings-test.npz")),
        ):
            found.append(1 - (arrays["images"][owners] * arrays["sentences"]).sum(1))
    clusters = clusters_of(study, "text", "test")
    return [from_scores("distance of matching pairs", before, after, clusters, scale=1, unit="", digits=3)]


def _moves_apart(study: IntraStudy) -> Sequence[Evidence]:
    """Distance to items of other groups in the same modality, with the constraint minus without."""
    found = []
    for side, key in (("image", "images"), ("text", "sentences")):
        groups = clusters_of(study, side, "test")
        rows = [
            [to_others(run.load_arrays("embeddings-test.npz")[key], groups) for run in study.runs[slug]]
            for slug in (IMC, PLAIN)
        ]
        found.append(from_scores(f"{key}, distance to others", *rows, groups, scale=1, unit="", digits=3))
    return found


def to_others(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean distance (1 − cos) of each item ``(N, D)``, of length 1, to those of other groups, ``(N,)``.

    >>> to_others(np.eye(2), np.array([0, 1])).tolist()
    [1.0, 1.0]
    """
    rows = np.asarray(rows, dtype=np.float64)
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, which, rows)
    others = (sums.sum(0) - sums)[which]
    return 1 - (rows * others).sum(1) / (len(rows) - sizes[which])


def _helps_text(study: IntraStudy) -> Sequence[Evidence]:
    """Gain of L1 over the hinges alone in mean recall, text queries minus image queries."""
    sides = {
        side: (
            ranks_of(study, IMC, side),
            ranks_of(study, PLAIN, side),
            clusters_of(study, side, "test"),
        )
        for side in SIDES
    }
    return [from_gains("gain in mean recall, text minus image", sides["text"], sides["image"])]


def _exceeds_seeds(study: IntraStudy) -> Sequence[Evidence]:
    """Mean gain of L1 in R-sum less the deviation of the hinges alone between seeds; seeds are drawn."""
    plain, gained = (study.metrics(slug, "test")["rsum"].to_numpy() for slug in (PLAIN, IMC))
    if len(plain) < 2:
        return ()
    gains, spread = gained - plain, plain.std(ddof=1)
    seeds = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    drawn = gains[seeds].mean(1) - spread
    return [from_samples("gain less spread of seeds", float(gains.mean() - spread), drawn, unit="points")]


# Claim -> the rows it needs, and how it is measured.
MEASURED: dict[str, tuple[set[str], Callable[[IntraStudy], Sequence[Evidence]]]] = {
    "pairs_come_nearer": ({IMC}, _pairs_nearer),
    "modality_moves_apart": ({IMC, PLAIN}, _moves_apart),
    "helps_text_more": ({IMC, PLAIN}, _helps_text),
    "gain_exceeds_seeds": ({IMC, PLAIN}, _exceeds_seeds),
}

__all__ = ["COMPARED", "MEASURED", "TABLES", "UNTESTED", "evidence_of", "to_others", "verdicts"]
