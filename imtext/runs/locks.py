"""Locks between processes, which say what they wait for.

The system frees the lock of a process that was killed: a lock file that lies about is no obstacle.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from imtext.progress import announce
from imtext.runs.files import read_object, told, write_json

PARTIAL = ".partial"
LOCK = ".lock"
WORKER = ".worker.tmp"
SAY_AFTER = 5.0


def partial_of(folder: Path) -> Path:
    """Where a run is worked on.

    >>> partial_of(Path("row-0123456789")).name
    'row-0123456789.partial'
    """
    return folder.with_name(folder.name.removesuffix(PARTIAL) + PARTIAL)


def lock_of(folder: Path) -> Path:
    """The lock file of a run, finished or not."""
    return folder.with_name(folder.name.removesuffix(PARTIAL) + LOCK)


def take(folder: Path) -> AcquireReturnProxy:
    """Take the lock of a run; it is held until the context ends.

    After some seconds it says on standard error what is waited for, but where ``CI`` is set.

    Raises:
        RunError: the lock file cannot be written.
    """
    lock = FileLock(lock_of(folder))
    with told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=SAY_AFTER)
        except Timeout:
            line = f"waiting for the run {folder.name}: {holder(partial_of(folder))} is computing it"
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


def sign(folder: Path) -> None:
    """Leave word of who works in a folder."""
    content = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M")}
    write_json(folder / WORKER, content)


def holder(folder: Path) -> str:
    """Who works in a folder, in words.

    >>> holder(Path("nowhere"))
    'another process'
    """
    found = read_object(folder / WORKER)
    if not found:
        return "another process"
    where = "" if found["host"] == platform.node() else f" on {found['host']}"
    return f"process {found['pid']}{where} (since {found['since']})"
