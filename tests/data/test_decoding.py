"""What people bring as images: many bits, transparency, large chunks, and files that are replaced."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from folders import plain
from PIL import Image, PngImagePlugin

from imtext.data.check import look_at
from imtext.data.images import ImageStore, decode, read_picture
from imtext.errors import DataError
from imtext.vision import image_extents

RAMP = np.arange(256, dtype=np.float64)[None].repeat(16, axis=0)


def extents(path: Path) -> list[list[int]]:
    return image_extents(plain(path.parent, [path.name])).tolist()


def grey_everywhere(path: Path) -> np.ndarray:
    """Grey values ``(16, 256)`` as galleries get them, after checking that store, check and search agree."""
    whole = np.asarray(read_picture(path))
    assert (whole == whole[..., :1]).all()
    columns = whole.mean((0, 2)).reshape(16, -1).mean(1)
    assert np.abs(decode(path, 16, "squash").mean((0, 1)) - columns).max() < 9
    assert look_at(path).state == "ok"
    assert np.abs(look_at(path).thumb.reshape(16, 16).mean(0) - columns).max() < 2
    return whole[..., 0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x.png", (257 * RAMP).astype(np.uint16)),
        ("x.tif", (257 * RAMP).astype(np.uint16)),
        ("x.tif", (257 * RAMP).astype(">u2")),
        ("x.tif", (100_000 * RAMP - 7_000_000).astype(np.int32)),
        ("x.tif", (RAMP / 255).astype(np.float32)),
        ("x.tif", (RAMP * 1e-4 - 3).astype(np.float32)),
    ],
)
def test_many_bits_are_scaled_to_eight(tmp_path, name, values):
    Image.fromarray(values).save(tmp_path / name)
    assert np.array_equal(grey_everywhere(tmp_path / name), RAMP)


def test_what_is_not_finite_is_black_or_white(tmp_path):
    values = RAMP.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "x.tif")
    found = np.asarray(read_picture(tmp_path / "x.tif"))[..., 0]
    assert found[0, :3].tolist() == [0, 255, 0] and np.array_equal(found[1:], RAMP[1:])
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(tmp_path / "flat.tif")
    assert read_picture(tmp_path / "flat.tif").getextrema() == ((0, 0),) * 3


def transparent(path: Path, mode: str) -> None:
    """A black square of 8 pixels, transparent but for its left half, which is grey 80."""
    grey, alpha = Image.new("L", (8, 8)), Image.new("L", (8, 8))
    grey.paste(80, (0, 0, 4, 8))
    alpha.paste(255, (0, 0, 4, 8))
    if mode in ("L", "RGB"):  # one colour is declared transparent
        grey.convert(mode).save(path, transparency=0 if mode == "L" else (0, 0, 0))
    elif mode == "P":
        grey.quantize(4).save(path, transparency=grey.quantize(4).getpixel((7, 7)))
    else:
        picture = grey.convert(mode)
        picture.putalpha(alpha)
        picture.save(path, **({"lossless": True, "exact": True} if path.suffix == ".webp" else {}))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("x.png", mode) for mode in ("RGBA", "LA", "P", "L", "RGB")] + [("x.webp", "RGBA"), ("x.gif", "P")],
)
def test_transparent_parts_lie_on_white(tmp_path, name, mode):
    transparent(tmp_path / name, mode)
    expected = [80] * 4 + [255] * 4
    assert np.abs(np.asarray(read_picture(tmp_path / name))[3, :, 0].astype(int) - expected).max() <= 1
    assert np.abs(decode(tmp_path / name, 8)[0, 3].astype(int) - expected).max() <= 1
    assert look_at(tmp_path / name).thumb.reshape(16, 16)[0, -1] == 255
    Image.new("RGBA", (8, 8), (0, 0, 255, 51)).save(tmp_path / "half.png")
    assert decode(tmp_path / "half.png", 8)[:, 0, 0].tolist() == [204, 204, 255]


def test_no_limit_of_pixels_is_no_limit(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    Image.new("RGB", (40, 30), "red").save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_picture, lambda path: decode(path, 8), extents):
        with pytest.raises(DataError, match="40 x 30 pixels; make it smaller"):
            read(path)
    assert look_at(path).state == "corrupt"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_picture(path).size == (40, 30) and decode(path, 8).shape == (3, 8, 8)
    assert look_at(path).state == "ok" and extents(path) == [[40, 30]]


def with_chunk(path: Path, kind: str, size: int) -> None:
    info, much = PngImagePlugin.PngInfo(), "x" * size
    if kind == "iTXt":
        info.add_itxt("note", much, zip=True)
    elif kind != "iCCP":
        info.add_text("note", much, zip=kind == "zTXt")
    profile = much.encode() if kind == "iCCP" else None
    Image.new("RGB", (8, 8), "red").save(path, pnginfo=info, icc_profile=profile)


@pytest.mark.parametrize("kind", ["iCCP", "tEXt", "zTXt", "iTXt"])
def test_a_large_profile_or_text_is_no_damage_and_a_bomb_is_refused(tmp_path, kind):
    path = tmp_path / "x.png"
    with_chunk(path, kind, 2 << 20)
    assert decode(path, 8)[:, 0, 0].tolist() == [255, 0, 0] and read_picture(path).size == (8, 8)
    assert look_at(path).state == "ok" and extents(path) == [[8, 8]]
    if kind in ("iCCP", "zTXt"):
        with_chunk(path, kind, 40 << 20)
        with pytest.raises(DataError, match="x.png: expected an image, found: .*too large"):
            decode(path, 8)


def test_a_replaced_image_of_the_same_length_is_read_again(tmp_path):
    path, data, stores = tmp_path / "x.bmp", plain(tmp_path, ["x.bmp"]), []
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (8, 8), colour).save(path)
        os.utime(path, ns=(0, number))
        stores.append(ImageStore.open(data, 8, tmp_path / "cache"))
    assert [store.pixels[0, :, 0, 0].tolist() for store in stores] == [[255, 0, 0], [0, 0, 255]]
