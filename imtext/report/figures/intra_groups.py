"""A few groups on a map, before and after, with the pairs that the intra-modal constraint is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imtext.errors import DataError
from imtext.report.figures.neighbourhoods import _style
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

SIDES = ("images", "sentences")


@dataclass(frozen=True)
class GroupMap:
    """A few groups at one moment, on a map of two dimensions.

    `images (n, 2)`, `sentences (m, 2)`: places on the map, in any unit. `image_groups (n,)`, `sentence_groups
    (m,)`: labels. `image_nearest (n,)`, `sentence_nearest (m,)`: index of the item of the same modality and
    another group to which a line leads, -1 for none. `means`: what is written beneath, by name, in the order
    given. What is near and how far is a matter of the embedding, not of the map: see :meth:`measured`.
    """

    title: str
    images: np.ndarray
    sentences: np.ndarray
    image_groups: np.ndarray
    sentence_groups: np.ndarray
    image_nearest: np.ndarray
    sentence_nearest: np.ndarray
    means: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def measured(
        cls,
        title: str,
        places: tuple[Any, Any],
        rows: tuple[Any, Any],
        groups: tuple[Any, Any],
    ) -> GroupMap:
        """A map with neighbours and mean distances, 1 − cos, computed from the embedding itself.

        Each argument is a pair, images first: `places` (n, 2) and (m, 2) on the map, `rows` (n, D) and (m, D)
        of the embedding, any length above 0, `groups` (n,) and (m,). Of either modality, each group has one
        neighbour: that of its item which is nearest to another group. The means are those of matching pairs
        and of items of different groups within either modality. Raises DataError where shapes do not match.

        >>> rows = [[1, 0], [0, 1]], [[1, 0], [3, 4]]
        >>> found = GroupMap.measured("two", rows, rows, ([0, 1], [0, 1]))
        >>> {name: round(mean, 3) for name, mean in found.means.items()}
        {'pairs': 0.1, 'images': 1.0, 'sentences': 0.4}
        """
        labels = [np.asarray(part) for part in groups]
        units = [_units(f"{title}: {s}", r, g) for s, r, g in zip(SIDES, rows, labels, strict=True)]
        if units[0].shape[1] != units[1].shape[1]:
            raise DataError(
                f"group map {title}: images of {units[0].shape[1]} numbers, sentences of "
                f"{units[1].shape[1]}; take both from one embedding"
            )
        pairs = labels[0][:, None] == labels[1][None]
        means = {"pairs": _mean((1 - units[0] @ units[1].T)[pairs])}
        nearest = []
        for side, unit, own in zip(SIDES, units, labels, strict=True):
            other = own[:, None] != own[None]
            apart = np.where(other, 1 - unit @ unit.T, np.inf)
            nearest.append(_nearest(apart, own))
            means[side] = _mean(apart[other])
        return cls(title, *places, *labels, *nearest, means)


def _units(where: str, rows: Any, groups: np.ndarray) -> np.ndarray:
    """Rows (n, D) divided by their lengths; DataError unless each has a length and a group."""
    array = np.asarray(rows, dtype=float)
    lengths = np.linalg.norm(array, axis=1, keepdims=True) if array.ndim == 2 else np.zeros((0, 1))
    good = len(lengths) and np.isfinite(lengths).all() and (lengths > 0).all()
    if not good or groups.shape != (len(lengths),):
        raise DataError(
            f"group map {where}: expected rows (n, D) of a length above 0 and one group each, found "
            f"{array.shape} and {groups.shape}"
        )
    return array / lengths


def _nearest(apart: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For the item of each group that is nearest to another group: the index of what it is nearest to; -1
    else."""
    found = np.full(len(groups), -1)
    for label in np.unique(groups):
        own = np.flatnonzero(groups == label)
        first = own[apart[own].min(1).argmin()]
        if np.isfinite(apart[first]).any():
            found[first] = apart[first].argmin()
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _checked(part: GroupMap) -> GroupMap:
    """The map with its arrays as arrays; DataError where they do not match."""
    arrays: dict[str, np.ndarray] = {}
    for side in SIDES:
        where, one = f"group_geometry: {part.title}: {side}", side[:-1]
        points = arrays[side] = np.asarray(getattr(part, side), dtype=float)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
            raise DataError(f"{where}: expected finite places (n, 2) with n ≥ 1, found {points.shape}")
        for name in (f"{one}_groups", f"{one}_nearest"):
            arrays[name] = np.asarray(getattr(part, name))
            if arrays[name].shape != (len(arrays[side]),):
                raise DataError(
                    f"{where}: {name} of shape {arrays[name].shape} for {len(arrays[side])}; give one each"
                )
        near = arrays[f"{one}_nearest"]
        if not np.issubdtype(near.dtype, np.integer) or near.min() < -1 or near.max() >= len(near):
            raise DataError(f"{where}: {one}_nearest should be indices from -1 to {len(near) - 1}")
    return GroupMap(str(part.title), **arrays, means=dict(part.means))


def _join(axes: Axes, first: np.ndarray, second: np.ndarray, gid: str, **look: Any) -> None:
    """Lines from points (n, 2) to points (n, 2)."""
    for ends in np.stack([first, second], axis=1):
        axes.plot(*ends.T, color=INK, gid=gid, zorder=2, **look)


def _draw_map(axes: Axes, part: GroupMap, labels: Sequence[Any], reach: float, middle: np.ndarray) -> None:
    axes.set(aspect="equal", xticks=[], yticks=[], title=part.title)
    axes.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]))
    axes.spines[:].set_visible(True)
    image, sentence = np.nonzero(part.image_groups[:, None] == part.sentence_groups[None])
    _join(
        axes, part.images[image], part.sentences[sentence], "pair", linewidth=0.9, linestyle="-", alpha=0.55
    )
    for side, dash, wide in zip(SIDES, ((0, (4, 2)), (0, (1, 1.4))), (1.6, 1.3), strict=True):
        points, nearest = getattr(part, side), getattr(part, f"{side[:-1]}_nearest")
        # Two items that are each other's nearest get one line.
        lines = sorted({tuple(sorted((a, int(b)))) for a, b in enumerate(nearest) if b >= 0})
        ends = np.array(lines, dtype=int).reshape(-1, 2)
        _join(axes, points[ends[:, 0]], points[ends[:, 1]], f"nearest {side}", linewidth=wide, linestyle=dash)
    for side in SIDES:
        groups = getattr(part, f"{side[:-1]}_groups")
        for number, label in enumerate(labels):
            own = getattr(part, side)[groups == label]
            axes.plot(*own.T, zorder=4, gid=f"{side} {label}", **_style(side[:-1], number))
    shown = [f"{name} {value:.2f}" for name, value in part.means.items()]
    axes.set_xlabel("mean distances: " + ", ".join(shown) if shown else "", fontsize=8.5)


def group_geometry(before: GroupMap, after: GroupMap) -> Figure:
    """A few groups in the embedding at two moments, such as without and with the constraint, side by side.

    Squares are images, circles sentences; groups differ in colour and fill. A thin line joins an image and
    its sentences. A dashed line joins images that are nearest neighbours of different groups, a dotted one
    such sentences: the pairs that the constraint is about.
    Both panels have one scale, each has its points in its middle. Mean distances stand beneath.

    Raises DataError for shapes that do not match, numbers that are not finite, or more than four groups.
    Source: intra-modal constraint, Figure 1, right.
    """
    panels = [_checked(part) for part in (before, after)]
    labels = np.unique(np.concatenate([g for p in panels for g in (p.image_groups, p.sentence_groups)]))
    if len(labels) > len(PALETTE):
        raise DataError(f"group_geometry: expected at most {len(PALETTE)} groups, found {len(labels)}")
    clouds = [np.concatenate([part.images, part.sentences]) for part in panels]
    middles = [(cloud.min(0) + cloud.max(0)) / 2 for cloud in clouds]
    reach = 1.12 * max(np.abs(cloud - mid).max() for cloud, mid in zip(clouds, middles, strict=True)) or 1.0
    with house_style():
        figure = new_figure(BOOK_WIDTH / 2 + 0.95, BOOK_WIDTH)
        for axes, part, middle in zip(figure.subplots(1, 2), panels, middles, strict=True):
            _draw_map(axes, part, labels, reach, middle)
        plain = {"color": INK, "linestyle": "none", "markerfacecolor": "none"}
        handles = [
            Line2D([], [], label=f"group {chr(ord('A') + number)}", **_style("sentence", number))
            for number in range(len(labels))
        ]
        handles += [
            Line2D([], [], label="image", marker="s", markersize=7, **plain),
            Line2D([], [], label="sentence", marker="o", markersize=6, **plain),
            Line2D([], [], label="pair", color=INK, linewidth=0.9, linestyle="-", alpha=0.55),
            Line2D([], [], label="nearest image", color=INK, linewidth=1.6, linestyle=(0, (4, 2))),
            Line2D([], [], label="nearest sentence", color=INK, linewidth=1.3, linestyle=(0, (1, 1.4))),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8)
    return figure
