"""Captions to words."""

from __future__ import annotations

import re

# A number ("1,000", "3.5"), or a word cut before its clitic: "man's" -> man 's, "isn't" -> is n't.
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*(?![^\W\d_])"
    r"|'(?:s|re|ve|ll|d|m)(?!\w)"
    r"|n't(?!\w)"
    r"|[^\W_]+?(?=n't(?!\w))"
    r"|[^\W_]+"
)
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")


def tokenize(caption: str) -> list[str]:
    """Lower-case words of a caption, without punctuation.

    Hyphens and underscores part words. English clitics are words of their own, spelled as the public
    GloVe and Penn Treebank vocabularies spell them (``'s``, ``n't``), so that "man's" still meets "man".

    >>> tokenize("A man's T-shirt isn't red; it cost 1,000 yen!")
    ['a', 'man', "'s", 't', 'shirt', 'is', "n't", 'red', 'it', 'cost', '1,000', 'yen']
    >>> tokenize(" ... ")
    []
    """
    return _TOKEN.findall(caption.lower().translate(_APOSTROPHES))
