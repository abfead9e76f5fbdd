"""The check of a dataset: each finding provoked once, and what the report says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from folders import coco_file, entry, noise, write

from imtext.data.check import Finding, Report, check_dataset
from imtext.errors import ConfigError, DataError

SPLITS = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}


class Folder:
    """A dataset in Karpathy's form, written as it is at the time of ``check``."""

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, "mine"
        self.captions = {key: [f"A {key} thing .", f"The {key} thing ."] for key in SPLITS}
        (root / "images").mkdir()
        for seed, key in enumerate(SPLITS):
            noise(seed, (96, 64)).save(self.image(key), quality=92)

    def image(self, key: str) -> Path:
        return self.root / "images" / f"{key}.jpg"

    def check(self, **more: object) -> Report:
        images = [entry(f"{key}.jpg", split, self.captions[key]) for key, split in SPLITS.items()]
        write(self.root / "dataset_mine.json", {"dataset": self.name, "images": images})
        return check_dataset("karpathy", self.root, n_jobs=1, **more)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def codes(report: Report) -> dict[str, Finding]:
    return {finding.code: finding for finding in report.findings}


def test_what_is_right_is_called_right(folder):
    noise(7).save(folder.image("a"), format="PNG")  # another kind than the name says
    noise(8).convert("L").save(folder.image("b"))
    noise(9).convert("CMYK").save(folder.image("c"))
    report = folder.check()
    assert report.ok and report.findings == []
    lines = str(report).splitlines()
    assert lines[0] == f"karpathy at {folder.root}: right" and lines[-1] == "To do: nothing."
    assert "  5 of 5 files decoded" in lines and "  per image: mean 2.00 (2 for 5 images)" in lines
    facts = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert facts["counts"]["train"] == {"images": 3, "captions": 6, "groups": 3, "published": {}}


def test_missing_images_are_counted_and_the_rest_is_examined(folder):
    for key in "bd":
        folder.image(key).unlink()
    report = folder.check()
    found = codes(report)
    assert not report.ok
    assert "2 of 5 images are missing" in found["reader"].message
    assert found["missing"].examples == ("b.jpg", "d.jpg")
    assert "3 of 5 files decoded" in report.seen["Images"]
    assert "To do: fetch the missing images, or check the captions alone (--no-pictures)" in str(report)
    for key in "ace":
        folder.image(key).unlink()
    assert "--no-pictures" in str(folder.check())
    report = folder.check(pictures=False)
    assert report.ok and list(codes(report)) == ["pictures-skipped"] and "Images" not in report.seen


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_is_corrupt(folder, share):
    noise(0, (640, 480)).save(folder.image("c"), quality=92)
    whole = folder.image("c").read_bytes()
    folder.image("c").write_bytes(whole[: int(len(whole) * share)])
    corrupt = codes(folder.check(duplicates=share > 0.5))["corrupt"]
    assert corrupt.level == "error" and len(corrupt.examples) == 1
    assert corrupt.examples[0].startswith("c.jpg: image file is truncated")


def test_empty_files_text_folders_and_pipes_in_place_of_images(folder):
    for key in "abce":
        folder.image(key).unlink()
    write(folder.image("a"), b"")
    write(folder.image("b"), "<html>404</html>")
    folder.image("c").mkdir()
    os.mkfifo(folder.image("e"))  # does not hang
    found = codes(folder.check())
    assert found["empty"].examples == ("a.jpg: 0 bytes",)
    text, *others = found["corrupt"].examples
    assert "b.jpg: cannot identify image file" in text
    assert others == ["c.jpg: not a file", "e.jpg: not a file"]


def test_wrong_counts_are_shown_for_each_split(folder):
    folder.name = "flickr8k"
    report = folder.check()
    found = [finding for finding in report.findings if finding.code == "counts"]
    assert [finding.level for finding in found] == ["error"] * 3
    assert found[0].message == "split train: 3 images, published 6,000 (5,997 fewer)"
    assert "expected 6,000 images" in codes(report)["reader"].message
    assert report.seen["Counts"][-1] == "published: Flickr8k, split of Karpathy and Fei-Fei"
    assert report.to_dict()["counts"]["train"]["published"] == {"images": 6000}
    report = folder.check(options={"subset": True})
    assert report.verdict() == "right, 3 warnings"


def test_what_cannot_be_read_at_all_has_the_readers_message_alone(folder):
    (folder.root / "dataset_mine.json").write_text('{"images": [')
    report = check_dataset("karpathy", folder.root)
    (finding,) = report.findings
    assert finding.code == "reader" and "dataset_mine.json: input data was truncated" in finding.message
    assert report.seen == {} and not report.ok


def test_empty_captions_are_an_error_and_the_rest_is_examined(folder):
    folder.captions["a"].append("")
    report = folder.check()
    assert "empty caption" in codes(report)["reader"].message
    assert codes(report)["note"].message.startswith("1 empty captions left out")
    assert "5 of 5 files decoded" in report.seen["Images"]


def test_what_the_reader_notes_is_a_remark(tmp_path):
    write(tmp_path / "captions_val2017.json", coco_file({1: "1.jpg"}, [(1, 1, "A dog .")]))
    report = check_dataset("coco", tmp_path, pictures=False, options={"year": 2017})
    levels = [(finding.level, finding.code) for finding in report.findings]
    assert levels.count(("remark", "note")) == 2 and levels.count(("error", "counts")) == 2
    assert ("warning", "split-absent") in levels and "published 5,000" in str(report)


def test_generated_datasets_are_read_and_not_generated(tmp_path):
    with pytest.raises(DataError, match="expected one generated picturebook, found 0"):
        check_dataset("picturebook", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"name": "flickr9k"}, ConfigError, "expected one of picturebook"),
        ({"name": "flickr8k", "root": "nowhere"}, DataError, "found nothing; correct the root"),
        ({"name": "flickr8k", "options": {"yeer": 1}}, ConfigError, "unknown option 'yeer'"),
        ({"name": "karpathy", "options": {"json_file": 5}}, ConfigError, "one has a value of the wrong"),
        ({"name": "flickr8k", "n_jobs": 0}, ConfigError, "n_jobs=0"),
    ],
)
def test_what_cannot_be_checked_raises(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        check_dataset(**{"root": tmp_path, **call})


def test_the_report_shows_ten_and_json_all(folder):
    many = Finding("remark", "odd", "many", tuple(f"{i}.jpg" for i in range(25)))
    report = Report("mine", "here", [many])
    assert "... and 15 more; --json lists them" in str(report)
    assert len(report.to_dict()["findings"][0]["examples"]) == 25
    assert max(map(len, str(report).splitlines())) <= 100


def test_flickr8k_as_it_is(shared_data):
    report = check_dataset("flickr8k", shared_data / "flickr8k", pictures=False)
    assert report.ok
    assert report.of("warning") == []
    published = {"images": 1000}
    assert report.counts["val"] == published | {"captions": 5000, "groups": 1000, "published": published}
    assert report.seen["Captions"] == ["per image: mean 5.00 (5 for 8,000 images)"]
    assert any("93 images with 460 captions" in finding.message for finding in report.findings)
