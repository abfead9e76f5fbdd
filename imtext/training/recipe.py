"""How a stage is trained: optimiser, learning rates, schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from imtext.check import number, one_of, whole
from imtext.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """One stage of training.

    Attributes:
        epochs: passes over the training captions, or over as many of each group as ``captions_per_group``
            says: with 1 and one image a group, passes over the images.
        batch_size: pairs per step.
        optimiser: ``"sgd"`` (Nesterov, momentum .9) or ``"adamw"``.
        lr: base learning rate.
        weight_decay: on weight matrices only; biases and batch norm have none.
        milestones: epochs after which the rate is multiplied by ``gamma``.
        cosine: fall to zero along a half cosine instead.
        warmup: epochs over which the rate rises from zero.
        lr_scale: (prefix, factor) on the rate of parameters whose name begins so; 0 freezes.
        captions_per_group: captions drawn per group and epoch; None takes all.
        clip: largest gradient norm; None does not clip.
        compiled: run the parts of the network that are not recurrent through ``torch.compile``, which needs a
            C++ compiler on a CPU, takes a minute at the start and gives other last digits.

    >>> recipe = Recipe(epochs=2, lr=0.1, milestones=(1,))
    >>> recipe.rate(0.5), recipe.rate(1.0)
    (1.0, 0.1)
    """

    epochs: int
    lr: float
    batch_size: int = 128
    optimiser: str = "adamw"
    weight_decay: float = 1e-4
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    cosine: bool = False
    warmup: float = 0.0
    lr_scale: tuple[tuple[str, float], ...] = ()
    captions_per_group: int | None = None
    clip: float | None = None
    # No part of the values where it is not asked for, so that other rows keep their hash.
    compiled: bool = field(default=False, metadata={"optional": True})

    def __post_init__(self) -> None:
        one_of("optimiser", self.optimiser, ("sgd", "adamw"))
        whole("epochs", self.epochs)
        whole("batch_size", self.batch_size, 2)
        number("lr", self.lr, least=1e-12)
        if self.captions_per_group is not None:
            whole("captions_per_group", self.captions_per_group)

    def rate(self, progress: float) -> float:
        """Factor on ``lr`` at ``progress`` epochs (a fraction inside an epoch counts)."""
        factor = min(1.0, progress / self.warmup) if self.warmup and progress < self.warmup else 1.0
        if self.cosine:
            angle = torch.tensor(torch.pi * min(progress / self.epochs, 1.0))
            return factor * 0.5 * (1.0 + float(torch.cos(angle)))
        return factor * self.gamma ** sum(progress >= milestone for milestone in self.milestones)

    def optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """An optimiser over the parameters of ``module``, grouped by rate and decay.

        Raises:
            ConfigError: where a prefix of ``lr_scale`` matches no parameter.
        """
        buckets: dict[tuple[float, float], list[nn.Parameter]] = {}
        scales, seen = dict(self.lr_scale) | {"": 1.0}, {""}
        for name, parameter in module.named_parameters():
            prefix = next(p for p in scales if name.startswith(p))
            seen.add(prefix)
            scale = scales[prefix]
            parameter.requires_grad_(scale > 0)
            if scale > 0:
                decay = self.weight_decay if parameter.dim() > 1 else 0.0
                buckets.setdefault((scale, decay), []).append(parameter)
        if missing := [p for p in scales if p not in seen]:
            raise ConfigError(f"lr_scale names {missing}, and no parameter of the model begins so")
        groups = [
            {"params": params, "lr": self.lr * scale, "initial_lr": self.lr * scale, "weight_decay": decay}
            for (scale, decay), params in buckets.items()
        ]
        # Fused: one pass over the numbers; on a CPU the plain loop takes a sixth of a small network's step.
        if self.optimiser == "sgd":
            return torch.optim.SGD(groups, lr=self.lr, momentum=0.9, nesterov=True, fused=True)
        return torch.optim.AdamW(groups, lr=self.lr, fused=True)
