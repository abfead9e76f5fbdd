"""Flickr30k Entities: the files as published, a picturebook read back, and what is odd or broken."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import folders
import numpy as np
import pytest
from folders import entry, photos, write

from imtext.data import Dataset, load_dataset
from imtext.data.flickr import parse_sentence
from imtext.data.generated import load_generated
from imtext.errors import ConfigError
from imtext.picturebook import generate

SENTENCES = """\
[/EN#1/people Two young , White males] are near [/EN#4/other many bushes] .
[/EN#1/people Two men] , one with [/EN#5/bodyparts/people a man 's arm] .
[/EN#0/notvisual There] is  [/EN#6/people A man], and [/EN#7/scene a garden].
"""
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
OBJECTS = (
    f"<object><name>1</name>{BOX.format(1, 2, 30, 40)}</object>\n"
    f"<object><name>1</name><name>6</name>{BOX.format(11, 2, 60, 50)}</object>\n"
    "<object><name>7</name><scene>1</scene><nobndbox>0</nobndbox></object>\n"
    "<object><name>4</name><scene>0</scene><nobndbox>1</nobndbox></object>\n"
)
SPLITS = {"train": ("101", "102"), "val": ("103",), "test": ("104",)}


def annotation(image: str, objects: str = OBJECTS, width: int = 60, height: int = 50) -> str:
    return (
        f"<annotation>\n<filename>{image}.jpg</filename>\n<size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )


def fill(root: Path, base: Path) -> Path:
    for split, images in SPLITS.items():
        write(base / f"{split}.txt", "".join(f"{image}\n" for image in images))
        for image in images:
            write(base / "Sentences" / f"{image}.txt", SENTENCES)
            write(base / "Annotations" / f"{image}.xml", annotation(image))
        photos(*(root / "flickr30k-images" / f"{image}.jpg" for image in images), size=(60, 50))
    return root


@pytest.fixture
def flickr(tmp_path) -> Path:
    """Four images, three sentences each."""
    return fill(tmp_path / "flickr", tmp_path / "flickr")


read = partial(load_dataset, "flickr30k_entities", subset=True)
refuses = partial(folders.refuses, "flickr30k_entities", subset=True)


def rows(dataset: Dataset, i: int) -> tuple[set, set]:
    """Phrases and boxes of an image; sentences by their place among those of the image."""
    p, r = dataset.phrases, dataset.regions
    place = {j: k for k, j in enumerate(dataset.captions_of(i).tolist())}
    phrases = {
        (place[s], int(p.start[k]), int(p.stop[k]), p.words[k], int(p.chain[k]), p.type[k])
        for k, s in enumerate(p.caption.tolist())
        if s in place
    }
    boxes = {(*r.boxes[k].tolist(), int(r.chain[k])) for k in np.flatnonzero(r.image_of_region == i)}
    return phrases, boxes


def test_captions_phrases_and_boxes(flickr):
    dataset = read(flickr)
    assert dataset.captions[:3] == (
        "Two young , White males are near many bushes .",
        "Two men , one with a man 's arm .",
        "There is A man, and a garden.",
    )
    assert dataset.image_ids == ("101", "102", "103", "104") and dataset.image_path(0).is_file()
    assert dataset.split_of_image.tolist() == ["train", "train", "val", "test"]
    phrases, boxes = rows(dataset, 1)
    assert phrases == {
        (0, 0, 5, "Two young , White males", 1, "people"),
        (0, 7, 9, "many bushes", 4, "other"),
        (1, 0, 2, "Two men", 1, "people"),
        (1, 5, 9, "a man 's arm", 5, "bodyparts/people"),
        (2, 0, 1, "There", 0, "notvisual"),
        (2, 2, 4, "A man", 6, "people"),
        (2, 5, 7, "a garden", 7, "scene"),
    }
    assert boxes == {(0, 1, 29, 39, 1), (10, 1, 59, 49, 1), (10, 1, 59, 49, 6)}
    assert dataset.notes == ("4 chains that phrases name have no box and no scene",)  # 5 of each image
    assert dataset.edition == "Flickr30k, split of Flickr30k Entities"


@pytest.mark.parametrize(
    ("line", "caption", "spans"),
    [
        ('"[/EN#1/people A dog]" .', '"A dog" .', [(0, 2)]),
        ("un[/EN#1/people dog]s run", "undogs run", [(0, 1)]),
        ("[/EN#1/people A dog][/EN#2/other toy] here", "A dogtoy here", [(0, 2), (1, 2)]),
        ("  A \t [/EN#1/people  big   dog ]  .", "A big dog .", [(1, 3)]),
        ("[/EN#1/a/b/c x\u2028y] z", "x y z", [(0, 2)]),
        ("no phrase at all .", "no phrase at all .", []),
    ],
)
def test_offsets_count_the_words_of_the_plain_caption(line, caption, spans):
    said, mentions = parse_sentence(line, Counter())
    assert said == caption
    assert [(mention.start, mention.stop) for mention in mentions] == spans


@pytest.mark.parametrize(
    "line",
    [
        *("[/EN#1/people A dog", "A dog] runs", "[", "[]", "[sic] A dog"),
        *("[/EN#1/people A [/EN#2/other dog]]", "[/EN#1/people A [big] dog]"),
        *("[/EN1/people A dog]", "[/EN#x/people A dog]", "[/EN#-1/people A dog]"),
        "[/EN#\u0661/people A dog]",
        f"[/EN#{'9' * 5000}/people A dog]",
        *("[/EN#1 A dog]", "[/EN#1/ A dog]", "[/EN#1/people]", "[/EN#1/people  ]"),
        "[/EN#1/people " + " a" * 50_000,
    ],
)
def test_broken_brackets_leave_the_words_without_phrases(flickr, line):
    write(flickr / "Sentences" / "102.txt", f"[/EN#1/people A dog] .\nA toy {line}\n")
    dataset = read(flickr)
    captions = [dataset.captions[j] for j in dataset.captions_of(1)]
    assert captions[0] == "A dog ." and captions[1].startswith("A toy")
    assert not {"[", "]"} & set(captions[1]) and {phrase[0] for phrase in rows(dataset, 1)[0]} == {0}
    assert "1 sentences have broken brackets: kept without their phrases" in dataset.notes


def test_a_picturebook_read_back(tmp_path):
    book = load_generated("picturebook", tmp_path, train=12, val=3, test=11, size=64, n_jobs=1)
    root = generate(tmp_path / "flickr", "scenes", {"train": 12, "val": 3, "test": 11}, 64, entities=True)
    (root / "dataset_picturebook.json").rename(root / "dataset_flickr30k.json")
    assert read(root, split="karpathy").fingerprint() == read(root).fingerprint()
    dataset = read(root)
    assert dataset.image_ids == book.image_ids and dataset.notes == ()
    assert dataset.split_of_image.tolist() == book.split_of_image.tolist()
    assert [caption.replace(" .", ".") for caption in dataset.captions] == list(book.captions)
    assert dataset.image_path(0).is_file()
    # A picturebook lists the boxes of everything in the scene, Entities those that a caption names.
    for i in range(book.n_images):
        phrases, boxes = rows(dataset, i)
        expected, drawn = rows(book, i)
        named = {phrase[4] for phrase in expected}
        assert phrases == expected and boxes == {box for box in drawn if box[4] in named}
    assert len(dataset.phrases) == len(book.phrases)


@pytest.mark.parametrize("folder", [".", "flickr30k_entities", "flickr30k_entities/annotations"])
def test_annotations_are_found_in_a_folder(tmp_path, folder):
    root = fill(tmp_path / "flickr", tmp_path / "flickr" / folder)
    assert read(root).n_images == 4
    for path in (root / folder).glob("*.txt"):
        path.rename(root / path.name)
    assert read(root).n_images == 4


def test_karpathy_split(flickr):
    refuses("expected 29,783 images in split train .*Entities", flickr, subset=False)
    listed = (("102", "train"), ("101", "train"), ("103", "test"))
    images = [entry(f"{image}.jpg", split, ["Other words"]) for image, split in listed]
    write(flickr / "dataset_flickr30k.json", {"dataset": "flickr30k", "images": images})
    refuses("expected 29,000 images in split train .*Karpathy", flickr, subset=False, split="karpathy")
    dataset = read(flickr, split="karpathy")
    assert dataset.image_ids == ("102", "101", "103")
    assert dataset.captions[0].startswith("Two young , White")
    assert "1 annotated images are in no split: left out" in dataset.notes
    assert dataset.edition == "Flickr30k, split of Karpathy and Fei-Fei"
    (flickr / "train.txt").unlink()  # without the lists it is the split
    assert read(flickr).fingerprint() == dataset.fingerprint()
    refuses("expected train.txt, found none; .*split='karpathy'", flickr, split="entities")
    (flickr / "dataset_flickr30k.json").unlink()
    refuses("expected dataset_flickr30k.json, found none", flickr, split="karpathy")
    refuses("split='x': expected one of", flickr, ConfigError, split="x")


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((0, 0, 61, 51), (0, 0, 59, 49)),
        ((7, 9, 7, 9), (6, 8, 6, 8)),
        ((-7, 1, 5, 5), (0, 0, 4, 4)),
        *(((61, 1, 90, 5), None), ((-5, 1, 0, 5), None), ((9, 1, 8, 5), None), ((1, 9, 5, 8), None)),
    ],
)
def test_boxes_are_clipped_to_their_image(flickr, corners, box):
    objects = f"<object><name>1</name>{BOX.format(*corners)}</object>"
    write(flickr / "Annotations" / "101.xml", annotation("101", objects))
    dataset = read(flickr)
    assert rows(dataset, 0)[1] == ({(*box, 1)} if box else set())
    clipped = "1 boxes reach over an edge of their image: clipped" in dataset.notes
    assert clipped == (box is not None and tuple(corner - 1 for corner in corners) != box)
    gone = "1 boxes lie outside their image or end before they begin: left out"
    assert (gone in dataset.notes) == (box is None)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>'
OUTER = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, r"101\.xml: expected plain, complete XML, found DTDForbidden"),
        (OUTER, "found DTDForbidden"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>', "found DTDForbidden"),
        ("", "expected plain, complete XML, .*no element found"),
        (b"<annotation>\xff</annotation>", "line 1: expected UTF-8, found byte 0xff"),
        ("<html/>", "expected <annotation> at the top, found <html>"),
        (annotation("102"), "expected the annotation of image 101, found <filename> '102.jpg'"),
        (annotation("101", width="x"), "expected a whole number, found 'x'"),
        (annotation("101", OBJECTS + "<object><name>dog</name></object>"), "object 5: .* found 'dog'"),
        (annotation("101", f"<object><name>{'9' * 30}</name></object>"), "object 1: expected a whole number"),
        (annotation("101", "<object><name>1</name><bndbox/></object>"), "object 1: .* found ''"),
        (annotation("101", OBJECTS.replace(">30<", f">{'9' * 6000}<")), "object 1: .* found '9999"),
    ],
)
def test_broken_annotations(flickr, content, message):
    write(flickr / "Annotations" / "101.xml", content)
    refuses(message, flickr)


def test_declared_encodings_open_no_codec(flickr):
    path = flickr / "Annotations" / "101.xml"
    for encoding in ("ascii", "no-such-codec", "utf-16", "idna"):
        write(path, f'<?xml version="1.0" encoding="{encoding}"?>\n{annotation("101")}')
        assert len(rows(read(flickr), 0)[1]) == 3
    nested = "<a>" * 100_000 + "</a>" * 100_000
    write(path, annotation("101", OBJECTS + nested))
    assert len(rows(read(flickr), 0)[1]) == 3


def test_odd_sentence_files(flickr):
    path = flickr / "Sentences" / "101.txt"
    write(path, "\ufeff[/EN#1/people A dog] .\r\n[/EN#1/people A cat] .\r\n\n\n")
    assert read(flickr).captions[:2] == ("A dog .", "A cat .")
    write(path, "[/EN#1/people A dog] .\n\n[/EN#6/people A cat] .\n")
    refuses(r"train\.txt, line 1: image 101\.jpg has an empty caption", flickr)
    dataset = read(flickr, on_empty="skip")
    assert rows(dataset, 0)[0] == {(0, 0, 2, "A dog", 1, "people"), (1, 0, 2, "A cat", 6, "people")}
    write(path, " \n\n")
    refuses("expected one sentence a line, found none", flickr)
    write(path, b"A dog .\n\xff\n")
    refuses(r"101\.txt, line 2: expected UTF-8", flickr)


def test_what_is_missing_is_named(flickr):
    for name in ("Sentences/103.txt", "Annotations/103.xml", "val.txt"):
        path = (flickr / name).rename(flickr / "away")
        refuses(name.rpartition("/")[2], flickr)
        path.rename(flickr / name)
    shutil.rmtree(flickr / "flickr30k-images")
    assert read(flickr, check_files=False).n_images == 4
    refuses("expected image 101.jpg in .*4 of 4 images are missing", flickr)
    shutil.rmtree(flickr / "Annotations")
    refuses(r"Sentences and Annotations, found none; unpack annotations\.zip", flickr)
    write(flickr / "annotations.zip", b"")
    refuses(r"found annotations\.zip; unpack it", flickr)
