"""The row of one's own that the book shows is really run."""

import re
from pathlib import Path

from notebook_source import defined

PAGE = Path(__file__).resolve().parents[2] / "book" / "reproducing.md"


def test_the_row_of_the_page_is_trained_and_stands_at_the_foot(tmp_path, monkeypatch):
    monkeypatch.setenv("IMTEXT_DATA", str(tmp_path / "data"))
    (line,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    given = {"seeds": [0], "tables": "2", "device": "cpu", "runs_dir": str(tmp_path / "runs")}
    names = defined("intra_modal", overrides={"data": {"train": 20, "val": 10, "test": 10}}, **given)
    exec(line, names)
    study, rows = names["study"], names["rows"]
    (key,) = set(rows) - set(defined("intra_modal", **given)["rows"])
    results = study.run(rows)
    assert results[key].embeddings()[0]["images"].shape == (10, 16)
    assert key in study.compare(2, results)._repr_html_()
    alone = study.compare(2, type(results)({key: results[key]}))  # no row of the table is there
    assert key not in alone._repr_html_()


def test_the_overrides_of_the_page_are_taken():
    import yaml

    commands = re.findall(r"imtext notebook (\w+) -p overrides '(.*)'", PAGE.read_text(encoding="utf-8"))
    assert len(commands) == 2
    for name, given in commands:
        plain, changed = defined(name), defined(name, overrides=yaml.safe_load(given))
        assert plain["rows"].keys() == changed["rows"].keys() and plain["rows"] != changed["rows"]
