"""Embeddings on disk, of any origin: ``.npz``, ``.safetensors`` or a folder of ``.npy`` files; no pickle."""

from __future__ import annotations

import os
import warnings
import zipfile
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from imtext.errors import ConfigError, DataError

KEYS = ("images", "captions", "image_of_caption")
_FORM = f"an .npz file with the arrays {', '.join(KEYS)}; write one with numpy.savez"
_LONGEST_HEADER = 1 << 16
_LARGE, _RATIO = 1 << 30, 100  # embeddings hardly compress: a file that unpacks to this much more holds none
_BLOCK = 1 << 24
_LONGEST_RUN = 100

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def load_embeddings(path: str | PathLike[str], captions_per_image: int | None = None) -> Arrays:
    """Read ``images (N, D)``, ``captions (M, D)`` and ``image_of_caption (M,)``.

    Three containers hold them: an ``.npz`` file, a ``.safetensors`` file with tensors of these names, or a
    folder with ``images.npy``, ``captions.npy`` and ``image_of_caption.npy`` (memory-mapped). Other arrays
    are ignored; shapes are checked by whoever uses the arrays, such as `evaluate`.

    ``captions_per_image``: k captions for every image, in the order of the images. Then the array
    ``image_of_caption`` may be missing, and ``images`` may hold each image k times in a row (as many rows as
    captions): it is returned once. Without this parameter nothing is assumed.

    Raises `ConfigError` where ``captions_per_image`` is no positive whole number, `DataError` where the path
    is missing, damaged, of another kind, pickled, lacks an array, or contradicts ``captions_per_image``; also
    where images are repeated and ``captions_per_image`` does not say so.

    >>> load_embeddings("nowhere.npz")
    Traceback (most recent call last):
    imtext.errors.DataError: nowhere.npz: no such file; give an .npz or .safetensors file, or ...
    """
    path, k = Path(path).expanduser(), captions_per_image
    if k is not None and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise ConfigError(f"captions_per_image={k!r}: expected a positive whole number")
    with warnings.catch_warnings():  # NumPy warns of headers written by Python 2, which are fine
        warnings.simplefilter("ignore", UserWarning)
        arrays = _read(path)
    return _as_stored(path, arrays) if k is None else _in_order(path, arrays, k)


def _read(path: Path) -> dict[str, np.ndarray]:
    if os.path.isdir(path):
        return _read_folder(path)
    if not os.path.isfile(path):
        found = "neither a file nor a folder" if os.path.exists(path) else "no such file"
        raise DataError(
            f"{path}: {found}; give an .npz or .safetensors file, or a folder with images.npy, captions.npy"
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)


def _missing(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    """DataError unless the arrays that nothing can replace are there."""
    lacking = [key for key in needed if key not in names]
    if lacking:
        found = ", ".join(names[:9]) or "nothing"
        raise DataError(f"{path}: lacks {', '.join(lacking)} (found {found[:200]}); expected {_FORM}")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as stream:
            if stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise DataError(f"{path}: holds a single array, expected {_FORM}")
            with zipfile.ZipFile(stream) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                _missing(path, list(members), KEYS[:2])
                total = os.fstat(stream.fileno()).st_size
                return {key: _member(archive, members[key], total) for key in KEYS if key in members}
    except DataError:
        raise
    except Exception as error:  # a damaged archive, header or array can raise almost anything
        raise DataError(f"{path}: cannot be read ({_reason(error)}), expected {_FORM}") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, total: int) -> np.ndarray:
    """One array of an archive; lengths are compared before anything is allocated."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed in a way that NumPy does not write")
    if info.compress_size > total or info.file_size > 1100 * info.compress_size + 1000:
        raise ValueError(f"{info.filename} claims to be longer than the file")
    if info.file_size > max(_LARGE, _RATIO * info.compress_size):
        raise ValueError(f"{info.filename} unpacks {info.compress_size:,} to {info.file_size:,} bytes")
    with archive.open(info) as stream:
        _check_header(stream, info.file_size, info.filename)
    with archive.open(info) as stream:
        return npy.read_array(stream, allow_pickle=False)


def _check_header(stream: BinaryIO, size: int, name: str) -> None:
    """ValueError unless the header of an ``.npy`` stream describes just its ``size`` bytes."""
    start = stream.read(12)
    if start[6:7] > b"\x01" and int.from_bytes(start[8:12], "little") > _LONGEST_HEADER:
        raise ValueError(f"the header of {name} is too long")
    stream.seek(0)
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never unpickled")
    claimed = dtype.itemsize
    for side in shape:
        claimed *= side
    there = size - stream.tell()
    if claimed != there or min(shape, default=1) < 0:
        raise ValueError(f"{name} has {there:,} bytes of numbers, its header describes another length")


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    try:
        there = [key for key in KEYS if os.path.isfile(path / f"{key}.npy")]
        if not set(KEYS[:2]) <= set(there):
            lacking = ", ".join(f"{key}.npy" for key in KEYS if key not in there)
            raise DataError(
                f"{path}: this is a folder that lacks {lacking}; write the arrays with numpy.save, or give "
                "the path of an .npz or .safetensors file"
            )
        return {key: _mapped(path / f"{key}.npy") for key in there}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)}), expected a folder of arrays") from None


def _mapped(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as stream:
            _check_header(stream, os.fstat(stream.fileno()).st_size, path.name)
        return npy.open_memmap(path, mode="r")
    except Exception as error:  # as above
        raise DataError(
            f"{path}: cannot be read ({_reason(error)}), expected one array; write it with numpy.save"
        ) from None


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import torch
    from safetensors import safe_open

    form = f"the tensors {', '.join(KEYS)}; write them with safetensors"
    try:
        # Through torch, since NumPy has no bfloat16.
        with safe_open(path, framework="pt") as stored:
            names = list(stored.keys())
            _missing(path, names, KEYS[:2])
            tensors = {key: stored.get_tensor(key) for key in KEYS if key in names}
        plain = (torch.float16, torch.float32, torch.float64)
        return {
            key: (x.float() if x.is_floating_point() and x.dtype not in plain else x).numpy()
            for key, x in tensors.items()
        }
    except DataError:
        raise
    except Exception as error:  # SafetensorError, OSError, and what torch raises on odd types
        raise DataError(f"{path}: cannot be read ({_reason(error)}), expected {form}") from None


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]


def _as_stored(path: Path, arrays: dict[str, np.ndarray]) -> Arrays:
    images, captions = arrays["images"], arrays["captions"]
    owner = arrays.get("image_of_caption")
    n, m = _rows(images), _rows(captions)
    if owner is None:
        hint = "expected the index of each caption's image"
        if n and m and m % n == 0 and m > n:
            hint += f"; if each image has {m // n} captions in a row, pass captions_per_image={m // n}"
        elif n and n == m:
            hint += "; if captions come in runs of k for an image, pass captions_per_image=k"
        found = f"{n:,} images, {m:,} captions"
        raise DataError(f"{path}: lacks image_of_caption (found {found}); {hint}")
    if n == m and (k := _run(images)) > 1 and np.array_equal(owner, np.arange(m)):
        raise DataError(
            f"{path}: images come in runs of {k} equal rows, so none would be found by its other captions; "
            f"pass captions_per_image={k} to keep each image once"
        )
    return images, captions, owner


def _in_order(path: Path, arrays: dict[str, np.ndarray], k: int) -> Arrays:
    """Images once, caption j with image j // k; DataError where the file says otherwise."""
    images, captions = arrays["images"], arrays["captions"]
    n, m = _rows(images), _rows(captions)
    if not n or not m:
        raise DataError(
            f"{path}: expected images and captions as matrices of numbers, found shapes {images.shape} and "
            f"{captions.shape}; save one row for each"
        )
    repeated = k > 1 and n == m and n % k == 0
    if n * k != m and not repeated:
        raise DataError(
            f"{path}: expected {k} captions for each image (captions_per_image={k}), found {n:,} images and "
            f"{m:,} captions; correct captions_per_image or the arrays"
        )
    owner = np.repeat(np.arange(m // k), k)
    stored = arrays.get("image_of_caption", owner)
    if not np.array_equal(stored, owner) and not (repeated and np.array_equal(stored, np.arange(m))):
        raise DataError(
            f"{path}: image_of_caption does not give every image {k} captions in a row; leave "
            "captions_per_image out, the file says which caption belongs to which image"
        )
    row = _first_odd(images, k) if repeated else None
    if row is not None:
        raise DataError(
            f"{path}: as many images as captions ({n:,}), but images {row - row % k} and {row} differ; with "
            f"captions_per_image={k} each image must be there once, or {k} times in a row"
        )
    return images[::k] if repeated else images, captions, owner


def _rows(array: np.ndarray) -> int:
    """Number of rows of a matrix of numbers, 0 for anything else."""
    return len(array) if array.ndim == 2 and array.dtype.kind in "fiu" else 0


def _first_odd(images: np.ndarray, k: int) -> int | None:
    """First row that differs from the first of its run of k, in blocks; None where none does."""
    step = k * max(1, _BLOCK // max(1, k * images.shape[1] * images.dtype.itemsize))
    for start in range(0, len(images), step):
        runs = images[start : start + step].reshape(-1, k, images.shape[1])
        first = runs[:, :1]
        numbers = (runs == runs) | (first == first)  # NaN in both is no difference
        odd = np.flatnonzero(((runs != first) & numbers).any(2).ravel())
        if len(odd):
            return start + int(odd[0])
    return None


def _run(images: np.ndarray) -> int:
    """Length k > 1 of the runs of equal rows that the images consist of, two runs at least; 1 for none."""
    other = np.flatnonzero((images[1:_LONGEST_RUN] != images[:1]).any(1))
    k = 1 + int(other[0]) if len(other) else 1
    return k if k > 1 and len(images) % k == 0 and _first_odd(images, k) is None else 1
