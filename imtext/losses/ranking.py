"""The bi-directional ranking loss (Zheng et al., Eq. 4; Faghri et al.; Fu et al., Eqs. 7-8)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imtext.check import one_of
from imtext.losses.common import expect, reduced, same_group, widened
from imtext.unit import unit_rows

NEGATIVES = ("all", "hardest", "mean")


def hinge_loss(
    scores: Tensor,
    groups: Tensor | None = None,
    margin: float = 0.2,
    negatives: str = "hardest",
    reduction: str = "sum",
) -> Tensor:
    """Hinges of an image anchor and of a text anchor against the negatives of a batch, on any similarity.

    With ``"all"`` it is the sum of hinges of VSE0, with ``"hardest"`` the max of hinges of VSE++ (Faghri
    et al., BMVC 2018), which is also the hard triplet loss of Fu et al. (Eqs. 7 and 8), and what SCAN
    trains with.

    Args:
        scores: ``(B, B)``: row i is image i, column j caption j, the diagonal the pairs.
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
    >>> round(float(hinge_loss(scores)), 2)  # .1 and .35 of the images, .6 and 0 of the captions
    1.05
    """
    one_of("negatives", negatives, NEGATIVES)
    expect(scores.dim() == 2 and len(scores) == scores.shape[1], "scores (B, B) of B pairs", scores)
    scores, same = widened(scores), same_group(groups, scores)
    above = margin - scores.diagonal()[:, None]
    loss = _of_anchors(above + scores, same, negatives) + _of_anchors(above + scores.T, same, negatives)
    return reduced(loss.sum(), len(scores), reduction)


def ranking_loss(images: Tensor, captions: Tensor, groups: Tensor | None = None, **hinge: Any) -> Tensor:
    """:func:`hinge_loss` of the cosines of images and captions (Zheng et al., Eq. 4).

    A zero vector has cosine 0 with everything, and no gradient.

    Args:
        images: ``(B, D)``; captions: ``(B, D)``; pair ``i`` is ``(images[i], captions[i])``.
        groups, hinge: ``margin``, ``negatives`` and ``reduction`` of :func:`hinge_loss`, and its defaults;
            Zheng et al. take a margin of 1.

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
    expect(images.shape == captions.shape, "images and captions (B, D) of B pairs", images, captions)
    # Autocast would make the product below bfloat16, in which neighbouring similarities tie.
    with torch.autocast(images.device.type, enabled=False):
        return hinge_loss(unit_rows(images) @ unit_rows(captions).T, groups, **hinge)


def quadruple_ranking_loss(
    images: Tensor, captions: Tensor, negative_images: Tensor, negative_captions: Tensor, margin: float = 0.2
) -> Tensor:
    """Eq. 4 of Zheng et al. as printed: each pair against one image and one caption that are given.

    Args:
        images, captions: ``(B, D)``, the pairs; negative_images, negative_captions: ``(B, D)``, the
            negatives of each.
        margin: on the cosine (Zheng et al.: 1).

    Returns:
        A scalar, the sum over the pairs; float32 for features in half precision.

    Raises:
        ConfigError: batches of different sizes.

    >>> corners = torch.eye(3)
    >>> float(quadruple_ranking_loss(corners[:1], corners[:1], corners[1:2], corners[2:], margin=1.5))
    1.0
    """
    sides = (images, captions, negative_images, negative_captions)
    expect(all(side.shape == images.shape for side in sides), "four batches of one size", *sides)
    images, captions, negative_images, negative_captions = map(unit_rows, sides)
    above = margin - (images * captions).sum(1)
    of_images = (above + (images * negative_captions).sum(1)).clamp_min(0)
    return (of_images + (above + (captions * negative_images).sum(1)).clamp_min(0)).sum()


def _of_anchors(above: Tensor, same: Tensor, negatives: str) -> Tensor:
    """Loss of every anchor ``(B,)``: how far ``above (B, B)`` 0 its negatives are; ``same`` is symmetric."""
    hinges = above.clamp_min(0).masked_fill(same, 0.0)
    if negatives == "all" or not len(hinges):
        return hinges.sum(1)
    if negatives == "mean":
        return hinges.sum(1) / (~same).sum(1).clamp_min(1)
    # The hinge grows with the score, so the largest hinge is that of the hardest negative.
    return hinges.amax(1)
