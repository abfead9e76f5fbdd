"""Noun phrases and participles for what a view shows: one function of the facts each, no caption yet."""

from __future__ import annotations

import random

from .. import tail
from ..inflect import article
from ..words import pick
from . import words as lexicon
from .identities import Person
from .views import View, hidden, item_arm

TAIL = 1.5  # Zipf exponent of what says little


class Phrases:
    """Phrases about one person in one view; fields that the view hides are never named."""

    def __init__(self, person: Person, view: View, rng: random.Random) -> None:
        self.person, self.view, self.rng = person, view, rng
        self.hidden = hidden(person, view)
        self.he, self.his, self.him = lexicon.PRONOUN[person["kind"]]
        self.old = person["hair"]["colour"] in ("gray", "white") and person["hair"]["style"] != "bald"

    def fill(self, text: str, **words: str) -> str:
        """A pattern of the lexicon with the pronouns of this person."""
        return text.format(he=self.he, his=self.his, him=self.him, **words)

    def colour(self, name: str) -> str:
        """A word for a colour."""
        return pick(self.rng, lexicon.COLOUR[name])

    def _noun(self, name: str, adjectives: list[str], after: str = "") -> str:
        """A noun with adjectives and its article where it takes one."""
        if name.startswith("pair of "):
            words = " ".join(["a pair of", *adjectives, name.removeprefix("pair of ")])
        else:
            words = " ".join([*adjectives, name])
            if name not in lexicon.PLURAL:
                words = article(words)
        return f"{words} {after}".strip()

    def _style(self, share: float, pool: tuple[str, ...] = lexicon.STYLE) -> list[str]:
        return [pick(self.rng, pool, TAIL)] if self.rng.random() < share else []

    # -- what is worn ---------------------------------------------------------------------------------

    def garment(self, item: dict, names: tuple[str, ...], plain: bool = False) -> str:
        """A top or lower garment: colour and pattern, each left out at times."""
        rng, after = self.rng, ""
        colour = [self.colour(item["colour"])] if rng.random() < 0.94 else []
        adjectives = self._style(0.07)
        pattern = "plain" if plain else item["pattern"]
        if pattern == "plain" or rng.random() > 0.86:
            return self._noun(pick(rng, names), [*adjectives, *colour])
        second, roll = self.colour(item["second"]), rng.random()
        word = pick(rng, lexicon.PATTERN[pattern])
        if colour and (roll < 0.36 or pattern == "print"):
            after = self._put(pick(rng, lexicon.PATTERN_WITH[pattern]), second)
            return self._noun(pick(rng, names), [*adjectives, *colour], after)
        if colour and roll < 0.64:
            colour = [f"{colour[0]} and {second}"]
        mixed = [*colour, word] if rng.random() < 0.75 else [word, *colour]
        return self._noun(pick(rng, names), [*adjectives, *mixed])

    def top(self) -> str:
        """The upper garment, sometimes with what shows under it."""
        top, rng = self.person["top"], self.rng
        text = self.garment(
            top, lexicon.TOP[top["name"]], top["pattern"] == "print" and "print" in self.hidden
        )
        if "inner" not in top or "inner" in self.hidden or rng.random() > 0.62:
            return text
        sleeves = "long sleeved shirt" if top["name"] == "vest" else "shirt"
        under = article(f"{self.colour(top['inner'])} {pick(rng, (sleeves, 'shirt', sleeves))}")
        return f"{text} {pick(rng, ('over {u}', 'with {u} underneath', 'on top of {u}')).format(u=under)}"

    def lower(self) -> str:
        """Trousers, a skirt and the like."""
        lower = self.person["lower"]
        return self.garment(lower, lexicon.LOWER[lower["name"]])

    def shoes(self) -> str:
        """What is on the feet."""
        shoes = self.person["shoes"]
        colour = [self.colour(shoes["colour"])] if self.rng.random() < 0.93 else []
        return self._noun(
            pick(self.rng, lexicon.SHOES[shoes["name"]]), [*self._style(0.06, lexicon.SHOE_STYLE), *colour]
        )

    def hat(self) -> str:
        """A hat."""
        hat = self.person["hat"]
        colour = [self.colour(hat["colour"])] if self.rng.random() < 0.9 else []
        return self._noun(pick(self.rng, lexicon.HAT[hat["name"]]), colour)

    def scarf(self) -> str:
        """A scarf."""
        around = self.fill("around {his} neck") if self.rng.random() < 0.4 else ""
        return self._noun(pick(self.rng, lexicon.SCARF), [self.colour(self.person["scarf"])], around)

    def glasses(self) -> str:
        """Glasses or sunglasses."""
        return self._noun(pick(self.rng, lexicon.GLASSES[self.person["glasses"]]), [])

    # -- hair -----------------------------------------------------------------------------------------

    def hair(self) -> str:
        """Hair as something one has: `long brown hair`."""
        hair = self.person["hair"]
        colour = pick(self.rng, lexicon.HAIR_COLOUR[hair["colour"]])
        return self._put(pick(self.rng, lexicon.HAIR[hair["style"]], 1.0), colour)

    def hair_is(self) -> str:
        """A caption about the hair."""
        hair = self.person["hair"]
        if hair["style"] == "bald":
            return f"{self.he} is bald"
        colour = pick(self.rng, lexicon.HAIR_COLOUR[hair["colour"]])
        return f"{self.his} hair is {pick(self.rng, lexicon.HAIR_IS[hair['style']]).format(c=colour)}"

    def beard(self) -> str:
        """A beard."""
        colour = pick(self.rng, lexicon.HAIR_COLOUR[self.person["hair"]["colour"]])
        return self._put(pick(self.rng, lexicon.BEARD), colour)

    def _put(self, text: str, colour: str, **words: str) -> str:
        """A pattern of the lexicon with a colour, its article in agreement."""
        return self.fill(text.replace("a {c}", "{C}"), c=colour, C=article(colour), **words)

    # -- what is done ---------------------------------------------------------------------------------

    def bag(self) -> str:
        """A bag and how it is carried: a participle, or a phrase with `with`."""
        bag, rng = self.person["bag"], self.rng
        colour = [self.colour(bag["colour"])] if rng.random() < 0.93 else []
        named = self._noun(
            pick(rng, lexicon.BAG[bag["name"]]), [*self._style(0.1, lexicon.BAG_STYLE), *colour]
        )
        return self.fill(pick(rng, lexicon.BAG_DOES[bag["name"]], 0.8), b=named)

    def item(self) -> str:
        """What is held, and what is done with it."""
        item, rng = self.person["item"], self.rng
        how = self.view["arms"][item_arm(self.person, self.view["view"])]
        key = {"phone": how, "umbrella": "raised" if how == "raised" else "closed"}.get(
            item["name"], item["name"]
        )
        colour = self.colour(item["colour"])
        umbrella = pick(rng, lexicon.UMBRELLA)
        both = f"{colour} {umbrella}"
        text = pick(rng, lexicon.ITEM[key], 0.8)
        if "under {u}" in text and self.view["action"] != "walking":
            text = "standing under {u}"
        return self._put(text, colour, u=article(both), v=both)

    def action(self) -> str:
        """Walking or standing, where to, how and where."""
        rng, view = self.rng, self.view
        walking = view["action"] == "walking"
        parts = [pick(rng, lexicon.ACTION[view["action"]])]
        roll = rng.random()
        if roll < 0.3:
            ways = lexicon.WAYS if walking else lexicon.STANCES
            options = ways[view["view"]]
            parts.append(self.fill(pick(rng, options)))
        elif roll < 0.4 and walking:
            parts.append(pick(rng, tail.MANNER, 1.3))
        if rng.random() < 0.62 or len(parts) == 1:
            parts.append(self.place())
        if (
            rng.random() < 0.5
            and view["light"] in lexicon.LIGHT
            and not {"indoors", "inside"} & set(" ".join(parts).split())
        ):
            indoor = view["place"] in ("corridor", "station")
            parts += [] if indoor else [pick(rng, lexicon.LIGHT[view["light"]])]
        elif walking and rng.random() < 0.1:
            parts.append(pick(rng, lexicon.CLOSERS, 1.2))
        return " ".join(parts)

    def place(self) -> str:
        """Where the person is."""
        walking = self.view["action"] == "walking"
        options = [
            w for w in lexicon.PLACE[self.view["place"]] if walking or w.split()[0] not in lexicon.STILL
        ]
        return pick(self.rng, options, 0.8)

    def arm(self) -> str:
        """What a free arm does."""
        free = [a for a in self.view["arms"] if a in lexicon.ARM]
        text = pick(self.rng, lexicon.ARM[free[0]])
        return self.fill(text)

    # -- who ------------------------------------------------------------------------------------------

    def who(self, definite: bool = False) -> str:
        """The person: `a young woman`, `the man`."""
        rng, kind = self.rng, self.person["kind"]
        names = [n for n in lexicon.WHO[kind] if not (self.old and n == "girl")]
        name, adjectives = pick(rng, names, 1.0), []
        if not definite:
            if self.person["build"] != "average" and rng.random() < 0.45:
                adjectives.append(pick(rng, lexicon.AGE[self.person["build"]]))
            elif kind in ("man", "woman") and name != "girl" and rng.random() < (0.4 if self.old else 0.16):
                adjectives.append(pick(rng, lexicon.AGE["old" if self.old else "young"]))
            elif rng.random() < 0.05:
                pool = [a for a in lexicon.PERSON if kind in ("man", "woman") or a not in tail.GROWN]
                adjectives.append(pick(rng, pool, TAIL))
            self.name = name
        words = " ".join([*adjectives, self.name])
        return f"the {words}" if definite or rng.random() < 0.34 else article(words)

    def facts(self) -> dict[str, float]:
        """What can be said of this view, and the share of descriptions that say it."""
        person, gone = self.person, self.hidden
        shares = {"top": 0.97, "lower": 0.86, "shoes": 0.6, "hair": 0.56, "action": 0.38}
        shares |= {"bag": 0.85, "hat": 0.75, "scarf": 0.65, "item": 0.7, "glasses": 0.55, "beard": 0.4}
        if any(arm in lexicon.ARM for arm in self.view["arms"]):
            shares["arm"] = 0.22
        out = {}
        for name, share in shares.items():
            there = name in ("action", "arm") or bool(person[name])
            if name == "lower" and person["top"]["name"] == "suit":
                share = 0.4
            if there and name not in gone:
                out[name] = share
        return out
