"""Fetching datasets: ``fetch`` brings what can be downloaded and says what has to be requested.

Archives gather in ``ROOT/.fetch``, where a broken download goes on, are checked against the published
checksum by pooch, unpacked into a hidden folder and renamed into place. Nothing that is not complete has the
name of data.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import filelock
import pooch

from imtext.data.fetch.archives import declared_bytes, sniff, unpack
from imtext.data.fetch.download import Downloader, amount
from imtext.data.fetch.manual import page
from imtext.data.fetch.parts import Expected, Part, Source
from imtext.data.fetch.sources import SOURCES
from imtext.errors import ConfigError, DataError

__all__ = ["SOURCES", "Expected", "Fetched", "Part", "Source", "Transfer", "fetch", "listing"]

STORE = ".fetch"
"""Folder of archives and parts under the root."""
_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$)")


@dataclass(frozen=True)
class Transfer:
    """How to transfer: as in ``imtext.data.fetch.download.Downloader``; ``reserve`` bytes stay free."""

    tries: int = 6
    pause: float = 2.0
    timeout: tuple[float, float] = (20.0, 60.0)
    reserve: int = 500_000_000


@dataclass(frozen=True)
class Fetched:
    """What ``fetch`` did: names of parts that came and of parts that were there already."""

    name: str
    root: Path
    came: tuple[str, ...] = ()
    there: tuple[str, ...] = ()


def fetch(
    name: str,
    root: str | os.PathLike[str],
    parts: Sequence[str] | None = None,
    *,
    sources: Mapping[str, Source] = SOURCES,
    transfer: Transfer | None = None,
    say: Callable[[str], None] = print,
) -> Fetched:
    """Bring a dataset into a folder, or say what has to be requested for it.

    Args:
        name: a name of ``SOURCES``.
        root: folder of the dataset; made where it is not there.
        parts: which parts; None for the usual ones. What is there and right is left alone.
        sources: other sources, for example a mirror.
        transfer: retries, timeouts and the reserve on the disk.
        say: is given each line for the user.

    Raises:
        ConfigError: the name or a part is unknown.
        DataError: a download, checksum, archive or its contents is not right, the disk is too small, another
            process fetches into the folder, something else stands where data should go, or a dataset that
            must be requested is not complete.

    >>> fetch("flickr9k", "somewhere")
    Traceback (most recent call last):
    imtext.errors.ConfigError: flickr9k: expected one of flickr8k, coco, ...
    """
    source = _source(name, sources)
    chosen = _choose(name, source, parts)
    root = Path(os.path.expanduser(root))
    if not chosen:
        return _requested(name, source, root, say)
    with _disk(root):
        there = _there(root, chosen)
        if len(there) < len(chosen) or _leftovers(root, chosen):
            there = _bring(root, chosen, transfer or Transfer(), say)
        for part, found in there.items():
            say(f"{part}: already there: {found}")
    say(f"Next: imtext data check {name} --root {root}")
    return Fetched(name, root, tuple(part for part in chosen if part not in there), tuple(there))


def listing(name: str, sources: Mapping[str, Source] = SOURCES) -> str:
    """The parts of a dataset with sizes, checksums and addresses, as text.

    >>> print(listing("coco").splitlines()[4])
    * train2014        13.5 GB     82,783 files in train2014
    """
    source = _source(name, sources)
    lines = [f"{name}: parts (* fetched unless --parts says otherwise)"] if source.parts else []
    for part_name, part in source.parts.items():
        size = amount(part.size) if part.size else f"{amount(part.about)} (about)"
        what = ", ".join(
            f"{e.files:,} files in {e.any_of[0][0]}" if e.files else e.any_of[0][0] for e in part.expected
        )
        lines.append(f"{'*' if part_name in source.default else ' '} {part_name:16} {size:11} {what}")
        lines.append(f"    {part.url}\n    {part.checksum or 'no checksum published'}")
    if source.request:
        lines += [*source.request]
    return "\n".join([*lines, f"Terms: {source.terms}."])


def _source(name: str, sources: Mapping[str, Source]) -> Source:
    if name in sources:
        return sources[name]
    hint = ""
    if name.startswith("picturebook"):
        hint = "; it is generated at first use, nothing has to be fetched"
    elif name == "karpathy":
        hint = "; the split is the part karpathy of flickr8k, flickr30k and coco"
    raise ConfigError(f"{name}: expected one of {', '.join(sources)}{hint}")


def _choose(name: str, source: Source, parts: Sequence[str] | None) -> dict[str, Part]:
    wanted = source.default if parts is None else [parts] if isinstance(parts, str) else parts
    for part in wanted:
        if part not in source.parts:
            known = ", ".join(source.parts) or "none (it has to be requested: leave --parts out)"
            raise ConfigError(f"{name}: no part {part!r}; its parts are: {known}")
    if parts is not None and not wanted:
        raise ConfigError(f"{name}: --parts names none; its parts are: {', '.join(source.parts)}")
    return {part: source.parts[part] for part in source.parts if part in wanted}


def _requested(name: str, source: Source, root: Path, say: Callable[[str], None]) -> Fetched:
    with _disk(root):
        text, missing = page(name, source, root)
    say(text)
    if missing:
        needed = sum(not expected.optional for expected in source.expected)
        raise DataError(
            f"{root}: {name} has to be requested, and {len(missing)} of {needed} needed entries are missing, "
            f"first {missing[0]}; the page above says whom to ask and where each file goes"
        )
    say(f"All is there. Next: imtext data check {name} --root {root}")
    return Fetched(name, root, there=("all",))


@contextlib.contextmanager
def _disk(root: Path) -> Iterator[None]:
    """Errors of the file system as one line."""
    try:
        yield
    except OSError as error:
        where = error.filename or root
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{root}: the disk is full ({error.strerror}); make room and run the same command again, "
                "it goes on from what is there"
            ) from None
        reason = error.strerror or error
        raise DataError(
            f"{where}: expected a folder to write to, found: {reason}; choose another --root"
        ) from None


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    lock = filelock.FileLock(root / STORE / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise DataError(f"{root}: another process fetches into this folder; wait until it is done") from None
    try:
        yield
    finally:
        lock.release()


def _there(root: Path, chosen: Mapping[str, Part]) -> dict[str, str]:
    """Parts that are there and right, with words on what was found."""
    found = {name: [expected.found(root) for expected in part.expected] for name, part in chosen.items()}
    return {name: ", ".join(words) for name, words in found.items() if all(words)}


def _bring(
    root: Path, chosen: Mapping[str, Part], transfer: Transfer, say: Callable[[str], None]
) -> dict[str, str]:
    """Fetch what is missing, one process at a time; the parts that were there already, as ``_there``."""
    (root / STORE).mkdir(parents=True, exist_ok=True)
    with _locked(root):
        there = _there(root, chosen)  # another process may just have finished
        missing = {name: part for name, part in chosen.items() if name not in there}
        _tidy(root, [chosen[name] for name in there])
        for name, part in missing.items():
            _check_free_place(root, name, part)
        if missing:
            largest = max(_to_come(root, part) for part in missing.values())
            need = sum(part.unpacked for part in missing.values()) + largest
            _check_room(root, need, transfer.reserve, "the archives and what comes out of them")
        for name, part in missing.items():
            _fetch_part(root, name, part, transfer, say)
        return there


def _leftovers(root: Path, parts: Mapping[str, Part]) -> bool:
    return any((root / STORE / part.archive).is_file() for part in parts.values())


def _tidy(root: Path, there: Sequence[Part]) -> None:
    """Remove what a killed process left: half unpacked folders, temporary files, spent archives."""
    for left in root.glob(".*.partial"):
        shutil.rmtree(left)
    for part in there:
        for ending in ("", ".part", ".part.json"):
            (root / STORE / f"{part.archive}{ending}").unlink(missing_ok=True)
    for left in (root / STORE).iterdir():
        if left.is_file() and re.fullmatch(r"tmp\w{8}|.*\.new", left.name):
            left.unlink()


def _check_free_place(root: Path, part_name: str, part: Part) -> None:
    """Data of the user is never overwritten."""
    folder = root / part.into
    if not part.own or not folder.exists():
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    problem = next((p for p in (e.problem(root) for e in part.expected) if p), part.into)
    raise DataError(
        f"{root / problem}; it is in the way of the part {part_name}: move the folder away, or delete it, "
        "and run the same command again"
    )


def _to_come(root: Path, part: Part) -> int:
    store = root / STORE
    held = [store / part.archive, store / f"{part.archive}.part"]
    there = max((path.stat().st_size for path in held if path.is_file()), default=0)
    return max((part.size or part.about) - there, 0)


def _check_room(root: Path, need: int, reserve: int, what: str) -> None:
    free = shutil.disk_usage(root).free
    if free < need + reserve:
        raise DataError(
            f"{root}: needs {amount(need + reserve)} on the disk ({what}, and {amount(reserve)} in reserve), "
            f"{amount(free)} are free; make room or choose another --root"
        )


def _fetch_part(
    root: Path, part_name: str, part: Part, transfer: Transfer, say: Callable[[str], None]
) -> None:
    size = amount(part.size) if part.size else f"about {amount(part.about)}" if part.about else "size unknown"
    say(f"{part_name}: fetching {part.url} ({size})")
    archive = _download(root, part_name, part, transfer, say)

    def place(path: PurePosixPath) -> str | None:
        kept = any(fnmatch.fnmatch(path.name, pattern) for pattern in part.take)
        return path.name if kept and not _JUNK.search(str(path)) else None

    need = declared_bytes(archive, place)
    _check_room(root, need or part.unpacked, transfer.reserve, f"what comes out of {part.archive}")
    partial = root / f".{part_name}.partial"
    say(f"{part_name}: unpacking {archive.name}")
    try:
        try:
            unpack(archive, partial / part.into, place)
            _check_structure(archive, partial, part)
        except DataError:
            archive.unlink(missing_ok=True)  # what is wrong with it does not mend
            raise
        _land(root, partial, part)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    archive.unlink(missing_ok=True)
    say(f"{part_name}: {', '.join(expected.found(root) for expected in part.expected)}")


def _download(root: Path, part_name: str, part: Part, transfer: Transfer, say: Callable[[str], None]) -> Path:
    store = root / STORE

    def on_size(left: int) -> None:
        _check_room(root, left + part.unpacked, transfer.reserve, f"{part.archive} and what comes out of it")

    downloader = Downloader(
        store / f"{part.archive}.part",
        part.size,
        on_size,
        transfer.tries,
        transfer.pause,
        transfer.timeout,
    )
    try:
        with _quiet_pooch():
            pooch.retrieve(part.url, part.checksum, fname=part.archive, path=store, downloader=downloader)
    except KeyboardInterrupt:
        say(f"{part_name}: stopped; {downloader.describe()}; the same command goes on from there")
        raise
    except DataError:
        raise
    except ValueError as error:
        raise DataError(_mismatch(downloader, part, str(error))) from None
    downloader.forget()
    return store / part.archive


def _mismatch(downloader: Downloader, part: Part, message: str) -> str:
    found = re.search(r"but got (\w+)", message)
    wanted = part.checksum if ":" in part.checksum else f"sha256:{part.checksum}"
    kind = sniff(downloader.part) if downloader.part.is_file() else "zip"
    downloader.forget()
    what = f", and it is {kind}" if kind not in ("zip", "gzip", "tar") else ""
    return (
        f"{part.url}: expected {wanted}, found {found[1] if found else 'another'}{what}; "
        "deleted: run the same command again; if that fails too, the publisher changed the file"
    )


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """``fetch`` says itself what pooch would log."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_structure(archive: Path, partial: Path, part: Part) -> None:
    for expected in part.expected:
        problem = expected.problem(partial)
        if problem is not None:
            raise DataError(
                f"{archive.name} from {part.url}: {problem}; this is not the archive that was published; "
                "deleted; run the same command again or look at the page of the publisher"
            )


def _land(root: Path, partial: Path, part: Part) -> None:
    """Rename into place: a folder of its own at once, files of a shared folder one by one."""
    if part.own:
        target = root / part.into
        if target.is_dir():
            target.rmdir()  # checked: empty
        os.rename(partial / part.into, target)
    else:
        folder = root / part.into
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted((partial / part.into).iterdir()):
            target = folder / file.name
            if target.exists() and target.stat().st_size not in (0, file.stat().st_size):
                raise DataError(
                    f"{target}: expected {file.stat().st_size:,} bytes, as {part.archive} has it, found "
                    f"{target.stat().st_size:,}; move it away and run the same command again"
                )
            os.replace(file, target)
