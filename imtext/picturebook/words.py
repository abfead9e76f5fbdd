"""The lexicon, whose entries are drawn with a Zipf weight of their rank, and the little English it needs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from types import SimpleNamespace

from .world import entries, read


def lexicon(name: str) -> SimpleNamespace:
    """The lists of a file in ``tables/``, and its tables of lists.

    >>> lexicon("words").names["sheep"]
    ('sheep', 'sheep', 'lamb', 'ewe', 'ram')
    """
    lists = {}
    for key, value in read(name).items():
        table = isinstance(value, dict)
        lists[key] = {entry: entries(text) for entry, text in value.items()} if table else entries(value)
    return SimpleNamespace(**lists)


WORDS = lexicon("words")
"""Of all captions."""
PERSON_WORDS = lexicon("person_words")
"""Of those of pedestrians only."""


@lru_cache(maxsize=4096)
def _cumulative(n: int, exponent: float) -> tuple[float, ...]:
    return tuple(accumulate((r + 1.0) ** -exponent for r in range(n)))


def pick(rng: random.Random, options: Sequence[str], exponent: float = 1.2) -> str:
    """One of ``options``, the r-th with weight r to the power of minus ``exponent``.

    >>> pick(random.Random(1), ("dog",))
    'dog'
    """
    table = _cumulative(len(options), exponent)
    at = rng.random() * table[-1]
    for option, edge in zip(options, table, strict=True):
        if at < edge:
            return option
    return options[-1]


PLURALS = {noun: one for noun, (one,) in WORDS.plurals.items()}
_ING = {"lie": "lying", "be": "being"}
_PHRASAL = (" of ", " with ")


def article(words: str) -> str:
    """`words` with its indefinite article.

    >>> article("orange ball"), article("ukulele")
    ('an orange ball', 'a ukulele')
    """
    vowel = words[0] in "aeiou" and not words.startswith(("uk", "uni", "one", "ewe"))
    return f"{'an' if vowel else 'a'} {words}"


def noun_phrase(name: str, adjectives: Sequence[str] = (), before: str = "a") -> str:
    """A noun with what stands before it; what has no singular takes no "a".

    >>> noun_phrase("ball", ["old", "orange"]), noun_phrase("jeans", ["blue"]), noun_phrase("dogs", [], "two")
    ('an old orange ball', 'blue jeans', 'two dogs')
    >>> noun_phrase("pair of jeans", ["blue"])
    'a pair of blue jeans'
    """
    pair = "pair of " if name.startswith("pair of ") else ""
    words = pair + " ".join([*adjectives, name.removeprefix(pair)])
    if before == "a":
        return words if name in WORDS.plural else article(words)
    return f"{before} {words}".strip()


def coloured(text: str, colour: str) -> str:
    """A pattern of the lexicon with a colour, its article in agreement.

    >>> coloured("with a {c} logo", "orange")
    'with an orange logo'
    """
    return text.replace("a {c}", article(colour)).replace("{c}", colour)


@lru_cache(maxsize=4096)
def plural(noun: str) -> str:
    """The plural of a noun or of a noun phrase, by its head.

    >>> plural("snare"), plural("beach ball"), plural("puppy"), plural("bunch of roses")
    ('snares', 'beach balls', 'puppies', 'bunches of roses')
    """
    if noun in PLURALS:
        return PLURALS[noun]
    for middle in _PHRASAL:
        if middle in noun:
            head, rest = noun.split(middle, 1)
            return plural(head) + middle + rest
    stem, _, last = noun.rpartition(" ")
    if last in PLURALS:
        last = PLURALS[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    elif last.endswith("lf"):
        last = last[:-1] + "ves"
    else:
        last += "s"
    return f"{stem} {last}".strip()


def third(lemma: str) -> str:
    """Third person singular of a verb or verb phrase.

    >>> third("toss"), third("carry on"), third("play with")
    ('tosses', 'carries on', 'plays with')
    """
    verb, _, rest = lemma.partition(" ")
    if verb == "be":
        verb = "is"
    elif verb.endswith(("s", "x", "ch", "sh", "z", "o")):
        verb += "es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        verb = verb[:-1] + "ies"
    else:
        verb += "s"
    return f"{verb} {rest}".strip()


def gerund(lemma: str) -> str:
    """The -ing form of a verb or verb phrase; of a passive, the participle.

    >>> gerund("run"), gerund("ride"), gerund("lie down"), gerund("be parked")
    ('running', 'riding', 'lying down', 'parked')
    """
    verb, _, rest = lemma.partition(" ")
    if verb == "be":
        return rest
    if verb in _ING:
        verb = _ING[verb]
    elif verb in WORDS.doubled:
        verb += verb[-1] + "ing"
    elif verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        verb = verb[:-1] + "ing"
    else:
        verb += "ing"
    return f"{verb} {rest}".strip()


@lru_cache(maxsize=8192)
def conjugate(lemma: str, form: str, many: bool) -> str:
    """A verb as `finite` (runs), `progressive` (is running) or `participle` (running).

    >>> conjugate("run", "progressive", True), conjugate("run", "finite", False)
    ('are running', 'runs')
    """
    if form == "participle":
        return gerund(lemma)
    if form == "progressive":
        return ("are " if many else "is ") + gerund(lemma)
    if lemma.startswith("be "):
        return ("are" if many else "is") + lemma[2:]
    return lemma if many else third(lemma)
