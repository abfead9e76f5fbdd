"""The files of Flickr30k Entities, one at a time: sentences, boxes, and the list of unrelated captions.

The forms are those of the publishers' README (Flickr30k Entities 1.0, Plummer and others, IJCV 2017)::

    Sentences/<id>.txt      [/EN#<chain>/<type>/<type> words] runs in [/EN#<chain>/<type> words] .
    Annotations/<id>.xml    <object> with <name>chain</name>, and <bndbox> or <scene> and <nobndbox>
    UNRELATED_CAPTIONS      <id> <number of the sentence, counted from 1>
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from imtext.data.common import clean, read_lines, read_text
from imtext.errors import DataError

ON_ODD = ("raise", "skip")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
# Eighteen digits always fit into an int64.
_TAG = re.compile(r"/EN#([0-9]{1,18})/([^/\s]+(?:/[^/\s]+)*)")
_CHAIN = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
_UNRELATED = re.compile(r"(\S+)\s+([1-9][0-9]{0,8})")


class Mention(NamedTuple):
    """A phrase of a caption: first word and one past the last in ``caption.split()``, words, chain, type."""

    start: int
    stop: int
    words: str
    chain: int
    type: str


class Sentence(NamedTuple):
    """A caption without brackets, with the phrases that were in brackets."""

    caption: str
    mentions: tuple[Mention, ...] = ()


@dataclass(frozen=True)
class Annotation:
    """The boxes of one image; one row for each box and chain.

    Attributes:
        boxes: ``x1, y1, x2, y2`` in pixels, counted from 0, both ends inclusive.
        chain_of_box: chain of each row.
        chains: every chain that the file names, also those without a box (scenes, things not to be seen).
        clipped, odd: boxes one pixel over an edge and clipped; boxes left out by ``on_odd="skip"``.
    """

    boxes: tuple[tuple[int, ...], ...]
    chain_of_box: tuple[int, ...]
    chains: frozenset[int]
    clipped: int = 0
    odd: int = 0


def parse_sentence(line: str, where: str = "sentence") -> Sentence:
    """One line of a ``Sentences`` file.

    Offsets count the words of the plain caption. A bracket may touch other text: in ``[/EN#1/people A man],``
    the phrase is ``A man`` and ends with the word ``man,`` of the caption.

    Raises:
        DataError: a bracket is not closed or not opened, stands in another one, or has no
            ``/EN#<chain>/<type>`` and words.

    >>> parse_sentence("[/EN#3/people A man] sits in [/EN#0/notvisual the back].")
    Sentence(caption='A man sits in the back.', mentions=(Mention(start=0, stop=2, words='A man', chain=3, \
type='people'), Mention(start=4, stop=6, words='the back', chain=0, type='notvisual')))
    """
    pieces: list[str] = []
    mentions = []
    count, glued, at = 0, False, 0
    while at < len(line):
        opened = line.find("[", at)
        outside = line[at:opened] if opened >= 0 else line[at:]
        if "]" in outside:
            raise _broken(where, outside[max(0, outside.index("]") - 40) :], "] without [")
        _, count, glued = _append(outside, count, glued)
        pieces.append(outside)
        if opened < 0:
            break
        closed = line.find("]", opened)
        inside = line[opened + 1 : closed]
        if closed < 0 or "[" in inside:
            raise _broken(where, line[opened:], "[ without ]")
        chain, kind, words = _tag(inside, where)
        first, count, glued = _append(words, count, glued)
        mentions.append(Mention(first, count, clean(words), chain, kind))
        pieces.append(words)
        at = closed + 1
    return Sentence(clean("".join(pieces)), tuple(mentions))


def _append(text: str, count: int, glued: bool) -> tuple[int, int, bool]:
    """First word of ``text`` after ``count`` words, the new count, and whether more text would touch it."""
    if not text:
        return count, count, glued
    first = count - (glued and not text[0].isspace())
    return first, first + len(text.split()), not text[-1].isspace()


def _tag(inside: str, where: str) -> tuple[int, str, str]:
    """Chain, type and words of what stands in brackets."""
    parts = inside.split(None, 1)
    match = _TAG.fullmatch(parts[0]) if len(parts) == 2 else None
    if match is None:
        raise _broken(where, f"[{inside}]", "no chain, type and words")
    return int(match[1]), match[2], parts[1]


def _broken(where: str, found: str, why: str) -> DataError:
    return DataError(
        f"{where}: expected [/EN#<chain>/<type> words], found {found[:60]!r} ({why}); "
        "correct the line or pass on_odd='skip'"
    )


def read_sentences(path: Path, on_odd: str = "raise") -> tuple[list[Sentence], int]:
    """The sentences of one image, in their order, and how many had broken brackets.

    An empty line between others is an empty caption, which the caller decides about; empty lines at the end
    are not counted. With ``on_odd="skip"`` a sentence with broken brackets keeps its words and no phrase.

    Raises:
        DataError: the file is missing, empty or not UTF-8; a bracket is broken (``on_odd="raise"``).

    >>> read_sentences(Path("no/such/1.txt"))
    Traceback (most recent call last):
    imtext.errors.DataError: no/such/1.txt: expected a readable file, found: No such file ...
    """
    text = read_text(path).rstrip()
    if not text:
        raise DataError(f"{path}: expected one sentence a line, found none; unpack annotations.zip again")
    sentences, broken = [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            sentences.append(parse_sentence(line, f"{path}, line {number}"))
        except DataError:
            if on_odd == "raise":
                raise
            broken += 1
            plain = re.sub(r"\[/EN#[^\s\]]*|[\[\]]", " ", line)
            sentences.append(Sentence(clean(plain)))
    return sentences, broken


def read_annotation(path: Path, image_id: str, on_odd: str = "raise") -> Annotation:
    """The boxes of one image.

    The file counts pixels from 1, both ends inclusive; here they count from 0. A box that lies one pixel over
    an edge of the image is clipped. With ``on_odd="skip"`` a box that lies further out, or ends before it
    begins, is left out and counted.

    Raises:
        DataError: the file is missing, not UTF-8, no XML, has a document type or entities, or is that of
            another image; a size, a chain or a corner is missing or no number; a box is odd
            (``on_odd="raise"``).

    >>> read_annotation(Path("no/such/1.xml"), "1")
    Traceback (most recent call last):
    imtext.errors.DataError: no/such/1.xml: expected a readable file, found: No such file ...
    """
    root = _xml(path)
    file = (root.findtext("filename") or "").strip()
    if file and file.rpartition(".")[0] != image_id and file != image_id:
        raise DataError(
            f"{path}: expected the annotation of image {image_id}, found <filename> {file[:60]!r}; "
            "unpack annotations.zip again"
        )
    width, height = (_number(root, f"size/{side}", str(path)) for side in ("width", "height"))
    boxes: list[tuple[int, ...]] = []
    chain_of_box: list[int] = []
    named: set[int] = set()
    clipped = odd = 0
    for number, item in enumerate(root.findall("object"), start=1):
        where = f"{path}, object {number}"
        chains = _chains(item, where)
        named.update(chains)
        for box in _boxes(item, where):
            corners = tuple(_number(box, side, where) for side in _SIDES)
            fitted = _fit(corners, width, height)
            if fitted is not None:
                clipped += fitted != corners
                boxes += [tuple(value - 1 for value in fitted)] * len(chains)
                chain_of_box += chains
            elif on_odd == "raise":
                raise _outside(where, corners, width, height)
            else:
                odd += 1
    return Annotation(tuple(boxes), tuple(chain_of_box), frozenset(named), clipped, odd)


def _xml(path: Path) -> Any:
    """The root of an annotation; nothing in the file can make the parser expand or open anything."""
    # As text: an encoding that the file declares could otherwise ask for any codec.
    text = read_text(path)
    try:
        root = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: expected plain XML, found a document type or an entity ({type(error).__name__}); "
            "unpack annotations.zip again"
        ) from None
    except (ParseError, ValueError) as error:
        raise DataError(
            f"{path}: expected complete XML, found {error}; unpack annotations.zip again"
        ) from None
    if root.tag != "annotation":
        raise DataError(
            f"{path}: expected <annotation> at the top, found <{root.tag[:40]}>; unpack annotations.zip again"
        )
    return root


def _number(element: Any, tag: str, where: str) -> int:
    text = (element.findtext(tag) or "").strip()
    if not _NUMBER.fullmatch(text):
        found = repr(text[:40]) if text else "nothing"
        raise DataError(f"{where}: expected <{tag}> as a whole number, found {found}; correct the file")
    return int(text)


def _chains(item: Any, where: str) -> list[int]:
    """The chains of an object, each once."""
    names = [(name.text or "").strip() for name in item.findall("name")]
    wrong = next((name for name in names if not _CHAIN.fullmatch(name)), None)
    if not names or wrong is not None:
        found = "none" if not names else repr(wrong[:40])
        raise DataError(
            f"{where}: expected <name> with the number of a chain, found {found}; correct the file"
        )
    return list(dict.fromkeys(map(int, names)))


def _boxes(item: Any, where: str) -> list[Any]:
    boxes = item.findall("bndbox")
    if not boxes and item.find("scene") is None and item.find("nobndbox") is None:
        raise DataError(
            f"{where}: expected <bndbox>, or <scene> and <nobndbox>, found none of them; correct the file"
        )
    return boxes


def _fit(corners: tuple[int, ...], width: int, height: int) -> tuple[int, ...] | None:
    """The box within the image, both counted from 1; None where it is odd by more than one pixel.

    >>> _fit((0, 1, 11, 8), 10, 8), _fit((1, 1, 12, 8), 10, 8), _fit((5, 1, 4, 8), 10, 8)
    ((1, 1, 10, 8), None, None)
    """
    limits = (width, height, width, height)
    fitted = tuple(min(max(value, 1), limit) for value, limit in zip(corners, limits, strict=True))
    far = any(abs(a - b) > 1 for a, b in zip(corners, fitted, strict=True))
    inverted = corners[2] < corners[0] or corners[3] < corners[1]
    return None if far or inverted or min(width, height) < 1 else fitted


def _outside(where: str, corners: tuple[int, ...], width: int, height: int) -> DataError:
    found = ", ".join(f"{side} {value}" for side, value in zip(_SIDES, corners, strict=True))
    return DataError(
        f"{where}: expected a box within {width} x {height} pixels, counted from 1, found {found}; "
        "correct the file or pass on_odd='skip'"
    )


def read_unrelated(path: Path) -> dict[str, dict[int, str]]:
    """The captions that do not describe their image: for each image id, the line that names each number.

    Raises:
        DataError: the file is missing or not UTF-8, or a line has another form.
    """
    listed: dict[str, dict[int, str]] = {}
    for number, line in read_lines(path):
        if line.lstrip().startswith("#"):
            continue
        match = _UNRELATED.fullmatch(line.strip())
        if match is None:
            raise DataError(
                f"{path}, line {number}: expected an image id and the number of a sentence, from 1, "
                f"found {line[:60]!r}; correct the line or fetch the file again"
            )
        listed.setdefault(match[1], {})[int(match[2])] = f"{path}, line {number}"
    return listed
