"""Sky, ground and walls: gradients with a little texture, computed row by row."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from ..settings import SETTINGS

RGB = tuple[int, int, int]

SKIES: dict[str, tuple[RGB, RGB]] = {
    "sunny": ((84, 164, 240), (206, 234, 252)),
    "cloudy": ((146, 160, 178), (212, 218, 224)),
    "sunset": ((104, 84, 168), (255, 178, 104)),
    "rainy": ((98, 110, 130), (164, 174, 186)),
    "snowing": ((170, 188, 212), (222, 230, 242)),
    "starry": ((10, 14, 46), (44, 50, 104)),
}
GROUNDS: dict[str, tuple[RGB, RGB, int]] = {  # far, near, strength of the texture
    "park": ((132, 200, 96), (74, 152, 64), 9),
    "beach": ((244, 222, 170), (226, 190, 124), 7),
    "snow": ((240, 245, 252), (212, 224, 242), 4),
    "street": ((124, 126, 134), (94, 96, 106), 6),
    "night": ((84, 88, 122), (58, 62, 92), 5),
    "gym": ((232, 180, 116), (204, 142, 80), 4),
    "kitchen": ((214, 220, 224), (238, 240, 240), 2),
    "living room": ((182, 134, 96), (150, 104, 72), 5),
    "field": ((208, 208, 100), (140, 170, 62), 10),
    "forest": ((126, 136, 76), (88, 98, 52), 12),
    "lake": ((168, 196, 110), (112, 158, 78), 9),
    "desert": ((246, 200, 128), (222, 156, 84), 7),
}
WALLS: dict[str, tuple[RGB, ...]] = {
    "gym": ((196, 212, 226), (214, 206, 188), (188, 208, 196)),
    "kitchen": ((250, 230, 184), (206, 228, 214), (240, 214, 206)),
    "living room": ((232, 208, 176), (190, 208, 200), (216, 198, 214), (198, 206, 224)),
}


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
    horizon = round(SETTINGS[setting].horizon * side)
    if setting in WALLS:
        base = np.array(WALLS[setting][wall % len(WALLS[setting])], np.float32)
        top, bottom = base * 0.94, np.minimum(base * 1.03, 255)
    else:
        top, bottom = (np.array(c, np.float32) for c in SKIES[sky])
    far, near, _ = GROUNDS[setting]
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
    strength[horizon:, 0] = GROUNDS[setting][2] * np.linspace(0.6, 1.5, side - horizon)
    pixels = _rows(setting, sky, wall, side) + (texture(side) * strength)[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def backdrop(scene: dict[str, Any], side: int, rng: random.Random) -> Image.Image:
    """Sky or wall above the horizon, ground below it, `side` pixels square."""
    setting = scene["setting"]
    wall = rng.randrange(12) % len(WALLS.get(setting, (0,)))
    return ImageChops.offset(_textured(setting, scene["sky"], wall, side), rng.randrange(side), 0)


@lru_cache(maxsize=8)
def _vignette(size: int) -> Image.Image:
    """White in the middle, a little darker in the corners."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    grey = 255 * np.minimum(1.03 - 0.09 * (axis[:, None] ** 2 + axis[None, :] ** 2), 1)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


TINTS: dict[str, tuple[float, float, float]] = {
    "sunny": (1.02, 1.01, 0.98),
    "cloudy": (0.96, 0.97, 0.99),
    "sunset": (1.04, 0.95, 0.88),
    "rainy": (0.90, 0.93, 0.98),
    "snowing": (0.97, 0.99, 1.02),
    "starry": (0.92, 0.92, 1.04),
    "indoor": (1.02, 1.0, 0.96),
}


@lru_cache(maxsize=16)
def _curve(sky: str) -> list[int]:
    return [min(255, round(level * tint)) for tint in TINTS[sky] for level in range(256)]


def finish(image: Image.Image, sky: str, size: int) -> Image.Image:
    """Scale the canvas down to `size` and set the light of the hour."""
    small = image.reduce(image.size[0] // size)
    return ImageChops.multiply(small.point(_curve(sky)), _vignette(size))
