"""What each profile scales for the Instance Loss paper: sizes and the recipe for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile: of the data, the network, the two stages; rows side by side."""

    data: dict[str, Any]
    network: dict[str, Any]
    stage1: Recipe
    stage2: Recipe
    ranking1: dict[str, Any]
    ranking2: dict[str, Any]
    jobs: int = 2


def _adamw(epochs: int, batch_size: int) -> Recipe:
    return Recipe(epochs=epochs, lr=2e-3, batch_size=batch_size, lr_scale=WORDS_ADAMW, cosine=True)


def _adamw_all(epochs: int, batch_size: int) -> Recipe:
    """Stage II: the backbone at three tenths of the rate, one sentence a picture and epoch."""
    return Recipe(
        epochs=epochs,
        lr=3e-4,
        batch_size=batch_size,
        lr_scale=(*WORDS_ADAMW, ("net.backbone.", 0.3)),
        cosine=True,
        warmup=0.2,
        sentences_per_group=1,
    )


SMOKE = Scale(
    data={"train": 160, "val": 100, "test": 100, "size": 64, "crop": 64, "views": 1},
    network={"width": 0.125, "dim": 128, "dropout": 0.5},
    stage1=_adamw(4, 64),
    stage2=_adamw_all(1, 32),
    **RANKING,
    jobs=1,
)
QUICK = Scale(
    data={"train": 2000, "val": 200, "test": 200, "size": 128, "crop": 112, "views": 4},
    network={"width": 0.125, "dim": 512, "dropout": 0.5},
    stage1=_adamw(10, 128),
    stage2=_adamw_all(1, 32),
    **RANKING,
)
QUICK_PHOTOGRAPHS = Scale(
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144, "views": 4},
    network={"width": 0.25, "dim": 512, "dropout": 0.5},
    stage1=_adamw(8, 128),
    stage2=_adamw_all(1, 32),
    **RANKING,
)
PAPER = Scale(
    data={"size": 256, "crop": 224, "views": 8},
    network={"width": 1.0, "dim": 2048, "dropout": 0.75},
    stage1=Recipe(epochs=240, lr=0.1, batch_size=32, optimiser="sgd", lr_scale=WORDS),
    stage2=Recipe(
        epochs=60,
        lr=0.1,
        batch_size=32,
        optimiser="sgd",
        lr_scale=(*WORDS, ("net.backbone.", 1e-3)),
        milestones=(40,),
    ),
    **RANKING,
    jobs=1,
)


def scale(profile: str, dataset: str) -> Scale:
    """Sizes for a profile on a dataset; photographs get more groups and epochs than drawn pictures.

    >>> scale("smoke", "picturebook").data["train"]
    160
    """
    if profile == "quick" and dataset != "picturebook":
        return QUICK_PHOTOGRAPHS
    return {"smoke": SMOKE, "quick": QUICK, "paper": PAPER}[profile]
