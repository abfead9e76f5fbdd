"""What the rows of the Rich Features paper read: codes of captions, rich image features, regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.text.vocabulary import Vocabulary
from imtext.training import CachedFeatures
from imtext.vision.grid_features import extract_grid_features
from imtext.vision.stage_features import (
    StageFeatures,
    extract_stage_features,
    rich_image_features,
    variant_dim,
)

BLOCK = 4096


@dataclass(frozen=True)
class RichSpec:
    """How captions and images become inputs.

    Attributes:
        min_count: occurrences from which a training word has a code of its own (VSE++, public code: 4).
        length: longest caption in words, both marks included.
        stage, grid: the cells of which stage map, pooled to how many a side, serve as regions where no
            detector's are given; ``grid=None`` takes the map as it is.
    """

    min_count: int = 4
    length: int = 34
    stage: str = "C4"
    grid: int | None = None


class RichData:
    """Codes, pooled features and regions of the splits; made when first asked for.

    Args:
        prepared: the data; spec: what is taken from it.
    """

    def __init__(self, prepared: Prepared, spec: RichSpec) -> None:
        self.prepared, self.spec = prepared, spec
        self._kept: dict[tuple[str, str], Any] = {}

    @property
    def precomputed(self) -> bool:
        """Whether the dataset brings features of its own in the place of pictures."""
        return self.prepared.dataset.features is not None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words, with marks for the unknown word and for both ends of a caption."""
        captions = self.prepared.splits["train"].captions
        return Vocabulary.build(captions, min_count=self.spec.min_count, unknown=True, ends=True)

    def codes(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Codes ``(M, L)`` and lengths ``(M,)`` of the captions of a split."""
        captions = self.prepared.splits[split].captions
        return self._keep("codes", split, lambda: self.vocabulary.encode(captions, self.spec.length))

    @cached_property
    def stage_dims(self) -> dict[str, int]:
        """Channels of the stages of the image CNN; to ask for them builds it, which draws random numbers."""
        return dict(self.prepared.backbone().stage_dims)

    def image_dim(self, variant: str) -> int:
        """Length of a variant's image feature."""
        if self.precomputed:
            return int(self.prepared.dataset.features.shape[-1])
        return variant_dim(variant, self.stage_dims)

    @property
    def region_dim(self) -> int:
        """Length of a region's feature."""
        if self.precomputed:
            return int(self.prepared.dataset.features.shape[-1])
        return int(self.stage_dims[self.spec.stage])

    def images(self, split: str, variant: str) -> np.ndarray:
        """Image features for evaluation ``(N, D)``, of length 1."""
        if self.precomputed:
            return self._means(split, variant)
        return rich_image_features(self.stages(split), variant).eval[0]

    def image_source(self, variant: str) -> CachedFeatures:
        """Image features for training."""
        if self.precomputed:
            return CachedFeatures(self._means("train", variant)[None])
        return CachedFeatures(rich_image_features(self.stages("train"), variant).train)

    def stages(self, split: str) -> StageFeatures:
        """Pooled stage maps of a split: one file for all variants."""
        return self._keep(
            "stages", split, lambda: extract_stage_features(*self._where(split), **self._how(split))
        )

    def grid(self, split: str) -> Any:
        """Cells of the stage map of a split, with their boxes."""
        cells = {"stage": self.spec.stage, "grid": self.spec.grid}
        return self._keep(
            "grid", split, lambda: extract_grid_features(*self._where(split), **self._how(split), **cells)
        )

    def regions(self, split: str) -> np.ndarray:
        """Regions for evaluation ``(N, R, D)``."""
        if self.precomputed:
            features = self._own_regions(split)
            return features[np.arange(len(features))]
        return self.grid(split).regions

    def region_source(self) -> Any:
        """Regions for training."""
        if self.precomputed:
            return OwnRegions(self._own_regions("train"))
        return CachedFeatures(self.grid("train").train)

    def _where(self, split: str) -> tuple[Any, ...]:
        prepared = self.prepared
        return (
            prepared.backbone(),
            prepared.store(split),
            Path(prepared.spec.cache) / "features",
            prepared.spec.crop,
        )

    def _how(self, split: str) -> dict[str, Any]:
        spec = self.prepared.spec
        train = split == "train"
        views = {"views": spec.views if train else 0, "evaluation": not train}
        return {**views, "seed": spec.seed, "device": self.prepared.device, "precision": spec.precision}

    def _means(self, split: str, variant: str) -> np.ndarray:
        """Precomputed features as one vector an image: themselves or the mean of the regions, of length 1."""
        dataset = self.prepared.splits[split]
        if variant != "avg-4":
            raise ConfigError(
                f"{dataset.name}: precomputed features have no stages to pool, so image variant {variant!r} "
                "needs a dataset with pictures"
            )
        blocks = np.array_split(np.arange(dataset.n_images), -(-dataset.n_images // BLOCK))
        parts = (dataset.features[block] for block in blocks)
        rows = np.concatenate([part.mean(1) if part.ndim == 3 else part for part in parts])
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def _own_regions(self, split: str) -> Any:
        dataset = self.prepared.splits[split]
        if len(dataset.features.shape) != 3:
            raise ConfigError(
                f"{dataset.name}: attention needs regions (images, regions, numbers), found one vector an "
                "image; ask for the tables without attention, or take features with regions"
            )
        return dataset.features

    def _keep(self, what: str, split: str, make: Any) -> Any:
        if (what, split) not in self._kept:
            self._kept[what, split] = make()
        return self._kept[what, split]


class OwnRegions:
    """Regions of a dataset that brings its own, read batch by batch."""

    def __init__(self, features: Any) -> None:
        self.features = features

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Regions ``(B, R, D)``."""
        return torch.from_numpy(self.features[indices])


@lru_cache(maxsize=4)
def rich_data(data: DataSpec, spec: RichSpec, device: str = "cpu") -> RichData:
    """The inputs of a spec, one copy per process."""
    return RichData(prepare(data, device), spec)
