"""Files of fitted models: the same bytes from the same content, and nothing taken for what it is not."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from imtext.errors import DataError
from imtext.files import read_tensors, write_tensors

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.arange(3)}


def test_equal_content_gives_equal_bytes(tmp_path):
    found = set()
    for k in range(8):
        write_tensors(tmp_path / f"{k}", "example-1", ARRAYS, {"z": 1, "y": [2], "x": None})
        found.add((tmp_path / f"{k}").read_bytes())
    assert len(found) == 1


def test_what_is_written_is_read(tmp_path):
    write_tensors(tmp_path / "x", "example-1", ARRAYS, {"power": 4.0})
    arrays, settings = read_tensors(tmp_path / "x", "example-1", ("a", "b"))
    assert settings == {"power": 4.0}
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_what_is_cut_short_or_no_file_is_refused(tmp_path):
    write_tensors(tmp_path / "x", "example-1", ARRAYS, {})
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-9])
    for path in (tmp_path / "x", tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="expected a file of kind example-1"):
            read_tensors(path, "example-1", ("a",))


@pytest.mark.parametrize(
    "about", [None, {}, {"imtext": "[]"}, {"imtext": "{"}, {"imtext": '{"kind": "example-2"}'}]
)
def test_another_file_is_refused(tmp_path, about):
    save_file(ARRAYS, tmp_path / "x", about)
    with pytest.raises(DataError, match="expected a file of kind example-1"):
        read_tensors(tmp_path / "x", "example-1", ("a",))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    write_tensors(tmp_path / "x", "example-1", {"a": np.array([1.0, np.nan])}, {})
    with pytest.raises(DataError, match="NaN"):
        read_tensors(tmp_path / "x", "example-1", ("a",))
