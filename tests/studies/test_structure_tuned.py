"""The row whose image CNN is trained too: what it starts from, what it writes, and that it can be resumed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imtext.errors import ConfigError, RunError, TrainingError
from imtext.retrieval import evaluate
from imtext.studies import trained
from imtext.studies.preparation import DataSpec, prepare
from imtext.studies.running import run_all, run_one
from imtext.studies.structure_experiment import StructureExperiment, image_features
from imtext.studies.structure_tuned import BACKBONE, TunedExperiment, TunedNetwork
from imtext.studies.trained import MODEL
from imtext.training import Recipe, fit


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    data = DataSpec(train=24, val=12, test=12, size=64, crop=48, cache=cache)
    start = StructureExperiment(
        "plain",
        data,
        "mean",
        Recipe(epochs=2, lr=3e-3, batch_size=60),
        crops=2,
        dim=16,
        hidden=32,
        reduction="mean",
        profile="smoke",
    )
    recipe = Recipe(epochs=2, lr=1e-3, batch_size=12, lr_scale=((BACKBONE, 0.1),), captions_per_group=1)
    return TunedExperiment("plain-tuned", start, recipe)


@pytest.fixture(scope="module")
def runs(row, tmp_path_factory):
    """The folder, the run that the row starts from and its own."""
    folder = tmp_path_factory.mktemp("runs")
    (tuned,) = run_all([row], folder)
    return folder, run_one(row.start, folder), tuned


def weights(run):
    from safetensors.torch import load_file

    return load_file(run.dir / MODEL)


def test_everything_is_written_down(row, runs):
    _, _, run = runs
    assert not (run.dir / "checkpoint.pt").exists()
    assert not list(run.dir.glob("features*"))
    assert len(pd.read_csv(run.dir / "curves.csv")) == 2
    assert run.load_json("source.json")["backbone"] == row.data.backbone
    about = run.load_json("provenance.json")
    assert (about["profile"], about["seed"], about["dataset"]) == ("smoke", 0, "picturebook")
    for split in ("val", "test"):
        arrays = run.load_arrays(f"embeddings-{split}.npz")
        assert run.metrics[split]["rsum"] == evaluate(**arrays).rsum
        np.testing.assert_allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)
        assert len(run.load_arrays(f"ranks-{split}.npz")["text_query"]) == len(arrays["captions"])
    assert f"{split}_folds" in run.metrics


def test_cnn_and_branches_have_both_moved_and_norm_statistics_have_not(row, runs):
    _, start, run = runs
    before, after = weights(start), weights(run)
    fixed = prepare(row.data).backbone().state_dict()
    moved = {name for name, value in fixed.items() if not torch.equal(value, after[f"backbone.{name}"])}
    statistics = [name for name in fixed if "running_" in name]
    assert statistics and not moved & set(statistics)
    assert {name for name, value in fixed.items() if value.dim() == 4} <= moved
    branches = {name: after[f"branches.{name}"] for name in before}
    assert not torch.equal(branches["image_branch.layers.0.weight"], before["image_branch.layers.0.weight"])


def test_without_a_step_it_is_the_row_it_starts_from(row, runs, monkeypatch):
    folder, start, _ = runs
    monkeypatch.setattr(trained, "fit", lambda *_: pd.DataFrame({"epoch": [1], "loss": [0.0]}))
    idle = run_one(replace(row, slug="idle"), folder)
    for split in ("val", "test"):
        first, second = (run.load_arrays(f"embeddings-{split}.npz") for run in (start, idle))
        for side in ("images", "captions"):
            np.testing.assert_allclose(first[side], second[side], atol=1e-5)


def test_a_run_that_broke_off_ends_with_the_same_numbers(row, runs, monkeypatch):
    folder, _, whole = runs
    again = replace(row, slug="broken")

    def one_epoch(fabric, objective, recipe, *rest):
        def until(epoch):
            if epoch == 1:
                raise TrainingError("power cut")
            return rest[0](epoch)

        until.steps = rest[0].steps
        return fit(fabric, objective, recipe, until, *rest[1:])

    with monkeypatch.context() as patch:
        patch.setattr(trained, "fit", one_epoch)
        with pytest.raises(TrainingError, match="power cut"):
            run_one(again, folder)
    (partial,) = (folder / row.study).glob("broken-*.partial")
    assert (partial / "checkpoint.pt").is_file()
    resumed = run_one(again, folder)
    assert resumed.metrics == whole.metrics
    after, before = weights(resumed), weights(whole)
    assert all(torch.equal(after[name], before[name]) for name in before)
    first, second = (pd.read_csv(run.dir / "curves.csv") for run in (resumed, whole))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_the_tuned_features_are_those_of_the_stored_network(row, runs):
    _, _, run = runs
    prepared = prepare(row.data)
    backbone = prepared.backbone()
    net = TunedNetwork(backbone, row.start.network(backbone.dim, row.start.texts(prepared)["val"].shape[1]))
    net.load_state_dict(weights(run))
    net.eval()
    features = image_features(prepared, "test", 2, backbone, run.dir.parent / "features")
    with torch.no_grad():
        images = net.branches.embed_images(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(images, run.load_arrays("embeddings-test.npz")["images"], atol=1e-5)


def test_its_configuration_names_the_row_it_starts_from(row):
    config = row.config()
    assert config["start"] == row.start.config()
    assert config["recipe"]["lr_scale"] == ((BACKBONE, 0.1),)
    assert (config["seed"], config["profile"]) == (0, "smoke")
    assert replace(row, start=replace(row.start, seed=1)).config() != config
    assert row.effort > row.start.effort


def test_weights_of_another_network_and_cca_are_refused(row, runs):
    with pytest.raises(ConfigError, match="not through CCA"):
        replace(row, start=replace(row.start, model="cca"))
    _, start, _ = runs
    with pytest.raises(RunError, match=r"model\.safetensors"):
        replace(row, start=replace(row.start, hidden=8)).compute(start, start)
