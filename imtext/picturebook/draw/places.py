"""Where people walk: portrait backdrops with a few things in them, all jittered."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ..world import PLACES, RGB
from .canvas import Colour, shade
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


class Painter:
    """Shapes in parts of the picture: x from left, y from the top, both 0 to 1."""

    def __init__(self, image: Image.Image, rng: random.Random, horizon: float) -> None:
        self.w, self.h = image.size
        self.pen = ImageDraw.Draw(image, "RGBA")
        self.rng, self.horizon = rng, horizon

    def poly(self, points: Sequence[tuple[float, float]], fill: Colour) -> None:
        """A polygon."""
        self.pen.polygon([(x * self.w, y * self.h) for x, y in points], fill=fill)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, edge: Colour | None = None
    ) -> None:
        """A rectangle."""
        x0, x1 = sorted((x0, x1))
        y0, y1 = sorted((y0, y1))
        self.pen.rectangle((x0 * self.w, y0 * self.h, x1 * self.w, y1 * self.h), fill=fill, outline=edge)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """An ellipse; `rx` in picture widths, `ry` in heights."""
        self.pen.ellipse(
            ((x - rx) * self.w, (y - ry) * self.h, (x + rx) * self.w, (y + ry) * self.h), fill=fill
        )

    def line(self, points: Sequence[tuple[float, float]], fill: Colour, width: float = 0.004) -> None:
        """A line; `width` in heights."""
        self.pen.line(
            [(x * self.w, y * self.h) for x, y in points], fill=fill, width=max(1, round(width * self.h))
        )

    def soft(self) -> RGB:
        """A muted colour of things in the distance."""
        return self.rng.choice(
            (
                (150, 96, 84),
                (112, 126, 146),
                (172, 160, 132),
                (98, 118, 104),
                (140, 132, 140),
                (190, 178, 160),
                (92, 98, 112),
            )
        )


def _houses(p: Painter, low: float) -> None:
    """House fronts down to `low`, with rows of windows."""
    rng = p.rng
    x = -rng.uniform(0.0, 0.3)
    while x < 1:
        wide, top = rng.uniform(0.35, 0.7), rng.uniform(-0.1, 0.12)
        tone = p.soft()
        p.rect(x, top, x + wide, low, tone)
        glass = rng.choice(((84, 100, 122), (188, 204, 214), (60, 66, 78)))
        n = rng.choice((2, 3))
        for row in np.arange(max(top, 0) + 0.04, low - 0.1, 0.13):
            for k in range(n):
                a = x + wide * (k + 0.24) / n
                p.rect(a, row, a + wide * 0.5 / n, row + 0.075, glass, shade(tone, 0.7))
        x += wide


def _street(p: Painter) -> None:
    _houses(p, p.horizon - 0.02)
    p.rect(0, p.horizon - 0.025, 1, p.horizon + 0.02, (170, 168, 162))
    if p.rng.random() < 0.5:
        _car(p, p.rng.choice((-0.1, 0.75)), p.horizon + 0.05)
    if p.rng.random() < 0.5:
        x = p.rng.choice((0.1, 0.88))
        p.line(((x, -0.1), (x, p.horizon + 0.12)), (74, 78, 82), 0.014)
    y = p.rng.uniform(0.7, 0.8)
    p.line(((0, y), (1, y + p.rng.uniform(-0.04, 0.04))), (150, 150, 150), 0.006)


def _car(p: Painter, x: float, low: float) -> None:
    """A parked car, its wheels at `low`."""
    tone = p.rng.choice(
        ((178, 48, 48), (60, 84, 140), (216, 216, 214), (52, 54, 60), (134, 138, 142), (70, 112, 88))
    )
    p.poly(
        ((x + 0.05, low - 0.07), (x + 0.16, low - 0.13), (x + 0.46, low - 0.13), (x + 0.58, low - 0.07)),
        shade(tone, 0.9),
    )
    p.poly(
        ((x + 0.11, low - 0.072), (x + 0.19, low - 0.12), (x + 0.43, low - 0.12), (x + 0.51, low - 0.072)),
        (150, 178, 196),
    )
    p.rect(x, low - 0.075, x + 0.66, low - 0.015, tone)
    for dx in (0.13, 0.53):
        p.oval(x + dx, low - 0.012, 0.062, 0.028, (34, 34, 38))


def _wall(p: Painter) -> None:
    rng = p.rng
    if rng.random() < 0.55:
        rows = 18
        dark = (40, 30, 28, 46)
        for k in range(rows):
            y = p.horizon * k / rows
            p.line(((0, y), (1, y)), dark)
            for j in range(5):
                x = (j + (k % 2) * 0.5) / 4.2
                p.line(((x, y), (x, y + p.horizon / rows)), dark)
    else:
        for x in (0.2, 0.75):
            p.line(((x + rng.uniform(-0.1, 0.1), 0), (x, p.horizon)), (60, 60, 60, 60))
    if rng.random() < 0.4:
        x = rng.choice((-0.1, 0.72))
        tone = p.soft()
        p.rect(x, 0.16, x + 0.36, p.horizon, shade(tone, 0.8), shade(tone, 0.5))
        p.rect(x + 0.05, 0.22, x + 0.31, 0.4, shade(tone, 0.95))
    p.rect(0, p.horizon - 0.02, 1, p.horizon, (90, 88, 86, 130))


def _park(p: Painter) -> None:
    rng = p.rng
    p.rect(0, p.horizon - 0.12, 1, p.horizon, (96, 138, 84))
    for _ in range(rng.choice((2, 3, 4))):
        x, r = rng.uniform(-0.1, 1.1), rng.uniform(0.16, 0.34)
        low = p.horizon + rng.uniform(-0.02, 0.04)
        p.rect(x - 0.03, low - 0.26, x + 0.03, low, (106, 80, 58))
        green = rng.choice(((70, 122, 62), (92, 146, 70), (112, 140, 60), (58, 104, 66)))
        for dx, dy, s in ((-0.5, 0.0, 0.8), (0.5, 0.02, 0.8), (0.0, -0.09, 1.0), (0.0, 0.04, 0.9)):
            p.oval(x + dx * r, low - 0.3 + dy, r * s, r * s * 0.42, shade(green, 0.94 + dy))
    if rng.random() < 0.6:
        x = rng.uniform(0.1, 0.9)
        p.poly(
            (
                (x - 0.08, p.horizon),
                (x + 0.08, p.horizon),
                (rng.uniform(0.9, 1.4), 1),
                (rng.uniform(-0.4, 0.1), 1),
            ),
            (196, 180, 150),
        )


def _corridor(p: Painter) -> None:
    rng = p.rng
    x = rng.uniform(0.3, 0.7)
    far, y = 0.13, p.horizon - 0.1
    p.poly(((0, 0), (x - far, 0.22), (x - far, y), (0, 0.92)), (0, 0, 0, 26))
    p.poly(((1, 0), (x + far, 0.22), (x + far, y), (1, 0.92)), (255, 255, 255, 40))
    p.rect(x - far, 0.22, x + far, y, (168, 174, 176))
    p.poly(((0, 0.92), (x - far, y), (x + far, y), (1, 0.92), (1, 1), (0, 1)), (140, 128, 112, 90))
    p.poly(((x - 0.1, 0), (x + 0.1, 0), (x + 0.03, 0.2), (x - 0.03, 0.2)), (255, 255, 244))
    for s, edge in ((-1, 0.0), (1, 1.0)):
        a, b = x + s * far + (edge - x - s * far) * 0.4, x + s * far + (edge - x - s * far) * 0.75
        door = rng.choice(((146, 104, 72), (96, 120, 140), (176, 164, 148)))
        p.poly(((a, 0.22), (b, 0.14), (b, p.horizon + 0.17), (a, p.horizon + 0.02)), door)


def _crossing(p: Painter) -> None:
    _houses(p, p.horizon - 0.01)
    p.rect(0, p.horizon - 0.02, 1, p.horizon + 0.01, (176, 174, 170))
    shift = p.rng.uniform(-0.2, 0.2)
    y, high = p.horizon + 0.07 + p.rng.uniform(0, 0.05), 0.05
    while y < 1:
        p.poly(
            (
                (-0.1, y + shift * 0.2),
                (1.1, y - shift * 0.2),
                (1.1, y + high - shift * 0.2),
                (-0.1, y + high + shift * 0.2),
            ),
            (226, 226, 220),
        )
        y, high = y + high * 1.95, high * 1.22
    if p.rng.random() < 0.6:
        x = p.rng.choice((0.1, 0.9))
        p.line(((x, 0.1), (x, p.horizon)), (60, 62, 66), 0.012)
        p.rect(x - 0.06, 0.05, x + 0.06, 0.17, (40, 42, 46))
        p.oval(x, 0.08, 0.035, 0.016, (210, 60, 50))
        p.oval(x, 0.14, 0.035, 0.016, (80, 180, 100))


def _shop(p: Painter) -> None:
    rng = p.rng
    x = -rng.uniform(0.0, 0.35)
    while x < 1:
        wide = rng.uniform(0.5, 0.8)
        p.rect(x + 0.04, 0.14, x + wide, p.horizon - 0.07, (190, 206, 210), (50, 50, 52))
        for k in range(3):
            a = x + 0.1 + k * wide * 0.28
            tone = p.soft()
            p.rect(a, rng.uniform(0.3, 0.42), a + wide * 0.16, p.horizon - 0.09, shade(tone, 1.2))
        p.poly(
            ((x + 0.08, 0.16), (x + 0.2, 0.16), (x + 0.1, p.horizon - 0.09), (x + 0.06, p.horizon - 0.09)),
            (255, 255, 255, 60),
        )
        x += wide + 0.04
    tone = rng.choice(((176, 52, 52), (48, 96, 132), (60, 110, 78), (196, 150, 62)))
    n = 8
    for k in range(n):
        p.rect(k / n, 0.0, (k + 1) / n, 0.11, tone if k % 2 else (234, 230, 220))
    p.rect(0, 0.11, 1, 0.125, shade(tone, 0.6))
    p.rect(0, p.horizon - 0.02, 1, p.horizon, (96, 92, 90))


def _station(p: Painter) -> None:
    rng = p.rng
    tone = rng.choice(((60, 100, 160), (190, 60, 56), (70, 130, 96), (214, 170, 60)))
    y = p.horizon
    if rng.random() < 0.55:
        p.rect(0, 0.1, 1, y - 0.03, (206, 210, 212))
        p.rect(0, y - 0.16, 1, y - 0.1, tone)
        for k in range(3):
            a = rng.uniform(-0.05, 0.02) + k * 0.36
            p.rect(a, 0.17, a + 0.26, 0.33, (70, 86, 100), (150, 154, 156))
    else:
        for k in range(9):
            p.line(((0, y * k / 9), (1, y * k / 9)), (120, 126, 128, 110))
            p.line(((k / 6, 0), (k / 6, y)), (120, 126, 128, 110))
        p.rect(rng.uniform(0.0, 0.2), 0.12, rng.uniform(0.5, 0.8), 0.24, tone)
    p.rect(0, y - 0.03, 1, y, (92, 94, 96))
    edge = rng.uniform(0.64, 0.72)
    p.line(((0, edge), (1, edge)), (226, 192, 60), 0.016)


def _car_park(p: Painter) -> None:
    rng = p.rng
    if rng.random() < 0.5:
        p.rect(0, p.horizon - 0.2, 1, p.horizon, (104, 132, 92))
    else:
        _houses(p, p.horizon)
    x = -rng.uniform(0.1, 0.5)
    while x < 1:
        _car(p, x, p.horizon + 0.07)
        x += 0.74
    for k in (0.1, 0.5, 0.9):
        a = k + rng.uniform(-0.05, 0.05)
        p.line(((a, p.horizon + 0.12), (a + (a - 0.5) * 0.7, 1)), (214, 214, 208), 0.007)


def _stairs(p: Painter) -> None:
    y, high = p.horizon, 0.035
    while y < 1:
        p.rect(0, y, 1, y + high * 0.4, (0, 0, 0, 54))
        p.rect(0, y + high * 0.4, 1, y + high * 0.5, (255, 255, 255, 50))
        y, high = y + high, high * 1.1
    x = p.rng.choice((0.06, 0.94))
    p.line(((x, 0.1), (x, 0.9)), (120, 120, 124), 0.008)
    p.line(((0.5, 0.05), (x, 0.12), (x * 1.2 - 0.1, 0.6)), (120, 120, 124), 0.01)
    if p.rng.random() < 0.5:
        _houses(p, p.horizon - 0.06)


THINGS: dict[str, Callable[[Painter], None]] = {
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


def backdrop(name: str, wide: int, high: int, rng: random.Random) -> Image.Image:
    """The picture of a place, `wide` x `high` pixels, without people."""
    place = PLACES[name]
    base = _base(name, rng.randrange(len(place.tones)), wide, high)
    left = rng.randrange(high - wide)
    image = base.crop((left, 0, left + wide, high))
    THINGS[name](Painter(image, rng, place.horizon))
    return image
