"""Notebooks in the one form that is committed, so that executing them again changes nothing.

Out go timing, kernel details and papermill's notes; execution counts run 1, 2, 3 …; memory addresses become
``0x0``; a path of the machine that ran it is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from imtext.errors import RunError
from imtext.files import atomic

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT_CELL_METADATA = ("mystnb", "tags")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
MACHINE_PATH = re.compile(
    r"(?<![\w.$}~:/-])/(?:home|root|work|tmp|var|opt|usr|mnt|srv|private|Users|content|data\d*)/[\w.-]+"
    r"|\b[A-Za-z]:\\\\?Users\\"
)


def normalise_notebook(notebook: Any, published: bool = False) -> Any:
    """Bring a notebook into the committed form, in place.

    ``published`` keeps the cell in which papermill wrote the parameters of this run, so that the page
    shows them.
    """
    if not published:
        notebook.cells = [
            cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])
        ]
    notebook.metadata = type(notebook.metadata)(kernelspec=KERNELSPEC, language_info={"name": "python"})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for index, cell in enumerate(notebook.cells):
        cell.metadata = type(cell.metadata)(
            {key: cell.metadata[key] for key in KEPT_CELL_METADATA if cell.metadata.get(key)}
        )
        cell.setdefault("id", f"cell-{index:03d}")
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "parameters-of-this-run"
        if cell.cell_type == "code":
            if cell.execution_count is not None:
                count += 1
                cell.execution_count = count
            cell.outputs = _merged(cell.outputs)
            for output in cell.outputs:
                _normalise_output(output, cell.execution_count)
    return notebook


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
            texts += [output.get("text", ""), *texts_of(output).values()]
        for text in texts:
            if found := MACHINE_PATH.search(text):
                raise RunError(
                    f"{name}: cell {index} holds a path of this machine ({found.group(0)}); "
                    "print a relative path, or a file's name"
                )


def dump_notebook(notebook: Any) -> str:
    """A notebook as text: sorted keys, one-space indent, one newline at the end."""
    import nbformat

    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all."""
    with atomic(path, RunError) as temporary:
        temporary.write_text(dump_notebook(notebook), encoding="utf-8")


def _merged(outputs: list[Any]) -> list[Any]:
    """Neighbouring pieces of one stream become one: how they were cut depends on timing."""
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged and merged[-1].output_type == "stream" else None
        if last is not None and output.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _normalise_output(output: Any, count: int | None) -> None:
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type == "stream":
        output.text = ADDRESS.sub("0x0", output.text)
    for kind, value in texts_of(output).items():
        output.data[kind] = ADDRESS.sub("0x0", value)


def texts_of(output: Any) -> dict[str, str]:
    """The forms of a cell's output that are text, by their kinds; of a stream none."""
    return {kind: value for kind, value in output.get("data", {}).items() if kind.startswith("text/")}
