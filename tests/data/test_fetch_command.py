"""The command, the pages of requested datasets, the published sources, and a process that is killed."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from fetch_server import serving, sources

from imtext.commands import data_fetch
from imtext.data.fetch import SOURCES, Transfer, fetch, listing
from imtext.data.fetch.download import check_url
from imtext.errors import ConfigError, DataError

CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
from fetch_server import sources
from imtext.data.fetch import Transfer, fetch
class There:
    def url(self, path):
        return sys.argv[1] + path
fetch("pets", sys.argv[2], ["images"], sources=sources(There()), transfer=Transfer(reserve=0))
"""


def run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    data_fetch.add(parser.add_subparsers())
    arguments = parser.parse_args(["fetch", *words])
    arguments.run(arguments)


server = pytest.fixture(serving, name="server")


def start(server, root) -> subprocess.Popen:
    here = os.path.dirname(__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-c", CHILD, server.url(""), str(root)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_part(root) -> None:
    part = root / ".fetch" / "images.zip.part"
    for _ in range(2000):
        if part.is_file() and part.stat().st_size:
            return
        time.sleep(0.01)
    raise AssertionError("no part after 20 s")


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_nothing_but_a_part(server, tmp_path, stop):
    images = server.files["/images.zip"]
    images.stall = 60.0
    child = start(server, tmp_path)
    try:
        wait_for_part(tmp_path)
        child.send_signal(stop)
        said = child.communicate(timeout=50)[0].decode()
    finally:
        child.kill()
    assert child.returncode
    if stop == signal.SIGINT:
        assert re.search(
            r"images: stopped; \d+\.\d kB of 18\d\.\d kB are there; the same command goes on", said
        )
    assert [path.name for path in tmp_path.iterdir()] == [".fetch"]
    there = (tmp_path / ".fetch" / "images.zip.part").stat().st_size
    fetch(
        "pets",
        tmp_path,
        ["images"],
        sources=sources(server),
        transfer=Transfer(reserve=0),
        say=lambda line: None,
    )
    assert images.asked[-1][0] == f"bytes={there}-"
    assert len(list((tmp_path / "pics").iterdir())) == 20
    assert [path.name for path in (tmp_path / ".fetch").iterdir()] == ["lock"]


def test_list_prints_sizes_and_checksums(capsys):
    run("coco", "--list")
    printed = capsys.readouterr().out
    assert "* train2014        13.5 GB     82,783 files in train2014" in printed
    assert "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929" in printed
    assert "  karpathy         36.7 MB" in printed
    for name in SOURCES:
        assert SOURCES[name].terms in listing(name)


def test_the_root_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="add --root DIR"):
        run("coco")
    with pytest.raises(ConfigError, match="no part 'train2015'; its parts are: annotations2014"):
        run("coco", "--root", str(tmp_path), "--parts", "train2014, train2015")


def test_the_published_sources_are_sound():
    for source in SOURCES.values():
        assert source.parts or source.request
        assert set(source.default) <= set(source.parts)
        for part in source.parts.values():
            check_url(part.url)
            algorithm, checksum = part.checksum.split(":")
            assert len(checksum) == {"sha256": 64, "md5": 32}[algorithm]
            assert (part.size or part.about) and part.unpacked and part.expected
            assert part.archive.endswith(".zip")
            assert all(e.any_of[0][0].startswith(part.into) for e in part.expected)
    counts = {name: part.expected[0].files for name, part in SOURCES["coco"].parts.items()}
    assert [counts[f"{split}{year}"] for year in (2014, 2017) for split in ("train", "val")] == [
        82_783,
        40_504,
        118_287,
        5_000,
    ]
    assert SOURCES["flickr8k"].parts["images"].expected[0].files == 8_091


def test_real_data_is_recognised(shared_data, capsys):
    run("flickr8k", "--root", str(shared_data / "flickr8k"))
    printed = capsys.readouterr().out
    assert "images: already there: Flicker8k_Dataset (8,091 files)" in printed
    assert "text: already there" in printed
    assert not (shared_data / "flickr8k/.fetch").exists()


@pytest.mark.parametrize(
    "name", ["flickr30k", "flickr30k_entities", "cuhk_pedes", "coco_precomp", "f30k_precomp"]
)
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
    (base / "imgs/Market/1.png").unlink()
    with pytest.raises(DataError, match="2 of 8 needed entries are missing, first reid_raw.json"):
        run("cuhk_pedes", "--root", str(tmp_path))
    printed = capsys.readouterr().out
    assert "[found]   imgs/cam_a in CUHK-PEDES" in printed
    assert "[missing] imgs/Market (imgs/Market: expected some files *, found 0)" in printed
    (base / "imgs/Market/1.png").write_bytes(b"x")
    (base / "reid_raw.json").write_text("[]")
    run("cuhk_pedes", "--root", str(tmp_path))
    assert f"All is there. Next: imtext data check cuhk_pedes --root {tmp_path}" in capsys.readouterr().out


def test_either_captions_of_flickr30k_do(tmp_path, capsys):
    for file in ("results_20130124.token", "train.txt", "val.txt"):
        (tmp_path / file).write_text("x")
    with pytest.raises(DataError, match="2 of 2 needed entries are missing"):
        run("flickr30k", "--root", str(tmp_path))
    (tmp_path / "test.txt").write_text("x")
    with pytest.raises(DataError, match="1 of 2 needed entries are missing, first flickr30k-images"):
        run("flickr30k", "--root", str(tmp_path))
    assert "[found]   results_20130124.token, train.txt, val.txt, test.txt" in capsys.readouterr().out


def test_parts_of_a_requested_dataset(tmp_path):
    assert list(SOURCES["flickr30k"].parts) == ["karpathy"]
    with pytest.raises(ConfigError, match="it has to be requested: leave --parts out"):
        run("cuhk_pedes", "--root", str(tmp_path), "--parts", "images")
