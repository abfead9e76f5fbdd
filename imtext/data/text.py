"""Files of others as text, as numbered lines and as typed JSON; an error is one line that names the file."""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from imtext.errors import DataError

Form = TypeVar("Form")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark; DataError names the line that is neither."""
    if not os.path.isfile(path):  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected a file, found none; put the file there")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, found: {error.strerror or error}; correct it"
        ) from None
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
