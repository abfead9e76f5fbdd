"""Where and how precisely a run computes."""

from __future__ import annotations

import warnings

import torch

try:
    from lightning_fabric import Fabric
except ImportError:  # a machine with the whole of Lightning has it under another name
    from lightning.fabric import Fabric

from imtext.errors import ConfigError


def resolve_device(device: str = "auto") -> str:
    """``"auto"`` to ``"cuda"`` where there is a GPU, else ``"cpu"``; other names are checked.

    Raises:
        ConfigError: an unknown name, or ``"cuda"`` on a machine without a GPU.

    >>> resolve_device("cpu")
    'cpu'
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be 'auto', 'cpu' or 'cuda', found {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda': torch finds no GPU here; take device 'auto' or 'cpu'")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def make_fabric(device: str = "cpu") -> Fabric:
    """Fabric for one device: bfloat16 autocast on a GPU, PyTorch's default type on a CPU.

    >>> str(make_fabric("cpu").device)
    'cpu'
    """
    device = resolve_device(device)
    # Gradients of saturated softmaxes and hinges underflow, and a CPU is slow with denormal numbers.
    torch.set_flush_denormal(True)
    whole = "64-true" if torch.get_default_dtype() == torch.float64 else "32-true"
    precision = "bf16-mixed" if device == "cuda" else whole
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(accelerator=device, devices=1, precision=precision)
