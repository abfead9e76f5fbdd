"""A dataset in one file: pixels at one size, or features, with captions, splits, boxes and checksums.

:func:`write_pack` decodes every image once and streams it into a file that the ``safetensors`` library can
open too; :func:`open_pack` reads it back as a Dataset whose ``image_root`` is the file. Boxes stay in pixels
of the original image files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image
from safetensors import SafetensorError, safe_open

from imtext.check import one_of, whole
from imtext.data import Dataset, ImageFeatures, Phrases, Regions
from imtext.data.decoding import FITS, as_square, decode_file, squares, stamps, without
from imtext.data.files import relative
from imtext.errors import DataError
from imtext.files import told
from imtext.progress import progress

FORMAT = "imtext-pack-2"
PAGE = 4096  # bytes of the header: the pixels begin at a page
ROWS = 256  # images under one checksum
_CODES = {"U8": "u1", "I64": "<i8", "F16": "<f2", "F32": "<f4"}
_DAMAGE = OSError, SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError
_SPANS = {"regions": Regions, "phrases": Phrases}


@dataclass(frozen=True, eq=False)
class Pack:
    """An opened pack.

    Attributes:
        path: the file.
        main: ``pixels (N, 3, S, S)`` or ``features (N, ...)``, a read-only memory map.
        dataset: the dataset in it.
        about: by which name it was read; of pictures also their ``fit`` and a hash of their files.
        checksums: ``(B, 32)`` bytes, SHA-256 of each 256 images.
    """

    path: Path
    main: np.memmap
    dataset: Dataset
    about: Mapping[str, Any]
    checksums: np.ndarray

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Pack:
        """Read all but pixels or features; safetensors compares the header with the length of the file.

        Raises:
            DataError: the file is missing, cut off, damaged or no pack.
        """
        path = Path(path).expanduser()
        try:
            if not path.is_file():  # a pipe would wait for a writer for ever
                raise ValueError("a folder" if path.is_dir() else "no such file")
            with safe_open(path, framework="numpy") as file:
                texts = file.metadata() or {}
                if texts.get("format") != FORMAT:
                    raise ValueError("a file of another kind")
                arrays = {key: file.get_tensor(key) for key in set(file.keys()) - {"pixels", "features"}}
                (name,) = set(file.keys()) - set(arrays)
                code, shape = file.get_slice(name).get_dtype(), tuple(file.get_slice(name).get_shape())
            if texts["sha256"] != _digest(arrays):
                raise ValueError("captions, splits or boxes that do not agree with their checksum")
            main = np.memmap(path, _CODES[code], "r", PAGE, shape)
            said, checksums = json.loads(arrays.pop("texts").tobytes()), arrays.pop("checksums")
            features = ImageFeatures((main,), np.arange(len(main))) if name == "features" else None
            dataset = _dataset(path, {**said["held"], **arrays}, features)
            for file in dataset.image_files:
                relative(file, "it")
            if features is None and shape != (dataset.n_images, 3, shape[-1], shape[-1]):
                raise ValueError(f"pixels of shape {shape}")
            return cls(path, main, dataset, dict(said["about"]), checksums)
        except _DAMAGE as error:
            raise DataError(
                f"{path}: expected a pack written by 'imtext data pack', found {error}; "
                "copy the file again, or pack the dataset again"
            ) from None

    @property
    def size(self) -> int:
        """Side of the pictures in pixels; 0 in a pack of features."""
        return self.main.shape[-1] if self.dataset.features is None else 0

    @cached_property
    def _row_of(self) -> dict[str, dict[str, int]]:
        names = ("image_ids", "image_files")
        return {by: {name: row for row, name in enumerate(getattr(self.dataset, by))} for by in names}

    def rows_of(self, names: Sequence[str], by: str = "image_ids") -> np.ndarray:
        """Rows ``(n,)`` of images, by their ids or file names. Raises DataError for others."""
        try:
            return np.array([self._row_of[by][name] for name in names], dtype=np.int64)
        except KeyError as other:
            hint = "open the pack that this dataset was read from"
            raise DataError(f"{self.path}: holds no image {other}; {hint}") from None

    def pictures(self, fit: str | None = None) -> np.memmap:
        """The pixels. Raises DataError in a pack of features, or of pictures with another fit."""
        own = self.about.get("fit")
        if not self.size or fit not in (None, own):
            held = f"images with fit={own!r}" if self.size else "features"
            raise DataError(f"{self.path}: holds {held}; pack the image files with --fit {fit or 'cover'}")
        return self.main

    def picture(self, row: int) -> Image.Image:
        """One picture, as Pillow has it."""
        return Image.fromarray(np.ascontiguousarray(self.pictures()[row].transpose(1, 2, 0)))

    def verify(self) -> None:
        """Compare every block of images with its checksum. Raises DataError, which names a damaged one."""
        row, count = self.main[0].nbytes, len(self.main)
        with open(self.path, "rb") as file:  # where a disk fails, reading a memory map ends the process
            file.seek(PAGE)
            for k, stated in enumerate(progress(self.checksums, f"verifying {self.path.name}")):
                first, last = k * ROWS, min((k + 1) * ROWS, count) - 1
                if hashlib.sha256(file.read((last + 1 - first) * row)).digest() != stated.tobytes():
                    where = f"{self.path}: block {k} (images {first} to {last})"
                    raise DataError(f"{where} does not agree with its checksum; copy or pack the file again")


@lru_cache(maxsize=8)
def _opened(path: Path, stamp: tuple[int, ...] | None) -> Pack:
    return Pack.open(path)


def opened(path: str | os.PathLike[str]) -> Pack:
    """As :meth:`Pack.open`, but read once as long as the file stays the same."""
    path = Path(path).expanduser().absolute()
    about = path.stat() if path.is_file() else None
    return _opened(path, about and (about.st_ino, about.st_size, about.st_mtime_ns))


def pack_of(dataset: Dataset) -> Pack | None:
    """The pack that a dataset was read from; None where its images are files in a folder."""
    return opened(dataset.image_root) if os.path.isfile(dataset.image_root) else None


def source_fingerprint(dataset: Dataset, size: int, fit: str) -> str:
    """Hash of the dataset's fingerprint, size, fit, and the files' lengths and times, to notice new files.

    A pack has no files: there the checksums of its pixels stand in their place.
    """
    pack = pack_of(dataset)
    source = stamps(dataset) if pack is None else f"{pack.size} ".encode() + pack.checksums.tobytes()
    return hashlib.sha256(f"{dataset.fingerprint()} {size} {fit} ".encode() + source).hexdigest()[:32]


def open_pack(path: str | os.PathLike[str], verify: bool = False) -> Dataset:
    """The dataset in a pack; its ``image_root`` is the file itself.

    Everything but pixels and features is read and checked. ``ImageStore.open`` and ``open_picture``
    (:mod:`imtext.data.images`) take the pictures from the file; ``dataset.features`` reads features through a
    memory map.

    Args:
        path: the file.
        verify: whether to compare all pixels or features with their checksums first.

    Raises:
        DataError: the file is missing, cut off, damaged or no pack.
    """
    pack = opened(path)
    if verify:
        pack.verify()
    return pack.dataset


def load_pack(name: str, path: str | os.PathLike[str]) -> Dataset:
    """The dataset in a pack, if it is the one that was asked for.

    Raises:
        DataError: as :func:`open_pack`, or the pack holds another dataset.
    """
    pack = opened(path)
    held, reader = pack.dataset.name, pack.about.get("reader")
    if name not in (held, reader):
        how = f"pass dataset={reader!r}, or another data_root"
        raise DataError(f"{path}: expected a pack of the dataset {name!r}, found one of {held!r}; {how}")
    return pack.dataset


def write_pack(
    dataset: Dataset,
    path: str | os.PathLike[str],
    size: int = 256,
    fit: str = "cover",
    on_corrupt: str = "raise",
    n_jobs: int | None = None,
    reader: str | None = None,
) -> Path:
    """Write a dataset into one file: its features where it has some, otherwise its decoded images.

    The file is written under another name, read back and compared with its checksums, and renamed, behind a
    lock: nothing that is unfinished ever bears the name. A whole pack of the same files, size and fit that is
    there already is left as it is; any other file of that name is replaced.

    Args:
        dataset: whose images, captions, splits, groups, boxes, phrases, scenes and notes.
        path: the file; its folder is made if absent.
        size: side of the stored pictures in pixels.
        fit: ``"cover"`` crops the centre, ``"squash"`` keeps the whole picture
            (see :func:`imtext.data.images.decode`).
        on_corrupt: ``"raise"`` names the first image that cannot be decoded; ``"skip"`` leaves such images
            out, with their captions, and adds a note.
        n_jobs: decoding threads; default: the cores of this process.
        reader: by which name :func:`imtext.data.load_dataset` read it, if that is not the dataset's own.

    Raises:
        DataError: an image is missing or cannot be decoded, the disk is too full, or the file cannot be read
            back.
        ConfigError: a parameter is out of range.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (40, 20), "red").save(root / "a.png")
    >>> one = Dataset("one", root, ("a.png",), ("a",), ("a red field",), np.array([0]), np.array(["train"]),
    ...               np.array([0]))
    >>> packed = open_pack(write_pack(one, root / "one.safetensors", size=8))
    >>> packed.captions, packed.image_root.name
    (('a red field',), 'one.safetensors')
    """
    size, path = whole("size", size), Path(path).expanduser()
    one_of("fit", fit, FITS)
    one_of("on_corrupt", on_corrupt, ("raise", "skip"))
    if os.path.isdir(path):
        raise DataError(f"{path}: expected a file, found a folder; add a name such as pack.safetensors")
    about = {"reader": reader or dataset.name, "parts": _digest(_arrays(dataset))}
    if dataset.features is None:
        about |= {"size": size, "fit": fit, "source": source_fingerprint(dataset, size, fit)}
    skipped = [] if on_corrupt == "skip" else None
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if dataset.features is not None or not _is_there(path, about):
                _write(path, dataset, about, n_jobs, skipped)
    return path


def _is_there(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether a whole pack of the same pictures and captions is there."""
    with suppress(DataError):
        pack = Pack.open(path)
        pack.verify()
        return pack.about == about
    return False


def _write(path: Path, dataset: Dataset, about: dict, n_jobs: int | None, skipped: list | None) -> None:
    features, pack, code = dataset.features, pack_of(dataset), "U8"
    if features is None:
        size, fit = about["size"], about["fit"]

        def square(i: int) -> np.ndarray:
            if pack is None:
                return decode_file(dataset.image_path(i), size, fit)
            return as_square(pack.picture(pack.rows_of([dataset.image_ids[i]])[0]), size, fit)

        name, row, rows = "pixels", (3, size, size), squares(dataset, square, n_jobs, skipped)
    else:
        name, row = "features", features.shape[1:]
        rows = (features[[i]] for i in progress(range(dataset.n_images), f"packing {dataset.name}"))
        code = "F16" if all(part.dtype == np.float16 for part in features.parts) else "F32"
    need = dataset.n_images * math.prod(row) * np.dtype(_CODES[code]).itemsize
    if shutil.disk_usage(path.parent).free < need:
        raise OSError(f"{need / 1e9:,.2f} GB are needed, and not free")
    # Under the lock nobody else writes here: what bears this name was left by a killed process.
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(bytes(PAGE))
            sums = []
            while block := b"".join(one.astype(_CODES[code]).tobytes() for one in islice(rows, ROWS)):
                file.write(block)
                sums.append(hashlib.sha256(block).digest())
            kept = without(dataset, skipped or ())
            arrays = _arrays(kept, about)
            arrays["checksums"] = np.frombuffer(b"".join(sums), np.uint8).reshape(-1, 32)
            place = [0, file.tell() - PAGE]
            header = {name: {"dtype": code, "shape": [kept.n_images, *row], "data_offsets": place}}
            for key, array in arrays.items():
                begin = file.tell() - PAGE
                end = begin + file.write(array.tobytes())
                kind = "U8" if array.dtype == np.uint8 else "I64"
                header[key] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
            header["__metadata__"] = {"format": FORMAT, "sha256": _digest(arrays)}
            raw = json.dumps(header).encode().ljust(PAGE - 8)
            file.seek(0)
            file.write(len(raw).to_bytes(8, "little") + raw)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # so that reading back asks the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        Pack.open(partial).verify()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _dataset(path: Path, held: Mapping[str, Any], features: ImageFeatures | None) -> Dataset:
    """The dataset of what `_arrays` took apart."""
    given: dict[str, dict[str, Any]] = {owner: {} for owner in ("", *_SPANS)}
    for key, value in held.items():
        owner, _, name = key.rpartition(".")
        given[owner][name] = tuple(value) if isinstance(value, list) else value
    spans = {name: kind(**given[name]) for name, kind in _SPANS.items() if given[name]}
    return Dataset(image_root=path, features=features, **given[""], **spans)


def _arrays(dataset: Dataset, about: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Everything of a dataset but its features: numbers as arrays, the rest as one JSON text in bytes."""
    arrays, texts = {}, {}
    for owner, one in {"": dataset, **{f"{name}.": getattr(dataset, name) for name in _SPANS}}.items():
        for field in fields(one) if one is not None else ():
            value = getattr(one, field.name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "i":
                arrays[owner + field.name] = value.astype("<i8")
            elif field.name not in ("image_root", "features", *_SPANS):
                texts[owner + field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    raw = json.dumps({"about": about, "held": texts}).encode()
    return {**arrays, "texts": np.frombuffer(raw, np.uint8)}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape};".encode() + arrays[name].tobytes())
    return digest.hexdigest()
