"""The Intra-Modal Constraint paper: what its notebook trains, and what its claims are measured by."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from notebook_source import defined

from imtext.data.dataset import Dataset
from imtext.experiment import GRU, BiLSTM, Given, Results
from imtext.experiment.results import compared
from imtext.losses.intra_modal import pair_distances
from imtext.papers import intra_modal
from imtext.report import paper_values

TABLE = intra_modal.PAPER.tables["3"]


@pytest.fixture(scope="module")
def smoke():
    return defined("intra_modal")


def test_the_paper_profile_is_the_papers():
    names, said = defined("intra_modal", profile="paper"), paper_values("intra_modal", "settings")
    base, paper = names["base"], names["paper"]
    assert base == paper and names["rows"]["l1"] == base
    term, recipe = base.loss.constraint, base.recipe
    here = [base.loss.margin, term.weight, term.low, term.high, base.network.text.dropout]
    here += [recipe.batch_size, recipe.epochs, recipe.lr, recipe.milestones[0], base.network.dim]
    assert list(said.values()) == here
    assert [recipe.rate(epoch) for epoch in (0, 14.9, 15, 29.9)] == pytest.approx([1, 1, 0.1, 0.1])
    assert (base.image.backbone, base.image.crop, base.loss.all_epochs) == ("resnet152", 224, 0)
    assert base.data.train is base.data.val is base.data.test is None


def test_rows_differ_by_what_they_say(smoke):
    rows, base = smoke["rows"], smoke["base"]
    released = {"msd": "distance", "cosine": "cosine", "l2": "distance", "l1": "distance"}
    for name, reading in released.items():
        for key, expected in ((name, f"released_{reading}"), (f"printed-{name}", "printed")):
            term = rows[key].loss.constraint
            assert (term.distance, term.reading, term.weight) == (name, expected, 1)
    for key, weight in {"l1-half": 0.5, "l1-double": 2, "l1-ten": 10}.items():
        assert rows[key] == base.but(loss={"constraint": {"weight": weight}})
    for key, readout in {"l1-last": "last", "l1-released": "released"}.items():
        assert rows[key] == base.but(network={"text": {"readout": readout}})
    assert rows["hinges"].loss == replace(base.loss, constraint=None)
    assert rows["hinges-all"].loss == replace(rows["hinges"].loss, negatives="all")
    assert isinstance(base.network.text, BiLSTM) and rows["vse"].network.text == GRU()
    assert {rows[key].loss.all_epochs for key in rows if key.endswith("early")} == {0}
    assert base.loss.all_epochs == 1 and base.precision == "64"
    assert len(set(rows.values())) == len(rows)
    assert len(set(defined("intra_modal", profile="paper")["rows"].values())) == len(rows) - 3


def test_photographs_and_precomputed_features_have_their_own_settings():
    names = defined("intra_modal", dataset="f30k_precomp", data_root="x", profile="quick")
    assert names["base"].data.train == 6000
    assert names["base"].image == Given() and names["base"].network.dim == 128


# Measures of claims


def unit(random, n):
    rows = random.normal(size=(n, 4))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def made(n=10, seeds=2):
    """Results of two rows on images with one caption and with three, in turns."""
    random, owners = np.random.default_rng(5), np.repeat(np.arange(n), np.tile([1, 3], n // 2))
    captions = tuple(f"caption {j}" for j in range(len(owners)))
    files = tuple(f"{i}.jpg" for i in range(n))
    data = Dataset("made", ".", files, files, captions, owners, np.full(n, "test"), np.arange(n))

    def rows():
        return [{"images": unit(random, n), "captions": unit(random, len(owners))} for _ in range(seeds)]

    found = {}
    for key in ("l1", "hinges"):
        after, before = rows(), rows()
        ranks = {
            side: [random.integers(1, 13, m) for _ in range(seeds)]
            for side, m in (("image", n), ("text", 2 * n))
        }
        found[key] = SimpleNamespace(
            seeds=[*range(seeds)],
            split=lambda name="test": data,
            groups=lambda: {"images": data.group_of_image, "captions": data.group_of_caption},
            embeddings=lambda after=after: after,
            untrained=lambda before=before: before,
            ranks=lambda side, split, ranks=ranks: ranks[side],
        )
    return Results(found), data


def test_distances_before_and_after_with_and_without():
    results, data = made()
    one, owners = results["l1"], data.image_of_caption
    nearer = [
        np.mean([1 - net["images"][i] @ net["captions"][j] for j, i in enumerate(owners)])
        for seeds in (one.untrained(), one.embeddings())
        for net in seeds
    ]
    (evidence,) = intra_modal.pairs_come_nearer(results)
    assert (
        evidence.per_seed == pytest.approx([nearer[0] - nearer[2], nearer[1] - nearer[3]])
        and evidence.unit == ""
    )
    for found, (side, of) in zip(
        intra_modal.modality_moves_apart(results), one.groups().items(), strict=True
    ):
        means = []
        for key in ("l1", "hinges"):
            for net in results[key].embeddings():
                rows = net[side]
                each = [
                    np.mean([1 - row @ rows[j] for j in range(len(rows)) if of[j] != of[i]])
                    for i, row in enumerate(rows)
                ]
                means.append(np.mean(each))
        assert found.per_seed == pytest.approx([means[0] - means[2], means[1] - means[3]])
        assert found.name.startswith(side)


def test_text_queries_against_image_queries():
    results, own = made(20)[0], []
    for seed in range(2):
        gains = []
        for side in ("image", "text"):
            pair = [results[key].ranks(side, "test")[seed] for key in ("l1", "hinges")]
            gains.append(sum(100 * ((pair[0] <= k).mean() - (pair[1] <= k).mean()) for k in (1, 5, 10)) / 3)
        own.append(gains[1] - gains[0])
    (found,) = compared(results, [("l1", "hinges")], "text_more")
    assert found.per_seed == pytest.approx(own) and found.low < found.difference < found.high
    (turned,) = compared(results, [("hinges", "l1")], "text_more")
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


class Sums:
    """Results that know their metrics, R-sum by seed, and nothing else."""

    def __init__(self, values):
        self.values = values

    def metrics(self, split="test"):
        return pd.DataFrame({"rsum": pd.Series(self.values, dtype=float)})


def summed(seeds=3, **sums):
    """Results of all rows of Table 3; those that are not named stand at 100."""
    sums = {key.replace("_", "-"): values for key, values in sums.items()}
    return Results({line.run: Sums(sums.get(line.run, [100.0] * seeds)[:seeds]) for line in TABLE.lines})


def test_gains_are_paired_by_seed():
    results = summed(
        hinges=[100, 104, 102], msd=[101, 103, 105], hinges_early=[90, 98, 94], l1_early=[94] * 3
    )
    found = intra_modal.gains(results)
    assert len(found) == len(TABLE.lines) - 1
    msd = found.loc["λ = 1, MSD (Eq. 6)"]  # 1, -1 and 3
    assert (msd["gain"], msd["sd"], msd["up"], msd["spread"]) == (1, 2, "2 of 3", 2)
    early = {line.run: line.label for line in TABLE.ours}
    assert found.loc[early["hinges-early"]].tolist() == [-8, 2, "0 of 3", 2]
    assert found.loc[early["l1-early"]].tolist() == [0, 4, "1 of 3", 4]
    assert intra_modal.gains(summed(1))[["sd", "spread"]].isna().all(axis=None)
    assert intra_modal.gains(Results()) is None


# Figures


def test_groups_are_joined_with_their_captions():
    figure = intra_modal.groups_before_and_after(made()[0]["l1"])
    assert [axes.get_title("left") for axes in figure.axes] == ["Before training", "After training"]
    for axes in figure.axes:
        lines = [line.get_xydata() for line in axes.lines]
        marks = {mark: [line for line in axes.lines if line.get_marker() == mark] for mark in "so"}
        images, captions = (np.concatenate([line.get_xydata() for line in marks[mark]]) for mark in "so")
        joined = [line for line, one in zip(lines, axes.lines, strict=True) if one.get_marker() == "None"]
        assert len(images) == 4 and len(captions) == len(joined)
        for first, second in joined:
            assert first.tolist() in images.tolist() and second.tolist() in captions.tolist()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["images", "captions"]


def test_histograms_write_means_and_shares():
    def row(values):
        loss = SimpleNamespace(said="L1", constraint=SimpleNamespace(low=0.0, high=0.5))
        cosines = {"images": values, "captions": values}
        experiment = SimpleNamespace(experiment=SimpleNamespace(loss=loss))
        return SimpleNamespace(rows=[experiment], groups=lambda: cosines, similarities=cosines.get)

    before = np.random.default_rng(0).uniform(0, 1, 500)
    figure = intra_modal.similarities(row(before), row(np.full(500, 0.75)))
    assert [axes.get_title("left") for axes in figure.axes[:2]] == ["L1: images", "L1: captions"]
    label, share = figure.axes[0].get_xlabel(), 100 * np.mean(before > 0.5)
    assert f"mean {before.mean():.2f} → 0.75" in label and f"window {share:.1f} → 100.0 %" in label
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["λ = 0", "the panel's model"]


def test_a_sweep_has_every_seed_and_the_mean():
    def trained(weight, *sums):
        term = SimpleNamespace(weight=weight) if weight else None
        row = SimpleNamespace(experiment=SimpleNamespace(loss=SimpleNamespace(constraint=term)))
        return SimpleNamespace(rows=[row], metrics=lambda: pd.DataFrame({"rsum": sums}))

    axes = intra_modal.weight_sweep(trained(0, 1.0, 3.0), trained(1.0, 4.0, 4.0)).axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([2, 4])
    points = [np.asarray(one.get_offsets())[:, 1] for one in axes.collections if len(one.get_offsets()) > 1]
    assert sorted(np.concatenate(points).tolist())[-4:] == [1, 3, 4, 4]


# The force of Eq. 4


def naive(distances, reading):
    """The term of a matrix of distances, by loops."""
    n, values, low, high = len(distances), distances, 0.05, 0.5
    if reading == "released_distance":
        values = distances / np.sqrt((distances**2).sum(1, keepdims=True))
        low, high = (sorted(values[0])[round(share * n)] for share in (low, high))
    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j and low < values[i, j] < high:
                total += 1 - values[i, j] if reading == "released_cosine" else values[i, j]
    return total if reading == "printed" else total / n


KINDS = [("printed", name) for name in ("msd", "cosine", "l2", "l1")] + [
    ("released_distance", "msd"),
    ("released_cosine", "cosine"),
    ("released_distance", "l2"),
    ("released_distance", "l1"),
]


@pytest.mark.parametrize(("reading", "distance"), KINDS)
def test_the_force_on_a_pair(reading, distance):
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    curve, found = (
        intra_modal.force_curve(rows, reading, distance),
        pair_distances(rows, distance).numpy(),
    )
    at, force, inside = (curve[name].to_numpy() for name in ("at", "force", "inside"))
    apart = np.sort(found[~np.eye(9, dtype=bool)])
    at = at * apart[(len(apart) - 1) // 2]
    one, two = 3, 6
    assert at[0] == 0 and at[-1] == pytest.approx(found.max())
    step, slopes = 1e-7, []
    for value in at:
        ends = []
        for moved in (value + step, value - step):
            changed = found.copy()
            changed[one, two] = changed[two, one] = moved
            ends.append(naive(changed, reading))
        slopes.append(-(ends[0] - ends[1]) / (2 * step))
    # Where the window begins and ends the term jumps; a distance of 0 is such an end.
    smooth = (np.abs(slopes) < 1e3) & (at > 0)
    assert smooth.sum() >= len(smooth) - 3
    assert np.allclose(force[smooth], np.array(slopes)[smooth], atol=1e-5)
    beyond = at > at[inside][-1]
    if reading == "released_distance":  # near pairs together, those beyond the window apart
        assert (force[inside][:5] < 0).all() and beyond.any() and (force[beyond] > 0).all()
    else:
        assert 0.05 < at[inside][0] < 0.1 and 0.45 < at[inside][-1] < 0.5
        # Both ordered pairs: 2 together as printed, 2 / 9 apart as the cosine is released.
        assert force[inside] == pytest.approx(-2 if reading == "printed" else 2 / 9)
        assert (force[~inside] == 0).all() and beyond.any()
