"""One module a paper: its study, and what only this paper needs. Settings and rows stand in its notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from imtext.experiment import Study, none_of_absent
from imtext.report import Paper
from imtext.report.style import house_style


def study_of(paper: Paper, names: Mapping[str, Any]) -> Callable[..., Study]:
    """Makes a paper's study of the parameters of its notebook, see :class:`~imtext.experiment.study.Study`.

    A claim that ranks alone do not decide is measured by the function that has its name.

    Args:
        paper: with its claims; names: of the paper's module, as ``globals()`` gives them.
    """
    return partial(Study, paper, {claim: names[claim] for claim in paper.claims if claim in names})


def figure_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """A figure of results in the house style, None where one of them was not asked for."""
    return none_of_absent(house_style()(function))
