"""The printed numbers of the Structure-Preserving paper: complete, and equal to values typed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "structure_preserving"
SHAPES = {"1": (17, 6), "2": (12, 6), "3": (9, 4)}
SIDES = ("image_query", "text_query")


def _mean_recall(table: str, row: str, side: str) -> float:
    return sum(paper_table(PAPER, table).cells.at[row, f"{side}_r{k}"] for k in (1, 5, 10)) / 3


def test_all_tables_are_there_and_full():
    assert tuple(read_paper(PAPER).tables) == tuple(SHAPES)
    for number, shape in SHAPES.items():
        frame = paper_table(PAPER, number).cells
        assert frame.shape == shape and not frame.isna().any().any()


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (1, "deep_cca", "image_query_r1", 27.9),
        (1, "m_rnn_vgg", "text_query_r10", 63.1),
        (1, "mean_vector_klein", "text_query_r5", 46.3),
        (1, "cca_hglmm_plummer", "image_query_r5", 62.2),
        (1, "fv_linear_one", "text_query_r1", 21.0),
        (1, "fv_linear_bi_structure", "image_query_r1", 35.2),
        (1, "fv_nonlinear_one", "image_query_r10", 76.9),
        (1, "fv_nonlinear_bi_structure", "text_query_r10", 72.1),
        (1, "mean_bi_structure", "image_query_r5", 62.9),
        (1, "tfidf_bi", "text_query_r10", 69.0),
        (2, "mcnn_ensemble", "text_query_r5", 68.6),
        (2, "fv_nonlinear_bi_structure", "image_query_r1", 50.1),
        (2, "mean_bi", "text_query_r10", 81.6),
        (2, "tfidf_bi_structure", "text_query_r5", 72.3),
        (3, "cca", "r1", 40.11),
        (3, "a", "r10", 66.70),
        (3, "b_tuned", "r5", 64.22),
        (3, "d_tuned", "mean_ap", 47.72),
    ],
)
def test_values_typed_by_hand(table, row, column, value):
    assert paper_table(PAPER, table).cells.at[row, column] == pytest.approx(value, nan_ok=True)


def test_rows_agree_with_the_other_paper_that_repeats_them():
    other = {"1": "1", "2": "8"}
    same = {"m_rnn": "m_rnn_vgg", "m_cnn": "mcnn_ensemble", "gmm_fv": "cca_gmm_hglmm"}
    same["spe"] = "fv_nonlinear_bi_structure"
    for number, theirs in other.items():
        for row, ours in same.items():
            repeated = paper_table("instance_loss", theirs).cells.loc["1k_" * (number == "2") + row]
            printed = paper_table(PAPER, number).cells.loc[ours]
            both = repeated.dropna().index.intersection(printed.index)
            assert len(both) >= 5 and repeated[both].tolist() == printed[both].tolist()


def test_recall_grows_with_k_and_stays_below_the_upper_bound():
    for number in SHAPES:
        frame = paper_table(PAPER, number).cells
        for side in ("",) if number == "3" else ("image_query_", "text_query_"):
            recalls = frame[[f"{side}r{k}" for k in (1, 5, 10)]]
            assert (recalls.diff(axis=1).iloc[:, 1:] > 0).all().all()
    bound = paper_values(PAPER, "proposals")
    assert bound == {"r100": 76.91, "proposals": 100}
    assert (paper_table(PAPER, 3).cells["r10"] < bound["r100"]).all()


def test_settings_of_the_paper():
    settings, sizes = paper_values(PAPER, "settings"), paper_values(PAPER, "sizes")
    assert (settings["margin"], settings["top_k"], settings["pairs_per_batch"]) == (0.1, 50, 1500)
    assert sizes["fisher_vector"] == sizes["word_vector"] * sizes["centres"] * 2 == 18000
    assert paper_values(PAPER, "fine_tuned_cnn")["points"] == 0.5


# Claim -> table, (better row, worse row) that its text quotes, and the sides.
QUOTED = {
    "nonlinear_beats_linear": ("1", "fv_nonlinear_bi_structure", "fv_linear_bi_structure", SIDES),
    "nonlinear_adds_four": ("1", "fv_nonlinear_bi_structure", "fv_linear_bi_structure", SIDES),
    "bidirectional_beats_one_directional": ("1", "fv_nonlinear_bi", "fv_nonlinear_one", SIDES),
    "bidirectional_adds_one_to_two": ("1", "fv_nonlinear_bi", "fv_nonlinear_one", SIDES[:1]),
    "bidirectional_helps_text_more": ("1", "fv_nonlinear_bi", "fv_nonlinear_one", SIDES),
    "structure_helps": ("1", "fv_nonlinear_bi_structure", "fv_nonlinear_bi", SIDES),
    "structure_adds_one_to_two": ("1", "fv_nonlinear_bi_structure", "fv_nonlinear_bi", SIDES),
    "structure_helps_weaker_text": ("1", "mean_bi_structure", "mean_bi", SIDES),
    "mean_vector_beats_its_cca": ("1", "mean_bi_structure", "mean_vector_klein", SIDES),
    "mean_vector_level_with_cca": ("1", "mean_bi_structure", "cca_hglmm_plummer", SIDES),
    "mean_vector_below_fv": ("1", "fv_nonlinear_bi_structure", "mean_bi_structure", SIDES),
    "tfidf_just_below_fv": ("1", "fv_nonlinear_bi_structure", "tfidf_bi_structure", SIDES),
    "structure_helps_on_coco": ("2", "fv_nonlinear_bi_structure", "fv_nonlinear_bi", SIDES),
}
FIRST = {
    "linear_does_not_beat_cca": ("1", ("fv_linear_bi_structure", "cca_hglmm_plummer"), ("r1",)),
    "nonlinear_beats_cca": ("1", ("fv_nonlinear_bi_structure", "cca_hglmm_plummer"), ("r1",)),
    "structure_helps_localisation": ("3", ("a", "b", "c", "d"), ("r1", "mean_ap")),
    "structure_terms_differ_little": ("3", ("b", "c"), ("r1", "mean_ap")),
    "cca_ahead_without_negatives": ("3", ("cca", "a", "b", "c", "d"), ("r1",)),
    "cca_level_at_five_and_ten": ("3", ("cca", "d"), ("r5", "r10")),
    "hard_negatives_help": ("3", ("d_tuned", "d"), ("r1", "mean_ap")),
    "hard_negatives_add_six": ("3", ("d_tuned", "d"), ("r1", "mean_ap")),
    "hard_negatives_beat_cca": ("3", ("d_tuned", "cca"), ("r1", "mean_ap")),
}


@pytest.mark.parametrize("name", QUOTED)
def test_claims_quote_mean_recalls_of_their_rows(name):
    claim, (table, better, worse, sides) = read_paper(PAPER).claims[name], QUOTED[name]
    for side in sides:
        values = [_mean_recall(table, row, side) for row in (better, worse)]
        assert "{:.1f} against {:.1f}".format(*values) in claim.paper and "mean recall" in claim.paper
        if claim.bounds:
            assert claim.bounds[0] <= values[0] - values[1] <= claim.bounds[1]
    assert f"Table {table}" in claim.section


@pytest.mark.parametrize("name", FIRST)
def test_claims_quote_printed_numbers_of_their_rows(name):
    claim, (number, rows, metrics) = read_paper(PAPER).claims[name], FIRST[name]
    table = paper_table(PAPER, number)
    for row in rows:
        for metric in metrics:
            for column in [metric] if number == "3" else [f"{side}_{metric}" for side in SIDES]:
                shown = {item.id: item for item in table.columns}[column].show(table.cells.at[row, column])
                assert shown in claim.paper
    assert f"Table {number}" in claim.section


def test_means_over_rows_lie_in_the_bounds_that_are_claimed():
    claims = read_paper(PAPER).claims
    low, high = claims["nonlinear_adds_four"].bounds
    for side in SIDES:
        gains = [
            _mean_recall("1", f"fv_nonlinear_{loss}", side) - _mean_recall("1", f"fv_linear_{loss}", side)
            for loss in ("one", "bi", "bi_structure")
        ]
        assert low <= np.mean(gains) <= high and min(gains) > 0
    low, high = claims["structure_adds_one_to_two"].bounds
    for row in ("fv_linear_bi", "fv_nonlinear_bi"):
        for side in SIDES:
            assert low <= _mean_recall("1", f"{row}_structure", side) - _mean_recall("1", row, side) <= high


def test_claims_come_in_the_papers_order():
    claims = read_paper(PAPER).claims
    sections = [claim.section.removeprefix("ours, after ").split(",")[0] for claim in claims.values()]
    assert sections == sorted(sections) and len(claims) == 28
    assert [name for name, claim in claims.items() if -np.inf in claim.bounds] == ["linear_does_not_beat_cca"]


def test_notes_say_where_text_and_table_differ():
    three = paper_table(PAPER, 3)
    best = [max(three.cells.at[row, c] for row in "abcd") for c in ("r1", "mean_ap")]
    tuned = [three.cells.at["d_tuned", c] for c in ("r1", "mean_ap")]
    own = [three.cells.at["a_tuned", c] - three.cells.at["a", c] for c in ("r1", "mean_ap")]
    text = " ".join(three.notes)
    for value in (*(b - a for a, b in zip(best, tuned, strict=True)), *own):
        assert f"{value:.2f}" in text
    one = paper_table(PAPER, 1).cells
    below = one.loc["fv_linear_bi_structure"] < one.loc["cca_hglmm_plummer"]
    assert list(below[below].index) == ["image_query_r1", "text_query_r10"]
    assert any("image-query R@1 and text-query R@10" in note for note in paper_table(PAPER, 1).notes)
