"""Rows become runs: once, side by side, also after a kill; rows that were not asked for are absent."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import imtext
from imtext.errors import ConfigError, DataError, RunError
from imtext.experiment import GRU, Absent, Result, compute, none_of_absent
from imtext.experiment.compute import _slot, jobs_here, run_one
from imtext.experiment.results import SIDES, compared
from imtext.report.markup import signed
from imtext.retrieval import evaluate
from imtext.runs import Run
from imtext.search import search

L1 = tiny.PAPER
HINGES = L1.but(loss={"constraint": None})
ROWS = {
    "hinges": HINGES,
    "l1": L1,
    "again": L1.but(loss={"margin": 0.2}),
    "vse": HINGES.but(text={"vectors": None}, network={"text": GRU()}),
    "l1-last": L1.but(network={"text": {"readout": "last"}}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study with the results of its rows under two seeds, and its folder."""
    folder = tmp_path_factory.mktemp("experiment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        study = tiny.study(folder / "runs", seeds=(0, 1))
        yield study, study.run(ROWS), folder


def test_every_row_is_a_run_and_equal_values_are_one(made):
    study, results, folder = made
    assert list(results) == list(ROWS) and results["l1"].seeds == [0, 1]
    assert [run.dir for run in results["again"].runs] == [run.dir for run in results["l1"].runs]
    folders = [path for path in (folder / "runs" / "intra_modal").iterdir() if path.is_dir()]
    assert len(folders) == 2 * (len(ROWS) - 1) and not any(path.suffix == ".partial" for path in folders)
    for run in results["l1"].runs:
        names = {path.name for path in run.dir.iterdir()}
        assert {"curves.csv", "model.safetensors", "vocabulary.json", "words.json", "source.json"} <= names
        assert "checkpoint.pt" not in names


def test_finished_rows_are_taken_as_they_are(made):
    study, results, folder = made
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "intra_modal").rglob("*")}
    again = tiny.study(folder / "runs", seeds=(1,)).run(ROWS)
    assert again["l1"].runs[0].dir == results["l1"].runs[1].dir
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs" / "intra_modal").rglob("*")}


def test_curves_say_every_ten_epochs_what_validation_reaches_and_nothing_changes(made, monkeypatch):
    study, _, folder = made
    row = study.row("ten", HINGES.but(recipe={"epochs": 10}), 0)
    run = run_one(row, folder / "watched")
    (curves,) = Result([row], [run]).curves()
    assert curves["validation"].isna().tolist() == [True] * 9 + [False]
    assert curves["validation"].iloc[-1] == pytest.approx(run.metrics["val"]["rsum"])
    monkeypatch.setattr(compute, "validated", lambda *_: {})
    again = run_one(row, folder / "unseen")
    assert again.metrics == run.metrics


def test_side_by_side_gives_the_same_numbers(made, tmp_path):
    _, results, _ = made
    rows = {key: ROWS[key] for key in ("hinges", "l1")}
    for key, found in tiny.study(tmp_path, jobs=2).run(rows).items():
        assert found.runs[0].metrics == results[key].runs[0].metrics


def test_metrics_and_ranks_are_those_of_the_stored_embeddings(made):
    _, results, _ = made
    for result in results.values():
        for seed, arrays in zip(result.seeds, result.embeddings(), strict=True):
            assert np.allclose(np.linalg.norm(arrays["images"], axis=1), 1, atol=1e-5)
            whole, folds = evaluate(**arrays), evaluate(**arrays, folds=5)
            assert result.metrics().loc[seed].to_dict() == pytest.approx(whole.row())
            assert result.metrics("test_folds").loc[seed].to_dict() == pytest.approx(folds.row())
            place = result.seeds.index(seed)
            assert np.array_equal(result.ranks("text")[place], whole.text_query_ranks)
            assert np.array_equal(result.ranks("image", "test_folds")[place], folds.image_query_ranks)
    assert results.summary().loc["l1", "runs"] == 2


def test_untrained_is_the_network_before_its_first_step(made, tmp_path):
    still = tiny.study(tmp_path, seeds=(1,)).run({"l1": L1.but(recipe={"lr": 1e-12})})["l1"]
    for side in ("images", "captions"):
        before, after = still.untrained()[0][side], still.embeddings()[0][side]
        assert np.allclose(before, after, atol=1e-6)
        assert np.array_equal(before, made[1]["l1"].untrained()[1][side])
        assert not np.allclose(before, made[1]["l1"].untrained()[0][side], atol=1e-3)


def test_rows_that_no_asked_table_names_are_absent(tmp_path, made):
    study = tiny.study(made[2] / "runs", tables="2")
    results = study.run(ROWS)
    assert list(results) == list(ROWS) and set(results.present) == {"l1", "vse", "again"}
    absent = results["hinges"]
    assert isinstance(absent, Absent) and not absent
    assert absent.metrics("test") is absent.embeddings() is absent.similarities("images") is None
    figure = none_of_absent(lambda *results: "drawn")
    assert figure(results["l1"], absent) is None and figure(results["l1"]) == "drawn"
    assert study.compare(3, results) is None and study.compare("2", results) is not None
    assert {verdict.claim.table for verdict in study.verdicts(results)} <= {"2", ""}


def test_a_row_of_a_readers_own_stands_at_the_foot(made):
    study, results, _ = made
    page = study.compare(3, results)._repr_html_()
    own = page[page.rindex("<table") :]  # after the published runs
    assert own.index("hinges alone") < own.index("again") and "Ours: again" not in own
    for note in study.paper.tables["3"].notes:
        assert note.split(",")[0].replace("'", "&#x27;") in page[page.rindex("</table>") :]


def test_rows_of_ours_say_what_they_gain_over_the_row_that_they_name(made):
    study, results, _ = made
    page = study.compare(3, results)._repr_html_()
    own = page[page.rindex("<table") :]
    line = own[own.index("Ours: L1, last states side by side") :].split("</tr>")[0]
    gain = results["l1-last"].metrics()["rsum"].mean() - results["hinges"].metrics()["rsum"].mean()
    assert re.findall(r"<td[^>]*>(.*?)</td>", line)[-1] == signed(gain)
    published = page[: page.rindex("<table")].split("Ours: L1, λ = 2")[1].split("</tr>")[0]
    assert "—" not in published


def test_the_table_says_what_was_overridden(made):
    _, _, folder = made
    study = tiny.study(folder / "runs", overrides={"recipe": {"epochs": 1}, "loss": {"margin": 0.1}})
    base = study.scale(tiny.PAPER, {"smoke": {}})
    results = study.run({"l1": base})
    said = "overrides: recipe.epochs = 1, loss.margin = 0.1"
    assert said in study.compare(2, results)._repr_html_() and said in study.claims(results)._repr_html_()
    assert len(results["l1"].runs[0].load_json("config.json")) and study.describe(tiny.PAPER, base).loc[
        "recipe.epochs"
    ].tolist() == ["2", "1"]


@pytest.mark.parametrize("split", ["test", "test_folds"])
def test_gains_are_differences_of_metrics(made, split):
    _, results, _ = made
    vse, l1, hinges = (results[key].metrics(split) for key in ("vse", "l1", "hinges"))
    (both,) = compared(results, [("l1", "hinges"), ("vse", "hinges")], "rsum", split=split, label="both")
    assert both.per_seed == pytest.approx(((l1 + vse) / 2 - hinges)["rsum"].tolist())
    assert both.low <= both.difference <= both.high and both.name == "both, R-sum"
    for item, side in zip(compared(results, [("vse", "l1")], 5, split=split), SIDES, strict=True):
        assert item.per_seed == pytest.approx((vse - l1)[f"{side}_query_r5"].tolist())


def test_a_run_killed_after_an_epoch_ends_with_the_same_numbers(made, tmp_path):
    _, results, folder = made
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); import tiny\n"
        "from imtext.training import loop\n"
        "keep, loop.KEEP_EVERY = loop._keep, 0.0\n"
        "def die(*given):\n"
        "    keep(*given)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "loop._keep = die\n"
        "tiny.study(sys.argv[2]).run({'l1': tiny.PAPER})\n"
    )
    command = [sys.executable, "-c", code, str(Path(tiny.__file__).parent), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path), "IMTEXT_DATA": str(folder / "data")}
    killed = subprocess.run(command, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    (partial,) = (tmp_path / "intra_modal").glob("*.partial")
    assert (partial / "checkpoint.pt").is_file()
    again = tiny.study(tmp_path).run({"l1": L1})["l1"]
    assert not partial.exists() and again.runs[0].metrics == results["l1"].runs[0].metrics
    for name in ("embeddings-test.npz", "ranks-test.npz", "model.safetensors", "curves.csv"):
        assert (again.runs[0].dir / name).read_bytes() == (results["l1"].runs[0].dir / name).read_bytes()


def test_a_start_is_run_first_and_is_part_of_the_hash(made, tmp_path):
    study = tiny.study(tmp_path)
    still = L1.but(recipe={"epochs": 1, "lr": 1e-12})
    row = study.row("later", still.but(start=(L1,)), 0, {L1: "l1"})
    assert [start.slug for start in row.starts] == ["l1"]
    assert row.config() != study.row("later", still, 0).config()
    run_one(row, tmp_path)
    found = {
        path.name.split("-")[0]: Run(path) for path in (tmp_path / "intra_modal").iterdir() if path.is_dir()
    }
    # It goes on from the weights of its start.
    after, before = (found[name].load_arrays("embeddings-test.npz")["images"] for name in ("later", "l1"))
    assert np.allclose(after, before, atol=1e-6)


def test_slots_are_shared(tmp_path):
    inside = []

    def work():
        with _slot(tmp_path / "slots", 2):
            inside.append(True)

    with _slot(tmp_path / "slots", 2):
        with _slot(tmp_path / "slots", 2):
            waiting = threading.Thread(target=work)
            waiting.start()
            time.sleep(0.5)
            assert not inside
        waiting.join(10)
        assert inside
    assert jobs_here("auto", "quick", "cpu") >= 1 and jobs_here("auto", "smoke", "cpu") == 1


@pytest.mark.parametrize("key", ["l1", "l1-last", "vse"])
def test_a_run_is_an_encoder_that_gives_the_stored_embeddings(made, key):
    _, results, _ = made
    run, stored = results[key].runs[0], results[key].embeddings()[0]
    encoder = imtext.load(run.dir)
    assert encoder.experiment == results[key].rows[0].experiment
    captions, files = encoder.test.captions, [encoder.test.image_path(i) for i in (7, 0, 3)]
    for side in ("images", "captions"):  # they differ by more than the tolerance
        assert np.ptp(stored[side], axis=0).max() > 1e-2
    found = encoder.embed_captions([captions[j] for j in (1, 6, 2)])
    assert np.allclose(found, stored["captions"][[1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.embed_captions([captions[6]])[0], stored["captions"][6], atol=1e-4)
    pictures = [Image.open(file).convert("RGB") for file in files]
    tensors = [imtext_tensor(picture) for picture in pictures]
    for given in (files, pictures, tensors):
        assert np.allclose(encoder.embed_images(given), stored["images"][[7, 0, 3]], atol=1e-4)
    answer = search(imtext.load(run.dir), captions[0], top=3)
    best = np.argsort(-(stored["images"] @ stored["captions"][0]), kind="stable")[:3]
    assert [hit.image for hit in answer.hits] == [Path(encoder.test.image_path(int(i))) for i in best]
    answer = search(imtext.load(run.dir), str(files[0]), top=2)
    best = np.argsort(-(stored["captions"] @ stored["images"][7]), kind="stable")[:2]
    assert [hit.captions[0] for hit in answer.hits] == [captions[int(j)] for j in best]


def imtext_tensor(picture):
    import torch

    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def test_what_an_encoder_cannot_read_is_refused(made, tmp_path):
    encoder = imtext.load(made[1]["l1"].runs[0].dir)
    with pytest.raises(DataError, match="knows no word of 'qqqq zzzz'"):
        encoder.embed_captions(["qqqq zzzz"])
    with pytest.raises(ConfigError, match=r"write \[caption\]"):
        encoder.embed_captions("a dog")
    with pytest.raises(DataError, match=r"no\.jpg"):
        encoder.embed_images([tmp_path / "no.jpg"])
    with pytest.raises(RunError, match="not a finished run"):
        imtext.load(tmp_path)


def test_importing_imtext_pulls_in_nothing():
    code = "import sys, imtext; print('torch' in sys.modules, 'numpy' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
