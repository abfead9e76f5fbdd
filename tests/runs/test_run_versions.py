"""A run of another config, or with a damaged file, is recognised and never read as a result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from imtext import __version__
from imtext.errors import RunError
from imtext.runs import RunStore, config_hash

FILES = {"config.json", "embeddings.npz", "manifest.json", "metrics.json", "run.json", "source.json"}
CONFIG = {"seed": 0, "data": {"dataset": "drawn"}, "weights": (0.0, 1.0)}


def finished(root: Path, config: dict | None = None) -> Path:
    with RunStore(root).open("study", "row", config or CONFIG) as run:
        run.save_json("metrics.json", {"test": {"rsum": 61.5}})
        run.save_arrays("embeddings.npz", images=np.arange(40_000.0))
        run.save_json("source.json", {"data_root": None})
    return run.dir


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refused(root: Path, words: str) -> str:
    """Neither ``get`` nor ``open`` gives the run out or puts another in its place; the message."""
    before = sorted(root.rglob("*"))
    messages = []
    with pytest.raises(RunError, match=words) as caught:
        RunStore(root).get("study", "row", CONFIG)
    messages.append(str(caught.value))
    with pytest.raises(RunError, match=words) as caught, RunStore(root).open("study", "row", CONFIG):
        raise AssertionError("the body must not run")
    assert [str(caught.value)] == messages
    assert [path for path in sorted(root.rglob("*")) if path.suffix != ".lock"] == [
        path for path in before if path.suffix != ".lock"
    ]
    return messages[0]


def test_hashes_of_configurations_never_change():
    assert config_hash({}) == "c9dca30088"
    assert config_hash({"seed": 0, "weights": [0, 1.5], "start": None}) == "6abfcf5f85"
    assert config_hash(CONFIG) == config_hash(json.loads(json.dumps(CONFIG)))


def test_a_run_says_who_wrote_it(tmp_path):
    folder = finished(tmp_path)
    stamp = json.loads((folder / "run.json").read_text())
    assert stamp["imtext"] == __version__
    assert folder.name == f"row-{stamp['hash']}"
    assert {path.name for path in folder.iterdir()} == FILES
    RunStore(tmp_path).get("study", "row", CONFIG).check(full=True)


def test_another_schema_is_another_hash(tmp_path, monkeypatch):
    folder = finished(tmp_path)
    monkeypatch.setattr("imtext.runs.store.SCHEMA", 2)
    assert RunStore(tmp_path).get("study", "row", CONFIG) is None
    assert RunStore(tmp_path).folder("study", "row", CONFIG) != folder


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": true}', "[" * 100_000])
def test_a_damaged_stamp_is_named(tmp_path, content):
    folder = finished(tmp_path)
    (folder / "run.json").write_text(content)
    refused(tmp_path, r"run\.json: missing, cut off or changed")


def test_the_run_of_another_configuration_is_refused(tmp_path):
    folder = finished(tmp_path, {"seed": 7})
    os.replace(folder, folder.with_name(RunStore(tmp_path).folder("study", "row", CONFIG).name))
    refused(tmp_path, f"holds the run of another configuration, {folder.name[-10:]}")


def test_values_of_numpy_and_nan_are_the_same_config_when_asked_again(tmp_path):
    config = {"seed": np.int64(3), "share": float("nan"), "rates": np.array([0.1, 0.2])}
    folder = finished(tmp_path, config)
    run = RunStore(tmp_path).get("study", "row", config)
    assert run.dir == folder and run.config["seed"] == 3 and run.config["rates"] == [0.1, 0.2]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named_with_the_command_that_mends(tmp_path, name):
    folder = finished(tmp_path)
    (folder / name).unlink()
    message = refused(tmp_path, name.replace(".", r"\."))
    assert f"`imtext runs remove {folder} --yes`" in message


@pytest.mark.parametrize("name", ["embeddings.npz", "metrics.json", "manifest.json", "config.json"])
@pytest.mark.parametrize("length", [0, 20])
def test_a_truncated_file_is_named(tmp_path, name, length):
    folder = finished(tmp_path)
    os.truncate(folder / name, length)
    refused(tmp_path, name.replace(".", r"\."))


def test_a_changed_number_is_noticed(tmp_path):
    folder = finished(tmp_path)
    text = (folder / "metrics.json").read_text()
    (folder / "metrics.json").write_text(text.replace("61.5", "99.5"))
    refused(tmp_path, "changed after the run was finished")


def test_a_flipped_byte_in_a_long_file_is_found_by_the_full_check(tmp_path):
    folder = finished(tmp_path)
    with open(folder / "embeddings.npz", "r+b") as file:
        file.seek(100_000)
        file.write(b"\xff")
    run = RunStore(tmp_path).get("study", "row", CONFIG)  # the quick check reads no long files
    with pytest.raises(RunError, match=r"embeddings\.npz: missing, cut off or changed"):
        run.check(full=True)


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"files": []}', '{"files": {"../x": {"bytes": 1, "sha256": ""}}}', '{"files": {"x": 3}}'],
)
def test_a_damaged_manifest_is_named(tmp_path, content):
    folder = finished(tmp_path)
    (folder / "manifest.json").write_text(content)
    refused(tmp_path, r"manifest\.json|\.\./x|/x:")


def test_where_the_data_lies_may_be_said_anew(tmp_path):
    folder = finished(tmp_path)
    change(folder / "source.json", data_root="elsewhere")
    RunStore(tmp_path).get("study", "row", CONFIG).check(full=True)


def test_a_finished_run_that_was_written_to_is_refused(tmp_path):
    finished(tmp_path)
    RunStore(tmp_path).get("study", "row", CONFIG).save_json("metrics.json", {})
    refused(tmp_path, r"metrics\.json: missing, cut off or changed")
