"""Learning Image-Text Embeddings with Instance Loss (Zheng et al. 2020): what only this paper needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from imtext.data.images import read_picture
from imtext.data.picturebook import minimal_pairs
from imtext.data.schema import Dataset
from imtext.experiment import Experiment, Measured, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.compute import in_blocks
from imtext.experiment.encoder import Encoder
from imtext.papers.ablation import (
    ablation_frame,
    by_word,
    content_minus_function,
    split_ablation,
    word_ablation,
)
from imtext.papers.batch_timing import batch_times, timing_table
from imtext.report import Evidence, from_samples, paper_values, read_paper
from imtext.report.figures import panels, pearson_maps, similarity_histograms
from imtext.report.gallery import Gallery
from imtext.report.style import DASHES, INK, PALETTE, house_style, new_figure
from imtext.retrieval import cluster_bootstrap, mean_off_diagonal, pearson_map, separation, told_apart, top_k
from imtext.retrieval.resampled import separation_samples
from imtext.text.tokens import tokenize

PAPER = read_paper("instance_loss")


def study(*parameters: Any) -> Study:
    """The study for the parameters of the notebook, in the order of :class:`imtext.experiment.study.Study`.

    >>> study("picturebook", None, "smoke", [0], "6").parameters.tables
    ('6',)
    """
    return Study(PAPER, MEASURED, *parameters)


# What claims are measured by where the ranks of two rows are not enough


def _separations(result: Result, name: str) -> list[np.ndarray]:
    """Bootstrap samples of S or of the gap on validation, one array a seed; the same images for every row."""
    return [separation_samples(**arrays)[name] for arrays in result.embeddings("val")]


def _overlap(smaller: Result, larger: Result) -> list[Evidence]:
    pairs = zip(_separations(larger, "S"), _separations(smaller, "S"), strict=True)
    differences = [a - b for a, b in pairs]
    return [from_samples("difference in S", [one.mean() for one in differences], differences)]


def overlap_instance_below_ranking(results: Results) -> list[Evidence]:
    """Overlap S of Eq. 10, ranking loss alone minus instance loss alone."""
    return _overlap(results["instance-2"], results["ranking-2"])


def overlap_full_below_instance(results: Results) -> list[Evidence]:
    """The same, instance loss alone minus the full model."""
    return _overlap(results["full-2"], results["instance-2"])


def positive_above_negative(results: Results) -> list[Evidence]:
    """Mean cosine of matching pairs minus that of others."""
    gaps = _separations(results["instance-2"], "gap")
    return [from_samples("difference of mean cosines", [one.mean() for one in gaps], gaps)]


def features_decorrelate(results: Results, n: int = 500) -> list[Evidence]:
    """Mean correlation before minus after Stage I; images are drawn again, pairs of one image left out."""
    before, after = correlations(results["instance-1"])
    change, random, samples = before - after, np.random.default_rng(0), []
    for _ in range(n):
        drawn = random.integers(0, len(change), len(change))
        samples.append(change[np.ix_(drawn, drawn)][drawn[:, None] != drawn[None, :]].mean())
    whole = change[~np.eye(len(change), dtype=bool)].mean()
    return [from_samples("mean correlation", whole, np.array(samples))]


def pairs_told_apart(results: Results) -> list[Evidence]:
    """Share of captions of a minimal pair that are nearer to their own picture, instance minus ranking."""
    test = results["instance-1"].split()
    pairs = [] if test.scenes is None else [pair["images"] for pair in minimal_pairs(test)]
    if not pairs:
        return []
    differences, samples = [], []
    both = (results[key].embeddings() for key in ("instance-1", "ranking-1"))
    for ours, other in zip(*both, strict=True):
        right, base = (told_apart(**arrays, pairs=pairs) for arrays in (ours, other))
        gain = 100 * (right[0] - base[0])
        differences.append(gain.mean())
        samples.append(cluster_bootstrap(gain, right[1]))
    return [from_samples("captions told apart", differences, samples, unit="points", digits=2)]


def image_path_converges_first(results: Results) -> list[Evidence]:
    """Text error minus image error, mean over the epochs of Stage I; epochs are drawn again."""
    differences, samples = [], []
    for curves in results["instance-1"].curves():
        gap = 100 * (curves["text_error"] - curves["image_error"]).to_numpy()
        differences.append(gap.mean())
        samples.append(cluster_bootstrap(gap, np.arange(len(gap))))
    return [from_samples("classification error", differences, samples, unit="points", digits=1)]


def content_words_matter(results: Results) -> list[Evidence]:
    """Mean fall of the cosine without a content word minus that without a function word, first seed."""
    difference, samples = content_minus_function(word_drops(results["full-2"]))
    return [from_samples("fall of the cosine", difference, samples, digits=4)]


MEASURED = Measured(
    {
        one.__name__: one
        for one in (
            overlap_instance_below_ranking,
            overlap_full_below_instance,
            positive_above_negative,
            features_decorrelate,
            pairs_told_apart,
            image_path_converges_first,
            content_words_matter,
        )
    },
    reasons={
        "smoke": "this profile trains for seconds; its verdicts only show that the page works",
        "quick": "a small network, few groups and minutes of training",
    },
)


# Data


def alike(study: Study, row: Experiment, pairs: int = 2, among: int = 500) -> Gallery | None:
    """Figure 1: groups whose pictures are most alike to the ImageNet CNN, yet are classes of their own.

    Pairs of nearest neighbours among the first training pictures. None where the dataset has no such row.
    """
    if study.lacks(row):
        return None
    inputs = inputs_of(row, study.places)
    features = np.asarray(inputs.image.cached("train").train[0][:among])
    train = inputs.splits["train"]
    groups = np.unique(train.group_of_image, return_inverse=True)[1][:among]
    scores, nearest = top_k(features, features, 8)
    # The nearest of another group: a person's own pictures are alike too.
    foreign = groups[nearest] != groups[:, None]
    place = foreign.argmax(1)
    rows = np.flatnonzero(foreign.any(1))
    chosen: list[int] = []
    for image in rows[np.argsort(-scores[rows, place[rows]], kind="stable")]:
        pair = [int(groups[image]), int(groups[nearest[image, place[image]]])]
        if len(chosen) < 2 * pairs and not set(pair) & set(chosen):
            chosen += pair
    return _groups(train, chosen, captions=3)


def samples(study: Study, row: Experiment, count: int = 3) -> Gallery | None:
    """Figure 7: the first groups of a dataset, a person with all pictures and a caption of each."""
    if study.lacks(row):
        return None
    return _groups(inputs_of(row, study.places).splits["train"], range(count), captions=5)


def _groups(train: Dataset, groups: Sequence[int], captions: int) -> Gallery:
    """Pictures and captions of groups of the training split."""
    names, rows = np.unique(train.group_of_image), []
    for group in groups:
        images = np.flatnonzero(train.group_of_image == names[group])
        own = [[train.captions[j] for j in train.captions_of(int(i))] for i in images]
        # A caption of each picture first, then the second of each.
        turns = [line[turn] for turn in range(max(map(len, own))) for line in own if turn < len(line)]
        cells = [(read_picture(train.image_path(int(i))), []) for i in images[:4]]
        rows.append([*cells, (None, [f"class {group + 1:,}", *turns[:captions]])])
    return Gallery(rows)


# Figures


@none_of_absent
def separations(*results: Result, titles: Sequence[str]) -> Figure:
    """Figure 5: similarities of matching and other pairs on validation, with S of Eq. 10 and the paper's."""
    printed = paper_values("instance_loss", "figure_5")
    found = [
        (title, separation(**one.embeddings("val")[0])) for title, one in zip(titles, results, strict=True)
    ]
    return similarity_histograms(found, [printed[name] for name in ("s_ranking", "s_instance", "s_full")])


@none_of_absent
def overlaps(*results: Result, titles: Sequence[str]) -> pd.DataFrame:
    """The numbers of Figure 5: overlap S, mean cosines of matching and of other pairs."""
    lines = {}
    for title, one in zip(titles, results, strict=True):
        found = separation(**one.embeddings("val")[0])
        lines[title] = {"S": found.S, "mean D_p": found.mean_positive, "mean D_n": found.mean_negative}
    return pd.DataFrame.from_dict(lines, orient="index").round(2)


def correlations(result: Result, count: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Pearson maps ``(count, count)`` of validation images before and after Stage I."""
    before = result.rows[0].inputs.image.test("val").mean(1)
    after = result.embeddings("val")[0]["images"]
    chosen = np.sort(np.random.default_rng(0).choice(len(after), min(count, len(after)), replace=False))
    return pearson_map(before[chosen]), pearson_map(after[chosen])


@none_of_absent
def correlation_maps(result: Result) -> Figure:
    """Figure 4: the Pearson maps."""
    return pearson_maps(*correlations(result))


@none_of_absent
def correlation_means(result: Result) -> pd.DataFrame:
    """Mean correlation off the diagonal of Figure 4."""
    names = ("before Stage I", "after")
    found = {name: mean_off_diagonal(one) for name, one in zip(names, correlations(result), strict=True)}
    return pd.DataFrame(found, index=["mean off the diagonal"]).round(2)


@house_style()
def error_curves(results: Results, labels: dict[str, str]) -> Figure | None:
    """Figure 8: classification error per epoch of Stage I, of images and of captions, first seed."""
    shown = {label: results[key].curves()[0] for key, label in labels.items() if results.get(key)}
    if not shown:
        return None
    figure, grid = panels(2, 2.9, sharex=True, sharey=True)
    for axes, side in zip(grid, ("image", "text"), strict=True):
        for number, (label, curve) in enumerate(shown.items()):
            look = {"color": PALETTE[number], "linestyle": DASHES[number], "marker": "o", "markersize": 3}
            axes.plot(curve["epoch"], 100 * curve[f"{side}_error"], label=label, **look)
        axes.set(title=f"{side} path", xlabel="epoch", ylim=(0, 102))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
    grid[0].set_ylabel("classification error (%)")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@none_of_absent
@house_style()
def word_falls(result: Result, count: int = 4) -> Figure:
    """Figure 11: fall of the cosine to the image when one word of a caption is left out.

    The captions are those best matched to their image among the first 200 test images, one an image: a fall
    says something only where there is a match to lose.
    """
    encoder, test, found = Encoder(result.runs[0]), result.split(), []
    known = set(encoder.inputs.text.vocabulary.words)
    for image in range(min(200, test.n_images)):
        for caption in test.captions_of(image):
            words = [word for word in tokenize(test.captions[caption]) if word in known]
            if 6 <= len(words) <= 14:
                pair = encoder.images[image], encoder.captions[caption]
                length = max(np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]), 1e-12)
                found.append((float(pair[0] @ pair[1] / length), image, words))
                break
    found = sorted(found, key=lambda one: -one[0])[:count]
    figure = new_figure(2.1 * len(found))
    grid = figure.subplots(len(found), 2, width_ratios=(1, 3.5), squeeze=False)
    for (left, axes), (similarity, image, words) in zip(grid, found, strict=True):
        falls = word_ablation(words, encoder.images[image], encoder.embed_captions)
        left.imshow(result.picture(image))
        left.set_axis_off()
        top = set(np.argsort(-falls, kind="stable")[:3])
        colours = [PALETTE[1] if place in top else INK for place in range(len(words))]
        axes.bar(range(len(words)), falls, color=colours)
        axes.axhline(0, color=INK, linewidth=0.8, linestyle="-")
        axes.set_xticks(range(len(words)), words, rotation=30, ha="right")
        for place, tick in enumerate(axes.get_xticklabels()):
            tick.set_fontweight("bold" if place in top else "normal")
        axes.set_title(f"cosine {similarity:.2f}")
    return figure


def word_drops(result: Result) -> pd.DataFrame:
    """Every word of every test caption left out once: ``word``, ``kind``, ``caption``, ``drop``."""
    encoder, dataset = Encoder(result.runs[0]), result.split()
    text = encoder.inputs.text
    codes, lengths = text.vocabulary.encode(dataset.captions, text.part.length)

    def embed(part: np.ndarray) -> np.ndarray:
        return in_blocks(encoder.net.embed_captions, part, encoder.fabric, 256)

    parts = split_ablation(codes, lengths, encoder.image_of_caption, encoder.images, embed)
    return ablation_frame(text.vocabulary.words, codes, *parts)


@none_of_absent
@house_style()
def word_classes(result: Result, named: int = 12) -> Figure:
    """Mean fall of the cosine by word, content words against function words; the largest."""
    words = by_word(word_drops(result))
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2)
    look = {"hue": "kind", "palette": list(PALETTE[:2]), "legend": False, "ax": left}
    sns.stripplot(words, x="drop", y="kind", size=3, alpha=0.5, **look)
    medians = words.groupby("kind", sort=False)["drop"].median()
    left.plot(medians, medians.index, linestyle="none", marker="|", markersize=40, color=INK)
    left.set(xlabel="mean fall of the cosine: a word a point, a line at the median", ylabel="")
    largest = words.head(named)
    kinds = list(dict.fromkeys(words["kind"]))
    colours = [PALETTE[kinds.index(kind)] for kind in largest["kind"]]
    right.barh(range(len(largest)), largest["drop"], color=colours, alpha=0.7)
    right.set_yticks(
        range(len(largest)), [f"{one.word} ({one.count})" for one in largest.itertuples(index=False)]
    )
    right.invert_yaxis()
    right.set(title="largest falls (times left out)", xlabel="mean fall")
    return figure


def timing(study: Study, row: Experiment) -> pd.DataFrame:
    """Section 6.2: milliseconds for a batch of 32 on either path, beside the paper's.

    The networks of a row and, in ``quick``, the paper's own at their full size.
    """
    image, net, device = row.image, row.network, study.parameters.device
    words = len(inputs_of(row, study.places).text.vocabulary)
    sizes = (image.backbone, image.crop, net.width, net.dim, row.text.length, words)
    times = [batch_times(*sizes, device=device, seconds=1.0)]
    if study.parameters.profile == "quick":
        times.append(batch_times(device=device))
    return timing_table(times).set_index("network").rename_axis(None).round(1)
