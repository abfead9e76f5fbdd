"""The image store: decoding, one build, broken files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import imtext.data.pack as pack_module
from imtext.data import Dataset
from imtext.data.images import ImageStore, decode
from imtext.errors import ConfigError, DataError


def dataset(root: Path, count: int = 5) -> Dataset:
    root.mkdir(exist_ok=True)
    for i in range(count):
        Image.new("RGB", (20, 10 + i), (10 * i, 0, 255)).save(root / f"{i}.png")
    files = tuple(f"{i}.png" for i in range(count))
    splits, numbers = np.array(["train"] * count), np.arange(count)
    return Dataset("plain", root, files, files, files, numbers, splits, numbers)


@pytest.fixture
def data(tmp_path) -> Dataset:
    return dataset(tmp_path / "photos")


def test_pixels_in_the_order_of_the_dataset(data, tmp_path):
    store = ImageStore.open(data, 8, tmp_path / "cache")
    assert store.pixels.shape == (5, 3, 8, 8)
    assert isinstance(store.pixels, np.memmap)
    assert store.pixels[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    assert (len(store), store.size) == (5, 8)
    for indices in ([4, 1], np.array([4, 1]), torch.tensor([4, 1])):
        batch = store.batch(indices)
        assert batch.dtype == torch.uint8
        assert batch[:, 0, 0, 0].tolist() == [40, 10]
        batch.zero_()
    assert store.pixels[4, 0, 0, 0] == 40
    assert store.batch([]).shape == (0, 3, 8, 8)
    with pytest.raises(DataError, match="images 0 to 4, asked for 5"):
        store.batch([5])


def test_second_open_decodes_nothing(data, tmp_path, monkeypatch):
    first = ImageStore.open(data, 8, tmp_path / "cache")
    monkeypatch.setattr(pack_module, "decode_file", None)
    second = ImageStore.open(data, 8, tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(first.pixels, second.pixels)


def test_fingerprint_follows_size_dataset_and_files(data, tmp_path):
    prints = {ImageStore.open(data, size, tmp_path / "cache").fingerprint for size in (8, 9)}
    prints.add(ImageStore.open(data.take([1, 0, 2]), 8, tmp_path / "cache").fingerprint)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)).save(data.image_path(0))
    changed = ImageStore.open(data, 8, tmp_path / "cache")
    assert changed.fingerprint not in prints
    assert len(prints) == 3
    assert len(np.unique(changed.pixels[0])) > 10


def test_short_side_and_centre(tmp_path):
    array = np.zeros((10, 30, 3), np.uint8)
    array[:, 10:20, 0] = 200
    Image.fromarray(array).save(tmp_path / "wide.png")
    Image.fromarray(array.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    for name in ("wide.png", "tall.png"):
        assert np.array_equal(decode(tmp_path / name, 10)[0], np.full((10, 10), 200))


def test_squash_keeps_the_whole_picture(tmp_path):
    array = np.zeros((30, 10, 3), np.uint8)
    array[:15, :, 0] = array[:, :5, 1] = 200
    Image.fromarray(array).save(tmp_path / "tall.png")
    Image.fromarray(array.transpose(1, 0, 2)).save(tmp_path / "wide.png")
    tall, wide = (decode(tmp_path / name, 10, fit="squash") for name in ("tall.png", "wide.png"))
    assert np.array_equal(tall, wide.transpose(0, 2, 1))
    assert tall.shape == (3, 10, 10) and tall.flags.c_contiguous
    assert (tall[0, :3] == 200).all() and (tall[0, -3:] == 0).all()
    assert (tall[1, :, :4] == 200).all() and (tall[1, :, 6:] == 0).all()
    square = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    Image.fromarray(square).save(tmp_path / "square.png")
    squashed = decode(tmp_path / "square.png", 10, "squash")
    assert np.array_equal(squashed, decode(tmp_path / "square.png", 10))


def test_squash_averages_each_side_by_its_own_factor(tmp_path):
    stripes = np.zeros((128, 16, 3), np.uint8)
    stripes[::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = decode(tmp_path / "stripes.png", 16, "squash")[:, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 6
    ramp = np.linspace(0, 255, 900).astype(np.uint8)[:, None, None]
    Image.fromarray(np.broadcast_to(ramp, (900, 300, 3)).copy()).save(tmp_path / "x.jpg", quality=95)
    pixels = decode(tmp_path / "x.jpg", 32, "squash").astype(int)  # decoded at half its size, not an eighth
    assert np.abs(pixels[0, :, 16] - np.linspace(4, 251, 32)).max() < 5


def test_stores_of_both_fits_lie_side_by_side(data, tmp_path):
    cache = tmp_path / "cache"
    fits = ({}, {"fit": "cover"}, {"fit": "squash"})
    plain, cover, squash = (ImageStore.open(data, 8, cache, **fit) for fit in fits)
    assert (plain.fit, cover.fit, squash.fit) == ("cover", "cover", "squash")
    assert plain.fingerprint == cover.fingerprint != squash.fingerprint
    assert len(list(cache.glob("*.safetensors"))) == 2
    for i in range(data.n_images):
        assert np.array_equal(squash.pixels[i], decode(data.image_path(i), 8, "squash"))
    assert ImageStore.open(data, 8, cache, fit="squash").fingerprint == squash.fingerprint


def test_fine_stripes_are_averaged_not_sampled(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = decode(tmp_path / "stripes.png", 8)[:, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 6


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (12, 12), "white").convert(mode).save(path)
    assert decode(path, 6).shape == (3, 6, 6)
    assert decode(path, 6).min() >= 250


def test_large_jpeg_is_decoded_small_and_right(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    picture = Image.fromarray(np.broadcast_to(ramp[None, :, None], (512, 512, 3)).copy())
    picture.save(tmp_path / "x.jpg", quality=95)
    pixels = decode(tmp_path / "x.jpg", 32).astype(int)
    assert np.abs(pixels[0, 16] - np.linspace(4, 251, 32)).max() < 5


def test_corrupt_image_is_named(data, tmp_path):
    whole = data.image_path(3).read_bytes()
    data.image_path(3).write_bytes(whole[: len(whole) // 2])
    data.image_path(1).write_text("not an image", encoding="utf-8")
    with pytest.raises(DataError, match=r"1.png: expected an image, found: .* --skip-corrupt") as caught:
        ImageStore.open(data, 8, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_single_broken_file_is_named(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8 no")
    with pytest.raises(DataError, match="x.jpg: expected an image, found: .*; replace the file"):
        decode(tmp_path / "x.jpg", 8)
    with pytest.raises(DataError, match="y.jpg: expected an image, found: No such file"):
        decode(tmp_path / "y.jpg", 8)


def test_bad_parameters(data, tmp_path):
    for fit in ("contain", None, ""):
        with pytest.raises(ConfigError, match="fit=.*: expected one of cover, squash"):
            ImageStore.open(data, 8, tmp_path / "cache", fit=fit)
        with pytest.raises(ConfigError, match="fit="):
            decode(data.image_path(0), 8, fit)
    for size in (0, 8.5, True):
        with pytest.raises(ConfigError, match="size="):
            ImageStore.open(data, size, tmp_path / "cache")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        ImageStore.open(data, 8, tmp_path / "file")


@pytest.mark.parametrize("damage", ["cut", "header", "captions"])
def test_damaged_store_is_rebuilt(data, tmp_path, damage):
    cache = tmp_path / "cache"
    whole = np.array(ImageStore.open(data, 8, cache).pixels)
    (path,) = cache.glob("images-8-cover-*.safetensors")
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        del raw[-5:]
    else:
        raw[30 if damage == "header" else -100] ^= 1
    path.write_bytes(raw)
    assert np.array_equal(ImageStore.open(data, 8, cache).pixels, whole)
