"""Whether executed notebooks show what the committed ones show."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imtext.errors import RunError
from imtext.publish.normalise import normalise_notebook, texts_of
from imtext.publish.stage import find_notebooks

NOT_COMPARED = "nbval-ignore-output"


def compare_book(root: Path, build: Path, names: Iterable[str] = ()) -> None:
    """Compare the outputs of the notebooks executed into ``build/stage`` with the committed ones.

    Pictures, and cells tagged ``nbval-ignore-output``, are left out, as nbval leaves them out.

    Raises:
        RunError: names the cells whose outputs differ.
    """
    different = []
    for path in find_notebooks(root, names):
        committed, executed = _shown(path), _shown(build / "stage" / "notebooks" / path.name)
        cells = [str(number) for number, cell in committed.items() if executed.get(number) != cell]
        if cells or len(committed) != len(executed):
            different.append(f"{path.stem} (code cells {', '.join(cells) or 'of another number'})")
    if different:
        raise RunError(f"outputs differ from the committed ones: {'; '.join(different)}")


def _shown(path: Path) -> dict[int, list[Any]]:
    """What each compared code cell shows, by its number from 1."""
    import nbformat

    notebook = normalise_notebook(nbformat.read(path, as_version=4))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {
        number: [(output.get("text"), texts_of(output)) for output in cell.outputs]
        for number, cell in enumerate(code, start=1)
        if NOT_COMPARED not in cell.metadata.get("tags", [])
    }
