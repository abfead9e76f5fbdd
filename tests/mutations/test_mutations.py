"""Five hundred broken files of every format: each is read well or refused in one line, and nothing else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutate import mutate
from targets import TARGETS, Target
from trial import bench, complaint

from imtext.errors import DataError, one_line


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_broken_file_is_read_well_or_refused_in_one_line(target: Target) -> None:
    with bench(target) as place:

        @settings(
            max_examples=500,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 3))
        def holds(seed: int, steps: int) -> None:
            outcome = place.trial(seed, steps)
            assert not outcome.fault, f"{target.name}, seed {seed}: {outcome.what}\n{outcome.fault}"

        holds()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_whole_example_is_there_again_after_each_mutation(target: Target) -> None:
    with bench(target) as place:
        for seed in range(12):
            place.trial(seed)
        for path, content in place.whole.items():
            assert path.is_dir() if content is None else path.read_bytes() == content
        assert sorted(place.example.rglob("*")) == sorted(place.whole)


def test_mutations_change_the_file_and_are_the_same_for_the_same_seed() -> None:
    data = b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}\n' * 2
    for name in ("x.json", "x.txt", "x.npy", "x.bin"):
        results = [mutate(Random(seed), name, data) for seed in range(200)]
        assert results == [mutate(Random(seed), name, data) for seed in range(200)]
        assert sum(result[0] != data for result in results) > 180


def test_messages_hold_no_character_that_a_terminal_obeys_and_stay_short() -> None:
    nasty = "a.json: found \x1b[2J\x07\u202e\ud800\x00" + "\u00e9\x9b" * 5000 + "\r\nend; correct it"
    message = str(DataError(nasty))
    assert message.startswith("a.json: found \\x1b[2J\\x07\\u202e\\ud800\\x00\u00e9\\x9b")
    assert message.endswith("end; correct it")
    assert message.isprintable() and len(message) <= 560
    assert one_line(message) == message
    assert one_line("caf\u00e9 \u732b \U0001f408\u2028x") == "caf\u00e9 \u732b \U0001f408 x"


def test_what_is_wrong_with_a_message_is_seen(tmp_path) -> None:
    assert complaint("a.txt: bad", tmp_path, ["a.txt"]) == ""
    assert "names no file" in complaint("it is bad", tmp_path, ["a.txt"])
    assert "no text" in complaint("a.txt: \x1b[2J", tmp_path, ["a.txt"])
    assert "600 characters" in complaint("a.txt".ljust(600), tmp_path, ["a.txt"])
