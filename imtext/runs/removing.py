"""Removing runs: only what is one, only what nobody uses, and never half."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from imtext.errors import RunError
from imtext.runs.listing import CACHE, GONE, is_run, lock_of
from imtext.runs.locks import is_held
from imtext.runs.store import LOCK, PARTIAL


def check_removable(folder: Path) -> None:
    """Refuse to remove what is not a run, or what a living process works on.

    Raises:
        RunError: as its message says.
    """
    if folder.is_symlink():
        raise RunError(
            f"{folder}: a link, not a run; remove the link by hand, or name the folder it leads to"
        )
    if not is_run(folder.absolute()):
        raise RunError(
            f"{folder}: not a run (expected a folder <slug>-<hash> with a config.json); nothing is removed"
        )
    if is_held(lock_of(folder)):
        raise RunError(f"{folder}: in use by another process; wait for it, or stop it first")


def remove_run(folder: Path) -> None:
    """Remove a run and its lock file. Killed half-way, this leaves nothing under the run's name.

    Raises:
        RunError: not a run, in use, or the folder cannot be written.
    """
    check_removable(folder)
    folder = folder.absolute()
    lock = FileLock(str(lock_of(folder)))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(f"{folder}: in use by another process; wait for it, or stop it first") from None
    except OSError as error:
        raise _cannot_remove(folder, error) from None
    try:
        _take_away(folder)
        other = folder.name.removesuffix(PARTIAL) if folder.name.endswith(PARTIAL) else folder.name + PARTIAL
        if not folder.with_name(other).exists():
            # Still held: who waits for this file notices that it is gone and takes a new one.
            lock_of(folder).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_remove(folder, error) from None
    finally:
        lock.release()


def remove_leftover(path: Path) -> None:
    """Remove one of :func:`imtext.runs.listing.leftovers`. Raises RunError where it cannot be removed."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != LOCK or not is_held(path):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_remove(path, error) from None


def check_cache(root: Path) -> None:
    """Refuse to remove the cache while a process fills it or computes a run from it. Raises RunError."""
    cache = root / CACHE
    if cache.is_symlink():
        raise RunError(f"{cache}: a link; remove what it leads to by hand")
    for path in (*root.glob(f"*/*{LOCK}"), *cache.rglob(f"*{LOCK}")):
        if is_held(path):
            raise RunError(
                f"{cache}: in use, {path.name} is held by a process; wait for it, or stop it first"
            )


def remove_cache(root: Path) -> None:
    """Remove stored pixels and features; the next run that needs them computes them anew.

    Raises:
        RunError: in use, or cannot be removed.
    """
    check_cache(root)
    try:
        if (root / CACHE).is_dir():
            _take_away(root / CACHE)
    except OSError as error:
        raise _cannot_remove(root / CACHE, error) from None


def _take_away(folder: Path) -> None:
    """Rename first: what is half removed must not be taken for whole."""
    away = folder.with_name(f".{folder.name}{GONE}-{os.getpid()}")
    os.replace(folder, away)
    shutil.rmtree(away)


def _cannot_remove(path: Path, error: OSError) -> RunError:
    return RunError(f"{path}: cannot be removed ({error.strerror or error}); check the folder's permissions")
