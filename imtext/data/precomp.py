"""Reader of precomputed image features in the layout of VSE++ and SCAN (``coco_precomp``, ``f30k_precomp``)::

    {train,dev,test,testall}_ims.npy    float32 (n, D) vectors or (n, R, D) regions
    {train,dev,test,testall}_caps.txt   one caption a line, in the order of the images
    {train,dev,test,testall}_ids.txt    optional: one id for each caption, or one for each image

The layout goes back to Kiros et al. (2014); VSE++ (Faghri et al., BMVC 2018) stores one vector an image, SCAN
(Lee et al., ECCV 2018) 36 regions of 2,048 numbers. Some copies repeat the row of an image for each of its
captions. The files do not say which of these forms they have: counts and ids do, and nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imtext.data.common import ON_EMPTY, Photo, build, check_counts, clean, data_folder, read_lines, read_text
from imtext.data.npy import open_npy
from imtext.data.precomp_layout import Layout, check_rows, find_layout
from imtext.data.rows import ImageFeatures
from imtext.data.schema import Dataset
from imtext.errors import ConfigError, DataError

__all__ = ["load_precomp", "needs_pictures"]

_TESTS = ("auto", "test", "testall")
# By name of the dataset and of the files. COCO's dev circulates with 1,000 and 5,000 images: not checked.
COUNTS: Mapping[str, Mapping[str, int]] = {
    "coco_precomp": {"train": 113_287, "test": 1_000, "testall": 5_000},
    "f30k_precomp": {"train": 29_000, "dev": 1_014, "test": 1_000},
}


def load_precomp(
    data_root: str | os.PathLike[str],
    name: str = "precomp",
    on_empty: str = "raise",
    subset: bool = False,
    check_files: bool = True,
    captions_per_image: int | None = None,
    test: str = "auto",
) -> Dataset:
    """Precomputed features with their captions; ``dataset.features`` holds the images, memory-mapped.

    Args:
        data_root: folder with ``train_ims.npy`` and so on, or the folder above it.
        name: how reports call the dataset; ``coco_precomp`` and ``f30k_precomp`` must have the published
            number of images (113,287 / - / 5,000 or 1,000, and 29,000 / 1,014 / 1,000).
        on_empty: ``"raise"`` or ``"skip"`` for empty captions. A blank line is an empty caption.
        subset: accept other counts than the published ones, and splits without files.
        check_files: read every row: all numbers finite (as float32), repeated rows truly equal. False reads a
            sample of the repeated rows, and none otherwise.
        captions_per_image: for files without ids: number of captions of every image (default: five).
        test: which files are the split test: ``"testall"`` (COCO: 5,000 images, the 5K test), ``"test"`` (its
            first 1,000), or ``"auto"``: testall where it is there. The 1K test that most papers print is the
            mean over five blocks of 1,000 images of testall: ``evaluate(..., folds=5)``.

    ``dev`` becomes the split val. Captions belong to images by their ids where each caption has one (any
    number for an image, its captions together); otherwise each image has ``captions_per_image``. Where rows
    are repeated for each caption, every image is kept once. ``image_files`` are made-up names such as
    ``dev/000017``, image 17 of ``dev``; ``image_ids`` are the ids, or these names where there are none. Where
    the ids of each split only count from 0 or 1, they are prefixed: ``dev/17``.

    Raises:
        ConfigError: ``on_empty``, ``test`` or ``captions_per_image`` is not one of the values above.
        DataError: a file is missing, damaged or of another kind; the numbers of rows, captions and ids do not
            fit; a row holds NaN or infinity; ids repeat, within a split or across splits; counts disagree.

    >>> load_precomp("no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with train_ims.npy, ...
    """
    if test not in _TESTS:
        raise ConfigError(f"test={test!r}: expected one of {_TESTS}")
    if on_empty not in ON_EMPTY:
        raise ConfigError(f"on_empty={on_empty!r}: expected one of {ON_EMPTY}")
    k = captions_per_image
    if k is not None and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise ConfigError(f"captions_per_image={k!r}: expected a positive whole number")
    root = _folder(data_folder(data_root, name, "train_ims.npy, train_caps.txt and so on"), name)
    stems = _stems(root, test, subset)
    parts = [_read(root, split, stem, k) for split, stem in stems.items()]
    _check_forms(parts)
    names, notes = _names(parts)
    photos = [photo for part, ids in zip(parts, names, strict=True) for photo in part.photos(ids)]
    if not subset:
        expected = {part.split: COUNTS.get(name, {}).get(part.stem) for part in parts}
        check_counts(photos, {split: count for split, count in expected.items() if count}, root)
    # Last, since it reads every number: everything else has been found right.
    parts = [part.checked(check_files) for part in parts]
    notes = [*_test_note(root, stems), *(note for part in parts for note in part.layout.notes), *notes]
    dataset = build(name, root, photos, on_empty, False, root, notes)
    return replace(dataset, features=_features(parts, photos, dataset))


def needs_pictures(dataset: Dataset) -> Dataset:
    """The dataset, for a study that reads photographs; DataError where it holds features and no image files.

    >>> from imtext.data.schema import Dataset
    >>> one = Dataset("one", Path("."), ("a.jpg",), ("a",), ("a dog",), [0], ["train"], [0])
    >>> needs_pictures(one) is one
    True
    >>> needs_pictures(replace(one, features=ImageFeatures((np.ones((1, 4), np.float32),), [0])))
    Traceback (most recent call last):
    imtext.errors.DataError: dataset one holds precomputed features (1 x 4), not pictures; ...
    """
    if dataset.features is None or os.path.isfile(dataset.image_path(0)):
        return dataset
    form = " x ".join(f"{side:,}" for side in dataset.features.shape)
    raise DataError(
        f"dataset {dataset.name} holds precomputed features ({form}), not pictures; this needs photographs: "
        "choose the dataset with its images (coco, flickr30k) or a study that reads dataset.features"
    )


@dataclass(frozen=True)
class _Part:
    """The files of one split: rows, captions by line, and which belong together."""

    split: str
    stem: str
    root: Path
    rows: np.ndarray
    captions: list[str]
    layout: Layout

    def file(self, i: int) -> str:
        """Made-up name of image ``i``."""
        return f"{self.stem}/{i:06d}"

    def checked(self, everything: bool) -> _Part:
        """The part, its rows read and found right."""
        path = self.root / f"{self.stem}_ims.npy"
        return replace(self, layout=check_rows(path, self.rows, self.layout, everything))

    def photos(self, ids: Sequence[str]) -> list[Photo]:
        """The images with their captions; blank captions stay, so that nothing shifts."""
        photos = [
            Photo(self.file(i), one, self.split, [], f"{self.root / self.stem}_caps.txt")
            for i, one in enumerate(ids)
        ]
        for line, image in enumerate(self.layout.image_of_caption.tolist()):
            photo, caption = photos[image], self.captions[line]
            if not photo.captions or (not caption and all(photo.captions)):
                photo.where = f"{self.root / self.stem}_caps.txt, line {line + 1}"
            photo.captions.append(caption)
        return photos


def _folder(root: Path, name: str) -> Path:
    """The folder itself, or the one in it that is named after the dataset."""
    for folder in (root, root / name, root / "precomp"):
        if any((folder / f"{stem}_ims.npy").is_file() for stem in ("train", "dev", "test", "testall")):
            return folder
    raise DataError(
        f"{root / 'train_ims.npy'}: expected this file (and train_caps.txt, dev_ims.npy, ...), found none of "
        "its kind; correct data_root"
    )


def _stems(root: Path, test: str, subset: bool) -> dict[str, str]:
    """The files of each split that is there; a split is there if it has features or captions."""
    if test == "auto":
        test = "testall" if _there(root, "testall") else "test"
    stems = {"train": "train", "val": "dev", "test": test}
    for stem in stems.values():
        for file in (f"{stem}_ims.npy", f"{stem}_caps.txt"):
            if not (root / file).is_file() and not (subset and not _there(root, stem)):
                more = "" if _there(root, stem) else ", or pass subset=True to read the splits that are there"
                raise DataError(
                    f"{root / file}: expected this file, found nothing; fetch it or correct data_root{more}"
                )
    return {split: stem for split, stem in stems.items() if _there(root, stem)}


def _there(root: Path, stem: str) -> bool:
    return any((root / f"{stem}_{file}").is_file() for file in ("ims.npy", "caps.txt"))


def _test_note(root: Path, stems: Mapping[str, str]) -> list[str]:
    other = {"test": "testall", "testall": "test"}.get(stems.get("test", ""))
    if other is None or not _there(root, other):
        return []
    return [
        f"split test is {stems['test']} (of COCO, testall is the 5K test and test its first 1,000 images); "
        f"{other} left aside, test={other!r} reads it"
    ]


def _read(root: Path, split: str, stem: str, k: int | None) -> _Part:
    path = root / f"{stem}_ims.npy"
    rows = open_npy(path)
    if rows.ndim not in (2, 3):
        form = " x ".join(f"{side:,}" for side in rows.shape)
        raise DataError(
            f"{path}: expected (images, D) vectors or (images, R, D) regions, found {form}; "
            "reshape the array and save it again"
        )
    # Split by hand: a blank line is a caption that is missing, not a line that is not there.
    lines = [clean(line) for line in read_text(root / f"{stem}_caps.txt").split("\n")]
    if not lines[-1]:
        lines.pop()
    ids_file = root / f"{stem}_ids.txt"
    ids = [line.strip() for _, line in read_lines(ids_file)] if ids_file.exists() else None
    layout = find_layout(root / stem, rows, lines, ids, k)
    return _Part(split, stem, root, rows, lines[: len(layout.image_of_caption)], layout)


def _check_forms(parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.rows.shape[1:] != first.rows.shape[1:]:
            a, b = (" x ".join(f"{side:,}" for side in one.rows.shape[1:]) for one in (first, part))
            raise DataError(
                f"{part.root / part.stem}_ims.npy: expected {a} numbers an image, as {first.stem}_ims.npy "
                f"has, found {b}; take files that were made together"
            )


def _names(parts: Sequence[_Part]) -> tuple[list[list[str]], list[str]]:
    """The ids of the images of each part, distinct over all, and a note if they had to be prefixed."""
    ids = [part.layout.ids or [part.file(i) for i in range(len(part.layout.rows))] for part in parts]
    home: dict[str, _Part] = {}
    clash = None
    for part, own in zip(parts, ids, strict=True):
        clash = clash or next(((one, home[one], part) for one in own if one in home), None)
        home.update(dict.fromkeys(own, part))
    if clash is None:
        return ids, []
    one, a, b = clash
    if all(_counts_on(own) for part, own in zip(parts, ids, strict=True) if part.layout.ids):
        named = [
            [f"{part.stem}/{i}" for i in own] if part.layout.ids else own
            for part, own in zip(parts, ids, strict=True)
        ]
        return named, ["the ids count the images of each split anew: prefixed by the name of its files"]
    raise DataError(
        f"{b.root / b.stem}_ids.txt: image {one[:60]!r} is in {a.stem} and in {b.stem}; splits must not "
        "overlap, remove it from one (or, if ids mean something only within their split, prefix them)"
    )


def _counts_on(ids: Sequence[str]) -> bool:
    return any(list(ids) == [str(i) for i in range(start, start + len(ids))] for start in (0, 1))


def _features(parts: Sequence[_Part], photos: Sequence[Photo], dataset: Dataset) -> ImageFeatures:
    """Rows of the images that remain (an image whose captions are all empty is gone)."""
    starts = np.cumsum([0, *(len(part.rows) for part in parts)])
    rows = np.concatenate([start + part.layout.rows for start, part in zip(starts, parts, strict=False)])
    if len(photos) > dataset.n_images:
        place = {photo.file: i for i, photo in enumerate(photos)}
        rows = rows[[place[file] for file in dataset.image_files]]
    return ImageFeatures(tuple(part.rows for part in parts), rows)
