"""Front page and scoreboard: their numbers are those of results/, and what is missing is said."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import numpy as np
import pytest

from imtext.data.generated import load_generated, scene_relevance
from imtext.publish import front
from imtext.retrieval import graded


@pytest.fixture
def results(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the published runs on photographs, to be changed."""
    monkeypatch.setenv("IMTEXT_RESULTS", str(tmp_path / "results"))
    return Path(shutil.copytree(repository / "results" / "flickr8k", tmp_path / "results" / "flickr8k"))


def read(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def filled(repository: Path, folder: Path, name: str) -> str:
    source = [(repository / "book" / f"{name}.md").read_text(encoding="utf-8")]
    shutil.copytree(repository / "notebooks", folder / "stage" / "notebooks", dirs_exist_ok=True)
    front.fill(SimpleNamespace(srcdir=folder / "stage"), f"book/{name}", source)
    return source[0]


def test_the_scoreboard_holds_the_published_numbers(results: Path) -> None:
    board, expected = front.scoreboard(), defaultdict(list)
    for paper in front.PAPERS:
        for line in read(results / f"{paper}.csv"):
            if line["split"] == "test" and line.get("rsum"):
                expected[paper, line["row"]].append(line)
    systems = board[board["kind"] == "system"].set_index(["paper", "name"])
    assert set(systems.index) == set(expected) and systems.index.is_unique
    for place, lines in expected.items():
        for name in (*front.RECALLS, "rsum", "minutes"):
            assert systems.loc[place, name] == pytest.approx(mean(float(line[name]) for line in lines))
        assert systems.loc[place, "seeds"] == ", ".join(sorted(line["seed"] for line in lines))
        assert systems.loc[place, "profile"] == lines[0]["profile"]
    assert list(board["rsum"]) == sorted(board["rsum"], reverse=True)
    (chance,) = board.query("kind == 'chance'")["rsum"]
    assert chance == pytest.approx(2 * (0.1 + 0.5 + 1), rel=0.01)
    assert ((systems["chance"] != "") == (systems["rsum"] < 1.5 * chance)).all()
    # The front page names the best of the paper's own rows: no baseline, no control.
    assert list(systems.loc["structure_preserving", "own"][["mean-bi", "mean-bi-more"]]) == [True, False]
    for place, one in systems[systems["semantic"].notna()].iterrows():
        known = [float(line["semantic R-sum"]) for line in expected[place] if line["semantic R-sum"]]
        assert one["semantic"] == pytest.approx(mean(known))
    assert board.query("kind == 'yardstick'")[front.RECALLS].notna().all(axis=None)


def test_claims_and_the_key_number_are_the_published_ones(results: Path) -> None:
    words = {"image_path_converges_first": "reproduced", "shared_classifier_needed": "inconsistent"}
    lines = read(results / "instance_loss-verdicts.csv")
    with open(results / "instance_loss-verdicts.csv", "w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, lines[0])
        table.writeheader()
        table.writerows(one | {"word": words.get(one["claim"], "one seed")} for one in lines)
    found = front.paper("instance_loss", "2", "instance_stage1", "ranking_stage1")
    assert (found["held"], found["failed"], found["printed"]) == (1, 1, [6.1, 39.9])
    assert found["single"] == len({one["claim"] for one in lines}) - 2
    rows = {(one["row"], one["split"]): one for one in read(results / "instance_loss.csv")}
    shown = [float(rows[key, "val"]["image_query_r1"]) for key in ("ranking-1", "instance-1")]
    assert found["here"] == pytest.approx(shown)


def test_a_paper_without_runs_and_no_runs_at_all_are_said(
    results: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(front.RUNS_FOLDER, raising=False)
    (results / "intra_modal.csv").unlink()
    assert set(front.scoreboard()["paper"]) >= {"instance_loss", "rich_features"}
    assert not (front.scoreboard().query("kind == 'system'")["paper"] == "intra_modal").any()
    assert np.isnan(front.paper("intra_modal", "3", "l1", "lambda_0")["here"]).all()
    page = filled(repository, tmp_path, "intro")
    assert page.count("no run published") == 1
    assert "Nothing was run on the built-in dataset" in page
    shutil.rmtree(results)
    assert filled(repository, tmp_path, "intro").count("no run published") == 5
    page = filled(repository, tmp_path, "scoreboard")
    assert "No run on photographs is published" in page and "this table has no lines" in page


def test_the_built_in_dataset_is_measured_by_pairs_and_by_exact_relevance(tmp_path: Path) -> None:
    test = load_generated("picturebook", tmp_path, train=1, val=1, test=40, size=64).split("test")
    own = 1.0 * (test.image_of_caption == np.arange(40)[:, None])
    found = []
    for seed, scores in enumerate((own, 0 * own, own[:, :5])):
        folder = tmp_path / f"row-{seed}"
        folder.mkdir()
        np.savez(folder / "scores-test.npz", scores=scores)
        (folder / "provenance.json").write_text(json.dumps({"query_ms": 2.0 * seed}), encoding="utf-8")
        found.append({"folder": folder, "study": "rich_features", "run": "vse", "profile": "smoke"})
    board = front.built_in(found, test).set_index("run")
    nothing = graded(0 * own, test.image_of_caption, scene_relevance(test))
    # Seeds are averaged, and a run of another test split is left out.
    assert board.loc["vse", "rsum"] == pytest.approx((600 + nothing.value("rsum")) / 2)
    assert board.loc["vse", "semantic_rsum"] == pytest.approx((600 + nothing.value("semantic_rsum")) / 2)
    assert board.loc["vse", "query_ms"] == 1.0
    # Who knows what is true errs in nothing, but by pairs: some captions are true of several scenes.
    assert board.loc["exact", "rsum"] < board.loc["exact", "semantic_rsum"] == pytest.approx(600)
    # By chance: 1, 5 and 10 of 40 images, and of 200 captions of which five are right.
    chance = board.loc["chance"]
    assert chance["rsum"] == pytest.approx(77, abs=5) and chance["semantic_rsum"] > 82
    assert list(board["rsum"]) == sorted(board["rsum"], reverse=True)


def test_words_from_data_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path
) -> None:
    run = {"study": "rich_features", "run": "vse", "profile": "smoke"}
    monkeypatch.setattr(front, "at_hand", lambda runs: ([run], SimpleNamespace(n_images=5)))
    shown = {"query": "<b>a dog</b>", "images": [("data:,", 'a "dog"', True)], "recall": 20.0}
    monkeypatch.setattr(front, "answer", lambda found, test: shown)
    page = filled(repository, tmp_path, "intro")
    assert "&lt;b&gt;a dog" in page and "<b>a dog" not in page and "a &#34;dog&#34;" in page
