"""Batches, each a function of (seed, epoch, step) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from imtext.check import one_of, whole
from imtext.data.images import ImageStore
from imtext.data.sampling import group_batches
from imtext.data.transforms import augment, mirror, normalise
from imtext.errors import ConfigError, DataError
from imtext.text.shift import position_shift

IN_MEMORY = 4 * 2**30
Batch = dict[str, Tensor]


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


class Batches:
    """Called with an epoch's number, its :class:`Epoch`.

    A kind of batches has a ``seed``; ``plan(epoch)``, which items each batch holds; and
    ``batch(items, generator)``, the batch of these, which draws from the generator alone.
    """

    def __call__(self, epoch: int) -> Epoch:
        """The batches of an epoch."""
        return Epoch(self, epoch, self.plan(epoch))


class Epoch:
    """The batches of an epoch: ``len`` says how many, and each is made while the one before is used."""

    def __init__(self, batches: Batches, epoch: int, plan: Sequence[Any]) -> None:
        self.batches, self.epoch, self.plan = batches, epoch, plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for step in range(len(self)):
                following = ahead.submit(self._batch, step)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _batch(self, step: int) -> Batch:
        numbers = np.random.SeedSequence([self.batches.seed, self.epoch, step])
        state = numbers.generate_state(1, np.uint64)[0]
        return self.batches.batch(self.plan[step], torch.Generator().manual_seed(int(state >> np.uint64(1))))


class PairBatches(Batches):
    """Batches of pairs, no two of one group in a batch.

    Each holds ``images``, ``codes (B, L)``, ``groups``, ``classes`` and ``captions (B,)``, the indices of the
    captions; where there are any, also ``candidates (K, L)`` and ``candidate_classes (K,)``.

    Args:
        images: where image inputs come from.
        codes: ``(M, L)`` word codes, left-aligned; lengths: ``(M,)``.
        image_of_caption: ``(M,)``; group_of_caption: ``(M,)`` integers.
        batch_size, seed, captions_per_group: as for :func:`imtext.data.sampling.group_batches`.
        shift: whether each caption starts at a random position (Zheng et al., section 3.2, position shift).
        class_of_caption: ``(M,)`` integers in ``[0, C)``, what the classifier learns; None: the groups.
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
        self.image_of_caption, self.group_of_caption = image_of_caption, group_of_caption
        self.class_of_caption = group_of_caption if class_of_caption is None else class_of_caption
        self.batch_size, self.seed, self.shift = batch_size, seed, shift
        self.captions_per_group, self.candidates = captions_per_group, candidates

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The captions of each batch."""
        return group_batches(
            self.group_of_caption, self.batch_size, epoch, self.seed, per_group=self.captions_per_group
        )

    def batch(self, items: np.ndarray, generator: torch.Generator) -> Batch:
        """The batch of these captions."""
        batch = {
            "codes": self._placed(items, generator),
            "images": self.images.take(self.image_of_caption[items], generator),
            "groups": torch.from_numpy(self.group_of_caption[items]),
            "classes": torch.from_numpy(self.class_of_caption[items]),
            "captions": torch.from_numpy(items),
        }
        if self.candidates:
            anchors = self.group_of_caption[items[: len(items) // 2]]
            others = np.flatnonzero(~np.isin(self.group_of_caption, anchors))
            drawn = others[torch.randint(len(others), (self.candidates,), generator=generator).numpy()]
            batch["candidates"] = self._placed(drawn, generator)
            batch["candidate_classes"] = torch.from_numpy(self.class_of_caption[drawn])
        return batch

    def _placed(self, captions: np.ndarray, generator: torch.Generator) -> Tensor:
        """Codes of captions, each where it stands this time."""
        codes = self.codes[captions]
        return position_shift(codes, self.lengths[captions], generator) if self.shift else codes


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
        pixels: ImageSource | None = None,
    ) -> None:
        self.batch_size, self.seed = whole("batch_size", batch_size, 2), seed
        self.pairs_each = pairs_each if pairs_each is None else whole("pairs_each", pairs_each)
        self.images, self.captions, self.pairs, self.pixels = images, captions, pairs, pixels
        self.more_captions, self.more_images = more_captions, more_images
        self.negatives, self.negatives_each = negatives, negatives_each
        shape = images.shape[0], captions.shape[0]
        self.matches = sparse.csr_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=shape)
        self.matches_by_caption = sparse.csr_array(self.matches.T)

    def plan(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Images ``(n,)`` and captions ``(m,)`` of each batch, in rising order."""
        random, planned = np.random.default_rng([self.seed, epoch]), []
        order = random.permutation(len(self.pairs))
        if self.pairs_each is not None:
            order = order[_place_in_group(self.pairs[order, 0]) < self.pairs_each]
        for part in np.array_split(order, -(-len(order) // self.batch_size)):
            images, captions = (np.unique(column) for column in self.pairs[part].T)
            more = _one_more(self.matches, images, captions, random) if self.more_captions else captions
            if self.more_images:
                images = _one_more(self.matches_by_caption, captions, images, random)
            planned.append((self._with_negatives(images, more, random), more))
        return planned

    def batch(self, items: tuple[np.ndarray, np.ndarray], generator: torch.Generator) -> Batch:
        """The batch of these images and captions."""
        images, captions = items
        texts = self.captions[captions]
        texts = texts.toarray() if sparse.issparse(texts) else texts
        features = self.pixels.take(images, generator) if self.pixels else _float32(self.images[images])
        return {
            "images": features,
            "texts": _float32(texts),
            "match": torch.from_numpy(self.matches[images][:, captions].toarray()),
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
            own = _row(self.negatives, caption)
            found.append(random.choice(own, min(len(own), self.negatives_each), replace=False))
        return np.unique(np.concatenate(found))


def _float32(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(rows, dtype=np.float32))


def _row(matrix: sparse.csr_array, row: int) -> np.ndarray:
    """Columns that a row holds."""
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]


def _place_in_group(groups: np.ndarray) -> np.ndarray:
    """How many before each item are of its group, ``(P,)``.

    >>> _place_in_group(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    return pd.Series(groups).groupby(groups).cumcount().to_numpy()


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


class MixedBatches(Batches):
    """Batches in which every item is a photograph or a drawn caption, each with its class.

    A group is what has one class: an image and its (five) captions, or with two forms of each the image, its
    mirror image and two crops of each caption's picture, ten (Nawaz et al., section 4.1). The crops of a
    caption are two different ones, drawn anew each epoch; alone it is the middle one.

    Each holds ``inputs (B, 3, S, S)``, channels last, images before texts; ``classes (B,)``; ``is_text (B,)``
    bool; and ``captions``, the indices of the captions drawn.

    Args:
        images: has ``take(indices, generator)``, such as :class:`Pixels`, or is an image store, whose whole
            pictures are taken as they are.
        texts: draws the captions, such as ``TextImage.lazy`` returns, at the side and type of the images:
            ``take(indices, offsets)``, pictures ``(B, 3, S, S)``, ``offsets (B, 2)`` top and left of each
            crop or None; ``how.slack``, the largest offset.
        class_of_image: ``(N,)`` whole numbers from 0; class_of_caption: ``(M,)``.
        batch_size: groups in a batch, with everything they have (paper: 45).
        forms: how many of an image and of a caption, 1 or 2 each.
        seed: of order, crops and whatever ``images`` draws.

    Raises:
        ConfigError: other forms, a number out of range, or no room for two different crops.
    """

    def __init__(
        self,
        images: Any,
        texts: Any,
        class_of_image: np.ndarray,
        class_of_caption: np.ndarray,
        batch_size: int = 45,
        forms: tuple[int, int] = (1, 1),
        seed: int = 0,
    ) -> None:
        for side, count in zip(("images", "captions"), forms, strict=True):
            one_of(side, count, (1, 2))
        self.images, self.texts, self.forms = images, texts, forms
        self.batch_size, self.seed = whole("batch_size", batch_size), seed
        if forms[1] == 2 and texts.how.slack < 1:
            raise ConfigError(
                f"captions=2 takes two different crops of each text, and slack={texts.how.slack} leaves one; "
                "draw on a canvas larger than the side (paper: 256 for 227)"
            )
        self.n_images, self.n_captions = len(class_of_image), len(class_of_caption)
        self._list_items(np.concatenate([class_of_image, class_of_caption]))

    def _list_items(self, class_of_picture: np.ndarray) -> None:
        """The items of an epoch: image or caption, the first or second form of it, class by class."""
        forms = np.repeat(self.forms, [self.n_images, self.n_captions])
        picture = np.repeat(np.arange(len(class_of_picture)), forms)
        by_class = np.argsort(class_of_picture[picture], kind="stable")
        self.picture = picture[by_class]  # images, then captions behind them
        self.form = _place_in_group(picture)[by_class]
        self.class_of_item = class_of_picture[self.picture]
        _, first = np.unique(self.class_of_item, return_index=True)
        self.groups = np.split(np.arange(len(picture)), first[1:])

    def plan(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """The items of each batch and the epoch's crops; a batch of one is left out: batch norm needs two."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.groups))
        parts = np.array_split(order, -(-len(order) // self.batch_size))
        batches = [np.concatenate([self.groups[group] for group in part]) for part in parts]
        crops = self.crops(epoch)
        return [(batch, crops) for batch in batches if len(batch) > 1]

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
        is_text = self.picture[rows] >= self.n_images
        rows = np.concatenate([rows[~is_text], rows[is_text]])
        count = len(rows) - int(is_text.sum())
        picture, form = self.picture[rows], self.form[rows]
        captions, parts = picture[count:] - self.n_images, []
        if count:
            drawn = hasattr(self.images, "take")
            chosen = picture[:count]
            images = self.images.take(chosen, generator) if drawn else self.images.batch(chosen)
            second = torch.from_numpy(form[:count] == 1)[:, None, None, None]
            parts.append(torch.where(second, mirror(images), images))
        if len(captions):
            offsets = None if crops is None else crops[captions, form[count:]]
            parts.append(self.texts.take(captions, offsets))
        if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
            found = " and ".join(f"{tuple(part.shape[1:])} of {part.dtype}" for part in parts)
            raise DataError(
                f"one network takes images and texts of one size and type, found {found}; "
                "decode the images at the side of the drawn texts"
            )
        return {
            "inputs": torch.cat(parts).contiguous(memory_format=torch.channels_last),
            "classes": torch.from_numpy(self.class_of_item[rows]),
            "is_text": torch.arange(len(rows)) >= count,
            "captions": torch.from_numpy(captions),
        }
