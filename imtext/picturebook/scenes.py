"""Sampling a scene: who and what is there, what they do, and where each thing stands.

A scene is a plain dictionary that goes to JSON as it is. Everything in it is a function of
``(seed, split, index)``; the language and the drawing read the scene and add nothing to it but boxes.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from .world import CLOTH, KINDS, PEOPLE, SETTINGS, WARDROBE

Scene = dict[str, Any]
Thing = dict[str, Any]

DEEDS = {
    "throw": ("throwing", "throwing"),
    "kick": ("kicking", "kicking"),
    "hold": ("holding", "holding"),
    "fly": ("flying", "flying"),
    "ride": ("riding", "riding"),
    "walk": ("walking", "leading"),
    "sit": ("sitting", "on"),
    "play": ("playing", "playing"),
    "read": ("reading", "reading"),
    "carry": ("carrying", "carrying"),
    "lift": ("lifting", "lifting"),
}
BACK = 0.66  # size of what stands behind, against what stands in front
SMALLEST = 0.37  # an adult in front takes at least this share of the picture
SIZE_FACTOR = {"small": 0.70, "medium": 1.0, "big": 1.32}


def rng_for(seed: int, split: str, index: int, purpose: str) -> random.Random:
    """A random stream that depends on its arguments alone, the same in every process.

    >>> rng_for(0, "test", 3, "scene").random() == rng_for(0, "test", 3, "scene").random()
    True
    """
    digest = hashlib.sha256(f"picturebook/{seed}/{split}/{index}/{purpose}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def weighted(rng: random.Random, table: dict[Any, float]) -> Any:
    """One key of `table`, drawn in proportion to its value."""
    at = rng.random() * sum(table.values())
    for key, weight in table.items():
        at -= weight
        if at < 0:
            return key
    return key


class Sampler:
    """Builds one scene; holds the next free chain id and the random stream."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.next_id = 2  # 1 is the setting itself
        self.things: list[Thing] = []
        self.relations: list[dict[str, Any]] = []

    def new_id(self) -> int:
        """The next chain id of this scene."""
        self.next_id += 1
        return self.next_id - 1

    def thing(self, name: str, most: int = 9, action: str | None = None, plain: bool = False) -> Thing:
        """Add one thing of kind `name` with sampled attributes, at most `most` of it."""
        rng, kind = self.rng, KINDS[name]
        count = min(most, kind.most, weighted(rng, {1: 0.62, 2: 0.2, 3: 0.12, 4: 0.06}))
        thing: Thing = {"id": self.new_id(), "kind": name, "type": kind.type, "count": count}
        if kind.colours:
            thing["colour"] = rng.choice(kind.colours)
        if kind.sizes and not plain:
            thing["size"] = weighted(rng, {"medium": 0.62, "small": 0.19, "big": 0.19})
        if kind.patterns:
            thing["pattern"] = weighted(rng, {kind.patterns[0]: 0.75, kind.patterns[1]: 0.25})
        thing["action"] = action or rng.choice(kind.actions)
        if name in PEOPLE:
            self.dress(thing)
        thing["facing"] = rng.choice((1, -1))
        thing["seed"] = rng.getrandbits(32)
        self.things.append(thing)
        return thing

    def dress(self, person: Thing) -> None:
        """Clothes, hair and extras of a person; members of a group wear the same."""
        rng, name = self.rng, person["kind"]
        top = rng.choice(WARDROBE.scenes[name])
        colour = rng.choice(CLOTH)
        pattern = "striped" if "striped" in WARDROBE.tops[top].patterns and rng.random() < 0.2 else "plain"
        clothes = [{"id": self.new_id(), "name": top, "colour": colour, "pattern": pattern}]
        if top != "dress":
            lower = weighted(
                rng,
                {"trousers": 0.5, "jeans": 0.22, "shorts": 0.28}
                if name in ("man", "boy")
                else {"trousers": 0.35, "skirt": 0.4, "shorts": 0.25},
            )
            shades = ("blue",) if lower == "jeans" else [c for c in CLOTH if c != colour]
            clothes.append(
                {"id": self.new_id(), "name": lower, "colour": rng.choice(shades), "pattern": "plain"}
            )
        if rng.random() < 0.3:
            clothes.append(
                {
                    "id": self.new_id(),
                    "name": rng.choice(WARDROBE.scenes["hats"]),
                    "colour": rng.choice(CLOTH),
                    "pattern": "plain",
                }
            )
        person["clothes"] = clothes
        if person["count"] == 1:
            long = rng.random() < (0.7 if name in ("woman", "girl") else 0.06)
            shades = {
                "black": 0.28,
                "brown": 0.32,
                "blond": 0.24,
                "red": 0.12,
                "gray": 0.06 if name in ("man", "woman") else 0.0,
            }
            person["hair"] = {
                "id": self.new_id(),
                "colour": weighted(rng, shades),
                "length": "long" if long else "short",
            }
            if rng.random() < 0.22:
                allowed = WARDROBE.scenes["extras"][: None if name == "man" else 3]
                person["extras"] = [
                    {"id": self.new_id(), "name": rng.choice(allowed), "colour": rng.choice(CLOTH)}
                ]

    def relate(self, subject: Thing, predicate: str, target: Thing) -> None:
        """Record `subject predicate target`."""
        self.relations.append({"subject": subject["id"], "predicate": predicate, "object": target["id"]})

    def person(self, deeds: tuple[str, ...]) -> list[Thing]:
        """A unit led by a person, alone, in a group or doing something with a thing."""
        rng = self.rng
        name = rng.choice(PEOPLE)
        if rng.random() < 0.36:
            return [self.thing(name)]
        verb, item_name = rng.choice(deeds).split(":")
        action, predicate = DEEDS[verb]
        person = self.thing(name, most=1, action=action)
        item = self.thing(item_name, most=3 if verb == "hold" and item_name == "balloon" else 1, plain=True)
        if verb == "walk":
            item["action"] = "walking"
        self.relate(person, predicate, item)
        return [person, item]

    def animal(self, names: tuple[str, ...], seats: list[str]) -> list[Thing]:
        """A unit led by an animal: at large, on a seat, or with something in its mouth."""
        rng = self.rng
        name = rng.choice(names)
        roll = rng.random()
        if name in ("cat", "dog", "bird") and seats and roll < 0.2:
            seat = rng.choice(seats)
            action = "standing" if name == "bird" else rng.choice(("sitting", "lying"))
            pet = self.thing(name, most=1 if seat in ("box", "chair") else 2, action=action, plain=True)
            furniture = self.thing(seat, most=1, plain=True)
            self.relate(pet, "on", furniture)
            return [pet, furniture]
        if name == "dog" and roll > 0.8:
            dog = self.thing("dog", most=1, action=rng.choice(("standing", "running", "jumping")))
            toy = self.thing(rng.choice(("ball", "frisbee", "stick")), most=1, plain=True)
            self.relate(dog, "carrying", toy)
            return [dog, toy]
        return [self.thing(name)]

    def unit(self, setting: str, lead: bool) -> list[Thing]:
        """One unit: things that belong together and stand in one place."""
        place = SETTINGS[setting]
        weights = (
            {"person": 0.52, "animal": 0.28, "vehicle": 0.12, "object": 0.08}
            if lead
            else {"person": 0.2, "animal": 0.24, "vehicle": 0.12, "object": 0.44}
        )
        if not place.vehicles:
            weights["vehicle"] = 0.0
        what = weighted(self.rng, weights)
        if what == "person":
            return self.person(place.deeds)
        if what == "animal":
            return self.animal(place.animals, [o for o in place.objects if KINDS[o].seat])
        return [self.thing(self.rng.choice(place.vehicles if what == "vehicle" else place.objects))]


def sample_scene(seed: int, split: str, index: int) -> Scene:
    """The scene of image `index` of `split`, laid out, without boxes (the drawing adds those).

    >>> a, b = sample_scene(0, "train", 5), sample_scene(0, "train", 5)
    >>> a == b and a["setting"] in SETTINGS
    True
    """
    rng = rng_for(seed, split, index, "scene")
    sampler = Sampler(rng)
    setting = rng.choice(tuple(SETTINGS))
    place = SETTINGS[setting]
    scene: Scene = {
        "id": f"{split}_{index:05d}",
        "setting": setting,
        "indoor": place.indoor,
        "sky": rng.choice(place.skies) if place.skies else "indoor",
    }
    features = rng.sample(place.features, weighted(rng, {0: 0.25, 1: 0.5, 2: 0.25}))
    scene["features"] = [{"id": sampler.new_id(), "name": name} for name in features]
    units, used = [], set()
    for k in range(weighted(rng, {1: 0.32, 2: 0.55, 3: 0.13})):
        things = sampler.unit(setting, lead=k == 0)
        if used & {t["kind"] for t in things}:  # two chains of one kind would make captions ambiguous
            sampler.things = [t for t in sampler.things if all(t is not u for u in things)]
            gone = {t["id"] for t in things}
            sampler.relations = [r for r in sampler.relations if r["subject"] not in gone]
            continue
        used |= {t["kind"] for t in things}
        plane = "front" if k == 0 or rng.random() < 0.62 else "back"
        if things[0]["kind"] == "boat":
            plane = "back"
        units.append({"things": [t["id"] for t in things], "plane": plane})
    scene["lead"] = units[0]["things"][0]
    rng.shuffle(units)
    scene.update(
        units=units,
        things=sampler.things,
        deeds=sampler.relations,
        layout_seed=rng.getrandbits(32),
        draw_seed=rng.getrandbits(32),
    )
    layout(scene)
    _thin_out(scene)
    _place_features(scene, rng)
    return scene


def _thin_out(scene: Scene) -> None:
    """Take away units beside the lead until things are large enough to be seen."""
    while len(scene["units"]) > 1 and scene["units"][0]["scale"] < SMALLEST * (
        1.0 if scene["units"][0]["plane"] == "front" else BACK
    ):
        others = [u for u in scene["units"] if scene["lead"] not in u["things"]]
        gone = max(others, key=lambda u: u["width"])
        scene["units"].remove(gone)
        scene["things"] = [t for t in scene["things"] if t["id"] not in gone["things"]]
        scene["deeds"] = [d for d in scene["deeds"] if d["subject"] not in gone["things"]]
        layout(scene)


def _place_features(scene: Scene, rng: random.Random) -> None:
    """Put each nameable feature where the things leave most room; twins keep these places."""
    taken = [u["x"] for u in scene["units"]]
    for feature in scene["features"]:
        spots = [rng.uniform(0.12, 0.88) for _ in range(7)]
        feature["x"] = round(max(spots, key=lambda s: min([abs(s - t) for t in taken] + [0.5])), 4)
        taken.append(feature["x"])


def thing_by_id(scene: Scene, number: int) -> Thing:
    """The thing with chain id `number`."""
    return next(t for t in scene["things"] if t["id"] == number)


def extent(thing: Thing, partner: Thing | None, predicate: str | None) -> tuple[float, float]:
    """Width and height of a unit in adult heights, including what is held or ridden."""
    kind = KINDS[thing["kind"]]
    factor = SIZE_FACTOR[thing.get("size", "medium")]
    n = thing["count"]
    # How far members of a group stand apart; three or more animals stand in two rows.
    share = {"people": 0.66, "animals": 0.8 if n == 2 else 0.62}.get(thing["type"], 0.86)
    width = kind.width * factor * (1 + share * (n - 1) * (0.9 if n == 4 else 1.0))
    height = kind.height * factor
    if thing["type"] in ("people", "animals"):
        stretch = {"lying": 1.15, "running": 1.15, "jumping": 1.15, "dancing": 1.2}
        if thing["type"] == "people" and thing["action"] == "sitting" and partner is None:
            width, height = width * 1.6, height * 0.66
        width *= stretch.get(thing["action"], 1.0)
    if partner is None:
        return width, height + (0.3 if thing["action"] in ("floating", "flying") else 0.0)
    other = KINDS[partner["kind"]]
    if predicate == "riding":
        tall = {"horse": 1.5, "bicycle": 1.12, "sled": 0.72}.get(partner["kind"], 1.1)
        return max(width, other.width * (1.12 if partner["action"] == "running" else 1.0)), tall * max(
            kind.height, 0.85
        )
    if predicate == "leading":
        return width + other.width + 0.25, height
    if predicate == "on":
        return max(width, other.width), other.seat + height * (
            0.8 if thing["type"] == "people" else 1
        )
    if predicate == "flying":
        return 0.95, 1.5
    if predicate in ("throwing", "kicking"):
        return width + 0.42, height + 0.1
    if predicate == "lifting":
        return max(width, other.width), height * 1.3
    if predicate == "holding" and partner["kind"] in ("balloon", "umbrella", "flag"):
        return 0.95 if partner["kind"] != "balloon" else 0.8, height * 1.42
    if predicate == "carrying" and thing["kind"] == "dog":
        return width, height
    return width + 0.4, height


def layout(scene: Scene) -> None:
    """Place every unit: picture units, x to the right and y down, both in 0..1; adds `spatial` relations."""
    rng = random.Random(scene["layout_seed"])
    horizon = SETTINGS[scene["setting"]].horizon
    adult = rng.uniform(0.54, 0.64)
    deed = {d["subject"]: d for d in scene["deeds"]}
    sizes = []
    for unit in scene["units"]:
        lead = thing_by_id(scene, unit["things"][0])
        partner = thing_by_id(scene, unit["things"][1]) if len(unit["things"]) > 1 else None
        width, height = extent(lead, partner, deed[lead["id"]]["predicate"] if partner else None)
        sizes.append((width, height, 1.0 if unit["plane"] == "front" else BACK))
    small = max(h * s for _, h, s in sizes)
    adult *= min(2.5, max(1.0, 0.72 / small))  # a lone small thing comes closer
    adult = min([adult] + [0.86 / (h * s) for _, h, s in sizes])
    gap = -0.015
    adult = min(adult, (0.96 - gap * (len(sizes) - 1)) / sum(w * s for w, _, s in sizes))
    free = 0.96 - sum(w * s for w, _, s in sizes) * adult - gap * (len(sizes) - 1)
    cuts = sorted(rng.random() for _ in sizes)
    left, before = 0.02, 0.0
    for unit, (width, height, scale), cut in zip(scene["units"], sizes, cuts, strict=True):
        base = rng.uniform(0.87, 0.94)
        if thing_by_id(scene, unit["things"][0])["kind"] == "boat":
            base = horizon + rng.uniform(0.12, 0.17)
        elif scale < 1:
            base = horizon + (base - horizon) * 0.5
        left += free * (cut - before)
        before = cut
        unit.update(
            x=round(left + width * scale * adult / 2, 4),
            y=round(base, 4),
            scale=round(adult * scale, 4),
            width=round(width * scale * adult, 4),
            height=round(height * scale * adult, 4),
        )
        left += width * scale * adult + gap
    scene["spatial"] = _spatial(scene["units"])


def _spatial(units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Relations between the leads of the units: left of, next to, behind, in front of."""
    found = []
    for i, a in enumerate(units):
        for b in units[i + 1 :]:
            first, second = a["things"][0], b["things"][0]
            found.append({"subject": first, "predicate": "left of", "object": second})
            if a["plane"] != b["plane"]:
                if a["plane"] == "front":
                    first, second = second, first
                found.append({"subject": first, "predicate": "behind", "object": second})
            elif (b["x"] - b["width"] / 2) - (a["x"] + a["width"] / 2) < 0.2:
                found.append({"subject": first, "predicate": "next to", "object": second})
    return found
