"""What is read of a dataset: its splits, cut to the sizes asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, dataclass_transform

import numpy as np

from imtext.data import GENERATED, LARGEST, is_pack, load_dataset
from imtext.data.dataset import SPLITS, Dataset


@dataclass(frozen=True)
class Data:
    """A dataset and how much of it is taken.

    Attributes:
        train, val, test: groups (an image with its captions, or a person) of each split; None takes all.
        seed: of the choice of groups, of generated data and of the cached views of images.
        persons: groups are persons with several images each, who are searched by description.
        dataset: as for :func:`imtext.data.load_dataset`; a study puts the notebook's in its place.
        subset, on_empty: as for the readers of downloaded datasets.
        options: further options of the reader, pairs of name and value; overrides may give a mapping, such as
            ``{"data": {"options": {"year": "2017"}}}``.
    """

    train: int | None = None
    val: int | None = None
    test: int | None = None
    seed: int = 0
    dataset: str = "picturebook"
    persons: bool = False
    subset: bool = False
    on_empty: str = "raise"
    # No part of the values where it is empty, so that rows without options keep their hash.
    options: tuple = field(default=(), metadata={"optional": True})


@dataclass(frozen=True)
class Places:
    """Where a run finds its data and keeps its caches, and on what it computes: no part of its numbers."""

    data_root: str | None = None
    cache: str = "cache"
    device: str = "cpu"


class Source:
    """The splits of a dataset, read when first asked for.

    Args:
        data: which, and how much of it; places: where it lies.
        size: side of its pictures, which generated ones are drawn at, up to 256 pixels.
        precision: of what is computed from it, as for :func:`imtext.precision.working_precision`.
    """

    def __init__(self, data: Data, places: Places, size: int, precision: str) -> None:
        self.data, self.places, self.size, self.precision = data, places, size, precision
        self.cache = Path(places.cache)

    @cached_property
    def dataset(self) -> Dataset:
        """All splits."""
        data, root = self.data, self.places.data_root
        sizes = {split: getattr(data, split) for split in SPLITS if getattr(data, split) is not None}
        if data.dataset in GENERATED and not is_pack(root):
            return load_dataset(data.dataset, root, size=min(self.size, LARGEST), seed=data.seed, **sizes)
        options = {"subset": data.subset, "on_empty": data.on_empty} | dict(data.options)
        return cut(load_dataset(data.dataset, root, **options), sizes, data.seed)

    @cached_property
    def splits(self) -> dict[str, Dataset]:
        """The splits by name."""
        return {split: self.dataset.split(split) for split in SPLITS}

    @cached_property
    def captions(self) -> dict[str, tuple[str, ...]]:
        """The captions of each split."""
        return {name: split.captions for name, split in self.splits.items()}

    @cached_property
    def groups(self) -> np.ndarray:
        """Group of each training caption ``(M,)``, numbered from 0."""
        return np.unique(self.splits["train"].group_of_caption, return_inverse=True)[1].astype(np.int64)


@dataclass_transform(frozen_default=True)
class Part:
    """A part of an experiment: each subclass is a frozen dataclass of what a reader may change."""

    said = ""  # what ran, for people

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


class Reading(Part):
    """What a network reads of one side; a subclass names in ``built`` what that becomes on a dataset."""

    stored = None  # training pictures are stored as others
    own = 0  # no dimensions of a word beside its vector

    def build(self, *given: Any) -> Any:
        """Of a source: the rows, codes or pixels; of captions also with a finished run, to take its words."""
        return self.built(self, *given)


class Beside(Reading):
    """Several readings of the same images, or of the same captions, side by side: numbers of one row."""

    parts: tuple[Any, ...] = ()

    @property
    def said(self) -> str:
        """What ran, for people."""
        names, rest = zip(*(part.said.partition(", ")[::2] for part in self.parts), strict=True)
        return ", ".join(filter(None, [" + ".join(names), *dict.fromkeys(rest)]))

    @property
    def size(self) -> int:
        """Largest side of their pictures."""
        return max(part.size for part in self.parts)

    def build(self, *given: Any) -> Any:
        """Of a source, as each of the parts."""
        return self.parts[0].built.beside(self, *given)


class SideBySide:
    """What the parts of :class:`Beside` have built of a source, as one."""

    def __init__(self, part: Beside, source: Source, *given: Any) -> None:
        self.part, self.source = part, source
        self.parts = [one.build(source, *given) for one in part.parts]

    def test(self, split: str) -> np.ndarray:
        """Rows of a split."""
        return np.hstack([part.test(split) for part in self.parts])

    def read(self, given: Any) -> np.ndarray:
        """Rows of new pictures or captions; DataError for a caption without a single known word."""
        return np.hstack([part.read(given) for part in self.parts])


source_of = lru_cache(maxsize=8)(Source)  # one copy per process


def cut(dataset: Dataset, sizes: dict[str, int], seed: int) -> Dataset:
    """Keep the number of groups asked for of each split, drawn with a seed."""
    random, kept = np.random.default_rng(seed), []
    for split in SPLITS:
        images = np.flatnonzero(dataset.split_of_image == split)
        groups = np.unique(dataset.group_of_image[images])
        if sizes.get(split, len(groups)) < len(groups):
            chosen = random.choice(groups, sizes[split], replace=False)
            images = images[np.isin(dataset.group_of_image[images], chosen)]
        kept.append(images)
    return dataset.take(np.concatenate(kept))
