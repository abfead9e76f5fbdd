"""The rows of a paper's notebook are those that its file names, and every claim has rows or a measure."""

import pandas as pd
import pytest
from notebook_source import NOTEBOOKS, defined

from imtext.papers import rich_features
from imtext.publish.results import rows_of

TIMED = ("vse", "vse_rfe", "scan", "scan_rfe")
SECONDS = {(row, part): [1.0] for row in TIMED for part in rich_features.PARTS}
# Rows that only a claim compares, and measures that the notebook hands over beside those of its study.
MORE_ROWS = {"rich_features": {"scan-ti-avg", "scan-ti-avg-it-lse"}}
MORE_MEASURES = {
    "rich_features": {*rich_features.Times(pd.DataFrame(SECONDS)).measures()},
    "single_network": {"softmax_prevents_collapse"},
}


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_the_keys_of_the_notebook_are_those_of_the_file(name):
    smoke = defined(name)
    full = defined(name, profile="full", dataset="flickr8k", data_root="x")
    paper = smoke["study"].paper
    named = {line.run for table in paper.tables.values() for line in table.lines if line.run}
    named |= MORE_ROWS.get(name, set())
    assert {*smoke["rows"], *full["rows"]} == named
    for claim in paper.claims.values():
        measured = claim.id in {*smoke["study"].measures, *MORE_MEASURES.get(name, ())}
        of_all_models = name == "single_network" and claim.table == "3"
        assert set(rows_of(claim)) <= named, claim.id
        assert [bool(claim.compare), measured, of_all_models].count(True) == 1, claim.id
    for table in paper.tables.values():
        assert all(row.run for row in table.rows if row.own) or (name, table.number) == ("rich_features", "5")
