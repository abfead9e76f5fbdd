"""The stage: a copy of the book's tree in which notebooks carry the outputs of the published profile."""

from __future__ import annotations

import ast
import filecmp
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError

SHOWN = ("_config.yml", "_toc.yml", "book", "notebooks", "results")
UNPUBLISHED = ("__pycache__", ".ipynb_checkpoints")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGE = Path(__file__).resolve().parent.parent


def make_stage(root: Path, build: Path) -> Path:
    """Bring ``build/stage`` level with the book's tree under ``root``; executed notebooks there stay.

    A notebook that has no executed copy yet is staged as committed. What left the tree leaves the stage.

    Raises:
        ConfigError: ``root`` does not hold the book.
    """
    if not (root / "_config.yml").is_file():
        raise ConfigError(f"{root}: no _config.yml here; run from the root of the repository")
    stage = build / "stage"
    wanted = {path.relative_to(root) for path in _shown_files(root)}
    for path in sorted(stage.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(stage) not in wanted:
            path.unlink()
    for relative in sorted(wanted):
        source, target = root / relative, stage / relative
        if target.exists() and (is_notebook(relative) or filecmp.cmp(source, target, shallow=False)):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        shutil.copyfile(source, partial)
        os.replace(partial, target)
    return stage


def is_notebook(relative: Path) -> bool:
    """Whether a path inside the tree is one of the notebooks that are executed."""
    return relative.parts[0] == "notebooks" and relative.suffix == ".ipynb"


def find_notebooks(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """The notebooks of the book, or those named (``instance_loss``, with or without folder and suffix).

    Raises:
        ConfigError: a name is not that of a notebook.
    """
    present = {path.stem: path for path in sorted((root / "notebooks").glob("*.ipynb"))}
    stems = [Path(name).stem for name in names]
    for stem in stems:
        if stem not in present:
            raise ConfigError(f"no notebook named '{stem}'; there are: {', '.join(present) or 'none'}")
    return [present[stem] for stem in stems] if stems else list(present.values())


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """One hash of the names (relative to ``base``) and contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.relative_to(base).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def digest_sources(package: Path = PACKAGE) -> str:
    """One hash of what can change a number: the code (without docstrings and comments) and the YAML files.

    Publishing and the commands are left out.
    """
    total = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if path.suffix not in (".py", ".yaml") or name.parts[0] in ("publish", "commands", "cli.py"):
            continue
        content = path.read_bytes()
        total.update(name.as_posix().encode() + b"\0")
        total.update(_digest_code(content) if path.suffix == ".py" else hashlib.sha256(content).digest())
    return total.hexdigest()


@functools.cache  # a second of work for the whole library, asked for once a notebook
def _digest_code(source: bytes) -> bytes:
    """A hash of what Python does with a source: its syntax tree without the docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def digest_stage(stage: Path) -> str:
    """One hash of everything that the book is built from."""
    return digest_files((path for path in stage.rglob("*") if path.is_file()), stage)


def versions(*distributions: str) -> dict[str, str]:
    """The installed versions of packages, for the record of what made an output."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def read_record(path: Path) -> dict[str, Any]:
    """A small JSON record, or an empty one where it is missing or broken (then the work is done again)."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a small JSON record whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(partial, path)


def _shown_files(root: Path) -> Iterator[Path]:
    for name in SHOWN:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and not any(part in UNPUBLISHED for part in path.parts):
                yield path
