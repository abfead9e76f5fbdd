"""What the terminal shows while a notebook runs."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

from imtext.publish.console import NotebookProgress


def cell(kind: str, source: str) -> SimpleNamespace:
    return SimpleNamespace(cell_type=kind, source=source)


def feed(shown: NotebookProgress) -> None:
    cells = [cell("markdown", "## Table 2\n\ntext"), cell("code", "x"), cell("code", "y")]
    shown.watch(cells)
    with shown:
        for index, each in enumerate(cells):
            shown.on_cell_start(cell=each, cell_index=index)
        shown.close("done")


def test_a_log_gets_a_line_per_section(tmp_path: Path) -> None:
    stream = io.StringIO()
    feed(NotebookProgress("a", tmp_path / "news", stream))
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["starting", "Table 2", "done"]


def test_a_terminal_gets_one_line_rewritten(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    feed(NotebookProgress("a", tmp_path / "news", stream))
    assert stream.getvalue().count("\n") == 1
    assert "cell 3/3  Table 2" in stream.getvalue()


def test_what_the_library_announces_is_shown(tmp_path: Path) -> None:
    stream, news = io.StringIO(), tmp_path / "news"
    shown = NotebookProgress("a", news, stream)
    news.write_text("drawing\nStage I, epoch 3/10\n", encoding="utf-8")
    shown._write(news=True)
    assert stream.getvalue().rstrip().endswith("starting: Stage I, epoch 3/10")
