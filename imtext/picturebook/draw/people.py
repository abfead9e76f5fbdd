"""People: a jointed figure dressed in what the scene says, in the pose of its action."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

from ..world import COLOURS, FIGURES, HAIR, SKIN
from .canvas import Colour, Frame, Point, shade

POSES = FIGURES["poses"]


def _step(start: Point, angle: float, length: float) -> Point:
    a = math.radians(angle)
    return start[0] + length * math.sin(a), start[1] - length * math.cos(a)


class Figure:
    """One person: works out the joints, then draws back to front."""

    def __init__(
        self, frame: Frame, person: dict[str, Any], pose: str, rng: random.Random, seat: float = 0.0
    ) -> None:
        self.f, self.person, self.rng = frame, person, rng
        kind = person["kind"]
        self.adult = kind in ("man", "woman")
        self.build = SimpleNamespace(**FIGURES["builds"]["adult" if self.adult else "child"])
        self.female = kind in ("woman", "girl")
        self.skin = rng.choice(SKIN)
        hair = person.get("hair")
        self.hair: Colour = HAIR[hair["colour"]] if hair else rng.choice(tuple(HAIR.values())[:4])
        self.long = hair["length"] == "long" if hair else self.female
        self.clothes = {c["name"]: c for c in person["clothes"]}
        self.top = person["clothes"][0]
        self.extras = {e["name"]: e for e in person.get("extras", ())}
        self._pose(pose, seat)

    def _pose(self, pose: str, seat: float) -> None:
        """Joint positions; the lowest foot is put on the ground, or the hip on a seat."""
        lean, front, back, fore, rear, lift = POSES[pose]
        b = self.build
        leg, arm = b.hip * 0.5, (b.shoulder - b.hip) * (0.54 if self.adult else 0.6)
        hip = (0.0, b.hip)
        knees = [_step((hip[0] + dx, hip[1]), a[0], leg) for dx, a in ((0.03, front), (-0.03, back))]
        feet = [_step(k, a[1], leg) for k, a in zip(knees, (front, back), strict=True)]
        if pose in ("sitting", "biking", "horseback") or seat:
            drop = seat - b.hip
        else:
            drop = 0.028 + lift - min(min(p[1] for p in feet), hip[1] - 0.06, *(k[1] for k in knees))
        self.hip = (0.0, b.hip + drop)
        self.knees = [(x, y + drop) for x, y in knees]
        self.feet = [(x, y + drop) for x, y in feet]
        torso = b.shoulder - b.hip
        up = math.radians(lean)
        self.neck = (torso * math.sin(up), self.hip[1] + torso * math.cos(up))
        self.head = (self.neck[0] + (b.head * 1.25) * math.sin(up) * 0.7 + 0.01, self.neck[1] + b.head * 1.18)
        self.across = (math.cos(up), -math.sin(up))
        self.shoulders = [(self.neck[0] + s * b.girth * 0.62, self.neck[1] - 0.035) for s in (0.55, -0.8)]
        self.elbows = [_step(p, a[0], arm) for p, a in zip(self.shoulders, (fore, rear), strict=True)]
        self.hands = [_step(e, a[1], arm) for e, a in zip(self.elbows, (fore, rear), strict=True)]

    def colour(self, garment: dict[str, Any]) -> Colour:
        """The drawn colour of a piece of clothing."""
        return (52, 78, 132) if garment["name"] == "jeans" else COLOURS[garment["colour"]]

    def draw_back(self) -> None:
        """Everything behind a held thing: back arm, legs, torso, head."""
        f, c = self.f, self.f.canvas
        if "backpack" in self.extras:
            with c.part(self.extras["backpack"]["id"]):
                x, y = self._torso(-0.105, 0.58)
                f.oval(x, y, 0.075, 0.125, COLOURS[self.extras["backpack"]["colour"]])
        if self.long:
            with c.part(self._hair_id()):
                self._long_hair()
        self._arm(1)
        self._legs()
        self._body()
        self._face()

    def draw_front(self) -> None:
        """The front arm, drawn over a held thing."""
        self._arm(0)

    def _torso(self, x: float, share: float) -> Point:
        """A point of the torso: `share` of the way from hip to neck, `x` to the front."""
        hx, hy = self.hip
        nx, ny = self.neck
        return hx + (nx - hx) * share + x * self.across[0], hy + (ny - hy) * share + x * self.across[1]

    def _hair_id(self) -> int:
        return self.person["hair"]["id"] if "hair" in self.person else 0

    def _arm(self, k: int) -> None:
        f, b = self.f, self.build
        fill = self.colour(self.top)
        tone = 0.86 if k else 1.0
        thick = b.girth * 0.42
        f.limb([self.shoulders[k], self.elbows[k], self.hands[k]], thick * 0.86, shade(self.skin, tone))
        if self.top["name"] != "vest":
            with f.canvas.part(self.top["id"]):
                full = self.top["name"] in ("jacket", "sweater")
                ex, ey = self.elbows[k]
                hx, hy = self.hands[k]
                end = [(ex + (hx - ex) * 0.66, ey + (hy - ey) * 0.66)] if full else []
                sx, sy = self.shoulders[k]
                stop = (ex, ey) if full else (sx + (ex - sx) * 0.72, sy + (ey - sy) * 0.72)
                f.limb([self.shoulders[k], stop, *end], thick, shade(fill, tone))
        f.oval(*self.hands[k], thick * 0.52, thick * 0.52, shade(self.skin, tone))

    def _legs(self) -> None:
        f, b = self.f, self.build
        thick = b.girth * 0.52
        lower = next((self.clothes[n] for n in ("pants", "jeans", "shorts") if n in self.clothes), None)
        for k in (1, 0):
            tone = 0.84 if k else 1.0
            hip = (self.hip[0] + (0.035 if k == 0 else -0.035), self.hip[1])
            knee, foot = self.knees[k], self.feet[k]
            if lower is None or lower["name"] == "shorts":
                f.limb([hip, knee, foot], thick * 0.82, shade(self.skin, tone))
            if lower is not None:
                with f.canvas.part(lower["id"]):
                    fill = shade(self.colour(lower), tone)
                    path = (
                        [hip, knee]
                        if lower["name"] == "shorts"
                        else [
                            hip,
                            knee,
                            (knee[0] + (foot[0] - knee[0]) * 0.86, knee[1] + (foot[1] - knee[1]) * 0.86),
                        ]
                    )
                    f.limb(path, thick, fill)
            shoe = (70, 48, 40) if self.adult else (196, 60, 60)
            f.oval(foot[0] + 0.024, foot[1] - 0.004, 0.052, 0.028, shade(shoe, tone))

    def _body(self) -> None:
        f, b = self.f, self.build
        g = b.girth
        fill = self.colour(self.top)
        if "skirt" in self.clothes:
            with f.canvas.part(self.clothes["skirt"]["id"]):
                self._flare(self.colour(self.clothes["skirt"]), 0.52)
        with f.canvas.part(self.top["id"]):
            if self.top["name"] == "dress":
                self._flare(fill, 0.62)
            wide = g * (1.0 if self.adult and not self.female else 0.88)
            shape = tuple(
                self._torso(x, s)
                for x, s in (
                    (-wide * 0.72, -0.04),
                    (wide * 0.72, -0.04),
                    (wide * 0.74, 0.5),
                    (wide * 0.86, 0.86),
                    (wide * 0.5, 1.05),
                    (-wide * 0.5, 1.05),
                    (-wide * 0.92, 0.86),
                    (-wide * 0.78, 0.5),
                )
            )
            f.poly(shape, fill)
            band = shade(fill, 0.8)
            f.poly(
                [
                    shape[0],
                    self._torso(-wide * 0.3, -0.02),
                    self._torso(-wide * 0.4, 1.0),
                    shape[6],
                    shape[7],
                ],
                band,
                False,
            )
            self._trim(fill, wide)
        f.limb(
            [self._torso(0.005, 0.98), (self.head[0] - 0.01, self.head[1] - b.head * 0.6)],
            g * 0.42,
            self.skin,
            False,
        )
        if "scarf" in self.extras:
            with f.canvas.part(self.extras["scarf"]["id"]):
                tone = COLOURS[self.extras["scarf"]["colour"]]
                f.limb([self._torso(-g * 0.5, 1.04), self._torso(g * 0.6, 1.04)], 0.06, tone)
                f.limb([self._torso(g * 0.4, 1.0), self._torso(g * 0.5, 0.62)], 0.05, tone)

    def _trim(self, fill: Colour, wide: float) -> None:
        """Stripes of a top, or the front edge of a jacket."""
        f, g = self.f, self.build.girth
        if self.top["pattern"] == "striped":
            light = shade(fill, 0.45) if sum(fill) > 420 else (250, 250, 245)
            for s in (0.14, 0.38, 0.62, 0.86):
                f.line([self._torso(-wide * 0.78, s), self._torso(wide * 0.76, s)], light, g * 0.24)
        if self.top["name"] == "jacket":
            f.line([self._torso(g * 0.28, 0.0), self._torso(g * 0.22, 1.0)], shade(fill, 0.5), 0.012)

    def _flare(self, fill: Colour, length: float) -> None:
        """A skirt from the waist towards the knees."""
        g = self.build.girth
        (ax, ay), (bx, by) = self.knees
        low = [
            (x * 1.0 + (self.hip[0] - x) * (1 - length * 1.35), y + (self.hip[1] - y) * (1 - length * 1.35))
            for x, y in ((ax, ay), (bx, by))
        ]
        left, right = sorted((low[0], low[1]))
        self.f.poly(
            [
                self._torso(-g * 0.66, 0.22),
                self._torso(g * 0.66, 0.22),
                (right[0] + g * 0.72, right[1]),
                (left[0] - g * 0.72, left[1]),
            ],
            fill,
        )

    def _long_hair(self) -> None:
        x, y = self.head
        r = self.build.head
        self.f.blob(
            (
                (x - r * 1.25, y + r * 0.7),
                (x + r * 0.5, y + r * 1.2),
                (x + r * 0.7, y - r * 1.0),
                (x - r * 0.5, y - r * 2.1),
                (x - r * 1.7, y - r * 2.2),
            ),
            self.hair,
        )

    def _face(self) -> None:
        f, r = self.f, self.build.head
        x, y = self.head
        f.oval(x, y, r * 0.94, r * 1.06, self.skin)
        f.oval(x - r * 0.34, y - r * 0.12, r * 0.17, r * 0.2, shade(self.skin, 0.84), False)
        for dx in (0.22, 0.66):
            f.oval(x + dx * r, y + 0.08 * r, 0.1 * r, 0.15 * r, (30, 26, 30), False)
        f.line(
            [(x + 0.2 * r, y - 0.4 * r), (x + 0.45 * r, y - 0.5 * r), (x + 0.66 * r, y - 0.38 * r)],
            (150, 50, 50),
            0.014,
        )
        with f.canvas.part(self._hair_id()):
            f.blob(
                (
                    (x - r * 1.1, y - r * 0.5),
                    (x - r * 1.2, y + r * 0.9),
                    (x - r * 0.2, y + r * 1.45),
                    (x + r * 1.0, y + r * 1.0),
                    (x + r * 0.95, y + r * 0.4),
                    (x + r * 0.1, y + r * 0.55),
                    (x - r * 0.5, y + r * 0.1),
                ),
                self.hair,
            )
        if "beard" in self.extras:
            with f.canvas.part(self.extras["beard"]["id"]):
                f.blob(
                    (
                        (x - r * 0.5, y - r * 0.2),
                        (x - r * 0.2, y - r * 1.2),
                        (x + r * 0.6, y - r * 1.25),
                        (x + r * 0.95, y - r * 0.3),
                        (x + r * 0.45, y - r * 0.5),
                    ),
                    shade(self.hair, 0.9),
                )
        if "sunglasses" in self.extras:
            with f.canvas.part(self.extras["sunglasses"]["id"]):
                f.limb([(x - r * 0.1, y + r * 0.1), (x + r * 0.85, y + r * 0.1)], r * 0.36, (28, 28, 34))
        self._hat()

    def _hat(self) -> None:
        f, r = self.f, self.build.head
        x, y = self.head
        for name in ("cap", "helmet", "beanie", "sunhat"):
            if name not in self.clothes:
                continue
            fill = self.colour(self.clothes[name])
            dome = tuple(
                (x + r * 1.12 * p, y + r * 0.42 + r * (1.02 if name != "beanie" else 1.25) * max(q, 0.0))
                for p, q in ((-1, 0), (-0.92, 0.5), (-0.5, 0.9), (0.0, 1.0), (0.5, 0.9), (0.92, 0.5), (1, 0))
            )
            with f.canvas.part(self.clothes[name]["id"]):
                if name == "sunhat":
                    f.oval(x, y + r * 0.5, r * 1.9, r * 0.34, fill)
                    f.poly([(x + (p - x) * 0.72, q) for p, q in dome], fill)
                    f.line([(x - r * 0.8, y + r * 0.6), (x + r * 0.8, y + r * 0.6)], shade(fill, 0.5), 0.02)
                else:
                    f.poly(dome, fill)
                if name == "cap":
                    f.limb(
                        [(x + r * 0.3, y + r * 0.46), (x + r * 1.7, y + r * 0.4)], r * 0.2, shade(fill, 0.85)
                    )
                elif name == "beanie":
                    f.limb([(x - r, y + r * 0.46), (x + r, y + r * 0.46)], r * 0.34, shade(fill, 0.82))
                    f.oval(x, y + r * 1.72, r * 0.3, r * 0.3, shade(fill, 1.5))
                elif name == "helmet":
                    f.oval(x - r * 0.35, y + r * 0.95, r * 0.3, r * 0.16, shade(fill, 1.6), False)
                    f.line([(x - r * 0.5, y + r * 0.4), (x - r * 0.1, y - r * 0.9)], (40, 40, 40), 0.014)
