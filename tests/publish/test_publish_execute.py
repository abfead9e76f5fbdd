"""Execution into the stage: once per change, refusing errors, keeping what was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.cli import main
from imtext.errors import ConfigError, RunError
from imtext.publish import execute
from imtext.publish.execute import execute_book, refresh
from imtext.publish.notebooks import KERNELSPEC, normalise_file
from imtext.publish.pages import digest_sources, make_stage

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("papermill")

PARAMETERS = 'profile = "smoke"\nseeds = [0]\ndata_root = None\nruns_dir = None'


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_markdown_cell("## Section"), *map(nbformat.v4.new_code_cell, sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC}), path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text("title: t\n", encoding="utf-8")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n", encoding="utf-8")
    (tmp_path / "book" / "intro.md").write_text("# Intro\n", encoding="utf-8")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.csv").write_text("1\n", encoding="utf-8")
    return tmp_path


def test_executes_once_per_change(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = "as it is"
    monkeypatch.setattr("imtext.publish.execute.digest_sources", lambda: library)
    source = write(root / "notebooks" / "a.ipynb", "print(profile, seeds, open('../results/a.csv').read())")
    build = root / "_build"

    def run(**options: object) -> bool:
        given = {"profile": "quick", **options.pop("parameters", {})}
        execute_book(root, build, given, **options)
        return "nothing changed" not in capsys.readouterr().out

    assert run()
    staged = nbformat.read(build / "stage" / "notebooks" / "a.ipynb", as_version=4)
    assert staged.cells[-1].outputs[0].text == "quick [0] 1\n\n"
    assert "papermill" not in staged.metadata
    assert str(root) not in (build / "stage" / "notebooks" / "a.ipynb").read_text(encoding="utf-8")
    assert not run()
    assert run(parameters={"seeds": [1]})
    assert run()
    assert run(force=True)
    library = "mended"
    assert run()
    write(source, "print(profile, 'changed')")
    assert run()
    assert not run()
    (build / "stage" / "notebooks" / "a.ipynb").unlink()
    assert run()


def test_the_runs_folder_is_told_and_no_folder_is_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMTEXT_RUNS", raising=False)
    data = root / "photographs"
    code = "import os; assert os.environ['IMTEXT_RUNS'].endswith('_build/runs'); assert len(data_root) > 20"
    write(root / "notebooks" / "a.ipynb", code)
    execute_book(root, root / "_build", {"profile": "smoke", "data_root": str(data)})
    staged = (root / "_build" / "stage" / "notebooks" / "a.ipynb").read_text(encoding="utf-8")
    assert 'data_root = \\"photographs\\"' in staged
    assert str(root) not in staged


def test_two_notebooks_stand_beside_each_other(root: Path) -> None:
    code = """import time
from pathlib import Path
Path("{own}").touch()
until = time.monotonic() + 60
while not Path("{other}").exists():
    assert time.monotonic() < until
    time.sleep(0.1)"""
    for own, other in ("ab", "ba"):
        write(root / "notebooks" / f"{own}.ipynb", code.format(own=own, other=other))
    execute_book(root, root / "_build", {"profile": "smoke"}, names=["a", "b"], at_once=2)
    assert {path.stem for path in (root / "_build" / "records").glob("?.json")} == {"a", "b"}
    # Which of them ends first takes nothing away from the other, which may only begin.
    assert (root / "_build" / "executing").is_dir()


def test_the_terminal_shows_what_the_library_announces(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(execute, "EVERY", 0.2)
    code = "import time, imtext.progress as p; p.announce('Stage I, epoch 3/10'); time.sleep(2.5)"
    write(root / "notebooks" / "a.ipynb", code)
    assert main(["book", "make", "--only", "execute", "--profile", "smoke"]) == 0
    assert "Section: Stage I, epoch 3/10\n" in capsys.readouterr().out


def test_folders_are_taken_from_where_the_user_stands(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_RUNS", "runs of all")
    monkeypatch.setenv("IMTEXT_DATA", "data/drawn")
    monkeypatch.chdir(root)
    data = root / "data" / 'ü "photographs" #2'
    data.mkdir(parents=True)
    (data / "a.txt").write_text("found", encoding="utf-8")
    code = """import os
from pathlib import Path
print((Path(data_root) / "a.txt").read_text())
for folder in (runs_dir, os.environ["IMTEXT_RUNS"], os.environ["IMTEXT_DATA"]):
    (Path(folder) / "made").mkdir(parents=True)"""
    write(root / "notebooks" / "a.ipynb", code)
    relative = ["-p", "data_root", str(data.relative_to(root)), "-p", "runs_dir", "own/runs"]
    assert main(["book", "make", "--only", "execute", "--profile", "smoke", *relative]) == 0
    for folder in ("own/runs", "runs of all", "data/drawn"):
        assert (root / folder / "made").is_dir()
    staged = root / "_build" / "stage" / "notebooks" / "a.ipynb"
    injected, printed = (nbformat.read(staged, as_version=4).cells[index] for index in (1, -1))
    assert printed.outputs[0].text == "found\n"
    assert 'runs_dir = "runs"' in injected.source and str(root) not in staged.read_text(encoding="utf-8")
    assert "photographs" in injected.source and "data/" not in injected.source


def test_a_failed_cell_stops_everything(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    write(root / "notebooks" / "a.ipynb", "x = 1", "print('first')\nraise ValueError('too few pictures')")
    write(root / "notebooks" / "b.ipynb", "print('never run')")
    assert main(["book", "make", "--profile", "smoke", "--at-once", "1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a.ipynb: cell 4" in error
    assert "ValueError: too few pictures" in error
    assert (root / "_build" / "executing" / "a.ipynb").is_file()
    assert not (root / "_build" / "executing" / "b.ipynb").exists()
    staged = nbformat.read(root / "_build" / "stage" / "notebooks" / "a.ipynb", as_version=4)
    kinds = {output.output_type for cell in staged.cells for output in cell.get("outputs", [])}
    assert "error" not in kinds


def test_a_kernel_that_dies_is_one_line(root: Path) -> None:
    write(root / "notebooks" / "a.ipynb", "import os; os._exit(1)")
    with pytest.raises(RunError, match=r"a\.ipynb: stopped at cell 4"):
        execute_book(root, root / "_build", {"profile": "smoke"})


def test_nothing_runs_when_a_parameter_is_wrong(root: Path) -> None:
    write(root / "notebooks" / "a.ipynb", "1")
    with pytest.raises(ConfigError, match="unknown parameter 'sed'"):
        execute_book(root, root / "_build", {"sed": 1})
    assert not (root / "_build").exists()
    with pytest.raises(ConfigError, match="notebook='z': expected one of"):
        execute_book(root, root / "_build", {}, names=["z"])


def test_refresh_is_a_fixed_point(root: Path) -> None:
    path = write(root / "notebooks" / "a.ipynb", "print(object(), profile)\n[1]")
    refresh(root, root / "_build")
    first = path.read_text(encoding="utf-8")
    assert "0x0" in first
    assert '"injected-parameters"' not in first
    assert not normalise_file(path)
    refresh(root, root / "_build")
    assert path.read_text(encoding="utf-8") == first


def test_refresh_keeps_the_old_on_failure(root: Path) -> None:
    path = write(root / "notebooks" / "a.ipynb", "raise ValueError('no')")
    before = path.read_bytes()
    with pytest.raises(RunError, match="no"):
        refresh(root, root / "_build")
    assert path.read_bytes() == before


def test_one_notebook_is_executed_into_a_folder(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.delenv("IMTEXT_RUNS", raising=False)
    code = "import os; print(profile, seeds, os.environ['IMTEXT_RUNS'])"
    path = write(root / "notebooks" / "a.ipynb", code)
    before = path.read_bytes()
    for name, out in (("a", "_build/notebooks"), (str(path), "own")):
        more = [] if name == "a" else ["--out", out]
        assert main(["notebook", name, "-p", "profile", "quick", "-p", "seeds", "[0, 1]", *more]) == 0
        executed = nbformat.read(root / out / "a.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0].text == f"quick [0, 1] {root / '_build' / 'runs'}\n"
    assert path.read_bytes() == before
    assert f"wrote {Path('own', 'a.ipynb')}" in capsys.readouterr().out
    for wrong in (["b"], ["a", "-p", "sedes", "1"], [str(root / "_toc.yml")]):
        assert main(["notebook", *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_other_sources_count_by_name_and_content(tmp_path: Path) -> None:
    found = set()
    for name, content in (("a.yaml", "x: 1"), ("a.yaml", "x: 1  # y"), ("b.yaml", "x: 1"), ("a.py", "")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        found.add(digest_sources(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    found.add(digest_sources(tmp_path))
    assert len(found) == 5
    (tmp_path / "publish").mkdir()
    (tmp_path / "publish" / "a.py").write_text("x = 1", encoding="utf-8")
    assert digest_sources(tmp_path) in found


def test_the_stage_follows_the_tree(root: Path) -> None:
    write(root / "notebooks" / "a.ipynb", "1")
    extra = root / "book" / "images" / "x.txt"
    extra.parent.mkdir()
    extra.write_text("1", encoding="utf-8")
    stage = make_stage(root, root / "_build")
    assert (stage / "book" / "images" / "x.txt").read_text(encoding="utf-8") == "1"
    extra.write_text("2", encoding="utf-8")
    (root / "results" / "a.csv").unlink()
    make_stage(root, root / "_build")
    assert (stage / "book" / "images" / "x.txt").read_text(encoding="utf-8") == "2"
    assert not (stage / "results" / "a.csv").exists()
    with pytest.raises(ConfigError, match="no _config.yml"):
        make_stage(root / "book", root / "_build")
