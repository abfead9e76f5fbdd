"""What the cells of a committed notebook define: its study, its experiments and its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from imtext.publish import results

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def sources(name: str) -> list[str]:
    """The code cells of a notebook."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def defined(name: str, **parameters: Any) -> dict[str, Any]:
    """Names that a notebook defines before it trains, for other parameters than its own; nothing is shown."""
    return results.defined(NOTEBOOKS / f"{name}.ipynb", parameters)


@contextmanager
def trained(name: str, folder: Path, overrides: dict[str, Any]) -> Iterator[SimpleNamespace]:
    """Study, rows and results of a notebook, as small as the overrides make it, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        names = defined(name, device="cpu", jobs=1, runs_dir=str(folder / "runs"), overrides=overrides)
        study, rows = names["study"], names["rows"]
        yield SimpleNamespace(study=study, rows=rows, results=study.run(rows))
