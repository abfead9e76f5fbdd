"""Precomputed features: which rows are which images, in every form that circulates."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.data import load_dataset
from imtext.data.precomp import needs_pictures
from imtext.errors import ConfigError, DataError

SIZES = {"train": 6, "dev": 3, "test": 2}


def features(stem, n, shape=(4,), dtype=np.float32):
    """Distinct rows; the first number names the row: train 0, 1, ..., dev 1000, ..."""
    start = 1000 * ("train", "dev", "test", "testall").index(stem)
    values = np.arange(n, dtype=np.float64).reshape(-1, *[1] * len(shape)) + start
    return (values + np.linspace(0, 0.5, np.prod(shape)).reshape(shape)).astype(dtype)


def write(root, stem, n=None, each=5, repeat=False, ids=None, shape=(4,), dtype=np.float32):
    """The files of one split with ``each`` captions an image."""
    n = SIZES.get(stem, 3) if n is None else n
    rows = features(stem, n, shape, dtype)
    np.save(root / f"{stem}_ims.npy", np.repeat(rows, each, axis=0) if repeat else rows)
    captions = [f"{stem} image {i} caption {j}\n" for i in range(n) for j in range(each)]
    (root / f"{stem}_caps.txt").write_text("".join(captions), encoding="utf-8")
    if ids is not None:
        (root / f"{stem}_ids.txt").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")


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
    (root / "dev_caps.txt").write_text("".join(f"caption {i}\n" for i in range(9)))
    (root / "dev_ids.txt").write_text("".join(f"{i}\n" for i in np.repeat(["a", "b", "c"], counts)))
    val = load_dataset("precomp", root).split("val")
    assert np.bincount(val.image_of_caption).tolist() == counts
    assert [val.captions[i] for i in val.captions_of(2)] == ["caption 7", "caption 8"]
    assert val.features[[0, 1, 2]][:, 0].tolist() == [1000, 1001, 1002]
    with pytest.raises(DataError, match=r"dev_caps.txt: expected 5 captions .* found 9 captions and 9 ids"):
        load_dataset("precomp", root, captions_per_image=5)


@pytest.mark.parametrize("ids", [False, True])
def test_one_caption_an_image_must_be_said(tmp_path, ids):
    for stem in SIZES:
        write(tmp_path, stem, n=10, each=1, ids=[f"{stem}{i}" for i in range(10)] if ids else None)
    assert load_dataset("precomp", tmp_path, captions_per_image=1).n_captions == 30
    if ids:
        assert load_dataset("precomp", tmp_path).n_captions == 30
    else:
        with pytest.raises(DataError, match=r"rows 0 and 1 differ.*pass captions_per_image \(1 if each"):
            load_dataset("precomp", tmp_path)


def test_ids_that_name_captions_do_not_hide_repeated_rows(tmp_path):
    for stem in SIZES:
        write(tmp_path, stem, n=4, repeat=True, ids=[f"{stem}{i}" for i in range(20)])
    with pytest.raises(DataError, match="rows come in equal 5s"):
        load_dataset("precomp", tmp_path)
    data = load_dataset("precomp", tmp_path, captions_per_image=5)
    assert data.image_ids[:2] == ("train/000000", "train/000001")


def test_coco_tests(root):
    write(root, "testall", n=4)
    assert load_dataset("precomp", root).image_files[-1] == "testall/000003"
    assert load_dataset("precomp", root, test="test").image_files[-1] == "test/000001"
    assert "testall is the 5K test" in load_dataset("precomp", root).notes[0]
    assert "test='testall' reads it" in load_dataset("precomp", root, test="test").notes[0]
    (root / "testall_ims.npy").unlink()
    with pytest.raises(DataError, match=r"testall_ims.npy: expected an .npy file, found none"):
        load_dataset("precomp", root)  # never quietly the 1K test
    with pytest.raises(ConfigError, match="test='5k'"):
        load_dataset("precomp", root, test="5k")


def test_published_counts(root):
    with pytest.raises(DataError, match="expected 113,287 images in split train .*1K test"):
        load_dataset("coco_precomp", root)
    with pytest.raises(DataError, match="expected 29,000 images in split train"):
        load_dataset("f30k_precomp", root)
    assert load_dataset("f30k_precomp", root, subset=True).n_images == 11


def test_splits_without_files(root):
    for file in ("dev_ims.npy", "dev_caps.txt"):
        (root / file).unlink()
    with pytest.raises(DataError, match=r"dev_ims.npy: .* pass subset=True to read the splits"):
        load_dataset("precomp", root)
    assert set(load_dataset("precomp", root, subset=True).split_of_image) == {"train", "test"}
    (root / "test_caps.txt").unlink()
    with pytest.raises(DataError, match="test_caps.txt: expected a file, found none"):
        load_dataset("precomp", root, subset=True)


def test_blank_lines_shift_nothing(root):
    path = root / "dev_caps.txt"
    lines = path.read_text().split("\n")
    lines[3] = lines[9] = " \r"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"dev_caps.txt, line 4: image dev/000000 has an empty caption"):
        load_dataset("precomp", root)
    val = load_dataset("precomp", root, on_empty="skip").split("val")
    assert np.bincount(val.image_of_caption).tolist() == [4, 4, 5]
    assert val.captions[8] == "dev image 2 caption 0"
    path.write_text("\n".join(lines[:5] + [""] * 5 + lines[10:]))
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
    with pytest.raises(DataError, match=r"dev_caps.txt, line 6: id 1 .* is also at .*train_caps.txt"):
        load_dataset("precomp", tmp_path)


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
        ({"rows": np.ones((3, 4, 1, 1), np.float32)}, "(images, R, D) regions, found 3 x 4 x 1 x 1; reshape"),
        # Columns are never taken for rows.
        ({"rows": np.ones((4, 3), np.float32)}, "expected 5 captions for each of 4 rows"),
    ],
)
def test_what_does_not_fit(root, change, words):
    write(root, "dev", ids=change.get("ids"))
    if "captions" in change:
        lines = [f"caption {i}\n" for i in range(15 + change["captions"])]
        (root / "dev_caps.txt").write_text("".join(lines))
    if "rows" in change:
        np.save(root / "dev_ims.npy", change["rows"])
    with pytest.raises(DataError) as error:
        load_dataset("precomp", root)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_rows_that_are_not_finite(root, value):
    rows = features("dev", 3).astype(np.float64)
    rows[2, 1] = value
    np.save(root / "dev_ims.npy", rows)
    with pytest.raises(DataError, match=r"dev_ims.npy: row 2 of 3 holds NaN or infinity"):
        load_dataset("precomp", root)
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
        with pytest.raises(DataError, match="rows 11 and 12 differ, which both belong to image dev2"):
            load_dataset("precomp", tmp_path)


def test_parameters(root):
    for wrong in (0, -1, 2.5, True, "5"):
        with pytest.raises(ConfigError, match="captions_per_image="):
            load_dataset("precomp", root, captions_per_image=wrong)
    with pytest.raises(ConfigError, match="on_empty="):
        load_dataset("precomp", root, on_empty="ignore")
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="train_ims.npy: expected this file"):
        load_dataset("precomp", root / "empty")


def test_pictures_are_asked_for(root):
    data = load_dataset("precomp", root)
    with pytest.raises(DataError, match=r"precomp holds precomputed features \(11 x 4\), not pictures"):
        needs_pictures(data)
