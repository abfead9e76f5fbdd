"""Precomputed features: which rows are which images, in every form that circulates."""

from __future__ import annotations

import re

import numpy as np
import pytest
from folders import refuses

from imtext.data import load_dataset
from imtext.data.precomp import needs_pictures
from imtext.errors import ConfigError, DataError

SIZES = {"train": 6, "dev": 3, "test": 2}


def features(stem, n, shape=(4,), dtype=np.float32):
    """Distinct rows; the first number names the row: train 0, 1, ..., dev 1000, ..."""
    start = 1000 * ("train", "dev", "test", "testall").index(stem)
    values = np.arange(n, dtype=np.float64).reshape(-1, *[1] * len(shape)) + start
    return (values + np.linspace(0, 0.5, np.prod(shape)).reshape(shape)).astype(dtype)


def lines(path, values):
    path.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")


def write(root, stem, n=None, each=5, repeat=False, ids=None, shape=(4,), dtype=np.float32):
    """The files of one split with ``each`` captions an image."""
    n = SIZES.get(stem, 3) if n is None else n
    rows = features(stem, n, shape, dtype)
    np.save(root / f"{stem}_ims.npy", np.repeat(rows, each, axis=0) if repeat else rows)
    lines(root / f"{stem}_caps.txt", (f"{stem} image {i} caption {j}" for i in range(n) for j in range(each)))
    if ids is not None:
        lines(root / f"{stem}_ids.txt", ids)


@pytest.fixture
def root(tmp_path):
    for stem in SIZES:
        write(tmp_path, stem)
    return tmp_path


def test_the_usual_form(root):
    data = load_dataset("precomp", root)
    assert data.image_files[6:9] == data.image_ids[6:9] == ("dev/000000", "dev/000001", "dev/000002")
    assert data.features.shape == (11, 4)
    assert data.features[range(11)][:, 0].tolist() == [*range(6), 1000, 1001, 1002, 2000, 2001]
    val = data.split("val")
    assert val.captions[5] == "dev image 1 caption 0"
    assert val.features[val.image_of_caption[[5]]][0, 0] == 1001
    assert isinstance(data.features.parts[0], np.memmap)
    assert data.notes == ()
    (root / "precomp").mkdir()
    for path in [*root.glob("*.npy"), *root.glob("*.txt")]:
        path.rename(root / "precomp" / path.name)
    assert load_dataset("precomp", root).fingerprint() == data.fingerprint()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("shape", [(4,), (1,), (64,), (3, 5)])
@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("check_files", [False, True])
def test_every_form_gives_the_same_images(tmp_path, dtype, shape, repeat, check_files):
    for stem in SIZES:
        write(tmp_path, stem, repeat=repeat, shape=shape, dtype=np.dtype(dtype))
    data = load_dataset("precomp", tmp_path, check_files=check_files)
    assert data.features.shape == (11, *shape)
    first = data.features[range(11)].reshape(11, -1)[:, 0]
    assert first.tolist() == [*range(6), 1000, 1001, 1002, 2000, 2001]
    assert np.bincount(data.image_of_caption).tolist() == [5] * 11
    assert sum("images kept once" in note for note in data.notes) == 3 * repeat


def test_ids_are_recognised_by_their_count_split_by_split(tmp_path):
    write(tmp_path, "train", ids=range(100, 106))  # one an image, as in the release of SCAN
    write(tmp_path, "dev", ids=np.repeat([7, 9, 8], 5))  # one a caption
    write(tmp_path, "test", repeat=True, ids=["x", "y"])
    data = load_dataset("precomp", tmp_path)
    assert data.image_ids == ("100", "101", "102", "103", "104", "105", "7", "9", "8", "x", "y")
    assert data.features[[7, 10]][:, 0].tolist() == [1001, 2001]


@pytest.mark.parametrize("repeat", [False, True])
def test_ids_of_captions_allow_any_number_for_an_image(root, repeat):
    counts = [1, 6, 2]
    rows = features("dev", 3)
    np.save(root / "dev_ims.npy", np.repeat(rows, counts, axis=0) if repeat else rows)
    lines(root / "dev_caps.txt", (f"caption {i}" for i in range(9)))
    lines(root / "dev_ids.txt", np.repeat(["a", "b", "c"], counts))
    val = load_dataset("precomp", root).split("val")
    assert np.bincount(val.image_of_caption).tolist() == counts
    assert [val.captions[i] for i in val.captions_of(2)] == ["caption 7", "caption 8"]
    assert val.features[[0, 1, 2]][:, 0].tolist() == [1000, 1001, 1002]
    message = r"dev_caps.txt: expected 5 captions .* found 9 captions and 9 ids"
    refuses("precomp", message, root, captions_per_image=5)


@pytest.mark.parametrize("ids", [False, True])
def test_one_caption_an_image_must_be_said(tmp_path, ids):
    for stem in SIZES:
        write(tmp_path, stem, n=10, each=1, ids=[f"{stem}{i}" for i in range(10)] if ids else None)
    assert load_dataset("precomp", tmp_path, captions_per_image=1).n_captions == 30
    if ids:
        assert load_dataset("precomp", tmp_path).n_captions == 30
    else:
        refuses("precomp", r"rows 0 and 1 differ.*pass captions_per_image \(1 if each", tmp_path)


def test_ids_that_name_captions_do_not_hide_repeated_rows(tmp_path):
    for stem in SIZES:
        write(tmp_path, stem, n=4, repeat=True, ids=[f"{stem}{i}" for i in range(20)])
    refuses("precomp", "rows come in equal 5s", tmp_path)
    data = load_dataset("precomp", tmp_path, captions_per_image=5)
    assert data.image_ids[:2] == ("train/000000", "train/000001")


def test_coco_tests(root):
    write(root, "testall", n=4)
    all_five, one = (load_dataset("precomp", root, **options) for options in ({}, {"test": "test"}))
    assert (all_five.image_files[-1], one.image_files[-1]) == ("testall/000003", "test/000001")
    assert "testall is the 5K test" in all_five.notes[0] and "test='testall' reads it" in one.notes[0]
    (root / "testall_ims.npy").unlink()  # never quietly the 1K test
    refuses("precomp", r"testall_ims.npy: expected an .npy file, found none", root)
    refuses("precomp", "test='5k'", root, ConfigError, test="5k")


def test_published_counts(root):
    refuses("coco_precomp", "expected 113,287 images in split train .*1K test", root)
    refuses("f30k_precomp", "expected 29,000 images in split train", root)
    assert load_dataset("f30k_precomp", root, subset=True).n_images == 11


def test_splits_without_files(root):
    for file in ("dev_ims.npy", "dev_caps.txt"):
        (root / file).unlink()
    refuses("precomp", r"dev_ims.npy: .* pass subset=True to read the splits", root)
    assert set(load_dataset("precomp", root, subset=True).split_of_image) == {"train", "test"}
    (root / "test_caps.txt").unlink()
    refuses("precomp", "test_caps.txt: expected a file, found none", root, subset=True)


def test_blank_lines_shift_nothing(root):
    path = root / "dev_caps.txt"
    said = path.read_text().splitlines()
    said[3] = said[9] = " \r"
    lines(path, said)
    refuses("precomp", r"dev_caps.txt, line 4: image dev/000000 has an empty caption", root)
    val = load_dataset("precomp", root, on_empty="skip").split("val")
    assert np.bincount(val.image_of_caption).tolist() == [4, 4, 5]
    assert val.captions[8] == "dev image 2 caption 0"
    lines(path, said[:5] + [""] * 5 + said[10:])
    data = load_dataset("precomp", root, on_empty="skip")
    assert "6 empty captions left out, and 1 images that have no other" in data.notes
    assert data.split("val").features[[0, 1]][:, 0].tolist() == [1000, 1002]
    assert data.split("test").features[[0, 1]][:, 0].tolist() == [2000, 2001]


def test_ids_across_splits(tmp_path):
    for stem, n in SIZES.items():
        write(tmp_path, stem, ids=range(n))
    data = load_dataset("precomp", tmp_path)
    assert data.image_ids[5:8] == ("train/5", "dev/0", "dev/1")
    assert data.notes == ("the ids count the images of each split anew: prefixed by the name of its files",)
    (tmp_path / "train_ids.txt").unlink()
    assert load_dataset("precomp", tmp_path).image_ids[5:8] == ("train/000005", "dev/0", "dev/1")
    write(tmp_path, "train", ids=[10, 11, 12, 13, 14, 1])
    refuses("precomp", r"dev_caps.txt, line 6: id 1 .* is also at .*train_caps.txt", tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"captions": -1}, "dev_caps.txt: expected 5 captions for each of 3 rows of dev_ims.npy"),
        ({"captions": 1}, "found 16 captions and no ids; fetch the files again, from one source"),
        ({"captions": -12}, "if every image has 1, pass captions_per_image=1"),
        ({"ids": [1, 2]}, "found 15 captions and 2 ids"),
        ({"ids": [1] * 5 + [2] * 5 + [1] * 5}, "id 1 (split val) is also at"),
        ({"ids": [1] * 5 + [2] * 10}, "found 15 captions and 15 ids"),
        ({"ids": range(15)}, "if every image has 5, pass captions_per_image=5"),
        ({"rows": np.ones((15, 4), np.float32).cumsum(0)}, "as many rows as captions, yet rows 0 and 1"),
        ({"rows": np.ones((3, 5), np.float32)}, "dev_ims.npy: expected 4 numbers an image, as train_ims.npy"),
        ({"rows": np.ones((3, 4, 1, 1), np.float32)}, "found float32 (3, 4, 1, 1) in C order; reshape"),
        # Columns are never taken for rows.
        ({"rows": np.ones((4, 3), np.float32)}, "expected 5 captions for each of 4 rows"),
    ],
)
def test_what_does_not_fit(root, change, words):
    write(root, "dev", ids=change.get("ids"))
    if "captions" in change:
        lines(root / "dev_caps.txt", (f"caption {i}" for i in range(15 + change["captions"])))
    if "rows" in change:
        np.save(root / "dev_ims.npy", change["rows"])
    refuses("precomp", re.escape(words), root)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_rows_that_are_not_finite(root, value):
    rows = features("dev", 3).astype(np.float64)
    rows[2, 1] = value
    np.save(root / "dev_ims.npy", rows)
    refuses("precomp", r"dev_ims.npy: row 2 of 3 holds NaN or infinity", root)
    with np.errstate(over="ignore"):
        assert load_dataset("precomp", root, check_files=False).n_images == 11


def test_repeated_rows_that_differ(tmp_path, monkeypatch):
    for stem in SIZES:
        write(tmp_path, stem, repeat=True, ids=[f"{stem}{i}" for i in range(SIZES[stem])])
    rows = np.load(tmp_path / "dev_ims.npy")
    rows[12, 3] += 1
    np.save(tmp_path / "dev_ims.npy", rows)
    for block in (1, 40, 100, 1 << 20):  # wherever blocks meet
        monkeypatch.setattr("imtext.data.precomp._BLOCK", block)
        refuses("precomp", "rows 11 and 12 differ, which both belong to image dev2", tmp_path)


def test_parameters(root, tmp_path_factory):
    for wrong in (0, -1, 2.5, True, "5"):
        refuses("precomp", "captions_per_image=", root, ConfigError, captions_per_image=wrong)
    refuses("precomp", "train_ims.npy: expected this file", tmp_path_factory.mktemp("empty"))


def test_pictures_are_asked_for(root):
    data = load_dataset("precomp", root)
    with pytest.raises(DataError, match=r"precomp holds precomputed features \(11 x 4\), not images"):
        needs_pictures(data)
