"""Images, captions and groups of each split, beside the counts that the publisher states."""

from __future__ import annotations

from typing import Any

import numpy as np

from imtext.data.check.report import Finding, Section, table
from imtext.data.dataset import SPLITS, Dataset
from imtext.data.editions import EDITIONS, Edition

_KINDS = ("images", "captions", "groups")


def count_section(dataset: Dataset, subset: bool) -> Section:
    """Counts here and published. Another count is an error, or a warning where a ``subset`` was asked for."""
    known = EDITIONS.get(dataset.edition)
    here = _here(dataset)
    facts: dict[str, Any] = {"edition": None if known is None else known.name, "splits": here}
    findings = []
    for split in SPLITS:
        stated = {} if known is None else _stated(known, split)
        if not here[split]["images"]:
            if stated:
                text = f"split {split} is not here; published: {stated['images']:,} images"
                findings.append(Finding("warning", "split-absent", text))
            if not stated:
                del here[split]
                continue
        here[split]["published"] = stated
        if here[split]["images"]:
            findings += _differences(split, here[split], stated, "warning" if subset else "error")
    edition = "no published counts to compare with" if known is None else f"published: {known.name}"
    lines = (*_lines(here), edition)
    return Section("counts", "Counts", lines, facts, tuple(findings))


def _here(dataset: Dataset) -> dict[str, dict[str, Any]]:
    here: dict[str, dict[str, Any]] = {}
    of_caption = dataset.split_of_image[dataset.image_of_caption]
    for split in SPLITS:
        chosen = dataset.split_of_image == split
        here[split] = {
            "images": int(chosen.sum()),
            "captions": int((of_caption == split).sum()),
            "groups": len(np.unique(dataset.group_of_image[chosen])),
        }
    return here


def _stated(known: Edition, split: str) -> dict[str, int]:
    columns = (("images", known.images), ("captions", known.captions), ("groups", known.groups))
    return {kind: counts[split] for kind, counts in columns if split in counts}


def _differences(split: str, here: dict[str, Any], stated: dict[str, int], level: str) -> list[Finding]:
    todo = "fetch the split files and annotations again, or read with subset=True if they were cut on purpose"
    return [
        Finding(
            level,
            "counts",
            f"split {split}: {here[kind]:,} {kind}, published {count:,} ({_difference(here[kind] - count)})",
            todo=todo,
        )
        for kind, count in stated.items()
        if here[kind] != count
    ]


def _difference(by: int) -> str:
    return f"{abs(by):,} {'more' if by > 0 else 'fewer'}"


def _lines(here: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    # Groups say something only where several images make one.
    grouped = any(row["groups"] < row["images"] for row in here.values())
    kinds = [kind for kind in _KINDS if kind != "groups" or grouped]
    header, rows = ["split"], [[split] for split in here]
    for kind in kinds:
        stated = any(kind in row["published"] for row in here.values())
        header += [kind, "published"] if stated else [kind]
        for cells, row in zip(rows, here.values(), strict=True):
            cells.append(f"{row[kind]:,}")
            if stated:
                count = row["published"].get(kind)
                cells.append("-" if count is None else f"{count:,}")
    return table(header, rows)
