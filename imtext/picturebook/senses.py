"""The lexicon turned round: from the words of a caption to everything that they can stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from .pieces import Values
from .words import WORDS as lexicon
from .words import conjugate, plural
from .world import KINDS

IDLE = ("standing", "lying")
LIFELESS = ("other", "instruments", "vehicles")
MASS = frozenset({"cattle", "luggage"})  # "some cattle" may be one


def inverse(pairs: Iterable[tuple[Hashable, Iterable[str]]]) -> dict[str, Values]:
    """From each word to all keys that list it.

    >>> sorted(inverse([("boy", ["kid"]), ("girl", ["kid", "lass"])])["kid"])
    ['boy', 'girl']
    """
    found: dict[str, set] = defaultdict(set)
    for key, entries in pairs:
        for entry in entries:
            found[entry].add(key)
    return {entry: Values(keys) for entry, keys in found.items()}


def hypernyms(kind: str) -> tuple[str, ...]:
    """Vague names of a kind of thing; animals of the farm are no pets."""
    names = lexicon.hypernyms.get(kind) or lexicon.hypernyms[KINDS[kind].type]
    return tuple("animal" if name == "pet" and kind in lexicon.farm else name for name in names)


def _names() -> dict[str, Values]:
    """Nouns, singular and plural, to kinds of thing."""
    pairs = []
    for kind in KINDS:
        vague = ("person" if name == "someone" else name for name in hypernyms(kind))
        names = (*lexicon.names[kind], *vague)
        pairs.append((kind, (*names, *map(plural, names))))
    return inverse(pairs)


NAMES = _names()
SIZES = inverse(lexicon.size.items())
PATTERNS = inverse(lexicon.pattern.items())
COLOURS = inverse(lexicon.colour.items())
HAIR_COLOURS = inverse(lexicon.hair_colour.items())
QUANTITIES = {**inverse((int(n), words) for n, words in lexicon.count.items()), "some": Values((2, 3, 4))}
_BARE = {name: [w.removeprefix("pair of ") for w in words] for name, words in lexicon.clothes.items()}
GARMENTS = inverse((name, (*words, *map(plural, words))) for name, words in _BARE.items())
FEATURES = inverse(lexicon.features.items())
SKIES = inverse(lexicon.sky.items())
SPATIAL = inverse(lexicon.spatial.items())
"""Words to the relations left of, right of, next to, behind, in front of."""
PLACES = inverse(
    (setting, [entry.rpartition("|")[2] for entry in entries]) for setting, entries in lexicon.places.items()
)
"""Nouns of places, and places without a noun, to settings."""


def verbs_of(kind_type: str, action: str) -> tuple[str, ...]:
    """The verbs that say what a thing of a type does when it does ``action`` to nothing.

    >>> "sprint" in verbs_of("animals", "running"), verbs_of("people", "throwing")
    (True, ())
    """
    if kind_type in LIFELESS and action in IDLE:
        return lexicon.ground_verbs
    return lexicon.verbs.get(action, ())


def _forms(lemma: str) -> set[str]:
    forms = ("finite", "progressive", "participle")
    return {conjugate(lemma, form, many) for form in forms for many in (False, True)}


VERBS = inverse(
    ((kind_type, action), _forms(lemma))
    for kind_type in sorted({kind.type for kind in KINDS.values()})
    for action in sorted({*lexicon.verbs, *IDLE})
    for lemma in verbs_of(kind_type, action)
)
"""Forms of verbs to pairs (type of thing, action)."""
SEEN = frozenset(_forms("be seen"))  # says nothing
DEEDS = inverse(
    (predicate, _forms(lemma)) for predicate, lemmas in lexicon.deed_verbs.items() for lemma in lemmas
)
"""Forms of verbs with an object to predicates; ``mouth`` is what a dog does when it carries."""
