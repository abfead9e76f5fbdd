"""The run store: what is finished, what is not, and what a reader of a damaged run is told."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from imtext.errors import RunError
from imtext.runs import Run, RunStore, config_hash, provenance


def test_a_run_without_metrics_is_not_finished(tmp_path):
    store = RunStore(tmp_path)
    with store.open("s", "row", {"a": 1}) as run:
        run.save_json("curves.json", [1, 2])
    assert store.get("s", "row", {"a": 1}) is None
    with store.open("s", "row", {"a": 1}) as run:
        assert not run.finished
        assert run.load_json("curves.json") == [1, 2]  # what the first attempt left is there to go on from
        run.save_json("metrics.json", {"rsum": 1.0})
    assert store.get("s", "row", {"a": 1}).metrics == {"rsum": 1.0}
    assert store.get("s", "row", {"a": 2}) is None


def test_an_exception_leaves_the_run_unfinished(tmp_path):
    store = RunStore(tmp_path)
    with pytest.raises(ZeroDivisionError), store.open("s", "row", {}) as run:
        run.save_json("metrics.json", {})
        raise ZeroDivisionError
    assert store.get("s", "row", {}) is None
    with store.open("s", "row", {}) as run:
        assert not (run.dir / "metrics.json").exists()  # a half-finished attempt's metrics are not believed


def test_hash_depends_on_every_value_and_not_on_the_order():
    assert config_hash({"a": 1, "b": [1, 2]}) == config_hash({"b": [1, 2], "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_arrays_load_without_pickle(tmp_path):
    run = Run(tmp_path)
    run.save_arrays("x.npz", a=np.arange(3))
    assert run.load_arrays("x.npz")["a"].tolist() == [0, 1, 2]
    np.savez(tmp_path / "evil.npz", a=np.array([{}], dtype=object))
    with pytest.raises(RunError, match=r"evil\.npz"):
        run.load_arrays("evil.npz")


@pytest.mark.parametrize("content", [None, "", "{", "\x00"])
def test_damaged_json_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(RunError, match=r"metrics\.json.*run again"):
        _ = Run(tmp_path).metrics


def test_unwritable_folder_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunError, match="another folder"), RunStore(blocked).open("s", "row", {}):
        pass


def _work(root, started):
    with RunStore(root).open("s", "row", {}) as run:
        if not run.finished:
            started.set()
            time.sleep(0.5)
            with open(run.dir.parent.parent / "count", "a") as file:
                file.write("x")
            run.save_json("metrics.json", {"pid": os.getpid()})


def test_two_processes_compute_a_run_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    processes = [context.Process(target=_work, args=(tmp_path, started)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert (tmp_path / "count").read_text() == "x"


def test_a_killed_process_frees_its_lock_and_leaves_no_result(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_work, args=(tmp_path, started))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    store = RunStore(tmp_path)
    assert store.get("s", "row", {}) is None
    with store.open("s", "row", {}) as run:
        run.save_json("metrics.json", {"ok": 1})
    assert store.get("s", "row", {}).metrics == {"ok": 1}


def test_provenance_names_hardware_and_time():
    record = provenance("cpu", 1.234, seed=3)
    assert record["seed"] == 3
    assert record["seconds"] == 1.2
    assert "cores" in record["hardware"]
