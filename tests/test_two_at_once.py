"""Two notebooks on one folder of runs at once: each run is computed once, both show the same table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

CELLS = (
    'runs_dir = ""',
    """\
from imtext.experiment import Data, Dual, Experiment, Instance, KnownWords, Mirrored, Recipe
from imtext.papers import instance_loss

image = Mirrored("efficientnet_lite0", size=64, crop=64, views=1)
net, recipe = Dual(width=0.125, dim=32), Recipe(2, 2e-3, 12)
one = Experiment(Data(24, 12, 12), image, KnownWords(), net, Instance(), recipe)
study = instance_loss.study("picturebook", None, "smoke", [0], "6", "cpu", 1, runs_dir)
runs = study.run({"instance-1": one, "left-alignment": one.but(loss=dict(shift=False))})
print(runs.summary().to_csv())""",
)

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [new_code_cell(source) for source in CELLS]
    cells[0].metadata["tags"] = ["parameters"]
    path = tmp_path / "small.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def test_two_notebooks_share_their_runs(notebook: Path, tmp_path: Path) -> None:
    runs, news = tmp_path / "runs", tmp_path / "news"
    environment = {
        **os.environ,
        "CI": "true",
        "IMTEXT_DATA": str(tmp_path / "data"),
        "IMTEXT_PROGRESS": str(news),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    outs = [tmp_path / f"out{k}.ipynb" for k in range(2)]
    commands = [
        [
            sys.executable,
            "-m",
            "papermill",
            str(notebook),
            str(out),
            "-p",
            "runs_dir",
            str(runs),
            "-k",
            "python3",
        ]
        for out in outs
    ]
    running = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said[-2000:]
    shown = [nbformat.read(out, as_version=4).cells[-1].outputs[0].text for out in outs]
    assert shown[0] == shown[1]
    assert shown[0].count("\n") == 4  # a header, two rows and the end
    lines = news.read_text(encoding="utf-8").splitlines()
    for row in ("instance-1", "left-alignment"):
        assert lines.count(f"{row}, seed 0: evaluating") == 1, lines
    assert lines.count("drawing scenes") == 1
    finished = sorted(path.parent.name for path in runs.glob("instance_loss/*/metrics.json"))
    assert len(finished) == 2
    assert not list(runs.rglob("*.partial"))
