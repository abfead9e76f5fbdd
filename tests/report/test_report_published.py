"""Published runs: what is written is read back, and a slip is named with file and line."""

from __future__ import annotations

import pandas as pd
import pytest

from imtext.errors import ConfigError, DataError
from imtext.report import paper_table, read_published, side_by_side, write_published


@pytest.fixture
def runs():
    line = {
        "table": "2",
        "row": "full_stage2",
        "seed": 0,
        "dataset": "flickr8k",
        "profile": "paper",
        "backbone": "resnet50",
        "device": "cuda",
        "hardware": "one GPU",
        "commit": "abc1234",
        "date": "2026-01-02",
        "minutes": 12.5,
        "image_query_r1": 20.0,
        "text_query_r1": None,
    }
    return pd.DataFrame(
        [line, {**line, "seed": 1, "image_query_r1": 22.0}, {**line, "row": "ranking_stage2"}]
    )


def test_round_trip(runs, tmp_path):
    path = write_published(tmp_path / "flickr8k" / "instance_loss.csv", runs)
    published = read_published(path)
    assert published.tables == ("2",)
    ours, provenance = published.table("2")
    assert ours.loc["full_stage2", "image_query_r1"] == 21.0 and ours.loc["full_stage2", "n_seeds"] == 2
    assert "text_query_r1" not in ours.columns
    assert published.ran("2") == {"full_stage2": "resnet50", "ranking_stage2": "resnet50"}
    text = side_by_side(paper_table("instance_loss", 2), ours, provenance).to_html()
    for part in ("flickr8k", "profile paper", "seeds 0, 1", "one GPU", "abc1234", "38 minutes, 2026-01-02"):
        assert part in text
    again = path.read_bytes()
    write_published(path, published.runs)
    assert path.read_bytes() == again
    assert [item.name for item in path.parent.iterdir()] == ["instance_loss.csv"]


def test_what_ran_stands_in_the_table(runs, tmp_path):
    runs["backbone"] = ["resnet50 · text depth 50", "resnet152", "<vgg19>"]
    published = read_published(write_published(tmp_path / "instance_loss.csv", runs))
    ran = published.ran("2")
    # The two seeds of the first row differ.
    assert ran == {"full_stage2": "resnet50 · text depth 50, resnet152", "ranking_stage2": "<vgg19>"}
    text = side_by_side(paper_table("instance_loss", 2), *published.table("2"), ran=ran).to_html()
    assert "resnet50 · text depth 50, resnet152" in text and "&lt;vgg19&gt;" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("20.0", "twenty", "line 2, image_query_r1: 'twenty' does not belong there"),
        ("commit", "comit", "column 'commit' is missing"),
        ("abc1234", "", "line 2, commit: '' does not belong there"),
        ("12.5", "", "line 2, minutes: '' does not belong there"),
        ("\n2,full_stage2,1", "\n2,full_stage2,0", "line 3: this row and seed stands there already"),
        ("\n2,", "\n9,", "no Table '9'"),
        ("0,flickr8k,paper", "0,flickr8k,quick", "line 3: its table has lines of another profile"),
    ],
)
def test_slips_are_named(runs, tmp_path, old, new, message):
    path = write_published(tmp_path / "flickr8k" / "instance_loss.csv", runs)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_published(path)
    assert message in str(error.value) and "instance_loss.csv" in str(error.value)


def test_damaged_files(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_published(tmp_path / "instance_loss.csv")
    with pytest.raises(ConfigError, match="paper 'other' is unknown; expected one of instance_loss"):
        read_published(tmp_path / "other.csv")
    (tmp_path / "instance_loss.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="no CSV table in UTF-8"):
        read_published(tmp_path / "instance_loss.csv")
    (tmp_path / "instance_loss.csv").write_bytes(b"")
    with pytest.raises(DataError, match="No columns"):
        read_published(tmp_path / "instance_loss.csv")


def test_nothing_half_written(runs, tmp_path):
    path = write_published(tmp_path / "flickr8k" / "instance_loss.csv", runs)
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_published(path, runs.drop(columns="commit"))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
