"""Things as they stand in ``tables/drawings.toml``: strokes in a frame, some under conditions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from ..world import read
from .canvas import Colour, Frame, Point, outline, shade

LIGHT, DARK = 640, 300  # sums of red, green and blue


class Stroke(NamedTuple):
    """A shape, its colour (None for that of the thing, times ``tone``), a number, and its points."""

    when: tuple[tuple[str, bool], ...]
    shape: str
    colour: Colour | None
    tone: float
    number: float
    outlined: bool
    points: tuple[Point, ...]


def strokes(text: str) -> tuple[Stroke, ...]:
    """The strokes of a drawing; a line that begins with blanks goes on with the one before.

    >>> strokes("!red? line fill*.5 .02: 0 0, 1 1")[0][:5]
    ((('red', False),), 'line', None, 0.5, 0.02)
    """
    return tuple(map(_stroke, text.strip().replace("\n    ", " ").split("\n")))


def _stroke(line: str) -> Stroke:
    what, _, points = line.partition(":")
    words = what.split()
    when = tuple((word.strip("!?"), word[0] != "!") for word in words if word.endswith("?"))
    shape, colour, *more = words[len(when) :]
    numbers = [float(word) for word in more if word != "flat"]
    _, _, tone = colour.partition("*")
    rgb = tuple(bytes.fromhex(colour[1:])) if colour.startswith("#") else None
    return Stroke(when, shape, rgb, float(tone or 1), sum(numbers), "flat" not in more, outline(points))


_TABLES = read("drawings")
THINGS = {name: strokes(text) for name, text in _TABLES["things"].items()}
FEATURES = {name: {**row, "strokes": strokes(row["strokes"])} for name, row in _TABLES["features"].items()}


def facts_of(thing: dict[str, Any], fill: Colour) -> set[str]:
    """What the conditions of strokes ask for."""
    facts = {thing[field] for field in ("colour", "pattern", "action") if field in thing}
    if sum(fill) >= LIGHT:
        facts.add("light")
    if sum(fill) < DARK:
        facts.add("dark")
    if thing.get("seed", 0) % 3 == 0:
        facts.add("third")
    return facts


def draw(
    f: Frame,
    drawing: tuple[Stroke, ...],
    fill: Colour = (),
    facts: Collection[str] = (),
    at: Point = (0.0, 0.0),
    size: float = 1.0,
) -> None:
    """Draw the strokes whose conditions hold, in a thing's colour, around ``at`` and ``size`` high."""
    x, y = at
    for when, shape, colour, tone, number, outlined, points in drawing:
        if when and any((fact in facts) != holds for fact, holds in when):
            continue
        colour = colour or shade(fill, tone)
        path = tuple((x + size * p, y + size * q) for p, q in points)
        if shape in ("poly", "blob"):
            getattr(f, shape)(path, colour, outlined)
        elif shape == "rect":
            f.rect(*path[0], *path[1], colour, outlined)
        elif shape == "oval":
            wide, high = points[1]
            f.oval(*path[0], size * wide, size * high, colour, outlined, number)
        elif shape == "limb":
            f.limb(path, size * number, colour, outlined)
        elif shape == "line":
            f.line(path, colour, size * number)
        elif shape == "ball":
            f.ball(*path[0], size * number, colour)
        else:
            _spokes(f, *path[0], colour)


def _spokes(f: Frame, x: float, r: float, tyre: Colour) -> None:
    """An open wheel with spokes on the ground."""
    px, py = f.at(x, r)
    wide, rim = r * f.unit, (150, 150, 156)
    for grow, tone in ((1.0, tyre), (0.86, rim)):
        box = (px - wide * grow, py - wide * grow, px + wide * grow, py + wide * grow)
        f.pen.ellipse(box, outline=tone, width=max(1, round(wide * 0.13)))
    f.canvas.grow([(px - wide, py - wide), (px + wide, py + wide)])
    for dx, dy in ((1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7)):
        f.line([(x - r * dx * 0.85, r - r * dy * 0.85), (x + r * dx * 0.85, r + r * dy * 0.85)], rim)
