"""A whole scene on a canvas: backdrop, features, then the units from back to front; and the boxes of all."""

from __future__ import annotations

import math
import random
from typing import Any

from PIL import Image

from ..scenes import SIZE_FACTOR, Scene, Thing, thing_by_id
from ..world import COLOURS, KINDS, PEOPLE
from .animals import animal
from .backdrops import backdrop, finish, weather
from .canvas import Canvas, supersampling
from .drawings import THINGS, draw, facts_of
from .people import Figure

RIDING = {
    "bicycle": ("biking", 0.60, -0.13),
    "horse": ("horseback", 0.66, -0.02),
    "sled": ("sitting", 0.26, -0.05),
    "skateboard": ("surfing", 0.14, 0.0),
    "scooter": ("scooting", 0.12, -0.12),
}
RAISED = ("balloon", "umbrella", "flag", "flowers")
HUNG = ("bucket", "basket", "suitcase")
SOFT_GROUND = {"floating", "flying", "sailing"}


def render(scene: Scene, size: int) -> tuple[Image.Image, dict[int, list[list[int]]]]:
    """The picture of a scene, and for each chain the boxes `[x0, y0, x1, y1]` of its members.

    Boxes are in pixels from 0, both ends included; a member smaller than two pixels is left out.
    """
    canvas = backdrop(scene, size * supersampling(size))
    deeds = {d["subject"]: d for d in scene["deeds"]}
    for unit in sorted(scene["units"], key=lambda u: u["y"]):
        Unit(canvas, scene, unit, deeds.get(unit["things"][0])).draw()
    weather(canvas, scene["sky"], random.Random(scene["draw_seed"] + 2))
    return finish(canvas.image, scene["sky"], size), _boxes(canvas, size)


def _boxes(canvas: Canvas, size: int) -> dict[int, list[list[int]]]:
    scale = size / canvas.side
    boxes: dict[int, list[list[int]]] = {}
    for (chain, _), (x0, y0, x1, y1) in sorted(canvas.extents.items()):
        if chain == 0 or x0 > x1:
            continue
        box = [
            max(0, math.floor(x0 * scale)),
            max(0, math.floor(y0 * scale)),
            min(size - 1, math.ceil(x1 * scale)),
            min(size - 1, math.ceil(y1 * scale)),
        ]
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            boxes.setdefault(chain, []).append(box)
    return boxes


class Unit:
    """One unit of a scene on its spot of ground."""

    def __init__(
        self, canvas: Canvas, scene: Scene, unit: dict[str, Any], deed: dict[str, Any] | None
    ) -> None:
        self.canvas, self.unit, self.deed = canvas, unit, deed
        self.lead = thing_by_id(scene, unit["things"][0])
        self.item = thing_by_id(scene, deed["object"]) if deed else None
        self.x, self.y, self.scale = unit["x"], unit["y"], unit["scale"]
        self.facing = self.lead["facing"]

    def draw(self) -> None:
        """Draw the unit: a group, or a lead with its thing."""
        if self.deed is None:
            self._group(self.lead)
        elif self.lead["kind"] in PEOPLE:
            getattr(self, "_" + self.deed["predicate"])()
        elif self.deed["predicate"] == "on":
            self._pet_on()
        else:
            self._dog_with()

    # -- single things --------------------------------------------------------------------------------

    def height(self, thing: Thing) -> float:
        """Height of a thing in the picture."""
        return KINDS[thing["kind"]].height * SIZE_FACTOR[thing.get("size", "medium")] * self.scale

    def thing(
        self,
        thing: Thing,
        x: float,
        y: float,
        member: int = 0,
        shadow: bool = True,
        tilt: float = 0.0,
        facing: int | None = None,
    ) -> tuple[float, float]:
        """Draw one animal, vehicle or object at (x, y); returns the picture position of its mouth."""
        kind, h = KINDS[thing["kind"]], self.height(thing)
        f = self.canvas.frame(x, y, h, facing or thing["facing"], tilt)
        if shadow and thing["action"] not in SOFT_GROUND:
            f.shadow(0, kind.width / kind.height * 0.95)
        self.canvas.member = member
        mouth = (0.0, 0.0)
        with self.canvas.part(thing["id"]):
            if thing["type"] == "animals":
                mouth = animal(f, thing)
            else:
                fill = COLOURS.get(thing.get("colour"), ())
                draw(f, THINGS[thing["kind"]], fill, facts_of(thing, fill))
        px, py = f.at(*mouth)
        return px / self.canvas.side, py / self.canvas.side

    def figure(
        self,
        person: Thing,
        x: float,
        y: float,
        pose: str,
        member: int = 0,
        seat: float = 0.0,
        shadow: bool = True,
    ) -> Figure:
        """A person on the canvas, everything but the front arm; draw a held thing, then `draw_front`."""
        h = self.height(person)
        f = self.canvas.frame(x, y, h, person["facing"])
        if shadow:
            f.shadow(0, 0.42)
        self.canvas.member = member
        figure = Figure(f, person, pose, random.Random(person["seed"] + member), seat)
        with self.canvas.part(person["id"]):
            figure.draw_back()
        return figure

    def front(self, figure: Figure) -> None:
        """The front arm of a figure drawn before."""
        self.canvas.member = 0
        with self.canvas.part(figure.person["id"]):
            figure.draw_front()

    def hand(self, figure: Figure, k: int = 0) -> tuple[float, float]:
        """Picture position of a hand."""
        px, py = figure.f.at(*figure.hands[k])
        return px / self.canvas.side, py / self.canvas.side

    def _group(self, thing: Thing) -> None:
        n, width = thing["count"], self.unit["width"]
        rise = {"floating": 0.2, "flying": 0.28}.get(thing["action"], 0.0) * self.scale
        order = sorted(range(n), key=lambda k: (k % 2 == 0, k))  # odd ones stand a little further back
        rng = random.Random(thing["seed"])
        jitter = [rng.uniform(-0.35, 0.35) for _ in range(n)]
        back = 0.28 * self.height(thing) if thing["type"] == "animals" and n > 2 else 0.07 * self.scale
        own = KINDS[thing["kind"]].width * SIZE_FACTOR[thing.get("size", "medium")] * self.scale
        step = (width - own) / (n - 1) if n > 1 else 0.0
        for k in order:
            x = self.x + (k - (n - 1) / 2) * step
            y = self.y - (back if k % 2 else 0.0) - rise * (1 + 0.4 * jitter[k])
            if thing["kind"] in PEOPLE:
                seated = thing["action"] == "sitting"
                x -= 0.13 * self.height(thing) * thing["facing"] * seated
                self.front_member(self.figure(thing, x, y, "ground" if seated else thing["action"], k), k)
            else:
                self.thing(thing, x, y, k)

    def front_member(self, figure: Figure, member: int) -> None:
        """The front arm of a member of a group."""
        self.canvas.member = member
        with self.canvas.part(figure.person["id"]):
            figure.draw_front()

    # -- people and their things ----------------------------------------------------------------------

    def _riding(self) -> None:
        pose, seat, dx = RIDING[self.item["kind"]]
        self.item["facing"] = self.facing
        self.thing(self.item, self.x, self.y)
        h = self.height(self.lead)
        if pose in ("biking", "horseback", "sitting"):
            figure = self.figure(
                self.lead,
                self.x + dx * self.scale * self.facing,
                self.y,
                pose,
                seat=seat * self.scale / h,
                shadow=False,
            )
        else:
            figure = self.figure(
                self.lead,
                self.x + dx * self.scale * self.facing,
                self.y - seat * self.scale,
                pose,
                shadow=False,
            )
        self.front(figure)

    def _on(self) -> None:
        seat = KINDS[self.item["kind"]].seat * self.scale
        facing = self.facing if self.item["kind"] == "chair" else None
        self.thing(self.item, self.x, self.y, facing=facing)
        self.front(
            self.figure(
                self.lead, self.x, self.y, "sitting", seat=seat / self.height(self.lead) + 0.05, shadow=False
            )
        )

    def _leading(self) -> None:
        reach = (KINDS[self.lead["kind"]].width / 2 + KINDS["dog"].width / 2) * self.scale
        figure = self.figure(self.lead, self.x - self.facing * reach * 0.74, self.y, "leading")
        mouth = self.thing(self.item, self.x + self.facing * reach * 0.58, self.y + 0.012, facing=self.facing)
        hand = self.hand(figure)
        side = self.canvas.side
        neck = (mouth[0] - self.facing * 0.1 * self.scale, mouth[1] - 0.01 * self.scale)
        sag = (
            (hand[0] + neck[0]) / 2,
            max(hand[1], neck[1]) * 0.5 + (hand[1] + neck[1]) * 0.25 + 0.03 * self.scale,
        )
        self.canvas.pen.line(
            [(px * side, py * side) for px, py in (hand, sag, neck)],
            fill=(170, 40, 40),
            width=self.canvas.ink,
        )
        self.front(figure)

    def _held(
        self, pose: str, dx: float = 0.0, dy: float = 0.0, tilt: float = 0.0, k: int = 0, before: bool = False
    ) -> Figure:
        """A person in a pose with the thing at a hand, offset by (dx, dy) in adult heights."""
        figure = self.figure(self.lead, self.x, self.y, pose)
        if before:
            self.front(figure)
        hx, hy = self.hand(figure, k)
        n = self.item["count"]
        for m in range(n):
            spread = (m - (n - 1) / 2) * 0.24 * self.scale
            self.thing(
                self.item,
                hx + dx * self.scale * self.facing + spread * 0.5,
                hy - dy * self.scale + abs(spread) * 0.2,
                m,
                False,
                tilt * self.facing + (m - (n - 1) / 2) * 16,
                facing=self.facing,
            )
        if not before:
            self.front(figure)
        return figure

    def _throwing(self) -> None:
        flat = self.item["kind"] == "frisbee"
        self._held("throwing", -0.02, 0.0 if flat else -0.04, 0, k=1)

    def _kicking(self) -> None:
        figure = self.figure(self.lead, self.x - 0.12 * self.scale * self.facing, self.y, "kicking")
        px, py = figure.f.at(*figure.feet[0])
        side = self.canvas.side
        self.thing(
            self.item, px / side + 0.2 * self.scale * self.facing, py / side + 0.08 * self.scale, shadow=False
        )
        self.front(figure)

    def _holding(self) -> None:
        kind = self.item["kind"]
        if kind in RAISED:
            self._held("raising", 0.0, {"umbrella": -0.12, "flag": -0.28, "flowers": -0.06}.get(kind, 0.0))
        else:
            self._held("holding", 0.04, -KINDS[kind].height * 0.4)

    def _carrying(self) -> None:
        kind = self.item["kind"]
        if kind in HUNG:
            self._held("carrying", 0.0, -KINDS[kind].height * 0.96, before=True)
        elif kind == "surfboard":
            self._held("carrying", 0.03, -0.36, 8)
        else:
            self._held("holding", 0.04, -KINDS[kind].height * 0.5)

    def _flying(self) -> None:
        figure = self.figure(self.lead, self.x - 0.24 * self.scale * self.facing, self.y, "raising")
        hand = self.hand(figure)
        kx = self.x + 0.25 * self.scale * self.facing
        ky = max(0.2 * self.scale + 0.02 + self.height(self.item), self.y - 1.02 * self.scale)
        side = self.canvas.side
        tie = (kx, ky - self.height(self.item) * 0.6)
        self.canvas.pen.line(
            [(hand[0] * side, hand[1] * side), (tie[0] * side, tie[1] * side)],
            fill=(250, 250, 250, 210),
            width=self.canvas.ink,
        )
        self.thing(self.item, kx, ky, shadow=False, tilt=14 * self.facing)
        self.front(figure)

    def _playing(self) -> None:
        self._held("playing", -0.16, -0.18, 62)

    def _reading(self) -> None:
        self._held("reading", 0.03, -0.03)

    def _lifting(self) -> None:
        self._held("lifting", -0.06, -0.13)

    # -- animals and their things ---------------------------------------------------------------------

    def _pet_on(self) -> None:
        self.thing(self.item, self.x, self.y)
        seat = KINDS[self.item["kind"]].seat * self.scale
        n = self.lead["count"]
        for k in range(n):
            x = self.x + (k - (n - 1) / 2) * KINDS[self.lead["kind"]].width * self.scale * 0.85
            self.thing(self.lead, x, self.y - seat, k, False)

    def _dog_with(self) -> None:
        mx, my = self.thing(self.lead, self.x, self.y)
        h = self.height(self.item)
        self.thing(self.item, mx + 0.01 * self.facing * self.scale, my + h * 0.45, shadow=False)
