"""``imtext runs list | show | remove``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from imtext.cli import app
from imtext.errors import ConfigError, RunError
from imtext.runs import RunStore


def imtext(*words: object) -> int:
    return app(["runs", *map(str, words)]) or 0


def make(root: Path, slug: str, seed: int = 0, rsum: float = 61.5, study: str = "tables") -> Path:
    config = {"slug": slug, "seed": seed, "data": {"dataset": "drawn"}, "profile": "smoke"}
    with RunStore(root).open(study, slug, config) as run:
        run.save_arrays("embeddings-test.npz", images=[[1.0, 2.0]])
        about = {"seconds": 90.0, "seed": seed, "dataset": "drawn", "profile": "smoke", "when": "2030-01-02"}
        run.save_json("provenance.json", {**about, "device": "cpu", "imtext": "0.1.0"})
        run.save_json(
            "source.json", {"data_root": "/somewhere/drawn", "cache": str(root / "cache"), "crop": 64}
        )
        metrics = {"rsum": rsum, "text_query_r1": 5.25}
        run.save_json("metrics.json", {"test": metrics, "val": {**metrics, "rsum": rsum + 1}})
    return run.dir


def unfinished(root: Path, slug: str = "broken-off") -> Path:
    with RunStore(root).open("tables", slug, {"seed": 1}) as run:
        (run.dir / "checkpoint.pt").write_bytes(bytes(5000))
    return run.dir


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "runs"
    make(folder, "instance-1")
    make(folder, "instance-1", seed=1, rsum=60.0)
    make(folder, "ranking-2", study="other")
    (folder / "cache" / "pixels").mkdir(parents=True)
    (folder / "cache" / "pixels" / "images.npy").write_bytes(bytes(3000))
    return folder


def test_list_shows_every_run_and_the_cache(root, capsys):
    unfinished(root)
    (root / "tables" / "notes").mkdir()
    assert imtext("list", "--runs-dir", root) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "study run state rsum seed profile dataset date minutes size"
    rows = [line.split() for line in lines[:4]]
    assert rows[0][0] == "other" and rows[0][3:8] == ["61.5", "0", "smoke", "drawn", "2030-01-02"]
    assert rows[1][1].startswith("broken-off-") and rows[1][2] == "unfinished"
    assert [row[3] for row in rows[2:]] == ["61.5", "60.0"]
    assert lines[4].startswith("3 finished, 1 unfinished; ")
    assert "cache of pixels and features: 3.00kB" in lines[5]
    assert len(lines) == 6


def test_the_folder_of_runs_comes_from_the_environment(root, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("IMTEXT_RUNS", str(root))
    imtext("list")
    assert "3 finished" in capsys.readouterr().out
    monkeypatch.delenv("IMTEXT_RUNS")
    monkeypatch.chdir(tmp_path)
    imtext("list")
    assert "3 finished" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"nowhere: expected a folder of runs.*--runs-dir"):
        imtext("list", "--runs-dir", "nowhere")
    (tmp_path / "empty").mkdir()
    imtext("list", "--runs-dir", "empty")
    assert capsys.readouterr().out == "no runs in empty\n"


def test_list_and_show_name_what_is_damaged(root, capsys):
    first = min((root / "tables").glob("instance-1-*[!k]"))
    (first / "metrics.json").write_text("")
    assert imtext("list", "--runs-dir", root) == 1
    out = capsys.readouterr().out
    assert "metrics.json: missing, cut off or changed" in out and "1 damaged, 2 finished" in out
    assert imtext("show", first) == 1
    out = capsys.readouterr().out
    assert "state: damaged" in out and "\nconfig:" not in out


def test_list_verify_reads_every_file(root, capsys):
    folder = make(root, "long")
    with open(folder / "embeddings-test.npz", "r+b") as file:
        file.seek(150)
        file.write(b"\x01")
    assert imtext("list", "--runs-dir", root, "--verify") == 1
    assert "embeddings-test.npz: missing, cut off or changed" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", ["[]", "[" * 50_000, '{"test": [], "val": 3}', "\xff"])
def test_a_damaged_run_of_any_content_is_listed(root, spoil, capsys):
    folder = make(root, "odd")
    for name in ("metrics.json", "config.json", "provenance.json", "run.json", "manifest.json"):
        (folder / name).write_text(spoil, encoding="latin-1")
    assert imtext("list", "--runs-dir", root) == 1
    assert imtext("show", folder) == 1
    assert "manifest.json: missing, cut off or changed" in capsys.readouterr().out


def test_nothing_a_file_holds_reaches_the_terminal_raw(root, capsys):
    folder = make(root, "bell\x1b[31m")
    imtext("list", "--runs-dir", root)
    imtext("show", folder)
    assert "\x1b" not in capsys.readouterr().out


def test_show_everything_about_a_run(root, capsys):
    assert imtext("show", "rank", "--runs-dir", root, "--verify") == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["study"] == "other" and found["state"] == "finished"
    assert found["config"]["data"] == {"dataset": "drawn"} and found["provenance"]["device"] == "cpu"
    assert found["metrics"]["test"]["rsum"] == 61.5 and "config.json" in found["files"]
    assert imtext("show", "other/ranking", "--runs-dir", root) == 0


def test_a_name_must_be_of_one_run(root):
    with pytest.raises(RunError, match="instance: 2 runs in .* begin like this"):
        imtext("show", "instance", "--runs-dir", root)
    with pytest.raises(RunError, match="nothing: 0 runs in"):
        imtext("show", "nothing", "--runs-dir", root)
    with pytest.raises(RunError, match=": 0 runs in"):
        imtext("remove", "", "--yes", "--runs-dir", root)
    with pytest.raises(RunError, match="nowhere: expected a folder of runs"):
        imtext("show", "nothing", "--runs-dir", root / "nowhere")


def test_remove_prints_first_and_removes_on_yes(root, capsys):
    folder = next((root / "other").glob("ranking-2-*[!k]"))
    assert imtext("remove", "ranking-2", "--runs-dir", root) == 0
    out = capsys.readouterr().out
    assert f"would remove {folder}" in out and "nothing was removed" in out
    assert folder.is_dir()
    imtext("remove", "ranking-2", "--runs-dir", root, "--yes")
    assert "freed" in capsys.readouterr().out
    assert list((root / "other").iterdir()) == []
    with pytest.raises(ConfigError, match="nothing to remove"):
        imtext("remove", "--runs-dir", root)


def test_remove_unfinished(root, capsys):
    partial = unfinished(root)
    imtext("remove", "--unfinished", "--runs-dir", root, "--yes")
    assert not partial.exists()
    assert not list((root / "tables").glob("broken-off-*"))
    assert sum(path.is_dir() for path in (root / "tables").iterdir()) == 2  # finished runs stay
    imtext("remove", "--unfinished", "--runs-dir", root, "--yes")
    assert capsys.readouterr().out.endswith("freed 0.00B\n")


def test_remove_the_cache(root):
    imtext("remove", "--cache", "--runs-dir", root)
    assert (root / "cache").is_dir()
    imtext("remove", "--cache", "--runs-dir", root, "--yes")
    assert not (root / "cache").exists() and not list(root.glob(".cache*"))


def test_a_cache_in_use_is_not_removed(root):
    with FileLock(root / "cache" / "pixels.lock"), pytest.raises(RunError, match="in use"):
        imtext("remove", "--cache", "--runs-dir", root, "--yes")
    assert (root / "cache" / "pixels" / "images.npy").exists()


def test_what_is_not_a_run_is_never_removed(root, tmp_path):
    for name in ("photographs", "holiday-0123456789"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.jpg").touch()
        with pytest.raises(RunError, match=": 0 runs in"):
            imtext("remove", folder, "--runs-dir", root, "--yes")
        assert (folder / "a.jpg").exists()
    real = next((root / "other").glob("ranking-2-*[!k]"))
    link = tmp_path / real.name
    link.symlink_to(real)
    with pytest.raises(RunError, match=": 0 runs in"):
        imtext("remove", link, "--runs-dir", root, "--yes")
    assert (real / "metrics.json").exists()


def test_one_wrong_name_removes_nothing(root):
    with pytest.raises(RunError, match=": 0 runs in"):
        imtext("remove", "ranking-2", "wrong", "--runs-dir", root, "--yes")
    assert len(list((root / "other").glob("ranking-2-*[!k]"))) == 1
