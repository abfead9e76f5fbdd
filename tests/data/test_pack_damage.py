"""Packs that are damaged, cut off or forged: one line, and never a lie or a crash."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.data import Dataset
from imtext.data.dataset import Phrases, Regions
from imtext.data.features import ImageFeatures
from imtext.data.images import ImageStore, open_picture
from imtext.data.pack import PackFile, open_pack, verify_pack, write_pack
from imtext.data.pack_header import Entry, dump_header
from imtext.errors import DataError


def dataset(root: Path, count: int, features: bool) -> Dataset:
    files = tuple(f"{i}.png" for i in range(count))
    for i, file in enumerate(files if not features else ()):
        Image.new("RGB", (9, 9), (i, 2 * i, 3 * i)).save(root / file)
    numbers = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return Dataset(
        "d",
        root,
        files,
        files,
        tuple(f"ä {i}" for i in range(count)),
        np.arange(count),
        np.array(["train"] * count),
        np.arange(count),
        ("a note",),
        Regions([[0, 0, 1, 1]], [0], [1]),
        Phrases([0], [0], [1], ("ä",), [1], ("thing",)),
        tuple({"n": i} for i in range(count)),
        ImageFeatures((numbers,), np.arange(count)) if features else None,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> bytes:
    root = tmp_path_factory.mktemp("pictures")
    return write_pack(dataset(root, 3, False), root / "p.safetensors", size=5).read_bytes()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> bytes:
    root = tmp_path_factory.mktemp("vectors")
    return write_pack(dataset(root, 600, True), root / "p.safetensors").read_bytes()


@pytest.fixture
def put(tmp_path):
    """A function that writes bytes to a new file."""
    count = iter(range(10**9))

    def write(raw: bytes) -> Path:
        path = tmp_path / f"{next(count)}.safetensors"
        path.write_bytes(raw)
        return path

    return write


def refused(path: Path, match: str | None = None, verify: bool = True) -> str:
    with pytest.raises(DataError, match=match) as caught:
        open_pack(path, verify=verify)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text, text
    return text


def flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ (1 << place % 8)]) + raw[place + 1 :]


def test_every_flipped_bit_of_a_small_pack_is_noticed(pictures, put):
    start = PackFile.read(put(pictures)).header.start
    end = start + 3 * 3 * 5 * 5
    path = put(pictures)
    # All of the text and the arrays, a part of the blanks in between.
    for place in (*range(8, start, 31), *range(8), *range(start, len(pictures), 3)):
        path.unlink()
        path.write_bytes(flipped(pictures, place))
        text = refused(path)
        assert ("block 0 (images 0 to 2, 0.png to 2.png) does not agree" in text) == (start <= place < end)


def test_the_damaged_blocks_are_named(vectors, put):
    pack = PackFile.read(put(vectors))
    row = 12
    for image, block, last in ((0, 0, 255), (255, 0, 255), (256, 1, 511), (599, 2, 599)):
        path = put(flipped(vectors, pack.header.start + image * row))
        first = block * 256
        refused(
            path, rf"block {block} \(images {first} to {last}, {first}.png to {last}.png\) does not agree"
        )
        assert open_pack(path).n_images == 600  # what is not asked for is not read
    twice = flipped(flipped(vectors, pack.header.start), pack.header.start + 300 * row)
    refused(put(twice), r"block 0 .*, 2 of 3 blocks in all; copy the file again")


def test_each_array_is_checked(vectors, put):
    pack = PackFile.read(put(vectors))
    for name, entry in pack.header.entries.items():
        if name != "features" and entry.end > entry.begin:
            for place in (entry.begin, entry.end - 1):
                text = refused(put(flipped(vectors, pack.header.start + place)))
                assert repr(name) in text


def test_captions_are_never_read_damaged(pictures, put):
    pack = PackFile.read(put(pictures))
    for name in ("captions", "split_of_image", "boxes", "group_of_image", "phrase_words", "scenes"):
        path = put(flipped(pictures, pack.header.start + pack.header.entries[name].begin))
        refused(path, f"array '{name}' that does not agree with its checksum", verify=False)


def test_cut_off_and_too_long(pictures, put):
    for length in (*range(0, 40), *range(40, len(pictures), 97), len(pictures) - 1):
        refused(put(pictures[:length]), "expected a pack", verify=False)
    refused(put(pictures + b"\0"), "bytes of data where the header says", verify=False)


def test_what_is_no_pack(pictures, put, tmp_path):
    refused(tmp_path / "nowhere", "expected a pack, found: No such file")
    refused(tmp_path, "a folder")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no regular file")
    refused(put(b"\x89PNG\r\n\x1a\n" + bytes(4000)), "begin with the length of a header")
    refused(put((1 << 60).to_bytes(8, "little") + bytes(99)), "begin with the length of a header")
    refused(put((2 << 20).to_bytes(8, "little") + bytes(3 << 20)), "a header of 2,097,152 bytes")
    for text, match in (
        (b"\xff\xfe", "a header that is no JSON"),
        (b"[" * 200_000, "nested too deep|no JSON"),
        (b'{"a":' * 100_000, "nested too deep|no JSON"),
        (b"[]", "without __metadata__"),
        (b'{"__metadata__":[]}', "without __metadata__"),
        (b'{"__metadata__":{}}', "safetensors file of another kind"),
        (b'{"__metadata__":{"format":"pt"},"w":{}}', "safetensors file of another kind"),
        (b'{"__metadata__":{"format":"imtext-pack","version":"2"}}', "version 1, found '2'"),
        (b'{"a":1,"a":2}', "there twice"),
        (b'{"a":' + b"9" * 5000 + b"}", "no JSON"),
    ):
        refused(put(len(text).to_bytes(8, "little") + text), match)
    with pytest.raises(DataError, match="expected a pack"):
        open_pack("a\0b")


def forged(raw: bytes, change) -> bytes:
    """The pack with another header and a right checksum over it; ``change(texts, entries)`` edits both."""
    length = int.from_bytes(raw[:8], "little")
    content = json.loads(raw[8 : 8 + length])
    texts = content.pop("__metadata__")
    entries = {k: Entry(v["dtype"], tuple(v["shape"]), *v["data_offsets"]) for k, v in content.items()}
    change(texts, entries)
    return dump_header(texts, entries) + raw[8 + length :]


def test_a_forged_header_without_a_change_is_fine(pictures, put):
    assert verify_pack(put(forged(pictures, lambda texts, entries: None))).n_images == 3


ENTRIES = {
    "huge pixels": ("pixels", ("U8", (2**40, 3, 5, 5), 0, 225), "of shape .* in 225 bytes"),
    "wraps at 64 bits": ("pixels", ("U8", (2**32, 2**32, 1, 1), 0, 0), "in 0 bytes"),
    "beyond 62 bits": ("pixels", ("U8", (2**64, 3, 5, 5), 0, 225), "out of range"),
    "negative": ("pixels", ("U8", (-3, -3, 5, 5), 0, 225), "out of range"),
    "no whole numbers": ("pixels", ("U8", (3.0, 3, 5, 5), 0, 225), "out of range"),
    "true is no number": ("pixels", ("U8", (True, 9, 5, 5), 0, 225), "out of range"),
    "scalar": ("pixels", ("U8", (), 0, 225), "out of range"),
    "other sides": ("pixels", ("U8", (3, 5, 5, 3), 0, 225), "'pixels' of type U8"),
    "other size": ("pixels", ("U8", (1, 3, 15, 5), 0, 225), "'pixels' of type U8"),
    "signed pixels": ("pixels", ("I8", (3, 3, 5, 5), 0, 225), "'pixels' of type I8"),
    "unknown type": ("pixels", ("F64", (3, 3, 5, 5), 0, 225), "of type 'F64'"),
    "list as type": ("pixels", (["U8"], (3, 3, 5, 5), 0, 225), "of type"),
    "moved": ("pixels", ("U8", (3, 3, 5, 5), 1, 226), "hole or an overlap"),
    "new name": ("weights", ("U8", (0,), 225, 225), "an array 'weights'"),
    "second main": ("features", ("F32", (0, 3), 225, 225), "pixels and features"),
    "other form": ("padding", ("U8", (1, 7), 225, 232), "'padding' of type U8"),
    "huge and empty": ("boxes", ("I64", (2**61, 0), 0, 0), "hole or an overlap|'boxes' of type I64"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_forged_numbers(pictures, put, case):
    name, (dtype, shape, begin, end), match = ENTRIES[case]
    path = put(
        forged(pictures, lambda texts, entries: entries.update({name: Entry(dtype, shape, begin, end)}))
    )
    tracemalloc.start()
    refused(path, match)
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


def test_forged_texts(pictures, put):
    def texts(**new):
        return lambda held, entries: held.update(new)

    for change, match in (
        (texts(size="6"), "'pixels' of type U8"),
        (texts(size=["5"]), "no text 'size'"),
        (texts(fit="contain"), "fit='contain'"),
        (texts(notes="{}"), "notes that are no list"),
        (texts(notes="[1]"), "notes that are no list"),
        (texts(notes="[" * 9999), "notes that is no JSON"),
        (texts(sha256="{}"), "checksums of other arrays"),
        (texts(sha256="[]"), "checksums of other arrays"),
        (texts(name=None), "no text 'name'"),
        (texts(fingerprint="0" * 32), "another fingerprint than stated"),
        (lambda held, entries: held.pop("notes"), "no text 'notes'"),
        (
            lambda held, entries: held.update(sha256=held["sha256"].replace('"boxes": "', '"boxes": "g')),
            "64 hex",
        ),
        (lambda held, entries: entries.pop("captions"), "hole or an overlap"),
    ):
        refused(put(forged(pictures, change)), match)
    for name in ("boxes", "phrase_types", "scenes_offsets", "captions_offsets", "checksums"):
        text = forged(pictures, lambda held, entries, name=name: renamed(entries, name))
        refused(put(text), "an array 'x'|no array|of length None")


def renamed(entries: dict[str, Entry], name: str) -> None:
    entries["x"] = entries.pop(name)


def rewritten(raw: bytes, name: str, array: np.ndarray) -> bytes:
    """The pack with another content of one array and right checksums, as no accident would make it."""
    import hashlib

    entry = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])[name]
    begin, end = (8 + int.from_bytes(raw[:8], "little") + offset for offset in entry["data_offsets"])
    assert array.nbytes == end - begin

    def change(texts, entries):
        sums = json.loads(texts["sha256"]) | {name: hashlib.sha256(array.tobytes()).hexdigest()}
        texts["sha256"] = json.dumps(sums)

    return forged(raw[:begin] + array.tobytes() + raw[end:], change)


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("split_of_image", np.array([0, 3, 0], np.int8), "a split that is none of"),
        ("split_of_image", np.array([-1, 0, 0], np.int8), "a split that is none of"),
        ("captions_offsets", np.array([0, 2**62, 5, 12]), "offsets of 'captions' out of order"),
        ("captions_offsets", np.array([0, -4, 8, 12]), "offsets of 'captions' out of order"),
        ("captions_offsets", np.array([0, 1, 8, 12]), "'captions' that are not UTF-8"),
        ("captions_offsets", np.array([0, 0, 8, 12]), "caption 0 is empty"),
        ("image_of_caption", np.array([0, 1, 3]), "image_of_caption: expected indices 0 to 2, found 3"),
        ("image_of_caption", np.array([0, 1, 1]), "has no caption"),
        ("image_of_region", np.array([-(2**63)]), "image_of_region"),
        ("boxes", np.array([[5, 0, 1, 1]]), "box 0 is"),
        ("phrase_stop", np.array([0]), "spans words"),
        ("phrase_caption", np.array([9]), "Phrases.caption"),
        ("group_of_image", np.array([0, 2**63 - 1, -(2**63)]), "another fingerprint"),
        ("image_files", np.frombuffer(b"../p/" + b"1.png2.png", np.uint8), "leaves the image folder"),
        ("image_files", np.frombuffer(b"0.png" * 3, np.uint8), "'0.png' is there twice"),
        ("scenes", np.frombuffer(b'{"n": 0}{"n": 1}[[[[[[[[', np.uint8), "scenes that are no JSON objects"),
    ],
)
def test_forged_content(pictures, put, name, values, match):
    refused(put(rewritten(pictures, name, values)), match)


def test_thousand_mutations(pictures, vectors, put):
    random = np.random.default_rng(0)
    path = put(b"")
    for raw in (pictures, vectors):
        for _ in range(500):
            changed = bytearray(raw)
            for _ in range(random.integers(1, 3)):
                most = min(len(changed), 2500 if random.random() < 0.7 else len(raw))
                a, b = np.sort(random.integers(0, most, 2))
                kind = random.integers(4)
                if kind == 0:
                    changed[a] = random.integers(256)
                elif kind == 1:
                    del changed[a:b]
                elif kind == 2:
                    changed[a:a] = changed[a : min(b, a + 50)]
                else:
                    changed[a : a + 1] = random.choice([b"9", b"-1", b"{", b'"', b"\xff", b"[" * 99])
            if changed != raw:
                path.unlink()
                path.write_bytes(changed)
                refused(path)


def test_a_store_of_a_damaged_pack(pictures, put):
    good = open_pack(put(pictures))
    cut = good.image_root.read_bytes()[:-1]
    good.image_root.unlink()
    good.image_root.write_bytes(cut)
    for ask in (lambda: ImageStore.open(good, 5, "unused"), lambda: open_picture(good, 0)):
        with pytest.raises(DataError, match="bytes of data where the header says"):
            ask()
