"""One ``.npy`` file as a read-only memory map, its header checked against the length of the file first.

Format: NEP 1 of NumPy, versions 1.0 and 2.0 (3.0 is for structured types, which nothing here reads).
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from imtext.errors import DataError

_LONGEST_HEADER = 1 << 16
_HUGE = 10**18  # a longer number could not even be printed
_KINDS = (
    (b"PK", "a zip archive (an .npz file?)"),
    (b"version https://git-lfs", "a pointer of Git LFS instead of the data"),
    (b"<", "a web page"),
)


def open_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an ``.npy`` file as a read-only memory map ``(n, ...)`` in C order, nothing read yet.

    Accepted are float16, float32 and float64 of either byte order. Nothing is unpickled, and nothing is
    allocated that the header claims.

    Raises:
        DataError: the file is missing, of another kind, damaged, cut off or too long for its header; it holds
            something else than floating-point numbers, or columns first (Fortran order).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.npy")
    >>> np.save(path, np.ones((2, 3), np.float32))
    >>> open_npy(path).shape
    (2, 3)
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected an .npy file, found a folder or device; put the file there")
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            shape, fortran, dtype = _header(stream, path)
            offset = stream.tell()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: expected a readable file, found: {reason}; put the file there") from None
    _check_type(dtype, fortran, shape, path)
    _check_size(dtype, shape, size - offset, path)
    try:
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: cannot be mapped into memory ({error}); copy it to a local disk") from None


def _header(stream: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    start = stream.read(64)
    if not start.startswith(npy.MAGIC_PREFIX):
        found = next((kind for prefix, kind in _KINDS if start.lstrip().startswith(prefix)), "other content")
        raise DataError(f"{path}: expected an .npy file, found {found}; fetch the file again")
    # The length field of version 2 may claim 4 GB.
    too_long = start[6:7] > b"\x01" and int.from_bytes(start[8:12], "little") > _LONGEST_HEADER
    stream.seek(0)
    try:
        if too_long:
            raise ValueError("its length is out of range")
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        with warnings.catch_warnings():  # files written by Python 2 (1000L) are fine
            warnings.simplefilter("ignore")
            return read(stream)
    except Exception as error:  # a header is Python text: parsing it can raise almost anything
        reason = f"{type(error).__name__}: {error}"[:120]
        raise DataError(
            f"{path}: expected the header of an .npy file, found a damaged one ({reason}); "
            "fetch the file again"
        ) from None


def _check_type(dtype: np.dtype, fortran: bool, shape: tuple[int, ...], path: Path) -> None:
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        found = "Python objects, which imtext never unpickles" if dtype.hasobject else str(dtype)[:60]
        raise DataError(
            f"{path}: expected float32 (or float16, float64) numbers, found {found}; "
            "save it with numpy.save(file, array.astype('float32'))"
        )
    if fortran and sum(side > 1 for side in shape) > 1:
        raise DataError(
            f"{path}: expected rows one after the other (C order), found Fortran order; "
            "save it with numpy.save(file, numpy.ascontiguousarray(array))"
        )


def _check_size(dtype: np.dtype, shape: tuple[int, ...], there: int, path: Path) -> None:
    shape = tuple(min(side, _HUGE) for side in shape)
    form = " x ".join(f"{side:,}" for side in shape[:8])
    if not 1 <= len(shape) <= 8 or any(side < 1 for side in shape):
        raise DataError(f"{path}: expected an array with rows, found shape ({form}); make the file again")
    claimed = dtype.itemsize
    for side in shape:
        claimed *= side
    if claimed != there:
        what = "is cut off" if there < claimed else "has bytes left over"
        raise DataError(
            f"{path}: {what}: its header says {form} {dtype}, {claimed:,} bytes, found {there:,}; "
            "fetch the file again"
        )
