"""A contact sheet: persons from several sides, with one description of each."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from ..sheets import INK, PAPER, font, save_sheet, wrap
from .identities import roster
from .render import render, width_of
from .views import views
from .write import describe


def sheet(
    persons: int = 6, pictures: int = 3, size: int = 200, seed: int = 1, split: str = "test"
) -> Image.Image:
    """`persons` people with at least `pictures` pictures each, two to a row, and a description of each.

    Args:
        size: height of each picture in pixels.

    >>> sheet(2, 2, 64).size[0] > 0
    True
    """
    gap, text, wide = 14, 12, width_of(size)
    block = pictures * (wide + 4) + 150
    chosen = []
    for index, person in enumerate(roster(seed, split, 12 * persons)):
        shown = views(seed, split, index, person)
        if len(shown) >= pictures and len(chosen) < persons:
            chosen.append((index, person, shown[:pictures]))
    rows = -(-len(chosen) // 2)
    image = Image.new("RGB", (2 * (block + gap) + gap, rows * (size + gap) + gap), PAPER)
    pen = ImageDraw.Draw(image)
    for k, (index, person, shown) in enumerate(chosen):
        x, y = gap + k % 2 * (block + gap), gap + k // 2 * (size + gap)
        for n, view in enumerate(shown):
            image.paste(render(person, view, size), (x + n * (wide + 4), y))
        left = x + pictures * (wide + 4) + 6
        said = max((d[0] for d in describe(seed, split, index, 1, person, shown[0])), key=len)
        for n, line in enumerate(wrap(said, block - pictures * (wide + 4) - 8, text)):
            pen.text((left, y + n * (text + 4)), line, fill=INK, font=font(text))
    return image


def write_sheet(folder: str | Path) -> Path:
    """Write the sheet as `pedestrians.png` with 256 colours; returns its path."""
    return save_sheet(sheet(), Path(folder) / "pedestrians.png")
