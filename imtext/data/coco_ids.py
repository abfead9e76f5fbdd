"""COCO's own numbers of the captions of a dataset, by which CxC and ECCV-Caption name them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imtext.data.coco import caption_files
from imtext.data.common import check_fields, clean, data_folder, list_in, read_json
from imtext.data.karpathy import find_karpathy_json
from imtext.data.schema import Dataset
from imtext.errors import DataError


def coco_caption_ids(data_root: str | os.PathLike[str], data: Dataset, year: str = "2014") -> np.ndarray:
    """The annotation ids ``(M,)`` int64 of the captions of COCO, or of a split of it.

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
    root = data_folder(data_root, "coco", "annotations/captions_{train,val}2014.json or dataset_coco.json")
    known: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for image, caption, number in _listed(root, year):
        known[image].append((caption, number))
    left = {image: iter(found) for image, found in known.items()}
    ids = np.empty(len(data.captions), dtype=np.int64)
    for sentence, (owner, caption) in enumerate(zip(data.image_of_caption, data.captions, strict=True)):
        image = data.image_ids[owner]
        # In the order of the file; a reader may have skipped empty ones.
        number = next((number for other, number in left.get(image, ()) if other == caption), None)
        if number is None:
            raise DataError(
                f"{root}: expected the caption {caption[:60]!r} for image {image}, found other captions; "
                "pass the folder that the dataset was read from"
            )
        ids[sentence] = number
    return ids


def _listed(root: Path, year: str) -> Iterator[tuple[str, str, int]]:
    """Image id, caption and annotation id of everything in the files."""
    files = list(caption_files(root, year).values())
    for path in files:
        for j, entry in enumerate(list_in(read_json(path), "annotations", path)):
            check_fields(entry, f"{path}, annotations[{j}]", {"image_id": int, "id": int, "caption": str})
            yield str(entry["image_id"]), clean(entry["caption"]), entry["id"]
    if files:
        return
    path = find_karpathy_json(root, "coco")
    if path is None:
        raise DataError(
            f"{root}: expected annotations/captions_{{train,val}}{year}.json or dataset_coco.json, found "
            "neither; put them there"
        )
    for i, entry in enumerate(list_in(read_json(path), "images", path)):
        check_fields(entry, f"{path}, images[{i}]", {"cocoid": int, "sentences": list})
        for k, sentence in enumerate(entry["sentences"]):
            check_fields(sentence, f"{path}, images[{i}].sentences[{k}]", {"sentid": int, "raw": str})
            yield str(entry["cocoid"]), clean(sentence["raw"]), sentence["sentid"]


__all__ = ["coco_caption_ids"]
