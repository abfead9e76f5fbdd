"""Executed notebooks beside the committed ones."""

from __future__ import annotations

from pathlib import Path

import compare_book
import nbformat
import pytest


def cell(text: str, picture: str = "", **metadata: object) -> dict:
    data = {"text/html": text, "image/png": picture}
    output = nbformat.v4.new_output("display_data", data=data)
    return nbformat.v4.new_code_cell("show()", execution_count=1, outputs=[output], metadata=metadata)


def save(path: Path, *cells: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A book of one notebook: a picture that is not compared, and a table that is."""
    save(tmp_path / "notebooks" / "paper.ipynb", cell("1", tags=["nbval-ignore-output"]), cell("2", "a"))
    return tmp_path


def test_the_same_text_passes(committed: Path) -> None:
    executed = committed / "_build" / "stage" / "notebooks" / "paper.ipynb"
    given = cell("profile", tags=["injected-parameters"])
    save(executed, given, cell("other", tags=["nbval-ignore-output"]), cell("2", "b"))
    assert compare_book.main(committed) == 0


@pytest.mark.parametrize(("shown", "number"), [("3", 2), ("", 2), ("24", 3)])
def test_other_text_and_other_cells_are_named(
    committed: Path, shown: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell("other", tags=["nbval-ignore-output"]), *map(cell, shown)]
    save(committed / "_build" / "stage" / "notebooks" / "paper.ipynb", *cells)
    assert compare_book.main(committed) == 1
    assert capsys.readouterr().out == f"paper: code cells {number} show something else than committed\n"
