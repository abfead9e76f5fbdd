"""The check of captions, features and embeddings, the published counts, and the command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from imtext.commands import data_check
from imtext.data.check.arrays import check_arrays, feature_section
from imtext.data.check.captions import (
    caption_section,
    encoding_section,
    repaired,
    shared_section,
    troubles_of,
    vocabulary_section,
)
from imtext.data.check.counts import count_section
from imtext.data.dataset import Dataset
from imtext.data.features import ImageFeatures
from imtext.errors import ConfigError, DataError


def dataset(captions: list[list[str]], splits: list[str], **more: object) -> Dataset:
    files = tuple(f"{i}.jpg" for i in range(len(captions)))
    owner = np.repeat(np.arange(len(captions)), [len(each) for each in captions])
    flat = tuple(caption for each in captions for caption in each)
    numbers = np.arange(len(captions))
    fields = {"image_files": files, "image_ids": files, "group_of_image": numbers, **more}
    return Dataset(
        "mine", Path("."), captions=flat, image_of_caption=owner, split_of_image=np.array(splits), **fields
    )


@pytest.mark.parametrize(
    ("caption", "trouble", "meant"),
    [
        ("a man\u00e2\u20ac\u2122s dog", "mojibake", "a man’s dog"),
        ("a caf\u00c3\u00a9", "mojibake", "a café"),
        ("a \ufffd dog", "replacement", "a \ufffd dog"),
        ("\ufeffa dog", "byte-order-mark", "a dog"),
        ("a \x1b[2J dog", "control", "a dog"),
        ("a\u200b dog", "control", "a dog"),
        ("a dog &amp; a cat", "entity", "a dog & a cat"),
        ("a &#39;dog&#39; <3", "entity", "a 'dog' <3"),
    ],
)
def test_each_kind_of_broken_text(caption, trouble, meant):
    assert troubles_of(caption) == [trouble]
    assert repaired(caption) == meant
    findings = encoding_section(dataset([[caption, "fine"]], ["train"])).findings
    assert [(finding.level, finding.code) for finding in findings] == [("remark", trouble)]
    assert findings[0].examples[0].endswith(f"-> {meant}")
    assert "\x1b" not in findings[0].examples[0]


@pytest.mark.parametrize(
    "caption", ["naïve café – “so” …", "AT&T & R&B; mine", "ein Hund läuft", "狗在跑", "a  dog's n’t", "½ 😀"]
)
def test_text_that_is_right_is_left_alone(caption):
    assert troubles_of(caption) == []


def test_captions_per_image():
    facts = caption_section(dataset([["a b"], ["a", "b c d"], ["x", "y", "z"]], ["train"] * 3)).facts
    assert facts["per_image"] == {"min": 1, "mean": 2.0, "max": 3}
    assert facts["histogram"] == {"1": 1, "2": 1, "3": 1}
    assert facts["words"] == {"min": 1, "median": 1.0, "max": 3}


def test_captions_that_images_share():
    data = dataset(
        [["A dog .", "x"], ["a dog", "y"], ["z", "Z ."], ["A cat ."], ["a cat"]],
        ["train", "test", "test", "val", "val"],
    )
    section = shared_section(data)
    assert section.facts == {"across_splits": 1, "within_splits": 1}
    assert section.findings[0].level == "remark"
    assert section.findings[0].examples == ("a dog",)


def test_words_never_trained_on():
    data = dataset([["a dog runs"], ["a cat runs"], ["a cat cat sits"]], ["train", "val", "test"])
    facts = vocabulary_section(data, str.split).facts
    assert facts["train"] == {"types": 3, "tokens": 3}
    assert facts["test"]["unseen_types"] == 2
    assert facts["test"]["unseen_tokens"] == 3
    assert facts["test"]["most_frequent_unseen"] == [["cat", 2], ["sits", 1]]
    alone = vocabulary_section(dataset([["a dog"]], ["val"]), str.split)
    assert "nothing to compare" in alone.lines[0]


def test_features_are_looked_at_in_place_of_pictures():
    rows = np.ones((4, 2, 3), np.float32) * np.arange(1, 5, dtype=np.float32)[:, None, None]
    rows[1, 0, 0], rows[2] = np.nan, 0
    features = ImageFeatures((rows,), np.arange(4))
    section = feature_section(dataset([["a"]] * 4, ["train"] * 4, features=features))
    assert section.facts["shape"] == [4, 2, 3]
    assert {finding.code: finding.examples for finding in section.findings} == {
        "not-finite": ("1.jpg",),
        "zeros": ("2.jpg",),
    }


def test_embeddings():
    images, captions = np.eye(3), np.eye(3)[[0, 0, 1]]
    report = check_arrays("x.npz", images, captions, np.array([0, 0, 1]))
    assert {finding.code for finding in report.findings} == {"equal-rows", "no-caption"}
    assert report.ok
    huge = check_arrays("x.npz", images * 1e300, captions, np.array([0, 1, 2]))
    json.dumps(huge.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("images", "captions", "owner", "message"),
    [
        (np.eye(2), np.eye(3), [0, 1, 1], "images have 2 columns and captions 3"),
        (np.ones(3), np.eye(3), [0, 1, 2], "expected numbers of shape"),
        (np.eye(2), np.eye(2), [0, 2], "found 0 to 2"),
        (np.eye(2), np.eye(2), [0.0, 1.0], "expected 2 integers"),
        (np.array([["a", "b"]]), np.eye(2), [0, 0], "expected numbers of shape"),
    ],
)
def test_embeddings_that_do_not_fit(images, captions, owner, message):
    report = check_arrays("x.npz", images, captions, np.array(owner))
    assert not report.ok
    assert message in report.findings[0].message


def test_published_counts_are_those_of_the_edition():
    known = count_section(dataset([["a"]], ["train"], edition="COCO 2017, annotation files"), False)
    assert {finding.code for finding in known.findings} == {"counts", "split-absent"}
    assert known.facts["splits"]["train"]["published"] == {"images": 118_287, "captions": 591_753}
    assert count_section(dataset([["a"]], ["train"]), False).findings == ()


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    data_check.add(parser.add_subparsers())
    arguments = parser.parse_args(["check", *words])
    return arguments.run(arguments)


def test_the_command(tmp_path, capsys):
    content = {"images": [{"id": 1, "file_name": "1.jpg"}],
               "annotations": [{"image_id": 1, "id": 1, "caption": "A dog ."}]}  # fmt: skip
    (tmp_path / "captions_val2017.json").write_text(json.dumps(content), encoding="utf-8")
    words = ("coco", "--root", str(tmp_path), "--no-pictures", "--option", "year=2017")
    assert command(*words) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"coco at {tmp_path}: 3 errors, 1 warning, 3 remarks\n")
    assert "published 25,014 (25,013 fewer)" in out
    assert command(*words, "--option", "subset=true", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    for wrong in (("--option", "year"), ("--jobs", "0"), ("--option", "x=["), ("--option", "no=1")):
        with pytest.raises(ConfigError):
            command(*words, *wrong)
    with pytest.raises(DataError, match="found nothing"):
        command("flickr8k", "--root", str(tmp_path / "nowhere"))


def test_the_command_on_embeddings(tmp_path, capsys):
    path = tmp_path / "x.npz"
    np.savez(path, images=np.eye(3), captions=np.eye(3), image_of_caption=np.arange(3))
    assert command("embeddings", "--root", str(path)) == 0
    assert "3 x 3" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:40])
    assert command("embeddings", "--root", str(path)) == 1
    assert "the reader refuses it" in capsys.readouterr().out
    with pytest.raises(DataError, match="found nothing"):
        command("embeddings", "--root", str(tmp_path / "none.npz"))
