"""People's judgements of Flickr8k: does this caption describe this photograph?

Hodosh, Young and Hockenmaier (JAIR 2013) asked for both, about test images and captions of the test images,
mostly of *other* ones:

- ``ExpertAnnotations.txt``: ``image.jpg<TAB>image.jpg#k<TAB>a<TAB>b<TAB>c``, three scores from 1 (the
  caption has nothing to do with the image) over 2 (aspects of it) and 3 (minor errors) to 4 (no errors);
- ``CrowdFlowerAnnotations.txt``: ``image.jpg<TAB>image.jpg#k<TAB>share<TAB>yes<TAB>no``, how many of a few
  people said that the caption describes the image.

A pair in neither file was not looked at, which says nothing about it.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imtext.data.common import data_folder, read_lines
from imtext.data.schema import Dataset, check_relative
from imtext.errors import DataError

EXPERT = "ExpertAnnotations.txt"
CROWD = "CrowdFlowerAnnotations.txt"
_FOLDERS = ("Flickr8k_text", ".")
_CAPTION = re.compile(r"(?P<name>[^#]+)#(?P<number>\d{1,9})")
_COUNT = re.compile(r"\d{1,9}")
_SHARE = re.compile(r"\d{1,3}(\.\d{1,30})?([eE]-\d{1,3})?")
_ROUNDING = 1e-3  # the file gives the share with rounded digits

Row = tuple[int, str, str, int, tuple[int, ...]]
"""Line, image, image of the caption, number of the caption, values."""


@dataclass(frozen=True, eq=False)
class Judged:
    """P pairs of an image and a caption of one dataset, with what people said.

    Attributes:
        image, caption: ``(P,)`` int64, indices into the dataset; no pair is there twice.
        votes: ``(P, 3)`` expert scores of 1 to 4, or ``(P, 2)`` numbers of people who said yes and no.
        value: ``(P,)`` float64, the mean score (1 to 4), or the share who said yes (0 to 1).
        own: ``(P,)`` bool, whether the caption was written for the image.
        outside: pairs of the file that name an image or a caption which the dataset does not hold.
        no_photograph: those of them whose image has captions and no photograph anywhere
            (``2258277193_586949ec62.jpg.1``).
    """

    image: np.ndarray
    caption: np.ndarray
    votes: np.ndarray
    value: np.ndarray
    own: np.ndarray
    outside: int = 0
    no_photograph: int = 0

    def __len__(self) -> int:
        return len(self.image)

    def right(self, least: float) -> np.ndarray:
        """``(P,)`` bool: pairs whose value is at least this. For expert scores 3 is usual, for shares 0.5."""
        return self.value >= least


@dataclass(frozen=True, eq=False)
class Judgements:
    """What experts and what many others said about the pairs of one dataset."""

    expert: Judged
    crowd: Judged

    def summary(self) -> str:
        """One line with the numbers of pairs."""
        parts = [
            f"{name} {len(side):,} pairs ({(~side.own).sum():,} of another image, {side.outside:,} outside)"
            for name, side in (("expert", self.expert), ("crowd", self.crowd))
        ]
        return "judgements: " + ", ".join(parts)


def load_judgements(data_root: str | os.PathLike[str], dataset: Dataset) -> Judgements:
    """The judgements of Flickr8k, joined to the images and captions of ``dataset``.

    Args:
        data_root: the folder of Flickr8k, with both files in ``Flickr8k_text`` or directly in it.
        dataset: Flickr8k or a part of it, such as ``dataset.split("test")``. Images are found by file name,
            captions by the name of their image and their number; pairs outside are counted and left out.

    Raises:
        DataError: a file is missing, not UTF-8 or odd (the line is named); a caption has a number that its
            image does not have in ``dataset``; no pair at all is about the dataset.

    >>> load_judgements("no/such/folder", None)
    Traceback (most recent call last):
    imtext.errors.DataError: data_root=no/such/folder: expected a folder with ...
    """
    root = data_folder(data_root, "flickr8k", f"{EXPERT} and {CROWD}")
    paths = [_file(root, name) for name in (EXPERT, CROWD)]
    expert = _join(paths[0], read_expert_annotations(paths[0]), dataset, lambda votes: votes.mean(1))
    crowd = _join(paths[1], read_crowd_annotations(paths[1]), dataset, lambda v: v[:, 0] / v.sum(1))
    return Judgements(expert, crowd)


def read_expert_annotations(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of ``ExpertAnnotations.txt``, three scores each.

    Raises:
        DataError: naming the line that is not of that form, a score outside 1 to 4, a pair twice.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.txt")
    >>> _ = path.write_text("a.jpg\\tb.jpg#2\\t1\\t2\\t4\\n", encoding="utf-8")
    >>> read_expert_annotations(path)
    [(1, 'a.jpg', 'b.jpg', 2, (1, 2, 4))]
    """
    return _read(Path(path), "three scores of 1 to 4", _scores)


def read_crowd_annotations(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of ``CrowdFlowerAnnotations.txt``: how many said yes and how many no.

    Raises:
        DataError: naming the line that is of another form, has a share that is not yes / (yes + no), or
            repeats a pair.
    """
    return _read(Path(path), "the share of yes, the number of yes and of no", _counts)


def _scores(cells: list[str]) -> tuple[int, ...] | None:
    return tuple(map(int, cells)) if all(cell in ("1", "2", "3", "4") for cell in cells) else None


def _counts(cells: list[str]) -> tuple[int, ...] | None:
    share, *counts = cells
    if not (_SHARE.fullmatch(share) and all(_COUNT.fullmatch(cell) for cell in counts)):
        return None
    yes, no = map(int, counts)
    fits = yes + no > 0 and math.isclose(float(share), yes / (yes + no), abs_tol=_ROUNDING)
    return (yes, no) if fits else None


def _read(path: Path, form: str, values: Callable[[list[str]], tuple[int, ...] | None]) -> list[Row]:
    """Rows of a file of judgements; ``values`` reads the last three cells, None where they are odd."""
    rows: list[Row] = []
    seen: dict[tuple[str, str], int] = {}
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        cells = [cell.strip() for cell in line.split("\t")]
        match = _CAPTION.fullmatch(cells[1]) if len(cells) == 5 else None
        said = values(cells[2:]) if match else None
        if match is None or said is None:
            raise DataError(
                f"{where}: expected image.jpg<TAB>image.jpg#k and {form}, found {line[:80]!r}; "
                "correct the line or fetch the file again"
            )
        image, name = check_relative(cells[0], where), check_relative(match["name"], where)
        k = int(match["number"])
        first = seen.setdefault((image, f"{name}#{k}"), number)
        if first != number:
            raise DataError(
                f"{where}: the pair {image}, {name}#{k} is there since line {first}; remove the duplicate"
            )
        rows.append((number, image, name, k, said))
    if not rows:
        raise DataError(f"{path}: expected lines with {form}, found none; fetch the file again")
    return rows


def _file(root: Path, name: str) -> Path:
    for folder in _FOLDERS:
        if (root / folder / name).is_file():
            return root / folder / name
    raise DataError(
        f"{root / _FOLDERS[0] / name}: expected this file, found nothing; it comes with the captions of "
        "Flickr8k (Flickr8k_text.zip), fetch it or correct data_root"
    )


def _join(path: Path, rows: list[Row], dataset: Dataset, value: Callable[[np.ndarray], np.ndarray]) -> Judged:
    """The rows that are about images and captions of the dataset."""
    number = {Path(file).name: i for i, file in enumerate(dataset.image_files)}
    captions: dict[int, np.ndarray] = {}
    kept: list[tuple[int, int]] = []
    votes: list[tuple[int, ...]] = []
    outside: Counter[bool] = Counter()
    for line, image, name, k, said in rows:
        if image not in number or name not in number:
            outside[not (image.endswith(".jpg") and name.endswith(".jpg"))] += 1
            continue
        owner = number[name]
        own = captions.setdefault(owner, dataset.captions_of(owner))
        if k >= len(own):
            raise DataError(
                f"{path}, line {line}: expected a caption of {name}, number 0 to {len(own) - 1}, found #{k}; "
                "load the dataset with all its captions"
            )
        kept.append((number[image], int(own[k])))
        votes.append(said)
    if not kept:
        raise DataError(
            f"{path}: expected judgements of images of dataset {dataset.name}, found none among "
            f"{len(rows):,}; they are about the test split of flickr8k"
        )
    image, caption = np.array(kept, dtype=np.int64).T
    counts = np.array(votes, dtype=np.int64)
    own = dataset.image_of_caption[caption] == image
    return Judged(image, caption, counts, value(counts), own, outside.total(), outside[True])
