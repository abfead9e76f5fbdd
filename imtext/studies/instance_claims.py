"""What the runs say about the sentences of the Instance Loss paper that numbers can test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imtext.report import Evidence, Verdict, decide, from_ranks, from_samples, paper_claims
from imtext.retrieval.resampled import separation_samples

if TYPE_CHECKING:
    from imtext.studies.instance_loss import InstanceLossStudy

# Claim -> the row that should be better and the row that should be worse.
COMPARED = {
    "stage1_instance_beats_ranking": ("instance-1", "ranking-1"),
    "stage2_full_beats_ranking": ("full-2", "ranking-2"),
    "stage2_full_beats_instance": ("full-2", "instance-2"),
    "fine_tuning_helps": ("instance-2", "instance-1"),
    "word2vec_helps": ("instance-1", "random-init"),
    "position_shift_helps": ("instance-1", "left-alignment"),
}
OVERLAPS = {
    "overlap_instance_below_ranking": ("instance-2", "ranking-2"),
    "overlap_full_below_instance": ("full-2", "instance-2"),
}
# A reason for a verdict other than "reproduced", where one is known; kept to what the setting itself says.
REASONS = {
    "smoke": "this profile trains for seconds; its verdicts only show that the page works",
    "quick": "a small network, few groups and minutes of training",
}
MARGIN = "compare the last row of Table 2: the full model with a margin of .2 and all negatives"
CLAIM_REASONS = {"stage2_full_beats_instance": MARGIN, "overlap_full_below_instance": MARGIN}


def verdicts(study: InstanceLossStudy) -> list[Verdict]:
    """A verdict for each claim that the rows asked for can test, in the paper's order."""
    general = REASONS.get(study.parameters.profile, "")
    tested = []
    for name, claim in paper_claims("instance_loss").items():
        evidence = _evidence(study, name)
        if evidence:
            reason = "; ".join(filter(None, [general, CLAIM_REASONS.get(name, "")]))
            tested.append(decide(claim, evidence, reason))
    return tested


def _evidence(study: InstanceLossStudy, claim: str) -> Sequence[Evidence]:
    """The evidence for a claim, () where its rows were not asked for or it is not tested here."""
    have = set(study.slugs)
    if claim in COMPARED and have.issuperset(COMPARED[claim]):
        return _recalls(study, *COMPARED[claim])
    if claim in OVERLAPS and have.issuperset(OVERLAPS[claim]):
        return _overlaps(study, *OVERLAPS[claim])
    if claim == "positive_above_negative" and "instance-2" in have:
        return _gap(study, "instance-2")
    if claim == "features_decorrelate" and "instance-1" in have:
        return _decorrelated(study)
    return ()


def _recalls(study: InstanceLossStudy, better: str, worse: str) -> Sequence[Evidence]:
    """Gain in R@1, both directions, validation split, paired over queries, sentences drawn by image."""
    ranks = {slug: [run.load_arrays("ranks-val.npz") for run in study.runs[slug]] for slug in (better, worse)}
    owners = study.prepared.splits["val"].image_of_sentence
    return [
        from_ranks(
            f"{side} query R@1",
            [seed[f"{side}_query"] for seed in ranks[better]],
            [seed[f"{side}_query"] for seed in ranks[worse]],
            clusters=owners if side == "text" else None,
        )
        for side in ("image", "text")
    ]


def _samples(study: InstanceLossStudy, slug: str, name: str) -> list[np.ndarray]:
    """Bootstrap samples of S or of the gap, one array a seed; the same images for every row."""
    return [separation_samples(**run.load_arrays("embeddings-val.npz"))[name] for run in study.runs[slug]]


def _overlaps(study: InstanceLossStudy, smaller: str, larger: str) -> Sequence[Evidence]:
    pairs = zip(_samples(study, larger, "S"), _samples(study, smaller, "S"), strict=True)
    differences = [a - b for a, b in pairs]
    return [from_samples("difference in S", [d.mean() for d in differences], differences)]


def _gap(study: InstanceLossStudy, slug: str) -> Sequence[Evidence]:
    gaps = _samples(study, slug, "gap")
    return [from_samples("difference of mean cosines", [g.mean() for g in gaps], gaps)]


def _decorrelated(study: InstanceLossStudy, n: int = 500) -> Sequence[Evidence]:
    """Mean correlation before minus after Stage I; images are drawn again, pairs of one image left out."""
    before, after = study.correlations()
    change = before - after
    random = np.random.default_rng(0)
    samples = []
    for _ in range(n):
        drawn = random.integers(0, len(change), len(change))
        pairs = drawn[:, None] != drawn[None, :]
        samples.append(change[np.ix_(drawn, drawn)][pairs].mean())
    whole = change[~np.eye(len(change), dtype=bool)].mean()
    return [from_samples("mean correlation", whole, np.array(samples))]
