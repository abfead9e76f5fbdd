"""JSON and JSON Lines of one's own data: one object an image or a caption."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from imtext.data.common import read_json, read_lines
from imtext.data.own_columns import PERHAPS_GROUP, Row, Table, listed, places_of, texts
from imtext.errors import DataError

_REID_FILES = ("reid_raw.json", "caption_all.json")


def read_json_lines(path: Path, columns: Mapping[str, str | None]) -> Table:
    """The rows of a file with one JSON object a line."""
    return _objects(path, "line", _json_lines(path), columns)


def read_json_table(path: Path, columns: Mapping[str, str | None]) -> Table:
    """The rows of a JSON list of objects, or of JSON Lines under the ending ``.json``."""
    lines = read_lines(path)
    if len(lines) > 1 and lines[0][1].startswith("{") and _is_object(lines[0][1]):
        # Some tools write JSON Lines under the ending .json.
        return read_json_lines(path, columns)
    content = read_json(path)
    _check_foreign(path, content)
    if not isinstance(content, list):
        found = (
            f"an object with {listed(list(content))}" if isinstance(content, dict) else type(content).__name__
        )
        raise DataError(
            f"{path}: expected a list of objects with image and caption, found {found}; write such a list"
        )
    return _objects(path, "entry", enumerate(content), columns)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(path: Path) -> Iterator[tuple[int, object]]:
    for number, line in read_lines(path):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or "numbers too long or nested too deep"
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, found {reason} in {line[:60]!r}; "
                "correct the line"
            ) from None


def _check_foreign(path: Path, content: object) -> None:
    """DataError that names the reader, where a file has the form of another dataset."""
    known = None
    if isinstance(content, dict):
        images = content.get("images")
        first = images[0] if isinstance(images, list) and images else None
        if isinstance(first, dict) and "sentences" in first:
            known = "in Karpathy's form", "karpathy"
        elif isinstance(images, list) and isinstance(content.get("annotations"), list):
            known = "a caption file of COCO", "coco"
    elif isinstance(content, list):
        first = content[0] if content else None
        if path.name in _REID_FILES or (isinstance(first, dict) and "processed_tokens" in first):
            known = "a file of CUHK-PEDES", "cuhk_pedes"
    if known is not None:
        raise DataError(
            f"{path}: expected a list of objects with image and caption, found {known[0]}; "
            f"load it with dataset={known[1]!r}"
        )


def _objects(
    path: Path, unit: str, entries: Iterable[tuple[int, object]], columns: Mapping[str, str | None]
) -> Table:
    table = Table(path, unit, [])
    entries = list(entries)
    for number, entry in entries:
        if not isinstance(entry, dict):
            raise DataError(
                f"{path}, {unit} {number}: expected an object with image and caption, found "
                f"{type(entry).__name__}; correct it"
            )
    if not entries:
        return table
    names = list(dict.fromkeys(key for _, entry in entries for key in entry))
    keys = {role: names[place] for role, place in places_of(path, names, columns, "field").items()}
    table.by_id = PERHAPS_GROUP in keys
    for number, entry in entries:
        where = f"{path}, {unit} {number}"
        captions = entry.get(keys["caption"])
        captions = texts(captions if isinstance(captions, list) else [captions], where)
        image = texts([entry.get(keys["image"])], where, "the name of an image")[0].strip()
        split = _name(entry.get(keys["split"]), where) if "split" in keys else None
        group = _name(entry.get(keys["group"]), where) if "group" in keys else None
        if table.by_id:
            group = _name_or_none(entry.get(keys[PERHAPS_GROUP]))
        table.rows.append(Row(image, captions, split, group, number))
    return table


def _name_or_none(value: object) -> str | None:
    """An ``id`` as text, if that is what it is."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value).strip() or None


def _name(value: object, where: str) -> str | None:
    """A split or group as text; whole numbers count as their digits."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return texts([value], where, "split and group")[0].strip() or None
