"""The Instance Loss study at its smallest: every row, shared runs, resuming, encoding, publishing."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imtext.errors import DataError, RunError
from imtext.report import paper_claims, read_published
from imtext.retrieval import evaluate
from imtext.studies import instance_loss, instance_rows, scales
from imtext.studies.ablation import word_ablation
from imtext.studies.encoder import TrainedEncoder
from imtext.studies.preparation import DataSpec
from imtext.studies.running import run_one

TINY = replace(
    scales.SMOKE,
    data={"train": 24, "val": 12, "test": 12, "size": 64, "crop": 64, "views": 1},
    stage1=replace(scales.SMOKE.stage1, epochs=2),
    without=(),
    jobs=1,
)
TINY_PERSONS = replace(
    TINY, data={**TINY.data, "train": 10, "val": 4, "test": 6, "fit": "squash", "length": 56}
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """All rows, trained once for this file."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scales, "SMOKE", TINY)
        patch.setattr(scales, "PERSONS_SMOKE", TINY_PERSONS)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        made = instance_loss.InstanceLossStudy(profile="smoke", device="cpu", runs_dir=folder / "runs")
        assert made.runs
        yield made


def test_every_row_of_every_table_is_there(study):
    for number in "12345678":
        ours = study.table(number)
        assert list(ours.index) == list(instance_rows.rows_of(number))
        assert np.isfinite(ours["text_query_r10"]).all()
        page = study.compare(number).to_html()
        assert "smoke" in page
        assert ("ran here" in page) == (number in "13"), number


def test_table_seven_ranks_any_picture_of_the_person(study):
    persons = study.persons.splits["test"]
    assert persons.n_images > len(np.unique(persons.group_of_image)) == 6
    arrays = study.embeddings("persons-resnet50-2", "test")
    again = evaluate(**arrays, group_of_image=persons.group_of_image)
    line = study.table(7).loc["ours_resnet50_stage2"]
    assert line["text_query_r5"] == again.text_query.r5
    assert line["text_query_median_rank"] == again.text_query.median_rank
    assert again.text_query.r5 >= evaluate(**arrays).text_query.r5


def test_table_eight_has_folds_and_the_whole_split(study):
    ours = study.table(8)
    arrays = study.embeddings("full-2", "test")
    assert ours.loc["5k_ours_resnet50_stage2", "rsum"] == evaluate(**arrays).rsum
    # Twelve images do not divide by five: the folds are the whole.
    assert ours.loc["1k_ours_resnet50_stage2", "rsum"] == ours.loc["5k_ours_resnet50_stage2", "rsum"]


def test_rows_that_are_one_network_share_a_run(study):
    shared = [
        study.table(number).loc[row, "rsum"]
        for number, row in (("2", "instance_stage1"), ("5", "word2vec_init"), ("6", "position_shift"))
    ]
    assert len(set(shared)) == 1
    assert (
        study.table(1).loc["ours_resnet152_stage1", "rsum"] == study.table(3).loc["flickr30k_text152", "rsum"]
    )
    assert len(list((study.parameters.runs_dir / "instance_loss").glob("*-*/metrics.json"))) == 20


def test_fewer_classes_mean_a_smaller_classifier(study):
    from safetensors import safe_open

    def classes(slug):
        with safe_open(study.runs[slug][0].dir / "model.safetensors", "pt") as file:
            return file.get_slice("instance.classifier.weight").get_shape()[0]

    assert [classes(slug) for slug in ("classes-3000", "classes-10000", "instance-1")] == [2, 2, 24]


def test_a_second_study_trains_nothing(study, monkeypatch):
    monkeypatch.setattr("imtext.studies.experiment._compute", lambda *_: pytest.fail("trained again"))
    again = instance_loss.InstanceLossStudy(profile="smoke", device="cpu", runs_dir=study.parameters.runs_dir)
    assert again.table("2").equals(study.table("2"))


def test_stage_two_moves_the_backbone_and_stage_one_has_none(study):
    from safetensors import safe_open

    def names(slug):
        with safe_open(study.runs[slug][0].dir / "model.safetensors", "pt") as file:
            return set(file.keys())

    assert not any(name.startswith("net.backbone.") for name in names("instance-1"))
    assert any(name.startswith("net.backbone.") for name in names("full-2"))


def test_figures_have_their_data(study):
    before, after = study.correlations()
    assert before.shape == after.shape == (12, 12)
    assert [title for title, _ in study.separations()] == [
        "Ranking loss alone",
        "Instance loss alone",
        "Full model",
    ]
    curves = study.curves()
    assert {"epoch", "image_error", "text_error", "run"} <= set(curves.columns)
    example = study.ablations(count=1)[0]
    assert len(example["drops"]) == len(example["words"])
    assert example["image"].shape == (64, 64, 3) and example["image"].dtype == np.uint8


def test_figures_of_groups_and_galleries_have_their_data(study):
    alike = study.alike(pairs=1)
    assert len(alike["images"]) == len(alike["captions"]) == len(alike["labels"]) == 2
    assert len(set(alike["labels"])) == 2
    persons = study.samples(persons=True, count=2)
    assert all(len(pictures) > 1 for pictures in persons["images"])
    for gallery in (study.image_gallery(count=2), study.image_gallery(persons=True, count=2, k=6)):
        assert [len(row) for row in gallery["results"]] == [len(row) for row in gallery["correct"]]
    assert len(study.caption_gallery(word="dog", count=2)["results"]) == 2


def test_a_dataset_of_persons_alone_fills_its_table(study):
    persons = instance_loss.InstanceLossStudy(
        dataset="picturebook_pedestrians",
        profile="smoke",
        device="cpu",
        runs_dir=study.parameters.runs_dir,
    )
    assert persons.tables == ("7",) and persons.table(7).equals(study.table(7))
    assert "picturebook_pedestrians" in persons.compare(7).to_html() and persons.compare(2) is None
    assert len(set(persons.alike(pairs=1)["labels"])) == 2
    assert persons.describe().shape[0] and persons.samples()["images"] and persons.verdicts()


def test_every_word_of_the_test_split_is_left_out_once(study):
    drops = study.word_drops
    codes, lengths = study.prepared.codes("test")
    assert len(drops) == lengths[lengths > 1].sum()
    assert set(drops["kind"]) == {"content", "function"}
    encoder = TrainedEncoder(study.runs["full-2"][0])
    words = study.prepared.vocabulary.decode(codes[0])
    one = word_ablation(words, encoder.images[0], encoder.embed_captions)
    assert np.allclose(drops[drops["caption"] == 0]["drop"], one, atol=1e-5)


def test_timing_measures_the_networks_of_the_profile(study):
    table = study.timing()
    assert (table[["image path ms", "text path ms"]].iloc[-1] > 0).all()


def test_verdicts_name_only_claims_whose_rows_ran(study):
    assert {verdict.claim.id for verdict in study.verdicts()} == set(paper_claims("instance_loss"))
    alone = instance_loss.InstanceLossStudy(
        profile="smoke", device="cpu", runs_dir=study.parameters.runs_dir, tables="6"
    )
    assert {verdict.claim.id for verdict in alone.verdicts()} == {
        "position_shift_helps",
        "position_shift_adds_five",
        "features_decorrelate",
        "image_path_converges_first",
    }


@pytest.mark.parametrize("slug", ["instance-1", "full-2", "resnet152-1", "persons-vgg16-2"])
def test_encoder_gives_the_stored_embeddings_again(study, slug):
    encoder = TrainedEncoder.load(study.runs[slug][0].dir)
    captions = [encoder.test.captions[i] for i in range(5)]
    assert np.allclose(encoder.embed_captions(captions), encoder.captions[:5], atol=1e-4)
    files = [encoder.test.image_path(i) for i in range(3)]
    assert np.allclose(encoder.embed_images(files), encoder.images[:3], rtol=1e-3, atol=1e-3)


def test_a_row_of_released_choices_trains_and_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("IMTEXT_DATA", str(tmp_path / "data"))
    data = DataSpec(**TINY.data, backbone="efficientnet_lite0", cache=str(tmp_path / "cache"))
    common = {"profile": "smoke", "device": "cpu", "seed": 0}
    plain = instance_rows.experiments(data, TINY, common)["instance-1"]
    options = {"head": "released", "negatives": "released", "candidates": 6, "all_positions": True}
    row = replace(plain, slug="released", weights=(2.0, 1.0, 0.1), **options)
    run = run_one(row, tmp_path / "runs")
    assert np.isfinite(pd.read_csv(run.dir / "curves.csv")["loss"]).all()
    encoder = TrainedEncoder.load(run.dir)
    captions = [encoder.test.captions[i] for i in range(5)]
    assert np.allclose(encoder.embed_captions(captions), encoder.captions[:5], rtol=1e-3, atol=1e-3)
    # The sum over some twenty places is not the feature at one of them.
    encoder.net.all_positions = False
    assert not np.allclose(encoder.embed_captions(captions), encoder.captions[:5], rtol=0.5)


def test_encoder_says_what_is_wrong(study, tmp_path):
    encoder = TrainedEncoder.load(study.runs["instance-1"][0].dir)
    with pytest.raises(DataError, match="knows no word"):
        encoder.embed_captions(["qqqq zzzz"])
    with pytest.raises(RunError, match="not a finished run"):
        TrainedEncoder.load(tmp_path)


def test_published_rows_can_be_read_back(study, tmp_path):
    path = study.publish(tmp_path / "instance_loss.csv")
    published = read_published(path)
    ours, provenance = published.table("2")
    assert ours.loc["full_stage2", "rsum"] == pytest.approx(
        study.table("2").loc["full_stage2", "rsum"], abs=0.01
    )
    assert provenance["dataset"] == "picturebook"


KILLED = textwrap.dedent(
    """
    import json, os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from imtext import progress
    from imtext.studies import experiment, instance_loss, scales
    from imtext.training import loop

    scales.SMOKE = replace(
        scales.SMOKE,
        data={"train": 24, "val": 12, "test": 12, "size": 64, "crop": 64, "views": 1},
        stage1=replace(scales.SMOKE.stage1, epochs=2),
        jobs=1,
    )
    root, moments = Path(sys.argv[1]), sys.argv[2:]

    def attempt(moment):
        def announce(line):
            if moment and moment in line:
                os.kill(os.getpid(), signal.SIGKILL)
        progress.announce = loop.announce = experiment.announce = announce
        where = {"device": "cpu", "runs_dir": root / "killed"}
        study = instance_loss.InstanceLossStudy(profile="smoke", tables="5,6", **where)
        (root / "table.json").write_text(json.dumps([study.table(t).to_dict() for t in "56"]))

    for moment in [*moments, ""]:
        child = os.fork()
        if child == 0:
            attempt(moment)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
)


def test_a_study_killed_again_and_again_ends_with_the_same_tables(study, tmp_path):
    moments = [
        "instance-1, seed 0: epoch 1",
        "instance-1, seed 0: evaluating",
        "left-alignment, seed 0: epoch 2",
    ]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *moments],
        capture_output=True,
        text=True,
        env={**os.environ, "CI": "true"},
    )
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 3 + ["0"], done.stderr
    tables = json.loads((tmp_path / "table.json").read_text())
    for number, table in zip("56", tables, strict=True):
        expected = json.loads(json.dumps(study.table(number).to_dict()))
        assert table == expected
