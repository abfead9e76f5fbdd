"""Heads of the four-legged animals; each returns where the mouth is."""

from __future__ import annotations

from types import SimpleNamespace as Plan
from typing import Any

from .canvas import Colour, Frame, Point, shade


def eye(f: Frame, x: float, y: float, r: float, dark: bool) -> None:
    """An eye; on a dark head it has a light rim."""
    if dark:
        f.oval(x, y, r * 1.5, r * 1.5, (236, 226, 190), False)
    f.oval(x, y, r, r * 1.15, (22, 20, 24), False)


def _dog_head(f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point) -> Point:
    x, y = head
    r = plan.head
    f.limb([neck, (x - r * 0.3, y - r * 0.2)], r * 1.25, fill, False)
    f.oval(x, y, r, r * 0.92, fill)
    f.oval(x + r * 0.92, y - r * 0.26, r * 0.66, r * 0.42, shade(fill, 1.18))
    f.oval(x + r * 1.45, y - r * 0.1, r * 0.22, r * 0.18, (26, 22, 24), False)
    f.blob(
        (
            (x - r * 0.1, y + r * 0.9),
            (x - r * 0.75, y + r * 0.95),
            (x - r * 1.1, y - r * 0.2),
            (x - r * 0.75, y - r * 0.75),
            (x - r * 0.3, y - r * 0.1),
        ),
        shade(fill, 0.62),
    )
    eye(f, x + r * 0.3, y + r * 0.25, r * 0.15, sum(fill) < 260)
    f.limb([(x - r * 0.75, y - r * 0.85), (x + r * 0.1, y - r * 0.95)], r * 0.28, (206, 52, 52), False)
    return x + r * 1.25, y - r * 0.55


def _cat_head(f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point) -> Point:
    x, y = head
    r = plan.head
    f.limb([neck, (x - r * 0.2, y - r * 0.3)], r * 1.2, fill, False)
    for side in (-0.6, 0.6):
        f.poly(
            [
                (x + r * (side - 0.36), y + r * 0.5),
                (x + r * side * 1.25, y + r * 1.5),
                (x + r * (side + 0.36), y + r * 0.5),
            ],
            fill,
        )
        f.poly(
            [
                (x + r * (side - 0.16), y + r * 0.7),
                (x + r * side * 1.2, y + r * 1.2),
                (x + r * (side + 0.16), y + r * 0.7),
            ],
            (236, 160, 160),
            False,
        )
    f.oval(x, y, r * 1.08, r * 0.92, fill)
    for dx in (-0.36, 0.5):
        f.oval(x + r * dx, y + r * 0.16, r * 0.2, r * 0.22, (180, 214, 96), False)
        f.oval(x + r * dx, y + r * 0.16, r * 0.09, r * 0.2, (20, 20, 24), False)
    f.oval(x + r * 0.08, y - r * 0.26, r * 0.13, r * 0.09, (226, 120, 130), False)
    for side in (-1, 1):
        for dy in (0.1, -0.1):
            f.line(
                [
                    (x + r * (0.08 + 0.3 * side), y - r * 0.34),
                    (x + r * (0.08 + 1.35 * side), y - r * (0.34 - dy)),
                ],
                shade(fill, 0.5) if sum(fill) > 250 else (190, 190, 190),
            )
    return x + r * 0.5, y - r * 0.5


def _horse_head(
    f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point
) -> Point:
    x, y = head
    r = plan.head
    mane = shade(fill, 0.5) if sum(fill) > 300 else (24, 22, 24)
    nx, ny = neck
    f.blob(
        (
            (nx - 0.1, ny + 0.1),
            (nx + 0.12, ny - 0.12),
            (x + r * 0.9, y - r * 0.2),
            (x + r * 0.3, y + r * 1.4),
            (x - r * 0.8, y + r * 1.0),
        ),
        fill,
    )
    f.blob(
        (
            (x - r * 0.5, y + r * 1.3),
            (x + r * 0.7, y + r * 1.1),
            (x + r * 2.4, y - r * 0.9),
            (x + r * 2.2, y - r * 1.7),
            (x + r * 1.3, y - r * 1.5),
            (x - r * 0.2, y - r * 0.3),
        ),
        fill,
    )
    f.oval(x + r * 2.0, y - r * 1.25, r * 0.14, r * 0.12, shade(fill, 0.4), False)
    for dx in (-0.1, 0.4):
        f.poly(
            [(x + r * (dx - 0.2), y + r * 1.0), (x + r * dx, y + r * 1.8), (x + r * (dx + 0.3), y + r * 1.0)],
            fill,
        )
    f.blob(
        (
            (x + r * 0.2, y + r * 1.5),
            (x - r * 0.6, y + r * 1.3),
            (nx - 0.16, ny + 0.1),
            (nx - 0.08, ny + 0.06),
            (x - r * 0.5, y + r * 0.2),
        ),
        mane,
    )
    eye(f, x + r * 0.7, y + r * 0.3, r * 0.18, sum(fill) < 260)
    return x + r * 1.9, y - r * 1.4


def _cow_head(f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point) -> Point:
    x, y = head
    r = plan.head
    for dx in (-0.5, 0.45):
        f.limb(
            [(x + r * dx, y + r * 0.6), (x + r * dx * 1.7, y + r * 1.0), (x + r * dx * 1.5, y + r * 1.5)],
            r * 0.22,
            (236, 226, 196),
        )
    f.oval(x - r * 1.0, y + r * 0.4, r * 0.46, r * 0.24, shade(fill, 0.8))
    f.blob(
        (
            (x - r * 0.9, y + r * 0.9),
            (x + r * 0.8, y + r * 0.9),
            (x + r * 1.1, y - r * 0.9),
            (x + r * 0.4, y - r * 1.4),
            (x - r * 0.4, y - r * 1.0),
        ),
        fill,
    )
    f.oval(x + r * 0.62, y - r * 0.8, r * 0.6, r * 0.44, (240, 186, 178))
    f.oval(x + r * 0.78, y - r * 0.74, r * 0.1, r * 0.12, (110, 60, 60), False)
    eye(f, x + r * 0.25, y + r * 0.2, r * 0.15, sum(fill) < 260)
    return x + r, y - r


def _sheep_head(
    f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point
) -> Point:
    x, y = head
    r = plan.head
    face = (58, 54, 58) if animal["colour"] == "white" else (214, 196, 176)
    f.oval(x, y, r * 0.92, r * 1.05, face, angle=18)
    f.oval(x - r * 0.75, y + r * 0.35, r * 0.46, r * 0.2, shade(face, 0.85), angle=-20)
    f.oval(x - r * 0.1, y + r * 0.86, r * 0.62, r * 0.42, fill)
    eye(f, x + r * 0.35, y + r * 0.15, r * 0.14, sum(face) < 260)
    return x + r, y - r * 0.5


def _pig_head(f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point) -> Point:
    x, y = head[0] - 0.02, head[1] - 0.02
    r = plan.head
    for dx in (-0.5, 0.3):
        f.poly(
            [(x + r * (dx - 0.3), y + r * 0.6), (x + r * dx, y + r * 1.3), (x + r * (dx + 0.4), y + r * 0.6)],
            shade(fill, 0.85),
        )
    f.oval(x, y, r, r * 0.95, fill)
    f.oval(x + r * 0.85, y - r * 0.12, r * 0.36, r * 0.42, shade(fill, 0.88))
    for dx in (0.76, 0.98):
        f.oval(x + r * dx, y - r * 0.12, r * 0.07, r * 0.13, shade(fill, 0.45), False)
    eye(f, x + r * 0.25, y + r * 0.3, r * 0.12, sum(fill) < 260)
    return x + r, y - r * 0.5


def _elephant_head(
    f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point
) -> Point:
    x, y = head
    r = plan.head
    f.limb(
        [
            (x + r * 0.6, y - r * 0.2),
            (x + r * 1.1, y - r * 1.2),
            (x + r * 1.05, y - r * 2.3),
            (x + r * 1.5, y - r * 2.7),
        ],
        r * 0.46,
        fill,
    )
    f.limb([(x + r * 0.7, y - r * 0.8), (x + r * 1.5, y - r * 1.1)], r * 0.16, (246, 242, 224))
    f.oval(x, y, r, r, fill)
    f.blob(
        (
            (x + r * 0.05, y + r * 0.8),
            (x - r * 0.7, y + r * 1.05),
            (x - r * 1.3, y + r * 0.1),
            (x - r * 0.9, y - r * 1.2),
            (x - r * 0.1, y - r * 0.8),
            (x + r * 0.1, y),
        ),
        shade(fill, 0.84),
    )
    eye(f, x + r * 0.5, y + r * 0.25, r * 0.11, False)
    return x + r * 1.5, y - r * 2.6


HEADS = {
    "dog": _dog_head,
    "cat": _cat_head,
    "horse": _horse_head,
    "cow": _cow_head,
    "sheep": _sheep_head,
    "pig": _pig_head,
    "elephant": _elephant_head,
}
