"""Files of a run: written whole or not at all, and on the disk before anything rests on them."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from imtext.errors import RunError

# A disk or a quota that is full, a file that may not grow further, a file system that is read-only.
NO_ROOM = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS") if hasattr(errno, name)
)
_BLOCK = 1 << 20


def cannot_write(path: Path, error: Exception) -> RunError:
    """The error of a file or a folder that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RunError(f"{path}: cannot be written ({reason}); free some space or give another runs_dir")


def remove_command(folder: Path) -> str:
    """The command that removes a run, as a user types it.

    >>> remove_command(Path("runs/study/row-0123456789"))
    '`imtext runs remove runs/study/row-0123456789 --yes`'
    """
    return f"`imtext runs remove {shlex.quote(str(folder))} --yes`"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the body succeeds.

    Raises:
        RunError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync_path(temporary)  # without it a power cut may leave an empty file under the final name
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Have the system put a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such request for folders
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises RunError where it cannot be written."""
    text = json.dumps(content, indent=1, sort_keys=True, default=plain) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; OSError or ValueError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("brackets nested without end") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none; for lists, which show what there is."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz``, whole or not at all. Raises RunError where it cannot be written."""
    with new_archive(path) as archive:
        for name, array in arrays.items():
            with archive.open(entry(f"{name}.npy"), "w", force_zip64=True) as target:
                npy.write_array(target, np.asanyarray(array), allow_pickle=False)


@contextmanager
def new_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip that is written whole or not at all. Its entries are stored: no library decides their bytes.

    Raises:
        RunError: the file cannot be written.
    """
    with atomic(path) as temporary, open(temporary, "wb") as file:
        archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        try:
            yield archive
            archive.close()
        except BaseException:
            archive.fp = None  # else it tries to finish the file when it is collected, and complains again
            raise


def entry(name: str) -> zipfile.ZipInfo:
    """An entry with a fixed date, so that equal contents make equal archives."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an ``.npz`` without pickle; OSError or ValueError where there is none.

    No more memory is asked for than the file is long, whatever its headers say.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise almost anything on a broken file
        raise ValueError(str(error) or type(error).__name__) from None


def _check_members(archive: zipfile.ZipFile, length: int) -> None:
    """ValueError where an entry of an ``.npz`` claims more than it holds."""
    for info in archive.infolist():
        with archive.open(info) as member:
            version = npy.read_magic(member)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
        claimed = math.prod(shape) * dtype.itemsize
        if info.compress_type != zipfile.ZIP_STORED or claimed > info.file_size or claimed > length:
            raise ValueError(f"{info.filename} claims {claimed:,} bytes in a file of {length:,}")


def digest(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file or of all files in a folder; links count for nothing."""
    if not path.is_dir() or path.is_symlink():
        with suppress(OSError):
            return path.lstat().st_size
        return 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # another process may have renamed it meanwhile
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def plain(value: Any) -> Any:
    """NumPy scalars and arrays as JSON takes them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
