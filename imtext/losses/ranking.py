"""The bi-directional ranking loss on cosine similarities (Zheng et al., Eq. 4, and its usual relatives)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imtext.errors import ConfigError

NEGATIVES = ("all", "hardest", "mean")
REDUCTIONS = ("mean", "sum")


def ranking_loss(
    images: Tensor,
    sentences: Tensor,
    groups: Tensor | None = None,
    margin: float = 1.0,
    negatives: str = "hardest",
    reduction: str = "mean",
    negative_images: tuple[Tensor, Tensor] | None = None,
    negative_sentences: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Hinges of an image anchor and of a text anchor against negatives (Zheng et al., Eq. 4).

    Pair ``i`` of the batch is ``(images[i], sentences[i])``. An item is a negative of anchor ``i`` when it
    belongs to another group. Similarity is the cosine; a zero vector has similarity 0 with everything.

    Args:
        images: ``(B, D)``; sentences: ``(B, D)``.
        groups: ``(B,)`` integers; None says that every pair is a group of its own.
        margin: alpha of Eq. 4, on the cosine (paper: 1).
        negatives: ``"hardest"``, the most similar negative of each anchor, ``"all"``, the sum over
            them, or ``"mean"``, what a negative drawn at random costs on average.
        reduction: ``"mean"`` or ``"sum"`` over the pairs of the batch.
        negative_images: a pool ``(features (P, D), groups (P,))`` to take the negative images from; None
            takes the batch itself. The released code draws them from the other half of the batch.
        negative_sentences: the same for sentences. The released code draws 256 at random.

    Returns:
        A scalar. An anchor without any negative adds nothing.

    Raises:
        ConfigError: unknown ``negatives`` or ``reduction``, or batches of different sizes.

    >>> images = torch.eye(2)
    >>> float(ranking_loss(images, images, margin=1.0))
    0.0
    >>> float(ranking_loss(images, images.flip(0), margin=1.0))
    4.0
    """
    if negatives not in NEGATIVES or reduction not in REDUCTIONS:
        raise ConfigError(
            f"ranking_loss takes negatives in {NEGATIVES} and reduction in {REDUCTIONS}, "
            f"found {negatives!r} and {reduction!r}"
        )
    if images.shape != sentences.shape:
        raise ConfigError(
            f"ranking_loss takes pairs: images {tuple(images.shape)} and sentences "
            f"{tuple(sentences.shape)} differ"
        )
    if groups is None:
        groups = torch.arange(len(images), device=images.device)
    images, sentences = F.normalize(images, dim=1), F.normalize(sentences, dim=1)
    positive = (images * sentences).sum(1)
    image_pool, image_groups = _pool(negative_images, images, groups)
    sentence_pool, sentence_groups = _pool(negative_sentences, sentences, groups)
    loss = _hinges(positive, images @ sentence_pool.T, groups, sentence_groups, margin, negatives)
    loss = loss + _hinges(positive, sentences @ image_pool.T, groups, image_groups, margin, negatives)
    return loss.sum() / (max(len(images), 1) if reduction == "mean" else 1)


def _pool(pool: tuple[Tensor, Tensor] | None, batch: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised negatives and their groups; the batch itself where no pool is given."""
    return (batch, groups) if pool is None else (F.normalize(pool[0], dim=1), pool[1])


def _hinges(
    positive: Tensor, scores: Tensor, groups: Tensor, pool_groups: Tensor, margin: float, negatives: str
) -> Tensor:
    """Hinge of every anchor ``(B,)`` against its negatives among ``scores (B, P)``."""
    same = groups[:, None] == pool_groups[None, :]
    hinges = (margin - positive[:, None] + scores).clamp_min(0).masked_fill(same, 0.0)
    if negatives == "all" or scores.shape[1] == 0:
        return hinges.sum(1)
    if negatives == "mean":
        return hinges.sum(1) / (~same).sum(1).clamp_min(1)
    # The hinge grows with the score, so the largest hinge is that of the hardest negative.
    return hinges.amax(1)
