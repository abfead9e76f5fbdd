"""Do the notebooks that `make book PROFILE=smoke` executed show what the committed ones show?

    python tests/compare_book.py [FOLDER]    # of the repository, default the current one

Pictures, and cells tagged ``nbval-ignore-output``, are left out, as nbval leaves them out. Prints a line for
each notebook that differs, with its cells, and ends with code 1 where there is one.
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from pathlib import Path

import nbformat

from imtext.publish.notebooks import find_notebooks, normalise_notebook, tagged, texts_of


def shown(path: Path) -> list[list[dict[str, str]]]:
    """What each code cell shows, nothing of those that are not compared."""
    cells = normalise_notebook(nbformat.read(path, as_version=4)).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    return [[] if tagged(cell, "nbval-ignore-output") else list(map(texts_of, cell.outputs)) for cell in code]


def main(root: Path) -> int:
    """Compare all notebooks of a repository with those in its stage."""
    different = 0
    for path in find_notebooks(root):
        both = zip_longest(shown(path), shown(root / "_build" / "stage" / "notebooks" / path.name))
        if cells := [str(number) for number, (here, there) in enumerate(both, start=1) if here != there]:
            print(f"{path.stem}: code cells {', '.join(cells)} show something else than committed")
            different = 1
    return different


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:])))
