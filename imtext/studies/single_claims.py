"""What the runs say about the sentences of the single-network paper that numbers can test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imtext.report import Evidence, Verdict, from_samples, from_scores
from imtext.retrieval import cluster_bootstrap
from imtext.retrieval.agreement import compare_orders
from imtext.studies.comparing import CUTOFFS, SMOKE, Compared, clusters_of, recalls, verdicts_of
from imtext.studies.single_judged import follows, share_of_pairs, wrong_answers

if TYPE_CHECKING:
    from imtext.studies.single_network import SingleStudy

STANDARD, BEST, ALONE = "standard", "config-2", "centre-alone"
OWN_NAME, STRUCTURE = "One network, config-2", "Structure-preserving"
DRAWS = 2000


def _mean(better: str, worse: str) -> Compared:
    return Compared(((better, worse),), together=True)


# Claim -> the rows that it compares.
COMPARED: dict[str, tuple[Compared, ...]] = {
    "one_network_equals_two": (_mean("two-networks", STANDARD),),
    "centre_helps": (_mean(STANDARD, "softmax-alone"),),
    "config_2_beats_standard": tuple(Compared(((BEST, STANDARD),), k=k) for k in CUTOFFS),
    "more_texts_help": (_mean("ten-texts", STANDARD),),
    "more_images_do_not_help": (_mean("two-images", STANDARD),),
}
REASONS = {"smoke": SMOKE, "quick": "few groups, a small network from a random start, minutes of training"}
# Claims of the paper that are not tested here, and why.
UNTESTED: dict[str, str] = {}


def verdicts(study: SingleStudy) -> list[Verdict]:
    """A verdict for each claim that the rows and tables asked for can test, in the paper's order."""
    reason = REASONS.get(study.parameters.profile, "")
    return verdicts_of(study, "single_network", evidence_of, lambda claim: reason)


def evidence_of(study: SingleStudy, claim: str) -> Sequence[Evidence]:
    """The evidence for a claim, () where its rows or tables were not asked for or it is not tested here."""
    slugs = set(study.slugs)
    if claim in COMPARED:
        compared = COMPARED[claim]
        asked = set().union(*(one.needs for one in compared)) <= slugs
        return [item for one in compared for item in recalls(study, one)] if asked else ()
    if claim in OF_ROWS:
        needs, measure = OF_ROWS[claim]
        return measure(study) if needs <= slugs else ()
    measure = OF_MODELS.get(claim)
    if measure is None or "3" not in study.tables or study.meaning is None:
        return ()
    return () if claim in OF_JUDGED and not study.meaning.wrong_too else measure(study)


# Of the rows of this paper


def _alike_near(study: SingleStudy) -> Sequence[Evidence]:
    """Distance of drawn pairs of sentences of different groups minus that of near captions, relative.

    Near captions are chosen by their words alone: the largest share of common words (Jaccard), so that the
    network has no say.
    """
    test = study.prepared.splits["test"]
    rows = study.embeddings(BEST, "test")["sentences"]
    words = [set(caption.casefold().strip(" .").split()) for caption in test.captions]
    random = np.random.default_rng(0)
    one, two = random.integers(0, len(rows), (2, 20000))
    other = test.group_of_sentence[one] != test.group_of_sentence[two]
    one, two = one[other], two[other]
    common = np.array(
        [len(words[a] & words[b]) / len(words[a] | words[b]) for a, b in zip(one, two, strict=True)]
    )
    apart = np.linalg.norm(rows[one] - rows[two], axis=1)
    near = common >= np.quantile(common, 0.995)
    mean = apart.mean()
    name = "relative nearness of captions alike"
    drawn = 1 - cluster_bootstrap(apart[near], np.arange(int(near.sum())), DRAWS) / mean
    return [from_samples(name, float(1 - apart[near].mean() / mean), drawn)]


def _centre_trains(study: SingleStudy) -> Sequence[Evidence]:
    """Mean recall with the centre loss alone minus that of chance, per side."""
    found, by_chance = [], study.chance("test")
    for side in ("image", "text"):
        ranks = [run.load_arrays("ranks-test.npz")[f"{side}_query"] for run in study.runs[ALONE]]
        hits = [np.mean([rank <= k for k in CUTOFFS], axis=0) for rank in ranks]
        chance = np.mean([by_chance[f"{side}_query_r{k}"] for k in CUTOFFS]) / 100
        plain = [np.full(len(hit), chance) for hit in hits]
        clusters = clusters_of(study, side, "test")
        found.append(from_scores(f"{side} query mean recall over chance", hits, plain, clusters))
    return found


def _no_collapse(study: SingleStudy) -> Sequence[Evidence]:
    """Spread of the embeddings of the last epoch's batches, with softmax minus with the centre loss alone.

    Seeds are drawn; the interval of a single one would be a point, so below two there is no evidence.
    """
    spreads = [
        np.array([pd.read_csv(run.dir / "curves.csv")["spread"].iloc[-1] for run in study.runs[slug]])
        for slug in (STANDARD, ALONE)
    ]
    gains = spreads[0] - spreads[1]
    if len(gains) < 2:
        return ()
    seeds = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    return [from_samples("spread, last epoch", gains.tolist(), [gains[seeds].mean(1)] * len(gains))]


def _overlap(study: SingleStudy) -> Sequence[Evidence]:
    """Modality mixing of the test split; its interval is that of the measure."""
    found = study.mixing(BEST)
    return [_measured("mixing", found.value, found.low, found.high)]


def _measured(name: str, value: float, low: float, high: float) -> Evidence:
    """A number that comes with its interval."""
    return Evidence(name, value, low, high, per_seed=(value,), unit="", digits=3)


def _own_closer(study: SingleStudy) -> Sequence[Evidence]:
    """Distance of an image to sentences of others minus to its own, over the former."""
    test, found = study.prepared.splits["test"], []
    for run in study.runs[BEST]:
        arrays = run.load_arrays("embeddings-test.npz")
        apart = np.sqrt(np.maximum(2 - 2 * arrays["images"] @ arrays["sentences"].T, 0))
        own = test.group_of_image[:, None] == test.group_of_sentence[None]
        others = np.where(own, 0, apart).sum(1) / (~own).sum(1)
        found.append((others, np.where(own, apart, 0).sum(1) / own.sum(1)))
    scale = float(np.mean([others.mean() for others, _ in found]))
    others, owns = zip(*found, strict=True)
    return [from_scores("nearer to its own, relative", others, owns, scale=1 / scale, unit="", digits=3)]


# Of the models of all papers


def _against_best(study: SingleStudy) -> Sequence[Evidence]:
    """Mean recall of config-2 minus that of the best other model, both directions together."""
    own, best = study.graded[OWN_NAME], study.graded[_best_other(study)]
    value = (own.value("rsum") - best.value("rsum")) / 6
    drawn = (own.samples("rsum", n=DRAWS) - best.samples("rsum", n=DRAWS)) / 6
    return [from_samples("mean recall, both directions", value, drawn, "points", 2)]


def _best_other(study: SingleStudy) -> str:
    """The model of another paper with the highest R-sum on the test split."""
    others = {name: found.value("rsum") for name, found in study.graded.items() if "One network" not in name}
    return max(others, key=others.__getitem__)


def _recall_low(study: SingleStudy) -> Sequence[Evidence]:
    """R@1 of the structure-preserving model minus that of config-2."""
    found = []
    for side in ("image_query", "text_query"):
        other, own = study.graded[STRUCTURE], study.graded[OWN_NAME]
        value = other.value("recall@1", side) - own.value("recall@1", side)
        drawn = other.samples("recall@1", side, DRAWS) - own.samples("recall@1", side, DRAWS)
        found.append(from_samples(f"{side.split('_')[0]} query R@1", value, drawn, "points", 2))
    return found


def _right_share(study: SingleStudy, against: float) -> list[Evidence]:
    found = []
    for side, (right, images) in wrong_answers(study, OWN_NAME).items():
        if not len(right):
            continue
        drawn = 100 * cluster_bootstrap(right.astype(float), images, DRAWS) - against
        name = f"{side.split('_')[0]} query, share right"
        found.append(from_samples(name, float(100 * right.mean() - against), drawn, "points", 2))
    return found


def _false_right(study: SingleStudy) -> Sequence[Evidence]:
    """Share of the first wrong answers that are right in meaning, minus 50 per cent."""
    return _right_share(study, 50.0)


def _false_beat_others(study: SingleStudy) -> Sequence[Evidence]:
    """The same minus the share among all judged pairs that are no true pairs."""
    return _right_share(study, share_of_pairs(study))


def _closes_gap(study: SingleStudy) -> Sequence[Evidence]:
    """Relative gap to the best other model by recall minus by semantic recall."""
    best, own = study.graded[_best_other(study)], study.graded[OWN_NAME]

    def gap(get: Callable) -> np.ndarray:
        plain, semantic = (1 - get(own, name) / get(best, name) for name in ("rsum", "semantic_rsum"))
        return 100 * (plain - semantic)

    value = float(gap(lambda one, name: one.value(name)))
    drawn = gap(lambda one, name: one.samples(name, n=DRAWS))
    return [from_samples("relative gap closed", value, drawn, "points", 2)]


def _order_changes(study: SingleStudy) -> Sequence[Evidence]:
    """0.9 minus Kendall's tau between the orders of the models by recall and by semantic recall."""
    return [_tau("0.9 − τ of the orders", study, "rsum", "semantic_rsum", lambda tau: 0.9 - tau)]


def _tau(name: str, study: SingleStudy, first: str, second: str, turned: Callable) -> Evidence:
    """A function of Kendall's tau between two orders of the models, with a bootstrap over images."""
    samples = [{m: one.samples(k, n=200) for m, one in study.graded.items()} for k in (first, second)]
    values = [{m: one.value(k) for m, one in study.graded.items()} for k in (first, second)]
    drawn = [
        compare_orders(*({m: float(part[m][i]) for m in part} for part in samples)).tau for i in range(200)
    ]
    return from_samples(name, float(turned(compare_orders(*values).tau)), turned(np.array(drawn)))


def _follows_people(study: SingleStudy) -> Sequence[Evidence]:
    """Kendall's tau-b between the similarity of judged pairs that are no true pairs and their judgement."""
    found = follows(study, OWN_NAME)
    return [_measured("Kendall's τ-b", found.kendall, found.kendall_low, found.kendall_high)]


def _mixing_tells(study: SingleStudy) -> Sequence[Evidence]:
    """Kendall's tau between the orders of the models by modality mixing and by semantic recall."""
    from imtext.retrieval import modality_mixing

    mixing = {}
    for name, run in study.model_runs.items():
        if (run.dir / "embeddings-test.npz").is_file():
            arrays = run.load_arrays("embeddings-test.npz")
            mixing[name] = float(modality_mixing(arrays["images"], arrays["sentences"], n=20, shuffles=20))
    own = {name: study.graded[name] for name in mixing}
    drawn = {name: one.samples("semantic_rsum", n=200) for name, one in own.items()}
    taus = [
        compare_orders(mixing, {name: float(part[i]) for name, part in drawn.items()}).tau for i in range(200)
    ]
    tau = compare_orders(mixing, {name: one.value("semantic_rsum") for name, one in own.items()}).tau
    return [from_samples("Kendall's τ, mixing and meaning", float(tau), np.array(taus))]


Measure = Callable[["SingleStudy"], Sequence[Evidence]]
OF_ROWS: dict[str, tuple[set[str], Measure]] = {
    "alike_captions_lie_near": ({BEST}, _alike_near),
    "centre_loss_trains": ({ALONE}, _centre_trains),
    "softmax_prevents_collapse": ({STANDARD, ALONE}, _no_collapse),
    "modalities_overlap": ({BEST}, _overlap),
    "own_texts_lie_closer": ({BEST}, _own_closer),
}
OF_MODELS: dict[str, Measure] = {
    "one_network_comparable": _against_best,
    "recall_is_low": _recall_low,
    "false_matches_are_right": _false_right,
    "false_matches_beat_others": _false_beat_others,
    "semantic_recall_closes_gap": _closes_gap,
    "order_changes": _order_changes,
    "similarity_follows_people": _follows_people,
    "mixing_tells_good_systems": _mixing_tells,
}

# Those that need pairs which were judged wrong.
OF_JUDGED = ("false_matches_are_right", "false_matches_beat_others", "similarity_follows_people")

__all__ = ["COMPARED", "OF_JUDGED", "OF_MODELS", "OF_ROWS", "UNTESTED", "evidence_of", "verdicts"]
