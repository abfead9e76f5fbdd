"""What the runs say about the sentences of the Structure-Preserving paper that numbers can test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from imtext.report import Evidence, Verdict, from_gains, from_ranks, from_scores
from imtext.studies.comparing import (
    SIDES,
    SMOKE,
    Compared,
    Pair,
    both_sides_of,
    by_seed,
    clusters_of,
    recalls,
    verdicts_of,
)
from imtext.studies.structure_geometry import compare
from imtext.studies.structure_violations import few_violations

if TYPE_CHECKING:
    from imtext.studies.structure_preserving import StructureStudy

LINEAR_AND_NOT = ("fv-linear", "fv-nonlinear")


def _with_and_without(*prefixes: str) -> tuple[Pair, ...]:
    return tuple((f"{prefix}-bi-structure", f"{prefix}-bi") for prefix in prefixes)


NONLINEAR = Compared(
    tuple((f"fv-nonlinear-{loss}", f"fv-linear-{loss}") for loss in ("one", "bi", "bi-structure"))
)
BI = Compared(tuple((f"{prefix}-bi", f"{prefix}-one") for prefix in LINEAR_AND_NOT))
STRUCTURE = (Compared(_with_and_without("fv-linear")), Compared(_with_and_without("fv-nonlinear")))
BEST = "fv-nonlinear-bi-structure"
# Claim -> what it compares; a claim may need several comparisons.
COMPARED: dict[str, tuple[Compared, ...]] = {
    "nonlinear_beats_linear": (NONLINEAR,),
    "nonlinear_adds_four": (NONLINEAR,),
    "bidirectional_beats_one_directional": (BI,),
    "bidirectional_adds_one_to_two": (Compared(BI.pairs, sides=("image",)),),
    "structure_helps": STRUCTURE,
    "structure_adds_one_to_two": STRUCTURE,
    "linear_does_not_beat_cca": (Compared((("fv-linear-bi-structure", "cca-fv"),), k=1),),
    "nonlinear_beats_cca": (Compared(((BEST, "cca-fv"),), k=1),),
    "structure_helps_weaker_text": tuple(Compared(_with_and_without(text)) for text in ("mean", "tfidf")),
    "mean_vector_beats_its_cca": (Compared((("mean-bi-structure", "cca-mean"),)),),
    "mean_vector_level_with_cca": (Compared((("mean-bi-structure", "cca-fv"),)),),
    "mean_vector_below_fv": (Compared(((BEST, "mean-bi-structure"),)),),
    "tfidf_just_below_fv": (Compared(((BEST, "tfidf-bi-structure"),)),),
    "lambda_1_two_is_best": (Compared((("fv-nonlinear-bi", "fv-nonlinear-bi-equal"),), together=True),),
    "structure_helps_on_coco": tuple(
        Compared(_with_and_without(text), split="test_folds") for text in ("fv-nonlinear", "mean", "tfidf")
    ),
    "fine_tuning_adds_half": (Compared(((f"{BEST}-tuned", BEST),)),),
}
# Claims about a table whose rows are read in another way elsewhere: only where it was asked for.
OF_TABLE = {"structure_helps_on_coco": "2"}


@dataclass(frozen=True)
class Localised:
    """Rows of Table 3 that a claim compares, better and worse; of several pairs the mean counts."""

    pairs: tuple[Pair, ...]
    ks: tuple[int, ...] = (1,)
    mean_ap: bool = True

    @property
    def needs(self) -> set[str]:
        """Slugs of the rows."""
        return {slug for pair in self.pairs for slug in pair}


def _regions(*pairs: Pair) -> tuple[Pair, ...]:
    return tuple((f"regions-{better}", f"regions-{worse}") for better, worse in pairs)


NEGATIVES = (Localised(_regions(("d-tuned", "d"))),)
LOCALISED: dict[str, tuple[Localised, ...]] = {
    "structure_helps_localisation": (Localised(_regions(("b", "a"), ("c", "a"), ("d", "a"))),),
    "structure_terms_differ_little": (Localised(_regions(("c", "b"))),),
    "cca_ahead_without_negatives": tuple(
        Localised(_regions(("cca", row)), mean_ap=False) for row in ("a", "b", "c", "d")
    ),
    "cca_level_at_five_and_ten": (Localised(_regions(("d", "cca")), ks=(5, 10), mean_ap=False),),
    "hard_negatives_help": NEGATIVES,
    "hard_negatives_add_six": NEGATIVES,
    "hard_negatives_beat_cca": (Localised(_regions(("d-tuned", "cca"))),),
}
REASONS = {"smoke": SMOKE, "quick": "few groups, word vectors of 50 numbers and minutes of training"}


def verdicts(study: StructureStudy) -> list[Verdict]:
    """A verdict for each claim that the rows asked for can test, in the paper's order."""
    reason = REASONS.get(study.parameters.profile, "")
    return verdicts_of(study, "structure_preserving", _evidence, lambda claim: reason)


def _evidence(study: StructureStudy, claim: str) -> Sequence[Evidence]:
    """The evidence for a claim, () where its rows were not asked for or it is not tested here."""
    have = set(study.slugs)
    if OF_TABLE.get(claim, study.tables[0]) not in study.tables:
        return ()
    for claims, measured in ((COMPARED, _recalls), (LOCALISED, _localised)):
        if claim in claims:
            needed = set().union(*(one.needs for one in claims[claim]))
            return [item for one in claims[claim] for item in measured(study, one)] if needed <= have else ()
    needs, measure = MEASURED.get(claim, (set(), None))
    return measure(study) if measure and needs <= have else ()


def _recalls(study: StructureStudy, compared: Compared) -> list[Evidence]:
    """Gain in recall, with the text feature and layers of the rows where there is one pair of them."""
    named = len(compared.pairs) == 1 and not compared.together
    label = compared.pairs[0][0].rsplit("-bi", 1)[0] if named else ""
    return recalls(study, replace(compared, label=label))


def _localised(study: StructureStudy, compared: Localised) -> list[Evidence]:
    """Gain in recall over phrase mentions, those of an image drawn together, and in AP over phrases."""
    sides = [
        [run.load_arrays("ranks-test.npz") for pair in compared.pairs for run in study.runs[pair[which]]]
        for which in (0, 1)
    ]
    names = [slug.removeprefix("regions-") for slug in compared.pairs[0]]
    where = f"{names[0]} against {names[1]}, " if len(compared.pairs) == 1 else ""
    ranks = [[arrays["ranks"] for arrays in side] for side in sides]
    found = [from_ranks(f"{where}R@{k}", *ranks, k=k, clusters=sides[0][0]["image"]) for k in compared.ks]
    if compared.mean_ap:
        # Already in per cent, one number a phrase.
        precisions = [[arrays["ap"] for arrays in side] for side in sides]
        found.append(from_scores(f"{where}mAP", *precisions, scale=1))
    return [by_seed(item, compared.pairs) for item in found]


def _text_more(study: StructureStudy) -> Sequence[Evidence]:
    """Gain of both directions for text queries minus that for image queries."""
    gains = [
        (*both_sides_of(study, BI, side), clusters_of(study, side, BI.split)) for side in ("text", "image")
    ]
    return [by_seed(from_gains("text gain minus image gain, mean recall", *gains, k="mean"), BI.pairs)]


def _caption_distances(study: StructureStudy, slug: str) -> list[np.ndarray]:
    """Mean distance of two captions of an image, for each test image, one array a seed."""
    found = []
    for run in study.runs[slug]:
        arrays = run.load_arrays("embeddings-test.npz")
        captions, owners = arrays["captions"].astype(np.float64), arrays["image_of_caption"]
        means = []
        for image in np.unique(owners):
            own = captions[owners == image]
            distances = np.linalg.norm(own[:, None] - own[None, :], axis=2)
            pairs = len(own) * (len(own) - 1)
            means.append(distances.sum() / pairs if pairs else np.nan)
        found.append(np.array(means))
    return found


def _drawn_together(study: StructureStudy) -> Sequence[Evidence]:
    """Without minus with the structure term: the distance of two captions of an image."""
    without, with_term = (_caption_distances(study, f"fv-nonlinear-bi{end}") for end in ("", "-structure"))
    kept = np.isfinite(without[0])
    pick = partial(map, lambda values: values[kept])
    return [
        from_scores(
            "distance of two captions of an image",
            list(pick(without)),
            list(pick(with_term)),
            scale=1,
            unit="",
            digits=3,
        )
    ]


def _few_violations(study: StructureStudy) -> Sequence[Evidence]:
    """Share of training pairs with fewer violations than are kept minus the share of the others."""
    few = [
        few_violations(study.experiments(seed)[BEST], run)
        for seed, run in zip(study.parameters.seeds, study.runs[BEST], strict=True)
    ]
    clusters = study.prepared.splits["train"].image_of_caption
    shares = {side: [one[side] for one in few] for side in SIDES}
    return [
        from_scores(f"{side} as target", own, [1 - one for one in own], clusters=clusters)
        for side, own in shares.items()
    ]


def _resolved(study: StructureStudy) -> Sequence[Evidence]:
    """Gap of new images in the example of Figure 2, with minus without the term, over draws of it."""
    with_term, without = _gaps(DRAWS.get(study.parameters.profile, DRAWS["quick"]))
    return [from_scores("gap of a new image", with_term, without, scale=1, unit="", digits=3)]


@lru_cache(maxsize=2)
def _gaps(draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean gap with and without the term, ``(draws,)`` each."""
    gaps = compare(range(draws))["gap"]
    return gaps["with"].to_numpy(), gaps["without"].to_numpy()


# Draws of the example of Figure 2.
DRAWS = {"smoke": 4, "quick": 24}
# Claim -> the rows it needs and how it is measured.
MEASURED: dict[str, tuple[set[str], Callable[[StructureStudy], Sequence[Evidence]]]] = {
    "bidirectional_helps_text_more": (BI.needs, _text_more),
    "structure_draws_captions_together": ({"fv-nonlinear-bi", BEST}, _drawn_together),
    "structure_resolves_ambiguity": (set(), _resolved),
    "most_pairs_violate_little": ({BEST}, _few_violations),
}
