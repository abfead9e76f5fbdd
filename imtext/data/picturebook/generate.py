"""Generating the dataset on disk, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imtext.errors import DataError

from .folder import advice, check_numbers, in_chunks, read_stamp, write_once
from .write import SPLIT_NUMBER, entry, write_image

VERSION = 2  # raised whenever scenes, words or drawings change
STAMP = "picturebook.json"
DEFAULT_GROUPS = {"train": 30_000, "val": 1_000, "test": 1_000}


def check_parameters(groups: Mapping[str, int] | None, size: int, seed: int) -> dict[str, int]:
    """The groups of each split, completed by the defaults; ConfigError where a parameter is out of range."""
    return check_numbers("picturebook", groups, DEFAULT_GROUPS, "image", size, seed)


def stamp_of(groups: Mapping[str, int], size: int, seed: int) -> dict[str, Any]:
    """What identifies a generated folder: version, parameters, file counts."""
    return {
        "version": VERSION,
        "size": size,
        "seed": seed,
        "groups": dict(groups),
        "images": sum(groups.values()),
    }


def check_folder(root: Path, groups: Mapping[str, int], size: int, seed: int) -> None:
    """DataError unless `root` holds a complete picturebook with these parameters."""
    found = read_stamp(root / STAMP, stamp_of(groups, size, seed), "a picturebook")
    for name, suffix in (("images", ".jpg"), ("Sentences", ".txt"), ("Annotations", ".xml")):
        folder = root / name
        count = sum(e.name.endswith(suffix) for e in os.scandir(folder)) if folder.is_dir() else 0
        if count != found["images"]:
            raise DataError(f"{folder}: expected {found['images']:,} files, found {count:,}; {advice(root)}")


def generate(
    root: str | os.PathLike[str],
    groups: Mapping[str, int] | None = None,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Path:
    """Write a picturebook to `root` in the public formats, unless the same one is there already.

    Image `i` of a split depends on `(seed, split, i)` alone: a smaller training set is the beginning of a
    larger one. Written are `dataset_picturebook.json` (Karpathy's form), `images/*.jpg`, `Sentences/*.txt`,
    `Annotations/*.xml` and `{train,val,test}.txt` (Flickr30k Entities), `scenes.jsonl` and
    `minimal_pairs.json`. Everything goes to a hidden folder beside `root` that is renamed at the end, so a
    killed run leaves nothing that could be taken for a dataset.

    Args:
        groups: images per split, such as `{"train": 2000}`; missing ones are 30,000 / 1,000 / 1,000.
        size: side of the images, 64 to 256 pixels.
        n_jobs: processes; all cores by default.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: `root` holds something else, or cannot be written.
    """
    full = check_parameters(groups, size, seed)
    root = Path(root).expanduser()
    return write_once(
        root,
        lambda: check_folder(root, full, size, seed),
        lambda folder: _write(folder, full, size, seed, n_jobs),
        "the picturebook",
    )


def _chunk(root: Path, seed: int, size: int, tests: int, jobs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [write_image(root, seed, split, index, size, tests) for split, index in jobs]


def _write(root: Path, groups: Mapping[str, int], size: int, seed: int, n_jobs: int | None) -> None:
    """Fill an empty folder."""
    for name in ("images", "Sentences", "Annotations"):
        (root / name).mkdir(parents=True)
    names: dict[str, list[str]] = {split: [] for split in SPLIT_NUMBER}
    jobs = [(split, i) for split in SPLIT_NUMBER for i in range(groups[split])]
    draw = partial(_chunk, root, seed, size, groups["test"])
    rows = in_chunks(draw, jobs, n_jobs, "drawing the picturebook")
    pairs = []
    with (
        (root / "scenes.jsonl").open("w", encoding="utf-8") as scenes,
        (root / "dataset_picturebook.json").open("w", encoding="utf-8") as dataset,
    ):
        dataset.write('{"dataset": "picturebook", "images": [\n')
        for number, row in enumerate(rows):
            scenes.write(json.dumps(row["scene"], separators=(",", ":")) + "\n")
            dataset.write((",\n" if number else "") + json.dumps(entry(number, row)))
            names[row["split"]].append(row["name"])
            if row["pair"]:
                pairs.append(row["pair"])
        dataset.write("\n]}\n")
    for split, listed in names.items():
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    (root / "minimal_pairs.json").write_text(json.dumps(pairs, indent=1) + "\n", encoding="utf-8")
    (root / STAMP).write_text(json.dumps(stamp_of(groups, size, seed), indent=1) + "\n", encoding="utf-8")
