"""The committed form of a notebook."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from imtext.errors import RunError
from imtext.publish.notebooks import normalise_file

nbformat = pytest.importorskip("nbformat")


def ran(source: str, *outputs: dict, count: int = 7, **metadata: object) -> dict:
    return nbformat.v4.new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def stream(text: str) -> dict:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def save(path: Path, *cells: dict) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata={"papermill": {"x": 1}}), path)
    return path


def test_what_is_removed_and_what_stays(tmp_path: Path) -> None:
    result = nbformat.v4.new_output(
        "execute_result", data={"text/plain": "<A at 0x7f12ab34cd56>"}, execution_count=9
    )
    glued = nbformat.v4.new_output(
        "display_data", data={"text/plain": "1.0"}, metadata={"scrapbook": {"name": "r1"}}
    )
    path = save(
        tmp_path / "a.ipynb",
        ran("seeds = [0]", tags=["parameters"], papermill={"duration": 1.5}, execution={"t": "1"}),
        ran("seeds = [1]", tags=["injected-parameters"]),
        ran("a", stream("one\n"), stream("two 0x7f0011223344\n"), result, glued, tags=[], collapsed=True),
        ran("b", mystnb={"figure": {"name": "f"}}),
    )
    assert normalise_file(path)
    notebook = nbformat.read(path, as_version=4)
    assert [cell.source for cell in notebook.cells] == ["seeds = [0]", "a", "b"]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
    assert [dict(cell.metadata) for cell in notebook.cells] == [
        {"tags": ["parameters"]},
        {},
        {"mystnb": {"figure": {"name": "f"}}},
    ]
    outputs = notebook.cells[1].outputs
    assert outputs[0].text == "one\ntwo 0x0\n"
    assert outputs[1].data["text/plain"] == "<A at 0x0>"
    assert outputs[1].execution_count == 2
    assert outputs[2].metadata == {"scrapbook": {"name": "r1"}}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not normalise_file(path)


@pytest.mark.parametrize("where", ["home/someone/x.py", "tmp/ipykernel_1/2.py", "work/data"])
def test_a_machine_path_is_refused(tmp_path: Path, where: str) -> None:
    path = save(tmp_path / "a.ipynb", ran("a", stream("saved to /" + where + "\n")))
    before = path.read_bytes()
    with pytest.raises(RunError, match="cell 0 holds a path of this machine"):
        normalise_file(path)
    assert path.read_bytes() == before


def test_relative_paths_and_addresses_of_pages_pass(tmp_path: Path) -> None:
    text = "../data/work/x and https://a.org/work/x and 1/2"
    normalise_file(save(tmp_path / "a.ipynb", ran("a", stream(text))))


def test_errors_and_cells_never_run_are_refused(tmp_path: Path) -> None:
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    with pytest.raises(RunError, match="cell 0 holds an error"):
        normalise_file(save(tmp_path / "a.ipynb", ran("a", error)))
    with pytest.raises(RunError, match="cell 0 was never run"):
        normalise_file(save(tmp_path / "b.ipynb", nbformat.v4.new_code_cell("a")))


def test_the_comparison_forgives_addresses_and_nothing_else(repository: Path) -> None:
    config = configparser.RawConfigParser()
    config.read(repository / "tests" / "nbval_sanitize.cfg", encoding="utf-8")
    rule = config["addresses"]
    pattern = re.compile(rule["regex"])
    assert pattern.sub(rule["replace"], "<A at 0x7f12ab34cd56>") == "<A at 0x0>"
    figure = "<Figure size 640x480 with 1 Axes>"
    assert pattern.sub(rule["replace"], figure) == figure
    assert pattern.fullmatch(rule["replace"])
