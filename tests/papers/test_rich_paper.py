"""The Rich Features paper: what its notebook trains, what comes of it, and how its claims are measured."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from notebook_source import defined, trained
from PIL import Image

from imtext.cli import main
from imtext.data.dataset import Dataset, ImageFeatures
from imtext.errors import ConfigError, DataError, RunError
from imtext.experiment import Absent, Crops, Given, Reranked, Result, Results, inputs_of
from imtext.experiment import study as study_module
from imtext.experiment.compute import run_one, scores_of
from imtext.experiment.encoder import load
from imtext.experiment.images import GivenImages
from imtext.experiment.results import NotPublished
from imtext.papers import galleries, rich_features
from imtext.papers.hard_triplet import compare
from imtext.report import paper_table, paper_values
from imtext.retrieval import evaluate, evaluate_scores
from imtext.search import search
from imtext.vision.rich import RICH_VARIANTS

TINY = {"data": {"train": 24, "val": 10, "test": 10}, "recipe": {"batch_size": 16}}
TINY |= {"scan": {"image": {"stage": "C3", "grid": 3}}}
PAPER = rich_features.PAPER


@pytest.fixture(scope="module")
def smoke():
    return defined("rich_features")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Study, rows and results of the notebook at its smallest."""
    with trained("rich_features", tmp_path_factory.mktemp("rich"), TINY) as made:
        yield made


# What is trained


def test_the_paper_profile_is_the_papers():
    names, said = defined("rich_features", profile="paper"), paper_values("rich_features", "settings")
    sizes = paper_values("rich_features", "sizes")
    assert names["bases"] == names["paper"]
    base = names["bases"]["vse"]
    recipe, image = base.recipe, base.image
    here = [base.loss.margin, recipe.batch_size, recipe.epochs, recipe.lr, recipe.milestones[0]]
    assert here == [said[name] for name in list(said)[:5]]
    assert 1 / recipe.gamma == pytest.approx(said["decay_flickr30k"])
    assert (image.size, image.crop, image.backbone) == (sizes["resized"], sizes["crop"], "resnet152")
    assert (base.text.dim, base.network.dim) == (sizes["word_vector"], sizes["hidden"])
    assert (base.loss.negatives, base.loss.all_epochs) == ("hardest", 0)
    assert (recipe.weight_decay, recipe.clip) == (0, 2)
    coco = defined("rich_features", profile="paper", dataset="coco", data_root="x")["rows"]
    assert 1 / coco["vse"].recipe.gamma == pytest.approx(said["decay_coco"])
    assert coco["scan-it-lse"].network.sharp == 20 and coco["scan-ti-lse"].network.sharp is None


def test_rows_differ_by_what_they_say(smoke):
    rows, vse = smoke["rows"], smoke["rows"]["vse"]
    assert rows["gru-emb-avg-m06"] == rows["gru-emb-avg"].but(loss={"margin": 0.6})
    for maps in RICH_VARIANTS[1:]:
        assert rows[maps] == rows["bigru-emb-avg"].but(image={"maps": maps})
    text = rows["bigru-emb-avg"].network.text
    assert text.bidirectional and text.pooled_words == "mean" and rows["bigru-emb-avg"].image == vse.image
    for name, how in {"ti-lse": ("t-i", "lse"), "it-avg": ("i-t", "avg")}.items():
        plain, rich = rows[f"scan-{name}"].network, rows[f"scan-rfe-{name}"].network
        assert (plain.direction, plain.pooling) == how and rich == replace(plain, rich_words=True)
    assert rows["vse-tuned"].start == (vse,) and isinstance(rows["vse-tuned"].image, Crops)
    assert rows["rerank-small"].start == (rows["gru-emb-avg"],)
    parts = ("avg-4-max-4", "avg-4-max-123", "avg-4-max-34", "avg-4-max-1234")
    assert rows["ensemble"].start == tuple(rows[part] for part in parts)
    assert len(set(rows.values())) == len(rows)


def test_overrides_of_one_base_and_of_all():
    one = defined("rich_features", overrides={"scan": {"recipe": {"epochs": 7}}, "loss": {"margin": 0.4}})
    assert one["rows"]["scan-ti-avg"].recipe.epochs == 7 and one["rows"]["vse"].recipe.epochs == 2
    assert {row.loss.margin for key, row in one["rows"].items() if "-m0" not in key} == {0.4}
    only = defined("rich_features", overrides={"image": {"stage": "C3"}})["bases"]
    assert only["scan"].image.stage == "C3" and not hasattr(only["vse"].image, "stage")
    with pytest.raises(ConfigError, match="overrides: recipe.epoch: .*; the bases are vse, scan, tuned"):
        defined("rich_features", overrides={"recipe": {"epoch": 1}})


# What becomes of it


def test_every_own_row_and_both_baselines_have_numbers(made):
    for number, table in PAPER.tables.items():
        lines = made.study._lines(table, made.results)
        assert number == "5" or {row.id for row in table.rows if row.own} <= set(lines)
        assert number == "5" or "vse" in lines or "vse" not in table.cells.index
    for one in made.results.present.values():
        assert np.isfinite(one.metrics("test_folds").to_numpy()).all()


def test_numbers_are_those_of_the_stored_embeddings_and_scores(made):
    result = made.results["bigru-emb-avg"]
    arrays = result.embeddings()[0]
    assert result.metrics()["rsum"][0] == evaluate(**arrays).rsum
    assert result.metrics("test_folds")["rsum"][0] == evaluate(**arrays, folds=5).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)
    result = made.results["scan-ti-avg"]
    kept = result.runs[0].load_arrays("scores-test.npz")
    assert result.metrics()["rsum"][0] == evaluate_scores(**kept).rsum
    assert result.metrics("test_folds")["rsum"][0] == evaluate_scores(**kept, folds=5).rsum


def test_ensembles_are_the_mean_of_their_models(made):
    for key in ("ensemble", "scan-rfe-ti-avg-it-lse"):
        parts = [run_one(start, made.study.parameters.runs_dir) for start in made.results[key].rows[0].starts]
        means = np.mean([scores_of(part) for part in parts], axis=0)
        assert len(parts) > 1 and np.allclose(scores_of(made.results[key].runs[0]), means, atol=1e-5)


def test_reranking_is_chosen_on_validation_and_may_be_none_at_all(made):
    run, plain = made.results["rerank-small"].runs[0], made.results["gru-emb-avg"]
    tried, chosen = pd.read_csv(run.dir / "tried.csv"), run.load_json("chosen.json")
    assert tried["rsum"].iloc[0] == pytest.approx(plain.metrics("val")["rsum"][0])
    assert tried["rsum"].max() == pytest.approx(run.metrics["val"]["rsum"])
    best = tried.loc[tried["rsum"].idxmax()]
    assert (best["weight"], best["scale"]) == (chosen["weight"], chosen["scale"])
    assert rich_features.chosen(made.results["rerank-small"]).loc["rerank-small", "weight"] == best["weight"]


def test_several_rows_are_reranked_by_the_mean_of_their_similarities(made):
    keys = ("gru-emb-avg", "bigru-emb-avg")
    start = tuple(made.rows[key] for key in keys)
    row = made.study.row("both", start[0].but(network=Reranked(k1=3, k2=2), start=start), 0)
    run = run_one(row, made.study.parameters.runs_dir)
    mean = np.mean([scores_of(made.results[key].runs[0], "val") for key in keys], axis=0)
    owners = made.results["vse"].split("val").image_of_caption
    assert pd.read_csv(run.dir / "tried.csv")["rsum"].iloc[0] == evaluate_scores(mean, owners).rsum


def test_the_tuned_cnn_goes_on_from_the_frozen_one(made):
    tuned, plain = (made.results[key].embeddings()[0]["images"] for key in ("vse-tuned", "vse"))
    assert (tuned * plain).sum(1).mean() > 0.5 and not np.allclose(tuned, plain, atol=1e-3)


def test_a_row_broken_off_ends_with_the_same_numbers(made, tmp_path, monkeypatch):
    from imtext.training import loop

    row = made.study.row("scan", made.rows["scan-rfe-ti-avg"].but(recipe={"epochs": 2}), 0)
    whole, keep = run_one(row, tmp_path / "whole"), loop._keep

    def stop(*arguments):
        keep(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "KEEP_EVERY", 0.0)
        patch.setattr(loop, "_keep", stop)
        with pytest.raises(KeyboardInterrupt):
            run_one(row, tmp_path / "broken")
    assert run_one(row, tmp_path / "broken").metrics == whole.metrics


# A finished row as an encoder


@pytest.mark.parametrize("key", ["vse", "bigru-emb-max", "avg-4-max-1234", "vse-tuned"])
def test_a_row_gives_the_stored_embeddings_again(made, key):
    run = made.results[key].runs[0]
    encoder, stored = load(run.dir), run.load_arrays("embeddings-test.npz")
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    assert np.ptp(stored["images"], axis=0).max() > 1e-2  # pictures differ by more than the tolerance
    assert np.allclose(encoder.embed_images(files), stored["images"][[7, 0, 3]], atol=1e-4)
    assert np.allclose(encoder.embed_captions(captions), stored["captions"][[1, 6, 2]], atol=1e-4)
    scores = stored["images"] @ stored["captions"].T
    assert np.allclose(encoder.scores_for_captions(captions), scores[:, [1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.scores_for_images(files), scores[[7, 0, 3]], atol=1e-4)


@pytest.mark.parametrize("key", ["scan-ti-avg", "scan-rfe-it-lse"])
def test_scan_gives_the_stored_scores_again(made, key):
    run = made.results[key].runs[0]
    encoder, stored = load(run.dir), run.load_arrays("scores-test.npz")["scores"]
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    assert np.ptp(stored, axis=0).max() > 1e-3
    assert np.allclose(encoder.scores_for_captions(captions), stored[:, [1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.scores_for_images(files), stored[[7, 0, 3]], atol=1e-4)
    for embed, given in ((encoder.embed_captions, captions), (encoder.embed_images, files)):
        with pytest.raises(ConfigError, match="only its test split can be searched"):
            embed(given)


def test_rows_without_a_network_and_words_that_none_knows_are_refused(made):
    for key in ("ensemble", "rerank-small"):
        with pytest.raises(RunError, match="without a network of its own; search a row it starts from"):
            load(made.results[key].runs[0].dir)
    encoder = load(made.results["scan-ti-avg"].runs[0].dir)
    with pytest.raises(DataError, match="knows no word of 'xyzzy'"):
        encoder.scores_for_captions(["xyzzy"])
    with pytest.raises(ConfigError, match="expected a list"):
        encoder.scores_for_images("a.jpg")


@pytest.mark.parametrize("key", ["avg-4-max-1234", "scan-ti-avg"])
def test_the_command_answers_a_caption_and_a_picture(made, key, capsys, tmp_path):
    folder = made.results[key].runs[0].dir
    encoder = load(folder)
    caption, picture = encoder.test.captions[4], str(encoder.test.image_path(2))
    scores = encoder.scores_for_captions([caption])[:, 0]
    page = tmp_path / "page.html"
    assert main(["search", str(folder), caption, "--top", "3", "--out", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    best = [encoder.test.image_path(i).name for i in np.argsort(-scores, kind="stable")[:3]]
    assert [line.split()[2] for line in lines[1:4]] == best
    assert f"by {'SCAN score' if 'scan' in key else 'cosine'} of" in page.read_text()
    scores = encoder.scores_for_images([picture])[0]
    order = np.argsort(-scores, kind="stable")[:2]
    answer = search(encoder, picture, top=2)
    assert [hit.captions for hit in answer.hits] == [(encoder.test.captions[j],) for j in order]


# Features in the place of pictures


def test_regions_and_their_mean_take_the_place_of_maps(made):
    source = inputs_of(made.rows["vse"], made.study.places).source
    dataset = source.dataset
    regions = np.random.default_rng(0).random((dataset.n_images, 6, 8)).astype(np.float32)
    given = replace(dataset, features=ImageFeatures((regions,), np.arange(dataset.n_images)))
    splits = {split: given.split(split) for split in ("train", "val", "test")}
    own = SimpleNamespace(dataset=given, splits=splits)
    test, train = (np.flatnonzero(dataset.split_of_image == split) for split in ("test", "train"))
    pooled, all_of_them = GivenImages(Given(), own), GivenImages(Given(regions=True), own)
    assert np.array_equal(all_of_them.test("test")[2:4], regions[test[2:4]])
    mean = regions[test].mean(1)
    assert np.allclose(pooled.test("test"), mean / np.linalg.norm(mean, axis=1, keepdims=True))
    batch = all_of_them.train().take(np.array([2, 0]), torch.Generator())
    assert np.array_equal(batch.numpy(), regions[train[[2, 0]]])
    assert pooled.dim == all_of_them.dim == 8
    flat = replace(dataset, features=ImageFeatures((regions[:, 0],), np.arange(dataset.n_images)))
    own.splits = {"test": flat.split("test")}
    with pytest.raises(DataError, match="attention needs regions"):
        all_of_them.test("test")


def test_rows_that_such_a_dataset_cannot_fill_are_left_out():
    names = defined("rich_features", dataset="coco_precomp", data_root="x")
    study, rows = names["study"], names["rows"]
    lacking = {key for key in rows if study.lacks(rows[key])}
    assert lacking == {*RICH_VARIANTS[1:], "ensemble", "rerank-rich", "vse-tuned"}
    assert rows["vse"].image == Given() and rows["scan-ti-avg"].image == Given(regions=True)
    pictures = defined("rich_features")
    assert not any(map(pictures["study"].lacks, pictures["rows"].values()))


def test_words_that_occur_once_are_said_before_training(tmp_path, monkeypatch, capsys):
    entries = []
    for number, animal in enumerate("狗猫鸟马牛羊猪鸡鸭鹅鱼虎"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
        split = "train" if number < 8 else "val" if number < 10 else "test"
        entries.append({"image": f"{number}.png", "caption": f"一只{animal}在雪地里奔跑", "split": split})
    (tmp_path / "captions.json").write_text(json.dumps(entries), encoding="utf-8")
    monkeypatch.setattr(study_module, "finished", lambda *given: pytest.skip("training would have begun"))
    made = defined(
        "rich_features", dataset="own", data_root=str(tmp_path), runs_dir=str(tmp_path / "runs"), tables="1"
    )
    capsys.readouterr()
    with pytest.raises(pytest.skip.Exception):
        made["study"].run(made["rows"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: of the 8 words of the training captions 8 occur once, such as '一只狗在雪")


# Figures, galleries, times


def test_attention_is_that_of_the_trained_network(made, monkeypatch):
    drawn = []
    monkeypatch.setattr(rich_features, "attention_picture", lambda *parts: drawn.append(parts))
    for key in ("scan-ti-avg", "scan-rfe-ti-avg"):
        rich_features.attention(made.results[key])
    (picture, boxes, words), (_, _, others) = drawn
    assert boxes.shape == (9, 4) and picture.shape == (64, 64, 3) and boxes.max() <= 1
    weights = np.stack([weight for _, weight in words])
    assert np.allclose(weights.sum(1), 1, atol=1e-5)
    assert not {"<start>", "<end>", "<unk>"} & {word for word, _ in words}
    assert not np.allclose(np.stack([weight for _, weight in others]), weights)


def test_galleries_show_what_was_found(made):
    result, data = made.results["scan-ti-avg"], made.results["scan-ti-avg"].split()
    scores = scores_of(result.runs[0])
    row, ((_, (told,)),) = galleries.found_captions(result, queries=[3], k=4).rows
    best = np.argsort(-scores[3], kind="stable")[:4]
    assert row[1][1] == [(data.captions[j], data.group_of_caption[j] == data.group_of_image[3]) for j in best]
    first = galleries.found_images(result, count=2, k=3).rows[0]
    query = next(j for j in range(data.n_captions) if f"“{data.captions[j]}”" == first[0][1][0])
    best = np.argsort(-scores[:, query], kind="stable")[:3]
    own = [bool(data.group_of_image[i] == data.group_of_caption[query]) for i in best]
    assert [right for _, [(_, right)] in first[1:]] == own
    queries = galleries.missed(made.results["vse"], k=1)
    assert (made.results["vse"].ranks("image")[0][queries] > 1).all()
    assert galleries.found_captions(Absent(), queries=queries) is None and "· scan-ti-avg: " in told


def test_bars_are_as_long_as_the_vectors(made):
    length = inputs_of(made.rows["avg-4-max-1234"], made.study.places).image.dim
    bars = rich_features.vectors(made.study, made.rows["vse"])
    assert f"{length:,}" in {text.get_text() for text in bars.findobj(match=is_text)}


def is_text(artist):
    return hasattr(artist, "get_text")


def test_times_have_a_mean_and_a_spread(made):
    times = rich_features.timing(made.study, made.rows, runs=2, steps=1, images=5, batch=4, dim=8)
    table = times.table()
    assert list(table.index) == ["vse", "vse_rfe", "scan", "scan_rfe"]
    assert table.loc["vse", "test_seconds"] == pytest.approx(times.seconds["vse", "test"].mean())
    assert len(times.seconds["scan", "train"]) == 2 and (table > 0).all(axis=None)
    page = made.study.compare(5, made.results, table)._repr_html_()
    assert "SCAN-RFE" in page and "402.39" in page
    other = defined("rich_features", tables="8")
    assert isinstance(rich_features.timing(other["study"], other["rows"], 2, 1, 5, 4, 8), Absent)
    assert other["study"].compare(5, Results(), Absent().table()) is None


# Claims


def dataset(n, captions=None):
    """Images with one caption and with three, in turns."""
    owners = np.repeat(np.arange(n), np.tile([1, 3], n // 2))
    names = tuple(map(str, range(n)))
    captions = captions or tuple(f"caption {i}" for i in range(len(owners)))
    files = tuple(f"{name}.jpg" for name in names)
    return Dataset("made", Path("."), files, names, captions, owners, np.full(n, "test"), np.arange(n))


class Ranked(Result):
    """A result of which only ranks are known: by split, of image and text queries."""

    seeds = (0, 1, 2)

    def __init__(self, data, ranks):
        self.data, self.kept = data, ranks

    def split(self, name="test"):
        return self.data

    def ranks(self, side, split="test"):
        if split not in self.kept:
            raise NotPublished(split)
        return [self.kept[split][side == "text"]] * 3  # seeds that agree

    def metrics(self, split="test"):
        return pd.DataFrame({"rsum": [599.0]})  # far from chance


def as_printed(n, r1, r5, r10):
    """Ranks ``(n,)`` whose recalls are these."""
    hits = [round(n * recall / 100) for recall in (r1, r5, r10)]
    places = np.arange(n)
    return np.select([places < hit for hit in hits], [1, 5, 10], 99)


def printed_results(tables):
    """Every row of our own tables with the recalls that the paper prints, over 1,000 images."""
    data, ranks = dataset(1000), {}
    for number in tables:
        table = paper_table("rich_features", number)
        printed = table.cells
        for line in table.rows:
            if not line.run:
                continue
            sides = []
            for side, n in (("image", 1000), ("text", 2000)):
                cells = [printed.at[line.id, f"{side}_query_r{k}"] for k in (1, 5, 10)]
                sides.append(as_printed(n, *cells))
            ranks.setdefault(line.run, {})[line.read] = sides
    return Results({key: Ranked(data, found) for key, found in ranks.items()})


def judged(results, tables, name, measures=None):
    for one in results.values():
        one.origin = {"dataset": name, "profile": "quick"}
    study = rich_features.study(name, "x", "quick", [0], list(tables), "cpu")
    return {verdict.claim.id: verdict for verdict in study.verdicts(results, measures)}


@pytest.fixture
def figure(monkeypatch):
    """Figure 3 without its trainings."""
    moments = {("positive", "max"): [0.0, 0.0], ("hardest", "max"): [0.5, 0.5]}
    monkeypatch.setattr(rich_features, "compare", lambda seeds, steps: pd.DataFrame(moments))


COCO, FLICKR = ("2", "3", "5", "6", "7", "9"), ("1", "4", "8", "10")
SPREAD = np.linspace(-0.01, 0.01, 10)
# What the paper's numbers say, from its tables and text by hand.
SAID_COCO, SAID_FLICKR = tomllib.loads(Path(__file__).with_name("rich_said.toml").read_text("utf-8")).values()


def test_the_papers_own_numbers_on_coco(figure):
    printed = paper_table("rich_features", "5").cells
    seconds = {
        (row, part): printed.at[row, f"{part}_seconds"] + SPREAD
        for row in printed.index
        for part in ("train", "test")
    }
    times = rich_features.Times(pd.DataFrame(seconds))
    found = judged(printed_results(COCO), COCO, "coco", times.measures())
    # In the tables that we read so, the captions have one length: nothing is said of long ones.
    assert set(found) == {*SAID_COCO, "positive_nearer_than_hardest"}
    for claim, numbers in SAID_COCO.items():
        differences = [item.difference for item in found[claim].evidence]
        assert differences == pytest.approx(numbers, abs=0.06), claim
    assert found["positive_nearer_than_hardest"].evidence[0].difference == 0.5
    assert found["rfe_takes_longer"].word == found["ensemble_helps_everywhere"].word == "reproduced"
    assert found["less_extra_for_deeper_base"].word == "not reproduced"
    assert found["scan_rfe_beats_scan_each"].word == "not reproduced"
    assert found["bigru_helps"].word == "reproduced"


@pytest.mark.parametrize("claim", SAID_FLICKR)
def test_the_papers_own_numbers_on_flickr30k(figure, claim):
    (one,) = (one for one in PAPER.claims.values() if one.id == claim)
    study = rich_features.study("flickr30k", "x", "smoke", [0], list(FLICKR), "cpu")
    found = study._compared(one, printed_results(FLICKR))
    assert [item.difference for item in found] == pytest.approx(SAID_FLICKR[claim], abs=0.06)


def results_of(better, others, captions=None):
    """All queries of the better rows find their match first, those of the others never."""
    data = dataset(10, captions)
    hit, miss = ([np.full(n, rank) for n in (10, 20)] for rank in (1, 99))
    return Results(
        {key: Ranked(data, dict.fromkeys(("test", "test_folds"), hit)) for key in better}
        | {key: Ranked(data, dict.fromkeys(("test", "test_folds"), miss)) for key in others}
    )


def test_claims_about_small_and_large_datasets(figure):
    results = results_of(["bigru", "bigru-emb-avg", "avg-4-max-1234"], ["vse"])
    found = judged(results, ("8",), "flickr8k")
    assert found["bigru_no_gain_small"].evidence[0].difference == 600
    assert found["bigru_no_gain_small"].word == "not reproduced"
    assert found["rich_images_no_gain_small"].word == "reproduced"
    large = judged(results, ("8",), "coco_precomp")
    for name in ("bigru_no_gain_small", "rich_images_no_gain_small"):
        assert (large[name].word, large[name].reason) == ("not judged", "the claim is about a small dataset")
    other = judged(results_of(["vse"], ["bigru"]), ("6",), "picturebook")["bigru_helps"]
    assert (other.word, other.reason) == ("not judged", "the claim is about a large dataset")
    assert other.evidence == []


def test_only_what_was_asked_for(figure):
    pair = results_of(["rerank-small"], ["gru-emb-avg"])
    assert [item.difference for item in judged(pair, ("10",), "picturebook")["reranking_helps"].evidence] == [
        600
    ]
    # Table 9's rows are missing, as with features without maps: Table 10 still says its part.
    assert len(judged(pair, ("9", "10"), "picturebook")["reranking_helps"].evidence) == 1
    assert "reranking_helps" not in judged(pair, ("1",), "picturebook")
    assert "rfe_takes_longer" not in judged(pair, ("10",), "picturebook")
    both = results_of(["avg-4-max-1234", "rerank-small"], ["rerank-rich", "gru-emb-avg"])
    found = judged(both, ("9", "10"), "picturebook")["reranking_helps"].evidence
    assert [item.difference for item in found] == [-600, 600]


def test_long_captions_against_short_ones():
    random = np.random.default_rng(2)
    lengths = random.integers(3, 9, 20)
    captions = tuple(" ".join(["word"] * length) + "." for length in lengths)
    results, ranks = results_of(["avg-4-max-1234"], ["vse"], captions), {}
    for key, one in results.items():
        ranks[key] = random.integers(1, 4, 20)
        one.kept = {"test": [np.ones(10, int), ranks[key]]}
    sums = {True: [], False: []}
    for place, length in enumerate(lengths):
        gain = int(ranks["avg-4-max-1234"][place] == 1) - int(ranks["vse"][place] == 1)
        sums[bool(length > np.median(lengths))].append(gain)
    (found,) = rich_features.rich_helps_long_captions_more(results)
    assert found.difference == pytest.approx(100 * (np.mean(sums[True]) - np.mean(sums[False])))
    assert found.low < found.difference < found.high and found.difference != 0


def test_seconds_of_runs_that_take_turns():
    shared = np.linspace(0, 5, 10)  # a disturbance falls on all rows of a run
    seconds = {"vse": 1 + shared, "vse_rfe": 1.25 + shared, "scan": 4 + shared, "scan_rfe": 4.5 + shared}
    timed = {(row, "train"): values for row, values in seconds.items()}
    timed |= {(row, "test"): 2 * values for row, values in seconds.items()}
    longer, slowly, extra = told(timed).values()
    assert {item.name: item.difference for item in longer} == pytest.approx(
        {"VSE++, training s": 0.25, "VSE++, test s": 0.5, "SCAN, training s": 0.5, "SCAN, test s": 1.0}
    )
    assert [item.low for item in longer] == pytest.approx([item.high for item in longer])
    assert [item.difference for item in slowly] == pytest.approx([6, 6.5])
    assert [item.difference for item in extra] == pytest.approx([100 * (3.75 / 3.5 - 7 / 6.5)] * 2)


def told(timed):
    measures = rich_features.Times(pd.DataFrame(timed)).measures()
    claims = ("rfe_takes_longer", "scan_scores_slowly", "less_extra_for_deeper_base")
    return {claim: measures[claim](None) for claim in claims}


def test_the_triplets_are_those_of_the_figure(monkeypatch):
    monkeypatch.setattr(rich_features, "compare", lambda seeds, steps: compare(seeds[:2], steps - 10))
    (found,) = rich_features.positive_nearer_than_hardest(Results())
    frame = compare(range(2), steps=40)
    after = (frame["hardest"]["max"] - frame["positive"]["max"]).to_numpy()
    assert found.per_seed == pytest.approx(after) and found.difference > 0
    assert found.unit == ""
