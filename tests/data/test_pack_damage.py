"""Packs that are damaged or cut off, and writing that is disturbed: one line, never a lie or half a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import plain
from PIL import Image

import imtext.data.pack as pack_module
from imtext.data import Dataset, ImageFeatures, Phrases, Regions, load_dataset
from imtext.data.images import ImageStore, decode, open_picture
from imtext.data.pack import open_pack, write_pack
from imtext.errors import DataError

SIZE, PAGE = 60, 4096


def dataset(root: Path, count: int, features: bool = False) -> Dataset:
    files = [f"{i}.png" for i in range(count)]
    for i, file in enumerate(files if not features else ()):
        if not (root / file).exists():
            Image.new("RGB", (70, 80), (i, 2 * i, 3 * i)).save(root / file)
    rows = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return plain(
        root,
        files,
        regions=Regions([[0, 0, 1, 1]], [0], [1]),
        phrases=Phrases([0], [0], [1], ("ä",), [1], ("thing",)),
        scenes=tuple({"n": i} for i in range(count)),
        features=ImageFeatures((rows,), np.arange(count)) if features else None,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> bytes:
    root = tmp_path_factory.mktemp("pictures")
    return write_pack(dataset(root, 3), root / "p.safetensors", size=5).read_bytes()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> bytes:
    root = tmp_path_factory.mktemp("vectors")
    return write_pack(dataset(root, 600, True), root / "p.safetensors").read_bytes()


def refused(path: Path, raw: bytes | None, match: str = "", verify: bool = True) -> None:
    if raw is not None:
        path.unlink(missing_ok=True)
        path.write_bytes(raw)
    with pytest.raises(DataError, match=match) as caught:
        open_pack(path, verify=verify)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text, text


def flipped(raw: bytes, place: int, bit: int = 0) -> bytes:
    return raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]


def test_every_flipped_bit_of_a_small_pack_is_noticed(pictures, tmp_path):
    end = PAGE + 3 * 3 * 5 * 5
    # All of the arrays; the header but for some of the blanks that fill its page.
    for place in (*range(1200), *range(1200, PAGE, 31), *range(PAGE, len(pictures))):
        pixels = PAGE <= place < end
        match = "block 0 .images 0 to 2. does not agree" if pixels else "expected a pack written by"
        refused(tmp_path / "p", flipped(pictures, place, place % 8), match, verify=pixels)


def test_the_damaged_block_is_named(vectors, tmp_path):
    path = tmp_path / "p"
    for image, block, last in ((0, 0, 255), (255, 0, 255), (256, 1, 511), (599, 2, 599)):
        damaged = flipped(vectors, PAGE + image * 12)
        refused(path, damaged, rf"block {block} \(images {block * 256} to {last}\) does not agree")
        assert open_pack(path).n_images == 600  # what is not asked for is not read


def test_cut_off_and_too_long(pictures, tmp_path):
    for length in (*range(0, 40), *range(40, len(pictures), 97), len(pictures) - 1):
        refused(tmp_path / "p", pictures[:length], "expected a pack", verify=False)
    refused(tmp_path / "p", pictures + b"\0", "expected a pack", verify=False)


def test_what_is_no_pack(tmp_path):
    refused(tmp_path / "nowhere", None, "found no such file")
    refused(tmp_path, None, "found a folder")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", None, "no such file")
    refused(tmp_path / "p", b"\x89PNG\r\n\x1a\n" + bytes(4000), "expected a pack")
    for length in (1 << 60, 2 << 20):
        refused(tmp_path / "p", length.to_bytes(8, "little") + bytes(99), "expected a pack")
    for text in (b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000, b"[]", b'{"__metadata__":[]}', b'{"a":9}'):
        refused(tmp_path / "p", len(text).to_bytes(8, "little") + text, "expected a pack")
    weights = b'{"__metadata__":{"format":"pt"}}'
    refused(tmp_path / "p", len(weights).to_bytes(8, "little") + weights, "found a file of another kind")
    with pytest.raises(DataError, match="expected a pack"):
        open_pack("a\0b")


def test_a_store_of_a_pack_that_was_damaged_since(pictures, tmp_path):
    (tmp_path / "p").write_bytes(pictures)
    good = open_pack(tmp_path / "p")
    (tmp_path / "p").write_bytes(pictures[:-1])
    for ask in (lambda: ImageStore.open(good, 5, "unused"), lambda: open_picture(good, 0)):
        with pytest.raises(DataError, match="expected a pack"):
            ask()


@pytest.fixture
def data(tmp_path) -> Dataset:
    (tmp_path / "photos").mkdir()
    return dataset(tmp_path / "photos", 20)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"photos"}


def full(*arguments):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing(data, tmp_path, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(pack_module.os, call, full)
        with pytest.raises(DataError, match=r"be written \(No space left on device\); free some space"):
            write_pack(data, tmp_path / "p.safetensors", size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock"}


def test_the_space_is_looked_at_first(data, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(pack_module.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(pack_module, "decode_file", None)
    with pytest.raises(DataError, match=r"p.safetensors: cannot be written \(26.46 GB are needed"):
        write_pack(data, tmp_path / "p.safetensors", size=21_000)


def test_no_place_to_write(data, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for place in (tmp_path / "file" / "p.safetensors", tmp_path / ("p" * 300)):
        with pytest.raises(DataError, match="cannot be written"):
            write_pack(data, place, size=SIZE)


def test_what_reads_back_wrong_is_not_kept(data, tmp_path, monkeypatch):
    path = write_pack(data, tmp_path / "p.safetensors", size=SIZE - 1)
    before, fsync = path.read_bytes(), os.fsync

    def damaging(descriptor):
        os.pwrite(descriptor, b"\x55", PAGE + 5)
        fsync(descriptor)

    monkeypatch.setattr(pack_module.os, "fsync", damaging)
    with pytest.raises(DataError, match="block 0"):
        write_pack(data, path, size=SIZE)
    assert path.read_bytes() == before
    assert left_in(tmp_path) == {"p.safetensors", ".p.safetensors.lock"}


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
import imtext.data.pack as pack
from test_pack_damage import SIZE, dataset
from imtext.data.images import ImageStore
from pathlib import Path
plain, root = pack.decode_file, Path(sys.argv[1])
def slow(path, *size_and_fit):
    time.sleep(0.05)
    print("decoded", path.name, flush=True)
    return plain(path, *size_and_fit)
pack.decode_file = slow
if sys.argv[3] == "pack":
    pack.write_pack(dataset(root / "photos", 20), root / "p.safetensors", size=SIZE, n_jobs=1)
else:
    ImageStore.open(dataset(root / "photos", 20), SIZE, root / "cache", n_jobs=1)
print("done", flush=True)
"""


def start(tmp_path: Path, what: str) -> subprocess.Popen:
    arguments = [str(tmp_path), str(Path(__file__).parent), what]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True)


def assert_whole(data: Dataset, store: ImageStore) -> None:
    assert all(np.array_equal(store.pixels[i], decode(data.image_path(i), SIZE)) for i in range(20))


def test_two_processes_write_once(data, tmp_path):
    for what in ("pack", "store"):
        processes = [start(tmp_path, what) for _ in range(2)]
        said = [process.communicate(timeout=120)[0] for process in processes]
        assert all(text.endswith("done\n") for text in said)
        assert sum(text.count("decoded") for text in said) == 20
    assert_whole(data, ImageStore.open(open_pack(tmp_path / "p.safetensors", verify=True), SIZE, tmp_path))
    assert_whole(data, ImageStore.open(data, SIZE, tmp_path / "cache"))


def test_a_killed_process_leaves_no_pack(data, tmp_path):
    process = start(tmp_path, "pack")
    for _ in range(8):
        assert process.stdout.readline().startswith("decoded")
    process.kill()
    process.communicate()
    assert left_in(tmp_path) == {".p.safetensors.lock", ".p.safetensors.partial"}
    write_pack(data, tmp_path / "p.safetensors", size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock", "p.safetensors"}
    assert_whole(data, ImageStore.open(open_pack(tmp_path / "p.safetensors", verify=True), SIZE, tmp_path))


def test_real_photographs(shared_data, tmp_path):
    data = load_dataset("flickr8k", shared_data / "flickr8k").split("test").take(range(300))
    pack = open_pack(write_pack(data, tmp_path / "p.safetensors", size=64), verify=True)
    store, other = ImageStore.open(pack, 64, tmp_path), ImageStore.open(data, 64, tmp_path / "cache")
    assert np.array_equal(store.pixels, other.pixels) and (store.pixels.reshape(300, -1).std(1) > 5).all()
    assert pack.captions == data.captions and pack.fingerprint() == data.fingerprint()
