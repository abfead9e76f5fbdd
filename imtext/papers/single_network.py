"""Revisiting Cross Modal Retrieval (Nawaz et al. 2018): what only this paper needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, count, islice
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from imtext.data.schema import Dataset
from imtext.errors import ConfigError, DataError
from imtext.experiment import Absent, Experiment, Measured, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.claims import CUTOFFS, SIDES
from imtext.experiment.compute import Row, untrained
from imtext.experiment.meaning import Judged, Meaning, meaning_of
from imtext.experiment.results import drawn
from imtext.experiment.study import Measures, place_of
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.report import Evidence, from_samples, from_scores, read_paper, read_published, results_folder
from imtext.report.figures import diagram, panels
from imtext.report.gallery import Gallery
from imtext.report.style import PALETTE, house_style
from imtext.retrieval import (
    Graded,
    Mixing,
    cluster_bootstrap,
    modality_mixing,
    order_of_models,
    top_k,
)
from imtext.retrieval.agreement import compare_orders
from imtext.runs import Run
from imtext.threads import torch_threads
from imtext.training import make_fabric

PAPER = read_paper("single_network")
OWN = {"One network, standard": "standard", "One network, config-2": "config-2"}
BEST, STRUCTURE = "One network, config-2", "Structure-preserving"
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
    rows, groups = one.embeddings()[0]["sentences"], one.groups()["sentences"]
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
    by_chance = chance(one.split())
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
    return [_measured("mixing", found.value, found.low, found.high)]


def own_texts_lie_closer(results: Results) -> list[Evidence]:
    """Distance of an image to captions of others minus to its own, over the former."""
    one, others, owns = results["config-2"], [], []
    groups = one.groups()
    own = groups["images"][:, None] == groups["sentences"]
    for arrays in one.embeddings():
        apart = np.sqrt(np.maximum(2 - 2 * arrays["images"] @ arrays["sentences"].T, 0))
        others.append(np.where(own, 0, apart).sum(1) / (~own).sum(1))
        owns.append(np.where(own, apart, 0).sum(1) / own.sum(1))
    scale = float(np.mean([found.mean() for found in others]))
    return [from_scores("nearer to its own, relative", others, owns, scale=1 / scale, unit="", digits=3)]


def _measured(name: str, value: float, low: float, high: float) -> Evidence:
    """A number that comes with its interval."""
    return Evidence(name, value, low, high, per_seed=(value,), unit="", digits=3)


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
    owners = arrays["image_of_sentence"]
    return modality_mixing(arrays["images"], arrays["sentences"], image_of_sentence=owners)


def chance(dataset: Dataset) -> dict[str, float]:
    """What drawing at random reaches, per cent: R@1, R@5 and R@10 of both queries, and R-sum."""
    of_image = np.bincount(dataset.image_of_sentence, minlength=dataset.n_images)
    sides = {"image": (of_image.tolist(), dataset.n_sentences), "text": ([1], dataset.n_images)}
    cells = {
        f"{side}_query_r{k}": 100 * float(np.mean([1 - comb(n - one, k) / comb(n, k) for one in own]))
        for side, (own, n) in sides.items()
        for k in CUTOFFS
    }
    return cells | {"rsum": sum(cells.values())}


def training(results: Results) -> pd.DataFrame:
    """Runs and validation R-sum of each row, and what drawing at random reaches."""
    found = results.summary()
    found.loc["chance"] = [0, round(chance(next(iter(results.present.values())).split("val"))["rsum"], 1)]
    return found.astype({"runs": int})


def published_models() -> pd.DataFrame | None:
    """What the published models of all papers do on Flickr8k, best first."""
    path = results_folder() / "flickr8k" / "single_network.csv"
    if not path.is_file():
        return None
    found = read_published(path).table("meaning")[0].dropna(axis=1).drop(columns="n_seeds")
    return found.rename_axis(None).sort_values("R-sum", ascending=False).round(2)


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
    chosen = drawn(data.n_sentences, count)
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
    data, rows = result.split(), result.embeddings()[0]["sentences"]
    cosines, groups = rows @ rows.T, data.group_of_sentence
    cosines[(groups[:, None] == groups) | np.tri(len(rows), dtype=bool)] = -2
    found, used = [], set()
    for place in np.argsort(-cosines, axis=None, kind="stable")[:20000]:
        pair = np.unravel_index(int(place), cosines.shape)
        images = [int(data.image_of_sentence[one]) for one in pair]
        captions = [data.captions[one] for one in pair]
        if used & set(images) or captions[0].casefold() == captions[1].casefold():
            continue
        used |= set(images)
        found.append((float(cosines[pair]), images, captions))
        if len(found) == count:
            break
    return found


@none_of_absent
def found_captions(result: Result, count: int = 5, k: int = 5) -> Gallery:
    """Table 3: the first captions for drawn test images, best first."""
    data, arrays = result.split(), result.embeddings()[0]
    queries = drawn(data.n_images, count)
    _, found = top_k(arrays["images"][queries], arrays["sentences"], k)
    rows = []
    for query, items in zip(queries, found, strict=True):
        right = data.group_of_sentence[items] == data.group_of_image[query]
        lines = [(data.captions[j], bool(own)) for j, own in zip(items, right, strict=True)]
        rows.append([(result.picture(query), []), (None, lines)])
    return Gallery(rows)


@none_of_absent
@house_style()
def spaces(*results: Result, most: int = 300) -> Figure:
    """Figure 3: t-SNE of test images and captions, at most ``most`` images; the mixing is that of all."""
    figure, grid = panels(len(results), 3.9, per_row=2)
    for axes, result in zip(grid, results, strict=True):
        data, arrays, found = result.split(), result.embeddings()[0], mixing(result)
        images = np.array(drawn(data.n_images, most))
        captions = np.flatnonzero(np.isin(data.image_of_sentence, images))
        points = flat_map(np.concatenate([arrays["images"][images], arrays["sentences"][captions]]))
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
    objective, batches = untrained(one, inputs), one.loss.batches(inputs, one.recipe, one.seed)
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


# Models of all papers


def models(
    study: Study, results: Results, others: Callable[[Any], Mapping[str, Run]]
) -> Models | Absent:
    """Models of all papers on the test split; absent where Table 3 was not asked for, or nothing is known of
    meaning. ``others(parameters)``: a finished run of each other paper's models, by name.
    """
    given = study.parameters
    if "3" not in given.tables:
        return Absent()
    test = results["config-2"].split()
    try:
        meaning = meaning_of(given.dataset, given.data_root, test)
    except (ConfigError, DataError) as error:
        print(f"right in meaning: {error}")
        return Absent()
    print(f"right in meaning: {meaning.source}")
    own = {name: results[key].runs[0] for name, key in OWN.items()}
    return Models({**others(given), **own}, test, meaning)


class Models(Judged):
    """Trained models on one test split, measured by recall and by meaning; ``runs``: one a model, by name."""

    def __init__(self, runs: Mapping[str, Run], test: Dataset, meaning: Meaning) -> None:
        super().__init__({name: scores_of(run) for name, run in runs.items()}, test, meaning)
        self.runs = dict(runs)

    @house_style()
    def order(self) -> Figure:
        """Every model by Recall@K and by semantic recall, with intervals, in the order of the former."""
        figure, grid = panels(2, 0.32 * len(self.graded) + 0.7, sharey=True)
        ordered = sorted(self.graded, key=lambda name: self.graded[name].value("rsum"))
        for axes, measure in zip(grid, ("rsum", "semantic_rsum"), strict=True):
            values = np.array([self.graded[name].value(measure) for name in ordered])
            samples = [self.graded[name].samples(measure) for name in ordered]
            ends = np.percentile(samples, [2.5, 97.5], axis=1)
            place = len(values) - np.argsort(np.argsort(values))
            reach = np.abs(ends - values)
            axes.errorbar(values, range(len(values)), xerr=reach, fmt="o", color=PALETTE[0], elinewidth=1.2)
            for y, (x, rank) in enumerate(zip(ends[1], place, strict=True)):
                axes.annotate(f"{rank}", (x, y), xytext=(5, 0), textcoords="offset points", va="center")
            axes.set_title({"rsum": "R-sum", "semantic_rsum": "semantic R-sum"}[measure] + ", with places")
        grid[0].set_yticks(range(len(ordered)), ordered)
        return figure

    def swaps(self) -> None:
        """Say how far the two orders agree, and which models change places."""
        change = order_of_models(self.graded)
        print(f"Kendall's tau {change.tau:.2f} ({change.low:.2f} to {change.high:.2f})")
        for swap in change.swaps:
            print(f"{swap.other} overtakes {swap.better}", "(certain)" * swap.certain)

    def strongest(self) -> str:
        """The model with the highest R-sum on the validation split."""
        return max(self.runs, key=lambda name: self.runs[name].metrics["val"]["rsum"])

    def missed(self, result: Result, count: int = 4) -> Gallery:
        """First answers of the strongest model that are right, and that recall counts as wrong."""
        test, rows = self.test, []
        for query, item, value in self.right_but_wrong(count):
            lines = [f"“{test.captions[item]}”", ("Recall@K: wrong, written for another image", False)]
            lines.append((self.meaning.said.format(value), True))
            own = result.picture(int(test.image_of_sentence[item]))
            rows.append([(result.picture(query), []), (None, lines), (own, ["written for this"])])
        print("answers of:", self.strongest())
        return Gallery(rows)

    def right_but_wrong(self, count: int) -> list[tuple[int, int, float]]:
        """Some of these answers, each caption once: image, caption, judgement."""
        found = self.first_wrong(self.strongest(), False)["image_query"]
        chosen = np.flatnonzero((found.rank == 1) & (found.value >= self.meaning.right_from))
        chosen = chosen[np.sort(np.unique(found.item[chosen], return_index=True)[1])]
        chosen = [chosen[place] for place in drawn(len(chosen), count)]
        return [(int(query), int(found.item[query]), float(found.value[query])) for query in chosen]

    def lines(self, seed: int) -> list[dict[str, Any]]:
        """A published line a model, as table ``meaning``."""
        found, lines = self.measures().join(self.agreement()).round(3), []
        for model, run in self.runs.items():
            slug = f"{run.dir.parent.name}: {run.dir.name.rpartition('-')[0]}"
            cells = {"table": "meaning", "row": model, "seed": seed, **place_of(run), "backbone": slug}
            lines.append(cells | found.loc[model].to_dict())
        return lines

    # Claims

    def claims(self) -> Measures:
        """What measures the claims about models, by claim."""
        measures = [
            self.one_network_comparable,
            self.recall_is_low,
            self.semantic_recall_closes_gap,
            self.order_changes,
            self.mixing_tells_good_systems,
        ]
        if self.meaning.wrong_too:
            measures += [
                self.false_matches_are_right,
                self.false_matches_beat_others,
                self.similarity_follows_people,
            ]
        return {one.__name__: partial(_of_models, one) for one in measures}

    @property
    def best_other(self) -> str:
        """The model of another paper with the highest R-sum on the test split."""
        others = [name for name in self.runs if name not in OWN]
        return max(others, key=lambda name: self.graded[name].value("rsum"))

    def _difference(self, name: str, better: str, worse: str, measure: str, **given: Any) -> Evidence:
        """A measure of one model minus that of another, with the same draws for both."""
        scale = given.pop("scale", 1)
        pair = self.graded[better], self.graded[worse]
        value = np.subtract(*(one.value(measure, **given) for one in pair)) / scale
        samples = np.subtract(*(one.samples(measure, n=DRAWS, **given) for one in pair)) / scale
        return from_samples(name, float(value), samples, "points", 2)

    def one_network_comparable(self) -> list[Evidence]:
        """Mean recall of config-2 minus that of the best other model, both directions together."""
        return [self._difference("mean recall, both directions", BEST, self.best_other, "rsum", scale=6)]

    def recall_is_low(self) -> list[Evidence]:
        """R@1 of the structure-preserving model minus that of config-2."""
        return [
            self._difference(f"{side} query R@1", STRUCTURE, BEST, "recall@1", side=f"{side}_query")
            for side in SIDES
        ]

    def _right_share(self, against: float) -> list[Evidence]:
        found = []
        for side, (right, images) in self.wrong_answers(BEST).items():
            if len(right):
                samples = 100 * cluster_bootstrap(right.astype(float), images, DRAWS) - against
                name, value = f"{side.split('_')[0]} query, share right", 100 * right.mean() - against
                found.append(from_samples(name, float(value), samples, "points", 2))
        return found

    def false_matches_are_right(self) -> list[Evidence]:
        """Share of the first wrong answers that are right in meaning, minus 50 per cent."""
        return self._right_share(50.0)

    def false_matches_beat_others(self) -> list[Evidence]:
        """The same minus the share among all judged pairs that are no true pairs."""
        return self._right_share(self.share_of_pairs())

    def semantic_recall_closes_gap(self) -> list[Evidence]:
        """Relative gap to the best other model by recall minus by semantic recall."""
        best, own = self.graded[self.best_other], self.graded[BEST]

        def closed(get: Callable[[Graded, str], Any]) -> Any:
            plain, semantic = (1 - get(own, name) / get(best, name) for name in ("rsum", "semantic_rsum"))
            return 100 * (plain - semantic)

        value = float(closed(lambda one, name: one.value(name)))
        samples = closed(lambda one, name: one.samples(name, n=DRAWS))
        return [from_samples("relative gap closed", value, samples, "points", 2)]

    def order_changes(self) -> list[Evidence]:
        """0.9 minus Kendall's tau between the orders of the models by recall and by semantic recall."""
        both = ("rsum", "semantic_rsum")
        orders = [{name: one.value(by) for name, one in self.graded.items()} for by in both]
        samples = [self._samples(by) for by in both]
        taus = np.array([compare_orders(*pair).tau for pair in zip(*samples, strict=True)])
        return [from_samples("0.9 − τ of the orders", float(0.9 - compare_orders(*orders).tau), 0.9 - taus)]

    def similarity_follows_people(self) -> list[Evidence]:
        """Kendall's tau-b of similarity and judgement, over judged pairs that are no true pairs."""
        found = self.follows(BEST)
        return [_measured("Kendall's τ-b", found.kendall, found.kendall_low, found.kendall_high)]

    def mixing_tells_good_systems(self) -> list[Evidence]:
        """Kendall's tau between the orders of the models by modality mixing and by semantic recall."""
        mixed = {}
        for name, run in self.runs.items():
            if (run.dir / "embeddings-test.npz").is_file():
                arrays = run.load_arrays("embeddings-test.npz")
                mixed[name] = float(modality_mixing(arrays["images"], arrays["sentences"], n=20, shuffles=20))
        kept = [{name: one[name] for name in mixed} for one in self._samples("semantic_rsum")]
        taus = np.array([compare_orders(mixed, one).tau for one in kept])
        tau = compare_orders(mixed, {name: self.graded[name].value("semantic_rsum") for name in mixed}).tau
        return [from_samples("Kendall's τ, mixing and meaning", float(tau), taus)]

    def _samples(self, measure: str, n: int = 200) -> list[dict[str, float]]:
        """A measure of every model, for each draw of images."""
        samples = {name: one.samples(measure, n=n) for name, one in self.graded.items()}
        return [{name: float(part[i]) for name, part in samples.items()} for i in range(n)]


def _of_models(measure: Callable[[], Sequence[Evidence]], results: Results) -> Sequence[Evidence]:
    return measure()


def scores_of(run: Run) -> np.ndarray:
    """Scores ``(N, M)`` of a finished run on the test split: as kept, or the cosines of its embeddings."""
    if (run.dir / "scores-test.npz").is_file():
        return run.load_arrays("scores-test.npz")["scores"]
    arrays = run.load_arrays("embeddings-test.npz")
    return arrays["images"] @ arrays["sentences"].T
