"""Files of a run, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from imtext.errors import RunError


@contextmanager
def told(path: Path) -> Iterator[None]:
    """An OSError of the body as one line about ``path``, a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or give another folder"
        ) from None


def remove_command(folder: Path) -> str:
    """The command that removes a run, as a user types it.

    >>> remove_command(Path("runs/study/row-0123456789"))
    '`imtext runs remove runs/study/row-0123456789 --yes`'
    """
    return f"`imtext runs remove {shlex.quote(str(folder))} --yes`"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the body has made a file or a folder of it.

    Raises:
        RunError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with told(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            temporary.unlink()


def json_bytes(content: Any) -> bytes:
    """Content as a JSON file holds it; values and arrays of NumPy as plain ones."""
    return (json.dumps(content, indent=1, sort_keys=True, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises RunError where it cannot be written."""
    with atomic(path) as temporary:
        temporary.write_bytes(json_bytes(content))


def read_json(path: Path) -> Any:
    """Read JSON. Raises OSError, ValueError or RecursionError where there is none."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none; for lists, which show what there is."""
    try:
        content = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def digest(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
