"""Embeddings on disk: one ``.npz`` file, three arrays, no pickle."""

from __future__ import annotations

import zipfile
import zlib
from os import PathLike
from pathlib import Path

import numpy as np

from imtext.errors import DataError

KEYS = ("images", "sentences", "image_of_sentence")


def load_embeddings(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read ``images (N, D)``, ``sentences (M, D)`` and ``image_of_sentence (M,)`` from an ``.npz`` file.

    Other arrays in the file are ignored; shapes are checked by whoever uses the arrays, such as `evaluate`.

    Raises `DataError` where the file is missing, damaged, of another kind, pickled, or lacks one of these.

    >>> load_embeddings("nowhere.npz")
    Traceback (most recent call last):
    imtext.errors.DataError: nowhere.npz: no such file; give the path of an .npz file
    """
    path = Path(path)
    if not path.is_file():
        found = "this is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {found}; give the path of an .npz file")
    form = f"an .npz file with the arrays {', '.join(KEYS)}; write one with numpy.savez"
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise DataError(f"{path}: holds a single array, expected {form}")
        with stored:
            missing = [key for key in KEYS if key not in stored.files]
            if missing:
                found = ", ".join(stored.files) or "nothing"
                raise DataError(f"{path}: lacks {', '.join(missing)} (found {found}); expected {form}")
            return stored["images"], stored["sentences"], stored["image_of_sentence"]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}), expected {form}") from None
