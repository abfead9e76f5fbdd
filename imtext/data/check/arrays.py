"""Features and embeddings: shapes, numbers that are not finite, rows of zeros, norms, equal rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from imtext.data.check.report import Finding, Report, Section, plural
from imtext.data.dataset import Dataset
from imtext.progress import progress

_BLOCK = 1 << 22  # numbers looked at in one go


class _Rows(Protocol):
    """An array, or :class:`imtext.data.features.ImageFeatures`, which reads its rows from disk."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray: ...


def row_section(key: str, title: str, rows: _Rows, names: Sequence[str] | None = None) -> Section:
    """Look at every row in blocks of bounded memory; ``names`` call the rows, else their numbers do."""
    bad, zero, equal, norms = [], [], [], []
    first: dict[bytes, int] = {}
    width = int(np.prod(rows.shape[1:], dtype=np.int64))
    step = max(1, _BLOCK // max(1, width))
    starts = range(0, len(rows), step)
    for start in progress(starts, f"checking {title.lower()}", len(starts)):
        block = np.asarray(rows[np.arange(start, min(start + step, len(rows)))])
        block = block.reshape(len(block), width)
        for i, row in enumerate(block, start):
            head = first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i)
            if head != i:
                equal.append((head, i))
        finite = np.isfinite(block).all(axis=1)
        bad += (np.flatnonzero(~finite) + start).tolist()
        zero += (np.flatnonzero(~block.any(axis=1)) + start).tolist()
        with np.errstate(over="ignore"):
            norms.append(np.linalg.norm(block[finite].astype(np.float64), axis=1))
    return _told(key, title, rows.shape, np.concatenate([*norms, np.empty(0)]), bad, zero, equal, names)


def _told(
    key: str,
    title: str,
    shape: tuple[int, ...],
    norms: np.ndarray,
    bad: list[int],
    zero: list[int],
    equal: list[tuple[int, int]],
    names: Sequence[str] | None,
) -> Section:
    def called(i: int) -> str:
        return f"row {i}" if names is None else names[i]

    what, findings = title.lower(), []
    if bad:
        text = f"{plural(len(bad), 'row')} of {what} with NaN or infinity"
        todo = f"compute {plural(len(bad), 'row')} of {what} with NaN or infinity again"
        findings.append(Finding("error", "not-finite", text, tuple(map(called, bad)), todo))
    if zero:
        text = f"{plural(len(zero), 'row')} of {what} of zeros only, which have no cosine"
        todo = f"see why there are {what} of zeros only"
        findings.append(Finding("warning", "zeros", text, tuple(map(called, zero)), todo))
    if equal:
        text = f"{plural(len(equal), 'row')} of {what} the same as an earlier one: they tie in every ranking"
        pairs = tuple(f"{called(b)} = {called(a)}" for a, b in equal)
        findings.append(Finding("remark", "equal-rows", text, pairs))
    facts: dict[str, Any] = {"shape": list(shape), "not_finite": len(bad), "zeros": len(zero)}
    facts["equal"] = len(equal)
    lines = [" x ".join(f"{side:,}" for side in shape)]
    if len(norms) and np.isfinite(norms).all():
        low, high, mean = float(norms.min()), float(norms.max()), float(norms.mean(dtype=np.float64))
        facts["norm"] = {"min": low, "mean": mean, "max": high}
        lines.append(f"norms {low:.4g} to {high:.4g}, mean {mean:.4g}")
    return Section(key, title, tuple(lines), facts, tuple(findings))


def feature_section(dataset: Dataset) -> Section:
    """The precomputed features of a dataset, which has no pictures to look at."""
    return row_section("features", "Features", dataset.features, dataset.image_ids)


def check_arrays(
    root: str, images: np.ndarray, captions: np.ndarray, image_of_caption: np.ndarray
) -> Report:
    """The report on embeddings ``images (N, D)``, ``captions (M, D)`` and ``image_of_caption (M,)``.

    >>> two = np.eye(2)
    >>> check_arrays("x.npz", two, two, np.array([0, 1])).ok
    True
    >>> check_arrays("x.npz", two, two, np.array([0, 2])).findings[0].message
    'image_of_caption: expected indices 0 to 1, found 0 to 2'
    """
    report = Report("embeddings", root)
    images, captions, owner = map(np.asarray, (images, captions, image_of_caption))
    trouble = _misfit(images, captions, owner)
    if trouble:
        report.findings.append(Finding("error", "shape", trouble, todo="write the arrays again"))
        return report
    report.add(row_section("images", "Images", images))
    report.add(row_section("captions", "Sentences", captions))
    counts = np.bincount(owner, minlength=len(images))
    lonely = np.flatnonzero(counts == 0)
    findings = ()
    if len(lonely):
        text = f"{plural(len(lonely), 'image')} without any caption: their queries have no answer"
        rows = tuple(f"row {i}" for i in lonely.tolist())
        todo = "leave out the images without captions"
        findings = (Finding("warning", "no-caption", text, rows, todo),)
    facts = {"min": int(counts.min()), "mean": float(counts.mean()), "max": int(counts.max())}
    line = f"per image: {counts.min()} to {counts.max()}, mean {counts.mean():.2f}"
    report.add(Section("captions", "Captions", (line,), {"per_image": facts}, findings))
    return report


def _misfit(images: np.ndarray, captions: np.ndarray, owner: np.ndarray) -> str:
    """What is wrong with the form of the three arrays; empty where nothing is."""
    for what, array in (("images", images), ("captions", captions)):
        if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
            shape = f"shape {array.shape} of {array.dtype}"
            return f"{what}: expected numbers of shape (n, D), found {shape}"
    if images.shape[1] != captions.shape[1]:
        return f"images have {images.shape[1]} columns and captions {captions.shape[1]}: expected the same"
    if owner.shape != (len(captions),) or owner.dtype.kind not in "iu":
        found = f"shape {owner.shape} of {owner.dtype}"
        return f"image_of_caption: expected {len(captions):,} integers, found {found}"
    if owner.min() < 0 or owner.max() >= len(images):
        found = f"{owner.min()} to {owner.max()}"
        return f"image_of_caption: expected indices 0 to {len(images) - 1}, found {found}"
    return ""
