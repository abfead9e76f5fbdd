"""What the rows of the papers that train with hinges have in common: data, inputs, batches, objective."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from imtext.models import VSE
from imtext.runs import Run
from imtext.studies.embedding import evaluate_split
from imtext.studies.preparation import SPLITS, DataSpec, prepare
from imtext.studies.rich_data import RichData, RichSpec, rich_data
from imtext.studies.trained import finish, in_blocks, train
from imtext.training import HingeObjective, PairBatches, Recipe, make_fabric

BATCH = 256


@dataclass(frozen=True)
class HingeRow:
    """A row whose network is trained with hinges on cached features of a fixed image CNN.

    Attributes:
        slug: short name, the beginning of the run's folder.
        data: the data and the image CNN, which stays fixed; inputs: how captions and images become inputs.
        recipe: how the network is trained.
        dim, word_dim: of the space and of a word.
        margin, negatives, all_epochs: of the hinges.
        profile, device, seed: how it is run.
    """

    slug: str
    data: DataSpec
    recipe: Recipe
    inputs: RichSpec = field(default_factory=RichSpec)
    dim: int = 1024
    word_dim: int = 300
    margin: float = 0.2
    negatives: str = "hardest"
    all_epochs: int = 0
    profile: str = "quick"
    device: str = "cpu"
    seed: int = 0

    @property
    def start(self) -> Any:
        """No row goes on from another."""
        return None

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        return {**asdict(self), "data": prepare(self.data, self.device).identity(self.unread)}

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields of the data that the row does not read: captions are cut as its inputs say."""
        return ("length", "vectors")

    def rich(self) -> RichData:
        """The inputs of the splits."""
        return rich_data(self.data, self.inputs, self.device)

    def objective(self, net: nn.Module) -> HingeObjective:
        """The hinges of this row on a network."""
        return HingeObjective(net, self.margin, self.negatives, self.all_epochs)

    def batches(self, rich: RichData, images: Any, recipe: Recipe) -> PairBatches:
        """Training batches: pairs, no two of one group."""
        train = rich.prepared.splits["train"]
        codes, lengths = rich.codes("train")
        return PairBatches(
            images,
            codes,
            lengths,
            train.image_of_caption,
            rich.prepared.groups,
            batch_size=recipe.batch_size,
            seed=self.seed,
            shift=False,
            captions_per_group=recipe.captions_per_group,
        )

    def warm(self) -> None:
        """Fill the caches that rows share."""
        rich = self.rich()
        if not rich.precomputed:
            for split in SPLITS:
                rich.stages(split)


@dataclass(frozen=True)
class EmbeddingRow(HingeRow):
    """A row with one vector an image and a caption; its class says by ``network`` which network that is.

    Attributes:
        image: variant of the image features, as for :func:`imtext.vision.stage_features.rich_parts`.
    """

    image: str = "avg-4"

    def network(self, rich: RichData) -> VSE:
        """The network before training."""
        raise LookupError(self.slug)

    def compute(self, run: Run, start: Run | None) -> None:
        """Train, embed, evaluate, and write everything down; metrics come last."""
        began = time.perf_counter()
        rich, fabric = self.rich(), make_fabric(self.device)
        batches = self.batches(rich, rich.image_source(self.image), self.recipe)
        net = train(self, self.objective(self.network(rich)), batches, fabric, run)
        rich.vocabulary.save(run.dir / "vocabulary.json")

        def evaluated(split: str) -> dict[str, dict[str, float]]:
            images = in_blocks(net.embed_images, rich.images(split, self.image), fabric, BATCH)
            captions = in_blocks(net.embed_captions, rich.codes(split)[0], fabric, BATCH)
            return evaluate_split(rich.prepared.splits[split], split, images, captions, run)

        finish(self, run, evaluated, began)


__all__ = ["BATCH", "EmbeddingRow", "HingeRow"]
