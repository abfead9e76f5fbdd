"""The printed numbers of the Rich Features paper: complete, and equal to values typed by hand."""

from __future__ import annotations

import re

import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "rich_features"
ROWS = (4, 31, 16, 28, 4, 9, 7, 2, 2, 2)
SHAPES = {str(number): rows for number, rows in enumerate(ROWS, start=1)}
ROMAN = dict(zip(SHAPES, ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"), strict=True))
RECALLS = [f"{side}_r{k}" for side in ("image_query", "text_query") for k in (1, 5, 10)]
R1 = ("image_query_r1", "text_query_r1")
# Cells that the paper prints as a dash.
EMPTY = {"2": 9, "3": 9, "4": 6, "6": 3, "7": 3, "8": 3}
# Printed R-sums that are not the sums of their recalls.
ODD = {
    ("1", "margin_0_6"): 400.4,
    ("2", "m_rnn"): 370.8,
    ("2", "scan_rfe_t_i_avg_t_i_lse"): 515.0,
    ("3", "sco"): 369.6,
    ("7", "avg_4_max_1234"): 375.3,
}


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def test_all_tables_are_there():
    assert tuple(read_paper(PAPER).tables) == tuple(SHAPES)
    for number, rows in SHAPES.items():
        table = paper_table(PAPER, number)
        assert table.cells.shape == (rows, 4 if number == "5" else 7)
        assert int(table.cells.isna().sum().sum()) == EMPTY.get(number, 0)
        assert table.caption.endswith(f"(Table {ROMAN[number]})") and table.section.startswith("IV-")


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (1, "margin_0_1", "rsum", 400.5),
        (1, "margin_0_3", "text_query_r5", 71.2),
        (2, "skip_thought", "image_query_r10", 82.1),
        (2, "two_way_net", "image_query_r10", float("nan")),
        (2, "gxn", "text_query_r10", 94.5),
        (2, "ensemble", "rsum", 510.6),
        (2, "scan_t_i_lse_i_t_avg", "text_query_r1", 58.8),
        (2, "scan_rfe_i_t_avg", "text_query_r5", 84.9),
        (3, "oem", "text_query_r5", float("nan")),
        (3, "scan_i_t_lse", "image_query_r5", 77.4),
        (3, "scan_rfe_t_i_avg_i_t_lse", "text_query_r1", 39.9),
        (4, "rtp", "image_query_r1", 37.4),
        (4, "rfe", "rsum", 423.9),
        (4, "scan_i_t_avg", "image_query_r10", 94.4),
        (4, "scan_rfe_t_i_lse", "text_query_r5", 77.9),
        (5, "vse_rfe", "test_seconds_spread", 1.665),
        (5, "scan", "train_seconds", 0.95),
        (5, "scan_rfe", "test_seconds", 402.39),
        (6, "bigru_emb_max", "text_query_r10", 93.5),
        (6, "avg_1234_max_1234", "image_query_r5", 94.1),
        (7, "avg_4_max_34", "image_query_r10", 84.6),
        (7, "vse", "rsum", float("nan")),
        (8, "vse", "text_query_r10", 79.5),
        (9, "rerank", "image_query_r1", 72.8),
        (10, "rerank", "text_query_r10", 80.9),
    ],
)
def test_values_typed_by_hand(table, row, column, value):
    assert paper_table(PAPER, table).cells.at[row, column] == pytest.approx(value, nan_ok=True)


def test_tables_agree_where_the_paper_repeats_itself():
    for one, other, rows in (
        ("2", "6", ("vse", "ensemble")),
        ("3", "7", ("vse", "ensemble")),
        ("4", "8", ("vse",)),
        ("8", "10", ("gru_emb_avg",)),
    ):
        for row in rows:
            first, second = (paper_table(PAPER, number).cells.loc[row] for number in (one, other))
            assert first.equals(second)
    frames = {number: paper_table(PAPER, number).cells for number in ("1", "4", "8", "10")}
    assert frames["1"].loc["margin_0_2"].tolist() == frames["8"].loc["gru_emb_avg"].tolist()
    assert frames["4"].loc["rfe"].tolist() == frames["10"].loc["rerank"].tolist()


@pytest.mark.parametrize(
    ("table", "row", "paper", "theirs", "their_row"),
    [
        ("4", "dpc", "instance_loss", "1", "ours_resnet152_stage2"),
        ("2", "dpc", "instance_loss", "8", "1k_ours_resnet50_stage2"),
        ("3", "dpc", "instance_loss", "8", "5k_ours_resnet50_stage2"),
        ("4", "sm_lstm", "instance_loss", "1", "sm_lstm"),
        ("2", "rrf", "instance_loss", "8", "1k_rrf_net"),
        ("4", "dspe", "structure_preserving", "1", "fv_nonlinear_bi_structure"),
        ("2", "dspe", "structure_preserving", "2", "fv_nonlinear_bi_structure"),
    ],
)
def test_rows_agree_with_the_paper_they_are_taken_from(table, row, paper, theirs, their_row):
    there = paper_table(paper, theirs).cells.loc[their_row, RECALLS].dropna()
    assert len(there) >= 5
    assert paper_table(PAPER, table).cells.loc[row, there.index].tolist() == there.tolist()


def test_sums_add_up_but_for_those_that_the_notes_name():
    found = {}
    for number in SHAPES:
        if number == "5":
            continue
        for row, line in paper_table(PAPER, number).cells.dropna().iterrows():
            total = round(line[RECALLS].sum(), 1)
            if total != line["rsum"]:
                found[number, row] = total
                notes = " ".join(paper_table(PAPER, number).notes)
                assert f"{line['rsum']:.1f}" in notes and f"{total:.1f}" in notes
    assert found == ODD


def test_recall_grows_with_k():
    for number in SHAPES:
        if number == "5":
            continue
        for _, line in paper_table(PAPER, number).cells.iterrows():
            for side in ("image_query", "text_query"):
                part = line[[f"{side}_r{k}" for k in (1, 5, 10)]].dropna()
                assert part.is_monotonic_increasing and part.is_unique


def test_gains_of_the_text_are_differences_of_its_tables():
    gains, pairs = paper_values(PAPER, "gains"), {}
    for name, table, better, worse in (
        ("scan_coco", "2", "scan_rfe_t_i_avg_t_i_lse", "scan_t_i_lse_i_t_avg"),
        ("scan_coco_5k", "3", "scan_rfe_t_i_avg_t_i_lse", "scan_t_i_avg_i_t_lse"),
        ("scan_flickr30k", "4", "scan_rfe_t_i_avg_i_t_lse", "scan_t_i_avg_i_t_lse"),
    ):
        for side in ("image", "text"):
            pairs[f"{name}_{side}_r1"] = [_value(table, row, f"{side}_query_r1") for row in (better, worse)]
    pairs["sco_coco_rsum"] = [_value("2", row, "rsum") for row in ("ensemble", "sco")]
    pairs["sco_coco_5k_rsum"] = [_value("3", row, "rsum") for row in ("ensemble", "sco")]
    pairs["sco_flickr30k_rsum"] = [_value("4", row, "rsum") for row in ("rfe", "sco")]
    base = _value("6", "bigru_emb_avg", "rsum")
    pairs["max_4_rsum"] = [_value("6", "avg_4_max_4", "rsum"), base]
    pairs["max_1234_rsum"] = [_value("9", "avg_4_max_1234", "rsum"), base]
    assert {name: round(a - b, 1) for name, (a, b) in pairs.items()} == gains


def test_settings_of_the_paper():
    settings, sizes = paper_values(PAPER, "settings"), paper_values(PAPER, "sizes")
    assert (settings["margin"], settings["pairs_per_batch"], settings["epochs"]) == (0.2, 128, 36)
    assert (sizes["hidden"], sizes["word_vector"], sizes["crop"]) == (1024, 300, 224)
    assert [sizes["crop"] // sizes[f"kernel_c{n}"] for n in (1, 2, 3, 4)] == [4, 8, 16, 32]
    assert paper_values(PAPER, "timing")["runs"] == 10


# Claim -> table, rows whose numbers its text quotes, columns.
SUM = ("rsum",)
VARIANTS = ("t_i_lse", "t_i_avg", "i_t_lse", "i_t_avg")
QUOTED = {
    "margin_two_tenths_best": [("1", ("margin_0_2", "margin_0_1", "margin_0_3", "margin_0_6"), SUM)],
    "scan_rfe_beats_scan_each": [
        ("2", tuple(f"{model}_{v}" for v in VARIANTS for model in ("scan_rfe", "scan")), SUM)
    ],
    "scan_rfe_pair_beats_scan_pair": [
        ("2", ("scan_rfe_t_i_avg_t_i_lse", "scan_t_i_lse_i_t_avg"), R1),
        ("4", ("scan_rfe_t_i_avg_i_t_lse", "scan_t_i_avg_i_t_lse"), R1),
    ],
    "rfe_takes_longer": [("5", ("vse_rfe", "vse", "scan_rfe", "scan"), ("train_seconds", "test_seconds"))],
    "scan_scores_slowly": [("5", ("scan", "vse", "scan_rfe", "vse_rfe"), ("test_seconds",))],
    "ti_avg_best_variant": [
        ("2", tuple(f"scan_rfe_{v}" for v in ("t_i_avg", "t_i_lse", "i_t_lse", "i_t_avg")), SUM)
    ],
    "mean_words_help": [("6", ("gru_emb_avg", "vse"), R1), ("8", ("gru_emb_avg", "vse"), R1)],
    "mean_words_add_five": [("6", ("gru_emb_avg", "vse"), R1)],
    "bigru_helps": [("6", ("bigru", "vse"), R1)],
    "bigru_and_words_beat_either": [("6", ("bigru_emb_avg", "gru_emb_avg", "bigru"), SUM)],
    "max_words_help": [("6", ("bigru_emb_max", "bigru"), SUM)],
    "mean_words_beat_max_words": [("6", ("bigru_emb_avg", "bigru_emb_max"), SUM)],
    "max_c4_helps": [("6", ("avg_4_max_4", "bigru_emb_avg"), R1)],
    "max_c4_adds_three": [("6", ("avg_4_max_4", "bigru_emb_avg"), SUM)],
    "all_maxima_best": [("7", ("avg_4_max_1234", "avg_4_max_4", "avg_4_max_34", "avg_4_max_123"), SUM)],
    "low_maxima_alone_do_not_help": [("7", ("avg_4_max_123", "bigru_emb_avg"), SUM)],
    "reranking_helps": [("9", ("rerank", "avg_4_max_1234"), SUM), ("10", ("rerank", "gru_emb_avg"), SUM)],
    "reranking_adds_one": [("9", ("rerank", "avg_4_max_1234"), SUM), ("10", ("rerank", "gru_emb_avg"), SUM)],
    "ensemble_helps_everywhere": [("7", ("ensemble", "avg_4_max_1234"), RECALLS)],
}


@pytest.mark.parametrize("name", QUOTED)
def test_claims_quote_the_numbers_of_their_tables(name):
    claim = read_paper(PAPER).claims[name]
    quoted = {float(number) for number in re.findall(r"\d+\.\d+", claim.paper)}
    for table, rows, columns in QUOTED[name]:
        values = {(row, column): _value(table, row, column) for row in rows for column in columns}
        assert set(values.values()) <= quoted
        assert ROMAN[table] in re.findall(r"[IVX]+", claim.section.split("Table")[-1])
        if claim.bounds:
            for column in columns:
                assert claim.bounds[0] <= values[rows[0], column] - values[rows[1], column] <= claim.bounds[1]


def test_claims_across_tables_quote_differences_and_means():
    claims = read_paper(PAPER).claims
    gains = [
        sum(_value(table, f"scan_rfe_{v}", "rsum") - _value(table, f"scan_{v}", "rsum") for v in VARIANTS) / 4
        for table in ("2", "4")
    ]
    assert (
        "{:.1f} points of R-sum on MS COCO, {:.1f} on".format(*gains) in claims["scan_rfe_beats_scan"].paper
    )
    shares = claims["less_extra_for_deeper_base"].paper
    for column in ("train_seconds", "test_seconds"):
        for rich, base in (("vse_rfe", "vse"), ("scan_rfe", "scan")):
            extra = 100 * (_value("5", rich, column) / _value("5", base, column) - 1)
            assert f"{extra:.1f} %" in shares
    best, ensemble = _value("9", "avg_4_max_1234", "rsum"), _value("6", "ensemble", "rsum")
    assert f"{ensemble} against {best}" in claims["ensemble_adds_nine"].paper
    low, high = claims["ensemble_adds_nine"].bounds
    assert low <= ensemble - best <= high
    assert f"{best} against {_value('6', 'bigru_emb_avg', 'rsum')}" in claims["all_maxima_help"].paper


def test_claims_come_in_the_papers_order():
    claims = read_paper(PAPER).claims
    places = [claim.section.removeprefix("ours, after ") for claim in claims.values()]
    sections = [place.split(",")[0] for place in places]
    assert sections == sorted(sections) and len(claims) == 27
    lowest = [claim.bounds[0] for claim in claims.values() if claim.bounds]
    assert len(lowest) == 7 and lowest.count(float("-inf")) == 3
    assert all(claim.test and claim.text.endswith(".") for claim in claims.values())


def test_notes_say_where_text_and_table_differ():
    notes = {number: " ".join(paper_table(PAPER, number).notes) for number in SHAPES}
    assert "avg-4-GRU-emb-avg-rerank" in notes["4"] and "RFE" in notes["10"]
    for number in ("2", "4"):
        for model in ("scan_rfe", "scan"):
            assert str(_value(number, f"{model}_i_t_avg", "rsum")) in notes[number]
        above = [
            _value(number, f"scan_rfe_{v}", "rsum") > _value(number, f"scan_{v}", "rsum") for v in VARIANTS
        ]
        assert above == [True, True, True, False]
    absent = {"avg_4_max_123", "avg_4_max_34", "avg_4_max_1234"}
    assert not absent & set(paper_table(PAPER, 6).cells.index)
    assert absent <= set(paper_table(PAPER, 7).cells.index)
    assert all(row.replace("_", "-") in notes["6"] for row in absent)
    below = paper_table(PAPER, 3).cells
    below = below.loc["scan_rfe_t_i_avg_t_i_lse"] < below.loc["scan_t_i_avg_i_t_lse"]
    assert list(below[below].index) == ["text_query_r5", "text_query_r10"]
