"""What lies behind people and things: sky, ground, walls, and what makes a setting."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from ..world import HOUSES, LEAVES, SETTINGS, SKIES
from .canvas import Canvas, Colour, mix, shade
from .drawings import FEATURES, draw


@lru_cache(maxsize=16)
def _texture(side: int) -> np.ndarray:
    """Noise of three grain sizes in -1..1, one tile per canvas size."""
    rng = np.random.default_rng(20)
    total = np.zeros((side, side), np.float32)
    for cells_y, cells_x, weight in ((side // 2, side // 3, 0.5), (side // 6, side // 14, 0.3), (24, 8, 0.3)):
        coarse = rng.random((max(cells_y, 2), max(cells_x, 2)), dtype=np.float32)
        image = Image.fromarray((coarse * 255).astype(np.uint8)).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        total += (np.asarray(image, np.float32) / 127.5 - 1) * weight
    return total


def _rows(setting: str, sky: str, wall: int, side: int) -> np.ndarray:
    """The plain gradients `(side, 1, 3)` of a setting."""
    place = SETTINGS[setting]
    horizon = round(place.horizon * side)
    if place.walls:
        base = np.array(place.walls[wall % len(place.walls)], np.float32)
        top, bottom = base * 0.94, np.minimum(base * 1.03, 255)
    else:
        top, bottom = (np.array(SKIES[sky][where], np.float32) for where in ("above", "low"))
    far, near, _ = place.ground
    t = np.linspace(0, 1, horizon, dtype=np.float32)[:, None]
    bent = t.astype(np.float64) ** 0.9  # processors differ in the last digit of a power, in float32 visibly
    above = top + (bottom - top) * bent.astype(np.float32)
    t = np.linspace(0, 1, side - horizon, dtype=np.float32)[:, None]
    below = np.array(far, np.float32) * (1 - t) + np.array(near, np.float32) * t
    return np.concatenate([above, below])[:, None, :]


@lru_cache(maxsize=64)
def _textured(setting: str, sky: str, wall: int, side: int) -> Image.Image:
    """Gradients and texture of a setting, drawn once per process."""
    horizon = round(SETTINGS[setting].horizon * side)
    strength = np.full((side, 1), 1.2, np.float32)
    strength[horizon:, 0] = SETTINGS[setting].ground[2] * np.linspace(0.6, 1.5, side - horizon)
    pixels = _rows(setting, sky, wall, side) + (_texture(side) * strength)[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def cloud(c: Canvas, x: float, y: float, w: float, fill: Colour) -> None:
    """A cloud of four discs."""
    f = c.frame(x, y, w)
    for dx, dy, r in ((-0.3, 0.0, 0.16), (0.0, 0.06, 0.24), (0.28, 0.0, 0.17), (0.08, -0.04, 0.2)):
        f.oval(dx, dy, r * 1.3, r, fill, False)


def tree(c: Canvas, x: float, y: float, h: float, rng: random.Random, leaf: Colour | None = None) -> None:
    """A broad-leaved tree."""
    f = c.frame(x, y, h)
    f.shadow(0, 0.5, 46)
    leaf = leaf or rng.choice(LEAVES)
    f.poly([(-0.07, 0), (0.07, 0), (0.035, 0.5), (-0.035, 0.5)], (112, 76, 50))
    for dx, dy, r in ((-0.2, 0.56, 0.2), (0.2, 0.56, 0.2), (0.0, 0.76, 0.26)):
        f.oval(dx, dy, r, r * 0.9, shade(leaf, 0.84))
    for dx, dy, r in ((-0.22, 0.6, 0.14), (0.14, 0.62, 0.14), (-0.04, 0.8, 0.19)):
        f.oval(dx, dy, r, r * 0.85, shade(leaf, 1.1), False)


def pine(c: Canvas, x: float, y: float, h: float, snowy: bool = False) -> None:
    """A fir tree, with snow on its branches where asked."""
    f = c.frame(x, y, h)
    f.rect(-0.04, 0, 0.04, 0.2, (100, 70, 50), False)
    for base, top, w in ((0.14, 0.56, 0.3), (0.38, 0.78, 0.24), (0.6, 1.0, 0.17)):
        f.poly([(-w, base), (0, top), (w, base)], (44, 106, 74))
        if snowy:
            f.poly(
                [
                    (-w * 0.45, base + (top - base) * 0.55),
                    (0, top),
                    (w * 0.45, base + (top - base) * 0.55),
                    (0, base + 0.16),
                ],
                (244, 248, 255),
                False,
            )


def hills(c: Canvas, rng: random.Random, base: float, height: float, fill: Colour) -> None:
    """A soft line of hills with its foot at `base`."""
    a, b = rng.uniform(0, 6), rng.uniform(5, 9)
    f = c.frame(0, base, 1.0)
    top = [
        (k / 16, height * (0.55 + 0.45 * math.sin(a + b * k / 16) * math.cos(a + 2.3 * k / 16)))
        for k in range(17)
    ]
    f.poly([(0, -0.01), *top, (1, -0.01)], fill, False)


def band(c: Canvas, y0: float, y1: float, far: Colour, near: Colour, steps: int = 10) -> None:
    """A horizontal band of water or road, shaded from far to near."""
    for k in range(steps):
        top, low = y0 + (y1 - y0) * k / steps, y0 + (y1 - y0) * (k + 1) / steps
        c.rect(0, top, 1, low, mix(far, near, k / (steps - 1)))


def ripples(c: Canvas, rng: random.Random, y0: float, y1: float, fill: Colour, n: int) -> None:
    """Short light strokes on water."""
    for _ in range(n):
        y = rng.uniform(y0, y1)
        x, w = rng.random(), rng.uniform(0.03, 0.1)
        c.pen.line((x * c.side, y * c.side, (x + w) * c.side, y * c.side), fill=fill, width=c.ink)


def sky(c: Canvas, kind: str, rng: random.Random, horizon: float) -> None:
    """Sun, clouds or stars."""
    if kind in ("sunny", "sunset"):
        x = rng.uniform(0.1, 0.9)
        f = c.frame(x, rng.uniform(0.08, 0.16) if kind == "sunny" else horizon * 0.8, 1.0)
        for r, alpha in ((0.13, 36), (0.1, 60)):
            f.oval(0, 0, r, r, (255, 244, 190, alpha), False)
        f.oval(0, 0, 0.065, 0.065, (255, 232, 110) if kind == "sunny" else (255, 206, 112), False)
    if kind == "starry":
        for _ in range(38):
            x, y = rng.random() * c.side, rng.random() * horizon * 0.8 * c.side
            c.pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(255, 250, 220, rng.randrange(90, 255)))
    tones = {
        "sunny": (255, 255, 255, 225),
        "cloudy": (236, 238, 242, 235),
        "rainy": (120, 128, 142, 235),
        "sunset": (255, 214, 196, 170),
        "snowing": (236, 240, 246, 220),
    }
    if kind in tones:
        for _ in range({"sunny": 2, "sunset": 2}.get(kind, 5)):
            cloud(c, rng.random(), rng.uniform(0.05, horizon * 0.5), rng.uniform(0.16, 0.3), tones[kind])


def park(c: Canvas, rng: random.Random, h: float) -> None:
    """Hedges and trees, now and then a path."""
    hills(c, rng, h + 0.02, 0.12, (96, 160, 92))
    for k in range(7):
        tree(c, k / 6 + rng.uniform(-0.06, 0.06), h + 0.03, rng.uniform(0.13, 0.22), rng)
    if rng.random() < 0.6:
        x = rng.uniform(0.2, 0.8)
        c.frame(0, 1, 1).poly(
            [(x, 1 - h - 0.03), (x + 0.05, 1 - h - 0.03), (x + 0.3, 0), (x - 0.1, 0)], (222, 202, 160), False
        )
    for side in rng.sample((0.04, 0.96), rng.choice((1, 2))):
        tree(c, side, h + 0.14, rng.uniform(0.5, 0.62), rng)


def beach(c: Canvas, rng: random.Random, h: float) -> None:
    """Sea with foam, and sand."""
    band(c, h, 0.62, (42, 120, 186), (84, 196, 208))
    ripples(c, rng, h + 0.02, 0.58, (200, 234, 244, 170), 14)
    f = c.frame(0, 0.62, 1.0)
    wave = [(k / 14, 0.012 * math.sin(k * 1.3 + rng.random())) for k in range(15)]
    f.poly([*wave, (1, -0.02), (0, -0.02)], (250, 252, 250), False)
    f.poly([*((x, y - 0.018) for x, y in wave), (1, -0.045), (0, -0.045)], (210, 184, 134), False)


def snow(c: Canvas, rng: random.Random, h: float) -> None:
    """White hills and snowy firs."""
    hills(c, rng, h + 0.02, 0.17, (204, 218, 238))
    hills(c, rng, h + 0.03, 0.09, (226, 235, 247))
    for _ in range(5):
        pine(c, rng.random(), h + rng.uniform(0.02, 0.06), rng.uniform(0.14, 0.3), True)


def _houses(c: Canvas, rng: random.Random, base: float, night: bool) -> None:
    x = -0.04
    while x < 1.0:
        w, top = rng.uniform(0.13, 0.24), rng.uniform(0.26, 0.46)
        fill = shade(rng.choice(HOUSES), 0.2) if night else rng.choice(HOUSES)
        f = c.frame(x, base, 1.0)
        f.rect(0, 0, w, top, fill)
        n, m = max(2, int(w / 0.062)), max(2, int(top / 0.085))
        for i in range(n):
            for j in range(m):
                lit = night and rng.random() < 0.45
                glass = (250, 214, 120) if lit else (40, 46, 70) if night else (206, 228, 238)
                px, py = (i + 0.28) * w / n, (j + 0.34) * top / m
                f.rect(px, py, px + w / n * 0.46, py + top / m * 0.46, glass, False)
        x += w


def street(c: Canvas, rng: random.Random, h: float, night: bool = False) -> None:
    """Houses, a pavement and a road with its line."""
    _houses(c, rng, h + 0.02, night)
    walk = (74, 76, 98) if night else (196, 192, 186)
    band(c, h + 0.02, h + 0.12, walk, shade(walk, 0.92), 3)
    c.rect(0, h + 0.12, 1, h + 0.135, shade(walk, 0.7))
    for k in range(5):
        x, y, side = (k * 0.24 + 0.02) * c.side, 0.8 * c.side, c.side
        low = [(x + 0.11 * side, y + 0.018 * side), (x - 0.01 * side, y + 0.018 * side)]
        line = (170, 166, 140) if night else (236, 226, 180)
        c.pen.polygon([(x, y), (x + 0.12 * side, y), *low], fill=line)


def night(c: Canvas, rng: random.Random, h: float) -> None:
    """The street in the dark."""
    street(c, rng, h, True)


def gym(c: Canvas, rng: random.Random, h: float) -> None:
    """A hall: high windows, a coloured band, lines on the boards."""
    f = c.frame(0, 1, 1)
    stripe = rng.choice(((200, 70, 60), (60, 110, 180), (70, 140, 90)))
    f.rect(0, 1 - h + 0.06, 1, 1 - h + 0.1, stripe, False)
    for k in range(4):
        f.rect(0.06 + k * 0.24, 0.86, 0.22 + k * 0.24, 0.96, (222, 238, 246))
    for k in range(1, 9):
        y = h + (1 - h) * (k / 9) ** 1.4
        c.pen.line((0, y * c.side, c.side, y * c.side), fill=(180, 122, 66, 120), width=1)
    f.poly(
        [(0, 1 - h - 0.15), (1, 1 - h - 0.15), (1, 1 - h - 0.165), (0, 1 - h - 0.165)], (246, 246, 240), False
    )
    x = rng.uniform(0.3, 0.7)
    px, py = x * c.side, 0.86 * c.side
    c.pen.ellipse(
        (px - 0.3 * c.side, py - 0.07 * c.side, px + 0.3 * c.side, py + 0.07 * c.side),
        outline=(210, 70, 60),
        width=c.ink + 1,
    )


def kitchen(c: Canvas, rng: random.Random, h: float) -> None:
    """Cupboards above and below a worktop, tiles on the floor."""
    f = c.frame(0, 1, 1)
    wood = rng.choice(((176, 206, 214), (232, 222, 200), (150, 186, 160), (214, 160, 130)))
    f.rect(0, 1 - h, 1, 1 - h + 0.2, wood)
    for k in range(6):
        f.rect(k / 6 + 0.01, 1 - h + 0.02, (k + 1) / 6 - 0.01, 1 - h + 0.175, shade(wood, 1.15))
        f.oval((k + 0.85) / 6, 1 - h + 0.12, 0.007, 0.007, (90, 80, 70), False)
    f.rect(0, 1 - h + 0.19, 1, 1 - h + 0.225, (110, 92, 84))
    for k in range(3):
        x = rng.choice((0.0, 0.5)) + k * 0.16
        f.rect(x + 0.005, 0.8, x + 0.155, 0.985, wood)
        f.oval(x + 0.135, 0.84, 0.007, 0.007, (90, 80, 70), False)
    for k in range(1, 6):
        y = h + (1 - h) * (k / 6) ** 1.3
        c.pen.line((0, y * c.side, c.side, y * c.side), fill=(182, 190, 196), width=1)
    for k in range(-4, 15):
        c.pen.line(
            (k / 10 * c.side, h * c.side, (0.5 + (k / 10 - 0.5) * 2.0) * c.side, c.side),
            fill=(182, 190, 196),
            width=1,
        )


def living_room(c: Canvas, rng: random.Random, h: float) -> None:
    """Papered wall, skirting and a rug."""
    tone = (255, 255, 255, 46)
    for k in range(10):
        x = (k + 0.2) / 10 * c.side
        c.pen.rectangle((x, 0, x + 0.04 * c.side, h * c.side), fill=tone)
    c.rect(0, h - 0.03, 1, h, (246, 240, 228))
    rug = rng.choice(((176, 74, 70), (70, 96, 140), (92, 132, 96), (204, 164, 96)))
    px, py, w = 0.5 * c.side, 0.87 * c.side, c.side
    for grow, fill in ((1.0, rug), (0.86, shade(rug, 1.4)), (0.8, rug)):
        box = (px - 0.44 * w * grow, py - 0.1 * w * grow, px + 0.44 * w * grow, py + 0.1 * w * grow)
        c.pen.ellipse(box, fill=fill)


def field(c: Canvas, rng: random.Random, h: float) -> None:
    """Rolling meadows with a few trees and tufts."""
    hills(c, rng, h + 0.02, 0.13, (126, 168, 96))
    hills(c, rng, h + 0.03, 0.07, (172, 186, 92))
    for _ in range(3):
        tree(c, rng.random(), h + 0.03, rng.uniform(0.08, 0.13), rng)
    for _ in range(26):
        x, y = rng.random(), rng.uniform(h + 0.05, 0.98)
        f = c.frame(x, y, 0.05 * (0.4 + y))
        f.line([(-0.25, 0.6), (0, 0), (0.05, 0.8), (0.05, 0), (0.3, 0.55)], (112, 146, 50))


def forest(c: Canvas, rng: random.Random, h: float) -> None:
    """Trunks in two depths under a canopy."""
    c.rect(0, 0, 1, h, (126, 168, 116, 150))
    for depth, n, tone in ((0, 9, (96, 116, 86)), (1, 6, (98, 72, 52))):
        for k in range(n):
            x, base = (k + rng.random()) / n, h + 0.02 + depth * 0.07
            w = (0.014, 0.03)[depth] * rng.uniform(0.8, 1.3)
            f = c.frame(x, base, 1.0)
            f.poly([(-w * 1.3, 0), (w * 1.3, 0), (w * 0.8, base), (-w * 0.8, base)], tone, depth == 1)
    for k in range(9):
        leaf = shade(rng.choice(LEAVES), rng.uniform(0.72, 0.98))
        c.frame(k / 8, rng.uniform(-0.02, 0.06), 1.0).oval(0, 0, 0.12, 0.09, leaf, False)
    for _ in range(12):
        x, y = rng.random(), rng.uniform(h + 0.1, 1.0)
        c.frame(x, y, 0.03).oval(
            0, 0, 0.6, 0.22, rng.choice(((170, 120, 50), (150, 90, 44), (96, 120, 56))), False
        )


def lake(c: Canvas, rng: random.Random, h: float) -> None:
    """A far bank with trees, water, and a near shore."""
    hills(c, rng, h + 0.01, 0.1, (92, 140, 106))
    for _ in range(6):
        pine(c, rng.random(), h + 0.01, rng.uniform(0.07, 0.13))
    band(c, h, 0.70, (96, 164, 204), (62, 126, 182))
    ripples(c, rng, h + 0.02, 0.68, (214, 236, 246, 160), 16)
    f = c.frame(0, 0.7, 1.0)
    f.poly(
        [(k / 10, 0.014 * math.sin(k * 1.7 + rng.random())) for k in range(11)] + [(1, -0.04), (0, -0.04)],
        (206, 190, 140),
        False,
    )


def desert(c: Canvas, rng: random.Random, h: float) -> None:
    """Dunes in two depths."""
    hills(c, rng, h + 0.02, 0.13, (226, 164, 96))
    hills(c, rng, h + 0.06, 0.08, (240, 188, 116))
    for _ in range(7):
        y = rng.uniform(h + 0.14, 0.97)
        x = rng.random()
        c.frame(x, y, 1.0).line([(-0.07, 0), (0, 0.008), (0.07, 0)], (206, 142, 78))


SCENERY: dict[str, Callable[[Canvas, random.Random, float], None]] = {
    "park": park,
    "beach": beach,
    "snow": snow,
    "street": street,
    "night": night,
    "gym": gym,
    "kitchen": kitchen,
    "living room": living_room,
    "field": field,
    "forest": forest,
    "lake": lake,
    "desert": desert,
}


def backdrop(scene: dict[str, Any], side: int) -> Canvas:
    """Everything that lies behind the things of a scene, `side` pixels square."""
    setting, rng = scene["setting"], random.Random(scene["draw_seed"])
    place = SETTINGS[setting]
    wall = rng.randrange(12) % (len(place.walls) or 1)
    ground = _textured(setting, scene["sky"], wall, side)
    canvas = Canvas(ImageChops.offset(ground, rng.randrange(side), 0))
    if not place.indoor:
        sky(canvas, scene["sky"], rng, place.horizon)
    SCENERY[setting](canvas, rng, place.horizon)
    rng = random.Random(scene["draw_seed"] + 1)
    for feature in scene["features"]:
        row = FEATURES[feature["name"]]
        height = row["height"] * rng.uniform(0.92, 1.08)
        with canvas.part(feature["id"]):
            draw(canvas.frame(feature["x"], place.horizon + row["below"], height), row["strokes"])
    return canvas


def weather(c: Canvas, kind: str, rng: random.Random) -> None:
    """Rain or falling snow in front of everything."""
    if kind == "rainy":
        for _ in range(70):
            x, y, n = rng.random() * c.side, rng.random() * c.side, rng.uniform(0.03, 0.06) * c.side
            c.pen.line((x, y, x - n * 0.3, y + n), fill=(214, 228, 242, 130), width=c.ink)
    elif kind == "snowing":
        for _ in range(70):
            x, y, r = rng.random() * c.side, rng.random() * c.side, rng.uniform(0.004, 0.009) * c.side
            c.pen.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255, 215))


@lru_cache(maxsize=8)
def _vignette(size: int) -> Image.Image:
    """White in the middle, a little darker in the corners."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    grey = 255 * np.minimum(1.03 - 0.09 * (axis[:, None] ** 2 + axis[None, :] ** 2), 1)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@lru_cache(maxsize=16)
def _curve(sky: str) -> list[int]:
    return [min(255, round(level * tint)) for tint in SKIES[sky]["tint"] for level in range(256)]


def finish(image: Image.Image, sky: str, size: int) -> Image.Image:
    """Scale the canvas down to `size` and set the light of the hour."""
    small = image.reduce(image.size[0] // size)
    return ImageChops.multiply(small.point(_curve(sky)), _vignette(size))
