"""Intra-Modal Constraint Loss for Image-Text Retrieval (Chen et al. 2022): what only this paper needs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from imtext.experiment import Result, Results, none_of_absent
from imtext.experiment.networks import DISTANCES
from imtext.experiment.results import drawn
from imtext.losses.intra_modal import constraint_of_distances, in_window, pair_distances
from imtext.papers import figure_of, study_of
from imtext.report import Evidence, from_scores, read_paper
from imtext.report.figures import FILLS, by_weight, distribution, draw_groups, panels
from imtext.report.style import DASHES, INK, PALETTE
from imtext.retrieval import distance_to_others

PAPER = read_paper("intra_modal")


# What claims are measured by where the ranks of two rows are not enough


def pairs_come_nearer(results: Results) -> list[Evidence]:
    """Distance of matching pairs before minus after training, over the test captions."""
    one, name = results["l1"], "distance of matching pairs"
    owners, groups = one.split().image_of_caption, one.groups()["captions"]
    before, after = (
        [1 - (found["images"][owners] * found["captions"]).sum(1) for found in seeds]
        for seeds in (one.untrained(), one.embeddings())
    )
    return [from_scores(name, before, after, groups, scale=1, unit="", digits=3)]


def modality_moves_apart(results: Results) -> list[Evidence]:
    """Distance to items of other groups in the same modality, with the constraint minus without."""
    found, both = [], [results[key].embeddings() for key in ("l1", "hinges")]
    for side, groups in results["l1"].groups().items():
        rows = ([distance_to_others(seed[side], groups) for seed in seeds] for seeds in both)
        found.append(from_scores(f"{side}, distance to others", *rows, groups, scale=1, unit="", digits=3))
    return found


study = study_of(PAPER, globals())


# Tables of ours


def gains(results: Results) -> pd.DataFrame | None:
    """R-sum of every row of Table 3 less that of the hinges alone, paired by seed.

    ``up``: seeds that gain; ``spread``: deviation between seeds of the hinges that a row is compared with.
    Rows "from early on" are compared with the hinges alone from early on, these with the hinges alone.
    """
    lines, runs = {}, {line.id: line.run for line in PAPER.tables["3"].lines}
    for line in PAPER.tables["3"].lines:
        if line.over and results.has(line.run, runs[line.over]):
            plain = results[runs[line.over]].metrics()["rsum"]
            gain = results[line.run].metrics()["rsum"] - plain
            up = f"{(gain > 0).sum()} of {len(gain)}"
            lines[line.label] = {"gain": gain.mean(), "sd": gain.std(), "up": up, "spread": plain.std()}
    return pd.DataFrame.from_dict(lines, orient="index").round(2) if lines else None


# Figures


@figure_of
def forces(result: Result, pairs: int = 128) -> Figure:
    """The force on one pair of a batch of test images by its distance, a panel for each reading of Eq. 4.

    Above 0 the pair is pushed apart. Forces are shares of the largest of their line, which the legend gives,
    distances multiples of the median of the batch; the bar on top is the window in which a pair counts.
    """
    rows = result.embeddings()[0]["images"]
    rows = torch.from_numpy(rows[drawn(len(rows), pairs)]).double()
    readings = {"printed": DISTANCES, "released_cosine": ["cosine"], "released_distance": ["msd", "l2", "l1"]}
    figure, grid = panels(len(readings), 3.4, sharey=True)
    for axes, (reading, distances) in zip(grid, readings.items(), strict=True):
        for distance in distances:
            number = list(DISTANCES).index(distance)
            curve = force_curve(rows, reading, distance)
            largest, inside = curve["force"].abs().max(), curve["at"][curve["inside"]]
            label = f"{DISTANCES[distance]}: {largest:.2g}" if largest else f"{DISTANCES[distance]}: none"
            look = {"color": PALETTE[number], "linestyle": DASHES[number], "label": label}
            axes.plot(curve["at"], curve["force"] / (largest or 1), **look)
            axes.plot(inside, np.full_like(inside, 1.1 + 0.06 * number), linewidth=2.4, color=PALETTE[number])
        axes.axhline(0, color=INK, linewidth=0.8, linestyle="-")
        axes.set(title=reading.replace("_", " "), xlabel="distance / median of the batch")
        axes.legend(title="largest force", fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    grid[0].set_ylabel("← together   force   apart →")
    return figure


def force_curve(rows: torch.Tensor, reading: str, distance: str, steps: int = 200) -> pd.DataFrame:
    """Minus the derivative of the constraint by the distance of one pair of ``rows (N, D)``, the others held.

    Returns columns ``at``, the distance over the median of the batch, ``force``, and ``inside``, whether the
    pair counts.
    """
    found = pair_distances(rows, distance)
    one, two = len(rows) // 3, 2 * len(rows) // 3
    apart, lines = found[~torch.eye(len(rows), dtype=torch.bool)], []
    for value in torch.linspace(0, float(apart.max()), steps, dtype=rows.dtype):
        pair, moved = value.clone().requires_grad_(True), found.clone()
        moved[one, two] = moved[two, one] = pair
        # A term without a pair in its window does not depend on the distance.
        loss = constraint_of_distances(moved, reading) + 0 * pair
        slope = torch.autograd.grad(loss, pair)[0]
        inside = bool(in_window(moved.detach(), reading)[one, two])
        lines.append({"at": float(value / apart.median()), "force": -float(slope), "inside": inside})
    return pd.DataFrame(lines)


@figure_of
def groups_before_and_after(result: Result) -> Figure:
    """Figure 1, right: four drawn test groups before and after training, on their principal components.

    Images are squares, captions circles; lines join what belongs together. The distances beneath are those
    of the embedding.
    """
    groups = result.groups()
    names = np.unique(groups["images"])
    names = names[drawn(len(names), len(FILLS), seed=2)]
    kept = {side: np.isin(own, names) for side, own in groups.items()}
    of = {side: groups[side][rows] for side, rows in kept.items()}
    same = of["images"][:, None] == of["captions"]
    figure, grid = panels(2, 4.4)
    moments = {"Before training": result.untrained(), "After training": result.embeddings()}
    for axes, (title, found) in zip(grid, moments.items(), strict=True):
        rows = {side: found[0][side][own] for side, own in kept.items()}
        flat = PCA(2, random_state=0).fit_transform(np.concatenate(list(rows.values())))
        places = dict(zip(rows, np.split(flat, [len(rows["images"])]), strict=True))
        for image, caption in np.argwhere(same):
            ends = places["images"][image], places["captions"][caption]
            axes.plot(*np.transpose(ends), color=INK, linewidth=0.7, linestyle="-")
        draw_groups(axes, places, of)
        means = {"pairs": 1 - (rows["images"] @ rows["captions"].T)[same].mean()}
        means |= {side: distance_to_others(rows[side], own).mean() for side, own in of.items()}
        said = "mean distances\n" + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
        axes.set(title=title, xlabel=said, xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@figure_of
def similarities(plain: Result, *constrained: Result) -> Figure:
    """Cosines within a modality, of items of different groups: without the constraint, and with each.

    Dotted lines are means; the window of the constraint is shaded, with the share of cosines in it.
    """
    term = constrained[0].rows[0].experiment.loss.constraint
    shown = list(product(plain.groups(), constrained))
    figure, grid = panels(len(shown), 2.1, sharex=True)
    cosines = [(plain.similarities(side), one.similarities(side)) for side, one in shown]
    edges = np.histogram_bin_edges(np.concatenate(sum(cosines, ())), 60)
    for axes, (side, one), own in zip(grid, shown, cosines, strict=True):
        for number, (name, values) in enumerate(zip(("λ = 0", "the panel's model"), own, strict=True)):
            heights = np.histogram(values, edges, density=True)[0]
            distribution(axes, number, name, heights, edges, np.mean(values))
        axes.axvspan(1 - term.high, 1 - term.low, color=INK, alpha=0.13, linewidth=0)
        means = " → ".join(f"{np.mean(values):.2f}" for values in own)
        inside = (100 * np.mean((values > 1 - term.high) & (values < 1 - term.low)) for values in own)
        shares = " → ".join(f"{share:.1f}" for share in inside)
        said = f"cosine: mean {means}\nin the window {shares} %"
        axes.set(title=f"{one.rows[0].experiment.loss.said}: {side}", xlabel=said, yticks=[])
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@none_of_absent
def weight_sweep(*results: Result) -> Figure:
    """Figure 2: R-sum of the test split by the weight λ of the constraint, 0 without one.

    The mean over seeds, lowest to highest as a band, each seed a point.
    """
    terms = [result.rows[0].experiment.loss.constraint for result in results]
    weights = [term.weight if term else 0 for term in terms]
    return by_weight(dict(zip(weights, [one.metrics() for one in results], strict=True)), "R-sum", 1)
