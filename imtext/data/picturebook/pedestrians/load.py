"""Reading generated pedestrians back, through the reader of CUHK-PEDES."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from imtext.data.common import read_json_lines
from imtext.data.cuhk_pedes import load_cuhk_pedes
from imtext.data.schema import Dataset
from imtext.errors import DataError

from ..folder import advice
from ..load import default_root
from .generate import SCENES, VERSION, check_folder, check_parameters, generate


def load(
    data_root: str | os.PathLike[str] | None = None,
    train: int = 11_000,
    val: int = 1_000,
    test: int = 1_000,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Dataset:
    """The pedestrians with these parameters, generated first where they are absent.

    `group_of_image` is the person: any picture of a person answers a description of that person. `scenes[i]`
    holds the attributes behind picture `i`: `person`, `view`, the fields that are `hidden` in this view, and
    for each description the fields that it `named`.

    Args:
        data_root: folder that holds one subfolder per set of parameters; default: that of picturebook.
        train, val, test: persons of each split, two to four pictures each, two descriptions a picture.
        size: height of the pictures, 64 to 256 pixels; they are 0.45 of that wide.
        n_jobs: processes that draw; all cores by default.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: the folder is incomplete or holds something else; the message says what to do.
    """
    persons = check_parameters({"train": train, "val": val, "test": test}, size, seed)
    base = default_root() if data_root is None else Path(data_root).expanduser()
    root = base / f"pedestrians-v{VERSION}-train{train}-val{val}-test{test}-size{size}-seed{seed}"
    if root.is_dir():
        check_folder(root, persons, size, seed)
    else:
        generate(root, persons, size, seed, n_jobs)
    return _with_scenes(load_cuhk_pedes(root, name="picturebook_pedestrians", subset=True), root)


def _with_scenes(dataset: Dataset, root: Path) -> Dataset:
    """The attributes of each picture from `pedestrians.jsonl`."""
    path = root / SCENES
    scenes = read_json_lines(path, advice(root))
    by_file = {str(scene["file"]): scene for scene in scenes if isinstance(scene.get("file"), str)}
    if (
        len(scenes) != len(by_file)
        or len(by_file) != dataset.n_images
        or not all(file in by_file for file in dataset.image_files)
    ):
        raise DataError(
            f"{path}: expected a line for each of {dataset.n_images:,} images, found {len(scenes):,} that "
            f"do not match; {advice(root)}"
        )
    return replace(dataset, scenes=tuple(by_file[file] for file in dataset.image_files))
