"""What each profile scales for the Instance Loss paper: sizes, never the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imtext.training.recipe import Recipe

# Released code: the word layer learns a thousand times slower than the rest.
WORDS = (("net.text.word.", 1e-3),)


@dataclass(frozen=True)
class Scale:
    """Sizes of a profile: of the data, the network, the two stages; rows side by side."""

    data: dict[str, Any]
    network: dict[str, Any]
    stage1: Recipe
    stage2: Recipe
    ranking: dict[str, Any]
    jobs: int = 2


def _stage2(epochs: int, lr: float, image: float, **more: Any) -> Recipe:
    return Recipe(epochs=epochs, lr=lr, lr_scale=(*WORDS, ("net.backbone.", image)), **more)


SMOKE = Scale(
    data={"train": 160, "val": 100, "test": 100, "size": 64, "crop": 64, "views": 1},
    network={"width": 0.125, "dim": 128},
    stage1=Recipe(epochs=4, lr=2e-3, batch_size=64, lr_scale=WORDS, cosine=True),
    stage2=_stage2(1, 5e-4, 0.1, batch_size=32, sentences_per_group=1, cosine=True),
    ranking={"margin": 1.0},
    jobs=1,
)
QUICK = Scale(
    data={"train": 2000, "val": 1000, "test": 1000, "size": 128, "crop": 112, "views": 4},
    network={"width": 0.25, "dim": 512},
    stage1=Recipe(epochs=10, lr=2e-3, batch_size=128, lr_scale=WORDS, cosine=True),
    stage2=_stage2(2, 5e-4, 0.1, batch_size=64, sentences_per_group=1, cosine=True),
    ranking={"margin": 1.0},
)
QUICK_PHOTOGRAPHS = Scale(
    data={"train": 6000, "val": 1000, "test": 1000, "size": 160, "crop": 144, "views": 4},
    network={"width": 0.25, "dim": 512},
    stage1=Recipe(epochs=12, lr=2e-3, batch_size=128, lr_scale=WORDS, cosine=True),
    stage2=_stage2(2, 5e-4, 0.1, batch_size=64, sentences_per_group=1, cosine=True),
    ranking={"margin": 1.0},
)
PAPER = Scale(
    data={"size": 256, "crop": 224, "views": 8},
    network={"width": 1.0, "dim": 2048},
    stage1=Recipe(epochs=240, lr=0.1, batch_size=32, optimiser="sgd", lr_scale=WORDS),
    stage2=_stage2(60, 0.1, 1e-3, batch_size=32, optimiser="sgd", milestones=(40,)),
    ranking={"margin": 1.0},
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
