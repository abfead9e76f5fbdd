"""Side-by-side tables: structure, order, empty cells, fixed digits, the same bytes every time."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from imtext.errors import ConfigError, DataError
from imtext.report import as_printed, over_seeds, paper_table, side_by_side, side_by_side_frame
from imtext.report.markup import signed

PROVENANCE = {"dataset": "picture<book>", "profile": "smoke", "seeds": [0, 1], "device": "cpu"}


@pytest.fixture
def ours():
    return pd.DataFrame(
        {
            "image_query_r1": [50.0, 6.0],
            "image_query_r1_sd": [1.25, np.nan],
            "text_query_r1": [30.125, np.nan],
            "rsum": [300.0, 20.0],
            "n_seeds": [2, 2],
        },
        index=["full_stage2", "ranking_stage1"],
    )


class _Reader(HTMLParser):
    """The rows of a table as lists of texts, a line break as a space."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open = False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True
        elif tag == "br" and self.open:
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


def _cells(styler):
    """(first header, second header, {label: cells}) of a table with one label per row."""
    reader = _Reader()
    reader.feed(styler.to_html())
    first, second, *body = [[text.strip() for text in row] for row in reader.rows]
    return first[1:], second[1:], {row[0]: row[1:] for row in body}


def test_frame_keeps_the_papers_order_and_subtracts(ours):
    table = paper_table("instance_loss", 2)
    frame = side_by_side_frame(table, ours)
    assert tuple(frame.index) == table.row_ids
    assert [pair[1] for pair in frame.columns[:3]] == ["paper", "here", "diff"]
    assert frame.loc["full_stage2", "image_query_r1"].tolist() == [55.4, 50.0, 50.0 - 55.4]
    assert frame.loc["instance_stage1", "image_query_r1"].isna().tolist() == [False, True, True]


def test_html_structure(ours):
    styler = side_by_side(paper_table("instance_loss", 2), ours, PROVENANCE)
    text = styler.to_html()
    assert 'id="T_instance_loss-table-2"' in text and 'class="dataframe"' in text
    first, second, rows = _cells(styler)
    assert first == ["Image query R@1", "Image query R@10", "Text query R@1", "Text query R@10"]
    assert second == ["paper", "here", "diff"] * 4
    assert list(rows)[0] == "Only ranking loss, Stage I" and len(rows) == 5
    assert all(len(cells) == 12 for cells in rows.values())
    assert rows["Full model, Stage II"][:6] == ["55.4", "50.00 ±1.25", "−5.40", "89.3", "—", "—"]
    assert rows["Only ranking loss, Stage I"][:3] == ["6.1", "6.00", "−0.10"]
    assert rows["Only instance loss, Stage I"].count("—") == 8


def test_caption_says_where_everything_comes_from(ours):
    text = side_by_side(paper_table("instance_loss", 2), ours, PROVENANCE).to_html()
    caption = text.split("<caption>")[1].split("</caption>")[0]
    for part in (
        "Table 2",
        "Flickr30k (val)",
        "picture&lt;book&gt;",
        "smoke",
        "seeds 0, 1",
        "cpu",
        "over 2 seeds",
    ):
        assert part in caption
    with pytest.raises(ConfigError, match="device missing"):
        side_by_side(
            paper_table("instance_loss", 2), ours, {k: v for k, v in PROVENANCE.items() if k != "device"}
        )


def test_html_is_the_same_every_time(ours):
    table = paper_table("instance_loss", 2)
    first = side_by_side(table, ours, PROVENANCE).to_html()
    assert first == side_by_side(table, ours.iloc[::-1], PROVENANCE)._repr_html_()
    assert as_printed(table).to_html() == as_printed(table).to_html()


def test_selection_and_extra_rows(ours):
    table = paper_table("instance_loss", 2)
    more = pd.concat([ours, pd.DataFrame({"image_query_r1": [0.1]}, index=["chance"])])
    frame = side_by_side_frame(table, more, metrics=["image_query_r1"], extra={"chance": "Chance"})
    assert frame.shape == (6, 3) and frame.index[-1] == "chance"
    assert frame.loc["chance"].isna().tolist() == [True, False, True]
    part = side_by_side_frame(table, ours, rows=["full_stage2", "ranking_stage1"])
    assert list(part.index) == ["ranking_stage1", "full_stage2"]


def test_labels_are_escaped(ours):
    more = pd.concat([ours, pd.DataFrame({"image_query_r1": [0.1]}, index=["x"])])
    text = side_by_side(paper_table("instance_loss", 2), more, PROVENANCE, extra={"x": "<script>"}).to_html()
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_mistakes_are_named(ours):
    table = paper_table("instance_loss", 2)
    with pytest.raises(ConfigError, match="no row 'fulll'"):
        side_by_side_frame(table, ours.rename(index={"full_stage2": "fulll"}))
    with pytest.raises(ConfigError, match="no metric 'r1'"):
        side_by_side_frame(table, ours, metrics=["r1"])
    with pytest.raises(DataError, match="none of image_query_r1"):
        side_by_side_frame(table, ours[["rsum"]])
    with pytest.raises(DataError, match="over_seeds"):
        side_by_side_frame(table, pd.concat([ours, ours]))


def test_paper_digits_are_kept():
    ours = pd.DataFrame({"text_query_median_rank": [2.5]}, index=["ours_resnet50_stage2"])
    _, _, rows = _cells(side_by_side(paper_table("instance_loss", 7), ours, PROVENANCE))
    row = rows["ResNet-50 Stage II"]
    assert row[0] == "44.40" and row[-3:] == ["2", "2.50", "+0.50"]


def _own(number):
    return [row.id for row in paper_table("instance_loss", number).rows if row.own]


@pytest.fixture
def eight():
    """Results for Table 8: two rows of each block, one of them without a median rank."""
    rows = [f"{block}_ours_resnet50_stage{stage}" for block in ("1k", "5k") for stage in (1, 2)]
    table = paper_table("instance_loss", 8)
    frame = table.frame().loc[rows] - 1
    frame["image_query_r1_sd"] = 0.5
    frame.loc["5k_ours_resnet50_stage1", "text_query_median_rank"] = np.nan
    return frame.assign(n_seeds=3)


def _lines(styler):
    reader = _Reader()
    reader.feed(styler.to_html())
    return [[text.strip() for text in row] for row in reader.rows]


def test_tall_has_three_lines_a_row_and_one_column_a_metric(eight):
    table = paper_table("instance_loss", 8)
    styler = side_by_side(table, eight, PROVENANCE, rows="ours")
    first, second, *body = _lines(styler)
    assert [text for text in first if text] == ["Image query", "Text query"]
    assert second[-8:] == ["R@1", "R@5", "R@10", "Med r ↓"] * 2
    assert len(body) == 4 * 3
    assert body[0] == ["1K test images", "ResNet-50 Stage I", "paper", "52.2", "80.4", "88.7", "1",
                       "37.2", "69.5", "80.6", "2"]  # fmt: skip
    assert body[1][:3] == ["here", "51.20 ±0.50", "79.40"] and body[2][:3] == ["diff", "−1.00", "−1.00"]
    # The sign of a rank is here − paper as everywhere; the arrow says which way is better.
    assert body[2][4] == "−1.00"
    assert body[6][:3] == ["5K test images", "ResNet-50 Stage I", "paper"]
    assert [line[-1] for line in body[6:9]] == ["8", "—", "—"]
    text = styler.to_html()
    assert text.count('rowspan="3"') == 4 and text.count('rowspan="6"') == 2
    assert "↓ lower is better" in text
    assert text == side_by_side(table, eight.iloc[::-1], PROVENANCE, rows="ours", layout="tall").to_html()


def test_tall_leaves_out_lines_that_would_hold_nothing(ours):
    more = pd.concat([ours, pd.DataFrame({"image_query_r1": [0.1]}, index=["chance"])])
    table = paper_table("instance_loss", 2)
    body = _lines(side_by_side(table, more, PROVENANCE, extra={"chance": "Chance"}, layout="tall"))[2:]
    parts = [("paper" in line) + 2 * ("here" in line) + 4 * ("diff" in line) for line in body]
    # Rows in the paper's order: three lines where there are results, the paper's where there are none.
    assert parts == [1, 2, 4, 1, 1, 1, 1, 2, 4, 2]
    assert body[-1][:3] == ["Chance", "here", "0.10"]


def test_layout_follows_the_number_of_metrics(ours, eight):
    def is_tall(number, frame, **options):
        text = side_by_side(paper_table("instance_loss", number), frame, PROVENANCE, **options).to_html()
        return f'id="T_instance_loss-table-{number}-tall' in text

    second = {"full_stage2": "resnet50"}
    assert is_tall(8, eight) and not is_tall(2, ours)
    assert not is_tall(8, eight, metrics=["image_query_r1", "text_query_r1"])
    assert not is_tall(8, eight, layout="wide") and is_tall(2, ours, layout="tall")
    # A column of text takes the place of one metric.
    assert is_tall(2, ours, ran=second)
    assert not is_tall(2, ours, ran=second, metrics=["image_query_r1", "text_query_r1"])
    with pytest.raises(ConfigError, match="expected one of auto, wide, tall, found 'narrow'"):
        is_tall(2, ours, layout="narrow")


@pytest.mark.parametrize("layout", ["wide", "tall"])
def test_what_ran_is_a_column(ours, layout):
    table = paper_table("instance_loss", 2)
    ran = {"full_stage2": "EfficientNet-Lite1 · text depth <50>"}
    _, second, *body = _lines(side_by_side(table, ours, PROVENANCE, ran=ran, layout=layout))
    assert second[1] == "ran here"
    found = {line[0]: line[1] for line in body}
    assert found["Full model, Stage II"] == "EfficientNet-Lite1 · text depth <50>"
    assert found["Only ranking loss, Stage I"] == "—"
    with pytest.raises(ConfigError, match="no row 'fulll'"):
        side_by_side(table, ours, PROVENANCE, ran={"fulll": "x"}, layout=layout)


def test_rows_by_name_of_a_choice(eight):
    table = paper_table("instance_loss", 8)
    assert tuple(side_by_side_frame(table, eight).index) == table.row_ids
    assert list(side_by_side_frame(table, eight, rows="own").index) == _own(8)
    ours = side_by_side_frame(table, eight.iloc[::-1], rows="ours")
    assert list(ours.index) == list(eight.index)
    more = pd.concat([eight, pd.DataFrame({"image_query_r1": [0.1]}, index=["chance"])])
    assert list(side_by_side_frame(table, more, rows="ours", extra={"chance": "Chance"}).index) == [
        *eight.index,
        "chance",
    ]
    # A label without a result of ours is no line: another profile may have that row.
    labels = {"chance": "Chance", "other": "Another profile's"}
    assert list(side_by_side_frame(table, more, rows="ours", extra=labels).index) == [*eight.index, "chance"]
    with pytest.raises(ConfigError, match="'own', 'ours' or None, found 'mine'"):
        side_by_side_frame(table, eight, rows="mine")
    with pytest.raises(DataError, match="rows='ours' leaves no row"):
        side_by_side_frame(table, eight.iloc[:0], rows="ours")
    with pytest.raises(ConfigError, match="two rows have the label 'Full model, Stage II'"):
        side_by_side_frame(
            paper_table("instance_loss", 2),
            pd.DataFrame({"image_query_r1": [0.1]}, index=["x"]),
            extra={"x": "Full model, Stage II"},
        )


def test_blocks_become_an_outer_label():
    text = as_printed(paper_table("instance_loss", 8)).to_html()
    assert text.count("1K test images") == 1 and text.count("5K test images") == 1
    assert "2<sup>p</sup>" in as_printed(paper_table("instance_loss", 1)).to_html()
    assert "80.9<sup>r</sup>" in as_printed(paper_table("instance_loss", 1, repeated=True)).to_html()


def test_over_seeds_against_a_loop():
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(
        {"row": ["b", "a"] * 3, "seed": [0, 0, 1, 1, 2, 2], "image_query_r1": rng.random(6) * 100}
    )
    got = over_seeds(runs)
    assert list(got.index) == ["b", "a"]
    for name in ("a", "b"):
        values = [v for r, v in zip(runs["row"], runs["image_query_r1"], strict=True) if r == name]
        mean = sum(values) / 3
        assert got.loc[name, "image_query_r1"] == pytest.approx(mean)
        assert got.loc[name, "image_query_r1_sd"] == pytest.approx(
            (sum((v - mean) ** 2 for v in values) / 2) ** 0.5
        )
        assert got.loc[name, "n_seeds"] == 3
    with pytest.raises(DataError, match="twice"):
        over_seeds(pd.concat([runs, runs]))
    with pytest.raises(DataError, match="'seed' is missing"):
        over_seeds(runs.drop(columns="seed"))


def test_signs():
    assert [signed(v) for v in (1.234, -1.236, 0.0, -0.004)] == ["+1.23", "−1.24", "0.00", "0.00"]


def test_what_ran_is_a_column_only_where_it_differs():
    table = paper_table("instance_loss", 2)
    ours = pd.DataFrame({"image_query_r1": [1.0, 2.0]}, index=["instance_stage1", "full_stage2"])
    source = {"dataset": "d", "profile": "p", "seeds": 0, "device": "cpu"}
    same = {"instance_stage1": "Net A", "full_stage2": "Net A"}
    alike = side_by_side(table, ours, source, rows="ours", ran=same).to_html()
    assert "cpu · Net A" in alike and "ran here" not in alike
    mixed = side_by_side(table, ours, source, rows="ours", ran=same | {"full_stage2": "Net B"}).to_html()
    assert "ran here" in mixed and "cpu · Net" not in mixed
