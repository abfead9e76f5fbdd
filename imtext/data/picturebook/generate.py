"""Generating the dataset on disk, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from imtext.errors import ConfigError, DataError
from imtext.progress import progress

from .write import SPLIT_NUMBER, entry, write_image

VERSION = 2  # raised whenever scenes, words or drawings change
STAMP = "picturebook.json"
DEFAULT_GROUPS = {"train": 30_000, "val": 1_000, "test": 1_000}
CHUNK = 64
LIMIT = 100_000


def check_parameters(groups: Mapping[str, int] | None, size: int, seed: int) -> dict[str, int]:
    """The groups of each split, completed by the defaults; ConfigError where a parameter is out of range."""
    full = {**DEFAULT_GROUPS, **(groups or {})}
    for name, count in full.items():
        if name not in DEFAULT_GROUPS:
            raise ConfigError(f"picturebook: unknown split {name!r}; expected train, val, test")
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LIMIT:
            raise ConfigError(f"picturebook: {name}={count!r}: expected an integer from 0 to {LIMIT:,}")
    if not sum(full.values()):
        raise ConfigError("picturebook: train, val and test are all 0; ask for at least one image")
    if isinstance(size, bool) or not isinstance(size, int) or not 64 <= size <= 256:
        raise ConfigError(f"picturebook: size={size!r}: expected an integer from 64 to 256 (pixels)")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"picturebook: seed={seed!r}: expected an integer of 0 or more")
    return full


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
    path = root / STAMP
    advice = f"remove the folder {root} and load again, or choose another data_root"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: expected the parameters of a picturebook, found no such file; {advice}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, found {error}; {advice}") from None
    for key, value in stamp_of(groups, size, seed).items():
        there = found.get(key) if isinstance(found, dict) else None
        if there != value:
            raise DataError(f"{path}: expected {key} {value}, found {there}; {advice}")
    for name, suffix in (("images", ".jpg"), ("Sentences", ".txt"), ("Annotations", ".xml")):
        folder = root / name
        count = sum(e.name.endswith(suffix) for e in os.scandir(folder)) if folder.is_dir() else 0
        if count != found["images"]:
            raise DataError(f"{folder}: expected {found['images']:,} files, found {count:,}; {advice}")


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
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.parent / f".{root.name}.lock"):
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                check_folder(root, full, size, seed)
                return root
            for old in root.parent.glob(f".{root.name}.partial-*"):
                shutil.rmtree(old, ignore_errors=True)
            partial = root.parent / f".{root.name}.partial-{os.getpid()}"
            try:
                _write(partial, full, size, seed, n_jobs)
                os.replace(partial, root)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{root}: the picturebook could not be written ({error}); free space or choose another data_root"
        ) from error
    return root


def _chunk(root: Path, seed: int, size: int, tests: int, jobs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [write_image(root, seed, split, index, size, tests) for split, index in jobs]


def _rows(
    root: Path, groups: Mapping[str, int], size: int, seed: int, n_jobs: int | None
) -> Iterator[dict[str, Any]]:
    """Write all images, in processes where it pays; yields their rows in order."""
    from joblib import Parallel, cpu_count, delayed

    jobs = [(split, i) for split in SPLIT_NUMBER for i in range(groups[split])]
    chunks = [jobs[k : k + CHUNK] for k in range(0, len(jobs), CHUNK)]
    if n_jobs == 1 or len(jobs) < 4 * CHUNK:  # starting processes takes longer than drawing so few
        done = (_chunk(root, seed, size, groups["test"], chunk) for chunk in chunks)
    else:
        done = Parallel(n_jobs=n_jobs or cpu_count(), return_as="generator")(
            delayed(_chunk)(root, seed, size, groups["test"], chunk) for chunk in chunks
        )
    for rows in progress(done, "drawing the picturebook", len(chunks)):
        yield from rows


def _write(root: Path, groups: Mapping[str, int], size: int, seed: int, n_jobs: int | None) -> None:
    """Fill an empty folder."""
    for name in ("images", "Sentences", "Annotations"):
        (root / name).mkdir(parents=True)
    names: dict[str, list[str]] = {split: [] for split in SPLIT_NUMBER}
    pairs = []
    with (
        (root / "scenes.jsonl").open("w", encoding="utf-8") as scenes,
        (root / "dataset_picturebook.json").open("w", encoding="utf-8") as dataset,
    ):
        dataset.write('{"dataset": "picturebook", "images": [\n')
        for number, row in enumerate(_rows(root, groups, size, seed, n_jobs)):
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
