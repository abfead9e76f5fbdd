"""Batches with positives and neighbours, and what Wang et al. minimise on them (CVPR 2016, section 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses import structure_preserving_loss
from imtext.models import TwoBranch
from imtext.training.batches import ImageSource


class NeighbourBatches:
    """Random pairs of images and captions with precomputed features; each item once in a batch.

    "For each x_i in a given minibatch, we add one more positive caption distinct from the ones that may
    already be included among the sampled pairs, resulting in mini-batches of variable size"
    (section 2.2); for regions and phrases also one more region for each phrase (section 3.3).

    Args:
        images: ``(N, Dx)`` features; captions: ``(M, Dy)`` features, dense or sparse.
        pairs: ``(P, 2)`` integers, image and caption of each pair; an item may be in many.
        batch_size: pairs drawn for a batch (paper: 1,500).
        more_captions, more_images: whether positives are added.
        seed: batches are a function of (seed, epoch) alone.
        negatives: for each caption, rows of ``images`` that it must not match, as a sparse ``(M, N)`` matrix
            or None; some are added to each batch that the caption is in.
        negatives_each: how many, drawn at random.
        pairs_each: pairs of each image drawn for an epoch; None takes all. What matches does not change.

    Raises:
        ConfigError: ``batch_size`` below 2 or ``pairs_each`` below 1.
    """

    def __init__(
        self,
        images: np.ndarray,
        captions: Any,
        pairs: np.ndarray,
        batch_size: int = 1500,
        more_captions: bool = True,
        more_images: bool = False,
        seed: int = 0,
        negatives: sparse.csr_array | None = None,
        negatives_each: int = 5,
        pairs_each: int | None = None,
    ) -> None:
        if batch_size < 2:
            raise ConfigError(f"batch_size={batch_size}: expected at least 2 pairs")
        if pairs_each is not None and pairs_each < 1:
            raise ConfigError(
                f"pairs_each={pairs_each}: expected at least 1 pair of an image, or None for all"
            )
        self.images, self.captions, self.pairs = images, captions, np.asarray(pairs, dtype=np.int64)
        self.batch_size, self.seed = batch_size, seed
        self.more_captions, self.more_images = more_captions, more_images
        self.negatives, self.negatives_each = negatives, negatives_each
        self.pairs_each = pairs_each
        ones = np.ones(len(self.pairs), dtype=bool)
        shape = (images.shape[0], captions.shape[0])
        self.matches = sparse.csr_array((ones, tuple(self.pairs.T)), shape=shape)
        self.matches_by_caption = sparse.csr_array(self.matches.T)

    def steps(self, epoch: int = 0) -> int:
        """Number of batches of an epoch."""
        each = np.bincount(self.pairs[:, 0])
        drawn = len(self.pairs) if self.pairs_each is None else np.minimum(each, self.pairs_each).sum()
        return -(-int(drawn) // self.batch_size)

    def __call__(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Batches: ``images (n, Dx)``, ``texts (m, Dy)``, ``match (n, m)`` bool, ``captions (m,)``."""
        for images, captions in self.rows(epoch):
            features = torch.from_numpy(np.asarray(self.images[images], dtype=np.float32))
            yield {"images": features, **self.text_side(images, captions)}

    def rows(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Which images ``(n,)`` and captions ``(m,)`` each batch of an epoch holds, in rising order."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.pairs))
        if self.pairs_each is not None:
            order = order[_place_in_group(self.pairs[order, 0]) < self.pairs_each]
        for part in np.array_split(order, self.steps()):
            images, captions = (np.unique(column) for column in self.pairs[part].T)
            more = _one_more(self.matches, images, captions, random) if self.more_captions else captions
            if self.more_images:
                images = _one_more(self.matches_by_caption, captions, images, random)
            yield self._with_negatives(images, more, random), more

    def text_side(self, images: np.ndarray, captions: np.ndarray) -> dict[str, Tensor]:
        """A batch but for its images: ``texts (m, Dy)``, ``match (n, m)`` bool, ``captions (m,)``."""
        texts = self.captions[captions]
        texts = texts.toarray() if sparse.issparse(texts) else np.asarray(texts)
        match = self.matches[images][:, captions].toarray()
        return {
            "texts": torch.from_numpy(np.asarray(texts, dtype=np.float32)),
            "match": torch.from_numpy(match.astype(bool)),
            "captions": torch.from_numpy(captions),
        }

    def _with_negatives(
        self, images: np.ndarray, captions: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """``images`` and a few hard negatives of each caption."""
        if self.negatives is None:
            return images
        found = [images]
        for caption in captions:
            own = self.negatives.indices[
                self.negatives.indptr[caption] : self.negatives.indptr[caption + 1]
            ]
            found.append(random.choice(own, min(len(own), self.negatives_each), replace=False))
        return np.unique(np.concatenate(found))


class PixelNeighbours:
    """The batches of :class:`NeighbourBatches` with pixels in place of features: for a CNN that is trained.

    Each image is once in a batch, however many of its captions are, and so goes through the CNN once.

    Args:
        neighbours: says which images and captions are in a batch; of its images only the number counts.
        images: where the pixels come from; what it draws is a function of (seed, epoch, batch) alone.
    """

    def __init__(self, neighbours: NeighbourBatches, images: ImageSource) -> None:
        self.neighbours, self.images = neighbours, images

    def steps(self, epoch: int = 0) -> int:
        """Number of batches of an epoch."""
        return self.neighbours.steps(epoch)

    def __call__(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Batches, one ahead: ``images (n, 3, H, W)`` and the others of :class:`NeighbourBatches`."""
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for step, (images, captions) in enumerate(self.neighbours.rows(epoch)):
                following = ahead.submit(self._batch, epoch, step, images, captions)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _batch(self, epoch: int, step: int, images: np.ndarray, captions: np.ndarray) -> dict[str, Tensor]:
        state = np.random.SeedSequence([self.neighbours.seed, epoch, step]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        pixels = self.images.take(images, generator)
        return {"images": pixels, **self.neighbours.text_side(images, captions)}


def _place_in_group(groups: np.ndarray) -> np.ndarray:
    """How many before each item are of its group, ``(P,)``.

    >>> _place_in_group(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(groups, kind="stable")
    _, begins, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(begins, sizes)
    return places


def _one_more(
    matches: sparse.csr_array, anchors: np.ndarray, there: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """``there`` and for each anchor one more item that matches it, where it has one that is not there."""
    taken = np.zeros(matches.shape[1], dtype=bool)
    taken[there] = True
    for anchor in anchors:
        own = matches.indices[matches.indptr[anchor] : matches.indptr[anchor + 1]]
        left = own[~taken[own]]
        if len(left):
            taken[left[random.integers(len(left))]] = True
    return np.flatnonzero(taken)


class StructureObjective(nn.Module):
    """The structure-preserving loss of a two-branch network.

    Args:
        net: the network; the other arguments as for :func:`imtext.losses.structure_preserving_loss`.

    >>> objective = StructureObjective(TwoBranch(3, 3, dim=2, hidden=None))
    >>> batch = {"images": torch.randn(4, 3), "texts": torch.randn(4, 3), "match": torch.eye(4).bool()}
    >>> sorted(objective(batch))
    ['loss']
    """

    def __init__(
        self,
        net: TwoBranch,
        margin: float = 0.1,
        top_k: int = 50,
        lambdas: tuple[float, float, float] = (2.0, 0.0, 0.2),
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        self.net = net
        self.options = {
            "margin": margin,
            "top_k": top_k,
            "lambdas": tuple(lambdas),
            "reduction": reduction,
        }
        self.epoch = 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of a batch of :class:`NeighbourBatches`."""
        images, captions = self.net(batch["images"], batch["texts"])
        return {"loss": structure_preserving_loss(images, captions, batch["match"], **self.options)}
