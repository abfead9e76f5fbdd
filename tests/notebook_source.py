"""What the cells of a committed notebook define: its study, its experiments and its rows."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PAPERS = ("instance_loss", "intra_modal", "rich_features", "single_network", "structure_preserving")


def sources(name: str) -> list[str]:
    """The code cells of a notebook."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def defined(name: str, **parameters: Any) -> dict[str, Any]:
    """Names that a notebook defines before it trains, for other parameters than its own; nothing is shown."""
    first, *others = sources(name)
    names: dict[str, Any] = {}
    exec(first, names)
    names |= parameters
    for source in others:
        if "study.run(" in source:
            break
        if "inputs_of(" in source:  # reads the data to show them
            continue
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
        exec(compile(tree, name, "exec"), names)
    return names
