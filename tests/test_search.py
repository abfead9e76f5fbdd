"""Single queries with a stand-in for a trained model, and the pages they write."""

from __future__ import annotations

import base64
import html.parser
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from imtext.errors import ConfigError, DataError
from imtext.search import search, write_answer

COLOURS = {"red": (220, 40, 40), "green": (30, 160, 60), "blue": (40, 70, 220)}
CAPTIONS = ("a red square", "something <b>red</b> & $5", "a green square", "a blue square", "blue again")
OWNERS = np.array([0, 0, 1, 2, 2])


class ColourEncoder:
    """Embeds a caption by the colours it names and an image by its mean colour."""

    def __init__(self, folder):
        self.files = [folder / f"{name}.png" for name in COLOURS]
        for file, colour in zip(self.files, COLOURS.values(), strict=True):
            Image.new("RGB", (40, 30), colour).save(file)
        self.test = SimpleNamespace(
            name="colours",
            captions=CAPTIONS,
            image_of_caption=OWNERS,
            image_path=lambda i: self.files[i],
            captions_of=lambda i: np.flatnonzero(i == OWNERS),
        )
        self.images = self.embed_images(self.files)
        self.captions = self.embed_captions(CAPTIONS)

    def embed_captions(self, captions):
        return np.array([[float(name in caption) for name in COLOURS] for caption in captions]) + 0.01

    def embed_images(self, files):
        return np.array([np.asarray(Image.open(file), dtype=float).mean((0, 1)) for file in files])

    measure = "cosine"

    def scores_for_captions(self, captions):
        return cosines(self.images, self.embed_captions(captions))

    def scores_for_images(self, files):
        return cosines(self.embed_images(files), self.captions)


def cosines(first, second):
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second)]
    return units[0] @ units[1].T


@pytest.fixture
def encoder(tmp_path):
    return ColourEncoder(tmp_path)


def test_a_caption_finds_images(encoder):
    answer = search(encoder, "a blue thing", top=2)
    assert answer.picture is None
    assert [hit.rank for hit in answer.hits] == [1, 2]
    assert answer.hits[0].image.name == "blue.png"
    assert answer.hits[0].captions == ("a blue square", "blue again")
    assert answer.hits[0].score > answer.hits[1].score
    assert str(answer).splitlines()[0] == "a blue thing  (the 3 images of the test split of colours)"
    assert "blue.png  a blue square" in str(answer)


def test_an_image_finds_captions(encoder):
    answer = search(encoder, str(encoder.files[0]), top=2)
    assert answer.picture == encoder.files[0]
    assert [hit.captions for hit in answer.hits] == [("a red square",), ("something <b>red</b> & $5",)]
    assert {hit.image.name for hit in answer.hits} == {"red.png"}
    assert len(search(encoder, str(encoder.files[0]), top=99).hits) == 5


@pytest.mark.parametrize("picture", [False, True])
def test_the_web_page_holds_everything_and_fetches_nothing(encoder, tmp_path, picture):
    answer = search(encoder, str(encoder.files[0]) if picture else 'a "red" <i>thing</i>', top=3)
    page = write_answer(answer, tmp_path / "page.html").read_text()
    tags, sources = [], []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append(tag)
            sources.extend(value for name, value in attributes if name in ("src", "href"))

    Reader().feed(page)
    assert not {"i", "b", "script", "link"} & set(tags)
    assert tags.count("h1") == 1
    assert len(sources) == 3 + picture
    assert "http" not in page
    assert "color-scheme: light dark" in page
    for source in sources:
        data = re.fullmatch(r"data:image/webp;base64,(.+)", source)[1]
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (40, 30)


@pytest.mark.parametrize("query", ["a red thing for $5 or $6", "blue.png"])
@pytest.mark.parametrize("top", [1, 3])
def test_the_picture_is_drawn(encoder, tmp_path, monkeypatch, query, top):
    monkeypatch.chdir(tmp_path)
    out = write_answer(search(encoder, query, top=top), tmp_path / "page.PNG")
    picture = Image.open(out)
    assert min(picture.size) > 200
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".PNG", ".png", ".png", ".png"]


@pytest.mark.parametrize(("query", "words"), [("  ", "empty"), ("missing.jpg", "missing.jpg: no such image")])
def test_an_unfit_query_is_refused(encoder, query, words):
    with pytest.raises(DataError, match=words):
        search(encoder, query)


def test_a_very_long_caption_is_a_caption(encoder):
    assert search(encoder, "red " * 5000).picture is None


@pytest.mark.parametrize("out", ["page.pdf", "nowhere/page.html"])
def test_an_unfit_page_is_refused(encoder, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--out"):
        write_answer(search(encoder, "red"), out)


def test_nothing_is_left_where_a_page_cannot_be_written(encoder, tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_answer(search(encoder, "red"), tmp_path / "page.html")
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_picture_is_named(encoder, tmp_path):
    answer = search(encoder, "green", top=1)
    encoder.files[1].write_bytes(encoder.files[1].read_bytes()[:60])
    with pytest.raises(DataError, match="green.png: not a readable image"):
        write_answer(answer, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


class PairEncoder(ColourEncoder):
    """Scores pairs and has no embeddings, as SCAN."""

    measure = "pair score"

    def scores_for_captions(self, captions):
        return np.array([[7.0 if name in one else 2.0 for one in captions] for name in COLOURS])

    def scores_for_images(self, files):
        return np.array([[float(file.stem in one) for one in CAPTIONS] for file in files])


def test_a_model_of_pairs_is_asked_for_scores(tmp_path):
    encoder = PairEncoder(tmp_path)
    encoder.images = encoder.captions = None
    answer = search(encoder, "a blue thing", top=3)
    assert [(hit.image.name, hit.score) for hit in answer.hits] == [
        ("blue.png", 7),
        ("red.png", 2),  # ties by index
        ("green.png", 2),
    ]
    assert "the 3 images" in answer.gallery
    assert "by pair score." in write_answer(answer, tmp_path / "page.html").read_text()
    answer = search(encoder, str(encoder.files[2]), top=2)
    assert [hit.captions for hit in answer.hits] == [("a blue square",), ("blue again",)]
    assert "the 5 captions" in answer.gallery
    with pytest.raises(ConfigError, match="top=0: expected an integer of 1 or more"):
        search(encoder, "blue", top=0)


def test_runs_that_cannot_be_searched_are_named(tmp_path, capsys):
    from imtext.cli import main
    from imtext.runs import RunStore

    with RunStore(tmp_path).open(
        "structure_preserving", "row", {"model": "two_branch", "text": "hglmm"}
    ) as run:
        run.save_json("metrics.json", {"rsum": 1.0})
    assert main(["search", str(run.dir), "a dog"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing to search with" in line
