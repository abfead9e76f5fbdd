"""Two groups in the plane: what the two losses do, as a training one can look at (Zheng et al., Fig. 6)."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss, ranking_loss
from imtext.threads import torch_threads

COMMON, APART, NOISE = 3.0, 0.6, 0.4
HIDDEN, RATE, MOMENTUM = 16, 0.02, 0.9


class Stage(NamedTuple):
    """The points at one moment of the training.

    Attributes:
        title: what has happened so far.
        images: ``(n, 2)``; captions: ``(m, 2)``, not normalised, float64.
        image_classes: ``(n,)``; caption_classes: ``(m,)``, 0 or 1.
        weight: ``(2, 2)``, the shared classifier, one row per class, or None where there is none. The
            decision boundary is the line through the origin across ``weight[1] - weight[0]``.
    """

    title: str
    images: np.ndarray
    captions: np.ndarray
    image_classes: np.ndarray
    caption_classes: np.ndarray
    weight: np.ndarray | None


def two_classes(
    seed: int = 0, pairs: int = 12, dim: int = 8, steps: int = 150, rank: float = 1.0, alone: bool = False
) -> list[Stage]:
    """Train two small networks, one per modality, on two groups (Zheng et al., section 4.2 and Fig. 6).

    Pictures and captions are noisy vectors. What they share is large and what tells the groups apart is
    small, as among images that are hard to tell apart; each modality sees it in axes of its own. The
    embedding has two entries, so that it can be drawn as it is. The stages are

    1. before training;
    2. after ``steps`` of the instance loss alone (Eqs. 5-8, one classifier without bias for both);
    3. after ``steps`` more of both losses (Eq. 9, hardest negatives, margin 1), from stage 2;
    4. with ``alone``: the ranking loss alone (Eq. 4) from stage 1, as many steps as stages 2 and 3 together.

    The softmax does not see what lies along the decision boundary, since it is the same for both classes:
    stage 2 puts every point on its side and leaves the two modalities of a group at an angle. The ranking
    loss compares angles across the modalities and closes it. Alone it mostly ends with the points of either
    modality in one direction (stage 4; 17 of the first 24 seeds), where every hinge equals the margin;
    compare the local minimum of section 4.1.

    Args:
        seed: of the points and of the networks.
        pairs: pictures, and captions, of each group.
        dim: length of an input, at least 2.
        steps: of each stage, full batches.
        rank: lambda_1 of Eq. 9 in stage 3; 0 is the check, as many more steps of the instance loss alone.
        alone: add stage 4.

    Raises:
        ConfigError: sizes below 1, ``dim`` below 2, or a negative ``rank``.

    >>> [stage.title for stage in two_classes(pairs=2, steps=1)]
    ['Before training', 'After the instance loss', 'After both losses']
    """
    if pairs < 1 or steps < 1 or dim < 2 or rank < 0:
        raise ConfigError(
            "two_classes takes pairs and steps from 1, dim from 2 and rank from 0, "
            f"found pairs={pairs}, steps={steps}, dim={dim}, rank={rank}"
        )
    # Sums this small are slower on several threads. In float64 every processor draws the same figure.
    with torch_threads(1):
        return _stages(seed, pairs, dim, steps, rank, alone)


def summary(stage: Stage) -> dict[str, float]:
    """What a stage looks like, in three numbers.

    Returns:
        ``matching``, the mean cosine of a picture and a caption of one group; ``other``, that of two
        groups; ``right_side``, the share of points on their group's side of the decision boundary (NaN
        where the stage has no classifier).

    >>> plane, classes = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0, 1])
    >>> summary(Stage("", plane, plane, classes, classes, plane))
    {'matching': 1.0, 'other': -1.0, 'right_side': 1.0}
    """
    images, captions = (
        points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        for points in (stage.images, stage.captions)
    )
    cosines = images @ captions.T
    same = stage.image_classes[:, None] == stage.caption_classes[None, :]
    right = float("nan")
    if stage.weight is not None:
        points = np.concatenate([stage.images, stage.captions])
        classes = np.concatenate([stage.image_classes, stage.caption_classes])
        side = points @ (stage.weight[1] - stage.weight[0])
        right = float((np.where(classes == 1, side, -side) > 0).mean())
    return {
        "matching": float(cosines[same].mean()),
        "other": float(cosines[~same].mean()),
        "right_side": right,
    }


def _stages(seed: int, pairs: int, dim: int, steps: int, rank: float, alone: bool) -> list[Stage]:
    """The stages of :func:`two_classes`."""
    inputs, classes = _points(seed, pairs, dim)
    # Own random numbers: a figure must not change those of what is trained after it.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        first = nn.ModuleList([_network(dim), _network(dim), InstanceLoss(2, 2, bias=False, dropout=0.0)])
    first = first.double()
    second = _train(first, inputs, classes, steps, rank=0.0, instance=1.0)
    third = _train(second, inputs, classes, steps, rank=rank, instance=1.0)
    title = "After both losses" if rank else "After the instance loss, twice as long"
    stages = [
        _stage("Before training", first, inputs, classes),
        _stage("After the instance loss", second, inputs, classes),
        _stage(title, third, inputs, classes),
    ]
    if alone:
        fourth = _train(first, inputs, classes, 2 * steps, rank=1.0, instance=0.0)
        stages.append(_stage("After the ranking loss alone", fourth, inputs, classes)._replace(weight=None))
    return stages


def _points(seed: int, pairs: int, dim: int) -> tuple[list[Tensor], Tensor]:
    """Pictures and captions, each ``(2 * pairs, dim)``, and their classes ``(2 * pairs,)``."""
    random = np.random.default_rng(seed)
    classes = np.repeat([0, 1], pairs)
    inputs = []
    for _ in range(2):
        points = NOISE * random.normal(size=(2 * pairs, dim))
        points[:, 0] += np.where(classes == 1, APART, -APART)
        points[:, 1] += COMMON
        axes = np.linalg.qr(random.normal(size=(dim, dim)))[0]
        inputs.append(torch.as_tensor(points @ axes, dtype=torch.float64))
    return inputs, torch.as_tensor(classes)


def _network(dim: int) -> nn.Sequential:
    """From an input to the plane; it starts with points well away from the origin, in one direction."""
    net = nn.Sequential(nn.Linear(dim, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2))
    nn.init.normal_(net[2].weight, std=1.0)
    return net


def _train(
    start: nn.ModuleList, inputs: list[Tensor], classes: Tensor, steps: int, rank: float, instance: float
) -> nn.ModuleList:
    """A copy of ``start`` after ``steps`` of Eq. 9 with the weights (rank, instance, instance)."""
    modules = copy.deepcopy(start)
    image_net, text_net, loss_of = modules
    optimiser = torch.optim.SGD(modules.parameters(), lr=RATE, momentum=MOMENTUM)
    for _ in range(steps):
        images, captions = image_net(inputs[0]), text_net(inputs[1])
        loss = images.new_zeros(())
        if rank:
            loss = loss + rank * ranking_loss(images, captions, classes, margin=1.0, reduction="mean")
        if instance:
            loss = loss + instance * (loss_of(images, classes) + loss_of(captions, classes))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return modules


@torch.no_grad()
def _stage(title: str, modules: nn.ModuleList, inputs: list[Tensor], classes: Tensor) -> Stage:
    """The embeddings and the classifier as they are now."""
    image_net, text_net, loss_of = modules
    labels = classes.numpy()
    arrays = [image_net(inputs[0]), text_net(inputs[1]), loss_of.classifier.weight]
    images, captions, weight = (array.double().numpy().copy() for array in arrays)
    return Stage(title, images, captions, labels.copy(), labels.copy(), weight)
