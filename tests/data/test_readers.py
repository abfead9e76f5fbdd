"""Readers of the token files and of Karpathy's JSON: what they make of good, odd and broken files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from folders import photos

from imtext.data import GENERATED, READERS, load_dataset
from imtext.data.flickr import read_tokens
from imtext.errors import ConfigError, DataError

SPLITS = {"train": ("a.jpg", "b.jpg"), "dev": ("c.jpg",), "test": ("d.jpg",)}


@pytest.fixture
def flickr(tmp_path) -> Path:
    """A Flickr8k of four images, two captions each, with one unused photograph and the famous missing one."""
    root = tmp_path / "flickr"
    text = root / "Flickr8k_text"
    text.mkdir(parents=True)
    lines = [f"{name}.jpg#{k}\tCaption {k} of {name} ." for name in "abcde" for k in (0, 1)]
    lines += [f"2258277193_586949ec62.jpg.1#{k}\tA man ." for k in range(5)]
    (text / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, names in SPLITS.items():
        (text / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for name in "abcde":
        photos(root / "Flicker8k_Dataset" / f"{name}.jpg")
    return root


@pytest.fixture
def karpathy(tmp_path):
    """A function that writes a Karpathy folder, after a change of the content, and returns it."""

    def write(change=lambda content: None, name: str = "dataset.json") -> Path:
        root, images = tmp_path / "karpathy", []
        for i, (letter, split) in enumerate(zip("abcd", ("train", "restval", "val", "test"), strict=True)):
            said = [{"raw": f"Caption {k} of {letter} .\n", "sentid": 3 * i + k} for k in range(3)]
            one = {"imgid": i, "cocoid": 100 + i, "filepath": "val2014", "filename": f"{letter}.jpg"}
            images.append({**one, "split": split, "sentences": said})
            photos(root / "images" / "val2014" / f"{letter}.jpg")
        content = {"dataset": "mine", "images": images}
        change(content)
        (root / name).write_text(json.dumps(content), encoding="utf-8")
        return root

    return write


def refuses(message: str, *args, **options) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(*args, **options)
    assert "\n" not in str(caught.value)


def test_flickr8k_form(flickr):
    refuses("expected 6,000 images in split train .*, found 2; .*subset=True", "flickr8k", flickr)
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.name == "flickr8k"
    assert data.image_ids == ("a", "b", "c", "d")
    assert data.split_of_image.tolist() == ["train", "train", "val", "test"]
    assert data.captions[:3] == ("Caption 0 of a .", "Caption 1 of a .", "Caption 0 of b .")
    assert data.image_of_caption.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.image_path(2).is_file()
    assert data.notes == (
        "2 images with 7 captions of Flickr8k.token.txt are in no split: left out",
        "1 image files beside them are not used (Flicker8k_Dataset/e.jpg)",
    )


def test_flickr30k_token_form(flickr, tmp_path):
    root = tmp_path / "flickr30k"
    root.mkdir()
    (flickr / "Flicker8k_Dataset").rename(root / "flickr30k-images")
    (flickr / "Flickr8k_text" / "Flickr8k.token.txt").rename(root / "results_20130124.token")
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        (root / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    data = load_dataset("flickr30k", root, subset=True)
    assert data.image_files == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    refuses("expected 29,783 images in split train .*Entities.*, found 2", "flickr30k", root)


def test_windows_line_ends_byte_order_mark_and_odd_separators(flickr):
    path = flickr / "Flickr8k_text" / "Flickr8k.token.txt"
    text = path.read_text(encoding="utf-8").replace("Caption 0 of a .", "Un caf\u00e9\u2028 noir .")
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.captions[:2] == ("Un caf\u00e9 noir .", "Caption 1 of a .")


def test_captions_are_ordered_by_number(tmp_path):
    path = tmp_path / "x.token"
    path.write_text("a.jpg#10\tlast\nb.jpg#0\tother\na.jpg#2\tfirst\n", encoding="utf-8")
    assert read_tokens(path) == {"a.jpg": ["first", "last"], "b.jpg": ["other"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg#0 no tab here", r"line 1: expected name.jpg#k<TAB>caption, found 'a.jpg#0 no tab here'"),
        ("a.jpg\tno number", "line 1: expected name.jpg#k<TAB>caption"),
        ("a.jpg#1\tagain\na.jpg#1\tagain", "line 2: caption a.jpg#1 is there twice"),
        ("../../x.jpg#0\tA dog .", "line 1 leaves the image folder"),
        ("\n\n", "trainImages.txt, line 1: image a.jpg has no caption"),
        ("a.jpg#0\tA dog .\na.jpg#1\tUn caf\xe9 .", "line 2: expected UTF-8, found byte 0xe9"),
    ],
)
def test_broken_token_lines(flickr, line, message):
    (flickr / "Flickr8k_text" / "Flickr8k.token.txt").write_text(line, encoding="latin-1")
    refuses(message, "flickr8k", flickr, subset=True)


def test_missing_things(flickr, tmp_path):
    refuses("expected a folder with .*, found nothing; correct data_root", "flickr8k", tmp_path / "no")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    refuses("file: expected a pack", "flickr8k", tmp_path / "file")
    (flickr / "Flicker8k_Dataset" / "b.jpg").unlink()
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.n_images == 3 and "1 of 4 images are missing: left out (b.jpg)" in data.notes
    assert load_dataset("flickr8k", flickr, subset=True, check_files=False).n_images == 4
    shutil.rmtree(flickr / "Flicker8k_Dataset")
    refuses(r"trainImages.txt, line 1: expected image a.jpg in .*\(4 of 4", "flickr8k", flickr, subset=True)
    (flickr / "Flickr8k_text" / "Flickr_8k.devImages.txt").unlink()
    refuses("expected Flickr_8k.devImages.txt, found none; .*no split", "flickr8k", flickr, subset=True)
    (flickr / "Flickr8k_text" / "Flickr8k.token.txt").unlink()
    refuses("expected dataset_flickr8k.json or Flickr8k.token.txt or", "flickr8k", flickr, subset=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg", "testImages.txt, line 2: image b.jpg .split test. is also at .*line 2 .split train."),
        ("d.jpg", "line 2: image d.jpg .split test. is also at .*line 1 .split test."),
        ("../d.jpg", "leaves the image folder"),
    ],
)
def test_overlapping_splits_and_duplicates(flickr, line, message):
    (flickr / "Flickr8k_text" / "Flickr_8k.testImages.txt").write_text(f"d.jpg\n{line}\n", encoding="utf-8")
    refuses(message, "flickr8k", flickr, subset=True)


def test_empty_captions(flickr):
    path = flickr / "Flickr8k_text" / "Flickr8k.token.txt"
    path.write_text(re.sub("Caption . of d .|Caption 0 of a .", " ", path.read_text()))
    refuses("image a.jpg has an empty caption; .*on_empty='skip'", "flickr8k", flickr, subset=True)
    data = load_dataset("flickr8k", flickr, subset=True, on_empty="skip")
    assert data.image_ids == ("a", "b", "c")
    assert data.captions[0] == "Caption 1 of a ."
    assert "3 empty captions left out, and 1 images that have no other" in data.notes
    with pytest.raises(ConfigError, match="on_empty='drop'"):
        load_dataset("flickr8k", flickr, subset=True, on_empty="drop")


def test_karpathy_form(karpathy):
    root = karpathy()
    data = load_dataset("karpathy", root)
    assert data.name == "mine"
    assert data.split_of_image.tolist() == ["train", "train", "val", "test"]
    assert data.image_files[1] == "val2014/b.jpg"
    assert data.image_ids == ("100", "101", "102", "103")
    assert data.captions[3] == "Caption 0 of b ."
    assert data.image_path(3).is_file()
    assert data.notes == ()
    assert load_dataset("karpathy", root, json_file="dataset.json").n_images == 4
    refuses("nothing.json: expected a file, found none", "karpathy", root, json_file="nothing.json")
    whole = (root / "dataset.json").read_text()
    for text in (whole[: len(whole) // 2], "[" * 100_000):
        (root / "dataset.json").write_text(text)
        refuses("dataset.json: .*; .* fetch the file again", "karpathy", root)
    (root / "dataset.json").unlink()
    refuses("expected one dataset.*json, found none", "karpathy", root)


def test_karpathy_without_optional_fields(karpathy):
    def strip(content):
        del content["dataset"]
        for image in content["images"]:
            del image["imgid"], image["cocoid"]
            image["sentences"] = [{"tokens": ["a", "dog"]}]

    data = load_dataset("karpathy", karpathy(strip, "dataset_zoo.json"))
    assert (data.name, data.image_ids[0], data.captions[0]) == ("zoo", "a", "a dog")


def test_karpathy_images_in_any_folder(karpathy):
    root = karpathy()
    (root / "images").rename(root / "pictures")
    assert load_dataset("karpathy", root, images="pictures").image_root == root / "pictures"
    with pytest.raises(DataError, match="nowhere: expected a folder with the images"):
        load_dataset("karpathy", root, images="nowhere")
    (root / "pictures" / "val2014").rename(root / "val2014")
    assert load_dataset("karpathy", root).image_path(0).is_file()


def change_image(i, **fields):
    return lambda content: content["images"][i].update(fields)


def change_sentence(i, k, **fields):
    return lambda content: content["images"][i]["sentences"][k].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("images"), "missing required field `images`"),
        (lambda content: content["images"].clear(), "holds no image"),
        (change_image(1, split="tset"), r"images\[1\]: unknown split 'tset'"),
        (change_image(1, filename="a.jpg"), r"images\[1\]: image val2014/a.jpg .* is also at .*images\[0\]"),
        (change_image(3, cocoid=100), r"images\[3\]: id 100 .* is also at .*images\[0\]"),
        (change_image(3, filename="../../x.jpg"), "leaves the image folder"),
        (change_image(3, filepath="/etc"), "leaves the image folder"),
        (change_image(3, filename="z.jpg"), r"images\[3\]: expected image val2014/z.jpg in .*1 of 4"),
        (change_image(2, sentences=[]), r"images\[2\]: image val2014/c.jpg has no caption"),
        (change_sentence(0, 2, raw=" \n"), r"images\[0\]: image val2014/a.jpg has an empty caption"),
        (change_sentence(0, 2, raw=None, tokens=None), r"images\[0\]: image .* has an empty caption"),
        (lambda content: content.update(dataset="coco"), "expected 113,287 images in split train"),
        (lambda content: content.update(dataset="flickr30k"), "expected 29,000 .*Karpathy"),
    ],
)
def test_karpathy_refuses(karpathy, change, message):
    refuses(message, "karpathy", karpathy(change))


def test_registry_messages(tmp_path):
    photographs = {"flickr8k", "flickr30k", "flickr30k_entities", "coco", "cuhk_pedes", "karpathy", "own"}
    assert set(READERS) == photographs | {"precomp", "coco_precomp", "f30k_precomp"}
    assert set(GENERATED) == {"picturebook", "picturebook_pedestrians"}
    with pytest.raises(ConfigError, match="pass data_root"):
        load_dataset("flickr8k")
    with pytest.raises(
        ConfigError, match="unknown option 'sizes'; expected one of subset, on_empty, check_files"
    ):
        load_dataset("flickr8k", tmp_path, sizes=3)


def test_real_flickr8k(shared_data):
    data = load_dataset("flickr8k", shared_data / "flickr8k")
    counts = [(data.split(s).n_images, data.split(s).n_captions) for s in ("train", "val", "test")]
    assert counts == [(6000, 30000), (1000, 5000), (1000, 5000)]
    assert len(data.notes) == 2
    assert data.notes[0] == "93 images with 460 captions of Flickr8k.token.txt are in no split: left out"
    assert data.notes[1].startswith("91 image files beside them are not used")
    assert data.edition == "Flickr8k, official split"
    assert data.image_ids[0] == "2513260012_03d33305cf"
    assert data.image_of_caption.tolist() == [i for i in range(8000) for _ in range(5)]
