"""The datasets that need no download: drawn by :mod:`imtext.picturebook`, read back like any other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imtext import picturebook
from imtext.check import whole
from imtext.data.assemble import assemble
from imtext.data.coco import read_karpathy
from imtext.data.dataset import Dataset, Phrases, Regions
from imtext.data.files import Files, decode, lines
from imtext.data.pedes import read_pedes
from imtext.errors import ConfigError, DataError
from imtext.files import atomic, told
from imtext.progress import progress

LIMIT = 100_000
FEW = 256  # starting processes takes longer than drawing so few
# What is drawn, how many for training, how it is read, and what joins images with the attributes behind them.
_PARTS = {
    "picturebook": ("scenes", 30_000, read_karpathy, "id", "image_ids"),
    "picturebook_pedestrians": ("pedestrians", 11_000, read_pedes, "file", "image_files"),
}


def default_root() -> Path:
    """The folder of generated datasets without a data root: ``$IMTEXT_DATA`` or ``~/.cache/imtext``."""
    return Path(os.environ.get("IMTEXT_DATA", "~/.cache/imtext")).expanduser() / "picturebook"


def load_generated(
    name: str,
    data_root: str | os.PathLike[str] | None = None,
    train: int | None = None,
    val: int = 1_000,
    test: int = 1_000,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Dataset:
    """A generated dataset with these parameters; drawn first where it is absent.

    ``picturebook`` has scenes, phrases and boxes. In ``picturebook_pedestrians``, ``group_of_image`` is the
    person: any picture of a person answers a description of that person. ``scenes[i]`` holds the attributes
    behind picture ``i``: ``person``, ``view``, the fields that are ``hidden`` in this view, and for each
    description the fields that it ``named``.

    Args:
        name: one of the two.
        data_root: folder that holds one subfolder per set of parameters; default: :func:`default_root`.
        train, val, test: images of each split (30,000 for training), or persons (11,000) of two to four
            pictures, two descriptions a picture.
        size: side of the images, 64 to 256 pixels; height of pedestrians, which are 0.45 of that wide.
        n_jobs: processes that draw; all cores by default.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: the folder is incomplete or holds something else; the message says what to do.
    """
    part, usual, read, key, names = _PARTS[name]
    train = usual if train is None else train
    root = _folder(part, data_root, n_jobs, size, seed, train=train, val=val, test=test)
    dataset = assemble(replace(read(Files(root)), name=name, edition=None))
    path = root / f"{part}.jsonl"
    try:
        scenes = _scenes(path, key, getattr(dataset, names))
        if part == "scenes":
            dataset = replace(dataset, phrases=_phrases(dataset, scenes), regions=_regions(scenes))
            scenes = tuple({"seed": seed, **scene} for scene in scenes)
        return replace(dataset, scenes=scenes)
    except (DataError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{path}: expected one JSON object for each of {dataset.n_images:,} images, found "
            f"{type(error).__name__}: {error}; {_advice(root)}"
        ) from None


def minimal_pairs(dataset: Dataset) -> list[dict[str, Any]]:
    """The minimal pairs of a picturebook whose two images are both in ``dataset``.

    Returns:
        One dictionary per pair: ``images`` (two image indices of ``dataset``), ``kind`` (attribute, count or
        relation), ``field`` (colour, clothes, size, action, count, left of, behind), ``of`` (the kind of
        thing), ``thing`` (its chain in the scene), ``from`` and ``to`` (the value in the first and in the
        second image).

    Raises:
        DataError: the dataset has no scenes.
    """
    number = {name: i for i, name in enumerate(dataset.image_ids)}
    pairs = [(scene["id"], scene["pair"]) for scene in _drawn(dataset, "id") if "pair" in scene]
    return [
        {**pair, "images": [number[name] for name in pair["images"]]}
        for name, pair in pairs
        if name == pair["images"][0] and pair["images"][1] in number
    ]


def scene_relevance(dataset: Dataset, split: str | None = None) -> np.ndarray:
    """For each scene of a picturebook, the share of what each caption says that is true of it.

    What counts is told by :func:`imtext.picturebook.graded.relevance`.

    Args:
        split: name of a split, default all of ``dataset``.

    Returns:
        ``(N, M)`` float32 in [0, 1], images by captions of the split, 1 for a caption and its own image.

    Raises:
        DataError: the dataset has no scenes, or other captions than are written now.

    >>> scene_relevance(Dataset("x", ".", ("a.jpg",), ("a",), ("A dog.",), [0], ["test"], [0]))
    Traceback (most recent call last):
    imtext.errors.DataError: dataset x has no scenes: load a picturebook
    """
    chosen = dataset if split is None else dataset.split(split)
    scenes = _drawn(chosen, "seed")
    said, texts = [], []
    for scene in scenes:
        where, _, index = scene["id"].partition("_")
        captions = picturebook.describe(scene["seed"], where, int(index))[1]
        said += map(picturebook.statements, captions)
        texts += map(picturebook.plain_text, captions)
    if tuple(texts) != chosen.captions:
        raise DataError(f"dataset {dataset.name}: expected captions as they are written now; draw it again")
    return picturebook.relevance(scenes, progress(said, "relevance of captions", len(said)))


def _drawn(dataset: Dataset, field: str) -> tuple[dict[str, Any], ...]:
    """The scenes of a dataset, which are to have a field."""
    if dataset.scenes is None or not all(field in scene for scene in dataset.scenes):
        raise DataError(f"dataset {dataset.name} has no scenes: load a picturebook")
    return dataset.scenes


def _folder(part: str, data_root: Any, n_jobs: int | None, size: int, seed: int, **counts: int) -> Path:
    """The folder of a generated dataset, drawn whole or not at all; other processes that want it wait."""
    from filelock import FileLock

    for split, count in counts.items():
        whole(split, count, 0, LIMIT)
    whole("size", size, 64, 256)
    whole("seed", seed, 0)
    if not any(counts.values()):
        raise ConfigError("train, val and test are all 0; ask for at least one image")
    parameters = "-".join(f"{name}{value}" for name, value in {**counts, "size": size, "seed": seed}.items())
    base = default_root() if data_root is None else Path(data_root).expanduser()
    root = base / f"{'' if part == 'scenes' else part + '-'}v{picturebook.VERSIONS[part]}-{parameters}"
    if not root.exists():
        with told(base):
            base.mkdir(parents=True, exist_ok=True)
            with FileLock(base / f".{root.name}.lock"):
                for broken_off in base.glob(f".{root.name}.*.tmp"):
                    shutil.rmtree(broken_off, ignore_errors=True)
                if not root.exists():
                    with atomic(root) as folder:
                        each = partial(_each, f"drawing {part}", n_jobs)
                        picturebook.generate(folder, part, counts, size, seed, each=each)
    wrong = picturebook.whats_wrong(root, part, counts, size, seed)
    if wrong:
        raise DataError(f"{wrong}; {_advice(root)}")
    return root


def _each(label: str, n_jobs: int | None, work: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
    """Apply a function to many jobs with a progress bar, in processes where it pays."""
    from joblib import Parallel, cpu_count, delayed

    count = 1 if len(jobs) < FEW else n_jobs or cpu_count()
    many = Parallel(count, return_as="generator", batch_size=64)
    return progress(many(delayed(work)(job) for job in jobs), label, len(jobs))


def _advice(root: Path) -> str:
    return f"remove the folder {root} and load again, or choose another data_root"


def _scenes(path: Path, key: str, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The descriptions of all images of a dataset, from a file with one a line."""
    found = [decode(line, dict[str, Any], where) for where, line in lines(path)]
    scenes = {scene[key]: scene for scene in found}
    if len(scenes) != len(names):
        raise LookupError(f"{len(scenes):,}")
    return tuple(scenes[name] for name in names)


def _phrases(dataset: Dataset, scenes: Sequence[dict[str, Any]]) -> Phrases:
    rows = []
    for i, scene in enumerate(scenes):
        captions = dataset.captions_of(i).tolist()
        said = [dataset.captions[j].rstrip(".").split() for j in captions]
        for k, start, stop, chain, kind in scene["phrases"]:
            words = " ".join(said[k][start:stop])
            rows.append((captions[k], start, stop, words, chain + scene["chain_offset"], kind))
    return Phrases(*zip(*rows, strict=True))


def _regions(scenes: Sequence[dict[str, Any]]) -> Regions:
    rows = []
    for i, scene in enumerate(scenes):
        for chain, boxes in scene["boxes"].items():
            rows += [[*box, i, int(chain) + scene["chain_offset"]] for box in boxes]
    table = np.array(rows)
    return Regions(table[:, :4], table[:, 4], table[:, 5])
