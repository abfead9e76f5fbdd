"""Reader of the split files of Karpathy and Fei-Fei (CVPR 2015): ``dataset_{flickr8k,flickr30k,coco}.json``.

``images[i] = {imgid, sentids, sentences: [{raw, tokens, imgid, sentid}], split, filename, filepath}``. In the
COCO file ``split`` may be ``restval``: those images belong to training (113,287 with ``train``), and
``filepath`` names the folder of the image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from imtext.data.common import (
    Photo,
    build,
    check_counts,
    check_fields,
    check_optional,
    clean,
    data_folder,
    image_folder,
    list_in,
    read_json,
    stem,
)
from imtext.data.schema import Dataset
from imtext.errors import DataError

_SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}
_FOLDERS = (
    "images",
    "imgs",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
    ".",
)
COUNTS = {
    "flickr8k": {"train": 6000, "val": 1000, "test": 1000},
    "flickr30k": {"train": 29000, "val": 1014, "test": 1000},
    "coco": {"train": 113287, "val": 5000, "test": 5000},
}


def find_karpathy_json(data_root: Path, name: str | None = None) -> Path | None:
    """The split file in a folder: ``dataset_<name>.json``, or the only ``dataset*.json``; or None.

    Raises:
        DataError: there are several and ``name`` picks none.

    >>> find_karpathy_json(Path("no/such/folder")) is None
    True
    """
    if name is not None:
        exact = data_root / f"dataset_{name}.json"
        return exact if exact.is_file() else None
    found = sorted(data_root.glob("dataset*.json"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{data_root}: expected one dataset*.json, found {names}; pass json_file=")
    return found[0] if found else None


def load_karpathy(
    data_root: str | os.PathLike[str],
    name: str | None = None,
    json_file: str | None = None,
    image_folder_name: str | None = None,
    on_empty: str = "raise",
    subset: bool = False,
    check_files: bool = True,
) -> Dataset:
    """A dataset in Karpathy's form.

    Args:
        data_root: folder with the JSON file, and the images in ``images``, ``flickr30k-images`` and the like
            or beside it.
        name: name of the dataset; default: the field ``dataset`` of the file.
        json_file: name of the file in ``data_root``; default: the only ``dataset*.json``.
        image_folder_name: folder of the images under ``data_root``; default: searched for.
        on_empty: ``"raise"`` or ``"skip"`` for empty captions.
        subset: accept a Flickr8k, Flickr30k or COCO file whose splits differ from the published sizes.
        check_files: demand that each image is on disk (False: captions alone are enough).

    The id of an image is its ``cocoid`` where there is one, else its file name without ending.

    Raises:
        DataError: the file is missing, cut off, not UTF-8 or of another form; ids or files are there twice;
            counts disagree; a split is unknown; an image is missing, has no or an empty caption.

    >>> load_karpathy("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    root = data_folder(data_root, name or "karpathy", json_file or "dataset*.json")
    path = root / json_file if json_file else find_karpathy_json(root)
    if path is None:
        raise DataError(f"{root}: expected dataset*.json, found none; put the file there or pass json_file=")
    title, photos = read_karpathy(path)
    if not subset:
        check_counts(photos, COUNTS.get(title, {}), path)
    images = _image_root(root, image_folder_name, photos, check_files)
    return build(name or title, images, photos, on_empty, check_files, path)


def read_karpathy(path: Path) -> tuple[str, list[Photo]]:
    """Name of the dataset and its images, in the order of a file in Karpathy's form.

    Raises:
        DataError: the file is missing, cut off, not UTF-8 or of another form; an imgid or sentid is there
            twice.

    >>> read_karpathy(Path("no/such/dataset_coco.json"))
    Traceback (most recent call last):
    imtext.errors.DataError: no/such/dataset_coco.json: expected a readable file, found: No such file ...
    """
    content = read_json(path)
    entries = list_in(content, "images", path)
    check_optional(content, str(path), {"dataset": str})
    photos = [_photo(entry, i, path) for i, entry in enumerate(entries)]
    _check_ids(entries, path)
    return content.get("dataset") or stem(path.name).removeprefix("dataset_"), photos


def _photo(entry: object, i: int, path: Path) -> Photo:
    where = f"{path}, images[{i}]"
    check_fields(entry, where, {"filename": str, "split": str, "sentences": list})
    check_optional(entry, where, {"filepath": str, "cocoid": int | str, "imgid": int | str, "sentids": list})
    if entry["split"] not in _SPLITS:
        known = ", ".join(_SPLITS)
        raise DataError(f"{where}: unknown split {entry['split']!r}; expected one of {known}")
    folder = entry.get("filepath") or ""
    file = f"{folder}/{entry['filename']}" if folder else entry["filename"]
    captions = [
        _caption(sentence, entry, f"{where}.sentences[{k}]") for k, sentence in enumerate(entry["sentences"])
    ]
    ids = entry.get("sentids")
    if ids is not None and len(ids) != len(captions):
        raise DataError(
            f"{where}: expected {len(ids)} sentences, as 'sentids' says, found {len(captions)}; "
            "fetch the file again"
        )
    cocoid = entry.get("cocoid")
    own = stem(file) if cocoid is None else str(cocoid)
    return Photo(file, own, _SPLITS[entry["split"]], captions, where)


def _caption(sentence: object, entry: Mapping, where: str) -> str:
    if not isinstance(sentence, Mapping):
        raise DataError(f"{where}: expected an object, found {type(sentence).__name__}; correct the entry")
    check_optional(sentence, where, {"imgid": int | str, "sentid": int | str})
    if "imgid" in entry and sentence.get("imgid", entry["imgid"]) != entry["imgid"]:
        raise DataError(
            f"{where}: expected imgid {entry['imgid']}, found {sentence['imgid']}; correct the sentence"
        )
    raw, tokens = sentence.get("raw"), sentence.get("tokens")
    if isinstance(raw, str):
        return clean(raw)
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return clean(" ".join(tokens))
    raise DataError(f"{where}: expected 'raw' text or a list of 'tokens', found neither; correct the entry")


def _check_ids(entries: Sequence[Mapping], path: Path) -> None:
    """No imgid and no sentid twice."""
    images: set[object] = set()
    sentences: set[object] = set()
    for i, entry in enumerate(entries):
        own = [s["sentid"] for s in entry["sentences"] if "sentid" in s]
        for what, seen, values in (("imgid", images, [entry.get("imgid")]), ("sentid", sentences, own)):
            for value in values:
                if value is None:
                    continue
                if str(value) in seen:
                    raise DataError(
                        f"{path}, images[{i}]: {what} {value} is there twice; remove the duplicate"
                    )
                seen.add(str(value))


def _image_root(root: Path, folder: str | None, photos: Sequence[Photo], check_files: bool) -> Path:
    if folder is not None:
        if check_files and not (root / folder).is_dir():
            raise DataError(
                f"{root / folder}: expected the folder of the images, found none; correct image_folder_name"
            )
        return root / folder
    if not check_files:
        return next((root / name for name in _FOLDERS if (root / name).is_dir()), root)
    return image_folder(root, _FOLDERS, [photo.file for photo in photos])
