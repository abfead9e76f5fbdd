"""Inception-ResNet-v1 (Szegedy et al., 2017) in the sizes of the face-recognition version, "facenet"."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imtext.data.transforms import normalise
from imtext.errors import ConfigError, DataError

SMALLEST_SIDE = 75
BLOCKS = (5, 10, 5)
SCALES = (0.17, 0.10, 0.20)
HALF = (0.5, 0.5, 0.5)  # mean and deviation of pixels, as SingleObjective takes them
# facenet's, as TensorFlow has it; torch's own is 1e-5.
EPSILON = 1e-3

# A branch is a list of convolutions (channels, height and width of the kernel).
BLOCK_35 = [[(32, 1, 1)], [(32, 1, 1), (32, 3, 3)], [(32, 1, 1), (32, 3, 3), (32, 3, 3)]]
BLOCK_17 = [[(128, 1, 1)], [(128, 1, 1), (128, 1, 7), (128, 7, 1)]]
BLOCK_8 = [[(192, 1, 1)], [(192, 1, 1), (192, 1, 3), (192, 3, 1)]]
REDUCTION_A = [[(384, 3, 3)], [(192, 1, 1), (192, 3, 3), (256, 3, 3)]]
REDUCTION_B = [
    [(256, 1, 1), (384, 3, 3)],
    [(256, 1, 1), (256, 3, 3)],
    [(256, 1, 1), (256, 3, 3), (256, 3, 3)],
]

Branches = list[list[tuple[int, int, int]]]


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, ReLU: ``(B, C_in, H, W)`` to ``(B, C_out, H', W')``.

    >>> ConvNorm(3, 8, (1, 7), padding=(0, 3))(torch.zeros(2, 3, 9, 9)).shape
    torch.Size([2, 8, 9, 9])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        momentum: float = 0.1,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs, EPSILON, momentum),
            nn.ReLU(inplace=True),
        )


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

    def __init__(
        self, inputs: int, branches: Branches, scale: float, active: bool = True, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.scale, self.active = scale, active
        self.branches = nn.ModuleList(_branch(inputs, branch, 1, momentum) for branch in branches)
        self.up = nn.Conv2d(sum(branch[-1][0] for branch in branches), inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        added = self.up(torch.cat([branch(x) for branch in self.branches], 1))
        out = torch.add(x, added, alpha=self.scale)
        return out.relu_() if self.active else out


class Reduction(nn.Module):
    """Half the height and width: strided branches and a strided maximum side by side.

    ``outputs`` is the number of channels after it.

    >>> net = Reduction(16, [[(8, 3, 3)], [(8, 1, 1), (24, 3, 3)]])
    >>> net(torch.zeros(2, 16, 7, 7)).shape, net.outputs
    (torch.Size([2, 48, 3, 3]), 48)
    """

    def __init__(self, inputs: int, branches: Branches, momentum: float = 0.1) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(inputs, branch, 2, momentum) for branch in branches)
        self.pool = nn.MaxPool2d(3, 2)
        self.outputs = inputs + sum(branch[-1][0] for branch in branches)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, outputs, (H - 1) // 2, (W - 1) // 2)``."""
        return torch.cat([*(branch(x) for branch in self.branches), self.pool(x)], 1)


class InceptionResNetV1(nn.Module):
    """Pictures to embeddings: photographs and texts drawn as pictures alike (Nawaz et al., section 3.2).

    Stem; blocks A (35 x 35 at side 299), reduction A, blocks B (17 x 17), reduction B, blocks C (8 x 8) and
    one more of these without scale and ReLU, as facenet has it; mean over positions, dropout, a linear layer
    to ``dim`` without bias, batch norm. Channels are facenet's.

    With ``width=1`` and ``dim=512`` this has 23,482,624 parameters, the figure of facenet's port to PyTorch
    (27,910,327 with its 8,631 classes); with ``dim=128`` it has 22,793,728. facenet in TensorFlow has no
    learned scale in its batch norms: 14,416 fewer, 22,779,312, the figure printed for it. The running
    statistics take a tenth of each batch here (``momentum``); facenet's 0.005 is for long training.

    The embeddings are not normalised: the centre loss works on them as they are, and the paper ranks by the
    Euclidean distance.

    Args:
        dim: length of an embedding (paper: 128).
        width: multiplier on every channel count, rounded to a multiple of 8; 0.25 has 1/15 of the weights.
        blocks: how many of A, B and C (paper: 5, 10, 5), each at least 0.
        keep: share of the pooled features that dropout keeps (paper: 0.8).
        in_channels: channels of the pictures.
        momentum: share of a batch in the running statistics.
        learned_scale: whether the last batch norm has a learned scale. Without one (as facenet) a batch's
            embeddings keep unit variance, so the centre loss alone cannot shrink them to a point; it still
            lays them on one line.

    Raises:
        ConfigError: a number out of range.

    >>> net = InceptionResNetV1(dim=16, width=0.125, blocks=(1, 1, 1)).eval()
    >>> net(torch.zeros(2, 3, 75, 75)).shape, net.dim
    (torch.Size([2, 16]), 16)
    """

    def __init__(
        self,
        dim: int = 128,
        width: float = 1.0,
        blocks: tuple[int, int, int] = BLOCKS,
        keep: float = 0.8,
        in_channels: int = 3,
        momentum: float = 0.1,
        learned_scale: bool = True,
    ) -> None:
        super().__init__()
        if dim < 1 or in_channels < 1 or not 0 < width <= 8 or not 0 < keep <= 1 or not 0 < momentum <= 1:
            raise ConfigError(
                "InceptionResNetV1 takes dim and in_channels >= 1, width in (0, 8], keep and momentum in "
                f"(0, 1], found {dim}, {in_channels}, {width}, {keep} and {momentum}"
            )
        if len(blocks) != 3 or any(not isinstance(count, int) or count < 0 for count in blocks):
            raise ConfigError(f"blocks is three whole numbers >= 0, as {BLOCKS} in the paper, found {blocks}")
        self.dim, self.in_channels = dim, in_channels
        layers, channels = _stem(in_channels, width, momentum)
        for count, block, scale, reduction in zip(
            blocks, (BLOCK_35, BLOCK_17, BLOCK_8), SCALES, (REDUCTION_A, REDUCTION_B, None), strict=True
        ):
            branches = _widened(block, width)
            layers += [Residual(channels, branches, scale, momentum=momentum) for _ in range(count)]
            if reduction is not None:
                layers.append(Reduction(channels, _widened(reduction, width), momentum))
                channels = layers[-1].outputs
        layers.append(Residual(channels, branches, 1.0, active=False, momentum=momentum))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(1.0 - keep)
        self.bottleneck = nn.Linear(channels, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim, EPSILON, momentum)
        if not learned_scale:
            # Not frozen but absent: a recipe lets every parameter learn that it finds.
            self.norm.register_parameter("weight", None)
        _start(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, dim)`` of ``pictures (B, in_channels, H, W)``, both sides at least 75.

        Raises:
            DataError: pictures too small, of another shape, or one alone in training, where batch norm
                needs two.
        """
        shape = tuple(pictures.shape)
        if pictures.ndim != 4 or shape[1] != self.in_channels or min(shape[2:]) < SMALLEST_SIDE:
            raise DataError(
                f"pictures: expected (B, {self.in_channels}, H, W) with H and W at least {SMALLEST_SIDE} "
                f"pixels, found {shape}; draw or resize them larger"
            )
        if self.training and len(pictures) < 2:
            raise DataError(f"pictures: a training batch needs at least two, found {len(pictures)}")
        features = self.layers(pictures).mean((2, 3))
        return self.norm(self.bottleneck(self.dropout(features)))


class PictureNets(nn.Module):
    """One network for photographs and drawn captions alike, or one for each.

    The paper says that a second one is not needed.

    ``nets``: as above; the first takes photographs, the last drawn captions.
    """

    by_modality = True

    def __init__(self, *nets: nn.Module) -> None:
        super().__init__()
        if not 1 <= len(nets) <= 2:
            raise ConfigError(f"networks: takes one for both modalities or two, found {len(nets)}")
        self.nets, self.dim = nn.ModuleList(nets), nets[0].dim

    def forward(self, pictures: Tensor, is_text: Tensor) -> Tensor:
        """Embeddings ``(B, D)``; ``is_text (B,)`` says which network a picture goes to."""
        if len(self.nets) == 1:
            return self.nets[0](pictures)
        out = pictures.new_zeros(len(pictures), self.dim, dtype=self.nets[0].bottleneck.weight.dtype)
        for which, net in zip((~is_text, is_text), self.nets, strict=True):
            if which.any():
                out = out.index_put((which.nonzero().squeeze(1),), net(pictures[which]).to(out.dtype))
        return out

    def embed_images(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` of uint8 photographs, of length 1: the distance orders as the cosine."""
        return self._embedded(pictures, self.nets[0])

    def embed_captions(self, pictures: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` of uint8 drawn captions, of length 1."""
        return self._embedded(pictures, self.nets[-1])

    def _embedded(self, pictures: Tensor, net: nn.Module) -> Tensor:
        pictures = normalise(pictures.contiguous(memory_format=torch.channels_last), HALF, HALF)
        return F.normalize(net(pictures), dim=1)


def _widened(branches: Branches, width: float) -> Branches:
    """The branches with their channels under the width multiplier."""
    return [[(_channels(count, width), tall, wide) for count, tall, wide in branch] for branch in branches]


def _channels(count: int, width: float) -> int:
    """A channel count under the width multiplier, a multiple of 8 and at least 8."""
    return max(8, 8 * round(count * width / 8))


def _branch(inputs: int, branch: list[tuple[int, int, int]], stride: int, momentum: float) -> nn.Sequential:
    """Convolutions that keep the size; with stride 2 the last one, without padding, halves it."""
    layers = []
    for place, (outputs, tall, wide) in enumerate(branch, start=1):
        last = stride > 1 and place == len(branch)
        padding = (0, 0) if last else (tall // 2, wide // 2)
        layers.append(ConvNorm(inputs, outputs, (tall, wide), stride if last else 1, padding, momentum))
        inputs = outputs
    return nn.Sequential(*layers)


def _stem(inputs: int, width: float, momentum: float) -> tuple[list[nn.Module], int]:
    """From pictures to 35 x 35 positions (at side 299), and the channels there."""
    layers: list[nn.Module] = []
    plan = [(32, 3, 2, 0), (32, 3, 1, 0), (64, 3, 1, 1), None, (80, 1, 1, 0), (192, 3, 1, 0), (256, 3, 2, 0)]
    for step in plan:
        if step is None:
            layers.append(nn.MaxPool2d(3, 2))
            continue
        outputs, kernel, stride, padding = _channels(step[0], width), *step[1:]
        layers.append(ConvNorm(inputs, outputs, (kernel,) * 2, stride, (padding,) * 2, momentum))
        inputs = outputs
    return layers, inputs


def _start(net: nn.Module) -> None:
    """Weights by Glorot and Bengio, biases at zero, as facenet trains."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
