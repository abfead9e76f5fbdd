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
    (tmp_path / ".fetch/images.zip").write_bytes(IMAGES)  # as after a kill between landing and tidying
    came, lines = bring(server, tmp_path, parts=None)
    assert came == [] and "already there: 20 files *.jpg in mine/photos" in lines[0]
    assert len(images.asked) == 1
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in after if ".fetch" not in path.parts)


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


def test_a_server_without_ranges_starts_again(server, images, tmp_path):
    images.ranges, images.cuts = False, [200_000, 300_000]
    bring(server, tmp_path)
    whole(tmp_path)


def test_an_archive_that_is_there_is_only_checked(server, images, tmp_path):
    """As after a kill between the last byte and the checksum, or where the user has put it."""
    (tmp_path / ".fetch").mkdir()
    (tmp_path / ".fetch/images.zip").write_bytes(IMAGES)
    (tmp_path / ".fetch/images/pics").mkdir(parents=True)
    (tmp_path / ".fetch/images/pics/0.jpg").write_bytes(b"left by a killed process")
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
    for key, value in change.items():
        setattr(images, key, value)
    fails(server, tmp_path, match)


def test_passing_trouble(server, images, tmp_path):
    server.files["/moved.zip"] = images
    server.files["/images.zip"] = Served(b"", location="/moved.zip")
    images.codes, images.cuts = [500, 503], [200_000]
    bring(server, tmp_path)
    whole(tmp_path)


def test_no_length_told(server, images, tmp_path):
    images.chunked = True
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
    images.body = zipped({f"{i}.jpg": b"x" for i in range(19)} | {"19.jpg": b""})
    checksum = f"sha256:{hashlib.sha256(images.body).hexdigest()}"
    fails(server, tmp_path, r"expected 20 files \*.jpg, found 19; this is not", checksum=checksum)
    (tmp_path / ".fetch/images.zip").unlink()
    images.body = IMAGES[:-200]
    checksum = f"sha256:{hashlib.sha256(images.body).hexdigest()}"
    fails(server, tmp_path, "found damage", checksum=checksum)


def test_files_of_the_user_are_kept(server, tmp_path):
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/0.jpg").write_bytes(hashlib.shake_128(b"\0").digest(60_000))
    (tmp_path / "pics/1.jpg").write_bytes(b"")
    kept = (tmp_path / "pics/0.jpg").stat().st_ino
    bring(server, tmp_path)
    whole(tmp_path)
    assert (tmp_path / "pics/0.jpg").stat().st_ino == kept
    (tmp_path / "text").mkdir()
    (tmp_path / "text/b.txt").write_bytes(b"my own words")
    with pytest.raises(DataError, match="b.txt: expected 4 bytes, as published, found 12; move it away"):
        bring(server, tmp_path, parts=["words"])
    assert (tmp_path / "text/b.txt").read_bytes() == b"my own words"
    (tmp_path / "text/b.txt").unlink()
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


def test_unknown_names(server, tmp_path):
    with pytest.raises(ConfigError, match="no part 'x'; its parts are: images, words"):
        bring(server, tmp_path, parts=["x"])
    with pytest.raises(ConfigError, match="the part karpathy of flickr8k"):
        fetch("karpathy", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file: cannot be written"):
        bring(server, tmp_path / "file")


BAD_NAMES = ["C:a.jpg", "x\\..\\..\\a.jpg", "a.jpg\0.txt", "a\n.jpg", "a.jpg:stream"]


def archive(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    return path


def refused(tmp_path: Path, path: Path, match: str = "expected") -> None:
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    with pytest.raises(DataError, match=match) as caught:
        unpack(path, tmp_path / "out", ["*"])
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert {other.name for other in tmp_path.iterdir()} == {"a.zip", "out"}


def test_names_lead_nowhere(tmp_path):
    content = zipped({"../a.jpg": b"1", "/etc/b.jpg": b"2", "x/../../c.jpg": b"3", "d.txt": b"4"})
    out = tmp_path / "x" / "out"
    assert unpack(archive(tmp_path, content), out, ["*.jpg"]) == ["a.jpg", "b.jpg", "c.jpg"]
    assert {path.name for path in tmp_path.rglob("*")} == {"a.zip", "x", "out", "a.jpg", "b.jpg", "c.jpg"}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_not_plain(tmp_path, name):
    clean = "".join(c if c.isalnum() or c in "./" else "_" for c in name)
    content = zipped({clean: b"x"}).replace(clean.encode(), name.encode())
    refused(tmp_path, archive(tmp_path, content), "its name is not plain")


def test_harm(tmp_path):
    refused(tmp_path, archive(tmp_path, zipped({"x/a.jpg": b"1", "y/a.jpg": b"2"})), "or there twice")
    bomb = zipped({"a.jpg": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 50_000
    refused(tmp_path, archive(tmp_path, bomb), "more would come out")
    content = bytearray(zipped({"a.jpg": bytes(2 << 20)}, zipfile.ZIP_DEFLATED))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    refused(tmp_path, archive(tmp_path, bytes(content)), "found damage")
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 10


def test_damage(tmp_path):
    good = zipped({"a.jpg": b"0123456789" * 500, "b.jpg": b"x"})
    flipped, locked = bytearray(good), bytearray(good)
    flipped[200] ^= 0xFF
    locked[good.index(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, archive(tmp_path, bytes(flipped)), "found damage .*CRC.* at 'a.jpg'")
    refused(tmp_path, archive(tmp_path, bytes(locked)), "encrypted")
    for content in (good[:-10], b"", b"\x89PNG\r\n", b"<html>"):
        refused(tmp_path, archive(tmp_path, content), "found damage")


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


def test_the_parts_are_checked(tmp_path):
    with pytest.raises(ConfigError, match="no part 'train2015'; its parts are: annotations2014"):
        run("coco", "--root", str(tmp_path), "--parts", "train2014, train2015")


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
    assert [counts[f"{split}{year}"] for year in (2014, 2017) for split in ("train", "val")] == [
        82_783,
        40_504,
        118_287,
        5_000,
    ]
    assert "karpathy" in SOURCES["coco"].default  # without it, a notebook finds no test split
    assert SOURCES["flickr8k"].parts["images"].needs[0].files == 8_091


def test_real_data_is_recognised(shared_data, capsys):
    run("flickr8k", "--root", str(shared_data / "flickr8k"))
    printed = capsys.readouterr().out
    assert "images: already there: 8,091 files *.jpg in Flicker8k_Dataset" in printed
    assert "text: already there" in printed
    assert not (shared_data / "flickr8k/.fetch").exists()


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
        (base / "imgs" / folder).mkdir(parents=True)
        (base / "imgs" / folder / "1.png").write_bytes(b"x")
    (base / "imgs/Market/1.png").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 8 needed entries are missing, first reid_raw.json"):
        run("cuhk_pedes", "--root", str(tmp_path))
    printed = capsys.readouterr().out
    assert "[found]   cam_a/* in CUHK-PEDES/imgs" in printed
    assert "[missing] Market/*" in printed
    (base / "imgs/Market/1.png").write_bytes(b"x")
    (base / "reid_raw.json").write_text("[]")
    run("cuhk_pedes", "--root", str(tmp_path))
    assert f"Next: imtext data check cuhk_pedes --root {tmp_path}" in capsys.readouterr().out


def test_either_captions_of_flickr30k_do(tmp_path, capsys):
    for file in ("results_20130124.token", "train.txt", "val.txt"):
        (tmp_path / file).write_text("x")
    with pytest.raises(DataError, match="2 of 2 needed entries are missing"):
        run("flickr30k", "--root", str(tmp_path))
    (tmp_path / "test.txt").write_text("x")
    with pytest.raises(DataError, match=r"1 of 2 needed entries are missing, first \*.jpg"):
        run("flickr30k", "--root", str(tmp_path))
    printed = capsys.readouterr().out
    assert "[found]   results_20130124.token + train.txt + val.txt + test.txt" in printed
    assert "[missing] 31,783 files *.jpg, found 0" in printed


def test_parts_of_a_requested_dataset(tmp_path):
    assert list(SOURCES["flickr30k"].parts) == ["karpathy"]
    with pytest.raises(ConfigError, match="it has to be requested: leave --parts out"):
        run("cuhk_pedes", "--root", str(tmp_path), "--parts", "images")
