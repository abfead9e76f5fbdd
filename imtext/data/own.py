"""One's own data: any folder of images with a caption file (CSV, TSV, JSON Lines, JSON).

The shortest form is ``captions.csv`` with the columns ``image,caption`` and the images anywhere below it.
Kaggle's ``captions.txt`` of Flickr8k and ``results.csv`` of Flickr30k are read as they are, and so are
``train/metadata.csv`` and ``test/metadata.csv`` beside the images of each split.

Columns go by the names that are usual in this field. Nothing is guessed: two columns that could both be the
caption, or none, are an error that names what was found. The delimiter is read off the header. A file of tabs
has no quoting, unless it is named ``.csv``: a quotation mark is one, and a line is a row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from msgspec import Raw

from imtext.check import whole
from imtext.data.assemble import WORDS, Found, Picture
from imtext.data.coco import id_text, read_captions, read_split
from imtext.data.files import Files, bare, clean, decode, lines, read_json, read_text, relative
from imtext.errors import ConfigError, DataError

COLUMNS: Mapping[str, str] = {
    "image": "image image_name filename file_name file filepath file_path image_path img img_path path",
    "caption": "caption captions sentence sentences text raw comment description title",
    "split": "split",
    "group": "group identity person_id",
}
"""Usual names of the columns."""
_NUMBERED = re.compile(r"(?:caption|sentence|comment|description)_?\d+")
_LISTS = ("captions", "sentences", "raw")  # columns whose cells may be JSON lists
_KAGGLE = ["image_name", "comment_number", "comment"]
_GLUED = re.compile(r"\s*(\d+)\s+(\S.*)", re.DOTALL)  # one row of Kaggle's Flickr30k lacks a delimiter
_TABLES = ("*.csv", "*.tsv", "*.jsonl", "*.json", "captions.txt")


def read_own(
    files: Files,
    captions: str | Sequence[str] | None = None,
    columns: Mapping[str, str | None] | None = None,
    val: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Found:
    """A folder of images with captions in a table.

    Args:
        captions: caption file below the data root, or several whose names are splits; default: the one
            ``captions.*``, or those whose name or folder is a split (``train``, ``val``, ``dev``, ``test``,
            ``x_train``), or the only one.
        columns: own column names, for example ``{"caption": "title"}``; the roles are ``image``,
            ``caption``, ``split`` and ``group``, and None ignores a split or group.
        val, test: fractions of the groups that become validation and test, where the files give no split.
        seed: which groups these are.

    A row has an image and a caption, several columns ``caption_0``, ``caption_1``, or a list of captions; an
    image has as many captions as it has rows, repeated ones are left out with a note. Images of one ``group``
    (``identity``, ``person_id``) are never negatives of each other and stay in one split; without that column
    (or with an empty cell) each image is a group, or those that share an ``id`` are, with a note. Without a
    split, each group goes where a hash of the seed and its name says, so that new images do not move the
    others.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: no or several caption files, or one that is broken; columns are missing or ambiguous; a row
            is incomplete; an image is in two splits or leaves the folder.
    """
    if not all(isinstance(share, Real) for share in (val, test)) or min(val, test) < 0 or not val + test < 1:
        expected = "shares of the groups that add up to less than 1, such as 0.1 for a tenth"
        raise ConfigError(f"val={val!r}, test={test!r}: expected {expected}")
    seed = whole("seed", seed, least=-(2**63))
    notes: list[str] = []
    names = _tables(files, captions)
    found: list[Picture] = []
    rows: list[Picture] = []
    for name, split in names.items():
        path = files.root / name
        keys = _keys(path)
        if "annotations" in keys:
            found += read_captions(path, split)
        elif "images" in keys:
            found += read_split(path, files).pictures
        else:
            rows += [_placed(row, name, split) for row in read_table(path, columns)]
    pictures: dict[str, Picture] = {}
    repeated = sum(_add(pictures, row) for row in _grouped(rows, notes))
    if repeated:
        notes.append(f"{repeated:,} captions that an image has twice: left out")
    found += pictures.values()
    first, split = next(iter(names.items()))
    without = [picture for picture in found if not picture.split]
    if len(without) == len(found):
        notes.append(_split(found, val, test, seed))
    elif without:
        raise DataError(
            f"{without[0].where}: expected a split, as other images have one, found none; fill the column in "
            "or pass columns={'split': None}"
        )
    elif len(names) == 1 and split:
        notes.append(f"all images are in split {split}, as the name {first} says; call it captions otherwise")
    return Found("own", files.root / first, files, found, notes=notes)


def _tables(files: Files, captions: str | Sequence[str] | None) -> dict[str, str]:
    """The caption files, and the split that the name of each says, or nothing."""
    if captions:
        names = [str(captions)] if isinstance(captions, str | Path) else list(map(str, captions))
    else:
        there = sorted({path for pattern in _TABLES for path in files.all(pattern)})
        nearest = min((path.count("/") for path in there), default=0)
        there = [path for path in there if path.count("/") == nearest]
        chosen = [path for path in there if Path(path).stem.lower() == "captions" or _said(path)]
        names = chosen or there
    splits = [_said(name) or (_ends(name) if len(names) > 1 else "") for name in names]
    if not names or (len(names) > 1 and (not all(splits) or len(set(splits)) < len(splits))):
        raise DataError(
            f"{files.root}: expected one caption file (captions.csv, .tsv, .jsonl, .json), or one for each "
            f"of train, val and test, found {', '.join(names[:8]) or 'none'}; pass captions='NAME' of "
            "the one that is meant"
        )
    return dict(zip(names, splits, strict=True))


def _said(name: str) -> str:
    """The split that the name of a file, or of the folder it lies in, is."""
    path = Path(name)
    return WORDS.get(path.stem.lower()) or WORDS.get(path.parent.name.lower(), "")


def _ends(name: str) -> str:
    """The split that the name of a file ends in, as in ``coco_karpathy_train.json``."""
    return WORDS.get(re.split(r"[_.-]", Path(name).stem.lower())[-1], "")


def _keys(path: Path) -> set[str]:
    """The keys of a JSON object; none of any other file."""
    try:
        return set(read_json(path, dict[str, Raw])) if path.suffix.lower() == ".json" else set()
    except DataError:
        return set()


def _placed(row: Picture, name: str, split: str) -> Picture:
    """A row with the split of its file; beside the images of a split, names are relative to that folder."""
    if split and row.split and WORDS.get(row.split.lower()) != split:
        raise DataError(
            f"{row.where}: expected split {split}, as the name of the file says, found {row.split!r}; "
            "rename the file or correct the row"
        )
    folder = Path(name).parent.name
    file = f"{folder}/{row.file}" if folder.lower() in WORDS else row.file
    return replace(row, split=row.split or split, file=file)


def _grouped(rows: list[Picture], notes: list[str]) -> list[Picture]:
    """The rows with what stands under ``id`` as their group, if it is the person of an image.

    It is where every image has one, several images share one, and none is in two splits.
    """
    files, ids = {row.file for row in rows}, {row.id for row in rows}
    pairs, places = {(row.file, row.id) for row in rows}, {(row.id, row.split) for row in rows}
    if len(pairs) == len(ids) or ids == {""}:
        return rows
    if "" in ids or len(pairs) > len(files) or len(places) > len(ids):
        why = "some rows have none, an image has several, or one is in several splits"
        notes.append(f"'id' is no group of images ({why}); columns={{'group': 'id'}} makes it one")
        return rows
    count = f"{len(ids):,} groups of {len(files):,} images"
    notes.append(f"images with the same 'id' are one group: {count}; columns={{'group': None}} undoes it")
    return [replace(row, group=row.id) for row in rows]


def _add(pictures: dict[str, Picture], row: Picture) -> int:
    """Put a row to its picture; the number of captions that it has already."""
    picture = pictures.setdefault(row.file, replace(row, captions=[], id=""))
    for what, now, then in (("split", row.split, picture.split), ("group", row.group, picture.group)):
        if now != then:
            raise DataError(
                f"{row.where}: image {row.file} is in {what} {now!r}, and in {what} {then!r} at "
                f"{picture.where}; an image belongs to one {what}, correct one of the rows"
            )
    fresh = [caption for caption in row.captions if not caption or caption not in picture.captions]
    picture.captions += fresh
    return len(row.captions) - len(fresh)


def _split(pictures: Sequence[Picture], val: float, test: float, seed: int) -> str:
    """Assign splits by a hash of seed and group, test from its low end and val from its high end; the note.

    A group moves only when the fractions or the seed change, or, among few groups, to fill an empty split.
    """
    groups = [picture.group or bare(picture.file) for picture in pictures]
    digests = {name: hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in groups}
    draw = {name: int.from_bytes(digest[:6], "big") / 2**48 for name, digest in digests.items()}
    order = sorted(draw, key=lambda name: (draw[name], name))
    n = len(order)
    some_test, some_val = int(test > 0 and n >= 3), int(val > 0 and n >= 3)
    low = min(max(sum(u < test for u in draw.values()), some_test), n - some_val - 1)
    high = min(max(n - sum(u >= 1 - val for u in draw.values()), low + 1), n - some_val)
    place = {name: "test" if i < low else "train" if i < high else "val" for i, name in enumerate(order)}
    for picture, group in zip(pictures, groups, strict=True):
        picture.split = place[group]
    return (
        f"no split is given; made here: {high - low:,} / {n - high:,} / {low:,} groups for train / val / "
        f"test, by a hash of seed {seed} and the name (val={val}, test={test})"
    )


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
            setattr(picture, role, id_text(values[role][0]).strip())
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
        wanted = [columns[role]] if role in columns else usual.split()
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
    return sum(not names.isdisjoint(usual.split()) for usual in COLUMNS.values())
