"""Fetching from a server that cuts, stalls and lies; archives that do harm; pages of what to request."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest
from fetch_server import IMAGES, QUICK, Served, serving, sources, zipped
from folders import write

from imtext.cli import app
from imtext.data import fetch as room
from imtext.data.fetch import SOURCES, Transfer, fetch, listing, unpack
from imtext.errors import ConfigError, DataError

PIECE = 1 << 16  # what is written at once

server = pytest.fixture(serving, name="server")


@pytest.fixture
def images(server) -> Served:
    return server.files["/images.zip"]


def bring(server, root, parts=("images",), transfer=QUICK, **options):
    lines: list[str] = []
    came = fetch("pets", root, parts, sources=sources(server, **options), transfer=transfer, say=lines.append)
    return came, lines


def fails(server, root, match: str, **options) -> str:
    with pytest.raises(DataError, match=match) as caught:
        bring(server, root, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert not (root / "pics").exists()
    return message


def whole(root: Path) -> None:
    """The data is right, and nothing else is left."""
    assert sorted(path.name for path in (root / "pics").iterdir()) == sorted(f"{i}.jpg" for i in range(20))
    assert (root / "pics/3.jpg").read_bytes() == hashlib.shake_128(b"\x03").digest(60_000)
    assert [path.name for path in (root / ".fetch").iterdir()] == ["lock"]


def test_a_dataset_lands(server, tmp_path):
    root = tmp_path / "new" / "pets"
    came, lines = bring(server, root, parts=None)
    whole(root)
    assert came == ["images", "words"]
    assert (root / "text/b.txt").read_bytes() == b"more"
    assert lines[-1] == f"Next: imtext data check pets --root {root}"
    assert "images: 20 files *.jpg in pics" in lines


def test_what_is_there_is_left_alone(server, images, tmp_path):
    bring(server, tmp_path, parts=None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "pics").rename(tmp_path / "mine" / "photos")
    (tmp_path / ".mine.partial").mkdir()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write(tmp_path / ".fetch/images.zip", IMAGES)  # as after a kill between landing and tidying
    came, lines = bring(server, tmp_path, parts=None)
    assert came == [] and "already there: 20 files *.jpg in mine/photos" in lines[0]
    assert len(images.asked) == 1
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert after | {tmp_path / ".fetch": before[tmp_path / ".fetch"]} == before


@pytest.mark.parametrize("cuts", [[200_000], [200_000, 300_000], [10, 1, 500_000]])
def test_cut_connections_go_on(server, images, tmp_path, cuts):
    images.cuts = list(cuts)
    lines = bring(server, tmp_path)[1]
    whole(tmp_path)
    starts = [0, *itertools.accumulate(cut // PIECE * PIECE for cut in cuts)]
    assert images.asked == [f"bytes={start}-" if start else None for start in starts]
    assert sum("trying again" in line for line in lines) == len(cuts)


def test_always_cut_gives_up_and_the_next_call_goes_on(server, images, tmp_path):
    images.cuts = [100_000] * 4
    message = fails(server, tmp_path, "broke 4 times in a row")
    assert "262.1 kB of" in message and "goes on from there" in message
    images.cuts = []
    bring(server, tmp_path)
    whole(tmp_path)
    assert images.asked[-1] == f"bytes={4 * PIECE}-"


def test_an_archive_that_is_there_is_only_checked(server, images, tmp_path):
    """As after a kill between the last byte and the checksum, or where the user has put it."""
    write(tmp_path / ".fetch/images.zip", IMAGES)
    write(tmp_path / ".fetch/images/pics/0.jpg", b"left by a killed process")
    bring(server, tmp_path)
    whole(tmp_path)
    assert images.asked == []


def test_wrong_bytes_are_said(server, images, tmp_path):
    images.body = bytes(reversed(IMAGES))
    for _ in range(2):
        message = fails(server, tmp_path, "images.zip: expected sha256:.* delete it and run the same command")
        assert hashlib.sha256(images.body).hexdigest() in message
    images.body = IMAGES
    (tmp_path / ".fetch/images.zip").unlink()
    bring(server, tmp_path)
    whole(tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"codes": [404]}, "expected an archive, got 404 Not Found"),
        ({"codes": [403]}, "403 Forbidden"),
        ({"codes": [500] * 9}, "500 Internal Server Error; 0 bytes of"),
        ({"kind": "text/html; charset=utf-8"}, "text/html.* see in a browser"),
        ({"body": b"<!DOCTYPE html><p>sign in"}, "expected sha256:"),
        ({"location": "/images.zip"}, "redirects"),
        ({"location": "file:///etc/passwd"}, "cannot be fetched"),
    ],
)
def test_one_line_for_each_refusal(server, images, tmp_path, change, match):
    vars(images).update(change)
    fails(server, tmp_path, match)


@pytest.mark.parametrize(
    "trouble",
    [{"ranges": False, "cuts": [200_000]}, {"chunked": True}, {"codes": [500, 503], "cuts": [200_000]}],
)
def test_passing_trouble(server, images, tmp_path, trouble):
    server.files["/moved.zip"] = images
    server.files["/images.zip"] = Served(b"", location="/moved.zip")
    vars(images).update(trouble)
    bring(server, tmp_path)
    whole(tmp_path)


def test_silence_is_no_hang(server, images, tmp_path):
    images.stall = 1.0
    bring(server, tmp_path)
    whole(tmp_path)
    assert len(images.asked) == 2
    images.stall = 1.0
    shutil.rmtree(tmp_path / "pics")
    once = Transfer(tries=1, pause=0.0, timeout=(2.0, 0.2), reserve=0)
    fails(server, tmp_path, r"broke 1 times in a row, last: no byte for 0.2 s", transfer=once)


def test_no_server(tmp_path):
    nobody = SimpleNamespace(url=lambda path: f"http://127.0.0.1:9{path}")
    fails(nobody, tmp_path, "Connection refused")


def test_an_archive_of_something_else(server, images, tmp_path):
    images.body = IMAGES[:-200]
    checksum = f"sha256:{hashlib.sha256(images.body).hexdigest()}"
    fails(server, tmp_path, "found damage", checksum=checksum)


def test_files_of_the_user_are_kept(server, tmp_path):
    first = write(tmp_path / "pics/0.jpg", hashlib.shake_128(b"\0").digest(60_000))
    write(tmp_path / "pics/1.jpg", b"")
    kept = first.stat().st_ino
    bring(server, tmp_path)
    whole(tmp_path)
    assert first.stat().st_ino == kept
    own = write(tmp_path / "text/b.txt", b"my own words")
    with pytest.raises(DataError, match="b.txt: expected 4 bytes, as published, found 12; move it away"):
        bring(server, tmp_path, parts=["words"])
    assert own.read_bytes() == b"my own words"
    own.unlink()
    asked = len(server.files["/words.zip"].asked)
    bring(server, tmp_path, parts=["words"])
    assert len(server.files["/words.zip"].asked) == asked  # the archive was still there


def test_too_small_a_disk_is_said_before_anything_comes(server, images, tmp_path, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    message = fails(server, tmp_path, r"needs 2\.\d MB on the disk")
    assert "1.0 kB are free" in message and images.asked == []


def test_a_full_disk_keeps_what_came(server, images, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        fails(server, tmp_path, "cannot be written .File too large.; free some space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    bring(server, tmp_path)
    whole(tmp_path)
    assert images.asked[-1] == "bytes=100000-"


def test_two_at_once(server, tmp_path):
    (tmp_path / ".fetch").mkdir()
    with filelock.FileLock(tmp_path / ".fetch/lock"):
        fails(server, tmp_path, "another process fetches into this folder")
    bring(server, tmp_path)


CHILD = """
import sys
from fetch_server import sources
from imtext.data.fetch import Transfer, fetch
class There:
    def url(self, path):
        return sys.argv[1] + path
fetch("pets", sys.argv[2], ["images"], sources=sources(There()), transfer=Transfer(reserve=0))
"""


def test_a_killed_process_leaves_nothing_but_a_part(server, images, tmp_path):
    images.stall = 60.0
    here = os.path.dirname(__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, server.url(""), str(tmp_path)], env=environment)
    part = tmp_path / ".fetch" / "images.zip"
    for _ in range(6000):
        if part.is_file() and images.asked:
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=50)
    assert [path.name for path in tmp_path.iterdir()] == [".fetch"]
    images.stall = 0.0
    bring(server, tmp_path)
    whole(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("coco --root {} --parts train2014,train2015", "no part 'train2015'; its parts are: annotations2014"),
        ("cuhk_pedes --root {} --parts images", "it has to be requested: leave --parts out"),
        ("karpathy --root {}", "expected one of flickr8k, coco"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        run(*words.format(tmp_path).split())
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_file(server, tmp_path):
    with pytest.raises(DataError, match="file: cannot be written"):
        bring(server, write(tmp_path / "file", ""))


def refused(path: Path, content: bytes, match: str = "expected") -> None:
    write(path, content)
    out = path.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    with pytest.raises(DataError, match=match) as caught:
        unpack(path, out, ["*"])
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert set(path.parent.iterdir()) == {path, out}


@pytest.fixture
def archive(tmp_path) -> Path:
    return tmp_path / "a.zip"


def test_names_lead_nowhere(archive, tmp_path):
    write(archive, zipped({"../a.jpg": b"1", "/etc/b.jpg": b"2", "x/../../c.jpg": b"3", "d.txt": b"4"}))
    assert unpack(archive, tmp_path / "x" / "out", ["*.jpg"]) == ["a.jpg", "b.jpg", "c.jpg"]
    assert {path.name for path in tmp_path.rglob("*")} == {"a.zip", "x", "out", "a.jpg", "b.jpg", "c.jpg"}


@pytest.mark.parametrize("name", ["C:a.jpg", "x\\..\\..\\a.jpg", "a.jpg\0.txt", "a\n.jpg", "a.jpg:stream"])
def test_names_that_are_not_plain(archive, name):
    clean = "".join(c if c.isalnum() or c in "./" else "_" for c in name)
    refused(archive, zipped({clean: b"x"}).replace(clean.encode(), name.encode()), "its name is not plain")


def test_harm(archive):
    refused(archive, zipped({"x/a.jpg": b"1", "y/a.jpg": b"2"}), "or there twice")
    refused(archive, zipped({"a.jpg": bytes(40 << 20)}, zipfile.ZIP_DEFLATED), "more would come out")
    content = bytearray(zipped({"a.jpg": bytes(2 << 20)}, zipfile.ZIP_DEFLATED))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    refused(archive, bytes(content), "found damage")
    assert sum(file.stat().st_size for file in (archive.parent / "out").rglob("*")) <= 10


def test_damage(archive):
    good = zipped({"a.jpg": b"0123456789" * 500, "b.jpg": b"x"})
    flipped, locked = bytearray(good), bytearray(good)
    flipped[200] ^= 0xFF
    locked[good.index(b"PK\x01\x02") + 8] |= 1
    refused(archive, bytes(flipped), "found damage .*CRC.* at 'a.jpg'")
    refused(archive, bytes(locked), "encrypted")
    for content in (good[:-10], b"", b"\x89PNG\r\n", b"<html>"):
        refused(archive, content, "found damage")


def run(*words: str) -> None:
    app(["data", "fetch", *words])


def test_list_prints_sizes_and_checksums(capsys):
    run("coco")
    printed = capsys.readouterr().out
    assert "* train2014        13.5 GB     82,783 files *.jpg in train2014" in printed
    assert "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929" in printed
    assert "* karpathy         36.7 MB" in printed
    for name in SOURCES:
        assert SOURCES[name].terms in listing(name)


def test_the_published_sources_are_sound():
    for source in SOURCES.values():
        assert source.parts or source.request
        assert set(source.default) <= set(source.parts)
        for part in source.parts.values():
            assert part.url.startswith(("https://", "http://images.cocodataset.org/"))
            algorithm, checksum = part.checksum.split(":")
            assert len(checksum) == {"sha256": 64, "md5": 32}[algorithm]
            assert part.size and part.unpacked and part.needs and part.take
            assert part.archive.endswith(".zip")
    counts = {name: part.needs[0].files for name, part in SOURCES["coco"].parts.items()}
    assert (counts["train2014"], counts["val2014"]) == (82_783, 40_504)
    assert (counts["train2017"], counts["val2017"]) == (118_287, 5_000)
    assert "karpathy" in SOURCES["coco"].default  # without it, a notebook finds no test split
    assert SOURCES["flickr8k"].parts["images"].needs[0].files == 8_091


def test_real_data_is_recognised(shared_data, capsys):
    run("flickr8k", "--root", str(shared_data / "flickr8k"))
    printed = capsys.readouterr().out
    assert "images: already there: 8,091 files *.jpg in Flicker8k_Dataset" in printed
    assert "text: already there" in printed and not (shared_data / "flickr8k/.fetch").exists()


@pytest.mark.parametrize("name", [name for name in SOURCES if SOURCES[name].request])
def test_pages_of_requested_datasets(tmp_path, capsys, name):
    with pytest.raises(DataError, match=f"{name} has to be requested") as caught:
        run(name, "--root", str(tmp_path / "none"))
    assert "\n" not in str(caught.value)
    printed = capsys.readouterr().out
    assert "[missing]" in printed and "[found]" not in printed and "https://" in printed
    assert max(len(line) for line in printed.splitlines()) < 125
    assert list(tmp_path.iterdir()) == []


def test_a_requested_dataset_is_ticked_off(tmp_path, capsys):
    base = tmp_path / "CUHK-PEDES"
    for folder in ("cam_a", "cam_b", "CUHK01", "CUHK03", "Market", "test_query", "train_query"):
        write(base / "imgs" / folder / "1.png", "" if folder == "Market" else "x")
    with pytest.raises(DataError, match="2 of 8 needed entries are missing, first reid_raw.json"):
        run("cuhk_pedes", "--root", str(tmp_path))
    printed = capsys.readouterr().out
    assert "[found]   cam_a/* in CUHK-PEDES/imgs" in printed and "[missing] Market/*" in printed
    write(base / "imgs/Market/1.png", "x")
    write(base / "reid_raw.json", "[]")
    run("cuhk_pedes", "--root", str(tmp_path))
    assert f"Next: imtext data check cuhk_pedes --root {tmp_path}" in capsys.readouterr().out


def test_either_captions_of_flickr30k_do(tmp_path, capsys):
    for file in ("results_20130124.token", "train.txt", "val.txt"):
        write(tmp_path / file, "x")
    with pytest.raises(DataError, match="2 of 2 needed entries are missing"):
        run("flickr30k", "--root", str(tmp_path))
    write(tmp_path / "test.txt", "x")
    with pytest.raises(DataError, match=r"1 of 2 needed entries are missing, first \*.jpg"):
        run("flickr30k", "--root", str(tmp_path))
    printed = capsys.readouterr().out
    assert "[found]   results_20130124.token + train.txt + val.txt + test.txt" in printed
    assert "[missing] 31,783 files *.jpg, found 0" in printed
