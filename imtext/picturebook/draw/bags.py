"""Bags on backs, shoulders and in hands, and the small things that people hold."""

from __future__ import annotations

from typing import Any

from ..persons import IN_HAND
from ..world import PALETTE
from .body import Body, Worn, taper
from .canvas import Colour, Frame, Point, shade


class Bag(Worn):
    """The bag of a person; draw `behind`, then the torso, `strap`, the arms, then `front`."""

    def __init__(self, f: Frame, person: dict[str, Any], body: Body) -> None:
        super().__init__(f, person, body)
        self.name = person["bag"]["name"] if person["bag"] else ""
        self.fill: Colour = PALETTE[person["bag"]["colour"]] if self.name else (0, 0, 0)
        self.s = body.build.shoulder
        self.out = max(0.0, body.wide - 0.1)

    def behind(self) -> None:
        """What the body hides in part."""
        f, s, body = self.f, self.s, self.body
        if self.name == "suitcase" and body.side:
            self._suitcase(-0.2)
        if self.name != "backpack" or body.back:
            return
        if body.side:
            x = -0.05 - (body.waist - 0.08) * 0.4
            f.blob(
                (
                    (x, s + 0.0),
                    (x - 0.07, s + 0.015),
                    (x - 0.125, s - 0.06),
                    (x - 0.14, s - 0.22),
                    (x - 0.1, s - 0.27),
                    (x, s - 0.26),
                ),
                self.fill,
            )
            f.blob(
                ((x - 0.08, s - 0.13), (x - 0.155, s - 0.13), (x - 0.16, s - 0.24), (x - 0.08, s - 0.25)),
                shade(self.fill, 0.8),
            )
            return
        wide = body.waist + 0.05
        f.blob(
            (
                (-wide, s - 0.02),
                (-0.06, s + 0.045),
                (0.06, s + 0.045),
                (wide, s - 0.02),
                (wide, s - 0.27),
                (-wide, s - 0.27),
            ),
            shade(self.fill, 0.84),
        )

    def strap(self) -> None:
        """Straps over the torso."""
        f, s, body = self.f, self.s, self.body
        dark = shade(self.fill, 0.8)
        if self.name == "backpack" and body.side:
            f.limb(
                ((-0.03, s + 0.014), (0.03, s - 0.02), (0.03, s - 0.14), (-0.04, s - 0.2)), 0.026, self.fill
            )
        elif self.name == "backpack" and not body.back:
            for k in (-1, 1):
                x = k * body.wide
                taper(
                    f,
                    ((x * 0.52, s + 0.016), (x * 0.6, s - 0.08), (x * 0.72, s - 0.2)),
                    (0.034, 0.034, 0.024),
                    self.fill,
                )
        elif self.name == "shoulder bag":
            if body.side:
                f.limb(((0.0, s + 0.018), (-0.014, s - 0.14), (-0.02, body.build.hip + 0.02)), 0.018, dark)
            else:
                f.limb(((-body.wide * 0.6, s + 0.01), (body.hips * 0.96, body.build.hip + 0.04)), 0.019, dark)

    def front(self) -> None:
        """What hangs in front of everything."""
        f, s, body = self.f, self.s, self.body
        name, fill = self.name, self.fill
        hip = body.build.hip
        if name == "backpack" and body.back:
            wide = min(0.098, body.wide * 0.86)
            f.blob(
                (
                    (-wide, s - 0.01),
                    (-wide * 0.6, s + 0.02),
                    (wide * 0.6, s + 0.02),
                    (wide, s - 0.01),
                    (wide * 1.12, s - 0.27),
                    (wide * 0.8, s - 0.31),
                    (-wide * 0.8, s - 0.31),
                    (-wide * 1.12, s - 0.27),
                ),
                fill,
            )
            f.blob(
                (
                    (-wide * 0.72, s - 0.15),
                    (wide * 0.72, s - 0.15),
                    (wide * 0.76, s - 0.285),
                    (-wide * 0.76, s - 0.285),
                ),
                shade(fill, 0.82),
            )
            f.line(((-wide * 0.8, s - 0.075), (wide * 0.8, s - 0.075)), shade(fill, 0.6), 0.008)
            f.limb(((-0.02, s + 0.014), (0.02, s + 0.014)), 0.012, shade(fill, 0.6), False)
        elif name == "shoulder bag":
            x = -0.022 if body.side else body.hips + 0.022
            self._pouch((x, hip + 0.055), 0.066 if body.side else 0.056, 0.105)
        elif name in IN_HAND:
            x, y = body.hands[1]
            if name == "suitcase":
                if not body.side:
                    self._suitcase(max(x + 0.045, 0.2))
                return
            self._in_hand((x, y - 0.012))

    def _pouch(self, top: Point, wide: float, high: float) -> None:
        f, (x, y) = self.f, top
        f.poly(
            ((x - wide * 0.92, y), (x + wide * 0.92, y), (x + wide, y - high), (x - wide, y - high)),
            self.fill,
        )
        f.poly(
            (
                (x - wide * 0.92, y),
                (x + wide * 0.92, y),
                (x + wide * 0.8, y - high * 0.55),
                (x - wide * 0.8, y - high * 0.55),
            ),
            shade(self.fill, 0.8),
        )
        f.oval(x, y - high * 0.55, 0.009, 0.009, (222, 200, 120), False)

    def _in_hand(self, hand: Point) -> None:
        f, (x, y), fill = self.f, hand, self.fill
        if self.name == "handbag":
            low = y - 0.055
            f.limb(
                ((x - 0.036, low), (x - 0.022, y), (x + 0.022, y), (x + 0.036, low)), 0.012, shade(fill, 0.75)
            )
            f.poly(
                ((x - 0.056, low), (x + 0.056, low), (x + 0.074, low - 0.095), (x - 0.074, low - 0.095)), fill
            )
            f.line(((x - 0.06, low - 0.028), (x + 0.06, low - 0.028)), shade(fill, 0.62))
            f.oval(x, low - 0.028, 0.01, 0.01, (226, 204, 120), False)
        elif self.name == "briefcase":
            wide = 0.098 if self.body.side else 0.075
            f.limb(
                ((x - 0.022, y - 0.024), (x - 0.018, y), (x + 0.018, y), (x + 0.022, y - 0.024)),
                0.011,
                shade(fill, 0.6),
            )
            f.rect(x - wide, y - 0.145, x + wide, y - 0.024, fill)
            f.line(((x - wide, y - 0.066), (x + wide, y - 0.066)), shade(fill, 0.6))
            f.rect(x - 0.013, y - 0.078, x + 0.013, y - 0.054, (214, 190, 110), False)
        else:
            low = y - 0.06
            f.line(((x - 0.03, low), (x - 0.012, y), (x + 0.012, y), (x + 0.03, low)), (240, 236, 226), 0.008)
            f.poly(
                ((x - 0.058, low), (x + 0.058, low), (x + 0.062, low - 0.15), (x - 0.062, low - 0.15)), fill
            )
            f.oval(
                x, low - 0.075, 0.026, 0.026, shade(fill, 1.6) if sum(fill) < 520 else shade(fill, 0.7), False
            )

    def _suitcase(self, x: float) -> None:
        """A trolley case on wheels, its handle up to the hand."""
        f, fill, (hx, hy) = self.f, self.fill, self.body.hands[1]
        top = 0.3
        grip = hx + (x - hx) * 0.45
        for dx in (-0.02, 0.02):
            f.line(((x + dx, top), (grip + dx, hy)), (96, 98, 104), 0.009)
        f.limb(((grip - 0.024, hy), (grip + 0.024, hy)), 0.016, (60, 62, 68), False)
        f.blob(
            ((x - 0.088, top + 0.012), (x + 0.088, top + 0.012), (x + 0.088, 0.016), (x - 0.088, 0.016)),
            shade(fill, 0.9),
        )
        f.rect(x - 0.082, 0.028, x + 0.082, top, fill)
        for dx in (-0.045, 0.0, 0.045):
            f.line(((x + dx, 0.05), (x + dx, top - 0.03)), shade(fill, 0.72), 0.007)
        for dx in (-0.06, 0.06):
            f.oval(x + dx, 0.012, 0.016, 0.016, (40, 40, 44), False)


def held(f: Frame, item: dict[str, Any], hand: Point, body: Body, how: str) -> None:
    """Draw what a hand holds; `how` is the pose of its arm (a closed umbrella hangs `down`)."""
    fill, (x, y) = PALETTE[item["colour"]], hand
    name = item["name"]
    if name == "phone":
        f.poly(
            ((x - 0.017, y - 0.014), (x + 0.017, y - 0.014), (x + 0.019, y + 0.05), (x - 0.015, y + 0.05)),
            (28, 28, 34),
        )
        if not body.back and how != "ear":
            f.rect(x - 0.01, y, x + 0.012, y + 0.042, (150, 200, 232), False)
    elif name == "cup":
        f.poly(
            ((x - 0.024, y + 0.052), (x + 0.024, y + 0.052), (x + 0.018, y - 0.02), (x - 0.018, y - 0.02)),
            fill,
        )
        f.limb(((x - 0.024, y + 0.055), (x + 0.024, y + 0.055)), 0.014, (84, 60, 44), False)
    elif name == "bottle":
        f.limb(((x, y - 0.07), (x, y + 0.014)), 0.038, fill)
        f.limb(((x, y + 0.03), (x, y + 0.042)), 0.018, (240, 240, 240))
    elif name == "book":
        f.rect(x - 0.036, y - 0.062, x + 0.036, y + 0.036, fill)
        f.rect(x + 0.026, y - 0.058, x + 0.034, y + 0.032, (244, 240, 228), False)
        f.line(((x - 0.022, y + 0.008), (x + 0.014, y + 0.008)), shade(fill, 0.6), 0.01)
    elif how == "raised":
        _open_umbrella(f, fill, hand, body)
    else:
        f.line(((x, y + 0.03), (x, 0.1)), (70, 60, 54), 0.009)
        f.poly(
            (
                (x - 0.008, y - 0.05),
                (x + 0.008, y - 0.05),
                (x + 0.026, y - 0.14),
                (x + 0.006, 0.1),
                (x - 0.006, 0.1),
                (x - 0.026, y - 0.14),
            ),
            fill,
        )
        f.limb(((x, y + 0.03), (x + 0.012, y + 0.044), (x + 0.026, y + 0.034)), 0.012, (110, 74, 44), False)


def _open_umbrella(f: Frame, fill: Colour, hand: Point, body: Body) -> None:
    x, y = hand
    top = body.head[1] + body.radius * 1.0
    mid = x * 0.45
    f.line(((x, y - 0.03), (mid, top + 0.1)), (70, 66, 64), 0.011)
    dome = (
        (-0.25, 0.0),
        (-0.21, 0.075),
        (-0.11, 0.13),
        (0.0, 0.145),
        (0.11, 0.13),
        (0.21, 0.075),
        (0.25, 0.0),
    )
    scallop = ((0.17, 0.018), (0.085, 0.0), (0.0, 0.02), (-0.085, 0.0), (-0.17, 0.018))
    f.poly([(mid + p, top + q) for p, q in (*dome, *scallop)], fill)
    for p in (-0.085, 0.085):
        f.line(((mid + p, top), (mid + p * 0.5, top + 0.1), (mid, top + 0.145)), shade(fill, 0.7))
    f.limb(((mid, top + 0.145), (mid, top + 0.165)), 0.01, (70, 66, 64), False)
