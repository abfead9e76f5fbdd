"""The parameters of a notebook: as typed, with absolute folders, refused where it has none of that name.

papermill only warns of an unknown parameter. Values are checked by the notebook itself, in its first cells.
"""

from __future__ import annotations

import ast
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError

FOLDERS = ("data_root", "runs_dir")


def declared_parameters(path: str | Path) -> dict[str, Any]:
    """Names and defaults of the parameters that a notebook declares in its cell tagged ``parameters``.

    Raises:
        ConfigError: the notebook cannot be read, or has no such cell, or a default is not a plain value.
    """
    import nbformat

    try:
        cells = nbformat.read(path, as_version=4).cells
        (source,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        lines = [line for line in ast.parse(source).body if isinstance(line, ast.Assign)]
        return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}
    except (OSError, ValueError, SyntaxError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected a notebook with a cell of plain assignments tagged 'parameters' ({error})"
        ) from None


def read_parameters(pairs: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Parameters as typed on a command line: values are YAML, but folders are taken as they are written.

    Raises:
        ConfigError: a value is not YAML.

    >>> read_parameters([("seeds", "[0, 1]"), ("data_root", "photographs #2")])
    {'seeds': [0, 1], 'data_root': 'photographs #2'}
    """
    import yaml

    values = {}
    for name, text in pairs:
        try:
            values[name] = text if name in FOLDERS else yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            message = f"parameter '{name}': cannot read {text!r}; write text, a number or a list"
            raise ConfigError(message) from None
    return values


def absolute_folders(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with their folders taken from where the user stands: a notebook runs in another folder.

    >>> absolute_folders({"profile": "smoke", "data_root": "/data/../photographs", "runs_dir": None})
    {'profile': 'smoke', 'data_root': '/photographs', 'runs_dir': None}
    """
    return {
        name: absolute_folder(value) if value and name in FOLDERS else value
        for name, value in parameters.items()
    }


def absolute_folder(path: str) -> str:
    """A folder from where this process stands, with ``~`` as the user's own.

    >>> absolute_folder("/data/../photographs")
    '/photographs'
    """
    return str(Path(os.path.expanduser(path)).resolve())


def check_names(path: str | Path, parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that the notebook does not declare. Raises ConfigError, which names those it has."""
    declared = declared_parameters(path)
    for name in parameters:
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{path}: unknown parameter '{name}'; it takes {', '.join(declared)}{hint}")
