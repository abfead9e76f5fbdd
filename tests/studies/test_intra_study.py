"""The study of the Intra-Modal Constraint paper at its smallest: rows, runs, figures, publishing."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from imtext.losses.intra_modal import in_window, pair_distances
from imtext.report import paper_claims, paper_table, paper_values, read_published
from imtext.report.figures import (
    force_curves,
    group_geometry,
    intra_histograms,
    network_diagram,
    weight_sweep,
)
from imtext.retrieval import evaluate
from imtext.studies import intra_rows
from imtext.studies.intra_figures import force_curve
from imtext.studies.intra_modal import IntraStudy
from imtext.studies.rich_data import RichData
from imtext.studies.running import run_one

TINY = replace(
    intra_rows.SMOKE,
    data={"train": 20, "val": 5, "test": 15, "size": 64, "crop": 64, "views": 1},
    # Wide enough that no L1 distance of a batch is below .5.
    network={"dim": 64, "word_dim": 20, "all_epochs": 1},
    recipe=replace(intra_rows.SMOKE.recipe, batch_size=10),
)
IMAGE_DIM = RichData.image_dim
RECALLS = [f"{side}_query_r{k}" for side in ("image", "text") for k in (1, 5, 10)]
SIDES = ("images", "sentences")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What makes a study of some tables and seeds; runs are computed once for this file."""
    folder = tmp_path_factory.mktemp("intra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intra_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        # Asked for every network, and each time the whole image CNN is read.
        patch.setattr(RichData, "image_dim", lambda self, variant: 1280)
        yield lambda tables="all", seeds=(0, 1): IntraStudy(
            profile="smoke", device="cpu", runs_dir=folder / "runs", seeds=list(seeds), tables=tables
        )


@pytest.fixture(scope="module")
def study(made):
    """All rows with two seeds."""
    found = made()
    assert all(len(runs) == 2 for runs in found.runs.values())
    return found


def stored(study, slug, which=0):
    return study.runs[slug][which].load_arrays("embeddings-test.npz")


def test_every_own_row_and_vse_are_there(study):
    for number in ("1", "2", "3"):
        printed, ours = paper_table("intra_modal", number), study.table(number)
        assert {row.id for row in printed.rows if row.own} <= set(ours.index), number
        assert {*RECALLS, "rsum", "rsum_sd"} <= set(ours.columns)
        assert np.isfinite(ours.to_numpy(float)).all() and set(ours["n_seeds"]) == {2}
        assert "smoke" in study.compare(number).to_html()
        assert set(study.extra_labels(number)) == set(ours.index) - set(printed.row_ids)
    assert {"1k_vse", "5k_vse"} <= set(study.table(1).index) and "vse" in study.table(2).index
    assert set(intra_rows.EXTRA_LABELS) == set(study.extra_labels("3"))
    assert {line.slug for table in study.tables for line in study.rows(table).values()} == set(study.slugs)


def test_every_row_says_what_it_is(study):
    ran, labels = study.ran("3"), study.extra_labels("3")
    for row in ("msd", "cosine", "l2", "l1"):
        name = intra_rows.NAMES[row]
        assert ran[row] == f"EfficientNet-Lite1, fixed; BiLSTM; {name}, as released"
        assert ran[f"printed_{row}"] == f"EfficientNet-Lite1, fixed; BiLSTM; {name}, as printed"
        assert labels[f"printed_{row}"] == f"Ours: {name}, Eq. 4 as printed"
    assert ran["lambda_0"] == "EfficientNet-Lite1, fixed; BiLSTM"
    assert study.ran("2")["vse"] == "EfficientNet-Lite1, fixed; GRU"
    assert labels["l1_half"] == "Ours: L1, λ = 0.5" and labels["l1_ten"] == "Ours: L1, λ = 10"
    sizes = study.describe()["here"]
    assert sizes["Images: train / validation / test"] == "20 / 5 / 15"
    assert (sizes["Shared space"], sizes["Pairs in a batch"], sizes["Seeds"]) == ("64", "10", "2")


def test_the_paper_profile_is_the_papers(study):
    paper = intra_rows.scale("paper", "flickr30k")
    rows = intra_rows.experiments(study.spec, paper, {})
    said = paper_values("intra_modal", "settings")
    row = rows["l1"]
    assert (row.dim, row.word_dim, row.margin, row.weight) == (1024, 300, 0.2, 1)
    assert (row.low, row.high, row.dropout, row.readout) == (0.05, 0.5, 0.5, "halves")
    assert (row.negatives, row.all_epochs) == ("hardest", 0)
    recipe = row.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (30, 128, 2e-4)
    assert (recipe.weight_decay, recipe.sentences_per_group) == (0, None)
    assert [recipe.rate(epoch) for epoch in (0, 14.9, 15, 29.9)] == pytest.approx([1, 1, 0.1, 0.1])
    here = [row.margin, row.weight, row.low, row.high, row.dropout, recipe.batch_size, recipe.epochs]
    assert list(said.values()) == [*here, recipe.lr, recipe.milestones[0], row.dim]
    assert paper.data["backbone"] == "resnet152" and paper.data["crop"] == 224
    assert not {"train", "val", "test"} & set(paper.data)
    assert {one.recipe for one in rows.values()} == {recipe}


def test_rows_differ_by_what_they_say(study):
    rows = study.experiments(0)
    released = {"msd": "distance", "cosine": "cosine", "l2": "distance", "l1": "distance"}
    for name, reading in released.items():
        one, other = rows[name].constraint, rows[f"printed-{name}"].constraint
        assert (one.distance, one.reading, one.weight) == (name, f"released_{reading}", 1)
        assert (other.distance, other.reading, other.weight) == (name, "printed", 1)
    weights = {"l1-half": 0.5, "l1-double": 2, "l1-ten": 10}
    for slug, weight in weights.items():
        assert replace(rows[slug], slug="l1", weight=1.0) == rows["l1"]
        assert rows[slug].constraint.weight == weight
    for slug, readout in {"l1-last": "last", "l1-released": "released"}.items():
        assert replace(rows[slug], slug="l1", readout="halves") == rows["l1"]
        assert rows[slug].network(study.rich).text.readout == readout
    assert rows["l1"].network(study.rich).text.readout == "halves"
    assert rows["hinges"].constraint is rows["hinges-all"].constraint is rows["vse"].constraint is None
    assert replace(rows["hinges-all"], slug="hinges", negatives="hardest") == rows["hinges"]
    assert replace(rows["vse"], slug="hinges", text="lstm") == rows["hinges"]
    assert type(rows["vse"].network(study.rich).text).__name__ == "GRUText"
    objective = rows["l1-ten"].objective(rows["l1-ten"].network(study.rich))
    assert objective.constraint == rows["l1-ten"].constraint and objective.all_epochs == 1
    everyone = [*rows.values(), *study.experiments(1).values()]
    assert len({str(row.config() | {"slug": ""}) for row in everyone}) == len(everyone) == 38


def test_numbers_are_those_of_the_stored_embeddings(study):
    for slug, row in (("l1", "imc"), ("vse", "vse")):
        whole, folds = [], []
        for which in range(2):
            arrays = stored(study, slug, which)
            assert arrays["images"].shape == (15, 64)
            assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)
            assert np.allclose(np.linalg.norm(arrays["sentences"], axis=1), 1, atol=1e-5)
            whole.append(evaluate(**arrays).rsum)
            folds.append(evaluate(**arrays, folds=5).rsum)
        assert study.table(2).loc[row, "rsum"] == pytest.approx(np.mean(whole))
        assert study.table(2).loc[row, "rsum_sd"] == pytest.approx(abs(whole[0] - whole[1]) / np.sqrt(2))
        assert study.table(1).loc[f"5k_{row}", "rsum"] == study.table(2).loc[row, "rsum"]
        assert study.table(1).loc[f"1k_{row}", "rsum"] == pytest.approx(np.mean(folds))
        assert np.mean(folds) > np.mean(whole)
    assert study.table(3).loc["l1", "rsum"] == study.table(2).loc["imc", "rsum"]


def test_rows_of_a_seed_start_from_the_same_weights(study, monkeypatch):
    rows, rich = study.experiments(0), study.rich
    with monkeypatch.context() as patch:
        patch.setattr(RichData, "image_dim", IMAGE_DIM)
        pair = [rows[slug].network(rich).state_dict() for slug in ("hinges", "l1")]
        assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])
    first = rows["hinges"].network(rich).state_dict()
    for slug, row in rows.items():
        if slug not in ("vse", "l1-last"):
            others = row.network(rich).state_dict()
            assert all(torch.equal(first[name], others[name]) for name in first), slug
    other = study.experiments(1)["hinges"].network(rich).state_dict()
    assert not torch.equal(first["text.rnn.weight_hh_l0"], other["text.rnn.weight_hh_l0"])
    # Words start from their vectors, under any seed.
    known = [code for code, word in enumerate(rich.vocabulary.words, 1) if word in rich.prepared.vectors]
    words = np.stack([rich.prepared.vectors[rich.vocabulary.words[code - 1]] for code in known])
    assert len(known) > 80 and len(known) < len(rich.vocabulary)
    for found in (first, other):
        assert np.allclose(found["text.word.weight"][known].numpy(), words)


def test_untrained_is_the_network_before_training(study, tmp_path):
    row = study.experiments(1)["l1"]
    still = run_one(replace(row, recipe=replace(row.recipe, epochs=1, lr=1e-12)), tmp_path)
    for which, seed in ((still, 1), (study.runs["l1"][1], None)):
        before, after = study.untrained(seed), which.load_arrays("embeddings-test.npz")
        for side in SIDES:
            assert np.allclose(before[side], after[side], atol=1e-5) is (which is still)
    assert np.array_equal(study.untrained()["images"], study.untrained(0)["images"])
    assert not np.allclose(study.untrained(0)["images"], study.untrained(1)["images"], atol=1e-3)


def test_an_empty_window_changes_nothing(study):
    for which in range(2):
        plain = stored(study, "hinges", which)
        for slug in ("printed-l1", "l1", "cosine", "printed-cosine"):
            same = [np.array_equal(plain[side], stored(study, slug, which)[side]) for side in SIDES]
            assert same == [slug == "printed-l1"] * 2, slug
        curves = pd.read_csv(study.runs["printed-l1"][which].dir / "curves.csv")
        assert (curves[["constraint_images", "constraint_sentences"]] == 0).all(axis=None)
        assert (curves["loss"] == curves["hinges"]).all()
        curves = pd.read_csv(study.runs["l1-double"][which].dir / "curves.csv")
        added = 2 * (curves["constraint_images"] + curves["constraint_sentences"])
        assert (added > 0.1).all() and np.allclose(curves["loss"], curves["hinges"] + added, rtol=1e-5)


def test_a_row_broken_off_ends_with_the_same_numbers(study, tmp_path, monkeypatch):
    from imtext.training import loop

    row, keep, kept = study.experiments(0)["l1"], loop._keep, []

    def stop(*arguments):
        keep(*arguments)
        kept.append(arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_keep", stop)
        with pytest.raises(KeyboardInterrupt):
            run_one(row, tmp_path)
    again = run_one(row, tmp_path)
    assert len(kept) == 1 and again.metrics == study.runs["l1"][0].metrics
    arrays = again.load_arrays("embeddings-test.npz")
    assert all(np.array_equal(arrays[side], stored(study, "l1")[side]) for side in SIDES)


def test_geometry_of_a_few_groups(study):
    before, after = study.geometry(count=3)
    owners, test = stored(study, "l1")["image_of_sentence"], study.prepared.splits["test"]
    chosen = set(before.image_groups.tolist())
    assert len(chosen) == 3 and set(before.sentence_groups.tolist()) == chosen
    images = [i for i, group in enumerate(test.group_of_image) if group in chosen]
    sentences = [j for j, i in enumerate(owners) if i in images]
    assert before.images.shape == (len(images), 2) and before.sentences.shape == (len(sentences), 2)
    for found, arrays in ((before, study.untrained()), (after, stored(study, "l1"))):
        own = [1 - arrays["images"][owners[j]] @ arrays["sentences"][j] for j in sentences]
        apart = [1 - arrays["images"][i] @ arrays["images"][k] for i in images for k in images if i != k]
        assert found.means["pairs"] == pytest.approx(np.mean(own), abs=1e-5)
        assert found.means["images"] == pytest.approx(np.mean(apart), abs=1e-5)
        assert found.means["sentences"] > 0
    assert (before.title, after.title) == ("Before training", "After training")
    plain = study.geometry(count=3, slug="hinges")[1]
    assert plain.means["pairs"] != after.means["pairs"]
    assert len(set(study.geometry()[0].image_groups.tolist())) == 4
    assert group_geometry(before, after).axes


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
    curve, found = force_curve(rows, reading, distance), pair_distances(rows, distance).numpy()
    one, two = 3, 6
    assert curve.at[0] == 0 and curve.at[-1] == found.max() and len(curve.batch) == 72
    step, slopes = 1e-7, []
    for value in curve.at:
        ends = []
        for moved in (value + step, value - step):
            changed = found.copy()
            changed[one, two] = changed[two, one] = moved
            ends.append(naive(changed, reading))
        slopes.append(-(ends[0] - ends[1]) / (2 * step))
    # Where the window begins and ends the term jumps; a distance of 0 is such an end.
    smooth = (np.abs(slopes) < 1e3) & (curve.at > 0)
    assert smooth.sum() >= len(smooth) - 3
    assert np.allclose(curve.force[smooth], np.array(slopes)[smooth], atol=1e-5)
    low, high = curve.window
    inside = (curve.at >= low) & (curve.at <= high)
    beyond = curve.at > high
    if reading == "released_distance":  # near pairs together, those beyond the window apart
        assert (curve.force[inside][:5] < 0).all() and beyond.any() and (curve.force[beyond] > 0).all()
    else:
        assert 0.05 < low < 0.1 and 0.45 < high < 0.5
        # Both ordered pairs: 2 together as printed, 2 / 9 apart as the cosine is released.
        assert curve.force[inside] == pytest.approx(-2 if reading == "printed" else 2 / 9)
        assert (curve.force[~inside] == 0).all() and beyond.any()


def test_forces_are_those_of_a_batch_without_the_constraint(study):
    curves, images = study.forces(), stored(study, "hinges")["images"]
    assert sorted((curve.reading, curve.distance) for curve in curves) == sorted(KINDS)
    apart = [1 - images[i] @ images[j] for i in range(15) for j in range(15) if i != j]
    for curve in curves:
        if curve.distance == "cosine":
            assert np.allclose(np.sort(curve.batch), np.sort(apart), atol=1e-5)
        signs = {"printed": (-1, 0), "released_cosine": (0, 1), "released_distance": (-1, 1)}[curve.reading]
        assert (np.sign(curve.force.min()), np.sign(curve.force.max())) == signs
        counted = in_window(torch.tensor([[0, curve.window[0]], [0.6, 0]]), curve.reading)
        assert curve.reading == "released_distance" or bool(counted[0, 1])
    assert len(study.forces(pairs=7)[0].batch) == 42
    figure = force_curves(curves)
    assert len(figure.axes) == 3
    plt.close(figure)


def test_histograms_are_of_items_of_different_groups(study):
    before, after = study.histograms()
    assert (before.title, [part.title for part in after]) == (
        "λ = 0",
        ["Cosine, as printed", "Cosine, as released", "L1, as released"],
    )
    owners = stored(study, "l1")["image_of_sentence"]
    groups = {"images": np.arange(15), "sentences": owners}
    for slug, part in zip(("hinges", "printed-cosine", "cosine", "l1"), (before, *after), strict=True):
        for side in SIDES:
            rows = stored(study, slug)[side]
            other = groups[side][:, None] != groups[side]
            cosines, drawn = (rows @ rows.T)[other], getattr(part, side)
            assert len(drawn) > 18000 and drawn.mean() == pytest.approx(cosines.mean(), abs=0.01)
            assert drawn.max() == pytest.approx(cosines.max(), abs=0.02)
            whole = np.round(1e5 * cosines).astype(int)
            assert np.isin(np.round(1e5 * drawn).astype(int), whole[:, None] + [-1, 0, 1]).all()
    figure = intra_histograms(before, after)
    assert len(figure.axes) == 6


def test_the_sweep_has_every_weight_and_seed(study):
    table, rows = study.sweep(), study.experiments(0)
    assert sorted(set(table["weight"])) == [0, 0.5, 1, 2, 10] and len(table) == 10
    slugs = {rows[slug].weight: slug for slug in ("l1", "l1-half", "l1-double", "l1-ten")}
    for line in table.itertuples():
        run = study.runs[slugs[line.weight] if line.weight else "hinges"][line.seed]
        assert line.rsum == run.metrics["test"]["rsum"]
    assert weight_sweep(table).axes


def test_the_diagram_has_the_sizes_of_the_network(study):
    sizes, net = study.network_sizes(), study.experiments(0)["l1"].network(study.rich)
    features = study.rich.images("test", "avg-4")
    assert sizes["image_dim"] == features.shape[1] and sizes["backbone"] == "EfficientNet"
    assert sizes["unit_features"] and np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-4)
    assert (sizes["word_dim"], sizes["dim"]) == (net.text.word.embedding_dim, net.text.dim) == (50, 64)
    assert sizes["readout"] == net.text.readout
    assert network_diagram(**sizes).axes


def test_publishing(study, tmp_path):
    published = read_published(study.publish(tmp_path / "intra_modal.csv"))
    assert published.tables == ("1", "2", "3")
    for number in published.tables:
        ours, source = published.table(number)
        assert set(ours.index) == set(study.table(number).index) and source["dataset"] == "picturebook"
        for name in (*RECALLS, "rsum"):
            assert np.allclose(ours[name], study.table(number).loc[ours.index, name], atol=0.01)
        assert published.ran(number) == study.ran(number)


ANY, FIRST = {"pairs_come_nearer"}, {"imc_beats_vse", "vse_keeps_first_place"}
SECOND = {"imc_beats_vse_everywhere"}
CLAIMS = {"1": FIRST, "2": SECOND, "3": set(paper_claims("intra_modal")) - FIRST - SECOND}


def test_claims_of_all_tables_of_one_and_of_one_seed(study, made):
    def tested(of):
        return [verdict.claim.id for verdict in of.verdicts()]

    assert tested(study) == list(paper_claims("intra_modal"))
    assert all(verdict.evidence for verdict in study.verdicts())
    assert all(verdict.reason for verdict in study.verdicts() if verdict.word != "reproduced")
    for table, claims in CLAIMS.items():
        assert set(tested(made(table))) == claims | ANY, table
    assert set(paper_claims("intra_modal")) - set(tested(made(seeds=[1]))) == {"gain_exceeds_seeds"}
