"""The tables of the single-network paper as data: which experiment stands behind which row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from imtext.data import GENERATED
from imtext.studies.instance_rows import Line
from imtext.studies.preparation import DataSpec
from imtext.studies.single_data import TextSpec
from imtext.studies.single_experiment import SingleExperiment
from imtext.training.recipe import Recipe

# Rows of ours in Table 2: what the text says of it without a number, and the losses.
EXTRA_LABELS = {
    "ten_texts": "Ours: one image, ten encoded texts",
    "two_images": "Ours: image and mirror image, five encoded texts",
    "softmax_alone": "Ours: config-standard, softmax alone",
    "centre_alone": "Ours: config-standard, centre loss alone (Eq. 1)",
    "two_networks": "Ours: config-standard, a network a modality",
}


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile.

    Attributes:
        data: of the data, as for ``DataSpec``; texts: of the drawn captions.
        network: width and blocks of the network.
        recipe: of the training; twice: what differs for rows with two crops of each sentence; alone: for the
            centre loss by itself.
        collapse: steps and rate of the training that shows what it does.
        ours: rows of ours that are trained, of those in ``EXTRA``.
        jobs: rows side by side.
    """

    data: dict[str, Any]
    texts: TextSpec
    network: dict[str, Any]
    recipe: Recipe
    twice: dict[str, Any] = field(default_factory=dict)
    alone: dict[str, Any] = field(default_factory=dict)
    collapse: tuple[int, float] = (60, 5e-2)
    ours: tuple[str, ...] = tuple(EXTRA_LABELS)
    jobs: int = 2


def _adam(epochs: int, lr: float, batch_size: int, **options: Any) -> Recipe:
    return Recipe(epochs=epochs, lr=lr, batch_size=batch_size, weight_decay=0.0, **options)


SMOKE = Scale(
    data={"precision": "64", "train": 40, "val": 60, "test": 60, "size": 75, "crop": 75},
    # GloVe: word2vec computes in float32 alone, and its numbers differ from processor to processor.
    texts=TextSpec(source="vectors", separator=2, words=16, slack=4),
    network={"dim": 16, "width": 0.125, "blocks": (1, 1, 1)},
    recipe=_adam(1, 3e-3, 10, cosine=True),
    # Under the last batch norm this loss alone begins with a gradient of rounding errors; Adam, which divides
    # a gradient by its size, would make steps of them.
    alone={"epochs": 2, "lr": 0.5, "optimiser": "sgd"},
    jobs=1,
)
QUICK = Scale(
    data={"train": 1600, "val": 200, "test": 400, "size": 75, "crop": 75},
    texts=TextSpec(separator=2, words=24, slack=8),
    network={"width": 0.25, "blocks": (1, 2, 1)},
    # Chosen on validation: at 5e-3 and more, as with fewer groups, it ends at chance.
    recipe=_adam(4, 2e-3, 20, cosine=True),
    # An epoch of theirs has nearly twice the pictures.
    twice={"epochs": 2},
    alone={"epochs": 1, "lr": 2e-2},
    collapse=(80, 2e-2),
    # What minutes on two cores allow.
    ours=("centre_alone", "two_networks"),
)
QUICK_PHOTOGRAPHS = replace(
    QUICK,
    data={"train": 6000, "val": 1000, "test": 1000, "size": 75, "crop": 75},
    texts=TextSpec(separator=2, words=32, slack=8),
    recipe=_adam(6, 2e-3, 45, cosine=True),
    twice={},
    alone={"epochs": 1, "lr": 2e-2},
)
PAPER = Scale(
    data={"size": 227, "crop": 227},
    texts=TextSpec(features=36),
    network={},
    recipe=_adam(80, 1e-3, 45, milestones=(50, 70)),
    alone={"epochs": 10},
    collapse=(2000, 1e-3),
    jobs=1,
)


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset.

    >>> scale("paper", "coco").recipe.batch_size
    45
    """
    if profile == "quick" and dataset not in GENERATED:
        return QUICK_PHOTOGRAPHS
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]


_OWN = {"config_standard": Line("standard", "test"), "config_2": Line("config-2", "test")}
# Table 3 is of pictures and sentences; what it is to show is tested with the models of all papers.
TABLES: dict[str, dict[str, Line]] = {"1": dict(_OWN), "2": dict(_OWN), "3": dict(_OWN)}
EXTRA: dict[str, dict[str, Line]] = {"2": {row: Line(row.replace("_", "-"), "test") for row in EXTRA_LABELS}}


def rows_of(table: str, ours: tuple[str, ...] = tuple(EXTRA_LABELS)) -> dict[str, Line]:
    """Rows of a table, the paper's and then ours, and what stands behind each; ``ours``: which of them.

    >>> rows_of("2")["config_2"]
    Line(slug='config-2', split='test')
    >>> list(rows_of("2", ours=("two_networks",)))
    ['config_standard', 'config_2', 'two_networks']
    """
    return TABLES[table] | {row: line for row, line in EXTRA.get(table, {}).items() if row in ours}


def experiments(data: DataSpec, sizes: Scale, common: dict[str, Any]) -> dict[str, SingleExperiment]:
    """Every row by slug; ``common`` holds profile, device and seed."""
    shared = {"texts": sizes.texts, **sizes.network, **common}

    def row(slug: str, **options: Any) -> SingleExperiment:
        return SingleExperiment(slug, data, **({"recipe": sizes.recipe} | shared | options))

    twice = {"sentences": 2, "recipe": replace(sizes.recipe, **sizes.twice)}
    rows = [
        row("standard"),
        row("config-2", images=2, **twice),
        row("ten-texts", **twice),
        row("two-images", images=2),
        row("softmax-alone", weight=0.0),
        row("centre-alone", softmax=False, recipe=replace(sizes.recipe, **sizes.alone)),
        row("two-networks", networks=2),
    ]
    return {one.slug: one for one in rows}


def describe(row: SingleExperiment) -> str:
    """What ran, in a few words.

    >>> describe(SingleExperiment("a", DataSpec(), None, images=2, sentences=2))
    'one network; 2 images, 10 texts a group; softmax + centre'
    """
    nets = "one network" if row.networks == 1 else "two networks"
    loss = "centre" if not row.softmax else "softmax + centre" if row.weight else "softmax"
    images = "1 image" if row.images == 1 else f"{row.images} images"
    return f"{nets}; {images}, {5 * row.sentences} texts a group; {loss}"


__all__ = ["EXTRA", "EXTRA_LABELS", "TABLES", "Scale", "describe", "experiments", "rows_of", "scale"]
