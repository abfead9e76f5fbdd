"""What a fitted model keeps: named arrays and a few settings in one safetensors file, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import DataError


def write_tensors(
    path: str | os.PathLike[str], kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> None:
    """Write ``arrays`` and JSON-like ``settings`` to ``path``, first under a temporary name beside it.

    ``kind`` names the format and its version; :func:`read_tensors` asks for it. Raises DataError where the
    file cannot be written.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        # One key: several would be written in an order that changes from call to call.
        about = json.dumps({"kind": kind, "settings": dict(settings)}, sort_keys=True)
        save_file(plain, partial, {"imtext": about})
        os.replace(partial, path)
    except Exception as error:  # OSError, or SafetensorError around one
        raise DataError(
            f"{path}: cannot be written, found: {_reason(error)}; give a file in an existing folder"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def read_tensors(
    path: str | os.PathLike[str], kind: str, names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays ``names`` and the settings that :func:`write_tensors` wrote.

    Raises DataError for a missing or damaged file, another ``kind``, a missing array, NaN or infinity.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.safetensors")
    >>> write_tensors(path, "example-1", {"a": np.arange(2.0)}, {"power": 4})
    >>> read_tensors(path, "example-1", ("a",))
    ({'a': array([0., 1.])}, {'power': 4})
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected a file of kind {kind}, found none; save it first")
    try:
        with safe_open(path, framework="numpy") as stored:
            about = json.loads((stored.metadata() or {}).get("imtext", "{}"))
            if not isinstance(about, dict) or about.get("kind") != kind:
                raise ValueError("another kind of file")
            arrays = {name: stored.get_tensor(name) for name in names}
        settings = about["settings"]
        if not isinstance(settings, dict):
            raise ValueError("settings that are no object")
        for name, array in arrays.items():
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise ValueError(f"NaN, infinity or no numbers in {name}")
    except Exception as error:  # SafetensorError, OSError, and what NumPy and JSON raise on odd content
        raise DataError(
            f"{path}: expected a file of kind {kind}, found {_reason(error)}; save it again"
        ) from None
    return arrays, settings


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
