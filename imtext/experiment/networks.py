"""Networks and losses as parts of an experiment; each has one method that builds the module.

A network's ``compute(row, run, starts)`` does the work of a row, and gives a function that evaluates a split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from torch import nn

from imtext.experiment.compute import (
    FOLDS,
    MODEL,
    Metrics,
    Row,
    embedded,
    evaluate_pairs,
    has_folds,
    in_blocks,
    scores_of,
    trained,
)
from imtext.losses import InstanceLoss
from imtext.models import (
    CCA,
    SCAN,
    VSE,
    DualPath,
    GRUText,
    InceptionResNetV1,
    LSTMText,
    PictureNets,
    TextCNN,
    TwoBranch,
    choose_cca,
)
from imtext.retrieval import choose_rerank, evaluate_reranked, mean_scores, rerank
from imtext.runs import Run
from imtext.training import (
    Constraint,
    DualPathObjective,
    HingeObjective,
    MixedBatches,
    NeighbourBatches,
    PairBatches,
    Recipe,
    SingleObjective,
    StructureObjective,
)
from imtext.training.neighbours import PixelNeighbours
from imtext.training.objective import RELEASED

DISTANCES = {"msd": "MSD", "cosine": "cosine", "l2": "L2", "l1": "L1"}


@dataclass(frozen=True)
class BiLSTM:
    """A caption by a bi-directional LSTM on word vectors, see :class:`imtext.models.lstm_text.LSTMText`."""

    readout: str = "halves"
    dropout: float = 0.5
    said = "BiLSTM"

    def build(self, text: Any, dim: int) -> LSTMText:
        """From codes to features of length ``dim``."""
        return LSTMText(len(text.vocabulary), text.width, dim, self.readout, self.dropout, text.start)


@dataclass(frozen=True)
class GRU:
    """A caption by a GRU, as in VSE++, see :class:`imtext.models.vse.GRUText`."""

    bidirectional: bool = False
    pooled_words: str | None = None

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> GRU(bidirectional=True, pooled_words="mean").said
        'BiGRU + mean of words'
        """
        words = f" + {self.pooled_words} of words" if self.pooled_words else ""
        return f"{'Bi' * self.bidirectional}GRU{words}"

    def build(self, text: Any, dim: int) -> GRUText:
        """From codes to features of length ``dim``."""
        return GRUText(len(text.vocabulary), text.width, dim, self.bidirectional, self.pooled_words)


class _Embedding:
    """A network with an embedding for each image and each caption."""

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Callable[[str], Metrics]:
        """Train."""
        net, fabric = trained(row, run, starts)
        image = row.inputs.image
        return lambda split: image.evaluate(split, *embedded(net, row.inputs, split, fabric), run)


@dataclass(frozen=True)
class Joint(_Embedding):
    """Both sides into one space of ``dim`` dimensions: a layer on images, a recurrent network on words."""

    text: BiLSTM | GRU = field(default_factory=BiLSTM)
    dim: int = 1024

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.text.said

    def build(self, inputs: Any) -> VSE:
        """The network before training."""
        text = self.text.build(inputs.text, self.dim)
        return VSE(text, inputs.image.dim, self.dim, inputs.image.tuned())


@dataclass(frozen=True)
class Scan:
    """SCAN, or SCAN-RFE, whose words keep their vector beside the state of the BiGRU.

    Attributes:
        dim, direction, pooling, project, smooth, sharp: as for :class:`imtext.models.scan.SCAN`.
        rich_words: SCAN-RFE.
    """

    dim: int = 1024
    direction: str = "t-i"
    pooling: str = "avg"
    rich_words: bool = False
    project: bool = False
    smooth: float | None = None
    sharp: float | None = None

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> Scan(rich_words=True, pooling="lse").said
        'SCAN-RFE t-i LSE'
        """
        return f"SCAN{'-RFE' * self.rich_words} {self.direction} {self.pooling.upper()}"

    def build(self, inputs: Any) -> SCAN:
        """The network before training."""
        return SCAN(
            len(inputs.text.vocabulary),
            inputs.text.width,
            self.dim,
            inputs.image.dim,
            self.rich_words,
            self.direction,
            self.pooling,
            self.smooth,
            self.sharp,
            self.project,
        )

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Callable[[str], Metrics]:
        """Train, and score all pairs."""
        net, fabric = trained(row, run, starts)

        def evaluated(split: str) -> Metrics:
            scores = pair_scores(net, row.inputs.image.test(split), row.inputs.text.test(split), fabric)
            return evaluate_pairs(row.inputs.splits[split], split, scores, run)

        return evaluated


@torch.no_grad()
def pair_scores(net: SCAN, images: Any, codes: np.ndarray, fabric: Any, block: int = 2048) -> np.ndarray:
    """Scores ``(N, M)`` of images ``(N, R, D)`` with captions ``(M, L)``, some captions at a time."""
    regions = fabric.to_device(torch.from_numpy(in_blocks(net.embed_regions, images, fabric, 256)))
    columns = []
    for begin in range(0, len(codes), block):
        part = fabric.to_device(torch.from_numpy(codes[begin : begin + block]))
        words, counts = net.embed_words(part)
        columns.append(net.scores(regions, words, None, counts).float().cpu().numpy())
    return np.concatenate(columns, axis=1)


@dataclass(frozen=True)
class Ensemble:
    """The mean of the similarities of the rows that it starts from, which were trained each for itself."""

    said = "mean similarity of several"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Callable[[str], Metrics]:
        """Add up."""

        def evaluated(split: str) -> Metrics:
            scores = mean_scores([scores_of(one, split) for one in starts]).astype(np.float32)
            return evaluate_pairs(row.inputs.splits[split], split, scores, run)

        return evaluated


@dataclass(frozen=True)
class Reranked:
    """k-reciprocal re-ranking of the row that it starts from; how is chosen by the R-sum on validation.

    Attributes:
        k1, k2: as for :func:`imtext.retrieval.choose_rerank`.
    """

    k1: int = 20
    k2: int = 6
    said = "re-ranked"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Callable[[str], Metrics]:
        """Choose, then re-rank; each fold is a search of its own, with a graph of its own."""
        val = starts[0].load_arrays("embeddings-val.npz")
        choice = choose_rerank(**val, k1=self.k1, k2=self.k2)
        run.save_table("tried.csv", pd.DataFrame(choice.table))
        run.save_json("chosen.json", choice.settings)

        def evaluated(split: str) -> Metrics:
            arrays, dataset = starts[0].load_arrays(f"embeddings-{split}.npz"), row.inputs.splits[split]
            scores = rerank(arrays["images"], arrays["captions"], **choice.settings)
            folds = None
            if has_folds(dataset):
                folds = evaluate_reranked(**arrays, folds=FOLDS, **choice.settings)
            return evaluate_pairs(dataset, split, scores, run, folds)

        return evaluated


@dataclass(frozen=True)
class Branches(_Embedding):
    """Two branches on fixed features, see :class:`imtext.models.two_branch.TwoBranch`.

    Attributes:
        dim, dropout: of either branch; hidden: length of the layer between, None for the linear model.
    """

    dim: int = 512
    hidden: int | None = 2048
    dropout: float = 0.5

    @property
    def said(self) -> str:
        """What ran, for people."""
        return "linear" if self.hidden is None else "nonlinear"

    def build(self, inputs: Any) -> TwoBranch:
        """The network before training."""
        sizes = inputs.image.dim, inputs.text.width, self.dim, self.hidden, self.dropout
        return TwoBranch(*sizes, backbone=inputs.image.tuned())


@dataclass(frozen=True)
class Cca:
    """Canonical correlation analysis, solved; two of its numbers are chosen on validation.

    Attributes:
        dim, etas, powers: as for :func:`imtext.models.cca.choose_cca`.
    """

    dim: int = 512
    etas: tuple[float, ...] = (5e-5, 1e-4, 5e-4, 2e-3)
    powers: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0)
    said = "CCA"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Callable[[str], Metrics]:
        """Solve."""
        image, text = row.inputs.image, row.inputs.text
        score = image.score("val")
        best, tried = choose_cca(
            image.rows()[:],
            text.train(),
            image.pairs(row.experiment.seed),
            image.test("val")[:],
            text.test("val"),
            None,
            etas=self.etas,
            powers=self.powers,
            dims=(self.dim,),
            score=lambda images, captions, _: score(images, captions),
        )
        run.save_table("tried.csv", tried)
        best.save(run.dir / MODEL)
        text.save(run)

        def evaluated(split: str) -> Metrics:
            captions = best.embed_captions(text.test(split))
            return image.evaluate(split, best.embed_images(image.test(split)[:]), captions, run)

        return evaluated


class SolvedNet(nn.Module):
    """A solved CCA as a network, for new pictures and captions."""

    def __init__(self, solved: CCA) -> None:
        super().__init__()
        self.solved = solved

    def embed_images(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows ``(N, Dx)`` to ``(N, dim)``, unit length."""
        return torch.from_numpy(self.solved.embed_images(rows.numpy()))

    def embed_captions(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows ``(M, Dy)`` to ``(M, dim)``, unit length."""
        return torch.from_numpy(self.solved.embed_captions(rows.numpy()))


@dataclass(frozen=True)
class Dual(_Embedding):
    """Image CNN and text CNN into one space, see :class:`imtext.models.dual_path.DualPath`.

    Attributes:
        depth, width, pooling, zero_init: of the text CNN; dim, head, all_positions: of the space.
    """

    depth: int = 50
    width: float = 1.0
    dim: int = 2048
    head: str = "paper"
    pooling: str = "mean"
    zero_init: bool = True
    all_positions: bool = False

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"text {self.depth}"

    def build(self, inputs: Any) -> DualPath:
        """The network before training."""
        text = TextCNN(
            words=len(inputs.text.vocabulary),
            word_dim=inputs.text.width,
            depth=self.depth,
            width=self.width,
            vectors=inputs.text.start,
            pooling=self.pooling,
            zero_init=self.zero_init,
        )
        tuned = inputs.image.tuned()
        return DualPath(text, inputs.image.dim, self.dim, tuned, self.head, self.all_positions)


@dataclass(frozen=True)
class Single(_Embedding):
    """One Inception-ResNet-v1 for photographs and drawn captions, or two of the kind, one a modality.

    Attributes:
        dim, width, blocks, keep: as for :class:`imtext.models.inception_resnet.InceptionResNetV1`.
        networks: 1 or 2.
    """

    dim: int = 128
    width: float = 1.0
    blocks: tuple[int, int, int] = (5, 10, 5)
    keep: float = 0.8
    networks: int = 1

    @property
    def said(self) -> str:
        """What ran, for people."""
        return "one network" if self.networks == 1 else "two networks"

    def build(self, inputs: Any) -> PictureNets:
        """The network, or both, before training."""
        sizes = self.dim, self.width, self.blocks, self.keep
        return PictureNets(*(InceptionResNetV1(*sizes) for _ in range(self.networks)))


@dataclass(frozen=True)
class Hinges:
    """Hinges of both directions, alone or with the intra-modal constraint.

    Attributes:
        margin, negatives, all_epochs, constraint: as for :class:`imtext.training.hinges.HingeObjective`.
    """

    margin: float = 0.2
    negatives: str = "hardest"
    all_epochs: int = 0
    constraint: Constraint | None = None

    @property
    def said(self) -> str:
        """What the loss adds to the hinges, for people.

        >>> Hinges(constraint=Constraint(1.0, "l2", "printed")).said
        'L2, as printed'
        """
        if self.constraint is None:
            return ""
        reading = "as printed" if self.constraint.reading == "printed" else "as released"
        return f"{DISTANCES[self.constraint.distance]}, {reading}"

    def build(self, net: nn.Module, inputs: Any) -> HingeObjective:
        """The loss on a network."""
        return HingeObjective(net, self.margin, self.negatives, self.all_epochs, constraint=self.constraint)

    def batches(self, inputs: Any, recipe: Recipe, seed: int, net: nn.Module) -> PairBatches:
        """Training batches: pairs, no two of one group."""
        return _pairs(inputs, recipe, seed)


def _pairs(inputs: Any, recipe: Recipe, seed: int, **options: Any) -> PairBatches:
    """Batches of pairs, no two of one group."""
    codes, lengths = inputs.text.train()
    return PairBatches(
        inputs.image.train(),
        codes,
        lengths,
        inputs.splits["train"].image_of_caption,
        inputs.source.groups,
        batch_size=recipe.batch_size,
        seed=seed,
        captions_per_group=recipe.captions_per_group,
        **{"shift": False, **options},
    )


@dataclass(frozen=True)
class Instance:
    """Instance loss and ranking loss (Zheng et al., Eq. 9).

    Attributes:
        weights: (rank, image, text), the three lambdas.
        margin, negatives, all_epochs: of the ranking loss, as for
            :class:`imtext.training.objective.DualPathObjective`.
        candidates: random captions of a batch among which ``negatives="released"`` finds the hardest.
        dropout, bias: of the classifier that both sides share.
        class_share: classes from k-means on the image features in the place of one a group: how many, as a
            share of the groups.
        shift: position shift of the captions, or left alignment.
    """

    weights: tuple[float, float, float] = (0.0, 1.0, 1.0)
    margin: float = 1.0
    negatives: str = "hardest"
    all_epochs: int = 0
    candidates: int = 256
    dropout: float = 0.75
    bias: bool = True
    class_share: float | None = None
    shift: bool = True
    said = ""

    def build(self, net: nn.Module, inputs: Any) -> DualPathObjective:
        """The loss on a network."""
        classes = int(self.classes(inputs).max()) + 1
        shared = InstanceLoss(net.dim, classes, bias=self.bias, dropout=self.dropout)
        return DualPathObjective(net, shared, self.weights, self.margin, self.negatives, self.all_epochs)

    def classes(self, inputs: Any) -> np.ndarray:
        """Class of each training caption ``(M,)``."""
        groups = inputs.source.groups
        if self.class_share is None:
            return groups
        clusters = max(2, round(self.class_share * (int(groups.max()) + 1)))
        kmeans = MiniBatchKMeans(clusters, random_state=inputs.source.data.seed, n_init=3, batch_size=4096)
        with threadpool_limits(1):  # sums of several threads differ in their last digits
            found = kmeans.fit_predict(inputs.image.cached("train").train.mean(0))
        # Clusters that nothing fell into are no classes.
        labels = np.unique(found, return_inverse=True)[1].astype(np.int64)
        return labels[inputs.splits["train"].image_of_caption]

    def batches(self, inputs: Any, recipe: Recipe, seed: int, net: nn.Module) -> PairBatches:
        """Training batches: pairs, no two of one group."""
        candidates = self.candidates if self.weights[0] > 0 and self.negatives == RELEASED else 0
        options = {"class_of_caption": self.classes(inputs), "candidates": candidates, "shift": self.shift}
        return _pairs(inputs, recipe, seed, **options)


@dataclass(frozen=True)
class Structure:
    """The structure-preserving loss (Wang et al., Eq. 5).

    Attributes:
        margin, top_k, lambdas, reduction: as for :func:`imtext.losses.structure_preserving_loss`.
        hard: None, or what finds hard negatives for the captions with the network that training starts from,
            see :class:`imtext.papers.phrases.HardNegatives`.
    """

    margin: float = 0.1
    top_k: int = 50
    lambdas: tuple[float, float, float] = (2.0, 0.0, 0.2)
    reduction: str = "mean"
    hard: Any = None
    said = ""

    def build(self, net: nn.Module, inputs: Any) -> StructureObjective:
        """The loss on a network."""
        return StructureObjective(net, self.margin, self.top_k, self.lambdas, self.reduction)

    def batches(self, inputs: Any, recipe: Recipe, seed: int, net: nn.Module) -> Any:
        """Training batches with neighbours."""
        rows, mined = inputs.image.rows(), {}
        if self.hard is not None:
            negatives, rows = self.hard.mine(inputs, net, seed)
            mined = {"negatives": negatives, "negatives_each": self.hard.each}
        neighbours = NeighbourBatches(
            rows,
            inputs.text.train(),
            inputs.image.pairs(seed),
            recipe.batch_size,
            more_captions=self.lambdas[2] > 0,
            more_images=self.lambdas[1] > 0,
            seed=seed,
            pairs_each=recipe.captions_per_group,
            **mined,
        )
        return PixelNeighbours(neighbours, inputs.image.train()) if inputs.image.trains_cnn else neighbours


@dataclass(frozen=True)
class Centre:
    """Softmax over the groups and centre loss, see :class:`imtext.training.single.SingleObjective`.

    Attributes:
        weight: of the centre loss beside the softmax; softmax: whether there is one.
        images, captions: forms of an image and of a caption in an epoch: 1, or 2 for the mirror image too
            and for two crops of each drawn caption, see :class:`imtext.training.single.MixedBatches`.
    """

    weight: float = 0.003
    softmax: bool = True
    images: int = 1
    captions: int = 1

    @property
    def said(self) -> str:
        """What ran, for people, of five captions an image.

        >>> Centre(images=2, captions=2).said
        '2 images, 10 texts a group; softmax + centre'
        """
        loss = "centre" if not self.softmax else "softmax + centre" if self.weight else "softmax"
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{images}, {5 * self.captions} texts a group; {loss}"

    def build(self, net: nn.Module, inputs: Any) -> SingleObjective:
        """The loss on a network."""
        return SingleObjective(net, int(inputs.source.groups.max()) + 1, self.weight, self.softmax)

    def batches(self, inputs: Any, recipe: Recipe, seed: int, net: nn.Module) -> MixedBatches:
        """Training batches of whole groups; ``batch_size`` counts groups."""
        groups = inputs.splits["train"].group_of_image
        return MixedBatches(
            inputs.image.train(),
            inputs.text.train(),
            np.unique(groups, return_inverse=True)[1],
            inputs.source.groups,
            batch_size=recipe.batch_size,
            config=(self.images, self.captions),
            seed=seed,
        )
