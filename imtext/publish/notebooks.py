"""Notebooks: which there are, their parameters, the one form that is committed, and what they show.

The committed form is such that executing a notebook again changes nothing: out go timing, kernel details and
papermill's notes; execution counts run 1, 2, 3 …; memory addresses become ``0x0``; a path of the machine that
ran it is refused. papermill only warns of an unknown parameter; here it is refused before anything runs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from imtext.check import one_of
from imtext.errors import ConfigError, RunError
from imtext.files import atomic, told

FOLDERS = ("data_root", "runs_dir")
INJECTED = "injected-parameters"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
MACHINE_PATH = re.compile(
    r"(?<![\w.$}~:/-])/(?:home|root|work|tmp|var|opt|usr|mnt|srv|private|Users|content|data\d*)/[\w.-]+"
    r"|\b[A-Za-z]:\\\\?Users\\"
)


def find_notebooks(
    root: Path, names: Iterable[str] = (), parameters: Collection[str] = (), book: bool = False
) -> list[Path]:
    """The notebooks of the papers, or those named (``instance_loss``, with or without folder and suffix).

    ``book``: also those among the pages of the book, which take no parameters.

    Raises:
        ConfigError: a name is not that of a notebook, or one of them does not take one of the ``parameters``.
    """
    folders = ("notebooks", "book")[: 1 + book]
    present = {path.stem: path for folder in folders for path in sorted((root / folder).glob("*.ipynb"))}
    found = [present[one_of("notebook", Path(name).stem, present)] for name in names] or [*present.values()]
    for path in found if parameters else ():
        check_names(path, parameters)
    return found


def tagged(cell: Any, tag: str) -> bool:
    """Whether a cell bears a tag."""
    return tag in cell.metadata.get("tags", [])


def check_names(path: Path, parameters: Iterable[str]) -> None:
    """Refuse a parameter that the notebook does not declare, in its cell tagged ``parameters``.

    Raises:
        ConfigError: names those that it declares; or it cannot be read.
    """
    from papermill import inspect_notebook

    # A damaged notebook can raise almost anything.
    with told(path, ConfigError, Exception, "expected a notebook, found {}"):
        declared = inspect_notebook(path)
    for name in parameters:
        if name not in declared:
            raise ConfigError(f"{path}: unknown parameter '{name}'; it takes {', '.join(declared) or 'none'}")


def normalise_notebook(notebook: Any, published: bool = False) -> Any:
    """Bring a notebook into the committed form, in place.

    ``published`` keeps the cell in which papermill wrote the parameters of this run, so that the page
    shows them.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    notebook.cells = [cell for cell in notebook.cells if published or not tagged(cell, INJECTED)]
    notebook.metadata = type(notebook.metadata)(kernelspec=KERNELSPEC, language_info={"name": "python"})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    numbers = itertools.count(1)
    for index, cell in enumerate(notebook.cells):
        kept = {key: cell.metadata[key] for key in ("mystnb", "tags") if cell.metadata.get(key)}
        cell.metadata = type(cell.metadata)(kept)
        cell.setdefault("id", f"cell-{index:03d}")
        if tagged(cell, INJECTED):
            cell["id"] = "parameters-of-this-run"
        if cell.cell_type == "code":
            if cell.execution_count is not None:
                cell.execution_count = next(numbers)
            CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, index)  # how they were cut is timing
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count
                for kind, value in texts_of(output).items():
                    (output if kind == "text" else output.data)[kind] = ADDRESS.sub("0x0", value)
    return notebook


def texts_of(output: Any) -> dict[str, str]:
    """What a cell's output shows as text, by kind."""
    shown = {"text": output.get("text"), **output.get("data", {})}
    return {kind: value for kind, value in shown.items() if kind.startswith("text") and value is not None}


def publish_notebook(executed: Path, target: Path, parameters: Mapping[str, Any]) -> None:
    """Write an executed notebook in the committed form, with the parameters of its run."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = load_notebook_node(str(executed))
    # Where data and runs lie on this machine is nothing to publish: the folders' names are shown.
    shown = {name: Path(parameters[name]).name for name in FOLDERS if parameters.get(name)}
    if parameters:
        given = {**parameters, **shown}
        notebook = parameterize_notebook(notebook, given, kernel_name="python3", language="python")
    write_notebook(normalise_notebook(notebook, published=True), target)


def normalise_file(path: Path) -> bool:
    """Normalise a notebook file in place; returns whether it changed.

    Raises:
        RunError: it holds an error, or a path of this machine, or a cell that was never run.
    """
    import nbformat

    before = path.read_text(encoding="utf-8")
    notebook = normalise_notebook(nbformat.reads(before, as_version=4))
    refuse_unfit(notebook, str(path))
    write_notebook(notebook, path)
    return path.read_text(encoding="utf-8") != before


def refuse_unfit(notebook: Any, name: str) -> None:
    """Refuse a notebook that must not be committed.

    Raises:
        RunError: names the notebook, the cell and the reason.
    """
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise RunError(f"{name}: cell {index} was never run; execute the notebook (make refresh)")
        texts = [cell.source]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raise RunError(f"{name}: cell {index} holds an error ({output.ename}); mend it and run again")
            texts += texts_of(output).values()
        if found := MACHINE_PATH.search("\n".join(texts)):
            said = f"a path of this machine ({found.group(0)}); print a relative path, or a file's name"
            raise RunError(f"{name}: cell {index} holds {said}")


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all."""
    import nbformat

    with atomic(path, RunError) as temporary:
        nbformat.write(notebook, temporary)
