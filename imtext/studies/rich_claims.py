"""What the runs say about the sentences of the Rich Features paper that numbers can test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from imtext.report import Evidence, Verdict, from_samples, from_scores
from imtext.retrieval import cluster_bootstrap
from imtext.studies.comparing import (
    CUTOFFS,
    SMOKE,
    Compared,
    clusters_of,
    gain_where,
    ranks_of,
    recalls,
    verdicts_of,
)
from imtext.studies.hard_triplet import compare
from imtext.studies.rich_rows import TABLES
from imtext.text.tokens import tokenize

if TYPE_CHECKING:
    from imtext.studies.rich_features import RichStudy

VARIANTS = {"ti-lse": "t-i LSE", "ti-avg": "t-i AVG", "it-lse": "i-t LSE", "it-avg": "i-t AVG"}
# Base -> with rich features, as rows of Table V.
TIMED = {"vse": "vse_rfe", "scan": "scan_rfe"}
NAMES = {"vse": "VSE++", "scan": "SCAN"}
PARTS = {"train": "training", "test": "test"}


@dataclass(frozen=True)
class Part:
    """Comparisons that belong together: all are made or none, on the split of one table.

    Attributes:
        tables: the tables that say it; the first that was asked for gives the split.
        compared: the rows, better and worse.
    """

    tables: tuple[str, ...]
    compared: tuple[Compared, ...]

    @property
    def needs(self) -> set[str]:
        """Slugs of the rows."""
        return set().union(*(one.needs for one in self.compared))


def _rsum(better: str, worse: str, label: str = "") -> Compared:
    return Compared(((better, worse),), k="rsum", label=label)


def _recall(better: str, worse: str, k: int = 1, label: str = "") -> Compared:
    return Compared(((better, worse),), k=k, label=label)


# avg-4 with the text of the image variants, and the best of these.
PLAIN, RICH = "bigru-emb-avg", "avg-4-max-1234"
SCANS = tuple((f"scan-rfe-{name}", f"scan-{name}") for name in VARIANTS)
MEAN_WORDS, MAX_C4 = _recall("gru-emb-avg", "vse"), ("avg-4-max-4", PLAIN)
RERANKED = (
    Part(("9",), (_rsum("rerank-rich", RICH, RICH),)),
    Part(("10",), (_rsum("rerank-small", "gru-emb-avg", "avg-4-GRU-emb-avg"),)),
)
# Claim -> what it compares; of several parts those whose table was asked for.
COMPARED: dict[str, tuple[Part, ...]] = {
    "margin_two_tenths_best": (
        Part(
            ("1",),
            tuple(_rsum("gru-emb-avg", f"gru-emb-avg-m0{tenth}", f"over .{tenth}") for tenth in (1, 3, 6)),
        ),
    ),
    "scan_rfe_beats_scan": (Part(("2", "4"), (Compared(SCANS, k="rsum"),)),),
    "scan_rfe_beats_scan_each": (
        Part(
            ("2", "4"),
            tuple(_rsum(*pair, name) for pair, name in zip(SCANS, VARIANTS.values(), strict=True)),
        ),
    ),
    "scan_rfe_pair_beats_scan_pair": (
        Part(("2",), (_recall("scan-rfe-ti-avg-ti-lse", "scan-ti-lse-it-avg", label="Table 2"),)),
        Part(("4",), (_recall("scan-rfe-ti-avg-it-lse", "scan-ti-avg-it-lse", label="Table 4"),)),
    ),
    "ti_avg_best_variant": (
        Part(
            ("2", "4"),
            tuple(
                _rsum("scan-rfe-ti-avg", f"scan-rfe-{name}", f"over {label}")
                for name, label in VARIANTS.items()
                if name != "ti-avg"
            ),
        ),
    ),
    "mean_words_help": (Part(("6", "8"), (MEAN_WORDS,)),),
    "mean_words_add_five": (Part(("6",), (MEAN_WORDS,)),),
    "bigru_helps": (Part(("6",), (_recall("bigru", "vse"),)),),
    "bigru_no_gain_small": (Part(("8",), (_rsum("bigru", "vse"),)),),
    "bigru_and_words_beat_either": (
        Part(("6",), (_rsum(PLAIN, "gru-emb-avg", "over GRU-emb-avg"), _rsum(PLAIN, "bigru", "over BiGRU"))),
    ),
    "max_words_help": (Part(("6",), (_rsum("bigru-emb-max", "bigru"),)),),
    "mean_words_beat_max_words": (Part(("6",), (_rsum(PLAIN, "bigru-emb-max"),)),),
    "max_c4_helps": (Part(("6",), (_recall(*MAX_C4),)),),
    "max_c4_adds_three": (Part(("6",), (_rsum(*MAX_C4),)),),
    "all_maxima_help": (Part(("6", "9"), (_rsum(RICH, PLAIN),)),),
    "all_maxima_best": (
        Part(("7",), tuple(_rsum(RICH, f"avg-4-max-{few}", f"over max-{few}") for few in (4, 34, 123))),
    ),
    "low_maxima_alone_do_not_help": (Part(("7",), (_rsum("avg-4-max-123", PLAIN),)),),
    "rich_images_no_gain_small": (Part(("8",), (_rsum(RICH, PLAIN),)),),
    "reranking_helps": RERANKED,
    "reranking_adds_one": RERANKED,
    # Its printed numbers are those of Table VII.
    "ensemble_helps_everywhere": (Part(("7", "2"), tuple(_recall("ensemble", RICH, k) for k in CUTOFFS)),),
    "ensemble_adds_nine": (Part(("6", "9"), (_rsum("ensemble", RICH),)),),
}
SPLITS = {table: line.split for table, rows in TABLES.items() for line in rows.values()}
# Claims about small datasets, not tested on MSCOCO; and about large ones, of which elsewhere a reason tells.
OF_SMALL = {"bigru_no_gain_small", "rich_images_no_gain_small"}
OF_LARGE = {"bigru_helps"}
REASONS = {"smoke": SMOKE, "quick": "few groups, a small network and minutes of training"}
# Claims of the paper that are not tested here, and why.
UNTESTED: dict[str, str] = {}


def verdicts(study: RichStudy) -> list[Verdict]:
    """A verdict for each claim that the rows and tables asked for can test, in the paper's order."""
    general = REASONS.get(study.parameters.profile, "")
    large = study.parameters.dataset.startswith("coco")

    def reason(claim: str) -> str:
        small = "" if large or claim not in OF_LARGE else "the claim is about a large dataset"
        return "; ".join(filter(None, (general, small)))

    return verdicts_of(study, "rich_features", evidence_of, reason)


def evidence_of(study: RichStudy, claim: str) -> Sequence[Evidence]:
    """The evidence for a claim, () where its rows or tables were not asked for or it is not tested here."""
    if claim in OF_SMALL and study.parameters.dataset.startswith("coco"):
        return ()
    if claim in COMPARED:
        return [item for part in COMPARED[claim] for item in _part(study, part)]
    needs, tables, measure = MEASURED.get(claim, (set(), (), None))
    asked = needs <= set(study.slugs) and set(tables) <= set(study.tables)
    return measure(study) if measure and asked else ()


def _part(study: RichStudy, part: Part) -> list[Evidence]:
    table = next((table for table in part.tables if table in study.tables), None)
    if table is None or not part.needs <= set(study.slugs):
        return []
    return [item for one in part.compared for item in recalls(study, replace(one, split=SPLITS[table]))]


def _nearer(study: RichStudy) -> Sequence[Evidence]:
    """Distance of the hardest negative minus that of the positive after the max of hinges, over seeds."""
    positive, hardest = _triplets(*TRIPLETS[study.parameters.profile])
    name = "distance of the hardest negative minus the positive's"
    return [from_scores(name, hardest, positive, scale=1, unit="", digits=3)]


@lru_cache(maxsize=2)
def _triplets(seeds: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean distances of positives and of hardest negatives after training, ``(seeds,)`` each."""
    found = compare(range(seeds), steps=steps)
    return found["positive"]["max"].to_numpy(), found["hardest"]["max"].to_numpy()


def _seconds(study: RichStudy, n: int = 2000) -> dict[tuple[str, str], tuple[float, np.ndarray]]:
    """Mean seconds by row and part of Table V, with bootstrap means ``(n,)`` over the runs.

    The rows take turns within a run, so a run is drawn with what it says of all of them. Rows that the
    dataset cannot fill are left out.
    """
    found = {}
    for row, parts in study.timing_runs().items():
        for part in PARTS:
            values = np.asarray(parts[part], dtype=float)
            found[row, part] = (values.mean(), cluster_bootstrap(values, np.arange(len(values)), n))
    return found


def _of_seconds(
    name: str, seconds: Sequence[tuple[float, np.ndarray]], measure: Callable, digits: int
) -> Evidence:
    """A function of mean seconds: what it is, and its bootstrap."""
    own, drawn = (measure(*values) for values in zip(*seconds, strict=True))
    return from_samples(name, float(own), drawn, digits=digits)


def _takes_longer(study: RichStudy) -> Sequence[Evidence]:
    """Seconds with minus without rich features."""
    found = _seconds(study)
    return [
        _of_seconds(f"{NAMES[base]}, {word} s", (found[rich, part], found[base, part]), np.subtract, 4)
        for base, rich in TIMED.items()
        for part, word in PARTS.items()
        if {(base, part), (rich, part)} <= found.keys()
    ]


def _less_extra(study: RichStudy) -> Sequence[Evidence]:
    """Relative extra time of rich features in per cent, on VSE++ minus on SCAN."""
    found = _seconds(study)

    def measure(rich: float, base: float, rich_deep: float, deep: float) -> float:
        return 100 * (rich / base - rich_deep / deep)

    rows = [row for base, rich in TIMED.items() for row in (rich, base)]
    if not {(row, part) for row in rows for part in PARTS} <= found.keys():
        return ()
    return [
        _of_seconds(f"per cent more {word}", [found[row, part] for row in rows], measure, 1)
        for part, word in PARTS.items()
    ]


def _scores_slowly(study: RichStudy) -> Sequence[Evidence]:
    """Seconds of scoring, SCAN minus VSE++, without and with rich features."""
    found = _seconds(study)
    return [
        _of_seconds(f"{which} rich features", (found[scan, "test"], found[vse, "test"]), np.subtract, 4)
        for which, vse, scan in (("without", "vse", "scan"), ("with", "vse_rfe", "scan_rfe"))
        if {(scan, "test"), (vse, "test")} <= found.keys()
    ]


def _long_captions(study: RichStudy) -> Sequence[Evidence]:
    """Gain in R@1 of text queries with rich features, captions longer than the median minus the others."""
    lengths = np.array([len(tokenize(caption)) for caption in study.prepared.splits["test"].captions])
    long = lengths > np.median(lengths)
    if not long.any():
        return ()
    pairs = zip(ranks_of(study, RICH, "text"), ranks_of(study, "vse", "text"), strict=True)
    gains = [(rich <= 1).astype(float) - (plain <= 1) for rich, plain in pairs]
    return [gain_where("text query R@1, long minus short", gains, long, clusters_of(study, "text", "test"))]


# Seeds and steps of the toy of Figure 3: beyond some fifty steps a last digit decides which is the hardest.
TRIPLETS = {"smoke": (2, 50), "quick": (8, 150), "paper": (24, 150)}
# Claim -> the rows and the tables it needs, and how it is measured.
MEASURED: dict[str, tuple[set[str], tuple[str, ...], Callable[[RichStudy], Sequence[Evidence]]]] = {
    "positive_nearer_than_hardest": (set(), (), _nearer),
    "rfe_takes_longer": (set(), ("5",), _takes_longer),
    "less_extra_for_deeper_base": (set(), ("5",), _less_extra),
    "scan_scores_slowly": (set(), ("5",), _scores_slowly),
    "rich_helps_long_captions_more": ({RICH, "vse"}, (), _long_captions),
}
TIMED_CLAIMS = frozenset(claim for claim, (_, tables, _) in MEASURED.items() if "5" in tables)
