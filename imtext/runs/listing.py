"""What lies in a folder of runs: every run with its state; finding and removing them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from imtext.errors import RunError
from imtext.runs.files import read_object, size_of, told
from imtext.runs.locks import LOCK, PARTIAL, holder, is_held, lock_of, partial_of
from imtext.runs.manifest import CONFIG, METRICS, PROVENANCE, STAMP, OtherVersion, check_run, check_stamp

FINISHED, RUNNING, UNFINISHED = "finished", "running", "unfinished"
DAMAGED, OTHER_VERSION = "damaged", "other version"
CACHE = "cache"
_NAME = re.compile(r".+-[0-9a-f]{10}(\.partial)?")


@dataclass(frozen=True)
class Listed:
    """One run as a list shows it; of a damaged run, or one of another version, only what its place says.

    Attributes:
        folder: where it lies; study, slug, hash: what its place says it is.
        state: ``finished``, ``running`` (a living process holds it), ``unfinished``, ``damaged`` or
            ``other version``; reason: one line where there is something to say.
        rsum: R-sum of the test split, or None.
        seed, profile, dataset, date: as the run says; minutes: of the last process that worked on it.
        bytes: on the disk.
    """

    folder: Path
    study: str
    slug: str
    hash: str
    state: str
    reason: str
    rsum: float | None
    seed: int | None
    profile: str
    dataset: str
    date: str
    minutes: float | None
    bytes: int

    @property
    def name(self) -> str:
        """``slug-hash``."""
        return f"{self.slug}-{self.hash}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "folder": str(self.folder), "run": f"{self.study}/{self.name}"}


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: a name as the store gives it, and a run's files, or the mark of unfinished.

    >>> is_run(Path("nowhere/row-0123456789"))
    False
    """
    if not _NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return folder.suffix == PARTIAL or any((folder / name).is_file() for name in (STAMP, CONFIG))


def list_runs(root: Path, study: str | None = None, verify: bool = False) -> list[Listed]:
    """Every run under ``root``, by study and name.

    Args:
        root: the folder of runs.
        study: only of this study.
        verify: compare the contents of all files with the manifests.

    Raises:
        RunError: no such folder, or no such study.
    """
    runs = [look_at(folder, verify) for folder in run_folders(root, study)]
    return sorted(runs, key=lambda run: (run.study, run.slug, run.seed or 0, run.hash))


def run_folders(root: Path, study: str | None = None) -> list[Path]:
    """The folders of runs under ``root``, of one study or of all. Raises RunError where there is none."""
    if not root.is_dir():
        raise RunError(f"{root}: expected a folder of runs, found none; name it with --runs-dir")
    folders = [path for path in sorted(root.glob("*/*")) if path.parent.name != CACHE and is_run(path)]
    studies = sorted({folder.parent.name for folder in folders})
    if study is not None and study not in studies:
        raise RunError(f"{root}: no runs of {study!r} here; there are: {', '.join(studies) or 'none'}")
    return [folder for folder in folders if study in (None, folder.parent.name)]


def look_at(folder: Path, verify: bool = False) -> Listed:
    """One run, whatever its state."""
    slug, _, hash_ = folder.name.removesuffix(PARTIAL).rpartition("-")
    state, reason = _state(folder, verify)
    good = state not in (DAMAGED, OTHER_VERSION)
    names = (CONFIG, PROVENANCE, STAMP, METRICS)
    config, about, stamp, metrics = (read_object(folder / name) if good else {} for name in names)
    data = config.get("data")
    return Listed(
        folder=folder,
        study=folder.parent.name,
        slug=slug,
        hash=hash_,
        state=state,
        reason=reason,
        rsum=metrics.get("test", metrics).get("rsum") if state == FINISHED else None,
        seed=config.get("seed"),
        profile=about.get("profile", ""),
        dataset=data.get("dataset", "") if isinstance(data, Mapping) else "",
        date=about.get("when", stamp.get("begun", "")[:10]),
        minutes=about["seconds"] / 60 if "seconds" in about else None,
        bytes=size_of(folder),
    )


def _state(folder: Path, verify: bool) -> tuple[str, str]:
    """State and, where there is something to say, the reason."""
    try:
        if folder.suffix != PARTIAL:
            check_run(folder, full=verify)
            return FINISHED, ""
        check_stamp(folder)
    except OtherVersion as error:
        return OTHER_VERSION, str(error)
    except RunError as error:
        return DAMAGED, str(error)
    if is_held(lock_of(folder)):
        return RUNNING, f"{holder(folder)} is computing it"
    return UNFINISHED, "the same command goes on with it"


def find_run(root: Path, name: str) -> Path:
    """The folder of a run that a user names: its path, or the beginning of ``slug-hash``, also after a study.

    Raises:
        RunError: no such run, or several.
    """
    path = Path(name).absolute()
    if is_run(path):
        return path
    found = [
        folder
        for folder in run_folders(root)
        if name and (folder.name.startswith(name) or f"{folder.parent.name}/{folder.name}".startswith(name))
    ]
    if not found:
        raise RunError(f"{name}: no such run in {root}; `imtext runs list --runs-dir {root}` names them")
    if len(found) > 1:
        raise RunError(f"{name}: {len(found)} runs begin like this ({found[0].name} ...); give more of it")
    return found[0]


def check_removable(folder: Path) -> None:
    """Refuse to remove what is not a run, or what a living process works on.

    Raises:
        RunError: as its message says.
    """
    if not is_run(folder):
        raise RunError(f"{folder}: not a run (expected a folder <slug>-<hash>); nothing is removed")
    if is_held(lock_of(folder)):
        raise RunError(f"{folder}: in use by another process; wait for it, or stop it first")


def remove_run(folder: Path) -> None:
    """Remove a run and its lock file. Killed half-way, this leaves an unfinished run.

    Raises:
        RunError: not a run, in use, or the folder cannot be written.
    """
    check_removable(folder)
    partial = partial_of(folder)
    with told(folder, "removed"), FileLock(lock_of(folder), timeout=0):
        if folder != partial:  # what is half removed must not be taken for whole
            os.replace(folder, partial)
        shutil.rmtree(partial)
        # Still held: who waits for this file notices that it is gone and takes a new one.
        lock_of(folder).unlink()


def check_cache(root: Path) -> None:
    """Refuse to remove the cache while a process fills it or computes a run from it. Raises RunError."""
    if (root / CACHE).is_symlink():
        raise RunError(f"{root / CACHE}: a link; remove what it leads to by hand")
    for path in root.rglob(f"*{LOCK}"):
        if is_held(path):
            raise RunError(f"{root / CACHE}: in use, a process holds {path}; wait for it, or stop it first")


def remove_cache(root: Path) -> None:
    """Remove stored pixels and features; the next run that needs them computes them anew.

    Raises:
        RunError: in use, or cannot be removed.
    """
    check_cache(root)
    away = root / f".{CACHE}.removed"
    with told(root / CACHE, "removed"):
        shutil.rmtree(away, ignore_errors=True)  # of a process that was killed
        os.replace(root / CACHE, away)  # what is half removed must not be taken for whole
        shutil.rmtree(away)
