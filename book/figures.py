"""What book/methods shows of the built-in dataset: ``python book/figures.py [NAME ...]``.

A name is one of `PARTS`; without one, all are made. Figures go to book/images, numbers to the terminal; runs
and features are kept in ``_build/figures``.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from imtext import experiment as parts
from imtext.data import Dataset, load_dataset
from imtext.data.generated import scene_relevance
from imtext.data.images import open_picture
from imtext.experiment import Data, Experiment, Hinges, Recipe, Result, adam
from imtext.experiment.compute import Row, finished, scores_of, untrained
from imtext.experiment.encoder import Encoder
from imtext.experiment.results import drawn
from imtext.experiment.source import Places
from imtext.losses import hinge_loss
from imtext.models import attend
from imtext.report import use_house_style
from imtext.report.figures import attention_picture
from imtext.report.style import GREEN, PALETTE, RED, new_figure
from imtext.retrieval import graded
from imtext.retrieval.localisation import localise, pairs, truth_boxes
from imtext.text import Vocabulary, WordVectors, load_word_vectors, tokenize
from imtext.text.fisher import FisherVectors
from imtext.text.text_image import TextImage, largest_superpixel, small_vectors
from imtext.vision import proposals, proposals_of
from imtext.vision.features import cell_boxes

IMAGES = Path(__file__).resolve().parent / "images"
KEPT = Path("_build/figures")
PLACES = Places(None, str((KEPT / "cache").resolve()), "cpu")
SCENES = Data(train=1000, val=100, test=200)
LITE = dict(backbone="efficientnet_lite0", size=224, crop=224, views=0)
SMALL = parts.Words(None, min_count=4, length=34, dim=100)


def row_of(name: str, one: Experiment) -> Row:
    """A row that is no paper's."""
    return Row("figures", name, one, PLACES, "book/figures.py")


def trained(name: str, one: Experiment) -> Result:
    """A row that is trained once, and read from its folder the next time."""
    row = row_of(name, one)
    return Result([row], [dict(finished([row], KEPT))[row]])


def save(figure: Figure, name: str) -> None:
    """Write a figure for both kinds of page."""
    figure.savefig(IMAGES / f"{name}.png", dpi=160)


# attention.md


def attention() -> None:
    """Where the words of a caption look, and how much of it lies on what they name."""
    recipe = adam(4, 2e-3, 64, cosine=True)
    scan = Experiment(SCENES, parts.Grid(**LITE), SMALL, parts.Scan(dim=128), Hinges(all_epochs=2), recipe)
    result = trained("scan", scan)
    print(f"R-sum on {SCENES.test} test images: {result.metrics()['rsum'].item():.0f}")
    data, inputs, net = result.split(), result.rows[0].inputs, Encoder(result.runs[0]).net
    codes = torch.from_numpy(inputs.text.test("test"))
    with torch.no_grad():
        regions = net.embed_regions(torch.from_numpy(np.array(inputs.image.test("test"))))
        words, counts = net.embed_words(codes)
        looks = [
            attend(regions[image], words[caption, : counts[caption]], net.direction, net.smooth).numpy()
            for caption, image in enumerate(data.image_of_caption)
        ]
    shares = on_boxes(data, looks, codes.shape[1])
    print(shares.groupby("type").filter(lambda kind: len(kind) > 30).groupby("type").mean(numeric_only=True))
    print(f"{len(shares):,} phrases:", shares[["weight", "area"]].mean().round(3).to_dict())

    found = shares.groupby("caption").agg(weight=("weight", "mean"), things=("chain", "nunique"))
    found["words"] = [len(tokenize(data.captions[caption])) for caption in found.index]
    found["rank"] = result.ranks("text")[0][found.index]
    fitting = found.query("9 <= words <= 11 and things >= 2 and rank == 1").sort_values("weight")
    caption = int(fitting.index[len(fitting) // 2])
    print(f"of {len(fitting)}: {data.captions[caption]} {fitting.weight[caption]:.2f} on its boxes")
    said = zip(inputs.text.vocabulary.decode(codes[caption].numpy()), looks[caption], strict=True)
    image = data.image_of_caption[caption]
    picture = inputs.image.pixels("test").batch(np.array([image]))[0].permute(1, 2, 0).numpy()
    lit = [(word, weights) for word, weights in said if word not in ("<start>", "<end>", "<unk>")]
    save(attention_picture(picture, cell_boxes(7), lit), "attention")


def on_boxes(
    data: Dataset, looks: list[np.ndarray], longest: int, side: int = 224, cells: int = 7
) -> pd.DataFrame:
    """Of the last word of every phrase with a box: weight on the boxes, and their share of the image."""
    lines, phrases, seen = [], data.phrases, data.regions
    for number, (caption, chain) in enumerate(zip(phrases.caption, phrases.chain, strict=True)):
        image = data.image_of_caption[caption]
        boxes = seen.boxes[(seen.image_of_region == image) & (seen.chain == chain)]
        read = data.captions[caption].split()[: phrases.stop[number]]
        place = len(tokenize(" ".join(read)))  # a sign for the start stands before the words
        if chain == 0 or not len(boxes) or place >= min(longest, len(looks[caption])):
            continue
        mask = np.zeros((side, side))
        for left, top, right, bottom in boxes:
            mask[top : bottom + 1, left : right + 1] = 1
        covered = mask.reshape(cells, side // cells, cells, -1).mean(axis=(1, 3)).ravel()
        weight, kind = float(looks[caption][place] @ covered), phrases.type[number]
        lines.append((caption, chain, kind, weight, mask.mean()))
    return pd.DataFrame(lines, columns=["caption", "chain", "type", "weight", "area"])


# hinges.md


def collapse() -> None:
    """A small VSE with the max of hinges from the start, after two epochs of the sum, and with the sum."""
    for name, hinges, rate, epochs in (
        ("max", Hinges(), 1e-3, 8),
        ("all_epochs=2", Hinges(all_epochs=2), 1e-3, 8),
        ("sum", Hinges(negatives="all"), 1e-3, 8),
        ("max, 0.0002", Hinges(), 2e-4, 2),
    ):
        net, recipe = parts.Joint(parts.GRU(), dim=256), adam(epochs, rate, 128)
        one = Experiment(SCENES, parts.Grid(**LITE), SMALL, net, hinges, recipe)
        for epoch, loss, cosine, rsum in followed(one):
            print(f"{name}, epoch {epoch}: loss {loss:.3f}, cosine {cosine:.2f}, R-sum {rsum:.0f}")


def followed(one: Experiment) -> Iterator[tuple[int, float, float, float]]:
    """After each epoch its number, the max of hinges a pair and the mean cosine of negatives in batches of
    training, and the R-sum of the test split. An image is the mean of its cells."""
    inputs = row_of("hinges", one).inputs
    objective = untrained(one, inputs)
    batches = one.loss.batches(inputs, one.recipe, one.seed, objective.net)
    optimizer, net = one.recipe.optimizer(objective), objective.net
    score, codes = inputs.image.score("test"), torch.from_numpy(inputs.text.test("test"))
    images = torch.from_numpy(np.mean(inputs.image.test("test"), axis=1))
    for epoch in range(one.recipe.epochs):
        objective.epoch = epoch
        for batch in batches(epoch):
            optimizer.zero_grad()
            batch["images"] = batch["images"].mean(1)
            objective(batch)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(objective.parameters(), one.recipe.clip)
            optimizer.step()
        with torch.no_grad():
            lines = []
            for batch in batches(epoch):
                table = net.embed_images(batch["images"].mean(1)) @ net.embed_captions(batch["codes"]).T
                others = table[~torch.eye(len(table), dtype=torch.bool)]
                hinges = hinge_loss(table, margin=0.2, negatives="hardest", reduction="mean")
                lines.append((hinges.item(), others.mean().item()))
            loss, cosine = np.mean(lines, axis=0)
            rsum = score(net.embed_images(images).numpy(), net.embed_captions(codes).numpy())
        yield epoch + 1, loss, cosine, rsum


# localisation.md


def boxes(count: int = 200) -> None:
    """Share of phrases of which one of about 100 proposals is right, and what a proposal costs."""
    book = load_dataset("picturebook", train=8, val=count, test=count, size=128)
    ways = {
        "selective search": (100, "selective_search", 160),
        "at 128 pixels": (100, "selective_search", 128),
        "jittered": (100, "jittered", 160),
        "60": (60, "selective_search", 160),
        "40": (40, "jittered", 160),
    }
    found, test = {}, book.split("test")
    shown = [np.asarray(open_picture(test, image)) for image in range(20)]
    for name, (most, method, side) in ways.items():
        began = time.process_time()
        for picture in shown:
            proposals(picture, most, method, side=side)
        print(name, f"{1000 * (time.process_time() - began) / len(shown):.0f} ms an image and core")
        for split in ("val", "test"):
            found[name, split] = proposals_of(book.split(split), most, method, KEPT / "boxes", side=side)
    two = found["60", "test"], found["40", "test"]
    found["60 + 40", "test"] = tuple(map(np.concatenate, zip(*two, strict=True)))
    for (name, split), (proposed, image_of_box) in found.items():
        data = book.split(split)
        image = data.image_of_caption[data.phrases.caption]
        seen = data.regions
        truth, _ = truth_boxes(seen.boxes, seen.image_of_region, seen.chain, image, data.phrases.chain)
        order = np.argsort(image_of_box, kind="stable")
        proposed, image_of_box = proposed[order], image_of_box[order]
        scores, words = np.zeros(len(pairs(image, image_of_box)[0])), list(data.phrases.words)
        row = localise(scores, truth, image, proposed, image_of_box, words).row()
        print(name, split, {key: value for key, value in row.items() if "bound" in key})


# recall_misses.md


def misses() -> None:
    """What perfect knowledge of the scenes reaches, and first answers of a trained model that are right."""
    test = load_dataset("picturebook", train=8, val=8, test=1000, size=64).split("test")
    relevance = scene_relevance(test)
    true = (relevance >= 1).sum(axis=0)
    print(
        f"{100 * (true > 1).mean():.0f} % of captions are true of other scenes, on average {true.mean():.1f}"
    )
    print(f"captions true of an image: {(relevance >= 1).sum(axis=1).mean():.0f}")
    for caption in (*np.argsort(-true)[:1], *np.flatnonzero(true == 2)[:60]):
        print(f"true of {true[caption]}: {test.captions[caption]}")
    for caption in range(5):
        print(f"true of its twin: {relevance[1, caption]:.2f} of {test.captions[caption]}")
    oracle = graded(relevance, test.image_of_caption, relevance)
    for side in ("image_query", "text_query"):
        names = ("recall@1", "recall@5", "recall@10", "semantic_recall@1")
        print(side, *(f"{oracle.value(name, side):.1f}" for name in names))

    small = Data(train=1000, val=200, test=400)
    pixels = parts.Averaged("efficientnet_lite1", size=128, crop=112, crops=2)
    text, solved = parts.Fisher(pca=500), parts.Cca(256)
    cca = Experiment(small, pixels, text, solved, parts.Structure(), Recipe(1, 1e-3))
    result = trained("cca-fv", cca)
    data, scores = result.split(), scores_of(result.runs[0])
    relevance, owners = scene_relevance(data), data.image_of_caption
    print(f"R-sum {result.metrics()['rsum'].item():.0f}")
    first = scores.argmax(axis=1)
    other = owners[first] != np.arange(len(scores))
    right = other & (relevance[np.arange(len(scores)), first] >= 1)
    print(f"first captions of another image: {other.sum()} of {len(scores)}, true {right.sum()}")
    place = scores.argmax(axis=0)
    wrong = place != owners
    fits = wrong & (relevance[place, np.arange(len(owners))] >= 1)
    print(f"first images of another caption: {wrong.sum()} of {len(owners)}, true {fits.sum()}")
    answers = pd.DataFrame({"image": np.flatnonzero(right), "caption": first[right]})
    answers = answers.drop_duplicates("caption")
    print(f"{len(answers)} such captions")
    save(misses_picture(result, answers.iloc[drawn(len(answers), 4)]), "recall_misses")


def misses_picture(result: Result, answers: pd.DataFrame) -> Figure:
    """A row an answer: the image that asked, the caption found, the image that it was written for."""
    data = result.split()
    figure = new_figure(1.6 * len(answers))
    grid = figure.subplots(len(answers), 3, width_ratios=(1.5, 4, 1.2))
    for (asking, said, written), (image, caption) in zip(grid, answers.to_numpy(), strict=True):
        asking.imshow(result.picture(int(image)))
        written.imshow(result.picture(int(data.image_of_caption[caption])))
        written.set_xlabel("written for this", fontsize=8)
        said.text(0, 0.95, textwrap.fill(f"“{data.captions[caption]}”", 60), va="top")
        said.text(0, 0.55, "✗ Recall@K: wrong, written for another image", color=RED, va="top")
        said.text(0, 0.36, "✓ the whole caption is true of the scene", color=GREEN, va="top", weight="bold")
        said.set_axis_off()
        for axes in (asking, written):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    return figure


# text_as_image.md


def texts() -> None:
    """A caption as a picture with the published sizes, and three that fill one."""
    book = load_dataset("picturebook", train=1000, val=50, test=50)
    train, test = book.split("train").captions, book.split("test").captions
    vocabulary = Vocabulary.build(train)
    vectors = vocabulary.matrix(small_vectors(train, 12, seed=0))
    drawer, captions = TextImage.fit(vectors), [test[0], test[1], test[9]]
    codes, _ = vocabulary.encode(captions)
    dropped = drawer.dropped(vocabulary.encode(test)[0]).sum()
    print(
        f"{len(vocabulary)} words, tile {drawer.tile}, grid {drawer.grid}, {dropped} words dropped", captions
    )
    shades = (vectors[vectors.any(1)] - drawer.low) / (drawer.high - drawer.low) * 255
    print(f"levels: mean {shades.mean():.0f}, standard deviation {shades.std():.0f}")
    spread = TextImage.fit(vectors, deviations=2.5)
    shades = np.clip((vectors[vectors.any(1)] - spread.low) / (spread.high - spread.low), 0, 1) * 255
    print(f"with deviations: standard deviation {shades.std():.0f}")
    save(parts_picture(drawer, codes[0], vocabulary), "text_picture_parts")
    large = TextImage.fit(vectors, superpixel=largest_superpixel(32, 12))
    print(large.superpixel, large.capacity)
    save(captions_picture(large, codes, vocabulary), "text_pictures")


def parts_picture(drawer: TextImage, codes: np.ndarray, vocabulary: Vocabulary) -> Figure:
    """A caption's picture, its first words enlarged, and the numbers of the first."""
    picture, words = drawer.encode(codes[None])[0].transpose(1, 2, 0), vocabulary.decode(codes[:3])
    figure = new_figure(4.2)
    top, below = figure.subfigures(2, height_ratios=(2.9, 1.2))
    whole, near = top.subplots(1, 2, width_ratios=(1, 1.7))
    side, tile, apart = drawer.superpixel, drawer.tile[1], drawer.tile[1] + drawer.separator
    wide = 3 * apart - drawer.separator
    for axes, shown, title in (
        (whole, picture, f"a caption on {drawer.side} × {drawer.side} pixels"),
        (near, picture[: tile + 4, :wide], "its first three words, enlarged"),
    ):
        axes.imshow(shown)
        axes.set(title=title, xticks=[], yticks=[])
    look = {"fill": False, "linewidth": 1.8, "edgecolor": PALETTE[1]}
    whole.add_patch(Rectangle((-0.5, -0.5), wide, tile + 4, **look))
    near.add_patch(Rectangle((-0.5, -0.5), side, side, **look | {"edgecolor": "white"}))
    near.set_xticks([k * apart + tile / 2 - 0.5 for k in range(3)], words)
    near.tick_params(length=0)
    sizes = f"tile {tile} × {tile} pixels, {drawer.separator} between tiles\n"
    near.set_xlabel(f"{sizes}outlined: a super-pixel, {side} × {side}, of three numbers")
    axes = below.subplots()
    axes.set(xlim=(0, 15), ylim=(0, 4), xticks=[], yticks=[])
    axes.set_title(f"from the vector of “{words[0]}” to the colours of its tile")
    axes.spines[:].set_visible(False)
    values = drawer.vectors[codes[0]]
    levels = np.rint((values - drawer.low) / (drawer.high - drawer.low) * 255).astype(int)
    for y, label in ((3.2, "vector"), (2.1, "0 to 255"), (1.0, "colour")):
        axes.text(0, y, label, va="center")
    for k, (value, level) in enumerate(zip(values, levels, strict=True)):
        axes.text(3.5 + k, 3.2, f"{value:.2f}".replace("-", "−"), ha="center", va="center")
        axes.text(3.5 + k, 2.1, level, ha="center", va="center")
    for k, colour in enumerate(levels.reshape(-1, 3) / 255):
        axes.add_patch(Rectangle((3.1 + 3 * k, 0.6), 2.8, 0.8, facecolor=colour))
    return figure


def captions_picture(drawer: TextImage, codes: np.ndarray, vocabulary: Vocabulary) -> Figure:
    """Captions as pictures, and their words under a tile each."""
    figure, (tile, _) = new_figure(1.75 * len(codes)), drawer.tile
    grid = figure.subplots(len(codes), 2, width_ratios=(1, 3.6))
    pictures = drawer.encode(codes).transpose(0, 2, 3, 1)
    for (whole, words), own, picture in zip(grid, codes, pictures, strict=True):
        whole.imshow(picture)
        for axes in (whole, words):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for k, word in enumerate(vocabulary.decode(own[own > 0])):
            x, y, step = k % 8, k // 8, tile + drawer.separator
            down, across = k // drawer.grid[1] * step, k % drawer.grid[1] * step
            cut = picture[down : down + tile, across : across + tile]
            words.imshow(cut, extent=(x + 0.25, x + 0.75, y + 0.55, y + 0.05), aspect="auto")
            words.text(x + 0.5, y + 0.6, word, ha="center", va="top", fontsize=7.5)
        words.set(xlim=(0, 8), ylim=(3.1, 0))
    return figure


# fisher_vectors.md


def fisher() -> None:
    """Of the captions of 500 images, whether the nearest other caption is of the same image."""
    book = load_dataset("picturebook", train=1000, val=8, test=500, size=64)
    train, test = book.split("train").captions, book.split("test")
    vectors = load_word_vectors("glove", only={w for c in train + test.captions for w in tokenize(c)})
    known = [[vectors[word] for word in tokenize(caption) if word in vectors] for caption in test.captions]
    shown = {"mean word vector": np.stack([np.mean(words, axis=0) for words in known])}
    for kind, once in (("hglmm", True), ("hglmm", False), ("gmm", True), ("gmm", False)):
        made = FisherVectors(vectors, mixture=kind, pca=None, once=once).fit(train)
        shown[f"{kind}, once={once}"] = made.transform(test.captions)
        if kind == "hglmm":
            alone(made, train, vectors)
            reduced = FisherVectors(vectors, pca=3000, once=once).fit(train)
            print(f"once={once}: PCA returns {reduced.transform(test.captions[:2]).shape[1]} numbers")
    owners = test.image_of_caption
    for name, rows in shown.items():
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        near = rows @ rows.T
        np.fill_diagonal(near, -2)
        order = np.argsort(-near, axis=1, kind="stable")[:, :10]
        own = owners[order] == owners[:, None]
        print(name, *(f"{100 * own[:, :k].any(axis=1).mean():.1f}" for k in (1, 5, 10)))


def alone(made: FisherVectors, train: Sequence[str], vectors: WordVectors) -> None:
    """How many components have more than nine tenths of their occurrences from one word."""
    counts = Counter(word for caption in train for word in tokenize(caption) if word in vectors)
    words = sorted(counts)
    weights = made.mixture_.posteriors(made.points(words)) * np.array([[counts[word]] for word in words])
    shares = weights.max(axis=0) / weights.sum(axis=0)
    names = [words[place] for place in weights.argmax(axis=0)[shares > 0.9]]
    print(f"components of one word: {len(names)}, {names}")


PARTS = {
    "texts": texts,
    "fisher": fisher,
    "collapse": collapse,
    "attention": attention,
    "misses": misses,
    "boxes": boxes,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    use_house_style()
    for name in sys.argv[1:] or PARTS:
        print(f"--- {name}")
        PARTS[name]()
