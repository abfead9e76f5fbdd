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

from imtext.data import Dataset, ImageFeatures
from imtext.data.images import read_picture
from imtext.data.pack import write_pack
from imtext.errors import ConfigError, DataError
from imtext.search import search, write_answer
from imtext.vision import gallery as gallery_module

COLOURS = {"red": (220, 40, 40), "green": (30, 160, 60), "blue": (40, 70, 220)}
CAPTIONS = ("a red square", "something <b>red</b> & $5", "a green square", "a blue square", "blue again")
OWNERS = np.array([0, 0, 1, 2, 2])


class ColourEncoder:
    """Embeds a caption by the colours it names and an image by its mean colour."""

    def __init__(self, folder):
        self.inputs = SimpleNamespace(source=SimpleNamespace(cache=folder / "cache"))
        self.embedded = []
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
        rows = np.array([np.asarray(read_picture(file), dtype=float).mean((0, 1)) for file in files])
        self.embedded += [file.name for file in files]
        return rows

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
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (180, 135)


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
    with pytest.raises(DataError, match="green.png: expected an image, found: .*; replace the file"):
        write_answer(answer, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.fixture
def photos(encoder, tmp_path):
    """A folder with three pictures in two depths, one that is broken, and files of other kinds."""
    folder = tmp_path / "photos"
    (folder / "2019" / "june").mkdir(parents=True)
    names = ["2019/june/sea.JPG", "2019/meadow.png", "fire.webp"]
    for name, colour in zip(names, ["blue", "green", "red"], strict=True):
        Image.new("RGB", (30, 40), COLOURS[colour]).save(folder / name)
    for name in ["2019/cut.jpg", "notes.txt", ".hidden.png"]:
        (folder / name).write_bytes(b"no picture")
    encoder.embedded.clear()
    return folder


def names_of(answer):
    return [hit.image.name for hit in answer.hits]


def test_a_caption_finds_images_of_a_folder(encoder, photos, tmp_path):
    answer = search(encoder, "a blue thing", top=2, gallery=photos)
    assert names_of(answer)[0] == "sea.JPG"
    assert answer.hits[0].score == pytest.approx(search(encoder, "a blue thing").hits[0].score, abs=0.01)
    assert answer.gallery.startswith("the 3 images of photos; 1 images cannot be decoded (2019/cut.jpg)")
    assert f"sea.JPG  {photos / '2019/june'}" in str(answer), "the folder stands where captions would"
    page = write_answer(answer, tmp_path / "page.html").read_text()
    assert "sea.JPG" in page
    assert "cut.jpg" in page


def test_an_image_finds_captions_of_the_test_split_whatever_the_gallery(encoder, photos):
    answer = search(encoder, str(encoder.files[0]), top=1, gallery=photos)
    assert answer.hits[0].captions == ("a red square",)
    assert "test split" in answer.gallery


def test_pictures_are_embedded_once(encoder, photos, monkeypatch):
    monkeypatch.setattr(gallery_module, "_BLOCK", 1)
    first = search(encoder, "a green thing", gallery=photos)
    assert sorted(encoder.embedded) == ["fire.webp", "meadow.png", "sea.JPG"]
    Image.new("RGB", (30, 40), COLOURS["green"]).save(photos / "new.png")
    encoder.embedded.clear()
    assert len(search(encoder, "a green thing", gallery=photos).hits) == len(first.hits) + 1
    assert encoder.embedded == ["new.png"]
    encoder.images = encoder.images + 1  # another model
    search(encoder, "a green thing", gallery=photos)
    assert len(encoder.embedded) == 5


def test_a_search_that_was_stopped_goes_on(encoder, photos, monkeypatch):
    monkeypatch.setattr(gallery_module, "_BLOCK", 1)
    embed = encoder.embed_images

    def stopped(files):
        if "fire.webp" in str(files):
            raise KeyboardInterrupt
        return embed(files)

    encoder.embed_images = stopped
    with pytest.raises(KeyboardInterrupt):
        search(encoder, "red", gallery=photos)
    encoder.embed_images = embed
    encoder.embedded.clear()
    assert names_of(search(encoder, "red", top=1, gallery=photos)) == ["fire.webp"]
    assert encoder.embedded == ["fire.webp"]


def dataset(folder, names, **more):
    count = len(names)
    captions = [f"caption {i}" for i in range(count)]
    return Dataset(
        "own", folder, names, names, captions, range(count), ["test"] * count, range(count), **more
    )


def test_a_caption_finds_images_of_a_pack_with_their_captions(encoder, tmp_path):
    held = dataset(tmp_path, [file.name for file in encoder.files])
    pack = write_pack(held, tmp_path / "pack.safetensors", size=16)
    answer = search(encoder, "green", top=1, gallery=pack)
    assert [(hit.image, hit.captions) for hit in answer.hits] == [(pack / "green.png", ("caption 1",))]
    assert write_answer(answer, tmp_path / "page.png").is_file()


def test_a_caption_finds_images_of_stored_embeddings(encoder, tmp_path):
    path = tmp_path / "photos.npz"
    np.savez(path, images=7 * encoder.images, files=[file.name for file in encoder.files])
    encoder.embedded.clear()
    answer = search(encoder, "blue", top=1, gallery=path)
    assert [hit.image for hit in answer.hits] == [encoder.files[2]]
    assert answer.hits[0].score <= 1
    assert not encoder.embedded


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": None}, "files is not a file in the archive"),
        ({"images": np.ones((3, 4))}, r"images \(N, 3\)"),
        ({"images": np.ones(3)}, r"images \(N, 3\)"),
        ({"images": np.full((3, 3), np.inf)}, "NaN or infinity"),
        ({"files": ["a.png"]}, "expected 1 features, found 3"),
    ],
)
def test_unfit_embeddings_are_refused(encoder, tmp_path, change, words):
    content = {"images": encoder.images, "files": ["a.png", "b.png", "c.png"]} | change
    path = tmp_path / "photos.npz"
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(DataError, match=words) as caught:
        search(encoder, "blue", gallery=path)
    assert "photos.npz" in str(caught.value)


def test_unfit_galleries_are_refused(encoder, tmp_path):
    empty, broken, other = tmp_path / "empty", tmp_path / "broken", tmp_path / "other.safetensors"
    for folder in (empty, broken):
        folder.mkdir()
    (broken / "a.png").write_bytes(b"no picture")
    other.write_bytes(b"no pack")
    features = ImageFeatures((np.ones((1, 4), "f4"),), [0])
    pack = write_pack(dataset(tmp_path, ["a.png"], features=features), tmp_path / "features.safetensors")
    for gallery, words in {
        empty: "empty: expected a folder of pictures",
        tmp_path / "nowhere": "nowhere: expected a folder of pictures",
        broken: "none of the 1 images can be decoded",
        other: "other.safetensors: expected a pack",
        pack: "features.safetensors: holds features",
    }.items():
        with pytest.raises(DataError, match=words):
            search(encoder, "blue", gallery=gallery)


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
    assert "best by pair score of the 3 images" in write_answer(answer, tmp_path / "page.html").read_text()
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
