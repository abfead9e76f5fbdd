"""`make` passes on what it is given, word for word, also where the checkout lies in a folder with spaces."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and os.access("/bin/bash", os.X_OK)), reason="no make or bash here"
)

# Stands in for every program: notes how it was called. As a new interpreter it also makes an environment.
RECORDER = """
import json, os, shutil, sys
calls, program, *given = sys.argv[1:]
seen = {key: value for key, value in os.environ.items() if key.startswith("IMTEXT_")}
with open(calls, "a", encoding="utf-8") as file:
    file.write(json.dumps([os.path.basename(program), given, seen]) + "\\n")
if given[:2] == ["-m", "venv"]:
    os.makedirs(given[2] + "/bin")
    shutil.copy(program, given[2] + "/bin/python")
"""
# Stands in for an interpreter that is too old.
OLD = "import sys; sys.version_info = (3, 9, 1); sys.argv = sys.argv[3:]; exec(sys.argv[0])"


def write_program(path: Path, *command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/bash\nexec {shlex.join(command)} "$0" "$@"\n', encoding="utf-8")
    path.chmod(0o755)


class Checkout:
    """A Makefile in a folder with spaces and a quote, among programs that only note how they are called."""

    def __init__(self, folder: Path, makefile: Path) -> None:
        self.folder = folder / "some where" / "someone's check out"
        self.calls = folder / "calls"
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        shutil.copy(makefile, self.folder / "Makefile")
        for name in ("pyproject.toml", "constraints.txt", ".venv/.installed"):
            (self.folder / name).touch()
        for name in ("python", "ruff", "lint-imports"):
            self.program(self.folder / ".venv" / "bin" / name)

    def program(self, path: Path) -> None:
        write_program(path, sys.executable, "-c", RECORDER, str(self.calls))

    def make(self, *arguments: str) -> list[tuple[str, list[str], dict[str, str]]]:
        """The calls that `make` with these arguments makes."""
        self.calls.write_text("", encoding="utf-8")
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}  # not what an outer make passes on
        done = subprocess.run(
            ["make", *arguments], cwd=self.folder, env=clean, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in self.calls.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return Checkout(tmp_path, repository / "Makefile")


@pytest.mark.parametrize("value", ["some where/my data", "it's, (here)", 'a "b"; date', "*", "#1 $$HOME `x`"])
def test_book_passes_every_value_as_one_word(checkout: Checkout, value: str) -> None:
    names = {"DATASET": "dataset", "DATA_ROOT": "data_root", "DEVICE": "device", "SEEDS": "seeds"}
    ((name, given, seen),) = checkout.make("book", f"PROFILE={value}", *(f"{key}={value}" for key in names))
    value = value.replace("$$", "$")  # make's own way to write a dollar
    assert name == "python"
    assert given[:6] == ["-m", "imtext", "book", "make", "--profile", value]
    assert given[6:] == [word for key in names.values() for word in ("-p", key, value)]
    assert seen["IMTEXT_DATA"] == str(checkout.folder / "_build" / "data")


def test_book_passes_nothing_that_was_not_given(checkout: Checkout) -> None:
    ((_, given, _),) = checkout.make("book")
    assert given[4:] == ["--profile", "quick"]
    ((_, given, _),) = checkout.make("book", "FORCE=1", "SEEDS=[0, 1]")
    assert given[-4:] == ["--force", "-p", "seeds", "[0, 1]"]
    ((_, given, _),) = checkout.make("book", "JOBS=1", "AT_ONCE=3")
    assert given[-5:] == ["--at-once", "3", "-p", "jobs", "1"]


def test_results_are_made_with_the_full_profile(checkout: Checkout) -> None:
    ((_, given, seen),) = checkout.make("results", "DATASET=flickr8k", "DATA_ROOT=my photographs")
    assert given[:6] == ["-m", "imtext", "book", "results", "--profile", "full"]
    chosen = ["-p", "dataset", "flickr8k", "-p", "data_root", "my photographs", "-p", "jobs", "auto"]
    assert given[6:] == chosen and "IMTEXT_RUNS" not in seen
    more = ("PAPERS=intra_modal rich_features", "PROFILE=quick", "TABLES=2,4", "RUNS=my runs", "JOBS=1")
    ((_, given, _),) = checkout.make("results", *more)
    assert given[4:8] == ["intra_modal", "rich_features", "--profile", "quick"]
    assert given[8:] == ["-p", "tables", "2,4", "-p", "runs_dir", "my runs", "-p", "jobs", "1"]


def test_test_and_refresh_keep_their_runs_in_the_checkout(checkout: Checkout) -> None:
    calls = checkout.make("test", "JOBS=3")
    assert [name for name, _, _ in calls] == ["ruff", "lint-imports", "python"]
    assert calls[-1][1][:4] == ["-m", "pytest", "--numprocesses", "3"]
    assert calls[-1][2]["IMTEXT_RUNS"] == str(checkout.folder / "_build" / "test-runs")
    assert checkout.make("test") == [], "nothing changed since"
    assert len(checkout.make("test", "FORCE=a b")) == 3
    (_, given, seen), (_, frozen, _) = checkout.make("refresh")
    assert given == ["-m", "imtext", "book", "refresh"]
    assert frozen == ["tests/golden/frozen.py", "_build/refresh-runs"]
    assert seen["IMTEXT_RUNS"] == str(checkout.folder / "_build" / "refresh-runs")


def test_the_picture_may_be_of_any_page(checkout: Checkout) -> None:
    ((_, given, _),) = checkout.make("picture", "PAGE=book/a page.html")
    assert given[1:] == ["_build/html", "book/a page.html", "book/images/page.png"]


def test_an_interpreter_may_lie_in_a_folder_with_spaces(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    checkout.program(checkout.folder / "my tools" / "python3.12")
    calls = [(name, given[:3]) for name, given, _ in checkout.make("venv", "PYTHON=my tools/python3.12")]
    assert [name for name, _ in calls] == ["python3.12", "python3.12", "python"]
    assert calls[1][1] == ["-m", "venv", ".venv"]
    assert calls[2][1] == ["-m", "pip", "install"]
    assert (checkout.folder / ".venv" / ".installed").is_file()


def test_another_version_of_python_is_named(checkout: Checkout) -> None:
    (checkout.folder / ".venv" / ".installed").unlink()
    write_program(checkout.folder / "my tools" / "python", sys.executable, "-c", OLD)
    done = subprocess.run(
        ["make", "venv", "PYTHON=my tools/python"],
        cwd=checkout.folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "and my tools/python is 3.9; write make PYTHON=python3.12" in done.stderr
