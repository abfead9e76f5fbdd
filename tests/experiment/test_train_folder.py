"""``imtext runs train`` trains a row from its folder, by one process or two that share each batch."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tiny

from imtext.errors import ConfigError, RunError
from imtext.experiment import GRU, Grid, Joint, Scan
from imtext.experiment.compute import ROW, run_one, train
from imtext.experiment.experiment import plain
from imtext.runs import RunStore

VSE = tiny.PAPER.but(text={"vectors": None}, network=Joint(text=GRU(), dim=16), loss={"constraint": None})
GRID = Grid("efficientnet_lite0", size=64, crop=64, views=1)
ROWS = {
    "vse": VSE.but(recipe={"batch_size": 7}),  # no multiple of two
    "scan": VSE.but(image=GRID, network=Scan(dim=16), loss={"all_epochs": 0}),
    "longer": VSE.but(recipe={"epochs": 1}, start=(VSE.but(recipe={"batch_size": 7}),)),
}


def written(row, runs_dir):
    """The folder that is left of a row which was broken off at once."""
    with RunStore(runs_dir).open(row.paper, row.slug, row.config()) as run:
        run.save_json(ROW, plain(row))
    return run.dir


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        study = tiny.study(folder / "runs")
        yield {key: study.row(key, one, 0) for key, one in ROWS.items()}


@pytest.mark.parametrize("key", ["vse", "scan"])
def test_two_processes_give_the_table_of_one(key, rows, tmp_path):
    folder, alone = written(rows[key], tmp_path / "both"), run_one(rows[key], tmp_path / "alone")
    words = [sys.executable, "-m", "imtext", "runs", "train", folder, "--devices", "2"]
    done = subprocess.run(words, capture_output=True, text=True)
    final = folder.with_suffix("")
    assert (done.returncode, done.stdout) == (0, f"{final}\n"), done.stderr
    both = RunStore(tmp_path / "both").get("intra_modal", key, rows[key].config())
    assert both.load_json("provenance.json")["devices"] == 2 and both.metrics == alone.metrics
    curves = [pd.read_csv(one.dir / "curves.csv") for one in (both, alone)]
    pd.testing.assert_frame_equal(*curves, rtol=1e-12, atol=0)
    kind = "scores" if key == "scan" else "embeddings"
    for name, array in alone.load_arrays(f"{kind}-test.npz").items():
        np.testing.assert_allclose(both.load_arrays(f"{kind}-test.npz")[name], array, rtol=0, atol=1e-7)
    names = [{path.name for path in one.iterdir()} for one in (final, alone.dir)]
    assert names[0] == names[1] and not folder.exists()


def test_a_row_and_what_it_starts_from_are_trained_from_its_folder(rows, tmp_path):
    alone, folder = run_one(rows["longer"], tmp_path / "alone"), written(rows["longer"], tmp_path / "folder")
    runs = {row.slug: run for row, run in train([folder])}
    assert runs["longer"].finished and runs["longer"].metrics == alone.metrics
    assert [path.is_dir() for path in folder.parent.glob("longer-start-*")].count(True) == 1


def test_what_cannot_be_trained_from_a_folder_is_said_in_one_line(rows, tmp_path):
    folder = written(rows["vse"], tmp_path)
    row = plain(rows["vse"]) | {"places": plain(rows["vse"].places) | {"device": "cuda"}}
    (folder / ROW).write_text(json.dumps(row))
    with pytest.raises(ConfigError, match="GPU|devices"):
        list(train([folder], devices=99))
    with pytest.raises(RunError, match="a row of other data"):
        list(train([folder.rename(folder.with_name("vse-0123456789.partial"))], devices=2))
