"""The caption tables of one's own data: delimiters, quotes, columns, JSON, and files of other datasets."""

from __future__ import annotations

import csv
import io
import json
from itertools import product
from pathlib import Path

import pytest
from folders import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imtext.data.files import clean
from imtext.data.own import read_table
from imtext.errors import ImtextError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder into which each test writes its table."""
    return tmp_path_factory.mktemp("own")


def table(root: Path, content: str | bytes, name: str = "t.csv", **columns: str | None):
    return read_table(write(root / name, content), columns)


def pairs(*given, **columns: str | None) -> list[tuple]:
    return [(row.file, caption) for row in table(*given, **columns) for caption in row.captions]


def refuses(message: str, *given, **columns: str | None) -> None:
    with pytest.raises(ImtextError, match=message) as caught:
        table(*given, **columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_bom(folder, delimiter, ends, bom):
    lines = [("image", "caption"), ("a.jpg", "A dog."), ()]
    lines += [("b.jpg", "Un chien \u2028 noir, très gros; \u0085")]
    text = ends.join(delimiter.join(line) for line in lines if line or ends != "\r") + ends
    if delimiter in ",;":
        text = text.replace("Un", '"Un').replace("\u0085", '\u0085"')
    content = bom + text.encode()
    assert pairs(folder, content) == [("a.jpg", "A dog."), ("b.jpg", "Un chien noir, très gros;")]


def test_flickr30k_of_kaggle(folder):
    text = (
        "image_name| comment_number| comment\n"
        '1000.jpg| 0| Two young , White males ; one says " Hi " .\n'
        "2199200615.jpg| 4   A dog runs across the grass .\n"
    )
    assert pairs(folder, text, "results.csv") == [
        ("1000.jpg", 'Two young , White males ; one says " Hi " .'),
        ("2199200615.jpg", "A dog runs across the grass ."),
    ]
    refuses("line 2: expected 3 fields", folder, text.splitlines()[0] + "\n1.jpg| A dog .\n")


@pytest.mark.parametrize("name", ["t.tsv", "t.TSV", "t.txt"])
def test_a_file_of_tabs_has_no_quotes(folder, name):
    text = 'image\tcaption\na.jpg\t"Welcome home\nb.jpg\tA 5" disc, ""\n'
    assert pairs(folder, text, name) == [("a.jpg", '"Welcome home'), ("b.jpg", 'A 5" disc, ""')]
    refuses("line 2: expected 2 fields .* found 3: ", folder, "image\tcaption\na.jpg\ta\tdog\n", name)
    # A comma separated table keeps its quotes, whatever its name.
    assert pairs(folder, 'image,caption\na.jpg,"A dog,\na cat"\n', name) == [("a.jpg", "A dog, a cat")]


def test_annotations_of_flickr30k_with_lists(folder):
    cell = json.dumps(["Two men.", 'A "man", two.']).replace('"', '""')
    text = f'raw,sentids,split,filename,img_id\n"{cell}","[0, 1]",train,1.jpg,0\n'
    assert pairs(folder, text) == [("1.jpg", "Two men."), ("1.jpg", 'A "man", two.')]
    for cell in ("['A dog']", "[3]"):
        refuses("line 2, a JSON list of captions: ", folder, f"image,captions\n1.jpg,{cell}\n")
    assert pairs(folder, "image,caption\n1.jpg,[sic]\n") == [("1.jpg", "[sic]")]
    assert pairs(folder, "image,captions\n1.jpg,[sic]\n2.jpg,A dog\n")[0] == ("1.jpg", "[sic]")


def test_quotes_line_breaks_and_line_numbers(folder):
    text = (
        'image,caption\na.jpg,"A dog,\nor ""two""\r\ndogs"\n\n'
        'b.jpg, "A cat, ""Tom"""\nc.jpg,It says "hi"\nd.jpg,\n'
    )
    read = table(folder, text)
    assert [row.where.rpartition(" ")[2] for row in read] == ["2", "6", "7", "8"]
    assert [row.captions[0] for row in read] == ['A dog, or "two" dogs', 'A cat, "Tom"', 'It says "hi"', ""]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg\n", "line 2: expected 2 fields .image, caption., found 1: a.jpg"),
        ("a.jpg,A dog\nb.jpg,A cat, black\n", "line 3: expected 2 fields .*, found 3: .*put quotes round"),
        ('a.jpg,"A dog\nb.jpg,A cat\n', "line 2: expected fields with closed quotes, found: unexpected end"),
        ('a.jpg,A\nb.jpg,"A" dog\n', "line 3: expected fields with closed quotes, found: ',' expected after"),
        ("a.jpg," + "x" * 200_000, r"line 2: .* found: field larger than field limit \(131072\)"),
        ("", "expected rows with an image and a caption, found none"),
    ],
)
def test_rows_refused(folder, rows, message):
    refuses(message, folder, "image,caption\n" + rows)


IMAGE = ("image", "Image_Name", "FILENAME", "file name", "file", "filepath", "file-path", "img", "path")
CAPTION = ("caption", "Captions", "sentence", "text", "raw", "comment", "description", "title")


def test_column_names(folder):
    for name, caption in product(IMAGE, CAPTION):
        assert pairs(folder, f"id,{caption},{name}\n1,A dog,a.jpg\n") == [("a.jpg", "A dog")]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,words", r"expected one column with the caption .* 'words'; .*columns=.'caption': 'NAME'"),
        ("photo,caption", "expected one column with the image .*none of these among 'photo', 'caption'"),
        ("image,title,text", "with the caption .*found title, text among .*columns=.'caption': 'title'"),
        ("file,caption,path", "expected one column with the image .*found file, path among"),
        ("image,caption,caption", "line 1: expected different names of columns"),
        ("image,caption,group,identity", "expected one column with the group .*found group, identity"),
        ("a.jpg,A dog", "expected one column with the image .*none of these among 'a.jpg', 'a_dog'"),
    ],
)
def test_columns_refused(folder, header, message):
    refuses(message, folder, header + "\n" + ",".join("1" * len(header.split(","))) + "\n")


def test_columns_by_parameter(folder):
    text = "photo;title;text\na.jpg;A;A dog, black\n"
    assert pairs(folder, text, image="Photo", caption="text") == [("a.jpg", "A dog, black")]
    words = {"image": "photo", "caption": "words"}
    refuses("expected one column with the caption .words., found none", folder, text, **words)
    refuses("expected one column with the split .set., found none", folder, "image,text\na,b\n", split="set")
    assert pairs(folder, ",image,caption\n0,a.jpg,A dog\n") == [("a.jpg", "A dog")]


def test_not_utf8(folder):
    latin = "image,caption\na,b\nc,café\n".encode("latin-1")
    refuses("line 3: expected UTF-8, found byte 0xe9", folder, latin)
    assert pairs(folder, "image,caption\na,b\n".encode("utf-16")) == [("a", "b")]


OBJECTS = [
    {"file_name": "a.jpg", "captions": ["A dog.", "Two dogs."], "split": "train", "group": 4},
    {"file_name": "b.jpg", "captions": "A cat.", "split": "dev", "group": "x"},
]


def test_json_and_json_lines(folder):
    lines = "\n\n".join(map(json.dumps, OBJECTS)) + "\n"
    for text, name, where in (
        *((lines, "t.jsonl", "line 3"), (lines, "t.json", "line 3")),
        (json.dumps(OBJECTS), "t.json", "entry 1"),
    ):
        read = table(folder, text, name)
        assert [(row.file, row.captions, row.split, row.group) for row in read] == [
            ("a.jpg", ["A dog.", "Two dogs."], "train", "4"),
            ("b.jpg", ["A cat."], "dev", "x"),
        ]
        assert read[1].where.endswith(where)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "a"', "line 1, one JSON object a line: input data was truncated"),
        ('{"image": "a", "text": "b"}\n[1]', "line 2, one JSON object a line: .*got `array`"),
        ('{"image": "a", "text": ["x", 3]}', "line 1: expected the name of an image and a caption"),
        ('{"image": 3, "text": "b"}', "line 1: expected the name of an image and a caption"),
        ('{"image": "a", "text": "b"}\n{"text": "b"}', "line 2: expected the name of an image"),
        ('{"image": "a", "text": "\\ud800"}', "line 1, one JSON object a line: "),
        ('{"image": "a\\u0000", "text": "b"}', "line 1 leaves the image folder"),
        ('{"image": "a", "file": "b", "text": "b"}', "with the image .*found image, file among"),
        ('{"a.jpg": ["A dog."]}', "expected one column with the image .* 'a.jpg'"),
        ("", "expected rows with an image and a caption, found none"),
        ("[]", "expected rows .* found none"),
        ("3", "expected `array`, got `int`"),
        ("[3]", r"expected `object`, got `int` - at `\$\[0\]`"),
    ],
)
def test_json_refused(folder, text, message):
    refuses(message, folder, text, "t.json" if text[:1] in ("3", "[") else "t.jsonl")


CAPTIONS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30
)
TRICKY = st.lists(
    st.sampled_from(['"', "\n", "\r\n", ",", "\t", ";", "|", " ", "a", "é", "\u2028", "'"])
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    captions=st.lists(CAPTIONS | TRICKY, min_size=1, max_size=6),
    delimiter=st.sampled_from(",\t;|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_round_trip(folder, captions, delimiter, quoting, ends):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=ends)
    kept = list(zip((f"{letter}.jpg" for letter in "abcdef"), [f"{one}." for one in captions], strict=False))
    writer.writerows([("image", "caption", "note"), *((*pair, "") for pair in kept)])
    assert pairs(folder, buffer.getvalue()) == [(image, clean(caption)) for image, caption in kept]
