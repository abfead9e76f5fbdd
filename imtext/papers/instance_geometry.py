"""Two groups in the plane: what the two losses do, as a training one can look at (Zheng et al., Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from imtext.losses import InstanceLoss, ranking_loss
from imtext.papers.structure_geometry import own_axes
from imtext.report.figures import panels
from imtext.report.style import INK, PALETTE, house_style
from imtext.threads import torch_threads

POINTS, DIM, HIDDEN = 12, 8, 16
COMMON, APART, NOISE = 3.0, 0.6, 0.4
STEPS, RATE, MOMENTUM = 150, 0.02, 0.9
COLOURS = PALETTE[:2]
# Steps since the stage before, and the weight of the ranking loss in them.
STAGES = {"Before training": (0, 0), "After the instance loss": (STEPS, 0), "After both losses": (STEPS, 1)}


class Stage(NamedTuple):
    """The points at one moment of the training, float64.

    Attributes:
        title: what has happened so far.
        images: ``(n, 2)``; captions: ``(n, 2)``, not normalised.
        classes: ``(n,)``, 0 or 1, of the images and of the captions.
        weight: ``(2, 2)``, the shared classifier, one row per class.
    """

    title: str
    images: np.ndarray
    captions: np.ndarray
    classes: np.ndarray
    weight: np.ndarray


def two_classes(seed: int) -> list[Stage]:
    """Train two small networks, one per modality, on two groups (Zheng et al., section 4.2 and Fig. 6).

    Pictures and captions are noisy vectors. What they share is large and what tells the groups apart is
    small, as among images that are hard to tell apart; each modality sees it in axes of its own. The
    embedding has two entries, so that it can be drawn as it is. The stages are

    1. before training;
    2. after the instance loss alone (Eqs. 5-8, one classifier without bias for both);
    3. after as many more steps of both losses (Eq. 9, all weights 1, hardest negatives, margin 1).

    The softmax does not see what lies along the decision boundary, since it is the same for both classes:
    stage 2 puts nearly every point on its side and leaves the two modalities of a group at an angle. The
    ranking loss compares angles across the modalities and closes it.

    >>> [stage.title for stage in two_classes(seed=1)]
    ['Before training', 'After the instance loss', 'After both losses']
    """
    random = np.random.default_rng(seed)
    groups = np.repeat([0, 1], POINTS)
    centres = np.zeros((2 * POINTS, DIM))
    centres[:, 0] = np.where(groups == 1, APART, -APART)
    centres[:, 1] = COMMON
    points = (centres + NOISE * random.normal(size=centres.shape) for _ in range(2))
    pictures, texts = (torch.as_tensor(one @ own_axes(random)) for one in points)
    classes = torch.as_tensor(groups)
    stages = []
    # Own random numbers: a figure must not change those of what is trained after it.
    with torch.random.fork_rng(devices=[]), torch_threads(1):
        torch.default_generator.manual_seed(seed)
        parts = _network(), _network(), InstanceLoss(2, 2, bias=False, dropout=0.0)
        # Float64, so that the figure depends as little as can be on the processor.
        image_net, text_net, shared = modules = nn.ModuleList(parts).double()
        for title, (steps, weight) in STAGES.items():
            optimiser = torch.optim.SGD(modules.parameters(), lr=RATE, momentum=MOMENTUM)
            for _ in range(steps):
                images, captions = image_net(pictures), text_net(texts)
                ranking = ranking_loss(images, captions, classes, margin=1.0, reduction="mean")
                # Rounding decides what is hardest: another order of the terms would move the numbers.
                loss = weight * ranking + (shared(images, classes) + shared(captions, classes))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            tensors = image_net(pictures), text_net(texts), classes, shared.classifier.weight.clone()
            stages.append(Stage(title, *(tensor.numpy(force=True) for tensor in tensors)))
    return stages


def summary(stage: Stage) -> dict[str, float]:
    """What a stage looks like, in three numbers.

    Returns:
        ``matching``, the mean cosine of a picture and a caption of one group; ``other``, that of two
        groups; ``right side``, the share of points on their group's side of the decision boundary.

    >>> plane = np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> summary(Stage("", plane, plane, np.array([0, 1]), plane))
    {'matching': 1.0, 'other': -1.0, 'right side': 1.0}
    """
    points = np.stack([stage.images, stage.captions])
    images, captions = points / np.linalg.norm(points, axis=2, keepdims=True)
    cosines = images @ captions.T
    same = stage.classes[:, None] == stage.classes
    right = (points @ stage.weight.T).argmax(2) == stage.classes
    return {
        "matching": float(cosines[same].mean()),
        "other": float(cosines[~same].mean()),
        "right side": float(right.mean()),
    }


@house_style()
def geometry(stages: Sequence[Stage]) -> Figure:
    """Images and captions of both classes in the plane, a panel for each stage (Zheng et al., Fig. 6).

    The origin is in the middle of every panel, since a cosine is an angle there; the dashed line is where
    both classes have the same score, (W1 − W2)·f = 0. The arrows show the directions of W1 and W2 and the
    proportion of their lengths.
    """
    figure, grid = panels(len(stages), 3.2)
    for axes, stage in zip(grid, stages, strict=True):
        # Wide enough for a rim without points, where the names of the arrows stand.
        reach = 1.35 * np.abs([stage.images, stage.captions]).max()
        axes.set(title=stage.title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.spines[:].set_visible(True)
        arrows = 0.8 * reach * stage.weight / np.linalg.norm(stage.weight, axis=1).max()
        true_size = {"angles": "xy", "scale_units": "xy", "scale": 1}
        axes.quiver([0, 0], [0, 0], *arrows.T, color=COLOURS, width=0.012, **true_size)
        for number, (arrow, colour) in enumerate(zip(arrows, COLOURS, strict=True)):
            face = "none" if number else (colour, 0.6)
            for kind, mark, points in (("image", "o", stage.images), ("caption", "^", stage.captions)):
                look = {"s": 28, "marker": mark, "facecolors": face, "edgecolors": colour}
                axes.scatter(*points[stage.classes == number].T, label=f"{kind}, class {number + 1}", **look)
            name = 0.87 * reach * arrow / np.abs(arrow).max()
            axes.text(*name, f"$W_{number + 1}$", parse_math=True, ha="center", va="center", fontsize=10)
        normal, rim = arrows[0] - arrows[1], [-reach, reach]
        line = {"color": INK, "linewidth": 1.2, "linestyle": "--", "zorder": 0}
        axes.axline((0, 0), (-normal[1], normal[0]), label="same score", **line)
        lead = np.tensordot(normal, np.meshgrid(rim, rim), 1)
        tints = {"levels": [lead.min(), 0, lead.max()], "colors": COLOURS[::-1], "alpha": 0.09, "zorder": 0}
        axes.contourf(rim, rim, lead, **tints)
    arrows_are = "arrows: class weights, on a scale of their own"
    figure.legend(*grid[0].get_legend_handles_labels(), title=arrows_are, loc="outside lower center", ncols=3)
    return figure


def _network() -> nn.Sequential:
    """From an input to the plane; it starts with points well away from the origin, in one direction."""
    net = nn.Sequential(nn.Linear(DIM, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2))
    nn.init.normal_(net[2].weight, std=1.0)
    return net
