"""Reader of CUHK-PEDES, photographs of pedestrians with descriptions (Li et al., CVPR 2017)::

    reid_raw.json
    imgs/{cam_a,cam_b,CUHK01,CUHK03,Market,test_query,train_query}/...

``[{split, captions, file_path, processed_tokens, id}, ...]`` with ``file_path`` relative to ``imgs``. ``id``
is the person: all images of one person are one class, and any of them answers a description of that person.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from imtext.data.common import (
    Photo,
    build,
    check_counts,
    check_fields,
    clean,
    data_folder,
    image_folder,
    read_json,
)
from imtext.data.schema import SPLITS, Dataset, check_relative
from imtext.errors import DataError

_FILE, _WITHOUT_SPLIT = "reid_raw.json", "caption_all.json"
_NO_SPLIT = (
    f"{_WITHOUT_SPLIT} has file_path, id and captions of each image but not its 'split', so train, val and "
    f"test cannot be told apart; get {_FILE} of the complete release from the authors of CUHK-PEDES"
)
_PLACES = (".", "CUHK-PEDES")
_IMAGES = ("imgs", "CUHK-PEDES/imgs", ".")
IMAGE_COUNTS = {"train": 34_054, "val": 3_078, "test": 3_074}
PERSON_COUNTS = {"train": 11_003, "val": 1_000, "test": 1_000}


def load_cuhk_pedes(
    data_root: str | os.PathLike[str],
    name: str = "cuhk_pedes",
    on_empty: str = "raise",
    subset: bool = False,
    check_files: bool = True,
) -> Dataset:
    """CUHK-PEDES: 34,054 / 3,078 / 3,074 images of 11,003 / 1,000 / 1,000 persons, mostly with two captions.

    Args:
        data_root: folder with ``reid_raw.json`` and ``imgs`` (or with ``CUHK-PEDES``, which holds them).
        name: how reports call the dataset; other data in the same form can be read.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        subset: accept other numbers of images and persons than the published ones.
        check_files: demand that each image is on disk (False: captions alone are enough).

    ``group_of_image`` is the person, numbered 0 to I - 1 over the dataset in the order of ``id``; a split
    keeps its part of these numbers. The id of an image is its ``file_path`` without ending, since file names
    repeat across folders. All captions are kept (one image has ten); where ``captions`` is missing, they are
    put together from ``processed_tokens``, with a note.

    Raises:
        ConfigError: ``on_empty`` is unknown.
        DataError: the file is missing, cut off, not UTF-8 or of another form; it has no splits, as in
            ``caption_all.json``; a person is in two splits; counts disagree; an image is there twice, is
            missing, has no or an empty caption.

    >>> load_cuhk_pedes("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with reid_raw.json and imgs ...
    """
    root = data_folder(data_root, name, f"{_FILE} and imgs")
    path = _find(root)
    entries = _entries(path)
    photos = [_photo(entry, f"{path}, entry {i}") for i, entry in enumerate(entries)]
    _check_persons(photos)
    if not subset:
        check_counts(photos, IMAGE_COUNTS, path)
        _check_person_counts(photos, path)
    images = _image_root(root, photos, check_files)
    bare = sum(entry.get("captions") is None for entry in entries)
    notes = [f"captions of {bare:,} images put together from processed_tokens"] if bare else []
    return build(name, images, photos, on_empty, check_files, path, notes)


def _find(root: Path) -> Path:
    for place in _PLACES:
        if (root / place / _FILE).is_file():
            return root / place / _FILE
    for place in _PLACES:
        if (root / place / _WITHOUT_SPLIT).is_file():
            path = root / place / _FILE
            raise DataError(f"{path}: expected this file, found only {_WITHOUT_SPLIT}; {_NO_SPLIT}")
    raise DataError(
        f"{root / _FILE}: expected this file, found nothing; put it there (its authors send it on request) "
        "or correct data_root"
    )


def _entries(path: Path) -> list[Mapping]:
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        found = "an empty list" if isinstance(entries, list) else type(entries).__name__
        raise DataError(f"{path}: expected a list of images, found {found}; fetch the file again")
    if all(isinstance(entry, Mapping) and "split" not in entry for entry in entries):
        raise DataError(f"{path}: expected 'split' in each entry, found it in none; {_NO_SPLIT}")
    return entries


def _photo(entry: object, where: str) -> Photo:
    check_fields(entry, where, {"split": str, "file_path": str, "id": int})
    if entry["split"] not in SPLITS:
        raise DataError(f"{where}: unknown split {entry['split']!r}; expected one of {', '.join(SPLITS)}")
    file = check_relative(entry["file_path"], where)
    return Photo(
        file, posixpath.splitext(file)[0], entry["split"], _captions(entry, where), where, group=entry["id"]
    )


def _captions(entry: Mapping, where: str) -> list[str]:
    captions, tokens = entry.get("captions"), entry.get("processed_tokens")
    if captions is None and tokens is not None:
        if not _is_list(tokens, list) or not all(_is_list(words, str) for words in tokens):
            raise DataError(
                f"{where}: expected 'processed_tokens' as lists of words, found another; correct the entry"
            )
        captions = [" ".join(words) for words in tokens]
    if captions is None:
        raise DataError(
            f"{where}: expected 'captions' or 'processed_tokens', found neither; correct the entry or "
            "fetch the file again"
        )
    if not _is_list(captions, str):
        raise DataError(f"{where}: expected 'captions' as a list of texts, found another; correct the entry")
    return [clean(caption) for caption in captions]


def _is_list(value: object, of: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, of) for item in value)


def _check_persons(photos: Sequence[Photo]) -> None:
    first: dict[int, Photo] = {}
    for photo in photos:
        other = first.setdefault(photo.group, photo)
        if other.split != photo.split:
            raise DataError(
                f"{photo.where}: id {photo.group} is in split {photo.split} ({photo.file}) and in split "
                f"{other.split} ({other.file}); a person belongs to one split, correct the entry"
            )


def _check_person_counts(photos: Sequence[Photo], path: Path) -> None:
    for split, expected in PERSON_COUNTS.items():
        found = len({photo.group for photo in photos if photo.split == split})
        if found != expected:
            raise DataError(
                f"{path}: expected {expected:,} ids (persons) in split {split}, found {found:,}; "
                "fetch the file again, or pass subset=True if it was changed on purpose"
            )


def _image_root(root: Path, photos: Sequence[Photo], check_files: bool) -> Path:
    """Folder of the images; DataError names missing subfolders, since a part of them circulates alone."""
    if not check_files:
        return next(root / name for name in _IMAGES if (root / name).is_dir())
    files = [photo.file for photo in photos]
    # One file of each folder: the first hundred may all lie in a folder that is missing.
    by_folder = {posixpath.dirname(file): file for file in files}
    images = image_folder(root, _IMAGES, list(by_folder.values()))
    missing = sorted(folder for folder in by_folder if not os.path.isdir(images / folder))
    if missing:
        place = root / _IMAGES[0] if images == root else images
        names = ", ".join(missing[:7]) + (", ..." if len(missing) > 7 else "")
        raise DataError(
            f"{place}: expected {len(by_folder)} folders of images that {_FILE} names, found no {names}; "
            "fetch the complete release"
        )
    return images
