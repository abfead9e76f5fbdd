"""Function words: the closed classes of English, so that every other word counts as content."""

from __future__ import annotations

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from imtext.text.tokens import tokenize

# Stop words that name, in a caption, something one can see or count.
_NUMBERS = """
    one two three four five six eight nine ten eleven twelve fifteen twenty forty fifty sixty hundred
    first third last once
"""
_NOUNS = (
    "amount back bill bottom co con cry detail fire front inc interest ltd mill name part side system top"
)
_VERBS = """
    became become becomes becoming call describe fill find found get give go keep made move put see seem
    seemed seeming seems show take
"""
_ADJECTIVES = "empty full serious sincere thick thin"
_ADVERBS = "alone please together well"

# What the stop words lack: the clitics as `tokenize` cuts them, and members of the same closed classes.
_CLITICS = "'s 're 've 'll 'd 'm n't ca wo"
_PREPOSITIONS = """
    aboard alongside amid amidst aside astride atop away beneath despite like near past till underneath unlike
    whilst
"""
_OTHERS = """
    anybody did does doing everybody having just maybe oneself ought plus shall somebody theirs unless
    whatsoever
"""

FUNCTION_WORDS: frozenset[str] = frozenset(
    ENGLISH_STOP_WORDS - set(f"{_NUMBERS} {_NOUNS} {_VERBS} {_ADJECTIVES} {_ADVERBS}".split())
) | frozenset(f"{_CLITICS} {_PREPOSITIONS} {_OTHERS}".split())
"""Lower-case function words, as :func:`imtext.text.tokenize` spells them.

Determiners, pronouns, prepositions and particles, conjunctions, forms of *be*, *have* and *do*, modal verbs,
negation, and adverbs such as *there*, *very*, *also*. Zheng et al. (section 6.4) name *with, on, at, in*; a
closed list decides the rest, and content is whatever is not on it.

The list is scikit-learn's ``ENGLISH_STOP_WORDS``, made for topics of long texts, less the words on it that
say something about a picture (numbers, *fire*, *front*, *top*, *empty*, *together*, *take* …), with what it
lacks: clitics (*'s*, *n't*), and words such as *near*, *past*, *like*, *whilst*, *does*. *Inside*, *outside*
and *nearby* stay content: in captions they mostly say where the scene is (*a dog runs outside*). A word is
looked up without its caption, so *a bench in front of a bus* counts *front* as content, and *like* is a
function word also where it is a verb.
"""


def is_function_word(word: str) -> bool:
    """True for a function word, in any case; a contraction is one where all its parts are.

    >>> [is_function_word(word) for word in ("With", "isn't", "near", "dog", "two", "man's", "?")]
    [True, True, True, False, False, False, False]
    """
    if word in FUNCTION_WORDS:
        return True
    parts = tokenize(word)
    return bool(parts) and all(part in FUNCTION_WORDS for part in parts)
