"""A page that searches with finished runs: it embeds the reader's words itself, with no server or network.

Only bags of words can be exported: mean word vectors and tf-idf, through two branches or CCA. Numbers are
kept in 8 bits, with a scale for each column and row. What the page does with them stands in ``explore.js``.
"""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from imtext.data.dataset import Dataset
from imtext.data.images import open_picture
from imtext.errors import ConfigError, ImtextError, RunError
from imtext.experiment import Branches, Cca, MeanWords, TfIdf
from imtext.experiment.encoder import load
from imtext.files import atomic, read_object, size_of
from imtext.models import CCA
from imtext.publish.execute import RUNS_FOLDER
from imtext.text.bags import MENDED, lemmas
from imtext.text.tokens import tokenize

MODELS, IMAGES = 3, 1_000
MODEL_BYTES, SPRITE_BYTES, ALL_BYTES = 1.5e6, 2.5e6, 6e6
# Rows of structure_preserving for the book's page, the first that can be exported.
ROWS = ("mean-bi-structure", "tfidf-bi-structure", "cca-tfidf", "cca-mean")


class Exported:
    """A finished run as a page computes it; ``script``: what the page reads of it.

    Raises:
        RunError: its captions are no bags of words, or it has more numbers than a page should hold.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.encoder = folder, load(folder)
        one = self.encoder.experiment
        open_picture(self.encoder.test, 0)  # features may have come in the place of pictures
        if not (isinstance(one.text, MeanWords | TfIdf) and isinstance(one.network, Branches | Cca)):
            other = "take a run on mean vectors or tf-idf, with two branches or CCA"
            raise RunError(f"{folder}: {one.said}: a page cannot compute this; {other}")
        self.script = f"imtextExplore.models.push({_json(self._content())});\n"
        if (size := len(self.script)) > MODEL_BYTES:
            other = "take a smaller network, or one on mean vectors"
            raise RunError(f"{folder}: {size / 1e6:.1f} MB for a page, at most {MODEL_BYTES / 1e6}; {other}")

    def _content(self) -> dict[str, Any]:
        one, fitted = self.encoder.experiment, self.encoder.inputs.text.fitted
        weights, biases = zip(*linear_layers(self.encoder.net), strict=True)
        if isinstance(one.text, TfIdf):  # its first weights are a row a word, of which a caption has few
            words, idf = forms(fitted.words_, self.encoder.inputs.source.captions), fitted.idf_
            table, *weights = weights
        else:
            words, idf, table = fitted.vectors.words, None, fitted.vectors.vectors
        recall = read_object(self.folder / "metrics.json")["test"]["text_query_r1"]
        return {
            "name": self.folder.name.rpartition("-")[0],
            "about": f"{one.text.said}, {one.network.said}; R@1 of text queries {recall:.1f} %",
            "words": words,
            "idf": idf,
            "table": packed(table),
            "unit": idf is None and isinstance(one.network, Cca),
            "weights": list(map(packed, weights)),
            "biases": biases,
            "images": packed(self.encoder.images[:IMAGES]),
        }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, default=np.ndarray.tolist)


def linear_layers(net: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights ``(inputs, outputs)`` and biases from caption features to embeddings, with ReLUs between."""
    if isinstance(net, CCA):
        weights = net.caption_weights_ * (net.correlations_ / net.correlations_[0]) ** net.power
        return [(weights, -net.caption_mean_ @ weights)]
    linear = []
    for layer in net.text_head:
        if isinstance(layer, nn.Linear):
            linear.append(layer)
        elif isinstance(layer, nn.BatchNorm1d):
            linear.append(fuse_linear_bn_eval(linear.pop(), layer))
    return [(one.weight.detach().numpy().T, one.bias.detach().numpy()) for one in linear]


def packed(rows: np.ndarray) -> dict[str, Any]:
    """Rows ``(n, D)`` in 8 bits, times a number for each column and one for each row.

    Columns come first: one number of a word vector may be ten times as large as all others.

    >>> packed(np.array([[0.5, -1.0]]))["shape"]
    (1, 2)
    """
    columns = np.maximum(np.sqrt((rows**2).mean(axis=0)), 1e-30).astype("<f4")
    scales = np.maximum(np.abs(rows / columns).max(axis=1, keepdims=True) / 127, 1e-30).astype("<f4")
    arrays = {"values": np.rint(rows / columns / scales).astype(np.int8), "columns": columns, "rows": scales}
    return {"shape": rows.shape} | {name: b64encode(one.tobytes()).decode() for name, one in arrays.items()}


def forms(terms: Sequence[str], captions: Mapping[str, Iterable[str]]) -> list[str]:
    """The words whose lemma each term is, with blanks between: of the dictionary and of the captions."""
    from simplemma.strategies.dictionaries import DefaultDictionaryFactory

    found: dict[str, list[str]] = {term: [] for term in terms}
    english = DefaultDictionaryFactory().get_dictionary("en").items()
    known = {word.lower() for word, lemma in english if lemma.lower() in found}
    for word in sorted(known.union(MENDED, *map(tokenize, sum(captions.values(), ())))):
        lemma = lemmas(word)
        if len(lemma) == 1 and lemma[0] in found and tokenize(word) == [word]:
            found[lemma[0]].append(word)
    return [" ".join(words) for words in found.values()]


def explore(runs: Sequence[Path], out: Path) -> Path:
    """Write a folder with a page that searches the test images of finished runs; returns the page.

    Raises:
        ConfigError: more than three runs, runs with other test images than the first, a folder that is there.
        RunError: a run that is not finished, or that a page cannot compute, see `Exported`.
        DataError: a picture that cannot be read.
    """
    if len(runs) > MODELS:
        raise ConfigError(f"{len(runs)} runs: a page shows {MODELS} at most, leave some out")
    if out.exists():
        raise ConfigError(f"--out {out}: is there already; remove it, or give another folder")
    write(list(map(Exported, runs)), out)
    return out / "index.html"


def write(models: Sequence[Exported], out: Path) -> None:
    """The folder of the page; raises as `explore`."""
    test = models[0].encoder.test
    for model in models[1:]:
        if model.encoder.test.captions != test.captions:
            raise ConfigError(f"{model.folder}: other test images than {models[0].folder}; give it its own")
    shown = test.take(range(min(IMAGES, test.n_images)))
    profile = read_object(models[0].folder / "provenance.json")["profile"]
    about = f"{shown.n_images:,} of the {test.n_images:,} test images of {test.name}; profile {profile}."
    gallery = {"captions": shown.captions, "owner": shown.image_of_caption, "group": shown.group_of_image}
    gallery["about"] = f"{about} Weights, word vectors and image embeddings are rounded to 8 bits."
    with atomic(out, ConfigError) as folder:
        folder.mkdir(parents=True)
        start = f"imtextExplore = {{models: [], gallery: {_json(gallery)}}};\n"
        (folder / "gallery.js").write_text(start, encoding="ascii")
        for number, model in enumerate(models, start=1):
            (folder / f"model-{number}.js").write_text(model.script, encoding="ascii")
        for name in ("explore.js", "explore.css"):
            shutil.copy(Path(__file__).with_name(name), folder)
        head = Path(__file__).with_name("explore.html").read_text("utf-8")
        (folder / "index.html").write_text(head + fragment(len(models)), encoding="utf-8")
        write_sprite(shown, folder / "sprite.webp", min(SPRITE_BYTES, ALL_BYTES - size_of(folder)))


def fragment(models: int, base: str = "") -> str:
    """What a page holds where the explorer is to stand, whose files lie under ``base``."""
    scripts = ["gallery", *(f"model-{number}" for number in range(1, models + 1)), "explore"]
    lines = [f'<link rel="stylesheet" href="{base}explore.css">', '<div id="imtext-explore"></div>']
    return "\n".join([*lines, *(f'<script src="{base}{name}.js"></script>' for name in scripts)])


def write_sprite(shown: Dataset, path: Path, most: int) -> None:
    """All images in one picture, in rows as many as columns or fewer, in ``most`` bytes."""
    side, columns = 128 if shown.n_images <= 400 else 96, int(np.ceil(np.sqrt(shown.n_images)))
    sheet = Image.new("RGB", (columns * side, -(-shown.n_images // columns) * side))
    for place in range(shown.n_images):
        small = ImageOps.pad(open_picture(shown, place), (side, side), color="gray")
        sheet.paste(small, (place % columns * side, place // columns * side))
    for quality in (75, 50, 25, 5):
        sheet.save(path, "WEBP", quality=quality)
        if path.stat().st_size <= most:
            break


def into_book(stage: Path, build: Path, parameters: Mapping[str, Any]) -> None:
    """Put an explorer of the runs behind a build into its pages; where there are none, the page says so.

    ``parameters``: of the build's notebooks. Of several runs of a row the last is taken.
    """
    asked, found, models = (parameters.get("dataset", "picturebook"), parameters.get("profile")), {}, []
    runs_dir = Path(parameters.get("runs_dir") or os.environ.get(RUNS_FOLDER) or build / "runs")
    for path in sorted(runs_dir.glob("structure_preserving/*/provenance.json"), key=os.path.getmtime):
        about = read_object(path)
        if (about.get("dataset"), about.get("profile")) == asked:
            found[path.parent.name.rpartition("-")[0]] = path.parent
    for row in filter(found.get, ROWS):
        try:
            models.append(Exported(found[row]))
        except ImtextError as error:
            print(f"  explorer: without {row}: {error}")
    if models := models[:MODELS]:
        write(models, stage / "book" / "_static" / "explore")
        (stage / "book" / "explorer.html").write_text(fragment(len(models), "../_static/explore/"))
