"""What lies in a folder of runs: every run with its state; finding and removing them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from imtext.errors import RunError
from imtext.files import read_object, size_of, told
from imtext.runs import store
from imtext.runs.store import LOCK, PARTIAL, beside, holder, is_held

FINISHED, RUNNING, UNFINISHED = "finished", "running", "unfinished"
DAMAGED = "damaged"
CACHE = "cache"
_NAME = re.compile(r".+-[0-9a-f]{10}(\.partial)?")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: a name as the store gives it, and a run's files, or the mark of unfinished.

    >>> is_run(Path("nowhere/row-0123456789"))
    False
    """
    if not _NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return folder.suffix == PARTIAL or any((folder / name).is_file() for name in (store.STAMP, store.CONFIG))


def run_folders(root: Path) -> list[Path]:
    """The folders of runs under ``root``. Raises RunError where there is no such folder."""
    if not root.is_dir():
        raise RunError(f"{root}: expected a folder of runs, found none; name it with --runs-dir")
    return [path for path in sorted(root.glob("*/*")) if path.parent.name != CACHE and is_run(path)]


def list_runs(root: Path, verify: bool = False) -> list[dict[str, Any]]:
    """Every run under ``root``, by study, name and seed, as :func:`look_at` gives it.

    ``verify``: compare the contents of all files with the manifests. Raises RunError where there is no such
    folder.
    """
    runs = [look_at(folder, verify) for folder in run_folders(root)]
    return sorted(runs, key=lambda run: (run["study"], run["run"], run["seed"] or 0, run["hash"]))


def look_at(folder: Path, verify: bool = False) -> dict[str, Any]:
    """One run, whatever its state; of a damaged run only what its place says.

    Returns:
        ``folder``; ``study``, ``run`` and ``hash``, as its place says; ``state`` (finished, running: a living
        process holds it, unfinished, or damaged) and ``reason``, one line where there is
        something to say; ``rsum`` of the test split; ``seed``, ``profile``, ``dataset`` and ``date``;
        ``minutes`` of the last process that worked on it; ``bytes`` on the disk.
    """
    slug, _, hash_ = folder.name.removesuffix(PARTIAL).rpartition("-")
    state, reason = _state(folder, verify)
    names = (store.CONFIG, store.PROVENANCE, store.STAMP, store.METRICS)
    config, about, stamp, metrics = (read_object(folder / name) if state != DAMAGED else {} for name in names)
    return {
        "folder": folder,
        "study": folder.parent.name,
        "run": slug,
        "hash": hash_,
        "state": state,
        "reason": reason,
        "rsum": metrics.get("test", {}).get("rsum"),
        "seed": config.get("seed"),
        "profile": about.get("profile", ""),
        "dataset": config.get("data", {}).get("dataset", ""),
        "date": about.get("when", stamp.get("begun", "")[:10]),
        "minutes": about["seconds"] / 60 if "seconds" in about else None,
        "bytes": size_of(folder),
    }


def _state(folder: Path, verify: bool) -> tuple[str, str]:
    """State and, where there is something to say, the reason."""
    if folder.suffix == PARTIAL:
        held = is_held(beside(folder, LOCK))
        return (RUNNING, f"{folder.name}: {holder(folder)} is computing it") if held else (UNFINISHED, "")
    try:
        store.Run(folder).check(verify)
    except RunError as error:
        return DAMAGED, str(error)
    return FINISHED, ""


def find_run(root: Path, name: str) -> Path:
    """The folder of a run that a user names: its path, or the beginning of ``slug-hash``, also after a study.

    Raises:
        RunError: no such run, or several.
    """
    path = Path(name).absolute()
    if is_run(path):
        return path
    folders = run_folders(root) if name else []
    found = [one for one in folders if one.name.startswith(name.removeprefix(f"{one.parent.name}/"))]
    if len(found) != 1:
        raise RunError(f"{name}: {len(found)} runs in {root} begin like this; `imtext runs list` names them")
    return found[0]


def remove_run(folder: Path) -> None:
    """Remove a run, as :func:`find_run` gives it, and its lock file. Killed, this leaves an unfinished run.

    Raises:
        RunError: a living process works on it, or the folder cannot be written.
    """
    partial, lock = beside(folder, PARTIAL), beside(folder, LOCK)
    _check_free(lock)
    with told(folder, RunError), FileLock(lock, timeout=0):
        os.replace(folder, partial)  # what is half removed must not be taken for whole
        shutil.rmtree(partial)
        # Still held: who waits for this file notices that it is gone and takes a new one.
        lock.unlink()


def remove_cache(cache: Path) -> None:
    """Remove the folder of stored pixels and features; the next run that needs them computes them anew.

    Raises:
        RunError: a process fills it or computes a run from it, it is a link, or it cannot be removed.
    """
    away = cache.with_name(f".{CACHE}.removed")
    if cache.is_symlink():
        raise RunError(f"{cache}: a link; remove what it leads to by hand")
    for lock in cache.parent.rglob(f"*{LOCK}"):
        _check_free(lock)
    with told(cache, RunError):
        shutil.rmtree(away, ignore_errors=True)  # of a process that was killed
        os.replace(cache, away)  # what is half removed must not be taken for whole
        shutil.rmtree(away)


def _check_free(lock: Path) -> None:
    if is_held(lock):
        raise RunError(f"{lock}: in use by another process; wait for it, or stop it first")
