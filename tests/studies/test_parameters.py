"""Notebook parameters: every wrong one is one clear line."""

from pathlib import Path

import pytest

from imtext.errors import ConfigError
from imtext.studies.parameters import check_parameters

TABLES = ("2", "5", "6")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": 3}, "parameter dataset must be a text"),
        ({"data_root": 3}, "parameter data_root must be a folder"),
        ({"profile": "fast"}, "parameter profile must be one of smoke, quick, paper, found 'fast'"),
        ({"profile": None}, "parameter profile must be a text"),
        ({"seeds": "a"}, "parameter seeds must be whole numbers"),
        ({"seeds": []}, "parameter seeds must be different numbers"),
        ({"seeds": [0, 0]}, "parameter seeds must be different numbers"),
        ({"seeds": -1}, "parameter seeds must be different numbers"),
        ({"seeds": 0.5}, "parameter seeds must be whole numbers"),
        ({"seeds": True}, "parameter seeds must be whole numbers"),
        ({"device": "tpu"}, "device must be"),
        ({"runs_dir": 5}, "parameter runs_dir must be a folder"),
        ({"tables": "9"}, "parameter tables must be 'all' or among 2, 5, 6"),
        ({"tables": []}, "parameter tables must be"),
    ],
)
def test_wrong_parameters(given, said):
    with pytest.raises(ConfigError) as error:
        check_parameters(TABLES, **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_forms_that_papermill_gives():
    assert check_parameters(TABLES, seeds="0, 2").seeds == (0, 2)
    assert check_parameters(TABLES, seeds=3).seeds == (3,)
    assert check_parameters(TABLES, tables="6,2").tables == ("2", "6")
    assert check_parameters(TABLES, tables=[5]).tables == ("5",)
    assert check_parameters(TABLES, data_root="").data_root is None


def test_runs_go_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("IMTEXT_RUNS", "elsewhere")
    assert check_parameters(TABLES).runs_dir == Path("elsewhere")
    assert check_parameters(TABLES, runs_dir="here").runs_dir == Path("here")
