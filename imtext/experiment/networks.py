"""Networks and losses as parts of an experiment; where names agree, a part's fields are those of its module.

A network has ``build(inputs)``, the module before training, or else ``compute(row, run, starts)``, which does
the work of a row and gives its answers, as :func:`imtext.experiment.compute.trained` does. A loss has
``build(net, inputs)``, the module that is minimised, and ``batches(inputs, recipe, seed, net)``, what it is
trained on. ``said``, where a part has it, tells people what ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from torch import nn

from imtext import losses, models, retrieval, training
from imtext.experiment.compute import MODEL, Answers, Row, scores_of
from imtext.experiment.source import Part
from imtext.runs import Run
from imtext.vision.backbones import load_backbone, title

DISTANCES = {"msd": "MSD", "cosine": "cosine", "l2": "L2", "l1": "L1"}


class BiLSTM(Part):
    """A caption by a bidirectional LSTM on words, see :class:`~imtext.models.text_encoders.LSTMText`."""

    readout: str = "halves"
    dropout: float = 0.5
    said = "BiLSTM"

    def build(self, text: Any, dim: int) -> nn.Module:
        """From codes to features of length ``dim``."""
        return models.LSTMText(len(text.vocabulary), text.width, dim, vectors=text.start, **vars(self))


class GRU(Part):
    """A caption by a GRU, as in VSE++, see :class:`~imtext.models.text_encoders.GRUText`."""

    bidirectional: bool = False
    pooled_words: str | None = None
    readout: str = "last"
    dropout: float = 0.0

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> GRU(bidirectional=True, pooled_words="mean").said
        'BiGRU + mean of words'
        """
        words = f" + {self.pooled_words} of words" if self.pooled_words else ""
        return f"{'Bi' * self.bidirectional}GRU{', mean state' * (self.readout == 'mean')}{words}"

    def build(self, text: Any, dim: int) -> nn.Module:
        """From codes to features of length ``dim``."""
        return models.GRUText(len(text.vocabulary), text.width, dim, vectors=text.start, **vars(self))


class DrawnCNN(Part):
    """A drawn caption by an image CNN that starts from ImageNet weights and is trained."""

    backbone: str = "efficientnet_lite0"
    said = "CNN on drawn captions"

    def build(self, text: Any, dim: int) -> nn.Module:
        """From pictures to features of length ``dim``."""
        return models.PictureCNN(load_backbone(self.backbone), dim)


class Joint(Part):
    """Both sides into one space of ``dim`` dimensions: a layer on images, a network on captions.

    Attributes:
        dropout, text_fc: as for :func:`~imtext.models.joint.vse`.
    """

    text: BiLSTM | GRU | DrawnCNN = BiLSTM()
    dim: int = 1024
    dropout: float = 0.0
    text_fc: bool = False

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.text.said

    def build(self, inputs: Any) -> nn.Module:
        """The network before training."""
        text = self.text.build(inputs.text, self.dim)
        return models.vse(text, inputs.image.dim, self.dim, inputs.image.tuned(), self.dropout, self.text_fc)


class Scan(Part):
    """SCAN, or SCAN-RFE, whose words keep their vector beside the state of the BiGRU.

    Attributes:
        dim, direction, pooling, sharp, dropout: as for :class:`imtext.models.scan.SCAN`.
        rich_words: SCAN-RFE.
    """

    dim: int = 1024
    direction: str = "t-i"
    pooling: str = "avg"
    rich_words: bool = False
    sharp: float | None = None
    dropout: float = 0.0

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> Scan(rich_words=True, pooling="lse").said
        'SCAN-RFE t-i LSE'
        """
        return f"SCAN{'-RFE' * self.rich_words} {self.direction} {self.pooling.upper()}"

    def build(self, inputs: Any) -> nn.Module:
        """The network before training."""
        sizes = len(inputs.text.vocabulary), inputs.text.width, self.dim, inputs.image.dim, self.rich_words
        how = self.direction, self.pooling, self.sharp
        return models.SCAN(*sizes, *how, inputs.text.start, self.dropout)


class Ensemble(Part):
    """The mean of the similarities of the rows that it starts from, which were trained each for itself."""

    said = "mean similarity of several"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Answers:
        """Add up."""

        def mean(split: str) -> dict[str, Any]:
            scores = retrieval.mean_scores([scores_of(one, split) for one in starts])
            return {"scores": scores.astype(np.float32)}

        return mean


class Reranked(Part):
    """k-reciprocal re-ranking of the row that it starts from; how is chosen by the R-sum on validation.

    Of several rows the embeddings stand side by side, whose cosine is the mean of their cosines.

    Attributes:
        k1, k2: as for :func:`~imtext.retrieval.reranking.choose_rerank`.
    """

    k1: int = 20
    k2: int = 6
    said = "re-ranked"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Answers:
        """Choose, then re-rank; each fold is a search of its own, with a graph of its own."""
        val = _side_by_side(starts, "val")
        choice = retrieval.choose_rerank(**val, k1=self.k1, k2=self.k2)
        run.save_table("tried.csv", pd.DataFrame(choice.table))
        run.save_json("chosen.json", choice.settings)

        def searched(split: str) -> dict[str, Any]:
            arrays = _side_by_side(starts, split)
            scores = retrieval.rerank(arrays["images"], arrays["captions"], **choice.settings)
            in_folds = partial(retrieval.evaluate_reranked, **arrays, **choice.settings)
            return {"scores": scores, "in_folds": in_folds}

        return searched


def _side_by_side(runs: Sequence[Run], split: str) -> dict[str, Any]:
    found = [run.load_arrays(f"embeddings-{split}.npz") for run in runs]
    return found[0] | {side: np.hstack([one[side] for one in found]) for side in ("images", "captions")}


class Branches(Part):
    """Two branches on fixed features, see :func:`~imtext.models.joint.two_branch`.

    Attributes:
        dim, dropout, norm: of either branch; hidden: length of the layer between, None for the linear model.
    """

    dim: int = 512
    hidden: int | None = 2048
    dropout: float = 0.5
    norm: bool = True

    @property
    def said(self) -> str:
        """What ran, for people."""
        return "linear" if self.hidden is None else "nonlinear"

    def build(self, inputs: Any) -> nn.Module:
        """The network before training."""
        dims, backbone = (inputs.image.dim, inputs.text.width), inputs.image.tuned()
        return models.two_branch(*dims, backbone=backbone, **vars(self))


class Cca(Part):
    """Canonical correlation analysis, solved; two of its numbers are chosen on validation.

    Attributes:
        dim, etas, powers: as for :func:`imtext.models.cca.choose_cca`.
    """

    dim: int = 512
    etas: tuple[float, ...] = (5e-5, 1e-4, 5e-4, 2e-3)
    powers: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0)
    said = "CCA"

    def compute(self, row: Row, run: Run, starts: Sequence[Run]) -> Answers:
        """Solve."""
        image, text = row.inputs.image, row.inputs.text
        train = image.rows()[:], text.train(), image.pairs(row.experiment.seed)
        val = image.test("val")[:], text.test("val")
        best, tried = models.choose_cca(train, val, image.score("val"), self.etas, self.powers, self.dim)
        run.save_table("tried.csv", pd.DataFrame(tried))
        best.save(run.dir / MODEL)
        text.save(run)

        def embedded(split: str) -> dict[str, Any]:
            images = best.embed_images(image.test(split)[:])
            return {"images": images, "captions": best.embed_captions(text.test(split))}

        return embedded


class Dual(Part):
    """Image CNN and text CNN into one space, see :func:`~imtext.models.joint.dual_path`.

    Attributes:
        depth, width, pooling, zero_init: of the text CNN; dim, head, all_positions: of the space.
        dropout: share of the numbers of an image feature that training drops.
    """

    depth: int = 50
    width: float = 1.0
    dim: int = 2048
    head: str = "paper"
    pooling: str = "mean"
    zero_init: bool = True
    all_positions: bool = False
    dropout: float = 0.0

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"text {self.depth}"

    def build(self, inputs: Any) -> nn.Module:
        """The network before training."""
        words, image = inputs.text, inputs.image
        sizes = len(words.vocabulary), words.width, self.depth, self.width
        text = models.TextCNN(*sizes, words.start, self.pooling, self.zero_init)
        how = self.head, self.all_positions, self.dropout
        return models.dual_path(text, image.dim, self.dim, image.tuned(), *how)


class Single(Part):
    """One Inception-ResNet-v1 for photographs and drawn captions, or two of the kind, one a modality.

    Attributes:
        dim, width, blocks, keep: as for :class:`imtext.models.inception_resnet.InceptionResNetV1`.
        networks: 1 or 2.
        backbone: None, or in its place an image CNN that starts from ImageNet weights, with a linear layer to
            ``dim``, see :class:`~imtext.models.inception_resnet.PictureCNN`; it takes no ``width``,
            ``blocks`` or ``keep``.
    """

    dim: int = 128
    width: float = 1.0
    blocks: tuple[int, int, int] = (5, 10, 5)
    keep: float = 0.8
    networks: int = 1
    backbone: str | None = None

    @property
    def said(self) -> str:
        """What ran, for people.

        >>> Single(networks=2, backbone="efficientnet_lite0").said
        'two networks, EfficientNet-Lite0'
        """
        network = f", {title(self.backbone)}" if self.backbone else ""
        return f"{'one network' if self.networks == 1 else 'two networks'}{network}"

    def build(self, inputs: Any) -> nn.Module:
        """The network, or both, before training."""
        one = partial(models.InceptionResNetV1, self.dim, self.width, self.blocks, self.keep)
        if self.backbone:
            one = partial(DrawnCNN(self.backbone).build, inputs.text, self.dim)
        return models.PictureNets(*(one() for _ in range(self.networks)))


class _OfPairs(Part):
    """A loss on pairs of an image and a caption, no two of one group in a batch."""

    shift = False

    def batches(self, inputs: Any, recipe: training.Recipe, seed: int, net: nn.Module, **options: Any) -> Any:
        """Training batches of pairs; ``options`` as for :class:`~imtext.training.batches.PairBatches`."""
        captions = *inputs.text.train(), inputs.source.splits["train"].image_of_caption, inputs.source.groups
        how = recipe.batch_size, seed, self.shift, recipe.captions_per_group
        return training.PairBatches(inputs.image.train(), *captions, *how, **options)


class Hinges(_OfPairs):
    """Hinges of both directions, alone or with the intra-modal constraint.

    Attributes:
        margin, negatives, all_epochs, constraint: as for :class:`~imtext.training.objectives.HingeObjective`.
    """

    margin: float = 0.2
    negatives: str = "hardest"
    all_epochs: int = 0
    constraint: training.Constraint | None = None

    @property
    def said(self) -> str:
        """What the loss adds to the hinges, for people.

        >>> Hinges(constraint=training.Constraint(1.0, "l2", "printed")).said
        'L2, as printed'
        """
        if self.constraint is None:
            return ""
        return f"{DISTANCES[self.constraint.distance]}, as {self.constraint.reading.split('_')[0]}"

    def build(self, net: nn.Module, inputs: Any) -> nn.Module:
        """The loss on a network."""
        return training.HingeObjective(net, **vars(self))


class Instance(_OfPairs):
    """Instance loss and ranking loss (Zheng et al., Eq. 9).

    Attributes:
        weights: (rank, image, text), the three lambdas.
        margin, negatives, all_epochs: of the ranking loss, as for
            :class:`~imtext.training.objectives.DualPathObjective`.
        candidates: random captions of a batch among which ``negatives="released"`` finds the hardest.
        dropout, bias: of the classifier.
        shared: both sides share the classifier (paper), or have one each.
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
    shared: bool = True

    def build(self, net: nn.Module, inputs: Any) -> nn.Module:
        """The loss on a network."""
        classes = int(self.classes(inputs).max()) + 1
        classifier = partial(losses.InstanceLoss, net.dim, classes, self.bias, self.dropout)
        ranking = self.margin, self.negatives, self.all_epochs
        own = None if self.shared else classifier()
        return training.DualPathObjective(net, classifier(), self.weights, *ranking, own)

    def classes(self, inputs: Any) -> np.ndarray:
        """Class of each training caption ``(M,)``."""
        groups = inputs.source.groups
        if self.class_share is None:
            return groups
        clusters = max(2, round(self.class_share * (int(groups.max()) + 1)))
        kmeans = MiniBatchKMeans(clusters, random_state=inputs.source.data.seed, n_init=3, batch_size=4096)
        with threadpool_limits(1):  # sums of several threads differ in their last digits
            found = kmeans.fit_predict(inputs.image.train().views.mean(0))
        # Clusters that nothing fell into are no classes.
        labels = np.unique(found, return_inverse=True)[1]
        return labels[inputs.source.splits["train"].image_of_caption]

    def batches(self, inputs: Any, recipe: training.Recipe, seed: int, net: nn.Module) -> Any:
        """Training batches of pairs."""
        candidates = self.candidates if self.weights[0] > 0 and self.negatives == "released" else 0
        classes = self.classes(inputs)
        return super().batches(inputs, recipe, seed, net, class_of_caption=classes, candidates=candidates)


class Structure(Part):
    """The structure-preserving loss (Wang et al., Eq. 5).

    Attributes:
        margin, top_k, lambdas, reduction: as for :func:`~imtext.losses.structure.structure_preserving_loss`.
        hard: None, or what finds hard negatives for the captions with the network that training starts from,
            see :class:`imtext.papers.phrases.HardNegatives`.
        more_captions: one more caption of each image in a batch even where lambda 3 is 0.
    """

    margin: float = 0.1
    top_k: int = 50
    lambdas: tuple[float, float, float] = (2.0, 0.0, 0.2)
    reduction: str = "mean"
    hard: Any = None
    more_captions: bool = False

    def build(self, net: nn.Module, inputs: Any) -> nn.Module:
        """The loss on a network."""
        named = ("margin", "top_k", "lambdas", "reduction")
        return training.StructureObjective(net, **{name: vars(self)[name] for name in named})

    def batches(self, inputs: Any, recipe: training.Recipe, seed: int, net: nn.Module) -> Any:
        """Training batches with neighbours."""
        image = inputs.image
        mined = {"images": image.rows()} if self.hard is None else self.hard.mine(inputs, net, seed)
        return training.NeighbourBatches(
            captions=inputs.text.train(),
            pairs=image.pairs(seed),
            batch_size=recipe.batch_size,
            more_captions=self.more_captions or self.lambdas[2] > 0,
            more_images=self.lambdas[1] > 0,
            seed=seed,
            pairs_each=recipe.captions_per_group,
            pixels=image.train() if image.trains_cnn else None,
            **mined,
        )


class Centre(Part):
    """Softmax over the groups and centre loss, see :class:`~imtext.training.objectives.SingleObjective`.

    Attributes:
        weight: of the centre loss beside the softmax; softmax: whether there is one.
        images, captions: forms of an image and of a caption in an epoch: 1, or 2 for the mirror image too
            and for two crops of each drawn caption, see :class:`~imtext.training.batches.MixedBatches`.
        together: whether a batch holds whole groups, and ``batch_size`` counts them; else it counts pictures.
        scale: of the cosine in the softmax; 0 takes the product, with a bias.
    """

    weight: float = 0.003
    softmax: bool = True
    images: int = 1
    captions: int = 1
    together: bool = False
    scale: float = 0.0

    @property
    def said(self) -> str:
        """What ran, for people, of five captions an image.

        >>> Centre(images=2, captions=2).said
        '2 images, 10 texts a group; softmax + centre'
        """
        loss = "centre" if not self.softmax else "softmax + centre" if self.weight else "softmax"
        return f"{self.images} image{'s' * (self.images - 1)}, {5 * self.captions} texts a group; {loss}"

    def build(self, net: nn.Module, inputs: Any) -> nn.Module:
        """The loss on a network."""
        classes = int(inputs.source.groups.max()) + 1
        return training.SingleObjective(net, classes, self.weight, self.softmax, self.scale)

    def batches(self, inputs: Any, recipe: training.Recipe, seed: int, net: nn.Module) -> Any:
        """Training batches; ``captions_per_group`` counts images of a group too."""
        images, (captions, _) = inputs.image.train(), inputs.text.train()
        classes = np.unique(inputs.source.splits["train"].group_of_image, return_inverse=True)[1]
        how = recipe.batch_size, (self.images, self.captions), seed, self.together, recipe.captions_per_group
        return training.MixedBatches(images, captions, classes, inputs.source.groups, *how)
