"""What a run says of itself: version, hash of its configuration, its files, and where its numbers come from.

``run.json`` is written when a run is begun, ``manifest.json`` when it is finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imtext import __version__
from imtext.errors import RunError
from imtext.runs.files import digest, read_object, remove_command, write_json

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


def check_stamp(folder: Path) -> None:
    """Refuse the run of another schema.

    A folder without a stamp passes: nothing was begun there, or its manifest tells that the stamp is gone.

    Raises:
        OtherVersion: names both versions.
    """
    stamp = read_object(folder / STAMP)
    if stamp.get("schema", SCHEMA) != SCHEMA:
        raise OtherVersion(
            f"{folder}: written by schema {stamp['schema']} of imtext {stamp.get('imtext')}, this is schema "
            f"{SCHEMA} of imtext {__version__}; read it with that version, or remove it with "
            f"{remove_command(folder)}"
        )


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a run by their names, sorted, without hidden ones and the manifest."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {path.name: path for path in paths if path.name != MANIFEST and not path.name.startswith(".")}


def write_manifest(folder: Path) -> None:
    """Write down what the files of a run are. Raises RunError where it cannot be written."""
    entries = {
        name: {"bytes": path.stat().st_size, "sha256": digest(path)}
        for name, path in files_of(folder).items()
    }
    write_json(folder / MANIFEST, {"files": entries})


def check_run(folder: Path, full: bool = False) -> None:
    """Refuse a finished run of another schema, or one of which something is missing or changed.

    Lengths of all files and the contents of small ones are compared with the manifest, with ``full`` all
    contents.

    Raises:
        OtherVersion: see :func:`check_stamp`. RunError: names the file and the command that removes the run.
    """
    check_stamp(folder)
    try:
        files = read_object(folder / MANIFEST)["files"]
        faulty = [name for name, entry in files.items() if not _is_whole(folder / name, entry, full)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        faulty = [MANIFEST]
    if faulty:
        raise RunError(
            f"{folder / faulty[0]}: missing, cut off or changed after the run was finished; put it back from "
            f"a copy, or remove the run with {remove_command(folder)} to run again"
        )


def _is_whole(path: Path, entry: Mapping[str, Any], full: bool) -> bool:
    """Whether a file is there and as the manifest says."""
    if path.name == SOURCE or not path.is_file():
        return path.is_file()
    length = path.stat().st_size
    read = full or length <= _SMALL
    return length == entry["bytes"] and (not read or digest(path) == entry["sha256"])


def provenance(device: str, seconds: float, **extra: Any) -> dict[str, Any]:
    """Where a number comes from: versions, hardware, commit, time.

    >>> sorted(provenance("cpu", 1.0))[:4]
    ['commit', 'device', 'hardware', 'imtext']
    """
    import torch

    hardware = torch.cuda.get_device_name(0) if device.startswith("cuda") else _processor()
    return {
        "imtext": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device,
        "hardware": hardware,
        "commit": _commit(),
        "seconds": round(seconds, 1),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        **extra,
    }


def _processor() -> str:
    """The processor's name and the cores this process may use."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit of imtext's own checkout, marked where the package differs from it; '' with none."""
    package = Path(__file__).resolve().parent.parent
    # Named, since git would look further up and take whatever repository the package happens to lie in.
    git = ["git", f"--git-dir={package.parent / '.git'}", f"--work-tree={package.parent}"]
    options = {"cwd": package, "capture_output": True, "text": True, "timeout": 10}
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."], **options).returncode
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}-dirty" if commit and changed else commit
