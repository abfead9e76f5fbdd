"""The numbers that a change of the code may not move unnoticed: ``python tests/golden/frozen.py RUNS_DIR``.

``smoke.json`` holds the metrics of every row of every table and each claim's verdict with its size, in the
smoke profile; ``data.json`` the fingerprints and file digests of the generated datasets, and the fingerprint
of a small example of each format; ``drawn.json`` what is drawn and said of scenes and persons. Whoever moves
a number writes the files anew and names the rows in the commit.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent
SEEDS = {"intra_modal": [0, 1, 2]}
SIZES = {
    "picturebook": {"train": 12, "val": 6, "test": 6, "size": 64},
    "picturebook_pedestrians": {"train": 8, "val": 4, "test": 4, "size": 64},
}


def smoke_numbers(runs_dir: Path) -> dict[str, dict[str, Any]]:
    """Metrics by "paper, table, row, seed", and [verdict, its differences] by "paper, claim".

    Finished runs are taken from the folder; what is missing is trained.
    """
    rows, claims = {}, {}
    for paper, lines, verdicts in _papers(runs_dir):
        for line in lines:
            key = f"{paper}, table {line.pop('table')}, {line.pop('row')}, seed {line.pop('seed')}"
            rows[key] = line
        for verdict in verdicts:
            sizes = {evidence.name: round(evidence.difference, 3) for evidence in verdict.evidence}
            claims[f"{paper}, {verdict.claim.id}"] = [verdict.word, sizes]
    return {"rows": rows, "claims": claims}


def data_digests(folder: Path) -> dict[str, dict[str, str]]:
    """Fingerprint of each dataset as it is read, and a digest of the generated files, in an empty folder."""
    from imtext.data import GENERATED, load_dataset

    sys.path.insert(0, str(GOLDEN.parent / "mutations"))
    from test_every_format_passes_the_check import FORMATS

    found = {}
    for format, (name, make, options) in FORMATS.items():
        if name == "embeddings":
            continue
        root = folder / format
        root.mkdir()
        sizes = SIZES.get(name, {})
        if name not in GENERATED:
            make(root)
        dataset = load_dataset(name, root, **({"subset": True} if options else sizes))
        found[format] = {"fingerprint": dataset.fingerprint()}
        if name in GENERATED:
            found[format]["files"] = _digest(root)
    return found


def drawn_digests() -> dict[str, str]:
    """Digests of captions, relevance and boxes of 300 scenes, of 60 persons, and of pixels."""
    from imtext import picturebook

    found: dict[str, list[Any]] = {}

    def keep(what: str, value: Any) -> None:
        found.setdefault(what, []).append(value)

    for split in ("train", "val", "test"):
        described = [picturebook.describe(0, split, index) for index in range(100)]
        for index, (scene, captions) in enumerate(described):
            texts = [picturebook.plain_text(caption) for caption in captions]
            keep("scenes, captions", [texts, picturebook.spans(captions)])
            picture, boxes = picturebook.render(scene, (64, 96, 128, 200)[index % 4])
            keep("scenes, boxes", sorted(boxes.items()))
            if index % 5 == 0:
                keep("scenes, pixels", hashlib.sha256(picture.tobytes()).hexdigest())
        said = [picturebook.statements(one) for _, captions in described for one in captions]
        keep("scenes, relevance", picturebook.relevance([scene for scene, _ in described], said).tolist())
        for index, person in enumerate(picturebook.roster(0, split, 20)):
            for number, view in enumerate(picturebook.views(0, split, index, person), 1):
                said = picturebook.describe_person(0, split, index, number, person, view)
                keep("persons, descriptions", said)
                keep("persons, attributes", [person, view, sorted(picturebook.hidden(person, view))])
                if index % 4 == 0:
                    picture = picturebook.portrait(person, view, (64, 112, 128, 200)[number % 4])
                    keep("persons, pixels", hashlib.sha256(picture.tobytes()).hexdigest())
    return {what: hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32] for what, rows in found.items()}


def write(path: Path, sections: dict[str, Any]) -> None:
    """JSON with one entry a line, so that a diff names what moved."""
    lines = []
    for section, entries in sections.items():
        if isinstance(entries, str):
            lines.append(f" {json.dumps(section)}: {json.dumps(entries)}")
            continue
        inner = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
        lines.append(f" {json.dumps(section)}: {{\n" + ",\n".join(inner) + "\n }")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _papers(runs_dir: Path) -> Iterator[tuple[str, list[dict[str, Any]], list[Any]]]:
    """Name, published lines and verdicts of every paper, in the order of their names."""
    names = ("instance_loss", "intra_modal", "rich_features", "single_network", "structure_preserving")
    given = {"profile": "smoke", "device": "cpu", "runs_dir": str(runs_dir)}
    for name in names:
        yield name, *_of_notebook(name, seeds=SEEDS.get(name, [0]), **given)


def _of_notebook(paper: str, **given: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Published lines and verdicts of a paper, whose rows stand in its notebook."""
    sys.path.insert(0, str(GOLDEN.parent))
    from notebook_source import defined

    names = defined(paper, **given)
    study, measures = names["study"], None
    results = study.run(names["rows"])
    lines = [
        {"table": number, "row": line, "seed": seed} | {name: round(one, 2) for name, one in metrics.items()}
        for number, table in study.paper.tables.items()
        for line, (key, split) in study._lines(table, results).items()
        for seed, metrics in results[key].metrics(split).iterrows()
    ]
    if paper == "single_network":
        models = names["across"].models(study, results, names["others"])
        measures, (seed,) = models.claims(), given["seeds"]
        for name, found in models.measures(3).join(models.agreement(3)).iterrows():
            lines.append({"table": "meaning", "row": name, "seed": seed, **found})
    return lines, study.verdicts(results, measures)


def _digest(root: Path) -> str:
    """Names and contents of the files below a folder that a reader of the dataset opens."""
    total = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.suffix in (".json", ".jsonl", ".jpg")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:32]


if __name__ == "__main__":
    write(GOLDEN / "smoke.json", smoke_numbers(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as made:
        write(GOLDEN / "data.json", data_digests(Path(made)))
    write(GOLDEN / "drawn.json", drawn_digests())
