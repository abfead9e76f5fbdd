"""Locks between processes, which say what they wait for.

The system frees the lock of a process that was killed: a lock file that lies about is no obstacle.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from imtext.progress import announce
from imtext.runs.files import read_object, told
from imtext.runs.manifest import STAMP

PARTIAL = ".partial"
LOCK = ".lock"
SAY_AFTER = 5.0


def beside(folder: Path, suffix: str) -> Path:
    """The lock file of a run, or the folder where it is worked on.

    >>> beside(Path("row-0123456789.partial"), LOCK).name
    'row-0123456789.lock'
    """
    return folder.with_name(folder.name.removesuffix(PARTIAL) + suffix)


def take(folder: Path) -> AcquireReturnProxy:
    """Take the lock of a run; it is held until the context ends.

    After some seconds it says on standard error what is waited for, but where ``CI`` is set.

    Raises:
        RunError: the lock file cannot be written.
    """
    lock = FileLock(beside(folder, LOCK))
    with told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=SAY_AFTER)
        except Timeout:
            line = f"waiting for the run {folder.name}: {holder(folder)} is computing it"
            announce(line)
            if not os.environ.get("CI"):  # there an output would be compared
                print(f"imtext: {line}", file=sys.stderr, flush=True)
            return lock.acquire(poll_interval=0.2)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock file; nothing is written where there is none."""
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except OSError as error:  # another one where the folder cannot be written: nobody works there
        return isinstance(error, Timeout)


def holder(folder: Path) -> str:
    """Who works on a run, in words.

    >>> holder(Path("nowhere"))
    'another process'
    """
    stamp = read_object(beside(folder, PARTIAL) / STAMP)
    return f"process {stamp.get('process')} (since {stamp.get('begun')})" if stamp else "another process"
