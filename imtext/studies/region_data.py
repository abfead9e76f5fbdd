"""What phrase localisation needs of a dataset with regions and phrases (Wang et al., CVPR 2016, 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from imtext.data.schema import Dataset
from imtext.errors import DataError
from imtext.retrieval.boxes import paired_iou, truth_boxes
from imtext.studies.preparation import SPLITS, Prepared
from imtext.studies.text_features import text_features
from imtext.vision.proposals import proposals_of
from imtext.vision.regions import extract_region_features, image_extents


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


@dataclass(frozen=True)
class RegionSpec:
    """Where boxes come from and how they and the phrases become features.

    Attributes:
        count, method, side: of the proposals, as for :func:`imtext.vision.proposals.proposals`.
        stages, geometry: of the region features, as for
            :func:`imtext.vision.regions.extract_region_features`.
        text_options: of the Fisher vectors, as pairs ``(name, value)``.
        regions_per_phrase: most training regions of a phrase (paper: 10).
    """

    count: int = 100
    method: str = "selective_search"
    side: int = 160
    stages: tuple[str, ...] = ("C3", "C4")
    geometry: bool = False
    text_options: tuple[tuple[str, Any], ...] = ()
    regions_per_phrase: int = 10


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
class Boxes:
    """Boxes ``(P, 4)``, their images ``(P,)`` and features ``(P, Dx)``."""

    boxes: np.ndarray
    image: np.ndarray
    features: UnitRows


class RegionData:
    """Mentions, true regions, proposals and features by split; each made when first asked for.

    Args:
        prepared: the data; spec: what is taken from it.
    """

    def __init__(self, prepared: Prepared, spec: RegionSpec) -> None:
        self.prepared, self.spec = prepared, spec
        self._kept: dict[tuple[str, str], Any] = {}

    def mentions(self, split: str) -> Mentions:
        """Phrases that have a box."""
        return self._keep("mentions", split, lambda: mentions_of(self.prepared.splits[split]))

    def texts(self, split: str) -> Any:
        """Features of the unique phrases of a split, ``(M, Dy)``, fitted on the training phrases."""
        phrases = {name: self.mentions(name).phrases for name in SPLITS}
        made = self._keep(
            "texts",
            "",
            lambda: text_features(self.prepared, "fv", dict(self.spec.text_options), texts=phrases),
        )
        return made.split(split)

    def regions(self, split: str) -> Boxes:
        """The distinct true boxes."""
        return self._keep("regions", split, lambda: self._boxes(split, *self.mentions(split).regions[:2]))

    def proposals(self, split: str) -> Boxes:
        """The boxes proposed for each image."""

        def make() -> Boxes:
            folder = Path(self.prepared.spec.cache) / "proposals"
            options = {"count": self.spec.count, "method": self.spec.method, "side": self.spec.side}
            seed = self.prepared.spec.seed
            found = proposals_of(self.prepared.splits[split], cache_dir=folder, seed=seed, **options)
            return self._boxes(split, *found)

        return self._keep("proposals", split, make)

    def pairs(self, seed: int) -> np.ndarray:
        """Training pairs of region and phrase, see :func:`training_pairs`."""
        return training_pairs(self.mentions("train"), self.spec.regions_per_phrase, seed)

    def _boxes(self, split: str, boxes: np.ndarray, image: np.ndarray) -> Boxes:
        rows = extract_region_features(
            self.prepared.backbone(),
            self.prepared.store(split),
            boxes,
            image,
            image_extents(self.prepared.splits[split]),
            Path(self.prepared.spec.cache) / "features",
            stages=self.spec.stages,
            geometry=self.spec.geometry,
            device=self.prepared.device,
            precision=self.prepared.spec.precision,
        )
        return Boxes(boxes, image, UnitRows([rows], 4 * self.spec.geometry))

    def _keep(self, what: str, split: str, make: Any) -> Any:
        if (what, split) not in self._kept:
            self._kept[what, split] = make()
        return self._kept[what, split]


def hard_negatives(
    mentions: Mentions,
    pairs: np.ndarray,
    proposals: Boxes,
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
