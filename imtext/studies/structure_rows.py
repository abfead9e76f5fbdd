"""Tables 1 and 2 of the Structure-Preserving paper as data: which experiment stands behind which row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from imtext.data import GENERATED
from imtext.studies.instance_rows import Line
from imtext.studies.preparation import DataSpec
from imtext.studies.structure_experiment import StructureExperiment
from imtext.training.recipe import Recipe

# Section 3.2: the three losses as lambda 1, 2, 3 of Eq. 5.
ONE, BI, STRUCTURE = (0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (2.0, 0.0, 0.2)
LOSSES = {"one": ONE, "bi": BI, "bi_structure": STRUCTURE}


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile.

    Attributes:
        data: of the data, as for ``DataSpec``; crops: of an image, averaged.
        network: of the network and its loss; mean_network: what differs for mean word vectors (section 3.1).
        text_options: of each kind of text features.
        recipe: how the network is trained.
        jobs: rows side by side.
    """

    data: dict[str, Any]
    crops: int
    network: dict[str, Any]
    mean_network: dict[str, Any]
    text_options: dict[str, dict[str, Any]]
    recipe: Recipe
    jobs: int = 2
    cca: dict[str, Any] = field(default_factory=dict)


def _adamw(epochs: int, batch_size: int) -> Recipe:
    return Recipe(epochs=epochs, lr=3e-3, batch_size=batch_size, cosine=True)


def _texts(words: int, components: int, pca: int) -> dict[str, dict[str, Any]]:
    fisher = {"components": components, "pca": pca}
    return {"fv": fisher, "fv_gmm": fisher, "tfidf": {"words": words}}


# The mean over pairs instead of the paper's sum: AdamW takes the size out of the gradient either way.
_MEAN = {"reduction": "mean"}
SMOKE = Scale(
    data={"train": 80, "val": 60, "test": 60, "size": 64, "crop": 64},
    crops=1,
    network={"dim": 32, "hidden": 64, **_MEAN},
    mean_network={"dim": 32, "hidden": 64},
    text_options=_texts(300, 4, 60),
    recipe=_adamw(4, 100),
)
QUICK = Scale(
    data={"train": 1600, "val": 200, "test": 400, "size": 128, "crop": 112},
    crops=2,
    network={"dim": 256, "hidden": 512, **_MEAN},
    mean_network={"dim": 128, "hidden": 512},
    text_options=_texts(1000, 30, 500),
    recipe=_adamw(8, 400),
)
QUICK_PHOTOGRAPHS = Scale(
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144},
    crops=2,
    network={"dim": 512, "hidden": 1024, **_MEAN},
    mean_network={"dim": 256, "hidden": 1024},
    text_options=_texts(3000, 30, 1000),
    recipe=_adamw(8, 500),
)
PAPER = Scale(
    data={"size": 256, "crop": 224, "backbone": "vgg19"},
    crops=10,
    network={"dim": 512, "hidden": 2048},
    mean_network={"dim": 256, "hidden": 1024},
    text_options=_texts(3000, 30, 6000),
    recipe=Recipe(
        epochs=30, lr=0.1, batch_size=1500, optimiser="sgd", weight_decay=5e-4, milestones=(10, 20), gamma=0.1
    ),
    jobs=1,
)
# VGG-19's place is taken by ImageNet weights that come as a package.
STAND_IN = "efficientnet_lite1"


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset; MSCOCO has a larger dictionary in the paper (section 3.1).

    >>> scale("paper", "coco").text_options["tfidf"]["words"], scale("paper", "flickr30k").crops
    (5600, 10)
    """
    if profile == "quick" and dataset not in GENERATED:
        return QUICK_PHOTOGRAPHS
    if profile == "paper" and dataset == "coco":
        return replace(PAPER, text_options=_texts(5600, 30, 6000))
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]


_OURS = {
    **{f"fv_linear_{loss}": f"fv-linear-{loss}" for loss in LOSSES},
    **{f"fv_nonlinear_{loss}": f"fv-nonlinear-{loss}" for loss in LOSSES},
    **{f"{text}_{loss}": f"{text}-{loss}" for text in ("mean", "tfidf") for loss in ("bi", "bi_structure")},
}
_CCA = {
    "mean_vector_klein": "cca-mean",
    "cca_hglmm_klein": "cca-fv",
    "cca_gmm_hglmm": "cca-fv-gmm",
    "cca_hglmm_plummer": "cca-fv",
}
_ON_COCO = ("fv_nonlinear_bi", "fv_nonlinear_bi_structure", "mean_bi", "mean_bi_structure")
_ON_COCO += ("tfidf_bi", "tfidf_bi_structure")


def _lines(slugs: dict[str, str], split: str) -> dict[str, Line]:
    return {row: Line(slug.replace("_", "-"), split) for row, slug in slugs.items()}


TABLES: dict[str, dict[str, Line]] = {
    "1": _lines(_CCA | _OURS, "test"),
    "2": _lines(
        {row: slug for row, slug in _CCA.items() if row != "cca_hglmm_plummer"}
        | {row: _OURS[row] for row in _ON_COCO},
        "test_folds",
    ),
}
# A row that the paper does not have: what CCA makes of the third text feature.
EXTRA = {"1": {"cca_tfidf": Line("cca-tfidf", "test")}}
EXTRA_LABELS = {"cca_tfidf": "Ours: CCA, tf-idf"}


def rows_of(table: str) -> dict[str, Line]:
    """Rows of a table, the paper's and then ours, and what stands behind each.

    >>> rows_of("2")["tfidf_bi"]
    Line(slug='tfidf-bi', split='test_folds')
    """
    return TABLES[table] | EXTRA.get(table, {})


def experiments(data: DataSpec, sizes: Scale, common: dict[str, Any]) -> dict[str, StructureExperiment]:
    """Every row of Tables 1 and 2 by slug; ``common`` holds profile, device and seed."""
    kinds = {"fv": sizes.network, "mean": sizes.network | sizes.mean_network, "tfidf": sizes.network}

    def row(slug: str, text: str, **options: Any) -> StructureExperiment:
        chosen = tuple(
            (kind, tuple(sorted(sizes.text_options[kind].items())))
            for kind in text.split("+")
            if kind in sizes.text_options
        )
        network = kinds[text.split("+")[0]]
        return StructureExperiment(
            slug.replace("_", "-"),
            data,
            text,
            sizes.recipe,
            text_options=chosen,
            crops=sizes.crops,
            **(network | common | options),
        )

    found = [
        *(
            row(f"fv-{model}-{loss}", "fv", model=model, lambdas=lambdas)
            for model in ("linear", "nonlinear")
            for loss, lambdas in LOSSES.items()
        ),
        *(
            row(f"{text}-{loss}", text, lambdas=LOSSES[loss])
            for text in ("mean", "tfidf")
            for loss in ("bi", "bi_structure")
        ),
        row("cca-mean", "mean", model="cca"),
        row("cca-fv", "fv", model="cca"),
        row("cca-fv-gmm", "fv+fv_gmm", model="cca"),
        row("cca-tfidf", "tfidf", model="cca"),
    ]
    return {experiment.slug: experiment for experiment in found}


_TEXTS = {"fv": "HGLMM", "fv+fv_gmm": "HGLMM + GMM", "mean": "mean vector", "tfidf": "tf-idf"}


def describe(experiment: StructureExperiment) -> str:
    """What ran, in a few words: image CNN and text feature.

    >>> describe(StructureExperiment("a", DataSpec(backbone="efficientnet_lite1"), "tfidf", None))
    'EfficientNet-Lite1 + tf-idf'
    """
    name = experiment.data.backbone.replace("efficientnet_lite", "EfficientNet-Lite").replace("vgg", "VGG-")
    return f"{name} + {_TEXTS[experiment.text]}"
