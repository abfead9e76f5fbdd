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
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from imtext.check import one_of, whole
from imtext.data.assemble import EDITIONS, Found, Picture
from imtext.data.dataset import Dataset, ImageFeatures
from imtext.data.files import Files, clean, lines, read_text
from imtext.errors import DataError
from imtext.progress import progress

USUAL = 5
"""Captions of an image where nothing else is said: so in Flickr8k, Flickr30k and, cut to five, COCO."""
_BLOCK = 1 << 24  # bytes looked at together


@dataclass
class _Part:
    """The files of one split: rows of features, captions by line, the image of each, and which row it has."""

    split: str
    path: str  # up to ``_ims.npy``
    rows: np.ndarray
    captions: list[str]
    owner: np.ndarray
    ids: list[str] | None

    @property
    def stem(self) -> str:
        return os.path.basename(self.path)

    @property
    def row_of_image(self) -> np.ndarray:
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))
        return first if self.repeated else np.arange(len(first))

    @property
    def repeated(self) -> bool:
        """Whether there is a row for each caption in place of one for each image."""
        return len(self.rows) > self.owner[-1] + 1

    def pictures(self) -> list[Picture]:
        """The images with their captions under made-up names; blank captions stay, so that nothing shifts."""
        pictures, starts = [], np.flatnonzero(np.diff(self.owner)) + 1
        for i, place in enumerate(np.split(np.arange(len(self.owner)), starts)):
            captions = [self.captions[j] for j in place]
            line = place[0] + 1 + (captions.index("") if "" in captions else 0)
            where, file = f"{self.path}_caps.txt, line {line}", f"{self.stem}/{i:06d}"
            pictures.append(Picture(file, captions, self.split, where, self.ids[i] if self.ids else file))
        return pictures


def read_precomp(
    name: str,
    files: Files,
    captions_per_image: int | None = None,
    test: str = "auto",
    subset: bool = False,
    check_files: bool = True,
) -> Found:
    """Precomputed features with their captions; ``dataset.features`` holds the images, memory-mapped.

    Args:
        name: ``coco_precomp`` and ``f30k_precomp`` must have the published number of images.
        captions_per_image: for files without ids: number of captions of every image (default: five).
        test: which files are the split test: ``"testall"`` (COCO: 5,000 images, the 5K test), ``"test"`` (its
            first 1,000), or ``"auto"``: testall where it is there. The 1K test that most papers print is the
            mean over five blocks of 1,000 images of testall: ``evaluate(..., folds=5)``.
        subset: accept splits without files.
        check_files: read every row: all numbers finite (as float32), repeated rows truly equal.

    ``dev`` becomes the split val. Captions belong to images by their ids where each caption has one (any
    number for an image, its captions together); otherwise each image has ``captions_per_image``. Where rows
    are repeated for each caption, every image is kept once. ``image_files`` are made-up names such as
    ``dev/000017``, image 17 of ``dev``; ``image_ids`` are the ids, or these names where there are none. Where
    the ids of each split only count from 0 or 1, they are prefixed: ``dev/17``.

    Raises:
        ConfigError: ``test`` or ``captions_per_image`` is not one of the values above.
        DataError: a file is missing, damaged or of another kind; the numbers of rows, captions and ids do not
            fit; a row holds NaN or infinity.
    """
    one_of("test", test, ("auto", "test", "testall"))
    k = None if captions_per_image is None else whole("captions_per_image", captions_per_image)
    homes = {(files.root / path).parent for path in files.all("*_ims.npy")}
    home = min(homes, key=lambda place: (place.name != name, place), default=files.root)
    there = {one for one in ("train", "dev", "test", "testall") if list(home.glob(f"{one}_[ic]*"))}
    test = "testall" if test == "auto" and "testall" in there else test.replace("auto", "test")
    stems = {"train": "train", "val": "dev", "test": test}
    wanted = {split: stem for split, stem in stems.items() if stem in there or not subset or not there}
    absent = [stem for stem in wanted.values() if stem not in there]
    if absent:
        raise DataError(
            f"{home / absent[0]}_ims.npy: expected this file and {absent[0]}_caps.txt, found none; put them "
            "there"
            f"{', or pass subset=True to read the splits that are there' * bool(there)}"
        )
    parts = [_read(home, split, stem, k) for split, stem in wanted.items()]
    for part in parts[1:]:
        if part.rows.shape[1:] != parts[0].rows.shape[1:]:
            raise DataError(
                f"{part.path}_ims.npy: expected {_form(parts[0].rows.shape[1:])} numbers an image, as "
                f"{parts[0].stem}_ims.npy has, found {_form(part.rows.shape[1:])}; take files made together"
            )
    other, notes = {"test": "testall", "testall": "test"}[test], []
    if other in there:
        notes.append(
            f"split test is {test} (of COCO, testall is the 5K test and test its first 1,000 images); "
            f"{other} left aside, test={other!r} reads it"
        )
    _prefix(parts, notes)
    for part in parts:
        _check(part, check_files, k, notes)
    starts = np.cumsum([0, *(len(part.rows) for part in parts)])
    rows = [start + part.row_of_image for start, part in zip(starts, parts, strict=False)]
    pictures = [picture for part in parts for picture in part.pictures()]
    row = dict(zip((picture.file for picture in pictures), np.concatenate(rows).tolist(), strict=True))

    def finish(dataset: Dataset) -> Dataset:  # an image whose captions are all empty is gone
        kept = [row[file] for file in dataset.image_files]
        return replace(dataset, features=ImageFeatures(tuple(part.rows for part in parts), kept))

    return Found(name, home, None, pictures, EDITIONS.get(f"{name} {test}"), notes, finish)


def needs_pictures(dataset: Dataset) -> Dataset:
    """The dataset, for a study that reads photographs; DataError where it holds features and no image files.

    >>> one = Dataset("one", Path("."), ("a.jpg",), ("a",), ("a dog",), [0], ["train"], [0])
    >>> needs_pictures(one) is one
    True
    >>> needs_pictures(replace(one, features=ImageFeatures((np.ones((1, 4), np.float32),), [0])))
    Traceback (most recent call last):
    imtext.errors.DataError: dataset one holds precomputed features (1 x 4), not images; ...
    """
    if dataset.features is None or os.path.isfile(dataset.image_path(0)):
        return dataset
    raise DataError(
        f"dataset {dataset.name} holds precomputed features ({_form(dataset.features.shape)}), not images; "
        "this needs photographs: choose the dataset with its images (coco, flickr30k) or a study that reads "
        "dataset.features"
    )


def _form(shape: Sequence[int]) -> str:
    return " x ".join(f"{side:,}" for side in shape)


def _read(home: Path, split: str, stem: str, k: int | None) -> _Part:
    path = f"{home / stem}"
    rows = open_npy(f"{path}_ims.npy")
    # Split by hand: a blank line is a caption that is missing, not a line that is not there.
    captions = [clean(line) for line in read_text(Path(f"{path}_caps.txt")).removesuffix("\n").split("\n")]
    ids_file = Path(f"{path}_ids.txt")
    ids = [line.strip() for _, line in lines(ids_file)] if ids_file.exists() else None
    n, m = len(rows), len(captions)
    # Blank lines at the end may be too many.
    while m and (found := _owners(n, m, ids, k)) is None and not captions[m - 1]:
        m -= 1
    if not m or found is None:
        hint = "fetch the files again, from one source"
        if m and m % n == 0:
            hint = f"if every image has {m // n}, pass captions_per_image={m // n}"
        raise DataError(
            f"{path}_caps.txt: expected {k or USUAL} captions for each of {n:,} rows of {stem}_ims.npy, or "
            f"an id of its image for each in {stem}_ids.txt, found {m:,} captions and "
            f"{'no ids' if ids is None else f'{len(ids):,} ids'}; {hint}"
        )
    return _Part(split, path, rows, captions[:m], *found)


def _owners(
    n: int, m: int, ids: list[str] | None, k: int | None
) -> tuple[np.ndarray, list[str] | None] | None:
    """The image of each of ``m`` captions and the ids of the images, if ``n`` rows fit to that."""
    if ids is not None and len(ids) == m and (k in (None, 1) or len(set(ids)) < m):
        names = np.asarray(ids, dtype=object)
        owner = np.cumsum([0, *(names[1:] != names[:-1])])  # a run of equal ids is one image
        own = [ids[j] for j in np.flatnonzero(np.diff(owner, prepend=-1))]
        fits = k is None or (np.bincount(owner) == k).all()
    else:
        owner = np.arange(m) // (k or USUAL)
        fits, own = m % (k or USUAL) == 0, None if ids is None or len(ids) == m else ids
    images = int(owner[-1]) + 1
    return (owner, own) if fits and n in (images, m) and (own is None or len(own) == images) else None


def _prefix(parts: Sequence[_Part], notes: list[str]) -> None:
    """Ids that only count the images of their split get its name in front."""
    given = [one for part in parts for one in part.ids or ()]
    if len(set(given)) < len(given) and all(_counts_on(part.ids) for part in parts if part.ids):
        for part in parts:
            part.ids = part.ids and [f"{part.stem}/{one}" for one in part.ids]
        notes.append("the ids count the images of each split anew: prefixed by the name of its files")


def _counts_on(ids: Sequence[str]) -> bool:
    return any(list(ids) == [str(i) for i in range(start, start + len(ids))] for start in (0, 1))


def _check(part: _Part, everything: bool, k: int | None, notes: list[str]) -> None:
    """Look at the rows in blocks: all finite, and equal where one image has several; notes are added."""
    flat = part.rows.reshape(len(part.rows), -1)
    bits = flat.view(f"u{flat.dtype.itemsize}")  # NaN equals NaN, and comparing makes no copy of another type
    fives = (bits[:USUAL] == bits[0]).all() and (bits[USUAL : USUAL + 1] != bits[0]).any()
    file = f"{part.path}_ims.npy"
    if part.repeated:
        notes.append(
            f"{part.stem}_ims.npy: the row of each image is repeated for each caption; images kept once"
        )
    elif len(flat) == len(part.owner) and fives:
        raise DataError(
            f"{file}: each caption has an image of its own, but rows come in equal {USUAL}s; if every image "
            f"has {USUAL} captions, pass captions_per_image={USUAL}"
        )
    step = max(1, _BLOCK // (flat.shape[1] * flat.dtype.itemsize))
    starts = range(0, len(flat), step) if everything else ()
    for start in progress(starts, f"checking {part.stem}_ims.npy", len(starts)):
        begin, stop = max(start - 1, 0), min(start + step, len(flat))
        if part.repeated:
            same = (bits[begin + 1 : stop] == bits[begin : stop - 1]).all(1)
            wrong = np.flatnonzero(~same & (np.diff(part.owner[begin:stop]) == 0))
            if len(wrong):
                row = begin + int(wrong[0])
                raise DataError(
                    f"{file}: as many rows as captions, yet rows {row} and {row + 1} differ, which both "
                    f"belong to image {part.ids[part.owner[row]] if part.ids else part.owner[row]}; pass "
                    "captions_per_image (1 if each image has one caption) or add "
                    f"{part.stem}_ids.txt with the image of each caption"
                )
        with np.errstate(over="ignore"):
            block = np.asarray(flat[start:stop], dtype=np.float32)
        odd = np.flatnonzero(~np.isfinite(block).all(1))
        if len(odd):
            raise DataError(
                f"{file}: row {start + int(odd[0])} of {len(flat):,} holds NaN or infinity (as float32); "
                "compute its features again or fetch the file again"
            )


def open_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an ``.npy`` file as a read-only memory map ``(n, ...)`` in C order, nothing read yet.

    Accepted are float16, float32 and float64 of either byte order. Nothing is unpickled, and nothing is
    allocated that the header claims.

    Raises:
        DataError: the file is missing, of another kind, damaged, cut off or too long for its header; it holds
            something else than floating-point numbers, or columns first (Fortran order).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.npy")
    >>> np.save(path, np.ones((2, 3), np.float32))
    >>> open_npy(path).shape
    (2, 3)
    """
    path = Path(path)
    if not path.is_file():  # reading a pipe could wait for ever
        raise DataError(f"{path}: expected an .npy file, found none; put the file there")
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
                raise ValueError("other content: a pointer of Git LFS, a web page or an archive?")
        with warnings.catch_warnings():  # files written by Python 2 (1000L) are fine
            warnings.simplefilter("ignore")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.offset + array.nbytes != path.stat().st_size:
            raise ValueError("bytes left over")
    except Exception as error:  # a header is Python text: parsing it can raise almost anything
        raise DataError(
            f"{path}: expected an .npy file of the length that its header says, found "
            f"{str(error)[:120] or type(error).__name__}; fetch the file again"
        ) from None
    floats, rows = array.dtype.kind == "f" and array.dtype.itemsize <= 8, array.ndim in (2, 3) and array.size
    if not floats or not rows or not array.flags.c_contiguous:
        order = "C" if array.flags.c_contiguous else "Fortran"
        raise DataError(
            f"{path}: expected rows (images, D) or (images, R, D) of float32, float16 or float64 in C order, "
            f"found {str(array.dtype)[:60]} {array.shape} in {order} order; reshape the array and save it "
            "with numpy.save(file, numpy.ascontiguousarray(array, 'float32'))"
        )
    return array
