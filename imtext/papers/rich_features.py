"""Rich Features Embedding for Cross-Modal Retrieval (Fu et al. 2020): what only this paper needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from imtext.experiment import Absent, Experiment, Measured, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.compute import Row, in_blocks, pair_scores, untrained
from imtext.experiment.encoder import Encoder
from imtext.experiment.networks import Scan
from imtext.experiment.results import drawn
from imtext.experiment.study import Measures
from imtext.models import attend
from imtext.papers.hard_triplet import compare
from imtext.progress import announce
from imtext.report import Evidence, from_samples, from_scores, gain_where, read_paper
from imtext.report.figures import attention_picture, diagram
from imtext.report.style import INK, PALETTE, house_style, new_figure
from imtext.retrieval import cluster_bootstrap
from imtext.text.tokens import tokenize
from imtext.training import make_fabric
from imtext.vision.stage_features import RICH_VARIANTS, rich_parts

PAPER = read_paper("rich_features")
# Seeds and steps of the toy of Figure 3: beyond some fifty steps a last digit decides which is the hardest.
TRIPLETS = {"smoke": (2, 50), "quick": (8, 150), "paper": (24, 150)}
PLAIN, RICH = "vse", "avg-4-max-1234"


def study(*parameters: Any) -> Study:
    """The study for the parameters of the notebook, in the order of :class:`imtext.experiment.study.Study`.

    >>> study("picturebook", None, "smoke", [0], "10").parameters.tables
    ('10',)
    """
    return Study(PAPER, MEASURED, *parameters)


# What claims are measured by where the ranks of two rows are not enough


def positive_nearer_than_hardest(results: Results) -> list[Evidence]:
    """Distance of the hardest negative minus that of the positive after the max of hinges, over seeds.

    The toy of Figure 3, with more seeds and steps where the profile has the time.
    """
    for one in results.present.values():
        positive, hardest = _triplets(*TRIPLETS[one.rows[0].profile])
        name = "distance of the hardest negative minus the positive's"
        return [from_scores(name, hardest, positive, scale=1, unit="", digits=3)]
    return []


@lru_cache(maxsize=2)
def _triplets(seeds: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean distances of positives and of hardest negatives after training, ``(seeds,)`` each."""
    found = compare(range(seeds), steps=steps)
    return found["positive"]["max"].to_numpy(), found["hardest"]["max"].to_numpy()


def rich_helps_long_captions_more(results: Results) -> list[Evidence]:
    """Gain in R@1 of text queries with rich features, captions longer than the median minus the others."""
    data = results[RICH].split()
    lengths = np.array([len(tokenize(caption)) for caption in data.captions])
    long = lengths > np.median(lengths)
    if not long.any():
        return []
    pairs = zip(results[RICH].ranks("text"), results[PLAIN].ranks("text"), strict=True)
    gains = [(rich <= 1).astype(float) - (plain <= 1) for rich, plain in pairs]
    return [gain_where("text query R@1, long minus short", gains, long, data.group_of_caption)]


MEASURED = Measured(
    {one.__name__: one for one in (positive_nearer_than_hardest, rich_helps_long_captions_more)},
    reasons={
        "smoke": "this profile trains for seconds; its verdicts only show that the page works",
        "quick": "few groups, a small network and minutes of training",
    },
)


# Table V: time

# "the average time of four approaches" for both kinds of attention (section IV-C).
FOUR = ("ti-lse", "ti-avg", "it-lse", "it-avg")
TIMED = {
    "vse": (PLAIN,),
    "vse_rfe": (RICH,),
    "scan": tuple(f"scan-{kind}" for kind in FOUR),
    "scan_rfe": tuple(f"scan-rfe-{kind}" for kind in FOUR),
}
# Base -> with rich features, and its name.
EXTRA = {"vse": ("vse_rfe", "VSE++"), "scan": ("scan_rfe", "SCAN")}
PARTS = {"train": "training", "test": "test"}


def timing(
    study: Study, rows: Mapping[str, Experiment], runs: int = 10, steps: int = 10, images: int = 1000
) -> Times | Absent:
    """Seconds of a training step and of scoring, of the rows of Table V; absent where it was not asked for.

    A run is the mean over ``steps`` steps of forward, backward and optimiser, batches made beforehand
    (paper: ten runs of ten steps); scoring embeds the first ``images`` test images and their captions and
    scores all pairs (paper: 1,000). Networks are those of the rows, with random weights, on frozen features.
    The models take turns within a run, so that a disturbance does not fall on one of them alone. Rows that
    the dataset cannot fill are left out.
    """
    if "5" not in study.parameters.tables:
        return Absent()
    timed = {}
    for name in (name for names in TIMED.values() for name in names if not study.lacks(rows[name])):
        announce(f"timing: {name}")
        timed[name] = _Timed(study.row(name, rows[name], study.parameters.seeds[0]), steps, images)
    seconds: dict[str, dict[str, list[float]]] = {name: {"train": [], "test": []} for name in timed}
    for _ in range(runs):
        for name, one in timed.items():
            seconds[name]["train"].append(one.train() / steps)
            seconds[name]["test"].append(one.test())
    return Times(
        {
            row: {part: np.mean([seconds[name][part] for name in names], axis=0) for part in PARTS}
            for row, names in TIMED.items()
            if all(name in seconds for name in names)
        }
    )


class Times:
    """Seconds of each run: ``{row: {"train": (runs,), "test": (runs,)}}``."""

    def __init__(self, seconds: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self.seconds = seconds

    def table(self) -> pd.DataFrame:
        """Table V: mean and standard deviation over the runs, by the paper's row ids."""
        lines: dict[str, dict[str, float]] = {}
        for row, parts in self.seconds.items():
            lines[row] = {}
            for part, values in parts.items():
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
                lines[row] |= {f"{part}_seconds": float(values.mean()), f"{part}_seconds_spread": spread}
        return pd.DataFrame.from_dict(lines, orient="index")

    def measures(self) -> Measures:
        """What measures the claims about time."""
        own = (self.rfe_takes_longer, self.less_extra_for_deeper_base, self.scan_scores_slowly)
        return {one.__name__: lambda _, measured=one: measured() for one in own}

    def rfe_takes_longer(self) -> list[Evidence]:
        """Seconds with minus without rich features."""
        return [
            item
            for base, (rich, name) in EXTRA.items()
            for part, said in PARTS.items()
            for item in self._measured(f"{name}, {said} s", [(rich, part), (base, part)], np.subtract, 4)
        ]

    def less_extra_for_deeper_base(self) -> list[Evidence]:
        """Relative extra time of rich features in per cent, on VSE++ minus on SCAN."""

        def extra(rich: float, base: float, rich_deep: float, deep: float) -> float:
            return 100 * (rich / base - rich_deep / deep)

        rows = [row for base, (rich, _) in EXTRA.items() for row in (rich, base)]
        return [
            item
            for part, said in PARTS.items()
            for item in self._measured(f"per cent more {said}", [(row, part) for row in rows], extra, 1)
        ]

    def scan_scores_slowly(self) -> list[Evidence]:
        """Seconds of scoring, SCAN minus VSE++, without and with rich features."""
        pairs = {"without": ("scan", "vse"), "with": ("scan_rfe", "vse_rfe")}
        return [
            item
            for which, rows in pairs.items()
            for item in self._measured(
                f"{which} rich features", [(row, "test") for row in rows], np.subtract, 4
            )
        ]

    def _measured(
        self, name: str, of: Sequence[tuple[str, str]], measure: Callable[..., Any], digits: int
    ) -> list[Evidence]:
        """A function of mean seconds with its bootstrap over runs; nothing where a row was not timed.

        The rows take turns within a run, so a run is drawn with what it says of all of them.
        """
        if any(row not in self.seconds for row, _ in of):
            return []
        values = [np.asarray(self.seconds[row][part], dtype=float) for row, part in of]
        samples = [cluster_bootstrap(one, np.arange(len(one)), 2000) for one in values]
        own = float(measure(*(one.mean() for one in values)))
        return [from_samples(name, own, measure(*samples), digits=digits)]


class _Timed:
    """One row's network, its batches and its test set, warmed up."""

    def __init__(self, row: Row, steps: int, images: int) -> None:
        one, inputs = row.experiment, row.inputs
        self.attention, self.fabric = isinstance(one.network, Scan), make_fabric(row.places.device)
        self.objective = untrained(one, inputs)
        optimizer = one.recipe.optimizer(self.objective)
        self.model, self.optimizer = self.fabric.setup(self.objective, optimizer)
        made = one.loss.batches(inputs, one.recipe, one.seed, self.objective.net)(0)
        found = [self.fabric.to_device(batch) for batch in islice(made, steps)]
        self.batches = [found[step % len(found)] for step in range(steps)]
        self.codes = inputs.text.test("test")[inputs.splits["test"].image_of_caption < images]
        self.images = inputs.image.test("test")[:images]
        self.train()
        self.test()

    def train(self) -> float:
        """Seconds of all steps."""
        self.model.train()
        return self._seconds(self._steps)

    def _steps(self) -> None:
        for batch in self.batches:
            loss = self.model(batch)["loss"]
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.optimizer.step()

    def test(self) -> float:
        """Seconds of embedding and scoring."""
        return self._seconds(self._scores)

    def _scores(self) -> np.ndarray:
        net = self.objective.net.eval()
        if self.attention:
            return pair_scores(net, self.images, self.codes, self.fabric)
        images = in_blocks(net.embed_images, self.images, self.fabric, 256)
        return images @ in_blocks(net.embed_captions, self.codes, self.fabric, 256).T

    def _seconds(self, work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


# Figures


@house_style()
def vectors(study: Study, base: Experiment) -> Figure | None:
    """Figure 1: what stands in the vectors, a bar a variant as long as it is; means are hatched.

    None where the dataset brings features of its own.
    """
    if study.precomputed:
        return None
    dims, words = inputs_of(base, study.places).image.backbone.stage_dims, base.text.dim
    state = ("state", "", base.network.dim)
    images = {name: [(how, stage, dims[stage]) for how, stage in rich_parts(name)] for name in RICH_VARIANTS}
    captions = {"GRU, BiGRU": [state], "GRU-emb-avg, BiGRU-emb-avg": [state, ("avg", "", words)]}
    captions["BiGRU-emb-max"] = [state, ("max", "", words)]
    figure = new_figure(3.6)
    grid = figure.subplots(2, height_ratios=(len(images), len(captions)))
    for axes, title, rows in zip(grid, ("Images", "Captions"), (images, captions), strict=True):
        for y, parts in enumerate(rows.values()):
            _bar(axes, y, parts)
        axes.set(title=title, yticks=range(len(rows)), yticklabels=list(rows))
        axes.invert_yaxis()
        axes.margins(x=0.1)
    handles = [Patch(color=colour, alpha=0.6, label=f"C{i}") for i, colour in enumerate(PALETTE, 1)]
    handles += [
        Patch(facecolor=INK, alpha=0.6, label="maximum"),
        Patch(facecolor=INK, alpha=0.6, edgecolor="white", hatch="///", label="mean"),
        Patch(edgecolor=INK, fill=False, label="state of the GRU"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8)
    return figure


def _bar(axes: Axes, y: int, parts: Sequence[tuple[str, str, int]]) -> None:
    """The parts of a vector, side by side, and its length."""
    left = 0
    for how, stage, length in parts:
        colour = PALETTE[int(stage[1]) - 1] if stage else INK
        edge = colour if how == "state" else "white"
        look = {"hatch": "///" if how == "avg" else None, "fill": how != "state", "alpha": 0.6}
        axes.barh(y, length, left=left, color=colour, edgecolor=edge, **look)
        left += length
    axes.annotate(f"{left:,}", (left, y), (4, 0), textcoords="offset points", va="center", fontsize=8)


def network(study: Study, row: Experiment) -> Figure | None:
    """Figure 2: the network of a row with its sizes; None where the dataset brings features of its own."""
    if study.precomputed:
        return None
    inputs, dim = inputs_of(row, study.places), f"{row.network.dim:,}"
    text = row.network.text
    image = [
        ("image", f"{row.image.crop} × {row.image.crop}"),
        ("CNN", row.image.said.split(",")[0]),
        ("pooling", row.image.maps),
        ("L2", f"{inputs.image.dim:,}-d"),
        ("*fc", f"{inputs.image.dim:,} × {dim}"),
        ("L2", ""),
    ]
    state = row.network.dim + (inputs.text.width if text.pooled_words else 0)
    caption = [
        ("caption", ""),
        ("*words", f"{inputs.text.width}-d"),
        (f"*{'Bi' * text.bidirectional}GRU", f"{dim}-d state"),
        ("beside it", f"{text.pooled_words or 'no mean'} of words"),
        ("*fc", f"{state:,} × {dim}"),
        ("L2", ""),
    ]
    terms = (
        f"one {dim}-d space",
        "hard triplet loss,",
        "both directions:",
        "max(0, m − s(a, p)",
        "+ max s(a, n))",
    )
    return diagram({"Images": image, "Captions": caption}, (*terms, f"margin m = {row.loss.margin:g}"))


@none_of_absent
def attention(result: Result) -> Figure | None:
    """Which places of a drawn test image the words of its first caption attend to.

    The words are those that the network read: rare words are one and the same to it, and are left out. None
    for regions that come without pictures.
    """
    row, image = result.rows[0], drawn(result.split().n_images, 1)[0]
    if not hasattr(row.inputs.image, "backbone"):
        return None
    trained, inputs = Encoder(result.runs[0]), row.inputs
    caption = int(result.split().captions_of(image)[0])
    codes = torch.from_numpy(inputs.text.test("test")[caption : caption + 1])
    with torch.no_grad():
        regions = trained.net.embed_regions(
            torch.from_numpy(np.array(inputs.image.test("test")[image : image + 1]))
        )
        words, counts = trained.net.embed_words(codes)
        weights = attend(regions[0], words[0, : int(counts[0])], trained.net.direction, trained.net.smooth)
    said = inputs.text.vocabulary.decode(codes[0].numpy())
    kept = [place for place, word in enumerate(said) if word not in ("<start>", "<end>", "<unk>")]
    picture = inputs.image.pixels("test").batch(np.array([image]))[0].permute(1, 2, 0).numpy()
    lit = list(zip([said[place] for place in kept], weights.numpy()[kept], strict=True))
    return attention_picture(picture, inputs.image.cached("test").boxes, lit)


@none_of_absent
def chosen(*results: Result) -> pd.DataFrame:
    """What the validation split chose for re-ranked rows, under the first seed."""
    lines = {one.rows[0].slug: one.runs[0].load_json("chosen.json") for one in results}
    return pd.DataFrame.from_dict(lines, orient="index")
