"""Furniture and other objects that stand about, each in units of its own height."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..world import COLOURS
from . import toys
from .canvas import Frame, shade

WOOD = (150, 100, 58)
METAL = (92, 96, 106)


def bench(f: Frame, thing: dict[str, Any]) -> None:
    """A park bench from the front."""
    fill = COLOURS[thing["colour"]]
    for x in (-0.84, 0.84):
        f.limb([(x, 0.04), (x, 0.96)], 0.07, METAL)
        f.limb([(x * 1.02, 0.04), (x * 1.02, 0.5)], 0.07, METAL)
    for y in (0.72, 0.88):
        f.rect(-0.98, y - 0.06, 0.98, y + 0.07, fill)
    f.rect(-1.02, 0.44, 1.02, 0.58, shade(fill, 1.15))
    f.rect(-1.02, 0.39, 1.02, 0.45, shade(fill, 0.75))


def chair(f: Frame, thing: dict[str, Any]) -> None:
    """A chair seen half from the side."""
    fill = COLOURS[thing["colour"]]
    for x, y in ((-0.2, 0.06), (0.3, 0.06), (-0.28, 0.0), (0.2, 0.0)):
        f.limb([(x, y + 0.02), (x, 0.44)], 0.05, shade(fill, 0.75))
    f.limb([(-0.28, 0.44), (-0.3, 0.97)], 0.06, shade(fill, 0.8))
    f.poly([(-0.3, 0.58), (-0.3, 0.99), (-0.14, 0.97), (-0.14, 0.56)], fill)
    f.poly([(-0.3, 0.42), (-0.2, 0.52), (0.34, 0.52), (0.28, 0.42)], shade(fill, 1.15))
    f.rect(-0.3, 0.37, 0.28, 0.43, shade(fill, 0.8))


def table(f: Frame, thing: dict[str, Any]) -> None:
    """A table."""
    fill = COLOURS[thing["colour"]]
    for x, y in ((-0.7, 0.12), (0.7, 0.12), (-0.86, 0.0), (0.86, 0.0)):
        f.limb([(x, y + 0.03), (x, 0.86)], 0.08, shade(fill, 0.72))
    f.poly([(-0.98, 0.84), (-0.8, 1.0), (0.8, 1.0), (0.98, 0.84)], shade(fill, 1.12))
    f.rect(-0.98, 0.75, 0.98, 0.85, shade(fill, 0.82))


def sofa(f: Frame, thing: dict[str, Any]) -> None:
    """A sofa from the front."""
    fill = COLOURS[thing["colour"]]
    for x in (-0.9, 0.9):
        f.limb([(x, 0.03), (x, 0.14)], 0.07, WOOD)
    f.blob(
        ((-0.96, 0.14), (-0.98, 1.0), (-0.8, 1.04), (0.8, 1.04), (0.98, 1.0), (0.96, 0.14)), shade(fill, 0.84)
    )
    f.line([(0, 0.5), (0, 0.94)], shade(fill, 0.6), 0.02)
    for x in (-0.42, 0.42):
        f.blob(((x - 0.42, 0.3), (x - 0.42, 0.52), (x + 0.42, 0.52), (x + 0.42, 0.3)), shade(fill, 1.12))
    f.rect(-0.9, 0.14, 0.9, 0.34, fill)
    for x in (-0.94, 0.94):
        f.blob(((x - 0.13, 0.1), (x - 0.14, 0.66), (x, 0.74), (x + 0.14, 0.66), (x + 0.13, 0.1)), fill)


def lamp(f: Frame, thing: dict[str, Any]) -> None:
    """A floor lamp with a shade in its colour."""
    fill = COLOURS[thing["colour"]]
    f.oval(0, 0.03, 0.13, 0.03, METAL)
    f.limb([(0, 0.04), (0, 0.74)], 0.03, METAL)
    f.oval(0, 0.8, 0.3, 0.26, (255, 240, 170, 60), False)
    f.poly([(-0.19, 0.7), (0.19, 0.7), (0.11, 0.99), (-0.11, 0.99)], fill)
    f.poly([(-0.08, 0.71), (0.03, 0.71), (0.02, 0.98), (-0.05, 0.98)], shade(fill, 1.5), False)


def plant(f: Frame, thing: dict[str, Any]) -> None:
    """Leaves in a pot of the thing's colour."""
    fill = COLOURS[thing["colour"]]
    for angle, reach in ((-58, 0.42), (58, 0.42), (-30, 0.56), (32, 0.56), (-8, 0.66), (12, 0.6)):
        a = math.radians(angle)
        x, y = math.sin(a) * reach, 0.34 + math.cos(a) * reach
        nx, ny = math.cos(a) * 0.075, -math.sin(a) * 0.075
        mx, my = x * 0.55, 0.34 + (y - 0.34) * 0.55
        f.blob(((0, 0.33), (mx - nx, my - ny), (x, y), (mx + nx, my + ny)), (48, 140 + (angle % 5) * 8, 66))
    f.poly([(-0.17, 0.0), (0.17, 0.0), (0.25, 0.36), (-0.25, 0.36)], fill)
    f.rect(-0.28, 0.33, 0.28, 0.43, shade(fill, 1.2))


def television(f: Frame, thing: dict[str, Any]) -> None:
    """A television on a stand, switched on."""
    fill = COLOURS[thing["colour"]]
    f.rect(-0.3, 0.0, 0.3, 0.06, shade(fill, 0.7))
    f.rect(-0.05, 0.05, 0.05, 0.2, shade(fill, 0.7))
    f.rect(-0.7, 0.16, 0.7, 1.0, fill)
    f.rect(-0.63, 0.24, 0.63, 0.94, (84, 150, 214))
    f.poly(
        [(-0.63, 0.24), (-0.2, 0.56), (0.1, 0.36), (0.34, 0.6), (0.63, 0.3), (0.63, 0.24)],
        (70, 160, 90),
        False,
    )
    f.oval(0.36, 0.78, 0.09, 0.09, (252, 226, 120), False)


def tent(f: Frame, thing: dict[str, Any]) -> None:
    """A ridge tent with an open flap."""
    fill = COLOURS[thing["colour"]]
    f.poly([(-0.68, 0.0), (0.0, 1.0), (0.68, 0.0)], fill)
    f.poly([(0.0, 1.0), (0.68, 0.0), (0.3, 0.0)], shade(fill, 0.78), False)
    f.poly([(0.0, 0.82), (-0.24, 0.0), (0.24, 0.0)], (58, 48, 50))
    f.poly([(0.0, 0.82), (-0.24, 0.0), (-0.42, 0.0)], shade(fill, 1.4))
    f.limb([(0, 0.96), (0, 1.04)], 0.03, WOOD)


def campfire(f: Frame, thing: dict[str, Any]) -> None:
    """Logs and flames."""
    f.oval(0, 0.3, 0.62, 0.4, (255, 190, 90, 46), False)
    f.blob(
        ((-0.36, 0.16), (-0.3, 0.6), (-0.14, 0.5), (0.0, 1.05), (0.16, 0.56), (0.3, 0.66), (0.36, 0.16)),
        (236, 92, 30),
    )
    f.blob(((-0.24, 0.16), (-0.16, 0.48), (0.0, 0.76), (0.14, 0.46), (0.24, 0.16)), (250, 170, 40), False)
    f.blob(((-0.12, 0.16), (0.0, 0.5), (0.12, 0.16)), (255, 236, 140), False)
    f.limb([(-0.46, 0.04), (0.42, 0.2)], 0.13, (112, 72, 44))
    f.limb([(0.46, 0.04), (-0.42, 0.2)], 0.13, (134, 88, 52))


def box(f: Frame, thing: dict[str, Any]) -> None:
    """A cardboard box with a face, a side and a lid."""
    fill = COLOURS[thing["colour"]]
    f.poly([(0.36, 0.0), (0.58, 0.14), (0.58, 0.92), (0.36, 0.8)], shade(fill, 0.72))
    f.poly([(-0.56, 0.8), (-0.32, 0.96), (0.58, 0.94), (0.36, 0.8)], shade(fill, 1.25))
    f.rect(-0.56, 0.0, 0.36, 0.8, fill)
    f.rect(-0.18, 0.0, -0.02, 0.8, shade(fill, 1.3), False)


def bucket(f: Frame, thing: dict[str, Any]) -> None:
    """A bucket with its handle up."""
    fill = COLOURS[thing["colour"]]
    f.line([(-0.36, 0.66), (-0.28, 0.9), (0, 1.0), (0.28, 0.9), (0.36, 0.66)], METAL, 0.05)
    f.poly([(-0.28, 0.0), (0.28, 0.0), (0.4, 0.68), (-0.4, 0.68)], fill)
    f.oval(0, 0.68, 0.4, 0.09, shade(fill, 0.62))
    f.poly([(-0.2, 0.04), (-0.08, 0.04), (-0.12, 0.58), (-0.29, 0.58)], shade(fill, 1.45), False)


def basket(f: Frame, thing: dict[str, Any]) -> None:
    """A wicker basket with a handle."""
    fill = COLOURS[thing["colour"]]
    f.line([(-0.44, 0.5), (-0.34, 0.84), (0, 0.98), (0.34, 0.84), (0.44, 0.5)], shade(fill, 0.7), 0.07)
    f.oval(0.1, 0.54, 0.3, 0.12, (214, 60, 60))
    f.poly([(-0.42, 0.0), (0.42, 0.0), (0.54, 0.52), (-0.54, 0.52)], fill)
    for y in (0.16, 0.34):
        f.line([(-0.46, y), (0.46, y)], shade(fill, 0.66), 0.03)
    for x in (-0.24, 0.0, 0.24):
        f.line([(x * 0.9, 0.02), (x * 1.15, 0.5)], shade(fill, 0.66), 0.03)


def suitcase(f: Frame, thing: dict[str, Any]) -> None:
    """A suitcase on small wheels."""
    fill = COLOURS[thing["colour"]]
    f.line([(-0.16, 0.8), (-0.16, 0.97), (0.16, 0.97), (0.16, 0.8)], METAL, 0.05)
    for x in (-0.32, 0.32):
        f.oval(x, 0.04, 0.05, 0.05, (40, 40, 44))
    f.blob(((-0.48, 0.06), (-0.48, 0.84), (0.48, 0.84), (0.48, 0.06)), fill)
    for x in (-0.26, 0.26):
        f.rect(x - 0.04, 0.09, x + 0.04, 0.82, shade(fill, 0.66), False)
    f.rect(-0.1, 0.4, 0.1, 0.5, shade(fill, 1.5))


def sandcastle(f: Frame, thing: dict[str, Any]) -> None:
    """A castle of sand with a flag."""
    sand = (226, 184, 110)
    f.poly([(-0.62, 0.0), (0.62, 0.0), (0.54, 0.42), (-0.54, 0.42)], sand)
    for x, top in ((-0.42, 0.66), (0.42, 0.66), (0.0, 0.84)):
        f.poly(
            [(x - 0.16, 0.2), (x + 0.16, 0.2), (x + 0.13, top), (x - 0.13, top)],
            shade(sand, 1.15 if x else 0.94),
        )
        for dx in (-0.1, 0.0, 0.1):
            f.rect(x + dx - 0.035, top - 0.01, x + dx + 0.035, top + 0.07, shade(sand, 0.92))
    f.blob(((-0.1, 0.0), (-0.1, 0.26), (0.1, 0.26), (0.1, 0.0)), (128, 92, 52))
    f.line([(0, 0.88), (0, 1.06)], WOOD, 0.02)
    f.poly([(0, 1.06), (0.16, 1.01), (0, 0.96)], (220, 50, 50))


def snowman(f: Frame, thing: dict[str, Any]) -> None:
    """A snowman with hat, scarf and carrot."""
    snow = (248, 250, 255)
    f.limb([(-0.16, 0.52), (-0.36, 0.66)], 0.025, WOOD)
    f.limb([(0.16, 0.52), (0.36, 0.66)], 0.025, WOOD)
    for y, r in ((0.22, 0.235), (0.53, 0.175), (0.77, 0.13)):
        f.oval(0, y, r, r, shade(snow, 0.86))
        f.oval(-r * 0.12, y + r * 0.1, r * 0.82, r * 0.82, snow, False)
    for y in (0.48, 0.58):
        f.oval(0.03, y, 0.02, 0.02, (40, 40, 44), False)
    for x in (-0.03, 0.07):
        f.oval(x, 0.8, 0.018, 0.022, (30, 30, 34), False)
    f.poly([(0.03, 0.78), (0.2, 0.75), (0.03, 0.73)], (240, 130, 40))
    f.limb([(-0.11, 0.66), (0.12, 0.66)], 0.05, (206, 44, 52))
    f.limb([(-0.15, 0.87), (0.15, 0.87)], 0.03, (40, 40, 46))
    f.rect(-0.1, 0.87, 0.1, 1.02, (40, 40, 46))


def hydrant(f: Frame, thing: dict[str, Any]) -> None:
    """A fire hydrant."""
    fill = COLOURS[thing["colour"]]
    f.rect(-0.28, 0.0, 0.28, 0.1, shade(fill, 0.75))
    f.rect(-0.2, 0.1, 0.2, 0.74, fill)
    f.rect(-0.34, 0.42, 0.34, 0.58, shade(fill, 0.85))
    f.oval(0, 0.5, 0.11, 0.11, shade(fill, 1.4))
    f.oval(0, 0.76, 0.24, 0.16, fill)
    f.rect(-0.26, 0.68, 0.26, 0.76, shade(fill, 0.75))
    f.oval(0, 0.94, 0.06, 0.06, shade(fill, 0.75))
    f.rect(-0.14, 0.14, -0.06, 0.66, shade(fill, 1.45), False)


def mailbox(f: Frame, thing: dict[str, Any]) -> None:
    """A mailbox on a post with its flag up."""
    fill = COLOURS[thing["colour"]]
    f.rect(-0.05, 0.0, 0.05, 0.6, (150, 152, 160))
    f.blob(((-0.34, 0.54), (-0.34, 1.0), (0.1, 1.0), (0.3, 0.9), (0.3, 0.54)), fill)
    f.oval(0.18, 0.74, 0.13, 0.2, shade(fill, 0.7))
    f.rect(0.08, 0.72, 0.26, 0.77, (246, 246, 240), False)
    f.rect(-0.24, 0.66, -0.02, 0.82, (246, 246, 240), False)
    f.limb([(-0.1, 0.86), (-0.1, 1.1)], 0.04, (220, 60, 50) if thing["colour"] != "red" else (250, 220, 80))


def sign(f: Frame, thing: dict[str, Any]) -> None:
    """A road sign: an octagon in its colour."""
    fill = COLOURS[thing["colour"]]
    f.rect(-0.025, 0.0, 0.025, 0.66, (150, 152, 158))
    ring = [
        (0.2 * math.cos(math.radians(22.5 + 45 * k)), 0.8 + 0.2 * math.sin(math.radians(22.5 + 45 * k)))
        for k in range(8)
    ]
    f.poly([(x * 1.14, 0.8 + (y - 0.8) * 1.14) for x, y in ring], (250, 250, 246))
    f.poly(ring, fill, False)
    f.rect(-0.12, 0.77, 0.12, 0.83, (250, 250, 246), False)


OBJECTS: dict[str, Callable[[Frame, dict[str, Any]], None]] = {
    "ball": toys.ball,
    "frisbee": toys.frisbee,
    "balloon": toys.balloon,
    "kite": toys.kite,
    "umbrella": toys.umbrella,
    "bench": bench,
    "chair": chair,
    "table": table,
    "sofa": sofa,
    "lamp": lamp,
    "plant": plant,
    "television": television,
    "tent": tent,
    "campfire": campfire,
    "box": box,
    "bucket": bucket,
    "basket": basket,
    "suitcase": suitcase,
    "sandcastle": sandcastle,
    "snowman": snowman,
    "hydrant": hydrant,
    "mailbox": mailbox,
    "sign": sign,
    "flag": toys.flag,
    "guitar": toys.guitar,
    "drum": toys.drum,
    "book": toys.book,
    "barbell": toys.barbell,
    "cake": toys.cake,
    "flowers": toys.flowers,
    "stick": toys.stick,
    "surfboard": toys.surfboard,
}
