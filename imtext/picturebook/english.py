"""Small English: articles, plurals, verb forms; only what the lexicon needs."""

from __future__ import annotations

from functools import lru_cache

from .words import WORDS

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
