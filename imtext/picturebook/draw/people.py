"""People of scenes: the figure of pedestrians, seen from the side, in the pose of what they do."""

from __future__ import annotations

import math
import random
from typing import Any

from ..world import FIGURES, HAIR, SKIN, WARDROBE
from .bags import Bag
from .body import Body, step
from .canvas import Frame, Point
from .garments import Dressed, along
from .hair import Head

POSES = FIGURES["poses"]
SEATED = ("sitting", "biking", "horseback")


class Posed(Body):
    """Joints from a pose: the lowest foot is put on the ground, or the hip on a seat."""

    half = True
    builds = FIGURES["builds"]

    def __init__(self, person: dict[str, Any], pose: str, seat: float) -> None:
        super().__init__(person, {"view": "right", "action": "standing", "arms": ("down", "down")})
        lean, front, back, fore, rear, lift = POSES[pose]
        b = self.build
        thigh, shank = b.hip - b.knee, b.knee - 0.042
        self.hip = [(-0.022, b.hip), (0.022, b.hip)]
        self.knees = [step(p, a[0], thigh) for p, a in zip(self.hip, (back, front), strict=True)]
        self.ankles = [step(p, a[1], shank) for p, a in zip(self.knees, (back, front), strict=True)]
        if pose in SEATED or seat:
            drop = seat - b.hip
        else:
            feet, knees = (min(y for _, y in joints) for joints in (self.ankles, self.knees))
            drop = lift - min(feet - 0.042, knees - 0.03, b.hip - 0.075)
        for joints in (self.hip, self.knees, self.ankles):
            joints[:] = [(x, y + drop) for x, y in joints]
        self.lean, self.turn = lean, (math.cos(math.radians(lean)), math.sin(math.radians(lean)))
        self.origin = (-b.hip * self.turn[1], b.hip + drop - b.hip * self.turn[0])
        self.shoulders = [self.world((x, b.shoulder - 0.035)) for x in (-0.056, 0.032)]
        upper = (b.shoulder - b.hip) * 0.52
        self.elbows = [step(p, a[0], upper) for p, a in zip(self.shoulders, (rear, fore), strict=True)]
        self.hands = [step(p, a[1], upper * 0.94) for p, a in zip(self.elbows, (rear, fore), strict=True)]

    def world(self, point: Point) -> Point:
        """A point of the upright torso where the lean puts it."""
        (x, y), (co, si) = point, self.turn
        return self.origin[0] + x * co + y * si, self.origin[1] - x * si + y * co

    def upright(self, point: Point) -> Point:
        """The inverse of `world`."""
        (co, si), x, y = self.turn, point[0] - self.origin[0], point[1] - self.origin[1]
        return x * co - y * si, x * si + y * co


class Seated(Dressed):
    """Clothes of which a skirt follows the knees."""

    def _flared(self, waist: float, hem: float, flare: float) -> list[Point]:
        body = self.body
        wide, share = body.waist * 0.8 + 0.008, (waist - hem) / (waist - body.build.knee)
        lows = [along(hip, knee, share) for hip, knee in zip(body.hip, body.knees, strict=True)]
        left, right = sorted(body.upright(p) for p in lows)
        out = wide * 0.7 + flare
        return [
            (-wide * 0.86, waist),
            (wide * 0.86, waist),
            (wide, waist - 0.08),
            (right[0] + out, right[1]),
            (left[0] - out, left[1]),
            (-wide, waist - 0.08),
        ]


def attributes(person: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A person of a scene in the terms of pedestrians, with the chains of what is worn."""
    skin, shade = rng.randrange(len(SKIN)), rng.choice(tuple(HAIR)[:4])
    hair = person.get("hair") or {"id": 0, "colour": shade, "length": ""}
    long = hair["length"] == "long" or (not hair["length"] and person["kind"] in ("woman", "girl"))
    extras = {extra["name"]: extra for extra in person.get("extras", ())}
    top, *others = person["clothes"]
    lower = next((one for one in others if one["name"] in WARDROBE.lower_colours), None)
    hat = next((one for one in others if one["name"] not in WARDROBE.lower_colours), None)
    second = "white" if top["colour"] not in ("white", "yellow", "pink", "turquoise", "orange") else "black"
    worn = {"top": top, "lower": lower, "hat": hat, "hair": hair, "bag": extras.get("backpack"), **extras}
    return {
        "kind": person["kind"],
        "build": "average",
        "skin": skin,
        "side": 1,
        "hair": {"colour": hair["colour"], "style": "long" if long else "short"},
        "beard": "beard" in extras,
        "glasses": "sunglasses" if "sunglasses" in extras else "",
        "scarf": extras["scarf"]["colour"] if "scarf" in extras else "",
        "top": {**top, "second": second},
        "lower": lower,
        "shoes": {"name": "trainers", "colour": "brown" if person["kind"] in ("man", "woman") else "red"},
        "hat": hat,
        "bag": extras.get("backpack"),
        "item": None,
        "chains": {name: one["id"] for name, one in worn.items() if one},
    }


class Figure:
    """One person: works out the joints, then draws back to front."""

    def __init__(
        self, frame: Frame, person: dict[str, Any], pose: str, rng: random.Random, seat: float = 0.0
    ) -> None:
        look = attributes(person, rng)
        self.f, self.person, self.body = frame, person, Posed(look, pose, seat)
        torso = frame.sub(*self.body.origin, 1.0, self.body.lean)
        self.limbs, self.clothes = Dressed(frame, look, self.body), Seated(torso, look, self.body)
        self.head, self.bag = Head(torso, look, self.body), Bag(torso, look, self.body)
        self.hands, self.feet = self.body.hands[::-1], self.body.ankles[::-1]

    def draw_back(self) -> None:
        """Everything behind a held thing: the far arm, legs, torso, head."""
        with self.bag.part("bag"):
            self.bag.behind()
        self.limbs.arm(0)
        self.limbs.legs()
        self.clothes.skirt()
        self.clothes.neck()
        with self.clothes.part("top"):
            self.clothes.torso()
        with self.clothes.part("scarf"):
            self.clothes.scarf()
        with self.bag.part("bag"):
            self.bag.strap()
        self.head.draw()

    def draw_front(self) -> None:
        """The near arm, drawn over a held thing."""
        self.limbs.arm(1)
