"""One module a paper: its study, and what only this paper needs. Settings and rows stand in its notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from imtext.experiment import Study
from imtext.report import Paper

SMOKE = "this profile trains for seconds; its verdicts only show that the page works"


def study_of(paper: Paper, names: Mapping[str, Any], quick: str) -> Callable[..., Study]:
    """What makes a paper's study of the parameters of its notebook, see :class:`imtext.experiment.Study`.

    A claim that ranks alone do not decide is measured by the function that has its name.

    Args:
        paper: with its claims; names: of the paper's module, as ``globals()`` gives them.
        quick: what is known to stand behind a verdict of this profile that is not "reproduced".
    """
    measures = {claim: names[claim] for claim in paper.claims if claim in names}
    return partial(Study, paper, measures, {"smoke": SMOKE, "quick": quick})
