"""One's own data: caption files found, images matched, splits made."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from functools import partial
from typing import Any

import folders
import pytest
from folders import coco_file, photos, write

from imtext.data import load_dataset
from imtext.data.flickr import read_tokens
from imtext.errors import ConfigError

PLAIN = "image,caption\na.jpg,A dog.\nb.jpg,A cat.\na.jpg,A black dog.\nc.jpg,A bird.\n"


@pytest.fixture
def make(tmp_path):
    """Write caption files and images ``a.jpg, b.jpg, c.jpg`` (or others); returns the folder."""

    def put(files: dict[str, Any], images=("a.jpg", "b.jpg", "c.jpg"), at="images"):
        photos(*(tmp_path / at / name for name in images))
        for name, content in files.items():
            write(tmp_path / name, content)
        return tmp_path

    return put


refuses = partial(folders.refuses, "own")


def splits(data) -> dict[str, str]:
    return dict(zip(data.image_ids, data.split_of_image.tolist(), strict=True))


def test_the_shortest_way(make, tmp_path):
    data = load_dataset("own", make({"captions.csv": PLAIN}))
    assert data.name == "own" and data.image_root.name == "images"
    assert data.image_files == ("a.jpg", "b.jpg", "c.jpg") and data.image_ids == ("a", "b", "c")
    assert data.captions == ("A dog.", "A black dog.", "A cat.", "A bird.")
    assert data.image_of_caption.tolist() == [0, 0, 1, 2]
    assert set(data.split_of_image.tolist()) == {"train", "val", "test"}
    assert len(data.notes) == 1 and data.notes[0].startswith("no split is given; made here: 1 / 1 / 1 groups")


def test_image_folder_by_parameter(make):
    root = make({"captions.csv": PLAIN}, at="photos/2019")
    assert load_dataset("own", root).image_root == root / "photos" / "2019"
    assert load_dataset("own", root, images="photos/2019").n_images == 3
    assert load_dataset("own", root, images=root.absolute() / "photos" / "2019").n_images == 3
    refuses("photos/2020: expected a folder with the images, found nothing", root, images="photos/2020")


@pytest.mark.parametrize("name", ["captions.csv", "captions.CSV", "labels.csv", "captions.txt"])
def test_finds_the_caption_file(make, name):
    root = make({name: PLAIN, "README.txt": "A folder of images.\n", "._captions.csv": "rubbish"})
    assert load_dataset("own", root).n_images == 3
    (root / name).rename(root / "captions.csv")
    assert load_dataset("own", make({"other.json": "{}", "more.tsv": ""})).n_images == 3


def test_which_caption_file(make, tmp_path):
    refuses("expected one caption file .captions.csv, .*found none; pass captions='NAME'", tmp_path)
    root = make({"one.csv": PLAIN, "two.csv": PLAIN})
    refuses("found one.csv, two.csv; pass captions='NAME'", root)
    assert load_dataset("own", root, captions="two.csv").n_images == 3
    assert load_dataset("own", root, captions=root.absolute() / "two.csv").n_images == 3
    refuses("none.csv: expected a file, found none", root, captions="none.csv")
    refuses("README: expected rows with an image and a caption", make({"README": "x"}), captions="README")
    refuses("found captions.csv, captions.json", make({"captions.csv": PLAIN, "captions.json": "[]"}))
    refuses("found captions.csv, captions.json, train.csv", make({"train.csv": PLAIN}))
    assert load_dataset("own", make({"sub/x.csv": PLAIN}), captions="sub/x.csv").n_images == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_file(make):
    root = make({})
    os.mkfifo(root / "captions.csv")
    refuses("found none", root)
    refuses("captions.csv: expected a file, found none", root, captions="captions.csv")


@pytest.mark.parametrize("val", ["val.csv", "dev.csv", "validation.CSV", "valid.csv"])
def test_files_that_are_splits(make, val):
    names = zip("abc", ("train.csv", val, "test.csv"), strict=True)
    files = {name: f"image,caption\n{image}.jpg,A dog.\n" for image, name in names}
    data = load_dataset("own", make({**files, "notes.json": "{}"}))
    assert sorted(splits(data).items()) == [("a", "train"), ("b", "val"), ("c", "test")]
    assert data.notes == ()


def test_files_that_are_splits_refuse(make):
    root = make({"val.csv": PLAIN, "dev.csv": PLAIN})
    refuses("found dev.csv, val.csv; pass captions=", root)
    make({"more.csv": PLAIN})
    refuses("or one for each of train, val and test", root, captions=["val.csv", "more.csv"])
    (root / "dev.csv").rename(root / "train.csv")
    make({"val.csv": "image,caption\nb.jpg,A cat.\n"})
    refuses("line 2: image b.jpg is in split 'val', and in split 'train' at .*train.csv, line 3", root)
    data = load_dataset("own", root, captions="train.csv")
    assert set(splits(data).values()) == {"train"}
    assert data.notes[0].startswith("all images are in split train, as the name train.csv says")
    root = make({"test.csv": "image,caption,split\na.jpg,A cow.,train\n"})
    refuses("test.csv, line 2: expected split test, as the name of the file says, found 'train'", root)


def test_split_column(make):
    rows = "image,caption,Split\na.jpg,A dog.,train\nb.jpg,A cat.,Validation\nc.jpg,A bird., TEST \n"
    data = load_dataset("own", make({"captions.csv": rows}))
    assert splits(data) == {"a": "train", "b": "val", "c": "test"} and data.notes == ()
    data = load_dataset("own", make({"captions.csv": rows}), columns={"split": None})
    assert data.notes[0].startswith("no split is given")


def test_an_image_that_two_files_list_is_refused(make):
    one, other = (coco_file({i: "a.jpg"}, [(i, 1, "A dog.")]) for i in (1, 2))
    root = make({"train.json": one, "test.json": other})
    refuses("image a.jpg .split train. is also at .*test.json", root)


def test_groups(make):
    rows = "image,caption,person_id\na.jpg,A dog.,9\nb.jpg,A cat.,eve\nc.jpg,A bird.,9\na.jpg,A pup.,9\n"
    data = load_dataset("own", make({"captions.csv": rows}))
    assert data.group_of_image.tolist() == [0, 1, 0]
    assert data.split_of_image[0] == data.split_of_image[2]
    assert "groups for train / val / test" in data.notes[0]
    data = load_dataset("own", make({"captions.csv": rows}), columns={"group": None})
    assert data.group_of_image.tolist() == [0, 1, 2]
    persons = (("a.jpg", 7), ("b.jpg", "7"), ("c.jpg", 7.0))
    as_json = [{"image": n, "text": "A dog.", "identity": g} for n, g in persons]
    data = load_dataset("own", make({"x.json": json.dumps(as_json)}), captions="x.json")
    assert data.group_of_image.tolist() == [0, 0, 0]
    by_id = load_dataset("own", make({"captions.csv": rows.replace("person_id", "id")}))
    assert by_id.group_of_image.tolist() == [0, 1, 0] and "the same 'id' are one group" in by_id.notes[0]
    plain = load_dataset("own", make({"captions.csv": rows.replace("person_id", "breed")}))
    assert plain.group_of_image.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,A dog.,,\nb.jpg,A cat.,,val\n", "line 2: expected a split, as other images have one"),
        ("a.jpg,A dog.,,training\n", "line 2: unknown split 'training'; expected one of train, val"),
        ("a.jpg,A dog.,,train\na.jpg,A dog.,,test\n", "line 3: image a.jpg is in split 'test', .*line 2"),
        ("a.jpg,A dog.,1,train\nb.jpg,A cat.,1,test\n", "line 3: group 1 .*test. is also at .*2 .*train."),
        ("a.jpg,A dog.,1,train\na.jpg,A cat.,2,train\n", "line 3: image a.jpg is in group '2', and in"),
    ],
)
def test_splits_and_groups_refuse(make, rows, message):
    refuses(message, make({"captions.csv": "image,caption,group,split\n" + rows}))


def many(names) -> dict[str, str]:
    return {"captions.csv": "image,caption\n" + "".join(f"{i:04d}.jpg,Picture {i}.\n" for i in names)}


def test_split_is_stable_and_of_the_right_size(make):
    def made(n: int, **options) -> dict[str, str]:
        return splits(load_dataset("own", make(many(reversed(range(n)))), check_files=False, **options))

    before, after, no_val = made(2000), made(2100), made(2100, val=0)
    counts = Counter(before.values())
    assert 150 <= counts["val"] <= 250 and 150 <= counts["test"] <= 250
    assert after.items() >= before.items() and not made(2000, seed=1).items() >= before.items()
    assert set(no_val.values()) == {"train", "test"}
    assert {n for n, s in no_val.items() if s == "test"} == {n for n, s in after.items() if s == "test"}


@pytest.mark.parametrize("n", range(1, 12))
@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.001, 0.001), (0.5, 0.49), (0.0, 0.2)])
def test_no_split_is_empty(make, n, fractions):
    val, test = fractions
    for seed in range(4):
        root = make(many(range(n)))
        data = load_dataset("own", root, check_files=False, val=val, test=test, seed=seed)
        held = set(data.split_of_image.tolist())
        wanted = {"train"} | ({"val"} if val else set()) | ({"test"} if test else set())
        assert held == wanted if n >= 3 else "train" in held


@pytest.mark.parametrize(
    "options",
    [
        *({"val": 2}, {"val": -0.1}, {"test": "0.1"}, {"val": 0.5, "test": 0.5}, {"val": float("nan")}),
        *({"seed": 0.5}, {"seed": True}, {"on_empty": "drop"}, {"columns": "caption"}),
        *({"columns": {"photo": "x"}}, {"columns": {"image": None}}, {"columns": {"caption": "image"}}),
    ],
)
def test_parameters(make, options):
    said = "expected shares of .*, such as 0.1" if {"val", "test"} & {*options} else "expected"
    refuses(said, make({"captions.csv": PLAIN}), ConfigError, **options)


def test_missing_images(make):
    root = make({"captions.csv": PLAIN}, images=("C.JPG", "d.jpg"))
    (root / "images" / "a.jpg").symlink_to("d.jpg")
    refuses("line 3: expected image b.jpg in .*, found no such file .1 of 3 images are missing", root)
    data = load_dataset("own", root, subset=True)
    assert data.image_files == ("images/a.jpg", "images/C.JPG")
    assert "1 of 3 images are missing: left out (b.jpg)" in data.notes
    assert "1 image files beside them are not used (images/d.jpg)" in data.notes
    assert load_dataset("own", root, check_files=False).n_images == 3
    make({"captions.csv": "image,caption\nx.jpg,A bird.\n"}, images=())
    refuses("expected image x.jpg in .*1 of 1 images are missing", root, subset=True)


def test_names_without_ending(make):
    rows = "image,caption\na,A dog.\nphoto.001,A cat.\n./sub//c,A cow.\nsub\\c,A calf.\n"
    root = make({"captions.csv": rows}, images=("a.jpg", "photo.001.PNG", "sub/c.jpeg"))
    data = load_dataset("own", root)
    assert [data.image_path(i).name for i in range(3)] == ["a.jpg", "photo.001.PNG", "c.jpeg"]
    assert data.image_ids == ("a", "photo.001", "c")
    assert data.image_of_caption.tolist() == [0, 1, 2, 2]
    make({}, images=("a.png",))
    refuses("line 2: image a may be images/a.jpg or images/a.png .*write the ending", root)


def test_ids_of_equal_names(make):
    rows = "image,caption\nx/1.jpg,A dog.\ny/1.jpg,A cat.\ny/2.jpg,A cow.\n"
    data = load_dataset("own", make({"captions.csv": rows}, images=("x/1.jpg", "y/1.jpg", "y/2.jpg")))
    assert data.image_ids == ("x/1", "y/1", "y/2")
    root = make({"captions.csv": rows.replace("y/2.jpg", "x/1.png")}, images=("x/1.png",))
    assert load_dataset("own", root).image_ids == ("x/1.jpg", "y/1.jpg", "x/1.png")


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "..\\\\a.jpg", "C:\\\\a.jpg"])
def test_never_leaves_the_folder(make, name):
    root = make({"captions.jsonl": f'{{"image": "{name}", "caption": "A dog."}}\n'})
    refuses("leaves the image folder", root)
    refuses("leaves the image folder", root, check_files=False)


@pytest.mark.parametrize("name", ["x" * 5000, "y/" * 3000 + "z.jpg", "images/", "a.jpg/z.jpg"])
def test_odd_names_are_only_missing(make, name):
    root = make({"captions.csv": f"image,caption\n{name},A dog.\nb.jpg,A cat.\n"})
    refuses("line 2: expected image ", root)


def test_repeated_and_empty_captions(make):
    root = make({"captions.csv": PLAIN + "a.jpg, A  dog. \nb.jpg,A dog.\n"})
    data = load_dataset("own", root)
    assert data.n_captions == 5 and data.notes[0] == "1 captions that an image has twice: left out"
    make({"captions.csv": PLAIN + "b.jpg, \n"})
    refuses("image b.jpg has an empty caption; correct the file or pass on_empty=", root)
    data = load_dataset("own", root, on_empty="skip")
    assert data.n_captions == 4 and any("1 empty captions left out" in note for note in data.notes)
    make({"captions.csv": PLAIN + ",A dog.\n"})
    refuses("line 6: expected the name of an image and a caption", root)


def test_both_forms_of_an_accent_are_one_caption(make):
    composed, decomposed = "Un café, un élève.", unicodedata.normalize("NFD", "Un café, un élève.")
    rows = f'image,caption\na.jpg,"{decomposed}"\na.jpg,"{composed}"\nb.jpg,Un chien.\n'
    root = make({"captions.csv": rows})
    data = load_dataset("own", root)
    assert data.captions == (composed, "Un chien.")
    (root / "x.token").write_text(f"a.jpg#0\t{decomposed}\n", encoding="utf-8")
    assert read_tokens(root / "x.token") == {"a.jpg": [composed]}


def persons(*rows: tuple[object, str, str]) -> str:
    return json.dumps(
        [{"id": i, "img_path": file, "captions": [f"A {file}.", "One."], "split": s} for i, file, s in rows]
    )


def test_images_of_one_id_are_one_person(make):
    text = persons((0, "a.jpg", "train"), (0, "b.jpg", "train"), (1, "c.jpg", "test"))
    root = make({"data_captions.json": text})
    data = load_dataset("own", root)
    assert data.group_of_image.tolist() == [0, 0, 1] and data.n_captions == 6
    assert "images with the same 'id' are one group: 2 groups of 3 images" in data.notes[0]
    assert load_dataset("own", root, columns={"group": None}).group_of_image.tolist() == [0, 1, 2]
    lines = "id\timage\tcaption\n7\ta.jpg\tA dog.\n8\tb.jpg\tA cat.\n7\tc.jpg\tA bird.\n"
    (root / "data_captions.json").unlink()
    data = load_dataset("own", make({"captions.tsv": lines}))
    assert data.group_of_image.tolist() == [0, 1, 0] and data.split_of_image[0] == data.split_of_image[2]


@pytest.mark.parametrize(
    "rows",
    [
        [(0, "a.jpg", "train"), (1, "a.jpg", "train"), (1, "b.jpg", "train")],
        [(0, "a.jpg", "train"), (0, "b.jpg", "test"), (1, "c.jpg", "val")],
        [(0, "a.jpg", "train"), (0, "b.jpg", "train"), (None, "c.jpg", "val")],
        [(0, "a.jpg", "train"), (1, "a.jpg", "train"), (2, "b.jpg", "train")],
        [({"$oid": "1"}, "a.jpg", "train"), ("2", "b.jpg", "train"), (3.5, "c.jpg", "train")],
    ],
)
def test_an_id_that_names_no_person_is_no_group(make, rows):
    data = load_dataset("own", make({"captions.json": persons(*rows)}))
    assert data.group_of_image.tolist() == list(range(data.n_images))
    shared = len({str(row[0]) for row in rows}) < 3
    assert shared == any(line.startswith("'id' is no group of images") for line in data.notes)


def test_two_columns_of_groups_are_not_asked_about_an_id(make):
    rows = "id,person_id,image,caption\n1,x,a.jpg,A dog.\n1,y,b.jpg,A cat.\n2,y,c.jpg,A bird.\n"
    assert load_dataset("own", make({"captions.csv": rows})).group_of_image.tolist() == [0, 1, 1]
