"""Packs: what goes in comes out, by every way of asking for it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import imtext.data.pack as pack_module
from imtext.cli import app
from imtext.data import Dataset, ImageFeatures, Phrases, Regions, load_dataset
from imtext.data.images import ImageStore, decode, open_picture
from imtext.data.pack import open_pack, write_pack
from imtext.errors import ConfigError, DataError

SIZE = 13
CAPTIONS = ("a dog", "ein Hund läuft — schnell 🐕", "二匹の猫", "naïve\u2028café")


def photographs(root: Path, count: int = 12, extras: bool = True) -> Dataset:
    """Pictures of noise in all shapes, two captions each but for the first, three splits, pairs as groups."""
    (root / "ü").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    files = [f"ü/{i:02}.{'jpg' if i % 2 else 'png'}" for i in range(count)]
    for i, file in enumerate(files):
        pixels = noise.integers(0, 255, (20 + i, 40 - i, 3), np.uint8)
        Image.fromarray(pixels).save(root / file, quality=90)
    owners = np.array([0, *np.repeat(np.arange(1, count), 2)])[::-1].copy()
    chosen = np.array([4, 2, 2])
    return Dataset(
        "noise",
        root,
        tuple(files),
        tuple(f"id-{i}" for i in range(count)),
        tuple(f"{CAPTIONS[j % 4]} {j}" for j in range(len(owners))),
        owners,
        np.array([("train", "val", "test")[i // 2 % 3] for i in range(count)]),
        np.arange(count) // 2 + 7,
        ("two lines were odd", "ünïcode \\ \" '"),
        Regions(np.array([[0, 0, 3, 4], [5, 5, 900, 901], [1, 1, 1, 1]]), chosen, [3, 0, 9])
        if extras
        else None,
        Phrases([0, 3], [0, 1], [1, 2], ("a", "Hund ä"), [3, 0], ("animals", "")) if extras else None,
        tuple({"id": f"id-{i}", "n": [1.5, None, {"ö": i}]} for i in range(count)) if extras else None,
    )


def vectors(count: int, dtype: type = np.float32) -> ImageFeatures:
    numbers = np.random.default_rng(1).normal(size=(count + 3, 2, 5)).astype(dtype)
    return ImageFeatures((numbers[:4], numbers[4:]), np.arange(count)[::-1] + 2)


@pytest.fixture
def data(tmp_path) -> Dataset:
    return photographs(tmp_path / "photos")


@pytest.fixture
def packed(data, tmp_path) -> Dataset:
    return open_pack(write_pack(data, tmp_path / "noise.safetensors", size=SIZE))


def assert_same(a: Dataset, b: Dataset) -> None:
    for field in ("name", "image_files", "image_ids", "captions", "notes", "scenes"):
        assert getattr(a, field) == getattr(b, field), field
    for field in ("image_of_caption", "split_of_image", "group_of_image"):
        assert np.array_equal(getattr(a, field), getattr(b, field)), field
    assert replace(a, features=None).fingerprint() == replace(b, features=None).fingerprint()
    for field, names in (
        ("regions", ("boxes", "image_of_region", "chain")),
        ("phrases", ("caption", "start", "stop", "words", "chain", "type")),
    ):
        one, other = getattr(a, field), getattr(b, field)
        assert (one is None) == (other is None)
        for name in names if one is not None else ():
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_everything_comes_back(data, packed, tmp_path):
    assert packed.image_root == tmp_path / "noise.safetensors"
    assert_same(data, packed)
    assert_same(data, open_pack(packed.image_root, verify=True))
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "noise.safetensors", ".noise.safetensors.lock"}
    bare = photographs(tmp_path / "photos", extras=False)
    assert_same(bare, open_pack(write_pack(bare, tmp_path / "new" / "bare.safetensors", size=4)))


@pytest.mark.parametrize("fit", ["cover", "squash"])
def test_pixels_are_those_of_the_files(data, tmp_path, fit):
    pack = open_pack(write_pack(data, tmp_path / "p.safetensors", size=SIZE, fit=fit, n_jobs=2))
    from_files = ImageStore.open(data, SIZE, tmp_path / "cache", fit=fit)
    from_pack = ImageStore.open(pack, SIZE, tmp_path / "unused", fit=fit)
    assert np.array_equal(from_files.pixels, from_pack.pixels)
    assert isinstance(from_pack.pixels, np.memmap) and not from_pack.pixels.flags.writeable
    assert (len(from_pack), from_pack.size, from_pack.fit) == (12, SIZE, fit)
    assert not (tmp_path / "unused").exists()
    assert np.array_equal(decode(pack.image_path(3), SIZE, fit), from_files.pixels[3])


def test_selections_find_their_rows(data, packed, tmp_path):
    whole = ImageStore.open(packed, SIZE, tmp_path)
    for chosen in (
        [5],
        [3, 4, 5],
        [9, 0, 4],
        np.arange(12)[::-1],
        np.flatnonzero(data.split_of_image == "val"),
    ):
        taken = packed.take(chosen)
        store = ImageStore.open(taken, SIZE, tmp_path)
        assert_same(data.take(chosen), taken)
        assert len(store) == len(chosen)
        assert np.shares_memory(store.pixels, whole.pixels)
        assert np.array_equal(store.batch(np.arange(len(chosen))).numpy(), whole.pixels[chosen])
        with pytest.raises(DataError, match=f"images 0 to {len(chosen) - 1}, asked for"):
            store.batch([len(chosen)])
    run = ImageStore.open(packed.take([3, 4, 5]), SIZE, tmp_path)
    assert run.rows is None and len(run.pixels) == 3
    assert ImageStore.open(packed.split("train"), SIZE, tmp_path).rows.tolist() == [0, 1, 6, 7]
    assert ImageStore.open(packed.split("test").take([1, 3]), SIZE, tmp_path).rows.tolist() == [5, 11]


def test_fingerprint_is_that_of_the_content(data, packed, tmp_path):
    again = open_pack(write_pack(data, tmp_path / "elsewhere" / "b.safetensors", size=SIZE))
    prints = [ImageStore.open(d, SIZE, tmp_path / "cache").fingerprint for d in (packed, again, data)]
    assert prints[0] == prints[1] != prints[2]
    assert ImageStore.open(packed.take([1, 0]), SIZE, tmp_path).fingerprint not in prints
    Image.new("RGB", (20, 20), "red").save(data.image_path(0))
    other = open_pack(write_pack(data, tmp_path / "c.safetensors", size=SIZE))
    assert ImageStore.open(other, SIZE, tmp_path).fingerprint not in prints


def test_larger_pictures_are_enlarged_from_the_pack(packed, tmp_path):
    store = ImageStore.open(packed.take([7, 2]), 20, tmp_path / "cache")
    with open_picture(packed, 2) as picture:
        large = np.asarray(picture.resize((20, 20), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(store.pixels[1], large)
    assert np.array_equal(decode(packed.image_path(2), 20), large)


def test_smaller_pictures_are_resized_from_the_pack(packed, tmp_path):
    store = ImageStore.open(packed.take([7, 2]), 6, tmp_path / "cache")
    assert store.pixels.shape == (2, 3, 6, 6)
    with open_picture(packed, 2) as picture:
        small = np.asarray(picture.resize((6, 6), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(store.pixels[1], small)
    assert ImageStore.open(packed.take([7, 2]), 6, tmp_path / "cache").fingerprint == store.fingerprint
    twice = open_pack(write_pack(packed, tmp_path / "small.safetensors", size=6))
    assert_same(packed, twice)
    assert np.array_equal(ImageStore.open(twice, 6, tmp_path).pixels[2], small)


def test_what_the_pack_does_not_hold(data, packed, tmp_path):
    with pytest.raises(DataError, match="holds pictures with fit='cover'; .* --fit squash"):
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


def test_pictures_by_either_way(data, packed):
    for i in (0, 3):
        with open_picture(data, i) as whole, open_picture(packed, i) as square:
            assert whole.size == (40 - i, 20 + i)
            assert (square.size, square.mode) == ((SIZE, SIZE), "RGB")
            assert np.array_equal(np.asarray(square).transpose(2, 0, 1), decode(data.image_path(i), SIZE))
    data.image_path(0).write_bytes(b"no image")
    with pytest.raises(DataError, match="00.png: expected an image, found: UnidentifiedImageError"):
        open_picture(data, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_features(data, tmp_path, dtype):
    full = replace(data, features=vectors(12, dtype))
    pack = open_pack(write_pack(full, tmp_path / "f.safetensors"), verify=True)
    assert_same(full, pack)
    assert isinstance(pack.features.parts[0], np.memmap)
    assert pack.features.parts[0].dtype == (np.float16 if dtype is np.float16 else np.float32)
    assert np.array_equal(pack.features[range(12)], full.features[range(12)])
    taken = pack.take([5, 1])
    assert np.array_equal(taken.features[[0, 1]], full.features[[5, 1]])
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


def test_safetensors_opens_it(data, packed):
    with safe_open(packed.image_root, "np") as file:
        assert set(file.keys()) >= {"pixels", "texts", "checksums", "regions.boxes", "image_of_caption"}
        assert file.get_tensor("pixels").shape == (12, 3, SIZE, SIZE)
        texts = json.loads(file.get_tensor("texts").tobytes())
        assert (texts["held"]["captions"][0], texts["about"]["fit"]) == (data.captions[0], "cover")
    raw = packed.image_root.read_bytes()
    assert int.from_bytes(raw[:8], "little") + 8 == 4096


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


def test_a_pack_is_loaded_by_name(data, tmp_path):
    named = write_pack(replace(data, name="pets"), tmp_path / "named.pack", size=4, reader="karpathy")
    assert load_dataset("karpathy", named).name == "pets"
    assert load_dataset("karpathy", str(named), subset=True).name == "pets"
    with pytest.raises(DataError, match="expected a pack of the dataset 'coco', found one of 'pets'; pass"):
        load_dataset("coco", named)
    with pytest.raises(ConfigError, match="unknown option 'subsett'"):
        load_dataset("karpathy", named, subsett=True)
    (tmp_path / "captions.csv").write_text("image,caption", encoding="utf-8")
    with pytest.raises(DataError, match="captions.csv: expected a pack written by 'imtext data pack'"):
        load_dataset("own", tmp_path / "captions.csv")


def test_commands(data, tmp_path, monkeypatch, capsys):
    import imtext.data

    asked = []
    monkeypatch.setattr(imtext.data, "load_dataset", lambda *a, **o: asked.append((a, o)) or data)
    data.image_path(3).write_bytes(b"x")
    out = tmp_path / "out.safetensors"
    words = (
        f"pack noise --root {tmp_path} --out {out} --size 8 --fit squash --skip-corrupt -p subset true"
    )
    for line in (words, f"verify {out}"):
        assert not app(f"data {line}")
    assert asked == [(("noise", tmp_path), {"subset": True})]
    said = capsys.readouterr().out
    assert "11 images (8 pixels, squash)" in said
    assert "1 images cannot be decoded (ü/03.jpg): dropped with their captions" in said
    assert "noise: 11 images, 21 captions" in said
    for value in ("[", "[" * 5000):
        with pytest.raises(ConfigError, match="-p x .* cannot be read; write text, a number or a list"):
            app(["data", "pack", "noise", "--out", "x", "-p", "x", value])


def test_no_region_and_no_phrase_are_not_the_same_as_none(data, tmp_path):
    none = {"regions": Regions(np.empty((0, 4)), np.empty(0, int), np.empty(0, int))}
    empty = replace(data, **none, phrases=Phrases([], [], [], (), [], ()), notes=())
    back = open_pack(write_pack(empty, tmp_path / "e.safetensors", size=4))
    assert_same(empty, back)
    assert len(back.regions) == len(back.phrases) == 0
