"""Progress on the terminal: one bar per stage, silent where ``CI`` is set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
PROGRESS_FILE = "IMTEXT_PROGRESS"


def progress(iterable: Iterable[Item], desc: str, total: int | None = None) -> Iterator[Item]:
    """Iterate with a bar on a terminal; without one (a notebook, a log, CI) iterate silently.

    >>> list(progress(range(3), "counting"))
    [0, 1, 2]
    """
    announce(desc)
    quiet = bool(os.environ.get("CI")) or not sys.stderr.isatty()
    return iter(tqdm(iterable, desc=desc, total=total, disable=quiet, leave=False, mininterval=1.0))


def announce(line: str) -> None:
    """Say where long work has got to, in the file that ``IMTEXT_PROGRESS`` names.

    The runner of the notebooks follows that file on its terminal; a notebook's own outputs stay clean, also
    when the work is done by other processes.

    >>> announce("nobody listens")
    """
    target = os.environ.get(PROGRESS_FILE)
    if target:
        with open(target, "a", encoding="utf-8") as file:
            file.write(line.replace("\n", " ") + "\n")
