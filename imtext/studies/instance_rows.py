"""The tables of the Instance Loss paper as data: which experiment stands behind which row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from imtext.studies.experiment import Experiment
from imtext.studies.preparation import DataSpec
from imtext.studies.scales import PERSONS, Scale

RANK, INSTANCE, FULL = (1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)
# The sum over all negatives: with a margin of .2 most of them cost nothing.
SMALL_MARGIN = {"margin": 0.2, "negatives": "all"}
# Table 4: 3,000 and 10,000 classes for the 113,287 groups of MSCOCO.
CLASSES = {"classes-3000": 3_000 / 113_287, "classes-10000": 10_000 / 113_287}


@dataclass(frozen=True)
class Line:
    """One row of one table: the experiment and the split it is read on.

    ``split`` is ``val``, ``test``, or ``test_folds`` for the mean over five folds of the test split.
    """

    slug: str
    split: str = "val"


def _both_stages(prefix: str, split: str) -> dict[str, Line]:
    """The rows of VGG-19 and ResNet-50, as Tables 1 and 8 have them."""
    return {
        f"{prefix}ours_vgg19_stage1": Line("vgg19-1", split),
        f"{prefix}ours_vgg19_stage2": Line("vgg19-2", split),
        f"{prefix}ours_resnet50_stage1": Line("instance-1", split),
        f"{prefix}ours_resnet50_stage2": Line("full-2", split),
    }


TABLES: dict[str, dict[str, Line]] = {
    "1": _both_stages("", "test")
    | {
        "ours_resnet152_stage1": Line("resnet152-1", "test"),
        "ours_resnet152_stage2": Line("resnet152-2", "test"),
    },
    "2": {
        "ranking_stage1": Line("ranking-1"),
        "instance_stage1": Line("instance-1"),
        "instance_stage2": Line("instance-2"),
        "ranking_stage2": Line("ranking-2"),
        "full_stage2": Line("full-2"),
    },
    "3": {
        "flickr30k_text50": Line("text50-1", "test"),
        "flickr30k_text152": Line("resnet152-1", "test"),
    },
    "4": {
        "classes_3000": Line("classes-3000", "test_folds"),
        "classes_10000": Line("classes-10000", "test_folds"),
        "instance": Line("instance-1", "test_folds"),
    },
    "5": {"random_init": Line("random-init"), "word2vec_init": Line("instance-1")},
    "6": {"left_alignment": Line("left-alignment"), "position_shift": Line("instance-1")},
    "7": {
        "ours_vgg16_stage1": Line("persons-vgg16-1", "test"),
        "ours_vgg16_stage2": Line("persons-vgg16-2", "test"),
        "ours_resnet50_stage1": Line("persons-resnet50-1", "test"),
        "ours_resnet50_stage2": Line("persons-resnet50-2", "test"),
    },
    "8": _both_stages("1k_", "test_folds") | _both_stages("5k_", "test"),
}
# Rows that the paper does not have.
EXTRA = {"2": {"small_margin_stage1": Line("small-margin"), "small_margin_stage2": Line("full-small-margin")}}
EXTRA_LABELS = {
    "small_margin_stage1": "Ours: only ranking loss, margin .2, Stage I",
    "small_margin_stage2": "Ours: full model, margin .2, Stage II",
}


def tables_of(dataset: str) -> tuple[str, ...]:
    """The tables that a dataset can fill: person search is a table of its own; picturebook has both parts.

    >>> tables_of("picturebook"), tables_of("cuhk_pedes"), "7" in tables_of("flickr30k")
    (('1', '2', '3', '4', '5', '6', '7', '8'), ('7',), False)
    """
    if dataset == "picturebook":
        return tuple(TABLES)
    return tuple(number for number in TABLES if (number == "7") == (dataset in PERSONS))


def rows_of(table: str, dataset: str = "picturebook") -> dict[str, Line]:
    """Rows of a table, the paper's and then ours, and what stands behind each.

    Table 3 has a part for Flickr30k and one for MSCOCO; every dataset but the latter fills the first.

    >>> [line.slug for line in rows_of("6").values()]
    ['left-alignment', 'instance-1']
    >>> list(rows_of("3", "coco"))
    ['coco_text50', 'coco_text152']
    """
    rows = TABLES[table] | EXTRA.get(table, {})
    if table == "3" and dataset == "coco":
        return {row.replace("flickr30k", "coco"): line for row, line in rows.items()}
    return rows


def experiments(data: DataSpec, scale: Scale, common: dict[str, Any]) -> dict[str, Experiment]:
    """Every row but those of person search, by slug; ``common`` holds profile, device and seed."""

    def on(backbone: str) -> DataSpec:
        return replace(data, backbone=scale.backbones[backbone])

    shared = {"recipe": scale.stage1, "weights": INSTANCE, **common, **scale.network}
    one = Experiment(slug="instance-1", data=on("resnet50"), **shared)
    rank = replace(one, slug="ranking-1", weights=RANK, **scale.ranking1)
    vgg = replace(one, slug="vgg19-1", data=on("vgg19"))
    # Table 1: the text CNN is as deep as the image CNN.
    deep = replace(one, slug="resnet152-1", data=on("resnet152"), depth=152)
    two = {"stage": 2, "recipe": scale.stage2, **scale.ranking2}
    full = {**two, "weights": FULL}
    rows = [
        rank,
        one,
        replace(one, slug="instance-2", start=one, **two),
        replace(rank, slug="ranking-2", start=rank, **two),
        replace(one, slug="full-2", start=one, **full),
        replace(rank, slug="small-margin", **SMALL_MARGIN),
        replace(one, slug="full-small-margin", start=one, **(full | SMALL_MARGIN)),
        vgg,
        replace(vgg, slug="vgg19-2", start=vgg, **full),
        deep,
        replace(deep, slug="resnet152-2", start=deep, **full),
        replace(deep, slug="text50-1", depth=50),
        *(replace(one, slug=slug, class_share=share) for slug, share in CLASSES.items()),
        replace(one, slug="random-init", init="random"),
        replace(one, slug="left-alignment", shift=False),
    ]
    return {row.slug: row for row in rows}


def person_experiments(data: DataSpec, scale: Scale, common: dict[str, Any]) -> dict[str, Experiment]:
    """The rows of person search (Table 7), by slug."""
    rows = []
    for name in ("vgg16", "resnet50"):
        one = Experiment(
            slug=f"persons-{name}-1",
            data=replace(data, backbone=scale.backbones[name]),
            recipe=scale.stage1,
            weights=INSTANCE,
            **common,
            **scale.network,
        )
        two = {"stage": 2, "recipe": scale.stage2, "weights": FULL, "start": one, **scale.ranking2}
        rows += [one, replace(one, slug=f"persons-{name}-2", **two)]
    return {row.slug: row for row in rows}


def describe(experiment: Experiment) -> str:
    """What ran, in a few words: image CNN and depth of the text CNN.

    >>> describe(Experiment("a", DataSpec(backbone="efficientnet_lite1"), None, INSTANCE))
    'EfficientNet-Lite1 + text 50'
    """
    return f"{experiment.data.cnn} + text {experiment.depth}"
