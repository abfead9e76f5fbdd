"""Notebooks are executed through papermill into the stage, again only when something relevant changed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imtext.errors import RunError
from imtext.experiment.compute import jobs_here
from imtext.files import json_bytes, read_object, write_json
from imtext.progress import PROGRESS_FILE
from imtext.publish.notebooks import check_names, find_notebooks, normalise_file, publish_notebook
from imtext.publish.pages import COLOURS, digest_files, digest_sources, make_stage
from imtext.training.device import resolve_device

# Where a notebook without runs_dir keeps its runs; not a parameter, so that no page shows the path.
RUNS_FOLDER = "IMTEXT_RUNS"
EVERY = 30  # seconds between two lines about a notebook
# Environment variables of the library that name a folder.
_FOLDER_VARIABLES = (RUNS_FOLDER, "IMTEXT_DATA", "IMTEXT_RESULTS")


class NotebookProgress:
    """One line about the notebook that runs: the cell, the section it belongs to and the time so far.

    It ends with what the library last announced of its work, in the file ``news``, and is written anew each
    half minute, since several notebooks may run beside each other.
    """

    def __init__(self, name: str, news: Path) -> None:
        self.name, self.text, self.section, self.began = name, "starting", "", time.monotonic()
        self.news = news.absolute()  # papermill changes this process's folder while it runs
        self.news.unlink(missing_ok=True)
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._beat, daemon=True)

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
        self._write()

    def _beat(self) -> None:
        while not self._stop.wait(EVERY):
            self._write()

    def _write(self) -> None:
        news = self.news.read_text(encoding="utf-8").splitlines() if self.news.is_file() else []
        spent = timedelta(seconds=round(time.monotonic() - self.began))
        print(f"  {self.name}  {spent}  {': '.join([self.text, *news[-1:]])}"[:110], flush=True)


def execute_book(
    root: Path,
    build: Path,
    parameters: Mapping[str, Any],
    names: Iterable[str] = (),
    force: bool = False,
    at_once: int | None = None,
) -> None:
    """Execute the book's notebooks into the stage; those that nothing relevant has touched are kept.

    ``at_once``: so many notebooks beside each other; None: two where rows are trained side by side.

    Raises:
        ConfigError: a parameter is unknown; nothing has run then.
        RunError: a cell failed; the message names the notebook, the cell and the error.
    """
    notebooks = find_notebooks(root, names, parameters)
    given, stage, waiting = parameters, make_stage(root, build), []
    os.environ.setdefault(RUNS_FOLDER, str((build / "runs").resolve()))
    for source in notebooks:
        target = stage / "notebooks" / source.name
        record, key = build / "records" / f"{source.stem}.json", _key(root, source, given)
        if not force and read_object(record) == {"key": key, "output": digest_files([target], stage)}:
            print(f"  {source.stem}: nothing changed, kept")
        else:
            waiting.append((source, target, given, build / "executing", record, key))
    if at_once is None:  # rows of the second fill the gaps of the first; more would wait for slots, in memory
        jobs, device = parameters.get("jobs", "auto"), resolve_device(parameters.get("device", "auto"))
        at_once = min(2, len(waiting), jobs_here(jobs if isinstance(jobs, int) else "auto", "", device)) or 1
    # A process each: papermill changes the folder and the environment of the one it runs in.
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        list((map if at_once == 1 else pool.map)(_execute, waiting))


def _execute(given: tuple[Path, Path, Mapping[str, Any], Path, Path, str]) -> None:
    """Execute a notebook, put it in its place once it is whole and without error, note what it is made of.

    ``work`` holds it while it runs, and keeps it after a failure.
    """
    source, target, parameters, work, record, key = given
    partial = _run_papermill(source, work, parameters, target.parent)
    publish_notebook(partial, target, parameters)
    record.parent.mkdir(exist_ok=True)
    write_json(record, {"key": key, "output": digest_files([target], target.parent.parent)})


def execute_notebook(source: Path, parameters: Mapping[str, Any], out: Path) -> Path:
    """Execute a copy of a notebook in the folder ``out``, and return it. Raises as `execute_book` does."""
    check_names(source, parameters)
    os.environ.setdefault(RUNS_FOLDER, "_build/runs")
    return _run_papermill(source, out, parameters, source.parent)


def refresh(root: Path, build: Path, names: Iterable[str] = ()) -> None:
    """Execute the committed notebooks in place, with the defaults they declare, and normalise them.

    Raises:
        RunError: a cell failed; the committed notebook is left as it was.
    """
    for path in find_notebooks(root, names, book=True):
        # Executed where it lies, so that relative paths mean what they mean to nbval.
        partial = _run_papermill(path, build / "refreshing", {}, path.parent)
        normalise_file(partial)
        os.replace(partial, path)


def _run_papermill(source: Path, work: Path, parameters: Mapping[str, Any], folder: Path) -> Path:
    """Execute a notebook in a folder, as a copy in ``work``; what goes on is shown on the terminal."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    work.mkdir(parents=True, exist_ok=True)
    partial = work / source.name
    with NotebookProgress(source.stem, news=work / f"{source.stem}.news") as shown:
        # The kernel inherits the environment; the library writes into this file where its work has got to.
        os.environ[PROGRESS_FILE] = str(shown.news)
        for name in _FOLDER_VARIABLES:
            if os.environ.get(name):  # from where the user stands: a notebook runs in another folder
                os.environ[name] = os.path.abspath(os.path.expanduser(os.environ[name]))
        try:
            papermill.execute_notebook(
                str(source.resolve()),
                str(partial.resolve()),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                # What a cell raises comes back as such; the kernel's own log complains of being stopped.
                extra_arguments=["--log-level=CRITICAL"],
                progress_bar=False,
                cwd=str(folder.resolve()),
                on_cell_start=shown.on_cell_start,
            )
        except papermill.PapermillExecutionError as error:
            first = next((line for line in error.source.splitlines() if line.strip()), "").strip()
            said = COLOURS.sub("", f"({first}) failed: {error.ename}: {error.evalue}")
            raise RunError(f"{source}: cell {error.cell_index} {said}; see {partial}") from None
        except DeadKernelError as error:
            raise RunError(f"{source}: stopped at {shown.text}: {error}; see {partial}") from None
        finally:
            os.environ.pop(PROGRESS_FILE, None)
    return partial


def _key(root: Path, source: Path, parameters: Mapping[str, Any]) -> str:
    """What an executed notebook depends on."""
    packages = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "seaborn")
    parts = {
        "notebook": digest_files([source], root),
        "library": digest_sources(),
        "results": digest_files((root / "results").rglob("*"), root),
        "parameters": parameters,
        "versions": [version(name) for name in packages],
    }
    return hashlib.sha256(json_bytes(parts)).hexdigest()
