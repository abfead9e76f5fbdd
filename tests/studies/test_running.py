"""Rows that start from others: order, sharing, several starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imtext.studies.preparation import DataSpec
from imtext.studies.running import run_all

DONE: list[tuple[str, list[str]]] = []


@dataclass(frozen=True)
class Small:
    """A row that writes down what it started from."""

    slug: str
    start: Any = None
    device: str = "cpu"
    data: Any = DataSpec()
    study: str = "small"
    effort: int = field(default=0, compare=False)

    def config(self) -> dict[str, Any]:
        return {"slug": self.slug}

    def warm(self) -> None:
        pass

    def compute(self, run: Any, start: Any) -> None:
        runs = start if isinstance(start, tuple) else () if start is None else (start,)
        DONE.append((self.slug, [one.config["slug"] for one in runs]))
        run.save_json("metrics.json", {"test": {"rsum": 1.0}})


def test_a_row_runs_after_all_it_starts_from_and_each_row_once(tmp_path):
    DONE.clear()
    one, two = Small("one"), Small("two", effort=5)
    tuned = Small("tuned", one)
    both = Small("both", (tuned, two), effort=9)
    runs = run_all([both, one], tmp_path)
    assert [run.config["slug"] for run in runs] == ["both", "one"]
    assert DONE == [("one", []), ("two", []), ("tuned", ["one"]), ("both", ["tuned", "two"])]
    run_all([both], tmp_path)
    assert len(DONE) == 4


def test_rows_that_nobody_waits_for_stand_beside_the_last_ones(tmp_path):
    DONE.clear()
    one, alone = Small("one"), Small("alone", effort=1)
    long = Small("long", one, effort=5)
    # Asked for twice, as a row of its own and as a start, and a start at two distances.
    run_all([alone, one, long, Small("last", (one, long), effort=9)], tmp_path)
    assert [slug for slug, _ in DONE] == ["one", "long", "last", "alone"]
