"""The house keeps to its budgets, holds nothing large, and links in pages lead somewhere."""

from __future__ import annotations

import ast
import importlib
import io
import re
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

import pytest

# Code lines: modules whose path begins so, the most that a room is to hold, and what it holds today. The last
# number only falls.
ROOMS = {
    "picturebook": (("picturebook/",), 4_300, 3_803),
    "data": (("data/",), 2_700, 2_695),
    "text": (("text/",), 1_000, 996),
    "vision": (("vision/",), 850, 839),
    "losses": (("losses/",), 280, 275),
    "models": (("models/",), 750, 746),
    "training": (("training/",), 600, 592),
    "retrieval": (("retrieval/",), 1_500, 1_495),
    "experiment": (("experiment/", "runs/"), 1_900, 1_900),
    "papers": (("papers/", "report/"), 2_200, 2_200),
    "explore": (("publish/explore.py",), 150, 142),
    "front": (("publish/front.py",), 150, 150),
    "publish": (("publish/", "cli.py", "search.py", "__main__.py"), 900, 900),
    "base": (("",), 220, 216),
}
SLACK = 50
FILES, LINES, TESTS = 143, 16_965, 19_895
LAYOUT = {getattr(tokenize, name) for name in ("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER")}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def tracked(repository: Path) -> list[Path]:
    """Files that git tracks or would: the tree without what .gitignore names."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [repository / name for name in listed.split("\0") if name and (repository / name).is_file()]


def test_no_large_file_and_no_photograph(repository: Path) -> None:
    for path in tracked(repository):
        assert path.stat().st_size < 2_000_000, f"{path.name} is too large for git"
        assert not re.search(r"\d{6,}_[0-9a-f]{10}\.jpg", path.name), f"{path.name}: a research photograph"


def code_lines(source: str) -> int:
    """Lines that hold a token, outside docstrings and comments."""
    told = set()
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            told |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    held = (range(one.start[0], one.end[0] + 1) for one in tokens if one.type not in LAYOUT)
    return len({line for lines in held for line in lines} - told)


def lines_of_modules(folder: Path) -> dict[str, int]:
    """Code lines of each module, by its path from the folder."""
    return {
        path.relative_to(folder).as_posix(): code_lines(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


def test_code_lines_are_those_with_a_token_outside_docstrings_and_comments() -> None:
    lines = ['"""What."""', "", "x = (  # why", "    1", ")", "def f():", "    # why", "    return x"]
    assert code_lines("\n".join(lines)) == 5


def test_rooms_keep_to_their_budgets(repository: Path) -> None:
    found: Counter[str] = Counter()
    for module, lines in lines_of_modules(repository / "imtext").items():
        found[next(room for room, (begins, *_) in ROOMS.items() if module.startswith(begins))] += lines
    for room, (_, budget, today) in ROOMS.items():
        assert found[room] <= max(budget, today), f"{room}: {found[room]} code lines, at most {today}"
        assert today <= max(budget, found[room] + SLACK), f"{room}: lower its number to {found[room]}"


def test_the_house_is_not_larger_than_it_was(repository: Path) -> None:
    modules = lines_of_modules(repository / "imtext")
    assert len(modules) <= FILES
    assert sum(modules.values()) <= LINES
    assert sum(lines_of_modules(repository / "tests").values()) <= TESTS


def test_relative_links_lead_somewhere(repository: Path) -> None:
    pages = [repository / "README.md", *(repository / "book").rglob("*.md")]
    for page in pages:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(repository)} links to {target}"


def test_every_exported_name_is_on_the_api_page(repository: Path) -> None:
    page = (repository / "book" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"automodule:: ([\w.]+)", page))
    assert documented
    for path in sorted((repository / "imtext").glob("*/__init__.py")):
        package = importlib.import_module(f"imtext.{path.parent.name}")
        for name in getattr(package, "__all__", vars(package)):
            module = getattr(getattr(package, name), "__module__", "")
            if module.startswith("imtext"):
                assert module in documented, f"{module} (of {package.__name__}.{name}) is not in book/api.md"
