"""The check of captions, features and embeddings, the published counts, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cyclopts import CycloptsError
from folders import coco_file, plain, write

from imtext.cli import app
from imtext.data import Dataset
from imtext.data.assemble import EDITIONS
from imtext.data.check import (
    Report,
    check_arrays,
    check_dataset,
    is_broken,
    repaired,
    see_captions,
    see_counts,
)
from imtext.errors import ConfigError, DataError


def dataset(captions: list[list[str]], splits: list[str]) -> Dataset:
    files, counts = [f"{i}.jpg" for i in range(len(captions))], [len(each) for each in captions]
    flat, owner = [caption for each in captions for caption in each], np.arange(len(files)).repeat(counts)
    return plain(Path("."), files, splits, captions=flat, image_of_caption=owner)


def seen_of(data: Dataset) -> Report:
    """The report on captions alone."""
    report = Report("mine", ".")
    see_captions(report, data)
    return report


@pytest.mark.parametrize(
    ("caption", "meant"),
    [
        ("a man\u00e2\u20ac\u2122s dog", "a man’s dog"),
        ("a caf\u00c3\u00a9", "a café"),
        ("a \ufffd dog", "a \ufffd dog"),
        ("\ufeffa dog", "a dog"),
        ("a \x1b[2J dog", "a [2J dog"),
        ("a\u200b dog", "a dog"),
        ("a dog &amp; a cat", "a dog & a cat"),
        ("a &#39;dog&#39; <3", "a 'dog' <3"),
    ],
)
def test_each_kind_of_broken_text(caption, meant):
    assert repaired(caption) == meant
    findings = seen_of(dataset([[caption, "fine"]], ["train"])).findings
    assert [(finding.level, finding.code) for finding in findings] == [("remark", "broken-text")]
    assert findings[0].examples[0].endswith(f"-> {meant}")
    assert "\x1b" not in findings[0].examples[0]


@pytest.mark.parametrize(
    "caption", ["naïve café – “so” …", "AT&T & R&B; mine", "ein Hund läuft", "狗在跑", "a  dog's n’t", "½ 😀"]
)
def test_text_that_is_right_is_left_alone(caption):
    assert not is_broken(caption)


def test_captions_per_image_and_those_that_splits_share():
    captions = [["A dog .", "x"], ["a dog", "y"], ["z", "Z ."], ["A cat ."], ["a cat"]]
    report = seen_of(dataset(captions, ["train", "test", "test", "val", "val"]))
    assert report.seen["Captions"] == ["per image: mean 1.60 (2 for 3 images, 1 for 2 images)"]
    (finding,) = report.findings
    assert (finding.level, finding.code, finding.examples) == ("remark", "shared-captions", ("a dog",))


def test_features_are_looked_at_in_place_of_pictures(tmp_path):
    rows = np.ones((4, 2, 3), np.float32) * np.arange(1, 5, dtype=np.float32)[:, None, None]
    rows[1, 0, 0], rows[2] = np.nan, 0
    for split in ("train", "dev", "test"):
        np.save(tmp_path / f"{split}_ims.npy", rows if split == "train" else rows[:1] + 7)
        write(tmp_path / f"{split}_caps.txt", "A caption .\n" * (20 if split == "train" else 5))
    report = check_dataset("precomp", tmp_path)
    found = {finding.code: finding for finding in report.findings if finding.code in ("not-finite", "zeros")}
    assert {code: len(finding.examples) for code, finding in found.items()} == {"not-finite": 1, "zeros": 1}
    assert report.seen["Features"] == ["6 x 2 x 3"] and not report.ok


@pytest.mark.parametrize(
    ("images", "captions", "owner", "codes"),
    [
        (np.eye(3), np.eye(3)[[0, 0, 1]], [0, 0, 1], {"equal-rows", "no-caption"}),
        (np.eye(2), np.eye(3), [0, 1, 1], {"shape"}),
        (np.ones(3), np.eye(3), [0, 1, 2], {"shape"}),
        (np.eye(2), np.eye(2), [0, 2], {"shape"}),
        (np.eye(2), np.eye(2), [0.0, 1.0], {"shape"}),
        (np.array([["a", "b"]]), np.eye(2), [0, 0], {"shape"}),
    ],
)
def test_embeddings(images, captions, owner, codes):
    report = check_arrays("x.npz", images, captions, np.array(owner))
    assert {finding.code for finding in report.findings} == codes and report.ok == (codes != {"shape"})
    shapes = f"found images {images.shape}, captions {captions.shape}"
    assert report.ok or shapes in report.findings[0].message


def test_published_counts_are_those_of_the_edition():
    one, report = dataset([["a"]], ["train"]), Report("coco", "")
    see_counts(report, one, EDITIONS["coco 2017"], False)
    assert {finding.code for finding in report.findings} == {"counts", "split-absent"}
    assert report.counts["train"]["published"] == {"images": 118_287, "captions": 591_753}
    other = Report("own", "")
    see_counts(other, one, None, False)
    assert other.findings == []


def command(*words: str) -> int:
    return app(["data", "check", *words])


def test_the_command(tmp_path, capsys):
    write(tmp_path / "captions_val2017.json", coco_file({1: "1.jpg"}, [(1, 1, "A dog .")]))
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
    assert command("embeddings", "--root", str(path)) == 0 and "3 x 3" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="take no options"):
        command("embeddings", "--root", str(path), "-p", "subset", "true")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="cannot be read"):
        command("embeddings", "--root", str(path))
