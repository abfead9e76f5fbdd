"""Where the files of one's own data are: the caption files, and for each image name its file."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from imtext.data.own_columns import ENDINGS, IMAGE_ENDINGS, Table, counted
from imtext.data.own_tables import has_header
from imtext.data.schema import check_relative
from imtext.errors import ConfigError, DataError

SPLIT_WORDS: Mapping[str, str] = MappingProxyType(
    {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
)
_FOLDERS = (
    *("images", "Images", "imgs", "img", "Flicker8k_Dataset", "Flickr8k_Dataset"),
    *("flickr30k-images", "flickr30k_images", "."),
)
_EXPECTED = "captions.csv (.tsv, .jsonl, .json) or train, val and test files of that kind"


def caption_files(
    root: Path, captions: str | os.PathLike[str] | Sequence[str] | None
) -> list[tuple[Path, str | None]]:
    """The caption files and the split that the name of each says, None where it says none.

    Raises:
        ConfigError: ``captions`` is of another type or leaves the root.
        DataError: there is no such file, or it is open which of several is meant.
    """
    if captions is None:
        paths = _search(root)
    else:
        names = [captions] if isinstance(captions, str | os.PathLike) else captions
        if not isinstance(names, Sequence) or not names:
            raise ConfigError(f"captions={captions!r}: expected the name of a file under data_root")
        paths = [_inside(root, name, "captions") for name in names]
    for path in paths:
        if not os.path.isfile(path):
            raise DataError(f"{path}: expected a caption file, found none; correct captions= or data_root")
    splits = [SPLIT_WORDS.get(path.stem.lower()) for path in paths]
    if len(paths) > 1 and (None in splits or len(set(splits)) < len(splits)):
        raise _several(root, paths)
    return list(zip(paths, splits, strict=True))


def _inside(root: Path, name: str | os.PathLike[str], parameter: str) -> Path:
    """A path that a parameter names, which must lie under the root."""
    try:
        path = Path(name).expanduser()
        if path.is_absolute():
            path = path.relative_to(root.absolute())
        check_relative(path.as_posix(), parameter)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{parameter}={str(name)!r}: expected a path inside data_root={root}") from None
    return root / path


def _search(root: Path) -> list[Path]:
    try:
        names = sorted(name for name in os.listdir(root) if not name.startswith("."))
    except OSError as error:
        raise DataError(
            f"data_root={root}: expected a folder to read, found: {error.strerror or error}; correct it"
        ) from None
    paths = [root / name for name in names if _may_hold_captions(root / name)]
    named = [path for path in paths if path.stem.lower() == "captions"]
    splits = [path for path in paths if path.stem.lower() in SPLIT_WORDS]
    if named and splits:
        raise _several(root, named + splits)
    chosen = named or splits or paths
    if not chosen:
        raise DataError(
            f"{root}: expected a caption file, {_EXPECTED}, found none; put it there or pass captions="
        )
    if len(chosen) > 1 and not splits:
        raise _several(root, chosen)
    return chosen


def _may_hold_captions(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending not in (*ENDINGS, ".txt") or not os.path.isfile(path):
        return False
    return ending != ".txt" or has_header(path)


def _several(root: Path, paths: Sequence[Path]) -> DataError:
    names = ", ".join(path.name for path in paths[:8]) + (", ..." if len(paths) > 8 else "")
    return DataError(
        f"{root}: expected one caption file, or one for each of train, val and test, found {names}; "
        f"pass captions='{paths[0].name}' or another of them"
    )


def image_names(tables: Iterable[tuple[Table, str | None]]) -> dict[str, tuple[str, str]]:
    """Image names as written, each with the same as a path with slashes, and where it stands first."""
    names: dict[str, tuple[str, str]] = {}
    for table, _ in tables:
        for row in table.rows:
            if row.image not in names:
                where = table.where(row)
                if not row.image:
                    raise DataError(
                        f"{where}: expected the name of an image, found an empty field; fill it in"
                    )
                names[row.image] = _as_path(check_relative(row.image, where)), where
    return names


def _as_path(name: str) -> str:
    path = name.replace("\\", "/")
    return posixpath.normpath(path) if "./" in path or "//" in path or path.endswith(("/", "/.")) else path


@dataclass
class Images:
    """The folder of the images, the file of each name, and what else lies beside these files."""

    folder: Path
    paths: Mapping[str, tuple[str, str]]
    files: dict[str, str] = field(default_factory=dict)
    listed: dict[str, set[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)

    def file(self, name: str) -> str:
        """The file of an image name; the name as a path where there is none."""
        path = self.paths[name][0]
        return self.files.get(path, path)

    def there(self, file: str) -> bool:
        """Whether a file exists."""
        folder, _, name = file.rpartition("/")
        return name in self.listed.get(folder, ())

    def notes(self, used: Collection[str]) -> list[str]:
        """A note where images lie in the same folders and have no caption."""
        images = (
            f"{folder}/{name}" if folder else name
            for folder, names in self.listed.items()
            for name in names
            if name.lower().endswith(IMAGE_ENDINGS)
        )
        bare = sorted(set(images).difference(used))
        if not bare:
            return []
        shown = ", ".join(bare[:3]) + (", ..." if len(bare) > 3 else "")
        # A name on disk need not be UTF-8; notes are written to files.
        shown = shown.encode("utf-8", "replace").decode("utf-8")
        return [f"left out: {counted(len(bare), 'image')} without caption ({shown})"]


def find_images(
    root: Path,
    images: str | os.PathLike[str] | None,
    names: Mapping[str, tuple[str, str]],
    demand: bool,
) -> Images:
    """Find the folder that holds most of the images, and the file of each name in it.

    Names without ending are matched to the only file with a usual ending.

    Raises:
        ConfigError: ``images`` leaves the root.
        DataError: ``images`` is no folder; with ``demand``, an image has no file or several could be meant.
    """
    if images is not None:
        folder = _inside(root, images, "images")
        if demand and not os.path.isdir(folder):
            raise DataError(f"{folder}: expected the folder of the images, found none; correct images=")
        folders = [folder]
    else:
        folders = [root / name for name in _FOLDERS if os.path.isdir(root / name)]
    found = max((_look(folder, names) for folder in folders), key=lambda candidate: len(candidate.files))
    if demand:
        _check(found, folders)
    return found


def _look(folder: Path, names: Mapping[str, tuple[str, str]]) -> Images:
    found = Images(folder, names)
    stems: dict[str, dict[str, list[str]]] = {}
    for path, _ in names.values():
        inner, _, name = path.rpartition("/")
        if inner not in found.listed:
            try:
                found.listed[inner] = set(os.listdir(folder / inner))
            except OSError:
                found.listed[inner] = set()
        there = found.listed[inner]
        if name in there:
            found.files[path] = path
        elif there and not name.lower().endswith(IMAGE_ENDINGS):
            if inner not in stems:
                stems[inner] = _by_stem(there)
            choices = stems[inner].get(name, [])
            if len(choices) == 1:
                found.files[path] = f"{inner}/{choices[0]}" if inner else choices[0]
            elif choices:
                found.choices[path] = choices
    return found


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    stems: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, ending = posixpath.splitext(name)
        if ending.lower() in IMAGE_ENDINGS:
            stems.setdefault(stem, []).append(name)
    return stems


def _check(found: Images, folders: Sequence[Path]) -> None:
    """DataError at the first image that has no file."""
    missing = [(path, where) for path, where in found.paths.values() if path not in found.files]
    if not missing:
        return
    path, where = missing[0]
    count = f"{len(missing):,} of {len(found.paths):,} images are missing"
    if path in found.choices:
        raise DataError(
            f"{where}: expected one file for image {path!r} in {found.folder}, found "
            f"{', '.join(found.choices[path])}; write the ending in the caption file"
        )
    if not found.files:
        where_looked = ", ".join(str(folder) for folder in folders)
        raise DataError(
            f"{where}: expected image {path!r} in one of {where_looked}, found it in none ({count}); "
            "put the images there or pass images="
        )
    inner, _, name = path.rpartition("/")
    alike = next((other for other in sorted(found.listed[inner]) if _folded(other) == _folded(name)), None)
    hint = f" (but {alike!r}, which is written differently)" if alike else ""
    raise DataError(
        f"{where}: expected image {path!r} in {found.folder}, found no such file{hint}; {count}: put them "
        "there, or pass subset=True to leave them out"
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
