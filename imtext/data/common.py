"""What the readers share: text files, image folders, and the step from raw rows to a Dataset."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import UnionType

import numpy as np

from imtext.data.schema import SPLITS, Dataset, check_relative
from imtext.errors import ConfigError, DataError, one_line

ON_EMPTY = ("raise", "skip")


@dataclass
class Photo:
    """One image as a reader found it: file name, id, split, captions and where in the source it stands.

    ``group`` is any number that the images of one person share; None where each image is a group of its own.
    """

    file: str
    id: str
    split: str
    captions: list[str] = field(default_factory=list)
    where: str = ""
    group: int | None = None


def data_folder(data_root: str | os.PathLike[str], name: str, needs: str) -> Path:
    """The data root as a Path; DataError if it is not a folder."""
    root = Path(os.path.expanduser(data_root))
    if not os.path.isdir(root):
        found = "a file" if os.path.exists(root) else "nothing"
        raise DataError(
            f"data_root={root}: expected a folder with {needs} for {name}, found {found}; correct data_root"
        )
    return root


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; DataError names the line that is not UTF-8."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: expected a readable file, found: {reason}; put the file there") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: expected UTF-8, found byte 0x{raw[error.start]:02x}; "
            "convert the file to UTF-8"
        ) from None


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are not blank. Only line feeds end a line: captions may hold U+2028."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def read_json(path: Path) -> object:
    """The content of a JSON file; DataError says where the file is cut off or broken."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: expected complete JSON, found {_short(error)} at line {error.lineno}, "
            f"column {error.colno} of {len(text):,} characters; fetch the file again"
        ) from None
    except (RecursionError, ValueError):
        raise DataError(
            f"{path}: expected complete JSON, found it nested too deep or with numbers too long; "
            "fetch the file again"
        ) from None


def read_json_lines(path: Path, hint: str = "correct the line") -> list[dict]:
    """The objects of a file with one JSON object a line; DataError names the line that holds none."""
    objects = []
    for number, line in read_lines(path):
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            found = f"{_short(error)} at column {error.colno}"
        except (RecursionError, ValueError):
            found = "JSON nested too deep or with numbers too long"
        if not isinstance(found, dict):
            shown = found if isinstance(found, str) else type(found).__name__
            raise DataError(
                f"{path}: expected one JSON object a line, found {shown} in line {number}; {hint}"
            )
        objects.append(found)
    return objects


def _short(error: json.JSONDecodeError) -> str:
    """What is wrong, without the "at" that some of these messages end in."""
    return error.msg.removesuffix(" at")


def list_in(content: object, key: str, path: Path) -> list:
    """The non-empty list ``content[key]`` of a JSON file; DataError where there is none.

    >>> list_in({"images": [1]}, "images", Path("x.json"))
    [1]
    """
    found = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(found, list) or not found:
        raise DataError(f"{path}: expected an object with a non-empty list {key!r}; fetch the file again")
    return found


def check_fields(entry: object, where: str, fields: Mapping[str, type]) -> None:
    """DataError unless ``entry`` is an object in which each field has its type (a bool is no int).

    >>> check_fields({"id": 7}, "x.json, images[0]", {"id": int})
    >>> check_fields({"id": "7"}, "x.json, images[0]", {"id": int})
    Traceback (most recent call last):
    imtext.errors.DataError: x.json, images[0]: expected 'id' as int, found str; correct the entry
    """
    if not isinstance(entry, Mapping):
        raise DataError(f"{where}: expected an object, found {type(entry).__name__}; correct the entry")
    for key, kind in fields.items():
        value = entry.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            found = type(value).__name__ if key in entry else "nothing"
            raise DataError(f"{where}: expected {key!r} as {kind.__name__}, found {found}; correct the entry")


def check_optional(entry: Mapping, where: str, fields: Mapping[str, type | UnionType]) -> None:
    """DataError unless each field that is there, and not null, has its type (a bool is no int).

    >>> check_optional({"cocoid": None}, "x.json, images[0]", {"cocoid": int | str})
    >>> check_optional({"cocoid": [7]}, "x.json, images[0]", {"cocoid": int | str})
    Traceback (most recent call last):
    imtext.errors.DataError: x.json, images[0]: expected 'cocoid' as int or str, found list; correct the entry
    """
    for key, kind in fields.items():
        value = entry.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            names = " or ".join(each.__name__ for each in getattr(kind, "__args__", (kind,)))
            found = type(value).__name__
            raise DataError(f"{where}: expected {key!r} as {names}, found {found}; correct the entry")


def clean(caption: str) -> str:
    """One caption with every run of white space as one blank and composed accents (Unicode's NFC).

    >>> clean("  A dog\\n runs . ")
    'A dog runs .'
    """
    return " ".join(unicodedata.normalize("NFC", caption).split())


def files_under(root: Path, names: Iterable[str]) -> set[str]:
    """Those of the relative ``names`` that exist under ``root``; each folder is listed once."""
    folders: dict[str, set[str]] = {}
    found = set()
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder not in folders:
            try:
                folders[folder] = set(os.listdir(root / folder))
            except (OSError, ValueError):  # ValueError: a name that no file system takes
                folders[folder] = set()
        if file in folders[folder]:
            found.add(name)
    return found


def image_folder(root: Path, candidates: Sequence[str], names: Sequence[str]) -> Path:
    """The candidate folder that holds most of the first hundred images (the first one on a tie)."""
    probe = names[:100]
    folders = [root / candidate for candidate in candidates if (root / candidate).is_dir()]
    if not folders:
        raise DataError(
            f"{root}: expected a folder of images named {' or '.join(candidates)}, "
            "found none; put the images there"
        )
    # os.path.isfile, unlike Path.is_file, is also False for a name longer than the file system takes.
    return max(folders, key=lambda folder: sum(os.path.isfile(folder / name) for name in probe))


def check_counts(photos: Sequence[Photo], expected: Mapping[str, int], source: Path) -> None:
    """DataError unless every split has the number of images that its publisher states."""
    counts = Counter(photo.split for photo in photos)
    for split in SPLITS:
        if split in expected and counts[split] != expected[split]:
            raise DataError(
                f"{source}: expected {expected[split]:,} images in split {split}, found {counts[split]:,}; "
                "fetch the file again, or pass subset=True if it was cut on purpose"
            )


def build(
    name: str,
    root: Path,
    photos: Sequence[Photo],
    on_empty: str,
    check_files: bool,
    source: Path,
    notes: Sequence[str] = (),
) -> Dataset:
    """Check the photos a reader collected and make the Dataset.

    The groups of the photos that remain are numbered 0, 1, ... in ascending order of ``Photo.group``; where
    that is None the group of an image is the image itself.
    """
    if on_empty not in ON_EMPTY:
        raise ConfigError(f"on_empty={on_empty!r}: expected one of {ON_EMPTY}")
    for photo in photos:
        check_relative(photo.file, photo.where or str(source))
        _check_text(photo, source)
    _check_overlap(photos, source)
    if check_files:
        _check_files(root, photos, source)
    photos, more = _drop_empty(photos, on_empty, source)
    bare = next((photo for photo in photos if not photo.captions), None)
    if bare is not None:
        raise DataError(
            f"{bare.where or source}: image {bare.file} (split {bare.split}) has no caption; "
            "add its captions or take it out of the split"
        )
    try:
        return Dataset(
            name=name,
            image_root=root,
            image_files=tuple(photo.file for photo in photos),
            image_ids=tuple(photo.id for photo in photos),
            captions=tuple(caption for photo in photos for caption in photo.captions),
            image_of_caption=np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos]),
            split_of_image=np.array([photo.split for photo in photos]),
            group_of_image=_groups(photos),
            notes=tuple(map(one_line, (*notes, *more))),
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from None


def _groups(photos: Sequence[Photo]) -> np.ndarray:
    if any(photo.group is None for photo in photos):
        return np.arange(len(photos))
    # No array of the numbers themselves: beyond 64 bits NumPy would round them, and two persons become one.
    number = {group: i for i, group in enumerate(sorted({photo.group for photo in photos}))}
    return np.array([number[photo.group] for photo in photos], dtype=np.int64)


def _check_text(photo: Photo, source: Path) -> None:
    r"""DataError for half a character, which JSON can hold (``"\ud800"``) and no file or terminal takes."""
    for text in (photo.file, photo.id, *photo.captions):
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{photo.where or source}: expected text, found the lone surrogate "
                    f"U+{ord(text[error.start]):04X} in {text[:60]!r}; correct the entry"
                ) from None


def _check_overlap(photos: Sequence[Photo], source: Path) -> None:
    seen: dict[str, Photo] = {}
    for photo in photos:
        other = seen.setdefault(photo.file, photo)
        if other is photo:
            continue
        where = photo.where or source
        if other.split != photo.split:
            raise DataError(
                f"{where}: image {photo.file} is in split {other.split} and in split {photo.split}; "
                "splits must not overlap, remove it from one"
            )
        raise DataError(
            f"{where}: image {photo.file} is there twice in split {photo.split}; remove the duplicate"
        )


def _check_files(root: Path, photos: Sequence[Photo], source: Path) -> None:
    there = files_under(root, (photo.file for photo in photos))
    missing = [photo for photo in photos if photo.file not in there]
    if missing:
        first = missing[0]
        raise DataError(
            f"{root / first.file}: expected an image, since {first.where or source} has it in split "
            f"{first.split}, found no file "
            f"({len(missing):,} of {len(photos):,} images are missing); fetch the images"
        )


def _drop_empty(photos: Sequence[Photo], on_empty: str, source: Path) -> tuple[list[Photo], list[str]]:
    """Without empty captions (only if asked, and counted); images left with none go too."""
    kept, notes, captions, images = [], [], 0, 0
    for photo in photos:
        full = [caption for caption in photo.captions if caption]
        empty = len(photo.captions) - len(full)
        if empty and on_empty == "raise":
            raise DataError(
                f"{photo.where or source}: image {photo.file} has an empty caption; "
                "correct the file or pass on_empty='skip'"
            )
        captions += empty
        if empty and not full:
            images += 1
            continue
        kept.append(replace(photo, captions=full))
    if captions:
        notes.append(f"{captions} empty captions skipped, {images} images left without any caption dropped")
    return kept, notes


def stem(file: str) -> str:
    """File name without folder and ending.

    >>> stem("val2014/COCO_val2014_000000000042.jpg")
    'COCO_val2014_000000000042'
    """
    return PurePosixPath(file).stem
