"""The paper's rows beside ours: order, empty cells, fixed digits, gains, the same bytes every time."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from imtext.report import as_printed, over_seeds, paper_table, read_paper, side_by_side
from imtext.report.markup import signed
from imtext.report.paper import FOLDER, Row
from imtext.report.tables import arithmetic, not_tested, other_numbers

PAPERS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
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


def _lines(styler):
    reader = _Reader()
    reader.feed(styler.to_html())
    return [[text.strip() for text in row] for row in reader.rows]


def test_a_row_has_a_line_as_printed_and_a_line_of_ours(ours):
    styler = side_by_side(paper_table("instance_loss", 2), ours, PROVENANCE)
    text = styler.to_html()
    assert 'id="T_instance_loss-table-2"' in text and 'class="dataframe"' in text and "Gain" not in text
    _, second, *body = _lines(styler)
    assert second[-4:] == ["R@1", "R@10"] * 2
    assert body == [
        ["Only ranking loss, Stage I", "paper", "6.1", "27.3", "4.9", "27.8"],
        ["here", "6.00", "—", "—", "—"],
        ["Full model, Stage II", "paper", "55.4", "89.3", "39.7", "80.8"],
        ["here", "50.00 ±1.25", "—", "30.12", "—"],
    ]


def test_a_row_without_printed_numbers_shows_dashes():
    table = paper_table("single_network", 1)
    ours = pd.DataFrame({"image_query_r1": [2.5]}, index=["config_standard"])
    printed, here = _lines(side_by_side(table, ours, PROVENANCE))[2:]
    assert set(printed[printed.index("paper") + 1 :]) == {"—"} and here[1] == "2.50"


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


def test_extra_rows_stand_at_the_foot_where_we_have_them(ours):
    table = paper_table("instance_loss", 2)
    more = pd.concat([ours, pd.DataFrame({"image_query_r1": [0.1]}, index=["chance"])])
    body = _lines(side_by_side(table, more, PROVENANCE))[2:]
    assert body[-1] == ["chance", "here", "0.10", "—", "—", "—"] and len(body) == 5


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_of_every_paper_is_shown(paper):
    for table in read_paper(paper).tables.values():
        text = side_by_side(table, table.cells - 0.01, PROVENANCE).to_html()
        assert ">here<" in text and "nan" not in text
        assert as_printed(table).to_html().count("<tr>") == len(table.rows) + 2


COUNTED = {"caption": "Counted", "section": "<6>", "numbers": {
    "a": {"value": 1200, "what": "a", "here": "{base[size]:,}"}, "b": {"value": 0.5, "what": "b"},
}}  # fmt: skip


def test_other_numbers_stand_beside_what_is_given():
    paper = replace(read_paper("instance_loss"), values={"counted": COUNTED})
    line = ["Counted", "a", "1,200", "6,000", "<6>"]
    assert _lines(other_numbers(paper, base={"size": 6000}))[1:] == [line, ["b", "0.5", "—", "<6>"]]
    for nothing in ({}, {"base": None}):
        assert _lines(other_numbers(paper, **nothing))[1][3] == "—"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"claimed": 6.2, "pairs": [["a", "c"]]}, ["6.2", "6.2", "✓ agrees"]),
        ({"claimed": 6, "pairs": [["a", "c"]]}, ["6", "6.2", "✓ agrees"]),
        ({"claimed": 6.3, "pairs": [["a", "c"]]}, ["6.3", "6.2", "≠ differs"]),
        ({"claimed": [7, 9], "pairs": [["a", "b"]]}, ["7 to 9", "9 8 to 10", "≈ on average"]),
        ({"claimed": [7, 10], "pairs": [["a", "b"]]}, ["7 to 10", "9 8 to 10", "✓ agrees"]),
        ({"claimed": 25, "how": "%", "pairs": [["a", "b"]]}, ["25", "22.5 20 to 25", "≠ differs"]),
        ({"claimed": 1200.5, "how": "+", "numbers": ["n.a", "n.b"]}, ["1,200.5", "1,200.5", "✓ agrees"]),
        ({"claimed": 600, "how": "×", "numbers": ["n.a", "n.b"]}, ["600", "600", "✓ agrees"]),
        ({"claimed": 2400, "how": "÷", "numbers": ["n.a", "n.b"]}, ["2,400", "2,400", "✓ agrees"]),
    ],
)
def test_arithmetic_is_done_again(entry, found):
    columns = ["image_query_r1", "text_query_r1"]
    cells = pd.DataFrame([[50.0, 48.0], [40.0, 40.0], [43.8, 41.8]], [*"abc"], columns)
    table = replace(paper_table("instance_loss", 3), rows=[Row(one, one) for one in "abc"], cells=cells)
    said = [{"said": "x", "section": "6", "table": "3", "columns": columns} | entry]
    paper = read_paper("instance_loss")
    paper = replace(paper, tables={"3": table}, values={"n": COUNTED}, arithmetic=said)
    _, (_, _, claimed, _, *rest) = _lines(arithmetic(paper))
    assert [claimed, *rest] == found


@pytest.mark.parametrize("name", PAPERS)
def test_what_else_a_paper_says_is_shown(name):
    paper = read_paper(name)
    assert len(_lines(arithmetic(paper))) == 1 + len(paper.arithmetic)
    assert len(_lines(not_tested(paper))) == 1 + len(paper.untested)
    assert len(_lines(other_numbers(paper))) == 1 + sum(len(one["numbers"]) for one in paper.values.values())


def test_labels_are_escaped(ours):
    more = pd.concat([ours, pd.DataFrame({"image_query_r1": [0.1]}, index=["<script>"])])
    text = side_by_side(paper_table("instance_loss", 2), more, PROVENANCE).to_html()
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_gains_are_over_the_row_that_the_table_names():
    table = paper_table("intra_modal", 3)
    found = {"lambda_0": 300.0, "l1": 310.5, "hinges_early": 200.0, "l1_early": 190.0}
    ours = pd.DataFrame({"rsum": found})
    first, second, *body = _lines(side_by_side(table, ours, PROVENANCE))
    assert first[-1] == "Gain" and second[-1] == "R-sum"
    assert [(line[-2], line[-1]) for line in body] == [
        ("433.9", "—"), ("300.00", "—"), ("437.9", "+4.0"), ("310.50", "+10.50"),
        ("200.00", "−100.00"), ("190.00", "−10.00"),
    ]  # fmt: skip
    assert _lines(side_by_side(table, ours.loc[["l1"]], PROVENANCE))[3][-1] == "—"


def test_paper_digits_are_kept():
    ours = pd.DataFrame({"text_query_median_rank": [2.5]}, index=["ours_resnet50_stage2"])
    printed, here = _lines(side_by_side(paper_table("instance_loss", 7), ours, PROVENANCE))[2:]
    assert printed[-4] == "44.40" and (printed[-1], here[-1]) == ("2", "2.50")


def test_blocks_metrics_and_arrows():
    """Table 8: two rows of each block, one of them without a median rank."""
    rows = [f"{block}_ours_resnet50_stage{stage}" for block in ("1k", "5k") for stage in (1, 2)]
    table = paper_table("instance_loss", 8)
    eight = (table.cells.loc[rows] - 1).assign(image_query_r1_sd=0.5, n_seeds=3)
    eight.loc["5k_ours_resnet50_stage1", "text_query_median_rank"] = np.nan
    styler = side_by_side(table, eight, PROVENANCE)
    first, second, *body = _lines(styler)
    assert [text for text in first if text] == ["Image query", "Text query"]
    assert second[-8:] == ["R@1", "R@5", "R@10", "Med r ↓"] * 2
    assert len(body) == 4 * 2
    assert body[0] == ["1K test images", "ResNet-50 Stage I", "paper", "52.2", "80.4", "88.7", "1",
                       "37.2", "69.5", "80.6", "2"]  # fmt: skip
    assert body[1][:3] == ["here", "51.20 ±0.50", "79.40"]
    assert body[4][:3] == ["5K test images", "ResNet-50 Stage I", "paper"]
    assert [line[-1] for line in body[4:6]] == ["8", "—"]
    text = styler.to_html()
    assert text.count('rowspan="2"') == 4 and text.count('rowspan="4"') == 2
    assert "↓ lower is better" in text and "over 3 seeds" in text
    assert text == side_by_side(table, eight.iloc[::-1], PROVENANCE)._repr_html_()


def test_what_ran_is_a_column(ours):
    table = paper_table("instance_loss", 2)
    ran = {"full_stage2": "EfficientNet-Lite1 · text depth <50>"}
    _, second, *body = _lines(side_by_side(table, ours, PROVENANCE, ran=ran))
    assert second[1] == "ran here"
    assert [line[1] for line in body[::2]] == ["—", "EfficientNet-Lite1 · text depth <50>"]


def test_blocks_become_an_outer_label():
    text = as_printed(paper_table("instance_loss", 8)).to_html()
    assert text == as_printed(paper_table("instance_loss", 8)).to_html()
    assert text.count("1K test images") == 1 and text.count("5K test images") == 1
    printed = as_printed(paper_table("instance_loss", 1)).to_html()
    assert "2<sup>p</sup>" in printed and "80.9<sup>r</sup>" in printed
    assert printed.count("4 × ft CNN") == 1
    persons = as_printed(paper_table("instance_loss", 7)).to_html()
    assert "Visual" in persons and "Textual" not in persons


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


def test_signs():
    assert [signed(v) for v in (1.234, -1.236, 0.0, -0.004)] == ["+1.23", "−1.24", "0.00", "0.00"]


def test_what_ran_is_a_column_only_where_it_differs():
    table = paper_table("instance_loss", 2)
    ours = pd.DataFrame({"image_query_r1": [1.0, 2.0]}, index=["instance_stage1", "full_stage2"])
    source = {"dataset": "d", "profile": "p", "seeds": [0], "device": "cpu"}
    same = {"instance_stage1": "Net A", "full_stage2": "Net A"}
    alike = side_by_side(table, ours, source, ran=same).to_html()
    assert "cpu · Net A" in alike and "ran here" not in alike
    mixed = side_by_side(table, ours, source, ran=same | {"full_stage2": "Net B"}).to_html()
    assert "ran here" in mixed and "cpu · Net" not in mixed
