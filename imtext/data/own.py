"""One's own data: any folder of images with a caption file (CSV, TSV, JSON Lines, JSON).

The shortest form is ``captions.csv`` with the columns ``image,caption`` and the images in ``images``.
Kaggle's ``captions.txt`` of Flickr8k and ``results.csv`` of Flickr30k are read as they are.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence

from imtext.data.common import Photo, build, clean, data_folder
from imtext.data.own_columns import Row, Table, bare, counted
from imtext.data.own_files import SPLIT_WORDS, Images, caption_files, find_images, image_names
from imtext.data.own_groups import group_by_id
from imtext.data.own_tables import read_table
from imtext.data.schema import SPLITS, Dataset
from imtext.errors import ConfigError, DataError

_Tables = Sequence[tuple[Table, str | None]]


def load_own(
    data_root: str | os.PathLike[str],
    captions: str | os.PathLike[str] | Sequence[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    name: str = "own",
    val: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    on_empty: str = "raise",
    check_files: bool = True,
    subset: bool = False,
    columns: Mapping[str, str | None] | None = None,
) -> Dataset:
    """A folder of images with captions in a table.

    Args:
        data_root: folder with the caption file and the images.
        captions: caption file under ``data_root``, or several whose names are splits; default: the one
            ``captions.*``, or ``train.*``, ``val.*`` (``dev.*``), ``test.*``, or the only caption file.
        images: folder of the images under ``data_root``; default: searched for (``images``, ``imgs``, ``.``).
        name: how reports call the dataset.
        val, test: fractions of the groups that become validation and test, where the files give no split.
        seed: which groups these are.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        check_files: demand that each image is on disk (False: captions alone are enough).
        subset: leave out captions whose image has no file, with a note.
        columns: own column names, for example ``{"caption": "title"}``; the roles are ``image``,
            ``caption``, ``split`` and ``group``, and None ignores a split or group.

    A row has an image and a caption (in JSON: or a list of captions); an image has as many captions as it has
    rows, repeated ones are dropped with a note. Images of one ``group`` (``identity``, ``person_id``) are
    never negatives of each other and stay in one split; without that column each image is a group, or those
    that share an ``id`` are, with a note (see ``own_groups.group_by_id``). Without a split,
    each group goes where a hash of the seed and its name says, so that new images do not move the others. The
    id of an image is its file name without ending, or its path where file names repeat.

    Raises:
        ConfigError: a parameter is unknown or out of range.
        DataError: no or several caption files, or one that is broken or of another dataset; columns are
            missing or ambiguous; a row is incomplete; an image is missing, in two splits or leaves the
            folder; a group is in two splits; a caption is empty.

    >>> load_own("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    root = data_folder(data_root, name, "images and a caption file")
    _check_parameters(val, test, seed)
    files = caption_files(root, captions)
    tables = [(read_table(path, columns or {}), split) for path, split in files]
    notes = [note for table, _ in tables for note in table.notes]
    notes += group_by_id(tables)
    _check_everywhere(tables, "split", lambda row, split: split or row.split)
    _check_everywhere(tables, "group", lambda row, _: row.group)

    found = find_images(root, images, image_names(tables), check_files and not subset)
    photos, groups, more = _photos(tables, found, on_empty)
    notes += more
    if subset and check_files:
        notes += _leave_missing(photos, found)
    if photos and not next(iter(photos.values())).split:
        notes.append(_split(photos, groups, val, test, seed))
    elif len(files) == 1 and files[0][1]:
        notes.append(
            f"all images are in split {files[0][1]}, as the name {files[0][0].name} says; "
            "name it captions to have it split here"
        )
    notes += found.notes(photos)
    _set_groups(photos, groups, tables)
    _set_ids(list(photos.values()))
    return build(name, found.folder, list(photos.values()), on_empty, False, files[0][0], notes)


def _check_parameters(val: float, test: float, seed: int) -> None:
    for key, value in (("val", val), ("test", test)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ConfigError(f"{key}={value!r}: expected a fraction of the images, 0 or more and below 1")
    if val + test >= 1:
        raise ConfigError(f"val={val}, test={test}: expected a sum below 1, found {val + test:g}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed={seed!r}: expected a whole number")


def _check_everywhere(tables: _Tables, what: str, value: Callable[[Row, str | None], str | None]) -> None:
    """DataError where some rows have a split or group and others do not."""
    lacking = having = None
    for table, file_split in tables:
        for row in table.rows:
            found = value(row, file_split)
            if found is None:
                lacking = lacking or (table, row)
            else:
                having = having or (table, row, found)
    if lacking and having:
        hint = "" if what == "split" else ", or the name of the image where it is alone"
        raise DataError(
            f"{lacking[0].where(lacking[1])}: expected a {what}, since {having[0].where(having[1])} has one "
            f"({having[2][:40]!r}), found none; fill the column in{hint}"
        )


def _photos(
    tables: _Tables, found: Images, on_empty: str
) -> tuple[dict[str, Photo], dict[str, str], list[str]]:
    """The images by file name in the order of their first row, the group of each, and notes."""
    photos: dict[str, Photo] = {}
    groups: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    repeated = 0
    for table, file_split in tables:
        for row in table.rows:
            file = found.file(row.image)
            split = _split_word(table, row, file_split)
            photo = photos.get(file)
            if photo is None:
                photo = photos[file] = Photo(file, "", split, [], table.where(row))
                groups[file] = row.group or bare(file)
            _check_agrees(table, row, split, photo, groups[file])
            for caption in map(clean, row.captions):
                if not caption and on_empty == "raise":
                    raise DataError(
                        f"{table.where(row)}: image {file} has an empty caption; "
                        "write one, delete the row or pass on_empty='skip'"
                    )
                if caption and (file, caption) in seen:
                    repeated += 1
                    continue
                seen.add((file, caption))
                photo.captions.append(caption)
    notes = [f"dropped: {counted(repeated, 'caption')} that an image has twice"] if repeated else []
    return photos, groups, notes


def _check_agrees(table: Table, row: Row, split: str, photo: Photo, group: str) -> None:
    """DataError where a row gives its image another split or group than the first row of that image."""
    for what, now, then in (("split", split, photo.split), ("group", row.group or group, group)):
        if now != then:
            raise DataError(
                f"{table.where(row)}: image {photo.file} is in {what} {now!r}, and in {what} {then!r} at "
                f"{photo.where}; an image belongs to one {what}, correct one of the rows"
            )


def _split_word(table: Table, row: Row, file_split: str | None) -> str:
    """The split of a row, ``""`` where there is none."""
    if row.split is None:
        return file_split or ""
    split = SPLIT_WORDS.get(row.split.lower())
    if split is None:
        raise DataError(
            f"{table.where(row)}: expected a split, one of {', '.join(SPLIT_WORDS)}, found "
            f"{row.split[:40]!r}; correct it, or pass columns={{'split': None}} to have the images split here"
        )
    if file_split and split != file_split:
        raise DataError(
            f"{table.where(row)}: expected split {file_split}, as the file name says, found {row.split!r}; "
            "rename the file or correct the row"
        )
    return split


def _leave_missing(photos: dict[str, Photo], found: Images) -> list[str]:
    missing = [file for file in photos if not found.there(file)]
    captions = sum(len(photos.pop(file).captions) for file in missing)
    if not missing:
        return []
    if not photos:
        raise DataError(
            f"{found.folder}: expected images such as {missing[0]}, found none of {len(missing):,}; "
            "put them there or pass images="
        )
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    images, texts = counted(len(missing), "image"), counted(captions, "caption")
    return [f"left out: {images} with {texts}, since there is no file ({shown})"]


def _split(photos: Mapping[str, Photo], groups: Mapping[str, str], val: float, test: float, seed: int) -> str:
    """Assign splits by a hash of seed and group, test from its low end and val from its high end; the note.

    A group moves only when the fractions or the seed change, or, among few groups, to fill an empty split.
    """
    names = {groups[file] for file in photos}
    draw = {name: _unit(f"{seed}:{name}") for name in names}
    order = sorted(names, key=lambda name: (draw[name], name))
    n = len(order)
    some_test, some_val = int(test > 0 and n >= 3), int(val > 0 and n >= 3)
    low = sum(draw[name] < test for name in order)
    high = n - sum(draw[name] >= 1 - val for name in order)
    low = min(max(low, some_test), n - some_val - 1)
    high = min(max(high, low + 1), n - some_val)
    split_of = dict.fromkeys(order[:low], "test") | dict.fromkeys(order[low:high], "train")
    split_of |= dict.fromkeys(order[high:], "val")
    for file, photo in photos.items():
        photo.split = split_of[groups[file]]
    what = "images" if n == len(photos) else "groups"
    return (
        f"no split is given; made here: {high - low:,} / {n - high:,} / {low:,} {what} for "
        f"{' / '.join(SPLITS)}, by a hash of seed {seed} and the name (val={val}, test={test})"
    )


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:6], "big") / 2**48


def _set_groups(photos: Mapping[str, Photo], groups: Mapping[str, str], tables: _Tables) -> None:
    """Number the groups in the order of their first image; DataError where one is in two splits."""
    if tables[0][0].rows[0].group is None:
        return
    first: dict[str, tuple[int, Photo]] = {}
    for file, photo in photos.items():
        number, other = first.setdefault(groups[file], (len(first), photo))
        if other.split != photo.split:
            raise DataError(
                f"{photo.where}: group {groups[file]!r} is in split {photo.split} ({file}), and in split "
                f"{other.split} ({other.file}) at {other.where}; a group belongs to one split, "
                "correct the rows"
            )
        photo.group = number


def _set_ids(photos: Sequence[Photo]) -> None:
    """File names without ending, or paths, or paths with ending: the shortest that differ."""
    for make in (lambda file: posixpath.basename(bare(file)), bare, str):
        ids = [make(photo.file) for photo in photos]
        if len(set(ids)) == len(ids):
            break
    for photo, own in zip(photos, ids, strict=True):
        photo.id = own
