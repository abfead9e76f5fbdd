"""The bi-directional ranking loss (Zheng et al., Eq. 4; Faghri et al.; Fu et al., Eqs. 7-8)."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.losses.unit import unit_rows

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
    belongs to another group. Similarity is the cosine; a zero vector has similarity 0 with everything, and no
    gradient.

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
        A scalar, float32 for features in half precision. An anchor without any negative adds nothing.

    Raises:
        ConfigError: unknown ``negatives`` or ``reduction``, or batches of different sizes.

    >>> images = torch.eye(2)
    >>> float(ranking_loss(images, images, margin=1.0))
    0.0
    >>> float(ranking_loss(images, images.flip(0), margin=1.0))
    4.0
    """
    _check("ranking_loss", negatives, reduction)
    if images.shape != sentences.shape:
        raise ConfigError(
            f"ranking_loss takes pairs: images {tuple(images.shape)} and sentences "
            f"{tuple(sentences.shape)} differ"
        )
    groups = _groups("ranking_loss", groups, images)
    # Autocast would make the products below bfloat16, in which neighbouring similarities tie.
    with torch.autocast(images.device.type, enabled=False):
        images, sentences = unit_rows(images), unit_rows(sentences)
        positive = (images * sentences).sum(1)
        image_pool, image_groups = _pool(negative_images, images, groups)
        sentence_pool, sentence_groups = _pool(negative_sentences, sentences, groups)
        loss = _hinges(positive, images @ sentence_pool.T, groups, sentence_groups, margin, negatives)
        loss = loss + _hinges(positive, sentences @ image_pool.T, groups, image_groups, margin, negatives)
        return _reduced(loss, reduction)


def score_ranking_loss(
    scores: Tensor,
    groups: Tensor | None = None,
    margin: float = 0.2,
    negatives: str = "hardest",
    reduction: str = "sum",
) -> Tensor:
    """The same hinges on a matrix of scores, for networks that score a pair without embedding it.

    With ``"all"`` it is the sum of hinges of VSE0, with ``"hardest"`` the max of hinges of VSE++ (Faghri
    et al., BMVC 2018), which is also the hard triplet loss of Fu et al. (Eqs. 7 and 8), and what SCAN
    trains with.

    Args:
        scores: ``(B, B)``, any similarity: row i is image i, column j sentence j, the diagonal the pairs.
        groups: ``(B,)`` integers, items of one group are no negatives of one another; None says that every
            pair is a group of its own, as in the public code.
        margin: on the scale of the scores (papers: 0.2).
        negatives: ``"hardest"``, ``"all"`` or ``"mean"``, see :func:`ranking_loss`.
        reduction: ``"sum"`` (public code) or ``"mean"`` over the pairs of the batch.

    Returns:
        A scalar, float32 for scores in half precision. An anchor without any negative adds nothing.

    Raises:
        ConfigError: unknown ``negatives`` or ``reduction``, a matrix that is not square, groups of another
            length.

    >>> scores = torch.tensor([[0.5, 0.4], [0.9, 0.75]])
    >>> round(float(score_ranking_loss(scores)), 2)  # .1 and .35 of the images, .6 and 0 of the sentences
    1.05
    """
    _check("score_ranking_loss", negatives, reduction)
    if scores.dim() != 2 or scores.shape[0] != scores.shape[1]:
        raise ConfigError(
            "score_ranking_loss takes scores (B, B) of the images and sentences of B pairs, "
            f"found {tuple(scores.shape)}"
        )
    groups = _groups("score_ranking_loss", groups, scores)
    scores = _whole(scores)
    positive = scores.diagonal()
    loss = _hinges(positive, scores, groups, groups, margin, negatives)
    return _reduced(loss + _hinges(positive, scores.T, groups, groups, margin, negatives), reduction)


def _check(name: str, negatives: str, reduction: str) -> None:
    if negatives not in NEGATIVES or reduction not in REDUCTIONS:
        raise ConfigError(
            f"{name} takes negatives in {NEGATIVES} and reduction in {REDUCTIONS}, "
            f"found {negatives!r} and {reduction!r}"
        )


def _groups(name: str, groups: Tensor | None, pairs: Tensor) -> Tensor:
    """Groups of the pairs; each its own where none are given."""
    if groups is None:
        return torch.arange(len(pairs), device=pairs.device)
    if groups.shape != pairs.shape[:1]:
        raise ConfigError(f"{name} takes one group per pair ({len(pairs)}), found {tuple(groups.shape)}")
    return groups


def _whole(x: Tensor) -> Tensor:
    """Half precision to float32; the rest as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    """Loss of every pair ``(B,)`` to a scalar."""
    return loss.sum() / (max(len(loss), 1) if reduction == "mean" else 1)


def _pool(pool: tuple[Tensor, Tensor] | None, batch: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised negatives and their groups; the batch itself where no pool is given."""
    return (batch, groups) if pool is None else (unit_rows(pool[0]), pool[1])


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
