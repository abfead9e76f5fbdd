"""Checks a file of printed numbers, so that a slip of the pen is found in a test and not in a table."""

from __future__ import annotations

from typing import Any

from imtext.errors import DataError

_PAPER = {
    "paper": str,
    "title": str,
    "authors": str,
    "year": int,
    "venue": str,
    "arxiv": str,
    "tables": dict,
    "values": dict,
    "claims": list,
}
_TABLE = {"caption": str, "section": str, "dataset": str, "split": str, "columns": list, "rows": list}
_TABLE_MAY = {"prose": list, "notes": list, "ours": list}
_COLUMN = {"id": str, "group": str, "label": str, "better": str}
_ROW = {"id": str, "label": str, "values": list}
_FILLED = {"run": str, "read": str, "over": str, "where": str}
_ROW_MAY = {"block": str, "own": bool, "visual": str, "textual": str, "stage": str, **_FILLED}
_OURS = {"id": str, "label": str, "run": str}
_PROSE = {"row": str, "column": str, "value": (int, float)}
_CLAIM = {"id": str, "text": str, "section": str, "paper": str, "test": str}
_CLAIM_MAY = {**dict.fromkeys(("bounds", "compare", "needs", "fails"), list), "table": str, "size": str}
_COMPARED = {"pairs": list}
_COMPARED_MAY = {
    "k": (int, str),
    **dict.fromkeys(("split", "label", "table"), str),
    "sides": list,
    **dict.fromkeys(("phrases", "ap"), bool),
}
_VALUES = {"caption": str, "section": str, "numbers": dict}
_VALUE = {"value": (int, float), "what": str}
_SUM = {"said": str, "section": str, "claimed": (int, float, list)}
_SUM_MAY = {"how": str, "table": str, "columns": list, "pairs": list, "numbers": list}
_UNTESTED = dict.fromkeys(("text", "section", "because"), str)


def _fields(item: Any, where: str, must: dict[str, Any], may: dict[str, Any] | None = None) -> None:
    """Every field that must be there is, each is of its type, and no other is there."""
    if not isinstance(item, dict):
        raise DataError(f"{where}: expected a mapping, found {type(item).__name__}; mend the file")
    known = {**must, **(may or {})}
    for key in must:
        if key not in item:
            raise DataError(f"{where}: field {key!r} is missing; add it")
    for key, value in item.items():
        if key not in known:
            raise DataError(f"{where}: unknown field {key!r}; expected some of {', '.join(known)}")
        # bool is a subclass of int, and a "yes" where a number belongs is a mistake.
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            kinds = known[key] if isinstance(known[key], tuple) else (known[key],)
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise DataError(f"{where}: field {key!r} should be {expected}, found {value!r}; mend it")


def _bounds(column: dict[str, Any]) -> tuple[float, float]:
    """The numbers that a cell may hold: an R-sum, seconds, a rank, or a recall in percent."""
    if column["id"] == "rsum":
        return 0.0, 600.0
    if "seconds" in column["id"].split("_"):
        return 0.0, float("inf")
    return (1.0, float("inf")) if column["better"] == "low" else (0.0, 100.0)


def _number(value: Any, column: dict[str, Any], where: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: expected a number or null, found {value!r}; mend it")
    low, high = _bounds(column)
    if not low <= value <= high:
        raise DataError(
            f"{where}: expected a number from {low:g} to {high:g}, found {value!r}; compare with the paper"
        )


def _unique(ids: list[str], where: str) -> None:
    twice = sorted({item for item in ids if ids.count(item) > 1})
    if twice:
        raise DataError(f"{where}: id {twice[0]!r} stands there more than once; ids must be unique")


def _check_prose(table: dict[str, Any], where: str) -> None:
    columns = {column["id"]: number for number, column in enumerate(table["columns"])}
    rows = {row["id"]: row for row in table["rows"]}
    for number, item in enumerate(table.get("prose", ()), start=1):
        place = f"{where}, prose {number}"
        _fields(item, place, _PROSE, {"section": str, "by": str})
        if item["row"] not in rows or item["column"] not in columns:
            raise DataError(
                f"{place}: no cell ({item['row']!r}, {item['column']!r}) in this table; mend the ids"
            )
        position = columns[item["column"]]
        _number(item["value"], table["columns"][position], place)
        if rows[item["row"]]["values"][position] is not None:
            raise DataError(
                f"{place}: the table itself prints ({item['row']!r}, {item['column']!r}); remove one of them"
            )


def _check_table(table: Any, where: str) -> None:
    _fields(table, where, _TABLE, _TABLE_MAY)
    for number, column in enumerate(table["columns"], start=1):
        _fields(column, f"{where}, column {number}", _COLUMN, {"digits": int})
        if column["better"] not in ("high", "low"):
            raise DataError(
                f"{where}, column {number}: 'better' should be high or low, found {column['better']!r}"
            )
    for number, row in enumerate(table["rows"], start=1):
        place = f"{where}, row {row.get('id', number) if isinstance(row, dict) else number}"
        _fields(row, place, _ROW, _ROW_MAY)
        if len(row["values"]) != len(table["columns"]):
            raise DataError(
                f"{place}: expected {len(table['columns'])} values, found {len(row['values'])}; null is none"
            )
        for value, column in zip(row["values"], table["columns"], strict=True):
            _number(value, column, f"{place}, {column['id']}")
    _unique([column["id"] for column in table["columns"]], f"{where}, columns")
    for number, row in enumerate(table.get("ours", ()), start=1):
        _fields(row, f"{where}, ours {number}", _OURS, _FILLED)
    _unique([row["id"] for row in (*table["rows"], *table.get("ours", ()))], f"{where}, rows")
    known = {row["id"] for row in (*table["rows"], *table.get("ours", ()))}
    for row in (*table["rows"], *table.get("ours", ())):
        if row.get("over", row["id"]) not in known:
            raise DataError(f"{where}, row {row['id']}: over {row['over']!r} is no row; mend the id")
    _check_prose(table, where)
    for note in table.get("notes", ()):
        if not isinstance(note, str):
            raise DataError(f"{where}: a note should be text, found {note!r}; put it in quotes")


def _check_claim(claim: Any, where: str) -> None:
    _fields(claim, where, _CLAIM, _CLAIM_MAY)
    for number, item in enumerate(claim.get("compare", ()), start=1):
        _fields(item, f"{where}, compare {number}", _COMPARED, _COMPARED_MAY)
    if "bounds" in claim:
        low, high = claim["bounds"]
        if not low < high:
            raise DataError(f"{where}: bounds should rise, found {claim['bounds']}; mend them")


def check_paper(document: Any, name: str) -> None:
    """Raise DataError, naming file `name` and the place, unless the document is a well-formed file of
    numbers.

    >>> check_paper({"paper": "x"}, "x.yaml")
    Traceback (most recent call last):
    imtext.errors.DataError: x.yaml: field 'title' is missing; add it
    """
    _fields(document, name, _PAPER, {"arithmetic": list, "untested": list})
    for number, table in document["tables"].items():
        if not isinstance(number, str):
            raise DataError(f"{name}: table number {number!r} should be text; put it in quotes")
        _check_table(table, f"{name}: Table {number}")
    for key, values in document["values"].items():
        where = f"{name}: values {key}"
        _fields(values, where, _VALUES)
        for item, value in values["numbers"].items():
            _fields(value, f"{where}, {item}", _VALUE, {"here": str})
    for key, must, may in (("arithmetic", _SUM, _SUM_MAY), ("untested", _UNTESTED, None)):
        for number, item in enumerate(document.get(key, ()), start=1):
            _fields(item, f"{name}: {key} {number}", must, may)
    for number, claim in enumerate(document["claims"], start=1):
        _check_claim(claim, f"{name}: claim {number}")
    _unique([claim["id"] for claim in document["claims"]], f"{name}: claims")
