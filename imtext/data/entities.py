"""Reader of Flickr30k Entities (Plummer and others, ICCV 2015; IJCV 2017): captions, phrases and boxes.

::

    flickr30k-images/<id>.jpg
    Sentences/<id>.txt          captions with phrases in brackets
    Annotations/<id>.xml        boxes of the coreference chains that the phrases name
    {train,val,test}.txt        one id a line
    UNRELATED_CAPTIONS          captions that do not describe their image

``Sentences`` and ``Annotations`` are what the publishers' ``annotations.zip`` holds. They, and the lists, may
also lie in a folder ``flickr30k_entities`` of the data root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from imtext.data.common import (
    Photo,
    build,
    check_counts,
    data_folder,
    image_folder,
    read_lines,
    stem,
)
from imtext.data.entities_files import (
    ON_ODD,
    Annotation,
    Sentence,
    read_annotation,
    read_sentences,
    read_unrelated,
)
from imtext.data.karpathy import find_karpathy_json, read_karpathy
from imtext.data.schema import SPLITS, Dataset, Phrases, Regions, check_relative
from imtext.errors import ConfigError, DataError
from imtext.progress import progress

__all__ = ["COUNTS", "has_entities", "load_flickr30k_entities"]

COUNTS: Mapping[str, Mapping[str, int]] = {
    "entities": {"train": 29783, "val": 1000, "test": 1000},
    "karpathy": {"train": 29000, "val": 1014, "test": 1000},
}
"""Published number of images of each split, for both ways to split."""
UNRELATED = ("keep", "drop")
_FOLDERS = (
    ".",
    "flickr30k_entities",
    "flickr30k_entities-master",
    "flickr30k_entities/annotations",
    "flickr30k_entities-master/annotations",
    "annotations",
)
_IMAGES = ("flickr30k-images", "flickr30k_images", "images")


@dataclass
class _Read:
    """What the files of all images hold, by image id, and what was odd."""

    sentences: dict[str, list[Sentence]] = field(default_factory=dict)
    boxes: dict[str, Annotation] = field(default_factory=dict)
    broken: int = 0


def load_flickr30k_entities(
    data_root: str | os.PathLike[str],
    split: str = "entities",
    name: str = "flickr30k_entities",
    on_empty: str = "raise",
    subset: bool = False,
    check_files: bool = True,
    unrelated: str = "keep",
    on_odd: str = "raise",
) -> Dataset:
    """Flickr30k with the phrases and boxes of Flickr30k Entities.

    Captions are the sentences without their brackets. ``phrases`` has a row for each pair of brackets, those
    of chain 0 included; ``regions`` has a row for each box and chain. Chain numbers are those of the files.

    Args:
        data_root: folder with ``flickr30k-images`` (or ``images``), ``Sentences``, ``Annotations`` and the
            lists of the split; all but the images may lie in a folder ``flickr30k_entities`` of it.
        split: ``"entities"`` for ``train.txt``, ``val.txt`` and ``test.txt`` (29,783 / 1,000 / 1,000 images)
            or ``"karpathy"`` for ``dataset_flickr30k.json`` (29,000 / 1,014 / 1,000).
        name: name of the dataset.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        subset: accept splits of other sizes than the published ones.
        check_files: demand that each image is on disk (False: the annotations are enough).
        unrelated: what to do with the captions of ``UNRELATED_CAPTIONS``: ``"keep"`` them, with a note, or
            ``"drop"`` them.
        on_odd: ``"raise"``, or ``"skip"`` to leave out, and count in a note, boxes outside their image or
            inverted, and the phrases of a sentence with broken brackets. A box one pixel over an edge is
            clipped in either case.

    Raises:
        ConfigError: an option has another value.
        DataError: a folder or file is missing, not UTF-8, broken or that of another image; counts disagree;
            a caption is empty. The message names the file and the line or object.

    >>> load_flickr30k_entities("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with Sentences, Annotations ...
    """
    options = (("split", split, COUNTS), ("unrelated", unrelated, UNRELATED), ("on_odd", on_odd, ON_ODD))
    for option, value, known in options:
        if value not in known:
            raise ConfigError(f"{option}={value!r}: expected one of {tuple(known)}")
    root = data_folder(data_root, name, "Sentences, Annotations and flickr30k-images")
    base = _annotations(root)
    source, photos = _listed(root, base) if split == "entities" else _karpathy(root, base)
    if not subset:
        check_counts(photos, COUNTS[split], source)
    photos, read = _read(photos, base, on_odd)
    notes = _outside(photos, base)
    notes += _unrelated(photos, read, root, base, unrelated)
    images = root / _IMAGES[0]
    if check_files:
        images = image_folder(root, _image_folders(root, base), [photo.file for photo in photos])
    dataset = build(name, images, photos, on_empty, check_files, source, notes)
    return _with_spans(dataset, read)


def has_entities(data_root: Path) -> bool:
    """Whether the folder holds ``Sentences`` and ``Annotations``, where this reader looks for them.

    >>> has_entities(Path("no/such/folder"))
    False
    """
    return any(_complete(data_root / folder) for folder in _FOLDERS)


def _complete(folder: Path) -> bool:
    return (folder / "Sentences").is_dir() and (folder / "Annotations").is_dir()


def _annotations(root: Path) -> Path:
    """The folder that holds ``Sentences`` and ``Annotations``."""
    for folder in _FOLDERS:
        if _complete(root / folder):
            return root / folder
    packed = next(
        (root / f / "annotations.zip" for f in _FOLDERS if (root / f / "annotations.zip").is_file()), None
    )
    if packed is not None:
        raise DataError(
            f"{packed.parent}: expected the folders Sentences and Annotations, found annotations.zip; "
            "unpack it there"
        )
    raise DataError(
        f"{root}: expected the folders Sentences and Annotations, here or in flickr30k_entities, found "
        f"{_which(root)}; unpack annotations.zip of Flickr30k Entities there"
    )


def _which(root: Path) -> str:
    found = [name for name in ("Sentences", "Annotations") if (root / name).is_dir()]
    return f"only {found[0]}" if found else "none"


def _image_folders(root: Path, base: Path) -> list[str]:
    if base == root:
        return list(_IMAGES)
    return [*_IMAGES, *((base / folder).relative_to(root).as_posix() for folder in _IMAGES)]


def _listed(root: Path, base: Path) -> tuple[Path, list[Photo]]:
    """The images of ``train.txt``, ``val.txt`` and ``test.txt``, and the folder of these."""
    folders = list(dict.fromkeys((base, base.parent if base != root else root, root)))
    home = next((folder for folder in folders if (folder / "train.txt").is_file()), base)
    photos = []
    for split in SPLITS:
        path = home / f"{split}.txt"
        for number, line in read_lines(path):
            where = f"{path}, line {number}"
            image_id = line.strip().removesuffix(".jpg")
            photos.append(Photo(check_relative(f"{image_id}.jpg", where), image_id, split, where=where))
    return home, photos


def _karpathy(root: Path, base: Path) -> tuple[Path, list[Photo]]:
    """The images of Karpathy's file for Flickr30k, and its path; its captions are not used."""
    folders = list(dict.fromkeys((root, base, base.parent if base != root else root)))
    path = next((path for f in folders if (path := find_karpathy_json(f, "flickr30k")) is not None), None)
    if path is None:
        raise DataError(
            f"{root / 'dataset_flickr30k.json'}: expected this file for split='karpathy', found nothing; "
            "put it there or pass split='entities'"
        )
    photos = []
    for photo in read_karpathy(path)[1]:
        file = PurePosixPath(photo.file).name
        if not file.isprintable():  # JSON can hold half a character, which no file name can
            raise DataError(f"{photo.where}: expected the name of a file, found {file!r}; correct the entry")
        photos.append(replace(photo, file=check_relative(file, photo.where), id=stem(file), captions=[]))
    return path, photos


def _read(photos: Sequence[Photo], base: Path, on_odd: str) -> tuple[list[Photo], _Read]:
    """The photos with their captions, and the files of all of them."""
    read = _Read()
    out = []
    for photo in progress(photos, "reading Flickr30k Entities", len(photos)):
        sentences, broken = read_sentences(base / "Sentences" / f"{photo.id}.txt", on_odd)
        read.sentences[photo.id] = sentences
        read.boxes[photo.id] = read_annotation(base / "Annotations" / f"{photo.id}.xml", photo.id, on_odd)
        read.broken += broken
        out.append(replace(photo, captions=[sentence.caption for sentence in sentences]))
    return out, read


def _outside(photos: Sequence[Photo], base: Path) -> list[str]:
    """A note on annotated images that are in no split."""
    try:
        names = os.listdir(base / "Sentences")
    except OSError:
        return []
    used = {photo.id for photo in photos}
    count = sum(name.endswith(".txt") and name[:-4] not in used for name in names)
    return [f"{count:,} annotated images are in no split: dropped"] if count else []


def _unrelated(photos: list[Photo], read: _Read, root: Path, base: Path, unrelated: str) -> list[str]:
    """Take the unrelated captions out where asked; the note on them."""
    folders = (base, base.parent, root) if base != root else (root,)
    path = next((f / "UNRELATED_CAPTIONS" for f in folders if (f / "UNRELATED_CAPTIONS").is_file()), None)
    if path is None:
        if unrelated == "drop":
            raise DataError(
                f"{base / 'UNRELATED_CAPTIONS'}: expected this file for unrelated='drop', found nothing; "
                "put it there or pass unrelated='keep'"
            )
        return []
    listed = read_unrelated(path)
    count = 0
    for k, photo in enumerate(photos):
        numbers = listed.get(photo.id, {})
        sentences = read.sentences[photo.id]
        for number, where in numbers.items():
            if number > len(sentences):
                raise DataError(
                    f"{where}: expected a sentence 1 to {len(sentences)} of image {photo.id}, "
                    f"found {number}; correct the line"
                )
        count += len(numbers)
        if numbers and unrelated == "drop":
            kept = [sentence for j, sentence in enumerate(sentences, start=1) if j not in numbers]
            read.sentences[photo.id] = kept
            photos[k] = replace(photo, captions=[sentence.caption for sentence in kept])
    done = "dropped" if unrelated == "drop" else "kept (unrelated='drop' leaves them out)"
    return [f"{count} captions do not describe their image, says {path.name}: {done}"] if count else []


def _with_spans(dataset: Dataset, read: _Read) -> Dataset:
    """The dataset with phrases and regions; its captions are the sentences that are not empty, in order."""
    rows = list(_phrase_rows(dataset, read))
    sentence, start, stop, words, chain, kind = zip(*rows, strict=True) if rows else ((),) * 6
    annotations = [read.boxes[image_id] for image_id in dataset.image_ids]
    regions = Regions(
        boxes=[box for one in annotations for box in one.boxes],
        image_of_region=[i for i, one in enumerate(annotations) for _ in one.boxes],
        chain=[number for one in annotations for number in one.chain_of_box],
    )
    return replace(
        dataset,
        phrases=Phrases(sentence, start, stop, words, chain, kind),
        regions=regions,
        notes=(*dataset.notes, *_odd_notes(dataset, read, annotations)),
    )


def _phrase_rows(dataset: Dataset, read: _Read) -> Iterator[tuple[int, int, int, str, int, str]]:
    number = 0
    for image_id in dataset.image_ids:
        for sentence in read.sentences[image_id]:
            if sentence.caption:
                for mention in sentence.mentions:
                    yield number, *mention
                number += 1


def _odd_notes(dataset: Dataset, read: _Read, annotations: Sequence[Annotation]) -> list[str]:
    """One note for each kind of thing that was not as it should be."""
    bare = 0
    for image_id, annotation in zip(dataset.image_ids, annotations, strict=True):
        named = {mention.chain for sentence in read.sentences[image_id] for mention in sentence.mentions}
        bare += len(named - annotation.chains - {0})
    counted = (
        (bare, "chains that phrases name are not in Annotations: their phrases have no box"),
        (sum(one.clipped for one in annotations), "boxes lay one pixel over an edge of their image: clipped"),
        (sum(one.odd for one in annotations), "boxes lay outside their image or were inverted: dropped"),
        (read.broken, "sentences have broken brackets: kept without their phrases"),
    )
    return [f"{count:,} {what}" for count, what in counted if count]
