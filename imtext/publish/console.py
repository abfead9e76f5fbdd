"""What a reader sees on the terminal while a notebook runs."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any


def spoken_time(seconds: float) -> str:
    """A duration for people.

    >>> spoken_time(83.4), spoken_time(5), spoken_time(3700)
    ('1 min 23 s', '0 min 5 s', '61 min 40 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


class NotebookProgress:
    """One line about the notebook that runs: the cell, the section it belongs to and the time so far.

    It ends with what the library last announced of its work, in the file ``news``. On a terminal the line is
    rewritten once a second; in a log a new one is written each half minute.
    """

    def __init__(self, name: str, news: Path) -> None:
        self.name = name
        self.stream = sys.stdout
        self.live = self.stream.isatty()
        self.news = news.absolute()  # papermill changes this process's folder while it runs
        self.news.unlink(missing_ok=True)
        self.text, self.section = "starting", ""
        self.began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def on_cell_start(self, cell: Any, cell_index: int) -> None:
        """Called by nbclient before every cell, markdown cells included."""
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            self.section = cell.source.splitlines()[0].lstrip("# ")
        self.text = f"cell {cell_index + 1}  {self.section}"

    def __enter__(self) -> NotebookProgress:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.news.unlink(missing_ok=True)
        self.text = "failed" if failure else "done"
        self._write(end="\n")

    def _beat(self) -> None:
        while not self._stop.wait(1 if self.live else 30):
            self._write()

    def _write(self, end: str = "") -> None:
        news = self.news.read_text(encoding="utf-8").splitlines() if self.news.is_file() else []
        text = ": ".join([self.text, *news[-1:]])
        line = f"  {self.name}  {spoken_time(time.monotonic() - self.began):>11}  {text}"[:110]
        self.stream.write(f"\r{line:<110}{end}" if self.live else f"{line}\n")
        self.stream.flush()
