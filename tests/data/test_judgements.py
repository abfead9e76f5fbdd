"""Judgements of Flickr8k: the two files, joined to a dataset, and everything odd in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import plain, write

from imtext.data import load_dataset
from imtext.data.judgements import load_judgements, read_annotations
from imtext.errors import DataError

EXPERT = ["a.jpg\tb.jpg#1\t1\t2\t3", "b.jpg\tb.jpg#0\t4\t4\t3", "c.jpg\ta.jpg#0\t1\t1\t1"]
CROWD = ["a.jpg\ta.jpg#0\t1\t3\t0", "b.jpg\ta.jpg#1\t0.333333333333333\t1\t2", "b.jpg\tq.jpg.1#1\t0\t0\t4"]


@pytest.fixture
def pets():
    """Two images in an order unlike that of their names, captions not image by image."""
    said = {"captions": ("b zero", "a zero", "b one", "a one"), "image_of_caption": np.array([0, 1, 0, 1])}
    return plain(Path("."), ("x/b.jpg", "x/a.jpg"), ["test", "test"], **said)


def folder(tmp_path, expert=EXPERT, crowd=CROWD):
    for name, rows in (("ExpertAnnotations.txt", expert), ("CrowdFlowerAnnotations.txt", crowd)):
        write(tmp_path / "Flickr8k_text" / name, "".join(f"{row}\n" for row in rows))
    return tmp_path


def test_pairs_are_joined_by_name_and_number(tmp_path, pets):
    found = load_judgements(folder(tmp_path), pets)
    expert, crowd = found.expert, found.crowd
    assert expert.image.tolist() == crowd.image.tolist() == [1, 0]
    assert [pets.captions[s] for s in expert.caption] == ["b one", "b zero"]
    assert expert.value.tolist() == [2.0, pytest.approx(11 / 3)]
    assert expert.right(3).tolist() == [False, True] and expert.right(2.0).all()
    assert [pets.captions[s] for s in crowd.caption] == ["a zero", "a one"]
    assert crowd.value.tolist() == [1.0, pytest.approx(1 / 3)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.jpg\tb.jpg#1\t1\t2", "three scores"),
        ("a.jpg\tb.jpg#1\t0\t2\t3", "three scores"),
        ("a.jpg\tb.jpg#1\t1\t2\t5", "three scores"),
        ("a.jpg\tb.jpg#1\t1\t2\t²", "three scores"),
        ("a.jpg\tb.jpg\t1\t2\t3", "image.jpg#k"),
        ("a.jpg\tb.jpg#-1\t1\t2\t3", "image.jpg#k"),
        ("a.jpg\tb.jpg#" + "1" * 5000 + "\t1\t2\t3", "image.jpg#k"),
        ("../a.jpg\tb.jpg#1\t1\t2\t3", "leaves the image folder"),
        (EXPERT[0], "is also at .*line 1"),
        ("a.jpg b.jpg#1 1 2 3", "TAB"),
    ],
)
def test_an_odd_expert_line_is_named(tmp_path, line, said):
    path = folder(tmp_path, [*EXPERT, line]) / "Flickr8k_text" / "ExpertAnnotations.txt"
    with pytest.raises(DataError, match=said) as raised:
        read_annotations(path)
    assert f"{path}, line 4" in str(raised.value)


@pytest.mark.parametrize("cells", ["0.5\t0\t0", "0.33\t-1\t2", "1\t1.0\t0", "1\t1"])
def test_an_odd_crowd_line_is_named(tmp_path, cells):
    path = folder(tmp_path, crowd=[*CROWD, f"a.jpg\tb.jpg#0\t{cells}"]) / "Flickr8k_text"
    with pytest.raises(DataError, match="line 4: expected image.jpg<TAB>image.jpg#k and the share of yes"):
        read_annotations(path / "CrowdFlowerAnnotations.txt")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, r"expected ExpertAnnotations.txt, found none; it comes with"),
        ({"crowd": []}, r"CrowdFlowerAnnotations.txt: expected lines with .* found none"),
        ({"expert": ["z.jpg\tb.jpg#0\t1\t1\t1"]}, "of images of dataset mine, found none among 1"),
        ({"expert": [*EXPERT, "a.jpg\tb.jpg#2\t1\t1\t1"]}, r"line 4: .* of b.jpg, number 0 to 1, found #2"),
    ],
)
def test_missing_empty_and_foreign_files(tmp_path, pets, files, message):
    with pytest.raises(DataError, match=message):
        load_judgements(tmp_path if files is None else folder(tmp_path, **files), pets)


def test_the_published_files(shared_data):
    root = shared_data / "flickr8k"
    dataset = load_dataset("flickr8k", root).split("test")
    found = load_judgements(root, dataset)
    assert (len(found.expert), len(found.crowd)) == (5822, 47830)
    own = dataset.image_of_caption[found.expert.caption] == found.expert.image
    assert int(own.sum()) == 158 and int((found.expert.right(3) & ~own).sum()) == 465
    assert found.expert.value[own].mean() > 3.9
    # The first line of the file, by hand.
    assert dataset.image_ids[found.expert.image[0]] == "1056338697_4f7d7ce270"
    owner = dataset.image_ids.index("2549968784_39bfbe44f9")
    assert dataset.captions_of(owner)[2] == found.expert.caption[0]
