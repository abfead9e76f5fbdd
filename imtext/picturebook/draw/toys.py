"""Things to hold, throw, carry or play, each in units of its own height."""

from __future__ import annotations

import math
from typing import Any

from ..world import COLOURS
from .canvas import Colour, Frame, shade

WOOD = (150, 100, 58)
METAL = (92, 96, 106)


def _stripe(fill: Colour) -> Colour:
    return (252, 252, 248) if sum(fill) < 640 else (214, 60, 60)


def ball(f: Frame, thing: dict[str, Any]) -> None:
    """A ball, plain or striped."""
    fill = COLOURS[thing["colour"]]
    f.ball(0, 0.5, 0.5, fill)
    if thing.get("pattern") == "striped":
        tone = _stripe(fill)
        for x in (-0.24, 0.24):
            f.poly(
                [
                    (x * 0.4, 0.97),
                    (x - 0.09, 0.75),
                    (x - 0.09, 0.25),
                    (x * 0.4, 0.03),
                    (x + 0.09, 0.25),
                    (x + 0.09, 0.75),
                ],
                tone,
                False,
            )


def frisbee(f: Frame, thing: dict[str, Any]) -> None:
    """A flat disc seen from the side."""
    fill = COLOURS[thing["colour"]]
    f.oval(0, 0.42, 1.1, 0.42, shade(fill, 0.75))
    f.oval(0, 0.56, 1.1, 0.36, fill)
    f.oval(0, 0.6, 0.6, 0.18, shade(fill, 1.35), False)


def balloon(f: Frame, thing: dict[str, Any]) -> None:
    """A balloon on a string; the string's end is the origin."""
    fill = COLOURS[thing["colour"]]
    f.line([(0, 0), (0.02, 0.2), (-0.02, 0.4), (0, 0.58)], (90, 90, 96))
    f.poly([(-0.04, 0.53), (0.04, 0.53), (0, 0.6)], shade(fill, 0.8))
    f.oval(0, 0.78, 0.185, 0.22, shade(fill, 0.86))
    f.oval(-0.02, 0.795, 0.15, 0.18, fill, False)
    f.oval(-0.07, 0.87, 0.04, 0.055, shade(fill, 1.65), False)


def kite(f: Frame, thing: dict[str, Any]) -> None:
    """A diamond kite with a tail."""
    fill = COLOURS[thing["colour"]]
    f.line([(0, 0.3), (0.07, 0.2), (-0.04, 0.1), (0.03, 0.0)], (90, 90, 96))
    for x, y in ((0.05, 0.2), (-0.02, 0.09)):
        f.poly(
            [(x - 0.07, y + 0.03), (x + 0.07, y - 0.03), (x + 0.07, y + 0.03), (x - 0.07, y - 0.03)],
            _stripe(fill),
            False,
        )
    f.poly([(0, 1.0), (0.34, 0.68), (0, 0.28), (-0.34, 0.68)], fill)
    f.poly([(0, 1.0), (0.34, 0.68), (0, 0.68)], shade(fill, 1.35), False)
    f.poly([(0, 0.28), (-0.34, 0.68), (0, 0.68)], shade(fill, 0.8), False)
    f.line([(0, 0.98), (0, 0.3)], shade(fill, 0.5))
    f.line([(-0.33, 0.68), (0.33, 0.68)], shade(fill, 0.5))


def umbrella(f: Frame, thing: dict[str, Any]) -> None:
    """An open umbrella; the handle's end is the origin."""
    fill = COLOURS[thing["colour"]]
    f.limb([(0, 0.02), (0, 0.9)], 0.035, METAL)
    rim = [
        (0.5 * math.cos(math.radians(a)), 0.52 + 0.44 * math.sin(math.radians(a))) for a in range(0, 181, 15)
    ]
    scallop = [
        (-0.375, 0.57),
        (-0.25, 0.52),
        (-0.125, 0.57),
        (0, 0.52),
        (0.125, 0.57),
        (0.25, 0.52),
        (0.375, 0.57),
    ]
    f.poly([*rim, *scallop], fill)
    light = _stripe(fill) if thing.get("seed", 0) % 3 == 0 else shade(fill, 0.78)
    f.poly([(0, 0.96), (-0.2, 0.9), (-0.375, 0.57), (-0.25, 0.52), (-0.125, 0.57)], light, False)
    f.poly([(0, 0.96), (0.2, 0.9), (0.375, 0.57), (0.25, 0.52), (0.125, 0.57)], light, False)
    f.oval(0, 0.97, 0.025, 0.03, METAL)


def flag(f: Frame, thing: dict[str, Any]) -> None:
    """A flag on a pole."""
    fill = COLOURS[thing["colour"]]
    f.limb([(-0.2, 0.02), (-0.2, 0.98)], 0.026, (176, 140, 90))
    f.poly(
        [
            (-0.19, 0.98),
            (0.0, 0.93),
            (0.14, 0.99),
            (0.32, 0.94),
            (0.32, 0.64),
            (0.14, 0.69),
            (0.0, 0.63),
            (-0.19, 0.68),
        ],
        fill,
    )
    f.poly([(0.0, 0.93), (0.14, 0.99), (0.14, 0.69), (0.0, 0.63)], shade(fill, 0.84), False)


def guitar(f: Frame, thing: dict[str, Any]) -> None:
    """A guitar standing on its body."""
    fill = COLOURS[thing["colour"]]
    f.limb([(0, 0.4), (0, 0.9)], 0.055, (92, 58, 36))
    f.rect(-0.05, 0.88, 0.05, 1.0, (70, 44, 30))
    f.oval(0, 0.2, 0.2, 0.2, fill)
    f.oval(0, 0.44, 0.145, 0.14, fill)
    f.oval(0, 0.32, 0.13, 0.14, fill, False)
    f.oval(0, 0.34, 0.062, 0.062, (40, 28, 24))
    f.rect(-0.07, 0.13, 0.07, 0.165, (60, 40, 30), False)


def drum(f: Frame, thing: dict[str, Any]) -> None:
    """A drum with a white skin."""
    fill = COLOURS[thing["colour"]]
    f.poly([(-0.48, 0.14), (-0.3, 0.02), (0.3, 0.02), (0.48, 0.14), (0.48, 0.78), (-0.48, 0.78)], fill)
    for x in (-0.4, -0.13, 0.14):
        f.line([(x, 0.1), (x + 0.13, 0.72), (x + 0.26, 0.1)], (250, 246, 230), 0.03)
    f.oval(0, 0.8, 0.48, 0.15, (250, 246, 234))
    f.limb([(-0.1, 0.86), (0.46, 1.04)], 0.05, WOOD)


def book(f: Frame, thing: dict[str, Any]) -> None:
    """An open book seen from its cover."""
    fill = COLOURS[thing["colour"]]
    f.poly([(-0.66, 0.1), (-0.66, 0.98), (0.0, 0.86), (0.66, 0.98), (0.66, 0.1), (0.0, 0.0)], (250, 248, 238))
    f.poly([(-0.72, 0.02), (-0.72, 0.88), (0.0, 0.76), (0.72, 0.88), (0.72, 0.02), (0.0, -0.08)], fill)
    f.line([(0, -0.08), (0, 0.78)], shade(fill, 0.55), 0.06)


def barbell(f: Frame, thing: dict[str, Any]) -> None:
    """A bar with two weights on each side."""
    fill = COLOURS[thing["colour"]]
    f.limb([(-1.7, 0.5), (1.7, 0.5)], 0.12, (186, 190, 198))
    for x, r in ((-1.28, 0.5), (-1.05, 0.38), (1.05, 0.38), (1.28, 0.5)):
        f.rect(x - 0.1, 0.5 - r, x + 0.1, 0.5 + r, fill)


def cake(f: Frame, thing: dict[str, Any]) -> None:
    """A cake with candles."""
    fill = COLOURS[thing["colour"]]
    f.oval(0, 0.08, 0.58, 0.09, (236, 236, 240))
    f.rect(-0.46, 0.1, 0.46, 0.58, fill)
    f.oval(0, 0.58, 0.46, 0.1, shade(fill, 1.4))
    for x in (-0.34, -0.12, 0.1, 0.32):
        f.oval(x, 0.5, 0.1, 0.09, shade(fill, 1.4), False)
    for x in (-0.2, 0.0, 0.2):
        f.limb([(x, 0.62), (x, 0.84)], 0.05, (90, 150, 230))
        f.oval(x, 0.92, 0.05, 0.08, (255, 190, 60), False)


def flowers(f: Frame, thing: dict[str, Any]) -> None:
    """A bunch of flowers."""
    fill = COLOURS[thing["colour"]]
    tips = ((-0.28, 0.72), (0.0, 0.86), (0.28, 0.72), (-0.14, 0.6), (0.14, 0.6))
    for x, y in tips:
        f.limb([(0, 0.04), (x, y)], 0.05, (58, 140, 66), False)
    for x, y in tips:
        for a in range(5):
            f.oval(x + 0.09 * math.cos(a * 1.257), y + 0.09 * math.sin(a * 1.257), 0.085, 0.085, fill, a == 0)
        f.oval(x, y, 0.06, 0.06, (250, 214, 70) if thing["colour"] != "yellow" else (150, 90, 40), False)
    f.limb([(-0.07, 0.26), (0.07, 0.26)], 0.07, (236, 236, 240))


def stick(f: Frame, thing: dict[str, Any]) -> None:
    """A stick."""
    f.limb([(-3.0, 0.5), (3.0, 0.5)], 0.8, (122, 82, 48))
    f.limb([(0.9, 0.5), (2.0, 1.6)], 0.5, (122, 82, 48))


def surfboard(f: Frame, thing: dict[str, Any]) -> None:
    """A surfboard on its tail."""
    fill = COLOURS[thing["colour"]]
    f.blob(((0, 1.04), (-0.15, 0.78), (-0.17, 0.4), (-0.1, 0.0), (0.1, 0.0), (0.17, 0.4), (0.15, 0.78)), fill)
    f.line([(0, 0.06), (0, 0.94)], _stripe(fill), 0.035)
