"""Stacked cross attention (Lee et al., ECCV 2018): scores of images and captions, by the Gram form.

Words attend to regions (``"t-i"``) or regions to words (``"i-t"``). Call what is attended to the *context*
(the regions of an image for t-i, the words of a caption for i-t) and what attends to it the *queries*. With
``s[k, l]`` the cosine of context row k and query row l:

1. ``x[k, l]`` is LeakyReLU (slope .1) of ``s[k, l]``, divided by the norm of ``x[k]`` over the queries;
2. ``a[k, l]`` is the softmax over the context k of ``smooth * x[k, l]``;
3. the relevance ``r[l]`` is the cosine of query l and the vector it attends to, the sum of ``a[k, l] c[k]``;
4. the score of the pair is the mean of ``r`` (AVG) or ``log(sum(exp(sharp * r))) / sharp`` (LSE; the paper
   prints the exponent ``1 / sharp`` behind the logarithm, the released code divides, and so does this).

The attended vector is never formed. Its product with the query is ``sum(a[:, l] * s[:, l])`` and its squared
norm ``a[:, l] @ G @ a[:, l]``, with the Gram matrix ``G = C @ C.T`` of the context: one matrix product of all
words and all regions serves all pairs. A cosine does not change with the length of ``a``, so the softmax
needs no sum either; and rows of zeros used as padding drop out of both products.

Epsilon, 1e-8, is added to the norm in step 1 (a context row with no similarity to any query has ``x = 0``),
and is the least length of a row and of an attended vector. In float32 the length of an attended vector loses
digits where context rows cancel one another; its cosine stays between -1 and 1.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from imtext.errors import ConfigError, DataError
from imtext.models.attention_rows import Rows, Side, check_pair
from imtext.retrieval.similarity import block_shape, each
from imtext.unit import EPSILON

DIRECTIONS = ("t-i", "i-t")
POOLINGS = ("avg", "lse")
SLOPE = 0.1


def scan_scores(
    regions: Tensor,
    words: Tensor,
    region_counts: Tensor | None = None,
    word_counts: Tensor | None = None,
    direction: str = "t-i",
    pooling: str = "avg",
    smooth: float = 9.0,
    sharp: float = 6.0,
    block: int | None = None,
) -> Tensor:
    """Scores ``(N, M)`` of all pairs of an image and a caption, differentiable, in blocks.

    Args:
        regions: ``(N, R, D)``; rows are scaled to unit length.
        words: ``(M, W, D)``, likewise.
        region_counts: ``(N,)`` whole numbers: an image has so many regions and the rows behind them are
            padding, which is never read; None: R each.
        word_counts: ``(M,)``, likewise.
        direction: ``"t-i"``, words attend to regions, or ``"i-t"``, regions attend to words.
        pooling: ``"avg"`` or ``"lse"``.
        smooth: lambda of the softmax (published: 9 for t-i, 4 for i-t).
        sharp: lambda of LSE (published: 6 for t-i; 5 on Flickr30k and 20 on COCO for i-t).
        block: images and captions in a block; None: what suits the processor's cache or the GPU.

    An image without regions and a caption without words score 0 with everything and pass no gradient on.
    The work is done in float32, or in float64 if an input has it, under autocast too.

    Raises:
        DataError: arrays or counts that do not fit, NaN or infinity (where a gradient is asked for, NaN is
            left to show in the loss).
        ConfigError: unknown direction or pooling, a lambda or a block out of range.

    >>> regions = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 2.0]]])
    >>> words = torch.tensor([[[3.0, 0.0], [9.0, 9.0]]])
    >>> scan_scores(regions, words, word_counts=torch.tensor([1]), smooth=4).round(decimals=3).tolist()
    [[1.0], [0.0]]
    """
    _check_settings(direction, pooling, smooth, sharp)
    images, captions = Side("regions", regions, region_counts), Side("words", words, word_counts)
    dtype = check_pair(images, captions)
    context, queries = (images, captions) if direction == "t-i" else (captions, images)
    training = torch.is_grad_enabled() and (regions.requires_grad or words.requires_grad)
    scores = torch.zeros(len(regions), len(words), dtype=dtype, device=regions.device)
    target = scores if direction == "t-i" else scores.T
    few, many = _block_sizes(context, queries, training, block)
    parts = context.parts(few)
    for some in queries.chunks(many):
        seen = [queries.rows(index, dtype, rows_first=True) for index in some]
        fill = partial(_fill, target, context, seen, training, pooling=pooling, smooth=smooth, sharp=sharp)
        if training:
            for part in parts:
                fill(part)
        elif parts:
            each(fill, parts, scores.device)
    if not (training or torch.isfinite(scores).all()):
        images.find_fault()
        captions.find_fault()
    return scores


def attend(regions: Tensor, words: Tensor, direction: str = "t-i", smooth: float = 9.0) -> Tensor:
    """Who attends to what in one pair of an image and a caption, for pictures.

    ``regions (R, D)`` and ``words (W, D)``, without padding, give the weights ``(W, R)`` for ``"t-i"``, how
    each word spreads over the regions, or ``(R, W)`` for ``"i-t"``. Rows sum to 1. They are the softmax
    inside `scan_scores`.

    Raises:
        DataError: arrays that do not fit, no region or no word.
        ConfigError: an unknown direction, or ``smooth`` out of range.

    >>> attend(torch.eye(2), torch.tensor([[1.0, 0.0]]), smooth=2.0).round(decimals=2)
    tensor([[0.8800, 0.1200]])
    """
    _check_settings(direction, "avg", smooth, 1.0)
    sides = Side("regions", regions[None]), Side("words", words[None])
    dtype = check_pair(*sides)
    for side in sides:
        if not len(side.order):
            raise DataError(
                f"{side.name}: there is nothing to draw the attention of, expected at least one row"
            )
    context, queries = sides if direction == "t-i" else sides[::-1]
    with torch.autocast(regions.device.type, enabled=False):
        rows = context.rows(context.order, dtype)
        cosines = _cosines(rows, queries.rows(queries.order, dtype, rows_first=True))
        weights = _weights(cosines, rows, smooth)[0, :, :, 0].T
        return weights / weights.sum(1, keepdim=True)


def _fill(
    scores: Tensor,
    context: Side,
    seen: list[Rows],
    training: bool,
    part: Tensor,
    pooling: str,
    smooth: float,
    sharp: float,
) -> None:
    """Write the scores of the contexts of ``part`` with all queries that are ready."""
    # A thread begins with gradients kept and without autocast, whatever its maker had.
    with torch.set_grad_enabled(training), torch.autocast(scores.device.type, enabled=False):
        rows = context.rows(part, scores.dtype)
        gram = rows.unit @ rows.unit.mT
        for queries in seen:
            relevance = _relevance(rows, gram, queries, smooth)
            scores[rows.items[:, None], queries.items] = _pool(relevance, queries, pooling, sharp)


def _cosines(context: Rows, queries: Rows) -> Tensor:
    """Cosines ``(n, K, L, m)`` of n contexts of K rows and m queries of L rows: one matrix product.

    In this order every sum over rows adds up whole stretches of memory.
    """
    product = context.unit.flatten(0, 1) @ queries.unit.flatten(0, 1).T
    return product.view(*context.unit.shape[:2], *queries.unit.shape[:2])


def _weights(cosines: Tensor, context: Rows, smooth: float) -> Tensor:
    """The softmax over the context of every query, up to a factor: the largest weight is 1."""
    x = F.leaky_relu(cosines, SLOPE)
    squares = x.square().sum(2, keepdim=True)
    # Below epsilon the norm is rounding, and its gradient at 0 is not finite.
    scale = smooth / (squares.clamp_min(EPSILON**2).sqrt() + EPSILON)
    x = x * torch.where(squares > EPSILON**2, scale, 0)
    if context.ragged:
        x = x.masked_fill_(~context.present[:, :, None, None], -torch.inf)
    return x.sub_(x.detach().amax(1, keepdim=True)).exp_()


def _relevance(context: Rows, gram: Tensor, queries: Rows, smooth: float) -> Tensor:
    """Cosines ``(n, L, m)`` of every query and the vector it attends to; 0 for padding."""
    cosines = _cosines(context, queries)
    weights = _weights(cosines, context, smooth)
    product = (weights * cosines).sum(1)
    weights = weights.flatten(2)
    square = (gram @ weights * weights).sum(1).view_as(product)
    inverse = square.clamp_min(EPSILON**2).rsqrt()
    return (product * torch.where(square > EPSILON**2, inverse, 0)).clamp(-1, 1)


def _pool(relevance: Tensor, queries: Rows, pooling: str, sharp: float) -> Tensor:
    """Scores ``(n, m)``: AVG or LSE over the rows that are there."""
    if pooling == "avg":
        return relevance.sum(1) / queries.counts
    relevance = sharp * relevance
    if queries.ragged:
        relevance = relevance.masked_fill(~queries.present, -torch.inf)
    return relevance.logsumexp(1) / sharp


def _block_sizes(context: Side, queries: Side, training: bool, block: int | None) -> tuple[int, int]:
    """How many contexts and queries at a time, by their mean counts."""
    device = context.values.device
    if block is not None:
        return block_shape(1, 1, device, block)
    if device.type != "cpu":
        rows, numbers = (1 << 13, 1 << 22) if training else (1 << 13, 1 << 26)
    else:  # a block of the second-level cache, but wide enough for threads and few steps back
        rows, numbers = (1 << 13, 1 << 20) if training else (288, 288 * 768)
    n = max(1, min(len(context.order), rows // context.mean))
    m = max(1, numbers // (n * context.mean * queries.mean))
    return n, m if m < 16 else m // 16 * 16  # whole vector registers


def _check_settings(direction: str, pooling: str, smooth: float, sharp: float) -> None:
    if direction not in DIRECTIONS or pooling not in POOLINGS:
        raise ConfigError(
            f"attention takes direction in {DIRECTIONS} and pooling in {POOLINGS}, "
            f"found {direction!r} and {pooling!r}"
        )
    for name, value in (("smooth", smooth), ("sharp", sharp)):
        if not (isinstance(value, (int, float)) and 0 < value < float("inf")):
            raise ConfigError(f"attention: expected {name} to be a finite number above 0, found {value!r}")
