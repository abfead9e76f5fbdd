"""The printed numbers of the Intra-Modal Constraint paper: complete, and equal to values typed by hand."""

from __future__ import annotations

import re

import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "intra_modal"
SHAPES = {"1": 16, "2": 15, "3": 5}
RECALLS = [f"{side}_r{k}" for side in ("image_query", "text_query") for k in (1, 5, 10)]
R1 = ("image_query_r1", "text_query_r1")
SUM = ("rsum",)
# Printed R-sums that are not the sums of their recalls.
ODD = {("3", "cosine"): 435.7}
DISTANCES = ("msd", "cosine", "l2", "l1")


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def _sum(table: str, row: str, side: str) -> float:
    return sum(_value(table, row, f"{side}_query_r{k}") for k in (1, 5, 10))


def test_all_tables_are_there_and_whole():
    assert tuple(read_paper(PAPER).tables) == tuple(SHAPES)
    for number, rows in SHAPES.items():
        table = paper_table(PAPER, number)
        assert table.cells.shape == (rows, 7) and not table.cells.isna().any(axis=None)
        assert list(table.cells.columns) == [*RECALLS, "rsum"]
        assert table.section == ("3.4" if number == "3" else "3.3")
    blocks = [row.block for row in paper_table(PAPER, "1").rows]
    assert blocks == ["1K test images"] * 9 + ["5K test images"] * 7
    assert all(
        row.id.startswith(f"{block[:2].lower()}_")
        for row, block in zip(paper_table(PAPER, "1").rows, blocks, strict=True)
    )
    assert list(paper_table(PAPER, "3").cells.index) == ["lambda_0", *DISTANCES]


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (1, "1k_gmm_fv", "image_query_r1", 39.4),
        (1, "1k_dvsa", "text_query_r10", 74.8),
        (1, "1k_top_k_ranking", "text_query_r5", 77.8),
        (1, "1k_nar", "image_query_r10", 95.4),
        (1, "1k_vse", "text_query_r5", 84.3),
        (1, "1k_imc", "rsum", 486.0),
        (1, "5k_gmm_fv", "text_query_r1", 10.8),
        (1, "5k_vqa_a", "rsum", 248.8),
        (1, "5k_cmpm", "image_query_r10", 73.9),
        (1, "5k_vse", "image_query_r1", 41.3),
        (1, "5k_imc", "text_query_r5", 61.7),
        (2, "knn_margin", "rsum", 319.6),
        (2, "bssan", "image_query_r10", 84.3),
        (2, "mdm", "text_query_r10", 77.7),
        (2, "cmpm_cmpc", "text_query_r5", 65.7),
        (2, "nar", "image_query_r5", 80.3),
        (2, "cvse", "image_query_r10", 90.2),
        (2, "cmka", "text_query_r1", 45.0),
        (3, "lambda_0", "text_query_r10", 83.2),
        (3, "msd", "image_query_r1", 56.7),
        (3, "cosine", "rsum", 435.9),
        (3, "l2", "text_query_r10", 83.4),
        (3, "l1", "text_query_r5", 74.8),
    ],
)
def test_values_typed_by_hand(table, row, column, value):
    assert paper_table(PAPER, table).cells.at[row, column] == pytest.approx(value, nan_ok=True)


def test_the_method_is_one_row_in_two_tables():
    assert paper_table(PAPER, 2).cells.loc["imc"].equals(paper_table(PAPER, 3).cells.loc["l1"])
    own = {number: [row.id for row in paper_table(PAPER, number).rows if row.own] for number in SHAPES}
    assert own == {"1": ["1k_imc", "5k_imc"], "2": ["imc"], "3": ["lambda_0", *DISTANCES]}


@pytest.mark.parametrize(
    ("table", "row", "paper", "theirs", "their_row"),
    [
        ("1", "1k_dpc", "instance_loss", "8", "1k_ours_resnet50_stage2"),
        ("1", "5k_dpc", "instance_loss", "8", "5k_ours_resnet50_stage2"),
        ("1", "1k_gmm_fv", "instance_loss", "8", "1k_gmm_fv"),
        ("1", "5k_vqa_a", "instance_loss", "8", "5k_vqa_a"),
        ("1", "1k_cmpm", "rich_features", "2", "cmpm"),
        ("1", "5k_cmpm", "rich_features", "3", "cmpm"),
        ("2", "dpc", "rich_features", "4", "dpc"),
        ("2", "sco", "rich_features", "4", "sco"),
        ("2", "cmpm_cmpc", "rich_features", "4", "cmpm"),
        ("2", "gmm_fv", "rich_features", "4", "fisher_vector"),
        ("2", "vse", "rich_features", "4", "vse"),
        ("1", "1k_vse", "rich_features", "2", "vse"),
    ],
)
def test_rows_agree_with_the_papers_they_come_from(table, row, paper, theirs, their_row):
    there = paper_table(paper, theirs).cells.loc[their_row, RECALLS].dropna()
    assert len(there) >= 4
    assert paper_table(PAPER, table).cells.loc[row, there.index].tolist() == there.tolist()


def test_sums_add_up_but_for_the_one_that_the_notes_name():
    found = {}
    for number in SHAPES:
        for row, line in paper_table(PAPER, number).cells.iterrows():
            total = round(line[RECALLS].sum(), 1)
            if total != line["rsum"]:
                found[number, row] = total
                notes = " ".join(paper_table(PAPER, number).notes)
                assert f"{line['rsum']:.1f}" in notes and f"{total:.1f}" in notes
            for side in ("image_query", "text_query"):
                part = line[[f"{side}_r{k}" for k in (1, 5, 10)]]
                assert part.is_monotonic_increasing and part.is_unique
    assert found == ODD


def test_rows_are_in_order_of_their_sums():
    for number, rows in SHAPES.items():
        sums = [_value(number, row, "rsum") for row in paper_table(PAPER, number).cells.index]
        parts = [sums[:9], sums[9:]] if number == "1" else [sums]
        assert sum(map(len, parts)) == rows and all(part == sorted(part) for part in parts)


def test_settings_of_the_paper():
    settings, splits = paper_values(PAPER, "settings"), paper_values(PAPER, "splits")
    assert [settings[name] for name in ("margin", "window_low", "window_high", "weight")] == [
        0.2,
        0.05,
        0.5,
        1,
    ]
    assert (settings["pairs_per_batch"], settings["epochs"], settings["epochs_before_decay"]) == (128, 30, 15)
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


# Claim -> table, rows whose numbers its text quotes, columns.
QUOTED = {
    "imc_beats_vse": [
        ("1", ("1k_imc", "1k_vse", "5k_imc", "5k_vse"), SUM),
        ("2", ("imc", "vse"), SUM),
    ],
    "imc_beats_vse_everywhere": [("2", ("imc", "vse"), RECALLS)],
    "every_distance_helps": [("3", (*DISTANCES, "lambda_0"), SUM)],
    "l1_best": [("3", ("l1", "l2", "cosine", "msd"), SUM)],
    "l1_best_r1": [("3", ("l1", "l2", "cosine", "msd"), R1)],
    "l1_adds_four": [("3", ("l1", "lambda_0"), SUM)],
    "released_cosine_helps": [("3", ("cosine", "lambda_0"), SUM)],
    "released_distance_helps": [("3", ("msd", "l2", "l1", "lambda_0"), SUM)],
}


@pytest.mark.parametrize("name", QUOTED)
def test_claims_quote_the_numbers_of_their_tables(name):
    claim = read_paper(PAPER).claims[name]
    quoted = {float(number) for number in re.findall(r"\d+\.\d+", claim.paper)}
    expected = set()
    for table, rows, columns in QUOTED[name]:
        expected |= {_value(table, row, column) for row in rows for column in columns}
        assert table in re.findall(r"\d", claim.section.split("Table")[-1])
        if claim.bounds:
            gain = _value(table, rows[0], columns[0]) - _value(table, rows[1], columns[0])
            assert claim.bounds[0] <= gain <= claim.bounds[1]
    assert quoted == expected


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


def test_claims_come_in_the_papers_order_and_ours_are_marked():
    claims = read_paper(PAPER).claims
    sections = [claim.section.removeprefix("ours, after ").split(",")[0] for claim in claims.values()]
    assert sections == sorted(sections) and len(claims) == 17
    ours = {name for name, claim in claims.items() if claim.section.startswith("ours, after section ")}
    assert ours == {
        "early_cosine_helps",
        "early_l1_helps",
        "helps_text_more",
        "l1_adds_four",
        "printed_helps",
        "released_cosine_helps",
        "released_distance_helps",
    }
    assert [name for name, claim in claims.items() if claim.bounds] == ["l1_adds_four"]
    assert all(claim.text.endswith(".") and claim.test for claim in claims.values())
