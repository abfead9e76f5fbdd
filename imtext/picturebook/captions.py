"""Five captions of a scene, from a grammar; every noun phrase carries the chain id of what it names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from . import senses
from .pairs import scene_of
from .pieces import Piece, Pieces, Statement, Values
from .scenes import Scene, Thing, rng_for, thing_by_id, weighted
from .words import WORDS as lexicon
from .words import coloured, conjugate, noun_phrase, pick, plural
from .world import KINDS

RARE = 1.7  # Zipf exponent of the long tail
SETTING_CHAIN = 1
SHORTEST, LONGEST = 4, 25
SPLITS = ("train", "val", "test")
COLOURED = {"jeans": 0.5, "glasses": 0.0, "sunglasses": 0.0, "beard": 0.0}  # share that names the colour
OUT, IN = Values(("outdoors",)), Values(("indoors",))


def describe(seed: int, split: str, index: int) -> tuple[Scene, list[Pieces]]:
    """The scene of an image and its five captions."""
    scene, difference = scene_of(seed, split, index)
    return scene, Writer(scene, rng_for(seed, split, index, "words"), difference).captions()


class Speaker:
    """What captions of scenes and of pedestrians have in common: what is worn, where and when."""

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self.scene, self.rng = scene, rng

    def tail(self, options: Sequence[str], share: float) -> list[str]:
        """Now and then a word that says little."""
        return [pick(self.rng, options, RARE)] if self.rng.random() < share else []

    def worn(
        self, item: dict[str, Any], adjectives: Sequence[str] = (), many: bool = False
    ) -> tuple[str, list[Statement]]:
        """A noun phrase for what a person, or each of several, wears or carries; and what it says."""
        rng, pattern, after = self.rng, item.get("pattern", "plain"), ""
        name = pick(rng, lexicon.clothes[item["name"]])
        if many:
            name = name.removeprefix("pair of ")
            name = name if name in lexicon.plural else plural(name)
        meant = senses.GARMENTS[name.removeprefix("pair of ")]
        says, colours, patterns = [Statement("worn", meant)], [], []
        if rng.random() < COLOURED.get(item["name"], 0.93):
            colours = [pick(rng, lexicon.colour[item["colour"]])]
            says.append(Statement("worn colour", senses.COLOURS[colours[0]], item=meant))
        if pattern != "plain" and rng.random() < 0.84:
            patterns = [pick(rng, lexicon.pattern[pattern])]
            says.append(Statement("worn pattern", senses.PATTERNS[patterns[0]], item=meant))
        if colours and patterns and "second" in item:
            second, roll = pick(rng, lexicon.colour[item["second"]]), rng.random()
            if roll < 0.36 or pattern == "print":
                after = " " + coloured(pick(rng, lexicon.pattern_with[pattern]), second)
                patterns = []
            elif roll < 0.64:
                colours = [f"{colours[0]} and {second}"]
        order = (*colours, *patterns) if rng.random() < 0.7 else (*patterns, *colours)
        return noun_phrase(name, [*adjectives, *order], "" if many else "a") + after, says

    def place(self, share: float) -> Pieces:
        """Where: the setting, or a feature of it."""
        rng = self.rng
        if rng.random() >= share:
            return []
        if self.scene["features"] and rng.random() < 0.24:
            return self._feature()
        entry = pick(rng, lexicon.places[self.scene["setting"]], 1.0)
        link, bar, noun = entry.partition("|")
        if not bar:  # "indoors" is said of every room
            sky = entry in senses.SKIES
            says = Statement("sky", senses.SKIES[entry]) if sky else Statement("place", senses.PLACES[entry])
            return [Piece(entry, says=(says,))]
        adjectives = self.tail(lexicon.tail["place"], 0.14)
        loose = adjectives and noun.split()[-1] in lexicon.loose
        settings = senses.PLACES[noun] & ({"night"} if "night" in link else senses.PLACES[noun])
        text = noun_phrase(noun, adjectives, "a" if loose and rng.random() < 0.6 else "the")
        return [Piece(link), Piece(text, SETTING_CHAIN, "scene", (Statement("place", settings),))]

    def _feature(self) -> Pieces:
        feature = self.rng.choice(self.scene["features"])
        name = pick(self.rng, lexicon.features[feature["name"]])
        before = "the" if self.rng.random() < 0.33 else "some" if name in lexicon.plural else "a"
        says = (Statement("feature", senses.FEATURES[name]),)
        named = Piece(noun_phrase(name, (), before), feature["id"], "other", says)
        link = pick(self.rng, ("near", "in front of", "by", "not far from", "beside"))
        if feature["name"] in ("moon", "vultures"):
            link = "under"
        elif self.rng.random() < 0.25:
            return [Piece("with"), named, Piece("in the background")]
        return [Piece(link), named]

    def when(self, share: float, before: Pieces = ()) -> Pieces:
        """Weather or time of day, and now and then a closing phrase of the long tail.

        What `before` says already (at night, indoors) is not said again.
        """
        known = lexicon.said if self.scene["sky"] in ("starry", "indoor") else ()
        said = any(word in piece.text for piece in before for word in known)
        if self.rng.random() < share and not said:
            words = pick(self.rng, lexicon.sky[self.scene["sky"]])
            return [Piece(words, says=(Statement("sky", senses.SKIES[words]),))]
        return [Piece(words) for words in self.tail(lexicon.tail["closers"], 0.05)]


class Writer(Speaker):
    """Writes captions of one scene; `difference` is what a minimal pair turns on and wants mentioned."""

    def __init__(self, scene: Scene, rng: random.Random, difference: dict[str, Any] | None = None) -> None:
        super().__init__(scene, rng)
        self.difference = difference
        self.deeds = {d["subject"]: d for d in scene["deeds"]}
        self.leads = [u["things"][0] for u in scene["units"]]
        self.meant: dict[int, Values] = {}  # of a chain, the kinds that its last noun can mean
        self.inside = (Statement("indoors", IN if scene["indoor"] else OUT),)

    def captions(self) -> list[Pieces]:
        """Five captions in random order: specific, about two things, medium, partial, and one of any sort."""
        rng = self.rng
        plan = [
            "full",
            "two" if len(self.leads) > 1 else "medium",
            "medium",
            "partial",
            weighted(rng, {"generic": 0.22, "partial": 0.26, "medium": 0.3, "two": 0.22}),
        ]
        if self.difference is not None:
            plan = ["full", "two" if len(self.leads) > 1 else "full", "full", "medium", plan[4]]
            if self.difference["kind"] == "relation":
                plan = ["two", "two", "two", "two", plan[4]]
        rng.shuffle(plan)
        return [self.caption(style) for style in plan]

    def caption(self, style: str) -> Pieces:
        """One caption of a style, tried again until its length is in range."""
        for _ in range(12):
            pieces = getattr(self, "_" + style)()
            length = sum(len(p.text.split()) for p in pieces)
            if SHORTEST <= length <= LONGEST:
                return pieces
            style = "partial" if length > LONGEST and style != "two" else style
        thing = thing_by_id(self.scene, self.scene["lead"])
        return self._generic_about(thing, "a scene with {who}")

    # -- noun phrases ---------------------------------------------------------------------------------

    def _wanted(self, thing: Thing, field: str, share: float) -> bool:
        """Whether to mention a field; what a minimal pair turns on is nearly always mentioned."""
        d = self.difference
        if d is not None and d["thing"] == thing["id"] and d["field"] == field:
            share = max(share, 0.93)
        return self.rng.random() < share

    def noun(self, thing: Thing, detail: float, vague: bool = False, dressed: bool = True) -> Pieces:
        """A noun phrase for a thing; `detail` in 0..1 is the share of its attributes that are named."""
        rng, kind = self.rng, thing["kind"]
        people, many = thing["type"] == "people", thing["count"] > 1
        exact = not vague or self._wanted(thing, "", 0.0)
        name = pick(rng, lexicon.names[kind] if exact else senses.hypernyms(kind))
        said: dict[str, Values] = {}
        if name == "someone" and not many:
            text, said = name, {"kind": senses.NAMES["person"], "count": Values((1,))}
        else:
            adjectives: list[str] = []
            if thing.get("size", "medium") != "medium" and self._wanted(thing, "size", detail * 0.75):
                adjectives.append(pick(rng, lexicon.size[thing["size"]]))
                said["size"] = senses.SIZES[adjectives[-1]]
            pool = lexicon.tail[{"people": "person", "animals": "animal"}.get(thing["type"], "object")]
            young = kind in ("boy", "girl")
            adjectives += [
                w
                for w in self.tail(pool, 0.12 if detail > 0.3 else 0.06)
                if w not in adjectives and not (young and w in lexicon.tail["grown"])
            ]
            if thing.get("pattern", "plain") != "plain" and self._wanted(thing, "pattern", detail * 0.8):
                adjectives.append(pick(rng, lexicon.pattern[thing["pattern"]]))
                said["pattern"] = senses.PATTERNS[adjectives[-1]]
            if "colour" in thing and self._wanted(thing, "colour", detail * 0.95):
                adjectives.append(pick(rng, lexicon.colour[thing["colour"]]))
                said["colour"] = senses.COLOURS[adjectives[-1]]
            text, counted = self._counted(thing, adjectives, "person" if name == "someone" else name)
            said |= counted
        self.meant[thing["id"]] = said["kind"]
        says = tuple(Statement(field, values, thing["id"]) for field, values in said.items())
        head = Piece(text, thing["id"], thing["type"], says)
        return [head, *self._dress(thing, detail)] if people and dressed else [head]

    def _counted(self, thing: Thing, adjectives: list[str], name: str) -> tuple[str, dict[str, Values]]:
        """A noun with its adjectives and a number; and what these say of kind and count."""
        n = thing["count"]
        if n == 1:
            said = {"kind": senses.NAMES[name], "count": Values((1,))}
            before = weighted(self.rng, {"a": 0.88, "the": 0.07, "one": 0.05})
            if name in senses.MASS:
                before = "some"
                del said["count"]
            return noun_phrase(name, adjectives, before), said
        if self._wanted(thing, "count", 0.86):
            number = {2: "two", 3: "three", 4: "four"}[n]
            exact = self.difference is not None and self.difference["thing"] == thing["id"]
            quantity = number if exact else pick(self.rng, lexicon.count[str(n)])
        else:
            quantity = "some"
        several = plural(name)
        said = {"kind": senses.NAMES[several], "count": senses.QUANTITIES[quantity]}
        if several in senses.MASS and quantity == "some":
            del said["count"]
        return noun_phrase(several, adjectives, quantity), said

    def _dress(self, thing: Thing, detail: float) -> Pieces:
        """Clothes, hair and extras after the noun of a person."""
        rng, out = self.rng, []
        worn = []
        for k, item in enumerate(thing["clothes"]):
            if self._wanted(thing, "clothes" if k == 0 else "", detail * (0.85, 0.42, 0.4)[min(k, 2)]):
                worn.append(item)
        for k, item in enumerate(worn):
            link = pick(rng, ("in", "wearing", "in", "dressed in")) if k == 0 else "and"
            out += [Piece(link), self._garment(thing, item, "clothing")]
        if "hair" in thing and rng.random() < detail * 0.22:
            hair = thing["hair"]
            long = ["long"] if hair["length"] == "long" and rng.random() < 0.5 else []
            shade = pick(rng, lexicon.hair_colour[hair["colour"]])
            says = [Statement("hair", senses.HAIR_COLOURS[shade], thing["id"])]
            says += [Statement("length", Values(long), thing["id"])] if long else []
            text = noun_phrase("hair", [*long, shade], "")
            out += [Piece("with"), Piece(text, hair["id"], "bodyparts", tuple(says))]
        for item in thing.get("extras", ()):
            if rng.random() < detail * 0.6:
                kind = "bodyparts" if item["name"] == "beard" else "clothing"
                out += [Piece("with"), self._garment(thing, item, kind)]
        return out

    def _garment(self, thing: Thing, item: dict[str, Any], kind: str) -> Piece:
        """Something that a person, or each of several, wears."""
        words, says = self.worn(item, many=thing["count"] > 1)
        return Piece(words, item["id"], kind, tuple(one._replace(thing=thing["id"]) for one in says))

    # -- predicates -----------------------------------------------------------------------------------

    def does(self, thing: Thing, form: str, detail: float, share: float) -> Pieces:
        """What a thing does, with what it does it to; empty with probability 1 - `share`."""
        deed = self.deeds.get(thing["id"])
        turned = (
            self.difference is not None and deed is not None and self.difference["thing"] == deed["object"]
        )
        if not (turned or self._wanted(thing, "action", share)):
            return []
        many = thing["count"] > 1
        if deed is None:
            verbs = senses.verbs_of(thing["type"], thing["action"]) or lexicon.ground_verbs
            verb = conjugate(pick(self.rng, verbs), form, many)
            alive = thing["type"] in ("people", "animals")
            manner = self.tail(lexicon.tail["manner"], 0.14) if alive else []
            says = ()
            # A bench cannot but stand: that says nothing.
            if verb not in senses.SEEN and any(len(KINDS[k].actions) > 1 for k in self.meant[thing["id"]]):
                says = (Statement("action", senses.VERBS[verb], thing["id"]),)
            return [Piece(verb, says=says), *map(Piece, manner)]
        item, predicate = thing_by_id(self.scene, deed["object"]), deed["predicate"]
        named = self.noun(item, detail)
        if predicate == "on":
            verb = conjugate(pick(self.rng, lexicon.verbs[thing["action"]]), form, many)
            says = (
                Statement("action", senses.VERBS[verb], thing["id"]),
                Statement("deed", Values(("on",)), thing["id"], item["id"]),
            )
            return [Piece(verb, says=says), Piece(pick(self.rng, lexicon.on)), *named]
        mouth = thing["kind"] == "dog"
        verb = conjugate(pick(self.rng, lexicon.deed_verbs["mouth" if mouth else predicate]), form, many)
        says = (Statement("deed", senses.DEEDS[verb], thing["id"], item["id"]),)
        end = [Piece("in its mouth")] if mouth and self.rng.random() < 0.4 else []
        return [Piece(verb, says=says), *named, *end]

    def _is(self, thing: Thing, form: str) -> Pieces:
        """What a thing does before a relation is named; at least a form of be."""
        be = [Piece("are" if thing["count"] > 1 else "is")] if form != "participle" else []
        return self.does(thing, form, 0.62, 0.6) or be

    # -- captions ------------------------------------------------------------------------------------

    def _clause(self, subject: Pieces, predicate: Any, many: bool) -> Pieces:
        """Subject and predicate in one of the forms a caption takes; `predicate(form)` gives pieces."""
        rng = self.rng
        form = weighted(rng, {"progressive": 0.4, "finite": 0.3, "participle": 0.3})
        roll = rng.random()
        if roll < 0.05:
            return [Piece("there are" if many else "there is"), *subject, *predicate("participle")]
        if roll < 0.10:
            return [Piece(pick(rng, lexicon.tail["openers"], 1.4)), *subject, *predicate("participle")]
        return [*subject, *predicate(form)]

    def _subject(self, lead_share: float) -> Thing:
        """The thing a caption is about; of a pair's members, mostly what they differ in."""
        if self.difference is not None and self.rng.random() < 0.9:
            for lead in self.leads:
                deed = self.deeds.get(lead)
                if self.difference["thing"] in (lead, deed and deed["object"]):
                    return thing_by_id(self.scene, lead)
        number = self.scene["lead"] if self.rng.random() < lead_share else self.rng.choice(self.leads)
        return thing_by_id(self.scene, number)

    def _about(self, thing: Thing, detail: float, act: float, vague: bool = False) -> Pieces:
        subject = self.noun(thing, detail, vague)
        return self._clause(
            subject, lambda form: self.does(thing, form, detail * 0.8, act), thing["count"] > 1
        )

    def _place_first(self, body: Pieces, place: Pieces) -> Pieces:
        if place and len(place) == 2 and self.rng.random() < 0.08:
            return [*place, *body]
        return [*body, *place]

    def _full(self) -> Pieces:
        thing = self._subject(0.9)
        place = self.place(0.8)
        return [*self._place_first(self._about(thing, 0.95, 1.0), place), *self.when(0.25, place)]

    def _medium(self) -> Pieces:
        thing = self._subject(0.65)
        place = self.place(0.6)
        return [*self._place_first(self._about(thing, 0.55, 0.85), place), *self.when(0.18, place)]

    def _partial(self) -> Pieces:
        thing = self._subject(0.6)
        vague = thing["type"] not in ("other", "instruments") and self.rng.random() < 0.35
        place = self.place(0.72)
        return [*self._about(thing, 0.15, 0.7, vague), *place, *self.when(0.15, place)]

    def _two(self) -> Pieces:
        """Two units and how they stand to each other."""
        rng = self.rng
        if not self.scene["spatial"]:
            return self._medium()
        relations = self.scene["spatial"]
        if self.difference is not None:
            ours = [
                r for r in relations if self.difference["thing"] in (r["subject"], r["object"])
            ] or relations
            same = [r for r in ours if r["predicate"] == self.difference["field"]]
            relations = same if same and rng.random() < 0.93 else ours
        else:
            likely = {"left of": 0.35, "next to": 1.0, "behind": 1.0}
            order = rng.choices(relations, [likely[r["predicate"]] for r in relations])
            relations = order
        relation = rng.choice(relations)
        a, b, predicate = relation["subject"], relation["object"], relation["predicate"]
        if rng.random() < 0.5:
            a, b = b, a
            predicate = {"left of": "right of", "behind": "in front of"}.get(predicate, predicate)
        first, second = thing_by_id(self.scene, a), thing_by_id(self.scene, b)
        detail = 0.62
        if predicate in ("left of", "right of", "behind", "in front of") or rng.random() < 0.55:
            words = pick(rng, lexicon.spatial[predicate])
            says = (Statement("spatial", senses.SPATIAL[words], first["id"], second["id"]),)
            link = [Piece(words, says=says), *self.noun(second, detail)]
            body = [
                *self._clause(
                    self.noun(first, detail), lambda form: self._is(first, form), first["count"] > 1
                ),
                *link,
            ]
        elif rng.random() < 0.5:
            body = [
                *self._about(first, detail, 1.0),
                Piece(pick(rng, ("while", "as"))),
                *self.noun(second, detail),
                *(self.does(second, "finite", 0.5, 1.0)),
            ]
        else:
            body = [*self.noun(first, detail), Piece("and"), *self.noun(second, detail)]
        place = self.place(0.45)
        return [*body, *place, *self.when(0.08, place)]

    def _generic(self) -> Pieces:
        """A caption that fits many pictures; the thing it hints at keeps its chain."""
        rng = self.rng
        thing = thing_by_id(self.scene, self.scene["lead"])
        text = pick(rng, lexicon.generic_in if self.scene["indoor"] else lexicon.generic_out)
        if text.startswith("someone"):
            if thing["type"] != "people" or thing["count"] > 1:
                text = "{who} is indoors" if self.scene["indoor"] else "{who} is outdoors"
                return self._generic_about(thing, text, self.inside)
            says = (
                Statement("kind", senses.NAMES["person"], thing["id"]),
                Statement("count", Values((1,)), thing["id"]),
            )
            someone = Piece("someone", thing["id"], "people", says)
            return [someone, Piece(text.removeprefix("someone "), says=self.inside), *self.place(0.4)]
        return self._generic_about(thing, text, self.inside)

    def _generic_about(self, thing: Thing, text: str, says: tuple[Statement, ...] = ()) -> Pieces:
        if "{who}" not in text:
            whole = [Piece(text, says=says)]
            return [*whole, *self.when(0.3, whole)]
        before, after = text.split("{who}")
        if thing["count"] > 1 and after.startswith(" is "):
            after = " are" + after[3:]
        who = self.noun(thing, 0.0, vague=thing["type"] not in ("other", "instruments"))
        around = Piece(before.strip(), says=says), Piece(after.strip(), says=says)
        parts = [p for p in (around[0], *who, around[1]) if p.text]
        return parts + self.when(0.3, parts)
