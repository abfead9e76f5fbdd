"""A dataset in one file: pixels at one size, or features, with captions, splits, boxes and checksums.

:func:`write_pack` decodes every image once and streams it into a file that the ``safetensors`` library can
open too; :func:`open_pack` reads it back as a Dataset whose ``image_root`` is the file. Boxes stay in pixels
of the original image files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from imtext.data.dataset import SPLITS, Dataset, Phrases, Regions
from imtext.data.features import ImageFeatures
from imtext.data.images import check_form, decode_all, source_fingerprint, without
from imtext.data.pack_file import PackFile, Rest, entries_of, room_for_header, write_stream
from imtext.data.pack_header import FORMAT, VERSION, damaged
from imtext.errors import DataError
from imtext.progress import progress

__all__ = ["load_pack", "open_pack", "verify_pack", "write_pack"]

_ROWS = 256  # rows of features read at once


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
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (40, 20), "red").save(root / "a.png")
    >>> one = Dataset("one", root, ("a.png",), ("a",), ("a red field",), np.array([0]), np.array(["train"]),
    ...               np.array([0]))
    >>> packed = open_pack(write_pack(one, root / "one.safetensors", size=8))
    >>> packed.captions, packed.image_root.name
    (('a red field',), 'one.safetensors')
    """
    size, path = check_form(size, fit, on_corrupt), Path(os.path.expanduser(path))
    if os.path.isdir(path) or "\0" in str(path):
        raise DataError(
            f"{path}: expected the name of a file, found a folder; add a name such as pack.safetensors"
        )
    job = _Job(dataset, path, size, fit, on_corrupt, n_jobs, reader or dataset.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not job.done():
                job.write()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise DataError(
            f"{path}: cannot write the pack of {job.need / 1e9:,.2f} GB, found: "
            f"{getattr(error, 'strerror', None) or error}; free space or choose another place"
        ) from None
    return path


def open_pack(path: str | os.PathLike[str], verify: bool = False) -> Dataset:
    """The dataset in a pack; its ``image_root`` is the file itself.

    The header and everything but pixels and features is read and checked. ``ImageStore.open`` and
    ``open_picture`` (:mod:`imtext.data.images`) take the pictures from the file; ``dataset.features`` reads
    features through a memory map.

    Args:
        path: the file.
        verify: whether to compare all pixels or features with their checksums first.

    Raises:
        DataError: the file is missing, cut off, damaged, forged or no pack.
    """
    pack = PackFile.read(path)
    if verify:
        pack.verify()
    try:
        dataset = _dataset(pack)
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(pack.path)) else f"{pack.path}: {text}") from None
    if _fingerprint(dataset) != pack.header.texts["fingerprint"]:
        raise damaged(pack.path, "a dataset with another fingerprint than stated")
    return dataset


def verify_pack(path: str | os.PathLike[str]) -> Dataset:
    """Compare everything in a pack with its checksums, block by block, and return its dataset.

    Raises:
        DataError: names the first block of images that is damaged, or what else is.
    """
    return open_pack(path, verify=True)


def load_pack(name: str, path: str | os.PathLike[str]) -> Dataset:
    """The dataset in a pack, if it is the one that was asked for.

    Raises:
        DataError: as :func:`open_pack`, or the pack holds another dataset.
    """
    texts = PackFile.read(path).header.texts
    if name not in (texts["name"], texts["reader"]):
        raise DataError(
            f"{path}: expected a pack of the dataset {name!r}, found one of {texts['name']!r}; "
            f"pass dataset={texts['reader']!r}, or another data_root"
        )
    return open_pack(path)


@dataclass
class _Job:
    """One pack to be written."""

    dataset: Dataset
    path: Path
    size: int
    fit: str
    on_corrupt: str
    n_jobs: int | None
    reader: str
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        features = self.dataset.features
        if features is None:
            self.main = ("pixels", np.dtype("u1"), (3, self.size, self.size))
            self.source = source_fingerprint(self.dataset, self.size, self.fit)
        else:
            half = all(part.dtype == np.float16 for part in features.parts)
            self.main = ("features", np.dtype("<f2" if half else "<f4"), features.shape[1:])
            self.source = ""
        name, dtype, row = self.main
        self.whole = self.rest(self.dataset)
        self.entries = entries_of((name, dtype, (self.dataset.n_images, *row)), self.whole[0])
        self.need = max(entry.end for entry in self.entries.values())

    def rest(self, dataset: Dataset) -> Rest:
        texts = {
            "format": FORMAT,
            "version": str(VERSION),
            "name": dataset.name,
            "reader": self.reader,
            "edition": dataset.edition,
            "fingerprint": _fingerprint(dataset),
            "source": self.source,
            "skipped": str(len(self.skipped)),
            "notes": json.dumps(dataset.notes),
            "sha256": "",
        }
        if self.main[0] == "pixels":
            texts |= {"size": str(self.size), "fit": self.fit}
        return _arrays(dataset, self.skipped), texts

    def done(self) -> bool:
        """Whether a whole pack of the same files is there."""
        try:
            texts = PackFile.read(self.path).header.texts
            same = {key: texts[key] for key in ("name", "reader", "source", "notes")}
            wanted = {key: self.whole[1][key] for key in same}
            if not self.source or same != wanted:
                return False
            verify_pack(self.path)
        except DataError:
            return False
        return True

    def write(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < self.need:
            raise DataError(
                f"{self.path}: the pack needs {self.need / 1e9:,.2f} GB, found {free / 1e9:,.2f} GB free; "
                "free space, choose another place or a smaller size"
            )
        names = sorted(self.dataset.image_files, key=len)[-3:]
        spare = 1024 + 12 * sum(len(name) for name in names) * (self.on_corrupt == "skip")
        room = room_for_header(self.whole[1], self.entries, spare)
        # Under the lock nobody else writes here: what bears this name was left by a killed process.
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with open(partial, "wb", buffering=1 << 20) as file:
                write_stream(file, room, self.main, self._rows(), self._finished)
                _forget(file.fileno())
            try:
                verify_pack(partial)
            except DataError as error:
                raise DataError(f"{self.path}: what was written reads back wrong ({error})") from None
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)

    def _rows(self) -> Iterator[np.ndarray]:
        features, n_images = self.dataset.features, self.dataset.n_images
        if features is not None:
            starts = range(0, n_images, _ROWS)
            for start in progress(starts, f"packing {self.dataset.name}", len(starts)):
                yield from features[range(start, min(start + _ROWS, n_images))]
            return
        decoded = decode_all(self.dataset, self.size, self.fit, self.on_corrupt, self.n_jobs)
        for i, pixels in enumerate(decoded):
            if pixels is None:
                self.skipped.append(self.dataset.image_files[i])
            else:
                yield pixels

    def _finished(self, count: int) -> Rest:
        return self.rest(without(self.dataset, self.skipped)) if self.skipped else self.whole


def _fingerprint(dataset: Dataset) -> str:
    """The dataset's fingerprint without its features, which have other rows in a pack, and checksums."""
    return (
        dataset.fingerprint() if dataset.features is None else replace(dataset, features=None).fingerprint()
    )


def _forget(descriptor: int) -> None:
    """Drop the file from memory where the system can, so that reading it back asks the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _arrays(dataset: Dataset, skipped: Sequence[str]) -> dict[str, np.ndarray]:
    """Everything of a dataset but pixels and features."""
    arrays = {
        "image_of_caption": dataset.image_of_caption,
        "group_of_image": dataset.group_of_image,
        "split_of_image": np.array([SPLITS.index(name) for name in dataset.split_of_image], dtype=np.int8),
        **_strings("captions", dataset.captions),
        **_strings("image_ids", dataset.image_ids),
        **_strings("image_files", dataset.image_files),
        **_strings("skipped_files", skipped),
    }
    regions, phrases = dataset.regions, dataset.phrases
    if regions is not None:
        arrays |= {"boxes": regions.boxes, "image_of_region": regions.image_of_region}
        arrays["region_chain"] = regions.chain
    if phrases is not None:
        arrays |= {
            f"phrase_{name}": getattr(phrases, name) for name in ("caption", "start", "stop", "chain")
        }
        arrays |= _strings("phrase_words", phrases.words) | _strings("phrase_types", phrases.type)
    if dataset.scenes is not None:
        try:
            arrays |= _strings("scenes", [json.dumps(scene) for scene in dataset.scenes])
        except (TypeError, ValueError) as error:
            raise DataError(
                f"dataset {dataset.name}: a scene is no JSON ({error}); correct the scene"
            ) from None
    return {name: array if array.itemsize == 1 else array.astype("<i8") for name, array in arrays.items()}


def _strings(name: str, values: Sequence[str]) -> dict[str, np.ndarray]:
    """Strings as UTF-8 end to end, and where each begins and the last ends."""
    raw = [value.encode("utf-8", "surrogatepass") for value in values]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(raw), np.uint8), f"{name}_offsets": offsets}


def _dataset(pack: PackFile) -> Dataset:
    """The Dataset whose arrays a pack holds."""
    held, count = pack.header.entries, pack.header.count
    codes = pack.array("split_of_image")
    if codes.min() < 0 or codes.max() >= len(SPLITS):
        raise damaged(pack.path, f"a split that is none of {SPLITS}")
    regions = phrases = features = None
    if "boxes" in held:
        regions = Regions(*(pack.array(name) for name in ("boxes", "image_of_region", "region_chain")))
    if "phrase_words" in held:
        caption, start, stop, chain = (
            pack.array(f"phrase_{name}") for name in ("caption", "start", "stop", "chain")
        )
        words, types = pack.strings("phrase_words"), pack.strings("phrase_types")
        phrases = Phrases(caption, start, stop, words, chain, types)
    if pack.header.main == "features":
        features = ImageFeatures((pack.main,), np.arange(count))
    return Dataset(
        pack.header.texts["name"],
        pack.path,
        pack.strings("image_files"),
        pack.strings("image_ids"),
        pack.strings("captions"),
        pack.array("image_of_caption"),
        np.array(SPLITS)[codes],
        pack.array("group_of_image"),
        pack.header.notes,
        regions,
        phrases,
        _scenes(pack) if "scenes" in held else None,
        features,
        pack.header.texts.get("edition", ""),
    )


def _scenes(pack: PackFile) -> list[dict[str, Any]]:
    texts = pack.strings("scenes")
    try:
        scenes = [json.loads(text) for text in texts]
    except (ValueError, RecursionError):
        scenes = []
    if len(scenes) != pack.header.count or not all(isinstance(scene, dict) for scene in scenes):
        raise damaged(pack.path, "scenes that are no JSON objects")
    return scenes
