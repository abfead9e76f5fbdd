"""The commit in a run's provenance is one of imtext's own repository, or there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import imtext
from imtext.runs import provenance

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git here")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, env=clean, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """Another repository, with one commit."""
    folder = tmp_path / "outer"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "a.txt").write_text("a", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "another project")
    return folder


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as it would lie in a folder; the module that asks for the commit is taken to be there."""
    module = folder / "imtext" / "runs" / "provenance.py"
    module.parent.mkdir(parents=True)
    shutil.copy(provenance.__code__.co_filename, module)
    monkeypatch.setitem(provenance.__globals__, "__file__", str(module))
    return module


@pytest.mark.parametrize("place", ["site-packages", ".venv/lib/python3.11/site-packages", "imtext-1.0"])
@pytest.mark.parametrize("tracked", [False, True])
def test_the_commit_of_another_repository_is_not_recorded(
    outer: Path, monkeypatch: pytest.MonkeyPatch, place: str, tracked: bool
) -> None:
    installed(outer / place, monkeypatch)
    if tracked:
        git(outer, "add", ".")
        git(outer, "commit", "--quiet", "--message", "with a copy of imtext")
    about = provenance("cpu", 1.0)
    assert about["commit"] == ""
    assert about["imtext"] == imtext.__version__


def test_the_commit_of_a_checkout_is_recorded_also_inside_another(
    outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = outer / "vendor" / "imtext"
    module = installed(checkout, monkeypatch)
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "imtext")
    commit = git(checkout, "rev-parse", "--short=10", "HEAD")
    assert provenance("cpu", 1.0)["commit"] == commit
    (checkout / "README.md").write_text("not the package", encoding="utf-8")
    assert provenance("cpu", 1.0)["commit"] == commit
    module.write_text("# another line", encoding="utf-8")
    assert provenance("cpu", 1.0)["commit"] == f"{commit}-dirty"


def test_the_commit_of_a_second_worktree_is_recorded(outer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(outer, monkeypatch)
    git(outer, "add", ".")
    git(outer, "commit", "--quiet", "--message", "imtext")
    second = outer.parent / "second"
    git(outer, "worktree", "add", "--quiet", str(second))
    module = second / "imtext" / "runs" / "provenance.py"
    monkeypatch.setitem(provenance.__globals__, "__file__", str(module))
    assert provenance("cpu", 1.0)["commit"] == git(second, "rev-parse", "--short=10", "HEAD")


def test_a_repository_named_by_the_environment_is_not_asked(
    outer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "site-packages", monkeypatch)
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(outer))
    assert provenance("cpu", 1.0)["commit"] == ""
