"""The schema: validation, renumbering, fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folders import plain

from imtext.data import Dataset, Phrases, Regions
from imtext.data.files import relative
from imtext.errors import ConfigError, DataError


def make(**changes) -> Dataset:
    fields = {
        "image_ids": ("a", "b", "c"),
        "captions": ("a dog", "one cat", "a black dog", "two cats sit"),
        "image_of_caption": np.array([0, 1, 0, 2]),
        "group_of_image": np.array([5, 6, 5]),
    }
    small = plain(Path("photos"), ("a.jpg", "b.jpg", "c.jpg"), ("train", "test", "train"), **fields)
    return replace(small, **changes)


def test_captions_of_every_image_in_order():
    data = make()
    assert [data.captions_of(i).tolist() for i in range(3)] == [[0, 2], [1], [3]]
    assert data.group_of_caption.tolist() == [5, 6, 5, 5]
    assert data.image_path(1) == Path("photos/b.jpg")
    with pytest.raises(ValueError, match="read-only"):
        data.image_of_caption[0] = 1
    with pytest.raises(DataError, match="images 0 to 2, asked for 3"):
        data.captions_of(3)


def test_take_renumbers_everything():
    regions = Regions([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], [2, 0, 1], [1, 2, 3])
    phrases = Phrases(
        [0, 2, 3], [0, 0, 0], [2, 3, 2], ("a dog", "a black dog", "two cats"), [2, 2, 1], ("x",) * 3
    )
    data = make(regions=regions, phrases=phrases, scenes=({"n": 0}, {"n": 1}, {"n": 2}))
    taken = data.take([2, 0])
    assert taken.image_ids == ("c", "a")
    assert taken.captions == ("two cats sit", "a dog", "a black dog")
    assert taken.image_of_caption.tolist() == [0, 1, 1]
    assert taken.group_of_image.tolist() == [5, 5]
    assert taken.regions.boxes.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    assert taken.regions.image_of_region.tolist() == [0, 1]
    assert taken.phrases.words == ("a dog", "a black dog", "two cats")
    assert taken.phrases.caption.tolist() == [1, 2, 0]
    assert taken.scenes == ({"n": 2}, {"n": 0})
    for caption, words in zip(taken.phrases.caption, taken.phrases.words, strict=True):
        assert words in taken.captions[caption]


def test_split_and_summary():
    data = make()
    assert data.split("train").image_ids == ("a", "c")
    assert data.split("train").split("train").fingerprint() == data.split("train").fingerprint()
    assert data.summary() == "mine: 3 images, 4 captions (train 2/3, test 1/1 images/captions)"
    with pytest.raises(DataError, match="no image in split 'val', it has: test, train"):
        data.split("val")
    with pytest.raises(ConfigError, match="split='dev'"):
        data.split("dev")


def test_fingerprint_follows_the_content_only():
    data = make()
    assert len(data.fingerprint()) == 32
    assert make(image_root=Path("elsewhere"), name="other").fingerprint() == data.fingerprint()
    for change in (
        {"image_ids": ("a", "b", "d")},
        {"captions": ("a dog", "one cat", "a black dog", "two cats")},
        {"captions": ("a dogone", " cat", "a black dog", "two cats sit")},
        {"image_of_caption": np.array([0, 1, 2, 2])},
        {"split_of_image": np.array(["train", "val", "train"])},
        {"group_of_image": np.array([5, 6, 7])},
    ):
        assert make(**change).fingerprint() != data.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_files": ("a.jpg", "b.jpg")}, "expected 3 image_files, found 2"),
        ({"image_files": ("a.jpg", "b.jpg", "a.jpg")}, "image file 'a.jpg' is there twice"),
        ({"image_ids": ("a", "b", "b")}, "image id 'b' is there twice"),
        ({"image_of_caption": np.array([0, 1, 0])}, "expected 4 entries, found 3"),
        ({"image_of_caption": np.array([0, 1, 2, 3])}, "indices 0 to 2, found 3"),
        ({"image_of_caption": np.array([0.0, 1, 2, 2])}, "integer array"),
        ({"split_of_image": np.array(["train", "val"])}, "expected 3 split_of_image, found 2"),
        ({"scenes": ({},)}, "expected 3 scenes, found 1"),
        ({"regions": ([[0, 0, 0, 0]], [0], [0, 1])}, "chain: expected 1 entries, found 2"),
        ({"phrases": ([0], [1], [2, 3], ("a dog",), [0], ("x",))}, "stop: expected 1 entries, found 2"),
    ],
)
def test_bad_content_is_one_clear_line(change, message):
    kinds = {"regions": Regions, "phrases": Phrases}
    with pytest.raises(DataError, match=message) as caught:
        make(**{key: kinds[key](*value) if key in kinds else value for key, value in change.items()})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["/x.jpg", "../x.jpg", "a/../../x", "..\\x.jpg", "C:\\x.jpg", "", "a\0b"])
def test_file_names_stay_inside(file):
    with pytest.raises(DataError, match="leaves the image folder"):
        relative(file, "x.json")
    assert relative("train2014/..a.jpg", "x.json") == "train2014/..a.jpg"
