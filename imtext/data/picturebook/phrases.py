"""Captions as pieces: words with the chain of what they name, and the two forms they are written in."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """Some words; `chain` 0 where they name nothing, else the thing they name, and its Entities type."""

    text: str
    chain: int = 0
    type: str = ""


Pieces = list[Piece]


def plain_text(pieces: Pieces) -> str:
    """The caption as a caption.

    >>> plain_text([Piece("a black dog", 2, "animals"), Piece("runs")])
    'A black dog runs.'
    """
    text = " ".join(p.text for p in pieces)
    return text[0].upper() + text[1:] + "."


def entities_text(pieces: Pieces, offset: int = 0) -> str:
    """The caption in the form of Flickr30k Entities; chain ids are shifted by `offset`.

    >>> entities_text([Piece("a black dog", 2, "animals"), Piece("runs")], 100)
    '[/EN#102/animals A black dog] runs .'
    """
    out = []
    for k, piece in enumerate(pieces):
        text = piece.text[0].upper() + piece.text[1:] if k == 0 else piece.text
        out.append(f"[/EN#{piece.chain + offset}/{piece.type} {text}]" if piece.chain else text)
    return " ".join([*out, "."])
