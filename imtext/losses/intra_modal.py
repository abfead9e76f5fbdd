"""The Intra-Modal Constraint loss (Chen et al., Eqs. 3 to 8), in each way that its Eq. 4 can be read."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imtext.check import one_of
from imtext.errors import ConfigError
from imtext.losses.common import expect, same_group, widened
from imtext.losses.ranking import ranking_loss
from imtext.unit import unit_rows

DISTANCES = ("cosine", "msd", "l1", "l2")
READINGS = ("printed", "released_cosine", "released_distance")


def intra_modal_loss(
    images: Tensor, captions: Tensor, groups: Tensor | None = None, weight: float = 1.0, **options: Any
) -> Tensor:
    """Max of hinges and the constraint of both modalities (Chen et al., Eq. 3).

    Args:
        images: ``(B, D)``; captions: ``(B, D)``; pair ``i`` is ``(images[i], captions[i])``.
        groups: ``(B,)`` integers, items of one group are no negatives of one another, neither across nor
            within a modality; None says that every pair is a group of its own, as in the released code.
        weight: lambda (paper: 1); 0 leaves the hinges alone.
        options: ``distance``, ``reading``, ``low`` and ``high`` of :func:`intra_modal_constraint`;
            ``margin``, ``negatives`` and ``reduction`` of :func:`~imtext.losses.ranking.hinge_loss`.
            A mean is that of the hinges; the constraint has its own scale and is added as it is.

    Returns:
        A scalar, float32 for features in half precision.

    Raises:
        ConfigError: an option or a shape does not fit.

    >>> images = torch.eye(2)
    >>> round(float(intra_modal_loss(images, images.flip(0))), 4)  # hinges: two items have no window
    4.8
    """
    hinge = {name: options.pop(name) for name in ("margin", "negatives", "reduction") if name in options}
    loss = ranking_loss(images, captions, groups, **hinge)
    both = [intra_modal_constraint(rows, groups=groups, **options) for rows in (images, captions)]
    return loss + weight * sum(both)


def intra_modal_constraint(
    rows: Tensor,
    distance: str = "l1",
    reading: str = "released_distance",
    low: float = 0.05,
    high: float = 0.5,
    groups: Tensor | None = None,
) -> Tensor:
    """The constraint on one modality of a batch (Chen et al., Eq. 4), without its lambda.

    Eq. 4 is printed with one condition twice, and the released code does not follow it:

    - ``"printed"``: the sum of the distances between ``low`` and ``high``, over ordered pairs. Minimised, it
      draws these pairs together.
    - ``"released_cosine"``: what the code does with the cosine: the sum of the *similarities* of the pairs
      whose distance lies between ``low`` and ``high``, over N. It pushes them apart.
    - ``"released_distance"``: what the code does with the other three: each row of distances is divided by
      its L2 norm; what lies between two entries of the first row, those at ``low`` and ``high`` of its
      order, is summed, over N. It draws these pairs together and, through the norm, pushes the others apart.

    Args:
        rows: ``(N, D)``, images or captions, any length.
        distance: ``"cosine"`` (Eq. 5), ``"msd"`` (Eq. 6), ``"l1"`` (Eq. 7) or ``"l2"`` (Eq. 8 as a Euclidean
            distance), see :func:`pair_distances`.
        reading: one of the three above. ``"released_cosine"`` goes with the cosine, ``"released_distance"``
            with the other three, ``"printed"`` with all.
        low: the lower threshold: a distance, or with ``"released_distance"`` a share of the batch.
        high: the upper one.
        groups: ``(N,)`` integers; items of one group are left out, and in a row that is scaled and ordered
            they count as the item itself does, as a distance of 0. None leaves out the diagonal alone, as
            in the released code.

    Returns:
        A scalar, float32 for rows in half precision; 0 where no pair lies inside the window.

    Raises:
        ConfigError: a name, a pair of thresholds or a shape that does not fit.

    >>> rows = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])  # cosines .8, .6 and 0
    >>> round(float(intra_modal_constraint(rows, "cosine", "printed")), 4)  # twice .2 and .4
    1.2
    >>> round(float(intra_modal_constraint(rows, "cosine", "released_cosine")), 4)  # twice .8 and .6, over 3
    0.9333
    """
    if reading != "printed" and (reading == "released_cosine") != (distance == "cosine"):
        raise ConfigError(f"{reading!r} is not what the released code does with {distance!r}; take the other")
    return constraint_of_distances(pair_distances(rows, distance), reading, low, high, groups)


def constraint_of_distances(
    distances: Tensor, reading: str, low: float = 0.05, high: float = 0.5, groups: Tensor | None = None
) -> Tensor:
    """The constraint as a function of the distances, so that its derivative is the force on each pair.

    Minus the derivative is positive where a pair is pushed apart, negative where it is drawn together.

    Args:
        distances: ``(N, N)``, of each item to each; the diagonal is never read.
        reading: ``"printed"``, ``"released_cosine"`` (for distances that are 1 - cos) or
            ``"released_distance"``.
        low, high, groups: see :func:`intra_modal_constraint`.

    Returns:
        A scalar.

    Raises:
        ConfigError: a name, a pair of thresholds or a shape that does not fit.

    >>> distances = torch.tensor([[0.0, 0.3], [0.3, 0.0]], requires_grad=True)
    >>> constraint_of_distances(distances, "released_cosine").backward()
    >>> -float(distances.grad[0, 1])  # apart
    0.5
    """
    values, window = _values(distances, reading, low, high, groups)
    values = 1 - values if reading == "released_cosine" else values
    total = values.masked_fill(~window, 0.0).sum()
    return total if reading == "printed" else total / max(len(values), 1)


def in_window(
    distances: Tensor, reading: str, low: float = 0.05, high: float = 0.5, groups: Tensor | None = None
) -> Tensor:
    """Which pairs the constraint sums; those on a border are left out.

    With ``"released_distance"`` the borders are entries of the first row, so the other rows depend on it.

    Args:
        distances: ``(N, N)``, of each item to each; the diagonal is never read.
        reading, low, high, groups: see :func:`constraint_of_distances`.

    Returns:
        ``(N, N)`` bool.

    Raises:
        ConfigError: a name, a pair of thresholds or a shape that does not fit.

    >>> in_window(torch.tensor([[0.0, 0.3], [0.6, 0.0]]), "printed")
    tensor([[False,  True],
            [False, False]])
    """
    return _values(distances, reading, low, high, groups)[1]


def pair_distances(rows: Tensor, distance: str) -> Tensor:
    """Distances of every two rows, each made a unit vector first (Chen et al., Eqs. 5 to 8).

    Memory grows with N x N and N x D, never with N x N x D. A distance of 0 has a gradient of 0.

    Args:
        rows: ``(N, D)``; a row of zeros stays one, and its cosine is 0.
        distance: ``"cosine"``, 1 - cos; ``"msd"``, the sum of squared differences, on unit vectors twice the
            former; ``"l1"``, the sum of absolute ones; ``"l2"``, the root of ``"msd"``. Eq. 8 as printed
            takes the root of each square by itself, which is Eq. 7.

    Returns:
        ``(N, N)``, float32 for rows in half precision, 0 on the diagonal.

    Raises:
        ConfigError: an unknown distance, or rows that are no matrix.

    >>> rows = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> [round(float(pair_distances(rows, name)[0, 1]), 4) for name in DISTANCES]
    [1.0, 2.0, 2.0, 1.4142]
    """
    one_of("distance", distance, DISTANCES)
    expect(rows.dim() == 2, "rows (N, D)", rows)
    # Autocast would make the products below bfloat16, in which neighbouring distances tie.
    with torch.autocast(rows.device.type, enabled=False):
        rows = unit_rows(rows)
        if distance == "cosine":
            return (1 - rows @ rows.T).fill_diagonal_(0.0)
        if distance == "l1":
            return _Differences.apply(rows, 1)
        euclidean = _Differences.apply(rows, 2)
        return euclidean.square() if distance == "msd" else euclidean


class _Differences(torch.autograd.Function):
    """L1 or L2 distances of all rows, from their differences: exact for rows that lie close together.

    ``torch.cdist`` computes each pair twice, and on a GPU its backward (and that of ``pdist``) holds an
    N x N x D buffer.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, power: int) -> Tensor:
        upper = torch.triu_indices(len(rows), len(rows), 1, device=rows.device).unbind()
        distances = rows.new_zeros(len(rows), len(rows)).index_put(upper, F.pdist(rows, p=power))
        distances, context.power = distances + distances.T, power
        context.save_for_backward(rows, distances)
        return distances

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, distances = context.saved_tensors
        pull = gradient + gradient.T
        if context.power == 2:
            pull = torch.where(distances > 0, pull / distances, 0.0)
            return pull.sum(1, keepdim=True) * rows - pull @ rows, None
        each = zip(rows.split(1), pull.split(1), strict=True)
        return torch.cat([by @ (row - rows).sign_() for row, by in each]), None


def _values(distances: Tensor, reading: str, low: float, high: float, groups: Any) -> tuple[Tensor, Tensor]:
    """Distances as the reading scales them, 0 where left out, and which of them count: ``(N, N)`` both."""
    shares = one_of("reading", reading, READINGS) == "released_distance"
    if not low < high or (shares and not 0 <= low < high <= 1):
        raise ConfigError(f"low={low}, high={high}: expected low < high, shares from 0 to 1 if {READINGS[2]}")
    expect(distances.dim() == 2 and len(distances) == distances.shape[1], "distances (N, N)", distances)
    same = same_group(groups, distances)
    values = widened(distances).masked_fill(same, 0.0)
    if shares and len(values):
        values = unit_rows(values)
        # The first row's entries at two shares of its order, as in the released code; itself comes first.
        order, last = values[0].detach().sort().values, len(values) - 1
        low, high = (order[min(round(share * len(values)), last)] for share in (low, high))
    # Not outside, rather than inside: what is not a number is then kept, and seen.
    return values, ~(same | (values <= low) | (values >= high))
