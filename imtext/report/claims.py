"""Claims of a paper, and whether our runs bear them out.

A claim is one sentence of the paper that numbers can test. Its evidence is one or several differences, each
arranged so that *positive means as claimed*, each with a 95 % interval. The rule, for one difference:

- reproduced: the interval lies above 0 and no seed's own difference lies below 0;
- not reproduced: the interval lies below 0 and no seed's own difference lies above 0;
- undecided: anything else.

Two kinds of claim have bounds instead, and are held to the whole interval. 'no_gain', "not better by more
than a tolerance": reproduced when the interval lies at or below the tolerance, not reproduced when it lies
above. 'about', "better by about so much": reproduced when the interval lies within the bounds, not reproduced
when none of it does. Undecided is what is left.

A claim with several differences (both query directions, an order of three models) is reproduced when all of
them are, not reproduced when one of them is not, and undecided otherwise.

How seeds are combined. All seeds are tested on the same queries. From ranks: the difference is the mean over
seeds of the per-query differences; the bootstrap draws queries, and a drawn query brings its results under
every seed. From bootstrap samples of a scalar (such as the overlap S): the samples of all seeds are pooled,
so that the interval also holds the spread between seeds.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from imtext.errors import ConfigError, DataError
from imtext.report.markup import signed, styled
from imtext.report.numbers import raw_claims
from imtext.report.style import PALETTE, RED
from imtext.report.tables import describe
from imtext.retrieval import paired_bootstrap

# What a claim says of a difference: above 0; not above a tolerance; around a number, give or take another.
KINDS = {"greater": (), "no_gain": ("tolerance",), "about": ("around", "within")}
REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided"
SYMBOLS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", UNDECIDED: "?"}


@dataclass(frozen=True)
class Claim:
    """One testable sentence of a paper.

    `text` is the sentence in our words, `section` its place, `test` how it is decided, `paper` the paper's
    numbers. A claim of `kind` 'greater' says that something is better than something else; 'no_gain' says
    that it is not better by more than `tolerance`; 'about' says that it is better by `around`, give or take
    `within` (in the unit of the difference). `compare`: rows of `table`; `needs`: those of another measure.
    `size`: "small" or "large" where it is about datasets of that size. `reason`: what is known to be
    behind a verdict other than "reproduced".
    """

    id: str
    text: str
    section: str
    test: str
    paper: str = ""
    kind: str = "greater"
    tolerance: float = 0.0
    around: float | None = None
    within: float | None = None
    table: str = ""
    compare: Sequence[Mapping[str, Any]] = ()
    needs: Sequence[str] = ()
    size: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"claim {self.id}: kind should be one of {', '.join(KINDS)}, found {self.kind!r}"
            )
        given = [value is not None for value in (self.around, self.within)]
        if self.kind == "about" and (not all(given) or not self.within > 0):
            raise ConfigError(
                f"claim {self.id}: kind 'about' needs around and within > 0, "
                f"found {self.around} and {self.within}"
            )
        if self.kind != "about" and any(given):
            raise ConfigError(f"claim {self.id}: around and within belong to kind 'about'; remove them")
        for name in ("id", "text", "section", "test"):
            if not getattr(self, name).strip():
                raise ConfigError(f"claim {self.id!r}: {name} is empty; say it in a few words")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bounds that the interval is held to, None where the claim is about the sign alone.

        >>> Claim("c", "A adds ten", "6.4", "R@1", kind="about", around=10, within=5).bounds
        (5, 15)
        """
        if self.kind == "about":
            return self.around - self.within, self.around + self.within
        return (-math.inf, self.tolerance) if self.kind == "no_gain" else None


def paper_claims(paper: str) -> dict[str, Claim]:
    """The claims of a paper by id, in the paper's order.

    >>> paper_claims("instance_loss")["word2vec_helps"].section
    'section 6.4, Table 5'
    """
    return {raw["id"]: Claim(**raw) for raw in raw_claims(paper)}


@dataclass(frozen=True)
class Evidence:
    """One difference with its 95 % interval; positive means as claimed.

    `per_seed` holds each seed's own difference; `unit` and `digits` are for showing it.
    """

    name: str
    difference: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    unit: str = "points"
    digits: int = 2

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.difference, self.low, self.high, *self.per_seed))):
            raise DataError(
                f"evidence {self.name!r}: holds a number that is not finite; look at the run it comes from"
            )
        if not self.per_seed:
            raise DataError(f"evidence {self.name!r}: no seed; give at least one run")
        if self.low > self.high:
            raise DataError(
                f"evidence {self.name!r}: interval [{self.low}, {self.high}] is upside down; swap its ends"
            )

    def show(self) -> str:
        """The difference and its interval, as in '+4.00 [+2.10, +5.90]'."""
        low, high = signed(self.low, self.digits), signed(self.high, self.digits)
        return f"{signed(self.difference, self.digits)} [{low}, {high}]"


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a claim: `word` is 'reproduced', 'not reproduced' or 'undecided'."""

    claim: Claim
    word: str
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""

    @property
    def symbol(self) -> str:
        """One sign for the word, so that it does not hang on colour."""
        return SYMBOLS[self.word]


def _as_runs(ranks: Any, name: str) -> np.ndarray:
    """Ranks (S, Q) from one array (Q,) or one per seed."""
    rows = [np.asarray(ranks)] if np.ndim(ranks[0]) == 0 else [np.asarray(row) for row in ranks]
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1:
        raise DataError(
            f"evidence {name!r}: the seeds' ranks differ in length; test them on the same queries"
        )
    return np.stack(rows)


def from_ranks(
    name: str,
    better: Sequence[Any],
    worse: Sequence[Any],
    k: int | str = 1,
    clusters: Any = None,
    n: int = 2000,
    seed: int = 0,
) -> Evidence:
    """The gain in recall@k of the model that the claim calls better, in percentage points.

    `better`, `worse`: 1-based ranks (Q,) of one seed, or a list of them, one per seed, over the same queries
    in the same order. `k` may be "rsum": the recalls at 1, 5 and 10 added, or "mean": their mean. `clusters`
    (Q,) names queries that are drawn together (the captions of one image). A claim about several rows at
    once takes them as several seeds.

    >>> gain = from_ranks("R@1", np.ones(200, int), np.full(200, 9), n=200)
    >>> gain.difference, gain.low
    (100.0, 100.0)
    """
    first, second = _as_runs(better, name), _as_runs(worse, name)
    if first.shape != second.shape:
        raise DataError(
            f"evidence {name!r}: ranks {first.shape} against {second.shape} (seeds, queries); "
            "give both models the same seeds and queries"
        )
    n_seeds, n_queries = first.shape
    groups = np.arange(n_queries) if clusters is None else np.asarray(clusters)
    if groups.shape != (n_queries,):
        raise DataError(
            f"evidence {name!r}: {groups.size} clusters for {n_queries} queries; give one per query"
        )
    # A query under all its seeds is one cluster: seeds share the luck of the draw of queries.
    together = np.tile(groups, n_seeds)
    k, share = ("rsum", 3) if k == "mean" else (k, 1)
    result = paired_bootstrap(first.ravel(), second.ravel(), k=k, n=n, seed=seed, clusters=together)
    own = (paired_bootstrap(a, b, k=k, n=1).difference for a, b in zip(first, second, strict=True))
    found = (value / share for value in (result.difference, result.low, result.high))
    return Evidence(name, *found, tuple(value / share for value in own))


def from_samples(
    name: str, difference: float | Sequence[float], samples: Any, unit: str = "", digits: int = 3
) -> Evidence:
    """A difference of two scalars with its bootstrap differences (n,), or one array of them per seed.

    Positive means as claimed: for "A has a smaller S than B" give S(B) − S(A). The interval runs from the
    2.5th to the 97.5th percentile of the samples of all seeds together.

    >>> from_samples("S", 0.2, np.linspace(0.1, 0.3, 101)).show()
    '+0.200 [+0.105, +0.295]'
    """
    own = tuple(float(value) for value in np.atleast_1d(np.asarray(difference, dtype=float)))
    drawn = [
        np.asarray(part, dtype=float).ravel() for part in ([samples] if np.ndim(samples[0]) == 0 else samples)
    ]
    if len(drawn) != len(own):
        raise DataError(
            f"evidence {name!r}: {len(own)} differences for {len(drawn)} seeds of samples; give one per seed"
        )
    if min(part.size for part in drawn) < 2:
        raise DataError(f"evidence {name!r}: fewer than two bootstrap samples; draw more")
    pooled = np.concatenate(drawn)
    if not np.isfinite(pooled).all():
        raise DataError(f"evidence {name!r}: a bootstrap sample is not finite; look at the run it comes from")
    low, high = np.percentile(pooled, [2.5, 97.5])
    return Evidence(name, float(np.mean(own)), float(low), float(high), own, unit, digits)


def _judge_bounds(claim: Claim, item: Evidence, low: float, high: float) -> tuple[str, str]:
    """(word, why) for one difference of a claim with bounds."""
    if low <= item.low and item.high <= high:
        return REPRODUCED, ""
    if claim.kind == "no_gain":
        if item.low > high:
            return NOT_REPRODUCED, f"{item.name}: gains more than {high:g} {item.unit}".rstrip()
        return UNDECIDED, f"{item.name}: the interval holds {high:g}"
    about = f"about {claim.around:g} {item.unit}".rstrip()
    if item.high < low:
        return NOT_REPRODUCED, f"{item.name}: smaller than {about}"
    if item.low > high:
        return NOT_REPRODUCED, f"{item.name}: larger than {about}"
    span = f"{low:g} to {high:g} {item.unit}".rstrip()
    return UNDECIDED, f"{item.name}: the interval reaches beyond {span}"


def _judge(claim: Claim, item: Evidence) -> tuple[str, str]:
    """(word, why) for one difference."""
    if claim.bounds is not None:
        return _judge_bounds(claim, item, *claim.bounds)
    if item.low > 0 and min(item.per_seed) >= 0:
        return REPRODUCED, ""
    if item.high < 0 and max(item.per_seed) <= 0:
        return NOT_REPRODUCED, f"{item.name}: the difference has the other sign"
    if item.low <= 0 <= item.high:
        return UNDECIDED, f"{item.name}: the interval holds 0"
    against = (
        sum(value < 0 for value in item.per_seed)
        if item.low > 0
        else sum(value > 0 for value in item.per_seed)
    )
    return UNDECIDED, f"{item.name}: {against} of {len(item.per_seed)} seeds point the other way"


def decide(claim: Claim, evidence: Evidence | Sequence[Evidence] = (), reason: str = "") -> Verdict:
    """Apply the rule at the top of this module.

    `reason` says in words what stands behind a verdict that is not 'reproduced'; it follows the reason that
    the numbers give. Without evidence the verdict is 'undecided' and `reason` must say why it was not tested
    (else ConfigError).

    >>> claim = Claim("c", "A beats B", "6.4", "R@1")
    >>> decide(claim, Evidence("R@1", 4.0, 1.0, 7.0, per_seed=(4.0,))).word
    'reproduced'
    """
    items = (evidence,) if isinstance(evidence, Evidence) else tuple(evidence)
    if not items:
        if not reason.strip():
            raise ConfigError(
                f"claim {claim.id}: neither evidence nor a reason why there is none; give one of them"
            )
        return Verdict(claim, UNDECIDED, (), reason)
    judged = [_judge(claim, item) for item in items]
    words = [word for word, _ in judged]
    word = next((word for word in (NOT_REPRODUCED, UNDECIDED) if word in words), REPRODUCED)
    why = [text for _, text in judged if text] if word != REPRODUCED else []
    extra = [reason.strip().rstrip(".")] if reason.strip() and word != REPRODUCED else []
    return Verdict(claim, word, items, "; ".join(why + extra))


def claims_frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One line per claim as plain text: claim, section, test, paper, here, verdict, reason; indexed by claim
    id."""
    lines = [
        {
            "claim": item.claim.text,
            "section": item.claim.section,
            "test": item.claim.test,
            "paper": item.claim.paper,
            "here": "; ".join(f"{part.name} {part.show()}" for part in item.evidence),
            "verdict": f"{item.symbol} {item.word}",
            "reason": item.reason,
        }
        for item in verdicts
    ]
    frame = pd.DataFrame(lines, index=pd.Index([item.claim.id for item in verdicts], name="id"))
    if not frame.index.is_unique:
        raise ConfigError(
            f"claims: id {frame.index[frame.index.duplicated()][0]!r} stands there twice; ids must be unique"
        )
    return frame


def claimed(claim: Claim, evidence: Sequence[Evidence] = ()) -> str:
    """The bounds of a claim in words, '' where it has none.

    >>> claimed(Claim("c", "A adds ten", "6.4", "R@1", kind="about", around=10, within=5))
    'claimed: about 10 points, taken as 5 to 15'
    """
    unit = evidence[0].unit if evidence else "points"
    if claim.kind == "about":
        low, high = claim.bounds
        text = f"claimed: about {claim.around:g} {unit}, taken as {low:g} to {high:g}"
        return text.replace(" ,", ",").replace("-", "\N{MINUS SIGN}")
    return f"claimed: no gain above {claim.tolerance:g} {unit}".rstrip() if claim.kind == "no_gain" else ""


_CLAIM_STYLES = [
    {"selector": "td", "props": "text-align: left; white-space: normal; min-width: 7em;"},
    {"selector": "th.col_heading", "props": "text-align: left; font-weight: 600;"},
    {"selector": "td strong", "props": "white-space: nowrap;"},
    # Only the sign is coloured: the striped rows of a dark page leave coloured words too little contrast.
    {"selector": "td strong i", "props": "font-style: normal;"},
    {"selector": "td.yes i", "props": f"color: {PALETTE[2]};"},
    {"selector": "td.no i", "props": f"color: {RED};"},
    {"selector": "td span", "props": "white-space: nowrap;"},
    {"selector": "td small", "props": "font-size: 0.88em; opacity: 0.9;"},
]
_CLASSES = {REPRODUCED: "yes", NOT_REPRODUCED: "no", UNDECIDED: "open"}


def claims_table(verdicts: Sequence[Verdict], provenance: Mapping[str, Any], uuid: str = "claims") -> Styler:
    """The claims with the paper's numbers, ours with 95 % interval, and a verdict as sign and word.

    `provenance` as for `side_by_side`. The reason of a verdict that is not 'reproduced' stands beneath it.
    """
    claims_frame(verdicts)
    shown, marks = [], []
    for item in verdicts:
        claim = item.claim
        here = [f"{html.escape(part.name)}:<br><span>{part.show()}</span>" for part in item.evidence]
        here += [f"<small>{html.escape(claimed(claim, item.evidence))}</small>"] if claim.bounds else []
        reason = f"<br><small>{html.escape(item.reason)}</small>" if item.reason else ""
        place = html.escape(claim.section)
        shown.append(
            [
                f"{html.escape(claim.text)} <small>({place})</small>",
                html.escape(claim.paper) or "—",
                "<br>".join(here) or "—",
                f"<strong><i>{item.symbol}</i> {item.word}</strong>{reason}",
            ]
        )
        marks.append(["", "", "", _CLASSES[item.word]])
    columns = ["Claim", "Paper", "Here (difference, 95 % interval)", "Verdict"]
    frame = pd.DataFrame(shown, columns=columns, index=range(1, len(verdicts) + 1))
    source = html.escape(describe(provenance))
    bounded = any(item.claim.bounds for item in verdicts)
    rule = "as claimed, except where bounds are claimed" if bounded else "as claimed"
    caption = f"<strong>Claims</strong>. A positive difference is {rule}. Here: {source}."
    return styled(frame, uuid, caption, pd.DataFrame(marks), _CLAIM_STYLES)
