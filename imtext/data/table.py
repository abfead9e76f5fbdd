"""Tables of captions, row by row: CSV with any usual delimiter, JSON Lines, JSON.

Columns go by the names that are usual in this field. Nothing is guessed: two columns that could both be the
caption, or none, are an error that names what was found. The delimiter is read off the header. A file of tabs
has no quoting, unless it is named ``.csv``: a quotation mark is one, and a line is a row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imtext.data.assemble import Picture
from imtext.data.files import relative
from imtext.data.text import clean, decode, lines, read_json, read_text
from imtext.errors import ConfigError, DataError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "image": "image image_name filename file_name file filepath file_path image_path img img_path path",
        "caption": "caption captions sentence sentences text raw comment description title",
        "split": "split",
        "group": "group identity person_id",
    }.items()
}
"""Usual names of the columns."""
_NUMBERED = re.compile(r"(?:caption|sentence|comment|description)_?\d+")
_LISTS = ("captions", "sentences", "raw")  # columns whose cells may be JSON lists
_KAGGLE = ["image_name", "comment_number", "comment"]
_GLUED = re.compile(r"\s*(\d+)\s+(\S.*)", re.DOTALL)  # one row of Kaggle's Flickr30k lacks a delimiter


def read_table(path: Path, columns: Mapping[str, str | None] | None = None) -> list[Picture]:
    """The rows of a caption file, in their order, each as a picture with the ``id`` of that column.

    Args:
        path: a file that ends in ``.jsonl`` or ``.json`` (a list of objects, or one a line), or a table with
            any delimiter.
        columns: own names for ``image``, ``caption``, ``split`` or ``group``; None ignores a split or group.

    Raises:
        ConfigError: ``columns`` is of another form.
        DataError: the file is not readable, not UTF-8, broken, or lacks a column; a row has too few or too
            many fields, or an image or caption that is no text.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "captions.csv")
    >>> _ = path.write_text('image,caption\\na.jpg,"A dog, running."\\n', encoding="utf-8")
    >>> read_table(path)[0].captions
    ['A dog, running.']
    """
    columns = _checked(columns or {})
    found = list(_rows(path))
    if not found:
        raise DataError(f"{path}: expected rows with an image and a caption, found none; add them")
    roles = _roles(path, list(dict.fromkeys(name for _, row in found for name in row)), columns)
    said = roles["caption"]
    lists = said[0] in _LISTS and all(str(row.get(said[0])).lstrip().startswith("[") for _, row in found)
    rows = []
    for where, row in found:
        values = {role: [row.get(name) for name in names] for role, names in roles.items()}
        captions = values["caption"]
        if lists and isinstance(captions[0], str):
            captions = [decode(captions[0], list[str], f"{where}, a JSON list of captions")]
        captions = [one for value in captions for one in (value if isinstance(value, list) else [value])]
        if len(said) > 1:  # of numbered columns some may be empty
            captions = [one for one in captions if one and str(one).strip()] or [""]
        image = values["image"][0]
        if not all(isinstance(one, str) for one in (image, *captions)) or not image.strip():
            raise DataError(
                f"{where}: expected the name of an image and a caption (or a list of them) as text, found "
                f"{str(image)[:40]!r} and {str(captions)[:60]}; correct it"
            )
        picture = Picture(relative(image.strip(), where), [clean(one) for one in captions], "", where)
        for role in values.keys() - {"image", "caption"}:
            value = values[role][0]
            setattr(picture, role, "" if value is None else str(value).strip())
        rows.append(picture)
    return rows


def _checked(columns: Any) -> Mapping[str, str | None]:
    """``columns`` with the names as they are compared; also as pairs, the form in which a run keeps it."""
    try:
        given = dict(columns)
        if not set(given) <= set(COLUMNS) or None in (given.get("image", ""), given.get("caption", "")):
            raise ValueError
        return {role: name if name is None else _plain(name) for role, name in given.items()}
    except (TypeError, ValueError, AttributeError):
        raise ConfigError(
            f"columns={columns!r}: expected a mapping from {', '.join(COLUMNS)} to names of columns, "
            "such as {'caption': 'title'}; None ignores a split or group"
        ) from None


def _plain(name: str) -> str:
    """A column name as it is compared."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _roles(path: Path, names: list[str], columns: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Which columns are which; DataError where that is open."""
    roles: dict[str, list[str]] = {}
    for role, usual in COLUMNS.items():
        wanted = (columns[role],) if role in columns else usual
        at = [name for name in names if name in wanted]
        numbered = [name for name in names if role == "caption" and _NUMBERED.fullmatch(name)]
        if numbered and not at and role not in columns:
            at = numbered
        elif len(at) > 1 or (not at and (role in ("image", "caption") or columns.get(role))):
            raise DataError(
                f"{path}: expected one column with the {role} ({', '.join(map(str, wanted))}), found "
                f"{', '.join(at) or 'none of these'} among {', '.join(map(repr, names[:12]))}; rename one or "
                f"pass columns={{{role!r}: {(at or ['NAME'])[0]!r}}}"
            )
        if any(at == other for other in roles.values()):
            raise ConfigError(
                f"columns={columns!r}: expected different columns, found {at} with two meanings"
            )
        if at:
            roles[role] = at
    if "id" in names and "group" not in roles and "group" not in columns and ["id"] not in roles.values():
        roles["id"] = ["id"]
    return roles


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row by column, and words that name it."""
    ending = path.suffix.lower()
    if ending not in (".json", ".jsonl"):
        yield from _delimited(path, ending)
    elif ending == ".json" and not read_text(path).lstrip().startswith("{"):
        for i, row in enumerate(read_json(path, list[dict[str, Any]])):
            yield f"{path}, entry {i}", {_plain(name): value for name, value in row.items()}
    else:
        for where, line in lines(path):
            row = decode(line, dict[str, Any], f"{where}, one JSON object a line")
            yield where, {_plain(name): value for name, value in row.items()}


def _delimited(path: Path, ending: str) -> Iterator[tuple[str, dict[str, str]]]:
    text = read_text(path)
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",\t;|", key=lambda one: (_known(header.split(one)), header.count(one)))
    quoting = csv.QUOTE_NONE if delimiter == "\t" and ending != ".csv" else csv.QUOTE_MINIMAL
    # A blank may stand between comma and quote, but not where a blank belongs to the delimiter ("| ").
    form = {"delimiter": delimiter, "quoting": quoting, "skipinitialspace": delimiter in ",;"}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, **form)
    names: list[str] = []
    line = 1
    try:
        for cells in reader:
            where, line = f"{path}, line {line}", reader.line_num + 1
            if len(cells) < 2 and not "".join(cells).strip():
                continue
            if not names:
                names = [_plain(cell) for cell in cells]
                if len(set(filter(None, names))) < len(list(filter(None, names))):
                    raise DataError(f"{where}: expected different names of columns, found {', '.join(names)}")
                continue
            glued = _GLUED.fullmatch(cells[-1]) if names == _KAGGLE and len(cells) == 2 else None
            cells = [cells[0], *glued.groups()] if glued else cells
            if len(cells) != len(names):
                raise DataError(
                    f"{where}: expected {len(names)} fields ({', '.join(names)}), found {len(cells)}: "
                    f"{', '.join(cell[:40] for cell in cells)}; put quotes round a field that holds "
                    f"{delimiter!r}, or add what is missing"
                )
            yield where, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: expected fields with closed quotes, found: {error}; "
            'close the quote, and write a quote inside a quoted field twice ("")'
        ) from None


def _known(cells: Sequence[str]) -> int:
    """How many columns of a header have a usual name."""
    names = {_plain(cell.strip('" \r')) for cell in cells}
    return sum(not names.isdisjoint(usual) for usual in COLUMNS.values())
