"""Phrases look for their boxes (Wang et al., CVPR 2016, section 3.3): inputs, hard negatives, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from torch import nn

from imtext.data.dataset import Dataset
from imtext.errors import DataError
from imtext.experiment.compute import Metrics, in_blocks
from imtext.experiment.images import OfCNN
from imtext.experiment.source import SPLITS, Part, Reading, Source
from imtext.progress import announce
from imtext.retrieval.localisation import Localisation, iou, localise, pairs, phrase_scores, truth_boxes
from imtext.runs import Run
from imtext.training import make_fabric
from imtext.vision import box_features, extract, image_extents, proposals_of
from imtext.vision.backbones import title
from imtext.vision.reading import UnitRows


class Mentions(NamedTuple):
    """Phrases of a split that have a box; Q mentions of M unique phrases.

    Attributes:
        phrases: M lower-cased phrases, sorted.
        phrase: ``(Q,)`` which of them each mention is.
        image: ``(Q,)`` image of each mention.
        truth: ``(Q, 4)`` the smallest box that holds all boxes of its chain in that image.
        row: ``(Q,)`` which of the dataset's phrases each mention is; others have no box.
    """

    phrases: tuple[str, ...]
    phrase: np.ndarray
    image: np.ndarray
    truth: np.ndarray
    row: np.ndarray

    @property
    def words(self) -> list[str]:
        """The phrase of each mention."""
        return [self.phrases[i] for i in self.phrase]

    @property
    def regions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct true boxes ``(R, 4)``, their images ``(R,)`` and the box of each mention ``(Q,)``."""
        rows = np.concatenate([self.image[:, None], self.truth], axis=1)
        unique, region = np.unique(rows, axis=0, return_inverse=True)
        return unique[:, 1:], unique[:, 0], region.reshape(-1)


@lru_cache(maxsize=16)
def mentions_of(dataset: Dataset) -> Mentions:
    """The mentions of a split that has regions and phrases, in the order of its captions.

    Raises:
        DataError: no phrase has a box.
    """
    phrases, regions = dataset.phrases, dataset.regions
    image = dataset.image_of_caption[phrases.caption]
    truth, found = truth_boxes(regions.boxes, regions.image_of_region, regions.chain, image, phrases.chain)
    if not found.any():
        raise DataError(f"{dataset.name}: none of {len(phrases)} phrases has a box; check the boxes' chains")
    row = np.flatnonzero(found)
    unique, phrase = np.unique([phrases.words[i].lower() for i in row], return_inverse=True)
    return Mentions(tuple(unique.tolist()), phrase, image[row], truth[row], row)


class Found(NamedTuple):
    """Boxes ``(P, 4)``, their images ``(P,)`` and features ``(P, Dx)``."""

    boxes: np.ndarray
    image: np.ndarray
    features: UnitRows


class Phrases(Part):
    """Fixed features of the unique phrases that have a box, fitted on those for training.

    Attributes:
        text: of which kind, such as :class:`imtext.experiment.texts.Fisher`.
    """

    text: Any

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.text.said

    def build(self, source: Source) -> Any:
        """The features of a dataset's phrases, which take the place of its captions."""
        phrases = copy(source)
        phrases.captions = {split: mentions_of(source.splits[split]).phrases for split in SPLITS}
        return self.text.build(phrases)


class RegionImages(OfCNN):
    """True boxes, proposals and their features by split, computed once and kept on disk."""

    block = 4096

    @property
    def dim(self) -> int:
        """Length of a region's feature."""
        return self.rows().shape[1]

    def mentions(self, split: str) -> Mentions:
        """Phrases that have a box."""
        return mentions_of(self.source.splits[split])

    @cached_property
    def regions(self) -> Found:
        """The distinct true boxes for training."""
        return self._found("train", *self.mentions("train").regions[:2])

    def proposals(self, split: str) -> Found:
        """The boxes proposed for each image."""
        if split not in self._kept:
            part, source = self.part, self.source
            given = part.count, part.method, source.cache / "proposals", source.data.seed, part.side
            self._kept[split] = self._found(split, *proposals_of(source.splits[split], *given))
        return self._kept[split]

    def cached(self, split: str) -> Found:
        """What rows share of a split."""
        return self.regions if split == "train" else self.proposals(split)

    def pairs(self, seed: int) -> np.ndarray:
        """Training pairs ``(P, 2)`` of region and phrase, each as often as it is mentioned.

        "resampled with at most ten regions per phrase" (section 3.3): of a phrase with more than ``each``,
        so many distinct regions are drawn.
        """
        mentions = self.mentions("train")
        pairs = np.stack([mentions.regions[2], mentions.phrase], axis=1)
        distinct, number = np.unique(pairs, axis=0, return_inverse=True)
        drawn = np.random.default_rng([seed, 1]).permutation(len(distinct))
        kept = pd.Series(drawn).groupby(distinct[drawn, 1]).head(self.part.each)
        return pairs[np.isin(number.reshape(-1), kept)]

    def test(self, split: str) -> UnitRows:
        """Features of the proposals, or of the true boxes for training."""
        return self.cached(split).features

    def score(self, split: str) -> Callable[..., float]:
        """Recall at 1 in per cent as a function of embeddings of proposals and phrases."""
        return lambda images, captions: self._localised(split, images, captions)[0].r1

    def evaluate(self, split: str, found: dict[str, np.ndarray], run: Run) -> Metrics:
        """Every mention on the proposals of its image; keeps ranks, precisions and the best boxes."""
        located, scores = self._localised(split, found["images"], found["captions"])
        mentions = self.mentions(split)
        query, box = pairs(mentions.image, self.proposals(split).image)
        best = box[pd.Series(scores).groupby(query).idxmax()]
        kept = {"ranks": located.ranks, "image": mentions.image, "ap": 100 * located.ap, "best": best}
        run.save_arrays(f"ranks-{split}.npz", **kept)
        cells = located.row() | {"without_box": len(self.source.splits[split].phrases) - len(mentions.row)}
        # Of a box taken at random: the share of an image's proposals that are right.
        every, owner, _ = self.proposals(split)
        both = zip(mentions.image, mentions.truth, strict=True)
        right = [(iou(every[owner == image], true[None]) >= 0.5).mean() for image, true in both]
        cells["chance"] = 100 * float(np.mean(right))
        return {split: {"r100" if name == "upper_bound" else name: one for name, one in cells.items()}}

    def _localised(
        self, split: str, regions: np.ndarray, phrases: np.ndarray
    ) -> tuple[Localisation, np.ndarray]:
        """How well the mentions find their boxes, and the scores of :func:`phrase_scores`."""
        one, (boxes, owner, _) = self.mentions(split), self.proposals(split)
        scores = phrase_scores(phrases[one.phrase], regions, one.image, owner)
        return localise(scores, one.truth, one.image, boxes, owner, one.words, protocol="mentions"), scores

    def _found(self, split: str, boxes: np.ndarray, image: np.ndarray) -> Found:
        part, source, store = self.part, self.source, self.pixels(split)
        extents = image_extents(source.splits[split])
        read = box_features(store, boxes, image, extents, part.stages, part.geometry)
        options = {"device": source.places.device, "precision": source.precision}
        rows = extract(self.backbone, store, source.cache / "features", read, **options).eval[0]
        return Found(boxes, image, UnitRows([rows], 4 * part.geometry))


class Regions(Reading):
    """Boxes of pictures: the true ones to train on, and proposals among which phrases look for theirs.

    Attributes:
        backbone, size, fit, weights: as for :class:`imtext.experiment.images.Pooled`.
        count, method, side: of the proposals, as for :func:`imtext.vision.region_proposals.proposals`.
        stages, geometry: of the features, as for :func:`imtext.vision.regions.box_features`.
        each: most training regions of a phrase (paper: 10).
    """

    backbone: str = "vgg19"
    size: int = 256
    count: int = 100
    method: str = "selective_search"
    side: int = 160
    stages: tuple[str, ...] = ("C3", "C4")
    geometry: bool = False
    each: int = 10
    fit: str = "cover"
    weights: str = "imagenet"
    built = RegionImages

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"{title(self.backbone)} regions"

    def fits(self, dataset: str) -> bool:
        """Whether a dataset has boxes and phrases."""
        return dataset in ("picturebook", "flickr30k_entities")


class HardNegatives(Part):
    """Proposals that a network puts closer to a phrase than its own box.

    Section 3.3: "we record those hard negative boxes that are closer to the phrase than the ground truth
    boxes [...] we only sample at most 50 hard negative regions for each unique phrase". We look in the images
    of the phrase's training pairs and leave out boxes whose IoU with one of its true boxes there is at least
    .5: these are right.

    Attributes:
        most: drawn for a phrase (paper: 50); images: in which they are looked for, drawn at random.
        each: added to each batch for each of its phrases.
    """

    most: int = 50
    images: int = 10
    each: int = 5

    def mine(self, inputs: Any, net: nn.Module, seed: int) -> dict[str, Any]:
        """Hard negatives of each phrase, and features of the true regions followed by the proposals.

        Under their names of :class:`~imtext.training.batches.NeighbourBatches`.
        """
        announce("looking for hard negatives")
        image, fabric = inputs.image, make_fabric(inputs.source.places.device)
        true, proposals, net = image.rows(), image.proposals("train"), net.eval()
        both = (in_blocks(net.embed_images, rows, fabric) for rows in (true, proposals.features))
        embedded = *both, in_blocks(net.embed_captions, inputs.text.train(), fabric)
        found = self.of_phrases(image.mentions("train"), image.pairs(seed), proposals, embedded, seed)
        rows = UnitRows([*true.parts, *proposals.features.parts], true.shape[1] - true.width)
        columns, ends = true.shape[0] + np.concatenate(found), np.cumsum([0, *map(len, found)])
        held = np.ones(len(columns), bool), columns, ends
        negatives = sparse.csr_array(held, shape=(len(found), rows.shape[0]))
        return {"images": rows, "negatives": negatives, "negatives_each": self.each}

    def of_phrases(
        self, mentions: Mentions, pairs: np.ndarray, proposals: Found, embedded: Any, seed: int
    ) -> list[np.ndarray]:
        """For each unique phrase which proposals are hard negatives, M arrays of indices.

        Args:
            pairs: ``(N, 2)`` training pairs of region and phrase.
            proposals: of the training images, sorted by image.
            embedded: true boxes, proposals and unique phrases, as unit rows.
        """
        (truth, owner, _), (regions, candidates, phrases) = mentions.regions, embedded
        random, found = np.random.default_rng([seed, 2]), []
        for phrase, paired in pd.Series(pairs[:, 0]).groupby(pairs[:, 1]):
            own, hard = np.unique(paired), []
            looked = np.unique(owner[own])
            if len(looked) > self.images:
                looked = random.choice(looked, self.images, replace=False)
            for image in looked:
                here = own[owner[own] == image]
                first, last = np.searchsorted(proposals.image, [image, image + 1])
                wrong = (iou(truth[here], proposals.boxes[first:last]) < 0.5).all(0)
                least = (regions[here] @ phrases[phrase]).min()
                nearer = candidates[first:last] @ phrases[phrase] > least
                hard.append(first + np.flatnonzero(nearer & wrong))
            among = np.concatenate(hard)
            found.append(random.choice(among, min(self.most, len(among)), replace=False))
        return found
