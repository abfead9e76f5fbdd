"""The deep text CNN: a residual network over words (Zheng et al., section 3.2 and Fig. 3)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imtext.check import one_of
from imtext.models.text_encoders import start_words

BLOCKS = {50: (3, 4, 6, 1), 152: (3, 8, 36, 1)}
OUTPUTS = (256, 512, 1024, 2048)
# Released network: channels inside the first block of each stage; later blocks have a quarter of the outputs.
FIRST_INNER = (128, 512, 1024, 2048)


class PositionConv(nn.Module):
    """Convolution over 1 or 2 neighbouring positions, without bias, then batch norm.

    Maps ``(B, L, C_in)`` to ``(B, ceil(L / stride), C_out)``. Written as a matrix product on
    channels-last data: equal to ``Conv1d`` with one zero of padding on the left, and faster on a CPU.

    >>> PositionConv(8, 4, size=2, stride=2)(torch.zeros(2, 32, 8)).shape
    torch.Size([2, 16, 4])
    """

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.weight = nn.Parameter(torch.empty(outputs, size * inputs))
        # Kaiming "fan out" of the convolution that this is.
        nn.init.normal_(self.weight, std=(2.0 / (outputs * size)) ** 0.5)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Positions ``(B, L, C_in)`` to ``(B, ceil(L / stride), C_out)``."""
        if self.size == 2:
            x = torch.cat([F.pad(x, (0, 0, 1, 0))[:, :-1], x], dim=2)
        x = F.linear(x[:, :: self.stride], self.weight)
        return self.norm(x.flatten(0, 1)).view_as(x)


class TextBlock(nn.Module):
    """Bottleneck block: 1x1, 1x2 (padded by one on the left), 1x1, and a shortcut (Zheng et al., Fig. 3).

    Maps ``(B, L, C_in)`` to ``(B, ceil(L / stride), C_out)``.

    >>> TextBlock(8, 4, 16, stride=2)(torch.zeros(2, 32, 8)).shape
    torch.Size([2, 16, 16])
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.reduce = PositionConv(inputs, inner)
        self.pair = PositionConv(inner, inner, size=2, stride=stride)
        self.expand = PositionConv(inner, outputs)
        plain = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if plain else PositionConv(inputs, outputs, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Positions ``(B, L, C_in)`` to ``(B, ceil(L / stride), C_out)``."""
        y = F.relu(self.reduce(x))
        y = self.expand(F.relu(self.pair(y)))
        return F.relu(y + self.shortcut(x))


class TextCNN(nn.Module):
    """Captions to features: word layer, four residual stages, pooling (Zheng et al., section 3.2).

    The paper draws the network after ResNet-50; the sizes are those of the authors' released plan:

    ===== ====== ====================== ===================== ======
    stage blocks first block            later blocks          stride
    ===== ====== ====================== ===================== ======
    1     3      300, 128, 128, 256     256, 64, 64, 256      1
    2     4      256, 512, 512, 512     512, 128, 128, 512    2
    3     6      512, 1024, 1024, 1024  1024, 256, 256, 1024  2
    4     1      1024, 2048, 2048, 2048 none                  1
    ===== ====== ====================== ===================== ======

    At depth 50 and width 1 these stages have 26,102,784 weights. There is no released plan for depth 152: its
    stages have the same blocks, 3, 8, 36 and 1 of them.

    Args:
        words: dictionary size d; codes run from 1 to d, 0 is padding.
        word_dim: width of the word layer (paper: 300, that of word2vec).
        depth: 50 or 152, after the residual network it mirrors.
        width: multiplier on every channel count but the word layer's (1 is the paper's network).
        vectors: ``(d, word_dim)`` that the words start from, row 0 for code 1; None starts them at random.
        pooling: ``"mean"`` (paper) or ``"max"`` (released code) over the positions.
        zero_init: start the last batch norm of every block that has a plain shortcut at zero, so that the
            network begins shallow (Goyal et al., 2017, section 5.1). Neither paper nor released code does so;
            without it a few hundred steps do not leave the start.

    Raises:
        ConfigError: unknown depth or pooling, or vectors of another shape or with an infinite number.

    >>> net = TextCNN(words=10, word_dim=8, width=0.125)
    >>> net(torch.randint(0, 11, (2, 32))).shape, net.dim
    (torch.Size([2, 256]), 256)
    """

    def __init__(
        self,
        words: int,
        word_dim: int = 300,
        depth: int = 50,
        width: float = 1.0,
        vectors: np.ndarray | None = None,
        pooling: str = "mean",
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        blocks = BLOCKS[one_of("depth", depth, BLOCKS)]
        self.pooling = one_of("pooling", pooling, ("mean", "max"))
        # A 1x1 convolution over one-hot words is a lookup; padding is all zeros and leaves the bias.
        self.word = nn.Embedding(words + 1, word_dim, padding_idx=0)
        self.word_bias = nn.Parameter(torch.zeros(word_dim))
        self.word_norm = nn.BatchNorm1d(word_dim)
        if vectors is None:
            nn.init.xavier_uniform_(self.word.weight)  # Glorot and Bengio, as the paper's [52]
        else:
            start_words(self.word, vectors)
        nn.init.zeros_(self.word.weight[0])
        self.stages = nn.Sequential(*_stages(word_dim, blocks, width))
        self.dim = scaled(OUTPUTS[-1], width)
        if zero_init:
            for block in self.stages:
                if isinstance(block.shortcut, nn.Identity):
                    nn.init.zeros_(block.expand.norm.weight)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes ``(B, L)``, integers with 0 as padding, to features ``(B, dim)``."""
        x = self.word(codes) + self.word_bias
        x = self.stages(self.word_norm(x.flatten(0, 1)).view_as(x))
        return x.mean(1) if self.pooling == "mean" else x.amax(1)


def scaled(channels: int, width: float) -> int:
    """A channel count under the width multiplier, a multiple of 8 and at least 8."""
    return max(8, int(round(channels * width / 8)) * 8)


def _stages(inputs: int, blocks: tuple[int, ...], width: float) -> list[nn.Module]:
    """The residual stages, in the released network's sizes."""
    layers: list[nn.Module] = []
    for stage, (outputs, count) in enumerate(zip(OUTPUTS, blocks, strict=True)):
        for block in range(count):
            inner = FIRST_INNER[stage] if block == 0 else outputs // 4
            stride = 2 if block == 0 and stage in (1, 2) else 1
            layers.append(TextBlock(inputs, scaled(inner, width), scaled(outputs, width), stride))
            inputs = scaled(outputs, width)
    return layers
