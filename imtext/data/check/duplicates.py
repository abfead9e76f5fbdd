"""Pictures that are there twice: the same bytes, or nearly the same picture by perceptual hash.

Two files count as nearly the same picture when their 64-bit DCT hashes (imagehash.phash) differ in at most
``DISTANCE`` bits and their grey thumbnails of 16 x 16 correlate by at least ``CORRELATION``; a picture whose
thumbnail is almost flat has no layout to compare and is left out. The thresholds come from Flickr8k. Among
the 32 million pairs of its photographs the nearest two that are not copies differ in 8 bits, and pairs at 8
to 12 bits show different things but for a few shots of one series. Of 300 photographs that were saved again
at JPEG quality 30, at half size, stretched to 640 x 480, in grey or without 1 % on each side, all are found;
30 % brighter 98 %; without 2, 3 and 5 % on each side 92, 47 and 3 %; mirrored none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from imtext.data.check.images import Picture
from imtext.data.check.report import Finding, Section, plural
from imtext.data.dataset import SPLITS, Dataset
from imtext.progress import progress

DISTANCE = 6
CORRELATION = 0.95
FLAT = 4.0
"""Standard deviation of the grey values of a thumbnail, below which nothing is compared."""
_BLOCK = 2_000_000
_MOST = 100_000


@dataclass(frozen=True)
class Pair:
    """Images ``a`` and ``b`` by index; ``distance`` in bits and ``correlation``, or None for equal bytes."""

    a: int
    b: int
    distance: int | None = None
    correlation: float | None = None


def identical_pairs(pictures: list[Picture]) -> list[Pair]:
    """Files with equal bytes: each further file of a kind with the first one."""
    first: dict[bytes, int] = {}
    pairs = []
    for i, picture in enumerate(pictures):
        if picture.state == "ok":
            head = first.setdefault(picture.digest, i)
            if head != i:
                pairs.append(Pair(head, i))
    return pairs


def near_pairs(dataset: Dataset, pictures: list[Picture]) -> list[Pair]:
    """Pictures that look the same without being equal files; across splits first, then within each.

    Takes n x m comparisons in blocks of bounded memory, and stops at 100,000 pairs of two splits or of one.
    """
    chosen = _comparable(dataset, pictures)
    if not len(chosen):
        return []
    hashes = np.array([pictures[i].phash for i in chosen], dtype=np.uint64)
    thumbs = np.stack([pictures[i].thumb for i in chosen])
    members = {split: np.flatnonzero(dataset.split_of_image[chosen] == split) for split in SPLITS}
    members = {split: rows for split, rows in members.items() if len(rows)}
    tasks = [*combinations(reversed(members), 2), *((split, split) for split in members)]
    pairs: list[Pair] = []
    for one, two in progress(tasks, f"comparing {dataset.name}", len(tasks)):
        found: list[Pair] = []
        for a, b, distance in _candidates(hashes, members[one], members[two], one == two):
            found += _confirmed(a, b, distance, thumbs)
            if len(found) >= _MOST:
                break
        pairs += found[:_MOST]
    pairs = [Pair(int(chosen[p.a]), int(chosen[p.b]), p.distance, p.correlation) for p in pairs]
    return [pair for pair in pairs if pictures[pair.a].digest != pictures[pair.b].digest]


def _comparable(dataset: Dataset, pictures: list[Picture]) -> np.ndarray:
    """Pictures that are not flat, and of equal files of one split the first."""
    first: dict[tuple[bytes, str], int] = {}
    for i, (picture, split) in enumerate(zip(pictures, dataset.split_of_image.tolist(), strict=True)):
        if picture.state == "ok" and picture.thumb.std() >= FLAT:
            first.setdefault((picture.digest, split), i)
    return np.array(sorted(first.values()), dtype=np.int64)


def _candidates(
    hashes: np.ndarray, one: np.ndarray, two: np.ndarray, same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows ``a`` of ``one`` and ``b`` of ``two`` at a small Hamming distance; each pair once if ``same``."""
    step = max(1, _BLOCK // len(two))
    for start in range(0, len(one), step):
        rows = one[start : start + step]
        others = two[start:] if same else two
        distance = np.bitwise_count(hashes[rows, None] ^ hashes[None, others])
        a, b = np.nonzero(distance <= DISTANCE)
        if same:
            a, b = a[a < b], b[a < b]
        yield rows[a], others[b], distance[a, b]


def _confirmed(a: np.ndarray, b: np.ndarray, distance: np.ndarray, thumbs: np.ndarray) -> Iterator[Pair]:
    for start in range(0, len(a), 10_000):
        part = slice(start, start + 10_000)
        correlation = np.einsum("ij,ij->i", _unit(thumbs[a[part]]), _unit(thumbs[b[part]]))
        for k in np.flatnonzero(correlation >= CORRELATION) + start:
            yield Pair(int(a[k]), int(b[k]), int(distance[k]), round(float(correlation[k - start]), 4))


def _unit(thumbs: np.ndarray) -> np.ndarray:
    centred = thumbs - thumbs.mean(axis=1, keepdims=True, dtype=np.float32)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)


def duplicate_section(dataset: Dataset, pictures: list[Picture]) -> Section:
    """Pairs across splits are warnings, pairs within one split a remark; pairs of one group are neither."""
    identical, near = identical_pairs(pictures), near_pairs(dataset, pictures)
    groups, splits = dataset.group_of_image, dataset.split_of_image
    findings, facts, counts = [], {}, []
    for key, pairs, what in (
        ("identical", identical, "pictures with the same bytes"),
        ("similar", near, "pictures that look the same"),
    ):
        parted = defaultdict(list)
        for pair in pairs:
            if groups[pair.a] != groups[pair.b]:
                parted[bool(splits[pair.a] != splits[pair.b])].append(pair)
        for across, where in ((True, "across"), (False, "within")):
            found = parted[across]
            facts[f"{key}_{where}_splits"] = [_fact(dataset, pair) for pair in found]
            counts.append(len(found))
            if found:
                findings.append(_finding(dataset, key, what, found, across))
    lines = (
        f"equal bytes: {plural(counts[0], 'pair')} across splits, {counts[1]:,} within one",
        f"nearly the same picture: {plural(counts[2], 'pair')} across splits, {counts[3]:,} within one",
    )
    facts["rule"] = {"bits": DISTANCE, "correlation": CORRELATION}
    return Section("duplicates", "Duplicate pictures", lines, facts, tuple(findings))


def _fact(dataset: Dataset, pair: Pair) -> dict[str, object]:
    fact: dict[str, object] = {
        "files": [dataset.image_files[pair.a], dataset.image_files[pair.b]],
        "splits": [str(dataset.split_of_image[pair.a]), str(dataset.split_of_image[pair.b])],
    }
    if pair.distance is not None:
        fact |= {"bits": pair.distance, "correlation": pair.correlation}
    return fact


def _finding(dataset: Dataset, key: str, what: str, pairs: list[Pair], across: bool) -> Finding:
    splits = dataset.split_of_image
    kinds = Counter("/".join(dict.fromkeys((str(splits[p.a]), str(splits[p.b])))) for p in pairs)
    shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    sign = "=" if key == "identical" else "~"
    examples = tuple(
        f"{dataset.image_files[p.a]} ({splits[p.a]}) {sign} {dataset.image_files[p.b]} ({splits[p.b]})"
        for p in pairs
    )
    place = "across splits" if across else "within one split"
    message = f"{plural(len(pairs), 'pair')} of {what} {place} ({shown})"
    if not across:
        return Finding("remark", f"{key}-within", message, examples)
    todo = "look at the pictures that two splits share: results on them measure memory"
    return Finding("warning", f"{key}-across", message, examples, todo)
