"""Who walks by: a person's lasting attributes, the roster of a split, and what each picture shows."""

from __future__ import annotations

import json
import random
from typing import Any

from .scenes import rng_for, weighted
from .world import LIGHTS, SETTINGS
from .world import WARDROBE as w

Person = dict[str, Any]
View = dict[str, Any]
IN_HAND = ("handbag", "briefcase", "suitcase", "shopping bag")
DOUBLE = 4  # every fourth person looks like the one before but for two or three attributes
LIGHT = ("white", "yellow", "light blue", "beige", "pink", "turquoise", "orange")  # takes dark stripes
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
    return rng.choice([c for c in (dark if colour in LIGHT or colour == "gray" else light) if c != colour])


def _top(rng: random.Random, person: Person) -> dict[str, Any]:
    name = weighted(rng, w.wears[person["kind"]])
    garment = w.tops[name]
    top = _coloured(rng, name, garment.colours, pattern=weighted(rng, garment.patterns))
    if top["pattern"] != "plain":
        top["second"] = _other(rng, top["colour"])
    if name == "vest" or rng.random() < garment.opens:
        choice = {c: v for c, v in w.colours["cloth"].items() if c != top["colour"]}
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
    name = weighted(rng, w.lowers[person["kind"]])
    lower = _coloured(rng, name, w.lower_colours[name], pattern="plain")
    if name == "skirt" and top["pattern"] == "plain" and rng.random() < 0.3:
        lower.update(
            pattern=rng.choice(("checked", "striped", "dotted")), second=_other(rng, lower["colour"])
        )
    return lower


def _hair(rng: random.Random, person: Person) -> dict[str, Any]:
    young = person["kind"] in ("boy", "girl")
    shades = {c: v for c, v in w.hair_colours.items() if not young or c not in ("gray", "white")}
    style, colour = weighted(rng, w.hair[person["kind"]]), weighted(rng, shades)
    return {"style": style, "colour": "black" if style == "bald" else colour}


def _bag(rng: random.Random, person: Person) -> dict[str, Any] | None:
    name = weighted(rng, w.bags[person["kind"]])
    return _coloured(rng, name, w.colours["bags"]) if name else None


def _hat(rng: random.Random, person: Person) -> dict[str, Any] | None:
    if person["hair"]["style"] in ("bun", "curly") or rng.random() > 0.16:
        return None
    name = weighted(rng, w.hats)
    return None if name == "sunhat" and person["kind"] == "boy" else _coloured(rng, name, w.colours["cloth"])


def _item(rng: random.Random, person: Person) -> dict[str, Any] | None:
    if rng.random() > 0.32:
        return None
    name = weighted(rng, w.items)
    return _coloured(rng, name, w.item_colours[name])


DRAW = {
    "build": lambda rng, p: weighted(rng, {"average": 0.72, "slim": 0.15, "heavy": 0.13}),
    "hair": _hair,
    "beard": lambda rng, p: p["kind"] == "man" and rng.random() < 0.2,
    "top": _top,
    "lower": _lower,
    "shoes": lambda rng, p: _coloured(rng, weighted(rng, w.shoes[p["kind"]]), w.colours["shoes"]),
    "bag": _bag,
    "hat": _hat,
    "glasses": lambda rng, p: weighted(rng, {"": 0.78, "glasses": 0.13, "sunglasses": 0.09}),
    "scarf": lambda rng, p: (
        weighted(rng, w.colours["cloth"]) if rng.random() < w.scarves.get(p["top"]["name"], 0.02) else ""
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


IMAGES = {2: 0.2, 3: 0.6, 4: 0.2}  # pictures of one person


def views(seed: int, split: str, index: int, person: Person) -> list[View]:
    """Two to four views of a person, no two from the same side.

    >>> 2 <= len(views(0, "test", 1, sample(0, "test", 1))) <= 4
    True
    """
    rng = stream(seed, split, index, "views")
    count = weighted(rng, IMAGES)
    sides = ["front", "left", "right", "back"]
    rng.shuffle(sides)
    sides.sort(key=lambda side: side == "back" and rng.random() < 0.4)  # from behind a little less often
    places = rng.sample(sorted(SETTINGS), count)
    return [_view(rng, person, side, place) for side, place in zip(sides, places, strict=False)]


def _view(rng: random.Random, person: Person, side: str, place: str) -> View:
    action = "walking" if rng.random() < 0.6 else "standing"
    indoor = SETTINGS[place].indoor
    sky = rng.choice(SETTINGS[place].skies or ("indoor",))
    light = weighted(rng, {name: one["share"] for name, one in LIGHTS.items()})
    view: View = {
        "view": side,
        "action": action,
        "place": place,
        "sky": sky,
        "light": "warm" if sky in ("indoor", "starry") and light == "dusk" else light,
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
