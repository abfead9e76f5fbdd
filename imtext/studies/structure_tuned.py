"""Fine-tuning of the image CNN together with the two branches (Wang et al., CVPR 2016, section 3.2)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses.unit import unit_rows
from imtext.models import TwoBranch
from imtext.runs import Run
from imtext.studies.experiment import load_weights
from imtext.studies.preparation import DataSpec, prepare
from imtext.studies.structure_experiment import STUDY, StructureExperiment, image_features, write_down
from imtext.studies.trained import MODEL, in_blocks, train
from imtext.training import Pixels, Recipe, make_fabric
from imtext.training.neighbours import PixelNeighbours
from imtext.vision.frozen import frozen_norm

# Names of the CNN's parameters begin so in the training: for ``Recipe.lr_scale``.
BACKBONE = "net.backbone."


@dataclass(frozen=True)
class TunedExperiment:
    """A row whose image CNN is trained too, for one seed.

    "We have also tried fine-tuning the VGG network by back-propagating our loss function through all the VGG
    layers, and obtained about 0.5% additional improvement" (section 3.2). How is not said. Here CNN and
    branches go on together from a finished row, on random crops and mirror images of the pixels; caption
    features stay as they are, and so do the statistics of the CNN's batch norms.

    Attributes:
        slug: short name, the beginning of the run's folder.
        start: the row it goes on from; its data, loss, crops and seed count here too.
        recipe: how both are trained; ``captions_per_group`` captions of each image are drawn for an epoch,
            and ``lr_scale`` gives names that begin with ``net.backbone.`` a rate of their own.

    Raises:
        ConfigError: where ``start`` is CCA, which has no weights to go on from.
    """

    slug: str
    start: StructureExperiment
    recipe: Recipe

    def __post_init__(self) -> None:
        if self.start.model == "cca":
            raise ConfigError(f"{self.slug}: the CNN is trained through two branches, not through CCA")

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def data(self) -> DataSpec:
        """The data, and the CNN as it is before."""
        return self.start.data

    @property
    def text(self) -> str:
        """Kinds of text features."""
        return self.start.text

    @property
    def profile(self) -> str:
        """Profile of the row it goes on from."""
        return self.start.profile

    @property
    def device(self) -> str:
        """Where it is run."""
        return self.start.device

    @property
    def seed(self) -> int:
        """Of the batches, the crops and the dropout."""
        return self.start.seed

    @property
    def effort(self) -> tuple[int, bool]:
        """Longer than any row with fixed features."""
        return (2, True)

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        first = self.start.config()
        shared = {name: first[name] for name in ("data", "text", "profile", "device", "seed")}
        return {"slug": self.slug, "recipe": asdict(self.recipe), **shared, "start": first}

    def warm(self) -> None:
        """Fill the caches that rows share."""
        self.start.warm()

    def compute(self, run: Run, start: Run | None) -> None:
        """Train, embed, evaluate, and write everything down; metrics come last."""
        began = time.perf_counter()
        prepared = prepare(self.data, self.device)
        texts = self.start.texts(prepared)
        backbone = prepared.backbone()
        net = TunedNetwork(backbone, self.start.network(backbone.dim, texts["train"].shape[1]))
        if start is not None:
            load_weights(net.branches, start.dir / MODEL)
        if self.device == "cuda":
            net = net.to(memory_format=torch.channels_last)
        fabric = make_fabric(self.device)
        # An image's number stands for its features: the pixels are read batch by batch.
        numbers = np.arange(prepared.splits["train"].n_images)[:, None]
        batches = PixelNeighbours(
            self.start.batches(prepared, numbers, texts["train"], self.recipe),
            Pixels(prepared.store("train"), self.data.crop, backbone.mean, backbone.std),
        )
        with frozen_norm(backbone):
            train(self, self.start.objective(net), batches, fabric, run)

        def sides(split: str) -> tuple[np.ndarray, np.ndarray]:
            # The features of this CNN serve once: not kept among those that rows share.
            with TemporaryDirectory(prefix="features-") as folder:
                images = image_features(prepared, split, self.start.crops, backbone, folder)
            return (
                in_blocks(net.branches.embed_images, images, fabric),
                in_blocks(net.embed_captions, texts[split], fabric),
            )

        write_down(self, prepared, run, sides, began)


class TunedNetwork(nn.Module):
    """An image CNN and two branches as one network, from pixels and text features to the shared space.

    Args:
        backbone: pixels ``(N, 3, H, W)`` to features ``(N, Dx)``.
        branches: the two branches.

    >>> net = TunedNetwork(nn.Flatten(), TwoBranch(12, 5, dim=4, hidden=8))
    >>> [tuple(side.shape) for side in net(torch.ones(3, 3, 2, 2), torch.ones(6, 5))]
    [(3, 4), (6, 4)]
    """

    def __init__(self, backbone: nn.Module, branches: TwoBranch) -> None:
        super().__init__()
        self.backbone, self.branches = backbone, branches

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``(N, 3, H, W)`` to ``(N, dim)``, unit length."""
        # Of length 1, as the features that the branch was trained on.
        return self.branches.embed_images(unit_rows(self.backbone(pixels)))

    def embed_captions(self, features: Tensor) -> Tensor:
        """Text features ``(M, text_dim)`` to ``(M, dim)``, unit length."""
        return self.branches.embed_captions(features)

    def forward(self, pixels: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides at once."""
        return self.embed_images(pixels), self.embed_captions(captions)
