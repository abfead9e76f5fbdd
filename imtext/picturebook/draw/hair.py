"""Heads: face, hair in its styles, beards, glasses and hats, from every side."""

from __future__ import annotations

from typing import Any

from ..world import HAIR, PALETTE, SKIN, read
from .body import Body, Worn
from .canvas import Colour, Frame, mix, outline, shade, smooth

SHAPES = {
    name: {style: outline(text) for style, text in one.items()} if isinstance(one, dict) else outline(one)
    for name, one in read("hair").items()
}
LOOSE = ("long", "bob", "braids")


class Head(Worn):
    """The head of a person: `behind` first, then the body, then `draw`, then `over` what is on the back."""

    def __init__(self, f: Frame, person: dict[str, Any], body: Body) -> None:
        super().__init__(f, person, body)
        self.skin: Colour = SKIN[person["skin"]]
        self.hair: Colour = HAIR[person["hair"]["colour"]]
        self.style = person["hair"]["style"]
        self.x, self.y = body.head
        self.r = body.radius
        self.w = self.r * (0.94 if body.half else 0.86 if body.side else 0.76)

    def _blob(self, points: tuple[tuple[float, float], ...], fill: Colour | None = None) -> None:
        """A soft shape in units of the head."""
        x, y, w, r = self.x, self.y, self.w, self.r
        self.f.poly([(x + p * w, y + q * r) for p, q in smooth(points)], fill or self.hair)

    def behind(self) -> None:
        """Hair that hangs behind the shoulders, seen from the front."""
        if self.body.back or self.body.side:
            return
        if self.style in SHAPES["behind"]:
            self._blob(SHAPES["behind"][self.style])

    def draw(self) -> None:
        """The head itself."""
        if self.body.back:
            self._back()
        elif self.body.side:
            self._side()
        else:
            self._front()
        with self.part("hair"):
            self._tufts()
        if self.person["hat"]:
            with self.part("hat"):
                self._hat(self.person["hat"])

    # -- front ----------------------------------------------------------------------------------------

    def _front(self) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        if self.style == "curly":
            for p, q in SHAPES["curls"]:
                f.oval(x + p * w * 1.12, y + q * r, w * 0.46, r * 0.38, self.hair)
        for s in (-1, 1):
            f.oval(x + s * w * 0.98, y - r * 0.08, w * 0.16, r * 0.2, shade(self.skin, 0.92))
        f.oval(x, y, w, r, self.skin)
        self._features()
        if self.person["beard"]:
            self._blob(SHAPES["beard_front"], shade(self.hair, 0.92))
            f.oval(x, y - r * 0.56, w * 0.26, r * 0.07, (176, 96, 88), False)
        self._glasses((-0.42, 0.42))
        if self.style in SHAPES["front"]:
            self._blob(
                SHAPES["front"][self.style],
                mix(self.hair, self.skin, 0.35) if self.style == "shaved" else self.hair,
            )

    def _features(self) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        for s in (-1, 1):
            f.oval(x + s * w * 0.4, y + r * 0.04, w * 0.13, r * 0.12, (34, 28, 30), False)
            f.line(((x + s * w * 0.22, y + r * 0.28), (x + s * w * 0.6, y + r * 0.26)), shade(self.skin, 0.5))
        f.line(((x, y), (x + w * 0.08, y - r * 0.24)), shade(self.skin, 0.74))
        red = (172, 70, 74) if self.person["kind"] in ("woman", "girl") else shade(self.skin, 0.62)
        f.line(((x - w * 0.28, y - r * 0.52), (x, y - r * 0.57), (x + w * 0.28, y - r * 0.52)), red, 0.008)

    def _glasses(self, at: tuple[float, ...]) -> None:
        kind = self.person["glasses"]
        if not kind:
            return
        f, x, y, w, r = self.f, self.x, self.y + self.r * 0.06, self.w, self.r
        dark = (24, 24, 28)
        for p in at:
            f.oval(x + p * w, y, w * 0.34, r * 0.24, dark, False)
            if kind == "glasses":
                f.oval(x + p * w, y, w * 0.2, r * 0.14, (226, 234, 240), False)
        ends = (-0.95, 0.95) if len(at) == 2 else (-0.3, 0.9)
        f.line(((x + ends[0] * w, y + r * 0.04), (x + ends[1] * w, y + r * 0.04)), dark, 0.007)

    # -- back and side --------------------------------------------------------------------------------

    def _back(self) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        for s in (-1, 1):
            f.oval(x + s * w * 0.98, y - r * 0.1, w * 0.15, r * 0.2, shade(self.skin, 0.9))
        f.oval(x, y, w, r, shade(self.skin, 0.94))
        if self.style == "bald":
            f.oval(x - w * 0.2, y + r * 0.4, w * 0.4, r * 0.3, shade(self.skin, 1.08), False)
        elif self.style == "shaved":
            f.oval(x, y + r * 0.16, w, r * 0.86, mix(self.hair, self.skin, 0.3))
        elif self.style == "curly":
            for p, q in SHAPES["curls_back"]:
                f.oval(x + p * w * 1.08, y + q * r, w * 0.55, r * 0.44, self.hair)
            f.oval(x, y + r * 0.2, w * 0.9, r * 0.9, self.hair, False)
        else:
            self._blob(SHAPES["back"][self.style])

    def _side(self) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        if self.body.half:
            f.oval(x, y, w, r, self.skin)
            for p in (0.22, 0.66):
                f.oval(x + p * r, y + r * 0.08, r * 0.1, r * 0.15, (30, 26, 30), False)
            smile = ((x + r * 0.2, y - r * 0.4), (x + r * 0.45, y - r * 0.5), (x + r * 0.66, y - r * 0.38))
            f.line(smile, (150, 50, 50), 0.014)
        else:
            nose = ((0.8, 0.12), (1.2, -0.22), (0.78, -0.3))
            f.poly([(x + w * p, y + r * q) for p, q in nose], shade(self.skin, 0.94))
            f.oval(x, y, w, r, self.skin)
            f.oval(x + w * 0.55, y + r * 0.04, w * 0.1, r * 0.12, (34, 28, 30), False)
            f.line(((x + w * 0.5, y - r * 0.54), (x + w * 0.86, y - r * 0.5)), (160, 76, 74), 0.008)
        if self.person["beard"]:
            with self.part("beard"):
                self._blob(SHAPES["beard_side"], shade(self.hair, 0.92))
        with self.part("sunglasses"):
            self._glasses((0.22, 0.66) if self.body.half else (0.62,))
        with self.part("hair"):
            self._hair_from_the_side()
        if self.style not in LOOSE and self.style != "curly":
            f.oval(x - w * 0.14, y - r * 0.1, w * 0.16, r * 0.2, shade(self.skin, 0.88))

    def _hair_from_the_side(self) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        if self.style == "curly":
            for p, q in SHAPES["curls"][:6]:
                f.oval(x + (p * 0.95 - 0.1) * w, y + q * r, w * 0.5, r * 0.42, self.hair)
            for p, q in SHAPES["curls_side"]:
                f.oval(x + p * w, y + q * r, w * 0.55, r * 0.46, self.hair, False)
        elif self.style in SHAPES["side"]:
            cut = mix(self.hair, self.skin, 0.3) if self.style == "shaved" else self.hair
            self._blob(SHAPES["side"][self.style], cut)

    def _tufts(self) -> None:
        """Buns and braids."""
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        tie = shade(self.hair, 0.55) if sum(self.hair) > 200 else (120, 60, 70)
        if self.style == "bun":
            bx, by = (x - w * 0.75, y + r * 0.95) if self.body.side else (x, y + r * 1.36)
            f.oval(bx, by, w * 0.5, r * 0.42, self.hair)
        elif self.style == "braids":
            for s in (-1, 1) if not self.body.side else (-0.35,):
                for k in range(4):
                    f.oval(
                        x + s * w * (1.3 + 0.04 * k), y - r * (0.75 + 0.36 * k), w * 0.26, r * 0.24, self.hair
                    )
                f.oval(x + s * w * 1.42, y - r * 2.1, w * 0.18, r * 0.12, tie, False)

    def over(self) -> None:
        """Hair that falls over the back and whatever is worn on it."""
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        if self.body.back and self.style == "long":
            self._blob(SHAPES["down_the_back"])
            for p in (-0.5, 0.45):
                f.line(((x + p * w, y), (x + p * 1.1 * w, y - r * 2.2)), shade(self.hair, 0.72))
        elif self.style == "ponytail" and self.body.back:
            self._blob(SHAPES["tail_back"])
            f.limb(((x - w * 0.3, y + r * 0.36), (x + w * 0.3, y + r * 0.36)), r * 0.16, (170, 60, 80), False)
        elif self.style == "ponytail" and self.body.side:
            self._blob(SHAPES["tail_side"])
            f.oval(x - w * 1.06, y + r * 0.54, w * 0.16, r * 0.2, (170, 60, 80), False)

    def _hat(self, hat: dict[str, str]) -> None:
        f, x, y, w, r = self.f, self.x, self.y, self.w, self.r
        fill, name = PALETTE[hat["colour"]], hat["name"]
        side = self.body.side
        if name == "sunhat":
            f.oval(x, y + r * 0.42, w * 2.1, r * 0.34, fill)
            self._blob(SHAPES["crown"], fill)
            f.limb(
                ((x - w * 0.92, y + r * 0.56), (x + w * 0.92, y + r * 0.56)),
                r * 0.16,
                shade(fill, 0.5),
                False,
            )
            return
        low = 0.3 if name == "beanie" else 0.4
        dome = ((-1.16, low - 0.1), (-1.14, 0.95), (-0.6, 1.42), (0.6, 1.42), (1.14, 0.95), (1.16, low - 0.1))
        self._blob(dome, fill)
        if name == "beanie":
            f.limb(((x - w * 1.02, y + r * low), (x + w * 1.02, y + r * low)), r * 0.3, shade(fill, 0.8))
            f.oval(
                x, y + r * 1.42, w * 0.26, r * 0.22, shade(fill, 1.5) if sum(fill) < 500 else shade(fill, 0.8)
            )
        elif name == "helmet":
            f.oval(x - w * 0.4, y + r * 1.05, w * 0.32, r * 0.16, shade(fill, 1.6), False)
            f.line(((x - w * 0.5, y + r * 0.35), (x - w * 0.05, y - r * 0.85)), (40, 40, 40), 0.012)
        elif side:
            f.limb(((x + w * 0.4, y + r * 0.38), (x + w * 1.85, y + r * 0.3)), r * 0.2, shade(fill, 0.82))
        elif self.body.back:
            f.oval(
                x,
                y + r * 0.4,
                w * 0.3,
                r * 0.13,
                shade(self.hair, 0.9) if self.style != "bald" else self.skin,
            )
        else:
            self._blob(SHAPES["peak"], shade(fill, 0.8))
