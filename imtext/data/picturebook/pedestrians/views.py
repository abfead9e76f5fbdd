"""One picture of a person: from where, in what pose, in which place and light, and what of it can be seen."""

from __future__ import annotations

import random
from typing import Any

from ..scene import weighted
from .bags import IN_HAND
from .identities import Person, stream
from .places import PLACES

View = dict[str, Any]
LIGHTS = {"day": 0.5, "bright": 0.14, "warm": 0.12, "cool": 0.12, "dusk": 0.12}
IMAGES = {2: 0.2, 3: 0.6, 4: 0.2}  # pictures of one person


def views(seed: int, split: str, index: int, person: Person) -> list[View]:
    """Two to four views of a person, no two from the same side.

    >>> from .identities import sample
    >>> 2 <= len(views(0, "test", 1, sample(0, "test", 1))) <= 4
    True
    """
    rng = stream(seed, split, index, "views")
    count = weighted(rng, IMAGES)
    sides = ["front", "left", "right", "back"]
    rng.shuffle(sides)
    sides.sort(key=lambda side: side == "back" and rng.random() < 0.4)  # from behind a little less often
    places = rng.sample(sorted(PLACES), count)
    return [_view(rng, person, side, place) for side, place in zip(sides, places, strict=False)]


def _view(rng: random.Random, person: Person, side: str, place: str) -> View:
    action = "walking" if rng.random() < 0.6 else "standing"
    indoor = PLACES[place].indoor
    light = weighted(rng, LIGHTS)
    view: View = {
        "view": side,
        "action": action,
        "place": place,
        "light": "warm" if indoor and light == "dusk" else light,
        "arms": _arms(rng, person, side, action, indoor),
        "scale": round(rng.uniform(0.76, 0.87), 4),
        "x": round(rng.uniform(-0.05, 0.05), 4),
        "y": round(rng.uniform(0.925, 0.965), 4),
        "gain": round(rng.uniform(0.86, 1.1), 4),
        "contrast": round(rng.uniform(0.86, 1.12), 4),
        "cast": [round(rng.uniform(-0.04, 0.04), 4) for _ in range(3)],
        "blur": round(rng.uniform(0.2, 0.5), 3) if rng.random() < 0.35 else 0.0,
        "noise": round(rng.uniform(0.0, 4.0), 2) if rng.random() < 0.6 else 0.0,
        "draw_seed": rng.getrandbits(32),
    }
    return view


def item_arm(person: Person, side: str) -> int:
    """Which arm holds the small thing: the other one than that of a bag in the hand."""
    in_hand = bool(person["bag"]) and person["bag"]["name"] in IN_HAND
    return 0 if side in ("front", "back") or in_hand else 1


def _arms(rng: random.Random, person: Person, side: str, action: str, indoor: bool) -> list[str]:
    rest = {"down": 0.5, "swing": 0.3, "pocket": 0.14, "hip": 0.06 if action == "standing" else 0.0}
    if person["bag"] and person["bag"]["name"] == "backpack" and side != "back":
        rest["strap"] = 0.12
    arms = [weighted(rng, rest), weighted(rng, rest)]
    if arms == ["swing", "swing"] and side in ("left", "right"):
        arms[rng.randrange(2)] = "down"
    if person["bag"] and person["bag"]["name"] in IN_HAND:
        arms[1] = "carry"
        if person["bag"]["name"] == "suitcase" and side in ("left", "right"):
            arms[1] = "swing"
    if person["item"]:
        name = person["item"]["name"]
        phone = "ear" if side == "back" or rng.random() < 0.4 else "chest"
        how = {"phone": phone, "umbrella": "down" if indoor else "raised", "cup": "forward"}.get(name, "down")
        arms[item_arm(person, side)] = how
    return arms


def hidden(person: Person, view: View) -> frozenset[str]:
    """Fields of a person that this view does not show, so that no description of it may name them."""
    gone = set()
    if view["view"] == "back":
        gone |= {"glasses", "beard", "inner", "print"}
    if view["view"] in ("left", "right") and person["top"]["name"] not in ("jacket", "coat", "suit", "vest"):
        gone.add("inner")
    if person["top"]["name"] == "vest":
        gone.discard("inner")  # its sleeves show from every side
    return frozenset(gone)
