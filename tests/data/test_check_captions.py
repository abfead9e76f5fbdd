"""The check of captions, features and embeddings, the published counts, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cyclopts import CycloptsError

from imtext.cli import app
from imtext.data import Dataset
from imtext.data.check import Report, check_arrays, check_dataset
from imtext.data.check.sections import repaired, see_captions, see_counts, troubles_of
from imtext.data.editions import EDITIONS
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


def seen_of(data: Dataset) -> Report:
    """The report on captions alone."""
    report = Report("mine", ".")
    see_captions(report, data)
    return report


@pytest.mark.parametrize(
    ("caption", "trouble", "meant"),
    [
        ("a man\u00e2\u20ac\u2122s dog", "mojibake", "a man’s dog"),
        ("a caf\u00c3\u00a9", "mojibake", "a café"),
        ("a \ufffd dog", "replacement", "a \ufffd dog"),
        ("\ufeffa dog", "byte-order-mark", "a dog"),
        ("a \x1b[2J dog", "control", "a [2J dog"),
        ("a\u200b dog", "control", "a dog"),
        ("a dog &amp; a cat", "entity", "a dog & a cat"),
        ("a &#39;dog&#39; <3", "entity", "a 'dog' <3"),
    ],
)
def test_each_kind_of_broken_text(caption, trouble, meant):
    assert troubles_of(caption) == [trouble]
    assert repaired(caption) == meant
    findings = seen_of(dataset([[caption, "fine"]], ["train"])).findings
    assert [(finding.level, finding.code) for finding in findings] == [("remark", trouble)]
    assert findings[0].examples[0].endswith(f"-> {meant}")
    assert "\x1b" not in findings[0].examples[0]


@pytest.mark.parametrize(
    "caption", ["naïve café – “so” …", "AT&T & R&B; mine", "ein Hund läuft", "狗在跑", "a  dog's n’t", "½ 😀"]
)
def test_text_that_is_right_is_left_alone(caption):
    assert troubles_of(caption) == []


def test_captions_per_image():
    report = seen_of(dataset([["a b"], ["a", "b c d"], ["x", "y", "z"]], ["train"] * 3))
    assert report.seen["Captions"] == ["per image: mean 2.00 (1 for 1 image, 2 for 1 image, 3 for 1 image)"]


def test_captions_that_splits_share():
    data = dataset(
        [["A dog .", "x"], ["a dog", "y"], ["z", "Z ."], ["A cat ."], ["a cat"]],
        ["train", "test", "test", "val", "val"],
    )
    (finding,) = seen_of(data).findings
    assert (finding.level, finding.code, finding.examples) == ("remark", "shared-captions", ("a dog",))


def test_features_are_looked_at_in_place_of_pictures(tmp_path):
    rows = np.ones((4, 2, 3), np.float32) * np.arange(1, 5, dtype=np.float32)[:, None, None]
    rows[1, 0, 0], rows[2] = np.nan, 0
    for split in ("train", "dev", "test"):
        np.save(tmp_path / f"{split}_ims.npy", rows if split == "train" else rows[:1] + 7)
        captions = "".join(f"caption {i} .\n" for i in range(20 if split == "train" else 5))
        (tmp_path / f"{split}_caps.txt").write_text(captions, encoding="utf-8")
    report = check_dataset("precomp", tmp_path)
    found = {finding.code: finding for finding in report.findings if finding.code in ("not-finite", "zeros")}
    assert {code: len(finding.examples) for code, finding in found.items()} == {"not-finite": 1, "zeros": 1}
    assert report.seen["Features"] == ["6 x 2 x 3"] and not report.ok


def test_embeddings():
    images, captions = np.eye(3), np.eye(3)[[0, 0, 1]]
    report = check_arrays("x.npz", images, captions, np.array([0, 0, 1]))
    assert {finding.code for finding in report.findings} == {"equal-rows", "no-caption"}
    assert report.ok


@pytest.mark.parametrize(
    ("images", "captions", "owner"),
    [
        (np.eye(2), np.eye(3), [0, 1, 1]),
        (np.ones(3), np.eye(3), [0, 1, 2]),
        (np.eye(2), np.eye(2), [0, 2]),
        (np.eye(2), np.eye(2), [0.0, 1.0]),
        (np.array([["a", "b"]]), np.eye(2), [0, 0]),
    ],
)
def test_embeddings_that_do_not_fit(images, captions, owner):
    (finding,) = check_arrays("x.npz", images, captions, np.array(owner)).findings
    assert (finding.level, finding.code) == ("error", "shape")
    assert f"found images {images.shape}, captions {captions.shape}" in finding.message


def test_published_counts_are_those_of_the_edition():
    one, report = dataset([["a"]], ["train"]), Report("coco", "")
    see_counts(report, one, EDITIONS["COCO 2017, annotation files"], False)
    assert {finding.code for finding in report.findings} == {"counts", "split-absent"}
    assert report.counts["train"]["published"] == {"images": 118_287, "captions": 591_753}
    other = Report("own", "")
    see_counts(other, one, None, False)
    assert other.findings == []


def command(*words: str) -> int:
    return app(["data", "check", *words])


def test_the_command(tmp_path, capsys):
    content = {"images": [{"id": 1, "file_name": "1.jpg"}],
               "annotations": [{"image_id": 1, "id": 1, "caption": "A dog ."}]}  # fmt: skip
    (tmp_path / "captions_val2017.json").write_text(json.dumps(content), encoding="utf-8")
    words = ("coco", "--root", str(tmp_path), "--no-pictures", "-p", "year", "2017")
    assert command(*words) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"coco at {tmp_path}: 3 errors, 1 warning, 3 remarks\n")
    assert "published 25,014 (25,013 fewer)" in out
    assert command(*words, "-p", "subset", "true", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    for wrong in (("-p", "year"), ("--jobs", "0"), ("-p", "x", "["), ("-p", "no", "1")):
        with pytest.raises((ConfigError, CycloptsError)):
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
