"""``imtext runs export``: archives that are runs elsewhere, equal bytes each time, one table of numbers."""

from __future__ import annotations

import argparse
import csv
import json
import zipfile
from pathlib import Path

import pytest

from imtext.commands import runs as command
from imtext.errors import ConfigError, RunError
from imtext.runs import Run, RunStore
from imtext.runs.listing import export_runs, list_runs

resource = pytest.importorskip("resource")


def imtext(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["runs", *map(str, words)])
    return arguments.run(arguments) or 0


def config(slug: str, seed: int) -> dict:
    return {"slug": slug, "seed": seed}


def make(root: Path, slug: str, seed: int = 0, metrics: object = None) -> Path:
    with RunStore(root).open("tables", slug, config(slug, seed)) as run:
        run.save_arrays("embeddings-test.npz", images=[[1.0, 2.0]])
        (run.dir / "model.safetensors").write_bytes(bytes(70_000))
        (run.dir / "curves.csv").write_text("epoch,loss\n1,0.5\n")
        source = {"data_root": "/data/of/mine/drawn", "cache": str(root.resolve() / "cache"), "crop": 64}
        run.save_json("source.json", source)
        run.save_json(
            "provenance.json", {"device": "cpu", "when": "2030-01-02", "dataset": "drawn", "seed": seed}
        )
        split = {"rsum": 61.25 + seed, "text_query_r1": 5.5}
        run.save_json("metrics.json", metrics or {"test": split, "val": split})
    return run.dir


@pytest.fixture
def root(tmp_path) -> Path:
    make(tmp_path / "runs", "instance-1")
    make(tmp_path / "runs", "instance-1", seed=1)
    return tmp_path / "runs"


def test_an_archive_unpacked_elsewhere_is_a_run_there(root, tmp_path, capsys):
    every = sorted(path for path in (root / "tables").iterdir() if path.is_dir())
    assert imtext("export", *every, "--out", tmp_path / "two.zip") == 0
    assert "two.zip (" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "there")
    for seed in (0, 1):
        run = RunStore(tmp_path / "there").get("tables", "instance-1", config("instance-1", seed))
        run.check(full=True)
        assert run.metrics["test"]["rsum"] == 61.25 + seed
    assert [run["state"] for run in list_runs(tmp_path / "there", verify=True)] == ["finished"] * 2


def test_equal_runs_make_equal_archives(root, tmp_path):
    every = sorted(path for path in (root / "tables").iterdir() if path.is_dir())
    export_runs(every, tmp_path / "a.zip")
    export_runs(every[::-1], tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_no_path_of_this_machine_leaves_it(root, tmp_path):
    (folder, _) = sorted(path for path in (root / "tables").iterdir() if path.is_dir())
    export_runs([folder], tmp_path / "out")
    source = json.loads((tmp_path / "out" / "tables" / folder.name / "source.json").read_text())
    assert source == {"data_root": "drawn", "cache": "cache", "crop": 64}
    for path in (tmp_path / "out").rglob("*.json"):
        assert str(tmp_path) not in path.read_text() and "/data/of" not in path.read_text()


def test_without_weights(root, tmp_path):
    folder = make(root, "ranking-2")
    imtext("export", "ranking-2", "--runs-dir", root, "--no-weights", "--out", tmp_path / "light")
    there = tmp_path / "light" / "tables" / folder.name
    assert not (there / "model.safetensors").exists() and (there / "curves.csv").exists()
    Run(there).check(full=True)
    with pytest.raises(RunError, match=r"light: cannot be written \(Directory not empty\)"):
        imtext("export", "ranking-2", "--runs-dir", root, "--out", tmp_path / "light")


def test_what_is_not_whole_is_not_exported(root, tmp_path):
    with RunStore(root).open("tables", "broken-off", {}) as run:
        pass
    with pytest.raises(RunError, match="unfinished, only finished runs are exported"):
        export_runs([run.dir], tmp_path / "a.zip")
    folder = make(root, "spoilt")
    with open(folder / "model.safetensors", "r+b") as file:
        file.write(b"\x01")
    with pytest.raises(RunError, match=r"model\.safetensors: missing, cut off or changed"):
        export_runs([folder], tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["a.zip", "folder"])
def test_a_full_disk_leaves_no_half_archive(root, tmp_path, name):
    folder, out = make(root, "whole"), tmp_path / "out"
    out.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(RunError, match=f"{name}: cannot be written"):
            export_runs([folder], out / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(out.iterdir()) == []


def test_one_table_of_all_runs(root, tmp_path, capsys):
    make(root, "flat", metrics={"test": {"rsum": 7, "note": "a, b"}})
    with RunStore(root).open("tables", "broken-off", {}):
        pass
    imtext("export", "--table", tmp_path / "all.csv", "--runs-dir", root)
    assert "all.csv (5 lines)" in capsys.readouterr().out
    with open(tmp_path / "all.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:3] == ["study", "run", "hash"]
    assert [(line["run"], line["seed"], line["split"], line["rsum"]) for line in lines] == [
        ("flat", "0", "test", "7"),
        ("instance-1", "0", "test", "61.25"),
        ("instance-1", "0", "val", "61.25"),
        ("instance-1", "1", "test", "62.25"),
        ("instance-1", "1", "val", "62.25"),
    ]
    assert lines[0]["note"] == "a, b" and lines[1]["note"] == ""
    assert lines[1]["device"] == "cpu" and lines[1]["when"] == "2030-01-02"


def test_odd_arguments_are_refused(root, tmp_path):
    with pytest.raises(ConfigError, match="nowhere to export to"):
        imtext("export", "instance", "--runs-dir", root)
    with pytest.raises(ConfigError, match="name the runs"):
        imtext("export", "--out", tmp_path / "a.zip", "--runs-dir", root)
    (tmp_path / "none").mkdir()
    with pytest.raises(RunError, match="no finished run"):
        imtext("export", "--table", tmp_path / "a.csv", "--runs-dir", tmp_path / "none")
