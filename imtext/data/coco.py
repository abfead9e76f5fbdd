"""Reader of the caption annotations of COCO (Chen et al., "Microsoft COCO Captions", arXiv:1504.00325)::

    annotations/captions_{train,val}2014.json      (or 2017)
    train2014/*.jpg, val2014/*.jpg                 (or images/train2014/ and images/val2014/)
    dataset_coco.json                              (the split; optional)

``images[i] = {id, file_name, ...}`` and ``annotations[j] = {image_id, id, caption}``. COCO publishes no
captions for its test images, so papers split the images of 2014 anew, as Karpathy and Fei-Fei do (CVPR 2015):
113,287 for training, 5,000 for validation, 5,000 for the test. Their file gives the split, the native files
the captions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from imtext.data.common import (
    Photo,
    build,
    check_counts,
    check_fields,
    clean,
    data_folder,
    list_in,
    read_json,
)
from imtext.data.karpathy import COUNTS, find_karpathy_json, load_karpathy, read_karpathy
from imtext.data.schema import Dataset, check_relative
from imtext.errors import ConfigError, DataError

_SPLIT_FILE = "dataset_coco.json"
# Images and captions that the publisher states for each file.
PUBLISHED = {
    "2014": {"train": (82_783, 414_113), "val": (40_504, 202_654)},
    "2017": {"train": (118_287, 591_753), "val": (5_000, 25_014)},
}


def load_coco(
    data_root: str | os.PathLike[str],
    on_empty: str = "raise",
    subset: bool = False,
    check_files: bool = True,
    year: str | None = None,
) -> Dataset:
    """COCO from its caption files; five captions for most images, six or seven for some, all kept.

    Args:
        data_root: folder with ``annotations/captions_{train,val}{year}.json`` (or the two files themselves)
            and the folders of the images, ``train{year}`` and ``val{year}``, there or in ``images``.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        subset: accept files of other lengths than the published ones, and leave out images that only
            ``dataset_coco.json`` knows.
        check_files: demand that each image is on disk (False: captions alone are enough).
        year: ``"2014"`` or ``"2017"``; None takes 2014 where any file of it is there, else 2017.

    The split: for 2014, ``dataset_coco.json`` in ``data_root`` decides by ``cocoid`` (``restval`` belongs to
    train), and images keep its order, on which five folds of 1,000 test images rest. Without it, and for
    2017, the train file is ``train`` and the val file ``val``; there is no test split, and ``notes`` says so.
    One of the two caption files is enough, with a note. Where there is none but ``dataset_coco.json``, its
    captions are read. Captions of an image keep the order of the file; the id of an image is its ``cocoid``.

    Raises:
        ConfigError: ``year`` or ``on_empty`` is unknown.
        DataError: a file is missing, cut off, not UTF-8 or of another form; ids are there twice; an
            annotation names an unknown image; counts disagree; an image is missing, has no or an empty
            caption; ``dataset_coco.json`` names images that the caption files lack.

    >>> load_coco("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    year = None if year is None else str(year)
    if year not in (None, *PUBLISHED):
        raise ConfigError(f"year={year!r}: expected one of {', '.join(PUBLISHED)}, or None")
    root = data_folder(data_root, "coco", f"annotations/captions_{{train,val}}{year or 2014}.json")
    split_file = find_karpathy_json(root, "coco")
    year, files, notes = _choose(root, year, split_file)
    if not files:
        return _from_split_file(root, on_empty, subset, check_files)
    photos: list[Photo] = []
    for split, path in files.items():
        photos += _read(path, split, f"{split}{year}", None if subset else PUBLISHED[year][split])
    _check_apart(photos)
    if split_file is not None and year == "2014":
        photos, more = _split_again(photos, split_file, list(files.values()), subset)
    else:
        more = _without_split_file(files, year, split_file is not None)
    images = _image_root(root, [f"{split}{year}" for split in files])
    source = next(iter(files.values()))
    return build("coco", images, photos, on_empty, check_files, source, (*notes, *more))


def _choose(root: Path, year: str | None, split_file: Path | None) -> tuple[str, dict[str, Path], list[str]]:
    """The year, its caption files by split (none: read the split file) and notes on what is not read."""
    there = {each: caption_files(root, each) for each in PUBLISHED}
    held = [each for each, files in there.items() if files]
    chosen = year or (held[0] if held else "2014")
    notes = [
        f"captions of {other} are there too; year='{other}' reads them"
        for other in held
        if year is None and other != chosen
    ]
    files = there[chosen]
    if not files and not (chosen == "2014" and split_file is not None):
        hint = f"pass year='{held[0]}', or " if held else ""
        found = f"those of {held[0]}" if held else "neither"
        raise DataError(
            f"{root}: expected annotations/captions_train{chosen}.json, annotations/captions_val{chosen}.json"
            f" or both, found {found}; {hint}put the files there"
        )
    notes += [
        f"captions_{split}{chosen}.json is not there: its images are left out"
        for split in ("train", "val")
        if files and split not in files
    ]
    return chosen, files, notes


def caption_files(root: Path, year: str) -> dict[str, Path]:
    """The caption files of a year that are there, by split, in ``annotations`` or beside it."""
    files = {}
    for split in ("train", "val"):
        name = f"captions_{split}{year}.json"
        path = next((path for path in (root / "annotations" / name, root / name) if path.is_file()), None)
        if path is not None:
            files[split] = path
    return files


def _from_split_file(root: Path, on_empty: str, subset: bool, check_files: bool) -> Dataset:
    """Karpathy's file alone: it holds captions too."""
    data = load_karpathy(
        root,
        name="coco",
        json_file=_SPLIT_FILE,
        on_empty=on_empty,
        subset=subset,
        check_files=check_files,
    )
    note = f"captions of {_SPLIT_FILE}: captions_train2014.json and captions_val2014.json are not there"
    return replace(data, notes=(note, *data.notes))


def _read(path: Path, split: str, folder: str, published: tuple[int, int] | None) -> list[Photo]:
    """The images of one caption file with their captions; ``published`` counts are checked where given."""
    content = read_json(path)
    entries, annotations = list_in(content, "images", path), list_in(content, "annotations", path)
    photos: dict[int, Photo] = {}
    for i, entry in enumerate(entries):
        where = f"{path}, images[{i}]"
        check_fields(entry, where, {"id": int, "file_name": str})
        if entry["id"] in photos:
            raise DataError(f"{where}: image id {entry['id']} is there twice; remove the duplicate")
        file = f"{folder}/{check_relative(entry['file_name'], where)}"
        photos[entry["id"]] = Photo(file, str(entry["id"]), split, where=where)
    if published is not None:
        _check_published(path, (len(entries), len(annotations)), published)
    _add_captions(photos, annotations, path)
    return list(photos.values())


def _check_published(path: Path, counts: tuple[int, int], published: tuple[int, int]) -> None:
    for what, found, expected in zip(("images", "captions"), counts, published, strict=True):
        if found != expected:
            raise DataError(
                f"{path}: expected {expected:,} {what}, found {found:,}; "
                "fetch the file again, or pass subset=True if it was cut on purpose"
            )


def _add_captions(photos: Mapping[int, Photo], annotations: Sequence[object], path: Path) -> None:
    seen: set[int] = set()
    for j, annotation in enumerate(annotations):
        where = f"{path}, annotations[{j}]"
        check_fields(annotation, where, {"image_id": int, "id": int, "caption": str})
        if annotation["id"] in seen:
            raise DataError(f"{where}: annotation id {annotation['id']} is there twice; remove the duplicate")
        seen.add(annotation["id"])
        photo = photos.get(annotation["image_id"])
        if photo is None:
            raise DataError(
                f"{where}: image_id {annotation['image_id']} is not among the images of the file; "
                "add the image or remove the annotation"
            )
        photo.captions.append(clean(annotation["caption"]))


def _check_apart(photos: Sequence[Photo]) -> None:
    """No image in both caption files."""
    seen: dict[str, Photo] = {}
    for photo in photos:
        other = seen.setdefault(photo.id, photo)
        if other is not photo:
            raise DataError(
                f"{photo.where}: image id {photo.id} is also in {other.where}; "
                "the two files must not share an image, fetch them again"
            )


def _split_again(
    photos: Sequence[Photo], split_file: Path, sources: Sequence[Path], subset: bool
) -> tuple[list[Photo], list[str]]:
    """The photos in the order and with the splits of Karpathy's file, and notes on what either side lacks."""
    _, entries = read_karpathy(split_file)
    native = {photo.id: photo for photo in photos}
    chosen: dict[str, Photo] = {}
    missing = []
    for entry in entries:
        if entry.id in chosen:
            raise DataError(f"{entry.where}: cocoid {entry.id} is there twice; remove the duplicate")
        if entry.id in native:
            chosen[entry.id] = replace(native[entry.id], split=entry.split)
        else:
            missing.append(entry)
    names = " and ".join(path.name for path in sources)
    if missing and not (subset and chosen):
        hint = ", or pass subset=True to leave them out" if chosen else ""
        raise DataError(
            f"{missing[0].where}: expected cocoid {missing[0].id} in {names}, found no such image "
            f"({len(missing):,} of {len(entries):,} images are missing); fetch captions_train2014.json and "
            f"captions_val2014.json{hint}"
        )
    notes = [f"{len(missing):,} images of {_SPLIT_FILE} are not in {names}: dropped"] if missing else []
    if not subset:
        check_counts(list(chosen.values()), COUNTS["coco"], split_file)
    unused = [photo for photo in photos if photo.id not in chosen]
    if unused:
        count = sum(len(photo.captions) for photo in unused)
        notes.append(
            f"{len(unused):,} images with {count:,} captions are in no split of {_SPLIT_FILE}: dropped"
        )
    return list(chosen.values()), notes


def _without_split_file(files: Mapping[str, Path], year: str, split_file: bool) -> list[str]:
    own = " and ".join(f"{path.name} is {split}" for split, path in files.items())
    if year == "2014":
        return [f"no test split: {own}; put {_SPLIT_FILE} into data_root for 113,287/5,000/5,000 images"]
    notes = [f"no test split: {own}; for one, use the files of 2014 with {_SPLIT_FILE}"]
    if split_file:
        notes.append(f"{_SPLIT_FILE} is not used: it splits the images of 2014")
    return notes


def _image_root(root: Path, folders: Sequence[str]) -> Path:
    """``root`` or ``root/images``, whichever holds more of the folders (``root`` on a tie)."""
    return max((root, root / "images"), key=lambda place: sum((place / name).is_dir() for name in folders))
