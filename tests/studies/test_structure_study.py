"""The study of the Structure-Preserving paper at its smallest: rows, shared features, claims, publishing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imtext.report import paper_claims, paper_table, read_published
from imtext.retrieval import evaluate
from imtext.studies import structure_claims, structure_rows
from imtext.studies.comparing import ranks_of
from imtext.studies.structure_preserving import StructureStudy
from imtext.studies.text_features import TextFeatures, text_features

TINY = replace(
    structure_rows.SMOKE,
    data={"train": 24, "val": 12, "test": 12, "size": 64, "crop": 64},
    recipe=replace(structure_rows.SMOKE.recipe, epochs=2),
    localisation=replace(structure_rows.SMOKE.localisation, data={"train": 24, "val": 12, "test": 12}),
    jobs=1,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """All rows, computed once for this file."""
    folder = tmp_path_factory.mktemp("structure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        made = StructureStudy(profile="smoke", device="cpu", runs_dir=folder / "runs")
        assert made.runs
        yield made


def test_every_own_row_and_every_cca_row_is_there(study):
    for number in "123":
        printed, ours = paper_table("structure_preserving", number), study.table(number)
        own = {row.id for row in printed.rows if row.own}
        assert own <= set(ours.index)
        assert np.isfinite(ours["r10" if number == "3" else "text_query_r10"]).all()
        assert "smoke" in study.compare(number).to_html()
    rows = set(study.table(1).index)
    assert {"mean_vector_klein", "cca_hglmm_klein", "cca_gmm_hglmm"} <= rows
    ours = {"cca_tfidf", "lambda_1_one", "more_captions", "fine_tuned"}
    assert ours == set(study.extra_labels(1)) <= rows
    assert study.extra_labels(1)["fine_tuned"] in study.compare(1).to_html()


def test_numbers_are_those_of_the_stored_embeddings(study):
    arrays = study.embeddings("tfidf-bi-structure", "test")
    assert study.table(1).loc["tfidf_bi_structure", "rsum"] == evaluate(**arrays).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)


def test_cca_is_chosen_on_the_validation_split(study):
    tried = pd.read_csv(study.runs["cca-fv"][0].dir / "tried.csv")
    best = tried["score"].max()
    assert study.metrics("cca-fv", "val")["rsum"].iloc[0] == pytest.approx(best)


def test_rows_differ_by_what_they_say(study):
    rows = study.experiments(0)
    assert rows["fv-linear-one"].lambdas == (0.0, 0.0, 0.0)
    assert rows["fv-nonlinear-bi"].lambdas == (2.0, 0.0, 0.0)
    assert rows["mean-bi-structure"].lambdas == (2.0, 0.0, 0.2)
    assert rows["fv-nonlinear-bi-equal"].lambdas == (1.0, 0.0, 0.0)
    tuned = rows["fv-nonlinear-bi-structure-tuned"]
    assert tuned.start == rows["fv-nonlinear-bi-structure"]
    assert structure_rows.describe(tuned) == structure_rows.describe(tuned.start)
    linear = study.runs["fv-linear-bi"][0].dir / "model.safetensors"
    nonlinear = study.runs["fv-nonlinear-bi"][0].dir / "model.safetensors"
    assert linear.stat().st_size < nonlinear.stat().st_size


def test_the_paper_profile_is_the_papers(study):
    paper = structure_rows.scale("paper", "flickr30k")
    row = structure_rows.experiments(study.spec, paper, {})["fv-nonlinear-bi-structure"]
    assert (row.dim, row.hidden, row.dropout, row.margin, row.top_k, row.reduction) == (
        512,
        2048,
        0.5,
        0.1,
        50,
        "mean",
    )
    assert row.crops == 10 and row.recipe.batch_size == 1500 and row.recipe.optimiser == "sgd"
    assert [row.recipe.rate(epoch) for epoch in (0, 10, 20)] == pytest.approx([1, 0.1, 0.01])
    mean = structure_rows.experiments(study.spec, paper, {})["mean-bi"]
    assert (mean.dim, mean.hidden) == (256, 1024)


def test_claims_name_what_is_in_the_paper_and_get_verdicts(study):
    known = set(paper_claims("structure_preserving"))
    tested = {*structure_claims.COMPARED, *structure_claims.LOCALISED, *structure_claims.MEASURED}
    assert tested <= known
    assert len(study.verdicts()) == len(tested)


def test_ranks_in_folds_are_those_of_the_table(study):
    line = study.table(2).loc["tfidf_bi"]
    for side in ("image", "text"):
        (ranks,) = ranks_of(study, "tfidf-bi", side, "test_folds")
        assert 100 * np.mean(ranks <= 1) == pytest.approx(line[f"{side}_query_r1"])


def test_the_mean_over_both_directions_is_that_of_the_table(study):
    (one,) = structure_claims.COMPARED["lambda_1_two_is_best"]
    (found,) = structure_claims._recalls(study, one)
    columns = [f"{side}_query_r{k}" for side in ("image", "text") for k in (1, 5, 10)]
    better, worse = (study.table(1).loc[row, columns].mean() for row in ("fv_nonlinear_bi", "lambda_1_one"))
    assert found.difference == pytest.approx(better - worse)


def test_photographs_without_boxes_have_two_tables():
    assert StructureStudy(dataset="flickr8k", profile="smoke").tables == ("1", "2")


def test_one_table_asks_for_its_rows_alone(study):
    some = StructureStudy(profile="smoke", device="cpu", tables="2", runs_dir=study.parameters.runs_dir)
    assert "fv-linear-one" not in some.slugs
    assert "fv-nonlinear-bi-structure-tuned" not in some.slugs
    other = StructureStudy(profile="smoke", device="cpu", tables="1", runs_dir=study.parameters.runs_dir)
    assert not structure_claims._evidence(other, "structure_helps_on_coco")
    assert some.compare(1) is None


def test_publishing_keeps_every_row(study, tmp_path):
    published = read_published(study.publish(tmp_path / "structure_preserving.csv"))
    assert len(published.runs) == sum(len(study.rows(table)) for table in study.tables)


def test_text_features_are_fitted_once_and_on_training_captions(study, monkeypatch):
    first = text_features(study.prepared, "tfidf", {"words": 50})
    monkeypatch.setattr("imtext.studies.text_features._fill", lambda *_: pytest.fail("computed again"))
    again = text_features(study.prepared, "tfidf", {"words": 50})
    assert (first.train != again.train).nnz == 0
    assert isinstance(again, TextFeatures) and again.unknown["train"] >= 0
    assert first.test.shape == (study.prepared.splits["test"].n_captions, 50)


def test_figure_3_shows_the_boxes_that_were_found(study):
    drawing = study.localised(count=3, phrases=2)
    mentions, proposals = study.regions.mentions("test"), study.regions.proposals("test").boxes
    found = study.runs["regions-cca"][0].load_arrays("ranks-test.npz")
    assert drawing["methods"] == ("CCA", "Fine-tuned (d)") and len(drawing["examples"]) == 3
    for example in drawing["examples"]:
        assert len(example["spans"]) == len(example["truth"]) == len(example["hits"][0]) >= 2
        (start, stop), truth = example["spans"][0], example["truth"][0]
        phrase = " ".join(example["words"][start:stop]).lower()
        same = [i for i, word in enumerate(mentions.words) if word == phrase]
        # The pictures are shown as they are, so boxes are those of the data.
        match = [i for i in same if np.array_equal(mentions.truth[i], truth)]
        shown = [tuple(proposals[found["best"][i]]) for i in match]
        assert tuple(example["found"][0][0]) in shown
