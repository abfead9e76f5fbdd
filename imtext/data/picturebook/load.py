"""Reading a picturebook back, through the reader of the public format it is written in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imtext.data.common import read_json_lines
from imtext.data.karpathy import load_karpathy
from imtext.data.schema import Dataset, Phrases, Regions
from imtext.errors import DataError

from .folder import advice
from .generate import VERSION, check_folder, check_parameters, generate


def default_root() -> Path:
    """The folder of picturebooks where no data root is given: `$IMTEXT_DATA` or `~/.cache/imtext`."""
    return Path(os.environ.get("IMTEXT_DATA", "~/.cache/imtext")).expanduser() / "picturebook"


def load(
    data_root: str | os.PathLike[str] | None = None,
    train: int = 30_000,
    val: int = 1_000,
    test: int = 1_000,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
    extras: bool = True,
) -> Dataset:
    """The picturebook with these parameters, generated first where it is absent.

    Args:
        data_root: folder that holds one subfolder per set of parameters; default: `default_root()`.
        train, val, test: images of each split.
        size: side of the images, 64 to 256 pixels.
        extras: also read scenes, phrases and boxes (False is faster and lighter).

    Raises:
        ConfigError: a parameter is out of range.
        DataError: the folder is incomplete or holds something else; the message says what to do.
    """
    groups = check_parameters({"train": train, "val": val, "test": test}, size, seed)
    base = default_root() if data_root is None else Path(data_root).expanduser()
    root = base / f"v{VERSION}-train{train}-val{val}-test{test}-size{size}-seed{seed}"
    if root.is_dir():
        check_folder(root, groups, size, seed)
    else:
        generate(root, groups, size, seed, n_jobs)
    dataset = load_karpathy(root, name="picturebook", subset=True)
    return _with_extras(dataset, root) if extras else dataset


def _with_extras(dataset: Dataset, root: Path) -> Dataset:
    """Scenes, phrases and boxes from `scenes.jsonl`."""
    path = root / "scenes.jsonl"
    scenes = tuple(read_json_lines(path, advice(root)))
    if [s.get("id") for s in scenes] != list(dataset.image_ids):
        raise DataError(
            f"{path}: expected the scenes of {dataset.n_images:,} images in order, found {len(scenes):,} "
            f"that do not match; {advice(root)}"
        )
    try:
        return replace(dataset, scenes=scenes, phrases=_phrases(dataset, scenes), regions=_regions(scenes))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        found = error if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}: expected phrases and boxes as they were written, found {found}; {advice(root)}"
        ) from None


def _phrases(dataset: Dataset, scenes: tuple[dict[str, Any], ...]) -> Phrases:
    columns: list[tuple[int, int, int, str, int, str]] = []
    for i, scene in enumerate(scenes):
        captions = dataset.captions_of(i).tolist()
        split = [dataset.captions[j].rstrip(".").split() for j in captions]
        for k, start, stop, chain, kind in scene["phrases"]:
            if k < 0 or stop > len(split[k]):
                raise DataError(f"a phrase of scene {i} that lies outside its caption")
            columns.append(
                (
                    captions[k],
                    start,
                    stop,
                    " ".join(split[k][start:stop]),
                    chain + scene["chain_offset"],
                    kind,
                )
            )
    caption, start, stop, words, chain, kind = zip(*columns, strict=True)
    return Phrases(np.array(caption), np.array(start), np.array(stop), words, np.array(chain), kind)


def _regions(scenes: tuple[dict[str, Any], ...]) -> Regions:
    boxes, image, chains = [], [], []
    for i, scene in enumerate(scenes):
        for chain, found in scene["boxes"].items():
            boxes += found
            image += [i] * len(found)
            chains += [int(chain) + scene["chain_offset"]] * len(found)
    rows = np.array(boxes)
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind != "i":
        raise DataError(f"boxes of shape {rows.shape} and type {rows.dtype}")
    return Regions(rows, np.array(image), np.array(chains))


def minimal_pairs(dataset: Dataset) -> list[dict[str, Any]]:
    """The minimal pairs whose two images are both in `dataset`.

    Returns:
        One dictionary per pair: `images` (two image indices of `dataset`), `kind` (attribute, count or
        relation), `field` (colour, clothes, size, action, count, left of, behind), `of` (the kind of thing),
        `thing` (its chain in the scene), `from` and `to` (the value in the first and in the second image).

    Raises:
        DataError: the dataset has no scenes.
    """
    if dataset.scenes is None:
        raise DataError(
            f"dataset {dataset.name} has no scenes: minimal pairs need a picturebook loaded with extras=True"
        )
    number = {name: i for i, name in enumerate(dataset.image_ids)}
    out = []
    for scene in dataset.scenes:
        pair = scene.get("pair")
        if pair and pair["images"][0] == scene["id"] and pair["images"][1] in number:
            out.append({**pair, "images": [number[name] for name in pair["images"]]})
    return out
