"""Claims of a paper, and whether our runs bear them out.

A claim is one sentence of the paper that numbers can test. Its evidence is one or several differences, each
arranged so that *positive means as claimed*, each with a 95 % interval over queries and seeds. For one
difference:

- reproduced: the interval lies above 0;
- not reproduced: the interval lies below 0;
- undecided: it holds 0.

A claim "not better by more than so much" has an upper bound: reproduced when the interval ends below it, not
reproduced when it begins above. A claim "better by about so much", or "level", has two, as an equivalence
test has: *consistent* when the whole interval lies within them, *inconsistent* when it lies outside. An
interval that extends beyond a bound is too wide to tell, and undecided.

Of several differences (both query directions, an order of three models) the worst word counts. Before all
this, no verdict comes from

- a row that is no better than guessing, within half as much again: *undecided: at chance*;
- one seed, which cannot tell a method from a lucky training: *one seed*, and the reason says which way;
- a dataset of another size than the claim is about, or a profile that hardly trains: *not judged*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imtext.report.evidence import Evidence
from imtext.report.paper import Claim

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
    named = zip([item.name for item in evidence], judged, strict=True)
    said = [(name, why) for name, (own, why) in named if word == ONE_SEED or own != REPRODUCED]
    whys = [why for _, why in said]
    alike = len(set(whys)) == 1 and len(whys) == len(judged)
    return Verdict(claim, word, evidence, whys[0] if alike else "; ".join(map(": ".join, said)))


def _judge(bounds: Sequence[float], item: Evidence) -> tuple[str, str]:
    """(word, why) for one difference."""
    if not bounds:
        if item.low <= 0 <= item.high:
            return UNDECIDED, "the interval includes 0"
        return (REPRODUCED, "as claimed") if item.low > 0 else (NOT_REPRODUCED, "the opposite of the claim")
    low, high = bounds
    no_gain = low == float("-inf")
    if item.high < low or item.low > high:
        why = "smaller than claimed" if item.high < low else "larger than claimed"
        return NOT_REPRODUCED if no_gain else INCONSISTENT, why
    if low <= item.low and item.high <= high:
        return REPRODUCED if no_gain else CONSISTENT, "the interval lies within what is claimed"
    sized = "of the claimed size, but too wide to tell: " * (low <= item.difference <= high)
    return UNDECIDED, f"{sized}the interval extends beyond what is claimed"
