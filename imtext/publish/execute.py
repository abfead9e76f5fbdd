"""Notebooks are executed through papermill into the stage, again only when something relevant changed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError, RunError
from imtext.files import read_object, write_json
from imtext.progress import PROGRESS_FILE
from imtext.publish.console import NotebookProgress
from imtext.publish.normalise import normalise_file, normalise_notebook, write_notebook
from imtext.publish.parameters import (
    FOLDERS,
    absolute_folder,
    absolute_folders,
    check_names,
    declared_parameters,
)
from imtext.publish.stage import digest_files, digest_sources, find_notebooks, make_stage

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
        ConfigError: a parameter is unknown; nothing has run then.
        RunError: a cell failed; the message names the notebook, the cell and the error.
    """
    notebooks = find_notebooks(root, names)
    given = {"profile": profile, **(parameters or {})}
    for source in notebooks:
        check_names(source, given)
    given = absolute_folders(given)
    stage = make_stage(root, build)
    os.environ.setdefault(RUNS_FOLDER, str((build / "runs").resolve()))
    waiting = []
    for source in notebooks:
        target = stage / "notebooks" / source.name
        record, key = build / "records" / f"{source.stem}.json", _key(root, source, given)
        if not force and read_object(record) == {"key": key, "output": digest_files([target], stage)}:
            print(f"  {source.stem}: nothing changed, kept")
        else:
            waiting.append((source, target, given, build / "executing", record, key))
    if at_once > 1:
        # A process each: papermill changes the folder and the environment of the one it runs in.
        with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
            for done in [pool.submit(_execute_and_note, *one) for one in waiting]:
                done.result()
    else:
        for one in waiting:
            _execute_and_note(*one)
    return [stage / "notebooks" / source.name for source in notebooks]


def _execute_and_note(
    source: Path, target: Path, given: Mapping[str, Any], work: Path, record: Path, key: str
) -> None:
    """Execute a notebook into the stage, and note what it was made of."""
    execute_notebook(source, target, given, work)
    record.parent.mkdir(exist_ok=True)
    write_json(record, {"key": key, "output": digest_files([target], target.parent.parent)})


def execute_notebook(source: Path, target: Path, parameters: Mapping[str, Any], work: Path) -> None:
    """Execute one notebook in the folder of ``target`` and put it there once it is whole and without error.

    ``work`` holds the notebook while it runs, and keeps it after a failure.

    Raises:
        ConfigError: a parameter is unknown.
        RunError: a cell failed or the kernel died.
    """
    import nbformat

    check_names(source, parameters)
    parameters = absolute_folders(parameters)
    partial = _run_papermill(source, work, parameters, target.parent)
    notebook = nbformat.read(partial, as_version=4)
    _hide_folders(notebook, parameters)
    write_notebook(normalise_notebook(notebook, published=True), partial)
    os.replace(partial, target)


def refresh(root: Path, build: Path, names: Iterable[str] = ()) -> list[Path]:
    """Execute the committed notebooks in place, with the defaults they declare, and normalise them.

    Raises:
        ConfigError: a notebook's default profile is not ``smoke``.
        RunError: a cell failed; the committed notebook is left as it was.
    """
    notebooks = find_notebooks(root, names)
    for path in notebooks:
        if declared_parameters(path).get("profile") != "smoke":
            raise ConfigError(f"{path}: the default of 'profile' must be 'smoke', which is what is committed")
    for path in notebooks:
        # Executed where it lies, so that relative paths mean what they mean to nbval.
        partial = _run_papermill(path, build / "refreshing", {}, path.parent)
        normalise_file(partial)
        os.replace(partial, path)
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


def _run_papermill(source: Path, work: Path, parameters: Mapping[str, Any], folder: Path) -> Path:
    """Execute a notebook in a folder, as a copy in ``work``; what goes on is shown on the terminal."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    for made in (work, folder):
        made.mkdir(parents=True, exist_ok=True)
    partial = work / source.name
    with NotebookProgress(source.stem, news=work / f"{source.stem}.news") as shown:
        # The kernel inherits the environment; the library writes into this file where its work has got to.
        os.environ[PROGRESS_FILE] = str(shown.news)
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
                cwd=str(folder.resolve()),
                on_cell_start=shown.on_cell_start,
            )
        except papermill.PapermillExecutionError as error:
            raise RunError(f"{source}: {_failure(error)}; the whole output is in {partial}") from None
        except DeadKernelError as error:
            raise RunError(f"{source}: stopped at {shown.text}: {error}; see {partial}") from None
        finally:
            os.environ.pop(PROGRESS_FILE, None)
    return partial


def _failure(error: Any) -> str:
    first = next((line for line in error.source.splitlines() if line.strip()), "")
    plain = _COLOURS.sub("", error.evalue)
    return f"cell {error.cell_index} ({first.strip()}) failed: {error.ename}: {plain}"


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
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
