"""Revisiting Cross Modal Retrieval (Nawaz et al. 2018): what only this paper needs."""

from __future__ import annotations

from itertools import chain, count, islice
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from imtext.experiment import Experiment, Measured, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.claims import SIDES
from imtext.experiment.compute import Row, untrained
from imtext.experiment.results import CUTOFFS, drawn
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.report import Evidence, from_samples, from_scores, read_paper
from imtext.report.figures import diagram, panels
from imtext.report.gallery import Gallery
from imtext.report.style import PALETTE, house_style
from imtext.retrieval import Mixing, cluster_bootstrap, modality_mixing
from imtext.threads import torch_threads
from imtext.training import make_fabric

PAPER = read_paper("single_network")
DRAWS = 2000
FEW = {"train": 40, "val": 10, "test": 10}  # so few groups that a softmax tells them apart soon


def study(*parameters: Any) -> Study:
    """The study for the parameters of the notebook, in the order of :class:`imtext.experiment.study.Study`.

    >>> study("picturebook", None, "smoke", [0], "1").parameters.tables
    ('1',)
    """
    return Study(PAPER, MEASURED, *parameters)


# What claims are measured by where the ranks of two rows are not enough


def alike_captions_lie_near(results: Results) -> list[Evidence]:
    """Distance of drawn pairs of captions of different groups minus that of captions alike, relative.

    Those alike are chosen by their words alone: the largest share of common words, so that the network has
    no say.
    """
    one = results["config-2"]
    rows, groups = one.embeddings()[0]["captions"], one.groups()["captions"]
    words = [set(caption.casefold().strip(" .").split()) for caption in one.split().captions]
    first, second = np.random.default_rng(0).integers(0, len(rows), (2, 20000))
    other = groups[first] != groups[second]
    pairs = list(zip(first[other], second[other], strict=True))
    common = np.array([len(words[a] & words[b]) / len(words[a] | words[b]) for a, b in pairs])
    apart = np.linalg.norm(rows[first[other]] - rows[second[other]], axis=1)
    near, mean = apart[common >= np.quantile(common, 0.995)], apart.mean()
    nearer = 1 - cluster_bootstrap(near, np.arange(len(near)), DRAWS) / mean
    return [from_samples("relative nearness of captions alike", float(1 - near.mean() / mean), nearer)]


def centre_loss_trains(results: Results) -> list[Evidence]:
    """Mean recall with the centre loss alone minus that of chance, per side."""
    one, found = results["centre-alone"], []
    by_chance = one.chance()
    for side, groups in zip(SIDES, one.groups().values(), strict=True):
        hits = [np.mean([ranks <= k for k in CUTOFFS], axis=0) for ranks in one.ranks(side)]
        mean = np.mean([by_chance[f"{side}_query_r{k}"] for k in CUTOFFS]) / 100
        name, least = f"{side} query mean recall over chance", [np.full(len(hit), mean) for hit in hits]
        found.append(from_scores(name, hits, least, groups))
    return found


def softmax_prevents_collapse(results: Results) -> list[Evidence]:
    """Spread of the embeddings of the last epoch's batches, with softmax minus with the centre loss alone.

    Seeds are drawn; the interval of a single one would be a point, so below two there is no evidence.
    """
    last = [
        [pd.read_csv(run.dir / "curves.csv")["spread"].iloc[-1] for run in results[key].runs]
        for key in ("standard", "centre-alone")
    ]
    gains = np.subtract(*last)
    if len(gains) < 2:
        return []
    seeds = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    return [from_samples("spread, last epoch", gains.tolist(), [gains[seeds].mean(1)] * len(gains))]


def modalities_overlap(results: Results) -> list[Evidence]:
    """Modality mixing of the test split; its interval is that of the measure."""
    found = mixing(results["config-2"])
    return [Evidence("mixing", found.value, found.low, found.high, (found.value,), unit="", digits=3)]


def own_texts_lie_closer(results: Results) -> list[Evidence]:
    """Distance of an image to captions of others minus to its own, over the former."""
    one, others, owns = results["config-2"], [], []
    groups = one.groups()
    own = groups["images"][:, None] == groups["captions"]
    for arrays in one.embeddings():
        apart = np.sqrt(np.maximum(2 - 2 * arrays["images"] @ arrays["captions"].T, 0))
        others.append(np.where(own, 0, apart).sum(1) / (~own).sum(1))
        owns.append(np.where(own, apart, 0).sum(1) / own.sum(1))
    scale = float(np.mean([found.mean() for found in others]))
    return [from_scores("nearer to its own, relative", others, owns, scale=1 / scale, unit="", digits=3)]


MEASURED = Measured(
    {
        one.__name__: one
        for one in (
            alike_captions_lie_near,
            centre_loss_trains,
            softmax_prevents_collapse,
            modalities_overlap,
            own_texts_lie_closer,
        )
    },
    reasons={
        "smoke": "this profile trains for seconds; its verdicts only show that the page works",
        "quick": "few groups, a small network from a random start, minutes of training",
    },
)


def mixing(result: Result) -> Mixing:
    """How mixed images and captions of the test split are in the space of a row, under its first seed."""
    arrays = result.embeddings()[0]
    owners = arrays["image_of_caption"]
    return modality_mixing(arrays["images"], arrays["captions"], image_of_caption=owners)


def training(results: Results) -> pd.DataFrame:
    """Runs and validation R-sum of each row, and what drawing at random reaches."""
    found = results.summary()
    found.loc["chance"] = [0, round(next(iter(results.present.values())).chance("val")["rsum"], 1)]
    return found.astype({"runs": int})


# Figures of the rows


def network(study: Study, base: Experiment) -> Figure:
    """Figure 2: both ways into the network, with the sizes of the base."""
    inputs, net, loss = inputs_of(base, study.places), base.network, base.loss
    drawing = inputs.text.drawing
    side = f"{drawing.side} × {drawing.side}"
    shared = [
        ("*one network", f"Inception-ResNet-v1,\n{net.blocks}, width {net.width:g}"),
        ("*linear, BN", f"dropout, keep {net.keep:g}\n{net.dim}-d"),
    ]
    image = [("image", ""), ("pixels", side), *shared]
    text = [("caption", f"word vectors,\n{drawing.features} numbers"), ("drawn", side), *shared]
    groups = f"{int(inputs.source.groups.max()) + 1:,}"
    terms = (
        f"one {net.dim}-d space",
        "softmax over",
        f"{groups} groups",
        f"+ {loss.weight:g} × centre loss",
        "½ ‖x − c‖² (Eq. 1)",
    )
    return diagram({"Images": image, "Captions": text}, terms)


@none_of_absent
def drawn_captions(result: Result, count: int = 3) -> Gallery:
    """Drawn test captions as the network sees them, with the words that are there."""
    data, text = result.split(), result.rows[0].inputs.text
    chosen = drawn(data.n_captions, count)
    pictures, codes = text.drawing.lazy(text.codes("test")).take(np.array(chosen)), text.codes("test")[chosen]
    cells = []
    for picture, own in zip(pictures, codes, strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        words = text.vocabulary.decode(own[own > 0])[: text.drawing.capacity]
        factor = max(1, 180 // image.width)
        larger = image.resize((image.width * factor,) * 2, Image.Resampling.NEAREST)
        cells.append((larger, [" ".join(words)]))
    return Gallery([cells])


@none_of_absent
def similar_captions(result: Result, count: int = 2) -> Gallery:
    """Figure 1: the nearest pairs of test captions from different groups, with their pictures.

    Captions that are the same word for word are left out, and no image is shown twice.
    """
    return Gallery(
        [
            [
                (result.picture(image), [caption, f"similarity {cosine:.2f}, another group"])
                for image, caption in zip(images, captions, strict=True)
            ]
            for cosine, images, captions in nearest_pairs(result, count)
        ]
    )


def nearest_pairs(result: Result, count: int) -> list[tuple[float, list[int], list[str]]]:
    """Cosine, images and captions of the nearest pairs of captions."""
    data, rows = result.split(), result.embeddings()[0]["captions"]
    cosines, groups = rows @ rows.T, data.group_of_caption
    cosines[(groups[:, None] == groups) | np.tri(len(rows), dtype=bool)] = -2
    found, used = [], set()
    for place in np.argsort(-cosines, axis=None, kind="stable")[:20000]:
        pair = np.unravel_index(int(place), cosines.shape)
        images = [int(data.image_of_caption[one]) for one in pair]
        captions = [data.captions[one] for one in pair]
        if used & set(images) or captions[0].casefold() == captions[1].casefold():
            continue
        used |= set(images)
        found.append((float(cosines[pair]), images, captions))
        if len(found) == count:
            break
    return found


@none_of_absent
@house_style()
def spaces(*results: Result, most: int = 300) -> Figure:
    """Figure 3: t-SNE of test images and captions, at most ``most`` images; the mixing is that of all."""
    figure, grid = panels(len(results), 3.9, per_row=2)
    for axes, result in zip(grid, results, strict=True):
        data, arrays, found = result.split(), result.embeddings()[0], mixing(result)
        images = np.array(drawn(data.n_images, most))
        captions = np.flatnonzero(np.isin(data.image_of_caption, images))
        points = flat_map(np.concatenate([arrays["images"][images], arrays["captions"][captions]]))
        for number, part in enumerate((points[len(images) :], points[: len(images)])):
            look = {"marker": "os"[number], "color": PALETTE[1 - number], "alpha": 0.7}
            axes.scatter(*part.T, s=12, label=("captions", "images")[number], rasterized=True, **look)
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


@none_of_absent
def collapse(result: Result, alone: Result, steps: int, lr: float) -> pd.DataFrame:
    """Two trainings from one start on the same batches, with a softmax beside the centre loss and without.

    As the first row, of forty groups, ten in a batch; Adam, at a rate larger than a row's, so that few
    ``steps`` are enough: alone, the embeddings need about 2 / lr steps to draw together.

    Returns:
        A line a step: run, step, loss, spread and directions, see
        :class:`imtext.training.SingleObjective`.
    """
    lines, row = [], result.rows[0]
    for name, softmax in (("softmax + centre loss", True), ("centre loss alone", False)):
        announce(name)
        with torch_threads(1), working_precision(row.experiment.precision):
            found = _steps(row, softmax, steps, lr)
        lines += [{"run": name, "step": step, **numbers} for step, numbers in enumerate(found, 1)]
    return pd.DataFrame(lines)


def _steps(row: Row, softmax: bool, steps: int, lr: float) -> list[dict[str, float]]:
    """Loss, spread and directions, step by step."""
    one = row.experiment.but(data=FEW, loss={"softmax": softmax}, recipe={"batch_size": 10})
    fabric, inputs = make_fabric(row.places.device), inputs_of(one, row.places)
    objective = untrained(one, inputs)
    batches = one.loss.batches(inputs, one.recipe, one.seed, objective.net)
    torch.manual_seed(one.seed)  # the softmax has drawn its weights, and dropout is to be the same
    model, optimizer = fabric.setup(objective, torch.optim.Adam(objective.parameters(), lr))
    model.train()
    endless, numbers = chain.from_iterable(batches(epoch) for epoch in count()), []
    for batch in islice(endless, steps):
        found = model(fabric.to_device(batch))
        optimizer.zero_grad()
        fabric.backward(found["loss"])
        optimizer.step()
        numbers.append({key: float(found[key].detach()) for key in ("loss", "spread", "directions")})
    return numbers


@none_of_absent
@house_style()
def collapse_curves(curves: pd.DataFrame) -> Figure:
    """Loss, spread and directions, step by step."""
    figure, grid = panels(3, 2.5)
    for axes, name in zip(grid, ("loss", "spread", "directions"), strict=True):
        sns.lineplot(curves, x="step", y=name, hue="run", style="run", ax=axes, legend=axes is grid[0])
        axes.set(title=name, ylabel="", yscale="linear" if name == "directions" else "log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    handles = grid[0].get_legend_handles_labels()
    grid[0].get_legend().remove()
    figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure
