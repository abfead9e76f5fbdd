"""Pedestrians on disk: the form of CUHK-PEDES, the same bytes each time, nothing half-written."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from imtext.data.picturebook.folder import in_chunks
from imtext.data.picturebook.pedestrians import generate, load, sheet, write_sheet
from imtext.data.picturebook.pedestrians.write import tokens
from imtext.errors import ConfigError, DataError

PERSONS = {"train": 12, "val": 3, "test": 4}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp("walk") / "people", PERSONS, size=64, n_jobs=1)


def files(folder: Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def test_the_form_of_cuhk_pedes(root):
    entries = json.loads((root / "reid_raw.json").read_text())
    assert {tuple(sorted(entry)) for entry in entries} == {
        ("captions", "file_path", "id", "processed_tokens", "split")
    }
    assert sorted({entry["id"] for entry in entries}) == list(range(1, 20))
    for split, count in PERSONS.items():
        assert len({entry["id"] for entry in entries if entry["split"] == split}) == count
    for entry in entries:
        assert len(entry["captions"]) == len(entry["processed_tokens"]) == 2
        assert entry["captions"][0] != entry["captions"][1]
        assert entry["processed_tokens"] == [tokens(caption) for caption in entry["captions"]]
        with Image.open(root / "imgs" / entry["file_path"]) as image:
            assert image.size == (29, 64)
    assert len(list((root / "imgs").rglob("*.jpg"))) == len(entries)
    assert {p.name for p in root.iterdir()} == {
        "reid_raw.json",
        "imgs",
        "pedestrians.jsonl",
        "pedestrians.json",
    }


def test_same_bytes_again_and_in_processes(root, tmp_path):
    again = generate(tmp_path / "again", PERSONS, size=64, n_jobs=1)
    assert files(again) == files(root)
    jobs = list(range(300))
    assert list(in_chunks(double, jobs, 2, "doubling")) == [2 * job for job in jobs]


def double(jobs: list[int]) -> list[int]:
    return [2 * job for job in jobs]


def test_a_smaller_training_set_is_the_beginning_of_a_larger_one(root, tmp_path):
    small = generate(tmp_path / "small", {"train": 5, "val": 3, "test": 0}, size=64, n_jobs=1)
    large = files(root)
    assert all(large[name] == digest for name, digest in files(small).items() if name.startswith("imgs/"))
    said_small = json.loads((small / "reid_raw.json").read_text())
    by_file = {e["file_path"]: e["captions"] for e in json.loads((root / "reid_raw.json").read_text())}
    assert all(by_file[entry["file_path"]] == entry["captions"] for entry in said_small)


def test_load_reads_through_the_reader_of_cuhk_pedes(tmp_path):
    dataset = load(tmp_path, 6, 2, 3, size=64, n_jobs=1)
    assert dataset.name == "picturebook_pedestrians"
    assert dataset.n_captions == 2 * dataset.n_images
    assert len(set(dataset.group_of_image.tolist())) == 11
    assert len(set(dataset.split("test").group_of_image.tolist())) == 3
    for i, scene in enumerate(dataset.scenes):
        assert scene["file"] == dataset.image_files[i] and scene["split"] == dataset.split_of_image[i]
        assert dataset.image_path(i).is_file()
    first = dataset.scenes[0]["person"]
    assert all(
        scene["person"] == first
        for scene, group in zip(dataset.scenes, dataset.group_of_image, strict=True)
        if group == dataset.group_of_image[0]
    )
    folder = tmp_path / "pedestrians-v1-train6-val2-test3-size64-seed0"
    stamp = (folder / "pedestrians.json").stat().st_mtime_ns
    assert load(tmp_path, 6, 2, 3, size=64).captions == dataset.captions
    assert (folder / "pedestrians.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": -1}, "pedestrians: train=-1: expected an integer from 0"),
        ({"train": 0, "val": 0, "test": 0}, "ask for at least one person"),
        ({"size": 20}, "size=20: expected an integer from 64 to 256"),
        ({"seed": -2}, "seed=-2: expected an integer of 0 or more"),
    ],
)
def test_parameters_out_of_range(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, **arguments)
    with pytest.raises(ConfigError, match="unknown split 'dev'"):
        generate(tmp_path / "a", {"dev": 3})


def test_a_folder_that_holds_something_else_or_lost_files(root, tmp_path):
    with pytest.raises(DataError, match=r"pedestrians\.json: expected seed 9, found 0; remove the folder"):
        generate(root, PERSONS, size=64, seed=9)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(DataError, match=r"expected the parameters of generated pedestrians"):
        generate(tmp_path / "mine", PERSONS, size=64)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    broken = tmp_path / "broken"
    shutil.copytree(root, broken)
    (broken / "imgs" / "train" / "00003_1.jpg").unlink()
    with pytest.raises(DataError, match=r"imgs: expected \d+ files, found \d+; remove the folder"):
        generate(broken, PERSONS, size=64)
    load(tmp_path, 2, 1, 1, size=64)
    (folder,) = tmp_path.glob("pedestrians-*")
    lines = (folder / "pedestrians.jsonl").read_text().splitlines()
    (folder / "pedestrians.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"pedestrians\.jsonl: expected a line for each of \d+ images"):
        load(tmp_path, 2, 1, 1, size=64)
    (folder / "pedestrians.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"pedestrians\.jsonl: expected one JSON object a line"):
        load(tmp_path, 2, 1, 1, size=64)


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    module = importlib.import_module("imtext.data.picturebook.pedestrians.generate")
    original, calls = module.write_person, []

    def full_disk(*args):
        calls.append(args)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return original(*args)

    monkeypatch.setattr(module, "write_person", full_disk)
    with pytest.raises(DataError, match="the pedestrians could not be written .*No space left"):
        generate(tmp_path / "walk", PERSONS, size=64, n_jobs=1)
    assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]


def test_sheet(tmp_path):
    picture = sheet(2, 2, 64)
    assert picture.size[0] > picture.size[1]
    path = write_sheet(tmp_path)
    assert path.name == "pedestrians.png" and path.stat().st_size < 300_000
