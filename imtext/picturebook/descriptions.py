"""Descriptions of a person: what a view shows, in noun phrases and participles, in 15 to 30 words."""

from __future__ import annotations

import random

from .captions import Speaker
from .persons import Person, View, hidden, item_arm, stream
from .scenes import weighted
from .words import PERSON_WORDS as lexicon
from .words import WORDS, article, coloured, gerund, noun_phrase, pick

SHORTEST, LONGEST = 15, 30
ATTEMPTS = 500  # two or three are usual
WEAR = ("top", "lower", "shoes", "hat", "scarf", "glasses")
HAVE = ("hair", "beard")
DOES = ("bag", "item", "action", "arm")
PERSON = [word for word in WORDS.tail["person"] if word not in lexicon.unsaid]
CAPTIONS = 2  # of one picture


def describe_person(
    seed: int, split: str, index: int, number: int, person: Person, view: View
) -> list[tuple[str, list[str]]]:
    """The two descriptions of picture ``number`` of a person, each with the facts that it names."""
    describer = Describer(person, view, stream(seed, split, index, f"words/{number}"))
    said: dict[str, list[str]] = {}
    while len(said) < CAPTIONS:
        said.update((describer.describe(),))
    return list(said.items())


class Phrases(Speaker):
    """Phrases about one person in one view; fields that the view hides are never named."""

    def __init__(self, person: Person, view: View, rng: random.Random) -> None:
        super().__init__({"setting": view["place"], "sky": view["sky"], "features": ()}, rng)
        self.person, self.view = person, view
        self.hidden = hidden(person, view)
        self.he, self.his, self.him = lexicon.pronoun[person["kind"]]
        self.old = person["hair"]["colour"] in ("gray", "white") and person["hair"]["style"] != "bald"

    def fill(self, text: str, **words: str) -> str:
        """A pattern of the lexicon with the pronouns of this person."""
        return text.format(he=self.he, his=self.his, him=self.him, **words)

    # -- what is worn ---------------------------------------------------------------------------------

    def top(self) -> str:
        """The upper garment, sometimes with what shows under it."""
        top, rng = self.person["top"], self.rng
        if top["pattern"] == "print" and "print" in self.hidden:
            top = {**top, "pattern": "plain"}
        text, _ = self.worn(top, self.tail(lexicon.style, 0.07))
        if "inner" not in top or "inner" in self.hidden or rng.random() > 0.62:
            return text
        sleeves = "long sleeved shirt" if top["name"] == "vest" else "shirt"
        name = pick(rng, (sleeves, "shirt", sleeves))
        under = noun_phrase(name, [pick(rng, WORDS.colour[top["inner"]])])
        return f"{text} {pick(rng, ('over {u}', 'with {u} underneath', 'on top of {u}')).format(u=under)}"

    def lower(self) -> str:
        """Trousers, a skirt and the like."""
        return self.worn(self.person["lower"], self.tail(lexicon.style, 0.07))[0]

    def shoes(self) -> str:
        """What is on the feet."""
        return self.worn(self.person["shoes"], self.tail(lexicon.shoe_style, 0.06))[0]

    def hat(self) -> str:
        """A hat."""
        return self.worn(self.person["hat"])[0]

    def scarf(self) -> str:
        """A scarf."""
        around = self.fill(" around {his} neck") if self.rng.random() < 0.4 else ""
        return self.worn({"name": "scarf", "colour": self.person["scarf"]})[0] + around

    def glasses(self) -> str:
        """Glasses or sunglasses."""
        return self.worn({"name": self.person["glasses"]})[0]

    # -- hair -----------------------------------------------------------------------------------------

    def hair(self) -> str:
        """Hair as something one has: `long brown hair`."""
        hair = self.person["hair"]
        colour = pick(self.rng, WORDS.hair_colour[hair["colour"]])
        return self.fill(coloured(pick(self.rng, lexicon.hair[hair["style"]], 1.0), colour))

    def hair_is(self) -> str:
        """A caption about the hair."""
        hair = self.person["hair"]
        if hair["style"] == "bald":
            return f"{self.he} is bald"
        colour = pick(self.rng, WORDS.hair_colour[hair["colour"]])
        return f"{self.his} hair is {pick(self.rng, lexicon.hair_is[hair['style']]).format(c=colour)}"

    def beard(self) -> str:
        """A beard."""
        colour = pick(self.rng, WORDS.hair_colour[self.person["hair"]["colour"]])
        return coloured(pick(self.rng, lexicon.beard), colour)

    # -- what is done ---------------------------------------------------------------------------------

    def bag(self) -> str:
        """A bag and how it is carried: a participle, or a phrase with `with`."""
        bag = self.person["bag"]
        named, _ = self.worn(bag, self.tail(lexicon.bag_style, 0.1))
        return self.fill(pick(self.rng, lexicon.bag_does[bag["name"]], 0.8), b=named)

    def item(self) -> str:
        """What is held, and what is done with it."""
        item, rng = self.person["item"], self.rng
        how = self.view["arms"][item_arm(self.person, self.view["view"])]
        key = {"phone": how, "umbrella": "raised" if how == "raised" else "closed"}.get(
            item["name"], item["name"]
        )
        colour = pick(rng, WORDS.colour[item["colour"]])
        both = f"{colour} {pick(rng, lexicon.umbrella)}"
        text = pick(rng, lexicon.item[key], 0.8)
        if "under {u}" in text and self.view["action"] != "walking":
            text = "standing under {u}"
        return self.fill(coloured(text, colour), u=article(both), v=both)

    def action(self) -> str:
        """Walking or standing, where to, how, where and when."""
        rng, view = self.rng, self.view
        walking = view["action"] == "walking"
        parts = [gerund(pick(rng, WORDS.verbs[view["action"]]))]
        roll = rng.random()
        if roll < 0.3:
            ways = lexicon.ways if walking else lexicon.stances
            parts.append(self.fill(pick(rng, ways[view["view"]])))
        elif roll < 0.4 and walking:
            parts.append(pick(rng, WORDS.tail["manner"], 1.3))
        where = self.place(0.62 if len(parts) > 1 else 1.0)
        return " ".join([*parts, *(piece.text for piece in (*where, *self.when(0.3, where)))])

    def arm(self) -> str:
        """What a free arm does."""
        free = [a for a in self.view["arms"] if a in lexicon.arm]
        text = pick(self.rng, lexicon.arm[free[0]])
        return self.fill(text)

    # -- who ------------------------------------------------------------------------------------------

    def who(self, definite: bool = False) -> str:
        """The person: `a young woman`, `the man`."""
        rng, kind = self.rng, self.person["kind"]
        name, adjectives = pick(rng, WORDS.names[kind], 1.0), []
        if not definite:
            if self.person["build"] != "average" and rng.random() < 0.45:
                adjectives.append(pick(rng, lexicon.age[self.person["build"]]))
            elif kind in ("man", "woman") and rng.random() < (0.4 if self.old else 0.16):
                adjectives.append(pick(rng, lexicon.age["old" if self.old else "young"]))
            elif rng.random() < 0.05:
                pool = [a for a in PERSON if kind in ("man", "woman") or a not in WORDS.tail["grown"]]
                adjectives += self.tail(pool, 1.0)
            self.name = name
        return noun_phrase(self.name, adjectives, "the" if definite or rng.random() < 0.34 else "a")

    def facts(self) -> dict[str, float]:
        """What can be said of this view, and the share of descriptions that say it."""
        person, gone = self.person, self.hidden
        shares = {"top": 0.97, "lower": 0.86, "shoes": 0.6, "hair": 0.56, "action": 0.38}
        shares |= {"bag": 0.85, "hat": 0.75, "scarf": 0.65, "item": 0.7, "glasses": 0.55, "beard": 0.4}
        if any(arm in lexicon.arm for arm in self.view["arms"]):
            shares["arm"] = 0.22
        out = {}
        for name, share in shares.items():
            there = name in ("action", "arm") or bool(person[name])
            if name == "lower" and person["top"]["name"] == "suit":
                share = 0.4
            if there and name not in gone:
                out[name] = share
        return out


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
    if verb in lexicon.finite and rng.random() < 0.35:
        return f"{lexicon.finite[verb][0]} {rest}"
    return f"is {phrase}"


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
            opener = pick(rng, WORDS.tail["openers"], 1.4)
            return self._attached(
                f"{opener} {who} {pick(rng, ('wearing', 'in', 'dressed in'))} {joined(wear)}", act
            )
        if roll < 0.72 and act:
            verb = pick(rng, lexicon.wear)
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
            parts.append(f"{pick(rng, lexicon.wear)} {joined(wear)}")
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
            verbs = [v for v in lexicon.wear_more if self.worn or "also" not in v]
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
            name = pick(rng, WORDS.clothes[person[fact]["name"]]).removeprefix("pair of ")
            be = "are" if name in WORDS.plural else "is"
            return f"{his} {name} {be} {pick(rng, WORDS.colour[person[fact]['colour']])}"
        return ""
