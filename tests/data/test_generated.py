"""Generated datasets on disk: formats, boxes, determinism, bad input, killed runs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from folders import refuses, write
from PIL import Image

from imtext.data import load_dataset
from imtext.data.generated import default_root, minimal_pairs, scene_relevance
from imtext.errors import ConfigError, DataError
from imtext.picturebook import generate, render
from imtext.picturebook import write as book_writer
from imtext.picturebook.scenes import Sampler, layout
from imtext.picturebook.world import KINDS, PEOPLE
from imtext.picturebook.write import tokens

GROUPS = {"train": 30, "val": 4, "test": 22}
PERSONS = {"train": 12, "val": 3, "test": 4}
SMALL = {"train": 3, "val": 1, "test": 1, "size": 64}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("pb") / "book", "scenes", GROUPS, size=64)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("walk") / "people", "pedestrians", PERSONS, size=64)


def files(folder: Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def test_scenes_on_disk(root):
    dataset = load_dataset("karpathy", root)
    assert dataset.name == "picturebook"
    assert dataset.n_images == 56 and dataset.n_captions == 280
    for split, count in GROUPS.items():
        assert dataset.split(split).image_ids == tuple(f"{split}_{i:05d}" for i in range(count))
    with Image.open(dataset.image_path(0)) as image:
        assert image.size == (64, 64) and image.mode == "RGB"
    assert set(os.listdir(root)) == {"images", "scenes.jsonl", "picturebook.json", "dataset_picturebook.json"}


def test_the_form_of_cuhk_pedes(people):
    dataset = load_dataset("cuhk_pedes", people, subset=True)
    assert sorted(set(dataset.group_of_image.tolist())) == list(range(19))
    entries = json.loads((people / "reid_raw.json").read_text())
    for split, count in PERSONS.items():
        assert len({entry["id"] for entry in entries if entry["split"] == split}) == count
    for entry in entries:
        assert sorted(entry) == ["captions", "file_path", "id", "processed_tokens", "split"]
        assert len(entry["captions"]) == 2 and entry["captions"][0] != entry["captions"][1]
        assert entry["processed_tokens"] == [tokens(caption) for caption in entry["captions"]]
        with Image.open(people / "imgs" / entry["file_path"]) as image:
            assert image.size == (29, 64)
    assert set(os.listdir(people)) == {"reid_raw.json", "imgs", "pedestrians.jsonl", "pedestrians.json"}


def test_load_fills_phrases_regions_scenes_and_pairs(tmp_path):
    options = {"train": 6, "val": 2, "test": 12, "size": 64, "seed": 3}
    dataset = load_dataset("picturebook", tmp_path, **options)
    assert len(dataset.scenes) == 20
    for k in range(0, len(dataset.phrases), 7):
        p = dataset.phrases
        words = dataset.captions[p.caption[k]].rstrip(".").split()[p.start[k] : p.stop[k]]
        assert " ".join(words) == p.words[k]
    boxed = np.isin(dataset.phrases.chain, dataset.regions.chain)
    assert boxed[np.array(dataset.phrases.type) != "scene"].mean() > 0.97
    pairs = minimal_pairs(dataset)
    assert [[dataset.image_ids[i] for i in p["images"]] for p in pairs] == [
        ["test_00000", "test_00001"],
        ["test_00010", "test_00011"],
    ]
    test = dataset.split("test")
    assert [p["images"] for p in minimal_pairs(test)] == [[0, 1], [10, 11]]
    assert minimal_pairs(test.take([1, 2, 3])) == []
    assert load_dataset("picturebook", tmp_path, **options).fingerprint() == dataset.fingerprint()
    with pytest.raises(DataError, match="has no scenes"):
        minimal_pairs(load_dataset("karpathy", next(tmp_path.glob("v*")), subset=True))


def test_load_fills_the_attributes_of_persons(tmp_path):
    dataset = load_dataset("picturebook_pedestrians", tmp_path, train=6, val=2, test=3, size=64)
    assert dataset.name == "picturebook_pedestrians"
    assert dataset.n_captions == 2 * dataset.n_images
    assert len(set(dataset.group_of_image.tolist())) == 11
    assert len(set(dataset.split("test").group_of_image.tolist())) == 3
    persons = {}
    for i, (scene, group) in enumerate(zip(dataset.scenes, dataset.group_of_image.tolist(), strict=True)):
        assert scene["file"] == dataset.image_files[i] and scene["split"] == dataset.split_of_image[i]
        assert persons.setdefault(group, scene["person"]) == scene["person"]
    stamp = tmp_path / "pedestrians-v2-train6-val2-test3-size64-seed0" / "pedestrians.json"
    written = stamp.stat().st_mtime_ns
    load_dataset("picturebook_pedestrians", tmp_path, train=6, val=2, test=3, size=64)
    assert stamp.stat().st_mtime_ns == written
    assert minimal_pairs(dataset) == []
    with pytest.raises(DataError, match="has no scenes: load a picturebook"):
        scene_relevance(dataset)


def test_same_bytes_for_the_same_seed_and_prefix_property(root, people, tmp_path):
    again = files(generate(tmp_path / "again", "scenes", GROUPS, size=64, entities=True))
    assert files(root).items() <= again.items()
    assert files(generate(tmp_path / "walk", "pedestrians", PERSONS, size=64)) == files(people)
    few = {"train": 9, "val": 3, "test": 3}
    for part, whole in (("scenes", root), ("pedestrians", people)):
        smaller, large = files(generate(tmp_path / part, part, few, size=64)), files(whole)
        assert all(large[name] == one for name, one in smaller.items() if name.endswith(".jpg"))
        other = files(generate(tmp_path / f"other {part}", part, few, size=64, seed=1))
        assert not set(other.values()) & set(smaller.values())
    said = {e["file_path"]: e["captions"] for e in json.loads((people / "reid_raw.json").read_text())}
    smaller = json.loads((tmp_path / "pedestrians" / "reid_raw.json").read_text())
    assert all(said[entry["file_path"]] == entry["captions"] for entry in smaller)
    with pytest.raises(ValueError, match="expected an empty folder"):
        generate(root, "scenes", few, size=64)


def staged(name, **fields):
    """A scene with one kind of thing in a park."""
    sampler = Sampler(random.Random(5))
    thing = {**sampler.thing(name, most=1), "size": "medium", "pattern": "plain", **fields}
    scene = {"id": "staged", "setting": "park", "indoor": False, "sky": "sunny", "features": [], "deeds": []}
    scene |= {"units": [{"things": [thing["id"]], "plane": "front"}], "things": [thing], "lead": thing["id"]}
    scene |= {"layout_seed": 5, "draw_seed": 12}
    layout(scene)
    return scene


def test_every_kind_can_be_drawn_with_a_box_around_it():
    for name, kind in KINDS.items():
        for action in kind.actions:
            scene = staged(name, action=action, count=kind.most)
            image, boxes = render(scene, 64)
            assert image.size == (64, 64)
            found = boxes[scene["things"][0]["id"]]
            assert len(found) == kind.most
            assert all(0 <= x0 < x1 < 64 and 0 <= y0 < y1 < 64 for x0, y0, x1, y1 in found)
            if name in PEOPLE:
                assert {c["id"] for c in scene["things"][0]["clothes"]} <= set(boxes)


def test_boxes_cover_what_the_thing_changes_in_the_picture():
    """Recolour a thing: outside its boxes no pixel may change (but for the rim that scaling blurs)."""
    for name, old, new in (("dog", "black", "white"), ("car", "red", "blue"), ("kite", "red", "green")):
        pictures = []
        for colour in (old, new):
            image, boxes = render(staged(name, colour=colour), 128)
            pictures.append(np.asarray(image, np.int16))
        changed = np.abs(pictures[0] - pictures[1]).sum(2) > 30
        ((x0, y0, x1, y1),) = boxes[2]
        assert changed[y0 : y1 + 1, x0 : x1 + 1].sum() > 0.15 * (x1 - x0) * (y1 - y0)
        changed[max(0, y0 - 1) : y1 + 2, max(0, x0 - 1) : x1 + 2] = False
        assert not changed.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": -1}, "train=-1"),
        ({"train": 0, "val": 0, "test": 0}, "all 0"),
        ({"size": 32}, "size=32"),
        ({"seed": -3}, "seed=-3"),
        ({"dev": 3}, "unknown option 'dev'"),
    ],
)
@pytest.mark.parametrize("name", ["picturebook", "picturebook_pedestrians"])
def test_parameters_out_of_range(tmp_path, name, options, words):
    refuses(name, words, tmp_path, ConfigError, **{**SMALL, **options})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_else(tmp_path):
    notes = write(tmp_path / "v3-train3-val1-test1-size64-seed0" / "notes.txt", "keep me")
    message = r"picturebook\.json: expected the parameters.*remove the folder"
    refuses("picturebook", message, tmp_path, **SMALL)
    assert notes.read_text() == "keep me"


@pytest.mark.parametrize("name", ["picturebook", "picturebook_pedestrians"])
def test_a_folder_that_lost_files_or_is_cut_off(tmp_path, name):
    def refused(words: str) -> None:
        refuses(name, words + ".*remove the folder", tmp_path, **SMALL)
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)

    load_dataset(name, tmp_path, **SMALL)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    whole = shutil.copytree(folder, tmp_path / "whole")
    next(folder.rglob("*.jpg")).unlink()
    refused(r"json: expected \d+ images, found \d+")
    stamp = folder / ("pedestrians.json" if name.endswith("pedestrians") else "picturebook.json")
    write(stamp, json.loads(stamp.read_text()) | {"seed": 9})
    refused("json: expected seed 0, found 9")
    lines = next(folder.glob("*.jsonl"))
    lines.write_text("".join(lines.read_text().splitlines(keepends=True)[:-1]))
    refused(r"jsonl: expected one JSON object for each of \d+ images, found LookupError")


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*args):
        calls.append(args)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return render(*args)

    calls = []
    monkeypatch.setattr(book_writer, "render", full_disk)
    refuses("picturebook", "cannot be written .No space left", tmp_path, **SMALL)
    assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]


def test_a_killed_run_leaves_no_dataset_and_the_next_one_cleans_up(tmp_path):
    counts = {"train": 5000, "val": 0, "test": 0, "size": 64}
    code = (
        "from imtext.data import load_dataset;"
        f"load_dataset('picturebook', {str(tmp_path)!r}, **{counts}, n_jobs=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(900):
        if list(tmp_path.glob(".v3-*.tmp/images/*.jpg")):
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    left = list(tmp_path.glob(".v3-*.tmp"))
    assert left and not list(tmp_path.glob("v3-*"))
    left[0].rename(left[0].with_name(left[0].name.replace("train5000-val0-test0", "train3-val1-test1")))
    assert load_dataset("picturebook", tmp_path, **SMALL).n_images == 5
    assert not list(tmp_path.glob(".v3-*.tmp"))


@pytest.mark.parametrize(("name", "train"), [("picturebook", 280), ("picturebook_pedestrians", 256)])
def test_processes_write_the_same_as_one(tmp_path, name, train):
    for n_jobs in (1, 2):
        load_dataset(name, tmp_path / str(n_jobs), train=train, val=0, test=0, size=64, n_jobs=n_jobs)
    one, two = ({k: v for k, v in files(tmp_path / str(n)).items() if "lock" not in k} for n in (1, 2))
    assert one == two


def test_default_root_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("IMTEXT_DATA", str(tmp_path))
    assert default_root() == tmp_path / "picturebook"
    assert load_dataset("picturebook", **SMALL).n_images == 5
    assert [p.name for p in default_root().iterdir() if p.is_dir()] == ["v3-train3-val1-test1-size64-seed0"]
