"""Published runs of a paper on a dataset: files in ``results/<dataset>/``, written by ``make results``.

- ``<paper>.csv``: a line for each row of the notebook, seed and split: the hash of its configuration, where,
  when and how long it ran (from its last start), what stood for the paper's networks (``backbone``), its
  metrics, and ``query_ms``: milliseconds for the embeddings or scores of the test split, a query. The test
  split also has the measures by what is right in meaning, where that is known. Rows that were published
  before there were hashes, times or such measures have none. Where the folds of a split are the whole, there
  are none.
- ``<paper>-ranks.npz``, uint16: ranks of the queries of the test split, and of the validation split where
  claims are about it, as ``<row>/<seed>/<split>/<side>``; images of captions and groups of images as
  ``<dataset>/<split>/<name>``.
- ``<paper>-curves.csv``: what training reported, a line for each row, seed and epoch.
- ``<paper>-verdicts.csv``: the evidence for each claim, and the word that it comes to.
- ``about.json``, of the dataset: images and captions of each split, size and form of the pictures.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imtext.files import read_object, told
from imtext.report.evidence import Evidence

ORIGIN = ["dataset", "profile", "backbone", "device", "hardware", "commit", "date"]
NOTES = ["hash", *ORIGIN, "minutes", "query_ms"]
# Of each table, by the end of its file's name: what tells its lines apart, and what else each of them has.
TABLES = {
    "": (["row", "seed", "split"], NOTES[:-1]),  # the last is younger than many a line
    "-curves": (["row", "seed", "epoch"], []),
    "-verdicts": (["claim", "part"], [one.name for one in fields(Evidence)] + ["word"]),
}
WORDS = ["row", "split", "hash", *ORIGIN, "claim", "name", "per_seed", "unit", "word"]
WHOLE = ["seed", "epoch", "part", "digits"]
# pandas, zipfile, zlib and NumPy raise almost anything on a broken file.
_reading = partial(told, of=Exception, said="is damaged ({}); take it from the repository again")


def results_folder() -> Path:
    """Where published runs lie: the folder that ``IMTEXT_RESULTS`` names, else ``results`` of the checkout.

    >>> results_folder().name
    'results'
    """
    return Path(os.environ.get("IMTEXT_RESULTS") or Path(__file__).resolve().parents[2] / "results")


@dataclass
class Published:
    """What is published of a paper on a dataset: three tables by their keys, arrays by name, words ``about``
    its pictures."""

    lines: pd.DataFrame
    curves: pd.DataFrame
    verdicts: pd.DataFrame
    ranks: dict[str, np.ndarray]
    about: str = ""

    @property
    def evidence(self) -> dict[str, list[Evidence]]:
        """The evidence for claims, by their ids."""
        found: dict[str, list[Evidence]] = {}
        for (claim, _), line in self.verdicts.drop(columns="word").iterrows():
            own = {**line, "per_seed": tuple(map(float, line["per_seed"].split()))}
            found.setdefault(claim, []).append(Evidence(**own))
        return found


def notes_of(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a line says of where, when and how long a run ran, from its ``provenance.json``."""
    same = {name: provenance[name] for name in [*ORIGIN, "query_ms"] if name in provenance}
    return same | {"date": provenance["when"], "minutes": round(provenance["seconds"] / 60, 1)}


def read_published(path: Path) -> Published:
    """What is published under ``results/<dataset>/<paper>``; nothing where a file is missing.

    Raises:
        DataError: names a file that is damaged.
    """
    tables = [_table(path.with_name(f"{path.name}{end}.csv"), *TABLES[end]) for end in TABLES]
    file, ranks = path.with_name(f"{path.name}-ranks.npz"), {}
    if file.is_file():
        with _reading(file), np.load(file, allow_pickle=False) as arrays:
            ranks = dict(arrays)
    return Published(*tables, ranks, read_object(path.parent / "about.json").get("pictures", ""))


def _table(path: Path, keys: list[str], columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=[*keys, *columns]).set_index(keys)
    kinds = defaultdict(lambda: float, dict.fromkeys(WORDS, str) | dict.fromkeys(WHOLE, int))
    with _reading(path):
        found = pd.read_csv(path, dtype=dict.fromkeys(WORDS, str), encoding="utf-8")
        rest = found.columns.drop([*keys, *columns])  # names a column that is not there
        found = found.fillna(dict.fromkeys(WORDS, "")).astype({name: kinds[name] for name in found})
        found = found.set_index(keys)
        if found.index.has_duplicates:
            raise ValueError(f"several lines of one {', '.join(keys)}")
        return found[[*columns, *rest]]
