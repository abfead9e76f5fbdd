"""Vehicles and boards, each in units of its own height, facing to the right."""

from __future__ import annotations

from typing import Any

from ..world import COLOURS
from .canvas import Colour, Frame, shade

GLASS = (176, 218, 236)
TYRE = (36, 36, 40)


def wheel(f: Frame, x: float, r: float, hub: Colour = (190, 192, 198)) -> None:
    """A solid wheel on the ground."""
    f.oval(x, r, r, r, TYRE)
    f.oval(x, r, r * 0.52, r * 0.52, hub)
    f.oval(x, r, r * 0.16, r * 0.16, (90, 90, 96), False)


def spokes(f: Frame, x: float, r: float) -> None:
    """An open wheel with spokes on the ground."""
    px, py = f.at(x, r)
    wide = r * f.unit
    for grow, tone in ((1.0, TYRE), (0.86, (150, 150, 156))):
        box = (px - wide * grow, py - wide * grow, px + wide * grow, py + wide * grow)
        f.pen.ellipse(box, outline=tone, width=max(1, round(wide * 0.13)))
    f.canvas.grow([(px - wide, py - wide), (px + wide, py + wide)])
    for dx, dy in ((1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7)):
        f.line(
            [(x - r * dx * 0.85, r - r * dy * 0.85), (x + r * dx * 0.85, r + r * dy * 0.85)], (150, 150, 156)
        )


def car(f: Frame, thing: dict[str, Any]) -> None:
    """A small car."""
    fill = COLOURS[thing["colour"]]
    f.blob(
        (
            (-1.08, 0.18),
            (-1.1, 0.52),
            (-0.9, 0.6),
            (-0.6, 0.98),
            (0.28, 1.0),
            (0.6, 0.62),
            (1.02, 0.54),
            (1.1, 0.3),
            (1.08, 0.16),
        ),
        fill,
    )
    f.poly([(-0.62, 0.6), (-0.48, 0.86), (-0.12, 0.88), (-0.12, 0.6)], GLASS)
    f.poly([(-0.04, 0.6), (-0.04, 0.88), (0.2, 0.87), (0.44, 0.6)], GLASS)
    f.poly([(-0.44, 0.62), (-0.34, 0.82), (-0.24, 0.82), (-0.34, 0.62)], (236, 246, 250), False)
    f.rect(-1.06, 0.16, 1.06, 0.27, shade(fill, 0.66), False)
    f.line([(-0.08, 0.3), (-0.08, 0.86)], shade(fill, 0.6))
    f.line([(0.02, 0.52), (0.14, 0.52)], shade(fill, 0.5), 0.03)
    f.oval(1.02, 0.42, 0.07, 0.07, (255, 240, 170))
    f.oval(-1.05, 0.44, 0.05, 0.07, (220, 40, 40))
    for x in (-0.62, 0.64):
        wheel(f, x, 0.23)


def bus(f: Frame, thing: dict[str, Any]) -> None:
    """A long bus with a row of windows."""
    fill = COLOURS[thing["colour"]]
    f.blob(((-0.92, 0.12), (-0.92, 0.96), (-0.86, 1.0), (0.8, 1.0), (0.92, 0.9), (0.93, 0.12)), fill)
    f.rect(-0.9, 0.14, 0.9, 0.3, shade(fill, 0.72), False)
    f.rect(-0.9, 0.4, 0.9, 0.45, (250, 250, 246) if sum(fill) < 640 else (60, 90, 170), False)
    for k in range(5):
        x = -0.82 + k * 0.3
        f.rect(x, 0.54, x + 0.23, 0.86, GLASS)
        f.poly(
            [(x + 0.04, 0.56), (x + 0.12, 0.84), (x + 0.17, 0.84), (x + 0.09, 0.56)], (236, 246, 250), False
        )
    f.rect(0.69, 0.3, 0.86, 0.86, GLASS)
    f.line([(0.775, 0.3), (0.775, 0.86)], (60, 70, 80))
    f.oval(0.9, 0.26, 0.03, 0.05, (255, 240, 170))
    for x in (-0.54, 0.5):
        wheel(f, x, 0.15)


def truck(f: Frame, thing: dict[str, Any]) -> None:
    """A lorry: cargo box behind, cab in front, both in its colour."""
    fill = COLOURS[thing["colour"]]
    f.rect(-0.86, 0.16, 0.86, 0.26, (70, 72, 78))
    f.rect(-0.88, 0.26, 0.34, 1.0, fill)
    for k in range(1, 5):
        f.line([(-0.88 + k * 0.24, 0.28), (-0.88 + k * 0.24, 0.98)], shade(fill, 0.78))
    f.rect(-0.86, 0.9, 0.32, 0.97, shade(fill, 1.35), False)
    f.blob(((0.38, 0.16), (0.38, 0.84), (0.7, 0.84), (0.88, 0.5), (0.92, 0.16)), shade(fill, 0.86))
    f.poly([(0.5, 0.5), (0.5, 0.76), (0.68, 0.76), (0.8, 0.5)], GLASS)
    f.oval(0.88, 0.28, 0.04, 0.05, (255, 240, 170))
    for x in (-0.6, -0.3, 0.6):
        wheel(f, x, 0.16)


def tractor(f: Frame, thing: dict[str, Any]) -> None:
    """A tractor with one big wheel."""
    fill = COLOURS[thing["colour"]]
    f.line([(0.36, 0.62), (0.36, 0.98)], (60, 60, 64), 0.06)
    f.rect(-0.36, 0.5, 0.1, 0.96, GLASS)
    f.rect(-0.44, 0.93, 0.16, 1.0, fill)
    for x in (-0.36, 0.1):
        f.line([(x, 0.5), (x, 0.96)], shade(fill, 0.7), 0.05)
    f.blob(((-0.5, 0.3), (-0.46, 0.56), (0.1, 0.6), (0.58, 0.58), (0.62, 0.3)), fill)
    for y in (0.36, 0.44):
        f.line([(0.42, y), (0.58, y)], shade(fill, 0.55), 0.02)
    wheel(f, -0.28, 0.3, (244, 206, 70))
    wheel(f, 0.4, 0.19, (244, 206, 70))


def bicycle(f: Frame, thing: dict[str, Any]) -> None:
    """A bicycle; saddle at (-0.25, 0.98), pedals at (-0.02, 0.35), grips at (0.38, 1.0)."""
    fill = COLOURS[thing["colour"]]
    for x in (-0.48, 0.48):
        spokes(f, x, 0.33)
    rear, hub, seat, top, fork = (-0.48, 0.33), (-0.02, 0.33), (-0.22, 0.84), (0.32, 0.84), (0.48, 0.33)
    for a, b in ((rear, hub), (rear, seat), (hub, seat), (seat, top), (hub, top), (top, fork)):
        f.limb([a, b], 0.06, fill)
    f.limb([(-0.22, 0.84), (-0.25, 0.94)], 0.04, (70, 70, 74))
    f.oval(-0.25, 0.96, 0.13, 0.045, (40, 36, 36))
    f.limb([(0.32, 0.84), (0.3, 1.0), (0.42, 0.99)], 0.045, (60, 60, 64))
    f.oval(-0.02, 0.33, 0.08, 0.08, (90, 90, 96))


def scooter(f: Frame, thing: dict[str, Any]) -> None:
    """A kick scooter."""
    fill = COLOURS[thing["colour"]]
    for x in (-0.36, 0.36):
        wheel(f, x, 0.1)
    f.limb([(-0.36, 0.16), (0.22, 0.16)], 0.08, fill)
    f.limb([(0.34, 0.14), (0.24, 0.94)], 0.07, fill)
    f.limb([(0.12, 0.95), (0.34, 0.97)], 0.06, (50, 50, 54))


def boat(f: Frame, thing: dict[str, Any]) -> None:
    """A sailing boat: hull in its colour, white sails."""
    fill = COLOURS[thing["colour"]]
    f.limb([(0.0, 0.2), (0.0, 0.98)], 0.03, (120, 84, 52))
    sail = (250, 248, 240) if thing["colour"] != "white" else (236, 220, 190)
    f.poly([(0.04, 0.28), (0.04, 0.96), (0.42, 0.3)], sail)
    f.poly([(-0.04, 0.3), (-0.04, 0.88), (-0.34, 0.32)], shade(sail, 0.9))
    f.poly([(0.0, 1.0), (-0.16, 0.96), (0.0, 0.92)], fill)
    f.blob(((-0.52, 0.26), (-0.36, 0.0), (0.34, 0.0), (0.54, 0.28), (0.2, 0.24), (-0.2, 0.24)), fill)
    f.poly([(-0.4, 0.16), (0.43, 0.17), (0.4, 0.11), (-0.36, 0.1)], (250, 250, 246), False)
    f.poly([(-0.5, 0.04), (0.5, 0.04), (0.44, -0.02), (-0.44, -0.02)], (220, 238, 248, 150), False)


def sled(f: Frame, thing: dict[str, Any]) -> None:
    """A sled with curled runners."""
    fill = COLOURS[thing["colour"]]
    f.limb([(-1.3, 0.12), (1.1, 0.12), (1.42, 0.44), (1.3, 0.8)], 0.14, shade(fill, 0.7))
    for x in (-0.8, 0.0, 0.8):
        f.limb([(x, 0.16), (x, 0.62)], 0.12, shade(fill, 0.7))
    f.poly([(-1.3, 0.6), (1.2, 0.6), (1.2, 0.92), (-1.3, 0.92)], fill)
    f.line([(-1.2, 0.76), (1.1, 0.76)], shade(fill, 1.5), 0.08)


def skateboard(f: Frame, thing: dict[str, Any]) -> None:
    """A skateboard."""
    fill = COLOURS[thing["colour"]]
    for x in (-0.9, 0.9):
        f.oval(x, 0.26, 0.27, 0.27, (240, 240, 235))
    f.limb([(-1.5, 0.86), (-1.15, 0.6), (1.15, 0.6), (1.5, 0.86)], 0.3, fill)


VEHICLES = {
    "car": car,
    "bus": bus,
    "truck": truck,
    "tractor": tractor,
    "bicycle": bicycle,
    "scooter": scooter,
    "boat": boat,
    "sled": sled,
    "skateboard": skateboard,
}
