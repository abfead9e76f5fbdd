"""The one way to open an image file and to make it an upright RGB picture of 8 bits."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

# Colour profiles and texts in a PNG may unpack to this many bytes; Pillow's own limit refuses real files.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, 1 << 24)


def open_image(file: str | os.PathLike[str] | BinaryIO) -> Image.Image:
    """An image before its pixels are decoded; ``Image.MAX_IMAGE_PIXELS`` is the limit, None is none.

    Raises:
        ValueError: it is larger; Pillow itself only warns of sizes that take gigabytes.
        Exception: whatever Pillow's plugins raise on a broken file.
    """
    image = Image.open(file)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        image.close()
        raise ValueError(f"{image.width:,} x {image.height:,} pixels; make it smaller")
    return image


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB, turned as its EXIF data say, transparent parts on white.

    Grey values of 16 bits are divided by 257. Numbers of 32 bits, whole or not, have no usual range: the
    smallest of the picture becomes black, the largest white.

    >>> upright_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    >>> upright_rgb(Image.new("I;16", (1, 1), 257 * 7)).getpixel((0, 0))
    (7, 7, 7)
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    shares = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return Image.fromarray(np.rint(255 * shares).astype(np.uint8))
