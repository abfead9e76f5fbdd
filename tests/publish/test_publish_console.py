"""What the terminal shows while a notebook runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from imtext.publish.execute import NotebookProgress


def test_the_cell_its_section_and_what_the_library_announces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with NotebookProgress("a", tmp_path / "news") as shown:
        shown.on_cell_start(SimpleNamespace(cell_type="markdown", source="## Table 2\n\ntext"), 0)
        shown.on_cell_start(SimpleNamespace(cell_type="code", source="x"), 1)
        shown.news.write_text("drawing\nStage I, epoch 3/10\n", encoding="utf-8")
        shown._write()
    started, running, ended = capsys.readouterr().out.splitlines()
    assert started.endswith("starting") and ended.endswith("done")
    assert running.endswith("cell 2  Table 2: Stage I, epoch 3/10")
