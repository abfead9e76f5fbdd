"""Claims of a paper, and whether our runs bear them out.

A claim is one sentence of the paper that numbers can test. Its evidence is one or several differences, each
arranged so that *positive means as claimed*, each with a 95 % interval over queries and seeds. For one
difference:

- reproduced: the interval lies above 0;
- not reproduced: the interval lies below 0;
- undecided: it holds 0.

A claim "not better by more than so much" has an upper bound: reproduced when the interval ends below it, not
reproduced when it begins above. A claim "better by about so much" has two: *consistent* when the interval
reaches into what is claimed, *inconsistent* when it lies outside. Consistent is not reproduced: a wide
interval is consistent with much.

Of several differences (both query directions, an order of three models) the worst word counts. Before all
this, no verdict comes from

- a row that is no better than guessing, within half as much again: *undecided: at chance*;
- one seed, which cannot tell a method from a lucky training: *one seed*, and the reason says which way;
- a dataset of another size than the claim is about, or a profile that hardly trains: *not judged*.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from imtext.report.evidence import Evidence
from imtext.report.markup import size, styled
from imtext.report.paper import EM_DASH, Claim, Paper
from imtext.report.tables import describe

# The words for one difference, the worst first.
WORDS = ("not reproduced", "inconsistent", "undecided", "consistent", "reproduced")
NOT_REPRODUCED, INCONSISTENT, UNDECIDED, CONSISTENT, REPRODUCED = WORDS
AT_CHANCE, ONE_SEED, NOT_JUDGED = "undecided: at chance", "one seed", "not judged"
# A sign for each word, so that it does not hang on colour, and the class of its cell.
SIGNS = {REPRODUCED: ("✓", "yes"), NOT_REPRODUCED: ("✗", "no"), UNDECIDED: ("?", "open")}
SIGNS |= {CONSISTENT: ("≈", "yes"), INCONSISTENT: ("≠", "no"), AT_CHANCE: ("?", "open")}
SIGNS |= {ONE_SEED: ("1", "single"), NOT_JUDGED: ("–", "open")}


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a claim: `word` is one of `SIGNS`."""

    claim: Claim
    word: str
    evidence: Sequence[Evidence]
    reason: str = ""


def decide(claim: Claim, evidence: Sequence[Evidence], at_chance: str = "", not_judged: str = "") -> Verdict:
    """Apply the rule at the top of this module to at least one difference.

    `at_chance` names a row that is no better than guessing, `not_judged` says why nothing is decided here.

    >>> claim = Claim("c", "A beats B", "6.4", "R@1")
    >>> decide(claim, [Evidence("R@1", 4.0, 1.0, 7.0, per_seed=(4.0, 4.1, 3.9))]).word
    'reproduced'
    >>> alone = decide(claim, [Evidence("R@1", 4.0, 1.0, 7.0, per_seed=(4.0,))])
    >>> alone.word, alone.reason
    ('one seed', 'as claimed')
    """
    if not_judged or at_chance:
        return Verdict(claim, NOT_JUDGED if not_judged else AT_CHANCE, evidence, not_judged or at_chance)
    judged = [_judge(claim.bounds, item) for item in evidence]
    word = min((word for word, _ in judged), key=WORDS.index)
    if any(len(item.per_seed) == 1 for item in evidence):
        word = ONE_SEED
    said = [
        (item.name, why)
        for item, (own, why) in zip(evidence, judged, strict=True)
        if word == ONE_SEED or own != REPRODUCED
    ]
    whys = [why for _, why in said]
    alike = len(set(whys)) == 1 and len(whys) == len(judged)
    return Verdict(claim, word, evidence, whys[0] if alike else "; ".join(map(": ".join, said)))


def _judge(bounds: Sequence[float], item: Evidence) -> tuple[str, str]:
    """(word, why) for one difference."""
    if not bounds:
        if item.low <= 0 <= item.high:
            return UNDECIDED, "the interval holds 0"
        return (REPRODUCED, "as claimed") if item.low > 0 else (NOT_REPRODUCED, "the other way")
    low, high = bounds
    if low == float("-inf"):
        if item.low <= high < item.high:
            return UNDECIDED, "the interval reaches beyond what is claimed"
        return (REPRODUCED, "as claimed") if item.high <= high else (NOT_REPRODUCED, "more than claimed")
    if item.high < low or item.low > high:
        return INCONSISTENT, "smaller than claimed" if item.high < low else "larger than claimed"
    nothing = ", and 0" * (item.low <= 0 <= item.high and not low <= 0 <= high)
    return CONSISTENT, f"the interval reaches the claimed size{nothing}"


def claims_table(verdicts: Sequence[Verdict], provenance: Mapping[str, Any], uuid: str = "claims") -> Styler:
    """The claims with the paper's numbers, ours with 95 % interval, and a verdict as sign and word.

    `provenance` as for `side_by_side`. The reason of a verdict stands beneath it.
    """
    frame = pd.DataFrame(
        map(_cells, verdicts),
        columns=["Claim", "Paper", "Here (difference, 95 % interval)", "Verdict"],
        index=range(1, len(verdicts) + 1),
    )
    source = html.escape(describe(provenance))
    caption = "<strong>Claims</strong>. A positive difference is as claimed, except beside a claimed size. "
    looks = [["", "", "", SIGNS[one.word][1]] for one in verdicts]
    return styled(frame, uuid, f"{caption}Here: {source}.", "claims", looks)


def not_tested(paper: Paper) -> Styler:
    """The sentences of a paper that no claim tests, and why not."""
    names = {"text": "Sentence", "section": "Section", "because": "Not tested, because"}
    frame = pd.DataFrame(paper.untested, columns=list(names)).map(html.escape).rename(columns=names)
    return styled(frame, f"{paper.name}-untested", "<strong>Not tested</strong>.", "claims").hide(axis=0)


def _cells(verdict: Verdict) -> list[str]:
    """The line of a claim as HTML."""
    claim, sign = verdict.claim, SIGNS[verdict.word][0]
    here = [f"{html.escape(one.name)}:<br><span>{one.show()}</span>" for one in verdict.evidence]
    if claim.bounds and here:
        here.append(f"<small>claimed: {size(*claim.bounds)} {html.escape(verdict.evidence[0].unit)}</small>")
    reason = f"<br><small>{html.escape(verdict.reason)}</small>" if verdict.reason else ""
    return [
        f"{html.escape(claim.text)} <small>({html.escape(claim.section)})</small>",
        html.escape(claim.paper) or EM_DASH,
        "<br>".join(here) or EM_DASH,
        f"<strong><i>{sign}</i> {verdict.word}</strong>{reason}",
    ]
