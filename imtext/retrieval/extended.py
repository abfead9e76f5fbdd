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

from imtext.errors import ConfigError, DataError
from imtext.retrieval.neighbours import as_scores
from imtext.retrieval.similarity import slices, to_numpy

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
        ConfigError: the package is not installed, or a cutoff is no positive whole number.
        DataError: scores that do not fit, or ids that are not those of the test set.
    """
    if not ks or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in ks):
        raise ConfigError(f"ks={ks!r}: expected positive whole numbers")
    package = load_package()
    matrix = as_scores(scores, "scores")
    images, captions = _as_ids(image_ids, caption_ids, matrix.shape)
    _check_ids(package, images, captions)
    deep = {s: max(map(len, package.eccv_gts[s].values())) for s in _SIDES}
    depth = {s: max(deep[s], *ks) for s in _SIDES}
    found = {
        "i2t": _ranked(matrix, images, captions, depth["i2t"]),
        "t2i": _ranked(matrix.T, captions, images, depth["t2i"]),
    }
    folds = _in_folds(package, matrix, images, captions, max(ks))
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
    """Right pairs (N, M), 1 where right: the ``relevance`` of :func:`imtext.retrieval.graded.graded`.

    ``source``: ``coco``, ``cxc`` or ``eccv``. ``image_ids (N,)``, ``caption_ids (M,)``: COCO ids of any part
    of the test set; pairs outside are left out. A pair is right if it is listed for the image or for the
    caption: ECCV-Caption looked at other queries in each direction, so a listed pair is a right answer, and
    one that is not listed need not be wrong.

    Raises `ConfigError` for another source or where the package is not installed, `DataError` for ids twice.
    """
    if source not in SOURCES:
        raise ConfigError(f"source={source!r}: expected one of {', '.join(SOURCES)}")
    package = load_package()
    images, captions = _as_ids(image_ids, caption_ids)
    lists = getattr(package, f"{source}_gts")
    pairs = {(i, c) for i, found in lists["i2t"].items() for c in found}
    pairs |= {(i, c) for c, found in lists["t2i"].items() for i in found}
    row, column = ({int(x): k for k, x in enumerate(ids)} for ids in (images, captions))
    kept = sorted((row[i], column[c]) for i, c in pairs if i in row and c in column)
    index = np.array(kept, dtype=np.int64).reshape(-1, 2)
    ones = np.ones(len(index), dtype=np.float32)
    return sparse.csr_matrix((ones, (index[:, 0], index[:, 1])), shape=(len(images), len(captions)))


def _as_ids(
    image_ids: Any, caption_ids: Any, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Both lists of distinct ids as int64."""
    out = []
    for axis, (name, ids) in enumerate((("image_ids", image_ids), ("caption_ids", caption_ids))):
        array = to_numpy(ids)
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            array = array.astype(np.int64) if array.dtype.kind in "OUT" else array
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"{name}: expected COCO ids, whole numbers, found {array.dtype} of {array.shape}")
        if shape is not None and len(array) != shape[axis]:
            raise DataError(f"{name}: expected {shape[axis]}, as many as scores has, found {len(array)}")
        if len(np.unique(array)) != len(array):
            raise DataError(f"{name}: an id is there twice; give each image and each caption once")
        out.append(array.astype(np.int64))
    return out[0], out[1]


def _check_ids(package: Any, images: np.ndarray, captions: np.ndarray) -> None:
    for name, ids, known in (
        ("image_ids", images, package.coco_gts["i2t"]),
        ("caption_ids", captions, package.coco_gts["t2i"]),
    ):
        given = set(ids.tolist())
        missing, strange = len(set(known) - given), len(given - set(known))
        if missing or strange:
            raise DataError(
                f"{name}: expected the {len(known):,} of the COCO 5K test set, found {missing:,} missing and "
                f"{strange:,} others; coco_test_ids() lists them"
            )


def _ranked(scores: np.ndarray, queries: np.ndarray, gallery: np.ndarray, depth: int) -> dict[int, list[int]]:
    """The ids of the best ``depth`` items of every query, best first, ties by place."""
    out: dict[int, list[int]] = {}
    for part in slices(len(scores), max(1, _NUMBERS // scores.shape[1])):
        block = scores[part]
        # All that score as high as the last one wanted, so that ties fall as in a full sort.
        least = np.partition(block, -depth, axis=1)[:, -depth] if depth < block.shape[1] else block.min(1)
        row, column = np.nonzero(block >= least[:, None])
        order = np.lexsort((column, -block[row, column].astype(np.float64), row))
        first = np.searchsorted(row[order], np.arange(len(block)))
        best = column[order[first[:, None] + np.arange(min(depth, block.shape[1]))]]
        out |= zip(queries[part].tolist(), gallery[best].tolist(), strict=True)
    return out


def _in_folds(
    package: Any, scores: np.ndarray, images: np.ndarray, captions: np.ndarray, depth: int
) -> dict[str, dict[int, list[int]]]:
    """The best items of every query among those of its own fold."""
    out: dict[str, dict[int, list[int]]] = {"i2t": {}, "t2i": {}}
    row, column = ({int(x): k for k, x in enumerate(ids)} for ids in (images, captions))
    for fold in np.split(np.asarray(package.coco_ids), 5):
        ids = {package.coco_gts["t2i"][int(c)][0] for c in fold}
        # In the order of the matrix, so that ties are broken as they are everywhere.
        rows = np.sort([row[i] for i in ids])
        columns = np.sort([column[int(c)] for c in fold])
        part = scores[np.ix_(rows, columns)]
        out["i2t"] |= _ranked(part, images[rows], captions[columns], depth)
        out["t2i"] |= _ranked(part.T, captions[columns], images[rows], depth)
    return out
