"""From the pictures that a reader found to a Dataset: every check that is not about the form of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from imtext.check import one_of
from imtext.data.dataset import SPLITS, Dataset
from imtext.data.files import Files, bare, first
from imtext.errors import DataError, one_line

_OTHER_WORDS = {"restval": "train", "valid": "val", "validation": "val", "dev": "val"}
WORDS = {split: split for split in SPLITS} | _OTHER_WORDS
"""Usual words for a split, and what it is here."""


@dataclass
class Picture:
    """One image as a reader found it.

    Attributes:
        file: its name as the source writes it; captions: cleaned; split: any of ``WORDS``.
        where: where in the source it stands, with which every message about it begins.
        id: which other files give it; default: the shortest parts of the file names that differ.
        group: what the images of one person share; empty where each image is a group of its own.
        also: another name that its file may have.
        numbers: what COCO calls each of the captions.
    """

    file: str
    captions: list[str]
    split: str
    where: str
    id: str = ""
    group: str = ""
    also: str = ""
    numbers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Edition:
    """A published way to split a dataset, by the name that tables and reports give it; counts by split.

    A split or kind that is not there has no published count.
    """

    name: str
    images: Mapping[str, int]
    captions: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


_SHIPPED = Path(__file__).with_name("editions.toml").read_bytes()
EDITIONS = msgspec.toml.decode(_SHIPPED, type=dict[str, Edition])
"""What ``editions.toml`` beside this file holds."""


@dataclass
class Found:
    """What a reader makes of its files.

    Attributes:
        name: of the dataset; source: the file or folder that messages name.
        files: where the images are looked for; None where they are no files.
        edition: how it is split, if that is published.
        notes: a line for everything that was left out or odd.
        finish: adds what only this format has.
    """

    name: str
    source: Path
    files: Files | None
    pictures: list[Picture]
    edition: Edition | None = None
    notes: list[str] = field(default_factory=list)
    finish: Callable[[Dataset], Dataset] = lambda dataset: dataset


def assemble(
    found: Found, subset: bool = False, on_empty: str = "raise", check_files: bool = True, images: str = ""
) -> Dataset:
    """Check what a reader found and make the Dataset; what is left out is noted.

    Args:
        found: by a reader.
        subset: accept other counts than the published ones, and leave out images without a file.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        check_files: look for the image of each picture (False: captions alone are enough).
        images: folder of the images below the data root; default: any.

    Raises:
        ConfigError: an option that is not one of these.
        DataError: counts disagree; an image is there twice, in two splits, without a caption or a file.
    """
    one_of("on_empty", on_empty, ("raise", "skip"))
    for picture in found.pictures:
        if picture.split.strip().lower() not in WORDS:
            raise DataError(
                f"{picture.where}: unknown split {picture.split!r}; expected one of {', '.join(WORDS)}"
            )
        picture.split = WORDS[picture.split.strip().lower()]
    if found.edition and not subset:
        _counts(found, found.edition)
    _distinct(found.pictures)
    pictures = _captions(found, on_empty)
    root, names = found.source, [picture.file for picture in pictures]
    if found.files:
        root, pictures, names = _located(found, pictures, subset, check_files, images)
    owners = [picture.group or i for i, picture in enumerate(pictures)]
    number = {group: i for i, group in enumerate(dict.fromkeys(owners))}
    try:
        dataset = Dataset(
            name=found.name,
            image_root=root,
            image_files=tuple(names),
            image_ids=tuple(_ids(pictures)),
            captions=tuple(caption for picture in pictures for caption in picture.captions),
            image_of_caption=np.repeat(
                np.arange(len(pictures)), [len(picture.captions) for picture in pictures]
            ),
            split_of_image=np.array([picture.split for picture in pictures], dtype=str),
            group_of_image=np.array([number[group] for group in owners], dtype=np.int64),
            notes=tuple(map(one_line, found.notes)),
            edition=found.edition.name if found.edition else "",
        )
    except DataError as error:
        raise DataError(f"{found.source}: {error}") from None
    return found.finish(dataset)


def _counts(found: Found, edition: Edition) -> None:
    splits = [picture.split for picture in found.pictures]
    persons = {(picture.split, picture.group) for picture in found.pictures}
    here = {
        "images": Counter(splits),
        "captions": Counter(picture.split for picture in found.pictures for _ in picture.captions),
        "groups": Counter(split for split, _ in persons),
    }
    for kind, counts in here.items():
        for split, count in getattr(edition, kind).items():
            if counts[split] != count:
                raise DataError(
                    f"{found.source}: expected {count:,} {kind} in split {split} ({edition.name}), found "
                    f"{counts[split]:,}; fetch the file again, or pass subset=True if it was cut on purpose"
                )


def _distinct(pictures: Sequence[Picture]) -> None:
    """No image and no id twice, no group in two splits."""
    seen: dict[tuple[str, str], Picture] = {}
    for picture in pictures:
        for what, name in (("image", picture.file), ("id", picture.id), ("group", picture.group)):
            other = seen.setdefault((what, name), picture) if name else picture
            if other is not picture and (what != "group" or other.split != picture.split):
                raise DataError(
                    f"{picture.where}: {what} {name} (split {picture.split}) is also at {other.where} "
                    f"(split {other.split}); correct one of them"
                )


def _captions(found: Found, on_empty: str) -> list[Picture]:
    """The pictures without empty captions, and without those that have no other."""
    kept, empty = [], 0
    for picture in found.pictures:
        full = [caption for caption in picture.captions if caption]
        if on_empty == "raise" and (not full or len(full) < len(picture.captions)):
            raise DataError(
                f"{picture.where}: image {picture.file} has {'an empty' if picture.captions else 'no'} "
                "caption; correct the file or pass on_empty='skip'"
            )
        empty += len(picture.captions) - len(full)
        picture.captions = full
        kept += [picture] if full else []
    dropped = len(found.pictures) - len(kept)
    if empty or dropped:
        found.notes.append(f"{empty:,} empty captions left out, and {dropped:,} images that have no other")
    return kept


def _located(
    found: Found, pictures: list[Picture], subset: bool, demand: bool, images: str
) -> tuple[Path, list[Picture], list[str]]:
    """The folder of the images, the pictures that have a file, and its name in that folder."""
    files = Files(found.files.root / str(images), "the images") if images else found.files
    known = files.resolve(name for picture in pictures for name in (picture.file, picture.also) if name)
    places = [known[picture.file] or known.get(picture.also, []) for picture in pictures]
    for picture, paths in zip(pictures, places, strict=True):
        if len(paths) > 1 and demand:
            raise DataError(
                f"{picture.where}: image {picture.file} may be {' or '.join(paths[:3])} of {files.root}; "
                "pass images='FOLDER' to say in which folder the images are, or write the ending"
            )
    there = {picture.file: paths[0] for picture, paths in zip(pictures, places, strict=True) if paths}
    missing = [picture for picture in pictures if picture.file not in there]
    if missing and demand:
        count = f"{len(missing):,} of {len(pictures):,} images are missing"
        if not subset or not there:
            raise DataError(
                f"{missing[0].where}: expected image {missing[0].file} in {files.root} or a folder of it, "
                f"found no such file ({count}); fetch the images"
                f"{', or pass subset=True to leave them out' * bool(there)}"
            )
        found.notes.append(f"{count}: left out ({first([picture.file for picture in missing])})")
        pictures = [picture for picture in pictures if picture.file in there]
    used = set(there.values())
    folders = {path.rpartition("/")[0] for path in used}
    beside = (path for paths in files.alike.values() for path in paths if path.rpartition("/")[0] in folders)
    spare = sorted(path for path in beside if path not in used)
    if spare:
        found.notes.append(f"{len(spare):,} image files beside them are not used ({first(spare)})")
    homes = {path[: -len(file)] if path.endswith(file) else "" for file, path in there.items()}
    home = homes.pop() if len(homes) == 1 else ""
    names = [there.get(picture.file, home + picture.file).removeprefix(home) for picture in pictures]
    return files.root / home, pictures, names


def _ids(pictures: Sequence[Picture]) -> list[str]:
    """The ids of the source, else the shortest parts of the file names that differ."""
    for make in (lambda file: bare(file).rpartition("/")[2], bare, str):
        ids = [picture.id or make(picture.file) for picture in pictures]
        if len(set(ids)) == len(ids):
            break
    return ids
