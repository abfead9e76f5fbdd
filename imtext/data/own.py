"""One's own data: any folder of images with a caption file (CSV, TSV, JSON Lines, JSON).

The shortest form is ``captions.csv`` with the columns ``image,caption`` and the images anywhere below it.
Kaggle's ``captions.txt`` of Flickr8k and ``results.csv`` of Flickr30k are read as they are, and so are
``train/metadata.csv`` and ``test/metadata.csv`` beside the images of each split.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import Raw

from imtext.check import number, whole
from imtext.data.assemble import WORDS, Found, Picture
from imtext.data.coco import read_captions
from imtext.data.files import Files, bare
from imtext.data.karpathy import read_split
from imtext.data.table import read_table
from imtext.data.text import read_json
from imtext.errors import ConfigError, DataError

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
    (or with an empty cell) each image is a group, or those that share an ``id`` are, with a note. The split
    of a row wins over that of its file. Without a split, each group goes where a hash of the seed and its
    name says, so that new images do not move the others.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: no or several caption files, or one that is broken; columns are missing or ambiguous; a row
            is incomplete; an image is in two splits or leaves the folder.
    """
    if number("val", val, most=1) + number("test", test, most=1) >= 1:
        raise ConfigError(f"val={val}, test={test}: expected a sum below 1")
    seed = whole("seed", seed, least=-(2**63))
    notes: list[str] = []
    names = _tables(files, captions)
    pictures: dict[str, Picture] = {}
    rows: list[Picture] = []
    for name, split in names.items():
        path = files.root / name
        keys = _keys(path)
        if "images" in keys:
            known = read_captions(path, split) if "annotations" in keys else read_split(path, files).pictures
            pictures |= {picture.file: picture for picture in known}
        else:
            rows += [_placed(row, name, split) for row in read_table(path, columns)]
    rows = _grouped(rows, notes)
    repeated = sum(_add(pictures, row) for row in rows)
    if repeated:
        notes.append(f"{repeated:,} captions that an image has twice: left out")
    found = list(pictures.values())
    first, split = next(iter(names.items()))
    if not any(picture.split for picture in found):
        notes.append(_split(found, val, test, seed))
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
    draw = {name: _unit(f"{seed}:{name}") for name in groups}
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


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
