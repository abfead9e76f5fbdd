"""Minimal pairs: the second scene equals the first but for one attribute, one count or one relation."""

from __future__ import annotations

import copy
import random
from typing import Any

from .scenes import Scene, layout, rng_for, sample_scene, thing_by_id
from .world import CLOTH, KINDS

EVERY = 10  # in the test split, image 10 j + 1 is the twin of image 10 j


def is_twin(split: str, index: int) -> bool:
    """Whether an image is the second member of a minimal pair.

    >>> [i for i in range(22) if is_twin("test", i)], is_twin("train", 1)
    ([1, 11, 21], False)
    """
    return split == "test" and index % EVERY == 1


def scene_of(seed: int, split: str, index: int) -> tuple[Scene, dict[str, Any] | None]:
    """The scene of an image and, where it belongs to a pair, what the pair differs in.

    The difference holds `kind` (attribute, count or relation), `field`, `thing` (chain id), `from`, `to`.
    """
    if split != "test" or index % EVERY > 1:
        return sample_scene(seed, split, index), None
    first = sample_scene(seed, split, index - index % EVERY)
    second, difference = edit(first, rng_for(seed, split, index - index % EVERY, "pair"))
    if index % EVERY == 0:
        return first, difference
    second["id"] = f"{split}_{index:05d}"
    return second, difference


def edit(scene: Scene, rng: random.Random) -> tuple[Scene, dict[str, Any]]:
    """A copy of `scene` changed in exactly one thing, and the difference."""
    twin = copy.deepcopy(scene)
    choices = [
        change
        for change in (_colour, _clothes, _count, _order, _depth, _size, _action)
        if change(copy.deepcopy(scene), random.Random(0)) is not None
    ]
    weights = {_colour: 3, _clothes: 3, _count: 3, _order: 2, _depth: 2, _size: 1.5, _action: 2}
    change = rng.choices(choices, [weights[c] for c in choices])[0]
    difference = change(twin, rng)
    layout(twin)
    return twin, difference


def _attached(scene: Scene) -> set[int]:
    """Chain ids of all things that take part in a deed."""
    return {d[k] for d in scene["deeds"] for k in ("subject", "object")}


def _colour(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    options = [t for t in scene["things"] if len(KINDS[t["kind"]].colours) > 1]
    if not options:
        return None
    thing = rng.choice(options)
    old = thing["colour"]
    thing["colour"] = rng.choice([c for c in KINDS[thing["kind"]].colours if c != old])
    return {"kind": "attribute", "field": "colour", "thing": thing["id"], "from": old, "to": thing["colour"]}


def _clothes(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    options = [t for t in scene["things"] if "clothes" in t]
    if not options:
        return None
    person = rng.choice(options)
    worn = {c["colour"] for c in person["clothes"]}
    old = person["clothes"][0]["colour"]
    new = rng.choice([c for c in CLOTH if c not in worn])
    person["clothes"][0]["colour"] = new
    return {"kind": "attribute", "field": "clothes", "thing": person["id"], "from": old, "to": new}


def _count(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    bound = _attached(scene)
    options = [t for t in scene["things"] if KINDS[t["kind"]].most > 1 and t["id"] not in bound]
    if not options:
        return None
    thing = rng.choice(options)
    old = thing["count"]
    thing["count"] = rng.choice([n for n in range(1, KINDS[thing["kind"]].most + 1) if n != old])
    if thing["count"] > 1:
        thing.pop("extras", None)
    return {"kind": "count", "field": "count", "thing": thing["id"], "from": old, "to": thing["count"]}


def _order(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    if len(scene["units"]) != 2 or scene["units"][0]["plane"] != scene["units"][1]["plane"]:
        return None
    scene["units"].reverse()
    ids = [u["things"][0] for u in scene["units"]]
    return {"kind": "relation", "field": "left of", "thing": ids[1], "from": [ids[1], ids[0]], "to": ids}


def _depth(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    others = [u for u in scene["units"] if scene["lead"] not in u["things"]]
    if len(others) != 1:
        return None
    unit = others[0]
    old = "behind" if unit["plane"] == "back" else "next to"
    unit["plane"] = "front" if unit["plane"] == "back" else "back"
    new = "behind" if unit["plane"] == "back" else "next to"
    return {"kind": "relation", "field": "behind", "thing": unit["things"][0], "from": old, "to": new}


def _size(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    options = [t for t in scene["things"] if "size" in t]
    if not options or len(scene["units"]) < 2:  # size shows only beside something else
        return None
    thing = rng.choice(options)
    old = thing["size"]
    thing["size"] = {"small": "big", "big": "small"}.get(old) or rng.choice(("small", "big"))
    return {"kind": "attribute", "field": "size", "thing": thing["id"], "from": old, "to": thing["size"]}


def _action(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    bound = _attached(scene)
    alike = {"standing", "walking"}  # hard to tell apart in an animal
    options = [
        (t, a)
        for t in scene["things"]
        if t["type"] in ("people", "animals") and t["id"] not in bound
        for a in KINDS[t["kind"]].actions
        if a != t["action"] and not (t["type"] == "animals" and {a, t["action"]} <= alike)
    ]
    if not options:
        return None
    thing, new = rng.choice(options)
    old = thing["action"]
    thing["action"] = new
    return {"kind": "attribute", "field": "action", "thing": thing["id"], "from": old, "to": thing["action"]}


def pair_of(seed: int, index: int) -> dict[str, Any]:
    """The pair whose first member is test image `index`: the record of `minimal_pairs.json`."""
    first, difference = scene_of(seed, "test", index)
    name = thing_by_id(first, difference["thing"])["kind"]
    twin = f"test_{index + 1:05d}"
    return {"images": [first["id"], twin], "of": name, **difference}
