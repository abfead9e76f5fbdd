"""Readers of the Flickr8k and Flickr30k token files: one line ``name.jpg#k<TAB>caption`` per caption.

Flickr8k (Hodosh, Young, Hockenmaier, JAIR 2013)::

    Flicker8k_Dataset/*.jpg
    Flickr8k_text/Flickr8k.token.txt
    Flickr8k_text/Flickr_8k.{trainImages,devImages,testImages}.txt

Flickr30k (Young et al., TACL 2014), with the split files of Flickr30k Entities::

    flickr30k-images/*.jpg
    results_20130124.token
    {train,val,test}.txt
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imtext.data.common import (
    Photo,
    build,
    check_counts,
    clean,
    data_folder,
    files_under,
    image_folder,
    read_lines,
    stem,
)
from imtext.data.schema import Dataset, check_relative
from imtext.errors import DataError

# Nine digits at most: more is no caption number, and thousands of them would be no int either.
_KEY = re.compile(r"(?P<name>.+)#(?P<number>\d{1,9})")


@dataclass(frozen=True)
class _Layout:
    """Where a token dataset keeps its files, and the split sizes its publisher states."""

    tokens: tuple[str, ...]
    images: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]


FLICKR8K = _Layout(
    tokens=("Flickr8k_text/Flickr8k.token.txt", "Flickr8k.token.txt"),
    images=("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),
    splits={
        split: (f"Flickr8k_text/Flickr_8k.{file}Images.txt", f"Flickr_8k.{file}Images.txt")
        for split, file in (("train", "train"), ("val", "dev"), ("test", "test"))
    },
    counts={"train": 6000, "val": 1000, "test": 1000},
)
FLICKR30K = _Layout(
    tokens=("results_20130124.token", "flickr30k/results_20130124.token"),
    images=("flickr30k-images", "flickr30k_images", "images"),
    splits={split: (f"{split}.txt", f"flickr30k_entities/{split}.txt") for split in ("train", "val", "test")},
    counts={"train": 29783, "val": 1000, "test": 1000},
)


def read_token_file(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Captions of each image in a token file, by file name, in the order of their numbers.

    An empty caption is kept as ``""``; the caller decides. Lines of one image may stand anywhere.

    Raises:
        DataError: the file is missing or not UTF-8, a line has another form, a caption number is there twice.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.token")
    >>> _ = path.write_text("a.jpg#1\\tA dog runs .\\na.jpg#0\\tA dog .\\n", encoding="utf-8")
    >>> read_token_file(path)
    {'a.jpg': ['A dog .', 'A dog runs .']}
    """
    path = Path(path)
    numbered: dict[str, dict[int, str]] = {}
    for number, line in read_lines(path):
        key, tab, caption = line.partition("\t")
        match = _KEY.fullmatch(key.strip())
        if not tab or match is None:
            raise DataError(
                f"{path}, line {number}: expected name.jpg#k<TAB>caption, found {line[:60]!r}; "
                "correct the line or fetch the file again"
            )
        name, k = match["name"], int(match["number"])
        captions = numbered.setdefault(check_relative(name, f"{path}, line {number}"), {})
        if k in captions:
            raise DataError(f"{path}, line {number}: caption {name}#{k} is there twice; remove the duplicate")
        captions[k] = clean(caption)
    if not numbered:
        raise DataError(f"{path}: expected lines name.jpg#k<TAB>caption, found none; fetch the file again")
    return {name: [captions[k] for k in sorted(captions)] for name, captions in numbered.items()}


def load_flickr8k(
    data_root: str | os.PathLike[str], on_empty: str = "raise", subset: bool = False, check_files: bool = True
) -> Dataset:
    """Flickr8k from its original files: 6,000 / 1,000 / 1,000 images, five captions each.

    Args:
        data_root: folder with ``Flicker8k_Dataset`` and ``Flickr8k_text``.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        subset: accept split files of other lengths than the published ones.
        check_files: demand that each image of a split is on disk (False: captions alone are enough).

    Images in no split, and captions that name an image without a file, are dropped with a note.

    Raises:
        DataError: see the module ``imtext.data.common``; each message names file and line.

    >>> load_flickr8k("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    return _load("flickr8k", FLICKR8K, data_root, on_empty, subset, check_files)


def load_flickr30k(
    data_root: str | os.PathLike[str], on_empty: str = "raise", subset: bool = False, check_files: bool = True
) -> Dataset:
    """Flickr30k from its token file and the split files of Flickr30k Entities (29,783 / 1,000 / 1,000).

    Arguments and errors as for :func:`load_flickr8k`. The split of Karpathy and Fei-Fei
    (29,000 / 1,014 / 1,000) comes with ``dataset_flickr30k.json``: see :mod:`imtext.data.karpathy`.

    >>> load_flickr30k("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    return _load("flickr30k", FLICKR30K, data_root, on_empty, subset, check_files)


def has_token_file(data_root: Path, name: str) -> bool:
    """Whether the token file of ``flickr8k`` or ``flickr30k`` lies in the folder."""
    layout = {"flickr8k": FLICKR8K, "flickr30k": FLICKR30K}[name]
    return any((data_root / candidate).is_file() for candidate in layout.tokens)


def _load(
    name: str,
    layout: _Layout,
    data_root: str | os.PathLike[str],
    on_empty: str,
    subset: bool,
    check_files: bool,
) -> Dataset:
    root = data_folder(data_root, name, f"{layout.tokens[0]} and {layout.images[0]}")
    token_path = _first_file(root, layout.tokens)
    captions = read_token_file(token_path)
    photos = []
    for split, candidates in layout.splits.items():
        path = _first_file(root, candidates)
        for line, entry in read_lines(path):
            file = entry.strip() if entry.strip().endswith(".jpg") else f"{entry.strip()}.jpg"
            photos.append(Photo(file, stem(file), split, captions.get(file, []), f"{path}, line {line}"))
    if not subset:
        check_counts(photos, layout.counts, token_path.parent)
    images = next((root / name for name in layout.images if (root / name).is_dir()), root / layout.images[0])
    if check_files:
        images = image_folder(root, layout.images, [photo.file for photo in photos])
    notes = _notes(captions, photos, images)
    return build(name, images, photos, on_empty, check_files, token_path, notes)


def _first_file(root: Path, candidates: Sequence[str]) -> Path:
    for candidate in candidates:
        if (root / candidate).is_file():
            return root / candidate
    raise DataError(
        f"{root / candidates[0]}: expected this file, found nothing; fetch it or correct data_root"
    )


def _notes(captions: Mapping[str, list[str]], photos: Sequence[Photo], images: Path) -> list[str]:
    """What the splits leave out: one note for captions without a photograph, one for unused photographs."""
    used = {photo.file for photo in photos}
    outside = {name: len(lines) for name, lines in captions.items() if name not in used}
    there = files_under(images, outside)
    notes = []
    absent = [name for name in outside if name not in there]
    if absent:
        count = sum(outside[name] for name in absent)
        names = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        notes.append(f"{count} captions name an image that has no file and is in no split ({names}): dropped")
    unused = [name for name in outside if name in there]
    if unused:
        count = sum(outside[name] for name in unused)
        notes.append(f"{len(unused):,} images with {count:,} captions are in no split: dropped")
    return notes
