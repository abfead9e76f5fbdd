"""The image store: decoding, one build, broken files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from folders import plain
from PIL import Image

import imtext.data.pack as pack_module
from imtext.data import Dataset
from imtext.data.images import ImageStore, decode
from imtext.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path) -> Dataset:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        Image.new("RGB", (20, 10 + i), (10 * i, 0, 255)).save(tmp_path / "photos" / f"{i}.png")
    return plain(tmp_path / "photos", [f"{i}.png" for i in range(5)])


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
    with pytest.raises(DataError, match="indices 0 to 4, found 5"):
        store.batch([5])


def test_fingerprint_follows_size_dataset_and_files(data, tmp_path):
    prints = {ImageStore.open(data, size, tmp_path / "cache").fingerprint for size in (8, 9)}
    prints.add(ImageStore.open(data.take([1, 0, 2]), 8, tmp_path / "cache").fingerprint)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)).save(data.image_path(0))
    changed = ImageStore.open(data, 8, tmp_path / "cache")
    assert changed.fingerprint not in prints
    assert len(prints) == 3
    assert len(np.unique(changed.pixels[0])) > 10


@pytest.mark.parametrize("turned", [False, True])
def test_short_side_and_centre(tmp_path, turned):
    array = np.zeros((10, 30, 3), np.uint8)
    array[:, 10:20, 0] = 200
    Image.fromarray(array.transpose(1, 0, 2) if turned else array).save(tmp_path / "x.png")
    assert np.array_equal(decode(tmp_path / "x.png", 10)[0], np.full((10, 10), 200))


def test_squash_keeps_the_whole_picture(tmp_path):
    array = np.zeros((30, 10, 3), np.uint8)
    array[:20, :, 0] = array[:, :5, 1] = 200
    square = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    for name, pixels in (("tall", array), ("wide", array.transpose(1, 0, 2)), ("square", square)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    tall, wide = (decode(tmp_path / name, 10, fit="squash") for name in ("tall.png", "wide.png"))
    assert np.array_equal(tall, wide.transpose(0, 2, 1)) and tall.shape == (3, 10, 10)
    assert (tall[0, :4] == 200).all() and (tall[0, -1] == 0).all()
    assert (tall[1, :, :4] == 200).all() and (tall[1, :, 6:] == 0).all()
    squashed = decode(tmp_path / "square.png", 10, "squash")
    assert np.array_equal(squashed, decode(tmp_path / "square.png", 10))


def test_stores_of_both_fits_lie_side_by_side(data, tmp_path):
    cover, squash = (ImageStore.open(data, 8, tmp_path / "cache", fit=fit) for fit in ("cover", "squash"))
    assert ImageStore.open(data, 8, tmp_path / "cache").fingerprint == cover.fingerprint != squash.fingerprint
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 2
    for i in range(data.n_images):
        assert np.array_equal(squash.pixels[i], decode(data.image_path(i), 8, "squash"))


@pytest.mark.parametrize(("height", "fit"), [(64, "cover"), (128, "squash"), (128, "cover")])
def test_fine_stripes_are_averaged_not_sampled(tmp_path, height, fit):
    stripes = np.zeros((height, 64, 3), np.uint8)
    stripes[::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = decode(tmp_path / "stripes.png", 8, fit)[:, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 6


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (12, 12), "white").convert(mode).save(path)
    assert decode(path, 6).shape == (3, 6, 6)
    assert decode(path, 6).min() >= 250


@pytest.mark.parametrize(("side", "width", "fit"), [(512, 512, "cover"), (900, 300, "squash")])
def test_large_jpeg_is_decoded_small_and_right(tmp_path, side, width, fit):
    ramp = np.linspace(0, 255, side).astype(np.uint8)[:, None, None]
    Image.fromarray(ramp.repeat(width, 1).repeat(3, 2)).save(tmp_path / "x.jpg", quality=95)
    pixels = decode(tmp_path / "x.jpg", 32, fit).astype(int)
    assert np.abs(pixels[0, :, 16] - np.linspace(4, 251, 32)).max() < 5


def test_a_large_jpeg_keeps_what_the_size_can_show(tmp_path):
    stripes = ((np.arange(512) + 4) // 8 % 2 * 255).astype(np.uint8)
    Image.fromarray(stripes[None].repeat(512, axis=0)).save(tmp_path / "x.jpg", quality=95)
    assert decode(tmp_path / "x.jpg", 128).std() > 80


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
    for options in ({"fit": "contain"}, {"fit": None}, {"size": 0}, {"size": 8.5}, {"size": True}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            ImageStore.open(data, **{"size": 8, "cache_dir": tmp_path / "cache", **options})
    with pytest.raises(ConfigError, match="fit='contain': expected one of cover, squash"):
        decode(data.image_path(0), 8, "contain")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        ImageStore.open(data, 8, tmp_path / "file")


@pytest.mark.parametrize("place", [30, -100, None])  # header, captions, end
def test_a_store_is_decoded_once_and_again_where_it_is_damaged(data, tmp_path, monkeypatch, place):
    whole = np.array(ImageStore.open(data, 8, tmp_path).pixels)
    with monkeypatch.context() as patch:
        patch.setattr(pack_module, "decode_file", None)
        assert np.array_equal(ImageStore.open(data, 8, tmp_path).pixels, whole)
    (path,) = tmp_path.glob("images-8-cover-*.safetensors")
    raw = bytearray(path.read_bytes())
    if place is None:
        del raw[-5:]
    else:
        raw[place] ^= 1
    path.write_bytes(raw)
    assert np.array_equal(ImageStore.open(data, 8, tmp_path).pixels, whole)
