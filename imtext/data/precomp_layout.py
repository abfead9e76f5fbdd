"""Which rows of a feature file are which images, and which captions are theirs: counts and ids decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imtext.errors import DataError
from imtext.progress import progress

USUAL = 5
"""Captions of an image where nothing else is said: so in Flickr8k, Flickr30k and, cut to five, COCO."""
_BLOCK = 1 << 24  # bytes looked at together
_SAMPLE = 16  # blocks looked at where not all are


@dataclass(frozen=True)
class Layout:
    """Images of one feature file.

    Attributes:
        rows: ``(N,)`` int64, the row of each image (the first of its rows where they are repeated).
        image_of_caption: ``(M,)`` int64, the image of each caption line.
        ids: N distinct ids, None without an ids file.
        repeated: whether the file has one row for each caption, so that rows must be equal in runs.
        sure: whether counts alone prove that; where not, rows that differ have another message.
        notes: one line for what is odd.
    """

    rows: np.ndarray
    image_of_caption: np.ndarray
    ids: list[str] | None
    repeated: bool = False
    sure: bool = True
    notes: tuple[str, ...] = ()


def find_layout(
    stem: Path, rows: np.ndarray, lines: Sequence[str], ids: Sequence[str] | None, k: int | None
) -> Layout:
    """The layout that the counts allow.

    Args:
        stem: path of the files up to ``_ims.npy``, for messages.
        rows: features ``(n, ...)``; only their number is looked at.
        lines: captions, blank ones included; blank lines at the end may be too many and are then left out.
        ids: ids ``(captions,)`` or ``(images,)``, None where there is no such file.
        k: captions of every image, None for five unless the ids say otherwise.

    Raises:
        DataError: no layout fits the counts, or the ids repeat in another way than captions of one image.

    >>> rows = np.zeros((2, 4))
    >>> find_layout(Path("dev"), rows, ["a", "b", "c"], ["7", "7", "9"], None).image_of_caption.tolist()
    [0, 0, 1]
    >>> find_layout(Path("dev"), rows, ["a", "b", "c"], None, None)
    Traceback (most recent call last):
    imtext.errors.DataError: dev_caps.txt: expected 10 captions, 5 for each of 2 rows of ...
    """
    n = len(rows)
    blank = next((j for j, line in enumerate(reversed(lines)) if line), len(lines))
    for m in range(len(lines), len(lines) - blank - 1, -1):
        layout = _of_counts(stem, n, m, ids, k)
        if layout is not None:
            return layout
    raise _no_layout(stem, n, len(lines), ids, k)


def _of_counts(stem: Path, n: int, m: int, ids: Sequence[str] | None, k: int | None) -> Layout | None:
    if m == 0:
        return None
    notes: tuple[str, ...] = ()
    if ids is not None and len(ids) == m:
        if k is None or k == 1 or len(set(ids)) < m:
            return _by_caption_ids(stem, n, ids, k)
        ids = None
        notes = (f"{stem.name}_ids.txt names captions, not images: not used",)
    each = k or USUAL
    images = n if n * each == m else m // each
    repeated = images != n
    if images * each != m or (repeated and n != m) or (ids is not None and len(ids) != images):
        return None
    if ids is not None:
        _check_distinct(stem, ids, "each image has one line here")
    rows = np.arange(images) * (each if repeated else 1)
    owner = np.repeat(np.arange(images), each)
    sure = k is not None or ids is not None
    return Layout(rows, owner, None if ids is None else list(ids), repeated, sure, notes)


def _by_caption_ids(stem: Path, n: int, ids: Sequence[str], k: int | None) -> Layout | None:
    """One id for each caption: a run of equal ids is one image."""
    names = np.asarray(ids, dtype=object)
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    if n not in (len(starts), len(ids)):
        return None
    counts = np.diff([*starts.tolist(), len(ids)])
    own = [ids[j] for j in starts]
    odd = np.flatnonzero(counts != k) if k is not None else ()
    if len(odd):
        raise DataError(
            f"{stem}_ids.txt: expected {k} captions for each image (captions_per_image={k}), found "
            f"{counts[odd[0]]} for {own[odd[0]][:60]!r}; leave captions_per_image out, the ids say it"
        )
    _check_distinct(stem, own, "captions of one image must stand together")
    repeated = n != len(starts)
    rows = starts if repeated else np.arange(n)
    return Layout(rows, np.repeat(np.arange(len(starts)), counts), own, repeated)


def _check_distinct(stem: Path, ids: Sequence[str], why: str) -> None:
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))
        raise DataError(
            f"{stem}_ids.txt: image {twice[:60]!r} is there at two places; {why}, correct the file"
        )


def _no_layout(stem: Path, n: int, m: int, ids: Sequence[str] | None, k: int | None) -> DataError:
    """What was found, and what to do: the ids are the first to blame, then the captions."""
    features, fetch = f"{stem.name}_ims.npy", "fetch the files again, from one source"
    if ids is not None and len(ids) == m and m:
        runs = 1 + sum(a != b for a, b in zip(ids, ids[1:], strict=False))
        if runs == m and m % n == 0:
            fetch = f"if the ids name captions, pass captions_per_image={m // n}"
        return DataError(
            f"{stem}_ims.npy: expected {runs:,} rows, one for each run of equal ids in {stem.name}_ids.txt, "
            f"or {m:,}, one for each caption, found {n:,}; {fetch}"
        )
    if ids is not None and len(ids) != n:
        return DataError(
            f"{stem}_ids.txt: expected an id for each of {m:,} captions, or for each of {n:,} rows of "
            f"{features}, found {len(ids):,}; {fetch}"
        )
    each = k or USUAL
    if m and m % n == 0 and m // n != k:
        fetch = f"if every image has {m // n}, pass captions_per_image={m // n}"
    return DataError(
        f"{stem}_caps.txt: expected {n * each:,} captions, {each} for each of {n:,} rows of {features}, "
        f"found {m:,}; {fetch}, or add {stem.name}_ids.txt with the image of each caption"
    )


def check_rows(path: Path, rows: np.ndarray, layout: Layout, everything: bool) -> Layout:
    """Look at the rows in blocks: all finite, and equal where one image has several; notes are added.

    ``everything=False`` looks at a sample of repeated rows only, at nothing else.

    Raises:
        DataError: a row is not finite, or rows of one image differ, or rows repeat that should not.
    """
    flat = rows.reshape(len(rows), -1)
    if len(rows) == len(layout.image_of_caption) and not layout.repeated:
        _check_single(path, flat)
    notes = list(layout.notes)
    if layout.repeated:
        notes.append(f"{path.name}: the row of each image is repeated for each caption; images kept once")
    elif not everything:
        return layout
    follows = np.zeros(len(rows), bool)  # rows that must equal the one before
    follows[:] = layout.repeated
    follows[layout.rows] = False
    zeros = 0
    for start, stop in _blocks(flat, path, everything):
        if layout.repeated:
            _check_equal(path, flat, layout, follows, max(start - 1, 0), stop)
        if everything:
            zeros += _check_finite(path, flat, start, stop)
    if zeros:
        notes.append(f"{path.name}: {zeros:,} rows are all zero")
    return replace(layout, notes=tuple(notes))


def _bits(flat: np.ndarray) -> np.ndarray:
    """The numbers as bits: NaN equals NaN, and comparing makes no copy of another type."""
    return flat.view(f"u{flat.dtype.itemsize}")


def _check_single(path: Path, flat: np.ndarray) -> None:
    """One caption for each row: then rows must not come in fives, whatever the ids say."""
    some = _bits(flat[: USUAL * 20])
    fives = some[: len(some) // USUAL * USUAL].reshape(-1, USUAL, some.shape[1])
    if len(fives) > 1 and (fives == fives[:, :1]).all() and (fives[0, 0] != fives[1, 0]).any():
        raise DataError(
            f"{path}: each caption has an image of its own, but rows come in equal {USUAL}s; if every image "
            f"has {USUAL} captions, pass captions_per_image={USUAL}"
        )


def _check_equal(
    path: Path, flat: np.ndarray, layout: Layout, follows: np.ndarray, start: int, stop: int
) -> None:
    bits = _bits(flat[start:stop])
    wrong = np.flatnonzero(follows[start + 1 : stop] & ~(bits[1:] == bits[:-1]).all(1))
    if len(wrong):
        raise _differ(path, layout, start + 1 + int(wrong[0]), len(flat))


def _blocks(flat: np.ndarray, path: Path, everything: bool) -> Iterator[tuple[int, int]]:
    step = max(2, _BLOCK // (flat.shape[1] * flat.dtype.itemsize))
    starts = range(0, len(flat), step)
    if not everything and len(starts) > _SAMPLE:
        starts = [starts[i] for i in np.linspace(0, len(starts) - 1, _SAMPLE, dtype=int)]
    for start in progress(starts, f"checking {path.name}", len(starts)):
        yield start, min(start + step, len(flat))


def _check_finite(path: Path, flat: np.ndarray, start: int, stop: int) -> int:
    """The number of rows that are all zero."""
    with np.errstate(over="ignore"):
        block = np.asarray(flat[start:stop], dtype=np.float32)
    fine = np.isfinite(block).all(1)
    if not fine.all():
        raise DataError(
            f"{path}: row {start + int(np.flatnonzero(~fine)[0])} of {len(flat):,} holds NaN or infinity (as "
            "float32); compute its features again or fetch the file again"
        )
    return int(np.count_nonzero(~block.any(1)))


def _differ(path: Path, layout: Layout, row: int, n: int) -> DataError:
    image = int(np.searchsorted(layout.rows, row, side="right")) - 1
    first = int(layout.rows[image])
    if not layout.sure:
        ids = f"{path.name.removesuffix('ims.npy')}ids.txt"
        return DataError(
            f"{path}: as many rows as captions ({n:,}), yet rows {first} and {row} differ, so images are not "
            f"repeated {USUAL} times; pass captions_per_image (1 if each image has one caption) or add {ids} "
            "with the image of each caption"
        )
    one = f"image {layout.ids[image][:60]!r}" if layout.ids else f"image {image}"
    return DataError(
        f"{path}: rows {first} and {row} both belong to {one} and differ; keep one row for each image, or "
        "fetch the files again, from one source"
    )
