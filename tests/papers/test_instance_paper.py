"""The Instance Loss paper: what its notebook trains, what comes of it, and how its claims are measured."""

import json
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from notebook_source import defined, sources, trained
from one_word_less import word_ablation
from PIL import Image
from safetensors import safe_open

from imtext.data.sampling import group_batches
from imtext.errors import DataError, RunError
from imtext.experiment import Absent, Instance, Results, inputs_of
from imtext.experiment import study as study_module
from imtext.experiment.compute import MODEL, run_one
from imtext.experiment.encoder import load
from imtext.experiment.results import drawn
from imtext.papers import galleries, instance_loss
from imtext.publish.results import rows_of
from imtext.retrieval import evaluate

PAPER = instance_loss.PAPER
TINY = {"recipe": {"epochs": 2}, "data": {"train": 24, "val": 12, "test": 12}}
TINY |= {name: {"data": {"train": 10, "val": 4, "test": 6}} for name in ("persons1", "persons2")}
TINY |= {name: {"recipe": {"epochs": 1}} for name in ("stage2",)}


@pytest.fixture(scope="module")
def smoke():
    return defined("instance_loss")


@pytest.fixture(scope="module")
def full():
    return defined("instance_loss", profile="full", dataset="flickr8k", data_root="x")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Study, rows and results of the notebook at its smallest."""
    with trained("instance_loss", tmp_path_factory.mktemp("instance"), TINY) as made:
        yield made


# What is trained


def test_the_notebook_says_what_is_trained():
    text = "\n".join(sources("instance_loss"))
    for said in ("Recipe(240, 0.1, 32", "weights=(0.0, 1.0, 1.0)", "margin=1.0", "dropout=0.75", "dim=2048"):
        assert said in text, said


def test_the_paper_profile_takes_the_released_choices_where_the_paper_is_silent():
    for dataset, epochs, bias in (("flickr30k", 240, True), ("coco", 90, False), ("cuhk_pedes", 180, True)):
        names = defined("instance_loss", profile="paper", dataset=dataset, data_root="x")
        first, second = ("persons1", "persons2") if dataset == "cuhk_pedes" else ("stage1", "stage2")
        one, two = names["bases"][first], names["bases"][second]
        assert (one.recipe.epochs, one.loss.bias, two.loss.bias) == (epochs, bias, bias)
        assert one.network.all_positions and two.loss.negatives == "released" and two.loss.candidates == 256
        assert (one.text.length, one.image.fit) == ((56, "squash") if first == "persons1" else (32, "cover"))
        assert (two.loss.weights, two.image.fixed_norm, two.image.crops) == ((1.0, 1.0, 1.0), True, 2)


@pytest.mark.parametrize(
    ("dataset", "each", "images"), [("flickr30k", 5, 1), ("coco", 5, 1), ("cuhk_pedes", 2, 3)]
)
def test_an_epoch_of_the_paper_profile_is_a_pass_over_the_images(dataset, each, images):
    bases = defined("instance_loss", profile="paper", dataset=dataset, data_root="x")["bases"]
    groups = np.repeat(np.arange(640), each * images)
    for name in ("persons1", "persons2") if images > 1 else ("stage1", "stage2"):
        recipe = bases[name].recipe
        batches = group_batches(groups, recipe.batch_size, 0, 0, per_group=recipe.captions_per_group)
        assert len(batches) == 640 * images / 32


def test_rows_differ_by_what_they_say(smoke, full):
    rows, one = smoke["rows"], smoke["rows"]["instance-1"]
    for key, row in [*rows.items(), *full["rows"].items()]:
        for start in row.start:
            assert (start.network, start.data) == (row.network, row.data), key
            assert start.image == row.image or start.image.backbone == row.image.backbone, key
        assert bool(row.start) == (key.endswith("-2") or "-from-" in key or key == "full-small-margin")
    assert rows["ranking-2"].start == (rows["ranking-1"],) and rows["full-2"].start == (one,)
    assert rows["start-1"] == one
    weights = {key: rows[key].loss.weights for key in ("ranking-1", "instance-1", "full-2")}
    assert list(weights.values()) == [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)]
    assert rows["random-init"] == one.but(text={"start": False})
    assert rows["left-alignment"] == one.but(loss={"shift": False})
    assert rows["classes-3000"].loss.class_share == 3_000 / 113_287


def test_rows_of_ours_differ_by_what_they_say(full):
    rows, one, ranking = full["rows"], full["rows"]["instance-1"], full["rows"]["small-margin"]
    assert rows["two-classifiers"] == one.but(loss={"shared": False})
    assert rows["both-1"] == ranking.but(loss={"weights": (2.0, 1.0, 1.0), "negatives": "all"})
    for key, start in (("instance", one), ("ranking", ranking)):
        assert rows[f"ranking-from-{key}"] == ranking.but(start=(start,), recipe={"epochs": 60})
    at_once, two = rows["all-at-once"], rows["both-2"]
    assert at_once.recipe.epochs == two.start[0].recipe.epochs == 120
    assert replace(two, recipe=at_once.recipe, start=()) == at_once


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_each_image_cnn_of_the_paper_has_its_place(profile):
    rows = defined("instance_loss", profile=profile, dataset="flickr30k", data_root="x")["rows"]
    names = [rows[key].image.backbone for key in ("vgg19-1", "start-1", "resnet152-1")]
    assert len(set(names)) == 3
    assert profile == "quick" or names == ["vgg19", "resnet50", "resnet152"]
    assert [rows[key].network.depth for key in ("resnet152-1", "text50-1")] == [152, 50]
    assert rows["resnet152-1"].said.endswith("text 152")


@pytest.mark.parametrize(("dataset", "persons"), [("flickr30k", False), ("cuhk_pedes", True)])
def test_a_dataset_fills_the_rows_it_can(dataset, persons):
    names = defined("instance_loss", dataset=dataset, data_root="x")
    filled = {key for key, row in names["rows"].items() if not names["study"].lacks(row)}
    assert filled == {key for key in names["rows"] if key.startswith("persons") == persons}


def test_table_three_has_a_part_for_each_dataset(made):
    lines = made.study._lines(PAPER.tables["3"], made.results)
    assert set(lines) == {"flickr30k_text50", "flickr30k_text152"}
    coco = Results({key: copy(one) for key, one in made.results.items()})
    for one in coco.present.values():
        one.origin = one.origin | {"dataset": "coco"}
    assert set(made.study._lines(PAPER.tables["3"], coco)) == {"coco_text50", "coco_text152"}


def test_pseudo_classes_are_clusters_of_images():
    owners = np.repeat(np.arange(12), 2)
    heaps = np.repeat(np.eye(3, 4, dtype=np.float32), 4, axis=0)  # twelve images in three clear heaps
    heaps = heaps + np.linspace(0, 0.01, 12, dtype=np.float32)[:, None]
    splits = {"train": SimpleNamespace(image_of_caption=owners)}
    source = SimpleNamespace(groups=owners, data=SimpleNamespace(seed=0), splits=splits)
    image = SimpleNamespace(train=lambda: SimpleNamespace(views=heaps[None]))
    inputs = SimpleNamespace(source=source, image=image)
    classes = Instance(class_share=3 / 12).classes(inputs)
    assert classes.shape == (24,) and len(np.unique(classes)) == 3
    assert (classes.reshape(3, 8) == classes.reshape(3, 8)[:, :1]).all()
    assert (Instance(class_share=3 / 12).classes(inputs) == classes).all()
    assert len(np.unique(Instance(class_share=1e-6).classes(inputs))) == 2
    assert (Instance().classes(inputs) == owners).all()


# What comes of it


def test_every_row_of_every_table_has_numbers(made):
    for number, table in PAPER.tables.items():
        lines = made.study._lines(table, made.results)
        assert len(lines) >= len([row for row in table.rows if row.own]) / 2
        assert "smoke" in made.study.compare(number, made.results)._repr_html_()
    for one in made.results.present.values():
        assert np.isfinite(one.metrics()["text_query_r10"]).all()


def test_table_seven_ranks_any_picture_of_the_person(made):
    result = made.results["persons-resnet50-2"]
    persons = result.split()
    assert persons.name == "picturebook_pedestrians"
    assert persons.n_images > len(np.unique(persons.group_of_image)) == 6
    arrays = result.embeddings()[0]
    again = evaluate(**arrays, group_of_image=persons.group_of_image)
    line = result.metrics().loc[0]
    assert line["text_query_r5"] == again.text_query.r5
    assert line["text_query_median_rank"] == again.text_query.median_rank
    assert again.text_query.r5 >= evaluate(**arrays).text_query.r5


def test_table_eight_has_folds_and_the_whole_split(made):
    result = made.results["full-2"]
    assert result.metrics()["rsum"][0] == evaluate(**result.embeddings()[0]).rsum
    # Twelve images do not divide by five: the folds are the whole.
    assert result.metrics("test_folds")["rsum"][0] == result.metrics()["rsum"][0]


def shapes(run):
    with safe_open(run.dir / MODEL, "pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def test_fewer_classes_mean_a_smaller_classifier_and_stage_one_has_no_cnn(made):
    found = {key: shapes(one.runs[0]) for key, one in made.results.present.items()}
    classes = [
        found[key]["instance.classifier.weight"][0] for key in ("classes-3000", "classes-10000", "instance-1")
    ]
    assert classes == [2, 2, 24]
    assert not any(name.startswith("net.backbone.") for name in found["instance-1"])
    assert any(name.startswith("net.backbone.") for name in found["full-2"])


def test_stage_two_goes_on_from_network_and_classifier(made):
    still = made.rows["instance-2"].but(recipe={"lr": 1e-12})
    row = made.study.row("still", still, 0, {made.rows["instance-1"]: "instance-1"})
    after, before = run_one(row, made.study.parameters.runs_dir), made.results["instance-1"].runs[0]
    with safe_open(after.dir / MODEL, "pt") as two, safe_open(before.dir / MODEL, "pt") as one:
        for name in ("instance.classifier.weight", "net.text.word.weight"):
            assert torch.allclose(two.get_tensor(name), one.get_tensor(name), atol=1e-6)


@pytest.mark.parametrize("key", ["instance-1", "full-2", "resnet152-1", "persons-vgg16-2"])
def test_a_row_gives_the_stored_embeddings_again(made, key):
    run = made.results[key].runs[0]
    encoder, stored = load(run.dir), run.load_arrays("embeddings-test.npz")
    captions = [encoder.test.captions[i] for i in range(5)]
    assert np.allclose(encoder.embed_captions(captions), stored["captions"][:5], atol=1e-4)
    files = [encoder.test.image_path(i) for i in range(3)]
    assert np.allclose(encoder.embed_images(files), stored["images"][:3], rtol=1e-3, atol=1e-3)
    scores = encoder.scores_for_captions(captions)
    assert np.abs(scores).max() <= 1 + 1e-6  # cosines, though the embeddings are of any length
    with pytest.raises(DataError, match="knows no word"):
        encoder.embed_captions(["qqqq zzzz"])
    with pytest.raises(RunError, match="not a finished run"):
        load(run.dir.parent)


def test_a_row_of_released_choices_trains_and_is_found_again(made):
    plain = made.rows["instance-1"]
    loss = {"negatives": "released", "candidates": 6, "weights": (2.0, 1.0, 0.1)}
    row = plain.but(network={"head": "released", "all_positions": True}, loss=loss)
    run = run_one(made.study.row("released", row, 0), made.study.parameters.runs_dir)
    assert np.isfinite(pd.read_csv(run.dir / "curves.csv")["loss"]).all()
    encoder = load(run.dir)
    captions = [encoder.test.captions[i] for i in range(5)]
    assert np.allclose(encoder.embed_captions(captions), encoder.captions[:5], rtol=1e-3, atol=1e-3)
    # The sum over some twenty places is not the feature at one of them.
    encoder.net.all_positions = False
    assert not np.allclose(encoder.embed_captions(captions), encoder.captions[:5], rtol=0.5)


# Claims


def test_verdicts_name_only_claims_whose_rows_ran(made):
    found = {verdict.claim.id: verdict for verdict in made.study.verdicts(made.results)}
    here = {name for name, claim in PAPER.claims.items() if made.results.has(*rows_of(claim))}
    assert set(found) == here and len(here) > 15
    given = {"runs_dir": str(made.study.parameters.runs_dir), "overrides": TINY, "device": "cpu"}
    alone = defined("instance_loss", tables="6", **given)
    results = alone["study"].run(alone["rows"])
    assert {verdict.claim.id for verdict in alone["study"].verdicts(results)} == {
        "position_shift_helps",
        "position_shift_adds_five",
        "image_path_converges_first",
    }


def embedded(**seeds):
    """Results of which only embeddings of the validation split are known, a list a row."""
    rows = {key: SimpleNamespace(embeddings=lambda split, own=own: own) for key, own in seeds.items()}
    return Results({key.replace("_", "-"): one for key, one in rows.items()})


def test_features_correlate_less_by_absolute_value():
    random = np.random.default_rng(0)
    features = random.normal(size=(30, 1, 8)) + 2 * random.normal(size=8)
    seeds = {"instance_1": [0, 0, 0], "ranking_1": [3, -3, 3]}
    rows = {
        key: [{"images": random.normal(size=(30, 6)) + shift * random.normal(size=6)} for shift in own]
        for key, own in seeds.items()
    }
    results = embedded(**rows)
    image = SimpleNamespace(dim=8, test=lambda split: features)
    for one in results.values():
        one.rows = [SimpleNamespace(inputs=SimpleNamespace(image=image))]
    found = instance_loss.features_decorrelate(results, count=20)

    chosen = drawn(30, 20)

    def alike(points):
        pairs = [(i, j) for i in chosen for j in chosen if i != j]
        return np.mean([abs(np.corrcoef(points[i], points[j])[0, 1]) for i, j in pairs])

    after = {key: np.array([alike(one["images"]) for one in own]) for key, own in rows.items()}
    assert found[0].per_seed == pytest.approx(alike(features[:, 0]) - after["instance_1"])
    assert found[1].per_seed == pytest.approx(after["ranking_1"] - after["instance_1"])
    assert all(0 < item.low < item.difference < item.high for item in found)


def test_the_full_model_is_held_against_the_best_of_the_others():
    random = np.random.default_rng(1)

    def near(noise):
        points = random.normal(size=(40, 5))
        rows = {"images": points, "captions": points + noise * random.normal(size=points.shape)}
        return [rows | {"image_of_caption": np.arange(40)}]

    noise = {"full_2": 0.4, "instance_2": 1.5, "ranking_2": 3.0, "small_margin": 0.1, "classes_3000": 0.01}
    results = embedded(**{key: near(own) for key, own in noise.items()})
    (found,) = instance_loss.overlap_full_below_others(results)
    assert found.name == "difference in S, small-margin" and found.difference < 0
    (found,) = instance_loss.ranking_leaves_larger_gap(results)
    assert found.difference < 0  # the instance loss of these draws is nearer
    del results["small-margin"]
    (found,) = instance_loss.overlap_full_below_others(results)
    assert found.name == "difference in S, instance-2" and found.difference > 0


# Figures


def test_figures_have_their_data(made):
    results = made.results
    before, (after,) = instance_loss.correlations(results["instance-1"])
    assert before.shape == after.shape == (12, 12)
    rows = {"instance-1": "one", "nothing": "two", "ranking-1": "three"}
    maps = instance_loss.correlation_maps(results, rows)
    assert list(maps) == ["before Stage I", "one", "three"] and (maps["one"] == after).all()
    other = ~np.eye(12, dtype=bool)
    for name, line in instance_loss.alikeness(maps).iterrows():
        r, strengths = maps[name], np.linalg.eigvalsh(maps[name])
        rank = strengths.sum() ** 2 / (strengths**2).sum()
        assert line.tolist() == pytest.approx([r[other].mean(), abs(r)[other].mean(), rank], abs=0.006)
    three = results["ranking-2"], results["instance-2"], results["full-2"]
    table = instance_loss.overlaps(*three, titles=("a", "b", "c"))
    assert list(table.index) == ["a", "b", "c"] and table["S"].between(0, 1).all()
    assert instance_loss.separations(*three, titles=("a", "b", "c")).axes
    labels = {"instance-1": "one", "left-alignment": "two", "nothing": "three"}
    given = results, labels, {"image_error": "image path", "text_error": "text path"}, "error"
    panels = instance_loss.curves(*given).axes
    for axes, column in zip(panels, ("image_error", "text_error"), strict=True):
        errors = results["instance-1"].curves()[0][column]
        lines = axes.get_lines()
        assert len(lines) == 2 and lines[0].get_ydata() == pytest.approx(errors.to_numpy())
        assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > errors.max()  # all of it is seen
    # These rows trained for too few epochs to be validated on the way.
    assert instance_loss.curves(results, labels, {"validation": ""}, "R-sum") is None
    frame = pd.DataFrame({"epoch": [9, 10, 20], "validation": [np.nan, 5, 7]})
    published = {"long": SimpleNamespace(curves=lambda: [frame]), "old": SimpleNamespace(curves=list)}
    figure = instance_loss.curves(published, {"old": "a", "long": "b"}, {"validation": ""}, "R-sum")
    (line,) = figure.axes[0].get_lines()
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([10, 20], [5, 7])
    assert instance_loss.overlaps(Absent(), titles=("a",)) is None


def test_groups_and_galleries_show_what_there_is(made):
    alike = instance_loss.alike(made.study, made.rows["instance-1"], pairs=1)
    labels = [row[-1][1][0] for row in alike.rows]
    assert len(labels) == len(set(labels)) == 2
    persons = instance_loss.samples(made.study, made.rows["persons-resnet50-1"], count=2)
    train = inputs_of(made.rows["persons-resnet50-1"], made.study.places).source.splits["train"]
    counts = np.unique(train.group_of_image, return_counts=True)[1][:2]
    assert [len(row) - 1 for row in persons.rows] == np.minimum(counts, 4).tolist()
    nobody = made.rows["persons-resnet50-1"].but(data={"dataset": "flickr30k"})
    assert instance_loss.samples(made.study, nobody) is None
    found = galleries.found_images(made.results["persons-resnet50-2"], count=2, k=6)
    assert [len(row) for row in found.rows] == [7, 7, 1]


def test_queries_are_taken_by_what_they_show():
    captions = ("A dog.", "The dog runs.", "Red!", "No.", "a red dog", "x", "red", "red dog", "dog")
    owners = np.repeat(np.arange(3), 3)
    data = SimpleNamespace(captions=captions, image_of_caption=owners, n_images=3)
    result = SimpleNamespace(split=lambda: data)
    assert galleries.with_word(result, "dog", 2, least=2) == [0, 2]
    assert galleries.with_word(result, "red", 3, least=2) == [2, 0, 1]


def test_every_word_of_the_test_split_is_left_out_once(made):
    result = made.results["full-2"]
    drops, encoder = instance_loss.word_drops(result), load(result.runs[0].dir)
    text, captions = encoder.inputs.text, result.split().captions
    codes, lengths = text.vocabulary.encode(captions, text.part.length)
    assert len(drops) == lengths[lengths > 1].sum()
    assert set(drops["kind"]) == {"content", "function"}
    words = text.vocabulary.decode(codes[0][: lengths[0]])
    one = word_ablation(words, encoder.images[0], encoder.embed_captions)
    assert np.allclose(drops[drops["caption"] == 0]["drop"], one, atol=1e-5)
    assert instance_loss.word_classes(result).axes
    falls = instance_loss.word_falls(result, count=2).axes
    assert len(falls) == 4 and {axes.get_ylabel() for axes in falls[1::2]} == {"fall of the cosine"}
    heights, said = falls[1].patches, [label.get_text() for label in falls[1].get_xticklabels()]
    images = [encoder.images[i] for i in encoder.image_of_caption]
    found = [
        word_ablation(said, images[j], encoder.embed_captions)
        for j in range(len(codes))
        if text.vocabulary.decode(codes[j][: lengths[j]]) == said
    ]
    assert any(np.allclose([bar.get_height() for bar in heights], one, atol=1e-5) for one in found)
    bold = [label.get_fontweight() == "bold" for label in falls[1].get_xticklabels()]
    assert sum(bold) == 3 and min(np.extract(bold, found[0])) >= max(np.extract(~np.array(bold), found[0]))


# Words that vectors do not know


class Trained(Exception):
    """Training would have begun."""


def own_captions(folder, captions, monkeypatch):
    """The study and rows of the notebook on captions of one's own."""
    entries = []
    for number, caption in enumerate(captions):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
        split = "train" if number < 8 else "val" if number < 10 else "test"
        entries.append({"image": f"{number}.png", "caption": caption, "split": split})
    (folder / "captions.json").write_text(json.dumps(entries), encoding="utf-8")

    def training(*_, **__):
        raise Trained

    monkeypatch.setattr(study_module, "finished", training)
    given = {"dataset": "own", "data_root": str(folder), "runs_dir": str(folder / "runs"), "tables": "2"}
    return defined("instance_loss", **given)


def test_vectors_that_know_no_word_are_an_error_before_training(tmp_path, monkeypatch):
    chinese = [f"一只{animal}在雪地里奔跑" for animal in "狗猫鸟马牛羊猪鸡鸭鹅鱼虎"]
    names = own_captions(tmp_path, chinese, monkeypatch)
    with pytest.raises(DataError, match="glove.* none of the words asked for; .* blanks between") as error:
        names["study"].run(names["rows"])
    assert "\n" not in str(error.value) and not (tmp_path / "runs").exists()  # nothing was decoded


FEW = "note: of the 32 words of the training captions 0 occur once, and 8 have a vector"


@pytest.mark.parametrize(("caption", "said"), [("{} vvkqz qqpxj a", [FEW]), ("A dog {} runs home.", [])])
def test_vectors_that_know_few_words_are_said(tmp_path, monkeypatch, capsys, caption, said):
    captions = [caption.format(word) for word in ("xqwzj", "zzqwk", "kkqwz")] * 4
    names = own_captions(tmp_path, captions, monkeypatch)
    capsys.readouterr()
    with pytest.raises(Trained):
        names["study"].run(names["rows"])
    assert [line.split(";")[0] for line in capsys.readouterr().out.splitlines()] == said
