"""Notebook parameters: every wrong one is one clear line."""

from pathlib import Path

import pytest
from PIL import Image

from imtext.data import load_dataset
from imtext.data.images import ImageStore
from imtext.errors import ConfigError, DataError
from imtext.experiment.study import Parameters
from imtext.papers import rich_features
from imtext.runs import RunStore
from imtext.text import load_word_vectors

TABLES = ("2", "5", "6")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": 3}, "parameter dataset: takes str (here 'picturebook'), found 3"),
        ({"data_root": 3}, "parameter data_root: takes "),
        ({"profile": "fast"}, "parameter profile='fast': expected one of smoke, quick, full, paper"),
        ({"profile": None}, "parameter profile: takes str"),
        ({"seeds": "a"}, "parameter seeds: distinct whole numbers, [0, 1, 2], found 'a'"),
        ({"seeds": []}, "parameter seeds: distinct whole numbers"),
        ({"seeds": [0, 0]}, "parameter seeds: distinct whole numbers"),
        ({"seeds": -1}, "parameter seeds: distinct whole numbers"),
        ({"seeds": [0.5]}, "parameter seeds: distinct whole numbers"),
        ({"seeds": 0.5}, "parameter seeds: takes "),
        ({"seeds": True}, "parameter seeds: takes "),
        ({"device": "tpu"}, "expected one of auto"),
        ({"jobs": -1}, "parameter jobs: 'auto' or a whole number from 0 on, found -1"),
        ({"jobs": "two"}, "parameter jobs: 'auto' or a whole number from 0 on, found 'two'"),
        ({"jobs": True}, "parameter jobs: takes "),
        ({"runs_dir": 5}, "parameter runs_dir: takes "),
        ({"tables": "9"}, "parameter tables: 'all' or any of 2, 5, 6, found '9'"),
        ({"tables": []}, "parameter tables: "),
        ({"overrides": "epochs: 1"}, "parameter overrides: takes "),
    ],
)
def test_wrong_parameters(given, said):
    with pytest.raises(ConfigError) as error:
        Parameters(**given).checked(TABLES)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_forms_that_papermill_gives():
    assert Parameters(seeds="0, 2").checked(TABLES).seeds == (0, 2)
    assert Parameters(seeds=3).checked(TABLES).seeds == (3,)
    assert Parameters(tables="6,2").checked(TABLES).tables == ("2", "6")
    assert Parameters(tables=[5]).checked(TABLES).tables == ("5",)
    assert Parameters(data_root="").checked(TABLES).data_root is None


def test_runs_go_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("IMTEXT_RUNS", "elsewhere")
    assert Parameters().checked(TABLES).runs_dir == Path("elsewhere")
    assert Parameters(runs_dir="here").checked(TABLES).runs_dir == Path("here")


def test_the_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = Parameters(data_root="~/pets", runs_dir="~/runs").checked(TABLES)
    assert found.data_root == str(tmp_path / "pets") and found.runs_dir == tmp_path / "runs"
    assert Parameters(data_root=Path("~/pets")).checked(TABLES).data_root == str(tmp_path / "pets")
    monkeypatch.setenv("IMTEXT_RUNS", "~/elsewhere")
    assert Parameters().checked(TABLES).runs_dir == tmp_path / "elsewhere"
    study = rich_features.study("own", "~/pets", "smoke", [0], "10", "cpu", 1, "~/runs")
    assert study.places.data_root == str(tmp_path / "pets")
    assert study.places.cache == str(tmp_path / "runs" / "cache")


def test_the_library_knows_the_tilde_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "pets" / "a.png")
    (tmp_path / "pets" / "captions.csv").write_text("image,caption\na.png,A field.\n", encoding="utf-8")
    data = load_dataset("own", "~/pets")
    assert ImageStore.open(data, 8, "~/cache").pixels[0, :, 0, 0].tolist() == [255, 0, 0]
    with RunStore("~/runs").open("study", "row", {}) as run:
        run.save_json("metrics.json", {})
    (tmp_path / "v.txt").write_text("dog 1 2\n", encoding="utf-8")
    assert load_word_vectors("~/v.txt").words == ("dog",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "pets", "runs", "v.txt"]
    with pytest.raises(DataError, match="data_root=~nobody-of-this-name/x: expected a folder"):
        load_dataset("own", "~nobody-of-this-name/x")
