"""jupyter-book turns the stage into a static site; every warning is an error."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from imtext.errors import ConfigError, RunError

_JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
_WARNING = re.compile(r"WARNING|ERROR|Error\b|Traceback")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build_book(build: Path) -> Path:
    """Build ``build/stage`` into ``build/html``; returns the page to open.

    Raises:
        ConfigError: the build folder is not called ``_build``.
        RunError: jupyter-book warned or failed, or wrote no page; the message says where its log is.
    """
    if build.name != "_build":
        # jupyter-book appends this name to the output folder it is given.
        raise ConfigError(f"{build}: the build folder must be called _build; write {build / '_build'}")
    stage, index = build / "stage", build / "html" / "index.html"
    print("  book: building the pages", flush=True)
    # jupyter-book never removes a page that has left the book.
    shutil.rmtree(build / "html", ignore_errors=True)
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(stage), "--path-output", str(build.parent)]
    strict = ["-W", "-n", "--keep-going", "--all"]
    done = subprocess.run([*command, *strict], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = build / "html.log"
    log.write_text(_COLOURS.sub("", done.stdout), encoding="utf-8")
    if done.returncode != 0:
        complaints = [line for line in log.read_text(encoding="utf-8").splitlines() if _WARNING.search(line)]
        print("\n".join(complaints[:40]), file=sys.stderr)
        raise RunError(f"the book was not built: {len(complaints)} complaints, mend them; all are in {log}")
    if not index.is_file():
        raise RunError(f"jupyter-book ended without writing {index}; its log is {log}")
    return index
