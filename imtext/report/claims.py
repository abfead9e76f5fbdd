"""Claims of a paper, and whether our runs bear them out.

A claim is one sentence of the paper that numbers can test. Its evidence is one or several differences, each
arranged so that *positive means as claimed*, each with a 95 % interval. The rule, for one difference:

- reproduced: the interval lies above 0 and no seed's own difference lies below 0;
- not reproduced: the interval lies below 0 and no seed's own difference lies above 0;
- undecided: anything else.

Claims with bounds, "better by about so much" or, from -inf on, "not better by more than so much", are held to
the whole interval: reproduced when it lies within the bounds, not reproduced when none of it does. Undecided
is what is left.

A claim with several differences (both query directions, an order of three models) is reproduced when all of
them are, not reproduced when one of them is not, and undecided otherwise.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from imtext.report.evidence import Evidence
from imtext.report.markup import MINUS, styled
from imtext.report.paper import EM_DASH, Claim
from imtext.report.tables import describe

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided"
# A sign for each word, so that it does not hang on colour, and the class of its cell.
SIGNS = {REPRODUCED: ("✓", "yes"), NOT_REPRODUCED: ("✗", "no"), UNDECIDED: ("?", "open")}


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a claim: `word` is 'reproduced', 'not reproduced' or 'undecided'."""

    claim: Claim
    word: str
    evidence: Sequence[Evidence]
    reason: str = ""


def decide(claim: Claim, evidence: Sequence[Evidence], reason: str = "") -> Verdict:
    """Apply the rule at the top of this module to at least one difference.

    `reason` says in words what stands behind a verdict that is not 'reproduced'; it follows the reason that
    the numbers give.

    >>> claim = Claim("c", "A beats B", "6.4", "R@1")
    >>> decide(claim, [Evidence("R@1", 4.0, 1.0, 7.0, per_seed=(4.0,))]).word
    'reproduced'
    """
    judge = _judge_bounds if claim.bounds else _judge_sign
    judged = [judge(claim, item) for item in evidence]
    words = [word for word, _ in judged]
    word = next((word for word in (NOT_REPRODUCED, UNDECIDED) if word in words), REPRODUCED)
    reasons = [*(why for _, why in judged), reason] if word != REPRODUCED else []
    return Verdict(claim, word, evidence, "; ".join(filter(None, reasons)))


def _judge_sign(claim: Claim, item: Evidence) -> tuple[str, str]:
    """(word, why) for one difference of a claim about its sign."""
    if item.low <= 0 <= item.high:
        return UNDECIDED, f"{item.name}: the interval holds 0"
    against = sum(value * item.low < 0 for value in item.per_seed)
    if against:
        return UNDECIDED, f"{item.name}: {against} of {len(item.per_seed)} seeds point the other way"
    if item.low > 0:
        return REPRODUCED, ""
    return NOT_REPRODUCED, f"{item.name}: the difference has the other sign"


def _judge_bounds(claim: Claim, item: Evidence) -> tuple[str, str]:
    """(word, why) for one difference of a claim with bounds."""
    low, high = claim.bounds
    if low <= item.low and item.high <= high:
        return REPRODUCED, ""
    if item.high < low:
        return NOT_REPRODUCED, f"{item.name}: smaller than claimed"
    if item.low > high:
        return NOT_REPRODUCED, f"{item.name}: larger than claimed"
    return UNDECIDED, f"{item.name}: the interval reaches beyond what is claimed"


def claims_table(verdicts: Sequence[Verdict], provenance: Mapping[str, Any], uuid: str = "claims") -> Styler:
    """The claims with the paper's numbers, ours with 95 % interval, and a verdict as sign and word.

    `provenance` as for `side_by_side`. The reason of a verdict that is not 'reproduced' stands beneath it.
    """
    frame = pd.DataFrame(
        map(_cells, verdicts),
        columns=["Claim", "Paper", "Here (difference, 95 % interval)", "Verdict"],
        index=range(1, len(verdicts) + 1),
    )
    rule = "as claimed" + ", except where bounds are claimed" * any(one.claim.bounds for one in verdicts)
    source = html.escape(describe(provenance))
    caption = f"<strong>Claims</strong>. A positive difference is {rule}. Here: {source}."
    return styled(frame, uuid, caption, "claims", [["", "", "", SIGNS[one.word][1]] for one in verdicts])


def _cells(verdict: Verdict) -> list[str]:
    """The line of a claim as HTML."""
    claim, sign = verdict.claim, SIGNS[verdict.word][0]
    here = [f"{html.escape(one.name)}:<br><span>{one.show()}</span>" for one in verdict.evidence]
    if claim.bounds:
        low, high = claim.bounds
        bounds = f"{low:g} to {high:g}".replace("-", MINUS) if low > float("-inf") else f"at most {high:g}"
        here.append(f"<small>claim taken as {bounds} {html.escape(verdict.evidence[0].unit)}</small>")
    reason = f"<br><small>{html.escape(verdict.reason)}</small>" if verdict.reason else ""
    return [
        f"{html.escape(claim.text)} <small>({html.escape(claim.section)})</small>",
        html.escape(claim.paper) or EM_DASH,
        "<br>".join(here),
        f"<strong><i>{sign}</i> {verdict.word}</strong>{reason}",
    ]
