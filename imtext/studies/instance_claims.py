"""What the runs say about the sentences of the Instance Loss paper that numbers can test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imtext.data.picturebook import minimal_pairs
from imtext.report import Evidence, Verdict, decide, from_ranks, from_samples, paper_claims
from imtext.retrieval import cluster_bootstrap, told_apart
from imtext.retrieval.resampled import separation_samples
from imtext.studies.ablation import content_minus_function

if TYPE_CHECKING:
    from imtext.studies.instance_loss import InstanceLossStudy


@dataclass(frozen=True)
class Gain:
    """R@1 of one row minus that of another, on a split, for the sides that query."""

    better: str
    worse: str
    split: str = "val"
    sides: tuple[str, ...] = ("image", "text")
    label: str = ""


STAGE_ONE = Gain("instance-1", "ranking-1")
WORDS, SHIFT = Gain("instance-1", "random-init"), Gain("instance-1", "left-alignment")
# Claim -> the rows that it compares; a claim may need several comparisons.
COMPARED: dict[str, tuple[Gain, ...]] = {
    "stage1_instance_beats_ranking": (STAGE_ONE,),
    "stage2_full_beats_ranking": (Gain("full-2", "ranking-2"),),
    "stage2_full_beats_instance": (Gain("full-2", "instance-2"),),
    "fine_tuning_helps": (Gain("instance-2", "instance-1"),),
    "fine_tuning_adds_ten": (Gain("full-2", "instance-1", "test"),),
    "fine_tuning_helps_person_search": (
        Gain("persons-resnet50-2", "persons-resnet50-1", "test", sides=("text",)),
    ),
    "fewer_classes_hurt": (
        Gain("instance-1", "classes-10000", "test", label="more classes, "),
        Gain("instance-1", "classes-3000", "test", label="fewer classes, "),
    ),
    "depth_does_not_help": (Gain("resnet152-1", "text50-1", "test"),),
    "word2vec_helps": (WORDS,),
    "word2vec_adds_one_to_two": (WORDS,),
    "position_shift_helps": (SHIFT,),
    "position_shift_adds_five": (SHIFT,),
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
    if claim in COMPARED:
        gains = COMPARED[claim]
        rows = {row for gain in gains for row in (gain.better, gain.worse)}
        return [item for gain in gains for item in _recalls(study, gain)] if rows <= have else ()
    if claim in OVERLAPS:
        return _overlaps(study, *OVERLAPS[claim]) if have.issuperset(OVERLAPS[claim]) else ()
    needs, measure = MEASURED.get(claim, (set(), None))
    return measure(study) if measure and needs <= have else ()


def _recalls(study: InstanceLossStudy, gain: Gain) -> list[Evidence]:
    """Gain in R@1, paired over queries, the captions of a group drawn together."""
    rows = (gain.better, gain.worse)
    ranks = [[run.load_arrays(f"ranks-{gain.split}.npz") for run in study.runs[row]] for row in rows]
    persons = gain.better.startswith("persons")
    data = (study.persons if persons else study.prepared).splits[gain.split]
    return [
        from_ranks(
            f"{gain.label}{side} query R@1",
            *([seed[f"{side}_query"] for seed in row] for row in ranks),
            clusters=data.group_of_caption if side == "text" else data.group_of_image,
        )
        for side in gain.sides
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


def _told_apart(study: InstanceLossStudy) -> Sequence[Evidence]:
    """Share of captions of a minimal pair that are nearer to their own picture, instance minus ranking."""
    test = study.prepared.splits["test"]
    pairs = [] if test.scenes is None else [pair["images"] for pair in minimal_pairs(test)]
    if not pairs:
        return ()
    differences, samples = [], []
    for ours, other in zip(study.runs["instance-1"], study.runs["ranking-1"], strict=True):
        right = [told_apart(**run.load_arrays("embeddings-test.npz"), pairs=pairs) for run in (ours, other)]
        gain, pair = 100 * (right[0][0] - right[1][0]), right[0][1]
        differences.append(gain.mean())
        samples.append(cluster_bootstrap(gain, pair))
    return [from_samples("captions told apart", differences, samples, unit="points", digits=2)]


def _converges(study: InstanceLossStudy) -> Sequence[Evidence]:
    """Text error minus image error, mean over the epochs of Stage I; epochs are drawn again."""
    differences, samples = [], []
    for run in study.runs["instance-1"]:
        curves = pd.read_csv(run.dir / "curves.csv")
        gap = 100 * (curves["text_error"] - curves["image_error"]).to_numpy()
        differences.append(gap.mean())
        samples.append(cluster_bootstrap(gap, np.arange(len(gap))))
    return [from_samples("classification error", differences, samples, unit="points", digits=1)]


def _content(study: InstanceLossStudy) -> Sequence[Evidence]:
    """Mean fall of the cosine without a content word minus that without a function word, first seed."""
    difference, samples = content_minus_function(study.word_drops)
    return [from_samples("fall of the cosine", difference, samples, digits=4)]


# Claim -> the rows it needs and how it is measured.
MEASURED: dict[str, tuple[set[str], Callable[[InstanceLossStudy], Sequence[Evidence]]]] = {
    "positive_above_negative": ({"instance-2"}, lambda study: _gap(study, "instance-2")),
    "features_decorrelate": ({"instance-1"}, _decorrelated),
    "image_path_converges_first": ({"instance-1"}, _converges),
    "content_words_matter": ({"full-2"}, _content),
    "pairs_told_apart": ({"instance-1", "ranking-1"}, _told_apart),
}
