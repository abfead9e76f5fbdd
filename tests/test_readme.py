"""The README's code runs, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(README.read_text(encoding="utf-8")) if kind == language]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.strip()


def test_what_was_found_is_what_the_published_verdicts_say(repository: Path) -> None:
    folder, text = repository / "results" / "flickr8k", README.read_text(encoding="utf-8")
    for paper, claim, sign, word in (
        ("instance_loss", "shared_classifier_needed", 1, "one seed"),
        ("instance_loss", "stage1_instance_beats_ranking", 1, "one seed"),
        ("instance_loss", "stage1_instance_beats_small_margin", -1, "one seed"),
        ("structure_preserving", "nonlinear_beats_cca", 1, "reproduced"),
    ):
        rows = pd.read_csv(folder / f"{paper}-verdicts.csv", index_col="claim").loc[claim]
        assert set(rows["word"]) == {word}
        assert [name[-15:].strip() for name in rows["name"]] == ["image query R@1", "text query R@1"]
        assert " and ".join(f"{sign * value:.1f}" for value in rows["difference"]) + " points" in text
    sums = pd.read_csv(folder / "intra_modal.csv").query("split == 'test'").groupby("row")["rsum"].mean()
    four = sums[["cosine", "msd", "l1", "l2"]]
    assert f"R-sum {four.min():.1f} to {four.max():.1f} with four distances, {sums['hinges']:.1f}" in text


def test_make_targets_exist(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    commands = [line for text in blocks("sh") for line in text.splitlines() if line.startswith("make ")]
    assert {line.split()[1] for line in commands} == {"book", "test"}
    for line in commands:
        target, *settings = line.split("#")[0].split()[1:]
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        for name in re.findall(r"\b([A-Z_]+)=", " ".join(settings)):
            assert name in makefile


def test_imtext_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    cli = pytest.importorskip("imtext.cli")
    text = README.read_text(encoding="utf-8")
    found = set(re.findall(r"\bimtext ((?:book|data|runs) \w+|evaluate|notebook|search)\b", text))
    assert {"evaluate", "search", "notebook", "data fetch", "runs list"} <= found
    for command in found:
        assert cli.main([*command.split(), "--help"]) == 0
        assert f"Usage: imtext {command} " in capsys.readouterr().out


def test_parameters_exist(repository: Path) -> None:
    papermill = pytest.importorskip("papermill")
    commands = re.findall(r"^imtext notebook (\w+)(.*)$", "\n".join(blocks("sh")), re.MULTILINE)
    assert commands
    for name, line in commands:
        path = repository / "notebooks" / f"{name}.ipynb"
        assert set(re.findall(r"-p (\w+)", line)) <= set(papermill.inspect_notebook(path))
