"""Duplicate pictures: what is found, what is not, and what two splits share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import idctn

from imtext.data.check import duplicates
from imtext.data.check.duplicates import duplicate_section, identical_pairs, near_pairs
from imtext.data.check.images import look_at, look_at_all
from imtext.data.check.report import Section
from imtext.data.dataset import Dataset


def noise(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    grey = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)


def dataset(root: Path, splits: dict[str, str]) -> Dataset:
    files = tuple(splits)
    numbers = np.arange(len(files))
    captions = tuple(f"Picture {file} ." for file in files)
    return Dataset("mine", root, files, files, captions, numbers, np.array(list(splits.values())), numbers)


def section(data: Dataset) -> Section:
    return duplicate_section(data, look_at_all(data, True, 1))


def found(data: Dataset) -> dict[str, int]:
    """Number of pairs by code."""
    return {finding.code: len(finding.examples) for finding in section(data).findings}


@pytest.fixture
def five(tmp_path) -> Dataset:
    """Five different pictures in three splits."""
    splits = {"a.png": "train", "b.png": "train", "c.png": "val", "d.png": "test", "e.png": "test"}
    for seed, file in enumerate(splits):
        noise(seed).save(tmp_path / file)
    return dataset(tmp_path, splits)


def test_different_pictures_are_no_duplicates(five):
    assert found(five) == {}


def test_equal_files_across_splits_are_a_warning(five):
    (five.image_root / "d.png").write_bytes((five.image_root / "a.png").read_bytes())
    finding = section(five).findings[0]
    assert (finding.level, finding.code) == ("warning", "identical-across")
    assert finding.message == "1 pair of pictures with the same bytes across splits (train/test 1)"
    assert finding.examples == ("a.png (train) = d.png (test)",)
    assert found(five) == {"identical-across": 1}


def test_equal_files_within_a_split_are_a_remark(five):
    (five.image_root / "e.png").write_bytes((five.image_root / "d.png").read_bytes())
    result = section(five)
    assert [(finding.level, finding.code) for finding in result.findings] == [("remark", "identical-within")]
    assert result.facts["identical_within_splits"] == [
        {"files": ["d.png", "e.png"], "splits": ["test", "test"]}
    ]


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
    fact = section(five).facts["similar_across_splits"]
    assert [sorted(pair["files"]) for pair in fact] == [["a.png", "d.png"]]
    assert fact[0]["bits"] <= 6
    assert fact[0]["correlation"] >= 0.95


def test_flat_pictures_share_a_hash_and_are_no_duplicates(five):
    for file, colour in (("a.png", "white"), ("b.png", "#fefefe"), ("d.png", "gray"), ("e.png", "black")):
        Image.new("RGB", (64, 64), colour).save(five.image_root / file)
    assert found(five) == {}


def test_the_same_signs_of_frequencies_are_not_the_same_picture(five):
    """A hash holds which frequencies are strong, not how strong: the thumbnails tell such pictures apart."""
    random = np.random.default_rng(0)
    strong = random.random((8, 8)) < 0.5
    for file in ("a.png", "d.png"):
        spectrum = np.zeros((32, 32))
        spectrum[:8, :8] = np.where(
            strong, random.uniform(20, 2000, (8, 8)), -random.uniform(20, 2000, (8, 8))
        )
        grey = 128 + idctn(spectrum, norm="ortho") / 8
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).resize((128, 128)).save(five.image_root / file)
    looks = look_at_all(five, True, 1)
    assert (looks[0].phash ^ looks[3].phash).bit_count() <= 6
    assert found(five) == {}


def test_the_same_light_and_other_things_are_not_the_same_picture(five):
    """Bright above, dark below: thumbnails of landscapes correlate, the hashes tell them apart."""
    light = np.linspace(250, 10, 120)[:, None, None]
    for seed, file in enumerate(("a.png", "d.png")):
        things = 0.1 * (np.asarray(noise(seed + 20), dtype=float) - 128)
        Image.fromarray((light + things).clip(0, 255).astype(np.uint8)).save(five.image_root / file)
    looks = look_at_all(five, True, 1)
    assert np.corrcoef(looks[0].thumb, looks[3].thumb)[0, 1] >= 0.95
    assert found(five) == {}


def test_pictures_that_are_nearly_flat_are_not_compared(five):
    """Fog and empty paper: what little they show is the same for all of them."""
    fog = Image.fromarray(np.linspace(200, 208, 64).astype(np.uint8)[:, None].repeat(64, axis=1))
    fog.save(five.image_root / "a.png")
    fog.resize((96, 96)).save(five.image_root / "d.png")
    assert found(five) == {}


def test_images_of_one_group_may_be_alike(five):
    (five.image_root / "e.png").write_bytes((five.image_root / "d.png").read_bytes())
    noise(0).save(five.image_root / "b.png", format="JPEG")
    persons = replace(five, group_of_image=np.array([0, 0, 1, 2, 2]))
    assert found(persons) == {}


def test_missing_and_corrupt_files_are_left_out(five):
    for file in ("a.png", "d.png"):
        (five.image_root / file).write_bytes(b"the same rubbish")
    (five.image_root / "b.png").unlink()
    assert found(five) == {}


def test_pairs_agree_with_the_comparison_of_all(tmp_path, monkeypatch):
    """Blocks, splits and order change nothing: the pairs are those of two plain loops."""
    splits = {f"{i:02d}.png": ("train", "val", "test")[i // 5 % 3] for i in range(24)}
    for i, file in enumerate(splits):
        noise(i % 8).resize((100 + 10 * (i // 8), 90)).save(tmp_path / file)
    monkeypatch.setattr(duplicates, "_BLOCK", 20)  # two or three rows at a time
    data = dataset(tmp_path, splits)
    looks = look_at_all(data, True, 2)
    expected = set()
    for a in range(24):
        for b in range(a):
            bits = (looks[a].phash ^ looks[b].phash).bit_count()
            if bits <= 6 and np.corrcoef(looks[a].thumb, looks[b].thumb)[0, 1] >= 0.95:
                expected.add((b, a))
    assert len(expected) == 24
    assert identical_pairs(looks) == []
    pairs = [tuple(sorted((pair.a, pair.b))) for pair in near_pairs(data, looks)]
    assert sorted(pairs) == sorted(expected)


def test_a_named_pipe_does_not_hang(tmp_path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert look_at(tmp_path / "pipe.jpg").state == "corrupt"


def test_flickr8k_has_one_picture_twice_and_its_splits_share_none(shared_data):
    """A part of the real photographs: the pair that is known, and 600 others."""
    from imtext.data import load_dataset

    whole = load_dataset("flickr8k", shared_data / "flickr8k")
    pair = {"3050606344_af711c726c.jpg", "2851198725_37b6027625.jpg"}
    chosen = [i for i, file in enumerate(whole.image_files) if file in pair or i % 13 == 0]
    part = whole.take(chosen)
    result = section(part)
    assert {finding.code for finding in result.findings} == {"identical-within"}
    assert set(result.facts["identical_within_splits"][0]["files"]) == pair
