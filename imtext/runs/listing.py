"""What lies in a folder of runs: every run with its state, and what is no run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imtext.errors import RunError
from imtext.runs.files import read_object, size_of
from imtext.runs.locks import holder, is_held
from imtext.runs.manifest import MANIFEST, METRICS, check_whole
from imtext.runs.stamp import CONFIG, STAMP, check_version
from imtext.runs.store import LOCK, PARTIAL

FINISHED, RUNNING, UNFINISHED = "finished", "running", "unfinished"
DAMAGED, OTHER_VERSION = "damaged", "other version"
CACHE = "cache"
GONE = ".removed"
_NAME = re.compile(r"(?P<slug>[^/\\]+)-(?P<hash>[0-9a-f]{10})(?P<partial>\.partial)?")


@dataclass(frozen=True)
class Listed:
    """One run as a list shows it.

    Attributes:
        folder: where it lies; study, slug, hash: what its place says it is.
        state: ``finished``, ``running`` (a living process holds it), ``unfinished``, ``damaged`` or
            ``other version``; reason: one line where there is something to say.
        rsum: R-sum of the test split, else of the validation split, or None.
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
    found = _NAME.fullmatch(folder.name)
    if found is None or folder.is_symlink() or not folder.is_dir():
        return False
    return bool(found["partial"]) or any(
        (folder / name).is_file() for name in (CONFIG, METRICS, STAMP, MANIFEST)
    )


def lock_of(folder: Path) -> Path:
    """The lock file of a run, finished or not."""
    return folder.with_name(folder.name.removesuffix(PARTIAL) + LOCK)


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
    """The folders of runs under ``root``. Raises RunError where it cannot be read."""
    studies = {path.name: path for path in _entries(root) if path.name != CACHE and path.is_dir()}
    if study is not None:
        if study not in studies:
            known = ", ".join(sorted(studies)) or "none"
            raise RunError(f"{root}: no runs of a study {study!r} here; there are: {known}")
        studies = {study: studies[study]}
    return [folder for path in studies.values() for folder in _entries(path) if is_run(folder)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise RunError(
            f"{folder}: expected a folder of runs, found: {error.strerror or error}; name it with --runs-dir"
        ) from None


def look_at(folder: Path, verify: bool = False) -> Listed:
    """One run, whatever its state."""
    found = _NAME.fullmatch(folder.resolve().name)
    slug, hash_ = (found["slug"], found["hash"]) if found else (folder.name, "")
    state, reason = _state(folder, verify)
    config, about = read_object(folder / CONFIG), read_object(folder / "provenance.json")
    stamp, metrics = read_object(folder / STAMP), read_object(folder / METRICS)
    seconds = _number(about.get("seconds"))
    data = config.get("data")
    dataset = about.get("dataset") or (data.get("dataset") if isinstance(data, Mapping) else "")
    seed = about.get("seed", config.get("seed"))
    return Listed(
        folder=folder,
        study=folder.resolve().parent.name,
        slug=slug,
        hash=hash_,
        state=state,
        reason=reason,
        rsum=None if state in (RUNNING, UNFINISHED) else _rsum(metrics),
        seed=seed if isinstance(seed, int) else None,
        profile=_word(about.get("profile") or config.get("profile")),
        dataset=_word(dataset),
        date=_word(about.get("when") or str(stamp.get("begun", ""))[:10]),
        minutes=None if seconds is None else seconds / 60,
        bytes=size_of(folder),
    )


def _state(folder: Path, verify: bool) -> tuple[str, str]:
    """State and, where there is something to say, the reason."""
    try:
        check_version(folder)
    except RunError as error:
        readable = isinstance(read_object(folder / STAMP).get("schema"), int)
        return (OTHER_VERSION if readable else DAMAGED), str(error)
    if folder.name.endswith(PARTIAL):
        if is_held(lock_of(folder)):
            return RUNNING, f"{holder(folder)} is computing it"
        return UNFINISHED, "the same command goes on with it"
    try:
        check_whole(folder, verify)
    except RunError as error:
        return DAMAGED, str(error)
    return FINISHED, ""


def _rsum(metrics: Mapping[str, Any]) -> float | None:
    for part in (metrics.get("test"), metrics.get("val"), metrics):
        if isinstance(part, Mapping) and _number(part.get("rsum")) is not None:
            return float(part["rsum"])
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def find_run(root: Path, name: str) -> Path:
    """The folder of a run that a user names: its path, or the beginning of ``slug-hash``, also after a study.

    Raises:
        RunError: no such run, or several.
    """
    path = Path(name) if Path(name).name else Path(name).absolute()
    if is_run(path):
        return path
    if not name.strip() or not root.is_dir():
        raise RunError(f"{name or '(empty)'}: no run there, and no folder {root} to look in; give --runs-dir")
    wanted = name.rstrip("/")
    every = {f"{folder.parent.name}/{folder.name}": folder for folder in run_folders(root)}
    exact = [f for key, f in every.items() if wanted in (key, f.name)]
    begins = exact or [f for key, f in every.items() if key.startswith(wanted) or f.name.startswith(wanted)]
    if len(begins) == 1:
        return begins[0]
    if not begins:
        raise RunError(f"{name}: no such run in {root}; `imtext runs list --runs-dir {root}` names them")
    some = ", ".join(f.name for f in begins[:4]) + (", ..." if len(begins) > 4 else "")
    raise RunError(f"{name}: {len(begins)} runs begin like this ({some}); give more of the name")


def leftovers(root: Path) -> list[Path]:
    """What killed processes left and no run needs: locks without a run, half of a removed run."""
    found = []
    for study in (path for path in _entries(root) if path.name != CACHE and path.is_dir()):
        for path in _entries(study):
            if path.is_symlink():
                continue
            half_removed = path.name.startswith(".") and GONE in path.name and path.is_dir()
            temporary = path.name.startswith(".") and path.suffix == ".tmp" and path.is_file()
            if half_removed or temporary or _is_idle_lock(path):
                found.append(path)
    return found


def _is_idle_lock(path: Path) -> bool:
    """Whether a file is the lock of a run that is not there, held by nobody."""
    bare = path.name.removesuffix(LOCK)
    if path.suffix != LOCK or not path.is_file() or not _NAME.fullmatch(bare):
        return False
    runs = (path.with_name(bare), path.with_name(bare + PARTIAL))
    return not any(run.exists() for run in runs) and not is_held(path)
