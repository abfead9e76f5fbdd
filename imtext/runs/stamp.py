"""What a run is of: the hash of its configuration, and the stamp of the version that wrote it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext import __version__
from imtext.errors import RunError
from imtext.runs.files import plain, read_json, read_object, remove_command, write_json

SCHEMA = 1
STAMP = "run.json"
CONFIG = "config.json"


def config_hash(config: Mapping[str, Any]) -> str:
    """Ten hex digits of what determines a run.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps({"schema": SCHEMA, **config}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def write_stamp(folder: Path, study: str, slug: str, config: Mapping[str, Any]) -> None:
    """Say, before the work begins, which version writes this run; the first stamp stays."""
    if read_object(folder / STAMP):
        return
    write_json(
        folder / STAMP,
        {
            "schema": SCHEMA,
            "imtext": __version__,
            "study": study,
            "slug": slug,
            "hash": config_hash(config),
            "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )


def check_version(folder: Path) -> None:
    """Refuse the run of another schema. A run without a stamp was written before there were stamps: schema 1.

    Raises:
        RunError: names both versions.
    """
    try:
        stamp = read_json(folder / STAMP)
    except (FileNotFoundError, NotADirectoryError):
        stamp = {"schema": 1}
    except (OSError, ValueError):
        stamp = None
    schema = stamp.get("schema") if isinstance(stamp, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise RunError(
            f"{folder / STAMP}: expected the version that wrote this run, found no schema number; put it "
            f"back from a copy, or remove the run with {remove_command(folder)} to run again"
        )
    if schema != SCHEMA:
        raise RunError(
            f"{folder}: written by schema {schema} of imtext {stamp.get('imtext', '(unknown)')}, this is "
            f"schema {SCHEMA} of imtext {__version__}; read it with that version, or remove it with "
            f"{remove_command(folder)}"
        )


def check_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder whose ``config.json`` is not the configuration that was asked for.

    Raises:
        RunError: names the first key that differs.
    """
    path = folder / CONFIG
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: expected a run's configuration, found {error}; put it back from a copy, or remove the "
            f"run with {remove_command(folder)} to run again"
        ) from None
    asked = json.loads(json.dumps(dict(config), default=plain))
    if _text(found) == _text(asked):
        return
    found = found if isinstance(found, dict) else {}
    key = next(k for k in [*asked, *found, "config"] if _text(found.get(k)) != _text(asked.get(k)))
    raise RunError(
        f"{path}: {key} is {_short(found, key)}, asked for is {_short(asked, key)}; the file was changed, or "
        f"two configurations share a hash: restore it, or remove the run with {remove_command(folder)}"
    )


def _text(value: Any) -> str:
    """A form of JSON values that compares also where they hold NaN."""
    return json.dumps(value, sort_keys=True)


def _short(config: Mapping[str, Any], key: str) -> str:
    if key not in config:
        return "absent"
    text = _text(config[key])
    return text if len(text) <= 60 else f"{text[:57]}..."
