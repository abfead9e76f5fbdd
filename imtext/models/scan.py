"""SCAN (Lee et al., ECCV 2018) and SCAN-RFE (Fu et al.): regions and words in one space, with attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from imtext.errors import ConfigError, DataError
from imtext.models.attention import DIRECTIONS, POOLINGS, scan_scores
from imtext.models.text_encoders import pack_words, word_layer
from imtext.unit import unit_rows

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
        rich: SCAN-RFE; project: with it, a linear layer takes a word's two parts back to ``dim`` (ours).
        direction: ``"t-i"``, words attend to regions, or ``"i-t"``, regions to words.
        pooling: ``"avg"`` or ``"lse"``.
        smooth: lambda of the softmax; None: as published, 9 for t-i and 4 for i-t.
        sharp: lambda of LSE; None: as published, 6 for t-i and 5 for i-t (Flickr30k; on COCO it is 20).

    Raises:
        ConfigError: a size below 1, an unknown direction or pooling.

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
        smooth: float | None = None,
        sharp: float | None = None,
        project: bool = False,
    ) -> None:
        super().__init__()
        sizes = (words, word_dim, dim, region_dim)
        if min(sizes) < 1 or direction not in DIRECTIONS or pooling not in POOLINGS:
            raise ConfigError(
                f"SCAN takes words, word_dim, dim and region_dim >= 1, direction in {DIRECTIONS} and pooling "
                f"in {POOLINGS}, found {sizes}, {direction!r} and {pooling!r}"
            )
        self.dim, self.direction, self.pooling = dim, direction, pooling
        self.smooth = SMOOTH[direction] if smooth is None else smooth
        self.sharp = SHARP[direction] if sharp is None else sharp
        self.rich = rich
        self.width = dim + word_dim if rich and not project else dim
        self.region = _linear(region_dim, self.width)
        self.word = word_layer(words, word_dim)
        self.rnn = nn.GRU(word_dim, dim, batch_first=True, bidirectional=True)
        self.join = _linear(dim + word_dim, dim) if rich and project else None

    def embed_regions(self, features: Tensor) -> Tensor:
        """Region features ``(B, R, region_dim)`` to unit rows ``(B, R, width)``.

        Padding becomes rows like others, which `scores` skips by the counts. Raises: DataError for
        features of another shape.
        """
        if features.ndim != 3 or features.shape[2] != self.region.in_features:
            raise DataError(
                f"regions: expected features (images, regions, {self.region.in_features}), "
                f"found shape {tuple(features.shape)}"
            )
        return unit_rows(self.region(features))

    def embed_words(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes ``(B, L)`` to unit rows ``(B, L, width)``, words first and zeros behind, and counts ``(B,)``.

        Codes of 0 are padding wherever they stand; a caption without words has the count 0.
        """
        if not codes.numel():
            return self.word.weight.new_zeros(*codes.shape, self.width), (codes != 0).sum(1)
        words, packed, counts = pack_words(self.word, codes)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=codes.shape[1])
        rows = unit_rows(states.unflatten(2, (2, self.dim)).mean(2))
        if self.rich:
            rows = torch.cat([rows, unit_rows(words)], dim=2)
            rows = unit_rows(rows if self.join is None else self.join(rows))
        behind = torch.arange(codes.shape[1], device=codes.device) >= counts[:, None]
        return rows.masked_fill(behind[:, :, None], 0), counts

    def scores(
        self,
        regions: Tensor,
        words: Tensor,
        region_counts: Tensor | None = None,
        word_counts: Tensor | None = None,
        block: int | None = None,
    ) -> Tensor:
        """Scores ``(N, M)`` of embedded regions and words, ``(., ., width)``: `scan_scores`."""
        return scan_scores(
            regions,
            words,
            region_counts,
            word_counts,
            direction=self.direction,
            pooling=self.pooling,
            smooth=self.smooth,
            sharp=self.sharp,
            block=block,
        )

    def forward(self, features: Tensor, codes: Tensor, region_counts: Tensor | None = None) -> Tensor:
        """Scores ``(N, M)`` of images ``(N, R, region_dim)`` and captions ``(M, L)``."""
        words, counts = self.embed_words(codes)
        return self.scores(self.embed_regions(features), words, region_counts, counts)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer that starts uniform in ±√6 / √(inputs + outputs), its bias at zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
