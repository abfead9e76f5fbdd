"""Where and how precisely a run computes, and what the processes tell one another that train it together."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

try:
    from lightning_fabric import Fabric
except ImportError:  # a machine with the whole of Lightning has it under another name
    from lightning.fabric import Fabric

from imtext.check import one_of, whole
from imtext.errors import ConfigError
from imtext.precision import in_half


def resolve_device(device: str = "auto") -> str:
    """``"auto"`` to ``"cuda"`` where there is a GPU, else ``"cpu"``; other names are checked.

    Raises:
        ConfigError: an unknown name, or ``"cuda"`` on a machine without a GPU.

    >>> resolve_device("cpu")
    'cpu'
    """
    best = "cuda" if torch.cuda.is_available() else "cpu"
    if one_of("device", device, ("auto", "cpu", "cuda")) == "cuda" != best:
        raise ConfigError("device 'cuda': torch finds no GPU here; take device 'auto' or 'cpu'")
    return best if device == "auto" else device


def make_fabric(device: str = "cpu", devices: int = 1, precision: str = "32") -> Fabric:
    """Fabric: bfloat16 autocast on a GPU or where asked for, else PyTorch's default type.

    Args:
        device: as for `resolve_device`.
        devices: with more than one, this command is started once more for each of the others. Later calls in
            these processes are for all of them, whatever they ask for.
        precision: as for :func:`imtext.precision.in_half`.

    Raises:
        ConfigError: a device that is not there, or more GPUs than there are.

    >>> str(make_fabric("cpu").device)
    'cpu'
    """
    device = resolve_device(device)
    if device == "cuda":
        whole("devices", devices, 1, torch.cuda.device_count())
    # Gradients of saturated softmaxes and hinges underflow, and a CPU is slow with denormal numbers.
    torch.set_flush_denormal(True)
    devices = max(devices, processes()[1])
    exact = "64-true" if torch.get_default_dtype() == torch.float64 else "32-true"
    mixed = "bf16-mixed" if in_half(device, precision) else exact
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = "ddp_find_unused_parameters_true" if devices > 1 else "auto"
        fabric = Fabric(accelerator=device, devices=devices, strategy=strategy, precision=mixed)
        fabric.launch()
    if devices > 1:  # what Lightning gathers with
        warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional", FutureWarning)
    return fabric


def processes() -> tuple[int, int]:
    """Rank of this process among those that train together, from 0, and their number.

    >>> processes()
    (0, 1)
    """
    together = distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)


def of_first(value: Any) -> Any:
    """What the first process has, in all of them; each has to call it."""
    held = [value]
    if processes()[1] > 1:
        distributed.broadcast_object_list(held)
    return held[0]


def gathered(fabric: Fabric, rows: Tensor, total: int) -> Tensor:
    """The rows ``(B, ...)`` of a whole batch of ``total``: of two processes each has every second one.

    Gradients go back to the process, and are added up: each has the whole loss, so the network gets W times
    its gradient, which DDP's mean over the W processes makes right. Parameters of the loss itself have the
    same gradient everywhere, and so has the mean.
    """
    count = processes()[1]
    if count == 1:
        return rows
    missing = -(-total // count) - len(rows)
    equal = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])  # as all_gather wants them
    return fabric.all_gather(equal, sync_grads=True).transpose(0, 1).flatten(0, 1)[:total]


def synchronise_norms(fabric: Fabric, module: nn.Module) -> None:
    """Let the batch norms that are trained see the whole batch, where several processes have shares of it.

    Raises:
        ConfigError: on a CPU, for which PyTorch has no such batch norm.
    """
    if fabric.world_size == 1:
        return
    from timm.layers import convert_sync_batchnorm  # it knows timm's own, with an activation in them

    for parent in list(module.train().modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, _BatchNorm) and norm.training:
                if fabric.device.type == "cpu":
                    raise ConfigError("devices: batch norm over several devices needs GPUs; use 1 on a CPU")
                setattr(parent, name, convert_sync_batchnorm(norm))
