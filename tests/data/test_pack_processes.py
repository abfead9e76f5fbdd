"""Writing a pack that is disturbed: a full disk, a kill, a second process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imtext.data.pack as pack_module
import imtext.data.pack_file as pack_file_module
from imtext.data import Dataset
from imtext.data.images import ImageStore, decode
from imtext.data.pack import open_pack, write_pack
from imtext.errors import DataError

SIZE = 60


def photographs(root: Path, count: int = 20) -> Dataset:
    root.mkdir(exist_ok=True)
    for i in range(count):
        path = root / f"{i}.png"
        if not path.exists():
            Image.new("RGB", (70, 80), (10 * i, 0, 255)).save(path)
    files = tuple(f"{i}.png" for i in range(count))
    return Dataset(
        "plain", root, files, files, files, np.arange(count), np.array(["train"] * count), np.arange(count)
    )


@pytest.fixture
def data(tmp_path) -> Dataset:
    return photographs(tmp_path / "photos")


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"photos"}


def full(*arguments):
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_nothing(data, tmp_path, monkeypatch):
    path = tmp_path / "p.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(pack_file_module.os, "fsync", full)
        with pytest.raises(
            DataError, match=r"cannot write the pack of .* GB, found: No space left on device"
        ):
            write_pack(data, path, size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock"}
    with monkeypatch.context() as patch:
        patch.setattr(pack_module.os, "replace", full)
        with pytest.raises(DataError, match="No space left on device; free space or choose another place"):
            write_pack(data, path, size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock"}
    assert open_pack(write_pack(data, path, size=SIZE)).n_images == 20


def test_the_space_is_looked_at_first(data, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(pack_module.shutil, "disk_usage", lambda folder: usage)
        patch.setattr(pack_module, "decode_all", None)
        with pytest.raises(DataError, match=r"the pack needs 0.00 GB, found 0.00 GB free; free space"):
            write_pack(data, tmp_path / "p.safetensors", size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock"}


def test_no_place_to_write(data, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot write the pack"):
        write_pack(data, tmp_path / "file" / "p.safetensors", size=SIZE)
    with pytest.raises(DataError, match="cannot write the pack .* too long"):
        write_pack(data, tmp_path / ("p" * 300), size=SIZE)


def test_what_reads_back_wrong_is_not_kept(data, tmp_path, monkeypatch):
    path = write_pack(data, tmp_path / "p.safetensors", size=SIZE - 1)
    before = path.read_bytes()

    def damaging(file, room, *arguments):
        pack_file_module.write_stream(file, room, *arguments)
        file.seek(room + 5)
        file.write(b"\x55")
        file.flush()

    monkeypatch.setattr(pack_module, "write_stream", damaging)
    with pytest.raises(DataError, match=r"p.safetensors: what was written reads back wrong .*block 0"):
        write_pack(data, path, size=SIZE)
    assert path.read_bytes() == before
    assert left_in(tmp_path) == {"p.safetensors", ".p.safetensors.lock"}


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[3])
import imtext.data.images as images
from imtext.data.pack import write_pack
from test_pack_processes import SIZE, photographs
from pathlib import Path
plain = images._read
def slow(path, *size_and_fit):
    time.sleep(float(sys.argv[4]))
    print("decoded", path.name, flush=True)
    return plain(path, *size_and_fit)
images._read = slow
write_pack(photographs(Path(sys.argv[1])), sys.argv[2], size=SIZE, n_jobs=1)
print("done", flush=True)
"""


def start(tmp_path: Path, pause: float) -> subprocess.Popen:
    place = [str(tmp_path / "photos"), str(tmp_path / "p.safetensors"), str(Path(__file__).parent)]
    arguments = [*place, str(pause)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True)


def assert_whole(data: Dataset, path: Path, cache: Path) -> None:
    store = ImageStore.open(open_pack(path, verify=True), SIZE, cache)
    assert all(np.array_equal(store.pixels[i], decode(data.image_path(i), SIZE)) for i in range(20))


def test_two_processes_write_once(data, tmp_path):
    outputs = [process.communicate(timeout=120)[0] for process in [start(tmp_path, 0.02) for _ in range(2)]]
    assert all(output.endswith("done\n") and "Error" not in output for output in outputs)
    assert sum(output.count("decoded") for output in outputs) == 20
    assert_whole(data, tmp_path / "p.safetensors", tmp_path)


def test_a_killed_process_leaves_no_pack(data, tmp_path):
    process = start(tmp_path, 0.05)
    for _ in range(8):
        assert process.stdout.readline().startswith("decoded")
    process.kill()
    process.communicate()
    assert left_in(tmp_path) == {".p.safetensors.lock", ".p.safetensors.partial"}
    write_pack(data, tmp_path / "p.safetensors", size=SIZE)
    assert left_in(tmp_path) == {".p.safetensors.lock", "p.safetensors"}
    assert_whole(data, tmp_path / "p.safetensors", tmp_path)


def test_a_write_that_fails_half_way_leaves_nothing(data, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match="cannot write the pack of 0.00 GB, found: File too large"):
            write_pack(data, tmp_path / "p.safetensors", size=SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_in(tmp_path) == {".p.safetensors.lock"}


def test_real_photographs(shared_data, tmp_path):
    from imtext.data import load_dataset

    data = load_dataset("flickr8k", shared_data / "flickr8k").split("test").take(range(300))
    pack = open_pack(write_pack(data, tmp_path / "p.safetensors", size=64), verify=True)
    store, other = ImageStore.open(pack, 64, tmp_path), ImageStore.open(data, 64, tmp_path / "cache")
    assert np.array_equal(store.pixels, other.pixels)
    assert pack.captions == data.captions and pack.fingerprint() == data.fingerprint()
