"""Where people walk: portrait backdrops with a few things in them, all jittered."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from ..world import CARS, DISTANT, PLACES
from .canvas import Canvas, shade
from .ground import texture


@lru_cache(maxsize=64)
def _base(name: str, variant: int, wide: int, high: int) -> Image.Image:
    """Plain colours and texture of a place, wider than the picture so that a window can be cut from it."""
    place = PLACES[name]
    above, far, near = (np.array(c, np.float32) for c in place.tones[variant])
    horizon = round(place.horizon * high)
    t = np.linspace(0, 1, horizon, dtype=np.float32)[:, None]
    u = np.linspace(0, 1, high - horizon, dtype=np.float32)[:, None]
    rows = np.concatenate([above * (0.92 + 0.12 * t), far + (near - far) * u])[:, None, :]
    strength = np.full((high, 1, 1), place.grain * 0.45, np.float32)
    strength[horizon:] = place.grain
    pixels = rows + texture(high)[:, :, None] * strength
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _houses(c: Canvas, rng: random.Random, low: float) -> None:
    """House fronts down to `low`, with rows of windows."""
    x = -rng.uniform(0.0, 0.3)
    while x < 1:
        wide, top = rng.uniform(0.35, 0.7), rng.uniform(-0.1, 0.12)
        tone = rng.choice(DISTANT)
        c.rect(x, top, x + wide, low, tone)
        glass = rng.choice(((84, 100, 122), (188, 204, 214), (60, 66, 78)))
        n = rng.choice((2, 3))
        for row in np.arange(max(top, 0) + 0.04, low - 0.1, 0.13):
            for k in range(n):
                a = x + wide * (k + 0.24) / n
                c.rect(a, row, a + wide * 0.5 / n, row + 0.075, glass, shade(tone, 0.7))
        x += wide


def _street(c: Canvas, rng: random.Random, h: float) -> None:
    _houses(c, rng, h - 0.02)
    c.rect(0, h - 0.025, 1, h + 0.02, (170, 168, 162))
    if rng.random() < 0.5:
        _car(c, rng, rng.choice((-0.1, 0.75)), h + 0.05)
    if rng.random() < 0.5:
        x = rng.choice((0.1, 0.88))
        c.line(((x, -0.1), (x, h + 0.12)), (74, 78, 82), 0.014)
    y = rng.uniform(0.7, 0.8)
    c.line(((0, y), (1, y + rng.uniform(-0.04, 0.04))), (150, 150, 150), 0.006)


def _car(c: Canvas, rng: random.Random, x: float, low: float) -> None:
    """A parked car, its wheels at `low`."""
    tone = rng.choice(CARS)
    c.poly(
        ((x + 0.05, low - 0.07), (x + 0.16, low - 0.13), (x + 0.46, low - 0.13), (x + 0.58, low - 0.07)),
        shade(tone, 0.9),
    )
    c.poly(
        ((x + 0.11, low - 0.072), (x + 0.19, low - 0.12), (x + 0.43, low - 0.12), (x + 0.51, low - 0.072)),
        (150, 178, 196),
    )
    c.rect(x, low - 0.075, x + 0.66, low - 0.015, tone)
    for dx in (0.13, 0.53):
        c.oval(x + dx, low - 0.012, 0.062, 0.028, (34, 34, 38))


def _wall(c: Canvas, rng: random.Random, h: float) -> None:
    if rng.random() < 0.55:
        rows = 18
        dark = (40, 30, 28, 46)
        for k in range(rows):
            y = h * k / rows
            c.line(((0, y), (1, y)), dark)
            for j in range(5):
                x = (j + (k % 2) * 0.5) / 4.2
                c.line(((x, y), (x, y + h / rows)), dark)
    else:
        for x in (0.2, 0.75):
            c.line(((x + rng.uniform(-0.1, 0.1), 0), (x, h)), (60, 60, 60, 60))
    if rng.random() < 0.4:
        x = rng.choice((-0.1, 0.72))
        tone = rng.choice(DISTANT)
        c.rect(x, 0.16, x + 0.36, h, shade(tone, 0.8), shade(tone, 0.5))
        c.rect(x + 0.05, 0.22, x + 0.31, 0.4, shade(tone, 0.95))
    c.rect(0, h - 0.02, 1, h, (90, 88, 86, 130))


def _park(c: Canvas, rng: random.Random, h: float) -> None:
    c.rect(0, h - 0.12, 1, h, (96, 138, 84))
    for _ in range(rng.choice((2, 3, 4))):
        x, r = rng.uniform(-0.1, 1.1), rng.uniform(0.16, 0.34)
        low = h + rng.uniform(-0.02, 0.04)
        c.rect(x - 0.03, low - 0.26, x + 0.03, low, (106, 80, 58))
        green = rng.choice(((70, 122, 62), (92, 146, 70), (112, 140, 60), (58, 104, 66)))
        for dx, dy, s in ((-0.5, 0.0, 0.8), (0.5, 0.02, 0.8), (0.0, -0.09, 1.0), (0.0, 0.04, 0.9)):
            c.oval(x + dx * r, low - 0.3 + dy, r * s, r * s * 0.42, shade(green, 0.94 + dy))
    if rng.random() < 0.6:
        x = rng.uniform(0.1, 0.9)
        c.poly(
            (
                (x - 0.08, h),
                (x + 0.08, h),
                (rng.uniform(0.9, 1.4), 1),
                (rng.uniform(-0.4, 0.1), 1),
            ),
            (196, 180, 150),
        )


def _corridor(c: Canvas, rng: random.Random, h: float) -> None:
    x = rng.uniform(0.3, 0.7)
    far, y = 0.13, h - 0.1
    c.poly(((0, 0), (x - far, 0.22), (x - far, y), (0, 0.92)), (0, 0, 0, 26))
    c.poly(((1, 0), (x + far, 0.22), (x + far, y), (1, 0.92)), (255, 255, 255, 40))
    c.rect(x - far, 0.22, x + far, y, (168, 174, 176))
    c.poly(((0, 0.92), (x - far, y), (x + far, y), (1, 0.92), (1, 1), (0, 1)), (140, 128, 112, 90))
    c.poly(((x - 0.1, 0), (x + 0.1, 0), (x + 0.03, 0.2), (x - 0.03, 0.2)), (255, 255, 244))
    for s, edge in ((-1, 0.0), (1, 1.0)):
        a, b = x + s * far + (edge - x - s * far) * 0.4, x + s * far + (edge - x - s * far) * 0.75
        door = rng.choice(((146, 104, 72), (96, 120, 140), (176, 164, 148)))
        c.poly(((a, 0.22), (b, 0.14), (b, h + 0.17), (a, h + 0.02)), door)


def _crossing(c: Canvas, rng: random.Random, h: float) -> None:
    _houses(c, rng, h - 0.01)
    c.rect(0, h - 0.02, 1, h + 0.01, (176, 174, 170))
    shift = rng.uniform(-0.2, 0.2)
    y, high = h + 0.07 + rng.uniform(0, 0.05), 0.05
    while y < 1:
        c.poly(
            (
                (-0.1, y + shift * 0.2),
                (1.1, y - shift * 0.2),
                (1.1, y + high - shift * 0.2),
                (-0.1, y + high + shift * 0.2),
            ),
            (226, 226, 220),
        )
        y, high = y + high * 1.95, high * 1.22
    if rng.random() < 0.6:
        x = rng.choice((0.1, 0.9))
        c.line(((x, 0.1), (x, h)), (60, 62, 66), 0.012)
        c.rect(x - 0.06, 0.05, x + 0.06, 0.17, (40, 42, 46))
        c.oval(x, 0.08, 0.035, 0.016, (210, 60, 50))
        c.oval(x, 0.14, 0.035, 0.016, (80, 180, 100))


def _shop(c: Canvas, rng: random.Random, h: float) -> None:
    x = -rng.uniform(0.0, 0.35)
    while x < 1:
        wide = rng.uniform(0.5, 0.8)
        c.rect(x + 0.04, 0.14, x + wide, h - 0.07, (190, 206, 210), (50, 50, 52))
        for k in range(3):
            a = x + 0.1 + k * wide * 0.28
            tone = rng.choice(DISTANT)
            c.rect(a, rng.uniform(0.3, 0.42), a + wide * 0.16, h - 0.09, shade(tone, 1.2))
        c.poly(
            ((x + 0.08, 0.16), (x + 0.2, 0.16), (x + 0.1, h - 0.09), (x + 0.06, h - 0.09)),
            (255, 255, 255, 60),
        )
        x += wide + 0.04
    tone = rng.choice(((176, 52, 52), (48, 96, 132), (60, 110, 78), (196, 150, 62)))
    n = 8
    for k in range(n):
        c.rect(k / n, 0.0, (k + 1) / n, 0.11, tone if k % 2 else (234, 230, 220))
    c.rect(0, 0.11, 1, 0.125, shade(tone, 0.6))
    c.rect(0, h - 0.02, 1, h, (96, 92, 90))


def _station(c: Canvas, rng: random.Random, h: float) -> None:
    tone = rng.choice(((60, 100, 160), (190, 60, 56), (70, 130, 96), (214, 170, 60)))
    y = h
    if rng.random() < 0.55:
        c.rect(0, 0.1, 1, y - 0.03, (206, 210, 212))
        c.rect(0, y - 0.16, 1, y - 0.1, tone)
        for k in range(3):
            a = rng.uniform(-0.05, 0.02) + k * 0.36
            c.rect(a, 0.17, a + 0.26, 0.33, (70, 86, 100), (150, 154, 156))
    else:
        for k in range(9):
            c.line(((0, y * k / 9), (1, y * k / 9)), (120, 126, 128, 110))
            c.line(((k / 6, 0), (k / 6, y)), (120, 126, 128, 110))
        c.rect(rng.uniform(0.0, 0.2), 0.12, rng.uniform(0.5, 0.8), 0.24, tone)
    c.rect(0, y - 0.03, 1, y, (92, 94, 96))
    edge = rng.uniform(0.64, 0.72)
    c.line(((0, edge), (1, edge)), (226, 192, 60), 0.016)


def _car_park(c: Canvas, rng: random.Random, h: float) -> None:
    if rng.random() < 0.5:
        c.rect(0, h - 0.2, 1, h, (104, 132, 92))
    else:
        _houses(c, rng, h)
    x = -rng.uniform(0.1, 0.5)
    while x < 1:
        _car(c, rng, x, h + 0.07)
        x += 0.74
    for k in (0.1, 0.5, 0.9):
        a = k + rng.uniform(-0.05, 0.05)
        c.line(((a, h + 0.12), (a + (a - 0.5) * 0.7, 1)), (214, 214, 208), 0.007)


def _stairs(c: Canvas, rng: random.Random, h: float) -> None:
    y, high = h, 0.035
    while y < 1:
        c.rect(0, y, 1, y + high * 0.4, (0, 0, 0, 54))
        c.rect(0, y + high * 0.4, 1, y + high * 0.5, (255, 255, 255, 50))
        y, high = y + high, high * 1.1
    x = rng.choice((0.06, 0.94))
    c.line(((x, 0.1), (x, 0.9)), (120, 120, 124), 0.008)
    c.line(((0.5, 0.05), (x, 0.12), (x * 1.2 - 0.1, 0.6)), (120, 120, 124), 0.01)
    if rng.random() < 0.5:
        _houses(c, rng, h - 0.06)


THINGS: dict[str, Callable[[Canvas, random.Random, float], None]] = {
    "street": _street,
    "wall": _wall,
    "park": _park,
    "corridor": _corridor,
    "crossing": _crossing,
    "shop": _shop,
    "station": _station,
    "car park": _car_park,
    "stairs": _stairs,
}


def backdrop(name: str, wide: int, high: int, rng: random.Random) -> Canvas:
    """The picture of a place, `wide` x `high` pixels, without people."""
    place = PLACES[name]
    base = _base(name, rng.randrange(len(place.tones)), wide, high)
    left = rng.randrange(high - wide)
    canvas = Canvas(base.crop((left, 0, left + wide, high)))
    THINGS[name](canvas, rng, place.horizon)
    return canvas
