"""The printed numbers of the Single Network paper beside what its text, notes and claims say of them."""

from __future__ import annotations

import re

import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "single_network"
OWN = ("config_standard", "config_2")
SIDES = ("image_query", "text_query")
RECALLS = [f"{side}_r{k}" for side in SIDES for k in (1, 5, 10)]


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def test_both_tables_of_recalls_have_the_same_columns_and_blocks():
    for table in (paper_table(PAPER, number) for number in (1, 2)):
        assert list(table.cells) == RECALLS
        assert tuple(row.id for row in table.rows if row.own) == OWN == tuple(table.cells.index[-2:])
        assert {row.block for row in table.rows} == {"Separate networks", "One network"}
        assert table.section == "5.2" and "1,000" in table.split


def test_notes_say_what_the_tables_leave_out():
    first, second = (" ".join(paper_table(PAPER, number).notes) for number in (1, 2))
    assert paper_table(PAPER, 1).cells.loc["config_standard"].isna().all() and "a dash in all six" in first
    frame = paper_table(PAPER, 1).cells
    own, others = frame.loc["config_2"], frame.loc[["text_cnn", "fv_hglmm"]]
    above = [
        (row, column) for row in others.index for column in RECALLS if own[column] > others.loc[row, column]
    ]
    assert above == [("text_cnn", "text_query_r1")]
    assert f"{own['text_query_r1']} against {others.loc['text_cnn', 'text_query_r1']}" in first
    assert "mirror image" in second and f"{paper_values(PAPER, 'splits')['flickr30k']:,}" in second


def test_settings_of_the_paper():
    groups, splits = paper_values(PAPER, "groups"), paper_values(PAPER, "splits")
    assert (groups["standard_images"], groups["standard_texts"]) == (1, splits["captions"])
    assert (groups["config_2_images"], groups["config_2_texts"]) == (2, 2 * splits["captions"])
    assert (splits["flickr30k"], splits["coco"]) == (31_783, 123_287)
    shown = [row.block for row in paper_table(PAPER, 3).rows]
    assert [shown.count(f"Image {n}") for n in range(1, 6)] == [5, 5, 5, 4, 5]
    assert paper_values(PAPER, "table_3") == {"images": 5, "sentences": 5, "captions_fourth_image": 4}


# Claim -> table, rows in the order of its text, columns.
QUOTED = {
    "one_network_comparable": [
        ("1", ("config_2", "structure_preserving"), ("image_query_r1", "text_query_r1")),
        ("2", ("config_2", "two_way_net"), ("image_query_r1", "text_query_r1")),
    ],
    "recall_is_low": [
        ("1", ("structure_preserving", "config_2"), ("image_query_r1", "text_query_r1")),
        ("2", ("structure_preserving", "config_2"), ("image_query_r1", "text_query_r1")),
    ],
}


@pytest.mark.parametrize("claim", QUOTED)
def test_claims_quote_the_tables(claim):
    found = [float(number) for number in re.findall(r"\d+\.\d+", read_paper(PAPER).claims[claim].paper)]
    expected = [
        _value(table, row, column)
        for table, rows, columns in QUOTED[claim]
        for column in columns
        for row in rows
    ]
    assert found == expected


def test_the_best_others_are_those_quoted():
    for table, row in (("1", "structure_preserving"), ("2", "two_way_net")):
        frame = paper_table(PAPER, table).cells.drop(index=list(OWN))
        assert {frame[f"{side}_r1"].idxmax() for side in SIDES} == {row}


def test_the_claim_on_configurations_quotes_both_rows_and_holds_in_the_paper():
    text = read_paper(PAPER).claims["config_2_beats_standard"].paper
    found = [float(number) for number in re.findall(r"\d+\.\d+", text)]
    rows = ("config_2", "config_standard")
    expected = [_value("2", row, f"{side}_r{k}") for side in SIDES for row in rows for k in (1, 5, 10)]
    assert found == expected
    frame = paper_table(PAPER, 2).cells
    assert (frame.loc["config_2"] > frame.loc["config_standard"]).all()


def test_claims_say_which_are_ours_and_their_bounds():
    claims = read_paper(PAPER).claims
    ours = {name for name, claim in claims.items() if claim.section.startswith("ours")}
    assert ours == {
        "rendering_keeps_captions", "softmax_prevents_collapse", "centre_helps",
        "false_matches_beat_others", "order_changes", "similarity_follows_people",
    }  # fmt: skip
    # What the paper does not say has no number of its.
    assert all(not re.search(r"\d", claims[name].paper) for name in ours)
    bounds = {name: claim.bounds for name, claim in claims.items() if claim.bounds}
    infinite = float("-inf")
    assert bounds == {
        "one_network_comparable": [-5, 5],
        "one_network_equals_two": [infinite, 2],
        "more_images_do_not_help": [infinite, 1],
        "modalities_overlap": [0.75, 1.25],
    }
