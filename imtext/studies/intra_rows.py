"""The tables of the Intra-Modal Constraint paper as data: which experiment stands behind which row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from imtext.data import GENERATED
from imtext.studies.instance_rows import Line
from imtext.studies.intra_experiment import IntraExperiment
from imtext.studies.preparation import DataSpec
from imtext.studies.rich_data import RichSpec
from imtext.studies.rich_rows import STAND_IN
from imtext.training.recipe import Recipe


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile.

    Attributes:
        data: of the data, as for ``DataSpec``; inputs: of captions.
        network: sizes of the network and its hinges.
        recipe: of the training.
        early: epochs after which rows "from early on" take the hardest negatives alone; None where all rows
            begin with them.
        jobs: rows side by side.
    """

    data: dict[str, Any]
    inputs: RichSpec
    network: dict[str, Any]
    recipe: Recipe
    early: int | None = None
    jobs: int = 2


def _adam(epochs: int, lr: float, batch_size: int = 128, **options: Any) -> Recipe:
    """AdamW without weight decay is the Adam of the public code."""
    return Recipe(epochs=epochs, lr=lr, batch_size=batch_size, weight_decay=0.0, clip=2.0, **options)


SMOKE = Scale(
    data={"precision": "64", "train": 80, "val": 60, "test": 60, "size": 64, "crop": 64, "views": 1},
    inputs=RichSpec(min_count=2, length=20),
    network={"dim": 32, "word_dim": 50, "all_epochs": 1},
    recipe=_adam(2, 3e-3, 40, cosine=True, sentences_per_group=1),
    early=0,
    jobs=1,
)
QUICK = Scale(
    data={"train": 1600, "val": 200, "test": 400, "size": 128, "crop": 112, "views": 2},
    inputs=RichSpec(),
    # The hardest negatives pull all together: after few steps a longer part with them alone is worse.
    network={"dim": 48, "word_dim": 50, "all_epochs": 5},
    recipe=_adam(6, 1.2e-2, 96, cosine=True, sentences_per_group=1),
    early=2,
)
QUICK_PHOTOGRAPHS = replace(
    QUICK,
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144, "views": 2},
    network={"dim": 128, "word_dim": 50, "all_epochs": 7},
    recipe=_adam(8, 8e-3, cosine=True, sentences_per_group=2),
    early=3,
)
PAPER = Scale(
    data={"size": 256, "crop": 224, "backbone": "resnet152", "views": 10},
    inputs=RichSpec(),
    network={"dim": 1024, "word_dim": 300},
    recipe=_adam(30, 2e-4, milestones=(15,)),
    jobs=1,
)


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset.

    >>> scale("paper", "coco").recipe.rate(20.0)
    0.1
    """
    if profile == "quick" and dataset not in GENERATED:
        return QUICK_PHOTOGRAPHS
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]


# The four distances, in the order of Table 3, with the reading that the released code has for each.
READINGS = {
    "msd": "released_distance",
    "cosine": "released_cosine",
    "l2": "released_distance",
    "l1": "released_distance",
}
# Lambda of Figure 2, whose values the paper does not print; 0 and 1 are rows of Table 3.
WEIGHTS = {"l1-half": 0.5, "l1-double": 2.0, "l1-ten": 10.0}
# Row -> the same with the hardest negatives from early on.
EARLY = {"hinges-early": None, "cosine-early": "cosine", "l1-early": "l1"}
READOUTS = {"l1-last": "last", "l1-released": "released"}

TABLES: dict[str, dict[str, Line]] = {
    "1": {
        "1k_vse": Line("vse", "test_folds"),
        "1k_imc": Line("l1", "test_folds"),
        "5k_vse": Line("vse", "test"),
        "5k_imc": Line("l1", "test"),
    },
    "2": {"vse": Line("vse", "test"), "imc": Line("l1", "test")},
    "3": {"lambda_0": Line("hinges", "test")} | {name: Line(name, "test") for name in READINGS},
}
# Ours: all hinges (Eq. 1), Eq. 4 as printed, other weights (Figure 2), other read-outs of the BiLSTM.
EXTRA: dict[str, dict[str, Line]] = {
    "3": {
        slug.replace("-", "_"): Line(slug, "test")
        for slug in ("hinges-all", *EARLY, *(f"printed-{name}" for name in READINGS), *WEIGHTS, *READOUTS)
    }
}
NAMES = {"msd": "MSD", "cosine": "cosine", "l2": "L2", "l1": "L1"}
EXTRA_LABELS = (
    {"hinges_all": "Ours: λ = 0, the sum of all hinges"}
    | {
        "hinges_early": "Ours: λ = 0, hardest negatives from early on",
        "cosine_early": "Ours: cosine, hardest negatives from early on",
        "l1_early": "Ours: L1, hardest negatives from early on",
    }
    | {f"printed_{name}": f"Ours: {label}, Eq. 4 as printed" for name, label in NAMES.items()}
    | {slug.replace("-", "_"): f"Ours: L1, λ = {weight:g}" for slug, weight in WEIGHTS.items()}
    | {
        "l1_last": "Ours: L1, last states side by side",
        "l1_released": "Ours: L1, read out at the last word",
    }
)


def rows_of(table: str, early: bool = True) -> dict[str, Line]:
    """Rows of a table, the paper's and then ours, and what stands behind each.

    ``early``: with the rows that take the hardest negatives from early on.

    >>> rows_of("3")["lambda_0"]
    Line(slug='hinges', split='test')
    """
    rows = TABLES[table] | EXTRA.get(table, {})
    return {row: line for row, line in rows.items() if early or line.slug not in EARLY}


def experiments(data: DataSpec, sizes: Scale, common: dict[str, Any]) -> dict[str, IntraExperiment]:
    """Every row by slug; ``common`` holds profile, device and seed."""
    shared = {"inputs": sizes.inputs, **sizes.network, **common}

    def row(slug: str, **options: Any) -> IntraExperiment:
        return IntraExperiment(slug, data, sizes.recipe, **(shared | options))

    l1 = {"distance": "l1", "reading": READINGS["l1"]}
    rows = [
        row("hinges"),
        row("hinges-all", negatives="all"),
        *(row(name, distance=name, reading=reading) for name, reading in READINGS.items()),
        *(row(f"printed-{name}", distance=name, reading="printed") for name in READINGS),
        *(row(slug, weight=weight, **l1) for slug, weight in WEIGHTS.items()),
        *(row(slug, readout=readout, **l1) for slug, readout in READOUTS.items()),
        *(_early(row, slug, distance, sizes.early) for slug, distance in EARLY.items()),
        row("vse", text="gru"),
    ]
    return {one.slug: one for one in rows}


def _early(row: Any, slug: str, distance: str | None, early: int | None) -> IntraExperiment:
    options = {} if distance is None else {"distance": distance, "reading": READINGS[distance]}
    return row(slug, all_epochs=early or 0, **options)


def describe(row: IntraExperiment) -> str:
    """What ran, in a few words.

    >>> describe(IntraExperiment("a", DataSpec(backbone="efficientnet_lite1"), None, distance="l2"))
    'EfficientNet-Lite1, fixed; BiLSTM; L2, as released'
    """
    images = row.data.fixed_features
    text = "GRU" if row.text == "gru" else "BiLSTM"
    if row.distance is None:
        return f"{images}; {text}"
    reading = "as printed" if row.reading == "printed" else "as released"
    return f"{images}; {text}; {NAMES[row.distance]}, {reading}"


__all__ = ["STAND_IN", "Scale", "describe", "experiments", "rows_of", "scale"]
