"""The CUHK-PEDES reader: persons as groups, and what it refuses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import folders
import pytest
from folders import photos, write

from imtext.data import load_dataset
from imtext.data.assemble import EDITIONS, Edition

# Person, split, file; file names repeat across folders, and persons do not stand in order.
ROWS = (
    (30, "train", "CUHK01/0001.png"),
    (12, "train", "cam_a/0001.png"),
    (30, "train", "CUHK01/0002.png"),
    (41, "test", "test_query/p1_s1.jpg"),
    (41, "test", "test_query/p1_s2.jpg"),
    (40, "val", "Market/0001_c1s1.jpg"),
)


@pytest.fixture
def folder(tmp_path):
    """A function that writes a CUHK-PEDES folder, after a change of the entries, and returns it."""

    def make(change=lambda entries: None, name: str = "reid_raw.json") -> Path:
        root, entries = tmp_path / "pedes", []
        for i, (person, split, file) in enumerate(ROWS):
            captions = [f"Caption {k}  of\n image {i}." for k in range(10 if i == 4 else 2)]
            entries.append({"split": split, "captions": captions, "file_path": file, "id": person})
            photos(root / "imgs" / file)
        change(entries)
        write(root / name, entries)
        return root

    return make


refuses = partial(folders.refuses, "cuhk_pedes", subset=True)
read = partial(load_dataset, "cuhk_pedes", subset=True)


def test_good_files(folder):
    data = read(folder())
    assert data.image_files == tuple(file for _, _, file in ROWS)
    assert data.image_ids[:2] == ("CUHK01/0001", "cam_a/0001")
    assert data.split_of_image.tolist() == ["train", "train", "train", "test", "test", "val"]
    assert data.group_of_image.tolist() == [0, 1, 0, 2, 2, 3]
    assert data.captions[:2] == ("Caption 0 of image 0.", "Caption 1 of image 0.")
    assert [len(data.captions_of(i)) for i in range(6)] == [2, 2, 2, 2, 10, 2]
    assert all(data.image_path(i).is_file() for i in range(6)) and data.notes == ()


def test_captions_from_tokens_where_they_are_missing(folder):
    def bare(entries):
        del entries[0]["captions"]
        entries[1]["captions"] = None
        for one in entries[:2]:
            one["processed_tokens"] = [["a", "man"], ["one"]]

    data = read(folder(bare))
    assert data.captions[:5] == ("a man", "one", "a man", "one", "Caption 0 of image 2.")
    assert data.notes == ("captions of 2 images put together from processed_tokens",)


def test_file_without_splits(folder):
    root = folder(lambda entries: [entry.pop("split") for entry in entries], name="caption_all.json")
    refuses("expected reid_raw.json, found none; caption_all.json has no 'split', .*get reid_raw.json", root)
    (root / "caption_all.json").rename(root / "reid_raw.json")
    refuses(r"reid_raw.json: object missing required field `split` - at `\$\[0\]`", root)


def test_missing_things(folder, tmp_path):
    refuses("expected a folder with the files of cuhk_pedes, found nothing", tmp_path / "no")
    refuses("expected reid_raw.json, found none; put it there", tmp_path)
    root = folder()
    (root / "imgs" / "cam_a" / "0001.png").unlink()
    # Another image has the same name in another folder.
    assert "1 of 6 images are missing: left out (cam_a/0001.png)" in read(root).notes
    assert read(root, check_files=False).n_images == 6
    for path in (root / "imgs").iterdir():
        path.rename(root / path.name)
    assert read(root).image_root == root
    for path in root.glob("*/*.*g"):
        path.unlink()
    refuses(r"reid_raw.json, entry 0: expected image CUHK01/0001.png in .*6 of 6 images are missing", root)


def test_published_counts(folder, monkeypatch):
    root = folder()
    refuses("expected 34,054 images in split train .*, found 3; .*subset=True", root, subset=False)
    images, groups = {"train": 3, "val": 1, "test": 2}, {"train": 11_003}
    monkeypatch.setitem(EDITIONS, "cuhk_pedes", Edition("small", images, groups=groups))
    refuses("expected 11,003 groups in split train .*, found 2; .*subset=True", root, subset=False)
    groups = {"train": 2, "val": 1, "test": 1}
    monkeypatch.setitem(EDITIONS, "cuhk_pedes", Edition("small", images, groups=groups))
    assert load_dataset("cuhk_pedes", root).n_images == 6


def entry(i, **fields):
    return lambda entries: entries[i].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.clear(), "holds no image"),
        (lambda e: e[1].pop("file_path"), r"required field `file_path` - at `\$\[1\]`"),
        (entry(1, id=False), r"got `bool` - at `\$\[1\].id`"),
        (entry(1, split="tset"), "entry 1: unknown split 'tset'; expected one of train, val, test"),
        (entry(1, file_path="../x.png"), "entry 1 leaves the image folder"),
        (entry(1, captions=None, processed_tokens=None), "entry 1: image cam_a/0001.png has no caption"),
        (entry(1, captions=[]), "entry 1: image cam_a/0001.png has no caption"),
        (entry(1, captions=["A man.", " \n"]), "entry 1: image cam_a/0001.png has an empty caption"),
        (entry(3, id=30), r"entry 3: group 30 .split test. is also at .*entry 0 .split train."),
        (entry(2, file_path="CUHK01/0001.png"), "entry 2: image CUHK01/0001.png .* is also at .*entry 0"),
        (entry(2, file_path="CUHK01/0001.jpg"), "entry 2: id CUHK01/0001 .* is also at .*entry 0"),
    ],
)
def test_refuses(folder, change, message):
    refuses(message, folder(change))


def test_persons_are_numbered_after_empty_ones_are_dropped(folder):
    root = folder(entry(1, captions=["", " "]))
    data = read(root, on_empty="skip")
    assert data.group_of_image.tolist() == [0, 0, 1, 1, 2]
    assert data.notes[0] == "2 empty captions left out, and 1 images that have no other"
