"""Learning Deep Structure-Preserving Image-Text Embeddings (Wang et al. 2016): what only this paper needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy.spatial.distance import pdist
from torch import Tensor

from imtext.experiment import Result, Results, none_of_absent
from imtext.experiment.compute import MODEL, Row, load_weights, untrained
from imtext.experiment.results import SIDES, drawn
from imtext.papers import study_of
from imtext.papers.structure_geometry import gaps, two_spaces
from imtext.precision import working_precision
from imtext.report import Evidence, Gallery, from_samples, from_scores, read_paper
from imtext.report.figures import by_weight
from imtext.report.style import PALETTE
from imtext.runs import Run
from imtext.training import make_fabric
from imtext.vision import image_extents

PAPER = read_paper("structure_preserving")
BEST, SAME_BATCHES = "fv-nonlinear-bi-structure", "fv-nonlinear-bi-more"


# What claims are measured by where the ranks of two rows are not enough


def structure_draws_captions_together(results: Results) -> list[Evidence]:
    """Without minus with the structure term: the distance of two captions of an image."""
    without, with_term = (_caption_distances(results[key]) for key in (SAME_BATCHES, BEST))
    name = "distance of two captions of an image"
    return [from_scores(name, without, with_term, scale=1, unit="", digits=3)]


def _caption_distances(result: Result) -> pd.DataFrame:
    """Mean distance of two captions of an image, a line a seed; an image with one caption has none."""
    found = []
    for arrays in result.embeddings():
        captions = pd.DataFrame(arrays["captions"]).groupby(arrays["image_of_caption"])
        found.append({image: pdist(own).mean() for image, own in captions if len(own) > 1})
    return pd.DataFrame(found)


def structure_resolves_ambiguity(results: Results) -> list[Evidence]:
    """Gap of new images in the example of Figure 2, with minus without the term, over draws of it."""
    profile = next(iter(results.present.values())).rows[0].profile
    spaces = map(two_spaces, range(4 if profile == "smoke" else 24))
    gains = [gaps(one["with"]).mean() - gaps(one["without"]).mean() for one in spaces]
    return [from_samples("gap of a new image", gains)]


def most_pairs_violate_little(results: Results) -> list[Evidence]:
    """Share of training pairs with fewer violations than are kept minus the share of the others."""
    best = results[BEST]
    few = [few_violations(row, run) for row, run in zip(best.rows, best.runs, strict=True)]
    clusters = best.split("train").image_of_caption
    shares = {side: np.array([one[side] for one in few]) for side in SIDES}
    return [from_scores(f"{side} as target", own, 1 - own, clusters) for side, own in shares.items()]


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
def few_violations(row: Row, run: Run) -> pd.DataFrame:
    """Which training pairs have fewer than ``top_k`` violations in the batches of an epoch after training.

    Batches and dropout are those of training, where the pairs are chosen; the weights stay as they are.

    Returns:
        A line a training pair, for image and text as the target: 1 where it has fewer, 0 where it has not,
        and the mean where the pair is in several batches.
    """
    one, inputs, found = row.experiment, row.inputs, []
    # What is trained after this draws as it would have.
    with torch.random.fork_rng(), working_precision(one.precision):
        fabric, objective = make_fabric(row.places.device), untrained(one, inputs)
        load_weights(objective, run.dir / MODEL)
        net = fabric.setup_module(objective.net).train()
        for batch in one.loss.batches(inputs, one.recipe, one.seed, objective.net)(0):
            batch = fabric.to_device(batch)
            counts = violations(*net(batch["images"], batch["texts"]), batch["match"], one.loss.margin)
            few = {side: (count < one.loss.top_k).cpu() for side, count in zip(SIDES, counts, strict=True)}
            # A caption belongs to one image here, so it names its pair.
            few["pair"] = batch["captions"][batch["match"].nonzero()[:, 1]].cpu()
            found.append(pd.DataFrame({name: values.numpy() for name, values in few.items()}))
    return pd.concat(found).groupby("pair").mean()


study = study_of(PAPER, globals())


def weight_sweep(results: Results, weights: Mapping[float, str]) -> Figure | None:
    """R-sum on the validation split by λ3, of this page or published; ``weights``: the key of each one's row.

    None where no row has it.
    """
    ran = {weight: results[key] for weight, key in weights.items() if results.get(key)}
    found = {weight: one.metrics("val") for weight, one in ran.items() if one.has("val")}
    return by_weight(found, "R-sum, validation split", 0.2) if found else None


@none_of_absent
def phrase_counts(result: Result) -> dict[str, float]:
    """Section 3.3, first seed: training pairs of region and phrase, and the recall of all proposals."""
    pairs = pd.DataFrame(result.rows[0].inputs.image.pairs(result.seeds[0]), columns=["region", "phrase"])
    unique = pairs.drop_duplicates()
    found = {"pairs": len(pairs), "unique pairs": len(unique), "unique phrases": unique["phrase"].nunique()}
    found["regions of one phrase"] = int((unique["region"].value_counts() == 1).sum())
    return found | {"all proposals": result.metrics()["r100"].iloc[0]}


@none_of_absent
def localised(*results: Result, count: int = 4, least: int = 3, most_words: int = 16) -> Gallery:
    """Figure 3: drawn test captions; each model's first box of each phrase, and the true one in white.

    Takes captions of at most ``most_words`` words with at least ``least`` phrases that have a box, one a
    picture: none is chosen by what a model finds.
    """
    image, test = results[0].rows[0].inputs.image, results[0].split()
    mentions, proposals = image.mentions("test"), image.proposals("test").boxes
    phrases = pd.DataFrame({"image": mentions.image, "caption": test.phrases.caption[mentions.row]})
    many = phrases.groupby(["image", "caption"]).size().reset_index(name="phrases")
    short = many["caption"].map(lambda caption: len(test.captions[caption].split()) <= most_words)
    # The first such caption of each picture.
    shown = many[short & (many["phrases"] >= least)].drop_duplicates("image")
    kept = [result.runs[0].load_arrays("ranks-test.npz") for result in results]
    extents, rows = image_extents(test), []
    for one in shown.iloc[drawn(len(shown), count)].itertuples():
        own, cells = np.flatnonzero(phrases["caption"] == one.caption), []
        picture = results[0].picture(one.image).convert("RGB")
        scale = np.tile(np.array(picture.size) / extents[one.image], 2)
        for result, found in zip(results, kept, strict=True):
            boxes = with_boxes(picture, mentions.truth[own] * scale, proposals[found["best"][own]] * scale)
            right = found["ranks"] == 1
            lines = [(f"{i} {mentions.words[place]}", bool(right[place])) for i, place in enumerate(own, 1)]
            cells.append((boxes, [result.rows[0].experiment.said, *lines]))
        rows += [[(None, [f"“{test.captions[one.caption]}”"])], cells]
    return Gallery(rows)


def with_boxes(picture: Image.Image, truth: np.ndarray, found: np.ndarray) -> Image.Image:
    """A picture with numbered boxes ``(Q, 4)``: the true ones in white, those that were found in colours."""
    shown = picture.copy()
    draw, wide = ImageDraw.Draw(shown), max(1, round(max(picture.size) / 150))
    for number, (true, box) in enumerate(zip(truth, found, strict=True)):
        colour = PALETTE[number % len(PALETTE)]
        draw.rectangle(true.tolist(), outline="white", width=wide)
        draw.rectangle(box.tolist(), outline=colour, width=2 * wide)
        place, edge = (box[0] + 2 * wide, box[1] + wide), {"stroke_width": wide, "stroke_fill": "white"}
        draw.text(place, f"{number + 1}", colour, font_size=16 * wide, **edge)
    return shown
