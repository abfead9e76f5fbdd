"""One ``.npy`` file as a read-only memory map, its header checked against the length of the file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from imtext.errors import DataError


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
    if not path.is_file():  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected an .npy file, found none; put the file there")
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
                raise ValueError("other content: a pointer of Git LFS, a web page or an archive?")
        with warnings.catch_warnings():  # files written by Python 2 (1000L) are fine
            warnings.simplefilter("ignore")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.offset + array.nbytes != path.stat().st_size:
            raise ValueError("bytes left over")
    except Exception as error:  # a header is Python text: parsing it can raise almost anything
        raise DataError(
            f"{path}: expected an .npy file of the length that its header says, found "
            f"{str(error)[:120] or type(error).__name__}; fetch the file again"
        ) from None
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise DataError(
            f"{path}: expected float32 (or float16, float64) numbers, found {str(array.dtype)[:60]}; "
            "save it with numpy.save(file, array.astype('float32'))"
        )
    if not array.size or not array.ndim:
        raise DataError(
            f"{path}: expected an array with rows, found shape {array.shape}; make the file again"
        )
    if not array.flags.c_contiguous:
        raise DataError(
            f"{path}: expected rows one after the other (C order), found Fortran order; "
            "save it with numpy.save(file, numpy.ascontiguousarray(array))"
        )
    return array
