"""Fetching datasets: ``fetch`` brings what can be downloaded and says what has to be requested.

What comes from where stands in ``sources.toml`` beside this file. Archives gather in ``ROOT/.fetch``, where a
broken download goes on, are compared with the published checksum, unpacked there and moved into place.
Nothing is removed but what lies in ``ROOT/.fetch`` and came from here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import filelock
import msgspec
import requests

from imtext.check import one_of
from imtext.errors import ConfigError, DataError
from imtext.files import told
from imtext.progress import progress

STORE = ".fetch"  # folder of archives under the root
_CHUNK = 1 << 16
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_NETWORK = requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError
# What zipfile raises on a damaged archive, beside OSError: an encrypted member is a RuntimeError.
_DAMAGE = zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, LookupError, ArithmeticError


@dataclass(frozen=True)
class Need:
    """Something that has to be there, in the folder of a dataset or in one of its folders, two deep.

    Attributes:
        any: alternatives; each a pattern of file names, or several joined by ``" + "`` that must be there.
        files: how many files; None for one or more, none of them empty.
        size: bytes of the file, where published.
        optional: readers do without it.

    >>> Need(("no_such_file.json",)).found(Path("."))
    ''
    """

    any: Sequence[str]
    files: int | None = None
    size: int | None = None
    optional: bool = False

    def found(self, root: Path) -> str:
        """What is there in words, or nothing where it is not there or not right."""
        for place in _places(root):
            for names in self.any:
                counts = [self._count(place, name) for name in names.split(" + ")]
                if all(counts) and self.files in (None, counts[0]):
                    where = f" in {place.relative_to(root)}" if place != root else ""
                    return f"{self.told(names)}{where}"
        return ""

    def told(self, names: str = "") -> str:
        """What is needed, in words."""
        return (f"{self.files:,} files " if self.files else "") + (names or " or ".join(self.any))

    def missing(self, root: Path) -> str:
        """What is missing, in words."""
        most = max(self._count(place, self.any[0]) for place in _places(root))
        return self.told() + (f", found {most:,}" if self.files else "")

    def _count(self, place: Path, name: str) -> int:
        sizes = (path.stat().st_size for path in place.glob(name) if path.is_file())
        return sum(size > 0 and self.size in (None, size) for size in sizes)


def _places(root: Path) -> list[Path]:
    below = sorted(path for pattern in ("*/", "*/*/") for path in root.glob(pattern))
    return [root, *(path for path in below if path.relative_to(root).parts[0] != STORE)]


@dataclass(frozen=True)
class Part:
    """One zip archive and what it leaves in the folder of the dataset.

    Attributes:
        url: http or https.
        checksum: ``sha256:...`` or ``md5:...``, as published.
        size, unpacked: bytes, roughly: of the archive, and of what it leaves.
        into: folder under the root that the files go to; ``""`` is the root itself.
        take: patterns of file names that are unpacked; the rest of the archive is left out.
        needs: what must be there afterwards, which is also how a finished part is recognised.
    """

    url: str
    checksum: str
    size: int
    unpacked: int
    into: str
    take: Sequence[str]
    needs: Sequence[Need]

    @property
    def archive(self) -> str:
        """Name of the archive file."""
        return PurePosixPath(self.url).name

    def found(self, root: Path) -> str:
        """What is there in words, or nothing where something is missing."""
        found = [need.found(root) for need in self.needs]
        return ", ".join(found) if all(found) else ""


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from: parts to fetch, or words on whom to ask, or both.

    Attributes:
        terms: what the publisher asks of users.
        parts: by name, in the order in which they are fetched.
        default: parts that are fetched unless others are named: what a notebook can run on.
        request: what to request and where each file goes; empty where everything can be fetched.
        needs: what has to be in the folder in the end, for datasets that are requested.
    """

    terms: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    default: Sequence[str] = ()
    request: str = ""
    needs: Sequence[Need] = ()


_SHIPPED = Path(__file__).with_name("sources.toml").read_bytes()
SOURCES = msgspec.toml.decode(_SHIPPED, type=dict[str, Source])


@dataclass(frozen=True)
class Transfer:
    """How to transfer: ``tries`` connections in a row may break, with growing pauses between them from
    ``pause`` seconds; seconds to connect and without a byte; bytes of the disk that stay free."""

    tries: int = 6
    pause: float = 2.0
    timeout: tuple[float, float] = (20.0, 60.0)
    reserve: int = 500_000_000


def fetch(
    name: str,
    root: str | os.PathLike[str],
    parts: Sequence[str] | None = None,
    *,
    sources: Mapping[str, Source] = SOURCES,
    transfer: Transfer = Transfer(),  # noqa: B008
    say: Callable[[str], None] = print,
) -> list[str]:
    """Download a dataset, or say what must be requested and from whom.

    Args:
        name: a name of ``SOURCES``.
        root: folder of the dataset; made where it is not there.
        parts: which parts; None for the usual ones. What is there and right is left alone.
        sources: other sources, for example a mirror.
        transfer: retries, timeouts and the reserve on the disk.
        say: is given each line for the user.

    Returns:
        Names of the parts that came.

    Raises:
        ConfigError: the name or a part is unknown.
        DataError: a download, checksum, archive or its contents is not right, the disk is too small, another
            process fetches into the folder, other files stand where data should go, or a dataset that must be
            requested is not complete.

    >>> fetch("flickr9k", "somewhere")
    Traceback (most recent call last):
    imtext.errors.ConfigError: dataset='flickr9k': expected one of flickr8k, coco, ...
    """
    source = sources[one_of("dataset", name, sources)]
    for part in parts or ():
        if part not in source.parts:
            known = ", ".join(source.parts) or "none (it has to be requested: leave --parts out)"
            raise ConfigError(f"{name}: no part {part!r}; its parts are: {known}")
    chosen = {key: part for key, part in source.parts.items() if key in (parts or source.default)}
    root = Path(root).expanduser()
    if not chosen:
        _requested(name, source, root, say)
    with told(root):
        missing = {key: part for key, part in chosen.items() if not part.found(root)}
        for key, part in chosen.items():
            if key not in missing:
                say(f"{key}: already there: {part.found(root)}")
                (root / STORE / part.archive).unlink(missing_ok=True)  # left by a killed process
        if missing:
            (root / STORE).mkdir(parents=True, exist_ok=True)
            try:
                with filelock.FileLock(root / STORE / "lock", timeout=0):
                    _check_room(root, list(missing.values()), transfer.reserve)
                    for key, part in missing.items():
                        _bring(root, key, part, transfer, say)
            except filelock.Timeout:
                said = f"{root}: another process fetches into this folder; wait until it is done"
                raise DataError(said) from None
    say(f"Next: imtext data check {name} --root {root}")
    return list(missing)


def listing(name: str, sources: Mapping[str, Source] = SOURCES) -> str:
    """The parts of a dataset with sizes, checksums and addresses, as text.

    >>> print(listing("coco").splitlines()[4])
    * train2014        13.5 GB     82,783 files *.jpg in train2014
    """
    source = sources[one_of("dataset", name, sources)]
    lines = [f"{name}: parts (* fetched unless --parts says otherwise)"] if source.parts else []
    for key, part in source.parts.items():
        what, mark = ", ".join(need.told() for need in part.needs), "*" if key in source.default else " "
        lines.append(f"{mark} {key:16} {amount(part.size):11} {what} in {part.into or 'the folder itself'}")
        lines.append(f"    {part.url}\n    {part.checksum}")
    return "\n".join([*lines, *filter(None, [source.request.strip()]), f"Terms: {source.terms}."])


def _requested(name: str, source: Source, root: Path, say: Callable[[str], None]) -> None:
    """Say what to request and what is there."""
    say(f"{source.request.strip()}\nTerms: {source.terms}.\nAt {root}:")
    for need in source.needs:
        mark = "[found]" if need.found(root) else "[not here, optional]" if need.optional else "[missing]"
        say(f"  {mark:9} {need.found(root) or need.missing(root)}")
    missing = [need for need in source.needs if not need.optional and not need.found(root)]
    if missing:
        count = f"{len(missing)} of {sum(not need.optional for need in source.needs)} needed entries"
        what = f"has to be requested, and {count} are missing, first {missing[0].any[0]}"
        raise DataError(f"{root}: {name} {what}; the page above says whom to ask and where each file goes")


def _there(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_room(root: Path, parts: Sequence[Part], reserve: int) -> None:
    to_come = max(max(part.size - _there(root / STORE / part.archive), 0) for part in parts)
    need, free = to_come + sum(part.unpacked for part in parts) + reserve, shutil.disk_usage(root).free
    if free < need:
        what = f"needs {amount(need)} on the disk (archives, what comes out of them, and a reserve)"
        raise DataError(f"{root}: {what}, {amount(free)} are free; make room or choose another --root")


def _bring(root: Path, key: str, part: Part, transfer: Transfer, say: Callable[[str], None]) -> None:
    archive, unpacked = root / STORE / part.archive, root / STORE / key
    if not archive.is_file() or _digest(archive, part) != part.checksum:
        say(f"{key}: fetching {part.url} ({amount(part.size)})")
        _download(part, archive, transfer, say)
        found = _digest(archive, part)
        if found != part.checksum:
            raise DataError(
                f"{archive}: expected {part.checksum}, found {found}; delete it and run the same command, or "
                f"see whether {part.url} is another file now"
            )
    say(f"{key}: unpacking")
    shutil.rmtree(unpacked, ignore_errors=True)  # left by a killed process
    try:
        unpack(archive, unpacked / part.into, part.take)
        _land(unpacked / part.into, root / part.into)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink()
    say(f"{key}: {part.found(root)}")


def _digest(archive: Path, part: Part) -> str:
    kind = part.checksum.partition(":")[0]
    with open(archive, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _download(part: Part, path: Path, transfer: Transfer, say: Callable[[str], None]) -> None:
    """Fetch what is missing of a file. Raises DataError where the server refuses or always breaks off."""
    broken = best = 0
    while True:
        try:
            return _receive(part, path, transfer)
        except _NETWORK as error:
            why = str(error).rpartition(": ")[2].split("'")[0] or type(error).__name__
            why = f"no byte for {transfer.timeout[1]:g} s" if "timed out" in why else why
            # A connection that brought this much has worked.
            broken = 1 if _there(path) > best + 128 * _CHUNK else broken + 1
            best, there = max(best, _there(path)), f"{amount(_there(path))} of {amount(part.size)} are there"
            if broken >= transfer.tries:
                what = f"the connection broke {broken} times in a row, last: {why}"
                raise DataError(f"{part.url}: {what}; {there}; the same command goes on from there") from None
            pause = min(transfer.pause * 2 ** (broken - 1), 60)
            say(f"{part.archive}: {why}; {there}; trying again in {pause:.0f} s")
            time.sleep(pause)
        except requests.RequestException as error:
            raise DataError(f"{part.url}: cannot be fetched ({error}); open it in a browser") from None


def _receive(part: Part, path: Path, transfer: Transfer) -> None:
    """One connection."""
    there = _there(path)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with requests.get(part.url, headers=headers, stream=True, timeout=transfer.timeout) as reply:
        if reply.status_code == 416:  # nothing comes after what is there: the checksum decides
            return
        if reply.status_code in _PASSING:
            raise requests.ConnectionError(f"the server answers {reply.status_code} {reply.reason}")
        kind, status = reply.headers.get("Content-Type", "nothing"), reply.status_code
        if kind.startswith("text/html") or status not in (200, 206):
            raise DataError(
                f"{part.url}: expected an archive, got {status} {reply.reason}, {kind}; see in a browser "
                f"where it has moved, or put the archive from elsewhere into {path.parent}"
            )
        count = -(-int(reply.headers.get("Content-Length", part.size)) // _CHUNK)
        with open(path, "ab" if reply.status_code == 206 else "wb") as file:
            for block in progress(reply.iter_content(_CHUNK), f"fetching {part.archive}", count):
                file.write(block)


def unpack(archive: Path, folder: Path, take: Sequence[str]) -> list[str]:
    """Write the members of a zip whose names match into a folder, without the folders they lie in.

    Returns the names written. Raises DataError where the archive is damaged, declares too many bytes, or a
    name is not plain or there twice, and OSError where the folder cannot be written.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(root / "a.zip", "w") as file:
    ...     file.writestr("pictures/a.txt", "one")
    >>> unpack(root / "a.zip", root / "out", ["*.txt"])
    ['a.txt']
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, chosen = "", {}
    try:
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                name = PurePosixPath(info.orig_filename).name  # filename is cut at a NUL
                junk = name.startswith(".") or "__MACOSX" in info.filename or info.is_dir()
                if not junk and any(fnmatch(name, pattern) for pattern in take):
                    if not name.isprintable() or set(name) & set(":\\") or name in chosen:
                        raise ValueError("its name is not plain, or there twice")
                    chosen[name] = info
            if sum(info.file_size for info in chosen.values()) > 20 * archive.stat().st_size + (16 << 20):
                raise ValueError("more would come out than can be right")
            for name in progress(chosen, f"unpacking {archive.name}"):
                with file.open(chosen[name]) as source, open(folder / name, "xb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except _DAMAGE as error:
        what = f"damage ({error}) at {name[:200]!r}"
        raise DataError(f"{archive}: expected a whole zip archive, found {what}; fetch it again") from None
    return list(chosen)


def _land(folder: Path, target: Path) -> None:
    """Move into place: a new folder at once, else file by file; files of the user are left as they are."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, target)
        return
    for file in sorted(folder.iterdir()):
        there, size = _there(target / file.name), file.stat().st_size
        if there not in (0, size):
            what = f"expected {size:,} bytes, as published, found {there:,}"
            raise DataError(f"{target / file.name}: {what}; move it away and run the same command again")
        if not there:
            os.replace(file, target / file.name)


def amount(size: int) -> str:
    """Bytes in words, with powers of ten.

    >>> amount(13_510_573_713), amount(36_745_453), amount(900)
    ('13.5 GB', '36.7 MB', '900 bytes')
    """
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
