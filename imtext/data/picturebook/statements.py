"""What a caption of picturebook says, as statements that are true or false of any scene.

A caption is read by the grammar that wrote it (``imtext.data.picturebook.language``). Which words name one
thing is known from the phrases that are kept with the scenes; what they say is looked up in the lexicon, so a
word with several senses stands for all of them: *kid* is a boy or a girl, *several* is three or four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imtext.errors import DataError

from . import lookup as table
from .lookup import Values, clothed, counted
from .scene import Scene
from .world import KINDS

Span = tuple[int, int, int]
"""First word, one past the last, and the chain they name, as numbered in the scene."""


@dataclass(frozen=True)
class Statement:
    """One thing that a caption says.

    Attributes:
        field: ``kind``, ``count``, ``size``, ``pattern``, ``colour``, ``action``, ``worn``, ``worn colour``,
            ``worn pattern``, ``hair``, ``length`` (of hair) of a thing; ``deed``, ``spatial`` of two things;
            ``place``, ``sky``, ``indoors``, ``feature`` of the whole scene.
        values: what makes it true: any of these.
        words: the words that say it.
        thing: number of the thing in order of mention; -1 for the whole scene.
        other: the second thing of a relation, else -1.
        item: for ``worn colour`` and ``worn pattern`` the names of the garment.
    """

    field: str
    values: Values
    words: str
    thing: int = -1
    other: int = -1
    item: Values = frozenset()


def read_statements(caption: str, spans: Sequence[Span], scene: Scene) -> tuple[Statement, ...]:
    """The statements of one caption of ``scene``, in their order.

    ``spans``: what the caption mentions. The scene only tells whether a chain is a thing, something worn, a
    feature or the place; no fact about it is taken from there.

    Raises:
        DataError: words that the grammar does not write.

    >>> scene = {"features": [], "things": [{"id": 2, "kind": "dog", "type": "animals"}]}
    >>> [(s.field, sorted(s.values)) for s in read_statements("A black dog runs.", [(0, 3, 2)], scene)][:3]
    [('kind', ['dog']), ('count', [1]), ('colour', ['black'])]
    """
    return _Reader(caption, scene).read(sorted(spans))


def _roles(scene: Scene) -> dict[int, tuple[str, int]]:
    """What each chain of a scene is, and the chain of the thing it belongs to."""
    roles: dict[int, tuple[str, int]] = {1: ("place", 1)}
    roles |= {feature["id"]: ("feature", feature["id"]) for feature in scene["features"]}
    for thing in scene["things"]:
        own = thing["id"]
        roles[own] = ("thing", own)
        roles |= {item["id"]: ("worn", own) for item in (*thing.get("clothes", ()), *thing.get("extras", ()))}
        if "hair" in thing:
            roles[thing["hair"]["id"]] = ("hair", own)
    return roles


class _Reader:
    """Reads one caption from left to right."""

    def __init__(self, caption: str, scene: Scene) -> None:
        self.caption = caption
        self.words = caption.lower().rstrip(".").split()
        self.roles = _roles(scene)
        self.types = {thing["id"]: thing["type"] for thing in scene["things"]}
        self.slots: dict[int, int] = {}
        self.kinds: list[Values] = []
        self.subject = -1
        self.said: list[Statement] = []

    def read(self, spans: Sequence[Span]) -> tuple[Statement, ...]:
        """All statements."""
        at = 0
        for start, stop, chain in spans:
            if not at <= start < stop <= len(self.words) or chain not in self.roles:
                raise self._odd(" ".join(self.words[start:stop]))
            gap, phrase = " ".join(self.words[at:start]), " ".join(self.words[start:stop])
            role, owner = self.roles[chain]
            if role == "thing":
                self._thing(gap, phrase, chain)
            elif role in ("worn", "hair"):
                if gap not in table.DRESS or owner not in self.slots:
                    raise self._odd(f"{gap} {phrase}")
                (self._worn if role == "worn" else self._hair)(phrase, self.slots[owner])
            else:
                self._where(gap, phrase, role)
            at = stop
        self._end(" ".join(self.words[at:]))
        return tuple(self.said)

    def _odd(self, text: str) -> DataError:
        return DataError(
            f"caption {self.caption!r}: expected words of the grammar of picturebook, found {text!r}; "
            "generate the dataset again"
        )

    def _say(self, field: str, values: Values | None, words: str, thing: int = -1, **more: Any) -> None:
        if values is not None:
            self.said.append(Statement(field, values, words, thing, **more))

    # -- phrases --------------------------------------------------------------------------------------

    def _thing(self, gap: str, phrase: str, chain: int) -> None:
        found = counted(phrase, self.types[chain])
        if found is None or chain in self.slots:
            raise self._odd(phrase)
        slot = self.slots[chain] = len(self.slots)
        self.kinds.append(found["kind"][0])
        for field, (values, words) in found.items():
            self._say(field, values, words, slot)
        if slot == 0:
            if gap not in table.INTRODUCTIONS:
                raise self._odd(gap)
            self.subject = slot
            self._say("indoors", table.INTRODUCTIONS[gap], gap)
        else:
            self._link(gap, slot)

    def _worn(self, phrase: str, slot: int) -> None:
        found = clothed(phrase)
        if found is None:
            raise self._odd(phrase)
        names, pattern, colour = found
        self._say("worn", names[0], names[1], slot)
        for field, part in (("worn pattern", pattern), ("worn colour", colour)):
            if part:
                self._say(field, part[0], f"{part[1]} {names[1]}", slot, item=names[0])

    def _hair(self, phrase: str, slot: int) -> None:
        colour = phrase.removeprefix("long ").removesuffix(" hair")
        if colour not in table.HAIR_COLOURS:
            raise self._odd(phrase)
        self._say("hair", table.HAIR_COLOURS[colour], f"{colour} hair", slot)
        if phrase.startswith("long "):
            self._say("length", frozenset({"long"}), "long hair", slot)

    def _where(self, gap: str, phrase: str, role: str) -> None:
        """The place or a feature of it, and what stands between it and the words before."""
        links = table.PLACE_LINKS if role == "place" else table.FEATURE_LINKS
        before, link = self._split(gap, links)
        if self.slots:
            self._predicate(before)
        elif before:
            raise self._odd(gap)
        if role == "feature":
            name = table.without_article(phrase)
            if name not in table.FEATURES:
                raise self._odd(phrase)
            self._say("feature", table.FEATURES[name], phrase)
            return
        settings = table.place_of(phrase)
        if settings is None:
            raise self._odd(phrase)
        only = table.PLACE_LINKS[link]
        self._say("place", settings & only if only else settings, f"{link} {phrase}")

    # -- between phrases ------------------------------------------------------------------------------

    def _split(self, text: str, endings: Any) -> tuple[str, str]:
        """A text as (what comes before, one of the endings), with something before that can be read."""
        for ending in sorted(endings, key=len, reverse=True):
            if text == ending or text.endswith(" " + ending):
                before = text[: len(text) - len(ending)].strip()
                if self._readable(before):
                    return before, ending
        raise self._odd(text)

    @staticmethod
    def _readable(text: str) -> bool:
        return table.predicate(text) is not None

    def _link(self, gap: str, slot: int) -> None:
        """What stands between two things: what one does to the other, where they stand, or "and"."""
        deed = table.DEEDS.get(gap)
        if deed:
            self._say("deed", deed, gap, self.subject, other=slot)
            return
        verb, actions = table.sits_on(gap)
        if actions is not None:
            self._say("action", actions, verb, self.subject)
            self._say("deed", frozenset({"on"}), gap, self.subject, other=slot)
            return
        before, link = self._split(gap, (*table.SPATIAL, "while", "as", "and"))
        self._predicate(before)
        if link in table.SPATIAL:
            self._say("spatial", table.SPATIAL[link], link, self.subject, other=slot)
        else:
            self.subject = slot

    def _predicate(self, text: str) -> None:
        """What the subject does without an object, or that it is indoors or out."""
        found = table.predicate(text)
        if found is None:
            raise self._odd(text)
        field, values = found
        if field == "indoors":
            self._say("indoors", values, text)
        elif field == "action" and any(len(KINDS[kind].actions) > 1 for kind in self.kinds[self.subject]):
            self._say("action", values, text, self.subject)  # a bench cannot but stand: that says nothing

    def _end(self, text: str) -> None:
        """What follows the last phrase: what the subject does, a place without article, weather or hour."""
        for before, place, sky in table.endings(text):
            if self._readable(before) and (self.slots or not before):
                self._predicate(before)
                self._say("place", table.PLAIN_PLACES.get(place), place)
                self._say("sky", table.SKIES.get(sky), sky)
                return
        for before, _, sky in table.endings(text):
            if not self.slots and before in table.WHOLE:
                self._say("indoors", table.WHOLE[before], before)
                self._say("sky", table.SKIES.get(sky), sky)
                return
        raise self._odd(text)
