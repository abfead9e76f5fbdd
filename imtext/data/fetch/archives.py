"""Unpacking archives of others: every member is judged before it is written, and nothing lands half.

``unpack`` takes zip, tar and tar.gz. A member with an absolute path, ``..``, a drive, a backslash, a control
character, a link, a device, a name twice or more bytes than agreed stops it with one line; so does an archive
that is cut, damaged or no archive. Archives in archives stay as they are.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from imtext.data.files import relative
from imtext.errors import DataError
from imtext.progress import progress

CHUNK = 1 << 20
MEMBERS = 2_000_000
"""No archive of this field has more members than this."""
# What the readers of the standard library raise on damaged archives.
BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,  # also an unknown compression, an encrypted member, nesting too deep
    ArithmeticError,
    MemoryError,
)
# Surrogates stand for bytes that are no text.
_ODD = re.compile(r"[\x00-\x1f\x7f\\:\ud800-\udfff]")
_CLASH = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL)
_TAR_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def unpack(
    archive: Path, folder: Path, place: Callable[[PurePosixPath], str | None], limit: int | None = None
) -> list[str]:
    """Write the members of an archive into an empty folder.

    Args:
        archive: zip, tar or tar.gz.
        folder: where files go; the caller renames it into place when all is well.
        place: gives each member its path relative to ``folder``, or None to leave it out.
        limit: bytes that may be written; default: 20 times the archive and 16 MiB. Both what the archive
            declares and what comes out counts.

    Returns:
        The paths written, relative to ``folder``.

    Raises:
        DataError: the archive is damaged or no archive, a member is not a plain file inside the folder, two
            members have one name, or more bytes come out than the limit.
        OSError: ``folder`` cannot be written.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(root / "a.zip", "w") as file:
    ...     file.writestr("pictures/a.txt", "one")
    >>> unpack(root / "a.zip", root / "out", lambda path: path.name)
    ['a.txt']
    """
    limit = 20 * archive.stat().st_size + (16 << 20) if limit is None else limit
    kind = sniff(archive)
    if kind not in ("zip", "tar", "gzip"):
        raise DataError(f"{archive}: expected a zip or tar archive, found {kind}; fetch it again")
    writer = _Writer(archive, folder, place, limit)
    try:
        if kind == "zip":
            _unpack_zip(archive, writer)
        else:
            _unpack_tar(archive, writer, kind)
    except _WritingFailed as failed:
        raise failed.cause from None
    return list(writer.written)


def sniff(path: Path) -> str:
    """What a file is by its first bytes: ``zip``, ``gzip``, ``tar``, or words for what is no archive.

    >>> import tempfile
    >>> page = Path(tempfile.mkdtemp(), "a.zip")
    >>> _ = page.write_text("<!DOCTYPE html><title>Sign in</title>")
    >>> sniff(page)
    'a web page (a log-in, a proxy or a note that the file has moved)'
    """
    with open(path, "rb") as file:
        head = file.read(1024)
    if not head:
        return "an empty file"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return "a web page (a log-in, a proxy or a note that the file has moved)"
    return f"another file, which begins with {head[:8]!r}"


def declared_bytes(archive: Path, place: Callable[[PurePosixPath], str | None]) -> int | None:
    """Bytes that the chosen members of a zip declare; None for other archives and for damaged ones."""
    try:
        with zipfile.ZipFile(archive) as file:
            return sum(info.file_size for info in file.infolist() if place(PurePosixPath(info.filename)))
    except BROKEN:
        return None


class _WritingFailed(Exception):
    """An error of the disk, kept apart from those of a damaged archive, many of which are OSError too."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Writer:
    """Judges members and writes them, with a budget of bytes."""

    def __init__(self, archive: Path, folder: Path, place: Callable, limit: int) -> None:
        self.archive, self.folder, self.place, self.limit = archive, folder, place, limit
        self.written: dict[str, None] = {}
        self.bytes = self.declared = self.members = 0
        self._seen: set[str] = set()
        self._placed: set[str] = set()

    def refuse(self, name: str, why: str) -> DataError:
        return DataError(
            f"{self.archive}, member {name[:200]!r}: {why}; expected plain files inside the folder, so "
            "nothing was unpacked; fetch the archive from its publisher"
        )

    def declare(self, name: str, size: int) -> None:
        """Count what a member claims to hold before a byte of it is read."""
        self.members += 1
        self.declared += max(size, 0)
        if size < 0 or self.members > MEMBERS or self.declared > self.limit:
            raise self.refuse(
                name, f"the archive declares more than {self.limit:,} bytes or {MEMBERS:,} members"
            )

    def target(self, name: str, folder: bool = False) -> str | None:
        """Where a member goes; None for what is left out. DataError for a name that is not plain."""
        if _ODD.search(name):
            raise self.refuse(name, "its name holds a backslash, a colon, a control or a broken character")
        try:
            relative(name, "the archive")
        except DataError:
            raise self.refuse(name, "its name leads out of the folder") from None
        if not folder and not PurePosixPath(name).parts:
            raise self.refuse(name, "it has no name")
        key = str(PurePosixPath(name)).casefold()
        if key in self._seen and not folder:
            raise self.refuse(name, "its name is there twice")
        self._seen.add(key)
        if folder:
            return None
        path = self.place(PurePosixPath(name))
        if path is None:
            return None
        if path in self._placed:
            raise self.refuse(name, f"two members would become {path!r}")
        self._placed.add(path)
        return relative(path, str(self.archive))

    def write(self, name: str, path: str, source: IO[bytes], size: int) -> None:
        """Copy one member; reading errors become DataError, writing errors stay OSError."""
        try:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            with open(self.folder / path, "xb") as file:
                count = self._copy(name, source, file)
        except OSError as error:
            if error.errno in _CLASH:
                raise self.refuse(name, f"its name cannot be used ({error.strerror})") from None
            raise _WritingFailed(error) from None
        if count != size:
            raise self.refuse(name, f"it declares {size:,} bytes and holds {count:,}")
        self.written[path] = None

    def _copy(self, name: str, source: IO[bytes], file: IO[bytes]) -> int:
        count = 0
        while True:
            try:
                block = source.read(CHUNK)
            except BROKEN as error:
                raise damaged(self.archive, error, name) from None
            if not block:
                return count
            count += len(block)
            self.bytes += len(block)
            if self.bytes > self.limit:
                raise self.refuse(name, f"more than {self.limit:,} bytes come out")
            file.write(block)


def damaged(archive: Path, error: BaseException, name: str = "") -> DataError:
    """One line for an archive that cannot be read."""
    where = f"{archive}, member {name!r}" if name else f"{archive}"
    reason = str(error) or type(error).__name__
    return DataError(f"{where}: expected a whole archive, found damage ({reason[:120]}); fetch it again")


def _unpack_zip(archive: Path, writer: _Writer) -> None:
    try:
        file = zipfile.ZipFile(archive)
    except BROKEN as error:
        raise damaged(archive, error) from None
    with file:
        chosen = []
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise writer.refuse(info.orig_filename, "it is a link or a device")
            if info.flag_bits & 0x1:
                raise writer.refuse(info.orig_filename, "it is encrypted")
            # orig_filename: zipfile itself cuts a name at a NUL.
            path = writer.target(info.orig_filename, folder=info.filename.endswith("/"))
            if path is not None:
                writer.declare(info.orig_filename, info.file_size)
                chosen.append((info, path))
        for info, path in progress(chosen, f"unpacking {archive.name}", len(chosen)):
            try:
                source = file.open(info)
            except BROKEN as error:
                raise damaged(archive, error, info.filename) from None
            with source:
                writer.write(info.filename, path, source, info.file_size)


class _Bounded:
    """A stream that refuses to give more bytes than agreed, however deep the compression."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.left = stream, limit

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(CHUNK if size is None or size < 0 else min(size, CHUNK))
        self.left -= len(block)
        if self.left < 0:
            raise tarfile.ReadError("more bytes come out than its size allows")
        return block


class _Header(tarfile.TarInfo):
    """A header of a tar file that may not ask for a name of gigabytes."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _TAR_HEADERS and not 0 <= header.size <= CHUNK:
            raise DataError("a header of more than 1 MiB")
        return header


def _unpack_tar(archive: Path, writer: _Writer, kind: str) -> None:
    # One pass over the stream: a second would decompress everything twice.
    with open(archive, "rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if kind == "gzip" else raw
        # Headers and padding come on top: 1.5 KiB for each of many small members.
        bounded = _Bounded(stream, 2 * writer.limit + (16 << 20))
        try:
            with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header) as file:
                for member, path in progress(_members(file, writer), f"unpacking {archive.name}"):
                    writer.write(member.name, path, file.extractfile(member), member.size)
            while bounded.read():  # to the checksum at the end
                pass
        except DataError as error:
            if str(archive) in str(error):
                raise
            raise damaged(archive, error) from None
        except BROKEN as error:
            raise damaged(archive, error) from None


def _members(file: tarfile.TarFile, writer: _Writer) -> Iterator[tuple[tarfile.TarInfo, str]]:
    for member in file:
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise writer.refuse(member.name, "it is a link or a device")
        path = writer.target(member.name, folder=member.isdir())
        writer.declare(member.name, member.size)
        if path is not None:
            yield member, path
