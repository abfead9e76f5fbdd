"""Caption files of one's own data, row by row with their line numbers; here CSV in all its forms.

The delimiter is read off the header: comma, tab, semicolon or pipe. A file of tabs has no quoting, unless it
is named ``.csv``: a quotation mark is one, and a line is a row.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imtext.data.common import read_text
from imtext.data.own_columns import (
    ENDINGS,
    IMAGE_ENDINGS,
    NEEDED,
    PERHAPS_GROUP,
    Row,
    Table,
    check_columns,
    counted,
    listed,
    places_of,
    plain_name,
    score,
    texts,
)
from imtext.data.own_json import read_json_lines, read_json_table
from imtext.errors import DataError

_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
_LIST_COLUMNS = ("captions", "sentences", "raw")
_KAGGLE_COLUMNS = ["image_name", "comment_number", "comment"]
_KAGGLE_ROW = re.compile(r"\s*(\d+)\s+(\S.*)", re.DOTALL)


def read_table(path: Path, columns: Mapping[str, str | None]) -> Table:
    """The rows of a caption file, in their order.

    Args:
        path: a file that ends in ``.csv``, ``.tsv``, ``.txt`` (all three: any delimiter), ``.jsonl`` or
            ``.json``.
        columns: own column names for ``image``, ``caption``, ``split`` or ``group``; None ignores a column.

    Raises:
        ConfigError: ``columns`` is of another form or names a column that is not there.
        DataError: the file is not readable, not UTF-8, broken, of another dataset, or lacks a column; a row
            has too few or too many fields.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "captions.csv")
    >>> _ = path.write_text('image,caption\\na.jpg,"A dog, running."\\n', encoding="utf-8")
    >>> read_table(path, {}).rows
    [Row(image='a.jpg', captions=('A dog, running.',), split=None, group=None, number=2)]
    """
    check_columns(columns)
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".txt"):
        table = _delimited(path, columns)
    elif ending == ".jsonl":
        table = read_json_lines(path, columns)
    elif ending == ".json":
        table = read_json_table(path, columns)
    else:
        raise DataError(
            f"{path}: expected a caption file that ends in {', '.join(ENDINGS)} or .txt, found "
            f"{path.suffix or 'no ending'!r}; rename it to what it is"
        )
    if not table.rows:
        raise DataError(f"{path}: expected rows with an image and a caption, found none; add them")
    return table


def has_header(path: Path) -> bool:
    """Whether the first line of a file names an image and a caption column."""
    try:
        with path.open("rb") as file:
            line = file.readline(10_000)
    except OSError:
        return False
    first = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    return score(_cells(first, _sniff(first, {})), {}) == len(NEEDED)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return line.split(delimiter)


def _sniff(header: str, columns: Mapping[str, str | None]) -> str:
    """The delimiter that makes most sense of the header."""

    def sense(delimiter: str) -> tuple[int, int]:
        cells = _cells(header, delimiter)
        return score(cells, columns), len(cells)

    return max(_DELIMITERS, key=sense)


def _delimited(path: Path, columns: Mapping[str, str | None]) -> Table:
    text = read_text(path)
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise DataError(
            f"{path}, line {line}: expected text, found a NUL byte; save the file as UTF-8 text again"
        )
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "").strip("\r\n")
    delimiter = _sniff(first, columns)
    records = _records(path, text, delimiter)
    _, names = next(records, (1, []))
    _check_header(path, names, columns)
    places = places_of(path, names, columns, "column")
    table = Table(path, "line", [], by_id=PERHAPS_GROUP in places)
    group_at = places.get("group", places.get(PERHAPS_GROUP))
    lengthy = []
    for number, cells in _whole(table, records, names, delimiter):
        caption = cells[places["caption"]]
        if "\n" in caption or "\r" in caption:
            lengthy.append(number)
        split = cells[places["split"]].strip() or None if "split" in places else None
        group = None if group_at is None else cells[group_at].strip() or None
        table.rows.append(Row(cells[places["image"]].strip(), (caption,), split, group, number))
    if lengthy:
        table.notes.append(
            f"{path.name}: {counted(len(lengthy), 'caption')} over several lines (first: line {lengthy[0]})"
        )
    if plain_name(names[places["caption"]]) in _LIST_COLUMNS:
        _unfold(table)
    return table


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record that is not blank."""
    quoting = csv.QUOTE_MINIMAL if _has_quotes(path, delimiter) else csv.QUOTE_NONE
    # A blank may stand between comma and quote, but not where a blank belongs to the delimiter ("| ").
    form = {"delimiter": delimiter, "quoting": quoting, "skipinitialspace": delimiter in ",;"}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, **form)
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: expected fields with closed quotes, found: {error}; "
            'close the quote, and write a quote inside a quoted field twice ("")'
        ) from None


def _has_quotes(path: Path, delimiter: str) -> bool:
    return delimiter != "\t" or path.suffix.lower() == ".csv"


def _check_header(path: Path, names: Sequence[str], columns: Mapping[str, str | None]) -> None:
    """A file that begins with data, not with names, gets a message of its own."""
    if score(names, columns) or not names:
        return
    cell = names[0].strip()
    name, number, digits = cell.rpartition("#")
    token = bool(number) and digits.isdigit()
    if (name if token else cell).lower().endswith(IMAGE_ENDINGS):
        fix = (
            "this is a token file, load it with dataset='flickr8k' or 'flickr30k'"
            if token
            else "add the line image,caption on top"
        )
        raise DataError(f"{path}, line 1: expected the names of the columns, found {listed(names)}; {fix}")


def _whole(
    table: Table, records: Iterable[tuple[int, list[str]]], names: Sequence[str], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """The records with as many fields as there are columns; DataError at any other."""
    width = len(names)
    kaggle = delimiter == "|" and [plain_name(name) for name in names] == _KAGGLE_COLUMNS
    for number, cells in records:
        if len(cells) != width:
            match = _KAGGLE_ROW.fullmatch(cells[1]) if kaggle and len(cells) == 2 else None
            if match is None:
                word = _DELIMITERS[delimiter]
                fix = "add what is missing"
                if len(cells) > width and _has_quotes(table.path, delimiter):
                    fix = f"put quotes round a field that holds a {word}"
                elif len(cells) > width:
                    fix = "write a blank for a tab within a field"
                raise DataError(
                    f"{table.path}, line {number}: expected {width} fields separated by a {word} "
                    f"({listed(names)}), found {len(cells)}: {listed(cells)}; {fix}"
                )
            table.notes.append(
                f"{table.path.name}, line {number}: the delimiter between comment_number and comment is "
                f"missing; read as {match[1]} and {match[2][:40]!r}"
            )
            cells = [cells[0], match[1], match[2]]
        yield number, cells


def _unfold(table: Table) -> None:
    """Cells that are all JSON lists of captions become these captions."""
    rows = table.rows
    if not rows or not all(row.captions[0].lstrip()[:1] == "[" for row in rows):
        return
    for i, row in enumerate(rows):
        try:
            captions = json.loads(row.captions[0])
        except (ValueError, RecursionError):
            captions = None
        if not isinstance(captions, list):
            raise DataError(
                f"{table.where(row)}: expected a JSON list of captions, as the column suggests, found "
                f"{row.captions[0][:60]!r}; write one caption a row, or lists as JSON"
            )
        rows[i] = row._replace(captions=texts(captions, table.where(row)))
    table.notes.append(f"{table.path.name}: each row holds a JSON list of captions")
