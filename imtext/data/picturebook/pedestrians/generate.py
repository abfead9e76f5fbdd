"""Generating the pedestrians on disk, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imtext.errors import DataError

from ..folder import advice, check_numbers, in_chunks, read_stamp, write_once
from .identities import Person, roster
from .write import write_person

VERSION = 1  # raised whenever people, words or drawings change
STAMP = "pedestrians.json"
SCENES = "pedestrians.jsonl"
DEFAULT_PERSONS = {"train": 11_000, "val": 1_000, "test": 1_000}


def check_parameters(persons: Mapping[str, int] | None, size: int, seed: int) -> dict[str, int]:
    """The persons of each split, completed by the defaults; ConfigError where a parameter is out of range."""
    return check_numbers("pedestrians", persons, DEFAULT_PERSONS, "person", size, seed)


def stamp_of(persons: Mapping[str, int], size: int, seed: int) -> dict[str, Any]:
    """What identifies a generated folder: version and parameters."""
    return {"version": VERSION, "size": size, "seed": seed, "persons": dict(persons)}


def check_folder(root: Path, persons: Mapping[str, int], size: int, seed: int) -> None:
    """DataError unless `root` holds complete pedestrians with these parameters."""
    found = read_stamp(root / STAMP, stamp_of(persons, size, seed), "generated pedestrians")
    folder = root / "imgs"
    count = sum(1 for _ in folder.glob("*/*.jpg"))
    wanted = found.get("images")
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise DataError(f"{root / STAMP}: expected the number of images, found none; {advice(root)}")
    if count != wanted:
        raise DataError(f"{folder}: expected {wanted} files, found {count}; {advice(root)}")


def generate(
    root: str | os.PathLike[str],
    persons: Mapping[str, int] | None = None,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Path:
    """Write pedestrians to `root` in the form of CUHK-PEDES, unless the same ones are there already.

    Person `i` of a split depends on `(seed, split, i)` alone: a smaller training set is the beginning of a
    larger one (only `id`, which counts through all splits, moves). Written are `reid_raw.json`,
    `imgs/<split>/<person>_<picture>.jpg` and `pedestrians.jsonl` with the attributes behind each picture.
    Everything goes to a hidden folder beside `root` that is renamed at the end.

    Args:
        persons: persons per split, such as `{"train": 600}`; missing ones are 11,000 / 1,000 / 1,000.
        size: height of the pictures, 64 to 256 pixels; they are 0.45 of that wide.
        n_jobs: processes; all cores by default.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: `root` holds something else, or cannot be written.
    """
    full = check_parameters(persons, size, seed)
    root = Path(root).expanduser()
    return write_once(
        root,
        lambda: check_folder(root, full, size, seed),
        lambda folder: _write(folder, full, size, seed, n_jobs),
        "the pedestrians",
    )


def _chunk(
    root: Path, seed: int, size: int, jobs: list[tuple[str, int, Person]]
) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(split, write_person(root, seed, split, index, person, size)) for split, index, person in jobs]


def _write(root: Path, persons: Mapping[str, int], size: int, seed: int, n_jobs: int | None) -> None:
    """Fill an empty folder."""
    jobs = []
    for split, count in persons.items():
        (root / "imgs" / split).mkdir(parents=True)
        jobs += [(split, index, person) for index, person in enumerate(roster(seed, split, count))]
    entries = []
    with (root / SCENES).open("w", encoding="utf-8") as scenes:
        rows = in_chunks(partial(_chunk, root, seed, size), jobs, n_jobs, "drawing pedestrians")
        for number, (split, pictures) in enumerate(rows, 1):
            for row in pictures:
                scenes.write(json.dumps({"id": number, **row.pop("scene")}, separators=(",", ":")) + "\n")
                entries.append({"split": split, **row, "id": number})
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (root / "reid_raw.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    stamp = {**stamp_of(persons, size, seed), "images": len(entries)}
    (root / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
