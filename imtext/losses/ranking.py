"""The bi-directional ranking loss (Zheng et al., Eq. 4; Faghri et al.; Fu et al., Eqs. 7-8)."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.unit import unit_rows

NEGATIVES = ("all", "hardest", "mean")
REDUCTIONS = ("mean", "sum")


def ranking_loss(
    images: Tensor,
    captions: Tensor,
    groups: Tensor | None = None,
    margin: float = 0.2,
    negatives: str = "hardest",
    reduction: str = "sum",
) -> Tensor:
    """Hinges of an image anchor and of a text anchor against the negatives of a batch (Zheng et al., Eq. 4).

    It is :func:`score_ranking_loss` of the cosines. A zero vector has cosine 0 with everything, and no
    gradient.

    Args:
        images: ``(B, D)``; captions: ``(B, D)``; pair ``i`` is ``(images[i], captions[i])``.
        groups, margin, negatives, reduction: see :func:`score_ranking_loss`; Zheng et al. take a margin of 1.

    Returns:
        A scalar, float32 for features in half precision. An anchor without any negative adds nothing.

    Raises:
        ConfigError: unknown ``negatives`` or ``reduction``, or batches of different sizes.

    >>> images = torch.eye(2)
    >>> float(ranking_loss(images, images, margin=1.0))
    0.0
    >>> float(ranking_loss(images, images.flip(0), margin=1.0, reduction="mean"))
    4.0
    """
    _check("ranking_loss", negatives, reduction)
    if images.shape != captions.shape:
        raise ConfigError(
            f"ranking_loss takes pairs: images {tuple(images.shape)} and captions "
            f"{tuple(captions.shape)} differ"
        )
    groups = _groups("ranking_loss", groups, images)
    # Autocast would make the product below bfloat16, in which neighbouring similarities tie.
    with torch.autocast(images.device.type, enabled=False):
        return score_ranking_loss(
            unit_rows(images) @ unit_rows(captions).T, groups, margin, negatives, reduction
        )


def quadruple_ranking_loss(
    images: Tensor,
    captions: Tensor,
    negative_images: Tensor,
    negative_captions: Tensor,
    margin: float = 0.2,
    reduction: str = "sum",
) -> Tensor:
    """Eq. 4 of Zheng et al. as printed: each pair against one image and one caption that are given.

    Args:
        images, captions: ``(B, D)``, the pairs; negative_images, negative_captions: ``(B, D)``, the
            negatives of each.
        margin, reduction: see :func:`score_ranking_loss`.

    Returns:
        A scalar, float32 for features in half precision.

    Raises:
        ConfigError: an unknown ``reduction``, or batches of different sizes.

    >>> corners = torch.eye(3)
    >>> float(quadruple_ranking_loss(corners[:1], corners[:1], corners[1:2], corners[2:], margin=1.5))
    1.0
    """
    _check("quadruple_ranking_loss", NEGATIVES[0], reduction)
    sides = (images, captions, negative_images, negative_captions)
    if any(side.shape != images.shape for side in sides):
        raise ConfigError(
            "quadruple_ranking_loss takes four batches of one size, "
            f"found {', '.join(str(tuple(side.shape)) for side in sides)}"
        )
    images, captions, negative_images, negative_captions = map(unit_rows, sides)
    above = margin - (images * captions).sum(1)
    loss = (above + (images * negative_captions).sum(1)).clamp_min(0)
    return _reduced(loss + (above + (captions * negative_images).sum(1)).clamp_min(0), reduction)


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
        scores: ``(B, B)``, any similarity: row i is image i, column j caption j, the diagonal the pairs.
        groups: ``(B,)`` integers, items of one group are no negatives of one another; None says that every
            pair is a group of its own, as in the public code.
        margin: on the scale of the scores (VSE++, SCAN: 0.2).
        negatives: ``"hardest"``, the most similar negative of each anchor, ``"all"``, the sum over
            them, or ``"mean"``, what a negative drawn at random costs on average.
        reduction: ``"sum"`` (public code) or ``"mean"`` over the pairs of the batch.

    Returns:
        A scalar, float32 for scores in half precision. An anchor without any negative adds nothing.

    Raises:
        ConfigError: unknown ``negatives`` or ``reduction``, a matrix that is not square, groups of another
            length.

    >>> scores = torch.tensor([[0.5, 0.4], [0.9, 0.75]])
    >>> round(float(score_ranking_loss(scores)), 2)  # .1 and .35 of the images, .6 and 0 of the captions
    1.05
    """
    _check("score_ranking_loss", negatives, reduction)
    if scores.dim() != 2 or scores.shape[0] != scores.shape[1]:
        raise ConfigError(
            "score_ranking_loss takes scores (B, B) of the images and captions of B pairs, "
            f"found {tuple(scores.shape)}"
        )
    groups = _groups("score_ranking_loss", groups, scores)
    scores, same = _whole(scores), groups[:, None] == groups[None, :]
    positive = scores.diagonal()
    loss = _hinges(positive, scores, same, margin, negatives)
    return _reduced(loss + _hinges(positive, scores.T, same, margin, negatives), reduction)


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


def _hinges(positive: Tensor, scores: Tensor, same: Tensor, margin: float, negatives: str) -> Tensor:
    """Hinge of every anchor ``(B,)`` against its negatives among ``scores (B, B)``; ``same`` is symmetric."""
    hinges = (margin - positive[:, None] + scores).clamp_min(0).masked_fill(same, 0.0)
    if negatives == "all" or not len(scores):
        return hinges.sum(1)
    if negatives == "mean":
        return hinges.sum(1) / (~same).sum(1).clamp_min(1)
    # The hinge grows with the score, so the largest hinge is that of the hardest negative.
    return hinges.amax(1)
