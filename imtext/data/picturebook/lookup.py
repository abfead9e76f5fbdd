"""The lexicon of picturebook turned round: from words to everything that they can stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from . import tail
from . import words as lexicon
from .inflect import conjugate, plural
from .world import KINDS

Values = frozenset
Part = tuple[Values, str]
"""The values and the words that name them."""

FORMS = ("finite", "progressive", "participle")
IDLE = ("standing", "lying")
LIFELESS = ("other", "instruments", "vehicles")
NUMBERS = Values((1, 2, 3, 4))
MASS = frozenset({"cattle", "luggage"})  # "some cattle" may be one
POSTURES = {"holding": "standing", "flying": "standing", "playing": "standing", "reading": "standing"}
"""How a person who does this stands, where the drawing shows it; what else they do leaves no posture."""


def inverse(pairs: Iterable[tuple[object, Iterable[str]]]) -> dict[str, Values]:
    """From each word to all keys that list it.

    >>> sorted(inverse([("boy", ["kid"]), ("girl", ["kid", "lass"])])["kid"])
    ['boy', 'girl']
    """
    found: dict[str, set] = defaultdict(set)
    for key, entries in pairs:
        for entry in entries:
            found[entry].add(key)
    return {entry: Values(keys) for entry, keys in found.items()}


def _names() -> dict[str, Values]:
    """Nouns, singular and plural, to kinds of thing."""
    pairs = [(kind, (*names, *map(plural, names))) for kind, names in lexicon.NAMES.items()]
    for kind, thing in KINDS.items():
        names = lexicon.HYPERNYMS.get(kind) or lexicon.HYPERNYMS[thing.type]
        names = [n for n in names if not (n == "pet" and kind in lexicon.FARM)]
        pairs.append((kind, ["person" if n == "someone" else n for n in names]))
        pairs.append((kind, [plural("person" if n == "someone" else n) for n in names]))
    return inverse(pairs)


NAMES = _names()
PEOPLE = NAMES["person"]
SIZES = inverse(lexicon.SIZE_WORDS.items())
PATTERNS = inverse(lexicon.PATTERN_WORDS.items())
COLOURS = inverse(lexicon.COLOUR_WORDS.items())
HAIR_COLOURS = inverse(
    (shade, lexicon.HAIR_RED if shade == "red" else lexicon.COLOUR_WORDS[shade])
    for shade in ("black", "brown", "blond", "red", "gray")
)
QUANTITIES = {
    **inverse(lexicon.COUNT_WORDS.items()),
    **dict.fromkeys(("a", "an", "the", "one"), Values((1,))),
    "some": Values((2, 3, 4)),
}
GARMENTS = inverse((name, (*words, *map(plural, words))) for name, words in lexicon.CLOTHES_WORDS.items())
FEATURES = inverse(lexicon.FEATURES.items())
SKIES = inverse(lexicon.SKY_WORDS.items())
DRESS = frozenset({"in", "wearing", "dressed in", "and", "with"})
TAILS = {"people": tail.PERSON, "animals": tail.ANIMAL}

_OUT, _IN = Values(("outdoors",)), Values(("indoors",))
_GENERIC = [(text, _OUT) for text in lexicon.GENERIC_OUT] + [(text, _IN) for text in lexicon.GENERIC_IN]
_GENERIC = [(text.replace("someone", "{who}"), where) for text, where in _GENERIC]
WHOLE = {text: where for text, where in _GENERIC if "{who}" not in text}
"""Captions that mention nothing."""
INTRODUCTIONS: dict[str, Values | None] = {
    **dict.fromkeys(("", "there is", "there are", "a scene with", *tail.OPENERS)),
    **{text.split("{who}")[0].strip(): where for text, where in _GENERIC if text.endswith("{who}")},
}
_AFTER = {text.split("{who}")[1].strip(): where for text, where in _GENERIC if text.startswith("{who}")}
_AFTER |= {"are" + text[2:]: where for text, where in _AFTER.items() if text.startswith("is ")}


def _places() -> tuple[dict[str, Values], dict[str, Values], dict[str, Values | None]]:
    """Places without article, nouns of places, and the prepositions before these."""
    split = [(where, entry.partition("|")) for where, entries in lexicon.PLACES.items() for entry in entries]
    plain = inverse((setting, [link]) for setting, (link, bar, _) in split if not bar)
    nouns = inverse((setting, [noun]) for setting, (_, bar, noun) in split if bar)
    links = {link: Values(("night",)) if "night" in link else None for _, (link, bar, _) in split if bar}
    return plain, nouns, links


PLAIN_PLACES, PLACE_NOUNS, PLACE_LINKS = _places()
FEATURE_LINKS = ("near", "in front of", "by", "not far from", "beside", "under", "with")
SPATIAL = inverse(lexicon.SPATIAL.items())
"""Words to the relations left of, right of, next to, behind, in front of."""


def verbs_of(kind_type: str, action: str) -> Sequence[str]:
    """The verbs that say what a thing of a type does when it does ``action`` to nothing.

    >>> "sprint" in verbs_of("animals", "running"), verbs_of("people", "throwing")
    (True, ())
    """
    if kind_type in LIFELESS and action in IDLE:
        return lexicon.GROUND_VERBS
    return lexicon.VERBS.get(action, ())


def _forms(lemma: str) -> set[str]:
    return {conjugate(lemma, form, many) for form in FORMS for many in (False, True)}


def _verbs() -> dict[str, Values]:
    """Forms of verbs to pairs (type of thing, action)."""
    types = {kind.type for kind in KINDS.values()}
    actions = {*lexicon.VERBS, *IDLE}
    return inverse(
        ((kind_type, action), _forms(lemma))
        for kind_type in types
        for action in actions
        for lemma in verbs_of(kind_type, action)
    )


VERBS = _verbs()
SEEN = frozenset(_forms("be seen"))
DEEDS = inverse(
    (predicate, _forms(lemma)) for predicate, lemmas in lexicon.DEED_VERBS.items() for lemma in lemmas
)
"""Forms of verbs with an object to predicates; ``mouth`` is what a dog does when it carries."""


_MANNERS = frozenset(tail.MANNER)
_CLOSERS = frozenset(tail.CLOSERS)


def predicate(text: str) -> tuple[str, Values | None] | None:
    """What a predicate without object says: ``("action" | "indoors" | "nothing", values)``; None if unknown.

    >>> predicate("is happy"), predicate("is"), predicate("is outdoors")
    (None, ('nothing', None), ('indoors', frozenset({'outdoors'})))
    """
    if text in ("", "is", "are", "in its mouth") or text in SEEN:
        return "nothing", None
    if text in _AFTER:
        return "indoors", _AFTER[text]
    if text in VERBS:
        return "action", VERBS[text]
    verb, _, manner = text.rpartition(" ")
    return predicate(verb) if verb and manner in _MANNERS and verb in VERBS.keys() | SEEN else None


def sits_on(text: str) -> tuple[str, Values | None]:
    """The verb and the actions of "sits on top of"; None if a text is not of that form.

    >>> verb, actions = sits_on("is sitting on top of")
    >>> verb, ("people", "sitting") in actions
    ('is sitting', True)
    """
    for link in sorted(set(lexicon.ON_WORDS), key=len, reverse=True):
        verb = text.removesuffix(" " + link)
        if verb != text and verb in VERBS:
            return verb, VERBS[verb]
    return text, None


def endings(text: str) -> Iterator[tuple[str, str, str]]:
    """All ways to part the end of a caption into (anything, a place without article, weather or closing)."""
    text = text.strip()
    if text.startswith("in the background"):
        text = text.removeprefix("in the background").strip()
    words = text.split()
    for i in range(len(words) + 1):
        sky = " ".join(words[i:])
        if sky and sky not in SKIES and sky not in _CLOSERS:
            continue
        for j in range(i + 1):
            place = " ".join(words[j:i])
            if not place or place in PLAIN_PLACES:
                yield " ".join(words[:j]), place, sky


def without_article(phrase: str) -> str:
    """A phrase without its first word, if that is an article.

    >>> without_article("a red barn"), without_article("some rocks")
    ('red barn', 'rocks')
    """
    first, _, rest = phrase.partition(" ")
    return rest if first in ("a", "an", "the", "some") else phrase


def place_of(phrase: str) -> Values | None:
    """The settings that a phrase such as "the quiet park" may mean."""
    rest = without_article(phrase)
    for noun in sorted(PLACE_NOUNS, key=len, reverse=True):
        if rest == noun or (rest.endswith(" " + noun) and rest[: -len(noun) - 1] in tail.PLACE):
            return PLACE_NOUNS[noun]
    return None


def counted(phrase: str, kind_type: str) -> dict[str, Part] | None:
    """What a noun phrase for a thing says: kind, count, size, pattern, colour; None if it cannot be read.

    >>> {k: sorted(v) for k, (v, _) in counted("three small black dogs", "animals").items()}
    {'kind': ['dog'], 'count': [3], 'size': ['small'], 'colour': ['black']}
    """
    if phrase == "someone":
        return {"kind": (PEOPLE, phrase), "count": (Values((1,)), phrase)}
    for name in _suffixes(phrase, NAMES):
        rest = phrase[: -len(name)].strip()
        for quantity in _prefixes(rest, QUANTITIES):
            middle = _adjectives(rest[len(quantity) :].strip(), kind_type)
            if middle is None:
                continue
            found = {"kind": (NAMES[name], name)}
            if not (name in MASS and quantity == "some"):
                found["count"] = (QUANTITIES[quantity], f"{quantity} {name}")
            return found | {field: (values, f"{said} {name}") for field, (values, said) in middle.items()}
    return None


def clothed(phrase: str) -> tuple[Part, Part | None, Part | None] | None:
    """The garment, its pattern and its colour in "a striped red shirt"; None if it cannot be read."""
    for name in _suffixes(phrase, GARMENTS):
        rest = phrase[: -len(name)].strip()
        first, _, after = rest.partition(" ")
        middle = _adjectives(after if first in ("a", "an") else rest, "clothing")
        if middle is not None and set(middle) <= {"pattern", "colour"}:
            return (GARMENTS[name], name), middle.get("pattern"), middle.get("colour")
    return None


def _suffixes(phrase: str, names: Mapping[str, Values]) -> list[str]:
    words = phrase.split()
    found = [" ".join(words[i:]) for i in range(len(words))]
    return [name for name in found if name in names]


def _prefixes(phrase: str, names: Mapping[str, Values]) -> list[str]:
    words = phrase.split()
    found = [" ".join(words[: i + 1]) for i in reversed(range(len(words)))]
    return [name for name in found if name in names]


def _adjectives(text: str, kind_type: str) -> dict[str, Part] | None:
    """Size, a word of the long tail, pattern and colour, each at most once and in this order."""
    order: list[tuple[str, Mapping[str, Values]]] = []
    if kind_type != "people":
        order = [("size", SIZES), ("pattern", PATTERNS), ("colour", COLOURS)]
    if kind_type != "clothing":
        pool = dict.fromkeys(TAILS.get(kind_type, tail.OBJECT), Values())
        order.insert(1, ("", pool))
    return _in_order(text, order)


def _in_order(text: str, order: Sequence[tuple[str, Mapping[str, Values]]]) -> dict[str, Part] | None:
    if not text:
        return {}
    if not order:
        return None
    (field, names), rest = order[0], order[1:]
    for said in _prefixes(text, names):
        after = _in_order(text[len(said) :].strip(), rest)
        if after is not None:
            return ({field: (names[said], said)} if field else {}) | after
    return _in_order(text, rest)
