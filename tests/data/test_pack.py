"""Packs: what goes in comes out, by every way of asking for it."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from folders import photos, plain, write
from PIL import Image

import imtext.data.pack as pack_module
from imtext.cli import app
from imtext.data import Dataset, ImageFeatures, Phrases, Regions, load_dataset
from imtext.data.images import ImageStore, decode, open_picture
from imtext.data.pack import open_pack, write_pack
from imtext.errors import ConfigError, DataError

SIZE = 13
CAPTIONS = ("a dog", "ein Hund läuft — schnell 🐕", "二匹の猫", "naïve\u2028café")


def photographs(root: Path) -> Dataset:
    """Pictures of noise in all shapes, two captions each but for the first, three splits, pairs as groups."""
    noise, files = np.random.default_rng(0), [f"ü/{i:02}.{'jpg' if i % 2 else 'png'}" for i in range(12)]
    (root / "ü").mkdir(parents=True)
    for i, file in enumerate(files):
        pixels = noise.integers(0, 255, (20 + i, 40 - i, 3), np.uint8)
        Image.fromarray(pixels).save(root / file, quality=90)
    ids = tuple(f"id-{i}" for i in range(12))
    owners = np.array([0, *np.repeat(np.arange(1, 12), 2)])[::-1].copy()
    return plain(
        root,
        files,
        [("train", "val", "test")[i // 2 % 3] for i in range(12)],
        image_ids=ids,
        captions=[f"{CAPTIONS[j % 4]} {j}" for j in range(len(owners))],
        image_of_caption=owners,
        group_of_image=np.arange(12) // 2 + 7,
        notes=("two lines were odd", "ünïcode \\ \" '"),
        regions=Regions([[0, 0, 3, 4], [5, 5, 900, 901], [1, 1, 1, 1]], np.array([4, 2, 2]), [3, 0, 9]),
        phrases=Phrases([0, 3], [0, 1], [1, 2], ("a", "Hund ä"), [3, 0], ("animals", "")),
        scenes=tuple({"id": one, "n": [1.5, None, {"ö": one}]} for one in ids),
    )


@pytest.fixture
def data(tmp_path) -> Dataset:
    return photographs(tmp_path / "photos")


@pytest.fixture
def packed(data, tmp_path) -> Dataset:
    return open_pack(write_pack(data, tmp_path / "noise.safetensors", size=SIZE))


def assert_same(a: Dataset, b: Dataset) -> None:
    """All but the place and the features."""
    one, other = (asdict(replace(each, image_root=Path("."), features=None)) for each in (a, b))
    np.testing.assert_equal(one, other)


def test_everything_comes_back(data, packed, tmp_path):
    assert packed.image_root == tmp_path / "noise.safetensors"
    assert_same(data, packed)
    assert_same(data, open_pack(packed.image_root, verify=True))
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "noise.safetensors", ".noise.safetensors.lock"}
    none = Regions(np.empty((0, 4)), [], []), Phrases([], [], [], (), [], ())
    for spans in ((None, None), none):  # no region is not the same as none
        bare = replace(data, regions=spans[0], phrases=spans[1], scenes=None, notes=())
        assert_same(bare, open_pack(write_pack(bare, tmp_path / "new" / "bare.safetensors", size=4)))


@pytest.mark.parametrize("fit", ["cover", "squash"])
def test_pixels_are_those_of_the_files(data, tmp_path, fit):
    pack = open_pack(write_pack(data, tmp_path / "p.safetensors", size=SIZE, fit=fit, n_jobs=2))
    from_files = ImageStore.open(data, SIZE, tmp_path / "cache", fit=fit)
    from_pack = ImageStore.open(pack, SIZE, tmp_path / "unused", fit=fit)
    assert np.array_equal(from_files.pixels, from_pack.pixels)
    assert isinstance(from_pack.pixels, np.memmap) and not from_pack.pixels.flags.writeable
    assert not (tmp_path / "unused").exists()
    assert np.array_equal(decode(pack.image_path(3), SIZE, fit), from_files.pixels[3])


def test_selections_find_their_rows(data, packed, tmp_path):
    whole = ImageStore.open(packed, SIZE, tmp_path)
    for chosen in ([5], [3, 4, 5], [9, 0, 4], np.arange(12)[::-1]):
        taken = packed.take(chosen)
        store = ImageStore.open(taken, SIZE, tmp_path)
        assert_same(data.take(chosen), taken)
        assert len(store) == len(chosen) and np.shares_memory(store.pixels, whole.pixels)
        assert np.array_equal(store.batch(np.arange(len(chosen))).numpy(), whole.pixels[chosen])
        with pytest.raises(DataError, match=f"indices 0 to {len(chosen) - 1}, found"):
            store.batch([len(chosen)])


def test_fingerprint_is_that_of_the_content(data, packed, tmp_path):
    again = open_pack(write_pack(data, tmp_path / "elsewhere" / "b.safetensors", size=SIZE))
    prints = [ImageStore.open(d, SIZE, tmp_path / "cache").fingerprint for d in (packed, again, data)]
    assert prints[0] == prints[1] != prints[2]
    assert ImageStore.open(packed.take([1, 0]), SIZE, tmp_path).fingerprint not in prints
    Image.new("RGB", (20, 20), "red").save(data.image_path(0))
    other = open_pack(write_pack(data, tmp_path / "c.safetensors", size=SIZE))
    assert ImageStore.open(other, SIZE, tmp_path).fingerprint not in prints


@pytest.mark.parametrize("size", [20, 6])
def test_other_sizes_are_scaled_from_the_pack(packed, tmp_path, size):
    store = ImageStore.open(packed.take([7, 2]), size, tmp_path / "cache")
    with open_picture(packed, 2) as picture:
        scaled = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(store.pixels[1], scaled)
    assert np.array_equal(decode(packed.image_path(2), size), scaled)
    assert ImageStore.open(packed.take([7, 2]), size, tmp_path / "cache").fingerprint == store.fingerprint
    twice = open_pack(write_pack(packed, tmp_path / "twice.safetensors", size=size))
    assert_same(packed, twice)
    assert np.array_equal(ImageStore.open(twice, size, tmp_path).pixels[2], scaled)


def test_what_the_pack_does_not_hold(data, packed, tmp_path):
    with pytest.raises(DataError, match="holds images with fit='cover'; .* --fit squash"):
        ImageStore.open(packed, SIZE, tmp_path, fit="squash")
    other = replace(packed, image_ids=tuple(f"x{i}" for i in range(12)))
    with pytest.raises(DataError, match="holds no image 'x0'"):
        ImageStore.open(other, SIZE, tmp_path)
    with pytest.raises(DataError, match="holds no image 'no.jpg'"):
        decode(packed.image_root / "no.jpg", SIZE)
    for bad in ({"size": 0}, {"fit": "contain"}, {"on_corrupt": "ignore"}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            write_pack(data, tmp_path / "x.safetensors", **bad)
    with pytest.raises(DataError, match="found a folder"):
        write_pack(data, tmp_path, size=4)


def test_an_id_may_be_the_file_name_of_another_image(data, tmp_path):
    crossed = replace(data, image_ids=data.image_files[::-1])
    pack = open_pack(write_pack(crossed, tmp_path / "p.safetensors", size=SIZE))
    store = ImageStore.open(pack, SIZE, tmp_path)
    assert np.array_equal(store.pixels[2], decode(data.image_path(2), SIZE))
    assert np.array_equal(np.asarray(open_picture(pack, 2)).transpose(2, 0, 1), store.pixels[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_features(data, tmp_path, dtype):
    numbers = np.random.default_rng(1).normal(size=(15, 2, 5)).astype(dtype)
    full = replace(data, features=ImageFeatures((numbers[:4], numbers[4:]), np.arange(12)[::-1] + 2))
    pack = open_pack(write_pack(full, tmp_path / "f.safetensors"), verify=True)
    assert_same(full, pack)
    assert isinstance(pack.features.parts[0], np.memmap)
    assert pack.features.parts[0].dtype == (np.float16 if dtype is np.float16 else np.float32)
    for one, other in ((pack, full), (pack.take([5, 1]), full.take([5, 1]))):
        assert np.array_equal(one.features[range(one.n_images)], other.features[range(one.n_images)])
    for ask in (lambda: ImageStore.open(pack, 8, tmp_path), lambda: open_picture(pack, 0)):
        with pytest.raises(DataError, match="holds features; pack the image files"):
            ask()


def test_a_corrupt_image_stops_or_is_left_out(data, tmp_path):
    path = tmp_path / "noise.safetensors"
    data.image_path(3).write_bytes(b"x")
    data.image_path(8).write_bytes(b"")
    with pytest.raises(DataError, match="03.jpg: expected an image, found.* --skip-corrupt"):
        write_pack(data, path, size=SIZE)
    assert not path.exists()
    pack = open_pack(write_pack(data, path, size=SIZE, on_corrupt="skip"), verify=True)
    assert pack.notes[-1] == "2 images cannot be decoded (ü/03.jpg, ü/08.png): dropped with their captions"
    kept = [i for i in range(12) if i not in (3, 8)]
    assert_same(replace(data.take(kept), notes=pack.notes), pack)
    store = ImageStore.open(pack, SIZE, tmp_path)
    decoded = [decode(data.image_path(i), SIZE) for i in kept]
    assert np.array_equal(store.pixels, decoded)
    for i in range(12):
        data.image_path(i).write_bytes(b"x")
    with pytest.raises(DataError, match="none of the 12 images can be decoded"):
        write_pack(data, path, size=SIZE, on_corrupt="skip")


def test_a_whole_pack_of_the_same_files_is_left_alone(data, packed, tmp_path, monkeypatch):
    before = os.stat(packed.image_root)
    with monkeypatch.context() as patch:
        patch.setattr(pack_module, "decode_file", None)
        write_pack(data, packed.image_root, size=SIZE)
    assert os.stat(packed.image_root).st_ino == before.st_ino
    raw = bytearray(packed.image_root.read_bytes())
    raw[5000] ^= 1
    packed.image_root.write_bytes(raw)
    write_pack(data, packed.image_root, size=SIZE)
    assert_same(data, open_pack(packed.image_root, verify=True))
    noted = replace(data, notes=("another",))
    assert open_pack(write_pack(noted, packed.image_root, size=SIZE)).notes == ("another",)
    Image.new("RGB", (20, 20), "red").save(data.image_path(0))
    write_pack(data, packed.image_root, size=SIZE)
    assert ImageStore.open(open_pack(packed.image_root), SIZE, tmp_path).pixels[0, 0].min() == 255


def test_pictures_and_packs_by_either_way(data, packed, tmp_path):
    named = write_pack(data, tmp_path / "named.pack", size=4, reader="karpathy")
    assert load_dataset("karpathy", str(named), subset=True).name == "mine"
    with pytest.raises(DataError, match="expected a pack of the dataset 'coco', found one of 'mine'; pass"):
        load_dataset("coco", named)
    with open_picture(data, 3) as whole, open_picture(packed, 3) as square:
        assert (whole.size, square.size, square.mode) == ((37, 23), (SIZE, SIZE), "RGB")
        assert np.array_equal(np.asarray(square).transpose(2, 0, 1), decode(data.image_path(3), SIZE))
    data.image_path(0).write_bytes(b"no image")
    with pytest.raises(DataError, match="00.png: expected an image, found: UnidentifiedImageError"):
        open_picture(data, 0)
    with pytest.raises(DataError, match="00.png: expected a pack written by 'imtext data pack'"):
        load_dataset("own", data.image_path(0))


def test_commands(tmp_path, capsys):
    def run(line: str) -> str:
        assert not app(f"data {line}")
        return capsys.readouterr().out

    photos(tmp_path / "a.png", tmp_path / "b.png")
    write(tmp_path / "captions.csv", "image,caption\na.png,A dog.\nb.png,A cat.\nc.png,A cow.\n")
    write(tmp_path / "b.png", b"x")
    out = tmp_path / "out.safetensors"
    words = f"pack own --root {tmp_path} --out {out} --size 8"
    said = run(f"{words} --fit squash --skip-corrupt -p subset true")
    assert "1 images (8 pixels, squash)" in said
    assert "1 images cannot be decoded (b.png): dropped with their captions" in said
    assert "own: 1 images, 1 captions" in run(f"verify {out}")
    for value in ("[", "[" * 5000):
        with pytest.raises(ConfigError, match="-p x .* cannot be read; write text, a number or a list"):
            app(["data", "pack", "own", "--out", "x", "-p", "x", value])
