"""Clothes on a body: legs and shoes, upper garments with their sleeves, scarves and neckwear."""

from __future__ import annotations

from typing import Any

from ..world import DENIM, PALETTE, SKIN, WARDROBE
from .body import Body, Cloth, Worn, taper
from .canvas import Colour, Frame, Point, shade

Person = dict[str, Any]

SHOE_SIDE = ((-0.032, 0.022), (0.014, 0.022), (0.074, -0.012), (0.078, -0.032), (-0.036, -0.032))


def along(a: Point, b: Point, share: float) -> Point:
    """The point `share` of the way from `a` to `b`."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _cloth(f: Frame, garment: dict[str, Any]) -> Cloth:
    table = DENIM if garment["name"] == "jeans" else PALETTE
    second = PALETTE[garment["second"]] if "second" in garment else None
    return Cloth(f, table[garment["colour"]], garment["pattern"], second)


class Dressed(Worn):
    """A person's clothes on a body, drawn piece by piece from `figure.draw`."""

    def __init__(self, f: Frame, person: Person, body: Body) -> None:
        super().__init__(f, person, body)
        self.skin = SKIN[person["skin"]]
        self.garment = WARDROBE.tops[person["top"]["name"]]
        self.top = _cloth(f, person["top"])
        self.inner: Colour | None = PALETTE[person["top"]["inner"]] if "inner" in person["top"] else None
        self.name = person["top"]["name"]

    # -- legs -----------------------------------------------------------------------------------------

    def legs(self) -> None:
        """Both legs with what they wear."""
        lower = self.person["lower"]
        cloth = _cloth(self.f, lower) if lower else None
        for k in (0, 1):
            self._leg(k, lower, cloth)

    def skirt(self) -> None:
        """A skirt over the legs."""
        lower = self.person["lower"]
        if lower and lower["name"] == "skirt":
            b, cloth = self.body.build, _cloth(self.f, lower)
            shape = self._flared(b.hip + 0.07, b.knee + 0.045, 0.035)
            with self.part("lower"):
                cloth.poly(shape)
                self._folds(shape, cloth.fill)
            cloth.flush()

    def _leg(self, k: int, lower: dict[str, Any] | None, cloth: Cloth | None) -> None:
        f, body = self.f, self.body
        hip, knee, ankle = body.hip[k], body.knees[k], body.ankles[k]
        far = k == 0 and (body.side or body.walking)
        tone, thick = (0.8 if far else 1.0), body.leg
        name = lower["name"] if lower else "dress"
        if name in ("shorts", "skirt", "dress"):
            widths = (thick * 0.95, thick * 0.66, thick * 0.46)
            taper(f, (hip, knee, ankle), widths, shade(self.skin, tone))
        boots = self.person["shoes"]["name"] == "boots"
        if boots:
            self._shoe(k, tone)
        if name == "shorts":
            with self.part("lower"):
                cloth.taper((hip, along(hip, knee, 0.86)), (thick * 1.12, thick * 1.05), tone)
        elif name in ("trousers", "jeans", "leggings"):
            loose = {
                "trousers": (1.1, 0.86, 0.78),
                "jeans": (1.06, 0.8, 0.66),
                "leggings": (0.98, 0.68, 0.48),
            }
            end = along(knee, ankle, 0.62 if boots else 0.92 if name != "leggings" else 0.82)
            widths = tuple(thick * w for w in loose[name])
            if boots:
                widths = (widths[0], widths[1], widths[2] * 0.9)
            with self.part("lower"):
                cloth.taper((hip, knee, end), widths, tone)
            if name == "jeans":
                f.line((along(hip, knee, 0.2), knee, end), shade(cloth.fill, 0.78 * tone))
        if cloth is not None:
            cloth.flush()
        if not boots:
            self._shoe(k, tone)

    def _shoe(self, k: int, tone: float) -> None:
        f, body = self.f, self.body
        name, fill = self.person["shoes"]["name"], shade(PALETTE[self.person["shoes"]["colour"]], tone)
        x, y = body.ankles[k]
        sole = shade((236, 236, 232) if fill[0] + fill[1] + fill[2] < 600 else (150, 150, 150), tone)
        if name == "boots":
            top = along(body.knees[k], (x, y), 0.45)
            wide = body.leg * 0.66
            taper(f, (top, (x, y - 0.01)), (wide * 1.08, wide), fill)
        draw = self._shoe_side if body.side else self._shoe_front
        draw((x, y), name, fill, sole, tone)

    def _shoe_side(self, ankle: Point, name: str, fill: Colour, sole: Colour, tone: float) -> None:
        f, (x, y) = self.f, ankle
        upper = [(x + p, y + q) for p, q in SHOE_SIDE]
        if name == "sandals":
            f.poly(upper, shade(self.skin, tone))
            f.limb(((x - 0.034, y - 0.028), (x + 0.076, y - 0.028)), 0.018, fill)
            f.limb(((x + 0.03, y + 0.008), (x + 0.044, y - 0.026)), 0.02, fill, False)
            f.limb(((x - 0.03, y + 0.014), (x + 0.012, y + 0.014)), 0.016, fill, False)
            return
        f.poly(upper, fill)
        if name == "heels":
            f.poly(((x - 0.036, y - 0.01), (x - 0.02, y - 0.02), (x - 0.03, y - 0.05)), fill)
        elif name in ("trainers", "boots"):
            under = sole if name == "trainers" else shade(fill, 0.5)
            f.limb(((x - 0.034, y - 0.034), (x + 0.076, y - 0.034)), 0.014, under, False)

    def _shoe_front(self, ankle: Point, name: str, fill: Colour, sole: Colour, tone: float) -> None:
        f, (x, y) = self.f, ankle
        wide = 0.03 if name == "heels" else 0.036
        drop = 0.028 if self.body.back else 0.04
        toe = x + (0.006 if x > 0 else -0.006)
        if name == "sandals":
            f.oval(toe, y - drop * 0.5, wide, 0.034, shade(self.skin, tone))
            f.limb(((toe - wide, y - drop * 0.2), (toe + wide, y - drop * 0.2)), 0.018, fill, False)
            f.limb(((toe - wide, y - drop - 0.012), (toe + wide, y - drop - 0.012)), 0.016, fill)
            return
        low = [(toe + wide + 0.004, y - drop), (toe - wide - 0.004, y - drop)]
        f.poly([(x - 0.026, y + 0.02), (x + 0.026, y + 0.02), *low], fill)
        if name == "trainers":
            f.limb(((toe - wide, y - drop), (toe + wide, y - drop)), 0.015, sole, False)
            if not self.body.back:
                f.line(((x, y + 0.014), (x, y - 0.012)), sole, 0.014)
        elif name == "heels":
            f.limb(((x, y), (x, y - 0.05)), 0.012, shade(fill, 0.8), False)

    def _flared(self, waist: float, hem: float, flare: float) -> list[Point]:
        body = self.body
        h = (body.waist * 0.8 if body.side else body.hips) + 0.008
        out = h + flare + (0.03 if body.walking and body.side else 0.0)
        return [
            (-h * 0.86, waist),
            (h * 0.86, waist),
            (h, waist - 0.08),
            (out, hem),
            (-out, hem),
            (-h, waist - 0.08),
        ]

    def _folds(self, shape: list[Point], fill: Colour) -> None:
        for share in (0.3, 0.68):
            low = along(shape[4], shape[3], share)
            self.f.line((along(low, (0.0, shape[0][1]), 0.55), low), shade(fill, 0.76))

    # -- torso ----------------------------------------------------------------------------------------

    def torso(self) -> None:
        """The upper garment with what shows under it; without sleeves."""
        body, garment, top = self.body, self.garment, self.top
        grow, flare = garment.thick, garment.flare
        if self.name == "dress":
            b = body.build
            skirt = self._flared(b.hip + 0.1, garment.hem * b.hip / 0.485, flare)
            top.poly(skirt)
            shape = body.outline(b.hip + 0.07, grow)
            top.poly(shape)
            top.flush()
            self._folds(skirt, top.fill)
            self.f.line(
                ((-body.waist * 0.9, b.hip + 0.09), (body.waist * 0.9, b.hip + 0.09)),
                shade(top.fill, 0.6),
                0.012,
            )
        else:
            hem = garment.hem * (body.build.hip / 0.485)
            shape = body.outline(hem, grow, flare)
            top.poly(shape)
            top.flush()
        self._shading(shape)
        self._details(shape)

    def _shading(self, shape: tuple[Point, ...]) -> None:
        """A darker strip along the side away from the light."""
        n = len(shape) // 2
        rim = shape[n:]
        inner = [(x + (0.03 if not self.body.side else 0.022), y) for x, y in rim]
        self.f.pen.polygon([self.f.at(*p) for p in (*rim[1:-1], *reversed(inner[1:-1]))], fill=(0, 0, 0, 34))

    def _details(self, shape: tuple[Point, ...]) -> None:
        f, body, fill = self.f, self.body, self.top.fill
        s, dark = body.build.shoulder, shade(fill, 0.62)
        hem = shape[len(shape) // 2][1]
        if self.name == "hoodie":
            self._hood(fill)
        if body.back:
            if self.garment.collar:
                f.limb(((-0.034, s + 0.018), (0.034, s + 0.018)), 0.02, shade(fill, 0.86))
            if self.name in ("sweater", "hoodie", "vest"):
                f.line(((-body.hips, hem + 0.018), (body.hips, hem + 0.018)), dark)
            return
        if body.side:
            self._side_details(hem, dark)
            return
        if self.inner is not None and self.name != "vest":
            self._open_front(hem)
        elif self.name in ("jacket", "coat", "vest", "hoodie"):
            f.line(((0.0, s), (0.0, hem)), dark, 0.014)
        elif self.name in ("shirt", "polo", "blouse"):
            low = hem if self.name == "shirt" else s - 0.1
            f.line(((0.0, s), (0.0, low)), dark)
        self._neckline(fill)
        if self.name in ("jacket", "coat", "hoodie", "vest") and hem < 0.48:
            for x in (-1, 1):
                f.line(((x * 0.036, hem + 0.075), (x * 0.062, hem + 0.03)), dark)
        if self.person["top"]["pattern"] == "print":
            self._print()

    def _open_front(self, hem: float) -> None:
        f, s, fill = self.f, self.body.build.shoulder, self.top.fill
        low = max(hem, self.body.build.hip - 0.015)
        wide = 0.03 if self.name == "suit" else 0.044
        f.poly(
            (
                (-0.034, s + 0.026),
                (0.034, s + 0.026),
                (wide, s - 0.05),
                (wide * 0.95, low),
                (-wide * 0.95, low),
                (-wide, s - 0.05),
            ),
            self.inner,
        )
        if self.name == "suit":
            f.poly(((-wide, low), (wide, low), (wide, s - 0.17), (0.0, s - 0.2), (-wide, s - 0.17)), fill)
            f.poly(
                (
                    (-0.011, s + 0.01),
                    (0.011, s + 0.01),
                    (0.014, s - 0.14),
                    (0.0, s - 0.17),
                    (-0.014, s - 0.14),
                ),
                (150, 30, 44),
            )
        for x in (-1, 1):
            f.poly(
                ((x * 0.034, s + 0.03), (x * 0.066, s - 0.03), (x * wide, s - 0.11), (x * 0.03, s - 0.03)),
                shade(fill, 0.84),
            )

    def _neckline(self, fill: Colour) -> None:
        f, s = self.f, self.body.build.shoulder
        if self.inner is not None and self.name != "vest":
            return
        if self.garment.collar:
            for x in (-1, 1):
                f.poly(
                    ((0.0, s - 0.012), (x * 0.04, s + 0.034), (x * 0.05, s - 0.004), (x * 0.018, s - 0.034)),
                    shade(fill, 0.88),
                )
        elif self.name in ("t-shirt", "tank top", "dress", "blouse"):
            deep = 0.05 if self.name in ("tank top", "dress") else 0.026
            f.poly(
                (
                    (-0.036, s + 0.03),
                    (0.036, s + 0.03),
                    (0.018, s + 0.012 - deep),
                    (-0.018, s + 0.012 - deep),
                ),
                self.skin,
                False,
            )
        else:
            f.limb(((-0.036, s + 0.022), (0.0, s + 0.008), (0.036, s + 0.022)), 0.02, shade(fill, 0.82))

    def _side_details(self, hem: float, dark: Colour) -> None:
        f, body, s = self.f, self.body, self.body.build.shoulder
        front = 0.052 + body.waist * 0.2
        if self.name in ("jacket", "coat", "suit") and self.inner is not None:
            f.limb(
                ((0.04, s - 0.01), (front * 0.86, s - 0.12), (front * 0.8, body.build.hip + 0.03)),
                0.026,
                self.inner,
                False,
            )
        if self.garment.collar:
            f.limb(((-0.03, s + 0.018), (0.04, s + 0.01)), 0.022, shade(self.top.fill, 0.86))
        if self.person["top"]["pattern"] == "print":
            f.oval(0.05, s - 0.13, 0.016, 0.04, self.top.second, False)
        if self.name in ("sweater", "hoodie", "vest"):
            f.line(((-0.07, hem + 0.018), (0.07, hem + 0.018)), dark)

    def _hood(self, fill: Colour) -> None:
        f, s = self.f, self.body.build.shoulder
        tone = shade(fill, 0.84)
        if self.body.back:
            f.blob(
                (
                    (-0.07, s + 0.035),
                    (0.07, s + 0.035),
                    (0.062, s - 0.05),
                    (0.0, s - 0.1),
                    (-0.062, s - 0.05),
                ),
                tone,
            )
        elif self.body.side:
            f.blob(
                ((-0.01, s + 0.04), (-0.08, s + 0.03), (-0.1, s - 0.03), (-0.05, s - 0.05), (0.0, s)), tone
            )
        else:
            f.blob(
                (
                    (-0.075, s + 0.04),
                    (0.075, s + 0.04),
                    (0.05, s - 0.02),
                    (0.0, s - 0.045),
                    (-0.05, s - 0.02),
                ),
                tone,
            )

    def _print(self) -> None:
        """A picture on the chest."""
        f, s = self.f, self.body.build.shoulder
        f.oval(0.0, s - 0.125, 0.046, 0.04, self.top.second, False)
        f.poly(((-0.03, s - 0.13), (0.0, s - 0.1), (0.03, s - 0.13), (0.0, s - 0.155)), self.top.fill, False)
        f.rect(-0.045, s - 0.195, 0.045, s - 0.18, self.top.second, False)

    # -- arms -----------------------------------------------------------------------------------------

    def arm(self, k: int) -> None:
        """One arm with its sleeve."""
        f, body, wide = self.f, self.body, self.body.arm
        a, e, h = body.shoulders[k], body.elbows[k], body.hands[k]
        tone = 0.8 if body.side and k == 0 else 0.94 if k == 0 else 1.0
        sleeves = 2 if self.name == "vest" else self.garment.sleeves
        skin = shade(self.skin, tone)
        if sleeves < 2:
            taper(f, (a, e, h), (wide * 0.9, wide * 0.74, wide * 0.6), skin)
        f.oval(*h, wide * 0.44, wide * 0.5, skin)
        bulk = 1.18 if self.name in ("coat", "jacket", "hoodie", "sweater", "vest") else 1.06
        cloth = self.top if self.name != "vest" else Cloth(f, self.inner)
        with self.part("top"):
            if sleeves == 2:
                widths = (wide * bulk * 1.05, wide * bulk * 0.92, wide * bulk * 0.74)
                cloth.taper((a, e, along(e, h, 0.88)), widths, tone)
            elif sleeves == 1:
                short = 0.8 if self.name != "dress" else 0.5
                cloth.taper((a, along(a, e, short)), (wide * 1.16, wide * 1.14), tone)
        if sleeves:
            x, y = a
            f.oval(x, y, wide * bulk * 0.52, wide * bulk * 0.5, shade(cloth.fill, tone), False)
            if cloth.pen is not None:
                px, py = f.at(x, y)
                r = wide * bulk * 0.5 * f.unit
                cloth.pen.ellipse((px - r, py - r, px + r, py + r), fill=255)
        cloth.flush()

    def neck(self) -> None:
        """The neck, and a scarf round it."""
        f, body, s = self.f, self.body, self.body.build.shoulder
        wide = 0.05 * (0.9 if self.person["kind"] in ("woman", "girl") else 1.0)
        x = 0.006 if body.side else 0.0
        f.limb(((x, s + 0.012), (body.head[0] * 0.6, s + 0.07)), wide, shade(self.skin, 0.9), False)

    def scarf(self) -> None:
        """A scarf round the neck, its end hanging down in front, or behind where that is what is seen."""
        if not self.person["scarf"]:
            return
        f, body, s = self.f, self.body, self.body.build.shoulder
        fill = PALETTE[self.person["scarf"]]
        if body.side:
            f.limb(((0.04, s + 0.006), (0.052, s - 0.16)), 0.042, fill)
            f.limb(((-0.032, s + 0.04), (0.044, s + 0.024)), 0.056, fill)
            return
        x = 0.03 if not body.back else -0.026
        f.limb(((x, s + 0.01), (x + 0.008, s - (0.19 if not body.back else 0.12))), 0.046, fill)
        f.limb(((-0.05, s + 0.034), (0.0, s + 0.016), (0.05, s + 0.034)), 0.056, fill)
        f.line(((x - 0.014, s - 0.1), (x + 0.024, s - 0.1)), shade(fill, 0.66))
