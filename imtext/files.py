"""Files that are written whole or not at all: JSON, named arrays without pickle, arrays computed once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import DataError, ImtextError

UNWRITTEN = "cannot be written ({}); free some space or give another folder"


@contextmanager
def told(
    path: Path, error: type[ImtextError] = DataError, of: Any = OSError, said: str = UNWRITTEN
) -> Iterator[None]:
    """What the body raises, of the kind or kinds ``of``, as one line about ``path``, an ``error``.

    ``said``: the line, with ``{}`` in the place of what was raised.

    >>> with told(Path("a.json"), of=ValueError, said="is damaged ({}); write it again"):
    ...     int("one")
    Traceback (most recent call last):
    imtext.errors.DataError: a.json: is damaged (invalid literal for int() ...); write it again
    """
    try:
        yield
    except of as found:
        raise error(f"{path}: {said.format(getattr(found, 'strerror', None) or found)}") from None


@contextmanager
def atomic(path: Path, error: type[ImtextError] = DataError) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the body has made a file or a folder of it.

    Raises ``error`` where it cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "words.txt")
    >>> with atomic(path) as temporary:
    ...     _ = temporary.write_text("a dog")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('a dog', 1)
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with told(path, error):
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


def write_json(path: Path, content: Any, error: type[ImtextError] = DataError) -> None:
    """Write JSON, whole or not at all. Raises ``error`` where it cannot be written."""
    with atomic(path, error) as temporary:
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


def write_tensors(
    path: Path, kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> None:
    """Write ``arrays`` and JSON-like ``settings`` to a safetensors file.

    ``kind`` names the format and its version; :func:`read_tensors` asks for it. Raises DataError where the
    file cannot be written.
    """
    from safetensors.numpy import save

    # One key: several would be written in an order that changes from call to call.
    about = json.dumps({"kind": kind, "settings": dict(settings)}, sort_keys=True)
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic(path) as temporary:
        temporary.write_bytes(save(plain, {"imtext": about}))


def read_tensors(
    path: Path, kind: str, names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays ``names`` and the settings that :func:`write_tensors` wrote.

    Raises DataError for a missing or damaged file, another ``kind``, a missing array, NaN or infinity.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.safetensors")
    >>> write_tensors(path, "example-1", {"a": np.arange(2.0)}, {"power": 4})
    >>> read_tensors(path, "example-1", ("a",))
    ({'a': array([0., 1.])}, {'power': 4})
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected a file of kind {kind}, found none; save it first")
    broken = OSError, SafetensorError, ValueError, TypeError, LookupError, RecursionError
    with told(path, DataError, broken, f"expected a file of kind {kind}, found {{}}; save it again"):
        with safe_open(path, framework="numpy") as stored:
            about = json.loads((stored.metadata() or {}).get("imtext", "{}"))
            if about["kind"] != kind:
                raise ValueError("another kind of file")
            arrays, settings = {name: stored.get_tensor(name) for name in names}, about["settings"]
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"NaN or infinity in {name}")
    return arrays, settings


def cached_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: str,
    chunks: Sequence[int],
    compute: Callable[[int], Iterable[np.ndarray]],
) -> np.memmap:
    """The array of ``shape`` and ``dtype`` in the ``.npy`` file ``path``, read-only; computed if not there.

    Whole chunks are appended to a partial file, so a broken-off call goes on where it stopped. A second
    process waits for the first.

    Args:
        chunks: how many numbers each chunk holds, in the order in which they are computed.
        compute: from the number of chunks that are there already to the others, one after the other.

    Raises:
        DataError: the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "squares.npy")
    >>> squares = [np.array([0, 1]), np.array([4, 9])]
    >>> cached_array(path, (2, 2), "<i8", (2, 2), lambda done: squares[done:]).tolist()
    [[0, 1], [4, 9]]
    """
    from filelock import FileLock

    if _stored(path, shape, dtype) is None:
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if _stored(path, shape, dtype) is None:
                    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
                    _append(path, header, chunks, compute)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _stored(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap | None:
    """The finished array; None where it is absent or damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if (array.shape, array.dtype) == (shape, np.dtype(dtype)) else None


def _append(path: Path, header: dict[str, Any], chunks: Sequence[int], compute: Any) -> None:
    partial, dtype = path.with_suffix(".partial"), np.dtype(header["descr"])
    partial.touch()
    with open(partial, "r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)
        ends = file.tell() + dtype.itemsize * np.cumsum([0, *chunks])
        done = int(np.searchsorted(ends, file.seek(0, os.SEEK_END), side="right")) - 1
        file.truncate(ends[done])
        file.seek(ends[done])
        for chunk in compute(done):
            file.write(np.ascontiguousarray(chunk, dtype).tobytes())
            file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
