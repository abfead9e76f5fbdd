"""The joints of a walker seen from the front, from behind or from the side, and cloth drawn around them.

Units are heights of the figure, x to the right (to where it faces, seen from the side) and y up from the
ground. Seen from front or back, a bag hangs on the side of positive x and a thing is held on the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from PIL import Image, ImageChops, ImageDraw

from ..world import FIGURES
from .canvas import INK, Colour, Frame, Point, shade, smooth

GIRTH = {"slim": 0.88, "average": 1.0, "heavy": 1.24}


def step(start: Point, angle: float, length: float) -> Point:
    """The point `length` from `start`, `angle` degrees from straight down towards positive x."""
    a = math.radians(angle)
    return start[0] + length * math.sin(a), start[1] - length * math.cos(a)


class Body:
    """Joints of one person in one view; arms and legs are pairs, the second nearer to the viewer."""

    half = False  # whether the face of one seen from the side is turned half to the viewer
    builds = FIGURES["walkers"]

    def __init__(self, person: dict[str, Any], view: dict[str, Any]) -> None:
        self.build = b = SimpleNamespace(**self.builds[person["kind"]])
        self.side = view["view"] in ("left", "right")
        self.back = view["view"] == "back"
        self.girth = g = GIRTH[person["build"]]
        self.wide, self.waist, self.hips = b.wide * (1 + (g - 1) * 0.7), b.waist * g, b.hips * g
        self.leg, self.arm = 0.086 * (1 + (g - 1) * 0.8), 0.058 * (1 + (g - 1) * 0.7)
        self.walking = view["action"] == "walking"
        self.head = (0.018 if self.side else 0.0, b.shoulder + 0.034 + b.head)
        self.radius = b.head
        upper = (b.shoulder - b.hip) * 0.52
        if self.side:
            self._side_joints(view["arms"], upper)
        else:
            self._front_joints(view["arms"], upper)

    def _front_joints(self, arms: Sequence[str], upper: float) -> None:
        b = self.build
        self.shoulders = [(s * (self.wide - 0.018), b.shoulder - 0.022) for s in (-1, 1)]
        self.elbows, self.hands = [], []
        for k, s in enumerate((-1, 1)):
            a, c = FIGURES["arms"][arms[k]]
            elbow = step(self.shoulders[k], s * a, upper)
            self.elbows.append(elbow)
            self.hands.append(step(elbow, s * c, upper * (0.94 if abs(c) < 90 else 0.9)))
        gap = self.hips * 0.52
        low = (0.055, 0.0) if self.walking else (0.0, 0.0)  # a lifted foot is further away
        spread = (0.05, 0.035) if self.walking else (0.062, 0.062)
        self.hip = [(-gap, b.hip), (gap, b.hip)]
        self.knees = [(-gap * 1.08, b.knee + low[0] * 0.5), (gap * 1.0, b.knee)]
        self.ankles = [(-spread[0], 0.042 + low[0]), (spread[1], 0.042)]

    def _side_joints(self, arms: Sequence[str], upper: float) -> None:
        b = self.build
        self.shoulders = [(0.012, b.shoulder - 0.03), (-0.008, b.shoulder - 0.03)]
        self.elbows, self.hands = [], []
        for k in (0, 1):
            a, c = FIGURES["side_arms"][arms[k]]
            self.elbows.append(step(self.shoulders[k], a, upper))
            self.hands.append(step(self.elbows[k], c, upper * 0.94))
        swing = ((26, 10), (-16, -34)) if self.walking else ((5, 1), (-5, -4))
        self.hip = [(0.008, b.hip), (-0.006, b.hip)]
        thigh = b.hip - b.knee
        self.knees = [step(p, a[0], thigh) for p, a in zip(self.hip, swing, strict=True)]
        self.ankles = [step(k, a[1], b.knee - 0.042) for k, a in zip(self.knees, swing, strict=True)]
        drop = 0.042 - min(p[1] for p in self.ankles)
        self.ankles = [(x, y + drop) for x, y in self.ankles]

    def outline(self, hem: float, grow: float = 0.0, flare: float = 0.0) -> tuple[Point, ...]:
        """The torso from the neck down to `hem`, `grow` wider than the body, `flare` wider at the hem."""
        b, s = self.build, self.build.shoulder
        top, mid = s - 0.02, (s + b.hip) / 2 - 0.03
        if self.side:
            d = self.waist * 0.82 + grow
            back = ((-0.03, s + 0.02), (-0.062 - grow, top - 0.05), (-0.05 - grow - (d - 0.06) * 0.4, mid))
            front = ((0.034, s + 0.015), (0.06 + grow, top - 0.07), (0.03 + d * 0.42, mid))
            low = max(b.hip, hem)
            back += ((-0.072 * self.hips / 0.096 - grow, low), (-0.07 - grow - flare, hem))
            front += ((d * 0.86, low), (0.062 * self.girth + grow + flare, hem))
            return (*front, *reversed(back))
        h, low = self.hips + grow, max(b.hip + 0.01, hem)
        half = (
            (0.036, s + 0.026),
            (self.wide * 0.72, s + 0.006),
            (self.wide + grow, s - 0.035),
            (self.wide * 0.84 + grow, s - 0.12),
            (self.waist + grow, mid),
            (h, low),
            (h + flare, hem),
        )
        return (*half, *((-x, y) for x, y in reversed(half)))


class Worn:
    """Something on a body, drawn in a frame; what a scene asks the box of belongs to a part."""

    def __init__(self, f: Frame, person: dict[str, Any], body: Body) -> None:
        self.f, self.person, self.body = f, person, body

    def part(self, name: str) -> AbstractContextManager[None]:
        """While open, what is drawn belongs to a part of a scene: `top`, `lower`, `hair`, `hat` ..."""
        return self.f.canvas.part(self.person.get("chains", {}).get(name, 0))


@lru_cache(maxsize=64)
def motif(kind: str, side: int, step_px: int) -> Image.Image:
    """A mask of stripes, checks or dots, white where the second colour goes; `step_px` is its period."""
    mask = Image.new("L", (side, side))
    pen, thick = ImageDraw.Draw(mask), max(1, round(step_px * 0.42))
    if kind == "dotted":
        r = step_px * 0.27
        for j, y in enumerate(range(0, side + step_px, step_px)):
            for x in range(-(j % 2) * step_px // 2, side + step_px, step_px):
                pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
        return mask
    for y in range(0, side, step_px):
        pen.rectangle((0, y, side, y + thick - 1), fill=255 if kind == "striped" else 150)
    if kind == "checked":
        across = mask.transpose(Image.Transpose.ROTATE_90)
        mask = ImageChops.add(mask, across)
    return mask


PERIOD = {"striped": 0.062, "checked": 0.062, "dotted": 0.052}


class Cloth:
    """One garment: what is drawn with it takes its colour and, when done, its pattern."""

    def __init__(
        self, frame: Frame, fill: Colour, pattern: str = "plain", second: Colour | None = None
    ) -> None:
        self.f, self.fill, self.second = frame, fill, second
        self.pattern = pattern if pattern in PERIOD else "plain"
        self.mask = self.pen = None
        if self.pattern != "plain":
            self.mask = Image.new("L", frame.canvas.image.size)
            self.pen = ImageDraw.Draw(self.mask)

    def poly(self, points: Sequence[Point], tone: float = 1.0, soft: bool = False) -> None:
        """A piece of cloth; `tone` darkens it."""
        points = smooth(tuple(points)) if soft else points
        self.f.poly(points, shade(self.fill, tone))
        if self.pen is not None:
            self.pen.polygon([self.f.at(*p) for p in points], fill=255)

    def taper(self, joints: Sequence[Point], widths: Sequence[float], tone: float = 1.0) -> None:
        """A sleeve or trouser leg."""
        taper(self.f, joints, widths, shade(self.fill, tone))
        if self.pen is not None:
            for outline in _tapered(joints, widths):
                self.pen.polygon([self.f.at(*p) for p in outline], fill=255)

    def flush(self) -> None:
        """Put the pattern on everything drawn so far and start anew; call before the next layer."""
        if self.mask is None:
            return
        box = self.mask.getbbox()
        if box:
            period = max(3, round(PERIOD[self.pattern] * self.f.unit))
            print_ = motif(self.pattern, 2 * max(self.mask.size), period)
            print_ = print_.crop((0, 0, box[2] - box[0], box[3] - box[1]))
            region = ImageChops.multiply(self.mask.crop(box), print_)
            self.f.canvas.image.paste(self.second, box[:2], region)
            self.pen.rectangle(box, fill=0)


def _tapered(joints: Sequence[Point], widths: Sequence[float], more: float = 0.0) -> list[list[Point]]:
    """Quadrilaterals between successive joints."""
    out = []
    for (x0, y0), (x1, y1), w0, w1 in zip(joints, joints[1:], widths, widths[1:], strict=False):
        length = math.hypot(x1 - x0, y1 - y0) or 1e-6
        nx, ny = (y1 - y0) / length, (x0 - x1) / length
        a, b = w0 / 2 + more, w1 / 2 + more
        out.append(
            [
                (x0 + nx * a, y0 + ny * a),
                (x1 + nx * b, y1 + ny * b),
                (x1 - nx * b, y1 - ny * b),
                (x0 - nx * a, y0 - ny * a),
            ]
        )
    return out


def taper(
    f: Frame, joints: Sequence[Point], widths: Sequence[float], fill: Colour, outline: bool = True
) -> None:
    """A limb through `joints`, as wide at each as `widths` says, rounded at inner joints."""
    layers = [(f.ink / f.unit, shade(fill, INK))] if outline else []
    for more, colour in [*layers, (0.0, fill)]:
        for quad in _tapered(joints, widths, more):
            f.poly(quad, colour, False)
        for (x, y), wide in zip(joints[1:-1], widths[1:-1], strict=True):
            f.oval(x, y, wide / 2 + more, wide / 2 + more, colour, False)
