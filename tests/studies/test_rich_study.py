"""The study of the Rich Features paper at its smallest: rows, what goes on from them, figures, publishing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.models import SCAN
from imtext.report import paper_claims, paper_table, read_published
from imtext.report.figures import attention_picture
from imtext.retrieval import evaluate, evaluate_scores
from imtext.runs import Run
from imtext.studies import rich_rows
from imtext.studies.rich_combined import scores_of
from imtext.studies.rich_data import RichData, RichSpec
from imtext.studies.rich_experiment import score_all
from imtext.studies.rich_features import RichStudy
from imtext.studies.running import run_one
from imtext.training import make_fabric

TINY = replace(
    rich_rows.SMOKE,
    data={"train": 24, "val": 10, "test": 10, "size": 64, "crop": 64, "views": 1},
    recipe=replace(rich_rows.SMOKE.recipe, batch_size=16),
    timing=(2, 1, 5),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """All rows, computed once for this file."""
    folder = tmp_path_factory.mktemp("rich")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rich_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        made = RichStudy(profile="smoke", device="cpu", runs_dir=folder / "runs")
        assert made.runs
        yield made


def test_every_own_row_and_both_baselines_are_there(study):
    for number in map(str, range(1, 11)):
        printed, ours = paper_table("rich_features", number), study.table(number)
        own = {row.id for row in printed.rows if row.own}
        assert own <= set(ours.index), number
        assert ("test_seconds" if number == "5" else "rsum") in ours
        assert np.isfinite(ours.drop(columns="n_seeds", errors="ignore").to_numpy()).all()
        assert "smoke" in study.compare(number).to_html()
    scans = [row for row in paper_table("rich_features", 2).row_ids if row.startswith("scan_")]
    assert {"vse", *scans} <= set(study.table(2).index)


def test_rows_differ_by_what_they_say(study):
    rows = study.experiments(0)
    assert rows["gru-emb-avg-m06"].margin == 0.6 and rows["gru-emb-avg"].margin == 0.2
    assert (rows["avg-4-max-34"].image, rows["avg-4-max-34"].text) == ("avg-4-max-34", "bigru-emb-avg")
    assert (rows["scan-rfe-it-lse"].direction, rows["scan-rfe-it-lse"].pooling) == ("i-t", "lse")
    assert rows["scan-rfe-it-lse"].rich_words and not rows["scan-it-lse"].rich_words
    assert [row.image for row in rows["ensemble"].start] == list(rich_rows.PARTS)
    configs = [str(row.config()) for row in rows.values()]
    assert len(set(configs)) == len(configs)


def test_the_paper_profile_is_the_papers(study):
    paper = rich_rows.scale("paper", "flickr30k")
    row = rich_rows.experiments(study.spec, paper, {})["avg-4-max-1234"]
    assert (row.dim, row.word_dim, row.margin, row.negatives, row.all_epochs) == (
        1024,
        300,
        0.2,
        "hardest",
        0,
    )
    recipe = row.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay, recipe.clip) == (
        36,
        128,
        2e-4,
        0,
        2.0,
    )
    assert [recipe.rate(epoch) for epoch in (14.9, 15)] == pytest.approx([1, 0.1])
    coco = rich_rows.experiments(replace(study.spec, dataset="coco"), rich_rows.scale("paper", "coco"), {})
    assert coco["scan-it-lse"].sharp == 20 and coco["scan-ti-lse"].sharp is None


def test_numbers_are_those_of_the_stored_embeddings_and_scores(study):
    arrays = study.embeddings("bigru-emb-avg", "test")
    assert study.table(7).loc["bigru_emb_avg", "rsum"] == evaluate(**arrays).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)
    run = study.runs["scan-ti-avg"][0]
    kept = run.load_arrays("scores-test.npz")
    assert study.table(4).loc["scan_t_i_avg", "rsum"] == evaluate_scores(**kept).rsum
    row, rich = study.experiments(0)["scan-ti-avg"], study.rich
    from safetensors.torch import load_file

    net = row.network(rich)
    net.load_state_dict(load_file(run.dir / "model.safetensors"))
    again = score_all(net.eval(), rich.regions("test"), rich.codes("test")[0], make_fabric("cpu"))
    assert np.allclose(again, kept["scores"], atol=1e-5)


def test_folds_are_evaluated_fold_by_fold(study):
    arrays = study.embeddings("avg-4-max-4", "test")
    assert study.table(6).loc["avg_4_max_4", "rsum"] == evaluate(**arrays, folds=5).rsum


def test_ensembles_are_the_mean_of_their_models(study):
    for slug in ("ensemble", "scan-rfe-ti-avg-it-lse"):
        row = study.experiments(0)[slug]
        parts = [scores_of(study.runs[part.slug][0], "test") for part in row.start]
        assert np.allclose(scores_of(study.runs[slug][0], "test"), np.mean(parts, axis=0), atol=1e-5)


def test_reranking_is_chosen_on_validation_and_may_be_none_at_all(study):
    run = study.runs["rerank-small"][0]
    tried, chosen = pd.read_csv(run.dir / "tried.csv"), run.load_json("chosen.json")
    assert tried["rsum"].iloc[0] == pytest.approx(study.metrics("gru-emb-avg", "val")["rsum"].iloc[0])
    assert tried["rsum"].max() == pytest.approx(study.metrics("rerank-small", "val")["rsum"].iloc[0])
    best = tried.loc[tried["rsum"].idxmax()]
    assert (best["weight"], best["scale"]) == (chosen["weight"], chosen["scale"])


def test_the_trained_cnn_goes_on_from_the_fixed_one(study):
    tuned, plain = study.embeddings("vse-tuned"), study.embeddings("vse")
    cosines = (tuned["images"] * plain["images"]).sum(1)
    assert cosines.mean() > 0.5 and not np.allclose(tuned["images"], plain["images"], atol=1e-3)
    weights = Run(study.runs["vse-tuned"][0].dir).dir / "model.safetensors"
    assert weights.stat().st_size > (study.runs["vse"][0].dir / "model.safetensors").stat().st_size


def test_a_row_broken_off_ends_with_the_same_numbers(study, tmp_path, monkeypatch):
    from imtext.training import loop

    row, keep = study.experiments(0)["scan-rfe-ti-avg"], loop._keep
    row = replace(row, recipe=replace(row.recipe, epochs=2))
    whole = run_one(row, tmp_path / "whole")

    def stop(*arguments):
        keep(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_keep", stop)
        with pytest.raises(KeyboardInterrupt):
            run_one(row, tmp_path / "broken")
    assert run_one(row, tmp_path / "broken").metrics == whole.metrics


def test_times_have_a_mean_and_a_spread(study):
    runs = study.timing_runs()
    assert {len(one["train"]) for one in runs.values()} == {2}
    table = study.timing()
    assert list(table.index) == ["vse", "vse_rfe", "scan", "scan_rfe"]
    assert table.loc["vse", "test_seconds"] == pytest.approx(runs["vse"]["test"].mean())
    with pytest.raises(DataError, match="Table 5 was not asked for"):
        RichStudy(profile="smoke", tables="8").timing_runs()


def test_figures_have_what_they_need(study):
    images, captions = study.image_gallery(), study.caption_gallery()
    assert len(images["queries"]) == len(images["results"]) == 3 and len(images["results"][0]) == 3
    assert len(captions["results"][0]) == 5
    gallery = study.ablation_gallery(count=1)
    assert list(gallery) == ["VSE++", "RFE", "RFE, re-ranked"]
    ranks = study.runs["vse"][0].load_arrays("ranks-test.npz")["image_query"]
    assert any(gallery["VSE++"]["correct"][0]) is not bool((ranks > 5).any())


def test_attention_is_that_of_the_trained_network(study):
    drawing = study.attention()
    assert drawing["weights"].shape == (len(drawing["words"]), len(drawing["regions"]))
    assert np.allclose(drawing["weights"].sum(1), 1, atol=1e-5)
    assert not {"<start>", "<end>", "<unk>"} & set(drawing["words"])
    assert attention_picture(**drawing).axes
    other = study.attention(slug="scan-rfe-ti-avg")
    assert not np.allclose(other["weights"], drawing["weights"])


def test_publishing_and_claims(study, tmp_path):
    path = study.publish(tmp_path / "rich_features.csv")
    published = read_published(path)
    assert published.table("8")[0].loc["vse", "rsum"] == pytest.approx(
        study.table(8).loc["vse", "rsum"], abs=0.01
    )
    tested = {verdict.claim.id for verdict in study.verdicts()} | {
        one.claim.id for one in study.timed_verdicts()
    }
    assert tested == set(paper_claims("rich_features"))


class TestPrecomputed:
    """Features of a dataset in the place of pictures."""

    @pytest.fixture()
    def rich(self, study):
        train = study.prepared.dataset
        regions = np.random.default_rng(0).random((train.n_images, 6, 8)).astype(np.float32)
        from imtext.data.rows import ImageFeatures

        dataset = replace(train, features=ImageFeatures((regions,), np.arange(train.n_images)))

        class Prepared:
            def __init__(self):
                self.dataset = dataset
                self.splits = {split: dataset.split(split) for split in ("train", "val", "test")}
                self.groups = study.prepared.groups

        return RichData(Prepared(), RichSpec()), regions, dataset

    def test_regions_and_their_mean_take_the_place_of_maps(self, rich):
        data, regions, dataset = rich
        test = np.flatnonzero(dataset.split_of_image == "test")
        assert np.array_equal(data.regions("test"), regions[test])
        mean = regions[test].mean(1)
        assert np.allclose(data.images("test", "avg-4"), mean / np.linalg.norm(mean, axis=1, keepdims=True))
        batch = data.region_source().take(np.array([2, 0]), torch.Generator())
        train = np.flatnonzero(dataset.split_of_image == "train")
        assert np.array_equal(batch.numpy(), regions[train[[2, 0]]])
        assert data.region_dim == data.image_dim("avg-4") == 8
        assert isinstance(SCAN(5, region_dim=data.region_dim), SCAN)

    def test_there_are_no_stages_to_pool(self, rich):
        with pytest.raises(ConfigError, match="no stages to pool"):
            rich[0].images("test", "avg-4-max-4")

    def test_a_study_of_such_a_dataset_leaves_those_rows_out(self):
        study = RichStudy(dataset="coco_precomp", profile="smoke")
        assert {"avg-4-max-4", "ensemble", "vse-tuned"}.isdisjoint(study.slugs)
        assert {"vse", "scan-ti-avg", "rerank-small"} <= set(study.slugs)

    def test_a_table_that_such_a_dataset_cannot_fill_is_left_out(self):
        tables = RichStudy(dataset="precomp", profile="smoke").tables
        assert tables == ("1", "2", "3", "4", "5", "6", "7", "8", "10")
        assert "9" in RichStudy(profile="smoke").tables
        with pytest.raises(ConfigError, match="tables must be 'all' or among 1, 2, 3, 4, 5, 6, 7, 8, 10"):
            RichStudy(dataset="f30k_precomp", profile="smoke", tables="9")

    def test_labels_of_published_rows_do_not_depend_on_the_dataset(self):
        labels = RichStudy(dataset="precomp", profile="smoke").extra_labels("8")
        assert labels == RichStudy(profile="smoke").extra_labels("8")
        assert "avg_4_max_1234" in labels
