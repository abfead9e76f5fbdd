"""Batches of pairs, a function of (seed, epoch) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from imtext.data.images import ImageStore
from imtext.data.sampling import group_batches
from imtext.data.transforms import augment, normalise
from imtext.text.shift import position_shift

IN_MEMORY = 4 * 2**30


class ImageSource(Protocol):
    """What gives the images of a batch."""

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Image inputs of a training batch."""


class CachedFeatures:
    """Backbone features computed once: a random one of several augmented views per image and step.

    ``views (V, N, D)``, usually memory-mapped.
    """

    def __init__(self, views: np.ndarray) -> None:
        # Random rows of a memory map are slow where the system keeps few pages of it.
        self.views = np.array(views) if views.nbytes < IN_MEMORY else views

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Features ``(B, D)``."""
        view = torch.randint(len(self.views), (len(indices),), generator=generator).numpy()
        return torch.from_numpy(np.ascontiguousarray(self.views[view, indices]))


class Pixels:
    """Pixels from the image store, cropped, mirrored and normalised: for a backbone that is trained."""

    def __init__(self, store: ImageStore, crop: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.store, self.crop, self.mean, self.std = store, crop, mean, std

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Pixels ``(B, 3, crop, crop)``, float32, channels last."""
        images = augment(self.store.batch(indices), self.crop, generator)
        return normalise(images, self.mean, self.std).contiguous(memory_format=torch.channels_last)


class PairBatches:
    """Batches of pairs, no two of one group in a batch.

    Args:
        images: where image inputs come from.
        codes: ``(M, L)`` word codes, left-aligned; lengths: ``(M,)``.
        image_of_caption: ``(M,)``; group_of_caption: ``(M,)`` integers.
        class_of_caption: ``(M,)`` integers in ``[0, C)``, what the classifier learns; None: the groups.
        shift: whether each caption starts at a random position (Zheng et al., section 3.2, position shift).
        candidates: random captions beside those of a batch, none of a group of its first half, among which
            :class:`~imtext.training.DualPathObjective` finds the released negatives.
    """

    def __init__(
        self,
        images: ImageSource,
        codes: np.ndarray,
        lengths: np.ndarray,
        image_of_caption: np.ndarray,
        group_of_caption: np.ndarray,
        batch_size: int,
        seed: int = 0,
        shift: bool = True,
        captions_per_group: int | None = None,
        class_of_caption: np.ndarray | None = None,
        candidates: int = 0,
    ) -> None:
        self.images = images
        self.codes, self.lengths = torch.as_tensor(codes), torch.as_tensor(lengths)
        self.image_of_caption = np.asarray(image_of_caption)
        self.group_of_caption = np.asarray(group_of_caption)
        classes = group_of_caption if class_of_caption is None else class_of_caption
        self.class_of_caption = np.asarray(classes)
        self.batch_size, self.seed, self.shift = batch_size, seed, shift
        self.captions_per_group, self.candidates = captions_per_group, candidates

    def __call__(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Batches of an epoch, one step ahead.

        Each holds ``images``, ``codes (B, L)``, ``groups``, ``classes`` and ``captions (B,)``, the indices
        of the captions; where there are any, also ``candidates (K, L)`` and ``candidate_classes (K,)``.
        """
        order = group_batches(
            self.group_of_caption, self.batch_size, epoch, self.seed, per_group=self.captions_per_group
        )
        with ThreadPoolExecutor(1) as ahead:
            following = ahead.submit(self._batch, order[0], epoch, 0) if order else None
            for step in range(len(order)):
                batch = following.result()
                if step + 1 < len(order):
                    following = ahead.submit(self._batch, order[step + 1], epoch, step + 1)
                yield batch

    def steps(self, epoch: int = 0) -> int:
        """Number of batches of an epoch."""
        return len(
            group_batches(
                self.group_of_caption, self.batch_size, epoch, self.seed, per_group=self.captions_per_group
            )
        )

    def _batch(self, captions: np.ndarray, epoch: int, step: int) -> dict[str, Tensor]:
        seed = np.random.SeedSequence([self.seed, epoch, step]).generate_state(1, np.uint64)[0] >> np.uint64(
            1
        )
        generator = torch.Generator().manual_seed(int(seed))
        batch = {
            "codes": self._placed(captions, generator),
            "images": self.images.take(self.image_of_caption[captions], generator),
            "groups": torch.from_numpy(self.group_of_caption[captions]),
            "classes": torch.from_numpy(self.class_of_caption[captions]),
            "captions": torch.from_numpy(np.asarray(captions)),
        }
        if self.candidates:
            anchors = self.group_of_caption[captions[: len(captions) // 2]]
            others = np.flatnonzero(~np.isin(self.group_of_caption, anchors))
            drawn = others[torch.randint(len(others), (self.candidates,), generator=generator).numpy()]
            batch["candidates"] = self._placed(drawn, generator)
            batch["candidate_classes"] = torch.from_numpy(self.class_of_caption[drawn])
        return batch

    def _placed(self, captions: np.ndarray, generator: torch.Generator) -> Tensor:
        """Codes of captions, each where it stands this time."""
        codes = self.codes[captions]
        return position_shift(codes, self.lengths[captions], generator) if self.shift else codes
