"""The Structure-Preserving paper: what its notebook trains, what comes of it, how claims are measured."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from notebook_source import defined, trained
from PIL import Image
from safetensors.torch import load_file

from imtext.data.dataset import Phrases, Regions
from imtext.errors import DataError, RunError
from imtext.experiment import Given, TfIdf, compute, inputs_of
from imtext.experiment import texts as texts_module
from imtext.experiment.compute import MODEL, run_one
from imtext.experiment.encoder import load
from imtext.papers import structure_preserving
from imtext.papers.phrases import Found, HardNegatives, Mentions, RegionImages, mentions_of
from imtext.papers.structure_preserving import few_violations, violations, with_boxes
from imtext.report import paper_values
from imtext.retrieval import evaluate
from imtext.retrieval.localisation import iou

PAPER = structure_preserving.PAPER
TINY = {"data": {"train": 24, "val": 12, "test": 12}}
TINY |= {name: {"recipe": {"epochs": 2}, "image": {"crops": 2}} for name in ("retrieval", "frozen")}
TINY |= {"tuned": {"image": {"crops": 2}}}


@pytest.fixture(scope="module")
def smoke():
    return defined("structure_preserving")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Study, rows and results of the notebook at its smallest."""
    with trained("structure_preserving", tmp_path_factory.mktemp("structure"), TINY) as made:
        yield made


@pytest.fixture(scope="module")
def boxes(made):
    """Regions and phrases of Table 3."""
    return inputs_of(made.rows["regions-d"], made.study.places).image


# What is trained


def test_the_paper_profile_is_the_papers():
    names = defined("structure_preserving", profile="paper", dataset="flickr30k_entities", data_root="x")
    said, sizes = (paper_values("structure_preserving", name) for name in ("settings", "sizes"))
    best, rows = names["best"], names["rows"]
    loss, recipe, regions = best.loss, best.recipe, rows["regions-d"]
    assert (loss.margin, loss.top_k, *loss.lambdas) == tuple(list(said.values())[:5])
    assert regions.loss.lambdas[1:] == (said["lambda_2_regions"], said["lambda_3_regions"])
    assert (recipe.batch_size, recipe.weight_decay, recipe.lr) == (
        said["pairs_per_batch"], said["weight_decay"], said["learning_rate"],
    )  # fmt: skip
    assert recipe.epochs == said["epochs"] and best.network.dropout == said["dropout"]
    assert [recipe.rate(epoch) for epoch in (0, 10, 20)] == pytest.approx([1, 0.1, 0.01])
    assert (best.network.hidden, best.network.dim) == (sizes["hidden"], sizes["embedding"])
    mean = rows["mean-bi"].network
    assert (mean.hidden, mean.dim) == (sizes["hidden_mean_vector"], sizes["embedding_mean_vector"])
    found = regions.network.hidden, regions.network.dim
    assert found == (sizes["hidden_regions"], sizes["embedding_regions"])
    assert (best.text.components, best.text.pca) == (sizes["centres"], sizes["fisher_vector_pca"])
    assert rows["tfidf-bi"].text == TfIdf(sizes["tfidf_flickr30k"]) and best.image.crops == 10
    coco = defined("structure_preserving", profile="paper", dataset="coco", data_root="x")["rows"]
    assert coco["tfidf-bi"].text == TfIdf(sizes["tfidf_coco"])
    training = paper_values("structure_preserving", "phrase_training")
    tuned = rows["regions-d-tuned"]
    assert (regions.recipe.epochs, tuned.recipe.epochs) == (
        training["epochs"], training["epochs_with_negatives"],
    )  # fmt: skip
    assert (regions.image.each, tuned.loss.hard.most) == (
        training["regions_per_phrase"], training["negatives_per_phrase"],
    )  # fmt: skip
    assert (tuned.loss.lambdas, tuned.start) == ((2.0, 0.0, 0.0), (regions,))


def test_rows_differ_by_what_they_say(smoke):
    rows, base = smoke["rows"], smoke["base"]
    losses = {"one": (0.0, 0.0, 0.0), "bi": (2.0, 0.0, 0.0), "bi-structure": (2.0, 0.0, 0.2)}
    for name, lambdas in losses.items():
        assert rows[f"fv-nonlinear-{name}"] == base.but(loss={"lambdas": lambdas})
        assert rows[f"fv-linear-{name}"].network == replace(base.network, hidden=None)
    assert rows["cca-mean"].text == rows["mean-bi"].text and rows["cca-tfidf"].text == rows["tfidf-bi"].text
    assert [part.mixture for part in rows["cca-fv-gmm"].text.parts] == ["hglmm", "gmm"]
    assert rows["fv-nonlinear-bi-equal"].loss.lambdas == (1.0, 0.0, 0.0)
    for name in ("fv-linear", "fv-nonlinear", "mean", "tfidf"):
        assert rows[f"{name}-bi-more"] == rows[f"{name}-bi"].but(loss={"more_captions": True})
    assert rows["fv-nonlinear-bi-structure-tuned"].start == (rows["fv-nonlinear-bi-structure-one-cnn"],)
    terms = {"a": (0.0, 0.0), "b": (0.0, 0.1), "c": (0.1, 0.0), "d": (0.1, 0.1)}
    assert {name: rows[f"regions-{name}"].loss.lambdas[1:] for name in terms} == terms
    best = rows["fv-nonlinear-bi-structure"]
    assert rows["fv-nonlinear-bi-structure-bare"] == best.but(network={"norm": False})
    assert rows["fv-nonlinear-bi-structure-one-cnn"] == best and len(set(rows.values())) == len(rows) - 1


def test_full_adds_weights_of_the_structure_term_and_the_papers_own_sgd():
    names = defined("structure_preserving", profile="full", dataset="flickr8k", data_root="x")
    rows, best = names["rows"], names["best"]
    for weight, key in names["weights"].items():
        own = best.but(loss={"lambdas": (2.0, 0.0, weight), "more_captions": not weight})
        assert rows[key] == own
    sgd = rows["fv-nonlinear-bi-structure-sgd"]
    assert sgd.loss == replace(best.loss, reduction="pairs")
    assert (sgd.recipe.optimiser, sgd.recipe.lr, sgd.recipe.epochs) == ("sgd", 0.1, 30)
    assert best.network.hidden == 2048 and best.recipe.batch_size == 1500
    assert [part.crop for part in best.image.parts] == [224, 240, 260]


def test_photographs_without_boxes_leave_table_three_out():
    names = defined("structure_preserving", dataset="flickr8k", data_root="x")
    lacking = {key for key, row in names["rows"].items() if names["study"].lacks(row)}
    assert lacking == {key for key in names["rows"] if key.startswith("regions")}
    given = defined("structure_preserving", dataset="f30k_precomp", data_root="x")
    assert given["best"].image == Given()


# What comes of it


def test_every_own_row_and_every_cca_row_has_numbers(made):
    for table in PAPER.tables.values():
        lines = made.study._lines(table, made.results)
        assert {row.id for row in table.rows if row.own} <= set(lines)
    assert {"mean_vector_klein", "cca_hglmm_klein", "cca_gmm_hglmm"} <= set(
        made.study._lines(PAPER.tables["1"], made.results)
    )
    for one in made.results.present.values():
        assert np.isfinite(one.metrics().to_numpy()).all()
    page = made.study.compare(3, made.results)._repr_html_()
    assert "Chance" not in page and "λ1 = 2" in page
    summary = made.results.summary()
    assert np.isfinite(summary.loc["regions-a", "validation R@1"])


def test_numbers_are_those_of_the_stored_embeddings(made):
    result = made.results["tfidf-bi-structure"]
    arrays = result.embeddings()[0]
    assert result.metrics()["rsum"][0] == evaluate(**arrays).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)


def test_cca_is_chosen_on_the_validation_split(made):
    for key, metric in (("cca-fv", "rsum"), ("regions-cca", "r1")):
        run = made.results[key].runs[0]
        tried = pd.read_csv(run.dir / "tried.csv")
        assert run.metrics["val"][metric] == pytest.approx(tried["score"].max())


@pytest.mark.parametrize("key", ["fv-nonlinear-bi", "mean-bi", "tfidf-bi", "cca-fv-gmm"])
def test_a_row_gives_the_stored_embeddings_again(made, key):
    run = made.results[key].runs[0]
    encoder, stored = load(run.dir), run.load_arrays("embeddings-test.npz")
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    assert np.allclose(encoder.embed_captions(captions), stored["captions"][[1, 6, 2]], atol=1e-4)
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    assert np.allclose(encoder.embed_images(files), stored["images"][[7, 0, 3]], atol=1e-4)
    with pytest.raises(DataError, match="knows no word of 'qwrtz'"):
        encoder.embed_captions(["qwrtz"])


def test_the_row_with_a_trained_cnn(made):
    tuned, start = (
        made.results[key] for key in (structure_preserving.BEST + "-tuned", structure_preserving.BEST)
    )
    after, before = (load_file(one.runs[0].dir / MODEL) for one in (tuned, start))
    fixed = inputs_of(made.rows[structure_preserving.BEST], made.study.places).image.backbone.state_dict()
    moved = {
        name
        for name, value in fixed.items()
        if not torch.equal(value, after[f"net.backbone.{name}"].to(value.dtype))
    }
    statistics = [name for name in fixed if "running_" in name]
    assert statistics and not moved & set(statistics)
    assert {name for name, value in fixed.items() if value.dim() == 4} <= moved
    first = "net.image_head.0.weight"
    assert not torch.equal(after[first], before[first])
    encoder, stored = load(tuned.runs[0].dir), tuned.embeddings()[0]
    files = [encoder.test.image_path(i) for i in (2, 5)]
    assert np.allclose(encoder.embed_images(files), stored["images"][[2, 5]], atol=1e-4)


def test_without_a_step_it_is_the_row_it_starts_from(made, monkeypatch):
    key = structure_preserving.BEST
    monkeypatch.setattr(compute, "fit", lambda *_: pd.DataFrame({"epoch": [1], "loss": [0.0]}))
    still = made.rows[f"{key}-tuned"].but(recipe={"lr": 1e-12})
    run = run_one(made.study.row("idle", still, 0, {made.rows[key]: key}), made.study.parameters.runs_dir)
    found, expected = run.load_arrays("embeddings-test.npz"), made.results[key].embeddings()[0]
    for side in ("images", "captions"):
        assert np.allclose(found[side], expected[side], atol=1e-5)


def test_weights_of_another_network_are_refused(made):
    narrow = made.rows["fv-nonlinear-bi"].but(network={"hidden": 8})
    row = made.study.row("other", narrow.but(start=(made.rows["fv-nonlinear-bi"],)), 0)
    with pytest.raises(RunError, match=r"model\.safetensors"):
        run_one(row, made.study.parameters.runs_dir)


def test_text_features_are_fitted_once_and_on_training_captions(made, monkeypatch):
    row = made.rows["tfidf-bi"]
    first = inputs_of(row, made.study.places).text
    monkeypatch.setattr(texts_module.FixedTexts, "_fill", lambda *_: pytest.fail("computed again"))
    again = row.text.build(first.source)
    assert (first.train() != again.train()).nnz == 0
    words = set(first.part.loaded(first.kept.dir / texts_module.FITTED).words_)
    train = " ".join(first.source.splits["train"].captions).lower()
    assert words and all(word[:3] in train for word in words)


def test_one_table_asks_for_its_rows_alone(made):
    given = {"runs_dir": str(made.study.parameters.runs_dir), "overrides": TINY, "device": "cpu"}
    some = defined("structure_preserving", tables="2", **given)
    results = some["study"].run(some["rows"])
    assert not results["fv-linear-one"] and not results["regions-cca"] and results["cca-fv"]
    assert some["study"].compare(1, results) is None
    assert structure_preserving.localised(results["regions-cca"], results["regions-d-tuned"]) is None


# Claims


def test_every_claim_gets_a_verdict(made):
    here = {name for name, claim in PAPER.claims.items() if made.results.has(*dict(claim.rows))}
    assert {verdict.claim.id for verdict in made.study.verdicts(made.results)} == here
    assert len(here) > 20


def test_claims_measure_what_the_tables_say(made):
    found = {verdict.claim.id: verdict.evidence for verdict in made.study.verdicts(made.results)}
    columns = [f"{side}_query_r{k}" for side in ("image", "text") for k in (1, 5, 10)]
    better, worse = (
        made.results[key].metrics()[columns].mean(axis=1)[0]
        for key in ("fv-nonlinear-bi", "fv-nonlinear-bi-equal")
    )
    assert found["lambda_1_two_is_best"][0].difference == pytest.approx(better - worse)
    tuned, plain = (made.results[key].metrics().loc[0] for key in ("regions-d-tuned", "regions-d"))
    gains = [item.difference for item in found["hard_negatives_help"]]
    assert gains == pytest.approx([tuned[name] - plain[name] for name in ("r1", "mean_ap")])
    means = [made.results[f"regions-{name}"].metrics().loc[0] for name in "abcd"]
    (recall, precision) = (item.difference for item in found["structure_helps_localisation"])
    assert recall == pytest.approx(np.mean([one["r1"] - means[0]["r1"] for one in means[1:]]))
    assert precision == pytest.approx(np.mean([one["mean_ap"] - means[0]["mean_ap"] for one in means[1:]]))
    for kind, item in zip(("linear", "nonlinear"), found["bidirectional_helps_text_more"], strict=True):
        both, one = (made.results[f"fv-{kind}-{loss}"].metrics().loc[0, columns] for loss in ("bi", "one"))
        gain = (both - one).to_numpy()
        assert item.difference == pytest.approx(gain[3:].mean() - gain[:3].mean())


def test_the_sweep_shows_the_weights_that_ran(made):
    keys = {0.2: structure_preserving.BEST, 0.0: "fv-nonlinear-bi-more", 0.5: "not-trained"}
    axes = structure_preserving.weight_sweep(made.results, keys).axes[0]
    shown = [made.results[keys[at]].metrics("val")["rsum"][0] for at in (0.0, 0.2)]
    assert axes.lines[0].get_ydata().tolist() == shown
    assert structure_preserving.weight_sweep(made.results, {0.5: "not-trained"}) is None


def by_loops(images, captions, match, margin):
    distances = torch.cdist(images, captions).numpy()
    first, second = [], []
    for i, j in match.nonzero().tolist():
        bound = distances[i, j] + margin
        first.append(sum(distances[i, k] < bound for k in range(len(captions)) if not match[i, k]))
        second.append(sum(distances[k, j] < bound for k in range(len(images)) if not match[k, j]))
    return first, second


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_violations_against_loops(margin):
    torch.manual_seed(0)
    images, captions = (F.normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in (9, 23))
    match = torch.rand(9, 23) < 0.2
    found = violations(images, captions, match, margin)
    expected = by_loops(images, captions, match, margin)
    assert [side.tolist() for side in found] == [[int(n) for n in side] for side in expected]
    assert max(expected[0]) > 5 > min(expected[0])


def test_shares_of_a_trained_row(made):
    result = made.results["mean-bi"]
    before = torch.random.get_rng_state()
    few = few_violations(result.rows[0], result.runs[0])
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(few) == len(result.split("train").captions)
    assert few["text"].min() == 1  # few other images in a batch
    assert 0 <= few["image"].min() <= few["image"].max() <= 1
    again = few_violations(result.rows[0], result.runs[0])
    assert few.equals(again)


# Phrases and boxes


def test_mentions_by_hand(boxes):
    split = boxes.source.splits["val"]
    image = int(split.image_of_caption[0])
    regions = Regions([[0, 0, 3, 3], [5, 5, 9, 9], [1, 1, 2, 2]], [image, image, image], [7, 7, 8])
    phrases = Phrases([0, 0, 0], [0, 1, 2], [1, 2, 3], ("Two CATS", "sky", "A Dog"), [7, 9, 8], ("x",) * 3)
    found = mentions_of(replace(split, regions=regions, phrases=phrases))
    assert found.phrases == ("a dog", "two cats")
    assert found.phrase.tolist() == [1, 0]
    assert found.words == ["two cats", "a dog"]
    assert found.truth.tolist() == [[0, 0, 9, 9], [1, 1, 2, 2]]
    assert found.row.tolist() == [0, 2]
    rectangles, owner, region = found.regions
    assert rectangles[region].tolist() == found.truth.tolist()
    assert owner.tolist() == [image, image]
    with pytest.raises(DataError, match="has a box; check the boxes' chains"):
        mentions_of(replace(split, regions=Regions([[0, 0, 1, 1]], [0], [1])))


def training_pairs(mentions, most, seed):
    images = RegionImages(SimpleNamespace(each=most), None)
    images.mentions = lambda split: mentions
    return images.pairs(seed)


def test_pairs_keep_at_most_so_many_regions_of_a_phrase():
    truth = np.array([[0, 0, i, i] for i in (1, 2, 3, 4, 4, 1)])
    phrase = np.array([0, 0, 0, 0, 0, 1])
    mentions = Mentions(("a", "b"), phrase, np.zeros(6, int), truth, np.arange(6))
    assert len(training_pairs(mentions, 10, 0)) == 6  # the same pair twice stays twice
    few = training_pairs(mentions, 2, 0)
    assert len(np.unique(few[few[:, 1] == 0], axis=0)) == 2
    assert [0, 1] in few.tolist()
    assert np.array_equal(few, training_pairs(mentions, 2, 0))
    assert len({training_pairs(mentions, 2, seed).tobytes() for seed in range(8)}) > 1


def test_features_fit_their_boxes(made, boxes):
    train, regions = boxes.mentions("train"), boxes.regions
    assert len(regions.features[:]) == len(train.regions[0]) == len(regions.boxes)
    assert np.allclose(np.linalg.norm(regions.features[:], axis=1), 1, atol=1e-5)
    texts = inputs_of(made.rows["regions-d"], made.study.places).text
    assert [texts.test(split).shape[0] for split in ("train", "test")] == [
        len(boxes.mentions(split).phrases) for split in ("train", "test")
    ]
    assert np.bincount(boxes.proposals("val").image).max() <= 40
    assert boxes.pairs(0).max(0).tolist() < [len(regions.boxes), len(train.phrases)]


def _negatives_by_loops(mentions, pairs, proposals, regions, candidates, phrases):
    truth, owner, _ = mentions.regions
    found = set()
    for j in range(len(phrases)):
        own = [r for r in range(len(truth)) if [r, j] in pairs.tolist()]
        for p in range(len(candidates)):
            here = [r for r in own if owner[r] == proposals.image[p]]
            if here and max(iou(truth[r], proposals.boxes[p])[0, 0] for r in here) < 0.5:
                worst = min(regions[r] @ phrases[j] for r in here)
                if candidates[p] @ phrases[j] > worst:
                    found.add((j, p))
    return found


def test_hard_negatives_against_loops():
    random = np.random.default_rng(0)

    def rectangles(n):
        start = random.integers(0, 20, (n, 2))
        return np.concatenate([start, start + random.integers(3, 20, (n, 2))], axis=1)

    def units(n):
        rows = random.standard_normal((n, 4))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    image = np.sort(random.integers(0, 4, 24))
    mentions = Mentions(tuple("abcde"), random.integers(0, 5, 24), image, rectangles(24), np.arange(24))
    proposals = Found(rectangles(40), np.sort(random.integers(0, 4, 40)), units(40))
    pairs = training_pairs(mentions, 10, 0)
    sides = units(len(mentions.regions[0])), proposals.features, units(5)
    found = HardNegatives().of_phrases(mentions, pairs, proposals, sides, 0)
    expected = _negatives_by_loops(mentions, pairs, proposals, *sides)
    assert len(expected) > 10
    assert {(j, int(p)) for j, own in enumerate(found) for p in own} == expected
    few = HardNegatives(most=3).of_phrases(mentions, pairs, proposals, sides, 0)
    assert max(map(len, few)) == 3
    assert {(j, int(p)) for j, own in enumerate(few) for p in own} < expected


def test_the_score_cca_is_chosen_by_is_recall_at_one(boxes):
    mentions, proposals = boxes.mentions("val"), boxes.proposals("val")
    random, kept = np.random.default_rng(0), {}
    phrases = random.standard_normal((len(mentions.phrases), 5))
    regions = random.standard_normal((len(proposals.boxes), 5))
    run = SimpleNamespace(save_arrays=lambda name, **arrays: kept.update(arrays))
    found = boxes.evaluate("val", {"images": regions, "captions": phrases}, run)["val"]
    assert boxes.score("val")(regions, phrases) == pytest.approx(found["r1"])
    best = kept["best"]
    overlap = np.diag(iou(proposals.boxes[best], mentions.truth))
    assert np.array_equal(overlap >= 0.5, kept["ranks"] == 1)
    right = []
    for mention in range(len(best)):
        own = np.flatnonzero(proposals.image == mentions.image[mention])
        overlaps = [iou(proposals.boxes[[i]], mentions.truth[[mention]])[0, 0] for i in own]
        right.append(np.mean(np.array(overlaps) >= 0.5))
    assert found["chance"] == pytest.approx(100 * np.mean(right)) and 0 < found["chance"] < 100
    for mention in range(0, len(best), 7):
        own = np.flatnonzero(proposals.image == mentions.image[mention])
        scores = regions[own] @ phrases[mentions.phrase[mention]]
        assert best[mention] == own[scores.argmax()]


def test_rows_of_phrases_are_written_down(made, boxes):
    for key in ("regions-cca", "regions-d", "regions-d-tuned"):
        run = made.results[key].runs[0]
        for split in ("val", "test"):
            cells, ranks, mentions = (
                run.metrics[split],
                run.load_arrays(f"ranks-{split}.npz"),
                boxes.mentions(split),
            )
            assert 0 <= cells["r1"] <= cells["r5"] <= cells["r10"] <= cells["r100"] <= 100
            assert len(ranks["ranks"]) == cells["queries"] == len(mentions.phrase)
            assert np.array_equal(ranks["image"], mentions.image)
            assert ranks["ap"].mean() == pytest.approx(cells["mean_ap"])
            assert 100 * np.mean(ranks["ranks"] <= 1) == pytest.approx(cells["r1"])
    with pytest.raises(RunError, match="its images are Regions"):
        load(made.results["regions-d"].runs[0].dir)


def test_a_network_starts_the_same_whether_or_not_its_data_were_read_before(made, tmp_path):
    # A worker process that has not read the features yet builds the image CNN, which draws its weights.
    compute._inputs.cache_clear()
    again = run_one(made.study.row("regions-d", made.rows["regions-d"], 0), tmp_path)
    before = load_file(made.results["regions-d"].runs[0].dir / MODEL)
    assert all(torch.equal(values, before[name]) for name, values in load_file(again.dir / MODEL).items())


def test_figure_3_shows_the_boxes_that_were_found(made, boxes):
    gallery = structure_preserving.localised(
        made.results["regions-cca"], made.results["regions-d-tuned"], count=3, least=2
    )
    mentions, test = boxes.mentions("test"), made.results["regions-cca"].split()
    found = made.results["regions-cca"].runs[0].load_arrays("ranks-test.npz")
    assert len(gallery.rows) == 6
    for ((_, (said,)),), ((_, (model, *lines)), _) in zip(gallery.rows[::2], gallery.rows[1::2], strict=True):
        (caption,) = (j for j, text in enumerate(test.captions) if f"“{text}”" == said)
        own = np.flatnonzero(test.phrases.caption[mentions.row] == caption)
        assert "CCA" in model
        assert lines == [
            (f"{number} {mentions.words[place]}", bool(found["ranks"][place] == 1))
            for number, place in enumerate(own, 1)
        ]


def test_boxes_are_drawn_where_they_are():
    picture = Image.new("RGB", (60, 40), "black")
    shown = np.asarray(with_boxes(picture, np.array([[10, 10, 30, 30]]), [np.array([40.0, 5.0, 55.0, 35.0])]))
    assert tuple(shown[10, 20]) == (255, 255, 255) and shown[20, 40].any() and not shown[20, 20].any()
    assert not np.asarray(picture).any()


def test_counts_of_training_pairs():
    pairs = np.array([[0, 0], [0, 0], [1, 0], [2, 1], [1, 1]])
    image = SimpleNamespace(pairs=lambda seed: pairs)
    rows = [SimpleNamespace(inputs=SimpleNamespace(image=image))]
    result = SimpleNamespace(rows=rows, seeds=[0], metrics=lambda: pd.DataFrame({"r100": [34.0]}))
    found = structure_preserving.phrase_counts(result)
    assert list(found.values()) == [5, 4, 2, 2, 34.0]  # regions 0 and 2 have one phrase each
