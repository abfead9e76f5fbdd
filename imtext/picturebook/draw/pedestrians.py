"""The picture of a pedestrian in one view: backdrop, figure, light, blur and noise."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from ..persons import Person, View, item_arm
from ..world import LIGHTS, SETTINGS
from .backdrops import backdrop, weather
from .bags import Bag, held
from .body import Body
from .canvas import Canvas, Frame, supersampling
from .garments import Dressed
from .hair import Head

WIDTH = 0.45  # of the height
CHILD = {"boy": 0.8, "girl": 0.8}


def width_of(size: int) -> int:
    """Width in pixels of a picture `size` high.

    >>> width_of(128)
    58
    """
    return round(size * WIDTH)


def portrait(person: Person, view: View, size: int) -> Image.Image:
    """The picture of a person, `size` pixels high and 0.45 of that wide."""
    factor = supersampling(size)
    side, wide = size * factor, width_of(size) * factor
    rng = random.Random(view["draw_seed"])
    middle = rng.uniform(0.25, 0.75)  # of the window on the place
    beside = middle + rng.choice((-1, 1)) * rng.uniform(0.1, 0.2)
    feature = {"id": 0, "name": rng.choice(SETTINGS[view["place"]].features), "x": beside}
    scene = {"setting": view["place"], "sky": view["sky"], "features": [feature]}
    canvas = backdrop({**scene, "draw_seed": view["draw_seed"]}, side)
    canvas.ink = max(1, round(side / 260))
    _figure(canvas, person, view, middle)
    weather(canvas, view["sky"], rng)
    left = round(middle * side - wide / 2)
    return _finish(canvas.image.crop((left, 0, left + wide, side)).reduce(factor), view, rng)


def _figure(canvas: Canvas, person: Person, view: View, middle: float) -> None:
    side = view["view"]
    height = view["scale"] * CHILD.get(person["kind"], 1.0)
    body = Body(person, view)
    bag_side = -person["side"] if side == "back" else person["side"]
    facing = {"left": -1, "right": 1}.get(side, bag_side)
    shift = 0.0
    if person["bag"] and person["bag"]["name"] == "suitcase":
        shift = 0.085 if side in ("left", "right") else -0.08
    if person["item"] and "raised" in view["arms"]:
        height *= 0.9
    f = canvas.frame(middle + WIDTH * view["x"] + facing * shift * height, view["y"], height, facing)
    f.shadow(0, 0.4)
    draw(f, person, view, body)


def draw(f: Frame, person: Person, view: View, body: Body) -> None:
    """Everything of a person, back to front."""
    clothes, head, bag = Dressed(f, person, body), Head(f, person, body), Bag(f, person, body)
    k = item_arm(person, view["view"])
    behind = {0, 1} if not body.side and body.back else set()
    behind = {j for j in behind if view["arms"][j] in ("chest", "strap", "forward")} | (
        {0} if body.side else set()
    )

    def arm(j: int) -> None:
        over = view["arms"][j] == "ear"
        if person["item"] and j == k and not over:
            if person["item"]["name"] == "umbrella":
                held(f, person["item"], body.hands[j], body, view["arms"][j])
                clothes.arm(j)
                return
            clothes.arm(j)
            held(f, person["item"], body.hands[j], body, view["arms"][j])
            return
        clothes.arm(j)

    head.behind()
    bag.behind()
    for j in sorted(behind):
        arm(j)
    clothes.legs()
    clothes.skirt()
    clothes.neck()
    clothes.torso()
    clothes.scarf()
    bag.strap()
    late = [j for j in (0, 1) if j not in behind]
    for j in late:
        if view["arms"][j] not in ("ear", "raised"):
            arm(j)
    head.draw()
    for j in late:
        if view["arms"][j] in ("ear", "raised"):
            arm(j)
    for j in (0, 1):
        if person["item"] and j == k and view["arms"][j] == "ear":
            held(f, person["item"], body.hands[j], body, "ear")
    head.over()
    bag.front()


@lru_cache(maxsize=8)
def _noise(side: int) -> Image.Image:
    """Grey noise around 128, one tile per picture size."""
    rng = np.random.default_rng(7)
    tile = np.clip(rng.standard_normal((2 * side, 2 * side), dtype=np.float32) * 32 + 128, 0, 255)
    return Image.fromarray(tile.astype(np.uint8))


def _curve(view: View) -> list[int]:
    """The table of levels that gives a view its light."""
    levels = 128 + (np.arange(256) - 128) * view["contrast"]
    gains = np.array(LIGHTS[view["light"]]["gains"]) * view["gain"] * (1 + np.array(view["cast"]))
    return np.clip(np.rint(levels * gains[:, None]), 0, 255).astype(int).ravel().tolist()


def _finish(image: Image.Image, view: View, rng: random.Random) -> Image.Image:
    if view["blur"]:
        image = image.filter(ImageFilter.GaussianBlur(view["blur"] * image.size[1] / 128))
    image = image.point(_curve(view))
    if view["noise"]:
        wide, high = image.size
        left, top = rng.randrange(high), rng.randrange(high)
        tile = _noise(high).crop((left, top, left + wide, top + high))
        tile = tile.point((128 + (np.arange(256) - 128) * view["noise"] / 32).astype(int).tolist())
        image = ImageChops.add(image, Image.merge("RGB", (tile,) * 3), 1, -128)
    return image
