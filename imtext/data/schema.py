"""One schema for every dataset: images once, captions with the index of their image.

Nothing is repeated five times and no order is assumed: ``image_of_caption`` alone says which caption
belongs to which image, so any number of captions per image is possible.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from imtext.data.rows import ImageFeatures, index_array
from imtext.data.spans import Phrases, Regions
from imtext.errors import ConfigError, DataError

SPLITS = ("train", "val", "test")
# Without any of these a name is relative; pathlib, which is slow on 100,000 names, judges the rest.
_SUSPECT = re.compile(r"^/|\.\.|[\\:\0]")


def check_relative(file: str, source: str = "the dataset") -> str:
    """Return ``file`` if it is a relative path that stays inside its folder; DataError otherwise.

    >>> check_relative("train2014/a.jpg")
    'train2014/a.jpg'
    >>> check_relative("../a.jpg")
    Traceback (most recent call last):
    imtext.errors.DataError: file name '../a.jpg' in the dataset leaves the image folder: expected a relative path inside it; correct the entry
    """  # noqa: E501
    if file and not _SUSPECT.search(file):
        return file
    path = PurePosixPath(file)
    windows = PureWindowsPath(file)
    outside = path.is_absolute() or windows.is_absolute() or windows.drive or ".." in windows.parts
    if not file or "\0" in file or outside:
        raise DataError(
            f"file name {file!r} in {source} leaves the image folder: "
            "expected a relative path inside it; correct the entry"
        )
    return file


def _first_duplicate(values: Iterable[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with their captions, N images and M captions. Arrays are read-only copies.

    Attributes:
        name: how reports call it.
        image_root: folder that ``image_files`` are relative to.
        image_files: N relative file names.
        image_ids: N distinct names, those that other public files use.
        captions: M non-empty captions as written.
        image_of_caption: ``(M,)`` int64, the image of each caption; every image has at least one.
        split_of_image: ``(N,)`` of ``train``, ``val``, ``test``.
        group_of_image: ``(N,)`` int64; images of one group (one person, one scene) are never negatives of
            each other, and a group lies in one split only. The numbers are names: a split or selection keeps
            those of its images, with gaps. For classes 0, 1, ... use ``np.unique(..., return_inverse=True)``.
        notes: one line for everything that was dropped or odd.
        regions, phrases: boxes and phrase spans where the dataset has them.
        scenes: for a generated dataset, the description of each image.
        features: precomputed features of the images, where the dataset is published as such.

    Raises:
        DataError: lengths differ, an index is out of range, an id or file name is twice there, a caption is
            empty, an image has no caption, a file name leaves the folder, a group lies in two splits.

    >>> pets = Dataset("pets", Path("."), ("a.jpg", "b.jpg"), ("a", "b"),
    ...                ("a dog", "a black dog", "a cat"), np.array([0, 0, 1]), np.array(["train", "test"]),
    ...                np.array([0, 1]))
    >>> pets.captions_of(0)
    array([0, 1])
    >>> pets.split("test").captions
    ('a cat',)
    >>> pets.summary()
    'pets: 2 images, 3 captions (train 1/2, test 1/1 images/captions)'
    """

    name: str
    image_root: Path
    image_files: tuple[str, ...]
    image_ids: tuple[str, ...]
    captions: tuple[str, ...]
    image_of_caption: np.ndarray
    split_of_image: np.ndarray
    group_of_image: np.ndarray
    notes: tuple[str, ...] = ()
    regions: Regions | None = None
    phrases: Phrases | None = None
    scenes: tuple[dict, ...] | None = None
    features: ImageFeatures | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_root", Path(self.image_root))
        for field in ("image_files", "image_ids", "captions", "notes"):
            object.__setattr__(self, field, tuple(str(value) for value in getattr(self, field)))
        self._check_images()
        self._check_captions()
        self._check_splits()
        self._check_extras()

    def _check_images(self) -> None:
        if not self.image_ids:
            raise DataError(f"dataset {self.name} holds no image; check the data root and the split files")
        if len(self.image_files) != self.n_images:
            raise DataError(
                f"dataset {self.name}: expected {self.n_images} image files, one per id, "
                f"found {len(self.image_files)}; the lengths must agree"
            )
        for file in self.image_files:
            check_relative(file, f"dataset {self.name}")
        for what, values in (("image id", self.image_ids), ("image file", self.image_files)):
            twice = _first_duplicate(values)
            if twice is not None:
                raise DataError(f"dataset {self.name}: {what} {twice!r} is there twice; remove the duplicate")

    def _check_captions(self) -> None:
        empty = next((i for i, caption in enumerate(self.captions) if not caption.strip()), None)
        if empty is not None:
            raise DataError(
                f"dataset {self.name}: caption {empty} is empty; correct it or read with on_empty='skip'"
            )
        owner = index_array(
            self.image_of_caption, f"dataset {self.name}: image_of_caption", self.n_captions, self.n_images
        )
        object.__setattr__(self, "image_of_caption", owner)
        without = np.flatnonzero(np.bincount(owner, minlength=self.n_images) == 0)
        if len(without):
            raise DataError(
                f"dataset {self.name}: image {self.image_files[without[0]]} has no caption "
                f"({len(without)} such images); add captions or leave the images out"
            )

    def _check_splits(self) -> None:
        splits = np.array(self.split_of_image, dtype=str)
        if splits.shape != (self.n_images,):
            raise DataError(
                f"dataset {self.name}: expected one split per image, {self.n_images}, found {splits.shape}"
            )
        unknown = sorted(set(np.unique(splits).tolist()) - set(SPLITS))
        if unknown:
            raise DataError(f"dataset {self.name}: unknown split {unknown[0]!r}; expected one of {SPLITS}")
        splits.flags.writeable = False
        object.__setattr__(self, "split_of_image", splits)
        groups = index_array(self.group_of_image, f"dataset {self.name}: group_of_image", self.n_images)
        object.__setattr__(self, "group_of_image", groups)
        order = np.argsort(groups, kind="stable")
        across = (np.diff(groups[order]) == 0) & (splits[order][1:] != splits[order][:-1])
        if across.any():
            a, b = order[np.flatnonzero(across)[0] + np.array([0, 1])]
            raise DataError(
                f"dataset {self.name}: group {groups[a]} lies in two splits ({self.image_files[a]} in "
                f"{splits[a]}, {self.image_files[b]} in {splits[b]}); splits must not overlap"
            )

    def _check_extras(self) -> None:
        if self.scenes is not None:
            object.__setattr__(self, "scenes", tuple(self.scenes))
            if len(self.scenes) != self.n_images:
                raise DataError(
                    f"dataset {self.name}: expected {self.n_images} scenes, found {len(self.scenes)}"
                )
        if self.features is not None and len(self.features) != self.n_images:
            raise DataError(
                f"dataset {self.name}: expected features of {self.n_images} images, "
                f"found {len(self.features)}; the lengths must agree"
            )
        regions, phrases = self.regions, self.phrases
        if regions is not None:
            index_array(regions.image_of_region, "image_of_region", len(regions), self.n_images)
        if phrases is not None:
            index_array(phrases.caption, "Phrases.caption", len(phrases), self.n_captions)

    @property
    def n_images(self) -> int:
        """Number of images, N."""
        return len(self.image_ids)

    @property
    def n_captions(self) -> int:
        """Number of captions, M."""
        return len(self.captions)

    @cached_property
    def group_of_caption(self) -> np.ndarray:
        """Group of each caption, ``(M,)`` int64."""
        groups = self.group_of_image[self.image_of_caption]
        groups.flags.writeable = False
        return groups

    @cached_property
    def _by_image(self) -> tuple[np.ndarray, np.ndarray]:
        """Caption indices sorted by image, and where each image begins (N + 1 offsets)."""
        order = np.argsort(self.image_of_caption, kind="stable")
        counts = np.bincount(self.image_of_caption, minlength=self.n_images)
        return order, np.concatenate([[0], np.cumsum(counts)])

    def image_path(self, i: int) -> Path:
        """Path of image ``i``."""
        return self.image_root / self.image_files[i]

    def captions_of(self, i: int) -> np.ndarray:
        """Indices of the captions of image ``i``, in their order."""
        if not 0 <= i < self.n_images:
            raise DataError(f"dataset {self.name} has images 0 to {self.n_images - 1}, asked for {i}")
        order, offsets = self._by_image
        return order[offsets[i] : offsets[i + 1]].copy()

    def split(self, name: str) -> Dataset:
        """The images of one split, renumbered from 0."""
        if name not in SPLITS:
            raise ConfigError(f"split={name!r}: expected one of {SPLITS}")
        chosen = np.flatnonzero(self.split_of_image == name)
        if not len(chosen):
            held = ", ".join(sorted(set(self.split_of_image.tolist())))
            raise DataError(f"dataset {self.name} has no image in split {name!r}; it has: {held}")
        return self.take(chosen)

    def take(self, image_indices: Sequence[int] | np.ndarray) -> Dataset:
        """Some images, in the order given, with their captions image by image; everything is renumbered.

        Args:
            image_indices: distinct indices ``(n,)``.
        """
        chosen = index_array(image_indices, "image_indices", len(image_indices), self.n_images)
        order, offsets = self._by_image
        parts = [order[offsets[i] : offsets[i + 1]] for i in chosen]
        captions = np.concatenate(parts) if parts else np.empty(0, np.int64)
        new_image = np.full(self.n_images, -1)
        new_image[chosen] = np.arange(len(chosen))
        new_caption = np.full(self.n_captions, -1)
        new_caption[captions] = np.arange(len(captions))
        return replace(
            self,
            image_files=tuple(self.image_files[i] for i in chosen),
            image_ids=tuple(self.image_ids[i] for i in chosen),
            captions=tuple(self.captions[j] for j in captions),
            image_of_caption=new_image[self.image_of_caption[captions]],
            split_of_image=self.split_of_image[chosen],
            group_of_image=self.group_of_image[chosen],
            regions=self._take_regions(new_image),
            phrases=self._take_phrases(new_caption),
            scenes=None if self.scenes is None else tuple(self.scenes[i] for i in chosen),
            features=None if self.features is None else self.features.take(chosen),
        )

    def _take_regions(self, new_image: np.ndarray) -> Regions | None:
        regions = self.regions
        if regions is None:
            return None
        image = new_image[regions.image_of_region]
        keep = image >= 0
        return Regions(regions.boxes[keep], image[keep], regions.chain[keep])

    def _take_phrases(self, new_caption: np.ndarray) -> Phrases | None:
        p = self.phrases
        if p is None:
            return None
        caption = new_caption[p.caption]
        keep = np.flatnonzero(caption >= 0)
        words = tuple(p.words[i] for i in keep)
        types = tuple(p.type[i] for i in keep)
        return Phrases(caption[keep], p.start[keep], p.stop[keep], words, p.chain[keep], types)

    def summary(self) -> str:
        """One line: counts in all and per split."""
        parts = []
        for name in SPLITS:
            images = self.split_of_image == name
            if images.any():
                parts.append(f"{name} {images.sum():,}/{images[self.image_of_caption].sum():,}")
        return (
            f"{self.name}: {self.n_images:,} images, {self.n_captions:,} captions "
            f"({', '.join(parts)} images/captions)"
        )

    def fingerprint(self) -> str:
        """32 hex digits of a hash over ids, captions, index, splits and groups, not over pixels.

        Precomputed features count too.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for strings in (self.image_ids, self.captions, self.split_of_image.tolist()):
            # The length in front keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(
                b"".join(b"%d:%s" % (len(s := text.encode("utf-8", "surrogatepass")), s) for text in strings)
            )
            digest.update(b";")
        for array in (self.image_of_caption, self.group_of_image):
            digest.update(array.astype("<i8").tobytes())
        if self.features is not None:
            digest.update(self.features.fingerprint().encode())
        return digest.hexdigest()[:32]
