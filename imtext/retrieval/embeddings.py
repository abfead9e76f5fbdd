"""Embeddings on disk, of any origin: ``.npz``, ``.safetensors`` or a folder of ``.npy`` files; no pickle."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np

from imtext.check import whole
from imtext.errors import DataError
from imtext.retrieval.similarity import to_numpy

KEYS = ("images", "captions", "image_of_caption")
_FORM = (
    f"expected an .npz or .safetensors file, or a folder of .npy files, with the arrays {', '.join(KEYS)}; "
    "write one with numpy.savez"
)


def load_embeddings(
    path: str | PathLike[str], captions_per_image: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    imtext.errors.DataError: nowhere.npz: found nothing there; expected an .npz or .safetensors file, or ...
    """
    path, k = Path(path).expanduser(), captions_per_image
    if k is not None:
        whole("captions_per_image", k)
    if not os.path.isdir(path) and not os.path.isfile(path):  # False for a name that is too long
        raise DataError(f"{path}: found nothing there; {_FORM}")
    try:
        arrays = _read(path)
    except Exception as error:  # a damaged archive, header or array can raise almost anything
        raise DataError(f"{path}: cannot be read ({str(error)[:200]}); {_FORM}") from None
    missing = [key for key in KEYS[:2] if key not in arrays]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; {_FORM}")
    images, captions = arrays["images"], arrays["captions"]
    if any(array.ndim != 2 or array.dtype.kind not in "fiu" for array in (images, captions)):
        raise DataError(f"{path}: expected images and captions as matrices of numbers; save one row for each")
    owners = arrays.get("image_of_caption")
    if k is not None:
        return _in_order(path, images, captions, owners, k)
    if owners is None:
        raise DataError(
            f"{path}: lacks image_of_caption, the index of each caption's image "
            f"(found {len(images):,} images, {len(captions):,} captions); "
            "if each image has k captions in a row, pass captions_per_image=k"
        )
    k = _run(images)
    if k > 1 and np.array_equal(owners, np.arange(len(images))):
        raise DataError(
            f"{path}: images come in runs of {k} equal rows, so none would be found by its other captions; "
            f"pass captions_per_image={k} to keep each image once"
        )
    return images, captions, owners


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.is_dir():
        files = {key: path / f"{key}.npy" for key in KEYS}
        return {key: np.load(file, mmap_mode="r") for key, file in files.items() if file.is_file()}
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file  # through torch, since NumPy has no bfloat16

        return {key: to_numpy(tensor) for key, tensor in load_file(path).items()}
    with np.load(path, allow_pickle=False) as stored:
        return {key: np.asarray(stored[key]) for key in KEYS if key in stored}


def _in_order(
    path: Path, images: np.ndarray, captions: np.ndarray, owners: np.ndarray | None, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images once, caption j with image j // k; DataError where the file says otherwise."""
    repeated = k > 1 and len(images) == len(captions)
    once = images[::k] if repeated else images
    if len(once) * k != len(captions) or (repeated and not _repeats(images, k)):
        raise DataError(
            f"{path}: expected {k} captions for each image, each image once or {k} times in a row, found "
            f"{len(images):,} images and {len(captions):,} captions; correct captions_per_image or the arrays"
        )
    in_order = np.repeat(np.arange(len(once)), k)
    either = [in_order, np.arange(len(captions))] if repeated else [in_order]
    if owners is not None and not any(np.array_equal(owners, one) for one in either):
        raise DataError(
            f"{path}: image_of_caption does not give every image {k} captions in a row; leave "
            "captions_per_image out, the file says which caption belongs to which image"
        )
    return once, captions, in_order


def _repeats(images: np.ndarray, k: int) -> bool:
    """Do the images come in runs of k equal rows?"""
    return len(images) % k == 0 and np.array_equal(np.repeat(images[::k], k, 0), images, equal_nan=True)


def _run(images: np.ndarray) -> int:
    """Length k > 1 of the runs of equal rows that the images consist of, two runs at least; 1 for none."""
    other = np.flatnonzero((images[:100] != images[:1]).any(1))
    return int(other[0]) if len(other) and _repeats(images, int(other[0])) else 1
