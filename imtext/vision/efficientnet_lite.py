"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6 (Google, 2020).

The published ImageNet weights were trained in TensorFlow, so the network keeps its "SAME" padding (the odd
pixel of a strided convolution goes to the right and the bottom) and its batch-norm epsilon of 0.001.
"""

from __future__ import annotations

import math
import re

from torch import Tensor, nn
from torch.nn import functional as F

# EfficientNet-B0's plan (Tan & Le 2019, table 1): repeats, kernel, stride, expansion, channels
_PLAN = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# width factor, depth factor, input size, dropout before the classifier
VARIANTS = {
    "efficientnet_lite0": (1.0, 1.0, 224, 0.2),
    "efficientnet_lite1": (1.0, 1.1, 240, 0.2),
    "efficientnet_lite2": (1.1, 1.2, 260, 0.3),
}


def _rounded(channels: int, factor: float) -> int:
    """Scaled channels as a multiple of 8, never more than a tenth smaller than asked."""
    scaled = channels * factor
    out = max(8, int(scaled + 4) // 8 * 8)
    return out + 8 if out < 0.9 * scaled else out


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: output size = ceil(input size / stride)."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve ``x (B, C, H, W)``; what :class:`torch.nn.Conv2d` calls with its own weights."""
        (high, wide), kernel, stride = x.shape[-2:], self.kernel_size[0], self.stride[0]
        down = max((math.ceil(high / stride) - 1) * stride + kernel - high, 0)
        across = max((math.ceil(wide / stride) - 1) * stride + kernel - wide, 0)
        if down % 2 == 0 and across % 2 == 0:
            return F.conv2d(x, weight, bias, self.stride, (down // 2, across // 2), 1, self.groups)
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, weight, bias, self.stride, 0, 1, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1; a sum where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = None
        if expansion != 1:
            self.expand = SameConv2d(inputs, wide, 1, bias=False)
            self.expand_norm = _norm(wide)
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self.depthwise_norm = _norm(wide)
        self.project = SameConv2d(wide, outputs, 1, bias=False)
        self.project_norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        if self.expand is not None:
            out = F.relu6(self.expand_norm(self.expand(out)), inplace=True)
        out = F.relu6(self.depthwise_norm(self.depthwise(out)), inplace=True)
        out = self.project_norm(self.project(out))
        return x + out if self.residual else out


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0, 1 or 2 with an ImageNet classifier.

    ``features(x)`` gives the maps C1…C4 at strides 4, 8, 16 and 32; C4 is the head convolution (1,280
    channels), whose mean is the pooled feature.

    >>> sum(p.numel() for p in EfficientNetLite("efficientnet_lite0").parameters())
    4652008
    """

    def __init__(self, name: str = "efficientnet_lite0", classes: int = 1000) -> None:
        super().__init__()
        width, depth, _, dropout = VARIANTS[name]
        self.stem = SameConv2d(3, 32, 3, 2, bias=False)
        self.stem_norm = _norm(32)
        blocks, inputs, self._stage_ends, self.stage_dims = [], 32, [], []
        for place, (repeats, kernel, stride, expansion, channels) in enumerate(_PLAN):
            # Lite keeps the first and the last stage at their depth
            fixed = place in (0, len(_PLAN) - 1)
            repeats, outputs = repeats if fixed else math.ceil(repeats * depth), _rounded(channels, width)
            if stride == 2 and place > 1:
                self._stage_ends.append(len(blocks) - 1)
                self.stage_dims.append(inputs)
            for repeat in range(repeats):
                blocks.append(_Block(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv2d(inputs, 1280, 1, bias=False)
        self.head_norm = _norm(1280)
        self.stage_dims.append(1280)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1280, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """The maps C1…C4 of ``x (B, 3, H, W)``."""
        maps = {}
        x = F.relu6(self.stem_norm(self.stem(x)), inplace=True)
        for place, block in enumerate(self.blocks):
            x = block(x)
            if place in self._stage_ends:
                maps[f"C{len(maps) + 1}"] = x
        maps["C4"] = F.relu6(self.head_norm(self.head(x)), inplace=True)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Class scores ``(B, classes)``."""
        return self.classifier(self.dropout(self.features(x)["C4"].mean((2, 3))))


_RENAMES = (
    (r"^_conv_stem\.", "stem."),
    (r"^_bn0\.", "stem_norm."),
    (r"^_conv_head\.", "head."),
    (r"^_bn1\.", "head_norm."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.", "blocks."),
    (r"\._expand_conv\.", ".expand."),
    (r"\._bn0\.", ".expand_norm."),
    (r"\._depthwise_conv\.", ".depthwise."),
    (r"\._bn1\.", ".depthwise_norm."),
    (r"\._project_conv\.", ".project."),
    (r"\._bn2\.", ".project_norm."),
)


def rename_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensor names of the published PyTorch weights, as this module spells them.

    >>> list(rename_published({"_blocks.0._bn1.bias": 0, "_bn1.bias": 0}))
    ['blocks.0.depthwise_norm.bias', 'head_norm.bias']
    """
    out = {}
    for key, value in state.items():
        for pattern, name in _RENAMES:
            key = re.sub(pattern, name, key)
        out[key] = value
    return out
