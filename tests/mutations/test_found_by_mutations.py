"""What broken files once led to, each with the smallest file that did."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import examples
import pytest

from imtext.data import load_dataset
from imtext.errors import DataError
from imtext.text.vectors import load_word_vectors
from imtext.text.vocabulary import Vocabulary

Change = Callable[[dict], None]


def refused(words: str, function: Callable[..., object], *args: object, **options: object) -> None:
    with pytest.raises(DataError, match=words) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)


def change_json(path: Path, change: Change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "y/" * 2500 + "z"], ids=len)
def test_a_file_name_longer_than_the_disk_takes(tmp_path, name):
    examples.flickr8k(tmp_path)
    list_ = tmp_path / "Flickr8k_text" / "Flickr_8k.testImages.txt"
    list_.write_text(f"{name}.jpg\n", encoding="utf-8")
    refused("testImages.txt, line 1: image", load_dataset, "flickr8k", tmp_path, subset=True)


def test_a_caption_number_of_five_thousand_digits(tmp_path):
    examples.flickr8k(tmp_path)
    (tmp_path / "Flickr8k_text" / "Flickr8k.token.txt").write_text(f"a.jpg#{'7' * 5000}\tA dog .\n")
    refused("line 1: expected name.jpg#k<TAB>caption", load_dataset, "flickr8k", tmp_path, subset=True)


def image(number: int, **fields: object) -> Change:
    return lambda content: content["images"][number].update(fields)


def sentence(number: int, k: int, **fields: object) -> Change:
    return lambda content: content["images"][number]["sentences"][k].update(fields)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (image(0, cocoid=[]), r"at `\$.images\[0\].cocoid`"),
        (image(0, filepath=[1]), r"got `array` - at `\$.images\[0\].filepath`"),
        (lambda c: c.update(dataset=[[]]), r"got `array` - at `\$.dataset`"),
        (sentence(2, 0, sentid=True), r"got `bool` - at `\$.images\[2\].sentences\[0\].sentid`"),
        (sentence(1, 0, tokens=[1]), r"got `int` - at `\$.images\[1\].sentences\[0\].tokens\[0\]`"),
        (image(0, filename="\ud800.jpg"), "dataset.json: "),
        (sentence(2, 1, raw="a \udfff"), "dataset.json: "),
        (image(0, filename="\x1b[2J.jpg"), r"expected image \\x1b\[2J.jpg in"),
    ],
)
def test_a_field_of_another_type_in_a_split_file(tmp_path, change, words):
    examples.karpathy(tmp_path)
    change_json(tmp_path / "dataset.json", change)
    refused(words, load_dataset, "karpathy", tmp_path)


def test_a_cocoid_of_null_counts_as_absent(tmp_path):
    examples.karpathy(tmp_path)
    change_json(tmp_path / "dataset.json", lambda c: [image.update(cocoid=None) for image in c["images"]])
    assert load_dataset("karpathy", tmp_path).image_ids == examples.NAMES


def test_numbers_of_persons_beyond_64_bits_stay_apart(tmp_path):
    examples.cuhk(tmp_path)
    path = tmp_path / "reid_raw.json"
    change_json(path, lambda c: [entry.update(id=2**70 + i // 2 * 2) for i, entry in enumerate(c)])
    change_json(path, lambda c: [entry.update(split="train") for entry in c])
    groups = load_dataset("cuhk_pedes", tmp_path, subset=True).group_of_image
    assert groups.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("header", ["0 0", "3 0", "3 99999999999", "9" * 30 + " 4", f"{'9' * 5000} 4"])
def test_a_header_of_word_vectors_that_lies(tmp_path, header):
    for name in ("words.txt", "words.bin"):
        (tmp_path / name).write_text(f"{header}\ndog 1 2\n")
        refused(name, load_word_vectors, tmp_path / name)


def test_a_line_that_is_larger_than_any_line_of_vectors_is_not_kept(tmp_path):
    path = tmp_path / "words.txt.gz"
    path.write_bytes(gzip.compress(b"dog 1 2 3\n" + bytes(200_000_000), 1))
    tracemalloc.start()
    refused("line 2 is no word with 3 numbers", load_word_vectors, path)
    assert tracemalloc.get_traced_memory()[1] < 120_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"words": ' + "9" * 5000 + "}"])
def test_a_vocabulary_that_is_none(tmp_path, text):
    (tmp_path / "vocabulary.json").write_text(text.replace('{"', '{"format": "imtext-vocabulary-3", "', 1))
    refused("vocabulary.json: expected", Vocabulary.load, tmp_path / "vocabulary.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scene: scene.pop("phrases"), "found KeyError: 'phrases'"),
        (lambda scene: scene.update(phrases=[[0, 1]]), "found ValueError: not enough values"),
        (lambda scene: scene.update(phrases=[[99, 0, 1, 1, "a"]]), "found IndexError"),
        (lambda scene: scene.update(boxes={"1": [[0.5, 1, 2, 3]]}), "found"),
        (lambda scene: scene.update(boxes={"1": [[2**70, 1, 2, 3]]}), "found"),
        (lambda scene: scene.update(boxes=[7]), "found AttributeError"),
        (lambda scene: scene.update(id=[]), "found TypeError"),
    ],
)
def test_scenes_of_a_picturebook_that_were_changed(tmp_path, change, words):
    examples.picturebook(tmp_path)
    path = next(tmp_path.glob("*/scenes.jsonl"))
    first, *others = path.read_text(encoding="utf-8").splitlines()
    scene = json.loads(first)
    change(scene)
    path.write_text("\n".join([json.dumps(scene), *others]) + "\n", encoding="utf-8")
    options = {"train": 2, "val": 1, "test": 2, "size": 64}
    refused(f"scenes.jsonl: .*{words}", load_dataset, "picturebook", tmp_path, **options)
    path.write_text("\n".join(["[1]", *others]) + "\n", encoding="utf-8")
    refused("jsonl: expected one JSON object", load_dataset, "picturebook", tmp_path, **options)


def test_stamps_and_lines_of_pedestrians_that_were_changed(tmp_path):
    examples.pedestrians(tmp_path)
    options = {"train": 2, "val": 1, "test": 2, "size": 64}
    stamp, lines = (next(tmp_path.glob(f"*/pedestrians.{ending}")) for ending in ("json", "jsonl"))
    text, said = lines.read_text(encoding="utf-8"), stamp.read_text(encoding="utf-8")
    lines.write_text("7\n" + text, encoding="utf-8")
    refused("jsonl: expected one JSON object", load_dataset, "picturebook_pedestrians", tmp_path, **options)
    lines.write_text(text.replace('"file":"', '"file":["', 1).replace('",', '"],', 1), encoding="utf-8")
    refused("jsonl: expected one JSON object", load_dataset, "picturebook_pedestrians", tmp_path, **options)
    lines.write_text(text, encoding="utf-8")
    stamp.write_text("[" * 100_000, encoding="utf-8")
    refused("json: expected the parameters", load_dataset, "picturebook_pedestrians", tmp_path, **options)
    stamp.write_text(said.replace('"images"', '"image"'), encoding="utf-8")
    refused("expected None images", load_dataset, "picturebook_pedestrians", tmp_path, **options)
