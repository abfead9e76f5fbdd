"""What caption tables of one's own data share: rows, and which column is which.

Columns go by the names that are usual in this field. Nothing is guessed: two columns that could both be the
caption, or none, are an error that names what was found.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from imtext.errors import ConfigError, DataError

ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
USUAL: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "image_name", "filename", "file_name", "file"),
        *("filepath", "file_path", "image_path", "img", "img_path", "path"),
    ),
    "caption": (
        *("caption", "captions", "sentence", "sentences", "text"),
        *("raw", "comment", "description", "title"),
    ),
    "split": ("split",),
    "group": ("group", "identity", "person_id"),
}
NEEDED = ("image", "caption")
# Not a role that can be asked for: the person of an image, if it turns out to be one.
PERHAPS_GROUP = "id"


class Row(NamedTuple):
    """One row: image name as written, its captions, split and group where given, and the line (or entry)."""

    image: str
    captions: Sequence[str]
    split: str | None
    group: str | None
    number: int


@dataclass
class Table:
    """The rows of one caption file; ``unit`` says what their numbers count.

    ``by_id``: whether the groups of the rows are what stands under ``id``, which may be anything.
    """

    path: Path
    unit: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    by_id: bool = False

    def where(self, row: Row) -> str:
        """File and line of a row, as error messages name it."""
        return f"{self.path}, {self.unit} {row.number}"


def check_columns(columns: Mapping[str, str | None]) -> None:
    """ConfigError unless ``columns`` maps roles to names of columns."""
    good = isinstance(columns, Mapping) and all(
        key in USUAL and (isinstance(value, str) or (value is None and key not in NEEDED))
        for key, value in columns.items()
    )
    if not good:
        raise ConfigError(
            f"columns={columns!r}: expected a mapping from {', '.join(USUAL)} to names of columns, "
            "such as {'caption': 'title'}; None ignores a split or group"
        )


def plain_name(name: str) -> str:
    """A column name as it is compared.

    >>> plain_name(" File Name")
    'file_name'
    """
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _wanted(role: str, columns: Mapping[str, str | None]) -> tuple[str, ...]:
    if role not in columns:
        return USUAL[role]
    name = columns[role]
    return () if name is None else (plain_name(name),)


def score(names: Sequence[str], columns: Mapping[str, str | None]) -> int:
    """How many of the two needed columns the names hold."""
    plain = {plain_name(name) for name in names}
    return sum(not plain.isdisjoint(_wanted(role, columns)) for role in NEEDED)


def places_of(
    path: Path, names: Sequence[str], columns: Mapping[str, str | None], word: str
) -> dict[str, int]:
    """Position of each role among the names, and of an ``id`` where no group is named.

    DataError where it is open which is meant.
    """
    plain = [plain_name(name) for name in names]
    places: dict[str, int] = {}
    for role in USUAL:
        wanted = _wanted(role, columns)
        at = [i for i, name in enumerate(plain) if name in wanted]
        if len(at) == 1:
            places[role] = at[0]
        elif at or role in NEEDED or columns.get(role) is not None:
            example = names[at[0]] if at else "NAME"
            fix = f"rename {'the others' if at else 'one'} or pass columns={{{role!r}: {example!r}}}"
            raise DataError(
                f"{path}: expected one {word} with the {role} ({', '.join(wanted)}), found "
                f"{f'{len(at)} of them among' if at else 'none of these among'} {listed(names)}; {fix}"
            )
    if len(set(places.values())) < len(places):
        raise ConfigError(
            f"columns={dict(columns)!r}: expected different columns, found one with two meanings"
        )
    if "group" not in places and "group" not in columns and plain.count(PERHAPS_GROUP) == 1:
        place = plain.index(PERHAPS_GROUP)
        if place not in places.values():
            places[PERHAPS_GROUP] = place
    return places


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """The first names (or cells) as an error message shows them."""
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return shown + (", ..." if len(names) > 12 else "")


def texts(
    values: Sequence[object], where: str, what: str = "a caption or a list of captions"
) -> tuple[str, ...]:
    """The values of a JSON field, which must all be text that a file can hold."""
    for value in values:
        if not isinstance(value, str):
            found = "nothing" if value is None else type(value).__name__
            raise DataError(f"{where}: expected {what} as text, found {found}; correct it")
        # JSON can write half of a character, which no file can hold.
        if "\0" in value or not (value.isascii() or value.isprintable() or _encodes(value)):
            raise DataError(
                f"{where}: expected {what} as text, found {value[:60]!r} with a NUL or half a character; "
                "correct it"
            )
    return tuple(values)


def _encodes(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def bare(file: str) -> str:
    """A file name without the ending, if that is one of an image; other dots belong to the name.

    >>> bare("a/photo.001.jpg"), bare("a/photo.001")
    ('a/photo.001', 'a/photo.001')
    """
    stem, ending = posixpath.splitext(file)
    return stem if ending.lower() in IMAGE_ENDINGS else file
