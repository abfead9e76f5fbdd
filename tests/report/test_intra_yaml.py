"""The printed numbers of the Intra-Modal Constraint paper beside what its text, notes and claims say."""

from __future__ import annotations

import pandas as pd
import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "intra_modal"
SHAPES = {"1": 18, "2": 15, "3": 5}
RECALLS = [f"{side}_r{k}" for side in ("image_query", "text_query") for k in (1, 5, 10)]
R1 = ("image_query_r1", "text_query_r1")
DISTANCES = ("msd", "cosine", "l2", "l1")


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def _sum(table: str, row: str, side: str) -> float:
    return sum(_value(table, row, f"{side}_query_r{k}") for k in (1, 5, 10))


def test_tables_have_their_columns_and_blocks():
    for number, table in read_paper(PAPER).tables.items():
        assert list(table.cells.columns) == [*RECALLS, "rsum"]
        assert table.section == ("3.4" if number == "3" else "3.3")
    blocks = [row.block for row in paper_table(PAPER, "1").rows]
    assert blocks == ["1K test images"] * 9 + ["5K test images"] * 9
    assert all(
        row.id.startswith(f"{block[:2].lower()}_")
        for row, block in zip(paper_table(PAPER, "1").rows, blocks, strict=True)
    )
    assert list(paper_table(PAPER, "3").cells.index) == ["lambda_0", *DISTANCES]


def test_the_method_has_rows_of_its_own():
    own = {number: [row.id for row in paper_table(PAPER, number).rows if row.own] for number in SHAPES}
    assert own == {"1": ["1k_imc", "5k_imc"], "2": ["imc"], "3": ["lambda_0", *DISTANCES]}


def test_rows_are_in_order_of_their_sums():
    for number, rows in SHAPES.items():
        sums = list(paper_table(PAPER, number).cells["rsum"])
        parts = [pd.Series(part) for part in ((sums[:9], sums[9:]) if number == "1" else (sums,))]
        assert sum(map(len, parts)) == rows
        assert all(part.dropna().is_monotonic_increasing for part in parts)


def test_settings_of_the_paper():
    settings, splits = paper_values(PAPER, "settings"), paper_values(PAPER, "splits")
    assert paper_values(PAPER, "figure_2") == {"peak": settings["weight"]}
    assert splits["coco_train"] == 82783 + 30504 and splits["flickr30k_train"] == 29000


def test_notes_say_where_the_paper_is_at_odds():
    notes = {number: " ".join(paper_table(PAPER, number).notes) for number in SHAPES}
    vse, none, imc = _value("2", "vse", "rsum"), _value("3", "lambda_0", "rsum"), _value("2", "imc", "rsum")
    assert all(f"{x:.1f}" in notes["2"] for x in (imc - vse, none - vse, vse, none, imc))
    others = [_value("2", row, "rsum") for row in paper_table(PAPER, 2).cells.index if row != "imc"]
    assert none > max(others)
    theirs = paper_table("rich_features", "3").cells.at["vse", "text_query_r10"]
    assert f"{_value('1', '5k_vse', 'text_query_r10')} here and {theirs}" in notes["1"]
    for table, row in (("2", "1k_imc"), ("3", "5k_imc")):
        sco = paper_table("rich_features", table).cells.at["sco", "rsum"]
        assert str(sco) in notes["1"] and sco > _value("1", row, "rsum")
    frame = paper_table(PAPER, 3).cells
    below = {(row, c) for row in DISTANCES for c in RECALLS if frame.loc[row, c] < frame.loc["lambda_0", c]}
    assert below == {
        ("msd", "image_query_r1"),
        ("msd", "image_query_r5"),
        ("l2", "image_query_r10"),
        ("l1", "text_query_r10"),
    }
    for row, column in below:
        assert f"({frame.loc[row, column]} against {frame.loc['lambda_0', column]})" in notes["3"]
    beaten = [c for c in RECALLS if frame.loc["l1", c] < frame.loc[list(DISTANCES), c].max()]
    assert beaten == ["image_query_r10", "text_query_r5", "text_query_r10"]
    for column in beaten:
        assert f"{frame.loc['l1', column]}; " in notes["3"] and str(frame[column].max()) in notes["3"]


@pytest.mark.parametrize(("name", "row"), [("early_cosine_helps", "cosine"), ("early_l1_helps", "l1")])
def test_claims_outside_the_tables_quote_them_too(name, row):
    sums = _value("3", row, "rsum"), _value("3", "lambda_0", "rsum")
    assert read_paper(PAPER).claims[name].paper.endswith("R-sum {} against {}".format(*sums))


def test_the_paper_itself_bears_out_what_it_claims_in_numbers():
    none = _value("3", "lambda_0", "rsum")
    assert all(_value("3", row, "rsum") > none for row in DISTANCES)
    for column in (*R1, "rsum"):
        assert _value("3", "l1", column) > max(_value("3", row, column) for row in DISTANCES[:3])
    assert all(
        _value("2", "imc", c) > _value("2", row, c) for row in ("vse", "cmka", "cvse") for c in RECALLS
    )
    assert _value("1", "5k_vse", R1[0]) > _value("1", "5k_imc", R1[0])


def test_the_gain_of_text_queries_is_quoted_from_the_recalls():
    text = read_paper(PAPER).claims["helps_text_more"].paper
    gains = {}
    for name, better, worse in (
        ("1k", ("1", "1k_imc"), ("1", "1k_vse")),
        ("5k", ("1", "5k_imc"), ("1", "5k_vse")),
        ("30k", ("3", "l1"), ("3", "lambda_0")),
    ):
        gains[name] = [f"{_sum(*better, side) - _sum(*worse, side):.1f}" for side in ("image", "text")]
    assert "{} points of recall (image) against {} (text) on MSCOCO 1K".format(*gains["1k"]) in text
    assert "{} against {} on 5K".format(*gains["5k"]) in text
    assert "L1 minus lambda = 0 is {} against {} on Flickr30k: the opposite".format(*gains["30k"]) in text
    assert float(gains["30k"][0]) > float(gains["30k"][1])


def test_claims_of_ours_are_marked():
    claims = read_paper(PAPER).claims
    ours = {name for name, claim in claims.items() if claim.section.startswith("ours, after section ")}
    assert ours == {
        "early_cosine_helps", "early_l1_helps", "helps_text_more", "network_beats_vse",
        "bilstm_and_glove_help", "l1_adds_four", "printed_helps", "released_cosine_helps",
        "released_distance_helps",
    }  # fmt: skip
    assert [name for name, claim in claims.items() if claim.bounds] == ["l1_adds_four"]
