"""Notebook parameters are checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import ConfigError
from imtext.publish.parameters import PROFILES, check_parameters, parse_parameters

nbformat = pytest.importorskip("nbformat")

CELL = """dataset = "picturebook"
data_root = None
profile = "smoke"
seeds = [0]
device = "auto"
runs_dir = None
tables = "all"
width: "float | None" = None
words: list[str] = []
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cell = nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})
    path = tmp_path / "paper.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), cell]), path)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", "flickr8k"),
        ("data_root", "photographs"),
        ("data_root", None),
        ("profile", "paper"),
        ("seeds", [0, 1]),
        ("seeds", (3,)),
        ("seeds", 5),
        ("tables", [2, 5]),
        ("tables", "2"),
        ("width", 0.5),
        ("width", 2),
        ("words", ["dog"]),
    ],
)
def test_right_values_pass(notebook: Path, name: str, value: object) -> None:
    check_parameters(notebook, {name: value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("sedes", [0], "did you mean 'seeds'"),
        ("nonsense", 1, "it takes dataset, data_root"),
        ("dataset", 3, "takes text"),
        ("seeds", 0.5, "takes a list of whole numbers"),
        ("seeds", [True], "found [True]"),
        ("data_root", 7, "takes text or nothing"),
        ("profile", "big", "one of smoke, quick, paper"),
        ("width", "wide", "takes"),
        ("words", [1], "a list of texts"),
    ],
)
def test_wrong_values_are_one_clear_line(notebook: Path, name: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameters(notebook, {name: value})
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "paper.ipynb" in message


def test_notebooks_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such notebook"):
        check_parameters(tmp_path / "absent.ipynb", {})
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(ConfigError, match="not a notebook"):
        check_parameters(broken, {})
    bare = tmp_path / "bare.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), bare)
    with pytest.raises(ConfigError, match="no cell tagged 'parameters'"):
        check_parameters(bare, {})


def test_a_computed_default_is_refused() -> None:
    with pytest.raises(ConfigError, match="plain assignments"):
        parse_parameters("seeds = list(range(3))")


def test_profiles_are_those_of_the_studies() -> None:
    studies = pytest.importorskip("imtext.experiment.parameters")
    assert studies.PROFILES == PROFILES
