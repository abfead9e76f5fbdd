"""Phrases look for their boxes (Wang et al., CVPR 2016, section 3.3): inputs, hard negatives, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from torch import nn

from imtext.data.schema import Dataset
from imtext.errors import DataError
from imtext.experiment.compute import Metrics, in_blocks
from imtext.experiment.images import OfCNN, people
from imtext.experiment.source import SPLITS, Source
from imtext.experiment.texts import FixedTexts
from imtext.progress import announce
from imtext.retrieval.boxes import paired_iou, pairs, truth_boxes
from imtext.retrieval.localisation import localise, phrase_scores
from imtext.runs import Run
from imtext.training import make_fabric
from imtext.vision.proposals import proposals_of
from imtext.vision.regions import extract_region_features, image_extents

WITH_REGIONS = ("picturebook", "flickr30k_entities")


@dataclass(frozen=True, eq=False)
class Mentions:
    """Phrases of a split that have a box; Q mentions of M unique phrases.

    Attributes:
        phrases: M lower-cased phrases, sorted.
        phrase: ``(Q,)`` which of them each mention is.
        image: ``(Q,)`` image of each mention.
        truth: ``(Q, 4)`` the smallest box that holds all boxes of its chain in that image.
        row: ``(Q,)`` which of the dataset's phrases each mention is.
        without_box: mentions left out, as nothing is drawn around what they mean.
    """

    phrases: tuple[str, ...]
    phrase: np.ndarray
    image: np.ndarray
    truth: np.ndarray
    row: np.ndarray
    without_box: int

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


def mentions_of(dataset: Dataset) -> Mentions:
    """The mentions of a split, in the order of its captions.

    Raises:
        DataError: the dataset has no regions and phrases, or no phrase has a box.
    """
    phrases, regions = dataset.phrases, dataset.regions
    if phrases is None or regions is None:
        raise DataError(
            f"{dataset.name}: expected boxes and phrases, found none; phrase localisation needs a dataset "
            "that has them, such as picturebook or flickr30k_entities"
        )
    image = dataset.image_of_caption[phrases.caption]
    truth, found = truth_boxes(regions.boxes, regions.image_of_region, regions.chain, image, phrases.chain)
    if not found.any():
        raise DataError(
            f"{dataset.name}: none of {len(phrases)} phrases has a box; check the chains of the boxes"
        )
    row = np.flatnonzero(found)
    unique, phrase = np.unique([phrases.words[i].lower() for i in row], return_inverse=True)
    missing = int((~found).sum())
    return Mentions(tuple(unique.tolist()), phrase.reshape(-1), image[row], truth[row], row, missing)


def training_pairs(mentions: Mentions, most: int, seed: int) -> np.ndarray:
    """Pairs ``(P, 2)`` of region and phrase, a pair as often as it is mentioned, ``most`` regions a phrase.

    "resampled with at most ten regions per phrase" (section 3.3): of a phrase with more, ``most`` distinct
    regions are drawn.
    """
    region = mentions.regions[2]
    pairs = np.stack([region, mentions.phrase], axis=1)
    distinct = np.unique(pairs, axis=0)
    shuffled = distinct[np.random.default_rng([seed, 1]).permutation(len(distinct))]
    shuffled = shuffled[np.argsort(shuffled[:, 1], kind="stable")]
    first = np.searchsorted(shuffled[:, 1], shuffled[:, 1])
    kept = shuffled[np.arange(len(shuffled)) - first < most]
    width = int(mentions.phrase.max()) + 1
    return pairs[np.isin(pairs @ np.array([width, 1]), kept @ np.array([width, 1]))]


class UnitRows:
    """Rows of files on disk, one after the other, of length 1; read when asked for, never all at once.

    The proposals of Flickr30k's training images would fill 48 GB.

    Args:
        parts: arrays ``(n, D)``, which may be memory-mapped.
        places: columns at the end that keep their own scale.

    >>> rows = UnitRows([np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])])
    >>> len(rows), (10 * rows[[1, 0]]).round().tolist()
    (2, [[0.0, 10.0], [6.0, 8.0]])
    """

    def __init__(self, parts: list[np.ndarray], places: int = 0) -> None:
        self.parts, self.places = parts, places
        self.shape = (sum(map(len, parts)), parts[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> np.ndarray:
        """Rows by a slice or by indices from 0, float32."""
        rows = np.arange(*which.indices(len(self))) if isinstance(which, slice) else np.asarray(which)
        out = np.empty((len(rows), self.shape[1]), np.float32)
        first = 0
        for part in self.parts:
            here = (rows >= first) & (rows < first + len(part))
            out[here] = part[rows[here] - first]
            first += len(part)
        length = out[:, : self.shape[1] - self.places]
        length /= np.maximum(np.linalg.norm(length, axis=1, keepdims=True), 1e-12)
        return out

    def __add__(self, other: UnitRows) -> UnitRows:
        return UnitRows(self.parts + other.parts, self.places)


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes ``(P, 4)``, their images ``(P,)`` and features ``(P, Dx)``."""

    boxes: np.ndarray
    image: np.ndarray
    features: UnitRows


@lru_cache(maxsize=16)
def _mentions(source: Source, split: str) -> Mentions:
    return mentions_of(source.splits[split])


@dataclass(frozen=True)
class Phrases:
    """Fixed features of the unique phrases that have a box, fitted on those for training.

    Attributes:
        text: of which kind, such as :class:`imtext.experiment.texts.Fisher`.
    """

    text: Any

    @property
    def said(self) -> str:
        """What ran, for people."""
        return self.text.said

    def build(self, source: Source) -> FixedTexts:
        """The features of a dataset's phrases."""
        return FixedTexts(self.text, source, {split: _mentions(source, split).phrases for split in SPLITS})


@dataclass(frozen=True)
class Regions:
    """Boxes of pictures: the true ones to train on, and proposals among which phrases look for theirs.

    Attributes:
        backbone, size, fit, weights: as for :class:`imtext.experiment.images.Pooled`.
        count, method, side: of the proposals, as for :func:`imtext.vision.proposals.proposals`.
        stages, geometry: of the features, as for :func:`imtext.vision.regions.extract_region_features`.
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

    @property
    def said(self) -> str:
        """What ran, for people."""
        return f"{people(self.backbone)} regions"

    @staticmethod
    def fits(dataset: str) -> bool:
        """Whether a dataset has boxes and phrases."""
        return dataset in WITH_REGIONS

    def build(self, source: Source) -> RegionImages:
        """The boxes of a dataset."""
        return RegionImages(self, source)


class RegionImages(OfCNN):
    """True boxes, proposals and their features by split, computed once and kept on disk."""

    block = 4096

    @property
    def dim(self) -> int:
        """Length of a region's feature."""
        return self.regions("train").features.shape[1]

    def mentions(self, split: str) -> Mentions:
        """Phrases that have a box."""
        return _mentions(self.source, split)

    def regions(self, split: str) -> Found:
        """The distinct true boxes."""
        return self._once("regions", split, lambda: self._boxes(split, *self.mentions(split).regions[:2]))

    def proposals(self, split: str) -> Found:
        """The boxes proposed for each image."""

        def make() -> Found:
            part, source = self.part, self.source
            options = {"count": part.count, "method": part.method, "side": part.side}
            folder, seed = source.cache / "proposals", source.data.seed
            found = proposals_of(source.splits[split], cache_dir=folder, seed=seed, **options)
            return self._boxes(split, *found)

        return self._once("proposals", split, make)

    def cached(self, split: str) -> Found:
        """What rows share of a split."""
        return self.regions(split) if split == "train" else self.proposals(split)

    def rows(self) -> UnitRows:
        """Features of the true boxes for training."""
        return self.regions("train").features

    def pairs(self, seed: int) -> np.ndarray:
        """Training pairs of region and phrase, see :func:`training_pairs`."""
        return training_pairs(self.mentions("train"), self.part.each, seed)

    def test(self, split: str) -> UnitRows:
        """Features of the proposals."""
        return self.proposals(split).features

    def score(self, split: str) -> Callable[..., float]:
        """Recall at 1 in per cent as a function of embeddings of proposals and phrases."""
        mentions, proposals = self.mentions(split), self.proposals(split)
        query, box = pairs(mentions.image, proposals.image)
        right = paired_iou(proposals.boxes[box], mentions.truth[query]) >= 0.5

        def recall(regions: np.ndarray, phrases: np.ndarray) -> float:
            values = phrase_scores(phrases[mentions.phrase], regions, mentions.image, proposals.image)
            return 100 * float(right[_first(query, values)].sum() / len(mentions.phrase))

        return recall

    def evaluate(self, split: str, found: dict[str, np.ndarray], run: Run) -> Metrics:
        """Every mention on the proposals of its image; keeps ranks, precisions and the best boxes."""
        mentions, proposals = self.mentions(split), self.proposals(split)
        phrases, regions = found["captions"][mentions.phrase], found["images"]
        scores = phrase_scores(phrases, regions, mentions.image, proposals.image)
        found = localise(
            scores,
            mentions.truth,
            mentions.image,
            proposals.boxes,
            proposals.image,
            mentions.words,
            protocol="mentions",
        )
        query, box = pairs(mentions.image, proposals.image)
        best, first = np.full(len(mentions.phrase), -1), _first(query, scores)
        best[query[first]] = box[first]
        kept = {"ranks": found.ranks, "image": mentions.image[found.query], "ap": 100 * found.ap}
        run.save_arrays(f"ranks-{split}.npz", best=best, **kept)
        cells = found.row() | {"without_box": mentions.without_box}
        return {split: {"r100" if name == "upper_bound" else name: one for name, one in cells.items()}}

    def _boxes(self, split: str, boxes: np.ndarray, image: np.ndarray) -> Found:
        part, source = self.part, self.source
        rows = extract_region_features(
            self.backbone,
            self.pixels(split),
            boxes,
            image,
            image_extents(source.splits[split]),
            source.cache / "features",
            stages=part.stages,
            geometry=part.geometry,
            device=source.places.device,
            precision=source.precision,
        )
        return Found(boxes, image, UnitRows([rows], 4 * part.geometry))

    def _once(self, what: str, split: str, make: Callable[[], Found]) -> Found:
        if (what, split) not in self._kept:
            self._kept[what, split] = make()
        return self._kept[what, split]


def _first(query: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of the flat pairs, the one with the highest score of each query; of equal ones the first."""
    ranked = np.lexsort((np.arange(len(query)), -scores, query))
    return ranked[np.searchsorted(query, np.unique(query))]


@dataclass(frozen=True)
class HardNegatives:
    """Proposals that a network puts closer to a phrase than its own box, see :func:`hard_negatives`.

    Attributes:
        most: drawn for a phrase (paper: 50); images: in which they are looked for.
        each: added to each batch for each of its phrases.
    """

    most: int = 50
    images: int = 10
    each: int = 5

    def mine(self, inputs: Any, net: nn.Module, seed: int) -> dict[str, Any]:
        """Hard negatives of each phrase, and features of the true regions followed by the proposals.

        Under their names of :class:`imtext.training.NeighbourBatches`.
        """
        announce("looking for hard negatives")
        image, fabric = inputs.image, make_fabric(inputs.source.places.device)
        regions, proposals = image.regions("train").features, image.proposals("train")
        net = net.eval()
        found = hard_negatives(
            image.mentions("train"),
            image.pairs(seed),
            proposals,
            in_blocks(net.embed_images, regions, fabric),
            in_blocks(net.embed_images, proposals.features, fabric),
            in_blocks(net.embed_captions, inputs.text.train(), fabric),
            self.most,
            self.images,
            seed=seed,
        )
        shape = (found.shape[0], len(regions) + len(proposals.features))
        moved = sparse.csr_array((found.data, len(regions) + found.indices, found.indptr), shape=shape)
        return {"images": regions + proposals.features, "negatives": moved, "negatives_each": self.each}


def hard_negatives(
    mentions: Mentions,
    pairs: np.ndarray,
    proposals: Found,
    regions: np.ndarray,
    candidates: np.ndarray,
    phrases: np.ndarray,
    most: int = 50,
    images: int = 10,
    threshold: float = 0.5,
    seed: int = 0,
) -> sparse.csr_array:
    """For each unique phrase the proposals that are closer to it than its own box, ``(M, P)`` bool.

    Section 3.3: "we record those hard negative boxes that are closer to the phrase than the ground truth
    boxes [...] we only sample at most 50 hard negative regions for each unique phrase". We look in the images
    of the phrase's training pairs and leave out boxes whose IoU with one of its true boxes there is at least
    ``threshold``: these are right.

    Args:
        pairs: ``(N, 2)`` training pairs of region and phrase.
        proposals: of the training images, sorted by image.
        regions, candidates, phrases: unit embeddings of true boxes, proposals and unique phrases.
        most: drawn for a phrase (paper: 50); images: looked through for a phrase, drawn at random.
    """
    truth, owner, _ = mentions.regions
    distinct = np.unique(pairs, axis=0)
    distinct = distinct[np.argsort(distinct[:, 1], kind="stable")]
    random = np.random.default_rng([seed, 2])
    first = np.searchsorted(distinct[:, 1], np.arange(len(mentions.phrases) + 1))
    start = np.searchsorted(proposals.image, np.arange(int(owner.max()) + 2))
    found = []
    for phrase in range(len(mentions.phrases)):
        own = distinct[first[phrase] : first[phrase + 1], 0]
        looked = np.unique(owner[own])
        if len(looked) > images:
            looked = random.choice(looked, images, replace=False)
        hard = [np.empty(0, np.int64)]
        for image in looked:
            here, boxes = own[owner[own] == image], slice(start[image], start[image + 1])
            least = (regions[here] @ phrases[phrase]).min()
            wrong = (paired_iou(truth[here][:, None], proposals.boxes[None, boxes]) < threshold).all(0)
            hard.append(start[image] + np.flatnonzero((candidates[boxes] @ phrases[phrase] > least) & wrong))
        all_hard = np.concatenate(hard)
        found.append(random.choice(all_hard, min(most, len(all_hard)), replace=False))
    ends = np.cumsum([0, *map(len, found)])
    columns = np.concatenate(found).astype(np.int64)
    return sparse.csr_array((np.ones(len(columns), bool), columns, ends), shape=(len(found), len(candidates)))
