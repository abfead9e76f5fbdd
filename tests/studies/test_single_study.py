"""The study of the single-network paper at its smallest: rows, models of all papers, figures, claims."""

from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from imtext.errors import DataError
from imtext.report import figures, paper_claims, paper_table, read_published
from imtext.retrieval import evaluate, evaluate_scores
from imtext.studies import single_claims, single_judged, single_meaning, single_network, single_rows
from imtext.studies.all_models import MODELS, scores_of
from imtext.studies.single_experiment import TwoNetworks
from imtext.studies.single_network import SingleStudy
from imtext.text.text_image import TextImage
from imtext.threads import torch_threads

TINY = replace(
    single_rows.SMOKE,
    data={"train": 16, "val": 10, "test": 10, "size": 75, "crop": 75},
    recipe=replace(single_rows.SMOKE.recipe, batch_size=8),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Tables 1 and 2, computed once for this file."""
    folder = tmp_path_factory.mktemp("single")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        made = SingleStudy(profile="smoke", device="cpu", runs_dir=folder / "runs", tables="1,2")
        assert made.runs
        yield made


def test_every_own_row_is_there(study):
    for number in ("1", "2"):
        printed, ours = paper_table("single_network", number), study.table(number)
        assert {row.id for row in printed.rows if row.own} <= set(ours.index)
        assert np.isfinite(ours.drop(columns="n_seeds", errors="ignore").to_numpy()).all()
        assert "smoke" in study.compare(number).to_html()


def test_rows_differ_by_what_they_say(study):
    rows = study.experiments(0)
    assert (rows["standard"].images, rows["standard"].sentences) == (1, 1)
    assert (rows["config-2"].images, rows["config-2"].sentences) == (2, 2)
    assert (rows["ten-texts"].images, rows["ten-texts"].sentences) == (1, 2)
    assert (rows["two-images"].images, rows["two-images"].sentences) == (2, 1)
    assert not rows["centre-alone"].softmax and rows["softmax-alone"].weight == 0
    assert isinstance(rows["two-networks"].network(), TwoNetworks)
    assert len({str(row.config()) for row in rows.values()}) == len(rows)


def test_an_epoch_has_the_items_of_the_configuration(study):
    for slug, items in (("standard", 6), ("config-2", 12), ("ten-texts", 11), ("two-images", 7)):
        batches = study.experiments(0)[slug].batches(study.inputs)
        assert sum(map(len, batches.rows(0))) == items * 16, slug


def test_the_paper_profile_is_the_papers(study):
    paper = single_rows.scale("paper", "flickr30k")
    row = single_rows.experiments(study.spec, paper, {})["standard"]
    assert (row.dim, row.width, row.blocks, row.keep) == (128, 1.0, (5, 10, 5), 0.8)
    assert (row.recipe.lr, row.recipe.batch_size, paper.data["size"]) == (1e-3, 45, 227)
    assert paper.data["size"] + paper.texts.slack == 256


def test_numbers_are_those_of_the_stored_embeddings(study):
    arrays = study.embeddings("config-2", "test")
    assert study.table(2).loc["config_2", "rsum"] == evaluate(**arrays).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)


def test_two_networks_send_each_modality_to_its_own():
    class Fixed(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.bottleneck, self.dim, self.value = torch.nn.Linear(1, 1), 1, value

        def forward(self, pictures):
            return pictures.new_full((len(pictures), 1), self.value)

    net = TwoNetworks(Fixed(1.0), Fixed(2.0))
    is_text = torch.tensor([False, True, False])
    assert net(torch.zeros(3, 3, 2, 2), is_text).flatten().tolist() == [1, 2, 1]


def test_the_drawing_comes_from_training_captions(study):
    words = {w for caption in study.prepared.splits["train"].captions for w in caption.casefold().split()}
    assert all(word in " ".join(words) for word in study.inputs.vocabulary.words[:20])
    assert study.inputs.drawing.side == 75 and study.inputs.dropped("test").min() >= 0


def test_a_run_keeps_its_drawing_as_what_it_is(study):
    """A safetensors file, named so; what is named .npz NumPy reads."""
    run = study.runs["standard"][0]
    codes = study.inputs.codes("test")[:2]
    kept = TextImage.load(run.dir / "drawing.safetensors")
    assert np.array_equal(kept.encode(codes), study.inputs.drawing.encode(codes))
    for path in run.dir.glob("*.npz"):
        assert np.load(path, allow_pickle=False).files, path.name


def test_figures_have_what_they_need(study):
    assert figures.single_network_diagram(**study.network_sizes()).axes
    assert figures.text_pictures(**study.drawn_captions()).axes
    assert figures.modality_maps(study.maps()).axes
    similar = study.similar()
    assert len(similar["images"]) == 2 and figures.similar_pairs(**similar).axes
    assert all(a.casefold() != b.casefold() for a, b in similar["captions"])
    assert len(study.qualitative()["results"][0]) == 5


def test_chance_is_what_random_scores_reach(study):
    test, random = study.prepared.splits["test"], np.random.default_rng(0)
    shape = (test.n_images, test.n_sentences)
    drawn = [evaluate_scores(random.random(shape), test.image_of_sentence).row()["rsum"] for _ in range(400)]
    assert study.chance()["text_query_r10"] == 100  # of ten images
    assert study.chance()["rsum"] == pytest.approx(np.mean(drawn), rel=0.02)


def test_publishing(study, tmp_path):
    published = read_published(study.publish(tmp_path / "single_network.csv"))
    ours = study.table(2).loc["config_2", "rsum"]
    assert published.table("2")[0].loc["config_2", "rsum"] == pytest.approx(ours, abs=0.01)


@pytest.fixture(scope="module")
def models(study):
    """Table 3, the models of other papers stood in for by rows of this one."""
    made = SingleStudy(profile="smoke", device="cpu", runs_dir=study.parameters.runs_dir, tables="1,2,3")
    runs = study.runs
    made.__dict__["runs"] = runs
    made.__dict__["model_runs"] = {
        "Structure-preserving": runs["softmax-alone"][0],
        "CCA": runs["two-networks"][0],
        "One network, standard": runs["standard"][0],
        "One network, config-2": runs["config-2"][0],
    }
    return made


class _WithSplits:
    """A study whose parameters were changed, with the data that it had before."""

    def __init__(self, made, before):
        self.made, self.prepared = made, before.prepared

    def __getattr__(self, name):
        return getattr(self.made, name)


class TestMeaning:
    """Models of all papers, here stood in for by two of this one."""

    def test_what_is_right_comes_from_scenes(self, models):
        meaning, test = models.meaning, models.prepared.splits["test"]
        assert meaning.relevance.shape == (test.n_images, test.n_sentences)
        own = test.group_of_image[:, None] == test.group_of_sentence[None]
        assert (meaning.relevance[own] == 1).all() and (meaning.relevance[~own] < 1).any()

    def test_semantic_recall_is_never_smaller(self, models):
        table = models.measures()
        assert (table["semantic R-sum"] >= table["R-sum"]).all()
        assert table.loc["One network, config-2", "R-sum"] == pytest.approx(
            models.table(2).loc["config_2", "rsum"]
        )
        order = models.order()
        assert len(order) == 8 and (order["low"] <= order["value"] + 1e-9).all()
        assert figures.measure_ranks(order).axes

    def test_every_claim_of_the_paper_is_tested_but_the_one_that_needs_two_seeds(self, models):
        found = {verdict.claim.id for verdict in models.verdicts()}
        left_out = {"softmax_prevents_collapse", *single_claims.UNTESTED}
        assert found == set(paper_claims("single_network")) - left_out

    def test_an_interval_that_is_known_is_shown_as_it_is(self, models, monkeypatch):
        mixing = models.mixing("config-2")
        (overlap,) = single_claims.evidence_of(models, "modalities_overlap")
        assert (overlap.difference, overlap.low, overlap.high) == (mixing.value, mixing.low, mixing.high)
        found = SimpleNamespace(kendall=0.4, kendall_low=0.2, kendall_high=0.6)
        monkeypatch.setattr(single_claims, "follows", lambda study, name: found)
        (people,) = single_claims.evidence_of(models, "similarity_follows_people")
        assert people.show() == "+0.400 [+0.200, +0.600]"

    def test_missed_answers_are_right_and_of_other_groups(self, models):
        found = models.misjudged()
        assert set(found) == {"images", "sentences", "judgements", "own", "ranks"}
        assert len(set(found["sentences"])) == len(found["sentences"])
        if found["images"]:
            assert figures.right_but_wrong(**found).axes
        best = models.strongest()
        sums = {name: run.metrics["val"]["rsum"] for name, run in models.model_runs.items()}
        assert sums[best] == max(sums.values()) > min(sums.values())
        assert found["sentences"] == models.misjudged(best)["sentences"]

    def test_coco_takes_the_lists_of_cxc_and_eccv_caption(self, models, monkeypatch):
        test = models.prepared.splits["test"]
        listed = {"cxc": [(0, 7)], "eccv": [(0, 7), (3, 2)]}

        def pairs(source, images, captions):
            assert images.tolist() == list(range(100, 100 + test.n_images))
            assert captions.tolist() == list(range(test.n_sentences))
            rows, columns = zip(*listed[source], strict=True)
            return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(images), len(captions)))

        monkeypatch.setattr(single_meaning, "extended_pairs", pairs)
        monkeypatch.setattr(
            single_meaning, "coco_caption_ids", lambda root, split: np.arange(test.n_sentences)
        )
        ids = tuple(str(100 + image) for image in range(test.n_images))
        prepared = SimpleNamespace(splits={"test": replace(test, image_ids=ids)})
        parameters = SimpleNamespace(dataset="coco", data_root="coco")
        meaning = single_meaning.meaning_of(parameters, prepared)
        assert sorted(zip(*meaning.relevance.nonzero(), strict=True)) == [(0, 7), (3, 2)]
        assert not meaning.wrong_too
        # Nothing is judged wrong: no share of right answers, and no correlation.
        made = copy(models)
        made.__dict__ = models.__dict__ | {"_meaning": meaning}
        made.__dict__.pop("graded", None)
        assert made.agreement().shape == (len(made.graded), 0)
        assert list(made.measures()) == ["R-sum", "semantic R-sum", "nDCG@10", "mAP@R"]
        for claim in single_claims.OF_JUDGED:
            assert not single_claims.evidence_of(made, claim)
        assert single_claims.evidence_of(made, "semantic_recall_closes_gap")

    def test_where_nothing_is_known_it_is_said(self, models, monkeypatch):
        parameters = SimpleNamespace(dataset="flickr30k", data_root="somewhere")
        with pytest.raises(DataError, match="flickr30k has no judgements"):
            single_meaning.meaning_of(parameters, models.prepared)

        def unknown(parameters, prepared):
            raise DataError("nothing is known")

        monkeypatch.setattr(single_network, "meaning_of", unknown)
        made = copy(models)
        made.__dict__ = {k: v for k, v in models.__dict__.items() if k not in ("_meaning", "graded")}
        assert made.meaning is None and made.meaning_source == "nothing is known"
        assert made.graded == {} and made.misjudged() == {}
        assert not single_claims.evidence_of(made, "order_changes")

    def test_publishing_adds_the_models(self, models, tmp_path):
        published = read_published(models.publish(tmp_path / "single_network.csv"))
        table, _ = published.table("meaning")
        assert set(table.index) == set(models.graded)
        name = "One network, config-2"
        assert table.loc[name, "semantic R-sum"] == pytest.approx(
            models.measures().loc[name, "semantic R-sum"], abs=0.001
        )
        assert published.table("2")[0].loc["config_2", "rsum"] == pytest.approx(
            table.loc[name, "R-sum"], abs=0.01
        )

    def test_agreement_by_loops(self, models):
        test, relevance = models.prepared.splits["test"], models.meaning.relevance
        table = models.agreement()
        assert list(table.index) == list(models.graded)
        name = "One network, config-2"
        scores = scores_of(models.model_runs[name])
        right = []
        for image in range(test.n_images):
            for sentence in np.argsort(-scores[image], kind="stable"):
                if test.group_of_sentence[sentence] != test.group_of_image[image]:
                    right.append(relevance[image, sentence] == 1)
                    break
        assert table.loc[name, "wrong but right, image query"] == pytest.approx(100 * np.mean(right))
        pairs = [
            (scores[i, j], relevance[i, j])
            for i in range(test.n_images)
            for j in range(test.n_sentences)
            if test.group_of_image[i] != test.group_of_sentence[j]
        ]
        expected = pd.DataFrame(pairs).corr("spearman").iloc[0, 1]
        assert table.loc[name, "Spearman's ρ"] == pytest.approx(expected)
        share = 100 * np.mean([value == 1 for _, value in pairs])
        assert single_judged.share_of_pairs(models) == pytest.approx(share)

    def test_where_few_pairs_are_judged_the_first_judged_one_counts(self, models):
        test, random = models.prepared.splits["test"], np.random.default_rng(3)
        value = np.where(random.random((test.n_images, test.n_sentences)) < 0.2, 1.0, np.nan)
        value[random.random(value.shape) < 0.5] *= 4
        value[:2] = np.nan  # two images of which nobody judged a pair
        image, sentence = np.nonzero(~np.isnan(value))
        judged = {"image": image, "sentence": sentence, "value": value[image, sentence], "right_from": 3.0}
        made = copy(models)
        made.__dict__ = models.__dict__ | {
            "_meaning": replace(models.meaning, judged=judged),
            "parameters": replace(models.parameters, dataset="flickr8k", data_root="x"),
        }
        name = "One network, config-2"
        scores, expected = scores_of(models.model_runs[name]), []
        for one in range(test.n_images):
            order = np.argsort(-scores[one], kind="stable")
            other = test.group_of_sentence[order] != test.group_of_image[one]
            said = [value[one, j] for j in order[other] if not np.isnan(value[one, j])]
            expected += [(said[0] >= 3, one)] if said else []
        right, images = single_judged.wrong_answers(_WithSplits(made, models), name)["image_query"]
        assert list(zip(right.tolist(), images.tolist(), strict=True)) == expected
        assert len(expected) == test.n_images - 2 and len(set(right.tolist())) == 2

    def test_scores_are_those_of_the_embeddings(self, study):
        run = study.runs["standard"][0]
        arrays = run.load_arrays("embeddings-test.npz")
        assert np.allclose(scores_of(run), arrays["images"] @ arrays["sentences"].T)


def test_the_models_name_rows_that_there_are(study):
    from imtext.studies.all_models import rows_of_models

    rows = rows_of_models(study.parameters, 0)
    assert list(rows) == [model.name for model in MODELS]
    assert {row.study for row in rows.values()} == {model.paper for model in MODELS}


def test_the_centre_loss_alone_collapses_and_a_softmax_prevents_it(study):
    with torch_threads(1):
        curves = study.collapse()
    assert len(figures.collapse_curves(curves).axes) == 3
    alone, both = (
        curves[curves["run"] == name].set_index("step")
        for name in ("centre loss alone", "softmax + centre loss")
    )
    assert len(alone) == len(both) == TINY.collapse[0]
    # One start, the same batches.
    assert alone["spread"].iloc[0] == both["spread"].iloc[0]
    assert alone["loss"].iloc[-1] < 0.1 * alone["loss"].iloc[0]
    assert alone["spread"].iloc[-1] < 0.3 * both["spread"].iloc[-1]
    # Where all is nearly one point, what is left points anywhere.
    assert alone["directions"].min() < 1.5 < both["directions"].iloc[-1]
    with torch_threads(2):  # the same digits, however many threads there are
        assert study.collapse().equals(curves)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_one_seed_says_nothing_of_what_is_drawn_over_seeds(seeds, tmp_path):
    """An interval over one seed is a point, and a point is no proof."""
    runs = {slug: [] for slug in ("standard", "centre-alone")}
    for slug, spread in (("standard", 3.0), ("centre-alone", 1.0)):
        for seed in range(seeds):
            folder = tmp_path / f"{slug}-{seed}"
            folder.mkdir()
            last = spread + seed if slug == "standard" else spread
            pd.DataFrame({"spread": [9.0, last]}).to_csv(folder / "curves.csv")
            runs[slug].append(SimpleNamespace(dir=folder))
    found = single_claims.evidence_of(
        SimpleNamespace(slugs=tuple(runs), runs=runs, tables=("2",)), "softmax_prevents_collapse"
    )
    if seeds == 1:
        assert found == ()
    else:
        assert found[0].per_seed == tuple(2.0 + np.arange(seeds))
        assert 2 <= found[0].low < found[0].difference < found[0].high


def test_the_curves_of_a_row_say_what_it_minimised(study):
    curves = pd.read_csv(study.runs["centre-alone"][0].dir / "curves.csv")
    assert {"loss", "spread", "directions"} <= set(curves) and "softmax" not in curves
