"""Learning Image-Text Embeddings with Instance Loss (Zheng et al. 2020): what only this paper needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import chain, zip_longest

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from imtext.data.dataset import Dataset
from imtext.data.generated import minimal_pairs
from imtext.data.images import open_picture
from imtext.experiment import Experiment, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.compute import in_blocks, scores_of
from imtext.experiment.encoder import Encoder
from imtext.experiment.results import drawn
from imtext.papers import figure_of, study_of
from imtext.progress import progress
from imtext.report import Evidence, Gallery, from_parts, from_samples, from_scores, paper_values, read_paper
from imtext.report.figures import panels, similarity_histograms
from imtext.report.style import INK, PALETTE, house_style
from imtext.retrieval import mean_off_diagonal, pearson_map, separation, told_apart, top_k
from imtext.retrieval.spread import separation_samples
from imtext.text.bags import is_function_word
from imtext.vision.reading import unit

PAPER = read_paper("instance_loss")
# Rows that differ from the full model by their loss.
LOSSES = ("ranking-2", "instance-2", "small-margin", "full-small-margin", "both-1", "both-2")
BLOCK = 2048  # captions embedded at a time


# What claims are measured by where the ranks of two rows are not enough


def _separations(result: Result, name: str) -> np.ndarray:
    """S or the gap on validation ``(S, 1 + n)``: as it is, then of draws, the same images for every row."""
    return np.stack([separation_samples(**arrays)[name] for arrays in result.embeddings("val")])


def _farther(results: Results, name: str, more: str, less: str, said: str) -> list[Evidence]:
    """S or the gap of one row minus that of another."""
    found = _separations(results[more], name) - _separations(results[less], name)
    return [from_samples(said, found[:, 0], found[:, 1:])]


def overlap_instance_below_ranking(results: Results) -> list[Evidence]:
    """Overlap S of Eq. 10, ranking loss alone minus instance loss alone."""
    return _farther(results, "S", "ranking-2", "instance-2", "difference in S")


def ranking_leaves_larger_gap(results: Results) -> list[Evidence]:
    """Difference of the mean cosines, ranking loss alone minus instance loss alone."""
    return _farther(results, "gap", "ranking-2", "instance-2", "difference of the gaps")


def overlap_full_below_others(results: Results) -> list[Evidence]:
    """The overlap of that row of another loss which separates best minus that of the full model."""
    others = {key: _separations(results[key], "S")[:, 0].mean() for key in LOSSES if results.has(key)}
    best = min(others, key=others.get)
    return _farther(results, "S", best, "full-2", f"difference in S, {best}")


def positive_above_negative(results: Results) -> list[Evidence]:
    """Mean cosine of matching pairs minus that of others."""
    found = _separations(results["instance-2"], "gap")
    return [from_samples("difference of mean cosines", found[:, 0], found[:, 1:])]


def features_decorrelate(results: Results, count: int = 100, n: int = 500) -> list[Evidence]:
    """Mean ``|r|`` before Stage I, and after it with the ranking loss, minus that with the instance loss.

    Over ``count`` validation images, which are drawn again; pairs of one image are left out.
    """
    before, after = correlations(results["instance-1"], count)
    others = {"features": [before], "ranking-1": correlations(results["ranking-1"], count)[1]}
    size, found = len(before), []
    counts = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), n)
    pairs = size**2 - (counts**2).sum(1)
    for key, maps in others.items():
        change = np.abs(maps) - np.abs(after)  # 0 on the diagonal
        samples = ((counts @ change.mean(0)) * counts).sum(1) / pairs
        found.append(from_samples(f"mean |r|, {key}", [mean_off_diagonal(one) for one in change], samples))
    return found


def pairs_told_apart(results: Results) -> list[Evidence]:
    """Share of captions of a minimal pair that are nearer to their own picture, instance minus ranking."""
    test = results["instance-1"].split()
    pairs = [] if test.scenes is None else [pair["images"] for pair in minimal_pairs(test)]
    if not pairs:
        return []
    both = (results[key].embeddings() for key in ("instance-1", "ranking-1"))
    told = [[told_apart(**arrays, pairs=pairs) for arrays in seeds] for seeds in both]
    scores = ([right for right, _ in seeds] for seeds in told)
    return [from_scores("captions told apart", *scores, clusters=told[0][0][1])]


def image_path_converges_first(results: Results) -> list[Evidence]:
    """Text error minus image error, mean over the epochs of Stage I."""
    gaps = [100 * (one["text_error"] - one["image_error"]).mean() for one in results["instance-1"].curves()]
    return [from_samples("classification error", gaps, unit="points", digits=1)] if gaps else []


def content_words_matter(results: Results) -> list[Evidence]:
    """Mean fall of the cosine without a content word minus that without a function word, first seed."""
    drops = word_drops(results["full-2"])
    content = (drops["kind"] == "content").to_numpy()
    if content.all() or not content.any():
        return []
    given = drops["drop"].to_numpy(), content, drops["caption"]
    return [from_parts("fall of the cosine", *given, scale=1, unit="", digits=4)]


study = study_of(PAPER, globals())


# Data


def alike(study: Study, row: Experiment, pairs: int = 2, among: int = 500) -> Gallery | None:
    """Figure 1: groups whose pictures are most alike to the ImageNet CNN, yet are classes of their own.

    Pairs of nearest neighbours among the first training pictures. None where the dataset has no such row.
    """
    if study.lacks(row):
        return None
    inputs = inputs_of(row, study.places)
    features, train = inputs.image.train().views[0][:among], inputs.source.splits["train"]
    groups = np.unique(train.group_of_image, return_inverse=True)[1][:among]
    scores, nearest = top_k(features, features, 8)
    # The nearest of another group: a person's own pictures are alike too.
    scores = np.where(groups[nearest] == groups[:, None], -np.inf, scores)
    chosen: list[int] = []
    for image in np.argsort(-scores.max(1), kind="stable"):
        pair = groups[[image, nearest[image, scores[image].argmax()]]].tolist()
        if len(chosen) < 2 * pairs and len({*pair} - {*chosen}) == 2:
            chosen += pair
    return _groups(train, chosen, captions=3)


def samples(study: Study, row: Experiment, count: int = 3) -> Gallery | None:
    """Figure 7: the first groups of a dataset, a person with all pictures and a caption of each."""
    if study.lacks(row):
        return None
    return _groups(inputs_of(row, study.places).source.splits["train"], range(count), captions=5)


def _groups(train: Dataset, groups: Sequence[int], captions: int) -> Gallery:
    """Pictures and captions of groups of the training split."""
    names, rows = np.unique(train.group_of_image), []
    for group in groups:
        images = np.flatnonzero(train.group_of_image == names[group])
        own = [[train.captions[j] for j in train.captions_of(image)] for image in images]
        # A caption of each picture first, then the second of each.
        turns = [caption for caption in chain(*zip_longest(*own)) if caption]
        cells = [(open_picture(train, image), []) for image in images[:4]]
        rows.append([*cells, (None, [f"class {group + 1:,}", *turns[:captions]])])
    return Gallery(rows)


# Figures


@none_of_absent
def separations(*results: Result, titles: Sequence[str]) -> Figure:
    """Figure 5: similarities of matching and other pairs on validation, with S of Eq. 10 and the paper's."""
    printed = paper_values("instance_loss", "figure_5")
    found = [separation(**one.embeddings("val")[0]) for one in results]
    paper = [printed[f"s_{name}"] for name in ("ranking", "instance", "full")]
    return similarity_histograms(list(zip(titles, found, strict=True)), paper)


@none_of_absent
def overlaps(*results: Result, titles: Sequence[str]) -> pd.DataFrame:
    """The numbers of Figure 5: overlap S, mean cosines of matching and of other pairs."""
    found = (separation(**one.embeddings("val")[0]) for one in results)
    lines = [(one.S, one.mean_positive, one.mean_negative) for one in found]
    return pd.DataFrame(lines, index=titles, columns=["S", "mean D_p", "mean D_n"]).round(3)


def correlations(result: Result, count: int = 100) -> tuple[np.ndarray, list[np.ndarray]]:
    """Pearson maps ``(count, count)`` of validation images before Stage I, and after it, one a seed."""
    image, seeds = result.rows[0].inputs.image, result.embeddings("val")
    chosen = drawn(len(seeds[0]["images"]), count)
    # An image and its mirror image, or their mean.
    views = image.test("val")[chosen].reshape(len(chosen), -1, image.dim)
    return pearson_map(views.mean(1)), [pearson_map(one["images"][chosen]) for one in seeds]


def correlation_maps(results: Results, labels: dict[str, str]) -> dict[str, np.ndarray]:
    """The Pearson maps of Figure 4: before Stage I, and after it of each row that ran, by its label."""
    maps: dict[str, np.ndarray] = {}
    for key, label in labels.items():
        if results.get(key):
            maps["before Stage I"], (maps[label], *_) = correlations(results[key])
    return maps


def alikeness(maps: dict[str, np.ndarray]) -> pd.DataFrame | None:
    """How alike the features behind Pearson maps are: mean r and ``|r|`` off the diagonal, effective rank.

    The effective rank is the participation ratio of a map's eigenvalues, (Σλ)² / Σλ² = 1 / mean r²: 1 where
    the features of n images are one but for scale and sign, n where no two of them correlate.

    >>> alikeness({"equal": np.ones((2, 2)), "other": np.eye(2)})["effective rank"].tolist()
    [1.0, 2.0]
    """
    lines = [(mean_off_diagonal(r), mean_off_diagonal(abs(r)), 1 / (r**2).mean()) for r in maps.values()]
    columns = ["mean r", "mean |r|", "effective rank"]
    return pd.DataFrame(lines, [*maps], columns).round(2) if maps else None


@house_style()
def curves(results: Results, labels: dict[str, str], titles: dict[str, str], said: str) -> Figure | None:
    """What training reported of rows, first seed; None where no row has it.

    Args:
        results: of this page, or published; labels: of the rows, by their keys, four at most.
        titles: of the panels, by the column of the curves that each shows; said: what these are.
    """
    found = {label: results[key].curves() for key, label in labels.items() if results.get(key)}
    shown = {label: one for label, own in found.items() for one in own[:1] if set(titles) <= set(one)}
    if not shown:
        return None
    figure, grid = panels(len(titles), 2.9, sharex=True, sharey=True)
    for axes, (column, title) in zip(grid, titles.items(), strict=True):
        for label, curve in shown.items():
            epochs, values = curve.dropna(subset=[column])[["epoch", column]].to_numpy().T
            # Many dots would be one thick line.
            axes.plot(epochs, values, label=label, marker="o" * (len(epochs) < 30), markersize=3)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
    grid[0].set(ylabel=said, ylim=(0, 1.08 * max(axes.dataLim.y1 for axes in grid)))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@lru_cache(maxsize=1)
def word_drops(result: Result) -> pd.DataFrame:
    """Every word of every test caption left out once: ``word``, ``kind``, ``caption``, ``drop``."""
    encoder = Encoder(result.runs[0])
    text = encoder.inputs.text
    codes, _ = text.vocabulary.encode(result.split().captions, text.part.length)
    embed = partial(in_blocks, encoder.net.embed_captions, fabric=encoder.fabric, block=256)
    return split_ablation(text.vocabulary.words, codes, encoder.images[encoder.image_of_caption], embed)


@figure_of
def word_falls(result: Result, count: int = 4) -> Figure:
    """Figure 11: fall of the cosine to the image when one word of a caption is left out.

    The captions are those best matched to their image among the first 200 test images, one an image: a fall
    says something only where there is a match to lose.
    """
    drops, owners, cosines = word_drops(result), result.split().image_of_caption, scores_of(result.runs[0])
    lengths = drops["caption"].value_counts(sort=False)
    fit = lengths.index[lengths.between(6, 14) & (owners[lengths.index] < 200)]
    first = fit[np.unique(owners[fit], return_index=True)[1]]
    best = sorted(first, key=lambda caption: -cosines[owners[caption], caption])[:count]
    figure, grid = panels(2 * len(best), 2.1, per_row=2, width_ratios=(1, 3.5))
    for (left, axes), caption in zip(grid.reshape(-1, 2), best, strict=True):
        words = drops[drops["caption"] == caption].reset_index()
        left.imshow(result.picture(owners[caption]))
        left.set_axis_off()
        top = words["drop"].nlargest(3).index
        axes.bar(words.index, words["drop"], color=np.where(words.index.isin(top), PALETTE[1], INK))
        axes.axhline(0, color=INK, linewidth=0.8, linestyle="-")
        axes.set_xticks(words.index, words["word"], rotation=30, ha="right")
        for place in top:
            axes.get_xticklabels()[place].set_fontweight("bold")
        axes.set(title=f"cosine {cosines[owners[caption], caption]:.2f}", ylabel="fall of the cosine")
    return figure


@figure_of
def word_classes(result: Result, named: int = 12) -> Figure:
    """Mean fall of the cosine by word, content words against function words; the largest."""
    words = by_word(word_drops(result))
    colours = dict(zip(words["kind"].unique(), PALETTE, strict=False))
    figure, (left, right) = panels(2, 3.6)
    look = {"hue": "kind", "palette": colours, "legend": False, "ax": left}
    sns.stripplot(words, x="drop", y="kind", size=3, alpha=0.5, **look)
    medians = words.groupby("kind", sort=False)["drop"].median()
    left.plot(medians, medians.index, linestyle="none", marker="|", markersize=40, color=INK)
    left.set(xlabel="mean fall of the cosine\n(one point per word; line: median)", ylabel="")
    largest = words.head(named)
    labels = largest["word"] + " (" + largest["count"].astype(str) + ")"
    right.barh(labels, largest["drop"], color=largest["kind"].map(colours), alpha=0.7)
    right.invert_yaxis()
    right.set(title="largest falls (times removed)", xlabel="mean fall")
    return figure


# One word less (section 6.4)


def split_ablation(
    words: Sequence[str], codes: np.ndarray, images: np.ndarray, embed: Callable[[np.ndarray], np.ndarray]
) -> pd.DataFrame:
    """Drop in cosine similarity to the image when one word of a caption at a time is left out.

    Captions of fewer than two known words are left out: nothing would be left of them. Memory is that of
    2,048 embeddings at a time, whatever the number of captions.

    Args:
        words: of the dictionary; code ``c`` is ``words[c - 1]``.
        codes: ``(M, L)`` word codes, left-aligned, 0 after the end, as
            :meth:`imtext.text.vocabulary.Vocabulary.encode` gives them.
        images: ``(M, D)`` embeddings of the images of the captions, kept fixed.
        embed: from codes ``(K, L)`` to embeddings ``(K, D)``.

    Returns:
        one line per word left out, in the order of the captions: ``word``, ``kind`` (``"content"`` or
        ``"function"``), ``caption``, and ``drop``, what the cosine falls by, positive where the word supports
        the match.

    >>> embed = lambda codes: np.stack([(codes == 2).any(1), np.ones(len(codes))], axis=1)
    >>> images, codes = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1, 2, 0], [1, 0, 0]])
    >>> frame = split_ablation(["a", "dog"], codes, images, embed)
    >>> frame.round(3).values.tolist()
    [['a', 'function', 0, 0.0], ['dog', 'content', 0, 0.707]]
    """

    def cosines(of: np.ndarray, codes: np.ndarray) -> np.ndarray:
        found = np.zeros(len(of))
        for begin in progress(range(0, len(of), BLOCK), "captions less one word"):
            part = slice(begin, begin + BLOCK)
            both = embed(codes[part]), images[of[part]]
            found[part] = np.multiply(*(unit(rows.astype(np.float64)) for rows in both)).sum(1)
        return found

    whole, places = np.flatnonzero(np.count_nonzero(codes, axis=1) >= 2), codes.shape[1]
    row, position = np.nonzero(codes[whole])
    caption, full = whole[row], cosines(whole, codes[whole])[row]
    rest = codes[caption][np.arange(places) != position[:, None]].reshape(len(caption), places - 1)
    left_out = [words[code - 1] for code in codes[caption, position]]
    kind = ["function" if is_function_word(word) else "content" for word in left_out]
    drop = full - cosines(caption, np.pad(rest, ((0, 0), (0, 1))))
    return pd.DataFrame({"word": left_out, "kind": kind, "caption": caption, "drop": drop})


def by_word(frame: pd.DataFrame, least: int = 5) -> pd.DataFrame:
    """Mean drop of each word of a :func:`split_ablation` that was left out at least ``least`` times.

    Returns:
        Columns ``word``, ``kind``, ``drop`` (the mean), ``count``; largest drop first, then by spelling.

    >>> frame = pd.DataFrame({"word": ["a", "dog", "dog"], "kind": ["function", "content", "content"],
    ...                       "caption": [0, 0, 1], "drop": [0.0, 0.1, 0.3]})
    >>> by_word(frame, least=2).values.tolist()
    [['dog', 'content', 0.2, 2]]
    """
    grouped = frame.groupby(["word", "kind"])["drop"].agg(drop="mean", count="size").reset_index()
    common = grouped.query("count >= @least")
    return common.sort_values(["drop", "word"], ascending=[False, True], ignore_index=True)
