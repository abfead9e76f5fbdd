"""The structure-preserving loss (Wang et al., CVPR 2016, Eq. 5): ranking across views, neighbours within."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from imtext.check import one_of, whole
from imtext.errors import ConfigError
from imtext.losses.common import REDUCTIONS, expect
from imtext.unit import unit_rows

# Under the root: the distance of two equal vectors then has a gradient, and it is finite.
EPSILON = 1e-4


def structure_preserving_loss(
    images: Tensor,
    captions: Tensor,
    match: Tensor | None = None,
    margin: float = 0.1,
    top_k: int = 50,
    lambdas: tuple[float, float, float] = (2.0, 0.0, 0.2),
    reduction: str = "sum",
) -> Tensor:
    """Hinges of both ranking directions and of both neighbourhoods, the ``top_k`` largest of each pair.

    With the Euclidean distance ``d`` of unit vectors, each positive pair (an image and its caption, two
    captions of one image, two images of one phrase) is to be closer by ``margin`` than its first item is to
    any negative (Wang et al., Eqs. 1 to 4). Of all hinges of a pair the ``top_k`` largest count
    (section 2.2, triplet sampling). These are the nearest negatives of the first item, whatever the second
    is, so they are looked for once an item and not once a pair. What belongs together is never a negative.
    The code released with the later journal version has a row for each draw of an image, and captions of
    another draw are negatives: repeat the rows, and let ``match`` say what was drawn together.

    Args:
        images: ``(N, D)``, each image of the batch once; captions: ``(M, D)``.
        match: ``(N, M)`` bool, which belong together; many to many for regions and phrases. None says that
            pair ``i`` is ``(images[i], captions[i])``.
        margin: m (paper: 0.1).
        top_k: K (paper: 50); more than there are negatives means all of them.
        lambdas: lambda 1, 2 and 3 of Eq. 5: caption to image, images among themselves, captions among
            themselves (paper: 2, 0, 0.2; for regions 2, 0.1, 0.1). Image to caption has weight 1.
        reduction: ``"sum"`` over the violations (paper); ``"pairs"``, that sum over the number of pairs of
            image and caption, as a layer of 2016's toolboxes divides by what is in its batch; or ``"mean"``
            over all pairs times ``top_k``, zeros included, for each term (released code, in which a caption
            has one pair among captions, with the farthest of its image; here, as in the paper, one with each:
            the same for two captions an image).

    Returns:
        A scalar; 0, with a gradient of zeros, where there is no pair or no negative.

    Raises:
        ConfigError: an option or a shape does not fit.

    >>> corners = torch.eye(3)
    >>> float(structure_preserving_loss(corners, corners))
    0.0
    >>> loss = structure_preserving_loss(torch.ones(2, 2), torch.ones(2, 2), lambdas=(0, 0, 0))
    >>> round(float(loss), 4)  # all in one point: each of two images has one negative, a margin too near
    0.2
    """
    expect(images.shape[1:] == captions.shape[1:], "images (N, D) and captions (M, D)", images, captions)
    if match is None:
        match = torch.eye(len(images), dtype=torch.bool, device=images.device)
    wanted = (len(images), len(captions))
    expect(match.dtype == torch.bool and match.shape == wanted, f"pairs, or match as bool {wanted}", match)
    if len(lambdas) != 3 or min(lambdas) < 0:
        raise ConfigError(f"lambdas={lambdas}: expected three of at least 0")
    to_images, among_images, among_captions = lambdas
    reduction = one_of("reduction", reduction, (*REDUCTIONS, "pairs"))
    term = partial(_term, margin=margin, top_k=whole("top_k", top_k), mean=reduction == "mean")
    # Autocast would make the products below bfloat16, in which neighbouring distances tie.
    with torch.autocast(images.device.type, enabled=False):
        images, captions = unit_rows(images), unit_rows(captions)
        across = images @ captions.T
        loss = term(across, match, match)
        if to_images:
            loss = loss + to_images * term(across.T, match.T, match.T)
        if among_images:
            loss = loss + among_images * term(_Gram.apply(images), *_neighbours(match))
        if among_captions:
            loss = loss + among_captions * term(_Gram.apply(captions), *_neighbours(match.T))
        return loss / match.sum().clamp_min(1) if reduction == "pairs" else loss


class _Gram(torch.autograd.Function):
    """``x @ x.T``, whose gradient is one product instead of the two that autograd makes of it."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x @ x.T

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return (gradient + gradient.T) @ x


def _neighbours(match: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of rows that share a column; and with the diagonal, which is neither pair nor negative."""
    # Few belong together: a dense product would cost more than those of the embeddings.
    dense = match.float()
    shared = torch.sparse.mm(dense.to_sparse(), dense.T) > 0
    return shared.clone().fill_diagonal_(False), shared.fill_diagonal_(True)


def _term(scores: Tensor, pairs: Tensor, closed: Tensor, margin: float, top_k: int, mean: bool) -> Tensor:
    """One sum of Eq. 5, or its mean, of cosines ``(A, B)``; what is ``closed`` is no negative."""
    first, second = pairs.nonzero(as_tuple=True)
    nearest = scores.masked_fill(closed, -torch.inf).topk(min(top_k, scores.shape[1]), dim=1).values
    hinges = (margin + _distance(scores[first, second])[:, None] - _distance(nearest)[first]).clamp_min(0)
    return hinges.sum() / max(len(first) * top_k, 1) if mean else hinges.sum()


def _distance(cosine: Tensor) -> Tensor:
    """Euclidean distance of unit vectors from their cosine."""
    return ((2 - 2 * cosine).clamp_min(0) + EPSILON).sqrt()
