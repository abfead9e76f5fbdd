"""Readers of the token files and of Karpathy's JSON: what they make of good, odd and broken files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from folders import entry, photos, refuses, write

from imtext.data import GENERATED, READERS, load_dataset
from imtext.data.flickr import read_tokens
from imtext.errors import ConfigError

SPLITS = {"train": ("a.jpg", "b.jpg"), "dev": ("c.jpg",), "test": ("d.jpg",)}


@pytest.fixture
def flickr(tmp_path) -> Path:
    """A Flickr8k of four images, two captions each, with one unused photograph and the famous missing one."""
    root = tmp_path / "flickr"
    text = root / "Flickr8k_text"
    lines = [f"{name}.jpg#{k}\tCaption {k} of {name} ." for name in "abcde" for k in (0, 1)]
    lines += [f"2258277193_586949ec62.jpg.1#{k}\tA man ." for k in range(5)]
    write(text / "Flickr8k.token.txt", "\n".join(lines) + "\n")
    for split, names in SPLITS.items():
        write(text / f"Flickr_8k.{split}Images.txt", "\n".join(names) + "\n")
    photos(*(root / "Flicker8k_Dataset" / f"{name}.jpg" for name in "abcde"))
    return root


@pytest.fixture
def karpathy(tmp_path):
    """A function that writes a Karpathy folder, after a change of the content, and returns it."""

    def make(change=lambda content: None, name: str = "dataset.json") -> Path:
        root, images = tmp_path / "karpathy", []
        for i, (letter, split) in enumerate(zip("abcd", ("train", "restval", "val", "test"), strict=True)):
            said, more = [f"Caption {k} of {letter} .\n" for k in range(3)], {"filepath": "val2014"}
            images.append(entry(f"{letter}.jpg", split, said, imgid=i, cocoid=100 + i, **more))
            photos(root / "images" / "val2014" / f"{letter}.jpg")
        content = {"dataset": "mine", "images": images}
        change(content)
        write(root / name, content)
        return root

    return make


def test_flickr8k_form(flickr):
    refuses("flickr8k", "expected 6,000 images in split train .*, found 2; .*subset=True", flickr)
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.image_ids == ("a", "b", "c", "d")
    assert data.split_of_image.tolist() == ["train", "train", "val", "test"]
    assert data.captions[:3] == ("Caption 0 of a .", "Caption 1 of a .", "Caption 0 of b .")
    assert data.image_of_caption.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.image_path(2).is_file()
    assert data.notes == (
        "2 images with 7 captions of Flickr8k.token.txt are in no split: left out",
        "1 image files beside them are not used (Flicker8k_Dataset/e.jpg)",
    )


def test_flickr30k_token_form(flickr):
    (flickr / "Flickr8k_text" / "Flickr8k.token.txt").rename(flickr / "results_20130124.token")
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        write(flickr / f"{split}.txt", "\n".join(names) + "\n")
    data = load_dataset("flickr30k", flickr, subset=True)
    assert data.image_files == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    refuses("flickr30k", "expected 29,783 images in split train .*Entities.*, found 2", flickr)


def test_windows_line_ends_byte_order_mark_and_odd_separators(flickr):
    path = flickr / "Flickr8k_text" / "Flickr8k.token.txt"
    text = path.read_text(encoding="utf-8").replace("Caption 0 of a .", "Un caf\u00e9\u2028 noir .")
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.captions[:2] == ("Un caf\u00e9 noir .", "Caption 1 of a .")


def test_captions_are_ordered_by_number(tmp_path):
    path = write(tmp_path / "x.token", "a.jpg#10\tlast\nb.jpg#0\tother\na.jpg#2\tfirst\n")
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
    write(flickr / "Flickr8k_text" / "Flickr8k.token.txt", line, "latin-1")
    refuses("flickr8k", message, flickr, subset=True)


def test_missing_things(flickr, tmp_path):
    refuses("flickr8k", "expected a folder with .*, found nothing; correct data_root", tmp_path / "no")
    refuses("flickr8k", "file: expected a pack", write(tmp_path / "file", "x"))
    (flickr / "Flicker8k_Dataset" / "b.jpg").unlink()
    data = load_dataset("flickr8k", flickr, subset=True)
    assert data.n_images == 3 and "1 of 4 images are missing: left out (b.jpg)" in data.notes
    assert load_dataset("flickr8k", flickr, subset=True, check_files=False).n_images == 4
    shutil.rmtree(flickr / "Flicker8k_Dataset")
    for message, file in (
        (r"trainImages.txt, line 1: expected image a.jpg in .*\(4 of 4", "Flickr_8k.devImages.txt"),
        ("expected Flickr_8k.devImages.txt, found none; .*no split", "Flickr8k.token.txt"),
        ("expected dataset_flickr8k.json or Flickr8k.token.txt or", "Flickr_8k.testImages.txt"),
    ):
        refuses("flickr8k", message, flickr, subset=True)
        (flickr / "Flickr8k_text" / file).unlink()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg", "testImages.txt, line 2: image b.jpg .split test. is also at .*line 2 .split train."),
        ("d.jpg", "line 2: image d.jpg .split test. is also at .*line 1 .split test."),
        ("../d.jpg", "leaves the image folder"),
    ],
)
def test_overlapping_splits_and_duplicates(flickr, line, message):
    write(flickr / "Flickr8k_text" / "Flickr_8k.testImages.txt", f"d.jpg\n{line}\n")
    refuses("flickr8k", message, flickr, subset=True)


def test_empty_captions(flickr):
    path = flickr / "Flickr8k_text" / "Flickr8k.token.txt"
    path.write_text(re.sub("Caption . of d .|Caption 0 of a .", " ", path.read_text()))
    refuses("flickr8k", "image a.jpg has an empty caption; .*on_empty='skip'", flickr, subset=True)
    data = load_dataset("flickr8k", flickr, subset=True, on_empty="skip")
    assert data.image_ids == ("a", "b", "c")
    assert data.captions[0] == "Caption 1 of a ."
    assert "3 empty captions left out, and 1 images that have no other" in data.notes
    refuses("flickr8k", "on_empty='drop'", flickr, ConfigError, on_empty="drop")


def test_karpathy_form(karpathy):
    root = karpathy()
    data = load_dataset("karpathy", root)
    assert data.name == "mine" and data.notes == ()
    assert data.split_of_image.tolist() == ["train", "train", "val", "test"]
    assert data.image_files[1] == "val2014/b.jpg" and data.image_path(3).is_file()
    assert data.image_ids == ("100", "101", "102", "103")
    assert data.captions[3] == "Caption 0 of b ."
    assert load_dataset("karpathy", root, json_file="dataset.json").n_images == 4
    refuses("karpathy", "nothing.json: expected a file, found none", root, json_file="nothing.json")
    whole = (root / "dataset.json").read_text()
    for text in (whole[: len(whole) // 2], "[" * 100_000):
        write(root / "dataset.json", text)
        refuses("karpathy", "dataset.json: .*; .* fetch the file again", root)
    (root / "dataset.json").unlink()
    refuses("karpathy", "expected one dataset.*json, found none", root)


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
    refuses("karpathy", "nowhere: expected a folder with the images", root, images="nowhere")


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
    refuses("karpathy", message, karpathy(change))


def test_registry_messages(tmp_path):
    photographs = {"flickr8k", "flickr30k", "flickr30k_entities", "coco", "cuhk_pedes", "karpathy", "own"}
    assert set(READERS) == photographs | {"precomp", "coco_precomp", "f30k_precomp"}
    assert set(GENERATED) == {"picturebook", "picturebook_pedestrians"}
    refuses("flickr8k", "pass data_root", None, ConfigError)
    message = "unknown option 'sizes'; expected one of subset, on_empty, check_files"
    refuses("flickr8k", message, tmp_path, ConfigError, sizes=3)


def test_real_flickr8k(shared_data):
    data = load_dataset("flickr8k", shared_data / "flickr8k")
    counts = [(data.split(s).n_images, data.split(s).n_captions) for s in ("train", "val", "test")]
    assert counts == [(6000, 30000), (1000, 5000), (1000, 5000)]
    left_out, unused = data.notes
    assert left_out == "93 images with 460 captions of Flickr8k.token.txt are in no split: left out"
    assert unused.startswith("91 image files beside them are not used")
    assert data.edition == "Flickr8k, official split" and data.image_ids[0] == "2513260012_03d33305cf"
    assert data.image_of_caption.tolist() == [i for i in range(8000) for _ in range(5)]
