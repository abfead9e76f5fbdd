"""From a dataset's name to what training needs: splits, word codes, pixels, cached features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imtext.data import load_dataset
from imtext.data.images import ImageStore
from imtext.data.schema import Dataset
from imtext.text.vectors import load_word_vectors
from imtext.text.vocabulary import Vocabulary
from imtext.vision.backbones import Backbone, load_backbone
from imtext.vision.features import Features, extract_features

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DataSpec:
    """What determines the data of a run.

    Attributes:
        dataset, data_root: as for :func:`imtext.data.load_dataset`.
        train, val, test: number of groups; None takes all there are.
        size: side of the stored pixels; crop: side of what the backbone sees.
        backbone, weights: as for :func:`imtext.vision.backbones.load_backbone`.
        views: cached augmented views per training image (Stage I).
        vectors: word vectors, as for :func:`imtext.text.vectors.load_word_vectors`.
        length: words per sentence (paper: 32).
        seed: of the generated dataset, the choice of groups and the augmented views.
        cache: folder of stored pixels and features.
    """

    dataset: str = "picturebook"
    data_root: str | None = None
    train: int | None = None
    val: int | None = None
    test: int | None = None
    size: int = 128
    crop: int = 112
    backbone: str = "efficientnet_lite0"
    weights: str | None = "imagenet"
    views: int = 4
    vectors: str = "glove"
    length: int = 32
    seed: int = 0
    cache: str = "cache"


class Prepared:
    """The data of a study, made when first asked for and cached on disk where it is dear."""

    def __init__(self, spec: DataSpec, device: str = "cpu") -> None:
        self.spec, self.device = spec, device

    @cached_property
    def dataset(self) -> Dataset:
        """All splits, cut to the sizes asked for."""
        spec = self.spec
        if spec.dataset == "picturebook":
            sizes = {split: getattr(spec, split) for split in SPLITS if getattr(spec, split) is not None}
            return load_dataset("picturebook", spec.data_root, size=spec.size, seed=spec.seed, **sizes)
        return _cut(load_dataset(spec.dataset, spec.data_root), spec)

    @cached_property
    def splits(self) -> dict[str, Dataset]:
        """The splits by name."""
        return {split: self.dataset.split(split) for split in SPLITS}

    @cached_property
    def classes(self) -> np.ndarray:
        """Class of each training sentence ``(M,)``: its group, numbered from 0."""
        return np.unique(self.splits["train"].group_of_sentence, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words that the word vectors know (Zheng et al., section 3.2)."""
        return Vocabulary.build(self.splits["train"].captions, load_word_vectors(self.spec.vectors))

    def word_matrix(self) -> np.ndarray:
        """Word vectors of the vocabulary, ``(d + 1, dim)``."""
        return self.vocabulary.matrix(load_word_vectors(self.spec.vectors))

    def codes(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Word codes ``(M, L)`` and lengths ``(M,)`` of a split."""
        return self.vocabulary.encode(self.splits[split].captions, self.spec.length)

    def store(self, split: str) -> ImageStore:
        """Pixels of a split."""
        return ImageStore.open(self.splits[split], self.spec.size, Path(self.spec.cache) / "pixels")

    def backbone(self) -> Backbone:
        """A fresh copy of the image CNN."""
        return load_backbone(self.spec.backbone, self.spec.weights)

    def features(self, split: str) -> Features:
        """Cached features of the fixed backbone."""
        return extract_features(
            self.backbone(),
            self.store(split),
            Path(self.spec.cache) / "features",
            crop=self.spec.crop,
            views=self.spec.views if split == "train" else 0,
            seed=self.spec.seed,
            device=self.device,
            evaluation=split != "train",
        )

    def identity(self) -> dict[str, Any]:
        """What goes into a run's hash: content, not paths."""
        spec = {k: v for k, v in asdict(self.spec).items() if k not in ("data_root", "cache", "weights")}
        return {**spec, "fingerprint": self.dataset.fingerprint(), "weights": self.backbone_digest}

    @cached_property
    def backbone_digest(self) -> str:
        """Digest of the backbone's weights."""
        return str(self.backbone().weights_digest)


@lru_cache(maxsize=4)
def prepare(spec: DataSpec, device: str = "cpu") -> Prepared:
    """The prepared data of a spec, one copy per process."""
    return Prepared(spec, device)


def _cut(dataset: Dataset, spec: DataSpec) -> Dataset:
    """Keep the number of groups asked for per split, chosen with the spec's seed."""
    random = np.random.default_rng(spec.seed)
    kept = []
    for split in SPLITS:
        images = np.flatnonzero(dataset.split_of_image == split)
        wanted = getattr(spec, split)
        if wanted is not None and wanted < len(images):
            images = np.sort(random.choice(images, wanted, replace=False))
        kept.append(images)
    return dataset.take(np.concatenate(kept))
