"""One person on disk: the pictures, and their rows in the form of CUHK-PEDES."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..write import JPEG
from .captions import Describer
from .identities import Person, stream
from .render import render
from .views import View, hidden, views

CAPTIONS = 2


def tokens(caption: str) -> list[str]:
    """The words of a description as `processed_tokens` holds them.

    >>> tokens("A man wears a T-shirt. He walks.")
    ['a', 'man', 'wears', 'a', 't-shirt', 'he', 'walks']
    """
    return re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", caption.lower())


def describe(
    seed: int, split: str, index: int, number: int, person: Person, view: View
) -> list[tuple[str, list[str]]]:
    """The two descriptions of picture `number` of a person, each with the facts that it names."""
    describer = Describer(person, view, stream(seed, split, index, f"words/{number}"))
    said: dict[str, list[str]] = {}
    while len(said) < CAPTIONS:
        said.update((describer.describe(),))
    return list(said.items())


def write_person(
    root: Path, seed: int, split: str, index: int, person: Person, size: int
) -> list[dict[str, Any]]:
    """Draw and describe all pictures of a person; returns a row for each.

    A row holds `file_path`, `captions`, `processed_tokens` and `scene` (what `pedestrians.jsonl` says of it).
    """
    rows = []
    for number, view in enumerate(views(seed, split, index, person), 1):
        name = f"{split}/{index:05d}_{number}.jpg"
        render(person, view, size).save(root / "imgs" / name, **JPEG)
        said = describe(seed, split, index, number, person, view)
        scene = {
            "file": name,
            "split": split,
            "index": index,
            "person": person,
            "view": {key: view[key] for key in ("view", "action", "place", "light", "arms")},
            "hidden": sorted(hidden(person, view)),
            "named": [facts for _, facts in said],
        }
        captions = [caption for caption, _ in said]
        rows.append(
            {
                "file_path": name,
                "captions": captions,
                "processed_tokens": [tokens(caption) for caption in captions],
                "scene": scene,
            }
        )
    return rows
