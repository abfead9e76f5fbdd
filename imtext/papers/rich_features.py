"""Rich Features Embedding for Cross-Modal Retrieval (Fu et al. 2020): what only this paper needs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from timeit import timeit
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from imtext.experiment import Absent, Experiment, Result, Results, Study, inputs_of, none_of_absent
from imtext.experiment.compute import answers_of
from imtext.experiment.encoder import Encoder
from imtext.experiment.results import drawn
from imtext.models import attend
from imtext.papers import study_of
from imtext.papers.hard_triplet import compare
from imtext.progress import announce
from imtext.report import Evidence, from_parts, from_samples, read_paper
from imtext.report.figures import attention_picture, panels
from imtext.report.style import INK, PALETTE, house_style
from imtext.text.tokens import tokenize
from imtext.training import make_fabric
from imtext.vision.features import cell_boxes, map_side
from imtext.vision.rich import RICH_VARIANTS, rich_parts

PAPER = read_paper("rich_features")
PLAIN, RICH = "vse", "avg-4-max-1234"


# What claims are measured by where the ranks of two rows are not enough


def positive_nearer_than_hardest(results: Results) -> list[Evidence]:
    """Distance of the hardest negative minus that of the positive in the toy of Figure 3, over seeds of it.

    Beyond some fifty steps a last digit decides which negative is the hardest.
    """
    found, name = compare(range(8), steps=50), "distance of the hardest negative minus the positive's"
    return [from_samples(name, found["hardest"]["max"] - found["positive"]["max"])]


def rich_helps_long_captions_more(results: Results) -> list[Evidence]:
    """Gain in R@1 of text queries with rich features, captions longer than the median minus the others."""
    data = results[RICH].split()
    lengths = np.array([len(tokenize(caption)) for caption in data.captions])
    long = lengths > np.median(lengths)
    if not long.any():
        return []
    rich, plain = (np.array(results[key].ranks("text")) <= 1 for key in (RICH, PLAIN))
    return [from_parts("text query R@1, long minus short", 1.0 * rich - plain, long, data.group_of_caption)]


study = study_of(PAPER, globals())


# Table V: time

# "the average time of four approaches" for both kinds of attention (section IV-C).
FOUR = ("ti-lse", "ti-avg", "it-lse", "it-avg")
NAMES = {"vse": "VSE++", "scan": "SCAN"}
PARTS = {"train": "training", "test": "test"}
# Vocabulary and length of a word vector; regions of an image and lengths of its vectors with ResNet-152.
WORDS, WORD, REGIONS = 10_000, 300, (36, 2048)
IMAGES = {PLAIN: 2048, RICH: 5888}


def timing(
    study: Study, rows: dict[str, Experiment], runs: int, steps: int, images: int, batch: int, dim: int
) -> Times | Absent:
    """Seconds of a training step and of scoring, of the rows of Table V; absent where it was not asked for.

    A run is the mean over ``steps`` steps of forward, backward and optimiser, on ``batch`` pairs (paper: ten
    runs of ten steps, 128 pairs); scoring embeds ``images`` images and five captions each and scores all
    pairs (paper: 1,000). Networks are those of the rows, in ``dim`` dimensions (paper: 1,024), with random
    weights, on random features of the lengths of the paper. The models take turns within a run, so that a
    disturbance does not fall on one of them alone; of SCAN's four variants each run takes the next.
    """
    if "5" not in study.parameters.tables:
        return Absent()
    models, turns = {}, []
    regions, codes = torch.randn(max(images, batch), *REGIONS), _captions(max(5 * images, batch))
    for kind in islice(cycle(FOUR), runs):
        turn = {}
        scan = {"scan": f"scan-{kind}", "scan_rfe": f"scan-rfe-{kind}"}
        for line, key in ({"vse": PLAIN, "vse_rfe": RICH} | scan).items():
            if key not in models:
                announce(f"timing: {key}")
                one = rows[key].but(network={"dim": dim}, recipe={"batch_size": batch})
                shown = regions if "scan" in key else regions.flatten(1)[:, : IMAGES[key]]
                models[key] = _model(one, shown, codes, steps, images, study.places.device)
            turn[line] = models[key]()
        turns.append(pd.DataFrame.from_dict(turn, orient="index").stack())
    return Times(pd.DataFrame(turns))


def _captions(count: int) -> torch.Tensor:
    """Codes of captions of 8 to 18 random words, 13 on average, ``(count, 18)``."""
    codes = torch.randint(1, WORDS + 1, (count, 18))
    return codes.masked_fill(torch.arange(18) >= torch.randint(8, 19, (count, 1)), 0)


def _model(
    one: Experiment, shown: torch.Tensor, codes: torch.Tensor, steps: int, images: int, device: str
) -> Callable[[], dict[str, float]]:
    """What measures one row's network, warmed up: seconds of a step, and of embedding and scoring."""
    fabric, pairs = make_fabric(device), one.recipe.batch_size
    pictures, captions = shown[:images].numpy(), codes[: 5 * images].numpy()
    text = SimpleNamespace(vocabulary=range(WORDS), width=WORD, start=None, test=lambda _: captions)
    image = SimpleNamespace(dim=shown.shape[-1], tuned=lambda: None, block=256, test=lambda _: pictures)
    inputs = SimpleNamespace(image=image, text=text)
    objective = one.loss.build(one.network.build(inputs), inputs)
    model, optimizer = fabric.setup(objective, one.recipe.optimizer(objective))
    made = {"images": shown[:pairs], "codes": codes[:pairs], "groups": torch.arange(pairs)}
    batch = fabric.to_device(made)

    def train() -> None:
        model.train()
        for _ in range(steps):
            loss = model(batch)["loss"]
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
        if fabric.device.type == "cuda":  # until its work is done, not until it is queued
            torch.cuda.synchronize()

    def test() -> np.ndarray:
        found = answers_of(objective.net.eval(), inputs, fabric, "test")
        return found["scores"] if "scores" in found else found["images"] @ found["captions"].T

    def turn() -> dict[str, float]:
        return {"train": timeit(train, number=1) / steps, "test": timeit(test, number=1)}

    turn()
    return turn


class Times(NamedTuple):
    """Seconds, a line a run, by row of Table V and part, ``"train"`` or ``"test"``."""

    seconds: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """Table V: mean and standard deviation over the runs, by the paper's row ids."""
        mean, spread = self.seconds.mean(), self.seconds.std()
        table = mean.unstack(sort=False).add_suffix("_seconds")
        return table.join(spread.unstack(sort=False).add_suffix("_seconds_spread"))

    def measures(self) -> dict[str, Callable[[Results], list[Evidence]]]:
        """What measures the claims about time: differences within a run, in which the rows take turns."""
        seconds, longer, less, slowly, more = self.seconds, [], [], [], {}
        for base, name in NAMES.items():
            for part, said in PARTS.items():
                more[base, part] = seconds[f"{base}_rfe", part] - seconds[base, part]
                longer.append(from_samples(f"{name}, {said} s", more[base, part], digits=4))
        for part, said in PARTS.items():
            vse, scan = (100 * more[base, part] / seconds[base, part].mean() for base in NAMES)
            less.append(from_samples(f"per cent more {said}", vse - scan, digits=1))
        for which, rfe in {"without": "", "with": "_rfe"}.items():
            slower = seconds[f"scan{rfe}", "test"] - seconds[f"vse{rfe}", "test"]
            slowly.append(from_samples(f"{which} rich features", slower, digits=4))
        found = {"rfe_takes_longer": longer, "less_extra_for_deeper_base": less, "scan_scores_slowly": slowly}
        return {claim: lambda _, own=own: own for claim, own in found.items()}


# Figures


@house_style()
def vectors(study: Study, base: Experiment) -> Figure | None:
    """Figure 1: what stands in the vectors, a bar a variant as long as it is; means are hatched.

    None where the dataset brings features of its own.
    """
    if study.precomputed:
        return None
    inputs = inputs_of(base, study.places)
    dims, words = inputs.image.backbone.stage_dims, inputs.text.width
    state = ("state", "", base.network.dim)
    images = {name: [(how, stage, dims[stage]) for how, stage in rich_parts(name)] for name in RICH_VARIANTS}
    captions = {"GRU, BiGRU": [state], "GRU-emb-avg, BiGRU-emb-avg": [state, ("avg", "", words)]}
    captions["BiGRU-emb-max"] = [state, ("max", "", words)]
    figure, grid = panels(2, 1.8, per_row=1, height_ratios=(len(images), len(captions)))
    white = {"edgecolor": "white", "alpha": 0.6}
    looks = {"max": white, "avg": white | {"hatch": "///"}, "state": {"edgecolor": INK, "fill": False}}
    for axes, title, rows in zip(grid, ("Images", "Captions"), (images, captions), strict=True):
        for name, parts in rows.items():
            left = 0
            for how, stage, length in parts:
                colour = PALETTE[int(stage[1]) - 1] if stage else INK
                bar = axes.barh(name, length, left=left, facecolor=colour, **looks[how])
                left += length
            axes.bar_label(bar, [f"{left:,}"], padding=4, fontsize=8)
        axes.set_title(title)
        axes.invert_yaxis()
        axes.margins(x=0.1)
    handles = [Patch(color=colour, alpha=0.6, label=f"C{i}") for i, colour in enumerate(PALETTE, 1)]
    names = {"max": "maximum", "avg": "mean", "state": "state of the GRU"}
    handles += [Patch(facecolor=INK, label=names[how], **look) for how, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8)
    return figure


@none_of_absent
def attention(result: Result) -> Figure | None:
    """Which places of a drawn test image the words of its first caption attend to.

    The words are those that the network read: rare words are one and the same to it, and are left out. None
    for regions that come without pictures.
    """
    inputs, image = result.rows[0].inputs, drawn(result.split().n_images, 1)[0]
    if not hasattr(inputs.image, "backbone"):
        return None
    net, caption = Encoder(result.runs[0]).net, int(result.split().captions_of(image)[0])
    codes = torch.from_numpy(inputs.text.test("test")[caption : caption + 1])
    with torch.no_grad():
        regions = net.embed_regions(torch.from_numpy(np.array(inputs.image.test("test")[image : image + 1])))
        words, counts = net.embed_words(codes)
        weights = attend(regions[0], words[0, : int(counts[0])], net.direction, net.smooth).numpy()
    said = zip(inputs.text.vocabulary.decode(codes[0].numpy()), weights, strict=True)
    lit = [(word, weight) for word, weight in said if word not in ("<start>", "<end>", "<unk>")]
    picture = inputs.image.pixels("test").batch(np.array([image]))[0].permute(1, 2, 0).numpy()
    part = inputs.image.part
    side = map_side(inputs.image.backbone, part.stage, part.crop)
    return attention_picture(picture, cell_boxes(side, part.grid, part.crop, part.size), lit)


@none_of_absent
def chosen(*results: Result) -> pd.DataFrame:
    """What the validation split chose for re-ranked rows, under the first seed."""
    lines = {one.rows[0].slug: one.runs[0].load_json("chosen.json") for one in results}
    return pd.DataFrame.from_dict(lines, orient="index")
