"""Who walks by: one person's lasting attributes, and the roster of a split in which no two are the same."""

from __future__ import annotations

import json
import random
from typing import Any

from ..scene import rng_for, weighted
from . import wardrobe as w

Person = dict[str, Any]
DOUBLE = 4  # every fourth person looks like the one before but for two or three attributes
_SCARF = {"coat": 0.34, "jacket": 0.16, "sweater": 0.12, "hoodie": 0.04}  # share that wears a scarf
PARTS = ("hair", "top", "lower", "shoes", "bag", "hat", "glasses", "scarf", "item", "build", "beard")


def stream(seed: int, split: str, index: int, purpose: str) -> random.Random:
    """The random stream of one person for one purpose."""
    return rng_for(seed, split, index, f"pedestrians/{purpose}")


def _coloured(rng: random.Random, name: str, table: dict[str, float], **more: Any) -> dict[str, Any]:
    return {"name": name, "colour": weighted(rng, table), **more}


def _other(rng: random.Random, colour: str) -> str:
    """A second colour that shows on the first: of stripes, checks, dots or a print."""
    dark = ("black", "blue", "red", "navy", "green")
    light = ("white", "white", "yellow", "light blue")
    return rng.choice([c for c in (dark if colour in w.LIGHT or colour == "gray" else light) if c != colour])


def _top(rng: random.Random, person: Person) -> dict[str, Any]:
    name = weighted(rng, w.WEARS[person["kind"]])
    garment = w.TOPS[name]
    top = _coloured(rng, name, garment.colours, pattern=weighted(rng, garment.patterns))
    if top["pattern"] != "plain":
        top["second"] = _other(rng, top["colour"])
    if name == "vest" or rng.random() < garment.opens:
        choice = {c: v for c, v in w.CLOTH.items() if c != top["colour"]}
        if name == "suit":
            choice = {"white": 0.6, "light blue": 0.3, "pink": 0.1}
        top["inner"] = weighted(rng, choice)
    return top


def _lower(rng: random.Random, person: Person) -> dict[str, Any] | None:
    top = person["top"]
    if top["name"] == "dress":
        return None
    if top["name"] == "suit":
        return {"name": "trousers", "colour": top["colour"], "pattern": "plain"}
    name = weighted(rng, w.LOWERS[person["kind"]])
    lower = _coloured(rng, name, w.LOWER_COLOURS[name], pattern="plain")
    if name == "skirt" and top["pattern"] == "plain" and rng.random() < 0.3:
        lower.update(
            pattern=rng.choice(("checked", "striped", "dotted")), second=_other(rng, lower["colour"])
        )
    return lower


def _hair(rng: random.Random, person: Person) -> dict[str, Any]:
    young = person["kind"] in ("boy", "girl")
    shades = {c: v for c, v in w.HAIR_COLOURS.items() if not young or c not in ("gray", "white")}
    style, colour = weighted(rng, w.STYLES[person["kind"]]), weighted(rng, shades)
    return {"style": style, "colour": "black" if style == "bald" else colour}


def _bag(rng: random.Random, person: Person) -> dict[str, Any] | None:
    name = weighted(rng, w.BAGS[person["kind"]])
    return _coloured(rng, name, w.BAG_CLOTH) if name else None


def _hat(rng: random.Random, person: Person) -> dict[str, Any] | None:
    if person["hair"]["style"] in ("bun", "curly") or rng.random() > 0.16:
        return None
    name = weighted(rng, w.HATS)
    return None if name == "sunhat" and person["kind"] == "boy" else _coloured(rng, name, w.CLOTH)


def _item(rng: random.Random, person: Person) -> dict[str, Any] | None:
    if rng.random() > 0.32:
        return None
    name = weighted(rng, w.ITEMS)
    return _coloured(rng, name, w.ITEM_CLOTH[name])


DRAW = {
    "build": lambda rng, p: weighted(rng, {"average": 0.72, "slim": 0.15, "heavy": 0.13}),
    "hair": _hair,
    "beard": lambda rng, p: p["kind"] == "man" and rng.random() < 0.2,
    "top": _top,
    "lower": _lower,
    "shoes": lambda rng, p: _coloured(rng, weighted(rng, w.SHOES[p["kind"]]), w.SHOE_CLOTH),
    "bag": _bag,
    "hat": _hat,
    "glasses": lambda rng, p: weighted(rng, {"": 0.78, "glasses": 0.13, "sunglasses": 0.09}),
    "scarf": lambda rng, p: (
        weighted(rng, w.CLOTH) if rng.random() < _SCARF.get(p["top"]["name"], 0.02) else ""
    ),
    "item": _item,
}


def _mend(person: Person, rng: random.Random) -> Person:
    """Keep parts in agreement: a dress has no trousers, a suit its own trousers and shoes."""
    if person["top"]["name"] == "suit":
        person["shoes"] = {"name": "shoes", "colour": person["shoes"]["colour"]}
        person["hat"] = None
    if person["top"]["name"] in ("dress", "suit") or person["lower"] is None:
        person["lower"] = _lower(rng, person)
    if person["hat"] and person["hair"]["style"] in ("bun", "curly"):
        person["hat"] = None
    return person


def _fresh(rng: random.Random) -> Person:
    person: Person = {"kind": weighted(rng, {"man": 0.45, "woman": 0.45, "boy": 0.05, "girl": 0.05})}
    person["skin"] = rng.randrange(6)
    person["side"] = rng.choice((1, -1))  # the side on which a bag is worn
    for part, draw in DRAW.items():
        person[part] = draw(rng, person)
    return _mend(person, rng)


def sample(seed: int, split: str, index: int, attempt: int = 0) -> Person:
    """Person `index` of a split before the roster is made distinct; every fourth is a near double.

    >>> sample(0, "train", 3)["kind"] == sample(0, "train", 2)["kind"]
    True
    """
    purpose = f"person/{attempt}" if attempt else "person"
    if index % DOUBLE != DOUBLE - 1:
        return _fresh(stream(seed, split, index, purpose))
    person = sample(seed, split, index - 1)
    rng = stream(seed, split, index, purpose)
    for part in rng.sample(("hair", "top", "lower", "shoes", "bag", "hat", "item"), rng.choice((2, 3))):
        person[part] = DRAW[part](rng, person)
    return _mend(person, rng)


def key(person: Person) -> str:
    """What two people must not share: every attribute that a description can name."""
    return json.dumps([person["kind"], *(person[part] for part in PARTS)], sort_keys=True)


def roster(seed: int, split: str, count: int) -> list[Person]:
    """The first `count` people of a split, no two with the same attributes.

    A person who equals an earlier one is drawn again, so the roster of a smaller count is the beginning of
    that of a larger one.

    >>> roster(0, "val", 5) == roster(0, "val", 9)[:5]
    True
    """
    seen: set[str] = set()
    people = []
    for index in range(count):
        attempt = 0
        person = sample(seed, split, index)
        while key(person) in seen:
            attempt += 1
            person = sample(seed, split, index, attempt)
        seen.add(key(person))
        people.append(person)
    return people
