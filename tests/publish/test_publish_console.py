"""What the terminal shows while a notebook runs."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from imtext.publish.execute import NotebookProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_cell_its_section_and_what_the_library_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    monkeypatch.setattr("sys.stdout", stream)
    with NotebookProgress("a", tmp_path / "news") as shown:
        shown.on_cell_start(SimpleNamespace(cell_type="markdown", source="## Table 2\n\ntext"), 0)
        shown.on_cell_start(SimpleNamespace(cell_type="code", source="x"), 1)
        shown.news.write_text("drawing\nStage I, epoch 3/10\n", encoding="utf-8")
        shown._write()
    lines = stream.getvalue().replace("\r", "" if stream.isatty() else "\r").splitlines()
    text = " ".join(lines)
    assert "starting" in text and "cell 2  Table 2: Stage I, epoch 3/10" in text and "done" in text
    assert len(lines) == (1 if stream.isatty() else 3)
