"""Several processes in one folder of runs: a row is computed once, who waits says so, kills leave nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from imtext.errors import RunError
from imtext.runs import RunStore, store
from imtext.runs.listing import list_runs, remove_run

ROWS = [f"row-{k}" for k in range(5)]
SPAWN = multiprocessing.get_context("spawn")


def compute(run, root: Path, row: str) -> None:
    with open(root / "computed", "a") as file:
        file.write(f"{row}\n")
    time.sleep(0.05)
    run.save_json("metrics.json", {"test": {"rsum": len(row)}, "pid": os.getpid()})


def study(root: Path, number: int) -> None:
    """Every row, each process in an order of its own."""
    rows = random.Random(number).sample(ROWS, len(ROWS))
    found = {}
    for row in rows:
        with RunStore(root).open("study", row, {"row": row}) as run:
            if not run.finished:
                compute(run, root, row)
        found[row] = run.metrics["pid"]
    (root / f"found-{number}.json").write_text(json.dumps(found, sort_keys=True))


def test_three_processes_compute_each_of_five_rows_once(tmp_path):
    processes = [SPAWN.Process(target=study, args=(tmp_path, k)) for k in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted((tmp_path / "computed").read_text().split()) == ROWS
    assert len({(tmp_path / f"found-{k}.json").read_text() for k in range(3)}) == 1
    assert [run["state"] for run in list_runs(tmp_path)] == ["finished"] * 5
    left = {path.suffix for path in (tmp_path / "study").iterdir() if path.is_file()}
    assert left == {".lock"}


def hold(root: Path, started, end: Path) -> None:
    with RunStore(root).open("study", "row", {}) as run:
        started.set()
        for _ in range(3000):
            if end.exists():  # an event would not survive that one who waits for it is killed
                break
            time.sleep(0.02)
        run.save_json("metrics.json", {"ok": 1})


@pytest.fixture
def holder(tmp_path):
    started, end = SPAWN.Event(), tmp_path / "end"
    process = SPAWN.Process(target=hold, args=(tmp_path, started, end))
    process.start()
    assert started.wait(60)
    process.end = end.touch
    yield process
    end.touch()
    process.join(60)


@pytest.mark.parametrize("compared", [False, True])
def test_who_waits_says_for_whom(tmp_path, holder, monkeypatch, capsys, compared):
    monkeypatch.setattr(store, "SAY_AFTER", 0.1)
    monkeypatch.setenv("CI", "true" if compared else "")
    monkeypatch.setenv("IMTEXT_PROGRESS", str(tmp_path / "news"))
    say = store.announce

    def announce(line):  # the other process goes on once somebody was told to wait for it
        say(line)
        holder.end()

    monkeypatch.setattr(store, "announce", announce)
    with RunStore(tmp_path).open("study", "row", {}) as run:
        assert run.finished and run.metrics == {"ok": 1}
    told = capsys.readouterr().err
    if compared:  # it would be an output of a notebook
        assert not told
    else:
        assert told.startswith("imtext: waiting for the run row-")
        assert f": process {holder.pid} (since " in told
        assert told.count("\n") == 1
    assert "waiting for the run row-" in (tmp_path / "news").read_text()


def test_a_run_in_use_is_listed_as_such_and_not_removed(tmp_path, holder):
    (run,) = list_runs(tmp_path)
    assert run["state"] == "running" and f"process {holder.pid}" in run["reason"]
    with pytest.raises(RunError, match="in use by another process"):
        remove_run(run["folder"])
    holder.end()
    holder.join(60)
    (run,) = list_runs(tmp_path)
    assert run["state"] == "finished"
    remove_run(run["folder"])
    assert list((tmp_path / "study").iterdir()) == []


def test_a_killed_process_is_no_obstacle(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(60)
    (run,) = list_runs(tmp_path)
    assert run["state"] == "unfinished"
    with RunStore(tmp_path).open("study", "row", {}) as again:
        again.save_json("metrics.json", {})
    assert {path.name for path in again.dir.iterdir()} == {
        "config.json",
        "manifest.json",
        "metrics.json",
        "run.json",
    }
    assert RunStore(tmp_path).get("study", "row", {}) is not None


def killed_at(root: Path, module: str, name: str) -> None:
    """Finish a run and be killed where ``name`` would be called."""

    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    with RunStore(root).open("study", "row", {"seed": 1}) as run:
        run.save_json("metrics.json", {"rsum": 4})
        (run.dir / ".model.safetensors.1.tmp").write_text("half")
        setattr({"store": store, "os": os}[module], name, kill)


@pytest.mark.parametrize(
    ("module", "name"), [("store", "write_json"), ("os", "fsync"), ("os", "replace")]
)
def test_killed_at_the_last_steps(tmp_path, module, name):
    process = SPAWN.Process(target=killed_at, args=(tmp_path, module, name))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert RunStore(tmp_path).get("study", "row", {"seed": 1}) is None
    with RunStore(tmp_path).open("study", "row", {"seed": 1}) as run:
        assert not run.finished
        run.save_json("metrics.json", {"rsum": 4})
    run = RunStore(tmp_path).get("study", "row", {"seed": 1})
    run.check(full=True)
    assert run.metrics == {"rsum": 4}
    assert not [path for path in run.dir.iterdir() if path.name.startswith(".")]


def test_a_run_half_removed_is_no_run(tmp_path, monkeypatch):
    with RunStore(tmp_path).open("study", "row", {}) as run:
        run.save_json("metrics.json", {})

    class Killed(BaseException):
        pass

    def rmtree(folder):
        (folder / "config.json").unlink()
        raise Killed

    monkeypatch.setattr("imtext.runs.listing.shutil.rmtree", rmtree)
    with pytest.raises(Killed):
        remove_run(run.dir)
    monkeypatch.undo()
    assert RunStore(tmp_path).get("study", "row", {}) is None
    (left,) = list_runs(tmp_path)
    assert left["state"] == "unfinished"
    remove_run(left["folder"])
    assert list_runs(tmp_path) == []
