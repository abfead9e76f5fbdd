"""Nothing tracked names a package registry or a path of one machine, and links in pages lead somewhere."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

# Written in pieces, so that this file does not find itself.
HOSTS = (
    "pypi" r"\.org",
    "python" + "hosted",
    "registry" r"\.npm",
    "deb" r"\.debian\.org",
    "anaconda" r"\.org",
)
PATHS = r"(?<![\w.$}~:/-])/(?:work|root|farm)/\w|/tmp" r"/[a-z]|/home" r"/\w"
FORBIDDEN = re.compile("|".join((*HOSTS, PATHS)))
BINARY = {".png", ".jpg", ".svg", ".woff", ".woff2", ".npz", ".npy", ".ico", ".gz", ".bin"}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def tracked(repository: Path) -> list[Path]:
    """Files that git tracks or would: the tree without what .gitignore names."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [repository / name for name in listed.split("\0") if name and (repository / name).is_file()]


def test_no_registry_host_and_no_machine_path(repository: Path) -> None:
    found = []
    for path in tracked(repository):
        if path.suffix in BINARY or "mathjax" in path.parts or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        for match in FORBIDDEN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(repository)}:{line}: {match.group(0)}")
    assert not found, "\n".join(found)


def test_no_large_file_and_no_photograph(repository: Path) -> None:
    for path in tracked(repository):
        assert path.stat().st_size < 2_000_000, f"{path.name} is too large for git"
        assert not re.search(r"\d{6,}_[0-9a-f]{10}\.jpg", path.name), f"{path.name}: a research photograph"


def test_modules_stay_readable(repository: Path) -> None:
    for path in (repository / "imtext").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{path.relative_to(repository)}: {lines} lines; which two things does it hold?"


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
        for name in getattr(package, "__all__", ()):
            module = getattr(getattr(package, name), "__module__", "")
            if module.startswith("imtext"):
                assert module in documented, f"{module} (of {package.__name__}.{name}) is not in book/api.md"
