"""Front page and scoreboard: pages that are templates, filled in when the book is built.

Such a page holds ``{# computed #}``; between ``{{`` and ``}}``, and in ``{% … %}``, stands Jinja, which calls
what is here. Numbers come from ``results/``, pictures from the runs and notebooks of this build.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from imtext import load, report
from imtext.data.generated import scene_relevance
from imtext.data.images import open_picture
from imtext.errors import RunError
from imtext.experiment import Results
from imtext.experiment.compute import scores_of
from imtext.experiment.results import CUTOFFS, SIDES, at_chance
from imtext.experiment.study import PROFILES
from imtext.publish.execute import RUNS_FOLDER
from imtext.report.claims import CONSISTENT, INCONSISTENT, NOT_REPRODUCED, ONE_SEED, REPRODUCED
from imtext.report.gallery import inline
from imtext.report.style import INK, PALETTE, house_style, new_figure
from imtext.retrieval import graded
from imtext.runs import Run
from imtext.runs.listing import FINISHED, list_runs

# In the order of the book.
PAPERS = ("instance_loss", "structure_preserving", "rich_features", "intra_modal", "single_network")
RECALLS = [f"{side}_query_r{k}" for side in SIDES for k in CUTOFFS]
NUMBERS = [*RECALLS, "rsum", "spread", "semantic", "minutes", "query_ms"]
WORDS = ["kind", "paper", "name", "about", "own", "profile", "seeds", "backbone", "hardware", "chance"]


def fill(app: Any, name: str, source: list[str]) -> None:
    """Called by Sphinx with the text of such a page, to change it in place."""
    from jinja2 import Environment, StrictUndefined

    stage = Path(app.srcdir)
    runs = Path(os.environ.get(RUNS_FOLDER) or stage.parent / "runs")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    given = {"board": scoreboard(), "paper": paper, "recall_by_cost": recall_by_cost, "answer": answer}
    given |= {"built_in": built_in, "at_hand": partial(at_hand, runs), "figure": partial(figure, stage)}
    source[0] = page.from_string(source[0]).render(given)


def published(name: str) -> Results:
    """What ``results/`` holds of a paper on photographs. Raises DataError for a damaged file."""
    return Results.of(report.read_published(report.results_folder() / "flickr8k" / name), ())


def scoreboard() -> pd.DataFrame:
    """A line for each system, for chance and for each yardstick, the highest R-sum first.

    Returns:
        ``kind``: ``"system"``, ``"chance"`` or ``"yardstick"``, a number that a paper prints; ``paper``;
        ``name``: the key of a system's row in the notebook; ``about``: the paper's words for it; ``own``:
        whether it is the paper's own method, not a baseline or a control; the six recalls and ``rsum``, per
        cent, the mean over seeds; ``spread``: their standard deviation; ``semantic``: R-sum where what people
        call right counts as right; ``minutes`` to train the row alone; ``query_ms``: milliseconds per query;
        ``profile``, ``seeds`` and ``hardware`` of its runs; ``backbone``: image features and text network;
        ``chance``: why a system is no better than guessing (below 1.5 times it), else "". What is not known
        is NaN, words are "". Empty where nothing is published.

    Raises:
        DataError: a file of ``results/`` is damaged.
    """
    found = {name: published(name) for name in PAPERS}
    lines = [
        _system(name, key, results)
        for name, results in found.items()
        for key, one in results.present.items()
        if "rsum" in one.metrics("test")
    ]
    if lines:
        chance = found[lines[0]["paper"]][lines[0]["name"]].chance()
        lines.append({"kind": "chance", "name": "Chance", "about": "guessing among the same images"} | chance)
        yardsticks = Path(report.__file__).with_name("yardsticks.yaml").read_text("utf-8")
        lines += map(_yardstick, yaml.safe_load(yardsticks))
    board = pd.DataFrame(lines, columns=[*WORDS, *NUMBERS]).fillna(dict.fromkeys(WORDS, ""))
    return board.sort_values("rsum", ascending=False, kind="stable", ignore_index=True)


def _system(name: str, key: str, results: Results) -> dict[str, Any]:
    one = results[key]
    found = one.metrics("test")
    costs = one.lines.xs("test", level="split").reindex(columns=["minutes", "query_ms"]).mean()
    known = found.mean().to_dict() | costs.to_dict() | one.origin
    return known | {
        "kind": "system",
        "paper": name,
        "name": key,
        **_label(name, key),
        "seeds": ", ".join(map(str, one.seeds)),
        "chance": at_chance(results, [(key, "test")]),
        "spread": found["rsum"].std(),
        "semantic": found.get("semantic R-sum", pd.Series(dtype=float)).mean(),
    }


def _label(name: str, key: str) -> dict[str, Any]:
    """What the paper's tables say of a row; those on Flickr30k, which is of the same form, first."""
    tables = sorted(report.read_paper(name).tables.values(), key=lambda one: "Flickr30k" not in one.dataset)
    for row in (row for table in tables for row in table.lines if row.run == key):
        label = f"{row.label.removeprefix('Ours: ')} (ours)" if row.label.startswith("Ours: ") else row.label
        return {"about": ", ".join(filter(None, [label, row.block])), "own": row.own}
    return {}


def _yardstick(given: dict[str, str]) -> dict[str, Any]:
    table = report.paper_table(given["paper"], given["table"])
    cells = table.cells.loc[given["row"], RECALLS].to_dict()
    (label,) = [row.label for row in table.rows if row.id == given["row"]]
    about = f"another protocol: {table.dataset}, Table {table.number}"
    return given | cells | {"kind": "yardstick", "name": label, "about": about, "rsum": sum(cells.values())}


@house_style()
def recall_by_cost(board: pd.DataFrame) -> str:
    """R-sum of every system by the minutes that it took to train, as SVG; hollow marks are of ``quick``.

    Systems that train nothing of their own, such as means of others, are left out.
    """
    made = new_figure(3.8)
    axes = made.subplots()
    axes.set(xscale="log", xlabel="minutes to train", ylabel="R-sum")
    axes.xaxis.set_major_formatter("{x:g}")
    for name, mark, hue in zip(PAPERS, "osD^v", (*PALETTE, INK), strict=True):
        own = board.query("paper == @name and minutes > 0")
        for small, part in own.groupby(own["profile"] == "quick"):
            axes.plot(part["minutes"], part["rsum"], mark, color=hue, fillstyle="none" if small else "full")
        axes.plot([], [], mark, color=hue, label=name.replace("_", " "))
    for height in board.query("kind == 'chance'")["rsum"]:
        axes.axhline(height, linestyle=":", color=INK, label="chance")
    made.legend(loc="outside lower center", ncols=3)
    made.savefig(shown := io.StringIO(), format="svg", metadata={"Date": None})
    return shown.getvalue()[shown.getvalue().index("<svg") :]


def paper(name: str, table: str, row: str, over: str) -> dict[str, Any]:
    """A paper on the front page.

    Returns:
        Of its claims, on photographs, how many ``held``, ``failed``, are ``open``, and how many of these
        ``single``, for want of a second seed. R@1 of image queries, of the row ``over`` and of the ``row``
        that is to beat it, as ``printed`` and ``here``, NaN where not known; ``chance``: why these decide
        nothing, or "".
    """
    said, results = report.read_paper(name), published(name)
    words = results.kept.verdicts.groupby("claim")["word"].first().reindex(list(said.claims))
    kinds = {"held": [REPRODUCED, CONSISTENT], "failed": [NOT_REPRODUCED, INCONSISTENT], "single": [ONE_SEED]}
    counts = {kind: int(words.isin(own).sum()) for kind, own in kinds.items()}
    lines = {one.id: one for one in said.tables[table].lines}
    keys = [(lines[one].run, lines[one].read) for one in (over, row)]
    here = [results[key].metrics(split) if key in results else {} for key, split in keys]
    return counts | {
        "open": len(said.claims) - counts["held"] - counts["failed"],
        "printed": said.tables[table].cells.loc[[over, row], "image_query_r1"].tolist(),
        "here": [np.mean(one.get("image_query_r1", np.nan)) for one in here],
        "chance": at_chance(results, keys),
    }


def at_hand(runs: Path) -> tuple[list[dict[str, Any]], Any]:
    """Runs of this build on the built-in dataset, as `list_runs` says, and the test split of the first.

    Those of the largest profile come first, by their R-sum. None, and None, where nothing was run.
    """
    found = [one for one in list_runs(runs) if one["state"] == FINISHED] if runs.is_dir() else []
    found = [one for one in found if one["dataset"] == "picturebook" and one["rsum"]]
    found.sort(key=lambda one: (-PROFILES.index(one["profile"]), -one["rsum"]))
    for one in found:
        with suppress(RunError):  # a mean of others has no network of its own
            return found, load(one["folder"]).test
    return [], None


def built_in(found: list[dict[str, Any]], test: Any) -> pd.DataFrame:
    """A line for each system on the built-in dataset, as `at_hand` gives them, the highest R-sum first.

    Returns:
        ``study``, ``run`` and ``profile``; mean over seeds of ``minutes`` to train, ``query_ms``, recalls and
        R-sum, both also as semantic ones, for which all that is true of a scene is right (`Graded.row` names
        them). Two lines have no study: orders by chance, and that of somebody who knows what is true.
    """
    known, drawn = scene_relevance(test), np.random.default_rng(0).random
    measured = partial(graded, image_of_caption=test.image_of_caption, relevance=known)
    lines = [{"run": "chance"} | measured(drawn(known.shape)).row() for _ in range(20)]
    lines.append({"run": "exact", "query_ms": np.nan} | measured(known).row())
    for one, run in ((one, Run(one["folder"])) for one in found):
        if (scores := scores_of(run)).shape == known.shape:
            lines.append(one | run.load_json("provenance.json") | measured(scores).row())
    board = pd.DataFrame(lines).groupby(["study", "run", "profile"], dropna=False).mean(numeric_only=True)
    return board.sort_values("rsum", ascending=False).reset_index()


def answer(found: list[dict[str, Any]], test: Any) -> dict[str, Any]:
    """What the first of the runs of `at_hand` finds for a caption, the longest of those that it answers.

    Returns:
        ``query``: the caption; ``images``: of each the address, a caption and whether it is right;
        ``recall``: R@5 of text queries of the run.
    """
    run = Run(found[0]["folder"])
    first = np.argsort(-scores_of(run).T, axis=1, kind="stable")[:, :5]
    right = test.group_of_image[first] == test.group_of_caption[:, None]
    query = max(np.flatnonzero(right.any(1)), key=lambda asked: len(test.captions[asked]), default=0)
    images = [
        (inline(open_picture(test, image)), test.captions[test.captions_of(image)[0]], own)
        for image, own in zip(first[query], right[query], strict=True)
    ]
    return {"recall": run.metrics["test"]["text_query_r5"], "query": test.captions[query], "images": images}


def figure(stage: Path, name: str, cell: str) -> str:
    """The address of the first figure of a notebook's cell that holds ``cell``; "" where there is none."""
    import nbformat

    for one in nbformat.read(stage / "notebooks" / f"{name}.ipynb", as_version=4).cells:
        for output in one.get("outputs", ()) if cell in one.source else ():
            if picture := output.get("data", {}).get("image/png"):
                return f"data:image/png;base64,{picture}"
    return ""
