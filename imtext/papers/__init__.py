"""One module a paper: its study, and what only this paper needs. Settings and rows stand in its notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imtext.experiment import Measured
from imtext.report import Paper

SMOKE = "this profile trains for seconds; its verdicts only show that the page works"


def measured(paper: Paper, names: Mapping[str, Any], quick: str) -> Measured:
    """What measures those claims of a paper that ranks alone do not decide: functions with a claim's name.

    Args:
        paper: with its claims; names: of a module, as ``globals()`` gives them.
        quick: what is known to stand behind a verdict of this profile that is not "reproduced".
    """
    measures = {claim: names[claim] for claim in paper.claims if claim in names}
    return Measured(measures, {"smoke": SMOKE, "quick": quick})
