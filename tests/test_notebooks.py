"""Committed notebooks: parameters, outputs of the smoke profile, normalised, no helper code."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

import pytest

from imtext.publish.notebooks import normalise_notebook, refuse_unfit

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parents[1]
PAPERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMMITTED = [*PAPERS, *sorted((ROOT / "book").glob("*.ipynb"))]
PARAMETERS = [
    "dataset", "data_root", "profile", "seeds", "tables", "device", "jobs", "runs_dir", "overrides"
]  # fmt: skip

of_papers = pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
committed = pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@of_papers
def test_parameters_come_first_and_are_the_usual_ones(path: Path) -> None:
    first = code_cells(path)[0]
    assert first.metadata.get("tags") == ["parameters"]
    declared = pytest.importorskip("papermill").inspect_notebook(path)
    assert list(declared) == PARAMETERS
    assert declared["profile"]["default"] == '"smoke"'
    assert declared["runs_dir"]["default"] == "None", "the runner says where runs go"
    statements = ast.parse(first.source).body
    assert all(isinstance(node, ast.Assign | ast.AnnAssign) for node in statements), "assignments only"


@committed
def test_it_was_run_and_is_fit_to_commit(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    refuse_unfit(notebook, path.name)
    assert any(cell.outputs for cell in code_cells(path)), "no outputs stored: nbval would compare nothing"


@committed
def test_it_is_normalised(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    assert nbformat.writes(normalise_notebook(copy.deepcopy(notebook))) + "\n" == text, "run: make normalise"


@committed
def test_it_holds_no_helper_code(path: Path) -> None:
    helpers = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for number, cell in enumerate(code_cells(path), start=1):
        source = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))
        found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, helpers)]
        assert not found, f"code cell {number} defines {found[0].name}: it belongs into the library"


@committed
def test_cells_are_short_and_have_no_guards(path: Path) -> None:
    for number, cell in enumerate(code_cells(path), start=1):
        assert len(cell.source.splitlines()) <= 25, f"code cell {number} is long"
        guards = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.If)]
        assert not guards, f"code cell {number}: what was not asked for is None, without an if"


def test_the_tutorial_has_ten_cells() -> None:
    assert len(code_cells(ROOT / "book" / "tutorial.ipynb")) == 10


@committed
def test_it_pulls_no_widget(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            assert not {kind for kind in kinds if "widget" in kind or "javascript" in kind}, sorted(kinds)
