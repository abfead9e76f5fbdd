"""A supersampled canvas, and frames in which a figure is drawn in units of its own height.

In a frame x grows to where the figure faces and y grows up from the ground, both in heights of the figure.
The canvas keeps the extent of whatever is drawn while a part is open, so boxes need no second description.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from PIL import Image, ImageDraw

Colour = tuple[int, ...]
Point = tuple[float, float]

CIRCLE = tuple((math.cos(math.tau * k / 22), math.sin(math.tau * k / 22)) for k in range(22))
INK = 0.66  # outlines are this much darker than what they surround


@lru_cache(maxsize=4096)
def shade(colour: Colour, factor: float) -> Colour:
    """A darker (`factor` < 1) or lighter (> 1) colour; alpha is kept.

    >>> shade((100, 200, 50), 0.5), shade((100, 200, 50), 1.5)
    ((50, 100, 25), (177, 227, 152))
    """
    if factor <= 1:
        return tuple(int(c * factor) for c in colour[:3]) + tuple(colour[3:])
    return tuple(int(c + (255 - c) * (factor - 1)) for c in colour[:3]) + tuple(colour[3:])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from `a` to `b`.

    >>> mix((0, 0, 0), (100, 200, 50), 0.5)
    (50, 100, 25)
    """
    return tuple(int(p + (q - p) * share) for p, q in zip(a, b, strict=True))


@lru_cache(maxsize=512)
def smooth(points: tuple[Point, ...], rounds: int = 2) -> tuple[Point, ...]:
    """A closed polygon with its corners cut (Chaikin), so that a few points give a soft shape."""
    for _ in range(rounds):
        cut = []
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            cut += [
                (0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1),
                (0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1),
            ]
        points = tuple(cut)
    return points


@lru_cache(maxsize=2048)
def outline(text: str) -> tuple[Point, ...]:
    """Points from text.

    >>> outline("0 1, .5 -1")
    ((0.0, 1.0), (0.5, -1.0))
    """
    return tuple((float(x), float(y)) for x, y in (pair.split() for pair in text.split(",")))


def supersampling(size: int) -> int:
    """How many canvas pixels make one pixel of an image of `size`."""
    return 3 if size < 128 else 2


class Canvas:
    """A square image under the brush, with a record of the extents of open parts."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.side = image.size[0]
        self.pen = ImageDraw.Draw(image, "RGBA")
        self.ink = max(1, round(self.side / 190))
        self.open: list[list[float]] = []
        self.member = 0  # which of a chain's members is being drawn
        self.extents: dict[tuple[int, int], list[float]] = {}

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """A rectangle between two corners in shares of the picture, y from the top."""
        x0, x1 = sorted((x0 * self.side, x1 * self.side))
        y0, y1 = sorted((y0 * self.side, y1 * self.side))
        self.pen.rectangle((x0, y0, x1, y1), fill=fill)

    @contextmanager
    def part(self, chain: int) -> Iterator[None]:
        """While open, what is drawn belongs to `chain`; extents of one chain and member are united."""
        extent = self.extents.setdefault((chain, self.member), [math.inf, math.inf, -math.inf, -math.inf])
        self.open.append(extent)
        yield
        self.open.pop()

    def grow(self, points: Sequence[Point], margin: float = 0.0) -> None:
        """Extend every open part to hold `points`."""
        if self.open:
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            x0, y0, x1, y1 = min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin
            for e in self.open:
                e[0], e[1], e[2], e[3] = min(e[0], x0), min(e[1], y0), max(e[2], x1), max(e[3], y1)

    def frame(self, x: float, y: float, height: float, facing: int = 1, tilt: float = 0.0) -> Frame:
        """A frame whose origin is at picture position (x, y in 0..1) and whose unit is `height`."""
        return Frame(self, x * self.side, y * self.side, height * self.side, facing, tilt)


class Frame:
    """Drawing in units of a figure; see the module."""

    def __init__(
        self, canvas: Canvas, x: float, y: float, unit: float, facing: int = 1, tilt: float = 0.0
    ) -> None:
        self.canvas, self.pen, self.unit, self.facing, self.tilt = canvas, canvas.pen, unit, facing, tilt
        self.x, self.y = x, y
        c, s = math.cos(math.radians(tilt)) * unit, math.sin(math.radians(tilt)) * unit
        self.a, self.b, self.c, self.d = c * facing, s * facing, s, c
        self.ink = canvas.ink

    def at(self, x: float, y: float) -> Point:
        """Pixel position of a point of the frame."""
        return self.x + self.a * x + self.b * y, self.y + self.c * x - self.d * y

    def sub(self, x: float, y: float, size: float, tilt: float = 0.0, flip: bool = False) -> Frame:
        """A frame at a point of this one, its unit `size` of this one's, turned by `tilt` degrees."""
        px, py = self.at(x, y)
        return Frame(
            self.canvas, px, py, self.unit * size, -self.facing if flip else self.facing, self.tilt + tilt
        )

    def poly(self, points: Sequence[Point], fill: Colour, outline: bool = True) -> None:
        """A filled polygon, outlined in a darker tone."""
        ox, oy, a, b, c, d = self.x, self.y, self.a, self.b, self.c, self.d
        pixels = [(ox + a * x + b * y, oy + c * x - d * y) for x, y in points]
        self.pen.polygon(pixels, fill=fill)
        if outline:
            self.pen.line([*pixels, pixels[0]], fill=shade(fill, INK), width=self.ink)
        self.canvas.grow(pixels)

    def blob(self, points: tuple[Point, ...], fill: Colour, outline: bool = True) -> None:
        """A soft closed shape through cut corners of `points`."""
        self.poly(smooth(points), fill, outline)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, outline: bool = True, angle: float = 0.0
    ) -> None:
        """An ellipse around (x, y)."""
        if angle or self.tilt:
            co, si = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            self.poly(
                [(x + rx * p * co - ry * q * si, y + rx * p * si + ry * q * co) for p, q in CIRCLE],
                fill,
                outline,
            )
            return
        px, py = self.at(x, y)
        wide, high = rx * self.unit, ry * self.unit
        box = (px - wide, py - high, px + wide, py + high)
        if outline:
            self.pen.ellipse(box, fill=fill, outline=shade(fill, INK), width=self.ink)
        else:
            self.pen.ellipse(box, fill=fill)
        self.canvas.grow((box[:2], box[2:]))

    def ball(self, x: float, y: float, r: float, fill: Colour) -> None:
        """A disc shaded as a sphere lit from the upper left."""
        self.oval(x, y, r, r, shade(fill, 0.78))
        side = -0.14 * r * self.facing
        self.oval(x + side, y + 0.14 * r, r * 0.78, r * 0.78, fill, False)
        self.oval(x + side * 2.6, y + 0.36 * r, r * 0.26, r * 0.24, shade(fill, 1.6), False)

    def limb(self, points: Sequence[Point], width: float, fill: Colour, outline: bool = True) -> None:
        """A thick rounded line through `points`."""
        pixels = [self.at(*p) for p in points]
        thick = max(1.0, width * self.unit)
        if outline:
            self._stroke(pixels, thick + 2 * self.ink - 1, shade(fill, INK))
        self._stroke(pixels, thick, fill)
        self.canvas.grow(pixels, thick / 2)

    def _stroke(self, pixels: list[Point], thick: float, fill: Colour) -> None:
        self.pen.line(pixels, fill=fill, width=max(1, round(thick)))
        if thick > 2.5:
            r = thick / 2 - 0.4
            for x, y in pixels:
                self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float = 0.0) -> None:
        """A thin line; `width` in units of the figure, at least one pixel."""
        pixels = [self.at(*p) for p in points]
        self.pen.line(pixels, fill=fill, width=max(1, round(width * self.unit)))
        self.canvas.grow(pixels)

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, outline: bool = True) -> None:
        """A rectangle between two corners."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outline)

    def shadow(self, x: float, width: float, strength: int = 62) -> None:
        """A soft shadow on the ground under x; belongs to no part."""
        px, py = self.x + self.facing * x * self.unit, self.y
        for grow, share in ((1.0, 0.45), (0.72, 0.55)):
            wide, high = width * self.unit * grow / 2, width * self.unit * grow * 0.13
            self.pen.ellipse(
                (px - wide, py - high, px + wide, py + high), fill=(20, 24, 40, int(strength * share))
            )
