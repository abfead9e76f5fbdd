"""Notebook parameters are checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import ConfigError
from imtext.publish.notebooks import KERNELSPEC, check_names

nbformat = pytest.importorskip("nbformat")

CELL = """dataset = "picturebook"
data_root = None
seeds = [0]
overrides = {}  # any field: {"recipe": {"epochs": 1}}
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cell = nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})
    path = tmp_path / "paper.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": KERNELSPEC}), path)
    return path


def test_an_unknown_name_is_one_clear_line(notebook: Path) -> None:
    check_names(notebook, {"seeds": [1]})
    says = "unknown parameter 'sedes'; it takes dataset, data_root, seeds"
    with pytest.raises(ConfigError, match=says) as caught:
        check_names(notebook, {"seeds": [1], "sedes": 1})
    assert "paper.ipynb" in str(caught.value) and "\n" not in str(caught.value)


def test_notebooks_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [', encoding="utf-8")
    for path in (tmp_path / "absent.ipynb", broken):
        with pytest.raises(ConfigError, match=f"{path.name}: expected a notebook, found"):
            check_names(path, {})


def test_a_notebook_without_parameters_takes_none(tmp_path: Path) -> None:
    bare = tmp_path / "bare.ipynb"
    cells, metadata = [nbformat.v4.new_code_cell("1")], {"kernelspec": KERNELSPEC}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), bare)
    check_names(bare, {})
    with pytest.raises(ConfigError, match="unknown parameter 'seeds'; it takes none"):
        check_names(bare, {"seeds": [1]})
