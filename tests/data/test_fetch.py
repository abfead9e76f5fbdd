"""Fetching from a server that cuts, stalls, lies and changes its mind."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import shutil
from collections import namedtuple
from pathlib import Path

import filelock
import pytest
import requests
from fetch_server import IMAGES, QUICK, Served, serving, sources, zipped

from imtext.data import fetch as room
from imtext.data.fetch import download, fetch
from imtext.errors import ConfigError, DataError

server = pytest.fixture(serving, name="server")


@pytest.fixture
def images(server) -> Served:
    return server.files["/images.zip"]


def bring(server, root, parts=("images",), transfer=QUICK, **options):
    lines: list[str] = []
    done = fetch("pets", root, parts, sources=sources(server, **options), transfer=transfer, say=lines.append)
    return done, lines


def fails(server, root, match: str, **options) -> str:
    with pytest.raises(DataError, match=match) as caught:
        bring(server, root, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert not (root / "pics").exists() and not list(root.glob(".*.partial"))
    return message


def whole(root: Path) -> None:
    """The data is right, and nothing else is left."""
    assert sorted(path.name for path in (root / "pics").iterdir()) == sorted(f"{i}.jpg" for i in range(20))
    assert (root / "pics/3.jpg").read_bytes() == hashlib.shake_128(b"\x03").digest(9_000)
    assert sorted(path.name for path in (root / ".fetch").iterdir()) == ["lock"]
    assert not list(root.glob(".*.partial"))


def test_a_dataset_lands(server, tmp_path):
    done, lines = bring(server, tmp_path / "new" / "pets", parts=None)
    whole(tmp_path / "new" / "pets")
    assert done.came == ("images", "words") and done.there == ()
    assert (tmp_path / "new/pets/text/b.txt").read_bytes() == b"more"
    assert lines[-1] == f"Next: imtext data check pets --root {tmp_path / 'new' / 'pets'}"
    assert any("pics (20 files)" in line for line in lines)


def test_what_is_there_is_left_alone(server, images, tmp_path):
    bring(server, tmp_path, parts=None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    (tmp_path / ".fetch/images.zip").write_bytes(IMAGES)  # as after a kill between landing and tidying
    done, lines = bring(server, tmp_path, parts=None)
    assert done.there == ("images", "words") and "already there: pics (20 files)" in lines[0]
    assert len(images.asked) == 1
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in after if ".fetch" not in path.parts)


def test_what_stands_at_another_known_place_counts(server, images, tmp_path):
    bring(server, tmp_path)
    (tmp_path / "pics").rename(tmp_path / "images")
    assert bring(server, tmp_path)[0].there == ("images",)


@pytest.mark.parametrize("cuts", [[50_000], [50_000, 60_000], [10, 1, 100_000]])
def test_cut_connections_go_on(server, images, tmp_path, cuts):
    images.cuts = list(cuts)
    bring(server, tmp_path)
    whole(tmp_path)
    starts = [0, *itertools.accumulate(cuts)]
    assert [asked for asked, _ in images.asked] == [f"bytes={start}-" if start else None for start in starts]
    assert {validator for _, validator in images.asked[1:]} == {'"one"'}


def test_always_cut_gives_up_and_the_next_call_goes_on(server, images, tmp_path):
    images.cuts = [30_000] * 4
    message = fails(server, tmp_path, "broke 4 times in a row")
    assert "120.0 kB of" in message and "it goes on from there" in message
    images.cuts = []
    bring(server, tmp_path)
    whole(tmp_path)
    assert images.asked[-1] == ("bytes=120000-", '"one"')


@pytest.mark.parametrize("change", ["no ranges", "no validator", "weak validator"])
def test_a_server_without_ranges_starts_again(server, images, tmp_path, change):
    images.ranges = change != "no ranges"
    images.etag = {"no ranges": '"one"', "no validator": None, "weak validator": 'W/"one"'}[change]
    images.cuts = [50_000, 70_000]
    bring(server, tmp_path)
    whole(tmp_path)
    if change != "no ranges":
        assert {asked for asked, _ in images.asked} == {None}


def test_a_file_that_changed_in_between_starts_again(server, images, tmp_path):
    images.body, images.cuts = bytes(len(IMAGES)), [50_000]

    def change(served: Served) -> None:
        if len(served.asked) == 2:
            served.body, served.etag = IMAGES, '"two"'

    images.on_get = change
    bring(server, tmp_path)
    whole(tmp_path)


def test_a_part_of_another_address_or_without_memory_is_not_trusted(server, images, tmp_path):
    store = tmp_path / ".fetch"
    store.mkdir()
    memories = [
        {"url": server.url("/other.zip"), "etag": '"one"', "modified": "", "size": None},
        {"url": server.url("/images.zip"), "etag": 3, "modified": "", "size": None},
        {"url": server.url("/images.zip"), "etag": '"one"', "modified": "", "size": 10},
        ["no", "version"],
        None,
    ]
    for memory in memories:
        shutil.rmtree(tmp_path / "pics", ignore_errors=True)
        (store / "images.zip.part").write_bytes(b"PK\x03\x04 of another file")
        (store / "images.zip.part.json").write_text("{" if memory is None else json.dumps(memory))
        images.asked.clear()
        bring(server, tmp_path)
        whole(tmp_path)
        assert images.asked == [(None, None)]


def test_a_part_longer_than_the_file_starts_again(server, images, tmp_path):
    store = tmp_path / ".fetch"
    store.mkdir()
    (store / "images.zip.part").write_bytes(bytes(len(IMAGES) + 5))
    memory = {"url": server.url("/images.zip"), "etag": '"one"', "modified": "", "size": None}
    (store / "images.zip.part.json").write_text(json.dumps(memory))
    bring(server, tmp_path)
    whole(tmp_path)
    assert [asked for asked, _ in images.asked] == [f"bytes={len(IMAGES) + 5}-", None]


def test_a_complete_part_is_only_checked(server, images, tmp_path):
    """As after a kill between the last byte and the checksum."""
    store = tmp_path / ".fetch"
    store.mkdir()
    (store / "images.zip.part").write_bytes(IMAGES)
    memory = {"url": server.url("/images.zip"), "etag": "", "modified": "", "size": len(IMAGES)}
    (store / "images.zip.part.json").write_text(json.dumps(memory))
    (store / "tmpabcd1234").write_bytes(b"left by a killed process")
    (tmp_path / ".images.partial" / "pics").mkdir(parents=True)
    bring(server, tmp_path)
    whole(tmp_path)
    assert images.asked == []


def test_a_server_that_never_begins_at_the_beginning(server, images, tmp_path):
    images.codes = [416] * 50
    fails(server, tmp_path, "does not send the file from its beginning")


def test_wrong_bytes_are_deleted_and_said(server, images, tmp_path):
    images.body = bytes(reversed(IMAGES))
    message = fails(server, tmp_path, "expected sha256:")
    assert hashlib.sha256(images.body).hexdigest() in message and "deleted" in message
    assert [path.name for path in (tmp_path / ".fetch").iterdir()] == ["lock"]
    images.body = IMAGES
    bring(server, tmp_path)
    whole(tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"codes": [404]}, "404 Not Found; the file may have moved"),
        ({"codes": [403]}, "403 Forbidden"),
        ({"codes": [500] * 9}, "500 Internal Server Error; nothing is there yet"),
        ({"kind": "text/html; charset=utf-8"}, "found a web page"),
        ({"body": b"<!DOCTYPE html><p>sign in", "etag": None}, "expected sha256:.* a web page"),
        ({"location": "/images.zip"}, "too many redirects"),
        ({"location": "file:///etc/passwd"}, "not http or https"),
        ({"length": 10**6}, "closed it before the end"),
        ({"length": 1_000}, "expected sha256"),
    ],
)
def test_one_line_for_each_refusal(server, images, tmp_path, change, match):
    for key, value in change.items():
        setattr(images, key, value)
    fails(server, tmp_path, match)


def test_passing_trouble(server, images, tmp_path):
    server.files["/moved.zip"] = images
    server.files["/images.zip"] = Served(b"", location="/moved.zip")
    images.codes, images.cuts = [500, 503], [70_000]
    bring(server, tmp_path)
    whole(tmp_path)


def test_silence_is_no_hang(server, images, tmp_path):
    images.stall = 1.0
    bring(server, tmp_path)
    whole(tmp_path)
    assert len(images.asked) == 2
    images.stall = 1.0
    shutil.rmtree(tmp_path / "pics")
    once = room.Transfer(tries=1, pause=0.0, timeout=(2.0, 0.2), reserve=0)
    fails(server, tmp_path, r"broke once, last: no byte for 0.2 s; 65.5 kB of", transfer=once)


def test_no_length_told(server, images, tmp_path):
    images.chunked = True
    bring(server, tmp_path)
    whole(tmp_path)


def test_no_server_and_no_name(server, tmp_path):
    with pytest.raises(download.Broken, match="refuses connections"):
        download.Downloader(tmp_path / "a.part")._once("http://127.0.0.1:9/a.zip")


def test_an_unknown_host_is_said_at_once(tmp_path, monkeypatch):
    def no_name(*arguments, **options):
        raise requests.ConnectionError("NameResolutionError: Failed to resolve 'no.host'")

    monkeypatch.setattr(download.requests, "get", no_name)
    with pytest.raises(DataError, match="broke once, last: the name of the host cannot be resolved"):
        download.Downloader(tmp_path / "a.part", pause=60.0)("http://no.host/a.zip", "a", None)


def test_another_length_than_published(server, tmp_path):
    fails(server, tmp_path, r"expected 5 bytes, as published, the server has", size=5)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.zip", "a.zip", "http://me:word@host/a"])
def test_only_http(url):
    with pytest.raises(DataError, match="expected an address with http or https"):
        download.check_url(url)


def test_without_checksum_the_structure_decides(server, images, tmp_path):
    bring(server, tmp_path, checksum=None)
    whole(tmp_path)
    shutil.rmtree(tmp_path / "pics")
    images.body = zipped({f"{i}.jpg": b"x" for i in range(19)} | {"19.jpg": b""})
    fails(server, tmp_path, r"pics: expected 20 files \*.jpg, found 19; this is not", checksum=None)
    images.body, images.etag = b"<html>", None
    fails(server, tmp_path, "expected a zip or tar archive, found a web page", checksum=None)
    images.body = IMAGES[:-200]
    fails(server, tmp_path, "found damage", checksum=None)


def test_data_of_the_user_is_not_overwritten(server, tmp_path):
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/own.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"expected 20 files \*.jpg, found 1; it is in the way"):
        bring(server, tmp_path)
    assert (tmp_path / "pics/own.jpg").read_bytes() == b"mine"
    (tmp_path / "text").mkdir()
    (tmp_path / "text/b.txt").write_bytes(b"my own words")
    with pytest.raises(DataError, match="expected 4 bytes, as words.zip has it, found 12; move it away"):
        bring(server, tmp_path, parts=["words"])
    assert (tmp_path / "text/b.txt").read_bytes() == b"my own words"


def test_an_empty_folder_is_not_in_the_way(server, tmp_path):
    (tmp_path / "pics").mkdir()
    bring(server, tmp_path)
    whole(tmp_path)


def test_too_small_a_disk_is_said_before_anything_comes(server, images, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    message = fails(server, tmp_path, r"needs 1\d\d\.\d kB on the disk")
    assert "1.0 kB are free" in message and images.asked == []


def test_a_full_disk_keeps_the_part(server, images, tmp_path, monkeypatch):
    images.cuts = [50_000]
    opened = open

    class Full:
        def __init__(self, *arguments):
            self.file = opened(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *arguments):
            self.file.close()

        def write(self, block):
            raise OSError(errno.ENOSPC, "No space left on device")

    once = room.Transfer(tries=1, pause=0.0, timeout=(2.0, 0.5), reserve=0)
    fails(server, tmp_path, "broke once", transfer=once)
    monkeypatch.setattr(download, "open", Full, raising=False)
    message = fails(server, tmp_path, "the disk is full")
    assert "it goes on from what is there" in message
    monkeypatch.undo()
    assert (tmp_path / ".fetch/images.zip.part").stat().st_size == 50_000
    monkeypatch.setattr(
        room.archives, "open", lambda *a: Full(*a) if a[-1] == "xb" else opened(*a), raising=False
    )
    fails(server, tmp_path, "the disk is full")
    monkeypatch.undo()
    asked = len(images.asked)
    bring(server, tmp_path)
    whole(tmp_path)
    assert len(images.asked) == asked


def test_two_at_once(server, tmp_path):
    (tmp_path / ".fetch").mkdir()
    with filelock.FileLock(tmp_path / ".fetch/lock"):
        fails(server, tmp_path, "another process fetches into this folder")
    bring(server, tmp_path)


def test_a_root_that_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="expected a folder to write to, found: "):
        bring(server, tmp_path / "file")


def test_unknown_names(server, tmp_path):
    with pytest.raises(ConfigError, match="no part 'x'; its parts are: images, words"):
        bring(server, tmp_path, parts=["x"])
    with pytest.raises(ConfigError, match="--parts names none"):
        bring(server, tmp_path, parts=[])
    with pytest.raises(ConfigError, match="the part karpathy of flickr8k"):
        fetch("karpathy", tmp_path)
    with pytest.raises(ConfigError, match="generated at first use"):
        fetch("picturebook", tmp_path)
    assert list(tmp_path.iterdir()) == []
