"""Sky, ground and walls: gradients with a little texture, computed row by row."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from ..world import SETTINGS, SKIES


@lru_cache(maxsize=16)
def texture(side: int) -> np.ndarray:
    """Noise of three grain sizes in -1..1, one tile per canvas size."""
    rng = np.random.default_rng(20)
    total = np.zeros((side, side), np.float32)
    for cells_y, cells_x, weight in ((side // 2, side // 3, 0.5), (side // 6, side // 14, 0.3), (24, 8, 0.3)):
        coarse = rng.random((max(cells_y, 2), max(cells_x, 2)), dtype=np.float32)
        image = Image.fromarray((coarse * 255).astype(np.uint8)).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        total += (np.asarray(image, np.float32) / 127.5 - 1) * weight
    return total


def _rows(setting: str, sky: str, wall: int, side: int) -> np.ndarray:
    """The plain gradients `(side, 1, 3)` of a setting."""
    place = SETTINGS[setting]
    horizon = round(place.horizon * side)
    if place.walls:
        base = np.array(place.walls[wall % len(place.walls)], np.float32)
        top, bottom = base * 0.94, np.minimum(base * 1.03, 255)
    else:
        top, bottom = (np.array(SKIES[sky][where], np.float32) for where in ("above", "low"))
    far, near, _ = place.ground
    t = np.linspace(0, 1, horizon, dtype=np.float32)[:, None]
    above = top + (bottom - top) * t**0.9
    t = np.linspace(0, 1, side - horizon, dtype=np.float32)[:, None]
    below = np.array(far, np.float32) * (1 - t) + np.array(near, np.float32) * t
    return np.concatenate([above, below])[:, None, :]


@lru_cache(maxsize=64)
def _textured(setting: str, sky: str, wall: int, side: int) -> Image.Image:
    """Gradients and texture of a setting, drawn once per process."""
    horizon = round(SETTINGS[setting].horizon * side)
    strength = np.full((side, 1), 1.2, np.float32)
    strength[horizon:, 0] = SETTINGS[setting].ground[2] * np.linspace(0.6, 1.5, side - horizon)
    pixels = _rows(setting, sky, wall, side) + (texture(side) * strength)[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def backdrop(scene: dict[str, Any], side: int, rng: random.Random) -> Image.Image:
    """Sky or wall above the horizon, ground below it, `side` pixels square."""
    setting = scene["setting"]
    wall = rng.randrange(12) % (len(SETTINGS[setting].walls) or 1)
    return ImageChops.offset(_textured(setting, scene["sky"], wall, side), rng.randrange(side), 0)


@lru_cache(maxsize=8)
def _vignette(size: int) -> Image.Image:
    """White in the middle, a little darker in the corners."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    grey = 255 * np.minimum(1.03 - 0.09 * (axis[:, None] ** 2 + axis[None, :] ** 2), 1)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@lru_cache(maxsize=16)
def _curve(sky: str) -> list[int]:
    return [min(255, round(level * tint)) for tint in SKIES[sky]["tint"] for level in range(256)]


def finish(image: Image.Image, sky: str, size: int) -> Image.Image:
    """Scale the canvas down to `size` and set the light of the hour."""
    small = image.reduce(image.size[0] // size)
    return ImageChops.multiply(small.point(_curve(sky)), _vignette(size))
