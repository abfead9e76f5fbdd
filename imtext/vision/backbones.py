"""Image networks by name, with pooled feature, stage maps C1…C4 and what they expect as input."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imtext.errors import ConfigError
from imtext.vision.efficientnet_lite import VARIANTS, EfficientNetLite, rename_published
from imtext.vision.weights import fetch_weights, load_into

BACKBONES = ("resnet18", "resnet50", "resnet152", "vgg16", "vgg19", *VARIANTS)
"""Names that :func:`load_backbone` knows."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# what the Lite networks were trained with: (pixel - 127) / 128
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3


class Backbone(nn.Module):
    """A network from normalised pixels to one feature per image.

    ``forward(x)`` takes float ``x (B, 3, H, W)``, RGB, scaled to 0…1, less ``mean``, over ``std``, and gives
    ``(B, dim)``: for ResNet and EfficientNet-Lite the mean of C4 over all places, for VGG fc7 after its ReLU
    (4,096, as the papers use it).

    Attributes: ``name``; ``dim``; ``stage_dims`` channels by stage name; ``mean`` and ``std`` per channel;
    ``input_size`` side in pixels that the ImageNet weights were trained at (others work, from 32 up);
    ``head`` the ImageNet classifier, or None.

    >>> net = load_backbone("resnet18", weights=None).eval()
    >>> x = torch.zeros(2, 3, 64, 64)
    >>> net(x).shape, {name: tuple(maps.shape[1:]) for name, maps in net.stages(x).items()}
    (torch.Size([2, 512]), {'C1': (64, 16, 16), 'C2': (128, 8, 8), 'C3': (256, 4, 4), 'C4': (512, 2, 2)})
    """

    def __init__(self, name: str, net: nn.Module, head: nn.Module | None) -> None:
        super().__init__()
        self.name = name
        self.family = "lite" if name in VARIANTS else name[:3]
        self.net, self.head = net, head
        lite = self.family == "lite"
        self.mean, self.std = (_LITE_MEAN, _LITE_STD) if lite else (_IMAGENET_MEAN, _IMAGENET_STD)
        self.input_size: int = VARIANTS[name][2] if lite else 224
        dims = {
            "lite": lambda: net.stage_dims,
            "vgg": lambda: (128, 256, 512, 512),
            "res": lambda: _widths(net),
        }
        self.stage_dims = dict(zip(("C1", "C2", "C3", "C4"), dims[self.family](), strict=True))
        self.dim: int = 4096 if self.family == "vgg" else self.stage_dims["C4"]

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Maps C1…C4 at strides 4, 8, 16, 32 of normalised ``x (B, 3, H, W)``.

        ResNet: the outputs of its four layers. VGG: after its second to fifth max-pooling. EfficientNet-Lite:
        the last block at each stride, and for C4 the head convolution (1,280 channels).
        """
        if self.family == "lite":
            return self.net.features(x)
        if self.family == "vgg":
            return self._vgg_stages(x)
        net, maps = self.net, {}
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for number in range(1, 5):
            maps[f"C{number}"] = x = getattr(net, f"layer{number}")(x)
        return maps

    def _vgg_stages(self, x: Tensor) -> dict[str, Tensor]:
        maps = {}
        for layer in self.net.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps[f"C{len(maps)}"] = x
        del maps["C0"]
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Pooled feature ``(B, dim)`` of normalised ``x (B, 3, H, W)``."""
        last = self.stages(x)["C4"]
        if self.family == "vgg":
            return self.net.classifier(self.net.avgpool(last).flatten(1))
        return last.mean((2, 3))

    def logits(self, x: Tensor) -> Tensor:
        """Class scores ``(B, classes)``. Raises ConfigError where the classifier was not loaded."""
        if self.head is None:
            raise ConfigError(
                f"backbone {self.name}: its classifier is not loaded; use load_backbone(..., head=True) "
                "with weights that hold one"
            )
        return self.head(self(x))

    @property
    def weights_digest(self) -> str:
        """Hash of the numbers as they are now, classifier left out; changes when the backbone is trained."""
        digest = hashlib.sha256(self.name.encode())
        for key, value in self.net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                digest.update(key.encode())
                # The same numbers have one digest, in whichever precision the network is held.
                digest.update(value.detach().cpu().double().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:32]

    def fused(self) -> Backbone:
        """A frozen copy for inference with each batch norm folded into the convolution before it."""
        out = copy.deepcopy(self).eval().requires_grad_(False)
        for module in list(out.modules()):
            previous: tuple[str, nn.Module] | None = None
            for key, child in list(module.named_children()):
                if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
                    setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
                    setattr(module, key, nn.Identity())
                previous = (key, child)
        return out


def _widths(net: nn.Module) -> list[int]:
    """Output channels of a ResNet's four layers."""
    blocks = [getattr(net, f"layer{number}")[-1] for number in range(1, 5)]
    return [(b.conv3 if hasattr(b, "conv3") else b.conv2).out_channels for b in blocks]


def imagenet_categories() -> tuple[str, ...]:
    """The 1,000 ImageNet class names, in the order of the classifiers' scores.

    >>> imagenet_categories()[281:283]
    ('tabby', 'tiger cat')
    """
    return tuple(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def load_backbone(name: str, weights: str | Path | None = "imagenet", head: bool = False) -> Backbone:
    """A backbone by name.

    ``name`` is one of ``BACKBONES``. ``weights``: ``"imagenet"`` (an EfficientNet-Lite from its
    package, without a network; for the others torchvision's IMAGENET1K_V1), another name of torchvision's
    enumeration such as ``"IMAGENET1K_V2"``, a local ``.pth`` or ``.safetensors`` file in torchvision's
    layout, or None for random numbers from torch's global generator. ``head=True`` keeps the classifier for
    :meth:`Backbone.logits`.

    Raises ConfigError for an unknown name or weights that cannot be fetched, DataError for a file that is
    missing, damaged, pickled or of another network.

    >>> net = load_backbone("efficientnet_lite0")
    >>> net.dim, net.input_size
    (1280, 224)
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone {name!r}: expected one of {', '.join(BACKBONES)}")
    state = None if weights is None else fetch_weights(name, weights)
    head_key = {"lite": "classifier.", "vgg": "classifier.6.", "res": "fc."}[
        "lite" if name in VARIANTS else name[:3]
    ]
    if state is not None and name in VARIANTS:
        state = rename_published(state)
    scores = None if state is None else state.get(head_key + "weight")
    classes = scores.shape[0] if scores is not None and scores.ndim == 2 else 1000
    net = (
        EfficientNetLite(name, classes)
        if name in VARIANTS
        else _torchvision_net(name, classes, state is None)
    )
    has_head = state is None or load_into(net, state, head_key, f"weights {weights} for {name}")
    if head and not has_head:
        raise ConfigError(
            f"weights {weights} for {name}: head=True, but they hold no classifier {head_key}weight"
        )
    classifier = _take_head(net)
    return Backbone(name, net, classifier if head else None)


def _torchvision_net(name: str, classes: int, fresh: bool) -> nn.Module:
    """An empty network; random initialisation costs seconds for VGG and is skipped where weights follow."""
    keywords = {"init_weights": fresh} if name.startswith("vgg") else {}
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **keywords)


def _take_head(net: nn.Module) -> nn.Module:
    """Remove the classifier from ``net`` and return it."""
    if hasattr(net, "fc"):
        head, net.fc = net.fc, nn.Identity()
    elif isinstance(net.classifier, nn.Sequential):
        head, net.classifier = net.classifier[5:], net.classifier[:5]
    else:
        head = nn.Sequential(net.dropout, net.classifier)
        net.dropout, net.classifier = nn.Identity(), nn.Identity()
    return head
