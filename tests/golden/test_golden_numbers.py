"""Numbers that were frozen on purpose: the smoke profile's rows and verdicts, and the data they are of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import frozen
import pytest

# Per cent: one rank of 60 queries moves a recall by 1.7, a median rank by .5.
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The numbers of the runs that the notebooks have made in this test run; what is missing is trained."""
    return frozen.smoke_numbers(Path(os.environ.get("IMTEXT_RUNS") or tmp_path_factory.mktemp("runs")))


def kept(file: str) -> dict[str, Any]:
    return json.loads((frozen.GOLDEN / file).read_text(encoding="utf-8"))


def test_rows_are_as_frozen(found: dict[str, dict[str, Any]]) -> None:
    expected = kept("smoke.json")["rows"]
    assert found["rows"].keys() == expected.keys()
    moved = [key for key, row in expected.items() if found["rows"][key] != pytest.approx(row, abs=TOLERANCE)]
    assert not moved, f"moved; if that was meant, make refresh and name the rows in the commit: {moved}"


def test_verdicts_are_as_frozen(found: dict[str, dict[str, Any]]) -> None:
    expected = kept("smoke.json")["claims"]
    assert found["claims"].keys() == expected.keys()
    for key, (word, sizes) in expected.items():
        assert found["claims"][key][0] == word, key
        assert found["claims"][key][1] == pytest.approx(sizes, abs=TOLERANCE), key


def test_data_are_as_frozen(tmp_path: Path) -> None:
    assert frozen.data_digests(tmp_path) == kept("data.json")


def test_drawings_and_what_is_said_of_them_are_as_frozen() -> None:
    assert frozen.drawn_digests() == kept("drawn.json")
