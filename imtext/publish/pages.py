"""The pages: a copy of the book's tree with the executed notebooks, and the static site built from it.

To Sphinx this module is an extension, which fills in pages that are templates.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError, RunError
from imtext.files import digest, json_bytes
from imtext.publish.notebooks import find_notebooks

PACKAGE = Path(__file__).resolve().parent.parent
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
_WARNING = re.compile(r"WARNING|ERROR|Error\b|Traceback")


def make_stage(root: Path, build: Path) -> Path:
    """Bring ``build/stage`` level with the book's tree under ``root``; executed notebooks there stay.

    A notebook that has no executed copy yet is staged as committed. What left the tree leaves the stage.

    Raises:
        ConfigError: ``root`` does not hold the book.
    """
    if not (root / "_config.yml").is_file():
        raise ConfigError(f"{root}: no _config.yml here; run from the root of the repository")
    stage, notebooks = build / "stage", find_notebooks(root)
    staged = stage / "notebooks"
    staged.mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, stage)
    for name in ("book", "results"):
        shutil.rmtree(stage / name, ignore_errors=True)
        shutil.copytree(root / name, stage / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in {path.name for path in staged.glob("*.ipynb")} - {path.name for path in notebooks}:
        (staged / name).unlink()
    for path in notebooks:
        if not (staged / path.name).exists():
            shutil.copy(path, staged)
    return stage


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """One hash of the names (relative to ``base``) and contents of files; folders are passed over."""
    found = {path.relative_to(base).as_posix(): digest(path) for path in paths if path.is_file()}
    return hashlib.sha256(json_bytes(found)).hexdigest()


def digest_sources(package: Path = PACKAGE) -> str:
    """One hash of what can change a number: the package without publishing and the command line."""
    paths = (path for pattern in ("*.py", "*.yaml") for path in package.rglob(pattern))
    others = ("publish", "cli.py", "search.py")
    return digest_files((path for path in paths if path.relative_to(package).parts[0] not in others), package)


def build_book(root: Path, build: Path, parameters: Mapping[str, Any] = {}) -> Path:
    """Build the book into ``build/html``; returns the page to open.

    ``parameters``: those that its notebooks were executed with; their runs are in the explorer's page.

    Raises:
        ConfigError: ``root`` does not hold the book, or the build folder is not called ``_build``.
        RunError: jupyter-book warned or failed; the message says where its log is.
    """
    if build.name != "_build":
        # jupyter-book appends this name to the output folder it is given.
        raise ConfigError(f"{build}: the build folder must be called _build; write {build / '_build'}")
    print("  book: building the pages", flush=True)
    # jupyter-book never removes a page that has left the book.
    shutil.rmtree(build / "html", ignore_errors=True)
    from imtext.publish.explore import into_book  # Sphinx, which loads this module, has no use for torch

    stage = make_stage(root, build)
    into_book(stage, build, parameters)
    where = [str(stage), "--path-output", str(build.parent)]
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", *where, "-W", "-n", "--keep-going", "--all"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, log = COLOURS.sub("", done.stdout), build / "html.log"
    log.write_text(said, encoding="utf-8")
    if done.returncode != 0:
        complaints = [line for line in said.splitlines() if _WARNING.search(line)]
        print("\n".join(complaints[:40]), file=sys.stderr)
        raise RunError(f"the book was not built: {len(complaints)} complaints, mend them; all are in {log}")
    return build / "html" / "index.html"


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Any, name: str, source: list[str]) -> None:
    """Fill in a page that is a template."""
    if "{# computed #}" in source[0]:
        from imtext.publish.front import fill  # which imports much

        fill(app, name, source)
