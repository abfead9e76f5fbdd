"""The form of a source: what has to be in a folder, an archive and what it leaves, a dataset of parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Expected:
    """Something that has to be in a folder: one file, some files, or a folder with a number of files.

    Attributes:
        what: in words, for messages.
        any_of: alternatives; each is a tuple of paths that must all be there. ``fetch`` uses the first.
        files: number of files in the folder; None for files, or where a folder only has to be non-empty.
        ending: which files of a folder count.
        size: bytes of the file, where published.
        optional: readers do without it.
    """

    what: str
    any_of: tuple[tuple[str, ...], ...]
    files: int | None = None
    ending: str = ""
    size: int | None = None
    optional: bool = False

    def found(self, root: Path) -> str:
        """What is there in words, or nothing where it is not there or not right.

        >>> Expected("captions", (("no_such_file.json",),)).found(Path("."))
        ''
        """
        for paths in self.any_of:
            if all(self._wrong(root / path) is None for path in paths):
                return f"{paths[0]} ({self.files:,} files)" if self.files else ", ".join(paths)
        return ""

    def problem(self, root: Path) -> str | None:
        """What is wrong with the first alternative, in words; None where all is right.

        >>> Expected("captions", (("no_such_file.json",),)).problem(Path("."))
        'no_such_file.json: found nothing'
        """
        for path in self.any_of[0]:
            wrong = self._wrong(root / path)
            if wrong is not None:
                return f"{path}: {wrong}"
        return None

    def _wrong(self, path: Path) -> str | None:
        if path.is_file() and self.files is None:
            size = path.stat().st_size
            if size and self.size in (None, size):
                return None
            return f"expected {self.size:,} bytes, found {size:,}" if self.size else "found an empty file"
        if not path.is_dir():
            return "found nothing"
        count = count_files(path, self.ending)
        if count == self.files or (self.files is None and count):
            return None
        expected = f"{self.files:,}" if self.files else "some"
        return f"expected {expected} files *{self.ending}, found {count:,}"


def count_files(folder: Path, ending: str = "") -> int:
    """Number of files in a folder, its sub-folders left out, whose names end so and that are not empty."""
    with os.scandir(folder) as entries:
        return sum(
            entry.name.lower().endswith(ending) and entry.is_file() and entry.stat().st_size > 0
            for entry in entries
        )


@dataclass(frozen=True)
class Part:
    """One archive and what it leaves in the folder of the dataset.

    Attributes:
        url: http or https.
        into: folder under the root that the files go to; ``""`` is the root itself.
        take: patterns of file names that are unpacked; the rest of the archive is left out.
        expected: what must be there afterwards, which is also how a finished part is recognised.
        size: bytes of the archive, where published.
        checksum: ``sha256:...`` or ``md5:...``, where published.
        unpacked: bytes once unpacked, roughly; for the check of the disk.
        about: bytes of the archive, roughly, where ``size`` is not published.
        own: the folder ``into`` belongs to this part alone and lands in one step.
    """

    url: str
    into: str
    take: tuple[str, ...]
    expected: tuple[Expected, ...]
    size: int | None = None
    checksum: str | None = None
    unpacked: int = 0
    about: int = 0
    own: bool = True

    @property
    def archive(self) -> str:
        """Name of the archive file.

        >>> Part("http://host/a/b.zip?x=1", "", (), ()).archive
        'b.zip'
        """
        return self.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from: parts to fetch, or words on whom to ask, or both.

    Attributes:
        parts: by name, in the order in which they are fetched.
        default: parts that are fetched unless others are named.
        terms: what the publisher asks of users.
        request: lines on what to request and where each file goes; None where everything can be fetched.
        expected: what has to be in the folder in the end, for datasets that are requested.
        places: sub-folders in which the files of a requested dataset may stand instead.
    """

    parts: Mapping[str, Part]
    default: tuple[str, ...]
    terms: str
    request: tuple[str, ...] | None = None
    expected: tuple[Expected, ...] = ()
    places: tuple[str, ...] = (".",)
