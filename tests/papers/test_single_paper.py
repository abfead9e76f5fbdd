"""The single-network paper: what its notebook trains, what a run is, and what its claims are measured by."""

import subprocess
import sys
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from notebook_source import defined
from PIL import Image
from scipy import sparse
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

import imtext
from imtext.data.transforms import normalise
from imtext.errors import ConfigError, DataError
from imtext.experiment import Absent, Drawn, Pictures, inputs_of
from imtext.experiment.compute import scores_of
from imtext.experiment.encoder import rebuilt
from imtext.experiment.experiment import plain
from imtext.experiment.results import drawn
from imtext.models import PictureCNN, PictureNets
from imtext.papers import across, galleries, single_network
from imtext.report import paper_values
from imtext.retrieval import evaluate, evaluate_scores, modality_mixing
from imtext.runs import Run
from imtext.search import search
from imtext.text.text_image import TextImage
from imtext.threads import torch_threads
from imtext.unit import unit_rows
from imtext.vision.backbones import load_backbone

BEST = across.BEST
TINY = {"data": {"train": 16, "val": 10, "test": 10}, "recipe": {"batch_size": 8}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The notebook's names and the results of its rows, computed once for this file."""
    folder = tmp_path_factory.mktemp("single")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        names = defined("single_network", device="cpu", runs_dir=str(folder / "runs"), overrides=TINY)
        yield names, names["study"].run(names["rows"])


@pytest.fixture(scope="module")
def study(made):
    return made[0]["study"]


@pytest.fixture(scope="module")
def results(made):
    return made[1]


# What the notebook says


def test_the_paper_profile_is_the_papers():
    names = defined("single_network", profile="paper", dataset="flickr30k", data_root="x")
    base, said = names["base"], paper_values("single_network", "settings")
    sizes, groups = paper_values("single_network", "sizes"), paper_values("single_network", "groups")
    assert base == names["paper"].but(data={"dataset": "flickr30k"})
    here = {"learning_rate": base.recipe.lr, "images_per_batch": base.recipe.batch_size}
    assert said == here | {"embedding": base.network.dim}
    assert base.image.size == sizes["text_crop"] and base.image.size + base.text.slack == sizes["image"]
    assert (base.network.width, base.network.blocks, base.network.keep) == (1.0, (5, 10, 5), 0.8)
    assert not base.loss.together  # pictures are counted, not groups
    best = names["rows"]["config-2"].loss
    assert (best.images, 5 * best.captions) == (groups["config_2_images"], groups["config_2_texts"])
    assert base.data.train is base.data.val is base.data.test is None


def test_rows_differ_by_what_they_say(made):
    rows = made[0]["rows"]
    forms_of = {"standard": (1, 1), "config-2": (2, 2), "ten-texts": (1, 2), "two-images": (2, 1)}
    for key, forms in forms_of.items():
        assert (rows[key].loss.images, rows[key].loss.captions) == forms
    assert not rows["centre-alone"].loss.softmax and rows["softmax-alone"].loss.weight == 0
    assert rows["two-networks"] == rows["standard"].but(network={"networks": 2})
    assert len(set(rows.values())) == len(rows)
    quick = defined("single_network", profile="quick")
    assert set(quick["rows"]) == {"standard", "config-2", "centre-alone", "two-networks"}
    assert (quick["base"].recipe.epochs, quick["rows"]["config-2"].recipe.epochs) == (4, 2)
    photographs = defined("single_network", profile="quick", dataset="coco", data_root="x")["base"]
    assert (photographs.data.train, photographs.text.words) == (6000, 32)


def test_an_epoch_has_the_items_of_the_configuration(made, study):
    for key, items in {"standard": 6, "config-2": 12, "ten-texts": 11, "two-images": 7}.items():
        row = made[0]["rows"][key]
        batches = row.loss.batches(inputs_of(row, study.places), row.recipe, 0, None)
        assert sum(len(items) for items, _ in batches.plan(0)) == items * 16, key


def test_rows_of_the_full_profile_start_from_imagenet_and_are_compared_fairly():
    given = {"profile": "full", "dataset": "flickr8k", "data_root": "x"}
    rows = defined("single_network", **given)["rows"]
    for key in ("standard", "config-2", "ten-texts", "two-images", "softmax-alone", "two-networks"):
        one = rows[key]
        assert one.network.backbone == "efficientnet_lite0" and one.loss.scale == 16
        assert one.recipe == rows["standard"].recipe
        assert (one.recipe.epochs, one.recipe.batch_size, one.recipe.captions_per_group) == (80, 45, 1)
    scratch, frozen = rows["from-scratch"], rows["frozen-images"]
    assert (scratch.network.backbone, scratch.loss.scale, scratch.recipe.batch_size) == (None, 0, 45)
    assert scratch.text == rows["standard"].text and frozen.text.side == rows["standard"].image.size


def test_a_network_of_photographs_sees_them_as_it_was_trained_to():
    net = PictureCNN(load_backbone("efficientnet_lite0"), dim=8).eval()
    pictures = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    features = net.cnn(normalise(pictures, net.cnn.mean, net.cnn.std))
    expected = net.bottleneck(features)
    assert torch.allclose(net(pictures), expected, atol=1e-4)
    both = PictureNets(net)
    assert torch.allclose(both.embed_images(pictures), unit_rows(expected), atol=1e-4)
    assert torch.equal(both.embed_images(pictures), both.embed_captions(pictures))


@pytest.mark.parametrize("key", ["config-2", "frozen-images"])
def test_rows_of_the_full_profile_are_runs_and_encoders(key, tmp_path):
    small = {"data": {"train": 12, "val": 10, "test": 10}, "recipe": {"epochs": 1, "batch_size": 6}}
    names = defined(
        "single_network", profile="full", device="cpu", runs_dir=str(tmp_path), tables="2", overrides=small
    )
    one = names["rows"][key].but(data={"seed": 5}, recipe={"epochs": 1})
    if key == "frozen-images":
        one = one.but(image={"size": 64, "crop": 64})
    result = names["study"].run({"a row": one})["a row"]
    encoder, stored = imtext.load(result.runs[0].dir), result.embeddings()[0]
    captions, files = encoder.test.captions, [encoder.test.image_path(i) for i in (7, 0)]
    assert np.allclose(encoder.embed_images(files), stored["images"][[7, 0]], atol=1e-4)
    assert np.allclose(encoder.embed_captions([captions[6]]), stored["captions"][6], atol=1e-4)


def test_features_in_the_place_of_pictures_are_refused(tmp_path):
    given = {"dataset": "f30k_precomp", "data_root": str(tmp_path), "profile": "quick"}
    assert defined("single_network", **given)["base"].image == Pictures(75)


# What a run is


def test_numbers_are_those_of_the_stored_embeddings(results):
    one = results["config-2"]
    arrays = one.embeddings()[0]
    assert one.metrics().loc[0, "rsum"] == evaluate(**arrays).rsum
    assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)


def test_a_run_keeps_its_drawing_and_its_words(results):
    row, run = results["standard"].rows[0], results["standard"].runs[0]
    text, codes = row.inputs.text, row.inputs.text.codes("test")[:2]
    kept = TextImage.load(run.dir / "drawing.safetensors")
    assert np.array_equal(kept.encode(codes), text.drawing.encode(codes)) and kept.side == 75
    training = " ".join(results["standard"].split("train").captions).casefold()
    assert all(word in training for word in text.vocabulary.words[:20])
    for path in run.dir.glob("*.npz"):
        assert np.load(path, allow_pickle=False).files, path.name
    assert rebuilt(plain(row.experiment)) == row.experiment


@pytest.mark.parametrize("key", ["config-2", "two-networks"])
def test_a_run_is_an_encoder_that_gives_the_stored_embeddings(results, key):
    run, stored = results[key].runs[0], results[key].embeddings()[0]
    encoder = imtext.load(run.dir)
    captions, files = encoder.test.captions, [encoder.test.image_path(i) for i in (7, 0, 3)]
    for side in ("images", "captions"):  # they differ by more than the tolerance
        assert np.ptp(stored[side], axis=0).max() > 1e-2
    found = encoder.embed_captions([captions[j] for j in (1, 6, 2)])
    assert np.allclose(found, stored["captions"][[1, 6, 2]], atol=1e-4)
    for given in (files, [Image.open(file).convert("RGB") for file in files]):
        assert np.allclose(encoder.embed_images(given), stored["images"][[7, 0, 3]], atol=1e-4)
    with pytest.raises(DataError, match="knows no word of 'qqqq zzzz'"):
        encoder.embed_captions(["qqqq zzzz"])
    answer = search(imtext.load(run.dir), captions[0], top=3)
    best = np.argsort(-(stored["images"] @ stored["captions"][0]), kind="stable")[:3]
    assert [str(hit.image) for hit in answer.hits] == [str(encoder.test.image_path(int(i))) for i in best]


def test_two_networks_send_each_modality_to_its_own():
    class Fixed(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.dim, self.value = 1, value

        def forward(self, pictures):
            return pictures.new_full((len(pictures), 1), self.value, dtype=torch.float32)

    net, pictures = PictureNets(Fixed(3.0), Fixed(-2.0)), torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    is_text = torch.tensor([False, False, True])
    assert net(pictures, is_text).flatten().tolist() == [3, 3, -2]
    assert net.embed_images(pictures).flatten().tolist() == [1, 1, 1]
    assert net.embed_captions(pictures).flatten().tolist() == [-1, -1, -1]
    with pytest.raises(ConfigError, match="networks=3: expected an integer from 1 to 2"):
        PictureNets(*[Fixed(1.0)] * 3)


def test_a_drawing_reads_word_vectors_only_where_it_is_told_to(made, study):
    base = made[0]["base"].but(text={"vectors": "word2vec"})
    text = inputs_of(base, study.places).text
    assert text.note() == "" and text.width == 12
    assert text.drawing.capacity >= Drawn().words / 2 and "pixels of a colour" in text.facts()


def test_chance_is_what_random_scores_reach(results):
    test, random = results["standard"].split(), np.random.default_rng(0)
    shape = (test.n_images, test.n_captions)
    found = [evaluate_scores(random.random(shape), test.image_of_caption).row()["rsum"] for _ in range(400)]
    chance = results["standard"].chance()
    assert chance["text_query_r10"] == 100  # of ten images
    assert chance["rsum"] == pytest.approx(np.mean(found), rel=0.02)
    assert results["standard"].chance("test_folds")["text_query_r1"] == 50  # of two


# Figures


def test_galleries_show_what_was_found_as_it_is_written(results):
    one = results["config-2"]
    test, rows = one.split(), one.embeddings()[0]
    cosines = rows["captions"] @ rows["captions"].T
    other = test.group_of_caption[:, None] != test.group_of_caption
    found = single_network.similar_captions(one, 2).rows
    for row in found:
        captions = [lines[0] for _, lines in row]
        first, second = (test.captions.index(caption) for caption in captions)
        assert captions[0].casefold() != captions[1].casefold() and other[first, second]
        assert row[0][1][1] == f"similarity {cosines[first, second]:.2f}, another group"
    best = [float(row[0][1][1].split()[1].rstrip(",")) for row in found]
    assert cosines[other].max() + 0.005 >= best[0] >= best[1]
    shown = [test.image_of_caption[test.captions.index(lines[0])] for row in found for _, lines in row]
    assert len(set(shown)) == 4
    queries = drawn(test.n_images, 3)
    for query, (_, (_, lines)) in zip(queries, galleries.found_captions(one, 3).rows[:-1], strict=True):
        best = np.argsort(-(rows["images"][query] @ rows["captions"].T), kind="stable")[:5]
        expected = [(test.captions[j], bool(test.image_of_caption[j] == query)) for j in best]
        assert lines == expected
    assert single_network.drawn_captions(one)._repr_html_().count("<img") == 3
    assert single_network.similar_captions(Absent()) is None


def test_the_map_names_its_rows_and_their_mixing(results):
    figure = single_network.spaces(results["standard"], results["config-2"])
    assert [axes.get_title("left") for axes in figure.axes] == ["standard", "config-2"]
    found = modality_mixing(**results["config-2"].embeddings()[0])
    assert f"mixing {found.value:.2f} ({found.low:.2f} to {found.high:.2f})" in figure.axes[1].get_xlabel()
    assert single_network.spaces(results["standard"], Absent()) is None


# In a process of its own, which t-SNE may kill.
COLLAPSED = """
import numpy as np
from imtext.papers.single_network import flat_map

noise = np.random.default_rng(0).normal(size=(16, 8))
unit = np.tile(np.arange(8) / 140**0.5, (16, 1))
for space in (
    np.ones((16, 8), "float32"), np.zeros((16, 8)), unit.astype("float32"), unit + 1e-9 * noise,
    (1e-24 * noise).astype("float32"), np.repeat(np.eye(2, 8, dtype="float32"), 8, axis=0),
    (unit + 1e-5 * noise).astype("float32"),
):
    print(flat_map(space).any())
"""


def test_a_collapsed_space_is_not_mapped():
    done = subprocess.run([sys.executable, "-c", COLLAPSED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["False"] * 5 + ["True"] * 2
    points = np.random.default_rng(0).normal(size=(18, 8))
    with threadpool_limits(1):
        expected = TSNE(2, init="pca", perplexity=17 / 3, random_state=0).fit_transform(points)
    np.testing.assert_array_equal(single_network.flat_map(points), expected)


def test_the_centre_loss_alone_collapses_and_a_softmax_prevents_it(results):
    given = results["standard"], results["centre-alone"], 60, 5e-2
    with torch_threads(1):
        curves = single_network.collapse(*given)
    alone, both = (
        curves[curves["run"] == name].set_index("step")
        for name in ("centre loss alone", "softmax + centre loss")
    )
    assert len(alone) == len(both) == 60
    assert alone["spread"].iloc[0] == both["spread"].iloc[0]  # one start, the same batches
    assert alone["loss"].iloc[-1] < 0.1 * alone["loss"].iloc[0]
    assert alone["spread"].iloc[-1] < 0.3 * both["spread"].iloc[-1]
    # Where all is nearly one point, what is left points anywhere.
    assert alone["directions"].min() < 1.5 < both["directions"].iloc[-1]
    figure = single_network.collapse_curves(curves)
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "linear"]
    figure.draw_without_rendering()
    assert not any("$" in label.get_text() for label in figure.axes[0].get_yticklabels())
    assert single_network.collapse_curves(single_network.collapse(given[0], Absent(), 1, 1.0)) is None


# Claims


def test_a_tenth_of_the_spread_is_a_collapse():
    # Momentum may carry it past the point.
    spreads = {"softmax + centre loss": (8.0, 4.0, 2.0), "centre loss alone": (8.0, 0.08, 1.0)}
    lines = [{"run": run, "spread": one} for run, seen in spreads.items() for one in seen]
    curves = pd.DataFrame(lines)
    (measure,) = single_network.collapsed(curves).values()
    alone, both = measure({})
    assert (alone.difference, both.difference) == pytest.approx((0.1 - 0.01, 0.25 - 0.1))
    assert alone.low == alone.high and single_network.collapsed(Absent()) is None


def test_the_curves_of_a_row_say_what_it_minimised(results):
    curves = pd.read_csv(results["centre-alone"].runs[0].dir / "curves.csv")
    assert {"loss", "spread", "directions"} <= set(curves) and "softmax" not in curves


# Models of all papers, here stood in for by two rows of this one


@pytest.fixture(scope="module")
def models(made, study, results):
    rows = made[0]["rows"]
    stand_ins = {"Structure-preserving": "softmax-alone", "CCA": "two-networks"}
    others = {name: ("single_network", key, rows[key]) for name, key in stand_ins.items()}
    return across.models(study, results, others)


def test_what_is_right_comes_from_scenes(models):
    found, test = models.meaning, models.test
    own = test.group_of_image[:, None] == test.group_of_caption[None]
    assert (found.relevance[own] == 1).all() and (found.relevance[~own] < 1).any()


def test_semantic_recall_is_never_smaller(models, results):
    table = models.measures(9)
    assert (table["semantic R-sum"] >= table["R-sum"]).all()
    assert table.loc[BEST, "R-sum"] == pytest.approx(results["config-2"].metrics()["rsum"].loc[0])
    figure = models.order()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == list(table.sort_values("R-sum", kind="stable").index)
    places = [text.get_text() for text in figure.axes[0].texts]
    assert places == [str(place) for place in range(len(labels), 0, -1)]


def test_every_claim_is_tested(models, study, results):
    curves = pd.DataFrame({"run": ["both", "both", "alone", "alone"], "spread": [8.0, 4.0, 8.0, 0.1]})
    verdicts = study.verdicts(results, models.claims(), single_network.collapsed(curves), None)
    assert {verdict.word for verdict in verdicts} == {"not judged"}  # in this profile
    found, claims = {verdict.claim.id for verdict in verdicts}, single_network.PAPER.claims
    few = {"alike_captions_lie_near", "order_changes"}  # no captions as alike, no models as close
    assert found == set(claims) - few - {"rendering_keeps_captions"}  # rows of `full`
    rows_alone = {verdict.claim.id for verdict in study.verdicts(results)} | {"softmax_prevents_collapse"}
    assert found - rows_alone == {one.id for one in claims.values() if one.table == "3"} - few


def test_an_interval_that_is_known_is_shown_as_it_is(models, results, monkeypatch):
    mixing = modality_mixing(**results["config-2"].embeddings()[0])
    (overlap,) = single_network.modalities_overlap(results)
    assert (overlap.difference, overlap.low, overlap.high) == (mixing.value, mixing.low, mixing.high)
    known = SimpleNamespace(kendall=0.4, kendall_low=0.2, kendall_high=0.6)
    monkeypatch.setattr(models, "follows", lambda model: known)
    (people,) = models.similarity_follows_people(results)
    assert people.show() == "+0.400 [+0.200, +0.600]"


def test_captions_of_one_meaning_and_of_unlike_words_by_loops(models, results):
    test, one = models.test, results["config-2"]
    known = (np.random.default_rng(1).random(models.meaning.relevance.shape) < 0.3).astype(float)
    models = across.Models(models.runs, test, models.meaning._replace(relevance=known))
    text, points = one.rows[0].inputs.text, one.embeddings()[0]["captions"]
    pictures = text.drawing.lazy(text.codes("test")).take(np.arange(test.n_captions)).numpy().astype(float)
    words, alike = [set(caption.lower().rstrip(".").split()) for caption in test.captions], []
    for a, b in product(range(test.n_captions), repeat=2):
        images = test.image_of_caption[[a, b]]
        common = len(words[a] & words[b]) / len(words[a] | words[b])
        both = known[images[0], b] == known[images[1], a] == 1
        if test.group_of_caption[a] != test.group_of_caption[b] and common < 0.15 and both:
            alike.append((a, b))
    near = [np.mean([np.linalg.norm(of[a] - of[b]) for a, b in alike]) for of in (points, pictures)]
    found = models.alike_captions_lie_near(results)
    pairs = np.random.default_rng(0).integers(0, test.n_captions, (2, across.MOST))
    far = models._unlike_words(pairs)
    shares = [len(words[a] & words[b]) / len(words[a] | words[b]) for a, b in far]
    assert max(shares) < 0.15 and (test.group_of_caption[far[:, 0]] != test.group_of_caption[far[:, 1]]).all()
    means = [np.mean([np.linalg.norm(of[a] - of[b]) for a, b in far]) for of in (points, pictures)]
    nearer = [1 - one / mean for one, mean in zip(near, means, strict=True)]
    assert found[0].difference == pytest.approx(nearer[0], rel=1e-4)
    assert found[1].difference == pytest.approx(nearer[0] - nearer[1], rel=1e-4)
    nobody = models.meaning._replace(relevance=np.zeros_like(known))
    assert across.Models(models.runs, test, nobody).alike_captions_lie_near(results) == []


def test_only_models_that_are_close_can_change_places(models, results, monkeypatch):
    sums = {"a": 200.0, "b": 210.0, "c": 190.0, "d": 214.0, "e": 60.0, "f": 65.0}
    meant = {"a": 300.0, "b": 320.0, "c": 290.0, "d": 310.0, "e": 400.0, "f": 90.0}
    table = pd.DataFrame({"R-sum": sums})
    monkeypatch.setattr(models, "measures", lambda digits: table)
    found = {"rsum": sums, "semantic_rsum": meant}
    monkeypatch.setattr(models, "sampled", lambda measure, n: pd.DataFrame([found[measure]] * 3))
    (item,) = models.order_changes(results)
    # a is within 15 points of b, c and d, which make six pairs, one of them turned.
    assert item.difference == pytest.approx(0.9 - (5 - 1) / 6) and item.name.endswith("of 4")
    table = table.loc[["a", "e"]]
    assert models.order_changes(results) == []


def test_the_gap_is_closed_by_every_measure_of_meaning(models, results):
    table = models.measures(9)
    gaps = 1 - table.loc[BEST] / table.loc[models.best_other]
    found = {item.name: item.difference for item in models.semantic_recall_closes_gap(results)}
    assert found == pytest.approx({
        f"gap closed by {name}": 100 * (gaps["R-sum"] - gaps[name]) for name in list(table)[1:]
    })
    assert len(found) == 3


def test_differences_of_models_are_those_of_their_measures(models, results):
    table = models.measures(9)["R-sum"]
    best = table.drop(["One network, standard", BEST]).max()
    (gap,) = models.one_network_comparable(results)
    assert gap.difference == pytest.approx((table[BEST] - best) / 6)
    assert gap.low <= gap.difference <= gap.high
    image, text = models.recall_is_low(results)
    for item, side in ((image, "image_query"), (text, "text_query")):
        pair = (models.graded[name].value("recall@1", side) for name in ("Structure-preserving", BEST))
        assert item.difference == pytest.approx(np.subtract(*pair))


def test_missed_answers_are_right_and_of_other_groups(models, results, capsys):
    rows, sums = models.missed(results["config-2"]).rows, {}
    for name, run in models.runs.items():
        sums[name] = run.metrics["val"]["rsum"]
    best, test, own = max(sums, key=sums.get), models.test, results["config-2"]
    assert capsys.readouterr().out == f"answers of: {best}\n" and min(sums.values()) < sums[best]
    assert len({lines[0] for _, (_, lines), _ in rows}) == len(rows)
    for (shown, _), (_, (said, *_)), (written_for, _) in rows:
        captions = {f"“{caption}”": place for place, caption in enumerate(test.captions)}
        (image,) = (i for i in range(test.n_images) if own.picture(i).tobytes() == shown.tobytes())
        caption = models.scores[best][image].argmax()
        assert test.captions[caption] == said.strip("“”") and models.meaning.relevance[image, caption] == 1
        assert test.group_of_image[image] != test.group_of_caption[captions[said]]
        assert own.picture(test.image_of_caption[caption]).tobytes() == written_for.tobytes()


def test_agreement_by_loops(models):
    test, relevance, scores = models.test, models.meaning.relevance, models.scores[BEST]
    table, right = models.agreement(9), []
    for image in range(test.n_images):
        for caption in np.argsort(-scores[image], kind="stable"):
            if test.group_of_caption[caption] != test.group_of_image[image]:
                right.append(relevance[image, caption] == 1)
                break
    assert table.loc[BEST, "wrong but right, image query"] == pytest.approx(100 * np.mean(right))
    pairs = [
        (scores[i, j], relevance[i, j])
        for i in range(test.n_images)
        for j in range(test.n_captions)
        if test.group_of_image[i] != test.group_of_caption[j]
    ]
    expected = pd.DataFrame(pairs).corr("spearman").iloc[0, 1]
    assert table.loc[BEST, "Spearman's ρ"] == pytest.approx(expected)
    half, others = models.false_matches_are_right({}), models.false_matches_beat_others({})
    share = 100 * np.mean([value == 1 for _, value in pairs])
    assert half[0].difference - others[0].difference == pytest.approx(share - 50)


def test_where_few_pairs_are_judged_the_first_judged_one_counts(models, results):
    test, random = models.test, np.random.default_rng(3)
    value = np.where(random.random((test.n_images, test.n_captions)) < 0.2, 1.0, np.nan)
    value[random.random(value.shape) < 0.5] *= 4
    value[:2] = np.nan  # two images of which nobody judged a pair
    image, caption = np.nonzero(~np.isnan(value))
    pairs = image, caption, value[image, caption]
    few = across.Models(models.runs, test, models.meaning._replace(pairs=pairs, right_from=3.0))
    expected = []
    for one in range(test.n_images):
        order = np.argsort(-models.scores[BEST][one], kind="stable")
        other = test.group_of_caption[order] != test.group_of_image[one]
        said = [value[one, j] for j in order[other] if not np.isnan(value[one, j])]
        expected += [said[0] >= 3] if said else []
    assert len(expected) == test.n_images - 2 and 0 < sum(expected) < len(expected)
    share = pytest.approx(100 * np.mean(expected))
    assert few.agreement(9).loc[BEST, "wrong but right, image query"] == share
    assert few.false_matches_are_right(results)[0].difference + 50 == share


def test_coco_takes_the_lists_of_cxc_and_eccv_caption(models, results, monkeypatch):
    test, listed = models.test, {"cxc": [(0, 7)], "eccv": [(0, 7), (3, 2)]}

    def pairs(source, images, captions):
        assert images.tolist() == list(range(100, 100 + test.n_images))
        rows, columns = zip(*listed[source], strict=True)
        return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(images), len(captions)))

    monkeypatch.setattr(across, "extended_pairs", pairs)
    monkeypatch.setattr(across, "coco_caption_ids", lambda root, split: np.arange(test.n_captions))
    ids = tuple(str(100 + image) for image in range(test.n_images))
    found = across.meaning_of("coco", "coco", replace(test, image_ids=ids))
    assert sorted(zip(*found.relevance.nonzero(), strict=True)) == [(0, 7), (3, 2)]
    # Nothing is judged wrong: no share of right answers, and no correlation.
    made = across.Models(models.runs, test, found)
    assert made.agreement().shape == (len(made.runs), 0)
    assert list(made.measures()) == ["R-sum", "semantic R-sum", "nDCG@10", "mAP@R"]
    assert set(models.claims()) - set(made.claims()) == {
        "false_matches_are_right", "false_matches_beat_others", "similarity_follows_people"
    }  # fmt: skip
    assert made.semantic_recall_closes_gap(results)


def test_where_nothing_is_known_it_is_said_and_nothing_is_trained(study, results, capsys):
    never = {"never": ("a paper", "a row", None)}  # could not be run
    with pytest.raises(DataError, match="flickr30k has no judgements"):
        across.meaning_of("flickr30k", "somewhere", results["standard"].split())
    unknown = SimpleNamespace(parameters=replace(study.parameters, dataset="flickr30k"))
    found = across.models(unknown, results, never)
    assert capsys.readouterr().out.startswith("right in meaning: flickr30k has no judgements of pairs")
    assert found.measures() is found.claims() is found.order() is None
    not_asked = SimpleNamespace(parameters=replace(study.parameters, tables=("1", "2")))
    assert not across.models(not_asked, results, never) and not capsys.readouterr().out


@pytest.mark.parametrize(
    ("profile", "dataset"),
    [
        ("smoke", "picturebook"), ("quick", "picturebook"), ("quick", "coco"), ("full", "flickr8k"),
        ("paper", "coco"),
    ],
)  # fmt: skip
def test_the_models_of_other_papers_are_rows_of_their_notebooks(profile, dataset, tmp_path):
    given = {"dataset": dataset, "data_root": str(tmp_path), "profile": profile, "device": "cpu"}
    others = defined("single_network", **given)["others"]
    assert across.STRUCTURE in others
    own = {paper: defined(paper, **given)["rows"] for paper, *_ in others.values()}
    for name, (paper, key, one) in others.items():
        assert one == own[paper][key], name


def test_embeddings_of_any_length_are_compared_by_their_angle(tmp_path):
    images, captions = np.diag([1.0, 9.0]), np.array([[3.0, 1.0], [0.1, 2.0], [0.0, 0.0]])
    run = Run(tmp_path)
    run.save_arrays("embeddings-test.npz", images=images, captions=captions)
    lengths = [10**0.5, (0.01 + 4) ** 0.5]
    expected = [[3 / lengths[0], 0.1 / lengths[1], 0], [1 / lengths[0], 2 / lengths[1], 0]]
    assert scores_of(run) == pytest.approx(np.array(expected))
