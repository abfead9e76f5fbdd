"""Inception-ResNet-v1 (Szegedy et al., 2017) in the sizes of the face-recognition version, "facenet"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from imtext.check import number, whole
from imtext.errors import ConfigError, DataError
from imtext.models.text_cnn import scaled
from imtext.unit import unit_rows

SMALLEST_SIDE = 75
BLOCKS = (5, 10, 5)
SCALES = (0.17, 0.10, 0.20)
# facenet's, as TensorFlow has it; torch's own is 1e-5.
EPSILON = 1e-3

# A branch is a list of convolutions (channels, height and width of the kernel).
Branches = list[list[tuple[int, int, int]]]
BLOCK_35 = [[(32, 1, 1)], [(32, 1, 1), (32, 3, 3)], [(32, 1, 1), (32, 3, 3), (32, 3, 3)]]
BLOCK_17 = [[(128, 1, 1)], [(128, 1, 1), (128, 1, 7), (128, 7, 1)]]
BLOCK_8 = [[(192, 1, 1)], [(192, 1, 1), (192, 1, 3), (192, 3, 1)]]
REDUCE_A = [[(384, 3, 3)], [(192, 1, 1), (192, 3, 3), (256, 3, 3)]]
REDUCE_B = [[(256, 1, 1), (384, 3, 3)], [(256, 1, 1), (256, 3, 3)], [(256, 1, 1), (256, 3, 3), (256, 3, 3)]]


class Residual(nn.Module):
    """``x + scale * up(branches(x))``, then ReLU: the blocks A, B and C, shapes unchanged.

    Args:
        inputs: channels C of ``x (B, C, H, W)``.
        branches: convolutions side by side, channels as they are (already multiplied by the width).
        scale: of the residual, which keeps a deep stack stable (Szegedy et al., section 3.3).
        active: whether the ReLU is there; facenet's very last block has none.

    >>> Residual(16, [[(8, 1, 1)], [(8, 1, 1), (8, 3, 3)]], 0.2)(torch.zeros(2, 16, 5, 5)).shape
    torch.Size([2, 16, 5, 5])
    """

    def __init__(self, inputs: int, branches: Branches, scale: float, active: bool = True) -> None:
        super().__init__()
        self.scale, self.active = scale, active
        self.branches = nn.ModuleList(_branch(inputs, branch, 1) for branch in branches)
        self.up = nn.Conv2d(sum(branch[-1][0] for branch in branches), inputs, 1)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        added = self.up(torch.cat([branch(x) for branch in self.branches], 1))
        out = torch.add(x, added, alpha=self.scale)
        return out.relu_() if self.active else out


class Reduction(nn.Module):
    """Half the height and width: strided branches and a strided maximum side by side.

    >>> Reduction(16, [[(8, 3, 3)], [(8, 1, 1), (24, 3, 3)]])(torch.zeros(2, 16, 7, 7)).shape
    torch.Size([2, 48, 3, 3])
    """

    def __init__(self, inputs: int, branches: Branches) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(inputs, branch, 2) for branch in branches)
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', (H - 1) // 2, (W - 1) // 2)``; C' is C and what the branches add."""
        return torch.cat([*(branch(x) for branch in self.branches), self.pool(x)], 1)


class InceptionResNetV1(nn.Module):
    """Pictures to embeddings: photographs and texts drawn as pictures alike (Nawaz et al., section 3.2).

    Stem; blocks A (35 x 35 at side 299), reduction A, blocks B (17 x 17), reduction B, blocks C (8 x 8) and
    one more of these without scale and ReLU, as facenet has it; mean over positions, dropout, a linear layer
    to ``dim`` without bias, batch norm. Channels are facenet's, weights start by Glorot and Bengio, biases at
    zero, as facenet trains.

    With ``width=1`` and ``dim=512`` this has 23,482,624 parameters, the figure of facenet's port to PyTorch
    (27,910,327 with its 8,631 classes); with ``dim=128`` it has 22,793,728. facenet in TensorFlow has no
    learned scale in its batch norms: 14,416 fewer, 22,779,312, the figure printed for it. The running
    statistics take a tenth of each batch here; facenet's 0.005 is for long training.

    The embeddings are not normalised: the centre loss works on them as they are, and the paper ranks by the
    Euclidean distance.

    Args:
        dim: length of an embedding (paper: 128).
        width: multiplier on every channel count, rounded to a multiple of 8; 0.25 has 1/15 of the weights.
        blocks: how many of A, B and C (paper: 5, 10, 5), each at least 0.
        keep: share of the pooled features that dropout keeps (paper: 0.8).

    Raises:
        ConfigError: a number out of range.

    >>> net = InceptionResNetV1(dim=16, width=0.125, blocks=(1, 1, 1)).eval()
    >>> net(torch.zeros(2, 3, 75, 75)).shape, net.dim
    (torch.Size([2, 16]), 16)
    """

    def __init__(
        self, dim: int = 128, width: float = 1.0, blocks: tuple[int, int, int] = BLOCKS, keep: float = 0.8
    ) -> None:
        super().__init__()
        if len(blocks) != 3:
            raise ConfigError(f"blocks={blocks!r}: expected three numbers, as {BLOCKS} in the paper")
        number("width", width, 0.01, 8)
        self.dim = whole("dim", dim)
        one, two, three, four, channels = (scaled(count, width) for count in (32, 64, 80, 192, 256))
        layers: list[nn.Module] = [
            _convolution(3, one, 3, stride=2),
            _convolution(one, one, 3),
            _convolution(one, two, 3, padding=1),
            nn.MaxPool2d(3, 2),
            _convolution(two, three, 1),
            _convolution(three, four, 3),
            _convolution(four, channels, 3, stride=2),
        ]
        plan = zip((BLOCK_35, BLOCK_17, BLOCK_8), blocks, SCALES, (REDUCE_A, REDUCE_B, []), strict=True)
        for block, count, scale, reduction in plan:
            branches, smaller = _widened(block, width), _widened(reduction, width)
            layers += [Residual(channels, branches, scale) for _ in range(whole("blocks", count, 0))]
            if smaller:
                layers.append(Reduction(channels, smaller))
                channels += sum(branch[-1][0] for branch in smaller)
        layers.append(Residual(channels, branches, 1.0, active=False))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(1.0 - number("keep", keep, 0.01, 1))
        self.bottleneck = nn.Linear(channels, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim, EPSILON)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, dim)`` of ``pictures (B, 3, H, W)``, both sides at least 75.

        Raises:
            DataError: pictures too small or of another shape.
        """
        shape = tuple(pictures.shape)
        if pictures.ndim != 4 or shape[1] != 3 or min(shape[2:]) < SMALLEST_SIDE:
            raise DataError(
                f"images: expected (B, 3, H, W) with H and W at least {SMALLEST_SIDE} pixels, "
                f"found {shape}; draw or resize them larger"
            )
        features = self.layers(pictures).mean((2, 3))
        return self.norm(self.bottleneck(self.dropout(features)))


class PictureCNN(nn.Module):
    """An image CNN and a linear layer: pictures to embeddings, as the network above.

    Args:
        cnn: from normalised pixels to features, with ``dim``, ``mean`` and ``std``, such as
            :class:`imtext.vision.backbones.Backbone`.
        dim: length of an embedding.
    """

    def __init__(self, cnn: nn.Module, dim: int = 128) -> None:
        super().__init__()
        self.cnn, self.dim = cnn, whole("dim", dim)
        self.bottleneck = nn.Linear(cnn.dim, dim)

    def forward(self, pictures: Tensor, lengths: Any = None) -> Tensor:
        """Embeddings ``(B, dim)`` of pictures ``(B, 3, H, W)``, numbers from -1 to 1, or uint8.

        ``lengths``, words of a caption, are of no use here.
        """
        pictures = _prepared(pictures) if pictures.dtype == torch.uint8 else pictures
        mean, std = (pictures.new_tensor(ends).view(3, 1, 1) for ends in (self.cnn.mean, self.cnn.std))
        return self.bottleneck(self.cnn((pictures / 2 + 0.5 - mean) / std))


class PictureNets(nn.Module):
    """One network for photographs and drawn captions alike, or one for each.

    The paper says that a second one is not needed. Pictures are uint8.

    ``nets``: as above; the first takes photographs, the last drawn captions.
    """

    def __init__(self, *nets: nn.Module) -> None:
        super().__init__()
        whole("networks", len(nets), 1, 2)
        self.nets, self.dim = nn.ModuleList(nets), nets[0].dim

    def forward(self, pictures: Tensor, is_text: Tensor) -> Tensor:
        """Embeddings ``(B, D)``, photographs before captions; ``is_text (B,)`` says which are which."""
        pictures = _prepared(pictures)
        if len(self.nets) == 1:
            return self.nets[0](pictures)
        return torch.cat([self.nets[0](pictures[~is_text]), self.nets[1](pictures[is_text])])

    def embed_images(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` of photographs, of length 1: the distance orders as the cosine."""
        return unit_rows(self.nets[0](_prepared(pictures)))

    def embed_captions(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` of drawn captions, of length 1."""
        return unit_rows(self.nets[-1](_prepared(pictures)))


def _prepared(pictures: Tensor) -> Tensor:
    """uint8 pixels as numbers from -1 to 1, laid out for convolutions."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    return pictures.to(torch.get_default_dtype()).mul(1 / 255).sub(0.5).div(0.5)


def _widened(branches: Branches, width: float) -> Branches:
    """The branches with their channels under the width multiplier."""
    return [[(scaled(count, width), tall, wide) for count, tall, wide in branch] for branch in branches]


def _branch(inputs: int, branch: list[tuple[int, int, int]], stride: int) -> nn.Sequential:
    """Convolutions that keep the size; with stride 2 the last one, without padding, halves it."""
    layers = []
    for place, (outputs, tall, wide) in enumerate(branch, start=1):
        shape = (stride, 0) if stride > 1 and place == len(branch) else (1, (tall // 2, wide // 2))
        layers.append(_convolution(inputs, outputs, (tall, wide), *shape))
        inputs = outputs
    return nn.Sequential(*layers)


def _convolution(inputs: int, outputs: int, kernel: Any, stride: int = 1, padding: Any = 0) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU: ``(B, inputs, H, W)`` to ``(B, outputs, H', W')``."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, EPSILON), nn.ReLU(inplace=True))
