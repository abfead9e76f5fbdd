"""Rows on a cluster: a local Dask cluster of two processes gives the numbers of this process."""

from __future__ import annotations

import os

import joblib
import pytest
import tiny

from imtext.cli import main
from imtext.errors import ConfigError, RunError
from imtext.experiment import compute
from imtext.experiment.compute import behind_starts, finished, train

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

L1 = tiny.PAPER
ROWS = {
    "l1": L1,
    "hinges": L1.but(loss={"constraint": None}),
    "later": L1.but(start=(L1,), recipe={"epochs": 1}),
}
FILES = ("embeddings-test.npz", "ranks-test.npz", "model.safetensors", "curves.csv")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The folder of runs that this process has computed, and their results."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        yield tiny.study(folder).run(ROWS)


@pytest.fixture(scope="module")
def scheduler(here):
    """The address of the cluster."""
    options = dict(processes=True, threads_per_worker=1, dashboard_address=None)
    with distributed.LocalCluster(n_workers=2, host="127.0.0.1", **options) as cluster:
        yield cluster.scheduler_address


def expect_the_same(found, here):
    for key, result in here.items():
        (run,), (other,) = found[key].runs, result.runs
        assert run.metrics == other.metrics and run.dir.name == other.dir.name
        assert all((run.dir / name).read_bytes() == (other.dir / name).read_bytes() for name in FILES)
        assert not (run.dir / "row.json").exists()


def test_rows_that_a_notebook_has_written_down_are_trained_by_workers(
    here, scheduler, tmp_path, monkeypatch, capsys
):
    with pytest.raises(RunError, match=r"3 rows wait for `imtext runs train .*\.partial`; then run"):
        tiny.study(tmp_path, jobs=0).run(ROWS)
    folders = [str(path) for path in tmp_path.glob("*/*.partial")]
    assert len(folders) == 3 and not list(tmp_path.glob("cache/features/*"))
    monkeypatch.setattr(compute, "compute", lambda *given: pytest.fail("computed in this process"))
    address = scheduler.replace("tcp://", "dask://")
    assert main(["runs", "train", *folders, "--cluster", address]) == 0
    assert sorted(capsys.readouterr().out.split()) == sorted(one.removesuffix(".partial") for one in folders)
    assert main(["runs", "train", *folders, "--cluster", address]) == 0  # all is there
    found = tiny.study(tmp_path, jobs=0).run(ROWS)
    expect_the_same(found, here)
    workers = {result.runs[0].load_json("run.json")["process"] for result in found.values()}
    assert os.getpid() not in workers


def test_a_notebook_uses_the_cluster_that_surrounds_it(here, scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr(compute, "compute", lambda *given: pytest.fail("computed in this process"))
    monkeypatch.chdir(tmp_path)  # where no worker stands
    with distributed.Client(scheduler), joblib.parallel_config("dask"):
        expect_the_same(tiny.study("runs").run(ROWS), here)


def test_threads_of_a_worker_compute_one_row_at_a_time(here, tmp_path):
    with joblib.parallel_config("threading", n_jobs=3):
        expect_the_same(tiny.study(tmp_path).run(ROWS), here)


def test_a_row_comes_behind_what_it_starts_from(here):
    l1, hinges, later = (result.rows[0] for result in here.values())
    last = compute.Row("intra_modal", "last", L1, l1.places, starts=(later, hinges))
    assert [row.slug for row in behind_starts([hinges, last, later])] == ["l1", "later", "hinges", "last"]
    assert [row.slug for row in behind_starts([hinges, later])] == ["l1", "later", "hinges"]


def test_what_cannot_be_trained_is_one_line(here, tmp_path, monkeypatch):
    with pytest.raises(RunError):
        tiny.study(tmp_path, jobs=0).run({"l1": L1})
    (folder,) = tmp_path.glob("*/*.partial")
    with pytest.raises(ConfigError, match="cluster 'slurm://here': expected dask://HOST:PORT"):
        list(train([folder], cluster="slurm://here"))
    with pytest.raises(RunError, match="a row of other data"):
        list(train([folder.rename(folder.with_name("other-0123456789.partial"))]))
    (tmp_path / "intra_modal" / "none-0123456789.partial").mkdir()
    with pytest.raises(RunError, match=r"row\.json"):
        list(train([tmp_path / "intra_modal" / "none-0123456789.partial"]))


def test_no_rows_are_no_work(tmp_path):
    assert list(finished([], tmp_path, 0)) == []
