"""The file of a pack: opened with every number checked, read through a memory map, written front to back."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from imtext.data.pack_header import (
    BLOCK,
    DTYPES,
    MAX_HEADER,
    PAGE,
    Entry,
    Header,
    damaged,
    dump_header,
    parse_header,
)
from imtext.errors import DataError
from imtext.progress import progress

_CODES = {dtype.str.lstrip("|"): code for code, dtype in DTYPES.items()}
_PIECE = 1 << 24  # bytes read at once where something is only checked


@dataclass(frozen=True, eq=False)
class PackFile:
    """An opened pack: a checked header, and arrays that are read when asked for.

    Attributes:
        path: the file.
        header: its checked header.
        stamp: inode, length and time of the file when its header was read.
    """

    path: Path
    header: Header
    stamp: tuple[int, int, int]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> PackFile:
        """Read and check the header.

        Raises:
            DataError: the file is missing, cut off, forged or no pack.
        """
        path = Path(os.path.expanduser(path))
        with _reading(path) as file:
            about = os.fstat(file.fileno())
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or not 2 <= length <= about.st_size - 8:
                raise damaged(path, f"{about.st_size:,} bytes that do not begin with the length of a header")
            if length > MAX_HEADER:
                raise damaged(path, f"a header of {length:,} bytes, more than {MAX_HEADER:,}")
            raw = file.read(length)
            if len(raw) < length:
                raise damaged(path, "a file that was cut off while it was read")
            header = parse_header(raw, path, about.st_size - 8 - length)
            return cls(path, header, _stamp(about))

    @property
    def size(self) -> int:
        """Side of the pictures in pixels; 0 in a pack of features."""
        return self.header.entries["pixels"].shape[-1] if self.header.main == "pixels" else 0

    @property
    def fit(self) -> str:
        """How the pictures became square; empty in a pack of features."""
        return self.header.texts["fit"] if self.header.main == "pixels" else ""

    @cached_property
    def main(self) -> np.memmap:
        """``pixels (N, 3, S, S)`` or ``features (N, ...)``, a read-only memory map."""
        entry = self.header.entries[self.header.main]
        with self._open() as file:
            return np.memmap(file, DTYPES[entry.dtype], "r", self.header.start + entry.begin, entry.shape)

    def pictures(self) -> np.memmap:
        """The pixels; DataError in a pack of features."""
        if self.header.main != "pixels":
            raise DataError(
                f"{self.path}: expected a pack of pictures, found one of features; pack the image files"
            )
        return self.main

    def check_fit(self, fit: str) -> None:
        """DataError unless pictures with ``fit`` can be had from this pack."""
        self.pictures()
        if self.fit != fit:
            raise DataError(
                f"{self.path}: holds pictures with fit={self.fit!r}, asked for fit={fit!r}; "
                f"ask for {self.fit!r}, or pack the dataset again with --fit {fit}"
            )

    def resized(self, row: int, size: int, fit: str) -> np.ndarray:
        """One picture ``(3, size, size)``, a copy; resized where it is packed at another size."""
        self.check_fit(fit)
        pixels = self.main[row]
        if size == self.size:
            return np.array(pixels)
        whole = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        square = whole.resize((size, size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))

    def array(self, name: str) -> np.ndarray:
        """A small array, read whole and compared with its checksum."""
        entry = self.header.entries[name]
        with self._open() as file:
            file.seek(self.header.start + entry.begin)
            raw = file.read(entry.end - entry.begin)
        if len(raw) < entry.end - entry.begin or hashlib.sha256(raw).hexdigest() != self.header.digests[name]:
            raise damaged(self.path, f"array {name!r} that does not agree with its checksum")
        return np.frombuffer(raw, DTYPES[entry.dtype]).reshape(entry.shape)

    def strings(self, name: str) -> tuple[str, ...]:
        """The strings of ``name`` and ``name_offsets``."""
        raw, offsets = self.array(name).tobytes(), self.array(f"{name}_offsets")
        if offsets[0] != 0 or offsets[-1] != len(raw) or (offsets[1:] < offsets[:-1]).any():
            raise damaged(self.path, f"offsets of {name!r} out of order")
        ends = offsets.tolist()
        try:
            parts = zip(ends, ends[1:], strict=False)
            return tuple(raw[a:b].decode("utf-8") for a, b in parts)
        except UnicodeDecodeError:
            raise damaged(self.path, f"{name!r} that are not UTF-8") from None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the checksums of the blocks: equal where all pixels or features are."""
        return hashlib.sha256(self.array("checksums").tobytes()).hexdigest()

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.strings("image_ids"))}

    @cached_property
    def _row_of_file(self) -> dict[str, int]:
        return {str(PurePosixPath(name)): row for row, name in enumerate(self.strings("image_files"))}

    def rows_of(self, image_ids: Sequence[str]) -> np.ndarray:
        """Row of each image ``(n,)`` int64."""
        try:
            return np.array([self._row_of_id[name] for name in image_ids], dtype=np.int64)
        except KeyError as error:
            raise DataError(
                f"{self.path}: holds no image {error.args[0]!r} ({len(self._row_of_id):,} others); "
                "open the pack that this dataset was read from"
            ) from None

    def row_of_file(self, name: str) -> int:
        """Row of an image file."""
        row = self._row_of_file.get(name)
        if row is None:
            raise DataError(
                f"{self.path}: holds no image file {name!r}; expected a name of the packed dataset"
            )
        return row

    def verify(self) -> None:
        """Compare every array and every block of images with its checksum, by plain reads, with progress.

        Raises:
            DataError: names the first damaged block, its images, and how many blocks are damaged.
        """
        for name in self.header.digests:
            self.array(name)
        stated = self.array("checksums")
        found = list(progress(self._block_digests(), f"verifying {self.path.name}", len(stated)))
        bad = [k for k, digest in enumerate(found) if digest != stated[k].tobytes()]
        if bad:
            first, last = bad[0] * BLOCK, min((bad[0] + 1) * BLOCK, self.header.count) - 1
            files = self.strings("image_files")
            others = f", {len(bad)} of {len(found)} blocks in all" if len(bad) > 1 else ""
            raise DataError(
                f"{self.path}: block {bad[0]} (images {first} to {last}, {files[first]} to {files[last]}) "
                f"does not agree with its checksum{others}; copy the file again, or pack the dataset again"
            )

    def _block_digests(self) -> Iterator[bytes]:
        entry = self.header.entries[self.header.main]
        row = (entry.end - entry.begin) // entry.shape[0]
        with self._open() as file:
            file.seek(self.header.start + entry.begin)
            for start in range(0, entry.shape[0], BLOCK):
                digest, left = hashlib.sha256(), row * min(BLOCK, entry.shape[0] - start)
                while left:
                    piece = file.read(min(left, _PIECE))
                    if not piece:
                        raise damaged(self.path, "a file that was cut off while it was read")
                    digest.update(piece)
                    left -= len(piece)
                yield digest.digest()

    def _open(self) -> IO[bytes]:
        """The file again, if it is still the one whose header was read."""
        file = _reading(self.path)
        if _stamp(os.fstat(file.fileno())) != self.stamp:
            file.close()
            raise DataError(f"{self.path}: the pack was replaced while it was in use; open the dataset again")
        return file


def _stamp(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_size, about.st_mtime_ns


def _reading(path: Path) -> IO[bytes]:
    try:
        # A pipe would wait for a writer for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise damaged(path, "a folder" if os.path.isdir(path) else "no regular file")
        return open(path, "rb")
    except DataError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: expected a pack, found: {reason}; give the path of a pack") from None


def cached_pack(path: str | os.PathLike[str]) -> PackFile:
    """The pack at ``path``; its header and names are read once as long as the file stays the same."""
    path = Path(path).absolute()
    with _reading(path) as file:
        return _cached(str(path), _stamp(os.fstat(file.fileno())))


@lru_cache(maxsize=8)
def _cached(path: str, stamp: tuple[int, int, int]) -> PackFile:
    return PackFile.read(path)


def packed_picture(path: Path) -> tuple[PackFile, int] | None:
    """Pack and row where ``path`` leads into a pack (``photos.safetensors/a.jpg``), else None."""
    for parent in path.parents:
        if os.path.isfile(parent):
            pack = cached_pack(parent)
            return pack, pack.row_of_file(path.relative_to(parent).as_posix())
    return None


Rest = tuple[Mapping[str, np.ndarray], Mapping[str, str]]


def entries_of(
    main: tuple[str, np.dtype, tuple[int, ...]], arrays: Mapping[str, np.ndarray]
) -> dict[str, Entry]:
    """Where everything lies: the main array ``(name, dtype, shape)``, then the others, long numbers first."""
    name, dtype, shape = main
    end = int(np.prod(shape, dtype=object)) * dtype.itemsize
    entries = {name: Entry(_CODES[dtype.str.lstrip("|")], tuple(shape), 0, end)}
    if end % 8:
        entries["padding"] = Entry("U8", (-end % 8,), end, end + -end % 8)
        end += -end % 8
    for key in sorted(arrays, key=lambda key: -arrays[key].itemsize):
        array = arrays[key]
        entries[key] = Entry(_CODES[array.dtype.str.lstrip("|")], array.shape, end, end + array.nbytes)
        end += array.nbytes
    return entries


def room_for_header(texts: Mapping[str, str], entries: Mapping[str, Entry], spare: int) -> int:
    """Bytes kept free for the header, whole pages, so that the pixels begin at one."""
    digests = sum(len(name) + 80 for name in entries)
    return -(-(len(dump_header(texts, entries)) + digests + spare) // PAGE) * PAGE


def write_stream(
    file: IO[bytes],
    room: int,
    main: tuple[str, np.dtype, tuple[int, ...]],
    rows: Iterable[np.ndarray],
    rest: Callable[[int], Rest],
) -> None:
    """Write a pack front to back in bounded memory, and at the end the header into its place at the start.

    Args:
        file: opened for writing, empty.
        room: bytes of the header, from `room_for_header`.
        main: name, dtype and shape of one row.
        rows: one array an image.
        rest: called with the number of rows; the other arrays and the texts of the header.
    """
    name, dtype, shape = main
    file.write(bytes(room))
    digests, block, count = [], hashlib.sha256(), 0
    for row in rows:
        raw = memoryview(np.ascontiguousarray(row, dtype=dtype)).cast("B")
        file.write(raw)
        block.update(raw)
        count += 1
        if count % BLOCK == 0:
            digests.append(block.digest())
            block = hashlib.sha256()
    if count % BLOCK:
        digests.append(block.digest())
    arrays, texts = rest(count)
    checksums = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    arrays = {**arrays, "checksums": checksums}
    entries = entries_of((name, dtype, (count, *shape)), arrays)
    sums = {}
    for key, entry in list(entries.items())[1:]:
        raw = bytes(entry.end - entry.begin) if key == "padding" else arrays[key].tobytes()
        file.write(raw)
        sums[key] = hashlib.sha256(raw).hexdigest()
    header = dump_header({**texts, "sha256": json.dumps(sums)}, entries, room)
    if len(header) != room or room - 8 > MAX_HEADER:
        raise DataError(
            f"the header of the pack needs {len(header):,} bytes, more than {min(room, MAX_HEADER):,}; "
            "shorten the notes of the dataset"
        )
    file.seek(0)
    file.write(header)
    file.flush()
    os.fsync(file.fileno())
