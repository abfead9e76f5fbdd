"""What a run says of itself: the version that wrote it, the hash of its configuration, and its files.

``run.json`` is written when a run is begun, ``manifest.json`` when it is finished.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext import __version__
from imtext.errors import RunError
from imtext.runs.files import digest, read_json, read_object, remove_command, sync_path, write_json

SCHEMA = 1
STAMP, MANIFEST = "run.json", "manifest.json"
CONFIG, METRICS, PROVENANCE = "config.json", "metrics.json", "provenance.json"
# Where the data lies on this machine; a run that was moved may say it anew.
SOURCE = "source.json"
# Shorter files are read whole whenever the run is asked for, longer ones only by a full check.
_SMALL = 1 << 16


class OtherVersion(RunError):
    """A run that another schema of imtext wrote."""


def config_hash(config: Mapping[str, Any]) -> str:
    """Ten hex digits of what determines a run.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps({"schema": SCHEMA, **config}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def write_stamp(folder: Path, config: Mapping[str, Any]) -> None:
    """Say, before the work begins, which version writes this run; the first stamp stays."""
    if read_object(folder / STAMP):
        return
    stamp = {
        "schema": SCHEMA,
        "imtext": __version__,
        "hash": config_hash(config),
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    write_json(folder / STAMP, stamp)


def check_run(folder: Path, config: Mapping[str, Any] | None = None, full: bool = False) -> None:
    """Refuse a finished run by :func:`check_stamp` and :func:`check_whole`. Raises RunError."""
    check_stamp(folder, config)
    check_whole(folder, full)


def check_stamp(folder: Path, config: Mapping[str, Any] | None = None) -> None:
    """Refuse the run of another schema or, where ``config`` is given, of another configuration.

    A folder without a stamp passes: nothing was begun there, or its manifest tells that the stamp is gone.

    Raises:
        OtherVersion: names both versions. RunError: another configuration.
    """
    stamp = read_object(folder / STAMP)
    if stamp.get("schema", SCHEMA) != SCHEMA:
        raise OtherVersion(
            f"{folder}: written by schema {stamp['schema']} of imtext {stamp.get('imtext')}, this is schema "
            f"{SCHEMA} of imtext {__version__}; read it with that version, or remove it with "
            f"{remove_command(folder)}"
        )
    if config is not None and stamp.get("hash", config_hash(config)) != config_hash(config):
        raise RunError(
            f"{folder}: holds the run of another configuration, whose hash is {stamp['hash']}; give it its "
            f"own name again, or remove it with {remove_command(folder)}"
        )


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a run by their names, sorted, without hidden ones and the manifest."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {path.name: path for path in paths if path.name != MANIFEST and not path.name.startswith(".")}


def write_manifest(folder: Path) -> None:
    """Put every file of a run on the disk, then write down what they are.

    Raises:
        OSError, RunError: the disk is full.
    """
    files = {}
    for name, path in files_of(folder).items():
        sync_path(path)
        files[name] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    write_json(folder / MANIFEST, {"files": files})


def check_whole(folder: Path, full: bool = False) -> None:
    """Refuse a finished run of which something is missing or changed.

    Lengths of all files and the contents of small ones are compared with the manifest, with ``full`` all
    contents.

    Raises:
        RunError: names the file and the command that removes the run.
    """
    try:
        files = read_json(folder / MANIFEST)["files"]
        faults = {name: _fault(folder / name, entry, full) for name, entry in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        faults = {MANIFEST: f"expected the list of a run's files, found {error}"}
    for name, fault in faults.items():
        if fault:
            raise RunError(
                f"{folder / name}: {fault}; put it back from a copy, or remove the run with "
                f"{remove_command(folder)} to run again"
            )


def _fault(path: Path, entry: dict[str, Any], full: bool) -> str:
    """How a file differs from its entry in the manifest, in words; empty where it does not."""
    if not path.is_file():
        return "expected this file of a finished run, found none"
    if path.name == SOURCE:
        return ""
    length = path.stat().st_size
    if length != entry["bytes"]:
        return f"expected {entry['bytes']:,} bytes, found {length:,}"
    if (full or length <= _SMALL) and digest(path) != entry["sha256"]:
        return "its content was changed after the run was finished"
    return ""
