"""Captions as pieces: words, the chain of what they name, and what they say of a scene."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

Values = frozenset[Hashable]


class Statement(NamedTuple):
    """One thing that a caption says.

    A word with several senses stands for all of them: *kid* is a boy or a girl, *several* is three or four.

    Attributes:
        field: ``kind``, ``count``, ``size``, ``pattern``, ``colour``, ``action``, ``worn``, ``worn colour``,
            ``worn pattern``, ``hair``, ``length`` (of hair) of a thing; ``deed``, ``spatial`` of two things;
            ``place``, ``sky``, ``indoors``, ``feature`` of the whole scene.
        values: what makes it true: any of these.
        thing: number of the thing in order of mention (of a piece: its chain); -1 for the whole scene.
        other: the second thing of a relation, else -1.
        item: for ``worn colour`` and ``worn pattern`` the names of the garment.
    """

    field: str
    values: Values
    thing: int = -1
    other: int = -1
    item: Values = frozenset()


class Piece(NamedTuple):
    """Some words; ``chain`` 0 where they name nothing, else the thing they name, and its Entities type."""

    text: str
    chain: int = 0
    type: str = ""
    says: tuple[Statement, ...] = ()


Pieces = list[Piece]


def statements(pieces: Pieces) -> tuple[Statement, ...]:
    """What a caption says, its things numbered in order of mention.

    >>> dog = Statement("kind", frozenset({"dog"}), 7)
    >>> [s.thing for s in statements([Piece("a dog", 7, "animals", (dog,))])]
    [0]
    """
    said = [statement for piece in pieces for statement in piece.says]
    number = {s.thing: k for k, s in enumerate(s for s in said if s.field == "kind")}
    return tuple(s._replace(thing=number.get(s.thing, -1), other=number.get(s.other, -1)) for s in said)


def plain_text(pieces: Pieces) -> str:
    """The caption as a caption.

    >>> plain_text([Piece("a black dog", 2, "animals"), Piece("runs")])
    'A black dog runs.'
    """
    text = " ".join(p.text for p in pieces)
    return text[0].upper() + text[1:] + "."


def entities_text(pieces: Pieces, offset: int = 0) -> str:
    """The caption in the form of Flickr30k Entities; chain ids are shifted by ``offset``.

    >>> entities_text([Piece("a black dog", 2, "animals"), Piece("runs")], 100)
    '[/EN#102/animals A black dog] runs .'
    """
    out = []
    for k, piece in enumerate(pieces):
        text = piece.text[0].upper() + piece.text[1:] if k == 0 else piece.text
        out.append(f"[/EN#{piece.chain + offset}/{piece.type} {text}]" if piece.chain else text)
    return " ".join([*out, "."])


def spans(captions: Sequence[Pieces]) -> list[list[Any]]:
    """The phrases of all captions: ``[caption, first word, one past the last, chain, type]``."""
    out = []
    for k, pieces in enumerate(captions):
        at = 0
        for piece in pieces:
            n = len(piece.text.split())
            if piece.chain:
                out.append([k, at, at + n, piece.chain, piece.type])
            at += n
    return out
