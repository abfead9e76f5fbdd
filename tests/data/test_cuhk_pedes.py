"""The CUHK-PEDES reader: persons as groups, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.data import cuhk_pedes, load_dataset
from imtext.data.cuhk_pedes import load_cuhk_pedes
from imtext.errors import ConfigError, DataError

# Person, split, file; file names repeat across folders, and persons do not stand in order.
ROWS = (
    (30, "train", "CUHK01/0001.png"),
    (12, "train", "cam_a/0001.png"),
    (30, "train", "CUHK01/0002.png"),
    (41, "test", "test_query/p1_s1.jpg"),
    (41, "test", "test_query/p1_s2.jpg"),
    (40, "val", "Market/0001_c1s1.jpg"),
)


def content() -> list[dict]:
    entries = []
    for i, (person, split, file) in enumerate(ROWS):
        captions = [f"Caption {k}  of\n image {i}." for k in range(10 if i == 4 else 2)]
        tokens = [caption.lower().rstrip(".").split() for caption in captions]
        entries.append(
            {
                "split": split,
                "captions": captions,
                "file_path": file,
                "processed_tokens": tokens,
                "id": person,
            }
        )
    return entries


@pytest.fixture
def folder(tmp_path):
    """A function that writes a CUHK-PEDES folder, after a change of the entries, and returns it."""

    def write(change=lambda entries: None, name: str = "reid_raw.json", place: str = "") -> Path:
        root = tmp_path / "pedes"
        entries = content()
        change(entries)
        for _, _, file in ROWS:
            path = root / place / "imgs" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 8), "blue").save(path)
        (root / place / name).write_text(json.dumps(entries), encoding="utf-8")
        return root

    return write


def refuses(message: str, root: Path, **options) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_cuhk_pedes(root, **{"subset": True, **options})
    assert "\n" not in str(caught.value)


def test_good_files(folder):
    data = load_cuhk_pedes(folder(), subset=True)
    assert data.name == "cuhk_pedes"
    assert data.image_files == tuple(file for _, _, file in ROWS)
    assert data.image_ids[:2] == ("CUHK01/0001", "cam_a/0001")
    assert data.split_of_image.tolist() == ["train", "train", "train", "test", "test", "val"]
    assert data.group_of_image.tolist() == [1, 0, 1, 3, 3, 2]
    assert data.group_of_image.dtype == np.int64
    assert data.captions[:2] == ("Caption 0 of image 0.", "Caption 1 of image 0.")
    assert [len(data.captions_of(i)) for i in range(6)] == [2, 2, 2, 2, 10, 2]
    assert all(data.image_path(i).is_file() for i in range(6))
    assert data.notes == ()
    assert load_cuhk_pedes(folder(), name="other", subset=True).name == "other"
    assert load_dataset("cuhk_pedes", folder(), subset=True).fingerprint() == data.fingerprint()


def test_a_split_or_selection_keeps_the_persons(folder):
    data = load_cuhk_pedes(folder(), subset=True)
    test = data.split("test")
    assert test.group_of_image.tolist() == [3, 3]
    assert test.group_of_caption.tolist() == [3] * 12
    taken = data.take([5, 2, 0])
    assert taken.group_of_image.tolist() == [2, 1, 1]
    assert taken.group_of_caption.tolist() == [2, 2, 1, 1, 1, 1]
    assert taken.split("train").image_ids == ("CUHK01/0002", "CUHK01/0001")
    persons = {file: person for person, _, file in ROWS}
    for part in (data, test, taken, data.split("train")):
        pairs = {(persons[f], g) for f, g in zip(part.image_files, part.group_of_image.tolist(), strict=True)}
        assert len(pairs) == len({p for p, _ in pairs}) == len({g for _, g in pairs})


@pytest.mark.parametrize("where", ["inside", "beside", "nested"])
def test_other_places_of_the_files(folder, where):
    root = folder(place="CUHK-PEDES")
    if where != "inside":
        (root / "CUHK-PEDES" / "reid_raw.json").rename(root / "reid_raw.json")
    if where == "beside":
        for path in (root / "CUHK-PEDES" / "imgs").iterdir():
            path.rename(root / path.name)
    data = load_cuhk_pedes(root, subset=True)
    assert data.image_root == (root if where == "beside" else root / "CUHK-PEDES" / "imgs")
    assert data.image_path(3).is_file()


def test_captions_from_tokens_where_they_are_missing(folder):
    def bare(entries):
        del entries[0]["captions"]
        entries[1]["captions"] = None

    data = load_cuhk_pedes(folder(bare), subset=True)
    assert data.captions[:2] == ("caption 0 of image 0", "caption 1 of image 0")
    assert data.captions[4] == "Caption 0 of image 2."
    assert data.notes == ("captions of 2 images put together from processed_tokens",)


def test_tokens_are_not_needed(folder):
    data = load_cuhk_pedes(folder(lambda entries: [e.pop("processed_tokens") for e in entries]), subset=True)
    assert data.n_captions == 20


def test_file_without_splits(folder):
    def strip(entries):
        for entry in entries:
            del entry["split"]

    root = folder(strip, name="caption_all.json")
    story = (
        "caption_all.json has file_path, id and captions of each image but not its 'split', .*get reid_raw"
    )
    refuses(f"reid_raw.json: expected this file, found only caption_all.json; {story}", root)
    (root / "caption_all.json").rename(root / "reid_raw.json")
    refuses(f"reid_raw.json: expected 'split' in each entry, found it in none; {story}", root)
    (root / "CUHK-PEDES").mkdir()
    (root / "reid_raw.json").rename(root / "CUHK-PEDES" / "caption_all.json")
    refuses(f"CUHK-PEDES/reid_raw.json: expected this file, found only caption_all.json; {story}", root)


def test_missing_things(folder, tmp_path):
    refuses("expected a folder with reid_raw.json and imgs for cuhk_pedes, found nothing", tmp_path / "no")
    refuses("reid_raw.json: expected this file, found nothing; put it there", tmp_path)
    root = folder()
    (root / "imgs" / "cam_a" / "0001.png").unlink()
    refuses(
        r"cam_a/0001.png: expected an image, since .*reid_raw.json, entry 1 has it in split train, "
        r"found no file \(1 of 6",
        root,
    )
    assert load_cuhk_pedes(root, subset=True, check_files=False).image_root == root / "imgs"
    (root / "imgs" / "cam_a").rmdir()
    (root / "imgs" / "Market").rename(root / "elsewhere")
    refuses(
        "imgs: expected 4 folders of images that reid_raw.json names, found no Market, cam_a; fetch the",
        root,
    )
    (root / "imgs").rename(root / "pictures")
    refuses("pedes/imgs: expected 4 folders .*, found no CUHK01, Market, cam_a, test_query;", root)
    assert load_cuhk_pedes(root, subset=True, check_files=False).image_root == root


def test_published_counts(folder, monkeypatch):
    root = folder()
    refuses("expected 34,054 images in split train, found 3; .*subset=True", root, subset=False)
    monkeypatch.setattr(cuhk_pedes, "IMAGE_COUNTS", {"train": 3, "val": 1, "test": 2})
    refuses(
        r"reid_raw.json: expected 11,003 ids \(persons\) in split train, found 2; .*subset=True",
        root,
        subset=False,
    )
    monkeypatch.setattr(cuhk_pedes, "PERSON_COUNTS", {"train": 2, "val": 1, "test": 1})
    assert load_cuhk_pedes(root).n_images == 6


def entry(i, **fields):
    return lambda entries: entries[i].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.clear(), "expected a list of images, found an empty list"),
        (lambda e: e.append("x"), "reid_raw.json, entry 6: expected an object, found str"),
        (lambda e: e[1].pop("split"), "entry 1: expected 'split' as str, found nothing"),
        (lambda e: e[1].pop("file_path"), "entry 1: expected 'file_path' as str, found nothing"),
        (entry(1, id="12"), "entry 1: expected 'id' as int, found str"),
        (entry(1, id=False), "entry 1: expected 'id' as int, found bool"),
        (entry(1, split="dev"), "entry 1: unknown split 'dev'; expected one of train, val, test"),
        (entry(1, file_path="../x.png"), "entry 1 leaves the image folder"),
        (entry(1, file_path=""), "entry 1 leaves the image folder"),
        (entry(1, captions=None, processed_tokens=None), "'captions' or 'processed_tokens', found neither"),
        (entry(1, captions=None, processed_tokens=["a"]), "'processed_tokens' as lists of words"),
        (entry(1, captions=None, processed_tokens=[[1]]), "'processed_tokens' as lists of words"),
        (entry(1, captions="A man."), "entry 1: expected 'captions' as a list of texts"),
        (entry(1, captions=["A man.", 3]), "entry 1: expected 'captions' as a list of texts"),
        (entry(1, captions=[]), "entry 1: image cam_a/0001.png .split train. has no caption"),
        (entry(1, captions=["A man.", " \n"]), "entry 1: image cam_a/0001.png has an empty caption"),
        (
            entry(3, id=30),
            r"entry 3: id 30 is in split test \(test_query/p1_s1.jpg\) and in split train \(CUHK01/",
        ),
        (entry(2, file_path="CUHK01/0001.png"), "image CUHK01/0001.png is there twice in split train"),
        (entry(3, file_path="CUHK01/0001.png"), "CUHK01/0001.png is in split train and in split test"),
    ],
)
def test_refuses(folder, change, message):
    refuses(message, folder(change))


def test_names_that_differ_in_the_ending_only(folder):
    root = folder(entry(2, file_path="CUHK01/0001.jpg"))
    (root / "imgs" / "CUHK01" / "0001.jpg").write_bytes(b"")
    refuses("image id 'CUHK01/0001' is there twice", root)


def test_persons_are_numbered_after_empty_ones_are_dropped(folder):
    root = folder(entry(1, captions=["", " "]))
    data = load_cuhk_pedes(root, subset=True, on_empty="skip")
    assert data.group_of_image.tolist() == [0, 0, 2, 2, 1]
    assert data.notes == ("2 empty captions skipped, 1 images left without any caption dropped",)
    with pytest.raises(ConfigError, match="on_empty='drop'"):
        load_cuhk_pedes(root, subset=True, on_empty="drop")


def test_broken_text(folder):
    root = folder()
    path = root / "reid_raw.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    refuses("reid_raw.json: expected complete JSON, found .* at line 1, column", root)
    path.write_bytes(text.replace("Caption 0", "Caf\u00e9").encode("latin-1"))
    refuses("reid_raw.json, line 1: expected UTF-8, found byte 0xe9", root)
    path.write_text("{}", encoding="utf-8")
    refuses("expected a list of images, found dict", root)
