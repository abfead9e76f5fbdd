"""COCO with its missing matches: CxC and ECCV-Caption, through the package ``eccv_caption``.

For the 5,000 test images of COCO people looked for further captions that fit: CxC (Parekh et al., EACL 2021)
has 35,585 right pairs where COCO has 25,000; ECCV-Caption (Chun et al., ECCV 2022) has 17.9 right captions
for each of 1,261 images and 8.5 right images for each of 1,332 captions, found by five models and verified
by people. The package holds these lists and the measures; it is an extra: ``pip install "imtext[coco]"``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from imtext.check import one_of
from imtext.errors import ConfigError, DataError
from imtext.retrieval.meaning import best_first
from imtext.retrieval.neighbours import as_scores
from imtext.retrieval.similarity import slices

SOURCES = ("coco", "cxc", "eccv")
KS = (1, 5, 10)
_SIDES = {"i2t": "image_query", "t2i": "text_query"}
_NUMBERS = 1 << 23  # scores ranked at a time


def load_package() -> Any:
    """The ``Metrics`` of the package ``eccv_caption``, with its ground truth read.

    Raises `ConfigError` where the package is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that ujson is missing, and does without
            return importlib.import_module("eccv_caption").Metrics()
    except ImportError:
        raise ConfigError(
            "CxC and ECCV-Caption need the package eccv_caption, which is not installed: run "
            'pip install "imtext[coco]"'
        ) from None


def coco_test_ids() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COCO ids of the 5K test set in the order of its five folds.

    Gives ``image_ids (N,)``, ``caption_ids (M,)`` and ``image_of_caption (M,)``; a caption id is the ``id``
    of an annotation of COCO. Raises `ConfigError` where the package is not installed.
    """
    package = load_package()
    captions = np.asarray(package.coco_ids, dtype=np.int64)
    owners = np.array([package.coco_gts["t2i"][int(c)][0] for c in captions])
    images, first = np.unique(owners, return_index=True)
    images = images[np.argsort(first)]
    number = {int(image): i for i, image in enumerate(images)}
    return images, captions, np.array([number[int(owner)] for owner in owners])


def extended_measures(
    scores: Any, image_ids: Any, caption_ids: Any, ks: Sequence[int] = KS
) -> dict[str, dict[str, float]]:
    """Every measure of the package for one model on COCO 5K, in per cent.

    Args:
        scores: ``(5000, 25000)``, images by captions, higher is better; a memory map is read in blocks.
        image_ids, caption_ids: ``(5000,)`` and ``(25000,)``, the COCO ids of rows and columns in any order.
        ks: cutoffs of the recalls.

    Returns:
        ``coco_1k_r1`` …, ``coco_5k_r1`` …, ``cxc_r1`` …, ``eccv_r1``, ``eccv_rprecision``, ``eccv_map_at_r``,
        each ``{"image_query": ..., "text_query": ...}``. ``coco_1k`` is the mean of five folds. Items of one
        score stand in the order of rows or columns.

    Raises:
        ConfigError: the package is not installed.
        DataError: scores that do not fit, or ids that are not those of the test set.
    """
    package = load_package()
    matrix = as_scores(scores, "scores")
    images, captions = _as_ids(image_ids, caption_ids)
    known = [set(package.coco_gts[side]) for side in _SIDES]
    if matrix.shape != (len(images), len(captions)) or [set(images), set(captions)] != known:
        raise DataError(
            f"image_ids, caption_ids: expected the {len(known[0]):,} and {len(known[1]):,} ids of COCO's 5K "
            f"test set, in the order of scores {matrix.shape}; coco_test_ids() lists them"
        )
    depth = max(*ks, *(len(right) for side in _SIDES for right in package.eccv_gts[side].values()))
    found = _ranked(matrix, images, captions, depth)
    folds: dict[str, dict[int, list[int]]] = {side: {} for side in _SIDES}
    for fold in np.split(np.asarray(package.coco_ids), 5):
        # In the order of the matrix, so that ties are broken as they are everywhere.
        columns = np.flatnonzero(np.isin(captions, fold))
        rows = np.flatnonzero(np.isin(images, [package.coco_gts["t2i"][c][0] for c in fold.tolist()]))
        part = _ranked(matrix[np.ix_(rows, columns)], images[rows], captions[columns], max(ks))
        for side in _SIDES:
            folds[side] |= part[side]
    out: dict[str, Mapping[str, float]] = {}
    with contextlib.redirect_stderr(io.StringIO()):  # the package draws bars that cannot be turned off
        for k in ks:
            out[f"coco_1k_r{k}"] = package.coco_1k_recalls(folds, "all", K=k)
            out[f"coco_5k_r{k}"] = package.coco_5k_recalls(found, "all", K=k)
            out[f"cxc_r{k}"] = package.cxc_recalls(found, "all", K=k)
        out |= package.eccv_metrics(found, "all")
    return {
        name: {_SIDES[side]: 100.0 * float(value) for side, value in sides.items()}
        for name, sides in sorted(out.items())
    }


def extended_pairs(source: str, image_ids: Any, caption_ids: Any) -> sparse.csr_matrix:
    """Right pairs (N, M), 1 where right: the ``relevance`` of :func:`imtext.retrieval.graded`.

    ``source``: ``coco``, ``cxc`` or ``eccv``. ``image_ids (N,)``, ``caption_ids (M,)``: COCO ids of any part
    of the test set; pairs outside are left out. A pair is right if it is listed for the image or for the
    caption: ECCV-Caption looked at other queries in each direction, so a listed pair is a right answer, and
    one that is not listed need not be wrong.

    Raises `ConfigError` for another source or where the package is not installed, `DataError` for ids twice.
    """
    one_of("source", source, SOURCES)
    lists = getattr(load_package(), f"{source}_gts")
    images, captions = _as_ids(image_ids, caption_ids)
    pairs = {(i, c) for i, found in lists["i2t"].items() for c in found}
    pairs |= {(i, c) for c, found in lists["t2i"].items() for i in found}
    row, column = ({int(x): k for k, x in enumerate(ids)} for ids in (images, captions))
    kept = sorted((row[i], column[c]) for i, c in pairs if i in row and c in column)
    index = np.array(kept, dtype=np.int64).reshape(-1, 2).T
    ones = np.ones(len(kept), dtype=np.float32)
    return sparse.csr_matrix((ones, tuple(index)), shape=(len(images), len(captions)))


def _as_ids(*both: Any) -> list[np.ndarray]:
    """Ids of images and of captions, distinct, as int64."""
    found = []
    for name, ids in zip(("image_ids", "caption_ids"), both, strict=True):
        try:
            array = np.asarray(ids).astype(np.int64)
        except ValueError:
            raise DataError(f"{name}: expected COCO ids, whole numbers") from None
        if len(np.unique(array)) != len(array):
            raise DataError(f"{name}: an id is there twice; give each image and each caption once")
        found.append(array)
    return found


def _ranked(
    scores: np.ndarray, images: np.ndarray, captions: np.ndarray, depth: int
) -> dict[str, dict[int, list[int]]]:
    """The ids of the best ``depth`` items of every query, best first, ties by place; both directions."""
    found: dict[str, dict[int, list[int]]] = {}
    sides = (scores, images, captions), (scores.T, captions, images)
    for side, (matrix, queries, gallery) in zip(_SIDES, sides, strict=True):
        found[side] = {}
        for part in slices(len(matrix), max(1, _NUMBERS // len(gallery))):
            best = gallery[best_first(matrix[part])[:, :depth]]
            found[side] |= zip(queries[part].tolist(), best.tolist(), strict=True)
    return found
