"""The lexicon: synonyms in falling order of use. Every entry is drawn with a Zipf weight of its rank."""

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
"""Of scenes."""
PERSON_WORDS = lexicon("person_words")
"""Of pedestrians."""


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
