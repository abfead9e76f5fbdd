"""The files under a data root, listed once: annotations by name, images by what of their path is right."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path, PureWindowsPath
from typing import TypeVar

import msgspec

from imtext.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""Of image files."""
_DEPTH = 2  # folders above an annotation file
_PLAIN = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*")


def relative(name: str, where: str) -> str:
    """A file name with slashes, if it stays inside its folder; DataError otherwise.

    >>> relative("train2014\\\\a.jpg", "x.json")
    'train2014/a.jpg'
    >>> relative("../a.jpg", "x.json")
    Traceback (most recent call last):
    imtext.errors.DataError: file name '../a.jpg' in x.json leaves the image folder: expected a relative path inside it; correct the entry
    """  # noqa: E501
    if _PLAIN.fullmatch(name):
        return name  # pathlib, which is slow on 100,000 names, judges the rest
    path = PureWindowsPath(name)
    if not path.name or "\0" in name or path.drive or path.root or ".." in path.parts:
        raise DataError(
            f"file name {name!r} in {where} leaves the image folder: "
            "expected a relative path inside it; correct the entry"
        )
    return path.as_posix()


def bare(name: str) -> str:
    """A file name without the ending, if that is one of an image; other dots belong to the name.

    >>> bare("a/photo.001.jpg"), bare("a/photo.001")
    ('a/photo.001', 'a/photo.001')
    """
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in ENDINGS else name


def first(names: Sequence[str]) -> str:
    """The first three of several names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


class Files:
    """Everything below a data root but hidden files, in any folder; links are followed.

    Args:
        data_root: a folder; what: it should hold.

    Raises:
        DataError: it is no folder.
    """

    def __init__(self, data_root: str | os.PathLike[str], what: str = "a dataset") -> None:
        self.root = Path(os.path.expanduser(data_root))
        if not os.path.isdir(self.root):
            found = "a file" if os.path.exists(self.root) else "nothing"
            raise DataError(
                f"data_root={self.root}: expected a folder with {what}, found {found}; correct data_root"
            )
        self.folders = [""]
        self.named: dict[str, list[str]] = defaultdict(list)
        self.alike: dict[str, list[str]] = defaultdict(list)
        seen = set()
        for inner in self.folders:  # which grow meanwhile
            with suppress(OSError):
                about = os.stat(self.root / inner)
                if (about.st_dev, about.st_ino) not in seen:
                    self._list(inner)
                seen.add((about.st_dev, about.st_ino))

    def _list(self, inner: str) -> None:
        """Note the files of a folder, and the folders in it."""
        for entry in sorted(os.scandir(self.root / inner), key=lambda entry: entry.name):
            path = f"{inner}/{entry.name}" if inner else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                self.folders.append(path)
            elif entry.is_file():
                self.named[entry.name].append(path)
                if bare(path) != path:
                    self.alike[_alike(path)].append(path)

    def all(self, *patterns: str) -> list[str]:
        """Files whose name matches the first pattern that any matches, near ones before deep ones."""
        for pattern in patterns:
            names = [pattern]
            if "*" in pattern:
                names = [name for name in self.named if fnmatch(name.lower(), pattern)]
            found = [path for name in names for path in self.named.get(name, ())]
            near = [path for path in found if path.count("/") <= _DEPTH]
            if near:
                return sorted(near, key=lambda path: (path.count("/"), path))
        return []

    def find(self, *patterns: str) -> Path | None:
        """The first of them."""
        found = self.all(*patterns)
        return self.root / found[0] if found else None

    def need(self, *patterns: str, hint: str) -> Path:
        """The first of them; DataError where there is none."""
        found = self.find(*patterns)
        if found is None:
            raise DataError(f"{self.root}: expected {' or '.join(patterns)}, found none; {hint}")
        return found

    def resolve(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The path of each name: as it is written, below any folder, else the only one of its name.

        Of several folders the one that serves most names is meant; an empty list is a file that is missing,
        a longer one says what could be meant as well.
        """
        names = list(dict.fromkeys(names))
        homes, fits = Counter(), {}
        for name in names:
            paths = self.named.get(name.rpartition("/")[2]) or self.alike.get(_alike(name), ())
            fits[name] = [(home, path) for path in paths if (home := _home(path, name)) is not None]
            homes.update({home for home, _ in fits[name]})
        asked = Counter(map(_alike, names))
        found = {}
        for name in names:
            most = max((homes[home] for home, _ in fits[name]), default=0)
            found[name] = [path for home, path in fits[name] if homes[home] == most]
            # A name that several folders should hold is not looked for elsewhere: it is another image.
            if not most and asked[_alike(name)] == 1:
                found[name] = self.alike.get(_alike(name), [])
        return found


def _home(path: str, name: str) -> str | None:
    """What stands before a name in a path, with its ending or without."""
    whole = next((one for one in (path, bare(path)) if f"/{one}".endswith(f"/{name}")), None)
    return None if whole is None else whole[: -len(name)]


def _alike(name: str) -> str:
    """A file name as it is compared where folder, ending or case differ."""
    return unicodedata.normalize("NFC", bare(name.rpartition("/")[2])).casefold()


Form = TypeVar("Form")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark; DataError names the line that is neither."""
    try:
        if not os.path.isfile(path):  # reading a pipe could wait for ever
            raise OSError("none")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a file, found {error.strerror or error}; put it there") from None
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, found = raw.count(b"\n", 0, error.start) + 1, raw[error.start]
        raise DataError(
            f"{path}, line {line}: expected UTF-8, found byte 0x{found:02x}; convert the file to UTF-8"
        ) from None


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, after the words that name it. U+2028, which captions hold, ends none."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.rstrip("\r")


def read_json(path: Path, form: type[Form]) -> Form:
    """The content of a JSON file in a form such as ``list[Entry]``; fields that it lacks are skipped."""
    return decode(read_text(path), form, str(path))


def decode(text: str, form: type[Form], where: str) -> Form:
    """A JSON text in a form; DataError says where it is cut off, broken or of another form.

    >>> decode("[1, 2]", list[int], "x.json")
    [1, 2]
    >>> decode('["1"]', list[int], "x.json")
    Traceback (most recent call last):
    imtext.errors.DataError: x.json: expected `int`, got `str` - at `$[0]`; correct it or fetch the file again
    """
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = str(error)
        raise DataError(
            f"{where}: {said[:1].lower()}{said[1:]}; correct it or fetch the file again"
        ) from None


def clean(caption: str) -> str:
    """One caption with every run of white space as one blank and composed accents (Unicode's NFC).

    >>> clean("  A dog\\n runs . ")
    'A dog runs .'
    """
    return " ".join(unicodedata.normalize("NFC", caption).split())
