"""The printed numbers of the Structure-Preserving paper beside what its text, notes and claims say."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.report import paper_table, paper_values, read_paper

PAPER = "structure_preserving"
SIDES = ("image_query", "text_query")


def _mean_recall(table: str, row: str, side: str) -> float:
    return sum(paper_table(PAPER, table).cells.at[row, f"{side}_r{k}"] for k in (1, 5, 10)) / 3


def test_recall_stays_below_the_upper_bound():
    bound = paper_values(PAPER, "proposals")
    assert bound == {"r100": 76.91, "proposals": 100, "iou": 0.5, "rohrbach": 47}
    assert (paper_table(PAPER, 3).cells["r10"] < bound["r100"]).all()


def test_settings_of_the_paper():
    sizes = paper_values(PAPER, "sizes")
    assert sizes["fisher_vector"] == sizes["word_vector"] * sizes["centres"] * sizes["orders"] == 18000
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


@pytest.mark.parametrize("name", QUOTED)
def test_claims_quote_mean_recalls_of_their_rows(name):
    claim, (table, better, worse, sides) = read_paper(PAPER).claims[name], QUOTED[name]
    for side in sides:
        values = [_mean_recall(table, row, side) for row in (better, worse)]
        assert "{:.1f} against {:.1f}".format(*values) in claim.paper and "mean recall" in claim.paper
        if claim.bounds:
            assert claim.bounds[0] <= values[0] - values[1] <= claim.bounds[1]
    assert f"Table {table}" in claim.section


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


def test_one_claim_has_no_lower_bound():
    claims = read_paper(PAPER).claims
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
