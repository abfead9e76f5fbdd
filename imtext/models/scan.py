"""SCAN (Lee et al., ECCV 2018) and SCAN-RFE (Fu et al.): words and regions that attend to each other.

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

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from imtext.check import number, one_of, whole
from imtext.errors import DataError
from imtext.models.joint import started
from imtext.models.text_encoders import Lengths, pack_words, word_layer
from imtext.threads import torch_threads
from imtext.unit import EPSILON, unit_rows

DIRECTIONS = ("t-i", "i-t")
POOLINGS = ("avg", "lse")
SMOOTH = {"t-i": 9.0, "i-t": 4.0}
SHARP = {"t-i": 6.0, "i-t": 5.0}


class SCAN(nn.Module):
    """Regions through one layer, words through a BiGRU, and the cross attention of both.

    Regions: fc, L2. Words: word layer, one bidirectional GRU layer over the words that are there, the mean of
    its two directions at each word, L2. The word layer starts uniform in ±0.1, the fc uniform in
    ±√6 / √(inputs + outputs) with bias 0, the GRU as torch has it (released code).

    ``rich`` is SCAN-RFE: "we concatenate word embedding vector and word feature from BiGRU while the rest of
    SCAN remains unchanged" (Fu et al.). Both parts have length 1, as in its Eq. 6, and stand side by side,
    then L2; so the space has ``dim + word_dim`` numbers, 1,324, and the fc of the regions as many outputs.
    The paper does not say that the fc is wider, but its Table V fits it: scoring takes 38 % longer than SCAN.

    Args:
        words: dictionary size d; codes run from 1 to d, 0 is padding.
        word_dim: width of the word layer (paper: 300).
        dim: width of the BiGRU's states, and of the space but for ``rich`` (paper: 1,024).
        region_dim: length of a region's feature (paper: 2,048).
        rich: SCAN-RFE.
        direction: ``"t-i"``, words attend to regions, or ``"i-t"``, regions to words.
        pooling: ``"avg"`` or ``"lse"``.
        sharp: lambda of LSE; None: as published, 6 for t-i and 5 for i-t (Flickr30k; on COCO it is 20).
        vectors: None, or ``(d, word_dim)`` that the words start from, as for
            :class:`~imtext.models.text_encoders.LSTMText`.
        dropout: share of the numbers of regions and of word vectors that training drops (papers: none).

    Raises:
        ConfigError: a ``dim`` below 1, an unknown direction or pooling.

    >>> net = SCAN(words=10, word_dim=4, dim=8, region_dim=6)
    >>> regions = net.embed_regions(torch.randn(2, 5, 6))
    >>> words, counts = net.embed_words(torch.tensor([[3, 1, 0], [2, 0, 0], [0, 0, 0]]))
    >>> words.shape, counts.tolist()
    (torch.Size([3, 3, 8]), [2, 1, 0])
    >>> net.scores(regions, words, word_counts=counts).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        words: int,
        word_dim: int = 300,
        dim: int = 1024,
        region_dim: int = 2048,
        rich: bool = False,
        direction: str = "t-i",
        pooling: str = "avg",
        sharp: float | None = None,
        vectors: np.ndarray | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole("dim", dim)
        one_of("direction", direction, DIRECTIONS)
        one_of("pooling", pooling, POOLINGS)
        self.dim, self.direction, self.pooling = dim, direction, pooling
        self.smooth = SMOOTH[direction]
        self.sharp = SHARP[direction] if sharp is None else sharp
        self.rich, self.width = rich, dim + word_dim if rich else dim
        (self.region,) = started(nn.Linear(region_dim, self.width))
        self.word = word_layer(words, word_dim, vectors)
        self.dropout = nn.Dropout(number("dropout", dropout, most=0.99))
        self.rnn = nn.GRU(word_dim, dim, batch_first=True, bidirectional=True)

    def embed_regions(self, features: Tensor) -> Tensor:
        """Region features ``(B, R, region_dim)`` to unit rows ``(B, R, width)``.

        Padding becomes rows like others, which `scores` skips by the counts.
        """
        return unit_rows(self.region(self.dropout(features)))

    def embed_words(self, codes: Tensor, lengths: Lengths = None) -> tuple[Tensor, Tensor]:
        """Codes ``(B, L)`` to unit rows ``(B, L, width)``, words first and zeros behind, and counts ``(B,)``.

        Codes of 0 are padding wherever they stand; a caption without words has the count 0.
        """
        words, packed, counts = pack_words(self.word, codes, lengths)
        read, _ = self.rnn(packed._replace(data=self.dropout(packed.data)))
        states, _ = pad_packed_sequence(read, batch_first=True, total_length=codes.shape[1])
        rows = unit_rows(states.unflatten(2, (2, self.dim)).mean(2))
        if self.rich:
            rows = unit_rows(torch.cat([rows, unit_rows(words)], dim=2))
        behind = torch.arange(codes.shape[1], device=codes.device) >= counts[:, None]
        return rows.masked_fill(behind[:, :, None], 0), counts

    def scores(
        self, regions: Tensor, words: Tensor, region_counts: Any = None, word_counts: Any = None
    ) -> Tensor:
        """Scores ``(N, M)`` of embedded regions and words, ``(., ., width)``: `scan_scores`."""
        how = self.direction, self.pooling, self.smooth, self.sharp
        return scan_scores(regions, words, region_counts, word_counts, *how)

    def forward(self, features: Tensor, codes: Tensor, lengths: Lengths = None) -> Tensor:
        """Scores ``(N, M)`` of images ``(N, R, region_dim)`` and captions ``(M, L)``."""
        words, counts = self.embed_words(codes, lengths)
        return self.scores(self.embed_regions(features), words, None, counts)


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
    The work is done in float32, or in float64 if an input has it, under autocast too. Memory: a copy of what
    attends, and blocks.

    Raises:
        DataError: arrays or counts that do not fit, NaN or infinity (where a gradient is asked for, NaN is
            left to show in the loss).
        ConfigError: unknown direction or pooling, a lambda or a block out of range.

    >>> regions = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 2.0]]])
    >>> words = torch.tensor([[[3.0, 0.0], [9.0, 9.0]]])
    >>> scan_scores(regions, words, word_counts=torch.tensor([1]), smooth=4).round(decimals=3).tolist()
    [[1.0], [0.0]]
    """
    one_of("direction", direction, DIRECTIONS)
    one_of("pooling", pooling, POOLINGS)
    number("smooth", smooth, 1e-6)
    number("sharp", sharp, 1e-6)
    dtype = torch.promote_types(torch.promote_types(regions.dtype, words.dtype), torch.float32)
    regions, words = regions.to(dtype), words.to(dtype)
    sides = _Side("regions", regions, region_counts), _Side("words", words, word_counts)
    dims = regions.shape[2], words.shape[2]
    if dims[0] != dims[1]:
        raise DataError(f"regions have {dims[0]} dimensions, words {dims[1]}; both must lie in one space")
    training = torch.is_grad_enabled() and (regions.requires_grad or words.requires_grad)
    scores = torch.zeros(len(regions), len(words), dtype=dtype, device=regions.device)
    (context, queries), target = (sides, scores) if direction == "t-i" else (sides[::-1], scores.T)
    # On a CPU blocks fit the cache, on a GPU a block is work enough for all. Where nothing is trained, each
    # thread of a CPU has blocks of its own.
    whole_device = training or scores.is_cuda
    rows, numbers = (1 << 13, 1 << 22) if scores.is_cuda else (576, 1 << 17)
    few = max(1, min(len(context.values), rows // context.mean))
    many = max(16, numbers // (few * context.mean * queries.mean) // 16 * 16)  # whole vector registers
    if block is not None:
        few = many = whole("block", block)
    # Rows first, (L, m, D): in this order every sum over rows adds up whole stretches of memory.
    blocks = map(queries.block, queries.parts(many))
    seen = [one._replace(rows=one.rows.transpose(0, 1).contiguous()) for one in blocks]

    def fill(part: Tensor) -> None:
        # A thread begins with gradients kept and without autocast, whatever its maker had.
        with torch.inference_mode(not training), torch.autocast(scores.device.type, enabled=False):
            some = context.block(part)
            gram = some.rows @ some.rows.mT
            for others in seen:
                relevance = _relevance(some, gram, others, smooth)
                if pooling == "avg":
                    pooled = relevance.sum(1) / (~others.padding).sum(1)
                else:
                    exponents = sharp * relevance.masked_fill(others.padding.T, -torch.inf)
                    pooled = exponents.logsumexp(1) / sharp
                target[some.items[:, None], others.items] = pooled

    if whole_device:
        for part in context.parts(few):
            fill(part)
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool, torch_threads(1):
            list(pool.map(fill, context.parts(few)))
    return scores


def attend(regions: Tensor, words: Tensor, direction: str = "t-i", smooth: float = 9.0) -> Tensor:
    """Who attends to what in one pair of an image and a caption, for pictures.

    ``regions (R, D)`` and ``words (W, D)``, without padding, give the weights ``(W, R)`` for ``"t-i"``, how
    each word spreads over the regions, or ``(R, W)`` for ``"i-t"``. Rows sum to 1. They are the softmax
    inside `scan_scores`.

    Raises:
        ConfigError: an unknown direction, or ``smooth`` out of range.

    >>> attend(torch.eye(2), torch.tensor([[1.0, 0.0]]), smooth=2.0).round(decimals=2)
    tensor([[0.8800, 0.1200]])
    """
    pair = (regions, words) if one_of("direction", direction, DIRECTIONS) == "t-i" else (words, regions)
    with torch.autocast(regions.device.type, enabled=False):
        context, queries = map(unit_rows, pair)
        cosines = (context @ queries.T)[None, :, :, None]
        hidden = torch.zeros(1, len(context), dtype=torch.bool, device=regions.device)
        weights = _weights(cosines, hidden, number("smooth", smooth, 1e-6))[0, :, :, 0].T
        return weights / weights.sum(1, keepdim=True)


class _Block(NamedTuple):
    """Items ``(n,)``, their unit rows ``(n, K, D)``, and which of these are ``padding (n, K)``, zeros."""

    items: Tensor
    rows: Tensor
    padding: Tensor


class _Side:
    """Images with their regions, or captions with their words: ``values (N, K, D)``, ``counts (N,)``."""

    def __init__(self, name: str, values: Tensor, counts: Any) -> None:
        if values.ndim != 3:
            raise DataError(f"{name}: expected a tensor (items, rows, D), found shape {tuple(values.shape)}")
        length, most = values.shape[:2]
        counts = torch.full((length,), most) if counts is None else torch.as_tensor(counts).cpu()
        whole_numbers = not counts.is_floating_point() and counts.shape == (length,)
        if not whole_numbers or ((counts < 0) | (counts > most)).any():
            raise DataError(f"{name}: expected {length} counts, whole numbers from 0 to {most}")
        self.name, self.values, self.counts = name, values, counts
        self.mean = max(1, int(counts.sum()) // max(1, length))

    def parts(self, size: int) -> list[Tensor]:
        """The items that have rows, ``size`` at a time, those of like counts together: little is padding."""
        order = self.counts.argsort(stable=True)[int((self.counts == 0).sum()) :]
        return [part for part in order.split(size) if len(part)]

    def block(self, items: Tensor) -> _Block:
        """The rows of ``items``, cut at the longest; whatever stands in padding, NaN too, is not read."""
        counts = self.counts[items, None]
        padding = (torch.arange(int(counts.max())) >= counts).to(self.values.device)
        items = items.to(self.values.device)
        rows = unit_rows(self.values[items, : padding.shape[1]].masked_fill(padding[:, :, None], 0))
        if not (rows.requires_grad or rows.sum().isfinite()):
            item = int(items[~rows.isfinite().flatten(1).all(1)][0])
            raise DataError(f"{self.name}: item {item} holds NaN or infinity; correct the features")
        return _Block(items, rows, padding)


def _weights(cosines: Tensor, padding: Tensor, smooth: float) -> Tensor:
    """The softmax over the context of every query, up to a factor: the largest weight is 1."""
    x = F.leaky_relu(cosines, 0.1)
    squares = x.square().sum(2, keepdim=True)
    # Below epsilon the norm is rounding, and its gradient at 0 is not finite.
    scale = smooth / (squares.clamp_min(EPSILON**2).sqrt() + EPSILON)
    x = x * torch.where(squares > EPSILON**2, scale, 0)
    if padding.any():
        x = x.masked_fill_(padding[:, :, None, None], -torch.inf)
    return x.sub_(x.detach().amax(1, keepdim=True)).exp_()


def _relevance(context: _Block, gram: Tensor, queries: _Block, smooth: float) -> Tensor:
    """Cosines ``(n, L, m)`` of every query and the vector it attends to; 0 for padding."""
    product = context.rows.flatten(0, 1) @ queries.rows.flatten(0, 1).T
    cosines = product.view(*context.padding.shape, *queries.rows.shape[:2])
    weights = _weights(cosines, context.padding, smooth)
    along = (weights * cosines).sum(1)
    weights = weights.flatten(2)
    square = (gram @ weights * weights).sum(1).view_as(along)
    inverse = square.clamp_min(EPSILON**2).rsqrt()
    return (along * torch.where(square > EPSILON**2, inverse, 0)).clamp(-1, 1)
