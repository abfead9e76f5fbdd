"""picturebook on disk: formats, boxes, determinism, bad input, killed runs."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.data import load_dataset
from imtext.data.karpathy import load_karpathy
from imtext.data.picturebook import default_root, generate, load, minimal_pairs
from imtext.data.picturebook.__main__ import main
from imtext.data.picturebook.draw import render
from imtext.data.picturebook.scene import sample_scene
from imtext.data.picturebook.sheets import SHEETS, staged
from imtext.data.picturebook.world import KINDS, PEOPLE
from imtext.errors import ConfigError, DataError

GROUPS = {"train": 30, "val": 4, "test": 22}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("pb") / "book", GROUPS, size=64, n_jobs=1)


def digest(folder: Path, patterns=("*.json*", "*.txt", "Sentences/*", "Annotations/*")) -> str:
    names = sorted(p for pattern in patterns for p in folder.glob(pattern))
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in names)).hexdigest()


def test_formats_on_disk(root):
    dataset = load_karpathy(root)
    assert dataset.name == "picturebook"
    assert dataset.n_images == 56 and dataset.n_captions == 280
    for split, count in GROUPS.items():
        listed = (root / f"{split}.txt").read_text().split()
        assert listed == list(dataset.split(split).image_ids) and len(listed) == count
    with Image.open(dataset.image_path(0)) as image:
        assert image.size == (64, 64) and image.mode == "RGB"
    assert not (
        set(os.listdir(root))
        - {
            "images",
            "Sentences",
            "Annotations",
            "train.txt",
            "val.txt",
            "test.txt",
            "scenes.jsonl",
            "minimal_pairs.json",
            "picturebook.json",
            "dataset_picturebook.json",
        }
    )


def test_entities_files_agree_with_captions_and_boxes(root):
    entries = json.loads((root / "dataset_picturebook.json").read_text())["images"]
    for entry in entries[:20]:
        name = entry["filename"].removesuffix(".jpg")
        lines = (root / "Sentences" / f"{name}.txt").read_text().splitlines()
        assert len(lines) == 5
        chains = set()
        for line, sentence in zip(lines, entry["sentences"], strict=True):
            chains |= set(re.findall(r"\[/EN#(\d+)/", line))
            bare = re.sub(r"\[/EN#\d+/\S+ ([^\]]+)\]", r"\1", line)
            assert bare.removesuffix(" .") + "." == sentence["raw"]
            assert sentence["tokens"] == bare.lower().split()[:-1]
        tree = ET.parse(root / "Annotations" / f"{name}.xml").getroot()
        assert tree.findtext("size/width") == "64" and tree.findtext("filename") == entry["filename"]
        assert {o.findtext("name") for o in tree.iter("object")} == chains
        for thing in tree.iter("object"):
            box = thing.find("bndbox")
            if box is None:
                assert thing.findtext("scene") is not None and thing.findtext("nobndbox") is not None
                continue
            x0, y0, x1, y1 = (int(box.findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax"))
            assert 1 <= x0 < x1 <= 64 and 1 <= y0 < y1 <= 64


def test_load_fills_phrases_regions_scenes_and_pairs(tmp_path):
    dataset = load_dataset("picturebook", tmp_path, train=6, val=2, test=12, size=64, seed=3)
    assert len(dataset.scenes) == 20
    for k in range(0, len(dataset.phrases), 7):
        p = dataset.phrases
        words = dataset.captions[p.caption[k]].rstrip(".").split()[p.start[k] : p.stop[k]]
        assert " ".join(words) == p.words[k]
    boxed = set(dataset.regions.chain.tolist())
    visible = [t not in ("scene",) for t in dataset.phrases.type]
    found = [int(c) in boxed for c in dataset.phrases.chain]
    assert np.mean([f for f, v in zip(found, visible, strict=True) if v]) > 0.97
    pairs = minimal_pairs(dataset)
    assert [[dataset.image_ids[i] for i in p["images"]] for p in pairs] == [
        ["test_00000", "test_00001"],
        ["test_00010", "test_00011"],
    ]
    test = dataset.split("test")
    assert [p["images"] for p in minimal_pairs(test)] == [[0, 1], [10, 11]]
    assert minimal_pairs(test.take([1, 2, 3])) == []
    assert load(tmp_path, 6, 2, 12, 64, 3).fingerprint() == dataset.fingerprint()
    with pytest.raises(DataError, match="extras=True"):
        minimal_pairs(load(tmp_path, 6, 2, 12, 64, 3, extras=False))


def test_same_bytes_for_the_same_seed_and_prefix_property(root, tmp_path):
    again = generate(tmp_path / "again", GROUPS, size=64, n_jobs=1)
    assert digest(again) == digest(root)
    for name in ("train_00003.jpg", "test_00011.jpg"):
        assert (again / "images" / name).read_bytes() == (root / "images" / name).read_bytes()
    smaller = generate(tmp_path / "small", {"train": 9, "val": 4, "test": 3}, size=64, n_jobs=1)
    for file in sorted(smaller.glob("[SAi]*/*")):
        assert file.read_bytes() == (root / file.relative_to(smaller)).read_bytes()
    other = generate(tmp_path / "other", {"train": 9, "val": 4, "test": 3}, size=64, seed=1, n_jobs=1)
    assert digest(other) != digest(smaller)


def test_every_kind_can_be_drawn_with_a_box_around_it():
    for name, kind in KINDS.items():
        for action in kind.actions:
            scene = staged("park", "sunny", (name, {"action": action, "count": kind.most}), seed=5)
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
            image, boxes = render(staged("park", "sunny", (name, {"colour": colour}), seed=8), 128)
            pictures.append(np.asarray(image, np.int16))
        changed = np.abs(pictures[0] - pictures[1]).sum(2) > 30
        ((x0, y0, x1, y1),) = boxes[2]
        assert changed[y0 : y1 + 1, x0 : x1 + 1].sum() > 0.15 * (x1 - x0) * (y1 - y0)
        changed[max(0, y0 - 1) : y1 + 2, max(0, x0 - 1) : x1 + 2] = False
        assert not changed.any()


def test_sizes_and_pictures_differ():
    scene = sample_scene(0, "train", 2)
    for size in (64, 100, 128, 256):
        assert render(scene, size)[0].size == (size, size)
    a, b = (np.asarray(render(sample_scene(0, "train", i), 64)[0], np.int16) for i in (2, 3))
    assert np.abs(a - b).mean() > 5 and a.std() > 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": -1}, "train=-1"),
        ({"val": 2.5}, "val=2.5"),
        ({"train": 0, "val": 0, "test": 0}, "all 0"),
        ({"size": 32}, "size=32"),
        ({"size": "128"}, "size='128'"),
        ({"seed": -3}, "seed=-3"),
    ],
)
def test_parameters_out_of_range(tmp_path, options, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(tmp_path, **{"train": 2, "val": 1, "test": 1, **options})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_else(root, tmp_path):
    with pytest.raises(DataError, match=r"expected seed 1, found 0.*remove the folder"):
        generate(root, GROUPS, size=64, seed=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(DataError, match=r"picturebook\.json: expected the parameters"):
        generate(tmp_path / "mine", GROUPS, size=64)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_a_folder_that_lost_files_or_is_cut_off(root, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(root, broken)
    (broken / "images" / "train_00004.jpg").unlink()
    with pytest.raises(DataError, match=r"images: expected 56 files, found 55; remove the folder"):
        generate(broken, GROUPS, size=64)
    (broken / "picturebook.json").write_text("{")
    with pytest.raises(DataError, match=r"picturebook\.json: expected JSON"):
        generate(broken, GROUPS, size=64)
    load(tmp_path, 3, 1, 1, 64)
    (folder,) = [p for p in tmp_path.iterdir() if p.name.startswith("v")]
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    (folder / "scenes.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"scenes\.jsonl: expected the scenes of 5 images"):
        load(tmp_path, 3, 1, 1, 64)


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    module = importlib.import_module("imtext.data.picturebook.generate")  # the name is also a function's

    calls = []

    def full_disk(*args):
        calls.append(args)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        return original(*args)

    original = module.write_image
    monkeypatch.setattr(module, "write_image", full_disk)
    with pytest.raises(DataError, match="could not be written .*No space left"):
        generate(tmp_path / "book", GROUPS, size=64, n_jobs=1)
    assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]


def test_a_killed_run_leaves_no_dataset_and_the_next_one_cleans_up(tmp_path):
    code = (
        "from imtext.data.picturebook import generate;"
        f"generate({str(tmp_path / 'book')!r}, {{'train': 5000, 'val': 0, 'test': 0}}, size=64, n_jobs=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(300):
        if list(tmp_path.glob(".book.partial-*/images/*.jpg")):
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "book").exists() and list(tmp_path.glob(".book.partial-*"))
    generate(tmp_path / "book", {"train": 3, "val": 1, "test": 1}, size=64)
    assert not list(tmp_path.glob(".book.partial-*"))
    assert load_karpathy(tmp_path / "book").n_images == 5


def test_processes_write_the_same_as_one(tmp_path):
    groups = {"train": 280, "val": 0, "test": 0}
    one = generate(tmp_path / "one", groups, size=64, n_jobs=1)
    two = generate(tmp_path / "two", groups, size=64, n_jobs=2)
    assert digest(one) == digest(two)
    assert digest(one, ("images/*",)) == digest(two, ("images/*",))


def test_default_root_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("IMTEXT_DATA", str(tmp_path))
    assert default_root() == tmp_path / "picturebook"
    assert load(train=2, val=1, test=1, size=64).n_images == 4
    assert [p.name for p in default_root().iterdir() if p.is_dir()] == ["v2-train2-val1-test1-size64-seed0"]


def test_command_line(tmp_path, capsys):
    arguments = ["--train", "2", "--val", "1", "--test", "1", "--size", "64"]
    assert main(["generate", str(tmp_path / "book"), *arguments]) == 0
    assert load_karpathy(tmp_path / "book").n_images == 4
    assert main(["generate", str(tmp_path / "book"), *arguments[:-1], "65"]) == 2
    assert "expected size 65, found 64" in capsys.readouterr().err


def test_committed_sheets_are_small_and_complete(repository):
    files = [repository / "book" / "images" / f"picturebook_{theme}.png" for theme in SHEETS]
    assert all(file.is_file() for file in files)
    assert sum(file.stat().st_size for file in files) < 1_200_000


def test_pairs_sheet_is_the_same_each_time():
    assert SHEETS["pairs"](64).tobytes() == SHEETS["pairs"](64).tobytes()
