"""Batches, each a function of (seed, epoch, step) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from imtext.check import whole
from imtext.data.images import ImageStore
from imtext.data.sampling import group_batches
from imtext.data.transforms import augment
from imtext.text.shift import position_shift
from imtext.vision.features import seeded

Batch = dict[str, Any]


class Batches:
    """Called with an epoch's number, its :class:`Epoch`.

    A kind of batches has a ``seed``; ``plan(epoch)``, which items each batch holds; and
    ``batch(items, generator)``, the batch of these, which draws from the generator alone.
    """

    def __call__(self, epoch: int) -> Epoch:
        """The batches of an epoch."""
        return Epoch(self, epoch, self.plan(epoch))


@dataclass(eq=False)
class Epoch:
    """The batches of an epoch, each made when it is asked for; ``len`` says how many."""

    batches: Batches
    epoch: int
    plan: Sequence[Any]

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        for step, items in enumerate(self.plan):
            yield self.batches.batch(items, seeded(self.batches.seed, self.epoch, step))


@dataclass(eq=False)
class PairBatches(Batches):
    """Batches of pairs, no two of one group in a batch.

    Each holds ``images``, ``codes (B, L)``, ``groups``, ``classes`` and ``captions (B,)``, the indices of the
    captions; ``lengths``, a list of how many words each has, at least 1; where there are any, also
    ``candidates (K, L)`` and ``candidate_classes (K,)``.

    Args:
        images: ``take(indices, generator)`` gives those of a batch, see :mod:`imtext.vision.reading`.
        codes: ``(M, L)`` word codes, left-aligned, or what gives pictures ``(B, 3, S, S)`` for indices;
            lengths: ``(M,)``.
        image_of_caption: ``(M,)``; group_of_caption: ``(M,)`` integers.
        batch_size, seed, captions_per_group: as for :func:`imtext.data.sampling.group_batches`.
        shift: whether each caption starts at a random position (Zheng et al., section 3.2, position shift).
        class_of_caption: ``(M,)`` integers in ``[0, C)``, what the classifier learns; None: the groups.
        candidates: random captions beside those of a batch, none of a group of its first half, among which
            :class:`~imtext.training.objectives.DualPathObjective` finds the released negatives.
    """

    images: Any
    codes: np.ndarray
    lengths: np.ndarray
    image_of_caption: np.ndarray
    group_of_caption: np.ndarray
    batch_size: int
    seed: int = 0
    shift: bool = True
    captions_per_group: int | None = None
    class_of_caption: np.ndarray | None = None
    candidates: int = 0

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The captions of each batch."""
        how = self.batch_size, epoch, self.seed, self.captions_per_group
        return group_batches(self.group_of_caption, *how)

    def batch(self, items: np.ndarray, generator: torch.Generator) -> Batch:
        """The batch of these captions."""
        classes = self.group_of_caption if self.class_of_caption is None else self.class_of_caption
        batch = {
            "codes": self._placed(items, generator),
            "images": self.images.take(self.image_of_caption[items], generator),
            "groups": torch.from_numpy(self.group_of_caption[items]),
            "classes": torch.from_numpy(classes[items]),
            "captions": torch.from_numpy(items),
            "lengths": self.lengths[items].clip(1).tolist(),
        }
        if self.candidates:
            anchors = self.group_of_caption[items[: len(items) // 2]]
            others = np.flatnonzero(~np.isin(self.group_of_caption, anchors))
            drawn = others[torch.randint(len(others), (self.candidates,), generator=generator).numpy()]
            batch["candidates"] = self._placed(drawn, generator)
            batch["candidate_classes"] = torch.from_numpy(classes[drawn])
        return batch

    def _placed(self, captions: np.ndarray, generator: torch.Generator) -> Tensor:
        """Codes of captions, each where it stands this time."""
        codes = torch.as_tensor(self.codes[captions])
        lengths = torch.as_tensor(self.lengths[captions])
        return position_shift(codes, lengths, generator) if self.shift else codes


@dataclass(eq=False)
class NeighbourBatches(Batches):
    """Random pairs of images and captions with precomputed features; each item once in a batch.

    "For each x_i in a given minibatch, we add one more positive caption distinct from the ones that may
    already be included among the sampled pairs, resulting in mini-batches of variable size" (Wang et al.,
    CVPR 2016, section 2.2); for regions and phrases also one more region for each phrase (section 3.3).

    Each holds ``images (n, Dx)``, ``texts (m, Dy)``, ``match (n, m)`` bool and ``captions (m,)``.

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
        pixels: what gives the images of a batch in the place of ``images``, of which only the number counts
            then: for a CNN that is trained, which sees an image once, however many of its captions there are.
    """

    images: np.ndarray
    captions: Any
    pairs: np.ndarray
    batch_size: int = 1500
    more_captions: bool = True
    more_images: bool = False
    seed: int = 0
    negatives: sparse.csr_array | None = None
    negatives_each: int = 5
    pairs_each: int | None = None
    pixels: Any = None

    @cached_property
    def matches(self) -> sparse.csr_array:
        """Which captions match an image, ``(N, M)``."""
        shape = self.images.shape[0], self.captions.shape[0]
        return sparse.csr_array((np.ones(len(self.pairs), bool), tuple(self.pairs.T)), shape=shape)

    def plan(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Images ``(n,)`` and captions ``(m,)`` of each batch, in rising order."""
        random, planned = np.random.default_rng([self.seed, epoch]), []
        order = random.permutation(len(self.pairs))
        if self.pairs_each is not None:
            order = pd.Series(order).groupby(self.pairs[order, 0]).head(self.pairs_each).to_numpy()
        for part in np.array_split(order, -(-len(order) // self.batch_size)):
            images, captions = (np.unique(column) for column in self.pairs[part].T)
            more = _one_more(self.matches, images, captions, random) if self.more_captions else captions
            if self.more_images:
                images = _one_more(sparse.csr_array(self.matches.T), captions, images, random)
            planned.append((self._hardened(images, more, random), more))
        return planned

    def batch(self, items: tuple[np.ndarray, np.ndarray], generator: torch.Generator) -> Batch:
        """The batch of these images and captions."""
        images, captions = items
        texts = self.captions[captions]
        texts = texts.toarray() if sparse.issparse(texts) else texts
        features = torch.from_numpy(self.images[images])
        return {
            "images": self.pixels.take(images, generator) if self.pixels else features.float(),
            "texts": torch.from_numpy(texts).float(),
            "match": torch.from_numpy(self.matches[images][:, captions].toarray()),
            "captions": torch.from_numpy(captions),
        }

    def _hardened(self, images: np.ndarray, captions: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """``images`` and a few hard negatives of each caption."""
        if self.negatives is None:
            return images
        found = [images]
        for caption in captions:
            own = _row(self.negatives, caption)
            found.append(random.choice(own, min(len(own), self.negatives_each), replace=False))
        return np.unique(np.concatenate(found))


def _row(matrix: sparse.csr_array, row: int) -> np.ndarray:
    """Columns that a row holds."""
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]


def _one_more(
    matches: sparse.csr_array, anchors: np.ndarray, there: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """``there`` and for each anchor one more item that matches it, where it has one that is not there."""
    taken = np.zeros(matches.shape[1], dtype=bool)
    taken[there] = True
    for anchor in anchors:
        own = _row(matches, anchor)
        left = own[~taken[own]]
        if len(left):
            taken[left[random.integers(len(left))]] = True
    return np.flatnonzero(taken)


@dataclass(eq=False)
class MixedBatches(Batches):
    """Batches in which every item is a photograph or a drawn caption, each with its class.

    A group is what has one class: an image and its (five) captions, or with two forms of each the image, its
    mirror image and two crops of each caption's picture, ten (Nawaz et al., section 4.1). The crops of a
    caption are two different ones, drawn anew each epoch; alone it is the middle one.

    Each holds ``inputs (B, 3, S, S)``, uint8, channels last, images before texts; ``classes (B,)``;
    ``is_text (B,)`` bool; and ``captions``, the indices of the captions drawn.

    Args:
        images: an image store; pictures of another side than S are cropped to it at random.
        texts: draws the captions, such as ``TextImage.lazy`` returns: ``take(indices, offsets)``, pictures
            ``(B, 3, S, S)``, ``offsets (B, 2)`` top and left of each crop or None; ``how.side``, S, and
            ``how.slack``, the largest offset.
        class_of_image: ``(N,)`` whole numbers from 0; class_of_caption: ``(M,)``.
        batch_size: pictures in a batch, images and captions in the proportions of the epoch (paper: 45); or
            with ``together`` groups, with everything they have.
        forms: how many of an image and of a caption, 1 or 2 each.
        seed: of order and crops.
        together: whether groups stay together.
        each: images and captions of a group drawn for an epoch, so many of either; None takes all.

    Raises:
        ConfigError: other forms, or no ``slack`` for two different crops (paper: 29 pixels beside 227).
    """

    images: ImageStore
    texts: Any
    class_of_image: np.ndarray
    class_of_caption: np.ndarray
    batch_size: int = 45
    forms: tuple[int, int] = (1, 1)
    seed: int = 0
    together: bool = False
    each: int | None = None

    def __post_init__(self) -> None:
        whole("images", self.forms[0], 1, 2)
        whole("captions", self.forms[1], 1, 2)
        whole("slack", self.texts.how.slack, least=self.forms[1] - 1)
        counts = self.n_images, self.n_captions = len(self.class_of_image), len(self.class_of_caption)
        class_of_picture = np.concatenate([self.class_of_image, self.class_of_caption])
        # Items, class by class: image, or caption behind them, and whether its second form.
        picture = np.repeat(np.arange(sum(counts)), np.repeat(self.forms, counts))
        by_class = np.argsort(class_of_picture[picture], kind="stable")
        self.picture, self.second = picture[by_class], (np.diff(picture, prepend=-1) == 0)[by_class]
        self.classes, self.is_text = class_of_picture[self.picture], self.picture >= self.n_images

    def plan(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """The items of each batch, and the epoch's crops."""
        random, items = np.random.default_rng([self.seed, epoch]), np.arange(len(self.picture))
        if self.each is not None:
            items = random.permutation(items)
            kinds = self.classes[items], self.is_text[items]
            items = np.sort(pd.Series(items).groupby(list(kinds)).head(self.each))
        _, first = np.unique(self.classes[items] if self.together else items, return_index=True)
        groups = np.split(items, first[1:])
        order = random.permutation(len(groups))
        if not self.together:  # as many images in each batch as in any other
            share = pd.Series(range(len(order))).groupby(self.is_text[items[order]]).rank(pct=True)
            order = order[np.argsort(share, kind="stable")]
        parts, crops = np.array_split(order, -(-len(order) // self.batch_size)), self.crops(epoch)
        return [(np.concatenate([groups[group] for group in part]), crops) for part in parts]

    def crops(self, epoch: int) -> np.ndarray | None:
        """Offsets of an epoch's crops ``(M, 2, 2)``: caption, form, top and left; None: the middle one."""
        if self.forms[1] == 1:
            return None
        random, side = np.random.default_rng([self.seed, epoch, 1]), self.texts.how.slack + 1
        chosen = random.integers(side**2, size=self.n_captions)
        other = (chosen + random.integers(1, side**2, size=self.n_captions)) % side**2
        return np.stack(np.divmod(np.stack([chosen, other], 1), side), -1)

    def batch(self, items: tuple[np.ndarray, np.ndarray | None], generator: torch.Generator) -> Batch:
        """The batch of these items."""
        rows, crops = items
        own, drawn = rows[~self.is_text[rows]], rows[self.is_text[rows]]
        images, side = self.images.batch(self.picture[own]), self.texts.how.side
        if images.shape[-1] != side:
            images = augment(images, side, generator, flip=False)
        mirrored = torch.from_numpy(self.second[own])[:, None, None, None]
        images = torch.where(mirrored, images.flip(-1), images)
        captions = self.picture[drawn] - self.n_images
        offsets = None if crops is None else crops[captions, self.second[drawn].astype(int)]
        pictures = torch.cat([images, self.texts.take(captions, offsets)])
        return {
            "inputs": pictures.contiguous(memory_format=torch.channels_last),
            "classes": torch.from_numpy(self.classes[np.concatenate([own, drawn])]),
            "is_text": torch.arange(len(rows)) >= len(own),
            "captions": torch.from_numpy(captions),
        }
