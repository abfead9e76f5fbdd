"""Notebooks are executed through papermill into the stage, again only when something relevant changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError, RunError
from imtext.progress import PROGRESS_FILE
from imtext.publish.console import NotebookProgress
from imtext.publish.normalise import normalise_file, normalise_notebook, write_notebook
from imtext.publish.parameters import (
    FOLDERS,
    absolute_folder,
    absolute_folders,
    check_parameters,
    declared_parameters,
)
from imtext.publish.stage import (
    digest_files,
    digest_sources,
    find_notebooks,
    make_stage,
    read_record,
    versions,
    write_record,
)

# Where a notebook without runs_dir keeps its runs; not a parameter, so that no page shows the path.
RUNS_FOLDER = "IMTEXT_RUNS"
# Environment variables of the library that name a folder.
_FOLDER_VARIABLES = (RUNS_FOLDER, "IMTEXT_DATA", "IMTEXT_RESULTS")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def execute_book(
    root: Path,
    build: Path,
    profile: str,
    parameters: Mapping[str, Any] | None = None,
    names: Iterable[str] = (),
    force: bool = False,
    at_once: int = 1,
) -> list[Path]:
    """Execute the book's notebooks into the stage; those that nothing relevant has touched are kept.

    ``at_once``: so many notebooks beside each other.

    Raises:
        ConfigError: a parameter is unknown or of the wrong type; nothing has run then.
        RunError: a cell failed; the message names the notebook, the cell and the error.
    """
    notebooks = find_notebooks(root, names)
    given = {"profile": profile, **(parameters or {})}
    for source in notebooks:
        check_parameters(source, given)
    given = absolute_folders(given)
    stage = make_stage(root, build)
    os.environ.setdefault(RUNS_FOLDER, str((build / "runs").resolve()))
    waiting = []
    for number, source in enumerate(notebooks, start=1):
        key = _key(root, source, given)
        title = f"[{number}/{len(notebooks)}] {source.stem} ({profile})"
        if not force and _is_current(_record(build, source), key, stage / "notebooks" / source.name):
            print(f"  {title}: nothing changed, kept")
        else:
            waiting.append((source, stage, build, given, key, title))
    if at_once > 1:
        # A process each: papermill changes the folder and the environment of the one it runs in.
        with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
            for done in [pool.submit(_execute_and_note, *one) for one in waiting]:
                done.result()
    else:
        for one in waiting:
            _execute_and_note(*one)
    return [stage / "notebooks" / source.name for source in notebooks]


def _record(build: Path, source: Path) -> Path:
    return build / "records" / f"{source.stem}.json"


def _execute_and_note(
    source: Path, stage: Path, build: Path, given: Mapping[str, Any], key: str, title: str
) -> None:
    """Execute a notebook into the stage, and note what it was made of."""
    began, target = time.monotonic(), stage / "notebooks" / source.name
    execute_notebook(source, target, given, work=build / "executing", title=title)
    seconds = round(time.monotonic() - began, 1)
    made = {"key": key, "output": digest_files([target], stage), "parameters": given, "seconds": seconds}
    write_record(_record(build, source), made)


def execute_notebook(
    source: Path, target: Path, parameters: Mapping[str, Any], work: Path, title: str | None = None
) -> None:
    """Execute one notebook in the folder of ``target`` and put it there once it is whole and without error.

    ``work`` holds the notebook while it runs, and keeps it after a failure.

    Raises:
        ConfigError: a parameter is unknown or of the wrong type.
        RunError: a cell failed or the kernel died.
    """
    import nbformat

    check_parameters(source, parameters)
    parameters = absolute_folders(parameters)
    partial = work / source.name
    for folder in (work, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with NotebookProgress(title or source.stem, news=work / f"{source.stem}.news") as shown:
        try:
            _run_papermill(source, partial, parameters, target.parent, shown)
            notebook = nbformat.read(partial, as_version=4)
            refuse_errors(notebook, str(source), partial)
        except RunError:
            shown.close("failed")
            raise
        _hide_folders(notebook, parameters)
        write_notebook(normalise_notebook(notebook, published=True), partial)
        os.replace(partial, target)
        shown.close(f"done, {len(notebook.cells)} cells")
    shown.news.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        work.rmdir()  # unless a notebook that failed earlier lies there


def refresh(root: Path, build: Path, names: Iterable[str] = ()) -> list[Path]:
    """Execute the committed notebooks in place, with the defaults they declare, and normalise them.

    Raises:
        ConfigError: a notebook's default profile is not ``smoke``.
        RunError: a cell failed; the committed notebook is left as it was.
    """
    notebooks = find_notebooks(root, names)
    for path in notebooks:
        default = declared_parameters(path).get("profile")
        if default is None or default.default != "smoke":
            raise ConfigError(f"{path}: the default of 'profile' must be 'smoke', which is what is committed")
    for path in notebooks:
        staged = build / "refreshing" / path.name
        # Executed where it lies, so that relative paths mean what they mean to nbval.
        staged.parent.mkdir(parents=True, exist_ok=True)
        with NotebookProgress(f"{path.stem} (smoke)", news=staged.with_suffix(".news")) as shown:
            try:
                _run_papermill(path, staged, {}, path.parent, shown)
                normalise_file(staged)
            except RunError:
                shown.close("failed")
                raise
            os.replace(staged, path)
            shown.close("done")
    return notebooks


def _hide_folders(notebook: Any, parameters: Mapping[str, Any]) -> None:
    """Where data and runs lie on this machine is nothing to publish: the page shows the folders' names."""
    from papermill.translators import PythonTranslator

    folders = [parameters[name] for name in FOLDERS if parameters.get(name)]
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            for folder in folders:
                written, name = map(PythonTranslator.translate, (folder, Path(folder).name))
                cell.source = cell.source.replace(written, name)


def refuse_errors(notebook: Any, name: str, where: Path) -> None:
    """Refuse outputs that hold an error: jupyter-book would publish them and exit 0.

    Raises:
        RunError: names the notebook, the cell, its first line and the message.
    """
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raise RunError(_failure(name, index, cell.source, output.ename, output.evalue, where))


def _run_papermill(
    source: Path, partial: Path, parameters: Mapping[str, Any], cwd: Path, shown: NotebookProgress
) -> None:
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    cells = nbformat.read(source, as_version=4).cells
    shown.news.unlink(missing_ok=True)
    # The kernel inherits the environment; the library writes into this file where its work has got to.
    os.environ[PROGRESS_FILE] = str(shown.news.resolve())
    for name in _FOLDER_VARIABLES:
        if os.environ.get(name):
            os.environ[name] = absolute_folder(os.environ[name])
    try:
        papermill.execute_notebook(
            str(source.resolve()),
            str(partial.resolve()),
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            extra_arguments=["--log-level=ERROR"],
            progress_bar=False,
            cwd=str(cwd.resolve()),
            on_cell_start=shown.watch(cells).on_cell_start,
        )
    except papermill.PapermillExecutionError as error:
        raise RunError(
            _failure(str(source), error.cell_index, error.source, error.ename, error.evalue, partial)
        ) from None
    except (DeadKernelError, CellTimeoutError) as error:
        raise RunError(
            f"{source}: stopped at {shown.text}: {error}; what ran until then is in {partial}"
        ) from None
    finally:
        os.environ.pop(PROGRESS_FILE, None)


def _failure(name: str, index: int, source: str, kind: str, message: str, where: Path) -> str:
    first = next((line for line in source.splitlines() if line.strip()), "")
    plain = _COLOURS.sub("", message)
    return f"{name}: cell {index} ({first.strip()}) failed: {kind}: {plain}; the whole output is in {where}"


def _key(root: Path, source: Path, parameters: Mapping[str, Any]) -> str:
    """What an executed notebook depends on."""
    results = [path for path in (root / "results").rglob("*") if path.is_file()]
    parts = {
        "notebook": hashlib.sha256(source.read_bytes()).hexdigest(),
        "library": digest_sources(),
        "results": digest_files(results, root),
        "parameters": parameters,
        "python": platform.python_version(),
        "versions": versions("torch", "torchvision", "numpy", "pandas", "matplotlib", "seaborn"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _is_current(record: Path, key: str, target: Path) -> bool:
    known = read_record(record)
    if known.get("key") != key or not target.is_file():
        return False
    return known.get("output") == digest_files([target], target.parent.parent)
