"""Rows of the single-network paper: one network for photographs and drawn captions; each a run."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imtext.models import InceptionResNetV1
from imtext.runs import Run
from imtext.studies.embedding import evaluate_split
from imtext.studies.preparation import SPLITS, DataSpec, prepare
from imtext.studies.single_data import SingleData, TextSpec, single_data
from imtext.studies.trained import finish, train
from imtext.training import MixedBatches, Recipe, SingleObjective, make_fabric

STUDY = "single_network"


@dataclass(frozen=True)
class SingleExperiment:
    """A network that embeds photographs and drawn captions, for one seed.

    Attributes:
        slug: short name, the beginning of the run's folder.
        data: the data, pictures at ``crop`` pixels; texts: how captions are drawn.
        recipe: how it is trained; ``batch_size`` counts groups.
        images, sentences: forms of an image and of a sentence in an epoch: 1, or 2 with the mirror image and
            two crops of each drawn caption (config-2).
        softmax: whether a softmax over the groups stands beside the centre loss.
        weight: of the centre loss.
        networks: 1, or 2 of the same kind, one a modality.
        dim, width, blocks, keep: of the network.
        profile, device, seed: how it is run.
    """

    slug: str
    data: DataSpec
    recipe: Recipe
    texts: TextSpec = field(default_factory=TextSpec)
    images: int = 1
    sentences: int = 1
    softmax: bool = True
    weight: float = 0.003
    networks: int = 1
    dim: int = 128
    width: float = 1.0
    blocks: tuple[int, int, int] = (5, 10, 5)
    keep: float = 0.8
    profile: str = "quick"
    device: str = "cpu"
    seed: int = 0

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def start(self) -> Any:
        """No row goes on from another."""
        return None

    @property
    def effort(self) -> tuple[int, bool]:
        """Rows that take longer are larger."""
        return (self.images + 5 * self.sentences, self.networks > 1)

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        # No other image CNN, no features of one, and captions cut at a length of their own.
        unread = ["backbone", "views", "length"] + ["vectors"] * (self.texts.source == "word2vec")
        return {**asdict(self), "data": prepare(self.data, self.device).identity(unread)}

    def inputs(self) -> SingleData:
        """The inputs of the splits."""
        return single_data(self.data, self.texts, self.device)

    def warm(self) -> None:
        """Fill the caches that rows share."""
        for split in SPLITS:
            self.inputs().prepared.store(split)

    def network(self) -> nn.Module:
        """The network, or both, before training."""
        torch.manual_seed(self.seed)
        sizes = {"dim": self.dim, "width": self.width, "blocks": tuple(self.blocks), "keep": self.keep}
        nets = [InceptionResNetV1(**sizes) for _ in range(self.networks)]
        return nets[0] if len(nets) == 1 else TwoNetworks(*nets)

    def batches(self, inputs: SingleData) -> MixedBatches:
        """Training batches of whole groups."""
        train, groups = inputs.prepared.splits["train"], inputs.prepared.groups
        _, class_of_image = np.unique(train.group_of_image, return_inverse=True)
        return MixedBatches(
            inputs.prepared.store("train"),
            inputs.texts("train"),
            class_of_image,
            groups,
            batch_size=self.recipe.batch_size,
            config=(self.images, self.sentences),
            seed=self.seed,
        )

    def compute(self, run: Run, start: Run | None) -> None:
        """Train, embed, evaluate, and write everything down; metrics come last."""
        began = time.perf_counter()
        inputs, fabric = self.inputs(), make_fabric(self.device)
        batches, net = self.batches(inputs), self.network()
        if self.device == "cuda":
            net = net.to(memory_format=torch.channels_last)
        objective = SingleObjective(net, batches.n_classes, self.weight, self.softmax)
        train(self, objective, batches, fabric, run)
        inputs.vocabulary.save(run.dir / "vocabulary.json")
        inputs.drawing.save(run.dir / "drawing.safetensors")

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            images = embed(objective, inputs.image_blocks(split), False, fabric)
            sentences = embed(objective, inputs.text_blocks(split), True, fabric)
            return evaluate_split(inputs.prepared.splits[split], split, images, sentences, run)

        finish(self, run, evaluated, began)


class TwoNetworks(nn.Module):
    """A network a modality, both of one kind: what the paper says is not needed."""

    by_modality = True

    def __init__(self, images: nn.Module, texts: nn.Module) -> None:
        super().__init__()
        self.images, self.texts, self.dim = images, texts, images.dim

    def forward(self, pictures: Tensor, is_text: Tensor) -> Tensor:
        """Embeddings ``(B, D)``; ``is_text (B,)`` says which network a picture goes to."""
        out = pictures.new_zeros(len(pictures), self.dim, dtype=self.images.bottleneck.weight.dtype)
        for which, net in ((~is_text, self.images), (is_text, self.texts)):
            if which.any():
                out = out.index_put((which.nonzero().squeeze(1),), net(pictures[which]).to(out.dtype))
        return out


@torch.no_grad()
def embed(objective: SingleObjective, blocks: Iterable[Tensor], texts: bool, fabric: Any) -> np.ndarray:
    """Embeddings ``(n, D)`` of pictures, float32, of length 1: the Euclidean order is then the cosine's."""
    objective.eval()
    parts = []
    for pictures in blocks:
        pictures = fabric.to_device(pictures.contiguous(memory_format=torch.channels_last))
        is_text = torch.full((len(pictures),), texts, device=pictures.device)
        parts.append(F.normalize(objective.embed(pictures, is_text), dim=1).float().cpu())
    return torch.cat(parts).numpy()


__all__ = ["STUDY", "SingleExperiment", "TwoNetworks", "embed"]
