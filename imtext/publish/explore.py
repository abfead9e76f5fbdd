"""A page that searches with finished runs: it embeds the reader's words itself, with no server or network.

Only bags of words can be exported: mean word vectors and tf-idf, through two branches or CCA. Numbers are
kept in 8 bits, each row with a scale of its own. What the page does with them stands in ``explore.js``.
"""

from __future__ import annotations

import html
import json
import math
import os
import shutil
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
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
from imtext.runs import Run
from imtext.text.bags import MENDED, lemmas
from imtext.text.tokens import tokenize

MODELS, IMAGES = 3, 1_000
MODEL_BYTES, SPRITE_BYTES, ALL_BYTES = 1_500_000, 2_500_000, 6_000_000
GREY = (128, 128, 128)
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
        if not (isinstance(one.text, MeanWords | TfIdf) and isinstance(one.network, Branches | Cca)):
            raise RunError(
                f"{folder}: a page cannot compute its captions ({one.said}); take a run on mean word vectors "
                "or tf-idf with two branches or CCA, such as mean-bi-structure of structure_preserving"
            )
        self.script = f"imtextExplore.models.push({json.dumps(self._content())});\n"
        if len(self.script) > MODEL_BYTES:
            raise RunError(
                f"{folder}: {len(self.script) / 1e6:.1f} MB of numbers, at most {MODEL_BYTES / 1e6}; take a "
                "smaller network, or one on mean word vectors"
            )

    def _content(self) -> dict[str, Any]:
        one, fitted = self.encoder.experiment, self.encoder.inputs.text.fitted
        weights, biases = map(list, zip(*linear_layers(self.encoder.net), strict=True))
        if isinstance(one.text, TfIdf):
            words, idf = forms(fitted.words_, self.encoder.inputs.source.captions), fitted.idf_
            table, weights[0] = weights[0], None  # rows for words, of which a caption has few
        else:
            words, idf, table = fitted.vectors.words, None, fitted.vectors.vectors
        recall = Run(self.folder).metrics["test"]["text_query_r1"]
        return {
            "name": self.folder.name.rpartition("-")[0],
            "about": f"{one.text.said}, {one.network.said}; R@1 of text queries {recall:.1f} %",
            "words": words,
            "idf": None if idf is None else idf.tolist(),
            "table": packed(table),
            "unit": idf is None and isinstance(one.network, Cca),
            "layers": [
                {"weights": None if rows is None else packed(rows), "bias": bias.tolist()}
                for rows, bias in zip(weights, biases, strict=True)
            ],
            "images": packed(self.encoder.images[:IMAGES]),
        }


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
    """Rows ``(n, D)`` in 8 bits, and a scale for each.

    >>> packed(np.array([[0.5, -1.0]]))["shape"]
    (1, 2)
    """
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, 1e-30).astype("<f4")
    arrays = {"values": np.rint(rows / scales).astype(np.int8), "scales": scales}
    return {"shape": rows.shape} | {name: b64encode(one.tobytes()).decode() for name, one in arrays.items()}


def forms(terms: Sequence[str], captions: Mapping[str, Iterable[str]]) -> list[str]:
    """The words whose lemma each term is, with blanks between: of the dictionary and of the captions."""
    from simplemma.strategies.dictionaries import DefaultDictionaryFactory

    found: dict[str, list[str]] = {term: [] for term in terms}
    english = DefaultDictionaryFactory().get_dictionary("en").items()
    known = {word.lower() for word, lemma in english if lemma.lower() in found}
    for word in sorted(known.union(MENDED, *map(tokenize, chain(*captions.values())))):
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
        own = model.encoder.test
        if (own.image_ids, own.captions) != (test.image_ids, test.captions):
            raise ConfigError(f"{model.folder}: other test images than {models[0].folder}; give it a page")
    shown = test.take(range(min(IMAGES, test.n_images)))
    profile = Run(models[0].folder).load_json("provenance.json")["profile"]
    about = (
        f"Gallery: {shown.n_images:,} of the {test.n_images:,} test images of {test.name}; profile {profile}."
    )
    title = f"Search {test.name}"
    with atomic(out, ConfigError) as folder:
        folder.mkdir(parents=True)
        gallery = {
            "about": f"{about} Weights, word vectors and image embeddings are rounded to 8 bits.",
            "columns": write_sprite(shown, folder / "sprite.webp"),
            "captions": shown.captions,
            "owner": shown.image_of_caption.tolist(),
            "group": shown.group_of_image.tolist(),
        }
        start = f"imtextExplore = {{models: [], gallery: {json.dumps(gallery)}}};\n"
        (folder / "gallery.js").write_text(start, encoding="ascii")
        for number, model in enumerate(models, start=1):
            (folder / f"model-{number}.js").write_text(model.script, encoding="ascii")
        for name in ("explore.js", "explore.css"):
            shutil.copy(Path(__file__).with_name(name), folder)
        page = Path(__file__).with_name("explore.html").read_text("utf-8")
        page = page.format(title=html.escape(title), page=fragment(len(models)))
        (folder / "index.html").write_text(page, encoding="utf-8")
        if (size := size_of(folder)) > ALL_BYTES:
            raise ConfigError(f"{out}: {size / 1e6:.1f} MB, at most {ALL_BYTES / 1e6}; leave out a run")


def fragment(models: int, base: str = "") -> str:
    """What a page holds where the explorer is to stand, whose files lie under ``base``."""
    scripts = ["gallery", *(f"model-{number}" for number in range(1, models + 1)), "explore"]
    return "\n".join([
        f'<link rel="stylesheet" href="{base}explore.css">',
        '<div id="imtext-explore"><p>The search runs in this page and needs JavaScript.</p></div>',
        *(f'<script src="{base}{name}.js"></script>' for name in scripts),
    ]) + "\n"  # fmt: skip


def write_sprite(shown: Dataset, path: Path) -> int:
    """All images in one picture, row by row; how many there are in a row."""
    side, columns = 128 if shown.n_images <= 400 else 96, math.ceil(math.sqrt(shown.n_images))
    sheet = Image.new("RGB", (columns * side, math.ceil(shown.n_images / columns) * side), GREY)
    for place in range(shown.n_images):
        small = ImageOps.pad(open_picture(shown, place), (side, side), color=GREY)
        sheet.paste(small, (place % columns * side, place // columns * side))
    for quality in (75, 50, 25):
        sheet.save(path, "WEBP", quality=quality)
        if path.stat().st_size <= SPRITE_BYTES:
            break
    return columns


def into_book(stage: Path, build: Path, parameters: Mapping[str, Any]) -> None:
    """Put an explorer of the runs behind a build into its pages; where there are none, the page says so.

    ``parameters``: of the build's notebooks. Of several runs of a row the last is taken.
    """
    asked, found, models = (parameters.get("dataset", "picturebook"), parameters.get("profile")), {}, []
    runs_dir = Path(parameters.get("runs_dir") or os.environ.get(RUNS_FOLDER) or build / "runs")
    paths = runs_dir.glob("structure_preserving/*/provenance.json")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        about = read_object(path)
        if (about.get("dataset"), about.get("profile")) == asked and Run(path.parent).finished:
            found[path.parent.name.rpartition("-")[0]] = path.parent
    for row in ROWS:
        if row in found and len(models) < MODELS:
            try:
                models.append(Exported(found[row]))
            except ImtextError as error:
                print(f"  explorer: without {row}: {error}")
    if models:
        write(models, stage / "book" / "_static" / "explore")
        page = fragment(len(models), "../_static/explore/")
        (stage / "book" / "explorer.html").write_text(page, encoding="utf-8")
