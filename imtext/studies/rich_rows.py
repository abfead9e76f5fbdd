"""The tables of the Rich Features paper as data: which experiment stands behind which row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from imtext.data import GENERATED
from imtext.studies.instance_rows import Line
from imtext.studies.preparation import DataSpec
from imtext.studies.rich_combined import Ensemble, Reranked, TunedVSE
from imtext.studies.rich_data import RichSpec
from imtext.studies.rich_experiment import RichExperiment, ScanExperiment
from imtext.training.recipe import Recipe

Row = RichExperiment | ScanExperiment | Ensemble | Reranked | TunedVSE


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile.

    Attributes:
        data: of the data, as for ``DataSpec``; inputs: of captions and regions.
        network: of both kinds of networks; scan_network: what differs for attention.
        recipe: of the first training; scan_recipe: with attention; tune: of the image CNN.
        timing: runs and steps of Table V, and how many images are scored.
        jobs: rows side by side.
    """

    data: dict[str, Any]
    inputs: RichSpec
    network: dict[str, Any]
    scan_network: dict[str, Any]
    recipe: Recipe
    scan_recipe: Recipe
    tune: Recipe
    timing: tuple[int, int, int] = (10, 10, 1000)
    jobs: int = 2


def _adam(epochs: int, lr: float, batch_size: int = 128, **options: Any) -> Recipe:
    """AdamW without weight decay is the Adam of the public code."""
    return Recipe(epochs=epochs, lr=lr, batch_size=batch_size, weight_decay=0.0, clip=2.0, **options)


def _tuning(epochs: int, batch_size: int, lr: float, cnn: float, captions: int | None = None) -> Recipe:
    """All together, the CNN at ``cnn`` times the rate; ``captions`` of an image in an epoch."""
    slow = (("net.backbone.", cnn),)
    return _adam(epochs, lr, batch_size, cosine=True, lr_scale=slow, captions_per_group=captions)


SMOKE = Scale(
    data={"precision": "64", "train": 80, "val": 40, "test": 40, "size": 64, "crop": 64, "views": 1},
    inputs=RichSpec(min_count=2, length=20),
    network={"dim": 32, "word_dim": 16, "all_epochs": 1},
    scan_network={"dim": 16, "all_epochs": 1},
    recipe=_adam(2, 3e-3, 64, cosine=True),
    scan_recipe=_adam(1, 3e-3, 32, cosine=True),
    tune=_tuning(1, 40, 3e-4, 0.1, captions=1),
    timing=(2, 1, 20),
    jobs=1,
)
QUICK = Scale(
    data={"train": 1600, "val": 200, "test": 400, "size": 128, "crop": 112, "views": 2},
    inputs=RichSpec(),
    # Only the hardest negatives from early on, and a short training ends near one point for all.
    network={"dim": 128, "word_dim": 100, "all_epochs": 6},
    scan_network={"dim": 64, "all_epochs": 3},
    recipe=_adam(8, 4e-3, cosine=True, captions_per_group=3),
    scan_recipe=_adam(4, 2.5e-3, 40, cosine=True, captions_per_group=2),
    tune=_tuning(1, 100, 1e-4, 0.1, captions=1),
    timing=(10, 1, 100),
)
QUICK_PHOTOGRAPHS = replace(
    QUICK,
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144, "views": 2},
    network={"dim": 256, "word_dim": 100, "all_epochs": 6},
    scan_network={"dim": 128, "all_epochs": 4},
    recipe=_adam(8, 2e-3, cosine=True, captions_per_group=2),
    scan_recipe=_adam(5, 2e-3, 64, cosine=True, captions_per_group=2),
)
PAPER = Scale(
    data={"size": 256, "crop": 224, "backbone": "resnet152", "views": 10},
    inputs=RichSpec(stage="C4"),
    network={"dim": 1024, "word_dim": 300},
    scan_network={},
    recipe=_adam(36, 2e-4, milestones=(15,)),
    scan_recipe=_adam(30, 2e-4, milestones=(15,)),
    tune=_adam(15, 2e-5),
    jobs=1,
)
# ResNet-152's place is taken by ImageNet weights that come as a package.
STAND_IN = "efficientnet_lite1"


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset; on MSCOCO the rate falls by 1.2 only (section IV-B).

    >>> scale("paper", "coco").recipe.rate(20.0), scale("paper", "flickr30k").recipe.rate(20.0)
    (0.8333333333333334, 0.1)
    """
    if profile == "quick" and dataset not in GENERATED:
        return QUICK_PHOTOGRAPHS
    if profile == "paper" and dataset.startswith("coco"):
        return replace(
            PAPER, recipe=replace(PAPER.recipe, gamma=1 / 1.2), scan_recipe=_adam(20, 5e-4, milestones=(10,))
        )
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]


MARGINS = {"m01": 0.1, "m03": 0.3, "m06": 0.6}
# Section IV.D: image variants, all with the text bigru-emb-avg.
IMAGES = ("avg-1234", "avg-1234-max-1234", "avg-4-max-4", "avg-4-max-34", "avg-4-max-123", "avg-4-max-1234")
PARTS = ("avg-4-max-4", "avg-4-max-123", "avg-4-max-34", "avg-4-max-1234")
SCANS = {
    f"{d}-{p}": {"direction": f"{d[0]}-{d[1]}", "pooling": p} for d in ("ti", "it") for p in ("lse", "avg")
}
# Two models each, as "A + B".
PAIRS = {
    "scan-ti-lse-it-avg": ("scan-ti-lse", "scan-it-avg"),
    "scan-ti-avg-it-lse": ("scan-ti-avg", "scan-it-lse"),
    "scan-rfe-ti-avg-it-lse": ("scan-rfe-ti-avg", "scan-rfe-it-lse"),
    "scan-rfe-ti-avg-ti-lse": ("scan-rfe-ti-avg", "scan-rfe-ti-lse"),
}


def _lines(split: str, rows: str, **renamed: str) -> dict[str, Line]:
    """Rows of a table whose slugs are their ids with dashes, and those that are called otherwise."""
    same = {row: Line(_slug(row), split) for row in rows.split()}
    return same | {row: Line(slug, split) for row, slug in renamed.items()}


def _slug(row: str) -> str:
    """Slug of a row.

    >>> _slug("scan_rfe_t_i_avg_i_t_lse"), _slug("avg_4_max_4")
    ('scan-rfe-ti-avg-it-lse', 'avg-4-max-4')
    """
    return row.replace("t_i", "ti").replace("i_t", "it").replace("_", "-")


_FOUR = "scan_t_i_lse scan_t_i_avg scan_i_t_lse scan_i_t_avg"
_RICH_FOUR = _FOUR.replace("scan_", "scan_rfe_")
TABLES: dict[str, dict[str, Line]] = {
    "1": _lines("test", "", margin_0_1="gru-emb-avg-m01", margin_0_2="gru-emb-avg")
    | _lines("test", "", margin_0_3="gru-emb-avg-m03", margin_0_6="gru-emb-avg-m06"),
    "2": _lines("test_folds", f"vse ensemble {_FOUR} scan_t_i_lse_i_t_avg {_RICH_FOUR}")
    | _lines("test_folds", "scan_rfe_t_i_avg_i_t_lse scan_rfe_t_i_avg_t_i_lse"),
    "3": _lines("test", "vse ensemble scan_i_t_lse scan_t_i_avg_i_t_lse scan_rfe_t_i_avg scan_rfe_t_i_lse")
    | _lines("test", "scan_rfe_i_t_lse scan_rfe_t_i_avg_i_t_lse scan_rfe_t_i_avg_t_i_lse"),
    "4": _lines("test", "vse", rfe="rerank-small")
    | _lines("test", f"{_FOUR} scan_t_i_avg_i_t_lse {_RICH_FOUR} scan_rfe_t_i_avg_i_t_lse"),
    "5": {},
    "6": _lines("test_folds", "vse gru_emb_avg bigru bigru_emb_max bigru_emb_avg avg_1234")
    | _lines("test_folds", "avg_1234_max_1234 avg_4_max_4 ensemble"),
    "7": _lines("test", "vse bigru_emb_avg avg_4_max_4 avg_4_max_123 avg_4_max_34 avg_4_max_1234 ensemble"),
    "8": _lines("test", "vse gru_emb_avg"),
    "9": _lines("test_folds", "avg_4_max_1234", rerank="rerank-rich"),
    "10": _lines("test", "gru_emb_avg", rerank="rerank-small"),
}
# Rows of ours: what the paper's text compares and its tables leave out, and the trained image CNN.
EXTRA: dict[str, dict[str, Line]] = {
    "6": _lines("test_folds", "avg_4_max_34 avg_4_max_123 avg_4_max_1234"),
    "8": _lines("test", "vse_tuned bigru bigru_emb_max bigru_emb_avg avg_4_max_1234"),
}
EXTRA_LABELS = {
    "avg_4_max_34": "Ours: avg-4-max-34",
    "avg_4_max_123": "Ours: avg-4-max-123",
    "avg_4_max_1234": "Ours: avg-4-max-1234",
    "vse_tuned": "Ours: VSE++, image CNN trained too",
    "bigru": "Ours: avg-4-BiGRU",
    "bigru_emb_max": "Ours: avg-4-BiGRU-emb-max",
    "bigru_emb_avg": "Ours: avg-4-BiGRU-emb-avg",
}


def rows_of(table: str, precomputed: bool = False) -> dict[str, Line]:
    """Rows of a table, the paper's and then ours, and what stands behind each.

    ``precomputed``: only those that a dataset without pictures can fill: one vector an image, or regions.

    >>> rows_of("10")["rerank"]
    Line(slug='rerank-small', split='test')
    >>> list(rows_of("7", precomputed=True))
    ['vse', 'bigru_emb_avg']
    """
    rows = TABLES[table] | EXTRA.get(table, {})
    needs = (*IMAGES, "ensemble", "rerank-rich", "vse-tuned")
    return {row: line for row, line in rows.items() if not (precomputed and line.slug in needs)}


def experiments(data: DataSpec, sizes: Scale, common: dict[str, Any]) -> dict[str, Row]:
    """Every row by slug; ``common`` holds profile, device and seed."""
    shared = {"inputs": sizes.inputs, **sizes.network, **common}

    def vse(slug: str, text: str, **options: Any) -> RichExperiment:
        return RichExperiment(slug, data, sizes.recipe, text=text, **(shared | options))

    rows: list[Row] = [
        vse("vse", "gru"),
        vse("gru-emb-avg", "gru-emb-avg"),
        *(vse(f"gru-emb-avg-{name}", "gru-emb-avg", margin=margin) for name, margin in MARGINS.items()),
        *(vse(text, text) for text in ("bigru", "bigru-emb-max", "bigru-emb-avg")),
        *(vse(image, "bigru-emb-avg", image=image) for image in IMAGES),
    ]
    options = shared | sizes.scan_network
    # Lambda of LSE as published for MSCOCO.
    sharp = {"it-lse": 20.0} if data.dataset.startswith("coco") else {}
    for rich, prefix in ((False, "scan"), (True, "scan-rfe")):
        rows += [
            ScanExperiment(
                f"{prefix}-{name}",
                data,
                sizes.scan_recipe,
                rich_words=rich,
                sharp=sharp.get(name),
                **how,
                **options,
            )
            for name, how in SCANS.items()
        ]
    found: dict[str, Row] = {row.slug: row for row in rows}
    found["ensemble"] = Ensemble("ensemble", tuple(found[part] for part in PARTS))
    found |= {pair: Ensemble(pair, tuple(found[part] for part in parts)) for pair, parts in PAIRS.items()}
    found["rerank-rich"] = Reranked("rerank-rich", (found["avg-4-max-1234"],))
    found["rerank-small"] = Reranked("rerank-small", (found["gru-emb-avg"],))
    found["vse-tuned"] = TunedVSE("vse-tuned", (found["vse"],), sizes.tune)
    return found


def describe(row: Row) -> str:
    """What ran, in a few words.

    >>> describe(RichExperiment("a", DataSpec(backbone="efficientnet_lite1"), None, text="bigru"))
    'EfficientNet-Lite1, frozen; avg-4 + bigru'
    """
    if isinstance(row, RichExperiment):
        image = "" if row.data.precomputed else f"{row.image} + "
        return f"{row.data.fixed_features}; {image}{row.text}"
    if isinstance(row, ScanExperiment):
        regions = "regions" if row.data.precomputed else f"cells of {row.inputs.stage}"
        return f"{row.data.fixed_features}; {regions}"
    if isinstance(row, TunedVSE):
        return f"{row.data.cnn}, trained; {row.start[0].image} + {row.start[0].text}"
    if isinstance(row, Reranked):
        return f"{row.start[0].slug}, re-ranked"
    return f"mean of {len(row.start)} models"
