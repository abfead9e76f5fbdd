"""Locks between processes, which say what they wait for.

The system frees the lock of a process that was killed: a lock file that lies about is no obstacle.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from imtext.progress import announce
from imtext.runs.files import read_object, write_json

WORKER = "worker.json"
SAY_AFTER = 5.0


def take(path: Path, waiting: Callable[[], str]) -> FileLock:
    """Take a lock; after some seconds say on standard error what is waited for, but where ``CI`` is set.

    Args:
        path: the lock file.
        waiting: makes that line, when it is needed.

    Raises:
        OSError: the lock file cannot be written.
    """
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=SAY_AFTER)
    except Timeout:
        line = waiting()
        announce(line)
        if not os.environ.get("CI"):  # there an output would be compared
            print(f"imtext: {line}", file=sys.stderr, flush=True)
        lock.acquire(poll_interval=0.2)
    return lock


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock file; nothing is written where there is none."""
    if not path.is_file():
        return False
    lock = FileLock(str(path))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:  # nobody works in a folder that cannot be written
        return False
    lock.release()
    return False


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
    if "pid" not in found:
        return "another process"
    where = "" if found.get("host") == platform.node() else f" on {found.get('host')}"
    return f"process {found['pid']}{where} (since {found.get('since')})"
