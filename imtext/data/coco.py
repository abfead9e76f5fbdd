"""Readers of captions in JSON: COCO's caption files, and the split files of Karpathy and Fei-Fei (CVPR 2015).

COCO (Chen et al., "Microsoft COCO Captions", arXiv:1504.00325)::

    annotations/captions_{train,val}2014.json      (or 2017)
    train2014/*.jpg, val2014/*.jpg                 (in any folder; those of 2017 are the same pictures)
    dataset_coco.json                              (the split; optional)

``images[i] = {id, file_name, ...}`` and ``annotations[j] = {image_id, id, caption}``. COCO publishes no
captions for its test images, so papers split the images of 2014 anew, as Karpathy and Fei-Fei do: 113,287 for
training, 5,000 for validation, 5,000 for the test. Their file gives the split, the native files the captions.

``dataset_{flickr8k,flickr30k,coco}.json`` of Karpathy and Fei-Fei::

    images[i] = {imgid, sentids, sentences: [{raw, tokens, imgid, sentid}], split, filename, filepath}

``split`` may be ``restval``: those images belong to training (113,287 with ``train``). ``filepath`` names the
folder of the image.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from imtext.check import one_of
from imtext.data.assemble import EDITIONS, Found, Picture
from imtext.data.dataset import Dataset
from imtext.data.files import Files, clean, read_json, relative
from imtext.errors import DataError

Id = int | float | str | None
_YEARS = ("2014", "2017")
_FETCH = "'imtext data fetch coco --parts karpathy' brings it"


class _Sentence(Struct):
    raw: str | None = None
    tokens: list[str] | None = None
    sentid: Id = None


class _Entry(Struct):
    filename: str
    split: str
    sentences: list[_Sentence]
    filepath: str | None = ""
    cocoid: Id = None


class _Split(Struct):
    images: list[_Entry]
    dataset: str | None = ""


class _Image(Struct):
    id: int | float | str
    file_name: str


class _Annotation(Struct):
    image_id: int | float | str
    caption: str
    id: Id = None


class _Captions(Struct):
    images: list[_Image]
    annotations: list[_Annotation]


def id_text(value: Any) -> str:
    """An id as text, empty for none; tables of numbers write 1 as 1.0."""
    whole = isinstance(value, float) and value.is_integer()
    return "" if value is None else str(int(value) if whole else value)


def split_file(files: Files, name: str) -> Path | None:
    """``dataset_<name>.json``, or a ``dataset.json`` that does not say that it is of another dataset."""
    exact, plain = files.find(f"dataset_{name}.json"), files.find("dataset.json")
    of_this = exact is None and plain and read_json(plain, _Split).dataset in (name, "", None)
    return plain if of_this else exact


def read_karpathy(files: Files, json_file: str | None = None) -> Found:
    """The pictures of a file in this form, in its order.

    The id of an image is its ``cocoid`` where there is one; the dataset is called what the file says.

    Args:
        json_file: path of the file below the data root; default: the only ``dataset*.json``.

    Raises:
        DataError: the file is missing, cut off, not UTF-8 or of another form, or it is open which is meant.
    """
    names = [json_file] if json_file else files.all("dataset*.json")
    if len(names) != 1:
        raise DataError(
            f"{files.root}: expected one dataset*.json, found {', '.join(names) or 'none'}; "
            "pass json_file='NAME' of one that is there"
        )
    return read_split(files.root / names[0], files)


def read_split(path: Path, files: Files) -> Found:
    """As `read_karpathy`, of a file by its path."""
    content = read_json(path, _Split)
    pictures = []
    for i, entry in enumerate(content.images):
        where = f"{path}, images[{i}]"
        file = relative(f"{entry.filepath}/{entry.filename}" if entry.filepath else entry.filename, where)
        captions = [
            clean(" ".join(sentence.tokens or []) if sentence.raw is None else sentence.raw)
            for sentence in entry.sentences
        ]
        number = id_text(entry.cocoid)
        also = f"{number:0>12}.jpg" if number else ""
        numbers = [id_text(sentence.sentid) for sentence in entry.sentences]
        pictures.append(Picture(file, captions, entry.split, where, number, also=also, numbers=numbers))
    name = content.dataset or path.stem.removeprefix("dataset_")
    return Found(name, path, files, pictures, EDITIONS.get(f"karpathy {name}"))


def read_captions(path: Path, split: str, folder: str = "") -> list[Picture]:
    """The images of a caption file with their captions, in its order.

    Raises:
        DataError: it is cut off or of another form; an annotation names an unknown image.
    """
    content = read_json(path, _Captions)
    pictures = []
    for i, image in enumerate(content.images):
        where, number = f"{path}, images[{i}]", id_text(image.id)
        file = f"{folder}{relative(image.file_name, where)}"
        pictures.append(Picture(file, [], split, where, number, also=f"{number:0>12}.jpg"))
    by_id = {picture.id: picture for picture in pictures}
    for j, annotation in enumerate(content.annotations):
        owner = by_id.get(id_text(annotation.image_id))
        if owner is None:
            raise DataError(
                f"{path}, annotations[{j}]: image_id {annotation.image_id} is not among the images of the "
                "file; add the image or remove the annotation"
            )
        owner.captions.append(clean(annotation.caption))
        owner.numbers.append(id_text(annotation.id))
    return pictures


def read_coco(files: Files, year: str | int | None = None) -> Found:
    """COCO from its caption files; five captions for most images, six or seven for some, all kept.

    Args:
        year: ``"2014"`` or ``"2017"``; None takes 2014 where any file of it is there, else 2017.

    The split: for 2014, ``dataset_coco.json`` decides by ``cocoid`` (``restval`` belongs to train), and
    images keep its order, on which five folds of 1,000 test images rest. Without it, and for 2017, the train
    file is ``train`` and the val file ``val``; there is no test split, and the notes say so. One of the two
    caption files is enough, with a note. Where only ``dataset_coco.json`` is there, its captions are read.

    Raises:
        ConfigError: another ``year``.
        DataError: no file is there, or one is cut off or of another form.
    """
    there = {each: _caption_files(files, each) for each in _YEARS}
    held = [each for each in there if there[each]]
    year = one_of("year", str(year), _YEARS) if year else (held or ["2014"])[0]
    split, native = split_file(files, "coco"), there[year]
    if not native and (split is None or year != "2014"):
        raise DataError(
            f"{files.root}: expected captions_train{year}.json, captions_val{year}.json or both, found "
            f"{'those of ' + held[0] if held else 'neither'}; put them there"
            + "".join(f", or pass year={one!r}" for one in held[:1])
        )
    notes = [
        f"captions of {other} are there too; year={other!r} reads them" for other in held if other != year
    ]
    lost = "its images are left out" if native else f"captions are those of {split and split.name}"
    absent = [f"captions_{one}{year}.json" for one in ("train", "val") if one not in native]
    notes += [f"{name} is not there: {lost}" for name in absent]
    pictures = [p for one, path in native.items() for p in read_captions(path, one, f"{one}{year}/")]
    if split is not None and year == "2014":
        found = replace(read_split(split, files), name="coco", edition=EDITIONS["karpathy coco"], notes=notes)
        return _joined(found, pictures) if native else found
    edition = EDITIONS[f"coco {year}"]
    kinds = {kind: {one: getattr(edition, kind)[one] for one in native} for kind in ("images", "captions")}
    notes.append(
        f"no test split: {' and '.join(f'{path.name} is {one}' for one, path in native.items())}; for "
        f"113,287/5,000/5,000 images put dataset_coco.json beside the files of 2014 ({_FETCH})"
    )
    return Found("coco", next(iter(native.values())), files, pictures, replace(edition, **kinds), notes)


def _caption_files(files: Files, year: str) -> dict[str, Path]:
    """The caption files of a year that are there, by split."""
    paths = {split: files.find(f"captions_{split}{year}.json") for split in ("train", "val")}
    return {split: path for split, path in paths.items() if path}


def _joined(found: Found, native: list[Picture]) -> Found:
    """Split and order of Karpathy's file, images and captions of the native ones."""
    by_id, name = {picture.id: picture for picture in native}, found.source.name
    lacking = [picture for picture in found.pictures if picture.id not in by_id]
    if lacking:
        found.notes.append(f"{len(lacking):,} images of {name} are in no caption file: left out")
    chosen = [replace(by_id[p.id], split=p.split) for p in found.pictures if p.id in by_id]
    if not chosen:
        raise DataError(f"{found.source}: none of its images is in the caption files; fetch those of 2014")
    spare = by_id.keys() - {picture.id for picture in chosen}
    if spare:
        captions = sum(len(by_id[one].captions) for one in spare)
        found.notes.append(
            f"{len(spare):,} images with {captions:,} captions are in no split of {name}: left out"
        )
    return replace(found, pictures=chosen)


def coco_caption_ids(data_root: str | os.PathLike[str], data: Dataset, year: str = "2014") -> np.ndarray:
    """The annotation ids ``(M,)`` int64 of the captions of COCO, or of a split of it.

    CxC and ECCV-Caption name captions by them.

    Args:
        data_root: the folder that ``data`` was read from: with COCO's caption files, or with
            ``dataset_coco.json`` alone, whose ``sentid`` is the same number.
        data: what :func:`imtext.data.load_dataset` made of it; year: of the caption files.

    Raises:
        DataError: neither is there, or an image of ``data`` has other captions in it.

    >>> from imtext.data import load_dataset
    >>> coco_caption_ids("no/such/folder", load_dataset("picturebook", train=1, val=1, test=1))
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    files = Files(data_root, f"captions_{{train,val}}{year}.json or dataset_coco.json")
    native = _caption_files(files, year)
    pictures = [picture for split, path in native.items() for picture in read_captions(path, split)]
    if not native:
        hint = f"put it or captions_{{train,val}}{year}.json there"
        path = split_file(files, "coco") or files.need("dataset_coco.json", hint=hint)
        pictures = read_split(path, files).pictures
    known = {picture.id: list(zip(picture.captions, picture.numbers, strict=True)) for picture in pictures}
    ids = []
    for owner, caption in zip(data.image_of_caption, data.captions, strict=True):
        image = data.image_ids[owner]
        listed = known.get(image, [])
        # In the order of the file; a reader may have left out empty ones.
        while listed and listed[0][0] != caption:
            listed.pop(0)
        if not listed or not listed[0][1].isdigit():
            raise DataError(
                f"{files.root}: expected the caption {caption[:60]!r} for image {image}, numbered, found "
                "other captions; pass the folder that the dataset was read from"
            )
        ids.append(int(listed.pop(0)[1]))
    return np.array(ids, dtype=np.int64)
