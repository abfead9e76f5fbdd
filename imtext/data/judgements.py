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

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imtext.data.dataset import Dataset
from imtext.data.files import Files, lines, relative
from imtext.errors import DataError

EXPERT, CROWD = "ExpertAnnotations.txt", "CrowdFlowerAnnotations.txt"
# How each row ends: in words, and as a pattern.
_FORMS = {
    EXPERT: ("three scores of 1 to 4", r"([1-4])\t([1-4])\t([1-4])"),
    CROWD: (
        "the share of yes, the number of yes and of no, which are not both 0",
        r"[^\t]+\t(?!0+\t0+$)(\d{1,9})\t(\d{1,9})",
    ),
}

Row = tuple[str, str, str, int, tuple[int, ...]]
"""Where it stands, image, image of the caption, number of the caption, values."""


@dataclass(frozen=True, eq=False)
class Judged:
    """P pairs of an image and a caption of one dataset, with what people said.

    Attributes:
        image, caption: ``(P,)`` int64, indices into the dataset; no pair is there twice.
        value: ``(P,)`` float64, the mean score (1 to 4), or the share who said yes (0 to 1).
    """

    image: np.ndarray
    caption: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def right(self, least: float) -> np.ndarray:
        """``(P,)`` bool: pairs whose value is at least this. For expert scores 3 is usual, for shares 0.5."""
        return self.value >= least


class Judgements(NamedTuple):
    """What experts and what many others said about the pairs of one dataset."""

    expert: Judged
    crowd: Judged


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
    files = Files(data_root, f"{EXPERT} and {CROWD}")
    hint = "it comes with the captions of Flickr8k (Flickr8k_text.zip), fetch it or correct data_root"
    expert, crowd = (files.need(name, hint=hint) for name in (EXPERT, CROWD))
    return Judgements(
        _join(expert, read_annotations(expert), dataset, np.mean),
        _join(crowd, read_annotations(crowd), dataset, lambda said: said[0] / sum(said)),
    )


def read_annotations(path: Path) -> list[Row]:
    """The rows of one of the two files: three scores, or how many said yes and how many no.

    Raises:
        DataError: naming the line that is of another form, holds a score outside 1 to 4, or repeats a pair.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), EXPERT)
    >>> _ = path.write_text("a.jpg\\tb.jpg#2\\t1\\t2\\t4\\n", encoding="utf-8")
    >>> read_annotations(path)[0][1:]
    ('a.jpg', 'b.jpg', 2, (1, 2, 4))
    """
    form, values = _FORMS[path.name]
    pattern = re.compile(r"([^\t]+)\t([^\t#]+)#(\d{1,9})\t" + values)
    rows: dict[tuple[str, str, str], Row] = {}
    for where, line in lines(path):
        match = pattern.fullmatch(re.sub(r" *\t *", "\t", line.strip()))
        if match is None:
            raise DataError(
                f"{where}: expected image.jpg<TAB>image.jpg#k and {form}, found {line[:80]!r}; "
                "correct the line or fetch the file again"
            )
        image, name, k, *said = match.groups()
        row = (where, relative(image, where), relative(name, where), int(k), tuple(map(int, said)))
        first = rows.setdefault((image, name, k), row)
        if first is not row:
            raise DataError(
                f"{where}: the pair {image}, {name}#{k} is also at {first[0]}; remove the duplicate"
            )
    if not rows:
        raise DataError(f"{path}: expected lines with {form}, found none; fetch the file again")
    return list(rows.values())


def _join(path: Path, rows: list[Row], dataset: Dataset, value: Callable[[Any], float]) -> Judged:
    """The rows that are about images and captions of the dataset."""
    number = {Path(file).name: i for i, file in enumerate(dataset.image_files)}
    kept = []
    for where, image, name, k, said in rows:
        if image in number and name in number:
            own = dataset.captions_of(number[name])
            if k >= len(own):
                raise DataError(
                    f"{where}: expected a caption of {name}, number 0 to {len(own) - 1}, found #{k}; "
                    "load the dataset with all its captions"
                )
            kept.append((number[image], own[k], value(said)))
    if not kept:
        raise DataError(
            f"{path}: expected judgements of images of dataset {dataset.name}, found none among "
            f"{len(rows):,}; they are about the test split of flickr8k"
        )
    image, caption, values = zip(*kept, strict=True)
    return Judged(np.array(image, np.int64), np.array(caption, np.int64), np.array(values, np.float64))
