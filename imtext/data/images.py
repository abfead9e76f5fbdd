"""Photographs decoded once: a memory-mapped uint8 array beside which no epoch reads a JPEG again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.lib import format as npy
from PIL import Image

from imtext.data.dataset import Dataset
from imtext.data.decoding import open_image, upright_rgb
from imtext.data.pack_file import PackFile, cached_pack, packed_picture
from imtext.errors import ConfigError, DataError
from imtext.progress import progress

VERSION = 2
_CHUNK = 256
_ON_CORRUPT = ("raise", "skip")
_FITS = ("cover", "squash")


def decode(path: str | os.PathLike[str], size: int, fit: str = "cover") -> np.ndarray:
    """One photograph as uint8 ``(3, size, size)``, anti-aliased.

    ``fit="cover"`` brings the short side to ``size`` and crops the centre; ``fit="squash"`` resizes the whole
    picture, whatever its shape: a person photographed head to foot keeps both (CUHK-PEDES is given at
    256 × 256 in the Instance Loss paper). A smaller picture is enlarged, bicubic. The path of a picture in a
    pack (:func:`imtext.data.pack.write_pack`) works too.

    Raises:
        DataError: the file is missing or Pillow cannot read it; a pack holds another fit.
        ConfigError: another ``fit``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "red.png")
    >>> Image.new("RGB", (40, 20), "red").save(path)
    >>> decode(path, 8)[:, 0, 0]
    array([255,   0,   0], dtype=uint8)
    """
    _check_fit(fit)
    pixels, reason = _decode_or_none(Path(path), size, fit)
    if pixels is None:
        raise DataError(f"{path}: expected an image, found: {reason}; replace the file")
    return pixels


def open_picture(dataset: Dataset, i: int) -> Image.Image:
    """Image ``i`` as an upright RGB picture of Pillow: the whole file, or the square that a pack holds.

    Raises:
        DataError: the file is missing or Pillow cannot read it, or the pack holds features only.
    """
    return read_picture(dataset.image_path(i))


def read_picture(path: str | os.PathLike[str]) -> Image.Image:
    """A picture by its path, as ``Dataset.image_path`` gives it, also where that leads into a pack.

    Raises:
        DataError: as for :func:`open_picture`.
    """
    packed = packed_picture(Path(path))
    if packed is not None:
        pack, row = packed
        return Image.fromarray(np.ascontiguousarray(pack.pictures()[row].transpose(1, 2, 0)))
    try:
        with open_image(path) as image:
            return upright_rgb(image)
    except Exception as error:  # as for decode
        reason = f"{type(error).__name__}: {error}".replace(str(path), Path(path).name)
        raise DataError(f"{path}: expected an image, found: {reason}; replace the file") from None


def _check_fit(fit: str) -> None:
    if fit not in _FITS:
        raise ConfigError(f"fit={fit!r}: expected one of {_FITS}")


def check_form(size: int, fit: str, on_corrupt: str) -> int:
    """``size`` as an int; ConfigError where one of the three is out of range."""
    if on_corrupt not in _ON_CORRUPT:
        raise ConfigError(f"on_corrupt={on_corrupt!r}: expected one of {_ON_CORRUPT}")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ConfigError(f"size={size!r}: expected a number of pixels, at least 1")
    _check_fit(fit)
    return int(size)


def _read(path: Path, size: int, fit: str) -> np.ndarray:
    try:
        opened = open_image(path)
    except (FileNotFoundError, NotADirectoryError):
        packed = packed_picture(path)
        if packed is None:
            raise
        pack, row = packed
        return pack.resized(row, size, fit)
    with opened as image:
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that still leaves twice the wanted size.
        image.draft("RGB", (2 * size, 2 * size))
        photo = upright_rgb(image)
    return as_square(photo, size, fit)


def as_square(photo: Image.Image, size: int, fit: str = "cover") -> np.ndarray:
    """An upright RGB picture of Pillow as :func:`decode` gives a file, uint8 ``(3, size, size)``."""
    width, height = photo.size if fit == "squash" else (min(photo.size),) * 2
    left, top = (photo.width - width) / 2, (photo.height - height) / 2
    box = (left, top, left + width, top + height)
    square = photo.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def _decode_or_none(path: Path, size: int, fit: str) -> tuple[np.ndarray | None, str]:
    """The pixels, or None with the reason why the file cannot be read."""
    try:
        return _read(path, size, fit), ""
    except DataError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything on a broken file
        return None, f"{type(error).__name__}: {error}".replace(str(path), path.name)


def _form(size: int, fit: str) -> str:
    """Size and fit as a word; the default fit goes unnamed, so that stores made before still fit."""
    return str(size) if fit == _FITS[0] else f"{size}-{fit}"


def pack_of(dataset: Dataset) -> PackFile | None:
    """The pack that a dataset was read from; None where its images are files in a folder."""
    return cached_pack(dataset.image_root) if os.path.isfile(dataset.image_root) else None


def source_fingerprint(dataset: Dataset, size: int, fit: str) -> str:
    """Hash of the dataset's fingerprint, size, fit, and the files' lengths and times, to notice new files.

    A pack has no files: there the checksums of its pixels stand in their place.
    """
    digest = hashlib.sha256(f"{VERSION} {dataset.fingerprint()} {_form(size, fit)}".encode())
    pack = pack_of(dataset)
    if pack is not None:
        digest.update(f" pack {pack.size} {pack.digest}".encode())
        return digest.hexdigest()[:32]
    for i, file in enumerate(dataset.image_files):
        path = dataset.image_path(i)
        try:
            about = path.stat()
        except OSError as error:
            raise DataError(
                f"{path}: expected an image, found: {error.strerror or error}; fetch it or correct data_root"
            ) from None
        digest.update(f"{file}\0{about.st_size} {about.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class ImageStore:
    """All images of a dataset as uint8 at one size, memory-mapped, in the order of the dataset.

    Attributes:
        pixels: ``(P, 3, size, size)`` uint8, read-only memory map; P = N but where ``rows`` is given.
        size: side in pixels.
        fingerprint: 32 hex digits over the dataset's fingerprint, the size, the fit, and the files' lengths
            and times; for a pack over the checksums of its pixels, wherever the pack lies.
        skipped: names of the files that could not be decoded; their pixels are black.
        fit: ``"cover"`` or ``"squash"``, see :func:`decode`.
        rows: ``(N,)`` int64, where the images lie in ``pixels``; None where image ``i`` is row ``i``.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (40, 20), "red").save(root / "a.png")
    >>> one = Dataset("one", root, ("a.png",), ("a",), ("a red field",), np.array([0]), np.array(["train"]),
    ...               np.array([0]))
    >>> store = ImageStore.open(one, size=8, cache_dir=root / "cache")
    >>> store.batch([0]).shape
    torch.Size([1, 3, 8, 8])
    """

    pixels: np.memmap
    size: int
    fingerprint: str
    skipped: tuple[str, ...] = ()
    fit: str = "cover"
    rows: np.ndarray | None = None

    @classmethod
    def open(
        cls,
        dataset: Dataset,
        size: int,
        cache_dir: str | os.PathLike[str],
        on_corrupt: str = "raise",
        n_jobs: int | None = None,
        fit: str = "cover",
    ) -> ImageStore:
        """Open the store of ``dataset``, decoding the images first if that has not been done.

        The store is written under another name and renamed when complete, behind a lock: two processes may
        open it at once, and a process killed half-way leaves nothing that is mistaken for a store.

        A dataset read from a pack (:func:`imtext.data.pack.open_pack`) has the pixels of the pack, at its
        size without a copy. Another size is resized from them, so twice in all, and stored.

        Args:
            dataset: whose images.
            size: side in pixels, at least 1.
            cache_dir: folder for the store; made if absent.
            on_corrupt: ``"raise"`` names the first file that cannot be decoded; ``"skip"`` leaves it
                black and lists it in ``skipped`` (see :meth:`dataset_without_skipped`).
            n_jobs: decoding threads; default: the cores of this process.
            fit: ``"cover"`` crops the centre, ``"squash"`` keeps the whole picture (see :func:`decode`).

        Raises:
            DataError: an image is missing, or cannot be decoded, or the disk is full; a pack holds features
                or another fit.
            ConfigError: a parameter is out of range.
        """
        size = check_form(size, fit, on_corrupt)
        pack = pack_of(dataset)
        if pack is not None:
            pack.check_fit(fit)
        fingerprint = source_fingerprint(dataset, size, fit)
        if pack is not None and pack.size == size:
            return _of_pack(pack, dataset, fingerprint)
        folder = Path(cache_dir).expanduser() / f"images-{_form(size, fit)}-{fingerprint}"
        store = _load(folder, dataset, size, fit, fingerprint)
        if store is None:
            store = _build_locked(folder, dataset, size, fit, fingerprint, on_corrupt, n_jobs)
        if store.skipped and on_corrupt == "raise":
            raise _corrupt(dataset.image_root / store.skipped[0], "could not be decoded", len(store.skipped))
        return store

    def __len__(self) -> int:
        return len(self.pixels if self.rows is None else self.rows)

    def batch(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """Images ``indices (B,)`` as a torch uint8 tensor ``(B, 3, size, size)``, a copy in memory."""
        chosen = np.asarray(indices, dtype=np.int64)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise DataError(
                f"the store holds images 0 to {len(self) - 1}, asked for {chosen.min()} to {chosen.max()}"
            )
        if self.rows is not None:
            chosen = self.rows[chosen]
        return torch.from_numpy(np.asarray(self.pixels[chosen]))

    def dataset_without_skipped(self, dataset: Dataset) -> Dataset:
        """``dataset`` without the images this store skipped, renumbered, with a note.

        Open a store of the result: its rows are then numbered like the result's images. Without skipped
        images the dataset itself comes back.
        """
        return without(dataset, self.skipped)


def without(dataset: Dataset, skipped: Sequence[str]) -> Dataset:
    """``dataset`` without the image files ``skipped``, renumbered, with a note; itself where there are none.

    Raises:
        DataError: nothing would be left.
    """
    if not skipped:
        return dataset
    bad = set(skipped)
    kept = [i for i, file in enumerate(dataset.image_files) if file not in bad]
    if not kept:
        raise DataError(f"{dataset.image_root}: none of the {dataset.n_images} images can be decoded")
    gone = dataset.n_images - len(kept)
    names = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    note = f"{gone} images cannot be decoded ({names}): dropped with their captions"
    return replace(dataset.take(kept), notes=(*dataset.notes, note))


def _of_pack(pack: PackFile, dataset: Dataset, fingerprint: str) -> ImageStore:
    """A view of the pack's own memory map; neighbouring rows in their order need no index."""
    rows = pack.rows_of(dataset.image_ids)
    if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return ImageStore(pack.main[rows[0] : rows[0] + len(rows)], pack.size, fingerprint, (), pack.fit)
    return ImageStore(pack.main, pack.size, fingerprint, (), pack.fit, rows)


def _corrupt(path: Path, reason: str, count: int = 1) -> DataError:
    others = f" ({count} such files)" if count > 1 else ""
    return DataError(
        f"{path}: expected an image{others}, found: {reason}; replace the file, or pass on_corrupt='skip'"
    )


def _load(folder: Path, dataset: Dataset, size: int, fit: str, fingerprint: str) -> ImageStore | None:
    """The finished store in ``folder``; None if it is absent or damaged."""
    try:
        about = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        skipped, known = tuple(about["skipped"]), about["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = pixels.shape == (dataset.n_images, 3, size, size) and pixels.dtype == np.uint8
    if not fits or known != fingerprint:
        return None
    return ImageStore(pixels, size, fingerprint, skipped, fit)


def _build_locked(
    folder: Path,
    dataset: Dataset,
    size: int,
    fit: str,
    fingerprint: str,
    on_corrupt: str,
    n_jobs: int | None,
) -> ImageStore:
    partial_folder = folder.with_name(folder.name + ".partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            store = _load(folder, dataset, size, fit, fingerprint)
            if store is not None:
                return store
            # Under the lock nobody else writes here: what lies there was left by a killed process.
            for leftover in (partial_folder, folder):
                shutil.rmtree(leftover, ignore_errors=True)
            partial_folder.mkdir()
            try:
                pixels = partial_folder / "pixels.npy"
                skipped = _write_pixels(pixels, dataset, size, fit, on_corrupt, n_jobs)
                about = {"version": VERSION, "fingerprint": fingerprint, "skipped": skipped}
                (partial_folder / "store.json").write_text(json.dumps(about), encoding="utf-8")
                os.replace(partial_folder, folder)
            finally:
                shutil.rmtree(partial_folder, ignore_errors=True)
    except OSError as error:
        need = dataset.n_images * 3 * size * size / 1e6
        raise DataError(
            f"cache_dir={folder.parent}: cannot write the image store of {need:,.0f} MB, found: "
            f"{error.strerror or error}; free space or choose another cache_dir"
        ) from None
    store = _load(folder, dataset, size, fit, fingerprint)
    if store is None:
        raise DataError(f"{folder}: the image store cannot be read back; delete the folder and try again")
    return store


def _write_pixels(
    path: Path, dataset: Dataset, size: int, fit: str, on_corrupt: str, n_jobs: int | None
) -> list[str]:
    """Write the .npy file front to back (a full disk is an error, not a bus error); the skipped files."""
    skipped = []
    black = bytes(3 * size * size)
    header = {"descr": "|u1", "fortran_order": False, "shape": (dataset.n_images, 3, size, size)}
    with open(path, "wb") as file:
        npy.write_array_header_1_0(file, header)
        for i, pixels in enumerate(decode_all(dataset, size, fit, on_corrupt, n_jobs)):
            if pixels is None:
                skipped.append(dataset.image_files[i])
            file.write(black if pixels is None else pixels.data)
        file.flush()
        os.fsync(file.fileno())
    return skipped


def decode_all(
    dataset: Dataset, size: int, fit: str, on_corrupt: str, n_jobs: int | None
) -> Iterator[np.ndarray | None]:
    """The pixels of every image in order, with progress; None for what cannot be decoded and is skipped."""
    decoded = in_threads(partial(_decode_or_none, size=size, fit=fit), dataset, n_jobs)
    for i, (pixels, reason) in enumerate(progress(decoded, f"decoding {dataset.name}", dataset.n_images)):
        if pixels is None and on_corrupt == "raise":
            raise _corrupt(dataset.image_path(i), reason)
        yield pixels


def in_threads(
    function: Callable[[Path], tuple[np.ndarray | None, str]], dataset: Dataset, n_jobs: int | None
) -> Iterator[tuple[np.ndarray | None, str]]:
    """Results in order, a chunk at a time, so that memory stays bounded. Pillow decodes without the GIL."""
    jobs = (
        n_jobs or len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else n_jobs or os.cpu_count()
    )
    paths = [dataset.image_path(i) for i in range(dataset.n_images)]
    with ThreadPoolExecutor(max(1, jobs or 1)) as pool:
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(function, paths[start : start + _CHUNK])
