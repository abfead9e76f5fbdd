"""Files of a run: written whole or not at all, and on the disk before anything rests on them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import RunError


@contextmanager
def told(path: Path, what: str = "written", only: Collection[int] = ()) -> Iterator[None]:
    """An OSError of the body, or ``only`` one of these numbers, as one line about ``path``.

    Raises:
        RunError: the body raised such an error.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        raise RunError(
            f"{path}: cannot be {what} ({error.strerror or error}); free some space or give another folder"
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
            sync_path(temporary)  # without it a power cut may leave an empty file under the final name
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            temporary.unlink()


def sync_path(path: Path) -> None:
    """Have the system put a file, or the names in a folder, on the disk. Raises OSError where it cannot."""
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such request for folders
            raise
    finally:
        os.close(descriptor)


def json_bytes(content: Any) -> bytes:
    """Content as a JSON file holds it; values and arrays of NumPy as plain ones."""
    return (json.dumps(content, indent=1, sort_keys=True, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises RunError where it cannot be written."""
    text = json_bytes(content)
    with atomic(path) as temporary:
        temporary.write_bytes(text)


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
    inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.stat().st_size for file in (path, *inside) if file.is_file())
