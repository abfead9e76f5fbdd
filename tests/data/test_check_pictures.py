"""Duplicate pictures: what is found, what is not, and what two splits share."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from folders import noise, plain
from PIL import Image
from scipy.fft import idctn

from imtext.data import Dataset, check, load_dataset
from imtext.data.check import Report, identical_pairs, look_at, near_pairs, see_pictures


def findings(data: Dataset) -> list:
    report = Report("mine", ".")
    see_pictures(report, data, True, 1)
    return [finding for finding in report.findings if "-" in finding.code]


@pytest.fixture
def five(tmp_path) -> Dataset:
    """Five different pictures in three splits."""
    splits = {"a.png": "train", "b.png": "train", "c.png": "val", "d.png": "test", "e.png": "test"}
    for seed, file in enumerate(splits):
        noise(seed).save(tmp_path / file)
    return plain(tmp_path, splits, splits.values())


def test_equal_files_are_a_warning_across_splits_and_a_remark_within_one(five):
    assert findings(five) == []
    for copy, of, level, code, message in (
        ("d.png", "a.png", "warning", "identical-across", "with the same bytes across splits (train/test 1)"),
        ("d.png", "e.png", "remark", "identical-within", "with the same bytes"),
    ):
        (five.image_root / copy).write_bytes((five.image_root / of).read_bytes())
        (finding,) = findings(five)
        assert (finding.level, finding.code) == (level, code)
        assert f"1 pair of images {message}" in finding.message
        assert {copy, of} == set(re.findall(r"\w+\.png", finding.examples[0]))


@pytest.mark.parametrize("change", ["jpeg", "half", "grey", "stretched", "cut"])
def test_the_same_picture_saved_again_is_found(five, change):
    picture = noise(0)
    changed = {
        "jpeg": lambda: picture,
        "half": lambda: picture.resize((80, 60)),
        "grey": lambda: picture.convert("L"),
        "stretched": lambda: picture.resize((640, 480)),
        "cut": lambda: picture.crop((1, 1, 159, 119)),
    }[change]()
    changed.save(five.image_root / "d.png", format="JPEG", quality=60)
    (finding,) = findings(five)
    assert (finding.level, finding.code) == ("warning", "similar-across")
    assert finding.examples == ("a.png (train) and d.png (test)",)


def test_the_same_signs_of_frequencies_are_not_the_same_picture(five):
    """A hash holds which frequencies are strong, not how strong: the thumbnails tell such pictures apart."""
    random = np.random.default_rng(0)
    strong = random.random((8, 8)) < 0.5
    for file in ("a.png", "d.png"):
        spectrum = np.zeros((32, 32))
        strength = random.uniform(20, 2000, (8, 8))
        spectrum[:8, :8] = np.where(strong, strength, -strength)
        grey = 128 + idctn(spectrum, norm="ortho") / 8
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).resize((128, 128)).save(five.image_root / file)
    looks = [look_at(five.image_path(i)) for i in range(5)]
    assert (looks[0].phash ^ looks[3].phash).bit_count() <= 6
    assert findings(five) == []


def test_the_same_light_and_other_things_are_not_the_same_picture(five):
    """Bright above, dark below: thumbnails of landscapes correlate, the hashes tell them apart."""
    light = np.linspace(250, 10, 120)[:, None, None]
    for seed, file in enumerate(("a.png", "d.png")):
        things = 0.1 * (np.asarray(noise(seed + 20), dtype=float) - 128)
        Image.fromarray((light + things).clip(0, 255).astype(np.uint8)).save(five.image_root / file)
    looks = [look_at(five.image_path(i)) for i in range(5)]
    assert np.corrcoef(looks[0].thumb, looks[3].thumb)[0, 1] >= 0.95
    assert findings(five) == []


def test_pictures_that_are_flat_or_nearly_are_not_compared(five):
    """Fog and empty paper: what little they show is the same for all of them."""
    for file, colour in (("b.png", "white"), ("e.png", "#fefefe")):
        Image.new("RGB", (64, 64), colour).save(five.image_root / file)
    fog = Image.fromarray(np.linspace(200, 208, 64).astype(np.uint8)[:, None].repeat(64, axis=1))
    for file, side in (("a.png", 64), ("d.png", 96)):
        fog.resize((side, side)).save(five.image_root / file)
    assert findings(five) == []


def test_images_of_one_group_may_be_alike(five):
    (five.image_root / "e.png").write_bytes((five.image_root / "d.png").read_bytes())
    noise(0).save(five.image_root / "b.png", format="JPEG")
    persons = replace(five, group_of_image=np.array([0, 0, 1, 2, 2]))
    assert findings(persons) == []


def test_missing_and_corrupt_files_are_left_out(five):
    for file in ("a.png", "d.png"):
        (five.image_root / file).write_bytes(b"the same rubbish")
    (five.image_root / "b.png").unlink()
    assert findings(five) == []


def test_pairs_agree_with_the_comparison_of_all(tmp_path, monkeypatch):
    """Blocks, splits and order change nothing: the pairs are those of two plain loops."""
    splits = {f"{i:02d}.png": ("train", "val", "test")[i // 5 % 3] for i in range(24)}
    for i, file in enumerate(splits):
        noise(i % 8).resize((100 + 10 * (i // 8), 90)).save(tmp_path / file)
    monkeypatch.setattr(check, "BLOCK", 20)  # two or three rows at a time
    data = plain(tmp_path, splits, splits.values())
    looks = [look_at(data.image_path(i)) for i in range(24)]
    expected = set()
    for a in range(24):
        for b in range(a):
            bits = (looks[a].phash ^ looks[b].phash).bit_count()
            if bits <= 6 and np.corrcoef(looks[a].thumb, looks[b].thumb)[0, 1] >= 0.95:
                expected.add((b, a))
    assert len(expected) == 24
    assert identical_pairs(looks) == []
    pairs = [tuple(sorted(pair)) for pair in near_pairs(looks)]
    assert sorted(pairs) == sorted(expected)


def test_flickr8k_has_one_picture_twice_and_its_splits_share_none(shared_data):
    """A part of the real photographs: the pair that is known, and 600 others."""
    whole = load_dataset("flickr8k", shared_data / "flickr8k")
    pair = {"3050606344_af711c726c.jpg", "2851198725_37b6027625.jpg"}
    part = whole.take([i for i, file in enumerate(whole.image_files) if file in pair or i % 13 == 0])
    (finding,) = findings(part)
    assert finding.code == "identical-within" and all(file in finding.examples[0] for file in pair)
