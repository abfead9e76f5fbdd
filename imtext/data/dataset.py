"""One schema for every dataset: images or their features once, captions with the index of their image.

Nothing is repeated five times and no order is assumed: ``image_of_caption`` alone says which caption
belongs to which image, so any number of captions per image is possible.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imtext.check import one_of
from imtext.errors import DataError

SPLITS = ("train", "val", "test")
_HASHED_ROWS = 64  # of each part, spread evenly: enough to notice other features of the same images


def index_array(
    values: object, what: str, length: int | None = None, below: int | None = None
) -> np.ndarray:
    """A read-only int64 copy of ``values``; of the expected length and range, where given."""
    array = np.asarray(values)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        found = f"shape {array.shape} of {array.dtype}"
        raise DataError(f"{what}: expected a one-dimensional integer array, found {found}")
    if length is not None and len(array) != length:
        raise DataError(f"{what}: expected {length} entries, found {len(array)}; the lengths must agree")
    if below is not None and len(array) and (array.min() < 0 or array.max() >= below):
        wrong = int(array.min()) if array.min() < 0 else int(array.max())
        raise DataError(f"{what}: expected indices 0 to {below - 1}, found {wrong}; correct the index")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Precomputed features of N images, read row by row from memory maps; nothing is copied by a selection.

    Attributes:
        parts: one array a file, ``(n, D)`` vectors or ``(n, R, D)`` regions, all of one form.
        rows: ``(N,)`` int64, row of each image in the parts laid end to end.

    Raises:
        DataError: a row is out of range.

    >>> two = ImageFeatures((np.zeros((3, 4), np.float32), np.ones((2, 4), np.float32)), np.array([4, 0]))
    >>> two.shape, two[[0]].tolist()
    ((2, 4), [[1.0, 1.0, 1.0, 1.0]])
    >>> two.take([1])[[0]].tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """

    parts: tuple[np.ndarray, ...]
    rows: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        total = sum(len(part) for part in self.parts)
        rows = index_array(self.rows, "features: rows", below=total)
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, D)`` or ``(N, R, D)``."""
        return (len(self.rows), *self.parts[0].shape[1:])

    def __getitem__(self, images: Sequence[int] | np.ndarray) -> np.ndarray:
        """Features of the images ``(n,)`` as float32 ``(n, D)`` or ``(n, R, D)``, a copy in memory."""
        # Checked, since a mask or a negative number would otherwise read other images.
        rows = self.rows[index_array(images, "features: images", below=len(self))]
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        which = np.searchsorted(starts, rows, side="right") - 1
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.float32)
        for k in np.unique(which):
            chosen = np.flatnonzero(which == k)
            chosen = chosen[np.argsort(rows[chosen], kind="stable")]  # a disk is read in one direction
            out[chosen] = self.parts[k][rows[chosen] - starts[k]]
        return out

    def take(self, images: Sequence[int] | np.ndarray) -> ImageFeatures:
        """The features of some images, in the order given."""
        return ImageFeatures(self.parts, self.rows[index_array(images, "features: images", below=len(self))])

    def fingerprint(self) -> str:
        """32 hex digits over shapes, types, the choice of rows, and the numbers of 64 rows of each part.

        >>> ones = ImageFeatures((np.ones((3, 4), np.float32),), np.arange(3))
        >>> ones.fingerprint() == ones.take([0, 1, 2]).fingerprint() != ones.take([1, 0, 2]).fingerprint()
        True
        """
        digest = hashlib.sha256(self.rows.astype("<i8").tobytes())
        for part in self.parts:
            digest.update(f"{part.shape} {part.dtype.str};".encode())
            sample = np.unique(np.linspace(0, len(part) - 1, min(_HASHED_ROWS, len(part)), dtype=np.int64))
            digest.update(np.ascontiguousarray(part[sample]).tobytes())
        return digest.hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes on images; R rows, a box that belongs to two chains is two rows.

    Attributes:
        boxes: ``(R, 4)`` int64, ``x1, y1, x2, y2`` in pixels of the image file, counted from 0, both ends
            inclusive (a box of one pixel has ``x1 == x2``).
        image_of_region: ``(R,)`` int64, index of the image.
        chain: ``(R,)`` int64, the coreference chain that phrases name too; 0 where there is none.

    >>> len(Regions(np.array([[0, 0, 9, 4]]), np.array([0]), np.array([7])))
    1
    """

    boxes: np.ndarray
    image_of_region: np.ndarray
    chain: np.ndarray

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes, dtype=np.int64).reshape(-1, 4)
        boxes.flags.writeable = False
        object.__setattr__(self, "boxes", boxes)
        for name in ("image_of_region", "chain"):
            array = index_array(getattr(self, name), f"Regions.{name}", len(boxes))
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, new_image: np.ndarray) -> Regions:
        """The boxes of the images that have a new number ``(N,)``, which is -1 for the others."""
        image = new_image[self.image_of_region]
        return Regions(self.boxes[image >= 0], image[image >= 0], self.chain[image >= 0])


@dataclass(frozen=True, eq=False)
class Phrases:
    """Spans of captions that mention something; P rows.

    Attributes:
        caption: ``(P,)`` int64, index of the caption.
        start, stop: ``(P,)`` int64, first word and one past the last, in ``caption.split()``.
        words: the phrase as written, P strings.
        chain: ``(P,)`` int64, the coreference chain; 0 means nothing one could draw a box around.
        type: P strings, such as ``people`` or ``clothing``; several are joined by ``/``.

    >>> one = Phrases([0], [0], [2], ("A dog",), [3], ("animals",))
    >>> len(one), one.words[0]
    (1, 'A dog')
    """

    caption: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    words: tuple[str, ...]
    chain: np.ndarray
    type: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("caption", "start", "stop", "chain"):
            array = index_array(getattr(self, name), f"Phrases.{name}", len(self.words))
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.words)

    def take(self, new_caption: np.ndarray) -> Phrases:
        """The phrases of the captions that have a new number ``(M,)``, which is -1 for the others."""
        caption = new_caption[self.caption]
        keep = np.flatnonzero(caption >= 0)
        words, types = (tuple(texts[i] for i in keep) for texts in (self.words, self.type))
        return Phrases(caption[keep], self.start[keep], self.stop[keep], words, self.chain[keep], types)


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
        notes: one line for everything that was left out or odd.
        edition: the published way to split it, one of ``editions.toml``; empty where it is none.
        regions, phrases: boxes and phrase spans where the dataset has them.
        scenes: for a generated dataset, the description of each image.
        features: precomputed features of the images, where the dataset is published as such.

    Raises:
        DataError: there is no image, lengths differ, an index is out of range, an id or file name is there
            twice. What else a reader's rows must fulfil is checked once, by
            :func:`imtext.data.assemble.assemble`.

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
    edition: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_root", Path(self.image_root))
        for field in ("image_files", "image_ids", "captions", "notes"):
            object.__setattr__(self, field, tuple(str(value) for value in getattr(self, field)))
        if not self.image_ids:
            raise DataError(f"dataset {self.name} holds no image; check the data root and the split files")
        for what in ("image_files", "split_of_image", "group_of_image", "scenes", "features"):
            values = getattr(self, what)
            if values is not None and len(values) != self.n_images:
                raise self._odd(f"expected {self.n_images} {what}, found {len(values)}; they must agree")
        for what, values in (("image id", self.image_ids), ("image file", self.image_files)):
            name, count = Counter(values).most_common(1)[0]
            if count > 1:
                raise self._odd(f"{what} {name!r} is there twice; remove the duplicate")
        what = f"dataset {self.name}: image_of_caption"
        owner = index_array(self.image_of_caption, what, self.n_captions, self.n_images)
        object.__setattr__(self, "image_of_caption", owner)
        splits = np.array(self.split_of_image, dtype=str)
        splits.flags.writeable = False
        object.__setattr__(self, "split_of_image", splits)
        groups = index_array(self.group_of_image, f"dataset {self.name}: group_of_image")
        object.__setattr__(self, "group_of_image", groups)

    def _odd(self, what: str) -> DataError:
        return DataError(f"dataset {self.name}: {what}")

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
        one_of("split", name, SPLITS)
        chosen = np.flatnonzero(self.split_of_image == name)
        if not len(chosen):
            held = ", ".join(sorted(set(self.split_of_image.tolist())))
            why = "".join(f"; {note}" for note in self.notes if f"no {name} split" in note)
            raise self._odd(f"no image in split {name!r}, it has: {held}{why}")
        return self.take(chosen)

    def take(self, image_indices: Sequence[int] | np.ndarray) -> Dataset:
        """Some images, in the order given, with their captions image by image; everything is renumbered.

        Args:
            image_indices: distinct indices ``(n,)``.
        """
        chosen = index_array(image_indices, "image_indices", below=self.n_images)
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
            regions=self.regions and self.regions.take(new_image),
            phrases=self.phrases and self.phrases.take(new_caption),
            scenes=self.scenes and tuple(self.scenes[i] for i in chosen),
            features=self.features and self.features.take(chosen),
        )

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
