"""The printed numbers: complete, well-formed, and equal to values typed from the paper by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import yaml
from paper_schema import check_paper

from imtext.errors import ConfigError, DataError
from imtext.report import paper_table, paper_values, read_paper
from imtext.report.paper import FOLDER

SHAPES = {
    "1": (23, 8),
    "2": (5, 4),
    "3": (4, 2),
    "4": (3, 2),
    "5": (2, 4),
    "6": (2, 4),
    "7": (8, 4),
    "8": (22, 8),
}


@pytest.fixture
def document():
    return yaml.safe_load((FOLDER / "instance_loss.yaml").read_text(encoding="utf-8"))


def test_all_tables_are_there():
    assert tuple(read_paper("instance_loss").tables) == tuple(SHAPES)
    for number, shape in SHAPES.items():
        assert paper_table("instance_loss", number).cells.shape == shape


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (1, "devise", "image_query_r1", 4.5),
        (1, "dvsa", "image_query_median_rank", 4.8),
        (1, "two_way_net", "image_query_r10", np.nan),
        (1, "ours_resnet50_stage2", "image_query_r10", 89.9),
        (1, "ours_resnet152_stage2", "text_query_r5", 69.2),
        (2, "ranking_stage1", "text_query_r10", 27.8),
        (2, "full_stage2", "image_query_r10", 89.3),
        (3, "coco_text152", "text_query_r1", 37.7),
        (4, "classes_10000", "image_query_r1", 44.7),
        (5, "random_init", "image_query_r10", 78.7),
        (6, "left_alignment", "text_query_r1", 23.6),
        (7, "ours_resnet50_stage2", "text_query_r1", 44.40),
        (7, "ours_resnet50_stage1", "text_query_median_rank", 18),
        (8, "1k_m_rnn", "text_query_r5", 42.2),
        (8, "5k_ours_resnet50_stage2", "text_query_r10", 66.4),
        (8, "5k_dvsa", "text_query_median_rank", 14),
    ],
)
def test_values_typed_by_hand(table, row, column, value):
    assert paper_table("instance_loss", table).cells.at[row, column] == pytest.approx(value, nan_ok=True)


def test_tables_agree_where_the_paper_repeats_itself():
    second = paper_table("instance_loss", 2).cells.loc["instance_stage1"]
    assert second.equals(
        paper_table("instance_loss", 5).cells.loc["word2vec_init"].rename("instance_stage1")
    )
    assert second.equals(
        paper_table("instance_loss", 6).cells.loc["position_shift"].rename("instance_stage1")
    )
    first = paper_table("instance_loss", 1).cells.loc["ours_resnet152_stage1"]
    third = paper_table("instance_loss", 3).cells.loc["flickr30k_text152"]
    assert first[["image_query_r1", "text_query_r1"]].tolist() == third.tolist()
    eighth = paper_table("instance_loss", 8).cells.loc["1k_ours_resnet50_stage1"]
    fourth = paper_table("instance_loss", 4).cells.loc["instance"]
    assert eighth[["image_query_r1", "text_query_r1"]].tolist() == fourth.tolist()


def test_recall_grows_with_k():
    for number in SHAPES:
        frame = paper_table("instance_loss", number).cells
        for side in ("image_query", "text_query"):
            recalls = frame[[c for c in (f"{side}_r1", f"{side}_r5", f"{side}_r10") if c in frame]]
            for _, row in recalls.iterrows():
                assert row.dropna().is_monotonic_increasing


def test_cut_columns_of_table_1_are_empty_but_for_prose():
    table = paper_table("instance_loss", 1)
    assert table.cells["text_query_median_rank"].dropna().to_dict() == {"ours_resnet152_stage2": 2.0}
    assert [(item["row"], item["column"]) for item in table.prose] == [
        ("ours_resnet152_stage2", "text_query_median_rank")
    ]
    assert table.cells["text_query_r10"].isna().all()
    assert any("cut off" in note for note in table.notes)


def test_single_values():
    figure = paper_values("instance_loss", "figure_5")
    assert (figure["s_ranking"], figure["s_instance"], figure["s_full"]) == (0.2563, 0.1633, 0.0914)
    assert (figure["mean_positive_instance"], figure["mean_negative_instance"]) == (0.2405, 0.0237)
    time = paper_values("instance_loss", "training_time")
    assert (time["image_ms"], time["text_ms"]) == (119, 117)


# Claim -> its table, the rows and columns whose numbers its text quotes.
R1 = ("image_query_r1", "text_query_r1")
QUOTED = {
    "stage1_instance_beats_ranking": ("2", ("instance_stage1", "ranking_stage1"), R1),
    "stage2_instance_beats_ranking": ("2", ("instance_stage2", "ranking_stage2"), R1),
    "more_classes_help": ("4", ("classes_10000", "classes_3000"), R1),
    "stage2_full_beats_ranking": ("2", ("full_stage2", "ranking_stage2"), R1),
    "stage2_full_beats_instance": ("2", ("full_stage2", "instance_stage2"), R1),
    "fine_tuning_helps": ("2", ("instance_stage2", "instance_stage1"), R1),
    "fine_tuning_adds_ten": ("1", ("ours_resnet50_stage2", "ours_resnet50_stage1"), R1),
    "fine_tuning_helps_person_search": ("7", ("ours_resnet50_stage2", "ours_resnet50_stage1"), R1[1:]),
    "fewer_classes_hurt": ("4", ("instance", "classes_3000", "classes_10000"), R1),
    "depth_does_not_help": ("3", ("flickr30k_text152", "flickr30k_text50"), R1),
    "word2vec_helps": ("5", ("word2vec_init", "random_init"), R1),
    "word2vec_adds_one_to_two": ("5", ("word2vec_init", "random_init"), R1),
    "position_shift_helps": ("6", ("position_shift", "left_alignment"), R1),
    "position_shift_adds_five": ("6", ("position_shift", "left_alignment"), R1),
}


@pytest.mark.parametrize("name", QUOTED)
def test_claims_quote_the_numbers_of_their_tables(name):
    claim, (number, rows, columns) = read_paper("instance_loss").claims[name], QUOTED[name]
    table = paper_table("instance_loss", number)
    digits = {column.id: column.digits for column in table.columns}
    for row in rows:
        for column in columns:
            assert f"{table.cells.at[row, column]:.{digits[column]}f}" in claim.paper
    assert number in claim.section


def test_claims_come_in_the_papers_order():
    claims = read_paper("instance_loss").claims
    assert len(claims) == 26
    places = [claim.section.removeprefix("ours, after ") for claim in claims.values()]
    sections = [place.split(",")[0] for place in places]
    assert sections == sorted(sections)
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


def _break(document, change):
    broken = copy.deepcopy(document)
    change(broken)
    with pytest.raises(DataError) as error:
        check_paper(broken, "x.yaml")
    assert str(error.value).startswith("x.yaml")
    return str(error.value)


def test_schema_names_file_place_and_problem(document):
    second = ("tables", "2")

    def table(d):
        return d[second[0]][second[1]]

    assert "expected 4 values, found 3" in _break(document, lambda d: table(d)["rows"][0]["values"].pop())
    assert "id 'full_stage2'" in _break(document, lambda d: table(d)["rows"][0].update(id="full_stage2"))
    text = _break(document, lambda d: table(d)["rows"][1]["values"].__setitem__(0, 399))
    assert "row instance_stage1, image_query_r1" in text and "from 0 to 100" in text
    assert "null" in _break(document, lambda d: table(d)["rows"][1]["values"].__setitem__(0, "39.9"))
    assert "unknown field 'foo'" in _break(document, lambda d: table(d).update(foo=1))
    assert "'caption' is missing" in _break(document, lambda d: table(d).pop("caption"))
    assert "high or low" in _break(document, lambda d: table(d)["columns"][0].update(better="up"))
    assert "itself prints" in _break(
        document,
        lambda d: table(d).update(
            prose=[{"row": "full_stage2", "column": "image_query_r1", "value": 1, "section": "6"}]
        ),
    )
    assert "no cell" in _break(
        document,
        lambda d: d["tables"]["1"]["prose"].append({"row": "x", "column": "y", "value": 1, "section": "6"}),
    )
    assert "over 'x' is no row" in _break(document, lambda d: table(d)["rows"][0].update(over="x"))
    assert "claims: id" in _break(document, lambda d: d["claims"].append(d["claims"][0]))


@pytest.mark.parametrize("bounds", [[5, 5], [2, 1]])
def test_schema_checks_the_bounds_of_a_claim(document, bounds):
    assert "bounds should rise" in _break(document, lambda d: d["claims"][0].update(bounds=bounds))
    assert "'bounds' should be list" in _break(document, lambda d: d["claims"][0].update(bounds=5))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_files_are_well_formed(path):
    check_paper(yaml.safe_load(path.read_text(encoding="utf-8")), path.stem)
