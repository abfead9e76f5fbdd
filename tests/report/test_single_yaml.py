"""The printed numbers of the Single Network paper: complete, and equal to values typed by hand."""

from __future__ import annotations

import re

import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "single_network"
SHAPES = {"1": (10, 6), "2": (7, 6)}
# Cells that the paper prints as a dash.
EMPTY = {"1": 10, "2": 2}
OWN = ("config_standard", "config_2")
SIDES = ("image_query", "text_query")
RECALLS = [f"{side}_r{k}" for side in SIDES for k in (1, 5, 10)]


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def test_both_tables_are_there():
    assert tuple(read_paper(PAPER).tables) == tuple(SHAPES)
    for number, shape in SHAPES.items():
        table = paper_table(PAPER, number)
        assert table.cells.shape == shape and list(table.cells) == RECALLS
        assert int(table.cells.isna().sum().sum()) == EMPTY[number]
        assert tuple(row.id for row in table.rows if row.own) == OWN == tuple(table.cells.index[-2:])
        assert {row.block for row in table.rows} == {"Separate networks", "One network"}
        assert table.section == "5.2" and "1,000" in table.split


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (1, "dvsa", "text_query_r10", 74.8),
        (1, "hm_lstm", "image_query_r5", float("nan")),
        (1, "hm_lstm", "text_query_r10", 86.7),
        (1, "m_rnn_vgg", "text_query_r5", 42.2),
        (1, "order_embedding", "image_query_r1", 46.7),
        (1, "order_embedding", "text_query_r5", float("nan")),
        (1, "mcnn_ensemble", "image_query_r10", 84.1),
        (1, "structure_preserving", "text_query_r1", 39.6),
        (1, "text_cnn", "text_query_r10", 55.5),
        (1, "fv_hglmm", "image_query_r5", 40.5),
        (1, "config_standard", "image_query_r1", float("nan")),
        (1, "config_2", "image_query_r1", 12.50),
        (1, "config_2", "image_query_r5", 30.10),
        (1, "config_2", "image_query_r10", 40.0),
        (1, "config_2", "text_query_r1", 11.18),
        (1, "config_2", "text_query_r5", 32.22),
        (1, "config_2", "text_query_r10", 45.76),
        (2, "deep_cca", "image_query_r5", 56.9),
        (2, "two_way_net", "text_query_r5", 55.6),
        (2, "two_way_net", "image_query_r10", float("nan")),
        (2, "config_standard", "image_query_r10", 36.8),
        (2, "config_standard", "text_query_r1", 8.2),
        (2, "config_standard", "text_query_r5", 22.82),
        (2, "config_2", "image_query_r1", 14.5),
        (2, "config_2", "image_query_r5", 33.0),
        (2, "config_2", "text_query_r5", 26.74),
        (2, "config_2", "text_query_r10", 37.2),
    ],
)
def test_values_typed_by_hand(table, row, column, value):
    assert paper_table(PAPER, table).cells.at[row, column] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("table", "row", "paper", "theirs", "their_row"),
    [
        ("1", "dvsa", "structure_preserving", "2", "dvsa"),
        ("1", "m_rnn_vgg", "structure_preserving", "2", "m_rnn_vgg"),
        ("1", "mcnn_ensemble", "structure_preserving", "2", "mcnn_ensemble"),
        ("1", "structure_preserving", "structure_preserving", "2", "fv_nonlinear_bi_structure"),
        ("2", "mcnn_ensemble", "structure_preserving", "1", "mcnn_ensemble"),
        ("2", "m_rnn_vgg", "structure_preserving", "1", "m_rnn_vgg"),
        ("2", "deep_cca", "structure_preserving", "1", "deep_cca"),
        ("2", "structure_preserving", "structure_preserving", "1", "fv_nonlinear_bi_structure"),
        ("2", "two_way_net", "rich_features", "4", "two_way_net"),
    ],
)
def test_rows_agree_with_other_papers_that_have_them(table, row, paper, theirs, their_row):
    here = paper_table(PAPER, table).cells.loc[row, RECALLS]
    there = paper_table(paper, theirs).cells.loc[their_row, RECALLS]
    assert here.equals(there.rename(here.name))


def test_recall_grows_with_k():
    for number in SHAPES:
        for _, line in paper_table(PAPER, number).cells.iterrows():
            for side in SIDES:
                part = line[[f"{side}_r{k}" for k in (1, 5, 10)]].dropna()
                assert part.is_monotonic_increasing and part.is_unique


def test_notes_say_what_the_tables_leave_out():
    first, second = (" ".join(paper_table(PAPER, number).notes) for number in SHAPES)
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
    settings, sizes = paper_values(PAPER, "settings"), paper_values(PAPER, "sizes")
    assert settings == {"learning_rate": 0.001, "images_per_batch": 45, "embedding": 128}
    assert sizes == {"image": 256, "text_crop": 227}
    groups, splits = paper_values(PAPER, "groups"), paper_values(PAPER, "splits")
    assert (groups["standard_images"], groups["standard_texts"]) == (1, splits["captions"])
    assert (groups["config_2_images"], groups["config_2_texts"]) == (2, 2 * splits["captions"])
    assert (splits["flickr30k"], splits["coco"]) == (31_783, 123_287)
    assert paper_values(PAPER, "table_3")["captions_fourth_image"] == 4


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


def test_claims_come_in_the_papers_order_and_say_which_are_ours():
    claims = read_paper(PAPER).claims
    assert len(claims) == 17 and all(claim.test and claim.text.endswith(".") for claim in claims.values())
    places = [claim.section.removeprefix("ours, after ").split(",")[0] for claim in claims.values()]
    assert places[0] == "abstract" and places[1:] == sorted(places[1:])
    ours = {name for name, claim in claims.items() if claim.section.startswith("ours")}
    assert ours == {
        "softmax_prevents_collapse",
        "centre_helps",
        "false_matches_beat_others",
        "order_changes",
        "similarity_follows_people",
    }
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
