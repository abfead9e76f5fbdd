"""Learning Deep Structure-Preserving Image-Text Embeddings (Wang et al. 2016): what only this paper needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy import sparse
from torch import Tensor

from imtext.experiment import Experiment, Measured, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.claims import SIDES, gain
from imtext.experiment.compute import MODEL, Row, load_weights, untrained
from imtext.experiment.results import drawn
from imtext.papers.structure_geometry import compare
from imtext.precision import working_precision
from imtext.report import Evidence, difference_of_gains, from_scores, read_paper
from imtext.report.figures import diagram
from imtext.report.gallery import Gallery
from imtext.report.style import PALETTE
from imtext.runs import Run
from imtext.training import make_fabric
from imtext.vision.regions import image_extents

PAPER = read_paper("structure_preserving")
BEST = "fv-nonlinear-bi-structure"
BI = tuple((f"fv-{network}-bi", f"fv-{network}-one") for network in ("linear", "nonlinear"))
# Draws of the example of Figure 2.
DRAWS = {"smoke": 4, "quick": 24, "paper": 24}


def study(*parameters: Any) -> Study:
    """The study for the parameters of the notebook, in the order of :class:`imtext.experiment.study.Study`.

    >>> study("picturebook", None, "smoke", [0], "2").parameters.tables
    ('2',)
    """
    return Study(PAPER, MEASURED, *parameters)


# What claims are measured by where the ranks of two rows are not enough


def bidirectional_helps_text_more(results: Results) -> list[Evidence]:
    """Gain of both directions in mean recall, text queries minus image queries, mean over two networks."""
    data = results[BI[0][0]].split()
    clusters = {"image": data.group_of_image, "text": data.group_of_caption}
    image, text = (
        (gain(results, BI, side, "mean", "test") * 100 / (3 * len(BI)), clusters[side]) for side in SIDES
    )
    return [difference_of_gains("text gain minus image gain, mean recall", text, image)]


def structure_draws_captions_together(results: Results) -> list[Evidence]:
    """Without minus with the structure term: the distance of two captions of an image."""
    without, with_term = (_caption_distances(results[key]) for key in ("fv-nonlinear-bi", BEST))
    kept = np.isfinite(without[0])
    rows = ([one[kept] for one in side] for side in (without, with_term))
    return [from_scores("distance of two captions of an image", *rows, scale=1, unit="", digits=3)]


def _caption_distances(result: Result) -> list[np.ndarray]:
    """Mean distance of two captions of an image, for each test image, one array a seed."""
    found = []
    for arrays in result.embeddings():
        captions, owners = arrays["captions"].astype(np.float64), arrays["image_of_caption"]
        means = []
        for image in np.unique(owners):
            own = captions[owners == image]
            distances = np.linalg.norm(own[:, None] - own[None, :], axis=2)
            count = len(own) * (len(own) - 1)
            means.append(distances.sum() / count if count else np.nan)
        found.append(np.array(means))
    return found


def structure_resolves_ambiguity(results: Results) -> list[Evidence]:
    """Gap of new images in the example of Figure 2, with minus without the term, over draws of it."""
    for one in results.present.values():
        with_term, without = _gaps(DRAWS[one.rows[0].profile])
        return [from_scores("gap of a new image", with_term, without, scale=1, unit="", digits=3)]
    return []


@lru_cache(maxsize=2)
def _gaps(draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean gap with and without the term, ``(draws,)`` each."""
    gaps = compare(range(draws))["gap"]
    return gaps["with"].to_numpy(), gaps["without"].to_numpy()


def most_pairs_violate_little(results: Results) -> list[Evidence]:
    """Share of training pairs with fewer violations than are kept minus the share of the others."""
    best = results[BEST]
    few = [few_violations(row, run) for row, run in zip(best.rows, best.runs, strict=True)]
    clusters = best.split("train").image_of_caption
    shares = {side: [one[side] for one in few] for side in SIDES}
    return [
        from_scores(f"{side} as target", own, [1 - one for one in own], clusters=clusters)
        for side, own in shares.items()
    ]


def violations(images: Tensor, captions: Tensor, match: Tensor, margin: float = 0.1) -> tuple[Tensor, Tensor]:
    """Violated constraints of each positive pair, both directions of Eq. 5, uncut (section 2.2).

    Args:
        images: ``(N, D)`` and captions: ``(M, D)``, unit vectors; match: ``(N, M)`` bool.
        margin: m.

    Returns:
        Two ``(P,)`` integers, the pairs in the order of ``match.nonzero()``: how many captions of other
        images are not farther from the image than its own caption by the margin, and how many other images
        are not from the caption.

    >>> first, second = violations(torch.eye(2), torch.eye(2).flip(0), torch.eye(2).bool())
    >>> first.tolist(), second.tolist()
    ([1, 1], [1, 1])
    """
    distances = (2 - 2 * images @ captions.T).clamp_min(0).sqrt()
    by_caption = _nearer(distances.T.contiguous(), match.T, margin).T
    return _nearer(distances, match, margin)[match], by_caption[match]


def _nearer(distances: Tensor, match: Tensor, margin: float) -> Tensor:
    """For each entry how many negatives of its row are nearer than it and a margin, ``(A, B)``."""
    # A search in the sorted row instead of a comparison of every triplet.
    negatives = distances.masked_fill(match, torch.inf).sort(1).values
    return torch.searchsorted(negatives, distances + margin)


@torch.no_grad()
def few_violations(row: Row, run: Run, epoch: int = 0) -> dict[str, np.ndarray]:
    """Which training pairs have fewer than ``top_k`` violations in the batches of an epoch after training.

    Batches and dropout are those of training, where the pairs are chosen; the weights stay as they are.

    Returns:
        For image and text as the target, ``(P,)`` float64, one number a training pair: 1 where it has fewer,
        0 where it has not, and the mean where the pair is in several batches.
    """
    one, inputs = row.experiment, row.inputs
    pairs = len(inputs.image.pairs(one.seed))
    few, times = {side: np.zeros(pairs) for side in SIDES}, np.zeros(pairs)
    # What is trained after this draws as it would have.
    with torch.random.fork_rng(), working_precision(one.precision):
        fabric, objective = make_fabric(row.places.device), untrained(one, inputs)
        load_weights(objective, run.dir / MODEL)
        net = fabric.setup_module(objective.net).train()
        batches = one.loss.batches(inputs, one.recipe, one.seed, objective.net)
        for batch in map(fabric.to_device, batches(epoch)):
            counts = violations(*net(batch["images"], batch["texts"]), batch["match"], one.loss.margin)
            # A caption belongs to one image here, so it names its pair.
            pair = batch["captions"][batch["match"].nonzero()[:, 1]].cpu().numpy()
            times[pair] += 1
            for side, count in zip(SIDES, counts, strict=True):
                few[side][pair] += (count < one.loss.top_k).cpu().numpy()
    return {side: values / times for side, values in few.items()}


MEASURED = Measured(
    {
        one.__name__: one
        for one in (
            bidirectional_helps_text_more,
            structure_draws_captions_together,
            structure_resolves_ambiguity,
            most_pairs_violate_little,
        )
    },
    reasons={
        "smoke": "this profile trains for seconds; its verdicts only show that the page works",
        "quick": "few groups, word vectors of 50 numbers and minutes of training",
    },
)


# Figures and tables of ours


def network(study: Study, row: Experiment) -> Figure:
    """Figure 1: two branches with the sizes of a row."""
    inputs, net = inputs_of(row, study.places), row.network
    widths = {"Images": inputs.image.dim, "Captions": inputs.text.width}
    features = {"Images": row.image.said.split(",")[0], "Captions": row.text.said}
    lanes = {
        side: [
            (features[side], f"{width:,}-d"),
            ("*fc", f"{width:,} × {net.hidden:,}"),
            ("ReLU", f"dropout {net.dropout:g}"),
            ("*fc", f"{net.hidden:,} × {net.dim:,}"),
            ("*batch norm", ""),
            ("L2", ""),
        ]
        for side, width in widths.items()
    }
    across, images, captions = row.loss.lambdas
    terms = (
        f"images → captions, + {across:g} · back",
        f"+ {images:g} · images",
        f"+ {captions:g} · captions",
    )
    return diagram(lanes, (f"one {net.dim:,}-d space", *terms, f"margin {row.loss.margin:g}"))


def text_table(study: Study, rows: Mapping[str, Experiment]) -> pd.DataFrame:
    """Text features by name: numbers a caption, how many are not zero, test captions without a known word."""
    lines = {}
    for name, row in rows.items():
        texts = inputs_of(row, study.places).text
        found = texts.test("test")
        filled = found.nnz if sparse.issparse(found) else np.count_nonzero(found)
        lines[name] = {
            "numbers": f"{found.shape[1]:,}",
            "not zero, on average": f"{filled / found.shape[0]:,.1f}",
            "test captions without a known word": str(texts.unknown["test"]),
        }
    return pd.DataFrame.from_dict(lines, orient="index")


@none_of_absent
def phrases_and_boxes(result: Result) -> pd.DataFrame:
    """How many test phrases have a box, and the share of them with any right proposal."""
    first = result.metrics().iloc[0]
    found = {
        "phrases with a box": f"{first['queries']:.0f}",
        "phrases without one": f"{first['without_box']:.0f}",
        "upper bound of every recall (paper: 76.91)": f"{first['r100']:.1f}",
    }
    return pd.DataFrame(found, index=["test split"]).T


@none_of_absent
def localised(*results: Result, count: int = 4, least: int = 3, most_words: int = 16) -> Gallery:
    """Figure 3: drawn test captions; each model's first box of each phrase, and the true one in white.

    Takes captions of at most ``most_words`` words with at least ``least`` phrases that have a box, one a
    picture: none is chosen by what a model finds.
    """
    image, test = results[0].rows[0].inputs.image, results[0].split()
    mentions, proposals = image.mentions("test"), image.proposals("test").boxes
    of_phrase = test.phrases.caption[mentions.row]
    captions, many = np.unique(of_phrase, return_counts=True)
    fit = np.array([len(test.captions[i].split()) <= most_words for i in captions])
    captions = captions[(many >= least) & fit]
    # The first such caption of each picture.
    captions = captions[np.unique(test.image_of_caption[captions], return_index=True)[1]]
    kept = [result.runs[0].load_arrays("ranks-test.npz") for result in results]
    extents, rows = image_extents(test), []
    for caption in captions[drawn(len(captions), count)]:
        own, cells = np.flatnonzero(of_phrase == caption), []
        picture = results[0].picture(int(test.image_of_caption[caption])).convert("RGB")
        scale = np.tile(np.array(picture.size) / extents[test.image_of_caption[caption]], 2)
        for result, found in zip(results, kept, strict=True):
            best = [proposals[i] * scale if i >= 0 else None for i in found["best"][own]]
            shown = with_boxes(picture, mentions.truth[own] * scale, best)
            lines = [result.rows[0].experiment.said]
            for number, (place, rank) in enumerate(zip(own, found["ranks"][own], strict=True), 1):
                lines.append((f"{number} {mentions.words[place]}", bool(rank == 1)))
            cells.append((shown, lines))
        rows += [[(None, [f"“{test.captions[caption]}”"])], cells]
    return Gallery(rows)


def with_boxes(picture: Image.Image, truth: np.ndarray, found: list[np.ndarray | None]) -> Image.Image:
    """A picture with numbered boxes: the true ones in white, those that were found in colours."""
    shown = picture.copy()
    draw, wide = ImageDraw.Draw(shown), max(1, round(max(picture.size) / 150))
    for number, (true, box) in enumerate(zip(truth, found, strict=True)):
        draw.rectangle(true.tolist(), outline="white", width=wide)
        if box is not None:
            colour = PALETTE[number % len(PALETTE)]
            draw.rectangle(box.tolist(), outline=colour, width=2 * wide)
            draw.text(
                (box[0] + 2 * wide, box[1] + wide), f"{number + 1}", colour, font_size=16 * wide,
                stroke_width=wide, stroke_fill="white",
            )  # fmt: skip
    return shown
