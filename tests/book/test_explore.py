"""The page of `imtext explore`: it reads words, ranks images and captions, and marks, as the library does."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from headless_browser import Browser

import imtext
from imtext import experiment as parts
from imtext.cli import main
from imtext.experiment import Averaged, Branches, Cca, Data, Experiment, MeanWords, Structure, TfIdf
from imtext.experiment.compute import unit
from imtext.papers import structure_preserving
from imtext.publish.explore import into_book
from imtext.text.tokens import tokenize

NET = Branches(hidden=24, dim=16)
CNN = Averaged("efficientnet_lite0", size=64, crop=64, crops=1)
MEAN = Experiment(
    Data(train=40, val=20, test=30), CNN, MeanWords(), NET, Structure(), parts.adam(2, 3e-3, 20)
)
ROWS = {
    "mean-bi-structure": MEAN,
    "tfidf-bi-structure": MEAN.but(text=TfIdf(200)),
    "cca-mean": MEAN.but(network=Cca(16)),
    "cca-tfidf": MEAN.but(network=Cca(16), text=TfIdf(200)),
    "fv": MEAN.but(text=parts.Fisher(components=2, pca=8, ica=False)),
}
ODD = ["", " ... ", "A man's T-shirt isn't RED; it cost 1,000 yen in the 1950s!", "Zoë’s café, cafe\u0301"]
ODD += ["can't we've _under_score don't've 3.5.1x n't 'll", "狗 和 猫 İstanbul ΣΟΦΟΣ ß", "नमस्ते न\u200dमूना"]
ODD += ["10th 1,000th ½ ² 👍️ dog👍dog", "rock'n'roll O'Neill`s y'all’d __proto__", "a\tb\nc\u00a0d"]
# Numbers in 8 bits move cosines by less, on average.
ROUNDING = 0.01
SEEN = """(() => {
  const explorer = document.getElementById("imtext-explore"), field = explorer.querySelector("input");
  const lists = () => [...explorer.querySelectorAll("section")].map(section =>
    [...section.querySelectorAll("ol > li")].map(item => [item.firstChild.ariaLabel || item.textContent,
      item.className, item.firstChild.textContent]));
  const type = text => { field.value = text; field.dispatchEvent(new Event("input")); return lists(); };
  const words = QUERIES.map(type), tokens = ODD.map(imtextExplore.tokenize);
  const strip = explorer.querySelector(".strip").children;
  const images = [0, 7].map(image => { strip[image].click(); return lists(); });
  strip[3].focus();
  strip[3].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
  return {words, images, tokens, focused: [...strip].indexOf(document.activeElement)};
})()"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of finished runs."""
    folder = tmp_path_factory.mktemp("explore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        given = "picturebook", None, "smoke", [0], "all", "cpu", 1, str(folder / "runs"), {}
        results = structure_preserving.study(*given).run(ROWS)
        yield {name: result.runs[0].dir for name, result in results.items()}


@pytest.mark.parametrize("rows", [["mean-bi-structure", "tfidf-bi-structure", "cca-mean"], ["cca-tfidf"]])
def test_the_page_answers_as_the_library(
    browser: Browser, runs: dict[str, Path], tmp_path: Path, rows: list[str]
) -> None:
    assert main(["explore", *(str(runs[row]) for row in rows), "--out", str(tmp_path / "page")]) == 0
    models = [imtext.load(runs[row]) for row in rows]
    test = models[0].test
    queries = [test.captions[40], "two dogs run; dogs!", "A MAN in the snow's red unicorn", test.captions[77]]
    ask = SEEN.replace("QUERIES", json.dumps(queries)).replace("ODD", json.dumps(ODD))
    page = browser.open((tmp_path / "page" / "index.html").as_uri(), ask=ask)
    assert page.errors == [] and all(url.startswith(tmp_path.as_uri()) for url in page.requests)
    assert page.answer["tokens"] == [tokenize(text) for text in ODD] and page.answer["focused"] == 4
    for number, model in enumerate(models):
        script = (tmp_path / "page" / f"model-{number + 1}.js").read_text()
        images, captions = rounded(json.loads(script[script.index("{") : -3]), [*queries, *test.captions])
        scores = unit(images) @ unit(captions).T
        known = np.hstack([model.scores_for_captions(queries), unit(model.images) @ unit(model.captions).T])
        assert np.abs(scores - known).mean() < ROUNDING
        for query, columns, own in zip(queries, page.answer["words"], scores.T, strict=False):
            found = [int(re.search(r"image (\d+):", label)[1]) - 1 for label, *_ in columns[number]]
            right = {int(test.image_of_caption[j]) for j, text in enumerate(test.captions) if text == query}
            check(own, found, columns[number], right, 12)
        for image, columns in zip((0, 7), page.answer["images"], strict=True):
            found = [test.captions.index(text) for *_, text in columns[number]]
            check(scores[image, len(queries) :], found, columns[number], {*test.captions_of(image)}, 5)


def rounded(content: dict, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of images and captions by the numbers of a page."""

    def unpacked(given):
        kinds = {"values": "i1", "rows": "<f4", "columns": "<f4"}
        parts = {name: np.frombuffer(b64decode(given[name]), kind) for name, kind in kinds.items()}
        return parts["values"].reshape(given["shape"]) * parts["rows"][:, None] * parts["columns"]

    column = {word: place for place, words in enumerate(content["words"]) for word in words.split()}
    rows = np.zeros((len(captions), len(content["words"])))
    for row, caption in zip(rows, captions, strict=True):
        np.add.at(row, [column[word] for word in tokenize(caption) if word in column], 1)
    rows = (
        rows / np.maximum(rows.sum(1, keepdims=True), 1)
        if not content["idf"]
        else unit(rows * content["idf"])
    )
    rows = unit(rows @ unpacked(content["table"])) if content["unit"] else rows @ unpacked(content["table"])
    weights = [None] * (len(content["biases"]) - len(content["weights"])) + content["weights"]
    for number, (matrix, bias) in enumerate(zip(weights, content["biases"], strict=True)):
        rows = np.maximum(rows, 0) if number else rows
        rows = bias + (rows @ unpacked(matrix) if matrix else rows)
    return unpacked(content["images"]), rows


def check(scores: np.ndarray, found: list[int], items: list, right: set[int], count: int) -> None:
    """The best are found, in order, and the right ones marked; the first of them comes last if it is late."""
    np.testing.assert_allclose(scores[found[:count]], np.sort(scores)[::-1][:count], atol=1e-5)
    assert [mark == "right" for _, mark, _ in items] == [item in right for item in found]
    assert not right or right & set(found)


def test_what_no_page_can_show_is_refused_in_one_line(runs, tmp_path, capsys):
    page, mean = tmp_path / "page", str(runs["cca-mean"])
    assert main(["explore", str(runs["fv"]), "--out", str(page)]) == 2 and not page.exists()
    assert main(["explore", *[mean] * 4, "--out", str(page)]) == 2
    assert main(["explore", mean, "--out", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    said = f"{runs['fv']}: ", "4 runs", "is there already"
    for line, words in zip(lines, said, strict=True):
        assert words in line


def test_the_book_takes_the_runs_of_its_build(runs, tmp_path):
    (tmp_path / "book").mkdir()
    given = {"runs_dir": runs["fv"].parents[1], "profile": "smoke"}
    into_book(tmp_path, tmp_path, given | {"profile": "quick"})
    assert not (tmp_path / "book" / "explorer.html").exists()
    into_book(tmp_path, tmp_path, given)
    used = re.findall(r'"\.\./(_static/[^"]+)"', (tmp_path / "book" / "explorer.html").read_text())
    assert len(used) == 6 and all((tmp_path / "book" / name).is_file() for name in used)
