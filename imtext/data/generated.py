"""The datasets that need no download: drawn by :mod:`imtext.picturebook`, read back like any other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imtext import picturebook
from imtext.check import whole
from imtext.data.assemble import assemble
from imtext.data.dataset import Dataset, Phrases, Regions
from imtext.data.files import Files
from imtext.data.karpathy import read_karpathy
from imtext.data.pedes import read_pedes
from imtext.errors import ConfigError, DataError
from imtext.files import atomic, told
from imtext.progress import progress

LIMIT = 100_000
FEW = 256  # starting processes takes longer than drawing so few


def default_root() -> Path:
    """The folder of generated datasets without a data root: ``$IMTEXT_DATA`` or ``~/.cache/imtext``."""
    return Path(os.environ.get("IMTEXT_DATA", "~/.cache/imtext")).expanduser() / "picturebook"


def load_picturebook(
    data_root: str | os.PathLike[str] | None = None,
    train: int = 30_000,
    val: int = 1_000,
    test: int = 1_000,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Dataset:
    """The picturebook with these parameters, with scenes, phrases and boxes; drawn first where absent.

    Args:
        data_root: folder that holds one subfolder per set of parameters; default: :func:`default_root`.
        train, val, test: images of each split.
        size: side of the images, 64 to 256 pixels.
        n_jobs: processes that draw; all cores by default.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: the folder is incomplete or holds something else; the message says what to do.
    """
    root = _folder("scenes", data_root, {"train": train, "val": val, "test": test}, size, seed, n_jobs)
    dataset = assemble(replace(read_karpathy(Files(root)), name="picturebook"))
    path = root / "scenes.jsonl"
    scenes = _scenes(path, "id", dataset.image_ids)
    try:
        extras = {"phrases": _phrases(dataset, scenes), "regions": _regions(scenes)}
        return replace(dataset, scenes=tuple({"seed": seed, **scene} for scene in scenes), **extras)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        found = error if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: expected phrases and boxes, found {found}; {_advice(root)}") from None


def load_pedestrians(
    data_root: str | os.PathLike[str] | None = None,
    train: int = 11_000,
    val: int = 1_000,
    test: int = 1_000,
    size: int = 128,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Dataset:
    """The pedestrians with these parameters, drawn first where they are absent.

    ``group_of_image`` is the person: any picture of a person answers a description of that person.
    ``scenes[i]`` holds the attributes behind picture ``i``: ``person``, ``view``, the fields that are
    ``hidden`` in this view, and for each description the fields that it ``named``.

    Args and errors are those of :func:`load_picturebook`, but the splits are counted in persons (two to four
    pictures each, two descriptions a picture), and pictures are ``size`` high and 0.45 of that wide.
    """
    root = _folder("pedestrians", data_root, {"train": train, "val": val, "test": test}, size, seed, n_jobs)
    dataset = assemble(replace(read_pedes(Files(root)), name="picturebook_pedestrians", edition=None))
    return replace(dataset, scenes=_scenes(root / "pedestrians.jsonl", "file", dataset.image_files))


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


def _folder(
    part: str,
    data_root: str | os.PathLike[str] | None,
    counts: Mapping[str, int],
    size: int,
    seed: int,
    n_jobs: int | None,
) -> Path:
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
                    label = "drawing the picturebook" if part == "scenes" else "drawing pedestrians"
                    with atomic(root) as folder:
                        picturebook.generate(folder, part, counts, size, seed, each=_each(label, n_jobs))
    wrong = picturebook.whats_wrong(root, part, counts, size, seed)
    if wrong:
        raise DataError(f"{wrong}; {_advice(root)}")
    return root


def _each(label: str, n_jobs: int | None) -> Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]:
    """Apply a function to many jobs with a progress bar, in processes where it pays."""
    from joblib import Parallel, cpu_count, delayed

    def each(work: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterable[Any]:
        done = map(work, jobs)
        if n_jobs != 1 and len(jobs) >= FEW:
            many = Parallel(n_jobs or cpu_count(), return_as="generator", batch_size=64)
            done = many(delayed(work)(job) for job in jobs)
        return progress(done, label, len(jobs))

    return each


def _advice(root: Path) -> str:
    return f"remove the folder {root} and load again, or choose another data_root"


def _scenes(path: Path, key: str, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The descriptions of all images of a dataset, from a file with one a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        scenes = {scene[key]: scene for scene in map(json.loads, lines)}
        if len(lines) != len(names):
            raise LookupError(f"{len(lines):,}")
        return tuple(scenes[name] for name in names)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: expected one JSON object for each of {len(names):,} images, found "
            f"{type(error).__name__}: {error}; {_advice(path.parent)}"
        ) from None


def _phrases(dataset: Dataset, scenes: Sequence[dict[str, Any]]) -> Phrases:
    columns: list[tuple[int, int, int, str, int, str]] = []
    for i, scene in enumerate(scenes):
        captions = dataset.captions_of(i).tolist()
        split = [dataset.captions[j].rstrip(".").split() for j in captions]
        for k, start, stop, chain, kind in scene["phrases"]:
            if k < 0 or stop > len(split[k]):
                raise DataError(f"a phrase of scene {i} that lies outside its caption")
            words = " ".join(split[k][start:stop])
            columns.append((captions[k], start, stop, words, chain + scene["chain_offset"], kind))
    caption, start, stop, words, chain, kind = zip(*columns, strict=True)
    return Phrases(np.array(caption), np.array(start), np.array(stop), words, np.array(chain), kind)


def _regions(scenes: Sequence[dict[str, Any]]) -> Regions:
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
