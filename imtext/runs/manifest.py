"""The manifest of a finished run: which files belong to it, how long they are and their SHA-256."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from imtext.errors import RunError
from imtext.runs.files import digest, read_json, remove_command, sync_path, write_json
from imtext.runs.stamp import STAMP

MANIFEST = "manifest.json"
METRICS = "metrics.json"
# Where the data lies on this machine; a run that was moved may say it anew.
EDITABLE = frozenset({"source.json"})
# Shorter files are read whole whenever the run is asked for, longer ones only by a full check.
_SMALL = 1 << 16


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a run by their name in the manifest, sorted; hidden ones and the manifest are not."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    hidden = [name for name in found if any(part.startswith(".") for part in PurePosixPath(name).parts)]
    for name in (*hidden, MANIFEST):
        found.pop(name, None)
    return dict(sorted(found.items()))


def describe(path: Path) -> dict[str, Any]:
    """Length and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": digest(path)}


def write_manifest(folder: Path) -> None:
    """Put every file of a run on the disk, then write down what they are.

    Raises:
        OSError, RunError: the disk is full.
    """
    files = {}
    for name, path in files_of(folder).items():
        sync_path(path)
        files[name] = describe(path)
    write_json(folder / MANIFEST, {"files": files})


def read_manifest(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The files a finished run should have; None for a run written before there were manifests.

    Raises:
        RunError: the manifest is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        files = read_json(path)["files"]
        if all(_inside(name) and {"bytes", "sha256"} <= set(entry) for name, entry in files.items()):
            return files
        reason = "an entry that is none"
    except FileNotFoundError as error:
        if not (folder / STAMP).exists():
            return None
        reason = str(error.strerror)
    except (OSError, ValueError) as error:
        reason = str(error)
    except (KeyError, TypeError, AttributeError):
        reason = "no list of files"
    raise damaged(path, f"expected the list of a run's files, found {reason}")


def check_whole(folder: Path, full: bool = False) -> None:
    """Refuse a finished run of which something is missing or changed.

    Lengths of all files and the contents of small ones are compared with the manifest, with ``full`` all
    contents. A run without a manifest, from before there were any, needs metrics that can be read.

    Raises:
        RunError: names the file and the command that removes the run.
    """
    files = read_manifest(folder)
    for name, entry in (files or {}).items():
        _check_file(folder, name, entry, full)
    path = folder / METRICS
    try:
        metrics = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise damaged(path, f"expected a finished run's metrics, found {reason}") from None
    if not isinstance(metrics, dict):
        raise damaged(path, f"expected a finished run's metrics, found a {type(metrics).__name__}")


def _check_file(folder: Path, name: str, entry: dict[str, Any], full: bool) -> None:
    path = folder / name
    if not path.is_file():
        raise damaged(path, "expected this file of a finished run, found none", folder)
    if name in EDITABLE:
        return
    try:
        length = path.stat().st_size
        if length != entry["bytes"]:
            raise damaged(path, f"expected {entry['bytes']:,} bytes, found {length:,}", folder)
        if (full or length <= _SMALL) and digest(path) != entry["sha256"]:
            raise damaged(path, "its content was changed after the run was finished", folder)
    except (OSError, TypeError, ValueError) as error:
        raise damaged(path, f"cannot be compared with {MANIFEST} ({error})", folder) from None


def damaged(path: Path, what: str, folder: Path | None = None) -> RunError:
    """The error of a finished run that is not whole any more: nothing replaces it but its owner."""
    command = remove_command(folder or path.parent)
    return RunError(f"{path}: {what}; put it back from a copy, or remove the run with {command} to run again")


def _inside(name: str) -> bool:
    """Whether a name stays in the run's folder."""
    pure = PurePosixPath(name)
    return bool(name) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in name
