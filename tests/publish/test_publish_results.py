"""``make results``: killed, resumed, published once; what is published reads like a page's own results."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imtext.cli import main
from imtext.data.generated import scene_relevance
from imtext.errors import DataError, RunError
from imtext.experiment import compute
from imtext.papers import intra_modal
from imtext.publish import results
from imtext.publish.notebooks import KERNELSPEC
from imtext.report import read_published
from imtext.retrieval import graded

nbformat = pytest.importorskip("nbformat")

PARAMETERS = """dataset = "picturebook"
data_root = None
profile = "smoke"
seeds = [0]
tables = "all"
device = "cpu"
jobs = 1
runs_dir = None
overrides = {}"""
STUDY = """from imtext.experiment import Constraint, Data, Experiment, Hinges, Joint, Pooled, Words, adam
from imtext.papers import intra_modal
study = intra_modal.study(dataset, data_root, profile, seeds, tables, device, jobs, runs_dir, overrides)
base = Experiment(
    Data(20, 5, 15), Pooled("efficientnet_lite0", size=64, crop=64, views=1), Words(dim=20), Joint(dim=16),
    Hinges(margin=0.2, constraint=Constraint()), adam(2, 3e-3, 10, cosine=True), precision="64",
)"""
ROWS = """rows = {"l1": base, "hinges": base.but(loss={"constraint": None})}"""
# The third checkpoint is that of the first epoch of the second row.
KILLED = """import os, signal, sys
from imtext.cli import main
from imtext.training import loop
keep, kept, loop.KEEP_EVERY = loop._keep, [], 0.0
def die(*given):
    keep(*given)
    kept.append(given)
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
loop._keep = die
main(sys.argv[1:])"""


def write(root: Path, rows: str = ROWS) -> None:
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    never = nbformat.v4.new_code_cell("1 / 0", metadata={"tags": ["nbval-ignore-output"]})
    sources = map(nbformat.v4.new_code_cell, (STUDY, rows, "runs = study.run(rows)\n1 / 0"))
    (root / "notebooks").mkdir(exist_ok=True)
    notebook = nbformat.v4.new_notebook(cells=[first, never, *sources], metadata={"kernelspec": KERNELSPEC})
    nbformat.write(notebook, root / "notebooks" / "tiny.ipynb")


def command(root: Path, *more: str) -> list[str]:
    return ["book", "results", "--profile", "smoke", "-p", "runs_dir", str(root / "runs"), *more]


def files(root: Path) -> dict[str, bytes]:
    found = (root / "results" / "picturebook").iterdir()
    return {path.name: path.read_bytes() for path in found if path.suffix != ".lock"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A notebook of two rows whose publishing was killed while the second was trained."""
    root = tmp_path_factory.mktemp("published")
    write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("IMTEXT_DATA", str(root / "data"))
        patch.setenv("IMTEXT_RESULTS", str(root / "results"))
        environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
        killed = subprocess.run([sys.executable, "-c", KILLED, *command(root)], env=environment)
        assert killed.returncode == -signal.SIGKILL
        yield root


@pytest.fixture
def copy(root, tmp_path, monkeypatch):
    """The same folder, all published, to be changed."""
    assert main(command(root)) == 0
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMTEXT_RESULTS", str(tmp_path / "results"))
    return tmp_path


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "compute", lambda *given: pytest.fail("trained"))


def test_what_was_killed_goes_on_and_is_published_once(root, capsys, monkeypatch):
    path = root / "results" / "picturebook" / "intra_modal"
    assert set(read_published(path).lines.index.unique("row")) == {"l1"}
    (partial,) = (root / "runs" / "intra_modal").glob("*.partial")
    assert (partial / "checkpoint.pt").is_file()
    assert main(command(root, "--missing")) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "intra_modal: a run takes 0 minutes"
    assert "  table 1: 1 of 1 published" in said and "  table 3: 1 of 2 published; not: hinges/0" in said
    assert main(command(root)) == 0
    first, line = capsys.readouterr().out.splitlines()
    assert first == "intra_modal: 1 runs to publish"
    assert line.startswith("intra_modal: hinges, seed 0, 0.") and "minutes, test R-sum" in line
    before = files(root)
    assert (read_published(path).lines["query_ms"] > 0).all()
    ends = {"about.json", ".csv", "-curves.csv", "-ranks.npz", "-verdicts.csv"}
    assert {name.removeprefix("intra_modal") for name in before} == ends
    never(monkeypatch)
    shutil.move(root / "runs", root / "away")  # a hash that stands there is enough
    assert main(command(root)) == 0
    shutil.rmtree(root / "runs", ignore_errors=True)
    shutil.move(root / "away", root / "runs")
    assert capsys.readouterr().out == "intra_modal: 0 runs to publish\n" and files(root) == before


def test_finished_runs_are_published_without_training(copy, monkeypatch):
    before = files(copy)
    shutil.rmtree(copy / "results")
    never(monkeypatch)
    assert main(command(copy)) == 0 and files(copy) == before


def test_a_changed_row_takes_the_place_of_all_its_seeds(copy):
    assert main(command(copy, "-p", "seeds", "[1]")) == 0
    path = copy / "results" / "picturebook" / "intra_modal"
    old = read_published(path)
    assert set(old.lines.loc["hinges"].index.unique("seed")) == {0, 1}
    write(copy, ROWS + "\nrows['hinges'] = rows['hinges'].but(loss={'margin': 0.1})")
    assert main(command(copy, "-p", "seeds", "[1]")) == 0
    new = read_published(path)
    assert set(new.lines.loc["hinges"].index.unique("seed")) == {1}
    assert new.lines.loc["l1"].equals(old.lines.loc["l1"])
    assert not [name for name in new.ranks if name.startswith("hinges/0/")]
    assert not old.lines.loc["hinges", "hash"].isin(new.lines.loc["hinges", "hash"]).any()


def test_published_rows_read_as_their_runs_do(copy):
    names = results.defined(copy / "notebooks" / "tiny.ipynb", {"runs_dir": str(copy / "runs")})
    study, own = names["study"], names["study"].run(names["rows"])
    published = study.published("picturebook")
    lines = [line.run for table in study.paper.tables.values() for line in table.lines]
    assert list(published) == list(dict.fromkeys(lines))  # in every process
    for key in ("l1", "hinges"):
        for split in ("test", "test_folds", "val"):
            assert published[key].chance(split) == pytest.approx(own[key].chance(split))
            assert published[key].gallery(split) == own[key].gallery(split)
            line = own[key].metrics(split).loc[0].to_dict()
            found = published[key].metrics(split).loc[0].to_dict()
            assert {name: found[name] for name in line} == pytest.approx(line, rel=1e-5)
        test = own[key].split()
        scores, known = compute.scores_of(own[key].runs[0]), scene_relevance(test)
        meant = graded(scores, test.image_of_caption, known).value("semantic_rsum")
        assert published[key].metrics().loc[0, "semantic R-sum"] == pytest.approx(meant, abs=1e-3)
        for side in ("image", "text"):
            assert np.array_equal(published[key].ranks(side)[0], own[key].ranks(side)[0])
        assert published[key].curves()[0]["loss"].to_list() == pytest.approx(
            own[key].curves()[0]["loss"].to_list(), rel=1e-5
        )
    with pytest.raises(RunError, match="results/ holds no runs"):
        published["l1"].embeddings()
    assert not published["vse"] and published["vse"].metrics() is None
    # Claims by ranks are measured anew, those by embeddings as they were measured with the runs.
    judged = {one.claim.id: one for one in study.verdicts(own)}
    again = {one.claim.id: one for one in study.verdicts(published)}
    assert {"modality_moves_apart", "helps_text_more"} <= set(judged) == set(again)
    for claim, one in judged.items():
        assert again[claim].word == one.word
        for here, there in zip(again[claim].evidence, one.evidence, strict=True):
            assert (here.name, here.low) == (there.name, pytest.approx(there.low, rel=1e-4, abs=1e-6))
    page = study.compare(3, own)._repr_html_()
    assert page.count("<table") == 2 and page.count("Chance, test split, 15 images") == 2
    assert page.index("commit") < page.rindex("<table")
    assert study.claims(own)._repr_html_().count("<table") == 2


def test_the_fields_gallery_of_1000_is_read_as_a_whole(monkeypatch, repository):
    monkeypatch.setenv("IMTEXT_RESULTS", str(repository / "results"))
    study = intra_modal.study("picturebook", None, "smoke", [0], "all", "cpu", 1, None)
    one = study.published("flickr8k")["l1"]
    assert one.gallery("test_folds") == "test split, 1,000 images"
    assert one.metrics("test_folds").equals(one.metrics("test"))
    page = study.compare(1, type(study.published("nothing"))({}))._repr_html_()
    assert "1K test images" in page and "5K test images" not in page and "aspect ratio not kept" in page
    assert study.published("nothing").present == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (".csv", b",smoke,", b",smoke", "intra_modal.csv: is damaged"),
        (".csv", b"\nhinges,0,val,", b"\nhinges,0,test,", "several lines of one row, seed, split"),
        (".csv", b",hash,", b",hsah,", "'hash'"),
        ("-curves.csv", b",2,", b",two,", "intra_modal-curves.csv: is damaged"),
        ("-ranks.npz", b"PK", b"KP", "intra_modal-ranks.npz: is damaged"),
        ("-verdicts.csv", b"difference", b"diff", "'difference'"),
    ],
)
def test_damaged_files_are_one_line(copy, capsys, name, old, new, says):
    path = copy / "results" / "picturebook" / f"intra_modal{name}"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    before = files(copy)
    assert main(command(copy)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line and path.name in line and files(copy) == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("-p", "sedes", "1"), "it takes dataset, data_root, profile, seeds,"),
        (("-p", "tables", "99"), "parameter tables"),
        (("-p", "seeds", "x"), "parameter seeds"),
        (("--profile", "large"), "parameter profile"),
        (("--profile", "quick"), "intra_modal.csv holds runs of profile smoke"),
        (("other",), "notebook='other': expected one of"),
    ],
)
def test_a_wrong_parameter_is_one_line_and_exit_code_2(root, capsys, more, says):
    assert main(command(root, *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_too_many_ranks_leave_everything_as_it_was(copy, monkeypatch):
    path, before = copy / "results" / "picturebook" / "intra_modal", files(copy)
    monkeypatch.setattr(results, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="bytes, at most 100; publish fewer seeds"):
        results.save(read_published(path), path)
    assert files(copy) == before
