"""What a reader sees on the terminal while a notebook runs."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO


def spoken_time(seconds: float) -> str:
    """A duration for people.

    >>> spoken_time(83.4), spoken_time(5), spoken_time(3700)
    ('1 min 23 s', '5 s', '1 h 1 min')
    """
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class NotebookProgress:
    """One line about the notebook that runs: the cell, the section it belongs to and the time so far.

    On a terminal the line is rewritten once a second; in a log a new one is written per section, when the
    library announces a new stage of its work (in the file ``news``), and every half minute.
    """

    def __init__(self, name: str, news: Path, stream: TextIO | None = None) -> None:
        self.name = name
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.news = news.absolute()  # papermill changes this process's folder while it runs
        self.text = "starting"
        self._announced = ""
        self._written = 0.0
        self.section = ""
        self.began = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._cells: list[Any] = []

    def watch(self, cells: list[Any]) -> NotebookProgress:
        """Take the notebook's cells, to count them."""
        self._cells = cells
        return self

    def on_cell_start(self, cell: Any, cell_index: int) -> None:
        """Called by nbclient before every cell, markdown cells included."""
        if cell.cell_type == "markdown":
            heading = _heading(cell.source)
            if heading:
                self.section = heading
                self.text = f"cell {cell_index + 1}/{max(len(self._cells), cell_index + 1)}  {heading}"
                if not self.live:
                    self._write()
            return
        self.text = f"cell {cell_index + 1}/{max(len(self._cells), cell_index + 1)}  {self.section}".rstrip()
        if self.live:
            self._write()

    def close(self, text: str) -> None:
        """Stop, and leave one last line."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.text = text
        self._write(end="\n")

    def __enter__(self) -> NotebookProgress:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _beat(self) -> None:
        while not self._stop.wait(1.0):
            waited = time.monotonic() - self._written
            changed = self._announced != self._last_news()
            if self.live or waited > 30 or (changed and waited > 5):
                self._write(news=True)

    def _last_news(self) -> str:
        try:
            lines = self.news.read_text(encoding="utf-8").splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def _write(self, end: str = "", news: bool = False) -> None:
        self._written = time.monotonic()
        spent = spoken_time(self._written - self.began)
        text = self.text
        if news:
            self._announced = self._last_news()
            text = f"{text}: {self._announced}" if self._announced else text
        line = f"  {self.name}  {spent:>11}  {text}"[:110]
        with self._lock:
            self.stream.write(f"\r{line:<110}{end}" if self.live else f"{line}\n")
            self.stream.flush()


def _heading(source: str) -> str:
    for line in source.splitlines():
        if line.startswith("#"):
            return line.lstrip("#").strip()
    return ""
