"""``make results``: rows that ``results/`` does not hold are trained, and written there one by one."""

from __future__ import annotations

import ast
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from copy import copy
from dataclasses import asdict, replace
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from imtext.data import GENERATED
from imtext.data.images import open_picture
from imtext.errors import ConfigError, DataError, ImtextError, RunError
from imtext.experiment import Absent, Result, Results, Study
from imtext.experiment.compute import Row, finished, jobs_here
from imtext.experiment.results import SIDES
from imtext.experiment.study import Measures
from imtext.files import atomic, write_json
from imtext.papers import across
from imtext.publish.execute import RUNS_FOLDER
from imtext.publish.notebooks import find_notebooks, tagged
from imtext.report import Claim, Published, Verdict, read_published, results_folder
from imtext.report.published import TABLES, notes_of
from imtext.runs import Run, RunStore, config_hash

MOST_BYTES = 2 * 2**20


def publish_results(
    root: Path, build: Path, names: Iterable[str], parameters: Mapping[str, Any], listed: bool = False
) -> None:
    """Train what is not published of the rows of notebooks, and publish each row as it is finished.

    Killed, the same call goes on from the last checkpoint of each row. With ``listed`` nothing is trained:
    it prints a line a table, of what is published and what is not.

    Raises:
        ConfigError: a parameter is unknown or wrong, or runs of another profile are published; nothing has
            run then.
        RunError, TrainingError, DataError: as their messages say.
    """
    os.environ.setdefault(RUNS_FOLDER, str((build / "runs").resolve()))
    for given in [defined(path, parameters) for path in find_notebooks(root, names, parameters)]:
        publisher = Publisher(given["study"], given["rows"])
        if listed:
            print("\n".join(publisher.listing()))
        else:
            publisher.publish(given.get("others"))


def defined(path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Names that a notebook defines before it trains, with these parameters in the place of its own.

    Nothing is shown, and cells that read the data to show them are left out.

    Raises:
        ConfigError: a cell fails with these parameters.
    """
    import nbformat

    names: dict[str, Any] = {}
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    before = list(takewhile(lambda cell: "study.run(" not in cell.source, cells))
    while before and not re.search(r"\b(rows|others)\b", before[-1].source):
        before.pop()  # only shows something
    for number, cell in enumerate(before, start=1):
        if "inputs_of(" in cell.source:
            continue
        tree = ast.parse(cell.source)
        tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
        try:
            with redirect_stdout(io.StringIO()):
                exec(compile(tree, str(path), "exec"), names)
        except ImtextError:
            raise
        except Exception as error:
            raise ConfigError(f"{path}: code cell {number} fails with these parameters ({error!r})") from None
        if tagged(cell, "parameters"):
            names |= parameters
    return names


class Publisher:
    """The rows of a notebook, and the files of its paper in ``results/``."""

    def __init__(self, study: Study, rows: Mapping[str, Any]) -> None:
        given, self.rows, self.made = study.parameters, rows, study.asked(rows)
        self.store, self.path = RunStore(given.runs_dir), results_folder() / given.dataset / study.paper.name
        self.study, self.jobs = study, jobs_here(given.jobs, given.profile, given.device)
        self.whole = copy(study)  # verdicts are on all tables, whichever are asked for
        self.whole.parameters = replace(given, tables=study.paper.numbers)
        pairs = chain(*(claim.compare for claim in study.paper.claims.values()))
        self.ranked = {"test", *(one.get("split", "test") for one in pairs)}

    def publish(self, others: Mapping[str, Any] | None = None) -> None:
        """Train and publish what is missing; ``others``: models that are compared with rows by meaning."""
        lines, missing = read_published(self.path).lines, {}
        if other := set(lines["profile"]) - {self.study.parameters.profile}:  # not to be compared with it
            raise ConfigError(f"{self.path}.csv holds runs of profile {other.pop()}; give it, or move them")
        for key, row in self.unpublished(lines):
            missing.setdefault(row, []).append(key)
        name, new = self.study.paper.name, bool(missing)
        print(f"{name}: {sum(map(len, missing.values()))} runs to publish", flush=True)
        for row, run in finished(list(missing), self.store.root, self.jobs):
            for key in missing.pop(row, ()):
                self.put(key, row, run)
                found, minutes = run.metrics["test"], run.load_json("provenance.json")["seconds"] / 60
                said = f"R-sum {found['rsum']:.1f}" if "rsum" in found else f"R@1 {found['r1']:.1f}"
                print(f"{name}: {key}, seed {row.experiment.seed}, {minutes:.1f} minutes, test {said}")
        if others and new and (models := across.models(self.study, self.at_hand(self.rows), others)):
            with self.changed(set(self.rows), models.claims()):
                pass  # claims about models of several papers are judged by the runs

    def unpublished(self, lines: pd.DataFrame) -> list[tuple[str, Row]]:
        """Rows that were asked for and are not among the published lines, by key."""
        there = set(zip(lines.index.get_level_values("row"), lines["hash"], strict=True))
        rows = [(key, row) for key, own in self.made.items() for row in own]
        return [(key, row) for key, row in rows if (key, config_hash(row.config())) not in there]

    def listing(self) -> list[str]:
        """A line a table: runs that are published, by hash, and those that are not, by row and seed."""
        lines, paper = read_published(self.path).lines, self.study.paper
        missing = self.unpublished(lines)
        took = lines.query("profile == @self.study.parameters.profile")["minutes"]
        found = [paper.name if took.empty else f"{paper.name}: a run takes {took.median():.0f} minutes"]
        tables = {f"table {number}": paper.rows_of(number) for number in self.study.parameters.tables}
        for title, keys in (tables | {"rows of ours": set(self.rows) - set(self.study.named)}).items():
            asked = sum(len(own) for key, own in self.made.items() if key in keys)
            lack = [f"{key}/{row.experiment.seed}" for key, row in missing if key in keys]
            also = "; not: " * bool(lack) + ", ".join(lack)
            found.append(f"  {title}: {asked - len(lack)} of {asked} published{also}")
        return found

    def put(self, key: str, row: Row, run: Run) -> None:
        """Publish a row in the place of what was there of it."""
        seed, one = row.experiment.seed, Result([row], [run])
        with self.changed({key}) as kept:
            for (_, old, _), digest in kept.lines.query("row == @key")["hash"].items():
                if digest != config_hash(self.study.row(key, self.rows[key], old).config()):
                    forget(kept, key, old)  # of another recipe
            metrics = {split: own for split, own in run.metrics.items() if one.read(split) == split}
            metrics["test"] = metrics["test"] | self.meaning(row, run)
            forget(kept, key, seed)
            same = {"row": key, "seed": seed, "hash": config_hash(row.config())}
            same |= {"backbone": row.experiment.said} | notes_of(run.load_json("provenance.json"))
            lines = [same | {"split": name} | own for name, own in metrics.items()]
            kept.lines = pd.concat([kept.lines, pd.DataFrame(lines).set_index(kept.lines.index.names)])
            if (run.dir / "curves.csv").is_file():
                curves = one.curves()[0].assign(row=key, seed=seed).set_index(kept.curves.index.names)
                kept.curves = pd.concat([kept.curves, curves])
            arrays = {}
            for name in ("val", "test"):
                split, place = one.split(name), f"{one.origin['dataset']}/{name}"
                arrays[f"{place}/image_of_caption"] = split.image_of_caption
                arrays[f"{place}/group_of_image"] = np.unique(split.group_of_image, return_inverse=True)[1]
                ranks = run.load_arrays(f"ranks-{name}.npz") if name in self.ranked else {}
                # Those of phrases are of another kind.
                own = [side for side in SIDES if f"{side}_query" in ranks]
                arrays |= {f"{key}/{seed}/{name}/{side}": ranks[f"{side}_query"] for side in own}
            # A rank beyond the 65,535th matters to no recall.
            kept.ranks |= {name: np.minimum(one, 65_535).astype(np.uint16) for name, one in arrays.items()}
            write_json(self.path.parent / "about.json", about(row))

    def meaning(self, row: Row, run: Run) -> dict[str, float]:
        """Measures of a run by what is right in meaning; none where that is not known."""
        test = row.inputs.source.splits["test"]
        with suppress(ConfigError, DataError, RunError):  # the last for phrases, which have no such scores
            known = across.meaning_of(row.experiment.data.dataset, row.places.data_root, test)
            models = across.Models({"": run}, test, known)
            return models.measures(3).join(models.agreement(3)).loc[""].drop("R-sum").to_dict()
        return {}

    @contextmanager
    def changed(self, keys: set[str], more: Measures | None = None) -> Iterator[Published]:
        """The published files, to change what they say of rows; then all claims are judged anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            yield (kept := read_published(self.path))
            # What needs more than ranks is judged by the runs, as long as they are there.
            only, claims = copy(self.whole), self.study.paper.claims
            touched = {name: claim for name, claim in claims.items() if rows_of(claim) & keys}
            only.paper = replace(self.study.paper, claims=touched)
            runs = self.at_hand(set().union(*map(rows_of, touched.values())))
            others = kept.verdicts[~kept.verdicts.index.isin(touched, level="claim")]
            kept.verdicts = pd.concat([others, verdicts_table(only.verdicts(runs, more))])
            kept.verdicts = verdicts_table(self.whole.verdicts(Results.of(kept, self.study.named)))
            save(kept, self.path)

    def at_hand(self, keys: Iterable[str]) -> Results:
        """Of these rows the runs, where those of all seeds are there."""
        found = {}
        for key in set(self.made).intersection(keys):
            runs = [self.store.get(row.paper, row.slug, row.config()) for row in self.made[key]]
            if all(runs):
                found[key] = Result(self.made[key], runs)
        return Results({key: found.get(key, Absent()) for key in self.rows})


def rows_of(claim: Claim) -> set[str]:
    """Keys of the rows that a claim is about."""
    return {*claim.needs, *chain(*chain(*(one["pairs"] for one in claim.compare)))}


def forget(kept: Published, row: str, seed: int) -> None:
    """Leave out what is there of a row under a seed."""
    for name in ("lines", "curves"):
        frame = getattr(kept, name)
        setattr(kept, name, frame.loc[[one[:2] != (row, seed) for one in frame.index]])
    own = f"{row}/{seed}/"
    kept.ranks = {name: ranks for name, ranks in kept.ranks.items() if not name.startswith(own)}


def verdicts_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """A line a difference."""
    keys, columns = TABLES["-verdicts"]
    lines = [
        {"claim": one.claim.id, "part": part, "word": one.word} | asdict(item)
        for one in verdicts
        for part, item in enumerate(one.evidence)
    ]
    frame = pd.DataFrame(lines, columns=[*keys, *columns])
    frame["per_seed"] = [" ".join(f"{value:.6g}" for value in own) for own in frame["per_seed"]]
    return frame.set_index(keys)


def about(row: Row) -> dict[str, Any]:
    """Images and captions by split, and of what size and form the pictures are."""
    splits = row.inputs.source.splits
    found = {split: {"images": one.n_images, "captions": one.n_captions} for split, one in splits.items()}
    try:
        shown = range(min(splits["test"].n_images, 200))
        sizes = Counter(open_picture(splits["test"], image).size for image in shown)
    except DataError:  # features came in the place of pictures
        return found
    ((wide, high), count) = sizes.most_common(1)[0]
    form = ", aspect ratio not kept" if count == sizes.total() else ", most often"
    said = f"images of {wide} × {high}" + form * (row.experiment.data.dataset not in GENERATED)
    return found | {"pictures": "; ".join(filter(None, [splits["test"].edition, said]))}


def save(kept: Published, path: Path) -> None:
    """Write the files of a paper, each whole or not at all, the lines last: a hash there says "is published".

    Raises:
        DataError: there are more ranks than a repository should hold, or a file cannot be written.
    """
    with atomic(file := path.with_name(f"{path.name}-ranks.npz")) as temporary:
        with open(temporary, "wb") as opened:
            np.savez_compressed(opened, **dict(sorted(kept.ranks.items())))
        if (size := temporary.stat().st_size) > MOST_BYTES:
            raise DataError(f"{file}: {size:,} bytes, at most {MOST_BYTES:,}; publish fewer seeds")
    for end, frame in (("-curves", kept.curves), ("-verdicts", kept.verdicts), ("", kept.lines)):
        with atomic(path.with_name(f"{path.name}{end}.csv")) as temporary:
            frame.sort_index().to_csv(temporary, float_format="%.6g", lineterminator="\n")
