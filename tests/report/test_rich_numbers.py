"""The printed numbers of the Rich Features paper beside what its text, notes and claims say of them."""

from __future__ import annotations

from imtext.report import paper_table, paper_values, read_paper

PAPER = "rich_features"
NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
ROMAN = {str(number): numeral for number, numeral in enumerate(NUMERALS, start=1)}


def _value(table: str, row: str, column: str) -> float:
    value = paper_table(PAPER, table).cells.at[row, column]
    assert value >= 0
    return value


def test_tables_have_their_numerals_and_sections():
    for number, table in read_paper(PAPER).tables.items():
        assert table.caption.endswith(f"(Table {ROMAN[number]})") and table.section.startswith("IV-")


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
    for k in (1, 5, 10):
        recalls = [_value("3", row, f"image_query_r{k}") for row in ("ensemble", "sco")]
        pairs[f"sco_coco_5k_image_r{k}"] = recalls
    base = _value("6", "bigru_emb_avg", "rsum")
    pairs["max_4_rsum"] = [_value("6", "avg_4_max_4", "rsum"), base]
    pairs["max_1234_rsum"] = [_value("9", "avg_4_max_1234", "rsum"), base]
    assert {name: round(a - b, 1) for name, (a, b) in pairs.items()} == gains
    shown = paper_values(PAPER, "shown")
    assert [shown["rsum_max_1234"], shown["rsum_avg_4"]] == pairs["max_1234_rsum"]
    assert shown["rsum_reranked"] == _value("9", "rerank", "rsum")


def test_kernels_and_timed_runs_of_the_paper():
    sizes = paper_values(PAPER, "sizes")
    assert [sizes["crop"] // sizes[f"kernel_c{n}"] for n in (1, 2, 3, 4)] == [4, 8, 16, 32]
    assert paper_values(PAPER, "timing")["runs"] == 10


VARIANTS = ("t_i_lse", "t_i_avg", "i_t_lse", "i_t_avg")


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
    none = _value("6", "bigru_emb_avg", "rsum")
    for name in ("all_maxima_help", "all_maxima_add_four"):
        assert f"{best} against {none}" in claims[name].paper
    low, high = claims["all_maxima_add_four"].bounds
    assert low <= best - none <= high


def test_eight_claims_have_bounds():
    lowest = [claim.bounds[0] for claim in read_paper(PAPER).claims.values() if claim.bounds]
    assert len(lowest) == 8 and lowest.count(float("-inf")) == 3


def test_notes_say_where_text_and_table_differ():
    notes = {number: " ".join(paper_table(PAPER, number).notes) for number in ROMAN}
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
