"""Captions to words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from imtext.errors import ConfigError, DataError

# One apostrophe; and the underscore parts words, though it counts as \w.
_PLAIN = str.maketrans("\u2019\u2018\u02bc\u00b4`_", "''''' ")


def as_captions(captions: Iterable[str]) -> list[str]:
    """The captions as a list. Raises ConfigError for one string, DataError for an entry that is none.

    >>> as_captions(("a dog", "a cat"))
    ['a dog', 'a cat']
    >>> as_captions(["a dog", None])
    Traceback (most recent call last):
    imtext.errors.DataError: captions: expected strings, found NoneType at index 1; leave it out or write ''
    """
    if isinstance(captions, (str, bytes)):
        raise ConfigError("captions: expected a list of captions, found one string; write [caption]")
    captions = list(captions)
    for index, caption in enumerate(captions):
        if not isinstance(caption, str):
            found = type(caption).__name__
            raise DataError(
                f"captions: expected strings, found {found} at index {index}; leave it out or write ''"
            )
    return captions


def tokenize(caption: str) -> list[str]:
    """Lower-case words of a caption, without punctuation.

    Hyphens and underscores part words. English clitics are words of their own, spelled as the public
    GloVe and Penn Treebank vocabularies spell them (``'s``, ``n't``), so that "man's" still meets "man".
    Accents are composed (Unicode's NFC), as in the word vectors that this package reads.

    >>> tokenize("A man's T-shirt isn't red; it cost 1,000 yen in the 1950s!")
    ['a', 'man', "'s", 't', 'shirt', 'is', "n't", 'red', 'it', 'cost', '1,000', 'yen', 'in', 'the', '1950s']
    >>> tokenize(" ... ")
    []
    """
    text = unicodedata.normalize("NFC", caption.lower()).translate(_PLAIN)
    return _tokens(text.isascii()).findall(text)


@cache
def _tokens(ascii_only: bool) -> re.Pattern[str]:
    """A number ("1,000", "3.5", "1,000th"), or a word cut before its clitic: man 's, is n't."""
    word = r"\w+" if ascii_only else rf"\w[\w{_marks()}]*"
    number, clitic = rf"\d+(?:[.,]\d+)+(?:{word})?", r"'(?:s|re|ve|ll|d|m)(?!\w)|n't(?!\w)"
    return re.compile(rf"{number}|{clitic}|\w+?(?=n't(?!\w))|{word}")


def _marks() -> str:
    r"""Accents, vowel signs and joiners, which belong to the word they stand in; ``\w`` lacks them."""
    marks = (mark for mark in map(chr, range(0x300, 0x1F000)) if unicodedata.category(mark).startswith("M"))
    return "\u200c\u200d" + "".join(marks)
