"""The COCO reader: native caption files, the split of Karpathy's file, and what it refuses."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import folders
import pytest
from folders import coco_file, entry, photos, write

from imtext.data import load_dataset
from imtext.data.assemble import EDITIONS, Edition
from imtext.errors import ConfigError, DataError

# Three images in the train file, three in the val file.
IDS = {"train": (9, 25, 30), "val": (42, 73, 74)}
SPLIT_OF = ((73, "test"), (9, "train"), (42, "restval"), (30, "train"), (74, "val"), (25, "train"))


def picture(i: int, year: str = "2014") -> str:
    part = "train" if i in IDS["train"] else "val"
    return f"COCO_{part}{year}_{i:012d}.jpg"


def native(split: str, year: str = "2014") -> dict:
    # Captions of one image lie apart in the published files; image 42 has three, the others two.
    numbers = [(i, k) for k in range(3) for i in reversed(IDS[split]) if k < 2 or i == 42]
    said = [(i, 1000 + 10 * i + k, f"Caption {k}  of {i}.\n") for i, k in numbers]
    return coco_file({i: picture(i, year) for i in IDS[split]}, said)


def karpathy() -> dict:
    images = []
    for i, split in SPLIT_OF:
        more = {"cocoid": i, "filepath": "train2014" if i in IDS["train"] else "val2014"}
        images.append(entry(picture(i), split, [f"Karpathy's caption of {i}."], **more))
    return {"dataset": "coco", "images": images}


@pytest.fixture
def folder(tmp_path):
    """A function that writes a COCO folder, after changes of its files, and returns it."""

    def make(val=lambda content: None, split=lambda content: None, year="2014", with_split=False) -> Path:
        root = tmp_path / "coco"
        files = {name: native(name, year) for name in IDS}
        val(files["val"])
        for name, content in files.items():
            photos(*(root / f"{name}{year}" / picture(i, year) for i in IDS[name]))
            write(root / "annotations" / f"captions_{name}{year}.json", content)
        if with_split:
            content = karpathy()
            split(content)
            write(root / "dataset_coco.json", content)
        return root

    return make


refuses = partial(folders.refuses, "coco", subset=True)


def test_native_files_alone(folder):
    data = load_dataset("coco", folder(), subset=True)
    assert data.image_ids == ("9", "25", "30", "42", "73", "74")
    assert data.split_of_image.tolist() == ["train"] * 3 + ["val"] * 3
    assert data.captions[:3] == ("Caption 0 of 9.", "Caption 1 of 9.", "Caption 0 of 25.")
    assert [len(data.captions_of(i)) for i in range(6)] == [2, 2, 2, 3, 2, 2]
    assert all(data.image_path(i).is_file() for i in range(6))
    (note,) = data.notes
    assert note.startswith("no test split: captions_train2014.json is train and captions_val2014.json is val")
    assert "imtext data fetch coco --parts karpathy" in note and data.edition == "COCO 2014, annotation files"
    with pytest.raises(DataError, match="no image in split 'test', .* dataset_coco.json"):
        data.split("test")


def test_split_file_gives_split_and_order_native_files_the_captions(folder):
    root = folder(with_split=True)
    data = load_dataset("coco", root, subset=True)
    assert data.image_ids == ("73", "9", "42", "30", "74", "25")
    assert data.split_of_image.tolist() == ["test", "train", "train", "train", "val", "train"]
    assert data.captions[:2] == ("Caption 0 of 73.", "Caption 1 of 73.") and len(data.captions_of(2)) == 3
    assert data.image_files[2] == "val2014/COCO_val2014_000000000042.jpg"
    assert data.notes == () and data.edition == "COCO 2014, split of Karpathy and Fei-Fei"
    folder(split=lambda content: content["images"].pop(2), with_split=True)
    note = "1 images with 3 captions are in no split of dataset_coco.json: left out"
    assert load_dataset("coco", root, subset=True).notes[0] == note


def test_split_file_alone_gives_its_own_captions(folder):
    root = folder(with_split=True)
    shutil.rmtree(root / "annotations")
    data = load_dataset("coco", root, subset=True)
    assert (data.n_images, data.image_ids[0], data.captions[0]) == (6, "73", "Karpathy's caption of 73.")
    assert data.notes[1] == "captions_val2014.json is not there: captions are those of dataset_coco.json"
    refuses("expected 113,287 images in split train .*, found 4", root, subset=False)


def test_one_caption_file(folder):
    root = folder(with_split=True)
    (root / "annotations" / "captions_train2014.json").unlink()
    data = load_dataset("coco", root, subset=True)
    assert data.image_ids == ("73", "42", "74")
    assert data.split_of_image.tolist() == ["test", "train", "val"]
    assert data.notes == (
        "captions_train2014.json is not there: its images are left out",
        "3 images of dataset_coco.json are in no caption file: left out",
    )
    refuses("dataset_coco.json: expected 113,287 images in split train", root, subset=False)
    (root / "dataset_coco.json").unlink()
    data = load_dataset("coco", root, subset=True)
    assert data.summary() == "coco: 3 images, 7 captions (val 3/7 images/captions)"
    assert data.notes[1].startswith("no test split: captions_val2014.json is val; for")


def test_files_of_2017(folder, tmp_path):
    refuses("found neither; put them there", tmp_path)
    root = folder(year="2017")
    data = load_dataset("coco", root, subset=True)
    assert data.image_files[0] == "train2017/COCO_train2017_000000000009.jpg"
    assert load_dataset("coco", root, subset=True, year=2017).fingerprint() == data.fingerprint()
    refuses("expected captions_train2014.json, .* found those of 2017; .*pass year='2017'", root, year="2014")
    with pytest.raises(ConfigError, match="year='2015': expected one of 2014, 2017"):
        load_dataset("coco", root, year="2015")
    write(root / "dataset_coco.json", karpathy())
    assert load_dataset("coco", root, subset=True).split("train").n_images == 3
    folder(year="2014", with_split=True)
    data = load_dataset("coco", root, subset=True)
    assert data.split("test").image_ids == ("73",)
    assert data.notes == ("captions of 2017 are there too; year='2017' reads them",)


def test_published_counts(folder, monkeypatch):
    root = folder()
    refuses("captions_train2014.json: expected 82,783 images in split train", root, subset=False)
    images = {"train": 3, "val": 3}
    monkeypatch.setitem(EDITIONS, "coco 2014", Edition("small", images, {"train": 6, "val": 202_654}))
    refuses("expected 202,654 captions in split val .*, found 7; .*subset=True", root, subset=False)
    monkeypatch.setitem(EDITIONS, "coco 2014", Edition("small", images, {"train": 6, "val": 7}))
    assert load_dataset("coco", root).n_images == 6


def annotation(j, **fields):
    return lambda content: content["annotations"][j].update(fields)


def image(i, **fields):
    return lambda content: content["images"][i].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "captions_val2014.json: object missing required field `images`"),
        (image(1, id=True), r"got `bool` - at `\$.images\[1\].id`"),
        (image(2, file_name="../../x.jpg"), r"images\[2\] leaves the image folder"),
        (image(2, file_name="COCO_val2014_000000000042.jpg"), r"images\[2\]: image .*42.jpg .* is also at"),
        (annotation(4, image_id=9), r"annotations\[4\]: image_id 9 is not among the images of the file"),
        (annotation(4, caption=" \n "), r"images\[1\]: image val2014/COCO_\w+73.jpg has an empty caption"),
        (lambda c: c["images"].append({"id": 5, "file_name": "x.png"}), r"\[3\]: .*x.png .* no caption"),
        (lambda c: c["images"].append({"id": 9, "file_name": "x.png"}), r"\[3\]: id 9 .* is also at .*\[0\]"),
    ],
)
def test_refuses_native(folder, change, message):
    refuses(message, folder(val=change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (image(3, cocoid=9), r"captions_train2014.json, images\[0\]: image .*09.jpg .* is also at"),
        (image(3, split="tset"), "unknown split 'tset'"),
        (lambda c: [one.update(cocoid=one["cocoid"] + 500) for one in c["images"]], "none of its images is"),
    ],
)
def test_refuses_split_file(folder, change, message):
    refuses(message, folder(split=change, with_split=True))


def test_real_captions_of_2017(shared_data):
    root = shared_data / "coco"
    if not (root / "annotations" / "captions_val2017.json").is_file():
        pytest.skip("captions_val2017.json is not on this machine")
    data = load_dataset("coco", root, check_files=False)
    assert data.summary() == "coco: 5,000 images, 25,014 captions (val 5,000/25,014 images/captions)"
    assert Counter(Counter(data.image_of_caption.tolist()).values()) == {5: 4987, 6: 12, 7: 1}
    assert (data.image_ids[0], data.image_files[0]) == ("397133", "val2017/000000397133.jpg")
    assert data.captions[0] == "A man is in a kitchen making pizzas."
    refuses(r"5,000 of 5,000 images are missing", root)
