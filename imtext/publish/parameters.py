"""The parameters of a notebook, checked before anything runs.

papermill only warns of an unknown parameter and checks no type; here both are one clear error.
"""

from __future__ import annotations

import ast
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError

PROFILES = ("smoke", "quick", "paper")
FOLDERS = ("data_root", "runs_dir")
# What a notebook's usual parameters take where its cell does not say: the notebook checks the values.
_USUAL = {
    "data_root": "str | None",
    "runs_dir": "str | None",
    "seeds": "list[int] | int | str",
    "tables": "list[str] | list[int] | int | str",
    "jobs": "int | str",
}
_SPOKEN = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "None": "nothing",
    "NoneType": "nothing",
    "Any": "anything",
}
_PLURAL = {"int": "whole numbers", "float": "numbers", "str": "texts"}
_TYPES = {"str": str, "int": int, "float": (int, float), "list": list, "tuple": list, "dict": dict}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook: its name, its default and the types it takes, as an annotation."""

    name: str
    default: Any
    annotation: str

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is of a type that this parameter takes.

        >>> Parameter("seeds", [0], "list[int]").accepts([0, 1])
        True
        >>> Parameter("seeds", [0], "list[int]").accepts("0")
        False
        """
        value = list(value) if isinstance(value, tuple) else value
        return _matches(value, ast.parse(self.annotation, mode="eval").body)

    @property
    def expected(self) -> str:
        """The types in words, for an error message."""
        return _spoken(ast.parse(self.annotation, mode="eval").body)


def declared_parameters(path: str | Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares in its cell tagged ``parameters``, by name.

    Raises:
        ConfigError: the notebook cannot be read, or has no such cell, or a default is not a plain value.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such notebook; write the path of an .ipynb file") from None
    except (ValueError, KeyError, AttributeError, nbformat.reader.NotJSONError) as error:
        raise ConfigError(f"{path}: not a notebook ({error}); write the path of an .ipynb file") from None
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            return parse_parameters(cell.source, str(path))
    raise ConfigError(f"{path}: no cell tagged 'parameters'; tag the cell that sets them")


def parse_parameters(source: str, where: str = "parameters") -> dict[str, Parameter]:
    """The assignments of a parameters cell; a type is the annotation, or else that of the default.

    >>> parse_parameters('dataset = "picturebook"')["dataset"].annotation
    'str'

    Raises:
        ConfigError: the cell is not Python, or a default is not a plain value.
    """
    found: dict[str, Parameter] = {}
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                target, annotation = node.target, ast.unparse(node.annotation)
            elif isinstance(node, ast.Assign):
                target, annotation = node.targets[0], ""
            else:
                continue
            if isinstance(target, ast.Name):
                default = ast.literal_eval(node.value)
                found[target.id] = Parameter(target.id, default, annotation or _type_of(target.id, default))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{where}: the parameters cell must hold plain assignments ({error})") from None
    return found


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


def check_parameters(path: str | Path, parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that the notebook does not declare, or a value of another type.

    Raises:
        ConfigError: one line that names the notebook, the parameter, what it takes and what it was given.
    """
    declared = declared_parameters(path)
    for name, value in parameters.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{path}: unknown parameter '{name}'; it takes {', '.join(declared)}{hint}")
        parameter = declared[name]
        if not parameter.accepts(value):
            raise ConfigError(
                f"{path}: parameter '{name}' takes {parameter.expected} (default {parameter.default!r}); "
                f"found {value!r}"
            )
    profile = parameters.get("profile", PROFILES[0])
    if profile not in PROFILES:
        raise ConfigError(f"{path}: profile is one of {', '.join(PROFILES)}; found {profile!r}")


def _type_of(name: str, default: Any) -> str:
    if name in _USUAL:
        return _USUAL[name]
    if default is None:
        return "str | list | None"
    if isinstance(default, (list, tuple)):
        kinds = {type(item).__name__ for item in default}
        return f"list[{kinds.pop()}]" if len(kinds) == 1 else "list"
    return type(default).__name__


def _matches(value: Any, kind: ast.expr) -> bool:
    match kind:
        case ast.BinOp(left=left, right=right):
            return _matches(value, left) or _matches(value, right)
        case ast.Constant(value=None) | ast.Name(id="NoneType"):
            return value is None
        case ast.Constant(value=str() as quoted):
            return _matches(value, ast.parse(quoted, mode="eval").body)
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id=name) if name in _TYPES:
            return isinstance(value, _TYPES[name]) and not isinstance(value, bool)
        case ast.Subscript(value=ast.Name(id="list" | "tuple"), slice=item):
            first = item.elts[0] if isinstance(item, ast.Tuple) else item
            return isinstance(value, list) and all(_matches(each, first) for each in value)
        case _:
            return True


def _spoken(kind: ast.expr) -> str:
    match kind:
        case ast.BinOp(left=left, right=right):
            return f"{_spoken(left)} or {_spoken(right)}"
        case ast.Constant(value=None):
            return "nothing"
        case ast.Name(id=name):
            return _SPOKEN.get(name, name)
        case ast.Subscript(value=ast.Name(id="list" | "tuple"), slice=item):
            first = item.elts[0] if isinstance(item, ast.Tuple) else item
            return f"a list of {_PLURAL.get(ast.unparse(first), ast.unparse(first))}"
        case _:
            return ast.unparse(kind)
