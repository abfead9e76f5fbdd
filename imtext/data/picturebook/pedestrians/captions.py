"""Descriptions of a person: facts of a view in varied captions of 15 to 30 words together."""

from __future__ import annotations

import random

from ..scene import weighted
from ..words import pick
from . import words as lexicon
from .identities import Person
from .phrases import Phrases
from .views import View

SHORTEST, LONGEST = 15, 30
ATTEMPTS = 500  # two or three are usual
WEAR = ("top", "lower", "shoes", "hat", "scarf", "glasses")
HAVE = ("hair", "beard")
DOES = ("bag", "item", "action", "arm")
FINITE = {
    "carrying": "carries",
    "holding": "holds",
    "pulling": "pulls",
    "wearing": "wears",
    "walking": "walks",
} | {
    "standing": "stands",
    "looking": "looks",
    "talking": "talks",
    "using": "uses",
    "dragging": "drags",
    "waiting": "waits",
}


def joined(parts: list[str]) -> str:
    """A list in words.

    >>> joined(["a", "b", "c"]), joined(["a"])
    ('a, b and c', 'a')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def caption(text: str) -> str:
    """A text with a capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def does(phrase: str, rng: random.Random) -> str:
    """A predicate for what someone does.

    >>> does("with a bag in his hand", random.Random(0))
    'has a bag in his hand'
    """
    if phrase.startswith("with "):
        return "has " + phrase.removeprefix("with ")
    verb, _, rest = phrase.partition(" ")
    return f"{FINITE[verb]} {rest}" if verb in FINITE and rng.random() < 0.35 else f"is {phrase}"


class Describer:
    """Writes descriptions of one view."""

    def __init__(self, person: Person, view: View, rng: random.Random) -> None:
        self.person, self.view, self.rng = person, view, rng
        self.phrases = Phrases(person, view, rng)

    def describe(self) -> tuple[str, list[str]]:
        """One description and the facts that it names."""
        shares = self.phrases.facts()
        wanted = [name for name, share in shares.items() if self.rng.random() < share]
        for _ in range(ATTEMPTS):
            spare = [name for name in shares if name not in wanted]
            text = self._write(wanted) if wanted else ""
            length = len(text.split())
            if SHORTEST <= length <= LONGEST and len(wanted) > 1:
                return text, [name for name in shares if name in wanted]
            if length > LONGEST and len(wanted) > 2:
                wanted.remove(self.rng.choice([w for w in wanted if w != "top"]))
            elif spare and (length < SHORTEST or len(wanted) < 2):
                wanted.append(self.rng.choice(spare))
        raise RuntimeError(
            f"no description of {SHORTEST} to {LONGEST} words after {ATTEMPTS} attempts: {wanted}"
        )

    def _write(self, wanted: list[str]) -> str:
        """Captions that name the wanted facts."""
        rng = self.rng
        wear = [w for w in WEAR if w in wanted]
        rest = [w for w in (*HAVE, *DOES) if w in wanted]
        if rng.random() < 0.3:
            rng.shuffle(wear)
        rng.shuffle(rest)
        cut = weighted(rng, {2: 0.5, 3: 0.3, 1: 0.2})
        few = weighted(rng, {1: 0.5, 2: 0.2, 0: 0.3 if wear else 0.0})
        first = wear[:cut] + rest[:few]
        later = wear[cut:] + rest[few:]
        rng.shuffle(later)
        out = [caption(self._first(first))]
        self.worn = bool(wear[:cut])  # only then may a later caption say also
        while later:
            take = weighted(rng, {1: 0.3, 2: 0.4, 3: 0.3}) if len(later) > 1 else 1
            out.append(caption(self._more(later[:take])))
            later = later[take:]
        return " ".join(out)

    def _split(self, facts: list[str]) -> tuple[list[str], list[str], list[str]]:
        """Worn things, things one has and things one does, in words."""
        say = {name: getattr(self.phrases, name)() for name in facts}
        wear = [say[n] for n in facts if n in WEAR]
        have = [say[n] for n in facts if n in HAVE]
        act = [say[n] for n in sorted(facts, key=lambda n: n == "arm") if n in DOES]
        return wear, have, act

    def _first(self, facts: list[str]) -> str:
        """The opening caption."""
        rng = self.rng
        wear, have, act = self._split(facts)
        who = self.phrases.who()
        if have and (wear or act) and rng.random() < 0.8:
            who, have = f"{who} with {joined(have)}", []
        if not wear:
            return self._finite(who, wear, have, act)
        roll = rng.random()
        if roll < 0.14 and (act or have):
            lead = pick(rng, ("wearing", "dressed in", "in"))
            return f"{lead} {joined(wear)}, {self._finite(who, [], have, act)}"
        if roll < 0.34 and (act or have):
            link = pick(rng, ("in", "wearing", "dressed in", "who is wearing"))
            return self._finite(f"{who} {link} {joined(wear)}", [], have, act)
        if roll < 0.44 and not who.startswith("the ") and not have:
            opener = pick(rng, lexicon.OPENERS)
            return self._attached(
                f"{opener} {who} {pick(rng, ('wearing', 'in', 'dressed in'))} {joined(wear)}", act
            )
        if roll < 0.72 and act:
            verb = pick(rng, lexicon.WEAR)
            tail = f" and {joined(have)}" if have and verb == "has on" else ""
            have = [] if tail else have
            text = self._attached(f"{who} {verb} {joined(wear)}{tail}", act)
            return f"{text} and has {joined(have)}" if have and len(act) == 1 else text
        return self._finite(who, wear, have, act)

    def _attached(self, text: str, act: list[str]) -> str:
        """A caption with what is done hung on at its end."""
        rng = self.rng
        for k, phrase in enumerate(act):
            if phrase.startswith("with "):
                text += f" {phrase}"
            elif k == 0:
                text += f"{pick(rng, (',', ' while', ' and'))} {phrase}" if "wear" in text else f", {phrase}"
            else:
                text += f" and {phrase}"
        return text

    def _finite(self, who: str, wear: list[str], have: list[str], act: list[str]) -> str:
        """Subject and predicates."""
        rng = self.rng
        parts = []
        if wear:
            parts.append(f"{pick(rng, lexicon.WEAR)} {joined(wear)}")
        if have:
            parts.append(f"has {joined(have)}")
        tail = ""
        for phrase in act:
            if phrase.startswith("with ") and wear and not have and not tail and rng.random() < 0.5:
                tail = f" {phrase}"
            else:
                parts.append(does(phrase, rng))
        if len(parts) > 1 and rng.random() < 0.3:
            rng.shuffle(parts)
        return f"{who} {joined(parts)}{tail}"

    def _more(self, facts: list[str]) -> str:
        """A further caption, mostly about `he` or `she`."""
        rng = self.rng
        if len(facts) == 1 and rng.random() < 0.4:
            alone = self._alone(facts[0])
            if alone:
                return alone
        wear, have, act = self._split(facts)
        who = self.phrases.he if rng.random() < 0.82 else self.phrases.who(definite=True)
        if wear and act and rng.random() < 0.25:
            return f"wearing {joined(wear)}, {self._finite(who, [], have, act)}"
        if wear:
            verbs = [v for v in lexicon.WEAR_MORE if self.worn or "also" not in v]
            verb = pick(rng, verbs)
            parts = [f"{verb} {joined(wear)}"]
            if have:
                parts.append(f"has {joined(have)}")
            if rng.random() < 0.4:
                parts.reverse()
            return (
                self._attached(f"{who} {joined(parts)}", act)
                if rng.random() < 0.4
                else f"{who} {joined([*parts, *(does(a, rng) for a in act)])}"
            )
        return self._finite(who, wear, have, act)

    def _alone(self, fact: str) -> str:
        """A caption about one thing: its colour, or the hair."""
        rng, person, his = self.rng, self.person, self.phrases.his
        if fact == "hair":
            return self.phrases.hair_is()
        if fact in ("shoes", "lower", "bag", "hat") and not (
            fact == "lower" and person["lower"]["pattern"] != "plain"
        ):
            table = {"shoes": lexicon.SHOES, "lower": lexicon.LOWER, "bag": lexicon.BAG, "hat": lexicon.HAT}[
                fact
            ]
            name = pick(rng, table[person[fact]["name"]])
            if name.startswith("pair of "):
                name = name.removeprefix("pair of ")
            be = "are" if name in lexicon.PLURAL else "is"
            return f"{his} {name} {be} {self.phrases.colour(person[fact]['colour'])}"
        return ""
