"""What each profile scales for the Instance Loss paper: sizes, image CNNs and the recipes for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from imtext.data import GENERATED
from imtext.training.recipe import Recipe

# Released code: the word layer learns a thousand times slower than the rest. AdamW takes the size out of the
# gradient, so that a thousandth would freeze the layer.
WORDS = (("net.text.word.", 1e-3),)
WORDS_ADAMW = (("net.text.word.", 0.1),)
# A negative drawn at random, on average, where the ranking loss starts alone; the hardest one afterwards.
# In Stage II the backbone's batch norms keep their ImageNet statistics: few steps would only blur them.
RANKING = {
    "ranking1": {"margin": 1.0, "negatives": "mean"},
    "ranking2": {"margin": 1.0, "negatives": "hardest", "freeze_norm": True},
}
AS_PRINTED = {name: name for name in ("vgg16", "vgg19", "resnet50", "resnet152")}
# ImageNet weights that come as packages, in the order of their size and accuracy.
STAND_INS = {
    "vgg16": "efficientnet_lite0",
    "vgg19": "efficientnet_lite0",
    "resnet50": "efficientnet_lite1",
    "resnet152": "efficientnet_lite2",
}
PERSONS = ("cuhk_pedes", "picturebook_pedestrians")


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile: of the data, the network, the two stages; rows side by side.

    ``backbones`` says which image CNN stands for the one that the paper names; rows in ``without`` are not
    trained.
    """

    data: dict[str, Any]
    network: dict[str, Any]
    stage1: Recipe
    stage2: Recipe
    ranking1: dict[str, Any]
    ranking2: dict[str, Any]
    backbones: dict[str, str]
    without: tuple[str, ...] = ()
    jobs: int = 2


def _adamw(epochs: int, batch_size: int) -> Recipe:
    return Recipe(epochs=epochs, lr=2e-3, batch_size=batch_size, lr_scale=WORDS_ADAMW, cosine=True)


def _adamw_all(epochs: int, batch_size: int, captions: int = 1) -> Recipe:
    """Stage II: the backbone at three tenths of the rate, a few captions a group and epoch."""
    return Recipe(
        epochs=epochs,
        lr=3e-4,
        batch_size=batch_size,
        lr_scale=(*WORDS_ADAMW, ("net.backbone.", 0.3)),
        cosine=True,
        warmup=0.2,
        captions_per_group=captions,
    )


SMOKE = Scale(
    data={"precision": "64", "train": 32, "val": 40, "test": 40, "size": 64, "crop": 64, "views": 1},
    network={"width": 0.125, "dim": 128, "dropout": 0.2},
    stage1=_adamw(3, 64),
    stage2=_adamw_all(1, 32),
    **RANKING,
    backbones=dict.fromkeys(STAND_INS, "efficientnet_lite0"),
    # They repeat other rows with another image CNN, which takes a minute and more in float64.
    without=("vgg19-1", "vgg19-2", "resnet152-2", "persons-vgg16-1", "persons-vgg16-2"),
)
QUICK = Scale(
    data={"train": 1600, "val": 200, "test": 400, "size": 128, "crop": 112, "views": 4},
    network={"width": 0.125, "dim": 512, "dropout": 0.2},
    stage1=_adamw(7, 128),
    stage2=_adamw_all(1, 32),
    **RANKING,
    backbones=STAND_INS,
)
QUICK_PHOTOGRAPHS = Scale(
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144, "views": 4},
    network={"width": 0.25, "dim": 512, "dropout": 0.2},
    stage1=_adamw(8, 128),
    stage2=_adamw_all(1, 32),
    **RANKING,
    backbones=STAND_INS,
)
# Released code: an epoch takes each image once, with one random caption of its group.
PAPER = Scale(
    data={"size": 256, "crop": 224, "views": 8},
    network={"width": 1.0, "dim": 2048, "dropout": 0.75, "all_positions": True},
    stage1=Recipe(
        epochs=240, lr=0.1, batch_size=32, optimiser="sgd", lr_scale=WORDS, captions_per_group=1
    ),
    stage2=Recipe(
        epochs=60,
        lr=0.1,
        batch_size=32,
        optimiser="sgd",
        lr_scale=(*WORDS, ("net.backbone.", 1e-3)),
        milestones=(40,),
        captions_per_group=1,
    ),
    ranking1=RANKING["ranking1"],
    # The paper does not say which negatives.
    ranking2=RANKING["ranking2"] | {"negatives": "released"},
    backbones=AS_PRINTED,
    jobs=1,
)
# A person is a class: about three pictures with two captions each. Pictures of persons are upright, and
# longer captions need more positions (section 6.2: 56).
PERSON_DATA = {"fit": "squash", "length": 56}
PERSONS_SMOKE = replace(
    SMOKE, data={**SMOKE.data, "train": 24, "val": 8, "test": 12, **PERSON_DATA}
)
PERSONS_QUICK = replace(
    QUICK,
    data={"train": 320, "val": 50, "test": 150, "size": 128, "crop": 112, "views": 3, **PERSON_DATA},
    stage1=_adamw(9, 64),
    stage2=_adamw_all(1, 32, captions=3),
)
# Released code: passes over the images in Stage I by dataset, and no bias in the classifier on MSCOCO. Three
# captions of a person are as many as the person has images.
PERSONS_PAPER = replace(
    PAPER,
    data={**PAPER.data, **PERSON_DATA},
    stage1=replace(PAPER.stage1, epochs=180, captions_per_group=3),
    stage2=replace(PAPER.stage2, captions_per_group=3),
)
COCO_PAPER = replace(PAPER, network={**PAPER.network, "bias": False}, stage1=replace(PAPER.stage1, epochs=90))


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset; photographs get more groups and epochs than drawn pictures.

    >>> scale("smoke", "picturebook").data["train"]
    32
    """
    if dataset in PERSONS:
        return {"smoke": PERSONS_SMOKE, "quick": PERSONS_QUICK, "paper": PERSONS_PAPER}[profile]
    if profile == "quick" and dataset not in GENERATED:
        return QUICK_PHOTOGRAPHS
    if profile == "paper" and dataset == "coco":
        return COCO_PAPER
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]
