"""Publishing: notebooks are executed into a copy of the book, and the book is built from that copy.

``python -m imtext.publish book`` does what ``make book`` does once the environment is there; the single
steps are ``execute``, ``build``, ``normalise`` and ``refresh``. papermill, nbformat and jupyter-book are
imported only where they are used, so that the library itself does not need them.
"""

from __future__ import annotations

from imtext.publish.build import build_book
from imtext.publish.execute import execute_book, execute_notebook, refresh
from imtext.publish.normalise import normalise_file, normalise_notebook
from imtext.publish.parameters import PROFILES, check_parameters, declared_parameters
from imtext.publish.stage import make_stage

__all__ = [
    "PROFILES",
    "build_book",
    "check_parameters",
    "declared_parameters",
    "execute_book",
    "execute_notebook",
    "make_stage",
    "normalise_file",
    "normalise_notebook",
    "refresh",
]
