"""Files of printed numbers are well-formed; those of the Instance Loss paper are as its claims say."""

from __future__ import annotations

import pytest
import yaml
from paper_schema import check_paper

from imtext.errors import ConfigError, DataError
from imtext.report import paper_table, paper_values, read_paper
from imtext.report.paper import FOLDER


@pytest.fixture
def document():
    return yaml.safe_load((FOLDER / "instance_loss.yaml").read_text(encoding="utf-8"))


def test_cut_columns_of_table_1_are_empty_but_for_prose():
    table = paper_table("instance_loss", 1)
    assert table.cells["text_query_median_rank"].dropna().to_dict() == {"ours_resnet152_stage2": 2.0}
    first, *repeated = table.prose
    assert (first["row"], first["column"]) == ("ours_resnet152_stage2", "text_query_median_rank")
    assert table.cells["text_query_r10"].dropna().to_dict() == {one["row"]: one["value"] for one in repeated}
    assert len(repeated) == 10 and any("cut off" in note for note in table.notes)


# Where others print a row of Table 1 that its text cuts off: row, their table, their row.
ELSEWHERE = {
    "dvsa": ("rich_features", 4, "dvsa"), "m_cnn": ("structure_preserving", 1, "mcnn_ensemble"),
    "vqa_a": ("rich_features", 4, "vqa"), "gmm_fv": ("structure_preserving", 1, "cca_gmm_hglmm"),
    "m_rnn": ("structure_preserving", 1, "m_rnn_vgg"), "rrf_net": ("rich_features", 4, "rrf"),
    "spe": ("structure_preserving", 1, "fv_nonlinear_bi_structure"),
    "sm_lstm": ("rich_features", 4, "sm_lstm"),
    "dan_resnet152": ("rich_features", 4, "dan"), "ours_resnet152_stage2": ("intra_modal", 2, "dpc"),
}  # fmt: skip


def test_repeated_cells_are_those_of_the_papers_that_repeat_them():
    cells = paper_table("instance_loss", 1).cells["text_query_r10"].dropna()
    theirs = {row: paper_table(*of[:2]).cells.at[of[2], "text_query_r10"] for row, of in ELSEWHERE.items()}
    assert cells.to_dict() == theirs


def test_single_values():
    figure = paper_values("instance_loss", "figure_5")
    assert (figure["s_ranking"], figure["s_instance"], figure["s_full"]) == (0.2563, 0.1633, 0.0914)
    assert (figure["mean_positive_instance"], figure["mean_negative_instance"]) == (0.2405, 0.0237)
    time = paper_values("instance_loss", "training_time")
    assert (time["image_ms"], time["text_ms"]) == (119, 117)


def test_three_claims_name_a_size():
    claims = read_paper("instance_loss").claims
    about = {name: claim.bounds for name, claim in claims.items() if claim.bounds and claim.bounds[0] > 0}
    assert about == {
        "fine_tuning_adds_ten": [5, 15],
        "word2vec_adds_one_to_two": [0.5, 2.5],
        "position_shift_adds_five": [2.5, 7.5],
    }


def test_unknown_names_are_one_clear_line():
    for call in (
        lambda: paper_table("instance_los", 1),
        lambda: paper_table("instance_loss", 9),
        lambda: paper_values("instance_loss", "figure_6"),
    ):
        with pytest.raises(ConfigError) as error:
            call()
        assert "\n" not in str(error.value) and "expected one of" in str(error.value)


STRAY = {"row": "x", "column": "y", "value": 1, "section": "6"}
DOUBLED = {"row": "full_stage2", "column": "image_query_r1", "value": 1, "section": "6"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: t["rows"][0]["values"].pop(), "expected 4 values, found 3"),
        (lambda d, t: t["rows"][0].update(id="full_stage2"), "id 'full_stage2'"),
        (
            lambda d, t: t["rows"][1]["values"].__setitem__(0, 399),
            "row instance_stage1, image_query_r1: .* from 0 to 100",
        ),
        (lambda d, t: t["rows"][1]["values"].__setitem__(0, "39.9"), "null"),
        (lambda d, t: t.update(foo=1), "unknown field 'foo'"),
        (lambda d, t: t.pop("caption"), "'caption' is missing"),
        (lambda d, t: t["columns"][0].update(better="up"), "high or low"),
        (lambda d, t: t.update(prose=[DOUBLED]), "itself prints"),
        (lambda d, t: d["tables"]["1"]["prose"].append(STRAY), "no cell"),
        (lambda d, t: t["rows"][0].update(over="x"), "over 'x' is no row"),
        (lambda d, t: d["values"]["figure_5"]["numbers"].update(x={}), "figure_5, x: field 'value'"),
        (lambda d, t: d["untested"].append({"text": "x"}), "untested .* 'section' is missing"),
        (lambda d, t: d["claims"].append(d["claims"][0]), "claims: id"),
        (lambda d, t: d["claims"][0].update(bounds=[5, 5]), "bounds should rise"),
        (lambda d, t: d["claims"][0].update(bounds=[2, 1]), "bounds should rise"),
        (lambda d, t: d["claims"][0].update(bounds=5), "'bounds' should be list"),
    ],
)
def test_schema_names_file_place_and_problem(document, change, message):
    change(document, document["tables"]["2"])
    with pytest.raises(DataError, match=rf"^x\.yaml.*{message}"):
        check_paper(document, "x.yaml")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_files_are_well_formed(path):
    check_paper(yaml.safe_load(path.read_text(encoding="utf-8")), path.stem)
