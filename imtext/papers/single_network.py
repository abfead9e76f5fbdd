"""Revisiting Cross Modal Retrieval (Nawaz et al. 2018): what only this paper needs."""

from __future__ import annotations

from itertools import chain, count, islice

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from imtext.experiment import Result, Results, inputs_of, none_of_absent
from imtext.experiment.compute import untrained
from imtext.experiment.results import drawn
from imtext.experiment.study import Measures
from imtext.papers import figure_of, study_of
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.report import Evidence, Gallery, from_samples, from_scores, read_paper
from imtext.report.figures import panels
from imtext.report.style import PALETTE
from imtext.retrieval import modality_mixing
from imtext.threads import torch_threads
from imtext.training import make_fabric

PAPER = read_paper("single_network")
FEW = {"train": 40, "val": 10, "test": 10}  # so few groups that a softmax tells them apart soon


# What claims are measured by where the ranks of two rows are not enough


def modalities_overlap(results: Results) -> list[Evidence]:
    """Modality mixing of the test split; its interval is that of the measure."""
    found = modality_mixing(**results["config-2"].embeddings()[0])
    return [Evidence("mixing", found.value, found.low, found.high, (found.value,), unit="", digits=3)]


def own_texts_lie_closer(results: Results) -> list[Evidence]:
    """Distance of an image to captions of others minus to its own, over the former."""
    one, others, owns = results["config-2"], [], []
    own = np.equal.outer(*one.groups().values())
    for arrays in one.embeddings():
        apart = np.sqrt(np.maximum(2 - 2 * arrays["images"] @ arrays["captions"].T, 0))
        others.append(np.average(apart, axis=1, weights=~own))
        owns.append(np.average(apart, axis=1, weights=own))
    scale = 1 / np.mean(others)
    return [from_scores("nearer to its own, relative", others, owns, scale=scale, unit="", digits=3)]


study = study_of(PAPER, globals())


# Figures of the rows


@none_of_absent
def drawn_captions(result: Result, count: int = 3) -> Gallery:
    """Drawn test captions as the network sees them, with the words that are there."""
    text, cells = result.rows[0].inputs.text, []
    codes = text.codes("test")
    chosen = np.array(drawn(len(codes), count))
    for picture, own in zip(text.drawing.lazy(codes).take(chosen), codes[chosen], strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        words = text.vocabulary.decode(own[own > 0])[: text.drawing.capacity]
        larger = max(1, 180 // image.width) * image.width
        cells.append((image.resize((larger, larger), Image.Resampling.NEAREST), [" ".join(words)]))
    return Gallery([cells])


@none_of_absent
def similar_captions(result: Result, count: int = 2) -> Gallery:
    """Figure 1: the nearest pairs of test captions from different groups, with their pictures.

    Captions that are the same word for word are left out, and no image is shown twice.
    """
    data, rows = result.split(), result.embeddings()[0]["captions"]
    cosines, groups = rows @ rows.T, data.group_of_caption
    cosines[(groups[:, None] == groups) | np.tri(len(rows), dtype=bool)] = -2
    found, used = [], set()
    for place in np.argsort(-cosines, axis=None, kind="stable")[:20000]:
        pair = np.unravel_index(place, cosines.shape)
        images, captions = data.image_of_caption[list(pair)].tolist(), [data.captions[one] for one in pair]
        if len(found) < count and used.isdisjoint(images) and len(set(map(str.casefold, captions))) == 2:
            used.update(images)
            near = f"similarity {cosines[pair]:.2f}, another group"
            both = zip(images, captions, strict=True)
            found.append([(result.picture(image), [caption, near]) for image, caption in both])
    return Gallery(found)


@figure_of
def spaces(*results: Result, most: int = 300) -> Figure:
    """Figure 3: t-SNE of test images and captions, at most ``most`` images; the mixing is that of all."""
    figure, grid = panels(len(results), 3.9, per_row=2)
    for axes, result in zip(grid, results, strict=True):
        data, arrays = result.split(), result.embeddings()[0]
        images, found = np.array(drawn(data.n_images, most)), modality_mixing(**arrays)
        captions = np.flatnonzero(np.isin(data.image_of_caption, images))
        points = flat_map(np.concatenate([arrays["images"][images], arrays["captions"][captions]]))
        look = {"s": 12, "alpha": 0.7, "rasterized": True}
        axes.scatter(*points[len(images) :].T, label="captions", marker="o", color=PALETTE[1], **look)
        axes.scatter(*points[: len(images)].T, label="images", marker="s", color=PALETTE[0], **look)
        said = f"mixing {found.value:.2f} ({found.low:.2f} to {found.high:.2f}), {found.k} neighbours"
        together = " – all points coincide" if not points.any() else ""
        axes.set(title=result.rows[0].slug + together, xlabel=said, xticks=[], yticks=[], box_aspect=1)
        axes.set_aspect("equal", "datalim")
        axes.spines[:].set_visible(True)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def flat_map(points: np.ndarray) -> np.ndarray:
    """Positions ``(P, 2)`` of embeddings ``(P, D)`` on a t-SNE map; all 0 where the embeddings coincide.

    They coincide where no coordinate differs by more than single precision tells. t-SNE would draw rounding
    as a map, and scikit-learn 1.9 ends the process where it divides by a first principal axis of length 0.

    >>> flat_map(np.ones((4, 8))).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    length = max(1.0, float(np.abs(points).max()))  # embeddings are of length 1 or so
    if np.ptp(points, axis=0).max() <= np.finfo(np.float32).eps * length:
        return np.zeros((len(points), 2))
    perplexity = min(30.0, (len(points) - 1) / 3)
    with threadpool_limits(1):  # sums of several threads differ in their last digits
        return TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(points)


# Eq. 1 alone

CURVES = ("loss", "spread", "directions")


@none_of_absent
def collapse(result: Result, alone: Result, steps: int, lr: float) -> pd.DataFrame:
    """Two trainings from one start on the same batches, with a softmax beside the centre loss and without.

    As the first row, of forty groups, ten in a batch; Adam, at a rate larger than a row's, so that few
    ``steps`` are enough: alone, the embeddings need about 2 / lr steps to draw together.

    Returns:
        A line a step: run, step, loss, spread and directions, see
        :class:`~imtext.training.objectives.SingleObjective`.
    """
    row, lines = result.rows[0], []
    for name, softmax in (("softmax + centre loss", True), ("centre loss alone", False)):
        announce(name)
        one = row.experiment.but(data=FEW, loss={"softmax": softmax}, recipe={"batch_size": 10})
        with torch_threads(1), working_precision(one.precision):
            fabric, inputs = make_fabric(row.places.device), inputs_of(one, row.places)
            objective = untrained(one, inputs)
            batches = one.loss.batches(inputs, one.recipe, one.seed, objective.net)
            torch.manual_seed(one.seed)  # the softmax has drawn its weights, and dropout is to be the same
            model, optimizer = fabric.setup(objective, torch.optim.Adam(objective.parameters(), lr))
            model.train()
            endless = chain.from_iterable(map(batches, count()))
            for step, batch in enumerate(islice(endless, steps), 1):
                found = model(fabric.to_device(batch))
                optimizer.zero_grad()
                fabric.backward(found["loss"])
                optimizer.step()
                lines.append({"run": name, "step": step} | {key: found[key].item() for key in CURVES})
    return pd.DataFrame(lines)


@none_of_absent
def collapsed(curves: pd.DataFrame) -> Measures:
    """What measures the claim about Eq. 1 alone: the least share of the spread in these trainings.

    Less than a tenth of it is a collapse. In whole hundredths: where all is one point, the rest is rounding.
    """
    spreads = curves.groupby("run", sort=False)["spread"]
    both, alone = (100 * spreads.min() / spreads.first()).astype(int) / 100
    found = [from_samples("a tenth minus the least share, centre loss alone", 0.1 - alone)]
    found.append(from_samples("least share minus a tenth, with a softmax", both - 0.1))
    return {"softmax_prevents_collapse": lambda results: found}


@figure_of
def collapse_curves(curves: pd.DataFrame) -> Figure:
    """Loss, spread and directions, step by step."""
    figure, grid = panels(3, 2.5)
    runs = curves.set_index(["step", "run"]).unstack(sort=False)
    for axes, name in zip(grid, CURVES, strict=True):
        runs[name].plot(ax=axes, title=name, logy=name != "directions", legend=False)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
